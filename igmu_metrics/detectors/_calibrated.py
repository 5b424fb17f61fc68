"""The file of a calibration: how often a detector agreed with people on labelled images, and at which threshold.

`igmu calibrate` writes it, `igmu score --calibration` reads it. It holds for one detector (everything that its
signature names but threshold and error rates) and one concept, and is refused for any other.
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
_AGAIN: Final = "Run igmu calibrate again."


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rate(_Strict):
    """A share of labelled images with its 95 % interval; the unit is the prompt, where prompts are known."""

    value: float = Field(ge=0, le=1)
    interval: tuple[float, float]
    n_images: int = Field(ge=1, le=_MOST)
    n_prompts: int = Field(ge=1, le=_MOST, description="of images whose prompt is not known: every different image")
    trials: float = Field(ge=1, le=_MOST, description="independent images that these are worth")

    @property
    def whole(self) -> int:
        """The trials as a whole number; rounding takes none away."""
        return int(self.trials + 1e-6)


class Index(_Strict):
    """A number with its 95 % interval."""

    value: float
    interval: tuple[float, float]


class Labelled(_Strict):
    """The labelled images."""

    name: str = Field(description="id on the Hub, or the folder's or file's own name")
    config: str | None
    revision: str | None
    split: str | None
    label_column: str
    positive_labels: tuple[str, ...]
    fingerprint: str = Field(description="of every image's hash and label, in order")
    left_out: dict[str, int] = Field(description="images that could not be read, labelled or judged, by why")


class Calibration(_Strict):
    """How often a detector is right about one concept, and from which probability on it should say yes."""

    schema_version: Literal[1] = 1
    content_sha256: str = ""
    igmu_version: str = __version__
    concept: str
    detector: dict[str, str | int | float | bool] = Field(description="its signature, without threshold and rates")
    threshold: float = Field(ge=0, le=1, description="p >= threshold counts as present")
    threshold_rule: str
    data: Labelled
    n_images: int
    chosen_on: dict[str, int] = Field(description="images with and without the concept that the threshold was found on")
    sensitivity: Rate
    specificity: Rate
    youden: Index = Field(description="sensitivity + specificity - 1; 0 is chance")
    auroc: Index = Field(description="of the probabilities of all images, without the threshold; 0.5 is chance")
    warnings: tuple[str, ...]
    images_sha256: tuple[str, ...] = Field(description=f"first {SHORT} digits of each file's hash, sorted")
    revision: str = Field(default="", exclude=True, description="hash of the file")
    failures: tuple[str, ...] = Field(default=(), exclude=True, description="why images could not be read")

    def rates(self) -> dict[str, Any]:
        """What an instrument's description is told: rates, and on how many independent images they were measured."""
        found, passed = self.sensitivity, self.specificity
        rates = (found.value, passed.value, found.whole, passed.whole)
        return dict(zip(MEASURED, rates, strict=True)) | {"calibration": self.revision}

    def apply(self, detector: Detector, target: str) -> None:
        """Give a detector the error rates.

        Args:
            detector: loaded with the calibration's threshold.
            target: the concept to forget.

        Raises:
            IncomparableError: another detector or concept was calibrated.
        """
        mine = described(detector.info)
        unlike = {n: (self.detector.get(n), mine.get(n)) for n in self.detector.keys() | mine.keys()}
        told = [f"{n} {was!r} there, {now!r} here" for n, (was, now) in sorted(unlike.items()) if was != now]
        if self.concept != target:
            told.insert(0, f"concept {self.concept!r} there, {target!r} here")
        if told:
            raise IncomparableError(
                f"the calibration is of another detector or concept: {'; '.join(told)}. Calibrate this one: igmu "
                f"calibrate --concept {target} …"
            )
        detector.info = replace(detector.info, threshold=self.threshold, **self.rates())

    def overlap(self, hashes: Iterable[str], what: str) -> int:
        """How many images to be scored are among those of the calibration.

        Args:
            hashes: SHA-256 of their files; "" where there is no file.
            what: whose images they are.

        Raises:
            InputError: most of them: their error rates would be those of a detector that knew them.
        """
        scored, known = [h[:SHORT] for h in hashes if h], set(self.images_sha256)
        same = [h for h in scored if h in known]
        if 2 * len(same) > len(scored):
            raise InputError(
                f"{len(same)} of {len(scored)} images of {what} are among those of the calibration, such "
                f"as the one with sha256 {same[0]}…: its threshold and error rates depend on them. Where people "
                "have judged "
                "most images, score with their labels (--detector labels:FILE.csv), or calibrate on others."
            )
        return len(same)


def described(info: InstrumentInfo) -> dict[str, Setting]:
    """What a calibration holds for: a detector's signature without what a calibration says."""
    said = {f"detector.{name}" for name in ("threshold", *MEASURED, "calibration")}
    return {name: value for name, value in info.signature("detector").items() if name not in said}


def read(path: Path) -> Calibration:
    """Read a calibration that is as it was written.

    Raises:
        MetadataError: not there, not JSON, or no calibration; the message names the field.
        VerificationError: its content was changed.
    """
    try:
        text = text_of(path)
        data: Any = parsed(text)
        unchanged = isinstance(data, Mapping) and data.get(HASH) == fingerprint(text)
        found = Calibration.model_validate(data)
    except OSError as error:
        raise MetadataError(f"{path}: cannot be read ({error.strerror}). Give a file of igmu calibrate.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise MetadataError(f"{path}: not a calibration: {where}: {first['msg']}. {_AGAIN}") from error
    except ValueError as error:
        raise MetadataError(f"{path}: not JSON that can be read ({error}). {_AGAIN}") from error
    if not unchanged:
        raise VerificationError(f"{path}: the content was changed after it was written. {_AGAIN}")
    return found.model_copy(update={"revision": file_revision(path)})
