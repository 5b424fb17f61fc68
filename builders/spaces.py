"""`python -m builders.spaces`: renders the Hub Spaces: one a metric, from its INFO and docstrings, and the leaderboard.

Rendered Spaces are kept in `builders/rendered_spaces/<name>/`, so that a change of a metric shows what it does to its
page; `--check` says whether they are up to date, `--out dist/hub` writes them as repositories to push. A metric needs
nothing for its Space but its own file. One that another package brings is rendered by its name:
`python -m builders.spaces NAME --owner OWNER --out DIR`.
"""

from __future__ import annotations

import inspect
import json
import re
import textwrap
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from string import Template
from typing import Annotated, Any, Final

import typer

from builders.card import urls
from builders.hubfolder import replaced
from igmu_data import __version__
from igmu_data.errors import IgmuError, exits_on_error
from igmu_data.stored import write_manifest
from igmu_metrics import registry
from igmu_metrics.contract import Metric
from igmu_metrics.spaces.inputs import described, references_of, usage
from igmu_metrics.spaces.module import class_name

TEMPLATES: Final = Path(__file__).parent / "spaces_templates"
RENDERED: Final = Path(__file__).parent / "rendered_spaces"
OWNER: Final = "igmu"
LEADERBOARD: Final = "leaderboard"
GRADIO: Final = "6.31.0"
# Backbones whose package an extra of igmu brings.
_EXTRAS: Final = {"inception": "fidelity", "lpips": "lpips"}
_WIDTH: Final = 116
_OF_IMAGES: Final = (
    "It is fastest to pass images as paths: `evaluate` encodes images in memory as PNG, which takes about 50 ms each. "
)


class StaleSpacesError(IgmuError):
    """The kept Spaces are not what would be rendered now."""


def names() -> tuple[str, ...]:
    """Every Space of igmu's own."""
    return (*registry.own("metrics"), LEADERBOARD)


def render(name: str, owner: str = OWNER) -> dict[str, str]:
    """The files of a Space: path → text.

    Args:
        name: of the metric, or `leaderboard`.
        owner: of the Space.
    """
    if name == LEADERBOARD:
        values = {"version": __version__, "sdk_version": GRADIO} | _addresses()
        return {path: _fill(f"{name}/{path}", values) for path in ("README.md", "app.py", "requirements.txt")}
    values = _values(name, registry.metric(name), owner)
    scripts = {path: _fill(path, values) for path in ("README.md", "app.py", "requirements.txt", "tests.py")}
    return scripts | {f"{name}.py": _fill("metric.py", values)}


def _values(name: str, metric: Metric, owner: str) -> dict[str, str]:
    info = metric.INFO
    low, high = (f"{end:g}".replace("inf", "∞") for end in info.range)
    extra = _EXTRAS.get(info.backbone)
    to, package = _addresses(), _package(metric)
    page = f"[page of this metric]({to['metrics']}/{name}.md)"
    requirements, imports = [f"igmu[{extra}]>={__version__}" if extra else f"igmu>={__version__}"], ""
    if package != "igmu_metrics":
        (distribution, *_) = metadata.packages_distributions()[package]
        requirements.append(f"{distribution}>={metadata.version(distribution)}")
        imports = f"\nimport {package}  # From: {distribution}"  # so that evaluate tells what to install
    return {
        "name": name,
        "title": info.title,
        "yaml_title": json.dumps(info.title, ensure_ascii=False),
        "summary": info.summary,
        "class_name": class_name(name),
        "import_line": imports,
        "owner_argument": "" if owner == OWNER else f', owner="{owner}"',
        "version": str(info.version),
        "headline": info.headline,
        "range_text": f"{low} to {high}",
        "direction_text": f"{info.direction.capitalize()} is better for an unlearned model",
        "description": textwrap.indent(textwrap.fill(info.summary, _WIDTH), "  "),
        "sdk_version": GRADIO,
        "usage": usage(name, owner),
        "advice": "" if references_of(name) == "labels" else _OF_IMAGES,
        "inputs": described(name),
        "returns": _section(metric.score, "Returns"),
        "definition": inspect.cleandoc(inspect.getmodule(metric.score).__doc__ or ""),
        "limits": info.limits,
        "references": "\n".join(f"- {r}" for r in info.references),
        "requirements": "\n".join(requirements),
        # Another package's metric has no page in igmu's documentation.
        "page": page if package == "igmu_metrics" else f"[all metrics of igmu]({to['metrics']}/index.md)",
    } | to


def _addresses() -> dict[str, str]:
    """Where the corpus, the repository, the documentation and its pages on metrics are, by the templates' names."""
    known = {label.lower(): url for label, url in urls().items()}
    home = known["documentation"].removesuffix("index.md")
    named = {name: known[name] for name in ("corpus", "repository", "documentation")}
    return named | {"metrics": f"{home}metrics", "intervals": f"{home}intervals.md"}


def _package(metric: Metric) -> str:
    """The package that brings a metric."""
    module = inspect.getmodule(metric.score)
    return module.__name__.partition(".")[0] if module else ""


def _section(function: Any, heading: str) -> str:
    """One section of a docstring, as one paragraph."""
    found = re.search(rf"^{heading}:\n((?:    .*\n?)+)", inspect.getdoc(function) or "", re.M)
    return textwrap.dedent(found[1]).strip() if found else "See the definition."


def _fill(template: str, values: Mapping[str, str]) -> str:
    return Template((TEMPLATES / f"{template}.tmpl").read_text(encoding="utf-8")).substitute(values)


def stale(kept: Path) -> list[str]:
    """Files under `kept` that are missing, different from what would be rendered, or no longer rendered."""
    wanted = {f"{name}/{path}": text for name in names() for path, text in render(name).items()}
    found = {p.relative_to(kept).as_posix() for p in kept.rglob("*") if p.is_file() and p.suffix != ".pyc"}
    different = {path for path in found & wanted.keys() if (kept / path).read_text(encoding="utf-8") != wanted[path]}
    return sorted(different | (found ^ wanted.keys()))


def write(name: str, target: Path, *, manifest: bool, owner: str = OWNER) -> None:
    """Write one Space.

    Args:
        name: of the metric, or `leaderboard`.
        target: the folder; what was there before goes.
        manifest: whether to add `manifest.json`, which `builders.push` wants to see.
        owner: of the Space.

    Raises:
        OutputError: it cannot be written there.
    """
    with replaced(target) as folder:
        for path, text in render(name, owner).items():
            (folder / path).write_text(text, encoding="utf-8")
        if manifest:
            write_manifest(folder, {"name": f"{owner}/{name}", "version": __version__})


@exits_on_error
def main(
    only: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Spaces; else all of igmu.")] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the repositories OWNER/<name> under it.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Only say whether the kept Spaces are up to date.")] = False,
    owner: Annotated[str, typer.Option(help="Whose repositories they are.")] = OWNER,
) -> None:
    """Render the Space of every metric and that of the leaderboard, or those named, which are not kept here."""
    if check and (wrong := stale(RENDERED)):
        raise StaleSpacesError(
            f"{RENDERED / wrong[0]} is not what would be rendered now ({len(wrong)} such files). "
            "Run 'python -m builders.spaces' and commit what it changes."
        )
    for name in only or names():
        if not (check or only):
            write(name, RENDERED / name, manifest=False)
        if out is not None:
            write(name, out / owner / name, manifest=True, owner=owner)
            typer.echo(out / owner / name)


if __name__ == "__main__":
    typer.run(main)
