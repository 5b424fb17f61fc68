"""Prompt, seed and settings that other programs write into the images that they generate.

One reader per program: A1111 and Forge (`parameters`), ComfyUI (`prompt`, a graph), InvokeAI (`invokeai_metadata`). All
return a `Told`; a file with several prompts or seeds is an error, because it is not known which of them were used.

Conventions: text chunks of PNG, EXIF's user comment of JPEG and WebP.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from igmu_data.errors import InputError

_USER_COMMENT: Final = 0x9286
_EXIF_BLOCK: Final = 0x8769
_LAST_LINE: Final = re.compile(r"(?:^|\n)(?P<line>Steps: \d+, [^\n]*)$")
_SETTING: Final = re.compile(r'\s*(?P<name>[\w /-]+): (?P<value>"(?:\\.|[^\\"])*"|[^,]*)(?:,|$)')
# `<lora:esd:1>` says what is put onto the model; no text encoder reads it.
_NETWORK: Final = re.compile(r"\s*<(?:lora|lyco|hypernet):[^<>]*>")
_MOST_NODES: Final = 10_000


@dataclass(frozen=True, slots=True)
class Told:
    """What an image records about how it was made.

    Args:
        prompt: the positive prompt, as written.
        seed: of its noise, or None.
        settings: steps, guidance_scale, width, height and model, as far as they are recorded.
        by: the program, or where it was found.
    """

    prompt: str
    seed: int | None
    settings: Mapping[str, Any] = field(default_factory=dict)
    by: str = ""


def read(path: Path) -> Told | None:
    """What the file itself records; None if no known program wrote it.

    Raises:
        InputError: it records several prompts or seeds, or cannot be parsed; the message says which.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            texts = {k: v for k, v in image.info.items() if isinstance(v, str)}
            comment = image.getexif().get_ifd(_EXIF_BLOCK).get(_USER_COMMENT)
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise InputError(f"the image cannot be read ({error})") from error
    if isinstance(comment, bytes):
        texts.setdefault("parameters", _comment(comment))
    for name, reader in READERS.items():
        if texts.get(name):
            return reader(texts[name])
    return None


def _comment(data: bytes) -> str:
    """EXIF's user comment: eight bytes that name the encoding, then the text."""
    kind, rest = data[:8], data[8:]
    if not kind.startswith(b"UNICODE"):
        return rest.decode("utf-8", "replace").strip("\0 ")
    big = rest[:1] == b"\0" or rest[:2] == b"\xfe\xff"
    return rest.decode("utf-16-be" if big else "utf-16-le", "replace").strip("\ufeff\0 ")


def a1111(text: str) -> Told | None:
    """The prompt, perhaps `Negative prompt: …`, then one line `Steps: 20, CFG scale: 7, Seed: 1, Size: 512x512, …`.

    >>> told = a1111("a church at dawn\\nNegative prompt: blurry\\nSteps: 20, CFG scale: 7, Seed: 41, Size: 512x768")
    >>> told.prompt, told.seed, told.settings["height"]
    ('a church at dawn', 41, 768)
    """
    text = text.replace("\r\n", "\n").strip()
    last = _LAST_LINE.search(text)
    if last is None:
        return None
    given = {m["name"].strip(): m["value"].strip('" ') for m in _SETTING.finditer(last["line"])}
    prompt = _NETWORK.sub("", re.split(r"(?:^|\n)Negative prompt:", text[: last.start()])[0]).strip()
    width, _, height = given.get("Size", "").partition("x")
    settings = {
        "steps": _number(given.get("Steps"), int),
        "guidance_scale": _number(given.get("CFG scale"), float),
        "width": _number(width, int),
        "height": _number(height, int),
        "model": given.get("Model"),
    }
    return Told(prompt, _number(given.get("Seed"), int), _present(settings), "A1111")


def comfyui(text: str) -> Told | None:
    """A graph of nodes; the sampler has the seed, its positive input leads to the text.

    Raises:
        InputError: several samplers with different seeds or texts.
    """
    graph = _object(text, "ComfyUI's graph")
    nodes = {k: v for k, v in graph.items() if isinstance(v, dict) and isinstance(v.get("inputs"), dict)}
    found = []
    for node in nodes.values():
        given = node["inputs"]
        seed = given.get("seed", given.get("noise_seed"))
        if "positive" in given and seed is not None:
            leading = frozenset(_texts(nodes, given["positive"]))
            size = _inputs(nodes, given.get("latent_image"))
            found.append((leading, _value(nodes, seed), given, size))
    if not found:
        return None
    if len({(texts, str(seed)) for texts, seed, _, _ in found}) > 1 or len(found[0][0]) != 1:
        n = len({t for texts, *_ in found for t in texts})
        raise InputError(
            f"ComfyUI's graph has {len(found)} samplers and {n} texts, and does not record which of them were used"
        )
    texts, seed, given, size = found[0]
    settings = {
        "steps": _number(given.get("steps"), int),
        "guidance_scale": _number(given.get("cfg"), float),
        "width": _number(size.get("width"), int),
        "height": _number(size.get("height"), int),
    }
    return Told(next(iter(texts)), _number(seed, int), _present(settings), "ComfyUI")


def invokeai(text: str) -> Told | None:
    """One object: `positive_prompt`, `seed`, `steps`, `cfg_scale`, `width`, `height`, `model`."""
    given = _object(text, "InvokeAI's metadata")
    prompt = given.get("positive_prompt")
    if not isinstance(prompt, str):
        return None
    model = given.get("model")
    settings = {
        "steps": _number(given.get("steps"), int),
        "guidance_scale": _number(given.get("cfg_scale"), float),
        "width": _number(given.get("width"), int),
        "height": _number(given.get("height"), int),
        "model": model.get("name", model.get("model_name")) if isinstance(model, dict) else model,
    }
    return Told(prompt, _number(given.get("seed"), int), _present(settings), "InvokeAI")


READERS: Final[Mapping[str, Callable[[str], Told | None]]] = {
    "invokeai_metadata": invokeai,
    "parameters": a1111,
    "prompt": comfyui,
}


def _object(text: str, what: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{what} is not JSON ({str(error)[:60]})") from error
    if not isinstance(found, dict) or len(found) > _MOST_NODES:
        raise InputError(f"{what} is not an object of at most {_MOST_NODES} entries")
    return found


def _texts(nodes: Mapping[str, Any], link: Any) -> Iterator[str]:
    """Every text that leads into a link."""
    waiting, seen = [link], set()
    while waiting:
        here = waiting.pop()
        if not (isinstance(here, list) and here and str(here[0]) in nodes) or str(here[0]) in seen:
            continue
        seen.add(str(here[0]))
        given = nodes[str(here[0])]["inputs"]
        texts = {
            v for k, v in given.items() if k in ("text", "text_g", "text_l", "t5xxl", "clip_l") if isinstance(v, str)
        }
        yield from texts
        if not texts:
            waiting.extend(v for v in given.values() if isinstance(v, list))


def _inputs(nodes: Mapping[str, Any], link: Any) -> Mapping[str, Any]:
    """The inputs of the node that a link leads to."""
    if isinstance(link, list) and link and str(link[0]) in nodes:
        found: Mapping[str, Any] = nodes[str(link[0])]["inputs"]
        return found
    return {}


def _value(nodes: Mapping[str, Any], given: Any) -> Any:
    """A value, or that of the primitive node that a link leads to."""
    if isinstance(given, list):
        inputs = _inputs(nodes, given)
        return inputs.get("value", inputs.get("seed", inputs.get("noise_seed")))
    return given


def _number(given: Any, kind: type) -> Any:
    if isinstance(given, bool) or given is None:
        return None
    try:
        number = float(given)
        return kind(given) if kind is int and isinstance(given, (int, str)) else kind(number)
    except (TypeError, ValueError, OverflowError):
        return None


def _present(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in settings.items() if v is not None}
