"""A static leaderboard: one page for a folder of scorecards, with one table per set of cards scored in the same way.

Conventions: a table has one card per model. Cards of one concept are in separate tables if their signatures or their
coverage differ, because then their numbers cannot be compared. Tables are sorted by config, then by number of models.
If there are several cards of a model with a date at the end of their file names (`esd.2026-11-30.json`), the latest is
ranked and the others are its history. Refused files are listed with the reason; the others are ranked. The page works
without scripts, which only filter tables and show definitions, and without network access.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from igmu_data.errors import EmptyInputError, IgmuError, IncomparableError, MetadataError, VerificationError
from igmu_data.media import slug, visible
from igmu_data.numerals import counted
from igmu_metrics.coverage import covering
from igmu_metrics.images.ways import differing
from igmu_metrics.report.definitions import definitions
from igmu_metrics.report.ranking import Column, ranking
from igmu_metrics.report.templates import filled
from igmu_metrics.report.view import Section, View, anchors, view
from igmu_metrics.scorecard import Figure, Scorecard
from igmu_metrics.verdict.compare import require_comparable
from igmu_metrics.verdict.places import is_card
from igmu_metrics.verdict.verify import told, verify

_DATED: Final = re.compile(r"(?:^|[._-])(\d{4}-\d{2}-\d{2})$")


_FILTERS: Final = ("coverage", "detector", "original")


class Dated(NamedTuple):
    """A card in a model's history: its date, and its values by column."""

    model: str
    day: str
    figures: Sequence[Figure | None]


@dataclass(frozen=True, slots=True)
class Entries:
    """The contents of a folder.

    Args:
        cards: consistent cards, one per model among those scored in the same way.
        refused: why each other file is not ranked; the first line names the file.
        n_files: number of all files.
        earlier: earlier cards of the same models.
        days: date of each card (`2026-11-30`) by the hash of its content; only for file names with a date.
    """

    cards: Sequence[Scorecard]
    refused: Sequence[str]
    n_files: int
    earlier: Sequence[Scorecard] = ()
    days: Mapping[str, str] = field(default_factory=dict)

    def require_all(self) -> None:
        """Refuse a folder that contains refused files.

        Raises:
            VerificationError: files were refused; the message names them and the reasons.
        """
        if self.refused:
            cards, one = counted(len(self.refused), "scorecard"), len(self.refused) == 1
            what = "was refused and is not ranked" if one else "were refused and are not ranked"
            said = f"{cards} of {self.n_files:,} {what}. Score again, or remove the {'file' if one else 'files'}."
            single = one and "\n" not in self.refused[0].strip()
            raise VerificationError(f"{said} {self.refused[0].strip()}" if single else "\n".join([said, *self.refused]))


def read_folder(*places: Path) -> Entries:
    """Read all scorecards in folders and their subfolders, and in files; invalid ones do not affect the others.

    Raises:
        MetadataError: a file or folder does not exist.
        EmptyInputError: there are no scorecards.
    """
    paths: dict[Path, None] = {}
    for place in places:
        if not place.exists():
            raise MetadataError(f"{place} does not exist. Specify scorecards, or folders of scorecards.")
        inside = sorted(p for p in place.rglob("*.json") if is_card(p)) if place.is_dir() else [place]
        if not inside:
            raise EmptyInputError(
                f"{place} contains no scorecards (*.json). Copy the files written by 'igmu score --out' to this folder."
            )
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
                what = f"{twin}, which is ranked, is also for {card.model!r} and was scored in the same way"
                refused.append(
                    f"{path}:\n  {what}. Keep only one of them, or add the date to both file names, as in "
                    f"{slug(card.model)}.2026-11-30.json."
                )
            else:
                both = {twin: cards.pop(twin), path: card}
                earlier[old], cards[new] = both[old], both[new]
        else:
            cards[path] = card
    days = {c.content_sha256: day for p, c in (*cards.items(), *earlier.items()) if (day := _day(p))}
    return Entries(list(cards.values()), refused, len(paths), list(earlier.values()), days)


def _day(path: Path) -> str:
    """The date at the end of a file's name; "" if there is none."""
    found = _DATED.search(path.stem)
    return found[1] if found else ""


def alike(cards: Sequence[Scorecard]) -> list[list[Scorecard]]:
    """Cards in comparable groups, sorted by config, the largest group first."""
    groups: list[list[Scorecard]] = []
    for card in cards:
        home = next((g for g in groups if g[0].config == card.config and _comparable(card, *g)), None)
        if home is None:
            groups.append([card])
        else:
            home.append(card)
    return sorted(groups, key=lambda g: (g[0].config, -len(g)))


def _comparable(card: Scorecard, *group: Scorecard) -> bool:
    """Whether a card can be compared with those of a group, which can be compared with each other."""
    try:
        require_comparable([group[0], card])
    except IncomparableError:
        return False
    return not any(differing(card, other) for other in group)  # the first one may not record how it was generated


def render(
    cards: Sequence[Scorecard],
    refused: Sequence[str] = (),
    earlier: Sequence[Scorecard] = (),
    days: Mapping[str, str] | None = None,
) -> str:
    """The page as text.

    Args:
        cards: cards to rank.
        refused: why other files are not ranked.
        earlier: earlier cards of the same models.
        days: date of each card by the hash of its content.

    Raises:
        EmptyInputError: no card of an unlearned model.
    """
    groups = [g for g in alike(cards) if any(c.model != c.original_model for c in g)]
    if not groups:
        raise EmptyInputError("none of the scorecards is for an unlearned model. Specify at least one that is.")
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
    """A table, the values that it is filtered by, and the history of its models."""
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
    """The cards of each model that has earlier ones, the latest first."""
    for card in found.cards:
        old = [c for c in earlier if c.model == card.model and c.config == card.config and _comparable(card, c)]
        if old:
            for one in sorted([card, *old], key=lambda c: days.get(c.content_sha256, ""), reverse=True):
                figures = [one.figure(column.score, column.figure) for column in columns]
                yield Dated(one.model, days.get(one.content_sha256, ""), figures)
