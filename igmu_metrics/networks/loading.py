"""Shared code for loading models: where weights come from, how they are identified, and on which device they run."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from igmu_data.errors import (
    EmptyInputError,
    InputError,
    LengthMismatchError,
    MetadataError,
    MissingExtraError,
    UnsupportedError,
    WeightsError,
)
from igmu_data.files import irregular, parse_json, read_text, sha256
from igmu_data.progress import quiet_loading
from igmu_metrics.contract import FloatArray, one_line
from igmu_metrics.networks.instruments import InstrumentInfo

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

# Configuration, tokenizer, chat template and safetensors only: pickles never reach this machine.
_HUB_PATTERNS = ["*.json", "*.jinja", "*.txt", "*.model", "*.safetensors"]
PRECISIONS = ("fp32", "bf16")
# What `from_pretrained` reads of a model, its image processor and its tokenizer, beside `*.safetensors`. Whatever else
# lies in a folder (a card, the training's arguments) changes no number.
_READ = (
    *("config.json", "model.safetensors.index.json", "adapter_config.json", "generation_config.json"),
    *("preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json"),
    *("chat_template.jinja", "chat_template.json"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "vocab.txt", "merges.txt", "spiece.model", "tokenizer.model", "sentencepiece.bpe.model"),
)


class ImageBackbone:
    """The optional methods of `instruments.Backbone`; subclasses override those that they support."""

    info: InstrumentInfo

    def image_features(self, images: Sequence[Image]) -> FloatArray:
        """Not available unless overridden."""
        raise UnsupportedError(
            f"backbone {self.info.name!r} cannot compute image features. Use 'clip', 'dinov2' or 'inception'."
        )

    def text_features(self, texts: Sequence[str]) -> FloatArray:
        """Not available unless overridden."""
        raise UnsupportedError(f"backbone {self.info.name!r} cannot compute text features. Use 'clip'.")

    def image_distance(self, images: Sequence[Image], others: Sequence[Image]) -> FloatArray:
        """Not available unless overridden."""
        raise UnsupportedError(f"backbone {self.info.name!r} cannot compute image distances. Use 'lpips:alex'.")


@dataclass(frozen=True, slots=True)
class Source:
    """A model's folder with the name and the revision for signatures.

    Args:
        folder: contains config.json and safetensors.
        name: Hub id, or the folder's name (its path on this machine does not affect the numbers).
        revision: 40-digit commit, or `sha256:` and 16 digits of a hash of weights, configuration and preprocessing.
    """

    folder: Path
    name: str
    revision: str


def split_argument(argument: str | None, options: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Split `path?key=value&key=value`; keys that are not given keep their value in `options`.

    >>> split_argument("alex?trunk=a/b.safetensors", {"trunk": "", "size": "256"})
    ('alex', {'trunk': 'a/b.safetensors', 'size': '256'})

    Raises:
        InputError: an unknown key.
    """
    head, _, query = (argument or "").partition("?")
    given = dict(parse_qsl(query, keep_blank_values=True))
    if unknown := sorted(set(given) - set(options)):
        raise InputError(f"unknown option {unknown[0]!r} in {argument!r}. Choose from {', '.join(sorted(options))}.")
    return head, dict(options) | given


def choice(what: str, value: str, known: Sequence[str]) -> str:
    """`value`, if it is one of `known`.

    Raises:
        InputError: it is not.
    """
    if value not in known:
        raise InputError(f"{what} {value!r} does not exist. Choose from {', '.join(known)}.")
    return value


def pick_device(device: str | None) -> torch.device:
    """The given device; for None or "auto", the first GPU if available, else the CPU."""
    import torch

    if device in (None, "auto"):
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(str(device))
    except RuntimeError as error:
        raise InputError(f"torch does not support device {device!r}. Use 'cpu', 'cuda' or 'auto'.") from error
    there = torch.cuda.device_count()
    if chosen.type == "cuda" and (chosen.index or 0) >= there:
        told = f"torch finds only {there} GPUs" if there else "torch finds no GPU"
        raise InputError(
            f"device {device!r} is not available, because {told}. Use 'cpu', or 'auto' to use the first GPU if "
            "available."
        )
    return chosen


def pick_dtype(precision: str) -> torch.dtype:
    """Torch's type for "fp32" or "bf16"."""
    import torch

    choice("precision", precision, PRECISIONS)
    return torch.float32 if precision == "fp32" else torch.bfloat16


def require(package: str, extra: str) -> None:
    """Raise `MissingExtraError` unless an optional package is installed."""
    if find_spec(package) is None:
        raise MissingExtraError(f"'{package}' is not installed. Run: pip install 'igmu[{extra}]'")


def weights_hash(paths: Sequence[Path]) -> str:
    """`sha256:` and the first 16 digits of the hash of these files, in the order of their names."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        if what := irregular(path):
            raise WeightsError(f"{path} is {what}, not a file. Save or download it again.")
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return f"sha256:{digest.hexdigest()[:16]}"


def find_model(argument: str | None, default: str, revision: str | None, pinned: Mapping[str, str]) -> Source:
    """A transformers model: a local folder, or a Hub id (`id` or `id@revision`) fetched at one commit.

    The Hub's files are downloaded first and loaded from the folder, because `from_pretrained` on an id without
    safetensors quietly takes them from a pull request that anybody can change.

    Args:
        argument: folder or Hub id; None: `default`.
        default: Hub id.
        revision: commit, branch or tag; for a folder the hash that it must have. None: pinned, else main.
        pinned: commits of ids that we know.

    Raises:
        WeightsError: there is nothing, no safetensors, or a different revision.
    """
    name, revision = _asked(argument, default, revision)
    path = Path(name).expanduser()
    if path.is_dir():
        _safetensors(path, name)
        require_objects(read_files(path))
        source = Source(path, path.resolve().name, files_hash({file.name: file for file in read_files(path)}))
        check_revision(source.revision, revision, name)
        return source
    if path.is_file():
        raise WeightsError(f"{name} is a file. Specify the folder that contains its config.json and safetensors files.")
    if name.startswith((".", "~", "/", "\\")) or name.count("/") > 1:
        raise WeightsError(
            f"there is no folder {name!r}. Specify a folder with config.json and safetensors files, or a Hub id."
        )
    folder = _download(name, revision or pinned.get(name))
    _safetensors(folder, f"{name} at {folder.name}")
    return Source(folder, name, folder.name)


def model_files(
    argument: str | None, default: str, revision: str | None, pinned: Mapping[str, str]
) -> list[Path] | None:
    """The files that are read to load the model of `find_model`; None if only the Hub knows them."""
    name, revision = _asked(argument, default, revision)
    path = Path(name).expanduser()
    if path.is_dir():
        return read_files(path)
    commit = revision or pinned.get(name, "")
    if not re.fullmatch("[0-9a-f]{40}", commit):
        return None  # a branch or tag moves
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE, f"models--{name.replace('/', '--')}", "snapshots", commit)
    return read_files(folder) if folder.is_dir() else None


def read_files(folder: Path) -> list[Path]:
    """The files of a model's folder that change its numbers: weights, configuration, image processor, tokenizer."""
    there = (folder / name for name in _READ)
    return sorted([*folder.glob("*.safetensors"), *(path for path in there if path.is_file())])


def require_objects(paths: Sequence[Path]) -> None:
    """Refuse settings that are not JSON objects, as libraries would take them for a name and try to fetch it.

    Raises:
        WeightsError: with the file's name.
    """
    for path in paths:
        if path.suffix != ".json":
            continue
        try:
            found = parse_json(read_text(path), str(path), "Save or download it again.")
        except MetadataError as error:
            raise WeightsError(str(error)) from error
        if not isinstance(found, dict):
            raise WeightsError(
                f"{path} contains a value of type {type(found).__name__}, not an object. Save or download it again."
            )


def files_hash(files: Mapping[str, Path]) -> str:
    """`sha256:` and the first 16 digits of a hash of the role and content of each file, wherever it is stored."""
    contents = [(what, sha256(path)) for what, path in sorted(files.items())]
    return f"sha256:{hashlib.sha256(json.dumps(contents).encode()).hexdigest()[:16]}"


def _asked(argument: str | None, default: str, revision: str | None) -> tuple[str, str | None]:
    name, _, inline = (argument or default).partition("@")
    return name, revision or inline or None


def check_revision(found: str, wanted: str | None, name: str) -> None:
    """Raise `WeightsError` if a revision is wanted and the files have a different one."""
    if wanted is not None and wanted != found:
        raise WeightsError(f"{name}: the revision of the files is {found}, not {wanted}. Check the revision.")


def load_tensors(path: str | Path) -> dict[str, Any]:
    """The content of a weight file, read without running any code in it: tensors by name, perhaps nested.

    Raises:
        WeightsError: no such file, or neither safetensors nor a torch file of tensors.
    """
    import torch
    from safetensors.torch import load_file

    path = Path(path).expanduser()
    if not path.is_file():
        raise WeightsError(f"there is no weight file {str(path)!r}. Check the path.")
    try:
        found: Any = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except Exception as error:  # safetensors, pickle and zip each have errors of their own
        # Not torch's own message on pickles, which advises to run the code in them.
        why = "a damaged pickle, or code" if isinstance(error, pickle.UnpicklingError) else one_line(error)[:300]
        raise WeightsError(
            f"{path.name} is neither a safetensors file nor a plain torch state dict ({why})."
        ) from error
    if not isinstance(found, dict):
        raise WeightsError(f"{path.name} does not contain a state dict (names to tensors). Check the file.")
    return found


def load_state(path: str | Path) -> dict[str, torch.Tensor]:
    """A state dict from safetensors, or from a torch file read without running any code in it.

    Raises:
        WeightsError: no such file, or not dense, real tensors.
    """
    import torch

    state = load_tensors(path)
    if not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise WeightsError(f"{Path(path).name} does not contain a state dict (names to tensors). Check the file.")
    for name, tensor in state.items():
        if tensor.layout != torch.strided or tensor.is_complex() or tensor.is_quantized:
            what = "complex" if tensor.is_complex() else "quantized" if tensor.is_quantized else "sparse"
            raise WeightsError(
                f"{Path(path).name}: {name} is a {what} tensor. Save the weights as dense, real tensors."
            )
    return state


def fetch(url: str) -> Path:
    """A file from torch's own cache, downloaded and checked against the hash in its name if it is not there yet.

    Raises:
        WeightsError: there is no connection, or the file has a different hash.
    """
    import torch

    path = fetched(url)
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    found = re.search(r"-([0-9a-f]{8,})\.", path.name)
    try:
        torch.hub.download_url_to_file(url, str(path), hash_prefix=found[1] if found else None, progress=False)
    except (OSError, RuntimeError) as error:
        raise WeightsError(
            f"cannot fetch {url} ({error}). Download the file elsewhere, and specify its path."
        ) from error
    return path


def fetched(url: str) -> Path:
    """Where `fetch` puts a file; known without importing torch."""
    if "torch" in sys.modules:  # somebody may have told it another folder
        root: str = sys.modules["torch"].hub.get_dir()
    else:
        home = os.environ.get("TORCH_HOME", os.path.join(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "torch"))
        root = os.path.join(os.path.expanduser(home), "hub")
    return Path(root, "checkpoints", url.rsplit("/", 1)[-1])


def load_into(module: torch.nn.Module, state: Mapping[str, torch.Tensor], what: str) -> None:
    """Replace a module's tensors by a state dict with exactly the same names.

    Raises:
        WeightsError: a name is missing or unknown, or a shape differs.
    """
    try:
        module.load_state_dict(dict(state), assign=True)
    except RuntimeError as error:
        raise WeightsError(
            f"{what}: the weights do not fit the network ({one_line(error)[:300]}). Check the file."
        ) from error


def from_safetensors(model_class: Any, source: Source, **options: Any) -> tuple[Any, list[str]]:
    """A transformers model, and the weights missing from its files, which transformers fills with random numbers."""
    given = {"use_safetensors": True, "local_files_only": True, "trust_remote_code": False}
    with quiet_loading():
        model, info = model_class.from_pretrained(source.folder, output_loading_info=True, **given, **options)
    return model, sorted(info["missing_keys"])


def load_pretrained(model_class: Any, source: Source, model_type: str, dtype: torch.dtype) -> torch.nn.Module:
    """A transformers model in eval mode, from safetensors, with every weight present.

    Raises:
        WeightsError: it has a different architecture, or weights are missing.
    """
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(source.folder, local_files_only=True, trust_remote_code=False)
    if config.model_type != model_type:
        raise WeightsError(
            f"{source.name} has model type {config.model_type!r}, but this backbone requires {model_type!r}."
        )
    model, missing = from_safetensors(model_class, source, dtype=dtype)
    if missing:
        raise WeightsError(
            f"{source.name} is missing weights, for example {missing[0]!r} ({len(missing)} in total). Download it "
            "again."
        )
    loaded: torch.nn.Module = model.eval().requires_grad_(False)
    for parameter in loaded.parameters():  # their file would stay in memory beside them, whole, while one is left
        parameter.data = parameter.data.clone()
    return loaded


def load_image_processor(source: Source) -> tuple[Any, str]:
    """The model's own image processor with the PIL backend, and a description of what it does.

    Without a named backend transformers takes torchvision where it is installed, and its resize differs in the last
    bit of many pixels: the numbers would depend on the environment.
    """
    from PIL import Image as Pil
    from transformers import AutoImageProcessor

    processor = AutoImageProcessor.from_pretrained(
        source.folder, backend="pil", local_files_only=True, trust_remote_code=False
    )
    if processor.backend != "pil":
        raise WeightsError(
            f"{source.name}: its image processor has no PIL backend (got {processor.backend!r}). Use another model."
        )
    steps = []
    if processor.do_resize and processor.size is not None:
        steps.append(f"pil {Pil.Resampling(processor.resample).name.lower()} to {_size(processor.size)}")
    if processor.do_center_crop:
        steps.append(f"center crop {_size(processor.crop_size)}")
    return processor, ", ".join(steps)


def check_images(images: Sequence[Image], others: Sequence[Image] | None = None) -> None:
    """Refuse an empty list, and two lists of unequal length."""
    if len(images) == 0:
        raise EmptyInputError("the list of images is empty. Pass at least one image.")
    if others is not None and len(images) != len(others):
        raise LengthMismatchError(
            f"a distance requires pairs of images, but the two sets differ in size ({len(images)} and {len(others)})."
        )


def rgb(image: Image) -> Image:
    """The image as RGB; unchanged if it is."""
    return image if image.mode == "RGB" else image.convert("RGB")


def _size(size: Any) -> str:
    given = {k: v for k, v in dict(size).items() if v is not None}
    if set(given) == {"height", "width"}:
        return f"{given['width']}x{given['height']}"
    return ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in given.items())


def _safetensors(folder: Path, name: str) -> list[Path]:
    if found := sorted(folder.glob("*.safetensors")):
        return found
    raise WeightsError(
        f"{name} has no safetensors files, and igmu does not read pickle files. Convert the model (save_pretrained "
        "writes safetensors), or specify a revision that has them, as in 'id@revision'."
    )


def _download(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=_HUB_PATTERNS))
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        at = f" at {revision}" if revision else ""
        raise WeightsError(
            f"cannot fetch {name!r}{at} from the Hub ({reason.rstrip('.')}). Check the id and the connection, or use a "
            "local folder."
        ) from error
