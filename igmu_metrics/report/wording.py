"""Numbers in words: words for intervals, percentages, counts and lists.

Conventions: a word depends on the whole interval, never only on the value. For a metric whose ideal is 1, the first
word requires an interval above 0.8, the second one above 0.5, the third one below 0.5, and the last one below 0.2;
otherwise the word is `undecided`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from igmu_data.numerals import counted
from igmu_metrics.scorecard import Figure
from igmu_metrics.statistics.formatting import DASH, between, bounds, number, value_of

UNDECIDED: Final = "undecided"
NOT_MEASURED: Final = "not measured"
NOT_SETTLED: Final = "not settled"
NO_VERDICT: Final = "no verdict"
Words = tuple[str, str, str, str]
DEGREES: Final[Words] = ("yes", "mostly", "hardly", "no")
_BANDS: Final = ((-0.1, 0.2), (0.2, 0.5), (0.5, 0.8), (0.8, 1.1))
# By the reason why an aspect is missing, what provides it, whichever command prints it (run, score, report).
_STEPS: Final = {
    "no cosines given": "add --clip",
    "no features given": "add --clip",
    "not defined without retain prompts with at least two seeds": "generate with --seeds-per-row 2",
}


def grade(figure: Figure | None, words: Words) -> str:
    """The word for a metric, one of four from best to worst.

    >>> some = Figure(value=0.9, interval=(0.81, 0.97), n_prompts=50, n_generations=50)
    >>> grade(some, ("yes", "mostly", "hardly", "no"))
    'yes'
    """
    if figure is None or figure.value is None:
        return NOT_MEASURED
    if (ends := bounds(figure)) is None:
        return UNDECIDED
    low, high = ends
    best, good, bad, worst = words
    if low > 0.5:
        return best if low > 0.8 else good
    if high < 0.5:
        return worst if high < 0.2 else bad
    return UNDECIDED


def doubt(figure: Figure | None, words: Words) -> float | None:
    """The end of the interval because of which a value that is printed as 100% or 0% does not have the outer word.

    >>> all_kept = Figure(value=1.0, interval=(0.7, 1.0), n_prompts=9, n_generations=9)
    >>> grade(all_kept, DEGREES), doubt(all_kept, DEGREES)
    ('mostly', 0.7)
    """
    ends, value = bounds(figure), value_of(figure)
    if ends is None or value is None or grade(figure, words) not in words[1:3]:
        return None
    return {"100": ends[0], "0": ends[1]}.get(number(100 * value, ".0f"))


def cautious(figure: Figure | None, words: Words) -> str:
    """The word for a metric; where it seems to contradict the value, with the end of the interval that explains it.

    >>> cautious(Figure(value=1.0, interval=(0.7, 1.0), n_prompts=9, n_generations=9), DEGREES)
    'mostly (≥ 0.70)'
    """
    word, end = grade(figure, words), doubt(figure, words)
    if end is None:
        return word
    return f"{word} ({'≥' if word == words[1] else '≤'} {number(end)})"


def final(figure: Figure | None) -> bool:
    """Whether an interval lies within the range of one word, so that a narrower interval would give the same word."""
    ends = bounds(figure)
    return ends is not None and any(low < ends[0] and ends[1] < high for low, high in _BANDS)


def cured(reason: str) -> str:
    """A reason why something is missing, with the step that provides it.

    >>> cured("missing: alignment (no cosines given)")
    'missing: alignment (no cosines given: add --clip)'
    """
    for why, step in _STEPS.items():
        reason = reason.replace(why, f"{why}: {step}")
    return reason


def percent(figure: Figure | None) -> str:
    """`83%`, or a dash."""
    value = value_of(figure)
    return DASH if value is None else f"{number(100 * value, '.0f')}%"


def behind(figure: Figure) -> str:
    """The interval, and the number of images and prompts."""
    interval = between(figure, "95% interval {}–{}%", ".0f", scale=100, missing="no interval")
    return f"{interval}; {counted(figure.n_generations, 'image')} of {counted(figure.n_prompts, 'prompt')}"


def rest(figure: Figure) -> Figure:
    """One minus the metric, such as the success rate of attacks from a robustness."""
    ends = bounds(figure)
    return figure.model_copy(
        update={
            "value": None if figure.value is None else 1 - figure.value,
            "interval": ends and (1 - ends[1], 1 - ends[0]),
        }
    )


def listed(names: Sequence[str]) -> str:
    """`esd`, `esd and uce`, `esd, mace and uce`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def sentence(text: str) -> str:
    """With a capital letter and a full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
