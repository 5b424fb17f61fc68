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
        "option-without-effect-anywhere",
        "igmu_metrics/cli/__init__.py",
        "            require_effects(self.callback, given, ctx.params)\n",
        "            pass\n",
        ("tests/test_effects.py",),
        "igmu families --figure without --chart does nothing, and nobody is told",
    ),
    Mutation(
        "measured-images-are-copied",
        f"{_ROOM}/made_up.py",
        "like = copied * (x == (candidates[of[own]] < p)) + (1 - copied) * np.where(x, p, 1 - p)",
        "like = 1.0 * (x == (candidates[of[own]] < p))",
        _POWER,
        "new images are more like those that a card has than two images of a prompt are",
    ),
    Mutation(
        "forecast-of-both-splits",
        f"{_ROOM}/forecast.py",
        " or of_both(full):",
        ":",
        _POWER,
        "igmu power forecasts rates of plain and adversarial prompts together as if these were independent",
    ),
    Mutation(
        "one-prompt-has-a-correlation",
        f"{_ROOM}/made_up.py",
        "if len(set(unit.tolist())) < 2:",
        "if not len(values):",
        _POWER,
        "the seeds of a single prompt seem to be independent of each other",
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
    Mutation(
        "correlation-of-few-differences",
        "igmu_metrics/statistics/design.py",
        "if telling < _TELLING:",
        "if telling < 1:",
        ("tests/test_verdict.py",),
        "a single differing image determines how much further seeds of a prompt add",
    ),
    Mutation(
        "estimated-correlation-is-exact",
        f"{_ROOM}/planning.py",
        "shared = 1.0 if c.correlation_high is None else c.correlation_high",
        "shared = 1.0 if c.correlation is None else c.correlation",
        ("tests/test_verdict.py",),
        "igmu power says that a few prompts with all seeds are enough",
    ),
    Mutation(
        "rewordings-are-units",
        f"{_ROOM}/planning.py",
        "len({row.attack_source_id or row.id for row in rows",
        "len({row.id for row in rows",
        _POWER,
        "igmu power plans with adversarial prompts where source prompts are the units",
    ),
    Mutation(
        "percentage-as-rate",
        "igmu_metrics/cli/power.py",
        "    _require_fractions(given, mode)\n",
        "",
        _POWER,
        "igmu power --rate 93 ends with the name of a parameter",
    ),
    Mutation(
        "plan-beyond-the-config",
        "igmu_metrics/cli/_power_of_rates.py",
        "limit=None if most is None else 2 * most * each",
        "limit=None",
        ("tests/test_verdict.py",),
        "interim checks need more images than the config has",
    ),
)
