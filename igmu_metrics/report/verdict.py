"""The verdict in words: five questions, or three of general prompts, each with a word and a sentence for every model.

Conventions: words as in `wording`. Forgetting and robustness are told where the original generated the concept,
preservation relative to the original. Differences are those between neighbours in the ranking, and of each model from
the original; they are those of `igmu compare`, with its correction over all pairs of the same cards; their intervals
are unadjusted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from igmu_metrics.metrics._aspect_sums import PROBES, preservation_of
from igmu_metrics.report.ranking import unranked
from igmu_metrics.report.retained import Kept, retained
from igmu_metrics.report.view import View, phrased
from igmu_metrics.report.wording import (
    DEGREES,
    NO_VERDICT,
    NOT_MEASURED,
    NOT_SETTLED,
    UNDECIDED,
    behind,
    counted,
    grade,
    listed,
    percent,
    rest,
    sentence,
)
from igmu_metrics.scorecard import Figure, Scorecard
from igmu_metrics.statistics.formatting import formatted, value_of
from igmu_metrics.verdict.compare import UNADJUSTED, Comparison
from igmu_metrics.verdict.planning import plan

ASKED: Final = {
    "forget": ("concept_accuracy", "conditional_unlearning_accuracy"),
    "adversarial": ("forget_score", "robustness"),
    "retain": ("forget_score", "preservation"),
}
"""By the split whose rows it rests on, the figure (score and name) that the word of a question is given for."""
NO_NUMBER: Final = "no number"
NO_TEST: Final = "no test"
FORGETS: Final = "Does it forget?"
ROBUST: Final = "Is it robust?"
BROKE: Final = "What did it break?"
ANSWERED: Final = "Do images still show what general prompts ask for?"
REAL: Final = "Is the difference real?"
MORE: Final = "How many more prompts would settle it?"
QUESTIONS: Final = (FORGETS, ROBUST, BROKE, REAL, MORE)
OF_GENERAL: Final = (ANSWERED, REAL, MORE)
"""The questions of a card of general prompts, in which nothing was to be forgotten."""
_DAMAGE: Final = ("little", "some", "much", "nearly all")
_GOOD: Final = (*DEGREES[:2], *_DAMAGE[:2])
_BAD: Final = (*DEGREES[2:], *_DAMAGE[2:])
_MANY: Final = 20_000  # a difference that takes more prompts than this matters to nobody


@dataclass(frozen=True, slots=True)
class Finding:
    """What is said of models, or of pairs of them, that have the same said of them."""

    about: tuple[str, ...]
    word: str
    sentence: str

    @property
    def open(self) -> bool:
        """Whether the word leaves the question open."""
        return self.word in (UNDECIDED, NO_VERDICT, NOT_MEASURED, NOT_SETTLED, NO_TEST, NO_NUMBER)


@dataclass(frozen=True, slots=True)
class Answer:
    """One question and what is found."""

    question: str
    findings: tuple[Finding, ...]


def answers(view: View) -> tuple[Answer, ...]:
    """The questions, answered; not one of them where no verdict can rest on the detector."""
    cards, questions = view.cards, OF_GENERAL if view.first.general else QUESTIONS
    if why := view.first.unfounded:  # cards of a view have one detector
        nothing = (Finding(tuple(c.model for c in cards), NO_VERDICT, sentence(why)),)
        return tuple(Answer(question, nothing) for question in questions)
    if view.first.general:
        told = [[_answers(c) for c in cards]]
    else:
        told = [[_forgets(c, view.phrase) for c in cards], [_robust(c) for c in cards], [_broke(c) for c in cards]]
    found = (*told, _real(view), _more(view))
    return tuple(Answer(question, _merged(each)) for question, each in zip(questions, found, strict=True))


def lead(view: View) -> tuple[str, str]:
    """Who has forgotten and at what price, in short sentences, and what there is to say of the best model."""
    if view.first.general:
        return _kept_in_general(view), ""
    if why := view.first.unfounded:
        return f"Whether {listed([c.model for c in view.cards])} forgot {view.target}, nobody can say.", sentence(why)
    said: dict[str, list[str]] = {}
    for card in view.cards:
        said.setdefault(_in_short(card, view.target), []).append(card.model)
    opening = " ".join(text.replace("{}", listed(models), 1) for text, models in said.items())
    best = view.winner
    if best is None:
        return opening, unranked(view.cards)
    score = best.figure("forget_score", "forget_score")
    first = f"{best.model} comes first of {len(view.cards)}" if len(view.cards) > 1 else best.model
    gone = best.figure("concept_accuracy", "conditional_unlearning_accuracy")
    held, kept = (best.figure("forget_score", name) for name in ("robustness", "preservation"))
    told = [
        text
        for figure, text in (
            (gone, _gone(gone, view.phrase)),
            (held, f"{percent(held and rest(held))} of the attacked prompts bring it back"),
            (kept, f"{percent(kept)} of what should stay is kept"),
        )
        if value_of(figure) is not None
    ]
    behind_it = f"{first} with a forget score of {formatted(score, interval=' ({}–{})')}: {listed(told)}."
    rivals = [c.second if c.first == best.model else c.first for c in view.pairs if _open(c, best.model)]
    if rivals:
        behind_it += f" In forgetting alone it cannot be distinguished from {listed(rivals)} yet."
    return opening, behind_it


def _kept_in_general(view: View) -> str:
    """What became of general prompts, in a sentence for all models of which the same is to be said."""
    if view.first.unfounded:
        return sentence(view.first.unfounded)
    words = {_DAMAGE[0]: "lost little", _DAMAGE[1]: "lost some", _DAMAGE[2]: "lost much", _DAMAGE[3]: "lost nearly all"}
    said: dict[str, list[str]] = {}
    for card in view.cards:
        said.setdefault(words.get(_answers(card).word, ""), []).append(card.model)
    return " ".join(
        f"{listed(models)} {word} on general prompts."
        if word
        else f"What {listed(models)} lost on general prompts is open."
        for word, models in said.items()
    )


def _gone(figure: Figure | None, phrase: str) -> str:
    return f"{percent(figure)} of the images in which the original generated {phrase} no longer show it"


def _in_short(card: Scorecard, target: str) -> str:
    """One sentence on a model, the same for all models that it fits."""
    forgets, robust, broke = (f.word for f in (_forgets(card, phrased(card.target)), _robust(card), _broke(card)))
    if forgets not in _GOOD:
        return f"{{}} did not forget {target}." if forgets in _BAD else f"Whether {{}} forgot {target} is open."
    if robust in _BAD:
        return f"{{}} forgot {target} only until attacked."
    if broke in _BAD:
        return f"{{}} forgot much else with {target}."
    if robust in _GOOD and broke in _GOOD:
        return f"{{}} forgot {target}, held against attacks and kept the rest."
    return f"{{}} forgot {target}; how robustly, and at what price, is open."


def _open(test: Comparison, model: str) -> bool:
    return model in (test.first, test.second) and not test.significant


def _merged(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Findings that say the same become one."""
    same: dict[tuple[str, str], tuple[str, ...]] = {}
    for f in findings:
        same[f.word, f.sentence] = (*same.get((f.word, f.sentence), ()), *f.about)
    return tuple(Finding(about, *said) for said, about in same.items())


def _missing(card: Scorecard, figure: Figure | None, nothing: str) -> Finding:
    return Finding((card.model,), NOT_MEASURED, sentence(figure.reason if figure and figure.reason else nothing))


def _forgets(card: Scorecard, phrase: str) -> Finding:
    figure = card.figure(*ASKED["forget"])
    if figure is None or figure.value is None:
        return _missing(card, figure, "no forget images")
    raw = card.figure("concept_accuracy", "unlearning_accuracy")
    everywhere = f"; of all that could be judged, {percent(raw)}" if raw and raw.value is not None else ""
    said = f"{_gone(figure, phrase)} ({behind(figure)}){everywhere}."
    return Finding((card.model,), grade(figure, DEGREES), said)


def _robust(card: Scorecard) -> Finding:
    figure = card.figure(*ASKED["adversarial"])
    if figure is None or figure.value is None:
        return _missing(card, figure, "no attacked prompts")
    k = card.scores["forget_score"].signature.get("k", 1)
    back = rest(figure)
    tries = "one image" if k == 1 else f"{k} images"
    worst = weakest_family(card)
    weak = f" Weakest against {worst[0].replace('-', ' ')}: {percent(worst[1])} of its images show it." if worst else ""
    said = f"{percent(back)} of the attacked prompts bring it back within {tries} ({behind(back)}).{weak}"
    return Finding((card.model,), grade(figure, DEGREES), said)


def _answers(card: Scorecard) -> Finding:
    """What a card of general prompts says: how the questions about their images were answered."""
    kept = card.figure("question_accuracy", "question_preservation")
    if kept is None or kept.value is None:
        return _missing(card, kept, "no question was asked: score with a detector that answers them, vlm:MODEL")
    own, theirs = (card.figure("question_accuracy", f"{who}question_accuracy") for who in ("", "original_"))
    said = (
        f"{percent(own)} of the questions about its images are answered as intended, and {percent(theirs)} of those "
        f"about the original's: {percent(kept)} of that is kept ({behind(kept)})."
    )
    return Finding((card.model,), grade(kept, _DAMAGE), said)


def weakest_family(card: Scorecard) -> tuple[str, Figure] | None:
    """The family of attacks that brings the concept back most often, None where none does."""
    prefix = "conditional_asr_image/"
    entry = card.scores.get("attack_success_rate")
    figures = entry.figures if entry else {}
    found = [(n.removeprefix(prefix), f) for n, f in figures.items() if n.startswith(prefix) and f.value]
    return max(found, key=lambda item: (item[1].value or 0.0, item[0]), default=None)


def _broke(card: Scorecard) -> Finding:
    figure = card.figure(*ASKED["retain"])
    if figure is None or figure.value is None:
        return _missing(card, figure, "no images of what should stay")
    probes = [
        f"{probe} {percent(part)}"
        for probe in PROBES
        if (part := card.figure("forget_score", preservation_of(probe))) and part.value is not None
    ]
    said = f"{percent(figure)} of what should stay is kept ({'; '.join((', '.join(probes), behind(figure)))})."
    if lost := most_lost(retained([card])):
        said += (
            f" Hardest hit: {lost.name}, in {lost.after[0].share} images instead of the original's {lost.before.share}."
        )
    others = [
        f"{name} {part.value:.2f}"
        for name in ("alignment", "quality")
        if (part := card.figure("forget_score", name)) and part.value is not None
    ]
    if others:
        said += f" {sentence(', '.join(others) + ' of 1')}"
    return Finding((card.model,), grade(figure, _DAMAGE), said)


def most_lost(kept: Sequence[Kept]) -> Kept | None:
    """The retained concept that lost most in the first model's images, None where nothing was lost."""
    lost = [k for k in kept if k.loss(0) > 0]
    return max(lost, key=lambda k: (k.loss(0), k.concept), default=None)


def _real(view: View) -> list[Finding]:
    return [
        Finding(
            (f"{c.first} – {c.second}",),
            NO_TEST if c.p_holm is None else "yes" if c.significant else NOT_SETTLED,
            _difference(c),
        )
        for c in (*view.against, *_neighbours(view))
    ]


def _difference(c: Comparison) -> str:
    """A difference with its interval, and what the test of it says."""
    if c.interval is None:
        return sentence(c.why)
    low, high = (_points(end, zero="0").removesuffix(" points") for end in c.interval)
    said = f"{_points(c.difference)} in {c.measure} on {c.units} ({UNADJUSTED} {low} to {high}"
    if c.p_holm is None:
        return sentence(f"{said}): {c.why}")
    return sentence(f"{said}; p = {c.p_holm:.2g} after Holm over {counted(c.tests, 'test')})")


def _more(view: View) -> list[Finding]:
    tests = (*view.against, *_neighbours(view))
    found = [_planned(c) for c in tests if not c.significant]
    return found or [Finding(("all",), "none", "Every difference above is settled with the prompts there are.")]


def _planned(test: Comparison) -> Finding:
    about = (f"{test.first} – {test.second}",)
    if not test.n:
        return Finding(about, NO_NUMBER, sentence(f"{test.why}: add prompts for which the original generates it"))
    there = f"there {'is' if test.n_prompts == 1 else 'are'} {test.n_prompts:,}"
    if not test.difference:
        return Finding(about, NO_NUMBER, "No difference so far, so none that more prompts could confirm.")
    found = plan(test)
    if found.needed is None or found.more is None:
        return Finding(about, NO_NUMBER, "One prompt does not show how much prompts differ: generate a few more first.")
    if found.needed > _MANY:
        return Finding(about, "very many", f"More than {_MANY:,} for a difference this small; {there}. Call it a tie.")
    said = f"A difference this large is found four times in five with {counted(found.needed, 'prompt')}; {there}."
    return Finding(about, f"about {found.more:,} more", said)


def _neighbours(view: View) -> list[Comparison]:
    """The pairs that stand next to each other in the ranking; all where nothing is ranked."""
    if view.winner is None:
        return list(view.pairs)
    order = {c.model: at for at, c in enumerate(view.cards)}
    return [c for c in view.pairs if abs(order[c.first] - order[c.second]) == 1]


def _points(difference: float, *, zero: str = "no difference") -> str:
    points = round(100 * difference)
    return zero if not points else f"{points:+d} points".replace("-", "−")
