"""Trains every model of the sandbox, one after the other, each from its checkpoint if it has one."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from builders.sandbox import autoencoder, clip, detector, generator, tokenizer
from builders.sandbox.data import N_HELD_OUT, N_TAUGHT, N_TRAIN, Renders, renders
from builders.sandbox.generator import Latents
from builders.sandbox.loop import Curve, Fit
from igmu_data.errors import WeightsError
from igmu_data.files import beside
from igmu_data.sandbox.world import world

DETECTOR: Final = Fit("detector", steps=1600, learning_rate=2e-3, seed=0, average=0.99)
NOISE: Final = Fit("noise", steps=500, learning_rate=1e-3, seed=4, average=0.98)  # the detector's second lesson
AUTOENCODER: Final = Fit("autoencoder", steps=3200, learning_rate=3e-3, seed=0, average=0.99, muon=3e-2)
CLIP: Final = Fit("clip", steps=2400, learning_rate=1.5e-3, seed=0, average=0.99, muon=1e-2)
GENERATOR: Final = Fit("original", steps=5000, learning_rate=3e-3, seed=1, average=0.998, muon=1e-2)
GOLD_STEPS: Final = 4000  # there is less to learn, and two are to be trained
SHARED: Final = tuple(fit.name for fit in (DETECTOR, NOISE, AUTOENCODER, CLIP, GENERATOR))  # by all tasks
N_CALIBRATION: Final = 1000  # of the held-out renders; the others measure
N_NOTHING: Final = 3000  # images of noise, and as many between two renders
RECORD: Final = "training.json"  # beside the packaged parts: the curve of each training


@dataclass
class Generator:
    """A trained generator's own two models; the autoencoder and the tokenizer are everyone's."""

    unet: Any
    text_encoder: Any


@dataclass
class Models:
    """Everything that was trained.

    Args:
        tokenizer: CLIPTokenizer.
        detector: ResNetForImageClassification, calibrated.
        autoencoder: AutoencoderKL.
        clip: CLIPModel.
        original: the generator of everything.
        gold: for each task the generator that never saw its concept.
        curves: losses and times, by name of the training.
    """

    tokenizer: Any
    detector: Any
    autoencoder: Any
    clip: Any
    original: Generator
    gold: dict[str, Generator] = field(default_factory=dict)
    curves: dict[str, Curve] = field(default_factory=dict)


def held_out(work: Path, *, free: bool = True) -> Renders:
    """Renders that no training has seen; the first N_CALIBRATION of the free ones calibrate the detector."""
    return renders("held-out", N_HELD_OUT, work) if free else renders("held-out-taught", 1000, work, free=False)


def slug(task: str) -> str:
    """`church` of `object/church`, as parts are called."""
    return task.partition("/")[2]


class Trainer:
    """Gives each model, trained: from the package where it is kept, from its checkpoint, or from scratch.

    Args:
        work: folder of renders, latents and checkpoints.
        keep: names of trainings whose packaged result is taken as it is (a maintainer who changes one model need not
            wait for all the others).
        packaged: folder of the packaged parts.
    """

    def __init__(self, work: Path, keep: Collection[str], packaged: Path) -> None:
        self._work, self._keep, self._packaged = work, keep, packaged
        self.curves: dict[str, Curve] = {}

    def train(self, plan: Fit, parts: Mapping[str, Any], fit: Callable[[], Curve]) -> None:
        """Train in place, or fill from the package.

        Args:
            plan: of the training.
            parts: models by name of their packaged part.
            fit: trains them.

        Raises:
            WeightsError: a kept part that is not packaged.
        """
        if plan.name not in self._keep:
            self.curves[plan.name] = fit()
            return
        from safetensors.torch import load_file

        try:
            for name, model in parts.items():
                tensors = [load_file(p) for p in sorted((self._packaged / name).glob("*.safetensors"))]
                model.load_state_dict({k: v for part in tensors for k, v in part.items()})
                model.float().eval()
            record = json.loads((self._packaged / RECORD).read_text(encoding="utf-8"))[plan.name]
        except (OSError, LookupError, RuntimeError) as error:
            raise WeightsError(f"--keep {plan.name}: not packaged in {self._packaged} ({error}). Train it.") from error
        self.curves[plan.name] = Curve(tuple(record["losses"]), record["seconds"])


def train_all(work: Path, packaged: Path, keep: Collection[str] = (), *, tasks: Sequence[str] | None = None) -> Models:
    """Train what is not trained yet. One after the other: two at a time would each take four times as long.

    Args:
        work: folder of renders, latents and checkpoints.
        packaged: folder of the packaged parts.
        keep: names of trainings whose packaged result is taken as it is.
        tasks: concepts without which a `gold` is trained; default those of the world.

    Raises:
        WeightsError: a kept part that is not packaged.
    """
    trainer = Trainer(work, keep, packaged)
    # Embeddings belong to the tokenizer that they were trained with.
    reading = [name for name in keep if name not in (DETECTOR.name, AUTOENCODER.name, NOISE.name)]
    words = tokenizer.packaged(packaged / "tokenizer") if reading else tokenizer.make()
    judge = fresh(detector.make, DETECTOR.seed)
    trainer.train(DETECTOR, {"detector": judge}, lambda: detector.train(judge, _data(work), DETECTOR, work))
    taught = renders("taught", N_TAUGHT, work, free=False)
    coder = fresh(autoencoder.make, AUTOENCODER.seed)
    trainer.train(AUTOENCODER, {"vae": coder}, lambda: autoencoder.train(coder, judge, taught, AUTOENCODER, work))
    autoencoder.scale(coder, taught)
    trainer.train(NOISE, {"detector": judge}, lambda: _second_lesson(judge, coder, taught, work))
    pairs = fresh(lambda: clip.make(words), CLIP.seed)
    trainer.train(CLIP, {"clip": pairs}, lambda: clip.train(pairs, words, _data(work), CLIP, work))
    latents = _latents(coder, taught, work)

    def generate(task: str | None) -> Generator:
        name = f"gold-{slug(task)}" if task else "original"
        plan = replace(GENERATOR, name=name, steps=GOLD_STEPS) if task else GENERATOR
        own = Generator(*fresh(lambda: (generator.make_unet(), generator.make_text_encoder(words)), _seed(task)))
        mine = latents.without(task) if task else latents
        trainer.train(
            plan,
            {f"unet-{name}": own.unet, f"text_encoder-{name}": own.text_encoder},
            lambda: generator.train(own.unet, own.text_encoder, words, mine, plan, work, without=task),
        )
        return own

    original = generate(None)
    gold = {task: generate(task) for task in (world().tasks if tasks is None else tasks)}
    return Models(words, judge, coder, pairs, original, gold, trainer.curves)


def _data(work: Path) -> Renders:
    return renders("train", N_TRAIN, work)


def _seed(task: str | None) -> int:
    """Of a generator's first weights: 0 for the original, then the tasks of the world, then its other concepts."""
    return list(dict.fromkeys((None, *world().tasks, *world().known))).index(task)


def record(curves: Mapping[str, Curve]) -> str:
    """The text of RECORD."""
    return json.dumps({name: asdict(curve) for name, curve in curves.items()}, indent=1) + "\n"


def fresh(make: Callable[[], Any], seed: int) -> Any:
    """A model whose first weights depend on the seed alone."""
    import torch

    torch.manual_seed(seed)
    return make()


def _second_lesson(judge: Any, coder: Any, taught: Renders, work: Path) -> Curve:
    """What the autoencoder makes of noise shows no concept, and what lies between two renders none but theirs.

    Without it, a broken model's blots were a woodcut, and a city that a model could not decide how to draw a van Gogh.
    """
    noise = autoencoder.noise(coder, N_NOTHING, seed=NOISE.seed)
    between, pairs = autoencoder.blends(coder, taught, N_NOTHING, seed=NOISE.seed)
    shown = taught.targets(detector.concepts())
    neither = np.stack([1 - np.maximum(shown[a], shown[b]) for a, b in pairs])
    absent = detector.Absent(np.concatenate([noise, between]), np.concatenate([np.ones_like(neither), neither]))
    judge.requires_grad_(True)
    curve = detector.train(judge, _data(work), NOISE, work, absent=absent)
    detector.calibrate(judge, held_out(work).first(N_CALIBRATION))
    return curve


def _latents(coder: Any, data: Renders, work: Path) -> Latents:
    import torch

    place = work / "latents.pt"
    if not place.exists():
        with beside(place) as part:
            torch.save(autoencoder.encode(coder, data.pixels), part)
    return Latents(torch.load(place, weights_only=True), data.scenes)
