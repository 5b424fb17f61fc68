"""A summary of scores that fits on one screen: at most fifteen lines of eighty columns. The rest is on the card.

Conventions: one model gets one line per aspect, with a word for its interval (`wording.grade`); two or three models are
shown side by side, with the words as far as the terminal is wide enough (two models: 80 columns); more models, and
several concepts, get one line per model with the headline and the weakest aspect. Notes follow: failures, incomplete
coverage, missing scores and whatever else affects whether the numbers may be trusted. Paths and commands at the end
that are wider than the terminal take no room away from notes. Notes for which there is no room are counted, so that
none is left out in silence. The reason why a forget score is missing or uncertain, and a note that images may be those
of another model, are never truncated; for them, a summary may have up to five lines more.
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Callable, Mapping, Sequence
from math import ceil
from typing import Final, NamedTuple

from igmu_data.media import visible
from igmu_data.numerals import counted
from igmu_metrics.contract import Estimate
from igmu_metrics.copied import copies
from igmu_metrics.images.notes import DOUBTS
from igmu_metrics.images.requested import LEFT_OUT
from igmu_metrics.images.ways import caution, conflict
from igmu_metrics.metrics._contract import UNSCORED
from igmu_metrics.metrics.forget_score import ASPECTS
from igmu_metrics.report.wording import DEGREES, NO_VERDICT, Words, cautious, cured, grade
from igmu_metrics.scorecard import Figure, Scorecard
from igmu_metrics.statistics.estimates import mean_over_concepts
from igmu_metrics.statistics.formatting import formatted, value_of

LINES: Final = 15
COLUMNS: Final = 80
_SCORE: Final = "forget_score"
_TITLE: Final = 15  # columns for the name of a metric
_CELL: Final = 20
_VALUE: Final = 17  # columns for a value with its interval
_SIDE_BY_SIDE: Final = 3  # models
_LISTED: Final = 7  # maximum number of models in a list
_NAME: Final = 16
_NOTE: Final = 2  # lines of one note
_MORE: Final = 5  # lines of reasons that do not fit; also lines of notes beside an ending that is wrapped
_CALLED: Final = "note: "
_EVERY: Final = "--verbose"  # of the commands that print a summary: prints all notes
_GAP: Final = 2  # columns between two models
_ANSWERED: Final = ("question_preservation", "question_accuracy")
_WEAKEST: Final = ", and the weakest aspect"
Worded = Callable[[Figure | None, Words], str]
Aspects = dict[str, dict[str, Figure | Estimate | None]]
"""By model, the forget score and its aspects."""


def width() -> int:
    """Width of the terminal, or the value of COLUMNS; eighty in a pipe."""
    return max(40, shutil.get_terminal_size((COLUMNS, LINES)).columns)


def lines(cards: Sequence[Scorecard], ending: Sequence[str] = (), *, room: int = LINES) -> list[str]:
    """The summary of cards.

    Args:
        cards: cards of one or several models and concepts.
        ending: lines to add at the end, such as where the cards are; they are not wrapped.
        room: maximum number of lines.

    Returns:
        The lines; no more than `room` if the ending leaves room for the scores and for the reasons of missing ones.
    """
    columns = width()
    ending = [visible(line) for line in ending]
    shown = _table(cards, columns)
    wrapped = sum(ceil(len(line) / columns) or 1 for line in ending)
    left = room - len(shown) - len(ending)
    left = max(left - (wrapped - len(ending)), min(left, _MORE))
    found = notes(cards)
    whole = {at for at, note in enumerate(found) if note.reason}
    told = {at: _fitted(note.text, columns, None if at in whole else _NOTE) for at, note in enumerate(found)}
    while told and sum(map(len, told.values())) + (len(told) < len(found)) > left:
        # The last notes are the least important: shorten them first, then count them. Reasons are shortened last.
        rest = [at for at in told if at not in whole]
        if long := [at for at in rest if len(told[at]) > 1]:
            told[long[-1]] = _fitted(found[long[-1]].text.replace(_CALLED, "", 1), columns, 1)
        elif rest:
            del told[rest[-1]]
        elif sum(map(len, told.values())) + (len(told) < len(found)) > left + _MORE and (
            long := [at for at in told if len(told[at]) > _NOTE]
        ):
            told[long[-1]] = _fitted(found[long[-1]].text, columns, _NOTE)
        else:
            break
    more = [f"{counted(len(found) - len(told), 'more note')}: {_EVERY}"] if len(told) < len(found) else []
    return [*shown, *(line for note in told.values() for line in note), *more, *ending]


def _table(cards: Sequence[Scorecard], columns: int) -> list[str]:
    first = cards[0]
    configs = list(dict.fromkeys(c.config for c in cards))
    models = list(dict.fromkeys(c.model for c in cards))
    original = _short(first.original_model)
    chance = {c.model for c in cards if c.unfounded}
    if len(configs) > 1:
        means = {m: _means([c for c in cards if c.model == m], len(configs)) for m in models}
        title = f"{counted(len(models), 'model')}, means over {counted(len(configs), 'concept')}{_WEAKEST}"
        return [title, *_listed(means, columns, chance)]
    found: Aspects = {c.model: {name: c.figure(_SCORE, name) for name in (_SCORE, *ASPECTS)} for c in cards}
    if all(c.general for c in cards):
        return _of_general(cards, columns)
    if len(cards) == 1:
        title = f"{_short(first.model)} on {first.config}, against {original}"
        return [
            _cut(title, columns),
            *(_line(name, _figure(f), bool(chance)) for name, f in found[first.model].items()),
        ]
    title = f"{counted(len(models), 'model')} on {first.config}, against {original}"
    if len(cards) <= _SIDE_BY_SIDE and (beside := _beside(found, columns, chance)):
        return [title, *beside]
    return [title + _WEAKEST, *_listed(found, columns, chance)]


def _beside(found: Aspects, columns: int, chance: set[str]) -> list[str]:
    """Models side by side, with a word per aspect if there is room, or for the score only; nothing without room."""
    names = (_SCORE, *ASPECTS)
    values = {m: [formatted(own[name]) for name in names] for m, own in found.items()}
    for worded in (cautious, grade):
        words = {m: [_word(own[name], m in chance, worded) for name in names] for m, own in found.items()}
        cells = {m: [f"{v:{_VALUE}} {w}" for v, w in zip(values[m], words[m], strict=True)] for m in found}
        wide = {m: max(_CELL, *map(len, own)) + _GAP for m, own in cells.items()}
        if _TITLE + sum(wide.values()) - _GAP <= columns:
            return _columns(cells, wide, names)
    if _TITLE + _CELL * len(found) > columns:
        return []
    first = {m: _word(own[_SCORE], m in chance) for m, own in found.items()}
    cells = {m: [own[0], first[m], *own[1:]] for m, own in values.items()}
    return _columns(cells, dict.fromkeys(found, _CELL), (_SCORE, "", *ASPECTS))


def _columns(cells: Mapping[str, Sequence[str]], wide: Mapping[str, int], names: Sequence[str]) -> list[str]:
    """One line per name, with the models' cells in columns of these widths below their names."""
    heads = "".join(f"{_short(m, n - _GAP):{n}}" for m, n in wide.items())
    lines = [f"{'':{_TITLE}}{heads}"]
    for at, name in enumerate(names):
        title = _called(name) if name else ""
        lines.append(f"{title:{_TITLE}}" + "".join(f"{cells[m][at]:{n}}" for m, n in wide.items()))
    return [line.rstrip() for line in lines]


def _of_general(cards: Sequence[Scorecard], columns: int) -> list[str]:
    """A line a model: how much of what the original shows of general prompts is still there."""
    wide = min(_NAME, max(len(_short(c.model)) for c in cards))
    told = [(c, [c.figure("question_accuracy", name) for name in _ANSWERED]) for c in cards]
    told.sort(key=lambda one: (-(value_of(one[1][0]) or 0.0), one[0].model))
    who = _short(cards[0].model) if len(cards) == 1 else counted(len(cards), "model")
    title = f"{who} on {cards[0].config}, against {_short(cards[0].original_model)}"
    lines = [_cut(title, columns), f"  {'':{wide}}  {'kept of it':{_CELL}}questions answered as intended"]
    for card, (kept, own) in told[:_LISTED]:
        told_of = formatted(own) if own is not None else "not asked"
        lines.append(f"  {_short(card.model):{wide}}  {formatted(kept):{_CELL}}{told_of}".rstrip())
    if len(told) > _LISTED:
        lines.append(f"  and {len(told) - _LISTED} more that kept less")
    return lines


def _listed(found: Aspects, columns: int, chance: set[str]) -> list[str]:
    """One line per model, best first."""
    scores = {model: value_of(own[_SCORE]) for model, own in found.items()}
    order = sorted(found, key=lambda m: (1.0 if (v := scores[m]) is None else -v, m))
    wide = min(_NAME, max(map(len, map(_short, found))))
    words = {model: _word(own[_SCORE], model in chance) for model, own in found.items()}
    widest = max(9, *map(len, words.values()))
    out = []
    for model in order[:_LISTED]:
        own = found[model]
        known = {name: v for name in ASPECTS if (v := value_of(own[name])) is not None}
        weakest = min(known, key=lambda name: known[name], default="")
        tail = f"{weakest} {formatted(own[weakest])}" if weakest else ""
        told = f"  {_short(model):{wide}}  {formatted(own[_SCORE]):17}  {words[model]:{widest}}  "
        # In a narrow terminal the interval for the weakest aspect is dropped, so that the line is not wrapped.
        if len(told) + len(tail) > columns and weakest:
            tail = f"{weakest} {formatted(own[weakest], interval='')}"
        out.append((told + tail).rstrip())
    if len(order) > _LISTED:
        out.append(f"  and {len(order) - _LISTED} more with lower scores")
    return out


def _means(cards: Sequence[Scorecard], asked: int) -> dict[str, Figure | Estimate | None]:
    out: dict[str, Figure | Estimate | None] = {}
    for name in (_SCORE, *ASPECTS):
        values = [v for c in cards if (v := value_of(c.figure(_SCORE, name))) is not None]
        out[name] = mean_over_concepts(values, asked=asked)
    return out


def _figure(found: Figure | Estimate | None) -> Figure | None:
    """An estimate in the form that cards use."""
    return Figure(**found.to_dict()) if isinstance(found, Estimate) else found


def _line(name: str, figure: Figure | None, chance: bool) -> str:
    return f"{_called(name):{_TITLE}}{formatted(figure):{_CELL}}{_word(figure, chance)}".rstrip()


def _word(figure: Figure | Estimate | None, chance: bool, worded: Worded = cautious) -> str:
    """The word for an interval; no verdict if the detector may be no better than chance."""
    return NO_VERDICT if chance else worded(_figure(figure), DEGREES)


def _called(name: str) -> str:
    return name.replace("_", " ") if name == _SCORE else f"  {name}"


class Note(NamedTuple):
    """A note for the reader.

    Args:
        text: the note.
        reason: whether it says why a score is missing or uncertain, or that images may be those of another model.
    """

    text: str
    reason: bool = False


def notes(cards: Sequence[Scorecard]) -> list[Note]:
    """Notes for the reader, the most important first."""
    found: dict[str, list[str]] = {}
    reasons: set[str] = set()

    def note(text: str, card: Scorecard, *, reason: bool = False) -> None:
        found.setdefault(text, []).append(card.model)
        if reason:
            reasons.add(text)

    doubt = caution(cards)
    if conflict(cards):  # it makes the numbers side by side wrong, so it is never the note that is dropped
        for card in cards:
            note(f"{_CALLED}{doubt}", card)
    for text in copies(cards):
        for card in cards:
            note(f"{_CALLED}{text}", card, reason=True)
    for card in cards:
        for text in card.notes:
            if text.endswith(DOUBTS):
                note(f"{_CALLED}{text}", card, reason=True)
    for card in cards:
        if card.unfounded:
            note(f"no verdict: {card.unfounded}", card, reason=True)
        score = card.figure("question_accuracy", _ANSWERED[0]) if card.general else card.figure(_SCORE, _SCORE)
        if card.general:
            if score is not None and score.reason:
                note(f"questions: {score.reason}", card, reason=True)
        elif score is None:
            note("no forget score: this requires forget, retain and adversarial prompts, a detector and CLIP", card)
        elif score.reason:
            what = "no forget score" if score.value is None else "forget score"
            note(f"{what}: {cured(score.reason)}", card, reason=True)
    for card in cards:
        if card.failures:
            note(f"failed: {counted(len(card.failures), 'image')}, such as {card.failures[0]}", card)
        for text in card.notes:
            if text.startswith((UNSCORED, LEFT_OUT)):
                note(f"{_CALLED}{text}", card)
    for card in cards:
        if part := _uncovered(card):
            note(part, card)
    if doubt:
        for card in cards:
            note(f"{_CALLED}{doubt}", card)
    for card in cards:
        for text in card.notes:
            note(f"{_CALLED}{text}", card)
    several = len({c.model for c in cards})
    return [
        Note(
            text if len(set(models)) == several else f"{', '.join(dict.fromkeys(map(_short, models)))}: {text}",
            text in reasons,
        )
        for text, models in found.items()
    ]


def _uncovered(card: Scorecard) -> str:
    """How much of the protocol was scored, by part, if it was not all of it."""
    if card.coverage is None:
        return "the coverage is unknown, because the protocol is not known"
    parts = {part: c for part, c in card.coverage.items() if not c.whole and c.n_generations_asked}
    told = ", ".join(f"{part} {_share(c.n_generations, c.n_generations_asked)}" for part, c in parts.items())
    return f"incomplete coverage: {told}" if told else ""


def _share(n: int, of: int) -> str:
    """A percentage that is never rounded to none or all."""
    return "none" if not n else f"{min(99, max(1, round(100 * n / of)))}%"


def _fitted(text: str, columns: int, most: int | None) -> list[str]:
    """A note in at most this many lines, truncated if it is longer; None if it may have any number."""
    return textwrap.wrap(
        visible(text), columns, subsequent_indent="  ", max_lines=most, placeholder=" …", break_on_hyphens=False
    )


def _short(name: str, most: int = _NAME) -> str:
    return _cut(visible(name), most)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
