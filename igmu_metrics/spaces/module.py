"""The `evaluate.Metric` of a Space, made from the metric's INFO and docstrings."""

from __future__ import annotations

from typing import Any

from igmu_metrics.spaces.inputs import KINDS, described, references_of
from igmu_metrics.spaces.scoring import compute, entries


def metric_class(name: str, module: str, *, owner: str = "igmu") -> type[Any]:
    """The class of which `evaluate.load` makes an instance.

    Args:
        name: the metric.
        module: `__name__` of the script in whose namespace the class is.
        owner: owner of the Space.

    Returns:
        A subclass of `evaluate.Metric`. The script gives it its own name (`class_name`), which pickling requires.

    Raises:
        UnknownMetricError: the name is unknown; the message suggests similar names.
    """
    import evaluate

    from igmu_metrics import registry

    about, kind = registry.metric(name).INFO, KINDS[references_of(name)]

    class Space(evaluate.Metric):  # type: ignore[misc] # evaluate has no types
        def _info(self) -> Any:
            import datasets

            columns = {"image": datasets.Image()} | {t: datasets.Value(t) for t in ("string", "large_string")}
            return evaluate.MetricInfo(
                description=f"{about.title} for machine unlearning in image generators.\n\n{about.summary}\n",
                citation="\n".join(about.references),
                inputs_description="\n" + described(name).replace("`", "") + "\n",
                features=[
                    datasets.Features({"predictions": columns[predictions], "references": columns[references]})
                    for predictions, references in kind.columns
                ],
                homepage=f"https://huggingface.co/spaces/{owner}/{name}",
            )

        def add_batch(self, *, predictions: Any = None, references: Any = None, **kwargs: Any) -> None:
            """Add one prediction and one reference for each of several generations."""
            predictions, references = entries(name, predictions, references)
            super().add_batch(predictions=predictions, references=references, **kwargs)

        def add(self, *, prediction: Any = None, reference: Any = None, **kwargs: Any) -> None:
            """Add one prediction and one reference."""
            self.add_batch(predictions=[prediction], references=[reference], **kwargs)

        def _compute(self, predictions: Any, references: Any, **options: Any) -> dict[str, float | int | str]:
            return compute(name, predictions, references, **options)

    Space.__name__ = Space.__qualname__ = class_name(name)
    Space.__module__, Space.__doc__ = module, f"{about.title}."
    return Space


def class_name(name: str) -> str:
    """The class name from which `evaluate` derives the metric's name.

    >>> class_name("attack_success_rate")
    'AttackSuccessRate'
    """
    return "".join(part.capitalize() for part in name.split("_"))
