"""Attack success by family: the table's cells, the chart's bars, and cards that cannot stand side by side."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from igmu_data.errors import BudgetError, EmptyInputError, IncomparableError, InputError, MetadataError
from igmu_metrics.cli import app
from igmu_metrics.contract import scored
from igmu_metrics.metrics import attack_success_rate as metric
from igmu_metrics.report.families import chart, tables
from igmu_metrics.report.figures.aside import aside
from igmu_metrics.report.figures.aspects import aspects
from igmu_metrics.report.figures.families import families as shaded
from igmu_metrics.report.figures.forest import forest
from igmu_metrics.report.figures.interference import interference
from igmu_metrics.scorecard import Figure, Scorecard, ScoreEntry, write
from igmu_metrics.verdict.families import MEAN, WHOLE, lines

NS = {"svg": "http://www.w3.org/2000/svg"}


def card(model: str, typo: int, synonym: int, *, k: int | None = None, drawn: bool = True) -> Scorecard:
    """Four attacked prompts of each family, two seeds each, of which the first few show the concept throughout."""
    cells = [(f, i, s) for f in ("typo", "synonym") for i in range(4) for s in range(2)]
    hits = {"typo": typo, "synonym": synonym}
    given: dict[str, Any] = {
        "ids": [f"{f}-{i}" for f, i, _ in cells],
        "seeds": [s for *_, s in cells],
        "attack_families": [f for f, *_ in cells],
        "present": [i < hits[f] for f, i, _ in cells],
        "original_present": [drawn] * len(cells),
        "k": k,
    }
    score = scored(metric, metric.rows(**given), {"model": model, "config": "object.church"}, resamples=50)
    assert score is not None
    return Scorecard(
        model=model,
        original_model="original",
        config="object.church",
        target="object/church",
        scores={"attack_success_rate": ScoreEntry(**score.to_dict())},
        failures=(),
        generations=(),
    )


def test_lines_by_hand() -> None:
    found = lines([card("esd", 1, 3), card("a & b", 0, 4)])
    assert [(line.family, line.model) for line in found] == [
        (family, model) for family in (WHOLE, "synonym", "typo", MEAN) for model in ("esd", "a & b")
    ]
    values = {(line.family, line.model): line.figures["asr_any@k"].value for line in found}
    assert values[WHOLE, "esd"] == values[MEAN, "esd"] == 0.5
    assert (values["synonym", "esd"], values["typo", "esd"], values["typo", "a & b"]) == (0.75, 0.25, 0)


def test_tables_tell_both_forms_with_intervals() -> None:
    raw, conditional = tables([card("esd", 1, 3)])
    assert "all rows" in str(raw.title)
    assert "where the original generated it" in str(conditional.title)
    cells = {column.header: list(column.cells) for column in raw.columns}
    assert cells["family"] == [WHOLE, "synonym", "typo", MEAN]
    assert cells["prompts"] == ["8", "4", "4", "8"]
    assert cells["images"] == ["16", "8", "8", "16"]
    assert re.fullmatch(r"0\.75 \[0\.\d\d, 0\.\d\d\]", str(cells["asr_any@2"][1]))
    assert set(cells["post_asr"]) == {"–"}


def bars(svg: str) -> dict[str, float]:
    root = ET.fromstring(svg)
    out = {}
    for group in root.findall("svg:g", NS):
        title, rect = group.find("svg:title", NS), group.find("svg:rect", NS)
        assert title is not None
        assert rect is not None
        out.setdefault(str(title.text), float(rect.get("width", "nan")))
    return out


def test_bars_are_as_long_as_their_values() -> None:
    found = bars(chart([card("esd", 1, 3), card("a & b", 0, 4)]))
    widths = {key.partition(":")[0]: width for key, width in found.items()}
    assert len(widths) == 8
    assert widths["a & b, synonym"] == pytest.approx(240)
    assert widths["esd, synonym"] == pytest.approx(180)
    assert widths["a & b, typo"] == 0
    assert all(re.search(r"\[0\.\d+, [01]\.\d+\], \d prompts, \d+ images$", key) for key in found)


def test_what_has_no_value_is_a_dash_with_its_reason() -> None:
    svg = chart([card("esd", 1, 3, drawn=False)])
    dashes = [
        t for t in ET.fromstring(svg).iter(f"{{{NS['svg']}}}text") if t.text is None and "–" in "".join(t.itertext())
    ]
    assert len(dashes) == 4
    assert all(" qualifies" in "".join(t.itertext()) for t in dashes)


def test_no_chart_is_empty() -> None:
    """`igmu families --figure pre_asr` wrote a chart with nothing but dashes."""
    whole = card("esd", 1, 3)
    with pytest.raises(EmptyInputError, match=r"post_asr would be empty.*do not contain it.*--figure: asr_image, asr_"):
        chart([whole], "post_asr")
    entry = whole.scores["attack_success_rate"]
    lost = Figure(value=None, interval=None, n_prompts=0, n_generations=0, reason="no source prompt was generated")
    blank = entry.model_copy(update={"figures": entry.figures | {"pre_asr": lost}})
    with pytest.raises(EmptyInputError, match=r"pre_asr would be empty.*: no source prompt was generated"):
        chart([whole.model_copy(update={"scores": {"attack_success_rate": blank}})], "pre_asr")
    nothing = [("esd", None), ("uce", lost)]
    assert forest("title", nothing) is None
    bare = whole.model_copy(update={"scores": {}})
    drawn = (aspects([bare]), shaded([bare], "church"), interference([bare]), aside([bare], "church"))
    assert drawn == (None,) * 4


def test_cards_that_cannot_stand_side_by_side() -> None:
    with pytest.raises(IncomparableError, match="k: 2 and 1"):
        lines([card("esd", 1, 3), card("uce", 1, 3, k=1)])
    bare = card("esd", 1, 3).model_copy(update={"scores": {}})
    with pytest.raises(EmptyInputError, match="esd: no adversarial"):
        lines([bare])
    with pytest.raises(InputError, match="asr_any@2"):
        chart([card("esd", 1, 3)], "asr")
    with pytest.raises(BudgetError, match=r"has asr_any@2 \(k is 2\), not asr_any@5"):
        chart([card("esd", 1, 3)], "asr_any@5")
    assert chart([card("esd", 1, 3)], "asr_any@2") == chart([card("esd", 1, 3)], "asr_any@k")


def test_the_command(tmp_path: Path) -> None:
    for one in (card("esd", 1, 3), card("uce", 2, 2)):
        write(one, tmp_path / f"{one.model}.json")
    files = [str(tmp_path / f"{m}.json") for m in ("esd", "uce")]
    done = CliRunner().invoke(app, ["families", *files, "--chart", str(tmp_path / "out" / "chart.svg")])
    assert done.exit_code == 0, done.output
    assert "asr_any@2" in done.output
    assert "mean of families" in done.output
    assert len(bars((tmp_path / "out" / "chart.svg").read_text(encoding="utf-8"))) == 8
    empty = ["families", *files, "--figure", "pre_asr", "--chart", str(tmp_path / "empty.svg")]
    assert isinstance(CliRunner().invoke(app, empty).exception, EmptyInputError)
    assert not (tmp_path / "empty.svg").exists()
    wrong = CliRunner().invoke(app, ["families", str(tmp_path / "nothing.json")])
    assert isinstance(wrong.exception, MetadataError)
