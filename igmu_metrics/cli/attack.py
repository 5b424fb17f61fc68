"""The command `igmu attack`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from igmu_metrics.attacks.running.result import Outcome
    from igmu_metrics.contract import Estimate


def attack(
    model: Annotated[str, typer.Option(help="The victim: diffusers folder, Hub id[@revision] or sandbox:VERSION.")],
    attack: Annotated[str, typer.Option(help="ring-a-bell, pez, unlearndiffatk or cce (see igmu metrics).")],
    original: Annotated[str, typer.Option(help="The model that it was made from, likewise.")],
    config: Annotated[str, typer.Option(help="Concept config, such as object.church.")],
    out: Annotated[Path, typer.Option(help="Folder for records, found prompts and pictures; a restart resumes.")],
    detector: Annotated[str, typer.Option(help="What judges success, as in igmu score.")] = "clip",
    steps: Annotated[
        int | None, typer.Option(min=1, help="Budget of a search: steps; default the attack's own.")
    ] = None,
    candidates: Annotated[
        int | None, typer.Option(min=1, help="Budget: prompts tried a step, or noises of an embedding attack.")
    ] = None,
    tokens: Annotated[int | None, typer.Option(min=1, help="Budget: words of the found prompt or embedding.")] = None,
    prompts: Annotated[int, typer.Option(min=1, help="How many prompts are attacked.")] = 16,
    targets: Annotated[int, typer.Option(min=1, help="Further prompts that attacks on the concept learn from.")] = 8,
    seeds_per_row: Annotated[int, typer.Option(min=1, max=4, help="Pictures of a prompt that are judged.")] = 2,
    weight_free: Annotated[
        bool, typer.Option(help="Also draw the config's adversarial rows, to compare with what knows no weights.")
    ] = True,
    original_pictures: Annotated[
        Path | None, typer.Option(help="What igmu generate drew with the original; more is added to it.")
    ] = None,
    model_pictures: Annotated[Path | None, typer.Option(help="Likewise of the victim, without this attack.")] = None,
    bench: Annotated[str | None, typer.Option(help="Corpus: Hub repository or folder; default igmu/bench.")] = None,
    revision: Annotated[str | None, typer.Option(help="Revision of the corpus on the Hub.")] = None,
    dtype: Annotated[str, typer.Option(help="fp32, bf16 or fp16.")] = "fp32",
    device: Annotated[str | None, typer.Option(help="cpu, cuda, …; default a GPU where there is one.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed finds the same, on a CPU to the last byte.")] = 0,
) -> None:
    """Attack your own model: search prompts or an embedding that bring the concept back, and say how often they do."""
    from dataclasses import replace

    from igmu_metrics import registry
    from igmu_metrics.attacks.running.run import AttackRun
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
        originals=original_pictures,
        plains=model_pictures,
    )
    outcome = run.run(out)
    tables.show(_table(outcome, f"{config}: {model} under {attack}, where the original drew it"))
    refused, lacking = outcome.count("refused"), outcome.count("no target")
    typer.echo(
        f"{len(outcome.attempts)} prompts attacked, {refused} found prompts refused by the content policy, "
        f"{lacking} without a picture to search by."
    )
    typer.echo(f"{attack}: {outcome.verdict()}")
    typer.echo(out)


def _table(outcome: Outcome, title: str) -> Table:
    from rich.table import Table

    from igmu_metrics.attacks.running.result import ANY, IMAGE, POST, PRE
    from igmu_metrics.statistics.formatting import formatted

    table = Table("attack", "success per picture", "any of k", "prompts", "pictures", title=title, title_justify="left")

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
