"""The scorecard: every score of one unlearned model with what is needed to compare it, in and out of JSON.

Conventions: NaN is null. Fractions are 0..1. Besides the scores a card keeps one line per generation, so that two
models can be compared pair by pair without their pictures.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from igmu_data import __version__
from igmu_data.errors import MetadataError, OutputError
from igmu_data.files import beside
from igmu_metrics.contract import Score, Signature
from igmu_metrics.judging import Judged


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Figure(_Strict):
    """One figure with its interval and counts; see `igmu_metrics.contract.Estimate`."""

    value: float | None
    interval: tuple[float | None, float | None] | None
    n_prompts: int = Field(ge=0)
    n_generations: int = Field(ge=0)
    reason: str = ""


class ScoreEntry(_Strict):
    """One score; see `igmu_metrics.contract.Score`."""

    name: str
    value: float | None
    interval: tuple[float | None, float | None] | None
    n_prompts: int = Field(ge=0)
    n_generations: int = Field(ge=0)
    n_failed: int = Field(ge=0)
    signature: dict[str, str | int | float | bool]
    figures: dict[str, Figure]

    def signed(self) -> Signature:
        """The signature, ready for comparing."""
        return Signature(self.signature)


class GenerationEntry(_Strict):
    """One pair of generations and what was seen in them; probabilities are null where nobody could say."""

    id: str
    seed: int
    split: str
    family: str | None = None
    concept: str | None
    probability: float | None = Field(ge=0, le=1)
    original_probability: float | None = Field(ge=0, le=1)
    present: bool | None
    original_present: bool | None


class Scorecard(_Strict):
    """Everything that one evaluation found."""

    schema_version: Literal[1] = 1
    igmu_version: str = __version__
    model: str
    original_model: str
    config: str
    target: str
    scores: dict[str, ScoreEntry]
    failures: tuple[str, ...]
    generations: tuple[GenerationEntry, ...]

    def figure(self, score: str, name: str) -> Figure | None:
        """A figure of a score, or None when the card has no such score."""
        entry = self.scores.get(score)
        return entry.figures.get(name) if entry else None


def build(judged: Judged, found: dict[str, Score], *, model: str, original_model: str, config: str) -> Scorecard:
    """Put scores and generations together."""
    lines = []
    for i, g in enumerate(judged.generations):
        p, q = (None if v != v else float(v) for v in judged.probabilities[i])
        lines.append(
            GenerationEntry(
                id=g.row_id,
                seed=g.seed,
                split=g.split,
                family=g.row.attack_family if g.row else None,
                concept=judged.own[i],
                probability=p,
                original_probability=q,
                present=None if p is None else bool(judged.present[i]),
                original_present=None if q is None else bool(judged.original_present[i]),
            )
        )
    return Scorecard(
        model=model,
        original_model=original_model,
        config=config,
        target=judged.target,
        scores={name: ScoreEntry(**s.to_dict()) for name, s in found.items()},
        failures=tuple(judged.failures),
        generations=tuple(lines),
    )


def write(card: Scorecard, path: Path) -> None:
    """Write a card as JSON, whole or not at all.

    Raises:
        OutputError: the place cannot be written to.
    """
    write_text(path, json.dumps(card.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file beside its place and rename it into it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside(path) as part:
            part.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}. Choose another --out.") from error


def read(path: Path) -> Scorecard:
    """Read a card.

    Raises:
        MetadataError: not there, not JSON, or not a scorecard; the message names the field.
    """
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MetadataError(f"{path}: cannot be read ({error.strerror}). Run 'igmu score … --out {path}'.") from error
    except ValueError as error:
        raise MetadataError(f"{path}: not JSON ({error}). Run 'igmu score … --out {path}' again.") from error
    try:
        return Scorecard.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(p) for p in first["loc"])
        raise MetadataError(f"{path}: not a scorecard: {where}: {first['msg']}. Was it edited?") from error


def read_all(paths: Sequence[Path]) -> list[Scorecard]:
    """Read several cards, in order."""
    return [read(p) for p in paths]
