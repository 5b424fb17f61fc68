"""`igmu demo`, from an empty folder to the page, on a package of tiny models."""

from __future__ import annotations

import errno
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from timeless import TIMES, timeless
from tiny_sandbox import installed, tiny_bench, tiny_package
from typer.testing import CliRunner

from builders.sandbox.corpus import task_rows
from igmu_data.errors import OutputError, UnknownTaskError, WeightsError
from igmu_data.sandbox.packaged import VERSIONS
from igmu_data.schema import ASIDE, Row
from igmu_metrics.cli import app
from igmu_metrics.images import folder as drawn
from igmu_metrics.images import published
from igmu_metrics.report import page
from igmu_metrics.sandbox import demo
from igmu_metrics.scorecard import Figure, read

WORLD = task_rows()


@pytest.fixture(scope="module", autouse=True)
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("package")
    tiny_package(root)
    tiny_bench(root, WORLD["object/church"])
    with installed(root):
        yield root


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, package: Path) -> tuple[Path, str]:
    """The folder of a demo that nothing came in the way of, and what it printed."""
    out = tmp_path_factory.mktemp("demo") / "out"
    result = CliRunner().invoke(app, ["demo", "--out", str(out), "--verbose"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return out, result.stdout


def everything(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): timeless(p) for p in folder.rglob("*") if p.is_file() and p.name != TIMES}


def test_it_ends_with_tables_scorecards_and_a_page(done: tuple[Path, str]) -> None:
    out, printed = done
    assert "sandbox.church: forget score, 95% intervals" in printed
    assert "sandbox.church: unlearning accuracy, 95% intervals" in printed
    assert f"report: {out / 'report.html'}" in printed
    short = CliRunner().invoke(app, ["demo", "--out", str(out)], catch_exceptions=False).stdout.splitlines()
    assert len(short) <= 15, "\n".join(short)
    assert f"report: {out / 'report.html'}" in short
    assert short[-1].split()[:2] == ["igmu", "run"]
    assert {p.stem for p in (out / "church" / "cards").iterdir()} == set(VERSIONS)
    html = (out / "report.html").read_text(encoding="utf-8")
    lines = re.findall(r"<li data-split=.*?</li>", html, re.DOTALL)
    assert len(lines) == len(list((out / "church" / "drawn" / "gold").glob("*.png")))
    assert all(line.count("data-image=") == len(VERSIONS) for line in lines)
    assert {tuple(sorted(re.findall(r"<figcaption><b>(.*?)</b>", line))) for line in lines} == {tuple(sorted(VERSIONS))}
    kinds = {re.findall(r'<span class="tag">(.*?)</span>', line)[0] for line in lines}
    assert kinds >= {"forget", "adversarial: synonym", "adversarial: misspelling", "retain: near", "retain: far"}
    assert not re.search(r"(src|href)=.?http", html)  # self-contained


def test_the_original_is_ranked_among_the_others(done: tuple[Path, str]) -> None:
    table = done[1].partition("forget score, 95% intervals")[2].partition("Coverage")[0]
    ranked = re.findall(r"^│ (\w+)", table, re.MULTILINE)
    assert set(ranked) == set(VERSIONS)
    assert len(set(Counter(ranked).values())) == 1  # once in every part of a table that is too wide


def test_the_cards_know_the_errors_of_the_detector(done: tuple[Path, str]) -> None:
    card = read(done[0] / "church" / "cards" / "esd.json")
    signature = card.scores["concept_accuracy"].signature
    found = {k.removeprefix("detector."): v for k, v in signature.items() if k.startswith("detector.")}
    assert signature["detector"] == "sandbox"
    assert (found["sensitivity"], found["specificity"], found["n_positives"]) == (0.9, 0.7, 50)
    assert card.figure("concept_accuracy", "corrected_unlearning_accuracy") is not None
    assert signature["model"] == "esd"
    assert card.scores["clip_alignment/retain"].signature["clip"] == "clip:sandbox"


def test_every_image_says_what_drew_it(done: tuple[Path, str]) -> None:
    drawings = {}
    for version in VERSIONS:
        text = (done[0] / "church" / "drawn" / version / "metadata.jsonl").read_text(encoding="utf-8")
        lines = [json.loads(line) for line in text.splitlines()]
        named = "" if version in ("original", "collapsed") else "/church"
        assert {line["model"] for line in lines} == {f"sandbox:{version}{named}"}
        drawings[version] = {(line["id"], line["seed"]) for line in lines}
    assert len(set(map(frozenset, drawings.values()))) == 1
    assert max(Counter(row for row, _ in drawings["gold"]).values()) == demo.SEEDS


def test_a_second_run_draws_nothing_and_finds_the_same(done: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    out, _ = done
    before = everything(out)

    def load(*arguments: Any) -> Any:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(published, "put_onto", load)
    demo.run(out, ["church"])
    assert everything(out) == before


@pytest.mark.slow
def test_interrupted_and_started_again(done: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, _ = done
    calls: list[set[tuple[str, int]]] = []
    real, fatal = published.put_onto, 5

    def load(*arguments: Any) -> Any:
        pipe = real(*arguments)

        def call(**given: Any) -> Any:
            calls.append({(p, g.initial_seed()) for p, g in zip(given["prompt"], given["generator"], strict=True)})
            if len(calls) == fatal:
                raise KeyboardInterrupt
            return pipe(**given)

        call.scheduler = pipe.scheduler  # type: ignore[attr-defined]  # recorded with every image
        return call

    monkeypatch.setattr(published, "put_onto", load)
    with pytest.raises(KeyboardInterrupt):
        demo.run(tmp_path, ["church"])
    drawn_before = len(list((tmp_path / "church" / "drawn").rglob("*.png")))
    assert drawn_before == sum(map(len, calls[:-1])) > 0
    demo.run(tmp_path, ["church"])
    n = len(list((out / "church" / "drawn").rglob("*.png")))
    assert sum(map(len, calls)) - len(calls[fatal - 1]) == n  # one call was cut off, nothing was drawn twice
    assert everything(tmp_path) == everything(out)


@pytest.mark.slow
def test_more_images_in_the_folder_change_no_number(done: tuple[Path, str], tmp_path: Path) -> None:
    """What a run with more seeds drew is kept, and not scored by one with fewer."""
    alone, both = tmp_path / "alone", tmp_path / "both"
    demo.run(alone, ["church"], seeds_per_row=1)
    shutil.copytree(done[0], both)
    n = len(list(both.rglob("*.png")))
    demo.run(both, ["church"], seeds_per_row=1)
    assert len(list(both.rglob("*.png"))) == n == 2 * len(list(alone.rglob("*.png")))
    for name in VERSIONS:
        card = Path("church", "cards", f"{name}.json")
        assert timeless(alone / card) == timeless(both / card)


def test_two_tasks_are_two_sections_of_one_page(done: tuple[Path, str], package: Path) -> None:
    out, _ = done
    cards = [read(out / "church" / "cards" / f"{name}.json") for name in ("gold", "esd")]
    folders = {name: out / "church" / "drawn" / name for name in ("original", "gold", "esd")}
    first = page.Section(cards, folders, "metadata", str(package / "bench"))
    html = page.render(first, replace(first, cards=cards[::-1]))
    assert html.count("<html") == 1
    assert [h.partition(" <a")[0] for h in re.findall(r"<h1>(.*?)</h1>", html)] == [
        "Has it forgotten <i>church</i>?"
    ] * 2
    assert re.findall(r'href="#(concept-.*?)"', html) == re.findall(r'id="(concept-.*?)"', html)
    # The ranking does not depend on the order in which cards are given.
    ranked = [
        re.findall(r"<td class=rank role=cell>\d</td><th scope=row role=rowheader>(\w+)", part)
        for part in html.split("<article")[1:]
    ]
    assert ranked[0] == ranked[1]
    assert set(ranked[0]) == {"gold", "esd"}


def test_an_image_that_one_model_lacks_leaves_its_cell_empty(done: tuple[Path, str], package: Path) -> None:
    out, _ = done
    gold, esd = (read(out / "church" / "cards" / f"{name}.json") for name in ("gold", "esd"))
    lacking = gold.model_copy(update={"generations": gold.generations.where([0])})
    folders = {name: out / "church" / "drawn" / name for name in ("original", "gold", "esd")}
    html = page.render(page.Section([esd, lacking], folders, "metadata", str(package / "bench")))
    lines = re.findall(r"<li data-split=.*?</li>", html, re.DOTALL)
    assert {line.count("<figure") for line in lines} == {3}
    assert sum(line.count("not generated") for line in lines) == len(lines) - 1


def test_a_score_that_is_missing_says_why(done: tuple[Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    from igmu_metrics.report import terminal as tables

    card = read(done[0] / "church" / "cards" / "gold.json")
    entry = card.scores["forget_score"]
    none = Figure(value=None, interval=None, n_prompts=0, n_generations=0, reason="missing: quality")
    lacking = entry.model_copy(update={"figures": {**entry.figures, "forget_score": none}})
    tables.show(tables.forget_scores([card.model_copy(update={"scores": {**card.scores, "forget_score": lacking}})]))
    printed = capsys.readouterr().out
    assert "gold: missing: quality" in " ".join(printed.split())
    assert re.search(r"│ gold\s+│ –\s+│", printed)


# --- what is drawn ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["object/church", "style/van-gogh"])
def test_a_choice_asks_every_kind_of_question(name: str) -> None:
    rows = WORLD[name]
    chosen = demo.choose(rows)
    ids = {r.id for r in chosen}
    scored = [r for r in chosen if r.probe not in ASIDE]
    for split, kind in (("adversarial", "attack_family"), ("retain", "probe")):
        n = Counter(getattr(r, kind) for r in scored if r.split == split)
        there = Counter(getattr(r, kind) for r in rows if r.split == split and r.probe not in ASIDE)
        assert n.keys() == there.keys()
        assert max(n.values()) - min(n[k] for k in n if there[k] > 1) <= 1  # of one family there is a single row
    assert {r.attack_source_id for r in chosen if r.split == "adversarial"} <= ids
    assert Counter(r.split for r in scored) == {"forget": 16, "adversarial": 16, "retain": 24}
    assert Counter(r.probe for r in chosen if r.probe in ASIDE) == dict.fromkeys(ASIDE, 2)
    near = Counter(r.own_concept for r in chosen if r.probe == "near")
    assert max(near.values()) - min(near.values()) <= 1
    assert demo.choose(rows[::-1]) == chosen[::-1]  # no matter how they are stored


def test_all_is_all(tmp_path: Path) -> None:
    rows = WORLD["object/church"]

    def n(**options: Any) -> int:
        return len(demo.plan(tmp_path, "church", rows, **options).requests)

    assert n(full=True) == 5 * len(rows)
    assert n(full=True, seeds_per_row=1) == len(rows)
    assert (n(), n(seeds_per_row=3)) == (124, 186)


def test_rows_come_through_load_dataset(package: Path) -> None:
    rows = demo.load_rows("church")
    assert {r.split for r in rows} == {"forget", "retain", "adversarial"}
    assert all(isinstance(r, Row) and r.concept == "object/church" for r in rows)


def test_which_tasks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[tuple[str, ...], bool]] = []
    monkeypatch.setattr(demo, "run", lambda _, tasks, full, seeds_per_row: asked.append((tuple(tasks), full)) or {})
    for arguments in ([], ["--full"], ["--task", "both"], ["--full", "--task", "van-gogh"]):
        CliRunner().invoke(app, ["demo", *arguments], catch_exceptions=False)
    assert asked == [
        (("church",), False),
        (("church", "van-gogh"), True),
        (("church", "van-gogh"), False),
        (("van-gogh",), True),
    ]
    with pytest.raises(UnknownTaskError, match="did you mean 'church'"):
        CliRunner().invoke(app, ["demo", "--task", "chruch"], catch_exceptions=False)


# --- what can go wrong --------------------------------------------------------------------------------------------


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="--out"):
        demo.run(tmp_path / "file" / "out", ["church"])


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(drawn.os, "fsync", full)
    with pytest.raises(OutputError, match="No space left on device"):
        demo.run(tmp_path, ["church"])


def test_a_package_without_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IGMU_SANDBOX", str(tmp_path / "nothing"))
    with pytest.raises(WeightsError, match=r"python -m builders\.sandbox"):
        demo.run(tmp_path / "out", ["church"])
    assert not (tmp_path / "out").exists()
