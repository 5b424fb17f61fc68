"""How unlike prompts are: self-BLEU (Zhu et al., 2018, Texygen) and distinct-n (Li et al., 2016)."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

SAMPLE: Final = 56  # prompts: what 0.x had a concept, and what other corpora are cut to


def tokens(text: str) -> list[str]:
    """Lower-case words and signs."""
    return re.findall(r"\w+|[^\w\s]", text.casefold())


def _grams(words: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def sample(texts: Sequence[str], n: int = SAMPLE) -> list[str]:
    """`n` of the texts, chosen by hash."""
    return sorted(texts, key=lambda t: sha256(t.encode()).digest())[:n]


def self_bleu(texts: Sequence[str], order: int = 4) -> float:
    """Mean BLEU of each of 56 texts against all others as references, 0..1; lower is more diverse.

    Uniform weights, closest reference length, no match counted as 0.1 (Chen and Cherry 2014, method 1).
    """
    words = [tokens(t) for t in sample(texts)]
    grams = [[_grams(w, n) for n in range(1, order + 1)] for w in words]
    scores = []
    for i, own in enumerate(words):
        others = [k for k in range(len(words)) if k != i]
        logs = []
        for n in range(order):
            total = sum(grams[i][n].values())
            if not total:
                continue
            most: Counter[tuple[str, ...]] = Counter()
            for k in others:
                most |= Counter({g: grams[k][n][g] for g in grams[i][n] if g in grams[k][n]})
            matched = sum(min(c, most[g]) for g, c in grams[i][n].items())
            logs.append(math.log(max(matched, 0.1) / total))
        nearest = min((len(words[k]) for k in others), key=lambda m: (abs(m - len(own)), m))
        penalty = min(0.0, 1 - nearest / len(own))
        scores.append(math.exp(penalty + sum(logs) / len(logs)))
    return sum(scores) / len(scores)


def distinct_n(texts: Sequence[str], n: int) -> float:
    """Share of different n-grams among all n-grams of 56 texts, 0..1; higher is more diverse."""
    grams = [g for t in sample(texts) for g in _grams(tokens(t), n).elements()]
    return len(set(grams)) / len(grams)
