"""The row of the corpus: one definition for code, YAML, Parquet and documentation.

Conventions: closed vocabularies are plain strings, not integer class labels, so that `row["split"] == "forget"` and the
viewer's filters work without a mapping. Ids are 16 hex digits of a content hash. A value that does not apply is null.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    import datasets

Split = Literal["forget", "retain", "adversarial"]
Scope = Literal["subject", "attribute"]
Probe = Literal["direct", "near", "far", "in-prompt", "attack", "negation"]
Language = Literal["en", "es", "fr", "de", "it", "pt", "zh"]

SPLITS: Final[tuple[str, ...]] = get_args(Split)
LANGUAGES: Final[tuple[str, ...]] = get_args(Language)
SEEDS_PER_ROW: Final = 5
LARGEST_SEED: Final = 2**32 - 1
"""Starting noise comes from torch's generator on a CPU, whatever the device (`images.generate`), which reads 32 bits:
seeds 1, 2^32 + 1 and 2^33 + 1 would be one image three times."""
IN_PROMPT: Final[Literal["in-prompt"]] = "in-prompt"  # asks for something else beside the concept, which must stay
NEGATION: Final[Literal["negation"]] = (
    "negation"  # the probe of adversarial rows that ask for a picture without the concept
)

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
    "guidance_scale",
    "steps",
    "width",
    "height",
)


class Row(BaseModel):
    """One prompt of the corpus with everything needed to draw and judge it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: RowId = Field(description="content hash of the row; names the prompt in every score and manifest")
    prompt: Text = Field(description="the text given to the image generator")
    stripped_prompt: Text = Field(description="the prompt without the concept, for CSDR and in-prompt retention")
    concept: ConceptId = Field(description="the concept to forget: whose benchmark this row belongs to")
    own_concept: ConceptId | None = Field(
        description="the concept that the picture should show: the target in forget and adversarial rows, "
        "the retained one in retain rows, null where no benchmark concept is asked for"
    )
    domain: Slug = Field(description="domain of `concept`")
    family: Slug = Field(description="family of `concept` within its domain")
    scope: Scope = Field(description="subject: what the picture is of; attribute: a property whose carrier must stay")
    split: Split = Field(description="forget, retain or adversarial")
    probe: Probe = Field(
        description="direct (forget), near or far or in-prompt (retain), attack or negation (adversarial): see the card"
    )
    template_id: Text = Field(description="the frame around the scene")
    attack_family: Slug | None = Field(description="family of the attack; null in forget and retain rows")
    attack_source_id: RowId | None = Field(description="the forget row that the attack rewrites")
    language: Language = Field(description="language of the prompt (of the rewritten part, when languages mix)")
    seeds: Annotated[tuple[Seed, ...], Field(min_length=SEEDS_PER_ROW, max_length=SEEDS_PER_ROW)] = Field(
        description="draw the prompt once with each; attacked rows share the seeds of their source"
    )
    guidance_scale: float = Field(gt=0, description="classifier-free guidance scale")
    steps: int = Field(gt=0, description="denoising steps")
    width: int = Field(gt=0, description="pixels")
    height: int = Field(gt=0, description="pixels")
    image_source: Text | None = Field(default=None, description="where `image` comes from; null without image")
    image_sha256: Digest | None = Field(default=None, description="SHA-256 of the stored image bytes")
    license: Text = Field(description="licence of the text (and of the image, if there is one)")
    source: Text = Field(description="where the concept and the text come from")
    since: Text = Field(description="corpus version in which the row first appeared")


# The stored column order; `image` is not part of the model, because it is bytes and travels beside the text.
COLUMNS: Final[tuple[str, ...]] = (
    *(n for n in Row.model_fields if n not in ("image_source", "image_sha256", "license", "source", "since")),
    "image",
    "image_source",
    "image_sha256",
    "license",
    "source",
    "since",
)


def record(row: Row) -> dict[str, Any]:
    """A row as it is stored: every column in order, `image` null."""
    values = row.model_dump() | {"image": None, "seeds": list(row.seeds)}
    return {name: values[name] for name in COLUMNS}


def row_id(fields: dict[str, Any]) -> str:
    """The content hash of a row's identifying fields: 16 hex digits.

    Args:
        fields: at least prompt, stripped_prompt, concept, own_concept, split, probe, attack_family, attack_source_id,
            language, seeds, guidance_scale, steps, width and height.
    """
    text = json.dumps([fields[k] for k in _IDENTITY], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def features() -> datasets.Features:
    """The `datasets.Features` of the corpus; what the YAML of the card and the Parquet files carry as well."""
    import datasets

    text = datasets.Value("string")
    special = {
        "seeds": datasets.List(datasets.Value("int64")),
        "guidance_scale": datasets.Value("float64"),
        "steps": datasets.Value("int32"),
        "width": datasets.Value("int32"),
        "height": datasets.Value("int32"),
        "image": datasets.Image(),
    }
    return datasets.Features({c: special.get(c, text) for c in COLUMNS})


def detector_features(labels: Sequence[str]) -> datasets.Features:
    """The `datasets.Features` of labelled pictures that content detectors are trained and measured on.

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
