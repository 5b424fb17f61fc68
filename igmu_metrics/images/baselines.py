"""What anybody can do to any model without training it: the baselines that a method has to beat.

`filter:BASE` takes the concept's names out of the prompt, `negative-prompt:BASE` gives the concept's name as negative
prompt, `safety-checker:BASE` runs the base with the checker that is published with it and counts what it blackens as
refused, never as forgotten.

Conventions: a baseline knows the concept file and nothing else. A prompt that disguises the name passes the filter.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, Final

from igmu_data.errors import InputError, WeightsError
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
        WeightsError: a pipeline without negative prompts or without a safety checker.
    """
    if name == CHECKER:
        if getattr(pipe, "safety_checker", None) is None:
            raise WeightsError(f"{name}: this {type(pipe).__name__} is published without a safety checker.")
        return pipe
    if name == NEGATIVE:
        if "negative_prompt" not in inspect.signature(type(pipe).__call__).parameters:
            raise WeightsError(f"{name}: {type(pipe).__name__} takes no negative prompt.")
        return lambda *, prompt, **given: pipe(prompt=prompt, negative_prompt=[words[0]] * len(prompt), **given)
    return lambda *, prompt, **given: pipe(prompt=[strip_concept(p, words) for p in prompt], **given)
