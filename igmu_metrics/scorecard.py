"""The scorecard: all scores of one unlearned model, with everything needed to compare them, as JSON.

Conventions: NaN is null. Fractions are in 0..1. Besides the scores, a card contains one line per generation, a subset
of the table of generations (docs/reference/plugins.md lists the fields; missing values are left out), so that two
models can be compared pair by pair without their images, and most scores can be recomputed. `content_sha256` covers
everything else in the card, number by number as printed, regardless of white space; `igmu verify` checks it. The format
is published as docs/scorecard.schema.json. `schema_version` increases with every change that older versions of igmu
cannot read; cards of schema 2 can still be read and are converted.

Two runs of the same command on the same machine give the same bytes, except for `efficiency.times` (how long generating
took), which is not covered by a hash or used in comparisons. Nothing else in a card depends on the time, on the
location of files or on how the command was started; `runs.jsonl` next to it records when and by which command it was
made. A card contains only the last part of paths on the user's machine.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    PrivateAttr,
    ValidationError,
    WithJsonSchema,
)

from igmu_data import __version__
from igmu_data.configs import GENERAL
from igmu_data.errors import IgmuError, MetadataError, OutputError, VerificationError
from igmu_data.files import beside
from igmu_data.media import shell, unnameable
from igmu_data.schema import Row
from igmu_data.strangers import HASH, fingerprint, parsed, text_of
from igmu_data.taxonomy import ENVIRONMENT as CONCEPTS
from igmu_metrics import registry
from igmu_metrics.contract import Score, Setting, Signature
from igmu_metrics.coverage import Coverage, coverage
from igmu_metrics.generations import ORIGINAL, SHA256, Column, Generations, column, line_schema, of_records
from igmu_metrics.images.efficiency import Efficiency
from igmu_metrics.images.layouts import SUFFIXES
from igmu_metrics.networks.instruments import no_better_than_chance
from igmu_metrics.networks.machine import hardware, versions

SCHEMA_ID: Final = "https://huggingface.co/datasets/igmu/bench/blob/main/scorecard.schema.json"
RUNS: Final = "runs.jsonl"
PLAN: Final = "run.yaml"  # in the folder of an `igmu run`, whose cards are in CARDS
CARDS: Final = "cards"
CHANGED: Final = "the content was changed after the scorecard was written, since its hash differs"
MOST_LINES: Final = 50_000  # generations; a concept's prompts with ten seeds are 11,000


def _nameable(name: str) -> str:
    if why := unnameable(name):
        raise ValueError(f"{_quoted(name)} is not a valid name: {why}")
    return name


Name = Annotated[str, AfterValidator(_nameable)]
Count = Annotated[int, Field(ge=0, le=10**9)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Figure(_Strict):
    """One figure with its interval and counts; see `igmu_metrics.contract.Estimate`."""

    value: float | None
    interval: tuple[float | None, float | None] | None
    n_prompts: Count
    n_generations: Count
    reason: str = ""


class ScoreEntry(_Strict):
    """One score; see `igmu_metrics.contract.Score`."""

    name: Name
    value: float | None
    interval: tuple[float | None, float | None] | None
    n_prompts: Count
    n_generations: Count
    n_failed: Count
    signature: dict[Name, str | int | float | bool]
    figures: dict[Name, Figure]

    @property
    def package(self) -> str:
        """The package, or file, that the metric comes from; "" for igmu itself."""
        return str(self.signature.get("metric.package", ""))

    def signed(self) -> Signature:
        """The signature, ready for comparing."""
        return Signature(self.signature)


class Provenance(_Strict):
    """How a card was made."""

    command: str = Field(description="command that makes this card again; folders are given by name only")
    options: dict[str, str | int | float | bool] = Field(
        description="options of igmu score that differ from their defaults"
    )
    inputs_sha256: str = Field(
        pattern=SHA256, description="hash of all generations' ids, seeds and image hashes, in order"
    )
    versions: dict[str, str] = Field(description="python, igmu and the packages that can change a number")
    hardware: dict[str, str]


def _lines(value: Any) -> Generations:
    """The table of a card's lines; every value is checked against its column."""
    if isinstance(value, Generations):
        return value
    if not isinstance(value, list | tuple):
        raise ValueError("this is not a list of generations")
    if len(value) > MOST_LINES:
        raise ValueError(f"there are {len(value):,} generations, but at most {MOST_LINES:,} are allowed")
    columns: dict[str, Column | None] = {}
    for at, line in enumerate(value):
        if not isinstance(line, dict) or not line.keys() >= _NEEDED:
            raise ValueError(f"{at}: this is not an object with id, seed and split")
        if not line["id"]:
            raise ValueError(f"{at}.id: {line['id']!r} is not the id of a prompt")
        for name, given in line.items():
            if name not in columns:
                columns[name] = column(name)
            known = columns[name]
            if given is None and name not in _NEEDED and (known is None or known.kind in _TYPES):
                continue  # missing
            if wrong := _wrong(known, given):
                raise ValueError(f"{at}.{name}: {_quoted(given)} is {wrong}")
    return of_records([*value])


_NEEDED: Final = frozenset({"id", "seed", "split"})
_TYPES: Final[Mapping[str, Any]] = {"text": str, "whole": int, "flag": bool, "number": (int, float)}
_CALLED: Final = {"text": "a string", "whole": "a whole number", "flag": "true or false", "number": "a number"}


def _wrong(known: Column | None, given: Any) -> str:
    """What is wrong with a value of a line; "" if nothing is."""
    if isinstance(given, str) and "\0" in given:  # numpy drops them at the end
        return "not allowed, because it contains a NUL character"
    if known is None:
        return "" if isinstance(given, str | int | float | bool) else "not a plain value"
    kind = _TYPES.get(known.kind)
    if kind is None or not isinstance(given, kind) or (isinstance(given, bool) and kind is not bool):
        return f"not {_CALLED.get(known.kind, 'allowed here')}"
    if known.pattern and not re.search(known.pattern, given):
        return f"not of the form {known.pattern}"
    if isinstance(given, str):
        return ""
    if (known.low is not None and given < known.low) or (known.high is not None and given > known.high):
        return f"not in {known.low}..{'' if known.high is None else known.high}"
    return ""


def _quoted(value: Any) -> str:
    found = repr(value)
    return found if len(found) <= 80 else f"{found[:80]}…"


def _records(table: Generations) -> list[dict[str, Any]]:
    return [{k: v for k, v in record.items() if v is not None} for record in table.records()]


Lines = Annotated[
    Generations,
    PlainValidator(_lines),
    PlainSerializer(_records),
    WithJsonSchema({"type": "array", "items": line_schema()}),
]


@dataclass(frozen=True, slots=True)
class _Source:
    """Where a card was read, which has no part in whether two cards are equal."""

    file: str = field(default="", compare=False)


class Scorecard(_Strict):
    """All results of one evaluation."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    schema_version: Literal[3] = 3
    content_sha256: str = Field(
        default="", pattern=f"{SHA256}|^$", description="hash of everything else in the card; empty until written"
    )
    igmu_version: str = __version__
    model: Name
    original_model: Name
    config: Name
    target: Name
    provenance: Provenance | None = None
    coverage: dict[str, Coverage] | None = Field(
        default=None,
        description="by split or separately counted probe, how much of the corpus was scored; null if the corpus is "
        "unknown",
    )
    scores: dict[Name, ScoreEntry]
    failures: tuple[str, ...]
    notes: tuple[str, ...] = Field(default=(), description="notes about the images for readers")
    efficiency: Efficiency | None = Field(
        default=None,
        description="cost of the model compared with the original; not part of any score, and left out if unknown",
    )
    generations: Lines = Field(description="one line per pair of images; missing or unclear values are left out")

    _source: _Source = PrivateAttr(default_factory=_Source)

    def read_from(self, path: Path) -> Scorecard:
        """The card, after it was read from a file, so that messages can name the file."""
        self._source = _Source(str(path))
        return self

    @property
    def file(self) -> str:
        """The file from which the card was read; "" if it was not read from one."""
        return self._source.file

    def figure(self, score: str, name: str) -> Figure | None:
        """A figure of a score, or None if the card does not have it."""
        entry = self.scores.get(score)
        return entry.figures.get(name) if entry else None

    @property
    def original_label(self) -> str:
        """The original's name among other models, marked as the original."""
        return self.original_model if self.original_model == "original" else f"{self.original_model} (original)"

    @property
    def general(self) -> bool:
        """Whether the card is for general prompts, which do not ask for the concept to forget."""
        return self.target == GENERAL

    @property
    def unfounded(self) -> str:
        """Why the detector gives no verdict (`no_better_than_chance`); "" if it does."""
        return next(filter(None, (no_better_than_chance(entry.signature) for entry in self.scores.values())), "")

    def sealed(self) -> Scorecard:
        """The card with the hash of its content."""
        return self.model_copy(update={HASH: fingerprint(_dumped(self))})


def schema() -> dict[str, Any]:
    """The JSON Schema of a card."""
    found = Scorecard.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID, **found}


def build(
    table: Generations,
    found: Mapping[str, Score],
    *,
    model: str,
    original_model: str,
    config: str,
    target: str,
    failures: Sequence[str],
    options: Mapping[str, Setting | None],
    notes: Sequence[str] = (),
    rows: Mapping[str, Row] | None = None,
    efficiency: Efficiency | None = None,
) -> Scorecard:
    """Combine scores and generations into a card.

    Args:
        table: both models' generations, measured.
        found: the scores.
        model: name of the unlearned model.
        original_model: name of the original.
        config: the config on which they were scored.
        target: the concept to forget.
        failures: why pairs are missing from the table.
        options: options of the evaluation that differ from their defaults.
        notes: notes about the images for readers.
        rows: the corpus rows by id; empty if the corpus is unknown.
        efficiency: cost of the model compared with the original, if known.
    """
    lines = of_records(_records(table))  # columns without any value are dropped
    return Scorecard(
        provenance=_provenance(options, lines, model=model, original=original_model),
        model=model,
        original_model=original_model,
        config=config,
        target=target,
        coverage=coverage(lines, rows or {}),
        scores={name: ScoreEntry(**s.to_dict()) for name, s in found.items()},
        failures=tuple(failures),
        notes=tuple(notes),
        efficiency=efficiency,
        generations=lines,
    ).sealed()


def write(card: Scorecard, path: Path) -> None:
    """Write a scorecard as JSON, with the hash of its content, in one atomic step.

    Raises:
        OutputError: the file cannot be written.
    """
    write_text(path, _dumped(card.sealed()))


def _dumped(card: Scorecard) -> str:
    left_out = {"efficiency"} if card.efficiency is None else None  # so that cards without it are as in older versions
    return json.dumps(card.model_dump(mode="json", exclude=left_out), indent=1, ensure_ascii=False) + "\n"


def write_text(path: Path, text: str) -> None:
    """Write a text file under a temporary name and rename it.

    Raises:
        OutputError: it cannot be written, or it would replace an image or a scorecard by something else.
    """
    kept = path.suffix.lower() in SUFFIXES or (path.suffix.lower() == ".json" and text[:1] not in ("{", "["))
    if kept and path.is_file():
        raise OutputError(f"{path} already exists and contains something other than this output. Choose another --out.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside(path) as part:
            part.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}. Choose another --out.") from error
    except UnicodeEncodeError as error:
        raise OutputError(
            f"cannot write {path}, because {error.object[error.start]!r} is not valid Unicode. Remove this character "
            "from all names."
        ) from error


def opened(path: Path) -> tuple[dict[str, Any], bool]:
    """The unchecked data of a card's file, and whether its hash matches its content.

    All cards are read by this function. Code that shows their values uses `igmu_metrics.verdict.verify`, which also
    checks that they follow from the lines.

    Raises:
        MetadataError: the file cannot be read, or is not a JSON object within the limits of `igmu_data.strangers`.
    """
    try:
        text = text_of(path)
        data = parsed(text)
        if isinstance(data, dict):
            return data, data.get(HASH) == fingerprint(text)
    except OSError as error:
        raise MetadataError(
            f"{path} cannot be read ({error.strerror}). Specify a scorecard written by 'igmu score --out'."
        ) from error
    except ValueError as error:
        raise MetadataError(f"{path}: the file is not valid JSON ({error}). Score the model again.") from error
    raise MetadataError(
        f"{path}: this is not a scorecard, because it contains {_quoted(data)} instead of a JSON object. Score the "
        "model again."
    )


def read(path: Path | str) -> Scorecard:
    """Read a scorecard and check that its content is unchanged.

    Raises:
        MetadataError: the file cannot be read, is not JSON, or is not a scorecard; the message names the field.
        VerificationError: the content of the scorecard was changed after it was written.
    """
    path = Path(path)
    data, unchanged = opened(path)
    if data.get("schema_version", 2) not in (2, 3):
        raise MetadataError(
            f"{path}: schema_version is {_quoted(data['schema_version'])}, but this version of igmu reads only 2 and "
            "3. Score the model again."
        )
    try:
        card = Scorecard.model_validate(converted(data)).read_from(path)
    except ValidationError as error:
        where, what = problems(error)[0]
        raise MetadataError(
            f"{path}: this is not a valid scorecard ({where}: {what}). If it was edited, score the model again."
        ) from error
    if not unchanged:
        raise VerificationError(f"{path}: {CHANGED}. Check it with 'igmu verify', or score the model again.")
    return card


def problems(error: ValidationError) -> list[tuple[str, str]]:
    """What is wrong with the data of a card, and where."""
    found = []
    for one in error.errors():
        where, what = ".".join(map(str, one["loc"])), str(one["msg"]).removeprefix("Value error, ")
        inside, colon, rest = what.partition(": ")  # a line's own place
        found.append((f"{where}.{inside}", rest) if where == "generations" and colon else (where, what))
    return found


def replaces(card: Scorecard, path: Path) -> str:
    """Why a card must not replace a file, because of the file's contents; "" if it is a card of the same evaluation."""
    try:
        old = read(path)
    except IgmuError:
        return "it is not an unchanged scorecard"
    for name, mine, theirs in (
        ("model", card.model, old.model),
        ("original", card.original_model, old.original_model),
        ("config", card.config, old.config),
    ):
        if mine != theirs:
            return f"it is the scorecard of a different {name}, {theirs!r}"
    for name in card.scores.keys() & old.scores.keys():
        differing = card.scores[name].signed().differences(old.scores[name].signed())
        if changed := sorted(differing.keys() - {"igmu", "v", "rows", "k", "images", "generated"}):
            return f"it is a scorecard with a different {changed[0]}, {differing[changed[0]][1]!r}"
    return ""


# Fields of schema 2 with other names. `concept` was the concept for which the image was judged, `family` the attack's.
_SCHEMA_2: Final = {
    "concept": "own_concept",
    "family": "attack_family",
    "source_id": "attack_source_id",
    "image_sha256": "sha256",
    "original_image_sha256": "sha256" + ORIGINAL,
    "original_probability": "probability" + ORIGINAL,
    "original_present": "present" + ORIGINAL,
}


def converted(data: Any) -> Any:
    """The data of a card in the current schema; anything other than a card of schema 2 is returned unchanged."""
    if not isinstance(data, dict) or data.get("schema_version", 2) != 2:
        return data
    given = data.get("generations")
    if not isinstance(given, list) or not all(isinstance(line, dict) for line in given):
        return data
    lines: list[dict[str, Any]] = [
        {"concept": data.get("target"), **{_SCHEMA_2.get(name, name): value for name, value in line.items()}}
        for line in given
    ]
    return {**data, "schema_version": 3, "generations": lines}


def _provenance(options: Mapping[str, Setting | None], lines: Generations, *, model: str, original: str) -> Provenance:
    """The provenance of a new card."""
    given = {name: public(name, value) for name, value in options.items() if value is not None}
    folders = {"original": original, "unlearned": model}
    words = [w for name, value in (folders | given).items() for w in (f"--{name.replace('_', '-')}", str(value))]
    words += [w for path in registry.files() for w in ("--plugin", path.name)]
    words += ["--concepts", Path(place).name] if (place := os.environ.get(CONCEPTS)) else []
    return Provenance(
        command=shell(["igmu", "score", *words]),
        options=given,
        inputs_sha256=inputs_sha256(lines),
        versions=versions(),
        hardware=hardware(),
    )


def inputs_sha256(lines: Generations) -> str:
    """One hash of all images that were scored."""
    digest = hashlib.sha256()
    for g in lines.records("id", "seed", "sha256", "sha256" + ORIGINAL):
        digest.update(("\t".join(str(value) for value in g.values()) + "\n").encode())
    return digest.hexdigest()


def public(name: str, value: Setting) -> Setting:
    """An option without the user's folders: `labels:/me/x.csv` becomes `labels:x.csv`, the packaged bench `sandbox`."""
    if not isinstance(value, str) or name == "prompt":
        return value
    if name == "bench":
        from igmu_data.sandbox.packaged import bench_folder
        from igmu_data.taxonomy import SANDBOX

        if value == str(bench_folder()):
            return SANDBOX
    spec, colon, argument = value.partition(":")
    path = Path(argument if colon else value)
    if not path.is_absolute():
        return value
    return f"{spec}:{path.name}" if colon else path.name
