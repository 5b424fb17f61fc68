"""Inception-v3 as used for FID: torch-fidelity's port of the TensorFlow weights from 2015, with 2048 pooled features.

Conventions: features are float64. The same weights give different numbers after different resizes, so the resize is
part of the name: `clean` (clean-fid: PIL bicubic with antialiasing, each channel in float32, no rounding to 8 bits) or
`tf` (torch-fidelity and the original FID: TensorFlow 1's bilinear without antialiasing).

Specs: `inception` (clean), `inception:tf`, `inception:tf?weights=path/to/file.safetensors`, `inception:path/to/file`.

References:
    Parmar et al., "On Aliased Resizing and Surprising Subtleties in GAN Evaluation", CVPR 2022.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from igmu_data.errors import WeightsError
from igmu_metrics.contract import one_line
from igmu_metrics.networks import loading
from igmu_metrics.networks.extraction import Extracting, Pixels, preparation_key
from igmu_metrics.networks.instruments import InstrumentInfo

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

NAME = "inception"
URL = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth"
PREPARATIONS = {
    "clean": "clean: pil bicubic to 299x299, float32 per channel",
    "tf": "tf: tensorflow-1 bilinear to 299x299",
}
_SIZE = 299
_BATCH = 8  # convolutions on a CPU live in its caches: larger batches are slower


def load(
    argument: str | None = None,
    *,
    device: str | None = None,
    revision: str | None = None,
    precision: str = "fp32",
    preparation: str = "clean",
    weights: str = "",
) -> Inception:
    """Load torch-fidelity's Inception-v3.

    Args:
        argument: "clean" or "tf", optionally with `?weights=…`; or a path of weights, optionally with `?preparation=…`.
        device: "cpu", "cuda", …; None or "auto": a GPU if available.
        revision: the `sha256:…` that the weights must have.
        precision: "fp32" or "bf16" arithmetic.
        preparation: "clean" or "tf".
        weights: path of its weights (safetensors, or a torch state dict); "" for torch-fidelity's file, downloaded to
            torch's cache.

    Raises:
        MissingExtraError: torch-fidelity is not installed.
        WeightsError: the file does not exist, has different weights, or cannot be downloaded.
        InputError: an unknown option.
    """
    loading.require("torch_fidelity", "fidelity")
    options = _options(argument, preparation, weights)
    preparation = loading.choice("preparation", options["preparation"], tuple(PREPARATIONS))
    dtype = loading.pick_dtype(precision)
    path = Path(options["weights"]).expanduser() if options["weights"] else loading.fetch(URL)
    state = loading.load_state(path)
    found = loading.weights_hash([path])
    loading.check_revision(found, revision, path.name)
    info = InstrumentInfo(
        name=f"{NAME}:{preparation}",
        revision=found,
        preparation=PREPARATIONS[preparation],
        settings={"precision": precision},
    )
    return Inception(info, _trunk(state).to(loading.pick_device(device), dtype), clean=preparation == "clean")


def files(argument: str | None = None, *, preparation: str = "clean", weights: str = "", **_: Any) -> list[Path]:
    """The files that `load` reads."""
    given = _options(argument, preparation, weights)["weights"]
    return [Path(given).expanduser() if given else loading.fetched(URL)]


def _options(argument: str | None, preparation: str, weights: str) -> dict[str, str]:
    given, options = loading.split_argument(argument, {"preparation": preparation, "weights": weights})
    if given:
        options["preparation" if given in PREPARATIONS else "weights"] = given
    return options


class Inception(Extracting):
    """A loaded Inception-v3: `info`, its layers up to the pooled features, and which resize to use."""

    def __init__(self, info: InstrumentInfo, trunk: torch.nn.Module, *, clean: bool) -> None:
        weight = next(trunk.parameters())
        super().__init__(info, preparation_key(info.preparation), weight.device, weight.dtype, _BATCH)
        self._trunk, self._clean = trunk, clean

    def prepare(self, image: Image) -> Pixels:
        """(3, 299, 299) float32 in -1..1."""
        return (self._resized(image) - 128) / 128

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(n, 2048) pooled features."""
        import torch

        pooled: torch.Tensor = self._trunk(pixels.contiguous(memory_format=torch.channels_last))
        return pooled.flatten(1)

    def _resized(self, image: Image) -> Pixels:
        """(3, 299, 299) float32 in 0..255."""
        if self._clean:
            return clean_resize(image, _SIZE)
        import torch
        from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float()
        resized = interpolate_bilinear_2d_like_tensorflow1x(pixels, size=(_SIZE, _SIZE), align_corners=False)
        return np.asarray(resized[0])


def clean_resize(image: Image, size: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """(3, size, size) float32 in 0..255: clean-fid's resize of an RGB image."""
    from PIL import Image as Pil

    channels = np.asarray(image, dtype=np.float32).transpose(2, 0, 1)
    resized = [
        np.asarray(Pil.fromarray(np.ascontiguousarray(c)).resize((size, size), Pil.Resampling.BICUBIC))
        for c in channels
    ]
    return np.stack(resized).clip(0, 255)


def _trunk(state: dict[str, torch.Tensor]) -> torch.nn.Module:
    """The layers from pixels in −1..1 to pooled features, with every batch norm folded into its convolution."""
    import torch
    from torch.nn.utils.fusion import fuse_conv_bn_eval
    from torch_fidelity.feature_extractor_inceptionv3 import BasicConv2d, FeatureExtractorInceptionV3

    # The class unpickles whatever file it is given. It gets a copy that we wrote ourselves from tensors read safely.
    copy = io.BytesIO()
    torch.save(state, copy)
    copy.seek(0)
    try:
        with torch.random.fork_rng(devices=[]):  # its random initialisation must not move the caller's generator
            network = FeatureExtractorInceptionV3("igmu", ["2048"], feature_extractor_weights_path=copy)
    except RuntimeError as error:
        raise WeightsError(
            f"the file does not contain the weights of torch-fidelity's Inception-v3 ({one_line(error)[:300]})."
        ) from error
    for block in network.modules():
        if isinstance(block, BasicConv2d):
            block.conv, block.bn = fuse_conv_bn_eval(block.conv, block.bn), torch.nn.Identity()
    layers = [layer for name, layer in network.named_children() if name != "fc"]
    return torch.nn.Sequential(*layers).eval().requires_grad_(False).to(memory_format=torch.channels_last)
