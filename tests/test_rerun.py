"""What was seen before needs no network, and what a network is decides what was seen before."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from drawn import draw, image_file
from safetensors.torch import save_file
from test_store import Counting
from tiny import sample_images, tiny_clip, tiny_dinov2, tiny_inception, tiny_trunk
from tiny_onnx import tiny_onnx
from tiny_sandbox import tiny_detector
from tiny_vlm import llava, siglip
from typer.testing import CliRunner

from igmu_data.errors import IgmuError, WeightsError
from igmu_data.load import bench_rows
from igmu_metrics import registry
from igmu_metrics.backbones import clip, dinov2, inception, lpips
from igmu_metrics.cli import app
from igmu_metrics.detectors import clip as clip_detector
from igmu_metrics.detectors import face, hf_classifier, igmu_head, imagenet, nudenet, sandbox
from igmu_metrics.detectors._head_file import HeadFacts, head_bytes, shapes
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.networks import lazy
from igmu_metrics.networks.instruments import Batch, ErrorRates, InstrumentInfo, feature_key
from igmu_metrics.networks.lazy import Known, Lazy
from igmu_metrics.networks.loading import PRECISIONS
from igmu_metrics.networks.store import FILE, Store
from igmu_metrics.scorecard import Scorecard, read, write
from igmu_metrics.verdict.verify_images import verify_images

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("torch", "torchvision", "transformers", "diffusers", "safetensors", "huggingface_hub")
OLD = 1_600_000_000  # a time long ago


def aged(folder: Path) -> Path:
    """The folder, its files as if they had not been changed for long; only so is a hash believed."""
    for path in folder.rglob("*"):
        os.utime(path, (OLD, OLD))
    return folder


@pytest.fixture(autouse=True)
def _times_settle_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lazy, "_SETTLED", -(10**12))


# --- a whole evaluation -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, world_folder: Path) -> Path:
    """A package of the miniature world, and beside it images of two models."""
    root = tmp_path_factory.mktemp("rerun") / "package"
    tiny_clip(root / "models" / "clip")
    tiny_detector(root / "models" / "detector")
    (root / "bench").symlink_to(world_folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IGMU_SANDBOX", str(root))
        rows = sorted(bench_rows("sandbox.church", bench="sandbox").values(), key=lambda row: row.id)
    draw(root.parent / "drawn", rows[::5])
    return root


@pytest.fixture
def package(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it in the place of igmu's own, with a cache of its own."""
    root = shutil.copytree(made, tmp_path / "package", symlinks=True)
    monkeypatch.setenv("IGMU_SANDBOX", str(root))
    monkeypatch.setenv("IGMU_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    return root


@pytest.fixture
def drawn(made: Path) -> Path:
    """Images of the models `original` and `forgetful`; not to be changed."""
    return made.parent / "drawn"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each module loaded its network."""
    times: Counter[str] = Counter()

    def counted(module: ModuleType) -> None:
        load = module.load

        def loading(*given: Any, **named: Any) -> Any:
            times[module.__name__.rpartition("metrics.")[2]] += 1
            return load(*given, **named)

        monkeypatch.setattr(module, "load", loading)

    for module in (clip, inception, lpips, sandbox, hf_classifier):
        counted(module)
    return times


def scored(drawn: Path, **settings: Any) -> Scorecard:
    given = {"config": "sandbox.church", "bench": "sandbox", "detector": "sandbox", "clip": "sandbox"}
    (card,) = Evaluation(**(given | settings)).run(drawn / "original", [drawn / "forgetful"])
    return card


def content(card: Scorecard) -> str:
    """Equal for equal cards, to the last digit."""
    return card.sealed().content_sha256


def test_the_sandbox_is_judged_by_its_own_networks(package: Path, drawn: Path, tmp_path: Path) -> None:
    """If none are given, in Python and by every command that scores; a card records only what was given."""
    spelled, usual = scored(drawn), scored(drawn, detector=None, clip=None)
    assert usual.scores == spelled.scores
    images = ["--images", str(drawn / "forgetful"), "--original-images", str(drawn / "original")]
    how = ["--config", "sandbox.church", "--bench", "sandbox", "--no-cache"]
    folders = ["--original", str(drawn / "original"), "--unlearned", str(drawn / "forgetful")]
    done = CliRunner().invoke(app, ["score", *folders, *how, "--out", str(tmp_path / "card.json")])
    assert done.exit_code == 0, done.exception
    card = read(tmp_path / "card.json")
    assert card.scores == usual.scores
    assert card.provenance is not None
    assert set(card.provenance.options) == {"bench", "config"}
    for more in ([], ["--detector", "sandbox"]):
        checked = CliRunner().invoke(app, ["verify", str(tmp_path / "card.json"), *images, *more])
        assert checked.exit_code == 0, (checked.stdout, checked.exception)
    recorded = CliRunner().invoke(app, ["original", str(drawn / "original"), *how, "--out", str(tmp_path / "table")])
    assert recorded.exit_code == 0, recorded.exception
    folders[1] = str(tmp_path / "table")
    done = CliRunner().invoke(app, ["score", *folders, *how, "--out", str(tmp_path / "other.json")])
    assert done.exit_code == 0, done.exception
    assert read(tmp_path / "other.json").scores.keys() == usual.scores.keys()


SCORE = """
import sys
from igmu_metrics.cli import app
app(sys.argv[1:], standalone_mode=False)
print("loaded", [name for name in {heavy!r} if name in sys.modules])
"""


def command(drawn: Path, out: Path) -> list[str]:
    script = SCORE.format(heavy=HEAVY)
    folders = ("--original", str(drawn / "original"), "--unlearned", str(drawn / "forgetful"), "--out", str(out))
    how = ("--config", "sandbox.church", "--bench", "sandbox", "--detector", "sandbox", "--clip", "sandbox")
    return [sys.executable, "-c", script, "score", *folders, *how]


def test_a_rerun_gives_the_same_card_without_torch(package: Path, drawn: Path, tmp_path: Path) -> None:
    write(scored(drawn), tmp_path / "first.json")
    said = subprocess.run(command(drawn, tmp_path / "again.json"), cwd=ROOT, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    assert said.stdout.splitlines()[-1] == "loaded []"
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "first.json").read_bytes()


def test_a_rerun_opens_nothing(package: Path, drawn: Path, opened: Counter[str]) -> None:
    first = scored(drawn)
    assert opened == {"backbones.clip": 1, "detectors.sandbox": 1, "detectors.hf_classifier": 1}
    opened.clear()
    assert content(scored(drawn)) == content(first)
    assert content(scored(drawn, batch_size=3, on_error="raise")) == content(first)
    assert not opened
    assert content(scored(drawn, cache=False)) == content(first)
    assert opened["backbones.clip"] == opened["detectors.sandbox"] == 1


def test_another_precision_or_threshold_is_another_opening(package: Path, drawn: Path, opened: Counter[str]) -> None:
    first = scored(drawn)
    scored(drawn, precision="bf16")
    assert opened["backbones.clip"] == 2
    assert scored(drawn, threshold=0.3).scores != first.scores
    assert (opened["backbones.clip"], opened["detectors.sandbox"]) == (2, 3)


def test_a_new_image_among_known_ones(package: Path, drawn: Path, tmp_path: Path, opened: Counter[str]) -> None:
    keys = sorted(scored(drawn).generations.keys)
    scored(drawn, only=frozenset(keys[1:]))
    first = scored(drawn)
    os.environ["IGMU_CACHE"] = str(tmp_path / "other")
    try:
        scored(drawn, only=frozenset(keys[1:]))
        opened.clear()
        assert content(scored(drawn)) == content(first)
        # The detector's own opening is that of its classifier.
        assert opened == {"backbones.clip": 1, "detectors.sandbox": 1, "detectors.hf_classifier": 1}
        opened.clear()
        assert content(scored(drawn)) == content(first)
        assert not opened
    finally:
        os.environ["IGMU_CACHE"] = str(tmp_path / "cache")


def signed(card: Scorecard) -> dict[str, Any]:
    return dict(card.scores["forget_score"].signature)


def test_touched_weights_are_read_again_and_values_stay(
    package: Path, drawn: Path, opened: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read_again: list[str] = []

    def reading(path: Path) -> str:
        read_again.append("/".join(path.parts[-2:]))
        return hashed(path)

    hashed = lazy.sha256
    first = scored(drawn)
    monkeypatch.setattr(lazy, "sha256", reading)
    assert content(scored(drawn)) == content(first)
    assert read_again == []
    os.utime(package / "models" / "clip" / "model.safetensors")
    opened.clear()
    assert content(scored(drawn)) == content(first)
    assert read_again == ["clip/model.safetensors"]
    assert not opened
    assert content(scored(drawn)) == content(first)
    assert read_again == ["clip/model.safetensors"]


def flipped(path: Path) -> None:
    """One bit of a weight turned; size and time of change as they were."""
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[-2] ^= 8
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def set_in(name: str, **values: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return change


def other_activation(folder: Path) -> None:
    path = folder / "config.json"
    given = json.loads(path.read_text())
    given["vision_config"]["hidden_act"] = given["text_config"]["hidden_act"] = "relu"
    path.write_text(json.dumps(given))


def lengthened(folder: Path) -> None:
    with (folder / "preprocessor_config.json").open("a") as handle:
        handle.write("\n")


CHANGES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "clip weights": ("clip", lambda folder: flipped(folder / "model.safetensors")),
    "clip hidden_act": ("clip", other_activation),
    "clip preprocessing": ("clip", set_in("preprocessor_config.json", image_mean=[0.1, 0.2, 0.3])),
    "clip tokenizer": ("clip", set_in("tokenizer_config.json", model_max_length=76)),
    "clip file size": ("clip", lengthened),
    "clip new file": ("clip", lambda folder: (folder / "added_tokens.json").write_text("{}") and None),
    "detector weights": ("detector", lambda folder: flipped(folder / "model.safetensors")),
    "detector preprocessing": ("detector", set_in("preprocessor_config.json", image_mean=[0.1, 0.2, 0.3])),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_network_is_another(
    package: Path, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: Counter[str], change: str
) -> None:
    folder, changed = CHANGES[change]
    first = scored(drawn)
    before = {p: p.stat().st_mtime_ns for p in (package / "models" / folder).iterdir()}
    changed(package / "models" / folder)
    for path, time in before.items():  # as `cp -p` or `rsync -t` would leave them
        os.utime(path, ns=(time, time))
    opened.clear()
    again = scored(drawn)
    role = {"clip": "clip", "detector": "detector"}[folder]
    assert opened["backbones.clip" if role == "clip" else "detectors.sandbox"] == 1
    assert signed(again)[f"{role}.revision"] != signed(first)[f"{role}.revision"]
    if folder == "detector":
        assert signed(again)["clip.revision"] == signed(first)["clip.revision"]
        assert not opened["backbones.clip"]
    monkeypatch.setenv("IGMU_CACHE", str(tmp_path / "fresh"))
    assert content(scored(drawn)) == content(again)  # nothing of the old network is in it


def test_changed_error_rates_of_the_detector(package: Path, drawn: Path, opened: Counter[str]) -> None:
    first = scored(drawn)
    card = json.loads((package / "models" / "detector" / "card.json").read_text())
    (package / "models" / "detector" / "card.json").write_text(json.dumps(card | {"threshold": 0.25}))
    opened.clear()
    again = scored(drawn)
    assert (signed(first)["detector.threshold"], signed(again)["detector.threshold"]) == (0.5, 0.25)
    assert signed(first)["detector.revision"] == signed(again)["detector.revision"]  # the network is the same
    assert opened == {"detectors.sandbox": 1, "detectors.hf_classifier": 1}


def _poison(path: Path, *, values: bool) -> None:
    """Write other descriptions of networks, and other values or none, with checksums that are right."""
    store = Store(path, 10**9)
    with sqlite3.connect(path) as db:
        shas = [sha.hex() for (sha,) in db.execute("SELECT DISTINCT sha FROM features").fetchall()]
        notes = [key for (key,) in db.execute("SELECT key FROM notes WHERE key LIKE 'instrument:%'").fetchall()]
        if not values:
            db.execute("DELETE FROM features")
    db.close()
    for held in store.holdings():
        rows = [(sha, store.get(sha, [held.key])) for sha in shas]
        store.put(held.key, [(sha, 0 * row[held.key]) for sha, row in rows if row])
    for key in notes:
        store.keep_note(key, str(store.note(key)).replace("sha256:", "sha512:"))
    store.close()


def test_without_a_cache_nothing_is_believed(package: Path, drawn: Path, tmp_path: Path, opened: Counter[str]) -> None:
    first = scored(drawn)
    write(first, tmp_path / "card.json")
    _poison(tmp_path / "cache" / FILE, values=True)
    opened.clear()
    assert content(scored(drawn, cache=False)) == content(first)
    card = read(tmp_path / "card.json")
    assert list(verify_images(card, drawn / "forgetful", drawn / "original")) == []
    assert list(verify_images(card, drawn / "forgetful", drawn / "original", cache=True)) == []
    assert opened["backbones.clip"] == opened["detectors.sandbox"] == 3


def test_a_network_that_is_not_what_was_noted(package: Path, drawn: Path, tmp_path: Path) -> None:
    first = scored(drawn)
    _poison(tmp_path / "cache" / FILE, values=False)
    with pytest.raises(WeightsError, match=r"instead of sha512:.*igmu cache prune --max-gb 0"):
        scored(drawn)
    for _ in range(2):  # one network after the other is forgotten
        try:
            again = scored(drawn)
        except WeightsError:
            again = scored(drawn)
    assert content(again) == content(first)


@pytest.mark.slow
def test_two_processes_at_once(package: Path, drawn: Path, tmp_path: Path) -> None:
    outs = [tmp_path / f"{i}.json" for i in range(2)]
    for _ in range(2):  # both with an empty cache, then both with a full one
        started = [subprocess.Popen(command(drawn, out), cwd=ROOT, stdout=subprocess.PIPE, text=True) for out in outs]
        said = [process.communicate(timeout=280)[0] for process in started]
        assert [process.returncode for process in started] == [0, 0], said
        assert outs[0].read_bytes() == outs[1].read_bytes()
    assert [one.splitlines()[-1] for one in said] == ["loaded []", "loaded []"]


@pytest.mark.slow
def test_distances_of_pairs_and_inception(package: Path, tmp_path: Path, opened: Counter[str]) -> None:
    trunk, weights = tiny_trunk(tmp_path / "alex.safetensors"), tiny_inception(tmp_path / "inception.safetensors")
    for model, seed in (("original", 0), ("forgetful", 1)):
        for i, image in enumerate(sample_images(4, 64, seed=seed)):
            (tmp_path / "flat" / model).mkdir(parents=True, exist_ok=True)
            image.save(tmp_path / "flat" / model / f"{i}.png")
    how = {"layout": "flat", "prompt": "a church", "lpips": f"alex?trunk={trunk}", "features": f"inception:{weights}"}
    first = scored(tmp_path / "flat", **how)
    assert opened["backbones.inception"] == opened["backbones.lpips"] == 1
    opened.clear()
    assert content(scored(tmp_path / "flat", **how)) == content(first)
    assert not opened
    image_file(tmp_path / "flat" / "original" / "9.png", (200, 0, 0), (64, 64))
    image_file(tmp_path / "flat" / "forgetful" / "9.png", (0, 0, 200), (64, 64))
    longer = scored(tmp_path / "flat", **how)
    assert opened["backbones.inception"] == opened["backbones.lpips"] == opened["detectors.sandbox"] == 1
    assert len(longer.generations) == 5
    assert content(longer) == content(scored(tmp_path / "flat", **how, cache=False))


# --- one instrument ---------------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / FILE, 10**9)


def small_head(path: Path, clip_folder: Path) -> Path:
    rng = torch.Generator().manual_seed(0)
    weights = {name: torch.randn(shape, generator=rng) / 8 for name, shape in shapes(16).items()}
    info = clip.load(str(clip_folder)).info
    facts = HeadFacts("object/church", 1, str(clip_folder), info.revision, 0.4, ErrorRates(0.9, 0.8, 10, 20))
    path.write_bytes(head_bytes(weights, facts))
    return path


def small_resnet(path: Path) -> Path:
    from torchvision.models import resnet50

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        save_file(resnet50().state_dict(), path)
    return path


def small_references(folder: Path) -> Path:
    """References of a face detector, of images that contain nobody."""
    (folder / "photographs").mkdir()
    for i, image in enumerate(sample_images(5, 40)):
        image.save(folder / "photographs" / f"{i}.png")
    out = folder / "person.safetensors"
    network = f"onnx:{tiny_onnx(folder / 'n.onnx')}"
    face.make(folder / "photographs", out, concept="identity/mark-twain", spec=network)
    return out


MAKE: dict[str, Callable[[Path], str]] = {
    "detectors clip": lambda at: f"clip:{tiny_clip(at / 'c')}",
    "detectors igmu-head": lambda at: f"igmu-head:{small_head(at / 'h.safetensors', tiny_clip(at / 'c'))}",
    "detectors imagenet": lambda at: f"imagenet:{small_resnet(at / 'r.safetensors')}",
    "detectors hf-classifier": lambda at: f"hf-classifier:{tiny_detector(at / 'd')}",
    "detectors nudenet": lambda at: "nudenet",
    "detectors vlm": lambda at: f"vlm:{llava(at / 'v')}",
    "detectors siglip": lambda at: f"siglip:{siglip(at / 's')}",
    "detectors face": lambda at: f"face:{small_references(at)}",
    "backbones clip": lambda at: f"clip:{tiny_clip(at / 'c')}",
    "backbones siglip": lambda at: f"siglip:{siglip(at / 's')}",
    "backbones pickscore": lambda at: f"pickscore:{tiny_clip(at / 'c')}",
    "backbones onnx": lambda at: f"onnx:{tiny_onnx(at / 'n.onnx')}",
    "backbones dinov2": lambda at: f"dinov2:{tiny_dinov2(at / 'd')}",
    "backbones inception": lambda at: f"inception:tf?weights={tiny_inception(at / 'i.safetensors')}",
    "backbones lpips": lambda at: f"lpips:alex?trunk={tiny_trunk(at / 'a.safetensors')}&size=64",
}
"""Group and name of everything that is not packaged, with how it is made."""


def named(kind: str, spec: str, store: Store | None, **options: Any) -> Any:
    find = registry.detector if kind.startswith("detectors") else registry.backbone
    return find(spec, store=store, **options)


def numbers(one: Any, images: Sequence[Any]) -> list[bytes]:
    """All that it says of some images."""
    if hasattr(one, "probabilities"):
        asked = ["object/church", "nsfw/nudity"]
        return [one.probabilities(Batch([Path("x")] * len(images), images), asked).filled(-1.0).tobytes()]
    said = []
    if hasattr(one, "extract"):
        said.append(one.image_features(images).tobytes())
    if hasattr(one, "compare"):
        said.append(one.image_distance(images, images[::-1]).tobytes())
    return said


@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.slow
def test_every_instrument_is_known_before_it_is_opened(kind: str, tmp_path: Path, store: Store) -> None:
    if kind.endswith("nudenet"):
        pytest.importorskip("nudenet")
    if kind.endswith(("onnx", "face")):
        pytest.importorskip("onnxruntime")
    spec = MAKE[kind](tmp_path)
    first, again = (named(kind, spec, store, device="cpu") for _ in range(2))
    assert not isinstance(first, Lazy)
    assert isinstance(again, Lazy)
    assert again.info == first.info
    assert Known.of(again) == Known.of(first)
    assert again._one is None
    for one, other in zip(again.reads or (), getattr(first, "reads", ()) or (), strict=True):
        assert feature_key(one) == feature_key(other)
    images = sample_images(3, 64)
    assert numbers(again, images) == numbers(first, images) != []
    assert again._one is not None
    assert named(kind, spec, None, device="cpu").info == first.info


def test_all_of_ours_say_what_they_read() -> None:
    ours = {f"{g} {n}" for g in ("detectors", "backbones") for n in registry.names(g)}
    cheap, packaged = {"detectors labels"}, {"detectors sandbox"}
    assert ours == set(MAKE) | cheap | packaged
    for name in ours - cheap:
        assert callable(getattr(registry.module(*name.split()), "files", None)), name


@pytest.mark.parametrize("name", ["clip", "dinov2", "hf-classifier", "vlm", "siglip"])
def test_what_is_read_of_a_folder_is_listed(name: str, tmp_path: Path) -> None:
    kind = next(kind for kind in MAKE if kind.endswith(name))
    group, spec = kind.split()[0], MAKE[kind](tmp_path)
    folder = Path(spec.partition(":")[2])
    module = registry.module(group, name)
    read_here: set[Path] = set()

    def watch(event: str, given: tuple[Any, ...]) -> None:
        if (
            event == "open"
            and watching
            and isinstance(given[0], str | os.PathLike)
            and folder in Path(given[0]).parents
        ):
            read_here.add(Path(given[0]))

    watching = True
    sys.addaudithook(watch)
    module.load(str(folder))
    watching = False
    assert folder / "config.json" in read_here
    assert read_here <= set(module.files(str(folder)))


def test_files_that_changed_while_they_were_read_are_not_noted(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny_clip(tmp_path / "c")
    before = (folder / "config.json").read_bytes()
    load = clip.load

    def late(*given: Any, **named: Any) -> Any:
        other_activation(folder)  # after it was hashed, before it is read
        return load(*given, **named)

    monkeypatch.setattr(clip, "load", late)
    other = registry.backbone(f"clip:{folder}", store=store)
    monkeypatch.setattr(clip, "load", load)
    (folder / "config.json").write_bytes(before)
    found = registry.backbone(f"clip:{folder}", store=store)
    assert found.info == load(str(folder)).info != other.info


def test_a_fresh_files_hash_is_not_believed(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # as it is for users
    path = tmp_path / "weights"
    path.write_bytes(b"1")
    assert lazy._content(path, store) != ""
    assert store.note(f"file:{path}") is None


class Here(ModuleType):
    """A module of somebody else's package."""

    __file__ = __file__

    def load(self, argument: str | None, **options: Any) -> Counting:
        return Counting()


def test_a_module_that_says_nothing_of_its_files_is_opened_every_time(tmp_path: Path, store: Store) -> None:
    module = Here("theirs.counting")
    assert [type(lazy.instrument(module, None, {}, store)) for _ in range(2)] == [Counting, Counting]
    weights = image_file(tmp_path / "weights.png")
    module.files = lambda argument, **options: [weights]  # type: ignore[attr-defined]
    assert [type(lazy.instrument(module, None, {}, store)) for _ in range(2)] == [Counting, Lazy]
    assert [type(lazy.instrument(module, None, {"images": [1]}, store)) for _ in range(2)] == [Counting, Counting]
    known = lazy.instrument(module, None, {}, store)
    assert not hasattr(known, "compare")
    assert not hasattr(known, "logit_scale")
    assert known._one is None
    assert known.text_features(["ab"]).tolist() == [[2.0, 0.5]]
    assert known.texts == 1  # the instrument's own attribute
    weights.unlink()
    assert type(lazy.instrument(module, None, {}, store)) is Counting


def test_what_the_hub_moves_is_opened_every_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    commit = "c237dc49a33fc61debc9276459120b7eac67e7ef"
    assert clip.files() is None  # not there yet
    folder = tiny_clip(tmp_path / "models--openai--clip-vit-base-patch32" / "snapshots" / commit)
    assert clip.files() == clip.files(f"{clip.DEFAULT}@{commit}") == clip.files(str(folder))
    assert folder / "model.safetensors" in (clip.files() or [])
    assert clip.files(f"{clip.DEFAULT}@main") is None
    assert clip.files("someone/else") is None
    assert dinov2.files() is None


def test_what_cannot_be_listed_is_an_error_of_loading(tmp_path: Path, store: Store) -> None:
    for spec in ("clip:./nowhere", "inception:./gone.safetensors", "lpips:alex?trunk=gone.safetensors"):
        with pytest.raises(IgmuError):
            registry.backbone(spec, store=store)
    (tmp_path / "no.safetensors").write_bytes(b"not one")
    for spec in (
        "igmu-head:gone.safetensors",
        f"igmu-head:{tmp_path / 'no.safetensors'}",
        "hf-classifier",
        "sandbox:x",
    ):
        with pytest.raises(IgmuError):
            registry.detector(spec, store=store)
    assert igmu_head.files(None) is None
    assert clip_detector.files(backbone=Counting()) is None
    assert len(imagenet.files()) == len(imagenet.files("IMAGENET1K_V1")) == 1
    assert all(path.suffix == ".onnx" for path in nudenet.files())


def test_a_description_comes_back_as_it_was() -> None:
    settings: dict[str, str | int | float | bool] = {"z": 1, "a": 1.0, "t": True, "s": "ä"}
    rates = {"b/c": ErrorRates(0.1 + 0.2, 1.0, 3, 4), "a/b": ErrorRates(1, 0, 1, 1)}
    info = InstrumentInfo("n", "r", "p", 1 / 3, concepts=frozenset("ba"), settings=settings, error_rates=rates)
    inner = Known(InstrumentInfo("i", "r", "p"), frozenset({"extract"}), {"batch": 4, "preparation": "x"})
    known = Known(info, frozenset({"probabilities"}), {}, (inner,))
    back = Known.parsed(known.text())
    assert back == known
    assert [*back.info.settings.items()] == [*settings.items()]
    assert repr(asdict(back.info)["settings"]) == repr(settings)  # 1 is not 1.0
    assert [*back.info.error_rates] == [*rates]
    assert known.same(Known(info, known.methods, {}, (Known(inner.info, inner.methods, inner.values | {"batch": 64}),)))
    assert not known.same(Known(info, known.methods, {}, (Known(inner.info, inner.methods, {"preparation": "y"}),)))
    for odd in (Path(), (1, 2), float("nan")):  # what JSON does not give back
        settings = {"x": odd}  # type: ignore[dict-item]
        assert lazy._noted(Known(InstrumentInfo("n", "r", "p", settings=settings), frozenset(), {})) is None


def test_precisions_are_told_apart(tmp_path: Path, store: Store) -> None:
    spec = f"clip:{tiny_clip(tmp_path / 'c')}"
    infos = {p: registry.backbone(spec, store=store, precision=p).info for p in PRECISIONS}
    again = {p: registry.backbone(spec, store=store, precision=p) for p in PRECISIONS}
    assert {p: one.info for p, one in again.items()} == infos
    assert all(isinstance(one, Lazy) for one in again.values())
