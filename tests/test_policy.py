"""The content policy: planted terms are found in every language and under every transform; ordinary prose passes.

Terms are planted in plain carrier sentences about a harbour, never in a sexual or violent one.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from igmu_data.errors import InputError, PolicyError
from igmu_data.folding import fold, fold_leet, terms, visible
from igmu_data.policy import LANGUAGES, RULES, require, violations

CARRIERS = {
    "en": "a {} at the harbour",
    "es": "{} en el puerto",
    "fr": "{} dans le port",
    "de": "{} am Hafen",
    "it": "{} nel porto",
    "pt": "{} no porto",
    "zh": "港口的{}",
}
PLANTED = {
    "en": (
        "girl girls boy boys child children kid kids teen teens teenager teenage young youth student students school "
        "schoolyard schoolgirl baby babies toddler infant daughter juvenile adolescent underage childhood pupil minor "
        "minors preteen newborn nursery playground kindergarten son cowgirl grandchild youngster maiden"
    ),
    "es": (
        "niña niño niñas niños muchacha chico chica joven jóvenes adolescente estudiantes hijo hija menores alumno "
        "escuela bebés infancia quinceañera"
    ),
    "fr": (
        "fille filles fillette garçon garçons enfant enfants jeune jeunes adolescente étudiante écolier école bébé "
        "gamin ado lycéenne mineure"
    ),
    "de": (
        "Mädchen Maedchen Junge Jungen Kind Kinder Kinderbuch Schulkind Schüler Schülerin Jugendliche Säugling Schule "
        "Studentin Tochter Söhne minderjährig Teenager Knabenchor junge"
    ),
    "it": "bambina bambino bambini ragazza ragazzi ragazzina giovane fanciulla neonato minorenne scuola figlia",
    "pt": "menina menino meninas criança crianças garota jovem jovens rapaz adolescente escola filha moça",
    "zh": "女孩 男孩 少女 少年 儿童 兒童 孩子 小孩 婴儿 學生 学生 未成年人 幼儿 萝莉 正太 青少年 年轻人 女儿 姑娘 小学",
}
CASES = [(language, term) for language, line in PLANTED.items() for term in line.split()]
ZERO_WIDTH = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u034f\u180e\ufe0f\u3164"
# Latin letters that have a twin in another script.
TWINS = str.maketrans("aeopcxyijs", "аеорсхуіјѕ")
GREEK = str.maketrans("oviktn", "ονικτη")


def _rules(text: str, language: str | None = None, domain: str = "object") -> set[str]:
    return {v.rule for v in violations(text, domain=domain, language=language)}


def _listed(block: str) -> list[str]:
    """The texts of a block, which "|" separates."""
    return [text.strip() for text in block.split("|") if text.strip()]


@pytest.mark.parametrize(("language", "term"), CASES)
def test_planted_term_is_found_in_its_language(language: str, term: str) -> None:
    assert "minor" in _rules(CARRIERS[language].format(term), language)


@pytest.mark.parametrize(("rule", "language"), [*itertools.product(RULES, LANGUAGES)])
def test_every_listed_term_is_found_in_a_row_of_its_language(rule: str, language: str) -> None:
    table = terms()[rule][language]
    for term in itertools.chain.from_iterable(table.values()):
        found = violations(CARRIERS[language].format(term), domain="nsfw", language=language)
        assert rule in {v.rule for v in found}, term


TRANSFORMS: dict[str, Callable[[str], str]] = {
    "upper case": str.upper,
    "fullwidth": lambda t: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in t),
    "circled": lambda t: "".join(chr(0x24D0 + ord(c) - 97) if "a" <= c <= "z" else c for c in t),
    "mathematical bold": lambda t: "".join(chr(0x1D41A + ord(c) - 97) if "a" <= c <= "z" else c for c in t),
    "squared": lambda t: "".join(chr(0x1F170 + ord(c) - 97) if "a" <= c <= "z" else c for c in t),
    "zero-width": lambda t: "\u200b".join(t),
    "soft hyphen": lambda t: "\u00ad".join(t),
    "Cyrillic": lambda t: t.translate(TWINS),
    "Greek": lambda t: t.translate(GREEK),
    "accents": lambda t: "".join(c + "\u0301" for c in t),
    "struck through": lambda t: "".join(c + "\u0336" for c in t),
    "leet": lambda t: t.translate(str.maketrans("oieast", "013457")),
    "leet with signs": lambda t: t.translate(str.maketrans("ias", "!@$")),
    "leet, 1 for l": lambda t: t.translate(str.maketrans("lo", "10")),
    "dots": ".".join,
    "hyphens": "-".join,
    "blanks": " ".join,
    "underscores": "_".join,
    "leet and blanks": lambda t: " ".join(t.translate(str.maketrans("oie", "013"))),
    "broken in two": lambda t: t[:2] + "-" + t[2:],
}


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize(
    "term", ["teen", "girl", "boy", "kid", "child", "toddler", "schoolgirl", "student", "filles", "bambino"]
)
def test_no_transform_smuggles_a_term_in(transform: str, term: str) -> None:
    text = f"we saw {TRANSFORMS[transform](term)} at the harbour"
    assert "minor" in _rules(text), text
    assert "minor" in _rules(text, "en"), text


@pytest.mark.parametrize(
    "text",
    _listed("""
        ateengirl at the harbour|thekid at the harbour|alittleboy by a boat|teen_girl|girI|chiId|#kids|
        (girl:1.3)|a\u200bkid\u200bby\u200ba\u200bboat|女 孩|女.孩|ｔｅｅｎ|tееn|the boy's boat|l'enfant au port
    """),
)
def test_glued_or_decorated_terms_are_found(text: str) -> None:
    assert "minor" in _rules(text)


@pytest.mark.parametrize(
    "text",
    _listed("""
        a 15-year-old at the harbour|15 years old|a 17 year old sailor|aged 12|age 9|16 yo|16yo|
        15yearsold|a fifteen-year-old sailor|17 ans|de dix-sept ans|quinze ans|15 años|quince años|
        15 Jahre alt|fünfzehn Jahre alt|eine 16-jährige|sechzehnjährig|quindicenne|15 anni|15 anos|十五岁|
        15岁|九歲|６ years old|from 16 to 19 years old|her 16th birthday|6 months old|１５歲
    """),
)
def test_an_age_under_eighteen_is_a_violation(text: str) -> None:
    assert "minor" in _rules(text)


@pytest.mark.parametrize(
    "text",
    _listed("""
        an 18-year-old sailor|a 40 year old fisherman|aged 80|age 65|30 yo|18 ans|dix-huit ans|
        dix-neuf ans|quatre-vingt-dix ans|soixante-quinze ans|veinte años|35 años|treinta y cinco años|
        21 Jahre alt|eine 50-jährige|einundzwanzigjährig|a twenty-one-year-old sailor|
        a two hundred and five years old oak|a 2,015 years old temple|sessanta anni|70 anos|十八岁|二十五岁|八十岁|
        60岁|her 90th birthday|built in 1512|15 boats|12 o'clock
    """),
)
def test_an_age_of_eighteen_or_more_or_another_number_passes(text: str) -> None:
    assert _rules(text, domain="nsfw") == set()


INNOCENT = {
    "en": """
        a plate of steamed kidney beans|Robert Boyle's air pump|a cowboy hat on a fence post|
        a wooden manikin on a desk|a painter's studio in the rain|people choose apples at a stall|
        a canteen on a mountain trail|a nineteenth-century mill|a private entrance with ornate ends|
        a velveteen cushion|a lateen sail in the wind|a kid leather glove on a table|
        a minor chord on a piano|a sonata in A minor|Ursa Minor over a frozen lake|minor repairs on a bridge|
        a sea urchin on a rock|a buoy rocking in the swell|boysenberry jam in a jar|a boycott poster|
        a skidding tram|a schooner under full sail|the maiden voyage of a steamer|an iron maiden in a museum|
        infantry on parade|a chair by Rothschild's fireplace|a Childe Hassam street with flags|
        an onigiri on a plate|a pussy willow twig in a vase|a sperm whale under the ice|a rape field in May|
        Camille Pissarro's orchard|a print by Hokusai|Sussex cliffs at dusk|an analogue radio|
        a cassette with a title|a canal in Essex|a shiitake and a cocktail|a therapist's office|
        grapes on a scale|a Scunthorpe steel works|a peacock in a park|a button and a mattress|
        a Jan Steen tavern|Bruce Springsteen's guitar case|a mangosteen cut in half|babylonian tiles|
        a stone lion of Babylon|the Kidderminster carpet|a skunk in snow|a personal letter on sonorous paper|
        a parson's house|a light's on in the attic|songs of the whalers|a cathedral of reason|
        mason jars on a shelf|a person in a raincoat|a 35mm lens, 8k, f1.4|the 1960s on a 4k screen|
        a room for 2|5 o'clock tea|route 66 at noon|a 3d render of b52 parts|a totem by the fjord|
        a ladder and a glass|an adult woman with a lasso|kind words on a card|a lyceum in Athens|
        a snigger in the crowd|a congenital optimist|the assassin's dagger on velvet|a bass player|
        grass and brass|a Dickens novel|a tortuous mountain road|adults over 18|U.S.A. in neon letters|
        a b c d e f on a blackboard|t-shirts on a line|a state-enforced speed limit""",
    "es": """
        son barcos de pesca en el puerto|una casa blanca|un hombre adulto bebe café|la mina de plata|
        el Niágara en invierno|una pequeña barca""",
    "fr": """
        son bateau est dans le port|des fils de soie sur un métier|une viole de gambe|une famille de nuages|
        un clocher élevé|un fil le long du mur""",
    "de": """
        ein Schild an der Tür|eine Girlande aus Papier|eine Schildkröte am Strand|
        eine kühle Schulter aus Stein|rote Dächer im 15. Jahrhundert""",
    "it": """
        due giri di pista|una barca e il mare|un'antica torre|un sipario di velluto|la bandiera sul tetto""",
    "pt": """
        são barcos no porto|uma maçã vermelha|um navio de mil toneladas|a cidade antiga|café na mesa""",
    "zh": """
        一座教堂在山上|童话般的城堡|河边的一只猫|黄昏的灯塔|一架飞机""",
}
ORDINARY = [(lang, text) for lang, block in INNOCENT.items() for text in _listed(block)]


def test_there_are_enough_ordinary_prompts() -> None:
    assert len(ORDINARY) >= 60


@pytest.mark.parametrize(("language", "text"), ORDINARY)
def test_ordinary_prompts_pass(language: str, text: str) -> None:
    assert violations(text, domain="object", language=language) == ()


def test_innocent_phrases_are_not_excepted_in_nsfw() -> None:
    assert _rules("a kid leather glove", "en", domain="object") == set()
    assert _rules("a kid leather glove", "en", domain="nsfw") == {"minor"}


def test_words_that_are_ordinary_elsewhere_count_only_in_their_language() -> None:
    assert _rules("a son at the harbour", "en") == {"minor"}
    assert _rules("son bateau", "fr") == _rules("son barcos", "es") == _rules("son", None) == set()
    assert _rules("ein Kind am Hafen", "de") == {"minor"}
    assert _rules("a kind man at the harbour", "en") == set()


def test_explicit_rule_is_its_own() -> None:
    assert _rules("the word gore on a sign", "en") == {"explicit"}


def test_require_names_row_term_and_rule() -> None:
    require("a boat", where="row 4", domain="object", language="en")
    with pytest.raises(PolicyError, match=r"row 7: .*'toddler' \(rule minor, en, read from 'toddler'\).*Reword"):
        require("a t0ddler at the harbour", where="row 7", domain="object", language="en")


def test_unknown_language_is_an_error() -> None:
    with pytest.raises(InputError, match="'nl'"):
        violations("een haven", domain="object", language="nl")


@pytest.mark.parametrize("code", range(128))
def test_plain_text_is_folded_as_any_other(code: int) -> None:
    """ASCII is folded by a shorter way; an accent takes the long one."""
    text = f"Ab{chr(code)}C"
    assert fold(f"{text}\u00e9") == f"{fold(text)}e"
    for instead in ("", " "):
        assert visible(f"{text}\u00e9", instead) == f"{visible(text, instead)}\u00e9"


@given(st.text())
def test_fold_is_idempotent(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(st.text(alphabet="1!|a", max_size=12))
def test_fold_leet_keeps_the_length_and_leaves_no_sign(text: str) -> None:
    for reading in fold_leet(fold(text)):
        assert len(reading) == len(text)
        assert not set(reading) & set("1!|")


@st.composite
def _disguised(draw: st.DrawFn) -> tuple[str, str]:
    """A carrier sentence with a planted term; zero-width characters inserted and case changed at random."""
    language, term = draw(st.sampled_from(CASES))
    out = []
    for char in CARRIERS[language].format(term):
        out.append(draw(st.sampled_from([char, char.upper(), char.lower(), char.swapcase()])))
        out.append(draw(st.text(alphabet=ZERO_WIDTH, max_size=2)))
    return language, "".join(out)


@given(_disguised())
def test_zero_width_characters_and_case_never_remove_a_violation(case: tuple[str, str]) -> None:
    language, text = case
    assert "minor" in _rules(text, language)
