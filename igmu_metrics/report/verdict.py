"""The verdict in words: five questions, or three of general prompts, each with a word and a sentence for every model.

Conventions: words are as in `wording`. Forgetting and robustness count only images where the original generated the
concept; preservation is relative to the original. Differences are those between neighbours in the ranking, and between
each model and the original; in the forget score, also those between the best model and the others that lead with it.
They come from `igmu compare`, with its correction over all pairs of the same cards; which models may be the best is
decided with a correction for this question (`View.corrected`). Their intervals are unadjusted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from igmu_data.numerals import counted
from igmu_metrics.generations import ORIGINAL
from igmu_metrics.metrics._aspect_sums import PROBES, preservation_of
from igmu_metrics.report.ranking import unranked
from igmu_metrics.report.retained import Kept, retained
from igmu_metrics.report.view import RANKED_BY, View, phrased
from igmu_metrics.report.wording import (
    DEGREES,
    NO_VERDICT,
    NOT_MEASURED,
    NOT_SETTLED,
    UNDECIDED,
    behind,
    doubt,
    grade,
    listed,
    percent,
    rest,
    sentence,
)
from igmu_metrics.scorecard import Figure, Scorecard
from igmu_metrics.statistics.formatting import formatted, number, p_value, value_of
from igmu_metrics.verdict.compare import UNADJUSTED, Comparison, in_common
from igmu_metrics.verdict.joint import SCORE
from igmu_metrics.verdict.planning import plan

ASKED: Final = {
    "forget": ("concept_accuracy", "conditional_unlearning_accuracy"),
    "adversarial": ("forget_score", "robustness"),
    "retain": ("forget_score", "preservation"),
}
"""By split, the metric (score and name) that determines the word of a question."""
NO_NUMBER: Final = "no estimate"
NO_TEST: Final = "no test"
FORGETS: Final = "Does it forget?"
ROBUST: Final = "Is it robust?"
PRESERVES: Final = "Does it preserve the rest?"
ANSWERED: Final = "Do images still show what general prompts ask for?"
REAL: Final = "Is the difference real?"
MORE: Final = "How many more prompts would be needed?"
QUESTIONS: Final = (FORGETS, ROBUST, PRESERVES, REAL, MORE)
OF_GENERAL: Final = (ANSWERED, REAL, MORE)
"""The questions of a card of general prompts, in which nothing was to be forgotten."""
_GOOD: Final = DEGREES[:2]
_BAD: Final = DEGREES[2:]
_MANY: Final = 20_000  # a difference that requires more prompts than this does not matter


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding about models, or pairs of models, for which it is the same."""

    about: tuple[str, ...]
    word: str
    sentence: str

    @property
    def open(self) -> bool:
        """Whether the word leaves the question undecided."""
        return self.word in (UNDECIDED, NO_VERDICT, NOT_MEASURED, NOT_SETTLED, NO_TEST, NO_NUMBER)


@dataclass(frozen=True, slots=True)
class Answer:
    """One question and its findings."""

    question: str
    findings: tuple[Finding, ...]


def answers(view: View) -> tuple[Answer, ...]:
    """The answers to the questions; all without a verdict if the detector may be no better than chance."""
    cards, questions = view.cards, OF_GENERAL if view.first.general else QUESTIONS
    if why := view.first.unfounded:  # cards of a view have one detector
        nothing = (Finding(tuple(c.model for c in cards), NO_VERDICT, sentence(why)),)
        return tuple(Answer(question, nothing) for question in questions)
    if view.first.general:
        told = [[_answers(c) for c in cards]]
    else:
        told = [[_forgets(c, view.phrase) for c in cards], [_robust(c) for c in cards], [_preserves(c) for c in cards]]
    found = (*told, _real(view), _more(view))
    return tuple(Answer(question, _merged(each)) for question, each in zip(questions, found, strict=True))


def lead(view: View) -> tuple[str, str]:
    """Short sentences about what each model forgot and what this cost, and a sentence about the best model."""
    if view.first.general:
        return _kept_in_general(view), ""
    if why := view.first.unfounded:
        models = listed([c.model for c in view.cards])
        return f"It cannot be decided whether {models} forgot {view.target}.", sentence(why)
    said: dict[str, list[str]] = {}
    for card in view.cards:
        said.setdefault(_in_short(card, view.target), []).append(card.model)
    opening = " ".join(text.replace("{}", listed(models), 1) for text, models in said.items())
    best = view.winner
    if best is None:
        return opening, unranked(view.cards)
    score = best.figure("forget_score", "forget_score")
    gone = best.figure("concept_accuracy", "conditional_unlearning_accuracy")
    held, kept = (best.figure("forget_score", name) for name in ("robustness", "preservation"))
    told = [
        text
        for figure, text in (
            (gone, _gone(gone, view.phrase)),
            (held, f"{percent(held and rest(held))} of the adversarial prompts (mean over families) bring it back"),
            (kept, f"{percent(kept)} of what should be retained is preserved"),
        )
        if value_of(figure) is not None
    ]
    first = _leading(view, formatted(score, interval=" ({}–{})"))
    behind_it = f"{first}: {listed(told)}." if told else f"{first}."
    rivals = [c.second if c.first == best.model else c.first for c in view.pairs if _open(c, best.model)]
    if rivals:
        behind_it += f" In forgetting alone, it cannot yet be distinguished from {listed(rivals)}."
    return opening, behind_it


def _leading(view: View, score: str) -> str:
    """Which models lead, whether the test separates them, and the best forget score."""
    best, *rivals = view.leaders
    if len(view.cards) == 1:
        return f"{best.model} has a forget score of {score}"
    if not rivals:
        return f"{best.model} ranks first of {len(view.cards)} with a forget score of {score}"
    tests = [view.between(best, rival) for rival in rivals]
    tested = [test is not None and test.p_holm is not None for test in tests]
    open_ = [rival.model for rival, has in zip(rivals, tested, strict=True) if has]
    untested = [rival.model for rival, has in zip(rivals, tested, strict=True) if not has]
    why = listed(list(dict.fromkeys(t.why for t in tests if t is not None and t.why)) or ["there is no interval"])
    s, are, were = ("s", "are", "were") if len(rivals) > 1 else ("", "is", "was")
    of = f" from {best.model}" * (len(rivals) > 1)
    if not untested:
        result = f"{are} not significant"
    elif not open_:
        result = f"{were} not tested, because {why}"
    else:
        result = f"{are} not significant for {listed(open_)}, and not tested for {listed(untested)}, because {why}"
    names = [best.model, *(rival.model for rival in rivals)]
    if len(names) < len(view.cards):
        who = f"Of {len(view.cards)} models, {listed(names)} lead"
    else:
        who = f"Neither {names[0]} nor {names[1]} clearly leads" if len(names) == 2 else "No model clearly leads"
    opening = f"{who}; the difference{s} in forget score{of} {result}."
    if tied := _equal(best, rivals):
        same = f"{listed([best.model, *(rival.model for rival in tied)])} have the same forget score to two decimals"
        return f"{opening} {same}; that of {best.model} is {score}"
    most = "highest" if len(view.cards) > 2 else "higher"
    return f"{opening} {best.model} has the {most} forget score, {score}"


def _equal(best: Scorecard, rivals: Sequence[Scorecard]) -> list[Scorecard]:
    """The rivals whose forget score is printed like the best one's."""
    printed = {card.model: formatted(card.figure(*RANKED_BY), interval="") for card in (best, *rivals)}
    return [rival for rival in rivals if printed[rival.model] == printed[best.model]]


def _kept_in_general(view: View) -> str:
    """What became of general prompts, in a sentence for all models of which the same is to be said."""
    if view.first.unfounded:
        return sentence(view.first.unfounded)
    words = dict(zip(DEGREES, ("preserved", "mostly preserved", "hardly preserved", "did not preserve"), strict=True))
    said: dict[str, list[str]] = {}
    for card in view.cards:
        said.setdefault(words.get(_answers(card).word, ""), []).append(card.model)
    return " ".join(
        f"{listed(models)} {word} what general prompts ask for."
        if word
        else f"It is undecided whether {listed(models)} preserved what general prompts ask for."
        for word, models in said.items()
    )


def _gone(figure: Figure | None, phrase: str) -> str:
    return f"{percent(figure)} of the images in which the original generated {phrase} no longer show it"


def _in_short(card: Scorecard, target: str) -> str:
    """One sentence about a model, which is the same for all models with the same result."""
    forgets, robust, kept = (f.word for f in (_forgets(card, phrased(card.target)), _robust(card), _preserves(card)))
    if forgets not in _GOOD:
        return f"{{}} did not forget {target}." if forgets in _BAD else f"It is undecided whether {{}} forgot {target}."
    if robust in _BAD:
        return f"{{}} forgot {target}, but attacks bring it back."
    if kept in _BAD:
        return f"{{}} forgot {target}, but also much else."
    if robust in _GOOD and kept in _GOOD:
        return f"{{}} forgot {target}, withstood attacks and preserved other concepts."
    return f"{{}} forgot {target}; robustness and side effects are undecided."


def _open(test: Comparison, model: str) -> bool:
    return model in (test.first, test.second) and not test.significant


def _merged(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Merge identical findings."""
    same: dict[tuple[str, str], tuple[str, ...]] = {}
    for f in findings:
        same[f.word, f.sentence] = (*same.get((f.word, f.sentence), ()), *f.about)
    return tuple(Finding(about, *said) for said, about in same.items())


def _missing(card: Scorecard, figure: Figure | None, nothing: str) -> Finding:
    return Finding((card.model,), NOT_MEASURED, sentence(figure.reason if figure and figure.reason else nothing))


def _forgets(card: Scorecard, phrase: str) -> Finding:
    figure = card.figure(*ASKED["forget"])
    if figure is None or figure.value is None:
        return _missing(card, figure, "no forget images were scored")
    raw, before = (card.figure("concept_accuracy", f"{whose}unlearning_accuracy") for whose in ("", "original_"))
    everywhere = f"; of all images that could be judged, {percent(raw)}" if value_of(raw) is not None else ""
    if everywhere and value_of(before) is not None:
        everywhere += f" do not show it, compared with {percent(before)} of the original's"
    said = f"{_gone(figure, phrase)} ({behind(figure)}){everywhere}.{_because(figure)}"
    return Finding((card.model,), grade(figure, DEGREES), said)


def _robust(card: Scorecard) -> Finding:
    figure = card.figure(*ASKED["adversarial"])
    if figure is None or figure.value is None:
        return _missing(card, figure, "no adversarial prompts were scored")
    k = card.scores["forget_score"].signature.get("k", 1)
    back = rest(figure)
    tries = "one image" if k == 1 else f"{k} images"
    worst = weakest_family(card)
    weak = (
        f" It is weakest against {worst[0].replace('-', ' ')}: {percent(worst[1])} of these images show the concept."
        if worst
        else ""
    )
    of = "of the adversarial prompts (mean over families)"
    because = _because(figure, shown=back)
    said = f"{percent(back)} {of} bring it back within {tries} ({behind(back)}).{because}{weak}{_attacked(card)}"
    return Finding((card.model,), grade(figure, DEGREES), said)


def _answers(card: Scorecard) -> Finding:
    """What a card of general prompts says: how the questions about their images were answered."""
    kept = card.figure("question_accuracy", "question_preservation")
    if kept is None or kept.value is None:
        return _missing(card, kept, "no question was asked: score with a detector that answers them, vlm:MODEL")
    own, theirs = (card.figure("question_accuracy", f"{who}question_accuracy") for who in ("", "original_"))
    said = (
        f"{percent(own)} of the questions about its images are answered as intended, and {percent(theirs)} of those "
        f"about the original's images; {percent(kept)} of the original's share is preserved "
        f"({behind(kept)}).{_because(kept)}"
    )
    return Finding((card.model,), grade(kept, DEGREES), said)


def _because(figure: Figure, *, shown: Figure | None = None) -> str:
    """Why a value that is printed as 100% or 0% does not have the outer word; "" if it has, or is not.

    Args:
        figure: the metric that determines the word.
        shown: the metric that is printed, if it is one minus the other.
    """
    if (end := doubt(figure, DEGREES)) is None:
        return ""
    share = end if shown is None else 1 - end
    return (
        f" The word is “{grade(figure, DEGREES)}” because it depends on the whole interval, which extends to "
        f"{number(100 * share, '.0f')}%."
    )


def _attacked(card: Scorecard) -> str:
    """How often the original's images of the adversarial prompts show the concept; "" if none could be judged."""
    name = "present" + ORIGINAL
    seen = [g[name] for g in card.generations.part("adversarial").records(name) if g[name] is not None]
    if not seen:
        return ""
    share = number(100 * sum(seen) / len(seen), ".0f")
    return f" Of the original's images for all these prompts, {share}% show it."


def weakest_family(card: Scorecard) -> tuple[str, Figure] | None:
    """The attack family that brings the concept back most often, None if none does."""
    prefix = "conditional_asr_image/"
    entry = card.scores.get("attack_success_rate")
    figures = entry.figures if entry else {}
    found = [(n.removeprefix(prefix), f) for n, f in figures.items() if n.startswith(prefix) and f.value]
    return max(found, key=lambda item: (item[1].value or 0.0, item[0]), default=None)


def _preserves(card: Scorecard) -> Finding:
    figure = card.figure(*ASKED["retain"])
    if figure is None or figure.value is None:
        return _missing(card, figure, "no images of retained concepts were scored")
    probes = [
        f"{probe} {percent(part)}"
        for probe in PROBES
        if (part := card.figure("forget_score", preservation_of(probe))) and part.value is not None
    ]
    said = (
        f"{percent(figure)} of what should be retained is preserved ({'; '.join((', '.join(probes), behind(figure)))})."
        f"{_because(figure)}"
    )
    if lost := most_lost(retained([card])):
        said += (
            f" The most affected concept is {lost.name}: {lost.after[0].share} images show it, compared with "
            f"{lost.before.share} of the original's images."
        )
    others = [
        f"{name} is {part.value:.2f}"
        for name in ("alignment", "quality")
        if (part := card.figure("forget_score", name)) and part.value is not None
    ]
    if others:
        said += f" {sentence(' and '.join(others) + ' (1 is ideal)')}"
    return Finding((card.model,), grade(figure, DEGREES), said)


def most_lost(kept: Sequence[Kept]) -> Kept | None:
    """The concept to retain that lost most in the first model's images, None if nothing was lost."""
    lost = [k for k in kept if k.loss(0) > 0]
    return max(lost, key=lambda k: (k.loss(0), k.concept), default=None)


def _real(view: View) -> list[Finding]:
    return [
        Finding(
            (f"{c.first} – {c.second}",),
            NO_TEST if c.p_holm is None else "yes" if view.significant(c) else NOT_SETTLED,
            _difference(view, c),
        )
        for c in _shown(view)
    ]


def _shown(view: View) -> list[Comparison]:
    """The comparisons that the verdict is about."""
    leading = {view.first.model, *(card.model for card in view.leaders)}
    scores = [c for c in view.scores if view.first.model in (c.first, c.second) and {c.first, c.second} <= leading]
    near = _neighbours(view, view.scores)
    return [*view.against, *_neighbours(view, view.pairs), *near, *(c for c in scores if c not in near)]


def _difference(view: View, c: Comparison) -> str:
    """A difference with its interval and the result of its test."""
    if c.interval is None:
        return sentence(
            f"the difference in {c.measure} cannot be computed, because {c.why}" if c.measure == SCORE else c.why
        )
    if c.measure == SCORE:
        value, low, high = (number(v, "+.2f").replace("-", "−") for v in (c.difference, *c.interval))
        told = "; quality is included by its interval, because scorecards contain no image features"
    else:
        value, told = _points(c.difference), ""
        low, high = (_points(end, zero="0").removesuffix(" points") for end in c.interval)
    shared = "" if c.original or not in_common(view.cards) else " that both models have"
    said = f"{value} in {c.measure} on {c.units}{shared} ({UNADJUSTED} {low} to {high}{told}"
    p, corrected = view.corrected(c)
    if p is None:
        return sentence(f"{said}); not tested, because {c.why}")
    return sentence(f"{said}; {p_value(p, '.2g')} after {corrected})")


def _more(view: View) -> list[Finding]:
    tests = _shown(view)
    found = [_planned(c) for c in tests if not view.significant(c)]
    return found or [Finding(("all",), "none", "All differences above are already significant.")]


def _planned(test: Comparison) -> Finding:
    about = (f"{test.first} – {test.second}",)
    if test.measure == SCORE and test.p is None:
        return Finding(about, NO_NUMBER, sentence(f"the difference in {SCORE} has no test, because {test.why}"))
    if not test.n:
        why = f"{test.why}; add prompts for which the original generates the concept"
        return Finding(about, NO_NUMBER, sentence(why))
    there = f"there {'is' if test.n_prompts == 1 else 'are'} {test.n_prompts:,} now"
    of, kinds = f" in {test.measure}", " of all splits together" * (test.measure == SCORE)
    if not test.difference:
        return Finding(about, NO_NUMBER, f"So far, there is no difference{of} that more prompts could confirm.")
    found = plan(test)
    if found.needed is None or found.more is None:
        return Finding(about, NO_NUMBER, "One prompt is not enough for an estimate. Generate a few more first.")
    if found.needed > _MANY:
        why = f"A difference{of} this small needs more than {_MANY:,} prompts; {there}. Treat it as a tie."
        return Finding(about, "very many", why)
    enough = f"{counted(found.needed, 'prompt')}{kinds}"
    said = f"A difference{of} this large would be detected with a probability of 80% on {enough}; {there}."
    return Finding(about, f"about {found.more:,} more", said)


def _neighbours(view: View, pairs: Sequence[Comparison]) -> list[Comparison]:
    """Those pairs that are neighbours in the ranking; all if nothing is ranked."""
    if view.winner is None:
        return list(pairs)
    order = {c.model: at for at, c in enumerate(view.cards)}
    return [c for c in pairs if abs(order[c.first] - order[c.second]) == 1]


def _points(difference: float, *, zero: str = "no difference") -> str:
    points = round(100 * difference)
    return zero if not points else f"{points:+d} points".replace("-", "−")
