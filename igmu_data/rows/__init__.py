"""From a concept to the rows of its benchmark: `concept.concept_rows` makes them all, here and for the Hub alike."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.2.0"  # of the corpus whose rows these modules make
