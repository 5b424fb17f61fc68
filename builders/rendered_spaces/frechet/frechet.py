"""Fréchet distance, KID and CMMD for machine unlearning in image generators.

Distance between the feature distributions of unlearned and original images.
"""

import evaluate

import igmu_metrics.spaces  # From: igmu

_INPUTS = """
- predictions: images of the unlearned model, as paths or PIL images.
- references: images of the original model for the same prompts and seeds, in the same order.
- Options: ids and seeds (the prompt each image belongs to), backbone (NAME:WEIGHTS), device, on_error and the
  others of igmu_metrics.metrics.frechet.rows.
"""


class Frechet(evaluate.Metric):
    """Fréchet distance, KID and CMMD."""

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
                        "references": datasets.Image(),
                    }
                ),
            ],
            homepage="https://huggingface.co/spaces/igmu/frechet",
        )

    def add_batch(self, *, predictions=None, references=None, **kwargs):
        """Add one entry of both for each of several generations."""
        predictions = igmu_metrics.spaces.checked("predictions", predictions)
        references = igmu_metrics.spaces.checked("references", references)
        super().add_batch(predictions=predictions, references=references, **kwargs)

    def _compute(self, predictions, references, **options):
        return igmu_metrics.spaces.compute("frechet", predictions, references, **options)
