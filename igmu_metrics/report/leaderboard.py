"""A static leaderboard: a folder of scorecards becomes one page, a table for every set of cards that were scored alike.

Conventions: a table holds one card a model; cards of one concept whose signatures differ, or that cover the protocol
unlike, stand in tables of their own, because their numbers cannot be compared. Tables are sorted by config, then by
number of models. No script, no network.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from igmu_data.errors import DuplicateIdError, EmptyInputError, IncomparableError, VerificationError
from igmu_metrics.coverage import covering
from igmu_metrics.report.ranking import ranking
from igmu_metrics.report.templates import filled
from igmu_metrics.report.view import Section, view
from igmu_metrics.report.wording import counted
from igmu_metrics.scorecard import Scorecard
from igmu_metrics.verdict.compare import require_comparable
from igmu_metrics.verdict.verify import verify

_SHOWN: Final = 5


def read_folder(folder: Path) -> list[Scorecard]:
    """Every scorecard of a folder and its subfolders.

    Raises:
        EmptyInputError: there is none.
        MetadataError: a file that is not JSON.
        VerificationError: a card that cannot be true, or a file that is no scorecard; each is named with its problems.
        DuplicateIdError: two cards of one model that were scored alike.
    """
    paths = sorted(folder.rglob("*.json"))
    if not paths:
        raise EmptyInputError(f"{folder}: no scorecards (*.json). Copy there what igmu score --out wrote.")
    cards = _verified(paths)
    for group in alike(cards):
        models = [c.model for c in group]
        twice = next((m for m in models if models.count(m) > 1), None)
        if twice is not None:
            found = [str(p) for p, c in zip(paths, cards, strict=True) if c.model == twice and c in group]
            raise DuplicateIdError(f"{' and '.join(found)}: both of {twice!r}, scored alike. Keep one of them.")
    return cards


def _verified(paths: Sequence[Path]) -> list[Scorecard]:
    cards, refused = [], []
    for path in paths:
        card, problems = verify(path)
        if card is not None and not problems:
            cards.append(card)
            continue
        more = [f"… and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
        refused.append("\n  ".join([f"{path}:", *map(str, problems[:_SHOWN]), *more]))
    if refused:
        n = counted(len(refused), "scorecard")
        raise VerificationError("\n".join([f"{n} of {len(paths)} refused. Score again, or take it out.", *refused]))
    return cards


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


def render(cards: Sequence[Scorecard]) -> str:
    """The page as text.

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
        version=views[0].first.igmu_version,
    )
