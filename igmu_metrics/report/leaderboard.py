"""A static leaderboard: a folder of scorecards becomes one page, a table for every set of cards that were scored alike.

Conventions: a table holds one card a model; cards of one concept whose signatures differ, or that cover the protocol
unlike, are in tables of their own, because their numbers cannot be compared. Tables are sorted by config, then by
number of models. Of several cards of a model whose file names end in a date (`esd.2026-11-30.json`), the latest is
ranked and the others are its history. A file that is refused is listed with its reason, and the others are ranked.
Everything is there without scripts, which filter tables and show definitions; no network.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from igmu_data.errors import EmptyInputError, IgmuError, IncomparableError, VerificationError
from igmu_data.media import slug, visible
from igmu_metrics.coverage import covering
from igmu_metrics.report.definitions import definitions
from igmu_metrics.report.ranking import Column, ranking
from igmu_metrics.report.templates import filled
from igmu_metrics.report.view import Section, View, anchors, view
from igmu_metrics.report.wording import counted
from igmu_metrics.scorecard import PLAN, Figure, Scorecard
from igmu_metrics.verdict.compare import require_comparable
from igmu_metrics.verdict.verify import told, verify

_DATED: Final = re.compile(r"(?:^|[._-])(\d{4}-\d{2}-\d{2})$")


_FILTERS: Final = ("coverage", "detector", "original")


class Dated(NamedTuple):
    """A card of a model's history: its date, and its figures, column by column."""

    model: str
    day: str
    figures: Sequence[Figure | None]


@dataclass(frozen=True, slots=True)
class Entries:
    """What a folder holds.

    Args:
        cards: that agree with themselves, one a model of those scored alike.
        refused: why each other file is not ranked; the first line names it.
        n_files: all of them.
        earlier: cards of the same models that later ones replaced.
        days: date of a card (`2026-11-30`), by the hash of its content; not of those whose file names have none.
    """

    cards: Sequence[Scorecard]
    refused: Sequence[str]
    n_files: int
    earlier: Sequence[Scorecard] = ()
    days: Mapping[str, str] = field(default_factory=dict)

    def require_all(self) -> None:
        """Refuse a folder in which something is refused.

        Raises:
            VerificationError: with every file that is refused, and why.
        """
        if self.refused:
            n = counted(len(self.refused), "scorecard")
            said = f"{n} of {self.n_files} refused and not ranked"
            if len(self.refused) == 1:
                raise VerificationError(f"{said}: {self.refused[0]} Score again, or take it out.")
            raise VerificationError("\n".join([f"{said}. Score again, or take them out.", *self.refused]))


def read_folder(*places: Path) -> Entries:
    """Every scorecard of folders and their subfolders, and of files; one that is wrong takes no other with it.

    Raises:
        EmptyInputError: there is none.
    """
    paths: dict[Path, None] = {}
    for place in places:
        inside = sorted(p for p in place.rglob("*.json") if not _of_run(p)) if place.is_dir() else [place]
        if not inside or not place.exists():
            raise EmptyInputError(f"{place}: no scorecards (*.json). Copy there what igmu score --out wrote.")
        paths |= dict.fromkeys(inside)
    cards: dict[Path, Scorecard] = {}
    earlier: dict[Path, Scorecard] = {}
    refused = []
    for path in paths:
        try:
            card, problems = verify(path)
        except IgmuError as error:
            refused.append(f"{error}")
            continue
        if card is None or problems:
            refused.append(told(path, problems))
        elif twin := next((p for p, c in cards.items() if c.model == card.model and alike([c, card])[1:] == []), None):
            old, new = sorted((twin, path), key=_day)
            if not _day(old) or _day(old) == _day(new):
                what = f"of {card.model!r}, scored alike, as is {twin}, which is ranked. Keep one of them"
                refused.append(
                    f"{path}:\n  {what}, or put its date into each name: {slug(card.model)}.2026-11-30.json."
                )
            else:
                both = {twin: cards.pop(twin), path: card}
                earlier[old], cards[new] = both[old], both[new]
        else:
            cards[path] = card
    days = {c.content_sha256: day for p, c in (*cards.items(), *earlier.items()) if (day := _day(p))}
    return Entries(list(cards.values()), refused, len(paths), list(earlier.values()), days)


def _day(path: Path) -> str:
    """The date that a file's name ends in; "" where there is none."""
    found = _DATED.search(path.stem)
    return found[1] if found else ""


def _of_run(path: Path) -> bool:
    """Whether a file is one of an `igmu run` that is no card."""
    return (path.parent / PLAN).is_file()


def alike(cards: Sequence[Scorecard]) -> list[list[Scorecard]]:
    """Cards in groups that can be compared, by config, the largest group first."""
    groups: list[list[Scorecard]] = []
    for card in cards:
        home = next((g for g in groups if g[0].config == card.config and _comparable(g[0], card)), None)
        if home is None:
            groups.append([card])
        else:
            home.append(card)
    return sorted(groups, key=lambda g: (g[0].config, -len(g)))


def _comparable(first: Scorecard, second: Scorecard) -> bool:
    try:
        require_comparable([first, second])
    except IncomparableError:
        return False
    return True


def render(
    cards: Sequence[Scorecard],
    refused: Sequence[str] = (),
    earlier: Sequence[Scorecard] = (),
    days: Mapping[str, str] | None = None,
) -> str:
    """The page as text.

    Args:
        cards: to rank.
        refused: why other files are not ranked.
        earlier: cards of the same models that later ones replaced.
        days: date of a card, by the hash of its content.

    Raises:
        EmptyInputError: no card of an unlearned model.
    """
    groups = [g for g in alike(cards) if any(c.model != c.original_model for c in g)]
    if not groups:
        raise EmptyInputError("no scorecard of an unlearned model: there is nothing to rank.")
    views = [view(Section(group, {})) for group in groups]
    n_models = sum(len(v.cards) for v in views)
    n_concepts = len({v.first.config for v in views})
    places = anchors(views)
    boards = [_board(found, place, earlier, days or {}) for found, place in zip(views, places, strict=True)]
    return filled(
        "leaderboard.html",
        counts=f"{counted(n_models, 'result')} on {counted(n_concepts, 'concept')}.",
        ranked=any(v.winner for v in views),
        boards=boards,
        filters={name: sorted({board[name] for board in boards}) for name in ("concept", *_FILTERS)},
        definitions=definitions(),
        refused=[visible(text, lines=True) for text in refused],
        version=views[0].first.igmu_version,
    )


def _board(found: View, anchor: str, earlier: Sequence[Scorecard], days: Mapping[str, str]) -> dict[str, Any]:
    """A table, what it is filtered by, and the history of its models."""
    table = ranking(found)
    return {
        "view": found,
        "anchor": anchor,
        "table": table,
        "coverage_line": covering(found.cards),
        "history": list(_history(found, table.columns, earlier, days)),
        "concept": found.first.config,
        "coverage": _coverage(found.cards),
        "detector": str(found.signature.fields.get("detector", "unknown")),
        "original": found.first.original_model,
    }


def _coverage(cards: Sequence[Scorecard]) -> str:
    parts = [found for card in cards for found in (card.coverage or {}).values()]
    return "unknown" if not parts else "complete" if all(found.whole for found in parts) else "partial"


def _history(
    found: View, columns: Sequence[Column], earlier: Sequence[Scorecard], days: Mapping[str, str]
) -> Iterator[Dated]:
    """The cards of every model that has earlier ones, the latest first."""
    for card in found.cards:
        old = [c for c in earlier if c.model == card.model and c.config == card.config and _comparable(card, c)]
        if old:
            for one in sorted([card, *old], key=lambda c: days.get(c.content_sha256, ""), reverse=True):
                figures = [one.figure(column.score, column.figure) for column in columns]
                yield Dated(one.model, days.get(one.content_sha256, ""), figures)
