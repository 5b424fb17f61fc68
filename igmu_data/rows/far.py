"""Far concepts: what has nothing to do with a concept and must stay.

Half are of the same domain and another family than it and its siblings (if there are enough), half of other domains;
never of nsfw, never a sibling, never one whose scenes name the concept. Packaged files have them written down, so that
nothing that comes to exist later changes them; a concept of the user's own may leave them to this choice among the
packaged ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final

from igmu_data.rows.choose import ordered
from igmu_data.rows.naming import shows
from igmu_data.rows.scenes import scenes_of
from igmu_data.taxonomy import RESTRICTED_DOMAIN, Concept, packaged

EACH: Final = 6
SCENES: Final = 40  # that do not show the concept


def far(item: Concept) -> tuple[str, ...]:
    """Ids of the far concepts of one: those in its file, else those chosen by a hash."""
    return item.far or chosen(item)


def chosen(item: Concept) -> tuple[str, ...]:
    """The choice, whatever the file says; sorted."""
    near = {s.id for s in item.siblings} | {item.id}
    kin = {(item.domain, item.family), *((o.domain, o.family) for o in packaged().values() if o.id in near)}

    def some(names: Iterable[str], n: int) -> list[str]:
        fit = (name for name in ordered(names, f"{item.id} far") if _may_stay(packaged()[name], item, near, kin))
        return list(islice(fit, n))

    same = some([o.id for o in packaged().values() if o.domain == item.domain], EACH)
    rest = [o.id for o in packaged().values() if o.domain != item.domain]
    objects = some([name for name in rest if name.startswith("object/")], EACH)
    taken = [*same, *objects]
    return tuple(sorted([*taken, *some([name for name in rest if name not in objects], 2 * EACH - len(taken))]))


def _may_stay(other: Concept, item: Concept, near: set[str], kin: set[tuple[str, str]]) -> bool:
    """Whether another concept is far enough, and has enough scenes that do not show this one."""
    if other.domain == RESTRICTED_DOMAIN or other.id in near:
        return False
    if (other.domain, other.family) in kin:
        return False
    return sum(not shows(s.prompt(other), item) for s in scenes_of(other)) >= SCENES
