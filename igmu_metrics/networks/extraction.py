"""From an image to one vector, in two steps that may run on different threads: prepare, then run the network.

Conventions: a network always runs on batches of one shape, the last one filled up with copies. Matrix kernels choose
their order of summation by the shape of the whole batch, so that an image's features depend only on the image, to the
last bit: not on its neighbours, their number, or where an interrupted run continued.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from igmu_data.errors import WeightsError
from igmu_metrics.contract import FloatArray, batches, one_line
from igmu_metrics.networks.instruments import InstrumentInfo
from igmu_metrics.networks.loading import ImageBackbone, check_images, rgb

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

ON_ACCELERATOR: Final = 64
"""Images per call on a GPU; for CPUs, each network has a measured batch size."""

Pixels = np.ndarray[Any, np.dtype[Any]]


class Extracting(ImageBackbone):
    """An image network with separate preparation and forward pass, both given by subclasses.

    Args:
        info: its description.
        preparation: equal for networks that see the same pixels; see `preparation_key`.
        device: where it runs.
        dtype: of its weights.
        batch: images per call on a CPU, by measurement.
    """

    def __init__(
        self, info: InstrumentInfo, preparation: str, device: torch.device, dtype: torch.dtype, batch: int
    ) -> None:
        self.info = info
        self.preparation = preparation
        self.batch = batch if device.type == "cpu" else ON_ACCELERATOR
        self._device, self._dtype = device, dtype

    def prepare(self, image: Image) -> Pixels:
        """(3, h, w) float32 input of an RGB image; safe on any thread."""
        raise NotImplementedError

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(n, d) output for (n, 3, h, w) on the network's device and in its precision."""
        raise NotImplementedError

    def extract(self, inputs: Sequence[Pixels]) -> FloatArray:
        """(n, d) features of prepared images."""
        import torch

        parts = []
        with torch.inference_mode():
            for some in batches(inputs, self.batch):
                pixels = on_device(np.stack(filled(some, self.batch)), self._device, self._dtype)
                with fitting(self.info.name):
                    parts.append(self.forward(pixels)[: len(some)].double().cpu().numpy())
        return np.concatenate(parts)

    def image_features(self, images: Sequence[Image]) -> FloatArray:
        """(n, d) features of RGB images of any size."""
        check_images(images)
        some = batches(images, self.batch)
        return np.concatenate([self.extract([self.prepare(rgb(image)) for image in part]) for part in some])


@contextmanager
def fitting(name: str) -> Iterator[None]:
    """Around a network's call: what it says of inputs that it cannot take becomes an error with its name.

    Args:
        name: of the network.

    Raises:
        WeightsError: the network refuses what its own processor prepared.
    """
    import torch

    try:
        yield
    except (ValueError, RuntimeError, IndexError) as error:
        if isinstance(error, torch.cuda.OutOfMemoryError) or "CUDA" in str(error):  # the machine's fault
            raise
        raise WeightsError(
            f"{name}: the network does not accept the input that its processor prepares ({one_line(error)}). Use the "
            "processor files that were published with these weights."
        ) from error


def filled(items: Sequence[Any], size: int) -> list[Any]:
    """The items, and copies of the last one up to a fixed number.

    >>> filled([1, 2], 4)
    [1, 2, 2, 2]
    """
    return [*items, *[items[-1]] * (size - len(items))]


def on_device(array: Pixels, device: torch.device, dtype: torch.dtype, *, channels_last: bool = False) -> torch.Tensor:
    """A tensor on a device; to a GPU through pinned memory, so that the copy overlaps with what runs there."""
    import torch

    tensor = torch.from_numpy(array)
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    form = torch.channels_last if channels_last else torch.preserve_format
    return tensor.to(device, dtype, non_blocking=True, memory_format=form)


def preparation_key(what: str, settings: Mapping[str, Any] | None = None) -> str:
    """A short name for a way of preparing images that changes with each of its settings.

    >>> preparation_key("resize", {"size": 224}) == preparation_key("resize", {"size": 225})
    False
    """
    text = json.dumps([what, dict(settings or {})], sort_keys=True, default=str)
    return f"{what}#{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def processor_key(processor: Any) -> str:
    """`preparation_key` of a transformers image processor."""
    return preparation_key(type(processor).__name__, processor.to_dict())
