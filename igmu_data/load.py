"""Loads the corpus, from the Hub or from a folder that `python -m builders.bench` wrote, in one call.

Conventions: a *bench* is either a dataset repository (`igmu/bench`) or a local folder of the same shape. Configs of the
`nsfw` domain live in a gated repository of their own, and are found there without being asked for. Those of the
miniature world come with the package; the bench `sandbox` is that folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from igmu_data.configs import config_concepts
from igmu_data.errors import CorpusError, EmptyInputError, InputError
from igmu_data.schema import SPLITS, Row
from igmu_data.taxonomy import ALL, RESTRICTED_DOMAIN, SANDBOX, concept

if TYPE_CHECKING:
    import datasets

BENCH: Final = "igmu/bench"
ENVIRONMENT: Final = "IGMU_BENCH"
_REPOSITORY: Final = re.compile(r"(hf://datasets/)?\w[\w.-]*/[\w.-]+")


def load_bench(
    config: str = ALL,
    split: str | None = None,
    *,
    bench: str | os.PathLike[str] | None = None,
    revision: str | None = None,
    streaming: bool = False,
) -> datasets.DatasetDict | datasets.Dataset | datasets.IterableDataset | datasets.IterableDatasetDict:
    """The prompts (and pictures, where the build has them) of a config.

    Args:
        config: `all`, a domain (`object`), a family (`object.structure`), a concept (`object.church`), or one of the
            miniature world (`sandbox`, `sandbox.church`).
        split: `forget`, `retain` or `adversarial`; None for all three.
        bench: dataset repository, local folder, or `sandbox` for the folder inside the package; default the environment
            variable IGMU_BENCH, else `igmu/bench` (`igmu/bench-nsfw` for the configs of that domain, the package for
            those of the miniature world).
        revision: commit or tag of the Hub repository.
        streaming: do not download whole files first.

    Raises:
        UnknownConfigError: with the nearest configs.
        InputError: a split that does not exist.
        CorpusError: a folder that is not a bench or not there, or a bench without this config.
    """
    import datasets

    config_concepts(config)
    if split is not None and split not in SPLITS:
        raise InputError(f"no split {split!r}; the splits are {', '.join(SPLITS)}.")
    place = locate(config, bench)
    local = Path(place).is_dir() or not _REPOSITORY.fullmatch(place)
    if local and not (Path(place) / "README.md").is_file():
        made_by = "sandbox" if place == _packaged() else "bench --out DIR"
        raise CorpusError(f"{place}: no README.md, so not a bench folder. Build one: python -m builders.{made_by}.")
    try:
        return datasets.load_dataset(place, config, split=split, revision=revision, streaming=streaming)
    except ValueError as error:
        if "BuilderConfig" not in str(error):
            raise
        raise CorpusError(f"{place} has no config {config!r}; it was built without those concepts.") from error


def locate(config: str, bench: str | os.PathLike[str] | None = None) -> str:
    """The repository or folder that holds a config.

    >>> locate("nsfw.nudity", "igmu/bench")
    'igmu/bench-nsfw'
    """
    group = config.split(".")[0]
    place = str(bench or os.environ.get(ENVIRONMENT) or (SANDBOX if group == SANDBOX else BENCH))
    if place == SANDBOX:
        return _packaged()
    # A folder of imported prompts holds whatever it holds by itself.
    restricted = group == RESTRICTED_DOMAIN and not Path(place, RESTRICTED_DOMAIN).is_dir()
    return f"{place.rstrip('/')}-nsfw" if restricted and not place.rstrip("/").endswith("-nsfw") else place


def _packaged() -> str:
    from igmu_data.sandbox.packaged import bench_folder

    return str(bench_folder())


def identity(place: str) -> str:
    """What a bench calls itself: the name and version in a folder's manifest, or the repository's id."""
    path = Path(place) / "manifest.json"
    if not path.is_file():
        return Path(place).name if Path(place).is_dir() else place
    manifest = json.loads(path.read_text(encoding="utf-8"))
    return f"{manifest['name']} {manifest['version']}"


def files_of(config: str, split: str) -> str:
    """The glob that gathers a config's Parquet files of one split, relative to the repository.

    >>> files_of("object.structure", "forget"), files_of("object.church", "retain")
    ('object/structure/*/forget-*', 'object/structure/church/retain-*')
    >>> files_of("sandbox", "forget"), files_of("sandbox.church", "retain")
    ('sandbox/*/forget-*', 'sandbox/church/retain-*')
    """
    members = config_concepts(config)
    domain, _, rest = config.partition(".")
    if config == ALL:
        base = "*/*/*"
    elif domain == SANDBOX:
        base = f"{SANDBOX}/{rest or '*'}"
    elif not rest:
        base = f"{domain}/*/*"
    else:
        base = f"{domain}/{concept(config).family}/{rest}" if f"{domain}/{rest}" in members else f"{domain}/{rest}/*"
    return f"{base}/{split}-*"


def bench_rows(
    config: str, *, bench: str | os.PathLike[str] | None = None, revision: str | None = None
) -> dict[str, Row]:
    """The rows of a config by id, without pictures; a local folder's files are read as they are.

    Raises:
        EmptyInputError: the config has no rows there.
    """
    place = Path(locate(config, bench))
    rows: dict[str, Row] = {}
    for split in SPLITS:
        if place.is_dir():
            records = (r for path in sorted(place.glob(files_of(config, split))) for r in read_records(path))
        else:
            loaded: Any = load_bench(config, split, bench=bench, revision=revision)
            records = iter(loaded.remove_columns("image"))
        rows |= {r["id"]: Row(**r) for r in records}
    if not rows:
        raise EmptyInputError(f"config {config!r} has no rows in {place}.")
    return rows


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of one Parquet file of the corpus as plain dictionaries, without pictures."""
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    columns = [name for name in file.schema_arrow.names if name != "image"]
    yield from file.read(columns).to_pylist()


def digest(ids: Iterable[str]) -> str:
    """12 hex digits that name a set of rows: the ids are content hashes, so equal digests mean equal prompts.

    >>> digest(["b", "a"]) == digest(["a", "b"])
    True
    """
    return hashlib.sha256("\n".join(sorted(set(ids))).encode()).hexdigest()[:12]
