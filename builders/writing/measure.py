"""`python -m builders.drafts.measure`: what must hold of all rows of corpus 1.0, measured.

A line for each concept that breaks a rule; at the end the totals. Exit code 1 where a rule is broken.
"""

from __future__ import annotations

import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from builders.drafts.diversity import distinct_n, self_bleu
from builders.drafts.model import LANGUAGES, Concept, Row, all_concepts
from builders.drafts.rows import concept_rows, keeps_name
from igmu_data import policy
from igmu_data.folding import fold
from igmu_data.validate import content_words, overlap

ROWS = 700
NEAR, FAR, CELL = 100, 60, 40
BLEU, DISTINCT, ALIKE = 0.42, 0.55, 0.6
FAMILIES = (
    "misspelling",
    "leetspeak",
    "homoglyph",
    "zero-width",
    "mixed-language",
    "indirect",
    "subclass",
    "multilingual",
)
PROBES = ("negation", "composition", "superclass")


def problems(concept: Concept, rows: Sequence[Row]) -> Iterator[str]:
    """What does not hold of one concept's rows."""
    least = ROWS - CELL * len(concept.without) * (concept.domain == "nsfw")  # what policy leaves out
    if len(rows) < least:
        yield f"{len(rows)} rows, at least {least}"
    for probe, least in (("near", NEAR), ("far", FAR)):
        if (n := sum(r.probe == probe for r in rows)) < least:
            yield f"{n} {probe} rows, at least {least}"
    cells = Counter(r.attack_family for r in rows)
    for family in FAMILIES:
        least = CELL
        if family == "multilingual" and not concept.multilingual:  # languages that write the name as English have none
            least = 15 * sum(not keeps_name(concept.translations[code].noun, concept) for code in LANGUAGES)
        if cells[family] < least and family not in concept.without:
            yield f"{family}: {cells[family]} rows, at least {least}, and no reason"
    kinds = Counter(r.probe for r in rows)
    for probe in PROBES:
        least = 4 if probe == "superclass" else CELL  # a wider phrase fits in few scenes of a proper name
        if probe in concept.without or (probe == "composition" and not concept.companions):
            continue
        if kinds[probe] < least:
            yield f"{probe}: {kinds[probe]} rows, at least {least}"
    own = [*concept.english, *concept.foreign.values()]
    plural = {n: "(?:s|es)?" if n in concept.english else "" for n in own}
    patterns = [(n, re.compile(rf"(?<!\w){re.escape(fold(n))}{plural[n]}(?!\w)")) for n in own if n[-1] < "\u2e80"]
    for row in rows:
        texts = [row.stripped_prompt] if row.probe != "in-prompt" or concept.domain != "style" else []
        if row.split == "retain" and row.probe in ("near", "far"):
            texts.append(row.prompt)
        if row.attack_family in ("indirect", "subclass"):
            texts.append(row.prompt)
        for text in texts:
            folded = fold(text)
            for name, pattern in patterns:
                if pattern.search(folded):
                    yield f"{row.probe}/{row.attack_family}: leaks {name!r}: {text!r}"
        for text in {row.prompt, row.stripped_prompt}:
            for v in policy.violations(text, domain=concept.domain, language=row.language):
                yield f"policy ({v.rule}): {v.term!r} in {text!r}"
        if row.split == "adversarial" and row.name_kept:
            yield f"{row.attack_family}: keeps the name: {row.prompt!r}"
    direct = [r for r in rows if r.probe == "direct"]
    prompts = [r.prompt for r in direct]
    if (bleu := self_bleu(prompts)) > BLEU:
        yield f"self-BLEU-4 {bleu:.3f}"
    if (share := distinct_n(prompts, 2)) < DISTINCT:
        yield f"distinct-2 {share:.3f}"
    longer = [(r.prompt, content_words(r.prompt)) for r in direct if r.register_ in ("sentence", "long")]
    for i, (text, words) in enumerate(longer):
        for other, theirs in longer[:i]:
            if overlap(words, theirs) > ALIKE:
                yield f"too alike: {text!r} ~ {other!r}"
    yield from rounds(rows)


def rounds(rows: Sequence[Row]) -> Iterator[str]:
    """Whether every prefix of rounds is balanced over what rows are of."""
    for name in ("split", "probe", "attack_family", "own_concept", "register_"):
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
