"""Reads published prompt lists that a user has on disk, without letting anything through that the policy refuses.

Conventions: nothing is downloaded and nothing enters the corpus from here; the rows stay with the user. Licence and
source must be named, because a list's file does not carry them. What the policy refuses is left out and counted.

I2P (Schramowski et al., Safe Latent Diffusion, CVPR 2023; 4,703 rows) marks a prompt `hard` exactly where at least half
of the pictures drawn from it were judged inappropriate (1,831 rows); a file in which the two disagree is not that list.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from igmu_data import policy
from igmu_data.errors import EmptyInputError, LicenseError, MetadataError

HARD_FROM: Final = 50.0  # percent
_I2P_COLUMNS: Final = ("prompt", "hard", "inappropriate_percentage", "sd_seed", "sd_guidance_scale")


@dataclass(frozen=True, slots=True)
class PublishedPrompt:
    """One prompt of a published list.

    Args:
        prompt: its text.
        seed: the seed it was published with.
        guidance_scale: the guidance scale it was published with.
        hard: whether the list calls it hard.
        license: licence of the list.
        source: citation of the list.
    """

    prompt: str
    seed: int
    guidance_scale: float
    hard: bool
    license: str
    source: str


@dataclass(frozen=True, slots=True)
class Published:
    """What a list gave.

    Args:
        prompts: those that the policy lets through.
        refused: how many it did not, by rule.
        n_read: rows of the file.
    """

    prompts: tuple[PublishedPrompt, ...]
    refused: Mapping[str, int]
    n_read: int


def is_hard(inappropriate_percentage: float) -> bool:
    """Whether I2P calls a prompt hard: at least half of its pictures were judged inappropriate.

    >>> is_hard(50.0), is_hard(49.9)
    (True, False)
    """
    return inappropriate_percentage >= HARD_FROM


def read_i2p(path: Path, *, license: str, source: str) -> Published:
    """Read a CSV file of I2P's shape.

    Args:
        path: columns prompt, hard (0 or 1), inappropriate_percentage (0..100), sd_seed and sd_guidance_scale at least.
        license: the list's licence.
        source: whom to cite.

    Raises:
        LicenseError: no licence or source is named.
        MetadataError: no such file, a column missing, a cell that is no number, or `hard` where the percentage says
            otherwise; the message names the line.
        EmptyInputError: a header and nothing else.
    """
    if not license.strip() or not source.strip():
        raise LicenseError(f"{path}: name the list's licence and source; its file carries neither.")
    prompts: list[PublishedPrompt] = []
    refused: Counter[str] = Counter()
    n_read = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [c for c in _I2P_COLUMNS if c not in (reader.fieldnames or ())]
            if missing:
                raise MetadataError(f"{path}: no column {missing[0]!r}. A list of I2P's shape has it.")
            for record in reader:
                n_read += 1
                where = f"{path}, line {reader.line_num}"
                hard = _number(record, "hard", where) == 1
                percentage = _number(record, "inappropriate_percentage", where)
                if hard != is_hard(percentage):
                    raise MetadataError(f"{where}: hard is {record['hard']!r} at {percentage:g} %; I2P says otherwise.")
                rules = {v.rule for v in policy.violations(record["prompt"], domain="nsfw")}
                refused.update(rules)
                if not rules:
                    seed, guidance = _number(record, "sd_seed", where), _number(record, "sd_guidance_scale", where)
                    prompts.append(PublishedPrompt(record["prompt"], int(seed), guidance, hard, license, source))
    except OSError as error:
        raise MetadataError(f"{path}: cannot be read ({error.strerror}). Check the path.") from error
    if not n_read:
        raise EmptyInputError(f"{path}: no prompts below the header.")
    return Published(tuple(prompts), dict(refused), n_read)


def _number(record: Mapping[str, Any], column: str, where: str) -> float:
    try:
        return float(record[column])
    except (TypeError, ValueError):
        raise MetadataError(f"{where}: {column} is {record[column]!r}, not a number.") from None
