"""Templates: Jinja makes all HTML from the files next to this one and escapes every value."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from igmu_data.files import begins, require_own
from igmu_data.media import slug, visible
from igmu_metrics.statistics.formatting import between, number

if TYPE_CHECKING:
    from jinja2 import Environment


def filled(name: str, **values: object) -> str:
    """A template filled with values; a missing value is an error."""
    return _environment().get_template(name).render(values)


_PAGE: Final = re.compile(r'<!doctype html>.*<span class="name">igmu</span>', re.DOTALL)


def require_page(path: Path) -> None:
    """Refuse to replace anything but a page of igmu (a report or a leaderboard).

    Raises:
        OutputError: there is another file.
    """
    require_own(path, begins(_PAGE))


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    made = Environment(
        loader=FunctionLoader(_source), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.finalize = _seen
    made.policies["json.dumps_kwargs"] = {"ensure_ascii": False}  # `tojson` escapes what could end a script element
    made.filters |= {"number": number, "between": between, "slug": slug}
    made.globals["source"] = _source
    return made


def _seen(value: object) -> object:
    """A text with invisible characters escaped, so that a name cannot reverse or hide the words around it."""
    return visible(value, lines=True) if type(value) is str else value


def _source(name: str) -> str:
    """The contents of a file next to this one."""
    return files("igmu_metrics.report").joinpath(name).read_text(encoding="utf-8")
