"""Labels that people gave: how far two of them agree, the detector with each of them, and what is left to settle.

Conventions: a label file is read as the detector `labels` reads it. Agreement counts images that both sides judged,
each image once, with the prompt as the unit of its intervals. Raters disagree on an image where one says yes and the
other no, or where one of them alone could not tell; an image that one of them did not see has the label of the other.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from igmu_data.errors import InputError
from igmu_metrics.detectors import labels as label_file
from igmu_metrics.networks.instruments import Batch
from igmu_metrics.report.audit import Shown, asked, key_of, relative, root_of, shots
from igmu_metrics.report.thumbnails import Gallery
from igmu_metrics.report.view import View
from igmu_metrics.report.wording import counted
from igmu_metrics.statistics import kappa, mean_estimate
from igmu_metrics.statistics.formatting import formatted

MOST: Final = 2
FILE: Final = "merged.csv"
_Said = list[bool | None]


@dataclass(frozen=True, slots=True)
class Raters:
    """What label files say of a section's images.

    Args:
        names: of the files.
        shots: images that at least one of them lists.
        said: by file, what it says of each image: None where the rater could not tell.
        listed: by file, whether it lists each image.
    """

    names: Sequence[str]
    shots: Sequence[Shown]
    said: Sequence[_Said]
    listed: Sequence[Sequence[bool]]

    @property
    def disputed(self) -> list[int]:
        """Places of the images that two raters saw and disagree on."""
        if len(self.names) < MOST:
            return []
        first, second = self.said
        both = zip(*self.listed, strict=True)
        return [at for at, seen in enumerate(both) if all(seen) and first[at] is not second[at]]

    def merged(self) -> list[str]:
        """`yes`, `no` or `unclear` for every image: what those who saw it agree on."""
        words = []
        for at in range(len(self.shots)):
            told = {said[at] for said, listed in zip(self.said, self.listed, strict=True) if listed[at]}
            words.append({True: "yes", False: "no", None: "unclear"}[told.pop() if len(told) == 1 else None])
        return words


def read(view: View, files: Sequence[Path]) -> Raters | None:
    """What label files say of a section; None where they list none of its images.

    Args:
        view: the section.
        files: one or two.

    Raises:
        InputError: more than two files.
        IgmuError: whatever is wrong with one of them.
    """
    if len(files) > MOST:
        raise InputError(f"--labels is given {len(files)} times; agreement covers at most {MOST} raters.")
    seen = [shot for shot in shots(view) if shot.line.own_concept]
    said, listed = [], []
    for file in files:
        answers, there = _labels(file, seen)
        said.append(answers)
        listed.append(there)
    kept = [at for at in range(len(seen)) if any(there[at] for there in listed)]
    if not kept:
        return None
    pick = [[each[at] for at in kept] for each in said]
    return Raters([f.name for f in files], [seen[at] for at in kept], pick, [[e[at] for at in kept] for e in listed])


def _labels(file: Path, seen: Sequence[Shown]) -> tuple[_Said, list[bool]]:
    """What a file says of every image, and whether it lists it."""
    judge = label_file.load(str(file))
    known = {_place(path) for path in judge.paths}
    there = [_place(shot.shot.path) in known for shot in seen]
    answers: _Said = [None] * len(seen)
    for concept in dict.fromkeys(str(shot.line.own_concept) for shot in seen):
        at = [n for n, shot in enumerate(seen) if there[n] and shot.line.own_concept == concept]
        if at:
            told = judge.probabilities(Batch([seen[n].shot.path for n in at]), [concept])[:, 0]
            for n, p, masked in zip(at, np.ma.getdata(told), np.ma.getmaskarray(told), strict=True):
                answers[n] = None if masked else bool(p >= (judge.info.threshold or 0.5))
    return answers, there


def _place(path: Path) -> tuple[str, str]:
    return os.path.realpath(path.parent), path.name


def between_people(found: Raters) -> str:
    """How far two raters agree, in a sentence; "" for one."""
    if len(found.names) < MOST:
        return ""
    left = len(found.disputed)
    told = _agreement(found, found.said[0], found.said[1])
    return f"{' and '.join(found.names)}: {told}; {counted(left, 'image')} to settle."


def with_people(found: Raters) -> str:
    """How far the detector agrees with each rater, a sentence each."""
    detector = [shot.present for shot in found.shots]
    return " ".join(
        f"{n}: {_agreement(found, said, detector)}." for n, said in zip(found.names, found.said, strict=True)
    )


def _agreement(found: Raters, first: _Said, second: _Said) -> str:
    at = [n for n in range(len(first)) if first[n] is not None and second[n] is not None]
    if not at:
        return "no image that both judged"
    x, y = (np.array([side[n] for n in at], dtype=np.bool_) for side in (first, second))
    prompts = np.array([found.shots[n].line.id for n in at], dtype=np.str_)
    share, beyond = mean_estimate(x == y, prompts), kappa(x, y, prompts)
    of = f"{counted(len(at), 'image')} of {counted(share.n_prompts, 'prompt')}"
    chance = formatted(beyond, interval=" ({}–{})", missing="not defined, as one answer is given throughout")
    return f"agreement on {formatted(share, interval=' ({}–{})')} of {of}, Cohen's kappa {chance}"


def data(view: View, found: Raters, folders: Mapping[str, Path], gallery: Gallery) -> dict[str, Any] | None:
    """What `raters.html` and `audit.js` show of two raters: their disagreements, and every label that is settled.

    Args:
        view: the section.
        found: its raters; None is returned for a single one.
        folders: of its images, by model.
        gallery: takes the images that are disputed.
    """
    if len(found.names) < MOST:
        return None
    root = root_of(view, folders)
    paths = [relative(shot.shot.path, root) for shot in found.shots]
    return {
        "said": between_people(found),
        "queue": {
            "key": f"{key_of(view)} {' '.join(found.names)}",
            "root": root.name if root else None,
            "file": FILE,
            "sample": [asked(found.shots[at], view, root, gallery) for at in found.disputed],
            "settled": dict(zip(paths, found.merged(), strict=True)),
            "paths": sorted(set(paths)),
        },
    }
