"""What the `tests.py` of a metric's Space checks, the same for every metric."""

from __future__ import annotations

import doctest
import inspect

from igmu_data.errors import EmptyInputError, LengthMismatchError
from igmu_metrics.spaces.scoring import compute


def check(name: str) -> None:
    """Whether the metric that is installed does what its docstrings work out by hand, and refuses half a call.

    >>> check("concept_accuracy")

    Args:
        name: the metric.

    Raises:
        AssertionError: it does not; the examples that failed are printed.
        UnknownMetricError: with the nearest names.
    """
    from igmu_metrics import registry

    done = doctest.testmod(inspect.getmodule(registry.metric(name).score))
    assert done.attempted, f"{name}: no docstring works out an example"
    assert not done.failed, f"{name}: {done.failed} of {done.attempted} lines of examples give something else"
    for predictions, references, error in (([], [], EmptyInputError), (["a", "b"], ["a"], LengthMismatchError)):
        try:
            compute(name, predictions, references)
        except error:
            continue
        raise AssertionError(f"{name}: {len(predictions)} predictions and {len(references)} references were accepted")
