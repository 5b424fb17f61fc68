"""Invariants of a whole corpus: what must hold before anything is published, and what `igmu validate` checks.

Conventions: a problem names the row, the rule and the value. Checks return problems; `require_valid` raises the first
with the number of the others. Rows with a source rewrite it, so only exact duplicates of theirs count.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, Protocol

from igmu_data import policy
from igmu_data.errors import CorpusError
from igmu_data.lengths import tokens_at_most
from igmu_data.rows.naming import INVISIBLE, HasNames, keeps_name, named, names_any
from igmu_data.schema import ASIDE, COMPOSITION, IN_PROMPT, NEGATION, SUPERCLASS, Row, row_id
from igmu_data.spelling import same_prompt
from igmu_data.taxonomy import OwnConcept, all_concepts

MINIMUM: Final = {"forget": 50, "retain": 50, "adversarial": 40}
OF_OWN: Final = {"forget": 8, "retain": 6, "adversarial": 1}  # what is left of the least that a user's concept holds
NEAR_DUPLICATE: Final = 0.6
# Families of attacks that leave no name of the concept in any language.
NAMELESS: Final = frozenset(("indirect", "subclass"))
ZERO_WIDTH: Final = "zero-width"  # the family about characters that are drawn as nothing
# Invisible characters that a family may use; Persian writes one of them within words.
_ALLOWED: Final = {ZERO_WIDTH: INVISIBLE, "mixed-language": "\u200c"}
PROBES_OF: Final = {
    "forget": ("direct", NEGATION, COMPOSITION),
    "retain": ("near", "far", IN_PROMPT, SUPERCLASS),
    "adversarial": ("attack",),
}
_UNSEEN: Final = ("Cc", "Cf", "Cs", "Co", "Cn")
_STOPWORDS: Final = frozenset(
    "a an the of in on at by to from with and or its his her their is are as into over under near beside behind before "
    "after along across through between against for up down out off while where that which it one two".split()
)


class Judged(HasNames, Protocol):
    """A concept as far as rows are judged by it."""

    @property
    def domain(self) -> str:
        """Which domain it is in."""

    @property
    def family(self) -> str:
        """Within its domain."""

    @property
    def scope(self) -> str:
        """Subject or attribute."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One broken invariant: which row (or concept), which rule, and what was found."""

    where: str
    rule: str
    found: str

    def __str__(self) -> str:
        return f"{self.where}: {self.rule}: {self.found}"


def content_words(text: str) -> frozenset[str]:
    """Lower-case words that carry meaning; placeholders and function words are left out.

    >>> sorted(content_words("A church on the hill, at {a} dawn"))
    ['church', 'dawn', 'hill']
    """
    words = re.findall(r"[^\W\d_]+", re.sub(r"\{\w+\}", " ", text.casefold()))
    return frozenset(words) - _STOPWORDS


def overlap(a: frozenset[str], b: frozenset[str]) -> float:
    """Jaccard index of two word sets, 0..1; two empty sets are alike (1).

    >>> overlap(frozenset({"hill", "dawn"}), frozenset({"hill", "dusk", "sea"}))
    0.25
    """
    return len(a & b) / len(a | b) if a | b else 1.0


def alike(texts: Sequence[str], above: float) -> Iterator[tuple[int, int]]:
    """Places of every two texts whose content words overlap by more than a bound, the later one first.

    >>> list(alike(["a red hill", "the lake", "red hills, a red hill"], 0.5))
    [(2, 0)]
    """
    words = [content_words(text) for text in texts]
    for i, own in enumerate(words):
        yield from ((i, j) for j, theirs in enumerate(words[:i]) if overlap(own, theirs) > above)


def problems(rows: Iterable[Row], concepts: Mapping[str, Judged] | None = None) -> Iterator[Problem]:
    """Every broken invariant of a corpus.

    Args:
        rows: all rows of one or more whole concepts.
        concepts: by id, with the names that the rows know them by; by default those of the taxonomy.
    """
    concepts = all_concepts() if concepts is None else concepts
    rows = list(rows)
    yield from _ids(rows)
    yield from _policy(rows)
    yield from _texts(rows)
    by_concept: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_concept[row.concept].append(row)
    for name, own in sorted(by_concept.items()):
        yield from _counts(name, own, OF_OWN if isinstance(concepts.get(name), OwnConcept) else MINIMUM)
        yield from _duplicates(own)
        yield from _attacks(own)
        if name in concepts:
            yield from _naming(concepts[name], own)
        else:
            yield Problem(name, "concept is in the taxonomy", "it is not")


def require_valid(rows: Sequence[Row], concepts: Mapping[str, Judged] | None = None) -> None:
    """Raise a `CorpusError` that shows the first problems, if there are any.

    Args:
        rows: as for `problems`.
        concepts: likewise.
    """
    found = list(problems(rows, concepts))
    if found:
        shown = "\n  ".join(map(str, found[:10]))
        raise CorpusError(f"{len(found)} broken invariants in {len(rows)} rows:\n  {shown}")


def _ids(rows: Sequence[Row]) -> Iterator[Problem]:
    for name, n in Counter(r.id for r in rows).items():
        if n > 1:
            yield Problem(name, "ids are unique", f"{n} rows have it")
    for row in rows:
        if row_id(row.model_dump()) != row.id:
            yield Problem(row.id, "the id is the hash of the row", row.prompt)


def _policy(rows: Sequence[Row]) -> Iterator[Problem]:
    search = cache(policy.violations)  # nearly half of the texts come again: retained ones, and those of attacked rows
    for row in rows:
        for text in dict.fromkeys((row.prompt, row.stripped_prompt)):
            for v in search(text, domain=row.domain, language=row.language):
                yield Problem(row.id, f"content policy ({v.rule})", f"{v.term!r} in {text!r}")


def _texts(rows: Sequence[Row]) -> Iterator[Problem]:
    for row in rows:
        allowed = _ALLOWED.get(row.attack_family or "", "")
        found = sorted({c for c in row.prompt if unicodedata.category(c) in _UNSEEN and c not in allowed})
        if found:
            yield Problem(row.id, "no invisible or control character", ", ".join(f"U+{ord(c):04X}" for c in found))
        if row.n_tokens_clip != (n := tokens_at_most(row.prompt, row.language)):
            yield Problem(row.id, "n_tokens_clip is that of the prompt", f"{row.n_tokens_clip}, {n} in {row.prompt!r}")


def _counts(name: str, rows: Sequence[Row], minimum: Mapping[str, int]) -> Iterator[Problem]:
    have: Counter[str] = Counter(r.split for r in rows)
    for split, least in minimum.items():
        if have[split] < least:
            yield Problem(name, f"at least {least} {split} rows", str(have[split]))


def _duplicates(rows: Sequence[Row]) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for row in rows:
        # Characters of no width are all that tells two spellings apart.
        text = row.prompt.casefold() if row.attack_family == ZERO_WIDTH else same_prompt(row.prompt)
        if (first := seen.setdefault(text, row.id)) != row.id:
            yield Problem(row.id, "prompts differ within a concept", f"same as {first}: {row.prompt!r}")
    told = [r for r in rows if r.probe == "direct" and r.register in ("sentence", "long")]
    for i, j in alike([r.prompt for r in told], NEAR_DUPLICATE):
        yield Problem(told[i].id, "no near-duplicates", f"{told[i].prompt!r} ~ {told[j].prompt!r}")


def _attacks(rows: Sequence[Row]) -> Iterator[Problem]:
    sources = {r.id: r for r in rows if r.split == "forget"}
    for row in rows:
        if row.probe not in PROBES_OF[row.split]:
            yield Problem(row.id, f"a row of split {row.split} probes {', '.join(PROBES_OF[row.split])}", row.probe)
        if row.split != "adversarial":
            if row.attack_family or row.attack_source_id:
                yield Problem(row.id, "only adversarial rows have an attack", str(row.attack_family))
            continue
        if row.attack_family is None:
            yield Problem(row.id, "an attack names its family", "null")
        if row.attack_source_id is None:
            continue
        source = sources.get(row.attack_source_id)
        if source is None:
            yield Problem(row.id, "an attack's source is a row to forget", str(row.attack_source_id))
        elif row.prompt == source.prompt:
            yield Problem(row.id, "an attack changes the text", row.prompt)
        elif row.seeds != source.seeds:
            yield Problem(row.id, "an attack is generated with the seeds of its source", str(row.seeds))


def _naming(concept: Judged, rows: Sequence[Row]) -> Iterator[Problem]:
    for row in rows:
        if (row.domain, row.family, row.scope) != (concept.domain, concept.family, concept.scope):
            found = f"{row.domain}, {row.family}, {row.scope}"
            yield Problem(row.id, "domain, family and scope are the concept's", found)
        if row.name_kept != keeps_name(row.prompt, concept):
            yield Problem(
                row.id, "name_kept says whether the prompt contains the label", f"{row.name_kept}: {row.prompt!r}"
            )
        if row.split == "adversarial" and row.name_kept:
            yield Problem(row.id, "an attack does not contain the label", row.prompt)
        if row.split == "forget" and not names_any(row.prompt, concept):
            yield Problem(row.id, "a prompt to forget names the concept", row.prompt)
        nameless = row.split == "retain" and row.probe not in (IN_PROMPT, *ASIDE)
        if (nameless or row.attack_family in NAMELESS) and (name := named(row.prompt, concept, foreign=True)):
            what = "a retain" if nameless else f"{'an' if row.attack_family == 'indirect' else 'a'} {row.attack_family}"
            yield Problem(row.id, f"{what} prompt does not name the concept", f"{name!r} in {row.prompt!r}")
        within = row.probe == IN_PROMPT and row.own_concept is not None  # what stays is named, the style is not
        if not within and (name := named(row.stripped_prompt, concept, foreign=True)):
            yield Problem(
                row.id, "the stripped prompt does not name the concept", f"{name!r} in {row.stripped_prompt!r}"
            )
