"""How unlike the prompts of corpora are: `python -m builders.benchmarks.corpora [NAME=FOLDER …]` prints a table.

Ours is measured on its direct rows, the prompts that ask for the concept by name. Another corpus is a folder of text
files: one file a concept, one prompt a line. Every concept is cut to the same number of prompts, chosen by hash, since
self-BLEU rises and distinct-2 falls with the number of prompts. Other people's prompts are not part of this repository.
"""

from __future__ import annotations

import argparse
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from math import comb
from pathlib import Path
from typing import Final

from builders.benchmarks.timing import table
from builders.writing.diversity import SAMPLE, distinct_n, sample, self_bleu
from igmu_data.rows.concept import concept_rows
from igmu_data.taxonomy import all_concepts
from igmu_data.validate import NEAR_DUPLICATE, alike

NEAR: Final = NEAR_DUPLICATE  # Jaccard index of content words
DOMAINS: Final = ("object", "style")  # ours again by these, since the others are read for objects and styles only
SENTENCES: Final = ("sentence", "long")  # registers of ours that are like most prompts of the others
HEAD: Final = (
    *("corpus", "concepts", "prompts", "compared a concept", "words", "self-BLEU-4", "distinct-2"),
    *("near-duplicate pairs", "exact duplicates", "same opening"),
)

Prompts = Mapping[str, Sequence[str]]


def measured(name: str, concepts: Prompts, n: int = SAMPLE) -> list[str]:
    """One row of the table.

    Args:
        name: what the corpus is called.
        concepts: prompts by concept; at least one concept, each of at least two prompts.
        n: most prompts of a concept that are compared.

    Returns:
        A cell for each of HEAD. Words: median; self-BLEU-4: median and largest over concepts; distinct-2: median and
        smallest; shares over all concepts, in percent: of pairs within a concept; of prompts that repeat another of
        their concept; of prompts that begin with the three words with which most of their concept begin.
    """
    cut = [sample(prompts, n) for prompts in concepts.values()]
    bleu = [self_bleu(texts) for texts in cut]
    distinct = [distinct_n(texts, 2) for texts in cut]
    pairs = near = repeated = opened = 0
    for texts in cut:
        pairs += comb(len(texts), 2)
        near += len(list(alike(texts, NEAR)))
        repeated += len(texts) - len(set(texts))
        opened += max(Counter(tuple(t.casefold().split()[:3]) for t in texts).values())
    sizes = [len(texts) for texts in cut]
    total = sum(sizes)
    return [
        name,
        str(len(cut)),
        f"{sum(map(len, concepts.values())):,}",
        f"{min(sizes)}–{max(sizes)}" if min(sizes) < max(sizes) else str(min(sizes)),
        f"{statistics.median(len(t.split()) for texts in cut for t in texts):g}",
        f"{statistics.median(bleu):.2f}, at most {max(bleu):.2f}",
        f"{statistics.median(distinct):.2f}, at least {min(distinct):.2f}",
        *(f"{share:.1%}" for share in (near / pairs, repeated / total, opened / total)),
    ]


def read(folder: Path) -> Prompts:
    """Prompts by concept: the lines of every text file of a folder, without empty ones.

    Raises:
        ValueError: no text file, or one with fewer than two prompts.
    """
    found = {
        path.stem: [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        for path in sorted(folder.glob("*.txt"))
    }
    if not found:
        msg = f"no text file (*.txt, one a concept, one prompt a line) in {folder}"
        raise ValueError(msg)
    for concept, prompts in found.items():
        if len(prompts) < 2:
            msg = f"{folder / concept}.txt: {len(prompts)} prompts; at least 2 are needed to compare them"
            raise ValueError(msg)
    return found


def ours() -> dict[str, Prompts]:
    """The prompts of our direct rows by concept: all, those of objects and of styles, and those in whole sentences."""
    rows = {c.id: [row for row in concept_rows(c) if row.probe == "direct"] for c in all_concepts().values()}
    every = {concept: [row.prompt for row in own] for concept, own in rows.items()}
    return {
        "igmu": every,
        **{f"igmu, {d}s": {k: v for k, v in every.items() if k.startswith(f"{d}/")} for d in DOMAINS},
        "igmu, whole sentences": {k: [r.prompt for r in own if r.register in SENTENCES] for k, own in rows.items()},
    }


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m builders.benchmarks.corpora", description=__doc__)
    parser.add_argument("corpora", nargs="*", metavar="NAME=FOLDER", help="other corpora; a folder of text files each")
    parser.add_argument("--n", nargs="+", type=int, default=[SAMPLE], help="prompts of a concept; a table for each")
    given = parser.parse_args()
    if min(given.n) < 2 or max(given.n) > SAMPLE:
        parser.error(f"--n {' '.join(map(str, given.n))}: from 2 to {SAMPLE}")
    others: dict[str, Prompts] = {}
    for text in given.corpora:
        name, _, folder = text.partition("=")
        if not name or not folder:
            parser.error(f"{text!r}: give NAME=FOLDER")
        try:
            others[name] = read(Path(folder))
        except (ValueError, OSError) as error:
            parser.error(str(error))
    corpora = ours() | others
    for n in given.n:
        print(table(list(HEAD), [measured(name, concepts, n) for name, concepts in corpora.items()]))


if __name__ == "__main__":
    main()
