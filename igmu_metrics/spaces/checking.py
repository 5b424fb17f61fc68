"""The checks in the `tests.py` of a metric's Space, which are the same for every metric."""

from __future__ import annotations

import doctest
import inspect

from igmu_data.errors import EmptyInputError, LengthMismatchError
from igmu_metrics.spaces.scoring import compute


def check(name: str) -> None:
    """Check that the installed metric gives the results in its docstrings and refuses incomplete calls.

    >>> check("concept_accuracy")

    Args:
        name: the metric.

    Raises:
        AssertionError: it does not; the failed examples are printed.
        UnknownMetricError: the name is unknown; the message suggests similar names.
    """
    from igmu_metrics import registry

    done = doctest.testmod(inspect.getmodule(registry.metric(name).score))
    assert done.attempted, f"{name}: the docstrings contain no examples"
    assert not done.failed, f"{name}: {done.failed} of {done.attempted} example lines give a different result"
    for predictions, references, error in (([], [], EmptyInputError), (["a", "b"], ["a"], LengthMismatchError)):
        try:
            compute(name, predictions, references)
        except error:
            continue
        raise AssertionError(f"{name}: {len(predictions)} predictions and {len(references)} references were accepted")
