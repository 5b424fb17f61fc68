"""The Python API: `score("name", …)` gives a Score, `list_metrics()` says what there is.

A metric takes either its own numbers (labels, decisions, features; see its `rows`), or pictures and texts, from which
its numbers are computed with a backbone:

>>> s = score("concept_accuracy", predictions=["object/none"], references=["object/church"], target="object/church")
>>> s.value, s.n_generations
(1.0, 1)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from igmu_data.errors import InputError
from igmu_metrics import registry
from igmu_metrics.contract import Extract, MetricInfo, Score
from igmu_metrics.networks.instruments import Backbone
from igmu_metrics.networks.observe import Observed, OnError, observe
from igmu_metrics.signing import RESAMPLES, Fields, finish


def list_metrics() -> tuple[MetricInfo, ...]:
    """What every metric is, sorted by name."""
    return tuple(registry.metric(name).INFO for name in registry.names("metrics"))


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
    signature: Fields | None = None,
    **inputs: Any,
) -> Score:
    """Score one metric.

    Args:
        name: a metric (`list_metrics()`).
        backbone: spec (`clip:FOLDER_OR_ID`) or a loaded backbone, for metrics of pictures; the metric's own by default.
        device: where the backbone runs; a GPU where there is one by default.
        on_error: what an unreadable picture means: `raise`, or `skip` and count it in `n_failed`.
        batch_size: pictures in memory at once; no influence on the numbers.
        seed: of the bootstrap.
        resamples: of the bootstrap.
        signature: further fields of the signature, such as `config` or `model`.
        **inputs: the arguments of the metric's `rows`; or `images`, `original_images` (paths or PIL images), `prompts`
            and `stripped_prompts` (texts), from which those are computed; or `images` with `row_ids` of the corpus,
            `original_images` and a `detector`, for metrics of whole models (`igmu_metrics.row_images.score_rows`).

    Returns:
        The Score; what its value means and which direction is better stands in the metric's INFO.

    Raises:
        UnknownMetricError: with the nearest names.
        InputError: inputs that the metric cannot use; the message says which and why.
        ImageError: an unreadable picture, with `on_error="raise"`.
    """
    metric = registry.metric(name)
    fields: dict[str, str | int | float | bool] = dict(signature or {})
    if "row_ids" in inputs:
        from igmu_metrics.row_images import check_options, score_rows

        images, row_ids = inputs.pop("images", ()), inputs.pop("row_ids")
        check_options(name, inputs)
        return score_rows(
            name,
            images,
            row_ids,
            device=device,
            on_error=on_error,
            batch_size=batch_size,
            seed=seed,
            resamples=resamples,
            signature=fields,
            **inputs,
        )
    n_failed = 0
    wanted = [e for e in metric.INFO.extracts if e.argument not in inputs and _available(e, inputs)]
    if wanted:
        spec = backbone or metric.INFO.backbone
        loaded = registry.backbone(spec, device=device) if isinstance(spec, str) else spec
        fields |= loaded.info.signature("backbone")
        inputs, n_failed = _extract(wanted, inputs, loaded, on_error, batch_size)
    for source in ("images", "original_images", "prompts", "stripped_prompts"):
        if source in inputs:
            raise InputError(
                f"{name} has no use for {source!r}. See igmu_metrics.metrics.{name}.rows for its arguments."
            )
    try:
        rows = metric.rows(**inputs)
    except TypeError as error:  # a missing or unknown keyword: say it in the user's terms
        raise InputError(f"{name}: {error}. See igmu_metrics.metrics.{name}.rows.") from error
    return finish(metric, rows, fields, n_failed=n_failed, seed=seed, resamples=resamples)


def _available(extract: Extract, inputs: Mapping[str, Any]) -> bool:
    missing = [s for s in extract.source.split("+") if inputs.get(s) is None]
    if missing and extract.required:
        raise InputError(f"no {' and no '.join(missing)}: give {extract.argument!r} itself, or {extract.source}.")
    return not missing


def _extract(
    wanted: Sequence[Extract], inputs: Mapping[str, Any], backbone: Backbone, on_error: OnError, batch_size: int
) -> tuple[dict[str, Any], int]:
    """The metric's own arguments computed from pictures and texts, and how many generations could not be read."""
    given = dict(inputs)
    lists = {s: list(given.pop(s)) for s in sorted({s for e in wanted for s in e.source.split("+")})}
    compared = any(e.kind == "image_distance" for e in wanted)
    seen: dict[str, Observed] = {}
    for source in ("images", "original_images"):
        extracted = any(e.kind == "image_features" and e.source == source for e in wanted)
        if source not in lists or (source == "original_images" and compared and not extracted):
            continue  # in the latter case read as partners
        how: dict[str, Any] = {"backbones": {"x": backbone}} if extracted else {}
        if source == "images" and compared:
            how |= {"partners": lists["original_images"], "distance": backbone}
        seen[source] = observe(lists[source], on_error=on_error, batch_size=batch_size, **how)
    n = len(lists.get("images", ()))
    good = list(range(n))
    # Lists of one length are about the same generations, so that one unreadable picture takes its partners with it.
    for observed in seen.values():
        if len(observed.ok) == n:
            good = [i for i in good if observed.ok[i]]
    for extract in wanted:
        parts = extract.source.split("+")
        if extract.kind == "backbone_name":
            given[extract.argument] = backbone.info.name
        elif extract.kind == "image_distance":
            measured = seen[parts[0]].distances
            assert measured is not None  # they were asked for above
            given[extract.argument] = measured[good]
        elif extract.kind == "text_features":
            texts = lists[parts[0]]
            given[extract.argument] = backbone.text_features([texts[i] for i in good] if len(texts) == n else texts)
        else:
            features, ok = seen[parts[0]].features["x"], seen[parts[0]].ok
            given[extract.argument] = features[good] if len(ok) == n else features[ok]
    for name, value in given.items():  # ids, seeds, splits: one entry a generation
        if (
            name not in {e.argument for e in wanted}
            and isinstance(value, list | tuple)
            and len(value) == n != len(good)
        ):
            given[name] = [value[i] for i in good]
    return given, n - len(good)
