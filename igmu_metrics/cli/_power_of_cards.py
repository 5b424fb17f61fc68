"""`igmu power` for scorecards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from igmu_data.numerals import counted
from igmu_metrics.cli._common import say
from igmu_metrics.cli._power_of_rates import reachable

if TYPE_CHECKING:
    from igmu_data.schema import Row
    from igmu_metrics.cli._card_answers import Forecast, Powered
    from igmu_metrics.scorecard import Scorecard
    from igmu_metrics.verdict.planning import Gpu


def planned(asked: Mapping[str, Any]) -> Powered:
    """The plan for scorecards; `asked` contains the options, with their defaults."""
    from igmu_data.rows.rounds import rounds_of
    from igmu_metrics.cli._card_answers import Powered, Reach
    from igmu_metrics.coverage import covering
    from igmu_metrics.verdict import forecast
    from igmu_metrics.verdict.compare import require_comparable
    from igmu_metrics.verdict.planning import assumed, costs, designs, detectable, part_of, plans
    from igmu_metrics.verdict.verify import read_all

    read = read_all(asked["cards"])
    require_comparable(read, ranked=False)
    given, gpus, prompts = asked["given"], asked["gpus"], asked.get("prompts")
    how: dict[str, Any] = {"power": asked["chance"], "alpha": asked["alpha"]}
    rounds = None if "protocol" not in asked else rounds_of(asked["protocol"])
    rows = None
    if rounds is not None or "bound" in asked:
        rows = forecast.corpus_of(read, asked.get("bench"), asked.get("revision"))
    part = None if rows is None or rounds is None else part_of([r for r in rows if r.round <= rounds], rounds)
    whole = forecast.corpus_at_hand(read) if part is None else None
    limit = part if whole is None else part_of(whole, None)
    compared, reached, costly = plans(read, **how, part=limit), [], False
    for plan in compared:
        say(plan.sentence())
        if plan.images:
            costly = True
            alpha = asked["alpha"] / plan.comparison.family
            looked: dict[str, Any] = {
                "looks": 1 if plan.checks > 1 else asked["looks"],  # then the checks are part of the plan
                "power": asked["chance"],
                "alpha": alpha,
            }
            say(*costs(plan.images, gpus, **looked, limit=plan.left))
    for card in read:
        n = prompts if part is None else part.counting(card)
        found, reach = designs(card), detectable(card, n, **how)
        if found is None or reach is None:
            continue
        share, design = found
        reached.append(Reach(card.model, share, n or design.n_prompts, *reach))
        say(reachable(f"{card.model}'s {share:.2f}", n or design.n_prompts, *reach) + assumed(design))
        say(
            f"  {counted(design.n_generations, 'image')} from {counted(design.n_prompts, 'prompt')} carry as much "
            f"information as {design.effective:.0f} independent images (design effect {design.effect:.2f})"
        )
    if prompts is not None and not reached:
        say(f"--prompts {prompts} has no effect, because no card has images in which the concept can be forgotten")
    models = [card for card in read if card.model != card.original_model]
    forecasts = [] if rows is None else [one for card in models for one in _forecast(card, rows, rounds, asked)]
    if not costly and rows is None and "looks" in given:
        say(f"--looks {asked['looks']} has no effect, because no comparison needs more images of the corpus")
    if gpus or rounds is not None:
        _run(read, rows, rounds, asked.get("seeds") if "seeds" in given else None, gpus)
    say(*dict.fromkeys(card.unfounded for card in read if card.unfounded), *covering(read).splitlines())
    return Powered(compared, reached, forecasts=forecasts)


def _forecast(card: Scorecard, rows: Sequence[Row], rounds: int | None, asked: Mapping[str, Any]) -> list[Forecast]:
    """The intervals that a model would get: in some rounds, or in the fewest that decide a bound."""
    from igmu_data.rows.rounds import named
    from igmu_data.schema import ROUNDS
    from igmu_metrics.cli._card_answers import Forecast
    from igmu_metrics.statistics.formatting import beside, formatted
    from igmu_metrics.statistics.level import at_level
    from igmu_metrics.statistics.looks import Looks, level_of
    from igmu_metrics.verdict import forecast, made_up
    from igmu_metrics.verdict.criteria import label, with_tries

    wanted, bound, value = forecast.wanted(card, asked.get("bound"))
    known, seeds = forecast.habits(card), asked["seeds"] if "seeds" in asked["given"] else forecast.seeds_of(card)
    facts = forecast.facts(card, seeds)
    look = Looks.of(card)
    planned = asked["looks"] if "looks" in asked["given"] else look.planned if look else 1
    how: dict[str, Any] = {"times": 40} if bound is None else {"times": 100, "bound": bound}
    if seeds == (own := forecast.seeds_of(card)):
        how["above"] = bound is not None and value > bound
    else:
        tries = f"{counted(seeds, 'image')} per prompt instead of {own}"
        say(f"{card.model}: with {tries}, the number of tries of attacks is different")

    def foreseen(n: int) -> list[made_up.Foreseen]:
        planned_rows = [r for r in rows if r.round <= n]
        images = made_up.Planned.of(planned_rows, seeds, card.target, facts, card.generations)
        with at_level(level_of(planned, asked["alpha"])):
            return made_up.foresee(images, known, wanted, **how)

    if bound is not None and rounds is None:
        enough, found = forecast.smallest(foreseen, asked["chance"])
    else:
        enough, found = rounds, foreseen(rounds or ROUNDS)
    if bound is not None and not found:
        raise forecast.impossible(card, wanted[0], rounds or ROUNDS)
    for one in found:
        now = f"{card.model}: {label(card.scores, one.figure)} is {formatted(card.figure(*one.figure.split('/', 1)))}"
        then = with_tries(forecast.tries(facts, seeds), one.figure).partition("/")[2]
        of = f" of {then}" * (then != label(card.scores, one.figure))
        ends = beside(one, bound)
        if bound is None:
            say(f"{now}; expected interval{of} with {named(rounds or ROUNDS)}: {ends}")
        else:
            side = f"{'above' if one.above else 'below'} {bound:g}"
            chance = f"a chance of {one.chance:.0%} that the interval{of} is {side} (expected interval {ends})"
            if enough is None:
                say(f"{now}; {named(ROUNDS)} is not enough, with {chance}")
            else:
                say(f"{now}; {named(enough)} has {chance}")
    return [
        Forecast(card.model, enough or ROUNDS, seeds, one.figure, one.value, one.interval, bound, one.chance)
        for one in found
    ]


def _run(
    cards: Sequence[Scorecard], rows: Sequence[Row] | None, rounds: int | None, seeds: int | None, gpus: Sequence[Gpu]
) -> None:
    """How many images a whole run generates, with all models, and how long this takes."""
    from igmu_data.rows.rounds import named
    from igmu_metrics.verdict.forecast import seeds_of

    models = [card for card in cards if card.model != card.original_model]
    if rows is None or rounds is None:
        images, what = sum(len(c.generations) for c in models) + max(len(c.generations) for c in cards), "these cards"
    else:
        each = [seeds or seeds_of(card) for card in models]
        most = seeds or max(map(seeds_of, cards))  # the original's images are those of the model with the most
        n = sum(row.round <= rounds for row in rows)
        images, what = n * (sum(each) + most), named(rounds)
    say(f"A run of {what} generates {images:,} images of {counted(len(models) + 1, 'model')} (with the original)")
    for gpu in gpus:
        say(f"  {f'{gpu.name}: ' if gpu.name else ''}{gpu.told(images)}")
