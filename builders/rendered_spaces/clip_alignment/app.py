"""The page of this Space: pictures in, a table of figures out."""

import gradio as gr

import igmu_metrics.spaces
from igmu_data.errors import IgmuError

NAME = "clip_alignment"


def paths(gallery):
    """The files behind a gallery."""
    return [path for path, _caption in gallery or []]


def lines(text):
    """The lines of a text box that hold something."""
    return [line.strip() for line in (text or "").splitlines() if line.strip()]


def score(unlearned, prompts):
    """Rows of (figure, value)."""
    try:
        result = igmu_metrics.spaces.compute(
            NAME,
            paths(unlearned),
            lines(prompts),
        )
    except IgmuError as error:
        raise gr.Error(str(error)) from error
    return [[key, str(value)] for key, value in result.items()]


with gr.Blocks(title="CLIP alignment and CSDR") as demo:
    gr.Markdown("# CLIP alignment and CSDR")
    gr.Markdown("One prompt a line, in the order of the images.")
    unlearned = gr.Gallery(label="Images of the unlearned model", type="filepath")
    prompts = gr.Textbox(label="Prompts", lines=5)
    table = gr.Dataframe(headers=["figure", "value"], interactive=False)
    gr.Button("Score").click(score, [unlearned, prompts], table)

if __name__ == "__main__":
    demo.launch()
