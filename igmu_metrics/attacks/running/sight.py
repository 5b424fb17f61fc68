"""Draws and judges: whether the concept is there, by row and seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from igmu_data.errors import InputError
from igmu_metrics.images.generate import Request, draw
from igmu_metrics.images.pipelines import Pipeline
from igmu_metrics.networks.instruments import Detector
from igmu_metrics.networks.observe import observe

Key = tuple[str, int]


@dataclass
class Sight:
    """A model whose pictures are drawn into a folder and judged once.

    Args:
        pipeline: the model.
        folder: of its pictures; may hold some already.
        detector: says whether the concept is there.
        concept: which.
        batch_size: pictures a call on an accelerator.
        files: what was drawn and judged.
        probabilities: of the concept; None where there is no answer.
    """

    pipeline: Pipeline
    folder: Path
    detector: Detector
    concept: str
    batch_size: int = 4
    files: dict[Key, Path] = field(default_factory=dict)
    probabilities: dict[Key, float | None] = field(default_factory=dict)

    def look(self, requests: Sequence[Request], *, progress: bool = True) -> None:
        """Draw what is missing, and judge it; a picture that could not be drawn has no answer."""
        wanted = [r for r in requests if r.key not in self.probabilities]
        if not wanted:
            return
        drawn = draw(wanted, self.pipeline, self.folder, batch_size=self.batch_size, progress=progress)
        keys = [k for k in drawn.files if k not in self.probabilities]
        seen = observe([drawn.files[k] for k in keys], detector=self.detector, concepts=[self.concept]).probabilities
        assert seen is not None
        self.files.update(drawn.files)
        self.probabilities.update(dict.fromkeys(drawn.failures))
        self.probabilities.update(zip(keys, seen[:, 0].tolist(), strict=True))  # a masked value is None in the list

    def present(self, key: Key) -> bool | None:
        """Whether the concept is in a picture; None where nobody can say."""
        threshold = self.detector.info.threshold
        if threshold is None:
            raise InputError(f"detector {self.detector.info.name} names no threshold; a decision needs one.")
        p = self.probabilities[key]
        return None if p is None else p >= threshold

    def decisions(self, keys: Sequence[Key]) -> list[bool | None]:
        """`present` of several pictures."""
        return [self.present(k) for k in keys]
