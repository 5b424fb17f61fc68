"""Reads an image file once, checks it, and returns 8-bit RGB: the only way in which images enter igmu.

Conventions: the result is upright (EXIF applied), mode `RGB`, fully in memory, and a plain `PIL.Image.Image` without a
file behind it. An image that cannot be judged is a typed error that names it, never a grey or incomplete substitute:

- formats PNG, JPEG, WebP, BMP, GIF and TIFF, recognized by their first bytes and never by the file's name;
- the first frame of an animation;
- 16-bit greyscale is *scaled* (`round(v / 257)`; Pillow's own conversion clips everything above 255 to white); of
  16-bit colour Pillow keeps the high byte;
- transparency is composited over white, as a viewer on a white page shows it: dropping the alpha channel would uncover
  pixels that nobody can see;
- colour profiles are not applied (as in every published evaluation); CMYK is converted by Pillow's formula.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from igmu_data.errors import (
    CorruptImageError,
    ImageError,
    InputError,
    MissingImageError,
    OversizedImageError,
)
from igmu_data.files import irregular
from igmu_metrics.images import whole

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

MAX_PIXELS = 8192 * 8192
"""Most pixels that an image may have; more is refused from its header, before anything is decoded."""

MAX_ASPECT = 32
"""Longest side over shortest. A 1×60,000,000 strip passes any limit on pixels and then fills the memory when a
network's preparation scales its *short* side to 224."""

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
"""What is read, by Pillow's names."""

MAX_BYTES = 8 * MAX_PIXELS
"""Most bytes that an image file may have: sixteen bits in each of four channels of the largest image."""

_NOT_IMAGES = (
    (b"version https://git-lfs", "a Git LFS pointer (run 'git lfs pull')"),
    (b"<!doctype", "a web page (a failed download?)"),
    (b"<html", "a web page (a failed download?)"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an XML file"),
    (b"%pdf", "a PDF file"),
    (b"pk\x03\x04", "a ZIP archive"),
)


def read_image(path: str | os.PathLike[str]) -> Image:
    """Read an image file, checked and decoded once, as upright 8-bit RGB.

    Args:
        path: a PNG, JPEG, WebP, BMP, GIF or TIFF file of at most `MAX_PIXELS` pixels.

    Returns:
        An RGB image in memory, without a file behind it.

    Raises:
        MissingImageError: the path does not exist, or is a folder.
        OversizedImageError: by its header, it has more than `MAX_PIXELS` pixels, or is narrower than `MAX_ASPECT`.
        CorruptImageError: empty, truncated, damaged, or not one of the six formats.
        ImageError: there is no permission to read the file.
    """
    name = os.fspath(path)
    return _guarded(lambda: _decode(read_bytes(path), name), name)


def decode_image(data: bytes, *, name: str) -> Image:
    """The image in the bytes of a file, as `read_image` returns it.

    Args:
        data: the content of the file.
        name: what to call it in an error.

    Raises:
        OversizedImageError, CorruptImageError: as in `read_image`.
    """
    return _guarded(lambda: _decode(data, name), name)


def stored_as(data: bytes, *, name: str) -> tuple[str, int, int, str]:
    """Format, width and height in pixels, and mode by the header of an image file; nothing is decoded.

    Raises:
        CorruptImageError: not the header of an image.
    """

    def head() -> Image:
        return _plugin(data, name)(io.BytesIO(data))

    image = _guarded(head, name)
    return str(image.format), *image.size, image.mode


def as_rgb(image: Image, *, name: str = "") -> Image:
    """An upright 8-bit RGB copy of a PIL image.

    A copy even where nothing changes: an image that was opened from a file and then changed in place still carries its
    `filename`, and libraries that see one (datasets, evaluate) read the file again and lose the change.

    Args:
        image: any PIL image; one opened lazily is decoded here.
        name: what to call it in an error; by default its file name, or its mode and size.

    Raises:
        InputError: not a PIL image.
        OversizedImageError, CorruptImageError: as in `read_image`.
    """
    from PIL import Image as Pil

    if not isinstance(image, Pil.Image):
        raise InputError(f"expected a PIL image, got {type(image).__name__}. Pass a path to read_image instead.")
    name = name or str(getattr(image, "filename", "")) or f"image ({image.mode}, {image.width}×{image.height})"
    _check_size(image.size, name)
    return _guarded(lambda: _opened(image, name) or _rgb(image, name), name)


def _opened(image: Image, name: str) -> Image | None:
    """What an image that was opened, but not decoded yet, holds, checked like any file; None for all others."""
    file, undecoded = getattr(image, "fp", None), getattr(image, "tile", None)
    if not undecoded or file is None or file.closed or image.format not in FORMATS or image.tell():
        return None
    at = file.tell()
    file.seek(0)
    data = file.read()
    file.seek(at)
    found = _decode(data, name)
    # Who asked for a smaller draft gets it, from a file that is known to be whole now.
    return found if stored_as(data, name=name) == (image.format, *image.size, image.mode) else None


def content_hash(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes as 64 hexadecimal digits; equal files share cached features.

    Raises:
        MissingImageError: nothing is there, or a folder is.
    """
    try:
        if what := irregular(Path(path)):
            raise MissingImageError(f"{path} is {what}, not a file. Specify the paths of the files.")
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except MissingImageError:
        raise
    except (OSError, ValueError) as error:
        raise _unreadable(Path(path), error) from error


def _guarded(decode: Callable[[], Image], name: str) -> Image:
    """Run a decoder; whatever it raises becomes a typed error."""
    from PIL import Image as Pil
    from PIL import ImageFile

    if ImageFile.LOAD_TRUNCATED_IMAGES:
        # Some training libraries set this for the whole process; half an image would then be judged as a whole one.
        raise ImageError(
            f"{name}: PIL.ImageFile.LOAD_TRUNCATED_IMAGES is enabled, so truncated images cannot be detected. "
            "Set it to False before scoring."
        )
    try:
        return decode()
    except (ImageError, MemoryError):
        raise
    except (Pil.DecompressionBombError, Pil.DecompressionBombWarning) as error:
        raise OversizedImageError(f"{name}: {error} {whole.NEXT}") from error
    except Exception as error:  # Pillow's decoders raise anything at all on damaged bytes: zlib.error, struct.error, …
        raise CorruptImageError(f"{name} cannot be decoded ({type(error).__name__}: {error}). {whole.NEXT}") from error


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The content of an image file.

    Raises:
        MissingImageError, OversizedImageError, ImageError: as in `read_image`.
    """
    path = Path(path)
    try:
        if what := irregular(path):
            raise MissingImageError(f"{path} is {what}, not an image file. Specify the paths of the image files.")
        n_bytes = path.stat().st_size
        if n_bytes > MAX_BYTES:
            raise OversizedImageError(f"{path} has {n_bytes} bytes, but at most {MAX_BYTES} are allowed. {whole.NEXT}")
        data = path.read_bytes()
    except ImageError:
        raise
    except (OSError, ValueError) as error:  # the latter for a name that no file can have
        raise _unreadable(path, error) from error
    return data


def _unreadable(path: Path, error: OSError | ValueError) -> ImageError:
    if isinstance(error, ValueError):
        return MissingImageError(f"{str(path)!r} is not a valid file name ({error}). {whole.NEXT}")
    if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError):
        return MissingImageError(f"the image file {path} cannot be opened ({error.strerror}). {whole.NEXT}")
    return ImageError(f"{path} cannot be read ({error.strerror}). Check the file's permissions.")


def _decode(data: bytes, name: str) -> Image:
    if not data:
        raise CorruptImageError(f"{name}: the file is empty (0 bytes). {whole.NEXT}")
    image = _plugin(data, name)(io.BytesIO(data))
    _check_size(image.size, name)
    whole.load(image, data, name)
    return _rgb(image, name)


def _plugin(data: bytes, name: str) -> Callable[[io.BytesIO], ImageFile]:
    # The plugins themselves, not Image.open: that one warns or raises by its own, process-wide limit on pixels before
    # the size can be looked at, and silencing a warning is not safe while other threads decode.
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        from PIL.PngImagePlugin import PngImageFile

        return PngImageFile
    if data.startswith(b"\xff\xd8\xff"):
        from PIL.JpegImagePlugin import JpegImageFile

        return JpegImageFile
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        from PIL.WebPImagePlugin import WebPImageFile

        return WebPImageFile
    if data.startswith((b"GIF87a", b"GIF89a")):
        from PIL.GifImagePlugin import GifImageFile

        return GifImageFile
    if data.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        from PIL.TiffImagePlugin import TiffImageFile

        return TiffImageFile
    if data.startswith(b"BM"):
        from PIL.BmpImagePlugin import BmpImageFile

        return BmpImageFile
    raise CorruptImageError(f"{name}: {_found(data)}, not a PNG, JPEG, WebP, BMP, GIF or TIFF image. {whole.NEXT}")


def _found(data: bytes) -> str:
    head = data[:64].lstrip().lower()
    for start, what in _NOT_IMAGES:
        if head.startswith(start):
            return f"found {what}"
    if data[4:8] == b"ftyp":
        return f"found a {data[8:12].decode('ascii', 'replace').strip()} file (AVIF, HEIC or video)"
    text = data[:24].decode("utf-8", "ignore").strip()
    if text.replace("\n", " ").isprintable():
        return f"found text beginning {text!r}"
    return f"found bytes beginning {data[:8].hex(' ')}"


def _check_size(size: tuple[int, int], name: str) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise CorruptImageError(f"{name} has {width}×{height} pixels, but must have at least 1×1. {whole.NEXT}")
    if width * height > MAX_PIXELS:
        raise OversizedImageError(
            f"{name} has {width}×{height} = {width * height} pixels, but at most {MAX_PIXELS} are allowed. Scale it "
            "down, or generate it again."
        )
    if max(size) > MAX_ASPECT * min(size):
        raise OversizedImageError(
            f"{name} has {width}×{height} pixels, so one side is more than {MAX_ASPECT} times the other. Crop it, or "
            "generate it again."
        )


def _rgb(image: Image, name: str) -> Image:
    """Upright 8-bit RGB of a decoded image, without metadata that could be applied a second time."""
    from PIL import Image as Pil
    from PIL import ImageOps

    png = image.format == "PNG"
    image = ImageOps.exif_transpose(image)  # a copy, also of an upright image: without `filename`
    # Older Pillow opens a 16-bit greyscale PNG in the 32-bit mode.
    if image.mode.startswith("I;16") or (image.mode == "I" and png):
        image = _scaled_to_8_bits(image)
    elif image.mode in ("I", "F"):
        raise CorruptImageError(
            f"{name} has 32 bits per pixel (mode {image.mode}), for which white is not defined. Save it with 8 or 16 "
            "bits."
        )
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Pil.alpha_composite(Pil.new("RGBA", image.size, "white"), image)
    image = image.convert("RGB")
    image.info.clear()
    return image


def _scaled_to_8_bits(image: Image) -> Image:
    import numpy as np
    from PIL import Image as Pil

    values = np.asarray(image).astype(np.uint32)
    return Pil.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))
