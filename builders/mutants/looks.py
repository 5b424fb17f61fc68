"""Several looks at one run: what intervals and p values are worth, and when a run stops."""

from __future__ import annotations

from typing import Final

from builders.mutants.mutation import Mutation

_TESTS: Final = ("tests/test_looks.py",)
_LOOKS: Final = "igmu_metrics/statistics/looks.py"
_LOOKING: Final = "igmu_metrics/running/looking.py"

MUTATIONS: Final[tuple[Mutation, ...]] = (
    Mutation(
        "looks-as-if-the-only-one",
        "igmu_metrics/evaluation.py",
        "with at_level(look.level if look else LEVEL):",
        "with at_level(LEVEL):",
        _TESTS,
        "a card of ten looks has intervals that hold at one",
    ),
    Mutation(
        "looks-recomputed-at-95",
        "igmu_metrics/verdict/recompute.py",
        "with at_level(look.level if look else LEVEL):",
        "with at_level(LEVEL):",
        _TESTS,
        "igmu verify refuses every card of a run that looks",
    ),
    Mutation(
        "looks-of-independent-data",
        _LOOKS,
        "np.sqrt(now - before)",
        "np.sqrt(now)",
        _TESTS,
        "looks are taken for others than they are, and boundaries are wrong",
    ),
    Mutation(
        "looks-p-values-as-of-one",
        "igmu_metrics/verdict/compare.py",
        "p = look.repeated(p)",
        "pass",
        _TESTS,
        "who compares after every round finds differences that are not there",
    ),
    Mutation(
        "looks-make-cards-unlike",
        "igmu_metrics/contract.py",
        "if not k.startswith(self.LOOKS)",
        "if k",
        _TESTS,
        "models that stopped at different looks cannot be compared",
    ),
    Mutation(
        "looks-any-coverage-is-alike",
        "igmu_metrics/verdict/compare.py",
        "if mine is None or theirs is None or mine.planned != theirs.planned:",
        "if mine is None or theirs is None:",
        _TESTS,
        "looks at different protocols are ranked together",
    ),
    Mutation(
        "looks-planned-by-protocol",
        _LOOKING,
        "Looks(number, CHECKS, rule(plan))",
        "Looks(number, rounds + 1, rule(plan))",
        _TESTS,
        "a run that goes on with a larger protocol has been looked at with the boundary of a smaller plan",
    ),
    Mutation(
        "looks-more-seeds-of-a-part",
        _LOOKING,
        "range(1, (CHECKS if rounds == ROUNDS else rounds) + 1)",
        "range(1, CHECKS + 1)",
        _TESTS,
        "a part of the corpus is looked at once more than the plan of the whole has looks for",
    ),
    Mutation(
        "looks-attacks-seed-by-seed",
        _LOOKING,
        'return FIRST_SEEDS if row.split == "retain" else len(row.seeds)',
        "return FIRST_SEEDS",
        _TESTS,
        "any@k is of fewer images than k at an early look",
    ),
    Mutation(
        "looks-original-without-partner",
        _LOOKING,
        "first = _union(requests, new.values(), made)",
        "first = _union(requests, list(new.values())[-1:], made)",
        _TESTS,
        "a model that goes on has images without the original's",
    ),
    Mutation(
        "looks-whole-width",
        _LOOKING,
        "<= 2 * float(until)",
        "<= 4 * float(until)",
        _TESTS,
        "--until 0.05 stops at twice the width",
    ),
    Mutation(
        "looks-bound-met-only",
        _LOOKING,
        "known = outcome is not Outcome.UNDECIDED",
        "known = outcome is Outcome.MET",
        _TESTS,
        "a model that is known to miss a bound is run to the end of the corpus",
    ),
    Mutation(
        "looks-bound-is-the-verdict",
        _LOOKING,
        "    if bounds := plan.bounds:\n",
        "    if not (bounds := plan.bounds):\n",
        _TESTS,
        "a run with bounds stops for the words of the verdict",
    ),
    Mutation(
        "looks-forgotten-by-the-folder",
        "igmu_metrics/images/layouts.py",
        "if (look := sequential.recorded(folder)) is not None:",
        "if (look := None) is not None:",
        ("tests/test_sequential.py",),
        "images of a run that was checked ten times are scored as if it had been checked once",
    ),
    Mutation(
        "looks-fewer-than-there-were",
        "igmu_metrics/images/sequential.py",
        "if own is not None and asked.planned < own.planned:",
        "if False:",
        ("tests/test_sequential.py",),
        "--looks 1/1 undoes ten checks",
    ),
    Mutation(
        "looks-end-of-the-prompts",
        _LOOKING,
        "            ended = MAX_IMAGES\n",
        "            ended = PROMPTS\n",
        _TESTS,
        "a run that --max-images ended says that no prompts are left",
    ),
    Mutation(
        "looks-forgotten-by-a-copy",
        "igmu_metrics/images/sequential.py",
        "asked, own = Looks.given(given), found or original",
        "asked, own = Looks.given(given), found",
        ("tests/test_sequential.py",),
        "a copy of the model's images without the record is scored as if it had been checked once",
    ),
    Mutation(
        "looks-unmentioned",
        "igmu_metrics/coverage.py",
        "*filter(None, (looked(cards), ways.caution(cards)))",
        "*filter(None, (ways.caution(cards),))",
        ("tests/test_interim.py",),
        "tables show intervals of 99% as if they were of 95%",
    ),
    Mutation(
        "looks-original-of-the-first",
        "igmu_metrics/verdict/baseline.py",
        "return max(cards, key=lambda card: len(card.generations))",
        "return cards[0]",
        ("tests/test_interim.py",),
        "the original's row has the prompts of a model that stopped early, and its interval is too wide",
    ),
    Mutation(
        "looks-undone",
        "igmu_metrics/running/plan.py",
        "not looked or now.until is not None",
        "True",
        _TESTS,
        "after several looks a run of one look says that there was one",
    ),
)
