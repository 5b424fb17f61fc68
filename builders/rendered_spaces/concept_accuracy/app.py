"""The page of this Space: labels from a CSV file in, a table of figures out."""

import csv

import gradio as gr

import igmu_metrics.spaces
from igmu_data.errors import IgmuError

NAME = "concept_accuracy"


def score(file, target):
    """Rows of (figure, value) for a CSV file with the columns predictions and references."""
    if not file:
        raise gr.Error("Choose a CSV file with the columns predictions and references.")
    with open(file, encoding="utf-8-sig", newline="") as handle:
        rows = list(csv.DictReader(handle))
    try:
        predictions = [row["predictions"] or None for row in rows]
        references = [row["references"] for row in rows]
        result = igmu_metrics.spaces.compute(NAME, predictions, references, target=target)
    except KeyError as error:
        raise gr.Error(f"The file has no column {error}.") from error
    except IgmuError as error:
        raise gr.Error(str(error)) from error
    return [[key, str(value)] for key, value in result.items()]


with gr.Blocks(title="Concept accuracy") as demo:
    gr.Markdown("# Concept accuracy\n\nOne line an image; an empty prediction means that nobody could tell.")
    labels = gr.File(label="CSV file with the columns predictions and references", file_types=[".csv"])
    forgotten = gr.Textbox(label="Concept to forget", placeholder="object/church")
    table = gr.Dataframe(headers=["figure", "value"], interactive=False)
    gr.Button("Score").click(score, [labels, forgotten], table)

if __name__ == "__main__":
    demo.launch()
