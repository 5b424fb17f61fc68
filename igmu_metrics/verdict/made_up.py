"""Made-up images: what a run would show that has not been made, given how often and how alike its images turn out.

Conventions: images of the planned rows are made up many times, and the metrics themselves compute each interval, so the
units are those of a run: the prompt, or for attacks the source prompt. Shares and correlations are assumed to be as on
a card, or as given. A correlation that cannot be estimated counts as 1 for two images of a prompt, and as that of two
images of a prompt for two prompts of a source; both are the conservative choice.

A made-up image copies the value of its prompt with a fixed chance, and a prompt that of its source, which gives exactly
these correlations. Images that a card already has are kept, and other images of their prompts and sources are made up
given these, by Bayes' rule. Images of different splits are independent of each other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from igmu_data.schema import ASIDE, Row
from igmu_metrics import registry
from igmu_metrics.contract import BoolArray, Estimate, FloatArray, Setting
from igmu_metrics.evaluation import asked
from igmu_metrics.generations import ORIGINAL, Generations
from igmu_metrics.images.layouts import of_rows
from igmu_metrics.metrics._attack_table import units
from igmu_metrics.metrics._contract import parts
from igmu_metrics.statistics.formatting import bounds, value_of

METRICS: Final = ("concept_accuracy", "attack_success_rate", "forget_score")
_BOTH: Final = re.compile(r"(?:^|[/_])(?:pre|post)_asr(?:$|[/_])")
_DECISIONS: Final = ("present", "present" + ORIGINAL)
_WEIGHT: Final = 2  # prompts: small groups are shrunk towards the others, as in `statistics.estimates`
_CANDIDATES: Final = 32  # for the number of a prompt or source
_TINY: Final = 1e-12  # likelihood of what the shares exclude, such as a measured image in a group whose share is 0
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
            told[name] = _shrunk(values, group[chosen], unit[chosen])
        whole = Shares(*(found[""] for found in told.values()))
        shares = {
            name: Shares(*(found.get(name, whole[at]) for at, found in enumerate(told.values())))
            for name in set(group.tolist())
        }
        each = [
            _correlations(values[chosen], group[chosen], table["id"][chosen], unit[chosen])
            for values, chosen in ((first, known), (second, known & first))
        ]
        return cls(shares, whole, *each)


@dataclass(frozen=True, slots=True)
class Foreseen:
    """The interval of a metric that is to be expected.

    Args:
        figure: full name of the metric.
        value: median of its values.
        interval: medians of both ends of its interval.
        chance: chance that the whole interval is on the side of the bound on which the assumed value is; None without
            a bound.
        above: whether this is the side above the bound.
    """

    figure: str
    value: float
    interval: tuple[float, float]
    chance: float | None = None
    above: bool = False


@dataclass(frozen=True, slots=True)
class Planned:
    """Images that a run would generate and score.

    Args:
        table: their rows and seeds; `measured` says which images a card already has, with its decisions about these.
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
        lines: Generations | None = None,
    ) -> Planned:
        """The images of rows that count for a metric, with the first seeds of each row.

        Args:
            rows: of the corpus.
            seeds: number of seeds per row.
            target: the concept to forget.
            facts: settings of the metrics, by score.
            lines: of a card; a run with the same seeds makes the same images, which are therefore not made up.
        """
        chosen = [row for row in rows if row.probe not in ASIDE]
        made = of_rows((row, seed, Path(f"{row.id}-{seed}")) for row in chosen for seed in row.seeds[:seeds])
        table = asked(made, target)
        has = _DECISIONS if lines is not None and all(name in lines for name in _DECISIONS) else ()
        told = dict(zip(lines.keys, lines.records(*has), strict=True)) if lines is not None and has else {}
        each = [told.get(key, {}) for key in table.keys]
        decisions = {name: [one.get(name) for one in each] for name in _DECISIONS}
        return cls(table.with_columns(measured=[key in told for key in table.keys], **decisions), target, facts)

    def made_up(self, habits: Mapping[str, Habits], draw: np.random.Generator) -> Generations:
        """The images with decisions for both models: those of the card, and made-up ones."""
        before, after = (np.ma.MaskedArray(self.table[name], copy=True) for name in reversed(_DECISIONS))
        for split, found in habits.items():
            at = np.flatnonzero(self.table["split"] == split)
            part = self.table.where(at)
            kept = part["measured"].astype(np.bool_)
            shares = [found.shares.get(name, found.others) for name in _groups(part).tolist()]
            original, where, elsewhere = np.asarray(shares, dtype=np.float64).reshape(-1, 3).T
            prompt, source = (np.unique(one, return_inverse=True)[1] for one in (part["id"], _units(part)))
            alike = _Alike(prompt, source, draw)
            first = alike.decided(before[at], kept, original, found.original)
            second = alike.decided(after[at], kept, np.where(first.filled(False), where, elsewhere), found.model)
            before[at], after[at] = first, second
        return self.table.with_columns(**dict(zip(_DECISIONS, (after, before), strict=True)))

    def figures(self, table: Generations, metrics: Sequence[str] = METRICS) -> dict[str, Estimate]:
        """The metrics of made-up images by full name, as far as decisions about images determine them."""
        out = {}
        for name in metrics:
            metric = registry.metric(name)
            facts = {"unequal_seeds": "fewest", **self.facts.get(name, {}), "target": self.target}
            for part, own in parts(metric, table.with_facts(**facts)):
                found = None if part else metric.score(own, resamples=2)  # nothing below is resampled
                for key, figure in found.figures.items() if found else ():
                    if value_of(figure) is not None and bounds(figure) and not of_both(key):
                        out[f"{name}/{key}"] = figure
        return out


def foresee(
    planned: Planned,
    known: Mapping[str, Habits],
    wanted: Sequence[str],
    *,
    bound: float | None = None,
    above: bool | None = None,
    times: int = 40,
    seed: int = 0,
) -> list[Foreseen]:
    """The intervals to be expected.

    Args:
        planned: the images of the run.
        known: how images turn out, by split; other splits are left out.
        wanted: full names of metrics; those without an interval are left out.
        bound: a bound on all of them.
        above: whether the assumed value is above the bound; None if the median of the values decides this.
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
        chance, side = None, bool(above)
        if bound is not None:
            side = value > bound if above is None else above
            decided = [one >= bound if side else other <= bound for _, one, other in triples]
            chance = sum(decided) / times
        out.append(Foreseen(full, value, (low, high), chance, side))
    return out


def of_both(name: str) -> bool:
    """Whether a metric is of plain and adversarial prompts together, which are not made up together.

    >>> of_both("conditional_post_asr/typo"), of_both("attack_success_rate/pre_asr_family_mean"), of_both("asr_any@k")
    (True, True, False)
    """
    return _BOTH.search(name) is not None


def judged(part: Generations) -> bool:
    """Whether some image was judged for both models."""
    return all(name in part for name in _DECISIONS) and any(None not in g.values() for g in part.records(*_DECISIONS))


def _groups(table: Generations) -> npt.NDArray[np.str_]:
    """The group of each row, within which images are alike: attack family, or probe and concept to retain."""
    retain = np.char.add(np.char.add(_texts(table, "probe"), " "), _texts(table, "own_concept"))
    attack = _texts(table, "attack_family")
    return np.where(table["split"] == "adversarial", attack, np.where(table["split"] == "retain", retain, "-"))


def _units(table: Generations) -> npt.NDArray[np.str_]:
    return units(table["id"], np.where(table["split"] == "adversarial", _texts(table, "attack_source_id"), ""))


def _texts(table: Generations, name: str) -> npt.NDArray[np.str_]:
    return table[name] if name in table else np.full(len(table), "")


def _shrunk(values: BoolArray, group: npt.NDArray[np.str_], unit: npt.NDArray[np.str_]) -> dict[str, float]:
    """The share of each group, shrunk towards that of all, which is "" (0 without values)."""
    mean = float(values.mean()) if len(values) else 0.0
    out = {"": mean}
    for name in set(group.tolist()):
        own = group == name
        n = len(np.unique(unit[own]))
        out[name] = (n * float(values[own].mean()) + _WEIGHT * mean) / (n + _WEIGHT)
    return out


def _expected(values: BoolArray, group: npt.NDArray[np.str_], unit: npt.NDArray[np.str_]) -> FloatArray:
    """For each value, the shrunk share of its group in the other units: a family may have few source prompts, and its
    own share would contain what is particular to them.
    """
    mean, out = float(values.mean()), np.empty(len(values))
    for name in set(group.tolist()):
        at = np.flatnonzero(group == name)
        of = np.unique(unit[at], return_inverse=True)[1]
        hits, n = np.bincount(of, values[at]), np.bincount(of)
        others = len(n) - 1
        left = np.divide(hits.sum() - hits, n.sum() - n, out=np.zeros(len(n)), where=n.sum() > n)
        out[at] = ((others * left + _WEIGHT * mean) / (others + _WEIGHT))[of]
    return out


def _correlations(
    values: BoolArray, group: npt.NDArray[np.str_], ids: npt.NDArray[np.str_], unit: npt.NDArray[np.str_]
) -> Correlations:
    """From the products of deviations of all pairs within a prompt, and within a source but not within a prompt."""
    if len(set(unit.tolist())) < 2:  # deviations from a mean of these same images would add up to 0
        return Correlations(1.0, 1.0)
    expected = _expected(values, group, unit)
    away, scale = values - expected, np.sqrt(expected * (1 - expected))
    prompt, source = (np.unique(one, return_inverse=True)[1] for one in (ids, unit))

    def pairs(of: FloatArray) -> tuple[float, float]:
        alone = float(of @ of)
        by_prompt, by_source = (float(np.square(np.bincount(one, of)).sum()) for one in (prompt, source))
        return by_prompt - alone, by_source - by_prompt

    (near, far), (most_near, most_far) = pairs(away), pairs(scale)
    seeds = near / most_near if most_near > 1e-9 else 1.0
    sources = far / most_far if most_far > 1e-9 else seeds
    if sources > seeds:  # images of one prompt are at least as similar as those of two prompts
        seeds = sources = (near + far) / (most_near + most_far)
    return Correlations(*(float(np.clip(one, 0, 1)) for one in (seeds, sources)))


@dataclass(frozen=True, slots=True)
class _Alike:
    """Which images are of one prompt, and of one source.

    Args:
        prompt: (n,) prompt of each image, 0..P − 1.
        source: (n,) source of each image, 0..S − 1.
        draw: the random generator.
    """

    prompt: _Codes
    source: _Codes
    draw: np.random.Generator

    def decided(
        self,
        measured: np.ma.MaskedArray[Any, np.dtype[np.bool_]],
        kept: BoolArray,
        share: FloatArray,
        shared: Correlations,
    ) -> np.ma.MaskedArray[Any, np.dtype[np.bool_]]:
        """(n,) decisions; those that are measured are kept, and others are like those of the same prompt and source.

        Each image has a number in 0..1, and shows the concept if it is below the share.
        """
        n, draw = len(share), self.draw
        by_prompt = self._numbers(np.ma.filled(measured, False), kept & ~np.ma.getmaskarray(measured), share, shared)
        copies = draw.uniform(size=n) < shared.seeds**0.5
        made = np.where(copies, by_prompt[self.prompt], draw.uniform(size=n)) < share
        return np.ma.MaskedArray(
            np.where(kept, np.ma.filled(measured, False), made), mask=kept & np.ma.getmaskarray(measured)
        )

    def _numbers(self, values: BoolArray, clear: BoolArray, share: FloatArray, shared: Correlations) -> FloatArray:
        """(P,) number of each prompt, given its measured images and those of its source.

        Candidates are weighted by how likely they make the measured images (Bayes' rule): first those for the source,
        then those for prompts that do not copy their source. More of them are close to 0 and 1 than in the middle, so
        that there are some below small shares and above large ones; their weights make up for this.

        Args:
            values: (n,) decisions about measured images.
            clear: (n,) which images were measured and judged.
            share: (n,) expected share of each image.
            shared: the correlations.
        """
        draw, n_sources = self.draw, int(self.source.max(initial=-1)) + 1
        of = np.zeros(int(self.prompt.max(initial=-1)) + 1, np.intp)
        of[self.prompt] = self.source
        copied, again = shared.seeds**0.5, (shared.sources / shared.seeds) ** 0.5 if shared.seeds else 0.0
        strata = (np.arange(_CANDIDATES) + draw.uniform(size=(n_sources, _CANDIDATES))) / _CANDIDATES
        candidates, weights = np.sin(strata * np.pi / 2) ** 2, np.sin(strata * np.pi)
        weights /= weights.sum(axis=1, keepdims=True)
        own, x, p = self.prompt[clear], values[clear, None], share[clear, None]
        like = copied * (x == (candidates[of[own]] < p)) + (1 - copied) * np.where(x, p, 1 - p)
        likely = np.exp(_sums(np.log(np.maximum(like, _TINY)), own, len(of)))
        both = again * likely + (1 - again) * (weights[of] * likely).sum(axis=1, keepdims=True)
        of_source = np.exp(_sums(np.log(np.maximum(both, _TINY)), of, n_sources))
        measured = np.bincount(own, minlength=len(of)) > 0
        among = np.bincount(of, measured, minlength=n_sources) > 0  # sources with a measured prompt
        chosen, at = self._pick(weights * of_source), np.arange(len(of))
        by_source = np.where(among, candidates[np.arange(n_sources), chosen], draw.uniform(size=n_sources))
        chance = again * likely[at, chosen[of]] / both[at, chosen[of]]
        alone = np.where(measured, candidates[of, self._pick(weights[of] * likely)], draw.uniform(size=len(of)))
        return np.where(draw.uniform(size=len(of)) < chance, by_source[of], alone)

    def _pick(self, weights: FloatArray) -> _Codes:
        """For each row of weights, the column that is taken at random in proportion to them."""
        sums = weights.cumsum(axis=1)
        found: _Codes = (sums < self.draw.uniform(size=(len(sums), 1)) * sums[:, -1:]).sum(axis=1)
        return found


def _sums(values: FloatArray, of: _Codes, n: int) -> FloatArray:
    """(n, K) sums of the rows of (m, K) values by what they are `of`, less the largest of each."""
    out = np.zeros((n, values.shape[1]))
    np.add.at(out, of, values)
    found: FloatArray = out - out.max(axis=1, keepdims=True, initial=-np.inf)
    return found
