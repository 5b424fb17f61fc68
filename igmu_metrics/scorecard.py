"""The scorecard: every score of one unlearned model with what is needed to compare it, in and out of JSON.

Conventions: NaN is null. Fractions are 0..1. Besides the scores a card keeps one line per generation, so that two
models can be compared pair by pair without their pictures, and most scores be computed again. `content_sha256` is over
everything else in the card, number by number as printed, whatever the white space; `igmu verify` checks it. The format
is published as docs/scorecard.schema.json, and `schema_version` is raised by any change that old readers cannot read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from igmu_data import __version__
from igmu_data.errors import MetadataError, OutputError
from igmu_data.files import beside
from igmu_metrics.contract import Score, Signature
from igmu_metrics.judging import Judged
from igmu_metrics.provenance import Option, Provenance, collect

SCHEMA_ID: Final = "https://huggingface.co/datasets/igmu/bench/blob/main/scorecard.schema.json"
HASH: Final = "content_sha256"
_SHA256: Final = "^[0-9a-f]{64}$"


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
    family: str | None = Field(default=None, description="of the attack, in adversarial rows")
    source_id: str | None = Field(default=None, description="the plain prompt that was attacked")
    probe: str | None = Field(default=None, description="how the row probes: near, far, in-prompt, …")
    concept: str | None
    probability: float | None = Field(ge=0, le=1)
    original_probability: float | None = Field(ge=0, le=1)
    present: bool | None
    original_present: bool | None
    image_sha256: str | None = Field(default=None, pattern=_SHA256, description="of the unlearned model's file")
    original_image_sha256: str | None = Field(default=None, pattern=_SHA256)


class Scorecard(_Strict):
    """Everything that one evaluation found."""

    schema_version: Literal[2] = 2
    content_sha256: str = Field(default="", pattern=f"{_SHA256}|^$", description="of the rest; empty until written")
    igmu_version: str = __version__
    model: str
    original_model: str
    config: str
    target: str
    provenance: Provenance | None = None
    scores: dict[str, ScoreEntry]
    failures: tuple[str, ...]
    generations: tuple[GenerationEntry, ...]

    def figure(self, score: str, name: str) -> Figure | None:
        """A figure of a score, or None when the card has no such score."""
        entry = self.scores.get(score)
        return entry.figures.get(name) if entry else None

    def sealed(self) -> Scorecard:
        """The same card with the hash of its content."""
        return self.model_copy(update={HASH: fingerprint(_dumped(self))})


def fingerprint(text: str) -> str:
    """The hash of a card's text without the hash in it: every digit counts, white space and the order of keys do not.

    Raises:
        ValueError: not JSON, or not an object.

    >>> fingerprint('{"a": 0.50, "content_sha256": "x"}') == fingerprint('{ "a":0.50 }')
    True
    >>> fingerprint('{"a": 0.50}') == fingerprint('{"a": 0.5}')
    False
    """
    # Numbers as they are printed: two of them may be the same float and still not the same card.
    data = json.loads(text, parse_float=_as_printed, parse_int=_as_printed, parse_constant=_as_printed)
    if not isinstance(data, dict):
        raise ValueError("not an object")
    data.pop(HASH, None)
    return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _as_printed(digits: str) -> list[str]:
    return ["number", digits]


def schema() -> dict[str, Any]:
    """The JSON Schema of a card."""
    found = Scorecard.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID, **found}


def build(
    judged: Judged,
    found: dict[str, Score],
    *,
    model: str,
    original_model: str,
    config: str,
    options: Mapping[str, Option],
) -> Scorecard:
    """Put scores and generations together.

    Args:
        judged: what was seen.
        found: the scores.
        model: name of the unlearned model.
        original_model: name of the original.
        config: what they were scored on.
        options: of the evaluation, where they are not the default.
    """
    lines = []
    for i, g in enumerate(judged.generations):
        p, q = (None if v != v else float(v) for v in judged.probabilities[i])
        lines.append(
            GenerationEntry(
                id=g.row_id,
                seed=g.seed,
                split=g.split,
                family=g.row.attack_family if g.row else None,
                source_id=g.row.attack_source_id if g.row else None,
                probe=g.row.probe if g.row else None,
                concept=judged.own[i],
                probability=p,
                original_probability=q,
                present=None if p is None else bool(judged.present[i]),
                original_present=None if q is None else bool(judged.original_present[i]),
                image_sha256=judged.hashes[i][0] or None,
                original_image_sha256=judged.hashes[i][1] or None,
            )
        )
    return Scorecard(
        provenance=collect(options, lines, model=model, original=original_model),
        model=model,
        original_model=original_model,
        config=config,
        target=judged.target,
        scores={name: ScoreEntry(**s.to_dict()) for name, s in found.items()},
        failures=tuple(judged.failures),
        generations=tuple(lines),
    ).sealed()


def write(card: Scorecard, path: Path) -> None:
    """Write a card as JSON, with the hash of its content, whole or not at all.

    Raises:
        OutputError: the place cannot be written to.
    """
    write_text(path, _dumped(card.sealed()))


def _dumped(card: Scorecard) -> str:
    return json.dumps(card.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"


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
    if isinstance(data, dict) and data.get("schema_version", 2) != 2:
        raise MetadataError(
            f"{path}: schema_version is {data['schema_version']!r}; this igmu reads 2. Score the model again."
        )
    try:
        return Scorecard.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(p) for p in first["loc"])
        raise MetadataError(f"{path}: not a scorecard: {where}: {first['msg']}. Was it edited?") from error


def read_all(paths: Sequence[Path]) -> list[Scorecard]:
    """Read several cards, in order."""
    return [read(p) for p in paths]
