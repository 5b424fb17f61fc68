"""Baselines that a method must beat: changes that work on any model without training.

`filter:BASE` removes the concept's names from the prompt, `negative-prompt:BASE` uses the concept's name as negative
prompt, and `safety-checker:BASE` runs the base with the checker published with it and counts the images that it
blackens as refused, never as forgotten.

Conventions: a baseline knows only the concept file. A prompt that disguises the name passes the filter.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Final

from igmu_data.errors import InputError, OutOfRangeError, WeightsError
from igmu_data.stripping import strip_concept
from igmu_data.taxonomy import concept

FILTER: Final = "filter"
NEGATIVE: Final = "negative-prompt"
CHECKER: Final = "safety-checker"
NAMES: Final = (FILTER, NEGATIVE, CHECKER)


def parse(spec: str) -> tuple[str | None, str]:
    """The baseline at the beginning of a model's text, or None, and the rest.

    >>> parse("filter:owner/model"), parse("owner/model")
    (('filter', 'owner/model'), (None, 'owner/model'))
    """
    name, colon, rest = spec.partition(":")
    return (name, rest) if colon and name in NAMES else (None, spec)


def needs(name: str, target: str | None) -> list[str]:
    """The words that a baseline uses: the concept's names, English and other; they are part of its revision.

    Raises:
        InputError: the baseline needs a concept, but none is given.
    """
    if name == CHECKER:
        return []
    if target is None:
        raise InputError(f"{name} requires a single concept. Use the config of one concept, such as object.church.")
    item = concept(target)
    return [item.label] if name == NEGATIVE else [*item.names, *item.foreign_names.values()]


def require_possible(name: str, kind: type, *, checker: bool, distilled: bool = False) -> None:
    """Refuse a baseline that a class of pipelines cannot have; nothing is loaded to know it.

    Args:
        name: one of NAMES.
        kind: the class.
        checker: whether the model is published with a safety checker.
        distilled: whether the network takes guidance as an input, and so runs without classifier-free guidance.

    Raises:
        WeightsError: a pipeline without a safety checker, or that reads no negative prompt.
    """
    if name == CHECKER and not checker:
        raise WeightsError(
            f"{name}: this {kind.__name__} is published without a safety checker. Choose another base model."
        )
    if name == NEGATIVE:
        takes = inspect.signature(kind.__call__).parameters
        if "negative_prompt" not in takes:
            raise WeightsError(f"{name}: {kind.__name__} does not support negative prompts. Choose another base model.")
        # 1 unless it is given: FLUX would generate what it generates without
        if "true_cfg_scale" in takes or distilled:
            raise WeightsError(
                f"{name}: {kind.__name__} ignores negative prompts at its default guidance scale. Choose another base "
                "model."
            )


def require_read(name: str, guidances: Iterable[float | None]) -> None:
    """Refuse guidance at which a baseline changes nothing.

    Args:
        name: one of NAMES.
        guidances: that images are generated with; None is a pipeline's own.

    Raises:
        OutOfRangeError: names the guidance.
    """
    for guidance in guidances if name == NEGATIVE else ():
        if guidance is not None and guidance <= 1:
            raise OutOfRangeError(
                f"{NEGATIVE}: negative prompts have no effect at a guidance scale of {guidance:g}. Use a guidance "
                "scale above 1."
            )


def around(pipe: Any, name: str, words: Sequence[str]) -> Any:
    """The pipeline with the baseline around it.

    Raises:
        WeightsError: the pipeline has no safety checker, or does not support negative prompts.
    """
    require_possible(name, type(pipe), checker=getattr(pipe, "safety_checker", None) is not None)
    if name == CHECKER:
        return pipe
    if name == NEGATIVE:
        return partial(_suppressed, pipe, words[0])
    return partial(_filtered, pipe, words)


def _filtered(pipe: Any, words: Sequence[str], *, prompt: Sequence[str], **given: Any) -> Any:
    """What a pipeline generates without the words."""
    return pipe(prompt=[strip_concept(p, words) for p in prompt], **given)


def _suppressed(pipe: Any, word: str, *, prompt: Sequence[str], **given: Any) -> Any:
    """What a pipeline generates with a negative prompt, unless it would read none."""
    require_read(NEGATIVE, [given.get("guidance_scale")])
    return pipe(prompt=prompt, negative_prompt=[word] * len(prompt), **given)
