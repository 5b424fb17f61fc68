"""The packaged detector of the sandbox, with measured error rates: `sandbox`.

An `hf-classifier` with one sigmoid per concept (objects and styles). The training wrote the file `card.json` next to
the weights:

    {"threshold": 0.5,
     "concepts": {"object/church": {"renders": {"sensitivity": …, "specificity": …, "n_positives": …, "n_negatives": …},
                                    "generations": {…}}, …}}

`threshold` may be missing (it is then 0.5); a concept or either of its measurements may also be missing. Rates measured
on generations take precedence over rates measured on renders, because the detector judges generations. Other keys are
ignored.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from igmu_data.errors import InputError, WeightsError
from igmu_data.sandbox import packaged
from igmu_data.sandbox.world import world
from igmu_data.taxonomy import SANDBOX
from igmu_metrics.detectors import hf_classifier
from igmu_metrics.detectors.hf_classifier import HfClassifier
from igmu_metrics.networks.instruments import ErrorRates
from igmu_metrics.networks.loading import read_files

CARD: Final = "card.json"
MEASURED_ON: Final = ("generations", "renders")  # the first that is there counts


def load(
    argument: str | None = None, *, device: str | None = None, threshold: float | None = None, precision: str = "fp32"
) -> HfClassifier:
    """Load the packaged detector.

    Args:
        argument: not supported; there is only one packaged detector.
        device: where it runs; by default, a GPU if available.
        threshold: `p >= threshold` counts as present; by default, that of the card; error rates are valid only for it.
        precision: "fp32" or "bf16" arithmetic.

    Raises:
        InputError: an argument is given.
        WeightsError: the package has no models, or the detector's card is invalid.
    """
    if argument:
        raise InputError(
            f"sandbox:{argument}: the packaged detector does not take an argument. For a folder, use hf-classifier:DIR."
        )
    folder = packaged.part("detector")
    measured_at, rates = read_card(folder / CARD)
    if threshold is not None and threshold != measured_at:
        rates = {}  # at another threshold it errs otherwise
    labels = {c.id: [c.label] for c in world().concepts()}
    threshold = measured_at if threshold is None else threshold
    detector = hf_classifier.load(str(folder), device=device, threshold=threshold, labels=labels, precision=precision)
    detector.info = replace(detector.info, name=SANDBOX, error_rates=rates)
    return detector


def files(argument: str | None = None, **_: Any) -> list[Path] | None:
    """The files that `load` reads; None for an argument, which it refuses."""
    folder = packaged.part("detector")
    return None if argument else [*read_files(folder), folder / CARD]


def read_card(path: Path) -> tuple[float, dict[str, ErrorRates]]:
    """The threshold and the error rates by concept.

    Raises:
        WeightsError: the card does not exist, or a value in it is missing or out of range; the message names it.
    """
    try:
        card: Any = json.loads(path.read_text(encoding="utf-8"))
        threshold = float(card.get("threshold", 0.5))
        measured = {c: next((m[on] for on in MEASURED_ON if on in m), None) for c, m in card["concepts"].items()}
        rates = {c: ErrorRates(**{k: m[k] for k in ErrorRates.__slots__}) for c, m in measured.items() if m}
        for concept, r in rates.items():
            if not (0 <= r.sensitivity <= 1 and 0 <= r.specificity <= 1 and r.n_positives > 0 and r.n_negatives > 0):
                raise ValueError(f"{concept}: {r}")
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise WeightsError(
            f"{path} is not a valid detector card ({error!r}). Train the detector again, or reinstall igmu."
        ) from error
    return threshold, rates
