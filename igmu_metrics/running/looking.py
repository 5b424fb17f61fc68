"""`igmu run --until`: generates round by round, checks after each round, and stops when the question is decided.

Conventions:

- Each look adds one round of the corpus (its column `round`; every prefix of rounds is as balanced as the whole). There
  is one more look after the last round, for the remaining seeds. Each question about a model depends on the rows of
  one split, so each split of each model stops separately; the original is generated as long as any model continues.
- The plan is always that of the whole corpus. A smaller protocol only ends it early, as `--max-images` does, so a run
  may be continued with a larger one.
- A question is about a word of the verdict, the width of an interval or a bound. All intervals are valid at every look,
  so a bound is decided as soon as an interval lies on one side of it, and `igmu check` then gives the same outcome.
- For adversarial prompts and their sources, all seeds are generated at once, because any@k uses all k. For retain
  prompts there are two seeds, which quality compares, and for separately counted probes one. A further prompt is at
  least as informative as a further seed, so more seeds follow only after all rounds, and only if the spread between
  the seeds of a prompt is large enough that they would narrow an interval.
- No state is kept: a resumed run repeats all looks, using existing images.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from math import sqrt
from typing import Final, NamedTuple

import numpy as np

from igmu_data.errors import InputError, OutOfRangeError
from igmu_data.numerals import counted
from igmu_data.schema import ASIDE, ROUNDS, SPLITS, Row
from igmu_metrics import registry
from igmu_metrics.generations import Key
from igmu_metrics.images.generate import Request
from igmu_metrics.metrics.forget_score import ASPECTS
from igmu_metrics.report.verdict import ASKED
from igmu_metrics.report.wording import UNDECIDED, final, grade, listed
from igmu_metrics.running.plan import DECIDED, GRADED, ORIGINAL, Plan
from igmu_metrics.scorecard import Figure, Scorecard, ScoreEntry
from igmu_metrics.statistics import design_effect, prompts_for
from igmu_metrics.statistics.formatting import bounds, formatted
from igmu_metrics.statistics.looks import Looks, signable
from igmu_metrics.verdict.compare import ALPHA, FORGETTING, Comparison, compared
from igmu_metrics.verdict.criteria import Criterion, Outcome, Unsettled, exact, figures, full_name, label, named, usable
from igmu_metrics.verdict.recompute import FORGET

CHECKS: Final = ROUNDS + 1
"""Number of planned looks: one per round of the corpus, and one for the remaining seeds."""
PROMPTS: Final = "prompts"
MAX_IMAGES: Final = "max_images"
ENDED: Final = {PROMPTS: "no prompts are left", MAX_IMAGES: "more images would exceed --max-images"}
"""By what can end a run that has not decided everything, the reason in words."""
FIRST_SEEDS: Final = 2  # of retain prompts, at first
_DRAWS: Final = 8  # of made-up values, in each of which a metric must lack a value to be refused
_PAYS: Final = 0.95  # seeds are added only if they narrow an interval to this fraction of its width
_SHORT: Final = {"forget": "forgetting", "adversarial": "robustness", "retain": "preservation"}
# By metric, the split on whose images it depends, where the description of its score does not say so.
_OWN: Final[Mapping[str, str]] = {
    **{name: split for split, (_, name) in ASKED.items()},
    **dict.fromkeys(("forgetting", "unlearning_accuracy"), "forget"),
    **dict.fromkeys(("asr_image", "asr_any@k", "conditional_asr_image", "conditional_asr_any@k"), "adversarial"),
    **dict.fromkeys(("alignment", "quality"), "retain"),
}
Generate = Callable[[str, Sequence[Request]], None]
Score = Callable[[str, frozenset[Key], Looks], Scorecard]


@dataclass(slots=True)
class _Model:
    """The state of one model.

    Args:
        open: splits that continue.
        keys: its generations so far.
        card: the card of its last look.
    """

    open: set[str]
    keys: set[Key] = field(default_factory=set)
    card: Scorecard | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """Something that a run is to decide about one model.

    Args:
        figure: full name of the metric.
        parts: the splits on whose images it depends.
        settled: whether no further images are needed.
        text: the metric with its value, its interval and its bound, if any.
    """

    figure: str
    parts: tuple[str, ...]
    settled: bool
    text: str


class Looked(NamedTuple):
    """The result of checking repeatedly: each model's last card, the number of images, and what is undecided."""

    cards: list[Scorecard]
    size: int
    unsettled: list[Unsettled]


def looked(
    plan: Plan,
    rounds: int,
    rows: Iterable[Row],
    requests: Sequence[Request],
    models: Sequence[str],
    *,
    generate: Generate,
    score: Score,
    tell: Callable[[str], object],
    most: int | None = None,
    original: bool = True,
) -> Looked:
    """Check one concept repeatedly until every model is decided.

    Args:
        plan: the run, with its `until`.
        rounds: number of rounds of the protocol.
        rows: rows of these rounds.
        requests: all their images, with the seeds of a row in order.
        models: the unlearned models.
        generate: generates a model's images.
        score: returns a model's card for some keys, as one of several looks.
        tell: called with one line per look.
        most: maximum number of images of all models together.
        original: whether the original is generated too; not if a reference table replaces it.

    Returns:
        The card of each model at its last look, the total number of images, and what is undecided.

    Raises:
        OutOfRangeError: fewer images are allowed than the first look requires.
        InputError: a metric that no card has.
    """
    of = {row.id: row for row in rows}
    states = {name: _Model({row.split for row in of.values()}) for name in models}
    made: set[Key] = set()  # of the original
    left: list[Unsettled] = []
    ended = PROMPTS
    for number in range(1, (CHECKS if rounds == ROUNDS else rounds) + 1):
        new = {name: _new(requests, of, state, number) for name, state in states.items()}
        first = _union(requests, new.values(), made) if original else []
        size = sum(len(made_by) for made_by in new.values()) + len(first)
        there = len(made) + sum(len(state.keys) for state in states.values())
        if not size:
            continue
        if most is not None and there + size > most:
            if not there:
                raise OutOfRangeError(
                    f"--max-images is {most}, but the first check alone requires {size} images. Set it to at least "
                    f"{size}."
                )
            tell(
                f"stopped before check {number} of {CHECKS}, because {size:,} more images would exceed --max-images. "
                "To continue, repeat the command with a larger --max-images."
            )
            ended = MAX_IMAGES
            break
        for name, more in ((ORIGINAL, first), *new.items()):
            if more:
                generate(name, more)
        made |= {r.key for r in first}
        for name, more in new.items():
            if more:
                states[name].keys |= {r.key for r in more}
                states[name].card = score(name, frozenset(states[name].keys), Looks(number, CHECKS, rule(plan)))
        cards = {name: state.card for name, state in states.items() if state.card is not None}
        asked = {name: _asked(plan, card, of) for name, card in cards.items()}
        waiting = _close(plan, states, cards, asked, of)
        told = "; ".join(f"{name}: {_line(asked[name], card)}" for name, card in cards.items())
        open_ = f"; the difference between {listed(sorted(waiting))} is undecided" if waiting else ""
        tell(f"check {number} of {CHECKS}: {counted(there + size, 'image')}; {told}{open_}")
        left = _unsettled(cards, asked, waiting)
    if left and ended == PROMPTS:
        whole = rounds == ROUNDS
        tell(
            f"stopped undecided, because {ENDED[PROMPTS]}: "
            + ("all rounds of the corpus were used." if whole else f"{rounds} of {ROUNDS} rounds were used. ")
            + "To continue, repeat the command with a larger --protocol." * (not whole)
        )
    cards_found = [state.card for state in states.values() if state.card is not None]
    size = len(made) + sum(len(state.keys) for state in states.values())
    return Looked(cards_found, size, [replace(one, ended=ended) for one in left])


def first_look(rows: Iterable[Row], requests: Sequence[Request]) -> list[Request]:
    """What the first look generates of each model.

    Args:
        rows: of the corpus.
        requests: every image of them, seeds of a row in order.
    """
    of = {row.id: row for row in rows}
    return _new(requests, of, _Model({row.split for row in of.values()}), 1)


def require_decidable(
    plan: Plan, scores: Mapping[str, ScoreEntry], where: str, whole: Callable[[int], Mapping[str, ScoreEntry]]
) -> None:
    """Refuse what interim looks cannot decide.

    Args:
        plan: the run.
        scores: the scores that its cards will have, made up.
        where: what has these scores, for messages.
        whole: returns the scores of all images of the run, made up with a seed.

    Raises:
        InputError: a metric is unknown or a count, or will have no value; a bound is not possible; or the rule is too
            long for a signature.
    """
    asked = [full_name(scores, name, where) for name in plan.figures]
    for bound in plan.bounds:
        name = bound.name
        if exact(name) or exact(name := usable(scores, bound, where)):
            raise InputError(
                f"{name} depends on the number of images, so --until cannot decide it during the run. Check it with "
                "igmu check after the run."
            )
        asked.append(name)
    # Few images may have no value by chance, for example none in which the original shows the concept.
    found = named(scores)
    empty = [name for name in asked if found[name].value is None]
    for seed in range(_DRAWS):
        found = named(whole(seed)) if empty else {}
        empty = [name for name in empty if found[name].value is None]
    if empty:
        reason = found[empty[0]].reason
        raise InputError(
            f"{label(scores, empty[0])} will have no value in this run{f' ({reason})' if reason else ''}, so --until "
            "can never decide it. Specify another metric, or change --seeds-per-row or --protocol."
        )
    if plan.until is not None and not signable(rule(plan)):
        raise InputError(
            f"the stopping rule {rule(plan)!r} cannot be recorded on a scorecard, because it is too long or contains a "
            "special character. Use fewer metrics or bounds."
        )


def rule(plan: Plan) -> str:
    """The stopping rule of a run, in the form used on cards."""
    asked = "+".join(plan.figures or (f"{bound.name}{bound}".replace(" ", "") for bound in plan.bounds))
    most = f",max-images={plan.max_images}" if plan.max_images is not None else ""
    return f"{plan.until}{f':{asked}' if asked else ''}{most}"


def _seeds(row: Row) -> int:
    """How many seeds of a row are generated in its round."""
    if row.probe in ASIDE:
        return 1
    return FIRST_SEEDS if row.split == "retain" else len(row.seeds)


def _new(requests: Sequence[Request], of: Mapping[str, Row], state: _Model, look: int) -> list[Request]:
    """The images that a look adds for a model."""
    turn: dict[str, int] = {}
    found = []
    seeds = max(Counter(r.row_id for r in requests).values())
    more = {split for split in state.open if look > ROUNDS and pays(state.card, split, seeds)}
    for r in requests:
        row = of[r.row_id]
        turn[row.id] = turn.get(row.id, 0) + 1
        due = row.round == look and turn[row.id] <= _seeds(row) if look <= ROUNDS else row.split in more
        if due and row.split in state.open and r.key not in state.keys:
            found.append(r)
    return found


def asked_until(
    last: int, rows: Iterable[Row], requests: Sequence[Request], seen: Set[Key], failed: Set[Key]
) -> tuple[int, set[Key]]:
    """What a run asked of a model up to a look, according to the images that the model has.

    A split stops only after a whole look, so one image of a look means that all images of this and earlier looks were
    asked. A look of which all images failed leaves no other trace.

    Args:
        last: the look.
        rows: of the protocol.
        requests: every image of them, seeds of a row in order.
        seen: the images of the model.
        failed: images that could not be generated.

    Returns:
        The latest look of which there are images, up to `last`, and the images.
    """
    of = {row.id: row for row in rows}
    turn: dict[str, int] = {}
    looks: dict[str, dict[int, set[Key]]] = {}
    for r in requests:
        row = of[r.row_id]
        turn[row.id] = turn.get(row.id, 0) + 1
        look = row.round if turn[row.id] <= _seeds(row) else CHECKS
        if look <= last:
            looks.setdefault(row.split, {}).setdefault(look, set()).add(r.key)
    latest, found = 0, set[Key]()
    for of_split in looks.values():
        ended = max((look for look, keys in of_split.items() if keys & seen), default=0)
        for look, keys in sorted(of_split.items()):
            if look > ended and not keys <= failed:
                break
            latest, found = max(latest, look), found | keys
    return latest, found


def _union(requests: Sequence[Request], new: Iterable[Sequence[Request]], made: set[Key]) -> list[Request]:
    wanted = {r.key for more in new for r in more} - made
    return [r for r in requests if r.key in wanted]


def pays(card: Scorecard | None, split: str, seeds: int) -> bool:
    """Whether the remaining seeds would narrow a split's interval enough.

    Args:
        card: the model's card so far.
        split: the split.
        seeds: maximum number of seeds per prompt.
    """
    if card is None:
        return False
    lines = card.generations.part(split).records("id", "present")
    seen = [(g["id"], float(g["present"])) for g in lines if g["present"] is not None]
    if not seen:
        return False
    design = design_effect([hit for _, hit in seen], np.asarray([row for row, _ in seen]))
    share = design.correlation
    if share != share:  # all agree, or there is one seed each: there is no evidence that seeds differ
        return False
    now = design.n_generations / design.n_prompts
    return sqrt((share + (1 - share) / seeds) / (share + (1 - share) / now)) < _PAYS


def _asked(plan: Plan, card: Scorecard, of: Mapping[str, Row]) -> list[Question]:
    """The questions about a model that depend on images of the run."""
    splits = {row.split for row in of.values()}
    return [question for question in questions(plan, card) if not splits.isdisjoint(question.parts)]


def _close(
    plan: Plan,
    states: Mapping[str, _Model],
    cards: Mapping[str, Scorecard],
    asked: Mapping[str, Sequence[Question]],
    of: Mapping[str, Row],
) -> set[str]:
    """Close every split whose questions are decided; returns the models with an undecided difference."""
    prompts = sum(row.split == "forget" and row.probe not in ASIDE for row in of.values())
    of_verdict = not plan.figures and not plan.bounds and plan.until in (DECIDED, GRADED)
    paired = _waiting(cards, prompts) if of_verdict else set()
    for name, found in asked.items():
        states[name].open &= {part for question in found if not question.settled for part in question.parts} | (
            {"forget"} if name in paired else set()
        )
    return paired


def _unsettled(
    cards: Mapping[str, Scorecard], asked: Mapping[str, Sequence[Question]], waiting: set[str]
) -> list[Unsettled]:
    """What the last check left undecided."""
    found = [Unsettled(cards[m].config, m, q.figure, q.text) for m, own in asked.items() for q in own if not q.settled]
    pair = f"difference between {listed(sorted(waiting))}" if waiting else ""
    return found + [Unsettled(cards[model].config, model, "", pair) for model in sorted(waiting)]


def questions(plan: Plan, card: Scorecard) -> list[Question]:
    """What a run is to decide about the model of a card.

    Raises:
        InputError: a metric that the card does not have.
    """
    where, found = f"the scorecard of {card.model} on {card.config}", figures(card)

    def question(name: str, called: str, bound: Criterion | None = None) -> Question:
        figure = found.get(name)
        text = f"{called} {formatted(figure)}"
        if bound is None:
            return Question(name, _parts(card, name), settled(figure, str(plan.until)), text)
        outcome = Outcome.UNDECIDED if figure is None else bound.outcome(name, figure)
        known = outcome is not Outcome.UNDECIDED
        return Question(name, _parts(card, name), known, f"{text} {bound}{f' ({outcome})' if known else ''}")

    if bounds := plan.bounds:
        bounded = [(usable(card.scores, bound, where), bound) for bound in bounds]
        return [question(full, label(card.scores, full), bound) for full, bound in bounded]
    if plan.figures:
        named = [full_name(card.scores, name, where) for name in plan.figures]
        return [question(full, label(card.scores, full)) for full in named]
    asked = {f"{score}/{name}": _SHORT[split] for split, (score, name) in ASKED.items()}
    # An aspect of the forget score may have no interval yet, because there are too few prompts.
    blind = {
        full: name
        for name in ASPECTS
        if (full := f"{FORGET}/{name}") not in asked
        and (figure := found.get(full)) is not None
        and figure.value is not None
        and figure.interval is None
    }
    return [question(full, called) for full, called in (asked | blind).items()]


def _parts(card: Scorecard, full: str) -> tuple[str, ...]:
    """The splits on whose images a metric depends; all of them if this is not known."""
    key = next((key for key in card.scores if full.startswith(f"{key}/")), "")
    name = full.removeprefix(f"{key}/").partition("/")[0].removesuffix("_family_mean")
    if name in _OWN:
        return (_OWN[name],)
    entry = card.scores.get(key)
    info = entry and registry.info(entry.name, entry.package)
    of = info.parts.get(key.removeprefix(f"{info.name}").removeprefix("/"), ()) if info else ()
    return tuple(part for part in of if part in SPLITS) or SPLITS


def settled(figure: Figure | None, until: str) -> bool:
    """Whether a metric needs no further images.

    Args:
        figure: a metric of a card.
        until: `decided` (its word is not undecided), `graded` (its word can no longer change), or a number: half the
            width of its interval.
    """
    if until == DECIDED:
        return figure is not None and figure.value is not None and grade(figure, ("y", "y", "n", "n")) != UNDECIDED
    if until == GRADED:
        return final(figure)
    ends = bounds(figure)
    return ends is not None and ends[1] - ends[0] <= 2 * float(until) + 1e-12


def _waiting(cards: Mapping[str, Scorecard], prompts: int) -> set[str]:
    """Models whose difference in forgetting is undecided, although the whole corpus might decide it.

    Differences from the original are not considered: conditional on the original, they are the same as forgetting.
    """
    tests = compared(list(cards.values()), {FORGETTING}) if len(cards) > 1 else ()
    return {
        name
        for c in tests
        if not c.original and not c.significant and not hopeless(c, prompts)
        for name in (c.first, c.second)
    }


def hopeless(test: Comparison, prompts: int) -> bool:
    """Whether even the largest difference within the interval would require more prompts than there are."""
    if test.interval is None or test.variance != test.variance:
        return False
    largest = max(map(abs, test.interval))
    # Models that agreed so far have no variance yet; a difference as large as this one would have some.
    variance = max(test.variance, largest - largest**2)
    return largest == 0 or prompts_for(largest, variance, alpha=ALPHA / test.family) > prompts


def _line(asked: Sequence[Question], card: Scorecard) -> str:
    """The result of one look for a model."""
    told = ", ".join(f"{question.text}{'' if question.settled else ' (not settled)'}" for question in asked)
    return f"{told} ({counted(len(card.generations), 'image')})"
