"""Detection of a person by likeness: how similar is an image to photographs of a public figure, according to a
network's features?

`face:FILE`, where `igmu face` made FILE from the user's own licensed photographs: it contains embeddings of length 1,
the concept, and the network that computed them. With x the embedding of an image and m the mean embedding of the
references, both scaled to length 1,

    p = (1 + x·m) / 2

The threshold in FILE is chosen so that a twentieth of the photographs would be below it if each photograph were
compared with the mean of the others. The threshold reflects how the network sees this person, but not how it sees other
people.

Limits: the network sees the whole image. Face recognition networks expect an upright face that fills the image, but
this detector does not search for faces: crop references and images in the same way, or measure the effect on labelled
images. p is not a measured probability.
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
    """The content of a file of references.

    Args:
        embeddings: (n, d) of length 1.
        concept: `identity/slug`.
        network: spec of the backbone.
        revision: of the backbone and its preparation of images.
        threshold: for p.
    """

    embeddings: FloatArray
    concept: str
    network: str
    revision: str
    threshold: float


class Face:
    """References and their network, which judge one concept."""

    def __init__(self, backbone: Backbone, mean: FloatArray, info: InstrumentInfo, concept: str) -> None:
        self.info = info
        self.reads = (backbone,)
        self._mean, self._concept = mean, concept

    def probabilities(self, batch: Batch, concepts: Sequence[str]) -> Answer:
        """(n, len(concepts)) likenesses; fully masked for every concept except that of the references.

        Raises:
            NonFiniteError: the network returned a NaN or an infinity.
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
    """Load references and their network.

    Args:
        argument: file that `igmu face` wrote, with `?network=SPEC` if its network has moved.
        device: where the network runs; by default, a GPU if available.
        threshold: `p >= threshold` counts as present; by default, the threshold in the file.
        precision: "fp32" or "bf16" arithmetic of the network.

    Raises:
        WeightsError: the file does not exist, was not written by `igmu face`, or was made with a different network.
    """
    name, given = split_argument(argument, {"network": ""})
    if not name:
        raise WeightsError(
            "face: no file is specified. Use face:FILE.safetensors. To create such a file from photographs, use 'igmu "
            "face'."
        )
    path = Path(name)
    known = read(path)
    spec = given["network"] or known.network
    backbone = network(spec, device=device, precision=precision)
    if _revision(backbone) != known.revision:
        raise WeightsError(
            f"{path} was made with {known.network} ({known.revision}), not with {spec} ({_revision(backbone)}). "
            f"Specify the network that it was made with, as in face:{path}?network=SPEC."
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
    """The files that `load` reads; None if they are unknown."""
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
        InputError: a different kind.
    """
    kind, _, argument = spec.partition(":")
    if kind not in _NETWORKS:
        kinds = ", ".join(f"{name}:…" for name in _NETWORKS)
        raise InputError(f"network {spec!r} is not supported. Choose one of {kinds}.")
    found: Backbone = _NETWORKS[kind].load(argument or None, device=device, precision=precision)
    return found


def read(path: Path) -> References:
    """The content of a file of references, checked.

    Raises:
        WeightsError: the file does not exist, or was not written by `make`.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            told: dict[str, str] = file.metadata() or {}
            if told.get("format") != FORMAT:
                raise WeightsError(
                    f"{path} was not created by 'igmu face'. Create a reference file with 'igmu face FOLDER'."
                )
            found = np.asarray(file.get_tensor("embeddings"), dtype=np.float64)
        known = References(found, told["concept"], told["network"], told["revision"], float(told["threshold"]))
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise WeightsError(
            f"{path} cannot be read ({one_line(error)}). Create it again with 'igmu face FOLDER'."
        ) from error
    whole = (
        found.ndim == 2 and len(found) >= FEWEST and bool(np.isfinite(found).all()) and bool(found.any(axis=1).all())
    )
    if not whole or not 0 <= known.threshold <= 1:
        raise WeightsError(f"{path} has no valid embeddings or threshold. Create it again with 'igmu face FOLDER'.")
    return known


def make(folder: Path, out: Path, *, concept: str, spec: str, device: str | None = None) -> References:
    """Make a file of references from photographs.

    Args:
        folder: photographs of one adult public figure, without other people.
        out: the `.safetensors` file to write; it contains embeddings, but no images and no file names.
        concept: `identity/slug`, of the taxonomy or of the user's own.
        spec: of the network, as for `network`.
        device: where it runs.

    Raises:
        EmptyInputError: there are too few photographs.
        ImageError: a photograph cannot be read.
        InputError: the folder does not exist, the concept is not in the domain `identity`, or the network is unknown.
        OutputError: `out` cannot be written.
    """
    from safetensors.numpy import save

    item = taxonomy.concept(concept)
    if item.domain != _DOMAIN:
        raise InputError(f"concept {concept!r} is not a person. Choose a concept from the domain {_DOMAIN!r}.")
    if out.suffix != ".safetensors":
        raise OutputError(f"{out}: the file name must end in .safetensors. Choose another --out.")
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder. Specify the folder with the photographs.")
    paths = image_files(folder)
    if len(paths) < FEWEST:
        raise EmptyInputError(
            f"{folder} contains {len(paths)} photographs, but at least {FEWEST} are needed to determine a threshold. "
            "Add photographs."
        )
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
        raise OutputError(f"{out} cannot be written ({error}). Check the folder.") from error
    return known


def _revision(backbone: Backbone) -> str:
    """The same weights that get their images otherwise give other embeddings."""
    return f"{backbone.info.revision}, {backbone.info.preparation}"
