"""From what was judged to every score that can be given: which metric gets which generations.

Conventions: scores of pictures are given per split; a metric whose instruments are not there is left out, and a
composite that lacks an aspect says so itself. Rows that ask for a picture without the concept count for no attack and
for no aspect of the forget score: they have scores of their own, `concept_accuracy/negation` (how often the concept is
gone, for the unlearned and the original model) and `clip_alignment/negation` (whether the rest of the prompt is drawn).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from igmu_data.load import digest
from igmu_data.schema import NEGATION, SPLITS
from igmu_data.stripping import strip_concept, strip_reference
from igmu_data.taxonomy import concept, near
from igmu_metrics import registry
from igmu_metrics.contract import FloatArray, Score
from igmu_metrics.judging import CLIP, FEATURES, Instruments, Judged
from igmu_metrics.networks.texts import embedded
from igmu_metrics.signing import RESAMPLES, Fields, finish


def scores(
    judged: Judged,
    tools: Instruments,
    *,
    fields: Fields,
    k: int | None = None,
    budgets: Mapping[str, str | int] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, Score]:
    """Every score that the pictures and instruments allow, by `metric` or `metric/split`.

    Args:
        judged: from `judge`.
        tools: the instruments.
        fields: of the signature: model, config, dataset …
        k: tries of the attacks; None for all seeds, if all prompts have as many. Where pictures failed, that is what
            every prompt has left.
        budgets: effort that adversarial prompts were searched with, by row id.
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

    if judged.where("forget", "retain"):  # a folder of attacks alone has no accuracy
        add("concept_accuracy", _accuracy(judged, "forget", "retain") | _known_errors(tools), detector)
    if judged.where(NEGATION):
        add("concept_accuracy", _accuracy(judged, NEGATION) | _known_errors(tools), detector, NEGATION)
    if judged.where("adversarial"):
        add("attack_success_rate", _attacks(judged, k, budgets or {}), detector)
    for split in (*SPLITS, NEGATION):
        at = judged.where(split)
        keys = {"ids": [judged.generations[i].row_id for i in at], "seeds": [judged.generations[i].seed for i in at]}
        if tools.clip is not None and at and all(judged.generations[i].text for i in at):
            signature = tools.clip.info.signature("clip") | {"strip": tools.strip}
            add("clip_alignment", _alignment(judged, tools, at) | keys, signature, split)
        if split == NEGATION:  # too few for a distribution, and too far from the original to be compared in pairs
            continue
        if tools.features is not None and len(at) > 1:
            x, y = judged.features[FEATURES]
            given = {"features": x[at], "original_features": y[at], "feature_name": tools.features.info.name}
            both = {f"original_{k}": v for k, v in keys.items()}
            add("frechet", given | keys | both, tools.features.info.signature("features"), split)
        if tools.lpips is not None and judged.distances is not None and at:
            given = {"distances": judged.distances[at], "splits": [split] * len(at)}
            add("lpips", given | keys, tools.lpips.info.signature("lpips"), split)
    instruments = detector | {k: v for role, b in tools.extractors.items() for k, v in b.info.signature(role).items()}
    add("forget_score", _forget_score(judged, tools, k), instruments | {"strip": tools.strip})
    return out


def _accuracy(judged: Judged, *parts: str) -> dict[str, Any]:
    """Labels: the judged concept where it is visible, `domain/none` where it is not, None where nobody could say."""
    at = [i for i in judged.where(*parts) if judged.own[i] is not None]

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


def _known_errors(tools: Instruments) -> dict[str, Any]:
    """How often the detector errs, if it is known."""
    names = ("sensitivity", "specificity", "n_positives", "n_negatives")
    return {name: getattr(tools.detector.info, name) for name in names}


def _attacks(judged: Judged, k: int | None, budgets: Mapping[str, str | int]) -> dict[str, Any]:
    at, plain = judged.where("adversarial"), judged.where("forget")
    rows = [judged.generations[i].row for i in at]
    ids = [judged.generations[i].row_id for i in at]
    given: dict[str, Any] = {
        "ids": ids,
        "seeds": [judged.generations[i].seed for i in at],
        "families": [(r.attack_family if r else None) or "unknown" for r in rows],
        "present": judged.present[at],
        "original_present": judged.original_present[at],
        "source_ids": [r.attack_source_id if r else None for r in rows],
        "budgets": [budgets.get(i) for i in ids] if budgets else None,
    }
    sources = set(given["source_ids"]) - {None}
    # Only where all sources were drawn: rates before and after the attack must be about the same prompts.
    if sources and sources <= {judged.generations[i].row_id for i in plain}:
        given |= {
            "plain_ids": [judged.generations[i].row_id for i in plain],
            "plain_seeds": [judged.generations[i].seed for i in plain],
            "plain_present": judged.present[plain],
            "plain_original_present": judged.original_present[plain],
        }
        ids = [*ids, *(i for i in given["plain_ids"] if i in sources)]
    return given | {"k": _left(judged, ids) if k is None else k}


def _left(judged: Judged, ids: Sequence[str]) -> int | None:
    """What every prompt has left where pictures failed; None where none did, so that unequal numbers are refused."""
    return min(Counter(ids).values(), default=None) if judged.failures else None


def _texts(judged: Judged, at: Sequence[int], strip: str) -> tuple[list[str], list[str]]:
    chosen = [judged.generations[i] for i in at]
    prompts = [g.text or "" for g in chosen]
    if strip == "reference":
        return prompts, [strip_reference(prompt) for prompt in prompts]
    names = concept(judged.target).names
    return prompts, [g.row.stripped_prompt if g.row else strip_concept(g.text or "", names) for g in chosen]


def _alignment(judged: Judged, tools: Instruments, at: Sequence[int]) -> dict[str, Any]:
    assert tools.clip is not None
    prompts, stripped = _texts(judged, at, tools.strip)
    unlearned, original = judged.features[CLIP]
    return {
        "image_features": unlearned[list(at)],
        "original_image_features": original[list(at)],
        "text_features": embedded(tools.clip, prompts, tools.store),
        "stripped_text_features": embedded(tools.clip, stripped, tools.store),
    }


def _forget_score(judged: Judged, tools: Instruments, k: int | None) -> dict[str, Any]:
    at = judged.where(*SPLITS)
    generations = [judged.generations[i] for i in at]
    attacked = [judged.generations[i].row_id for i in judged.where("adversarial")]
    rows = [g.row for g in generations]
    given: dict[str, Any] = {
        "ids": [g.row_id for g in generations],
        "seeds": [g.seed for g in generations],
        "splits": [g.split for g in generations],
        "probes": [r.probe if r else "direct" for r in rows],
        "own_concepts": [judged.own[i] for i in at],
        "attack_families": [r.attack_family if r else None for r in rows],
        "present": judged.present[at],
        "original_present": judged.original_present[at],
        "k": _left(judged, attacked) if k is None else k,
    }
    if tools.clip is not None and all(g.text for g in generations):
        stripped = embedded(tools.clip, _texts(judged, at, tools.strip)[1], tools.store)
        unlearned, original = (x[at] for x in judged.features[CLIP])
        given["alignment"] = cosines(unlearned, stripped)
        given["original_alignment"] = cosines(original, stripped)
    role = FEATURES if tools.features is not None else CLIP if tools.clip is not None else ""
    if role:
        given["features"], given["original_features"] = (x[at] for x in judged.features[role])
    return given


def cosines(x: FloatArray, y: FloatArray) -> FloatArray:
    """(n,) cosines of the rows of two (n, d) arrays."""
    norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    cosine: FloatArray = np.sum(x * y, axis=1) / norms
    return cosine
