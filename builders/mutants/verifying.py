"""What `igmu verify` finds."""

from __future__ import annotations

from typing import Final

from builders.mutants.mutation import Mutation

_ROOM: Final = "igmu_metrics/verdict"
_VERIFY: Final = ("tests/test_verify.py",)
_COVERAGE: Final = ("tests/test_protocol_coverage.py",)

MUTATIONS: Final[tuple[Mutation, ...]] = (
    Mutation(
        "verify-tolerates",
        f"{_ROOM}/verify.py",
        "_EXACT: Final = 1e-9",
        "_EXACT: Final = 1e-3",
        _VERIFY,
        "a third digit can be changed by hand",
    ),
    Mutation(
        "verify-without-content",
        f"{_ROOM}/verify.py",
        'problems = [] if unchanged else [Problem("content_sha256", CHANGED)]',
        'problems = [] if unchanged or True else [Problem("content_sha256", CHANGED)]',
        _VERIFY,
        "a card that was edited passes where its lines say nothing of it",
    ),
    Mutation(
        "verify-at-the-threshold",
        f"{_ROOM}/verify.py",
        "if seen != (None if p is None else p >= threshold):",
        "if seen != (None if p is None else p > threshold):",
        _VERIFY,
        "a true card with a probability at the threshold is refused",
    ),
    Mutation(
        "verify-without-missing-figures",
        f"{_ROOM}/verify.py",
        'yield Problem(f"scores.{name}.figures.{key}", lost)',
        "continue",
        _VERIFY,
        "figures that look bad can be left out of a card",
    ),
    Mutation(
        "verify-without-intervals",
        f"{_ROOM}/verify.py",
        "if not all(_alike(a, b, max(tolerance, 1e-6)) for",
        "if not all(_alike(a, b, 1.0) for",
        _VERIFY,
        "intervals can be narrowed by hand",
    ),
    Mutation(
        "verify-coverage-by-claim",
        f"{_ROOM}/verify.py",
        "    for check in (_lines, _coverage, _signatures,",
        "    for check in (_lines, _signatures,",
        _COVERAGE,
        "a card may claim to cover more than it has lines for",
    ),
    Mutation(
        "verify-images-tolerates",
        f"{_ROOM}/verify_images.py",
        "TOLERANCE: Final = 1e-4",
        "TOLERANCE: Final = 0.5",
        _VERIFY,
        "images may give other scores than the card",
    ),
    Mutation(
        "verify-images-with-the-cache",
        f"{_ROOM}/verify_images.py",
        'frozenset(only), "cache": False}',
        "frozenset(only)}",
        ("tests/test_verify.py::test_values_that_somebody_wrote_into_the_cache_are_found_out",),
        "whoever can write the cache verifies any card",
    ),
    Mutation(
        "verify-stops-at-the-signature",
        "igmu_metrics/cli/verify.py",
        "verbose, unsigned.get(path))",
        "verbose, None)",
        ("tests/test_verify_images.py::test_every_card_is_checked_for_its_signature",),
        "an unsigned card is accepted with --signer",
    ),
    Mutation(
        "verify-lists-all-as-recomputed",
        f"{_ROOM}/recompute.py",
        "lost = [key for key in entry.figures if key not in again]",
        "lost: list[str] = []",
        ("tests/test_verify.py::test_a_forged_quality_is_listed_as_not_recomputed",),
        "a forged forget score is among what was recomputed",
    ),
    Mutation(
        "verify-without-file-names",
        "igmu_metrics/running/belonging.py",
        "if (model, config) != (card.model, card.config):",
        "if False:",
        ("tests/test_belonging.py",),
        "two models exchange their scorecards",
    ),
    Mutation(
        "verify-without-left-out",
        "igmu_metrics/running/belonging.py",
        "if lost := sorted(run.keys - mine - there):",
        "if lost := sorted(set[Key]()):",
        ("tests/test_belonging.py",),
        "prompts on which a model failed are left out of a run",
    ),
    Mutation(
        "verify-a-part-of-a-check",
        "igmu_metrics/running/belonging.py",
        "return _Asked(frozenset(keys), look)",
        "return _Asked(frozenset(card.generations.keys), look)",
        ("tests/test_belonging.py",),
        "a run with interim checks leaves out the images that do not suit",
    ),
    Mutation(
        "verify-another-check",
        "igmu_metrics/running/belonging.py",
        "check.look != run.look:",
        "check.look < 0:",
        ("tests/test_belonging.py",),
        "a card of the first check says that it is of the second",
    ),
    Mutation(
        "verify-a-check-whose-images-failed",
        "igmu_metrics/running/looking.py",
        "if look > ended and not keys <= failed:",
        "if look > ended:",
        ("tests/test_belonging.py",),
        "failures of a whole check are those of a check that never was",
    ),
    Mutation(
        "verify-without-the-record",
        f"{_ROOM}/verify_images.py",
        "if found is None and evaluation.looks is None:",
        "if False:",
        ("tests/test_sequential.py",),
        "nobody notices that the record of the interim checks is lost",
    ),
    Mutation(
        "cards-by-name",
        f"{_ROOM}/places.py",
        "return isinstance(data, dict) and not _MARKS.isdisjoint(data)",
        "return True",
        ("tests/test_criteria.py",),
        "models.json is refused as a scorecard",
    ),
)
