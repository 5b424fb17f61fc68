"""What a metric is, and what it gives back.

Conventions, used everywhere in this package:

- A *generation* is one image: one prompt, one seed, one model. Its id is `(row_id, seed)`; `row_id` names the prompt.
- Fractions are in 0..1, never percent. `p(x)` is always the probability that the concept is **present**.
- Arrays of per-generation values have the order of the generations given; no metric depends on that order.
- A value that an instrument declines to give (a human label `unclear`) is **masked**, never NaN. NaN is an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
CROSS: Final = "cross-domain"
"""Probe of an entry that judges in another domain an image that has one already: what looks at images leaves it."""
PARTS: Final = (*SPLITS, *ASIDE, CROSS)
"""What generations are told apart by: the splits, and each probe that is counted by itself, in whatever split it is."""
WHOLE: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({"": SPLITS})
"""The parts of a metric that is scored once, on everything but the probes that are counted by themselves."""
UNIT: Final = "unit"
IMAGE: Final = "image"
"""Fact of a table that names no prompts: `rows` were given neither ids nor prompt texts."""
_TAKEN: Final = "every image was taken for a prompt of its own: give ids, as several of one prompt are less evidence"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Extract:
    """How an argument of a metric's `rows` is computed from raw inputs when the caller has no arrays.

    Args:
        argument: the parameter of `rows` to fill.
        source: the raw input it comes from: `images`, `original_images`, `prompts`, `stripped_prompts`, or
            `images+original_images` for a distance.
        kind: the backbone's method: `image_features`, `text_features` or `image_distance`; or `backbone_name` for a
            metric that must know whose features it gets.
        required: whether `rows` can do without.
    """

    argument: str
    source: str
    kind: FeatureKind
    required: bool = True


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """What a metric is: one per module in `igmu_metrics.metrics`, read by cards, Spaces, the CLI and the shared tests.

    Args:
        name: module name, and the Space's (`igmu/<name>`).
        version: integer, raised by any change of the numbers.
        title: a few words.
        summary: one sentence.
        headline: which of the returned figures `Score.value` is.
        direction: whether a higher or a lower `value` is better for an unlearned model.
        range: smallest and largest possible `value`.
        parts: which generations of an evaluation it is scored on: by name of the part ("" for a score that is called
            like the metric), which of `PARTS` belong to it.
        place: where it stands on a card among the others, smaller numbers first.
        backbone: name of the default backbone, or "" when the metric needs none.
        extracts: how `rows` arguments are computed from images and prompts; empty for metrics of labels and decisions.
        references: papers and implementations.
        limits: what it cannot tell, in one or two sentences.
        figures: by name of a figure it gives, what that is, in one sentence that a reader of a report understands
            without any other; those of one family or part are named without it.
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
        value: the figure; NaN when it is not defined for the rows given (`reason` says why).
        interval: 95 % interval (low, high), or None where none is defined.
        n_prompts: distinct prompts behind it.
        n_generations: generations behind it.
        reason: why there is no value, or a caution; "" otherwise.
    """

    value: float
    interval: Interval | None = None
    n_prompts: int = 0
    n_generations: int = 0
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain Python types, ready for JSON: NaN becomes None."""
        out: dict[str, Any] = {"value": plain(self.value)}
        out["interval"] = None if self.interval is None else [plain(self.interval[0]), plain(self.interval[1])]
        out |= {"n_prompts": self.n_prompts, "n_generations": self.n_generations}
        return out | ({"reason": self.reason} if self.reason else {})


class Table(Protocol):
    """What a metric is handed: columns by name, one entry a generation, and facts that hold for all of them.

    `igmu_metrics.generations.Generations` is one; a metric needs no more of it than this.
    """

    facts: Mapping[str, Setting]

    def __len__(self) -> int: ...

    def __contains__(self, name: str) -> bool: ...

    def __getitem__(self, name: str) -> npt.NDArray[Any]: ...


@dataclass(frozen=True, slots=True)
class Result:
    """What a metric's `score` returns: the headline and every named figure beside it.

    Args:
        headline: the estimate that becomes `Score.value`.
        figures: all named figures, the headline among them under its own name.
        settings: everything that was decided on the way and can change a number; goes into the signature.
        n_failed: generations of the table that could not be scored.
    """

    headline: Estimate
    figures: Mapping[str, Estimate]
    settings: Mapping[str, Setting] = field(default_factory=dict)
    n_failed: int = 0


@dataclass(frozen=True)
class Signature:
    """Everything that can change a number, as sorted `key:value` pairs.

    Two scores compare only where all fields but the model agree, how often somebody looked, and where the rows of their
    corpus came from, if these are the same rows.

    >>> print(Signature({"metric": "frechet", "v": 1}))
    metric:frechet|v:1
    """

    fields: Mapping[str, Setting]
    MODEL_FIELDS: ClassVar[frozenset[str]] = frozenset({"model"})
    LOOKS: ClassVar[str] = "looks."
    PLACE_FIELDS: ClassVar[frozenset[str]] = frozenset({"dataset", "dataset.revision"})
    # Said, and no reason not to compare: as the device, it moves a value in ten thousand of an image by 1/255.
    ROUNDING_FIELDS: ClassVar[frozenset[str]] = frozenset({"generated.rounding"})

    def __post_init__(self) -> None:
        object.__setattr__(self, "fields", MappingProxyType(dict(sorted(self.fields.items()))))

    def __str__(self) -> str:
        return "|".join(f"{k}:{_short(v)}" for k, v in self.fields.items())

    def differences(self, other: Signature) -> dict[str, tuple[Any, Any]]:
        """Fields other than the model and its looks in which two signatures differ, with both values (None: absent)."""
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
    """A number that can be defended: value, 95 % interval, counts, failures and signature.

    Args:
        name: the metric.
        value: the headline figure (see `MetricInfo.headline`), NaN when it is not defined.
        interval: 95 % interval of `value`, or None where none is defined.
        n_prompts: distinct prompts behind `value`.
        n_generations: generations behind `value`.
        n_failed: generations that could not be scored; never counted as forgotten, safe or retained.
        signature: everything that can change the number.
        figures: every named figure of the metric.
        notes: what a reader has to know about the images.
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
        """Plain Python types, ready for JSON: NaN becomes None."""
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
    """A module in `igmu_metrics.metrics`, or of another package. It is handed a table and never sees an image.

    It is scored on every part of an evaluation that has generations and all columns of `NEEDS`; what else it can use
    stands in an optional `USES`. A module may also have `rows(**arguments)`, which makes the table from arguments of
    its own. In one of another package the registry sets `PACKAGE`, which every signature names.
    """

    INFO: MetricInfo
    NEEDS: tuple[str, ...]

    def score(self, table: Table, *, seed: int = 0, resamples: int = 2000) -> Result | None:
        """The figures, with seeded intervals; None where the table has nothing that it counts."""


def scored(
    metric: Metric,
    table: Table,
    fields: Mapping[str, Setting],
    *,
    n_failed: int = 0,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Score | None:
    """Score a table and sign the result: the number, and everything that can change it.

    Args:
        metric: the module.
        table: what it is scored on.
        fields: of the signature: model, config, dataset, instruments …
        n_failed: generations that failed before the table was made.
        seed: of the bootstrap.
        resamples: of the bootstrap.

    Returns:
        The score; None where the table has nothing that the metric counts.

    Raises:
        PluginError: a metric of another package failed, or gave back what is no result.
    """
    package = str(getattr(metric, "PACKAGE", ""))
    try:
        result = metric.score(table, seed=seed, resamples=resamples)
    except IgmuError:
        raise
    except Exception as error:
        if not package:
            raise
        raise PluginError(metric.INFO.name, package, f"score failed ({one_line(error)})") from error
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
    if package and (wrong := faults(result, signed)):
        raise PluginError(metric.INFO.name, package, f"score returned an invalid result: {'; '.join(wrong)}")
    signed |= result.settings
    figures, headline = dict(result.figures), result.headline
    if table.facts.get(UNIT) == IMAGE:
        # In the headline alone, wherever it stands among the figures: said once, it holds for all of them.
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


def faults(result: Any, signed: Mapping[str, Setting] = MappingProxyType({})) -> list[str]:
    """What of a metric's result could not stand in a scorecard.

    Args:
        result: what `score` gave.
        signed: fields of the signature that settings cannot change: the model, the metric, its version …

    >>> faults(Result(Estimate(0.5), {"mine": Estimate(float("nan"))}, {"ids": ["a"]}))
    ['the headline is not among the figures', "figure 'mine': NaN without a reason", "setting 'ids' is a list"]
    """
    if not isinstance(result, Result):
        return [f"it is a {type(result).__name__}, neither Result nor None"]
    figures: Any = result.figures
    if not isinstance(figures, Mapping) or not isinstance(cast(Any, result.settings), Mapping):
        return ["its figures or settings are no mapping"]
    found = [f"a name is {name!r}, no text" for name in (*figures, *result.settings) if not _is_name(name)]
    if not any(f is result.headline or f == result.headline for f in figures.values()):
        found.append("the headline is not among the figures")
    for name, figure in figures.items():
        if not isinstance(figure, Estimate):
            found.append(f"figure {name!r} is a {type(figure).__name__}, no Estimate")
            continue
        interval: Any = figure.interval if figure.interval is not None else (0.0, 0.0)
        if not isinstance(interval, tuple) or len(interval) != 2:
            found.append(f"figure {name!r}: {interval!r} is no interval")
            continue
        numbers = (figure.value, *interval)
        if not all(isinstance(v, float | int) for v in numbers):
            found.append(f"figure {name!r}: {numbers} are no Python floats")
        elif any(abs(v) > _MAX for v in numbers):
            found.append(f"figure {name!r}: {numbers} are not finite")
        elif interval[0] > interval[1]:
            found.append(f"figure {name!r}: {interval[0]} is above {interval[1]}")
        elif figure.value != figure.value and not figure.reason:
            found.append(f"figure {name!r}: NaN without a reason")
        counts = (figure.n_prompts, figure.n_generations)
        if not all(type(n) is int and n >= 0 for n in counts):
            found.append(f"figure {name!r}: prompts and generations {counts} are no counts")
    wrong = {k: v for k, v in result.settings.items() if type(v) not in (str, int, float, bool)}
    found += [f"setting {name!r} is a {type(value).__name__}" for name, value in wrong.items()]
    for name, value in result.settings.items():
        most = {int: _MAX_WHOLE, float: _MAX}.get(type(value))
        if most is not None and not abs(value) <= most:  # type: ignore[arg-type]  # true for NaN, too
            found.append(f"setting {name!r} is not finite, or too large")
        if name in signed and value != signed[name]:
            found.append(f"setting {name!r} is {value!r}, but the score is signed with {signed[name]!r}")
    if type(result.n_failed) is not int or result.n_failed < 0:
        found.append(f"n_failed {result.n_failed!r} is no count")
    return found


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and not any("\ud800" <= letter <= "\udfff" for letter in name)


def one_line(error: BaseException) -> str:
    """An error by its type and message, without line breaks."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def plain(value: float) -> float | None:
    """A float for JSON: NaN becomes None."""
    return None if value != value else float(value)


def _short(value: Setting) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def batches(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    """Consecutive slices of at most `size` items."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
