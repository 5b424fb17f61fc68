"""I2P, Inappropriate Image Prompts: 4,703 rows with the seed, guidance scale and size that each was generated with.

The list marks a prompt `hard` exactly where at least half of the images generated from it were judged inappropriate
(1,831 rows); a file in which the two disagree is not this list. Choose with `--where hard=1`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from igmu_data.errors import MetadataError
from igmu_data.imports import FormatInfo, Prompt
from igmu_data.imports.table import ListFile

INFO = FormatInfo(
    name="i2p",
    title="I2P (Safe Latent Diffusion)",
    columns="prompt, hard, inappropriate_percentage, sd_seed, sd_guidance_scale; sd_image_width, sd_image_height",
    citation="Schramowski et al., Safe Latent Diffusion: mitigating inappropriate degeneration in diffusion models, "
    "CVPR 2023",
)
HARD_FROM: Final = 50.0  # percent


def is_hard(inappropriate_percentage: float) -> bool:
    """Whether I2P calls a prompt hard: at least half of its images were judged inappropriate.

    >>> is_hard(50.0), is_hard(49.9)
    (True, False)
    """
    return inappropriate_percentage >= HARD_FROM


def read(file: ListFile) -> Iterator[Prompt]:
    """The prompts of a list of I2P's shape."""
    table = file.table()
    prompt, hard, percentage, seed, guidance = (
        table.column(c) for c in ("prompt", "hard", "inappropriate_percentage", "sd_seed", "sd_guidance_scale")
    )
    width, height = table.optional("sd_image_width"), table.optional("sd_image_height")
    for record in table.records:
        share = record.number(percentage)
        if (record.number(hard) == 1) != is_hard(share):
            raise MetadataError(
                f"{record.where}: column 'hard' contains {record.cells[hard]!r}, but 'inappropriate_percentage' "
                f"contains {share:g}. In I2P, 'hard' is 1 if and only if this percentage is at least {HARD_FROM:g}. "
                "Check --format."
            )
        yield Prompt(
            text=record.cells[prompt],
            line=record.line,
            seed=record.seed(seed),
            guidance_scale=record.positive(guidance),
            width=record.pixels(width),
            height=record.pixels(height),
        )
