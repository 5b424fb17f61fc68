"""One planted defect for each kind, at every entry: edited cards, cards that cost, and names that break out."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from forged import Change, put
from harness import command
from hostile_cards import READERS, renamed
from reported import CONFIG, scored

from igmu_data.errors import ChecksumError, IgmuError, InputError, MetadataError, VerificationError
from igmu_data.load import bench_rows
from igmu_data.media import latex, visible
from igmu_metrics import generations
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.scale import shards
from igmu_metrics.scorecard import fingerprint, write
from igmu_metrics.spaces import leaderboard

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("reported")
    scored(place)
    return place


@pytest.fixture
def esd(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a good card, in an empty folder that is the current one."""
    (tmp_path / "cards").mkdir()
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copy(root / "cards" / "esd.json", tmp_path / "cards"))


def edited(card: Path, change: Change, *, reseal: bool = True) -> None:
    """Change a card in place."""
    data = json.loads(card.read_text(encoding="utf-8"))
    change(data)
    if reseal:
        data["content_sha256"] = fingerprint(json.dumps(data))
    card.write_text(json.dumps(data), encoding="utf-8")


def better(data: dict[str, Any]) -> None:
    """A figure that nobody measured."""
    figure = data["scores"]["concept_accuracy"]["figures"]["conditional_unlearning_accuracy"]
    figure |= {"value": 0.123, "interval": [0.81, 1.0]}


# --- A: cards are checked wherever they are read ----------------------------------------------------------------------


@pytest.mark.parametrize("reseal", [False, True])
@pytest.mark.parametrize("reader", range(len(READERS)))
def test_no_command_shows_a_figure_of_an_edited_card(root: Path, esd: Path, reader: int, reseal: bool) -> None:
    edited(esd, better, reseal=reseal)
    with pytest.raises(VerificationError) as refused:
        READERS[reader](esd, root / "cards" / "fmn.json")
    if reader:  # verify lists the problems before
        assert "concept_accuracy.figures.conditional_unlearning_accuracy: the scorecard reports 0.123" in str(
            refused.value
        )
    assert sorted(p.name for p in Path().iterdir()) == ["cards"], "nothing was written"


def test_the_leaderboard_and_its_space_name_the_edited_card_and_rank_the_other(root: Path, esd: Path) -> None:
    edited(esd, better)
    shutil.copy(root / "cards" / "fmn.json", esd.parent)
    cards, shown = leaderboard.ranked(esd.parent)
    assert [c.model for c in cards] == ["fmn"]
    assert "<iframe" in shown
    with pytest.raises(
        VerificationError, match=r"1 scorecard of 2 was refused and is not ranked\. Score again, or remove the file\."
    ):
        command("leaderboard", esd.parent)
    page = Path("leaderboard.html").read_text(encoding="utf-8")
    assert "the scorecard reports 0.123" in page
    assert "fmn" in page


def test_no_command_reads_cards_past_the_check() -> None:
    for path in sorted((ROOT / "igmu_metrics" / "cli").glob("*.py")):
        assert not re.search(r"scorecard import [^\n]*\bread\b|scorecard\.read\(", path.read_text(encoding="utf-8")), (
            path
        )


def test_a_report_shows_no_other_models_images_under_a_verdict(root: Path, esd: Path) -> None:
    shutil.copytree(root / "drawn" / "original", "drawn/original")
    shutil.copytree(root / "drawn" / "esd", "drawn/esd")
    command("report", esd, "--images", "drawn")
    Path("report.html").unlink()
    for image in Path("drawn/esd").glob("*.png"):
        shutil.copy(root / "drawn" / "fmn" / image.name, image)
    with pytest.raises(ChecksumError, match="not the image that the scorecard describes"):
        command("report", esd, "--images", "drawn")
    assert not Path("report.html").exists()


# --- B: cards that cost -----------------------------------------------------------------------------------------------


def test_a_card_of_attacks_alone_is_read_everywhere(root: Path, esd: Path) -> None:
    rows = bench_rows(CONFIG).values()
    evaluation = Evaluation(
        CONFIG,
        detector=f"labels:{root / 'drawn' / 'labels.csv'}",
        only=frozenset((r.id, s) for r in rows for s in r.seeds if r.split == "adversarial"),
    )
    drawn = root / "drawn"
    mine, other = evaluation.run(drawn / "original", [drawn / "esd", drawn / "fmn"])
    assert "concept_accuracy" not in mine.scores
    for card in (mine, other):
        write(card, esd.parent / f"{card.model}.json")
    for reader in READERS[:-1]:  # the miniature world has no results on the Hub
        reader(esd, esd.parent / "fmn.json")
    command("report", esd, esd.parent / "fmn.json", "--images", drawn)
    command("leaderboard", esd.parent)
    assert "hf upload" in leaderboard.checked(str(esd), [])
    assert "<iframe" in leaderboard.ranked(esd.parent)[1]


def _signed(name: str, value: Any) -> Change:
    def change(data: dict[str, Any]) -> None:
        for entry in data["scores"].values():
            entry["signature"][name] = value

    return change


def _without(name: str) -> Change:
    def change(data: dict[str, Any]) -> None:
        for entry in data["scores"].values():
            entry["signature"].pop(name, None)

    return change


COSTLY: Sequence[tuple[Change, str]] = (
    (_signed("bootstrap", "3000000@0"), "cannot be repeated"),
    (_signed("bootstrap", "300000@0"), "cannot be repeated"),
    (_signed("bootstrap", "abc@x"), "cannot be repeated"),
    (_signed("bootstrap", "2000@" + "9" * 300), "cannot be repeated"),
    (_without("bootstrap"), "missing, although every signature must contain it"),
    (_without("v"), "missing, although every signature must contain it"),
    (put("generations", 0, "seed", to=10**300), "too large"),
    (put("scores", "concept_accuracy", "n_prompts", to=1e300), "concept_accuracy.n_prompts"),
    (put("scores", "concept_accuracy", "n_prompts", to=10**18), "concept_accuracy.n_prompts"),
    (put("scores", "concept_accuracy", "figures", to={}), "missing, although the generations determine it"),
    (put("scores", to={}), "the scorecard contains no scores"),
    (put("model", to="a\x1b[2Jb"), "is not a valid name"),
    (put("model", to="x" * 10_000), "is not a valid name"),
)


# A card of each kind by default: strings, numbers too large, missing entries, names.
@pytest.mark.parametrize(
    ("change", "says"),
    [c if at % 4 == 0 else pytest.param(*c, marks=pytest.mark.slow) for at, c in enumerate(COSTLY)],
)
def test_a_card_that_costs_is_refused_in_no_time(root: Path, esd: Path, change: Change, says: str) -> None:
    edited(esd, change) if says != "too large" else edited(esd, change, reseal=False)
    shutil.copy(root / "cards" / "fmn.json", esd.parent)
    began = time.monotonic()
    shown = leaderboard.checked(str(esd), [])
    assert shown.startswith("Refused")
    assert says in shown
    assert [c.model for c in leaderboard.ranked(esd.parent)[0]] == ["fmn"]
    for reader in READERS:
        with pytest.raises(IgmuError):
            reader(esd, root / "cards" / "fmn.json")
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"a": 1e999}', "too large"),
        ('{"a":' * 100_000, "too deeply"),
        ('{"a":' * 300 + "1" + "}" * 300, "too deeply"),
        ("[" * 40 + "]" * 40, "too deeply"),
        ('{"model": "a", "model": "b"}', "appears twice"),
        ("[" + "[],\n" * 1_100_000 + "[]]", "more than 2,000,000 values"),
        ("[" + " " * 50_000_000 + "]", "more than 50,000,000 bytes"),
        ("\udcff", "utf-8"),
    ],
    ids=("infinite", "deep", "deep enough to be read", "lists", "twice", "values", "bytes", "no text"),
)
def test_json_of_strangers_has_limits(root: Path, esd: Path, text: str, says: str) -> None:
    esd.write_text(text, encoding="utf-8", errors="surrogateescape")
    shutil.copy(root / "cards" / "fmn.json", esd.parent)
    for reader in READERS:
        with pytest.raises(MetadataError, match=says):
            reader(esd, root / "cards" / "fmn.json")
    assert says in leaderboard.checked(str(esd), [])
    assert [c.model for c in leaderboard.ranked(esd.parent)[0]] == ["fmn"]


def test_a_device_is_no_card() -> None:
    with pytest.raises(MetadataError, match="not a file"):
        command("verify", "/dev/zero")


def test_too_many_lines_are_refused(esd: Path) -> None:
    def long(data: dict[str, Any]) -> None:
        data["generations"] = [{"id": "a", "seed": seed, "split": "forget"} for seed in range(50_001)]

    edited(esd, long)
    with pytest.raises(VerificationError):
        command("verify", esd)
    assert "at most 50,000" in leaderboard.checked(str(esd), [])


# --- C: names that break out ------------------------------------------------------------------------------------------


def named(root: Path, place: Path, name: str) -> Path:
    """A card of a model of this name that agrees with itself."""
    data = json.loads((root / "cards" / "esd.json").read_text(encoding="utf-8"))
    path = place / "named.json"
    path.write_bytes(renamed(data, "model", name))
    return path


@pytest.mark.parametrize("name", ["esd[lr=1e-5]", "[/]", "[bold]x[/bold]", ":smile:"])
def test_markup_is_shown_letter_by_letter(root: Path, esd: Path, name: str) -> None:
    card = named(root, esd.parent, name)
    good = root / "cards" / "fmn.json"
    for shown in (command("compare", card, good), command("families", card, good), command("power", card, good)):
        assert name in shown
    edited(card, better)
    with pytest.raises(VerificationError, match="concept_accuracy"):
        command("compare", card)


@pytest.mark.parametrize("name", ["a\x1b[2Jb", "a\nb", "\u202eb", "\x9b2J", "a\rb"])
def test_nothing_unseen_reaches_the_terminal(root: Path, tmp_path: Path, name: str) -> None:
    table = tmp_path / "published.csv"
    with table.open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows([["model", "n", "successes"], [name, 50, 10], ["other", 50, 40]])
    shown = command("compare", "--published", table)
    assert not set(shown) & {"\x1b", "\u202e", "\x9b", "\r"}
    told = visible(name.replace("\r", "\n"))  # a line end, to whoever reads tables
    assert f"{told} against other" in shown
    folder = tmp_path / name
    shutil.copytree(root / "drawn" / "esd", folder)
    done = subprocess.run(
        [sys.executable, "-c", "from igmu_metrics.cli import main; main()", "score", "--original",
         str(root / "drawn" / "original"), "--unlearned", str(folder), "--config", CONFIG],
        capture_output=True, text=True, env={"PYTHONPATH": str(ROOT), "PATH": ""}, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.strip().startswith("InputError: ")
    assert "which is invisible" in done.stderr
    assert visible(name) in done.stderr


def test_a_merged_card_stays_in_its_folder(root: Path, esd: Path) -> None:
    labels = root / "drawn" / "labels.csv"
    drawn = root / "drawn"
    shards.look(Evaluation(CONFIG, detector=f"labels:{labels}"), drawn / "original", [drawn / "esd"], (1, 1), Path("t"))
    table, facts = generations.read(Path("t/esd-00001-of-00001.parquet"))
    for name in ("../../x", "/tmp/x", "..", "a/b", "a\\b", ".x"):
        generations.write(table, Path("t/esd-00001-of-00001.parquet"), facts | {"model": name})
        with pytest.raises(InputError, match="cannot be used as a file name"):
            command("merge", "t", "--out", "out")
        assert not list(Path("out").rglob("*"))


def test_a_spreadsheet_is_given_no_formula(root: Path, esd: Path) -> None:
    for name in ("=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(1)", " =1"):
        table = command("export", "--csv", named(root, esd.parent, name))
        assert {line[0] for line in list(csv.reader(io.StringIO(table)))[1:]} == {f"'{name}"}


def test_latex_is_given_plain_text(root: Path, esd: Path) -> None:
    name = r"a_b & 50% \input{x} $y$ #~^<>|[3]"
    (line,) = [x for x in command("export", "--latex", named(root, esd.parent, name)).splitlines() if "a\\_b" in x]
    assert line.startswith(latex(name))
    assert "\\input" not in line.replace("\\textbackslash{}input", "")
    assert "\n" not in latex("a\n\\input{x}")


def test_a_suggested_command_is_quoted(root: Path, esd: Path) -> None:
    data = json.loads(esd.read_text(encoding="utf-8"))
    config = "x; touch owned #"
    esd.write_bytes(renamed(data, "config", config))
    evil = esd.rename(esd.with_name("e; touch owned.json"))
    command_line = leaderboard.checked(str(evil), [], "2026-11-30").splitlines()[-1]
    assert command_line.startswith(
        "hf upload igmu/leaderboard 'e; touch owned.json' scorecards/x-touch-owned-/esd.2026-11-30.json"
    )


def test_an_error_suggests_what_can_be_pasted(root: Path, esd: Path) -> None:
    evil = "x; touch owned"
    (esd.parent / evil).mkdir()
    both = (named(root, esd.parent, evil), root / "cards" / "fmn.json")
    with pytest.raises(MetadataError, match=re.escape(f"--model-images '{evil}=DIR'")):
        command("report", *both, "--images", "drawn", "--original-images", "cards/original")
    with pytest.raises(IgmuError, match=re.escape("--out 'cards/x; touch owned'")):
        command("merge", f"cards/{evil}")
    with pytest.raises(IgmuError, match=re.escape("--out 'cards/x; touch owned'")):
        command("verify", f"cards/{evil}")


def test_every_writer_uses_the_function_of_its_medium() -> None:
    for path in sorted((ROOT / "igmu_metrics").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "cli" in path.parts:
            assert not re.search(r"typer\.echo|\bprint\(|secho", text), f"{path}: use _common.say"
        if "csv.writer(" in text:
            assert "csv_cell" in text, path
        if "jinja2 import" in text:
            assert "autoescape=True" in text, path
        assert not re.search(r"shlex\.|\|safe", text), f"{path}: media.shell, or no |safe"
        if "rich.console" in text:
            assert not re.search(
                r"Console\((?![^)]*(markup=False|soft_wrap=False, highlight=False|width=200))", text
            ), path
    for path in sorted((ROOT / "igmu_metrics").rglob("*.html")):
        assert set(re.findall(r"{{ ([^}]*)\|safe }}", path.read_text(encoding="utf-8"))) <= {
            'source("page.css")',
            "source(name)",
        }
