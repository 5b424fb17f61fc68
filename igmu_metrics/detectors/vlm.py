"""Any image-text-to-text model of the transformers library, prompted with a question: does this image show a church?

`vlm:FOLDER` or `vlm:ID` (`ID@commit` pins it; without a commit, the current one on the Hub is used and signed). The
model is asked the question of each image's own concept (`_questions.py`), or the questions of a general prompt.

    p = Σ exp(l(y)) / (Σ exp(l(y)) + Σ exp(l(n)))

where l are the logits of the answer's first token, y are the spellings of yes ("Yes" and "yes", each with and without a
preceding space), and n are the spellings of no. A spelling counts only if both words, spelled in this way, are single
tokens of the model's
tokenizer: if "Yes" were a token but "No" were not, a model that capitalizes its answers would always seem to answer
yes. Other first tokens do not count.

Image tokens, chat template and special tokens come from the processor. A template that asks for the date always gets
the date `TODAY`, so that answers do not change from day to day. If the processor has no chat template, the prompt has
the form on which the model was trained (`PROMPTS`); if this form is not known either, the model is refused.

Only inputs of equal length are processed in the same call, so that no input is padded, and all calls have the same
size, so that an answer depends only on the image and the question, to the last bit.

Limits: p is not calibrated, and 0.5 is an arbitrary threshold until it is measured on labelled images. A model that
reasons before it answers would not begin with yes or no. Small models tend to answer yes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from igmu_data.errors import UnsupportedError, WeightsError
from igmu_metrics.contract import FloatArray, batches, one_line
from igmu_metrics.detectors import _questions
from igmu_metrics.detectors._common import Answer, checked_threshold, finite, masked_columns, softmax
from igmu_metrics.networks.extraction import filled, fitting, preparation_key
from igmu_metrics.networks.instruments import Batch, InstrumentInfo
from igmu_metrics.networks.loading import (
    Source,
    find_model,
    from_safetensors,
    model_files,
    pick_device,
    pick_dtype,
    rgb,
)

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

CHAT: Final = "{question} Answer yes or no."
"""The user's message in a chat."""
PROMPTS: Final[Mapping[str, str]] = {
    "paligemma": "{image}answer en {question}",  # both from their papers' visual question answering
    "blip-2": "Question: {question} Answer:",
}
"""By type of model, what those without a chat template are asked; {image} is the processor's image token."""
TODAY: Final = "2025-01-01"
"""What a chat template is told of the date, in whatever form it asks."""
_SAMPLE: Final = "Is this seen?"
_CLOCK: Final = f"{{% macro strftime_now(format) %}}{TODAY}{{% endmacro %}}"
_SPELLINGS: Final = ("{0}", " {0}")
_ON_ACCELERATOR: Final = 8  # images a call on a GPU; a CPU gains nothing from more than one


class Vlm:
    """A loaded model that answers questions.

    Args:
        info: its description; its concepts are those of `asked`.
        model: in eval mode.
        processor: of the model.
        asked: question for each concept.
        prompt: for a model without a chat template; "" for a chat.
        tokens: ids of the tokens that mean yes, and of those that mean no.
    """

    def __init__(
        self,
        info: InstrumentInfo,
        model: Any,
        processor: Any,
        asked: Mapping[str, str],
        prompt: str,
        tokens: tuple[Sequence[int], Sequence[int]],
    ) -> None:
        self.info = info
        self.batch = 1 if model.device.type == "cpu" else _ON_ACCELERATOR
        self._model, self._processor, self._asked, self._prompt, self._tokens = model, processor, asked, prompt, tokens
        self._how = _greedy(model)

    def probabilities(self, batch: Batch, concepts: Sequence[str]) -> Answer:
        """(n, len(concepts)) probabilities of yes; fully masked for a concept without a question.

        Raises:
            NonFiniteError: the model returned a NaN or an infinity.
        """
        known = {c: self.answers(batch, [c] * len(batch)) for c in dict.fromkeys(concepts) if self._question(c)}
        return masked_columns(len(batch), concepts, known)

    def answers(self, batch: Batch, concepts: Sequence[str]) -> Answer:
        """(n,) probabilities of yes to the question about each image's own concept.

        Args:
            batch: images.
            concepts: (n,) concepts, or questions that end with a question mark.
        """
        at = [i for i, concept in enumerate(concepts) if self._question(concept)]
        found = self.yes([batch.images[i] for i in at], [self._question(concepts[i]) for i in at])
        out = np.ma.MaskedArray(np.zeros(len(concepts)), mask=True)
        if at:
            out[at] = found
        return out

    def yes(self, images: Sequence[Image], questions: Sequence[str]) -> FloatArray:
        """(n,) probabilities of yes to one question about each RGB image."""
        import torch

        out = np.zeros(len(images))
        groups: dict[str, list[tuple[int, Any]]] = {}
        for i, (image, question) in enumerate(zip(images, questions, strict=True)):
            inputs = self._given(rgb(image), question)
            groups.setdefault(str([(k, tuple(v.shape)) for k, v in inputs.items()]), []).append((i, inputs))
        yes, no = self._tokens
        with torch.inference_mode():
            for some in (part for group in groups.values() for part in batches(group, self.batch)):
                together = [inputs for _, inputs in filled(some, self.batch)]
                joined = {name: torch.cat([one[name] for one in together]) for name in together[0]}
                with fitting(self.info.name):
                    logits = self._model.generate(**self._placed(joined), generation_config=self._how).logits[0]
                    both = logits[: len(some), [*yes, *no]].double().cpu().numpy()
                shares = softmax(finite(both, f"{self.info.name} logits"))[:, : len(yes)].sum(axis=1)
                out[[i for i, _ in some]] = np.minimum(shares, 1.0)  # rounded shares can add up to 1 + 2e-16
        return out

    def _question(self, concept: str) -> str:
        return concept if concept.endswith("?") else self._asked.get(concept, "")

    def _given(self, image: Image, question: str) -> dict[str, torch.Tensor]:
        """What the model is given of one image; what its processor cannot take is named."""
        try:
            return self._inputs(image, question)
        except (ValueError, TypeError, RuntimeError, IndexError, ZeroDivisionError) as error:
            raise UnsupportedError(
                f"{self.info.name}: its processor cannot prepare an image of {image.width}x{image.height} with "
                f"{question!r} ({one_line(error)}). Use images of a different size, or another model."
            ) from error

    def _inputs(self, image: Image, question: str) -> dict[str, torch.Tensor]:
        if self._prompt:
            token = getattr(self._processor, "image_token", "")
            text = self._prompt.format(image=token, question=question)
            found = self._processor(images=[image], text=[text], return_tensors="pt")
        else:
            found = self._processor.apply_chat_template(
                _chat(image, question),
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
            )
        return {name: values for name, values in found.items() if name != "labels"}

    def _placed(self, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        device, dtype = self._model.device, self._model.dtype
        return {k: v.to(device, dtype if v.is_floating_point() else None) for k, v in inputs.items()}


def load(
    argument: str | None,
    *,
    device: str | None = None,
    threshold: float | None = None,
    revision: str | None = None,
    own: str | None = None,
    precision: str = "fp32",
) -> Vlm:
    """Load a model, from safetensors and without code of its own.

    Args:
        argument: folder or Hub id.
        device: where it runs; by default, a GPU if available.
        threshold: `p >= threshold` counts as present; 0.5 by default.
        revision: commit on the Hub; for a folder the `sha256:…` that it must have.
        own: comma-separated ids of the user's own concepts to include; all by default.
        precision: "fp32" or "bf16" arithmetic.

    Raises:
        WeightsError: no such model, no safetensors, weights missing, no chat template or one that leaves the question
            out, or no tokens for yes and no.
    """
    if not argument:
        raise WeightsError("vlm: no model is specified. Use vlm:FOLDER_OR_ID.")
    from transformers import AutoModelForImageTextToText

    threshold = checked_threshold(threshold, 0.5)
    dtype = pick_dtype(precision)
    source = find_model(argument, "", revision, {})
    try:
        model, missing = from_safetensors(AutoModelForImageTextToText, source, dtype=dtype)
        processor = _processor(source)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise WeightsError(
            f"{source.name}: transformers cannot load this model as an image-text-to-text model ({error})."
        ) from error
    if missing:
        raise WeightsError(
            f"{source.name} is missing weights, for example {missing[0]!r} ({len(missing)} in total). Download it "
            "again."
        )
    prompt = "" if processor.chat_template else PROMPTS.get(model.config.model_type, "")
    if not prompt and not processor.chat_template:
        raise WeightsError(
            f"{source.name}: its processor has no chat template, and igmu has no prompt for models of type "
            f"{model.config.model_type!r} (only for {', '.join(PROMPTS)}). Use a model that was tuned for chat."
        )
    yes, no = answer_tokens(processor.tokenizer, source.name)
    asked = _questions.questions(own)
    images = processor.image_processor
    info = InstrumentInfo(
        name=f"vlm:{source.name}",
        revision=source.revision,
        preparation=preparation_key(type(images).__name__, images.to_dict()),
        threshold=threshold,
        concepts=frozenset(asked),
        settings={
            "precision": precision,
            "questions": _questions.digest(asked),
            "asked": prompt or CHAT,
            "yes": " ".join(processor.tokenizer.convert_ids_to_tokens(yes)),
            "no": " ".join(processor.tokenizer.convert_ids_to_tokens(no)),
        }
        | ({"today": TODAY} if "strftime_now" in str(processor.chat_template).removeprefix(_CLOCK) else {}),
    )
    model = model.eval().requires_grad_(False).to(pick_device(device))
    return Vlm(info, model, processor, asked, prompt, (yes, no))


def files(argument: str | None, *, revision: str | None = None, **_: Any) -> list[Path] | None:
    """The files that `load` reads; None if only the Hub knows them."""
    return model_files(argument, "", revision, {}) if argument else None


def answer_tokens(tokenizer: Any, name: str) -> tuple[list[int], list[int]]:
    """Ids of the tokens that are a spelling of yes, and of those of no, in spellings that it has both words in.

    Raises:
        WeightsError: the tokenizer has no token for one of them, or none in the same spelling.
    """
    found: tuple[dict[int, None], dict[int, None]] = ({}, {})
    for case in (str.capitalize, str.lower):
        for form in _SPELLINGS:
            both = [tokenizer.encode(form.format(case(w)), add_special_tokens=False) for w in ("yes", "no")]
            if all(len(pieces) == 1 and pieces[0] != tokenizer.unk_token_id for pieces in both):
                for known, pieces in zip(found, both, strict=True):
                    known[pieces[0]] = None
    if not found[0]:
        raise WeightsError(
            f"{name}: the tokenizer has no matching single tokens for 'yes' and 'no', so the model's answer cannot be "
            "read from its first token. Use another model."
        )
    return list(found[0]), list(found[1])


def _chat(image: Image | None, question: str) -> list[dict[str, Any]]:
    """What a user says to a model that was tuned to chat; without an image, where one would stand."""
    shown = {"type": "image"} if image is None else {"type": "image", "image": image}
    return [{"role": "user", "content": [shown, {"type": "text", "text": CHAT.format(question=question)}]}]


def _processor(source: Source) -> Any:
    """The model's own processor; its image processor with PIL behind it, if there is one (`load_image_processor`).

    Raises:
        WeightsError: its chat template leaves out what is asked, so that every answer would be the same.
    """
    from transformers import AutoImageProcessor, AutoProcessor

    given: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    processor = AutoProcessor.from_pretrained(source.folder, **given)
    processor.image_processor = AutoImageProcessor.from_pretrained(source.folder, backend="pil", **given)
    if isinstance(processor.chat_template, str):
        processor.chat_template = f"{_CLOCK}{processor.chat_template}"
        said = processor.apply_chat_template(_chat(None, _SAMPLE), add_generation_prompt=True, tokenize=False)
        if _SAMPLE not in said:
            raise WeightsError(f"{source.name}: its chat template leaves out the question. Use the published template.")
    return processor


def _greedy(model: Any) -> Any:
    """One token, and its raw logits; which tokens begin, end and fill a text are the model's."""
    from transformers import GenerationConfig

    own = model.generation_config
    special = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")
    return GenerationConfig(
        **{name: getattr(own, name, None) for name in special},
        max_new_tokens=1,
        do_sample=False,
        num_beams=1,
        output_logits=True,
        return_dict_in_generate=True,
    )
