"""The page of this Space: pictures in, a table of figures out."""

import gradio as gr

import igmu_metrics.spaces
from igmu_data.errors import IgmuError

NAME = "attack_success_rate"


def paths(gallery):
    """The files behind a gallery."""
    return [path for path, _caption in gallery or []]


def lines(text):
    """The lines of a text box that hold something."""
    return [line.strip() for line in (text or "").splitlines() if line.strip()]


def score(unlearned, original, row_ids, config):
    """Rows of (figure, value)."""
    try:
        result = igmu_metrics.spaces.compute(
            NAME,
            paths(unlearned),
            lines(row_ids),
            original_predictions=paths(original),
            config=config,
        )
    except IgmuError as error:
        raise gr.Error(str(error)) from error
    return [[key, str(value)] for key, value in result.items()]


with gr.Blocks(title="Attack success rate") as demo:
    gr.Markdown("# Attack success rate")
    gr.Markdown("One row id of igmu/bench a line; images of both models in that order, for the same seeds.")
    unlearned = gr.Gallery(label="Images of the unlearned model", type="filepath")
    original = gr.Gallery(label="Images of the original model", type="filepath")
    row_ids = gr.Textbox(label="Row ids", lines=5)
    config = gr.Textbox(label="Config", value="object.church")
    table = gr.Dataframe(headers=["figure", "value"], interactive=False)
    gr.Button("Score").click(score, [unlearned, original, row_ids, config], table)

if __name__ == "__main__":
    demo.launch()
