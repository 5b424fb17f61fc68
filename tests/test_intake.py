"""What comes in broken is a typed error in one line: files of every kind, lists that are none, labels misspelt."""

from __future__ import annotations

import csv
import inspect
import io
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import torch
from drawn import draw, read_metadata
from PIL import Image
from tiny import sample_images, tiny_clip
from tiny_diffusion import tiny_pipeline

import igmu_metrics
from igmu_data.errors import ChecksumError, CorpusError, CorruptImageError, IgmuError, InputError, UnknownLabelError
from igmu_data.load import bench_rows, load_bench, locate
from igmu_data.schema import Row, row_id
from igmu_data.spelling import require_spelled, same_prompt
from igmu_data.validate import problems
from igmu_metrics import registry
from igmu_metrics.detectors import labels
from igmu_metrics.detectors._head_file import read_facts
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.images.files import as_rgb, decode_image
from igmu_metrics.images.folder import Folder
from igmu_metrics.images.pipelines import find_pipeline
from igmu_metrics.networks.loading import load_state
from igmu_metrics.spaces import compute

_CONFIG: Final = "sandbox.church"
_Change = Callable[[bytes], bytes]

# ---------------------------------------------------------------------------------------------------- damaged images


def _file(kind: str, size: int = 256, **options: Any) -> bytes:
    image = sample_images(1, size)[0]
    out = io.BytesIO()
    (image.quantize(64) if kind == "GIF" else image).save(out, kind, **options)
    return out.getvalue()


WHOLE: Final[dict[str, bytes]] = {
    "JPEG": _file("JPEG"),
    "JPEG of best quality": _file("JPEG", quality=100, subsampling=0, optimize=True),
    "JPEG with restarts": _file("JPEG", restart_marker_rows=1),
    "progressive JPEG": _file("JPEG", progressive=True),
    "WebP": _file("WEBP", quality=95),
    "lossless WebP": _file("WEBP", lossless=True),
    "PNG": _file("PNG"),
    "GIF": _file("GIF"),
    "TIFF": _file("TIFF", compression="tiff_adobe_deflate"),
}
_MIDDLE: Final[dict[str, _Change]] = {
    "zeros to the end": lambda b: b[:700] + bytes(len(b) - 700),
    "zeros up to the end marker": lambda b: b[:700] + bytes(len(b) - 702) + b[-2:],
    "a page of zeros": lambda b: b[: len(b) // 2] + bytes(2048) + b[len(b) // 2 + 2048 :],
    "half": lambda b: b[: len(b) // 2],
    "all but the end": lambda b: b[:-2],
    "half with the end marker": lambda b: b[: len(b) // 2] + b[-2:],
}
# All scans have begun, and the last bits of some coefficients are missing: an image a little coarser, that shows all.
_UNSEEN: Final = {("progressive JPEG", "half with the end marker")}


@pytest.mark.parametrize("what", WHOLE)
def test_a_whole_image_is_read(what: str) -> None:
    assert decode_image(WHOLE[what], name="x").size == (256, 256)
    trailing = WHOLE[what] + b"\0" * 600  # other programs append what they like
    assert decode_image(trailing, name="x").tobytes() == decode_image(WHOLE[what], name="x").tobytes()


@pytest.mark.parametrize("how", _MIDDLE)
@pytest.mark.parametrize("what", WHOLE)
def test_a_damaged_image_is_refused(what: str, how: str, tmp_path: Path) -> None:
    damaged = _MIDDLE[how](WHOLE[what])
    if (what, how) in _UNSEEN:
        pytest.skip("its structure does not show it")
    with pytest.raises(CorruptImageError, match=r"^some/x\.png(:| cannot be decoded) .*Generate or copy it again"):
        decode_image(damaged, name="some/x.png")


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "1", "P", "RGBA"])
@pytest.mark.parametrize("colour", [0, 255])
def test_flat_images_are_no_damaged_ones(mode: str, colour: int) -> None:
    """Their data are long runs of the same bits."""
    for size in ((1, 1), (7, 33), (512, 512), (2048, 1024)):
        image = Image.new("L", size, colour).convert(mode)
        ways: list[tuple[str, dict[str, Any]]] = [("TIFF", {"compression": "packbits"})]
        if mode in ("RGB", "L", "CMYK"):
            ways += [("JPEG", {"progressive": p, "optimize": True, "quality": q}) for p in (0, 1) for q in (5, 95)]
        if mode in ("RGB", "L", "RGBA"):
            ways += [("WEBP", {}), ("WEBP", {"lossless": True}), ("WEBP", {"quality": 100})]
        if mode != "CMYK":
            ways += [("PNG", {}), ("GIF", {})]
        for kind, options in ways:
            out = io.BytesIO()
            image.save(out, kind, **options)
            assert decode_image(out.getvalue(), name="x").size == size


def _chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


@pytest.mark.parametrize("interlaced", [0, 1])
def test_a_png_whose_rows_are_missing_is_refused(interlaced: int) -> None:
    """Every checksum is right, and the compressed data end as they should, only too early."""
    head = (64).to_bytes(4, "big") * 2 + bytes((8, 0, 0, 0, interlaced))

    def png(n: int) -> bytes:
        data = zlib.compress(b"\0" * n)
        return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")

    whole = 64 * 65 if not interlaced else 8 * 9 + 8 * 9 + 8 * 17 + 16 * 17 + 16 * 33 + 32 * 33 + 32 * 65
    assert decode_image(png(whole), name="x").size == (64, 64)
    with pytest.raises(CorruptImageError, match="rows are missing"):
        decode_image(png(whole - 65), name="x")


def test_an_image_that_somebody_opened_is_held_to_its_file(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(_MIDDLE["zeros up to the end marker"](WHOLE["JPEG"]))
    with Image.open(path) as image, pytest.raises(CorruptImageError, match="before the image is complete"):
        as_rgb(image)
    path.write_bytes(WHOLE["JPEG"])
    with Image.open(path) as image:
        assert as_rgb(image).tobytes() == decode_image(WHOLE["JPEG"], name="x").tobytes()
    with Image.open(path) as image:
        image.draft("RGB", (64, 64))
        assert as_rgb(image).size == image.size == (64, 64)


# ------------------------------------------------------------------------------------------------ files of other kinds


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("intake") / "images"
    draw(out, [r for r in bench_rows(_CONFIG).values() if r.split == "forget"][:4])
    return out


@pytest.fixture
def images(drawn: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(drawn, tmp_path / "images"))


def _folders(images: Path) -> None:
    evaluation = Evaluation(_CONFIG, detector=f"labels:{images / 'labels.csv'}", cache=False)
    list(evaluation.run(images / "original", [images / "forgetful"]))


def _lists(images: Path) -> None:
    named = read_metadata(images / "original")
    igmu_metrics.score(
        "forget_score",
        images=[str(images / "forgetful" / line["file_name"]) for line in named],
        row_ids=[line["id"] for line in named],
        original_images=[str(images / "original" / line["file_name"]) for line in named],
        config=_CONFIG,
        detector=f"labels:{images / 'labels.csv'}",
    )


def _with(**fields: Any) -> _Change:
    def change(data: bytes) -> bytes:
        first, rest = data.split(b"\n", 1)
        return json.dumps(json.loads(first) | fields).encode() + b"\n" + rest

    return change


METADATA: Final[dict[str, _Change]] = {
    "Latin-1": lambda b: b.replace(b'"seed"', b'"x": "caf\xe9", "seed"'),
    "UTF-16": lambda b: b.decode().encode("utf-16"),
    "bytes of zero": lambda b: bytes(100) + b,
    "zero in a name": _with(file_name="forget/a\0b.png"),
    "half a pair in a name": _with(file_name="forget/\ud800.png"),
    "half a pair in the model": _with(model="\ud800"),
    "an endless name": _with(file_name="a" * 5000),
    "seed 1e30": _with(seed=1e30),
    "a seed of 5000 digits": lambda b: b.replace(b'"seed": ', b'"seed": ' + b"9" * 5000, 1),
    "nested without end": lambda b: b"[" * 100_000 + b"\n" + b,
}


@pytest.mark.parametrize("entry", [_folders, _lists])
@pytest.mark.parametrize("how", METADATA)
def test_broken_metadata(how: str, entry: Callable[[Path], None], images: Path) -> None:
    path = images / "forgetful" / "metadata.jsonl"
    path.write_bytes(METADATA[how](path.read_bytes()))
    _refused(lambda: entry(images), "metadata.jsonl")


@pytest.mark.parametrize("how", [h for h in METADATA if h not in ("seed 1e30", "an endless name")])
def test_broken_metadata_of_a_folder_that_is_generated_into(how: str, images: Path) -> None:
    path = images / "forgetful" / "metadata.jsonl"
    path.write_bytes(METADATA[how](path.read_bytes()))
    _refused(lambda: Folder.open(images / "forgetful", {"model": "m"}, {}), "metadata.jsonl")


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _circle(path: Path) -> None:
    path.symlink_to(path.name)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("entry", [_folders, _lists])
@pytest.mark.parametrize("what", ["image", "labels"])
@pytest.mark.parametrize("place", [_pipe, _circle, _device, Path.mkdir])
def test_no_file_where_one_is_read(
    place: Callable[[Path], None], what: str, entry: Callable[[Path], None], images: Path
) -> None:
    name = read_metadata(images / "forgetful")[0]["file_name"]
    path = images / ("labels.csv" if what == "labels" else f"forgetful/{name}")
    path.unlink()
    place(path)
    _refused(lambda: entry(images), path.name)


@pytest.mark.parametrize("place", [_pipe, _circle, _device])
def test_a_flat_folder_leaves_nothing_out_in_silence(place: Callable[[Path], None], tmp_path: Path) -> None:
    for model in ("original", "unlearned"):
        (tmp_path / model).mkdir()
        for k in range(3):
            Image.new("RGB", (32, 32), (k, 90, 90)).save(tmp_path / model / f"{k}.png")
        (tmp_path / model / "2.png").unlink()
        place(tmp_path / model / "2.png")
    (tmp_path / "labels.csv").write_text("path,present\n" + "".join(f"original/{k}.png,yes\n" for k in range(3)))
    evaluation = Evaluation(_CONFIG, layout="flat", detector=f"labels:{tmp_path / 'labels.csv'}", cache=False)
    _refused(lambda: list(evaluation.run(tmp_path / "original", [tmp_path / "unlearned"])), "2.png")


BROKEN: Final[dict[str, _Change]] = {
    "cut off": lambda b: b[: len(b) // 2],
    "empty": lambda b: b"",
    "a list": lambda b: b"[]",
    "a number": lambda b: b"5",
    "null": lambda b: b"null",
    "Latin-1": lambda b: b'{"x": "caf\xe9"}',
    "zeros": lambda b: bytes(200),
    "nested without end": lambda b: b"[" * 100_000,
    "a web page": lambda b: b"<html>",
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    out = tmp_path_factory.mktemp("models")
    return {"clip": tiny_clip(out / "clip"), "pipeline": tiny_pipeline(out / "sd")}


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize(
    ("model", "file"),
    [
        ("clip", "model.safetensors"),
        ("clip", "config.json"),
        ("clip", "preprocessor_config.json"),
        ("clip", "tokenizer_config.json"),
        ("pipeline", "model_index.json"),
        ("pipeline", "scheduler/scheduler_config.json"),
        ("pipeline", "unet/diffusion_pytorch_model.safetensors"),
    ],
)
@pytest.mark.slow
def test_broken_models(model: str, file: str, how: str, models: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(models[model], tmp_path / "model"))
    (folder / file).write_bytes(BROKEN[how]((folder / file).read_bytes()))
    if model == "clip":
        _refused(lambda: registry.backbone(f"clip:{folder}", device="cpu"))
    else:
        _refused(lambda: find_pipeline(str(folder), device="cpu").load())


@pytest.mark.filterwarnings("ignore:Validating sparse tensor invariants")
@pytest.mark.parametrize(
    ("what", "change"),
    [("complex", lambda t: t.to(torch.complex64)), ("sparse", lambda t: t.to_sparse())],
)
def test_tensors_that_are_no_weights(what: str, change: Callable[[torch.Tensor], torch.Tensor], tmp_path: Path) -> None:
    torch.save({"classifier.0.weight": change(torch.ones(2, 2))}, tmp_path / "x.pth")
    with pytest.raises(IgmuError, match=f"classifier.0.weight is a {what} tensor"):
        load_state(tmp_path / "x.pth")


@pytest.mark.parametrize("how", BROKEN)
def test_a_damaged_pth_is_told_in_one_line(how: str, tmp_path: Path) -> None:
    torch.save({"a": torch.ones(50, 50)}, tmp_path / "x.pth")
    (tmp_path / "x.pth").write_bytes(BROKEN[how]((tmp_path / "x.pth").read_bytes()))
    _refused(lambda: load_state(tmp_path / "x.pth"), "x.pth")


def _refused(call: Callable[[], object], names: str = "") -> None:
    with pytest.raises(IgmuError) as caught:
        call()
    told = str(caught.value)
    assert "\n" not in told
    assert names in told
    told.encode()  # what is no Unicode text could not be shown


# ------------------------------------------------------------------------------------------------------ the corpus


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    return Path(shutil.copytree(locate(_CONFIG), tmp_path / "bench"))


def _parquet(bench: Path) -> Path:
    return next(bench.glob("sandbox/church/forget-*"))


def _edit(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    rows = table.to_pylist()
    pq.write_table(pa.Table.from_pylist([change(rows[0]), *rows[1:]], schema=table.schema), path)


def _own_id(record: dict[str, Any]) -> dict[str, Any]:
    return record | {"id": row_id({**record, "prompt": "a lighthouse"}), "prompt": "a lighthouse"}


def _read_rows(bench: Path) -> object:
    return bench_rows(_CONFIG, bench=bench)


def _load(bench: Path) -> object:
    return load_bench(_CONFIG, bench=bench)


def test_edited_prompts_are_no_corpus(bench: Path) -> None:
    _edit(_parquet(bench), lambda record: record | {"prompt": "a lighthouse"})
    with pytest.raises(CorpusError, match="has been changed; its id would now be"):
        bench_rows(_CONFIG, bench=bench)


@pytest.mark.parametrize("read", [_read_rows, _load])
def test_the_manifest_tells_of_edited_prompts_whose_ids_are_their_own(
    read: Callable[[Path], object], bench: Path
) -> None:
    _edit(_parquet(bench), _own_id)
    with pytest.raises(ChecksumError, match=r"does not match manifest\.json \(its content differs\)"):
        read(bench)


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize("file", ["manifest.json", "rows"])
def test_broken_files_of_a_corpus(file: str, how: str, bench: Path) -> None:
    path = _parquet(bench) if file == "rows" else bench / file
    path.write_bytes(BROKEN[how](path.read_bytes()))
    _refused(lambda: bench_rows(_CONFIG, bench=bench), path.name)


def test_prompts_that_differ_in_case_blanks_or_form_alone_are_one() -> None:
    row = next(r for r in bench_rows(_CONFIG).values() if r.split == "forget")
    again = row.model_dump() | {"prompt": f"  {row.prompt.upper()}\u00a0"}
    found = [str(p) for p in problems([row, Row(**again | {"id": row_id(again)})])]
    assert any("the prompts of a concept must differ" in p for p in found)
    assert same_prompt("Cafe\u0301  \uff23hurch") == same_prompt("caf\u00e9 church")


@pytest.mark.parametrize("entry", ["score", "Space"])
def test_one_prompt_however_it_is_written(entry: str, models: dict[str, Path]) -> None:
    """Six images of one prompt are one prompt's evidence."""
    texts = ["a church", "A church", "a  church ", "a\u00a0church", "\uff41 church", "A CHURCH"]
    given = sample_images(6, 32)
    how = {"backbone": f"clip:{models['clip']}", "device": "cpu"}
    if entry == "score":
        assert igmu_metrics.score("clip_alignment", images=given, prompts=texts, **how).n_prompts == 1
    else:
        assert compute("clip_alignment", given, texts, **how)["n_prompts"] == 1


# ------------------------------------------------------------------------------------------------------------- labels

_ASKED: Final = ["object/church", "object/church", "object/cat", "style/monet"]


@pytest.mark.parametrize("argument", ["predictions", "references", "original_predictions", "near", "target"])
@pytest.mark.parametrize("label", ["Object/Church", "object/curch", "object/chruch", "object/ church"])
@pytest.mark.parametrize("entry", ["score", "Space"])
def test_a_misspelt_label_never_counts_as_forgotten(entry: str, label: str, argument: str) -> None:
    given: dict[str, Any] = {
        "predictions": list(_ASKED),
        "references": list(_ASKED),
        "original_predictions": list(_ASKED),
        "near": ["object/castle"],
        "target": "object/church",
    }
    if argument == "target":
        given[argument] = label
    else:
        given[argument][-1] = label
    call: Callable[..., Any] = igmu_metrics.score if entry == "score" else compute
    with pytest.raises(IgmuError, match=r"object/church|domain/concept"):
        call("concept_accuracy", **given)


def test_labels_of_other_classifiers_are_their_own() -> None:
    known = {"object/monkey", "object/house", "style/expressionism", "object/cat"}
    require_spelled("x", {"object/donkey", "object/horse", "style/impressionism", "object/cats", "object/none"}, known)
    for name in ("object/mon-key", "object/monkeys", "object/mokney"):
        with pytest.raises(UnknownLabelError, match=r"object/monkey'\?"):
            require_spelled("x", {name}, known)


def test_misspelt_labels_of_files(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    with (tmp_path / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "object/curch"], ["x.png", "yes"]])
    with pytest.raises(UnknownLabelError, match="object/church"):
        labels.load(str(tmp_path / "labels.csv"))
    told = {"format": "igmu-head", "concept": "object/curch", "present_class": "1"}
    save_file({"a": torch.ones(1)}, tmp_path / "head.safetensors", told)
    with pytest.raises(UnknownLabelError, match="object/church"):
        read_facts(tmp_path / "head.safetensors")


# --------------------------------------------------------------------------------------------------------------- lists

_N: Final = 4
_IDS: Final = ["a", "b", "c", "d"]
_GIVEN: Final[dict[str, dict[str, Any]]] = {
    "concept_accuracy": {
        "predictions": list(_ASKED),
        "references": list(_ASKED),
        "original_predictions": list(_ASKED),
        "ids": _IDS,
        "seeds": [0, 1, 2, 3],
        "image_ids": _IDS,
        "probes": ["direct", "direct", "near", "far"],
    },
    "attack_success_rate": {
        "ids": ["a", "a", "b", "b"],
        "seeds": [0, 1, 0, 1],
        "attack_families": ["leetspeak"] * _N,
        "present": [1, 0, 1, 0],
        "original_present": [1, 1, 1, 1],
        "budgets": [40] * _N,
    },
    "question_accuracy": {
        "answered": [1.0, 0.5, 0.0, 1.0],
        "original_answered": [1.0, 1.0, 0.5, 1.0],
        "ids": _IDS,
        "seeds": [0, 1, 2, 3],
    },
    "reward_alignment": {
        "rewards": [1.0, 0.5, 0.0, 1.0],
        "original_rewards": [1.0, 1.0, 0.5, 1.0],
        "ids": _IDS,
        "seeds": [0, 1, 2, 3],
    },
    "forget_score": {
        "ids": _IDS,
        "seeds": [0, 1, 2, 3],
        "splits": ["forget", "forget", "retain", "retain"],
        "probes": ["direct", "direct", "near", "far"],
        "own_concepts": ["object/church", "object/church", "object/castle", "object/cat"],
        "attack_families": ["-"] * _N,
        "present": [1, 0, 1, 0],
        "original_present": [1, 1, 1, 1],
        "features": [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.5, 1.0]],
        "original_features": [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.5, 1.0]],
    },
    "clip_alignment": {
        "features": [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.5, 1.0]],
        "text_features": [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.5, 1.0]],
        "ids": _IDS,
        "seeds": [0, 1, 2, 3],
    },
    "frechet": {
        "features": [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.5, 1.0]],
        "original_features": [[0.0, 1.0], [1.0, 0.5], [1.0, 1.0], [0.5, 1.0]],
        "ids": _IDS,
        "seeds": [0, 1, 2, 3],
        "original_ids": _IDS,
        "original_seeds": [0, 1, 2, 3],
    },
    "lpips": {
        "distances": [0.1, 0.2, 0.3, 0.4],
        "ids": _IDS,
        "seeds": [0, 1, 2, 3],
        "splits": ["forget", "forget", "retain", "retain"],
    },
}
_OTHERS: Final[dict[str, dict[str, Any]]] = {
    "concept_accuracy": {"target": "object/church"},
    "frechet": {"feature_name": "mine"},
}


def _columns(values: list[Any]) -> Any:
    import datasets

    return datasets.Dataset.from_dict({"x": values})["x"]


def _series(values: list[Any]) -> Any:
    import pandas as pd

    return pd.Series(values, index=range(7, 7 + len(values)))


def _generator(values: list[Any]) -> Iterator[Any]:
    return (value for value in values)


# What is another way of giving the same list, and what is no list.
SAME: Final[dict[str, Callable[[list[Any]], Any]]] = {
    "tuple": tuple,
    "array": np.array,
    "objects": lambda values: np.fromiter(values, dtype=object),
    "tensor": lambda values: torch.from_numpy(np.array(values)),
    "bfloat16": lambda values: torch.tensor(values, dtype=torch.bfloat16, requires_grad=True),
    "pandas": _series,
    "datasets": _columns,
}
NO_LIST: Final[dict[str, Callable[[list[Any]], Any]]] = {
    "text": lambda values: "abcd",
    "bytes": lambda values: b"abcd",
    "path": lambda values: Path("images"),
    "set": lambda values: {str(value) for value in values},
    "mapping": lambda values: dict(enumerate(values)),
    "keys": lambda values: dict.fromkeys(map(str, values)).keys(),
    "generator": _generator,
    "map": lambda values: map(str, values),
    "number": lambda values: 4,
    "array without length": lambda values: np.array(4.0),
    "too short": lambda values: values[:-1],
    "too long": lambda values: [*values, values[0]],
    "empty": lambda values: [],
}
_LISTS: Final = [(metric, argument) for metric, given in _GIVEN.items() for argument in given]


def test_every_list_argument_of_every_metric_is_here() -> None:
    """Of those that can be given alone; the others are pairs or sets of these."""
    pairs = {"source_ids", "plain_ids", "plain_seeds", "plain_present", "plain_original_present", "alignment"}
    pairs |= {"original_alignment", "stripped_text_features", "none_labels", "near"}
    assert set(_GIVEN) == set(registry.own("metrics"))
    for name, given in _GIVEN.items():
        takes = inspect.signature(registry.metric(name).rows).parameters  # type: ignore[attr-defined]
        kinds = ("Sequence", "Column", "ArrayLike", "Any", "Collection")
        lists = {n for n, p in takes.items() if any(kind in str(p.annotation) for kind in kinds)}
        if name == "clip_alignment":
            lists.discard("original_features")
        assert lists - pairs == given.keys(), name


@pytest.mark.parametrize(("metric", "argument"), _LISTS)
@pytest.mark.parametrize("kind", NO_LIST)
def test_what_is_no_list_is_refused(kind: str, metric: str, argument: str) -> None:
    given = _GIVEN[metric] | _OTHERS.get(metric, {})
    wrong = given | {argument: NO_LIST[kind](given[argument])}
    with pytest.raises(InputError):
        igmu_metrics.score(metric, **wrong)
    wrong[argument] = NO_LIST[kind](given[argument])
    with pytest.raises(InputError):
        registry.metric(metric).rows(**wrong)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("metric", "argument"), _LISTS)
@pytest.mark.parametrize("kind", SAME)
def test_other_kinds_of_lists_give_the_same_score(kind: str, metric: str, argument: str) -> None:
    given = _GIVEN[metric] | _OTHERS.get(metric, {})
    values = given[argument]
    flat = [v for row in values for v in (row if isinstance(row, list) else [row])]
    if kind in ("tensor", "bfloat16") and not all(isinstance(v, float | int) for v in flat):
        pytest.skip("tensors hold numbers")
    if kind == "bfloat16" and not argument.endswith("features"):
        pytest.skip("16 bits are for features")
    if kind == "objects" and isinstance(values[0], list):
        pytest.skip("a vector is no object")
    other = igmu_metrics.score(metric, **given | {argument: SAME[kind](values)})
    assert other.to_dict() == igmu_metrics.score(metric, **given).to_dict()


@pytest.mark.parametrize("argument", ["images", "row_ids", "original_images", "seeds"])
@pytest.mark.parametrize("kind", [k for k in NO_LIST if k != "empty"])
def test_lists_of_images(kind: str, argument: str, images: Path) -> None:
    named = read_metadata(images / "original")
    given: dict[str, Any] = {
        "images": [str(images / "forgetful" / line["file_name"]) for line in named],
        "row_ids": [line["id"] for line in named],
        "original_images": [str(images / "original" / line["file_name"]) for line in named],
        "seeds": [line["seed"] for line in named],
    }
    how = {"config": _CONFIG, "detector": f"labels:{images / 'labels.csv'}"}
    with pytest.raises(InputError):
        igmu_metrics.score("forget_score", **given | {argument: NO_LIST[kind](given[argument])}, **how)
    if argument == "images":
        with pytest.raises(InputError):
            compute("forget_score", NO_LIST[kind](given[argument]), given["row_ids"], **how)
