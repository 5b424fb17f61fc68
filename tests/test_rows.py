"""Rows of the corpus: counts, names, ids, seeds and rounds, and that nothing but a concept's own file decides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from naming import mentioned, mentions
from sampled import SAMPLE

from igmu_data import taxonomy
from igmu_data.lengths import clip_tokens
from igmu_data.rows import kept
from igmu_data.rows.choose import ordered, seeds
from igmu_data.rows.concept import concept_rows
from igmu_data.rows.naming import keeps_name, named, shows
from igmu_data.rows.rounds import with_rounds
from igmu_data.rows.scenes import Scene, opening, register_of, scenes_of
from igmu_data.schema import ASIDE, REGISTERS, Row, row_id
from igmu_data.taxonomy import all_concepts, concept
from igmu_data.validate import PROBES_OF

Corpus = dict[str, list[Row]]
each = pytest.mark.parametrize("name", SAMPLE)


@each
def test_a_concept_has_seven_hundred_rows(corpus_rows: Corpus, name: str) -> None:
    n = Counter(r.split for r in corpus_rows[name])
    assert n["forget"] >= 100
    assert n["retain"] >= 150
    assert n["adversarial"] >= 300
    assert sum(n.values()) >= (600 if name == "nsfw/nudity" else 700)  # policy leaves out what would be worse


@each
def test_a_row_says_where_it_belongs(corpus_rows: Corpus, name: str) -> None:
    item = concept(name)
    for row in corpus_rows[name]:
        assert (row.concept, row.domain, row.family, row.scope) == (name, item.domain, item.family, item.scope)
        assert row.probe in PROBES_OF[row.split]
        assert (row.own_name is None) == (row.split != "retain" or row.own_concept is None)
        if row.split != "retain":
            assert row.own_concept == (None if row.probe == "negation" else name)
        assert (row.attack_family is not None) == (row.split == "adversarial")
        assert row.n_tokens_clip == clip_tokens(row.prompt)
        assert row.guidance_scale is row.steps is row.width is row.height is None


@each
def test_prompts_name_the_concept_or_do_not(corpus_rows: Corpus, name: str) -> None:
    """By words of their own: `naming.mentions` shares no code with the package."""
    item = concept(name)
    foreign = tuple(item.foreign_names.values())
    for row in corpus_rows[name]:
        labels = mentioned(row.prompt, item.labels)
        if row.split == "forget":
            assert mentioned(row.prompt, item.names), row.prompt
        if row.probe in ("near", "far"):
            assert not mentioned(row.prompt, item.names), row.prompt
        if row.attack_family in ("indirect", "subclass"):
            assert not mentioned(row.prompt, (*item.names, *foreign)), row.prompt
        if row.split == "adversarial":
            assert not row.name_kept
            assert not labels, row.prompt
        if row.probe != "in-prompt" or item.domain != "style":
            assert not mentioned(row.stripped_prompt, item.names), row.stripped_prompt


@each
def test_what_stays_is_named(corpus_rows: Corpus, name: str) -> None:
    kinds = Counter(r.own_concept for r in corpus_rows[name] if r.probe == "near")
    assert len(kinds) >= 8
    assert all(i in taxonomy.known_ids() for i in kinds)
    for row in corpus_rows[name]:
        if row.probe == "far":
            assert row.own_name == concept(row.own_concept or "").label
    assert sum(kinds.values()) >= 100
    assert sum(r.probe == "far" for r in corpus_rows[name]) >= 60


@each
def test_ids_prompts_and_seeds(corpus_rows: Corpus, name: str) -> None:
    rows = corpus_rows[name]
    assert [r.id for r in rows] == [row_id(r.model_dump()) for r in rows]
    assert len({r.id for r in rows}) == len({r.prompt.casefold() for r in rows}) == len(rows)
    sources = {r.id: r for r in rows if r.split == "forget"}
    for row in rows:
        assert len(set(row.seeds)) == 5
        if row.attack_source_id:
            assert row.seeds == sources[row.attack_source_id].seeds
        elif row.split != "adversarial":
            assert row.seeds == seeds(row.prompt)


@each
def test_registers_have_their_shares(corpus_rows: Corpus, name: str) -> None:
    n = Counter(r.register for r in corpus_rows[name] if r.probe == "direct")
    share = {register: n[register] / n.total() for register in REGISTERS}
    wanted = {"sentence": 0.4, "short": 0.15, "tags": 0.25, "long": 0.2}
    off = 0.025 if taxonomy.translated(concept(name)) else 0.06  # the others have fewer, and some of them held back
    assert all(abs(share[register] - wanted[register]) <= off for register in REGISTERS), share


@pytest.mark.parametrize("spelled", [str, str.title])
def test_a_scene_of_ones_own_that_is_shared_too(spelled: Callable[[str], str]) -> None:
    """It is one row, the concept's own, and the translations name it as their source."""
    item = concept("object/cat")
    common = next(scene for scene in taxonomy.translated(item) if scene.register == "short")
    own = spelled(common.en.replace("{a}", "@")).replace("@", "{a}")
    rows = concept_rows(item.model_copy(update={"scenes": {**item.scenes, "tags": ((own, "an empty lot"),)}}))
    (row,) = (r for r in rows if r.prompt.casefold() == common.en.replace("{a}", item.phrase()).casefold())
    assert (row.register, row.stripped_prompt) == ("tags", "An empty lot")
    assert sum(r.attack_source_id == row.id and r.attack_family == "multilingual" for r in rows) == 6
    assert {r.attack_source_id for r in rows} - {None} <= {r.id for r in rows}


@each
def test_every_prefix_of_rounds_is_balanced(corpus_rows: Corpus, name: str) -> None:
    for column in ("split", "probe", "attack_family", "own_concept", "register"):
        for value, n in Counter(getattr(r, column) for r in corpus_rows[name]).items():
            if n >= 20:
                own = Counter(r.round for r in corpus_rows[name] if getattr(r, column) == value)
                spread = max(own[k] for k in range(1, 11)) - min(own[k] for k in range(1, 11))
                assert spread <= max(3, n // 25), (column, value, own)


def test_rounds_of_later_rows_leave_the_published_ones(corpus_rows: Corpus) -> None:
    published = [r.model_copy(update={"round": 1}) for r in corpus_rows["object/church"]]
    later = [r.model_copy(update={"since": "1.1.0"}) for r in corpus_rows["object/golf-ball"][:80]]
    before = {r.id: r.round for r in with_rounds(published)}
    after = {r.id: r.round for r in with_rounds([*later, *published])}
    assert {name: after[name] for name in before} == before
    assert len({after[r.id] for r in later}) == 10


def test_a_style_stays_in_none_of_what_is_asked_in_it(corpus_rows: Corpus) -> None:
    within = [r for r in corpus_rows["style/van-gogh"] if r.probe == "in-prompt"]
    assert len(within) >= 20
    for row in within:
        assert mentions(row.prompt, row.own_name or "")
        assert mentions(row.stripped_prompt, row.own_name or "")
        assert row.name_kept
        assert not mentioned(row.stripped_prompt, concept("style/van-gogh").names)


@pytest.mark.parametrize("name", ["object/church", "style/van-gogh", "landmark/eiffel-tower"])
def test_no_row_depends_on_what_else_there_is(corpus_rows: Corpus, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    item = concept(name)
    fewer = {n: c for n, c in all_concepts().items() if n == name or n in item.far}
    monkeypatch.setattr(kept, "all_concepts", lambda: MappingProxyType(fewer))
    assert concept_rows(item) == corpus_rows[name]


@pytest.mark.parametrize(
    "domain", [d if d in ("object", "style") else pytest.param(d, marks=pytest.mark.slow) for d in taxonomy.domains()]
)
def test_one_more_concept_in_a_domain_changes_no_row(
    corpus_rows: Corpus, domain: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids, rounds and seeds; of every concept in the sample."""
    model = next(c for c in all_concepts().values() if c.domain == domain)
    new = model.model_copy(update={"slug": "zeppelin", "label": "zeppelin", "synonyms": (), "plural": "zeppelins"})
    more = MappingProxyType(dict(sorted({**all_concepts(), new.id: new}.items())))
    monkeypatch.setattr(taxonomy, "all_concepts", lambda: more)
    monkeypatch.setattr(kept, "all_concepts", lambda: more)
    mine = [n for n in SAMPLE if n.startswith(f"{domain}/")]
    for name in mine:
        assert concept_rows(concept(name)) == corpus_rows[name]
    assert len(concept_rows(new)) >= 400


def test_a_scene_puts_names_and_phrases_into_its_place() -> None:
    airplane = concept("object/airplane")
    scene = Scene("sentence", "{a} over a lake", "a lake")
    assert scene.prompt(airplane) == "An airplane over a lake"
    assert scene.prompt(airplane, "jet plane") == "A jet plane over a lake"
    assert scene.prompt(airplane, phrase="the big bird of steel") == "The big bird of steel over a lake"
    assert Scene("sentence", "three {names} at rest", "").prompt(airplane) == "Three airplanes at rest"
    assert scene.takes_name
    assert not Scene("sentence", "three {names} at rest", "").takes_name


@pytest.mark.parametrize(
    ("text", "register"),
    [
        ("a church at dusk", "short"),
        ("a church on the hill behind the old mill at dawn", "sentence"),
        ("church, stone, fog, dawn, 35mm, film grain, wide shot", "tags"),
        (" ".join(["word"] * 40), "long"),
    ],
)
def test_the_register_of_a_text(text: str, register: str) -> None:
    assert register_of(text) == register


def test_names_are_found_however_they_are_written() -> None:
    church = concept("object/church")
    assert named("Two CHURCHES by the lake", church) == "churches"
    assert named("a chu\u200brch", church) == "church"
    assert named("a \u0441hurch", church) == "church"  # the c is Cyrillic
    assert named("the churchyard", church) is None
    assert named("una iglesia", church) is None
    assert named("una iglesia", church, foreign=True) == "iglesia"
    assert named("山上的教堂", church, foreign=True) == "教堂"
    assert keeps_name("Two churches", church)
    assert not keeps_name("a chu\u200brch", church)
    assert keeps_name("Napoleón Bonaparte at dusk", concept("identity/napoleon"))
    assert shows("pews in a row", church) == ("pews" in church.cues or "pew" in church.cues)


@given(st.lists(st.text(max_size=6), max_size=12, unique=True), st.text(max_size=6))
def test_an_item_more_leaves_the_order_of_the_others(items: list[str], salt: str) -> None:
    full = ordered(items, salt)
    assert sorted(full) == sorted(items)
    assert ordered(items[1:], salt) == [i for i in full if i not in items[:1]]


@given(st.text(max_size=30))
def test_an_opening_changes_case_only(text: str) -> None:
    assert opening(text).casefold() == text.casefold()
    assert opening(opening(text)) == opening(text)


def test_seeds_by_hand() -> None:
    assert len(set(seeds("a"))) == 5
    assert seeds("a") == seeds("a") != seeds("b")
    assert all(0 <= s < 2**31 for s in seeds("a"))


def test_every_concept_has_sixty_scenes_or_a_style_its_share() -> None:
    for item in all_concepts().values():
        n = Counter(s.register for s in scenes_of(item))
        assert n.total() >= 60, item.id
        assert set(n) == set(REGISTERS), item.id


@pytest.mark.slow
def test_no_id_comes_twice_and_probes_apart_are_no_attacks(whole_corpus: Corpus) -> None:
    every = [r for rows in whole_corpus.values() for r in rows]
    assert len({r.id for r in every}) == len(every) >= 90_000
    assert len(whole_corpus) >= 120
    assert min(len(rows) for name, rows in whole_corpus.items() if not name.startswith("nsfw/")) >= 700
    assert {r.split for r in every if r.probe in ASIDE} == {"forget", "retain"}
