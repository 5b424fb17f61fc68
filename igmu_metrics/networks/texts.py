"""Text features of a backbone: every distinct text is run only once, in this run and in later ones."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

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
    return _once(texts, feature_key(backbone, texts=True), backbone.text_features, store)


def cut(backbone: Backbone, texts: Sequence[str], store: Store | None = None) -> npt.NDArray[np.bool_]:
    """(n,) whether the backbone reads only the beginning of a text; all false if it does not say.

    Args:
        backbone: reads them; its `cut_texts` says which are too long.
        texts: (n,) texts.
        store: keeps the answers.
    """
    if not hasattr(backbone, "cut_texts"):
        return np.zeros(len(texts), dtype=bool)
    told: Callable[[Sequence[str]], Sequence[bool]] = backbone.cut_texts

    def flags(some: Sequence[str]) -> FloatArray:
        return np.asarray(told(some), dtype=np.float64)[:, None]

    return _once(texts, f"{feature_key(backbone, texts=True)} cut", flags, store)[:, 0] > 0


def _once(
    texts: Sequence[str], key: str, compute: Callable[[Sequence[str]], FloatArray], store: Store | None
) -> FloatArray:
    """(n, d) what is computed of each text, out of the store where it is known."""
    distinct = {text: hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest() for text in texts}
    found: dict[str, FloatArray] = {}
    if store is not None:
        for text, sha in distinct.items():
            if (row := store.get(sha, [key]).get(key)) is not None:
                found[text] = row
    missing = [text for text in distinct if text not in found]
    if missing:
        fresh = compute(missing)
        found |= dict(zip(missing, fresh, strict=True))
        if store is not None:
            store.put(key, [(distinct[text], row) for text, row in zip(missing, fresh, strict=True)])
    return np.stack([found[text] for text in texts])
