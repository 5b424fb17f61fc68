"""Image features from your own network in a single ONNX file, such as a face recognition network.

Conventions: an image is resized to the network's input (bicubic, ignoring the aspect ratio) and scaled to
(value − mean) / std, with values in 0..255; the feature is the first output for one image, flattened, float64, not
normalised. The network is opened from the file's own bytes, so that weights in other files, which would not be part of
the signature, are refused.

Specs: `onnx:FILE.onnx`, `onnx:FILE.onnx?size=112&mean=127.5&std=127.5&channels=rgb`; these values are the defaults,
except `size`, which is needed only if the network does not specify its size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from igmu_data.errors import InputError, WeightsError
from igmu_metrics.contract import FloatArray, one_line
from igmu_metrics.networks.extraction import Pixels
from igmu_metrics.networks.instruments import InstrumentInfo
from igmu_metrics.networks.loading import (
    ImageBackbone,
    check_images,
    choice,
    require,
    rgb,
    split_argument,
    weights_hash,
)

if TYPE_CHECKING:
    from PIL.Image import Image

NAME = "onnx"
OPTIONS: Final[Mapping[str, str]] = {"size": "", "mean": "127.5", "std": "127.5", "channels": "rgb"}


def load(argument: str | None, *, device: str | None = None, precision: str = "fp32") -> Onnx:
    """Load a network.

    Args:
        argument: path of the file, with options as in the spec.
        device: ignored; the network runs on the CPU, where results are nearly equal on all machines.
        precision: ignored; the network has its own precision.

    Raises:
        WeightsError: the file does not exist, or is not a network for one image.
        InputError: an option has an invalid value.
        MissingExtraError: `onnxruntime` is not installed.
    """
    name, given = split_argument(argument, OPTIONS)
    path = Path(name).expanduser()
    if path.suffix != ".onnx" or not path.is_file():
        raise WeightsError(f"onnx: there is no file {name!r}. Use onnx:FILE.onnx.")
    require("onnxruntime", "onnx")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has an error of its own for every way to be wrong
        raise WeightsError(f"{path}: ONNX Runtime cannot open this file ({one_line(error)[:300]}).") from error
    n, shape = len(session.get_inputs()), session.get_inputs()[0].shape
    if n != 1 or len(shape) != 4 or 3 not in (shape[1], shape[3]):
        raise WeightsError(
            f"{path}: the network must take a single three-channel image as its only input, but it has {n} "
            f"input{'s' * (n > 1)}, the first of shape {shape}. Use another network."
        )
    first = shape[1] == 3
    sides = [side for side in (shape[2:] if first else shape[1:3]) if isinstance(side, int)]
    size = _number("size", given["size"] or (str(sides[0]) if sides else ""))
    if any(side != size for side in sides) or size != int(size) or size < 1:
        raise InputError(
            f"{path}: size is {size:g}, but this network requires "
            f"{'x'.join(map(str, sides)) or 'a whole number of at least 1'}. Correct the size."
        )
    mean, std = _number("mean", given["mean"]), _number("std", given["std"])
    if std == 0:
        raise InputError("onnx: std is 0. Set it to a nonzero number, such as std=127.5.")
    channels = choice("channels", given["channels"], ("rgb", "bgr"))
    how = f"pil bicubic to {size:g}x{size:g}, ({channels} - {mean:g}) / {std:g}"
    return Onnx(
        InstrumentInfo(f"{NAME}:{path.name}", weights_hash([path]), how), session, int(size), mean, std, channels, first
    )


def files(argument: str | None, **_: Any) -> list[Path] | None:
    """The file that `load` reads."""
    name, _given = split_argument(argument, OPTIONS)
    path = Path(name).expanduser()
    return [path] if path.is_file() else None


class Onnx(ImageBackbone):
    """An open session with one image per call, as networks are often exported for a single image."""

    batch = 1

    def __init__(
        self, info: InstrumentInfo, session: Any, size: int, mean: float, std: float, channels: str, first: bool
    ) -> None:
        self.info = info
        self.preparation = f"{info.preparation}, channels {'first' if first else 'last'}"
        self._session, self._size, self._mean, self._std, self._first = session, size, mean, std, first
        self._order = slice(None) if channels == "rgb" else slice(None, None, -1)

    def prepare(self, image: Image) -> Pixels:
        """(3, size, size), or (size, size, 3), float32."""
        from PIL import Image as Pil

        small = rgb(image).resize((self._size, self._size), Pil.Resampling.BICUBIC)
        values = (np.asarray(small, dtype=np.float32)[..., self._order] - np.float32(self._mean)) / np.float32(
            self._std
        )
        return np.ascontiguousarray(values.transpose(2, 0, 1) if self._first else values)

    def extract(self, inputs: Sequence[Pixels]) -> FloatArray:
        """(n, d) features of prepared images."""
        name = self._session.get_inputs()[0].name
        found = [self._session.run(None, {name: one[None]})[0].reshape(-1) for one in inputs]
        return np.stack(found).astype(np.float64)

    def image_features(self, images: Sequence[Image]) -> FloatArray:
        """(n, d) features of RGB images of any size."""
        check_images(images)
        return self.extract([self.prepare(image) for image in images])


def _number(what: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not isfinite(value):
        raise InputError(
            f"onnx: {what} is {text!r}, not a number. Set it to a number, as in onnx:FILE.onnx?{what}=112."
        )
    return value
