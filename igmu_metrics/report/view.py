"""The contents of a page for one concept: ranked cards, tests, and the images of every prompt and seed.

Conventions: models have the same order everywhere on a page: by forget score; those without one are not ranked and come
last, by name. A forget or adversarial generation, a negation or a composition *fails* if it shows the concept; a retain
generation fails if it lacks what the original's image shows. A superclass generation cannot fail.
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
from igmu_data.numerals import counted
from igmu_data.schema import SUPERCLASS
from igmu_data.taxonomy import RESTRICTED_DOMAIN
from igmu_metrics.contract import PARTS, Signature
from igmu_metrics.generations import ORIGINAL, Generations, Key
from igmu_metrics.images.layouts import find
from igmu_metrics.images.reference import recorded
from igmu_metrics.scorecard import Scorecard
from igmu_metrics.statistics import best_of, overlap
from igmu_metrics.statistics.formatting import bounds, value_of
from igmu_metrics.verdict.compare import ALPHA, Comparison, compared, main_measure, require_comparable
from igmu_metrics.verdict.joint import SCORE

RETAIN: Final = "retain"
RANKED_BY: Final = ("forget_score", "forget_score")


@dataclass(frozen=True, slots=True)
class Section:
    """Models that were scored in the same way on one concept.

    Args:
        cards: their scorecards; the card of the original against itself may be included and is shown below the ranking.
        folders: folder of images by model, including the original; models without one are shown without images.
        layout: layout of those folders.
        bench: corpus of the row ids; required by the layout `metadata`.
        revision: its commit, tag or branch on the Hub.
        labels: files with labels of these images by one or two people.
    """

    cards: Sequence[Scorecard]
    folders: Mapping[str, Path]
    layout: str = "metadata"
    bench: str | None = None
    revision: str | None = None
    labels: Sequence[Path] = ()


@dataclass(frozen=True, slots=True)
class Shot:
    """An image file, and its SHA-256 according to the card ("" if the card gives none)."""

    path: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One model's image for a prompt and seed, and the detector's decision (None if unclear).

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
        id: id of the prompt.
        seed: seed of the starting noise.
        split: one of `contract.PARTS`: its split, or a probe that is counted separately.
        own_concept: the concept for which the image is judged; None if it is not judged.
        asked: the name of this concept.
        kind: attack family, or probe of a retain row; empty if there is none.
        text: the prompt, or the row's id if the prompt is unknown.
        original: the original's image.
        cells: each model's image, None if it has no such generation.
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
        """How certain it is that a model failed here, from 0 (it did not) to 1."""
        cell = self.cells[at]
        if cell is None or cell.present is None or self.own_concept is None or self.split == SUPERCLASS:
            return 0.0
        sure = 1.0 if cell.probability is None else cell.probability
        if self.split != RETAIN:
            return sure if cell.present else 0.0
        return 1.0 - sure if self.original.present and not cell.present else 0.0


@dataclass(frozen=True, slots=True)
class View:
    """Everything that one section shows.

    Args:
        cards: cards of the unlearned models, best first; those that cannot be ranked come last, by name.
        own: the card of the original against itself, if there is one.
        tests: all comparisons of the cards, in all measures, corrected as one family per measure.
        lines: all prompts and seeds, worst failures first.
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
    def scores(self) -> tuple[Comparison, ...]:
        """Each model against each other in the forget score."""
        return tuple(c for c in self.tests if c.measure == SCORE)

    @property
    def beaten(self) -> dict[tuple[str, str], float]:
        """Which models are probably not the best: by (better model, model), the p values of `best_of`.

        A difference on the prompts that two models share proves nothing if it has the opposite sign of the difference
        between the scores on their cards.
        """
        order = [c.model for c in self.cards]
        tests = {}
        for c in self.scores:
            if c.p is not None:
                above, below = sorted((order.index(c.first), order.index(c.second)))
                tests[above, below] = c.p if self._confirms(c) else 1.0
        return {(order[above], order[below]): p for (above, below), p in best_of(tests).items()}

    def corrected(self, test: Comparison) -> tuple[float | None, str]:
        """The p value of a comparison, and for what it is corrected; None without a test.

        Whether a model is as good as the best one is part of the question which models may be the best, for which the
        correction is usually smaller than Holm's.
        """
        p, best = test.p_holm, self.first.model
        if p is not None and test.measure == SCORE and best in (test.first, test.second):
            other = test.second if test.first == best else test.first
            if (found := self.beaten.get((best, other), p)) < p:
                n = sum(map(ranked, self.cards))
                return found, f"correction for the choice of the best of {counted(n, 'model')}"
        return p, f"Holm correction over {counted(test.tests, 'test')}"

    def significant(self, test: Comparison) -> bool:
        """Whether a difference is significant at 5% after the correction; never without a test."""
        p, _ = self.corrected(test)
        return p is not None and p <= ALPHA

    def settled(self, above: Scorecard, below: Scorecard) -> bool:
        """Whether a forget score is really higher than another: by their test, or by both intervals if there is none.

        A missing interval settles nothing.
        """
        test = self.between(above, below)
        if test is not None and test.p_holm is not None:
            return self.significant(test) and self._confirms(test)
        first, second = (bounds(card.figure(*RANKED_BY)) for card in (above, below))
        return first is not None and second is not None and not overlap(first, second)

    def between(self, one: Scorecard, other: Scorecard) -> Comparison | None:
        """The comparison of two models in the forget score."""
        return next((c for c in self.scores if {c.first, c.second} == {one.model, other.model}), None)

    def _confirms(self, test: Comparison) -> bool:
        """Whether the difference of two models in the forget score has the sign that their cards give it."""
        models = [c.model for c in self.cards]
        return (test.difference > 0) is (models.index(test.first) < models.index(test.second))

    @property
    def leaders(self) -> tuple[Scorecard, ...]:
        """The best card and all that may be the best as well; none if no model can be ranked."""
        best = self.winner
        if best is None:
            return ()
        beaten = {model for (_, model), p in self.beaten.items() if p <= ALPHA}
        rivals = (c for c in self.cards[1:] if ranked(c) and c.model not in beaten)
        return (best, *(c for c in rivals if not self.settled(best, c)))

    @property
    def first(self) -> Scorecard:
        """The first card, for everything that all cards share."""
        return self.cards[0]

    @property
    def signature(self) -> Signature:
        """The signature of the first card's accuracy, or of its first score if it has attacks only."""
        scores = self.first.scores
        return next((scores[name].signed() for name in ("concept_accuracy", *scores) if name in scores), Signature({}))

    @property
    def winner(self) -> Scorecard | None:
        """The best card, None if no model can be ranked."""
        return self.first if ranked(self.first) else None

    @property
    def target(self) -> str:
        """The name of the concept to forget, or "general prompts"."""
        return "general prompts" if self.first.general else named(self.first.target)

    @property
    def phrase(self) -> str:
        """The concept to forget as it occurs in sentences: `a church`."""
        return phrased(self.first.target)

    @property
    def restricted(self) -> bool:
        """Whether images are blurred until the reader reveals them."""
        return self.first.target.partition("/")[0] == RESTRICTED_DOMAIN


def named(concept: str) -> str:
    """The name of a concept: `Vincent van Gogh` for `style/van-gogh`."""
    if (sibling := taxonomy.siblings().get(concept)) is not None:
        return sibling.name
    try:
        return taxonomy.concept(concept).label
    except UnknownConceptError:
        return concept.rpartition("/")[2].replace("-", " ")


def phrased(concept: str, name: str = "") -> str:
    """A concept as it occurs in sentences: `a church`, `the style of Vincent van Gogh`.

    Args:
        concept: id of the concept.
        name: its name; by default the one in the taxonomy.
    """
    if concept.startswith("style/"):
        return f"the style of {name or named(concept)}"
    if (sibling := taxonomy.siblings().get(concept)) is not None:
        return sibling.phrase
    if (item := taxonomy.all_concepts().get(concept)) is not None:
        return f"anybody {item.label}" if item.pos == "adjective" else item.phrase()
    return name or named(concept)


def view(section: Section) -> View:
    """Rank the models, compare them and collect their images.

    Raises:
        EmptyInputError: there is only the original's own card.
        IncomparableError: cards that were scored differently.
        MetadataError, UnknownIdError: folders that do not match the layout or the corpus.
    """
    unlearned = [c for c in section.cards if c.model != c.original_model]
    if not unlearned:
        raise EmptyInputError("none of the scorecards is for an unlearned model. Specify at least one that is.")
    require_comparable(unlearned)
    cards = tuple(sorted(unlearned, key=_rank))
    return View(
        cards=cards,
        own=next((c for c in section.cards if c.model == c.original_model), None),
        tests=compared(cards),
        lines=_lines(cards, section),
    )


def anchors(views: Sequence[View]) -> list[str]:
    """The anchors of sections: the config, followed by a number from the second section with the same config on."""
    names = [slug(found.first.config) for found in views]
    return [f"{n}-{names[: at + 1].count(n)}" if n in names[:at] else n for at, n in enumerate(names)]


def ranked(card: Scorecard) -> bool:
    """Whether a model can be ranked: it has a forget score, and its detector is better than chance."""
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
    bench, revision = section.bench, section.revision
    if bench is None and revision is None and "revision" in told:  # the card's corpus is on the Hub
        bench, revision = str(told["bench"]) if "bench" in told else None, str(told["revision"])
    rows = bench_rows(first.config, bench=bench, revision=revision) if section.layout == "metadata" else {}
    return {model: find(folder, section.layout, rows) for model, folder in section.folders.items()}


def _column(table: Generations, name: str) -> dict[Key, Any]:
    return dict(zip(table.keys, table[name].tolist(), strict=True)) if name in table else {}
