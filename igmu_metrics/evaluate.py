"""One whole evaluation: find the pictures, load the instruments, look, judge, score; the original is looked at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from igmu_data.errors import InputError
from igmu_data.files import require_writable
from igmu_data.load import bench_rows, identity, locate
from igmu_data.schema import Row
from igmu_data.taxonomy import SANDBOX, concept, config_concepts, config_target
from igmu_metrics import assemble, judging, registry, scorecard
from igmu_metrics.images.layouts import Generation, find, paired
from igmu_metrics.networks.instruments import Backbone, Detector
from igmu_metrics.networks.loading import PRECISIONS, choice
from igmu_metrics.networks.observe import Observed
from igmu_metrics.networks.store import open_store
from igmu_metrics.settings import Settings

ON_ERROR: Final = ("raise", "skip")
_NO_INFLUENCE: Final = ("only", "batch_size", "cache")  # on any number, so they are not in the card
Advance = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Evaluation(Settings):
    """Scores models; its fields are the settings (`igmu_metrics.settings.Settings`), which say how.

    Two models scored by one Evaluation can be compared.
    """

    def run(
        self, original: Path, unlearned: Sequence[Path], advance: Advance = lambda what, done, total: None
    ) -> Iterator[scorecard.Scorecard]:
        """Score each unlearned model's folder against the original's, one card after the other.

        Raises:
            InputError: options that do not exist, or a config of more than one concept.
            IgmuError: whatever is wrong with folders, labels, weights or pictures.
        """
        target = self.target()
        drawn, *others = self.drawn(original, unlearned)
        with self.opened(target) as tools:
            before = drawn, self.look(drawn, target, tools, original.name, advance)
            for folder, other in zip(unlearned, others, strict=True):
                known = folder == original and tools.lpips is None  # all but its distance to itself
                seen = before[1] if known else self.look(other, target, tools, folder.name, advance, before)
                yield self.card((folder.name, original.name), before, (other, seen), target, tools)

    def drawn(self, original: Path, unlearned: Sequence[Path]) -> list[list[Generation]]:
        """The generations of the original and of every unlearned model.

        Every folder is looked through before the first picture is: a typing error should not cost an hour.
        """
        if self.prompt is not None and self.layout != "flat":
            raise InputError(f"a prompt is given for layout {self.layout!r}; only 'flat' has one prompt for all.")
        for name, known in (("on_error", ON_ERROR), ("strip", judging.STRIPS)):
            if getattr(self, name) not in known:
                raise InputError(f"no {name} {getattr(self, name)!r}; it is {' or '.join(known)}.")
        rows = self.rows()
        first, *others = (self._find(f, rows) for f in (original, *unlearned))
        for other in others:
            paired(first, other, skip=self.on_error == "skip")
        return [first, *others]

    @contextmanager
    def opened(self, target: str) -> Iterator[judging.Instruments]:
        """The instruments, with the cache that they share."""
        tools = self.instruments(target)
        store = open_store() if self.cache else None
        try:
            yield replace(tools, store=store)
        finally:
            if store is not None:
                store.close()

    def target(self) -> str:
        """The one concept of the config.

        Raises:
            InputError: a config of more than one.
        """
        target = config_target(self.config)
        if target is None:
            members = config_concepts(self.config)
            first = concept(members[0])
            raise InputError(
                f"config {self.config!r} gathers {len(members)} concepts; a model is scored on the one it was told to "
                f"forget, such as {f'{SANDBOX}.{first.slug}' if self.config == SANDBOX else first.config!r}."
            )
        return target

    def rows(self) -> dict[str, Row]:
        """The corpus rows by id; none for a layout that does not know them."""
        if self.layout != "metadata":
            return {}
        return bench_rows(self.config, bench=self.bench, revision=self.revision)

    def _find(self, folder: Path, rows: Mapping[str, Row]) -> list[Generation]:
        found = find(folder, self.layout, rows, prompt=self.prompt)
        return found if self.only is None else [g for g in found if g.key in self.only]

    def instruments(self, target: str) -> judging.Instruments:
        """Load detector and backbones for one target; a CLIP that several of them use is loaded once."""
        name, _, argument = self.detector.partition(":")
        registry.module("detectors", name)  # a wrong name should not wait for a model to load
        how: dict[str, Any] = {"device": self.device, "precision": choice("precision", self.precision, PRECISIONS)}
        clip: Backbone | None = None
        if name == "clip" or self.clip:
            spec = f"clip:{self.clip or argument}".removesuffix(":")
            # The reference's glued copies overflow the text encoder, and it cuts them as torchmetrics does.
            cut = {"truncation": "cut"} if self.strip == "reference" else {}
            clip = registry.backbone(spec, **how, **cut)
        options: dict[str, Any] = {"threshold": self.threshold, **how}
        if name == "clip" and self.clip in (None, argument):
            options["backbone"] = clip
        detector: Detector = registry.detector(self.detector, **options)
        measured = ("sensitivity", "specificity", "n_positives", "n_negatives")
        given = {name: getattr(self, name) for name in measured if getattr(self, name) is not None}
        if not given and target in detector.info.error_rates:
            given = asdict(detector.info.error_rates[target])
        if given:
            detector.info = replace(detector.info, **given)
        features = registry.backbone(self.features, **how) if self.features else clip
        lpips = registry.backbone(f"lpips:{self.lpips}", **how) if self.lpips else None
        return judging.Instruments(detector, clip, features, lpips, self.strip)

    def look(
        self,
        drawn: Sequence[Generation],
        target: str,
        tools: judging.Instruments,
        what: str,
        advance: Advance = lambda what, done, total: None,
        original: tuple[Sequence[Generation], Observed] | None = None,
    ) -> Observed:
        """Run one model's generations through the instruments; with an `original`, LPIPS, too, if it is wanted."""
        return judging.look(
            drawn,
            target,
            tools,
            original=original,
            on_error="skip" if self.on_error == "skip" else "raise",
            batch_size=self.batch_size,
            tick=lambda n: advance(what, n, len(drawn)),
        )

    def card(
        self,
        names: tuple[str, str],
        before: tuple[list[Generation], Observed],
        after: tuple[list[Generation], Observed],
        target: str,
        tools: judging.Instruments,
    ) -> scorecard.Scorecard:
        """Score what was seen.

        Args:
            names: of the unlearned and of the original model.
            before: the original's generations and what was seen in them.
            after: the unlearned model's.
            target: the concept to forget.
            tools: what looked.
        """
        model, original = names
        first, second, missing = paired(before[0], after[0], skip=self.on_error == "skip")
        judged = judging.judge(
            target,
            tools,
            (first, _ordered(first, *before)),
            (second, _ordered(second, *after)),
            missing,
        )
        signed = {
            "model": model,
            "original": original,
            "config": self.config,
            "dataset": identity(locate(self.config, self.bench))
            if self.layout == "metadata"
            else f"layout {self.layout}",
            "dataset.revision": self.revision or "default",
            "on_error": self.on_error,
        }
        found = assemble.scores(judged, tools, fields=signed, k=self.k, seed=self.seed)
        given = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _NO_INFLUENCE}
        options = {f.name: given[f.name] for f in fields(self) if f.name in given and given[f.name] != f.default}
        named = {"model": model, "original_model": original, "config": self.config}
        return scorecard.build(judged, found, **named, options=options)


def _ordered(wanted: Sequence[Generation], drawn: Sequence[Generation], seen: Observed) -> Observed:
    """What was seen, in the order of the wanted generations."""
    at = {g.key: i for i, g in enumerate(drawn)}
    index = [at[g.key] for g in wanted]
    place = {i: k for k, i in enumerate(index)}
    return Observed(
        seen.ok[index],
        None if seen.probabilities is None else seen.probabilities[index],
        {role: values[index] for role, values in seen.features.items()},
        tuple((place[i], reason) for i, reason in seen.failures if i in place),
        tuple(seen.hashes[i] for i in index),
        None if seen.distances is None else seen.distances[index],
    )


def output_paths(out: Path | None, models: Sequence[Path]) -> list[Path | None]:
    """Where each model's card goes: the file itself for one model, `<out>/<model>.json` for several.

    Raises:
        InputError: two models of the same folder name.
        OutputError: a place that cannot be written to; found out before any work is done.
    """
    if out is None:
        return [None] * len(models)
    names = [m.name for m in models]
    if len(set(names)) != len(names):
        raise InputError(f"two unlearned folders are called {max(names, key=names.count)!r}; rename one of them.")
    single = len(models) == 1 and out.suffix == ".json"
    paths: list[Path | None] = [out] if single else [out / f"{name}.json" for name in names]
    require_writable(out.parent if single else out)
    return paths
