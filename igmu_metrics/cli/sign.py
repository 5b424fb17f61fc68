"""The command `igmu sign`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from igmu_metrics.cli._common import say

if TYPE_CHECKING:
    from igmu_metrics.cli._other_answers import Written


def sign(
    card: Annotated[Path, typer.Argument(metavar="CARD.json", help="The scorecard to sign.")],
    key: Annotated[
        str, typer.Option(metavar="FILE|FINGERPRINT", help="SSH key file, or the fingerprint of a GnuPG key.")
    ],
) -> Written:
    """Sign a scorecard with your key: write a detached signature next to the scorecard, using ssh-keygen or gpg.

    A signature shows that the owner of the key vouches for this file, not that its numbers are correct. To check a
    signature, use igmu verify --signer.
    """
    from igmu_metrics.cli._other_answers import Written
    from igmu_metrics.verdict.signing import sign as signed

    path = signed(card, key)
    say(path)
    return Written([path])
