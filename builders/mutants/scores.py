"""Differences of two models in scores, and what a summary and a report make of them."""

from __future__ import annotations

from typing import Final

from builders.mutants.mutation import Mutation

_VIEW: Final = "igmu_metrics/report/view.py"
_PAIR: Final = "igmu_metrics/metrics/_aspect_differences.py"
_CARDS: Final = "igmu_metrics/verdict/joint.py"
_TESTS: Final = "igmu_metrics/statistics/significance.py"
_JOINT: Final = ("tests/test_joint.py",)

MUTATIONS: Final[tuple[Mutation, ...]] = (
    Mutation(
        "missing-interval-settles",
        _VIEW,
        "return first is not None and second is not None and not overlap(first, second)",
        "return first is None or second is None or not overlap(first, second)",
        ("tests/test_report.py::test_a_rank_that_intervals_leave_open_says_so",),
        "a rank is called settled because an interval is missing",
    ),
    Mutation(
        "first-without-a-test",
        _VIEW,
        "if not self.settled(best, c)))",
        "if False))",
        _JOINT,
        "a model ranks first although the difference is not significant",
    ),
    Mutation(
        "quality-cancels-out",
        _PAIR,
        "means[1].at(1 - end, level)",
        "means[1].at(end, level)",
        _JOINT,
        "what cannot be resampled makes a difference look more certain than it is",
    ),
    Mutation(
        "models-resampled-apart",
        _PAIR,
        "(slice(width), slice(width, None))",
        "(slice(width), slice(width))",
        _JOINT,
        "the second model is compared with the resampled values of the first",
    ),
    Mutation(
        "order-of-models-changes-the-numbers",
        _PAIR,
        "order = sorted((0, 1), key=lambda at: both.sums[:, at * width : (at + 1) * width].tobytes())",
        "order = [0, 1]",
        _JOINT,
        "the p value depends on which of two models is named first",
    ),
    Mutation(
        "scores-of-other-prompts-compared",
        _CARDS,
        "[key in shared for key in rows.keys]",
        "[True for key in rows.keys]",
        _JOINT,
        "forget scores of different prompts are subtracted",
    ),
    Mutation(
        "quality-of-other-prompts-compared",
        _CARDS,
        'if _of_quality(own[0]) != _of_quality(own[1]) else ""',
        'if False else ""',
        _JOINT,
        "qualities of different prompts are subtracted",
    ),
    Mutation(
        "quality-at-the-level-of-its-card",
        _CARDS,
        "moved(found, look.level if look else LEVEL, confidence())",
        "found.interval",
        _JOINT,
        "the interval of a difference is too narrow if only one of two models was checked several times",
    ),
    Mutation(
        "models-that-left-are-still-counted",
        _TESTS,
        "inside[pair] * len(inside)",
        "inside[pair] * len(pvalues)",
        ("tests/test_leaders.py",),
        "clearly worse models make the leading ones harder to distinguish",
    ),
    Mutation(
        "leaders-without-correction",
        _TESTS,
        "inside[pair] * len(inside)",
        "inside[pair]",
        ("tests/test_leaders.py",),
        "of several equally good models, some are often said to be worse",
    ),
    Mutation(
        "reversed-difference-settles",
        _VIEW,
        "c.p if self._confirms(c) else 1.0",
        "c.p",
        ("tests/test_leaders.py",),
        "a model is not named as leading because it is better on the prompts that both share",
    ),
    Mutation(
        "reason-truncated",
        "igmu_metrics/report/brief.py",
        "None if at in whole else _NOTE",
        "_NOTE",
        ("tests/test_screen.py::test_a_reason_is_never_truncated",),
        "a summary says in part why there is no score",
    ),
)
