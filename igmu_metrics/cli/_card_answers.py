"""What commands find in scorecards, as `--json` prints it: a type a command.

Conventions: keys are promised, so none is renamed or taken away. Figures have the full names that `igmu check` takes.
Shares are 0..1, and null stands for what there is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from igmu_metrics.coverage import Coverage
from igmu_metrics.report.wording import DEGREES, NO_VERDICT, grade
from igmu_metrics.scorecard import Figure, Scorecard
from igmu_metrics.verdict.compare import Comparison
from igmu_metrics.verdict.criteria import FORGET_SCORE, Checked, Outcome, figures
from igmu_metrics.verdict.families import Line
from igmu_metrics.verdict.planning import Plan


@dataclass(frozen=True, slots=True)
class Card:
    """A scorecard without its lines.

    Args:
        model: the unlearned model.
        original: the model before unlearning.
        config: what both were scored on.
        target: the concept to forget.
        file: where the card was written, null if nowhere.
        word: of the forget score: yes, mostly, hardly, no, undecided, not measured or no verdict.
        figures: every figure by its full name, such as `forget_score/robustness`.
        coverage: what was scored of what the corpus asks for, by part; null where no corpus is known.
        failures: why images are missing from the figures.
        notes: what a reader has to know about the images.
    """

    model: str
    original: str
    config: str
    target: str
    file: Path | None
    word: str
    figures: Mapping[str, Figure]
    coverage: Mapping[str, Coverage] | None
    failures: Sequence[str]
    notes: Sequence[str]

    @classmethod
    def of(cls, card: Scorecard, file: Path | None = None) -> Card:
        """What is told of a card."""
        known = figures(card)
        word = NO_VERDICT if card.unfounded else grade(known.get(FORGET_SCORE), DEGREES)
        about = (card.model, card.original_model, card.config, card.target)
        return cls(*about, file, word, known, card.coverage, card.failures, card.notes)


@dataclass(frozen=True, slots=True)
class Scored:
    """What was scored.

    Args:
        cards: a scorecard for each model and config.
        report: the page over them, null where none was written.
        tables: files of a shard, for igmu merge.
        plan: of a dry run, what it would do.
        images: folder of images that were joined from parts, or hold one.
    """

    cards: Sequence[Card] = ()
    report: Path | None = None
    tables: Sequence[Path] = ()
    plan: str = ""
    images: Path | None = None


@dataclass(frozen=True, slots=True)
class Exported:
    """Scorecards in another form.

    Args:
        format: eval_results, model_index, latex or csv.
        file: where it was written, null if nowhere.
        text: what was, or would have been, written.
    """

    format: str
    file: Path | None
    text: str


@dataclass(frozen=True, slots=True)
class Place:
    """A model in the plane of forgetting and preservation.

    Args:
        model: its name.
        beaten_by: models that are at least as good in both and better in one; empty on the front.
        clearly_by: those of them that the intervals tell apart.
    """

    model: str
    beaten_by: Sequence[str]
    clearly_by: Sequence[str]


@dataclass(frozen=True, slots=True)
class PublishedShare:
    """A published proportion.

    Args:
        model: whose.
        measure: of what.
        successes: how many.
        n: of how many.
        value: the share.
        interval: its 95 % interval (Wilson).
    """

    model: str
    measure: str
    successes: int
    n: int
    value: float
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class PublishedDifference:
    """Two published proportions beside each other.

    Args:
        first: a model.
        second: another one.
        measure: of what.
        difference: first minus second.
        interval: its unadjusted 95 % interval (Newcombe).
        p: Fisher's exact test.
        p_holm: corrected for all comparisons of the measure.
    """

    first: str
    second: str
    measure: str
    difference: float
    interval: tuple[float, float]
    p: float
    p_holm: float


@dataclass(frozen=True, slots=True)
class Compared:
    """Which differences are real.

    Args:
        comparisons: every model against the original and every other, in each measure.
        front: models in the plane of forgetting and preservation; empty where coverage differs.
        unlike: on how many generations pairs are compared where coverage differs, else "".
        published: of `--published`, the proportions.
        differences: of `--published`, the differences.
    """

    comparisons: Sequence[Comparison] = ()
    front: Sequence[Place] = ()
    unlike: str = ""
    published: Sequence[PublishedShare] = ()
    differences: Sequence[PublishedDifference] = ()


@dataclass(frozen=True, slots=True)
class Reach:
    """The smallest differences that so many prompts can show.

    Args:
        model: whose rate it is; "" for an assumed one.
        rate: 0..1.
        prompts: how many.
        below: difference downwards, null where none within 0..1 can be shown.
        above: the same upwards.
    """

    model: str
    rate: float
    prompts: int
    below: float | None
    above: float | None


@dataclass(frozen=True, slots=True)
class Powered:
    """How many prompts are needed.

    Args:
        plans: what every comparison of scorecards still needs; `needed` counts prompts in all.
        reach: what so many prompts can show.
        needed: prompts that tell two assumed rates apart, null without such.
    """

    plans: Sequence[Plan] = ()
    reach: Sequence[Reach] = ()
    needed: int | None = None


@dataclass(frozen=True, slots=True)
class Families:
    """Attack success by family.

    Args:
        lines: a line for each family and model.
        chart: the SVG, null where none was written.
    """

    lines: Sequence[Line]
    chart: Path | None


@dataclass(frozen=True, slots=True)
class Board:
    """A leaderboard.

    Args:
        page: the HTML file.
        n_cards: scorecards that it ranks.
        refused: why others are not ranked.
    """

    page: Path
    n_cards: int
    refused: Sequence[str]


@dataclass(frozen=True, slots=True)
class Problems:
    """What is wrong with a file.

    Args:
        file: the file or folder.
        problems: one entry for each; empty where all is well.
        notes: what could not be checked.
        scored_again: whether its images were scored again.
        counts: how much of what there is, such as rows by split.
    """

    file: Path
    problems: Sequence[str]
    notes: Sequence[str] = ()
    scored_again: bool = False
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verified:
    """What was checked.

    Args:
        files: each with its problems.
        signer: whose signature lies beside every card, null if that was not asked.
        schema: with `--schema`, the JSON Schema of scorecards.
    """

    files: Sequence[Problems] = ()
    signer: str | None = None
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Met:
    """Bounds on figures.

    Args:
        outcome: not met if a result is, else undecided if one is, else met.
        results: every bound on every card.
    """

    outcome: Outcome
    results: Sequence[Checked]


@dataclass(frozen=True, slots=True)
class Told:
    """What to report.

    Args:
        sentences: one for each model, ready to paste.
        latex: the table.
        why: why these numbers and no others.
    """

    sentences: Sequence[str]
    latex: str
    why: Sequence[str]
