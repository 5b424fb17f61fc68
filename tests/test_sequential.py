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
        assert told.endswith(f"Keep {FILE} with the images.")
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
    with pytest.raises(InputError, match="those of check 10/11:decided"):
        way(checked, looks="1/1")


def test_a_copy_without_its_record_has_that_of_the_original(plain: Path, tmp_path: Path) -> None:
    drawn = shutil.copytree(plain, tmp_path / "drawn")
    record(drawn / "original", LOOK)
    for n, found in enumerate((by_evaluation(drawn, tmp_path), by_shards(drawn, tmp_path / "shards"))):
        assert Looks.of(found) == LOOK, n
        assert found.notes[-1].endswith(f"read from {FILE} in the folder of the original's images.")
    assert Looks.signed(by_rows(drawn).signature.fields) == LOOK
    with pytest.raises(InputError, match=r"'1/1', but the images are those of check 10/11:decided .* the original's"):
        by_evaluation(drawn, tmp_path, looks="1/1")
    # The original continued as long as any model did, so the model's check may be an earlier one.
    assert Looks.of(by_evaluation(drawn, tmp_path, looks="3/11")) == Looks(3, 11)
    with pytest.raises(InputError, match=r"looks is '11/11', but"):
        by_evaluation(drawn, tmp_path, looks="11/11")
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


@pytest.mark.parametrize("looks", ["1/1", "5/10", "1/11", "11/11", "3/20", "10/11:graded"])
def test_a_check_that_contradicts_the_record_is_refused_with_the_option_to_give(looks: str, checked: Path) -> None:
    found = CliRunner().invoke(app, [str(word) for word in command(checked, "--looks", looks)])
    assert isinstance(found.exception, InputError)
    assert f"looks is {looks!r}, but the images are those of check 10/11:decided" in str(found.exception)
    assert "or set it to 10/11:decided" in str(found.exception)
    same = CliRunner().invoke(app, [str(word) for word in command(checked, "--looks", "10/11")])
    assert same.exit_code == 0


def test_images_of_an_earlier_check_may_be_chosen(checked: Path) -> None:
    """A resumed run repeats its checks, while the record is that of its last one."""
    keys = frozenset(listed(checked, "esd"))
    evaluation = Evaluation(CONFIG, detector=labels(checked), looks="1/11:decided", only=keys)
    assert Looks.of(next(evaluation.run(checked / "original", [checked / "esd"]))) == Looks(1, 11, "decided")


def test_verify_makes_the_card_again_from_the_folder_and_misses_a_lost_record(checked: Path, tmp_path: Path) -> None:
    drawn = shutil.copytree(checked, tmp_path / "drawn")
    igmu(*command(drawn, "--out", tmp_path / "card.json"))
    words = ["verify", tmp_path / "card.json", "--images", drawn / "esd", "--original-images", drawn / "original"]
    words += ["--detector", labels(drawn)]
    igmu(*words)
    (drawn / "esd" / FILE).unlink()
    found = CliRunner().invoke(app, [str(word) for word in words])
    told = " ".join(found.output.split())
    assert f"looks: {drawn / 'esd' / FILE} is missing, although the scorecard was made with it" in told
    assert "Restore the file, " in told
    assert "or repeat the command of the run in its folder, which writes the file again." in told
    assert "1 problem." in str(found.exception), "one cause is one problem"


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("10/11", "11/11", "the scorecard was made at check 10/11, but the images are those of check 11/11"),
        ("10/11", "10/12", "the scorecard was made at check 10/11, but the images are those of check 10/12"),
        (None, "10/11", "made as if there had been a single check, but the images are those of check 10/11"),
    ],
)
def test_a_record_that_the_card_contradicts_is_one_problem(
    before: str | None, after: str, says: str, plain: Path, tmp_path: Path
) -> None:
    drawn = shutil.copytree(plain, tmp_path / "drawn")
    if before is not None:
        (drawn / "esd" / FILE).write_text(json.dumps({"taken": before}))
    igmu(*command(drawn, "--out", tmp_path / "card.json"))
    (drawn / "esd" / FILE).write_text(json.dumps({"taken": after}))
    found = verified(drawn, tmp_path / "card.json")
    assert says in " ".join(found.output.split())
    assert "68 of the 68 lines have the images that were scored; scoring these images again gave the same values" in (
        " ".join(found.output.split())
    )
    assert "1 problem." in str(found.exception)


def test_a_run_records_every_look_before_it_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unlearned = {"esd": "a", "uce": "b"}
    plan = Plan(original="o", unlearned=unlearned, configs=("sandbox.church",), until="decided")
    folders = {name: tmp_path / name for name in plan.models}
    for folder in folders.values():
        folder.mkdir()
    told: list[list[str]] = []
    keys = {1: frozenset({("a", 1)}), 4: frozenset({("a", 1), ("a", 2)}), 10: frozenset({("b", 1)})}
    job = SimpleNamespace(config="sandbox.church", rows=(), requests=(), pipelines={}, folders=folders, recorded=None)

    def looked(*_: Any, score: Callable[..., Any], **__: Any) -> tuple[list[Any], int, list[Any]]:
        for model, look in (("esd", Looks(1, 11, "decided")), ("esd", Looks(4, 11, "decided")), ("uce", LOOK)):
            score(model, keys[look.look], look)
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
    assert [sequential.asked(folder) for folder in folders.values()] == [None, keys[4], keys[10]]


def test_a_check_keeps_the_rule_under_which_it_was_done(tmp_path: Path) -> None:
    """A run is continued with a laxer rule, which stops at an earlier check than the first one did."""
    record(tmp_path, Looks(3, 11, "strict"), [("a", 1)])
    record(tmp_path, Looks(1, 11, "lax"))
    assert recorded(tmp_path) == Looks(3, 11, "strict"), "there was no third check with the other rule"
    # The card of the continued run is made from the images of its own check.
    assert sequential.taken("1/11:lax", recorded(tmp_path), None, part=True) == Looks(1, 11, "lax")
    for given, part in (("1/11:lax", False), ("3/11:lax", True), ("1/5:lax", True), ("4/11:strict", True)):
        with pytest.raises(InputError, match="the images are those of check 3/11:strict"):
            sequential.taken(given, recorded(tmp_path), None, part=part)
    record(tmp_path, Looks(3, 11, "lax"))
    assert recorded(tmp_path) == Looks(3, 11, "lax")


def test_merged_images_keep_what_is_recorded_of_them(tmp_path: Path) -> None:
    wanted = {name: asked(*seeds) for name, seeds in (("a", (1, 2)), ("b", (3,)))}
    for name, some in wanted.items():
        generate.draw(some, fake(Fake()), tmp_path / name)
        record(tmp_path / name, Looks(2, 11), [r.key for r in some])
    igmu("merge", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "whole")
    assert recorded(tmp_path / "whole") == Looks(2, 11)
    assert sequential.asked(tmp_path / "whole") == {r.key for some in wanted.values() for r in some}
    assert parts.join(tmp_path / "whole") == len(Folder.open(tmp_path / "whole", {}, {}).files) == 3


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"taken": 3}', '{"taken": "12/11"}', '{"taken": "one"}', '{"taken": "1/2", "asked": []}',
     '{"taken": "1/2", "asked": {"a": 3}}', '{"taken": "1/2", "asked": {"a": [true]}}'],
)  # fmt: skip
def test_a_damaged_record_is_named(text: str, plain: Path, tmp_path: Path) -> None:
    drawn = shutil.copytree(plain, tmp_path / "drawn")
    (drawn / "esd" / FILE).write_text(text)
    with pytest.raises(
        MetadataError, match=f"{FILE}.*Restore the file from the folder of the run.*rename it and repeat"
    ):
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


UNASKED = 6


@pytest.fixture
def early(plain: Path, tmp_path: Path) -> Path:
    """Images of a run that stopped earlier for ESD than for others: the original has images never asked of ESD."""
    drawn = shutil.copytree(plain, tmp_path / "early")
    lose(drawn, "esd", slice(-UNASKED, None))
    record(drawn / "esd", LOOK, listed(drawn, "esd"))
    record(drawn / "original", LOOK)
    return drawn


def lines_of(drawn: Path, model: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (drawn / model / "metadata.jsonl").read_text().splitlines()]


def listed(drawn: Path, model: str) -> list[tuple[str, int]]:
    return [(line["id"], line["seed"]) for line in lines_of(drawn, model)]


def lose(drawn: Path, model: str, which: slice, reason: str = "") -> None:
    """A model no longer has some images; with a reason, because generating them failed."""
    lines = lines_of(drawn, model)
    lost = lines[which]
    for line in lost:
        (drawn / model / line["file_name"]).unlink()
        lines.remove(line)
    (drawn / model / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if reason:
        failed = "".join(json.dumps(line | {"reason": reason}) + "\n" for line in lost)
        (drawn / model / "failed.jsonl").write_text(failed)


def verified(drawn: Path, card: Path) -> Any:
    words = ["verify", card, "--images", drawn / "esd", "--original-images", drawn / "original"]
    return CliRunner().invoke(app, [str(word) for word in (*words, "--detector", labels(drawn))])


@pytest.mark.parametrize(
    ("way", "given"),
    [
        (by_evaluation, {}),
        (by_evaluation, {"on_error": "skip"}),
        (by_shards, {}),
        (by_two_detectors, {"on_error": "skip"}),
        (by_reference_table, {}),
    ],
)
def test_images_that_were_never_asked_for_are_not_missing(
    way: Callable[..., Scorecard], given: dict[str, str], early: Path, tmp_path: Path
) -> None:
    card = way(early, tmp_path, **given)
    assert sorted(card.generations.keys) == sorted(listed(early, "esd"))
    assert card.failures == ()
    n = len(listed(early, "original"))
    assert f"left out: {UNASKED} of the original's {n} images, never asked of this model" in card.notes


def test_the_card_of_such_images_verifies_and_says_so(early: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, [str(w) for w in command(early, "--out", tmp_path / "card.json")])
    assert done.exit_code == 0, done.exception
    assert f"left out: {UNASKED} of the original's" in done.stdout
    assert verified(early, tmp_path / "card.json").exit_code == 0
    lose(early, "original", slice(-1, None))  # what the original has for others does not matter
    assert verified(early, tmp_path / "card.json").exit_code == 0


@pytest.mark.parametrize("both", [False, True])
def test_images_that_were_asked_for_and_are_missing_fail(both: bool, early: Path, tmp_path: Path) -> None:
    """Whether or not the original has lost them too: somebody may have chosen."""
    igmu(*command(early, "--out", tmp_path / "card.json"))
    row, seed = sorted(listed(early, "esd")[:2])[0]
    for model in ("esd", *(["original"] if both else [])):
        lose(early, model, slice(0, 2))
    with pytest.raises(MetadataError, match=f"no image for row '{row}', seed {seed}, .*missing in total: 2"):
        by_evaluation(early, tmp_path)
    card = by_evaluation(early, tmp_path, on_error="skip")
    assert len(card.failures) == 2
    assert f"row {row!r}, seed {seed}: no image of the unlearned model" in card.failures
    assert all(entry.n_failed == 2 for entry in card.scores.values())
    assert "are missing" in verified(early, tmp_path / "card.json").output


def test_images_that_failed_for_both_models_are_no_pair(early: Path, tmp_path: Path) -> None:
    for model in ("esd", "original"):
        lose(early, model, slice(0, 2), "black")
    assert by_evaluation(early, tmp_path).failures == ()
    lose(early, "original", slice(2, 4), "black")  # only one model's
    with pytest.raises(MetadataError, match=r"the original model has no image .*missing in total: 2"):
        by_evaluation(early, tmp_path)


@pytest.mark.parametrize(
    ("way", "given", "lost"),
    [
        (by_evaluation, {}, ("esd",)),
        (by_evaluation, {"looks": "10/11"}, ("esd",)),
        (by_evaluation, {"looks": "10/11"}, ("esd", "original")),
        (by_reference_table, {"looks": "10/11"}, ("esd",)),
    ],
)
def test_a_lost_record_is_named_as_what_is_missing(
    way: Callable[..., Scorecard], given: dict[str, str], lost: tuple[str, ...], early: Path, tmp_path: Path
) -> None:
    """Also with `--looks`, which says how often the images were checked but not which ones were asked for."""
    for model in lost:
        (early / model / FILE).unlink()
    says = f"{early / 'esd'} contains no {FILE} that .* does not replace its list. .* repeat the command of the"
    with pytest.raises(MetadataError, match=says):
        way(early, tmp_path, **given)
    assert len(way(early, tmp_path, **given, on_error="skip").failures) == UNASKED


def test_a_record_that_is_older_than_the_images_excuses_nothing(early: Path, plain: Path, tmp_path: Path) -> None:
    """Generating images for the next check was interrupted, so some that were asked for are missing."""
    line = lines_of(plain, "esd")[-1]
    shutil.copy(plain / "esd" / line["file_name"], early / "esd")
    with (early / "esd" / "metadata.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    says = f"lacks {UNASKED - 1} of the original's .*does not list all images of the folder. Repeat the command of the"
    with pytest.raises(MetadataError, match=says):
        by_evaluation(early, tmp_path)
    assert len(by_evaluation(early, tmp_path, on_error="skip").failures) == UNASKED - 1
    (early / "esd" / FILE).write_text(json.dumps({"taken": str(LOOK)}))  # as earlier versions wrote it
    with pytest.raises(MetadataError, match=says):
        by_evaluation(early, tmp_path)
