"""Baselines that a method must beat: changes that work on any model without training.

`filter:BASE` removes the concept's names from the prompt, `negative-prompt:BASE` uses the concept's name as negative
prompt, and `safety-checker:BASE` runs the base with the checker published with it and counts the images that it
blackens as refused, never as forgotten.

Conventions: a baseline knows only the concept file. A prompt that disguises the name passes the filter.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
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
        raise InputError(f"{name}: needs a single concept. Use the config of one concept, such as object.church.")
    item = concept(target)
    return [item.label] if name == NEGATIVE else [*item.names, *item.foreign_names.values()]


def around(pipe: Any, name: str, words: Sequence[str]) -> Any:
    """The pipeline with the baseline around it.

    Raises:
        WeightsError: the pipeline has no safety checker, or does not support negative prompts.
    """
    if name == CHECKER:
        if getattr(pipe, "safety_checker", None) is None:
            raise WeightsError(f"{name}: this {type(pipe).__name__} has no safety checker. Choose another base.")
        return pipe
    if name == NEGATIVE:
        takes = inspect.signature(type(pipe).__call__).parameters
        if "negative_prompt" not in takes:
            raise WeightsError(f"{name}: {type(pipe).__name__} does not support negative prompts. Choose another base.")
        if "true_cfg_scale" in takes:  # 1 unless it is given: FLUX would generate what it generates without
            raise WeightsError(
                f"{name}: {type(pipe).__name__} ignores negative prompts at its default guidance. Choose another base."
            )
        return partial(_suppressed, pipe, words[0])
    return lambda *, prompt, **given: pipe(prompt=[strip_concept(p, words) for p in prompt], **given)


def _suppressed(pipe: Any, word: str, *, prompt: Sequence[str], **given: Any) -> Any:
    """The output of a pipeline with a negative prompt, unless it would ignore the prompt."""
    guidance = given.get("guidance_scale")
    if guidance is not None and guidance <= 1:
        raise OutOfRangeError(
            f"{NEGATIVE}: negative prompts are ignored at guidance {guidance:g}. Use a guidance scale above 1."
        )
    return pipe(prompt=prompt, negative_prompt=[word] * len(prompt), **given)
