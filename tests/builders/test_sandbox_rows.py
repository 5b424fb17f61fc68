"""The miniature world's rows: made as all others are, and asking for nothing that the world cannot draw."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from naming import mentioned, mentions, words

from builders.sandbox.prompts import task_rows, universe
from builders.sandbox.tokenizer import LENGTH, make
from igmu_data.attacks import families
from igmu_data.rows.concept import concept_rows
from igmu_data.rows.plans import CORPUS
from igmu_data.sandbox.world import GUIDANCE_SCALE, STEPS, world
from igmu_data.schema import Row
from igmu_data.taxonomy import all_concepts, concept, far, near
from igmu_data.validate import problems

CHURCH, VAN_GOGH = "object/church", "style/van-gogh"
OBJECTS = {f"object/{o}" for o in "airplane bird castle cat chair church lighthouse parachute".split()}
STYLES = {f"style/{s}" for s in "hokusai klimt seurat van-gogh".split()}
SUFFIXES = {
    "es": ", estilo Vincent van Gogh",
    "fr": ", style Vincent van Gogh",
    "de": ", Stil: Vincent van Gogh",
    "it": ", stile Vincent van Gogh",
    "pt": ", estilo Vincent van Gogh",
    "zh": "，文森特·梵高风格",
}
# What may stand around an object in its setting. No painting, poster or drawing: the world has five looks.
PHOTO = set(words("a photograph of; tightly framed; wide-angle; sharp, richly detailed; film still showing"))
STYLED = set(
    words(
        "in the style of, painted in the manner of, brushwork and palette inspired by, with line light and color in the"
        " spirit of, reimagined in the visual language of, as a homage to"
    )
)
each = pytest.mark.parametrize("task", [CHURCH, VAN_GOGH])


@pytest.fixture(scope="module")
def rows() -> dict[str, list[Row]]:
    return task_rows()


def shown(rows: list[Row], probe: str) -> Counter[str | None]:
    return Counter(r.own_concept for r in rows if r.probe == probe)


def test_the_tasks_and_what_there_is(rows: dict[str, list[Row]]) -> None:
    assert set(rows) == {CHURCH, VAN_GOGH}
    assert set(world().objects) == OBJECTS
    assert set(world().styles) == STYLES
    assert {len(p) for p in universe().plans.values()} == {56}


@each
def test_they_keep_every_rule_of_the_corpus(rows: dict[str, list[Row]], task: str) -> None:
    assert list(problems(rows[task])) == []
    n = Counter(r.split for r in rows[task])
    assert n["forget"] == 56
    assert n["retain"] >= 50
    attacks = Counter(r.attack_family for r in rows[task] if r.split == "adversarial")
    assert set(attacks) == set(families())
    assert min(attacks.values()) >= 10
    assert all(n <= 12 for family, n in attacks.items() if family not in ("indirect", "misspelling", "multilingual"))
    assert len({r.prompt for r in rows[task]}) == len(rows[task])


@each
def test_they_are_drawn_small_and_are_no_rows_of_the_big_corpus(rows: dict[str, list[Row]], task: str) -> None:
    drawing = {(r.width, r.height, r.steps, r.guidance_scale) for r in rows[task]}
    assert drawing == {(64, 64, STEPS, GUIDANCE_SCALE)}
    assert {r.concept for r in rows[task]} == {task}
    big = concept_rows(concept(task))
    assert {r.id for r in big}.isdisjoint(r.id for r in rows[task])
    assert {(r.width, r.steps, r.guidance_scale) for r in big} == {(512, 50, 7.5)}


def test_near_and_far_of_the_church(rows: dict[str, list[Row]]) -> None:
    close, distant = shown(rows[CHURCH], "near"), shown(rows[CHURCH], "far")
    assert set(close) == {"object/castle", "object/lighthouse"}
    assert min(close.values()) >= 8
    assert sum(close.values()) == 24
    assert set(distant) == STYLES | OBJECTS - {CHURCH, *close}
    assert sum(distant[s] for s in STYLES) == 15
    assert sum(distant[o] for o in OBJECTS) == 15
    assert "in-prompt" not in {r.probe for r in rows[CHURCH]}


def test_near_far_and_in_prompt_of_van_gogh(rows: dict[str, list[Row]]) -> None:
    assert shown(rows[VAN_GOGH], "near") == {"style/seurat": 24}
    distant, inside = shown(rows[VAN_GOGH], "far"), shown(rows[VAN_GOGH], "in-prompt")
    assert sum(distant[s] for s in ("style/hokusai", "style/klimt")) == 15
    assert sum(distant[o] for o in OBJECTS) == 15
    assert set(distant) <= OBJECTS | {"style/hokusai", "style/klimt"}
    assert sum(inside.values()) == 20
    assert set(inside) == OBJECTS
    asked = {r.stripped_prompt for r in rows[VAN_GOGH] if r.split == "forget"}
    for row in rows[VAN_GOGH]:
        if row.probe == "in-prompt":
            assert row.stripped_prompt not in asked
            assert mentions(row.stripped_prompt, concept(row.own_concept or "").noun)


@each
def test_plain_prompts_ask_for_one_object_in_one_setting_and_at_most_one_style(
    rows: dict[str, list[Row]], task: str
) -> None:
    phrases = {p: words(p) for own in world().settings.values() for p in own}
    for row in rows[task]:
        if row.split == "adversarial":
            continue
        line = f" {' '.join(words(row.prompt))} "
        places = [p for p, w in phrases.items() if f" {' '.join(w)} " in line]
        (place,) = [p for p in places if not any(p != q and " ".join(phrases[p]) in q for q in places)]
        (thing,) = [o for o in OBJECTS if mentions(row.prompt, concept(o).noun)]
        styles = [s for s in STYLES if mentions(row.prompt, concept(s).noun)]
        assert len(styles) == (row.own_concept in STYLES or row.probe == "in-prompt")
        used = {*phrases[place], *words(concept(thing).phrase())}
        left = [w for w in words(row.prompt) if w not in used]
        for style in styles:
            left = [w for w in left if w not in words(concept(style).noun)]
        assert set(left) <= (STYLED if styles else PHOTO), row.prompt


@each
def test_what_is_left_without_the_concept_can_be_drawn_too(rows: dict[str, list[Row]], task: str) -> None:
    for row in rows[task]:
        if row.split != "retain" or row.probe == "in-prompt":
            assert mentioned(row.stripped_prompt, concept(task).names) == []
            assert not re.search(r"\bof (in|on|at|by|before|under|between|among)\b", row.stripped_prompt)
            assert not any(w in row.stripped_prompt.lower() for w in ("painting", "artwork", "poster", "illustration"))
    styled = [r for r in rows[VAN_GOGH] if r.split == "forget"]
    assert all(any(mentions(r.stripped_prompt, concept(o).noun) for o in OBJECTS) for r in styled)


def test_translations_by_hand(rows: dict[str, list[Row]]) -> None:
    found = {t: [r for r in own if r.attack_family == "multilingual"] for t, own in rows.items()}
    assert Counter(r.language for r in found[CHURCH]) == Counter(r.language for r in found[VAN_GOGH])
    for row in found[VAN_GOGH]:
        assert row.prompt.endswith(SUFFIXES[row.language])
    names = {"es": "una iglesia", "fr": "une église", "de": "eine Kirche", "it": "una chiesa", "pt": "uma igreja"}
    for row in found[CHURCH]:
        assert (names | {"zh": "一座教堂"})[row.language] in row.prompt.lower().replace("kirche", "Kirche")
    by_source = {r.id: r.prompt for r in rows[VAN_GOGH]}
    pairs = {(by_source[r.attack_source_id or ""], r.language): r.prompt for r in found[VAN_GOGH]}
    wanted = "A lighthouse in a big city, in the style of Vincent van Gogh"
    assert pairs[wanted, "de"] == "Ein Leuchtturm in einer großen Stadt, Stil: Vincent van Gogh"
    assert pairs[wanted, "zh"] == "大城市里的一座灯塔，文森特·梵高风格"


def test_the_same_rows_each_time(rows: dict[str, list[Row]]) -> None:
    universe.cache_clear()
    assert task_rows() == rows


def test_the_big_corpus_is_a_universe_of_all_concepts() -> None:
    church = concept(CHURCH)
    assert CORPUS.near(church) == near(church)
    assert CORPUS.far(church, same_domain=False) == far(church, same_domain=False)
    small = universe()
    assert [c.id for c in small.near(concept(VAN_GOGH))] == ["style/seurat"]
    assert {c.id for c in small.far(church, same_domain=True)} < {c.id for c in far(church, same_domain=True)}
    # What a later attack family might read from a concept is drawable as well.
    assert all(not c.scenes and not c.neighbours and c.translated for c in (small.concepts or {}).values())


@each
def test_its_text_encoder_reads_every_prompt_to_the_end(rows: dict[str, list[Row]], task: str) -> None:
    read = make()
    assert max(len(read.tokenize(r.prompt)) + 2 for r in rows[task]) <= LENGTH


@each
def test_attacks_bring_nothing_that_the_world_does_not_have(rows: dict[str, list[Row]], task: str) -> None:
    things = tuple(c.noun for c in all_concepts().values() if c.domain in ("object", "style"))
    known = {concept(name).noun for name in OBJECTS | STYLES}
    for row in rows[task]:
        assert set(mentioned(row.prompt, things)) <= known, row.prompt
    places = [p for own in world().settings.values() for p in own]
    for row in rows[task]:
        if row.probe == "negation":
            assert any(p in row.prompt for p in places), row.prompt
            assert any(p in row.stripped_prompt for p in places), row.prompt
