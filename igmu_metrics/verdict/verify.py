"""Does this scorecard agree with itself? Everything that can be found out without its images, and no more.

What is checked, from the outside in: the hash over the content (any digit changed by hand); the schema; ranges; that
every share is a whole number of its generations (GRIM); that the parts agree with each other (headlines, signatures,
counts, decisions and threshold, the hash over the images' hashes); and the scores themselves, computed again from the
lines. It finds accidents and careless edits. Who invents the lines, too, and computes every hash anew passes it: that
the lines are true only the images can tell (`verify_images`), and who vouches for them a signature (`signing`).

All commands read cards by `read_all`, so that no figure of a card that disagrees with itself is shown anywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isclose
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from igmu_data.errors import IgmuError, VerificationError
from igmu_data.load import digest
from igmu_metrics import registry, scorecard
from igmu_metrics.contract import PARTS, Estimate
from igmu_metrics.generations import BLANK, OK, ORIGINAL, UNCLEAR
from igmu_metrics.scorecard import CHANGED, Figure, Scorecard, ScoreEntry, converted, inputs_sha256
from igmu_metrics.verdict import recompute

# Shares whose value times generations is a whole number: no mean over prompts, groups or families.
_SHARES: Final = {
    "concept_accuracy": tuple(
        f"{prefix}unlearning_accuracy" for prefix in ("", "original_", "conditional_", "original_conditional_")
    ),
    "attack_success_rate": ("asr_image", "conditional_asr_image"),
    recompute.FORGET: ("forgetting", "unconditional_forgetting"),
}
_EXACT: Final = 1e-9  # of a value that was computed in another order
_SHOWN: Final = 20
_SHOWN_OF_SEVERAL: Final = 5
_LONGEST: Final = 400  # characters of a problem, which quotes the card


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that cannot be.

    Args:
        where: the field, as a path of names.
        what: what is wrong, with the values.
    """

    where: str
    what: str

    def __str__(self) -> str:
        told = f"{self.where}: {self.what}"
        return told if len(told) <= _LONGEST else f"{told[:_LONGEST]}…"


def verify(path: Path) -> tuple[Scorecard | None, list[Problem]]:
    """Check a card's file.

    Returns:
        The card, or None where it cannot be read as one; and what is wrong with it.

    Raises:
        MetadataError: the file is not there, or not JSON within limits.
    """
    data, unchanged = scorecard.opened(path)
    problems = [] if unchanged else [Problem("content_sha256", CHANGED)]
    try:
        card = Scorecard.model_validate(converted(data))
    except ValidationError as error:
        return None, problems + [Problem(*found) for found in scorecard.problems(error)[:_SHOWN]]
    for check in (_lines, _coverage, _signatures, _ranges, _shares, _composite, _again):
        problems += check(card)
    return card, problems


def read_all(paths: Sequence[Path]) -> list[Scorecard]:
    """Cards that agree with themselves, in order; a folder stands for its cards (`scorecard.card_files`).

    Raises:
        MetadataError: a file that is not there, or not JSON within limits.
        VerificationError: cards that disagree with themselves, or files that are none; each is named with its problems.
    """
    cards, refused = [], []
    files = scorecard.card_files(paths)
    for path in files:
        card, problems = verify(path)
        if card is not None and not problems:
            cards.append(card)
        else:
            refused.append(told(path, problems))
    if refused:
        n = f"{len(refused)} scorecard{'s' * (len(refused) > 1)}"
        raise VerificationError("\n".join([f"{n} of {len(files)} refused. Score again, or leave it out.", *refused]))
    return cards


def told(path: Path, problems: Sequence[Problem]) -> str:
    """A refused card's file and the first of its problems, a line each."""
    more = [f"… and {len(problems) - _SHOWN_OF_SEVERAL} more"] if len(problems) > _SHOWN_OF_SEVERAL else []
    return "\n  ".join([f"{path}:", *map(str, problems[:_SHOWN_OF_SEVERAL]), *more])


def _lines(card: Scorecard) -> Iterator[Problem]:
    """The generations by themselves."""
    keys = Counter(card.generations.keys)
    for (row, seed), times in keys.items():
        if times > 1:
            yield Problem("generations", f"row {row!r} with seed {seed} appears {times} times")
    if card.provenance is not None and inputs_sha256(card.generations) != card.provenance.inputs_sha256:
        yield Problem("provenance.inputs_sha256", "not the hash of the generations' ids, seeds and images")
    entry = card.scores.get("concept_accuracy")
    threshold = entry.signature.get("detector.threshold") if entry else None
    if not isinstance(threshold, int | float):
        return
    for suffix in ("", ORIGINAL):
        told = f"status{suffix}" in card.generations  # which cards of schema 2 do not have
        names = (f"present{suffix}", f"probability{suffix}", f"status{suffix}", "own_concept")
        for at, g in enumerate(card.generations.records(*names)):
            seen, p, status, asked = g.values()
            unjudged = (BLANK, UNCLEAR) if asked else (BLANK, OK)
            if told and status not in (unjudged if p is None else (OK,)):
                yield Problem(f"generations.{at}.status{suffix}", f"{status!r} with a probability of {p}")
            if seen != (None if p is None else p >= threshold):
                what = f"{seen} with a probability of {p} and a threshold of {threshold:g}"
                yield Problem(f"generations.{at}.present{suffix}", what)


def _coverage(card: Scorecard) -> Iterator[Problem]:
    """What the card says it covers, against its lines."""
    if card.coverage is None:
        return
    for part in PARTS:
        keys, told = card.generations.part(part).keys, card.coverage.get(part)
        if told is None:
            if keys:
                yield Problem(f"coverage.{part}", f"missing, although {len(keys)} generations are of it")
            continue
        counts = len({row for row, _ in keys}), len(keys)
        if counts != (told.n_prompts, told.n_generations + told.n_other_seeds):
            what = f"{told.n_prompts} prompts and {told.n_generations + told.n_other_seeds} generations"
            yield Problem(f"coverage.{part}", f"{what}, but the lines have {counts[0]} and {counts[1]}")
        if told.n_prompts > told.n_prompts_asked or told.n_generations > told.n_generations_asked:
            yield Problem(f"coverage.{part}", "more generations were scored than the corpus has")


def _signatures(card: Scorecard) -> Iterator[Problem]:
    """What the scores say about themselves, against what the card says."""
    if not card.scores:
        yield Problem("scores", "the card has no score")
    rows = digest(row for row, _ in card.generations.keys)
    for name, entry in card.scores.items():
        for field in ("metric", "v", "bootstrap"):
            if field not in entry.signature:
                yield Problem(f"scores.{name}.signature.{field}", "missing, although every score is signed with it")
        told = {"model": card.model, "original": card.original_model, "config": card.config, "rows": rows}
        told |= {"igmu": card.igmu_version, "metric": entry.name}
        for field, value in told.items():
            if entry.signature.get(field, value) != value:
                yield Problem(
                    f"scores.{name}.signature.{field}", f"{entry.signature[field]!r}, but the card has {value!r}"
                )
        if entry.package and entry.name in registry.own("metrics"):
            yield Problem(f"scores.{name}.signature.metric.package", f"{entry.package!r}, but the metric is igmu's own")
        if entry.n_failed != len(card.failures):
            yield Problem(f"scores.{name}.n_failed", f"{entry.n_failed}, but {len(card.failures)} failures are listed")
        for figure in _headlines(entry):
            own = (entry.value, entry.interval, entry.n_prompts, entry.n_generations)
            if (figure.value, figure.interval, figure.n_prompts, figure.n_generations) != own:
                yield Problem(f"scores.{name}", "its value, interval or counts are not those of its headline figure")


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
                    yield Problem(where, f"{figure.value:g} is not a count out of {figure.n_generations}")
            elif fractions and not 0 <= figure.value <= 1:
                yield Problem(where, f"{figure.value} is not a fraction")
            if figure.n_prompts > figure.n_generations:
                yield Problem(where, f"{figure.n_prompts} prompts with {figure.n_generations} generations")


def _interval(where: str, figure: Figure) -> Iterator[Problem]:
    ends = figure.interval
    if ends is None or ends[0] is None or ends[1] is None:
        return
    if not ends[0] <= ends[1]:
        yield Problem(f"{where}.interval", f"{ends[0]} is above {ends[1]}")


def _shares(card: Scorecard) -> Iterator[Problem]:
    """GRIM: a share of n generations is a whole number of them."""
    for name, entry in card.scores.items():
        for key, figure in entry.figures.items():
            share = key.partition("/")[0] in _SHARES.get(entry.name, ())
            if not share or figure.value is None or not 0 <= figure.value <= 1:  # which `_ranges` tells
                continue
            count = figure.value * figure.n_generations
            if not isclose(count, round(count), rel_tol=_EXACT, abs_tol=1e-6):
                what = f"{figure.value} of {figure.n_generations} generations are {count:.4f}: no whole number"
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
        yield Problem(f"scores.{recompute.FORGET}.value", f"{entry.value} is not the harmonic mean of its aspects")


def _again(card: Scorecard) -> Iterator[Problem]:
    """The scores from the lines, and none that the lines do not give."""
    try:
        found = recompute.scores(card)
    except IgmuError as error:
        yield Problem("generations", f"no score can be computed from them: {error}")
        return
    for name, score in found.items():
        figures, signature = card.scores[name].figures, card.scores[name].signature
        if name != recompute.FORGET:  # whose settings follow from features, too
            for key, value in score.signature.fields.items():
                if key not in ("igmu", "bootstrap") and signature.get(key) != value:
                    what = f"{signature.get(key)!r}, but the generations give {value!r}"
                    yield Problem(f"scores.{name}.signature.{key}", what)
        for key, estimate in score.figures.items():
            if key in figures:
                yield from differences(f"scores.{name}.figures.{key}", figures[key], estimate)
            else:
                yield Problem(f"scores.{name}.figures.{key}", "missing, although the generations give it")
    for name, entry in card.scores.items():
        # Lines of schema 2 have no status and no alignments; what cannot be recomputed for that is a note.
        if "status" not in card.generations or not recompute.follows(entry):
            continue
        if name not in found:
            yield Problem(f"scores.{name}", "the generations do not give it: they lack a column that it needs")
        elif entry.name != recompute.FORGET:
            for key in entry.figures.keys() - found[name].figures.keys():
                yield Problem(f"scores.{name}.figures.{key}", "the generations do not give it")


def differences(where: str, told: Figure, found: Estimate, *, tolerance: float = _EXACT) -> Iterator[Problem]:
    """What a card tells of a figure, against what was found."""
    value = None if found.value != found.value else found.value
    if (told.n_prompts, told.n_generations) != (found.n_prompts, found.n_generations):
        what = f"{told.n_prompts} prompts and {told.n_generations} generations, {found.n_prompts} and"
        yield Problem(where, f"the card has {what} {found.n_generations} were found")
    if not _alike(told.value, value, tolerance):
        yield Problem(where, f"the card has {told.value}, {value} was found")
    if found.interval is not None and value is not None:
        ends = told.interval or (None, None)
        if not all(_alike(a, b, max(tolerance, 1e-6)) for a, b in zip(ends, found.interval, strict=True)):
            yield Problem(f"{where}.interval", f"the card has {told.interval}, {found.interval} was found")


def _alike(a: float | None, b: float | None, tolerance: float) -> bool:
    return a == b if a is None or b is None else isclose(a, b, rel_tol=tolerance, abs_tol=tolerance)
