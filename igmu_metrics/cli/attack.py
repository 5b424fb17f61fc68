"""The command `igmu attack`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from igmu_data.numerals import counted
from igmu_metrics.cli._common import Bench, Config, Device, Revision, option, say

if TYPE_CHECKING:
    from rich.table import Table

    from igmu_metrics.attacks.running.result import Outcome
    from igmu_metrics.cli._other_answers import Attacked
    from igmu_metrics.contract import Estimate


def attack(
    model: Annotated[
        str,
        typer.Option(help="Unlearned model to attack: a diffusers folder, a Hub id[@revision] or sandbox:VERSION."),
    ],
    attack: Annotated[
        str,
        typer.Option(help="Attack to run: ring-a-bell, pez, unlearndiffatk or cce (igmu metrics lists all attacks)."),
    ],
    original: Annotated[
        str,
        typer.Option(help="Original model, before unlearning: a diffusers folder, a Hub id[@revision], or 'sandbox'."),
    ],
    config: Config,
    out: Annotated[
        Path,
        typer.Option(
            help="Folder for records, images and the prompts that the attack finds; an interrupted run resumes from "
            "this folder."
        ),
    ],
    detector: Annotated[str | None, option("detector")] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Number of steps per search; default: depends on the attack.")
    ] = None,
    candidates: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of candidates per step (for prompt attacks) or noise samples per step (for embedding "
            "attacks); default: depends on the attack.",
        ),
    ] = None,
    tokens: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of tokens in the prompt or embedding that the attack finds; default: depends on the attack.",
        ),
    ] = None,
    prompts: Annotated[int, typer.Option(min=1, help="Number of prompts to attack.")] = 16,
    targets: Annotated[
        int, typer.Option(min=1, help="Number of additional prompts that are used as training targets.")
    ] = 8,
    seeds_per_row: Annotated[
        int, typer.Option(min=1, max=4, help="Number of images to generate and judge per prompt.")
    ] = 2,
    weight_free: Annotated[
        bool,
        typer.Option(
            help="Also generate images for the config's adversarial prompts, as a baseline that does not need model "
            "weights."
        ),
    ] = True,
    original_images: Annotated[
        Path | None,
        typer.Option(
            help="Folder with the original model's images from igmu generate; missing images are generated and added "
            "to this folder."
        ),
    ] = None,
    model_images: Annotated[
        Path | None,
        typer.Option(
            help="Folder with the unlearned model's images for the plain prompts; missing images are generated and "
            "added to this folder."
        ),
    ] = None,
    bench: Bench = None,
    revision: Revision = None,
    dtype: Annotated[str, typer.Option(help="Numerical precision of the models: fp32, bf16 or fp16.")] = "fp32",
    device: Device = None,
    seed: Annotated[
        int,
        typer.Option(min=0, help="Random seed for the searches; on a CPU, the same seed always gives the same result."),
    ] = 0,
) -> Attacked:
    """Attack your own model: search for prompts or embeddings that bring the concept back, and report how often they
    succeed."""
    from dataclasses import replace

    from igmu_metrics import registry
    from igmu_metrics.attacks.running.run import AttackRun
    from igmu_metrics.cli._other_answers import Attacked
    from igmu_metrics.report import terminal as tables

    given = {"steps": steps, "candidates": candidates, "tokens": tokens}
    budget = registry.module("attacks", attack).INFO.budget
    run = AttackRun(
        model,
        original,
        attack,
        config,
        detector=detector,
        budget=replace(budget, **{name: value for name, value in given.items() if value is not None}),
        n_prompts=prompts,
        n_targets=targets,
        seeds_per_row=seeds_per_row,
        seed=seed,
        weight_free=weight_free,
        bench=bench,
        revision=revision,
        dtype=dtype,
        device=device,
        originals=original_images,
        plains=model_images,
    )
    outcome = run.run(out)
    tables.show(_table(outcome, seeds_per_row, f"{config}: {model} under {attack}, where the original shows it"))
    refused, lacking = outcome.count("refused"), outcome.count("no target")
    n = len(outcome.attempts)
    say(
        f"{counted(n, 'prompt')} {'was' if n == 1 else 'were'} attacked. Of the prompts found, {refused} were "
        f"discarded because of the content policy. For {counted(lacking, 'prompt')}, there was no image to use as the "
        "search target."
    )
    say(f"{attack}: {outcome.verdict()}")
    say(out)
    found = outcome.to_dict()
    return Attacked(out, found["attack"], found["weight_free"], found["chance"], found["searches"], found["verdict"])


def _table(outcome: Outcome, k: int, title: str) -> Table:
    from rich.table import Table

    from igmu_metrics.attacks.running.result import ANY, IMAGE, POST, PRE
    from igmu_metrics.statistics.formatting import formatted

    table = Table("attack", "success per image", f"any of {k}", "prompts", "images", title=title, title_justify="left")

    def line(name: str, image: Estimate | None, some: Estimate | None) -> None:
        of = image or some
        if of is not None:
            table.add_row(name, *(formatted(f, ".3f") for f in (image, some)), str(of.n_prompts), str(of.n_generations))

    line("none: the plain prompts", None, outcome.figures[PRE])
    for family, image in outcome.level.image.items() if outcome.level else ():
        line(f"weight-free: {family or 'all'}", image, outcome.level.any_at_k[family] if outcome.level else None)
    finds = {str(a.settings["attack.finds"]) for a in outcome.attempts}
    line(f"this attack (by {', '.join(finds)})", outcome.figures[IMAGE], outcome.figures[ANY])
    line("plain or this attack", None, outcome.figures[POST])
    if outcome.chance is not None:
        line("chance: the detector's false positives", outcome.chance, None)
    return table
