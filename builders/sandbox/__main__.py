"""`python -m builders.sandbox`: trains the miniature world's models, measures them, and packages them with the corpus.

Hours on two cores, minutes on a GPU's; every training keeps checkpoints and resumes. Ends with the table of bars.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from builders.sandbox import bars, card, corpus, package, sheets, train, versions
from igmu_data.errors import exits_on_error
from igmu_data.sandbox.world import world

ROOT: Final = Path(__file__).resolve().parent.parent.parent


def pipelines(models: train.Models, made: versions.Versions, task: str) -> dict[str, Any]:
    """Every version of a task as a pipeline."""
    gold = models.gold[task]
    return {
        "original": versions.pipeline(models),
        "gold": versions.pipeline(models, gold.unet, gold.text_encoder),
        "esd": versions.pipeline(models, made.esd[task]),
        "uce": versions.pipeline(models, made.uce[task]),
        "filter": versions.pipeline(models, tokenizer=made.filter[task]),
        "collapsed": versions.pipeline(models, made.collapsed),
    }


def prompts(task: str) -> list[str]:
    """What the contact sheet of a task asks for: six times the concept, then what should stay."""
    settings, known = [phrases[0] for phrases in world().settings.values()], world().known
    if known[task].scope == "subject":
        others = [f"{known[f'object/{slug}'].phrase()} {settings[0]}" for slug in ("castle", "lighthouse", "cat")]
        return [f"{known[task].phrase()} {s}" for s in settings] + others
    things = [f"{known[name].phrase()} {s}" for name, s in zip(world().objects[::-1], settings, strict=False)]
    artists = [known[f"style/{slug}"].label for slug in ("seurat", "hokusai")]
    styled = [f"{t}, in the style of {known[task].label}" for t in things]
    return [*styled, *(f"{things[0]}, in the style of {a}" for a in artists), things[0]]


@exits_on_error
def main(
    work: Annotated[Path, typer.Option(help="Folder of renders, latents and checkpoints.")] = ROOT / "dist" / "sandbox",
    out: Annotated[Path, typer.Option(help="Package folder that gets models/ and bench/.")] = ROOT
    / "igmu_data"
    / "sandbox",
    keep: Annotated[
        list[str] | None,
        typer.Option(
            help="Take this packaged model as it is: detector, autoencoder, noise, clip, original, gold-church, …"
        ),
    ] = None,
    docs: Annotated[Path, typer.Option(help="Folder of the training card and the contact sheets.")] = ROOT / "docs",
) -> None:
    """Train, measure and package the models of the miniature world."""
    work.mkdir(parents=True, exist_ok=True)
    models = train.train_all(work, out / "models", keep or ())
    made = versions.erase_all(models, lambda step, loss: print(f"esd {step}: {loss:.4f}") if step % 100 == 0 else None)
    original = versions.pipeline(models)
    data = train.held_out(work).after(train.N_CALIBRATION)
    found = bars.of_renders(models, data, train.held_out(work, free=False)) + bars.of_generations(
        models, original, "original"
    )
    for task, gold in models.gold.items():
        pipe = versions.pipeline(models, gold.unet, gold.text_encoder)
        found += bars.of_generations(models, pipe, f"gold/{world().known[task].slug}", without=task)
    package.write(models, made, card.detector_card(models, data, original), out / "models")
    corpus.draw_bench(out / "bench", work / "images")
    sheets.write(sheets.renders(), docs / "sandbox" / "renders.webp")
    sheets.write(sheets.generations(original), docs / "sandbox" / "generations.webp")
    for task in world().tasks:
        rows = sheets.versions(pipelines(models, made, task), prompts(task))
        sheets.write(rows, docs / "sandbox" / f"versions-{world().known[task].slug}.webp")
    card.write(found, models.curves, package.size(out / "models"), docs)
    for bar in found:
        mark = "" if bar.least is None else "reached" if bar.reached else f"NOT REACHED ({bar.least})"
        typer.echo(f"{bar.value:8.3f}  {bar.what} (n = {bar.n}) {mark}")


if __name__ == "__main__":
    typer.run(main)
