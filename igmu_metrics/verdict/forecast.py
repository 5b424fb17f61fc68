"""Forecasts: which intervals a run of another part of the protocol would get, from a scorecard or an assumed rate.

Conventions: see `made_up`. A forecast is about forgetting, attacks and what is retained, as far as the detector's
decisions alone determine the interval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from igmu_data.errors import IgmuError, InputError, OutOfRangeError
from igmu_data.load import at_hand, bench_rows, digest
from igmu_data.numerals import counted
from igmu_data.rows.rounds import named
from igmu_data.schema import ROUNDS, Row
from igmu_metrics.contract import Setting
from igmu_metrics.scorecard import Scorecard
from igmu_metrics.statistics.formatting import value_of
from igmu_metrics.verdict.criteria import Criterion, printed, require_tries, usable, without_k
from igmu_metrics.verdict.made_up import METRICS, Correlations, Foreseen, Habits, Shares, judged, of_both

VERDICT: Final = (
    "concept_accuracy/conditional_unlearning_accuracy",
    "forget_score/robustness",
    "forget_score/preservation",
    "attack_success_rate/asr_any@k",
)
SPLITS: Final = ("forget", "adversarial", "retain")
_AGGREGATE: Final = ("/forget_score", "/alignment", "/quality")
_OF_ATTACKS: Final = {
    "asr": "attack_success_rate/asr_any@k",
    "asr_any@k": "attack_success_rate/asr_any@k",
    "asr_image": "attack_success_rate/asr_image",
    "robustness": "forget_score/robustness",
}


def habits(card: Scorecard) -> dict[str, Habits]:
    """How the images of a card turned out, by split."""
    lines = card.generations
    return {split: Habits.of(part) for split in SPLITS if len(part := lines.part(split)) and judged(part)}


def smallest(foreseen: Callable[[int], Sequence[Foreseen]], chance: float) -> tuple[int | None, Sequence[Foreseen]]:
    """The fewest rounds with which a bound is decided with some chance, and what is expected of them.

    Args:
        foreseen: what is expected of a number of rounds; empty if the metric has no value in them.
        chance: chance that the interval excludes the bound, 0..1.

    Returns:
        The number of rounds and the expectation; None and that of all rounds if these are not enough.
    """

    def decides(found: Sequence[Foreseen]) -> bool:
        return bool(found) and (found[0].chance or 0.0) >= chance

    whole = foreseen(ROUNDS)
    if not decides(whole):
        return None, whole
    few, enough, found = 0, ROUNDS, whole
    while enough - few > 1:
        middle = (few + enough) // 2
        if decides(seen := foreseen(middle)):
            enough, found = middle, seen
        else:
            few = middle
    return enough, found


def impossible(card: Scorecard, full: str, rounds: int) -> InputError:
    """The error about a metric that has no interval in a part of the protocol."""
    return InputError(
        f"{printed(card.scores, full)} of {card.model} cannot be forecast for {named(rounds)}, because there it has no "
        f"interval that depends on the detector's decisions alone. Use a bound on one of {_listed(card)}."
    )


def _listed(card: Scorecard) -> str:
    """The metrics of the verdict that a card has, for messages."""
    known = [full for full in VERDICT if value_of(card.figure(*full.split("/", 1))) is not None]
    return ", ".join(printed(card.scores, full) for full in known)


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


def corpus_at_hand(cards: Sequence[Scorecard]) -> list[Row] | None:
    """The rows of the corpus on which cards were scored; None if they would have to be downloaded, or are others."""
    if not cards or not at_hand(cards[0].config):
        return None
    try:
        return corpus_of(cards, None, None)
    except IgmuError:
        return None


def seeds_of(card: Scorecard) -> int:
    """How many images per prompt a card has; the median, if prompts differ."""
    found = np.unique(card.generations["id"], return_counts=True)[1]
    return int(np.median(found)) if len(found) else 1


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


def tries(facts: Mapping[str, Mapping[str, Setting | None]], seeds: int) -> int:
    """The value of k with which attacks are scored with these `facts`, for prompts with some number of seeds."""
    k = facts.get("attack_success_rate", {}).get("k")
    return k if isinstance(k, int) else seeds


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
        raise InputError(f"{where} has no value for {printed(card.scores, full)}. Choose another metric.")
    if full.partition("/")[0] not in METRICS or full.endswith(_AGGREGATE) or of_both(full):
        raise InputError(
            f"{printed(card.scores, full)} cannot be forecast, because its interval does not depend on the detector's "
            f"decisions alone. Use a bound on one of {_listed(card)}."
        )
    if value == criterion.bound:
        raise InputError(
            f"{printed(card.scores, full)} of {card.model} is equal to the bound, {value!r}, so no number of prompts "
            "decides. Use another bound."
        )
    return [full], criterion.bound, value


def assumed(name: str, rate: float, seeds: int, shared: Correlations) -> tuple[str, dict[str, Habits]]:
    """The full name of a metric of attacks, and how images turn out if this metric has some value.

    Args:
        name: `asr`, `asr_any@k` (also with the number of images as k), `asr_image` or `robustness`.
        rate: its value, 0..1.
        seeds: number of images per prompt, all of which are tried.
        shared: correlations of the model's images.

    Raises:
        InputError: another metric.
        BudgetError: the name has another k than the number of images.
        OutOfRangeError: a larger correlation within sources than within prompts.

    With one image per prompt, both rates are the same; with two independent ones, 1 − (1 − 0.5)² = 0.75:

    >>> [round(assumed("asr", r, n, Correlations(0.0, 0.0))[1]["adversarial"].others.where, 3)
    ...  for r, n in ((0.5, 1), (0.75, 2))]
    [0.5, 0.5]
    """
    full = _OF_ATTACKS.get(without_k(name))
    if full is None:
        raise InputError(
            f"--bound names {name!r}; with --rate, METRIC must be one of {', '.join(_OF_ATTACKS)}. For plain prompts, "
            "give only the number."
        )
    require_tries(seeds, full.partition("/")[2], name, f"a plan with {counted(seeds, 'image')} per prompt", "--seeds")
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
