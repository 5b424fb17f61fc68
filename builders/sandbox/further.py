"""`python -m builders.sandbox.further`: the sandbox with more tasks than the package has room for.

For each further concept `gold` is trained from scratch without it, on the same renders, with the packaged autoencoder
and tokenizer; `esd`, `uce` and `filter` are made from the packaged original. The packaged models and prompts are copied
beside them, so that the folder can take the package's place: `IGMU_SANDBOX=FOLDER igmu audit`, and so for every other
command. A killed training goes on from its checkpoint, and a task that is there is not made again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from builders.sandbox import bars, corpus, package, prompts, train, versions
from builders.sources import diffusers
from igmu_data.errors import OutputError, UnknownTaskError, exits_on_error
from igmu_data.files import owned, require_writable
from igmu_data.sandbox import packaged

ROOT: Final = Path(__file__).resolve().parent.parent.parent


def make(work: Path, tasks: Sequence[str]) -> None:
    """Train what is missing, and write `models/` and `bench/`.

    Args:
        work: folder of both; renders, latents, checkpoints and images are in its `training/`.
        tasks: some of `prompts.known()`.

    Raises:
        UnknownTaskError: of a concept no prompts can be made.
        WeightsError: the package has no models.
        OutputError: the folder is the package's own, or cannot be written.
    """
    for task in tasks:
        if task not in prompts.known():
            raise UnknownTaskError(task, prompts.known(), "Add its words to builders/sandbox/further.toml.")
    if work.resolve() == packaged.root().resolve():
        raise OutputError(f"{work}: the models to begin with are in it. Choose another --work, or unset IGMU_SANDBOX.")
    require_writable(work)
    kept = work / "training"
    kept.mkdir(parents=True, exist_ok=True)
    with owned(work):
        for task in tasks:  # and what is there can be used while the next one is trained
            _add(task, work, kept)
            _write_prompts(work, kept)


def _write_prompts(work: Path, kept: Path) -> None:
    """Write the prompts of every task that has models, with the images of the packaged original."""
    packaged_rows = corpus.task_rows()
    rows = {task: prompts.rows(task, packaged_rows) for task in prompts.known() if task in _tasks(work)}
    images = diffusers.images([r for own in rows.values() for r in own], corpus.ORIGINAL, work=kept / "images")
    corpus.write_further(work / "bench", rows, {image.row_id: image for image in images})


def _tasks(root: Path) -> tuple[str, ...]:
    with packaged.using(root):
        return packaged.tasks()


def _add(task: str, work: Path, kept: Path) -> None:
    """Train and package a task that is not there yet."""
    models = work / "models"
    if task in _tasks(work):
        typer.echo(f"{task}: is in {models}")
        return
    base = models if models.is_dir() else packaged.root() / "models"
    trained = train.train_all(kept, base, train.SHARED, tasks=[task])
    package.add(trained, versions.erase_all(trained), base, models)
    gold = versions.pipeline(trained, trained.gold[task].unet, trained.gold[task].text_encoder)
    for bar in bars.of_generations(trained, gold, f"gold/{train.slug(task)}", without=task):
        typer.echo(f"{bar.value:8.3f}  {bar.what} (n = {bar.n}, at least {bar.least})")


@exits_on_error
def main(
    work: Annotated[Path, typer.Option(help="Folder of models, prompts and checkpoints.")] = ROOT / "dist" / "further",
    task: Annotated[list[str] | None, typer.Option(help="Only this concept; repeat the option for each.")] = None,
) -> None:
    """Make a sandbox with further tasks, to take the package's place as IGMU_SANDBOX."""
    make(work, task or list(prompts.known()))
    typer.echo(f"IGMU_SANDBOX={work} igmu audit: audits the metrics on {', '.join(_tasks(work))}")


if __name__ == "__main__":
    typer.run(main)
