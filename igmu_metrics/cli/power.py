"""The command `igmu power`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from igmu_data.numerals import counted
from igmu_metrics.cli._common import Bench, OptionalCards, Revision, say
from igmu_metrics.cli._generating import NO_SCORE

if TYPE_CHECKING:
    from igmu_data.schema import Row
    from igmu_metrics.cli._card_answers import Powered
    from igmu_metrics.verdict.planning import Gpu


def power(
    cards: OptionalCards = None,
    rate: Annotated[
        list[float] | None,
        typer.Option(help="Assumed rate of a model, 0..1; repeat to compare two models, or use once with --prompts."),
    ] = None,
    bound: Annotated[
        float | None,
        typer.Option(
            help="Bound, as in igmu check, for which igmu prints how many prompts show that the --rate is below or "
            "above it. For a rate that counts each prompt once, such as asr_any@5, leave --seeds at 1."
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
        int,
        typer.Option(
            min=1,
            help=f"Number of images per prompt; used with --rate. {NO_SCORE}",
        ),
    ] = 1,
    seed_correlation: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Correlation between two images for one prompt, 0..1 (at 1, extra seeds add nothing); used with "
            "--rate.",
        ),
    ] = 0.3,
    model_correlation: Annotated[
        float,
        typer.Option(
            min=-1,
            max=1,
            help="Correlation between two models on the same prompt, -1..1 (at 0, pairing has no benefit); used with "
            "--rate.",
        ),
    ] = 0.0,
    chance: Annotated[float, typer.Option("--power", help="Probability of detecting a difference that exists.")] = 0.8,
    alpha: Annotated[float, typer.Option(help="Two-sided significance level of the test.")] = 0.05,
    comparisons: Annotated[int, typer.Option(min=1, help="Number of tests that share alpha; used with --rate.")] = 1,
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
        int,
        typer.Option(
            min=1,
            max=100,
            help="Maximum number of interim checks of igmu run --until; the full protocol has 11.",
        ),
    ] = 11,
    bench: Bench = None,
    revision: Revision = None,
) -> Powered:
    """Estimate, from scorecards or assumed rates, how many prompts and images a comparison needs, and how much time and
    money it takes (hours, euros)."""
    from igmu_data.configs import config_target
    from igmu_data.errors import InputError
    from igmu_metrics.verdict.planning import Gpu

    if bool(cards) == bool(rate):
        given = "both scorecards and" if cards else "neither scorecards nor"
        raise InputError(
            f"{given} assumed rates are given. Specify either scorecards or rates, as in 'igmu power --rate 0.76 "
            "--rate 0.80'."
        )
    if seconds_per_image is None and euros_per_hour is not None:
        raise InputError(
            f"--euros-per-hour {euros_per_hour:g} is given without --seconds-per-image. Specify both, or use --gpu."
        )
    for flag, value in (("--bench", bench), ("--revision", revision)):
        if value is not None and config is None:
            raise InputError(f"{flag} {value} has no effect without --config. Add --config, or leave out {flag}.")
    gpus = [Gpu.read(text) for text in gpu or ()]
    gpus += [] if seconds_per_image is None else [Gpu("", seconds_per_image, euros_per_hour)]
    if cards:
        if config is not None or bound is not None:
            flag = "--bound" if config is None else "--config"
            raise InputError(f"{flag} is used with --rate; scorecards state their own config. Omit it.")
        return _planned(cards, prompts, chance, alpha, gpus, looks)
    how: dict[str, Any] = {"seed_correlation": seed_correlation, "power": chance, "alpha": alpha}
    how["comparisons"] = comparisons
    rows = None if config is None else _rows(config, bench, revision)
    concept = config is not None and config_target(config) is not None  # only these can be run
    return _assumed(rate or [], bound, prompts, seeds, model_correlation, how, rows, gpus, looks, concept)


def _assumed(
    rates: Sequence[float],
    bound: float | None,
    prompts: int | None,
    seeds: int,
    model_correlation: float,
    how: Mapping[str, Any],
    rows: Sequence[Row] | None,
    gpus: Sequence[Gpu],
    looks: int,
    concept: bool,
) -> Powered:
    """The plan for assumed rates; `rows` are the prompts of a config; `igmu run` accepts it only of one `concept`."""
    from igmu_data.errors import InputError
    from igmu_data.schema import SEEDS_PER_ROW
    from igmu_metrics.cli._card_answers import Powered, Reach
    from igmu_metrics.images.generate import ONE_IMAGE
    from igmu_metrics.statistics import detectable_difference, prompts_for_bound, prompts_needed
    from igmu_metrics.statistics.power import MOST
    from igmu_metrics.verdict.planning import costs

    if len(rates) > 2 or (bound is not None and len(rates) != 1):
        other = "two rates" if bound is None else "one rate for a --bound"
        raise InputError(f"--rate is used {len(rates)} times. Specify {other}.")
    if bound is None and len(rates) == 1 and prompts is None:
        raise InputError(
            "--rate is used 1 time without --prompts or --bound. Specify two rates, or one rate and --prompts or "
            "--bound."
        )
    if rows is not None and seeds > SEEDS_PER_ROW:
        raise InputError(f"--seeds is {seeds}, but the config has {SEEDS_PER_ROW} seeds per prompt. Use at most these.")
    paired = {**how, "model_correlation": model_correlation}

    def required(seeds: int) -> int:
        if bound is not None:
            return prompts_for_bound(rates[0], bound, seeds=seeds, **how)
        return prompts_needed(rates[0], rates[1], seeds=seeds, **paired)

    needed, reach = None, []
    if bound is not None or len(rates) == 2:
        needed = n = required(seeds)
        told = f"{'at least ' * (n >= MOST)}{counted(n, 'prompt')} with {counted(seeds, 'image')} each"
        if bound is None:
            say(f"Comparing {rates[0]:g} with {rates[1]:g} requires {told}")
        else:
            say(f"Showing that {rates[0]:g} is {'below' if rates[0] < bound else 'above'} {bound:g} requires {told}")
        if n < MOST:
            level = how["alpha"] / how["comparisons"]
            say(*costs(2 * n * seeds, gpus, looks=looks, power=how["power"], alpha=level))
    planned = [] if prompts is None else [(prompts, seeds)]
    if rows is not None:
        most = len(rows)
        if needed is not None and needed > most:
            say(f"This is more than the {counted(most, 'prompt')} of the config")
            if seeds < SEEDS_PER_ROW and (fewer := required(SEEDS_PER_ROW)) < needed:
                say(f"With {SEEDS_PER_ROW} images each, {counted(fewer, 'prompt')} would be required")
        elif needed is not None:
            rounds = sorted(row.round for row in rows)[needed - 1]
            told = f"These prompts are in rounds 1 to {rounds}"
            if concept:
                told += f": igmu run --protocol {rounds} --seeds-per-row {seeds} also generates the other prompts of "
                told += "these rounds"
            say(told)
            if concept and seeds == 1:
                say(ONE_IMAGE)
        planned += [(most, SEEDS_PER_ROW)] if bound is None else []
    for n, each in planned:
        for value in rates:
            below, above = detectable_difference(value, n, seeds=each, **paired)
            say(_reach(f"{value:g}", n, below, above, each))
            reach.append(Reach("", value, n, below, above))
    return Powered(reach=reach, needed=needed, offered=None if rows is None else len(rows))


def _rows(config: str, bench: str | None, revision: str | None) -> list[Row]:
    """The plain prompts of a config: those that ask for its concept, or all of general prompts."""
    from igmu_data.load import bench_rows
    from igmu_data.schema import ASIDE

    rows = list(bench_rows(config, bench=bench, revision=revision).values())
    plain = [row for row in rows if row.split == "forget" and row.probe not in ASIDE] or rows
    n = Counter(row.split for row in rows)
    of = {row.attack_source_id for row in rows if row.attack_source_id}
    more = f", {counted(n['adversarial'], 'adversarial prompt')} made from {len(of)} of them" if of else ""
    more += f" and {counted(n['retain'], 'retain prompt')}" if n["retain"] else ""
    say(f"{config} has {counted(len(plain), 'plain prompt')}{more}, with {counted(len(plain[0].seeds), 'seed')} each")
    return plain


def _planned(
    cards: list[Path], prompts: int | None, chance: float, alpha: float, gpus: list[Gpu], looks: int
) -> Powered:
    from igmu_metrics.cli._card_answers import Powered, Reach
    from igmu_metrics.coverage import covering
    from igmu_metrics.verdict.compare import require_comparable
    from igmu_metrics.verdict.planning import costs, designs, detectable, plans
    from igmu_metrics.verdict.verify import read_all

    read = read_all(cards)
    require_comparable(read, ranked=False)
    planned, reached = plans(read, power=chance, alpha=alpha), []
    for plan in planned:
        say(plan.sentence())
        if plan.images:
            say(*costs(plan.images, gpus, looks=looks, power=chance, alpha=alpha / plan.comparison.family))
    for card in read:
        found, reach = designs(card), detectable(card, prompts, power=chance, alpha=alpha)
        if found is None or reach is None:
            continue
        share, design = found
        reached.append(Reach(card.model, share, prompts or design.n_prompts, *reach))
        say(_reach(f"{card.model}'s {share:.2f}", prompts or design.n_prompts, *reach))
        say(
            f"  {counted(design.n_generations, 'image')} from {counted(design.n_prompts, 'prompt')} carry as much "
            f"information as {design.effective:.0f} independent images (design effect {design.effect:.2f})"
        )
    say(*dict.fromkeys(card.unfounded for card in read if card.unfounded), *covering(read).splitlines())
    return Powered(planned, reached)


def _reach(what: str, prompts: int, below: float, above: float, seeds: int | None = None) -> str:
    each = "" if seeds is None else f" with {counted(seeds, 'image')} each"
    ends = [f"{sign}{d:.3f}" for sign, d in (("−", below), ("+", above)) if d == d]
    told = f"{' or '.join(ends)} or more" if ends else "none within 0..1"
    return f"difference from {what} that {counted(prompts, 'prompt')}{each} can detect: {told}"
