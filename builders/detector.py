"""`python -m builders.detector hub-dataset:imagenette`: labelled images for content detectors, as a Hub dataset.

Splits `train` and `test`; every image carries its licence and source. Which concept of the benchmark a class is
stands in `concept`, null for classes that are none. The folder appears complete or not at all.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from builders import sources
from builders.hubfolder import Config, card_yaml, replaced
from igmu_data.errors import EmptyInputError, exits_on_error
from igmu_data.rows import VERSION
from igmu_data.schema import detector_features
from igmu_data.stored import ROW_GROUP_BYTES, Stored, write_manifest, write_records

if TYPE_CHECKING:
    import datasets

SPLITS: Final = ("train", "test")
SHARD_BYTES: Final = 200 * 2**20  # what is held in memory at once
_BODY: Final = """# {repo}

Labelled images for training and measuring the content detectors of
[igmu](https://huggingface.co/datasets/igmu/bench), taken from {origin}: {counts}.
Every image carries its own `license` and `source`.

```python
from datasets import load_dataset

images = load_dataset("{repo}")
```
"""


def build(out: Path, source: str) -> Path:
    """Write `<out>/igmu/detector-<collection>`.

    Args:
        out: parent of the owner's folder.
        source: a source of labelled images with its argument, `hub-dataset:imagenette`.

    Returns:
        The folder.

    Raises:
        InputError: a source that gives no labelled images.
        EmptyInputError: a split without images.
    """
    name, _, argument = source.partition(":")
    module = sources.labelled_images(name)
    features = detector_features(module.labels(argument))
    repo = f"igmu/detector-{argument.partition(':')[0]}"
    target = out / repo
    with replaced(target) as folder:
        stored: list[Stored] = []
        for split in SPLITS:
            shards = write_images(folder, "data", split, module.labelled(argument, split=split), features)
            if not shards:
                raise EmptyInputError(f"{source}: split {split!r} has no images that may be used.")
            stored += shards
        _card(folder, repo, features, stored)
        write_manifest(
            folder, {"name": repo, "version": VERSION, "images": source, "n_rows": sum(s.n_rows for s in stored)}
        )
    return target


def labelled_config(name: str, under: str, features: datasets.Features, *, default: bool = False) -> Config:
    """The config of what `write_images` wrote."""
    return Config(name, {split: f"{under}/{split}-*" for split in SPLITS}, features, default)


def write_images(
    folder: Path, under: str, split: str, images: Iterator[sources.Labelled], features: datasets.Features
) -> list[Stored]:
    """Write labelled images into Parquet files as they come.

    Args:
        folder: the repository.
        under: where in it.
        split: `train` or `test`.
        images: may be more than fit into memory.
        features: `detector_features` of their labels.
    """
    stored: list[Stored] = []
    records: list[dict[str, Any]] = []
    size = 0
    label = features["label"]

    def flush() -> None:
        path = f"{under}/{split}-{len(stored):05d}.parquet"
        stored.append(write_records(folder, path, records, features, ROW_GROUP_BYTES * len(records) // size))
        sys.stderr.write(f"{path}: {len(records)} images\n")

    for i, p in enumerate(images):
        image = sources.StoredImage(f"{split}-{i:06d}", p.data, p.extension, p.origin, p.license)
        records.append(
            {
                "image": {"bytes": p.data, "path": f"{image.row_id}{p.extension}"},
                "label": label.str2int(p.label),
                "concept": p.concept,
                "image_source": p.origin,
                "image_sha256": image.sha256,
                "license": p.license,
                "source": p.source,
            }
        )
        size += len(p.data)
        if size >= SHARD_BYTES:
            flush()
            records, size = [], 0
    if records:
        flush()
    return stored


def _card(folder: Path, repo: str, features: datasets.Features, stored: Sequence[Stored]) -> None:
    import pyarrow.parquet as pq

    config = labelled_config("default", "data", features, default=True)
    header = {"license": "other", "license_name": "per-image", "task_categories": ["image-classification"]}
    front = card_yaml(stored, [config], header=header)
    listed = ", ".join(f"{sum(s.n_rows for s in stored if s.split == split):,} {split}" for split in SPLITS)
    origin = pq.read_table(folder / stored[-1].path, columns=["image_source"])["image_source"][0].as_py()
    text = _BODY.format(repo=repo, origin=origin, counts=f"{listed} images of {features['label'].num_classes} classes")
    (folder / "README.md").write_text(f"---\n{front}---\n\n{text}", encoding="utf-8")


@exits_on_error
def main(
    source: Annotated[str, typer.Argument(help="hub-dataset:imagenette, hub-dataset:wikiart, …")],
    out: Annotated[Path, typer.Option(help="Parent of the owner's folder.")] = Path("dist/hub"),
) -> None:
    """Build a dataset of labelled images."""
    typer.echo(build(out, source))


if __name__ == "__main__":
    typer.run(main)
