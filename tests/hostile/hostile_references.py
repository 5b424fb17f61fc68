"""Reference tables, damaged, or forged with a digest that fits, in the place of an original's images."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from harness import NAMES, RANDOMS, VALUES, Target, command, damaged
from hostile_inputs import CARD, arguments, prepare
from hypothesis import strategies as st
from reported import CONFIG

from igmu_metrics import generations
from igmu_metrics.images import reference
from igmu_metrics.scorecard import read

_FACTS: Final = ("model", "config", "blank", "instruments", "contents", "row", "n_total", "reference", "generated_by")
_COLUMNS: Final = ("id", "seed", "status", "sha256", "format", "width", "probability", "generated_with", "surprise")


@st.composite
def tables(draw: Callable[[st.SearchStrategy[Any]], Any]) -> tuple[Any, str, Any]:
    """Chance, what is changed ("" for bytes anywhere), and to what."""
    value = draw(st.sampled_from((*VALUES, *NAMES, 0.5, 1e300, 2**63, -1, [])))
    return draw(RANDOMS), draw(st.sampled_from(("", "", *_FACTS, *_COLUMNS))), value


def recorded(base: Path) -> None:
    """As `prepare`, and the table of the original."""
    prepare(base)
    how = ("--config", CONFIG, "--detector", f"labels:{base / 'drawn' / 'labels.csv'}", "--no-cache")
    command("original", base / "drawn" / "original", *how, "--out", base / "tables")


def with_table(given: tuple[Any, str, Any], place: Path, base: Path) -> list[str]:
    """The table takes the original's place: damaged it is refused; forged it says what it says, and nothing breaks."""
    random, name, value = given
    (path,) = (base / "tables").rglob("*.parquet")
    (place / "tables").mkdir()
    there = place / "tables" / path.name
    if name:
        table, facts = generations.read(path)
        if name in _FACTS:
            facts[name] = value
        else:
            table = generations.Generations({**table.columns, name: [value] * len(table)})
        facts["digest"] = reference.digest(table, facts)
        generations.write(table, there, facts)
    else:
        there.write_bytes(damaged(path.read_bytes(), random))
    shutil.copytree(base / "drawn" / "esd", place / "esd")
    words = list(arguments(base / "drawn"))
    words[words.index(base / "drawn" / "original")] = place / "tables"
    told = command(*words, "--no-cache", "--out", "cards")
    cards = list(Path("cards").glob("*.json"))
    if not name and cards:
        seen, true = (read(p).generations for p in (cards[0], base / "cards" / CARD))
        assert list(seen["probability_original"]) == list(true["probability_original"]), "a damaged table was believed"
    return [told]


TARGET: Final = Target(tables(), with_table, recorded)
