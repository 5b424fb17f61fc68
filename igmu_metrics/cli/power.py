"""The command `igmu power`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from igmu_data.numerals import counted
from igmu_metrics.cli._common import OptionalCards, say

if TYPE_CHECKING:
    from igmu_metrics.cli._card_answers import Powered
    from igmu_metrics.verdict.planning import Gpu


def power(
    cards: OptionalCards = None,
    rate: Annotated[
        list[float] | None,
        typer.Option(help="Assumed rate of a model, 0..1; repeat to compare two models, or use once with --prompts."),
    ] = None,
    prompts: Annotated[
        int | None,
        typer.Option(
            min=1, help="Planned number of prompts, for which igmu prints the smallest detectable difference."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Number of images per prompt; used with --rate.")] = 1,
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
    chance: Annotated[
        float, typer.Option("--power", help="Probability of detecting a difference if there is one.")
    ] = 0.8,
    alpha: Annotated[float, typer.Option(help="Two-sided significance level of the test.")] = 0.05,
    comparisons: Annotated[int, typer.Option(min=1, help="Number of tests that share alpha; used with --rate.")] = 1,
    gpu: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=SECONDS[,EUROS]",
            help="Name of a GPU, its seconds per image and its price in euros per hour, for which igmu prints hours "
            "and costs. Repeat this option for several GPUs.",
        ),
    ] = None,
    seconds_per_image: Annotated[
        float | None, typer.Option(help="Seconds per image on a GPU without a name; otherwise use --gpu.")
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
) -> Powered:
    """Estimate, from scorecards or assumed rates, how many prompts and images a comparison needs, and how much time and
    money it takes (hours, euros)."""
    from igmu_data.errors import InputError
    from igmu_metrics.cli._card_answers import Powered, Reach
    from igmu_metrics.statistics import detectable_difference, prompts_needed
    from igmu_metrics.statistics.power import MOST

    if bool(cards) == bool(rate):
        given = "both scorecards and" if cards else "neither scorecards nor"
        raise InputError(
            f"{given} assumed rates are given. Specify either scorecards or rates, as in 'igmu power --rate 0.76 "
            "--rate 0.80'."
        )
    from igmu_metrics.verdict.planning import Gpu, costs

    if seconds_per_image is None and euros_per_hour is not None:
        raise InputError(
            f"--euros-per-hour {euros_per_hour:g} is given without --seconds-per-image. Specify both, or use --gpu."
        )
    gpus = [Gpu.read(text) for text in gpu or ()]
    gpus += [] if seconds_per_image is None else [Gpu("", seconds_per_image, euros_per_hour)]
    if cards:
        return _planned(cards, prompts, chance, alpha, gpus, looks)
    assumed = {
        "seeds": seeds,
        "seed_correlation": seed_correlation,
        "model_correlation": model_correlation,
        "power": chance,
        "alpha": alpha,
        "comparisons": comparisons,
    }
    rates = rate or []
    needed, reach = None, []
    if len(rates) == 2:
        needed = n = prompts_needed(rates[0], rates[1], **assumed)  # type: ignore[arg-type]
        told = f"{'at least ' * (n >= MOST)}{n} prompts with {seeds} image{'s' * (seeds > 1)} each"
        say(f"Comparing {rates[0]:g} with {rates[1]:g} requires {told}")
        if n < MOST:
            say(*costs(2 * n * seeds, gpus, looks=looks, power=chance, alpha=alpha / comparisons))
    if prompts is not None and rates:
        for value in rates:
            below, above = detectable_difference(value, prompts, **assumed)  # type: ignore[arg-type]
            say(_reach(f"{value:g}", prompts, below, above))
            reach.append(Reach("", value, prompts, below, above))
    elif len(rates) != 2:
        raise InputError(
            f"--rate is used {len(rates)} times without --prompts. Specify two rates, or one rate and --prompts."
        )
    return Powered(reach=reach, needed=needed)


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


def _reach(what: str, prompts: int, below: float, above: float) -> str:
    ends = [f"{sign}{d:.3f}" for sign, d in (("−", below), ("+", above)) if d == d]
    told = f"{' or '.join(ends)} or more" if ends else "none within 0..1"
    return f"difference from {what} that {prompts} prompts can detect: {told}"
