"""`python -m builders.graded`: real models between the packaged versions, in steps, generated and scored; it resumes.

What construction says of them is an order within each kind, more of the same, and no number; the virtual models of
`igmu audit` have numbers. They stay out of the wheel: each is made anew in memory from packaged weights.

- `noise`: the original's weights mixed with more and more noise.
- `esd`: weights on the way from the original to `esd`, which forgets more and more.
- `gold`: weights on the way from the original to `gold`. The two were trained apart, so what lies between them need not
  draw anything; only the ends are known.
- `trained`: ESD with more and more steps of training (minutes each).
- `uce`: UCE that is told what to preserve, and that is not.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from builders.graded_page import Step, page
from builders.sandbox.versions import ESD_STEPS
from builders.unlearning import collapse, esd, uce
from igmu_data.errors import exits_on_error
from igmu_data.files import owned, require_writable
from igmu_data.sandbox.world import world
from igmu_data.taxonomy import SANDBOX
from igmu_metrics.images.generate import draw
from igmu_metrics.images.layouts import Model
from igmu_metrics.images.pipelines import Pipeline, find_pipeline
from igmu_metrics.metrics.forget_score import ASPECTS
from igmu_metrics.networks.loading import choice
from igmu_metrics.sandbox import demo
from igmu_metrics.scorecard import Scorecard, write
from igmu_metrics.statistics.formatting import DASH, formatted

ROOT: Final = Path(__file__).resolve().parent.parent
NOISE: Final = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
POINTS: Final = tuple(i / 10 for i in range(1, 11))
STRENGTHS: Final = tuple(i / 8 for i in range(1, 9))
_PLACES: Final = ("unet", "text_encoder")


@dataclass(frozen=True, slots=True)
class Graded:
    """One model.

    Args:
        kind: one of KINDS.
        grade: how much of it; more is more of the same.
        make: changes the original's pipeline, which is its own to change.
    """

    kind: str
    grade: float
    make: Callable[[Any], None]

    @property
    def name(self) -> str:
        """`noise-0.05`."""
        return f"{self.kind}-{self.grade:g}"


def between(pipe: Any, other: Any, share: float) -> None:
    """Move a pipeline's weights so much of the way to another's of the same shapes.

    Args:
        pipe: is changed.
        other: stays as it is.
        share: 0..1; at 1 it is the other.
    """
    import torch

    with torch.no_grad():
        for place in _PLACES:
            theirs = dict(getattr(other, place).named_parameters())
            for name, weight in getattr(pipe, place).named_parameters():
                weight.lerp_(theirs[name], share)


def _noise(pipe: Any, strength: float) -> None:
    pipe.unet = collapse.damage(pipe.unet, strength=strength, seed=0)


def _towards(pipe: Any, version: str, slug: str, share: float) -> None:
    between(pipe, find_pipeline(f"{SANDBOX}:{version}/{slug}", device="cpu").load(), share)


def _trained(pipe: Any, slug: str, share: float) -> None:
    item = next(one for name, one in world().known.items() if name.rpartition("/")[2] == slug)
    prompts = [item.phrase(), item.label] if item.scope == "subject" else [item.label]
    steps = round(share * ESD_STEPS[item.scope])
    pipe.unet = esd.erase(pipe, prompts, steps=steps, learning_rate=3e-4, sampling_steps=12, batch_size=4)


def _edited(pipe: Any, slug: str, preserve: float) -> None:
    item = next(one for name, one in world().known.items() if name.rpartition("/")[2] == slug)
    others = [c.label for c in world().concepts() if c.id != item.id] if preserve else []
    pipe.unet = uce.edit(pipe, [(item.label, "" if item.scope == "attribute" else "place")], others)


KINDS: Final[Mapping[str, Callable[[str], Iterator[Graded]]]] = {
    "noise": lambda slug: (Graded("noise", s, partial(_noise, strength=s)) for s in NOISE),
    "esd": lambda slug: (Graded("esd", s, partial(_towards, version="esd", slug=slug, share=s)) for s in POINTS),
    "gold": lambda slug: (Graded("gold", s, partial(_towards, version="gold", slug=slug, share=s)) for s in POINTS),
    "trained": lambda slug: (Graded("trained", s, partial(_trained, slug=slug, share=s)) for s in STRENGTHS),
    "uce": lambda slug: (Graded("uce", s, partial(_edited, slug=slug, preserve=s)) for s in (0.0, 1.0)),
}


def pipeline(one: Graded, original: Pipeline) -> Pipeline:
    """The original's pipeline, changed when the first image needs it; the revision says from what, and how."""

    def load() -> Any:
        pipe = original.load()
        one.make(pipe)
        return pipe

    return Pipeline(f"graded:{one.name}", f"{original.revision} {one.name}", original.device, original.dtype, load)


def make(work: Path, slug: str, kinds: list[str], *, seeds_per_row: int, full: bool) -> Iterator[Step]:
    """Draw and score every model of some kinds; what is in the folder is not drawn again.

    Yields:
        Each model with its scorecard; the original is step 0 of every kind but `uce`.
    """
    job = demo.plan(work, slug, demo.load_rows(slug), full=full, seeds_per_row=seeds_per_row)
    original = find_pipeline(f"{SANDBOX}:original", device="cpu")
    base = job.place / "drawn" / "original"
    draw(job.requests, original, base)
    evaluation = demo.evaluation(job)
    (own,) = evaluation.run(base, [Model("original", base)])
    yield from (Step(kind, 0.0, own) for kind in kinds if kind != "uce")
    for one in (graded for kind in kinds for graded in KINDS[kind](slug)):
        folder = job.place / "drawn" / one.name
        draw(job.requests, pipeline(one, original), folder)
        (card,) = evaluation.run(base, [Model(one.name, folder)])
        write(card, demo.card_file(work, slug, one.name))
        yield Step(one.kind, one.grade, card)


def aspects(card: Scorecard) -> str:
    """`forgetting 0.50, robustness …` of a scorecard."""
    figures = {name: card.figure("forget_score", name) for name in ASPECTS}
    return ", ".join(f"{name} {DASH if one is None else formatted(one)}" for name, one in figures.items())


@exits_on_error
def main(
    work: Annotated[Path, typer.Option(help="Folder of images and scorecards.")] = ROOT / "dist" / "graded",
    task: Annotated[list[str] | None, typer.Option(help="Only this concept; repeat the option for each.")] = None,
    kind: Annotated[list[str] | None, typer.Option(help="Only this kind; repeat the option for each.")] = None,
    seeds_per_row: Annotated[int, typer.Option(min=2, max=5, help="Images per prompt.")] = demo.SEEDS,
    full: Annotated[bool, typer.Option(help="Every prompt, not a choice of them.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the page about them to this file (Markdown).")] = None,
) -> None:
    """Make real models in steps between the packaged versions, draw with them and score them."""
    kinds = [choice("kind", one, tuple(KINDS)) for one in kind or KINDS]
    require_writable(work)
    found: dict[str, list[Step]] = {}
    with owned(work):
        for slug in task or demo.slugs():
            for step in make(work, slug, kinds, seeds_per_row=seeds_per_row, full=full):
                typer.echo(f"{slug}: {step.card.model} {aspects(step.card)}")
                found.setdefault(slug, []).append(step)
    if out is not None:
        n = {len({row for row, _ in step.card.generations.keys}) for steps in found.values() for step in steps}
        command = shlex.join(["python", "-m", "builders.graded", *sys.argv[1:]])
        text = page(found, command=command, prompts=sorted(n), seeds=seeds_per_row)
        out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
