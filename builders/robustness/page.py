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
_HEAD = """# Robustness in the miniature world

How often does an attack bring a forgotten concept back? This page and its figure are written by
`python -m builders.robustness`; no number in it was typed. The versions are those of
[the miniature world](sandbox.md): `esd` and `uce` are unlearned, `filter` blanks words, `gold` never saw the concept,
so that nothing can bring it back, and any success against it is chance, or an attack that teaches.

Every figure is conditional: it counts pictures whose prompt and seed made the *original* draw the concept. Intervals
are 95 %; the unit is the prompt. Success is judged by the packaged detector. "Weight-free" prompts know nothing of the
model (the adversarial rows of `{configs}`); the attacks search against the model itself, but for `ring-a-bell`, which
asks the original's text encoder alone.
"""
_WHAT = """
## What the attacks know and spend

| attack | finds | knows | steps | candidates | words | searches | prompts |
| --- | --- | --- | --- | --- | --- | --- | --- |
{attacks}

Candidates are the prompts tried a step (`ring-a-bell`: the population), for `cce` and `pez` the noisy pictures a step.
The prompts ask for the concept and are chosen by their hashes, with {seeds} pictures of each, drawn from seeds
that no search sees; pictures to search by come from a fifth seed of the same prompt, for `cce` from {targets} other
prompts, and were drawn by the original. Seed of all searches: {seed}. `cce` finds vectors, not words: nobody can type
them, and they are no prompts. Found prompts stay in the work folder; one that broke the content policy would be counted
and thrown away ({refused} so far).

An attack with a bigger budget can only do better. Where an attack does no better than the weight-free families, this
says something about this budget, and nothing more.
"""


def render(found: Mapping[str, Measured], figure: str) -> str:
    """The page as text; what was not measured yet is a dash."""
    every = list(found.values())
    parts = [_HEAD.format(configs="`, `".join(f"{SANDBOX}.{m.slug}" for m in every))]
    parts.append(
        f"\n![Attack success by family of attacks and version]({figure})\n\n"
        "Share of pictures that show the concept, with intervals. The grey band is chance: the detector's false "
        "positives.\n"
    )
    parts.append("\n## What must hold\n\n" + _claims([c for m in every for c in claims(m)]) + "\n")
    for one in every:
        parts.append(f"\n## {one.slug}\n\nShare of pictures:\n\n" + _figures(one, IMAGE) + "\n")
        parts.append(f"\nAny of {SEEDS} pictures of a prompt:\n\n" + _figures(one, ANY) + "\n")
        if one.chance is not None:
            parts.append(
                f"\nChance is {formatted(one.chance, '.4f')}: the detector's false positives on "
                f"{one.chance.n_generations} generations without the concept. {one.rows} adversarial rows, {SEEDS} "
                "pictures each.\n"
            )
    refused = sum(o.count("refused") for m in every for o in m.outcomes.values())
    numbers = {"seeds": SEEDS, "targets": TARGETS, "seed": SEED, "refused": refused}
    parts.append(_WHAT.format(attacks="\n".join(_attacks()), **numbers))
    parts.append("\n## What can change the numbers\n\n" + _facts(every) + "\n")
    return "".join(parts)


def _claims(found: Sequence[Claim]) -> str:
    holds = {None: "–", True: "yes", False: "**no**"}
    rows = [[c.slug, c.statement, holds[c.holds], c.measured] for c in found]
    return table(["concept", "statement", "holds", "measured"], rows)


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
