"""Checks a scorecard against its images: are they the scored ones, are they complete, and do they give the same card?

Conventions: the card is made again as its provenance says, without the cache, and compared completely: every line,
score, metric and field of the signatures, in both directions. Not checked is what cannot be seen from images: the names
of the models, who generated the images with what, and on which machine they were scored.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields, replace
from math import isclose
from pathlib import Path
from typing import Any, Final

from igmu_data.errors import IgmuError, MetadataError
from igmu_data.files import sha256
from igmu_data.progress import Advance
from igmu_metrics import registry
from igmu_metrics.contract import Estimate, Signature
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.generations import ORIGINAL, Generations, Key
from igmu_metrics.images import reference
from igmu_metrics.images.layouts import Model, find
from igmu_metrics.images.sequential import FILE, without
from igmu_metrics.metrics._contract import UNSCORED
from igmu_metrics.networks.machine import versions
from igmu_metrics.scorecard import Scorecard
from igmu_metrics.statistics.looks import Looks
from igmu_metrics.verdict.verify import Problem, differences

# Versions, processors and accelerators round differently; a decision that flips is detected by its count.
TOLERANCE: Final = 1e-4
# These depend on the names of folders, which users may choose freely.
_NAMES: Final = frozenset({"model", "original"})


def verify_images(
    card: Scorecard,
    images: Path,
    original_images: Path,
    *,
    advance: Advance = lambda what, done, total: None,
    **changed: Any,
) -> Iterator[Problem]:
    """Compare the hashes of all images and, if they agree, make the card again and compare it completely.

    Args:
        card: the card.
        images: folder of the unlearned model's images.
        original_images: folder of the original model's images.
        advance: called with the progress.
        **changed: options of `Evaluation` that differ here, such as the location of the bench or the labels.

    Raises:
        MetadataError: the card does not record how it was made, or records options that do not exist.
        IgmuError: the images cannot be scored.
    """
    evaluation = evaluation_of(card, changed)
    if Looks.of(card) is not None:  # the original may have continued for other models; only this one's images count
        evaluation = evaluation_of(card, changed, only=find(images, evaluation.layout, evaluation.rows()).keys)
    other = list(images_unlike(card, evaluation, images, original_images))
    yield from other
    if other:
        return
    (again,) = evaluation.run(Model("original", original_images), [Model("unlearned", images)], advance)
    yield from unlike(card, again, excused=Signature.PLACE_FIELDS if changed.get("bench") is not None else ())


def evaluation_of(card: Scorecard, changed: Mapping[str, Any], *, only: Collection[Key] | None = None) -> Evaluation:
    """The evaluation that a card records, without the cache, which might contain anything.

    Args:
        card: the card.
        changed: options that differ here; None for those that do not.
        only: generations to score; by default all in the folders.

    Raises:
        MetadataError: the card does not record how it was made, or records options that do not exist.
    """
    if card.provenance is None:
        raise MetadataError(
            f"the scorecard of {card.model} does not record how it was made (it has no provenance). Score again."
        )
    known = {f.name for f in fields(Evaluation)}
    options: dict[str, Any] = {k: v for k, v in card.provenance.options.items() if k in known}
    if changed.get("bench"):
        options.pop("revision", None)  # the revision of the corpus in the card, not of this one
    chosen = {k: v for k, v in changed.items() if v is not None}
    try:
        made = Evaluation(**options)
        chosen |= {"only": None if only is None else frozenset(only), "cache": False}
        return replace(made.settled(), **chosen)
    except TypeError as error:
        raise MetadataError(
            f"the scorecard of {card.model} records options that 'igmu score' does not have ({error}). Score again."
        ) from error


def unlike(card: Scorecard, again: Scorecard, *, excused: Collection[str] = ()) -> Iterator[Problem]:
    """The differences between a card and the one that its images give.

    Args:
        card: the card.
        again: the card made again.
        excused: fields of signatures that were deliberately given differently.
    """
    noted = [[note for note in each.notes if not note.startswith(UNSCORED)] for each in (card, again)]
    facts = {name: (getattr(card, name), getattr(again, name)) for name in ("config", "target", "coverage")}
    for name, (told, found) in {**facts, "notes": tuple(noted)}.items():
        if told != found:
            yield Problem(name, f"the scorecard reports {told!r}, but scoring its images again gave {found!r}")
    told_cost, cost = (c.efficiency and c.efficiency.fixed() for c in (card, again))  # times vary
    if told_cost and cost and told_cost != cost:
        yield Problem("efficiency", f"the scorecard reports {told_cost!r}, but scoring its images again gave {cost!r}")
    if len(card.failures) != len(again.failures):
        yield Problem(
            "failures", f"the scorecard lists {len(card.failures)} failures, but {len(again.failures)} were found"
        )
    yield from lines_unlike(card.generations, again.generations)
    here = {name for name, entry in card.scores.items() if not registry.absent(entry.name, entry.package)}
    for name in sorted(again.scores.keys() - here):
        yield Problem(f"scores.{name}", "this score is missing, although the images determine it")
    for name in (n for n in card.scores if n in here):
        if name not in again.scores:
            what = "this score cannot be computed from the images; use the detector and networks of the scorecard"
            yield Problem(f"scores.{name}", what)
            continue
        for problem in signature_unlike(card, again, name):
            if problem.where.partition("signature.")[2] not in excused:
                yield problem
        told_figures, figures = card.scores[name].figures, again.scores[name].figures
        for key in sorted(figures.keys() - told_figures.keys()):
            yield Problem(f"scores.{name}.figures.{key}", "this metric is missing, although the images determine it")
        for key, figure in told_figures.items():
            where = f"scores.{name}.figures.{key}"
            if key not in figures:
                what = "this metric cannot be computed from the images; use the detector and networks of the scorecard"
                yield Problem(where, what)
                continue
            found = figures[key]
            ends = found.interval
            interval = None if ends is None or ends[0] is None or ends[1] is None else (ends[0], ends[1])
            value = float("nan") if found.value is None else found.value
            estimate = Estimate(value, interval, found.n_prompts, found.n_generations)
            yield from differences(where, figure, estimate, by="its images", tolerance=TOLERANCE)


def signature_unlike(card: Scorecard, again: Scorecard, name: str) -> Iterator[Problem]:
    """All fields in which a score's signatures differ, except the names of the models.

    This is stricter than comparing models (`Signature.differences`), since it includes where a corpus came from.
    """
    told, found = card.scores[name].signature, again.scores[name].signature
    for field in sorted((told.keys() | found.keys()) - _NAMES):
        mine, theirs = told.get(field), found.get(field)
        if mine != theirs:
            cure = f". Install igmu {mine} to create the scorecard again" if field == "igmu" else ""
            if field == "looks.taken" and theirs is None and (look := Looks.signed(card.scores[name].signature)):
                cure = f". Restore {FILE} in the folder of the images. {without(look)}"
            where = f"scores.{name}.signature.{field}"
            yield Problem(where, f"the signature contains {mine!r}, but {theirs!r} was found{cure}")


def lines_unlike(told: Generations, found: Generations) -> Iterator[Problem]:
    """The differences between the lines of a card and those that were found, whatever their order."""
    columns = dict.fromkeys(name for table in (told, found) for name in next(table.records(), {}))
    mine, theirs = (
        {key: (at, g) for at, (key, g) in enumerate(zip(t.keys, t.records(*columns), strict=True))}
        for t in (told, found)
    )
    for row, seed in sorted(theirs.keys() - mine.keys()):
        yield Problem("generations", f"row {row!r}, seed {seed} is missing, although its images were scored")
    for key, (at, line) in mine.items():
        if key not in theirs:
            yield Problem(f"generations.{at}", f"the images of row {key[0]!r}, seed {key[1]} were not scored")
            continue
        for name, value in line.items():
            seen = theirs[key][1][name]
            if not _alike(value, seen):
                yield Problem(
                    f"generations.{at}.{name}",
                    f"the scorecard reports {value!r} for row {key[0]!r}, seed {key[1]}, but scoring the images again "
                    f"gave {seen!r}",
                )


def _alike(told: Any, found: Any) -> bool:
    if isinstance(told, float) and isinstance(found, float):
        return isclose(told, found, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return bool(told == found)


def unchecked(card: Scorecard, changed: Mapping[str, Any], original_images: Path) -> list[str]:
    """What the images cannot confirm: names, and versions that differ from those recorded in the card."""
    told = ["the names of the models and the origin of the images are not checked"]
    if tables := reference.files(reference.local(original_images)):
        digests = ", ".join(sorted(facts["digest"][:12] for facts in tables.values()))
        told.append(
            "the original's images were not checked, because their measurements come from a reference table "
            f"(digest {digests})"
        )
    made = card.provenance.versions if card.provenance is not None else {}
    here = versions()
    other = [f"{name} {version}" for name, version in made.items() if here.get(name, version) != version]
    if other:
        told.append(f"the scorecard was made with other versions than those installed here: {', '.join(other)}")
    if changed.get("bench") is not None:
        told.append("the corpus comes from --bench, not from the place recorded on the scorecard")
    return told


def images_unlike(card: Scorecard, evaluation: Evaluation, images: Path, original_images: Path) -> Iterator[Problem]:
    """Lines whose images are missing or differ, by their hashes."""
    folders = {"": images, ORIGINAL: original_images}
    tables = {suffix: find(folder, evaluation.layout, evaluation.rows()) for suffix, folder in folders.items()}
    # A reference table contains no images, so its recorded hashes are used.
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
                what = f"{folders[suffix]} has no image for row {g['id']!r}, seed {g['seed']}"
                yield Problem(where, what)
                continue
            try:
                found = str(path) if hashes[suffix] else sha256(path)
            except OSError as error:
                raise IgmuError(f"{path} cannot be read ({error.strerror}). Check the file.") from error
            if told != found:
                what = f"the image recorded in {folders[suffix]}" if hashes[suffix] else path
                yield Problem(where, f"{what} is not the image that was scored")
