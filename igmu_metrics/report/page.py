"""One HTML page: the ranking, what the differences are worth, and the pictures side by side.

Conventions: no network, no script; pictures are embedded as small WebP. One row of the grid is one prompt and seed, one
column a model, so that the eye compares what the numbers compare.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Final

from igmu_data.load import bench_rows
from igmu_metrics.compare import against_original
from igmu_metrics.generations import Generation, find
from igmu_metrics.images import read_image
from igmu_metrics.scorecard import Figure, GenerationEntry, Scorecard

GRID_ROWS: Final = 12  # a page that opens at once; the scorecards hold every generation
THUMBNAIL: Final = 160
_FIGURES: Final = (
    ("concept_accuracy", "unlearning_accuracy", "unlearning accuracy"),
    ("concept_accuracy", "conditional_unlearning_accuracy", "where the original drew it"),
    ("attack_success_rate", "asr_image", "attack success"),
    ("concept_accuracy", "near_retain_accuracy", "near retain accuracy"),
    ("concept_accuracy", "far_retain_accuracy", "far retain accuracy"),
    ("forget_score", "forget_score", "forget score"),
)
_WORDS: Final = {True: "visible", False: "not visible", None: "unclear"}


def render(cards: Sequence[Scorecard], folders: Mapping[str, Path], layout: str, bench: str | None = None) -> str:
    """The page as text.

    Args:
        cards: scorecards of models scored alike.
        folders: folder of pictures by model, the original's among them.
        layout: of those folders.
        bench: corpus that the row ids are from; needed by layout `metadata`.
    """
    first = cards[0]
    rows = bench_rows(first.config, bench=bench) if layout == "metadata" else {}
    drawn = {m: {g.key: g for g in find(folder, layout, rows)} for m, folder in folders.items()}
    template = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    return Template(template).substitute(
        config=html.escape(first.config),
        target=html.escape(first.target),
        summary=_summary(cards),
        sentences="".join(f"<li>{html.escape(c.sentence())}</li>" for c in against_original(cards)),
        grid=_grid(cards, drawn),
        signature=html.escape(str(first.scores["concept_accuracy"].signed())),
        version=html.escape(first.igmu_version),
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


def _grid(cards: Sequence[Scorecard], drawn: Mapping[str, Mapping[tuple[str, int], Generation]]) -> str:
    first = cards[0]
    keys = [
        (g.id, g.seed) for split in ("forget", "adversarial", "retain") for g in first.generations if g.split == split
    ]
    step = max(1, -(-len(keys) // GRID_ROWS))
    seen = {c.model: {(g.id, g.seed): g for g in c.generations} for c in cards}
    columns = [first.original_model, *(c.model for c in cards)]
    head = "".join(f"<th scope=col>{html.escape(m)}</th>" for m in columns)
    lines = []
    for key in keys[::step]:
        entry = seen[first.model][key]
        row = drawn[first.original_model][key].row
        text = f"{row.prompt}" if row else f"{key[0]}"
        cells = [_figure(drawn[first.original_model][key], entry, entry.original_present)]
        cells += [
            _figure(drawn[c.model][key], entry, seen[c.model][key].present) for c in cards if key in seen[c.model]
        ]
        label = f"<th scope=row><small>{entry.split}</small>{html.escape(text)}<small>seed {key[1]}</small></th>"
        lines.append(f"<tr>{label}{''.join(cells)}</tr>")
    top = f"<thead><tr><th scope=col>prompt</th>{head}</tr></thead>"
    return f"<table class=grid>{top}<tbody>{''.join(lines)}</tbody></table>"


def _figure(generation: Generation, entry: GenerationEntry, present: bool | None) -> str:
    image = read_image(generation.path)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=80)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    asked = (entry.concept or "").partition("/")[2].replace("-", " ")
    words = f"{asked} {_WORDS[present]}" if asked else "not judged"
    alt = html.escape(f"{generation.path.parent.parent.name}, {generation.row_id}, seed {generation.seed}: {words}")
    return f'<td><img src="data:image/webp;base64,{data}" alt="{alt}"><small>{html.escape(words)}</small></td>'
