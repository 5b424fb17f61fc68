"""Plans: how many prompts and images a verdict, a difference or a bound requires."""

from __future__ import annotations

from typing import Final

from builders.mutants.mutation import Mutation

_ROOM: Final = "igmu_metrics/verdict"
_POWER: Final = ("tests/test_power.py",)

MUTATIONS: Final[tuple[Mutation, ...]] = (
    Mutation(
        "option-without-effect",
        "igmu_metrics/cli/power.py",
        "if name not in _USED[mode]:",
        "if name not in _USED[mode] and mode != _CARDS:",
        _POWER,
        "igmu power ignores options of rates when scorecards are given",
    ),
    Mutation(
        "attacks-made-up-as-independent",
        f"{_ROOM}/made_up.py",
        'return units(table["id"], np.where(table["split"] == "adversarial", _texts(table, "attack_source_id"), ""))',
        'return units(table["id"], np.where(table["split"] == "nothing", _texts(table, "attack_source_id"), ""))',
        _POWER,
        "igmu power expects too narrow intervals for attacks",
    ),
    Mutation(
        "images-of-a-card-made-up-again",
        f"{_ROOM}/made_up.py",
        "np.where(kept, np.ma.filled(measured, False), made)",
        "np.where(kept & False, np.ma.filled(measured, False), made)",
        _POWER,
        "a forecast forgets what a card already shows",
    ),
)
