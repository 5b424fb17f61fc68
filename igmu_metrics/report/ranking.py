"""The ranked table: every model's headline figures with interval and counts, and what its rank is worth."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Final

from igmu_metrics.report.view import RANKED_BY, View
from igmu_metrics.scorecard import Figure, Scorecard
from igmu_metrics.statistics import overlap

Column = tuple[str, str, str, bool]
# Score, figure, title, whether higher is better.
COLUMNS: Final[tuple[Column, ...]] = (
    ("forget_score", "forget_score", "forget score", True),
    ("concept_accuracy", "conditional_unlearning_accuracy", "forgotten where the original drew it", True),
    ("concept_accuracy", "unlearning_accuracy", "forgotten, all pictures", True),
    ("forget_score", "robustness", "robustness", True),
    ("attack_success_rate", "asr_image", "attack success, all pictures", False),
    ("concept_accuracy", "near_retain_accuracy", "near concepts shown", True),
    ("concept_accuracy", "far_retain_accuracy", "far concepts shown", True),
    ("forget_score", "alignment", "alignment", True),
    ("forget_score", "quality", "quality", True),
)


def shown(cards: Sequence[Scorecard]) -> list[Column]:
    """The columns that some model has a number for."""
    return [column for column in COLUMNS if any(measured(c.figure(column[0], column[1])) for c in cards)]


def measured(figure: Figure | None) -> bool:
    """Whether there is a number."""
    return figure is not None and figure.value is not None


def before(view: View, column: Column) -> Figure | None:
    """The original's own figure: from its own card, or where an unlearned model's card has it."""
    score, name = column[:2]
    return view.own.figure(score, name) if view.own else view.first.figure(score, f"original_{name}")


def ranking(view: View) -> str:
    """The table."""
    columns = shown(view.cards)
    head = "".join(
        f"<th scope=col>{title}{'' if up else ' <small>lower is better</small>'}</th>" for _, _, title, up in columns
    )
    lines = [
        f"<tr{' class=best' if not at else ''}><td class=rank>{at + 1}</td><th scope=row>{html.escape(card.model)}"
        f"{_tie(view.cards, at)}</th>{''.join(_cell(card.figure(c[0], c[1])) for c in columns)}</tr>"
        for at, card in enumerate(view.cards)
    ]
    untouched = "".join(_cell(before(view, c)) for c in columns)
    lines.append(
        f"<tr class=original><td class=rank></td><th scope=row>{html.escape(view.first.original_model)} "
        f"<small>before unlearning</small></th>{untouched}</tr>"
    )
    return (
        '<table class="ranking"><caption class="unseen">Models, best first, with 95 % intervals</caption>'
        f"<thead><tr><th scope=col><span class=unseen>rank</span></th><th scope=col>model</th>{head}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table>"
    )


def _tie(cards: Sequence[Scorecard], at: int) -> str:
    """A remark where the intervals leave open whether a model stands below the one above it."""
    if not at:
        return ""
    above, own = cards[at - 1 : at + 1]
    pairs = ((above.figure(score, name), own.figure(score, name)) for score, name in RANKED_BY)
    ranked = next(((a, b) for a, b in pairs if measured(a) and measured(b)), (None, None))
    ends = [_ends(figure) for figure in ranked]
    if ends[0] is None or ends[1] is None or not overlap(ends[0], ends[1]):
        return ""
    return f" <small>overlaps {html.escape(above.model)}</small>"


def _ends(figure: Figure | None) -> tuple[float, float] | None:
    low, high = (figure.interval if figure else None) or (None, None)
    return None if low is None or high is None else (low, high)


def _cell(figure: Figure | None) -> str:
    if figure is None or figure.value is None:
        return f'<td class=none title="{html.escape(figure.reason if figure else "")}">–</td>'
    ends = _ends(figure)
    interval = f"{ends[0]:.2f}–{ends[1]:.2f}" if ends else "no interval"
    told = f"{figure.n_generations} pictures of {figure.n_prompts} prompts"
    if figure.reason:
        told += f"; {figure.reason}"
    return (
        f'<td title="{html.escape(told)}"><b>{figure.value:.2f}</b><small>{interval}</small>'
        f"<small>n = {figure.n_generations}</small></td>"
    )
