"""Options that have an effect only together with others, or only without them: a given option is never ignored.

An option declares this in its annotation, next to `typer.Option`: `Annotated[str, typer.Option(…), With("chart")]`.
Every command checks its declarations before it runs. What depends on more than the command line (the contents of a
folder, a run file), a command checks itself, and refuses with the same words (`no_effect`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple, get_args

from igmu_data.errors import InputError
from igmu_metrics.cli._common import hints_of

# Options that every command has; they are always in effect.
_OF_ALL: Final = ("plugin", "concepts", "as_json")


class With(NamedTuple):
    """An option that has an effect only if one of some others is given: `chart`, or `engine=ray` for one value."""

    others: Sequence[str]


class Without(NamedTuple):
    """An option that has no effect if one of some others is given."""

    others: Sequence[str]


class Alone(NamedTuple):
    """An option with which no other option or argument has an effect; `why` is said after its name."""

    why: str


def flag(name: str) -> str:
    """The option of a parameter: `--original-images`.

    >>> flag("original_images"), flag("engine=ray")
    ('--original-images', '--engine ray')
    """
    option, _, value = name.partition("=")
    return f"--{option.replace('_', '-')}{f' {value}' if value else ''}"


def no_effect(option: str, others: Collection[str]) -> InputError:
    """The error about an option that has no effect without one of others.

    Args:
        option: the option with its value, as given.
        others: the other options.
    """
    listed = " or ".join(others)
    name = option.partition(" ")[0]
    return InputError(f"{option} has no effect without {listed}. Add {listed}, or leave out {name}.")


def require_effects(command: Callable[..., Any], given: Mapping[str, str], values: Mapping[str, Any]) -> None:
    """Refuse options and arguments that have no effect in a command line.

    Args:
        command: the function of the command.
        given: what the command line gives, by name of the parameter: the option with its value, or the argument.
        values: the values of all parameters.

    Raises:
        InputError: names the option, and what it requires or excludes.
    """
    for name, hint in hints_of(inspect.unwrap(command)).items():
        if name not in given:
            continue
        for rule in get_args(hint)[1:]:
            if isinstance(rule, With) and not any(_given(other, given, values) for other in rule.others):
                raise no_effect(given[name], [flag(other) for other in rule.others])
            excluded = rule.others if isinstance(rule, Without) else ()
            for other in (one for one in excluded if one in given):
                raise InputError(f"{given[name]} has no effect with {given[other]}. Leave out one of them.")
            if isinstance(rule, Alone) and (others := [n for n in given if n not in (name, *_OF_ALL)]):
                raise InputError(
                    f"{given[others[0]]} has no effect with {given[name]}, {rule.why}. Leave out one of them."
                )


def _given(other: str, given: Mapping[str, str], values: Mapping[str, Any]) -> bool:
    name, equals, value = other.partition("=")
    return str(values.get(name)) == value if equals else name in given
