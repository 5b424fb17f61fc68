"""What lies in folders, each damaged, then scored: images, `metadata.jsonl`, labels, calibrations, the cache."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
from harness import NAMES, RANDOMS, TEXTS, VALUES, Target, command, damaged
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from reported import CONFIG

from igmu_data.load import bench_rows
from igmu_data.strangers import fingerprint
from igmu_metrics.scorecard import read

FORMATS: Final = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
OTHERS: Final = (
    b"", bytes(1000), b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"PK\3\4", b"%!PS\n", b"P6 9 9 255\n", b"GIF89a",
    b"RIFF\0\0\0\0WEBPVP8 ",
)  # fmt: skip
CARD: Final = f"esd.{CONFIG}.json"
Change = Callable[[bytes], bytes]


def prepare(base: Path) -> None:
    """Six prompts in two folders, with labels, and what a first run says and caches of them."""
    rows = sorted(bench_rows(CONFIG).values(), key=lambda r: r.id)
    some = [r for split in ("forget", "adversarial", "retain") for r in [x for x in rows if x.split == split][:2]]
    labels = ["path,present"]
    for shade, model in enumerate(("original", "esd")):
        folder = base / "drawn" / model
        folder.mkdir(parents=True)
        listed = []
        for number, row in enumerate(some):
            image = Image.new("RGB", (64, 64), (60 + 60 * shade, 40 + 20 * number, 90))
            ImageDraw.Draw(image).rectangle((10, 10, 20 + number, 50), fill=(220, 200, 60))
            image.save(folder / f"{number}.png")
            listed.append(json.dumps({"file_name": f"{number}.png", "id": row.id, "seed": row.seeds[0]}))
            labels.append(f"{model}/{number}.png,{'yes' if model == 'original' or row.split == 'retain' else 'no'}")
        (folder / "metadata.jsonl").write_text("\n".join(listed), encoding="utf-8")
    (base / "drawn" / "labels.csv").write_text("\n".join(labels) + "\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IGMU_CACHE", str(base / "cache"))
        command(*arguments(base / "drawn"), "--out", base / "cards")


def arguments(drawn: Path, *more: str) -> tuple[object, ...]:
    """The command that scores."""
    folders = ("--original", drawn / "original", "--unlearned", drawn / "esd")
    return ("score", *folders, "--config", CONFIG, "--detector", f"labels:{drawn / 'labels.csv'}", *more)


def scored(place: Path, base: Path, *, cache: bool = False) -> list[str]:
    """Score a copy; every pair is a line or a failure, and lines of untouched images are what they were."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IGMU_CACHE", str(place / "cache"))
        more = () if cache else ("--no-cache",)
        told = command(*arguments(place / "drawn", *more, "--on-error", "skip"), "--out", "cards")
    card, true = read(Path("cards") / CARD), read(base / "cards" / CARD)
    assert len(card.generations) + len(card.failures) >= len(true.generations), "an image was lost in silence"
    lines = dict(zip(true.generations.keys, true.generations.records(), strict=True))
    if cache:
        assert card.generations == true.generations, "the cache changed a number"
    for key, line in zip(card.generations.keys, card.generations.records(), strict=True):
        same = lines.get(key, {})
        if line["sha256"] == same.get("sha256") and line["sha256_original"] == same.get("sha256_original"):
            assert line["width"] == same["width"]
            assert line["status"] == same["status"] or line.get("present") != same.get("present")
    return [told]


def copied(place: Path, base: Path, *names: str) -> None:
    """The folder that is damaged."""
    for name in names:
        shutil.copytree(base / name, place / name)


# --- images -----------------------------------------------------------------------------------------------------------


def bomb(random: Random) -> bytes:
    """A PNG that promises many more pixels than it has."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    sides = [random.choice((0, 1, 64, 2**15, 2**31 - 1, 2**32 - 1)).to_bytes(4, "big") for _ in range(2)]
    head = chunk(
        b"IHDR", sides[0] + sides[1] + bytes((random.choice((1, 8, 16)), random.choice((0, 2, 3, 6)), 0, 0, 0))
    )
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(10**6))) + chunk(b"IEND", b"")


@st.composite
def images(draw: Callable[[st.SearchStrategy[Any]], Any]) -> bytes:
    """An image file of some format, damaged; a bomb; or no image at all."""
    random = draw(RANDOMS)
    kind = draw(st.sampled_from(("damaged", "damaged", "damaged", "bomb", "tiny", "frames", "other")))
    if kind == "bomb":
        return bomb(random)
    if kind == "other":
        return random.choice((*OTHERS, random.randbytes(500)))
    out = io.BytesIO()
    form = random.choice(FORMATS)
    size = (random.choice((1, 2, 3000)), random.choice((1, 2, 9))) if kind == "tiny" else (64, 48)
    image = Image.new(random.choice(("RGB", "L")), size, 77)
    if kind == "frames":
        image.save(out, "GIF", save_all=True, append_images=[Image.new("RGB", size, c) for c in ("red", "blue")])
    else:
        image.save(out, form)
    return damaged(out.getvalue(), random) if kind == "damaged" else out.getvalue()


def with_image(data: bytes, place: Path, base: Path) -> list[str]:
    """One image of the unlearned model is exchanged."""
    copied(place, base, "drawn")
    (place / "drawn" / "esd" / "3.png").write_bytes(data)
    return scored(place, base)


# --- metadata, labels, cache ------------------------------------------------------------------------------------------


@st.composite
def lines(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Change:
    """What is done to a `metadata.jsonl`."""
    random = draw(RANDOMS)
    kind = draw(st.sampled_from(("bytes", "value", "text", "key")))
    name = draw(st.sampled_from(("file_name", "id", "seed", "prompt", "sha256", "width", "model")))
    value = draw(st.sampled_from((*VALUES, "1.png", "../original/1.png", "/etc/passwd", 2**63 - 1)))
    text = draw(st.sampled_from(TEXTS))

    def change(data: bytes) -> bytes:
        if kind == "bytes":
            return damaged(data, random)
        records = [json.loads(line) for line in data.splitlines()]
        one = records[random.randrange(len(records))]
        if kind == "key":
            one.pop(name, None)
        else:
            one[name] = "@@@" if kind == "text" else value
        return "\n".join(map(json.dumps, records)).replace('"@@@"', text).encode()

    return change


def with_metadata(change: Change, place: Path, base: Path) -> list[str]:
    """The list of the unlearned model's images is changed."""
    copied(place, base, "drawn")
    path = place / "drawn" / "esd" / "metadata.jsonl"
    path.write_bytes(change(path.read_bytes()))
    return scored(place, base)


@st.composite
def cells(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Change:
    """What is done to a file of labels."""
    random = draw(RANDOMS)
    value = draw(st.sampled_from((*NAMES, "YES", "maybe", "1e999", "nan", "0.5", "-1", "2", "x" * 200_000, "unclear")))
    whole = draw(st.booleans())

    def change(data: bytes) -> bytes:
        if whole:
            return damaged(data, random)
        table = [line.split(",") for line in data.decode().splitlines()]
        table[random.randrange(len(table))][random.randrange(2)] = value
        out = io.StringIO()
        csv.writer(out).writerows(table)
        return out.getvalue().encode("utf-8", "surrogatepass")

    return change


def with_labels(change: Change, place: Path, base: Path) -> list[str]:
    """The labels are changed."""
    copied(place, base, "drawn")
    path = place / "drawn" / "labels.csv"
    path.write_bytes(change(path.read_bytes()))
    return scored(place, base)


def with_cache(random: Random, place: Path, base: Path) -> list[str]:
    """A file of the cache is damaged."""
    copied(place, base, "drawn", "cache")
    files = sorted(p for p in (place / "cache").rglob("*") if p.is_file())
    for path in random.sample(files, random.randint(1, len(files))):
        path.write_bytes(damaged(path.read_bytes(), random))
    return scored(place, base, cache=True)


# --- calibrations -----------------------------------------------------------------------------------------------------


@st.composite
def calibrations(draw: Callable[[st.SearchStrategy[Any]], Any]) -> tuple[Change, bool]:
    """What is done to a calibration, and whether its hash is made to fit."""
    random, forged = draw(RANDOMS), draw(st.booleans())
    inside = draw(st.sampled_from(("", "sensitivity", "specificity", "youden", "detector", "data", "chosen_on")))
    value = draw(st.sampled_from((*VALUES, *NAMES, 0.5, 1e300, 2**63, -1, [])))

    def change(data: bytes) -> bytes:
        if not forged:
            return damaged(data, random)
        found = json.loads(data)
        part = found[inside] if inside else found
        part[random.choice(sorted(part))] = value
        return json.dumps(found).encode("utf-8", "surrogatepass")

    return change, forged


def calibrated(base: Path) -> None:
    """As `prepare`, and a calibration of the label file on other images."""
    prepare(base)
    shutil.copytree(base / "drawn", base / "other")
    for path in (base / "other").rglob("*.png"):
        image = Image.new("RGB", (9, 9), (int(path.stem), 3, len(path.parent.name)))
        image.putpixel((0, 0), (255, 255, 255))
        image.save(path)
    (base / "other" / "labels.csv").write_bytes((base / "drawn" / "labels.csv").read_bytes())
    how = ("--detector", f"labels:{base / 'other' / 'labels.csv'}", "--concept", "object/church", "--threshold", "0.5")
    command("calibrate", "--data", base / "other", *how, "--out", base / "calibration.json")


def with_calibration(given: tuple[Change, bool], place: Path, base: Path) -> list[str]:
    """The calibration is changed; one whose hash fits says what it says, and nothing breaks of it."""
    change, forged = given
    copied(place, base, "drawn")
    data = change((base / "calibration.json").read_bytes())
    if forged:
        with contextlib.suppress(ValueError):
            data = json.dumps({**json.loads(data), "content_sha256": fingerprint(data.decode())}).encode()
    (place / "calibration.json").write_bytes(data)
    more = ("--calibration", place / "calibration.json", "--no-cache", "--out", "cards")
    told = command(*arguments(place / "drawn"), *more)
    if not forged:
        signed = read(Path("cards") / CARD).scores["concept_accuracy"].signature
        assert signed["detector.threshold"] == 0.5, "a changed calibration was believed"
    return [told]


CALIBRATION: Final = Target(calibrations(), with_calibration, calibrated)
IMAGES: Final = Target(images(), with_image, prepare)
METADATA: Final = Target(lines(), with_metadata, prepare)
LABELS: Final = Target(cells(), with_labels, prepare)
CACHE: Final = Target(RANDOMS, with_cache, prepare)
