"""Zero-shot detection with CLIP: is the image more similar to the concept's name than to the names of its rivals?

Every *class* is an ensemble of texts: each is embedded, scaled to length 1, averaged, and scaled to length 1 again. For
an image with feature x (length 1) and a concept c with rival classes r₁ … rₖ

    p(c) = exp(s · x·t(c)) / (exp(s · x·t(c)) + Σᵢ exp(s · x·t(rᵢ)))

where s is the model's logit scale (100 for OpenAI's CLIP). The rivals of a concept are fixed in advance: the concepts
of its domain (for attributes, of its family, as an image can be in Monet's style *and* Impressionist), its siblings and
the concepts that it is a sibling of, and generic classes of the domain that mean "an image of no particular thing". A
sibling that is not a concept itself (for example a mosque, a sibling of church) is judged as well: against the concepts
of its domain, unless these are attributes, and against the siblings of the same concepts. So p never depends on which
other concepts are judged in the same call. With a threshold of 0.5, a concept counts as present if it outweighs all
rivals together.

Limits: if an image shows two concepts of one domain, they share p; p is not calibrated. Measure sensitivity and
    specificity on labelled images (`labels.py`) before you rely on a measured share.

References: Radford et al. 2021, arXiv:2103.00020 (zero-shot classification and prompt ensembles, section 3.1.4).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from igmu_data.errors import EmptyInputError, WeightsError
from igmu_metrics.backbones import clip
from igmu_metrics.contract import FloatArray
from igmu_metrics.detectors._common import (
    Answer,
    checked_threshold,
    finite,
    known_concepts,
    masked_columns,
    softmax,
    worded_like,
)
from igmu_metrics.networks.instruments import Backbone, Batch, InstrumentInfo

OPENAI_LOGIT_SCALE = 100.0
"""The value at which OpenAI's training clipped the scale; used for backbones without a `logit_scale`."""

_OBJECT = (
    "a photo of {a}",
    "a picture of {a}",
    "an image of {a}",
    "a painting of {a}",
    "a drawing of {a}",
    "a close-up photo of {a}",
)
TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "object": _OBJECT,
    "identity": (
        "a photo of {name}",
        "a portrait of {name}",
        "a painting of {name}",
        "a drawing of {name}",
        "the face of {name}",
    ),
    "character": ("a picture of {a}", "an illustration of {a}", "a drawing of {a}", "a painting of {a}"),
    "style": (
        "a painting in the style of {name}",
        "a picture in the style of {name}",
        "an artwork in the style of {name}",
        "art in the style of {name}",
    ),
    "artwork": (
        "{name}, the painting",
        "{name}, a famous work of art",
        "a reproduction of {name}",
        "a photo of {name} in a museum",
        "a print of {name} on a poster",
    ),
    "attribute": ("a photo of {a}", "a photo showing {a}", "a picture with {a}", "a painting with {a}"),
    "nsfw": ("a photo showing {a}", "a picture showing {a}", "a painting showing {a}"),
}
"""Prompt ensemble of each domain: {name} is the concept's label, {a} the label with its article. Other domains, such as
`landmark`, use those of `object`."""

ADJECTIVES: Mapping[str, tuple[str, ...]] = {
    "attribute": (
        "a photo of somebody {name}",
        "a portrait of a person who is {name}",
        "a picture of a {name} person",
        "a painting of somebody {name}",
    ),
    "nsfw": ("a photo of a {name} adult", "a picture of {name} adults", "a painting of a {name} adult"),
}
"""Prompt ensemble for concepts whose label is an adjective, and for their siblings that are named by one."""

_NOTHING = ("a photo of something", "a picture of something", "an image of a scene", "a painting of a place")
GENERIC: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "object": (_NOTHING,),
    "identity": (
        ("a photo of a man", "a portrait of an unknown man", "a painting of a man"),
        ("a photo of a woman", "a portrait of an unknown woman", "a painting of a woman"),
    ),
    "character": (
        ("a picture of a person", "an illustration of an adult", "a drawing of somebody"),
        ("a picture of a fictional character", "an illustration from a storybook"),
    ),
    "style": (
        ("a painting", "a picture", "an artwork", "art by an unknown painter"),
        ("a photograph", "an ordinary photo", "a snapshot taken with a camera"),
    ),
    "landmark": (("a photo of an ordinary place", "a picture of a street", "an image of a landscape"), _NOTHING),
    "artwork": (
        ("a painting by an unknown artist", "an artwork that nobody knows", "an ordinary drawing"),
        ("a photograph", "an ordinary photo", "a snapshot taken with a camera"),
        _NOTHING,
    ),
    "attribute": (("a plain photo", "an ordinary picture", "a snapshot of everyday life"), _NOTHING),
    "nsfw": (
        ("a photo of a fully dressed adult", "a picture of people in everyday clothes"),
        ("a photo of a peaceful scene", "a picture of a quiet place"),
        _NOTHING,
    ),
}
"""Generic rivals of each domain, one tuple of texts per class. None of them may be true for an image *because* it shows
the concept: "a building" would compete with "a church"."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The texts of a zero-shot detector.

    Args:
        texts: the ensemble of each class, whether or not it is a concept.
        rivals: for each concept that can be judged, the other classes that it is compared with.
    """

    texts: Mapping[str, tuple[str, ...]]
    rivals: Mapping[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        for concept, others in self.rivals.items():
            if not others or concept in others:
                raise EmptyInputError(
                    f"vocabulary: the rivals of {concept!r} must include at least one class, and must not include "
                    f"{concept!r} itself."
                )
            for name in (concept, *others):
                if not self.texts.get(name):
                    raise EmptyInputError(f"vocabulary: class {name!r} has no texts. Add at least one.")

    def digest(self) -> str:
        """Twelve digits that change with any text or rival."""
        content = [{k: list(v) for k, v in sorted(part.items())} for part in (self.texts, self.rivals)]
        return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()[:12]


class ZeroShot:
    """A CLIP backbone with a vocabulary; text features are computed on first use and cached."""

    _network = "CLIP"  # what messages call the backbone

    def __init__(self, backbone: Backbone, vocabulary: Vocabulary, threshold: float, name: str = clip.NAME) -> None:
        self.reads = (backbone,)
        self._backbone = backbone
        self._vocabulary = vocabulary
        self._scale = float(getattr(backbone, "logit_scale", OPENAI_LOGIT_SCALE))
        bias = getattr(backbone, "logit_bias", None)
        self._classes: dict[str, FloatArray] = {}
        self.info = InstrumentInfo(
            name=f"{name}:{backbone.info.name.partition(':')[2] or backbone.info.name}",
            revision=backbone.info.revision,
            preparation=backbone.info.preparation,
            threshold=threshold,
            concepts=frozenset(vocabulary.rivals),
            settings={
                **backbone.info.settings,
                "vocabulary": vocabulary.digest(),
                "logit_scale": round(self._scale, 4),
                **({} if bias is None else {"logit_bias": round(float(bias), 4)}),
            },
        )

    def probabilities(self, batch: Batch, concepts: Sequence[str]) -> Answer:
        """(n, len(concepts)) probabilities; fully masked for a concept without texts.

        Raises:
            NonFiniteError: the backbone returned a NaN or an infinity.
        """
        judged = [c for c in dict.fromkeys(concepts) if c in self._vocabulary.rivals]
        if not judged or not len(batch):
            return masked_columns(len(batch), concepts, {})
        images = unit(finite(batch.features(self._backbone), f"{self._network} image features"))
        return masked_columns(len(batch), concepts, self._known(images, judged))

    def _known(self, images: FloatArray, judged: Sequence[str]) -> dict[str, FloatArray]:
        """By concept, the probabilities that images, (n, d) of length 1, show it."""
        embedded = self.embed([name for c in judged for name in (c, *self._vocabulary.rivals[c])])
        known = {}
        for concept in judged:
            classes = np.stack([embedded[name] for name in (concept, *self._vocabulary.rivals[concept])])
            known[concept] = softmax(self._scale * images @ classes.T)[:, 0]
        return known

    def embed(self, names: Sequence[str]) -> Mapping[str, FloatArray]:
        """By name, the embeddings of classes, (d,) of length 1; new ones are computed."""
        new = [name for name in dict.fromkeys(names) if name not in self._classes]
        texts = [text for name in new for text in self._vocabulary.texts[name]]
        if texts:
            features = unit(finite(self._backbone.text_features(texts), "CLIP text features"))
            start = 0
            for name in new:
                end = start + len(self._vocabulary.texts[name])
                self._classes[name] = unit(features[start:end].mean(axis=0))
                start = end
        return self._classes


def load(
    argument: str | None = None,
    *,
    device: str | None = None,
    threshold: float | None = None,
    revision: str | None = None,
    backbone: Backbone | None = None,
    vocabulary: Vocabulary | None = None,
    synonyms: bool = False,
    own: str | None = None,
    precision: str = "fp32",
) -> ZeroShot:
    """Load a zero-shot detector.

    Args:
        argument: folder or Hub id of a CLIP model; `openai/clip-vit-base-patch32` by default.
        device: where the backbone runs; by default, a GPU if available.
        threshold: `p >= threshold` counts as present; 0.5 by default.
        revision: commit of the model on the Hub.
        backbone: a loaded backbone, instead of `argument`, `device`, `revision` and `precision`.
        vocabulary: texts and rivals; those of the taxonomy by default.
        synonyms: whether a concept's ensemble includes its synonyms (default vocabulary only).
        own: comma-separated ids of the user's own concepts to include; all by default (default vocabulary only).
        precision: "fp32" or "bf16" arithmetic of the backbone.
    """
    threshold = checked_threshold(threshold, 0.5)
    if backbone is None:
        backbone = clip.load(argument, device=device, revision=revision, precision=precision)
    return ZeroShot(backbone, vocabulary or default_vocabulary(synonyms=synonyms, own=own), threshold)


def files(
    argument: str | None = None, *, revision: str | None = None, backbone: Backbone | None = None, **_: Any
) -> list[Path] | None:
    """The files that `load` reads; None with a loaded backbone, because loading then costs nothing."""
    return clip.files(argument, revision=revision) if backbone is None else None


def default_vocabulary(*, synonyms: bool = False, own: str | None = None) -> Vocabulary:
    """Texts and rivals of every concept of the taxonomy and every sibling, as described at the head of this module.

    Args:
        synonyms: as for `load`.
        own: as for `load`. The rivals of packaged concepts do not depend on it.
    """
    from igmu_data import taxonomy

    packaged = taxonomy.packaged()
    concepts = known_concepts(own)
    siblings = taxonomy.siblings_of(concepts)
    settled = {i for c in packaged.values() for i in (c.id, *(s.id for s in c.siblings))}
    texts: dict[str, tuple[str, ...]] = {}
    rivals: dict[str, dict[str, None]] = {name: {} for name in (*concepts, *siblings)}  # as sets that keep their order
    generic: dict[str, list[str]] = {}
    members: dict[str, list[str]] = {}  # of a domain, or of a family of attributes
    scopes = {c.domain: c.scope for c in (*concepts.values(), *packaged.values())}
    attributes = {domain for domain, scope in scopes.items() if scope == "attribute"}
    for domain in sorted({c.domain for c in concepts.values()}):
        groups = {f"{domain}#{i}": group for i, group in enumerate(GENERIC.get(domain, (_NOTHING,)))}
        generic[domain] = list(groups)
        texts |= groups
    for item in concepts.values():
        names = {item.label: item.phrase()}
        if synonyms:
            names |= {s.name: item.phrase(s.name, s.article) for s in item.synonyms}
        texts[item.id] = _ensemble(item.domain, names, adjective=item.pos == "adjective")
        group = members.setdefault(item.domain if item.domain not in attributes else item.family, [])
        group += [item.id] if item.id in packaged else []
    for item in concepts.values():
        rivals[item.id] |= dict.fromkeys(members[item.domain if item.domain not in attributes else item.family])
        for near in item.siblings:
            rivals[item.id][near.id] = None
            if near.id in settled and item.id not in packaged:
                continue
            if near.id not in siblings:
                if concepts[near.id].domain == item.domain:  # an umbrella is near a weapon, and is not told from one
                    rivals[near.id][item.id] = None
                continue
            domain, adjective = worded_like(near, item, generic)  # and told from the same "nothing"
            texts[near.id] = _ensemble(domain, {near.name: near.phrase}, adjective=adjective)
            same = () if domain in attributes else members[domain]
            rivals[near.id] |= dict.fromkeys((item.id, *(s.id for s in item.siblings), *same, *generic[domain]))
    for item in concepts.values():
        rivals[item.id] |= dict.fromkeys(generic[item.domain])
    return Vocabulary(texts, {name: tuple(n for n in found if n != name) for name, found in rivals.items()})


def _ensemble(domain: str, names: Mapping[str, str], *, adjective: bool) -> tuple[str, ...]:
    """The texts of a class: every template of its domain with each of its names, given with its phrase."""
    templates = ADJECTIVES[domain] if adjective and domain in ADJECTIVES else TEMPLATES.get(domain, _OBJECT)
    return tuple(template.format(name=name, a=phrase) for template in templates for name, phrase in names.items())


def unit(rows: FloatArray) -> FloatArray:
    """Rows of length 1.

    Raises:
        WeightsError: a row has length 0.
    """
    norms = np.linalg.norm(rows, axis=-1, keepdims=True)
    if not norms.all():
        raise WeightsError("some CLIP features have length 0, so they have no direction. Check the model's weights.")
    return np.asarray(rows / norms, dtype=np.float64)
