"""What a scorecard needs to be made again: the command, versions, hardware, and a hash of every picture.

Conventions: two runs of one command on one machine give the same bytes. So nothing here depends on the time, on the
folder that things lie in, or on how the command was started; when a card was made, and by what, stands in `runs.jsonl`
beside it. No path of the user's machine enters a card, only the last part of it.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shlex
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from igmu_data import __version__
from igmu_data.errors import OutputError

if TYPE_CHECKING:
    from igmu_metrics.scorecard import GenerationEntry

RUNS: Final = "runs.jsonl"
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
Option = str | int | float | bool | None


class Provenance(BaseModel):
    """How a card came about."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    command: str = Field(description="what gives this card again, with the folders' own names")
    options: dict[str, str | int | float | bool] = Field(description="of igmu score that differ from their defaults")
    inputs_sha256: str = Field(
        pattern="^[0-9a-f]{64}$", description="of all generations' ids, seeds and picture hashes, in order"
    )
    versions: dict[str, str] = Field(description="python, igmu and the packages that can change a number")
    hardware: dict[str, str]


def collect(
    options: Mapping[str, Option], generations: Iterable[GenerationEntry], *, model: str, original: str
) -> Provenance:
    """The provenance of a card that is being made."""
    given = {name: _public(name, value) for name, value in options.items() if value is not None}
    folders = {"original": original, "unlearned": model}
    words = [w for name, value in (folders | given).items() for w in (f"--{name.replace('_', '-')}", str(value))]
    return Provenance(
        command=shlex.join(["igmu", "score", *words]),
        options=given,
        inputs_sha256=inputs_sha256(generations),
        versions=_versions(),
        hardware=_hardware(),
    )


def inputs_sha256(generations: Iterable[GenerationEntry]) -> str:
    """One hash of everything that was looked at."""
    digest = hashlib.sha256()
    for g in generations:
        digest.update(f"{g.id}\t{g.seed}\t{g.image_sha256}\t{g.original_image_sha256}\n".encode())
    return digest.hexdigest()


def _public(name: str, value: str | int | float | bool) -> str | int | float | bool:
    """An option without the user's folders: `labels:/me/x.csv` is `labels:x.csv`, the package's bench `sandbox`."""
    if not isinstance(value, str) or name == "prompt":
        return value
    if name == "bench":
        from igmu_data.sandbox.packaged import bench_folder
        from igmu_data.taxonomy import SANDBOX

        if value == str(bench_folder()):
            return SANDBOX
    spec, colon, argument = value.partition(":")
    path = Path(argument if colon else value)
    if not path.is_absolute():
        return value
    return f"{spec}:{path.name}" if colon else path.name


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "igmu": __version__}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _hardware() -> dict[str, str]:
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


@dataclass(slots=True)
class Stopwatch:
    """When a run began, by the clock, and how long it took."""

    started: str = field(default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    _begin: float = field(default_factory=time.monotonic)

    def log(self, card: Path, content_sha256: str) -> None:
        """Add a line about a card to the `runs.jsonl` beside it: when, how long, and by which command.

        Raises:
            OutputError: the place cannot be written to.
        """
        line = {
            "card": card.name,
            "content_sha256": content_sha256,
            "started": self.started,
            "seconds": round(time.monotonic() - self._begin, 1),
            "arguments": sys.argv[1:],
        }
        try:
            with card.with_name(RUNS).open("a", encoding="utf-8") as handle:
                handle.write(json.dumps(line, ensure_ascii=False) + "\n")
        except OSError as error:
            raise OutputError(
                f"cannot write {card.with_name(RUNS)}: {error.strerror}. Choose another --out."
            ) from error
