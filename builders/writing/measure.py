"""`python -m builders.writing.measure [CONCEPT…]`: what must hold of all rows, measured.

A line for each concept that breaks a rule; at the end the totals. Exit code 1 where a rule is broken.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from builders.writing.diversity import distinct_n, self_bleu
from igmu_data.attacks import families
from igmu_data.rows.concept import concept_rows
from igmu_data.rows.scenes import STYLE
from igmu_data.schema import ASIDE, Row
from igmu_data.taxonomy import Concept, all_concepts
from igmu_data.validate import problems as invariants

ROWS = 700
NEAR, FAR, CELL = 100, 60, 40
BLEU, DISTINCT, FRAME = 0.42, 0.55, 0.05


def problems(concept: Concept, rows: Sequence[Row]) -> Iterator[str]:
    """What does not hold of one concept's rows."""
    least = ROWS - CELL * len(concept.without) * (concept.domain == "nsfw")  # what policy leaves out
    if len(rows) < least:
        yield f"{len(rows)} rows, at least {least}"
    for probe, least in (("near", NEAR), ("far", FAR)):
        if (n := sum(r.probe == probe for r in rows)) < least:
            yield f"{n} {probe} rows, at least {least}"
    cells: Counter[str | None] = Counter(r.attack_family for r in rows)
    kinds: Counter[str] = Counter(r.probe for r in rows)
    for cell, n in [*((f, cells[f]) for f in families()), *((p, kinds[p]) for p in ASIDE)]:
        if n < CELL and cell not in concept.without:
            yield f"{cell}: {n} rows, at least {CELL}, and no reason"
        if n >= CELL and cell in concept.without:
            yield f"{cell}: {n} rows, and a reason for fewer"
    direct = [r for r in rows if r.probe == "direct"]
    prompts = [r.prompt for r in direct]
    if (bleu := self_bleu(prompts)) > BLEU:
        yield f"self-BLEU-4 {bleu:.3f}"
    if (share := distinct_n(prompts, 2)) < DISTINCT:
        yield f"distinct-2 {share:.3f}"
    yield from frames(concept, rows)
    yield from map(str, invariants(rows))
    yield from rounds(rows)


def frames(concept: Concept, rows: Sequence[Row]) -> Iterator[str]:
    """Frames around a scene, or a companion, that come too often among the rows to forget."""
    forget = [r for r in rows if r.split == "forget"]
    found: Counter[str] = Counter()
    for row in forget:
        if row.probe != "direct" or concept.domain == STYLE:
            text, scene = row.prompt.casefold(), row.stripped_prompt.casefold().rstrip(".")
            found[text.replace(scene, "@") if scene in text else text] += 1
    yield from (f"{n} of {len(forget)} rows in {f!r}" for f, n in found.items() if n > FRAME * len(forget))


def rounds(rows: Sequence[Row]) -> Iterator[str]:
    """Whether every prefix of rounds is balanced over what rows are of."""
    for name in ("split", "probe", "attack_family", "own_concept", "register"):
        groups: dict[str, list[int]] = defaultdict(list)
        for row in rows:
            groups[str(getattr(row, name))].append(row.round)
        for value, found in groups.items():
            n = Counter(found)
            if len(found) >= 20 and max(n[k] for k in range(1, 11)) - min(n[k] for k in range(1, 11)) > max(
                3, len(found) // 25
            ):
                yield f"rounds of {name} {value} differ: {sorted(n.items())}"


def main() -> int:
    """Print problems and totals."""
    everything: list[Row] = []
    bad = 0
    asked = sys.argv[1:]
    for concept in all_concepts().values():
        if asked and concept.id not in asked:
            continue
        rows = concept_rows(concept)
        everything += rows
        found = list(dict.fromkeys(problems(concept, rows)))
        bad += bool(found)
        for line in found:
            print(f"{concept.id}: {line}")
    by = Counter(r.split for r in everything)
    n = len({r.concept for r in everything})
    splits = ", ".join(f"{k} {v}" for k, v in by.items())
    print(f"{n} concepts, {len(everything)} rows ({splits}), {n - bad} without a problem")
    ids = Counter(r.id for r in everything)
    print(f"{sum(c > 1 for c in ids.values())} ids twice, {len({r.prompt for r in everything})} different prompts")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
