"""A complete row, with what follows from its prompt."""

from __future__ import annotations

from typing import Any

from igmu_data.lengths import clip_tokens
from igmu_data.rows.choose import seeds
from igmu_data.rows.naming import keeps_name
from igmu_data.rows.scenes import opening, register_of
from igmu_data.schema import Register, Row, row_id
from igmu_data.taxonomy import Concept


def make_row(concept: Concept, register: Register, prompt: str, *, split: str, probe: str, **more: Any) -> Row:
    """A row with its content hash; its round, which depends on the others, is 1 until `with_rounds`.

    Args:
        concept: whose benchmark it belongs to.
        register: how the prompt is written.
        prompt: as it is given to a generator.
        split: forget, retain or adversarial.
        probe: as in the schema.
        more: other columns; `stripped_prompt` is the prompt itself unless given.
    """
    prompt = opening(prompt)
    given: dict[str, Any] = {
        "prompt": prompt,
        "concept": concept.id,
        "split": split,
        "probe": probe,
        "attack_family": None,
        "language": "en",
        "register": register,
        "round": 1,
        "own_concept": None,
        "own_name": None,
        "domain": concept.domain,
        "family": concept.family,
        "scope": concept.scope,
        "attack_source_id": None,
        "name_kept": keeps_name(prompt, concept),
        "n_tokens_clip": clip_tokens(prompt),
        "seeds": seeds(prompt),
        "license": concept.license,
        "source": concept.source,
        "since": concept.since,
        **more,
    }
    given["stripped_prompt"] = opening(more.get("stripped_prompt", prompt))
    return Row(id=row_id(given), **given)


def filled(prompt: str, concept: Concept) -> dict[str, Any]:
    """Columns of a row whose source has none of them: they follow from its prompt, and the round from the others."""
    return {
        "register": register_of(prompt),
        "round": 1,
        "own_name": None,
        "name_kept": keeps_name(prompt, concept),
        "n_tokens_clip": clip_tokens(prompt),
    }


def direct(concept: Concept, register: Register, prompt: str, stripped: str) -> Row:
    """A row to forget; attacks name it by its id."""
    own: dict[str, Any] = {"own_concept": concept.id, "stripped_prompt": stripped}
    return make_row(concept, register, prompt, split="forget", probe="direct", **own)
