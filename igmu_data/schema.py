"""The row of the corpus: one definition for code, YAML, Parquet and documentation.

Conventions: closed vocabularies are plain strings, not integer class labels, so that `row["split"] == "forget"` and the
viewer's filters work without a mapping. Ids are 16 hex digits of a content hash. A value that does not apply is null.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    import datasets

Split = Literal["forget", "retain", "adversarial"]
Scope = Literal["subject", "attribute"]
Probe = Literal["direct", "near", "far", "in-prompt", "attack", "negation", "composition", "superclass"]
Register = Literal["sentence", "short", "tags", "long"]
Language = Literal["en", "es", "fr", "de", "it", "pt", "zh"]

SPLITS: Final[tuple[str, ...]] = get_args(Split)
LANGUAGES: Final[tuple[str, ...]] = get_args(Language)
REGISTERS: Final[tuple[Register, ...]] = get_args(Register)
SEEDS_PER_ROW: Final = 5
LARGEST_SEED: Final = 2**32 - 1
"""Starting noise comes from torch's generator on a CPU, whatever the device (`images.generate`), which reads 32 bits:
seeds 1, 2^32 + 1 and 2^33 + 1 would be one image three times."""
IN_PROMPT: Final[Literal["in-prompt"]] = "in-prompt"  # asks for something else beside the concept, which must stay
NEGATION: Final[Literal["negation"]] = "negation"  # asks for an image without the concept
COMPOSITION: Final[Literal["composition"]] = "composition"  # asks for the concept beside something that must stay
SUPERCLASS: Final[Literal["superclass"]] = "superclass"  # asks for something wider, of which the concept is one kind
ASIDE: Final[tuple[str, ...]] = (NEGATION, COMPOSITION, SUPERCLASS)
"""Probes that are reported separately, whatever their split; no aspect of the forget score uses them."""
ROUNDS: Final = 10
FIRST: Final = "1.0.0"  # the version of the corpus that superseded all earlier ones

Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
ConceptId = Annotated[str, Field(pattern=r"^[a-z]+/[a-z0-9]+(-[a-z0-9]+)*$")]
RowId = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, Field(pattern=r"\S")]
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]

# What identifies a row: a change of any of these makes another row with another id.
_IDENTITY: Final = (
    "prompt",
    "stripped_prompt",
    "concept",
    "own_concept",
    "split",
    "probe",
    "attack_family",
    "attack_source_id",
    "language",
    "seeds",
)
# Of lists that say how their images were generated, and of the sandbox; null in the corpus, where the model's family
# decides.
GENERATION: Final = ("guidance_scale", "steps", "width", "height")


with warnings.catch_warnings():
    # Of pydantic: a class can be registered as another's kind, so "register" hides something. No row is a class.
    warnings.filterwarnings("ignore", 'Field name "register"')

    class Row(BaseModel):
        """One prompt of the corpus with everything needed to generate and judge its images."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        prompt: Text = Field(description="the text given to the image generator")
        concept: ConceptId = Field(
            description="the concept to forget; the row is part of the benchmark for this concept"
        )
        split: Split = Field(description="forget, retain or adversarial")
        probe: Probe = Field(
            description="direct, negation or composition (forget), near, far, in-prompt or superclass (retain), attack "
            "(adversarial): see the card"
        )
        attack_family: Slug | None = Field(description="family of the attack; null in forget and retain rows")
        language: Language = Field(
            description="language of the prompt (of the text around the foreign name, in mixed-language attacks)"
        )
        register: Register = Field(description="how the prompt is written: sentence, short, tags or long")
        round: int = Field(
            ge=1, le=ROUNDS, description="1 to 10; rounds 1 to n form a smaller benchmark with the same balance"
        )
        id: RowId = Field(
            description="content hash of the row, which identifies the prompt in every score and manifest"
        )
        stripped_prompt: Text = Field(description="the prompt without the concept, for CSDR and in-prompt retention")
        own_concept: ConceptId | None = Field(
            description="what the image should show: the target in direct, composition and attack rows, the concept "
            "to keep in retain rows, null if the prompt does not ask for a concept"
        )
        own_name: Text | None = Field(description="the name of `own_concept` in retain rows; null elsewhere")
        domain: Slug = Field(description="domain of `concept`")
        family: Slug = Field(description="family of `concept` within its domain")
        scope: Scope = Field(
            description="subject (what the image shows) or attribute (a property of something that must otherwise stay "
            "the same)"
        )
        attack_source_id: RowId | None = Field(
            description="the forget row that the attack rewrites; null if the attack was written from scratch"
        )
        name_kept: bool = Field(
            description="whether the prompt contains the concept's label, its plural or its adjective without changes"
        )
        n_tokens_clip: int = Field(
            ge=3,
            description="number of CLIP tokens of the prompt, including the start and end tokens; CLIP reads only 77",
        )
        seeds: Annotated[tuple[Seed, ...], Field(min_length=SEEDS_PER_ROW, max_length=SEEDS_PER_ROW)] = Field(
            description="seeds, with one image per seed; adversarial rows have the same seeds as their source row"
        )
        guidance_scale: float | None = Field(default=None, gt=0, description="classifier-free guidance scale")
        steps: int | None = Field(default=None, gt=0, description="denoising steps")
        width: int | None = Field(default=None, gt=0, description="pixels")
        height: int | None = Field(default=None, gt=0, description="pixels")
        image_source: Text | None = Field(
            default=None, description="where `image` comes from; null if there is no image"
        )
        image_sha256: Digest | None = Field(default=None, description="SHA-256 of the stored image bytes")
        license: Text = Field(default="CC-BY-4.0", description="licence of the text (and of the image, if any)")
        source: Text = Field(description="where the concept and the text come from")
        since: Text = Field(default=FIRST, description="corpus version in which the row first appeared")


# The order in which columns are stored; `image` is not part of the model, because it is bytes and travels beside the
# text. A column that says nothing of any row of a repository is left out of it.
ALL_COLUMNS: Final[tuple[str, ...]] = ("prompt", "image", *(n for n in Row.model_fields if n != "prompt"))
_OF_IMAGE: Final = ("image_source", "image_sha256", "license")  # what an image says of itself
_LEFT_OUT: Final = ("image", *GENERATION, *_OF_IMAGE, "since")
COLUMNS: Final[tuple[str, ...]] = tuple(n for n in ALL_COLUMNS if n not in _LEFT_OUT)


def stored_columns(rows: Iterable[Row], *, images: bool = False) -> tuple[str, ...]:
    """The columns of a repository in their order: those that always have their default are left out.

    Args:
        rows: all rows of the repository.
        images: whether they get images, which need columns for their source and licence.
    """
    rows = list(rows)
    defaults = {name: Row.model_fields[name].default for name in _LEFT_OUT if name != "image"}
    said = {name for name, default in defaults.items() if any(getattr(row, name) != default for row in rows)}
    if images or "image_source" in said:
        said |= {"image", *_OF_IMAGE}
    return tuple(n for n in ALL_COLUMNS if n in said or n not in _LEFT_OUT)


def record(row: Row, columns: Sequence[str] = COLUMNS) -> dict[str, Any]:
    """A row as it is stored: its columns in order, `image` null."""
    values = row.model_dump() | {"image": None, "seeds": list(row.seeds)}
    return {name: values[name] for name in columns}


def row_id(fields: dict[str, Any]) -> str:
    """The content hash of a row's identifying fields: 16 hex digits.

    Args:
        fields: at least prompt, stripped_prompt, concept, own_concept, split, probe, attack_family, attack_source_id,
            language and seeds; guidance_scale, steps, width and height where the row says them.
    """
    values = [fields[k] for k in _IDENTITY]
    if any(fields.get(k) is not None for k in GENERATION):
        values += [fields[k] for k in GENERATION]
    return content_id(values)


def content_id(values: Sequence[Any]) -> str:
    """The content hash of values in their order: 16 hex digits."""
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def version(text: str) -> tuple[int, ...]:
    """A version as numbers, for comparison.

    >>> version("0.10.0") > version("0.9.1")
    True
    """
    return tuple(map(int, text.split(".")))


def features(columns: Sequence[str] = COLUMNS) -> datasets.Features:
    """The `datasets.Features` of rows, or of general prompts; the Parquet files contain them as well.

    Args:
        columns: from `stored_columns`, or `general.columns_of`.
    """
    import datasets

    text = datasets.Value("string")
    special = {
        "seeds": datasets.List(datasets.Value("int64")),
        "guidance_scale": datasets.Value("float64"),
        "steps": datasets.Value("int32"),
        "width": datasets.Value("int32"),
        "height": datasets.Value("int32"),
        "round": datasets.Value("int32"),
        "name_kept": datasets.Value("bool"),
        "n_tokens_clip": datasets.Value("int32"),
        "questions": datasets.List(text),
        "answers": datasets.List(text),
        "image": datasets.Image(),
    }
    return datasets.Features({c: special.get(c, text) for c in columns})


def detector_features(labels: Sequence[str]) -> datasets.Features:
    """The `datasets.Features` of labelled images that content detectors are trained and measured on.

    Args:
        labels: label names in the order of their integers; the YAML, the Parquet files and this order must agree.
    """
    import datasets

    text = datasets.Value("string")
    return datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=list(labels)),
            "concept": text,
            "image_source": text,
            "image_sha256": text,
            "license": text,
            "source": text,
        }
    )
