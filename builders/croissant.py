"""Croissant metadata: `croissant.json`, one FileObject per Parquet file and one record set per split and part."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, time
from pathlib import Path
from typing import Any, Final

from builders.card import REPO, bibtex, citation
from builders.hubfolder import Config
from igmu_data.files import sha256
from igmu_data.general import GeneralRow
from igmu_data.rows import VERSION
from igmu_data.schema import Row
from igmu_data.stored import Stored
from igmu_data.taxonomy import ALL

_ROW: Final = {k: f.description or "" for k, f in Row.model_fields.items()} | {"image": "image of the first seed"}
_GENERAL: Final = {k: f.description or "" for k, f in GeneralRow.model_fields.items()}
_LABELLED: Final = _ROW | {
    "image": "image",
    "label": "number of the image's class, in the order of the card",
    "concept": "the concept of that class, null where there is none",
}
# Croissant's vocabulary for responsible AI (RAI 1.0); the card's datasheet says the same at length.
_RESPONSIBLE: Final = {
    "data_collection": "Language models wrote the prompts for this benchmark, concept by concept, under the direction "
    "of its authors. Rows are created from them by rules and hashes. No prompt was copied from a list or taken from "
    "users.",
    "data_collection_type": ["Others"],
    "data_collection_raw_data": "The source repository has the texts of every concept, in one TOML file per concept.",
    "data_preprocessing_protocol": [
        "Near-duplicates within a concept, texts that contain the concept's name where it is not allowed, and texts "
        "that break the content policy are refused."
    ],
    "data_annotation_protocol": "The rules that create a row determine what it asks for. The texts of every concept "
    "were read by a reader who did not write them. A random sample was read independently, and the dataset card states "
    "its share of wrong rows.",
    "data_release_maintenance_plan": "Published rows are never edited, only superseded. The source repository has a "
    "ledger of row ids by version, and every build is checked against it.",
    "personal_sensitive_information": [
        "The dataset contains no information about living persons. The domain identity names public figures who died "
        "more than 70 years ago. No prompt describes a minor or a person of unclear age."
    ],
    "data_social_impact": "The dataset makes claims about unlearned image generators verifiable. Adversarial rows show "
    "what weak unlearning misses; they are rewritten with techniques that published work describes.",
    "data_biases": [
        "Most prompts are in English; other languages appear only in attack families. Artists, characters and "
        "landmarks are mostly European and American, because these are the concepts that published methods erase. "
        "Language models wrote the prompts."
    ],
    "data_limitations": [
        "Every concept has a finite list of names, so a model that withstands its adversarial rows is not proven safe. "
        "Do not use the dataset to judge deployed safeguards, or to train a model that is then measured with it."
    ],
    "data_use_cases": [
        "Measuring whether an image generator has forgotten a concept, how robustly it has forgotten it, and what else "
        "was damaged."
    ],
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

    own = citation()
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
        # Of VERSION; a build date would change the bytes of every rebuild.
        date_published=datetime.combine(own["date-released"], time()),
        cite_as=bibtex(),
        keywords=own["keywords"],
        creators=[mlc.Organization(name=a["name"]) for a in own["authors"]],
        distribution=[repository, *objects, *sets],
        record_sets=[
            mlc.RecordSet(id=name, name=name, fields=[_field(mlc, name, config, c) for c in config.features])
            for name, (config, _) in found.items()
        ],
        conforms_to=["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"],
        **_RESPONSIBLE,
    )
    text = json.dumps(metadata.to_json(), indent=1, ensure_ascii=False, default=str) + "\n"
    (folder / "croissant.json").write_text(text, encoding="utf-8")


def _field(mlc: Any, records: str, config: Config, column: str) -> Any:
    kinds = dict.fromkeys(("int32", "int64"), mlc.DataType.INTEGER)
    kinds |= {"float64": mlc.DataType.FLOAT, "string": mlc.DataType.TEXT, "bool": mlc.DataType.BOOL}
    kinds["PIL.Image.Image"] = mlc.DataType.IMAGE_OBJECT
    described = next(d for d in (_ROW, _GENERAL, _LABELLED) if config.features.keys() <= d.keys())[column]
    kind = config.features[column]
    inner = getattr(kind, "feature", kind)
    extract = mlc.Extract(column=column)
    more: dict[str, Any] = {"data_types": [kinds[inner.dtype]]}
    if column == "image":
        more["source"] = mlc.Source(
            file_set=f"{records}-files", extract=extract, transforms=[mlc.Transform(json_path="bytes")]
        )
    else:
        more["source"] = mlc.Source(file_set=f"{records}-files", extract=extract)
    if inner is not kind:
        more |= {"is_array": True, "array_shape": "-1"}
    return mlc.Field(id=f"{records}/{column}", name=column, description=described, **more)
