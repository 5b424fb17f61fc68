"""What anybody can do to any model without training it: the baselines that a method has to beat.

`filter:BASE` takes the concept's names out of the prompt, `negative-prompt:BASE` gives the concept's name as negative
prompt, `safety-checker:BASE` runs the base with the checker that is published with it and counts what it blackens as
refused, never as forgotten.

Conventions: a baseline knows the concept file and nothing else. A prompt that disguises the name passes the filter.
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
    """The baseline that a model's text begins with, or None, and the rest.

    >>> parse("filter:owner/model"), parse("owner/model")
    (('filter', 'owner/model'), (None, 'owner/model'))
    """
    name, colon, rest = spec.partition(":")
    return (name, rest) if colon and name in NAMES else (None, spec)


def needs(name: str, target: str | None) -> list[str]:
    """The words that a baseline works with: the concept's names, English and other; for its revision, too.

    Raises:
        InputError: a baseline that needs one concept, and none is given.
    """
    if name == CHECKER:
        return []
    if target is None:
        raise InputError(f"{name}: needs one concept; give a config of one, as object.church.")
    item = concept(target)
    return [item.label] if name == NEGATIVE else [*item.names, *item.foreign_names.values()]


def around(pipe: Any, name: str, words: Sequence[str]) -> Any:
    """The pipeline as the baseline calls it.

    Raises:
        WeightsError: a pipeline without a safety checker, or that reads no negative prompt.
    """
    if name == CHECKER:
        if getattr(pipe, "safety_checker", None) is None:
            raise WeightsError(f"{name}: this {type(pipe).__name__} is published without a safety checker.")
        return pipe
    if name == NEGATIVE:
        takes = inspect.signature(type(pipe).__call__).parameters
        if "negative_prompt" not in takes:
            raise WeightsError(f"{name}: {type(pipe).__name__} takes no negative prompt.")
        if "true_cfg_scale" in takes:  # 1 unless it is given: FLUX would generate what it generates without
            raise WeightsError(f"{name}: {type(pipe).__name__} reads no negative prompt at its own guidance.")
        return partial(_suppressed, pipe, words[0])
    return lambda *, prompt, **given: pipe(prompt=[strip_concept(p, words) for p in prompt], **given)


def _suppressed(pipe: Any, word: str, *, prompt: Sequence[str], **given: Any) -> Any:
    """What a pipeline generates with a negative prompt, unless it would read none."""
    guidance = given.get("guidance_scale")
    if guidance is not None and guidance <= 1:
        raise OutOfRangeError(f"{NEGATIVE}: at guidance {guidance:g} no negative prompt is read; it has to be above 1.")
    return pipe(prompt=prompt, negative_prompt=[word] * len(prompt), **given)
