"""One HTML page: the ranking, what the differences are worth, and the pictures side by side.

Conventions: no network, no script; pictures are embedded as small WebP. One row of the grid is one prompt and seed, one
column a model, so that the eye compares what the numbers compare.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from string import Template
from typing import Final

from igmu_data.load import bench_rows
from igmu_metrics import families
from igmu_metrics.compare import against_original
from igmu_metrics.generations import Generation, find
from igmu_metrics.images import read_image
from igmu_metrics.report.families import chart
from igmu_metrics.scorecard import Figure, GenerationEntry, Scorecard

GRID_ROWS: Final = 20  # every kind of prompt once, and a page that still opens at once; scorecards hold them all
THUMBNAIL: Final = 160
_FIGURES: Final = (
    ("concept_accuracy", "unlearning_accuracy", "unlearning accuracy"),
    ("concept_accuracy", "conditional_unlearning_accuracy", "where the original drew it"),
    ("attack_success_rate", "asr_image", "attack success"),
    ("concept_accuracy", "near_retain_accuracy", "near retain accuracy"),
    ("concept_accuracy", "far_retain_accuracy", "far retain accuracy"),
    ("forget_score", "forget_score", "forget score"),
)
Key = tuple[str, int]
_WORDS: Final = {True: "visible", False: "not visible", None: "unclear"}


@dataclass(frozen=True, slots=True)
class Section:
    """Models that were scored alike, on one concept.

    Args:
        cards: their scorecards.
        folders: folder of pictures by model, the original's among them.
        layout: of those folders.
        bench: corpus that the row ids are from; needed by layout `metadata`.
    """

    cards: Sequence[Scorecard]
    folders: Mapping[str, Path]
    layout: str
    bench: str | None = None


def render(*sections: Section) -> str:
    """The page as text, one section below the other."""
    first = sections[0].cards[0]
    return _template("page").substitute(
        title=html.escape(", ".join(s.cards[0].config for s in sections)),
        sections="".join(map(_section, sections)),
        version=html.escape(first.igmu_version),
    )


def _template(name: str) -> Template:
    return Template(Path(__file__).with_name(f"{name}.html").read_text(encoding="utf-8"))


def _section(section: Section) -> str:
    cards = section.cards
    first = cards[0]
    rows = bench_rows(first.config, bench=section.bench) if section.layout == "metadata" else {}
    drawn = {m: {g.key: g for g in find(folder, section.layout, rows)} for m, folder in section.folders.items()}
    return _template("section").substitute(
        config=html.escape(first.config),
        target=html.escape(first.target),
        summary=_summary(cards),
        families=_families(cards),
        sentences="".join(f"<li>{html.escape(c.sentence())}</li>" for c in against_original(cards)),
        grid=_grid(cards, drawn),
        signature=html.escape(str(first.scores["concept_accuracy"].signed())),
    )


def _summary(cards: Sequence[Scorecard]) -> str:
    shown = [f for f in _FIGURES if any(_has(c.figure(f[0], f[1])) for c in cards)]
    head = "".join(f"<th scope=col>{title}</th>" for _, _, title in shown)
    untouched = "".join(_cell(cards[0].figure(m, f"original_{f}")) for m, f, _ in shown)
    lines = f"<tr><th scope=row>{html.escape(cards[0].original_model)} (original)</th>{untouched}</tr>"
    lines += "".join(
        f"<tr><th scope=row>{html.escape(c.model)}</th>{''.join(_cell(c.figure(m, f)) for m, f, _ in shown)}</tr>"
        for c in cards
    )
    return f"<table><thead><tr><th scope=col>model</th>{head}</tr></thead><tbody>{lines}</tbody></table>"


def _families(cards: Sequence[Scorecard]) -> str:
    """The chart of attack success by family; nothing where no attacks were drawn."""
    if any(families.METRIC not in c.scores for c in cards):
        return ""
    return f"<h2>Attack by attack</h2><figure>{chart(cards)}</figure>"


def _has(figure: Figure | None) -> bool:
    return figure is not None and figure.value is not None


def _cell(figure: Figure | None) -> str:
    if figure is None or figure.value is None:
        return "<td>–</td>"
    ends = figure.interval
    interval = (
        f"<small>{ends[0]:.2f} – {ends[1]:.2f}</small>" if ends and None not in ends else "<small>no interval</small>"
    )
    return f"<td><b>{figure.value:.2f}</b>{interval}<small>n = {figure.n_generations}</small></td>"


def _grid(cards: Sequence[Scorecard], drawn: Mapping[str, Mapping[Key, Generation]]) -> str:
    first = cards[0]
    seen = {c.model: {(g.id, g.seed): g for g in c.generations} for c in cards}
    columns = [first.original_model, *(c.model for c in cards)]
    head = "".join(f"<th scope=col>{html.escape(m)}</th>" for m in columns)
    lines = []
    for kind, entry in _picked(first, drawn[first.original_model]):
        key = (entry.id, entry.seed)
        text = drawn[first.original_model][key].text or entry.id
        found = [(first.original_model, entry.original_present)]
        found += [(c.model, seen[c.model][key].present) for c in cards if key in seen[c.model]]
        cells = {model: _figure(model, drawn[model][key], entry, present) for model, present in found}
        label = f"<th scope=row><small>{kind}</small>{html.escape(text)}<small>seed {entry.seed}</small></th>"
        lines.append(f"<tr>{label}{''.join(cells.get(m, '<td>–</td>') for m in columns)}</tr>")
    top = f"<thead><tr><th scope=col>prompt</th>{head}</tr></thead>"
    return f"<table class=grid>{top}<tbody>{''.join(lines)}</tbody></table>"


def _picked(card: Scorecard, drawn: Mapping[Key, Generation]) -> list[tuple[str, GenerationEntry]]:
    """What the grid shows, with its kind: every kind of prompt in turn, and of each kind new prompts before new seeds.

    Nothing of what was seen in the pictures goes into the choice.
    """
    kinds: dict[str, list[tuple[int, int, GenerationEntry]]] = {}
    n_seeds: dict[str, int] = {}
    for at, g in enumerate(card.generations):
        row = drawn[g.id, g.seed].row
        detail = g.family or (row.probe if row and g.split == "retain" else "")
        n_seeds[g.id] = n_seeds.get(g.id, 0) + 1
        kinds.setdefault(f"{g.split}: {detail}".removesuffix(": "), []).append((n_seeds[g.id], at, g))
    named = [[(kind, entry) for _, _, entry in sorted(kinds[kind])] for kind in sorted(kinds, key=_order)]
    turns = [pick for turn in zip_longest(*named) for pick in turn if pick]
    return sorted(turns[:GRID_ROWS], key=lambda pick: _order(pick[0]))


def _order(kind: str) -> tuple[int, str]:
    return ("forget", "adversarial", "retain").index(kind.partition(":")[0]), kind


def _figure(model: str, generation: Generation, entry: GenerationEntry, present: bool | None) -> str:
    image = read_image(generation.path)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=80)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    asked = (entry.concept or "").partition("/")[2].replace("-", " ")
    words = f"{asked} {_WORDS[present]}" if asked else "not judged"
    alt = html.escape(f"{model}, {generation.row_id}, seed {generation.seed}: {words}")
    return f'<td><img src="data:image/webp;base64,{data}" alt="{alt}"><small>{html.escape(words)}</small></td>'
