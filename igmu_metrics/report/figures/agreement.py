"""How far several detectors agree on the same images, and the verdict by each, as two tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from igmu_data.numerals import counted
from igmu_metrics.report.figures.matrix import Matrix, Shaded
from igmu_metrics.scorecard import Scorecard
from igmu_metrics.statistics.formatting import HasInterval, between, formatted
from igmu_metrics.verdict.agreement import FIGURES, Agreement, agreements, by_detector, verdicts


@dataclass(frozen=True, slots=True)
class Judges:
    """The contents of the part.

    Args:
        lead: one sentence about each pair of detectors.
        agree: agreement and kappa of each pair, and how often only one of them sees the concept.
        verdicts: forget score and aspects of each model by each detector.
    """

    lead: Sequence[str]
    agree: Matrix
    verdicts: Matrix


def agreement(cards: Sequence[Scorecard]) -> Judges | None:
    """The part; None if there is only one detector.

    Args:
        cards: cards of one concept.
    """
    if len(by_detector(cards)) < 2 or not (found := agreements(cards)):
        return None
    return Judges(
        [_said(one) for one in found if one.part == found[0].part],
        Matrix(
            "Agreement of each pair of detectors",
            "detectors",
            ["agree", "Cohen's kappa", "both see it", "only the first", "only the second", "neither"],
            [
                (f"{a.first} – {a.second}", f"{a.part}, {counted(a.share.n_generations, 'image')}", _cells(a))
                for a in found
            ],
        ),
        Matrix(
            "The verdict by each detector",
            "model",
            [name.replace("_", " ") for name in FIGURES],
            [(model, f"by {name}", [_figure(f) for f in told]) for model, name, told, _ in verdicts(cards)],
        ),
    )


def _said(a: Agreement) -> str:
    share = formatted(a.share, interval=" ({}–{})")
    judged = f"{counted(a.share.n_generations, 'image')} of {counted(a.share.n_prompts, 'prompt')}"
    return (
        f"{a.first} and {a.second} agree on {share} of {judged}; only {a.first} sees the concept in {a.only_first}, "
        f"and only {a.second} in {a.only_second}."
    )


def _cells(a: Agreement) -> list[Shaded]:
    counts = (a.both, a.only_first, a.only_second, a.neither)
    return [_figure(a.share), _figure(a.kappa), *(Shaded(str(n), None) for n in counts)]


def _figure(figure: HasInterval | None) -> Shaded:
    return Shaded(formatted(figure, interval=""), None, between(figure))
