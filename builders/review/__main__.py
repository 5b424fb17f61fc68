"""`python -m builders.review page|take|sample`: reading the corpus, row by row or in an independent sample."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from builders.review import answers, sample
from builders.review.page import page
from igmu_data.errors import exits_on_error
from igmu_data.rows.concept import concept_rows
from igmu_data.taxonomy import all_concepts, concept
from igmu_metrics.scorecard import write_text

app = typer.Typer(help="Read the corpus.", no_args_is_help=True, add_completion=False)


@app.command("page")
@exits_on_error
def make_page(
    name: Annotated[str, typer.Argument(metavar="CONCEPT", help="Concept id (object/church).")],
    out: Annotated[Path, typer.Option(help="The HTML file.")] = Path("review.html"),
) -> None:
    """Write the page on which a concept's rows are judged."""
    item = concept(name)
    write_text(out, page(item.id, concept_rows(item)))
    typer.echo(out)


@app.command("take")
@exits_on_error
def take_answers(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="What the page saved.")],
) -> None:
    """Keep answers that the page saved, in builders/review/answers."""
    for path in files:
        given = answers.read(path)
        typer.echo(answers.take(given, (row.id for row in concept_rows(concept(given.concept)))))


@app.command("sample")
@exits_on_error
def make_sample(
    salt: Annotated[str, typer.Option(help="Another word gives another, independent sample.")],
    n: Annotated[int, typer.Option(min=1, help="Rows.")] = 600,
    out: Annotated[Path, typer.Option(help="The text file to read.")] = Path("sample.txt"),
) -> None:
    """Write a sample of all rows to read; what is found wrong goes into builders/review/read/sample-NAME.toml."""
    rows = [row for item in all_concepts().values() for row in concept_rows(item)]
    lines = []
    for at, row in enumerate(sample.drawn(rows, n, salt), 1):
        what = f"{row.split}/{row.probe}" + (f"/{row.attack_family}" if row.attack_family else "")
        asks = row.own_name or row.own_concept or "-"
        lines.append(
            f"{at}. {row.id} {row.concept} · {what} · {row.language} · {row.register} · asks for {asks}\n"
            f"   prompt:   {row.prompt}\n   stripped: {row.stripped_prompt}\n"
        )
    write_text(out, "\n".join(lines))
    typer.echo(out)


if __name__ == "__main__":
    app()
