"""The results of commands not about scorecards, as `--json` prints them; see `igmu_metrics.cli._card_answers`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from igmu_metrics.detectors._calibrated import Calibration
from igmu_metrics.scorecard import Figure
from igmu_metrics.training.card import HeadCard


@dataclass(frozen=True, slots=True)
class Written:
    """Files that were written.

    Args:
        files: paths of the files.
        next: the command to run next, "" if there is none.
    """

    files: Sequence[Path]
    next: str = ""


@dataclass(frozen=True, slots=True)
class Generated:
    """The result of generating.

    Args:
        folder: folder of the images.
        n_images: number of images in the folder.
        n_new: number of images that this call generated.
        failures: why images could not be generated, by `ID-SEED`.
    """

    folder: Path
    n_images: int
    n_new: int
    failures: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PrintedNumber:
    """A printed proportion.

    Args:
        line: line number in the file, from 1.
        name: contents of the other columns.
        text: the number as printed.
        n: number of trials.
        possible: whether a whole number of successes would be printed like this.
        telling: whether there are enough digits for the check to rule out any value.
        nearest: how the nearest numbers of successes would be printed.
    """

    line: int
    name: str
    text: str
    n: int
    possible: bool
    telling: bool
    nearest: Sequence[str]


@dataclass(frozen=True, slots=True)
class Table:
    """A published table.

    Args:
        numbers: all numbers in the table.
        unnumbered: lines without a number, from 1.
        notes: notes on how the table was read.
    """

    numbers: Sequence[PrintedNumber]
    unnumbered: Sequence[int] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Named:
    """A concept.

    Args:
        id: id, such as `object/church`.
        config: config, such as `object.church`.
        family: its group within the domain.
        scope: scope of the concept: subject (what the image shows) or attribute (a property of the image).
        label: its name in prompts.
    """

    id: str
    config: str
    family: str
    scope: str
    label: str


@dataclass(frozen=True, slots=True)
class Concepts:
    """The taxonomy, or a part of it.

    Args:
        concepts: the requested concepts.
        rows: for a single concept, number of rows by split and probe or attack family.
    """

    concepts: Sequence[Named]
    rows: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plugin:
    """A metric, detector, backbone or attack.

    Args:
        kind: metric, detector, backbone or attack; file for a file of --plugin that cannot be used.
        name: its name.
        package: package that it comes from, such as "igmu".
        what: a description; for a broken plugin, why it cannot be used.
    """

    kind: str
    name: str
    package: str
    what: str


@dataclass(frozen=True, slots=True)
class Installed:
    """The installed metrics, detectors, backbones and attacks.

    Args:
        usable: those that can be used.
        broken: plugins that cannot be used.
    """

    usable: Sequence[Plugin]
    broken: Sequence[Plugin]


@dataclass(frozen=True, slots=True)
class Held:
    """The cache entries of one network.

    Args:
        name: name of the network; "damaged" for entries that cannot be read.
        revision: revision of its weights.
        kind: images or texts.
        n_rows: number of entries.
        n_bytes: their size in bytes.
        used: when an entry was last used, in seconds since 1970.
    """

    name: str
    revision: str
    kind: str
    n_rows: int
    n_bytes: int
    used: float


@dataclass(frozen=True, slots=True)
class Cache:
    """The feature cache.

    Args:
        file: file of the cache.
        n_bytes: size on disk; null after pruning.
        max_bytes: maximum size.
        networks: contents by network.
        dropped: number of entries that pruning deleted.
        kept: number of entries that pruning kept.
    """

    file: Path
    max_bytes: int
    n_bytes: int | None = None
    networks: Sequence[Held] = ()
    dropped: int | None = None
    kept: int | None = None


@dataclass(frozen=True, slots=True)
class Lost:
    """An image without a matching prompt.

    Args:
        file: file of the image.
        why: why no prompt matches.
    """

    file: Path
    why: str


@dataclass(frozen=True, slots=True)
class MatchedFolder:
    """The result of matching the images of a folder to prompts.

    Args:
        file: the metadata.jsonl that was written.
        n_images: number of images in the folder.
        by: number of matched images by method.
        lost: images that could not be matched.
        missing: files that the table lists and that are not in the folder.
        n_prompts: number of prompts with a matched image.
        n_prompts_asked: number of prompts of the config.
        n_other_seeds: number of matched images whose seed the corpus does not list.
        notes: what may be wrong, although images were matched.
    """

    file: Path
    n_images: int
    by: Mapping[str, int]
    lost: Sequence[Lost]
    missing: Sequence[Path] = ()
    n_prompts: int = 0
    n_prompts_asked: int = 0
    n_other_seeds: int = 0
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Matched:
    """The result of matching images to prompts.

    Args:
        folders: one entry per folder.
    """

    folders: Sequence[MatchedFolder]


@dataclass(frozen=True, slots=True)
class ImportedList:
    """The result of importing a list of prompts.

    Args:
        folder: the corpus folder.
        n_read: number of prompts in the list.
        n_rows: number of rows by split.
        refused: number of prompts that the policy refuses, by reason.
        n_refused: number of prompts refused for any reason.
        n_unselected: number of records that `--where` excluded.
        n_duplicates: number of repeated prompts with the same seed.
        n_naming: number of rows that name the concept.
        next: the command to run next.
    """

    folder: Path
    n_read: int
    n_rows: Mapping[str, int]
    refused: Mapping[str, int]
    n_refused: int
    n_unselected: int
    n_duplicates: int
    n_naming: int
    next: str


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained detector.

    Args:
        file: file with its weights.
        card: everything that is known about the detector.
    """

    file: Path
    card: HeadCard


@dataclass(frozen=True, slots=True)
class Calibrated:
    """How often a detector agrees with people.

    Args:
        file: file for `igmu score --calibration`.
        calibration: its contents.
        chance: why the detector gives no verdict; "" if it does.
    """

    file: Path
    calibration: Calibration
    chance: str


@dataclass(frozen=True, slots=True)
class Attacked:
    """The result of an attack.

    Args:
        folder: folder of records and images.
        figures: asr_image, asr_any@k, pre_asr and post_asr, counting only images where the original shows the concept.
        weight_free: success rates without access to weights, by metric and family; null if they were not requested.
        chance: the detector's false positive rate, null if it is unknown.
        searches: number of searches by outcome.
        verdict: the verdict in one sentence.
    """

    folder: Path
    figures: Mapping[str, Figure]
    weight_free: Mapping[str, Mapping[str, Figure]] | None
    chance: Figure | None
    searches: Mapping[str, int]
    verdict: str


@dataclass(frozen=True, slots=True)
class Statement:
    """One check of the audit.

    Args:
        task: task of the sandbox.
        statement: the statement that must be true.
        measured: the measured numbers.
        outcome: whether the statement is true.
    """

    task: str
    statement: str
    measured: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Audited:
    """The audit of the metrics.

    Args:
        page: the page that was written.
        checks: all checks.
    """

    page: Path
    checks: Sequence[Statement]
