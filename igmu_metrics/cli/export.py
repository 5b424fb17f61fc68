"""The command `igmu export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from igmu_metrics.cli._common import Cards, document, say

if TYPE_CHECKING:
    from igmu_metrics.cli._card_answers import Exported


def export(
    cards: Cards,
    eval_results: Annotated[
        bool,
        typer.Option(
            "--eval-results",
            help="Write .eval_results/igmu.yaml, the evaluation results file of a model repository on the Hub.",
        ),
    ] = False,
    model_index: Annotated[
        bool, typer.Option("--model-index", help="Write YAML for the metadata of a model card.")
    ] = False,
    latex: Annotated[bool, typer.Option("--latex", help="Write a LaTeX table (booktabs) with intervals.")] = False,
    csv: Annotated[
        bool, typer.Option("--csv", help="Write a CSV file with all metrics of all scorecards, one metric per line.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="File to write (default: stdout) or, with --eval-results, the folder of the repository (default: the "
            "current folder)."
        ),
    ] = None,
) -> Exported:
    """Export scorecards as Hub evaluation results, model card metadata, LaTeX or CSV."""
    import re

    from igmu_data.errors import InputError
    from igmu_data.files import begins, require_own
    from igmu_metrics.cli._card_answers import Exported
    from igmu_metrics.scorecard import write_text
    from igmu_metrics.verdict import export as forms
    from igmu_metrics.verdict.verify import read_all

    wanted = {"eval_results": eval_results, "model_index": model_index, "latex": latex, "table": csv}
    chosen = [name for name, given in wanted.items() if given]
    if len(chosen) != 1:
        raise InputError(
            f"{len(chosen)} formats are given. Specify exactly one of --eval-results, --model-index, --latex, --csv."
        )
    text: str = getattr(forms, chosen[0])(read_all(cards))
    if eval_results:
        out = (out or Path()) / forms.EVAL_RESULTS
    if out is None:
        document(text)
    else:
        require_own(out, begins(re.compile(re.escape(text.partition("\n")[0]))))
        write_text(out, text)
        say(out)
    return Exported(chosen[0].replace("table", "csv"), out, text)
