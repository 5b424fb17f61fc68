"""Defects around reference tables: other instruments, changed tables, and what a run leaves out."""

from __future__ import annotations

from typing import Final

from builders.mutants.mutation import Mutation

_REFERENCE: Final = "igmu_metrics/images/reference.py"
_TESTS: Final = ("tests/test_reference.py",)

MUTATIONS: Final[tuple[Mutation, ...]] = (
    Mutation(
        "tables-of-other-instruments",
        _REFERENCE,
        'if role != "detector" and _told(signature) != _told(there.get(role, {})):',
        'if role != "detector" and _told(signature).keys() != _told(there.get(role, {})).keys():',
        _TESTS,
        "an original seen by another network is compared with a model seen by this one",
    ),
    Mutation(
        "tables-that-were-changed",
        _REFERENCE,
        'if digest(table, facts) != facts["digest"]:',
        'if len(digest(table, facts)) != len(facts["digest"]):',
        _TESTS,
        "a probability that somebody changed is taken for the original's",
    ),
    Mutation(
        "tables-without-some-rows",
        _REFERENCE,
        'if len(table) != facts["n_total"] or len(set(table.keys)) != len(table):',
        "if len(set(table.keys)) != len(table):",
        _TESTS,
        "an original without the rows that did not suit is taken for a whole one",
    ),
    Mutation(
        "tables-that-the-manifest-does-not-list",
        _REFERENCE,
        "            require_as_listed(root, [path])\n",
        "            require_as_listed(root, [])\n",
        _TESTS,
        "a table that was exchanged in its data set is read",
    ),
    Mutation(
        "tables-beyond-the-run",
        _REFERENCE,
        "return first.where([key in asked or key in keys for key in first.keys])",
        "return first.where([key in keys for key in first.keys])",
        _TESTS,
        "images that a model lacks are left out in silence",
    ),
    Mutation(
        "tables-of-images-of-one-colour",
        _REFERENCE,
        'if told["blank"] != blank:',
        'if told["blank"] == "nothing":',
        _TESTS,
        "blank images are judged in one model and counted apart in the other",
    ),
    Mutation(
        "runs-unlike-the-table",
        "igmu_metrics/running/original.py",
        "if theirs and unpairable(mine, theirs):",
        "if theirs and mine == theirs:",
        _TESTS,
        "a run generates hours of images that cannot be compared with its original",
    ),
)
