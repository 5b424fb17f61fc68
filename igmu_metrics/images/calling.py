"""Calls of a pipeline: batches of one shape, their cost, and what happens if they do not fit in memory.

Conventions: all calls for one image size have the same shape (an incomplete batch repeats its last request), so that an
image depends on its prompt, seed and the size of the call, but not on the other requests. Times are those of the call,
which ends when the pixels are in main memory.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from igmu_data.errors import InputError, WeightsError
from igmu_data.numerals import counted
from igmu_metrics.contract import one_line
from igmu_metrics.images import schedulers
from igmu_metrics.networks.machine import device_name, peak_memory, reset_peak_memory

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from igmu_metrics.images.pipelines import Pipeline
    from igmu_metrics.images.presets import Settings

AUTO: Final = "auto"
_MOST: Final = 32  # images a call that `auto` begins with on an accelerator
_SMALL: Final = 64 * 64  # pixels
_TOGETHER: Final = 16  # small images in a call on a CPU
_FULL: Final = ("out of memory", "not enough memory", "can't allocate memory")


class Asked(Protocol):
    """What a call needs to know about an image."""

    @property
    def row_id(self) -> str:
        """The prompt's id."""

    @property
    def prompt(self) -> str:
        """Its text."""

    @property
    def seed(self) -> int:
        """Of the starting noise."""


class Caller:
    """Generates batches, and loads the pipeline for the first one.

    Args:
        pipeline: what generates.
        batch_size: images per call on an accelerator, or AUTO: starts with 32 and halves this until they fit in memory.
            A CPU always gets calls of sixteen small images or one large one.
    """

    def __init__(self, pipeline: Pipeline, batch_size: int | str) -> None:
        self._pipeline, self._pipe = pipeline, None
        self._auto = batch_size == AUTO
        self._most = _MOST if isinstance(batch_size, str) else batch_size
        self._accelerated = pipeline.device != "cpu"

    def size(self, how: Settings) -> int:
        """Images per call."""
        if self._accelerated:
            return self._most
        return _TOGETHER if how.width * how.height <= _SMALL else 1

    def __call__(
        self, batch: Sequence[Asked], how: Settings
    ) -> Iterator[tuple[list[tuple[npt.NDArray[np.float32], str]], dict[str, Any], dict[str, Any]]]:
        """Generate a batch in one call, or in several if the memory is too small.

        Args:
            batch: images with equal settings.
            how: the settings.

        Returns:
            For each call: the images in order, each with the reason why it failed, or ""; the facts about the call for
            their metadata lines; and its time and memory.

        Raises:
            InputError: the pipeline refuses the settings, generates something else, or one image does not fit in
                memory.
            WeightsError: the pipeline cannot be loaded.
        """
        self._pipe = self._pipe or self._pipeline.load()
        facts = {"scheduler": told} if (told := schedulers.described(self._pipe)) else {}
        waiting = list(batch)
        while waiting:
            size = self.size(how)
            some = waiting[:size]
            filled = [*some, *[some[-1]] * (size - len(some))]
            reset_peak_memory(self._pipeline.device)
            begun = time.perf_counter()
            try:
                images = self._called(filled, how)
            except RuntimeError as error:
                if not _is_full(error):
                    raise
                self._halve(how, size, error)
                continue
            took = {
                "images": len(some),
                "batch_size": size,
                "seconds": round(time.perf_counter() - begun, 6),
                "peak_bytes": peak_memory(self._pipeline.device),
                "device": device_name(self._pipeline.device),
                "settings": str(how),
            }
            yield images[: len(some)], facts | ({"batch_size": size} if self._accelerated else {}), took
            del waiting[: len(some)]

    def _halve(self, how: Settings, size: int, error: RuntimeError) -> None:
        if self._auto and self._accelerated and size > 1:
            self._most = size // 2
            _forget_cached()
            return
        advice = (
            "Use --batch-size auto or a smaller number ('igmu generate', 'igmu run')"
            if self._accelerated and size > 1
            else "Use --dtype float16, a smaller --size ('igmu generate', 'igmu run') or a different --device"
        )
        raise InputError(
            f"{self._pipeline.name}: the memory of {self._pipeline.device} is too small for {counted(size, 'image')} "
            f"of {how.width}×{how.height} pixels in one call ({str(error).splitlines()[0][:120]}). {advice}."
        ) from error

    def _called(self, batch: Sequence[Asked], how: Settings) -> list[tuple[npt.NDArray[np.float32], str]]:
        import numpy as np
        import torch

        pipe: Any = self._pipe
        name, first = self._pipeline.name, batch[0]
        try:
            result = pipe(
                prompt=[r.prompt for r in batch],
                generator=[torch.Generator("cpu").manual_seed(r.seed) for r in batch],
                num_inference_steps=how.steps,
                guidance_scale=how.guidance_scale,
                width=how.width,
                height=how.height,
                output_type="np",  # before rounding, where NaN can still be seen
            )
        except ValueError as error:
            raise InputError(
                f"{name} cannot generate an image for row {first.row_id!r} ({error}). Change the settings."
            ) from error
        except Exception as error:  # of whatever kind a compiler raises
            if not self._pipeline.compiled or _is_full(error):
                raise
            raise WeightsError(
                f"{name} cannot be compiled on this machine ({one_line(error)[:200]}). Leave --compile out."
            ) from error
        images = np.asarray(result.images)
        if images.shape != (len(batch), how.height, how.width, 3):
            raise InputError(
                f"{name} returned an array of shape {images.shape} instead of {len(batch)} images of "
                f"{how.width}×{how.height} (row {first.row_id!r}). Choose a size that the model can generate."
            )
        flags = getattr(result, "nsfw_content_detected", None) or [False] * len(batch)
        return [
            (image, "safety checker" if flag else "" if np.isfinite(image).all() else "values that are not finite")
            for image, flag in zip(images, flags, strict=True)
        ]


def _is_full(error: Exception) -> bool:
    return any(words in str(error) for words in _FULL)


def _forget_cached() -> None:
    """Give back what torch keeps for later, so that a smaller call finds room."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
