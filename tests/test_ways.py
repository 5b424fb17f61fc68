"""Cards whose images were generated with different settings: refused wherever cards are compared, if it is recorded."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from golden.record import unpack
from test_compare import card
from test_looks import cards as looked_at
from typer.testing import CliRunner

from igmu_data.errors import IncomparableError
from igmu_data.schema import Row
from igmu_metrics.cli import app
from igmu_metrics.cli._common import tell_cards
from igmu_metrics.images.layouts import of_listed, settings_of
from igmu_metrics.images.notes import generated
from igmu_metrics.images.ways import caution, differing
from igmu_metrics.report import brief, page
from igmu_metrics.report.folders import sections
from igmu_metrics.report.leaderboard import alike
from igmu_metrics.report.terminal import forget_scores
from igmu_metrics.scorecard import Scorecard, write
from igmu_metrics.verdict import export, families, paper
from igmu_metrics.verdict.alike import same_in_all, unlike
from igmu_metrics.verdict.compare import require_comparable
from igmu_metrics.verdict.verify import read_all

SIXTEEN, FIFTY = (
    "steps 16, guidance_scale 3.0, width 64, height 64",
    "steps 50, guidance_scale 3.0, width 64, height 64",
)
DIFFER = r"different settings \(steps: '16' and '50'\)"
UNKNOWN = "The generation settings of uce are not recorded and may differ."
COMMANDS = ("compare", "power", "families", "paper", "export --latex")


def made(one: Scorecard, way: str | None) -> Scorecard:
    """A card whose signatures say how its images were generated; None if nothing is recorded."""
    scores = {}
    for name, entry in one.scores.items():
        signature = {k: v for k, v in entry.signature.items() if k != "generated"}
        scores[name] = entry.model_copy(update={"signature": signature | ({} if way is None else {"generated": way})})
    return one.model_copy(update={"scores": scores})


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Scorecard]:
    folder = tmp_path_factory.mktemp("ways")
    unpack(folder)
    return {one.model: one for one in read_all([folder / "cards"])}


def written(folder: Path, *some: Scorecard) -> list[str]:
    for one in some:
        write(one, folder / f"{one.model}.json")
    return [str(folder / f"{one.model}.json") for one in some]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_refuses_them_and_names_the_setting(
    cards: dict[str, Scorecard], tmp_path: Path, command: str
) -> None:
    paths = written(tmp_path, cards["esd"], made(cards["uce"], FIFTY))
    done = CliRunner().invoke(app, [*command.split(), *paths])
    assert isinstance(done.exception, IncomparableError)
    assert "(steps: '16' and '50'). Generate both with the same settings" in str(done.exception)


@pytest.mark.parametrize(
    "command", [COMMANDS[0], *(pytest.param(name, marks=pytest.mark.slow) for name in COMMANDS[1:])]
)
def test_every_command_says_what_is_not_recorded(cards: dict[str, Scorecard], tmp_path: Path, command: str) -> None:
    done = CliRunner().invoke(app, [*command.split(), *written(tmp_path, cards["esd"], made(cards["uce"], None))])
    assert done.exit_code == 0, done.exception
    assert UNKNOWN in " ".join(done.output.replace("\n% ", " ").split())


@pytest.mark.parametrize(
    "shown", [export.latex, families.lines, paper.table, lambda some: page.render(*sections(some)), require_comparable]
)
def test_every_function_refuses_them(
    cards: dict[str, Scorecard], shown: Callable[[Sequence[Scorecard]], object]
) -> None:
    with pytest.raises(IncomparableError, match=DIFFER):
        shown([cards["esd"], made(cards["uce"], FIFTY)])
    # The first one does not record its settings, and agrees with both.
    with pytest.raises(IncomparableError, match=DIFFER):
        shown([made(cards["filter"], None), cards["esd"], made(cards["uce"], FIFTY)])


def test_pages_and_summaries_say_it(cards: dict[str, Scorecard]) -> None:
    esd, fifty, unknown = cards["esd"], made(cards["uce"], FIFTY), made(cards["uce"], None)
    assert UNKNOWN in page.render(*sections([esd, unknown]))
    assert UNKNOWN in " ".join(note.text for note in brief.notes([esd, unknown]))
    assert UNKNOWN in str(forget_scores([esd, unknown]).caption)
    # igmu score judges each model by the original, which need not record its settings; its tables must not rank these.
    assert "Do not compare esd and uce, because their settings differ (steps:" in str(
        forget_scores([esd, fifty]).caption
    )
    assert unlike([esd, fifty])["forget_score"] == {"steps": ["16", "50"]}


def test_a_conflict_is_the_last_note_to_be_dropped(
    cards: dict[str, Scorecard], capsys: pytest.CaptureFixture[str]
) -> None:
    both = [cards["esd"], made(cards["uce"], FIFTY)]
    assert any(
        "Do not compare esd and uce" in line for line in brief.lines(both, room=len(brief.lines(both, room=0)) + 1)
    )
    tell_cards(both, [None, None], then=["igmu", "report"])
    assert "igmu report" not in capsys.readouterr().out, "which refuses them"
    tell_cards([cards["esd"], made(cards["uce"], None)], [None, None], then=["igmu", "report"])
    assert "igmu report" in capsys.readouterr().out


def test_a_leaderboard_shows_them_in_separate_tables(cards: dict[str, Scorecard]) -> None:
    esd, fifty, unknown = cards["esd"], made(cards["uce"], FIFTY), made(cards["filter"], None)
    assert [[c.model for c in group] for group in alike([unknown, esd, fifty])] == [["filter", "esd"], ["uce"]]


def test_compare_has_it_in_its_document(cards: dict[str, Scorecard], tmp_path: Path) -> None:
    paths = written(tmp_path, cards["esd"], made(cards["uce"], None))
    told = json.loads(CliRunner().invoke(app, ["compare", *paths, "--json"]).output)["result"]
    assert told["caution"] == UNKNOWN
    assert "generated" not in told["same"]


@pytest.mark.parametrize(
    ("mine", "theirs", "found"),
    [
        ("steps 16", "steps 16", {}),
        ("guidance_scale 7", "guidance_scale 7.0", {}),
        ("steps 16", "steps 50", {"steps": ("16", "50")}),
        ("steps 16", "steps 16, dtype fp16", {"dtype": ("fp32", "fp16")}),
        ("steps 16", "width 64", {}),
        ("", "dtype fp16", {}),
        ("steps 16", "steps 3 values", {"steps": ("16", "3 values")}),
        (
            "steps 2 values, width 9",
            "steps 3 values, width 8",
            {"steps": ("2 values", "3 values"), "width": ("9", "8")},
        ),
    ],
)
def test_what_both_record_is_compared_setting_by_setting(
    mine: str, theirs: str, found: dict[str, tuple[str, str]]
) -> None:
    one, other = card("a", [("p", False, True)], generated=mine), card("b", [("p", False, True)], generated=theirs)
    assert differing(one, other) == found
    more = card("b", [("p", False, True), ("q", False, True)], generated=theirs)
    of_rows = {name: both for name, both in found.items() if "values" not in " ".join(both)}
    assert differing(one, more) == of_rows, "other prompts may set it themselves"


def test_what_was_not_compared_is_said_once() -> None:
    few, many = [("p", False, True)], [("p", False, True), ("q", False, True)]
    both = [card("a", few, generated="steps 16, width 64"), card("b", many, generated="steps 2 values")]
    assert caution(both) == (
        "The setting width of b is not recorded and may differ. The setting steps differs between prompts and was not "
        "compared."
    )
    assert caution(both[:1]) == caution([both[0], both[0]]) == ""
    assert caution([card("a", few), card("b", few)]) == "The generation settings are not recorded and may differ."
    assert same_in_all({}) == ""


def test_looks_at_one_protocol_stay_comparable() -> None:
    first, second = (made(one, "steps 16") for one in looked_at("2/11", "3/11:decided"))
    require_comparable([first, second])
    require_comparable([made(first, "steps 16, guidance_scale 2 values"), made(second, "steps 16, guidance_scale 7")])
    for ranked in (True, False):
        with pytest.raises(IncomparableError, match=DIFFER):
            require_comparable([first, made(second, "steps 50")], ranked=ranked)


def test_the_signature_says_how_the_models_own_images_were_generated() -> None:
    """Two models of 16 and 50 steps, scored against an original that does not record its own, were signed alike."""
    row = Row.model_construct(id="a", split="forget", prompt="p", stripped_prompt="", attack_family=None)
    blank = dict.fromkeys(("probe", "concept", "own_concept", "own_name", "family"), "")

    def table(*records: dict[str, object]):  # type: ignore[no-untyped-def]
        rows = [row.model_copy(update={**blank, "id": f"r{i}", "attack_source_id": None}) for i in range(len(records))]
        lines = [
            (r, 1, Path("a.png"), {"file_name": f"{r.id}.png", **told}) for r, told in zip(rows, records, strict=True)
        ]
        return of_listed([(*line, "here") for line in lines])

    bare = table({})
    assert generated(table({"steps": 16}).paired(bare)[0]) == {"generated": "steps 16"}
    assert generated(bare.paired(table({"steps": 16}))[0]) == {}, "that the original is known says nothing of the model"
    several = table({"steps": 16, "guidance_scale": 3.0}, {"steps": 16, "guidance_scale": 7.5}, {"steps": 16})
    found = generated(several.paired(table({}, {}, {}))[0])["generated"]
    assert settings_of(found) == {"steps": "16", "guidance_scale": "2 values", "dtype": "fp32"}
