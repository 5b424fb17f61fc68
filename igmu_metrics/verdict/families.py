"""Attack success by family: what scorecards say of each family of attacks, as lines for tables and charts.

Conventions: lower is better. Every figure is told twice, over all rows and where the original drew the concept. `all
attacks` counts every prompt the same, `mean of families` every family.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from igmu_data.errors import EmptyInputError
from igmu_metrics.scorecard import Figure, Scorecard
from igmu_metrics.verdict.compare import require_comparable

if TYPE_CHECKING:
    from rich.table import Table

METRIC: Final = "attack_success_rate"
FIGURES: Final = ("asr_image", "asr_any@k", "pre_asr", "post_asr")
SCOPES: Final = ("", "conditional_")
TITLES: Final = {"": "all rows", "conditional_": "where the original drew it"}
WHOLE: Final = "all attacks"
MEAN: Final = "mean of families"
_LISTED: Final = 3  # families that a note names one by one
_COUNT: Final = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?= prompts?\b)")


@dataclass(frozen=True, slots=True)
class Line:
    """One family of one model.

    Args:
        family: its name, or WHOLE or MEAN.
        model: the unlearned model.
        figures: by scope and name (`conditional_asr_image`); what the card has not is missing.
    """

    family: str
    model: str
    figures: dict[str, Figure]


def lines(cards: Sequence[Scorecard]) -> list[Line]:
    """Every family with every model, families in alphabetical order between the whole and the mean.

    Raises:
        EmptyInputError: a card without attacks.
        IncomparableError: cards that were not scored alike, such as at different k or with other budgets.
    """
    require_comparable(cards)
    for card in cards:
        if METRIC not in card.scores:
            raise EmptyInputError(f"{card.model}: no adversarial pictures were scored. Draw the split adversarial too.")
    names = dict.fromkeys(name for card in cards for name in _families(card))
    return [
        Line(family, card.model, dict(_figures(card, family)))
        for family in (WHOLE, *sorted(names), MEAN)
        for card in cards
    ]


def tries(card: Scorecard) -> int:
    """The k of `asr_any@k`."""
    return int(card.scores[METRIC].signature["k"])


def shown(name: str, k: int) -> str:
    """A figure's name as a heading, with k as the number it is.

    >>> shown("asr_any@k", 5)
    'asr_any@5'
    """
    return name.replace("@k", f"@{k}")


def tables(cards: Sequence[Scorecard]) -> list[Table]:
    """A table over all rows, and one where the original drew the concept; models of a family below each other."""
    from rich.table import Table

    from igmu_metrics.report.terminal import short

    found, k = lines(cards), tries(cards[0])
    out = []
    for scope in SCOPES:
        if not any(name.startswith("conditional_") == bool(scope) for line in found for name in line.figures):
            continue
        title = f"{cards[0].config}: attack success, {TITLES[scope]} (lower is better, 95 % intervals)"
        table = Table("family", "model", "prompts", "pictures", title=title, title_justify="left")
        for name in FIGURES:
            table.add_column(shown(name, k))
        for at, line in enumerate(found):
            first = at == 0 or found[at - 1].family != line.family
            if first and at:
                table.add_section()
            figures = [line.figures.get(scope + name) for name in FIGURES]
            head = figures[0]
            counts = ("–", "–") if head is None else (str(head.n_prompts), str(head.n_generations))
            table.add_row(line.family if first else "", line.model, *counts, *(short(f) for f in figures))
        table.caption = "\n".join(_notes(found, scope, k)) or None
        table.caption_justify = "left"
        out.append(table)
    return out


def _notes(found: Sequence[Line], scope: str, k: int) -> Iterator[str]:
    """Every caution once, with the figures and families that it is about and the range of prompts that it counts."""
    about: dict[str, dict[str, dict[str, None]]] = {}
    counts: dict[str, list[str]] = {}
    for line in found:
        for name in FIGURES:
            figure = line.figures.get(scope + name)
            for reason in figure.reason.split("; ") if figure is not None and figure.reason else ():
                kind = _COUNT.sub("#", reason, count=1)
                about.setdefault(kind, {}).setdefault(shown(name, k), {})[line.family] = None
                counts.setdefault(kind, []).extend(_COUNT.findall(reason)[:1])
    for kind, figures in about.items():
        listed = (f"{n} of {', '.join(of) if len(of) <= _LISTED else f'{len(of)} lines'}" for n, of in figures.items())
        low, high = min(counts[kind], key=float, default=""), max(counts[kind], key=float, default="")
        yield f"{'; '.join(listed)}: {kind.replace('#', low if low == high else f'{low} to {high}')}"


def _families(card: Scorecard) -> Iterator[str]:
    prefix = f"{FIGURES[0]}/"
    return (name.removeprefix(prefix) for name in card.scores[METRIC].figures if name.startswith(prefix))


def _figures(card: Scorecard, family: str) -> Iterator[tuple[str, Figure]]:
    tail = {WHOLE: "", MEAN: "_family_mean"}.get(family, f"/{family}")
    for scope in SCOPES:
        for name in FIGURES:
            figure = card.figure(METRIC, f"{scope}{name}{tail}")
            if figure is not None:
                yield scope + name, figure
