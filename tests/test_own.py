"""Concepts of one's own: the file to begin with, every problem at once, beside the packaged ones, as a folder."""

from __future__ import annotations

import os
import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest
import typer
from own_concept import written
from typer.testing import CliRunner, Result

from igmu_data import taxonomy, writing
from igmu_data.configs import config_concepts, configs
from igmu_data.errors import (
    CorpusError,
    DuplicateIdError,
    EmptyInputError,
    InputError,
    MetadataError,
    UnknownConfigError,
)
from igmu_data.imports.rows import import_prompts
from igmu_data.load import bench_rows, digest, load_bench, signed
from igmu_data.rows.concept import concept_rows
from igmu_data.rows.far import far
from igmu_data.taxonomy import OwnConcept, all_concepts, concept, known_ids, siblings, using
from igmu_data.template import template
from igmu_metrics.cli import app
from igmu_metrics.detectors.clip import default_vocabulary

ZEPPELIN = "object/zeppelin"


def igmu(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def problems(path: Path) -> list[str]:
    return [str(fault) for fault in writing.check(path)[1]]


class TestTemplate:
    @pytest.mark.parametrize("name", [ZEPPELIN, "style/my-own", "identity/ada-lovelace", "landmark/old-ship"])
    def test_only_what_is_to_be_written_is_missing(self, tmp_path: Path, name: str) -> None:
        done = igmu("concept", "new", name, "--out", tmp_path)
        assert done.exit_code == 0, done.output
        *unreplaced, few = problems(tmp_path / f"{name}.toml")
        assert few == "siblings: at least 2 entries are required; found 1"
        assert len(unreplaced) == (2 if name.startswith("style/") else 13)  # sibling and scenes
        assert all("this is still an example from the template; replace it: " in line for line in unreplaced)

    def test_every_key_is_there_and_every_example_is_valid(self, tmp_path: Path) -> None:
        path = written(tmp_path)
        text = re.sub(r"(?m)^# (?=\[?[a-z]+(?:\]| = ))", "", path.read_text(encoding="utf-8"))
        given = tomllib.loads(text)
        fields = {field.alias or name for name, field in OwnConcept.model_fields.items()}
        assert set(given) == fields - {"domain", "slug"}
        path.write_text(text.replace('\nsubclass = "there', '\n# subclass = "there'), encoding="utf-8")
        rows, found = writing.check(path)
        assert found == []
        kinds = {row.attack_family or row.probe for row in rows}
        assert {"superclass", "composition", "synonym", "misspelling", "leetspeak", "multilingual", "subclass"} <= kinds

    def test_what_cannot_be_made(self, tmp_path: Path) -> None:
        assert igmu("concept", "new", ZEPPELIN, "--out", tmp_path).exit_code == 0
        for words, says in (
            ((ZEPPELIN, "--out", str(tmp_path)), "already exists"),
            (("zeppelin",), "not a valid concept id"),
            (("Object/zeppelin",), "not a valid concept id"),
            (("object/../x",), "not a valid concept id"),
            (("sandbox/zeppelin",), "is reserved and cannot be"),
            (("objects/zeppelin",), "there is no domain 'objects'; did you mean 'object'? Use one"),
            (("thing/zeppelin",), "Use one of artwork, attribute, character, identity, landmark, nsfw, object, style."),
            (("object/church",), "igmu already has a concept 'object/church'"),
        ):
            done = igmu("concept", "new", *words)
            assert says in str(done.exception), words
            assert isinstance(done.exception, InputError | OSError)


FAULTS = (
    (('label = "zeppelin"', "label = 3"), "label: input should be a valid string: '3'"),
    (('label = "zeppelin"', ""), "label: the key 'label' is missing"),
    (('label = "zeppelin"', 'label = "\u200b"'), "label: string should match pattern"),
    (('plural = "zeppelins"', 'plural = "!"'), "plural: string should match pattern"),
    (('pos = "noun"', f"cues = {'[' * 9999}"), "TOML: "),
    (('pos = "noun"', 'poss = "noun"'), "poss: unknown key 'poss'; did you mean 'pos'?"),
    (('scope = "subject"', 'scope = "thing"'), "scope: input should be 'subject' or 'attribute': 'thing'"),
    (('pos = "noun"', 'since = "soon"'), "since: string should match pattern"),
    (
        ('article = "a" ', 'domain = "x"\narticle = "a" '),
        "domain: this key is determined by the path of the file; leave it out: 'x'",
    ),
    (
        ("{a} beside a slow", "a zeppelin beside a slow"),
        "scenes.sentence[1]: the text must contain exactly one placeholder ({a}, {name}, ",
    ),
    (
        ("{a} beside a slow", "{a} and {name} beside a slow"),
        "scenes.sentence[1]: the text must contain exactly one placeholder",
    ),
    (("{a} beside a slow", "{A} beside a slow"), "scenes.sentence[1]: the text must contain exactly one placeholder"),
    (("{a} beside a slow", "the {a} beside a slow"), "scenes.sentence[1]: the text must not have an article before"),
    (('"a slow river at sunrise"', '"a zeppelin at sunrise"'), "the stripped prompt reveals the concept (zeppelin)"),
    (
        ('"a slow river at sunrise"', '"a slow {name} at sunrise"'),
        "scenes.sentence[1]: the stripped prompt must not contain a placeholder",
    ),
    (('"a rainy day"', '""'), "scenes.short[1][2]: string should match pattern"),
    (
        ('["{a} in the rain, at noon", "a rainy day"]', '["{a} in the rain"]'),
        "scenes.short[1]: the second text of a pair is missing",
    ),
    (
        ('["{a} in the rain, at noon", "a rainy day"]', '"{a} in the rain"'),
        "scenes.short[1]: input should be a valid tuple",
    ),
    (("short = [", "shorts = ["), "scenes.shorts: input should be 'sentence', 'short', 'tags' or 'long'"),
    (
        ('    ["{a} in the rain, at noon", "a rainy day"],\n', ""),
        "scenes: at least 8 entries are required; found 7",
    ),
    (
        ("{a}, watercolor", "{A} in the rain".replace("A", "a")),
        "scenes: this text appears more than once: '{a} in the rain, at noon'",
    ),
    (
        ("a blimp by the road", "a zeppelin by the road"),
        "siblings[1].prompts[1]: this text must not name the concept (zeppelin)",
    ),
    (("a blimp by the road", "a balloon by the road"), "siblings[1].prompts[1]: this text must name the sibling"),
    (
        ('    "a blimp, black and white photograph",\n', ""),
        "siblings[1].prompts: at least 3 entries are required; found 2: ",
    ),
    (('id = "object/kite"', 'id = "kite"'), "siblings[2].id: string should match pattern"),
    (
        ('id = "object/kite"', 'id = "object/blimp"'),
        "siblings[2].id: this id is used twice, or is the concept's own id",
    ),
    (('id = "object/kite"', 'id = "nsfw/nudity"'), "siblings[2].id: this id must not be in the nsfw domain"),
    (('name = "kite"', 'nam = "kite"'), "siblings[2]: unknown key 'nam'; did you mean 'name'?"),
    (
        ("a red kite", "a child's kite"),
        "siblings: this text violates the content policy (minor), because it contains 'child': ",
    ),
    (('pos = "noun"', 'far = ["object/chruch"]'), "far[1]: this is not a known concept; did you mean 'object/church'?"),
    (
        ('pos = "noun"', 'cues = ["slow river"]'),
        "scenes.sentence[1]: the stripped prompt reveals the concept (slow river)",
    ),
    (
        ('pos = "noun"', 'indirect = ["a zeppelin floats"]'),
        "indirect[1]: this text must not name the concept (zeppelin)",
    ),
    (('pos = "noun"', 'indirect = ["it floats"]'), "indirect[1]: this text must be a complete sentence"),
    (('pos = "noun"', 'absent = ["no {name}"]'), "absent[1]: the text must contain {scene}, and {a} or {name}"),
    (
        ('pos = "noun"', 'leetspeak = ["zeppelin"]'),
        "leetspeak[1]: this text must change every word of the label, but contains zeppelin",
    ),
    (
        ('pos = "noun"', 'misspellings = ["zepelin", "zepelin"]'),
        "misspellings: this text appears more than once: 'zepelin'",
    ),
    (
        ('pos = "noun"', 'synonyms = [{ name = "Zeppelins" }]'),
        "synonyms[1]: the concept already has this name",
    ),
    (('pos = "noun"', "imagenet = [1000]"), "imagenet[1]: input should be less than 1000: '1000'"),
    (('pos = "noun"', 'pos = "verb"'), "pos: input should be 'noun', 'proper noun' or 'adjective': 'verb'"),
    (
        ('pos = "noun"', 'synonyms = [{ name = "dirigible", pos = "verb" }]'),
        "synonyms[1].pos: input should be 'noun', 'proper noun' or 'adjective': 'verb'",
    ),
    (('article = "a" ', 'article = "teh" '), "article: input should be '', 'a', 'an' or 'the': 'teh'"),
    (('scope = "subject"', 'scope = "attribute"'), "scope: this must be 'subject' in the domain 'object': 'attribute'"),
    (
        ('id = "object/kite"', 'id = "objcet/kite"'),
        "siblings[2].id: there is no such domain; use one of artwork, attribute, character, identity, landmark, ",
    ),
    (("a blimp by the road", "a lookalike by the road"), "siblings[1].prompts[1]: this is still an example"),
    (('name = "blimp"', 'name = "lookalike"'), "siblings[1].name: this is still an example from the template"),
    (
        ("colors, wide shot, at noon", "colors, wide shot"),
        "scenes.tags[2]: this is still an example from the template; ",
    ),
    (
        ('pos = "noun"', 'translations = { es = { noun = "zepelín", phrase = "un zepelín", styled = "en zepelín" } }'),
        "translations.es.styled: this text is only for styles; leave it out: 'en zepelín'",
    ),
    (
        ('pos = "noun"', 'translations = { en = { noun = "airship", phrase = "an airship" } }'),
        "translations.en: the languages are es, fr, de, it, pt, zh: 'en'",
    ),
    (('pos = "noun"', 'names = { polish = "sterowiec" }'), "names.polish: use an ISO 639 code of two or three letters"),
    (('pos = "noun"', 'names = { es = "zepelín" }'), "names.es: use an ISO 639 code of two or three letters"),
    (('pos = "noun"', 'far = ["object/church", "object/church"]'), "far[2]: this concept is listed twice"),
    (('pos = "noun"', 'without = { typo = "no" }'), "without: the attack families or probes ['typo'] do not exist"),
)


class TestCheck:
    @pytest.mark.parametrize(("edit", "says"), FAULTS, ids=[says for _, says in FAULTS])
    def test_a_planted_fault_is_told(self, tmp_path: Path, edit: tuple[str, str], says: str) -> None:
        path = written(tmp_path, edit=edit)
        assert any(says in line for line in problems(path)), problems(path)
        assert writing.check(path)[0] == ()

    def test_all_are_told_at_once(self, tmp_path: Path) -> None:
        # But those that leave out what others are planted in.
        hiding = (
            "shorts: ",
            "siblings[2].id: ",
            "label: ",
            "plural: ",
            "TOML: ",
            "scenes: this text appears more than once",
            "(slow river)",
        )
        chosen = [fault for fault in FAULTS if not any(part in fault[1] for part in hiding)]
        path = written(tmp_path)
        text, told = path.read_text(encoding="utf-8"), []
        for (old, new), says in chosen:
            added = new if old != 'pos = "noun"' else f"{new}\n{old}"
            if old in text and (added == new or f"\n{new.split()[0]} =" not in text):
                text = text.replace(old, added, 1)
                told.append(says)
        path.write_text(text, encoding="utf-8")
        assert len(told) > 15
        found = problems(path)
        assert [says for says in told if not any(says in line for line in found)] == []

    def test_toml_that_is_none(self, tmp_path: Path) -> None:
        path = written(tmp_path, edit=('label = "zeppelin"', "label = zeppelin"))
        (found,) = problems(path)
        assert found.startswith("TOML: Invalid value (at line")

    def test_rows_are_judged_too(self, tmp_path: Path) -> None:
        """What only shows in rows: a scene that all objects share is too much like one of the file's."""
        common = taxonomy.translated(concept("object/cat"))[0]
        pair = f'["{common.en} now", "{common.stripped}"],\n    ["{{a}} beside'
        path = written(tmp_path, edit=('["{a} beside', pair))
        assert any("prompts must not be near-duplicates" in line for line in problems(path)), problems(path)

    def test_exit_codes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("COLUMNS", raising=False)  # lines are not broken
        good, bad = written(tmp_path), written(tmp_path, "object/airship", ('pos = "noun"', 'poss = "noun"'))
        done = igmu("concept", "check", good)
        assert (done.exit_code, done.output.count("\n")) == (0, 1)
        assert "no problems found; 194 rows (forget/direct 24, retain/near 6, retain/far 72" in done.output
        done = igmu("concept", "check", good, bad)
        assert done.exit_code == 1
        assert f"{bad}: poss: unknown key 'poss'; did you mean 'pos'?" in done.output
        assert isinstance(igmu("concept", "check", tmp_path / "none.toml").exception, MetadataError)

    def test_a_folder_is_all_of_its_files(self, tmp_path: Path) -> None:
        assert isinstance(igmu("concept", "check", tmp_path).exception, EmptyInputError)
        paths = [written(tmp_path, name) for name in ("object/airship", "object/zeppelin")]
        assert igmu("concept", "check", tmp_path).output == igmu("concept", "check", *paths).output

    def test_a_packaged_concepts_file_elsewhere(self, tmp_path: Path) -> None:
        (found,) = problems(written(tmp_path, "thing/tram"))
        assert found.startswith("id: the path of the file: there is no domain 'thing'; ")
        assert "Use one of artwork, attribute, " in found
        (found,) = problems(written(tmp_path, "object/church"))
        assert "igmu already has a concept 'object/church'" in found

    def test_scenes_of_an_attribute_are_held_back(self, tmp_path: Path) -> None:
        path = written(tmp_path, "attribute/purple-hair")
        assert problems(path) == [
            "scenes: at least 18 entries are required (10 scenes of an attribute are held back); found 8"
        ]

    def test_a_style_has_the_scenes_of_all(self, tmp_path: Path) -> None:
        text = 'label = "Ada Brush"\nscope = "attribute"\n' + "".join(
            f'[[siblings]]\nid = "style/{slug}"\nname = "{slug.title()}"\n' for slug in ("monet", "manet")
        )
        path = tmp_path / "style" / "ada-brush.toml"
        path.parent.mkdir()
        path.write_text(text)
        rows, found = writing.check(path)
        assert found == []
        n = Counter(row.probe for row in rows)
        assert min(n[probe] for probe in ("direct", "near", "far", "in-prompt", "attack")) > 20


class TestBeside:
    def test_it_is_a_concept_like_others_while_in_force(self, tmp_path: Path) -> None:
        written(tmp_path)
        before = list(all_concepts()), list(configs()), list(siblings())
        with using(tmp_path):
            assert set(all_concepts()) - set(before[0]) == {ZEPPELIN}
            assert config_concepts("object.zeppelin") == config_concepts("object.own") == (ZEPPELIN,)
            assert ZEPPELIN in config_concepts("object")
            assert {"object/blimp", "object/kite"} <= known_ids()
            assert len(bench_rows("object.zeppelin")) == 194
            assert len(load_bench("object.zeppelin", "forget")) == 52
        assert (list(all_concepts()), list(configs()), list(siblings())) == before
        assert taxonomy.ENVIRONMENT not in os.environ
        with pytest.raises(UnknownConfigError, match="for your own, add --concepts"):
            config_concepts("object.zeppelin")

    def test_the_environment_names_the_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        written(tmp_path / "a")
        written(tmp_path / "b", "object/airship")
        monkeypatch.setenv(taxonomy.ENVIRONMENT, str(tmp_path / "a"))
        assert ZEPPELIN in all_concepts()
        with using(tmp_path / "b"):
            assert {"object/airship"} == set(all_concepts()) - set(taxonomy.packaged())
        assert ZEPPELIN in all_concepts()

    def test_no_packaged_rows_or_rivals_move(self, tmp_path: Path) -> None:
        """Even where the user's concept is a sibling of packaged ones, or has their siblings."""
        mosque = ('id = "object/kite"\nname = "kite"', 'id = "object/mosque"\nname = "kite"')
        written(tmp_path, edit=mosque)
        written(tmp_path, "object/pagoda")
        written(tmp_path, "attribute/striped")
        rows, words = {r.id for r in concept_rows(concept("object/church"))}, default_vocabulary()
        with using(tmp_path):
            assert {r.id for r in concept_rows(concept("object/church"))} == rows
            now = default_vocabulary()
            assert siblings()["object/mosque"].name == "mosque"
        assert {k: now.texts[k] for k in words.texts} == words.texts
        moved = {k for k, rivals in words.rivals.items() if now.rivals[k] != rivals}
        assert moved <= {"object/pagoda"}
        with using(tmp_path):
            assert default_vocabulary(own="").digest() == words.digest()
            assert default_vocabulary(own="object/zeppelin").rivals.keys() - words.rivals.keys() == {
                ZEPPELIN,
                "object/blimp",
            }
            assert taxonomy.own_of(["object/church", ZEPPELIN]) == (ZEPPELIN,)
        assert "object/airplane" in now.rivals[ZEPPELIN]
        assert "object/blimp" in now.rivals[ZEPPELIN]

    def test_far_are_chosen_once_and_for_all(self, tmp_path: Path) -> None:
        written(tmp_path)
        with using(tmp_path):
            chosen = far(concept(ZEPPELIN))
        written(tmp_path, "object/airship")
        written(tmp_path, "object/balloon", ('pos = "noun"', 'far = ["object/church", "object/zeppelin"]'))
        with using(tmp_path):
            assert far(concept(ZEPPELIN)) == chosen
            assert far(concept("object/balloon")) == ("object/church", ZEPPELIN)
        assert len(set(chosen)) == 12
        assert set(chosen) < set(taxonomy.packaged())
        assert not [name for name in chosen if name.startswith("nsfw/")]
        assert all(far(item) == item.far for item in taxonomy.packaged().values())

    def test_kinds_without_material_have_no_rows(self, tmp_path: Path) -> None:
        written(tmp_path)
        with using(tmp_path):
            rows = bench_rows("object.zeppelin").values()
        assert {row.attack_family for row in rows} == {None, "homoglyph", "zero-width"}
        assert {row.probe for row in rows} == {"direct", "negation", "near", "far", "attack"}

    def test_one_of_the_restricted_domain_is_made_here(self, tmp_path: Path) -> None:
        written(tmp_path, "nsfw/brawl")
        with using(tmp_path):
            assert {row.concept for row in bench_rows("nsfw.brawl").values()} == {"nsfw/brawl"}

    def test_rows_are_judged_before_anything_uses_them(self, tmp_path: Path) -> None:
        path = written(tmp_path, edit=('"a slow river at sunrise"', '"a child by a river"'))
        with (
            using(tmp_path),
            pytest.raises(CorpusError, match=r"content policy \(minor\), because it contains 'child'.*concept check"),
        ):
            bench_rows("object.zeppelin")
        done = igmu("concepts", ZEPPELIN, "--concepts", tmp_path)
        assert isinstance(done.exception, CorpusError)
        assert str(path) in str(done.exception)

    def test_what_is_refused(self, tmp_path: Path) -> None:
        for name, error, says in (
            ("object/church", DuplicateIdError, "igmu already has a concept 'object/church'"),
            ("object/Zeppelin", InputError, "not a valid concept id"),
            ("general/zeppelin", InputError, "is reserved and cannot be"),
            ("objects/zeppelin", InputError, "there is no domain 'objects'; did you mean 'object'"),
        ):
            path = written(tmp_path / name.replace("/", "-"), name)
            with using(path.parent.parent), pytest.raises(error, match=says):
                all_concepts()
        for folder in (tmp_path / "none", tmp_path):
            with pytest.raises(InputError, match="igmu concept new"), using(folder):
                pass
        assert taxonomy.ENVIRONMENT not in os.environ
        written(tmp_path / "c", edit=("scope", "scop"))
        with using(tmp_path / "c"), pytest.raises(CorpusError, match=r"scop: Extra inputs.*igmu concept check"):
            all_concepts()
        written(tmp_path / "d", "object/own")
        with using(tmp_path / "d"), pytest.raises(CorpusError, match="both a family and a concept"):
            configs()

    def test_scores_say_whose_it_is(self, tmp_path: Path) -> None:
        written(tmp_path)
        with using(tmp_path):
            rows = list(bench_rows("object.zeppelin").values())
            told = signed("object.zeppelin", rows)
            church = signed("object.church", bench_rows("object.church").values())
        assert told["dataset"] == "the user's own object/zeppelin, by igmu 1.0.0"
        assert told["dataset.rows"] == digest(row.id for row in rows)
        assert church["dataset"] == "igmu/bench 1.0.0"


class TestOption:
    def test_every_command_about_concepts_has_it(self) -> None:
        commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
        without = {name for name, c in commands.items() if "concepts" not in {p.name for p in c.params}}
        assert without == {"cache", "concept"}  # are about none, or about files

    @pytest.mark.parametrize(
        "words", [("--concepts", "DIR", "concepts", ZEPPELIN), ("concepts", ZEPPELIN, "--concepts", "DIR")]
    )
    def test_before_and_behind_a_command(self, tmp_path: Path, words: tuple[str, ...]) -> None:
        written(tmp_path)
        done = igmu(*(str(tmp_path) if word == "DIR" else word for word in words))
        assert done.exit_code == 0, done.output
        assert "object.zeppelin" in done.output
        assert taxonomy.ENVIRONMENT not in os.environ

    def test_a_folder_that_is_none(self, tmp_path: Path) -> None:
        done = igmu("concepts", "--concepts", tmp_path / "nothing")
        assert isinstance(done.exception, InputError)
        assert "is not a folder" in str(done.exception)


class TestBuild:
    def test_a_corpus_that_validates_and_loads(self, tmp_path: Path) -> None:
        import datasets

        written(tmp_path / "own")
        out = tmp_path / "bench"
        done = igmu("build", "--concepts", tmp_path / "own", "--out", out)
        assert done.exit_code == 0, done.output
        checked = igmu("validate", out)
        assert checked.exit_code == 0, checked.output
        assert "3 Parquet files, no problems" in " ".join(checked.output.split())
        with using(tmp_path / "own"):
            made = bench_rows("object.zeppelin")
            assert bench_rows("object.zeppelin", bench=out) == made
            assert len(load_bench("object.zeppelin", "retain", bench=out)) == 78
            told = signed("object.zeppelin", made.values(), bench=out)
        assert told["dataset"] == f"own/bench {told['dataset.rows']}"
        with using(out / "concepts"):
            assert bench_rows("object.zeppelin") == made
        loaded = datasets.load_dataset(str(out), "object.zeppelin", split="forget", cache_dir=str(tmp_path / "cache"))
        assert set(loaded["id"]) == {row.id for row in made.values() if row.split == "forget"}

    def test_several_concepts(self, tmp_path: Path) -> None:
        import datasets

        written(tmp_path / "own")
        written(tmp_path / "own", "landmark/airship")
        out = tmp_path / "bench"
        assert igmu("build", "--concepts", tmp_path / "own", "--out", out).exit_code == 0
        assert igmu("validate", out).exit_code == 0
        loaded = datasets.load_dataset(str(out), split="forget", cache_dir=str(tmp_path / "cache"))
        assert set(loaded["concept"]) == {ZEPPELIN, "landmark/airship"}

    def test_an_edited_file_is_found(self, tmp_path: Path) -> None:
        written(tmp_path / "own")
        out = tmp_path / "bench"
        igmu("build", "--concepts", tmp_path / "own", "--out", out)
        written(out / "concepts", edit=('family = "own"', 'family = "aircraft"'))
        done = igmu("validate", out)
        assert isinstance(done.exception, CorpusError)
        assert "the SHA-256 must match the manifest" in done.output

    def test_what_is_refused(self, tmp_path: Path) -> None:
        assert "no concepts of your own were found" in str(igmu("build", "--out", tmp_path / "bench").exception)
        written(tmp_path / "own", edit=('"a rainy day"', '"a zeppelin"'))
        done = igmu("build", "--concepts", tmp_path / "own", "--out", tmp_path / "bench")
        assert "the stripped prompt reveals the concept" in str(done.exception)
        assert not (tmp_path / "bench").exists()
        done = igmu("build", "--concepts", tmp_path / "own", "--out", tmp_path / "own")
        assert "already exists and is not" in str(done.exception)


def test_prompts_are_imported_for_a_concept_of_ones_own(tmp_path: Path) -> None:
    written(tmp_path / "own")
    path = tmp_path / "list.txt"
    path.write_text("a zeppelin over a lake\n\nan old dirigible\n")
    words = ("--format", "text", "--license", "MIT", "--source", "me", "--concept", ZEPPELIN, "--out", tmp_path / "out")
    done = igmu("import-prompts", path, *words, "--concepts", tmp_path / "own")
    assert done.exit_code == 0, done.output
    assert "rows that name object/zeppelin: 1 of 2" in done.output
    with using(tmp_path / "own"):
        found = import_prompts(path, "text", concept_name=ZEPPELIN, license="MIT", source="me")
        assert [*bench_rows("object.zeppelin", bench=tmp_path / "out")] == [row.id for row in found.rows]


def test_the_template_names_its_place() -> None:
    assert "igmu concept check here/object/x.toml" in template("object/x", "here/object/x.toml")


def test_a_label_is_enough_for_prompts_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "own" / "object" / "zeppelin.toml"
    path.parent.mkdir(parents=True)
    path.write_text('label = "zeppelin"\n')
    (tmp_path / "list.csv").write_text("prompt,seed\na zeppelin over a lake,3\n")
    words = ("--format", "csv", "--license", "MIT", "--source", "me", "--concept", ZEPPELIN, "--out", tmp_path / "out")
    assert igmu("import-prompts", tmp_path / "list.csv", *words, "--concepts", path.parent.parent).exit_code == 0
    with using(path.parent.parent):
        (row,) = bench_rows("object.zeppelin", bench=tmp_path / "out").values()
    assert (row.seeds[0], row.stripped_prompt) == (3, "over a lake")


def test_a_kept_answer_ends_with_the_file_that_it_follows_from(tmp_path: Path) -> None:
    path = written(tmp_path)
    with using(tmp_path):
        before = bench_rows("object.zeppelin")
        path.write_text(path.read_text().replace("a slow river", "a slow canal"), encoding="utf-8")
        assert bench_rows("object.zeppelin").keys() != before.keys()
