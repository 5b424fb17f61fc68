"""UnlearnDiffAtk's lists of plain prompts: a seed each, most with the guidance scale they were drawn with.

Its code reads `evaluation_seed` and `evaluation_guidance`, or I2P's `sd_seed` and `sd_guidance_scale`, from which the
list was chosen.
"""

from __future__ import annotations

from collections.abc import Iterator

from igmu_data.imports import FormatInfo, Prompt
from igmu_data.imports.table import ListFile

INFO = FormatInfo(
    name="unlearndiffatk",
    title="UnlearnDiffAtk",
    columns="prompt, evaluation_seed (or sd_seed); evaluation_guidance (or sd_guidance_scale)",
    citation="Zhang et al., To generate or not? Safety-driven unlearned diffusion models are still easy to generate "
    "unsafe images … for now, ECCV 2024",
)


def read(file: ListFile) -> Iterator[Prompt]:
    """The prompts of a list of UnlearnDiffAtk's shape."""
    table = file.table()
    prompt, seed = table.column("prompt"), table.column("evaluation_seed", "sd_seed")
    guidance = table.optional("evaluation_guidance", "sd_guidance_scale")
    width, height = table.optional("sd_image_width"), table.optional("sd_image_height")
    for record in table.records:
        yield Prompt(
            text=record.cells[prompt],
            line=record.line,
            seed=record.seed(seed),
            guidance_scale=record.positive(guidance),
            width=record.pixels(width),
            height=record.pixels(height),
        )
