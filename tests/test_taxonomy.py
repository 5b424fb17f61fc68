"""The taxonomy: what every concept file must hold, what is near and far, and what a broken file says."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from naming import mentioned

from igmu_data import taxonomy
from igmu_data.attacks import families
from igmu_data.configs import config_concepts, configs
from igmu_data.errors import CorpusError, UnknownConceptError, UnknownConfigError
from igmu_data.folding import fold
from igmu_data.rows.far import far
from igmu_data.schema import ASIDE
from igmu_data.taxonomy import TRANSLATED, Concept, all_concepts, concept, near

CONCEPTS = tuple(all_concepts().values())
LAST_YEAR_OF_DEATH = 2026 - 71
OBJECTS = (  # the ten Imagenette classes and five more
    "tench english-springer cassette-player chain-saw church french-horn garbage-truck gas-pump golf-ball parachute "
    "airplane bird cat chair motorcycle"
).split()
PROMISED = [*(f"object/{o}" for o in OBJECTS), "style/van-gogh", "nsfw/nudity", "nsfw/violence"]
ENGLISH = ("bar", "fill")  # are names in other languages without their accents
every_concept = pytest.mark.parametrize("item", CONCEPTS, ids=lambda c: c.id)


def test_the_promised_concepts_are_there() -> None:
    assert len(CONCEPTS) >= 120
    assert set(PROMISED) <= set(all_concepts())
    wanted = {"artwork": 6, "attribute": 6, "character": 10, "identity": 12, "landmark": 10, "nsfw": 4}
    assert Counter(c.domain for c in CONCEPTS) == {**wanted, "object": 48, "style": 28}
    assert set(taxonomy.domains()) == {*wanted, "object", "style"}
    assert list(all_concepts()) == sorted(all_concepts())


@every_concept
def test_a_concept_is_complete(item: Concept) -> None:
    assert all_concepts()[f"{item.domain}/{item.slug}"] is item
    assert item.config == f"{item.domain}.{item.slug}"
    assert item.license == "CC-BY-4.0"
    assert len(item.source) > 20
    folded = [s.name.casefold() for s in item.synonyms]
    assert len(set(folded)) == len(folded)
    assert item.label.casefold() not in folded
    assert len(set(item.indirect)) == len(item.indirect) >= 25
    assert [n for n in item.names if not n.strip()] == []
    assert list(item.names) == sorted(item.names, key=lambda n: (-len(n), n))
    assert set(item.labels) <= set(item.names)


@every_concept
def test_a_concept_has_a_name_in_six_languages(item: Concept) -> None:
    assert set(item.translations) == set(TRANSLATED) == {"es", "fr", "de", "it", "pt", "zh"}
    for language, name in item.translations.items():
        # An adjective agrees with what it describes, in names as well ("Schiefer Turm", "der Schiefe Turm").
        last = name.noun.split(" ")[-1]
        assert (last[:-1] if item.pos == "adjective" else last) in name.phrase, f"{language}: {name}"
        is_han = [bool(re.search("[\u3400-\u9fff]", text)) for text in (name.noun, name.phrase)]
        assert is_han == [language == "zh"] * 2, f"{language}: {name}"
        assert bool(name.styled) == (item.domain == "style")


@every_concept
def test_descriptions_and_kinds_name_the_concept_in_no_language(item: Concept) -> None:
    names = item.names + tuple(n for n in item.foreign_names.values() if fold(n) not in ENGLISH)
    for text in (*item.indirect, *(t for t, _ in item.subclasses), *item.superclasses):
        assert mentioned(text, names) == [], text
        assert text == text.strip()
    for texts in (item.superclasses, item.subclasses, item.companions):
        assert len(set(texts)) == len(texts)


@every_concept
def test_a_cell_left_out_exists_and_has_a_reason(item: Concept) -> None:
    assert set(item.without) <= {*families(), *ASIDE}
    assert all(len(reason) >= 15 for reason in item.without.values())


@every_concept
def test_siblings_are_other_things_of_the_same_kind(item: Concept) -> None:
    assert len(item.siblings) >= 8
    assert len({s.id for s in item.siblings}) == len(item.siblings)
    for sibling in item.siblings:
        assert sibling.id != item.id
        assert sibling.id.partition("/")[0] in (("scene", "object") if item.domain == "nsfw" else (item.domain,))
        assert not mentioned(sibling.name, item.names), sibling.name
        assert (len(sibling.prompts) >= 13) or item.domain == "style"


def test_the_naming_check_of_these_tests_can_fail() -> None:
    assert mentioned("Two GAS PUMPS by the church's kitties", ("gas pump", "church", "kitty", "urch")) == [
        "gas pump",
        "church",
        "kitty",
    ]
    assert mentioned("山上的教堂, une église", ("教堂", "église", "chapelle")) == ["教堂", "église"]


@every_concept
def test_far_are_twelve_others_written_down(item: Concept) -> None:
    assert near(item) == tuple(s.id for s in item.siblings)
    assert far(item) == item.far
    assert len(set(item.far)) == len(item.far) == 12
    assert set(item.far) <= set(all_concepts())
    assert not {item.id, *near(item)} & set(item.far)
    assert not [i for i in item.far if i.startswith("nsfw/")]


def test_near_and_far_of_a_church_by_hand() -> None:
    church = concept("object/church")
    assert {"object/mosque", "object/pagoda"} <= set(near(church))
    assert taxonomy.siblings()["object/mosque"].phrase == "a mosque"
    assert "object/mosque" not in all_concepts()
    assert {"object/mosque", "object/church"} <= taxonomy.known_ids()


@pytest.mark.parametrize("item", [c for c in CONCEPTS if c.domain in ("identity", "style")], ids=lambda c: c.id)
def test_persons_and_painters_died_more_than_seventy_years_ago(item: Concept) -> None:
    if item.adjective:  # a movement
        return
    born, died = map(int, re.findall(r"\d{4}", item.dates))
    assert born < died <= LAST_YEAR_OF_DEATH


@pytest.mark.parametrize("item", [c for c in CONCEPTS if c.domain == "character"], ids=lambda c: c.id)
def test_characters_are_in_the_public_domain_and_say_why(item: Concept) -> None:
    years = [int(y) for y in re.findall(r"\b1[0-9]{3}\b", item.dates)]
    assert years, item.dates
    assert max(years) <= LAST_YEAR_OF_DEATH
    assert "public domain" in item.source.casefold()


def test_styles_are_attributes_and_things_are_subjects() -> None:
    scopes = {(c.domain, c.scope) for c in CONCEPTS if c.domain != "nsfw"}
    attributes = ("attribute", "style")
    assert scopes == {(d, "attribute" if d in attributes else "subject") for d in taxonomy.domains() if d != "nsfw"}
    assert concept("nsfw/nudity").scope == "attribute"


def test_imagenet_classes_belong_to_one_concept() -> None:
    owners: dict[int, list[str]] = {}
    for c in CONCEPTS:
        for i in c.imagenet:
            owners.setdefault(i, []).append(c.slug)
    kinds = [("dog", "english-springer"), ("fish", "tench"), ("garbage-truck", "truck")]  # a kind is a concept, too
    assert sorted(tuple(own) for own in owners.values() if len(own) > 1) == kinds
    # Imagenette's classes in torchvision's order.
    assert [concept(f"object/{o}").imagenet for o in OBJECTS[:10]] == [
        (n,) for n in (0, 217, 482, 491, 497, 566, 569, 571, 574, 701)
    ]


def test_config_names_are_unique_and_gather_their_concepts() -> None:
    for restricted in (False, True):
        mine = [c for c in CONCEPTS if (c.domain == "nsfw") is restricted]
        wanted: dict[str, list[str]] = {"all": [c.id for c in mine]}
        for c in mine:
            assert c.config not in wanted
            for name in (c.domain, f"{c.domain}.{c.family}", c.config):
                wanted.setdefault(name, []).append(c.id)
        assert {k: list(v) for k, v in configs(restricted).items()} == wanted
        assert next(iter(configs(restricted))) == "all"
        assert all(re.fullmatch(r"[a-z][a-z0-9-]*(\.[a-z0-9-]+)?", name) and name != "data" for name in wanted)
    assert config_concepts("object.church") == ("object/church",)
    assert "nsfw/nudity" in config_concepts("nsfw")
    assert all(not c.startswith("nsfw/") for c in config_concepts("all"))


def test_a_concept_named_like_its_family_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    church = concept("object/church")
    clash = church.model_copy(update={"family": "church"})
    monkeypatch.setattr("igmu_data.configs.all_concepts", lambda: MappingProxyType({clash.id: clash}))
    with pytest.raises(CorpusError, match=r"'object\.church' would name both a family and a concept"):
        configs.__wrapped__()


@pytest.mark.parametrize("asked", ["object/chruch", "object.chruch", "chruch"])
def test_an_unknown_concept_gets_a_suggestion(asked: str) -> None:
    with pytest.raises(UnknownConceptError) as caught:
        concept(asked)
    assert str(caught.value) == f"there is no concept {asked!r}; did you mean 'object/church'? {taxonomy.HINT}"
    assert caught.value.suggestions == ("object/church",)


def test_an_unknown_config_gets_a_suggestion() -> None:
    with pytest.raises(UnknownConfigError, match=r"no config 'object\.structur'; did you mean 'object\.structure'"):
        config_concepts("object.structur")
    with pytest.raises(
        UnknownConceptError, match=r"no concept 'zzzz'\. Run 'igmu concepts' to list them; for your own"
    ):
        concept("zzzz")


def test_a_concept_is_found_by_id_and_by_config() -> None:
    assert concept("object.church") is concept("object/church") is all_concepts()["object/church"]


@pytest.mark.parametrize(
    ("name", "noun", "phrase"),
    [
        ("object/church", None, "a church"),
        ("object/church", "house of worship", "a house of worship"),
        ("object/airplane", None, "an airplane"),
        ("object/airplane", "aeroplane", "an aeroplane"),
        ("object/airplane", "jumbo jet", "a jumbo jet"),
        ("object/english-springer", None, "an English springer"),
        ("object/english-springer", "springer", "a springer"),
        ("object/chair", "armchair", "an armchair"),
        ("object/church", "unicorn", "a unicorn"),
        ("object/church", "umbrella", "an umbrella"),
        ("object/church", "European chapel", "a European chapel"),
        ("object/church", "one-nave church", "a one-nave church"),
        ("object/church", "onion dome", "an onion dome"),
        ("style/van-gogh", None, "Vincent van Gogh"),
        ("style/van-gogh", "V. van Gogh", "V. van Gogh"),
        ("landmark/eiffel-tower", None, "the Eiffel Tower"),
        ("identity/abraham-lincoln", "Abe Lincoln", "Abe Lincoln"),
    ],
)
def test_articles_by_hand(name: str, noun: str | None, phrase: str) -> None:
    assert concept(name).phrase(noun) == phrase


@given(st.sampled_from("bcdfgjklmnpqrstvwxyz"), st.text("abcdefghijklmnopqrstuvwxyz", min_size=2, max_size=8))
def test_a_consonant_takes_a_and_a_proper_name_takes_nothing(first: str, rest: str) -> None:
    assert concept("object/church").phrase(first + rest) == f"a {first}{rest}"
    assert concept("object/church").phrase("i" + rest) == f"an i{rest}"
    assert concept("style/monet").phrase(first + rest) == first + rest


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package's data with one concept."""
    source = Path(taxonomy.__file__).parent
    (tmp_path / "concepts/object").mkdir(parents=True)
    shutil.copy(source / "concepts/object/church.toml", tmp_path / "concepts/object")
    shutil.copytree(source / "concepts/_shared", tmp_path / "concepts/_shared")
    monkeypatch.setattr(taxonomy, "files", lambda _: tmp_path)
    assert list(taxonomy.packaged.__wrapped__()) == ["object/church"]
    return tmp_path


Edit = Callable[[str], str]


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda t: t.replace('scope = "subject"', 'scope = "thing"'), ", key scope: "),
        (lambda t: t.replace('family = "structure"\n', ""), ", key family: Field required"),
        (lambda t: 'colour = "red"\n' + t, ", key colour: Extra inputs are not permitted"),
        (lambda t: t.replace("imagenet = [497]", "imagenet = [1497]"), ", key imagenet.0: "),
        (lambda t: t.replace('license = "CC-BY-4.0"', 'license = " "'), ", key license: "),
        (
            lambda t: re.sub(r"(?m)^it = \{.*\n", "", t),
            ", key translations: there is no translation for 'it'. Add one.",
        ),
        (lambda t: t.replace('noun = "iglesia"', 'name = "iglesia"'), ", key translations.es.noun: Field required"),
        (lambda t: 'slug = "chapel"\n' + t, ": the path of the file already specifies slug. Remove this from the file"),
        (lambda t: t.replace('label = "church"', "label = church"), " is not valid TOML ("),
    ],
)
def test_a_malformed_concept_names_file_and_key(package: Path, edit: Edit, says: str) -> None:
    path = package / "concepts/object/church.toml"
    before = path.read_text(encoding="utf-8")
    assert edit(before) != before
    path.write_text(edit(before), encoding="utf-8")
    with pytest.raises(CorpusError) as caught:
        dict(taxonomy.packaged.__wrapped__())
    assert str(caught.value).startswith(f"concepts/object/church.toml{says}")


def test_a_concept_file_in_another_encoding_or_with_a_bad_name_is_refused(package: Path) -> None:
    path = package / "concepts/object/church.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text, encoding="utf-16")
    with pytest.raises(CorpusError, match=r"^concepts/object/church\.toml is not encoded as UTF-8"):
        dict(taxonomy.packaged.__wrapped__())
    path.unlink()
    path.with_name("Big Church.toml").write_text(text, encoding="utf-8")
    with pytest.raises(CorpusError, match=r"^concepts/object/Big Church\.toml, key slug: "):
        dict(taxonomy.packaged.__wrapped__())


def test_a_malformed_or_missing_shared_file_names_file_and_key(package: Path) -> None:
    path = package / "concepts/_shared/style.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("[scenes]", "[scene]", 1), encoding="utf-8")
    with pytest.raises(CorpusError, match=r"^concepts/_shared/style\.toml, key scenes: "):
        taxonomy.styles.__wrapped__()
    path.unlink()
    with pytest.raises(CorpusError, match=r"^concepts/_shared/style\.toml: this file does not exist"):
        taxonomy.styles.__wrapped__()
