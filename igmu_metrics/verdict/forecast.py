"""Forecasts: which intervals a run would get that has not been made, such as a run of another part of the protocol.

Conventions: images of the planned rows are made up many times, and the metrics themselves compute each interval, so the
units are those of a run: the prompt, or for attacks the source prompt. Shares and correlations are assumed to be as on
a card, or as given. A correlation that cannot be estimated counts as 1 for two images of a prompt, and as that of two
images of a prompt for two prompts of a source; both are the conservative choice.

A made-up image copies the value of its prompt with a fixed chance, and a prompt that of its source, which gives exactly
these correlations. Images of different splits are independent of each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from igmu_data.errors import InputError, OutOfRangeError
from igmu_data.load import bench_rows, digest
from igmu_data.schema import ASIDE, ROUNDS, Row
from igmu_metrics import registry
from igmu_metrics.contract import BoolArray, Estimate, FloatArray, Setting
from igmu_metrics.evaluation import asked
from igmu_metrics.generations import ORIGINAL, Generations
from igmu_metrics.images.layouts import of_rows
from igmu_metrics.metrics._attack_table import units
from igmu_metrics.metrics._contract import parts
from igmu_metrics.scorecard import Scorecard
from igmu_metrics.statistics.formatting import bounds, value_of
from igmu_metrics.verdict.criteria import Criterion, usable

VERDICT: Final = (
    "concept_accuracy/conditional_unlearning_accuracy",
    "forget_score/robustness",
    "forget_score/preservation",
    "attack_success_rate/asr_any@k",
)
METRICS: Final = ("concept_accuracy", "attack_success_rate", "forget_score")
SPLITS: Final = ("forget", "adversarial", "retain")
_OTHERWISE: Final = ("pre_asr", "post_asr")  # of plain and adversarial prompts together, which are not made up together
_AGGREGATE: Final = ("/forget_score", "/alignment", "/quality")
_OF_ATTACKS: Final = {
    "asr": "attack_success_rate/asr_any@k",
    "asr_any@k": "attack_success_rate/asr_any@k",
    "asr_image": "attack_success_rate/asr_image",
    "robustness": "forget_score/robustness",
}
_WEIGHT: Final = 2  # prompts: small groups are shrunk towards the others, as in `statistics.estimates`
_Codes = npt.NDArray[np.intp]


class Shares(NamedTuple):
    """Shares of images that show the requested concept: the original's, and the model's where the original's do or
    do not."""

    original: float
    where: float
    elsewhere: float


class Correlations(NamedTuple):
    """Correlation of two images of one prompt, and of images of two prompts that were made from one source, 0..1."""

    seeds: float
    sources: float


@dataclass(frozen=True, slots=True)
class Habits:
    """How images of one split turn out.

    Args:
        shares: by group: attack family, or probe and concept to retain.
        others: of groups that are not among these.
        original: correlations of the original's images.
        model: correlations of the model's images.
    """

    shares: Mapping[str, Shares]
    others: Shares
    original: Correlations
    model: Correlations

    @classmethod
    def of(cls, table: Generations) -> Habits:
        """As measured; the table has a row, and all rows are of one split."""
        group, unit = _groups(table), _units(table)
        before, after = table["present" + ORIGINAL], table["present"]
        known = ~(np.ma.getmaskarray(before) | np.ma.getmaskarray(after))
        first, second = np.ma.filled(before, False), np.ma.filled(after, False)
        told = {}
        for name, chosen in (("original", known), ("where", known & first), ("elsewhere", known & ~first)):
            values = (first if name == "original" else second)[chosen]
            told[name] = _shrunk(values, group[chosen], table["id"][chosen])
        whole = Shares(*(found[""] for found in told.values()))
        shares = {
            name: Shares(*(found.get(name, whole[at]) for at, found in enumerate(told.values())))
            for name in set(group.tolist())
        }
        drawn = known & first
        expected = [np.asarray([shares[name][at] for name in group.tolist()]) for at in range(2)]
        return cls(
            shares,
            whole,
            _correlations(first[known], expected[0][known], table["id"][known], unit[known]),
            _correlations(second[drawn], expected[1][drawn], table["id"][drawn], unit[drawn]),
        )


@dataclass(frozen=True, slots=True)
class Foreseen:
    """The interval of a metric that is to be expected.

    Args:
        figure: full name of the metric.
        value: median of its values.
        interval: medians of both ends of its interval.
        chance: chance that the whole interval is on the side of the bound on which the assumed value is; None without
            a bound.
    """

    figure: str
    value: float
    interval: tuple[float, float]
    chance: float | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """Images that a run would generate and score.

    Args:
        table: their rows and seeds, without measurements.
        target: the concept to forget.
        facts: settings of the metrics, by score.
    """

    table: Generations
    target: str
    facts: Mapping[str, Mapping[str, Setting | None]]

    @classmethod
    def of(
        cls,
        rows: Sequence[Row],
        seeds: int,
        target: str,
        facts: Mapping[str, Mapping[str, Setting | None]],
    ) -> Planned:
        """The images of rows, which count for a metric, with the first seeds of each row."""
        chosen = [row for row in rows if row.probe not in ASIDE]
        made = of_rows((row, seed, Path(f"{row.id}-{seed}")) for row in chosen for seed in row.seeds[:seeds])
        return cls(asked(made, target), target, facts)

    def made_up(self, habits: Mapping[str, Habits], draw: np.random.Generator) -> Generations:
        """The images with made-up decisions for both models."""
        first, second = np.zeros(len(self.table), np.bool_), np.zeros(len(self.table), np.bool_)
        for split, found in habits.items():
            at = np.flatnonzero(self.table["split"] == split)
            part = self.table.where(at)
            shares = [found.shares.get(name, found.others) for name in _groups(part).tolist()]
            original, where, elsewhere = np.asarray(shares, dtype=np.float64).reshape(-1, 3).T
            prompt, source = (np.unique(one, return_inverse=True)[1] for one in (part["id"], _units(part)))
            first[at] = _copied(prompt, source, found.original, draw) < original
            second[at] = _copied(prompt, source, found.model, draw) < np.where(first[at], where, elsewhere)
        return self.table.with_columns(**{"present": second, "present" + ORIGINAL: first})

    def figures(self, table: Generations, metrics: Sequence[str] = METRICS) -> dict[str, Estimate]:
        """The metrics of made-up images by full name, as far as decisions about images determine them."""
        out = {}
        for name in metrics:
            metric = registry.metric(name)
            facts = {"unequal_seeds": "fewest", **self.facts.get(name, {}), "target": self.target}
            for part, own in parts(metric, table.with_facts(**facts)):
                found = None if part else metric.score(own, resamples=2)  # nothing below is resampled
                for key, figure in found.figures.items() if found else ():
                    if value_of(figure) is not None and bounds(figure) and not key.endswith(_OTHERWISE):
                        out[f"{name}/{key}"] = figure
        return out


def habits(card: Scorecard) -> dict[str, Habits]:
    """How the images of a card turned out, by split."""
    lines = card.generations
    return {split: Habits.of(part) for split in SPLITS if len(part := lines.part(split)) and _judged(part)}


def foresee(
    planned: Planned,
    known: Mapping[str, Habits],
    wanted: Sequence[str],
    *,
    bound: float | None = None,
    above: bool = False,
    times: int = 40,
    seed: int = 0,
) -> list[Foreseen]:
    """The intervals to be expected.

    Args:
        planned: the images of the run.
        known: how images turn out, by split; other splits are left out.
        wanted: full names of metrics; those without an interval are left out.
        bound: a bound on all of them.
        above: whether the assumed value is above the bound.
        times: how often the images are made up.
        seed: of the random generator.
    """
    draw = np.random.default_rng(seed)
    metrics = [name for name in METRICS if any(full.startswith(f"{name}/") for full in wanted)]
    chosen = np.isin(planned.table["split"], list(known))
    narrow = Planned(planned.table.where(chosen), planned.target, planned.facts)
    seen: dict[str, list[tuple[float, float, float]]] = {}
    if chosen.any():
        for _ in range(times):
            found = narrow.figures(narrow.made_up(known, draw), metrics)
            for full in wanted:
                if (figure := found.get(full)) is not None and (ends := bounds(figure)):
                    seen.setdefault(full, []).append((figure.value, *ends))
    out = []
    for full, triples in seen.items():
        value, low, high = np.median(triples, axis=0).tolist()
        chance = None
        if bound is not None:
            decided = [one >= bound if above else other <= bound for _, one, other in triples]
            chance = sum(decided) / times
        out.append(Foreseen(full, value, (low, high), chance))
    return out


def smallest(foreseen: Callable[[int], Foreseen], chance: float) -> tuple[int | None, Foreseen]:
    """The fewest rounds with which a bound is decided with some chance, and what is expected of them.

    Args:
        foreseen: what is expected of a number of rounds.
        chance: chance that the interval excludes the bound, 0..1.

    Returns:
        The number of rounds and the expectation; None and that of all rounds if these are not enough.
    """
    whole = foreseen(ROUNDS)
    if (whole.chance or 0.0) < chance:
        return None, whole
    few, enough, found = 0, ROUNDS, whole
    while enough - few > 1:
        middle = (few + enough) // 2
        seen = foreseen(middle)
        if (seen.chance or 0.0) >= chance:
            enough, found = middle, seen
        else:
            few = middle
    return enough, found


def corpus(config: str, bench: str | None, revision: str | None) -> list[Row]:
    """The rows of a config."""
    return list(bench_rows(config, bench=bench, revision=revision).values())


def corpus_of(cards: Sequence[Scorecard], bench: str | None, revision: str | None) -> list[Row]:
    """The rows of the corpus on which cards were scored.

    Raises:
        InputError: general prompts, which have no forecasts, or cards of other rows.
    """
    first = cards[0]
    if first.general:
        raise InputError(
            f"{first.model}: forecasts for a protocol or a bound are about forgetting, but general prompts have no "
            "concept to forget. Leave out --protocol and --bound."
        )
    rows = corpus(first.config, bench, revision)
    here = digest(row.id for row in rows)
    signed = {str(entry.signature.get("dataset.rows", "none")) for entry in first.scores.values()}
    if signed != {here}:
        raise InputError(
            f"{first.model} was scored on other rows of {first.config} (digest {', '.join(sorted(signed))}) than those "
            f"found here ({here}). Specify the corpus with --bench and --revision."
        )
    return rows


def seeds_of(card: Scorecard) -> int:
    """How many images per prompt a card has; the median, if prompts differ."""
    found = np.unique(card.generations["id"], return_counts=True)[1]
    return max(1, int(np.median(found)))


def facts(card: Scorecard, seeds: int) -> dict[str, dict[str, Setting | None]]:
    """The settings with which a card's metrics were scored, by score, for prompts with some number of seeds."""
    own = seeds_of(card)
    out: dict[str, dict[str, Setting | None]] = {}
    for name in METRICS:
        if (entry := card.scores.get(name)) is None:
            continue
        out[name] = {key: value for key, value in entry.signature.items() if "." not in key}
        k = out[name].get("k")
        if isinstance(k, int):  # otherwise all seeds are tried again
            out[name]["k"] = None if k >= own else min(k, seeds)
    return out


def wanted(card: Scorecard, bound: str | None) -> tuple[list[str], float | None, float]:
    """The metrics of a card to forecast, the number of the bound if there is one, and the card's value.

    Args:
        card: a card.
        bound: `METRIC=NUMBER`; None for the metrics of the verdict.

    Raises:
        InputError: a bound that does not have this form, or on a metric that is not forecast or has no value.
    """
    if bound is None:
        return [name for name in VERDICT if value_of(card.figure(*name.split("/", 1))) is not None], None, 0.0
    text, _, number = bound.rpartition("=")
    where = f"the scorecard of {card.model} on {card.config}"
    try:
        criterion = Criterion(text.strip(), float(number), least=True)
    except ValueError:
        criterion = Criterion("", 0.0, least=True)
    if not criterion.name or not 0 < criterion.bound < 1:
        raise InputError(
            f"--bound is {bound!r}; with scorecards it must have the form METRIC=NUMBER, with a number between 0 and "
            "1, such as asr=0.1."
        )
    full = usable(card.scores, criterion, where)
    value = value_of(card.figure(*full.split("/", 1)))
    if value is None:
        raise InputError(f"{where} has no value for {full}. Choose another metric.")
    if full.partition("/")[0] not in METRICS or full.endswith((*_OTHERWISE, *_AGGREGATE)):
        raise InputError(
            f"{full} cannot be forecast, because its interval does not depend on the detector's decisions alone. Use a "
            f"bound on one of {', '.join(VERDICT)}."
        )
    if value == criterion.bound:
        raise InputError(f"{full} of {card.model} is equal to the bound, {value!r}, so no number of prompts decides.")
    return [full], criterion.bound, value


def assumed(name: str, rate: float, seeds: int, shared: Correlations) -> tuple[str, dict[str, Habits]]:
    """The full name of a metric of attacks, and how images turn out if this metric has some value.

    Args:
        name: `asr`, `asr_any@k`, `asr_image` or `robustness`.
        rate: its value, 0..1.
        seeds: number of images per prompt, all of which are tried.
        shared: correlations of the model's images.

    Raises:
        InputError: another metric.
        OutOfRangeError: a larger correlation within sources than within prompts.

    With one image per prompt, both rates are the same; with two independent ones, 1 − (1 − 0.5)² = 0.75:

    >>> [round(assumed("asr", r, n, Correlations(0.0, 0.0))[1]["adversarial"].others.where, 3)
    ...  for r, n in ((0.5, 1), (0.75, 2))]
    [0.5, 0.5]
    """
    full = _OF_ATTACKS.get(name)
    if full is None:
        raise InputError(
            f"--bound names {name!r}; with --rate, METRIC must be one of {', '.join(_OF_ATTACKS)}. For plain prompts, "
            "give only the number."
        )
    if shared.sources > shared.seeds:
        raise OutOfRangeError(
            f"--source-correlation is {shared.sources!r}, but images of one prompt are at least as similar: it must be "
            f"at most --seed-correlation ({shared.seeds!r})."
        )
    share, again = 1 - rate if name == "robustness" else rate, shared.seeds**0.5

    def any_of(p: float) -> float:
        """The chance that some image of a prompt shows the concept, if each does with chance p."""
        alone = (1 - again) * p  # an image shows the concept without copying it
        none = float(p * (1 - again - alone) ** seeds + (1 - p) * (1 - alone) ** seeds)
        return 1 - none

    low, high = 0.0, 1.0
    while name != "asr_image" and high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if any_of(middle) < share else (low, middle)
    shares = Shares(1.0, share if name == "asr_image" else high, 0.0)
    return full, {"adversarial": Habits({}, shares, Correlations(1.0, 1.0), shared)}


def _judged(part: Generations) -> bool:
    names = ("present", "present" + ORIGINAL)
    return all(name in part for name in names) and any(None not in g.values() for g in part.records(*names))


def _groups(table: Generations) -> npt.NDArray[np.str_]:
    """The group of each row, within which images are alike: attack family, or probe and concept to retain."""
    retain = np.char.add(np.char.add(_texts(table, "probe"), " "), _texts(table, "own_concept"))
    attack = _texts(table, "attack_family")
    return np.where(table["split"] == "adversarial", attack, np.where(table["split"] == "retain", retain, "-"))


def _units(table: Generations) -> npt.NDArray[np.str_]:
    return units(table["id"], np.where(table["split"] == "adversarial", _texts(table, "attack_source_id"), ""))


def _texts(table: Generations, name: str) -> npt.NDArray[np.str_]:
    return table[name] if name in table else np.full(len(table), "")


def _shrunk(values: BoolArray, group: npt.NDArray[np.str_], ids: npt.NDArray[np.str_]) -> dict[str, float]:
    """The share of each group, shrunk towards that of all, which is "" (0 without values)."""
    mean = float(values.mean()) if len(values) else 0.0
    out = {"": mean}
    for name in set(group.tolist()):
        own = group == name
        n = len(np.unique(ids[own]))
        out[name] = (n * float(values[own].mean()) + _WEIGHT * mean) / (n + _WEIGHT)
    return out


def _correlations(
    values: BoolArray, expected: FloatArray, ids: npt.NDArray[np.str_], unit: npt.NDArray[np.str_]
) -> Correlations:
    """From the products of deviations of all pairs within a prompt, and within a source but not within a prompt."""
    away, scale = values - expected, np.sqrt(expected * (1 - expected))
    prompt, source = (np.unique(one, return_inverse=True)[1] for one in (ids, unit))

    def pairs(of: FloatArray) -> tuple[float, float]:
        alone = float(of @ of)
        by_prompt, by_source = (float(np.square(np.bincount(one, of)).sum()) for one in (prompt, source))
        return by_prompt - alone, by_source - by_prompt

    if not len(values):
        return Correlations(1.0, 1.0)
    (near, far), (most_near, most_far) = pairs(away), pairs(scale)
    seeds = float(np.clip(near / most_near, 0, 1)) if most_near > 1e-9 else 1.0
    return Correlations(seeds, float(np.clip(far / most_far, 0, seeds)) if most_far > 1e-9 else seeds)


def _copied(prompt: _Codes, source: _Codes, shared: Correlations, draw: np.random.Generator) -> FloatArray:
    """(n,) numbers in 0..1 that are equal within prompts, and within sources, as often as the correlations require."""
    n_prompts = int(prompt.max()) + 1 if len(prompt) else 0
    of = np.zeros(n_prompts, np.intp)
    of[prompt] = source
    by_source = draw.uniform(size=n_prompts)[of] if n_prompts else np.zeros(0)
    again = (shared.sources / shared.seeds) ** 0.5 if shared.seeds else 0.0
    by_prompt = np.where(draw.uniform(size=n_prompts) < again, by_source, draw.uniform(size=n_prompts))
    copies = draw.uniform(size=len(prompt)) < shared.seeds**0.5
    return np.where(copies, by_prompt[prompt], draw.uniform(size=len(prompt)))
