"""Cases that hold for any features, worked by hand: `pytest tests.py`."""

import pytest
from PIL import Image

from igmu_metrics import spaces

COLOURS = ["red", "green", "blue", "white", "black", "orange"]


def pictures(colours):
    """Plain squares."""
    return [Image.new("RGB", (64, 64), colour) for colour in colours]


def test_a_set_is_at_distance_zero_from_itself(**options):
    """Equal means and covariances, in whatever order the images come."""
    found = spaces.compute("frechet", pictures(COLOURS), pictures(COLOURS[::-1]), **options)
    assert found["frechet_distance"] == pytest.approx(0, abs=1e-3)


def test_another_set_is_farther(**options):
    """Two colours of six, three times each, are not the same set."""
    near = spaces.compute("frechet", pictures(COLOURS), pictures(COLOURS), **options)
    far = spaces.compute("frechet", pictures(COLOURS[:2] * 3), pictures(COLOURS), **options)
    assert far["frechet_distance"] > near["frechet_distance"]


def test_nothing_is_refused(**options):
    """No images, no score."""
    with pytest.raises(ValueError, match="no predictions"):
        spaces.compute("frechet", [], [], **options)
