"""Concept accuracy for machine unlearning in image generators.

How often the target concept is gone, and how often every other concept is still drawn.
"""

import evaluate

import igmu_metrics.spaces  # From: igmu

_INPUTS = """
- predictions: label that a classifier sees in each image of the unlearned model, domain/concept; None where it
  abstained.
- references: label that was asked for, in the domain judged. An image judged in two domains is two entries.
- target: the concept to forget.
- Options: include_none, none_labels, prompt_ids, seeds, image_ids, include_target_styled,
  original_predictions (labels of the original model's images) and near; see igmu_metrics.metrics.concept_accuracy.rows.
"""


class ConceptAccuracy(evaluate.Metric):
    """Concept accuracy."""

    def _info(self):
        import datasets

        return evaluate.MetricInfo(
            description=__doc__,
            citation="",
            inputs_description=_INPUTS,
            features=[
                datasets.Features(
                    {
                        "predictions": datasets.Value("large_string"),
                        "references": datasets.Value("large_string"),
                    }
                ),
            ],
            homepage="https://huggingface.co/spaces/igmu/concept_accuracy",
        )

    def add_batch(self, *, predictions=None, references=None, **kwargs):
        """Add one entry of both for each of several generations."""
        predictions = igmu_metrics.spaces.checked("predictions", predictions)
        references = igmu_metrics.spaces.checked("references", references)
        super().add_batch(predictions=predictions, references=references, **kwargs)

    def _compute(self, predictions, references, **options):
        return igmu_metrics.spaces.compute("concept_accuracy", predictions, references, **options)
