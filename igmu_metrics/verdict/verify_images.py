"""Checks a scorecard against its images: are they the scored ones, are they complete, and do they give the same card?

Conventions: the card is made again as its provenance says, without the cache, and compared completely: every line,
score, metric and field of the signatures, in both directions. If images are missing or were changed, all of them are
named, and the lines of the others are scored again. Not checked is what cannot be seen from images: who generated them
with what, and on which machine they were scored (`igmu_metrics.running.belonging` compares the names with a run).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields, replace
from math import isclose
from pathlib import Path
from typing import Any, Final, NamedTuple

from igmu_data import __version__
from igmu_data.errors import (
    ChecksumError,
    DuplicateIdError,
    EmptyInputError,
    IgmuError,
    ImageError,
    InputError,
    MetadataError,
    UnknownIdError,
)
from igmu_data.files import sha256
from igmu_data.numerals import counted
from igmu_data.progress import Advance
from igmu_metrics import registry
from igmu_metrics.contract import Estimate, Setting, Signature
from igmu_metrics.evaluation import Evaluation, both
from igmu_metrics.generations import ORIGINAL, Generations, Key
from igmu_metrics.images import reference, sequential
from igmu_metrics.images.layouts import Model, find
from igmu_metrics.images.requested import LEFT_OUT
from igmu_metrics.images.sequential import FILE, SOURCES
from igmu_metrics.metrics._contract import UNSCORED
from igmu_metrics.networks.machine import versions
from igmu_metrics.scorecard import Scorecard
from igmu_metrics.statistics.looks import Looks
from igmu_metrics.verdict import recompute
from igmu_metrics.verdict.verify import Problem, differences

# Versions, processors and accelerators round differently; a decision that flips is detected by its count.
TOLERANCE: Final = 1e-4
# These depend on the names of folders, which users may choose freely.
_NAMES: Final = frozenset({"model", "original"})
_SHOWN: Final = 3  # files that a problem names
# What scoring the images of a part of the lines again shows.
_SAME: Final = "scoring these images again gave the same values"
_OTHER: Final = "scoring these images again gave other values"
_PART: Final = "scores and signatures depend on all images, so they were not compared; restore the images for this"
_PART_OF_LOOKS: Final = "scores and signatures depend on the number of interim checks, so they were not compared"
# Errors about the folders of a submission, which are problems of its card; others are of this machine.
OF_FOLDERS: Final = (MetadataError, UnknownIdError, DuplicateIdError, EmptyInputError, ChecksumError, ImageError)


class Compared(NamedTuple):
    """A card compared with its images.

    Args:
        problems: where they differ.
        whole: whether the whole card was made again; otherwise only the lines whose images are unchanged.
        notes: what holds for the other lines if images are missing or were changed.
    """

    problems: list[Problem]
    whole: bool
    notes: list[str]


class Unlike(NamedTuple):
    """Images that are not those of a card's lines.

    Args:
        problems: one per folder and kind, with the number of images and the first of them.
        keys: the lines that rest on them.
    """

    problems: list[Problem]
    keys: frozenset[Key]


def verify_images(card: Scorecard, images: Path, original_images: Path, **given: Any) -> list[Problem]:
    """The problems of `compared`, which has the same arguments and errors."""
    return compared(card, images, original_images, **given).problems


def compared(
    card: Scorecard,
    images: Path,
    original_images: Path,
    *,
    asked: Collection[Key] | None = None,
    advance: Advance = lambda what, done, total: None,
    **changed: Any,
) -> Compared:
    """Compare the hashes of all images and make the card again; of changed images, only the lines of the others.

    Args:
        card: the card.
        images: folder of the unlearned model's images.
        original_images: folder of the original model's images.
        asked: what the card was to be made from, if the folders may have more; by default everything in them.
        advance: called with the progress.
        **changed: options of `Evaluation` that differ here, such as the location of the bench or the labels.

    Raises:
        MetadataError: the card does not record how it was made, or records options that do not exist.
        IgmuError: the images cannot be scored.
    """
    evaluation, open_ = evaluation_of(card, changed, only=asked), list[str]()
    looks = _looks(card, evaluation, images, original_images)
    if asked is None and looks.check is not None and sequential.asked(images) is None:
        # The original may have continued for other models, so only the images of this one count.
        evaluation = evaluation_of(card, changed, only=find(images, evaluation.layout, evaluation.rows()).keys)
        open_ = [f"{images} has no {FILE} that lists what the run asked for, so other missing images were not noticed"]
    evaluation = replace(evaluation, looks=None if looks.check is None else str(looks.check))
    other = images_unlike(card, evaluation, images, original_images)
    if other.problems or looks.contradicted:
        rest = card.generations.where([key not in other.keys for key in card.generations.keys])
        found, notes = list[Problem](), list(_without(card, rest)) if other.problems and len(rest) else []
        if len(rest):
            n = f"{len(rest):,} of the {len(card.generations):,} lines have the images that were scored"
            try:
                of_rest = replace(evaluation, only=frozenset(rest.keys))
                found = list(lines_unlike(rest, lines_again(of_rest, images, original_images, advance)[0]))
                part = _PART if other.problems else _PART_OF_LOOKS
                notes = [f"{n}; {_OTHER if found else _SAME}", part, *notes]
            except IgmuError as error:
                notes = [f"{n}, but these images cannot be scored again: {error}", *notes]
        return Compared([*looks.problems, *other.problems, *found], False, notes)
    (made,) = evaluation.run(Model("original", original_images), [Model("unlearned", images)], advance)
    excused = Signature.PLACE_FIELDS if changed.get("bench") is not None else ()
    return Compared([*looks.problems, *unlike(card, made, excused=excused)], True, open_)


class _Checked(NamedTuple):
    """The interim check of a card compared with what is recorded about its images.

    Args:
        check: the check with which the card can be made again; None for that of the images, or for none.
        contradicted: whether the images are those of a different check, so that the card cannot be made again.
        problems: what is wrong, one line per cause.
    """

    check: Looks | None
    contradicted: bool
    problems: list[Problem]


def _looks(card: Scorecard, evaluation: Evaluation, images: Path, original_images: Path) -> _Checked:
    """Compare the check of a card with the records in the folders, so that one wrong record is one problem."""
    check = Looks.of(card)
    found, original = (sequential.recorded(reference.local(folder)) for folder in (images, original_images))
    if check is None:
        if (own := found or original) is None:
            return _Checked(None, False, [])
        what = f"the scorecard was made as if there had been a single check, but the images are those of check {own}"
        why = f"{what} ({FILE}), so its intervals are too narrow. Score the images again."
        return _Checked(None, True, [Problem("looks", why)])
    if found is None and evaluation.looks is None:  # the scorecard read the file when it was made
        what = f"{images / FILE} is missing, although the scorecard was made with it, at check {check}"
        return _Checked(check, False, [Problem("looks", f"{what}. Restore the file, or {sequential.WRITTEN_AGAIN}.")])
    try:
        sequential.taken(str(check), found, original, part=evaluation.only is not None)
    except InputError:
        own = found or original
        what = f"the scorecard was made at check {check}, but the images are those of check {own} ({FILE})"
        return _Checked(None, True, [Problem("looks", f"{what}. Restore the file and images, or score them again.")])
    return _Checked(check, False, [])


def lines_again(
    evaluation: Evaluation,
    images: Path,
    original_images: Path,
    advance: Advance = lambda what, done, total: None,
) -> tuple[Generations, dict[str, Setting]]:
    """Some lines of a card scored again, and the common fields of signatures, but no scores.

    Args:
        evaluation: has `only` these lines. The parts of a card may have different numbers of seeds per prompt, so
            scores could not be computed from them.
        images: folder of the unlearned model's images.
        original_images: folder of the original model's images.
        advance: called with the progress.

    Raises:
        IgmuError: the images cannot be scored.
    """
    before, after = evaluation.found(Model("original", original_images), [Model("unlearned", images)])
    with evaluation.opened() as tools:
        first = evaluation.measured(before, tools, "original", advance)
        second = evaluation.measured(after, tools, "unlearned", advance, first)
        table, _ = both(first, second, tools, skip=evaluation.on_error == "skip")
        signed: dict[str, Setting] = {"config": evaluation.config, "on_error": evaluation.on_error, "igmu": __version__}
        signed |= {
            field: value for field, value in evaluation.signed(table, evaluation.rows()).items() if field != "images"
        }
        for role, info in tools:
            signed |= info.signature(role)
    return table, signed


def _without(card: Scorecard, rest: Generations) -> Iterator[str]:
    """What the main metrics would be without the lines whose images are missing or changed."""
    try:
        found = recompute.scores(card.model_copy(update={"generations": rest}))
    except IgmuError:  # such as a prompt with fewer seeds
        return
    changes = []
    for name, score in found.items():
        entry = card.scores[name]
        info = registry.info(entry.name, entry.package)
        if info is None or info.headline not in score.figures or entry.value is None:
            continue
        value = score.figures[info.headline].value
        if value == value and (now := f"{value:.3f}") != (then := f"{entry.value:.3f}"):
            part = f" ({name.partition('/')[2]})" if "/" in name else ""
            changes.append(f"{info.headline}{part} {now} instead of {then}")
    if changes:
        yield f"without the lines whose images are missing or were changed: {'; '.join(changes)}"


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
            f"the scorecard of {card.model} does not record how it was made (it has no provenance). Score the "
            "images again."
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
            f"the scorecard of {card.model} records options that 'igmu score' does not have ({error}). Score "
            "the images again."
        ) from error


def unlike(card: Scorecard, again: Scorecard, *, excused: Collection[str] = ()) -> Iterator[Problem]:
    """The differences between a card and the one that its images give.

    Args:
        card: the card.
        again: the card made again.
        excused: fields of signatures that were deliberately given differently.
    """
    # Who gave the number of checks is not compared, nor how many images the original has for other models.
    of_looks = {replace(look, source=s).sentence() for s in ("", *SOURCES)} if (look := Looks.of(card)) else set[str]()
    left_out = (UNSCORED, *([LEFT_OUT] if look else []))
    noted = [[n for n in each.notes if not n.startswith(left_out) and n not in of_looks] for each in (card, again)]
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
        yield Problem("generations", f"there is no line for row {row!r}, seed {seed}, although its images were scored")
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


def unchecked(card: Scorecard, changed: Mapping[str, Any], original_images: Path, *, of_run: bool = False) -> list[str]:
    """What the images cannot confirm: names, and versions that differ from those recorded in the card.

    Args:
        card: the card.
        changed: options of `Evaluation` that differ here.
        original_images: folder of the original's images, or of its table.
        of_run: whether the card was compared with the run in whose folder it is.
    """
    names = "the names of the models and the origin of the images are not checked"
    if of_run:
        names = "the names of the models were compared only with the files of the run; which model generated the "
        names += "images is not checked"
    told = [names]
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


def images_unlike(card: Scorecard, evaluation: Evaluation, images: Path, original_images: Path) -> Unlike:
    """The lines whose images are missing or differ, by their hashes."""
    problems, keys = list[Problem](), set[Key]()
    for where, suffix, folder in (("images", "", images), ("original_images", ORIGINAL, original_images)):
        table = find(folder, evaluation.layout, evaluation.rows())
        # A reference table contains no images, so its recorded hashes are used.
        recorded = reference.recorded(table) is not None
        there = dict(zip(table.keys, table["sha256" if recorded else "path"], strict=True))
        named: dict[tuple[str, str], list[str]] = {}
        for row, seed, told in (tuple(g.values()) for g in card.generations.records("id", "seed", f"sha256{suffix}")):
            found = there.get((row, seed))
            if wrong := _wrong(found, told, recorded=recorded):
                keys.add((row, seed))
                name = f"row {row!r}, seed {seed}" if found is None or recorded else os.path.relpath(found, folder)
                named.setdefault(wrong, []).append(name)
        for (one, several), names in named.items():
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            n = f"{len(names)} of {counted(len(card.generations), 'image')} in {folder}"
            what = f"{n} {one if len(names) == 1 else several}: {', '.join(names[:_SHOWN])}{more}"
            problems.append(Problem(where, what))
    return Unlike(problems, frozenset(keys))


def _wrong(found: Any, told: str | None, *, recorded: bool) -> tuple[str, str] | None:
    """What is wrong with a line's image, said of one and of several; None if it is the image that was scored."""
    if found is None:
        return "is missing", "are missing"
    try:
        same = told == (str(found) if recorded else sha256(found))
    except FileNotFoundError:
        return "is missing", "are missing"
    except OSError as error:
        return (f"cannot be read ({error.strerror})",) * 2
    return None if same else ("is not the image that was scored", "are not the images that were scored")
