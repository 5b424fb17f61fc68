"""The page of this Space: pictures in, a table of figures out."""

import gradio as gr

import igmu_metrics.spaces
from igmu_data.errors import IgmuError

NAME = "frechet"


def paths(gallery):
    """The files behind a gallery."""
    return [path for path, _caption in gallery or []]


def lines(text):
    """The lines of a text box that hold something."""
    return [line.strip() for line in (text or "").splitlines() if line.strip()]


def score(unlearned, original):
    """Rows of (figure, value)."""
    try:
        result = igmu_metrics.spaces.compute(
            NAME,
            paths(unlearned),
            paths(original),
        )
    except IgmuError as error:
        raise gr.Error(str(error)) from error
    return [[key, str(value)] for key, value in result.items()]


with gr.Blocks(title="Fréchet distance, KID and CMMD") as demo:
    gr.Markdown("# Fréchet distance, KID and CMMD")
    gr.Markdown("The same prompts and seeds, in the same order.")
    unlearned = gr.Gallery(label="Images of the unlearned model", type="filepath")
    original = gr.Gallery(label="Images of the original model", type="filepath")
    table = gr.Dataframe(headers=["figure", "value"], interactive=False)
    gr.Button("Score").click(score, [unlearned, original], table)

if __name__ == "__main__":
    demo.launch()
