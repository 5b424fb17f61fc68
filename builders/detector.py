"""`python -m builders.detector hub-dataset:imagenette`: labelled pictures for content detectors, as a Hub dataset.

Splits `train` and `test`; every picture carries its licence and source. Which concept of the benchmark a class is
stands in `concept`, null for classes that are none. The folder appears complete or not at all.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from builders import sources
from builders.hubfolder import ROW_GROUP_BYTES, replaced, write_manifest
from builders.prompts import VERSION
from igmu_data.errors import EmptyInputError, InputError, exits_on_error
from igmu_data.schema import detector_features

if TYPE_CHECKING:
    import datasets

SPLITS: Final = ("train", "test")
SHARD_BYTES: Final = 200 * 2**20  # what is held in memory at once
_BODY: Final = """# {repo}

Labelled pictures for training and measuring the content detectors of
[igmu](https://huggingface.co/datasets/igmu/bench), taken from {origin}: {counts}.
Every picture carries its own `license` and `source`.

```python
from datasets import load_dataset

pictures = load_dataset("{repo}")
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
        InputError: a source that gives no labelled pictures.
        EmptyInputError: a split without pictures.
    """
    name, _, argument = source.partition(":")
    module = sources.load(name)
    if not hasattr(module, "labelled"):
        raise InputError(f"image source {name!r} gives no labelled pictures; hub-dataset does.")
    features = detector_features(module.labels(argument))
    repo = f"igmu/detector-{argument.partition(':')[0]}"
    target = out / repo
    with replaced(target) as folder:
        counts: dict[str, int] = {}
        origin = ""
        for split in SPLITS:
            shards = list(_write(folder, split, module.labelled(argument, split=split), features))
            counts[split] = sum(n for n, _ in shards)
            if not counts[split]:
                raise EmptyInputError(f"{source}: split {split!r} has no pictures that may be used.")
            origin = shards[0][1]
        _card(folder, repo, features, counts, origin)
        write_manifest(folder, {"name": repo, "version": VERSION, "images": source, "n_rows": sum(counts.values())})
    return target


def _write(
    folder: Path, split: str, pictures: Iterator[sources.Labelled], features: datasets.Features
) -> Iterator[tuple[int, str]]:
    """Write shards as the pictures come; yields (pictures, origin) of each."""
    records: list[dict[str, Any]] = []
    size, number = 0, 0
    label = features["label"]

    def flush() -> tuple[int, str]:
        import datasets

        datasets.disable_progress_bars()
        group = max(1, min(100, ROW_GROUP_BYTES * len(records) // size))
        path = folder / "data" / f"{split}-{number:05d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        datasets.Dataset.from_list(records, features=features).to_parquet(str(path), batch_size=group)
        sys.stderr.write(f"{path.name}: {len(records)} pictures\n")
        return len(records), str(records[0]["image_source"])

    for i, p in enumerate(pictures):
        picture = sources.Picture(f"{split}-{i:06d}", p.data, p.extension, p.origin, p.license)
        records.append(
            {
                "image": {"bytes": p.data, "path": f"{picture.row_id}{p.extension}"},
                "label": label.str2int(p.label),
                "concept": p.concept,
                "image_source": p.origin,
                "image_sha256": picture.sha256,
                "license": p.license,
                "source": p.source,
            }
        )
        size += len(p.data)
        if size >= SHARD_BYTES:
            yield flush()
            records, size, number = [], 0, number + 1
    if records:
        yield flush()


def _card(folder: Path, repo: str, features: datasets.Features, counts: dict[str, int], origin: str) -> None:
    import yaml
    from datasets import DatasetInfo, SplitDict, SplitInfo
    from datasets.info import DatasetInfosDict
    from huggingface_hub import DatasetCardData

    splits = SplitDict()
    for split, n in counts.items():
        files = sorted((folder / "data").glob(f"{split}-*"))
        splits.add(SplitInfo(split, num_bytes=sum(f.stat().st_size for f in files), num_examples=n))
    size = sum(s.num_bytes for s in splits.values())
    info = DatasetInfo(features=features, splits=splits, download_size=size, dataset_size=size)
    data = DatasetCardData(license="other", license_name="per-picture", task_categories=["image-classification"])
    DatasetInfosDict({"default": info}).to_dataset_card_data(data)
    block: dict[str, Any] = data.to_dict()  # type: ignore[no-untyped-call] # upstream has no annotation
    block["configs"] = [
        {
            "config_name": "default",
            "data_files": [{"split": s, "path": f"data/{s}-*"} for s in SPLITS],
            "default": True,
        }
    ]
    listed = ", ".join(f"{n:,} {split}" for split, n in counts.items())
    text = _BODY.format(
        repo=repo, origin=origin, counts=f"{listed} pictures of {features['label'].num_classes} classes"
    )
    front = yaml.safe_dump(block, sort_keys=False, allow_unicode=True, width=120)
    (folder / "README.md").write_text(f"---\n{front}---\n\n{text}", encoding="utf-8")


@exits_on_error
def main(
    source: Annotated[str, typer.Argument(help="hub-dataset:imagenette, hub-dataset:wikiart, …")],
    out: Annotated[Path, typer.Option(help="Parent of the owner's folder.")] = Path("dist/hub"),
) -> None:
    """Build a dataset of labelled pictures."""
    typer.echo(build(out, source))


if __name__ == "__main__":
    typer.run(main)
