"""Writes reference tables of original models, and the dataset folder that collects them for the Hub (`igmu/originals`).

Conventions: a table is at `<model>/<config>/<hash of detector and networks>/<model>-00001-of-00001.parquet`. One
folder can contain many models, concepts, detectors and networks; each table is a config of the dataset. README and
manifest are remade from the tables whenever one is added. Tables of the restricted domain go to a separate gated
dataset.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from igmu_data import __version__
from igmu_data.errors import ImageError, InputError, MetadataError, OutputError
from igmu_data.files import beside, owned, require_writable
from igmu_data.markdown import table as listing
from igmu_data.numerals import counted
from igmu_data.rows.rounds import rows_of
from igmu_data.stored import write_manifest
from igmu_data.taxonomy import RESTRICTED_DOMAIN
from igmu_metrics import generations
from igmu_metrics.evaluation import Advance, Evaluation
from igmu_metrics.generations import FAILED
from igmu_metrics.images import reference
from igmu_metrics.images.folder import MODEL, TIMES
from igmu_metrics.images.generate import draw, requests_for, seeds_note, settled_alike
from igmu_metrics.images.layouts import Model, listed
from igmu_metrics.images.pipelines import find_pipeline, require_no_model
from igmu_metrics.scale.shards import contents, file_name

SPLIT: Final = "original"
_README: Final = "README.md"
_NAME: Final = "igmu originals"
_CARD: Final = """# Reference tables of original models

Reference tables for [igmu](https://huggingface.co/datasets/igmu/bench): the measurements of detectors and backbones on
images of models **before** unlearning. With them, you can score an unlearned model without generating the original's
images again:

```bash
igmu score --original hub:{repo}@REVISION/{example} --unlearned NAME=FOLDER --config {config} …
```

With the detectors and networks listed here, the scorecards are exactly the same as those scored against the images.
Tables contain no images and no prompts: rows are identified by the ids of the corpus, images by their SHA-256.

{tables}

Columns: `id` of the corpus row and `seed` of the noise; `generated_with`, `status`, `sha256`, `format`, `width`,
`height` and `mode` of the image file; `probability` that the image shows its concept; and, if requested, features by
backbone (`clip_features`, `features`, `align_features`).
"""
_GATE: Final = (
    "These tables exist to measure unlearned image generators. By asking for access you agree to use them for "
    "evaluation only."
)


def home(out: Path, config: str) -> Path:
    """The dataset folder for a config's table: a separate gated one for the restricted domain.

    >>> home(Path("igmu/originals"), "nsfw.nudity").name
    'originals-nsfw'
    """
    gated = config.partition(".")[0] == RESTRICTED_DOMAIN and not out.name.endswith("-nsfw")
    return out.with_name(f"{out.name}-nsfw") if gated else out


def record(
    evaluation: Evaluation,
    original: Path | Model,
    out: Path,
    advance: Advance = lambda what, done, total: None,
    also: Sequence[Evaluation] = (),
) -> Path:
    """Measure an original's images, write the table, and update README and manifest.

    Args:
        evaluation: the evaluation; only its detector and networks can be used with the table later.
        original: folder of the images in layout `metadata`, or the model.
        out: folder of the dataset.
        advance: called with the progress.
        also: evaluations with further detectors, whose results are recorded too.

    Returns:
        The file of the table.

    Raises:
        InputError: LPIPS, which requires images, or another layout.
        ImageError: an image cannot be read; a reference table must be complete.
        MetadataError: there is already a table of other images.
        OutputError: `out` contains something else.
        IgmuError: as `Evaluation.run`.
    """
    _require_recordable(evaluation)
    place = Model.of(original)
    if reference.files(place.folder):
        raise InputError(
            f"{place.folder} already contains reference tables. Specify the folder of the images, or the model."
        )
    folder = home(out, evaluation.config)
    require_writable(folder)
    with owned(files=[folder]):  # the lock is next to the folder, because the manifest lists every file in it
        _require_ours(folder)
        (whole,) = evaluation.found(place, [])
        with evaluation.opened(also) as tools:
            seen = evaluation.measured(whole, tools, place.name, advance)
            others = {f"detector@{k}": one.signatures["detector"] for k, one in enumerate(tools.judges) if k}
            instruments = tools.signatures | others
        failed = np.flatnonzero(np.char.startswith(seen["status"], FAILED))
        if failed.size:
            why = str(seen["status"][failed[0]]).removeprefix(FAILED)
            raise ImageError(
                f"{why}. A reference table requires all images, but {failed.size} are unreadable. Generate them again."
            )
        kept = generations.Generations({name: seen[name] for name in reference.kept(seen.columns)})
        kept = kept.without(*(name for name, values in kept.columns.items() if values.shape[1:] == (0,)))
        facts = {
            reference.FACT: reference.FORMAT,
            "igmu": __version__,
            "model": place.name,
            "config": evaluation.config,
            "blank": evaluation.blank,
            "generated_by": _maker(place.folder),
            "instruments": instruments,
            "shard": [1, 1],
            "n_total": len(kept),
            "row": kept.keys[0][0],
            "contents": contents(whole),
        }
        facts["digest"] = reference.digest(kept, facts)
        path = folder / place.name / evaluation.config / _digits(instruments) / file_name(place.name, 1, 1)
        _require_same_images(path, facts)
        generations.write(kept, path, facts)
        copy_beside(place.folder, path.parent)
        describe(folder)
    return path


def _require_recordable(evaluation: Evaluation) -> None:
    if evaluation.layout != "metadata":
        raise InputError(
            f"layout is {evaluation.layout!r}, but a reference table requires the metadata layout. Convert the folder "
            "with 'igmu match'."
        )
    if evaluation.lpips is not None:
        raise InputError(
            f"lpips is {evaluation.lpips!r}, but LPIPS compares images, and a reference table contains none. Leave "
            "lpips out."
        )


def copy_beside(source: Path, target: Path) -> None:
    """Copy the files about the model and its times, for comparing costs with the original.

    Args:
        source: folder of images or of a table.
        target: folder of a table.
    """
    for name in (MODEL, TIMES):
        if (source / name).is_file():
            with beside(target / name) as part:
                part.write_bytes((source / name).read_bytes())


def _digits(instruments: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(instruments, sort_keys=True).encode()).hexdigest()[:8]


def _maker(folder: Path) -> dict[str, str]:
    """Model, revision and numerical precision, from the metadata."""
    _, first, _ = listed(folder)[0]
    return {name: str(first[name]) for name in ("model", "revision", "dtype") if name in first}


def _require_ours(folder: Path) -> None:
    """Refuse a folder with another README, which would be lost."""
    text = (folder / _README).read_text(encoding="utf-8") if (folder / _README).is_file() else ""
    if text and f"\npretty_name: {_NAME}" not in text:
        raise OutputError(f"{folder} contains an unrelated README, which would be overwritten. Choose another --out.")


def _require_same_images(path: Path, facts: Mapping[str, Any]) -> None:
    there = reference.files(path.parent).get(path)
    if there is not None and there["contents"] != facts["contents"]:
        raise MetadataError(
            f"{path} already contains measurements for other images of a model called {there['model']!r}. Choose a "
            "different --name, or delete the table."
        )


def describe(folder: Path) -> None:
    """Write README.md and manifest.json of a folder of tables.

    Args:
        folder: folder of the dataset.
    """
    import yaml

    for left in folder.rglob(".*.new"):  # left by a process that was killed
        left.unlink()
    found = {path.relative_to(folder): facts for path, facts in reference.files(folder).items()}
    restricted = any(facts["config"].partition(".")[0] == RESTRICTED_DOMAIN for facts in found.values())
    front: dict[str, Any] = {
        "pretty_name": _NAME,
        "license": "cc-by-4.0",
        "tags": ["machine-unlearning", "concept-erasure", "benchmark", "evaluation"],
        "configs": [
            {
                "config_name": ".".join(path.parent.parts),
                "data_files": [{"split": SPLIT, "path": path.as_posix()}],
                **({"default": True} if at == 0 else {}),
            }
            for at, path in enumerate(found)
        ],
    }
    if restricted:
        front["tags"].append("not-for-all-audiences")
        front["extra_gated_prompt"] = _GATE
    lines = [
        (
            f"`{path.parent.as_posix()}`",
            " ".join(f"{name} {value}" for name, value in facts.get("generated_by", {}).items()) or "unknown",
            facts["n_total"],
            ", ".join(f"{role} `{name}`" for role, name in reference.named(facts["instruments"]).items()),
            f"`{facts['digest'][:12]}`",
        )
        for path, facts in found.items()
    ]
    first, facts = next(iter(found.items()))
    repo = f"{folder.resolve().parent.name}/{folder.resolve().name}"
    body = _CARD.format(
        repo=repo,
        example=first.parent.as_posix(),
        config=facts["config"],
        tables=listing(("folder", "generated by", "images", "detector and networks", "digest"), lines),
    )
    block = yaml.safe_dump(front, sort_keys=False, allow_unicode=True)
    (folder / _README).write_text(f"---\n{block}---\n\n{body}", encoding="utf-8")
    write_manifest(folder, {"name": _NAME, "version": __version__})


def drawn(
    evaluation: Evaluation,
    spec: str,
    folder: Path,
    *,
    protocol: str = "full",
    seeds_per_row: int | None = None,
    dtype: str = "fp32",
    trust_code: bool = False,
    also: Sequence[Evaluation] = (),
    **options: Any,
) -> None:
    """Generate an original's images; existing ones are not generated again.

    Args:
        evaluation: gives the rows and the device.
        spec: the model, in the form that `igmu generate --model` accepts.
        folder: folder of the images.
        protocol: `lite`, `full` or a number of rounds.
        seeds_per_row: number of images per prompt; None for all.
        dtype: numerical precision of the model.
        trust_code: whether code that the model specifies may run.
        also: evaluations with further detectors.
        **options: steps, guidance_scale, width, height and batch_size, as for `images.generate.draw`.

    Raises:
        IgmuError: the model, corpus or folder is invalid.
    """
    rows = rows_of(protocol, evaluation.rows().values())
    require_no_model(folder)
    _require_recordable(evaluation)
    pipeline = find_pipeline(spec, device=evaluation.device, dtype=dtype, trust_code=trust_code)
    requests = requests_for(rows, seeds_per_row=seeds_per_row)
    if note := seeds_note(rows, requests):
        sys.stderr.write(f"{note}\n")
    settled_alike(requests, {pipeline.name: pipeline}, **options)
    with evaluation.opened(also):  # detect errors in detectors and networks before hours of generating
        pass
    done = draw(requests, pipeline, folder, **options)
    if done.failures:
        (row, seed), why = next(iter(done.failures.items()))
        raise ImageError(
            f"{spec}: {counted(len(done.failures), 'image')} could not be generated, for example row {row!r} with seed "
            f"{seed} ({why}). A reference table requires all images. Use different settings, or --dtype fp32."
        )
