"""The file of a calibration: how often a detector agreed with people on labelled images, and at which threshold.

`igmu calibrate` writes it, `igmu score --calibration` reads it. It is valid for one detector (everything in its
signature except threshold and error rates) and one concept, and is refused for any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from igmu_data import __version__
from igmu_data.errors import IncomparableError, InputError, MetadataError, VerificationError
from igmu_data.strangers import HASH, fingerprint, parsed, text_of
from igmu_metrics.contract import Setting
from igmu_metrics.detectors._common import file_revision
from igmu_metrics.networks.instruments import MEASURED, Detector, InstrumentInfo

_MOST: Final = 10**9  # images
SHORT: Final = 16  # digits of an image's hash
_AGAIN: Final = "Run 'igmu calibrate' again."


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rate(_Strict):
    """A share of labelled images with its 95% interval; the unit is the prompt if prompts are known."""

    value: float = Field(ge=0, le=1)
    interval: tuple[float, float]
    n_images: int = Field(ge=1, le=_MOST)
    n_prompts: int = Field(ge=1, le=_MOST, description="if prompts are unknown: number of different images")
    trials: float = Field(ge=1, le=_MOST, description="effective number of independent images")

    @property
    def whole(self) -> int:
        """The trials as a whole number, rounded down except for rounding errors."""
        return int(self.trials + 1e-6)


class Index(_Strict):
    """A number with its 95% interval."""

    value: float
    interval: tuple[float, float]


class Labelled(_Strict):
    """The labelled images."""

    name: str = Field(description="id on the Hub, or the name of the folder or file")
    config: str | None
    revision: str | None
    split: str | None
    label_column: str
    positive_labels: tuple[str, ...]
    fingerprint: str = Field(description="hash of all images' hashes and labels, in order")
    left_out: dict[str, int] = Field(description="number of images that were not used, by reason")


class Calibration(_Strict):
    """How often a detector is right about one concept, and at which probability it should answer yes."""

    schema_version: Literal[1] = 1
    content_sha256: str = ""
    igmu_version: str = __version__
    concept: str
    detector: dict[str, str | int | float | bool] = Field(description="its signature, without threshold and rates")
    threshold: float = Field(ge=0, le=1, description="p >= threshold counts as present")
    threshold_rule: str
    data: Labelled
    n_images: int
    chosen_on: dict[str, int] = Field(description="images with and without the concept used to choose the threshold")
    sensitivity: Rate
    specificity: Rate
    youden: Index = Field(description="sensitivity + specificity - 1; 0 is chance")
    auroc: Index = Field(description="for the probabilities of all images, independent of the threshold; 0.5 is chance")
    warnings: tuple[str, ...]
    images_sha256: tuple[str, ...] = Field(description=f"first {SHORT} digits of each file's hash, sorted")
    revision: str = Field(default="", exclude=True, description="hash of the file")
    failures: tuple[str, ...] = Field(default=(), exclude=True, description="why images could not be read")

    def rates(self) -> dict[str, Any]:
        """Fields for the detector's description: rates, and the numbers of independent images behind them."""
        found, passed = self.sensitivity, self.specificity
        rates = (found.value, passed.value, found.whole, passed.whole)
        return dict(zip(MEASURED, rates, strict=True)) | {"calibration": self.revision}

    def apply(self, detector: Detector, target: str) -> None:
        """Set a detector's error rates.

        Args:
            detector: loaded with the calibration's threshold.
            target: the concept to forget.

        Raises:
            IncomparableError: a different detector or concept was calibrated.
        """
        mine = described(detector.info)
        unlike = {n: (self.detector.get(n), mine.get(n)) for n in self.detector.keys() | mine.keys()}
        told = [f"{n} {was!r} there, {now!r} here" for n, (was, now) in sorted(unlike.items()) if was != now]
        if self.concept != target:
            told.insert(0, f"concept {self.concept!r} there, {target!r} here")
        if told:
            raise IncomparableError(
                f"the calibration is for a different detector or concept ({'; '.join(told)}). Calibrate this detector "
                f"with 'igmu calibrate --concept {target} …'"
            )
        detector.info = replace(detector.info, threshold=self.threshold, **self.rates())

    def overlap(self, hashes: Iterable[str], what: str) -> int:
        """The number of images to score that were used for the calibration.

        Args:
            hashes: SHA-256 of their files; "" where there is no file.
            what: whose images they are.

        Raises:
            InputError: most of them were used, so that the error rates would be too good for them.
        """
        scored, known = [h[:SHORT] for h in hashes if h], set(self.images_sha256)
        same = [h for h in scored if h in known]
        if 2 * len(same) > len(scored):
            raise InputError(
                f"{len(same)} of the {len(scored)} images of {what} were also used for the calibration (for example, "
                f"the one with sha256 {same[0]}…), so the threshold and error rates depend on them. Calibrate on other "
                "images or, if people have labelled most of these images, score with their labels (--detector "
                "labels:FILE.csv)."
            )
        return len(same)


def described(info: InstrumentInfo) -> dict[str, Setting]:
    """The detector for which a calibration is valid: its signature without the results of a calibration."""
    said = {f"detector.{name}" for name in ("threshold", *MEASURED, "calibration")}
    return {name: value for name, value in info.signature("detector").items() if name not in said}


def read(path: Path) -> Calibration:
    """Read a calibration and check that it was not changed.

    Raises:
        MetadataError: the file does not exist, is not JSON, or not a calibration; the message names the field.
        VerificationError: its content was changed.
    """
    try:
        text = text_of(path)
        data: Any = parsed(text)
        unchanged = isinstance(data, Mapping) and data.get(HASH) == fingerprint(text)
        found = Calibration.model_validate(data)
    except OSError as error:
        raise MetadataError(
            f"{path} cannot be read ({error.strerror}). Specify a file written by 'igmu calibrate'."
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise MetadataError(f"{path} is not a valid calibration file ({where}: {first['msg']}). {_AGAIN}") from error
    except ValueError as error:
        raise MetadataError(f"{path} cannot be read as JSON ({error}). {_AGAIN}") from error
    if not unchanged:
        raise VerificationError(f"{path} was changed after it was written. {_AGAIN}")
    return found.model_copy(update={"revision": file_revision(path)})
