"""CLIP alignment and CSDR for machine unlearning in image generators.

How well images match their prompts, and how much of that unlearning changed.
"""

import evaluate

import igmu_metrics.spaces  # From: igmu

_INPUTS = """
- predictions: images of the unlearned model, as paths or PIL images.
- references: the prompt of each.
- Options: original_images and stripped_prompts (both together, for the difference to the original model), ids and
  seeds (the prompt each image belongs to), variant, backbone (clip:FOLDER_OR_ID), device, on_error.
"""


class ClipAlignment(evaluate.Metric):
    """CLIP alignment and CSDR."""

    def _info(self):
        import datasets

        return evaluate.MetricInfo(
            description=__doc__,
            citation="",
            inputs_description=_INPUTS,
            features=[
                datasets.Features(
                    {
                        "predictions": datasets.Value("string"),
                        "references": datasets.Value("string"),
                    }
                ),
                datasets.Features(
                    {
                        "predictions": datasets.Image(),
                        "references": datasets.Value("string"),
                    }
                ),
            ],
            homepage="https://huggingface.co/spaces/igmu/clip_alignment",
        )

    def add_batch(self, *, predictions=None, references=None, **kwargs):
        """Add one entry of both for each of several generations."""
        predictions = igmu_metrics.spaces.checked("predictions", predictions)
        references = igmu_metrics.spaces.checked("references", references)
        super().add_batch(predictions=predictions, references=references, **kwargs)

    def _compute(self, predictions, references, **options):
        return igmu_metrics.spaces.compute("clip_alignment", predictions, references, **options)
