"""What a page shows of one concept: ranked cards, tests, and every prompt and seed as each model drew it.

Conventions: models keep one order throughout a page: by forget score, then by unlearning accuracy where the original
drew the concept, then by unlearning accuracy; models without a figure come after those that have it. A generation
*fails* where a forget or adversarial one shows the concept, and where a retain one lacks what the original's shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from igmu_data import taxonomy
from igmu_data.errors import EmptyInputError, UnknownConceptError
from igmu_data.load import bench_rows
from igmu_data.taxonomy import RESTRICTED_DOMAIN
from igmu_metrics.images.layouts import Generation, find
from igmu_metrics.scorecard import Figure, GenerationEntry, Scorecard
from igmu_metrics.verdict.compare import Comparison, against_original, pairwise, require_comparable

RETAIN: Final = "retain"
_SPLITS: Final = ("forget", "adversarial", RETAIN)
RANKED_BY: Final = (
    ("forget_score", "forget_score"),
    ("concept_accuracy", "conditional_unlearning_accuracy"),
    ("concept_accuracy", "unlearning_accuracy"),
)


@dataclass(frozen=True, slots=True)
class Section:
    """Models that were scored alike, on one concept.

    Args:
        cards: their scorecards; that of the original against itself may be among them, and is shown below the ranking.
        folders: folder of pictures by model, the original's among them; models without one are shown without pictures.
        layout: of those folders.
        bench: corpus that the row ids are from; needed by layout `metadata`.
    """

    cards: Sequence[Scorecard]
    folders: Mapping[str, Path]
    layout: str = "metadata"
    bench: str | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """What one model drew for a prompt and seed, and what the detector saw in it (None: nobody could say)."""

    path: Path | None
    present: bool | None
    probability: float | None


@dataclass(frozen=True, slots=True)
class Line:
    """One prompt and seed.

    Args:
        entry: its line in the first scorecard.
        kind: family of the attack, or probe of a retain row; empty where there is none.
        text: the prompt, or the row's id where it is not known.
        original: what the original drew.
        cells: what each ranked model drew, None for one that has no such generation.
    """

    entry: GenerationEntry
    kind: str
    text: str
    original: Cell
    cells: tuple[Cell | None, ...]

    def failure(self, at: int) -> float:
        """How surely a model failed here, 0 (it did not) to 1."""
        cell = self.cells[at]
        if cell is None or cell.present is None or self.entry.concept is None:
            return 0.0
        sure = 1.0 if cell.probability is None else cell.probability
        if self.entry.split != RETAIN:
            return sure if cell.present else 0.0
        return 1.0 - sure if self.original.present and not cell.present else 0.0


@dataclass(frozen=True, slots=True)
class View:
    """Everything of one section, ready to be written down.

    Args:
        cards: of the unlearned models, best first.
        own: of the original against itself, if there is one.
        against: each of them against the original, in the same order; empty where nothing could be compared.
        pairs: each against each other.
        lines: every prompt and seed, worst failures first.
    """

    cards: tuple[Scorecard, ...]
    own: Scorecard | None
    against: tuple[Comparison, ...]
    pairs: tuple[Comparison, ...]
    lines: tuple[Line, ...]

    @property
    def first(self) -> Scorecard:
        """The best card; what all cards share can be read off it."""
        return self.cards[0]

    @property
    def target(self) -> str:
        """The concept to forget, as people call it."""
        return named(self.first.target)

    @property
    def restricted(self) -> bool:
        """Whether pictures stay blurred until asked for."""
        return self.first.target.partition("/")[0] == RESTRICTED_DOMAIN


def named(concept: str) -> str:
    """What people call a concept: `Vincent van Gogh` for `style/van-gogh`."""
    try:
        return taxonomy.concept(concept).label
    except UnknownConceptError:
        return concept.rpartition("/")[2].replace("-", " ")


def view(section: Section) -> View:
    """Rank, test and gather.

    Raises:
        EmptyInputError: no card but the original's own.
        IncomparableError: cards that were not scored alike.
        MetadataError, UnknownIdError: folders that do not fit the layout or the corpus.
    """
    unlearned = [c for c in section.cards if c.model != c.original_model]
    if not unlearned:
        raise EmptyInputError("only scorecards of the original against itself: add one of an unlearned model.")
    require_comparable(unlearned)
    cards = tuple(sorted(unlearned, key=_rank))
    return View(
        cards=cards,
        own=next((c for c in section.cards if c.model == c.original_model), None),
        against=_tested(against_original, cards),
        pairs=_tested(pairwise, cards),
        lines=_lines(cards, section),
    )


def value(figure: Figure | None) -> float | None:
    """The number of a figure, None where there is none."""
    return None if figure is None else figure.value


def _rank(card: Scorecard) -> tuple[float | str, ...]:
    found = [value(card.figure(score, name)) for score, name in RANKED_BY]
    return (*(1.0 if v is None else -v for v in found), card.model)


def _tested(
    test: Callable[[Sequence[Scorecard]], list[Comparison]], cards: Sequence[Scorecard]
) -> tuple[Comparison, ...]:
    try:
        return tuple(test(cards))
    except EmptyInputError:  # some model was judged nowhere; the verdict then says that nothing was compared
        return ()


def _lines(cards: Sequence[Scorecard], section: Section) -> tuple[Line, ...]:
    first = cards[0]
    drawn = _drawn(section, first)
    seen = [{(g.id, g.seed): g for g in c.generations} for c in cards]
    entries = {key: entry for each in reversed(seen) for key, entry in each.items()}
    found = []
    for key, entry in entries.items():
        known = next((g for folder in drawn.values() if (g := folder.get(key))), None)
        row = known.row if known else None
        found.append(
            Line(
                entry=entry,
                kind=entry.family or (row.probe if row and entry.split == RETAIN else ""),
                text=(known.text if known else None) or entry.id,
                original=Cell(
                    _path(drawn, first.original_model, key), entry.original_present, entry.original_probability
                ),
                cells=tuple(
                    Cell(_path(drawn, c.model, key), e.present, e.probability) if (e := each.get(key)) else None
                    for c, each in zip(cards, seen, strict=True)
                ),
            )
        )
    return tuple(sorted(found, key=lambda line: _worst_first(line, len(cards))))


def _worst_first(line: Line, n_models: int) -> tuple[float, int, str, int]:
    failed = sum(line.failure(at) for at in range(n_models))
    return -round(failed, 6), _SPLITS.index(line.entry.split), line.entry.id, line.entry.seed


def _drawn(section: Section, first: Scorecard) -> dict[str, dict[tuple[str, int], Generation]]:
    if not section.folders:
        return {}
    rows = bench_rows(first.config, bench=section.bench) if section.layout == "metadata" else {}
    return {m: {g.key: g for g in find(folder, section.layout, rows)} for m, folder in section.folders.items()}


def _path(drawn: Mapping[str, Mapping[tuple[str, int], Generation]], model: str, key: tuple[str, int]) -> Path | None:
    generation = drawn.get(model, {}).get(key)
    return generation.path if generation else None
