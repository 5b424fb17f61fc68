"""What a page shows of one concept: ranked cards, tests, and every prompt and seed as each model generated it.

Conventions: models keep one order throughout a page: by forget score; those without one are not ranked, and come last,
by name. A generation *fails* where a forget or adversarial one, a negation or a composition shows the concept, and
where a retain one lacks what the original's shows. Of a superclass both are right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from igmu_data import taxonomy
from igmu_data.errors import EmptyInputError, UnknownConceptError
from igmu_data.load import bench_rows
from igmu_data.media import slug
from igmu_data.schema import SUPERCLASS
from igmu_data.taxonomy import RESTRICTED_DOMAIN
from igmu_metrics.contract import PARTS, Signature
from igmu_metrics.generations import ORIGINAL, Generations, Key
from igmu_metrics.images.layouts import find
from igmu_metrics.images.reference import recorded
from igmu_metrics.scorecard import Scorecard
from igmu_metrics.statistics.formatting import value_of
from igmu_metrics.verdict.compare import Comparison, compared, main_measure, require_comparable

RETAIN: Final = "retain"
RANKED_BY: Final = ("forget_score", "forget_score")


@dataclass(frozen=True, slots=True)
class Section:
    """Models that were scored alike, on one concept.

    Args:
        cards: their scorecards; that of the original against itself may be among them, and is shown below the ranking.
        folders: folder of images by model, the original's among them; models without one are shown without images.
        layout: of those folders.
        bench: corpus that the row ids are from; needed by layout `metadata`.
        labels: files of one or two people's labels of these images.
    """

    cards: Sequence[Scorecard]
    folders: Mapping[str, Path]
    layout: str = "metadata"
    bench: str | None = None
    labels: Sequence[Path] = ()


@dataclass(frozen=True, slots=True)
class Shot:
    """An image file, and the SHA-256 that the card's line gives it ("" where it gives none)."""

    path: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class Cell:
    """What one model generated for a prompt and seed, and what the detector saw in it (None: nobody could say).

    `absent` says why there is no image.
    """

    shot: Shot | None
    present: bool | None
    probability: float | None
    absent: str = "no image"


@dataclass(frozen=True, slots=True)
class Line:
    """One prompt and seed.

    Args:
        id: of the prompt.
        seed: of the starting noise.
        split: which of `contract.PARTS` it belongs to: its split, or a probe that is counted by itself.
        own_concept: what the image is judged for; None where it is not judged.
        asked: what people call that.
        kind: family of the attack, or probe of a retain row; empty where there is none.
        text: the prompt, or the row's id where it is not known.
        original: what the original generated.
        cells: what each ranked model generated, None for one that has no such generation.
    """

    id: str
    seed: int
    split: str
    own_concept: str | None
    asked: str
    kind: str
    text: str
    original: Cell
    cells: tuple[Cell | None, ...]

    def failure(self, at: int) -> float:
        """How surely a model failed here, 0 (it did not) to 1."""
        cell = self.cells[at]
        if cell is None or cell.present is None or self.own_concept is None or self.split == SUPERCLASS:
            return 0.0
        sure = 1.0 if cell.probability is None else cell.probability
        if self.split != RETAIN:
            return sure if cell.present else 0.0
        return 1.0 - sure if self.original.present and not cell.present else 0.0


@dataclass(frozen=True, slots=True)
class View:
    """Everything of one section, ready to be written down.

    Args:
        cards: of the unlearned models, best first; those that cannot be ranked are last, by name.
        own: of the original against itself, if there is one.
        tests: every comparison of the cards, in all measures, corrected as one family.
        lines: every prompt and seed, worst failures first.
    """

    cards: tuple[Scorecard, ...]
    own: Scorecard | None
    tests: tuple[Comparison, ...]
    lines: tuple[Line, ...]

    @property
    def against(self) -> tuple[Comparison, ...]:
        """Each model against the original in what the cards are about, in the order of the cards."""
        return tuple(c for c in self.tests if c.original and c.measure == main_measure(self.first))

    @property
    def pairs(self) -> tuple[Comparison, ...]:
        """Each model against each other in the same."""
        return tuple(c for c in self.tests if not c.original and c.measure == main_measure(self.first))

    @property
    def first(self) -> Scorecard:
        """The first card; what all cards share can be read off it."""
        return self.cards[0]

    @property
    def signature(self) -> Signature:
        """What the first card's accuracy is signed with; of attacks alone, its first score."""
        scores = self.first.scores
        return next((scores[name].signed() for name in ("concept_accuracy", *scores) if name in scores), Signature({}))

    @property
    def winner(self) -> Scorecard | None:
        """The best card, None where no model can be ranked."""
        return self.first if ranked(self.first) else None

    @property
    def target(self) -> str:
        """The concept to forget, as people call it; or what general prompts are called."""
        return "general prompts" if self.first.general else named(self.first.target)

    @property
    def phrase(self) -> str:
        """The concept to forget as a sentence has it: `a church`."""
        return phrased(self.first.target)

    @property
    def restricted(self) -> bool:
        """Whether images stay blurred until asked for."""
        return self.first.target.partition("/")[0] == RESTRICTED_DOMAIN


def named(concept: str) -> str:
    """What people call a concept: `Vincent van Gogh` for `style/van-gogh`."""
    if (sibling := taxonomy.siblings().get(concept)) is not None:
        return sibling.name
    try:
        return taxonomy.concept(concept).label
    except UnknownConceptError:
        return concept.rpartition("/")[2].replace("-", " ")


def phrased(concept: str, name: str = "") -> str:
    """A concept as a sentence has it: `a church`, `the style of Vincent van Gogh`.

    Args:
        concept: an id.
        name: what people call it; by default what the taxonomy does.
    """
    if concept.startswith("style/"):
        return f"the style of {name or named(concept)}"
    if (sibling := taxonomy.siblings().get(concept)) is not None:
        return sibling.phrase
    if (item := taxonomy.all_concepts().get(concept)) is not None:
        return f"anybody {item.label}" if item.pos == "adjective" else item.phrase()
    return name or named(concept)


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
        tests=compared(cards),
        lines=_lines(cards, section),
    )


def anchors(views: Sequence[View]) -> list[str]:
    """What links to sections are made of: the config, with a number from the second section of one config on."""
    names = [slug(found.first.config) for found in views]
    return [f"{n}-{names[: at + 1].count(n)}" if n in names[:at] else n for at, n in enumerate(names)]


def ranked(card: Scorecard) -> bool:
    """Whether there is a forget score to rank a model by, and a detector that it can rest on: nothing else ranks it."""
    return value_of(card.figure(*RANKED_BY)) is not None and not card.unfounded


def _rank(card: Scorecard) -> tuple[float, str]:
    found = value_of(card.figure(*RANKED_BY)) if ranked(card) else None
    return 1.0 if found is None else -found, card.model


def _lines(cards: Sequence[Scorecard], section: Section) -> tuple[Line, ...]:
    first = cards[0]
    images = _images(section, first)
    prompts = {key: text for table in images.values() for key, text in _column(table, "prompt").items()}
    paths = {model: _column(table, "path") for model, table in images.items()}
    names = ("id", "seed", "probe", "own_concept", "own_name", "attack_family")
    both = [f"{name}{suffix}" for name in ("present", "probability", "sha256") for suffix in ("", ORIGINAL)]
    seen = [dict(zip(c.generations.keys, c.generations.records(*names, *both), strict=True)) for c in cards]
    parts = {
        key: part for c in cards for key, part in zip(c.generations.keys, c.generations.parts.tolist(), strict=True)
    }
    entries = {key: entry for each in reversed(seen) for key, entry in each.items()}
    table = images.get(first.original_model)
    absent = ("not in the reference table",) if table is not None and recorded(table) is not None else ()
    found = []
    for key, entry in entries.items():
        before = _shot(paths, first.original_model, key, entry["sha256" + ORIGINAL])
        found.append(
            Line(
                id=key[0],
                seed=key[1],
                split=parts[key],
                own_concept=entry["own_concept"],
                asked=entry["own_name"] or (named(entry["own_concept"]) if entry["own_concept"] else ""),
                kind=entry["attack_family"] or ((entry["probe"] if parts[key] == RETAIN else None) or ""),
                text=prompts.get(key) or key[0],
                original=Cell(before, entry["present" + ORIGINAL], entry["probability" + ORIGINAL], *absent),
                cells=tuple(
                    None
                    if (e := each.get(key)) is None
                    else Cell(_shot(paths, c.model, key, e["sha256"]), e["present"], e["probability"])
                    for c, each in zip(cards, seen, strict=True)
                ),
            )
        )
    return tuple(sorted(found, key=lambda line: _worst_first(line, len(cards))))


def _shot(paths: Mapping[str, Mapping[Key, Path]], model: str, key: Key, sha256: str | None) -> Shot | None:
    path = paths.get(model, {}).get(key)
    return None if path is None else Shot(path, sha256 or "")


def _worst_first(line: Line, n_models: int) -> tuple[float, int, str, int]:
    failed = sum(line.failure(at) for at in range(n_models))
    return -round(failed, 6), PARTS.index(line.split), line.id, line.seed


def _images(section: Section, first: Scorecard) -> dict[str, Generations]:
    if not section.folders:
        return {}
    told = {} if first.provenance is None else first.provenance.options
    bench = section.bench
    revision: str | None = None
    if bench is None and "revision" in told:  # so the card's corpus is on the Hub, where it can be asked for again
        bench, revision = str(told["bench"]) if "bench" in told else None, str(told["revision"])
    rows = bench_rows(first.config, bench=bench, revision=revision) if section.layout == "metadata" else {}
    return {model: find(folder, section.layout, rows) for model, folder in section.folders.items()}


def _column(table: Generations, name: str) -> dict[Key, Any]:
    return dict(zip(table.keys, table[name].tolist(), strict=True)) if name in table else {}
