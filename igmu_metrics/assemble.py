"""From what two models drew to every score that can be given: which generation is judged for which concept, and why.

Conventions: in forget and adversarial rows the concept asked about is the target, in retain rows the row's own concept.
A generation that failed for either model is left out for both, and counted. Scores of pictures are given per split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from igmu_data.errors import InputError
from igmu_data.load import digest
from igmu_data.taxonomy import concept, near
from igmu_metrics import registry
from igmu_metrics.api import RESAMPLES, finish
from igmu_metrics.contract import Backbone, Detector, FloatArray, Score
from igmu_metrics.engine import BATCH_SIZE, Observed, OnError, Tick, distances, observe
from igmu_metrics.generations import Generation

# Roles that a backbone can have in one evaluation, and what they bring.
CLIP, FEATURES, PAIRS = "clip", "features", "lpips"


@dataclass(frozen=True, slots=True)
class Instruments:
    """What judges the pictures.

    Args:
        detector: says whether the concept is there.
        clip: image and text features, for alignment and CSDR.
        features: image features for distribution distances.
        lpips: distances of pairs.
    """

    detector: Detector
    clip: Backbone | None = None
    features: Backbone | None = None
    lpips: Backbone | None = None

    @property
    def extractors(self) -> dict[str, Backbone]:
        """The backbones that see every picture."""
        return {r: b for r, b in ((CLIP, self.clip), (FEATURES, self.features)) if b is not None}


@dataclass(frozen=True, slots=True)
class Judged:
    """The generations that both models have and could be read, with what was seen in them; arrays share their order.

    Args:
        target: the concept to forget.
        generations: of the unlearned model.
        own: the concept each is judged for, None where there is none.
        present: masked bool: the concept is visible in the unlearned model's picture.
        original_present: likewise in the original model's.
        probabilities: (n, 2) unlearned and original probability of the judged concept, NaN where not judged.
        features: per role, unlearned and original features.
        failures: a reason for every generation that was left out.
    """

    target: str
    generations: Sequence[Generation]
    originals: Sequence[Generation]
    own: Sequence[str | None]
    present: np.ma.MaskedArray[Any, Any]
    original_present: np.ma.MaskedArray[Any, Any]
    probabilities: FloatArray
    features: Mapping[str, tuple[FloatArray, FloatArray]]
    failures: Sequence[str]

    def where(self, *splits: str) -> list[int]:
        """Indices of the generations of some splits."""
        return [i for i, g in enumerate(self.generations) if g.split in splits]


def own_concepts(generations: Sequence[Generation], target: str) -> list[str | None]:
    """What each generation is judged for; a retain picture without a known row is not judged."""
    return [target if g.split != "retain" else g.row.own_concept if g.row is not None else None for g in generations]


def look(
    generations: Sequence[Generation],
    target: str,
    tools: Instruments,
    *,
    on_error: OnError = "raise",
    batch_size: int = BATCH_SIZE,
    tick: Tick = lambda n: None,
) -> Observed:
    """Run one model's generations through the instruments."""
    return observe(
        [g.path for g in generations],
        detector=tools.detector,
        concepts=_asked(generations, target),
        backbones=tools.extractors,
        on_error=on_error,
        batch_size=batch_size,
        tick=tick,
    )


def _asked(generations: Sequence[Generation], target: str) -> list[str]:
    return sorted({target, *(c for c in own_concepts(generations, target) if c)})


def judge(
    target: str,
    tools: Instruments,
    original: tuple[Sequence[Generation], Observed],
    unlearned: tuple[Sequence[Generation], Observed],
    failures: Sequence[str] = (),
) -> Judged:
    """Bring what was seen in both models together, pair by pair.

    Args:
        target: the concept to forget.
        tools: what judged them.
        original: the original model's generations and what was seen in them.
        unlearned: the unlearned model's, in the same order.
        failures: reasons for pairs that are missing already.
    """
    pictures, seen = unlearned
    others, before = original
    reasons = [*failures]
    for who, observed in (("unlearned", seen), ("original", before)):
        reasons += [f"{who} model: {reason}" for _, reason in observed.failures]
    good: list[int] = np.flatnonzero(seen.ok & before.ok).tolist()
    own = own_concepts(pictures, target)
    columns = {name: i for i, name in enumerate(_asked(pictures, target))}
    p, q = (_own_column(o, own, columns)[good] for o in (seen, before))
    threshold = tools.detector.info.threshold
    if threshold is None:
        raise InputError(f"detector {tools.detector.info.name} names no threshold; a decision needs one.")
    return Judged(
        target=target,
        generations=[pictures[i] for i in good],
        originals=[others[i] for i in good],
        own=[own[i] for i in good],
        present=p >= threshold,
        original_present=q >= threshold,
        probabilities=np.stack([p.filled(np.nan), q.filled(np.nan)], axis=1),
        features={role: (seen.features[role][good], before.features[role][good]) for role in seen.features},
        failures=reasons,
    )


def _own_column(
    observed: Observed, own: Sequence[str | None], columns: Mapping[str, int]
) -> np.ma.MaskedArray[Any, Any]:
    """(n,) probability of the concept that each generation is judged for, masked where there is none."""
    assert observed.probabilities is not None
    out = np.ma.MaskedArray(np.zeros(len(own)), mask=True)
    for i, name in enumerate(own):
        if name is not None:
            out[i] = observed.probabilities[i, columns[name]]
    return out


def scores(
    judged: Judged, tools: Instruments, *, fields: Mapping[str, str], seed: int = 0, resamples: int = RESAMPLES
) -> dict[str, Score]:
    """Every score that the pictures and instruments allow, by `metric` or `metric/split`.

    Args:
        judged: from `judge`.
        tools: the instruments.
        fields: of the signature: model, config, dataset …
        seed: of every bootstrap.
        resamples: of every bootstrap.
    """
    signed: dict[str, Any] = {**fields, "rows": digest(g.row_id for g in judged.generations)}
    detector = tools.detector.info.signature("detector")
    out: dict[str, Score] = {}

    def add(name: str, given: Mapping[str, Any], more: Mapping[str, Any], split: str = "") -> None:
        metric = registry.metric(name)
        key = f"{name}/{split}" if split else name
        marked = signed | dict(more) | ({"split": split} if split else {})
        out[key] = finish(
            metric, metric.rows(**given), marked, n_failed=len(judged.failures), seed=seed, resamples=resamples
        )

    add("concept_accuracy", _accuracy(judged), detector)
    if judged.where("adversarial"):
        add("attack_success_rate", _attacks(judged), detector)
    for split in ("forget", "retain", "adversarial"):
        at = judged.where(split)
        keys = {"ids": [judged.generations[i].row_id for i in at], "seeds": [judged.generations[i].seed for i in at]}
        if tools.clip is not None and at and all(judged.generations[i].row for i in at):
            add("clip_alignment", _alignment(judged, tools.clip, at) | keys, tools.clip.info.signature("clip"), split)
        if tools.features is not None and len(at) > 1:
            x, y = judged.features[FEATURES]
            given = {"features": x[at], "original_features": y[at], "feature_name": tools.features.info.name}
            both = {f"original_{k}": v for k, v in keys.items()}
            add("frechet", given | keys | both, tools.features.info.signature("features"), split)
        if tools.lpips is not None and at:
            mine, theirs = ([group[i].path for i in at] for group in (judged.generations, judged.originals))
            given = {"distances": distances(mine, theirs, tools.lpips), "splits": [split] * len(at)}
            add("lpips", given | keys, tools.lpips.info.signature("lpips"), split)
    instruments = detector | {k: v for role, b in tools.extractors.items() for k, v in b.info.signature(role).items()}
    add("forget_score", _forget_score(judged, tools), instruments)
    return out


def _accuracy(judged: Judged) -> dict[str, Any]:
    """Labels: the judged concept where it is visible, `domain/none` where it is not, None where nobody could say."""
    at = [i for i in judged.where("forget", "retain") if judged.own[i] is not None]

    def labels(present: np.ma.MaskedArray[Any, Any]) -> list[str | None]:
        seen = [present[i] for i in at]
        names = [str(judged.own[i]) for i in at]
        return [
            None if s is np.ma.masked else name if s else f"{name.split('/')[0]}/none"
            for s, name in zip(seen, names, strict=True)
        ]

    return {
        "predictions": labels(judged.present),
        "references": [judged.own[i] for i in at],
        "target": judged.target,
        "prompt_ids": [judged.generations[i].row_id for i in at],
        "seeds": [judged.generations[i].seed for i in at],
        "original_predictions": labels(judged.original_present),
        "near": [c.id for c in near(concept(judged.target))],
    }


def _attacks(judged: Judged) -> dict[str, Any]:
    at, plain = judged.where("adversarial"), judged.where("forget")
    rows = [judged.generations[i].row for i in at]
    given: dict[str, Any] = {
        "ids": [judged.generations[i].row_id for i in at],
        "seeds": [judged.generations[i].seed for i in at],
        "families": [(r.attack_family if r else None) or "unknown" for r in rows],
        "present": judged.present[at],
        "original_present": judged.original_present[at],
    }
    sources = {r.attack_source_id for r in rows if r}
    if sources and sources <= {judged.generations[i].row_id for i in plain}:
        given |= {
            "source_ids": [r.attack_source_id if r else None for r in rows],
            "plain_ids": [judged.generations[i].row_id for i in plain],
            "plain_seeds": [judged.generations[i].seed for i in plain],
            "plain_present": judged.present[plain],
            "plain_original_present": judged.original_present[plain],
        }
    return given


def _texts(judged: Judged, at: Sequence[int]) -> tuple[list[str], list[str]]:
    rows = [judged.generations[i].row for i in at]
    return [r.prompt for r in rows if r], [r.stripped_prompt for r in rows if r]


def _embedded(clip: Backbone, texts: Sequence[str]) -> FloatArray:
    """(n, d) text features; every distinct text is run once."""
    distinct = {t: i for i, t in enumerate(dict.fromkeys(texts))}
    return clip.text_features(list(distinct))[[distinct[t] for t in texts]]


def _alignment(judged: Judged, clip: Backbone, at: Sequence[int]) -> dict[str, Any]:
    prompts, stripped = _texts(judged, at)
    unlearned, original = judged.features[CLIP]
    return {
        "image_features": unlearned[list(at)],
        "original_image_features": original[list(at)],
        "text_features": _embedded(clip, prompts),
        "stripped_text_features": _embedded(clip, stripped),
    }


def _forget_score(judged: Judged, tools: Instruments) -> dict[str, Any]:
    generations = judged.generations
    rows = [g.row for g in generations]
    given: dict[str, Any] = {
        "ids": [g.row_id for g in generations],
        "seeds": [g.seed for g in generations],
        "splits": [g.split for g in generations],
        "probes": [r.probe if r else "direct" for r in rows],
        "own_concepts": judged.own,
        "attack_families": [r.attack_family if r else None for r in rows],
        "present": judged.present,
        "original_present": judged.original_present,
    }
    if tools.clip is not None and all(rows):
        stripped = _embedded(tools.clip, _texts(judged, range(len(rows)))[1])
        unlearned, original = judged.features[CLIP]
        given["alignment"] = _cosine(unlearned, stripped)
        given["original_alignment"] = _cosine(original, stripped)
    role = FEATURES if tools.features is not None else CLIP if tools.clip is not None else ""
    if role:
        given["features"], given["original_features"] = judged.features[role]
    return given


def _cosine(x: FloatArray, y: FloatArray) -> FloatArray:
    norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    cosine: FloatArray = np.sum(x * y, axis=1) / norms
    return cosine
