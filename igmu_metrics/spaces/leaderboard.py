"""The page of the leaderboard's Space: scorecards ranked, and a check of a card before it is submitted."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from igmu_data.errors import EmptyInputError, IgmuError
from igmu_data.media import shell, slug, visible
from igmu_metrics.report.leaderboard import alike, read_folder, render
from igmu_metrics.spaces.sampling import SAMPLE, resampled
from igmu_metrics.verdict.recompute import notes
from igmu_metrics.verdict.verify import verify

if TYPE_CHECKING:
    from igmu_metrics.scorecard import Scorecard

_INTRODUCTION: Final = """
A submission is one scorecard, as `igmu score --out cards` writes it. Check it here, or with `igmu verify CARD.json`,
which is the same check: whether it agrees with itself. Then open the pull request with the command that you get. The
check submits nothing.
"""

_IMAGES: Final = f"""
Upload a scorecard and the two folders of images that it is about, as zips. All hashes are compared, and {SAMPLE} lines
drawn at random are scored again: only images can tell whether a card's lines are true. Cards of detectors that are
files or models of your own cannot be scored here; send the images to whoever runs this Space, for `igmu verify
--images`.
"""
_NOTHING: Final = "<p>No results yet. Yours can be the first.</p>"


def page(folder: Path) -> Any:
    """The app of the Space.

    Args:
        folder: of the scorecards, read once.

    Returns:
        A `gradio.Blocks`, to be launched.
    """
    import gradio as gr

    cards, board = ranked(folder)

    def check(path: str | None) -> str:
        return checked(path, cards)

    with gr.Blocks(title="igmu leaderboard") as demo:
        with gr.Tab("Leaderboard"):
            gr.HTML(board)
        with gr.Tab("Submit"):
            gr.Markdown(_INTRODUCTION)
            card = gr.File(label="Scorecard", file_types=[".json"], type="filepath")
            button = gr.Button("Check")
            button.click(check, card, gr.Textbox(label="Answer", lines=6, interactive=False))
        with gr.Tab("Images"):
            gr.Markdown(_IMAGES)
            held = gr.File(label="Scorecard", file_types=[".json"], type="filepath")
            zips = [
                gr.File(label=f"Zip of the {who} model's folder", file_types=[".zip"], type="filepath")
                for who in ("unlearned", "original")
            ]
            sample = gr.Button("Score a sample again")
            sample.click(resampled, [held, *zips], gr.Textbox(label="Answer", lines=6, interactive=False))
    return demo


def ranked(folder: Path) -> tuple[Sequence[Scorecard], str]:
    """The cards of a folder and the HTML that ranks them and lists what was refused; no cards and why where none is
    ranked.
    """
    try:
        found = read_folder(folder)
    except EmptyInputError:
        return [], _NOTHING
    cards = found.cards
    try:
        shown = render(cards, found.refused)
    except EmptyInputError:
        why = html.escape(visible("\n".join(found.refused), lines=True))
        return [], f"{_NOTHING}<p>Refused:</p><pre>{why}</pre>" if why else _NOTHING
    # A data address and no srcdoc, in which a link to a table would load this Space within itself.
    source = "data:text/html;charset=utf-8;base64," + base64.b64encode(shown.encode()).decode()
    style = "width: 100%; height: 85vh; border: 0"
    return cards, f'<iframe title="Leaderboard" sandbox src="{source}" style="{style}"></iframe>'


def checked(path: str | None, cards: Sequence[Scorecard]) -> str:
    """What is wrong with a card's file, or how to submit it.

    Args:
        path: of the file; None where there is none.
        cards: those that are ranked already.
    """
    if path is None:
        return "Choose a scorecard first."
    try:
        card, problems = verify(Path(path))
    except IgmuError as error:
        return visible(f"Refused. {error}", lines=True)
    if card is None or problems:
        return visible("\n".join(["Refused, as igmu verify would.", *map(str, problems)]), lines=True)
    if card.model == card.original_model:
        return "Refused. This is the card of the original model, which every table shows anyway."
    table = next(group for group in alike([*cards, card]) if any(other is card for other in group))
    beside = len(table) - 1
    where = f"in a table with {beside} other{'s' * (beside > 1)}" if beside else "in a table of its own"
    place = f"scorecards/{slug(card.config)}/{slug(card.model)}.json"
    words = ("hf", "upload", "igmu/leaderboard", Path(path).name, place, "--repo-type", "space", "--create-pr")
    if any(other is not card and other.model == card.model for other in table):
        where = "in place of the card that is there already: replace that file, a model is ranked once"
    told = "".join(f"Note: {note}.\n" for note in notes(card))
    return (
        f"{len(card.scores)} scores of {len(card.generations)} generations: the card agrees with itself.\n{told}"
        f"{card.model} would stand {where}.\n\n{shell(words)}"
    )
