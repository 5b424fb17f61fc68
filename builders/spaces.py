"""`python -m builders.spaces`: renders the Hub Spaces: one a metric, from its INFO and docstrings, and the leaderboard.

Rendered Spaces are kept in `builders/rendered_spaces/<name>/`, so that a change of a metric shows what it does to its
page; `--check` says whether they are up to date, `--out dist/hub` writes them as repositories to push. A metric needs
nothing for its Space but its own file; hand-worked cases for its `tests.py` may stand in `spaces_templates/tests/`.
"""

from __future__ import annotations

import inspect
import json
import re
import textwrap
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from string import Template
from typing import Annotated, Any, Final

import typer

from builders.hubfolder import replaced, write_manifest
from igmu_data import __version__
from igmu_data.errors import IgmuError, exits_on_error
from igmu_metrics import registry
from igmu_metrics.contract import Metric
from igmu_metrics.spaces import references_of

TEMPLATES: Final = Path(__file__).parent / "spaces_templates"
RENDERED: Final = Path(__file__).parent / "rendered_spaces"
OWNER: Final = "igmu"
LEADERBOARD: Final = "leaderboard"
GRADIO: Final = "6.31.0"
# Backbones whose package an extra of igmu brings.
_EXTRAS: Final = {"inception": "fidelity", "lpips": "lpips"}
_WIDTH: Final = 116


class StaleSpacesError(IgmuError):
    """The kept Spaces are not what would be rendered now."""


def names() -> tuple[str, ...]:
    """Every Space."""
    return (*registry.names("metrics"), LEADERBOARD)


def render(name: str) -> dict[str, str]:
    """The files of a Space: path → text.

    Args:
        name: of the metric, or `leaderboard`.
    """
    if name == LEADERBOARD:
        values = {"version": __version__, "sdk_version": GRADIO}
        return {path: _fill(f"{name}/{path}", values) for path in ("README.md", "app.py", "requirements.txt")}
    metric = registry.metric(name)
    kind = references_of(name)
    values = _values(name, metric, _kinds()[kind])
    page = "app_labels" if kind == "labels" else "app_images"
    own_tests = TEMPLATES / "tests" / f"{name}.py.tmpl"
    return {
        "README.md": _fill("README.md", values),
        f"{name}.py": _fill("metric.py", values),
        "app.py": _fill(f"{page}.py", values),
        "requirements.txt": _fill("requirements.txt", values),
        "tests.py": own_tests.read_text(encoding="utf-8") if own_tests.is_file() else _fill("tests.py", values),
    }


def _values(name: str, metric: Metric, kind: Mapping[str, Any]) -> dict[str, str]:
    info = metric.INFO
    low, high = (f"{end:g}".replace("inf", "∞") for end in info.range)
    inputs = Template(kind["inputs"]).substitute(name=name).strip()
    inputs = f"{inputs}\n{kind.get('more', {}).get(name, '').strip()}".rstrip()
    extra = _EXTRAS.get(info.backbone)
    return {
        "name": name,
        "title": info.title,
        "yaml_title": json.dumps(info.title, ensure_ascii=False),
        "summary": info.summary,
        "class_name": "".join(part.capitalize() for part in name.split("_")),
        "version": str(info.version),
        "headline": info.headline,
        "range_text": f"{low} to {high}",
        "direction_text": f"{info.direction.capitalize()} is better for an unlearned model",
        "description": textwrap.indent(textwrap.fill(info.summary, _WIDTH), "  "),
        "sdk_version": GRADIO,
        "usage": Template(kind["usage"]).substitute(name=name).strip(),
        "inputs": inputs,
        "inputs_block": inputs.replace("`", ""),
        "returns": _section(metric.score, "Returns"),
        "definition": inspect.cleandoc(inspect.getmodule(metric.score).__doc__ or ""),
        "limits": info.limits,
        "references": "\n".join(f"- {r}" for r in info.references),
        "requirement": f"igmu[{extra}]>={__version__}" if extra else f"igmu>={__version__}",
        "features": _features(kind["features"]),
        "page_text": kind.get("page_text", ""),
        "arguments": ", ".join(kind.get("arguments", ())),
        "call": "\n".join(f"            {part}," for part in kind.get("call", ())),
        "widgets": "\n".join(
            f"    {n} = {w}" for n, w in zip(kind.get("arguments", ()), kind.get("widgets", ()), strict=True)
        ),
    }


def _features(options: list[list[str]]) -> str:
    """The `datasets.Features` that `evaluate` may choose among, one a line."""
    lines: list[str] = []
    for predictions, references in options:
        columns = [f'        "predictions": {predictions},', f'        "references": {references},']
        lines += ["datasets.Features(", "    {", *columns, "    }", "),"]
    return textwrap.indent("\n".join(lines), " " * 16)


def _section(function: Any, heading: str) -> str:
    """One section of a docstring, as one paragraph."""
    found = re.search(rf"^{heading}:\n((?:    .*\n?)+)", inspect.getdoc(function) or "", re.M)
    return textwrap.dedent(found[1]).strip() if found else "See the definition."


@cache
def _kinds() -> dict[str, dict[str, Any]]:
    return tomllib.loads((TEMPLATES / "kinds.toml").read_text(encoding="utf-8"))


def _fill(template: str, values: Mapping[str, str]) -> str:
    return Template((TEMPLATES / f"{template}.tmpl").read_text(encoding="utf-8")).substitute(values)


def stale(kept: Path) -> list[str]:
    """Files under `kept` that are missing, different from what would be rendered, or no longer rendered."""
    wanted = {f"{name}/{path}": text for name in names() for path, text in render(name).items()}
    found = {p.relative_to(kept).as_posix() for p in kept.rglob("*") if p.is_file() and p.suffix != ".pyc"}
    different = {path for path in found & wanted.keys() if (kept / path).read_text(encoding="utf-8") != wanted[path]}
    return sorted(different | (found ^ wanted.keys()))


def write(name: str, target: Path, *, manifest: bool) -> None:
    """Write one Space.

    Args:
        name: of the metric, or `leaderboard`.
        target: the folder; what was there before goes.
        manifest: whether to add `manifest.json`, which `builders.push` wants to see.

    Raises:
        OutputError: it cannot be written there.
    """
    with replaced(target) as folder:
        for path, text in render(name).items():
            (folder / path).write_text(text, encoding="utf-8")
        if manifest:
            write_manifest(folder, {"name": f"{OWNER}/{name}", "version": __version__})


@exits_on_error
def main(
    out: Annotated[Path | None, typer.Option(help="Also write the repositories igmu/<name> under it.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Only say whether the kept Spaces are up to date.")] = False,
) -> None:
    """Render the Space of every metric and that of the leaderboard."""
    if check and (wrong := stale(RENDERED)):
        raise StaleSpacesError(
            f"{RENDERED / wrong[0]} is not what would be rendered now ({len(wrong)} such files). "
            "Run 'python -m builders.spaces' and commit what it changes."
        )
    for name in names():
        if not check:
            write(name, RENDERED / name, manifest=False)
        if out is not None:
            write(name, out / OWNER / name, manifest=True)
            typer.echo(out / OWNER / name)


if __name__ == "__main__":
    typer.run(main)
