"""Labelled renders of the sandbox as a dataset, rendered on demand without a download."""

from __future__ import annotations

from typing import Any

from igmu_data.sandbox import labelled
from igmu_data.sandbox.render import render


def splits() -> Any:
    """A DatasetDict of `train` and `test` with columns image, label and concept, like the published config."""
    import datasets

    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=list(labelled.labels())),
            "concept": datasets.Value("string"),
        }
    )
    return datasets.DatasetDict({split: _drawn(split, features) for split in labelled.COUNTS})


def _drawn(split: str, features: Any) -> Any:
    import datasets
    from PIL import Image

    found = list(labelled.scenes(split))
    columns = {
        "image": [Image.fromarray(render(scene)) for scene in found],
        "label": [labelled.label(scene) for scene in found],
        "concept": [scene.object for scene in found],
    }
    return datasets.Dataset.from_dict(columns, features=features)
