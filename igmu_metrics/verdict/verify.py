"""Checks whether a scorecard is consistent, as far as this is possible without its images.

The checks are: the hash of the content (any digit changed by hand); the schema; ranges; that every share is a whole
number of its generations (GRIM); that the parts agree with each other (headlines, signatures, counts, decisions and
threshold, the hash of the images' hashes); and the scores themselves, which are recomputed from the lines. This finds
accidents and careless edits. It does not detect invented lines with recomputed hashes: whether the lines are true can
only be checked with the images (`verify_images`), and a signature shows who vouches for them (`signing`).

All commands read cards with `read_all`, so that no value of an inconsistent card is ever shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isclose
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import ValidationError

from igmu_data.errors import IgmuError, VerificationError
from igmu_data.load import digest
from igmu_data.numerals import counted
from igmu_metrics import registry, scorecard
from igmu_metrics.contract import PARTS, Estimate, Score
from igmu_metrics.generations import BLANK, OK, ORIGINAL, UNCLEAR
from igmu_metrics.scorecard import CHANGED, Figure, Scorecard, ScoreEntry, converted, inputs_sha256
from igmu_metrics.verdict import recompute
from igmu_metrics.verdict.places import card_files, has_marks

# Shares whose value times the number of generations is a whole number: not means over prompts, groups or families.
_SHARES: Final = {
    "concept_accuracy": tuple(
        f"{prefix}unlearning_accuracy" for prefix in ("", "original_", "conditional_", "original_conditional_")
    ),
    "attack_success_rate": ("asr_image", "conditional_asr_image"),
    recompute.FORGET: ("forgetting", "unconditional_forgetting"),
}
_EXACT: Final = 1e-9  # tolerance for values that were computed in a different order
_SHOWN: Final = 20
_SHOWN_OF_SEVERAL: Final = 5
_LONGEST: Final = 400  # maximum characters of a problem, which quotes the card


@dataclass(frozen=True, slots=True)
class Problem:
    """One inconsistency.

    Args:
        where: the field, as a path of names.
        what: what is wrong, with the values.
    """

    where: str
    what: str

    def __str__(self) -> str:
        told = f"{self.where}: {self.what}"
        return told if len(told) <= _LONGEST else f"{told[:_LONGEST]}…"


class Examined(NamedTuple):
    """What a card's file shows without images.

    Args:
        card: the card, or None if the file cannot be read as one.
        problems: what is wrong with it.
        found: the scores recomputed from its lines; None if they cannot be recomputed, which is one of the problems.
    """

    card: Scorecard | None
    problems: list[Problem]
    found: Mapping[str, Score] | None


def examined(path: Path) -> Examined:
    """Check a card's file.

    Raises:
        MetadataError: the file is not there, or not JSON within limits.
    """
    data, unchanged = scorecard.opened(path)
    if not has_marks(data):
        return Examined(
            None, [Problem("file", "this is not a scorecard, because it has no scores and generations")], None
        )
    problems = [] if unchanged else [Problem("content_sha256", CHANGED)]
    try:
        card = Scorecard.model_validate(converted(data)).read_from(path)
    except ValidationError as error:
        return Examined(None, problems + [Problem(*wrong) for wrong in scorecard.problems(error)[:_SHOWN]], None)
    for check in (_lines, _coverage, _signatures, _ranges, _shares, _composite):
        problems += check(card)
    try:
        found = recompute.scores(card)
    except IgmuError as error:
        problems.append(Problem("generations", f"the scores cannot be recomputed from these lines: {error}"))
        return Examined(card, problems, None)
    return Examined(card, [*problems, *_again(card, found)], found)


def verify(path: Path) -> tuple[Scorecard | None, list[Problem]]:
    """The card and the problems of `examined`, which raises the same errors."""
    card, problems, _ = examined(path)
    return card, problems


def read_all(paths: Sequence[Path]) -> list[Scorecard]:
    """Read consistent cards, in order; a folder means all cards in it (`places.card_files`).

    Raises:
        MetadataError: a file that does not exist, or is not JSON within limits.
        VerificationError: inconsistent cards, or files that are not cards; the message names each with its problems.
    """
    cards, refused = [], []
    files = card_files(paths)
    for path in files:
        card, problems = verify(path)
        if card is not None and not problems:
            cards.append(card)
        else:
            refused.append(told(path, problems))
    if refused:
        which = counted(len(refused), "scorecard")
        were = "were" if len(refused) > 1 else "was"
        raise VerificationError(
            "\n".join(
                [f"{which} of {len(files):,} {were} refused. Score again, or leave out the refused files.", *refused]
            )
        )
    return cards


def told(path: Path, problems: Sequence[Problem]) -> str:
    """A refused card's file and the first of its problems, one per line."""
    more = [f"… and {len(problems) - _SHOWN_OF_SEVERAL} more"] if len(problems) > _SHOWN_OF_SEVERAL else []
    return "\n  ".join([f"{path}:", *map(str, problems[:_SHOWN_OF_SEVERAL]), *more])


def _lines(card: Scorecard) -> Iterator[Problem]:
    """The generations alone."""
    keys = Counter(card.generations.keys)
    for (row, seed), times in keys.items():
        if times > 1:
            yield Problem("generations", f"row {row!r} with seed {seed} appears {times} times")
    if card.provenance is not None and inputs_sha256(card.generations) != card.provenance.inputs_sha256:
        yield Problem("provenance.inputs_sha256", "this is not the hash of the generations' ids, seeds and images")
    entry = card.scores.get("concept_accuracy")
    threshold = entry.signature.get("detector.threshold") if entry else None
    if not isinstance(threshold, int | float):
        return
    for suffix in ("", ORIGINAL):
        told = f"status{suffix}" in card.generations  # cards of schema 2 do not have it
        names = (f"present{suffix}", f"probability{suffix}", f"status{suffix}", "own_concept")
        for at, g in enumerate(card.generations.records(*names)):
            seen, p, status, asked = g.values()
            unjudged = (BLANK, UNCLEAR) if asked else (BLANK, OK)
            if told and status not in (unjudged if p is None else (OK,)):
                what = f"the status is {status!r}, but the probability is {p}"
                yield Problem(f"generations.{at}.status{suffix}", what)
            if seen != (None if p is None else p >= threshold):
                what = f"the value is {seen}, but the probability is {p} and the threshold is {threshold:g}"
                yield Problem(f"generations.{at}.present{suffix}", what)


def _coverage(card: Scorecard) -> Iterator[Problem]:
    """The coverage that the card states, against its lines."""
    if card.coverage is None:
        return
    for part in PARTS:
        keys, told = card.generations.part(part).keys, card.coverage.get(part)
        if told is None:
            if keys:
                yield Problem(
                    f"coverage.{part}", f"this part is missing, although {len(keys):,} generations belong to it"
                )
            continue
        counts = len({row for row, _ in keys}), len(keys)
        if counts != (told.n_prompts, told.n_generations + told.n_other_seeds):
            claimed = told.n_generations + told.n_other_seeds
            what = f"{counted(told.n_prompts, 'prompt')} and {counted(claimed, 'generation')}"
            yield Problem(
                f"coverage.{part}", f"the scorecard reports {what}, but its lines contain {counts[0]} and {counts[1]}"
            )
        if told.n_prompts > told.n_prompts_asked or told.n_generations > told.n_generations_asked:
            yield Problem(f"coverage.{part}", "the scorecard reports more scored generations than the corpus contains")


def _signatures(card: Scorecard) -> Iterator[Problem]:
    """The signatures of the scores, against the rest of the card."""
    if not card.scores:
        yield Problem("scores", "the scorecard contains no scores")
    rows = digest(row for row, _ in card.generations.keys)
    for name, entry in card.scores.items():
        for field in ("metric", "v", "bootstrap"):
            if field not in entry.signature:
                yield Problem(
                    f"scores.{name}.signature.{field}",
                    "this field is missing, although every signature must contain it",
                )
        told = {"model": card.model, "original": card.original_model, "config": card.config, "rows": rows}
        told |= {"igmu": card.igmu_version, "metric": entry.name}
        for field, value in told.items():
            if entry.signature.get(field, value) != value:
                yield Problem(
                    f"scores.{name}.signature.{field}",
                    f"the value is {entry.signature[field]!r}, but the scorecard reports {value!r}",
                )
        if entry.package and entry.name in registry.own("metrics"):
            yield Problem(
                f"scores.{name}.signature.metric.package",
                f"the package is {entry.package!r}, but the metric is part of igmu",
            )
        if entry.n_failed != len(card.failures):
            what = f"the value is {entry.n_failed:,}, but {len(card.failures):,} failures are listed"
            yield Problem(f"scores.{name}.n_failed", what)
        for figure in _headlines(entry):
            own = (entry.value, entry.interval, entry.n_prompts, entry.n_generations)
            if (figure.value, figure.interval, figure.n_prompts, figure.n_generations) != own:
                yield Problem(
                    f"scores.{name}", "its value, interval or counts differ from those of its headline metric"
                )


def _headlines(entry: ScoreEntry) -> Iterator[Figure]:
    info = registry.info(entry.name, entry.package)
    if info is None:
        return
    variant = str(entry.signature.get("variant", info.headline))
    for name in (variant, info.headline):
        if name in entry.figures:
            yield entry.figures[name]
            return


def _ranges(card: Scorecard) -> Iterator[Problem]:
    for name, entry in card.scores.items():
        info = registry.info(entry.name, entry.package)
        fractions = info is not None and info.range == (0.0, 1.0)
        for key, figure in entry.figures.items():
            where = f"scores.{name}.figures.{key}"
            yield from _interval(where, figure)
            if figure.value is None:
                continue
            if key.startswith("n_"):
                if figure.value != int(figure.value) or not 0 <= figure.value <= figure.n_generations:
                    yield Problem(where, f"{figure.value:g} is not a possible count out of {figure.n_generations:,}")
            elif fractions and not 0 <= figure.value <= 1:
                yield Problem(where, f"{figure.value} is not a fraction in 0..1")
            if figure.n_prompts > figure.n_generations:
                n = counted(figure.n_prompts, "prompt"), counted(figure.n_generations, "generation")
                yield Problem(where, f"there are {n[0]}, but only {n[1]}")


def _interval(where: str, figure: Figure) -> Iterator[Problem]:
    ends = figure.interval
    if ends is None or ends[0] is None or ends[1] is None:
        return
    if not ends[0] <= ends[1]:
        yield Problem(f"{where}.interval", f"the lower end {ends[0]} is above the upper end {ends[1]}")


def _shares(card: Scorecard) -> Iterator[Problem]:
    """GRIM: a share of n generations is a whole number of them."""
    for name, entry in card.scores.items():
        for key, figure in entry.figures.items():
            share = key.partition("/")[0] in _SHARES.get(entry.name, ())
            if not share or figure.value is None or not 0 <= figure.value <= 1:  # reported by `_ranges`
                continue
            count = figure.value * figure.n_generations
            if not isclose(count, round(count), rel_tol=_EXACT, abs_tol=1e-6):
                n = counted(figure.n_generations, "generation")
                what = f"{figure.value} of {n} is {count:.4f}, which is not a whole number"
                yield Problem(f"scores.{name}.figures.{key}", what)


def _composite(card: Scorecard) -> Iterator[Problem]:
    """The forget score is the harmonic mean of its aspects."""
    from igmu_metrics.metrics.forget_score import ASPECTS
    from igmu_metrics.statistics import harmonic_mean

    entry = card.scores.get(recompute.FORGET)
    if entry is None or entry.value is None or not set(ASPECTS) <= set(entry.figures):
        return
    parts = [entry.figures[name].value for name in ASPECTS]
    known = [p for p in parts if p is not None and p >= 0]
    if len(known) < len(parts) or not isclose(float(harmonic_mean(known)), entry.value, rel_tol=_EXACT, abs_tol=_EXACT):
        yield Problem(f"scores.{recompute.FORGET}.value", f"{entry.value} is not the harmonic mean of the aspects")


def _again(card: Scorecard, found: Mapping[str, Score]) -> Iterator[Problem]:
    """The scores against those recomputed from the lines; there must be no others."""
    for name, score in found.items():
        figures, signature = card.scores[name].figures, card.scores[name].signature
        if name != recompute.FORGET:  # its settings also depend on features
            for key, value in score.signature.fields.items():
                if key not in ("igmu", "bootstrap") and signature.get(key) != value:
                    what = f"the value is {signature.get(key)!r}, but according to the generations it is {value!r}"
                    yield Problem(f"scores.{name}.signature.{key}", what)
        for key, estimate in score.figures.items():
            if key in figures:
                yield from differences(f"scores.{name}.figures.{key}", figures[key], estimate)
            else:
                lost = "this metric is missing, although the generations determine it"
                yield Problem(f"scores.{name}.figures.{key}", lost)
    for name, entry in card.scores.items():
        # Lines of schema 2 have no status and no alignments; a note says what cannot be recomputed for this reason.
        if "status" not in card.generations or not recompute.follows(entry):
            continue
        if name not in found:
            yield Problem(f"scores.{name}", "the generations do not contain a column that this score requires")
        elif entry.name != recompute.FORGET:
            for key in entry.figures.keys() - found[name].figures.keys():
                yield Problem(f"scores.{name}.figures.{key}", "this metric cannot be computed from the generations")


def differences(
    where: str, told: Figure, found: Estimate, *, by: str = "its lines", tolerance: float = _EXACT
) -> Iterator[Problem]:
    """The differences between a card's metric and what its lines, or images, give."""
    value = None if found.value != found.value else found.value
    if (told.n_prompts, told.n_generations) != (found.n_prompts, found.n_generations):
        what = (
            f"{counted(told.n_prompts, 'prompt')} and {counted(told.n_generations, 'generation')}, but the numbers "
            f"computed from {by} are"
        )
        yield Problem(where, f"the scorecard reports {what} {found.n_prompts:,} and {found.n_generations:,}")
    if not _alike(told.value, value, tolerance):
        yield Problem(where, f"the scorecard reports {told.value}, but the value computed from {by} is {value}")
    if found.interval is not None and value is not None:
        ends = told.interval or (None, None)
        if not all(_alike(a, b, max(tolerance, 1e-6)) for a, b in zip(ends, found.interval, strict=True)):
            yield Problem(
                f"{where}.interval",
                f"the scorecard reports {told.interval}, but the interval computed from {by} is {found.interval}",
            )


def _alike(a: float | None, b: float | None, tolerance: float) -> bool:
    return a == b if a is None or b is None else isclose(a, b, rel_tol=tolerance, abs_tol=tolerance)
