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
from naming import mentioned, words

from igmu_data import taxonomy
from igmu_data.configs import config_concepts, configs
from igmu_data.errors import CorpusError, UnknownConceptError, UnknownConfigError
from igmu_data.taxonomy import TRANSLATED, Concept, all_concepts, concept, far, near

CONCEPTS = tuple(all_concepts().values())
LAST_YEAR_OF_DEATH = 2026 - 71
OBJECTS = (  # the ten Imagenette classes and five more
    "tench english-springer cassette-player chain-saw church french-horn garbage-truck gas-pump golf-ball parachute "
    "airplane bird cat chair motorcycle"
).split()
PROMISED = [*(f"object/{o}" for o in OBJECTS), "style/van-gogh", "nsfw/nudity", "nsfw/violence"]
every_concept = pytest.mark.parametrize("item", CONCEPTS, ids=lambda c: c.id)


def test_the_promised_concepts_are_there() -> None:
    assert len(CONCEPTS) >= 30
    assert set(PROMISED) <= set(all_concepts())
    n = Counter(c.domain for c in CONCEPTS)
    assert n["style"] >= 10
    assert n["identity"] >= 3
    assert n["character"] >= 2
    assert set(n) == set(taxonomy.domains()) == {"object", "style", "identity", "character", "nsfw"}
    assert list(all_concepts()) == sorted(all_concepts())


@every_concept
def test_a_concept_is_complete(item: Concept) -> None:
    assert all_concepts()[f"{item.domain}/{item.slug}"] is item
    assert item.config == f"{item.domain}.{item.slug}"
    assert item.license == "CC-BY-4.0"
    assert len(item.source) > 20
    folded = [s.casefold() for s in item.synonyms]
    assert len(set(folded)) == len(folded) >= 3
    assert item.label.casefold() not in folded
    assert len(set(item.indirect)) == len(item.indirect) >= 10
    assert [n for n in item.names if not n.strip()] == []
    assert list(item.names) == sorted(item.names, key=lambda n: (-len(n), n))


@every_concept
def test_a_concept_has_a_name_in_six_languages(item: Concept) -> None:
    assert set(item.translations) == set(TRANSLATED) == {"es", "fr", "de", "it", "pt", "zh"}
    for language, name in item.translations.items():
        stem = name.noun[:-1] if item.word else name.noun  # an adjective agrees with what it describes
        assert stem in name.phrase, f"{language}: {name}"
        is_han = [bool(re.search("[\u3400-\u9fff]", text)) for text in (name.noun, name.phrase)]
        assert is_han == [language == "zh"] * 2, f"{language}: {name}"


@every_concept
def test_an_indirect_description_names_the_concept_in_no_language(item: Concept) -> None:
    for text in item.indirect:
        assert mentioned(text, item.names + item.foreign_names) == []
        # Nor inside a longer word: "churchyard" gives "church" away.
        assert [w for w in words(item.noun) if len(w) > 4 and w in "".join(words(text))] == []


@every_concept
def test_classes_and_roles_name_the_concept_in_no_language(item: Concept) -> None:
    for text in (*item.superclasses, *item.subclasses, *item.roles, *item.places):
        assert mentioned(text, item.names + item.foreign_names) == [], text
        assert text == text.strip()
    for texts in (item.superclasses, item.subclasses, item.roles, item.places):
        assert len(set(texts)) == len(texts)


@every_concept
def test_a_family_has_what_it_needs_or_the_file_says_why_not(item: Concept) -> None:
    needs = {"superclass": item.superclasses, "subclass": item.subclasses, "role-frame": item.roles}
    for family, texts in needs.items():
        assert (len(texts) >= 4) != (family in item.without_families), family
    assert set(item.without_families) <= set(needs)
    assert all(len(reason) >= 15 for reason in item.without_families.values())
    assert bool(item.places) == (item.scope == "subject")


def test_the_naming_check_of_these_tests_can_fail() -> None:
    assert mentioned("Two GAS PUMPS by the church's kitties", ("gas pump", "church", "kitty", "urch")) == [
        "gas pump",
        "church",
        "kitty",
    ]
    assert mentioned("山上的教堂, une église", ("教堂", "église", "chapelle")) == ["教堂", "église"]


@every_concept
def test_near_are_the_siblings_and_far_all_others(item: Concept) -> None:
    others = [c for c in CONCEPTS if c is not item and c.domain != "nsfw"]
    siblings = [c for c in others if c.domain == item.domain and c.family == item.family]
    assert list(near(item)) == siblings
    assert list(far(item)) == [c for c in others if c not in siblings]
    assert list(far(item, same_domain=True)) == [c for c in far(item) if c.domain == item.domain]
    assert list(far(item, same_domain=False)) == [c for c in far(item) if c.domain != item.domain]


def test_near_and_far_of_a_church_by_hand() -> None:
    church = concept("object/church")
    assert [c.id for c in near(church)] == ["object/castle", "object/gas-pump", "object/lighthouse"]
    far_ids = {c.id for c in far(church)}
    assert {"object/cat", "style/monet", "identity/napoleon"} <= far_ids
    assert far_ids.isdisjoint({"object/church", "object/castle", "nsfw/nudity", "nsfw/violence"})


@pytest.mark.parametrize("item", [c for c in CONCEPTS if c.domain in ("identity", "style")], ids=lambda c: c.id)
def test_persons_and_painters_died_more_than_seventy_years_ago(item: Concept) -> None:
    years = [int(y) for y in re.findall(r"\b\d{4}\b", item.source)]
    assert len(years) >= 2
    assert years[0] < years[-1] <= LAST_YEAR_OF_DEATH


@pytest.mark.parametrize("item", [c for c in CONCEPTS if c.domain == "character"], ids=lambda c: c.id)
def test_characters_are_in_the_public_domain_and_say_why(item: Concept) -> None:
    died = re.search(r"\(died (\d{4})\)", item.source)
    published = re.search(r"first published (\d{4})", item.source)
    assert died
    assert int(died[1]) <= LAST_YEAR_OF_DEATH
    assert published
    assert int(published[1]) < 1928
    assert "Public domain in the US" in item.source
    assert "EU" in item.source


def test_styles_are_attributes_and_things_are_subjects() -> None:
    scopes = {(c.domain, c.scope) for c in CONCEPTS if c.domain != "nsfw"}
    assert scopes == {
        ("object", "subject"),
        ("style", "attribute"),
        ("identity", "subject"),
        ("character", "subject"),
    }
    assert concept("nsfw/nudity").scope == "attribute"


def test_imagenet_classes_belong_to_one_concept() -> None:
    classes = [i for c in CONCEPTS for i in c.imagenet]
    assert len(set(classes)) == len(classes)
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
    with pytest.raises(CorpusError, match=r"'object\.church' would be both a family and a concept"):
        configs.__wrapped__()


@pytest.mark.parametrize("asked", ["object/chruch", "object.chruch", "chruch"])
def test_an_unknown_concept_gets_a_suggestion(asked: str) -> None:
    with pytest.raises(UnknownConceptError) as caught:
        concept(asked)
    assert str(caught.value) == f"no concept {asked!r}; did you mean 'object/church'? Run 'igmu concepts'."
    assert caught.value.suggestions == ("object/church",)


def test_an_unknown_config_gets_a_suggestion() -> None:
    with pytest.raises(UnknownConfigError, match=r"no config 'object\.structur'; did you mean 'object\.structure'"):
        config_concepts("object.structur")
    with pytest.raises(UnknownConceptError, match=r"no concept 'zzzz'\. Run 'igmu concepts'\."):
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


@every_concept
def test_every_name_in_the_corpus_gets_the_article_that_is_spoken(item: Concept) -> None:
    for name in item.names:
        first = item.phrase(name).split(" ")[0]
        if not item.article:
            assert item.phrase(name) == name
        else:
            assert item.phrase(name) == f"{first} {name}"
            assert first == ("an" if name[0].lower() in "aeiou" else "a"), name  # no name here is an exception


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package's data with one concept."""
    source = Path(taxonomy.__file__).parent
    (tmp_path / "concepts/object").mkdir(parents=True)
    shutil.copy(source / "concepts/object/church.toml", tmp_path / "concepts/object")
    shutil.copytree(source / "templates", tmp_path / "templates")
    monkeypatch.setattr(taxonomy, "files", lambda _: tmp_path)
    assert list(taxonomy.all_concepts.__wrapped__()) == ["object/church"]
    return tmp_path


Edit = Callable[[str], str]


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda t: t.replace('article = "a"', 'article = "the"'), "article: "),
        (lambda t: t.replace('family = "structure"\n', ""), "family: Field required"),
        (lambda t: 'colour = "red"\n' + t, "colour: Extra inputs are not permitted"),
        (lambda t: t.replace("imagenet = [497]", "imagenet = [1497]"), "imagenet.0: "),
        (lambda t: t.replace('license = "CC-BY-4.0"', 'license = " "'), "license: "),
        (lambda t: t.replace("it = {", "xx = {"), "translations: no it"),
        (lambda t: t.replace('noun = "iglesia"', 'name = "iglesia"'), "translations.es.noun: Field required"),
        (lambda t: 'slug = "chapel"\n' + t, "slug: given by the file's place"),
        (lambda t: t.replace('label = "church"', "label = church"), "not valid TOML: "),
    ],
)
def test_a_malformed_concept_names_file_and_key(package: Path, edit: Edit, says: str) -> None:
    path = package / "concepts/object/church.toml"
    before = path.read_text(encoding="utf-8")
    assert edit(before) != before
    path.write_text(edit(before), encoding="utf-8")
    with pytest.raises(CorpusError) as caught:
        taxonomy.all_concepts.__wrapped__()
    assert str(caught.value).startswith(f"concepts/object/church.toml: {says}")


def test_a_concept_file_in_another_encoding_or_with_a_bad_name_is_refused(package: Path) -> None:
    path = package / "concepts/object/church.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text, encoding="utf-16")
    with pytest.raises(CorpusError, match=r"^concepts/object/church\.toml: not valid TOML"):
        taxonomy.all_concepts.__wrapped__()
    path.unlink()
    path.with_name("Big Church.toml").write_text(text, encoding="utf-8")
    with pytest.raises(CorpusError, match=r"^concepts/object/Big Church\.toml: slug: "):
        taxonomy.all_concepts.__wrapped__()


def test_a_malformed_or_missing_template_names_file_and_key(package: Path) -> None:
    path = package / "templates/object.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("weight = 6", "weight = 0", 1), encoding="utf-8")
    with pytest.raises(CorpusError, match=r"^templates/object\.toml: frames\.\d+\.weight: "):
        taxonomy.templates.__wrapped__("object")
    with pytest.raises(CorpusError, match=r"^templates/food\.toml: there is no such file"):
        taxonomy.templates.__wrapped__("food")
