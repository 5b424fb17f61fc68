"""Every rule of the validator is broken on purpose once and must be found; the real build must be clean."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from datasets import ClassLabel, Features, Value
from pydantic import ValidationError

from igmu_data import folder as folders
from igmu_data.errors import CorpusError
from igmu_data.folder import check_folder, parquet_files
from igmu_data.schema import COLUMNS, Row, detector_features, features, row_id
from igmu_data.taxonomy import all_concepts, concept
from igmu_data.validate import Problem, content_words, names_concept, overlap, problems, require_valid

CHURCH = "object/church"
Corpus = dict[str, list[Row]]


@pytest.fixture
def church(corpus_rows: Corpus) -> list[Row]:
    return list(corpus_rows[CHURCH])


def altered(row: Row, *, keep_id: bool = False, **changes: Any) -> Row:
    """The row with other values and, unless it is to be kept, the id that belongs to them."""
    given = row.model_dump() | changes
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
    assert [(p.where, p.rule) for p in found] == [(church[3].id, "the id is the hash of the row")]


def test_a_duplicate_id_is_found(church: list[Row]) -> None:
    last = len(church) - 1
    found = list(problems(swap(church, last, keep_id=True, id=church[last - 1].id)))
    assert (church[last - 1].id, "ids are unique", "2 rows have it") in [(p.where, p.rule, p.found) for p in found]
    assert "ids are unique" in rules([*church, church[0]])


def test_a_near_duplicate_is_found(church: list[Row]) -> None:
    for split in ("forget", "retain"):
        at = first(church, split=split)
        text = f"Once more {church[at].prompt[0].lower()}{church[at].prompt[1:]}"
        found = list(problems(swap(church, at + 1, prompt=text, stripped_prompt=church[at].stripped_prompt)))
        assert "no near-duplicates" in {p.rule for p in found}
        assert text in next(p.found for p in found if p.rule == "no near-duplicates")


def test_an_adversarial_prompt_that_stands_twice_is_found(church: list[Row]) -> None:
    at = first(church, attack_family="synonym")
    found = [p for p in problems(swap(church, at + 1, prompt=church[at].prompt)) if "differ" in p.rule]
    assert [(p.rule, p.found) for p in found] == [
        ("prompts differ within a concept", f"same as {church[at].id}: {church[at].prompt!r}")
    ]


@pytest.mark.parametrize(("split", "least"), [("forget", 50), ("retain", 50), ("adversarial", 40)])
def test_too_few_rows_are_found(church: list[Row], split: str, least: int) -> None:
    own = [r for r in church if r.split == split]
    rest = [r for r in church if r.split != split]
    assert f"at least {least} {split} rows" not in rules(rest + own[:least])
    assert f"at least {least} {split} rows" in rules(rest + own[: least - 1])
    assert (CHURCH, f"at least {least} {split} rows", "0") in [(p.where, p.rule, p.found) for p in problems(rest)]


@pytest.mark.parametrize("text", ["Children near a river", "A notice about a minor", "两个孩子", "N i ñ o s in a park"])
@pytest.mark.parametrize("key", ["prompt", "stripped_prompt"])
def test_a_policy_violation_is_found(church: list[Row], text: str, key: str) -> None:
    at = first(church, split="retain")
    rows = swap(church, at, **{key: text})
    found = [p for p in problems(rows) if p.rule == "content policy (minor)"]
    assert found
    assert {p.where for p in found} == {rows[at].id}
    assert all(text in p.found for p in found)


def test_an_attack_needs_family_and_source(church: list[Row]) -> None:
    at = first(church, split="adversarial")
    other = next(r for r in church if r.split == "forget" and r.id != church[at].attack_source_id)
    rule = "an attack names its family and its source row"
    assert rule in rules(swap(church, at, attack_source_id=None))
    assert rule in rules(swap(church, at, attack_source_id="0123456789abcdef"))
    assert rule in rules(swap(church, at, attack_family=None))
    retained = church[first(church, split="retain")]
    assert rule in rules(swap(church, at, attack_source_id=retained.id))
    assert rules(swap(church, at, attack_source_id=other.id)) == {"an attack is drawn with the seeds of its source"}


def test_an_attack_changes_the_text_and_keeps_the_seeds(church: list[Row]) -> None:
    at = first(church, attack_family="synonym")
    source = next(r for r in church if r.id == church[at].attack_source_id)
    assert rules(swap(church, at, prompt=source.prompt)) == {"an attack changes the text"}
    assert rules(swap(church, at, seeds=(1, 2, 3, 4, 5))) == {"an attack is drawn with the seeds of its source"}


def test_only_adversarial_rows_have_an_attack(church: list[Row]) -> None:
    rule = "only adversarial rows have an attack"
    for split in ("forget", "retain"):
        assert rule in rules(swap(church, first(church, split=split), attack_family="synonym"))
        assert rule in rules(swap(church, first(church, split=split), attack_source_id=church[0].id))


def test_what_must_name_the_concept_and_what_must_not(church: list[Row]) -> None:
    quiet, loud = "Larches above a frozen reservoir", "Larches above a frozen reservoir and two CHAPELS"
    cases = {
        "a forget prompt names the concept": (first(church, split="forget"), {"prompt": quiet}),
        "a retain prompt does not name the concept": (first(church, probe="near"), {"prompt": loud}),
        "an indirect prompt names nothing": (first(church, attack_family="indirect"), {"prompt": loud}),
        "the stripped prompt does not name the concept": (first(church, split="forget"), {"stripped_prompt": loud}),
    }
    for rule, (at, changes) in cases.items():
        rows = swap(church, at, **changes)
        assert (rows[at].id, rule) in [(p.where, p.rule) for p in problems(rows)]
    at = first(church, attack_family="indirect")
    assert "an indirect prompt names nothing" in rules(swap(church, at, prompt="Larches around una iglesia"))


@pytest.mark.parametrize(
    "family", "homoglyph indirect leetspeak misspelling role-frame subclass superclass zero-width".split()
)
def test_a_family_that_leaves_no_name_whole_is_held_to_it(church: list[Row], family: str) -> None:
    at = first(church, attack_family=family)
    article = "an" if family == "indirect" else "a"
    for name in ("church", "chapels", "una iglesia", "教堂"):
        text = f"Larches above a frozen reservoir, {name}"
        assert rules(swap(church, at, prompt=text)) == {f"{article} {family} prompt names nothing"}


def test_a_negation_is_held_to_its_kind(church: list[Row]) -> None:
    at = first(church, probe="negation")
    assert rules(swap(church, at, prompt="A mountain village")) == {"a negation names what is not to be there"}
    assert rules(swap(church, at, probe="near")) == {"an adversarial row probes an attack or negation"}
    assert rules(swap(church, at, stripped_prompt="A chapel")) == {"the stripped prompt does not name the concept"}


@pytest.mark.parametrize("hidden", ["\u200b", "\u00ad", "\ufeff", "\x07", "\u202e"])
def test_invisible_characters_are_found_where_they_do_not_belong(church: list[Row], hidden: str) -> None:
    rule = "no invisible or control character"
    for at in (first(church, attack_family="synonym"), first(church, split="retain")):
        text = f"Larches{hidden} above a frozen reservoir with {church[at].prompt}"
        found = [p for p in problems(swap(church, at, prompt=text)) if p.rule == rule]
        assert [p.found for p in found] == [f"U+{ord(hidden):04X}"]
    at = first(church, attack_family="zero-width")
    assert (rule in rules(swap(church, at, prompt=f"Larches above a ch{hidden}urch"))) is (hidden != "\u200b")


def test_a_prompt_that_a_text_encoder_cuts_is_found(church: list[Row]) -> None:
    at = first(church, attack_family="synonym")
    text = "A chapel " + "beside a river " * 24  # 2 + 1 + 2 + 24·(2 + 1 + 2) tokens, at most
    (found,) = problems(swap(church, at, prompt=text.strip()))
    assert found.rule == "a text encoder reads 77 tokens"
    assert found.found.startswith("up to 125 in 'A chapel beside")


def test_an_attribute_may_be_named_in_prompt_only(corpus_rows: Corpus) -> None:
    rows = list(corpus_rows["style/monet"])
    assert rules(rows) == set()
    assert any(names_concept(r.prompt, concept("style/monet")) for r in rows if r.probe == "in-prompt")
    at = first(rows, probe="in-prompt")
    assert "a retain prompt does not name the concept" in rules(swap(rows, at, probe="far"))


@pytest.mark.parametrize("changes", [{"domain": "style"}, {"family": "animal"}, {"scope": "attribute"}])
def test_a_row_in_the_wrong_place_is_found(church: list[Row], changes: dict[str, str]) -> None:
    assert rules(swap(church, 0, **changes)) == {"domain, family and scope are the concept's"}


def test_an_unknown_concept_is_found(church: list[Row]) -> None:
    moved = [altered(r, keep_id=True, concept="object/chruch") for r in church]
    assert ("object/chruch", "concept is in the taxonomy", "it is not") in [
        (p.where, p.rule, p.found) for p in problems(moved)
    ]


def test_require_valid_counts_and_shows_what_is_broken(church: list[Row]) -> None:
    rows = [altered(r, keep_id=True, prompt=f"{r.prompt} at last") if i < 12 else r for i, r in enumerate(church)]
    n = len(list(problems(rows)))
    with pytest.raises(CorpusError) as caught:
        require_valid(rows)
    head, *shown = str(caught.value).split("\n")
    assert head == f"{n} broken invariants in {len(rows)} rows:"
    assert n >= 12
    assert len(shown) == 10
    assert shown[0] == f"  {rows[0].id}: the id is the hash of the row: {rows[0].prompt}"


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
    ],
)
def test_a_row_outside_the_vocabulary_cannot_be_made(church: list[Row], changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Row(**church[0].model_dump() | changes)


def test_a_row_without_licence_cannot_be_made(church: list[Row]) -> None:
    given = church[0].model_dump()
    del given["license"]
    with pytest.raises(ValidationError, match="license"):
        Row(**given)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("A church.", "church"),
        ("two CHURCHES", "church"),
        ("the church's door", "church"),
        ("a churchyard", None),
        ("unchurched", None),
        ("a house of worship", "house of worship"),
        ("a house, of worship", None),
    ],
)
def test_names_are_whole_words_in_any_case_and_number(text: str, name: str | None) -> None:
    assert names_concept(text, concept(CHURCH)) == name


def test_names_in_other_languages_and_with_other_plurals() -> None:
    church, cat, cezanne = concept(CHURCH), concept("object/cat"), concept("style/cezanne")
    assert names_concept("iglesias", church) is None
    assert names_concept("iglesias", church, foreign=True) == "iglesia"
    assert names_concept("山上的教堂", church, foreign=True) == "教堂"
    assert names_concept("deux églises", church, foreign=True) == "église"
    assert names_concept("moggies and tabbies", cat) == "moggy"
    assert names_concept("two kitties", cat) == "kitty"
    assert names_concept("a cat", cat) == "cat"
    assert names_concept("a catalogue of cattle", cat) is None
    assert names_concept("by CÉZANNE", cezanne) == "Cézanne"
    assert names_concept("cézannesque", cezanne) is None


def test_overlap_by_hand() -> None:
    assert content_words("A church on the hill, at {a} dawn") == {"church", "hill", "dawn"}
    assert overlap(frozenset("abc"), frozenset("bcd")) == 0.5
    assert overlap(frozenset("ab"), frozenset("cd")) == 0.0
    assert overlap(frozenset(), frozenset()) == 1.0


# --- the folder ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from builders.bench import build

    return build(tmp_path_factory.mktemp("church") / "hub", only=[CHURCH])[0]


@pytest.fixture
def copy(built: Path, tmp_path: Path) -> Path:
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
    assert [p.name.split("-")[0] for p in parquet_files(built)] == ["adversarial", "forget", "retain"]


def test_the_whole_corpus_is_clean(bench_folder: Path, corpus_rows: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Row] = []

    def rows_are_valid(rows: list[Row]) -> list[Problem]:
        read.extend(rows)  # the build refused nothing in these very rows: once is enough
        return []

    monkeypatch.setattr(folders, "problems", rows_are_valid)
    assert check_folder(bench_folder) == []
    assert check_folder(bench_folder.with_name("bench-nsfw")) == []
    made = {r.id: r for rows in corpus_rows.values() for r in rows}
    assert len(read) == len(made)
    assert {r.id: r for r in read} == made
    assert len(parquet_files(bench_folder)) == 3 * sum(c.domain != "nsfw" for c in all_concepts().values())


def test_a_changed_a_missing_and_an_extra_file_are_found(copy: Path) -> None:
    with (copy / "eval.yaml").open("a") as handle:
        handle.write("\n")
    (copy / "croissant.json").unlink()
    (copy / "notes.txt").write_text("mine")
    (copy / ".gitattributes").write_text("")  # a download's own
    assert found(copy) == {
        ("eval.yaml", "the SHA-256 is the manifest's"),
        ("croissant.json", "every listed file is there"),
        ("notes.txt", "every file is listed in the manifest"),
    }


def test_a_missing_or_broken_manifest_is_found(copy: Path) -> None:
    for text in ("{", "[]", "{}", '{"files": 3}'):
        (copy / "manifest.json").write_text(text)
        assert found(copy) == {("manifest.json", "the manifest is JSON with 'files'")}
    (copy / "manifest.json").unlink()
    assert found(copy) == {("manifest.json", "the manifest is there")}


def test_a_folder_without_card_or_configs_is_no_dataset(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"no README\.md, so not a dataset folder"):
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
    assert found(copy) == {(FORGET, "every Parquet file can be read")}


def test_a_duplicate_config_name_is_found(copy: Path) -> None:
    front(copy, lambda block: block["configs"].append(dict(block["configs"][-1])))
    assert found(copy) == {("object.structure", "config names are unique")}


@pytest.mark.parametrize("default", [False, True])
def test_one_config_is_the_default(copy: Path, default: bool) -> None:
    def edit(block: dict[str, Any]) -> None:
        for config in block["configs"]:
            config["default"] = default

    front(copy, edit)
    assert found(copy) == {("README.md", "one default config")}


def test_a_wrong_number_of_examples_is_found(copy: Path) -> None:
    def edit(block: dict[str, Any]) -> None:
        info = next(i for i in block["dataset_info"] if i["config_name"] == "object")
        next(s for s in info["splits"] if s["name"] == "retain")["num_examples"] += 1

    front(copy, edit)
    assert found(copy) == {("object", "num_examples of retain")}


def test_a_config_without_dataset_info_is_found(copy: Path) -> None:
    front(copy, lambda b: b.update(dataset_info=[i for i in b["dataset_info"] if i["config_name"] != "object"]))
    assert found(copy) == {("object", f"num_examples of {s}") for s in ("forget", "retain", "adversarial")}


def test_a_glob_that_catches_another_split_or_nothing_is_found(copy: Path) -> None:
    def edit(block: dict[str, Any]) -> None:
        files = {c["config_name"]: {e["split"]: e for e in c["data_files"]} for c in block["configs"]}
        files["object"]["forget"]["path"] = "object/*/*/*"
        files["all"]["retain"]["path"] = "objects/*/*/retain-*"

    front(copy, edit)
    assert found(copy) == {("object", "a glob finds only its split"), ("all", "every glob finds files")}


def test_a_glob_that_catches_an_extra_file_is_found(copy: Path) -> None:
    shutil.copy(copy / FORGET, copy / FORGET.replace("00000-of-00001", "00000-copy"))
    sign(copy)
    configs = ("all", "object", "object.structure", "object.church")
    assert {(c, "num_examples of forget") for c in configs} <= found(copy)


def test_a_glob_that_catches_what_is_no_parquet_file_is_found(copy: Path) -> None:
    shutil.copy(copy / FORGET, copy / f"{FORGET}.bak")
    sign(copy)
    assert found(copy) == {
        (c, "a glob finds only its split") for c in ("all", "object", "object.structure", "object.church")
    }


def test_a_file_of_no_config_is_found(copy: Path) -> None:
    path = copy / "extra/forget-00000-of-00001.parquet"
    path.parent.mkdir()
    shutil.copy(copy / FORGET, path)
    sign(copy)
    assert ("extra/forget-00000-of-00001.parquet", "every file belongs to a config") in found(copy)


def test_other_features_in_the_yaml_are_found(copy: Path) -> None:
    def reordered(block: dict[str, Any]) -> None:
        listed = block["dataset_info"][0]["features"]
        listed.insert(0, listed.pop())

    def retyped(block: dict[str, Any]) -> None:
        split = next(f for f in block["dataset_info"][1]["features"] if f["name"] == "split")
        split["dtype"] = {"class_label": {"names": {"0": "forget", "1": "retain", "2": "adversarial"}}}

    front(copy, reordered)
    assert found(copy) == {("all", "YAML features are the schema's")}
    front(copy, retyped)
    assert found(copy) == {(c, "YAML features are the schema's") for c in ("all", "object")}


@pytest.mark.parametrize(
    "edit",
    [
        lambda t: t.select([*t.column_names[1:], t.column_names[0]]),
        lambda t: t.set_column(t.column_names.index("steps"), "steps", t["steps"].cast(pa.int64())),
        lambda t: t.rename_columns(["identifier" if c == "id" else c for c in t.column_names]),
        lambda t: t.drop_columns(["license"]),
        lambda t: t.drop_columns(["image"]),
    ],
    ids=["order", "type", "name", "missing", "no image"],
)
def test_other_features_in_a_parquet_file_are_found(copy: Path, edit: Callable[[pa.Table], pa.Table]) -> None:
    rewrite(copy, lambda t: edit(t).replace_schema_metadata(None))
    assert (FORGET, "Parquet features are the schema's") in found(copy)


def test_the_order_of_columns_and_labels_counts() -> None:
    assert list(features()) == list(COLUMNS)
    assert Features(dict(reversed(features().items()))) == features()  # why the validator compares lists
    assert detector_features(["church", "tench"]) != detector_features(["tench", "church"])
    assert detector_features(["church", "tench"])["label"] == ClassLabel(names=["church", "tench"])
    assert features()["split"] == Value("string")


@pytest.mark.parametrize(("column", "value"), [("license", ""), ("source", None), ("split", "train")])
def test_a_row_that_breaks_the_schema_is_found_by_id(copy: Path, column: str, value: str | None) -> None:
    def edit(table: pa.Table) -> pa.Table:
        values = table[column].to_pylist()
        values[4] = value
        return table.set_column(table.column_names.index(column), column, pa.array(values, pa.string()))

    broken = pq.read_table(copy / FORGET)["id"][4].as_py()
    rewrite(copy, edit)
    wrong = [p for p in check_folder(copy) if p.rule == "a row follows the schema"]
    assert [p.where for p in wrong] == [broken]
    assert wrong[0].found.startswith(f"{column}: ")


def test_a_tampered_prompt_in_a_file_is_found(copy: Path) -> None:
    def edit(table: pa.Table) -> pa.Table:
        prompts = table["prompt"].to_pylist()
        prompts[0] += " at last"
        return table.set_column(table.column_names.index("prompt"), "prompt", pa.array(prompts))

    rewrite(copy, edit)
    assert {rule for _, rule in found(copy)} == {"the id is the hash of the row"}


def test_a_picture_that_is_only_a_path_is_found(copy: Path) -> None:
    def edit(table: pa.Table) -> pa.Table:
        images = [{"bytes": None, "path": "/home/me/1.png"}, *[None] * (len(table) - 1)]
        field = table.schema.field("image")
        return table.set_column(table.column_names.index("image"), field, pa.array(images, field.type))

    rewrite(copy, edit)
    assert found(copy) == {(FORGET, "pictures are embedded")}


def test_an_oversized_row_group_is_found(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert folders.MAX_ROW_GROUP_BYTES == 100 * 1024**2
    size = pq.ParquetFile(copy / FORGET).metadata.row_group(0).total_byte_size
    monkeypatch.setattr(folders, "MAX_ROW_GROUP_BYTES", size)
    assert (FORGET, "row groups of at most 100 MB") not in found(copy)
    monkeypatch.setattr(folders, "MAX_ROW_GROUP_BYTES", size - 1)
    assert (FORGET, "row groups of at most 100 MB") in found(copy)
