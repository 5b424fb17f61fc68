"""The command `igmu power`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from igmu_metrics.cli._common import Bench, OptionalCards, Revision
from igmu_metrics.cli._effects import flag as option_of
from igmu_metrics.cli._effects import no_effect
from igmu_metrics.cli._generating import NO_SCORE

if TYPE_CHECKING:
    from igmu_metrics.cli._card_answers import Powered

# What a plan is based on, and which options then have an effect. Any other option is refused, never ignored.
_CARDS: Final = "scorecards"
_RATES: Final = "two rates, or one rate with --prompts"
_BOUND: Final = "one rate and --bound NUMBER"
_ATTACKS: Final = "one rate and --bound METRIC=NUMBER"
_COSTS: Final = ("gpu", "seconds_per_image", "euros_per_hour", "looks")
_ALWAYS: Final = (*_COSTS, "chance", "alpha", "protocol", "seeds", "bench", "revision")
_PLAIN: Final = (*_ALWAYS, "rate", "config", "prompts", "seed_correlation", "model_correlation", "comparisons")
_USED: Final[Mapping[str, tuple[str, ...]]] = {
    _CARDS: (*_ALWAYS, "cards", "prompts", "bound"),
    _RATES: _PLAIN,
    _BOUND: (*_PLAIN, "bound"),
    _ATTACKS: (*_ALWAYS, "rate", "config", "bound", "seed_correlation", "source_correlation", "comparisons"),
}
# Options that have an effect only together with one of others.
_WITH: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    _CARDS: {"seeds": ("protocol", "bound"), "bench": ("protocol", "bound"), "revision": ("protocol", "bound")},
    _RATES: {"protocol": ("config",), "seed_correlation": ("seeds", "config")},
    _BOUND: {
        "protocol": ("config",),
        "seed_correlation": ("seeds",),
        "model_correlation": ("prompts", "protocol"),
    },
    _ATTACKS: {"seed_correlation": ("seeds",)},
}
_FLAGS: Final = {"chance": "--power"}
_DEFAULTS: Final[Mapping[str, Any]] = {
    "seeds": 1,
    "seed_correlation": 0.3,
    "source_correlation": 0.2,
    "model_correlation": 0.0,
    "chance": 0.8,
    "alpha": 0.05,
    "comparisons": 1,
    "looks": 11,
}


def power(
    cards: OptionalCards = None,
    rate: Annotated[
        list[float] | None,
        typer.Option(help="Assumed rate of a model, 0..1; repeat to compare two models, or use once with --prompts."),
    ] = None,
    bound: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER|METRIC=NUMBER",
            help="Bound, as in igmu check, for which igmu prints how many prompts show that the --rate is below or "
            "above it; METRIC=NUMBER with scorecards, or for attacks (asr=0.1), whose unit is the source prompt. "
            "Without METRIC, for a rate that counts each prompt once, such as asr_any@5, leave --seeds at 1.",
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            metavar="lite|full|N",
            help="Part of the corpus to plan for, as in igmu run: igmu prints the intervals that scorecards' models "
            "would get there, or the difference that its prompts can detect.",
        ),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(
            help="Config of a concept, such as object.church, whose prompts limit the plan; used with --rate."
        ),
    ] = None,
    prompts: Annotated[
        int | None,
        typer.Option(
            min=1, help="Planned number of prompts, for which igmu prints the smallest detectable difference."
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            min=1, help=f"Number of images per prompt; default: 1, or the number on each scorecard. {NO_SCORE}"
        ),
    ] = None,
    seed_correlation: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Correlation between two images for one prompt, 0..1 (at 1, extra seeds add nothing); used with "
            "--rate; default: 0.3.",
        ),
    ] = None,
    source_correlation: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Correlation between images for two adversarial prompts made from one source prompt, 0..1, at most "
            "--seed-correlation; used with --rate and --bound METRIC=NUMBER; default: 0.2.",
        ),
    ] = None,
    model_correlation: Annotated[
        float | None,
        typer.Option(
            min=-1,
            max=1,
            help="Correlation between two models on the same prompt, -1..1 (at 0, pairing has no benefit); used with "
            "--rate; default: 0.",
        ),
    ] = None,
    chance: Annotated[
        float | None,
        typer.Option("--power", help="Probability of detecting a difference that exists; default: 0.8."),
    ] = None,
    alpha: Annotated[
        float | None, typer.Option(help="Two-sided significance level of the test; default: 0.05.")
    ] = None,
    comparisons: Annotated[
        int | None, typer.Option(min=1, help="Number of tests that share alpha; used with --rate; default: 1.")
    ] = None,
    gpu: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=SECONDS[,EUROS]",
            help="Name of a GPU, its seconds per image and its price in euros per hour; igmu prints the hours and "
            "costs for this GPU. Repeat this option for each GPU.",
        ),
    ] = None,
    seconds_per_image: Annotated[
        float | None, typer.Option(help="Seconds per image on your GPU; to give the GPU a name, use --gpu instead.")
    ] = None,
    euros_per_hour: Annotated[
        float | None, typer.Option(help="Price in euros per hour of the GPU that --seconds-per-image describes.")
    ] = None,
    looks: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=100,
            help="Maximum number of interim checks of igmu run --until, at which costs and intervals are estimated; "
            "its plan has 11; default: 11 for costs, and the checks of the scorecard for intervals.",
        ),
    ] = None,
    bench: Bench = None,
    revision: Revision = None,
) -> Powered:
    """Estimate, from scorecards or assumed rates, how many prompts and images a comparison or a bound needs, which
    intervals a run would get, and how much time and money it takes (hours, euros)."""
    given = {name: value for name, value in locals().items() if value is not None and value != []}
    from igmu_metrics.cli import _power_of_cards, _power_of_rates
    from igmu_metrics.verdict.planning import Gpu

    mode = _checked(given)
    gpus = [Gpu.read(text) for text in gpu or ()]
    gpus += [] if seconds_per_image is None else [Gpu("", seconds_per_image, euros_per_hour)]
    asked: dict[str, Any] = {**_DEFAULTS, **given, "gpus": gpus, "given": tuple(given)}
    if mode == _CARDS:
        return _power_of_cards.planned(asked)
    return _power_of_rates.of_attacks(asked) if mode == _ATTACKS else _power_of_rates.assumed(asked)


def _checked(given: Mapping[str, Any]) -> str:
    """What the plan is based on, after a check that every given option has an effect on it.

    Raises:
        InputError: nothing to plan from, or an option without effect; the message names it, and what it requires.
    """
    from igmu_data.errors import InputError

    if ("cards" in given) == ("rate" in given):
        both = "both scorecards and" if "cards" in given else "neither scorecards nor"
        raise InputError(
            f"{both} assumed rates are given. Specify either scorecards or rates, as in 'igmu power --rate 0.76 "
            "--rate 0.80'."
        )
    if "euros_per_hour" in given and "seconds_per_image" not in given:
        raise InputError(
            f"--euros-per-hour {given['euros_per_hour']:g} is given without --seconds-per-image. Specify both, or use "
            "--gpu."
        )
    named = "=" in str(given.get("bound", ""))
    mode = _CARDS if "cards" in given else _RATES if "bound" not in given else _ATTACKS if named else _BOUND
    needs = dict(_WITH[mode])
    if mode != _CARDS:
        needs |= {"bench": ("config",), "revision": ("config",)}
    for name, value in given.items():
        flag = f"{_flag(name)} {value}"
        if name not in _USED[mode]:
            where = " or ".join(other for other in (_CARDS, _RATES, _BOUND, _ATTACKS) if name in _USED[other])
            raise InputError(f"{flag} has no effect with {mode}. Omit it; it is used with {where}.")
        if name in needs and not any(given.get(other, 1) != 1 for other in needs[name]):  # one seed is the default
            raise no_effect(flag, list(map(_flag, needs[name])))
    if {"prompts", "protocol"} <= set(given):
        raise InputError(
            f"--prompts {given['prompts']} and --protocol {given['protocol']} are both given, but each sets the number "
            "of prompts. Omit one of them."
        )
    if mode != _RATES and len(given.get("rate", ())) > 1:
        raise InputError(f"--rate is used {len(given['rate'])} times. With --bound, specify only one rate.")
    _require_fractions(given, mode)
    return mode


def _require_fractions(given: Mapping[str, Any], mode: str) -> None:
    """Refuse rates that are not fractions, by the name of their option; a bound on a scorecard is checked with it."""
    from igmu_data.errors import OutOfRangeError
    from igmu_metrics.cli._power_of_rates import number_of

    rates = [("rate", value) for value in given.get("rate", ())]
    rates += [("bound", number_of(given["bound"]))] if "bound" in given and mode != _CARDS else []
    for name, value in [*rates, *((name, given[name]) for name in ("chance", "alpha") if name in given)]:
        if not (0 <= value <= 1 if name == "rate" else 0 < value < 1):
            ends = "from 0 to 1" if name == "rate" else "greater than 0 and less than 1"
            percent = f", such as {value / 100:g} for {value:g}%" if 1 < value < 100 else ""
            raise OutOfRangeError(
                f"{_flag(name)} is {value:g}; it must be a fraction, {ends}, not a percentage{percent}."
            )


def _flag(name: str) -> str:
    return _FLAGS.get(name, option_of(name))
