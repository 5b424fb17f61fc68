"""A static leaderboard: a folder of scorecards becomes one page, a table for every set of cards that were scored alike.

Conventions: a table holds one card a model; cards of one concept whose signatures differ, or that cover the protocol
unlike, stand in tables of their own, because their numbers cannot be compared. Tables are sorted by config, then by
number of models. A file that is refused is listed with its reason, and the others are ranked. No script, no network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from igmu_data.errors import EmptyInputError, IgmuError, IncomparableError, VerificationError
from igmu_data.media import visible
from igmu_metrics.coverage import covering
from igmu_metrics.report.ranking import ranking
from igmu_metrics.report.templates import filled
from igmu_metrics.report.view import Section, view
from igmu_metrics.report.wording import counted
from igmu_metrics.scorecard import PLAN, Scorecard
from igmu_metrics.verdict.compare import require_comparable
from igmu_metrics.verdict.verify import told, verify


@dataclass(frozen=True, slots=True)
class Entries:
    """What a folder holds.

    Args:
        cards: that agree with themselves, one a model of those scored alike.
        refused: why each other file is not ranked; the first line names it.
        n_files: all of them.
    """

    cards: Sequence[Scorecard]
    refused: Sequence[str]
    n_files: int

    def require_all(self) -> None:
        """Refuse a folder in which something is refused.

        Raises:
            VerificationError: with every file that is refused, and why.
        """
        if self.refused:
            n = counted(len(self.refused), "scorecard")
            first = f"{n} of {self.n_files} refused and not ranked. Score again, or take it out."
            raise VerificationError("\n".join([first, *self.refused]))


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
            what = f"of {card.model!r}, scored alike, as is {twin}, which is ranked. Keep one of them."
            refused.append(f"{path}:\n  {what}")
        else:
            cards[path] = card
    return Entries(list(cards.values()), refused, len(paths))


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


def render(cards: Sequence[Scorecard], refused: Sequence[str] = ()) -> str:
    """The page as text.

    Args:
        cards: to rank.
        refused: why other files are not ranked.

    Raises:
        EmptyInputError: no card of an unlearned model.
    """
    groups = [g for g in alike(cards) if any(c.model != c.original_model for c in g)]
    if not groups:
        raise EmptyInputError("no scorecard of an unlearned model: there is nothing to rank.")
    views = [view(Section(group, {})) for group in groups]
    n_models = sum(len(v.cards) for v in views)
    n_concepts = len({v.first.config for v in views})
    return filled(
        "leaderboard.html",
        counts=f"{counted(n_models, 'result')} on {counted(n_concepts, 'concept')}.",
        ranked=any(v.winner for v in views),
        boards=[{"view": v, "table": ranking(v), "coverage": covering(v.cards)} for v in views],
        refused=[visible(text, lines=True) for text in refused],
        version=views[0].first.igmu_version,
    )
