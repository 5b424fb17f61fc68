"""Commands from numbers to a verdict: `igmu compare | power | verify | check-table | export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from igmu_metrics.scorecard import Scorecard

Cards = Annotated[list[Path], typer.Argument(metavar="CARD.json...", help="Scorecards of models scored alike.")]
OptionalCards = Annotated[
    list[Path] | None, typer.Argument(metavar="[CARD.json...]", help="Scorecards of models scored alike.")
]


def compare(
    cards: OptionalCards = None,
    published: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="Compare published proportions instead: columns model, n, and successes, value or percent; "
            "a column measure groups them.",
        ),
    ] = None,
) -> None:
    """Say which differences are real: every model against the original, and against each other."""
    from igmu_data.errors import EmptyInputError, InputError
    from igmu_metrics.report import terminal as tables

    if published is not None:
        if cards:
            raise InputError("give scorecards or --published, not both: published numbers have no pairs.")
        _published(published)
        return
    if not cards:
        raise EmptyInputError("no scorecards to compare; give some, or --published FILE.csv.")
    from igmu_metrics.verdict.compare import MEASURES, against_original, pairwise, require_comparable
    from igmu_metrics.verdict.pareto import front

    read = _read(cards)
    require_comparable(read)
    first, others = against_original(read), pairwise(read, list(MEASURES))
    tables.show(tables.ranking(read, first), *([tables.comparisons(others)] if others else []))
    points = front(read)
    if len(points) > 1:
        tables.show(tables.pareto(points))
    for found in first:
        typer.echo(found.sentence())


def _published(path: Path) -> None:
    from igmu_metrics.report import terminal as tables
    from igmu_metrics.verdict.published import compare_published, read_published

    found = read_published(path)
    tables.show(tables.published(found))
    for c in compare_published(found):
        typer.echo(c.sentence())


def power(
    cards: OptionalCards = None,
    rate: Annotated[
        list[float] | None, typer.Option(help="Assumed share of a model, 0..1; give two, or one with --prompts.")
    ] = None,
    prompts: Annotated[
        int | None, typer.Option(min=1, help="Planned prompts: which difference could they show?")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Pictures of a prompt, with --rate.")] = 1,
    seed_correlation: Annotated[
        float, typer.Option(help="Of two pictures of a prompt, 0..1, with --rate; 1: more seeds tell nothing.")
    ] = 0.3,
    model_correlation: Annotated[
        float, typer.Option(help="Of two models on a prompt, with --rate; 0: pairing saves nothing.")
    ] = 0.0,
    chance: Annotated[float, typer.Option("--power", help="Chance of finding a difference that is there.")] = 0.8,
    alpha: Annotated[float, typer.Option(help="Two-sided error of the test.")] = 0.05,
    comparisons: Annotated[int, typer.Option(min=1, help="Tests that share alpha, with --rate.")] = 1,
) -> None:
    """How many prompts do I need? From scorecards, or from assumed rates."""
    from igmu_data.errors import InputError
    from igmu_metrics.statistics import detectable_difference, prompts_needed

    if bool(cards) == bool(rate):
        raise InputError("give scorecards, or assumed rates: igmu power --rate 0.76 --rate 0.80.")
    if cards:
        _planned(cards, prompts, chance, alpha)
        return
    assumed = {
        "seeds": seeds,
        "seed_correlation": seed_correlation,
        "model_correlation": model_correlation,
        "power": chance,
        "alpha": alpha,
        "comparisons": comparisons,
    }
    rates = rate or []
    if len(rates) == 2:
        n = prompts_needed(rates[0], rates[1], **assumed)  # type: ignore[arg-type]
        typer.echo(f"{rates[0]:g} against {rates[1]:g}: {n} prompts with {seeds} picture{'s' * (seeds > 1)} each")
    if prompts is not None and rates:
        for value in rates:
            below, above = detectable_difference(value, prompts, **assumed)  # type: ignore[arg-type]
            typer.echo(_reach(f"{value:g}", prompts, below, above))
    elif len(rates) != 2:
        raise InputError(f"{len(rates)} rates and no --prompts; give two rates, or one with --prompts.")


def _planned(cards: list[Path], prompts: int | None, chance: float, alpha: float) -> None:
    from igmu_metrics.verdict.compare import MEASURES, require_comparable
    from igmu_metrics.verdict.planning import designs, detectable, plans

    read = _read(cards)
    require_comparable(read)
    for plan in plans(read, list(MEASURES), power=chance, alpha=alpha):
        typer.echo(plan.sentence())
    for card in read:
        found, reach = designs(card), detectable(card, prompts, power=chance, alpha=alpha)
        if found is None or reach is None:
            continue
        share, design = found
        typer.echo(_reach(f"{card.model}'s {share:.2f}", prompts or design.n_prompts, *reach))
        typer.echo(
            f"  its {design.n_generations} pictures of {design.n_prompts} prompts are worth {design.effective:.0f} "
            f"independent ones (design effect {design.effect:.2f})"
        )


def _reach(what: str, prompts: int, below: float, above: float) -> str:
    ends = [f"{sign}{d:.3f}" for sign, d in (("−", below), ("+", above)) if d == d]
    told = " or ".join(ends) + " and more" if ends else "none within 0..1"
    return f"differences from {what} that {prompts} prompts can show: {told}"


def verify(
    card: Annotated[Path | None, typer.Argument(metavar="CARD.json", help="A scorecard.")] = None,
    images: Annotated[Path | None, typer.Option(help="The unlearned model's pictures: check and score again.")] = None,
    original_images: Annotated[Path | None, typer.Option(help="The original's; both or neither.")] = None,
    bench: Annotated[str | None, typer.Option(help="Where the corpus is, if not where the card says.")] = None,
    detector: Annotated[str | None, typer.Option(help="The detector, if its file lies elsewhere now.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, …; default a GPU where there is one.")] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of scorecards and exit.")] = False,
) -> None:
    """Check that a scorecard was not changed, is possible, and follows from its lines; with pictures, from those."""
    from igmu_data.errors import InputError, VerificationError
    from igmu_metrics.verdict.verify import verify as check

    if schema:
        import json

        from igmu_metrics.scorecard import schema as published

        typer.echo(json.dumps(published(), indent=1, ensure_ascii=False))
        return
    if card is None:
        raise InputError("no scorecard; give one, or --schema.")
    if (images is None) != (original_images is None):
        raise InputError("only one of --images and --original-images is given; a card is about pairs.")
    found, problems = check(card)
    again = ""
    if not problems and found is not None and images is not None and original_images is not None:
        from igmu_metrics.networks.progress import bars
        from igmu_metrics.verdict.verify_images import verify_images

        given = {"bench": bench, "detector": detector, "device": device}
        with bars() as advance:
            problems = list(verify_images(found, images, original_images, advance=advance, **given))
        again = ", and its pictures give the same scores"
    for problem in problems[:50]:
        typer.echo(str(problem))
    if problems or found is None:
        raise VerificationError(f"{card}: {len(problems)} problem{'s' * (len(problems) > 1)}. Do not rely on it.")
    typer.echo(f"{card}: {len(found.scores)} scores of {len(found.generations)} generations hold together{again}.")


def check_table(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="FILE.csv",
            help="A header and one measurement a line: n (pictures or prompts behind it) and value (a fraction 0..1) "
            "or percent (0..100, with or without %); all other columns, such as model, name the line. Decimals are "
            "read from the text: 0.50 has two.",
        ),
    ],
) -> None:
    """Can the printed proportions of a table come from their counts? (GRIM)"""
    from igmu_data.errors import VerificationError
    from igmu_metrics.verdict.counts import check_table as check

    found = check(path)
    wrong = [p for p in found if not p.counts]
    for p in wrong:
        where = f"line {p.line}" + (f" ({p.name})" if p.name else "")
        typer.echo(f"{where}: {p.text} of n = {p.n} is impossible; nearest: {', '.join(p.nearest)}")
    blind = sum(not p.telling for p in found)
    note = f" {blind} have more pictures than digits could tell apart, so nothing can be said of them." if blind else ""
    if wrong:
        raise VerificationError(f"{path}: {len(wrong)} of {len(found)} numbers are impossible as printed.{note}")
    typer.echo(f"{path}: all {len(found)} numbers are possible.{note}")


def export(
    cards: Cards,
    eval_results: Annotated[
        bool, typer.Option("--eval-results", help="Write .eval_results/igmu.yaml for the model's repository.")
    ] = False,
    model_index: Annotated[bool, typer.Option("--model-index", help="YAML for the head of a model card.")] = False,
    latex: Annotated[bool, typer.Option("--latex", help="A booktabs table with intervals.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Every figure of every card, one a line.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="File to write; with --eval-results the repository's folder, default here.")
    ] = None,
) -> None:
    """Give scorecards to the Hub, a model card, a paper or a spreadsheet."""
    from igmu_data.errors import InputError
    from igmu_metrics.scorecard import write_text
    from igmu_metrics.verdict import export as forms

    wanted = {"eval_results": eval_results, "model_index": model_index, "latex": latex, "table": csv}
    chosen = [name for name, given in wanted.items() if given]
    if len(chosen) != 1:
        raise InputError("give one of --eval-results, --model-index, --latex and --csv.")
    text: str = getattr(forms, chosen[0])(_read(cards))
    if eval_results:
        out = (out or Path()) / forms.EVAL_RESULTS
    if out is None:
        typer.echo(text, nl=False)
        return
    write_text(out, text)
    typer.echo(out)


def _read(cards: list[Path]) -> list[Scorecard]:
    from igmu_metrics.scorecard import read_all

    return read_all(cards)
