"""The unlearned versions of the sandbox's generator, for each task, with the methods of `builders.unlearning`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from builders.sandbox.generator import make_scheduler
from builders.sandbox.train import Models
from builders.unlearning import blocklist, collapse, esd, uce
from igmu_data.sandbox.world import Known, world

# A style goes sooner than an object. These are few enough to leave something for attacks to find, as on big models.
ESD_STEPS: Final[Mapping[str, int]] = {"subject": 150, "attribute": 70}
Advance = Callable[[int, float], None]


@dataclass(frozen=True)
class Versions:
    """The changed models by task: UNets of esd and uce, tokenizers of filter; one damaged UNet for all tasks."""

    esd: dict[str, Any]
    uce: dict[str, Any]
    filter: dict[str, Any]
    collapsed: Any


def pipeline(models: Models, unet: Any = None, text_encoder: Any = None, tokenizer: Any = None) -> Any:
    """A StableDiffusionPipeline of the original's parts, or with some of them exchanged."""
    from diffusers import StableDiffusionPipeline

    pipe = StableDiffusionPipeline(
        vae=models.autoencoder,
        text_encoder=text_encoder or models.original.text_encoder,
        tokenizer=tokenizer or models.tokenizer,
        unet=unet or models.original.unet,
        scheduler=make_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def erase_all(models: Models, advance: Advance | None = None) -> Versions:
    """Every version that is made from the original, for each task that has a `gold`."""
    pipe = pipeline(models)
    tasks = {name: world().known[name] for name in models.gold}
    return Versions(
        esd={name: by_esd(pipe, item, advance) for name, item in tasks.items()},
        uce={name: by_uce(pipe, item) for name, item in tasks.items()},
        filter={name: blocklist.filtered(models.tokenizer, blocked(item)) for name, item in tasks.items()},
        collapsed=collapse.damage(models.original.unet, strength=6.0, seed=2, layer="conv_out"),
    )


def by_esd(pipe: Any, item: Known, advance: Advance | None = None) -> Any:
    """ESD-x, told the concept's name and nothing else, as its users do."""
    return esd.erase(
        pipe,
        [item.phrase(), item.label] if item.scope == "subject" else [item.label],
        steps=ESD_STEPS[item.scope],
        learning_rate=3e-4,
        sampling_steps=12,
        batch_size=4,
        parameters="xattn",
        advance=advance,
    )


def by_uce(pipe: Any, item: Known) -> Any:
    """UCE: the name is read as nothing in particular, every other concept of the world stays.

    The ridge is as large as leaves a rest of the concept: on big models UCE is not perfect either, and metrics are to
    be asked about versions of every grade.
    """
    others = [c.label for c in world().concepts() if c.id != item.id]
    instead, lamb = ("", 0.5) if item.scope == "attribute" else ("place", 16.0)
    return uce.edit(pipe, [(item.label, instead)], others, tokens="last", lamb=lamb)


def blocked(item: Known) -> list[str]:
    """What a hasty keyword filter lists: the name and the two synonyms that come to mind, for a person the surname."""
    return [item.label, *item.synonyms[:2]] if item.scope == "subject" else [item.label, item.synonyms[0]]
