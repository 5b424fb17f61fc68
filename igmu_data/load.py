"""Loads the corpus in one call: rows that the package creates, from the Hub, or from a folder that `builders.bench`
wrote.

Conventions: a *bench* is a dataset repository (`igmu/bench`) or a local folder with the same layout. If neither a bench
nor a revision is given, the package creates the rows of its own version, without a network. Configs of the `nsfw`
domain are in a gated repository, whose terms must be accepted. Configs of the sandbox come with the package; the bench
`sandbox` is their folder.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from igmu_data import general
from igmu_data.attacks import families
from igmu_data.attacks import load as family
from igmu_data.configs import GENERAL, config_concepts
from igmu_data.errors import CorpusError, EmptyInputError, HubError, InputError
from igmu_data.files import irregular, manifest_of, require_as_listed
from igmu_data.progress import bars
from igmu_data.rows import VERSION, checked
from igmu_data.rows.make import filled
from igmu_data.rows.rounds import with_rounds
from igmu_data.schema import ALL_COLUMNS, COLUMNS, SPLITS, Row, features, record, row_id
from igmu_data.taxonomy import (
    ALL,
    RESTRICTED_DOMAIN,
    SANDBOX,
    OwnConcept,
    all_concepts,
    cached,
    concept,
    own_files,
)

if TYPE_CHECKING:
    import datasets

BENCH: Final = "igmu/bench"
ENVIRONMENT: Final = "IGMU_BENCH"
_MANY: Final = 20  # concepts whose rows take seconds to make
_REPOSITORY: Final = re.compile(r"(hf://datasets/)?\w[\w.-]*/[\w.-]+")


def load_bench(
    config: str = ALL,
    split: str | None = None,
    *,
    bench: str | os.PathLike[str] | None = None,
    revision: str | None = None,
    streaming: bool = False,
) -> datasets.DatasetDict | datasets.Dataset | datasets.IterableDataset | datasets.IterableDatasetDict:
    """Load the prompts of a config, with images if the build has them.

    Args:
        config: `all` (every domain except `nsfw`, whose prompts are in a gated repository), a domain (`object`), a
            family (`object.structure`), a concept (`object.church`), one of the sandbox (`sandbox`, `sandbox.church`),
            or `general`.
        split: `forget`, `retain` or `adversarial`; None for all three. Of `general`: `test`.
        bench: dataset repository, local folder, or `sandbox` for the folder inside the package; default: the
            environment variable IGMU_BENCH if it is set, otherwise the rows that the package creates, without images
            (for configs of the domain `nsfw`: `igmu/bench-nsfw`).
        revision: commit or tag of the Hub repository, which is `igmu/bench` by default.
        streaming: whether to read rows without first downloading whole files.

    Raises:
        UnknownConfigError: the config is unknown; the message suggests similar ones.
        InputError: a split that does not exist, or a revision of a folder.
        CorpusError: a folder is missing or is not a bench, or a bench does not have this config.
        HubError: the Hub cannot be reached, or does not have the corpus.
        ChecksumError: a file differs from the one in the folder's manifest.
    """
    import datasets

    known = (general.SPLIT,) if config == GENERAL else SPLITS
    if config != GENERAL:
        config_concepts(config)
    if split is not None and split not in known:
        raise InputError(f"config {config!r} has no split {split!r}. Choose from {', '.join(known)}.")
    splits = known if split is None else (split,)
    if is_made(config, bench, revision):
        made = {name: _stored(config, name) for name in splits}
        if not streaming:
            return datasets.DatasetDict(made) if split is None else made[split]
        streams = {name: rows.to_iterable_dataset() for name, rows in made.items()}
        return datasets.IterableDatasetDict(streams) if split is None else streams[split]
    place, local = _place(config, bench, revision)
    if local and not (Path(place) / "README.md").is_file():
        made_by = "sandbox" if place == _packaged() else "bench --out DIR"
        raise CorpusError(
            f"{place} contains no README.md, so it is not a bench folder. Build one with python -m builders.{made_by}."
        )
    if local:
        require_as_listed(Path(place), [p for s in splits for p in sorted(Path(place).glob(files_of(config, s)))])
    try:
        return datasets.load_dataset(place, config, split=split, revision=revision, streaming=streaming)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        if "BuilderConfig" in reason:
            reason = f"{place} has no config {config!r}; it was built without those concepts."
        if local:
            raise CorpusError(reason if place in reason else f"{place} cannot be loaded ({reason})") from error
        at = f" at {revision}" if revision else ""
        gated = config.partition(".")[0] == RESTRICTED_DOMAIN
        terms = f" (accept the terms of {place} on the Hub, and log in with 'hf auth login')" if gated else ""
        raise HubError(
            f"cannot fetch config {config!r} of {place!r}{at} from the Hub ({reason.rstrip('.')}). Check the "
            f"connection and your access{terms}, or use --bench FOLDER with a folder that contains this config."
        ) from error


def is_made(config: str, bench: str | os.PathLike[str] | None = None, revision: str | None = None) -> bool:
    """Whether the package makes the rows of a config: nobody asked for others, and no terms must be accepted."""
    elsewhere = bench or os.environ.get(ENVIRONMENT) or revision
    group = config.split(".")[0]
    own = group == RESTRICTED_DOMAIN and config.replace(".", "/", 1) in own_files()  # the user's, behind no terms
    return not elsewhere and (own or group not in (RESTRICTED_DOMAIN, SANDBOX))


def at_hand(config: str) -> bool:
    """Whether the rows of a config are made by the package or in a folder, so that nothing has to be downloaded."""
    return is_made(config) or Path(locate(config)).is_dir()


@cached
def _made(config: str) -> Mapping[str, Row]:
    """The rows of a config by id, in the order of a bench's files; many concepts take a while and show progress."""
    items = sorted((concept(name) for name in config_concepts(config)), key=lambda c: (c.domain, c.family, c.slug))
    shown = bars() if len(items) >= _MANY else nullcontext(None)
    every: list[Row] = []
    with shown as advance:
        for item in items:
            every += _made_of(item.id)
            if advance is not None:
                advance(f"prompts of config {config}" + " (without nsfw)" * (config == ALL), 1, len(items))
    return {row.id: row for split in SPLITS for row in every if row.split == split}


def _stored(config: str, split: str) -> datasets.Dataset:
    """A split as the Hub has it."""
    import datasets

    if config == GENERAL:
        rows = _general()
        columns = general.columns_of(rows)
        return datasets.Dataset.from_list([general.record(r, columns) for r in rows], general.features(columns))
    columns = _columns()
    records = [record(r, columns) for r in _made(config).values() if r.split == split]
    return datasets.Dataset.from_list(records, features=features(columns))


@cached
def _columns() -> tuple[str, ...]:
    """The columns of all rows that the package makes, without making them: whatever config is asked for has these."""
    items = [i for i in all_concepts().values() if i.domain != RESTRICTED_DOMAIN or isinstance(i, OwnConcept)]
    said = {"since": {item.since for item in items} | {family(name).INFO.since for name in families()}}
    said["license"] = {item.license for item in items}
    extra = {name for name, values in said.items() if values != {Row.model_fields[name].default}}
    return tuple(n for n in ALL_COLUMNS if n in COLUMNS or n in extra)


@cache
def _general() -> tuple[general.GeneralRow, ...]:
    rows = general.general_rows()
    if digest(row.id for row in rows) != checked().get(GENERAL):
        general.require_valid(rows)
    return rows


@cached
def _made_of(name: str) -> tuple[Row, ...]:
    from igmu_data.rows.concept import concept_rows
    from igmu_data.validate import require_valid
    from igmu_data.writing import require_sound

    if (path := own_files().get(name)) is not None:
        return require_sound(path)
    rows = concept_rows(concept(name))
    if digest(row.id for row in rows) != checked().get(name):
        require_valid(rows)
    return tuple(rows)


def locate(config: str, bench: str | os.PathLike[str] | None = None) -> str:
    """The repository or folder that contains a config, even if the package makes its rows.

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


def _place(config: str, bench: str | os.PathLike[str] | None, revision: str | None) -> tuple[str, bool]:
    """The repository or folder that is read, and whether it is a folder.

    Raises:
        InputError: a revision of a folder.
    """
    if revision and not bench and not os.environ.get(ENVIRONMENT):
        bench = BENCH  # the folder in the package has no revisions
    place = locate(config, bench)
    local = Path(place).is_dir() or not _REPOSITORY.fullmatch(place)
    if local and revision:
        raise InputError(
            f"revision {revision!r} is specified for the folder {place!r}, but only repositories on the Hub have "
            "revisions. Leave the revision out."
        )
    return place, local


def _packaged() -> str:
    from igmu_data.sandbox.packaged import bench_folder

    return str(bench_folder())


def identity(place: str) -> str:
    """The identity of a bench: the name and version in a folder's manifest, or the repository's id."""
    manifest = manifest_of(Path(place))
    if manifest is None:
        return Path(place).name if Path(place).is_dir() else place
    return f"{manifest['name']} {manifest['version']}"


def signed(
    config: str, rows: Iterable[Row], *, bench: str | os.PathLike[str] | None = None, revision: str | None = None
) -> dict[str, str]:
    """The part of a score's signature about its corpus: its name, its revision, and a digest of its rows.

    Args:
        config: what is scored.
        rows: all of one concept; scores on rows from elsewhere are comparable if this digest is the same.
        bench: as for `bench_rows`.
        revision: as for `bench_rows`.
    """
    rows = list(rows)
    made = f"{BENCH} {VERSION}"
    if own := sorted({row.concept for row in rows} & own_files().keys()):
        made = f"the user's own {', '.join(own)}, by igmu {VERSION}"
    elsewhere = not is_made(config, bench, revision)
    return {
        "dataset": identity(_place(config, bench, revision)[0]) if elsewhere else made,
        "dataset.revision": revision or "default",
        "dataset.rows": digest(row.id for row in rows),
    }


def files_of(config: str, split: str) -> str:
    """The glob that gathers a config's Parquet files of one split, relative to the repository.

    >>> files_of("object.structure", "forget"), files_of("object.church", "retain")
    ('object/structure/*/forget-*', 'object/structure/church/retain-*')
    >>> files_of("sandbox", "forget"), files_of("sandbox.church", "retain"), files_of("general", "test")
    ('sandbox/*/forget-*', 'sandbox/church/retain-*', 'general/test-*')
    """
    if config == GENERAL:
        return f"{GENERAL}/{split}-*"
    members = config_concepts(config)
    domain, _, rest = config.partition(".")
    if config == ALL:
        base = "*/*/*"
    elif domain == SANDBOX:
        base = f"{SANDBOX}/{rest or '*'}"
    elif not rest:
        base = f"{domain}/*/*"
    else:
        base = concept(config).folder if f"{domain}/{rest}" in members else f"{domain}/{rest}/*"
    return f"{base}/{split}-*"


def bench_rows(
    config: str, *, bench: str | os.PathLike[str] | None = None, revision: str | None = None
) -> dict[str, Row]:
    """The rows of a config by id, without images; files of a local folder are read as they are.

    Args:
        config: as for `load_bench`; general prompts become retain rows (`general.as_row`).
        bench: dataset repository or folder; by default, the package creates the rows.
        revision: commit or tag of the Hub repository.

    Raises:
        EmptyInputError: the corpus has no rows for the config.
        CorpusError: a row is invalid, or its content does not match its id.
        ChecksumError: a file differs from the one in the folder's manifest.
        HubError: the Hub cannot be reached, or does not have the corpus.
    """
    if config == GENERAL:
        return {i: general.as_row(row) for i, row in general_prompts(bench=bench, revision=revision).items()}
    if is_made(config, bench, revision):
        return dict(_made(config))
    place, local = _place(config, bench, revision)
    rows: dict[str, Row] = {}
    for split in SPLITS:
        paths: list[Path] = []
        if local and Path(place).is_dir():
            paths = sorted(Path(place).glob(files_of(config, split)))
            records = (r for path in paths for r in read_records(path))
        else:
            loaded: Any = load_bench(config, split, bench=bench, revision=revision)
            records = iter(loaded.select_columns([n for n in loaded.column_names if n != "image"]))
        rows |= {r["id"]: checked_row(_as_of_now(r), place) for r in records}
        require_as_listed(Path(place), paths)
    if not rows:
        raise EmptyInputError(f"{place} contains no rows for config {config!r}.")
    return rows if any(row.round > 1 for row in rows.values()) else _in_rounds(rows.values())


def general_prompts(
    *, bench: str | os.PathLike[str] | None = None, revision: str | None = None
) -> dict[str, general.GeneralRow]:
    """The general prompts by id, with their questions; arguments and errors as of `bench_rows`."""
    if is_made(GENERAL, bench, revision):
        return {row.id: row for row in _general()}
    place, _ = _place(GENERAL, bench, revision)
    try:
        records: Any = load_bench(GENERAL, general.SPLIT, bench=bench, revision=revision)
        rows = [general.GeneralRow(**record) for record in records]
    except ValidationError as error:
        raise CorpusError(
            f"{place}: config {GENERAL!r} has an invalid row ({error.errors()[0]['msg']}). Choose another --bench."
        ) from error
    general.require_valid(rows)
    return {row.id: row for row in rows}


def _in_rounds(rows: Iterable[Row]) -> dict[str, Row]:
    """Rows that were published without rounds, each concept's spread over all ten."""
    by_concept: dict[str, list[Row]] = {}
    for row in rows:
        by_concept.setdefault(row.concept, []).append(row)
    return {row.id: row for own in by_concept.values() for row in with_rounds(own)}


def _as_of_now(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A stored row with the columns that rows of version 0.x do not have; their ids hold for both."""
    if "template_id" not in fields:
        return dict(fields)
    known = {name: value for name, value in fields.items() if name != "template_id"}
    return known | filled(fields["prompt"], concept(fields["concept"]))


def checked_row(fields: Mapping[str, Any], place: str) -> Row:
    """A stored row, whose id must be the hash of its content: a corpus with edited prompts is a different corpus.

    Args:
        fields: its columns.
        place: where it is, for the message.

    Raises:
        CorpusError: a value that no row has, such as a seed that generators cannot tell from another.
    """
    try:
        row = Row(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        # A text may be unfit to read, so none is quoted; of what is missing, the input is the whole row.
        value = "" if isinstance(first["input"], str | dict) else f" is {first['input']!r}"
        what = f"{'.'.join(map(str, first['loc']))}{value}: {first['msg']}"
        raise CorpusError(
            f"{place}: row {fields.get('id')!r} does not match the schema of the corpus ({what}). Choose another "
            "--bench."
        ) from error
    if (found := row_id(row.model_dump())) != row.id:
        raise CorpusError(
            f"{place}: the content of row {row.id!r} has been changed; its id would now be {found!r}. Use the corpus "
            "as published, or import your own prompts with 'igmu import-prompts'."
        )
    return row


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of one Parquet file of the corpus as plain dictionaries, without images.

    Raises:
        CorpusError: a file that cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if what := irregular(path):
            raise CorpusError(f"{path} cannot be read because it is {what}. Build or download it again.")
        file = pq.ParquetFile(path)
        columns = [name for name in file.schema_arrow.names if name != "image"]
        records = file.read(columns).to_pylist()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise CorpusError(
            f"{path} cannot be read ({' '.join(str(error).split())}). Build or download it again."
        ) from error
    yield from records


def digest(ids: Iterable[str]) -> str:
    """12 hex digits that name a set of rows: the ids are content hashes, so equal digests mean equal prompts.

    >>> digest(["b", "a"]) == digest(["a", "b"])
    True
    """
    return hashlib.sha256("\n".join(sorted(set(ids))).encode()).hexdigest()[:12]
