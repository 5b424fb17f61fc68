"""A person by likeness: how near is an image to photographs of one public figure, in a network's features?

`face:FILE`, where FILE is what `igmu face` made of the user's own licensed photographs: embeddings of length 1, the
concept, and the network that they are of. With x the embedding of an image and m the mean of the references', both
scaled to length 1,

    p = (1 + x·m) / 2

The threshold is the one below which a twentieth of the photographs would fall, each against the mean of the others: it
says what the network makes of the same person, and nothing of other people.

Limits: the network sees the image as it is. Face recognition networks want a face, upright and filling the image, and
none is looked for here: crop what you photograph and what you judge alike, or measure what that costs on labelled
images. p is no probability that was measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np

from igmu_data import taxonomy
from igmu_data.errors import EmptyInputError, InputError, OutputError, WeightsError
from igmu_data.files import beside
from igmu_metrics.backbones import clip, dinov2, onnx
from igmu_metrics.contract import FloatArray, one_line
from igmu_metrics.detectors._common import Answer, checked_threshold, file_revision, finite, masked_columns
from igmu_metrics.detectors._head_file import sorted_header
from igmu_metrics.detectors.clip import unit
from igmu_metrics.images.files import read_image
from igmu_metrics.images.layouts import image_files
from igmu_metrics.networks.instruments import Backbone, Batch, InstrumentInfo
from igmu_metrics.networks.loading import split_argument

FORMAT: Final = "igmu-face-1"
FEWEST: Final = 5  # photographs: of fewer, a threshold by leaving one out says nothing
_LOST: Final = 0.05  # share of the photographs that the threshold leaves out
_DOMAIN: Final = "identity"
_NETWORKS: Final[Mapping[str, ModuleType]] = {"onnx": onnx, "clip": clip, "dinov2": dinov2}


@dataclass(frozen=True, slots=True)
class References:
    """What a file of references holds.

    Args:
        embeddings: (n, d) of length 1.
        concept: `identity/slug`.
        network: spec of the backbone.
        revision: of the backbone, and how it prepares images.
        threshold: of p.
    """

    embeddings: FloatArray
    concept: str
    network: str
    revision: str
    threshold: float


class Face:
    """References and the network that they are of: judges one concept."""

    def __init__(self, backbone: Backbone, mean: FloatArray, info: InstrumentInfo, concept: str) -> None:
        self.info = info
        self.reads = (backbone,)
        self._mean, self._concept = mean, concept

    def probabilities(self, batch: Batch, concepts: Sequence[str]) -> Answer:
        """(n, len(concepts)) likenesses; masked throughout for every concept but the references'.

        Raises:
            NonFiniteError: the network gave a NaN or an infinity.
        """
        if self._concept not in concepts or not len(batch):
            return masked_columns(len(batch), concepts, {})
        found = unit(finite(batch.features(self.reads[0]), f"{self.info.name} features"))
        return masked_columns(len(batch), concepts, {self._concept: likeness(found @ self._mean)})


def load(
    argument: str | None,
    *,
    device: str | None = None,
    threshold: float | None = None,
    precision: str = "fp32",
) -> Face:
    """Load references, and the network that they are of.

    Args:
        argument: file that `igmu face` wrote, with `?network=SPEC` where its network lies elsewhere now.
        device: where the network runs; a GPU where there is one by default.
        threshold: `p >= threshold` counts as present; by default the file's.
        precision: "fp32" or "bf16" arithmetic of the network.

    Raises:
        WeightsError: no such file, none that `igmu face` wrote, or another network than it was made with.
    """
    name, given = split_argument(argument, {"network": ""})
    if not name:
        raise WeightsError("face: no file given. Write face:FILE.safetensors; igmu face makes one of photographs.")
    path = Path(name)
    known = read(path)
    spec = given["network"] or known.network
    backbone = network(spec, device=device, precision=precision)
    if _revision(backbone) != known.revision:
        raise WeightsError(
            f"{path}: made with {known.network} ({known.revision}), not with {spec} ({_revision(backbone)}). Name "
            f"the network that it was made with: face:{path}?network=SPEC."
        )
    info = InstrumentInfo(
        name=f"face:{path.name}",
        revision=file_revision(path),
        preparation=backbone.info.preparation,
        threshold=checked_threshold(threshold, known.threshold),
        concepts=frozenset({known.concept}),
        settings={
            **backbone.info.settings,
            "backbone": f"{backbone.info.name}@{backbone.info.revision}",
            "references": len(known.embeddings),
            "rule": "(1 + cosine with the mean) / 2",
        },
    )
    return Face(backbone, unit(known.embeddings.mean(axis=0)), info, known.concept)


def files(argument: str | None, **_: Any) -> list[Path] | None:
    """The files that `load` reads; None where they are not known."""
    name, given = split_argument(argument, {"network": ""})
    path = Path(name)
    if not path.is_file():
        return None
    spec = given["network"] or read(path).network
    kind, rest = spec.partition(":")[::2]
    own = _NETWORKS[kind].files(rest or None) if kind in _NETWORKS else None
    return None if own is None else [path, *own]


def likeness(cosines: FloatArray) -> FloatArray:
    """Cosines as p.

    >>> likeness(np.array([-1.0, 0.0, 1.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    return np.asarray(np.clip((1 + cosines) / 2, 0.0, 1.0))


def network(spec: str, *, device: str | None = None, precision: str = "fp32") -> Backbone:
    """The backbone of a spec: `onnx:FILE.onnx`, `clip:MODEL` or `dinov2:MODEL`.

    Raises:
        InputError: another kind.
    """
    kind, _, argument = spec.partition(":")
    if kind not in _NETWORKS:
        raise InputError(f"network {spec!r} is not one of {', '.join(f'{name}:…' for name in _NETWORKS)}.")
    found: Backbone = _NETWORKS[kind].load(argument or None, device=device, precision=precision)
    return found


def read(path: Path) -> References:
    """What a file of references holds, checked.

    Raises:
        WeightsError: no such file, or none that `make` wrote.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            told: dict[str, str] = file.metadata() or {}
            if told.get("format") != FORMAT:
                raise WeightsError(f"{path}: not made by igmu face. Make one: igmu face FOLDER.")
            found = np.asarray(file.get_tensor("embeddings"), dtype=np.float64)
        known = References(found, told["concept"], told["network"], told["revision"], float(told["threshold"]))
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise WeightsError(f"{path}: cannot be read ({one_line(error)}). Make it again: igmu face FOLDER.") from error
    whole = (
        found.ndim == 2 and len(found) >= FEWEST and bool(np.isfinite(found).all()) and bool(found.any(axis=1).all())
    )
    if not whole or not 0 <= known.threshold <= 1:
        raise WeightsError(
            f"{path}: it has no embeddings, or an impossible threshold. Make it again: igmu face FOLDER."
        )
    return known


def make(folder: Path, out: Path, *, concept: str, spec: str, device: str | None = None) -> References:
    """Make a file of references of photographs.

    Args:
        folder: photographs of one adult public figure, whom each shows alone.
        out: the `.safetensors` file to write; holds embeddings, no images and no names of files.
        concept: `identity/slug`, of the taxonomy or of the user's own.
        spec: of the network, as for `network`.
        device: where it runs.

    Raises:
        EmptyInputError: too few photographs.
        ImageError: one that cannot be read.
        InputError: no such folder, no concept of the domain `identity`, or another network.
        OutputError: `out` cannot be written.
    """
    from safetensors.numpy import save

    item = taxonomy.concept(concept)
    if item.domain != _DOMAIN:
        raise InputError(f"concept {concept!r} is not a person; give one of the domain {_DOMAIN!r}.")
    if out.suffix != ".safetensors":
        raise OutputError(f"{out}: give a file name that ends in .safetensors.")
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder. Give the folder of the photographs.")
    paths = image_files(folder)
    if len(paths) < FEWEST:
        raise EmptyInputError(f"{folder}: {len(paths)} photographs; a threshold needs {FEWEST} at least.")
    backbone = network(spec, device=device)
    found = [finite(backbone.image_features([read_image(path)]), str(path)) for path in paths]
    embeddings = unit(np.concatenate(found))
    others = unit((embeddings.sum(axis=0) - embeddings) / (len(embeddings) - 1))
    threshold = float(np.quantile(likeness((embeddings * others).sum(axis=1)), _LOST))
    known = References(embeddings, item.id, spec, _revision(backbone), threshold)
    told = {
        "format": FORMAT,
        "concept": item.id,
        "network": spec,
        "revision": known.revision,
        "threshold": repr(threshold),
    }
    try:
        with beside(out) as part:
            part.write_bytes(sorted_header(save({"embeddings": embeddings.astype(np.float32)}, told)))
    except OSError as error:
        raise OutputError(f"{out}: cannot be written ({error}). Check the folder.") from error
    return known


def _revision(backbone: Backbone) -> str:
    """The same weights that get their images otherwise give other embeddings."""
    return f"{backbone.info.revision}, {backbone.info.preparation}"
