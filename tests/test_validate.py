"""Every rule of the validator is broken on purpose once and must be found; the real build must be clean."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from datasets import ClassLabel, Features, Value
from pydantic import BaseModel, ValidationError

from igmu_data import folder as folders
from igmu_data import general
from igmu_data.attacks import families
from igmu_data.errors import CorpusError
from igmu_data.folder import check_folder, parquet_files
from igmu_data.lengths import clip_tokens
from igmu_data.rows.naming import keeps_name
from igmu_data.schema import COLUMNS, Row, detector_features, features, row_id
from igmu_data.taxonomy import all_concepts, concept
from igmu_data.validate import Problem, content_words, overlap, problems, require_valid

CHURCH = "object/church"
Corpus = dict[str, list[Row]]


def first_quick(cases: Sequence[Any], quick: int = 1) -> list[Any]:
    """The cases of which only some are run by default: a case takes a second, and they take the same path."""
    slow = [pytest.param(*(c if isinstance(c, tuple) else (c,)), marks=pytest.mark.slow) for c in cases[quick:]]
    return [*cases[:quick], *slow]


@pytest.fixture
def church(corpus_rows: Corpus) -> list[Row]:
    return list(corpus_rows[CHURCH])


def altered(row: Row, *, keep_id: bool = False, **changes: Any) -> Row:
    """The row with other values, what follows from its prompt, and, unless it is to be kept, the id."""
    given = row.model_dump() | changes
    if "prompt" in changes:
        follows = {"n_tokens_clip": clip_tokens(given["prompt"])}
        if row.concept in all_concepts():
            follows["name_kept"] = keeps_name(given["prompt"], concept(row.concept))
        given |= follows | {key: changes[key] for key in follows if key in changes}
    return Row(**given) if keep_id else Row(**(given | {"id": row_id(given)}))


def swap(rows: list[Row], at: int, **changes: Any) -> list[Row]:
    return [*rows[:at], altered(rows[at], **changes), *rows[at + 1 :]]


def first(rows: Sequence[Row], **wanted: Any) -> int:
    return next(i for i, r in enumerate(rows) if all(getattr(r, k) == v for k, v in wanted.items()))


def rules(rows: Sequence[Row]) -> set[str]:
    return {p.rule for p in problems(rows)}


def test_the_church_is_clean(church: list[Row]) -> None:
    assert list(problems(church)) == []
    require_valid(church)


@pytest.mark.parametrize("key", ["prompt", "stripped_prompt"])
def test_a_tampered_text_is_found(church: list[Row], key: str) -> None:
    text = f"{getattr(church[3], key)} at last"
    found = list(problems(swap(church, 3, keep_id=True, **{key: text})))
    assert [(p.where, p.rule) for p in found] == [(church[3].id, "the id must be the hash of the row")]


def test_a_duplicate_id_is_found(church: list[Row]) -> None:
    last = len(church) - 1
    found = list(problems(swap(church, last, keep_id=True, id=church[last - 1].id)))
    assert (church[last - 1].id, "ids must be unique", "2 rows have this id") in [
        (p.where, p.rule, p.found) for p in found
    ]
    assert "ids must be unique" in rules([*church, church[0]])


def test_a_near_duplicate_is_found(church: list[Row]) -> None:
    direct = [i for i, r in enumerate(church) if r.probe == "direct" and r.register == "sentence"]
    text = f"Once more {church[direct[0]].prompt[0].lower()}{church[direct[0]].prompt[1:]}"
    found = list(problems(swap(church, direct[1], prompt=text)))
    assert "prompts must not be near-duplicates" in {p.rule for p in found}
    assert text in next(p.found for p in found if p.rule == "prompts must not be near-duplicates")


def test_an_adversarial_prompt_that_stands_twice_is_found(church: list[Row]) -> None:
    at = first(church, attack_family="synonym")
    found = [p for p in problems(swap(church, at + 1, prompt=church[at].prompt.upper())) if "differ" in p.rule]
    assert [(p.rule, p.found) for p in found] == [
        (
            "the prompts of a concept must differ from each other",
            f"{church[at].prompt.upper()!r} is the same as the prompt of row {church[at].id}",
        )
    ]


@pytest.mark.parametrize(("split", "least"), [("forget", 50), ("retain", 50), ("adversarial", 40)])
def test_too_few_rows_are_found(church: list[Row], split: str, least: int) -> None:
    own = [r for r in church if r.split == split]
    rest = [r for r in church if r.split != split]
    assert f"a concept needs at least {least} {split} rows" not in rules(rest + own[:least])
    assert f"a concept needs at least {least} {split} rows" in rules(rest + own[: least - 1])
    assert (CHURCH, f"a concept needs at least {least} {split} rows", "this one has 0") in [
        (p.where, p.rule, p.found) for p in problems(rest)
    ]


@pytest.mark.parametrize(
    "text", first_quick(["Children near a river", "A notice about a minor", "两个孩子", "N i ñ o s in a park"], 2)
)
@pytest.mark.parametrize("key", ["prompt", "stripped_prompt"])
def test_a_policy_violation_is_found(church: list[Row], text: str, key: str) -> None:
    at = first(church, split="retain")
    rows = swap(church, at, **{key: text})
    found = [p for p in problems(rows) if p.rule == "the text must follow the content policy (minor)"]
    assert found
    assert {p.where for p in found} == {rows[at].id}
    assert all(text in p.found for p in found)


SEEDS = "the seeds of an attack must be the same as those of its source"


def rewritten(church: list[Row]) -> int:
    """Where the first attack is that has a source."""
    return next(i for i, r in enumerate(church) if r.attack_source_id)


@pytest.mark.slow
def test_an_attack_needs_a_family_and_its_source_is_to_forget(church: list[Row]) -> None:
    at = rewritten(church)
    rule = "the source of an attack must be a forget row"
    assert rules(swap(church, at, attack_family=None)) >= {"an attack must name its family"}
    assert rules(swap(church, at, attack_source_id="0123456789abcdef")) == {rule}
    assert rules(swap(church, at, attack_source_id=church[first(church, split="retain")].id)) == {rule}
    assert rules(swap(church, at, attack_source_id=None)) == set()  # one that is written from scratch
    other = next(r for r in church if r.split == "forget" and r.id != church[at].attack_source_id)
    assert rules(swap(church, at, attack_source_id=other.id)) == {SEEDS}


def test_an_attack_changes_the_text_and_keeps_the_seeds(church: list[Row]) -> None:
    at = rewritten(church)
    source = next(r for r in church if r.id == church[at].attack_source_id)
    assert "an attack must change the text" in rules(swap(church, at, prompt=source.prompt))
    assert rules(swap(church, at, seeds=(1, 2, 3, 4, 5))) == {SEEDS}


def test_only_adversarial_rows_have_an_attack(church: list[Row]) -> None:
    rule = "only adversarial rows may have an attack"
    for split in ("forget", "retain"):
        assert rule in rules(swap(church, first(church, split=split), attack_family="synonym"))
        assert rule in rules(swap(church, first(church, split=split), attack_source_id=church[0].id))


@pytest.mark.parametrize("split", ["forget", "retain", "adversarial"])
def test_a_split_has_its_probes(church: list[Row], split: str) -> None:
    at = first(church, split=split)
    wrong = {"forget": "near", "retain": "direct", "adversarial": "negation"}[split]
    assert [p.found for p in problems(swap(church, at, probe=wrong)) if "the probe of a" in p.rule] == [
        f"it is {wrong}"
    ]


@pytest.mark.slow
def test_what_must_name_the_concept_and_what_must_not(church: list[Row]) -> None:
    quiet, loud = "Larches above a frozen reservoir", "Larches above a frozen reservoir and a KIRK"
    cases = {
        "a forget prompt must name the concept": (first(church, split="forget"), {"prompt": quiet}),
        "a retain prompt must not name the concept": (first(church, probe="near"), {"prompt": loud}),
        "an indirect prompt must not name the concept": (first(church, attack_family="indirect"), {"prompt": loud}),
        "a subclass prompt must not name the concept": (first(church, attack_family="subclass"), {"prompt": loud}),
        "the stripped prompt must not name the concept": (first(church, split="forget"), {"stripped_prompt": loud}),
    }
    for rule, (at, changes) in cases.items():
        rows = swap(church, at, **changes)
        assert (rows[at].id, rule) in [(p.where, p.rule) for p in problems(rows)]
    at = first(church, attack_family="indirect")
    rule = "an indirect prompt must not name the concept"
    assert rule in rules(swap(church, at, prompt="Larches around una iglesia"))


@pytest.mark.parametrize("family", families())
@pytest.mark.slow
def test_no_family_leaves_the_label(church: list[Row], family: str) -> None:
    at = first(church, attack_family=family)
    for name in ("church", "Churches"):
        rows = swap(church, at, prompt=f"Larches above a frozen reservoir, {name}")
        assert (rows[at].id, "an adversarial prompt must not contain the label") in [
            (p.where, p.rule) for p in problems(rows)
        ]
        rows = swap(church, at, prompt=f"Larches above a frozen reservoir, {name}", name_kept=False)
        rule = "name_kept must state whether the prompt contains the label"
        assert (rows[at].id, rule) in [(p.where, p.rule) for p in problems(rows)]


@pytest.mark.parametrize("hidden", first_quick(["\u200b", "\u00ad", "\ufeff", "\x07", "\u202e"], 2))
def test_invisible_characters_are_found_where_they_do_not_belong(church: list[Row], hidden: str) -> None:
    rule = "a prompt must not contain invisible or control characters"
    for at in (first(church, attack_family="synonym"), first(church, split="retain")):
        text = f"Larches{hidden} above a frozen reservoir with {church[at].prompt}"
        found = [p for p in problems(swap(church, at, prompt=text)) if p.rule == rule]
        assert [p.found for p in found] == [f"this one contains U+{ord(hidden):04X}"]
    at = first(church, attack_family="zero-width")
    assert (rule in rules(swap(church, at, prompt=f"Larches above a ch{hidden}urch"))) is (hidden != "\u200b")


def test_a_wrong_number_of_tokens_is_found(church: list[Row]) -> None:
    at = first(church, attack_family="synonym")
    (found,) = problems(swap(church, at, n_tokens_clip=church[at].n_tokens_clip + 1))
    assert found.rule == "n_tokens_clip must match the prompt"
    assert found.found.startswith(f"it is {church[at].n_tokens_clip + 1} instead of {church[at].n_tokens_clip} for ")


def test_an_attribute_may_be_named_in_prompt_only(corpus_rows: Corpus) -> None:
    rows = list(corpus_rows["style/van-gogh"])
    assert rules(rows) == set()
    assert any(r.name_kept for r in rows if r.probe == "in-prompt")
    at = next(i for i, r in enumerate(rows) if r.probe == "in-prompt" and r.name_kept)
    assert "a retain prompt must not name the concept" in rules(swap(rows, at, probe="far"))


@pytest.mark.parametrize("changes", [{"domain": "style"}, {"family": "animal"}, {"scope": "attribute"}])
def test_a_row_in_the_wrong_place_is_found(church: list[Row], changes: dict[str, str]) -> None:
    assert "domain, family and scope must match the concept" in rules(swap(church, 0, **changes))


def test_an_unknown_concept_is_found(church: list[Row]) -> None:
    moved = [altered(r, keep_id=True, concept="object/chruch") for r in church]
    assert ("object/chruch", "the concept must be in the taxonomy", "it is not") in [
        (p.where, p.rule, p.found) for p in problems(moved)
    ]


def test_require_valid_counts_and_shows_what_is_broken(church: list[Row]) -> None:
    rows = [altered(r, keep_id=True, prompt=f"{r.prompt} at last") if i < 12 else r for i, r in enumerate(church)]
    n = len(list(problems(rows)))
    with pytest.raises(CorpusError) as caught:
        require_valid(rows)
    head, *shown = str(caught.value).split("\n")
    assert head == f"{n} problems in {len(rows)} rows:"
    assert n >= 12
    assert len(shown) == 10
    assert (
        shown[0]
        == f"  {rows[0].id}: the id must be the hash of the row, but the hash is different for {rows[0].prompt!r}"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"license": ""},
        {"license": " "},
        {"source": ""},
        {"prompt": ""},
        {"stripped_prompt": ""},
        {"id": "XYZ"},
        {"id": "0123456789abcdef0"},
        {"split": "train"},
        {"probe": "neer"},
        {"language": "nl"},
        {"seeds": (1, 2, 3, 4)},
        {"seeds": (1, 2, 3, 4, 2**32 + 1)},
        {"seeds": (-1, 2, 3, 4, 5)},
        {"steps": 0},
        {"guidance_scale": 0.0},
        {"image_sha256": "ab"},
        {"concept": "church"},
        {"colour": "red"},
        {"round": 0},
        {"round": 11},
        {"register": "haiku"},
        {"n_tokens_clip": 2},
    ],
)
def test_a_row_outside_the_vocabulary_cannot_be_made(church: list[Row], changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Row(**church[0].model_dump() | changes)


def test_a_row_without_source_cannot_be_made(church: list[Row]) -> None:
    given = church[0].model_dump()
    del given["source"]
    with pytest.raises(ValidationError, match="source"):
        Row(**given)


def test_overlap_by_hand() -> None:
    assert content_words("A church on the hill, at {a} dawn") == {"church", "hill", "dawn"}
    assert overlap(frozenset("abc"), frozenset("bcd")) == 0.5
    assert overlap(frozenset("ab"), frozenset("cd")) == 0.0
    assert overlap(frozenset(), frozenset()) == 1.0


# --- the folder ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from builders.bench import build

    return build(tmp_path_factory.mktemp("church") / "hub", only=[CHURCH], general=True)[0]


def once(check: Callable[..., Iterable[Problem]]) -> Callable[..., list[Problem]]:
    """A check of rows that is made once for the same rows."""
    known: dict[tuple[str, ...], list[Problem]] = {}

    def checked(rows: Iterable[BaseModel], concepts: Iterable[str] = ()) -> list[Problem]:
        given = list(rows)
        key = (*(row.model_dump_json() for row in given), "", *concepts)
        if key not in known:
            known[key] = list(check(given, concepts) if concepts else check(given))
        return known[key]

    return checked


ROWS_ONCE, PROMPTS_ONCE = once(problems), once(general.problems)


@pytest.fixture
def copy(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to break. Most tests break something other than its rows, whose check takes most of the time."""
    monkeypatch.setattr(folders, "problems", ROWS_ONCE)
    monkeypatch.setattr(general, "problems", PROMPTS_ONCE)
    return Path(shutil.copytree(built, tmp_path / "bench"))


FORGET = "object/structure/church/forget-00000-of-00001.parquet"


def sign(folder: Path) -> None:
    """Bring the manifest up to date: the planted defect must be found by its own rule."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p != path)
    manifest["files"] = {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
    path.write_text(json.dumps(manifest))


def front(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Edit the YAML block of the card."""
    card = folder / "README.md"
    match = re.match(r"---\n(.*?)\n---\n(.*)", card.read_text(encoding="utf-8"), re.DOTALL)
    assert match
    block = yaml.safe_load(match[1])
    edit(block)
    card.write_text(f"---\n{yaml.safe_dump(block, sort_keys=False)}---\n{match[2]}", encoding="utf-8")
    sign(folder)


def rewrite(folder: Path, edit: Callable[[pa.Table], pa.Table]) -> None:
    """Edit the table of the forget split, with the `datasets` metadata of its new columns."""
    table = edit(pq.read_table(folder / FORGET))
    pq.write_table(table, folder / FORGET)
    sign(folder)


def found(folder: Path) -> set[tuple[str, str]]:
    return {(p.where, p.rule) for p in check_folder(folder)}


def test_a_fresh_folder_is_clean(built: Path) -> None:
    assert check_folder(built) == []
    assert [p.name.split("-")[0] for p in parquet_files(built)] == ["test", "adversarial", "forget", "retain"]


@pytest.mark.slow
def test_the_whole_corpus_is_clean(bench_folder: Path, corpus_rows: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Row] = []

    def rows_are_valid(rows: list[Row], concepts: object) -> list[Problem]:
        read.extend(rows)  # the build refused nothing in these very rows: once is enough
        return []

    monkeypatch.setattr(folders, "problems", rows_are_valid)
    assert check_folder(bench_folder) == []
    assert check_folder(bench_folder.with_name("bench-nsfw")) == []
    made = {r.id: r for rows in corpus_rows.values() for r in rows}
    assert len(read) == len(made)
    assert {r.id: r for r in read} == made
    assert len(parquet_files(bench_folder)) == 1 + 3 * sum(not name.startswith("nsfw/") for name in corpus_rows)


def test_a_changed_a_missing_and_an_extra_file_are_found(copy: Path) -> None:
    with (copy / "eval.yaml").open("a") as handle:
        handle.write("\n")
    (copy / "croissant.json").unlink()
    (copy / "notes.txt").write_text("mine")
    (copy / ".gitattributes").write_text("")  # a download's own
    assert found(copy) == {
        ("eval.yaml", "the SHA-256 must match the manifest"),
        ("croissant.json", "every listed file must exist"),
        ("notes.txt", "every file must be listed in the manifest"),
    }


@pytest.mark.slow
def test_a_missing_or_broken_manifest_is_found(copy: Path) -> None:
    for text in ("{", "[]", "{}", '{"files": 3}'):
        (copy / "manifest.json").write_text(text)
        assert found(copy) == {("manifest.json", "the manifest must be a JSON object with the key 'files'")}
    (copy / "manifest.json").unlink()
    assert found(copy) == {("manifest.json", "the folder must contain a manifest")}


def test_a_folder_without_card_or_configs_is_no_dataset(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"no README\.md, so it is not a dataset folder"):
        check_folder(tmp_path)
    for text in (
        "no block",
        "---\nconfigs: [\n---\n",
        "---\nlicense: mit\n---\n",
        "---\nconfigs: []\n---\n",
        "---\nconfigs:\n- config_name: all\n  data_dir: x\n---\n",
        "---\nconfigs:\n- config_name: all\n  data_files: x.parquet\n---\n",
    ):
        (copy / "README.md").write_text(text)
        with pytest.raises(CorpusError, match="Build the folder again"):
            check_folder(copy)


def test_a_truncated_parquet_file_is_found(copy: Path) -> None:
    (copy / FORGET).write_bytes((copy / FORGET).read_bytes()[:-100])
    sign(copy)
    assert found(copy) == {(FORGET, "every Parquet file must be readable")}


def test_a_duplicate_config_name_is_found(copy: Path) -> None:
    front(copy, lambda block: block["configs"].append(dict(block["configs"][-1])))
    assert found(copy) == {("general", "config names must be unique")}


@pytest.mark.parametrize("default", [False, True])
def test_one_config_is_the_default(copy: Path, default: bool) -> None:
    def edit(block: dict[str, Any]) -> None:
        for config in block["configs"]:
            config["default"] = default

    front(copy, edit)
    assert found(copy) == {("README.md", "exactly one config must be marked as the default")}


def test_a_glob_that_catches_another_split_or_nothing_is_found(copy: Path) -> None:
    def edit(block: dict[str, Any]) -> None:
        files = {c["config_name"]: {e["split"]: e for e in c["data_files"]} for c in block["configs"]}
        files["object"]["forget"]["path"] = "object/*/*/*"
        files["all"]["retain"]["path"] = "objects/*/*/retain-*"

    front(copy, edit)
    assert found(copy) == {
        ("object", "a glob must match only files of its split"),
        ("all", "every glob must match at least one file"),
    }


def test_a_glob_that_catches_an_extra_file_is_found(copy: Path) -> None:
    shutil.copy(copy / FORGET, copy / FORGET.replace("00000-of-00001", "00000-copy"))
    sign(copy)
    again = pq.read_table(copy / FORGET)["id"].to_pylist()
    assert {(i, "ids must be unique") for i in again} <= found(copy)


def test_a_glob_that_catches_what_is_no_parquet_file_is_found(copy: Path) -> None:
    shutil.copy(copy / FORGET, copy / f"{FORGET}.bak")
    sign(copy)
    assert found(copy) == {
        (c, "a glob must match only files of its split") for c in ("all", "object", "object.structure", "object.church")
    }


def test_a_file_of_no_config_is_found(copy: Path) -> None:
    path = copy / "extra/forget-00000-of-00001.parquet"
    path.parent.mkdir()
    shutil.copy(copy / FORGET, path)
    sign(copy)
    assert ("extra/forget-00000-of-00001.parquet", "every file must belong to a config") in found(copy)


def test_files_of_a_config_that_differ_are_found(copy: Path) -> None:
    """A client takes the columns of one of them for those of all."""
    rewrite(copy, lambda t: t.append_column("since", pa.array(["1.0.0"] * len(t))).replace_schema_metadata(None))
    wanted = {
        (c, "the files of a config must have the same features")
        for c in ("all", "object", "object.structure", "object.church")
    }
    assert wanted <= found(copy)


def test_lists_that_old_clients_do_not_know_are_found(copy: Path) -> None:
    def edit(table: pa.Table) -> pa.Table:
        told = table.schema.metadata[b"huggingface"].replace(b'"Sequence"', b'"List"')
        return table.replace_schema_metadata({b"huggingface": told})

    rewrite(copy, edit)
    assert found(copy) == {(FORGET, "older clients must be able to read all lists")}


@pytest.mark.parametrize(
    "edit",
    [
        lambda t: t.select([*t.column_names[1:], t.column_names[0]]),
        lambda t: t.set_column(t.column_names.index("round"), "round", t["round"].cast(pa.int64())),
        lambda t: t.rename_columns(["identifier" if c == "id" else c for c in t.column_names]),
        lambda t: t.drop_columns(["source"]),
    ],
    ids=["order", "type", "name", "missing"],
)
def test_other_features_in_a_parquet_file_are_found(copy: Path, edit: Callable[[pa.Table], pa.Table]) -> None:
    rewrite(copy, lambda t: edit(t).replace_schema_metadata(None))
    assert (FORGET, "Parquet features must match the schema") in found(copy)


def test_the_order_of_columns_and_labels_counts() -> None:
    assert list(features()) == list(COLUMNS)
    assert Features(dict(reversed(features().items()))) == features()  # why the validator compares lists
    assert detector_features(["church", "tench"]) != detector_features(["tench", "church"])
    assert detector_features(["church", "tench"])["label"] == ClassLabel(names=["church", "tench"])
    assert features()["split"] == Value("string")


@pytest.mark.parametrize(("column", "value"), [("register", "haiku"), ("source", None), ("split", "train")])
def test_a_row_that_breaks_the_schema_is_found_by_id(copy: Path, column: str, value: str | None) -> None:
    def edit(table: pa.Table) -> pa.Table:
        values = table[column].to_pylist()
        values[4] = value
        return table.set_column(table.column_names.index(column), column, pa.array(values, pa.string()))

    broken = pq.read_table(copy / FORGET)["id"][4].as_py()
    rewrite(copy, edit)
    wrong = [p for p in check_folder(copy) if p.rule == "every row must match the schema"]
    assert [p.where for p in wrong] == [broken]
    assert wrong[0].found.startswith(f"'{column}' is invalid in this one: ")


def test_a_tampered_prompt_in_a_file_is_found(copy: Path) -> None:
    def edit(table: pa.Table) -> pa.Table:
        prompts = table["prompt"].to_pylist()
        prompts[0] += " at last"
        return table.set_column(table.column_names.index("prompt"), "prompt", pa.array(prompts))

    rewrite(copy, edit)
    assert "the id must be the hash of the row" in {rule for _, rule in found(copy)}


def test_an_image_that_is_only_a_path_is_found(world_folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(world_folder, tmp_path / "world"))
    assert check_folder(copy) == []
    path = copy / "sandbox/church/forget-00000-of-00001.parquet"
    table = pq.read_table(path)
    images = [{"bytes": None, "path": "/home/me/1.png"}, *table["image"].to_pylist()[1:]]
    field = table.schema.field("image")
    pq.write_table(table.set_column(table.column_names.index("image"), field, pa.array(images, field.type)), path)
    sign(copy)
    assert found(copy) == {("sandbox/church/forget-00000-of-00001.parquet", "images must be embedded")}


GENERAL = "general/test-00000-of-00001.parquet"


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    first_quick(
        [
            ("prompt", "A lamp", "the id must be the hash of the row"),
            ("prompt", "A child beside a lamp", "the text must follow the content policy (minor)"),
            (
                "questions",
                ["Is it lit?", "is it lit?", "Is it day?", "Is it night?"],
                "the questions of a prompt must differ from each other",
            ),
            ("answers", ["yes", "no", "maybe"], "every row must match the schema"),
            ("answers", ["yes"], "every row must match the schema"),
            ("n_tokens_clip", 3, "n_tokens_clip must match the prompt"),
            ("id", "0123456789abcdef", "the id must be the hash of the row"),
        ],
        3,
    ),
)
def test_general_prompts_are_checked(copy: Path, column: str, value: Any, rule: str) -> None:
    table = pq.read_table(copy / GENERAL)
    values = table[column].to_pylist()
    field = table.schema.field(column)
    changed = pa.array([value, *values[1:]], field.type)
    pq.write_table(table.set_column(table.column_names.index(column), field, changed), copy / GENERAL)
    sign(copy)
    assert rule in {rule for _, rule in found(copy)}


def test_general_prompts_that_come_twice_or_have_other_columns_are_found(copy: Path) -> None:
    table = pq.read_table(copy / GENERAL)
    pq.write_table(pa.concat_tables([table, table.slice(0, 1)]), copy / GENERAL)
    sign(copy)
    assert {rule for _, rule in found(copy)} == {"ids must be unique"}
    pq.write_table(table.drop_columns("theme").replace_schema_metadata(None), copy / GENERAL)
    sign(copy)
    assert (GENERAL, "Parquet features must match the schema") in found(copy)


def test_an_oversized_row_group_is_found(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert folders.MAX_ROW_GROUP_BYTES == 100 * 1024**2
    size = pq.ParquetFile(copy / FORGET).metadata.row_group(0).total_byte_size
    monkeypatch.setattr(folders, "MAX_ROW_GROUP_BYTES", size)
    assert (FORGET, "row groups must be at most 100 MB") not in found(copy)
    monkeypatch.setattr(folders, "MAX_ROW_GROUP_BYTES", size - 1)
    assert (FORGET, "row groups must be at most 100 MB") in found(copy)
