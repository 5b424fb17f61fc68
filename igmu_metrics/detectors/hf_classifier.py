"""Any image classifier of the transformers library, loaded from a folder or the Hub.

`hf-classifier:FOLDER` or `hf-classifier:ID` (`ID@commit` pins a commit). The labels that mean a concept are

- `labels`, if given;
- the concept's ImageNet classes, for a model with the 1,000 labels of ImageNet (matching by name would fail: the class
  `plane` is the tool);
- otherwise labels that equal a concept's label, one of its synonyms or the name of a sibling, ignoring case, `_`, `-`
  and an article; if a label lists several names (`"church, church building"`), each of them counts.

p is the sum of the softmax over a concept's labels. For a multi-label model, it is the highest sigmoid; these are
models with `problem_type: multi_label_classification` or a single output. A concept without a label is masked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from igmu_data.errors import InputError, WeightsError
from igmu_metrics.detectors._common import (
    Answer,
    checked_threshold,
    finite,
    masked_columns,
    sigmoid,
    softmax,
    unusual,
)
from igmu_metrics.networks.extraction import Extracting, Pixels, processor_key
from igmu_metrics.networks.instruments import Batch, InstrumentInfo
from igmu_metrics.networks.loading import (
    find_model,
    from_safetensors,
    load_image_processor,
    model_files,
    pick_device,
    pick_dtype,
)

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

_BATCH = 16


class HfLogits(Extracting):
    """The classifier's raw outputs."""

    def __init__(self, model: Any, processor: Any, info: InstrumentInfo) -> None:
        super().__init__(info, processor_key(processor), model.device, model.dtype, _BATCH)
        self._model, self._processor = model, processor

    def prepare(self, image: Image) -> Pixels:
        """(3, h, w) float32: the model's own resize, crop and scale."""
        return np.asarray(self._processor(images=[image], return_tensors="np")["pixel_values"][0], dtype=np.float32)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(n, labels) logits."""
        logits: torch.Tensor = self._model(pixels).logits
        return logits


class HfClassifier:
    """A loaded classifier with the outputs of each concept."""

    def __init__(
        self, logits: HfLogits, info: InstrumentInfo, outputs: Mapping[str, list[int]], multi_label: bool
    ) -> None:
        self.info = info
        self.reads = (logits,)
        self._outputs = outputs
        self._multi_label = multi_label

    def probabilities(self, batch: Batch, concepts: Sequence[str]) -> Answer:
        """(n, len(concepts)) probabilities; fully masked for a concept without a label."""
        judged = [c for c in concepts if c in self._outputs]
        if not judged or not len(batch):
            return masked_columns(len(batch), concepts, {})
        logits = finite(batch.features(self.reads[0]), f"{self.info.name} logits")
        if self._multi_label:
            each = sigmoid(logits)
            return masked_columns(len(batch), concepts, {c: each[:, self._outputs[c]].max(axis=1) for c in judged})
        each = softmax(logits)
        # Rounded shares can add up to 1 + 2e-16.
        known = {c: np.minimum(each[:, self._outputs[c]].sum(axis=1), 1.0) for c in judged}
        return masked_columns(len(batch), concepts, known)


def load(
    argument: str | None,
    *,
    device: str | None = None,
    threshold: float | None = None,
    revision: str | None = None,
    labels: Mapping[str, Sequence[str]] | None = None,
    precision: str = "fp32",
) -> HfClassifier:
    """Load a classifier, from safetensors and without code of its own.

    Args:
        argument: folder with config.json, preprocessor_config.json and safetensors, or Hub id.
        device: where it runs; by default, a GPU if available.
        threshold: `p >= threshold` counts as present; 0.5 by default.
        revision: commit on the Hub; for a folder the `sha256:…` that it must have.
        labels: the model's labels that mean each concept; by name from the taxonomy by default.
        precision: "fp32" or "bf16" arithmetic.

    Raises:
        WeightsError: the model does not exist, has no safetensors, lacks weights, or has no label for any concept.
        InputError: `labels` names a label that the model does not have.
    """
    if not argument:
        raise WeightsError("hf-classifier: no model is specified. Use hf-classifier:FOLDER_OR_ID.")
    from transformers import AutoModelForImageClassification

    threshold = checked_threshold(threshold, 0.5)
    dtype = pick_dtype(precision)
    source = find_model(argument, "", revision, {})
    try:
        model, missing = from_safetensors(AutoModelForImageClassification, source)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise WeightsError(
            f"{source.name}: transformers cannot load this model as an image classifier ({error})."
        ) from error
    if missing:  # a headless backbone loads as a random classifier
        raise WeightsError(
            f"{source.name} is missing weights, for example {missing[0]!r} ({len(missing)} in total). Use a fine-tuned "
            "model."
        )
    names = {int(index): str(label) for index, label in model.config.id2label.items()}
    outputs = _by_taxonomy(names) if labels is None else _given(names, labels, source.name)
    if not outputs:
        raise WeightsError(
            f"{source.name}: none of its labels ({', '.join(list(names.values())[:8])} …) is the name of a concept. "
            "Pass labels={'domain/slug': ['its label']}."
        )
    multi_label = len(names) == 1 or model.config.problem_type == "multi_label_classification"
    try:
        processor, preparation = load_image_processor(source)
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"{source.name} has no usable preprocessor_config.json ({error}). Copy one into its folder."
        ) from error
    info = InstrumentInfo(
        name=f"hf-classifier:{source.name}",
        revision=source.revision,
        preparation=preparation,
        threshold=threshold,
        concepts=frozenset(outputs),
        settings={
            **unusual(precision),
            "rule": "max sigmoid" if multi_label else "sum softmax",
            "labels": ";".join(f"{c}={[names[i] for i in o]}" for c, o in sorted(outputs.items())),
        },
    )
    network = InstrumentInfo(f"{info.name}/logits", info.revision, info.preparation, settings={"precision": precision})
    logits = HfLogits(model.eval().to(pick_device(device), dtype), processor, network)
    return HfClassifier(logits, info, outputs, multi_label)


def files(argument: str | None, *, revision: str | None = None, **_: Any) -> list[Path] | None:
    """The files that `load` reads; None if only the Hub knows them."""
    return model_files(argument, "", revision, {}) if argument else None


def _given(names: Mapping[int, str], labels: Mapping[str, Sequence[str]], model: str) -> dict[str, list[int]]:
    index = {label: i for i, label in names.items()}
    for concept, wanted in labels.items():
        unknown = [label for label in wanted if label not in index]
        if unknown or not wanted:
            raise InputError(
                f"labels: {list(wanted)} is not valid for {concept!r}. Choose one or more labels of {model}: "
                f"{', '.join(map(repr, sorted(index)[:20]))}."
            )
    return {concept: sorted({index[label] for label in wanted}) for concept, wanted in labels.items()}


def _by_taxonomy(names: Mapping[int, str]) -> dict[str, list[int]]:
    from igmu_data import taxonomy

    concepts = taxonomy.all_concepts()
    if len(names) == 1000 and names[0].casefold().startswith("tench"):
        return {i: list(concept.imagenet) for i, concept in concepts.items() if concept.imagenet}
    near = {i: (sibling.name,) for i, sibling in taxonomy.siblings().items()}
    return _matched(names, near | {i: concept.names for i, concept in concepts.items()})


def _matched(names: Mapping[int, str], concepts: Mapping[str, Iterable[str]]) -> dict[str, list[int]]:
    """Outputs of each concept that has some.

    >>> _matched({0: "church, church building", 1: "Gas_Pump"}, {"x/church": ["church"], "x/pump": ["gas pump"]})
    {'x/church': [0], 'x/pump': [1]}
    """
    out: dict[str, list[int]] = {}
    for concept, own in concepts.items():
        wanted = {_plain(name) for name in own}
        if found := [i for i, label in names.items() if wanted & {_plain(part) for part in label.split(",")}]:
            out[concept] = found
    return out


def _plain(name: str) -> str:
    words = name.casefold().replace("_", " ").replace("-", " ").split()
    return " ".join(words[1:] if words[:1] in (["a"], ["an"], ["the"]) and words[1:] else words)
