"""Several detectors on the same images: how they are set up, how far they agree, and the verdict by each.

Conventions: each detector has its own scorecards, the same ones that it would have alone; only the CLIP for alignment
is shared. Two detectors are compared on all images that both judged, of the original and of every model, each image
once. The prompt is the unit of every interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import numpy as np

from igmu_data.configs import GENERAL
from igmu_data.errors import InputError
from igmu_data.files import file_name
from igmu_metrics.backbones.clip import DEFAULT
from igmu_metrics.contract import PARTS, Estimate
from igmu_metrics.detectors import _calibrated
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.generations import ORIGINAL
from igmu_metrics.metrics.forget_score import ASPECTS
from igmu_metrics.scorecard import Figure, Scorecard
from igmu_metrics.settings import Settings
from igmu_metrics.statistics import kappa, mean_estimate

EVERYTHING: Final = "all"
FIGURES: Final = ("forget_score", *ASPECTS)
_MOST: Final = 60  # maximum characters of a folder's name


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two detectors agree.

    Args:
        first: one detector.
        second: the other detector.
        part: the part of the generations: one of `contract.PARTS`, or `all`.
        share: share of the images on which both agree.
        kappa: Cohen's kappa, with a bootstrap over prompts.
        both: number of images in which both see the concept.
        only_first: number of images in which only the first does.
        only_second: number of images in which only the second does.
        neither: number of images in which neither does.
        unclear: number of images that at least one could not judge.
    """

    first: str
    second: str
    part: str
    share: Estimate
    kappa: Estimate
    both: int
    only_first: int
    only_second: int
    neither: int
    unclear: int


def panel(detectors: Sequence[str], calibrations: Sequence[str], settings: Mapping[str, Any]) -> list[Evaluation]:
    """One evaluation per detector, with otherwise equal settings.

    Args:
        detectors: their specs; none for the default.
        calibrations: calibration files; each is used for the detector that it names.
        settings: the other settings. If no CLIP for alignment is given, it is that of the first CLIP detector.

    Raises:
        InputError: a detector is given twice, a calibration is for none of them or a second one for the same detector,
            or error rates are given for several detectors.
    """
    if twice := [d for d in detectors if detectors.count(d) > 1]:
        raise InputError(f"detector {twice[0]!r} is given twice. Specify it only once.")
    if len(detectors) <= 1 and len(calibrations) < 2:
        one = {"detector": next(iter(detectors), None), "calibration": next(iter(calibrations), None)}
        return [Evaluation(**{**settings, **one})]
    detectors = detectors or [Settings(settings["config"]).detecting()]
    for name in ("threshold", "sensitivity", "specificity", "n_positives", "n_negatives"):
        if settings.get(name) is not None:
            raise InputError(
                f"one {name} is specified for {len(detectors)} detectors, but each detector needs its own. Use 'igmu "
                "calibrate' for each."
            )
    if settings.get("config") == GENERAL:
        raise InputError(
            f"config {GENERAL!r} is scored by asking one detector questions, but {len(detectors)} detectors are given. "
            "Specify only one."
        )
    of: dict[str, str] = {}
    for path in calibrations:
        name = str(_calibrated.read(Path(path)).detector["detector"])
        own = [d for d in detectors if d not in of and _may_be(d, name)]
        if not own:
            raise InputError(
                f"calibration {path} is for {name}, which is not one of the detectors ({', '.join(detectors)}) or "
                "already has a calibration. Leave this calibration out."
            )
        of[own[0]] = path
    clips = [argument for kind, _, argument in (d.partition(":") for d in detectors) if kind == "clip"]
    if str(settings.get("align") or "").partition(":")[0] == "clip":
        clips = []  # already given
    clip = settings.get("clip") or ((clips[0] or DEFAULT) if clips else None)
    out = []
    for detector in detectors:
        own_clip = detector == f"clip:{clips[0]}".removesuffix(":") if clips else False
        chosen = settings.get("clip") if own_clip else clip
        out.append(Evaluation(**{**settings, "detector": detector, "calibration": of.get(detector), "clip": chosen}))
    return out


def _may_be(spec: str, name: str) -> bool:
    """Whether a detector with this spec may have this name; whether it does is only known after it is loaded."""
    kind, _, argument = spec.partition(":")
    known, _, of = name.partition(":")
    return kind == known and (not argument or not of or Path(argument).name == Path(of).name)


def folder_names(detectors: Sequence[str]) -> list[str]:
    """The name of the folder for each detector's cards.

    >>> folder_names(["clip", "labels:me/church.csv", "labels:you/church.csv"])
    ['clip', 'labels-church.csv', 'labels-church.csv-2']
    """
    names = ["-".join(filter(None, (kind, Path(rest).name))) for kind, _, rest in (d.partition(":") for d in detectors)]
    return [
        file_name(name[:_MOST] + (f"-{n}" if (n := 1 + names[:at].count(name)) > 1 else ""))
        for at, name in enumerate(names)
    ]


def detector_of(card: Scorecard) -> str:
    """The detector that a card was scored with, from its signature."""
    return next((str(d) for e in card.scores.values() if (d := e.signature.get("detector"))), "?")


def judged_by(card: Scorecard) -> tuple[tuple[str, Any], ...]:
    """Everything in a card's signature about its detector; equal if two cards have the same detector."""
    fields = {k: v for e in card.scores.values() for k, v in e.signature.items() if k.partition(".")[0] == "detector"}
    return tuple(sorted(fields.items()))


def by_detector(cards: Sequence[Scorecard]) -> list[list[Scorecard]]:
    """Cards grouped by detector, in order of first appearance."""
    groups: dict[Any, list[Scorecard]] = {}
    for card in cards:
        groups.setdefault(judged_by(card), []).append(card)
    return list(groups.values())


def names_of(groups: Sequence[Sequence[Scorecard]]) -> list[str]:
    """The names of the groups' detectors, numbered if two have the same name."""
    names = [detector_of(group[0]) for group in groups]
    return [f"{n} ({names[: at + 1].count(n)})" if names.count(n) > 1 else n for at, n in enumerate(names)]


def agreements(cards: Sequence[Scorecard]) -> list[Agreement]:
    """How far each pair of detectors agrees on images that both judged, overall and in each part.

    Args:
        cards: cards of one config by several detectors.
    """
    groups = by_detector(cards)
    seen = [_seen(group) for group in groups]
    out = []
    for (a, first), (b, second) in combinations(zip(names_of(groups), seen, strict=True), 2):
        shared = [key for key in first if key in second and first[key][0] == second[key][0]]
        for part in (EVERYTHING, *PARTS):
            keys = [key for key in shared if part in (EVERYTHING, first[key][1])]
            if found := _agreement(a, b, part, [(key[1], first[key][2], second[key][2]) for key in keys]):
                out.append(found)
        if len({p.part for p in out if (p.first, p.second) == (a, b)}) == 2:  # one part alone is everything
            out.pop()
    return out


_Said = dict[tuple[str, str, int], tuple[str, str, bool | None]]


def _seen(cards: Sequence[Scorecard]) -> _Said:
    """By model, prompt and seed: the image's hash, its part, and whether the detector saw what was asked for."""
    out: _Said = {}
    for card in cards:
        table = card.generations
        for model, suffix in ((card.model, ""), (card.original_model, ORIGINAL)):
            names = (f"sha256{suffix}", f"present{suffix}", "own_concept")
            lines = zip(table.keys, table.parts.tolist(), table.records(*names), strict=True)
            for (row, seed), part, (sha, present, asked) in ((k, p, g.values()) for k, p, g in lines):
                if asked:
                    out[model, row, seed] = (str(sha), part, present)
    return out


def _agreement(
    first: str, second: str, part: str, said: Sequence[tuple[str, bool | None, bool | None]]
) -> Agreement | None:
    judged = [(row, x, y) for row, x, y in said if x is not None and y is not None]
    if not judged:
        return None
    prompts = np.array([row for row, _, _ in judged], dtype=np.str_)
    x, y = (np.array([one[k] for one in judged], dtype=np.bool_) for k in (1, 2))
    return Agreement(
        first,
        second,
        part,
        share=mean_estimate(x == y, prompts),
        kappa=kappa(x, y, prompts),
        both=int((x & y).sum()),
        only_first=int((x & ~y).sum()),
        only_second=int((~x & y).sum()),
        neither=int((~x & ~y).sum()),
        unclear=len(said) - len(judged),
    )


def verdicts(cards: Sequence[Scorecard]) -> list[tuple[str, str, list[Figure | None], str]]:
    """By model and detector: the forget score and its aspects, and why the detector gives no verdict, or ""."""
    groups = by_detector(cards)
    found = [(card, name) for group, name in zip(groups, names_of(groups), strict=True) for card in group]
    models = list(dict.fromkeys(card.model for card, _ in found))
    return [
        (card.model, name, [card.figure("forget_score", figure) for figure in FIGURES], card.unfounded)
        for card, name in sorted(found, key=lambda item: models.index(item[0].model))
    ]
