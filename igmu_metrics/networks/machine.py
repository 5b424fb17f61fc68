"""What a scorecard records about the machine and the software that made it."""

from __future__ import annotations

import platform
import sys
from contextlib import suppress
from functools import cache
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


def device_name(device: str) -> str:
    """The name of the processor or GPU of a torch device."""
    if cuda := _cuda(device):
        return str(cuda.get_device_name(device))
    return _cpu() if device == "cpu" else device


def _cuda(device: str) -> Any:
    """Torch's module for a device that is a GPU of it."""
    torch: Any = sys.modules.get("torch")
    return torch.cuda if device.startswith("cuda") and torch is not None and torch.cuda.is_available() else None


def reset_peak_memory(device: str) -> None:
    """Start measuring peak memory; what cannot be reset is measured from the start of the process."""
    if cuda := _cuda(device):
        cuda.reset_peak_memory_stats(device)
    elif device == "cpu":
        with suppress(OSError):  # not Linux, or not allowed
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory(device: str) -> int | None:
    """The most bytes in use since `reset_peak_memory`: by torch on a GPU, by the process on a CPU; None if unknown."""
    if cuda := _cuda(device):
        return int(cuda.max_memory_allocated(device))
    if device != "cpu":
        return None
    try:
        told = Path("/proc/self/status").read_text(encoding="utf-8")
        return int(told.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, IndexError, ValueError):
        return None


@cache
def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"
