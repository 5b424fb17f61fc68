"""Generates images and judges whether they show the concept, by row and seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from igmu_data.errors import InputError
from igmu_metrics.generations import FAILED, Generations, Key, joined, of_records
from igmu_metrics.images.generate import Request, draw
from igmu_metrics.images.pipelines import Pipeline
from igmu_metrics.networks.instruments import Detector
from igmu_metrics.networks.observe import observe


@dataclass
class Sight:
    """A model whose images are generated into a folder and judged once.

    Args:
        pipeline: the model.
        folder: of its images; may already contain some.
        detector: decides whether the concept is present.
        concept: to detect.
        batch_size: images per call on an accelerator.
        table: what was generated and judged.
    """

    pipeline: Pipeline
    folder: Path
    detector: Detector
    concept: str
    batch_size: int = 4
    table: Generations = field(default_factory=lambda: Generations({}))

    def look(self, requests: Sequence[Request], *, progress: bool = True) -> None:
        """Generate missing images and judge them; an image that could not be generated has no answer."""
        known = set(self.table.keys)
        wanted = [r for r in requests if r.key not in known]
        if not wanted:
            return
        threshold = self.detector.info.threshold
        if threshold is None:
            raise InputError(
                f"detector {self.detector.info.name!r} has no threshold, so it cannot decide whether the concept is "
                "present. Choose another detector."
            )
        drawn = draw(wanted, self.pipeline, self.folder, batch_size=self.batch_size, progress=progress)
        failed = [
            {"id": key[0], "seed": key[1], "status": FAILED + reason, "path": None, "sha256": None}
            for key, reason in drawn.failures.items()
        ]
        paths = list(drawn.files.values())
        columns = observe(paths, detector=self.detector, concepts=[self.concept] * len(paths), blank="apart")
        p = columns["probability"]
        present = np.ma.MaskedArray(np.ma.filled(p, 0.0) >= threshold, mask=np.ma.getmaskarray(p))
        ids, seeds = [key[0] for key in drawn.files], [key[1] for key in drawn.files]
        seen = Generations({"id": ids, "seed": seeds, "path": paths, **columns, "present": present})
        self.table = joined([t for t in (self.table, seen, of_records(failed)) if len(t)])

    def of(self, keys: Sequence[Key]) -> Generations:
        """The rows of some generations, in their order."""
        at = {key: i for i, key in enumerate(self.table.keys)}
        return self.table.where([at[key] for key in keys])

    def path(self, key: Key) -> Path | None:
        """The image of a generation if the concept was found in it, else None."""
        (found,) = self.of([key]).records("path", "present")
        return found["path"] if found["present"] else None
