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
  correction covers all of its tests, so that a comparison has the same p value wherever it is shown; only the question
  which models may be the best has another one (`report.view`). Intervals are not corrected and are called unadjusted.
- The forget score, alignment and quality have no value for a single image. Models are compared in them by resampling
  the prompts of both together (`joint`), and not with the original, because these scores are already relative to it.
- Cards from one of several looks (`statistics.looks`) have repeated intervals and p values, according to the card with
  the larger number of planned looks. Models that stopped at different looks are compared on the generations of both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
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
from igmu_metrics.statistics import (
    highest_correlation,
    holm,
    intraclass_correlation,
    mcnemar_exact,
    paired_difference,
    paired_permutation,
)
from igmu_metrics.statistics.formatting import number, p_value
from igmu_metrics.statistics.intervals import z_value
from igmu_metrics.statistics.level import LEVEL, at_level
from igmu_metrics.statistics.looks import Looks, fewest
from igmu_metrics.verdict import joint
from igmu_metrics.verdict.alike import OF_COVERAGE, OF_ROUNDS, differing
from igmu_metrics.verdict.joint import SCORES

ALPHA: Final = 0.05
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
# The metrics that read the columns of MEASURES. These are compared on nothing else, so a different CLIP does no harm.
_DECIDED: Final = ("concept_accuracy", "attack_success_rate", "question_accuracy")


@dataclass(frozen=True, slots=True)
class Comparison:
    """One difference between two models.

    Args:
        first: a model.
        second: the model it is compared with.
        original: whether the second is the original, before unlearning.
        measure: one of MEASURES or SCORES.
        difference: share of good generations (or answers) of the first minus that of the second, counting only prompts
            and seeds for which the original generated the concept, −1..1; of SCORES, the first model's score minus the
            second's; NaN if none count.
        interval: 95% interval for the difference, not adjusted for the other comparisons; None if none count.
        n: number of pairs that count.
        n_prompts: number of their prompts; of source prompts for resistance to attacks.
        only_first: number of pairs in which only the first model is good, or had more questions answered as intended;
            0 for SCORES.
        only_second: number of pairs in which only the second model is; 0 for SCORES.
        raw: the difference over all pairs that could be judged, whatever the original generated; None without pairs,
            and for SCORES.
        raw_n: number of those pairs.
        variance: variance of the difference between prompts, for planning; NaN for fewer than two prompts. For SCORES,
            it is derived from the interval; NaN without a test.
        test: `mcnemar`, `permutation` or, for SCORES, `bootstrap`; "" if there is none.
        p: uncorrected p value, adjusted for several looks if necessary; None if there is no test.
        p_holm: p value corrected for all tests of the family; None if there is no test.
        family: number of comparisons of this measure, including those without a test.
        tests: number of tests in the family, which are corrected together.
        correlation: correlation of the difference between two seeds of a prompt, 0..1; None if it is unknown.
        correlation_high: upper end of its 95% interval, for planning: a few differences determine no correlation.
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
    raw: float | None
    raw_n: int
    variance: float
    test: str
    p: float | None
    p_holm: float | None = None
    family: int = 1
    tests: int = 0
    correlation: float | None = None
    correlation_high: float | None = None
    why: str = ""

    @property
    def significant(self) -> bool:
        """Whether the difference is significant at 5% after the correction; never without a test."""
        return self.p_holm is not None and self.p_holm <= ALPHA

    @property
    def conditional(self) -> bool:
        """Whether only what the original generated counts; in general prompts all does, and in SCORES much does."""
        return self.measure in MEASURES and self.measure != ANSWERING

    @property
    def prompt(self) -> str:
        """The word for one of `n_prompts`."""
        return prompt_of(self.measure)

    @property
    def units(self) -> str:
        """The number of units: generations, or prompts if there are several generations per prompt."""
        n, what = (self.n, "generation") if self.n == self.n_prompts else (self.n_prompts, self.prompt)
        return counted(n, what)

    def outcome(self, yes: str = "yes", no: str = "not significantly") -> str:
        """The result of the test with its numbers, or why there is none."""
        if self.p_holm is None:
            return f"no test: {self.why}"
        return f"{yes if self.significant else no}: n = {self.units}, {p_value(self.p_holm)}"

    def sentence(self) -> str:
        """The comparison in words."""
        start = f"{self.first} against {self.second} in {self.measure}"
        if self.interval is None:
            return f"{start}: the difference cannot be measured, because {self.why}"
        value, low, high = (number(v, "+.2f") for v in (self.difference, *self.interval))
        raw = ""
        if self.raw is not None:
            raw = f"; raw {number(self.raw, '+.2f')} on {counted(self.raw_n, 'generation')}"
        told = f"{start}: {value} ({UNADJUSTED} {low} to {high}{raw})"
        if self.p_holm is None:
            return f"{told}; not tested, because {self.why}"
        return (
            f"{told}; {'' if self.significant else 'not '}significant at n = {self.units} "
            f"({p_value(self.p_holm)} after Holm correction over {self.tests} test{'s' * (self.tests > 1)})"
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
            judged in the same way; `alike.not_compared` names scores that differ in other settings.

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
                f"{_both(first, other)} have no score in common. Score them with the same settings."
            )
        _require_alike(first, other, but=OF_COVERAGE, ranked=ranked)
        require_one_original(first, other)
        looked = _of_one_plan(first, other)
        if ranked and first.coverage != other.coverage and not looked:
            raise IncomparableError(
                f"{_both(first, other)} cover different parts of the protocol ({covered(first)}; and "
                f"{covered(other)}). Show them separately, or use 'igmu compare', which compares shared generations."
            )
        if ranked:
            _require_alike(first, other, but=OF_ROUNDS if looked else ())
    require_one_way(cards)
    if not ranked:
        for a, b in combinations(cards, 2):
            if not set(a.generations.keys) & set(b.generations.keys):
                raise IncomparableError(
                    f"{_both(a, b)} have no prompt and seed in common ({covered(a)}; and {covered(b)}). "
                    "Generate both with the same prompts and seeds."
                )


def _both(first: Scorecard, other: Scorecard) -> str:
    """What an error calls two cards."""
    return " and ".join(ways.told_apart(first, other))


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
        listed = "; ".join(f"{k}: {a!r} and {b!r}" for k, (a, b) in differing(first, other, name, but).items())
        if listed:
            raise IncomparableError(
                f"{_both(first, other)} cannot be compared in {name}: {listed}. Score them with the same settings."
            )


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
            f"{_both(first, other)} were scored against different originals: of the "
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
                f"{_both(first, other)} cannot be compared, because their images were generated with "
                f"different settings ({ways.listed(found)}). Generate both with the same settings, then score again."
            )


def in_common(cards: Sequence[Scorecard]) -> str:
    """On how many generations cards with different coverage are compared; "" if all have the same generations."""
    held = {c.model: set(c.generations.keys) for c in cards}
    if all(keys == held[cards[0].model] for keys in held.values()):
        return ""
    pairs = ", ".join(f"{a} and {b} {len(held[a] & held[b]):,}" for a, b in combinations(held, 2))
    return f"Coverage differs, so pairs are compared on the generations that both have: {pairs}."


def compared(cards: Sequence[Scorecard], measures: Collection[str] = (*MEASURES, *SCORES)) -> tuple[Comparison, ...]:
    """All comparisons in each measure: the models against the original, then against each other.

    A measure without judged rows is left out, except the main one: forgetting, or answers about general prompts. A
    score that neither model has is left out, and so are cards of the original against itself.

    Args:
        cards: cards of some models.
        measures: some of MEASURES and SCORES; the correction does not depend on the others.

    Raises:
        IncomparableError: two cards of one model: their comparison would count as one more in the correction.
    """
    models = [c for c in cards if c.model != c.original_model]
    for model, n in Counter(c.model for c in models).items():
        if n > 1:
            files = ", ".join(card.file for card in models if card.model == model and card.file)
            raise IncomparableError(
                f"there are {n} scorecards of {model!r} for {models[0].config}{f' ({files})' if files else ''}. "
                "Specify one scorecard per model."
            )
    found = [
        _compare(c.model, c.original_model, m, c, c, ORIGINAL)
        for m in MEASURES
        for c in models
        if m in measures and _measured(m, c)
    ]
    pairs = list(combinations(models, 2))
    found += [
        _compare(a.model, b.model, m, a, b, "")
        for m in MEASURES
        for a, b in pairs
        if m in measures and _measured(m, a, b)
    ]
    scored = [one for a, b in pairs for one in _scored(a, b, [m for m in joint.measured(a, b) if m in measures])]
    return _corrected([*found, *sorted(scored, key=lambda c: [*SCORES].index(c.measure))])


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
    raw = float(np.mean([p.first for p in pairs]) - np.mean([p.second for p in pairs])) if pairs else None
    beside: dict[str, Any] = {"original": suffix == ORIGINAL, "raw": raw, "raw_n": len(pairs)}
    if not chosen:
        why = (
            "the original did not generate the concept in any pair that was judged for both models"
            if pairs
            else "no question was answered about both models' images"
            if measure == ANSWERING
            else f"no {MEASURES[measure][0]} generation was judged for both models"
        )
        nan = np.nan  # always the same object, so that equal comparisons are equal
        return Comparison(first, second, measure=measure, difference=nan, interval=None, n=0, n_prompts=0,
                          only_first=0, only_second=0, variance=nan, test="", p=None, why=why, **beside)  # fmt: skip
    mine, theirs = [p.first for p in chosen], [p.second for p in chosen]
    prompts, of = np.unique([p.prompt for p in chosen], return_inverse=True)
    apart = np.subtract(mine, theirs, dtype=np.float64)
    # Their mean is the difference, and the test adds them up, however many images a prompt has.
    gaps = np.bincount(of, apart) * len(prompts) / len(chosen)
    shared, most = intraclass_correlation(apart, of), highest_correlation(apart, of)
    look = _look(a, b)
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
    elif len(prompts) < (least := fewest(look, ALPHA)):
        why = f"with fewer than {least} {unit}s (here {len(prompts)}), no two-sided test can reach {ALPHA:g}"
        why += "" if look is None else f" after correction for {look.planned} planned checks"
    elif len(prompts) < len(chosen) or measure == ANSWERING:  # shares are not yes or no
        test, p = "permutation", paired_permutation(apart, of)
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
        variance=float(gaps.var(ddof=1)) if len(gaps) > 1 else np.nan,
        test=test,
        p=p,
        correlation=None if shared != shared else shared,
        correlation_high=None if most != most else most,
        why=why,
        **beside,
    )


def _look(a: Scorecard, b: Scorecard) -> Looks | None:
    """The look that determines the level of a comparison: that of the card with more planned looks."""
    looks = [look for look in (Looks.of(a), Looks.of(b)) if look is not None]
    return max(looks, key=lambda one: one.planned, default=None)


def _scored(a: Scorecard, b: Scorecard, measures: Sequence[str]) -> list[Comparison]:
    """The comparisons of two models in SCORES, with uncorrected p values."""
    look = _look(a, b)
    level = look.level if look else LEVEL
    with at_level(level):
        found = joint.differences(a, b, measures)
    z = z_value(level)
    return [
        Comparison(
            a.model,
            b.model,
            original=False,
            measure=measure,
            difference=one.difference,
            interval=one.interval,
            n=one.n,
            n_prompts=one.n_prompts,
            only_first=0,
            only_second=0,
            raw=None,
            raw_n=0,
            variance=np.nan
            if one.p is None or one.interval is None
            else one.n_prompts * ((one.interval[1] - one.interval[0]) / (2 * z)) ** 2,
            test="" if one.p is None else "bootstrap",
            p=one.p if one.p is None or look is None else look.repeated(one.p),
            why=one.why,
        )
        for measure, one in found.items()
    ]


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
    for measure in (*MEASURES, *SCORES):
        family = [at for at, c in enumerate(found) if c.measure == measure]
        tests = {at: p for at in family if (p := found[at].p) is not None}
        adjusted = dict(zip(tests, holm(list(tests.values())), strict=True))
        for at in family:
            out[at] = replace(found[at], p_holm=adjusted.get(at), family=len(family), tests=len(tests))
    return tuple(out)
