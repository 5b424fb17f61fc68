"""LPIPS: perceptual distance between two images, with the networks and linear weights of the `lpips` package.

Conventions: distances are ≥ 0, 0 for equal images, float64. Images are resized to 256×256 (or `size`, in the signature)
and scaled to −1..1. The linear weights come with the package; the trunk is torchvision's ImageNet network.

Specs: `lpips`, `lpips:vgg`, `lpips:alex?trunk=path/to/alexnet.safetensors&size=512`; `size=0` keeps the images' size.

References:
    Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR 2018.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from igmu_data.errors import InputError, WeightsError
from igmu_metrics.contract import FloatArray, batches
from igmu_metrics.networks import loading
from igmu_metrics.networks.extraction import ON_ACCELERATOR, Pixels, filled, on_device, preparation_key
from igmu_metrics.networks.instruments import InstrumentInfo

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

NAME = "lpips"
NETWORKS = ("alex", "vgg")
TRUNKS = {
    "alex": "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    "vgg": "https://download.pytorch.org/models/vgg16-397923af.pth",
}
DEFAULT_SIZE = 256
_BATCH = 4  # pairs; on two cores a tenth faster than 8, as more leave the caches
_EPSILON = 1e-10  # added to the length of a feature, as in the package


def load(
    argument: str | None = None,
    *,
    device: str | None = None,
    revision: str | None = None,
    precision: str = "fp32",
    trunk: str = "",
    size: int = DEFAULT_SIZE,
) -> Lpips:
    """Load LPIPS.

    Args:
        argument: "alex" (the default for None) or "vgg", optionally with `?trunk=…&size=…`.
        device: "cpu", "cuda", …; None or "auto": a GPU if available.
        revision: the `sha256:…` that the trunk's and the package's weights must have together.
        precision: "fp32" or "bf16" arithmetic.
        trunk: path of the trunk's weights as torchvision names them (`features.0.weight` …; safetensors or a torch
            state dict); "" for torchvision's file, downloaded to torch's cache.
        size: side of the square that images are resized to, in pixels, ≥ 64; 0 keeps their size, which must then be
            equal for both images of a pair.

    Raises:
        MissingExtraError: lpips is not installed.
        WeightsError: the file does not exist, has different weights, or cannot be downloaded.
        InputError: an unknown network or option.
    """
    loading.require("lpips", "lpips")
    network, options = _options(argument, trunk, size)
    side = _side(options["size"])
    dtype = loading.pick_dtype(precision)
    path = Path(options["trunk"]).expanduser() if options["trunk"] else loading.fetch(TRUNKS[network])
    model = _build(network, loading.load_state(path))
    found = loading.files_hash({"trunk": path, "linear": _linear(network)})
    loading.check_revision(found, revision, path.name)
    info = InstrumentInfo(
        name=f"{NAME}:{network}",
        revision=found,
        preparation=f"pil bicubic to {side}x{side}, -1..1" if side else "own size, -1..1",
        settings={"precision": precision, "linear": "v0.1"},
    )
    model = model.to(loading.pick_device(device), dtype)
    return Lpips(info, model, side)


def files(argument: str | None = None, *, trunk: str = "", size: int = DEFAULT_SIZE, **_: Any) -> list[Path] | None:
    """The files that `load` reads; None without the package."""
    if find_spec("lpips") is None:
        return None
    network, options = _options(argument, trunk, size)
    own = Path(options["trunk"]).expanduser() if options["trunk"] else loading.fetched(TRUNKS[network])
    return [own, _linear(network)]


def _options(argument: str | None, trunk: str, size: int) -> tuple[str, dict[str, str]]:
    given, options = loading.split_argument(argument, {"trunk": trunk, "size": str(size)})
    return loading.choice("LPIPS network", given or NETWORKS[0], NETWORKS), options


def _linear(network: str) -> Path:
    """The package's linear weights."""
    found = find_spec("lpips")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "weights" / "v0.1" / f"{network}.pth"


class Lpips(loading.ImageBackbone):
    """A loaded LPIPS: `info`, the network in eval mode, and the side to which images are resized (0: no resizing)."""

    def __init__(self, info: InstrumentInfo, model: Any, side: int) -> None:
        weight = next(model.parameters())
        self.info = info
        self.preparation = preparation_key(info.preparation)
        self.batch = 1 if not side else _BATCH if weight.device.type == "cpu" else ON_ACCELERATOR
        self._model, self._side, self._device, self._dtype = model, side, weight.device, weight.dtype
        linear = [m for lin in model.lins for m in lin.modules() if hasattr(m, "weight")]
        self._weights = [m.weight.reshape(-1).float() for m in linear]

    def prepare(self, image: Image) -> Pixels:
        """(3, h, w) uint8, resized."""
        from PIL import Image as Pil

        if self._side and image.size != (self._side, self._side):
            image = image.resize((self._side, self._side), Pil.Resampling.BICUBIC)
        return np.asarray(image).transpose(2, 0, 1)

    def compare(self, pairs: Sequence[tuple[Pixels, Pixels]]) -> FloatArray:
        """(n,) distances between prepared images."""
        import torch

        for i, (one, other) in enumerate(pairs):
            if one.shape != other.shape:
                sizes = f"{one.shape[:0:-1]} and {other.shape[:0:-1]}"
                raise InputError(f"pair {i}: the images have different sizes, {sizes}. Load LPIPS with a fixed size.")
        out = []
        with torch.inference_mode():
            for some in batches(pairs, self.batch):
                full = filled(some, self.batch)
                both = np.stack([pair[k] for k in (0, 1) for pair in full])
                found = self._distances(on_device(both, self._device, torch.float32, channels_last=True))
                out.append(found[: len(some)].double().cpu().numpy())
        return np.concatenate(out)

    def image_distance(self, images: Sequence[Image], others: Sequence[Image]) -> FloatArray:
        """(n,) distances between images of two lists of equal length."""
        loading.check_images(images, others)
        both = zip(images, others, strict=True)
        return self.compare([(self.prepare(loading.rgb(a)), self.prepare(loading.rgb(b))) for a, b in both])

    def _distances(self, values: torch.Tensor) -> torch.Tensor:
        """(n,) distances between the first and the second half of (2n, 3, h, w) images in 0..255.

        The package's forward pass with both images of a pair in one call of the trunk. Its 1×1 convolution and mean
        over pixels change places, so that what is as large as the features is read and written once a step, in place.
        """
        import torch

        model = self._model
        shift, scale = model.scaling_layer.shift, model.scaling_layer.scale
        scaled = torch.addcmul(-(1 + shift) / scale, values, 1 / (127.5 * scale))
        total: Any = 0.0
        for layer, weights in zip(
            model.net(scaled.to(self._dtype, memory_format=torch.channels_last)), self._weights, strict=True
        ):
            length = torch.linalg.vector_norm(layer, dim=1, keepdim=True)
            one, other = layer.div_(length.add_(_EPSILON)).chunk(2)
            total = total + one.sub_(other).square_().mean((2, 3), dtype=torch.float32) @ weights
        distances: torch.Tensor = total
        return distances


def _side(size: str) -> int:
    if not size.isdecimal() or 0 < int(size) < 64:
        raise InputError(f"the LPIPS size is {size!r}; it must be at least 64 pixels, or 0 to keep the images' size.")
    return int(size)


def _build(network: str, trunk: dict[str, torch.Tensor]) -> torch.nn.Module:
    """The package's network with its linear weights and this trunk."""
    import lpips
    import torch

    # Built without weights, because the package reads its own with an unguarded torch.load and would fetch the trunk;
    # on the meta device, because random numbers for VGG take seconds and would move the caller's generator.
    with warnings.catch_warnings(), torch.device("meta"):
        warnings.simplefilter("ignore", UserWarning)  # it calls torchvision the old way, which torchvision tells us
        model: Any = lpips.LPIPS(net=network, pretrained=False, pnet_rand=True, verbose=False)
    model.scaling_layer = lpips.ScalingLayer()  # constants of the package, lost on the meta device
    state = loading.load_state(_linear(network))
    for name, own in model.state_dict().items():
        if name.startswith("net."):  # net.slice2.3.weight is torchvision's features.3.weight
            key = "features." + name.split(".", 2)[2]
            if key not in trunk:
                raise WeightsError(f"the trunk of LPIPS '{network}' is missing {key!r}. Use torchvision's state dict.")
            state[name] = trunk[key]
        elif name.startswith("lins."):  # the same layers as lin0, lin1, … a second time
            state[name] = state["lin" + name.removeprefix("lins.")]
        elif name.startswith("scaling_layer."):
            state[name] = own
    loading.load_into(model, state, f"LPIPS '{network}'")
    return model.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[no-any-return]
