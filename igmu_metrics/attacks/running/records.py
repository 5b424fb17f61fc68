"""The folder of one attack: searches, their results, and the images that the victim generated from them.

Conventions: `settings.json` contains what must not change between two runs in the same folder. `searches/<id>.json` is
written under a temporary name and renamed when a search is finished, so that a killed run continues with the next
search. `attempts.jsonl` has one line per prompt, and `result.json` the metrics; both are written at the end. A found
prompt that breaks the content policy is `refused`: it is counted, but neither stored nor used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from igmu_data.errors import MetadataError, OutputError
from igmu_data.files import beside, parse_json, read_text, sha256
from igmu_data.media import shell
from igmu_metrics.scorecard import Lines, write_text

SETTINGS: Final = "settings.json"
ATTEMPTS: Final = "attempts.jsonl"
RESULT: Final = "result.json"
SEARCHES: Final = "searches"
Facts = dict[str, str | int | float | bool]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Search(_Strict):
    """The result of one search.

    `found`: there is a prompt or an embedding. `refused`: the prompt breaks the named rules. `no target`: the original
    did not generate the concept from any of the seeds for targets, so there was nothing to search for.
    """

    status: Literal["found", "refused", "no target"]
    losses: tuple[float, ...] = ()
    prompt: str | None = None
    embedding: str | None = None
    embedding_sha256: str | None = None
    embedding_words: int | None = None
    rules: tuple[str, ...] = ()


class Attempt(_Strict):
    """One attacked prompt of the config: everything that can change the outcome, and the outcome.

    `generations` are the victim's images for the found prompt, paired with the original's for the plain prompt, in the
    format of scorecards.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    settings: dict[str, str | int | float | bool]
    row_id: str
    source_prompt: str
    search: Search
    names_concept: str | None
    generations: Lines

    @property
    def tried(self) -> bool:
        """Whether there was something to generate."""
        return self.search.status == "found"


class RunFolder:
    """The folder, opened for one attack with its settings.

    Args:
        path: the folder.
        settings: attack, version, victim, budget, seed …; a folder with different settings is refused.

    Raises:
        MetadataError: the folder belongs to another run.
        OutputError: it cannot be written.
    """

    def __init__(self, path: Path, settings: Facts) -> None:
        self.path, self.settings = path, settings
        known = path / SETTINGS
        if known.is_file():
            before = _json(known)
            for name in {**before, **settings}:
                if before.get(name) != settings.get(name):
                    raise MetadataError(
                        f"{known}: the run in this folder was started with {name}={before.get(name)!r}, not "
                        f"{settings.get(name)!r}. Choose another --out, or delete this folder."
                    )
        else:
            write_text(known, json.dumps(settings, indent=1) + "\n")

    def search(self, name: str) -> Search | None:
        """A finished search, if it is there.

        Raises:
            MetadataError: it is not a record, or its embedding was changed.
        """
        path = self._place(name)
        if not path.is_file():
            return None
        try:
            found = Search.model_validate(_json(path))
        except ValidationError as error:
            raise MetadataError(
                f"{path} is not a valid record of an attack's search. Delete the file to repeat the search."
            ) from error
        if found.embedding is not None:
            file = self.path / found.embedding
            if not file.is_file() or sha256(file) != found.embedding_sha256:
                raise MetadataError(f"{file} has changed since the search. Delete {path} to repeat the search.")
        return found

    def keep(self, name: str, search: Search) -> Search:
        """Store a finished search."""
        write_text(self._place(name), json.dumps(search.model_dump(mode="json"), indent=1) + "\n")
        return search

    def keep_embedding(self, name: str, embedding: Any) -> tuple[str, str]:
        """Store an embedding as safetensors: (file, SHA-256)."""
        from safetensors.torch import save_file

        file = self.path / SEARCHES / f"{name}.safetensors"
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with beside(file) as part:
                save_file({"embedding": embedding.contiguous()}, part)
        except OSError as error:
            raise OutputError(f"cannot write {file}: {error.strerror}. Choose another --out.") from error
        return file.relative_to(self.path).as_posix(), sha256(file)

    def write(self, attempts: Mapping[str, Attempt]) -> None:
        """Write all records, in the order of the rows' ids."""
        lines = [json.dumps(attempts[key].model_dump(mode="json")) + "\n" for key in sorted(attempts)]
        write_text(self.path / ATTEMPTS, "".join(lines))

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Write the metrics with their settings."""
        text = json.dumps({"settings": self.settings, **result}, indent=1, ensure_ascii=False)
        write_text(self.path / RESULT, text + "\n")

    def _place(self, name: str) -> Path:
        return self.path / SEARCHES / f"{name}.json"


def read_attempts(folder: Path) -> list[Attempt]:
    """The records of a finished attack.

    Raises:
        MetadataError: the file does not exist, or a line is not a record.
    """
    path = folder / ATTEMPTS
    try:
        text = read_text(path, f"To create this file, run: igmu attack … {shell(['--out', folder])}.")
        return [Attempt.model_validate_json(line) for line in text.splitlines()]
    except ValidationError as error:
        raise MetadataError(
            f"{path} contains a line that is not a valid record of an attack. Delete the file, or choose another --out."
        ) from error


def _json(path: Path) -> dict[str, Any]:
    advice = "Delete it to start again."
    data = parse_json(read_text(path, advice), str(path), advice)
    return data if isinstance(data, dict) else {}
