"""Labels by people: how far two raters agree, how far the detector agrees with each, and which images are disputed.

Conventions: label files are read in the same way as by the detector `labels`. Agreement counts images that both judged,
each image once; the prompt is the unit of its intervals. Raters disagree on an image if one says yes and the other no,
or if only one of them was uncertain. An image that only one of them judged has that rater's label.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from igmu_data.errors import InputError
from igmu_data.numerals import counted
from igmu_metrics.detectors import labels as label_file
from igmu_metrics.networks.instruments import Batch
from igmu_metrics.report.audit import Shown, asked, key_of, relative, root_of, shots
from igmu_metrics.report.thumbnails import Gallery
from igmu_metrics.report.view import View
from igmu_metrics.statistics import kappa, mean_estimate
from igmu_metrics.statistics.formatting import formatted

MOST: Final = 2
FILE: Final = "merged.csv"
_Said = list[bool | None]


@dataclass(frozen=True, slots=True)
class Raters:
    """The labels of a section's images.

    Args:
        names: names of the files.
        shots: images that at least one file lists.
        said: for each file, its label of each image: None if the rater was uncertain.
        listed: for each file, whether it lists each image.
    """

    names: Sequence[str]
    shots: Sequence[Shown]
    said: Sequence[_Said]
    listed: Sequence[Sequence[bool]]

    @property
    def disputed(self) -> list[int]:
        """Indices of the images that both raters judged and disagree on."""
        if len(self.names) < MOST:
            return []
        first, second = self.said
        both = zip(*self.listed, strict=True)
        return [at for at, seen in enumerate(both) if all(seen) and first[at] is not second[at]]

    def merged(self) -> list[str]:
        """`yes`, `no` or `unclear` for every image: the label on which its raters agree, otherwise `unclear`."""
        words = []
        for at in range(len(self.shots)):
            told = {said[at] for said, listed in zip(self.said, self.listed, strict=True) if listed[at]}
            words.append({True: "yes", False: "no", None: "unclear"}[told.pop() if len(told) == 1 else None])
        return words


def read(view: View, files: Sequence[Path]) -> Raters | None:
    """Read the labels of a section; None if the files list none of its images.

    Args:
        view: the section.
        files: one or two label files.

    Raises:
        InputError: more than two files.
        IgmuError: a file is invalid.
    """
    if len(files) > MOST:
        raise InputError(
            f"--labels is used {len(files)} times, but at most {MOST} raters are supported. Use it at most {MOST} "
            "times."
        )
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
    """A file's label of every image, and whether it lists the image."""
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
    """A sentence about the agreement of two raters; "" for one rater."""
    if len(found.names) < MOST:
        return ""
    left = len(found.disputed)
    told = _agreement(found, found.said[0], found.said[1])
    return f"{' and '.join(found.names)}: {told}. They disagree on {counted(left, 'image')}."


def with_people(found: Raters) -> str:
    """Sentences about the agreement of the detector with each rater."""
    detector = [shot.present for shot in found.shots]
    return " ".join(
        f"{n}: {_agreement(found, said, detector)}." for n, said in zip(found.names, found.said, strict=True)
    )


def _agreement(found: Raters, first: _Said, second: _Said) -> str:
    at = [n for n in range(len(first)) if first[n] is not None and second[n] is not None]
    if not at:
        return "no image was judged by both"
    x, y = (np.array([side[n] for n in at], dtype=np.bool_) for side in (first, second))
    prompts = np.array([found.shots[n].line.id for n in at], dtype=np.str_)
    share, beyond = mean_estimate(x == y, prompts), kappa(x, y, prompts)
    of = f"{counted(len(at), 'image')} of {counted(share.n_prompts, 'prompt')}"
    chance = formatted(beyond, interval=" ({}–{})", missing="not defined, because both always give the same answer")
    return f"agreement on {formatted(share, interval=' ({}–{})')} of {of}, Cohen's kappa {chance}"


def data(view: View, found: Raters, folders: Mapping[str, Path], gallery: Gallery) -> dict[str, Any] | None:
    """The data about two raters for `raters.html` and `audit.js`: disputed images, and the labels of all others.

    Args:
        view: the section.
        found: its raters; for a single one, None is returned.
        folders: folders of its images, by model.
        gallery: gallery to which the disputed images are added.
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
