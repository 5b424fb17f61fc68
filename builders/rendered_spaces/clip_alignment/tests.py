"""Cases that hold for any CLIP model, worked by hand: `pytest tests.py`."""

import pytest
from PIL import Image

from igmu_metrics import spaces

PROMPTS = ["a red square", "a blue square"]


def pictures():
    """Plain squares."""
    return [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]


def test_three_scales_of_one_cosine(**options):
    """clipscore = 100·max(cos, 0) and hessel = 2.5·max(cos, 0): 40 times as much, whatever the model."""
    found = spaces.compute("clip_alignment", pictures(), PROMPTS, **options)
    assert found["clipscore"] == pytest.approx(40 * found["hessel"])
    assert -1 <= found["cosine"] <= 1


def test_an_untouched_model_has_no_csdr(**options):
    """The same images before and after: |s − s|/s = 0."""
    more = {"original_images": pictures(), "stripped_prompts": ["a square", "a square"]}
    found = spaces.compute("clip_alignment", pictures(), PROMPTS, **more, **options)
    if found["n_unscored_pairs"] < len(PROMPTS):
        assert (found["csdr"], found["csdr_signed"]) == pytest.approx((0, 0), abs=1e-6)


def test_each_image_needs_its_prompt(**options):
    """One prompt an image."""
    with pytest.raises(ValueError, match="2 predictions and 1 references"):
        spaces.compute("clip_alignment", pictures(), PROMPTS[:1], **options)
