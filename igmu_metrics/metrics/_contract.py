"""What every metric declares: its INFO, and the columns that it reads; checked when a metric is registered. And which
rows and columns of a table it is scored on."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from igmu_data.errors import IgmuError, PluginError, nearest
from igmu_metrics.contract import PARTS, Metric, MetricInfo, one_line
from igmu_metrics.generations import COLUMNS, ORIGINAL, Generations, column

# For each column, the role of what computes it.
UNSCORED: Final = "not scored: "
"""Beginning of the notes about metrics that a card lacks; they depend on the plugins, not on the images."""
BEHIND: Final = {
    "probability": "detector",
    "present": "detector",
    "answered": "detector",
    "alignment": "clip",
    "stripped_alignment": "clip",
    "clip_features": "clip",
    "reward": "align",
    "align_features": "align",
    "features": "features",
    "lpips": "lpips",
}


def role_of(name: str) -> str:
    """The role of what computes a column of either model; "" if no detector or network does."""
    return BEHIND.get(name.removesuffix(ORIGINAL), "")


def columns(metric: Metric) -> tuple[str, ...]:
    """The columns that a metric reads: those that it requires and those that are optional."""
    return (*metric.NEEDS, *getattr(metric, "USES", ()))


def parts(metric: Metric, table: Generations) -> Iterator[tuple[str, Generations]]:
    """The parts of a table on which a metric is scored, each with only the columns that the metric declares."""
    wanted = columns(metric)
    if lacking(metric, table):
        return
    # Drop other columns before selecting rows, because copying features is expensive.
    sorting = {"split", "probe"} - set(wanted)
    narrow = Generations({n: v for n, v in table.columns.items() if n in wanted or n in sorting}, table.facts)
    for part, splits in metric.INFO.parts.items():
        seen = narrow.part(*splits)
        if len(seen):
            yield part, seen.without(*sorting)


def lacking(metric: Metric, table: Generations) -> list[str]:
    """The columns that a metric requires and a table does not have."""
    return [name for name in metric.NEEDS if name not in table]


def failure(metric: Metric, error: IgmuError) -> str:
    """An error of a plugin's `score`, with the name of the plugin."""
    if isinstance(error, PluginError):
        return str(error)
    return str(PluginError(metric.INFO.name, getattr(metric, "PACKAGE", ""), f"score() failed ({one_line(error)})"))


def left_out(metric: Metric, table: Generations, roles: Collection[str]) -> list[str]:
    """Why a metric has no score, if this is not expected; otherwise nothing.

    It is expected of igmu's own metrics, whose networks are chosen by options, unless the network was loaded; and of
    metrics that no evaluation scores.

    Args:
        metric: a metric without a score.
        table: table of the evaluation.
        roles: roles of the detector and the networks that measured it.
    """
    name, package, lost = metric.INFO.name, str(getattr(metric, "PACKAGE", "")), lacking(metric, table)
    why, step = absent(lost, roles) if lost else ("no image belongs to its parts, or score() returned None", "")
    step = step or "Add images that it counts, or leave it out."
    if package:
        return [str(PluginError(name, package, why, step))] if metric.INFO.parts else []
    chosen = any(role_of(column) in ("", "detector") or role_of(column) not in roles for column in lost)
    return [f"metric {name}: {why}. {step}"] if lost and not chosen else []


def absent(lost: Collection[str], roles: Collection[str]) -> tuple[str, str]:
    """What columns that a metric requires are, and what supplies them.

    Args:
        lost: the columns, at least one.
        roles: roles of the detector and the networks that measured the table.

    Returns:
        Why they are missing, and the next step.
    """
    options = sorted({role_of(name) for name in lost} - {"", *roles})
    s = "s" * (len(lost) > 1)
    why = f"it requires the column{s} {', '.join(lost)}, which this evaluation did not measure"
    if options:
        return why, f"Set {' and '.join(f'--{one}' for one in options)}."
    if any(role_of(name) in ("clip", "align") for name in lost):
        return why, "Use images whose prompts are known (for the layout flat: 'igmu score --prompt')."
    return why, "Leave the metric out, or use images for which these columns exist."


def unsound(module: Any) -> list[str]:
    """What is wrong with the INFO, NEEDS and USES of a metric, so that evaluations, tables or checks of cards would
    fail or would leave the metric out.
    """
    about = getattr(module, "INFO", None)
    if about is None:
        found = ["INFO is missing"]
    elif isinstance(about, MetricInfo):
        found = _fields(about)
    else:
        found = [f"INFO has type {type(about).__name__}, not MetricInfo"]
    if getattr(about, "extracts", ()) and not callable(getattr(module, "rows", None)):
        found.append("INFO.extracts refers to arguments of `rows`, which is missing")
    for known in ("NEEDS", "USES"):
        given: Any = getattr(module, known, () if known == "USES" else None)
        texts = isinstance(given, tuple) and all(isinstance(c, str) for c in given)
        if not texts or (known == "NEEDS" and not given):
            found.append(f"{known} is {given!r}, which is not a tuple of column names")
        elif getattr(about, "parts", True):  # otherwise no evaluation scores it
            found += [f"{known} contains {_unknown(c)}" for c in given if column(c) is None]
    return found


def _unknown(name: str) -> str:
    """Why a column will never be in the table of an evaluation, with the nearest ones that may be."""
    both = [known + ORIGINAL for known, about in COLUMNS.items() if about.both]
    base = name.removesuffix(ORIGINAL)  # not every column describes an image of one model
    alike = [repr(known) for known in ([base] if base in COLUMNS else nearest(name, [*COLUMNS, *both]))]
    hint = f"did you mean {' or '.join(alike)}?" if alike else "docs/reference/plugins.md lists all columns"
    return f"{name!r}, which is not a column of evaluations; {hint}"


def _fields(info: Any) -> list[str]:
    """What is wrong with a metric's INFO, so that evaluations, tables or checks of cards would fail.

    Args:
        info: a MetricInfo, whose fields may contain anything.
    """
    found = [] if isinstance(info.name, str) else [f"INFO.name is {info.name!r}; it must be a string"]
    if type(info.version) is not int or info.version < 1:
        found.append(
            f"INFO.version is {info.version!r}; it must be a whole number >= 1, increased whenever numbers change"
        )
    for name in ("title", "summary", "headline", "limits"):
        if not isinstance(text := getattr(info, name), str) or not text.strip():
            found.append(f"INFO.{name} is {text!r}; it must be a non-empty string")
    if info.direction not in ("higher", "lower"):
        found.append(f"INFO.direction is {info.direction!r}; it must be 'higher' or 'lower'")
    ends = info.range if isinstance(info.range, tuple) else ()
    if len(ends) != 2 or not all(isinstance(end, int | float) for end in ends) or not ends[0] < ends[1]:
        found.append(f"INFO.range is {info.range!r}; it must be the smallest and the largest possible value")
    if not isinstance(info.references, tuple):
        found.append(f"INFO.references is {info.references!r}; it must be a tuple, which may be empty")
    if type(info.place) is not int:
        found.append(f"INFO.place is {info.place!r}; it must be a whole number")
    if not isinstance(info.parts, Mapping):
        return [*found, f"INFO.parts is {info.parts!r}; it must be a dictionary of tuples"]
    for part, splits in info.parts.items():
        if not isinstance(splits, tuple) or not splits or not all(split in PARTS for split in splits):
            found.append(f"INFO.parts[{part!r}] is {splits!r}; it must be a tuple with some of {', '.join(PARTS)}")
        if not isinstance(part, str) or not re.fullmatch(r"[a-z0-9_-]*", part):
            found.append(f"INFO.parts has a part {part!r}; use only lower-case letters, digits, _ and -")
    return found
