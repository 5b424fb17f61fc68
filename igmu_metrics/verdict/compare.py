"""Compares models on the same generations: whether a difference is statistically significant, and how large it may be.

Conventions:

- The *conditional* difference is compared: it counts only prompts and seeds for which the original generated the
  requested concept (in retain rows of all probes: the row's own concept) and which could be judged for both models. The
  difference over all generations is given as *raw*. Compared with the original itself, a conditional difference can
  only be a loss of the concept, since the original generated it in all of these; the interval shows how much was lost.
- The prompt is the unit; of adversarial prompts it is the source prompt, since rewritings of one prompt depend on each
  other. With one generation per unit the test is McNemar's exact test, with several a paired permutation test. One
  prompt is not enough for a test, and with fewer than six no two-sided test can reach 5%; in these cases there is no
  test, and `why` says so.
- There are three measures for a concept, and one for general prompts: the share of an image's questions that are
  answered as intended, over all pairs, because there is nothing to condition on. For each, higher is better. All
  comparisons in one measure (every model against the original and against every other model) are *one family*: Holm's
  correction covers all of its tests, so that a comparison has the same p value wherever it is shown. Intervals are not
  corrected and are called unadjusted.
- Cards from one of several looks (`statistics.looks`) have repeated intervals and p values, according to the card with
  the larger number of planned looks. Models that stopped at different looks are compared on the generations of both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Final, NamedTuple

import numpy as np

from igmu_data.errors import EmptyInputError, IncomparableError
from igmu_data.numerals import counted
from igmu_metrics.contract import Interval
from igmu_metrics.coverage import covered
from igmu_metrics.generations import ORIGINAL
from igmu_metrics.images import ways
from igmu_metrics.scorecard import Scorecard
from igmu_metrics.statistics import holm, intraclass_correlation, mcnemar_exact, paired_difference, paired_permutation
from igmu_metrics.statistics.level import LEVEL, at_level
from igmu_metrics.statistics.looks import Looks

ALPHA: Final = 0.05
MIN_PROMPTS: Final = 6  # 2/2⁶ ≤ 0.05 < 2/2⁵: the smallest possible p value
UNADJUSTED: Final = "unadjusted 95% interval"
FORGETTING: Final = "conditional unlearning accuracy"
RESISTANCE: Final = "conditional resistance to attacks per image"
RETAINING: Final = "conditional retain accuracy"
ANSWERING: Final = "question accuracy"
# By measure: the split that counts, the column with decisions or shares, and whether the requested concept should be
# visible.
MEASURES: Final[Mapping[str, tuple[str, str, bool]]] = {
    FORGETTING: ("forget", "present", False),
    RESISTANCE: ("adversarial", "present", False),
    RETAINING: ("retain", "present", True),
    ANSWERING: ("retain", "answered", True),
}


_GENERATED: Final = "generated"  # compared setting by setting, as far as both cards record it (`require_one_way`)
# Fields of a signature that depend on which prompts and seeds were generated.
_OF_COVERAGE: Final = ("rows", "k")
_OF_ROUNDS: Final = ("rows",)  # those of them that differ between rounds of one protocol
# The metrics that read the columns of MEASURES. Pairs are compared on nothing else, so a different CLIP does no harm.
_DECIDED: Final = ("concept_accuracy", "attack_success_rate", "question_accuracy")
# Fields that a reader must know to be the same in all cards, with what they are called.
_CONSTANT: Final[Mapping[str, str]] = {
    "detector": "detector",
    "detector.threshold": "threshold",
    "original": "original",
    "k": "k",
    "dataset": "corpus",
    "clip": "CLIP",
    _GENERATED: "generated with",
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """One difference between two models.

    Args:
        first: a model.
        second: the model it is compared with.
        original: whether the second is the original, before unlearning.
        measure: one of MEASURES.
        difference: share of good generations (or answers) of the first minus that of the second, counting only prompts
            and seeds for which the original generated the concept, −1..1; NaN if none count.
        interval: 95% interval for the difference, not adjusted for the other comparisons; None if none count.
        n: number of pairs that count.
        n_prompts: number of their prompts; of source prompts for resistance to attacks.
        only_first: number of pairs in which only the first model is good, or had more questions answered as intended.
        only_second: number of pairs in which only the second model is.
        raw: the difference over all pairs that could be judged, whatever the original generated; NaN without pairs.
        raw_n: number of those pairs.
        variance: variance of the difference between prompts, for planning; NaN for fewer than two prompts.
        test: `mcnemar` or `permutation`; "" if there is none.
        p: uncorrected p value, adjusted for several looks if necessary; None if there is no test.
        p_holm: p value corrected for all tests of the family; None if there is no test.
        family: number of comparisons of this measure, including those without a test.
        tests: number of tests in the family, which are corrected together.
        correlation: correlation of the difference between two seeds of a prompt, 0..1; None if it is unknown.
        why: why there is no test; "" if there is one.
    """

    first: str
    second: str
    original: bool
    measure: str
    difference: float
    interval: Interval | None
    n: int
    n_prompts: int
    only_first: int
    only_second: int
    raw: float
    raw_n: int
    variance: float
    test: str
    p: float | None
    p_holm: float | None = None
    family: int = 1
    tests: int = 0
    correlation: float | None = None
    why: str = ""

    @property
    def significant(self) -> bool:
        """Whether the difference is significant at 5% after the correction; never without a test."""
        return self.p_holm is not None and self.p_holm <= ALPHA

    @property
    def conditional(self) -> bool:
        """Whether only what the original generated counts; in general prompts all does."""
        return self.measure != ANSWERING

    @property
    def prompt(self) -> str:
        """The word for one of `n_prompts`."""
        return prompt_of(self.measure)

    @property
    def units(self) -> str:
        """The number of units: generations, or prompts if there are several generations per prompt."""
        n, what = (self.n, "generation") if self.n == self.n_prompts else (self.n_prompts, self.prompt)
        return f"{n} {what}{'' if n == 1 else 's'}"

    def outcome(self, yes: str = "yes", no: str = "not significantly") -> str:
        """The result of the test with its numbers, or why there is none."""
        if self.p_holm is None:
            return f"no test: {self.why}"
        return f"{yes if self.significant else no}: n = {self.units}, p = {self.p_holm:.3g}"

    def sentence(self) -> str:
        """The comparison in words."""
        start = f"{self.first} against {self.second} in {self.measure}"
        if self.interval is None:
            return f"{start}: the difference cannot be measured, because {self.why}"
        told = (
            f"{start}: {self.difference:+.2f} ({UNADJUSTED} {self.interval[0]:+.2f} to {self.interval[1]:+.2f}; raw "
            f"{self.raw:+.2f} on {counted(self.raw_n, 'generation')})"
        )
        if self.p_holm is None:
            return f"{told}; not tested, because {self.why}"
        return (
            f"{told}; {'' if self.significant else 'not '}significant at n = {self.units} (p = {self.p_holm:.3g} after "
            f"Holm correction over {self.tests} test{'s' * (self.tests > 1)})"
        )


def prompt_of(measure: str) -> str:
    """The word for the unit of a measure: rewritings of one source prompt are one unit."""
    return "source prompt" if measure == RESISTANCE else "prompt"


def require_comparable(cards: Sequence[Scorecard], *, ranked: bool = True) -> None:
    """Refuse cards whose signatures differ in more than the model.

    Args:
        cards: cards of some models.
        ranked: whether their values will be shown side by side, so that they must cover the same part of the protocol;
            otherwise it is enough that they share generations, on which `compared` compares them, and that these were
            judged in the same way; `not_compared` names scores that differ in other settings.

    Raises:
        EmptyInputError: there are no cards.
        IncomparableError: the cards differ; the message gives the fields and both values, or both coverages.
    """
    if not cards:
        raise EmptyInputError("there are no scorecards to compare. Specify at least one.")
    first = cards[0]
    for other in cards[1:]:
        if not first.scores.keys() & other.scores.keys():
            raise IncomparableError(
                f"{first.model} and {other.model} have no score in common. Score them with the same settings."
            )
        _require_alike(first, other, but=_OF_COVERAGE, ranked=ranked)
        require_one_original(first, other)
        looked = _of_one_plan(first, other)
        if ranked and first.coverage != other.coverage and not looked:
            raise IncomparableError(
                f"{first.model} and {other.model} cover different parts of the protocol ({covered(first)}; and "
                f"{covered(other)}). Show them separately, or use 'igmu compare', which compares shared generations."
            )
        if ranked:
            _require_alike(first, other, but=_OF_ROUNDS if looked else ())
    require_one_way(cards)
    if not ranked:
        for a, b in combinations(cards, 2):
            if not set(a.generations.keys) & set(b.generations.keys):
                raise IncomparableError(
                    f"{a.model} and {b.model} have no prompt and seed in common ({covered(a)}; and {covered(b)}). "
                    "Generate both with the same prompts and seeds."
                )


def _of_one_plan(first: Scorecard, other: Scorecard) -> bool:
    """Whether two cards are looks at the same protocol, whose rounds are balanced, so that they may stop anywhere."""
    mine, theirs = Looks.of(first), Looks.of(other)
    if mine is None or theirs is None or mine.planned != theirs.planned:
        return False
    asked = [
        {part: (c.n_prompts_asked, c.n_generations_asked) for part, c in (card.coverage or {}).items()}
        for card in (first, other)
    ]
    return asked[0] == asked[1]


def _require_alike(first: Scorecard, other: Scorecard, *, but: Sequence[str] = (), ranked: bool = True) -> None:
    shared = sorted(first.scores.keys() & other.scores.keys())
    decided = [name for name in shared if first.scores[name].name in _DECIDED]
    for name in shared if ranked or not decided else decided:
        listed = "; ".join(f"{k}: {a!r} and {b!r}" for k, (a, b) in _differing(first, other, name, but).items())
        if listed:
            raise IncomparableError(
                f"{first.model} and {other.model} cannot be compared in {name}: {listed}. Score them with the "
                "same settings."
            )


def _differing(first: Scorecard, other: Scorecard, name: str, but: Sequence[str]) -> dict[str, tuple[Any, Any]]:
    """The fields in which two cards' signatures of a score differ, with both values; not how images were generated."""
    found = first.scores[name].signed().differences(other.scores[name].signed())
    return {k: both for k, both in found.items() if k not in (*but, _GENERATED)}


def unlike(cards: Sequence[Scorecard]) -> dict[str, dict[str, list[Any]]]:
    """Scores whose settings differ between cards, with the differing fields and their values (None if absent).

    Cards that `require_comparable` accepts for pairwise comparison may differ in scores that do not depend on the
    detector, such as those of CLIP. Their values must not be ranked.
    """
    found: dict[str, dict[str, list[Any]]] = {}
    for first, other in combinations(cards, 2):
        made = ways.differing(first, other)
        for name in sorted(first.scores.keys() & other.scores.keys()):
            for field, both in (_differing(first, other, name, _OF_COVERAGE) | made).items():
                values = found.setdefault(name, {}).setdefault(field, [])
                values += [value for value in both if value not in values]
    return found


def not_compared(cards: Sequence[Scorecard]) -> str:
    """Which scores cannot be compared, and in which settings they differ; "" if all can be."""
    told: dict[str, list[str]] = {}
    for name, fields in unlike(cards).items():
        # The revision and preparation of a network follow from its name, so they are named only if it is the same.
        why = "; ".join(
            f"{field}: {' and '.join('none' if value is None else str(value) for value in values)}"
            for field, values in fields.items()
            if "." not in field or field.partition(".")[0] not in fields
        )
        told.setdefault(why, []).append(name)
    return " ".join(
        f"Not compared, because the settings differ ({why}): {', '.join(names)}." for why, names in told.items()
    )


def agreed(cards: Sequence[Scorecard]) -> dict[str, Any]:
    """The fields of signatures that all cards have, and in which all scores agree, except model, metric and version."""
    fields: list[dict[str, Any]] = []
    for card in cards:
        found: dict[str, Any] = {}
        for entry in card.scores.values():
            found |= entry.signature
        unsure = {k for e in card.scores.values() for k, v in e.signature.items() if found[k] != v}
        fields.append({k: v for k, v in found.items() if k not in unsure | {"model", "metric", "v"}})
    first, *others = fields
    return {k: v for k, v in sorted(first.items()) if all(k in other and other[k] == v for other in others)}


def same(cards: Sequence[Scorecard]) -> dict[str, Any]:
    """What a comparison holds constant: detector, original, k, corpus, CLIP and generation settings, if they agree."""
    found = agreed(cards)
    return {name: found[name] for name in _CONSTANT if name in found}


def same_in_all(found: Mapping[str, Any]) -> str:
    """What is the same in all cards (see `same`), as a sentence; "" if nothing is."""
    values = {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in found.items()}
    if "original" in found:
        values["original"] = repr(found["original"])  # it is often called "original"
    told = ", ".join(f"{_CONSTANT[name]} {value}" for name, value in values.items())
    return f"The same in all scorecards: {told}." if told else ""


def require_one_original(first: Scorecard, other: Scorecard) -> None:
    """Refuse cards that were scored against different original images, whatever the original's name."""
    mine, theirs = (
        {key: g[name] for key, g in zip(c.generations.keys, c.generations.records(name), strict=True) if g[name]}
        for c in (first, other)
        for name in ("sha256" + ORIGINAL,)
    )
    shared = sorted(mine.keys() & theirs.keys())
    if unlike := [key for key in shared if mine[key] != theirs[key]]:
        row, seed = unlike[0]
        raise IncomparableError(
            f"{first.model} and {other.model} were scored against different originals: of the "
            f"{counted(len(shared), 'image')} of {first.original_model!r} that both used, {len(unlike)} differ, such "
            f"as the image for row {row!r}, seed {seed}. Score both against the same folder."
        )


def require_one_way(cards: Sequence[Scorecard]) -> None:
    """Refuse cards whose images are known to have been generated with different settings, each with every other.

    Two cards may agree with a third one that does not record its settings, and still differ from each other.

    Raises:
        IncomparableError: the settings differ; the message gives each with both values.
    """
    for first, other in combinations(cards, 2):
        if found := ways.differing(first, other):
            raise IncomparableError(
                f"{first.model} and {other.model} cannot be compared, because their images were generated with "
                f"different settings ({ways.listed(found)}). Generate both with the same settings, then score again."
            )


def in_common(cards: Sequence[Scorecard]) -> str:
    """On how many generations cards with different coverage are compared; "" if all have the same generations."""
    held = {c.model: set(c.generations.keys) for c in cards}
    if all(keys == held[cards[0].model] for keys in held.values()):
        return ""
    pairs = ", ".join(f"{a} and {b} {len(held[a] & held[b])}" for a, b in combinations(held, 2))
    return f"Coverage differs, so pairs are compared on the generations that both have: {pairs}."


def compared(cards: Sequence[Scorecard]) -> tuple[Comparison, ...]:
    """All comparisons in each measure: the models against the original, then against each other.

    A measure without judged rows is left out, except the main one: forgetting, or answers about general prompts. Cards
    of the original against itself are left out too.

    Raises:
        IncomparableError: two cards of one model: their comparison would count as one more in the correction.
    """
    models = [c for c in cards if c.model != c.original_model]
    for model, n in Counter(c.model for c in models).items():
        if n > 1:
            raise IncomparableError(
                f"there are {n} scorecards of {model!r} for {models[0].config}. Specify one scorecard per model."
            )
    found = [
        _compare(c.model, c.original_model, m, c, c, ORIGINAL) for m in MEASURES for c in models if _measured(m, c)
    ]
    found += [
        _compare(a.model, b.model, m, a, b, "")
        for m in MEASURES
        for a, b in combinations(models, 2)
        if _measured(m, a, b)
    ]
    return _corrected(found)


def main_measure(card: Scorecard) -> str:
    """What a card is about: the answers to general prompts' questions, or forgetting."""
    return ANSWERING if card.general else FORGETTING


def _measured(measure: str, *cards: Scorecard) -> bool:
    split, column, _ = MEASURES[measure]
    if any(card.general is not (measure == ANSWERING) for card in cards):
        return False
    return measure in (FORGETTING, ANSWERING) or all(
        any(None not in g.values() for g in c.generations.part(split).records(column, column + ORIGINAL)) for c in cards
    )


def _compare(first: str, second: str, measure: str, a: Scorecard, b: Scorecard, suffix: str) -> Comparison:
    """One comparison, with an uncorrected p value.

    Args:
        first: the model of `a`.
        second: the model compared with it.
        measure: one of MEASURES.
        a: the card of the first model.
        b: the card that contains the second model.
        suffix: ending of the column of `b` with the decisions about the second model's images.
    """
    pairs = _pairs(a, b, measure, suffix)
    chosen = [pair for pair in pairs if pair.drawn]
    raw = float(np.mean([p.first for p in pairs]) - np.mean([p.second for p in pairs])) if pairs else float("nan")
    beside: dict[str, Any] = {"original": suffix == ORIGINAL, "raw": raw, "raw_n": len(pairs)}
    if not chosen:
        why = (
            "the original did not generate the concept in any pair that was judged for both models"
            if pairs
            else "no question was answered about both models' images"
            if measure == ANSWERING
            else f"no {MEASURES[measure][0]} generation was judged for both models"
        )
        nan = float("nan")
        return Comparison(first, second, measure=measure, difference=nan, interval=None, n=0, n_prompts=0,
                          only_first=0, only_second=0, variance=nan, test="", p=None, why=why, **beside)  # fmt: skip
    mine, theirs = [p.first for p in chosen], [p.second for p in chosen]
    prompts, of = np.unique([p.prompt for p in chosen], return_inverse=True)
    gaps = np.bincount(of, np.subtract(mine, theirs, dtype=np.float64)) / np.bincount(of)
    shared = intraclass_correlation(np.subtract(mine, theirs, dtype=np.float64), of)
    looks = [look for look in (Looks.of(a), Looks.of(b)) if look is not None]
    look = max(looks, key=lambda one: one.planned, default=None)
    with at_level(look.level if look else LEVEL):
        difference, interval = paired_difference(mine, theirs, of)
    only_first = sum(p.first > p.second for p in chosen)
    only_second = sum(p.second > p.first for p in chosen)
    p: float | None = None
    test = why = ""
    unit = prompt_of(measure)
    if a.unfounded or b.unfounded:
        why = a.unfounded or b.unfounded
    elif len(prompts) == 1:
        why = f"there is only one {unit}"
    elif len(prompts) < MIN_PROMPTS:
        why = f"with fewer than {MIN_PROMPTS} {unit}s (here {len(prompts)}), no two-sided test can reach {ALPHA:g}"
    elif len(prompts) < len(chosen) or measure == ANSWERING:  # shares are not yes or no
        test, p = "permutation", paired_permutation(np.subtract(mine, theirs, dtype=np.float64), of)
    else:
        test, p = "mcnemar", mcnemar_exact(only_first, only_second)
    if p is not None and look is not None:
        p = look.repeated(p)
    return Comparison(
        first,
        second,
        measure=measure,
        difference=difference,
        interval=interval,
        n=len(chosen),
        n_prompts=len(prompts),
        only_first=only_first,
        only_second=only_second,
        variance=float(gaps.var(ddof=1)) if len(gaps) > 1 else float("nan"),
        test=test,
        p=p,
        correlation=None if shared != shared else shared,
        why=why,
        **beside,
    )


class _Pair(NamedTuple):
    """A generation that was judged for both models: its unit, how good each model is, and whether it counts.

    The unit is the prompt, or the source prompt of an adversarial one.
    """

    prompt: str
    first: float
    second: float
    drawn: bool


def _pairs(a: Scorecard, b: Scorecard, measure: str, suffix: str) -> list[_Pair]:
    split, column, wanted = MEASURES[measure]
    mine, theirs = (c.generations.part(split) for c in (a, b))
    before, against = column + ORIGINAL, column + suffix
    others = dict(zip(theirs.keys, theirs.records(against, before), strict=True))
    out = []
    for key, g in zip(mine.keys, mine.records(column, before, "attack_source_id"), strict=True):
        other = others.get(key)
        if other is None or g[column] is None or other[against] is None:
            continue
        unit = g["attack_source_id"] or key[0]
        if measure == ANSWERING:
            out.append(_Pair(unit, g[column], other[against], drawn=True))
        else:
            drawn = g[before] is True and other[before] is True
            out.append(_Pair(unit, g[column] is wanted, other[against] is wanted, drawn))
    return out


def _corrected(found: Sequence[Comparison]) -> tuple[Comparison, ...]:
    """The comparisons with corrected p values; the correction covers all tests of a measure."""
    out = list(found)
    for measure in MEASURES:
        family = [at for at, c in enumerate(found) if c.measure == measure]
        tests = {at: p for at in family if (p := found[at].p) is not None}
        adjusted = dict(zip(tests, holm(list(tests.values())), strict=True))
        for at in family:
            out[at] = replace(found[at], p_holm=adjusted.get(at), family=len(family), tests=len(tests))
    return tuple(out)
