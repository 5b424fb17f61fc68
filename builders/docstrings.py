"""Python as plain Markdown: signatures and docstrings, as the documentation shows them on the site and in a clone.

Docstrings here have sections with a heading and an indented text (`Args:`), and put a worked example behind its own
sentence, with no heading. Markdown would read the former as a paragraph and `>>>` as a quotation.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from enum import Enum
from importlib import import_module
from textwrap import dedent
from types import FunctionType
from typing import Any, Final

WIDTH: Final = 88  # of a signature in characters; a longer one has a line per parameter
_TITLES: Final = {"Args": "Parameters", "Returns": "Returns", "Raises": "Raises", "References": "References"}
_SECTION: Final = re.compile(rf"^({'|'.join(_TITLES)}):\n((?:(?: +\S.*)?(?:\n|\Z))+)", re.MULTILINE)
_ENTRY: Final = re.compile(r"^(\*{0,2}\w[\w, ]*): ")  # `name: what it is`, or the names of several errors
_EXAMPLE: Final = re.compile(r"^( *)>>> .*(?:\n *\S.*)*", re.MULTILINE)

_PYTHON: Final[tuple[tuple[str, str, Mapping[str, tuple[str, ...]]], ...]] = (
    ("Load the corpus", "", {"igmu_data.load": ("load_bench", "bench_rows")}),
    ("Score", "", {"igmu_metrics.api": ("score", "list_metrics")}),
    (
        "Settings",
        "[One table](settings.md) lists every setting with its default and meaning. The options of `igmu score` and "
        "the fields of `Settings` and `Evaluation` are the same.",
        {"igmu_metrics.settings": ("Settings", "Option", "Influence", "options")},
    ),
    ("Evaluate models", "", {"igmu_metrics.evaluation": ("Evaluation",)}),
    (
        "Results",
        "",
        {"igmu_metrics.contract": ("MetricInfo", "Extract", "Table", "Result", "Estimate", "Score", "Signature")},
    ),
    ("Scorecards", "", {"igmu_metrics.scorecard": ("Scorecard", "Figure", "read", "write", "schema")}),
    (
        "Statistics",
        "[Intervals](../intervals.md) explains which interval belongs to which number.",
        {
            "igmu_metrics.statistics.intervals": ("wilson", "overlap"),
            "igmu_metrics.statistics.resampling": ("studentized", "percentile_interval"),
            "igmu_metrics.statistics.estimates": ("mean_estimate",),
            "igmu_metrics.statistics.means": ("unbounded_mean",),
            "igmu_metrics.statistics.significance": ("mcnemar_exact", "paired_permutation", "holm", "best_of"),
            "igmu_metrics.statistics.corrected": ("rogan_gladen",),
            "igmu_metrics.statistics.power": ("prompts_needed", "detectable_difference"),
        },
    ),
    (
        "Check a plugin",
        "",
        {
            "igmu_metrics.testing": (
                *("check_metric", "check_detector", "check_backbone"),
                *("ConformanceError", "sample_table", "sample_images"),
            )
        },
    ),
)
"""Title, introduction, and members of modules: what `reference/python.md` shows."""


def python_page() -> str:
    """`reference/python.md`: the public functions and classes of the package."""
    parts = [
        "# Python\n\nThis page documents the package's public functions from their docstrings. Each metric has a "
        "separate [page](../metrics/index.md)."
    ]
    for title, about, members in _PYTHON:
        parts += [f"## {title}", *filter(None, [about])]
        for path, names in members.items():
            module = import_module(path)
            parts += [prose(module), *(written(getattr(module, name), name, 3) for name in names)]
    return "\n\n".join(parts)


def fenced(text: str) -> str:
    r"""Markdown with every doctest in a fence, up to the next empty line.

    >>> fenced("One:\n\n>>> 1\n1")
    'One:\n\n```pycon\n>>> 1\n1\n```'
    """
    return _EXAMPLE.sub(lambda m: f"{m[1]}```pycon\n{m[0]}\n{m[1]}```", text)


def prose(documented: Any) -> str:
    """The docstring of an object as Markdown: its sections are titled lists, its examples code.

    Args:
        documented: a module, class, function or property.
    """
    text = fenced(inspect.getdoc(documented) or "")
    return re.sub(r"\n{3,}", "\n\n", _SECTION.sub(lambda m: f"{_section(m[1], m[2])}\n\n", f"{text}\n")).strip()


def _section(name: str, text: str) -> str:
    """One section: its entries as a list, or its paragraph."""
    text = dedent(text).strip()
    title = f"**{_TITLES[name]}:**"
    entries = re.split(r"\n(?=\S)", text)
    if name in ("Args", "Raises") and all(map(_ENTRY.match, entries)):
        return f"{title}\n\n" + "\n".join(map(_item, entries))
    return f"{title}\n\n{text}" if "\n\n" in text else f"{title} {text}"


def _item(entry: str) -> str:
    """An argument, or the errors with one cause, as an item of a list."""
    names, _, what = entry.partition(": ")
    named = ", ".join(f"`{name.strip()}`" for name in names.split(","))
    return f"- {named}: {' '.join(what.split())}"


def signature(function: Any, name: str) -> str:
    """A call as Python code: parameters with types and defaults, one per line if they do not fit in one.

    Args:
        function: a function, or a class.
        name: what it is called.

    >>> def double(n: int, *, times: int = 1) -> int: ...
    >>> print(signature(double, "double"))
    double(n: int, *, times: int = 1) -> int
    """
    found = inspect.signature(function)
    parts = list(_parameters([p for p in found.parameters.values() if p.name not in ("self", "cls")]))
    returned = "" if isinstance(function, type) or found.return_annotation is found.empty else found.return_annotation
    end = f" -> {_type(returned)}" if returned else ""
    line = f"{name}({', '.join(parts)}){end}"
    if len(line) <= WIDTH:
        return line
    return f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){end}"


def _parameters(parameters: Sequence[inspect.Parameter]) -> Iterator[str]:
    keyword = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    for p in parameters:
        if p.kind is p.KEYWORD_ONLY and not keyword:
            keyword = True
            yield "*"
        stars = "*" if p.kind is p.VAR_POSITIONAL else "**" if p.kind is p.VAR_KEYWORD else ""
        annotated = "" if p.annotation is p.empty else f": {_type(p.annotation)}"
        equals = " = " if annotated else "="
        yield f"{stars}{p.name}{annotated}" + ("" if p.default is p.empty else f"{equals}{_default(p.default)}")


def _type(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _default(value: Any) -> str:
    """A default as code; `...` for what a factory makes."""
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
    return "..." if text.startswith("<") else text


def written(documented: Any, name: str, level: int) -> str:
    """A function or class with what is public in it, from a heading on.

    Args:
        documented: the function or class.
        name: what it is called.
        level: of its heading.
    """
    parts = [f"{'#' * level} `{name}`"]
    if callable(documented) and (code := _code(documented, name)):
        parts.append(f"```python\n{code}\n```")
    parts.append(prose(documented))
    if isinstance(documented, type):
        parts += [written(inner, f"{name}.{own}", level + 1) for own, inner in _members(documented)]
    return "\n\n".join(parts)


def _code(documented: Callable[..., Any], name: str) -> str:
    """The signature; "" for a class that nobody calls to make one, or whose defaults Python cannot put in order."""
    called = not isinstance(documented, type) or is_dataclass(documented)
    try:
        return signature(documented, name) if called else ""
    except ValueError:  # a field of `Option` has the default "no default"
        return ""


def _members(cls: type) -> Iterator[tuple[str, Any]]:
    """Public functions and properties that a class itself defines and documents, without those that pydantic adds."""
    for name, found in vars(cls).items():
        inner = found.__func__ if isinstance(found, classmethod | staticmethod) else found
        own = isinstance(inner, property) or (isinstance(inner, FunctionType) and inner.__module__ == cls.__module__)
        if not name.startswith("_") and own and inner.__doc__:
            yield name, inner
