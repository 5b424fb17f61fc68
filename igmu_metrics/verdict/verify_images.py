"""A scorecard against its images: are they the ones that were scored, are they all, and do they give the same card?

Conventions: the card is made anew as its provenance says, without the cache, and compared whole: every line, score,
figure and field of the signatures, in both directions. What is left is what images cannot tell: how the models are
called, who generated the images with what, and on which machine they were scored.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields
from math import isclose
from pathlib import Path
from typing import Any, Final

from igmu_data.errors import IgmuError, MetadataError
from igmu_data.files import sha256
from igmu_metrics import registry
from igmu_metrics.contract import Estimate, Signature
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.generations import ORIGINAL, Generations, Key
from igmu_metrics.images import reference
from igmu_metrics.images.layouts import Model, find
from igmu_metrics.networks.machine import versions
from igmu_metrics.networks.progress import Advance
from igmu_metrics.scorecard import Scorecard
from igmu_metrics.statistics.looks import Looks
from igmu_metrics.verdict.verify import Problem, differences

# Other versions, processors and accelerators round differently; a decision that flips is found by its count.
TOLERANCE: Final = 1e-4
# Follows from what a folder is called, which is the user's business.
_NAMES: Final = frozenset({"model", "original"})


def verify_images(
    card: Scorecard,
    images: Path,
    original_images: Path,
    *,
    advance: Advance = lambda what, done, total: None,
    **changed: Any,
) -> Iterator[Problem]:
    """Compare the hashes of all images, and where they agree make the card again and compare it whole.

    Args:
        card: the card.
        images: folder of the unlearned model's images.
        original_images: folder of the original's.
        advance: told about progress.
        **changed: options of `Evaluation` that differ here, such as where the bench or the labels lie.

    Raises:
        MetadataError: the card does not say how it was made, or in a way that no evaluation has.
        IgmuError: the images cannot be scored.
    """
    evaluation = evaluation_of(card, changed)
    if Looks.of(card) is not None:  # the original went on for models that did: what counts is what this one generated
        evaluation = evaluation_of(card, changed, only=find(images, evaluation.layout, evaluation.rows()).keys)
    other = list(images_unlike(card, evaluation, images, original_images))
    yield from other
    if other:
        return
    (again,) = evaluation.run(Model("original", original_images), [Model("unlearned", images)], advance)
    yield from unlike(card, again, excused=Signature.PLACE_FIELDS if changed.get("bench") is not None else ())


def evaluation_of(card: Scorecard, changed: Mapping[str, Any], *, only: Collection[Key] | None = None) -> Evaluation:
    """The evaluation that a card says it was made by, without the cache, in which anything may have been put.

    Args:
        card: the card.
        changed: options that differ here; None for those that do not.
        only: generations to score; all that the folders hold by default.

    Raises:
        MetadataError: the card does not say how it was made, or in a way that no evaluation has.
    """
    if card.provenance is None:
        raise MetadataError(f"the card of {card.model} does not record how it was made (no provenance). Score again.")
    known = {f.name for f in fields(Evaluation)}
    options: dict[str, Any] = {k: v for k, v in card.provenance.options.items() if k in known}
    if changed.get("bench"):
        options.pop("revision", None)  # of the corpus that the card names, not of this one
    options |= {k: v for k, v in changed.items() if v is not None}
    try:
        return Evaluation(**(options | {"only": None if only is None else frozenset(only), "cache": False}))
    except TypeError as error:
        raise MetadataError(f"the options in the card of {card.model} are none of igmu score: {error}.") from error


def unlike(card: Scorecard, again: Scorecard, *, excused: Collection[str] = ()) -> Iterator[Problem]:
    """Where a card differs from the one that its images give.

    Args:
        card: the card.
        again: what was found.
        excused: fields of signatures that were given otherwise on purpose.
    """
    for name in ("config", "target", "coverage", "notes"):
        if (told := getattr(card, name)) != (found := getattr(again, name)):
            yield Problem(name, f"the card has {told!r}, {found!r} was found")
    told_cost, cost = (c.efficiency and c.efficiency.fixed() for c in (card, again))  # times are the clock's
    if told_cost and cost and told_cost != cost:
        yield Problem("efficiency", f"the card has {told_cost!r}, {cost!r} was found")
    if len(card.failures) != len(again.failures):
        yield Problem("failures", f"the card lists {len(card.failures)}, {len(again.failures)} were found")
    yield from lines_unlike(card.generations, again.generations)
    here = {name for name, entry in card.scores.items() if not registry.absent(entry.name, entry.package)}
    for name in sorted(again.scores.keys() - here):
        yield Problem(f"scores.{name}", "missing, although the images give it")
    for name in (n for n in card.scores if n in here):
        if name not in again.scores:
            yield Problem(f"scores.{name}", "the images do not give it; score with the same instruments")
            continue
        for problem in signature_unlike(card, again, name):
            if problem.where.partition("signature.")[2] not in excused:
                yield problem
        told_figures, figures = card.scores[name].figures, again.scores[name].figures
        for key in sorted(figures.keys() - told_figures.keys()):
            yield Problem(f"scores.{name}.figures.{key}", "missing, although the images give it")
        for key, figure in told_figures.items():
            where = f"scores.{name}.figures.{key}"
            if key not in figures:
                yield Problem(where, "the images do not give it; score with the same instruments")
                continue
            found = figures[key]
            ends = found.interval
            interval = None if ends is None or ends[0] is None or ends[1] is None else (ends[0], ends[1])
            value = float("nan") if found.value is None else found.value
            estimate = Estimate(value, interval, found.n_prompts, found.n_generations)
            yield from differences(where, figure, estimate, tolerance=TOLERANCE)


def signature_unlike(card: Scorecard, again: Scorecard, name: str) -> Iterator[Problem]:
    """Every field in which a score's signatures differ, but what the models are called.

    Stricter than comparing models (`Signature.differences`): where a corpus came from is told by the card, too.
    """
    told, found = card.scores[name].signature, again.scores[name].signature
    for field in sorted((told.keys() | found.keys()) - _NAMES):
        mine, theirs = told.get(field), found.get(field)
        if mine != theirs:
            cure = f". Install igmu {mine} to make the card again" if field == "igmu" else ""
            where = f"scores.{name}.signature.{field}"
            yield Problem(where, f"the card is signed with {mine!r}, {theirs!r} was found{cure}")


def lines_unlike(told: Generations, found: Generations) -> Iterator[Problem]:
    """Where the lines of a card differ from those that were found; the order does not matter."""
    columns = dict.fromkeys(name for table in (told, found) for name in next(table.records(), {}))
    mine, theirs = (
        {key: (at, g) for at, (key, g) in enumerate(zip(t.keys, t.records(*columns), strict=True))}
        for t in (told, found)
    )
    for row, seed in sorted(theirs.keys() - mine.keys()):
        yield Problem("generations", f"row {row!r}, seed {seed} is missing, although its images were scored")
    for key, (at, line) in mine.items():
        if key not in theirs:
            yield Problem(f"generations.{at}", f"row {key[0]!r}, seed {key[1]}: its images were not scored")
            continue
        for name, value in line.items():
            seen = theirs[key][1][name]
            if not _alike(value, seen):
                yield Problem(f"generations.{at}.{name}", f"the card has {value!r}, {seen!r} was found")


def _alike(told: Any, found: Any) -> bool:
    if isinstance(told, float) and isinstance(found, float):
        return isclose(told, found, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return bool(told == found)


def unchecked(card: Scorecard, changed: Mapping[str, Any], original_images: Path) -> list[str]:
    """What images cannot tell, for the reader: names, and where the card says it was made on another machine."""
    told = ["the names of the models and the origin of the images are not checked"]
    if tables := reference.files(reference.local(original_images)):
        digests = ", ".join(sorted(facts["digest"][:12] for facts in tables.values()))
        told.append(
            "the original's images were not looked at: what was seen in them is the reference table's word alone "
            f"(digest {digests})"
        )
    made = card.provenance.versions if card.provenance is not None else {}
    here = versions()
    other = [f"{name} {version}" for name, version in made.items() if here.get(name, version) != version]
    if other:
        told.append(f"the card was made with {', '.join(other)}; here the versions differ")
    if changed.get("bench") is not None:
        told.append("the corpus is that of --bench, not the one that the card names")
    return told


def images_unlike(card: Scorecard, evaluation: Evaluation, images: Path, original_images: Path) -> Iterator[Problem]:
    """Lines whose images are not there, or are others, by their hashes."""
    folders = {"": images, ORIGINAL: original_images}
    tables = {suffix: find(folder, evaluation.layout, evaluation.rows()) for suffix, folder in folders.items()}
    # Of a reference table, which holds no images, what it recorded.
    hashes = {suffix: reference.recorded(table) is not None for suffix, table in tables.items()}
    found_in = {
        suffix: dict(zip(table.keys, table["sha256" if hashes[suffix] else "path"], strict=True))
        for suffix, table in tables.items()
    }
    for at, g in enumerate(card.generations.records("id", "seed", "sha256", "sha256" + ORIGINAL)):
        for suffix, told in (("", g["sha256"]), (ORIGINAL, g["sha256" + ORIGINAL])):
            path = found_in[suffix].get((g["id"], g["seed"]))
            where = f"generations.{at}.sha256{suffix}"
            if path is None:
                yield Problem(where, f"no image for row {g['id']!r}, seed {g['seed']} in {folders[suffix]}")
                continue
            try:
                found = str(path) if hashes[suffix] else sha256(path)
            except OSError as error:
                raise IgmuError(f"{path}: cannot be read ({error.strerror}).") from error
            if told != found:
                what = f"the image that {folders[suffix]} recorded" if hashes[suffix] else path
                yield Problem(where, f"{what} is not the image that was scored")
