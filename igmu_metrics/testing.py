"""Checks for authors of metrics, detectors and backbones: does a plugin conform to igmu's contracts?

Conventions: a check tests everything before it reports: one `ConformanceError` lists all problems. It requires no test
framework, network or images; give your own table or images to check more than the samples can.

    from igmu_metrics.testing import check_metric

    def test_my_metric() -> None:
        check_metric(my_metric)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import inf, isclose, isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from igmu_data.errors import IgmuError
from igmu_data.rows.far import far
from igmu_data.schema import COMPOSITION, NEGATION, SUPERCLASS
from igmu_data.taxonomy import concept, near
from igmu_metrics import registry
from igmu_metrics.contract import Estimate, Result, faults, one_line
from igmu_metrics.generations import ORIGINAL, Generations, column
from igmu_metrics.metrics._contract import parts
from igmu_metrics.networks.instruments import Batch, InstrumentInfo

if TYPE_CHECKING:
    from PIL.Image import Image

TARGET: Final = "object/church"
_UNKNOWN: Final = "object/nothing-that-anybody-knows"
_PROMPTS: Final = 12  # of each kind: fewer have no interval in many metrics
_MASKED: Final = ("number", "flag")
_RESAMPLES: Final = 200
_SAME: Final = 1e-9
_ALIKE: Final = 1e-5  # of what a network gives in batches of other sizes


class ConformanceError(IgmuError, AssertionError):
    """The plugin does not conform to igmu's contract; the message lists all problems."""

    def __init__(self, what: str, wrong: Sequence[str]) -> None:
        self.wrong = tuple(wrong)
        super().__init__("\n- ".join([f"{what}: {len(wrong)} problem{'s' * (len(wrong) > 1)} to fix", *wrong]))


def check_metric(module: Any, table: Generations | None = None) -> None:
    """Check a metric against the contract of metrics.

    Args:
        module: the metric: `INFO`, `NEEDS`, `score`, and possibly `USES` and `rows`.
        table: the table to score; by default `sample_table()`, which has all columns in `COLUMNS`. Give one if the
            metric requires its own columns, which is possible if `INFO.parts` is empty.

    Raises:
        ConformanceError: the metric does not conform; the message lists all problems.
    """
    name = getattr(getattr(module, "INFO", None), "name", "metric")
    wrong = registry.faults("metrics", module, name)
    if not wrong:
        given = sample_table() if table is None else table
        missing = [name for name in module.NEEDS if name not in given]
        wrong = [f"the table does not contain the columns {', '.join(missing)}, which are in NEEDS"] if missing else []
        wrong += [] if wrong else _scored(module, given)
    if wrong:
        raise ConformanceError(f"metric {name}", wrong)


def check_detector(detector: Any, images: Sequence[Any] | None = None) -> None:
    """Check a detector against the contract of detectors.

    Args:
        detector: a loaded detector, or a module whose `load(None)` works without an argument.
        images: at least three paths or PIL images; by default `sample_images()`. A detector that identifies images by
            their paths requires paths.

    Raises:
        ConformanceError: the detector does not conform; the message lists all problems.
    """
    _check("detectors", detector, images, {"threshold": None}, _detects)


def check_backbone(backbone: Any, images: Sequence[Any] | None = None) -> None:
    """Check a backbone against the contract of backbones.

    Args:
        backbone: a loaded backbone, or a module whose `load(None)` works without an argument.
        images: at least three paths or PIL images; by default `sample_images()`.

    Raises:
        ConformanceError: the backbone does not conform; the message lists all problems.
    """
    _check("backbones", backbone, images, {}, _embeds)


def sample_table() -> Generations:
    """A small table with all columns of both models, masked decisions, attacks, near and far concepts, all parts."""
    draw = np.random.default_rng(0)
    target = concept(TARGET)
    others = {"near": near(target)[:3], "far": far(target)[:3]}
    rows: list[dict[str, Any]] = []
    for split, probe in (
        ("forget", "direct"),
        ("adversarial", "attack"),
        ("forget", NEGATION),
        ("forget", COMPOSITION),
        ("retain", SUPERCLASS),
        ("retain", "near"),
        ("retain", "far"),
    ):
        for i in range(_PROMPTS):
            own = others[probe][i % 3] if probe in others else target.id
            row = {"split": split, "probe": probe, "own_concept": own, "id": f"{probe}-{i:02d}"}
            if probe == "attack":
                row |= {"attack_family": ("synonym", "typo")[i % 2], "attack_source_id": f"direct-{i:02d}"}
            rows += [{**row, "seed": seed} for seed in (0, 1)]
    n = len(rows)
    kept = np.array([row["probe"] in others for row in rows])
    columns: dict[str, Any] = {name: [row.get(name) for row in rows] for name in rows[0] | {"attack_family": 0}}
    columns["attack_source_id"] = [row.get("attack_source_id") for row in rows]
    columns |= {"concept": [target.id] * n, "family": [target.family] * n}
    columns["own_name"] = [row["own_concept"].partition("/")[2] if row["probe"] in others else None for row in rows]
    columns["prompt"] = [f"an image of {row['own_concept'].partition('/')[2]}, {row['id']}" for row in rows]
    columns["stripped_prompt"] = [f"an image, {row['id']}" for row in rows]
    for suffix, shown in (("", np.where(kept, 0.8, 0.25)), (ORIGINAL, np.full(n, 0.85))):
        probability = np.ma.MaskedArray(np.clip(draw.normal(shown, 0.2), 0, 1), mask=draw.random(n) < 0.1)
        columns[f"probability{suffix}"] = probability
        columns[f"present{suffix}"] = np.ma.MaskedArray(probability.data >= 0.5, mask=probability.mask)
        columns[f"status{suffix}"] = np.where(probability.mask, "unclear", "ok")
        columns[f"alignment{suffix}"] = np.ma.MaskedArray(draw.uniform(0.1, 0.4, n), mask=False)
        columns[f"stripped_alignment{suffix}"] = np.ma.MaskedArray(draw.uniform(0.1, 0.4, n), mask=False)
        columns[f"reward{suffix}"] = np.ma.MaskedArray(draw.normal(20, 2, n), mask=draw.random(n) < 0.1)
        columns[f"align_features{suffix}"] = draw.normal(1, 1, (n, 4))
        columns[f"answered{suffix}"] = np.ma.MaskedArray(draw.integers(0, 5, n) / 4, mask=draw.random(n) < 0.1)
        columns[f"features{suffix}"], columns[f"clip_features{suffix}"] = draw.normal(1, 1, (2, n, 4))
        columns[f"sha256{suffix}"] = [f"{i:064x}" for i in draw.integers(2**60, size=n)]
        columns |= {f"format{suffix}": ["PNG"] * n, f"mode{suffix}": ["RGB"] * n}
        columns |= {f"width{suffix}": [512] * n, f"height{suffix}": [512] * n}
        columns[f"path{suffix}"] = [Path(f"{row['id']}_{row['seed']}.png") for row in rows]
    columns["lpips"] = np.ma.MaskedArray(draw.uniform(0, 1, n), mask=draw.random(n) < 0.1)
    facts = {"target": target.id, "near": ",".join(near(target)), "feature_name": "clip:sample"}
    return Generations(columns, facts)


def sample_images() -> list[Image]:
    """Six RGB noise images of several sizes, the same ones each time."""
    from PIL import Image

    draw = np.random.default_rng(0)
    sizes = ((64, 64), (64, 64), (80, 48), (48, 80), (64, 64), (128, 128))
    return [Image.fromarray(draw.integers(0, 256, (h, w, 3), dtype=np.uint8)) for w, h in sizes]


def _scored(module: Any, table: Generations) -> Iterator[str]:
    """Problems with the figures of each part."""
    found = 0
    for part, seen in parts(module, table) if module.INFO.parts else [("", table)]:
        where = f"part {part!r}: " if part else ""
        before = {name: _content(values) for name, values in seen.columns.items()}
        try:
            result = _score(module, seen)
            found += result is not None
            if changed := [name for name, values in seen.columns.items() if _content(values) != before[name]]:
                yield f"{where}score changes the table it is given: {', '.join(changed)}"
                continue
            wrong = [] if result is None else faults(result, info=module.INFO, n=len(seen))
            for one in (*wrong, *_laws(module, seen, result)):
                yield where + one
        except Exception as error:
            yield f"{where}score raises {one_line(error)}"
    if not found:
        yield "no part of the table gives a score; give a table that contains something to count"


def _score(module: Any, table: Generations, seed: int = 0) -> Result | None:
    result: Result | None = module.score(table, seed=seed, resamples=_RESAMPLES)
    return result


def _laws(module: Any, table: Generations, result: Result | None) -> Iterator[str]:
    """Problems with properties that every metric must have, whatever it measures."""
    if result is not None and faults(result):
        return
    if unlike := _unlike(result, _score(module, table), tolerance=0.0):
        yield f"scoring twice with the same seed gives different results ({unlike}); use only the seed for randomness"
    order = np.random.default_rng(1).permutation(len(table))
    if unlike := _unlike(result, _score(module, table.where(order)), tolerance=_SAME):
        yield f"a different order of the rows gives different results ({unlike})"
    hidden = {name: v for name, v in table.columns.items() if _may_be_masked(name) and np.ma.getmaskarray(v).any()}
    if hidden and (unlike := _unlike(result, _score(module, table.with_columns(**_spoilt(hidden))), tolerance=_SAME)):
        yield f"the result depends on masked values of {', '.join(hidden)} ({unlike}), but these were not measured"
    masked = {n: np.ma.MaskedArray(np.ma.getdata(v), mask=True) for n, v in table.columns.items() if _may_be_masked(n)}
    emptied = {"an empty table": table.where([])}
    if masked:
        emptied[f"{', '.join(masked)} masked throughout"] = table.with_columns(**masked)
    for what, given in emptied.items():
        try:
            nothing = _score(module, given)
        except IgmuError:
            continue  # a typed refusal is an answer
        except Exception as error:
            yield f"with {what}, score raises {one_line(error)}; it must return None, or NaN with a reason"
            continue
        if nothing is not None and not isnan(nothing.headline.value) and set(masked) & set(module.NEEDS):
            yield f"with {what}, the headline is {nothing.headline.value:g}, although nothing was measured"


def _may_be_masked(name: str) -> bool:
    known = column(name)
    return known is not None and known.kind in _MASKED


def _spoilt(columns: Mapping[str, Any]) -> dict[str, Any]:
    """The columns with other values where they are masked."""
    out = {}
    for name, values in columns.items():
        data, mask = np.ma.getdata(values).copy(), np.ma.getmaskarray(values)
        data[mask] = ~data[mask] if data.dtype == np.bool_ else 1.0 - data[mask]
        out[name] = np.ma.MaskedArray(data, mask=mask)
    return out


def _content(values: Any) -> Any:
    mask = np.ma.getmaskarray(values).tobytes()
    data = np.ma.getdata(values)
    return mask, list(data) if data.dtype == object else data.tobytes()


def _unlike(one: Result | None, other: Result | None, *, tolerance: float) -> str:
    """How two results differ; "" if they do not."""
    if one is None or other is None:
        return "" if one is other else "only one of the results is None"
    if set(one.figures) != set(other.figures):
        return f"the figures are {', '.join(one.figures)} and {', '.join(other.figures)}"
    for name, figure in one.figures.items():
        if not all(isclose(a, b, rel_tol=tolerance, abs_tol=tolerance) or (isnan(a) and isnan(b))
                   for a, b in zip(_numbers(figure), _numbers(other.figures[name]), strict=True)):  # fmt: skip
            return f"figure {name!r} is {_told(figure)} and {_told(other.figures[name])}"
    if dict(one.settings) != dict(other.settings) or one.n_failed != other.n_failed:
        return "settings or n_failed differ"
    return ""


def _numbers(figure: Estimate) -> tuple[float, ...]:
    ends = figure.interval or (inf, inf)
    return (figure.value, *ends, figure.n_prompts, figure.n_generations)


def _told(figure: Estimate) -> str:
    return f"{figure.value!r} {figure.interval} of {figure.n_prompts} prompts, {figure.n_generations} generations"


def _check(
    group: str,
    given: Any,
    images: Sequence[Any] | None,
    options: Mapping[str, Any],
    look: Callable[[Any, Sequence[Path], Sequence[Image]], Iterable[str]],
) -> None:
    """Load a detector or backbone if a module is given, and check it and its description."""
    kind = group.removesuffix("s")
    name = getattr(given, "__name__", type(given).__name__)
    instrument, wrong = given, []
    if not hasattr(given, "info"):
        wrong = registry.faults(group, given)
        if not wrong:
            try:
                instrument = given.load(None, device="cpu", precision="fp32", **options)
            except Exception as error:
                wrong = [f"load(None) raises {one_line(error)}; give a loaded {kind} instead of a module"]
    if not wrong:
        wrong = list(_described(instrument, kind))
        paths, opened = _images(images)
        try:
            wrong += look(instrument, paths, opened)
        except Exception as error:
            wrong.append(f"it raises {one_line(error)}")
    if wrong:
        raise ConformanceError(f"{kind} {name}", wrong)


def _images(images: Sequence[Any] | None) -> tuple[list[Path], list[Image]]:
    from PIL import Image

    given = sample_images() if images is None else list(images)
    paths = [Path(i) if isinstance(i, str | Path) else Path(f"[{at}]") for at, i in enumerate(given)]
    return paths, [Image.open(i).convert("RGB") if isinstance(i, str | Path) else i for i in given]


def _described(instrument: Any, kind: str) -> Iterator[str]:
    info = getattr(instrument, "info", None)
    if not isinstance(info, InstrumentInfo):
        yield f"info has type {type(info).__name__}, not InstrumentInfo"
        return
    for name in ("name", "revision", "preparation"):
        if not isinstance(text := getattr(info, name), str) or not text.strip():
            yield f"info.{name} is {text!r}; it must be a non-empty string, because signatures contain it"
    if kind == "detector" and (info.threshold is None or not 0 <= info.threshold <= 1):
        yield f"info.threshold is {info.threshold!r}; it must be the probability from which a concept counts as present"
    if kind == "backbone" and info.threshold is not None:
        yield f"info.threshold is {info.threshold!r}; it must be None, because a backbone makes no decisions"
    for name in ("sensitivity", "specificity"):
        if (rate := getattr(info, name)) is not None and not 0 <= rate <= 1:
            yield f"info.{name} is {rate!r}; it must be a fraction in 0..1"
    for setting, value in info.settings.items():
        if type(value) not in (str, int, float, bool):
            yield f"info.settings[{setting!r}] has type {type(value).__name__}, which is not a plain value"
    try:
        instrument.info = replace(info)
    except AttributeError:
        yield "info cannot be set, but evaluations store error rates and the package's name in it"


def _detects(detector: Any, paths: Sequence[Path], images: Sequence[Image]) -> Iterator[str]:
    known = detector.info.concepts
    concepts = [TARGET, "object/castle"] if known is None else sorted(known)[:2]
    n, before = len(paths), [i.tobytes() for i in images]

    def ask(at: Sequence[int], asked: Sequence[str]) -> Any:
        return detector.probabilities(Batch([paths[i] for i in at], [images[i] for i in at]), asked)

    found = ask(range(n), concepts)
    if not isinstance(found, np.ma.MaskedArray):
        yield f"probabilities has type {type(found).__name__}; it must be a masked array, with unclear values masked"
        return
    if found.shape != (n, len(concepts)):
        shape = (n, len(concepts))
        yield f"probabilities of {n} images and {len(concepts)} concepts have shape {found.shape}, not {shape}"
        return
    seen = found.compressed().astype(float)
    if found.dtype != np.float64:
        yield f"probabilities are {found.dtype}, not float64"
    if not (np.isfinite(seen) & (seen >= 0) & (seen <= 1)).all():
        yield "a probability is NaN or not in 0..1; mask unclear values"
    if not _equal(found, ask(range(n), concepts), 0.0):
        yield "the same images get different probabilities the second time"
    if not _equal(found, np.ma.concatenate([ask([i], concepts) for i in range(n)]), _ALIKE):  # type: ignore[no-untyped-call]
        yield "a single image gets a different probability than in a batch"
    if not _equal(found[::-1], ask(range(n)[::-1], concepts), _ALIKE):
        yield "in a different order, images get different probabilities"
    if not _equal(found[:, ::-1], ask(range(n), concepts[::-1]), _ALIKE):
        yield "in a different order, concepts get different probabilities"
    if ask([], concepts).shape != (0, len(concepts)):
        yield f"without images, probabilities have shape {ask([], concepts).shape}, not (0, {len(concepts)})"
    if known is not None and not np.ma.getmaskarray(ask(range(n), [_UNKNOWN])).all():
        yield f"{_UNKNOWN} is not one of info.concepts, but gets a probability; mask it"
    if [i.tobytes() for i in images] != before:
        yield "probabilities changes the images that it is given"


def _embeds(backbone: Any, _: Sequence[Path], images: Sequence[Image]) -> Iterator[str]:
    before, n = [i.tobytes() for i in images], len(images)
    texts = ["a church", "a dog in a meadow", "a church"]
    widths = []
    for method, given in (("image_features", images), ("text_features", texts)):
        found = _asked(backbone, method, given)
        if found is None:
            continue
        if found.ndim != 2 or len(found) != len(given) or found.dtype != np.float64 or not np.isfinite(found).all():
            what = f"has shape {found.shape} and type {found.dtype}"
            yield f"{method} of {len(given)} items {what}; it must be finite float64 of shape (n, d)"
            continue
        widths.append(found.shape[1])
        if not _equal(found, _asked(backbone, method, given), 0.0):
            yield f"{method}: the same items get different features the second time"
        if not _equal(found, np.concatenate([_asked(backbone, method, [one]) for one in given]), _ALIKE):
            yield f"{method}: a single item gets different features than in a batch"
    distances = _asked(backbone, "image_distance", images, images[::-1])
    if distances is not None:
        if distances.shape != (n,) or not np.isfinite(distances).all() or (distances < 0).any():
            shape = distances.shape
            yield f"image_distance of {n} pairs has shape {shape}; it must be finite, not negative, of shape (n,)"
        elif np.abs(_asked(backbone, "image_distance", images, images)).max() > _ALIKE:
            yield "image_distance of an image to itself is not 0"
    elif not widths:
        yield "it has neither image_features nor text_features nor image_distance"
    if len(set(widths)) > 1:
        yield f"features of images and texts have {widths} numbers; they must be in the same space"
    if [i.tobytes() for i in images] != before:
        yield "it changes the images that it is given"


def _asked(backbone: Any, method: str, *given: Any) -> Any:
    """The result of a method; None if the backbone does not have it."""
    function = getattr(backbone, method, None)
    try:
        return None if function is None else function(*given)
    except NotImplementedError:
        return None


def _equal(one: Any, other: Any, tolerance: float) -> bool:
    """Whether two arrays have the same values and masks."""
    masks = np.ma.getmaskarray(one), np.ma.getmaskarray(other)
    if one.shape != other.shape or not np.array_equal(*masks):
        return False
    values = [np.ma.filled(np.ma.asarray(array), 0.0) for array in (one, other)]
    scale = max(1.0, float(np.abs(values[0]).max(initial=0.0)))
    return bool(np.abs(values[0] - values[1]).max(initial=0.0) <= tolerance * scale)
