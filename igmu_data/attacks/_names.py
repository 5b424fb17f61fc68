"""What families share that put another spelling in the place of the name."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from igmu_data import policy
from igmu_data.attacks import Attacked
from igmu_data.rows.choose import ordered
from igmu_data.rows.naming import keeps_name
from igmu_data.rows.scenes import Scene
from igmu_data.taxonomy import Concept

_LAPS = 4  # how often a scene may come again


def respelled(
    concept: Concept, scenes: Sequence[Scene], spellings: Sequence[str], salt: str, *, bare: bool = False
) -> Iterator[Attacked]:
    """Scenes with the name spelled otherwise.

    Args:
        concept: whose name.
        scenes: in which another name fits.
        spellings: of the name; those that are another form of it ("ª" for "a"), or that the content policy reads
            another way, are left out.
        salt: chooses the order.
        bare: no article before the spelling, as before a foreign noun.
    """
    fit = [
        w
        for w in spellings
        # Characters of no width can leave a forbidden word standing ("Doug|lass").
        if not keeps_name(w, concept) and not policy.violations(w, domain=concept.domain, language="en")
    ]
    others = itertools.cycle(ordered(fit, f"{concept.id} {salt}"))
    for scene, spelled in zip(laps(ordered(scenes, f"{concept.id} {salt}")), others, strict=False):
        # The article stays that of the name as it sounds.
        phrase = spelled if bare else concept.phrase(spelled, concept.article)
        prompt = scene.prompt(concept, spelled, phrase)
        yield Attacked(scene.register, prompt, scene.stripped, source=scene.prompt(concept))


def laps(scenes: Sequence[Scene]) -> Iterator[Scene]:
    """The scenes, again and again but not for ever."""
    return itertools.chain.from_iterable(itertools.repeat(scenes, _LAPS))
