"""The prompts of a further task: the rows of the packaged task of its domain, with the words of the two exchanged.

Wherever a packaged row names its concept, the new row names the further one, and the other way round: so the old
concept becomes one to keep. What an attack writes in the name's place is of the same kind as in the packaged row.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any, Final

from builders.sandbox.misspelling import misspell
from igmu_data.attacks import families
from igmu_data.attacks._letters import homoglyphs, zero_width
from igmu_data.errors import UnknownFamilyError
from igmu_data.lengths import clip_tokens
from igmu_data.rows.choose import seeds
from igmu_data.rows.naming import keeps_name
from igmu_data.rows.rounds import with_rounds
from igmu_data.rows.scenes import opening, register_of
from igmu_data.sandbox.world import Known, world
from igmu_data.schema import SUPERCLASS, Row, row_id
from igmu_data.taxonomy import concept
from igmu_data.validate import require_valid

_WORDS: Final = Path(__file__).with_name("further.toml")
_DESCRIBED: Final = 15  # a style's first descriptions are words for its look
_ROLES: Final = 3  # times each


@cache
def known() -> Mapping[str, Mapping[str, Sequence[str]]]:
    """The further concepts that prompts can be made for, and the words that `words.toml` does not have of them."""
    return tomllib.loads(_WORDS.read_text(encoding="utf-8"))


def rows(task: str, packaged: Mapping[str, Sequence[Row]]) -> list[Row]:
    """All rows of a further task, without images.

    Args:
        task: one of `known()`.
        packaged: the rows of every packaged task (`corpus.task_rows`).

    Raises:
        CorpusError: the rows break the rules of the corpus.
    """
    new = world().known[task]
    like = next(name for name in world().tasks if world().known[name].domain == new.domain)
    made = list(_Exchange(world().known[like], new).rows(packaged[like]))
    require_valid(made, world().known)
    return with_rounds(made)


@dataclass(frozen=True, slots=True)
class _Exchange:
    """The concept of the packaged rows, and the further one."""

    old: Known
    new: Known

    def rows(self, packaged: Sequence[Row]) -> Iterator[Row]:
        """The new rows in the order of the packaged ones, plain prompts first, for attacks name them."""
        plain: dict[str, Row] = {}
        scenes: dict[str, Row] = {}
        sources = {row.own_concept: row.source for row in packaged}
        attacks = {row.attack_family for row in packaged if row.attack_family and row.language == "en"}
        written = {family: cycle(self._written(family)) for family in attacks}
        wider = cycle(known()[self.new.id]["superclasses"])
        for row in sorted(packaged, key=lambda row: (row.split == "adversarial", row.probe != "direct")):
            stripped = self._text(row.stripped_prompt)
            more: dict[str, Any] = {}
            if row.attack_family is not None:
                source = plain[row.attack_source_id or ""]
                foreign = row.language != "en"
                prompt = self._translated(row) if foreign else self._renamed(source, next(written[row.attack_family]))
                more = {"attack_source_id": source.id, "seeds": source.seeds}
            elif row.probe == SUPERCLASS:
                prompt = self._renamed(scenes[stripped], next(wider))
            else:
                prompt = self._text(row.prompt)
            own = {self.old.id: self.new.id, self.new.id: self.old.id}.get(row.own_concept or "", row.own_concept)
            made = self._row(row, prompt, stripped, own, more | {"source": sources[own or self.new.id]})
            if row.probe == "direct":
                plain[row.id] = made
                scenes.setdefault(stripped, made)
            yield made

    def _row(self, row: Row, prompt: str, stripped: str, own: str | None, more: Mapping[str, Any]) -> Row:
        fields: dict[str, Any] = row.model_dump() | {
            "prompt": prompt,
            "stripped_prompt": stripped,
            "concept": self.new.id,
            "family": self.new.family,
            "own_concept": own,
            "own_name": row.own_name and world().known[own or ""].label,
            "register": register_of(prompt),
            "name_kept": keeps_name(prompt, self.new),
            "n_tokens_clip": clip_tokens(prompt),
            "seeds": seeds(prompt),
            **more,
        }
        return Row(**(fields | {"id": row_id(fields)}))

    def _text(self, text: str) -> str:
        """A text with the two names exchanged, articles included."""
        one, two = self.old, self.new
        pairs = {one.phrase(): two.phrase(), two.phrase(): one.phrase(), one.label: two.label, two.label: one.label}
        by_text = {name.casefold(): other for name, other in pairs.items()}
        names = "|".join(re.escape(name) for name in sorted(pairs, key=len, reverse=True))
        return opening(re.sub(rf"\b({names})\b", lambda m: by_text[m[0].casefold()], text, flags=re.IGNORECASE))

    def _renamed(self, source: Row, name: str) -> str:
        """A plain prompt with something else in the name's place."""
        place = re.compile(rf"\b{re.escape(self.new.phrase())}\b", re.IGNORECASE)
        return opening(place.sub(lambda _: name, source.prompt, count=1))

    def _translated(self, row: Row) -> str:
        """The packaged prompt with the new concept's name in its language."""
        old, new = (item.translations[row.language] for item in (self.old, self.new))
        return opening(re.sub(re.escape(old.phrase), lambda _: new.phrase, row.prompt, flags=re.IGNORECASE))

    def _written(self, family: str) -> list[str]:
        """What a family of attacks writes in the name's place, in turn.

        Raises:
            UnknownFamilyError: nothing is known of it.
        """
        new, words = self.new, known()[self.new.id]
        label, several = new.label, len(new.label.split())
        match family:
            case "indirect":
                return [*new.descriptions[-_DESCRIBED:], *(_ROLES * list(words["roles"]))]
            case "subclass":
                return list(words["subclasses"])
            case "synonym":
                return [new.phrase(name) for name in new.synonyms if not keeps_name(name, new)]
            case "misspelling":
                spelled = [misspell(label, turn, several) for turn in range(20)]
            case "homoglyph":
                spelled = homoglyphs(label)
            case "zero-width":
                spelled = zero_width(label)
            case "leetspeak":
                spelled = list(concept(new.id).leetspeak)
            case _:
                raise UnknownFamilyError(family, families(), "Say in builders/sandbox/prompts.py what it writes.")
        return [f"{new.article} {name}".strip() for name in spelled if name != label]
