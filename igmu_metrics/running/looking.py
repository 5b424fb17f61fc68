"""`igmu run --until`: generates round by round, checks after each round, and stops when the question is decided.

Conventions:

- Each look adds one round of the corpus (its column `round`; every prefix of rounds is as balanced as the whole). There
  is one more look at the end, for the remaining seeds. Each question about a model depends on the rows of one split, so
  each split of each model stops separately; the original is generated as long as any model continues.
- For adversarial prompts and their sources, all seeds are generated at once, because any@k uses all k. For retain
  prompts there are two seeds, which quality compares, and for separately counted probes one. A further prompt is at
  least as informative as a further seed, so more seeds follow only after all rounds, and only if the spread between
  the seeds of a prompt is large enough that they would narrow an interval.
- No state is kept: a resumed run repeats all looks, using existing images.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Any, Final

import numpy as np

from igmu_data.errors import InputError, OutOfRangeError, nearest
from igmu_data.schema import ASIDE, Row
from igmu_metrics.generations import Key
from igmu_metrics.images.generate import Request
from igmu_metrics.metrics.forget_score import ASPECTS
from igmu_metrics.report.verdict import ASKED
from igmu_metrics.report.wording import UNDECIDED, counted, final, grade, listed
from igmu_metrics.running.plan import DECIDED, GRADED, ORIGINAL, Plan
from igmu_metrics.scorecard import Figure, Scorecard
from igmu_metrics.statistics import design_effect, prompts_for
from igmu_metrics.statistics.formatting import bounds, formatted
from igmu_metrics.statistics.looks import Looks
from igmu_metrics.verdict.compare import ALPHA, FORGETTING, Comparison, compared
from igmu_metrics.verdict.recompute import FORGET

_SEEDS: Final = 2  # of retain prompts, at first
_PAYS: Final = 0.95  # seeds are added only if they narrow an interval to this fraction of its width
_SHORT: Final = {"forget": "forgetting", "adversarial": "robustness", "retain": "preservation"}
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


def planned(rounds: int) -> int:
    """Maximum number of looks for a protocol: one per round, and one for the remaining seeds."""
    return rounds + 1


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
) -> tuple[list[Scorecard], int]:
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
        The card of each model at its last look, and the total number of images.

    Raises:
        OutOfRangeError: fewer images are allowed than the first look requires.
        InputError: a metric that no card has.
    """
    of = {row.id: row for row in rows}
    states = {name: _Model({row.split for row in of.values()}) for name in models}
    looks = planned(rounds)
    made: set[Key] = set()  # of the original
    for number in range(1, looks + 1):
        new = {name: _new(requests, of, state, number, rounds) for name, state in states.items()}
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
            tell(f"stopped before check {number} of {looks}, because {size:,} more images would exceed --max-images.")
            break
        for name, more in ((ORIGINAL, first), *new.items()):
            if more:
                generate(name, more)
        made |= {r.key for r in first}
        for name, more in new.items():
            if more:
                states[name].keys |= {r.key for r in more}
                states[name].card = score(name, frozenset(states[name].keys), Looks(number, looks, rule(plan)))
        cards = {name: state.card for name, state in states.items() if state.card is not None}
        waiting = _close(plan, states, cards, of)
        told = "; ".join(f"{name}: {_line(plan, card)}" for name, card in cards.items())
        open_ = f"; the difference between {listed(sorted(waiting))} is undecided" if waiting else ""
        tell(f"check {number} of {looks}: {there + size:,} images; {told}{open_}")
    cards_found = [state.card for state in states.values() if state.card is not None]
    return cards_found, len(made) + sum(len(state.keys) for state in states.values())


def first_look(rows: Iterable[Row], requests: Sequence[Request], rounds: int) -> list[Request]:
    """What the first look generates of each model.

    Args:
        rows: of the corpus.
        requests: every image of them, seeds of a row in order.
        rounds: of the protocol.
    """
    of = {row.id: row for row in rows}
    return _new(requests, of, _Model({row.split for row in of.values()}), 1, rounds)


def rule(plan: Plan) -> str:
    """The stopping rule of a run, in the form used on cards."""
    figures = f":{'+'.join(plan.figures)}" if plan.figures else ""
    return f"{plan.until}{figures}" + (f",max-images={plan.max_images}" if plan.max_images is not None else "")


def _seeds(row: Row) -> int:
    """How many seeds of a row are generated in its round."""
    if row.probe in ASIDE:
        return 1
    return _SEEDS if row.split == "retain" else len(row.seeds)


def _new(requests: Sequence[Request], of: Mapping[str, Row], state: _Model, look: int, rounds: int) -> list[Request]:
    """The images that a look adds for a model."""
    turn: dict[str, int] = {}
    found = []
    seeds = max(Counter(r.row_id for r in requests).values())
    more = {split for split in state.open if look > rounds and pays(state.card, split, seeds)}
    for r in requests:
        row = of[r.row_id]
        turn[row.id] = turn.get(row.id, 0) + 1
        due = row.round == look and turn[row.id] <= _seeds(row) if look <= rounds else row.split in more
        if due and row.split in state.open and r.key not in state.keys:
            found.append(r)
    return found


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


def _close(plan: Plan, states: Mapping[str, _Model], cards: Mapping[str, Scorecard], of: Mapping[str, Row]) -> set[str]:
    """Close every split whose questions are decided; returns the models with an undecided difference."""
    prompts = sum(row.split == "forget" and row.probe not in ASIDE for row in of.values())
    paired = set() if plan.figures or plan.until not in (DECIDED, GRADED) else _waiting(cards, prompts)
    for name, state in states.items():
        if (card := cards.get(name)) is None:
            continue
        for split, figures in _asked(plan, card, state.open):
            waits = name in paired if split == "forget" else split == "retain" and not plan.figures and _blind(card)
            if not waits and all(settled(f, str(plan.until)) for f in figures):
                state.open.discard(split)
    return paired


def _blind(card: Scorecard) -> bool:
    """Whether an aspect of the forget score has no interval because there are too few prompts."""
    found = [card.figure(FORGET, name) for name in ASPECTS]
    return any(f is not None and f.value is not None and f.interval is None for f in found)


def _asked(plan: Plan, card: Scorecard, open_: set[str]) -> list[tuple[str, list[Figure | None]]]:
    """The metrics for which each open split continues; metrics without a split of their own keep all splits open."""
    if not plan.figures:
        return [(split, [card.figure(*ASKED[split])]) for split in sorted(open_)]
    found = {name: named(card, name) for name in plan.figures}
    own = {figure: split for split, (_, figure) in ASKED.items()}
    return [
        (split, [f for name, f in found.items() if own.get(name.rpartition(".")[2], split) == split])
        for split in sorted(open_)
    ]


def named(card: Scorecard, name: str) -> Figure:
    """A metric of a card by its name, or by score and name: `robustness`, `forget_score.robustness`.

    Raises:
        InputError: no score has it, or several scores do.
    """
    found: Figure = figure_of(card.scores, name, card.model)
    return found


def figure_of(scores: Mapping[str, Any], name: str, whose: str) -> Any:
    """The same of scores that are on no card yet.

    Args:
        scores: by key, each with its `figures`.
        name: of the figure, or score and name.
        whose: they are, for messages.

    Raises:
        InputError: as `named`.
    """
    score, dot, figure = name.rpartition(".")
    found = {key: entry.figures[figure] for key, entry in scores.items() if figure in entry.figures}
    found = {key: one for key, one in found.items() if not dot or key == score}
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        raise InputError(
            f"--figure {name!r} is ambiguous, because {', '.join(found)} all have this metric. Specify one of them, "
            f"such as {next(iter(found))}.{figure}."
        )
    known = sorted({figure for entry in scores.values() for figure in entry.figures if "/" not in figure})
    alike = nearest(figure, known)
    hint = f"did you mean {alike[0]!r}?" if alike else f"its metrics are {', '.join(known)}."
    raise InputError(f"--figure is {name!r}, but {whose} has no such metric; {hint}")


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
    tests = compared(list(cards.values())) if len(cards) > 1 else ()
    return {
        name
        for c in tests
        if c.measure == FORGETTING and not c.original and not c.significant and not hopeless(c, prompts)
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


def _line(plan: Plan, card: Scorecard) -> str:
    """The result of one look for a model."""
    if plan.figures:
        return ", ".join(f"{name} {formatted(named(card, name))}" for name in plan.figures)
    words = [
        f"{_SHORT[split]} {formatted(figure)}{'' if settled(figure, str(plan.until)) else ' (not settled)'}"
        for split, where in ASKED.items()
        if (figure := card.figure(*where)) is not None
    ]
    return f"{', '.join(words)} ({counted(len(card.generations), 'image')})"
