"""Small pictures for the page: WebP in base64, as good as the page's size allows.

Conventions: a picture is embedded once, whatever shows it; its number is its place in the list. A page stays below
about 25 MB: with many pictures each is made smaller and coarser, never left out.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from igmu_data.errors import ChecksumError
from igmu_metrics.images.files import decode_image, read_bytes

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
        sha256s: what the cards say of each.
    """

    paths: list[Path] = field(default_factory=list)
    sha256s: list[str] = field(default_factory=list)
    _at: dict[tuple[Path, str], int] = field(default_factory=dict)

    def number(self, path: Path, sha256: str) -> int:
        """The number of a picture that a card gives this hash; asked for again, the same one."""
        if (path, sha256) not in self._at:
            self._at[path, sha256] = len(self.paths)
            self.paths.append(path)
            self.sha256s.append(sha256)
        return self._at[path, sha256]

    def chunks(self, tick: Tick = lambda n: None) -> Iterator[list[str]]:
        """The pictures in base64, as many at a time as one script element holds.

        Raises:
            ImageError: a picture that cannot be read.
            ChecksumError: one that is not the image that the card tells of.
        """
        most = min(_MOST, BUDGET // max(1, len(self.paths)))
        with ThreadPoolExecutor() as pool:  # Pillow leaves Python to the others while it decodes and encodes
            for start in range(0, len(self.paths), CHUNK):
                encoded = []
                some = slice(start, start + CHUNK)
                for data in pool.map(lambda *of: small(_told(*of), most), self.paths[some], self.sha256s[some]):
                    encoded.append(base64.b64encode(data).decode("ascii"))
                    tick(1)
                yield encoded


def _told(path: Path, sha256: str) -> Image:
    """The picture, where it is the one that the verdict beside it is about."""
    data = read_bytes(path)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ChecksumError(
            f"{path}: not the image that the scorecard names, since its sha256 differs. Give the folder that was "
            "scored, or score this one."
        )
    return decode_image(data, name=str(path))


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
