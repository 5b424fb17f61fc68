"""The concepts that default tests look at; all of them are a minute's work."""

from __future__ import annotations

from typing import Final

# One of every domain, and what the tests know by hand.
SAMPLE: Final = (
    *("artwork/the-scream", "attribute/snow", "character/count-dracula", "identity/napoleon", "landmark/eiffel-tower"),
    *("nsfw/nudity", "object/church", "object/golf-ball", "style/impressionism", "style/van-gogh"),
)
