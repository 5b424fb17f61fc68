"""What a model costs in addition to the base: time and memory per image, storage, and the cost of making it.

Conventions: none of this enters a score. Times and memory depend on the machine, so they are in a separate block, which
no hash covers and no comparison of scorecards reads. Seconds are per image, the median over calls; the duration of a
call is divided by its batch size. Two models' seconds are compared only if device, batch size and settings (steps,
guidance, size) are the same; text encoder and decoder take the same time however many steps there are, so seconds per
step would not be comparable either. Memory is the most that was in use during any call: on an accelerator what torch
allocated, on a CPU what the process used (weights and interpreter included).
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from igmu_data.errors import MetadataError
from igmu_data.files import read_text
from igmu_metrics.images import stored
from igmu_metrics.images.folder import MODEL, TIMES
from igmu_metrics.images.method import Method, Text

_Bytes = Annotated[int, Field(ge=0, le=10**16)]
_Count = Annotated[int, Field(ge=0, le=10**16)]
_ADVICE: Final = "Delete the file; you lose the times, but no images."


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Pace(_Strict):
    """How fast one model generated, and in how much memory."""

    seconds: float = Field(ge=0, le=1e9, allow_inf_nan=False, description="seconds per image, median over calls")
    peak_bytes: _Bytes | None = Field(description="most memory in use during a call; null if unknown")
    n_images: int = Field(ge=1, le=10**9, description="number of images that were timed")
    batch_size: int = Field(ge=1, le=10**6, description="images per call, for most images")
    device: Text = Field(description="name of the processor or GPU")
    settings: Text | None = Field(
        default=None, description="steps, guidance and size of these images; null if not recorded"
    )

    @property
    def kind(self) -> tuple[str, int, str | None]:
        """What must be equal for two times to be comparable."""
        return self.device, self.batch_size, self.settings


class Times(_Strict):
    """Generation times of both models; null for a model without times."""

    unlearned: Pace | None
    original: Pace | None

    @property
    def ratio(self) -> float | None:
        """Seconds per image relative to the original; None if a time is missing, or if devices, batch sizes or settings
        (steps, guidance, size) differ."""
        mine, theirs = self.unlearned, self.original
        if mine is None or theirs is None or not theirs.seconds:
            return None
        return mine.seconds / theirs.seconds if mine.kind == theirs.kind else None


class Efficiency(_Strict):
    """What a model costs in addition to the base; not part of any score."""

    extra_parameters: _Count | None = Field(
        default=None, description="parameters in tensors that the original does not store, or stores with other values"
    )
    extra_bytes: _Bytes | None = Field(default=None, description="bytes to store in addition to the original")
    method: Method | None = Field(default=None, description="costs of unlearning, as stated by the model's author")
    times: Times | None = Field(
        default=None, description="measured generation times; in no hash, and ignored when scorecards are compared"
    )

    def fixed(self) -> Efficiency:
        """All but the times: what two runs of one command have in common."""
        return self.model_copy(update={"times": None})


def of(original: Path, unlearned: Path) -> Efficiency | None:
    """The costs recorded in two folders of images; None if nothing is recorded.

    Args:
        original: folder of the original's images.
        unlearned: of the unlearned model's.

    Raises:
        MetadataError: a `model.json` or `times.jsonl` that igmu generate did not write.
    """
    base, model = (stored.read(folder / MODEL) for folder in (original, unlearned))
    beyond = None
    if base is not None and model is not None and base.weights is not None and model.weights is not None:
        beyond = model.weights.beyond(base.weights)
    before, after = pace(original), pace(unlearned)
    found = Efficiency(
        extra_parameters=None if beyond is None else beyond[0],
        extra_bytes=None if beyond is None else beyond[1],
        method=model.method if model is not None else None,
        times=None if before is None and after is None else Times(unlearned=after, original=before),
    )
    return None if found == Efficiency() else found


def pace(folder: Path) -> Pace | None:
    """How fast the images of a folder were generated, on the device and with the settings of most of them; None without
    times.

    Raises:
        MetadataError: a line that igmu generate did not write.
    """
    path = folder / TIMES
    if not path.is_file():
        return None
    calls: dict[tuple[str, int, str | None], list[tuple[int, float, int | None]]] = {}
    *lines, _torn = read_text(path, _ADVICE).split("\n")
    for number, line in enumerate(lines, 1):
        try:
            told: Any = json.loads(line)
            n, size, seconds, peak, device = (
                told[name] for name in ("images", "batch_size", "seconds", "peak_bytes", "device")
            )
            one = Pace(
                seconds=seconds / size,
                peak_bytes=peak,
                n_images=n,
                batch_size=size,
                device=device,
                settings=told.get("settings"),
            )
        except (ValueError, TypeError, LookupError, ZeroDivisionError, RecursionError) as error:
            raise MetadataError(
                f"{path}, line {number}: this line was not written by 'igmu generate'. {_ADVICE}"
            ) from error
        calls.setdefault(one.kind, []).append((one.n_images, one.seconds, one.peak_bytes))
    if not calls:
        return None
    (device, size, settings), most = max(calls.items(), key=lambda item: sum(n for n, *_ in item[1]))
    peaks = [peak for *_, peak in most if peak is not None]
    return Pace(
        seconds=median(seconds for _, seconds, _ in most),
        peak_bytes=max(peaks, default=None),
        n_images=sum(n for n, *_ in most),
        batch_size=size,
        device=device,
        settings=settings,
    )
