"""One evaluation in n parts: each part looks at its own generations anywhere, and merging gives the one machine's card.

Conventions: part i of n (from 1) holds the generations whose row and seed hash to it, in every model alike, so that
pairs stay together and no picture needs to be read to know whose it is. A part is one Parquet file a model, written
whole or not at all: running a part again replaces it, so that every generation is there once. Merging computes the
metrics from the tables, without the pictures.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from igmu_data import __version__
from igmu_data.errors import InputError, MetadataError
from igmu_metrics import judging
from igmu_metrics.contract import FloatArray
from igmu_metrics.evaluate import Advance, Evaluation
from igmu_metrics.images.layouts import Generation
from igmu_metrics.networks import table as tables
from igmu_metrics.networks.observe import Observed
from igmu_metrics.scorecard import Scorecard
from igmu_metrics.settings import local

_SPEC: Final = re.compile(r"(\d+)/(\d+)")


def parsed(shard: str) -> tuple[int, int]:
    """`i/n` as numbers, 1 ≤ i ≤ n.

    >>> parsed("2/8")
    (2, 8)

    Raises:
        InputError: anything else.
    """
    match = _SPEC.fullmatch(shard)
    i, n = map(int, match.groups()) if match else (0, 0)
    if not 1 <= i <= n:
        raise InputError(f"shard {shard!r} is not i/n with 1 <= i <= n, such as 2/8.")
    return i, n


def part(generations: Sequence[Generation], i: int, n: int) -> list[Generation]:
    """The generations of part i of n, in their order."""
    return [g for g in generations if _home(g, n) == i]


def _home(g: Generation, n: int) -> int:
    return 1 + int.from_bytes(hashlib.sha256(f"{g.row_id}\n{g.seed}".encode()).digest()[:8], "big") % n


def look(
    evaluation: Evaluation,
    original: Path,
    unlearned: Sequence[Path],
    shard: tuple[int, int],
    out: Path,
    advance: Advance = lambda what, done, total: None,
    tools: judging.Instruments | None = None,
) -> list[Path]:
    """Look at one part of every model, and write its tables.

    Args:
        evaluation: how.
        original: folder of the original model.
        unlearned: folders of the unlearned models.
        shard: (i, n), from 1.
        out: folder of the tables of all parts.
        advance: told about progress.
        tools: instruments that are loaded already.

    Returns:
        The files, the original's first.

    Raises:
        OutputError: `out` cannot be written.
        IgmuError: as `Evaluation.run`.
    """
    if tools is None:
        with evaluation.opened(evaluation.target()) as opened:
            return look(evaluation, original, unlearned, shard, out, advance, opened)
    target = evaluation.target()
    drawn, *others = evaluation.drawn(original, unlearned)
    mine = part(drawn, *shard)
    before = evaluation.look(mine, target, tools, original.name, advance)
    facts = {
        "format": 1,
        "igmu": __version__,
        "evaluation": options(evaluation),
        "instruments": _instruments(tools),
        "original": original.name,
        "shard": list(shard),
    }
    files = [_write(out, facts | {"n_total": len(drawn)}, original.name, mine, before, target)]
    for folder, whole in zip(unlearned, others, strict=True):
        theirs = part(whole, *shard)
        seen = evaluation.look(theirs, target, tools, folder.name, advance, (mine, before))
        files.append(_write(out, facts | {"n_total": len(whole)}, folder.name, theirs, seen, target))
    return files


def _write(
    out: Path, facts: Mapping[str, Any], model: str, generations: Sequence[Generation], seen: Observed, target: str
) -> Path:
    keys: dict[str, Sequence[Any]] = {
        "id": [g.row_id for g in generations],
        "seed": [g.seed for g in generations],
        "split": [g.split for g in generations],
        "prompt": [g.text for g in generations],
        "file": [g.path.name for g in generations],
    }
    i, n = facts["shard"]
    path = out / file_name(model, i, n)
    concepts = judging.asked(generations, target)
    tables.write(tables.Table(keys, concepts, seen, {**facts, "model": model}), path)
    return path


def file_name(model: str, i: int, n: int) -> str:
    """What the table of a model's part is called.

    >>> file_name("esd", 2, 8)
    'esd-00002-of-00008.parquet'
    """
    return f"{model}-{i:05d}-of-{n:05d}.parquet"


def options(evaluation: Evaluation) -> dict[str, Any]:
    """What of an evaluation must be equal in all parts, as plain JSON."""
    return {k: v for k, v in asdict(evaluation).items() if k not in local()}


def _instruments(tools: judging.Instruments) -> dict[str, Any]:
    found = {"detector": tools.detector.info.signature("detector")}
    roles: Mapping[str, Any] = {"clip": tools.clip, "features": tools.features, "lpips": tools.lpips}
    return found | {role: one.info.signature(role) for role, one in roles.items() if one is not None}


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
        raise MetadataError(f"{folder}: no tables. Run igmu score … --shard i/n --out {folder} for every i.")
    models: dict[str, list[tables.Table]] = {}
    first: tables.Table | None = None
    for path in paths:
        one = tables.read(path)
        first = first or one
        for name in ("evaluation", "instruments", "original", "igmu"):
            if one.facts[name] != first.facts[name]:
                raise MetadataError(f"{path}: made with other {name} than {paths[0].name}. Run that part again alike.")
        models.setdefault(one.facts["model"], []).append(one)
    assert first is not None
    evaluation = Evaluation(**first.facts["evaluation"], device=device)
    original, target = first.facts["original"], evaluation.target()
    rows = evaluation.rows()
    with evaluation.opened(target) as tools:
        if _instruments(tools) != first.facts["instruments"]:
            raise MetadataError(f"{folder}: the networks here are not those that looked. Use the same weights.")
        whole = {name: _joined(folder, name, parts, target, rows) for name, parts in models.items()}
        if original not in whole:
            raise MetadataError(f"{folder}: no tables of the original model {original!r}. Copy them there.")
        for name in sorted(whole.keys() - {original}) or [original]:
            yield evaluation.card((name, original), whole[original], whole[name], target, tools)


def _joined(
    folder: Path, model: str, parts: Sequence[tables.Table], target: str, rows: Mapping[str, Any]
) -> tuple[list[Generation], Observed]:
    """All generations of one model in the order of one run, and what was seen in them."""
    n = parts[0].facts["shard"][1]
    there = sorted(p.facts["shard"][0] for p in parts)
    if any(p.facts["shard"][1] != n for p in parts) or there != list(range(1, n + 1)):
        missing = [f"{i}/{n}" for i in range(1, n + 1) if i not in there]
        raise MetadataError(f"{folder}: {model} lacks the shards {', '.join(missing) or 'of one n'}. Run them.")
    found = [
        (Generation(Path(file), row_id, seed, split, rows.get(row_id), prompt), at, i)
        for at, one in enumerate(parts)
        for i, (row_id, seed, split, prompt, file) in enumerate(
            zip(*(one.keys[k] for k in ("id", "seed", "split", "prompt", "file")), strict=True)
        )
    ]
    if len(found) != parts[0].facts["n_total"] or len({g.key for g, _, _ in found}) != len(found):
        raise MetadataError(
            f"{folder}: {model} has {len(found)} generations of {parts[0].facts['n_total']}. The folder of pictures "
            "changed between the shards; run them again."
        )
    splits = ("forget", "retain", "adversarial")
    found.sort(key=lambda f: (splits.index(f[0].split), f[0].row_id, f[0].seed))
    generations = [g for g, _, _ in found]
    starts = np.cumsum([0, *(len(one.seen.ok) for one in parts)])
    order = np.array([starts[at] + i for _, at, i in found], dtype=np.intp)
    return generations, _reordered(parts, judging.asked(generations, target), order)


def _reordered(parts: Sequence[tables.Table], concepts: Sequence[str], order: Any) -> Observed:
    seen = [one.seen for one in parts]
    answers = np.ma.MaskedArray(np.zeros((len(order), len(concepts))), mask=True)
    start = 0
    for one in parts:
        end = start + len(one.seen.ok)
        for k, concept in enumerate(one.concepts):
            assert one.seen.probabilities is not None
            answers[start:end, concepts.index(concept)] = one.seen.probabilities[:, k]
        start = end
    failures = [reason for s in seen for i in range(len(s.ok)) for reason in [dict(s.failures).get(i)]]
    hashes = [sha for s in seen for sha in s.hashes]
    measured = [s.distances for s in seen if s.distances is not None]
    return Observed(
        np.concatenate([s.ok for s in seen])[order],
        answers[order],
        {role: _stacked(seen, role)[order] for role in sorted({r for s in seen for r in s.features})},
        tuple((i, str(failures[k])) for i, k in enumerate(order) if failures[k] is not None),
        tuple(hashes[k] for k in order),
        np.concatenate(measured)[order] if measured else None,
    )


def _stacked(seen: Sequence[Observed], role: str) -> FloatArray:
    """Features of all parts; a part without a readable picture has none."""
    width = max(s.features[role].shape[1] for s in seen if role in s.features)
    empty = [np.full((len(s.ok), width), np.nan) for s in seen]
    return np.concatenate([s.features.get(role, e) if s.ok.any() else e for s, e in zip(seen, empty, strict=True)])
