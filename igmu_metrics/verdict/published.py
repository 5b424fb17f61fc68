"""Compares proportions from a published table, using only counts: do the intervals settle a ranking?

Conventions: models in one table are treated as measured on different prompts, because a table does not show which model
failed on which prompt. It uses Wilson intervals, Fisher's exact test and Newcombe's interval for the difference. Pairs
would be more informative (`igmu compare` with scorecards). p values are corrected together by Holm's method within a
measure; intervals are not adjusted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Final

from igmu_data.errors import DuplicateIdError, EmptyInputError, MetadataError
from igmu_data.numerals import counted
from igmu_metrics.contract import Interval
from igmu_metrics.statistics import holm, overlap, unpaired_difference, wilson
from igmu_metrics.statistics.formatting import p_value
from igmu_metrics.verdict import typed
from igmu_metrics.verdict.compare import ALPHA, UNADJUSTED
from igmu_metrics.verdict.counts import Printed, doubts, numbers
from igmu_metrics.verdict.typed import LINE

TEST: Final = "fisher"
ASSUMED: Final = (
    "The test is Fisher's exact test, and intervals for differences are Newcombe's. The unit is one of the n trials, "
    "and all trials are treated as independent, because published numbers do not show which of them belong to the same "
    "prompt. If n counts several images per prompt, intervals may be too narrow and p values too small. If the printed "
    "digits allow several counts, the interval covers all of them, and the p value is the largest."
)
MODEL, MEASURE = "model", "measure"
_LISTED: Final = 5
FORMAT: Final = (
    "a header and one line per model: model, n, and either value (0..1) or percent, or successes (a count); if there "
    "are several measures, a column measure groups the lines."
)


@dataclass(frozen=True, slots=True)
class Proportion:
    """One published number.

    Args:
        model: name of the model.
        measure: what was measured; "" if the table has no such column.
        successes: the count, as printed, or the one closest to the printed share.
        n: number of trials.
        rounded: the smallest and the largest count that are printed as this share; None if the count was printed.
    """

    model: str
    measure: str
    successes: int
    n: int
    rounded: tuple[int, int] | None = None

    @property
    def value(self) -> float:
        """The share."""
        return self.successes / self.n

    @property
    def ends(self) -> tuple[int, int]:
        """The smallest and the largest possible count."""
        return self.rounded or (self.successes, self.successes)

    @property
    def interval(self) -> Interval:
        """Its 95% interval (Wilson), from the lowest end for any possible count to the highest."""
        least, most = self.ends
        return wilson(least, self.n)[0], wilson(most, self.n)[1]


@dataclass(frozen=True, slots=True)
class Unpaired:
    """A comparison of two published numbers.

    Args:
        first: one number.
        second: the other number.
        difference: first minus second.
        interval: 95% interval for the difference.
        p: uncorrected p value of Fisher's exact test, the largest for all possible counts.
        p_holm: p value corrected for all comparisons of the measure.
    """

    first: Proportion
    second: Proportion
    difference: float
    interval: Interval
    p: float
    p_holm: float

    @property
    def overlap(self) -> bool:
        """Whether the intervals of the two numbers share a point, so that they do not settle the ranking."""
        return overlap(self.first.interval, self.second.interval)

    @property
    def significant(self) -> bool:
        """Whether the difference is significant at 5% after the correction."""
        return self.p_holm <= ALPHA

    def sentence(self) -> str:
        """The comparison in words."""
        of = f" in {self.first.measure}" if self.first.measure else ""
        intervals = "the intervals overlap" if self.overlap else "the intervals do not overlap"
        return (
            f"{self.first.model} against {self.second.model}{of}: {self.difference:+.3f} "
            f"({UNADJUSTED} {self.interval[0]:+.3f} to {self.interval[1]:+.3f}); {intervals}; "
            f"{'' if self.significant else 'not '}significant ({p_value(self.p_holm)} after Holm correction)"
        )


class Published(list[Proportion]):
    """The numbers of a table.

    Args:
        found: the numbers.
        notes: what readers of the comparison need to know about how the table was read.
    """

    def __init__(self, found: Iterable[Proportion], notes: Sequence[str]) -> None:
        super().__init__(found)
        self.notes = notes


def read_published(path: Path) -> Published:
    """The numbers of a table; lines without a number are left out, and a note says so.

    Raises:
        MetadataError: a column or cell that is missing or not a number, or a share that is impossible for its n.
        EmptyInputError: no lines, or no numbers.
        DuplicateIdError: a model twice in one measure.
    """
    found: dict[tuple[str, str], Proportion] = {}
    table = typed.read(path, FORMAT)
    read = list(numbers(path, table, FORMAT))
    doubted = doubts([number for _, number in read if number is not None])
    for row, number in read:
        place, key = f"{path}, line {row[LINE]}", (row.get(MEASURE, ""), row.get(MODEL, ""))
        if not key[1]:
            raise MetadataError(f"{place}: the line must have a model. The table must have {FORMAT}")
        if key in found:
            raise DuplicateIdError(
                f"{place}: {row[MODEL]!r} appears twice. If the lines contain different measures, add a 'measure' "
                "column to distinguish them."
            )
        if number is not None:
            found[key] = Proportion(key[1], key[0], *_counts(place, number, doubted))
    if not found:
        raise EmptyInputError(f"{path} contains no numbers. The table must have {FORMAT}")
    alike = [
        f"{what} {' and '.join(map(repr, names))} differ only in capital letters, and are treated as different"
        for what, column in (("the measures", 0), ("the models", 1))
        for names in _alike(key[column] for key in found)
    ]
    lost = [row[LINE] for row, number in read if number is None]
    listed = ", ".join(lost[:_LISTED]) + (", …" if len(lost) > _LISTED else "")
    left_out = [f"{counted(len(lost), 'line')} without a number left out ({listed})"] * bool(lost)
    return Published(found.values(), [*table.notes, *doubted, *alike, *left_out])


def _alike(names: Iterable[str]) -> list[list[str]]:
    """The names that differ only in capital letters, in groups."""
    groups: dict[str, dict[str, None]] = {}
    for name in names:
        groups.setdefault(name.casefold(), {})[name] = None
    return [list(group) for group in groups.values() if len(group) > 1]


def _counts(place: str, number: Printed, doubted: Sequence[str]) -> tuple[int, int, tuple[int, int] | None]:
    """The count, n, and the smallest and largest count that are printed like this."""
    n = number.n
    if number.wrong:
        raise MetadataError(
            f"{place}: {number.wrong}. Correct the number.{''.join(f' Note: {doubt}.' for doubt in doubted)}"
        )
    least, most = min(number.counts), max(number.counts)
    closest = min(number.counts, key=lambda k: abs(k - number.share * n))
    return closest, n, None if number.successes is not None else (least, most)


def compare_published(found: Sequence[Proportion]) -> list[Unpaired]:
    """Compare every model with every other, within each measure."""
    out = []
    for measure in dict.fromkeys(p.measure for p in found):
        pairs = []
        for a, b in combinations([p for p in found if p.measure == measure], 2):
            ends = [unpaired_difference(x, a.n, y, b.n)[1] for x in a.ends for y in b.ends]
            interval = (min(low for low, _ in ends), max(high for _, high in ends))
            pairs.append(Unpaired(a, b, a.value - b.value, interval, _largest_p(a, b), 1.0))
        out += [replace(c, p_holm=p) for c, p in zip(pairs, holm([c.p for c in pairs]), strict=True)]
    return out


def _largest_p(a: Proportion, b: Proportion) -> float:
    """Fisher's p value of the two possible counts that are closest to each other, 1 if the shares may be equal."""
    from scipy.stats import fisher_exact

    low, high = sorted((a, b), key=lambda one: one.value)
    x, y = low.ends[1], high.ends[0]
    if x / low.n >= y / high.n:
        return 1.0
    return min(1.0, float(fisher_exact([[x, low.n - x], [y, high.n - y]]).pvalue))
