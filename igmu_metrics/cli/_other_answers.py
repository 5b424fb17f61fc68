"""What commands find that is not about scorecards, as `--json` prints it; see `igmu_metrics.cli._card_answers`."""

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
        files: their paths.
        next: the command to go on with, "" where there is none.
    """

    files: Sequence[Path]
    next: str = ""


@dataclass(frozen=True, slots=True)
class Generated:
    """What there is after generating.

    Args:
        folder: of the images.
        n_images: images that are there.
        n_new: those that this call generated.
        failures: why there is no image, by `ID-SEED`.
    """

    folder: Path
    n_images: int
    n_new: int
    failures: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PrintedNumber:
    """A printed proportion.

    Args:
        line: in the file, from 1.
        name: what the other columns say.
        text: as printed.
        n: of how many.
        possible: whether some whole number of n is printed like this.
        telling: whether the digits are fine enough to refuse anything.
        nearest: what the counts next to it would be printed as.
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
        numbers: every number of it.
    """

    numbers: Sequence[PrintedNumber]


@dataclass(frozen=True, slots=True)
class Named:
    """A concept.

    Args:
        id: `object/church`.
        config: `object.church`.
        family: its group within the domain.
        scope: what belongs to it.
        label: what prompts call it.
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
        concepts: all that were asked for.
        rows: of one concept, its rows by split and probe or attack family.
    """

    concepts: Sequence[Named]
    rows: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plugin:
    """A metric or an instrument.

    Args:
        kind: metric, detector, backbone or attack.
        name: its name.
        package: where it comes from; "igmu" for our own.
        what: what it is; of a broken one, why it cannot be used.
    """

    kind: str
    name: str
    package: str
    what: str


@dataclass(frozen=True, slots=True)
class Installed:
    """What measures.

    Args:
        usable: metrics and instruments.
        broken: plugins that cannot be used.
    """

    usable: Sequence[Plugin]
    broken: Sequence[Plugin]


@dataclass(frozen=True, slots=True)
class Held:
    """What the cache holds of one network.

    Args:
        name: the network; "damaged" for entries that cannot be read.
        revision: of its weights.
        kind: images or texts.
        n_rows: entries.
        n_bytes: their size.
        used: when one was last used, seconds since 1970.
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
        file: where it is.
        n_bytes: on disk; null after pruning.
        max_bytes: how large it may grow.
        networks: what it holds.
        dropped: entries that pruning dropped.
        kept: entries that it kept.
    """

    file: Path
    max_bytes: int
    n_bytes: int | None = None
    networks: Sequence[Held] = ()
    dropped: int | None = None
    kept: int | None = None


@dataclass(frozen=True, slots=True)
class Lost:
    """An image that no prompt was found for.

    Args:
        file: the image.
        why: why.
    """

    file: Path
    why: str


@dataclass(frozen=True, slots=True)
class MatchedFolder:
    """Which prompt each image of a folder was generated for.

    Args:
        file: the metadata.jsonl that was written.
        n_images: images in the folder.
        by: how many were found, by how.
        lost: those that were not.
    """

    file: Path
    n_images: int
    by: Mapping[str, int]
    lost: Sequence[Lost]


@dataclass(frozen=True, slots=True)
class Matched:
    """Which prompt each image was generated for.

    Args:
        folders: one entry for each.
    """

    folders: Sequence[MatchedFolder]


@dataclass(frozen=True, slots=True)
class ImportedList:
    """What a list of prompts gave.

    Args:
        folder: the corpus folder.
        n_read: prompts of the list.
        n_rows: rows, by split.
        refused: prompts that the policy refuses, by reason.
        n_refused: prompts refused for any reason.
        n_unselected: records that `--where` left out.
        n_duplicates: prompts that had this seed already.
        n_naming: rows that name the concept.
        next: the command to go on with.
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
        file: its weights.
        card: everything that is known of it.
    """

    file: Path
    card: HeadCard


@dataclass(frozen=True, slots=True)
class Calibrated:
    """How often a detector agrees with people.

    Args:
        file: for `igmu score --calibration`.
        calibration: what stands in it.
        chance: why no verdict can rest on the detector; "" where it can.
    """

    file: Path
    calibration: Calibration
    chance: str


@dataclass(frozen=True, slots=True)
class Attacked:
    """What an attack did.

    Args:
        folder: of records and images.
        figures: asr_image, asr_any@k, pre_asr and post_asr, where the original shows the concept.
        weight_free: the level that no access to weights reaches, by figure and family; null where it was not asked.
        chance: how often the detector sees the concept where it is not, null where that is not known.
        searches: how many ended how.
        verdict: one sentence.
    """

    folder: Path
    figures: Mapping[str, Figure]
    weight_free: Mapping[str, Mapping[str, Figure]] | None
    chance: Figure | None
    searches: Mapping[str, int]
    verdict: str


@dataclass(frozen=True, slots=True)
class Statement:
    """What the audit asked.

    Args:
        task: of the sandbox.
        statement: what must hold.
        measured: the numbers.
        outcome: whether it does.
    """

    task: str
    statement: str
    measured: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Audited:
    """The audit of the metrics.

    Args:
        page: what was written.
        checks: every statement.
    """

    page: Path
    checks: Sequence[Statement]
