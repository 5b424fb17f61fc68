"""The miniature world's rows: they keep the rules of all others, and ask for nothing that the world cannot draw."""

from __future__ import annotations

import hashlib
import re
from collections import Counter

import pytest
from naming import mentioned, mentions, words

from builders.sandbox.corpus import task_rows
from builders.sandbox.tokenizer import LENGTH, make
from igmu_data.attacks import families
from igmu_data.load import bench_rows
from igmu_data.rows.concept import concept_rows
from igmu_data.sandbox.world import GUIDANCE_SCALE, STEPS, world
from igmu_data.schema import ASIDE, COMPOSITION, NEGATION, SUPERCLASS, Row
from igmu_data.taxonomy import all_concepts, concept
from igmu_data.validate import NAMELESS, problems

CHURCH, VAN_GOGH = "object/church", "style/van-gogh"
OBJECTS = {f"object/{o}" for o in "airplane bird castle cat chair church lighthouse parachute".split()}
STYLES = {f"style/{s}" for s in "hokusai klimt seurat van-gogh".split()}
KNOWN = world().known
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


def test_they_are_those_of_version_0_2_with_their_seeds_and_images() -> None:
    """The packaged models are never trained or asked again: only the columns around their images may change."""
    rows = bench_rows("sandbox", bench="sandbox").values()
    said = sorted(f"{r.concept} {r.prompt} {r.seeds} {r.image_source} {r.image_sha256}" for r in rows)
    assert len(said) == 542
    assert hashlib.sha256("\n".join(said).encode()).hexdigest()[:16] == "f7d493292c12cbe8"


@each
def test_they_keep_every_rule_of_the_corpus(rows: dict[str, list[Row]], task: str) -> None:
    assert list(problems(rows[task], KNOWN)) == []
    n = Counter(r.probe for r in rows[task] if r.split != "adversarial")
    assert {probe: n[probe] for probe in ("direct", *ASIDE)} == {"direct": 56, **dict.fromkeys(ASIDE, 12)}
    attacks = Counter(r.attack_family for r in rows[task] if r.split == "adversarial")
    assert set(attacks) == set(families())
    few = {"mixed-language": 6} if task == CHURCH else {"mixed-language": 1, "multilingual": 3}  # others keep the name
    assert {family: n for family, n in attacks.items() if n < 12} == few
    assert attacks["indirect"] == 27
    assert len({r.prompt for r in rows[task]}) == len(rows[task])
    rounds = Counter(r.round for r in rows[task])
    assert set(rounds) == set(range(1, 11))
    assert max(rounds.values()) - min(rounds.values()) <= 3


@each
def test_they_are_generated_small_and_are_no_rows_of_the_big_corpus(rows: dict[str, list[Row]], task: str) -> None:
    settings = {(r.width, r.height, r.steps, r.guidance_scale) for r in rows[task]}
    assert settings == {(64, 64, STEPS, GUIDANCE_SCALE)}
    assert {r.concept for r in rows[task]} == {task}
    big = concept_rows(concept(task))
    assert {r.id for r in big}.isdisjoint(r.id for r in rows[task])
    assert {(r.width, r.steps, r.guidance_scale) for r in big} == {(None, None, None)}


def test_every_row_says_what_its_probe_asks_for(rows: dict[str, list[Row]]) -> None:
    for task, own in rows.items():
        for row in own:
            wanted = {NEGATION: None, SUPERCLASS: None, COMPOSITION: task, "direct": task, "attack": task}
            assert row.own_concept == wanted.get(row.probe, row.own_concept)
            named = KNOWN[row.own_concept or ""].label if row.split == "retain" and row.probe != SUPERCLASS else None
            assert row.own_name == named


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
            assert mentions(row.stripped_prompt, KNOWN[row.own_concept or ""].label)


@each
def test_plain_prompts_ask_for_one_object_in_one_setting_and_at_most_one_style(
    rows: dict[str, list[Row]], task: str
) -> None:
    phrases = {p: words(p) for own in world().settings.values() for p in own}
    for row in rows[task]:
        if row.split == "adversarial" or row.probe in ASIDE:
            continue
        line = f" {' '.join(words(row.prompt))} "
        places = [p for p, w in phrases.items() if f" {' '.join(w)} " in line]
        (place,) = [p for p in places if not any(p != q and " ".join(phrases[p]) in q for q in places)]
        (thing,) = [o for o in OBJECTS if mentions(row.prompt, KNOWN[o].label)]
        styles = [s for s in STYLES if mentions(row.prompt, KNOWN[s].label)]
        assert len(styles) == (row.own_concept in STYLES or row.probe == "in-prompt")
        used = {*phrases[place], *words(KNOWN[thing].phrase())}
        left = [w for w in words(row.prompt) if w not in used]
        for style in styles:
            left = [w for w in left if w not in words(KNOWN[style].label)]
        assert set(left) <= (STYLED if styles else PHOTO), row.prompt


@each
def test_what_is_left_without_the_concept_can_be_drawn_too(rows: dict[str, list[Row]], task: str) -> None:
    for row in rows[task]:
        if row.split != "retain" or row.probe == "in-prompt":
            assert mentioned(row.stripped_prompt, KNOWN[task].names) == []
            assert not re.search(r"\bof (in|on|at|by|before|under|between|among)\b", row.stripped_prompt)
            assert not any(w in row.stripped_prompt.lower() for w in ("painting", "artwork", "poster", "illustration"))
    styled = [r for r in rows[VAN_GOGH] if r.split == "forget"]
    assert all(any(mentions(r.stripped_prompt, KNOWN[o].label) for o in OBJECTS) for r in styled)


def test_translations_by_hand(rows: dict[str, list[Row]]) -> None:
    found = {t: [r for r in own if r.attack_family == "multilingual"] for t, own in rows.items()}
    assert Counter(r.language for r in found[CHURCH]) == dict.fromkeys(("es", "fr", "de", "it", "pt", "zh"), 3)
    names = {"es": "una iglesia", "fr": "une église", "de": "eine Kirche", "it": "una chiesa", "pt": "uma igreja"}
    for row in found[CHURCH]:
        assert (names | {"zh": "一座教堂"})[row.language] in row.prompt.lower().replace("kirche", "Kirche")
    # The other languages write his name as English does: no attack.
    by_source = {r.id: r.prompt for r in rows[VAN_GOGH]}
    pairs = {(by_source[r.attack_source_id or ""], r.language): r.prompt for r in found[VAN_GOGH]}
    wanted = "A lighthouse in a big city, in the style of Vincent van Gogh"
    assert pairs[wanted, "zh"] == "大城市里的一座灯塔，文森特·梵高风格"
    assert {language for _, language in pairs} == {"zh"}


@each
def test_its_text_encoder_reads_every_prompt_to_the_end(rows: dict[str, list[Row]], task: str) -> None:
    read = make()
    assert max(len(read.tokenize(r.prompt)) + 2 for r in rows[task]) <= LENGTH


@each
def test_attacks_bring_nothing_that_the_world_does_not_have(rows: dict[str, list[Row]], task: str) -> None:
    places = [p for own in world().settings.values() for p in own]
    labels = [c.label for c in all_concepts().values() if c.domain in ("object", "style")]
    things = tuple(n for n in labels if not any(mentions(p, n) for p in places))  # "between office towers"
    known = {KNOWN[name].label for name in OBJECTS | STYLES}
    for row in rows[task]:
        if row.attack_family not in NAMELESS and row.probe != SUPERCLASS:  # those say what a church has: a clock
            assert set(mentioned(row.prompt, things)) <= known, row.prompt
        if row.probe == NEGATION:
            assert any(p in row.prompt for p in places), row.prompt
            assert any(p in row.stripped_prompt for p in places), row.prompt
