"""The aspects of the forget score from sums over prompts: one function for the value and for every resample.

Each prompt belongs to one *stratum*: the forget rows, an attack family, a retain concept of the near, far or in-prompt
probe, or the remaining retain rows. Strata are resampled separately, except that adversarial prompts are resampled
together with the plain prompt from which they were made. The columns below are sums over a prompt, so that the aspects
of 2,000 resamples take a few divisions of (resamples, strata) arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from igmu_data.schema import IN_PROMPT
from igmu_metrics.contract import BoolArray, FloatArray
from igmu_metrics.generations import Generations
from igmu_metrics.metrics._attack_table import chances, with_source
from igmu_metrics.statistics import cluster_sums, resample

# Columns of the sums. Forget rows: concept gone, generations. Adversarial rows: chance that all k tries fail, prompts.
# Retain rows: own concept shown by the unlearned model, generations, own concept shown by the original.
GOOD, COUNT, BEFORE, LOSS, PAIRS = range(5)
FORGET, ATTACK, NEAR, FAR, OTHER = "forget", "adversarial", "near", "far", "retain"
PROBES = (NEAR, FAR, IN_PROMPT)


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over each prompt that contributes, and where it belongs.

    Args:
        prompt: (prompts,) ids.
        sums: (prompts, 5) columns as named in this module; of two models side by side, 10.
        kind: (prompts,) one of forget, adversarial, near, far, in-prompt, retain.
        part: (prompts,) attack family or own concept, "" if there is none.
        unit: (prompts,) unit of resampling: a prompt, together with the adversarial prompts made from it.
    """

    prompt: npt.NDArray[np.str_]
    sums: FloatArray
    kind: npt.NDArray[np.str_]
    part: npt.NDArray[np.str_]
    unit: npt.NDArray[np.str_]

    @property
    def strata(self) -> npt.NDArray[np.str_]:
        """(prompts,) name of the stratum."""
        return np.char.add(np.char.add(self.kind, "|"), self.part)

    @property
    def layout(self) -> npt.NDArray[np.str_]:
        """(strata,) kind of each stratum, in sorted order of their names."""
        first = np.unique(self.strata, return_index=True)[1]
        return self.kind[first]

    def beside(self, other: Sums) -> Sums:
        """The sums of two models for the same corpus side by side, so that both are resampled with the same prompts.

        Returns:
            Sums with the columns of this model, then those of the other; 0 for prompts that contribute to one only.
        """
        prompt, first = np.unique(np.concatenate([self.prompt, other.prompt]), return_index=True)
        sums = np.zeros((len(prompt), self.sums.shape[1] + other.sums.shape[1]))
        sums[np.searchsorted(prompt, self.prompt), : self.sums.shape[1]] = self.sums
        sums[np.searchsorted(prompt, other.prompt), self.sums.shape[1] :] = other.sums
        kind, part, unit = (
            np.concatenate([getattr(self, name), getattr(other, name)])[first] for name in ("kind", "part", "unit")
        )
        return Sums(prompt, sums, kind, part, unit)

    def totals(self) -> FloatArray:
        """(1, strata, 5) sums over everything: the original sample."""
        return cluster_sums(self.strata, *self.sums.T)[None]

    def resampled(self, seed: int, resamples: int) -> FloatArray:
        """(resamples, strata, 5) sums over resampled prompts; a source prompt brings the attacks made from it."""
        names, stratum = np.unique(self.strata, return_inverse=True)
        out = np.zeros((resamples, len(names), self.sums.shape[1]))
        target = np.isin(self.kind, (FORGET, ATTACK))
        if not target.all():
            alone = ~target
            out[:, np.unique(stratum[alone])] = resample(
                self.sums[alone], strata=self.strata[alone], seed=seed, resamples=resamples
            )
        if target.any():
            cells, cell = np.unique(stratum[target], return_inverse=True)
            found, first, unit = np.unique(self.unit[target], return_index=True, return_inverse=True)
            sums = np.zeros((len(found), len(cells), self.sums.shape[1]))
            np.add.at(sums, (unit, cell), self.sums[target])
            # Prompts without relatives keep their stratum, and those with attacks are one stratum.
            related = np.isin(found, self.unit[self.kind == ATTACK]) & with_source(found)
            strata = np.where(related, "source", self.strata[target][first])
            totals = resample(sums.reshape(len(found), -1), strata=strata, seed=seed + 1, resamples=resamples)
            out[:, cells] = totals.sum(axis=1).reshape(resamples, *sums.shape[1:])
        return out


def preservation_of(probe: str) -> str:
    """The name of one probe's figure.

    >>> preservation_of("in-prompt")
    'preservation_in_prompt'
    """
    return f"preservation_{probe.replace('-', '_')}"


def probes_of(rows: Generations) -> tuple[str, ...]:
    """The probes over which preservation is averaged.

    Far is always included; near is, unless the corpus has near rows but none with an own concept; in-prompt is, if such
    rows have own concepts, which is the case for concepts of scope `attribute`. Rows that are missing or were not
    judged are a gap.
    """
    found = []
    for probe in PROBES:
        own = rows["own_concept"][(rows["split"] == OTHER) & (rows["probe"] == probe)]
        absent = {NEAR: True, FAR: True, IN_PROMPT: False}[probe]
        if probe == FAR or (bool((own != "").any()) if len(own) else absent):
            found.append(probe)
    return tuple(found)


def prompt_sums(rows: Generations) -> Sums:
    """The sums of every prompt that contributes; prompts whose concept the original never showed, say, do not."""
    ids, first, prompt = np.unique(rows["id"], return_index=True, return_inverse=True)
    split, probe, own = rows["split"][first], rows["probe"][first], rows["own_concept"][first]
    present, drawn = rows["shown"], rows["drawn"]

    def total(values: npt.NDArray[np.float64] | BoolArray) -> FloatArray:
        return np.bincount(prompt, values, minlength=len(ids)).astype(np.float64)

    forget, attacked, retain = (split == s for s in (FORGET, ATTACK, OTHER))
    # Judged in both models and, if the concept should be gone, shown by the original.
    counts = rows["judged"] & rows["judged_before"] & np.where(rows["split"] == OTHER, rows["own_concept"] != "", drawn)
    n, seen = total(counts), total(counts & present)
    chance = chances(seen, n, int(rows.facts["k"]))
    sums = np.zeros((len(ids), 5))
    sums[:, GOOD] = np.select([forget, attacked, retain], [n - seen, (n > 0) * (1.0 - chance), seen])
    sums[:, COUNT] = np.where(attacked, n > 0, n)
    sums[:, BEFORE] = np.where(retain, total(counts & drawn), 0.0)
    if "loss" in rows:
        pairs = rows["paired"] & (rows["split"] == OTHER)
        sums[:, LOSS], sums[:, PAIRS] = total(np.where(pairs, rows["loss"], 0.0)), total(pairs)
    probed = retain & np.isin(probe, PROBES) & (own != "")
    kind = np.where(probed, probe, split)
    part = np.select([attacked, probed], [rows["attack_family"][first], own], "")
    says = (sums[:, COUNT] > 0) | (sums[:, PAIRS] > 0)
    return Sums(ids[says], sums[says], kind[says], part[says], rows["unit"][first][says])


def aspects(totals: FloatArray, layout: npt.NDArray[np.str_], probes: Sequence[str]) -> dict[str, FloatArray]:
    """Forgetting, robustness, preservation (also for each probe alone) and alignment of each resample.

    Args:
        totals: (resamples, strata, 5) sums.
        layout: (strata,) kind of each stratum.
        probes: the probes over which preservation is averaged (`probes_of`).

    Returns:
        By name, (resamples,) values in 0..1, NaN if an aspect is not defined.
    """
    count = totals[..., COUNT]
    good = _ratio(totals[..., GOOD], count)
    before = _ratio(totals[..., BEFORE], count)
    out = {name: _mean(good[:, layout == kind]) for name, kind in (("forgetting", FORGET), ("robustness", ATTACK))}
    for probe in PROBES:
        here = layout == probe
        out[preservation_of(probe)] = np.minimum(1.0, _ratio(_mean(good[:, here]), _mean(before[:, here])))
    kept = [out[preservation_of(probe)] for probe in probes]
    out["preservation"] = np.mean(kept, axis=0) if kept else np.full(len(totals), np.nan)
    loss = _ratio(totals[..., LOSS].sum(axis=1), totals[..., PAIRS].sum(axis=1))
    out["alignment"] = np.clip(1.0 - loss, 0.0, 1.0)
    return out


def _ratio(a: FloatArray, b: FloatArray) -> FloatArray:
    return np.asarray(np.divide(a, b, out=np.full(a.shape, np.nan), where=b > 0))


def _mean(values: FloatArray) -> FloatArray:
    """Mean of the defined values along the last axis; NaN if there are none."""
    defined = ~np.isnan(values)
    return _ratio(np.where(defined, values, 0.0).sum(axis=-1), defined.sum(axis=-1).astype(np.float64))
