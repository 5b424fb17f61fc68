"""What this Space promises: `pytest tests.py`."""

import igmu_metrics.spaces


def test_space():
    """The examples worked by hand in the metric's docstrings hold, and half a call is refused."""
    igmu_metrics.spaces.check("reward_alignment")
