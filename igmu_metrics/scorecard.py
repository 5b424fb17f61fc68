"""The scorecard: every score of one unlearned model with what is needed to compare it, in and out of JSON.

Conventions: NaN is null. Fractions are 0..1. Besides the scores a card keeps one line per generation, a projection of
the table of generations (`igmu_metrics.generations.COLUMNS` says what each field is; one that is missing is left out),
so that two models can be compared pair by pair without their images, and most scores be computed again.
`content_sha256` is over everything else in the card, number by number as printed, whatever the white space; `igmu
verify` checks it. The format is published as docs/scorecard.schema.json, and `schema_version` is raised by any change
that old readers cannot read: cards of schema 2 are read and converted.

Two runs of one command on one machine give the same bytes, but for `efficiency.times`: how long generating took, which
no hash covers and no comparison reads. So nothing else here depends on the time, on the folder that things lie in, or
on how the command was started; when a card was made, and by what, stands in `runs.jsonl` beside it.
No path of the user's machine enters a card, only the last part of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    WithJsonSchema,
)

from igmu_data import __version__
from igmu_data.configs import GENERAL
from igmu_data.errors import EmptyInputError, IgmuError, MetadataError, OutputError, VerificationError
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
CHANGED: Final = "the content was changed after the card was written: its hash is another"
MOST_LINES: Final = 50_000  # generations; a concept's prompts with ten seeds are 11,000


def _nameable(name: str) -> str:
    if why := unnameable(name):
        raise ValueError(f"{_quoted(name)} cannot be a name: {why}")
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
    """How a card came about."""

    command: str = Field(description="what gives this card again, with the folders' own names")
    options: dict[str, str | int | float | bool] = Field(description="of igmu score that differ from their defaults")
    inputs_sha256: str = Field(pattern=SHA256, description="of all generations' ids, seeds and image hashes, in order")
    versions: dict[str, str] = Field(description="python, igmu and the packages that can change a number")
    hardware: dict[str, str]


def _lines(value: Any) -> Generations:
    """The table of a card's lines; every value is checked against its column."""
    if isinstance(value, Generations):
        return value
    if not isinstance(value, list | tuple):
        raise ValueError("not a list of generations")
    if len(value) > MOST_LINES:
        raise ValueError(f"{len(value):,} generations; a card has at most {MOST_LINES:,}")
    columns: dict[str, Column | None] = {}
    for at, line in enumerate(value):
        if not isinstance(line, dict) or not line.keys() >= _NEEDED:
            raise ValueError(f"{at}: not an object with id, seed and split")
        if not line["id"]:
            raise ValueError(f"{at}.id: {line['id']!r} names no prompt")
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


def _wrong(known: Column | None, given: Any) -> str:
    """What is wrong with a value of a line; "" if nothing is."""
    if isinstance(given, str) and "\0" in given:  # numpy drops them at the end
        return "no text without NUL"
    if known is None:
        return "" if isinstance(given, str | int | float | bool) else "no plain value"
    kind = _TYPES.get(known.kind)
    if kind is None or not isinstance(given, kind) or (isinstance(given, bool) and kind is not bool):
        return f"no {known.kind}"
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


class Scorecard(_Strict):
    """Everything that one evaluation found."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    schema_version: Literal[3] = 3
    content_sha256: str = Field(default="", pattern=f"{SHA256}|^$", description="of the rest; empty until written")
    igmu_version: str = __version__
    model: Name
    original_model: Name
    config: Name
    target: Name
    provenance: Provenance | None = None
    coverage: dict[str, Coverage] | None = Field(
        default=None,
        description="by split, or probe that is counted by itself, what was scored of what the corpus asks for; null "
        "where no corpus is known",
    )
    scores: dict[Name, ScoreEntry]
    failures: tuple[str, ...]
    notes: tuple[str, ...] = Field(default=(), description="what a reader has to know about the images")
    efficiency: Efficiency | None = Field(
        default=None, description="what the model costs beside the original; in no score, and left out where unknown"
    )
    generations: Lines = Field(description="a line for each pair of images; what is missing or unclear is left out")

    def figure(self, score: str, name: str) -> Figure | None:
        """A figure of a score, or None when the card has no such score."""
        entry = self.scores.get(score)
        return entry.figures.get(name) if entry else None

    @property
    def original_label(self) -> str:
        """What the original is called among other models: its name, and that it is the original."""
        return self.original_model if self.original_model == "original" else f"{self.original_model} (original)"

    @property
    def general(self) -> bool:
        """Whether the card is of general prompts: nothing in them was to be forgotten."""
        return self.target == GENERAL

    @property
    def unfounded(self) -> str:
        """Why no verdict can rest on the detector (`no_better_than_chance`); "" where it can."""
        return next(filter(None, (no_better_than_chance(entry.signature) for entry in self.scores.values())), "")

    def sealed(self) -> Scorecard:
        """The same card with the hash of its content."""
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
    """Put scores and generations together.

    Args:
        table: both models' generations, measured.
        found: the scores.
        model: name of the unlearned model.
        original_model: name of the original.
        config: what they were scored on.
        target: the concept to forget.
        failures: why pairs are missing from the table.
        options: of the evaluation, where they are not the default.
        notes: what a reader has to know about the images.
        rows: that the corpus asks for, by id; none where no corpus is known.
        efficiency: what the model costs beside the original, where that is known.
    """
    lines = of_records(_records(table))  # what nobody knows of any generation is no column
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
    """Write a card as JSON, with the hash of its content, whole or not at all.

    Raises:
        OutputError: the place cannot be written to.
    """
    write_text(path, _dumped(card.sealed()))


def _dumped(card: Scorecard) -> str:
    left_out = {"efficiency"} if card.efficiency is None else None  # a card that has none is as it was before there was
    return json.dumps(card.model_dump(mode="json", exclude=left_out), indent=1, ensure_ascii=False) + "\n"


def write_text(path: Path, text: str) -> None:
    """Write a text file beside its place and rename it into it.

    Raises:
        OutputError: it cannot be written, or an image or a scorecard is there, which another text would replace.
    """
    kept = path.suffix.lower() in SUFFIXES or (path.suffix.lower() == ".json" and text[:1] not in ("{", "["))
    if kept and path.is_file():
        raise OutputError(
            f"{path}: exists already, and the new file would not be a {path.suffix} file. Choose another --out."
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside(path) as part:
            part.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}. Choose another --out.") from error
    except UnicodeEncodeError as error:
        raise OutputError(f"cannot write {path}: {error.object[error.start]!r} is not Unicode text.") from error


def opened(path: Path) -> tuple[dict[str, Any], bool]:
    """The data of a card's file, whatever it is worth, and whether its hash is that of its content.

    Every path to a card begins here. Whoever shows its figures goes through `igmu_metrics.verdict.verify`, which also
    checks that they follow from its lines.

    Raises:
        MetadataError: not there, or not a JSON object within the limits of `igmu_data.strangers`.
    """
    try:
        text = text_of(path)
        data = parsed(text)
        if isinstance(data, dict):
            return data, data.get(HASH) == fingerprint(text)
    except OSError as error:
        raise MetadataError(f"{path}: cannot be read ({error.strerror}). Run 'igmu score … --out FILE'.") from error
    except ValueError as error:
        raise MetadataError(f"{path}: not JSON that can be read ({error}). Score the model again.") from error
    raise MetadataError(f"{path}: not a scorecard: no JSON object, but {_quoted(data)}. Score the model again.")


def read(path: Path) -> Scorecard:
    """Read a card whose content is what was written.

    Raises:
        MetadataError: not there, not JSON, or not a scorecard; the message names the field.
        VerificationError: its content was changed after it was written.
    """
    data, unchanged = opened(path)
    if data.get("schema_version", 2) not in (2, 3):
        raise MetadataError(
            f"{path}: schema_version is {_quoted(data['schema_version'])}; this igmu reads 2 and 3. Score the model "
            "again."
        )
    try:
        card = Scorecard.model_validate(converted(data))
    except ValidationError as error:
        where, what = problems(error)[0]
        raise MetadataError(f"{path}: not a scorecard: {where}: {what}. Was it edited?") from error
    if not unchanged:
        raise VerificationError(f"{path}: {CHANGED}. Run 'igmu verify' on it, or score again.")
    return card


def problems(error: ValidationError) -> list[tuple[str, str]]:
    """Where and what is wrong with the data of a card."""
    found = []
    for one in error.errors():
        where, what = ".".join(map(str, one["loc"])), str(one["msg"]).removeprefix("Value error, ")
        inside, colon, rest = what.partition(": ")  # a line's own place
        found.append((f"{where}.{inside}", rest) if where == "generations" and colon else (where, what))
    return found


def replaces(card: Scorecard, path: Path) -> str:
    """Why a card must not take the place of a file: what the file holds; "" where it is the same evaluation's card."""
    try:
        old = read(path)
    except IgmuError:
        return "contains no unchanged scorecard"
    for name, mine, theirs in (
        ("model", card.model, old.model),
        ("original", card.original_model, old.original_model),
        ("config", card.config, old.config),
    ):
        if mine != theirs:
            return f"contains the card of {name} {theirs!r}"
    for name in card.scores.keys() & old.scores.keys():
        differing = card.scores[name].signed().differences(old.scores[name].signed())
        if changed := sorted(differing.keys() - {"igmu", "v", "rows", "k", "images", "generated"}):
            return f"contains a card with {changed[0]} {differing[changed[0]][1]!r}"
    return ""


def card_files(paths: Sequence[Path]) -> list[Path]:
    """The files that are meant: a folder stands for the `*.json` directly in it, by name, one of a run for its cards.

    A file that is named twice, such as by itself and by its folder, is there once.

    Raises:
        EmptyInputError: a folder without any.
    """
    files: dict[Path, Path] = {}
    for path in paths:
        folder = path / CARDS if (path / PLAN).is_file() and (path / CARDS).is_dir() else path
        inside = sorted(folder.glob("*.json")) if path.is_dir() else [path]
        if not inside:
            raise EmptyInputError(f"{path}: a folder without scorecards. Run igmu score … {shell(['--out', path])}.")
        for file in inside:
            files.setdefault(file.resolve(), file)
    return list(files.values())


# Fields of schema 2 that are called otherwise now. `concept` was what the image was judged for, `family` the attack's.
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
    """The data of a card in the present schema; what is no card of schema 2 stays as it is."""
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
    """The provenance of a card that is being made."""
    given = {name: _public(name, value) for name, value in options.items() if value is not None}
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
    """One hash of everything that was looked at."""
    digest = hashlib.sha256()
    for g in lines.records("id", "seed", "sha256", "sha256" + ORIGINAL):
        digest.update(("\t".join(str(value) for value in g.values()) + "\n").encode())
    return digest.hexdigest()


def _public(name: str, value: Setting) -> Setting:
    """An option without the user's folders: `labels:/me/x.csv` is `labels:x.csv`, the package's bench `sandbox`."""
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
