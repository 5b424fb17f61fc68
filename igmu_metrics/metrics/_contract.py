"""What every metric declares: its INFO, and the columns that it reads. Checked when a metric is registered."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from igmu_data.errors import nearest
from igmu_metrics.contract import PARTS, MetricInfo
from igmu_metrics.generations import COLUMNS, ORIGINAL, column


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
    hint = f"did you mean {' or '.join(alike)}?" if alike else "igmu_metrics.generations.COLUMNS lists all columns"
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
