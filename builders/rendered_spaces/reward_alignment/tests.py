"""Tests of this Space; run them with `pytest tests.py`."""

import igmu_metrics.spaces


def test_space():
    """The examples in the metric's docstrings give the stated results, and incomplete calls are refused."""
    igmu_metrics.spaces.check("reward_alignment")
