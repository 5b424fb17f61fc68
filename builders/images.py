"""What every stored image must be: licensed, allowed, decodable, and without metadata."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from igmu_data.errors import LicenseError, PolicyError
from igmu_data.schema import Row
from igmu_data.taxonomy import RESTRICTED_DOMAIN
from igmu_metrics.images.files import read_image

EXTENSIONS: Final = {"PNG": ".png", "WEBP": ".webp", "JPEG": ".jpg"}
_NO_LICENSE: Final = frozenset({"", "unknown", "none", "null", "n/a", "na", "other", "tbd", "todo", "?", "-"})
# What Pillow reports that says how the pixels are stored. Anything else (EXIF, XMP, comments, a generator's prompt in a
# PNG text chunk, …) says where the image comes from, and counts as metadata.
_STORAGE: Final = frozenset(
    "jfif jfif_version jfif_unit jfif_density dpi adobe adobe_transform progressive progression icc_profile gamma "
    "srgb chromaticity transparency interlace aspect background loop timestamp duration".split()
)


def known_license(text: object, what: str) -> str:
    """The licence, if it is one.

    Args:
        text: what is given as licence.
        what: the image or collection, for the error.

    Raises:
        LicenseError: none, or a word that means none (`unknown`, `other`, …).
    """
    if not isinstance(text, str) or text.strip().casefold() in _NO_LICENSE:
        raise LicenseError(f"{what}: licence {text!r}. What has no known licence does not enter the corpus.")
    return text.strip()


def require_unrestricted(rows: Iterable[Row]) -> None:
    """Refuse rows of the domain that is published as prompts only.

    Raises:
        PolicyError: naming the first such row.
    """
    for row in rows:
        if row.domain == RESTRICTED_DOMAIN:
            raise PolicyError(
                f"row {row.id} ({row.concept}): no image is stored for the domain {RESTRICTED_DOMAIN!r}, which is "
                "published as prompts only. Leave its rows out."
            )


def stored(path: Path, data: bytes) -> tuple[bytes, str]:
    """The bytes to store and their extension.

    A still PNG, WebP or JPEG without metadata is stored as it is, to the byte. Anything else is stored as PNG with the
    pixels that every instrument sees (`read_image`: upright, 8-bit RGB), so that nothing is compressed twice. Its
    SHA-256 is then another than that of the file it came from.

    Args:
        path: the file, decoded here whatever is stored.
        data: its bytes.

    Raises:
        ImageError: it cannot be decoded; the message names the file.
    """
    image = read_image(path)
    extension = _as_it_is(data)
    if extension:
        return data, extension
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue(), ".png"


def _as_it_is(data: bytes) -> str | None:
    """The extension, or None where metadata, frames or the format call for another file."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        image.load()  # a PNG's text and EXIF may stand behind its pixels
        clean = set(image.info) <= _STORAGE and getattr(image, "n_frames", 1) == 1
        return EXTENSIONS.get(image.format or "") if clean else None
