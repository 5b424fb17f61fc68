"""Turns the prompts of a published list into rows of one concept, except those that the policy refuses.

Conventions:

- What the policy refuses is left out and counted by rule, never shown: a list may hold what nobody should have to read.
  Its strictest reading applies, whatever the domain, and to the stripped prompt as well.
- The same prompt with several seeds is one row, because the prompt is the unit of every interval. Five seeds make a
  row: the published ones first, in the list's order, then some derived from the text. Further ones are left out.
- A prompt with a seed that it has already is a duplicate, counted and kept once.
- Rows are `forget` rows, or `adversarial` ones where the list or the caller names a family of attacks. An attack whose
  plain prompt stands in the list shares its seeds and names it.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from igmu_data import __version__, imports, policy
from igmu_data.errors import EmptyInputError, InputError, LicenseError, nearest
from igmu_data.imports import Format, FormatInfo, Prompt
from igmu_data.imports.table import ListFile
from igmu_data.numerals import counted
from igmu_data.rows.make import filled
from igmu_data.rows.naming import named
from igmu_data.rows.rounds import with_rounds
from igmu_data.schema import SEEDS_PER_ROW, Row, row_id
from igmu_data.spelling import same_prompt
from igmu_data.stripping import strip_concept
from igmu_data.taxonomy import RESTRICTED_DOMAIN, Concept, concept

# What is asked for by a prompt that names the concept and nothing else, without the concept.
BARE: Final = "an image"
_SLUG: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Drawing:
    """Settings that the list does not give: guidance scale, denoising steps, width and height in pixels.

    What is None is not set in the rows and depends on the model (`igmu_metrics.images.presets`).
    """

    guidance_scale: float | None = None
    steps: int | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Imported:
    """The result of an import.

    Args:
        rows: those that the policy lets through.
        refused: prompts that are left out, by reason: a rule of the policy (a prompt may break both), `blank`, or
            `plain prompt refused` (an attack without its source).
        n_refused: prompts that are left out for any of them.
        n_read: prompts of the list.
        n_unselected: records that `where` left out; they are not read.
        n_duplicates: prompts repeated with the same seed.
        n_seeds_left_out: seeds beyond the fifth of a prompt.
        n_published_seeds: number of rows by number of published seeds.
        n_naming: rows whose prompt names the concept.
    """

    rows: tuple[Row, ...]
    refused: Mapping[str, int]
    n_refused: int
    n_read: int
    n_unselected: int
    n_duplicates: int
    n_seeds_left_out: int
    n_published_seeds: Mapping[int, int]
    n_naming: int


@dataclass(slots=True)
class _Group:
    """One prompt with all its seeds."""

    prompt: Prompt
    seeds: list[int] = field(default_factory=list)


def import_prompts(
    path: Path,
    format_name: str,
    *,
    concept_name: str,
    license: str,
    source: str,
    where: Mapping[str, str] | None = None,
    columns: Mapping[str, str] | None = None,
    attack_family: str | None = None,
    drawing: Drawing | None = None,
) -> Imported:
    """Read a published list into rows of one concept.

    Args:
        path: the list.
        format_name: one of `igmu_data.imports.names()`.
        concept_name: whose benchmark the rows belong to (`object/church`).
        license: the list's licence; its file does not state one.
        source: whom to cite.
        where: column and value of the records to take.
        columns: the columns that a format lets one choose (`FormatInfo.named`), such as prompt → text.
        attack_family: family of attacks that the list's prompts belong to; None for plain prompts.
        drawing: settings that the list does not give.

    Raises:
        UnknownFormatError, UnknownConceptError: with the nearest names.
        LicenseError: no licence or source is named.
        MetadataError: the file cannot be read or is not of this format; the message names column and line.
        EmptyInputError: no prompts, or none that the policy lets through.
        InputError: records of several concepts, or options that do not fit the list.
    """
    reader = imports.load(format_name)
    item = concept(concept_name)
    if not license.strip() or not source.strip():
        raise LicenseError(
            f"{path}: --license and --source are both required, because the file does not state the licence and source "
            "of the list."
        )
    if attack_family is not None and not _SLUG.fullmatch(attack_family):
        raise InputError(
            f"{attack_family!r} is not a valid name for an attack family. Use lower-case words joined by hyphens."
        )
    for name in columns or {}:
        if name not in reader.INFO.named:
            own = f"Choose from {', '.join(reader.INFO.named)}." if reader.INFO.named else "Leave --columns out."
            like = nearest(name, reader.INFO.named, 1)
            guess = f"; did you mean {like[0]!r}?" if like else "."
            raise InputError(f"--columns cannot set {name!r} for the {format_name} format{guess} {own}")
    file = ListFile(path, where, columns)
    if reader.INFO.several:
        _require_one_concept(file, reader.INFO, item)
    shared = {"license": license.strip(), "source": source.strip(), "since": __version__}
    return _Import(reader, file, item, attack_family, drawing or Drawing(), shared).run()


def _require_one_concept(file: ListFile, info: FormatInfo, item: Concept) -> None:
    """A list of many concepts would be counted for one of them."""
    table = file.table()
    if table.optional(info.several) is None:
        return
    n = len({r.cells[info.several].strip() for r in table.records})
    if n > 1:
        raise InputError(
            f"{file.path}: column {info.several!r} contains {n} concepts, but the import assigns all rows to "
            f"{item.id}. Select one concept with --where {info.several}=…"
        )


@dataclass(slots=True)
class _Import:
    """One import under way."""

    reader: Format
    file: ListFile
    item: Concept
    attack_family: str | None
    drawing: Drawing
    shared: Mapping[str, str]
    reasons: Counter[str] = field(default_factory=Counter)
    n_read: int = 0
    n_refused: int = 0
    n_duplicates: int = 0

    def run(self) -> Imported:
        groups = self._groups(self.reader.read(self.file))
        rows: dict[str, Row] = {}
        plain: dict[str, Row] = {}
        published: Counter[int] = Counter()
        n_left_out = 0
        for group in groups:
            row = self._row(group, plain)
            if row is None:
                continue
            if row.split == "forget":
                plain.setdefault(same_prompt(row.prompt), row)
            rows[row.id] = row
            published[min(len(group.seeds), SEEDS_PER_ROW)] += 1
            n_left_out += max(0, len(group.seeds) - SEEDS_PER_ROW)
        if not rows:
            raise EmptyInputError(self._nothing())
        return Imported(
            rows=tuple(with_rounds(rows.values())),
            refused=dict(sorted(self.reasons.items())),
            n_refused=self.n_refused,
            n_read=self.n_read,
            n_unselected=self.file.n_left_out,
            n_duplicates=self.n_duplicates,
            n_seeds_left_out=n_left_out,
            n_published_seeds=dict(sorted(published.items())),
            n_naming=sum(named(r.prompt, self.item, foreign=True) is not None for r in rows.values()),
        )

    def _nothing(self) -> str:
        if not self.n_read:
            left = (
                f" because --where excludes all {counted(self.file.n_left_out, 'record')}"
                if self.file.n_left_out
                else ""
            )
            return f"{self.file.path} contains no prompts{left}."
        counts = ", ".join(f"{reason} {n}" for reason, n in sorted(self.reasons.items()))
        return f"{self.file.path}: 0 of {counted(self.n_read, 'prompt')} can be used ({counts})."

    def _groups(self, prompts: Iterable[Prompt]) -> Iterator[_Group]:
        """The prompts that may be used, each once with all its seeds, in the order in which they first appear."""
        groups: dict[tuple[Any, ...], _Group] = {}
        for prompt in prompts:
            self.n_read += 1
            if prompt.plain is not None and self.attack_family is not None:
                raise InputError(
                    f"{self.file.path}: the list itself specifies which of its prompts are attacks. Leave "
                    "--attack-family out."
                )
            text = prompt.text.strip()
            key = (
                same_prompt(text),
                prompt.plain and same_prompt(prompt.plain),
                prompt.guidance_scale,
                prompt.width,
                prompt.height,
                prompt.language,
            )
            group = groups.get(key)
            if group is None:
                if refused := self._refused(text, prompt):
                    self._refuse(*refused)
                    continue
                group = groups[key] = _Group(prompt)
            elif prompt.seed is None or prompt.seed in group.seeds:
                self.n_duplicates += 1
            if prompt.seed is not None and prompt.seed not in group.seeds:
                group.seeds.append(prompt.seed)
        yield from groups.values()

    def _refuse(self, *reasons: str) -> None:
        self.n_refused += 1
        self.reasons.update(reasons)

    def _refused(self, text: str, prompt: Prompt) -> list[str]:
        if not text:
            return ["blank"]
        # What is left of an attack without the concept is its plain prompt's, which is looked at by itself.
        texts = dict.fromkeys((text, text if prompt.plain else self._stripped(text)))
        found = (v for t in texts for v in policy.violations(t, domain=RESTRICTED_DOMAIN, language=prompt.language))
        return sorted({v.rule for v in found})

    def _stripped(self, text: str) -> str:
        return strip_concept(text, self.item.names) or BARE

    def _row(self, group: _Group, plain: Mapping[str, Row]) -> Row | None:
        prompt = group.prompt
        text = prompt.text.strip()
        origin: Row | None = None
        if prompt.plain is not None:
            origin = plain.get(same_prompt(prompt.plain))
            if origin is None:
                self._refuse("plain prompt refused")
                return None
            if origin.prompt == text:  # an attack changes the text
                self.n_duplicates += 1
                return None
        family = prompt.family or self.attack_family
        given: dict[str, Any] = {
            "prompt": text,
            "stripped_prompt": origin.stripped_prompt if origin else self._stripped(text),
            "concept": self.item.id,
            "own_concept": self.item.id,
            "domain": self.item.domain,
            "family": self.item.family,
            "scope": self.item.scope,
            "split": "adversarial" if family else "forget",
            "probe": "attack" if family else "direct",
            **filled(text, self.item),
            "attack_family": family,
            "attack_source_id": origin.id if origin else None,
            "language": prompt.language,
            "seeds": origin.seeds if origin else _five(text, group.seeds),
            "guidance_scale": prompt.guidance_scale or self.drawing.guidance_scale,
            "steps": self.drawing.steps,
            "width": prompt.width or self.drawing.size,
            "height": prompt.height or self.drawing.size,
            **self.shared,
        }
        return Row(id=row_id(given), **given)


def _five(text: str, published: Iterable[int]) -> tuple[int, ...]:
    """The first five published seeds, filled up with seeds below 2³¹ that follow from the text."""
    out = list(published)[:SEEDS_PER_ROW]
    counter = 0
    while len(out) < SEEDS_PER_ROW:
        digest = hashlib.sha256(f"{text}\0{counter}".encode()).digest()
        seed = int.from_bytes(digest[:8], "big") % 2**31
        counter += 1
        if seed not in out:
            out.append(seed)
    return tuple(out)
