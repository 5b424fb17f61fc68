"""The networks of a pipeline: which exist, and how one is read from a folder.

Conventions: safetensors only, and every weight of a network is in its files.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from igmu_data.errors import WeightsError
from igmu_data.progress import quiet_loading

if TYPE_CHECKING:
    import torch

COMPONENTS: Final = ("unet", "transformer", "text_encoder", "text_encoder_2", "text_encoder_3")


def component(pipe: Any, kind: str, where: Path, advice: str = "") -> Any:
    """A pipeline's network of a kind.

    Args:
        pipe: a pipeline of diffusers.
        kind: of the network.
        where: file or folder to be put into it, for the message.
        advice: the message's next step; by default, to replace another component.

    Raises:
        WeightsError: it has none; the message names the file and the networks that exist.
    """
    module = getattr(pipe, kind, None)
    if module is None:
        has = [k for k in COMPONENTS if getattr(pipe, k, None) is not None]
        if has and not advice:
            advice = f"Replace a component that the pipeline has, for example {has[0]}=FILE."
        there = ", ".join(has) or "components that igmu cannot replace"
        raise WeightsError(
            f"{where}: this {type(pipe).__name__} has no {kind}; it has only {there}. {advice or 'Use another model.'}"
        )
    return module


def only_variant(folder: Path) -> str | None:
    """The variant that all weights of a folder are of (`fp16`), None where some have none or they differ."""
    found = _variants(folder)
    return found.pop() or None if len(found) == 1 else None


def require_variant(folder: Path, variant: str | None) -> None:
    """Refuse a variant of which a folder has no weights.

    Raises:
        WeightsError: names those that there are.
    """
    if variant is not None and variant not in (found := _variants(folder)):
        there = ", ".join(sorted(found - {""})) or "none"
        raise WeightsError(f"{folder} contains no weights of variant {variant!r} (available variants: {there}).")


def _variants(folder: Path) -> set[str]:
    """The variants of a folder's weight files, "" for those that are of none."""
    names = [p.name.removesuffix(".safetensors") for p in folder.rglob("*.safetensors")]
    return {re.sub(r"-\d{5}-of-\d{5}", "", n).partition(".")[2] for n in names}


def network(kind: Any, folder: Path, dtype: torch.dtype, variant: str | None) -> tuple[Any, list[str]]:
    """A network of diffusers or transformers, and the tensors of its files that do not belong to it.

    Args:
        kind: its class.
        folder: with config.json and safetensors.
        dtype: of its weights.
        variant: which of the files.

    Raises:
        WeightsError: its files lack weights, which both libraries would replace by random numbers with a warning.
        OSError, ValueError, KeyError, RuntimeError: from these libraries, on damaged files.
    """
    with quiet_loading():
        loaded, info = kind.from_pretrained(
            folder,
            use_safetensors=True,
            local_files_only=True,
            dtype=dtype,
            variant=variant,
            output_loading_info=True,
        )
    if missing := sorted(info["missing_keys"]):
        raise WeightsError(
            f"{folder} is missing {listed(missing)} of {kind.__name__}. Save all weights, or use the file as a part of "
            "its base (BASE,unet=FILE)."
        )
    return loaded, sorted(info["unexpected_keys"])


def listed(names: Sequence[str]) -> str:
    """The number of tensors, and the first of them."""
    tensors = f"{len(names)} tensor{'s' * (len(names) != 1)}"
    return f"{tensors} ({', '.join(names[:3])}{' …' if len(names) > 3 else ''})"


def first_line(error: Exception) -> str:
    """The first line of another library's error, without its period."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(". ")
