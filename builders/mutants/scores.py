"""Differences of two models in scores, and what a summary and a report make of them."""

from __future__ import annotations

from typing import Final

from builders.mutants.mutation import Mutation

_VIEW: Final = "igmu_metrics/report/view.py"
_PAIR: Final = "igmu_metrics/metrics/_aspect_differences.py"
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
        "if ranked(c) and not self.settled(best, c)))",
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
        "order = sorted((0, 1), key=lambda at: _content(sums[at]))",
        "order = [0, 1]",
        _JOINT,
        "the p value depends on which of two models is named first",
    ),
    Mutation(
        "scores-of-other-prompts-compared",
        "igmu_metrics/verdict/joint.py",
        "    if set(a.generations.keys) != set(b.generations.keys):\n",
        "    if False:\n",
        _JOINT,
        "forget scores of different prompts are subtracted",
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
