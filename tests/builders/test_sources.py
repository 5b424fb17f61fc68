"""Row-image sources without a model (`none`, `folder`) and labelled images (`hub-dataset`)."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import zlib
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from builders import sources
from builders.hub_collections import COLLECTIONS, licenses
from builders.images import known_license
from builders.sources import folder, hub_dataset, none
from igmu_data.errors import (
    ChecksumError,
    CorruptImageError,
    DuplicateIdError,
    EmptyInputError,
    InputError,
    LicenseError,
    MetadataError,
    MissingImageError,
    PolicyError,
    UnknownIdError,
    UnknownSourceError,
)
from igmu_data.rows.concept import forget_rows
from igmu_data.schema import Row
from igmu_data.taxonomy import concept

ROWS = list(islice(forget_rows(concept("object/church")), 3))


def image_file(seed: int, kind: str = "PNG", size: tuple[int, int] = (24, 16), **options: Any) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def pixels(data: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def write_manifest(where: Path, *lines: dict[str, Any] | str) -> None:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (where / "manifest.jsonl").write_text("".join(f"{t}\n" for t in texts))


def listed(where: Path, name: str, row: Row, data: bytes, **changes: Any) -> dict[str, Any]:
    """Write a file and give its manifest line."""
    (where / name).parent.mkdir(parents=True, exist_ok=True)
    (where / name).write_bytes(data)
    line = {"file_name": name, "id": row.id, "license": "CC0-1.0", "sha256": hashlib.sha256(data).hexdigest()}
    return {k: v for k, v in (line | changes).items() if v is not None}


def test_every_source_has_info_and_one_of_the_two_kinds() -> None:
    assert set(sources.names()) >= {"none", "folder", "diffusers", "hub-dataset"}
    for name in sources.names():
        module = sources.load(name)
        assert module.INFO.name == name
        assert module.INFO.license
        assert hasattr(module, "images") != hasattr(module, "labelled")


def test_none_gives_no_images_and_takes_no_argument(tmp_path: Path) -> None:
    assert list(none.images(ROWS, "", work=tmp_path)) == []
    with pytest.raises(InputError, match="folder:church"):
        none.images(ROWS, "church", work=tmp_path)


class TestFolder:
    def test_clean_files_are_stored_to_the_byte_in_the_order_of_the_rows(self, tmp_path: Path) -> None:
        data = [image_file(0), image_file(1, "JPEG"), image_file(2, "WEBP", lossless=True)]
        names = ["a.png", "below/b.jpeg", "c.webp"]
        lines = [listed(tmp_path, n, r, d) for n, r, d in zip(names, ROWS, data, strict=True)]
        lines[0]["source"] = "a museum"
        write_manifest(tmp_path, *reversed(lines), "")
        found = list(folder.images(ROWS, str(tmp_path), work=tmp_path))
        assert [p.row_id for p in found] == [r.id for r in ROWS]
        assert [p.data for p in found] == data
        assert [p.sha256 for p in found] == [line["sha256"] for line in lines]
        assert [p.extension for p in found] == [".png", ".jpg", ".webp"]
        assert [p.license for p in found] == ["CC0-1.0"] * 3
        assert [p.origin for p in found] == ["a museum", *(f"folder:{tmp_path.name}/{n}" for n in names[1:])]

    def test_rows_without_an_image_are_left_out(self, tmp_path: Path) -> None:
        write_manifest(tmp_path, listed(tmp_path, "a.png", ROWS[1], image_file(0)))
        assert [p.row_id for p in folder.images(ROWS, str(tmp_path), work=tmp_path)] == [ROWS[1].id]

    def test_exif_is_removed_and_its_rotation_applied(self, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[0x0112], exif[0x010E] = 6, "taken at home"  # orientation: rotate by 270°; description
        data = image_file(0, "JPEG", exif=exif)
        line = listed(tmp_path, "a.jpg", ROWS[0], data)
        write_manifest(tmp_path, line)
        (found,) = folder.images(ROWS, str(tmp_path), work=tmp_path)
        assert b"taken at home" in data
        assert b"taken at home" not in found.data
        assert found.extension == ".png"
        assert found.sha256 != line["sha256"]
        assert found.sha256 == hashlib.sha256(found.data).hexdigest()
        assert (pixels(found.data) == np.rot90(pixels(data), k=-1)).all()

    @pytest.mark.parametrize("place", ["text", "comment", "xmp", "behind the pixels", "bmp", "frames"])
    def test_whatever_else_is_not_pixels_goes_too(self, tmp_path: Path, place: str) -> None:
        secret = "a prompt that nobody should publish"
        text = PngImagePlugin.PngInfo()
        text.add_text("parameters", secret)
        body = b"tEXtparameters\0" + secret.encode()
        chunk = (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
        other = Image.fromarray(pixels(image_file(9)))
        data = {
            "text": lambda: image_file(0, pnginfo=text),
            "comment": lambda: image_file(0, "JPEG", comment=secret.encode()),
            "xmp": lambda: image_file(0, "WEBP", lossless=True, xmp=secret.encode()),
            "behind the pixels": lambda: image_file(0)[:-12] + chunk + image_file(0)[-12:],
            "bmp": lambda: image_file(0, "BMP"),
            "frames": lambda: image_file(0, "WEBP", lossless=True, save_all=True, append_images=[other]),
        }[place]()
        assert place in ("bmp", "frames") or secret.encode() in data
        write_manifest(tmp_path, listed(tmp_path, "a.png", ROWS[0], data))
        (found,) = folder.images(ROWS, str(tmp_path), work=tmp_path)
        assert secret.encode() not in found.data
        assert found.data.startswith(b"\x89PNG")
        assert (pixels(found.data) == pixels(data)).all()

    @pytest.mark.parametrize(
        ("error", "message", "change"),
        [
            (MetadataError, "line 2: .*outside", {"file_name": "../a.png"}),
            (MetadataError, "line 2: .*outside", {"file_name": "below/../../a.png"}),
            (MetadataError, "line 2: .*outside", {"file_name": "/etc/hostname"}),
            (MetadataError, "line 2: .*outside", {"file_name": "..\\a.png"}),
            (MetadataError, "line 2: file_name", {"file_name": None}),
            (MetadataError, "line 2: file_name", {"file_name": ""}),
            (MetadataError, "line 2: file_name", {"file_name": 7}),
            (MetadataError, "line 2: id", {"id": None}),
            (MetadataError, "line 2: sha256", {"sha256": "abc"}),
            (MetadataError, "line 2: licence", {"licence": "CC0-1.0"}),
            (LicenseError, "line 2", {"license": None}),
            (LicenseError, "line 2", {"license": " "}),
            (LicenseError, "line 2", {"license": "Unknown"}),
            (UnknownIdError, "line 2: id '0000000000000000'", {"id": "0" * 16}),
            (DuplicateIdError, "line 2: .*line 1", {"id": ROWS[0].id}),
            (DuplicateIdError, "line 2: .*line 1", {"file_name": "a.png"}),
            (DuplicateIdError, "line 2: .*line 1", {"file_name": "./a.png"}),
        ],
    )
    def test_a_bad_line_is_refused_before_any_image(
        self, tmp_path: Path, error: type[Exception], message: str, change: dict[str, Any]
    ) -> None:
        good = listed(tmp_path, "a.png", ROWS[0], image_file(0))
        write_manifest(tmp_path, good, listed(tmp_path, "b.png", ROWS[1], image_file(1), **change))
        with pytest.raises(error, match=message):
            folder.images(ROWS, str(tmp_path), work=tmp_path)

    @pytest.mark.parametrize("text", ["{", "[]", "null", "file_name,id"])
    def test_a_line_that_is_no_object_is_refused(self, tmp_path: Path, text: str) -> None:
        write_manifest(tmp_path, listed(tmp_path, "a.png", ROWS[0], image_file(0)), text)
        with pytest.raises(MetadataError, match="line 2"):
            folder.images(ROWS, str(tmp_path), work=tmp_path)

    def test_a_link_out_of_the_folder_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        line = listed(tmp_path, "secret.png", ROWS[0], image_file(0))
        (tmp_path / "in" / "a.png").symlink_to(tmp_path / "secret.png")
        write_manifest(tmp_path / "in", line | {"file_name": "a.png"})
        with pytest.raises(MetadataError, match="outside"):
            folder.images(ROWS, str(tmp_path / "in"), work=tmp_path)

    @pytest.mark.parametrize(
        ("error", "harm"),
        [
            (MissingImageError, lambda path: path.unlink()),
            (ChecksumError, lambda path: path.write_bytes(image_file(5))),
        ],
    )
    def test_a_file_that_is_not_the_one_listed(
        self, tmp_path: Path, error: type[Exception], harm: Callable[[Path], None]
    ) -> None:
        write_manifest(tmp_path, listed(tmp_path, "a.png", ROWS[0], image_file(0)))
        harm(tmp_path / "a.png")
        with pytest.raises(error, match=r"a\.png"):
            list(folder.images(ROWS, str(tmp_path), work=tmp_path))

    @pytest.mark.parametrize("data", [b"", b"no image", image_file(0)[:-20]])
    def test_a_file_that_cannot_be_decoded(self, tmp_path: Path, data: bytes) -> None:
        write_manifest(tmp_path, listed(tmp_path, "a.png", ROWS[0], data))
        with pytest.raises(CorruptImageError, match=r"a\.png"):
            list(folder.images(ROWS, str(tmp_path), work=tmp_path))

    def test_no_manifest_an_empty_one_no_text_and_no_folder(self, tmp_path: Path) -> None:
        with pytest.raises(MetadataError, match=r"no manifest\.jsonl"):
            folder.images(ROWS, str(tmp_path), work=tmp_path)
        write_manifest(tmp_path, "")
        with pytest.raises(EmptyInputError):
            folder.images(ROWS, str(tmp_path), work=tmp_path)
        (tmp_path / "manifest.jsonl").write_bytes(b"\xff\xfe")
        with pytest.raises(MetadataError, match="UTF-8"):
            folder.images(ROWS, str(tmp_path), work=tmp_path)
        with pytest.raises(InputError, match="needs a folder"):
            folder.images(ROWS, "", work=tmp_path)

    def test_no_image_for_the_domain_of_prompts_only(self, tmp_path: Path) -> None:
        rows = [next(forget_rows(concept("nsfw/violence")))]
        write_manifest(tmp_path, listed(tmp_path, "a.png", rows[0], image_file(0)))
        with pytest.raises(PolicyError, match=rows[0].id):
            folder.images([*ROWS, *rows], str(tmp_path), work=tmp_path)


@pytest.mark.parametrize("text", [None, "", "unknown", " N/A", "other", 3])
def test_a_word_for_no_licence_is_none(text: object) -> None:
    with pytest.raises(LicenseError, match=r"b\.png"):
        known_license(text, "b.png")


IMAGENETTE = (
    "tench",
    "English springer",
    "cassette player",
    "chain saw",
    "church",
    "French horn",
    "garbage truck",
    "gas pump",
    "golf ball",
    "parachute",
)
ARTISTS = ("Unknown Artist", "claude-monet", "marc-chagall", "vincent-van-gogh", "rembrandt", "juan-gris")
GENRES = ("landscape", "nude_painting", "Unknown Genre")
STYLES = ("Analytical_Cubism", "Art_Nouveau", "Baroque", "Cubism", "Impressionism", "Synthetic_Cubism")


def parquet(path: Path, rows: dict[str, list[Any]], features: dict[str, Any]) -> None:
    """A Parquet file with embedded images and the features in its schema, as on the Hub."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = rows | {"image": [d and {"bytes": d, "path": None} for d in rows["image"]]}
    datasets.Dataset.from_dict(rows, features=datasets.Features(features)).to_parquet(path)


def imagenette(where: Path, names: tuple[str, ...] = IMAGENETTE, **more: list[Any]) -> Path:
    """The layout of the Hub's conversion of frgfm/imagenette; ten images for training, two for testing."""
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=list(names))}
    features |= {k: datasets.Value("string") for k in more}
    for size in (160, 320):
        train = {"image": [image_file(size + i, "JPEG") for i in range(10)], "label": list(range(10)), **more}
        parquet(where / f"{size}px/train/0000.parquet", train, features)
        test = {"image": [image_file(size + i, "JPEG") for i in (20, 21)], "label": [4, 4]}
        parquet(where / f"{size}px/validation/0000.parquet", test | {k: v[:2] for k, v in more.items()}, features)
    return where


def wikiart(where: Path, rows: list[tuple[str, str, str]]) -> Path:
    """The layout of huggan/wikiart: one split, three class columns."""
    names = {"artist": ARTISTS, "genre": GENRES, "style": STYLES}
    columns: dict[str, list[Any]] = {
        name: [names[name].index(row[at]) for row in rows] for at, name in enumerate(names)
    }
    columns["image"] = [image_file(1000 + i, "JPEG") for i in range(len(rows))]
    features = {"image": datasets.Image(), **{k: datasets.ClassLabel(names=list(v)) for k, v in names.items()}}
    parquet(where / "data/train-00000-of-00001.parquet", columns, features)
    return where


class TestHubDataset:
    def test_every_imagenette_class_is_a_concept(self, tmp_path: Path) -> None:
        spec = f"imagenette:{imagenette(tmp_path / 'copy')}"
        assert hub_dataset.labels(spec) == IMAGENETTE
        found = list(hub_dataset.labelled(spec, split="train"))
        assert [x.label for x in found] == list(IMAGENETTE)
        assert [x.concept for x in found] == [f"object/{n.lower().replace(' ', '-')}" for n in IMAGENETTE]
        assert [x.data for x in found] == [image_file(320 + i, "JPEG") for i in range(10)]
        assert {x.extension for x in found} == {".jpg"}
        assert all("ImageNet terms" in x.license and "Howard" in x.source for x in found)
        assert len({x.origin for x in found}) == 1
        assert found[0].origin.startswith("hub-dataset:copy@sha256:")
        test = list(hub_dataset.labelled(spec, split="test"))
        assert [(x.label, x.data) for x in test] == [("church", image_file(340 + i, "JPEG")) for i in (0, 1)]

    def test_wordnet_names_map_too(self) -> None:
        ids = ["n01440764", "n02102040", "n02979186", "n03000684", "n03028079"]
        ids += ["n03394916", "n03417042", "n03425413", "n03445777", "n03888257"]
        wanted = [f"object/{n.lower().replace(' ', '-')}" for n in IMAGENETTE]
        assert list(hub_dataset.concepts("object", ids).values()) == wanted

    def test_a_licence_column_counts_and_must_be_filled(self, tmp_path: Path) -> None:
        good = imagenette(tmp_path / "good", license=["CC0-1.0"] * 10)
        assert {x.license for x in hub_dataset.labelled(f"imagenette:{good}", split="train")} == {"CC0-1.0"}
        bad = imagenette(tmp_path / "bad", license=["CC0-1.0", None, *["CC0-1.0"] * 8])
        with pytest.raises(LicenseError, match=r"train, row 1:"):
            list(hub_dataset.labelled(f"imagenette:{bad}", split="train"))

    def test_wikiart_gives_known_licences_only_and_no_nudes(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        rows = [
            ("vincent-van-gogh", "landscape", "Impressionism"),
            ("marc-chagall", "landscape", "Cubism"),  # died in 1985
            ("Unknown Artist", "landscape", "Art_Nouveau"),
            ("rembrandt", "nude_painting", "Baroque"),
            ("juan-gris", "Unknown Genre", "Synthetic_Cubism"),
            ("claude-monet", "landscape", "Impressionism"),
        ]
        where = wikiart(tmp_path / "wikiart", rows)

        def both(spec: str) -> list[tuple[str, str | None, str]]:
            found = [x for split in ("train", "test") for x in hub_dataset.labelled(spec, split=split)]
            return sorted((x.label, x.concept, x.license) for x in found)

        with caplog.at_level(logging.WARNING):
            by_painter = both(f"wikiart:{where}")
        died = "public domain (painter died in {})"
        assert by_painter == [
            ("claude-monet", "style/monet", died.format(1926)),
            ("juan-gris", None, died.format(1927)),
            ("vincent-van-gogh", "style/van-gogh", died.format(1890)),
        ]
        assert "(unknown licence)" in caplog.text
        assert "1 (genre nude_painting)" in caplog.text
        assert hub_dataset.labels(f"wikiart:{where}") == ARTISTS
        assert [(a, b) for a, b, _ in both(f"wikiart-style:{where}")] == [
            ("Impressionism", "style/impressionism"),
            ("Impressionism", "style/impressionism"),
            ("Synthetic_Cubism", "style/cubism"),
        ]

    def test_the_real_class_names_find_their_concepts(self) -> None:
        painters = hub_dataset.concepts("style", [*licenses(), "Unknown Artist", "salvador-dali"])
        slugs = """cezanne degas gauguin goya hokusai klimt leonardo-da-vinci manet michelangelo monet munch rembrandt
            renoir seurat turner van-gogh""".split()
        assert sorted(c for c in painters.values() if c) == [f"style/{s}" for s in slugs]
        assert hub_dataset.concepts("style", ["EDVARD_MÜNCH"]) == {"EDVARD_MÜNCH": "style/munch"}
        assert {k: v for k, v in hub_dataset.concepts("style", STYLES).items() if v} == {
            "Analytical_Cubism": "style/cubism",
            "Art_Nouveau": "style/art-nouveau",
            "Cubism": "style/cubism",
            "Impressionism": "style/impressionism",
            "Synthetic_Cubism": "style/cubism",
        }

    def test_one_split_is_divided_without_overlap_or_loss(self, tmp_path: Path) -> None:
        where = wikiart(tmp_path / "wikiart", [("rembrandt", "landscape", "Baroque")] * 60)
        spec = f"wikiart:{where}"
        train = {x.data for x in hub_dataset.labelled(spec, split="train")}
        test = {x.data for x in hub_dataset.labelled(spec, split="test")}
        assert not train & test
        assert train | test == {image_file(1000 + i, "JPEG") for i in range(60)}
        assert 0 < len(test) < 20

    def test_nothing_with_a_licence_is_an_error(self, tmp_path: Path) -> None:
        where = wikiart(tmp_path / "wikiart", [("marc-chagall", "landscape", "Cubism")] * 20)
        with pytest.raises(LicenseError, match="no image"):
            list(hub_dataset.labelled(f"wikiart:{where}", split="train"))

    def test_metadata_is_removed_from_images(self, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[0x010E] = "taken at home"
        features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["church"])}
        data = image_file(0, "JPEG", exif=exif)
        for split in ("train", "test"):
            parquet(tmp_path / f"{split}.parquet", {"image": [data], "label": [0]}, features)
        (found,) = hub_dataset.labelled(f"imagenette:{tmp_path}", split="train")
        assert b"taken at home" not in found.data
        assert (pixels(found.data) == pixels(data)).all()

    def test_bad_rows_and_columns(self, tmp_path: Path) -> None:
        label = datasets.ClassLabel(names=["church"])
        for name, images in (("broken", [image_file(0)[:-20]]), ("none", [None])):
            features = {"image": datasets.Image(), "label": label}
            for split in ("train", "test"):
                parquet(tmp_path / name / f"{split}.parquet", {"image": images, "label": [0]}, features)
        with pytest.raises(CorruptImageError, match="train, row 0"):
            list(hub_dataset.labelled(f"imagenette:{tmp_path / 'broken'}", split="train"))
        with pytest.raises(MetadataError, match="train, row 0: holds no image"):
            list(hub_dataset.labelled(f"imagenette:{tmp_path / 'none'}", split="train"))
        features = {"image": datasets.Image(), "label": datasets.Value("int64")}
        parquet(tmp_path / "plain" / "train.parquet", {"image": [image_file(0)], "label": [0]}, features)
        with pytest.raises(MetadataError, match="needs an image 'image' and classes 'label'"):
            hub_dataset.labels(f"imagenette:{tmp_path / 'plain'}")

    def test_what_cannot_be_opened_says_why(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(UnknownSourceError, match="did you mean 'imagenette'"):
            hub_dataset.labels("imagenete")
        with pytest.raises(InputError, match="no folder"):
            hub_dataset.labels(f"imagenette:{tmp_path / 'nothing'}")
        (tmp_path / "empty").mkdir()
        with pytest.raises(InputError, match="cannot be opened"):
            hub_dataset.labels(f"imagenette:{tmp_path / 'empty'}")
        where = imagenette(tmp_path / "copy")
        with pytest.raises(InputError, match="not sha256:0"):
            hub_dataset.labels(f"imagenette:{where}@sha256:0")
        with pytest.raises(InputError, match="split 'validation'"):
            next(hub_dataset.labelled(f"imagenette:{where}", split="validation"))
        # datasets reads a folder of the same name before it asks the Hub
        (tmp_path / "frgfm" / "imagenette").mkdir(parents=True)
        monkeypatch.chdir(tmp_path)
        with pytest.raises(InputError, match="would be read instead of the Hub"):
            hub_dataset.labels("imagenette")

    def test_every_collection_is_pinned_to_a_commit(self) -> None:
        for collection in COLLECTIONS.values():
            assert len(collection.revision) == 40
            int(collection.revision, 16)
