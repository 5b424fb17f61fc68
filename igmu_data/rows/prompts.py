"""From concepts and templates to the forget and retain rows of the corpus.

Conventions: a `Plan` is a prompt with the place of the name still open (`{a}`: with its article, `{name}`: bare), so
that an attack can put something else there; a `Universe` says what else there is. Every choice is made by a hash of
what it is made for, never by a random state: adding a concept or a scene leaves the rows of all others as they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from igmu_data.errors import CorpusError
from igmu_data.rows.plans import CORPUS, PLAIN, Plan, Universe, opening
from igmu_data.schema import SEEDS_PER_ROW, Row, row_id
from igmu_data.taxonomy import Concept, Frame, TranslatedScene, templates
from igmu_data.validate import NEAR_DUPLICATE, content_words, names_concept, overlap

FORGET_ROWS: Final = 56  # at least 50 are promised; a style has more scenes than that, an object about as many
IN_PROMPT_ROWS: Final = 20
NEAR_ROWS: Final = 24
FAR_ROWS: Final = 30  # half in the same domain, half in others
TRANSLATED_SCENES: Final = 3  # times six languages
_T = TypeVar("_T")


def pick(items: Iterable[_T], n: int, salt: str, key: Callable[[_T], str] = str) -> list[_T]:
    """`n` of the items in an order that depends only on their key and the salt."""
    return sorted(items, key=lambda item: _hash(salt, key(item)))[:n]


def _hash(*parts: str) -> int:
    return int.from_bytes(hashlib.sha256("\x1f".join(parts).encode()).digest()[:8], "big")


def seeds(key: str) -> tuple[int, ...]:
    """Five different seeds below 2³¹, derived from a text."""
    out: list[int] = []
    counter = 0
    while len(out) < SEEDS_PER_ROW:
        value = _hash("seed", key, str(counter)) % 2**31
        counter += 1
        if value not in out:
            out.append(value)
    return tuple(out)


def frame_for(frames: Sequence[Frame], salt: str) -> Frame:
    """One of the frames, chosen by weight through the hash of the salt."""
    at = _hash("frame", salt) % sum(f.weight for f in frames)
    for frame in frames:
        at -= frame.weight
        if at < 0:
            return frame
    raise AssertionError("weights are positive")


def fit(concept: Concept, scene: str, frame: Frame) -> Plan:
    """A scene in a frame."""
    stripped = None if frame.stripped is None else frame.stripped.replace("{scene}", scene)
    return Plan(concept, frame.text.replace("{scene}", scene), stripped, frame.id)


def translated_scenes(concept: Concept) -> list[TranslatedScene]:
    """The scenes of this concept that exist in every language."""
    pool = concept.translated or templates(concept.domain).translated
    return pick(pool, TRANSLATED_SCENES, concept.id + "translated", key=lambda s: s.id)


def translated_plans(concept: Concept) -> list[Plan]:
    """The English of those scenes."""
    return [
        Plan(concept, s.en, s.stripped, PLAIN.id if s.stripped is None else "translated", s.id)
        for s in translated_scenes(concept)
    ]


def plans(concept: Concept, universe: Universe = CORPUS) -> list[Plan]:
    """Every plain prompt that the concept's own scenes and its domain's give, translated scenes first.

    Raises:
        CorpusError: a scene without exactly one place for the name.
    """
    found = list(universe.plans.get(concept.id) or _plans(concept, universe.frames_of(concept.domain)))
    for plan in found:
        if plan.text.count("{a}") + plan.text.count("{name}") != 1:
            raise CorpusError(f"{concept.id}: {plan.text!r} must have exactly one {{a}} or {{name}}.")
    return found


def _plans(concept: Concept, frames: Sequence[Frame]) -> Iterator[Plan]:
    yield from (first := translated_plans(concept))
    taken = {content_words(p.text) for p in first}
    shared = templates(concept.domain).scenes
    for scene in concept.scenes or pick(shared, len(shared), concept.id):
        if content_words(scene) not in taken:
            yield fit(concept, scene, frame_for(frames, concept.id + scene))


def make_row(
    concept: Concept,
    plan: Plan,
    *,
    drawing: Mapping[str, Any],
    prompt: str,
    own: str | None,
    split: str,
    probe: str,
    stripped: str,
    **more: Any,
) -> Row:
    """A complete row with its content hash."""
    given = {
        "prompt": prompt,
        "stripped_prompt": stripped,
        "concept": concept.id,
        "own_concept": own,
        "domain": concept.domain,
        "family": concept.family,
        "scope": concept.scope,
        "split": split,
        "probe": probe,
        "template_id": plan.template_id,
        "attack_family": None,
        "attack_source_id": None,
        "language": "en",
        "seeds": seeds(prompt),
        **drawing,
        "license": concept.license,
        "source": concept.source,
        "since": concept.since,
        **more,
    }
    return Row(id=row_id(given), **given)


@dataclass(frozen=True, slots=True)
class Planned:
    """A row together with the plan it was made from."""

    row: Row
    plan: Plan


def forget_rows(concept: Concept, universe: Universe = CORPUS) -> list[Planned]:
    """The plain prompts that name the concept."""
    out = []
    for plan in _split_plans(concept, universe)[0]:
        row = make_row(
            concept,
            plan,
            drawing=universe.drawing,
            prompt=plan.prompt(),
            own=concept.id,
            split="forget",
            probe="direct",
            stripped=plan.without(),
        )
        out.append(Planned(row, plan))
    return out


def _split_plans(concept: Concept, universe: Universe) -> tuple[list[Plan], list[Plan]]:
    """Plans of the forget rows, and those kept back for in-prompt retention (attributes with scenes of their own)."""
    own = plans(concept, universe)
    kept = 10 if concept.scope == "attribute" and concept.scenes else 0
    if len(own) - kept < 50:
        raise CorpusError(f"{concept.id}: {len(own)} scenes, {50 + kept} are needed: add scenes to its file.")
    return own[: min(FORGET_ROWS, len(own) - kept)], own[len(own) - kept :]


def retain_rows(concept: Concept, universe: Universe = CORPUS) -> list[Row]:
    """In-prompt (scope attribute), near and far rows: what must stay when the concept goes."""
    rows: list[Row] = []
    scenes: list[frozenset[str]] = []  # styles share theirs, and a long name would hide that two are one scene

    def take(others: Sequence[Concept], n: int, probe: str) -> None:
        wanted = len(rows) + n
        for plan in _round_robin(others, concept.id + probe, universe):
            if len(rows) == wanted:
                return
            named = universe.few_scenes and plan.concept.scope == "subject"
            prompt, scene = plan.prompt(), content_words(scene_of(plan, universe, named=named))
            if names_concept(prompt, concept) or _too_alike(prompt, rows):
                continue
            if any(overlap(scene, other) > NEAR_DUPLICATE for other in scenes):
                continue
            scenes.append(scene)
            rows.append(
                make_row(
                    concept,
                    plan,
                    drawing=universe.drawing,
                    prompt=prompt,
                    own=plan.concept.id,
                    split="retain",
                    probe=probe,
                    stripped=prompt,
                    license=plan.concept.license,
                    source=plan.concept.source,
                )
            )

    rows += _in_prompt(concept, universe) if concept.scope == "attribute" else []
    for text in pick(concept.neighbours, NEAR_ROWS, concept.id):
        plan = Plan(concept, text, text, PLAIN.id)
        prompt = opening(text)
        fields: dict[str, Any] = {"split": "retain", "probe": "near", "drawing": universe.drawing}
        rows.append(make_row(concept, plan, prompt=prompt, own=None, stripped=prompt, **fields))
    if not concept.neighbours:
        siblings = universe.near(concept)
        if not siblings:
            raise CorpusError(f"{concept.id}: alone in family {concept.family!r}: give it neighbours in its file.")
        take(siblings, NEAR_ROWS, "near")
    inside = universe.far(concept, same_domain=True)
    take(inside, FAR_ROWS // 2 if inside else 0, "far")
    take(universe.far(concept, same_domain=False), FAR_ROWS // 2 if inside else FAR_ROWS, "far")
    return rows


def _round_robin(others: Sequence[Concept], salt: str, universe: Universe) -> Iterator[Plan]:
    """One plan of each concept in turn, so that every one is represented as evenly as the number allows."""
    ordered = pick(others, len(others), salt, key=lambda c: c.id)

    def key(plan: Plan) -> str:  # where scenes are shared, not all are to bring the same one in the same turn
        return plan.prompt() if universe.few_scenes else plan.text

    queues = [pick(own := _split_plans(c, universe)[0], len(own), salt, key=key) for c in ordered]
    for rank in range(max(map(len, queues), default=0)):
        for queue in queues:
            if rank < len(queue):
                yield queue[rank]


def _in_prompt(concept: Concept, universe: Universe) -> list[Row]:
    """Prompts with the attribute, of which everything but the attribute must stay.

    Styles are put on pictures of benchmark objects, so that a content detector can check them; a concept with scenes of
    its own uses those, and there only the comparison with the stripped prompt tells.
    """
    rows: list[Row] = []
    asked, kept = _split_plans(concept, universe)
    taken = {plan.without() for plan in asked}

    def add(plan: Plan, own: str | None) -> None:
        fields: dict[str, Any] = {"split": "retain", "probe": "in-prompt", "drawing": universe.drawing}
        rows.append(make_row(concept, plan, prompt=plan.prompt(), own=own, stripped=plan.without(), **fields))

    for plan in kept if concept.scenes else ():
        add(plan, None)
    if not concept.scenes:
        frames = universe.frames_of(concept.domain)
        objects = [c for c in universe.far(concept, same_domain=False) if c.domain == "object"]
        for other in _round_robin(objects, concept.id + "in-prompt", universe):
            scene = scene_of(other, universe, named=True)
            plan = fit(concept, scene, frame_for(frames, concept.id + scene))
            if len(rows) < IN_PROMPT_ROWS and plan.without() not in taken and not _too_alike(plan.prompt(), rows):
                add(plan, other.concept.id)
    return rows


def _too_alike(prompt: str, rows: Sequence[Row]) -> bool:
    words = content_words(prompt)
    return any(overlap(words, content_words(r.prompt)) > NEAR_DUPLICATE for r in rows)


def scene_of(plan: Plan, universe: Universe, *, named: bool) -> str:
    """The scene without its frame, for a style frame to take its place; with the name in it if wanted."""
    frame = next((f for f in universe.frames_of(plan.concept.domain) if f.id == plan.template_id), PLAIN)
    before, _, after = frame.text.partition("{scene}")
    scene = plan.text.removeprefix(before).removesuffix(after)
    return scene.replace("{a}", plan.concept.phrase()).replace("{name}", plan.concept.noun) if named else scene
