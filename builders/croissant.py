"""Croissant metadata: `croissant.json`, one FileObject per Parquet file and one record set per split and part."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from builders.card import REPO
from builders.hubfolder import Config, Stored
from igmu_data.files import sha256
from igmu_data.rows import VERSION
from igmu_data.schema import Row
from igmu_data.taxonomy import ALL

PUBLISHED: Final = datetime(2026, 11, 25)  # of VERSION; a build date would change the bytes of every rebuild
_CITE: Final = "igmu: a benchmark for machine unlearning in image generation, 2026"
_ROW: Final = {k: f.description or "" for k, f in Row.model_fields.items()} | {"image": "picture of the first seed"}
_LABELLED: Final = _ROW | {
    "image": "picture",
    "label": "number of the picture's class, in the order of the card",
    "concept": "the concept of that class, null where there is none",
}


def write_croissant(folder: Path, stored: Sequence[Stored], parts: Sequence[Config], *, restricted: bool) -> None:
    """Write `croissant.json` for the Parquet files of a repository.

    Args:
        folder: the repository.
        stored: every Parquet file.
        parts: configs that share no file and together hold all. Those of `all` give record sets called `forget` and so
            on, those of another one `sandbox-forget`.
        restricted: whether it is the gated part.
    """
    import mlcroissant as mlc

    url = f"https://huggingface.co/datasets/{REPO[restricted]}"
    objects = [
        mlc.FileObject(
            id=s.path,
            name=s.path,
            content_url=s.path,
            encoding_formats=["application/x-parquet"],
            content_size=f"{s.file_bytes} B",
            sha256=sha256(folder / s.path),
        )
        for s in stored
    ]
    # Records are read through the repository: a FileSet over single Parquet files is valid but no reader opens it.
    repository = mlc.FileObject(
        id="repo",
        name="repo",
        content_url=url,
        encoding_formats=["git+https"],
        sha256="https://github.com/mlcommons/croissant/issues/80",
    )
    found = {f"{c.name}-{s}" if c.name != ALL else s: (c, glob) for c in parts for s, glob in c.files.items()}
    sets = [
        mlc.FileSet(
            id=f"{name}-files",
            name=f"{name}-files",
            contained_in=["repo"],
            encoding_formats=["application/x-parquet"],
            includes=[f"{glob}.parquet"],
        )
        for name, (_, glob) in found.items()
    ]
    metadata = mlc.Metadata(
        name=REPO[restricted].replace("/", "-"),
        description="Forget, retain and adversarial prompts for machine unlearning in image generators.",
        url=url,
        license=["https://creativecommons.org/licenses/by/4.0/"],
        version=VERSION,
        date_published=PUBLISHED,
        cite_as=_CITE,
        keywords=["machine unlearning", "concept erasure", "text-to-image", "benchmark"],
        distribution=[repository, *objects, *sets],
        record_sets=[
            mlc.RecordSet(id=name, name=name, fields=[_field(mlc, name, config, c) for c in config.features])
            for name, (config, _) in found.items()
        ],
    )
    text = json.dumps(metadata.to_json(), indent=1, ensure_ascii=False, default=str) + "\n"
    (folder / "croissant.json").write_text(text, encoding="utf-8")


def _field(mlc: Any, records: str, config: Config, column: str) -> Any:
    kinds = {"int32": mlc.DataType.INTEGER, "float64": mlc.DataType.FLOAT, "string": mlc.DataType.TEXT}
    described = (_ROW if "prompt" in config.features else _LABELLED)[column]
    kind = config.features[column]
    extract = mlc.Extract(column=column)
    more: dict[str, Any] = {"data_types": [kinds.get(getattr(kind, "dtype", ""), mlc.DataType.INTEGER)]}
    if column == "image":
        more["data_types"] = [mlc.DataType.IMAGE_OBJECT]
        more["source"] = mlc.Source(
            file_set=f"{records}-files", extract=extract, transforms=[mlc.Transform(json_path="bytes")]
        )
    else:
        more["source"] = mlc.Source(file_set=f"{records}-files", extract=extract)
    if column == "seeds":
        more |= {"is_array": True, "array_shape": "-1"}
    return mlc.Field(id=f"{records}/{column}", name=column, description=described, **more)
