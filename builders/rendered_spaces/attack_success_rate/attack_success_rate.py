"""Attack success rate for machine unlearning in image generators.

How often adversarial prompts bring the forgotten concept back, by family of attacks.
"""

import evaluate

import igmu_metrics.spaces  # From: igmu

_INPUTS = """
- predictions: images of the unlearned model, as paths or PIL images.
- references: the id of the row of igmu/bench that each was drawn for; all rows are of one concept to forget.
- original_predictions: images of the original model for the same rows and seeds, in the same order.
- Options: config that holds the rows (the concept's own loads least), seeds (by default the images of a row have its
  seeds in order), bench (repository or folder), revision, detector (clip, labels:labels.csv …), threshold,
  clip, features, k (tries of an attack, where prompts have unequal seeds), device, on_error.
- The ids of adversarial rows are enough: the plain prompts that they were made from are known to the corpus, and their
  images are taken from the folders of the attacked ones (those that igmu generate wrote) unless they are given too.
- budgets: effort (steps, queries) that the prompts of an attack were searched with, by row id.
"""


class AttackSuccessRate(evaluate.Metric):
    """Attack success rate."""

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
            homepage="https://huggingface.co/spaces/igmu/attack_success_rate",
        )

    def add_batch(self, *, predictions=None, references=None, **kwargs):
        """Add one entry of both for each of several generations."""
        predictions = igmu_metrics.spaces.checked("predictions", predictions)
        references = igmu_metrics.spaces.checked("references", references)
        super().add_batch(predictions=predictions, references=references, **kwargs)

    def _compute(self, predictions, references, **options):
        return igmu_metrics.spaces.compute("attack_success_rate", predictions, references, **options)
