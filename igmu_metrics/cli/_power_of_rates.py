"""`igmu power` for assumed rates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from igmu_data.numerals import counted
from igmu_metrics.cli._common import say

if TYPE_CHECKING:
    from igmu_data.schema import Row
    from igmu_metrics.cli._card_answers import Powered


def assumed(asked: Mapping[str, Any]) -> Powered:
    """The plan for one or two rates of plain prompts; `asked` contains the options, with their defaults."""
    from igmu_data.configs import config_target
    from igmu_data.errors import InputError
    from igmu_data.rows.rounds import named, rounds_of
    from igmu_data.schema import SEEDS_PER_ROW
    from igmu_metrics.cli._card_answers import Powered, Reach
    from igmu_metrics.images.generate import ONE_IMAGE
    from igmu_metrics.statistics import detectable_difference, prompts_for_bound, prompts_needed
    from igmu_metrics.statistics.power import MOST
    from igmu_metrics.verdict.planning import costs

    rates, seeds, gpus = asked["rate"], asked["seeds"], asked["gpus"]
    bound = None if "bound" not in asked else number_of(asked["bound"])
    prompts, protocol = asked.get("prompts"), asked.get("protocol")
    if len(rates) > 2:
        raise InputError(f"--rate is used {len(rates)} times. Specify two rates.")
    if bound is None and len(rates) == 1 and prompts is None and protocol is None:
        raise InputError(
            "--rate is used 1 time without --prompts, --protocol or --bound. Specify two rates, or one rate and one of "
            "these."
        )
    rows = _plain(asked, _corpus(asked)) if "config" in asked else None
    if rows is not None and seeds > SEEDS_PER_ROW:
        raise InputError(f"--seeds is {seeds}, but the config has {SEEDS_PER_ROW} seeds per prompt. Use at most these.")
    if rows is not None and protocol is not None:
        prompts = sum(row.round <= rounds_of(protocol) for row in rows)
        if not prompts:
            raise InputError(
                f"config {asked['config']!r} has no plain prompts in {named(rounds_of(protocol))}. Use a larger "
                "--protocol."
            )
    how: dict[str, Any] = {"seed_correlation": asked["seed_correlation"], "power": asked["chance"]}
    how |= {"alpha": asked["alpha"], "comparisons": asked["comparisons"]}
    paired = {**how, "model_correlation": asked["model_correlation"]}
    looked: dict[str, Any] = {"looks": asked["looks"], "power": asked["chance"]}
    looked["alpha"] = asked["alpha"] / asked["comparisons"]

    def required(seeds: int) -> int:
        if bound is not None:
            return prompts_for_bound(rates[0], bound, seeds=seeds, **how)
        return prompts_needed(rates[0], rates[1], seeds=seeds, **paired)

    def cost(n: int, each: int) -> list[str]:
        return costs(2 * n * each, gpus, **looked, limit=None if most is None else 2 * most * each)

    most = None if rows is None else len(rows)
    needed, reach = None, []
    if bound is not None or len(rates) == 2:
        needed = n = required(seeds)
        told = f"{'at least ' * (n >= MOST)}{counted(n, 'prompt')} with {counted(seeds, 'image')} each"
        if bound is None:
            say(f"Comparing {rates[0]:g} with {rates[1]:g} requires {told}")
        else:
            say(f"Showing that {rates[0]:g} is {'below' if rates[0] < bound else 'above'} {bound:g} requires {told}")
        if most is not None and n > most:
            say(f"This is more than the {counted(most, 'prompt')} of the config")
            if seeds < SEEDS_PER_ROW and (fewer := required(SEEDS_PER_ROW)) < n:
                say(f"With {SEEDS_PER_ROW} images each, {counted(fewer, 'prompt')} would be required")
            say(f"All prompts of the config with {counted(seeds, 'image')} each:", *cost(most, seeds))
        elif n < MOST:
            say(*cost(n, seeds))
        elif gpus or "looks" in asked["given"]:
            say("  There is no estimate of time or cost, because the number of prompts is not known")
    planned = [] if prompts is None else [(prompts, seeds)]
    if rows is not None:
        if needed is not None and needed <= len(rows):
            rounds = sorted(row.round for row in rows)[needed - 1]
            told = f"These prompts are in rounds 1 to {rounds}"
            one_concept = config_target(asked["config"]) is not None  # igmu run accepts only one
            if one_concept:
                told += f": igmu run --protocol {rounds} --seeds-per-row {seeds} also generates the other prompts of "
                told += "these rounds"
            say(told)
            if one_concept and seeds == 1:
                say(ONE_IMAGE)
        if needed is not None and protocol is not None:
            enough = "enough" if needed <= (prompts or 0) else "not enough"
            say(f"{_first(named(rounds_of(protocol)))} has {counted(prompts or 0, 'plain prompt')}, which is {enough}")
        planned += [(len(rows), SEEDS_PER_ROW)] if bound is None else []
    for n, each in planned:
        for value in rates:
            below, above = detectable_difference(value, n, seeds=each, **paired)
            say(reachable(f"{value:g}", n, below, above, each))
            reach.append(Reach("", value, n, below, above))
        if most is not None and n > most:
            say(f"These {n:,} prompts are more than the {counted(most, 'prompt')} of the config")
        elif needed is None:  # otherwise the costs are those of the prompts that are needed
            say(*cost(n, each))
    return Powered(reach=reach, needed=needed, offered=None if rows is None else len(rows))


def of_attacks(asked: Mapping[str, Any]) -> Powered:
    """The smallest part of a protocol that shows on which side of a bound an assumed attack success is."""
    from igmu_data.configs import config_target
    from igmu_data.errors import InputError
    from igmu_data.rows.rounds import named, rounds_of
    from igmu_data.schema import ROUNDS, SEEDS_PER_ROW
    from igmu_metrics.cli._card_answers import Forecast, Powered
    from igmu_metrics.statistics.formatting import beside
    from igmu_metrics.statistics.level import at_level
    from igmu_metrics.statistics.looks import level_of
    from igmu_metrics.verdict import forecast, made_up
    from igmu_metrics.verdict.planning import costs, units

    (rate,), name = asked["rate"], asked["bound"].partition("=")[0].strip()
    bound = number_of(asked["bound"])
    seeds, alpha = asked["seeds"], asked["alpha"] / asked["comparisons"]
    if "config" not in asked:
        raise InputError(
            f"--bound {asked['bound']} requires the attacks of a config. Add --config, such as object.church."
        )
    if rate == bound:
        raise InputError(
            f"the rate and the bound are both {rate!r}, so no number of prompts decides. Use another rate."
        )
    if seeds > SEEDS_PER_ROW:
        raise InputError(f"--seeds is {seeds}, but the config has {SEEDS_PER_ROW} seeds per prompt. Use at most these.")
    shared = made_up.Correlations(asked["seed_correlation"], asked["source_correlation"])
    if seeds == 1:  # then the first of the two has no effect, and must not limit the second
        shared = made_up.Correlations(max(shared), shared.sources)
    full, known = forecast.assumed(name, rate, seeds, shared)
    rows = _corpus(asked)
    _plain(asked, rows)
    if (target := config_target(asked["config"])) is None:
        raise InputError(f"config {asked['config']!r} is not about one concept. Specify one, such as object.church.")

    planned = asked["looks"] if "looks" in asked["given"] else 1

    def foreseen(rounds: int) -> list[made_up.Foreseen]:
        images = made_up.Planned.of([r for r in rows if r.round <= rounds], seeds, target, {})
        with at_level(level_of(planned, alpha)):
            return made_up.foresee(images, known, [full], bound=bound, above=rate > bound, times=100)

    only = None if "protocol" not in asked else rounds_of(asked["protocol"])
    rounds, seen = forecast.smallest(foreseen, asked["chance"]) if only is None else (only, foreseen(only))
    if not seen:
        raise InputError(
            f"config {asked['config']!r} has no adversarial prompts in {named(only or ROUNDS)}, so there is nothing to "
            "plan. Use a larger --protocol or another --config."
        )
    (found,) = seen
    side = "below" if rate < bound else "above"
    attacks = [r for r in rows if r.split == "adversarial" and r.round <= (rounds or ROUNDS)]
    sources = units(attacks, "adversarial")
    each = f"{counted(len(attacks), 'adversarial prompt')} made from {counted(sources, 'source prompt')}, "
    each += f"with {counted(seeds, 'image')} each"
    chance = f"a chance of {found.chance:.0%}; expected interval {beside(found, bound)}"
    if only is not None:
        say(f"{_first(named(only))} shows that {name} {rate:g} is {side} {bound:g} with {chance} ({each})")
    elif rounds is None:
        say(f"The full protocol is not enough to show that {name} {rate:g} is {side} {bound:g}: {chance} ({each})")
    else:
        say(f"Showing that {name} {rate:g} is {side} {bound:g} requires {named(rounds)}: {chance} ({each})")
    say("  The original is assumed to show the concept in all images. The unit of the interval is the source prompt.")
    generated = sum(row.round <= (rounds or ROUNDS) for row in rows)
    limit, power = 2 * len(rows) * seeds, asked["chance"]
    say(*costs(2 * generated * seeds, asked["gpus"], looks=asked["looks"], power=power, alpha=alpha, limit=limit))
    told = Forecast("", rounds or ROUNDS, seeds, full, found.value, found.interval, bound, found.chance)
    return Powered(forecasts=[told], needed=sources if rounds else None, offered=units(rows, "adversarial"))


def reachable(what: str, prompts: int, below: float, above: float, seeds: int | None = None) -> str:
    """The smallest detectable differences in words."""
    each = "" if seeds is None else f" with {counted(seeds, 'image')} each"
    ends = [f"{sign}{d:.3f}" for sign, d in (("−", below), ("+", above)) if d == d]
    told = f"{' or '.join(ends)} or more" if ends else "none within 0..1"
    return f"difference from {what} that {counted(prompts, 'prompt')}{each} can detect: {told}"


def _first(text: str) -> str:
    """A text at the beginning of a sentence."""
    return text[:1].upper() + text[1:]


def number_of(text: str) -> float:
    """The number of `--bound`."""
    from igmu_data.errors import InputError

    try:
        return float(text.rpartition("=")[2])
    except ValueError:
        raise InputError(
            f"--bound is {text!r}; it must be a number, or have the form METRIC=NUMBER, such as asr=0.1."
        ) from None


def _corpus(asked: Mapping[str, Any]) -> list[Row]:
    """All prompts of a config."""
    from igmu_metrics.verdict.forecast import corpus

    return corpus(asked["config"], asked.get("bench"), asked.get("revision"))


def _plain(asked: Mapping[str, Any], rows: list[Row]) -> list[Row]:
    """The plain prompts of a config: those that ask for its concept, or all of general prompts."""
    from igmu_data.schema import ASIDE

    plain = [row for row in rows if row.split == "forget" and row.probe not in ASIDE] or rows
    n = Counter(row.split for row in rows)
    of = {row.attack_source_id for row in rows if row.attack_source_id}
    more = f", {counted(n['adversarial'], 'adversarial prompt')} made from {len(of):,} of them" if of else ""
    more += f" and {counted(n['retain'], 'retain prompt')}" if n["retain"] else ""
    told = f"{asked['config']} has {counted(len(plain), 'plain prompt')}{more}"
    say(f"{told}, with {counted(len(plain[0].seeds), 'seed')} each")
    return plain
