"""What a model stores, tensor by tensor, to compute what another model stores in addition: `model.json`.

Conventions: a tensor is identified by its network, its name and a hash of its bytes in the file. The tensors of a
published part replace the base's tensors of the same name; those without such a name (a LoRA, a file in a different
layout) all count. It is unknown what code stores. Nothing is loaded into a network for this.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from igmu_data.errors import MetadataError, WeightsError
from igmu_data.files import parse_json, read_text
from igmu_metrics.images import components, published
from igmu_metrics.images.method import Method

_CHUNK: Final = 1 << 20
_LONGEST_HEADER: Final = 100_000_000  # bytes, as safetensors itself allows
_SPLIT: Final = re.compile(r"-\d{5}-of-\d{5}")
_BESIDE: Final = (".json", ".txt", ".model")  # configurations, vocabularies

_Size = Annotated[int, Field(ge=0, le=10**15)]
_Hash = Annotated[str, Field(pattern="^[0-9a-f]{16}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Weights(_Strict):
    """What a model stores.

    Args:
        tensors: by network and name: number of parameters, number of bytes, and a hash of the bytes.
        files: by path, other files that describe it: bytes and hash.
        code: whether it is partly code, which may store anything.
    """

    tensors: dict[str, tuple[_Size, _Size, _Hash]]
    files: dict[str, tuple[_Size, _Hash]]
    code: bool = False

    def beyond(self, base: Weights) -> tuple[int, int] | None:
        """Parameters in tensors that a base lacks or stores with other values, and bytes to store in addition to it.

        Returns:
            Both numbers; None if the model is partly code.
        """
        if self.code:
            return None
        new = [value for name, value in self.tensors.items() if base.tensors.get(name) != value]
        other = [value for name, value in self.files.items() if base.files.get(name) != value]
        return sum(n for n, *_ in new), sum(size for _, size, _ in new) + sum(size for size, _ in other)


class Model(_Strict):
    """The content of `model.json`: facts about the model that generated the images next to it.

    Args:
        revision: of the model.
        weights: what it stores; None if unknown.
        method: what it cost to make, as stated by its author.
    """

    revision: str = ""
    weights: Weights | None = None
    method: Method | None = None


def read(path: Path) -> Model | None:
    """The content of a `model.json`; None if there is none.

    Raises:
        MetadataError: igmu generate did not write it.
    """
    if not path.is_file():
        return None
    advice = "Delete it, and run 'igmu generate' again."
    try:
        return Model.model_validate(parse_json(read_text(path, advice), str(path), advice))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise MetadataError(f"{path}, key {where}: {first['msg']}. {advice}") from error


def of(folder: Path, parts: Sequence[published.Part], variant: str | None) -> Weights:
    """What a pipeline's folder stores, with the parts added to it.

    Args:
        folder: of the base, as `save_pretrained` writes it.
        parts: in the order in which they are applied.
        variant: which of its files are read, such as `fp16`.

    Raises:
        WeightsError: a file contains no tensors.
    """
    tensors: _Tensors = {}
    for network in sorted(p for p in folder.iterdir() if p.is_dir()):
        tensors |= _network(network, network.name, variant)
    files = {
        path.relative_to(folder).as_posix(): (path.stat().st_size, _hash_of(path))
        for path in sorted(folder.rglob("*"))
        if path.suffix in _BESIDE and path.is_file() and ".safetensors." not in path.name
    }
    for part in parts:
        if part.kind in components.COMPONENTS:
            if part.path.is_dir():
                tensors = {n: v for n, v in tensors.items() if not n.startswith(f"{part.kind}/")}
                home = published.component_folders([part])[part.kind]
                tensors |= _network(home, part.kind, components.only_variant(home))
            else:
                tensors |= _placed(part, {n.partition("/")[2] for n in tensors if n.startswith(f"{part.kind}/")})
        elif part.kind != published.CODE:
            paths = sorted(part.path.rglob("*.safetensors")) if part.path.is_dir() else [part.path]
            tensors |= {f"{part.name}/{n}": v for path in paths for n, v in _file(path, part.kind).items()}
    return Weights(tensors=tensors, files=files, code=any(p.kind == published.CODE for p in parts))


_Tensors = dict[str, tuple[int, int, str]]


def _network(folder: Path, name: str, variant: str | None) -> _Tensors:
    """The tensors of one network's folder, in those of its files that are read."""
    paths = sorted(folder.glob("*.safetensors"))
    of_variant = [p for p in paths if _variant(p) == (variant or "")]
    return {f"{name}/{n}": v for path in of_variant or paths for n, v in _file(path, name).items()}


def _variant(path: Path) -> str:
    return _SPLIT.sub("", path.name.removesuffix(".safetensors")).partition(".")[2]


def _placed(part: published.Part, known: set[str]) -> _Tensors:
    """The tensors of a file for one network, under the names that the network has for them."""
    others = set(components.COMPONENTS) - {part.kind}  # of which the same file may be, too
    found = {n: v for n, v in _file(part.path, part.kind).items() if n.partition(".")[0] not in others}
    names = published.renamed(found, known, part.kind)
    if not known.issuperset(names.values()):  # another layout
        return {f"{part.name}/{name}": value for name, value in found.items()}
    return {f"{part.kind}/{new}": found[old] for old, new in names.items()}


def _file(path: Path, kind: str) -> _Tensors:
    """Every tensor of a file: how many numbers, how many bytes, and a hash of these."""
    if path.suffix == ".safetensors":
        return dict(_safetensors(path))
    found: _Tensors = {}
    for name, value in published.read_part(path, kind).items():
        data: Any = value.detach().contiguous().reshape(-1)
        raw = data.view(_bytes()).numpy() if data.numel() else b""
        found[name] = (value.numel(), value.numel() * value.element_size(), hashlib.sha256(raw).hexdigest()[:16])
    return found


def _bytes() -> Any:
    import torch

    return torch.uint8


def _safetensors(path: Path) -> Iterator[tuple[str, tuple[int, int, str]]]:
    """As `_file`, without reading more than a piece at a time."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > _LONGEST_HEADER:
                raise ValueError(f"a header of {length} bytes is too large")
            header = json.loads(file.read(length))
            header.pop("__metadata__", None)
            for name, told in header.items():
                start, end = told["data_offsets"]
                file.seek(8 + length + start)
                digest, left = hashlib.sha256(), end - start
                while left > 0 and (piece := file.read(min(left, _CHUNK))):
                    digest.update(piece)
                    left -= len(piece)
                if left:
                    raise ValueError(f"{name} is cut off")
                yield name, (prod(told["shape"]), end - start, digest.hexdigest()[:16])
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path} is not a safetensors file ({error}). Save or download it again.") from error


def _hash_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
