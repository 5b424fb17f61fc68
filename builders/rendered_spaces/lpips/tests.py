"""Cases that hold for any weights, worked by hand: `pytest tests.py`."""

import pytest
from PIL import Image

from igmu_metrics import spaces


def pictures(*colours):
    """Plain squares."""
    return [Image.new("RGB", (64, 64), colour) for colour in colours]


def test_equal_images_are_at_distance_zero(**options):
    """Every network gives equal images equal features."""
    found = spaces.compute("lpips", pictures("red", "blue"), pictures("red", "blue"), **options)
    assert found["lpips"] == pytest.approx(0, abs=1e-9)


def test_other_images_are_not(**options):
    """One pair of two is equal: the mean is half the distance of the other."""
    both = spaces.compute("lpips", pictures("red", "white"), pictures("red", "black"), **options)
    one = spaces.compute("lpips", pictures("white"), pictures("black"), **options)
    assert 0 < both["lpips"] == pytest.approx(one["lpips"] / 2)


def test_each_image_needs_its_original(**options):
    """One original an image."""
    with pytest.raises(ValueError, match="2 predictions and 1 references"):
        spaces.compute("lpips", pictures("red", "blue"), pictures("red"), **options)
