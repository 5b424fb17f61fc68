"""Virtual models whose truth is known exactly: for every prompt and seed, the image of one of a few parts, by lot.

A part is a packaged version of which construction says what it does: `original` shows what it is asked for, `gold` and
`filter` do not show the target after a plain prompt (nor `gold` after an attack), `collapsed` shows noise. A *recipe*
says with which probability each part serves a row, by split, probe, attack family and own concept; so what the model
forgot and kept is a sum of probabilities, and no metric is asked.

Conventions: a virtual model is judged on prompts drawn with replacement from those of the pool, each stratum (forget,
attack family, retained concept) by itself, so that the truth is that of the pool; a prompt drawn twice is two prompts.
A *weak* original did not draw the target in a share of the rows: `gold`'s image stands for its own there, and a model
that serves the original's image serves that one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from igmu_data.errors import InputError
from igmu_data.schema import IN_PROMPT, SPLITS
from igmu_metrics.contract import BoolArray, FloatArray, Setting
from igmu_metrics.generations import ORIGINAL, Generations
from igmu_metrics.sandbox.audit.truth import HEADLINE, REST
from igmu_metrics.statistics import harmonic_mean

PARTS: Final = ("original", "gold", "filter", "collapsed")
PROMPTS: Final = 50
"""Of every split; what a difference that can be told apart is stated for."""
KINDS: Final[Mapping[str, str]] = {
    "leak": "the target comes back after plain prompts, and as often or more after attacks",
    "attacks": "the target comes back after attacks of every family, but hardly after plain prompts",
    "one family": "the target comes back after attacks of one family",
    "weak original": "as in `leak`, and the original does not always generate the target either",
    "over-erasure": "noise for near and far concepts, more often for near ones",
    "near": "noise for near concepts only",
    "far": "noise for far concepts only",
    "one concept": "noise for one retained concept",
    "one seed": "leaks and damage only for the first seed of every prompt",
    "within prompts": "leaks and damage that all seeds of a prompt share",
    "one image": "for some retain prompts, every seed gives the same image",
    "new training": "everything that is kept comes from a newly trained model",
    "noise for the target": "prompts for the target give noise instead of a different image",
    "mixed": "all of the above at once",
}
"""Kinds of virtual models, each in as many grades as are asked for."""
_GONE: Final = np.array([part != "original" for part in PARTS])
_KEPT: Final = np.array([part != "collapsed" for part in PARTS])
_MEASURED: Final = ("present", "alignment", "stripped_alignment", "clip_features", "features")
_GIVEN: Final = ("id", "seed", "split", "probe", "own_concept", "attack_family", "attack_source_id")
SERVED: Final = (*_GIVEN, *(f"{name}{suffix}" for name in _MEASURED for suffix in ("", ORIGINAL)))
"""The columns of every virtual model's table."""
Shares = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a virtual model serves.

    Args:
        name: unique.
        kind: one of KINDS, or the part that it is.
        task: whose prompts.
        shares: by place, the probability of each part; a place is `family:F`, `concept:C`, `probe:P` or a split, and
            the first of these that is named counts.
        together: probability that all seeds of a prompt are served by one part, which is drawn once.
        first: only the first seed of a prompt follows the shares; for the others the target is gone and all is kept.
        weak: share of the forget and adversarial rows in which the original itself did not draw the target.
        repeat: share of the retain prompts in which every seed gives what the first one does.
    """

    name: str
    kind: str
    task: str
    shares: Mapping[str, Shares]
    together: float = 0.0
    first: bool = False
    weak: float = 0.0
    repeat: float = 0.0


@dataclass(frozen=True, slots=True)
class Pool:
    """What the parts drew for one task, measured.

    Args:
        task: which.
        tables: by part, the same prompts and seeds in the same order.
        facts: of every table (`evaluation.facts`).
        detectors: by name of another detector, by part, its decisions.
    """

    task: str
    tables: Mapping[str, Generations]
    facts: Mapping[str, Setting]
    detectors: Mapping[str, Mapping[str, npt.NDArray[np.bool_]]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        task: str,
        tables: Mapping[str, Generations],
        facts: Mapping[str, Setting],
        detectors: Mapping[str, Mapping[str, npt.NDArray[np.bool_]]] | None = None,
    ) -> Pool:
        """Sorted by prompt and seed, without what is counted by itself, prompts that lost an image, and idle columns.

        Args:
            task: which.
            tables: of at least PARTS, beside the original (`evaluation.both`), with the same rows in the same order.
            facts: of every table.
            detectors: as in `Pool`, rows in the order of the tables.

        Raises:
            InputError: a part is missing, or has other rows than the others.
        """
        if missing := set(PARTS) - set(tables):
            raise InputError(f"{task}: no {', '.join(sorted(missing))} to mix; audit all packaged versions.")
        first = tables[PARTS[0]]
        if any(tables[part].keys != first.keys for part in PARTS):
            raise InputError(f"{task}: the versions have different prompts and seeds; give the same of each.")
        times = np.unique(first["id"], return_inverse=True, return_counts=True)
        whole = times[2][times[1]] == times[2].max()
        chosen = np.flatnonzero(np.isin(first.parts, SPLITS) & whole)
        chosen = chosen[np.lexsort((first["seed"][chosen], first["id"][chosen]))]
        kept = {}
        for part in PARTS:
            table = tables[part]
            dropped = [name for name in table.columns if name not in SERVED]
            kept[part] = table.without(*dropped).where(chosen)
        others = {name: {p: by[p][chosen] for p in PARTS} for name, by in (detectors or {}).items()}
        return cls(task, kept, facts, others)

    @property
    def given(self) -> Generations:
        """What all parts share, and what the original drew."""
        return self.tables[PARTS[0]]

    @property
    def seeds(self) -> int:
        """Images of every prompt."""
        return int(np.unique(self.given["id"], return_counts=True)[1].max())

    def places(self) -> list[tuple[str, ...]]:
        """Where each row may look for its shares, the narrowest first."""
        rows = self.given
        columns = (rows[name].tolist() for name in ("split", "probe", "own_concept", "attack_family"))
        return [
            (f"family:{family}", split)
            if split == "adversarial"
            else (f"concept:{own}", f"probe:{probe}", split)
            if split == "retain"
            else (split,)
            for split, probe, own, family in zip(*columns, strict=True)
        ]

    def shares(self, recipe: Recipe) -> FloatArray:
        """(rows, parts) probability that a part serves the row."""
        first = _first(self.given["id"])
        lines = []
        for at, places in enumerate(self.places()):
            found = next(recipe.shares[place] for place in places if place in recipe.shares)
            if recipe.first and not first[at]:
                found = {"original" if places[-1] == "retain" else "gold": 1.0}
            lines.append([found.get(part, 0.0) for part in PARTS])
        return np.asarray(lines)


def _first(ids: npt.NDArray[np.str_]) -> BoolArray:
    """(rows,) whether a row is the first of its prompt, in a table that is sorted by prompt and seed."""
    return np.asarray(np.concatenate([[True], ids[1:] != ids[:-1]]), np.bool_)


def recipes(pool: Pool, grades: int, *, seed: int = 0) -> list[Recipe]:
    """Every kind of virtual model in so many grades, and the pure parts.

    Args:
        pool: of the task.
        grades: models of each kind, ≥ 1; their damages are spread evenly over 0..1, one at random in each step.
        seed: of the choices.
    """
    rows, task = pool.given, pool.task
    families = sorted(set(rows["attack_family"][rows["split"] == "adversarial"].tolist()))
    retain = rows["split"] == "retain"
    concepts = sorted(set(rows["own_concept"][retain & np.isin(rows["probe"], ("near", "far"))].tolist()) - {""})
    out = [
        Recipe(f"{task}: {part}", part, task, {split: {part: 1.0} for split in SPLITS})
        for part in PARTS
        if part != "filter"
    ]
    for number, kind in enumerate(KINDS):
        rng = np.random.default_rng([seed, number])
        level, more = ((rng.permutation(grades) + rng.random(grades)) / grades for _ in range(2))
        for grade in range(grades):
            a, b = float(level[grade]), float(more[grade])
            how = _recipe(kind, a, b, str(rng.choice(families)), str(rng.choice(concepts)))
            out.append(Recipe(f"{task}: {kind} {grade + 1}", kind, task, **how))
    return out


def _leak(p: float, instead: str = "gold") -> Shares:
    return {"original": p, instead: 1 - p}


def _hurt(p: float) -> Shares:
    return {"original": 1 - p, "collapsed": p}


def _recipe(kind: str, a: float, b: float, family: str, concept: str) -> dict[str, Any]:
    """Arguments of a recipe from two levels of damage, 0..1, one family and one concept."""
    clean = {"forget": _leak(0.0), "adversarial": _leak(0.0), "retain": _hurt(0.0)}
    leaks = {"forget": _leak(a), "adversarial": _leak(a + (1 - a) * b)}
    match kind:
        case "leak":
            return {"shares": clean | leaks}
        case "weak original":
            return {"shares": clean | leaks, "weak": 0.2 + 0.4 * b}
        case "attacks":
            return {"shares": clean | {"forget": _leak(0.05 * b, "filter"), "adversarial": _leak(a)}}
        case "one family":
            return {"shares": clean | {"adversarial": _leak(0.1 * b), f"family:{family}": _leak(a)}}
        case "over-erasure":
            return {"shares": clean | {"retain": _hurt(a * b), "probe:near": _hurt(a)}}
        case "near" | "far":
            return {"shares": clean | {f"probe:{kind}": _hurt(a)}}
        case "one concept":
            return {"shares": clean | {f"concept:{concept}": _hurt(a)}}
        case "one image":
            return {"shares": clean, "repeat": a}
        case "one seed":
            return {"shares": {"forget": _leak(a), "adversarial": _leak(a), "retain": _hurt(b)}, "first": True}
        case "within prompts":
            shares = {"forget": _leak(a), "adversarial": _leak(a), "retain": _hurt(b)}
            return {"shares": shares, "together": 0.5 + 0.5 * a}
        case "new training":
            return {"shares": clean | leaks | {"retain": {"original": 1 - b, "gold": b}}}
        case "noise for the target":
            noise = {"forget": _leak(a, "collapsed"), "adversarial": _leak(b, "collapsed")}
            return {"shares": clean | noise}
        case _:
            both = {"gold": 0.5 * (1 - a), "collapsed": 0.5 * (1 - a), "original": a}
            probes = {"probe:near": _hurt(b), "probe:far": _hurt(b * a), f"probe:{IN_PROMPT}": _hurt(1 - b)}
            shares = {"forget": both, "adversarial": _leak(b), "retain": _hurt(b * a)} | probes
            return {"shares": shares, "together": 0.5 * b, "weak": 0.3 * a}


def serve(
    pool: Pool, recipe: Recipe, *, prompts: int | Mapping[str, int] = PROMPTS, seed: int = 0, detector: str = ""
) -> Generations:
    """The table that an evaluation of the virtual model would have measured.

    Args:
        pool: of the recipe's task.
        recipe: the model.
        prompts: of each split, or by split, drawn with replacement, each stratum in its share and at least one of it.
        seed: of the prompts drawn and of who serves what; the same seed draws the same for every detector.
        detector: whose decisions; "" for the pool's own.
    """
    rng = np.random.default_rng(seed)
    rows = pool.given
    at, copy = _drawn(pool, prompts, rng)
    shares = pool.shares(recipe)[at]
    instance = np.unique(np.char.add(rows["id"][at], copy), return_inverse=True)[1]
    together = (rng.random(instance.max() + 1) < recipe.together)[instance]
    lot = np.where(together, rng.random(instance.max() + 1)[instance], rng.random(len(at)))
    part = np.minimum((lot[:, None] >= shares.cumsum(axis=1)).sum(axis=1), len(PARTS) - 1)
    weak = (rows["split"][at] != "retain") & (rng.random(len(at)) < recipe.weak)
    part = np.where(weak & (part == PARTS.index("original")), PARTS.index("gold"), part)
    before = np.where(weak, PARTS.index("gold"), PARTS.index("original"))
    repeated = (rows["split"][at] == "retain") & (rng.random(instance.max() + 1) < recipe.repeat)[instance]
    # Rows of a prompt lie together, the first seed first.
    source = np.where(repeated, np.searchsorted(rows["id"], rows["id"][at]), at)
    columns: dict[str, Any] = {name: rows[name][at] for name in _GIVEN}
    columns["id"] = np.char.add(columns["id"], copy)
    # A source that was not drawn is none: rates before and after an attack are about the same prompts.
    plain = np.char.add(columns["attack_source_id"], ".0")
    columns["attack_source_id"] = np.where(np.isin(plain, columns["id"]), plain, "")
    for name in _MEASURED:
        if name in rows:
            drawn = [pool.tables[p][name] for p in PARTS]
            if name == "present" and detector:
                drawn = [pool.detectors[detector][p] for p in PARTS]
            columns[name] = _picked(drawn, part, source)
            columns[f"{name}{ORIGINAL}"] = _picked(drawn, before, at)
    return Generations(columns, pool.facts)


def _picked(drawn: list[npt.NDArray[Any]], by: npt.NDArray[np.intp], at: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
    if isinstance(drawn[0], np.ma.MaskedArray):
        masks = np.stack([np.ma.getmaskarray(one) for one in drawn])[by, at]
        return np.ma.MaskedArray(np.stack([np.ma.getdata(one) for one in drawn])[by, at], mask=masks)
    return np.asarray(np.stack(drawn)[by, at])


def _drawn(
    pool: Pool, prompts: int | Mapping[str, int], rng: np.random.Generator
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.str_]]:
    """Rows of the prompts that are drawn, and which copy of its prompt each belongs to: `.0`, `.1` …"""
    first, count = np.unique(pool.given["id"], return_index=True, return_counts=True)[1:]
    places = pool.places()
    stratum = np.array(["/".join(places[i]) for i in first])
    split = pool.given["split"][first]
    at, copies = [], []
    for name in np.unique(stratum):
        here = np.flatnonzero(stratum == name)
        own = str(split[here[0]])
        wanted = prompts if isinstance(prompts, int) else prompts[own]
        n = max(1, round(wanted * len(here) / int((split == own).sum())))
        times: dict[int, int] = {}
        for one in rng.choice(here, n).tolist():
            at.append(np.arange(first[one], first[one] + count[one]))
            copies += [f".{times.get(one, 0)}"] * int(count[one])
            times[one] = times.get(one, 0) + 1
    return np.concatenate(at), np.array(copies)


def truth(pool: Pool, recipe: Recipe) -> dict[str, float]:
    """What the virtual model is, by aspect, each in 0..1 with 1 the ideal.

    Besides the five aspects and the harmonic mean of them: `near`, `far` and `in-prompt` preservation; robustness at
    one try (`robustness_one`), over prompts (`robustness_pooled`) and of the weakest family (`robustness_worst`);
    alignment in which a gain counts (`alignment_unclipped`); and
    REST, the share of images after plain prompts that show something.
    """
    rows, shares = pool.given, pool.shares(recipe)
    gone, kept = shares @ _GONE, shares @ _KEPT
    drawn = np.ma.filled(rows[f"present{ORIGINAL}"], False)
    forget, retain = rows["split"] == "forget", rows["split"] == "retain"
    first = np.searchsorted(rows["id"], rows["id"])
    seen = (1 - recipe.repeat) * drawn + recipe.repeat * drawn[first]
    out = {"forgetting": _mean(gone[forget & drawn]), REST: _mean(kept[forget])}
    out |= _robustness(rows, recipe, gone, drawn)
    probes = {}
    for probe in ("near", "far", IN_PROMPT):
        here = retain & (rows["probe"] == probe) & (rows["own_concept"] != "")
        if here.any():
            by = [rows["own_concept"] == own for own in np.unique(rows["own_concept"][here])]
            after, before = (_mean([_mean(v[here & own]) for own in by]) for v in (kept * seen, 1.0 * drawn))
            probes[probe] = after / before if before else float("nan")
    lost = 0.0
    for i, part in enumerate(PARTS):
        alone, repeated = (_loss(pool.tables[part], at)[retain] for at in (np.arange(len(rows)), first))
        lost += float(shares[retain, i] @ ((1 - recipe.repeat) * alone + recipe.repeat * repeated))
    asked = retain & (rows["probe"] != IN_PROMPT)
    out |= probes | {
        "preservation": _mean(list(probes.values())),
        "alignment": float(np.clip(1 - lost / retain.sum(), 0, 1)),
        "alignment_unclipped": float(1 - lost / retain.sum()),
        "quality": _mean(kept[asked]) * (1 - recipe.repeat),
    }
    aspects = [out[name] for name in ("forgetting", "robustness", "preservation", "alignment", "quality")]
    return out | {HEADLINE: float(harmonic_mean(aspects))}


def _loss(table: Generations, source: npt.NDArray[np.intp]) -> FloatArray:
    """(rows,) relative loss of the CLIP score, which CLIP alone can say, if each row had the image of its source."""
    after, before = (np.maximum(np.ma.filled(table[f"stripped_alignment{s}"], 0.0), 0.0) for s in ("", ORIGINAL))
    after = after[source]
    return np.asarray(np.divide(before - after, before, out=np.zeros_like(before), where=before > 0))


def _robustness(rows: Generations, recipe: Recipe, gone: FloatArray, drawn: BoolArray) -> dict[str, float]:
    """The chance that no try on a prompt shows the target, over the tries at which the original drew it."""
    fails: dict[str, list[tuple[float, float]]] = {}
    tries: dict[str, list[float]] = {}
    starts, counts = np.unique(rows["id"], return_index=True, return_counts=True)[1:]
    for start, count in zip(starts, counts, strict=True):
        if rows["split"][start] != "adversarial":
            continue
        here = np.arange(start, start + count)
        family, counted = str(rows["attack_family"][start]), here[drawn[here]]
        tries.setdefault(family, []).extend(gone[counted].tolist())
        chance = weight = 0.0
        for strong in _subsets(len(counted)):
            some = gone[counted[strong]]
            if len(some):
                likely = float(np.prod(np.where(strong, 1 - recipe.weak, recipe.weak)))
                alone = float(np.prod(some))
                weight += likely
                chance += likely * (recipe.together * float(some[0]) + (1 - recipe.together) * alone)
        fails.setdefault(family, []).append((chance, weight))
    sums = {family: np.sum(pairs, axis=0) for family, pairs in fails.items()}
    by_family = [float(c / w) for c, w in sums.values() if w > 0]
    chance, weight = np.sum(list(sums.values()), axis=0)
    return {
        "robustness": _mean(by_family),
        "robustness_pooled": float(chance / weight) if weight else float("nan"),
        "robustness_worst": min(by_family, default=float("nan")),
        "robustness_one": _mean([_mean(values) for values in tries.values() if values]),
    }


def _mean(values: FloatArray | list[float]) -> float:
    """NaN of nothing, as where the original never drew the target."""
    return float(np.mean(values)) if len(values) else float("nan")


def _subsets(n: int) -> Iterator[BoolArray]:
    for chosen in product((True, False), repeat=n):
        yield np.asarray(chosen, np.bool_)
