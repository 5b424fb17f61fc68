"""Images drawn by a text-to-image pipeline: `diffusers:FOLDER_OR_HUB_ID?license=…`.

Each row is drawn with each of its seeds into `<work>/diffusers/…` (resumable, see `igmu_metrics.images.generate`);
the image of the first seed goes into the `image` column. A generation's licence is what the model's licence says of
its outputs, which no file of the model states in a form that can be trusted: `license` must be given. Further options,
separated by `&`: `seeds=first` (draw no others), `batch_size=4`, `format=png` or `webp`, `dtype=fp32`, `bf16` or
`fp16`, `device=auto`, and `steps`, `guidance_scale`, `width`, `height` instead of the rows' or the model's preset
(`igmu_metrics.images.presets`). A Hub id may name a commit: `diffusers:owner/name@<commit>?license=openrail`.

The safety checker is not loaded: it hands back black images. Where one is there all the same and flags an image,
this is recorded in `failed.jsonl`, and the row stays without an image.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from builders.images import known_license, require_unrestricted
from builders.sources import SourceInfo, StoredImage
from igmu_data.errors import InputError
from igmu_data.schema import Row
from igmu_metrics.images.generate import draw, requests_for
from igmu_metrics.images.pipelines import find_pipeline
from igmu_metrics.networks.loading import choice, split_argument

INFO = SourceInfo(
    name="diffusers",
    summary="Images drawn for the rows by a diffusers text-to-image pipeline.",
    license="the option `license`: that of the model's outputs",
)
_OPTIONS: Final = {
    "license": "",
    "seeds": "all",
    "batch_size": "4",
    "format": "png",
    "dtype": "fp32",
    "device": "auto",
    "steps": "",
    "guidance_scale": "",
    "width": "",
    "height": "",
}
_OVERRIDES: Final[dict[str, Callable[[str], Any]]] = {
    "steps": int,
    "guidance_scale": float,
    "width": int,
    "height": int,
}


def images(rows: Sequence[Row], argument: str, *, work: Path) -> Iterator[StoredImage]:
    """Draw the rows, then give the image of each row's first seed, in the order of the rows.

    Args:
        rows: what to draw.
        argument: `FOLDER_OR_HUB_ID?license=…`, see above.
        work: the images are kept in a folder of their own below it, one for each model and each set of options that
            changes images.

    Raises:
        LicenseError: no licence is given.
        InputError: an unknown option or value.
        PolicyError: a row of the restricted domain.
        WeightsError, MetadataError, ChecksumError, OutputError: as in `igmu_metrics.images.generate.draw`.
    """
    spec, options = split_argument(argument, _OPTIONS)
    if not spec:
        raise InputError("image source 'diffusers' needs a model: diffusers:FOLDER_OR_HUB_ID?license=…")
    license_ = known_license(options["license"], f"diffusers:{argument} (add ?license=…)")
    choice("seeds", options["seeds"], ("all", "first"))
    choice("format", options["format"], ("png", "webp"))
    overrides = {k: _number(k, options[k], kind) for k, kind in _OVERRIDES.items() if options[k]}
    require_unrestricted(rows)
    if not rows:
        return
    pipeline = find_pipeline(spec, device=options["device"], dtype=options["dtype"])
    # Everything that changes an image, so that no two sets of options share a folder.
    facts = [pipeline.name, pipeline.revision, pipeline.dtype, pipeline.device, options["format"], overrides]
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]
    drawing = draw(
        requests_for(rows, seeds_per_row=1 if options["seeds"] == "first" else None),
        pipeline,
        work / "diffusers" / f"{pipeline.name.replace('/', '--')}-{digest}",
        batch_size=_number("batch_size", options["batch_size"], int),
        extension=f".{options['format']}",
        **overrides,
    )
    origin = f"diffusers:{pipeline.name}@{pipeline.revision}"
    for row in rows:
        path = drawing.files.get((row.id, row.seeds[0]))
        if path is not None:
            yield StoredImage(row.id, path.read_bytes(), path.suffix, origin, license_)


def _number(name: str, text: str, kind: Callable[[str], Any]) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise InputError(f"option {name} is {text!r}; give a number.") from None
