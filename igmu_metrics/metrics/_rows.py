"""Code that the metrics share: the prompt of each generation, cautions, renamed arguments."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt

from igmu_data.errors import InputError
from igmu_data.numerals import counted
from igmu_data.schema import ASIDE
from igmu_metrics.contract import IMAGE, UNIT, Estimate, Setting
from igmu_metrics.statistics import validation

Column = Sequence[Any] | npt.NDArray[Any]
_LISTS = ("Sequence", "Collection", "Column", "ArrayLike")
_FORMER = "former_names"  # attribute of a function with renamed arguments
_NAMED = 8  # maximum number of labels that a reason lists
_P = ParamSpec("_P")
_T = TypeVar("_T")


def renamed(**names: str) -> Callable[[Callable[_P, _T]], Callable[_P, _T]]:
    """Let a function accept arguments under their former names, with a warning.

    Args:
        **names: the new name of each old one.
    """

    def decorate(function: Callable[_P, _T]) -> Callable[_P, _T]:
        @functools.wraps(function)
        def accepting(*args: _P.args, **given: _P.kwargs) -> _T:
            return function(*args, **present_names(accepting, given, stacklevel=3))

        vars(accepting)[_FORMER] = names
        return accepting

    return decorate


def taking_lists(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Let a function that takes lists, with one entry per generation, accept anything that has an order and a length.

    Everything else (a string, a set, an iterator) is refused: it would be read as a list of characters, or values would
    be paired with the wrong generations.
    """

    @functools.wraps(function)
    def taking(*args: _P.args, **given: _P.kwargs) -> _T:
        return function(*args, **as_lists(function, given))

    return taking


def as_lists(function: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a function, with `validation.as_list` applied to those that its annotations declare as lists.

    Raises:
        InputError: such an argument is not list-like.
    """
    out = dict(given)
    for name, parameter in inspect.signature(function).parameters.items():
        told = str(parameter.annotation)
        if name in out and (told == "Any" or any(kind in told for kind in _LISTS)):
            out[name] = validation.as_list(name, out[name], ordered="Collection" not in told)
    return out


def present_names(function: Any, given: Mapping[str, Any], *, stacklevel: int = 2) -> dict[str, Any]:
    """Arguments of a function that was `renamed`, under their current names.

    Args:
        function: the function.
        given: arguments by former or current name.
        stacklevel: stack level of the warnings.

    Raises:
        InputError: an argument is given under both names.
    """
    out = dict(given)
    for old, new in getattr(function, _FORMER, {}).items():
        if old in out:
            if new in out:
                raise InputError(
                    f"{old} and {new} are both given, but {old} is the former name of {new}. Pass only {new}."
                )
            warnings.warn(f"{old} is now called {new}", FutureWarning, stacklevel=stacklevel)
            out[new] = out.pop(old)
    return out


def prompts(n: int, ids: Column | None, seeds: Column | None, *, prefix: str = "") -> npt.NDArray[np.str_]:
    """(n,) prompt of each generation; without ids, every generation counts as a separate prompt.

    Args:
        n: number of generations.
        ids: (n,) prompt ids.
        seeds: (n,) seeds; together with ids they identify generations, so that duplicates are refused.
        prefix: prefix of the two arguments' names in messages.

    Raises:
        LengthMismatchError: not one entry per generation.
        DuplicateIdError: the same prompt and seed twice.
        InputError: seeds without ids.
    """
    id_name, seed_name = f"{prefix}ids", f"{prefix}seeds"
    validation.same_length(**{"generations": range(n), id_name: ids, seed_name: seeds})
    if ids is None:
        if seeds is not None:
            raise InputError(
                f"{seed_name} are given without {id_name}, but a seed is unique only within its prompt. Pass both."
            )
        return np.arange(n).astype(np.str_)
    names = validation.texts(id_name, ids)
    if seeds is not None:
        validation.unique_keys(**{id_name: names, seed_name: validation.whole_numbers(seed_name, seeds)})
    return names


def with_caution(estimate: Estimate, caution: str) -> Estimate:
    """The estimate with a caution before its reason."""
    return replace(estimate, reason="; ".join(filter(None, (caution, estimate.reason))))


def unjudged(asked: Iterable[str], judged: Collection[str]) -> str:
    """How many of the requested labels have no judged generation, and which; "" if all have one.

    Otherwise a detector that cannot judge most near labels would make it look as if nothing were lost.

    >>> unjudged(["object/mosque", "object/castle"], {"object/castle"})
    'no image was judged for 1 of 2 labels: object/mosque'
    """
    labels = sorted(set(asked))
    lost = [label for label in labels if label not in judged]
    if not lost:
        return ""
    more = f" and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
    return f"no image was judged for {len(lost)} of {counted(len(labels), 'label')}: {', '.join(lost[:_NAMED])}{more}"


def require_apart(probes: Sequence[str | None], *, alone: bool) -> None:
    """Refuse a mixture of other generations with those of separately counted probes (`igmu_data.schema.ASIDE`).

    Args:
        probes: (n,) probe of each generation.
        alone: whether generations of a single such probe are allowed.

    Raises:
        InputError: there is such a generation; the message names the first.
    """
    known = set(probes)
    if alone and len(known) == 1:
        return
    if found := known & set(ASIDE):
        at = next(at for at, probe in enumerate(probes) if probe in found)
        what = "Score these generations separately" if alone else "Leave these generations out"
        raise InputError(f"probes[{at}] is {probes[at]!r}, which is counted separately. {what}.")


def unit(*ids: Any) -> dict[str, Setting | None]:
    """The fact of a table that records whether every image was counted as a prompt because ids are missing."""
    return {UNIT: IMAGE if any(i is None for i in ids) else None}
