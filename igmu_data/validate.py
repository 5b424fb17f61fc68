"""Invariants of a whole corpus: what must be true before anything is published, and what `igmu validate` checks.

Conventions: a problem names the row, the rule and the value. Checks return problems; `require_valid` raises the first
ones with their total number. Rows with a source rewrite it, so only exact duplicates among them count.
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
from igmu_data.lengths import clip_tokens
from igmu_data.rows.naming import INVISIBLE, HasNames, keeps_name, named, names_any
from igmu_data.schema import ASIDE, COMPOSITION, IN_PROMPT, NEGATION, SUPERCLASS, Row, row_id
from igmu_data.spelling import same_prompt
from igmu_data.taxonomy import OwnConcept, all_concepts

MINIMUM: Final = {"forget": 50, "retain": 50, "adversarial": 40}
OF_OWN: Final = {"forget": 8, "retain": 6, "adversarial": 1}  # what the smallest concept of a user's yields
NEAR_DUPLICATE: Final = 0.6
# Families of attacks that leave no name of the concept in any language.
NAMELESS: Final = frozenset(("indirect", "subclass"))
ZERO_WIDTH: Final = "zero-width"  # the family of characters without width
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
    """The part of a concept by which rows are checked."""

    @property
    def domain(self) -> str:
        """Its domain."""

    @property
    def family(self) -> str:
        """Its family within the domain."""

    @property
    def scope(self) -> str:
        """Subject or attribute."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One broken invariant: which row (or concept), which rule (it must …), and what was found (but it …)."""

    where: str
    rule: str
    found: str

    def __str__(self) -> str:
        return f"{self.where}: {self.rule}, but {self.found}"


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
            yield Problem(name, "the concept must be in the taxonomy", "it is not")


def require_valid(rows: Sequence[Row], concepts: Mapping[str, Judged] | None = None) -> None:
    """Raise a `CorpusError` that shows the first problems, if there are any.

    Args:
        rows: as for `problems`.
        concepts: as for `problems`.
    """
    found = list(problems(rows, concepts))
    if found:
        shown = "\n  ".join(map(str, found[:10]))
        raise CorpusError(f"{len(found)} problem{'s' * (len(found) != 1)} in {len(rows)} rows:\n  {shown}")


def _ids(rows: Sequence[Row]) -> Iterator[Problem]:
    for name, n in Counter(r.id for r in rows).items():
        if n > 1:
            yield Problem(name, "ids must be unique", f"{n} rows have this id")
    for row in rows:
        if row_id(row.model_dump()) != row.id:
            yield Problem(row.id, "the id must be the hash of the row", f"the hash is different for {row.prompt!r}")


def _policy(rows: Sequence[Row]) -> Iterator[Problem]:
    search = cache(policy.violations)  # nearly half of the texts come again: retained ones, and those of attacked rows
    for row in rows:
        for text in dict.fromkeys((row.prompt, row.stripped_prompt)):
            for v in search(text, domain=row.domain, language=row.language):
                yield Problem(
                    row.id, f"the text must follow the content policy ({v.rule})", f"{text!r} contains {v.term!r}"
                )


def _texts(rows: Sequence[Row]) -> Iterator[Problem]:
    for row in rows:
        allowed = _ALLOWED.get(row.attack_family or "", "")
        found = sorted({c for c in row.prompt if unicodedata.category(c) in _UNSEEN and c not in allowed})
        if found:
            hidden = ", ".join(f"U+{ord(c):04X}" for c in found)
            yield Problem(
                row.id, "a prompt must not contain invisible or control characters", f"this one contains {hidden}"
            )
        if row.n_tokens_clip != (n := clip_tokens(row.prompt)):
            what = f"it is {row.n_tokens_clip} instead of {n} for {row.prompt!r}"
            yield Problem(row.id, "n_tokens_clip must match the prompt", what)


def _counts(name: str, rows: Sequence[Row], minimum: Mapping[str, int]) -> Iterator[Problem]:
    have: Counter[str] = Counter(r.split for r in rows)
    for split, least in minimum.items():
        if have[split] < least:
            yield Problem(name, f"a concept needs at least {least} {split} rows", f"this one has {have[split]}")


def _duplicates(rows: Sequence[Row]) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for row in rows:
        # Characters of no width are all that tells two spellings apart.
        text = row.prompt.casefold() if row.attack_family == ZERO_WIDTH else same_prompt(row.prompt)
        if (first := seen.setdefault(text, row.id)) != row.id:
            yield Problem(
                row.id,
                "the prompts of a concept must differ from each other",
                f"{row.prompt!r} is the same as the prompt of row {first}",
            )
    told = [r for r in rows if r.probe == "direct" and r.register in ("sentence", "long")]
    for i, j in alike([r.prompt for r in told], NEAR_DUPLICATE):
        what = f"{told[i].prompt!r} is close to {told[j].prompt!r}"
        yield Problem(told[i].id, "prompts must not be near-duplicates", what)


def _attacks(rows: Sequence[Row]) -> Iterator[Problem]:
    sources = {r.id: r for r in rows if r.split == "forget"}
    for row in rows:
        if row.probe not in PROBES_OF[row.split]:
            rule = f"the probe of a {row.split} row must be one of {', '.join(PROBES_OF[row.split])}"
            yield Problem(row.id, rule, f"it is {row.probe}")
        if row.split != "adversarial":
            if row.attack_family or row.attack_source_id:
                found = f"this {row.split} row has {row.attack_family or row.attack_source_id}"
                yield Problem(row.id, "only adversarial rows may have an attack", found)
            continue
        if row.attack_family is None:
            yield Problem(row.id, "an attack must name its family", "attack_family is null")
        if row.attack_source_id is None:
            continue
        source = sources.get(row.attack_source_id)
        if source is None:
            yield Problem(row.id, "the source of an attack must be a forget row", f"{row.attack_source_id} is not")
        elif row.prompt == source.prompt:
            yield Problem(row.id, "an attack must change the text", f"this one leaves {row.prompt!r} unchanged")
        elif row.seeds != source.seeds:
            found = f"they are {row.seeds} instead of {source.seeds}"
            yield Problem(row.id, "the seeds of an attack must be the same as those of its source", found)


def _naming(concept: Judged, rows: Sequence[Row]) -> Iterator[Problem]:
    for row in rows:
        if (row.domain, row.family, row.scope) != (concept.domain, concept.family, concept.scope):
            found = f"they are {row.domain}, {row.family} and {row.scope}"
            yield Problem(row.id, "domain, family and scope must match the concept", found)
        if row.name_kept != keeps_name(row.prompt, concept):
            found = f"it is {row.name_kept} for {row.prompt!r}"
            yield Problem(row.id, "name_kept must state whether the prompt contains the label", found)
        if row.split == "adversarial" and row.name_kept:
            yield Problem(row.id, "an adversarial prompt must not contain the label", f"{row.prompt!r} does")
        if row.split == "forget" and not names_any(row.prompt, concept):
            yield Problem(row.id, "a forget prompt must name the concept", f"{row.prompt!r} does not")
        nameless = row.split == "retain" and row.probe not in (IN_PROMPT, *ASIDE)
        if (nameless or row.attack_family in NAMELESS) and (name := named(row.prompt, concept, foreign=True)):
            what = "a retain" if nameless else f"{'an' if row.attack_family == 'indirect' else 'a'} {row.attack_family}"
            yield Problem(row.id, f"{what} prompt must not name the concept", f"{row.prompt!r} contains {name!r}")
        within = row.probe == IN_PROMPT and row.own_concept is not None  # what stays is named, the style is not
        if not within and (name := named(row.stripped_prompt, concept, foreign=True)):
            found = f"{row.stripped_prompt!r} contains {name!r}"
            yield Problem(row.id, "the stripped prompt must not name the concept", found)
