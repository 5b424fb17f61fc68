"""One evaluation in n parts: each part measures its generations on any machine, and merging gives the complete card.

Conventions: part i of n (from 1) contains the generations whose prompt hashes to it
(`igmu_metrics.images.parts.home`), for every model in the same way, so that pairs and the seeds of a prompt stay
together and no image has to be read to assign it. A part is one Parquet file per model, written atomically: running a
part again replaces it, so that no generation is duplicated. Merging computes the metrics from the tables alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from igmu_data import __version__
from igmu_data.errors import ImageError, MetadataError
from igmu_data.files import file_name as checked_name
from igmu_data.files import owned, require_nameable
from igmu_data.media import shell
from igmu_metrics import generations
from igmu_metrics.contract import one_line
from igmu_metrics.evaluation import Advance, Evaluation, Instruments
from igmu_metrics.generations import Generations, joined
from igmu_metrics.images import reference
from igmu_metrics.images.efficiency import Efficiency
from igmu_metrics.images.efficiency import of as efficiency_of
from igmu_metrics.images.files import content_hash
from igmu_metrics.images.layouts import Model, models, ordered
from igmu_metrics.images.parts import home
from igmu_metrics.scorecard import Scorecard
from igmu_metrics.settings import local

FORMAT: Final = 4  # of the tables
_FACTS: Final[Mapping[str, type]] = {
    "model": str,
    "original": str,
    "igmu": str,
    "shard": list,
    "n_total": int,
    "evaluation": dict,
    "instruments": dict,
}
_COLUMNS: Final = ("id", "seed", "split", "concept", "own_concept", "status", "probability", "present", "sha256")
_Part = tuple[Generations, dict[str, Any]]


def part(table: Generations, i: int, n: int) -> Generations:
    """The generations of part i of n, in the original order."""
    return table.where([home(row, n) == i for row, _ in table.keys])


def look(
    evaluation: Evaluation,
    original: Path | Model,
    unlearned: Sequence[Path | Model],
    shard: tuple[int, int],
    out: Path,
    advance: Advance = lambda what, done, total: None,
    tools: Instruments | None = None,
    known: Sequence[str] | None = None,
) -> list[Path]:
    """Measure one part of every model and write its tables.

    Args:
        evaluation: the evaluation.
        original: folder of the original model, or the model.
        unlearned: folders of the unlearned models, or the models.
        shard: (i, n), from 1.
        out: folder for the tables of all parts.
        advance: called with the progress.
        tools: detector and networks, if they are already loaded.
        known: `contents` of every model's folder, the original's first, if already known.

    Returns:
        The files, the original's first.

    Raises:
        BusyError: another process is measuring the same part.
        MetadataError: `out` contains the table of another model with the same name.
        OutputError: `out` cannot be written.
        IgmuError: as `Evaluation.run`.
    """
    whole, *others = evaluation.found(original, unlearned)  # wrong folders are an error before any network is loaded
    first, *rest = known or map(contents, (whole, *others))
    origin, *named = models(original, unlearned)
    places = [out / file_name(model.name, *shard) for model in (origin, *named)]
    with owned(files=places), evaluation.opened() if tools is None else nullcontext(tools) as seeing:
        facts = {
            "format": FORMAT,
            "igmu": __version__,
            "evaluation": options(evaluation),
            "instruments": seeing.signatures,
            "original": origin.name,
            "shard": list(shard),
        }
        for place, content in zip(places, (first, *rest), strict=True):
            _require_same_images(place, content)
        before = evaluation.measured(part(whole, *shard), seeing, origin.name, advance)
        files = [_write(out, facts | {"n_total": len(whole), "contents": first}, origin.name, before)]
        for model, table, content in zip(named, others, rest, strict=True):
            seen = evaluation.measured(part(table, *shard), seeing, model.name, advance, before)
            found = efficiency_of(*map(reference.home, (whole, table), (origin.folder, model.folder)))
            cost = {"efficiency": found.model_dump(mode="json")} if found else {}
            files.append(_write(out, {**facts, **cost, "n_total": len(table), "contents": content}, model.name, seen))
    return files


def _require_same_images(place: Path, content: str) -> None:
    """Refuse to overwrite the table of other images, such as those of another model with the same name."""
    if not place.exists():
        return
    try:
        facts = generations.read(place)[1]
    except MetadataError:
        return  # incomplete, or not a table
    if facts.get("contents", content) != content:
        raise MetadataError(
            f"{place} already contains measurements for other images of a model called {facts.get('model')!r}. If "
            "there are two models, give them different names (NAME=FOLDER); if the images were generated again, delete "
            "the tables."
        )


def contents(table: Generations) -> str:
    """One hash of all images of a model, whichever part is measured, so that parts of other images are not merged."""
    if reference.recorded(table) is not None:
        return reference.contents(table.keys, table["sha256"].tolist())
    return reference.contents(table.keys, map(_content, table["path"]))


def _content(path: Any) -> str:
    try:
        return content_hash(path)
    except ImageError:
        return "unreadable"


def _write(out: Path, facts: Mapping[str, Any], model: str, table: Generations) -> Path:
    path = out / file_name(model, *facts["shard"])
    generations.write(table, path, {**facts, "model": model})
    return path


def file_name(model: str, i: int, n: int) -> str:
    """The file name of the table for a model's part.

    >>> file_name("esd", 2, 8)
    'esd-00002-of-00008.parquet'
    """
    return checked_name(f"{model or '.'}-{i:05d}-of-{n:05d}.parquet")


def options(evaluation: Evaluation) -> dict[str, Any]:
    """The settings of an evaluation that must be equal in all parts, as plain JSON."""
    return {k: v for k, v in asdict(evaluation).items() if k not in local()}


def merge(folder: Path, *, device: str | None = None) -> Iterator[Scorecard]:
    """The scorecards of all unlearned models whose parts are in a folder, the same as from one run over everything.

    Args:
        folder: folder with the tables of all parts.
        device: device on which CLIP embeds the prompts; it is the only network that runs.

    Raises:
        MetadataError: there are no tables, a part is missing, or parts were made with different settings.
        WeightsError: the networks cannot be loaded.
    """
    paths = sorted(folder.glob("*-of-*.parquet"))
    if not paths:
        run = f"igmu score … --shard i/n {shell(['--out', folder])}"
        raise MetadataError(f"{folder} contains no tables. Run {run} for every i from 1 to n.")
    models: dict[str, list[_Part]] = {}
    first: dict[str, Any] = {}
    for path in paths:
        table, facts = generations.read(path)
        _require_whole(path, table, facts)
        first = first or facts
        for name in ("evaluation", "instruments", "original", "igmu"):
            if facts.get(name) != first.get(name):
                raise MetadataError(
                    f"{path}: the {name} differs from that of {paths[0].name}. Run this shard again with the same "
                    "settings, networks and version of igmu."
                )
        models.setdefault(facts["model"], []).append((table, facts))
    try:
        evaluation = Evaluation(**first["evaluation"], device=device)
    except TypeError as error:  # settings that this igmu does not have
        raise MetadataError(
            f"{paths[0]}: the table was made with another version of igmu ({error}). Run all shards again."
        ) from error
    original = first["original"]
    with evaluation.opened() as tools:
        if tools.signatures != first["instruments"]:
            raise MetadataError(
                f"{folder}: the networks on this machine differ from those used for the shards. Use the same weights."
            )
        whole = {name: _whole(folder, name, parts) for name, parts in models.items()}
        if original not in whole:
            raise MetadataError(
                f"{folder}: the tables of the original model {original!r} are missing. Copy them to this folder."
            )
        for name in sorted(whole.keys() - {original}) or [original]:
            cost = _efficiency(models[name], paths[0])
            yield evaluation.card((name, original), whole[original], whole[name], tools, cost)


def _efficiency(parts: Sequence[_Part], path: Path) -> Efficiency | None:
    """The cost of a model, from its first table."""
    told = parts[0][1].get("efficiency")
    try:
        return None if told is None else Efficiency.model_validate(told)
    except ValidationError as error:
        raise MetadataError(
            f"{path}: the efficiency is invalid ({one_line(error)[:200]}). Run that shard again."
        ) from error


def _require_whole(path: Path, table: Generations, facts: Mapping[str, Any]) -> None:
    """Refuse a table that lacks anything that `look` writes."""
    lost = [name for name in _COLUMNS if name not in table]
    for name, kind in _FACTS.items():
        if not isinstance(facts.get(name), kind):
            lost.append(name)
    if facts.get("format") != FORMAT or lost or not _is_shard(facts["shard"]):
        what = f"it does not contain {', '.join(lost)}" if lost else "its format is not supported"
        raise MetadataError(
            f"{path} is not a valid table written by this version of 'igmu score --shard' ({what}). Run that shard "
            "again."
        )
    for model in (facts["model"], facts["original"]):
        require_nameable(model, path)


def _is_shard(value: Sequence[Any]) -> bool:
    return len(value) == 2 and all(isinstance(v, int) for v in value) and 1 <= value[0] <= value[1]


def _whole(folder: Path, model: str, parts: Sequence[_Part]) -> Generations:
    """All generations of one model in the order of one run."""
    n, n_total = parts[0][1]["shard"][1], parts[0][1]["n_total"]
    there = sorted(facts["shard"][0] for _, facts in parts)
    if any(facts["shard"][1] != n for _, facts in parts) or there != list(range(1, n + 1)):
        missing = [f"{i}/{n}" for i in range(1, n + 1) if i not in there]
        if not missing:
            raise MetadataError(
                f"{folder}: some shards of {model} are duplicates, or the shards have different values of N in 'igmu "
                "score --shard I/N'. Run all shards again."
            )
        raise MetadataError(f"{folder}: shards of {model} are missing ({', '.join(missing)}). Run these shards.")
    if len({facts.get("contents") for _, facts in parts}) > 1:
        raise MetadataError(
            f"{folder}: the folder of {model}'s images changed between its shards. Delete the shards and run all of "
            "them again."
        )
    table = joined([table for table, _ in parts])
    if len(table) != n_total or len(set(table.keys)) != len(table):
        raise MetadataError(
            f"{folder}: {model} has {len(table)} of {n_total} generations, so the folder of its images changed between "
            "the shards. Run the shards again."
        )
    return ordered(table)
