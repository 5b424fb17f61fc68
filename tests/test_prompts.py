"""Forget and retain rows: counts, names, ids and seeds, and that nothing but the content decides about them."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from naming import mentioned, mentions

from builders.bench import concept_rows
from igmu_data import taxonomy
from igmu_data.errors import CorpusError
from igmu_data.rows.prompts import Plan, forget_rows, frame_for, opening, pick, plans, retain_rows, seeds
from igmu_data.schema import Row, row_id
from igmu_data.taxonomy import Frame, all_concepts, concept, far, near

Corpus = dict[str, list[Row]]
IDS = tuple(all_concepts())
each = pytest.mark.parametrize("name", IDS)


def of(corpus: Corpus, name: str, *splits: str) -> list[Row]:
    return [r for r in corpus[name] if r.split in splits]


@each
def test_every_split_is_large_enough(corpus_rows: Corpus, name: str) -> None:
    n = Counter(r.split for r in corpus_rows[name])
    assert n["forget"] >= 50
    assert n["retain"] >= 50
    assert n["adversarial"] >= 40
    assert set(n) == {"forget", "retain", "adversarial"}


@each
def test_a_row_says_where_it_belongs(corpus_rows: Corpus, name: str) -> None:
    item = concept(name)
    probes = {"forget": {"direct"}, "retain": {"near", "far", "in-prompt"}, "adversarial": {"attack", "negation"}}
    for row in corpus_rows[name]:
        assert (row.concept, row.domain, row.family, row.scope) == (name, item.domain, item.family, item.scope)
        assert row.probe in probes[row.split]
        assert (row.split == "retain") or row.own_concept == (None if row.probe == "negation" else name)
        assert (row.attack_family is None) == (row.attack_source_id is None) == (row.split != "adversarial")
        assert row.license == "CC-BY-4.0"
        assert row.source
        assert (row.image_source, row.image_sha256) == (None, None)


@each
def test_seeds_are_five_different_ones_that_any_generator_takes(corpus_rows: Corpus, name: str) -> None:
    for row in corpus_rows[name]:
        assert len(set(row.seeds)) == len(row.seeds) == 5
        assert all(0 <= s < 2**31 for s in row.seeds)


def test_ids_are_unique_and_made_of_the_content(corpus_rows: Corpus) -> None:
    rows = [r for own in corpus_rows.values() for r in own]
    assert len({r.id for r in rows}) == len(rows)
    for row in rows:
        assert re.fullmatch("[0-9a-f]{16}", row.id)
        assert row_id(row.model_dump()) == row.id


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("prompt", "A church."),
        ("stripped_prompt", "Nothing"),
        ("concept", "object/castle"),
        ("own_concept", None),
        ("split", "retain"),
        ("probe", "near"),
        ("attack_family", "synonym"),
        ("attack_source_id", "0" * 16),
        ("language", "de"),
        ("seeds", (1, 2, 3, 4, 5)),
        ("guidance_scale", 3.0),
        ("steps", 20),
        ("width", 1024),
        ("height", 1024),
    ],
)
def test_what_is_drawn_or_judged_changes_the_id(corpus_rows: Corpus, key: str, value: object) -> None:
    given = corpus_rows["object/church"][0].model_dump()
    assert row_id(given | {key: value}) != row_id(given)


@pytest.mark.parametrize("key", ["license", "source", "since", "image_sha256", "template_id", "family"])
def test_what_is_not_drawn_leaves_the_id(corpus_rows: Corpus, key: str) -> None:
    given = corpus_rows["object/church"][0].model_dump()
    assert row_id(given | {key: "another"}) == row_id(given)


def test_a_published_id_never_changes() -> None:
    """SHA-256 of the JSON list of the fields, computed by hand with `sha256sum`."""
    fields = {
        "prompt": "A church", "stripped_prompt": "A", "concept": "object/church", "own_concept": None,
        "split": "forget", "probe": "direct", "attack_family": None, "attack_source_id": None,
        "language": "en", "seeds": (1, 2, 3, 4, 5),
        "guidance_scale": 7.5, "steps": 50, "width": 512, "height": 512, "license": "not part of it",
    }  # fmt: skip
    assert row_id(fields) == "c70625db2a761492"


@each
def test_every_plan_has_one_place_for_the_name(name: str) -> None:
    for plan in plans(concept(name)):
        assert len(re.findall(r"\{\w+\}", plan.text)) == 1
        assert re.search(r"\{(a|name)\}", plan.text)


def test_a_scene_with_two_places_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    church = concept("object/church")
    broken = church.model_copy(update={"scenes": (*church.scenes, "{a} beside {name}")})
    with pytest.raises(CorpusError, match=r"object/church: .*must have exactly one \{a\} or \{name\}"):
        plans(broken)
    monkeypatch.setattr(taxonomy, "near", lambda _: ())
    with pytest.raises(CorpusError, match="alone in family 'structure'"):
        retain_rows(church)


def test_too_few_scenes_are_refused() -> None:
    church = concept("object/church")
    with pytest.raises(CorpusError, match=r"object/church: 13 scenes, 50 are needed"):
        forget_rows(church.model_copy(update={"scenes": church.scenes[:10]}))


@each
def test_forget_prompts_name_the_concept_and_stripped_ones_do_not(corpus_rows: Corpus, name: str) -> None:
    item = concept(name)
    for row in of(corpus_rows, name, "forget"):
        assert mentions(row.prompt, item.noun)
    for row in of(corpus_rows, name, "forget", "adversarial"):
        assert mentioned(row.stripped_prompt, item.names) == []
    for row in of(corpus_rows, name, "retain"):
        if row.probe == "in-prompt":
            assert mentions(row.prompt, item.noun)
            assert mentioned(row.stripped_prompt, item.names) == []
        else:
            assert row.stripped_prompt == row.prompt


@each
def test_retain_prompts_never_name_the_target(corpus_rows: Corpus, name: str) -> None:
    item = concept(name)
    for row in of(corpus_rows, name, "retain"):
        if row.probe != "in-prompt":
            assert mentioned(row.prompt, item.names) == []
            assert row.own_concept != name


@each
def test_near_and_far_rows_show_near_and_far_concepts(corpus_rows: Corpus, name: str) -> None:
    item = concept(name)
    probes = Counter(r.probe for r in of(corpus_rows, name, "retain"))
    assert probes["near"] >= 20
    assert probes["far"] >= 20
    assert (probes["in-prompt"] >= 10) == (item.scope == "attribute")
    groups = {
        "near": [c.id for c in near(item)],
        "far, same domain": [c.id for c in far(item, same_domain=True)],
        "far, other domains": [c.id for c in far(item, same_domain=False)],
    }
    shown: dict[str, Counter[str]] = {g: Counter() for g in groups}
    for row in of(corpus_rows, name, "retain"):
        if row.own_concept is None:
            assert row.probe in ("near", "in-prompt")  # written for the concept, and of no benchmark concept
        elif row.probe != "in-prompt":
            own = concept(row.own_concept)
            where = "" if row.probe == "near" else ", same domain" if own.domain == item.domain else ", other domains"
            assert own.id in groups[row.probe + where]
            assert mentions(row.prompt, own.noun)
            shown[row.probe + where][own.id] += 1
    for group, counts in shown.items():
        if counts:  # as even as whole numbers allow, but for a prompt that was too much like another
            assert max(counts.values()) - min(counts[c] for c in groups[group]) <= 3, group


def test_in_prompt_rows_of_a_style_show_objects_that_a_detector_knows(corpus_rows: Corpus) -> None:
    rows = [r for r in corpus_rows["style/van-gogh"] if r.probe == "in-prompt"]
    assert len(rows) == 20
    for row in rows:
        assert row.own_concept is not None
        assert row.own_concept.startswith("object/")
        assert mentions(row.stripped_prompt, concept(row.own_concept).noun)


@each
def test_prompts_within_a_concept_are_not_alike(corpus_rows: Corpus, name: str) -> None:
    """Without a list of function words, unlike the validator: no two prompts share 70 % of all their words."""
    for split in ("forget", "retain"):
        bags = [(r.prompt, set(re.findall(r"\w+", r.prompt.lower()))) for r in of(corpus_rows, name, split)]
        for i, (prompt, bag) in enumerate(bags):
            for other, theirs in bags[:i]:
                assert len(bag & theirs) / len(bag | theirs) <= 0.7, f"{prompt!r} ~ {other!r}"
    prompts_ = [r.prompt for r in corpus_rows[name]]
    assert len(set(prompts_)) == len(prompts_)


@each
def test_prompts_read_well(corpus_rows: Corpus, name: str) -> None:
    for row in of(corpus_rows, name, "forget", "retain"):
        for text in (row.prompt, row.stripped_prompt):
            assert not re.search(r"[{}]|\s\s|\s[,.]|,,|^\s|\s$", text), text
            assert text[0] == text[0].upper()
        assert not re.search(r"\b[Aa] [aeio]\w|\b[Aa]n [bcdfgjklmnpqrstvwxyz]", re.sub(r"one-\w+", "", row.prompt)), (
            row.prompt
        )
        assert len(row.stripped_prompt.split()) >= 2


def test_openings_vary(corpus_rows: Corpus) -> None:
    for name in IDS:
        forget = of(corpus_rows, name, "forget")
        assert len({r.template_id for r in forget}) >= 8, name
        (opening_, most), *_ = Counter(" ".join(r.prompt.split()[:4]) for r in forget).most_common(1)
        assert most <= len(forget) / 3, f"{name}: {most} prompts begin with {opening_!r}"


def test_rows_are_the_same_each_time(corpus_rows: Corpus) -> None:
    for name in ("object/church", "style/van-gogh", "nsfw/nudity"):
        assert concept_rows(concept(name)) == corpus_rows[name]


def test_another_scene_leaves_the_rows_of_other_scenes_as_they_are() -> None:
    church = concept("object/church")
    more = church.model_copy(update={"scenes": ("{a} of painted tin on a windowsill", *church.scenes)})
    before = {p.row.id for p in forget_rows(church)}
    after = {p.row.id for p in forget_rows(more)}
    assert len(after - before) == 1
    assert len(before - after) <= 1  # the last one makes room


def test_pick_and_seeds_depend_on_the_key_alone() -> None:
    items = [f"item {i}" for i in range(30)]
    order = pick(items, 30, "salt")
    assert sorted(order) == sorted(items)
    assert order == pick(reversed(items), 30, "salt") != pick(items, 30, "pepper")
    assert pick([*items, "new"], 31, "salt") == sorted([*order, "new"], key=pick([*items, "new"], 31, "salt").index)
    assert [i for i in pick([*items, "new"], 31, "salt") if i != "new"] == order
    assert seeds("a church") == seeds("a church") != seeds("a chapel")


def test_frames_are_chosen_by_weight() -> None:
    frames = [Frame(id="rare", text="{scene}", weight=1), Frame(id="often", text="{scene}", weight=9)]
    n = Counter(frame_for(frames, str(i)).id for i in range(2000))
    assert 140 <= n["rare"] <= 260  # 200 expected; 4.5 standard deviations


def test_a_plan_puts_names_and_phrases_into_its_place() -> None:
    plan = Plan(concept("object/airplane"), "{a} over a lake", None, "plain")
    assert plan.prompt() == "An airplane over a lake"
    assert plan.prompt("jet plane") == "A jet plane over a lake"
    assert plan.prompt(phrase="the big bird of steel") == "The big bird of steel over a lake"
    assert plan.without() == "Over a lake"
    assert plan.takes_phrase
    bare = Plan(concept("object/airplane"), "an old {name} over a lake", "a lake", "plain")
    assert bare.prompt("jet plane") == "An old jet plane over a lake"
    assert bare.without() == "A lake"
    assert not bare.takes_phrase
    assert opening("") == ""
