"""A complete evaluation: folders become tables, a detector and networks measure them, and metrics score them.

Conventions: in forget and adversarial rows, and in all separately counted rows, the detector looks for the target; in
other retain rows, it looks for the concept that the row asks for. A generation that failed for either model is left out
for both and counted. The registry provides the metrics: each metric is scored on every part that has the columns it
needs, and its signature contains the detector and networks that computed these columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from igmu_data.configs import GENERAL, config_concepts, config_target
from igmu_data.errors import EmptyInputError, IgmuError, InputError
from igmu_data.files import require_nameable
from igmu_data.load import bench_rows, digest, general_prompts
from igmu_data.load import signed as corpus_signed
from igmu_data.schema import ASIDE, Row
from igmu_data.stripping import strip_concept, strip_reference
from igmu_data.taxonomy import SANDBOX, concept, own_of
from igmu_metrics import registry, scorecard
from igmu_metrics.contract import RESAMPLES, Metric, Score, Setting, scored
from igmu_metrics.detectors._calibrated import Calibration
from igmu_metrics.detectors._calibrated import read as read_calibration
from igmu_metrics.detectors._decided import decided, of_detector
from igmu_metrics.distances.gaussian import unit_rows
from igmu_metrics.generations import FAILED, ORIGINAL, Generations
from igmu_metrics.images import benchmarks, efficiency, reference
from igmu_metrics.images.layouts import Model, find, models
from igmu_metrics.images.notes import doubts, generated, images_differ, notes, require_pairs, require_recorded
from igmu_metrics.images.requested import marked, not_asked
from igmu_metrics.images.sequential import of_table, taken
from igmu_metrics.metrics._contract import UNSCORED, columns, failure, left_out, parts, role_of
from igmu_metrics.metrics._rewards import rewarded
from igmu_metrics.metrics.clip_alignment import cosine
from igmu_metrics.networks.instruments import MEASURED, Backbone, Detector, InstrumentInfo, require_judge
from igmu_metrics.networks.observe import judged, observe
from igmu_metrics.networks.questions import answered, unasked
from igmu_metrics.networks.store import Store, open_store
from igmu_metrics.networks.texts import cut, embedded
from igmu_metrics.settings import Settings, options, unrecorded
from igmu_metrics.statistics.level import LEVEL, at_level
from igmu_metrics.statistics.looks import Looks

Advance = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Instruments:
    """The detector and networks that measure the images.

    Args:
        target: the concept to forget.
        detector: decides whether the concept is visible.
        clip: image and text features, for alignment and CSDR.
        features: image features for distribution distances.
        lpips: distances of pairs.
        align: image and text features with their own scale (and bias), for further scores besides the forget score.
        strip: the stripped prompts for CSDR: `corpus`, those of the rows, or `reference`, the joined words of the IGMU
            reference, only for comparison with published numbers.
        store: cache of results by content; None for no cache.
        calibration: calibration of the detector, if there is one.
        others: further detectors for the same images, each with the same results as alone.
    """

    target: str
    detector: Detector
    clip: Backbone | None = None
    features: Backbone | None = None
    lpips: Backbone | None = None
    align: Backbone | None = None
    strip: str = "corpus"
    store: Store | None = None
    calibration: Calibration | None = None
    others: tuple[Instruments, ...] = ()

    @property
    def judges(self) -> tuple[Instruments, ...]:
        """All detectors with their settings, starting with this one."""
        return (self, *self.others)

    def __iter__(self) -> Iterator[tuple[str, InstrumentInfo]]:
        """Role and description of the detector and of each network."""
        for role in ("detector", "clip", "features", "lpips", "align"):
            if (one := getattr(self, role)) is not None:
                yield role, one.info

    @property
    def signatures(self) -> dict[str, dict[str, Setting]]:
        """Their signatures, by role."""
        return {role: {**info.signature(role)} for role, info in self}


@dataclass(frozen=True, slots=True)
class Evaluation(Settings):
    """Scores models; its fields are the settings (`igmu_metrics.settings.Settings`).

    Models scored by the same Evaluation can be compared.
    """

    def run(
        self,
        original: Path | Model,
        unlearned: Sequence[Path | Model],
        advance: Advance = lambda what, done, total: None,
        also: Sequence[Evaluation] = (),
    ) -> Iterator[scorecard.Scorecard]:
        """Score each unlearned model against the original, and return one scorecard after the other.

        A model has the name of its folder, unless a `Model` specifies another name. If there are further evaluations,
        which may differ only in detector, threshold and calibration, every image is still read only once, and each
        evaluation also returns a card for every model.

        Raises:
            InputError: invalid options, or a config with more than one concept.
            IgmuError: invalid folders, labels, weights or images.
        """
        first, *others = self.found(original, unlearned)
        origin, *named = models(original, unlearned)
        with self.opened(also) as tools:
            before = self.measured(first, tools, origin.name, advance)
            for model, other in zip(named, others, strict=True):
                known = model.folder == origin.folder and tools.lpips is None  # all but its distance to itself
                after = before if known else self.measured(other, tools, model.name, advance, before)
                cost = efficiency.of(*map(reference.home, (first, other), (origin.folder, model.folder)))
                for k, (each, own) in enumerate(zip((self, *also), tools.judges, strict=True)):
                    yield each.card((model.name, origin.name), judged(before, k), judged(after, k), own, cost)

    def found(self, original: Path | Model, unlearned: Sequence[Path | Model]) -> list[Generations]:
        """The generations of all models, the original's first; all folders are checked before any image is read."""
        if self.prompt is not None and self.layout != "flat":
            raise InputError(
                f"a prompt is specified for the {self.layout!r} layout, but only the 'flat' layout uses one. Omit the "
                "prompt."
            )
        if self.layout != benchmarks.UNLEARNCANVAS and (self.include_none or not self.include_target_styled):
            raise InputError(
                "include_none and include_target_styled require the 'unlearncanvas' layout, but the layout is "
                f"{self.layout!r}."
            )
        Looks.given(self.looks)  # also without a model whose folder records its looks
        target, rows = self.target(), self.rows()
        named = models(original, unlearned)
        for model in named:
            require_nameable(model.name, model.folder)
        first, *others = (self._found(model.folder, rows, target) for model in named)
        first = reference.beside(first, others, rows)
        for other in others:
            require_pairs(other, first, skip=self.on_error == "skip", looks=self.looks)
            taken(self.looks, of_table(other), of_table(first), part=self.only is not None)  # before images are read
        return [first, *others]

    def _found(self, folder: Path, rows: Mapping[str, Row], target: str) -> Generations:
        listed = marked(find(folder, self.layout, rows, prompt=self.prompt), folder, self.only)
        switches = {"include_none": self.include_none, "include_target_styled": self.include_target_styled}
        table = asked(benchmarks.of_target(listed, self.layout, target, **switches), target)
        return table if self.only is None else table.where([key in self.only for key in table.keys])

    def target(self) -> str:
        """The config's only concept; for general prompts, which are not about any concept, the config's name.

        Raises:
            InputError: the config has more than one concept.
        """
        target = GENERAL if self.config == GENERAL else config_target(self.config)
        if target is None:
            members = config_concepts(self.config)
            first = concept(members[0])
            raise InputError(
                f"config {self.config!r} contains {len(members)} concepts, but a model is scored on one concept at a "
                f"time. Use a config such as {f'{SANDBOX}.{first.slug}' if self.config == SANDBOX else first.config!r}."
            )
        return target

    def rows(self) -> dict[str, Row]:
        """The corpus rows by id; empty for layouts without rows."""
        return bench_rows(self.config, bench=self.bench, revision=self.revision) if self.layout == "metadata" else {}

    @contextmanager
    def opened(self, also: Sequence[Evaluation] = ()) -> Iterator[Instruments]:
        """The detector and networks with their shared cache, and the detectors of other evaluations."""
        target = self.target()
        store = open_store() if self.cache else None
        try:
            tools = self.instruments(target, store)
            others = [each.judging(tools) for each in also]
            yield replace(tools, others=tuple(others)) if others else tools
        finally:
            if store is not None:
                store.close()

    def instruments(self, target: str, store: Store | None = None) -> Instruments:
        """Detector and backbones for one target; a CLIP model that several of them use is loaded only once.

        Args:
            target: the concept to forget.
            store: shared cache. Networks with cached results are loaded only when an image is not cached.
        """
        name, _, argument = self.detecting().partition(":")
        registry.module("detectors", name)  # report unknown names before any model is loaded
        how: dict[str, Any] = {"device": self.device, "precision": self.precision, "store": store}
        clip: Backbone | None = None
        asked, align = self.aligning()
        if name == "clip" or asked:
            spec = f"clip:{asked or argument}".removesuffix(":")
            # The reference's prompts are too long for the text encoder and are truncated as in torchmetrics.
            cut: dict[str, Any] = {"truncation": "cut"} if self.strip == "reference" else {}
            clip = registry.backbone(spec, **how, **cut)
        features = registry.backbone(self.features, **how) if self.features else clip
        lpips = registry.backbone(f"lpips:{self.lpips}", **how) if self.lpips else None
        reward = registry.backbone(align, **how) if align else None
        if reward is not None and not hasattr(reward, "logit_scale"):
            raise InputError(f"align {align!r} cannot compare images with prompts. Use pickscore or siglip:MODEL.")
        detector, calibration = self._judge(target, clip, how)
        return Instruments(target, detector, clip, features, lpips, reward, self.strip, store, calibration)

    def judging(self, tools: Instruments) -> Instruments:
        """The networks of another evaluation, with the detector of this evaluation."""
        how = {"device": self.device, "precision": self.precision, "store": tools.store}
        detector, calibration = self._judge(tools.target, tools.clip, how)
        return replace(tools, detector=detector, calibration=calibration)

    def _judge(self, target: str, clip: Backbone | None, how: Mapping[str, Any]) -> tuple[Detector, Calibration | None]:
        """The detector, which shares the CLIP of alignment if it uses the same one, and its error rates if known."""
        name, _, argument = self.detecting().partition(":")
        known = None if self.calibration is None else read_calibration(Path(self.calibration))
        threshold = self.threshold if known is None else known.threshold
        wanted: dict[str, Any] = {"threshold": threshold, **how}
        if name == "clip" and self.aligning()[0] in (None, argument):
            wanted["backbone"] = clip
        if registry.takes("detectors", name, "own"):  # only the user's concepts in the config, since these are signed
            members = () if self.config == GENERAL else config_concepts(self.config)
            wanted["own"] = ",".join(own_of(members))
        detector: Detector = registry.detector(self.detecting(), **wanted)
        if self.config != GENERAL:
            require_judge(detector.info, target)
        if known is not None:
            known.apply(detector, target)
            return detector, known
        given = {name: getattr(self, name) for name in MEASURED if getattr(self, name) is not None}
        if not given and target in detector.info.error_rates:
            given = asdict(detector.info.error_rates[target])
        if given:
            detector.info = replace(detector.info, **given)
        return detector, None

    def measured(
        self,
        table: Generations,
        tools: Instruments,
        what: str,
        advance: Advance = lambda what, done, total: None,
        original: Generations | None = None,
    ) -> Generations:
        """Measure one model's generations; with an `original`, also compute LPIPS if it is requested.

        The values in a reference table are used instead, if it was recorded with the same detector and networks.
        """
        if reference.recorded(table) is not None:
            asks = self.config == GENERAL and not unasked(tools.detector)
            judges = [one.detector.info.signature("detector") for one in tools.judges]
            table = reference.seen(table, tools.signatures, judges, blank=self.blank, answered=asks)
            return decided(table, tools.judges, what)
        partners = None
        if original is not None and "path" in original:
            there = dict(zip(original.keys, original["path"], strict=True))
            failed = {key for key, ok in zip(original.keys, original.ok, strict=True) if not ok}
            partners = [None if key in failed else there.get(key) for key in table.keys]
        backbones = {"clip_features": tools.clip, "features": tools.features, "align_features": tools.align}
        columns = observe(
            table["path"].tolist(),
            detector=tools.detector,
            others=[one.detector for one in tools.others],
            concepts=table["own_concept"].tolist(),
            backbones={name: one for name, one in backbones.items() if one is not None},
            partners=partners,
            distance=tools.lpips,
            on_error="skip" if self.on_error == "skip" else "raise",
            blank="keep" if self.blank == "keep" else "apart",
            batch_size=self.batch_size,
            tick=lambda n: advance(what, n, len(table)),
            store=tools.store,
        )
        require_recorded(table, columns["sha256"])
        if self.config == GENERAL and not unasked(tools.detector):
            columns["answered"] = answered(
                table.with_columns(status=columns["status"]),
                general_prompts(bench=self.bench, revision=self.revision),
                tools.detector,
                on_error="skip" if self.on_error == "skip" else "raise",
                tick=lambda n, total: advance(f"{what}, questions", n, total),
                store=tools.store,
            )
        return decided(table.with_columns(**columns), tools.judges, what)

    def signed(self, table: Generations, rows: Mapping[str, Row]) -> dict[str, str]:
        """Fields of the signature: the corpus, how images were generated, and how blank images are treated."""
        told = {"dataset": f"layout {self.layout}", "dataset.revision": "default"}
        if self.layout == "metadata":
            target = set(table["concept"].tolist())
            own = [row for row in rows.values() if row.concept in target]
            told = corpus_signed(self.config, own, bench=self.bench, revision=self.revision)
        return told | generated(table) | images_differ(table) | ({"blank": self.blank} if self.blank != "apart" else {})

    def card(
        self,
        names: tuple[str, str],
        before: Generations,
        after: Generations,
        tools: Instruments,
        cost: efficiency.Efficiency | None = None,
    ) -> scorecard.Scorecard:
        """Score measured generations.

        Args:
            names: names of the unlearned and of the original model.
            before: the original's generations.
            after: the unlearned model's generations.
            tools: the detector and networks that measured them.
            cost: cost of the unlearned model, which is not part of any score.
        """
        model, original = names
        table, failures = both(before, after, tools, skip=self.on_error == "skip")
        rows, look = self.rows(), taken(self.looks, of_table(after), of_table(before), part=self.only is not None)
        signed: Mapping[str, Setting] = {
            "model": model,
            "original": original,
            "config": self.config,
            "on_error": self.on_error,
            **self.signed(table, rows),
            **(look.fields if look else {}),
        }
        unscored: dict[str, str] = {}
        with at_level(look.level if look else LEVEL):
            how: dict[str, Any] = {"k": self.k, "seed": self.seed, "unscored": unscored}
            found = scores(table, tools, fields=signed, n_failed=len(failures), **how)
        if not found:
            what = f"no metric can be scored on the {len(table)} pairs of images of {model}"
            raise EmptyInputError(f"{what}. Use another detector, a CLIP model ('igmu score --clip') or other prompts.")
        recorded = [option for option in options().values() if option.name not in unrecorded()]
        given = {o.name: value for o in recorded if (value := getattr(self, o.name)) != o.default}
        return scorecard.build(
            table,
            found,
            model=model,
            original_model=original,
            config=self.config,
            target=tools.target,
            failures=failures,
            options=given,
            notes=[
                *(f"{UNSCORED}{why}" for why in unscored.values()),
                *not_asked(after, before),
                *notes(table),
                *(doubts(table) if model != original else []),
                *of_detector(table, tools),
                *(unasked(tools.detector) if self.config == GENERAL else []),
                *([look.sentence()] if look else []),
            ],
            rows=rows,
            efficiency=cost,
        )


def asked(table: Generations, target: str) -> Generations:
    """The table with the concept for which each generation is judged; retain rows without a concept are not judged.

    General prompts have no concepts and no attacks, so they get no forget score.
    """
    if target == GENERAL:
        return table.without("attack_family", "attack_source_id")
    nothing = np.full(len(table), "")  # layouts without rows have no probes and families
    known = {name: table.columns.get(name, nothing) for name in ("probe", "own_concept", "attack_family")}
    item = concept(target)
    kept = (table["split"] == "retain") & ~np.isin(known["probe"], ASIDE)
    own = np.where(kept, known.pop("own_concept"), item.id)
    ours = {"concept": np.full(len(table), item.id), "family": np.full(len(table), item.family), "own_concept": own}
    return table.with_columns(**known, **ours)


def both(
    before: Generations, after: Generations, tools: Instruments, *, skip: bool = False
) -> tuple[Generations, list[str]]:
    """Both models' measurements, pair by pair, with the alignment of prompts and images.

    Args:
        before: the original model's generations, measured.
        after: the unlearned model's generations, measured.
        tools: the detector and networks that measured them.
        skip: leave out generations that only one of the models has, instead of raising an error.

    Returns:
        The pairs that can be scored, and the reasons why others cannot.

    Raises:
        EmptyInputError: no pair can be scored; the message gives the first reason.
    """
    table, reasons = after.paired(before, skip=skip)
    for who, name in (("unlearned", "status"), ("original", "status" + ORIGINAL)):
        failed = [s for s in table[name].tolist() if s.startswith(FAILED)]
        reasons += [f"{who} model: {status.removeprefix(FAILED)}" for status in failed]
    if not table.ok.any():
        why = f"; the first of {len(reasons)} reasons is: {reasons[0]}" if reasons else ", because there are none"
        raise EmptyInputError(f"no pair of images can be scored{why}. Check the files, or generate them again.")
    table = rewarded(table.where(table.ok), tools.align, tools.store)
    if tools.clip is None or "prompt" not in table or not len(table) or not (table["prompt"] != "").all():
        return table, reasons
    prompts = table["prompt"].tolist()
    images = {suffix: unit_rows("clip_features", table[f"clip_features{suffix}"]) for suffix in ("", ORIGINAL)}
    for name, texts in (("alignment", prompts), ("stripped_alignment", _stripped(table, tools))):
        words = unit_rows("text_features", embedded(tools.clip, texts, tools.store))
        columns = {f"{name}{s}": cosine("clip_features", x, "text_features", words) for s, x in images.items()}
        table = table.with_columns(**columns)
    return table.with_columns(truncated=cut(tools.clip, prompts, tools.store)), reasons


def _stripped(table: Generations, tools: Instruments) -> list[str]:
    """The stripped prompts for CSDR."""
    prompts: list[str] = table["prompt"].tolist()
    if tools.strip == "reference":
        return [strip_reference(prompt) for prompt in prompts]
    names = () if tools.target == GENERAL else concept(tools.target).names
    known = table["stripped_prompt"].tolist() if "stripped_prompt" in table else [""] * len(table)
    return [text or strip_concept(prompt, names) for text, prompt in zip(known, prompts, strict=True)]


def scores(
    table: Generations,
    tools: Instruments,
    *,
    fields: Mapping[str, Setting],
    n_failed: int = 0,
    k: int | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
    unscored: dict[str, str] | None = None,
) -> dict[str, Score]:
    """All scores that can be computed from the table, by `metric` or `metric/part`.

    Args:
        table: table from `both`.
        tools: the detector and networks that measured it.
        fields: fields of the signature: model, config, dataset …
        n_failed: number of pairs that are missing from the table.
        k: number of tries of the attacks; None for all seeds, if all prompts have the same number. If images failed,
            the smallest number that any prompt has left.
        seed: of every bootstrap.
        resamples: of every bootstrap.
        unscored: gets the reason by metric for those that are left out, as far as it is not expected (`left_out`).
    """
    table = table.with_facts(**facts(tools, table), k=k, unequal_seeds="fewest" if n_failed else None)
    out: dict[str, Score] = {}
    for name, metric in sorted(registry.metrics().items(), key=lambda item: (item[1].INFO.place, item[0])):
        signed = {**fields, "rows": digest(table["id"].tolist()), **_instruments(metric, tools)}
        n, why = len(out), list[str]()
        for part, seen in parts(metric, table):
            marked = signed | ({"split": part} if part else {})
            try:
                score = scored(metric, seen, marked, n_failed=n_failed, seed=seed, resamples=resamples)
            except IgmuError as error:  # an error in a plugin must not waste hours of measuring
                if not getattr(metric, "PACKAGE", ""):
                    raise
                why.append(failure(metric, error))
                continue
            if score is not None:
                out[f"{name}/{part}" if part else name] = score
        if unscored is not None and not why and len(out) == n:
            why = left_out(metric, table, dict(tools))
        for one in why:
            registry.skip(one)
        if unscored is not None and why:
            unscored[name] = " ".join(dict.fromkeys(why))
    return out


def facts(tools: Instruments, table: Generations) -> dict[str, Setting]:
    """Facts about all generations that metrics use; near concepts come from the rows."""
    info = tools.detector.info
    rates = {n: getattr(info, n) for n in MEASURED}
    known = {n: v for n, v in rates.items() if v is not None}
    if tools.features is not None:
        known["feature_name"] = tools.features.info.name
    near = sorted(set(table["own_concept"][table["probe"] == "near"].tolist()) - {""})
    return {"target": tools.target, "near": ",".join(near), **known}


def _instruments(metric: Metric, tools: Instruments) -> dict[str, Setting]:
    """Signature of the detector and networks that compute the columns of a metric."""
    behind = {role_of(name) for name in columns(metric)}
    found: dict[str, Setting] = {"strip": tools.strip} if "clip" in behind else {}
    for name, info in tools:
        if name in behind:
            found |= info.signature(name)
    return found
