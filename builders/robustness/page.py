"""The page: what was asked, the figures with their budgets, and what they mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from builders.robustness.claims import Claim, claims
from builders.robustness.measure import BUDGETS, PROMPTS, SEED, SEEDS, TARGETS, VERSIONS, Measured
from igmu_data.markdown import table
from igmu_data.taxonomy import SANDBOX
from igmu_metrics import registry
from igmu_metrics.attacks.running.result import ANY, IMAGE, PRE
from igmu_metrics.contract import Estimate
from igmu_metrics.statistics.formatting import formatted

Drawn = tuple[str, str, Callable[[str], Estimate | None]]
_HEAD = """# Robustness in the sandbox

How often does an attack bring a forgotten concept back? `python -m builders.robustness` writes this page and its
figure; no number was typed by hand. The models come from [the sandbox](sandbox.md): `esd` and `uce` are unlearned, and
`filter` removes words from prompts. `gold` was never trained on the concept, so there is nothing to bring back: if an
attack on `gold` succeeds, the success is due to chance, or the attack has taught the concept to the model.

Every number is conditional: it counts only prompts and seeds for which the *original* generated the concept.
Intervals are 95% intervals with the prompt as their unit. The packaged detector decides whether an attack succeeded.
"Weight-free" prompts do not depend on the model (the adversarial rows of `{configs}`).
Attacks that search use the attacked model itself, except `ring-a-bell`, which uses only the original's text encoder.
"""
_WHAT = """
## Knowledge and budget of the attacks

| attack | finds | knows | steps | candidates | words | searches | prompts |
| --- | --- | --- | --- | --- | --- | --- | --- |
{attacks}

"Candidates" is the number of prompts tried per step (for `ring-a-bell`, the size of the population; for `cce` and
`pez`, the number of noisy images per step). The attacked prompts ask for the concept and are chosen by their hashes,
with {seeds} images per prompt, generated from seeds that no search uses. The images that guide a search were generated
by the original, with the fifth seed of the same prompt; for `cce`, from {targets} other prompts. Every search uses the
seed {seed}. `cce` finds embedding vectors, which nobody can type into a prompt. The prompts that an attack finds are
stored only in the work folder; prompts that break the content policy are counted and discarded ({refused} so far).

A larger budget can only help an attack. If an attack does no better than the weight-free families, this shows only that
the stated budget is not enough.
"""


def render(found: Mapping[str, Measured], figure: str) -> str:
    """The page as text; what was not measured yet is a dash."""
    every = list(found.values())
    parts = [_HEAD.format(configs="`, `".join(f"{SANDBOX}.{m.slug}" for m in every))]
    parts.append(
        f"\n![Attack success by attack family and version]({figure})\n\n"
        "The figure shows the share of images that show the concept, with intervals. The gray band is the rate "
        "expected by chance, that is, the detector's rate of false positives.\n"
    )
    parts.append("\n## Expectations and results\n\n" + _claims([c for m in every for c in claims(m)]) + "\n")
    for one in every:
        parts.append(
            f"\n## {one.slug}\n\nThe next table gives the share of images that show the concept:\n\n"
            + _figures(one, IMAGE)
            + "\n"
        )
        parts.append(
            f"\nThe next table gives the share of prompts for which at least one of {SEEDS} images shows the concept:"
            "\n\n" + _figures(one, ANY) + "\n"
        )
        if one.chance is not None:
            parts.append(
                f"\nThe rate expected by chance is {formatted(one.chance, '.4f')}: the detector's rate of false "
                f"positives on {one.chance.n_generations} images without the concept. There are {one.rows} adversarial "
                f"rows with {SEEDS} images each.\n"
            )
    refused = sum(o.count("refused") for m in every for o in m.outcomes.values())
    numbers = {"seeds": SEEDS, "targets": TARGETS, "seed": SEED, "refused": refused}
    parts.append(_WHAT.format(attacks="\n".join(_attacks()), **numbers))
    parts.append("\n## What can change the numbers\n\n" + _facts(every) + "\n")
    return "".join(parts)


def _claims(found: Sequence[Claim]) -> str:
    holds = {None: "–", True: "yes", False: "**no**"}
    rows = [[c.slug, c.statement, holds[c.holds], c.measured] for c in found]
    return table(["concept", "expectation", "met", "measured"], rows)


def lines(one: Measured, name: str) -> Iterator[Drawn]:
    """The lines of a table or chart: kind (`plain`, `weight-free`, `attack`), what, and its figure by version."""
    outcomes = one.outcomes

    def plain(version: str) -> Estimate | None:
        return next((o.figures[PRE] for (v, _), o in outcomes.items() if v == version), None)

    if name == ANY:
        yield "plain", "plain prompt", plain
    families = sorted({f for level in one.levels.values() for f in level.image if f})
    for family in [*families, ""]:

        def published(version: str, family: str = family) -> Estimate | None:
            level = one.levels.get(version)
            return None if level is None else (level.image if name == IMAGE else level.any_at_k).get(family)

        yield "weight-free", family or "all weight-free", published
    for attack in BUDGETS:

        def searched(version: str, attack: str = attack) -> Estimate | None:
            outcome = outcomes.get((version, attack))
            return outcome.figures[name] if outcome else None

        info: Any = registry.module("attacks", attack).INFO
        yield "attack", attack if info.finds == "prompt" else f"{attack} (embedding)", searched


def _figures(one: Measured, name: str) -> str:
    rows = [
        [f"**{what}**" if kind == "attack" else what, *(formatted(figure(v)) for v in VERSIONS)]
        for kind, what, figure in lines(one, name)
    ]
    return table(["", *(f"`{v}`" for v in VERSIONS)], rows)


def _attacks() -> Iterator[str]:
    for name, b in BUDGETS.items():
        info = registry.module("attacks", name).INFO
        yield (
            f"| `{name}` v{info.version} | {info.finds} | {info.knows} | {b.steps} | {b.candidates} | {b.tokens} | "
            + ("once for the concept" if info.searches == "concept" else "once for each prompt")
            + f" | {PROMPTS[name]} |"
        )


def _facts(every: Sequence[Measured]) -> str:
    return table(["concept", "what", "revision"], [[m.slug, *fact] for m in every for fact in m.facts.items()])
