"""Tables for the terminal: numbers with their intervals, and notes on what was left out."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from rich.cells import cell_len
from rich.table import Column, Table

from igmu_data.media import visible
from igmu_data.numerals import counted
from igmu_metrics import registry
from igmu_metrics.contract import Estimate
from igmu_metrics.coverage import covering
from igmu_metrics.generations import ORIGINAL
from igmu_metrics.report.wording import listed
from igmu_metrics.statistics.formatting import DASH, formatted, number, value_of
from igmu_metrics.statistics.looks import Looks

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from igmu_metrics.contract import MetricInfo
    from igmu_metrics.scorecard import Figure, Scorecard
    from igmu_metrics.verdict.compare import Comparison
    from igmu_metrics.verdict.pareto import Point
    from igmu_metrics.verdict.published import Proportion


def show(*tables: Table) -> None:
    """Print tables to stdout, as wide as the terminal or COLUMNS; in a pipe without COLUMNS, as wide as necessary.

    Columns that do not fit, even with wrapped cells, go into further tables below, each of which repeats the first
    column.
    """
    from rich.console import Console

    class Plain(Console):
        """Treats no text as markup and escapes everything that moves the cursor; all cells and titles pass here."""

        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(visible(text, lines=True), **options | {"markup": False, "emoji": False})

    console = Plain(soft_wrap=False, highlight=False)
    if not console.is_terminal and not os.environ.get("COLUMNS"):
        console = Plain(width=200, highlight=False)
    for table in tables:
        for part in _fitting(table, console):
            console.print(part)


_MANY: Final = 6  # maximum number of models of which every pair is shown
_BORDER: Final = 3  # columns between two cells
_LONGEST: Final = 40  # longer words are broken
_UNBROKEN: Final = re.compile(r"\[[^\]\n]*\]|\S+")


class Keyed(Table):
    """A table whose first columns identify a row; they are repeated in every part if the table is split."""

    keys: int = 2


def _fitting(table: Table, console: Console) -> Iterator[Table]:
    """A table unchanged if it fits; otherwise with intervals below their values, in as many parts as necessary."""
    from rich.measure import Measurement

    roomy = console.options.update(width=10_000)
    if Measurement.get(console, roomy, table).maximum <= console.width:
        yield table
        return
    n_keys = table.keys if isinstance(table, Keyed) else 1
    keys, rest = table.columns[:n_keys], table.columns[n_keys:]
    parts: list[list[Column]] = [[]]
    for column in rest:
        wide = sum(_needed(c) + _BORDER for c in (*keys, *parts[-1], column)) + 1
        if parts[-1] and wide > console.width:
            parts.append([])
        parts[-1].append(column)
    for part in parts:
        shown = _with(table, [*keys, *part], console.width)
        shown.title = table.title if part is parts[0] else None
        shown.caption = table.caption if part is parts[-1] else None
        yield shown


def _needed(column: Column) -> int:
    """The width that a column needs so that no word or interval is broken, except very long words."""
    texts = (str(column.header), *map(str, column.cells))
    return min(_LONGEST, max((cell_len(w) for text in texts for w in _UNBROKEN.findall(text)), default=1))


def _with(table: Table, columns: Sequence[Column], width: int) -> Table:
    """A table of the given width with some columns of another table, and intervals below their values."""
    needed = [_needed(column) for column in columns]
    longest = [
        max(cell_len(x) for text in (column.header, *column.cells) for x in str(text).replace(" [", "\n[").split("\n"))
        for column in columns
    ]
    # Spare width goes to the columns that need the least more, so that as many as possible are not wrapped.
    spare = width - 1 - sum(n + _BORDER for n in needed)
    widths = list(needed)
    for at in sorted(range(len(columns)), key=lambda at: longest[at] - needed[at]):
        more = max(0, min(spare, longest[at] - needed[at]))
        widths[at], spare = widths[at] + more, spare - more
    found = Table(title_justify=table.title_justify, caption_justify=table.caption_justify)
    cells = []
    for column, own in zip(columns, widths, strict=True):
        found.add_column(column.header, width=own, overflow="fold")
        cells.append([str(cell).replace(" [", "\n[") for cell in column.cells])
    for at, row in enumerate(table.rows):
        found.add_row(*(own[at] for own in cells), end_section=row.end_section)
    return found


def titled(title: str, *columns: str) -> Table:
    """An empty table with these columns."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column)
    return table


def metrics() -> Table:
    """All metrics."""
    table = titled("Metrics", "metric", "from", "v", "value is", "better", "range", "what")
    for name, module in registry.modules("metrics").items():
        info: MetricInfo = module.INFO
        told = (str(info.version), info.headline, info.direction, _range(info), info.summary)
        table.add_row(name, registry.origin("metrics", name) or "igmu", *told)
    return table


def instruments() -> Table:
    """All detectors, backbones and attacks."""
    table = titled("Detectors, backbones and attacks", "kind", "name", "from", "what")
    for group in ("detectors", "backbones", "attacks"):
        for name, module in registry.modules(group).items():
            table.add_row(group.removesuffix("s"), name, registry.origin(group, name) or "igmu", what(module))
    return table


def what(module: Any) -> str:
    """The first line of a module's docstring."""
    return str(module.__doc__ or "").partition("\n")[0]


def broken() -> list[Table]:
    """Plugins that cannot be used, and why; no table if there are none."""
    table = titled("Broken plugins", "kind", "name", "from", "why")
    for kind, error in registry.unusable():
        table.add_row(kind, error.name, error.package, error.why)
    return [table] if table.row_count else []


def _range(info: MetricInfo) -> str:
    return f"{info.range[0]:g} … {info.range[1]:g}"


def scores(cards: Sequence[Scorecard]) -> list[Table]:
    """The metrics of several cards side by side, with models in columns; metrics that no model has become notes."""
    from igmu_metrics.verdict.criteria import with_k

    if not cards:
        return []
    first = cards[0]
    table = titled(f"{first.config}: original {first.original_model}", "metric", *(c.model for c in cards))
    notes: dict[str, set[str]] = {}
    for name, entry in first.scores.items():
        info = registry.info(entry.name, entry.package)
        own = [c.scores.get(name) for c in cards]
        # Rates for different k are different metrics, so they get a row each.
        rows = [(figure, with_k(e, figure)) for figure in entry.figures for e in own if e is not None]
        for figure, called in dict.fromkeys(rows):
            found = [e.figures.get(figure) if e is not None and with_k(e, figure) == called else None for e in own]
            measured = any(value_of(f) is not None for f in found)
            if measured:
                table.add_row(f"{name}: {called}", *(cell(f, count=figure.startswith("n_")) for f in found))
            # A composite score names its missing parts, so they need no notes of their own.
            if measured or (info is not None and figure == info.headline):
                for reason in dict.fromkeys(f.reason for f in found if f is not None and f.reason):
                    notes.setdefault(reason, set()).add(f"{name}: {called}")
    for part in dict.fromkeys(part for c in cards for part in c.coverage or {}):
        table.add_row(f"coverage: {part}", *(str((c.coverage or {}).get(part, DASH)) for c in cards))
    if any(c.failures for c in cards):
        table.add_row("left out (unreadable or unpaired)", *(str(len(c.failures)) for c in cards))
    for card in cards:
        for note in card.notes:
            notes.setdefault(note, set()).add(card.model)
    why = titled("Notes", "metric or model", "note")
    for reason, figures in notes.items():
        why.add_row("\n".join(sorted(figures)), reason)
    return [table, why] if notes else [table]


# What `ranking` shows: its title, the score and the columns, and the two figures of a model.
_OF_CONCEPTS: Final = (
    "unlearning accuracy",
    "concept_accuracy",
    ("model", "raw", "where the original generated it", "unclear", "differs from the original there"),
    ("unlearning_accuracy", "conditional_unlearning_accuracy"),
)
_OF_GENERAL: Final = (
    "questions answered as intended",
    "question_accuracy",
    ("model", "answered as intended", "relative to the original", "unanswered", "differs from the original"),
    ("question_accuracy", "question_preservation"),
)


def ranking(cards: Sequence[Scorecard], tests: Sequence[Comparison], *, tested: bool = True) -> Table:
    """Unlearning accuracy of every model, raw and conditional, with the test of the latter against the original.

    Models are sorted by forget score; if there is none, they are not ranked but sorted by name. For general prompts,
    where nothing was to be forgotten, the table shows question accuracy, absolute and relative.

    Args:
        cards: the models' cards.
        tests: all comparisons of the cards (`igmu_metrics.verdict.compare.compared`).
        tested: whether to include the columns with tests and unclear images.
    """
    from igmu_metrics.verdict.alike import unlike
    from igmu_metrics.verdict.baseline import baseline, counted_on
    from igmu_metrics.verdict.compare import main_measure

    own = baseline(cards)
    title, score, heads, names = _OF_GENERAL if own.general else _OF_CONCEPTS
    shown = len(heads) if tested else 3
    table = titled(f"{own.config}: {title}, 95% intervals", *heads[:shown])
    before = (cell(own.figure(score, f"original_{name}")) for name in names)
    first = (own.original_label, *before, str(_unclear(own, original=True)), "")
    table.add_row(*first[:shown])
    of = {c.first: c for c in tests if c.original and c.measure == main_measure(own)}
    for card in _ordered(cards):
        if card.model not in of:  # the original against itself
            continue
        figures = (cell(card.figure(score, name)) for name in names)
        row = (card.model, *figures, str(_unclear(card)), of[card.model].outcome())
        table.add_row(*row[:shown])
    said = [*filter(None, [counted_on(cards)]), covering(cards), *unfounded(cards)]
    if own.general:
        said.append("Sorted by name and not ranked, because general prompts have no forget score.")
    elif not any(value_of(c.figure("forget_score", "forget_score")) is not None for c in cards):
        said.append("Sorted by name and not ranked, because no model has a forget score.")
    elif "forget_score" in unlike(cards):
        said.append("Sorted by name and not ranked, because the forget scores have different settings.")
    if tested and (n := max((c.tests for c in of.values()), default=0)) > 1:
        said.append(
            f"p values are Holm-corrected over {counted(n, 'test')}: each model against the original and the others."
        )
    table.caption, table.caption_justify = "\n".join(said), "left"
    return table


def forget_scores(cards: Sequence[Scorecard]) -> Table:
    """Models by forget score, with its aspects; reasons for missing scores are below."""
    from igmu_metrics.metrics.forget_score import ASPECTS

    name = "forget_score"
    table = titled(f"{cards[0].config}: forget score, 95% intervals", "model", "forget score", *ASPECTS)
    reasons: dict[str, list[str]] = {}
    for card in _ordered(cards):
        found = {figure: card.figure(name, figure) for figure in (name, *ASPECTS)}
        own = card.original_label if card.model == card.original_model else card.model
        table.add_row(own, *(formatted(figure) for figure in found.values()))
        if (headline := found[name]) is not None and headline.reason:
            reasons.setdefault(headline.reason, []).append(card.model)
    missing = (f"{', '.join(models)}: {reason}" for reason, models in reasons.items())
    table.caption = "\n".join([*missing, *unfounded(cards), covering(cards)])
    table.caption_justify = "left"
    return table


def over_concepts(cards: Sequence[Scorecard]) -> Table:
    """Means over concepts of the forget score and its aspects, one row per model; concepts are the unit."""
    from igmu_metrics.metrics.forget_score import ASPECTS
    from igmu_metrics.statistics.estimates import mean_over_concepts

    name = "forget_score"
    configs_ = dict.fromkeys(c.config for c in cards)
    table = titled(f"Mean over {len(configs_)} concepts, 95% intervals", "model", "forget score", *ASPECTS)
    reasons: dict[str, None] = {}
    for model in dict.fromkeys(c.model for c in cards):
        row = []
        for figure in (name, *ASPECTS):
            found = [value_of(c.figure(name, figure)) for c in cards if c.model == model]
            estimate = mean_over_concepts([v for v in found if v is not None], asked=len(configs_))
            row.append(formatted(estimate))
            if estimate.reason:
                reasons[estimate.reason] = None
        table.add_row(model, *row)
    table.caption, table.caption_justify = "\n".join(reasons), "left"
    return table


def differences(found: Sequence[Comparison], cards: Sequence[Scorecard]) -> list[Table]:
    """Differences with their intervals, and whether they are significant: one narrow table per measure, one for scores.

    If there are many models, only differences from the original and between neighbours in the ranking are shown.

    Args:
        found: all comparisons of the cards.
        cards: of the models.
    """
    from igmu_metrics.verdict.joint import SCORES

    tables, n_found = [], len(found)
    ranked = [card.model for card in _ordered(cards) if card.model != card.original_model]
    if len(ranked) > _MANY:
        neighbours = [{better, worse} for better, worse in pairwise(ranked)]
        found = [c for c in found if c.original or {c.first, c.second} in neighbours]
    left_out = n_found - len(found)
    for measure in dict.fromkeys(c.measure for c in found if c.measure not in SCORES):
        table = titled(f"Difference in {measure}", "models", "difference", "on", "p", "real?")
        for c in found:
            if c.measure == measure:
                table.add_row(f"{c.first} – {c.second}", *_result(c))
        tables.append(table)
    if scored := [c for c in found if c.measure in SCORES]:
        title = f"Difference in {listed(list(dict.fromkeys(c.measure for c in scored)))}"
        table = Keyed("models", "score", "difference", "on", "p", "real?", title=title, title_justify="left")
        for c in scored:
            table.add_row(f"{c.first} – {c.second}", c.measure, *_result(c))
        tables.append(table)
    if tables:
        where = (
            "Conditional: only where the original generated the concept. " if any(c.conditional for c in found) else ""
        )
        where += _cautions(found, cards)
        more = f" {left_out} more between models that are not neighbours: --verbose." if left_out else ""
        looks = " and adjusted for interim checks" if any(map(Looks.of, cards)) else ""
        tables[-1].caption = f"{where}Intervals: 95%, unadjusted; p values: Holm-corrected{looks}.{more}"
        tables[-1].caption_justify = "left"
    return tables


def _result(c: Comparison) -> tuple[str, str, str, str]:
    """The difference, what it is based on, its p value, and whether it is real."""
    told = formatted(Estimate(c.difference, c.interval), "+.2f")
    return told, c.units if c.n else DASH, DASH if c.p_holm is None else f"{c.p_holm:.3g}", _word(c)


def _word(c: Comparison) -> str:
    return f"no test: {c.why}" if c.p_holm is None else "yes" if c.significant else "not settled"


def agreement(cards: Sequence[Scorecard]) -> list[Table]:
    """How far several detectors agree, and the verdict by each.

    Args:
        cards: cards of one config by several detectors.
    """
    from igmu_metrics.verdict.agreement import FIGURES, agreements, verdicts

    config = cards[0].config
    title = f"{config}: agreement of the detectors on the same images, 95% intervals over prompts"
    columns = (
        "detectors",
        "part",
        "agree",
        "Cohen's kappa",
        "both see it",
        "only first",
        "only second",
        "neither",
        "n",
    )
    table = titled(title, *columns)
    for a in agreements(cards):
        counts = map(str, (a.both, a.only_first, a.only_second, a.neither))
        n = f"{a.share.n_generations:,} of {counted(a.share.n_prompts, 'prompt')}" + (
            f", {a.unclear} unclear" if a.unclear else ""
        )
        table.add_row(f"{a.first} – {a.second}", a.part, formatted(a.share), formatted(a.kappa), *counts, n)
    each = titled(f"{config}: the verdict by each detector, 95% intervals", "model", "detector", *FIGURES)
    told = verdicts(cards)
    for model, name, figures, _ in told:
        each.add_row(model, name, *(formatted(figure) for figure in figures))
    each.caption, each.caption_justify = "\n".join(unfounded(cards)) or None, "left"
    return [table, each]


def comparisons(found: Sequence[Comparison], cards: Sequence[Scorecard]) -> Table:
    """Differences with their intervals, tests and counts."""
    where = " where the original generated the concept" if all(c.conditional for c in found) else ""
    title = f"Differences{where}; unadjusted 95% intervals, p Holm-corrected by measure"
    table = Keyed("first", "second", "measure", "difference", "raw", "n", "test", "p", "significant", title=title)
    table.title_justify, table.keys = "left", 3
    table.caption, table.caption_justify = _cautions(found, cards).strip() or None, "left"
    for c in found:
        difference = formatted(Estimate(c.difference, c.interval), "+.3f")
        raw = DASH if c.raw is None else number(c.raw, "+.3f")
        p = DASH if c.p_holm is None else f"{c.p_holm:.3g}"
        table.add_row(c.first, c.second, c.measure, difference, raw, c.units, c.test or DASH, p, _word(c))
    return table


def _cautions(found: Sequence[Comparison], cards: Sequence[Scorecard]) -> str:
    """How attacks are counted, and what is unknown about quality, followed by a space; "" if neither is compared."""
    from igmu_metrics.verdict.compare import RESISTANCE
    from igmu_metrics.verdict.families import METRIC, heading
    from igmu_metrics.verdict.joint import NO_FEATURES, QUALITY, SCORE

    rates = " and ".join(dict.fromkeys(heading("asr_any@k", card) for card in cards if METRIC in card.scores))
    attacks = (
        f"Resistance counts every image of an adversarial prompt. Robustness (igmu score) and {rates} (igmu paper, "
        "igmu check) count each prompt once, as a success if at least one of its k images shows the concept. "
        if any(c.measure == RESISTANCE for c in found)
        else ""
    )
    return attacks + f"{NO_FEATURES} " * any(c.measure in (SCORE, QUALITY) and c.n for c in found)


def pareto(points: Sequence[Point]) -> Table:
    """Forgetting against preservation, and which models are beaten in both."""
    table = titled("Forgetting against preservation", "model", "forgetting", "preservation", "place")
    for point in points:
        table.add_row(point.model, formatted(point.forgetting), formatted(point.preservation), point.sentence())
    return table


def published(found: Sequence[Proportion]) -> Table:
    """Published proportions with their intervals."""
    table = titled("Published proportions, Wilson 95% intervals", "model", "measure", "count", "share")
    for p in found:
        table.add_row(p.model, p.measure, f"{p.successes} of {p.n}", formatted(p, ".4f", ends=".3f"))
    return table


def efficiency(cards: Sequence[Scorecard]) -> list[Table]:
    """What models cost compared with the original; no table if no card records it."""
    from igmu_metrics.report.figures.cost import cost

    found = cost(cards)
    if found is None:
        return []
    table = titled(found.caption, found.corner, *found.columns)
    for name, _, cells in found.lines:
        table.add_row(name, *(cell.shown for cell in cells))
    return [table]


def _ordered(cards: Sequence[Scorecard]) -> list[Scorecard]:
    """Cards by forget score, best first; those without one, and all if their settings differ, by name."""
    from igmu_metrics.verdict.alike import unlike

    name = "forget_score"
    apart = name in unlike(cards)
    found = {c.model: None if c.unfounded or apart else value_of(c.figure(name, name)) for c in cards}
    return sorted(cards, key=lambda c: (1.0 if (v := found[c.model]) is None else -v, c.model))


def _unclear(card: Scorecard, *, original: bool = False) -> int:
    from igmu_metrics.verdict.compare import MEASURES, main_measure

    part, column, _ = MEASURES[main_measure(card)]
    name = column + (ORIGINAL if original else "")
    return sum(g[name] is None for g in card.generations.part(part).records(name))


def unfounded(cards: Sequence[Scorecard]) -> list[str]:
    """Why the detectors of cards give no verdict, each reason once."""
    return list(dict.fromkeys(filter(None, (card.unfounded for card in cards))))


def cell(figure: Figure | None, *, count: bool = False) -> str:
    """`0.600 [0.23, 0.88] n=5`, `3 of 5` for a count, or a dash."""
    if figure is None or figure.value is None:
        return DASH
    if count:
        return f"{figure.value:,.0f} of {figure.n_generations:,}"
    n = f" n={figure.n_generations:,}" if figure.n_generations else ""
    return formatted(figure, ".3f", ends=".2f") + n
