"""Prompt, seed and settings that other programs write into the images that they generate.

One reader per program: A1111 and Forge (`parameters`), ComfyUI (`prompt`, a graph), InvokeAI (`invokeai_metadata`). All
return a `Told`; a file with several prompts or seeds is an error, because it is not known which of them were used.

Conventions: text chunks of PNG, EXIF's user comment of JPEG and WebP. An image is taken for its prompt's and seed's
only if nothing else went into it. What else there was, is an error that names it: a second seed (variation), an image
that it began with or was steered by, a second pass or model, what came after (upscaling, faces), another size than was
generated (a grid, a crop). What is put onto the model (LoRA) and a negative prompt are part of the model's name, so
that one folder holds one of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
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
_ROUNDED: Final = 16  # pixels: sizes are rounded to what the network can generate
_UNSET: Final = ("", "0", "0.0", "none", "false")
# What goes into an image beside prompt and seed: by how a setting's name begins (A1111), or a part of a node's
# (ComfyUI), or by name (InvokeAI).
_A1111_MORE: Final = {
    "Variation seed strength": "a second seed",
    "Seed resize": "noise of a different size",
    "Hires": "a second pass",
    "Init image": "an initial image",
    "Denoising strength": "an initial image or a first pass",
    "Mask": "an initial image",
    "Inpaint": "an initial image",
    "Conditional mask": "an initial image",
    "ControlNet": "an image that guided it",
    "Refiner": "a second model",
    "ADetailer": "parts that were generated again",
    "Face restoration": "faces changed by another network",
    "Postprocess": "another network applied afterwards",
    "Script": "other images in a grid",
}
_COMFYUI_MORE: Final = (
    *("loadimage", "loadlatent", "vaeencode", "controlnet", "ipadapter", "inpaint", "unclip", "stylemodel"),
    *("upscale", "imagescale", "imagecrop", "detailer", "faceswap", "reactor"),
)
_INVOKEAI_MORE: Final = (
    *("init_image", "controlnets", "ipAdapters", "t2iAdapters", "ref_images", "regions", "refiner_model"),
    *("hrf_enabled", "upscale_model"),
)
# Signs that a program reads as emphasis or as several prompts in one.
_A1111_SIGNS: Final = re.compile(r"(?<!\\)[()\[\]]|\b(?:AND|BREAK)\b")
_COMFYUI_SIGNS: Final = re.compile(r"(?<!\\)[()]")
_INVOKEAI_SIGNS: Final = re.compile(r"(?<=[\w)])[+-]{1,9}(?=[\s,.)]|$)|\)\.(?:and|blend)\(|\)\d")


@dataclass(frozen=True, slots=True)
class Told:
    """What an image records about how it was made.

    Args:
        prompt: the positive prompt, as written.
        seed: of its noise, or None.
        settings: steps, guidance_scale, width, height, sampler and model, as far as they are told.
        by: which program, or where it was found.
        sign: what of the prompt the program reads as emphasis or as a second prompt, "" if nothing.
    """

    prompt: str
    seed: int | None
    settings: Mapping[str, Any] = field(default_factory=dict)
    by: str = ""
    sign: str = ""


def read(path: Path) -> Told | None:
    """What the file itself records; None if no known program wrote it.

    Raises:
        InputError: it tells of several prompts or seeds, of anything else that went into the image, or in a broken way;
            the message says what.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            size = image.size
            texts = {k: v for k, v in image.info.items() if isinstance(v, str)}
            comment = image.getexif().get_ifd(_EXIF_BLOCK).get(_USER_COMMENT)
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise InputError(f"the image cannot be read ({error})") from error
    if isinstance(comment, bytes):
        texts.setdefault("parameters", _comment(comment))
    for name, reader in READERS.items():
        if texts.get(name):
            told = reader(texts[name])
            if told is not None:
                _require_size(told, size)
            return told
    return None


def _require_size(told: Told, size: tuple[int, int]) -> None:
    given = tuple(told.settings.get(name, pixels) for name, pixels in zip(("width", "height"), size, strict=True))
    if any(abs(one - other) >= _ROUNDED for one, other in zip(given, size, strict=True)):
        raise InputError(
            f"the file is {size[0]}×{size[1]}, but {told.by} generated {given[0]}×{given[1]}, so it may be a grid, or "
            "may have been cropped or resized"
        )


def _sign(signs: re.Pattern[str], prompt: str) -> str:
    found = signs.search(prompt)
    return found[0] if found else ""


def _more(what: str, why: str = "") -> InputError:
    return InputError(f"the image also depends on {what}{f' ({why})' if why else ''}, not only on its prompt and seed")


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
    if "Variation seed" in given:
        given.setdefault("Variation seed strength", "unknown")
    for name, value in given.items():
        for start, what in _A1111_MORE.items():
            if name.startswith(start) and value.casefold() not in _UNSET:
                raise _more(f"{name} {value}", what)
    before, _, negative = re.sub(r"(?:^|\n)Negative prompt:", "\0", text[: last.start()], count=1).partition("\0")
    prompt, networks = _NETWORK.sub("", before).strip(), [n.strip() for n in _NETWORK.findall(before)]
    width, _, height = given.get("Size", "").partition("x")
    settings = {
        "steps": _number(given.get("Steps"), int),
        "guidance_scale": _number(given.get("CFG scale"), float),
        "width": _number(width, int),
        "height": _number(height, int),
        "sampler": _sampler(given.get("Sampler"), given.get("Schedule type")),
        "model": _model(given.get("Model"), networks, negative),
    }
    return Told(prompt, _number(given.get("Seed"), int), _present(settings), "A1111", _sign(_A1111_SIGNS, prompt))


def _sampler(name: Any, schedule: Any = None) -> str | None:
    """The sampler, and the schedule of its noise if the program names it separately (`DPM++ 2M Karras`)."""
    return " ".join(told for told in (name, schedule) if isinstance(told, str) and told) or None


def _model(name: Any, networks: Sequence[str] = (), negative: Any = "") -> str | None:
    """What generated: the model, what is put onto it, and what it was to avoid."""
    avoided = f"negative prompt {negative.strip()!r}" if isinstance(negative, str) and negative.strip() else ""
    return ", ".join(filter(None, [name if isinstance(name, str) else "", *networks, avoided])) or None


def comfyui(text: str) -> Told | None:
    """A graph of nodes; the sampler has the seed, its positive input leads to the text.

    Raises:
        InputError: several samplers or texts, or anything else that goes into the image.
    """
    graph = _object(text, "ComfyUI's graph")
    nodes = {k: v for k, v in graph.items() if isinstance(v, dict) and isinstance(v.get("inputs"), dict)}
    found = []
    for node in nodes.values():
        kind = str(node.get("class_type", ""))
        if any(part in kind.casefold() for part in _COMFYUI_MORE):
            raise _more(kind, "a node of ComfyUI's graph")
    for node in nodes.values():
        given = node["inputs"]
        seed = given.get("seed", given.get("noise_seed"))
        if "positive" in given and seed is not None:
            leading = frozenset(_texts(nodes, given["positive"]))
            size = _inputs(nodes, given.get("latent_image"))
            found.append((leading, _value(nodes, seed), given, size))
    if not found:
        return None
    if len(found) > 1 or len(found[0][0]) != 1:
        n = len({t for texts, *_ in found for t in texts})
        raise InputError(
            f"the ComfyUI graph has {len(found)} samplers and {n} texts, and does not record which of them were used"
        )
    texts, seed, given, size = found[0]
    prompt = next(iter(texts))
    if _number(given.get("denoise", 1), float) != 1 or _number(given.get("start_at_step", 0), int):
        raise _more(f"denoise {given.get('denoise', 1)}", "an initial image or a first pass")
    named = [str(v) for n in nodes.values() for k, v in n["inputs"].items() if k in ("ckpt_name", "unet_name")]
    loras = [
        f"<lora:{n['inputs']['lora_name']}:{n['inputs'].get('strength_model', 1)}>"
        for n in nodes.values()
        if "lora_name" in n["inputs"]
    ]
    settings = {
        "steps": _number(given.get("steps"), int),
        "guidance_scale": _number(given.get("cfg"), float),
        "width": _number(size.get("width"), int),
        "height": _number(size.get("height"), int),
        "sampler": _sampler(
            given.get("sampler_name", _inputs(nodes, given.get("sampler")).get("sampler_name")),
            given.get("scheduler", _inputs(nodes, given.get("sigmas")).get("scheduler")),
        ),
        "model": _model(", ".join(named), loras, ", ".join(sorted(set(_texts(nodes, given.get("negative")))))),
    }
    return Told(prompt, _number(seed, int), _present(settings), "ComfyUI", _sign(_COMFYUI_SIGNS, prompt))


def invokeai(text: str) -> Told | None:
    """One object: `positive_prompt`, `seed`, `steps`, `cfg_scale`, `width`, `height`, `model`.

    Raises:
        InputError: anything else went into the image.
    """
    given = _object(text, "InvokeAI's metadata")
    prompt = given.get("positive_prompt")
    if not isinstance(prompt, str):
        return None
    mode = given.get("generation_mode") or "txt2img"
    if not str(mode).endswith("txt2img"):
        raise _more(f"generation_mode {mode}", "an initial image")
    for name in _INVOKEAI_MORE:
        value = given.get(name)
        if value and any(not isinstance(v, dict) or v.get("isEnabled", True) for v in _listed(value)):
            raise _more(name, "InvokeAI's metadata")
    if (style := given.get("positive_style_prompt")) and style != prompt:
        raise _more("positive_style_prompt", "a second prompt")
    loras = [
        f"<lora:{_named(lora.get('model', lora.get('lora')))}:{lora.get('weight', 1)}>"
        for lora in _listed(given.get("loras") or [])
        if isinstance(lora, dict)
    ]
    settings = {
        "steps": _number(given.get("steps"), int),
        "guidance_scale": _number(given.get("cfg_scale"), float),
        "width": _number(given.get("width"), int),
        "height": _number(given.get("height"), int),
        "sampler": _sampler(given.get("scheduler")),
        "model": _model(_named(given.get("model")), loras, given.get("negative_prompt")),
    }
    seed = _number(given.get("seed"), int)
    return Told(prompt, seed, _present(settings), "InvokeAI", _sign(_INVOKEAI_SIGNS, prompt))


READERS: Final[Mapping[str, Callable[[str], Told | None]]] = {
    "invokeai_metadata": invokeai,
    "parameters": a1111,
    "prompt": comfyui,
}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _named(model: Any) -> Any:
    """The name of a model that InvokeAI describes by an object, or names."""
    return model.get("name", model.get("model_name")) if isinstance(model, dict) else model


def _object(text: str, what: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{what} is not valid JSON ({str(error)[:60]})") from error
    if not isinstance(found, dict) or len(found) > _MOST_NODES:
        raise InputError(f"{what} is not a JSON object with at most {_MOST_NODES} entries")
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
