"""Checks whether an image file is complete, as far as its structure shows, because decoders silently fill in gaps.

Conventions: a decoder that runs out of data does not complain. libjpeg fills the rest with grey, libwebp decodes zeros
as if they were an image, and zlib stops where a row should follow. A detector then sees no concept, and a damaged file
would count as forgotten. Damage that no structure shows (a changed bit in a photograph that still decodes, noise in a
WebP file, a missing end of a progressive JPEG's last scan) can be found only with a recorded SHA-256.

Nothing here decodes anything twice. The decoder must ask for a JPEG's data: without the end marker, libjpeg waits for
more data instead of filling in, and a decoder that never asks for the last bytes was finished before.
"""

from __future__ import annotations

import io
import re
import zlib
from typing import TYPE_CHECKING, Final

from igmu_data.errors import CorruptImageError

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

NEXT: Final = (
    "Generate or copy it again, or leave it out and count it as failed (--on-error skip of 'igmu score' and "
    "'igmu train-detector')."
)
_ZEROS: Final = 256
"""Bytes of zero in a row that compressed data of a small image never have: 2,048 bits that all carry nothing."""
_AHEAD: Final = 8  # bytes that libjpeg reads before it needs them
_LATE: Final = 40  # bytes before the end of a scan that are still asked for when the last block is decoded
_MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7]")  # of a JPEG's data; stuffed bytes and restarts belong to them
_BASELINE: Final = frozenset(b"\xc0\xc1")
_FRAMES: Final = frozenset(b"\xc0\xc1\xc2\xc3\xc5\xc6\xc7\xc9\xca\xcb\xcd\xce\xcf")
_BETWEEN: Final = frozenset(b"\xc4\xcc\xda\xdb\xdc\xdd\xfe") | frozenset(range(0xE0, 0xF0))  # scans
_EOI, _SOS = 0xD9, 0xDA


class Sparing(io.BytesIO):
    """The data of a JPEG without its end marker, in helpings: what stands before `cut`, then the rest up to `end`, then
    a few zeros for the decoder to look ahead into, and then nothing.
    """

    def __init__(self, data: bytes, cut: int, end: int) -> None:
        super().__init__(data)  # which copies nothing
        self._ends = [cut, end]
        self.emptied = False

    def read(self, size: int | None = -1, /) -> bytes:
        """As of any file, but nothing is read across the end of a helping."""
        at = self.tell()
        while self._ends and at >= self._ends[0]:
            del self._ends[0]
        self.emptied = len(self._ends) < 2
        if self._ends:
            left = self._ends[0] - at
            return super().read(left if size is None or size < 0 else min(size, left))
        ahead, self._ahead = self._ahead, b""
        return ahead

    _ahead = bytes(_AHEAD)


def load(image: ImageFile, data: bytes, name: str) -> None:
    """Decode an opened image, and refuse a file that is not whole.

    Args:
        image: opened from `data`, not decoded yet.
        data: the file.
        name: what to call it in an error.

    Raises:
        CorruptImageError: damaged or cut off; the message says what shows it.
    """
    kind = image.format
    if kind == "JPEG":
        _load_jpeg(image, data, name)
        return
    if kind == "PNG":
        compressed = _png(data, name)
        image.load()
        _require_all_rows(image, data, compressed, name)
        return
    if kind == "WEBP":
        _webp(data, image.size, name)
    elif kind == "GIF":
        _gif(data, name)
    elif kind == "TIFF" and image.info.get("compression", "raw") != "raw":
        _require_no_zeros(data, 0, len(data.rstrip(b"\0")), name)
    image.load()


def _damaged(name: str, why: str) -> CorruptImageError:
    return CorruptImageError(f"{name}: the file is damaged ({why}). {NEXT}")


def _require_no_zeros(data: bytes, start: int, end: int, name: str, most: int = _ZEROS) -> None:
    at = data.find(bytes(most), start, end)
    if at >= 0:
        raise _damaged(name, f"compressed data contain {most} or more zero bytes at byte {at}")


def _load_jpeg(image: ImageFile, data: bytes, name: str) -> None:
    single, start, end = _jpeg(data, name)
    if not single:
        # One bit a block is the least that a scan holds, so that a dark image may have a scan of zeros.
        width, height = image.size
        _require_no_zeros(data, start, end, name, max(_ZEROS, width * height // 64))
        image.load()
        return
    stream = Sparing(data, max(start, end - _LATE), end)
    image.fp = stream
    try:
        image.load()
    except OSError as error:
        if "truncated" not in str(error):
            raise
        raise _damaged(name, f"its data end at byte {end}, before the image is complete") from error
    if not stream.emptied:
        raise _damaged(name, f"the image is complete before its data end at byte {end}, so some of them were misread")


def _jpeg(data: bytes, name: str) -> tuple[bool, int, int]:
    """Whether all of a JPEG is one sequential scan, and where its data start and end."""
    at, frame, scans, first, end = 2, 0, 0, 0, 0
    left: dict[int, list[int]] = {}  # bits that no scan has told yet, by component and coefficient
    while True:
        while data[at + 1 : at + 2] == b"\xff":  # fill bytes
            at += 1
        if data[at : at + 1] != b"\xff" or at + 4 > len(data) > at + 2 or at + 2 > len(data):
            raise _damaged(name, f"it has neither a marker at byte {at}, where one is required, nor an end marker")
        kind = data[at + 1]
        if kind == _EOI:
            break
        body = at + 2
        if scans and kind not in _BETWEEN:
            raise _damaged(name, f"it has a marker 0x{kind:02x} at byte {at}, within its data")
        if kind != 1 and not 0xD0 <= kind <= 0xD7:
            body += int.from_bytes(data[body : body + 2], "big")
        if kind in _FRAMES:
            frame = kind
            if frame not in _BASELINE:
                left = {data[c]: [1] * 64 for c in range(at + 10, min(body, len(data)), 3)}
        if kind == _SOS and left:
            *_, low, high, bits = data[at + 4 : body] or bytes(3)
            for component in data[at + 5 : body - 3 : 2]:
                left.setdefault(component, [1] * 64)[low : high + 1] = [bits & 15] * (min(high, 63) + 1 - low)
        at = body
        if kind == _SOS:
            found = _MARKER.search(data, body)
            if found is None:
                raise _damaged(name, "it has no end marker, so it is cut off")
            scans, first, at = scans + 1, first or body, found.start()
            end = at
    if not scans or any(map(any, left.values())):
        raise _damaged(name, "scans are missing" if scans else "it contains no image data")
    return scans == 1 and frame in _BASELINE, first, end


def _png(data: bytes, name: str) -> list[memoryview]:
    """The compressed data of a PNG; Pillow checks neither the critical chunks' checksums nor whether the end is there.

    Raises:
        CorruptImageError: either is wrong.
    """
    position, kind, view, compressed = 8, b"", memoryview(data), []
    while kind != b"IEND":
        length = int.from_bytes(data[position : position + 4], "big")
        body = position + 4
        kind, end = data[body : body + 4], body + 4 + length
        if end + 4 > len(data):
            raise CorruptImageError(f"{name}: the file is truncated after {len(data)} bytes. {NEXT}")
        critical = kind[:1].isupper()
        if critical and zlib.crc32(view[body:end]) != int.from_bytes(data[end : end + 4], "big"):
            chunk = kind.decode("ascii", "replace")
            raise _damaged(name, f"the checksum of chunk {chunk} at byte {position} is wrong")
        if kind == b"IDAT":
            compressed.append(view[body + 4 : end])
        position = end + 4
    return compressed


def _require_all_rows(image: ImageFile, data: bytes, compressed: list[memoryview], name: str) -> None:
    """Refuse a PNG whose data end before its last row: Pillow leaves what is missing at zero."""
    width, height = image.size
    bits, colour, interlaced = data[24], data[25], data[28]
    if not interlaced and image.crop((0, height - 1, width, height)).getbbox(alpha_only=False):
        return  # the last row is there, so that nothing has to be inflated a second time
    bits *= {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    wanted = 0
    for x, y, dx, dy in _ADAM7 if interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-(width - x) // dx), -(-(height - y) // dy)
        wanted += rows * (1 + (columns * bits + 7) // 8) if columns > 0 and rows > 0 else 0
    inflate = zlib.decompressobj()
    found = len(inflate.decompress(b"".join(compressed), wanted))
    if found < wanted:
        raise _damaged(name, f"its data have {found} of {wanted} bytes, so rows are missing")


_ADAM7: Final = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def _webp(data: bytes, size: tuple[int, int], name: str) -> None:
    """Refuse a WebP file that is shorter than it says, or has zeros where compressed data should stand."""
    promised = int.from_bytes(data[4:8], "little") + 8
    if promised > len(data):
        raise _damaged(name, f"it has {len(data)} of the {promised} bytes in its header, so it is cut off")
    at = 12
    while at + 8 <= promised:
        kind, body = data[at : at + 4], at + 8
        end = body + int.from_bytes(data[at + 4 : at + 8], "little")
        if end > promised:
            raise _damaged(name, f"chunk {kind.decode('ascii', 'replace')} at byte {at} extends beyond the end")
        # Frames of an animation hold chunks of their own; a plane of transparency may be stored as it is.
        if kind == b"ANMF":
            at = body + 16
            continue
        if kind in (b"VP8 ", b"VP8L") or (kind == b"ALPH" and data[body] & 3):
            # A flat block of 16 by 16 pixels costs a fraction of a bit, and all such bits may be zero.
            _require_no_zeros(data, body, end, name, max(_ZEROS, size[0] * size[1] // 1024))
        at = end + (end & 1)


def _gif(data: bytes, name: str) -> None:
    """Refuse a GIF whose blocks do not lead to its trailer."""

    def colours(flags: int) -> int:
        return 3 << ((flags & 7) + 1) if flags & 0x80 else 0

    at = 13 + colours(data[10])
    while data[at : at + 1] != b";":
        kind = data[at : at + 1]
        if kind == b"!":
            at += 2
        elif kind == b"," and at + 10 <= len(data):
            at += 11 + colours(data[at + 9])
        else:
            why = (
                f"it has no block at byte {at}, where one is required"
                if kind
                else "it has no trailer, so it is cut off"
            )
            raise _damaged(name, why)
        while size := int.from_bytes(data[at : at + 1]):
            at += 1 + size
        at += 1
