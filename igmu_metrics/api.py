"""The Python API: `score("name", …)` returns a Score, and `list_metrics()` lists the metrics.

A metric accepts either its own inputs (labels, decisions, features; see its `rows`), or images and texts, from which a
backbone computes these inputs:

>>> s = score("concept_accuracy", predictions=["object/none"], references=["object/church"], target="object/church")
>>> s.value, s.n_generations
(1.0, 1)
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from os.path import abspath
from pathlib import Path
from typing import Any, Final

import numpy as np

from igmu_data.errors import EmptyInputError, InputError, LengthMismatchError, MetadataError, UnknownIdError
from igmu_data.schema import Row
from igmu_data.spelling import same_prompt
from igmu_metrics import registry
from igmu_metrics.contract import RESAMPLES, Extract, Metric, MetricInfo, Score, Setting, scored
from igmu_metrics.evaluation import Evaluation, asked, both, scores
from igmu_metrics.generations import FAILED, Array, Generations, joined
from igmu_metrics.images.layouts import listed, listing_of, of_listed
from igmu_metrics.images.notes import doubts, notes, require_pairs
from igmu_metrics.images.sequential import of_images, taken
from igmu_metrics.metrics._contract import absent, lacking
from igmu_metrics.metrics._rows import as_lists, present_names
from igmu_metrics.networks.instruments import Backbone
from igmu_metrics.networks.observe import OnError, observe
from igmu_metrics.statistics import validation
from igmu_metrics.statistics.level import LEVEL, at_level

ATTACKS: Final = "attack_success_rate"
_Listed = tuple[Path, dict[str, Any], str]  # image, record of the metadata, where it stands
_Beside = dict[Path, dict[Path, tuple[dict[str, Any], str]]]
_RAW: Final = ("images", "original_images", "prompts", "stripped_prompts", "row_ids")
OF_FOLDERS: Final = ("layout", "prompt", "cache", "only", "lpips")
"""Settings of an evaluation that do not apply to images of rows, because they determine how folders are read."""


def list_metrics() -> tuple[MetricInfo, ...]:
    """The descriptions of all metrics, including those of other packages, sorted by name."""
    return tuple(metric.INFO for metric in registry.metrics().values())


def score(
    name: str,
    /,
    *,
    backbone: str | Backbone | None = None,
    device: str | None = None,
    on_error: OnError = "raise",
    batch_size: int = 16,
    seed: int = 0,
    resamples: int = RESAMPLES,
    signature: Mapping[str, Setting] | None = None,
    looks: str | None = None,
    **inputs: Any,
) -> Score:
    """Score one metric.

    Args:
        name: a metric (`list_metrics()`).
        backbone: a spec (`clip:FOLDER_OR_ID`) or a loaded backbone, for metrics of images; by default the metric's own.
        device: device to run the backbone on; by default a GPU if available.
        on_error: what to do about unreadable images: `raise` an error, or `skip` and count them in `n_failed`.
        batch_size: number of images in memory at once; does not influence the numbers.
        seed: random seed of the bootstrap.
        resamples: number of resamples of the bootstrap.
        signature: additional fields of the signature, such as `config` or `model`.
        looks: number of this interim check and of all planned checks, such as 4/11, so that intervals are valid for
            all checks together; by default the numbers that `igmu run --until` recorded next to the images.
        **inputs: the arguments of the metric's `rows`; or `images`, `original_images` (paths or PIL images), `prompts`
            and `stripped_prompts` (texts), from which these are computed (without `ids`, equal texts count as the same
            prompt); or `images` with `row_ids` of the corpus, `original_images` and a `detector`, for metrics of whole
            models (`score_rows`).

    Returns:
        The Score; the metric's INFO explains its value and which direction is better.

    Raises:
        UnknownMetricError: the name is unknown; the message suggests similar names.
        InputError: inputs that the metric cannot use; the message says which and why.
        ImageError: an unreadable image, with `on_error="raise"`.
    """
    metric = registry.metric(name)
    fields: dict[str, Setting] = dict(signature or {})
    inputs = {n: validation.as_list(n, value) if n in _RAW else value for n, value in inputs.items()}
    how: dict[str, Any] = {"seed": seed, "resamples": resamples}
    if "row_ids" in inputs:
        images, row_ids = inputs.pop("images", ()), inputs.pop("row_ids")
        how |= {"device": device, "on_error": on_error, "batch_size": batch_size, "signature": fields, "looks": looks}
        return score_rows(name, images, row_ids, **how, **inputs)
    both = (() if inputs.get(name) is None else inputs[name] for name in ("images", "original_images"))
    look = taken(looks, *map(of_images, both))
    fields |= look.fields if look else {}
    inputs = present_names(getattr(metric, "rows", None), inputs, stacklevel=3)
    if hasattr(metric, "rows"):
        inputs = as_lists(metric.rows, inputs)
    inputs, n_failed = _by_prompt(metric, inputs), 0
    wanted = [e for e in metric.INFO.extracts if e.argument not in inputs and _available(e, inputs)]
    if wanted:
        spec = backbone or metric.INFO.backbone
        loaded = registry.backbone(spec, device=device) if isinstance(spec, str) else spec
        fields |= loaded.info.signature("backbone")
        inputs, n_failed = _extract(wanted, inputs, loaded, on_error, batch_size)
    for source in ("images", "original_images", "prompts", "stripped_prompts"):
        if source in inputs:
            raise InputError(f"{name} does not use {source!r}. See igmu_metrics.metrics.{name}.rows for its arguments.")
    _require_names(metric, inputs)
    try:
        table = _table(metric, inputs)
    except TypeError as error:  # a value of the wrong type
        raise InputError(f"{name}: {error}. See igmu_metrics.metrics.{name}.rows for its arguments.") from error
    with at_level(look.level if look else LEVEL):
        found = scored(metric, table, fields, n_failed=n_failed, **how)
    if found is None:
        raise InputError(f"{name} cannot be computed, because none of the generations passed to it count.")
    return replace(found, notes=(look.sentence(),)) if look else found


def _require_names(metric: Metric, inputs: Mapping[str, Any]) -> None:
    """Raise an error if arguments are missing or unknown."""
    if not hasattr(metric, "rows"):
        return
    name = metric.INFO.name
    takes = inspect.signature(metric.rows).parameters
    missing = [n for n, p in takes.items() if p.default is p.empty and n not in inputs]
    unknown = [n for n in inputs if n not in takes]
    if missing or unknown:
        needs = f"requires {' and '.join(missing)}" if missing else ""
        no_use = f"does not use {' or '.join(unknown)}" if unknown else ""
        told = ", and ".join(filter(None, (needs, no_use)))
        raise InputError(f"{name} {told}. Its arguments are {', '.join(takes)}.")


def _table(metric: Metric, inputs: Mapping[str, Any]) -> Generations:
    """The table of a metric's arguments; a metric without `rows` takes columns and facts by name."""
    rows = getattr(metric, "rows", None)
    if rows is not None:
        found: Generations = rows(**inputs)
        return found
    facts = {name: value for name, value in inputs.items() if isinstance(value, str | int | float | bool)}
    return Generations({name: value for name, value in inputs.items() if name not in facts}, facts)


def _by_prompt(metric: Metric, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with prompt texts as ids if there are no ids: texts that differ only in case, white space and
    Unicode form are the same prompt.
    """
    given = dict(inputs)
    texts = given.get("prompts")
    takes = inspect.signature(metric.rows).parameters if hasattr(metric, "rows") else {}
    if texts is None or "ids" not in takes or given.get("ids") is not None:
        return given
    units = [same_prompt(text) for text in validation.texts("prompts", texts).tolist()]
    given["ids"] = units
    other = next((x for n in ("original_images", "original_features") if (x := given.get(n)) is not None), ())
    if "original_ids" in takes and given.get("original_ids") is None and len(other) == len(given["ids"]):
        given["original_ids"] = units  # lists of equal length are about the same generations
    if "prompts" not in {s for e in metric.INFO.extracts for s in e.source.split("+")}:
        del given["prompts"]  # not used for anything else
    return given


def _available(extract: Extract, inputs: Mapping[str, Any]) -> bool:
    missing = [s for s in extract.source.split("+") if inputs.get(s) is None]
    if missing and extract.required:
        lost = " and ".join(missing)
        raise InputError(
            f"computing {extract.argument!r} requires {lost}. Pass {lost}, or pass {extract.argument!r} itself."
        )
    return not missing


def _extract(
    wanted: Sequence[Extract], inputs: Mapping[str, Any], backbone: Backbone, on_error: OnError, batch_size: int
) -> tuple[dict[str, Any], int]:
    """The metric's own arguments computed from images and texts, and how many generations could not be read."""
    given = dict(inputs)
    lists = {s: list(given.pop(s)) for s in sorted({s for e in wanted for s in e.source.split("+")})}
    compared = any(e.kind == "image_distance" for e in wanted)
    seen: dict[str, Mapping[str, Array]] = {}
    for source in ("images", "original_images"):
        extracted = any(e.kind == "image_features" and e.source == source for e in wanted)
        if source not in lists or (source == "original_images" and compared and not extracted):
            continue  # in the second case they are read as partners
        how: dict[str, Any] = {"backbones": {"features": backbone}} if extracted else {}
        if source == "images" and compared:
            how |= {"partners": lists["original_images"], "distance": backbone}
        seen[source] = observe(lists[source], on_error=on_error, batch_size=batch_size, **how)
    ok = {source: ~np.char.startswith(columns["status"], FAILED) for source, columns in seen.items()}
    n = len(lists.get("images", ()))
    good = list(range(n))
    # Lists of equal length are about the same generations, so an unreadable image removes its partners too.
    for readable in ok.values():
        if len(readable) == n:
            good = [i for i in good if readable[i]]
    for extract in wanted:
        parts = extract.source.split("+")
        if extract.kind == "backbone_name":
            given[extract.argument] = backbone.info.name
        elif extract.kind == "image_distance":
            given[extract.argument] = seen[parts[0]]["lpips"][good]
        elif extract.kind == "text_features":
            texts = lists[parts[0]]
            given[extract.argument] = backbone.text_features([texts[i] for i in good] if len(texts) == n else texts)
        else:
            features, readable = seen[parts[0]]["features"], ok[parts[0]]
            given[extract.argument] = features[good] if len(readable) == n else features[readable]
    for name, value in given.items():  # ids, seeds, splits: one entry per generation
        if (
            name not in {e.argument for e in wanted}
            and isinstance(value, list | tuple)
            and len(value) == n != len(good)
        ):
            given[name] = [value[i] for i in good]
    return given, n - len(good)


def score_rows(
    name: str,
    images: Sequence[Any],
    row_ids: Sequence[str],
    *,
    original_images: Sequence[Any] | None = None,
    seeds: Sequence[int] | None = None,
    budgets: Mapping[str, str | int] | None = None,
    resamples: int = RESAMPLES,
    signature: Mapping[str, Setting] | None = None,
    **options: Any,
) -> Score:
    """Score a metric of whole models (`attack_success_rate`, `forget_score`) on images of corpus rows.

    Images belong to rows by id. A `metadata.jsonl` in the folder of an image file or above it must agree with the row,
    and gives the seed; otherwise the k-th image of a row has the row's k-th seed, unless seeds are given.

    Args:
        name: the metric.
        images: (n,) images of the unlearned model, as paths or PIL images.
        row_ids: (n,) id of the corpus row for which each image was generated; all rows must belong to one concept to
            forget.
        original_images: (n,) images of the original model for the same rows and seeds, in the same order.
        seeds: (n,) seed of each image; by default the images of a row have its seeds in order.
        budgets: effort (steps, queries) of the search for adversarial prompts, by row id.
        resamples: number of resamples of the bootstrap.
        signature: further fields of the signature.
        **options: settings (`igmu_metrics.settings.Settings`): `detector`, `clip`, `features`, `k`, `threshold` …; the
            rows must belong to `config` (default `all`); that of the concept (`object.church`) loads less.

    Raises:
        UnknownIdError: an id that does not occur in the config.
        InputError: rows of several concepts, no original images, or no rows that the metric counts.
    """
    if wrong := sorted(options.keys() & set(OF_FOLDERS)):
        raise InputError(
            f"{name} does not support the option {wrong[0]!r} if images are passed directly, because this option "
            "affects only how folders are read. Leave it out."
        )
    own = ("original_images", "seeds", "budgets", "resamples", "signature")
    evaluation = Evaluation.from_keywords(name, {"config": "all"} | options, also=own)
    if original_images is None:
        raise InputError(
            f"{name} requires original_images (in a Space: original_predictions), the original model's images for the "
            "same rows and seeds, because forgetting can only be measured where the original shows the concept."
        )
    images, row_ids, original_images, seeds = (
        validation.as_list(n, value)
        for n, value in (
            ("images", images),
            ("row_ids", row_ids),
            ("original_images", original_images),
            ("seeds", seeds),
        )
    )
    if budgets is not None and not isinstance(budgets, Mapping):
        raise InputError(f"budgets has type {type(budgets).__name__}; it must map row ids to attack budgets.")
    if len(original_images) != len(images):
        raise LengthMismatchError(
            f"there are {len(images)} images, but {len(original_images)} original_images. Pass the same number of each."
        )
    if not images:
        raise EmptyInputError(f"{name}: images is empty. Pass at least one image and its row id.")
    rows = evaluation.rows()
    beside: _Beside = {}
    after, before = (
        _of_rows(each, row_ids, seeds, rows, evaluation.config, beside) for each in (images, original_images)
    )
    targets = sorted(set(after["concept"].tolist()))
    if len(targets) > 1:
        raise InputError(
            f"the rows belong to {' and '.join(targets)}, but a model is scored on one concept at a time. Pass the "
            "rows of only one concept."
        )
    if name == ATTACKS:
        after, before = with_sources(after, before, rows, beside)
    require_pairs(after, before)
    look = taken(evaluation.looks, of_images(images), of_images(original_images))
    tools = evaluation.instruments(targets[0])
    before, after = (evaluation.measured(asked(table, targets[0]), tools, name) for table in (before, after))
    table, failures = both(before, after, tools)
    if budgets is not None:
        table = table.with_columns(budget=[None if (b := budgets.get(i)) is None else str(b) for i in table["id"]])
    fields = {**evaluation.signed(table, rows), **(signature or {}), **(look.fields if look else {})}
    unscored: dict[str, str] = {}
    how: dict[str, Any] = {"k": evaluation.k, "seed": evaluation.seed, "resamples": resamples, "unscored": unscored}
    with at_level(look.level if look else LEVEL):
        found = scores(table, tools, fields=fields, n_failed=len(failures), **how)
    if name not in found:
        if name in unscored:
            raise InputError(unscored[name])
        if lost := lacking(registry.metric(name), table):
            raise InputError(f"{name} cannot be computed: {'. '.join(absent(lost, dict(tools)))}")
        given = sorted(set(after.parts.tolist()))
        used = sorted({part for parts in registry.metric(name).INFO.parts.values() for part in parts} - set(given))
        raise InputError(
            f"{name} cannot be computed, because it does not count {' or '.join(given)} rows. Add "
            f"{' or '.join(used) or 'other'} rows."
        )
    return replace(found[name], notes=(*notes(table), *doubts(table), *([look.sentence()] if look else [])))


def _of_rows(
    images: Sequence[Any],
    row_ids: Sequence[str],
    seeds: Sequence[int] | None,
    rows: Mapping[str, Row],
    config: str,
    beside: _Beside,
) -> Generations:
    if len(row_ids) != len(images):
        raise LengthMismatchError(
            f"there are {len(images)} images, but {len(row_ids)} row_ids. Pass the same number of each."
        )
    if seeds is not None and len(seeds) != len(images):
        raise LengthMismatchError(
            f"there are {len(images)} images, but {len(seeds)} seeds. Pass the same number of each."
        )
    found = []
    n_seen: dict[str, int] = {}
    for at, (image, row_id) in enumerate(zip(images, row_ids, strict=True)):
        if row_id not in rows:
            raise UnknownIdError(
                f"row_ids[{at}] is {row_id!r}, which is not the id of a row of config {config!r} ({len(rows)} rows). "
                "Check the id and the config."
            )
        row, nth = rows[row_id], n_seen.get(row_id, 0)
        n_seen[row_id] = nth + 1
        file = Path(image) if isinstance(image, str) else image
        known = _listed_beside(file, beside)
        record, where = known.get(Path(abspath(file)), ({}, "")) if known else ({}, "")
        if seeds is None and not record and nth >= len(row.seeds):
            raise InputError(
                f"row_ids[{at}] is entry {nth + 1} for row {row_id}, but this row has only {len(row.seeds)} seeds. "
                "Pass seeds as well."
            )
        seed = int(seeds[at]) if seeds is not None else record.get("seed", row.seeds[min(nth, len(row.seeds) - 1)])
        if record and (record["id"], record["seed"]) != (row_id, seed):
            raise MetadataError(
                f"{where}: {file} belongs to row {record['id']!r} and seed {record['seed']}, but entry {at} specifies "
                f"row {row_id!r} and seed {seed}. Pass all lists in the same order."
            )
        found.append((row, seed, file, record, where))
    return of_listed(found)


def with_sources(
    unlearned: Generations, original: Generations, rows: Mapping[str, Row], beside: _Beside
) -> tuple[Generations, Generations]:
    """The generations of both models, with those of the plain prompts from which adversarial prompts were made.

    Images of plain prompts that were not given are looked up in the folders of the adversarial images, by row and seed,
    in the `metadata.jsonl` that `igmu generate` writes. They are added only if both models have them.

    Args:
        unlearned: generations of the unlearned model.
        original: generations of the original model, in the same order.
        rows: rows of the config by id.
        beside: cache of the contents of folders.
    """
    given = set(unlearned.keys)
    found: dict[tuple[str, int], tuple[_Listed, _Listed]] = {}
    keyed: dict[Path, dict[tuple[str, int], _Listed]] = {}
    sources, seeds = unlearned["attack_source_id"].tolist(), unlearned["seed"].tolist()
    for key, one, other in zip(zip(sources, seeds, strict=True), unlearned["path"], original["path"], strict=True):
        if key[0] not in rows or key in given or key in found:
            continue
        images = []
        for path in (one, other):
            folder = path.parent if isinstance(path, Path) else None
            if folder is not None and folder not in keyed:
                known = _listed_beside(path, beside)
                keyed[folder] = {(r["id"], r["seed"]): (file, r, where) for file, (r, where) in known.items()}
            images += [keyed[folder][key]] if folder is not None and key in keyed[folder] else []
        if len(images) == 2:
            found[key] = (images[0], images[1])
    if not found:
        return unlearned, original
    added = [of_listed([(rows[row], seed, *pair[at]) for (row, seed), pair in found.items()]) for at in (0, 1)]
    return joined([unlearned, added[0]]), joined([original, added[1]])


def _listed_beside(image: Any, beside: _Beside) -> Mapping[Path, tuple[dict[str, Any], str]]:
    """The metadata of an image's folder by file; empty for an image in memory."""
    if not isinstance(image, Path):
        return {}
    if image.parent not in beside:
        # Images may be in subfolders by split, with the metadata in the folder above.
        above = listing_of(image)
        records = [] if above is None else listed(above, only_rows=True)
        beside[image.parent] = {Path(abspath(file)): (record, where) for file, record, where in records}
    return beside[image.parent]
