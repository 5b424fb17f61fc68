"""`python -m builders.readme [--check]`: fills the generated parts of README.md and of the documentation's hand-written
pages, so that no number in them is typed by hand.

A part is between `<!-- generated: NAME -->` and `<!-- end -->`. The church table needs `../shared/church`; where
that is missing its text is left as it is.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from pathlib import Path
from typing import Annotated, Final

import typer

from builders import church as real
from igmu_data import attacks
from igmu_data.errors import CorpusError, exits_on_error
from igmu_data.rows.concept import concept_rows
from igmu_data.schema import ASIDE, SPLITS
from igmu_data.taxonomy import ALL, RESTRICTED_DOMAIN, all_concepts, domains
from igmu_metrics.report import terminal as tables
from igmu_metrics.scorecard import write_text
from igmu_metrics.verdict.compare import compared

ROOT: Final = Path(__file__).resolve().parent.parent
PAGES: Final = ("README.md", "docs/reporting.md")
_PART: Final = re.compile(r"(<!-- generated: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def corpus() -> str:
    """How large the corpus is, and what is in its adversarial split."""
    rows = [r for c in all_concepts().values() for r in concept_rows(c)]
    concepts = Counter(c.domain == RESTRICTED_DOMAIN for c in all_concepts().values())
    prompts = Counter(r.domain == RESTRICTED_DOMAIN for r in rows)
    n = Counter(r.split for r in rows)
    split = ", ".join(f"{n[s]:,} {s}" for s in SPLITS)  # type: ignore[index]
    families = attacks.families()
    languages = len({r.language for r in rows})
    return (
        f"The corpus has {len(all_concepts())} concepts in {len(domains())} domains ({', '.join(domains())}), and "
        f"{len(rows):,} prompts ({split}) with 5 seeds each.\nThe config `{ALL}` contains {concepts[False]} of these "
        f"concepts, with {prompts[False]:,} prompts; the other {concepts[True]} concepts, with {prompts[True]:,} "
        f"prompts, are in the gated domain `{RESTRICTED_DOMAIN}`.\nThe corpus has {len(families)} families of attacks "
        f"that hide the name of the concept ({', '.join(families)}) and 3 probes that are not attacks "
        f"({', '.join(ASIDE)}).\nThe prompts are in {languages} languages and 4 styles of wording, and are divided "
        "into 10 rounds, each with a tenth of the prompts.\n"
    )


def church() -> str | None:
    """The ranking of the real models and what their differences are worth, as `igmu compare` prints it."""
    from rich.console import Console

    if not real.FOLDER.is_dir():
        return None
    cards = list(real.score(real.FOLDER))
    console = Console(file=io.StringIO(), width=140, highlight=False)
    console.print(tables.ranking(cards, compared(cards)))
    text = console.file.getvalue()  # type: ignore[attr-defined] # it is the StringIO given above
    return "```text\n" + "\n".join(line.rstrip() for line in text.splitlines()) + "\n```\n"


def filled(text: str) -> str:
    """A page with its generated parts made anew."""
    makers = {"corpus": corpus, "church": church}

    def part(match: re.Match[str]) -> str:
        made = makers[match[2]]()
        return match[0] if made is None else f"{match[1]}{made}{match[4]}"

    return _PART.sub(part, text)


@exits_on_error
def main(
    check: Annotated[bool, typer.Option("--check", help="Only say whether the pages are up to date.")] = False,
) -> None:
    """Fill the generated parts of README.md and of the documentation."""
    for page in PAGES:
        path = ROOT / page
        old = path.read_text(encoding="utf-8")
        new = filled(old)
        if check and new != old:
            raise CorpusError(f"{page} is out of date. Run python -m builders.readme.")
        write_text(path, new)


if __name__ == "__main__":
    typer.run(main)
