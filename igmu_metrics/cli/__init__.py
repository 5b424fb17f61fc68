"""The command line: `igmu demo | audit | concepts | metrics | validate | import-prompts | generate | attack | score |
merge | import-head | train-detector | compare | families | report | leaderboard | power | verify | check-table |
export | cache`.

Thin on purpose: it reads arguments, calls the package and prints. Everything heavy is imported inside the commands.
Tables go to stdout, progress and errors to stderr; an error of the user's ends with exit code 2 and no traceback.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from igmu_data.errors import exits_on_error
from igmu_metrics.cli import attack as cli_attack
from igmu_metrics.cli import audit as cli_audit
from igmu_metrics.cli import cache as cli_cache
from igmu_metrics.cli import families as cli_families
from igmu_metrics.cli import imports as cli_imports
from igmu_metrics.cli import report as cli_report
from igmu_metrics.cli import sandbox as cli_sandbox
from igmu_metrics.cli import scoring as cli_scoring
from igmu_metrics.cli import training as cli_training
from igmu_metrics.cli import verdict as cli_verdict

app = typer.Typer(
    name="igmu",
    help="Measure whether an image generator has forgotten a concept, how robustly, and what it lost on the way.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


app.command()(cli_sandbox.demo)
app.command()(cli_audit.audit)
app.command()(cli_imports.import_prompts)
app.command()(cli_families.families)
app.command()(cli_report.report)
app.command()(cli_report.leaderboard)
app.command()(cli_attack.attack)
app.add_typer(cli_cache.cache, name="cache")


@exits_on_error
def main() -> None:
    """Entry point: user errors become one message and exit code 2."""
    try:
        app()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; finished pictures and scorecards are kept.\n")
        sys.exit(130)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        from igmu_data import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.command()
def concepts(
    name: Annotated[str | None, typer.Argument(help="A concept (object/church) to show in full, or a domain.")] = None,
) -> None:
    """List the taxonomy, or show one concept."""
    from igmu_data import taxonomy
    from igmu_metrics.report import terminal as tables

    if name is None or name in taxonomy.domains():
        tables.show(tables.concepts(name))
    else:
        tables.show(tables.concept(taxonomy.concept(name)))


@app.command()
def metrics() -> None:
    """List metrics, detectors, backbones and attacks."""
    from igmu_metrics.report import terminal as tables

    tables.show(tables.metrics(), tables.instruments())


@app.command()
def validate(
    folder: Annotated[Path, typer.Argument(help="A dataset folder as python -m builders.bench writes it.")],
) -> None:
    """Check a corpus: schema, manifest, counts, near-duplicates, naming, content policy."""
    from igmu_data.errors import CorpusError
    from igmu_data.folder import check_folder, parquet_files

    found = check_folder(folder)
    for problem in found[:50]:
        typer.echo(str(problem))
    if found:
        raise CorpusError(f"{folder}: {len(found)} problems.")
    typer.echo(f"{folder}: {len(parquet_files(folder))} Parquet files, no problems.")


@app.command()
def generate(
    model: Annotated[str, typer.Option(help="diffusers pipeline: folder, Hub id, id@revision or sandbox:VERSION.")],
    config: Annotated[str, typer.Option(help="Concept config, such as object.church.")],
    out: Annotated[Path, typer.Option(help="Folder for the pictures and their metadata.jsonl; a restart resumes.")],
    split: Annotated[list[str] | None, typer.Option(help="forget, retain, adversarial; repeat; default all.")] = None,
    seeds_per_row: Annotated[int | None, typer.Option(min=1, max=5, help="Only the first seeds of a row.")] = None,
    bench: Annotated[str | None, typer.Option(help="Corpus: Hub repository or folder; default igmu/bench.")] = None,
    revision: Annotated[str | None, typer.Option(help="Revision of the corpus on the Hub.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures a call on an accelerator.")] = 4,
    steps: Annotated[int | None, typer.Option(min=1, help="Denoising steps instead of the rows' own.")] = None,
    guidance_scale: Annotated[float | None, typer.Option(help="Guidance scale instead of the rows' own.")] = None,
    size: Annotated[int | None, typer.Option(min=1, help="Width and height in pixels, likewise.")] = None,
    dtype: Annotated[str, typer.Option(help="fp32, bf16 or fp16.")] = "fp32",
    device: Annotated[str | None, typer.Option(help="cpu, cuda, …; default a GPU where there is one.")] = None,
) -> None:
    """Draw the prompts of a config with a model, ready for igmu score."""
    from igmu_data.load import bench_rows
    from igmu_data.schema import SPLITS
    from igmu_metrics.images.generate import draw, requests_for
    from igmu_metrics.images.pipelines import find_pipeline
    from igmu_metrics.statistics.validation import one_of

    wanted = split or list(SPLITS)
    one_of("split", wanted, SPLITS)
    rows = [r for r in bench_rows(config, bench=bench, revision=revision).values() if r.split in wanted]
    drawing = draw(
        requests_for(rows, seeds_per_row=seeds_per_row),
        find_pipeline(model, device=device, dtype=dtype),
        out,
        batch_size=batch_size,
        steps=steps,
        guidance_scale=guidance_scale,
        width=size,
        height=size,
    )
    typer.echo(f"{out}: {len(drawing.files)} pictures, {drawing.n_drawn} of them new, {len(drawing.failures)} failed.")


@app.command()
def score(
    original: Annotated[Path, typer.Option(help="Folder of what the original model drew.")],
    unlearned: Annotated[list[Path], typer.Option(help="Folder of what an unlearned model drew; repeat for several.")],
    config: Annotated[str, typer.Option(help="Concept config, such as object.church.")],
    detector: Annotated[
        str,
        typer.Option(
            help="clip[:MODEL], labels:FILE.csv, imagenet, nudenet, hf-classifier:MODEL, igmu-head:FILE, sandbox"
        ),
    ] = "clip",
    out: Annotated[Path | None, typer.Option(help="Scorecard file, or a folder for several models.")] = None,
    layout: Annotated[str, typer.Option(help="metadata (metadata.jsonl), igmu or flat.")] = "metadata",
    prompt: Annotated[str | None, typer.Option(help="The one prompt of layout flat, for alignment and CSDR.")] = None,
    bench: Annotated[str | None, typer.Option(help="Corpus: Hub repository or folder; default igmu/bench.")] = None,
    revision: Annotated[str | None, typer.Option(help="Revision of the corpus on the Hub.")] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Probability from which the concept counts as present.")
    ] = None,
    sensitivity: Annotated[
        float | None, typer.Option(help="Of the detector, 0..1; with specificity also gives corrected accuracy.")
    ] = None,
    specificity: Annotated[float | None, typer.Option(help="Likewise; both or neither.")] = None,
    n_positives: Annotated[int | None, typer.Option(help="Pictures that sensitivity was measured on.")] = None,
    n_negatives: Annotated[int | None, typer.Option(help="Pictures that specificity was measured on.")] = None,
    clip: Annotated[
        str | None, typer.Option(help="CLIP for alignment and CSDR; the detector's own by default.")
    ] = None,
    features: Annotated[str | None, typer.Option(help="Backbone for distances: inception, clip:MODEL, dinov2.")] = None,
    lpips: Annotated[str | None, typer.Option(help="LPIPS between the pairs: alex, vgg, alex?trunk=FILE.")] = None,
    strip: Annotated[str, typer.Option(help="What CSDR reads: corpus, or reference (IGMU's way).")] = "corpus",
    k: Annotated[
        int | None, typer.Option("--k", min=1, help="Tries of an attack; needed where prompts have unequal seeds.")
    ] = None,
    on_error: Annotated[str, typer.Option(help="Unreadable images: raise, or skip and count them.")] = "raise",
    device: Annotated[str | None, typer.Option(help="cpu, cuda, …; default a GPU where there is one.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images read ahead at once.")] = 16,
    precision: Annotated[str, typer.Option(help="fp32, or bf16: faster, features off by up to 2 %.")] = "fp32",
    cache: Annotated[bool, typer.Option("--cache/--no-cache", help="Keep what networks saw, for later runs.")] = True,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
    shard: Annotated[
        str | None, typer.Option(help="i/n: look at this part only and write tables to --out, for igmu merge.")
    ] = None,
    engine: Annotated[str, typer.Option(help="local, or ray: shards over a cluster.")] = "local",
    workers: Annotated[int | None, typer.Option(min=1, help="Workers of ray; as many as there is room for.")] = None,
) -> None:
    """Score unlearned models against the original on the same prompts and seeds."""
    from igmu_metrics.evaluation import Evaluation

    evaluation = Evaluation(
        config=config,
        layout=layout,
        prompt=prompt,
        bench=bench,
        revision=revision,
        detector=detector,
        threshold=threshold,
        sensitivity=sensitivity,
        specificity=specificity,
        n_positives=n_positives,
        n_negatives=n_negatives,
        clip=clip,
        features=features,
        lpips=lpips,
        strip=strip,
        k=k,
        on_error=on_error,
        device=device,
        batch_size=batch_size,
        precision=precision,
        cache=cache,
        seed=seed,
    )
    cli_scoring.run(evaluation, original, unlearned, out, shard=shard, engine=engine, workers=workers)


app.command()(cli_scoring.merge)


@app.command()
def import_head(
    path: Annotated[Path, typer.Argument(help="A classifier_head.pth of the IGMU reference.")],
    concept: Annotated[str, typer.Option(help="What it judges, such as object/church.")],
    out: Annotated[Path, typer.Option(help="The .safetensors file to write, for --detector igmu-head:FILE.")],
    present_class: Annotated[
        int | None, typer.Option(help="0 or 1: the class that means present, if not known.")
    ] = None,
) -> None:
    """Convert a published IGMU detector head once, without running anything that it may hold."""
    from igmu_data import taxonomy
    from igmu_metrics.detectors.igmu_head import import_pth

    import_pth(path, out, concept=taxonomy.concept(concept).id, present_class=present_class)
    typer.echo(out)


app.command()(cli_training.train_detector)
app.command()(cli_verdict.compare)
app.command()(cli_verdict.power)
app.command()(cli_verdict.verify)
app.command()(cli_verdict.check_table)
app.command()(cli_verdict.export)
