"""The inputs of a metric's Space, derived from the metric's requirements and from docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal

References = Literal["labels", "prompts", "original_images", "row_ids"]
Column = Literal["large_string", "string", "image"]
"""A Hub column: text, text that may be missing, or an image in memory."""

_IMAGES: Final = "images of the unlearned model, as paths or PIL images"
_SOURCES: Final = {
    "original_images": "images of the original model for the same prompts and seeds, in the same order",
    "prompts": "the prompt of each image",
    "stripped_prompts": "the prompts without the concept; for retain prompts, the prompts themselves",
}
_OF_SCORE: Final = ("backbone", "device", "on_error", "batch_size", "seed", "resamples", "looks")
# Arguments that have other names in a Space or cannot be given there.
_NOT_OF_ROWS: Final = ("name", "images", "row_ids", "original_images", "signature", "options")
# Settings that a metric requires in an example, by the column that it needs.
_SETTINGS: Final = {
    "answered": (
        ("object.church", "general"),
        ('detector="clip",', 'detector="vlm:FOLDER_OR_ID",'),
        ("31b1508ad45a54f3", "ff8be44fc1e288d4"),
    ),
    "reward": (('detector="clip",', 'detector="clip",\nalign="pickscore",'),),
}
# Notes about single metrics.
_NOTES: Final = {
    "attack_success_rate": (
        "The ids of adversarial rows are sufficient: the corpus contains the plain prompts from which they were made, "
        "and the images of these are taken from the folders that `igmu generate` wrote, unless they are given too."
    ),
}


@dataclass(frozen=True, slots=True)
class Kind:
    """The common properties of all Spaces with one kind of references.

    Args:
        predictions: description of the predictions.
        references: description of the references.
        columns: the allowed types of both.
        example: arguments of `metric.compute` for the example.
        before: lines of the example before the call, with their imports.
    """

    predictions: str
    references: str
    columns: tuple[tuple[Column, Column], ...]
    example: str
    before: tuple[str, str] = ("", "")


KINDS: Final[Mapping[References, Kind]] = MappingProxyType(
    {
        # evaluate checks the first entry of a "string" column and refuses None there, which is a valid label here.
        "labels": Kind(
            "label that a classifier sees in the unlearned model's image, `domain/concept`; None if it abstained",
            "label that the prompt asks for, in the domain judged; an image judged in two domains has two entries",
            (("large_string", "large_string"),),
            """\
predictions=["style/monet", "style/none", "object/cat"],  # what a classifier sees in the unlearned model's images
references=["style/van-gogh", "style/van-gogh", "object/cat"],  # what the prompts ask for
target="style/van-gogh",""",
        ),
        "prompts": Kind(
            _IMAGES,
            _SOURCES["prompts"],
            (("string", "string"), ("image", "string")),
            """\
predictions=["unlearned/0.png", "unlearned/1.png"],  # paths, or PIL images
references=["a photo of a church", "a dog in the rain"],  # their prompts""",
        ),
        "original_images": Kind(
            _IMAGES,
            _SOURCES["original_images"],
            (("string", "string"), ("image", "image")),
            """\
predictions=["unlearned/0.png", "unlearned/1.png"],  # paths, or PIL images
references=["original/0.png", "original/1.png"],  # the original model's, for the same prompts and seeds""",
        ),
        "row_ids": Kind(
            _IMAGES,
            "id of the row of `igmu/bench` for which each image was generated; all rows must belong to one concept, or "
            "to the config `general`",
            (("string", "string"), ("image", "string")),
            """\
predictions=[f"unlearned/{line['file_name']}" for line in lines],  # paths, or PIL images
references=[line["id"] for line in lines],  # ids of their rows in igmu/bench, such as 31b1508ad45a54f3
original_predictions=[f"original/{line['file_name']}" for line in lines],
config="object.church",
detector="clip",""",
            (
                "import json\n\n",
                """\
# Generate both models' images first: igmu generate --model PATH --config object.church --out unlearned
lines = [json.loads(line) for line in open("unlearned/metadata.jsonl")]
""",
            ),
        ),
    }
)


def references_of(name: str) -> References:
    """The kind of references of a metric, according to its requirements.

    >>> references_of("concept_accuracy"), references_of("lpips")
    ('labels', 'original_images')

    Raises:
        UnknownMetricError: the name is unknown; the message suggests similar names.
    """
    from igmu_metrics import registry

    metric = registry.metric(name)
    if "predictions" in _parameters(metric):
        return "labels"
    sources = {s for e in metric.INFO.extracts if e.required for s in e.source.split("+")} - {"images"}
    if sources == {"prompts"}:
        return "prompts"
    return "original_images" if sources == {"original_images"} else "row_ids"


def arguments(name: str) -> dict[str, str]:
    """All arguments of `metric.compute` with their descriptions from the docstrings.

    >>> list(arguments("lpips"))[:5]
    ['predictions', 'references', 'ids', 'seeds', 'splits']

    Args:
        name: the metric.
    """
    from igmu_metrics import registry
    from igmu_metrics.api import OF_FOLDERS, score, score_rows
    from igmu_metrics.settings import options

    metric, kind = registry.metric(name), references_of(name)
    given = {"predictions": KINDS[kind].predictions, "references": KINDS[kind].references}
    own = _documented(getattr(metric, "rows", None))
    if kind == "labels":
        return own | given
    if kind == "row_ids":
        given["original_predictions"] = _SOURCES["original_images"].replace("prompts", "rows")
        own = {k: text for k, text in _documented(score_rows).items() if k not in _NOT_OF_ROWS}
        return given | own | {name: o.help for name, o in options().items() if name not in OF_FOLDERS}
    optional = {s for e in metric.INFO.extracts if not e.required for s in e.source.split("+")} - {"images", kind}
    given |= {source: f"{_SOURCES[source]} (optional)" for source in sorted(optional)}
    computed = {e.argument for e in metric.INFO.extracts}
    given |= {k: text for k, text in own.items() if k not in computed}
    return given | {k: text for k, text in _documented(score).items() if k in _OF_SCORE}


def described(name: str) -> str:
    """The arguments as a list in Markdown."""
    lines = [f"- `{argument}`: {text.rstrip('.')}." for argument, text in arguments(name).items()]
    return "\n".join([*lines, *([f"- {_NOTES[name]}"] if name in _NOTES else [])])


def usage(name: str, owner: str) -> str:
    """An example call of the metric, to copy."""
    from igmu_metrics import registry

    kind = KINDS[references_of(name)]
    imports, before = kind.before
    given = "".join(f"    {line}\n" for line in kind.example.splitlines())
    text = f'{imports}import evaluate\n\n{before}metric = evaluate.load("{owner}/{name}")\nmetric.compute(\n{given})'
    for usual, needed in (pair for n in getattr(registry.metric(name), "NEEDS", ()) for pair in _SETTINGS.get(n, ())):
        text = text.replace(usual, needed.replace("\n", "\n    "))
    return text


def _parameters(metric: Any) -> Mapping[str, inspect.Parameter]:
    rows = getattr(metric, "rows", None)
    return inspect.signature(rows).parameters if rows is not None else {}


def _documented(function: Callable[..., Any] | None) -> dict[str, str]:
    """Arguments with their descriptions on one line, from the section "Args" of a docstring."""
    text = (function is not None and inspect.getdoc(function)) or ""
    section = re.search(r"^Args:\n((?:    .*\n?)+)", text, re.MULTILINE)
    found = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", section[1] if section else "", re.MULTILINE)
    return {name: " ".join(line.strip() for line in told.splitlines()) for name, told in found}
