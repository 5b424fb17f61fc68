"""What a stranger brings, and what is refused before the first image is generated."""

from __future__ import annotations

from typing import Final

from builders.mutants.mutation import Mutation

_EVALUATION: Final = "igmu_metrics/evaluation.py"
_PUBLISHED: Final = ("tests/builders/test_published.py",)
_UNSCORED: Final = ("tests/test_unscored.py",)
_OWN: Final = ("tests/test_own.py",)

MUTATIONS: Final[tuple[Mutation, ...]] = (
    Mutation(
        "detectors-judge-anything",
        _EVALUATION,
        "            require_judge(detector.info, target)\n",
        "            pass\n",
        ("tests/test_run.py",),
        "every image is generated, and the detector says nothing of the concept",
    ),
    Mutation(
        "figures-not-foreseen",
        "igmu_metrics/running/looking.py",
        "    for name in plan.figures:\n",
        "    for name in ():\n",
        ("tests/test_run.py",),
        "a mistyped figure is found out after the first round",
    ),
    Mutation(
        "tokens-nobody-names",
        "igmu_metrics/images/generate.py",
        "        pipeline.require([r.prompt for r in requests], wanted)\n",
        "        pass\n",
        _PUBLISHED,
        "a textual inversion that no prompt names is scored as the base",
    ),
    Mutation(
        "the-last-of-two-networks",
        "igmu_metrics/images/published.py",
        "if len(same) > 1 and kind not in _SEVERAL:",
        "if len(same) > 9:",
        _PUBLISHED,
        "of two networks one is used, and nobody says which",
    ),
    Mutation(
        "half-a-network",
        "igmu_metrics/images/published.py",
        "    if _SHARD.search(path.name):\n",
        "    if _SHARD.search(kind):\n",
        _PUBLISHED,
        "one file of several is taken for all that was trained",
    ),
    Mutation(
        "variations-are-seeds",
        "igmu_metrics/images/programs.py",
        "if name.startswith(start) and value.casefold() not in _UNSET:",
        "if name == start == value:",
        ("tests/test_match.py",),
        "an image of two seeds is scored as that of one",
    ),
    Mutation(
        "delivery-short-in-silence",
        "igmu_metrics/images/matching.py",
        "    if missing and not allow_missing:\n",
        "    if False:\n",
        ("tests/test_match.py",),
        "a delivery without half of the images that its table lists is matched as if it were whole",
    ),
    Mutation(
        "match-that-mostly-fails",
        "igmu_metrics/images/matching.py",
        "(len(lost) > n and not allow_missing)",
        "False",
        ("tests/test_match.py",),
        "a delivery in which most images fit no prompt is matched as if nothing were wrong",
    ),
    Mutation(
        "a-seed-that-was-rounded",
        "igmu_data/numerals.py",
        "int(found[1]) >= _EXACT",
        "False",
        ("tests/test_match.py",),
        "an image is paired by a seed that a table has rounded",
    ),
    Mutation(
        "run-with-fewer-seeds-in-its-folder",
        "igmu_metrics/running/plan.py",
        "seeds == 0 or (seeds > 0 and not looked)",
        "True",
        ("tests/test_looks.py",),
        "interim checks that were planned for one seed are made with two",
    ),
    Mutation(
        "seeds-assumed-in-silence",
        "igmu_metrics/images/matching.py",
        "{SEED_FROM: IN_ORDER} if m.assumed else {}",
        "{}",
        ("tests/test_match.py",),
        "a scorecard does not say that its seeds are an assumption",
    ),
    Mutation(
        "models-without-a-pair",
        "igmu_metrics/images/notes.py",
        "    if not set(unlearned.keys) & set(original.keys):  # first",
        "    if False:  # first",
        _UNSCORED,
        "images all of whose seeds are wrong are measured for hours",
    ),
    Mutation(
        "nothing-that-can-be-read",
        _EVALUATION,
        "    if not table.ok.any():\n",
        "    if table is None:\n",
        _UNSCORED,
        "a card without scores is written of images of which none can be read",
    ),
    Mutation(
        "metrics-left-out-in-silence",
        _EVALUATION,
        '                *(f"{UNSCORED}{why}" for why in unscored.values()),\n',
        "",
        _UNSCORED,
        "a card does not say that it lacks a metric",
    ),
    Mutation(
        "columns-lacking-in-silence",
        "igmu_metrics/metrics/_contract.py",
        "        return [str(PluginError(name, package, why, step))] if metric.INFO.parts else []\n",
        "        return []\n",
        _UNSCORED,
        "a plugin whose column nothing measures vanishes",
    ),
    Mutation(
        "results-unlike-their-description",
        "igmu_metrics/contract.py",
        "    return found or [*_unlike_info(result, info), *_impossible(result, n)]\n",
        "    return found\n",
        _UNSCORED,
        "a headline of 1.7 that can be at most 1 gets onto a card, which igmu then refuses",
    ),
    Mutation(
        "domains-of-any-name",
        "igmu_data/taxonomy.py",
        "    if domain not in domains():\n",
        "    if not domains():\n",
        _OWN,
        "a misspelt domain costs a concept two thirds of its rows",
    ),
    Mutation(
        "examples-for-prompts",
        "igmu_data/writing.py",
        "[*_unreplaced(item), *_small(item), ",
        "[*_small(item), ",
        _OWN,
        "models are asked for a lookalike",
    ),
    Mutation(
        "kinds-of-any-name",
        "igmu_data/writing.py",
        "for rule in (_kinds, _names, ",
        "for rule in (_names, ",
        _OWN,
        "values that no rows can be made of are taken without a word",
    ),
    Mutation(
        "audited-without-its-columns",
        "igmu_metrics/sandbox/audit/run.py",
        "if column not in SERVED]:",
        "if column in ()]:",
        ("tests/test_audit.py",),
        "an hour of generating ends without the metric that it was for",
    ),
)
