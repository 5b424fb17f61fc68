"""One defect at a time is planted in an unlearned model's images, and every way in has to refuse it or to name it.

A new way in is a line in `ENTRIES`, a new defect one in `DEFECTS`. Ray is slow, and has its own.
"""

from __future__ import annotations

import csv
import json
import os
import re
import warnings
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest
from drawn import copied, draw, read_metadata
from PIL import Image
from typer.testing import CliRunner

import igmu_metrics
from igmu_data.errors import IgmuError
from igmu_data.load import bench_rows
from igmu_metrics.cli import app
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.scale import cluster, shards
from igmu_metrics.scorecard import Scorecard
from igmu_metrics.spaces import compute

CONFIG: Final = "object.church"
_Line = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """Two models' images, and what a user who lists images himself would list."""

    evaluation: Evaluation
    original: Path
    unlearned: Path
    ids: list[str]
    before: list[str]
    after: list[str]

    @property
    def how(self) -> dict[str, Any]:
        given = {"config": CONFIG, "bench": self.evaluation.bench, "detector": self.evaluation.detector}
        layout = self.evaluation.layout  # "metadata" has to be said to nobody, and lists of images take no other
        return {k: v for k, v in given.items() if v} | ({"layout": layout} if layout != "metadata" else {})


def _told(cards: Iterable[Scorecard]) -> str:
    return "\n".join(note for card in cards for note in (*card.notes, *map(str, card.failures)))


def _python(job: Job) -> str:
    return _told(job.evaluation.run(job.original, [job.unlearned]))


def _shards(job: Job) -> str:
    out = job.unlearned.parent / "tables"
    for i in (1, 2):
        shards.look(job.evaluation, job.original, [job.unlearned], (i, 2), out)
    return _told(shards.merge(out))


def _command(job: Job) -> str:
    given = [word for name, value in job.how.items() for word in (f"--{name}", str(value))]
    out = job.unlearned.parent / "card.json"
    folders = ["--original", str(job.original), "--unlearned", str(job.unlearned)]
    done = CliRunner().invoke(app, ["score", *folders, *given, "--no-cache", "--verbose", "--out", str(out)])
    if done.exception is not None:
        raise done.exception
    return done.output


def _score(job: Job) -> str:
    lists = {"images": job.after, "row_ids": job.ids, "original_images": job.before}
    return "\n".join(igmu_metrics.score("forget_score", **lists, **job.how).notes)


def _space(job: Job) -> str:
    found = compute("forget_score", job.after, job.ids, original_predictions=job.before, **job.how)
    return str(found.get("notes", ""))


FOLDERS: Final = {"Evaluation": _python, "igmu score": _command, "shards and merge": _shards}


def _ray(job: Job) -> str:
    """In a session of Ray that all cases share, and that ends with the process."""
    ray = pytest.importorskip("ray")
    tables = job.unlearned.parent / "tables"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Ray, about its own parts
        if not ray.is_initialized():
            os.environ.setdefault("RAY_worker_niceness", "0")  # a busy machine would starve them
            ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        return _told(cluster.run(job.evaluation, job.original, [job.unlearned], tables, workers=1))


RAY: Final = {"Ray": _ray}
LISTS: Final = {"igmu_metrics.score": _score, "Space": _space}
ENTRIES: Final = FOLDERS | LISTS
EVERY: Final = ENTRIES | RAY


def _images(job: Job, share: int = 3) -> list[Path]:
    return sorted((job.unlearned / "forget").glob("*.png"))[::share]


def _each(job: Job, change: Callable[[Image.Image], Image.Image], every: int = 1) -> None:
    for path in sorted(job.unlearned.rglob("*.png"))[::every]:
        change(Image.open(path)).save(path)


def _lines(job: Job, change: Callable[[list[_Line]], list[_Line] | None]) -> None:
    lines = read_metadata(job.unlearned)
    text = "".join(json.dumps(line) + "\n" for line in change(lines) or lines)
    (job.unlearned / "metadata.jsonl").write_text(text)


def _all(name: str, value: Any, *, some: bool = False) -> Callable[[Job], None]:
    """Writes one field of every line, or of the first."""

    def change(lines: list[_Line]) -> None:
        for line in lines[:1] if some else lines:
            line[name] = value

    return lambda job: _lines(job, change)


def _swap_ids(lines: list[_Line]) -> None:
    one = lines[0]
    other = next(line for line in lines if line["id"] != one["id"] and line["seed"] != one["seed"])
    one["file_name"], other["file_name"] = other["file_name"], one["file_name"]
    for line in (one, other):
        line["prompt"] = "a lighthouse at night"


def _without_seed(lines: list[_Line]) -> None:
    del lines[0]["seed"]


def _two_models(lines: list[_Line]) -> None:
    for at, line in enumerate(lines):
        line["model"] = "esd" if at % 2 else "uce"


def _other_steps(job: Job) -> None:
    _all("steps", 20)(job)
    lines = read_metadata(job.original)
    text = "".join(json.dumps(line | {"steps": 50}) + "\n" for line in lines)
    (job.original / "metadata.jsonl").write_text(text)


def _black(job: Job) -> None:
    for path in _images(job):
        Image.new("RGB", (96, 96)).save(path)


def _copies(job: Job) -> None:
    first, *others = _images(job, 1)
    for other in others:
        other.write_bytes(first.read_bytes())


def _copies_of_prompts(job: Job) -> None:
    first: dict[str, Path] = {}
    for line in read_metadata(job.unlearned):
        path = job.unlearned / line["file_name"]
        if path.parent.name == "forget":
            path.write_bytes(first.setdefault(line["id"], path).read_bytes())


def _as_jpeg(job: Job) -> None:
    for path in job.unlearned.rglob("*.png"):
        Image.open(path).convert("RGB").save(path, format="JPEG")


def _gone(job: Job) -> None:
    _images(job)[0].unlink()


def _broken(job: Job) -> None:
    path = _images(job)[0]
    path.write_bytes(path.read_bytes()[:100])


def _zeros(data: bytes) -> bytes:
    return data[:700] + bytes(len(data) - 702) + data[-2:]


def _damaged(kind: str) -> Callable[[Job], None]:
    """An image of another format in the place of one, with zeros where its data should be: decoders fill them in."""

    def plant(job: Job) -> None:
        for path in (job.original / _images(job)[0].relative_to(job.unlearned), _images(job)[0]):
            Image.effect_noise((96, 96), 60).convert("RGB").save(path, format=kind, quality=95)
        path = _images(job)[0]
        path.write_bytes(_zeros(path.read_bytes()))

    return plant


def _rows_missing(job: Job) -> None:
    """A PNG whose every checksum is right, and whose compressed data end after a third of its rows."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")

    head = (96).to_bytes(4, "big") * 2 + bytes((8, 2, 0, 0, 0))
    parts = chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress((b"\0" + b"\x80" * 288) * 32)), chunk(b"IEND", b"")
    _images(job)[0].write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def _pipe(job: Job) -> None:
    path = _images(job)[0]
    path.unlink()
    os.mkfifo(path)


def _circle(job: Job) -> None:
    path = _images(job)[0]
    path.unlink()
    path.symlink_to(path.name)


def _empty(job: Job) -> None:
    _images(job)[0].write_bytes(b"")


def _text(job: Job) -> None:
    _images(job)[0].write_text("<html>404</html>")


def _pair_gone(job: Job) -> None:
    gone = _images(job)[0]
    _lines(job, lambda lines: [x for x in lines if job.unlearned / x["file_name"] != gone])
    gone.unlink()


# What is planted, and what has to be said of it, in an error or in a note.
DEFECTS: Final[dict[str, tuple[Callable[[Job], object], str]]] = {
    "two models in one folder": (lambda job: _lines(job, _two_models), "more than one model"),
    "another prompt": (_all("prompt", "a lighthouse at night", some=True), "the prompt is 'a lighthouse"),
    "lines exchanged": (lambda job: _lines(job, _swap_ids), "the prompt is|belongs to row"),
    "another file than listed": (_all("sha256", "0" * 64, some=True), "its sha256 differs"),
    "other steps than the original": (_other_steps, "steps 20.* steps 50"),
    "a safety checker's black": (_black, "are a single color"),
    "one image for all": (
        _copies,
        "37 of the unlearned model's images are byte-for-byte copies of an image with a different seed",
    ),
    "one image for a prompt": (_copies_of_prompts, "19 of them for the same prompt"),
    "one image for several prompts": (
        _copies,
        "for 1[0-9] of [0-9]+ prompts, the unlearned model generates an image that is identical, byte for byte",
    ),
    "another size": (lambda job: _each(job, lambda i: i.resize((64, 64))), "files of the two models differ.*64×64"),
    "some of another size": (lambda job: _each(job, lambda i: i.resize((64, 64)), 2), "differ.*64×64"),
    "another shape": (lambda job: _each(job, lambda i: i.resize((96, 48))), "differ.*96×48"),
    "greyscale": (lambda job: _each(job, lambda i: i.convert("L")), "files of the two models differ.* L"),
    "transparency": (lambda job: _each(job, lambda i: i.convert("RGBA")), "files of the two models differ.*RGBA"),
    "JPEG": (_as_jpeg, "files of the two models differ.*JPEG"),
    "an image that is gone": (_gone, "cannot be opened"),
    "half a file": (_broken, "truncated after 100 bytes"),
    "a JPEG of zeros": (_damaged("JPEG"), "damaged .its data end at byte|damaged .the image is complete before"),
    "a WebP of zeros": (_damaged("WEBP"), "damaged .compressed data contain 256 or more zero bytes"),
    "a PNG of a few rows": (_rows_missing, "rows are missing"),
    "a pipe": (_pipe, "is a pipe, not an image file"),
    "a link to itself": (_circle, "cannot be read"),
    "an empty file": (_empty, "the file is empty"),
    "a web page called .png": (_text, "found a web page"),
    "a line without seed": (lambda job: _lines(job, _without_seed), "'seed' is missing"),
    "a seed that is no number": (_all("seed", "0", some=True), "seed is '0'"),
    "metadata that is no JSON": (
        lambda job: (job.unlearned / "metadata.jsonl").write_text("id,seed\n"),
        "cannot be read as JSON",
    ),
}
# What only folders can show: there, images are those that the metadata lists.
OF_FOLDERS: Final[dict[str, tuple[Callable[[Job], object], str]]] = {
    "an image without its pair": (_pair_gone, "the unlearned model has no image for row"),
    "a row that is unknown": (_all("id", "0" * 16, some=True), "no row of this config"),
    "another seed": (_all("seed", 12345, some=True), "the unlearned model has no image for row"),
    "one row twice": (lambda job: _lines(job, lambda x: [*x, x[0]]), "already has the image"),
    "an image that is not listed": (lambda job: _lines(job, lambda x: x[1:]), "not listed"),
    "no metadata": (lambda job: (job.unlearned / "metadata.jsonl").unlink(), "no metadata.jsonl"),
}


def _reversed(job: Job) -> None:
    job.after.reverse()


def _rotated(job: Job) -> None:
    job.ids.append(job.ids.pop(0))


def _short(job: Job) -> None:
    job.ids.pop()


# What only lists can show: images and rows in unlike orders, or of unlike lengths.
OF_LISTS: Final[dict[str, tuple[Callable[[Job], object], str]]] = {
    "images in another order": (_reversed, "belongs to row .* specifies row"),
    "ids in another order": (_rotated, "belongs to row .* specifies row"),
    "one id too few": (_short, "50 (images|predictions), but 49"),
    "a row that is unknown": (lambda job: job.ids.__setitem__(0, "0" * 16), "is not the id of a row of config"),
    "images of the original alone": (lambda job: job.after.clear(), "0 images, but 50|predictions is empty"),
}

CASES: Final = [
    *((entry, name, *DEFECTS[name]) for name in DEFECTS for entry in ENTRIES),
    *((entry, name, *OF_FOLDERS[name]) for name in OF_FOLDERS for entry in FOLDERS),
    *((entry, name, *OF_LISTS[name]) for name in OF_LISTS for entry in LISTS),
    *(
        pytest.param(entry, name, *case, marks=pytest.mark.slow, id=f"{entry}-{name}")
        for name, case in (DEFECTS | OF_FOLDERS).items()
        for entry in RAY
    ),
]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory, bench_folder: Path) -> Path:
    out = tmp_path_factory.mktemp("planted") / "images"
    rows = bench_rows(CONFIG, bench=bench_folder).values()
    # `draw` takes a third of the prompts to forget, which are 19, and a quarter of those to retain.
    draw(out, [*[r for r in rows if r.probe == "direct"][:57], *[r for r in rows if r.probe == "near"][:24]])
    return out


@pytest.fixture
def job(drawn: Path, bench_folder: Path, tmp_path: Path) -> Job:
    original, unlearned = (copied(drawn / name, tmp_path / name) for name in ("original", "forgetful"))
    lines = read_metadata(original)
    labels = tmp_path / "labels.csv"
    labels.write_bytes((drawn / "labels.csv").read_bytes())
    with labels.open(newline="") as file:
        header, *answers = csv.reader(file)
    with labels.open("w", newline="") as file:
        csv.writer(file).writerows([header, *(a for a in answers if not a[0].startswith("unchanged/"))])
    return Job(
        Evaluation(CONFIG, bench=str(bench_folder), detector=f"labels:{labels}", cache=False),
        original,
        unlearned,
        [line["id"] for line in lines],
        [str(original / line["file_name"]) for line in lines],
        [str(unlearned / line["file_name"]) for line in lines],
    )


@pytest.mark.parametrize("entry", [*ENTRIES, *(pytest.param(e, marks=pytest.mark.slow) for e in RAY)])
def test_without_a_defect_nothing_is_said(entry: str, job: Job) -> None:
    """Else a case below would pass whatever happens."""
    told = re.sub(r"\s+", " ", EVERY[entry](job))
    for name, (_, says) in (DEFECTS | OF_FOLDERS | OF_LISTS).items():
        assert re.search(says, told) is None, name


@pytest.mark.parametrize(("entry", "name", "plant", "says"), CASES, ids=lambda v: v if isinstance(v, str) else "")
def test_a_defect_is_refused_or_named(
    entry: str, name: str, plant: Callable[[Job], object], says: str, job: Job
) -> None:
    plant(job)
    try:
        told = EVERY[entry](job)
    except IgmuError as error:
        told = str(error)
    assert re.search(says, re.sub(r"\s+", " ", told)), f"{entry} says of {name!r} only: {told}"


@pytest.mark.parametrize("entry", LISTS)
def test_metadata_of_other_programs_is_none_of_ours(entry: str, job: Job) -> None:
    """An image folder of the `datasets` library has a file of that name with other fields."""
    names = [path.relative_to(job.unlearned).as_posix() for path in sorted(job.unlearned.rglob("*.png"))]
    lines = [json.dumps({"file_name": name, "text": "a church"}) for name in names]
    (job.unlearned / "metadata.jsonl").write_text("\n".join(lines) + "\n")
    LISTS[entry](job)


LAYOUTS: Final[dict[str, Callable[[int], str]]] = {
    "flat": lambda at: f"{at}.png",
    "igmu": lambda at: f"forget/0_{at // 2}_{at % 2}.png",
}
OF_FILES: Final = [
    *("half a file", "an empty file", "a web page called .png", "a pipe", "a link to itself"),
    *("a JPEG of zeros", "a WebP of zeros", "a PNG of a few rows"),
]


# Every way in reads files with the same code: by default, all defects go in by one of them and one defect by all.
OF_LAYOUTS: Final = [
    pytest.param(name, layout, entry, marks=[] if entry == "Evaluation" or name in OF_FILES[:1] else pytest.mark.slow)
    for name in ("", *OF_FILES)
    for layout in LAYOUTS
    for entry in FOLDERS
]


@pytest.mark.parametrize(("name", "layout", "entry"), OF_LAYOUTS)
def test_other_layouts_refuse_damaged_files_too(name: str, layout: str, entry: str, job: Job) -> None:
    """Their images are named after nothing that the corpus knows; the defect is in the first of them."""
    damaged = str(_images(job)[0])
    if name:
        DEFECTS[name][0](job)
    order = sorted(range(len(job.after)), key=lambda at: job.after[at] != damaged)[:8]
    place, lines = job.unlearned.parent / "layout", ["path,present"]
    for model, files in ((job.original, job.before), (job.unlearned, job.after)):
        for at, k in enumerate(order):
            path = place / model.name / LAYOUTS[layout](at)
            path.parent.mkdir(parents=True, exist_ok=True)
            Path(files[k]).rename(path) if not Path(files[k]).is_symlink() else path.symlink_to(path.name)
            lines.append(f"{path.relative_to(place)},{'yes' if model is job.original else 'no'}")
    (place / "labels.csv").write_text("\n".join(lines) + "\n")
    evaluation = Evaluation(CONFIG, layout=layout, detector=f"labels:{place / 'labels.csv'}", cache=False)
    moved = replace(job, evaluation=evaluation, original=place / "original", unlearned=place / job.unlearned.name)
    try:
        told = FOLDERS[entry](moved)
    except IgmuError as error:
        told = str(error)
    says = DEFECTS[name][1] if name else "^(?!.*(damaged|cannot be read|is a pipe))"
    assert re.search(says, re.sub(r"\s+", " ", told)), f"{entry} of layout {layout} says of {name!r} only: {told}"
