"""Embeddings of texts: every distinct one is run once, here and in later runs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from igmu_metrics.contract import FloatArray
from igmu_metrics.networks.instruments import Backbone, feature_key
from igmu_metrics.networks.store import Store


def embedded(backbone: Backbone, texts: Sequence[str], store: Store | None = None) -> FloatArray:
    """(n, d) text features.

    Args:
        backbone: embeds them.
        texts: (n,) texts.
        store: keeps embeddings.
    """
    key = feature_key(backbone, texts=True)
    distinct = {text: hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest() for text in texts}
    found: dict[str, FloatArray] = {}
    if store is not None:
        for text, sha in distinct.items():
            if (row := store.get(sha, [key]).get(key)) is not None:
                found[text] = row
    missing = [text for text in distinct if text not in found]
    if missing:
        fresh = backbone.text_features(missing)
        found |= dict(zip(missing, fresh, strict=True))
        if store is not None:
            store.put(key, [(distinct[text], row) for text, row in zip(missing, fresh, strict=True)])
    return np.stack([found[text] for text in texts])
