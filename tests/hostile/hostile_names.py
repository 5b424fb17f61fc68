"""Names of strangers, and every medium that they are written to."""

from __future__ import annotations

import csv
import io
import re
import shlex
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

from harness import NAMES, Target, command
from hypothesis import strategies as st
from reported import CONFIG, draw

from igmu_data.errors import IgmuError
from igmu_data.files import file_name
from igmu_data.media import latex, shell, slug, visible
from igmu_metrics import generations
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.scale import shards

FORMULAS: Final = ("=", "+", "-", "@")


@st.composite
def names(draw: Callable[[st.SearchStrategy[Any]], Any]) -> str:
    """Known tricks, alone and put together, and any text at all."""
    part = st.sampled_from(NAMES) | st.text(max_size=20)
    return "".join(draw(st.lists(part, min_size=1, max_size=3)))[:300]


def prepare(base: Path) -> None:
    """Images of three models, and the tables of one shard."""
    labels = draw(base)
    evaluation = Evaluation(CONFIG, detector=f"labels:{labels}")
    shards.look(evaluation, base / "drawn" / "original", [base / "drawn" / "esd"], (1, 1), base / "tables")


def written_everywhere(name: str, place: Path, base: Path) -> list[str]:
    """A model of this name in a published table, in shards, in a folder, and in what is made of them."""
    told = [visible(name), slug(name), latex(name)]
    assert shlex.split(shell(["igmu", "verify", name])) == ["igmu", "verify", visible(name)]
    assert re.fullmatch(r"[A-Za-z0-9._-]+", slug(name))
    assert "\n" not in latex(name)
    with suppress(IgmuError):
        assert (place / file_name(name)).parent == place
    told += published(name, place)
    told += merged(name, place, base)
    told += of_a_folder(name, place, base)
    return told


def published(name: str, place: Path) -> list[str]:
    """In a table of somebody's paper."""
    table = place / "published.csv"
    try:
        with table.open("w", newline="", encoding="utf-8") as handle:
            csv.writer(handle).writerows([["model", "n", "successes"], [name, 50, 10], ["other", 50, 40]])
    except (UnicodeEncodeError, csv.Error):
        return []
    try:
        return [command("compare", "--published", table), command("check-table", table)]
    except IgmuError as error:
        return [visible(error, lines=True)]


def merged(name: str, place: Path, base: Path) -> list[str]:
    """In the tables of a shard, which say themselves whose they are."""
    (place / "tables").mkdir()
    for number, path in enumerate(sorted((base / "tables").glob("*.parquet"))):
        table, facts = generations.read(path)
        if facts["model"] != facts["original"]:
            facts["model"] = name
        try:
            generations.write(table, place / "tables" / f"{number}-of-1.parquet", facts)
        except UnicodeEncodeError:
            return []
    try:
        return [command("merge", place / "tables", "--out", "merged")]
    except IgmuError as error:
        return [visible(error, lines=True)]


def of_a_folder(name: str, place: Path, base: Path) -> list[str]:
    """As the name of a folder that is scored, compared, reported and exported."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        return []
    try:
        folder = place / "drawn" / name
        shutil.copytree(base / "drawn" / "esd", folder)
        shutil.copytree(base / "drawn" / "original", place / "drawn" / "original", dirs_exist_ok=True)
    except (OSError, UnicodeEncodeError):
        return []
    labels = place / "drawn" / "labels.csv"
    lines = list(csv.reader((base / "drawn" / "labels.csv").read_text("utf-8").splitlines()))
    try:
        with labels.open("w", newline="", encoding="utf-8") as handle:
            csv.writer(handle).writerows(
                [path.replace("esd/", f"{name}/", 1) if path.startswith("esd/") else path, *rest]
                for path, *rest in lines
                if not path.startswith("fmn/")
            )
        told = [command("score", "--original", place / "drawn" / "original", "--unlearned", folder, "--config", CONFIG,
                        "--detector", f"labels:{labels}", "--no-cache", "--out", "cards")]  # fmt: skip
        told += [command(first, "cards") for first in ("verify", "compare", "power")]
        told.append(command("report", "cards", "--images", place / "drawn", "--out", "report.html"))
        told.append((place / "report.html").read_text(encoding="utf-8"))
        told.append(command("families", "cards", "--chart", "chart.svg"))
        ElementTree.parse(place / "chart.svg")
        told.append(command("export", "--csv", "cards"))
        cells = [cell for line in csv.reader(io.StringIO(told[-1])) for cell in line]
        assert not [c for c in cells if c.startswith(FORMULAS) and not re.fullmatch(r"-?[\d.e+-]+", c)]
        told.append(command("export", "--latex", "cards"))
        assert all(line.startswith(("%", "\\")) or line.endswith("\\\\") for line in told[-1].splitlines())
        told.append(command("paper", "cards"))
        told.append(command("check", "cards", "--min", "unlearning_accuracy=0"))
    except IgmuError as error:
        return [visible(error, lines=True)]
    assert visible(name) in told[1] or len(name) > 40, "the name is not what is shown"
    return told


TARGET: Final = Target(names(), written_everywhere, prepare)
