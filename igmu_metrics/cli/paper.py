"""The command `igmu paper`."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from igmu_metrics.cli._common import Cards, document, say

if TYPE_CHECKING:
    from igmu_metrics.cli._card_answers import Told


def paper(cards: Cards) -> Told:
    """Print the results in a form ready for a paper: one sentence per model, a LaTeX table with a footnote, and
    comments on what to report and why."""
    from igmu_metrics.cli._card_answers import Told
    from igmu_metrics.report import brief
    from igmu_metrics.verdict import paper as papers
    from igmu_metrics.verdict.verify import read_all

    read = read_all(cards)
    sentences, table, why = papers.sentences(read), papers.table(read), papers.why(read)
    said = [
        part
        for text in ("What to report, and why:", *why)
        for part in textwrap.wrap(text, brief.width() - 2, break_long_words=False, break_on_hyphens=False)
    ]
    document("".join(f"% {part}\n" for part in said) + "\n")
    say(*sentences)
    document(f"\n{table}")
    return Told(sentences, table, why)
