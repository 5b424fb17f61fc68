"""Models as their authors publish them: a base pipeline and what is put onto it.

`BASE,unet=FILE,lora=FILE:0.8` is one text that says all: a pipeline, then any of

- `unet`, `transformer`, `text_encoder`, `text_encoder_2`, `text_encoder_3`: a folder of that component, or a file of its tensors; where
  the file has only some of them (ESD, UCE, Custom Diffusion), the others stay the base's;
- `checkpoint`: the whole model in one file of the original (CompVis) layout, with the base's configuration;
- `lora`: low-rank changes, merged into the weights with a scale;
- `embedding`: a textual inversion;
- `variant`: which files of the base are read (`fp16`);
- `code`: `FILE.py:function`, called with the loaded pipeline and giving what generates in its place, for methods that
  are code. It runs on this machine, so it wants the caller's trust.

Conventions: tensors are read from safetensors, or by `torch.load(weights_only=True)`, which runs nothing. What a file
holds and the base does not know, and a file that changes nothing, are errors: the model is another than was meant.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from igmu_data.errors import InputError, WeightsError
from igmu_data.files import parse_json, read_text
from igmu_metrics.networks import loading
from igmu_metrics.networks.progress import quiet_loading

if TYPE_CHECKING:
    import torch

COMPONENTS: Final = ("unet", "transformer", "text_encoder", "text_encoder_2", "text_encoder_3")
CODE: Final = "code"
KINDS: Final = (*COMPONENTS, "checkpoint", "lora", "embedding", CODE)
VARIANT: Final = "variant"
_PART: Final = re.compile(rf",(?=(?:{'|'.join((*KINDS, VARIANT))})=)")
# What training code puts around the tensors of a component, and before their names.
_AROUND: Final = ("state_dict", "model_state_dict", "model", "params", "module")
_BEFORE: Final = ("module.", "text_model.", "cond_stage_model.transformer.", "cond_stage_model.transformer.text_model.")
_PEFT: Final = "base_model.model."
_LORA_PAIRS: Final = (
    (".lora_A.weight", ".lora_B.weight"),
    (".lora.down.weight", ".lora.up.weight"),
    (".lora_linear_layer.down.weight", ".lora_linear_layer.up.weight"),
    ("_lora.down.weight", "_lora.up.weight"),
)
_LORA_FILES: Final = ("pytorch_lora_weights.safetensors", "adapter_model.safetensors")


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that is put onto a base.

    Args:
        kind: one of KINDS.
        path: file or folder.
        argument: scale of a LoRA, function of a code file; else "".
    """

    kind: str
    path: Path
    argument: str = ""

    @property
    def name(self) -> str:
        """What it is called in a model's name: without its place on this machine."""
        return f"{self.kind}={self.path.name}{':' + self.argument if self.argument else ''}"

    def content(self) -> str:
        """A hash of everything that it says."""
        files = [self.path]
        if self.path.is_dir():
            files = [f for f in _folder_of(self).rglob("*") if f.suffix in (".safetensors", ".json") and f.is_file()]
        return f"{self.kind}:{self.argument}:{loading.weights_hash(files)}"


def parse(spec: str) -> tuple[str, tuple[Part, ...], str | None]:
    """The base, what is put onto it and the variant of its files.

    Args:
        spec: `BASE,kind=PATH[:argument],…`.

    Raises:
        WeightsError: no such file.
        InputError: a scale that is no number, code without a function.

    >>> parse("base")
    ('base', (), None)
    """
    base, *given = _PART.split(spec)
    parts, variant = [], None
    for text in given:
        kind, _, value = text.partition("=")
        if kind == VARIANT:
            variant = value
        else:
            parts.append(_part(kind, value))
    return base, tuple(parts), variant


def join(base: str, parts: Mapping[str, str | Sequence[str] | None]) -> str:
    """The text of a base and its parts, as `parse` reads it.

    >>> join("base", {"unet": "a.safetensors", "lora": ["b:0.5", "c"], "variant": None})
    'base,unet=a.safetensors,lora=b:0.5,lora=c'
    """
    listed = [(k, v) for k, given in parts.items() for v in ([given] if isinstance(given, str) else given or ())]
    return ",".join([base, *(f"{kind}={value}" for kind, value in listed)])


def _part(kind: str, value: str) -> Part:
    path, argument = Path(value).expanduser(), ""
    if kind in ("lora", CODE) and not path.exists():
        before, _, argument = value.rpartition(":")
        path = Path(before).expanduser()
    if not path.exists():
        raise WeightsError(f"{kind}: no file or folder {value!r}; check the path.")
    if kind == CODE and not argument.isidentifier():
        raise InputError(f"{CODE}: {value!r} names no function; give FILE.py:function.")
    if kind == "lora" and argument:
        try:
            float(argument)
        except ValueError:
            raise InputError(f"lora: the scale of {value!r} is no number; give FILE:0.8, say.") from None
    return Part(kind, path, argument)


def revision(base: str, contents: Sequence[str]) -> str:
    """`sha256:` and 16 digits for a base at a revision and what is put onto it (`Part.content`) or around it."""
    text = json.dumps([base, *contents])
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def require_trust(parts: Sequence[Part], trusted: bool) -> None:
    """Refuse code that the caller has not said to trust.

    Raises:
        InputError: names the file.
    """
    for part in parts:
        if part.kind == CODE and not trusted:
            raise InputError(f"{part.path} is code, which would run on this machine. Read it; then give --trust-code.")


def put_onto(pipe: Any, parts: Sequence[Part], folder: Path) -> Any:
    """The pipeline with every part in its place.

    Args:
        pipe: loaded diffusers pipeline; is changed.
        parts: in the order of being applied.
        folder: of the base, for the configuration of a checkpoint.

    Raises:
        WeightsError: a part does not belong to this base, or changes nothing.
        InputError: code that gives nothing that generates.
    """
    for part in parts:
        if part.kind == CODE:
            pipe = _coded(pipe, part)
        elif part.kind == "checkpoint":
            pipe = _checkpoint(pipe, part, folder)
        elif part.kind == "lora":
            _merge_lora(pipe, part)
        elif part.kind == "embedding":
            _embed(pipe, part)
        else:
            _replace(pipe, part)
    return pipe


# Components


def _module(pipe: Any, kind: str, where: Path) -> Any:
    module = getattr(pipe, kind, None)
    if module is None:
        has = [k for k in COMPONENTS if getattr(pipe, k, None) is not None]
        raise WeightsError(f"{where}: this {type(pipe).__name__} has no {kind}; it has {', '.join(has)}.")
    return module


def only_variant(folder: Path) -> str | None:
    """The variant that all weights of a folder are of (`fp16`), None where some have none or they differ."""
    names = [p.name.removesuffix(".safetensors") for p in folder.rglob("*.safetensors")]
    found = {re.sub(r"-\d{5}-of-\d{5}", "", n).partition(".")[2] for n in names}
    return found.pop() or None if len(found) == 1 else None


def _folder_of(part: Part) -> Path:
    inside = part.path / part.kind
    return inside if inside.is_dir() else part.path


def component_folders(parts: Sequence[Part]) -> dict[str, Path]:
    """The folders that take the place of a base's components, configuration and all, by component."""
    return {part.kind: _folder_of(part) for part in parts if part.kind in COMPONENTS and part.path.is_dir()}


def _replace(pipe: Any, part: Part) -> None:
    module = _module(pipe, part.kind, part.path)
    if not part.path.is_dir():
        _fill(module, _named(_read(part.path, part.kind), module, part), part)
        return
    folder = _folder_of(part)
    if not (folder / "config.json").is_file() or not list(folder.glob("*.safetensors")):
        raise WeightsError(f"{folder}: no config.json with safetensors; give the folder of a {part.kind}, or a file.")
    config = parse_json(read_text(folder / "config.json"), str(folder / "config.json"), "Download the folder again.")
    told, here = config.get("_class_name"), type(module).__name__
    if told != getattr(module.config, "_class_name", None):  # those of transformers have none
        raise WeightsError(f"{folder}: holds a {told or config.get('model_type')}; the base's {part.kind} is a {here}.")
    try:
        new, unknown = network(type(module), folder, module.dtype, only_variant(folder))
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise WeightsError(f"{folder}: cannot be loaded as {part.kind}: {first_line(error)}") from error
    if unknown := [name for name in unknown if not name.endswith("position_ids")]:
        raise WeightsError(f"{folder}: {_listed(unknown)} have no place in {here}. Is it saved as one?")
    if _same(new, module):
        raise _nothing(part)
    pipe.register_modules(**{part.kind: new})


def network(kind: Any, folder: Path, dtype: torch.dtype, variant: str | None) -> tuple[Any, list[str]]:
    """A network of diffusers or transformers, and the tensors of its files that have no place in it.

    Args:
        kind: its class.
        folder: with config.json and safetensors.
        dtype: of its weights.
        variant: which of the files.

    Raises:
        WeightsError: its files lack weights, in whose place both libraries put random numbers with a word on stderr.
        OSError, ValueError, KeyError, RuntimeError: as they raise on damaged files.
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
            f"{folder}: lacks {_listed(missing)} of {kind.__name__}. Save all of its weights, or give the file as a "
            "part of its base (BASE,unet=FILE)."
        )
    return loaded, sorted(info["unexpected_keys"])


def _listed(names: Sequence[str]) -> str:
    return f"{len(names)} tensors ({', '.join(names[:3])}{' …' if len(names) > 3 else ''})"


def _read(path: Path, kind: str) -> dict[str, torch.Tensor]:
    """The tensors that a file has for a component, out of whatever its training wrapped them in."""
    import torch

    found: Any = loading.load_tensors(path)
    for name in (kind, *_AROUND, kind, *_AROUND):
        if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            found = found[name]
    state = {str(k): v for k, v in found.items() if isinstance(v, torch.Tensor)} if isinstance(found, Mapping) else {}
    if not state:
        raise WeightsError(f"{path.name} holds no tensors for the {kind}.")
    for name, value in state.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise WeightsError(f"{path.name}: {name} holds values that are not finite. Download it again.")
    return state


def _named(state: dict[str, torch.Tensor], module: Any, part: Part) -> dict[str, torch.Tensor]:
    """The tensors under the names that the module has for them."""
    known = module.state_dict().keys()
    readings = [state]
    for before in (f"{part.kind}.", *_BEFORE):
        cut = {k.removeprefix(before): v for k, v in state.items() if k.startswith(before)}
        readings += [cut, {before + k: v for k, v in state.items()}]
    best = max(readings, key=lambda r: len(r.keys() & known))
    if not best.keys() & known and (convert := _layout_of_authors(module)) is not None:
        best = _converted(convert, state, module, part)
    # Older CLIP files carry a buffer that counts 0, 1, 2 …; no version reads it.
    return {k: v for k, v in best.items() if not k.endswith("position_ids")}


def _layout_of_authors(module: Any) -> Callable[..., dict[str, torch.Tensor]] | None:
    """What gives tensors that are named as a model's authors do (CompVis, SD3, FLUX, Sana) diffusers' names."""
    from diffusers.loaders.single_file_model import SINGLE_FILE_LOADABLE_CLASSES as CLASSES

    found: Callable[..., dict[str, torch.Tensor]] | None = CLASSES.get(type(module).__name__, {}).get(
        "checkpoint_mapping_fn"
    )
    return found


def _converted(
    convert: Callable[..., dict[str, torch.Tensor]], state: dict[str, torch.Tensor], module: Any, part: Part
) -> dict[str, torch.Tensor]:
    try:
        found = convert(checkpoint=dict(state), config=dict(module.config))
    except (KeyError, ValueError, RuntimeError, IndexError):
        return state  # no such layout: its own names say best what it is
    return found if found.keys() & module.state_dict().keys() else state


def _fill(module: Any, state: Mapping[str, torch.Tensor], part: Part) -> None:
    """Put tensors in the place of the module's; those that the file does not have stay."""
    import torch

    known = module.state_dict()
    if unknown := sorted(state.keys() - known.keys()):
        why = f"Is it a LoRA? Then lora={part.path}" if any("lora" in n for n in unknown) else "Is it of another base?"
        raise WeightsError(
            f"{part.path.name}: {len(unknown)} of {len(state)} tensors have no place in the base's {part.kind}: "
            f"{', '.join(unknown[:3])}{' …' if len(unknown) > 3 else ''}. {why}"
        )
    for name, value in state.items():
        if value.shape != known[name].shape:
            raise WeightsError(
                f"{part.path.name}: {name} is {tuple(value.shape)}, in the base {tuple(known[name].shape)}. "
                "Is it made for another base?"
            )
    if all(_equal(value, known[name]) for name, value in state.items()):
        raise _nothing(part)
    with torch.no_grad():
        for name, value in state.items():
            known[name].copy_(value)


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    import torch

    return one.shape == other.shape and torch.equal(one.to(other.dtype).cpu(), other.cpu())


def _same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    """Whether two networks have the same tensors under the same names."""
    state, theirs = one.state_dict(), other.state_dict()
    return state.keys() == theirs.keys() and all(_equal(value, theirs[name]) for name, value in state.items())


def _nothing(part: Part) -> WeightsError:
    return WeightsError(f"{part.path}: changes nothing: its tensors are the base's own. Is it the right file?")


# A whole model in one file


def _checkpoint(pipe: Any, part: Part, folder: Path) -> Any:
    from diffusers.loaders.single_file_utils import SingleFileComponentError

    if not hasattr(type(pipe), "from_single_file"):
        raise WeightsError(f"{part.path.name}: {type(pipe).__name__} cannot be read from a single file.")
    # As safetensors or without running anything: what follows reads the same file again.
    loading.load_tensors(part.path)
    left_out = {
        k: None for k in ("safety_checker", "feature_extractor") if k in inspect.signature(type(pipe)).parameters
    }
    try:
        with quiet_loading():
            new = type(pipe).from_single_file(
                str(part.path), config=str(folder), local_files_only=True, torch_dtype=pipe.dtype, **left_out
            )
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, SingleFileComponentError) as error:
        raise WeightsError(f"{part.path.name}: no checkpoint of {folder.name}: {first_line(error)}") from error
    own = [k for k in COMPONENTS if getattr(pipe, k, None) is not None]
    if all(_same(getattr(new, k), getattr(pipe, k)) for k in own):
        raise _nothing(part)
    new.set_progress_bar_config(disable=True)
    return new.to(pipe.device)


# LoRA


def _merge_lora(pipe: Any, part: Part) -> None:
    """W + scale · alpha/rank · up · down (Hu et al. 2022), in single precision."""
    import torch

    path, settings = _lora_file(part.path)
    state = {k: v for k, v in loading.load_tensors(path).items() if isinstance(v, torch.Tensor)}
    if any("dora_scale" in k or "lora_magnitude_vector" in k for k in state):
        raise WeightsError(
            f"{path.name}: is a DoRA, which is more than a low-rank change; merge it yourself and give the folder."
        )
    state, alphas = _diffusers_names(pipe, state, path)
    scale, changed = float(part.argument or 1), False
    taken: set[str] = set()
    with torch.no_grad():
        for name, down, up in _lora_pairs(state):
            target, weight = _target(pipe, name, path)
            rank = down.shape[0]
            alpha = float(alphas.get(f"{name}.alpha", settings(target, rank)))
            delta = (up.float().flatten(1) @ down.float().flatten(1)).reshape(weight.shape) * (scale * alpha / rank)
            new = (weight.float() + delta.to(weight.device)).to(weight.dtype)
            changed |= not torch.equal(new, weight)
            weight.copy_(new)
            taken |= {k for k in state if k.startswith((f"{name}.", f"{name}_lora."))}
    if rest := sorted(state.keys() - taken):
        why = "" if taken else f" Are they whole? Then unet={path} (or transformer=, text_encoder=)."
        raise WeightsError(f"{path.name}: {len(rest)} tensors are no part of a LoRA: {', '.join(rest[:3])}.{why}")
    if not changed:
        raise _nothing(part)


def _lora_file(path: Path) -> tuple[Path, Callable[[str, int], float]]:
    """The file, and the alpha that its header or the configuration beside it gives for a target and rank."""
    folder = path if path.is_dir() else None
    if folder:
        found = [folder / n for n in _LORA_FILES if (folder / n).is_file()] or sorted(folder.glob("*.safetensors"))
        if len(found) != 1:
            raise WeightsError(f"{folder}: {len(found)} files that may be a LoRA; give the file.")
        path = found[0]
    config: dict[str, Any] = {}
    if (beside := path.parent / "adapter_config.json").is_file() and path.name == "adapter_model.safetensors":
        config = parse_json(read_text(beside), str(beside), "Download the adapter again.")
    elif path.suffix == ".safetensors":
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(path), framework="pt") as file:
                config = json.loads((file.metadata() or {}).get("lora_adapter_metadata", "{}"))
        except (SafetensorError, ValueError) as error:
            raise WeightsError(f"{path.name}: not safetensors: {error}") from error

    def alpha(target: str, rank: int) -> float:
        given = config.get(f"{target}.lora_alpha", config.get("lora_alpha", rank))
        rooted = config.get(f"{target}.use_rslora", config.get("use_rslora", False))
        return float(given) * (rank**0.5 if rooted else 1.0)

    return path, alpha


def _diffusers_names(
    pipe: Any, state: dict[str, torch.Tensor], path: Path
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors under diffusers' names, `unet.….to_q.lora_A.weight`, and each target's alpha."""
    # Of a class that diffusers loads no LoRA into (PixArt), names are the network's own, as peft saves them.
    main = "unet" if getattr(pipe, "unet", None) is not None else "transformer"
    convert = getattr(type(pipe), "lora_state_dict", None)
    options = {"unet_config": pipe.unet.config} if main == "unet" else {}
    try:
        as_it_is = convert is None or _named_by_peft(getattr(pipe, main), state)
        found = state if as_it_is else convert(dict(state), **options)
    except (ValueError, KeyError, RuntimeError) as error:
        raise WeightsError(
            f"{path.name}: a LoRA of a layout that diffusers does not read: {first_line(error)}"
        ) from error
    named, alphas = found if isinstance(found, tuple) else (found, None)
    out = {}
    for name, value in named.items():
        name = name.removeprefix(_PEFT)
        if not name.startswith(tuple(f"{k}." for k in COMPONENTS)):
            name = f"{main}.{name}"
        out[name.replace(".processor.", ".").replace(".to_out_lora.", ".to_out.0_lora.")] = value
    return out, dict(alphas or {})


def _named_by_peft(network: Any, state: Mapping[str, torch.Tensor]) -> bool:
    """Whether peft saved it from this network: diffusers takes FLUX's for another layout that begins alike."""
    layers = {f"{_PEFT}{name}" for name, _ in network.named_modules()}
    return all(name.partition(".lora_")[0] in layers for name in state)


def _lora_pairs(state: Mapping[str, torch.Tensor]) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
    for name, value in state.items():
        for down, up in _LORA_PAIRS:
            if name.endswith(down) and (other := name.removesuffix(down) + up) in state:
                yield name.removesuffix(down), value, state[other]


def _target(pipe: Any, name: str, path: Path) -> tuple[str, torch.Tensor]:
    kind, _, inner = name.partition(".")
    module = _module(pipe, kind, path)
    for candidate in (inner, inner.removeprefix("text_model."), f"text_model.{inner}"):
        try:
            weight: torch.Tensor = module.get_submodule(candidate).weight
        except AttributeError:
            continue
        return kind, weight
    raise WeightsError(f"{path.name}: the base's {kind} has no layer {inner!r}. Is it made for another base?")


# Embeddings and code


def _embed(pipe: Any, part: Part) -> None:
    if not hasattr(pipe, "load_textual_inversion"):
        raise WeightsError(f"{part.path.name}: {type(pipe).__name__} takes no textual inversion.")
    try:
        pipe.load_textual_inversion(loading.load_tensors(part.path), token=None)
    except (ValueError, KeyError, RuntimeError) as error:
        raise WeightsError(f"{part.path.name}: no textual inversion of this base: {first_line(error)}") from error


def _coded(pipe: Any, part: Part) -> Any:
    found = importlib.util.spec_from_file_location(f"igmu_code_{part.path.stem}", part.path)
    if found is None or found.loader is None:
        raise InputError(f"{part.path}: no Python file.")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    make = getattr(module, part.argument, None)
    if not callable(make):
        raise InputError(f"{part.path}: has no function {part.argument!r}.")
    made = make(pipe)
    if not callable(made):
        raise InputError(
            f"{part.path}: {part.argument} gives {type(made).__name__}; it is to give what is called as the pipeline "
            "is (prompt=…, generator=…, num_inference_steps=…, …) and has .images."
        )
    return made


def first_line(error: Exception) -> str:
    """What an error of somebody else's says first."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
