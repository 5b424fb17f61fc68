"""The definition of a metric and its results.

Conventions, used everywhere in this package:

- A *generation* is one image: one prompt, one seed, one model. Its id is `(row_id, seed)`; `row_id` names the prompt.
- Fractions are in 0..1, never percentages. `p(x)` is always the probability that the concept is **present**.
- Arrays of per-generation values have the order of the given generations; no metric depends on this order.
- A value that could not be determined (such as a human label `unclear`) is **masked**, never NaN. NaN is an error.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isnan
from types import MappingProxyType
from typing import Any, ClassVar, Final, Literal, Protocol, TypeVar, cast, runtime_checkable

import numpy as np
import numpy.typing as npt

from igmu_data import __version__
from igmu_data.errors import IgmuError, PluginError
from igmu_data.schema import ASIDE, SPLITS

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Interval = tuple[float, float]
Direction = Literal["higher", "lower"]
FeatureKind = Literal["image_features", "text_features", "image_distance", "backbone_name"]
RESAMPLES: Final = 2000
Setting = str | int | float | bool
_MAX: Final = 1e308  # of a number in a scorecard
_MAX_WHOLE: Final = 2**63
_SAME: Final = 1e-9  # rounding of a value and the ends of its interval
CROSS: Final = "cross-domain"
"""Probe of a second entry for an image, in another domain; metrics that read images ignore it."""
PARTS: Final = (*SPLITS, *ASIDE, CROSS)
"""The parts into which generations are divided: the splits, and each separately counted probe, whatever its split."""
WHOLE: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({"": SPLITS})
"""The parts of a metric that is scored once, on everything except the separately counted probes."""
UNIT: Final = "unit"
IMAGE: Final = "image"
"""Fact of a table without prompts: `rows` was given neither ids nor prompt texts."""
_TAKEN: Final = (
    "every image was counted as a separate prompt; pass ids, because images of one prompt are not independent"
)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Extract:
    """How an argument of a metric's `rows` is computed from raw inputs if the caller has no arrays.

    Args:
        argument: the parameter of `rows`.
        source: the raw input: `images`, `original_images`, `prompts`, `stripped_prompts`, or `images+original_images`
            for a distance.
        kind: the backbone's method: `image_features`, `text_features` or `image_distance`; or `backbone_name` for a
            metric that must know which backbone computed its features.
        required: whether `rows` requires the argument.
    """

    argument: str
    source: str
    kind: FeatureKind
    required: bool = True


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """The description of a metric, which cards, Spaces, the command line and tests use; each module in
    `igmu_metrics.metrics` has one.

    Args:
        name: name of the module and of the Space (`igmu/<name>`).
        version: integer, increased whenever the numbers change.
        title: title of a few words.
        summary: one sentence.
        headline: the figure that becomes `Score.value`.
        direction: whether a higher or a lower `value` is better for an unlearned model.
        range: smallest and largest possible `value`.
        parts: the generations on which it is scored: for each part ("" for a score with the metric's own name), the
            `PARTS` that belong to it (docs/reference/plugins.md lists them). If it is empty, the metric is never
            scored in an evaluation, only by `igmu_metrics.score`, and may have its own columns.
        place: its position on a card; smaller numbers come first.
        backbone: name of the default backbone, or "" if the metric needs none.
        extracts: how arguments of `rows` are computed from images and prompts; empty for metrics of labels and
            decisions.
        references: papers and implementations on which the metric is based.
        limits: its limitations, in one or two sentences.
        figures: for each figure, a one-sentence definition that readers of a report can understand without further
            explanation; figures of a family or part are named without it.
    """

    name: str
    version: int
    title: str
    summary: str
    headline: str
    direction: Direction
    range: tuple[float, float]
    references: tuple[str, ...]
    limits: str
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: WHOLE)
    place: int = 60
    backbone: str = ""
    extracts: tuple[Extract, ...] = ()
    figures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Estimate:
    """One figure with its uncertainty.

    Args:
        value: the value; NaN if it is not defined for the given rows (`reason` says why).
        interval: 95% interval (low, high), or None if there is none.
        n_prompts: number of distinct prompts.
        n_generations: number of generations.
        reason: why there is no value or interval, or a warning; "" if there is nothing to report.
    """

    value: float
    interval: Interval | None = None
    n_prompts: int = 0
    n_generations: int = 0
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The same as plain Python types that JSON supports; NaN becomes None."""
        out: dict[str, Any] = {"value": plain(self.value)}
        out["interval"] = None if self.interval is None else [plain(self.interval[0]), plain(self.interval[1])]
        out |= {"n_prompts": self.n_prompts, "n_generations": self.n_generations}
        return out | ({"reason": self.reason} if self.reason else {})


class Table(Protocol):
    """The input of a metric: columns by name, with one entry per generation, and facts that apply to all of them.

    `igmu_metrics.generations.Generations` implements it. docs/reference/plugins.md lists its columns, facts and types.
    """

    facts: Mapping[str, Setting]

    def __len__(self) -> int: ...

    def __contains__(self, name: str) -> bool: ...

    def __getitem__(self, name: str) -> npt.NDArray[Any]: ...


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a metric's `score`: the headline and all named figures.

    Args:
        headline: the estimate that becomes `Score.value`.
        figures: all named figures, including the headline under its own name.
        settings: all decisions made during scoring that can change a number; they become part of the signature.
        n_failed: number of generations in the table that could not be scored.
    """

    headline: Estimate
    figures: Mapping[str, Estimate]
    settings: Mapping[str, Setting] = field(default_factory=dict)
    n_failed: int = 0


@dataclass(frozen=True)
class Signature:
    """Everything that can change a number, as sorted `key:value` pairs.

    Two scores can be compared only if all fields agree, except the model, the interim looks and, if the rows are the
    same, where the corpus came from.

    >>> print(Signature({"metric": "frechet", "v": 1}))
    metric:frechet|v:1
    """

    fields: Mapping[str, Setting]
    MODEL_FIELDS: ClassVar[frozenset[str]] = frozenset({"model"})
    LOOKS: ClassVar[str] = "looks."
    PLACE_FIELDS: ClassVar[frozenset[str]] = frozenset({"dataset", "dataset.revision"})
    # Recorded, but scores can still be compared: like the device, it changes one in ten thousand pixel values by 1/255.
    ROUNDING_FIELDS: ClassVar[frozenset[str]] = frozenset({"generated.rounding"})

    def __post_init__(self) -> None:
        object.__setattr__(self, "fields", MappingProxyType(dict(sorted(self.fields.items()))))

    def __str__(self) -> str:
        return "|".join(f"{k}:{_short(v)}" for k, v in self.fields.items())

    def differences(self, other: Signature) -> dict[str, tuple[Any, Any]]:
        """Fields in which two signatures differ, except model and looks, with both values (None if absent)."""
        keys = (set(self.fields) | set(other.fields)) - self.MODEL_FIELDS - self.ROUNDING_FIELDS
        keys = {k for k in keys if not k.startswith(self.LOOKS)}
        if self.fields.get("dataset.rows", "") == other.fields.get("dataset.rows"):
            keys -= self.PLACE_FIELDS
        return {
            k: (self.fields.get(k), other.fields.get(k))
            for k in sorted(keys)
            if self.fields.get(k) != other.fields.get(k)
        }


@dataclass(frozen=True, slots=True)
class Score:
    """A result with everything needed to interpret it: value, 95% interval, counts, failures and signature.

    Args:
        name: the metric.
        value: the headline figure (see `MetricInfo.headline`), NaN if it is not defined.
        interval: 95% interval of `value`, or None if there is none.
        n_prompts: number of distinct prompts for `value`.
        n_generations: number of generations for `value`.
        n_failed: generations that could not be scored; never counted as forgotten, safe or retained.
        signature: all settings and inputs that can change the value.
        figures: all named figures of the metric.
        notes: notes about the images for readers.
    """

    name: str
    value: float
    interval: Interval | None
    n_prompts: int
    n_generations: int
    n_failed: int
    signature: Signature
    figures: Mapping[str, Estimate]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The same as plain Python types that JSON supports; NaN becomes None."""
        return {
            "name": self.name,
            "value": plain(self.value),
            "interval": None if self.interval is None else [plain(v) for v in self.interval],
            "n_prompts": self.n_prompts,
            "n_generations": self.n_generations,
            "n_failed": self.n_failed,
            "signature": dict(self.signature.fields),
            "figures": {k: v.to_dict() for k, v in self.figures.items()},
        } | ({"notes": list(self.notes)} if self.notes else {})


@runtime_checkable
class Metric(Protocol):
    """A module in `igmu_metrics.metrics` or in another package. It gets a table and never sees images.

    It is scored on every part of an evaluation that has generations and all columns in `NEEDS`; optional columns are in
    `USES`. A module may also have `rows(**arguments)`, which makes the table from its own arguments. For modules in
    other packages, the registry sets `PACKAGE`, which is in every signature.
    """

    INFO: MetricInfo
    NEEDS: tuple[str, ...]

    def score(self, table: Table, *, seed: int = 0, resamples: int = 2000) -> Result | None:
        """The figures, with seeded intervals; None if the table has nothing to count."""


def scored(
    metric: Metric,
    table: Table,
    fields: Mapping[str, Setting],
    *,
    n_failed: int = 0,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Score | None:
    """Score a table and sign the result with everything that can change it.

    Args:
        metric: the module.
        table: the table to score.
        fields: fields of the signature: model, config, dataset, detector …
        n_failed: number of generations that failed before the table was made.
        seed: of the bootstrap.
        resamples: of the bootstrap.

    Returns:
        The score; None if the table has nothing to count.

    Raises:
        PluginError: a metric of another package failed, or returned an invalid result.
    """
    package = str(getattr(metric, "PACKAGE", ""))
    try:
        result = metric.score(table, seed=seed, resamples=resamples)
    except IgmuError:
        raise
    except Exception as error:
        if not package:
            raise
        why = f"score() failed ({placed(error, getattr(metric.score, '__module__', ''))})"
        raise PluginError(metric.INFO.name, package, why) from error
    if result is None:
        return None
    signed: dict[str, Setting] = {
        "metric": metric.INFO.name,
        "v": metric.INFO.version,
        "igmu": __version__,
        "bootstrap": f"{resamples}@{seed}",
        **({"metric.package": package} if package else {}),
        **fields,
    }
    if package and (wrong := faults(result, signed, metric.INFO, len(table))):
        raise PluginError(metric.INFO.name, package, f"score() returned an invalid result: {'; '.join(wrong)}")
    signed |= result.settings
    figures, headline = dict(result.figures), result.headline
    if table.facts.get(UNIT) == IMAGE:
        # Only in the headline, wherever it is among the figures, because once is enough.
        noted = replace(headline, reason="; ".join(filter(None, (headline.reason, _TAKEN))))
        figures = {name: noted if figure is headline else figure for name, figure in figures.items()}
    return Score(
        name=metric.INFO.name,
        value=headline.value,
        interval=headline.interval,
        n_prompts=headline.n_prompts,
        n_generations=headline.n_generations,
        n_failed=result.n_failed + n_failed,
        signature=Signature(signed),
        figures=figures,
    )


def faults(
    result: Any,
    signed: Mapping[str, Setting] = MappingProxyType({}),
    info: MetricInfo | None = None,
    n: int | None = None,
) -> list[str]:
    """What is wrong with a metric's result, so that it cannot be part of a scorecard.

    Args:
        result: what `score` returned.
        signed: fields of the signature that settings cannot change: the model, the metric, its version …
        info: description of the metric, which the result must match; None to check the result alone.
        n: number of rows of the table that was scored; None if it is unknown.

    >>> faults(Result(Estimate(0.5), {"mine": Estimate(float("nan"))}, {"ids": ["a"]}))
    ['the headline is not among the figures', "figure 'mine': NaN without a reason", "setting 'ids' has type list"]
    """
    if not isinstance(result, Result):
        return [f"its type is {type(result).__name__}; it must be Result or None"]
    figures: Any = result.figures
    if not isinstance(figures, Mapping) or not isinstance(cast(Any, result.settings), Mapping):
        return ["its figures or settings are not a mapping"]
    found = [f"the name {name!r} is not a valid string" for name in (*figures, *result.settings) if not _is_name(name)]
    if not any(f is result.headline or f == result.headline for f in figures.values()):
        found.append("the headline is not among the figures")
    for name, figure in figures.items():
        if not isinstance(figure, Estimate):
            found.append(f"figure {name!r} has type {type(figure).__name__}, not Estimate")
            continue
        interval: Any = figure.interval if figure.interval is not None else (0.0, 0.0)
        if not isinstance(interval, tuple) or len(interval) != 2:
            found.append(f"figure {name!r}: {interval!r} is not an interval")
            continue
        numbers = (figure.value, *interval)
        if not all(isinstance(v, float | int) for v in numbers):
            found.append(f"figure {name!r}: {numbers} are not all Python floats")
        elif any(abs(v) > _MAX for v in numbers):
            found.append(f"figure {name!r}: {numbers} are not all finite")
        elif interval[0] > interval[1]:
            found.append(f"figure {name!r}: the lower end {interval[0]} is above the upper end {interval[1]}")
        elif figure.value != figure.value and not figure.reason:
            found.append(f"figure {name!r}: NaN without a reason")
        counts = (figure.n_prompts, figure.n_generations)
        if not all(type(n) is int and n >= 0 for n in counts):
            found.append(f"figure {name!r}: prompts and generations {counts} are not counts")
    wrong = {k: v for k, v in result.settings.items() if type(v) not in (str, int, float, bool)}
    found += [f"setting {name!r} has type {type(value).__name__}" for name, value in wrong.items()]
    for name, value in result.settings.items():
        most = {int: _MAX_WHOLE, float: _MAX}.get(type(value))
        if most is not None and not abs(value) <= most:  # type: ignore[arg-type]  # true for NaN, too
            found.append(f"setting {name!r} is not finite or is too large")
        if name in signed and value != signed[name]:
            found.append(f"setting {name!r} is {value!r}, but the score is signed with {signed[name]!r}")
    if type(result.n_failed) is not int or result.n_failed < 0:
        found.append(f"n_failed is {result.n_failed!r}, which is not a count")
    return found or [*_unlike_info(result, info), *_impossible(result, n)]


def _unlike_info(result: Result, info: MetricInfo | None) -> Iterator[str]:
    """How a result contradicts the description of its metric, on which cards, checks and reports rely."""
    if info is None:
        return
    if info.headline not in result.figures and "variant" not in result.settings:
        yield f"INFO.headline is {info.headline!r}, which is not one of the figures {', '.join(result.figures)}"
    (low, high), value, ends = info.range, result.headline.value, result.headline.interval
    if isnan(value):
        return
    if not low <= value <= high:
        yield f"the headline {value:g} is not in INFO.range, {low:g} to {high:g}"
    if ends is not None and not low - _SAME <= ends[0] <= ends[1] <= high + _SAME:
        yield f"the headline's interval {ends} exceeds INFO.range, {low:g} to {high:g}"


def _impossible(result: Result, n: int | None) -> Iterator[str]:
    """Figures that contradict themselves, or the number of rows."""
    for name, figure in result.figures.items():
        if figure.n_prompts > figure.n_generations or (n is not None and figure.n_generations > 2 * n):
            counts = f"figure {name!r} has {figure.n_prompts} prompts and {figure.n_generations} generations"
            yield counts if n is None else f"{counts}, but the table has only {n} generations of each of two models"
        ends = figure.interval
        if ends is not None and not isnan(figure.value) and not ends[0] - _SAME <= figure.value <= ends[1] + _SAME:
            yield f"figure {name!r}: its interval {ends} does not contain its value {figure.value:g}"
    if n is not None and result.n_failed > n:
        yield f"n_failed is {result.n_failed}, but there are only {n} generations"


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and not any("\ud800" <= letter <= "\udfff" for letter in name)


def one_line(error: BaseException) -> str:
    """An error by its type and message, without line breaks."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def placed(error: BaseException, module: str) -> str:
    """An error in a plugin on one line, after the file and the last line of the plugin that led to it, if there is one.

    Args:
        error: the error.
        module: dotted name of the plugin's module; other modules of its package count as the plugin.
    """
    package = module.partition(".")[0]
    lines = [
        f"{frame.f_code.co_filename}, line {line}: "
        for frame, line in traceback.walk_tb(error.__traceback__)
        if str(frame.f_globals.get("__name__")).partition(".")[0] == package
    ]
    if not lines and isinstance(error, SyntaxError) and error.filename:  # not even its first line was run
        return f"{error.filename}, line {error.lineno}: {type(error).__name__}: {error.msg}"
    return "".join(lines[-1:]) + one_line(error)


def plain(value: float) -> float | None:
    """A float for JSON: NaN becomes None."""
    return None if value != value else float(value)


def _short(value: Setting) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def batches(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    """Consecutive slices of at most `size` items."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
