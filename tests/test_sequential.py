"""Images of a run that was checked several times: whoever scores them again gets intervals that know of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faked import Fake, asked, fake
from reported import CONFIG, draw
from test_engine import Mean
from typer.testing import CliRunner

from igmu_data.errors import InputError, MetadataError
from igmu_metrics import score
from igmu_metrics.cli import app
from igmu_metrics.contract import Score
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.images import generate, parts, sequential
from igmu_metrics.images.folder import Folder
from igmu_metrics.images.sequential import FILE, of_images, record, recorded
from igmu_metrics.running import run
from igmu_metrics.running.plan import Plan
from igmu_metrics.scale import originals, shards
from igmu_metrics.scorecard import Scorecard
from igmu_metrics.scorecard import read as read_card
from igmu_metrics.spaces.scoring import compute
from igmu_metrics.statistics.looks import Looks

LOOK = Looks(10, 11, "decided")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images of a run that was checked once, at the end."""
    root = tmp_path_factory.mktemp("once")
    draw(root)
    return root / "drawn"


@pytest.fixture(scope="module")
def checked(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same images, of a run that was checked ten times."""
    place = shutil.copytree(plain, tmp_path_factory.mktemp("often") / "drawn")
    record(place / "esd", LOOK)
    return place


def labels(drawn: Path) -> str:
    return f"labels:{drawn / 'labels.csv'}"


def igmu(*words: object) -> str:
    found = CliRunner().invoke(app, [str(word) for word in words])
    assert found.exit_code == 0, found.output
    return " ".join(found.stderr.split())


def by_evaluation(drawn: Path, out: Path, **given: Any) -> Scorecard:
    return next(Evaluation(CONFIG, detector=labels(drawn), **given).run(drawn / "original", [drawn / "esd"]))


def command(drawn: Path, *more: object) -> list[object]:
    models = ["--original", drawn / "original", "--unlearned", f"esd={drawn / 'esd'}"]
    return ["score", *models, "--config", CONFIG, "--detector", labels(drawn), *more]


def by_command(drawn: Path, out: Path, **given: str) -> Scorecard:
    told = igmu(*command(drawn, "--out", out / "card.json", *(w for k, v in given.items() for w in (f"--{k}", v))))
    if (drawn / "esd" / FILE).exists() and not given:
        assert "esd: This is look 10 of at most 11 with the stopping rule 'decided'. Intervals are" in told
        assert f"The number of looks was read from {FILE} in the folder of the images." in told
        assert told.endswith(f"If the images are ever without {FILE}, use 'igmu score --looks 10/11'.")
    else:
        assert "look" not in told
    return read_card(out / "card.json")


def by_shards(drawn: Path, out: Path, **given: str) -> Scorecard:
    more = [w for k, v in given.items() for w in (f"--{k}", v)]
    for i in (1, 2):
        igmu(*command(drawn, "--shard", f"{i}/2", "--out", out / "tables", *more))
    told = igmu("merge", out / "tables", "--out", out / "cards")
    assert ("read from" in told) is (any((drawn / m / FILE).exists() for m in ("esd", "original")) and not given)
    return read_card(next((out / "cards").glob("esd*.json")))


def by_two_detectors(drawn: Path, out: Path, **given: Any) -> Scorecard:
    second = shutil.copy(drawn / "labels.csv", drawn / "second.csv")
    both = [Evaluation(CONFIG, detector=d, **given) for d in (labels(drawn), f"labels:{second}")]
    return list(both[0].run(drawn / "original", [drawn / "esd"], also=both[1:]))[1]


def by_reference_table(drawn: Path, out: Path, **given: Any) -> Scorecard:
    evaluation = Evaluation(CONFIG, detector=labels(drawn))
    table = originals.record(evaluation, drawn / "original", out / "originals")
    return next(Evaluation(CONFIG, detector=labels(drawn), **given).run(table.parent, [drawn / "esd"]))


WAYS: dict[str, Callable[..., Scorecard]] = {
    "Evaluation": by_evaluation,
    "igmu score": by_command,
    "shards and igmu merge": by_shards,
    "several detectors": by_two_detectors,
    "reference table": by_reference_table,
}


@pytest.mark.parametrize("way", WAYS)
def test_cards_of_a_checked_run_have_its_intervals(way: str, plain: Path, checked: Path, tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).mkdir()
    once = WAYS[way](plain, tmp_path / "a")
    again = WAYS[way](checked, tmp_path / "b")
    given = WAYS[way](checked, tmp_path / "c", looks="10/11:decided")
    assert (Looks.of(once), Looks.of(again), Looks.of(given)) == (None, LOOK, LOOK)
    for name, entry in given.scores.items():
        assert again.scores[name] == entry
    forgotten = [card.figure("concept_accuracy", "unlearning_accuracy") for card in (once, again)]
    assert forgotten[0].interval[0] > forgotten[1].interval[0]  # type: ignore[union-attr, index, operator]
    assert [note.endswith(f"The number of looks was read from {FILE} in the folder of the images.") for note in
            (again.notes[-1], given.notes[-1])] == [True, False]  # fmt: skip
    assert "looks" not in (again.provenance.options if again.provenance else "looks")


def lists(drawn: Path) -> dict[str, Any]:
    lines = [json.loads(line) for line in (drawn / "esd" / "metadata.jsonl").read_text().splitlines()]
    files = {model: [str(drawn / model / line["file_name"]) for line in lines] for model in ("esd", "original")}
    return {"ids": [line["id"] for line in lines], **files}


def by_rows(drawn: Path, **given: str) -> Score:
    of = lists(drawn)
    how = {"row_ids": of["ids"], "original_images": of["original"], "config": CONFIG, "detector": labels(drawn)}
    return score("attack_success_rate", images=of["esd"], **how, **given)


def by_images(drawn: Path, **given: str) -> Score:
    of = lists(drawn)
    return score("clip_alignment", images=of["esd"][:12], prompts=list("abcdefghijkl"), backbone=Mean(), **given)


@pytest.mark.parametrize("way", [by_rows, by_images])
def test_scores_of_single_images_do_too(way: Callable[..., Score], plain: Path, checked: Path) -> None:
    once, again, given = way(plain), way(checked), way(plain, looks="10/11:decided")
    assert Looks.signed(once.signature.fields) is None
    assert Looks.signed(again.signature.fields) == Looks.signed(given.signature.fields) == LOOK
    assert again.interval == given.interval
    wider = [name for name, figure in once.figures.items() if figure.interval != again.figures[name].interval]
    assert wider
    assert FILE in again.notes[-1]
    assert FILE not in given.notes[-1]
    with pytest.raises(InputError, match="11 planned checks"):
        way(checked, looks="1/1")


def test_a_copy_without_its_record_has_that_of_the_original(plain: Path, tmp_path: Path) -> None:
    drawn = shutil.copytree(plain, tmp_path / "drawn")
    record(drawn / "original", LOOK)
    for n, found in enumerate((by_evaluation(drawn, tmp_path), by_shards(drawn, tmp_path / "shards"))):
        assert Looks.of(found) == LOOK, n
        assert found.notes[-1].endswith(f"read from {FILE} in the folder of the original's images.")
    assert Looks.signed(by_rows(drawn).signature.fields) == LOOK
    with pytest.raises(InputError, match=r"11 planned checks .* the original's images"):
        by_evaluation(drawn, tmp_path, looks="1/1")
    record(drawn / "esd", Looks(4, 5))
    for way in (by_evaluation, by_rows):
        with pytest.raises(InputError, match=r"contains check 4/5, but .* original's images contains check 10/11:dec"):
            way(drawn, *([tmp_path] if way is by_evaluation else []))
    assert Looks.of(by_evaluation(drawn, tmp_path, looks="10/11:decided")) == LOOK
    (drawn / "esd" / FILE).unlink()
    record(drawn / "esd", Looks(3, 11, "decided"))  # settled before the others
    assert Looks.of(by_evaluation(drawn, tmp_path)) == Looks(3, 11, "decided")


def test_spaces_do_too(plain: Path, checked: Path) -> None:
    def computed(drawn: Path) -> dict[str, Any]:
        of = lists(drawn)
        how = {"original_predictions": of["original"], "config": CONFIG, "detector": labels(drawn)}
        return compute("attack_success_rate", of["esd"], of["ids"], **how)

    assert "looks" not in computed(plain)["signature"]
    found = computed(checked)
    assert "looks.taken:10/11:decided" in found["signature"]
    assert FILE in found["notes"]


@pytest.mark.parametrize("looks", ["1/1", "5/10"])
def test_fewer_looks_than_there_were_are_refused_with_the_option_to_give(looks: str, checked: Path) -> None:
    found = CliRunner().invoke(app, [str(word) for word in command(checked, "--looks", looks)])
    assert isinstance(found.exception, InputError)
    assert "or set it to 10/11:decided" in str(found.exception)
    more = CliRunner().invoke(app, [str(word) for word in command(checked, "--looks", "3/20")])
    assert more.exit_code == 0


def test_verify_makes_the_card_again_from_the_folder_and_misses_a_lost_record(checked: Path, tmp_path: Path) -> None:
    drawn = shutil.copytree(checked, tmp_path / "drawn")
    igmu(*command(drawn, "--out", tmp_path / "card.json"))
    words = ["verify", tmp_path / "card.json", "--images", drawn / "esd", "--original-images", drawn / "original"]
    words += ["--detector", labels(drawn)]
    igmu(*words)
    (drawn / "esd" / FILE).unlink()
    found = CliRunner().invoke(app, [str(word) for word in words])
    told = " ".join(found.output.split())
    assert "looks.taken: the signature contains '10/11:decided', but None was found. Restore igmu-looks.json" in told
    assert "use 'igmu score --looks 10/11'." in told


def test_a_run_records_every_look_before_it_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unlearned = {"esd": "a", "uce": "b"}
    plan = Plan(original="o", unlearned=unlearned, configs=("sandbox.church",), until="decided")
    folders = {name: tmp_path / name for name in plan.models}
    for folder in folders.values():
        folder.mkdir()
    told: list[list[str]] = []
    job = SimpleNamespace(config="sandbox.church", rows=(), requests=(), pipelines={}, folders=folders, recorded=None)

    def looked(*_: Any, score: Callable[..., Any], **__: Any) -> tuple[list[Any], int, list[Any]]:
        for model, look in (("esd", Looks(1, 11, "decided")), ("esd", Looks(4, 11, "decided")), ("uce", LOOK)):
            score(model, frozenset(), look)
        return [], 0, []

    def scored(*_: Any) -> Any:
        told.append([str(recorded(folder)) for folder in folders.values()])
        return iter([None])

    monkeypatch.setattr(run, "looked", looked)
    monkeypatch.setattr(run, "_scored", scored)
    monkeypatch.setattr(run, "_first_looks", lambda _: [0])
    run._looked(plan, tmp_path, [job], None, run.Where())  # type: ignore[list-item]
    one, four, ten = "1/11:decided", "4/11:decided", "10/11:decided"
    assert told == [[one, one, "None"], [four, four, "None"], [ten, four, ten]]
    # A resumed run repeats its looks, but the images are those of the last one.
    run._looked(plan, tmp_path, [job], None, run.Where())  # type: ignore[list-item]
    assert told[3] == [ten, four, ten]


def test_merged_images_keep_what_is_recorded_of_them(tmp_path: Path) -> None:
    for name, seeds in (("a", (1, 2)), ("b", (3,))):
        generate.draw(asked(*seeds), fake(Fake()), tmp_path / name)
    record(tmp_path / "a", Looks(2, 11))
    igmu("merge", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "whole")
    assert recorded(tmp_path / "whole") == Looks(2, 11)
    assert parts.join(tmp_path / "whole") == len(Folder.open(tmp_path / "whole", {}, {}).files) == 3


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"taken": 3}', '{"taken": "12/11"}', '{"taken": "one"}'])
def test_a_damaged_record_is_named(text: str, plain: Path, tmp_path: Path) -> None:
    drawn = shutil.copytree(plain, tmp_path / "drawn")
    (drawn / "esd" / FILE).write_text(text)
    with pytest.raises(MetadataError, match=f"{FILE}.*Restore the file.*or delete it and use igmu score --looks"):
        by_evaluation(drawn, tmp_path)


def test_the_longest_plan_counts_and_images_in_memory_say_nothing(tmp_path: Path) -> None:
    found: Sequence[tuple[str, Looks]] = (("a", Looks(5, 5)), ("b/c", Looks(2, 11)), ("b", Looks(1, 3)))
    for name, look in found:
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
        record(tmp_path / name, look)
    assert of_images([tmp_path / "a" / "1.png", str(tmp_path / "b" / "c" / "d" / "2.png"), object()]) == Looks(2, 11)
    assert of_images([object()]) is None
    assert sequential.taken(None, None, None) is None


def test_tables_of_shards_carry_it(checked: Path, tmp_path: Path) -> None:
    evaluation = Evaluation(CONFIG, detector=labels(checked))
    shards.look(evaluation, checked / "original", [checked / "esd"], (1, 1), tmp_path)
    (card,) = shards.merge(tmp_path)
    assert Looks.of(card) == LOOK
