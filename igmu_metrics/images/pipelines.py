"""Finds a text-to-image pipeline: a folder as `save_pretrained` writes it, a Hub id at one commit, or a packaged one.

Conventions: safetensors only, never code from a repository. Whatever alters a generated image is left out if the class
allows it: the safety checker, which returns a black image that every detector would judge as forgotten, and SDXL's
invisible watermark, which depends on what else is installed. PixArt's cleaning of prompts is left out, too: it depends
on beautifulsoup4 and ftfy, and would remove the attack from adversarial prompts. Prompts reach the model unchanged.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from igmu_data.errors import InputError, OutputError, WeightsError, nearest
from igmu_data.media import shell
from igmu_data.numerals import counted
from igmu_data.progress import quiet_loading
from igmu_data.sandbox import packaged
from igmu_data.taxonomy import SANDBOX
from igmu_metrics.images import baselines, components, presets, published, stored
from igmu_metrics.images.layouts import METADATA, image_files
from igmu_metrics.networks import loading

if TYPE_CHECKING:
    import torch

DTYPES: Final = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}  # as metadata say, and as torch does
_SHORT: Final = {long: short for short, long in DTYPES.items()}
_COMPILED: Final = ("unet", "transformer")
_INDEX: Final = "model_index.json"
_WEIGHTS: Final = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
_DESCRIBING: Final = (".safetensors", ".json", ".txt", ".model")  # weights, schedules, vocabularies
_LEFT_OUT: Final = {"safety_checker": None, "requires_safety_checker": False, "add_watermarker": False}
_FIXED: Final = {"clean_caption": False}  # of every call, where the class takes it
_BEYOND: Final = {
    *("strength", "mask_image", "control_image", "controlnet", "adapter"),
    *("video", "frames", "num_frames", "num_videos_per_prompt"),
}
_NEEDED: Final = ("prompt", "num_inference_steps", "guidance_scale", "width", "height", "generator", "output_type")


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A pipeline that is loaded when the first image needs it.

    Args:
        name: Hub id, `sandbox:…`, or the folder's name (its path on this machine does not affect the images).
        revision: commit, or `sha256:` and 16 digits of a hash of the folder's files; never empty.
        device: "cpu", "cuda", …
        dtype: one of DTYPES.
        load: gives the diffusers pipeline, ready on its device. A model that was changed in memory is drawn with by
            giving its own function here.
        preset: gives what it is generated with where neither options nor rows say; None where they have to.
        stored: gives what it stores, read from its files; None where there are none.
        compiled: whether its denoiser is compiled, which rounds otherwise.
        require: refuses prompts and settings of a whole run with which a part of it would change nothing.
        scheduler: class of its scheduler, as far as this is known before it is loaded; otherwise "".
    """

    name: str
    revision: str
    device: str
    dtype: str
    load: Callable[[], Any]
    preset: Callable[[], presets.Preset] | None = None
    stored: Callable[[], stored.Weights] | None = None
    compiled: bool = False
    require: Callable[[Sequence[str], Sequence[presets.Settings]], None] = lambda prompts, settings: None
    scheduler: str = ""


def find_pipeline(
    spec: str,
    *,
    device: str | None = None,
    dtype: str = "fp32",
    trust_code: bool = False,
    target: str | None = None,
    compiled: bool = False,
) -> Pipeline:
    """The pipeline in a folder or of a Hub id, its files fetched and its revision known, but not loaded yet.

    Args:
        spec: folder, `id`, or `sandbox:VERSION[/TASK]` for a packaged model (`sandbox:esd/church`); behind `@` the
            commit, branch or tag, for a folder the `sha256:…` that it must have; behind commas what is put onto it
            (`igmu_metrics.images.published`: `base,unet=esd.safetensors`); before it perhaps a baseline and a colon
            (`igmu_metrics.images.baselines`: `filter:base`).
        device: "cpu", "cuda", …; None or "auto": a GPU if available.
        dtype: a name or value of DTYPES.
        trust_code: whether code that the spec names may run.
        target: the concept that a baseline is to suppress, as `object/church`.
        compiled: compile the denoiser with torch.compile: a minute or more at first, then faster on a GPU.

    Raises:
        WeightsError: there is no pipeline, no safetensors, or the revision differs from the requested one.
        InputError: an unknown device or dtype, code without trust, a baseline without a concept.
        UnknownVersionError, UnknownTaskError: a packaged model that does not exist.
        OutputError: a packaged model cannot be assembled in the cache.
    """
    dtype = loading.choice("dtype", short(dtype), tuple(DTYPES))
    where = str(loading.pick_device(device))
    baseline, rest = baselines.parse(spec)
    words = baselines.needs(baseline, target) if baseline else []
    base, parts, variant = published.parse(rest)
    published.require_trust(parts, trust_code)
    name, _, revision = (base, "", "") if Path(base).expanduser().is_dir() else base.partition("@")
    if local := _local(name):
        folder, title = local
        files = _files(folder)
        loading.require_objects(files)
        found = loading.weights_hash(files)
        loading.check_revision(found, revision or None, name)
        name = title
    else:
        _require_id(name)
        _require_texts(name, revision or None)
        folder = _download(name, revision or None, variant)
        found = folder.name  # a Hub snapshot is named after its commit
    components.require_variant(folder, variant)
    replaced = published.component_folders(parts)
    title = ",".join([name, *(p.name for p in parts)])
    contents = [p.content() for p in parts] + ([baseline, *words] if baseline else [])
    found = published.revision(found, contents) if contents else found

    def load() -> Any:
        checked = baseline == baselines.CHECKER
        pipe = _load(folder, name, dtype, variant or components.only_variant(folder), checked=checked)
        base = pipe.to(where)
        pipe = published.put_onto(base, parts, folder)
        if compiled:
            _compile(pipe, base, name)
        pipe = baselines.around(pipe, baseline, words) if baseline else pipe
        takes = inspect.signature(_class(folder, name).__call__).parameters
        fixed = {k: v for k, v in _FIXED.items() if k in takes}
        return partial(pipe, **fixed) if fixed else pipe

    def preset() -> presets.Preset:
        return presets.preset(folder, _class(folder, name), replaced)

    def kept() -> stored.Weights:
        return stored.of(folder, parts, variant or components.only_variant(folder))

    def require(prompts: Sequence[str], settings: Sequence[presets.Settings]) -> None:
        published.require_named(parts, prompts)
        if baseline:
            baselines.require_read(baseline, [s.guidance_scale for s in settings])

    if baseline and not any(part.kind == published.CODE for part in parts):
        checker = bool((_index(folder, name).get("safety_checker") or [None])[0])
        distilled = presets.distilled(folder, replaced)
        baselines.require_possible(baseline, _class(folder, name), checker=checker, distilled=distilled)
    title = f"{baseline}:{title}" if baseline else title
    exchanged = any(part.kind in (published.CODE, "checkpoint") for part in parts)  # perhaps
    scheduler = "" if exchanged else _scheduler(_index(folder, name))
    return Pipeline(title, found, where, dtype, load, preset, kept, compiled, require, scheduler)


def short(dtype: str) -> str:
    """A numerical precision as metadata record it.

    >>> short("float16"), short("fp32")
    ('fp16', 'fp32')
    """
    return _SHORT.get(dtype, dtype)


def require_no_model(out: Path) -> None:
    """Refuse a model's folder as the place of what is generated: the files would count as the model's, and change it.

    Raises:
        OutputError: it is one, or lies in one.
    """
    for place in (out.absolute(), *out.absolute().parents):
        if (place / _INDEX).is_file():
            raise OutputError(f"--out {out}: {place} is the folder of a model. Choose a folder outside it.")


def _compile(pipe: Any, base: Any, name: str) -> None:
    """Compile the denoiser in its place; of a method that is code that of the pipeline that it was given."""
    networks = [n for of in (pipe, base) for kind in _COMPILED if (n := getattr(of, kind, None)) is not None]
    if not networks:
        raise InputError(f"{name} has no {' or '.join(_COMPILED)} that can be compiled. Leave --compile out.")
    networks[0].compile()


def _local(spec: str) -> tuple[Path, str] | None:
    """The folder of a packaged model or a given one, and its name; None if it is not a folder."""
    kind, colon, rest = spec.partition(":")
    if kind == SANDBOX and colon:
        version, _, task = rest.partition("/")
        return packaged.model_folder(version, task or None), f"{kind}:{packaged.version_name(version, task or None)}"
    folder = Path(spec).expanduser()
    return (folder, folder.resolve().name) if folder.is_dir() else None


def _require_id(name: str) -> None:
    """Refuse what is neither a folder nor a possible id, before the Hub is contacted."""
    others = ", ".join(k for k in published.KINDS if k != "unet")
    kinds = f"as in {published.join('BASE', {'unet': 'FILE'})} (or {others})"
    if Path(name).expanduser().is_file():
        raise WeightsError(f"{name} is a file. Specify its base model and which part the file replaces, {kinds}.")
    kind, colon, rest = name.partition(":")
    if colon and not name.startswith((".", "~", "/", "\\")):  # no id of the Hub contains one
        known = (SANDBOX, *baselines.NAMES)
        alike = nearest(kind, known, 1)
        guess = f"did you mean {f'{alike[0]}:{rest}'!r}?" if alike else f"{kind!r} must be {' or '.join(known)}."
        raise WeightsError(f"there is no model {name!r}; {guess} igmu generate --help lists the forms of a model.")
    if name.startswith((".", "~", "/", "\\")) or name.count("/") != 1:
        hint = f" Add parts to a base model {kinds}." if "," in name else ""
        raise WeightsError(
            f"there is no folder {name!r}. Specify a folder with {_INDEX}, a Hub id (owner/name) or "
            f"{SANDBOX}:VERSION.{hint}"
        )


def _files(folder: Path) -> list[Path]:
    if not (folder / _INDEX).is_file():
        _require_no_images(folder)
        raise WeightsError(
            f"{folder} contains no {_INDEX}. Specify a folder written by the save_pretrained method of a diffusers "
            "pipeline."
        )
    found = [p for p in folder.rglob("*") if p.suffix in _DESCRIBING and p.is_file()]
    if not any(p.suffix == ".safetensors" for p in found):
        raise WeightsError(
            f"{folder} contains no safetensors files, and igmu does not read pickle files. Save the model with "
            "safe_serialization=True."
        )
    return found


def _require_no_images(folder: Path) -> None:
    """Refuse a folder of images in the place of a model, and say which commands read images.

    Raises:
        WeightsError: there are images and no weights.
    """
    images = image_files(folder)
    if not images or any(p.suffix in _WEIGHTS for p in folder.rglob("*")):
        return
    listed = (folder / METADATA).is_file()
    first = "" if listed else f"First run {shell(['igmu', 'match', folder])} --config CONFIG to find their prompts. "
    raise WeightsError(
        f"{folder} contains {counted(len(images), 'image')}, but no model. {first}To score existing images, run igmu "
        f"score --original FOLDER {shell(['--unlearned', folder])} --config CONFIG. To generate images, specify a "
        "model."
    )


def _download(name: str, revision: str | None, variant: str | None) -> Path:
    from diffusers import DiffusionPipeline

    try:
        return Path(DiffusionPipeline.download(name, revision=revision, use_safetensors=True, variant=variant))
    except (OSError, ValueError) as error:
        raise _not_had(name, revision, error) from error


def _not_had(name: str, revision: str | None, error: Exception) -> WeightsError:
    small = f" Did you mean {f'{SANDBOX}:{name}'!r}?" if name.partition("/")[0] in packaged.VERSIONS else ""
    return WeightsError(
        f"cannot fetch {name!r} at {revision or 'main'} from the Hub ({components.first_line(error)}). Check the id "
        f"and the connection, or use a local folder.{small}"
    )


def _require_texts(name: str, revision: str | None) -> None:
    """Refuse a repository whose pipeline does not generate images from texts, before its weights are fetched."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        index = Path(hf_hub_download(name, _INDEX, revision=revision))
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise _not_had(name, revision, error) from error
    _class(index.parent, name)


def _index(folder: Path, name: str) -> dict[str, Any]:
    """What a folder's index says; nothing where it is no object."""
    try:
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
    except ValueError as error:
        raise WeightsError(
            f"{name}: the file {_INDEX} is not valid JSON ({error}). Save or download the model again."
        ) from error
    return index if isinstance(index, dict) else {}


def _scheduler(index: Mapping[str, Any]) -> str:
    told = index.get("scheduler")
    return str(told[1]) if isinstance(told, list) and len(told) == 2 else ""


def _class(folder: Path, name: str) -> Any:
    """The class that the folder names, if it is one of diffusers' own and draws from texts."""
    import diffusers

    wanted = _index(folder, name).get("_class_name")
    kind = getattr(diffusers, wanted, None) if isinstance(wanted, str) else None
    if not (inspect.isclass(kind) and issubclass(kind, diffusers.DiffusionPipeline)):
        raise WeightsError(
            f"{name}: {wanted!r} is not a pipeline in diffusers {diffusers.__version__}. Update diffusers."
        )
    takes = inspect.signature(kind.__call__).parameters
    if missing := [p for p in _NEEDED if p not in takes]:
        raise WeightsError(
            f"{name}: {wanted} cannot generate images from prompts (it does not accept {', '.join(missing)}). Use a "
            "text-to-image pipeline."
        )
    if more := _beyond_texts(kind):
        raise WeightsError(
            f"{name}: {wanted} cannot generate images from prompts alone (it also requires {', '.join(more)}). Use a "
            "text-to-image pipeline."
        )
    return kind


def _beyond_texts(kind: Any) -> list[str]:
    """What tells that a class wants an image beside the text, or makes videos of it."""
    from diffusers.pipelines.auto_pipeline import AUTO_TEXT2IMAGE_PIPELINES_MAPPING as FROM_TEXTS

    takes, built_of = inspect.signature(kind.__call__).parameters, inspect.signature(kind).parameters
    plain = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    found = {n for n, p in takes.items() if p.default is p.empty and p.kind in plain} - {"self", "prompt"}
    found |= _BEYOND & (takes.keys() | built_of.keys())
    if "image" in takes and kind not in FROM_TEXTS.values():  # FLUX.2 and Kontext take one, and do without
        found.add("image")
    return sorted(found)


def _load(folder: Path, name: str, dtype: str, variant: str | None, *, checked: bool) -> Any:
    import torch

    kind = _class(folder, name)
    wanted = getattr(torch, DTYPES[dtype])
    accepted = inspect.signature(kind).parameters
    try:
        networks = _networks(folder, wanted, variant)
        with quiet_loading():
            pipe = kind.from_pretrained(
                folder,
                use_safetensors=True,
                local_files_only=True,
                dtype=wanted,
                variant=variant,
                **networks,
                **({} if checked else {k: v for k, v in _LEFT_OUT.items() if k in accepted}),
            )
    except WeightsError:
        raise
    except Exception as error:  # of whatever kind its parts raise on files that are damaged
        raise WeightsError(
            f"{name} cannot be loaded ({components.first_line(error)}). Save or download it again."
        ) from error
    if pipe.dtype != wanted:  # older versions know the argument by another name, and ignore this one
        raise WeightsError(f"{name} was loaded as {pipe.dtype}, not {wanted}. Update diffusers to 0.42 or later.")
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _networks(folder: Path, dtype: torch.dtype, variant: str | None) -> dict[str, Any]:
    """The networks of a pipeline's folder, each with all of its weights."""
    import diffusers
    import transformers

    libraries = {"diffusers": diffusers, "transformers": transformers}
    found = {}
    for part, told in json.loads((folder / _INDEX).read_text(encoding="utf-8")).items():
        if not (isinstance(told, list) and len(told) == 2 and told[0] in libraries and isinstance(told[1], str)):
            continue
        kind = getattr(libraries[told[0]], told[1], None)
        if inspect.isclass(kind) and issubclass(kind, diffusers.ModelMixin | transformers.PreTrainedModel):
            own = variant if variant and any((folder / part).glob(f"*.{variant}*.safetensors")) else None
            found[part], _ = components.network(kind, folder / part, dtype, own)
    return found
