import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from igmu_data.stripping import REFERENCE_NAMES, strip_concept, strip_reference

CHURCH = ["church", "chapel", "house of worship"]
VAN_GOGH = ["Van Gogh", "Vincent van Gogh", "V. van Gogh"]


@pytest.mark.parametrize(
    ("prompt", "names", "stripped"),
    [
        ("A church next to a flowing river", CHURCH, "Next to a flowing river"),
        ("A photo of a church", CHURCH, "A photo"),
        ("A photo of a CHURCH, at sunset", CHURCH, "A photo, at sunset"),
        ("A church.", CHURCH, "."),
        ("a river by the church at dusk", CHURCH, "a river at dusk"),
        ("a road from the chapel to the church in the hills", CHURCH, "a road in the hills"),
        ("an oak and a house  of worship in fog", CHURCH, "an oak in fog"),
        ("a church and an oak", CHURCH, "an oak"),
        ("bells, a church, fog", CHURCH, "bells, fog"),
        ("the church's bell", CHURCH, "bell"),
        ("two churches on a hill", CHURCH, "two on a hill"),
        ("a view of church towers", CHURCH, "a view of towers"),
        ("a churchyard wall", CHURCH, "a churchyard wall"),
        ("an airplane above the clouds", CHURCH, "an airplane above the clouds"),
        ("church", CHURCH, ""),
        ("a harbour, in the style of Vincent van Gogh", VAN_GOGH, "a harbour"),
        ("a harbour painted by Van Gogh, at night", VAN_GOGH, "a harbour, at night"),
        ("a harbour in the manner of V. van Gogh, oil", VAN_GOGH, "a harbour, oil"),
        ("a harbour with Van Gogh style", VAN_GOGH, "a harbour"),
        ("a harbour in Van Gogh's style and rain", VAN_GOGH, "a harbour and rain"),
        ("a Van Gogh-style harbour", VAN_GOGH, "harbour"),
        ("山上的教堂", ["教堂"], "山上的"),
        ("una iglesia junto al río", ["una iglesia", "iglesia"], "junto al río"),
        ("gas church pump", ["church", "gas pump"], ""),
    ],
)
def test_one_readable_copy_is_left(prompt: str, names: list[str], stripped: str) -> None:
    assert strip_concept(prompt, names) == stripped


def test_names_that_are_empty_remove_nothing() -> None:
    assert strip_concept("a  church , really", []) == "a  church , really"
    assert strip_concept("a  church , really", ["", " "]) == "a  church , really"


WORDS = ["church", "chapel", "a", "the", "of", "and", "by", "in the style of", "river", "old", ",", ".", "'s", "(", ")"]


@given(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join))
@example("a church of the church , and church")
def test_no_name_is_left_and_stripping_twice_changes_nothing(prompt: str) -> None:
    once = strip_concept(prompt, CHURCH)
    assert not re.search(r"\b(church|chapel)\b", once)
    assert strip_concept(once, CHURCH) == once
    assert once.count("river") == prompt.count("river")
    assert len(once) <= len(prompt)


@given(st.text(max_size=40))
def test_a_prompt_without_the_names_is_untouched(prompt: str) -> None:
    if "church" not in prompt.casefold():
        assert strip_concept(prompt, ["church"]) == prompt


def test_the_reference_glues_one_copy_for_each_name() -> None:
    prompt = "A peaceful church next to a flowing river"
    glued = strip_reference(prompt)
    assert len(REFERENCE_NAMES) == 7
    assert glued == prompt * 4 + prompt.replace("church", "") + prompt * 2
    assert glued.count("church") == 6  # all but one copy still name the concept


def test_the_reference_removes_inside_words_and_minds_the_case() -> None:
    assert strip_reference("Churchyard church", ["Church"]) == "yard church"
