"""What `igmu run --until` costs and errs on models whose truth is known: `python -m builders.benchmarks.replay`.

By replay (`builders.benchmarks.replaying`), from kept images. Missing images of the packaged versions are generated.
The models in steps are those of `python -m builders.graded --full`. From kept images it takes some minutes of one core.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np

from builders.benchmarks.looks import ROUNDS, alike, put
from builders.benchmarks.material import ROOT
from builders.benchmarks.replaying import (
    ASPECT,
    CORPUS,
    LARGE,
    MIXTURES,
    STEPS,
    VERSIONS,
    Cell,
    Model,
    cells,
    gathered,
    mixed,
    sizes_of,
    stepped,
)
from builders.benchmarks.timing import table
from igmu_data.schema import SEEDS_PER_ROW
from igmu_metrics.report.verdict import ASKED
from igmu_metrics.report.wording import UNDECIDED
from igmu_metrics.running.looking import FIRST_SEEDS
from igmu_metrics.running.plan import DECIDED, GRADED
from igmu_metrics.sandbox import demo
from igmu_metrics.sandbox.audit.mixtures import Pool
from igmu_metrics.sandbox.audit.yardstick import GRADES
from igmu_metrics.statistics.ratios import MIN_PROMPTS

TITLE: Final = "Checking the sandbox's models after every round"
BOTH: Final = "versions and mixtures"
STEP: Final = 0.05
LEAST_ALIKE: Final = 0.95
MOST_WRONG: Final = 0.05
LEAST_HELD: Final = 0.94
MOST_IMAGES: Final = 0.2
"""The targets at the stop, set before anything was measured."""
_HEAD: Final = ("settled", "same as full run", "wrong", "intervals with true value")
_INSIDE: Final = "… if it is neither 0 nor 1"


def _told(sizes: Mapping[str, int]) -> str:
    forget, attacked, kept = (sizes[split] for split in ASKED)
    return f"{forget} forget prompts, {attacked} adversarial prompts and {kept} retain prompts"


def _percent(flags: Sequence[bool]) -> str:
    return f"{100 * float(np.mean(flags)):.1f}%" if len(flags) else "–"


def _shares(found: Sequence[Cell]) -> list[str]:
    """Of some cells: settled, as the full run, wrong, intervals that hold."""
    ended = [c for c in found if c.stop.settled]
    return [
        _percent([c.stop.settled for c in found]),
        _percent([alike(c.stop, c.rule) for c in ended]),
        _percent([c.wrong for c in ended]),
        _percent([c.stop.held for c in found]),
    ]


def _inside(found: Sequence[Cell]) -> str:
    return _percent([c.stop.held for c in found if c.inside])


def _images(found: Sequence[Cell]) -> list[float]:
    """By model, the share of the full run's images that all of its questions took together."""
    sums: dict[tuple[str, str], list[int]] = {}
    for cell in found:
        one = sums.setdefault((cell.group, cell.model), [0, 0])
        one[0] += cell.stop.images
        one[1] += cell.whole
    return [used / whole for used, whole in sums.values()]


def overall(found: Sequence[Cell]) -> str:
    """Every rule and every fixed design, over all questions."""
    rows = []
    for design in dict.fromkeys(cell.design for cell in found):
        here = [cell for cell in found if cell.design == design]
        low, middle, high = np.quantile(_images(here), [0.1, 0.5, 0.9])
        run = f"--until {design}"
        if isinstance(design, int):
            named = {2: " (lite)", ROUNDS: " (full)"}.get(design, "")
            run = f"{design} round{'s' * (design > 1)}{named}, all seeds, one check"
        rows.append([run, f"{middle:.2f} ({low:.2f}–{high:.2f})", *_shares(here), _inside(here)])
    return table(["run", "images: median (10–90%)", *_HEAD, _INSIDE], rows)


def by_margin(found: Sequence[Cell]) -> str:
    """Margin by margin of the truth to 1/2, for each rule."""
    rules = [rule for rule in (DECIDED, GRADED) if any(cell.design == rule for cell in found)]
    edges = [round(STEP * i, 2) for i in range(round(0.5 / STEP) + 1)]
    rows = []
    for low, high in pairwise(edges):
        within = [c for c in found if low <= c.margin and (c.margin < high or high == edges[-1])]
        line = [f"{low:.2f}–{high:.2f}", str(sum(c.design == rules[0] for c in within))]
        for rule in rules:
            here = [c for c in within if c.design == rule]
            line += [_median(here), *_shares(here)]
        rows.append(line)
    head = [f"{rule}: {what}" for rule in rules for what in ("images: median", *_HEAD)]
    return table(["distance from 1/2", "cases", *head], rows)


def by_question(found: Sequence[Cell]) -> str:
    """Question by question, for `--until decided`."""
    rows = []
    for split in ASKED:
        here = [c for c in found if c.split == split and c.design == DECIDED]
        rows.append([ASPECT[split], str(len(here)), _median(here), *_shares(here), _inside(here)])
    return table(["question, --until decided", "cases", "images: median", *_HEAD, _INSIDE], rows)


def _median(found: Sequence[Cell]) -> str:
    return f"{np.median([c.share for c in found]):.2f}" if found else "–"


def one_by_one(found: Sequence[Cell]) -> str:
    """Every model, for `--until decided`."""
    rows = []
    for model in dict.fromkeys(cell.model for cell in found):
        own = [c for c in found if c.model == model and c.design == DECIDED]
        line = [f"{c.truth:.2f}: {c.stop.word} at {c.share:.2f}, {c.stop.full}" for c in own]
        rows.append([model, *line, f"{_images(own)[0]:.2f}"])
    return table(["model", *(ASPECT[split] for split in ASKED), "images"], rows)


def bars(groups: Mapping[str, Sequence[Cell]]) -> str:
    """The targets of `--until decided`, and whether they are met."""
    rows = []
    for name, found in groups.items():
        here = [cell for cell in found if cell.design == DECIDED]
        ended = [cell for cell in here if cell.stop.settled]
        values = (
            (float(np.mean([alike(c.stop, c.rule) for c in ended])), LEAST_ALIKE, True),
            (float(np.mean([c.wrong for c in ended])), MOST_WRONG, False),
            (float(np.mean([c.stop.held for c in here])), LEAST_HELD, True),
            (float(np.median(_images(here))), MOST_IMAGES, False),
        )
        line = [
            f"{100 * value:.1f}%: {'met' if (value >= bar if least else value <= bar) else 'not met'}"
            for value, bar, least in values
        ]
        rows.append([name, str(len(here)), *line])
    asked = [
        f"same as full run, ≥ {LEAST_ALIKE:.0%}",
        f"wrong, ≤ {MOST_WRONG:.0%}",
        f"intervals with true value, ≥ {LEAST_HELD:.0%}",
        f"median images, ≤ {MOST_IMAGES:.0%}",
    ]
    return table(["models, --until decided", "cases", *asked], rows)


def measured(models: Iterable[Model], rules: Sequence[str] = (DECIDED, GRADED)) -> list[Cell]:
    """The cells of some models, each told when it is done."""
    out: list[Cell] = []
    for number, model in enumerate(models, 1):
        out += cells(model, rules)
        sys.stderr.write(f"\r{model.group}: {number}")
    sys.stderr.write("\n")
    return out


def section(versions: Sequence[Model], pools: Mapping[str, Pool], steps: Sequence[Model], grades: int) -> Iterator[str]:
    """The section, paragraph by paragraph."""
    packaged, mixtures = measured(versions), measured(mixed(pools, grades))
    large = measured(mixed(pools, grades, CORPUS), [DECIDED])
    between = measured(steps)
    groups = {VERSIONS: packaged, MIXTURES: mixtures, BOTH: [*packaged, *mixtures]}
    groups |= {STEPS: between} if between else {}
    groups |= {LARGE: large}
    counts = [len({c.model for c in some}) for some in (packaged, mixtures, large)]
    first = next(iter(pools.values()))
    sandbox, corpus = (_told(sizes) for sizes in (sizes_of(first), CORPUS))
    yield (
        "This section was measured separately by `python -m builders.benchmarks.replay`. It replays `igmu run --until` "
        f"for models of the sandbox: {counts[0]} packaged versions and {counts[1]} virtual models over both tasks. "
        "The code of `igmu run` decides which images are needed next and when to stop. At each check, the metrics "
        "score the images that the run would have by then, with the intervals of a run with `--until`.\n\n"
        "- A *case* is one question about one model.\n"
        f"- The *{VERSIONS}* use the sandbox's prompts, in the rounds of the corpus. The true value for a version is "
        "computed from all of its images, so it is also the value of the full run: no true value is known by "
        "construction for every version and question.\n"
        f"- The *{MIXTURES}* are the audit's virtual models, each with a separate sample of prompts, chosen with "
        "replacement. The true value follows from the recipe of the model, whatever errors the detector makes. "
        f"`{first.task}` has {sandbox}.\n"
        f"{_steps(between)}"
        f"- The *{LARGE}* use the same {counts[2]} recipes with about {corpus}.\n"
        f"- The *full run* uses all prompts and all available seeds ({first.seeds}), with one check and 95% intervals. "
        "Numbers of *images* are shares of the images of the full run.\n"
        "- *settled*: the share of cases in which the run reached an answer (decided) or a final word (graded).\n"
        "- *same as full run*: among settled cases, the share with the same answer (decided) or word (graded) as the "
        "full run, which may itself be undecided.\n"
        "- *wrong*: among settled cases, the share whose answer or word is not true.\n"
        "- *intervals with true value*: the share of all intervals at the stop, settled or not, that include the true "
        "value. The last column counts only cases whose true value is neither 0 nor 1.\n"
    )
    yield "The following targets were set before the measurement:\n"
    yield bars(groups)
    rounds = [-(-MIN_PROMPTS * ROUNDS // sizes["retain"]) for sizes in (sizes_of(first), CORPUS)]
    few = sizes_of(first)["forget"] // ROUNDS
    fewer = f"The {STEPS} have only {demo.SEEDS} seeds, so it saves none of theirs." if between else ""
    yield (
        "A run with few prompts needs a larger share of them. Retain prompts are used until quality has an interval, "
        f"which requires {MIN_PROMPTS} prompts: {rounds[0]} of {ROUNDS} rounds in the sandbox, or {rounds[1]} rounds "
        f"with as many prompts as corpus 1.0. A round of the sandbox has {few} or {few + 1} forget prompts, which are "
        "too few to exclude 1/2 even if all of them agree. For each retain prompt, a run first generates images for "
        f"{FIRST_SEEDS} seeds. This order can save {first.seeds - FIRST_SEEDS} of {first.seeds} seeds. {fewer}\n"
    )
    ended = [c for c in (*groups[BOTH], *between, *large) if c.design == DECIDED and c.stop.settled]
    opposite = sum(c.stop.full != UNDECIDED and not alike(c.stop, c.rule) for c in ended)
    open_ = sum(c.stop.full == UNDECIDED for c in ended)
    yield (
        f"Of {len(ended):,} settled answers, {opposite} contradict the full run, and {open_} were settled although "
        "the full run is undecided. If no attack brings the concept back, the true robustness is 1, and one false "
        "alarm of the detector is enough for the interval to miss the true value. False alarms are more likely in runs "
        "with more images, so the intervals of the full run miss the true value most often.\n"
    )
    for name, some in groups.items():
        yield f"### {name[0].upper()}{name[1:]}\n"
        yield from told(name, some)


def _steps(between: Sequence[Cell]) -> str:
    if not between:
        return ""
    return (
        f"- The *{STEPS}* are the {len({c.model for c in between})} models of [Real models in steps](graded.md). They "
        f"use the same prompts as the versions, with {demo.SEEDS} seeds per prompt. Their true values are computed "
        "in the same way.\n"
    )


def told(group: str, found: Sequence[Cell]) -> Iterator[str]:
    """What there is to say of one group: all together, question by question, and margin by margin or one by one."""
    yield overall(found)
    yield by_question(found)
    if group in (VERSIONS, STEPS):
        yield (
            "For each model, the following table gives the true value, the word and the share of images at the stop "
            "(`--until decided`), and the word of the full run:\n"
        )
        yield one_by_one(found)
    else:
        yield by_margin(found)


def main() -> None:
    """Replay, and put the section into the page."""
    parser = argparse.ArgumentParser(prog="python -m builders.benchmarks.replay", description=__doc__)
    parser.add_argument("--work", type=Path, default=ROOT / "dist" / "replay", help="folder of the versions' images")
    parser.add_argument("--seeds-per-row", type=int, default=SEEDS_PER_ROW, help="images of a prompt")
    parser.add_argument("--graded", type=Path, help="work folder of `python -m builders.graded --full`")
    parser.add_argument("--grades", type=int, default=GRADES, help="virtual models of each kind and task")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "performance.md")
    given = parser.parse_args()
    versions, pools = gathered(given.work, given.seeds_per_row)
    steps = stepped(given.graded) if given.graded else []
    put(given.out, TITLE, "\n".join(section(versions, pools, steps, given.grades)))


if __name__ == "__main__":
    main()
