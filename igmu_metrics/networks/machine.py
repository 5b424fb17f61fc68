"""What a scorecard says of the machine that made it."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from igmu_data import __version__

_PACKAGES: Final = (
    "numpy",
    "scipy",
    "pillow",
    "torch",
    "torchvision",
    "transformers",
    "safetensors",
    "datasets",
    "torch-fidelity",
    "lpips",
    "nudenet",
)


def versions() -> dict[str, str]:
    """Python, igmu and the packages that can change a number."""
    found = {"python": platform.python_version(), "igmu": __version__}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, str]:
    """System, processor and, once torch is loaded, GPU."""
    found = {"system": platform.system(), "machine": platform.machine(), "cpu": _cpu()}
    torch: Any = sys.modules.get("torch")  # an evaluation that needed no model has not loaded it
    if torch is not None and torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
        found["cuda"] = str(torch.version.cuda)
    return found


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"
