"""Whether a scorecard meets bounds on its metrics, judged by their whole intervals.

Conventions: a bound is met if the whole 95 % interval is on its good side (an end that equals the bound is on both
sides), not met if the whole interval is on its bad side, and undecided otherwise. Counts are exact; any other metric
without an interval is undecided.

The full name of a metric is `SCORE/METRIC`. Shorter names are accepted if they are unambiguous: the metric's name alone
if only one score has it (or only one score of a whole card, such as `concept_accuracy` next to
`concept_accuracy/negation`), the score's name for its headline, and `asr` for the headline of `attack_success_rate`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from igmu_data.errors import EmptyInputError, InputError, nearest
from igmu_metrics import registry
from igmu_metrics.scorecard import Figure, Scorecard
from igmu_metrics.statistics.formatting import bounds, formatted

FORGET_SCORE: Final = "forget_score/forget_score"
_FEW: Final = 6  # figures that an error lists
_SHORT: Final = {"asr": "attack_success_rate"}


class Outcome(StrEnum):
    """The outcome of one bound, or of all of them."""

    MET = "met"
    NOT_MET = "not met"
    UNDECIDED = "undecided"

    @property
    def exit_code(self) -> int:
        """The exit code of `igmu check`: 0, 1 or 3."""
        return {"met": 0, "not met": 1}.get(self, 3)


@dataclass(frozen=True, slots=True)
class Criterion:
    """A bound on one metric.

    Args:
        name: name of the metric, as given.
        bound: the number.
        least: whether it is a lower bound (`--min`); otherwise it is an upper bound (`--max`).
    """

    name: str
    bound: float
    least: bool

    def __str__(self) -> str:
        """`>= 0.8`."""
        return f"{'>=' if self.least else '<='} {self.bound:g}"

    def outcome(self, name: str, figure: Figure) -> Outcome:
        """Whether an interval meets the bound.

        Args:
            name: the metric's full name, by which counts are recognized.
            figure: the metric, with a value.
        """
        ends = bounds(figure)
        if ends is None and figure.value is not None and name.rpartition("/")[2].startswith("n_"):
            ends = (figure.value, figure.value)
        if ends is None:
            return Outcome.UNDECIDED
        low, high = ends
        if low >= self.bound if self.least else high <= self.bound:
            return Outcome.MET
        return Outcome.NOT_MET if (high < self.bound if self.least else low > self.bound) else Outcome.UNDECIDED


@dataclass(frozen=True, slots=True)
class Checked:
    """One bound on one card.

    Args:
        model: the card's model.
        config: what it was scored on.
        figure: full name of the metric.
        at_least: whether the bound is a lower bound.
        bound: the number.
        value: the value of the metric.
        interval: its 95 % interval, None if there is none.
        outcome: met, not met or undecided.
    """

    model: str
    config: str
    figure: str
    at_least: bool
    bound: float
    value: float
    interval: tuple[float, float] | None
    outcome: Outcome

    def line(self, *, on: bool) -> str:
        """`met: esd: forgetting 0.91 [0.85, 0.95] >= 0.8`; with `on`, the config is included."""
        where = f" on {self.config}" * on
        none = " (no interval)" * (self.interval is None)
        sign = ">=" if self.at_least else "<="
        short = self.figure.partition("/")[2]
        return f"{self.outcome}: {self.model}{where}: {short} {formatted(self, '.3g')}{none} {sign} {self.bound:g}"


def figures(card: Scorecard) -> dict[str, Figure]:
    """All metrics of a card by their full names, `SCORE/METRIC`."""
    return {f"{score}/{name}": f for score, entry in card.scores.items() for name, f in entry.figures.items()}


def parsed(text: str, *, least: bool) -> Criterion:
    """A criterion from the command line.

    Raises:
        InputError: not of the form NAME=NUMBER.

    >>> parsed("asr_any@k=0.1", least=False)
    Criterion(name='asr_any@k', bound=0.1, least=False)
    """
    name, equals, number = (part.strip() for part in text.rpartition("="))
    flag = "--min" if least else "--max"
    try:
        bound = float(number)
    except ValueError:
        bound = math.nan
    if not (name and equals) or not math.isfinite(bound):
        raise InputError(f"{flag} is {text!r}; it must have the form METRIC=NUMBER, such as {flag} forgetting=0.8.")
    return Criterion(name, bound, least)


def full_name(card: Scorecard, name: str) -> str:
    """The full name of a metric of a card.

    Raises:
        InputError: the card has no such metric (the message gives similar names), or several with this name.
    """
    known = figures(card)
    name = _SHORT.get(name, name)
    if name in known:
        return name
    if (entry := card.scores.get(name)) is not None:
        info = registry.info(entry.name, entry.package)
        if info is not None and f"{name}/{info.headline}" in known:
            return f"{name}/{info.headline}"
    found = [f"{score}/{name}" for score, entry in card.scores.items() if name in entry.figures]
    whole = [full for full in found if full == f"{card.scores[full.removesuffix(f'/{name}')].name}/{name}"]
    for some in (found, whole):
        if len(some) == 1:
            return some[0]
    where = f"the scorecard of {card.model} on {card.config}"
    if found:
        raise InputError(f"{where} has several metrics {name!r}: {', '.join(found)}. Use one of these full names.")
    names = {figure: None for entry in card.scores.values() for figure in entry.figures}
    alike = nearest(name, known if "/" in name else [*names, *_SHORT])
    few = f"; it has {', '.join(names)}." if len(names) <= _FEW else "."
    guess = f"; did you mean {' or '.join(map(repr, alike))}?" if alike else few
    raise InputError(f"{where} has no metric {name!r}{guess} To list all metrics, run: igmu export --csv")


def check(cards: Sequence[Scorecard], criteria: Sequence[Criterion]) -> list[Checked]:
    """Check all criteria on all cards of unlearned models; cards of the original itself are skipped.

    Raises:
        EmptyInputError: no criteria, or no card of an unlearned model.
        InputError: metrics that a card lacks or that have no value, or bounds that no share can miss or meet; the
            message names all of them.
    """
    if not criteria:
        raise EmptyInputError(
            "no bounds were given. Specify at least one, such as --min forgetting=0.8 or --max asr=0.1."
        )
    judged = [c for c in cards if c.model != c.original_model]
    if not judged:
        raise EmptyInputError("none of the scorecards is for an unlearned model. Specify at least one that is.")
    found, wrong = [], []
    for card in judged:
        known = figures(card)
        if card.unfounded:
            wrong.append(
                f"the scorecard of {card.model} on {card.config} contains no verdict: {card.unfounded}. Score again "
                "with another detector."
            )
        for criterion in criteria:
            try:
                name = full_name(card, criterion.name)
            except InputError as error:
                wrong.append(str(error))
                continue
            figure = known[name]
            if why := beyond(card, name, criterion.bound):
                wrong.append(f"{criterion.name}={criterion.bound:g}: {why}")
                continue
            if figure.value is None:
                why = f" ({figure.reason})" if figure.reason else ""
                wrong.append(f"the scorecard of {card.model} on {card.config} has no value for {name}{why}.")
                continue
            found.append(
                Checked(card.model, card.config, name, criterion.least, criterion.bound, figure.value, bounds(figure),
                        criterion.outcome(name, figure))
            )  # fmt: skip
    if wrong:
        raise InputError("\n".join(dict.fromkeys(wrong)))
    return found


def beyond(card: Scorecard, name: str, bound: float) -> str:
    """Why a bound says nothing about a figure: that is a share, and the bound is none, such as percent; else "".

    Args:
        card: which has the figure.
        name: the figure's full name.
        bound: the number.
    """
    own = name.rpartition("/")[2]
    entry = next(entry for named, entry in card.scores.items() if name.startswith(f"{named}/"))
    info = registry.info(entry.name, entry.package)
    if info is None or info.range != (0.0, 1.0) or 0 <= bound <= 1:
        return ""
    if own.startswith("n_") or (entry.package and own != info.headline):
        return ""
    return f"{own} lies in 0..1, so this bound is the same for every model. Use a fraction, not a percentage."


def overall(outcomes: Iterable[Outcome]) -> Outcome:
    """The overall outcome: not met if any is not met, otherwise undecided if any is undecided, otherwise met."""
    seen = set(outcomes)
    return next((o for o in (Outcome.NOT_MET, Outcome.UNDECIDED) if o in seen), Outcome.MET)
