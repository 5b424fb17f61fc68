"""`python -m builders.writing.assign`: writes `far` into concept files that have none: twelve concepts that must stay.

Chosen once, by a hash, and then written down: what else comes to exist later changes nothing. Half are of the same
domain and another family (if there are enough), half of other domains; never of nsfw, never a sibling, never one whose
scenes name the concept.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import igmu_data
from igmu_data.rows.choose import ordered
from igmu_data.rows.naming import shows
from igmu_data.rows.scenes import scenes_of
from igmu_data.taxonomy import RESTRICTED_DOMAIN, Concept, all_concepts

CONCEPTS = Path(igmu_data.__file__).parent / "concepts"
EACH = 6
_TABLE = re.compile(r"\[{1,2}\w+\]{1,2}")  # the first table; a line of a list may begin with a bracket, too


def far(concept: Concept) -> list[str]:
    """Ids of the far concepts of one."""
    near = {s.id for s in concept.siblings} | {concept.id}
    others = [o for o in all_concepts().values() if _may_stay(o, concept, near)]
    same = ordered([o.id for o in others if o.domain == concept.domain], f"{concept.id} far")[:EACH]
    rest = [o.id for o in others if o.domain != concept.domain]
    objects = ordered([i for i in rest if i.startswith("object/")], f"{concept.id} far")[
        : EACH if concept.domain != "object" else 0
    ]
    other = ordered([i for i in rest if i not in objects], f"{concept.id} far")
    return sorted([*same, *objects, *other][: 2 * EACH])


def _may_stay(other: Concept, concept: Concept, near: set[str]) -> bool:
    """Whether another concept is far enough, and has enough scenes that do not show this one."""
    if other.domain == RESTRICTED_DOMAIN or other.id in near:
        return False
    if (other.domain, other.family) == (concept.domain, concept.family):
        return False
    return sum(not shows(s.prompt(other), concept) for s in scenes_of(other)) >= 40


def main() -> None:
    """Write the missing ones."""
    for concept in all_concepts().values():
        if concept.far:
            continue
        path = CONCEPTS / concept.domain / f"{concept.slug}.toml"
        lines = path.read_text(encoding="utf-8").split("\n")
        at = next(i for i, line in enumerate(lines) if _TABLE.fullmatch(line))
        found = ", ".join(f'"{i}"' for i in far(concept))
        lines.insert(at, f"far = [{found}]\n")
        path.write_text("\n".join(lines), encoding="utf-8")
        sys.stdout.write(f"{concept.id}\n")


if __name__ == "__main__":
    main()
