"""Trains a detector head: from labelled images to its file and its card.

Conventions: the weights are fitted to one part of the training split, the threshold is chosen on the rest of it, and
the test split is used only for measuring. Files are written only at the end.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from igmu_data import taxonomy
from igmu_data.errors import EmptyInputError, InputError, OutOfRangeError, OutputError
from igmu_data.files import beside, owned, require_own, require_writable
from igmu_data.progress import Advance
from igmu_data.schema import LARGEST_SEED
from igmu_data.spelling import require_spelled
from igmu_data.taxonomy import SANDBOX
from igmu_metrics import registry
from igmu_metrics.contract import BoolArray
from igmu_metrics.detectors._head_file import HeadFacts, head_bytes, read_facts
from igmu_metrics.networks.instruments import Backbone, ErrorRates, InstrumentInfo
from igmu_metrics.networks.loading import choice
from igmu_metrics.training import card, fitting
from igmu_metrics.training.labelled import Opened, Rule, Seen, find_rule, labels, look, open_dataset, require_images

TRAIN: Final = "train"
ON_ERROR: Final = ("raise", "skip")
THRESHOLD_RULE: Final = (
    "largest sensitivity + specificity - 1 (Youden's J) on the validation part; if several thresholds are equally "
    "good, the middle of the widest gap between two probabilities"
)
_FEW: Final = 10
_PACKAGES: Final = ("torch", "transformers", "datasets", "numpy", "pillow", "safetensors")


@dataclass(frozen=True, slots=True)
class Part:
    """The images of a split that could be read, and whether each shows the concept."""

    seen: Seen
    shown: BoolArray

    @property
    def fingerprint(self) -> str:
        """Hash of the images with their labels, in order."""
        lines = "".join(f"{d} {s:d}\n" for d, s in zip(self.seen.digests, self.shown, strict=True))
        return f"sha256:{hashlib.sha256(lines.encode()).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True)
class HeadTraining:
    """The settings for training a head.

    Args:
        data: folder or Hub id of a dataset with the splits `train` and `test`, or `sandbox` for the renders.
        concept: `domain/slug` that the head is to judge.
        clip: folder or Hub id of the CLIP whose features it reads; None for that of the published heads, or for images
            of the sandbox for the sandbox's.
        config: of a dataset with several.
        revision: of a dataset on the Hub.
        positive_label: the label that means the concept; by default the one that equals its name.
        label_column: by default `concept` if it names the concept, else `label`.
        image_column: of the images.
        test_split: split for measuring the head.
        validation_fraction: share of each class of `train` that is kept for choosing the threshold, 0..1.
        steps: with 64 images each, half of them positives.
        on_error: `raise`, or `skip` to leave out and report unreadable images.
        device: where CLIP runs; by default, a GPU if available.
        batch_size: images in memory at once.
        seed: for the validation part, the initial weights, the batches and the dropout; 0..2³²-1.
    """

    data: str
    concept: str
    clip: str | None = None
    config: str | None = None
    revision: str | None = None
    positive_label: str | None = None
    label_column: str | None = None
    image_column: str = "image"
    test_split: str = "test"
    validation_fraction: float = 0.2
    steps: int = 1000
    on_error: str = "raise"
    device: str | None = None
    batch_size: int = 32
    seed: int = 0

    def run(self, out: Path, advance: Advance = lambda what, done, total: None) -> card.HeadCard:
        """Train a head and write it, with its card next to it.

        Args:
            out: the `.safetensors` file; its card is `<stem>.card.json`.
            advance: called with the name of the step, the number of newly finished items, and their total.

        Raises:
            BusyError: another process is writing this file.
            OutputError: `out` cannot be written; this is checked first.
            UnknownConceptError, UnknownLabelError: the concept is unknown, or no label means it.
            InputError, MetadataError: the dataset, split or column does not exist, or most test images are in train.
            EmptyInputError: a class has fewer than two images in `train`, or none in the test split.
            ImageError: an image cannot be read.
            WeightsError: there is no such CLIP.
        """
        self._check(out)
        with owned(files=[out]):
            return self._trained(out, advance)

    def _trained(self, out: Path, advance: Advance) -> card.HeadCard:
        item = taxonomy.concept(self.concept)
        # Before the images, as those of the sandbox are rendered, which takes longer.
        chosen = self.clip or (SANDBOX if self.data == SANDBOX else "")
        backbone = registry.backbone(f"clip:{chosen}".removesuffix(":"), device=self.device)
        opened = open_dataset(self.data, self.config, self.revision)
        rule, answers, labelled = self._labelled(opened, item)
        train, test = (self._look(opened, s, shown, rule, backbone, advance) for s, shown in answers.items())
        _require_apart(train, test)
        held = fitting.split_off(train.seen.digests, train.shown, self.validation_fraction, self.seed)
        features = train.seen.features
        fit = fitting.fit(
            features[~held],
            train.shown[~held],
            (features[held], train.shown[held]),
            steps=self.steps,
            seed=self.seed,
            tick=lambda n: advance("training", n, self.steps),
        )
        p = fitting.judged(fit.weights, features[held])
        threshold = fitting.youden_threshold(p, train.shown[held])
        measured = card.measure(fitting.judged(fit.weights, test.seen.features), test.shown, threshold)
        data = head_bytes(fit.weights, self._facts(item.id, backbone.info, threshold, measured))
        done = card.HeadCard(
            head=out.name,
            head_sha256=hashlib.sha256(data).hexdigest(),
            concept=item.id,
            data=card.Data(
                name=opened.name,
                config=self.config,
                revision=opened.revision,
                fingerprint={TRAIN: train.fingerprint, self.test_split: test.fingerprint},
                image_column=self.image_column,
                label_column=rule.column,
                test_split=self.test_split,
                positive_labels=rule.positive,
                labels=labelled,
                unreadable={TRAIN: train.seen.failures, self.test_split: test.seen.failures},
            ),
            counts={
                "fit": card.counts(train.shown[~held]),
                "validation": card.counts(train.shown[held]),
                "test": card.counts(test.shown),
            },
            clip=_clip(backbone.info, features.shape[1]),
            training=self._training(fit),
            threshold=threshold,
            threshold_rule=THRESHOLD_RULE,
            validation=card.measure(p, train.shown[held], threshold),
            test=measured,
            warnings=tuple(_warnings(train, test, held, measured)),
            versions={"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
        )
        _write(out, data, done)
        return done

    def _check(self, out: Path) -> None:
        choice("on_error", self.on_error, ON_ERROR)
        if self.test_split == TRAIN:
            raise InputError(
                f"test_split is {TRAIN!r}, but a head must not be measured on its training images. Choose another "
                "split."
            )
        if not 0 < self.validation_fraction < 1:
            raise OutOfRangeError(
                f"validation_fraction is {self.validation_fraction}; it must be a fraction between 0 and 1."
            )
        for name, least in (("steps", 1), ("batch_size", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise OutOfRangeError(f"{name} is {getattr(self, name)}; it must be at least {least}.")
        if self.seed > LARGEST_SEED:
            raise OutOfRangeError(f"seed is {self.seed}, but torch's generator uses only 32 bits. Use at most 2^32-1.")
        if out.suffix != ".safetensors":
            raise OutputError(f"{out}: the file name must end in .safetensors. Choose another --out.")
        if out.is_dir():
            raise OutputError(f"{out} is a folder. Choose another --out.")
        require_writable(out.parent)
        require_own(out, read_facts)

    def _labelled(
        self, opened: Opened, item: taxonomy.Concept
    ) -> tuple[Rule, dict[str, BoolArray], dict[str, dict[str, int]]]:
        """Which label means the concept, and by split which rows show it and how many rows each label has."""
        train = opened.split(TRAIN, "Add a split of this name to train on.")
        opened.split(self.test_split, "Choose one with --test-split.")
        rule = find_rule(train, f"{opened.name}, {TRAIN}", item, self.label_column, self.positive_label)
        answers, counts = {}, {}
        for split in (TRAIN, self.test_split):
            where = f"{opened.name}, {split}"
            require_images(opened.splits[split], self.image_column, where)
            found = labels(opened.splits[split], rule.column, where)
            require_spelled(f"{where}, column {rule.column!r}", {name for own in found for name in own}, rule.positive)
            answers[split] = rule.shown(found)
            counts[split] = dict(sorted(Counter(name for own in found for name in own).items()))
            _require_classes(where, split, answers[split], rule)
        return rule, answers, counts

    def _look(
        self, opened: Opened, split: str, shown: BoolArray, rule: Rule, backbone: Backbone, advance: Advance
    ) -> Part:
        where = f"{opened.name}, {split}"
        seen = look(
            opened.splits[split],
            self.image_column,
            where,
            backbone,
            on_error=self.on_error,
            batch_size=self.batch_size,
            tick=lambda n: advance(f"features of {split}", n, len(shown)),
        )
        _require_classes(f"{where}, without {len(seen.failures)} unreadable images", split, shown[seen.ok], rule)
        return Part(seen, shown[seen.ok])

    def _facts(self, concept: str, clip: InstrumentInfo, threshold: float, measured: card.Measured) -> HeadFacts:
        found, passed = measured.sensitivity, measured.specificity
        return HeadFacts(
            concept=concept,
            present_class=1,
            clip=_recorded(self.clip or clip.name.partition(":")[2]),
            clip_revision=clip.revision,
            threshold=threshold,
            error_rates=ErrorRates(found.value, passed.value, found.n, passed.n),
        )

    def _training(self, fit: fitting.Fit) -> card.Training:
        return card.Training(
            seed=self.seed,
            steps=self.steps,
            best_step=fit.step,
            validation_loss=fit.loss,
            validation_fraction=self.validation_fraction,
            batch=fitting.BATCH,
            learning_rate=fitting.LEARNING_RATE,
            weight_decay=fitting.WEIGHT_DECAY,
            dropout=fitting.DROPOUT,
        )


def card_path(out: Path) -> Path:
    """The path of a head's card: next to the head, under a name that no scorecard has."""
    return out.with_suffix(".card.json")


def _require_classes(where: str, split: str, shown: BoolArray, rule: Rule) -> None:
    least = 2 if split == TRAIN else 1
    names = ", ".join(map(repr, rule.positive))
    for what, n in ((f"labelled {names}", int(shown.sum())), (f"not labelled {names}", int((~shown).sum()))):
        if n < least:
            raise EmptyInputError(
                f"{where}: at least {least} image{'s' * (least != 1)} {what} in column {rule.column!r} are "
                f"required; found {n}. Add images, or choose another label with --positive-label."
            )


def _require_apart(train: Part, test: Part) -> None:
    """Refuse a test that is a copy of what the head is trained on, or nearly so: it would know every answer."""
    trained_on = set(train.seen.digests)
    same = [d for d in test.seen.digests if d in trained_on]
    if 2 * len(same) > len(test.shown):
        raise InputError(
            f"{len(same)} of the {len(test.shown)} test images are also in the train split (for example, the image "
            f"whose pixels have the sha256 {same[0][:16]}), so the head would be measured on its training images. "
            "Choose another --test-split."
        )


def _recorded(clip: str) -> str:
    """The CLIP's folder or id without its revision; a folder can never be taken for an id."""
    name = clip.partition("@")[0]
    here = name != SANDBOX and Path(name).is_dir() and not name.startswith((".", "~", "/", "\\"))
    return f"./{name}" if here else name


def _clip(info: InstrumentInfo, width: int) -> card.Clip:
    return card.Clip(
        name=info.name,
        revision=info.revision,
        preparation=info.preparation,
        width=width,
        settings=dict(info.settings),
    )


def _warnings(train: Part, test: Part, held: BoolArray, measured: card.Measured) -> Iterator[str]:
    """What a user should know before trusting the head."""
    trained_on = set(train.seen.digests)
    if same := [d for d in test.seen.digests if d in trained_on]:
        first = f"the pixels of the first have the sha256 {same[0][:16]}"
        share = f"{len(same)} of {len(test.shown)}"
        yield f"{share} test images are also in train ({first}), so the results are too optimistic."
    answers: Mapping[bool, set[str]] = {
        present: {d for d, s in zip(train.seen.digests, train.shown, strict=True) if s == present}
        for present in (True, False)
    }
    if torn := len(answers[True] & answers[False]):
        yield f"train contains images ({torn}) labelled both with and without the concept. Check the labels."
    for what, of in (("with", train.shown), ("without", ~train.shown)):
        if (n := int((held & of).sum())) < _FEW:
            yield f"the threshold is based on only {n} validation image{'s' * (n != 1)} {what} the concept."
    if measured.sensitivity.interval[0] + measured.specificity.interval[0] <= 1:
        yield "on the test images, the head cannot be distinguished from chance. Do not use it for scoring."


def _write(out: Path, data: bytes, done: card.HeadCard) -> None:
    text = json.dumps(done.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with beside(out) as head, beside(card_path(out)) as description:
            head.write_bytes(data)
            description.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{out} cannot be written ({error.strerror}). Choose another --out.") from error
