"""The commands `igmu concept new` and `igmu concept check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from igmu_data.numerals import counted
from igmu_metrics.cli._common import document, say
from igmu_metrics.cli._json import noted

if TYPE_CHECKING:
    from igmu_metrics.cli._card_answers import Verified
    from igmu_metrics.cli._other_answers import Written

concept = typer.Typer(help="Write and check your own concepts.", no_args_is_help=True)


@concept.command()
def new(
    name: Annotated[str, typer.Argument(metavar="DOMAIN/SLUG", help="Id of the new concept, such as object/zeppelin.")],
    out: Annotated[
        Path, typer.Option(help="Folder for your own concepts, which other commands accept as --concepts.")
    ] = Path("concepts"),
) -> Written:
    """Write a template for a new concept. The template explains every key and contains examples to replace."""
    from igmu_data.errors import OutputError
    from igmu_data.files import beside, require_writable
    from igmu_data.media import shell
    from igmu_data.taxonomy import require_own_id
    from igmu_data.template import template
    from igmu_metrics.cli._other_answers import Written

    require_own_id(name, "DOMAIN/SLUG")
    path = out / f"{name}.toml"
    require_writable(path.parent)
    if path.exists():
        raise OutputError(f"{path} already exists. Edit it, or choose another --out.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside(path) as part:
            part.write_text(template(name, path), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}. Choose another --out.") from error
    after = shell(["igmu", "concept", "check", path])
    say(path)
    document(f"next: replace the examples, then {after}\n")
    return Written([path], after)


@concept.command()
def check(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE.toml...", help="Concept files, <domain>/<slug>.toml, or folders of concept files."
        ),
    ],
) -> Verified:
    """List all problems in concept files, or count the prompts that the files produce. The exit code is 1 if there are
    problems."""
    from collections import Counter

    from igmu_data import writing
    from igmu_data.errors import EmptyInputError
    from igmu_metrics.cli._card_answers import Problems, Verified

    for given in files:
        if given.is_dir() and not any(given.glob("*/*.toml")):
            raise EmptyInputError(
                f"{given}: the folder contains no <domain>/<slug>.toml files. To create one, use 'igmu concept new'."
            )
    checked = []
    for path in [file for given in files for file in (sorted(given.glob("*/*.toml")) if given.is_dir() else [given])]:
        rows, found = writing.check(path)
        say(*(f"{path}: {fault}" for fault in found))
        counts = Counter(f"{row.split}/{row.attack_family or row.probe}" for row in rows)
        checked.append(Problems(path, [str(fault) for fault in found], counts=counts))
        if not found:
            told = ", ".join(f"{cell} {n}" for cell, n in counts.items())
            say(f"{path}: no problems found; {counted(len(rows), 'row')} ({told})")
    answer = noted(Verified(checked))
    if any(one.problems for one in checked):
        raise typer.Exit(1)
    return answer
