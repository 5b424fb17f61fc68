"""Thumbnails for the page: WebP in base64, as good as the page's size allows.

Conventions: each image is stored once, even if it is shown several times; its number is its position in the list. A
page with images in it stays below about 25 MB: if there are many, they are made smaller and coarser, but never left
out. Above `MOST_INSIDE` they go into a folder next to the page, as scripts of `CHUNK` images each, because a page
opened from disk may load scripts but may not read files. Each script says which report it belongs to, so that a page
never shows images of another report.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from igmu_data.errors import ChecksumError
from igmu_data.files import begins, require_own
from igmu_metrics.images.files import decode_image, read_bytes
from igmu_metrics.scorecard import write_text

if TYPE_CHECKING:
    from PIL.Image import Image

BUDGET: Final = 15_500_000  # bytes of all images; 20.7 MB in base64, plus text
_MOST: Final = 12_000  # bytes per image
CHUNK: Final = 64  # images per script; a browser parses a script when one of its images becomes visible
MOST_INSIDE: Final = 4_500  # images of a page in one file: with more, each would get fewer than 3,400 bytes
_MOST_BESIDE: Final = 5_000  # bytes per image in a folder
_PART: Final = re.compile(r"\d{5}\.js")
_CALL: Final = re.compile(r"igmu\.take\(")
# Longest side, quality, and typical bytes of a photograph, from good to small; the last step has no limit.
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
    """The images of a page.

    Args:
        paths: the requested images, in order.
        sha256s: the hash of each according to the cards.
    """

    paths: list[Path] = field(default_factory=list)
    sha256s: list[str] = field(default_factory=list)
    _at: dict[tuple[Path, str], int] = field(default_factory=dict)

    def number(self, path: Path, sha256: str) -> int:
        """The number of an image to which a card gives this hash; always the same for the same image."""
        if (path, sha256) not in self._at:
            self._at[path, sha256] = len(self.paths)
            self.paths.append(path)
            self.sha256s.append(sha256)
        return self._at[path, sha256]

    @property
    def key(self) -> str:
        """A key that distinguishes the images of this page from those of another."""
        return hashlib.sha256("\n".join(self.sha256s).encode()).hexdigest()[:16]

    def chunks(self, tick: Tick = lambda n: None, *, most: int | None = None) -> Iterator[list[str]]:
        """The images in base64, in groups of one script each.

        Args:
            tick: called for every finished image.
            most: maximum bytes per image; by default such that all images fit into a page.

        Raises:
            ImageError: an image cannot be read.
            ChecksumError: an image is not the one that the card describes.
        """
        limit = most or min(_MOST, BUDGET // max(1, len(self.paths)))
        with ThreadPoolExecutor() as pool:  # Pillow releases the GIL while it decodes and encodes
            for start in range(0, len(self.paths), CHUNK):
                encoded = []
                some = slice(start, start + CHUNK)
                for data in pool.map(lambda *of: small(_told(*of), limit), self.paths[some], self.sha256s[some]):
                    encoded.append(base64.b64encode(data).decode("ascii"))
                    tick(1)
                yield encoded

    def write(self, folder: Path, tick: Tick = lambda n: None) -> int:
        """Write the images to a folder, and remove files that an earlier, larger report left there.

        Args:
            folder: the folder, which is created if necessary.
            tick: called for every finished image.

        Returns:
            Number of bytes written.

        Raises:
            ImageError, ChecksumError: as in `chunks`.
            OutputError: the folder cannot be written, or contains files of this name that igmu did not write.
        """
        n_bytes, written = 0, set()
        for path in folder.iterdir() if folder.is_dir() else ():
            if _PART.fullmatch(path.name):
                require_own(path, begins(_CALL))
        for at, chunk in enumerate(self.chunks(tick, most=_MOST_BESIDE)):
            text = f"igmu.take({json.dumps(self.key)}, {at}, {json.dumps(chunk)});\n"
            name = f"{at:05}.js"
            write_text(folder / name, text)
            written.add(name)
            n_bytes += len(text)
        for path in folder.iterdir():
            if _PART.fullmatch(path.name) and path.name not in written:
                path.unlink()
        return n_bytes


def _told(path: Path, sha256: str) -> Image:
    """The image, after checking that it is the one that was scored."""
    data = read_bytes(path)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ChecksumError(
            f"{path} is not the image that the scorecard describes, because its sha256 differs. Specify the folder "
            "that was scored, or score this folder."
        )
    return decode_image(data, name=str(path))


def small(image: Image, most: int) -> bytes:
    """An image as WebP with at most `most` bytes, or as few as possible.

    The search starts at the step where a photograph would fit and not at the best one, since encoding is slow.
    """
    from PIL import Image as Pil

    data = b""
    steps = [step for step in _STEPS if step[2] <= most] or _STEPS[-1:]
    for side, quality, _ in steps:
        scale = side / max(image.size)
        if scale < 1:  # the browser enlarges small images; only larger ones are scaled here
            image = image.resize(_scaled(image, scale), Pil.Resampling.LANCZOS)
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", quality=quality, method=4)
        data = buffer.getvalue()
        if len(data) <= most:
            break
    return data


def _scaled(image: Image, scale: float) -> tuple[int, int]:
    return max(1, round(image.width * scale)), max(1, round(image.height * scale))
