"""Calibrates a detector: at which threshold it agrees best with people on labelled images, and how often.

Conventions: the threshold is chosen on one half of the images, and the error rates are measured on the other; images of
one prompt, and equal images, are in the same half. The unit of every interval is the prompt if prompts are known. The
half of an image depends on its prompt or content, never on a random state.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any, Final

import numpy as np

from igmu_data import taxonomy
from igmu_data.errors import EmptyInputError, InputError
from igmu_data.files import owned, require_own, require_writable
from igmu_data.progress import Advance
from igmu_data.strangers import HASH, fingerprint
from igmu_metrics import scorecard
from igmu_metrics.contract import BoolArray, FloatArray, Interval
from igmu_metrics.detectors._calibrated import SHORT, Calibration, Index, Labelled, Rate, described, read
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.networks.instruments import no_better_than_chance
from igmu_metrics.networks.observe import observe
from igmu_metrics.statistics import effective_trials, mean_estimate, youden
from igmu_metrics.training.fitting import placements, youden_threshold
from igmu_metrics.training.marked import looked_at, open_marked

RULE: Final = (
    "largest sensitivity + specificity - 1 (Youden's J; Youden, Cancer 3, 1950) on one half of the images; if several "
    "thresholds are equally good, the middle of the widest gap between two probabilities"
)
GIVEN: Final = "given by the user; no images were used to choose it"
_FEW: Final = 10


@dataclass(frozen=True, slots=True)
class Calibrating:
    """The settings of a calibration.

    Args:
        evaluation: names the concept's config, and the detector as an evaluation loads it.
        data: labelled images: a CSV of labels, a folder with a `labels.csv`, one that `load_dataset` reads, a Hub id or
            `sandbox` for renders of the sandbox.
        threshold: the detector answers yes at or above it; None to choose it on half of the images.
        on_error: `raise`, or `skip` to leave out and report unreadable images.
        batch_size: images read ahead at once.
        options: for `marked.open_marked`: `config`, `revision`, `split`, `label_column`, `positive_label` …
    """

    evaluation: Evaluation
    data: str
    threshold: float | None = None
    on_error: str = "raise"
    batch_size: int = 16
    options: dict[str, Any] | None = None

    def run(self, out: Path, advance: Advance = lambda what, done, total: None) -> Calibration:
        """Calibrate and write the file.

        Args:
            out: the JSON file.
            advance: called with the name of the step, the number of new images, and their total.

        Raises:
            BusyError: another process is writing this file.
            OutputError: it cannot be written; this is checked first.
            EmptyInputError: a class has too few images.
            IgmuError: something is wrong with images, labels or detector.
        """
        if out.suffix != ".json":
            raise InputError(f"--out {out}: the file name must end in .json. Choose another name.")
        require_writable(out.parent)
        require_own(out, read)
        with owned(files=[out]):
            found = self._calibrated(advance)
            text = _text(found)
            scorecard.write_text(out, _text(found.model_copy(update={HASH: fingerprint(text)})))
        return found

    def _calibrated(self, advance: Advance) -> Calibration:
        item = taxonomy.concept(self.evaluation.target())
        marked = open_marked(self.data, item, **(self.options or {}))
        n = len(marked.images)
        with self.evaluation.opened() as tools:
            answers, hashes, ok, failures = looked_at(
                marked,
                lambda images: observe(
                    images,
                    detector=tools.detector,
                    concepts=[item.id] * len(images),
                    on_error="skip" if self.on_error == "skip" else "raise",
                    blank="keep" if self.evaluation.blank == "keep" else "apart",
                    batch_size=self.batch_size,
                    tick=lambda more: advance("labelled images", more, n),
                    store=tools.store,
                ),
                skip=self.on_error == "skip",
            )
            info = tools.detector.info
        judged = ok & ~np.ma.getmaskarray(answers)
        at = np.flatnonzero(judged).tolist()
        p, shown = np.ma.getdata(answers)[at], marked.shown[at]
        files = np.array([hashes[i] for i in at], dtype=np.str_)
        units = np.array([marked.prompts[i] or hashes[i] for i in at], dtype=np.str_)
        _require(shown, f"{marked.name}: ", 1 if self.threshold is not None else 2)
        warnings: list[str] = []
        if self.threshold is not None:
            threshold, held = self.threshold, np.ones(len(p), dtype=np.bool_)
        else:
            held, whole = _apart(units, files, shown, marked.name)
            if not whole:
                warnings.append(
                    "there are too few prompts to separate them, so images of one prompt are in both halves."
                )
            threshold = youden_threshold(p[~held], shown[~held])
        right = (p >= threshold) == shown
        found, passed = (_rate(right[held & of], units[held & of]) for of in (shown, ~shown))
        index = youden(found.value, passed.value, found.whole, passed.whole)
        unclear = int(ok.sum() - judged.sum())
        left_out = {"unreadable": len(failures), "unclear": marked.n_unclear, "not judged by the detector": unclear}
        return Calibration(
            concept=item.id,
            detector=described(info),
            threshold=threshold,
            threshold_rule=RULE if self.threshold is None else GIVEN,
            data=Labelled(
                name=marked.name,
                config=marked.config,
                revision=marked.revision,
                split=marked.split,
                label_column=marked.column,
                positive_labels=marked.positive,
                fingerprint=_digest(f"{hashes[i]} {marked.shown[i]:d}" for i in at),
                left_out={why: count for why, count in left_out.items() if count},
            ),
            n_images=len(p),
            chosen_on={"positives": int((shown & ~held).sum()), "negatives": int((~shown & ~held).sum())},
            sensitivity=found,
            specificity=passed,
            youden=Index(value=index[0], interval=index[1]),
            auroc=area(p, shown, units),
            warnings=(*warnings, *_warnings(shown, held, files)),
            images_sha256=tuple(sorted({sha[:SHORT] for sha in files.tolist()})),
            failures=tuple(failures),
        )


def chance(found: Calibration) -> str:
    """Why no verdict can be based on the calibrated detector; "" if it can."""
    return no_better_than_chance({**found.detector, **{f"detector.{name}": v for name, v in found.rates().items()}})


def area(p: FloatArray, shown: BoolArray, units: Any) -> Index:
    """Area under the ROC curve with a 95% interval that, like intervals for shares, is never a single point.

    The area is the mean over positives of the share of negatives below, and over negatives of the share of positives
    above. Each of the two means has the interval for a mean over prompts; their distances from the value are combined
    like standard errors, since positives and negatives are independent samples. The interval is slightly conservative,
    as shares vary less than hits and misses.

    Args:
        p: (n,) probabilities.
        shown: (n,) whether the concept is present; both classes must occur.
        units: (n,) prompt of each.

    Three of four pairs are in the right order, and a tie counts half:

    >>> found = area(np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, True, False, False]), np.arange(4))
    >>> found.value, found.interval[0] < 0.5
    (0.875, True)

    References:
        DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more correlated ROC curves", Biometrics 44,
        1988. Obuchowski, "Nonparametric analysis of clustered ROC curve data", Biometrics 53, 1997.
    """
    sides = [mean_estimate(placements(s * p, of), units[of]) for s, of in ((1.0, shown), (-1.0, ~shown))]
    value = sides[0].value
    apart = [[abs(end - value) for end in side.interval or (0.0, 1.0)] for side in sides]
    below, above = (sqrt(sum(side[i] ** 2 for side in apart)) for i in (0, 1))
    interval: Interval = (max(0.0, value - below), min(1.0, value + above))
    return Index(value=value, interval=interval)


def _apart(units: Any, files: Any, shown: BoolArray, where: str) -> tuple[BoolArray, bool]:
    """(n,) True for the half to measure on, and whether prompts are whole; where they cannot be, equal files are."""
    for of, whole in ((units, True), (files, False)):
        held = np.zeros(len(shown), dtype=np.bool_)
        positive = set(of[shown].tolist())
        # Dealt out in turn, those with the concept and those without, in an order that follows from their names.
        for group in (positive, set(of.tolist()) - positive):
            order = sorted(group, key=lambda unit: hashlib.sha256(f"{unit}".encode()).digest())
            held |= np.isin(of, order[::2])
        if all(shown[half].any() and not shown[half].all() for half in (held, ~held)):
            return held, whole
    raise EmptyInputError(
        f"{where}: the images cannot be divided into two halves that both contain images with and without the concept. "
        "Label more images, or set --threshold."
    )


def _rate(right: BoolArray, units: Any) -> Rate:
    told = mean_estimate(right, units)
    assert told.interval is not None  # of a share there is always one
    trials = effective_trials(right, units)
    return Rate(value=told.value, interval=told.interval, n_images=len(right), n_prompts=told.n_prompts, trials=trials)


def _require(shown: BoolArray, where: str, least: int) -> None:
    for what, n in (("with", int(shown.sum())), ("without", int((~shown).sum()))):
        if n < least:
            raise EmptyInputError(
                f"{where}the detector must judge at least {least} labelled image{'s' * (least != 1)} {what} the "
                f"concept, but judged {n}. Label more images, or choose another label or concept."
            )


def _warnings(shown: BoolArray, held: BoolArray, files: Any) -> Iterator[str]:
    """What a user should know before trusting the file."""
    for what, of in (("with", shown), ("without", ~shown)):
        if (n := int((held & of).sum())) < _FEW:
            images = f"{n} image{'s' * (n != 1)} {what} the concept"
            yield f"the error rates are based on only {images}, so check their intervals."
        if not held.all() and (n := int((~held & of).sum())) < _FEW:
            yield f"the threshold is based on only {n} image{'s' * (n != 1)} {what} the concept."
    if torn := len(set(files[shown].tolist()) & set(files[~shown].tolist())):
        yield f"some images ({torn}) are labelled both with and without the concept. Check the labels."


def _digest(lines: Iterator[str]) -> str:
    text = "".join(f"{line}\n" for line in lines)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _text(found: Calibration) -> str:
    return json.dumps(found.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"
