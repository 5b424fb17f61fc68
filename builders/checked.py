"""`python -m builders.checked`: checks the rows of every concept, and notes their digests in `igmu_data/rows`.

With them the package need not search thousands of texts for what must not be in them every time it makes rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import typer

import igmu_data.rows
from igmu_data.configs import GENERAL
from igmu_data.errors import exits_on_error
from igmu_data.general import general_rows
from igmu_data.general import require_valid as require_general
from igmu_data.load import digest
from igmu_data.rows.concept import concept_rows
from igmu_data.schema import Row
from igmu_data.taxonomy import all_concepts
from igmu_data.validate import require_valid
from igmu_metrics.scorecard import write_text

FILE = Path(igmu_data.rows.__file__).with_name(igmu_data.rows.CHECKED)


def text(rows: Mapping[str, Sequence[Row]]) -> str:
    """The file for the rows of every concept, by its id, and for the general prompts."""
    found = {name: digest(row.id for row in own) for name, own in rows.items()}
    return json.dumps(found | {GENERAL: digest(row.id for row in general_rows())}, indent=1) + "\n"


@exits_on_error
def main() -> None:
    """Check all rows and note their digests."""
    rows = {item.id: concept_rows(item) for item in all_concepts().values()}
    require_valid([row for own in rows.values() for row in own])
    require_general(general_rows())
    write_text(FILE, text(rows))
    typer.echo(FILE)


if __name__ == "__main__":
    typer.run(main)
