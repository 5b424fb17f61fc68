"""Every bad file becomes the right typed error; every good one becomes upright 8-bit RGB."""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from igmu_data.errors import (
    CorruptImageError,
    ImageError,
    InputError,
    MissingImageError,
    OversizedImageError,
)
from igmu_metrics.images import files as images
from igmu_metrics.images.files import as_rgb, content_hash, read_image

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
# An image whose four corners differ, so that any rotation or mirroring shows.
CORNERS = np.full((16, 24, 3), 128, np.uint8)
CORNERS[:8, :8], CORNERS[:8, 16:], CORNERS[8:, :8] = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def written(folder: Path, data: bytes, name: str = "x.png") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def png_with_header(width: int, height: int) -> bytes:
    """A PNG by hand: a right IHDR (8-bit grey) for any size, one tiny IDAT, IEND."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("kind", FORMATS)
def test_reads_each_format(tmp_path: Path, kind: str) -> None:
    flat = Image.new("RGB", (20, 10), (200, 100, 50))
    image = read_image(written(tmp_path, encoded(flat, kind), f"x.{kind.lower()}"))
    assert image.mode == "RGB"
    assert image.size == (20, 10)
    assert np.abs(np.asarray(image).astype(int) - (200, 100, 50)).max() <= 4
    assert type(image) is Image.Image
    assert not getattr(image, "filename", "")


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_lossless_formats_keep_every_pixel(tmp_path: Path, kind: str) -> None:
    path = written(tmp_path, encoded(Image.fromarray(CORNERS), kind))
    assert np.array_equal(np.asarray(read_image(path)), CORNERS)


def test_the_name_does_not_decide(tmp_path: Path) -> None:
    path = written(tmp_path, encoded(Image.fromarray(CORNERS), "BMP"), "really.jpg")
    assert np.array_equal(np.asarray(read_image(str(path))), CORNERS)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once(tmp_path: Path, kind: str, orientation: int) -> None:
    # The stored pixels of each orientation, from the EXIF standard: (0th row, 0th column) of what is seen.
    undo = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: a.transpose(1, 0, 2)[::-1],
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: a.transpose(1, 0, 2)[:, ::-1],
    }
    stored = Image.fromarray(np.ascontiguousarray(undo[orientation](CORNERS)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, object] = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    seen = read_image(written(tmp_path, encoded(stored, kind, exif=exif, **options)))
    assert seen.size == (24, 16)
    assert np.abs(np.asarray(seen).astype(int) - CORNERS).max() <= 6
    assert not seen.info  # nothing left that another library could apply a second time
    again = as_rgb(seen)
    assert np.array_equal(np.asarray(again), np.asarray(seen))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path, kind: str) -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    got = np.asarray(read_image(written(tmp_path, encoded(Image.fromarray(values), kind))))
    assert np.array_equal(got[..., 0], np.rint(values / 257.0).astype(np.uint8))
    assert np.array_equal(got[..., 0], got[..., 2])


def test_big_endian_sixteen_bits(tmp_path: Path) -> None:
    values = np.array([[0, 257 * 100, 65535]], dtype=">u2")
    got = read_image(written(tmp_path, encoded(Image.fromarray(values), "TIFF"), "x.tif"))
    assert np.asarray(got)[0, :, 1].tolist() == [0, 100, 255]


@pytest.mark.parametrize("mode", ["I", "F"])
def test_thirty_two_bits_are_refused(tmp_path: Path, mode: str) -> None:
    path = written(tmp_path, encoded(Image.new(mode, (4, 4)), "TIFF"), "x.tif")
    with pytest.raises(CorruptImageError, match=r"x\.tif.*32 bits.*8 or 16 bits"):
        read_image(path)


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    cyan = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    got = np.asarray(read_image(written(tmp_path, encoded(cyan, "JPEG"), "x.jpg")))
    assert np.abs(got.astype(int) - (0, 255, 255)).max() <= 3


@pytest.mark.parametrize(("mode", "kind"), [("1", "PNG"), ("L", "PNG"), ("L", "JPEG"), ("P", "PNG"), ("P", "GIF")])
def test_grey_and_palette(tmp_path: Path, mode: str, kind: str) -> None:
    image = Image.new("L", (8, 8), 255).convert(mode)
    assert np.asarray(read_image(written(tmp_path, encoded(image, kind)))).min() >= 254


def test_transparency_shows_white_never_what_is_hidden(tmp_path: Path) -> None:
    pixels = np.zeros((1, 3, 4), np.uint8)
    pixels[0, 0], pixels[0, 1], pixels[0, 2] = (255, 0, 0, 0), (255, 0, 0, 255), (0, 0, 0, 51)
    got = np.asarray(read_image(written(tmp_path, encoded(Image.fromarray(pixels), "PNG"))))
    assert got[0].tolist() == [[255, 255, 255], [255, 0, 0], [204, 204, 204]]  # 255 · (1 − 51/255) = 204


@pytest.mark.parametrize(
    ("mode", "colour", "transparency"),
    [("L", 7, 7), ("RGB", (7, 8, 9), (7, 8, 9)), ("P", 1, bytes([255, 0])), ("P", 1, 1), ("LA", (7, 0), None)],
)
def test_every_kind_of_transparency(tmp_path: Path, mode: str, colour: object, transparency: object) -> None:
    image = Image.new(mode, (4, 4), colour)  # type: ignore[arg-type]
    if mode == "P":
        image.putpalette([10, 20, 30, 40, 50, 60])
    options = {} if transparency is None else {"transparency": transparency}
    got = np.asarray(read_image(written(tmp_path, encoded(image, "PNG", **options))))
    assert got.min() == 255


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_first_frame_of_an_animation(tmp_path: Path, kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((250, 0, 0), (0, 250, 0), (0, 0, 250))]
    options: dict[str, object] = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert np.asarray(read_image(written(tmp_path, data)))[4, 4].tolist() == [250, 0, 0]


def test_missing_file_names_the_path_and_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(MissingImageError, match=r"gone\.png cannot be opened.*--on-error skip"):
        read_image(tmp_path / "gone.png")
    with pytest.raises(FileNotFoundError):  # so that callers who know nothing of igmu can catch it
        read_image(tmp_path / "gone.png")


def test_a_folder_is_not_an_image(tmp_path: Path) -> None:
    with pytest.raises(MissingImageError, match="folder"):
        read_image(tmp_path)
    with pytest.raises(MissingImageError):
        content_hash(tmp_path)


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, b"x")

    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ImageError, match="Permission denied"):
        read_image(path)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "empty"),
        (b"a church beside a river\n", "text beginning 'a church beside"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "git lfs pull"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (b"%PDF-1.7", "PDF"),
        (b"PK\x03\x04\x00\x00", "ZIP"),
        (b"<svg xmlns=''/>", "SVG"),
        (b"\x00\x00\x00\x1cftypavif\x00\x00", "avif"),
        (b"\x00\x01\x02\xff\xfe", "00 01 02 ff fe"),
        (b"BM", "cannot be decoded"),
        (b"BMW is a maker of motorcycles, and this is a text", "cannot be decoded"),
        (b"\x89PNG\r\n\x1a\n", "cannot be decoded"),
        (b"II*\0", "cannot be decoded"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "cannot be decoded"),
        (b"GIF89a", "cannot be decoded"),
        (b"\xff\xd8\xff", "cannot be decoded"),
    ],
)
def test_what_is_no_image_is_named(tmp_path: Path, data: bytes, found: str) -> None:
    path = written(tmp_path, data, "fake.png")
    with pytest.raises(CorruptImageError, match=found) as caught:
        read_image(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_truncated_files_are_refused(tmp_path: Path, kind: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    with pytest.raises(CorruptImageError, match=r"cut\.png"):
        read_image(written(tmp_path, data[: int(len(data) * share)], "cut.png"))


def test_a_png_without_its_end_is_refused(tmp_path: Path) -> None:
    data = encoded(Image.fromarray(CORNERS), "PNG")
    for missing in range(1, 13):
        with pytest.raises(CorruptImageError, match="truncated"):
            read_image(written(tmp_path, data[:-missing]))


def test_any_flipped_bit_of_the_pixels_of_a_png_is_noticed(tmp_path: Path) -> None:
    data = bytearray(encoded(Image.fromarray(CORNERS), "PNG"))
    start = data.index(b"IDAT") + 4
    for position in range(start, len(data) - 12):
        data[position] ^= 4
        with pytest.raises(CorruptImageError):
            read_image(written(tmp_path, bytes(data)))
        data[position] ^= 4
    assert read_image(written(tmp_path, bytes(data))).size == (24, 16)


def test_truncated_files_are_refused_even_where_another_library_allows_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    data = encoded(Image.fromarray(CORNERS), "JPEG")
    with pytest.raises(ImageError, match="LOAD_TRUNCATED_IMAGES"):
        read_image(written(tmp_path, data[:-40]))


def test_a_decompression_bomb_is_refused_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: decoded.append(self))
    path = written(tmp_path, png_with_header(30_000, 30_000))
    with pytest.raises(OversizedImageError, match=r"30000×30000 = 900000000 pixels, but at most 67108864"):
        read_image(path)
    assert not decoded


def test_between_our_limit_and_pillows_neither_warning_nor_error_of_pillow(tmp_path: Path) -> None:
    assert images.MAX_PIXELS < 10_000 * 10_000 < 2 * Image.MAX_IMAGE_PIXELS  # type: ignore[operator]
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with pytest.raises(OversizedImageError):
            read_image(written(tmp_path, png_with_header(10_000, 10_000)))
    assert not seen


def test_webp_and_gif_bombs_are_oversized_too(tmp_path: Path) -> None:
    canvas = (16_383 - 1).to_bytes(3, "little") * 2
    webp = b"RIFF" + struct.pack("<I", 30) + b"WEBPVP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + canvas
    with pytest.raises(OversizedImageError):
        read_image(written(tmp_path, webp))
    gif = bytearray(encoded(Image.new("P", (4, 4)), "GIF"))
    gif[6:10] = struct.pack("<HH", 60_000, 60_000)
    with pytest.raises(OversizedImageError):
        read_image(written(tmp_path, bytes(gif)))


def test_the_limits_are_inclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_PIXELS", 100)
    assert as_rgb(Image.new("RGB", (10, 10))).size == (10, 10)
    with pytest.raises(OversizedImageError, match="11×10 = 110"):
        as_rgb(Image.new("RGB", (11, 10)))


def test_strips_and_huge_files_are_oversized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert as_rgb(Image.new("L", (images.MAX_ASPECT, 1))).size == (images.MAX_ASPECT, 1)
    with pytest.raises(OversizedImageError, match="33×1"):
        as_rgb(Image.new("L", (images.MAX_ASPECT + 1, 1)))
    monkeypatch.setattr(images, "MAX_BYTES", 50)
    with pytest.raises(OversizedImageError, match="51 bytes"):
        read_image(written(tmp_path, b"x" * 51))


def test_as_rgb_keeps_a_change_that_was_made_in_place(tmp_path: Path) -> None:
    path = written(tmp_path, encoded(Image.fromarray(CORNERS), "PNG"))
    opened = Image.open(path)
    opened.putpixel((0, 0), (1, 2, 3))
    assert opened.filename == str(path)  # the trap: libraries read this file again
    copy = as_rgb(opened)
    assert copy.getpixel((0, 0)) == (1, 2, 3)
    assert not getattr(copy, "filename", "")
    copy.putpixel((0, 0), (9, 9, 9))
    assert opened.getpixel((0, 0)) == (1, 2, 3)


def test_as_rgb_equals_read_image(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = written(tmp_path, encoded(Image.fromarray(CORNERS), "JPEG", exif=exif))
    with Image.open(path) as opened:
        assert np.array_equal(np.asarray(as_rgb(opened)), np.asarray(read_image(path)))


def test_as_rgb_refuses_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a PIL image, got ndarray"):
        as_rgb(CORNERS)  # type: ignore[arg-type]
    data = encoded(Image.fromarray(CORNERS), "BMP")
    with pytest.raises(CorruptImageError, match="half"):
        as_rgb(Image.open(io.BytesIO(data[: len(data) // 2])), name="half")
    with pytest.raises(CorruptImageError, match="0×4"):
        as_rgb(Image.new("RGB", (0, 4)))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(FORMATS), where=st.floats(0, 1, exclude_max=True), what=st.binary(min_size=1, max_size=8))
def test_damaged_files_give_an_image_or_a_typed_error(tmp_path: Path, kind: str, where: float, what: bytes) -> None:
    data = bytearray(encoded(Image.fromarray(CORNERS), kind))
    position = int(where * len(data))
    data[position : position + len(what)] = what
    try:
        image = read_image(written(tmp_path, bytes(data)))
    except ImageError as error:
        outcome = str(error)
    else:
        outcome = f"x.png {image.mode}"
    assert "x.png" in outcome
    assert outcome.endswith(("RGB", ".")), outcome


def test_content_hash(tmp_path: Path) -> None:
    path = written(tmp_path, b"igmu")
    assert content_hash(path) == hashlib.sha256(b"igmu").hexdigest()
    with pytest.raises(MissingImageError, match=r"gone\.png"):
        content_hash(tmp_path / "gone.png")
