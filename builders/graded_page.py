"""The page about models in steps: what construction says of their order, and what the metrics say of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from igmu_data import markdown
from igmu_metrics.metrics.forget_score import ASPECTS
from igmu_metrics.scorecard import Scorecard
from igmu_metrics.statistics.formatting import DASH, HasInterval, bounds, formatted

MOVES: Final[Mapping[str, Mapping[str, int]]] = {
    "noise": {"preservation": -1, "alignment": -1},
    "esd": {"forgetting": +1, "robustness": +1},
    "trained": {"forgetting": +1, "robustness": +1},
    "uce": {"preservation": +1},
    "gold": {},
}
"""Which aspects rise (+1) or fall (-1) from step to step, as construction says; set before anything was measured."""
_MADE: Final = {
    "noise": "the original's weights with more and more noise",
    "esd": "weights between those of the original (0) and those of `esd` (1)",
    "trained": "`esd`, trained for a larger and larger share of its steps",
    "uce": "`uce` without (0) and with (1) a list of concepts that it must preserve",
    "gold": "weights between those of the original (0) and those of `gold` (1), which were trained separately",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One model and its scorecard.

    Args:
        kind: a key of MOVES.
        grade: how much of it; 0 is the original, except for `uce`.
        card: the model's scores.
    """

    kind: str
    grade: float
    card: Scorecard


def contradictions(figures: Sequence[HasInterval | None], sign: int) -> tuple[int, int]:
    """Pairs of models whose intervals are apart in the wrong order, and all pairs that have two intervals.

    Args:
        figures: of the models, in the order of construction.
        sign: +1 if the values should rise, -1 if they should fall.

    >>> from igmu_metrics.contract import Estimate
    >>> contradictions([Estimate(0.1, (0.0, 0.2)), Estimate(0.9, (0.8, 1.0)), Estimate(0.5, (0.4, 0.6))], +1)
    (1, 3)
    """
    ends = [bounds(figure) for figure in figures]
    pairs = [(before, after) for before, after in combinations([one for one in ends if one], 2)]
    wrong = sum(after[1] < before[0] if sign > 0 else after[0] > before[1] for before, after in pairs)
    return wrong, len(pairs)


def page(tasks: Mapping[str, Sequence[Step]], *, command: str, prompts: Sequence[int], seeds: int) -> str:
    """The page as Markdown.

    Args:
        tasks: all models of each concept, in any order.
        command: which wrote it.
        prompts: how many there are, of each concept.
        seeds: images per prompt.
    """
    return "\n".join(_paragraphs(tasks, command, prompts, seeds)) + "\n"


def _paragraphs(tasks: Mapping[str, Sequence[Step]], command: str, prompts: Sequence[int], seeds: int) -> Iterator[str]:
    yield "# Real models in steps\n"
    yield (
        f"`{command}` makes these models, generates their images, scores them and writes this page. The models lie "
        "between those of [the sandbox](sandbox.md): each one is a little more of the same change. The true scores of "
        "such a model are unknown. Only the order is known, because it follows from how the models are made. The "
        "virtual models of [the audit](audit.md) are the opposite: their true scores are known, but no network "
        "generated their images as a whole.\n"
    )
    n = " or ".join(map(str, prompts))
    yield f"Each model generates {seeds} images for each of {n} prompts. The kinds of models:\n"
    yield "".join(f"- `{kind}`: {_MADE[kind]}.\n" for kind in MOVES if any(s.kind == kind for s in _all(tasks)))
    yield "## Do the scores follow the order?\n"
    yield (
        "*Correlation* is Kendall's τ-b between step and score: 1 if every step goes in the expected direction, −1 if "
        "every step goes the other way. *Contradictions* counts the pairs of models whose 95% intervals do not overlap "
        "and whose order is wrong. No order is expected between `gold` and the original, so only their ends matter.\n"
    )
    yield _summary(tasks)
    for slug, steps in tasks.items():
        for kind in dict.fromkeys(step.kind for step in steps):
            yield f"\n## {slug}: {kind}\n"
            yield _table([step for step in steps if step.kind == kind])


def _all(tasks: Mapping[str, Sequence[Step]]) -> list[Step]:
    return [step for steps in tasks.values() for step in steps]


def _summary(tasks: Mapping[str, Sequence[Step]]) -> str:
    rows = []
    for slug, steps in tasks.items():
        for kind, moves in MOVES.items():
            here = sorted((step for step in steps if step.kind == kind), key=lambda step: step.grade)
            for aspect, sign in moves.items() if here else ():
                figures = [step.card.figure("forget_score", aspect) for step in here]
                wrong, pairs = contradictions(figures, sign)
                values = [(s.grade, f.value) for s, f in zip(here, figures, strict=True) if f and f.value is not None]
                tau = _tau([grade for grade, _ in values], [sign * value for _, value in values])
                direction = "rises" if sign > 0 else "falls"
                rows.append([slug, f"`{kind}`", f"{aspect} {direction}", str(len(values)), tau, f"{wrong} of {pairs}"])
    return markdown.table(["concept", "kind", "expected", "models", "correlation", "contradictions"], rows)


def _tau(grades: Sequence[float], values: Sequence[float]) -> str:
    from scipy.stats import kendalltau

    if len(set(values)) < 2:
        return DASH
    return f"{float(kendalltau(grades, values).statistic):.2f}"


def _table(steps: Sequence[Step]) -> str:
    rows = [
        [f"{step.grade:g}", *(formatted(step.card.figure("forget_score", aspect)) for aspect in ASPECTS)]
        for step in sorted(steps, key=lambda step: step.grade)
    ]
    return markdown.table(["step", *ASPECTS], rows)
