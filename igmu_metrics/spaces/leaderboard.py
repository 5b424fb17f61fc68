"""The page of the leaderboard's Space: ranked scorecards, and a check of a card before submission."""

from __future__ import annotations

import base64
import html
import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from igmu_data.errors import EmptyInputError, IgmuError
from igmu_data.media import shell, slug, visible
from igmu_data.numerals import counted
from igmu_metrics.report.leaderboard import alike, read_folder, render
from igmu_metrics.spaces.sampling import SAMPLE, resampled
from igmu_metrics.verdict.recompute import determined, notes, shortly
from igmu_metrics.verdict.verify import examined

if TYPE_CHECKING:
    from igmu_metrics.scorecard import Scorecard

_INTRODUCTION: Final = """
A submission is one scorecard, as written by `igmu score --out cards`. Check that it is consistent, either here or with
`igmu verify CARD.json`, which does the same check. Then log in and submit it: the scorecard is checked again, and a
pull request is opened in your name, where it is reviewed. Checking alone does not submit anything.
"""
_LOG_IN: Final = (
    "Log in first, because the pull request is opened in your name; or open it yourself with the command below."
)
_SPACE: Final = "SPACE_ID"  # set by the Hub, as owner/name

_IMAGES: Final = f"""
Upload a scorecard and zip files of the two folders of images for which it was made. All hashes are compared, and
{SAMPLE} randomly chosen lines are scored again, because the lines of a scorecard can only be checked with images. If
the detector is a file or model of your own, the scorecard cannot be checked here; send the images to the owners of this
Space, who can use `igmu verify --images`.
"""
_NOTHING: Final = "<p>There are no results yet. Yours can be the first.</p>"


def page(folder: Path) -> Any:
    """The app of the Space.

    Args:
        folder: folder of the scorecards, which is read once.

    Returns:
        A `gradio.Blocks`, ready to be launched.
    """
    import gradio as gr

    cards, board = ranked(folder)

    def check(path: str | None) -> str:
        return checked(path, cards)

    def submit(path: str | None, token: Any = None) -> str:
        return submitted(path, cards, token.token if token else None)

    with gr.Blocks(title="igmu leaderboard") as demo:
        with gr.Tab("Leaderboard"):
            gr.HTML(board)
        with gr.Tab("Submit"):
            gr.Markdown(_INTRODUCTION)
            card = gr.File(label="Scorecard", file_types=[".json"], type="filepath")
            answer = gr.Textbox(label="Answer", lines=6, interactive=False)
            gr.Button("Check").click(check, card, answer)
            if os.environ.get(_SPACE):  # users can log in only on the Hub
                submit.__annotations__["token"] = gr.OAuthToken | None
                gr.LoginButton()
                gr.Button("Check and submit").click(submit, card, answer)
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
    """The cards of a folder, and HTML with their ranking and the refused files; no cards and the reason if none can be
    ranked.
    """
    if not folder.exists():  # a new Space
        return [], _NOTHING
    try:
        found = read_folder(folder)
    except EmptyInputError:
        return [], _NOTHING
    cards = found.cards
    try:
        shown = render(cards, found.refused, found.earlier, found.days)
    except EmptyInputError:
        why = html.escape(visible("\n".join(found.refused), lines=True))
        return [], f"{_NOTHING}<p>Refused:</p><pre>{why}</pre>" if why else _NOTHING
    # A data URL instead of srcdoc, where a link to a table would load this Space within itself. Its scripts have a
    # separate origin and cannot access the Space.
    source = "data:text/html;charset=utf-8;base64," + base64.b64encode(shown.encode()).decode()
    style = "width: 100%; height: 85vh; border: 0"
    return cards, f'<iframe title="Leaderboard" sandbox="allow-scripts" src="{source}" style="{style}"></iframe>'


def checked(path: str | None, cards: Sequence[Scorecard], day: str = "") -> str:
    """What is wrong with a card's file, or how to submit it.

    Args:
        path: path of the file; None if there is none.
        cards: cards that are already ranked.
        day: date of the submission (`2026-11-30`); by default today.
    """
    return _checked(path, cards, day)[0]


def submitted(path: str | None, cards: Sequence[Scorecard], token: str | None, day: str = "") -> str:
    """Check a card's file and, if it is valid, open a pull request with it.

    Args:
        path: path of the file; None if there is none.
        cards: cards that are already ranked.
        token: token of the user; None if nobody is logged in.
        day: see `checked`.

    Returns:
        What is wrong with the file, or the address of the pull request.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    said, place, title = _checked(path, cards, day)
    if path is None or not place:
        return said
    if token is None:
        return f"{_LOG_IN}\n\n{said}"
    try:
        made = HfApi(token=token).upload_file(
            path_or_fileobj=path,
            path_in_repo=place,
            repo_id=_repository(),
            repo_type="space",
            commit_message=title,
            create_pr=True,
        )
    except (OSError, ValueError, HfHubHTTPError) as error:
        return visible(f"Not submitted, because the Hub returned an error: {error}\n\n{said}", lines=True)
    return f"Submitted: {made.pr_url}\n\n{said}"


def _repository() -> str:
    return os.environ.get(_SPACE, "igmu/leaderboard")


def _checked(path: str | None, cards: Sequence[Scorecard], day: str) -> tuple[str, str, str]:
    """The message, the card's path and the title of the pull request; the last two are "" if it is refused."""
    if path is None:
        return "Choose a scorecard first.", "", ""
    try:
        card, problems, found = examined(Path(path))
    except IgmuError as error:
        return visible(f"Refused. {error}", lines=True), "", ""
    if card is None or problems or found is None:
        first = "Refused, because the scorecard is not consistent:"
        return visible("\n".join([first, *map(str, problems)]), lines=True), "", ""
    if card.model == card.original_model:
        return "Refused. This is the scorecard of the original model, which every table shows anyway.", "", ""
    table = next(group for group in alike([*cards, card]) if any(other is card for other in group))
    beside = len(table) - 1
    where = f"in a table with {beside} other model{'s' * (beside > 1)}" if beside else "in a separate table"
    place = f"scorecards/{slug(card.config)}/{slug(card.model)}.{day or date.today().isoformat()}.json"
    words = ("hf", "upload", _repository(), Path(path).name, place, "--repo-type", "space", "--create-pr")
    if any(other is not card and other.model == card.model for other in table):
        where = "instead of its current scorecard, which becomes part of its history if its file name has a date"
    told = "".join(f"Note: {note}.\n" for note in notes(card))
    known, rest = determined(card, found)
    told += f"Not recomputed from its lines: {shortly(rest, known)}. This requires the images.\n" * bool(rest)
    said = (
        f"The scorecard is consistent ({counted(len(card.scores), 'score')} of "
        f"{counted(len(card.generations), 'generation')}).\n{told}"
        f"{card.model} would be ranked {where}.\n\n{shell(words)}"
    )
    return said, place, f"Add {visible(card.model)} on {visible(card.config)}"
