"""Small pictures for the page: WebP in base64, as good as the page's size allows.

Conventions: a picture is embedded once, whatever shows it; its number is its place in the list. A page stays below
about 25 MB: with many pictures each is made smaller and coarser, never left out.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from igmu_metrics.images.files import read_image

if TYPE_CHECKING:
    from PIL.Image import Image

BUDGET: Final = 15_500_000  # bytes of all pictures; base64 makes 20.7 MB of them, and text comes on top
_MOST: Final = 12_000  # bytes of one picture
CHUNK: Final = 64  # pictures a script element; a browser parses one when a picture of it comes into sight
# Longest side, quality, and the bytes that a photograph then takes, from good to small; the last step is taken however
# large it is.
_STEPS: Final = (
    (192, 82, 7600),
    (192, 68, 5000),
    (160, 60, 3300),
    (160, 42, 2500),
    (128, 38, 1700),
    (112, 25, 1100),
    (96, 12, 600),
    (64, 5, 200),
)
Tick = Callable[[int], None]


@dataclass
class Gallery:
    """The pictures of a page.

    Args:
        paths: those that were asked for, in order.
    """

    paths: list[Path] = field(default_factory=list)
    _at: dict[Path, int] = field(default_factory=dict)

    def number(self, path: Path) -> int:
        """The number of a picture; asked for again, the same one."""
        if path not in self._at:
            self._at[path] = len(self.paths)
            self.paths.append(path)
        return self._at[path]

    def chunks(self, tick: Tick = lambda n: None) -> Iterator[list[str]]:
        """The pictures in base64, as many at a time as one script element holds.

        Raises:
            ImageError: a picture that cannot be read.
        """
        most = min(_MOST, BUDGET // max(1, len(self.paths)))
        with ThreadPoolExecutor() as pool:  # Pillow leaves Python to the others while it decodes and encodes
            for start in range(0, len(self.paths), CHUNK):
                encoded = []
                for data in pool.map(lambda path: small(read_image(path), most), self.paths[start : start + CHUNK]):
                    encoded.append(base64.b64encode(data).decode("ascii"))
                    tick(1)
                yield encoded


def small(image: Image, most: int) -> bytes:
    """A picture as WebP of at most `most` bytes, or as small as it gets.

    It begins where a photograph would fit, not at the best step, for encoding takes longer than anything else.
    """
    from PIL import Image as Pil

    data = b""
    steps = [step for step in _STEPS if step[2] <= most] or _STEPS[-1:]
    for side, quality, _ in steps:
        scale = side / max(image.size)
        if scale < 1:  # a miniature is enlarged by the browser; only what is larger is scaled here
            image = image.resize(_scaled(image, scale), Pil.Resampling.LANCZOS)
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", quality=quality, method=4)
        data = buffer.getvalue()
        if len(data) <= most:
            break
    return data


def _scaled(image: Image, scale: float) -> tuple[int, int]:
    return max(1, round(image.width * scale)), max(1, round(image.height * scale))
