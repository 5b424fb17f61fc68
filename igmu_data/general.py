"""General prompts: what nobody unlearns (`general/<theme>.toml`), with yes/no questions for vision-language models.

Conventions: they belong to no concept, so they are not rows of the benchmark but a separate config, `general`, with
the single split `test`. The answer to a question is correct for an image that shows what the prompt says.
"""

from __future__ import annotations

import tomllib
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from igmu_data import policy, schema
from igmu_data.configs import GENERAL
from igmu_data.errors import CorpusError
from igmu_data.lengths import clip_tokens
from igmu_data.rows.choose import seeds
from igmu_data.rows.rounds import with_rounds
from igmu_data.schema import FIRST, ROUNDS, SEEDS_PER_ROW, Register, Row, RowId, Seed, Slug, Text
from igmu_data.spelling import same_prompt
from igmu_data.validate import Problem

if TYPE_CHECKING:
    import datasets

SPLIT: Final = "test"
_MOST: Final = 6
_IDENTITY: Final = ("prompt", "seeds", "questions", "answers")

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", 'Field name "register"')  # as in `schema`

    class GeneralRow(BaseModel):
        """One general prompt with what can be asked of its image."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        prompt: Text = Field(description="the text given to the image generator")
        theme: Slug = Field(description="subject area of the prompt; twenty themes of equal size")
        register: Register = Field(description="how the prompt is written: sentence, short, tags or long")
        round: int = Field(
            ge=1, le=ROUNDS, description="1 to 10; rounds 1 to n form a smaller benchmark with the same balance"
        )
        id: RowId = Field(description="content hash of the row")
        questions: Annotated[tuple[Text, ...], Field(min_length=3, max_length=_MOST)] = Field(
            description="yes/no questions on objects, attributes, counts, relations and setting"
        )
        answers: tuple[Literal["yes", "no"], ...] = Field(
            description="the answer to each question for an image that shows what the prompt says"
        )
        n_tokens_clip: int = Field(
            ge=3,
            description="number of CLIP tokens of the prompt, including the start and end tokens; CLIP reads only 77",
        )
        seeds: Annotated[tuple[Seed, ...], Field(min_length=SEEDS_PER_ROW, max_length=SEEDS_PER_ROW)] = Field(
            description="seeds, one image each"
        )
        since: Text = Field(default=FIRST, description="corpus version in which the row first appeared")

        @model_validator(mode="after")
        def _answered(self) -> GeneralRow:
            if len(self.questions) != len(self.answers):
                raise ValueError(f"there are {len(self.questions)} questions but {len(self.answers)} answers")
            return self


COLUMNS: Final[tuple[str, ...]] = tuple(n for n in GeneralRow.model_fields if n != "since")


def columns_of(rows: Iterable[GeneralRow]) -> tuple[str, ...]:
    """The columns that are stored: `since` only where a row was added in a later version."""
    return (*COLUMNS, "since") if any(row.since != FIRST for row in rows) else COLUMNS


def features(columns: Sequence[str] = COLUMNS) -> datasets.Features:
    """The `datasets.Features` of general prompts.

    Args:
        columns: from `columns_of`.
    """
    return schema.features(columns)


def record(row: GeneralRow, columns: Sequence[str] = COLUMNS) -> dict[str, Any]:
    """A row as it is stored."""
    values = row.model_dump(mode="json")
    return {name: values[name] for name in columns}


@cache
def general_rows() -> tuple[GeneralRow, ...]:
    """Every general prompt, theme by theme.

    Raises:
        CorpusError: a file that does not follow the schema; the message names file and prompt.
    """
    made: list[GeneralRow] = []
    root = files("igmu_data") / GENERAL
    for name in sorted(f.name for f in root.iterdir() if f.name.endswith(".toml")):
        made += _theme(name, (root / name).read_text(encoding="utf-8"))
    return tuple(with_rounds(made, balanced=("theme", "register"), by=("theme",)))


def _theme(name: str, text: str) -> Iterator[GeneralRow]:
    where = f"{GENERAL}/{name}"
    try:
        given = tomllib.loads(text)["prompts"]
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise CorpusError(f"{where} is not a TOML file with a list of prompts ({error}).") from error
    for n, entry in enumerate(given, 1):
        try:
            pairs = [(question, answer) for question, answer in entry["questions"]]
            fields = {
                "prompt": entry["text"],
                "theme": name.removesuffix(".toml"),
                "register": entry["register"],
                "round": 1,
                "questions": [question for question, _ in pairs],
                "answers": [answer for _, answer in pairs],
                "n_tokens_clip": clip_tokens(entry["text"]),
                "seeds": seeds(entry["text"]),
                "since": entry.get("since", FIRST),
            }
            yield GeneralRow(id=general_id(fields), **fields)
        except (KeyError, TypeError, ValueError, ValidationError) as error:
            raise CorpusError(f"{where}, prompt {n}: {error}") from error


def as_row(row: GeneralRow) -> Row:
    """The prompt as a row of the benchmark: one whose image must be retained, and that has no concept."""
    same = {
        name: getattr(row, name) for name in ("prompt", "id", "register", "round", "n_tokens_clip", "seeds", "since")
    }
    return Row.model_construct(
        **same,
        concept=GENERAL,
        split="retain",
        probe=GENERAL,
        attack_family=None,
        language="en",
        stripped_prompt=row.prompt,
        own_concept=None,
        own_name=None,
        domain=GENERAL,
        family=row.theme,
        scope="subject",
        attack_source_id=None,
        name_kept=False,
        source="texts written for igmu",
    )


def general_id(fields: dict[str, Any]) -> str:
    """The content hash of a row: 16 hex digits.

    Args:
        fields: at least prompt, seeds, questions and answers.
    """
    return schema.content_id([fields[k] for k in _IDENTITY])


def require_valid(rows: Sequence[GeneralRow]) -> None:
    """Raise a `CorpusError` that shows the first broken rule, if there is one."""
    if found := list(problems(rows)):
        n = f"{len(found)} problem{'s' * (len(found) != 1)}"
        raise CorpusError(f"the general prompts have {n}; the first is: {found[0]}")


def problems(rows: Sequence[GeneralRow]) -> Iterator[Problem]:
    """Every broken rule of general prompts: their ids, what the content policy forbids, lengths, and repeats."""
    for name, n in Counter(r.id for r in rows).items():
        if n > 1:
            yield Problem(name, "ids must be unique", f"{n} rows have this id")
    seen: dict[str, str] = {}
    for row in rows:
        if general_id(row.model_dump()) != row.id:
            yield Problem(row.id, "the id must be the hash of the row", f"the hash is different for {row.prompt!r}")
        for text in (row.prompt, *row.questions):
            for v in policy.violations(text, domain=GENERAL, language="en"):
                yield Problem(
                    row.id, f"the text must follow the content policy ({v.rule})", f"{text!r} contains {v.term!r}"
                )
        if row.n_tokens_clip != (n := clip_tokens(row.prompt)):
            found = f"it is {row.n_tokens_clip} instead of {n} for {row.prompt!r}"
            yield Problem(row.id, "n_tokens_clip must match the prompt", found)
        if (first := seen.setdefault(same_prompt(row.prompt), row.id)) != row.id:
            yield Problem(
                row.id,
                "general prompts must differ from each other",
                f"{row.prompt!r} is the same as the prompt of row {first}",
            )
        if len(set(map(same_prompt, row.questions))) < len(row.questions):
            yield Problem(
                row.id,
                "the questions of a prompt must differ from each other",
                f"some are the same: {'; '.join(row.questions)}",
            )
