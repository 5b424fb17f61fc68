"""Models as their authors publish them: a base pipeline and the parts added to it.

`BASE,unet=FILE,lora=FILE:0.8` describes the whole model in one text: a pipeline, then any of

- `unet`, `transformer`, `text_encoder`, `text_encoder_2`, `text_encoder_3`: its folder, or a file of its tensors;
  if the file has only some of them (ESD, UCE, Custom Diffusion), the others are kept from the base;
- `checkpoint`: the whole model in one file of the original (CompVis) layout, with the base's configuration;
- `lora`: low-rank changes, merged into the weights with a scale;
- `embedding`: a textual inversion;
- `variant`: which files of the base are read (`fp16`);
- `code`: `FILE.py:function`, called with the loaded pipeline and returning what generates instead of it, for methods
  that are code. It runs on this machine, so the caller must trust it.

Conventions: tensors are read from safetensors, or by `torch.load(weights_only=True)`, which runs no code. Tensors that
the base does not have, and files that change nothing, are errors, as they mean that the model is not the intended one.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import json
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from igmu_data.errors import InputError, WeightsError
from igmu_data.files import parse_json, read_text
from igmu_data.progress import quiet_loading
from igmu_metrics.images import lora
from igmu_metrics.images.components import COMPONENTS, component, first_line, listed, network, only_variant
from igmu_metrics.networks import loading

if TYPE_CHECKING:
    import torch

CODE: Final = "code"
# In the order of being put onto a base: what takes a network's place comes before what is merged into it.
KINDS: Final = ("checkpoint", *COMPONENTS, "lora", "embedding", CODE)
_SEVERAL: Final = ("lora", "embedding", CODE)  # of which a model may have more than one
VARIANT: Final = "variant"
_PART: Final = re.compile(rf",(?=(?:{'|'.join((*KINDS, VARIANT))})=)")
# What training code puts around the tensors of a component, and before their names.
_AROUND: Final = ("state_dict", "model_state_dict", "model", "params", "module")
_SHARD: Final = re.compile(r"-\d{5}-of-(?!00001\b)\d{5}\.")  # of a network that is saved in several files
_CHECKPOINT: Final = "cond_stage_model."
_BEFORE: Final = ("module.", "text_model.", f"{_CHECKPOINT}transformer.", f"{_CHECKPOINT}transformer.text_model.")


@dataclass(frozen=True, slots=True)
class Part:
    """One part that is added to a base.

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
        """Its name within a model's name: without its path on this machine."""
        return f"{self.kind}={self.path.name}{':' + self.argument if self.argument else ''}"

    def content(self) -> str:
        """A hash of its whole content."""
        files = [self.path, *lora.configuration(self.path)] if self.kind == "lora" else [self.path]
        if self.path.is_dir():
            files = [f for f in _folder_of(self).rglob("*") if f.suffix in (".safetensors", ".json") and f.is_file()]
        return f"{self.kind}:{self.argument}:{loading.weights_hash(files)}"


def parse(spec: str) -> tuple[str, tuple[Part, ...], str | None]:
    """The base, the parts added to it and the variant of its files.

    Args:
        spec: `BASE,kind=PATH[:argument],…`.

    Returns:
        The parts are in the order of KINDS, whatever that of the text: a LoRA before the network that it is merged
        into would be lost.

    Raises:
        WeightsError: no such file.
        InputError: a scale that is no number, code without a function, a part that is named twice or names nothing.

    >>> parse("base")
    ('base', (), None)
    """
    base, *texts = _PART.split(spec)
    given = [tuple(text.split("=", 1)) for text in texts]
    for kind, value in given:
        same = [v for k, v in given if k == kind]
        if not value:
            raise InputError(f"{spec}: {kind}= has no value. Add a value, or leave {kind}= out.")
        if len(same) > 1 and kind not in _SEVERAL:
            raise InputError(f"{spec}: {kind} appears {len(same)} times ({', '.join(same)}). Keep only one of them.")
    parts = sorted((_part(k, v) for k, v in given if k != VARIANT), key=lambda part: KINDS.index(part.kind))
    own = [(p.kind, p.path.resolve(), p.argument if p.kind == CODE else "") for p in parts]
    for part, one in zip(parts, own, strict=True):
        if own.count(one) > 1:
            raise InputError(f"{spec}: {part.kind}={part.path} appears {own.count(one)} times. Specify it only once.")
    return base, tuple(parts), dict(given).get(VARIANT)


def join(base: str, parts: Mapping[str, str | Sequence[str] | None]) -> str:
    """The text of a base and its parts, as `parse` reads it.

    >>> join("base", {"unet": "a.safetensors", "lora": ["b:0.5", "c"], "variant": None})
    'base,unet=a.safetensors,lora=b:0.5,lora=c'
    """
    listed = [(k, v) for k, given in parts.items() for v in ([given] if isinstance(given, str) else given or ())]
    return ",".join([base, *(f"{kind}={value}" for kind, value in listed)])


def _part(kind: str, value: str) -> Part:
    path, argument = Path(value).expanduser(), ""
    if kind in ("lora", CODE) and not path.exists() and ":" in value:
        before, _, argument = value.rpartition(":")
        path = Path(before or value).expanduser()
    if not path.exists():
        raise WeightsError(f"{kind}: there is no file or folder {value!r}. Check the path.")
    if _SHARD.search(path.name):
        raise WeightsError(
            f"{kind}: {path} contains only a part of the weights. Specify the folder that contains all parts."
        )
    if kind == CODE and not argument.isidentifier():
        raise InputError(f"{CODE}: {value!r} does not name a function. Use the form FILE.py:function.")
    if kind == "lora" and argument:
        try:
            scale = float(argument)
        except ValueError:
            scale = math.nan
        if not math.isfinite(scale):
            raise InputError(
                f"lora: the scale in {value!r} is not a number. Use the form FILE:SCALE, such as FILE:0.8."
            )
    return Part(kind, path, argument)


def revision(base: str, contents: Sequence[str]) -> str:
    """`sha256:` and 16 digits for a base at a revision and its parts (`Part.content`) or baseline."""
    text = json.dumps([base, *contents])
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def require_trust(parts: Sequence[Part], trusted: bool) -> None:
    """Refuse code that the caller has not said to trust.

    Raises:
        InputError: names the file.
    """
    for part in parts:
        if part.kind == CODE and not trusted:
            raise InputError(
                f"{part.path} is code that would run on this machine. Review it, then use 'igmu generate --trust-code' "
                "or 'igmu run --trust-code'."
            )


def put_onto(pipe: Any, parts: Sequence[Part], folder: Path) -> Any:
    """The pipeline with every part in its place.

    Args:
        pipe: loaded diffusers pipeline; is changed.
        parts: in the order in which they are applied.
        folder: of the base, for the configuration of a checkpoint.

    Raises:
        WeightsError: a part does not belong to this base, or changes nothing.
        InputError: code that returns nothing callable.
    """
    for part in parts:
        if part.kind == CODE:
            pipe = _coded(pipe, part)
        elif part.kind == "checkpoint":
            pipe = _checkpoint(pipe, part, folder)
        elif part.kind == "lora":
            if not lora.merge(pipe, part.path, float(part.argument or 1)):
                raise _nothing(part)
        elif part.kind == "embedding":
            _embed(pipe, part)
        else:
            _replace(pipe, part, [p.kind for p in parts if p.path == part.path and p.kind != part.kind])
    return pipe


# Components


def _folder_of(part: Part) -> Path:
    inside = part.path / part.kind
    return inside if inside.is_dir() else part.path


def component_folders(parts: Sequence[Part]) -> dict[str, Path]:
    """The folders that take the place of a base's components, configuration and all, by component."""
    return {part.kind: _folder_of(part) for part in parts if part.kind in COMPONENTS and part.path.is_dir()}


def _replace(pipe: Any, part: Part, elsewhere: Sequence[str]) -> None:
    """Put a network, or its tensors, in the place of the base's; `elsewhere` are parts that the same file is, too."""
    module = component(pipe, part.kind, part.path)
    if not part.path.is_dir():
        state = read_part(part.path, part.kind, elsewhere)
        state = {k: v for k, v in state.items() if k.partition(".")[0] not in elsewhere}
        _fill(module, _named(state, module, part), part)
        return
    folder = _folder_of(part)
    if not (folder / "config.json").is_file() or not list(folder.glob("*.safetensors")):
        raise WeightsError(
            f"config.json or safetensors files are missing from {folder}. Specify the folder of a {part.kind}, or a "
            "file."
        )
    config = parse_json(read_text(folder / "config.json"), str(folder / "config.json"), "Download the folder again.")
    told, here = config.get("_class_name"), type(module).__name__
    if told != getattr(module.config, "_class_name", None):  # those of transformers have none
        raise WeightsError(
            f"{folder} contains a network of type {told or config.get('model_type')}, but the base model's {part.kind} "
            f"has type {here}. Check the folder."
        )
    try:
        new, unknown = network(type(module), folder, module.dtype, only_variant(folder))
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise WeightsError(
            f"{folder} cannot be loaded as {part.kind} ({first_line(error)}). Check the folder."
        ) from error
    if unknown := [name for name in unknown if not name.endswith("position_ids")]:
        raise WeightsError(f"{folder} contains {listed(unknown)} that {here} does not have. Check the folder.")
    if _same(new, module):
        raise _nothing(part)
    pipe.register_modules(**{part.kind: new})


def read_part(path: Path, kind: str, elsewhere: Sequence[str] = COMPONENTS) -> dict[str, torch.Tensor]:
    """The tensors that a file has for a component, without the containers that training code adds.

    Args:
        path: of the file.
        kind: of the component.
        elsewhere: components that are taken from the same file separately; it may not contain any others.

    Raises:
        WeightsError: it has none, they are not finite, or it also contains another component.
    """
    import torch

    found: Any = loading.load_tensors(path)
    for name in (kind, *_AROUND, kind, *_AROUND):
        if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            others = {k: found.get(k) for k in COMPONENTS if k not in (kind, *elsewhere)}
            if more := [k for k, v in others.items() if isinstance(v, Mapping) and v]:
                raise WeightsError(
                    f"{path.name} also contains tensors for the {more[0]}. To use the file for both, add "
                    f"{more[0]}={path.name}."
                )
            apart = {k: v for k, v in found.items() if k not in (name, *COMPONENTS) and isinstance(v, Mapping)}
            if rivals := [k for k, v in apart.items() if v.keys() & found[name].keys()]:  # averaged weights, say
                raise WeightsError(
                    f"{path.name} contains {name!r} and {rivals[0]!r} with tensors of the same names. Save the one "
                    "that you want in a separate file."
                )
            found = found[name]
    state = {str(k): v for k, v in found.items() if isinstance(v, torch.Tensor)} if isinstance(found, Mapping) else {}
    if not state:
        raise WeightsError(f"{path.name} contains no tensors for the {kind}. Check the file.")
    for name, value in state.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise WeightsError(f"{path.name}: {name} contains values that are not finite. Download it again.")
    return state


def _named(state: dict[str, torch.Tensor], module: Any, part: Part) -> dict[str, torch.Tensor]:
    """The tensors under the names that the module has for them."""
    known = module.state_dict().keys()
    best = {new: state[old] for old, new in renamed(state, known, part.kind).items()}
    if not best.keys() & known and (convert := _layout_of_authors(module)) is not None:
        best = _converted(convert, state, module)
    return {k: v for k, v in best.items() if not k.endswith("position_ids")}


def renamed(names: Collection[str], known: Collection[str], kind: str) -> dict[str, str]:
    """By the name that a file has for a tensor, the name that a network has for it.

    Args:
        names: of the file.
        known: of the network.
        kind: of the network, one of COMPONENTS.
    """
    readings = [{name: name for name in names}]
    for before in (f"{kind}.", *_BEFORE):
        # Of a whole checkpoint a part is taken; in any other file, what is not of the part is nowhere else.
        own = [n for n in names if n.startswith(before)] if before.startswith(_CHECKPOINT) else names
        readings.append({n: n.removeprefix(before) for n in own})
        readings.append({n: before + n for n in names})
    best = max(readings, key=lambda r: len(set(r.values()) & set(known)))
    # Older CLIP files carry a buffer that counts 0, 1, 2 …; no version reads it.
    return {old: new for old, new in best.items() if not new.endswith("position_ids")}


def _layout_of_authors(module: Any) -> Callable[..., dict[str, torch.Tensor]] | None:
    """What gives tensors that are named as a model's authors do (CompVis, SD3, FLUX, Sana) diffusers' names."""
    from diffusers.loaders.single_file_model import SINGLE_FILE_LOADABLE_CLASSES as CLASSES

    found: Callable[..., dict[str, torch.Tensor]] | None = CLASSES.get(type(module).__name__, {}).get(
        "checkpoint_mapping_fn"
    )
    return found


def _converted(
    convert: Callable[..., dict[str, torch.Tensor]], state: dict[str, torch.Tensor], module: Any
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
        is_lora = any("lora" in n for n in unknown)
        why = f"If it is a LoRA, use lora={part.path}." if is_lora else "Check that the file was made for this base."
        raise WeightsError(
            f"{part.path.name}: {len(unknown)} of {len(state)} tensors ({', '.join(unknown[:3])}"
            f"{' …' if len(unknown) > 3 else ''}) do not match any tensor of the base model's {part.kind}. {why}"
        )
    for name, value in state.items():
        if value.shape != known[name].shape:
            raise WeightsError(
                f"{part.path.name}: {name} has shape {tuple(value.shape)}, but has shape {tuple(known[name].shape)} in "
                "the base model. Check that the file was made for this base."
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
    return WeightsError(
        f"{part.path} has no effect, because its tensors are equal to those of the base. Check the file."
    )


# A whole model in one file


def _checkpoint(pipe: Any, part: Part, folder: Path) -> Any:
    from diffusers.loaders.single_file_utils import SingleFileComponentError

    if not hasattr(type(pipe), "from_single_file"):
        raise WeightsError(
            f"{part.path.name}: {type(pipe).__name__} cannot be loaded from a single file. Specify its parts instead."
        )
    # As safetensors or without running anything: what follows reads the same file again.
    loading.load_tensors(part.path)
    # Of these a checkpoint says nothing: they stay the base's.
    kept = {
        k: getattr(pipe, k, None)
        for k in ("safety_checker", "feature_extractor")
        if k in inspect.signature(type(pipe)).parameters
    }
    try:
        with quiet_loading():
            new = type(pipe).from_single_file(
                str(part.path), config=str(folder), local_files_only=True, torch_dtype=pipe.dtype, **kept
            )
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, SingleFileComponentError) as error:
        raise WeightsError(
            f"{part.path.name} is not a valid checkpoint of {folder.name} ({first_line(error)}). Check the file."
        ) from error
    networks = {k: v for k, v in new.components.items() if hasattr(v, "named_parameters")}
    # What the file has not got is left without data.
    if empty := [f"{k}.{n}" for k, one in networks.items() for n, p in one.named_parameters() if p.is_meta]:
        raise WeightsError(f"{part.path.name} is missing {listed(empty)}. Download it again, or specify its parts.")
    own = [k for k in COMPONENTS if getattr(pipe, k, None) is not None]
    if all(_same(getattr(new, k), getattr(pipe, k)) for k in own):
        raise _nothing(part)
    new.set_progress_bar_config(disable=True)
    return new.to(pipe.device)


# Embeddings and code


def require_named(parts: Sequence[Part], prompts: Sequence[str]) -> None:
    """Refuse a textual inversion that no prompt names: what is generated would be the base's images.

    Args:
        parts: of the model. Where one is code, it may write the token into the prompts, and nothing is refused.
        prompts: all that the model is to generate.

    Raises:
        InputError: names the token.
        WeightsError: a file that is no textual inversion.
    """
    if any(part.kind == CODE for part in parts):
        return
    everything = "\n".join(prompts).casefold()
    for part in parts:
        if part.kind == "embedding" and (token := _learned(part.path)[0]).casefold() not in everything:
            raise InputError(
                f"{part.name} has no effect, because none of the prompts ({len(prompts)}) contains its token "
                f"{token!r}. Replace the concept's name with the token by using a pipeline ('igmu generate --pipeline "
                "FILE.py:FUNCTION'), or leave the embedding out."
            )


def _learned(path: Path) -> tuple[str, torch.Tensor]:
    """The token of a textual inversion and what was learned for it, of diffusers' or A1111's layout."""
    import torch

    state = loading.load_tensors(path)
    params = state.get("string_to_param")
    found = params if isinstance(params, Mapping) else state
    token, value = next(iter(found.items())) if len(found) == 1 else (None, None)
    if token == "*" and found is params:
        token = state.get("name")
    elif token == "emb_params":  # A1111's safetensors, which it calls like the file
        token = path.stem
    if not (isinstance(token, str) and token and isinstance(value, torch.Tensor)):
        raise WeightsError(
            f"{path.name} is not a textual inversion; it must contain exactly one token and its tensor. Specify the "
            "file of an embedding for one text encoder."
        )
    return token, value


def _embed(pipe: Any, part: Part) -> None:
    if not hasattr(pipe, "load_textual_inversion"):
        raise WeightsError(
            f"{part.path.name}: {type(pipe).__name__} does not support textual inversion. Leave --embedding out."
        )
    token, value = _learned(part.path)
    try:
        pipe.load_textual_inversion({token: value}, token=None)
    except (ValueError, KeyError, RuntimeError) as error:
        raise WeightsError(
            f"{part.path.name} is not a textual inversion of this base ({first_line(error)}). Check the file."
        ) from error


def _coded(pipe: Any, part: Part) -> Any:
    found = importlib.util.spec_from_file_location(f"igmu_code_{part.path.stem}", part.path)
    if found is None or found.loader is None:
        raise InputError(f"{part.path} is not a Python file. Specify the path of a Python file.")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    make = getattr(module, part.argument, None)
    if not callable(make):
        raise InputError(f"{part.path} has no function {part.argument!r}. Check the name.")
    made = make(pipe)
    if not callable(made):
        raise InputError(
            f"{part.path}: {part.argument} returns {type(made).__name__}; it must return an object that can be called "
            "like the pipeline (prompt=…, generator=…, num_inference_steps=…, …) and whose result has .images."
        )
    return made
