"""The page of a metric's Space: images or labels as input, a table of results as output."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any, Final

from igmu_data.errors import IgmuError, InputError
from igmu_data.files import read_text
from igmu_metrics.spaces.inputs import References, references_of
from igmu_metrics.spaces.scoring import compute

_COLUMNS: Final = ("predictions", "references")
_TOLD: Final[dict[References, str]] = {
    "labels": "Upload a file with one line per image. Leave the prediction empty if it is unclear.",
    "prompts": "Enter one prompt per line, in the order of the images.",
    "original_images": "Upload images of both models for the same prompts and seeds, in the same order.",
    "row_ids": "Enter one row id of igmu/bench per line, and upload images of both models in this order, for the same "
    "seeds.",
}


def page(name: str) -> Any:
    """The app of a metric's Space.

    Args:
        name: the metric.

    Returns:
        A `gradio.Blocks`, ready to be launched.

    Raises:
        UnknownMetricError: the name is unknown; the message suggests similar names.
    """
    import gradio as gr

    from igmu_metrics import registry

    kind, title = references_of(name), registry.metric(name).INFO.title

    def score(*values: Any) -> list[list[str]]:
        try:
            return figures(name, *values)
        except IgmuError as error:
            raise gr.Error(str(error)) from error

    with gr.Blocks(title=title) as demo:
        gr.Markdown(f"# {title}\n\n{_TOLD[kind]}")
        widgets = _widgets(kind, gr)
        table = gr.Dataframe(headers=["metric", "value"], interactive=False)
        gr.Button("Score").click(score, widgets, table)
    return demo


def _widgets(kind: References, gr: Any) -> list[Any]:
    if kind == "labels":
        label = f"CSV file with the columns {' and '.join(_COLUMNS)}"
        file = gr.File(label=label, file_types=[".csv"], type="filepath")
        return [file, gr.Textbox(label="Concept to forget", placeholder="object/church")]
    found = [gr.Gallery(label="Images of the unlearned model", type="filepath")]
    if kind in ("original_images", "row_ids"):
        found.append(gr.Gallery(label="Images of the original model", type="filepath"))
    if kind == "prompts":
        found.append(gr.Textbox(label="Prompts", lines=5))
    if kind == "row_ids":
        found += [gr.Textbox(label="Row ids", lines=5), gr.Textbox(label="Config", value="object.church")]
    return found


def figures(name: str, *values: Any) -> list[list[str]]:
    """Rows of (metric, value) for the values of the widgets.

    Raises:
        IgmuError: a value is missing or invalid.
    """
    given = _read(references_of(name), *values)
    return [[key, str(value)] for key, value in compute(name, **given).items()]


def _read(kind: References, *values: Any) -> dict[str, Any]:
    """The arguments of `compute` from the widgets' values, in their order."""
    first, second, *more = values
    if kind == "labels":
        return _labels(first) | ({"target": second} if second else {})
    if kind == "prompts":
        return {"predictions": _paths(first), "references": _lines(second)}
    if kind == "original_images":
        return {"predictions": _paths(first), "references": _paths(second)}
    ids, config = more
    return {
        "predictions": _paths(first),
        "references": _lines(ids),
        "original_predictions": _paths(second),
        "config": config,
    }


def _labels(path: str | None) -> dict[str, Any]:
    wanted = f"a CSV file with the columns {' and '.join(_COLUMNS)}"
    if not path:
        raise InputError(f"Choose {wanted}.")
    table = csv.DictReader(io.StringIO(read_text(Path(path))))
    if missing := [column for column in _COLUMNS if column not in (table.fieldnames or ())]:
        raise InputError(f"The file has no column {missing[0]!r}. Choose {wanted}.")
    lines = list(table)
    return {"predictions": [r["predictions"] or None for r in lines], "references": [r["references"] for r in lines]}


def _paths(gallery: list[tuple[str, str | None]] | None) -> list[str]:
    """The files behind a gallery."""
    return [path for path, _caption in gallery or []]


def _lines(text: str | None) -> list[str]:
    """The non-empty lines of a text box."""
    return [line.strip() for line in (text or "").splitlines() if line.strip()]
