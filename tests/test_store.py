"""The cache of features: exact, bounded, shared by processes, and whole after a kill or on a full disk."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn import image_file
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from igmu_data.errors import InputError, OutputError
from igmu_metrics.contract import FloatArray
from igmu_metrics.networks.instruments import InstrumentInfo
from igmu_metrics.networks.observe import observe
from igmu_metrics.networks.store import SEEN, Store, bound
from igmu_metrics.networks.texts import embedded

ROOT = Path(__file__).resolve().parent.parent


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "features.sqlite", 10**9)


class Counting:
    """A backbone that counts what it is given: the mean of each channel; texts by their length."""

    def __init__(self, revision: str = "1") -> None:
        self.info = InstrumentInfo(name="counting:rgb", revision=revision, preparation="none")
        self.images = self.texts = self.pairs = 0

    def image_features(self, images: Any) -> FloatArray:
        self.images += len(images)
        return np.array([np.asarray(i, dtype=np.float64).mean((0, 1)) / 3 for i in images])

    def text_features(self, texts: Any) -> FloatArray:
        self.texts += len(texts)
        return np.array([[float(len(t)), 0.5] for t in texts])

    def image_distance(self, images: Any, others: Any) -> FloatArray:
        self.pairs += len(images)
        return np.abs(self.image_features(images) - self.image_features(others)).sum(1)


@given(arrays(np.float64, st.integers(0, 9), elements=st.floats(allow_nan=False)))
def test_values_come_back_to_the_last_bit(tmp_path_factory: pytest.TempPathFactory, value: FloatArray) -> None:
    one = Store(tmp_path_factory.mktemp("s") / "x.sqlite", 10**9)
    one.put("k", [(sha("a"), value)])
    assert one.get(sha("a"), ["k"])["k"].tobytes() == value.tobytes()
    one.close()


def test_images_are_seen_once_whatever_they_are_called(tmp_path: Path, store: Store) -> None:
    paths = [image_file(tmp_path / f"{r}.png", (r, 0, 10)) for r in (0, 51, 255)]
    first = Counting()
    cold = observe(paths, backbones={"x": first}, store=store)
    (tmp_path / "elsewhere").mkdir()
    moved = [p.rename(tmp_path / "elsewhere" / f"new-{p.name}") for p in paths]
    again = Counting()
    warm = observe([*moved, image_file(tmp_path / "9.png", (9, 9, 9))], backbones={"x": again}, store=store)
    assert (first.images, again.images) == (3, 1)
    assert warm["x"][:3].tobytes() == cold["x"].tobytes()
    other = Counting(revision="2")
    observe(moved, backbones={"x": other}, store=store)
    assert other.images == 3  # other weights are another network


def test_a_changed_file_is_seen_anew(tmp_path: Path, store: Store) -> None:
    path = image_file(tmp_path / "a.png", (3, 3, 3))
    observe([path], backbones={"x": Counting()}, store=store)
    image_file(path, (6, 6, 6))
    assert observe([path], backbones={"x": Counting()}, store=store)["x"][0, 0] == 2.0


def test_without_networks_it_is_kept_that_a_file_can_be_read(tmp_path: Path, store: Store) -> None:
    path = image_file(tmp_path / "a.png", (3, 3, 3))
    seen = observe([path], store=store)
    assert SEEN in store.get(str(seen["sha256"][0]), [SEEN])
    assert observe([path], store=store)["status"].tolist() == ["ok"]


def test_texts_and_pairs_are_kept_too(tmp_path: Path, store: Store) -> None:
    paths = [image_file(tmp_path / f"{r}.png", (r, 0, 10)) for r in (0, 51, 255)]
    one, two = Counting(), Counting()
    expected = observe(paths, partners=paths[:1] * 3, distance=one, store=store)["lpips"]
    np.testing.assert_allclose(expected, [0, 17, 85])  # a third of the difference in red
    again = observe(paths, partners=paths[:1] * 3, distance=two, store=store)["lpips"]
    assert again.tobytes() == expected.tobytes()
    assert embedded(one, ["ab", "c", "ab"], store)[:, 0].tolist() == [2, 1, 2]
    assert embedded(two, ["c", "ab", "def"], store)[:, 0].tolist() == [1, 2, 3]
    assert (one.pairs, two.pairs, one.texts, two.texts) == (3, 0, 2, 1)


def test_a_distance_is_of_both_images(tmp_path: Path, store: Store) -> None:
    """Of an image that was compared with one original, that to another is not known yet; nor the other way round."""
    a, b, c = (image_file(tmp_path / f"{r}.png", (r, 0, 10)) for r in (0, 51, 255))
    found = [
        observe([i], partners=[p], distance=Counting(), store=store)["lpips"][0] for i, p in ((a, b), (a, c), (b, c))
    ]
    np.testing.assert_allclose(found, [17, 85, 68])


def test_the_bound_keeps_what_was_used_last(tmp_path: Path) -> None:
    path = tmp_path / "features.sqlite"
    store = Store(path, 10**9)
    for name in "abcdefghij":
        store.put("k", [(sha(name), np.arange(1000.0))])  # 4 kB each
    store.close()
    with sqlite3.connect(path) as db:  # as if they had been used some days ago, a first
        for i, name in enumerate("abcdefghij"):
            db.execute("UPDATE features SET used = ? WHERE sha = ?", (1000 + i, bytes.fromhex(sha(name))))
    db.close()
    store = Store(path, 10**9)
    assert store.get(sha("a"), ["k"])  # now a is the freshest
    store.close()
    before = path.stat().st_size
    Store(path, 15_000).close()
    store = Store(path, 10**9)
    assert [name for name in "abcdefghij" if store.get(sha(name), ["k"])] == ["a", "i", "j"]
    assert store.holdings()[0].n_rows == 3
    assert path.stat().st_size < before
    assert store.prune(10**9, older_than=-1) == (3, 0)  # whatever was used before a second from now
    store.close()


@pytest.mark.parametrize("given", ["many", "-1", "nan"])
def test_a_size_that_is_none(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IGMU_CACHE_GB", given)
    with pytest.raises(InputError, match="IGMU_CACHE_GB"):
        bound()


def test_a_full_disk_is_an_error_and_loses_nothing(tmp_path: Path, store: Store) -> None:
    store.put("k", [(sha("a"), np.arange(3.0))])
    # SQLite's own limit on pages answers as a full disk does.
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(OutputError, match=r"full.*IGMU_CACHE"):
        store.put("k", [(sha(str(i)), np.random.default_rng(i).random(5000)) for i in range(9)])
    assert not store.get(sha("0"), ["k"])  # all rows of a call, or none
    store.close()
    again = Store(store.path, 10**9)
    assert again.get(sha("a"), ["k"])["k"].tolist() == [0, 1, 2]
    again.close()


def test_a_damaged_file_and_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "bad.sqlite").write_bytes(b"not a database at all, really not" * 99)
    with pytest.raises(OutputError, match="Delete the file"):
        Store(tmp_path / "bad.sqlite", 10**9)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="IGMU_CACHE"):
        Store(tmp_path / "file" / "x.sqlite", 10**9)


def test_what_another_process_prunes_changes_no_number(tmp_path: Path) -> None:
    """Numbers of networks were given out again after a prune, and rows of one read as another's."""
    path = tmp_path / "features.sqlite"
    running = Store(path, 10**9)
    running.put("a", [(sha("x"), np.full(3, 1.0))])
    running.put("b", [(sha("x"), np.full(3, 2.0))])
    other = Store(path, 10**9)
    assert other.prune(0) == (2, 0)
    other.put("b", [(sha("x"), np.full(3, 2.0))])  # in the other order
    other.put("a", [(sha("x"), np.full(3, 1.0))])
    other.close()
    running.put("a", [(sha("y"), np.full(3, 3.0))])
    running.put("b", [(sha("y"), np.full(3, 4.0))])
    for store in (running, Store(path, 10**9)):
        found = {name: store.get(sha(name), ["a", "b"]) for name in "xy"}
        assert {name: {k: v[0] for k, v in one.items()} for name, one in found.items()} == {
            "x": {"a": 1.0, "b": 2.0},
            "y": {"a": 3.0, "b": 4.0},
        }
        store.close()


def test_another_process_that_closes_above_its_bound_changes_no_number(tmp_path: Path) -> None:
    path = tmp_path / "features.sqlite"
    running = Store(path, 10**9)
    for key, value in (("a", 1.0), ("b", 2.0)):
        running.put(key, [(sha("x"), np.full(3, value))])
    Store(path, 1).close()
    for key, value in (("b", 2.0), ("a", 1.0)):
        running.put(key, [(sha("x"), np.full(3, value))])
    for store in (running, Store(path, 10**9)):
        assert {k: v[0] for k, v in store.get(sha("x"), ["a", "b"]).items()} == {"a": 1.0, "b": 2.0}
        store.close()


@pytest.mark.parametrize("table", ["features", "notes"])
def test_a_value_that_was_changed_is_not_there(tmp_path: Path, table: str) -> None:
    path = tmp_path / "features.sqlite"
    column = {"features": "value", "notes": "text"}[table]
    with_any: list[Any] = [b"", b"f", b"x" * 99, "text", 7, 1.5]
    for change in [*range(0, 40, 3), *with_any]:
        store = Store(path, 10**9)
        store.put("k", [(sha("a"), np.arange(5.0))])
        store.keep_note("n", "a text of some length")
        with sqlite3.connect(path) as db:
            (blob,) = db.execute(f"SELECT {column} FROM {table}").fetchone()
            flipped = bytearray(blob)
            if isinstance(change, int) and change != 7:
                flipped[change % len(flipped)] ^= 1 << change % 8
            changed = bytes(flipped) if flipped != blob else change
            db.execute(f"UPDATE {table} SET {column} = ?", (changed,))
        db.close()
        kept = {"features": store.get(sha("a"), ["k"]), "notes": store.note("n")}
        assert not kept[table], change
        store.put("k", [(sha("a"), np.arange(5.0))])  # computed anew, it takes the place
        store.keep_note("n", "a text of some length")
        assert store.get(sha("a"), ["k"])["k"].tolist() == [0, 1, 2, 3, 4]
        assert store.note("n") == "a text of some length"
        store.close()


def test_a_value_in_the_place_of_another_is_not_there(store: Store) -> None:
    store.put("a", [(sha("x"), np.zeros(3)), (sha("y"), np.ones(3))])
    store.put("b", [(sha("x"), np.full(3, 2.0))])
    rows = store._db.execute("SELECT source, sha, value FROM features").fetchall()
    for at, (source, of, _) in enumerate(rows):  # a checksum of its own is right everywhere
        value = rows[at - 1][2]
        store._db.execute("UPDATE features SET value = ? WHERE source = ? AND sha = ?", (value, source, of))
    assert [store.get(sha(name), ["a", "b"]) for name in "xy"] == [{}, {}]
    store.close()


def test_flipped_bits_anywhere_give_the_value_or_none_or_say_so(tmp_path: Path) -> None:
    path, rng = tmp_path / "whole.sqlite", random.Random(0)
    values = {(k, i): np.random.default_rng(i).random(9) + len(k) for k in ("a", "bb") for i in range(40)}
    store = Store(path, 10**9)
    for key in ("a", "bb"):
        store.put(key, [(sha(str(i)), value) for (k, i), value in values.items() if k == key])
        store.keep_note(key, key * 50)
    store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.close()
    whole = path.read_bytes()
    lost = said = 0
    for turn in range(150):
        data = bytearray(whole)
        for _ in range(3):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        damaged = tmp_path / f"{turn}.sqlite"
        damaged.write_bytes(data)
        try:
            one = Store(damaged, 10**9)
            for i in range(40):
                found = one.get(sha(str(i)), ["a", "bb"])
                lost += 2 - len(found)
                assert all(value.tobytes() == values[key, i].tobytes() for key, value in found.items())
            assert all(one.note(key) in (None, key * 50) for key in ("a", "bb"))
            one.holdings()
            one.prune(1000)
            one.close()
        except OutputError:
            said += 1
        for file in tmp_path.glob(f"{turn}.*"):
            file.unlink()
    assert 0 < lost < 150 * 40
    assert said < 75


def test_a_cache_of_an_older_igmu_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "features.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE sources (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE)")
        db.execute("CREATE TABLE features (id INTEGER PRIMARY KEY, source INTEGER, sha BLOB, used INTEGER, value BLOB)")
        db.execute("INSERT INTO sources VALUES (1, 'k')")
        value = b"f" + np.zeros(3, "<f4").tobytes()
        db.execute("INSERT INTO features VALUES (1, 1, ?, 0, ?)", (bytes.fromhex(sha("a")), value))
    db.close()
    store = Store(path, 10**9)
    assert store.get(sha("a"), ["k"]) == {}
    assert store.holdings() == []
    store.close()


def test_notes_are_kept_beside_the_values(tmp_path: Path) -> None:
    path = tmp_path / "features.sqlite"
    store = Store(path, 10**9)
    assert store.note("a") is None
    store.keep_note("a", "ä" * 10)
    store.keep_note("a", "ö" * 10)
    store.keep_note("b", "")
    store.put("k", [(sha("a"), np.arange(3.0))])
    store.close()
    store = Store(path, 10**9)
    assert (store.note("a"), store.note("b")) == ("ö" * 10, "")
    store.drop_note("b")
    assert store.prune(10**9) == (0, 1)
    assert (store.note("a"), store.note("b")) == ("ö" * 10, None)
    assert store.prune(0) == (1, 0)
    assert store.note("a") is None  # all goes, and so does what is known of networks
    store.close()


WRITER = """
import sys, hashlib, numpy as np
from pathlib import Path
from igmu_metrics.networks.store import Store
store = Store(Path(sys.argv[1]), 10**9)
print("ready", flush=True)
for i in range(int(sys.argv[2]), int(sys.argv[3])):
    rows = [(hashlib.sha256(f"{i} {j}".encode()).hexdigest(), np.full(50, i + j / 8)) for j in range(8)]
    store.put("k", rows)
store.close()
"""


def writer(path: Path, start: int, end: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WRITER, str(path), str(start), str(end)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def check_whole(path: Path) -> int:
    """Every call's eight rows are there or none is, every value is the one that was put; how many calls."""
    store = Store(path, 10**9)
    assert store._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    n = 0
    for i in range(400):
        found = [store.get(sha(f"{i} {j}"), ["k"]) for j in range(8)]
        assert len({bool(f) for f in found}) == 1, i
        if found[0]:
            n += 1
            for j, one in enumerate(found):
                np.testing.assert_array_equal(one["k"], np.full(50, i + j / 8))
    assert store.holdings()[0].n_rows == 8 * n  # nothing doubled
    store.close()
    return n


def test_two_processes_on_one_cache(tmp_path: Path) -> None:
    path = tmp_path / "features.sqlite"
    both = [writer(path, 0, 250), writer(path, 150, 400)]  # a hundred of them by both
    for process in both:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    assert check_whole(path) == 400


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path: Path) -> None:
    path, moments = tmp_path / "features.sqlite", random.Random(0)
    for _ in range(10):
        process = writer(path, 0, 400)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(moments.uniform(0.0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        check_whole(path) if path.exists() and Store(path, 10**9).holdings() else None


SCORE = """
import sys
from pathlib import Path
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.scorecard import write
original, unlearned, out = map(Path, sys.argv[1:])
print("ready", flush=True)
evaluation = Evaluation("sandbox.church", detector="sandbox", clip="sandbox", bench="sandbox")
for card in evaluation.run(original, [unlearned]):
    write(card, out)
"""


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_to_the_same_card(tmp_path: Path) -> None:
    from PIL import Image

    from igmu_data.load import bench_rows

    rows = sorted(bench_rows("sandbox.church", bench="sandbox").values(), key=lambda r: r.id)[:60]
    rng = np.random.default_rng(0)
    for model in ("original", "unlearned"):
        (tmp_path / model).mkdir()
        lines = []
        for row in rows:
            name = f"{row.id}.png"
            Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(tmp_path / model / name)
            lines.append(json.dumps({"file_name": name, "id": row.id, "seed": row.seeds[0]}))
        (tmp_path / model / "metadata.jsonl").write_text("\n".join(lines))

    def start(cache: str, out: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", SCORE, *(str(tmp_path / n) for n in ("original", "unlearned", out))]
        environment = os.environ | {"IGMU_CACHE": str(tmp_path / cache)}
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    whole = start("one", "whole.json")
    _, errors = whole.communicate(timeout=280)
    assert whole.returncode == 0, errors
    moments, kept = random.Random(1), []
    for _ in range(6):
        process = start("two", "resumed.json")
        assert process.stdout is not None
        process.stdout.readline()
        path, wanted = tmp_path / "two" / "features.sqlite", sum(kept[-1:]) + 1
        end = time.monotonic() + 60
        while time.monotonic() < end and process.poll() is None:  # until something new is kept, and a moment more
            if path.exists() and sum(h.n_rows for h in Store(path, 10**9).holdings()) >= wanted:
                break
            time.sleep(0.02)
        time.sleep(moments.uniform(0.0, 0.1))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kept.append(sum(h.n_rows for h in Store(path, 10**9).holdings()))
    assert kept == sorted(kept)
    last = start("two", "resumed.json")
    _, errors = last.communicate(timeout=280)
    assert last.returncode == 0, errors
    assert (tmp_path / "resumed.json").read_bytes() == (tmp_path / "whole.json").read_bytes()


def test_the_commands_say_what_is_there_and_drop_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from igmu_metrics.cli import cache as cli_cache

    monkeypatch.setenv("IGMU_CACHE", str(tmp_path))
    store = Store(tmp_path / "features.sqlite", 10**9)
    key = json.dumps(["clip:mine", "sha256:abc", "x", {}])
    store.put(key, [(sha("a"), np.arange(3.0)), (sha("b"), np.arange(3.0))])
    store.put(SEEN, [(sha("a"), np.zeros(0))])
    store.put(f"{json.dumps(['siglip:mine', 'sha256:abc', 'texts', {}])} cut", [(sha("a"), np.zeros(1))])
    store.close()
    cli_cache.info()
    said = capsys.readouterr().out
    assert "clip:mine" in said
    assert "siglip:mine" in said
    assert SEEN.split(" ")[0] in said
    cli_cache.prune(max_gb=0)
    assert "4 entries deleted, 0 kept" in capsys.readouterr().out.replace("\n", " ")
