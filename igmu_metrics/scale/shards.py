"""One evaluation in n parts: each part looks at its own generations anywhere, and merging gives the one machine's card.

Conventions: part i of n (from 1) holds the generations whose prompt hashes to it (`igmu_metrics.images.parts.home`), in
every model alike, so that pairs and the seeds of a prompt stay together and no image needs to be read to know whose
it is. A part is one Parquet file a model, written whole or not at all: running a part again replaces it, so that every
generation is there once. Merging computes the metrics from the tables, without the images.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    """The generations of part i of n, in their order."""
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
    """Look at one part of every model, and write its tables.

    Args:
        evaluation: how.
        original: folder of the original model, or the model.
        unlearned: of the unlearned models.
        shard: (i, n), from 1.
        out: folder of the tables of all parts.
        advance: told about progress.
        tools: instruments that are loaded already.
        known: `contents` of every model's folder, the original's first, where somebody has read them already.

    Returns:
        The files, the original's first.

    Raises:
        BusyError: another process is looking at the same part.
        MetadataError: `out` holds the table of another model of the same name.
        OutputError: `out` cannot be written.
        IgmuError: as `Evaluation.run`.
    """
    if tools is None:
        with evaluation.opened() as opened:
            return look(evaluation, original, unlearned, shard, out, advance, opened, known)
    whole, *others = evaluation.found(original, unlearned)
    first, *rest = known or map(contents, (whole, *others))
    origin, *named = models(original, unlearned)
    facts = {
        "format": FORMAT,
        "igmu": __version__,
        "evaluation": options(evaluation),
        "instruments": tools.signatures,
        "original": origin.name,
        "shard": list(shard),
    }
    places = [out / file_name(model.name, *shard) for model in (origin, *named)]
    with owned(files=places):
        for place, content in zip(places, (first, *rest), strict=True):
            _require_same_images(place, content)
        before = evaluation.measured(part(whole, *shard), tools, origin.name, advance)
        files = [_write(out, facts | {"n_total": len(whole), "contents": first}, origin.name, before)]
        for model, table, content in zip(named, others, rest, strict=True):
            seen = evaluation.measured(part(table, *shard), tools, model.name, advance, before)
            found = efficiency_of(*map(reference.home, (whole, table), (origin.folder, model.folder)))
            cost = {"efficiency": found.model_dump(mode="json")} if found else {}
            files.append(_write(out, {**facts, **cost, "n_total": len(table), "contents": content}, model.name, seen))
    return files


def _require_same_images(place: Path, content: str) -> None:
    """Refuse to write over the table of other images: those of another model that is called alike."""
    if not place.exists():
        return
    try:
        facts = generations.read(place)[1]
    except MetadataError:
        return  # torn, or none
    if facts.get("contents", content) != content:
        raise MetadataError(
            f"{place}: the table of other images of a model called {facts.get('model')!r}. If there are two such "
            "models, name them: NAME=FOLDER; if the images were generated again, delete the tables."
        )


def contents(table: Generations) -> str:
    """One hash over all images of a model, whichever part is looked at: parts of other images are not merged."""
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
    """What the table of a model's part is called.

    >>> file_name("esd", 2, 8)
    'esd-00002-of-00008.parquet'
    """
    return checked_name(f"{model or '.'}-{i:05d}-of-{n:05d}.parquet")


def options(evaluation: Evaluation) -> dict[str, Any]:
    """What of an evaluation must be equal in all parts, as plain JSON."""
    return {k: v for k, v in asdict(evaluation).items() if k not in local()}


def merge(folder: Path, *, device: str | None = None) -> Iterator[Scorecard]:
    """The scorecard of every unlearned model whose parts lie in a folder: the same as of one run over everything.

    Args:
        folder: of the tables of all parts.
        device: where CLIP embeds the prompts; it is the only network that runs.

    Raises:
        MetadataError: no tables, a part missing, or parts made in different ways.
        WeightsError: the instruments cannot be loaded.
    """
    paths = sorted(folder.glob("*-of-*.parquet"))
    if not paths:
        run = f"igmu score … --shard i/n {shell(['--out', folder])}"
        raise MetadataError(f"{folder}: no tables. Run {run} for every i.")
    models: dict[str, list[_Part]] = {}
    first: dict[str, Any] = {}
    for path in paths:
        table, facts = generations.read(path)
        _require_whole(path, table, facts)
        first = first or facts
        for name in ("evaluation", "instruments", "original", "igmu"):
            if facts.get(name) != first.get(name):
                raise MetadataError(
                    f"{path}: made with other {name} than {paths[0].name}. Run that shard again with the same settings."
                )
        models.setdefault(facts["model"], []).append((table, facts))
    try:
        evaluation = Evaluation(**first["evaluation"], device=device)
    except TypeError as error:  # settings that this igmu does not have
        raise MetadataError(f"{paths[0]}: made with another igmu ({error}). Run all shards again.") from error
    original = first["original"]
    with evaluation.opened() as tools:
        if tools.signatures != first["instruments"]:
            raise MetadataError(f"{folder}: the networks here differ from those of the shards. Use the same weights.")
        whole = {name: _whole(folder, name, parts) for name, parts in models.items()}
        if original not in whole:
            raise MetadataError(f"{folder}: no tables of the original model {original!r}. Copy them there.")
        for name in sorted(whole.keys() - {original}) or [original]:
            cost = _efficiency(models[name], paths[0])
            yield evaluation.card((name, original), whole[original], whole[name], tools, cost)


def _efficiency(parts: Sequence[_Part], path: Path) -> Efficiency | None:
    """What a model costs, as its first table says."""
    told = parts[0][1].get("efficiency")
    try:
        return None if told is None else Efficiency.model_validate(told)
    except ValidationError as error:
        raise MetadataError(
            f"{path}: its efficiency is none ({one_line(error)[:200]}). Run that shard again."
        ) from error


def _require_whole(path: Path, table: Generations, facts: Mapping[str, Any]) -> None:
    """Refuse a table that lacks what `look` writes."""
    lost = [name for name in _COLUMNS if name not in table]
    for name, kind in _FACTS.items():
        if not isinstance(facts.get(name), kind):
            lost.append(name)
    if facts.get("format") != FORMAT or lost or not _is_shard(facts["shard"]):
        what = f"it has no {', no '.join(lost)}" if lost else "of another format"
        raise MetadataError(f"{path}: not a table of this igmu score --shard ({what}). Run that shard again.")
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
        raise MetadataError(f"{folder}: {model} lacks the shards {', '.join(missing) or 'of one n'}. Run them.")
    if len({facts.get("contents") for _, facts in parts}) > 1:
        raise MetadataError(
            f"{folder}: the shards of {model} differ in their images: its folder changed between them. Delete them and "
            "run all again."
        )
    table = joined([table for table, _ in parts])
    if len(table) != n_total or len(set(table.keys)) != len(table):
        raise MetadataError(
            f"{folder}: {model} has {len(table)} generations of {n_total}. The folder of images changed between the "
            "shards; run them again."
        )
    return ordered(table)
