"""The results of commands about scorecards, as `--json` prints them: one type per command.

Conventions: keys are stable; none is renamed or removed. Metrics have the full names that `igmu check` accepts. Shares
are 0..1, and null means that there is no value.
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
from igmu_metrics.verdict.criteria import FORGET_SCORE, Checked, Outcome, Unsettled, figures
from igmu_metrics.verdict.families import Line
from igmu_metrics.verdict.planning import Plan


@dataclass(frozen=True, slots=True)
class Card:
    """A scorecard without its lines.

    Args:
        model: name of the unlearned model.
        original: name of the model before unlearning.
        config: config on which both were scored.
        target: the concept to forget.
        file: file of the scorecard, null if it was not written.
        word: verdict on the forget score: yes, mostly, hardly, no, undecided, not measured or no verdict.
        figures: all metrics by full name, such as `forget_score/robustness`.
        coverage: how much of the corpus was scored, by part; null if the corpus is unknown.
        failures: why images could not be scored.
        notes: notes about the images.
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
        """The answer about a card."""
        known = figures(card)
        word = NO_VERDICT if card.unfounded else grade(known.get(FORGET_SCORE), DEGREES)
        about = (card.model, card.original_model, card.config, card.target)
        return cls(*about, file, word, known, card.coverage, card.failures, card.notes)


@dataclass(frozen=True, slots=True)
class Scored:
    """The result of scoring.

    Args:
        cards: one scorecard per model and config.
        report: file of the report, null if none was written.
        tables: files of a shard, for igmu merge.
        plan: what a dry run would do.
        images: folder of the images that were joined from parts, or of one part.
        settled: whether a run with --until decided everything that it was supposed to decide; null without --until.
        unsettled: what such a run left undecided.
    """

    cards: Sequence[Card] = ()
    report: Path | None = None
    tables: Sequence[Path] = ()
    plan: str = ""
    images: Path | None = None
    settled: bool | None = None
    unsettled: Sequence[Unsettled] = ()


@dataclass(frozen=True, slots=True)
class Exported:
    """Scorecards in another format.

    Args:
        format: eval_results, model_index, latex or csv.
        file: file that was written, null if none was.
        text: the exported text.
    """

    format: str
    file: Path | None
    text: str


@dataclass(frozen=True, slots=True)
class Place:
    """A model's position with respect to forgetting and preservation.

    Args:
        model: name of the model.
        beaten_by: models that are at least as good in both and better in at least one; empty on the Pareto front.
        clearly_by: those of them whose intervals do not overlap with this model's in at least one of the two.
    """

    model: str
    beaten_by: Sequence[str]
    clearly_by: Sequence[str]


@dataclass(frozen=True, slots=True)
class PublishedShare:
    """A published proportion.

    Args:
        model: name of the model.
        measure: what was measured.
        successes: number of successes.
        n: number of trials.
        value: share of successes.
        interval: its 95% interval (Wilson).
    """

    model: str
    measure: str
    successes: int
    n: int
    value: float
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class PublishedDifference:
    """A comparison of two published proportions.

    Args:
        first: name of the first model.
        second: name of the second model.
        measure: what was measured.
        difference: first minus second.
        interval: its unadjusted 95% interval (Newcombe).
        test: `fisher`, Fisher's exact test.
        p: its p value.
        p_holm: p value corrected for all comparisons of the measure.
    """

    first: str
    second: str
    measure: str
    difference: float
    interval: tuple[float, float]
    test: str
    p: float
    p_holm: float


@dataclass(frozen=True, slots=True)
class Compared:
    """Comparisons of models.

    Args:
        comparisons: each model against the original and against each other model, in each measure.
        front: the models' positions with respect to forgetting and preservation; empty if coverage differs.
        unlike: if coverage differs, on how many generations pairs are compared; otherwise "".
        same: what is the same in all scorecards, by field of the signature: `detector`, `detector.threshold`,
            `original`, `k`, `dataset`, `clip` and `generated`; a field that differs or is absent is left out.
        not_compared: which scores were not compared because their settings differ; "" if there are none.
        caution: in which generation settings the models may differ, because they are not recorded or differ between
            prompts; "" if all are known to be the same.
        looks: at which of several interim checks the scorecards were scored, and what their intervals are; "" if none
            of them was checked repeatedly.
        published: the proportions given with `--published`.
        differences: the differences between the proportions given with `--published`.
        assumed: test and unit of these differences, and what is unknown about them; "" without `--published`.
        notes: notes on the images of the scorecards, or on how the table given with `--published` was read.
    """

    comparisons: Sequence[Comparison] = ()
    front: Sequence[Place] = ()
    unlike: str = ""
    same: Mapping[str, Any] = field(default_factory=dict)
    not_compared: str = ""
    caution: str = ""
    looks: str = ""
    published: Sequence[PublishedShare] = ()
    differences: Sequence[PublishedDifference] = ()
    assumed: str = ""
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Reach:
    """The smallest differences that a number of prompts can detect.

    Args:
        model: name of the model; "" for an assumed rate.
        rate: the rate, 0..1.
        prompts: number of prompts.
        below: smallest detectable difference below the rate, null if none within 0..1 can be detected.
        above: smallest detectable difference above the rate, null if none within 0..1 can be detected.
    """

    model: str
    rate: float
    prompts: int
    below: float | None
    above: float | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """The interval that a model is expected to get in a part of the protocol.

    Args:
        model: name of the model; "" for an assumed rate.
        protocol: number of rounds of the protocol; all of them if no part is enough for the bound.
        seeds: number of images per prompt.
        figure: full name of the metric.
        value: expected value.
        interval: expected 95% interval, which is wider for a run with several checks.
        bound: the bound given with `--bound`, null if none was given.
        chance: chance that the interval is on one side of the bound, 0..1; null without a bound.
    """

    model: str
    protocol: int
    seeds: int
    figure: str
    value: float
    interval: tuple[float, float]
    bound: float | None
    chance: float | None


@dataclass(frozen=True, slots=True)
class Powered:
    """The number of prompts that are needed.

    Args:
        plans: what each comparison of scorecards needs; `needed` is the total number of prompts.
        reach: the smallest detectable differences.
        needed: number of prompts needed to distinguish two assumed rates, or a rate and a bound; null if none were
            given. For a bound on attacks, it counts source prompts, and is null if the config has too few.
        offered: number of plain prompts of the config, null if none was given; for a bound on attacks, of source
            prompts.
        forecasts: the intervals that models are expected to get in a part of the protocol.
    """

    plans: Sequence[Plan] = ()
    reach: Sequence[Reach] = ()
    needed: int | None = None
    offered: int | None = None
    forecasts: Sequence[Forecast] = ()


@dataclass(frozen=True, slots=True)
class Families:
    """Attack success by family.

    Args:
        lines: one entry per family and model.
        chart: file of the SVG chart, null if none was written.
        looks: at which of several interim checks the scorecards were scored, and what their intervals are; "" if none
            of them was checked repeatedly.
        notes: notes on the images of the scorecards.
    """

    lines: Sequence[Line]
    chart: Path | None
    looks: str = ""
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Board:
    """A leaderboard.

    Args:
        page: the HTML file.
        n_cards: number of ranked scorecards.
        refused: why other files are not ranked.
    """

    page: Path
    n_cards: int
    refused: Sequence[str]


@dataclass(frozen=True, slots=True)
class Problems:
    """Problems with a file.

    Args:
        file: the file or folder.
        problems: one entry per problem; empty if there are none.
        notes: what could not be checked, how many images failed or are missing according to a scorecard, and the notes
            on the scorecard, such as the number of images that are copies of each other.
        scored_again: whether all images were scored again and the whole scorecard was compared.
        recomputed: the scores that were computed again, from the images or from the lines of the scorecard; with the
            metrics in parentheses if there are others in `not_recomputed`.
        not_recomputed: the other scores and metrics, which can be checked only with the images, and intervals.
        counts: counts of the contents, such as rows by split.
    """

    file: Path
    problems: Sequence[str]
    notes: Sequence[str] = ()
    scored_again: bool = False
    recomputed: Sequence[str] = ()
    not_recomputed: Sequence[str] = ()
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verified:
    """The result of a check.

    Args:
        files: one entry per file, with its problems.
        signer: key with which every scorecard is signed; null if a scorecard is not signed with this key, or if
            signatures were not checked.
        schema: with `--schema`, the JSON Schema of scorecards.
        notes: for the folder of a run, models without a scorecard, and images that two models have in common.
    """

    files: Sequence[Problems] = ()
    signer: str | None = None
    schema: Mapping[str, Any] | None = None
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Met:
    """The result of checking bounds on metrics.

    Args:
        outcome: error if any bound could not be checked, otherwise not met if any result is not met, otherwise
            undecided if any is undecided, otherwise met.
        results: one entry per bound and scorecard.
        failures: number of failed or missing images by model, where there are any; the name of the model is followed by
            the config, and preceded by the detector, if the scorecards differ in it. Only bounds on coverage and failed
            cover them.
        looks: at which of several interim checks the scorecards were scored, and what their intervals are; "" if none
            of them was checked repeatedly.
        backward: a sentence for each bound that is met by bad models rather than by good ones.
        notes: notes on the images of the scorecards.
    """

    outcome: Outcome
    results: Sequence[Checked]
    failures: Mapping[str, int]
    looks: str = ""
    backward: Sequence[str] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """What to report in a paper.

    Args:
        sentences: one sentence per model, ready to paste.
        latex: the LaTeX table.
        why: what to report and why.
    """

    sentences: Sequence[str]
    latex: str
    why: Sequence[str]
