"""`make church`: scores the real outputs of `../shared/church`, judged by eye, and ends with a table and a report.

Needs that folder (IGMU_CHURCH names another one), no models and no network.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from igmu_data.errors import exits_on_error
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.report import page
from igmu_metrics.report import terminal as tables
from igmu_metrics.scorecard import Scorecard, write
from igmu_metrics.verdict.compare import compared

ROOT: Final = Path(__file__).resolve().parent.parent
ENVIRONMENT: Final = "IGMU_CHURCH"
FOLDER: Final = ROOT.parent / "shared" / "church"
MODELS: Final = ("esd", "fmn", "mace", "spm", "uce")
_LAYOUT: Final = "igmu"


def score(folder: Path) -> Iterator[Scorecard]:
    """The scorecard of every unlearned model.

    Args:
        folder: holds `labels.csv` and a folder of images for each model, the original's among them.
    """
    evaluation = Evaluation("object.church", layout=_LAYOUT, detector=f"labels:{folder / 'labels.csv'}")
    return evaluation.run(folder / "original", [folder / m for m in MODELS])


def run(out: Path, folder: Path) -> list[Scorecard]:
    """Score, print, and write scorecards and report.

    Args:
        out: folder for the scorecards and the report.
        folder: the real outputs.
    """
    cards = list(score(folder))
    for card in cards:
        write(card, out / "cards" / f"{card.model}.json")
    tables.show(*tables.scores(cards), tables.ranking(cards, compared(cards)))
    report = out / "report.html"
    section = page.Section(cards, {m: folder / m for m in ("original", *MODELS)}, _LAYOUT)
    print(f"report: {page.write(report, section)}")
    return cards


@exits_on_error
def main() -> None:
    """Write into `dist/church`."""
    run(ROOT / "dist" / "church", Path(os.environ.get(ENVIRONMENT, FOLDER)))


if __name__ == "__main__":
    main()
