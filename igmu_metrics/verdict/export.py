"""Scorecards in other formats: the Hub's evaluation results, a model card, a paper, a spreadsheet.

Conventions: fractions stay 0..1. Every format includes the interval if it has a place for one. Nothing depends on the
time, so the same cards give exactly the same bytes.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from itertools import combinations
from typing import Final

from igmu_data.configs import config_target
from igmu_data.errors import InputError
from igmu_data.load import BENCH, locate
from igmu_data.media import csv_cell, visible
from igmu_data.media import latex as escaped
from igmu_data.taxonomy import RESTRICTED_DOMAIN, SANDBOX, domains
from igmu_metrics import registry
from igmu_metrics.coverage import covered, covering, own_notes
from igmu_metrics.images.ways import settings
from igmu_metrics.metrics.forget_score import ASPECTS
from igmu_metrics.scorecard import Figure, Scorecard, ScoreEntry
from igmu_metrics.statistics.formatting import HasInterval, between, bounds, formatted, value_of
from igmu_metrics.statistics.level import LEVEL
from igmu_metrics.statistics.looks import Looks
from igmu_metrics.verdict.compare import require_one_original, require_one_way
from igmu_metrics.verdict.criteria import with_k

EVAL_RESULTS: Final = ".eval_results/igmu.yaml"
HEADLINE: Final = "forget_score"
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_SMALL: Final = r" {{\scriptsize [{}, {}]}}"  # an interval


def eval_results(cards: Sequence[Scorecard]) -> str:
    """`.eval_results/igmu.yaml` for a model's repository: its forget score, with one task per benchmark domain.

    Args:
        cards: cards of one model, each on a different concept. The value of a domain is the mean over the scored
            concepts, which the notes name.

    Raises:
        InputError: several models, a concept twice, a card without a forget score, or a card of the sandbox.
    """
    import yaml
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    _one_model(cards)
    by_domain: dict[str, list[Scorecard]] = {}
    for card in cards:
        _value(card)
        by_domain.setdefault(card.target.partition("/")[0], []).append(card)
    tasks = dict(by_domain)
    if set(by_domain) >= set(domains()) - {RESTRICTED_DOMAIN}:
        tasks["all"] = [c for c in cards if c.target.partition("/")[0] != RESTRICTED_DOMAIN]
    entries = []
    for domain, members in tasks.items():
        revisions = {str(c.scores[HEADLINE].signature.get("dataset.revision", "")) for c in members}
        commit = next(iter(revisions)) if len(revisions) == 1 else ""
        entries.append(
            EvalResultEntry(
                dataset_id=locate(members[0].config, BENCH),
                task_id=f"{HEADLINE}_{domain}",
                value=sum(_value(c) for c in members) / len(members),
                dataset_revision=commit if _COMMIT.fullmatch(commit) else None,
                notes=_notes(members),
            )
        )
    return str(yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False, allow_unicode=True, width=120))


def model_index(cards: Sequence[Scorecard]) -> str:
    """The `model-index` of a model card: all headlines and the aspects of the forget score, one dataset per concept.

    Raises:
        InputError: several models, or a concept twice.
    """
    from huggingface_hub import EvalResult, ModelCardData

    _one_model(cards)
    results = []
    for card in cards:
        for key, entry in card.scores.items():
            names = [_headline(entry), *(ASPECTS if entry.name == HEADLINE else ())]
            for name in names:
                figure = entry.figures.get(name)
                if figure is None or figure.value is None:
                    continue
                results.append(
                    EvalResult(
                        task_type="text-to-image",
                        dataset_type=SANDBOX if _sandboxed(card) else locate(card.config, BENCH),
                        dataset_name="igmu",
                        dataset_config=card.config,
                        dataset_split=key.partition("/")[2] or None,
                        metric_type=entry.name if entry.package else f"igmu/{entry.name}",
                        metric_name=with_k(entry, name),
                        metric_value=figure.value,
                        metric_config=f"igmu {card.igmu_version}, v{entry.signature['v']}, scorecard "
                        f"{card.content_sha256[:12]}, {_scored(card)}",
                    )
                )
    return ModelCardData(model_name=cards[0].model, eval_results=results).to_yaml() + "\n"


def _headline(entry: ScoreEntry) -> str:
    """The headline of a score; if its metric is not installed, the figure with the same value."""
    if (info := registry.info(entry.name, entry.package)) is not None:
        return info.headline
    return next((name for name, figure in entry.figures.items() if figure.value == entry.value), entry.name)


def latex(cards: Sequence[Scorecard]) -> str:
    """A booktabs table with one line per model: the forget score and its aspects with their 95% intervals.

    Attack success rates for different k have a column each.

    Raises:
        IncomparableError: cards of one concept that were scored against different originals, or whose images were
            generated with different settings.
    """
    for a, b in combinations(cards, 2):
        if a.config == b.config:
            require_one_original(a, b)
            require_one_way([a, b])
    wanted = [(HEADLINE, name) for name in (HEADLINE, *ASPECTS)]
    wanted += [("concept_accuracy", "conditional_unlearning_accuracy"), ("attack_success_rate", "asr_any@k")]
    wanted += [("question_accuracy", name) for name in ("question_preservation", "question_accuracy")]
    shown = list(
        dict.fromkeys(
            (score, name, with_k(card.scores[score], name))
            for score, name in wanted
            for card in cards
            if value_of(card.figure(score, name)) is not None
        )
    )
    several = len({c.config for c in cards}) > 1
    rows = [
        [
            escaped(f"{card.model} ({card.config})" if several else card.model),
            *(latex_cell(_of_name(card, *of)) for of in shown),
        ]
        for card in cards
    ]
    heads = ["model", *(escaped(called.replace("_", " ")) for _, _, called in shown)]
    lines = [*latex_comments(cards), *tabular(f"l{'c' * len(shown)}", [line(heads)], [rows])]
    return "\n".join([*lines, ""])


def _of_name(card: Scorecard, score: str, name: str, called: str) -> Figure | None:
    """A figure of a card if it is printed under this name, which has the value of k."""
    entry = card.scores.get(score)
    return entry.figures.get(name) if entry is not None and with_k(entry, name) == called else None


def latex_comments(cards: Sequence[Scorecard]) -> list[str]:
    """Comments for a LaTeX table: the package that it needs, and what its numbers cover."""
    return [
        "% \\usepackage{booktabs}",
        f"% 95% intervals; concepts: {visible(', '.join(dict.fromkeys(c.config for c in cards)))}",
        *(f"% {visible(text)}" for text in covering(cards).splitlines()),
        *(f"% {visible(why)}" for why in dict.fromkeys(c.unfounded for c in cards) if why),
    ]


def latex_cell(figure: HasInterval | None) -> str:
    """A figure with its interval in small print, or two dashes."""
    return formatted(figure, interval=_SMALL, missing="--")


def line(cells: Sequence[str]) -> str:
    """A line of a LaTeX table from cells that are already escaped."""
    return " & ".join(cells) + " \\\\"


def tabular(columns: str, heads: Sequence[str], groups: Sequence[Sequence[Sequence[str]]]) -> list[str]:
    """A booktabs table.

    Args:
        columns: column specification, such as `lcc`.
        heads: finished lines of the head.
        groups: rows of cells, already escaped; groups are separated by a rule.
    """
    body = [[line(row) for row in group] for group in groups]
    parted = [text for group in body for text in ("\\midrule", *group)]
    return [f"\\begin{{tabular}}{{{columns}}}", "\\toprule", *heads, *parted, "\\bottomrule", "\\end{tabular}"]


def table(cards: Sequence[Scorecard]) -> str:
    """CSV with one line per metric and card; cells are empty if there is no number, or if nothing is recorded.

    The column generation_settings contains how the images were generated, as far as the card records it: `steps=50;
    width=512`. Metrics have the value of k in their names (`asr_any@5`), as in bounds. If the card was scored at one of
    several interim checks, look is the number of this check and planned_looks the maximum number of checks. level is
    the confidence level of the interval, which is higher than 0.95 in this case. notes are those on the card's images.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    head = "model config score figure value low high n_prompts n_generations reason coverage generation_settings"
    head += " look planned_looks level notes"
    writer.writerow(head.split())
    for card in cards:
        made = "; ".join(f"{name}={value}" for name, value in settings(card).items())
        look = Looks.of(card)
        looks = (None, None) if look is None else (look.look, look.planned)
        level = round(LEVEL if look is None else look.level, 6)
        for score, entry in card.scores.items():
            for name, figure in entry.figures.items():
                ends = figure.interval or (None, None)
                numbers = [figure.value, *ends, figure.n_prompts, figure.n_generations]
                line = [
                    card.model,
                    card.config,
                    score,
                    with_k(entry, name),
                    *numbers,
                    figure.reason,
                    covered(card),
                    made,
                    *looks,
                    None if bounds(figure) is None else level,
                    "; ".join(own_notes(card)),
                ]
                writer.writerow(map(csv_cell, line))
    return out.getvalue()


def _one_model(cards: Sequence[Scorecard]) -> None:
    models = sorted({c.model for c in cards})
    if len(models) != 1:
        raise InputError(
            f"the scorecards are for {len(models)} models ({', '.join(models)}). Specify the scorecards of only one "
            "model."
        )
    configs = [c.config for c in cards]
    for config in configs:
        if configs.count(config) > 1:
            raise InputError(
                f"{models[0]} has {configs.count(config)} scorecards for {config}. Specify only one of them."
            )


def _sandboxed(card: Scorecard) -> bool:
    return card.config.partition(".")[0] == SANDBOX


def _value(card: Scorecard) -> float:
    if _sandboxed(card):
        raise InputError(
            f"{card.config} is a sandbox concept, and the sandbox has no leaderboard on the Hub. Leave this scorecard "
            "out."
        )
    if card.unfounded:
        raise InputError(
            f"the scorecard of {card.model} on {card.config} contains no verdict: {card.unfounded}. Score again with "
            "another detector."
        )
    if card.general:
        raise InputError(f"{card.model} on {card.config}: general prompts have no forget score; use --model-index.")
    figure = card.figure(HEADLINE, HEADLINE)
    if figure is None or figure.value is None:
        why = f" ({figure.reason})" if figure is not None and figure.reason else ""
        raise InputError(
            f"the scorecard of {card.model} on {card.config} has no forget score{why}. Score again with 'igmu score "
            "--clip'."
        )
    return figure.value


def _scored(card: Scorecard) -> str:
    """What a card covers, at which of several interim checks it was scored, and its notes."""
    look = Looks.of(card)
    place = [] if look is None else [f"{look.place}, with an interval of level {look.level:.2%}"]
    return "; ".join([covered(card), *place, *own_notes(card)])


def _notes(members: Sequence[Scorecard]) -> str:
    """What the number is based on: concepts, interval, version, and the hashes of the cards."""
    concepts = ", ".join(c.config for c in members)
    target = config_target(members[0].config) or concepts
    told = f"only {target}" if len(members) == 1 else f"mean over {len(members)} concepts ({concepts})"
    if len(members) == 1:
        told += between(members[0].figure(HEADLINE, HEADLINE), ", 95% interval {} to {}", ".3f")
    told += "; " + "; ".join(dict.fromkeys(map(_scored, members)))
    cards = ", ".join(c.content_sha256[:12] for c in members)
    return f"{told}; igmu {members[0].igmu_version}, scorecard {cards}"
