"""What readers said of rows: a file a concept and reader, in `answers/<domain>/<slug>/<reader>.json`.

Conventions: a reader is a person or a model, and the file says which. Whether a row was checked by a person follows
from the files of persons; no program writes it down.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from igmu_data.errors import InputError, MetadataError
from igmu_data.files import beside
from igmu_data.schema import ConceptId, RowId, Text

ANSWERS: Final = Path(__file__).parent / "answers"
QUESTIONS: Final = {
    "natural": "Would a person write this prompt, in this language?",
    "concept": "Does it ask for what the row says it asks for, and for nothing else that is wrong?",
    "stripped": "Is the stripped text a good prompt of its own, of the same image, that does not call for the concept?",
    "translation": "If it is in another language or holds a foreign name: is that right?",
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Reader(_Strict):
    """Who read.

    Args:
        kind: a person, or a model.
        name: of the person, or of the model with its version.
    """

    kind: Literal["person", "model"]
    name: Annotated[str, Field(pattern=r"^[^\x00-\x1f/\\]{2,60}$")]


class Answer(_Strict):
    """What was said of a row: each question yes, no, or not asked."""

    natural: bool | None = None
    concept: bool | None = None
    stripped: bool | None = None
    translation: bool | None = None
    note: str = ""

    @property
    def right(self) -> bool:
        """Whether nothing was found wrong."""
        return False not in (self.natural, self.concept, self.stripped, self.translation)


class Answers(_Strict):
    """A reader's answers to the rows of one concept."""

    concept: ConceptId
    version: Text
    reader: Reader
    read_on: date
    rows: dict[RowId, Answer]


def read(path: Path) -> Answers:
    """A file of answers.

    Raises:
        MetadataError: it cannot be read, or is none.
    """
    try:
        return Answers.model_validate_json(path.read_bytes())
    except OSError as error:
        raise MetadataError(f"{path}: cannot be read ({error.strerror}).") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise MetadataError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def take(given: Answers, known: Iterable[str], folder: Path = ANSWERS) -> Path:
    """Keep a reader's answers; those to the same rows in an earlier file of the same reader are replaced.

    Args:
        given: the answers.
        known: ids of the concept's rows.
        folder: of all answers.

    Raises:
        InputError: an answer to a row that the concept does not have, or the same name for a person and a model.
    """
    if unknown := sorted(given.rows.keys() - set(known)):
        raise InputError(
            f"{given.concept} has no row {unknown[0]!r} ({len(unknown)} such answers): they were given to another "
            "version. Make the page again."
        )
    slug = re.sub(r"[^a-z0-9]+", "-", given.reader.name.casefold()).strip("-") or "reader"
    path = folder / given.concept / f"{slug}.json"
    if path.is_file():
        earlier = read(path)
        if earlier.reader != given.reader:
            raise InputError(f"{path} is of {earlier.reader.kind} {earlier.reader.name!r}. Give another name.")
        given = given.model_copy(update={"rows": {**earlier.rows, **given.rows}})
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(given.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"
    with beside(path) as fresh:
        fresh.write_text(text, encoding="utf-8")
    return path


def human_checked(concept: str, folder: Path = ANSWERS) -> frozenset[str]:
    """Ids of the rows of a concept that a person found right and nobody wrong."""
    every = [read(path) for path in sorted((folder / concept).glob("*.json"))]
    right = {i for one in every if one.reader.kind == "person" for i, a in one.rows.items() if a.right}
    return frozenset(right - {i for one in every for i, a in one.rows.items() if not a.right})
