"""The content policy: which texts may not enter the corpus, and why.

Conventions:

- Two rules hold in every domain. `minor`: no word for a minor or for a person of unclear age, and no age under 18.
  `explicit`: no sexual act, body fluid, genital, humiliation, slur, gore, torture or method of self-harm.
- The lists live in `policy_terms.toml`, one table a rule and language (en, es, fr, de, it, pt, zh). A row is searched
  with the lists of all languages; words that are harmless elsewhere ("son", "kind") count only in rows of their own
  language. Without a language those are left out.
- A text is read several ways, so that no transform smuggles a term in: as it stands after `fold`; leetspeak undone;
  single letters joined ("t e e n", "t.e.e.n"); pieces between two blanks joined ("gi-rl"); invisible characters once
  dropped and once taken for blanks. A term found in any reading is a violation.
- Whole tokens are compared, so "kidney" and "Boyle" pass. Long unmistakable stems count inside a token
  ("ateengirl"), after ordinary words that hold one ("canteen") are taken out. Chinese terms are substrings.
- Phrases with an innocent meaning ("kid leather") pass, but never in the domain `nsfw`.
- In doubt the answer is refusal: the author rewords. Misspellings ("chlid") are not undone.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from igmu_data.errors import InputError, PolicyError
from igmu_data.folding import fold, fold_leet, terms, visible
from igmu_data.schema import LANGUAGES

__all__ = ["ADULT_AGE", "LANGUAGES", "RULES", "Violation", "fold", "fold_leet", "require", "violations"]

RULES: Final = ("minor", "explicit")
ADULT_AGE: Final = 18
_WORDS: Final = 2**15  # about as many as a corpus has, of which most come again and again

_HAN: Final = re.compile(r"[\u3400-\u9fff]")
_TOKEN: Final = re.compile(r"[^\W_]+")
_DIGIT: Final = re.compile(r"\d")
_LEET_TOKEN: Final = re.compile(r"[@$]*[^\W_]+(?:[@$!|+€#]+[^\W_]+)*[@$#]*")
# An age may be the upper end of a range ("12 to 19 years old"): both ends count.
_N: Final = r"(?<!\d)(?:(\d{1,3}) (?:to|or|and|bis|und|a|o|ou|e|y) )?(\d{1,3})"
_AGES: Final = tuple(
    re.compile(p)
    for p in (
        _N + r" ?(?:years?|yrs?|y|months?|mos?|weeks?|days?) ?olds?\b",
        _N + r" ?(?:yo|y o|yrs?)(?= |$)",
        _N + r" ?(?:st|nd|rd|th) birthday\b",
        _N + r" ?(?:ans|anos?|anni|enne|jahren?|jahre?|jahrig\w*|jaehrig\w*)\b",
        r"\b(?:aged?|ages|alter von|edad de|idade de)(?: of)? ()(\d{1,3})\b",
    )
)
_ZH_AGES: Final = (
    re.compile(r"(?<!\d)(\d{1,3})[周週]?[岁歲]"),
    re.compile(r"(?<![一二三四五六七八九十百千零])(?:[一二两兩三四五六七八九]|十[一二三四五六七]?)[周週]?[岁歲]"),
)


@dataclass(frozen=True, slots=True)
class Violation:
    """One term that a text may not contain.

    Args:
        term: the entry of the word list, or "age under 18".
        rule: "minor" or "explicit".
        language: the language of the list.
        matched: the part of the text that matched, as `fold` left it.
    """

    term: str
    rule: str
    language: str
    matched: str


@dataclass(frozen=True, slots=True)
class _Lists:
    """The lists as they apply to rows of one language (None: unknown)."""

    words: dict[str, Violation]
    longest: int
    stems: dict[str, Violation]
    stem: re.Pattern[str]
    han: dict[str, Violation]
    patterns: tuple[tuple[re.Pattern[str], str], ...]
    ordinary: re.Pattern[str]
    holders: re.Pattern[str]
    han_ordinary: tuple[str, ...]


def violations(text: str, *, domain: str, language: str | None = None) -> tuple[Violation, ...]:
    """Everything in a text that the policy forbids.

    Args:
        text: a prompt or a name, in any language.
        domain: the domain of its row; in "nsfw" no innocent phrase is excepted.
        language: the row's language, one of `LANGUAGES`; None when it is not known.

    Returns:
        The violations without repeats, in the order of the readings; empty when the text may be used.

    Raises:
        InputError: the language is not one of `LANGUAGES`.

    >>> violations("a cowboy hat on a hook", domain="object", language="en")
    ()
    >>> [v.term for v in violations("a t.e.e.n at the harbour", domain="object", language="en")]
    ['teen']
    """
    if language is not None and language not in LANGUAGES:
        raise InputError(
            f"there are no word lists for language {language!r}. Use one of {', '.join(LANGUAGES)}, or None."
        )
    lists = _lists(language, domain != "nsfw")
    # A capital I inside a word passes for an l: only the leet reading may try that.
    marked = re.sub(r"(?<=[a-z])I", "1", visible(text, ""))
    found: dict[tuple[str, str], Violation] = {}
    for version in dict.fromkeys((text, visible(text, " "), marked)):
        for v in _search(fold(version), lists):
            found.setdefault((v.term, v.rule), v)
    return tuple(found.values())


def require(text: str, *, where: str, domain: str, language: str | None = None) -> None:
    """Refuse a text that breaks the policy.

    Args:
        text: a prompt or a name.
        where: the row, file or argument that it comes from, for the message.
        domain: the domain of its row.
        language: the row's language; None when it is not known.

    Raises:
        PolicyError: the text contains a forbidden term. The message names all of them and their rules.

    >>> require("a harbour at dusk", where="row 3", domain="object", language="en")
    """
    found = violations(text, domain=domain, language=language)
    if found:
        what = "; ".join(f"{v.term!r} (rule {v.rule}, {v.language}, read from {v.matched!r})" for v in found)
        raise PolicyError(
            f"{where}: the content policy does not allow {text!r}, because it contains {what}. Reword the text or "
            "leave it out."
        )


def _search(text: str, lists: _Lists) -> Iterator[Violation]:
    """Look through every reading of a folded text."""
    tokens = _TOKEN.findall(text)
    yield from _search_tokens(tokens, lists)
    yield from _search_ages(tokens, text)
    leet = [t if t.isdecimal() else _readings(t) for t in _LEET_TOKEN.findall(text)]
    for end in (0, -1):
        if (read := [t if isinstance(t, str) else t[end] for t in leet]) != tokens:
            yield from _search_tokens(read, lists)
    for readings in leet:
        if not isinstance(readings, str):
            for reading in readings[1:-1]:
                yield from _search_tokens([reading], lists)
    for chunk in text.split():
        if len(pieces := _TOKEN.findall(chunk)) > 1:
            yield from _search_whole("".join(pieces), lists)
    singles = itertools.groupby(_LEET_TOKEN.findall(text), key=lambda t: len(t) == 1)
    for run in ["".join(group) for single, group in singles if single]:
        for reading in (run, *fold_leet(run)):
            for start, end in itertools.combinations(range(len(reading) + 1), 2):
                if 3 <= end - start <= 16:
                    yield from _search_whole(reading[start:end], lists)
    han = "".join(tokens)
    if _HAN.search(han):
        for phrase in lists.han_ordinary:
            han = han.replace(phrase, " ")
        yield from (v for term, v in lists.han.items() if term in han)


_readings = functools.lru_cache(_WORDS)(fold_leet)


def _search_tokens(tokens: list[str], lists: _Lists) -> Iterator[Violation]:
    """Words, stems and patterns in a row of tokens."""
    line = lists.ordinary.sub("_", " ".join(tokens))
    tokens = line.split(" ")
    for n in range(1, lists.longest + 1):
        for i in range(len(tokens) - n + 1):
            if v := lists.words.get(" ".join(tokens[i : i + n])):
                yield v
    for pattern, language in lists.patterns:
        yield from (Violation(m[0], "minor", language, m[0]) for m in pattern.finditer(line))
    line = lists.holders.sub("_", line)
    for hit in lists.stem.finditer(line):
        start, end = line.rfind(" ", 0, hit.start()) + 1, line.find(" ", hit.end())
        v = lists.stems[hit[0]]
        yield Violation(v.term, v.rule, v.language, line[start : None if end < 0 else end])
    yield from (Violation(term, "minor", "en", t) for t in tokens if (term := _glued(t)))


def _search_whole(word: str, lists: _Lists) -> Iterator[Violation]:
    """A word put together from pieces: it is a term, or begins with a stem and has a short ending."""
    hit = lists.stem.match(word)
    v = lists.words.get(word) or (lists.stems[hit[0]] if hit and len(word) - hit.end() <= 4 else None)
    if v:
        yield Violation(v.term, v.rule, v.language, word)


def _search_ages(tokens: list[str], text: str) -> Iterator[Violation]:
    """Ages under 18, in digits or words."""
    numbers, tens = _numbers()
    line: list[str] = []
    for i, t in enumerate(tokens):
        before = tokens[max(0, i - 2) : i]
        larger = before[-1:] and (before[-1] in tens or (before[0] in tens and before[-1] in ("and", "e", "et", "y")))
        eighteen = before[-1:] == ["dix"] and t in ("huit", "neuf")
        thousands = before[-1:] and before[-1].isdecimal() and re.fullmatch(r"\d{3}", t)
        in_years = "jahrig" in t or "jaehrig" in t
        stem = next((w for w in numbers if t.startswith((w + "jahrig", w + "jaehrig"))), "") if in_years else ""
        if thousands:
            line[-1] += t
        elif stem:
            line += [numbers[stem], t[len(stem) :]]
        else:
            line.append(t if larger or eighteen else numbers.get(t, t))
    joined = " ".join(line)
    for pattern in _AGES if _DIGIT.search(joined) else ():
        for hit in pattern.finditer(joined):
            if any(n and int(n) < ADULT_AGE for n in hit.groups()):
                yield Violation("age under 18", "minor", "any", hit[0])
    squashed = "".join(tokens)
    for pattern in _ZH_AGES if "岁" in squashed or "歲" in squashed else ():
        for hit in pattern.finditer(squashed):
            if not hit.re.groups or int(hit[1]) < ADULT_AGE:
                yield Violation("age under 18", "minor", "zh", hit[0])


@functools.lru_cache(_WORDS)
def _glued(token: str) -> str | None:
    """The term that a word is put together from with others, if it is."""
    found = _glue().fullmatch(token)
    return found and found[1]


@functools.cache
def _glue() -> re.Pattern[str]:
    table = terms()["glue"]
    glue, short = _any_of(table["words"]), _any_of(table["terms"])
    return re.compile(rf"(?:{glue})*({short})(?:{glue}|{short})*")


def _any_of(words: Iterable[str]) -> str:
    """A regular expression for the longest of some folded words."""
    return "|".join(re.escape(w) for w in sorted(map(fold, words), key=len, reverse=True))


@functools.cache
def _numbers() -> tuple[dict[str, str], frozenset[str]]:
    ages = terms()["ages"]
    numbered = (pair for names in ages["numbers"].values() for pair in enumerate(names, 1))
    words = {fold(w): str(i) for i, w in numbered if w and " " not in w}
    return words, frozenset(map(fold, ages["tens"]))


@functools.cache
def _lists(language: str | None, excepting: bool) -> _Lists:
    data = terms()
    words: dict[str, Violation] = {}
    stems: dict[str, Violation] = {}
    for rule, lang in itertools.product(RULES, LANGUAGES):
        table = data[rule].get(lang, {})
        for kind, target in (("words", words), ("stems", stems)):
            for term in [*table.get(kind, ()), *(table.get("own_" + kind, ()) if lang == language else ())]:
                target.setdefault(fold(term), Violation(fold(term), rule, lang, fold(term)))
    han = {t: v for t, v in stems.items() if _HAN.search(t)}
    stems = {t: v for t, v in stems.items() if t not in han}
    skip = data["exceptions"]
    parts = [*skip["parts"], *(skip["de"] if language in ("de", None) else ())]
    whole = [*skip["tokens"], *(skip["phrases"] if excepting else ())]
    return _Lists(
        words=words,
        longest=max(t.count(" ") for t in words) + 1,
        stems=stems,
        stem=re.compile(_any_of(stems)),
        han=han,
        patterns=tuple((re.compile(p), lang) for lang, group in data["patterns"].items() for p in group),
        ordinary=re.compile(rf"\b(?:{_any_of(whole)})\b"),
        holders=re.compile(_any_of(parts)),
        han_ordinary=tuple(skip["zh"]),
    )
