"""Scores of images and prompts by a model with its own scale."""

from __future__ import annotations

from igmu_metrics.distances.gaussian import unit_rows
from igmu_metrics.generations import ORIGINAL, Generations
from igmu_metrics.metrics.clip_alignment import cosine
from igmu_metrics.networks.instruments import Backbone
from igmu_metrics.networks.store import Store
from igmu_metrics.networks.texts import embedded
from igmu_metrics.statistics import validation


def rewarded(table: Generations, backbone: Backbone | None, store: Store | None = None) -> Generations:
    """The table with `reward` of both models: scale · cosine of image and prompt + bias, with the backbone's values.

    Args:
        table: `prompt` and `align_features` of both models; returned unchanged without prompts.
        backbone: has `logit_scale` and possibly `logit_bias`; None to return the table unchanged.
        store: cache for embeddings of prompts.

    Raises:
        NonFiniteError: the backbone's scale or bias is not a finite number.
    """
    if backbone is None or "prompt" not in table or not len(table) or not (table["prompt"] != "").all():
        return table
    scale, bias = (float(getattr(backbone, f"logit_{name}", usual)) for name, usual in (("scale", 1.0), ("bias", 0.0)))
    validation.numbers(f"scale and bias of {backbone.info.name}", [scale, bias])
    words = unit_rows("text_features", embedded(backbone, table["prompt"].tolist(), store))
    found = {}
    for suffix in ("", ORIGINAL):
        images = unit_rows("align_features", table[f"align_features{suffix}"])
        found[f"reward{suffix}"] = scale * cosine("align_features", images, "text_features", words) + bias
    return table.with_columns(**found)
