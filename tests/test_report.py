"""The report: what it says, what it shows, and what it takes back."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from reported import CONFIG, MODELS, chosen, scored
from typer.testing import CliRunner

from igmu_data.errors import (
    EmptyInputError,
    IncomparableError,
    InputError,
    MetadataError,
    VerificationError,
)
from igmu_data.schema import ASIDE
from igmu_metrics.cli import app
from igmu_metrics.report import audit, leaderboard, page, verdict
from igmu_metrics.report.figures.aside import aside
from igmu_metrics.report.figures.aspects import _spread
from igmu_metrics.report.figures.forest import forest
from igmu_metrics.report.folders import sections
from igmu_metrics.report.leaderboard import alike, read_folder
from igmu_metrics.report.ranking import ranking
from igmu_metrics.report.retained import retained
from igmu_metrics.report.thumbnails import Gallery, small
from igmu_metrics.report.view import Section, View, view
from igmu_metrics.report.wording import grade, listed, rest, sentence
from igmu_metrics.scorecard import Figure, Scorecard, write
from igmu_metrics.verdict.planning import plan
from igmu_metrics.verdict.verify import read_all


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("reported")
    scored(place)
    return place


@pytest.fixture(scope="module")
def cards(root: Path) -> list[Scorecard]:
    return read_all([root / "cards" / f"{m}.json" for m in MODELS[1:]])


@pytest.fixture(scope="module")
def seen(root: Path, cards: list[Scorecard]) -> View:
    return view(sections(cards, images=root / "drawn")[0])


@pytest.fixture(scope="module")
def html(root: Path) -> str:
    done = CliRunner().invoke(
        app,
        ["report", *(str(root / "cards" / f"{m}.json") for m in ("fmn", "esd")), "--images", str(root / "drawn"),
         "--out", str(root / "report.html")],
        catch_exceptions=False,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    return (root / "report.html").read_text(encoding="utf-8")


JUDGE = "Is the detector right? Judge for yourself"


def figure(value: float | None, interval: tuple[float, float] | None) -> Figure:
    return Figure(value=value, interval=interval, n_prompts=10, n_generations=20)


# --- the page -----------------------------------------------------------------------------------------------------


class Tags(HTMLParser):
    """Every tag that is opened is closed, in order."""

    VOID = frozenset({"meta", "img", "input", "br", "line", "circle", "!doctype"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [v for k, v in attrs if k == "id" and v]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_it_is_one_well_formed_file_without_network(html: str) -> None:
    tags = Tags()
    tags.feed(html)
    # `li`, `p` and `option` may stay open in HTML; ours are closed.
    assert tags.open == []
    assert len(tags.ids) == len(set(tags.ids))
    assert set(re.findall(r'href="#([^"]+)"', html)) <= set(tags.ids)
    assert not re.search(r"(src|href)=.?http|url\(|@import|fetch\(|XMLHttpRequest", html)
    assert "default-src 'none'" in html


def test_it_answers_five_questions_in_order(html: str) -> None:
    assert re.findall(r"<h3><a class=\"term\" .*?>(.*?)</a>", html) == [
        "Does it forget?",
        "Is it robust?",
        "Does it preserve the rest?",
        "Is the difference real?",
        "How many more prompts would be needed?",
    ]


def test_every_image_is_there_once_and_every_cell_says_what_was_seen(html: str) -> None:
    chunks = re.findall(r'<script type="application/json" class="images">(.*?)</script>', html)
    n = len([p for c in chunks for p in json.loads(c)])
    keys = 2 * len(chosen())
    assert n == keys * len(MODELS)
    grid = html.partition('<ol class="lines" role="list">')[2].partition("</ol>")[0]
    assert grid.count("<li ") == keys
    assert sorted(map(int, re.findall(r'data-image="(\d+)"', grid))) == list(range(n))
    alts = re.findall(r'<img [^>]*alt="([^"]*)"', grid)
    assert {a.partition(":")[0] for a in alts} == set(MODELS)
    assert all(re.search(r": (no )?[\w' .-]+( visible)?$", a) for a in alts)


def test_the_grid_begins_with_the_worst_failures(seen: View) -> None:
    totals = [sum(line.failure(at) for at in range(2)) for line in seen.lines]
    assert totals == sorted(totals, reverse=True)
    assert totals[0] == 1  # fmn shows the church, esd does not
    # What excludes the church, or asks for it in company, is failed by who shows it; of something wider both are right.
    failed = {s: sum(line.failure(1) for line in seen.lines if line.split == s) for s in ASIDE}
    assert failed == {"negation": 4, "composition": 4, "superclass": 0}
    assert [line.split for line in seen.lines[-4:]] == ["superclass"] * 4
    # esd lost half of the near concepts, which the original shows: failures of esd, not of fmn.
    lost = [line for line in seen.lines if line.split == "retain" and line.failure(0)]
    assert len(lost) == 6
    assert not any(line.failure(1) for line in lost)


def test_what_the_original_does_not_show_either_is_no_failure(seen: View) -> None:

    line = next(line for line in seen.lines if line.split == "retain" and line.failure(0))
    assert replace(line, original=replace(line.original, present=False)).failure(0) == 0
    assert replace(line, original=replace(line.original, present=None)).failure(0) == 0


def test_few_lines_say_how_many_there_are(root: Path, cards: list[Scorecard]) -> None:
    text = page.render(*sections(cards, images=root / "drawn"), most_lines=3)
    assert text.partition('<ol class="lines" role="list">')[2].partition("</ol>")[0].count("<li ") == 3
    assert f"The 3 worst of {2 * len(chosen())} are shown." in text


def test_without_images_everything_else_is_there(cards: list[Scorecard], html: str) -> None:
    text = page.render(*sections(cards))
    heads = [h for h in re.findall(r"<h2 .*?>(.*?) <a", html) if h not in ("Image by image", JUDGE)]
    assert re.findall(r"<h2 .*?>(.*?) <a", text) == heads
    assert 'class="images"' not in text.partition("<script>")[0]


def test_restricted_concepts_are_veiled(cards: list[Scorecard]) -> None:
    shown = [c.model_copy(update={"target": "nsfw/nudity"}) for c in cards]
    assert '<article class="concept restricted"' in page.render(Section(shown, {}))
    assert '<article class="concept"' in page.render(Section(cards, {}))


def test_unlike_cards_are_refused(cards: list[Scorecard]) -> None:
    entry = cards[1].scores["concept_accuracy"]
    other = entry.model_copy(update={"signature": {**entry.signature, "detector.threshold": 0.9}})
    unlike = cards[1].model_copy(update={"scores": {**cards[1].scores, "concept_accuracy": other}})
    with pytest.raises(IncomparableError, match=r"detector\.threshold"):
        page.render(Section([cards[0], unlike], {}))
    with pytest.raises(EmptyInputError, match="unlearned"):
        page.render(Section([cards[0].model_copy(update={"model": "original"})], {}))


# --- nothing breaks out -------------------------------------------------------------------------------------------

EVIL = """<script>alert(1)</script><img src=x onerror=alert(1)>" style="x" ' &amp; {{7*7}} {%x%} $x"""


def plain(text: str) -> str:
    """Without markup, and as long as before."""
    return re.sub(r"[^\w /]", "x", text)


class Seen(Tags):
    """Also tags with the names of their attributes, and all that a reader or a script gets to see."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, ...]] = []
        self.said: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        super().handle_starttag(tag, attrs)
        self.tags.append((tag, *(name for name, _ in attrs)))
        for name, value in attrs:
            if name in ("id", "href", "aria-labelledby", "aria-describedby"):
                assert value
                assert re.fullmatch(r"#?[\w.@-]+", value), "made of a name, with nothing of it but letters"
            elif value:
                self.said.append(value)

    def handle_data(self, data: str) -> None:
        if data.startswith("{"):  # what the audit reads
            held = json.loads(data)
            self.said += [held["key"], str(held["root"]), *held["paths"]]
            self.said += [str(value) for item in held["sample"] for value in item.values()]
        else:
            self.said.append(data)


def blank_image() -> tuple[bytes, str]:
    """A file, and its SHA-256."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    return buffer.getvalue(), hashlib.sha256(buffer.getvalue()).hexdigest()


def planted(place: Path, cards: list[Scorecard], text: str) -> Section:
    """Two models that carry a text wherever a card or a folder has one, with three images each."""
    splits = ("forget", "adversarial", "retain")
    columns = {
        "id": [f"{split}/0_0" for split in splits],
        "seed": [0, 0, 0],
        "split": splits,
        "probe": ["direct", "attack", "near"],
        "own_name": [None, None, f"name{text}"],
        "attack_family": [None, f"family{text}", None],
        "own_concept": [f"object/target{text}", f"object/target{text}", f"object/kept{text}"],
        **{f"sha256{of}": [blank_image()[1]] * 3 for of in ("", "_original")},
    }
    evil = []
    for name, card in zip("ab", cards, strict=True):
        scores = {}
        for key, entry in card.scores.items():
            figures = {n + text * ("/" in n): f.model_copy(update={"reason": text}) for n, f in entry.figures.items()}
            signature = {**entry.signature, "detector": text, "rows": text, f"a{text}": text}
            scores[key] = entry.model_copy(update={"figures": figures, "signature": signature})
        changed = {"model": name + text, "original_model": f"original{text}", "config": text, "igmu_version": text}
        generations = card.generations.where([0, 1, 2]).with_columns(**columns)
        changed |= {"target": f"object/target{text}", "scores": scores, "generations": generations}
        evil.append(card.model_copy(update=changed))
    folders = {f"{name}{text}": place / f"a{text}" / name for name in "ab"} | {f"original{text}": place / "original"}
    for folder in folders.values():
        for split in splits:
            (folder / split).mkdir(parents=True)
            (folder / split / "0_0_0.png").write_bytes(blank_image()[0])
    return Section(evil, folders, "igmu")


@pytest.mark.parametrize("kind", ["report", "reports", "leaderboard"])
def test_nothing_breaks_out(kind: str, tmp_path: Path, cards: list[Scorecard], monkeypatch: pytest.MonkeyPatch) -> None:
    """A page with markup in every text is built like one without, and shows that markup letter by letter."""
    made = []
    for name, text in (("evil", EVIL), ("plain", plain(EVIL))):
        section = planted(tmp_path / name / f"root{text}", cards, text)
        found = view(section)
        told = replace(found, lines=tuple(replace(line, text=f"a prompt{text}") for line in found.lines))
        monkeypatch.setattr(page, "view", Mock(return_value=told))
        shown = [section] * (2 if kind == "reports" else 1)
        rendered = leaderboard.render(section.cards) if kind == "leaderboard" else page.render(*shown)
        made.append(Seen(rendered))
    evil, harmless = made
    assert evil.open == []
    assert evil.tags == harmless.tags
    assert list(map(plain, evil.said)) == list(map(plain, harmless.said))
    whole = [said.lstrip(" ") for said in evil.said if EVIL in said]
    places = {"", "a", "b", "original", "igmu "}
    if kind == "leaderboard":
        places.add("ranking for ")
    else:
        places |= {"a prompt", "adversarial: family", "adversarial/family", "igmu: ", "robustness: a"}
        assert f"a{EVIL}/a/retain/0_0_0.png" in whole, "what the audit exports"
    assert {said.partition(EVIL)[0] for said in whole} >= places


# --- where images are -------------------------------------------------------------------------------------------


def test_folders_are_found_by_name_or_told(root: Path, cards: list[Scorecard]) -> None:
    drawn = root / "drawn"
    (found,) = sections(cards, images=drawn)
    assert found.folders == {m: drawn / m for m in MODELS}
    assert found.layout == "metadata"
    (alone,) = sections(cards[:1], images=drawn / "esd", original_images=drawn / "original")
    assert alone.folders == {"original": drawn / "original", "esd": drawn / "esd"}
    (told,) = sections(cards, images=drawn, drawn={"fmn": drawn / "esd"})
    assert told.folders["fmn"] == drawn / "esd"
    with pytest.raises(MetadataError, match="--original-images DIR"):
        sections(cards, images=root)
    with pytest.raises(InputError, match="no scorecard for 'uce'"):
        sections(cards, drawn={"uce": drawn})


def test_a_wrong_option_says_what_is_wanted(root: Path) -> None:
    with pytest.raises(InputError, match="NAME=DIR"):
        CliRunner().invoke(
            app, ["report", str(root / "cards" / "esd.json"), "--model-images", "esd"], catch_exceptions=False
        )


# --- the verdict --------------------------------------------------------------------------------------------------

DEGREES = ("yes", "mostly", "hardly", "no")


@pytest.mark.parametrize(
    ("interval", "word"),
    [
        ((0.81, 1.0), "yes"),
        ((0.79, 1.0), "mostly"),
        ((0.49, 1.0), "undecided"),
        ((0.0, 0.51), "undecided"),
        ((0.0, 0.49), "hardly"),
        ((0.0, 0.19), "no"),
        (None, "undecided"),
    ],
)
def test_the_word_is_what_the_whole_interval_says(interval: tuple[float, float] | None, word: str) -> None:
    assert grade(figure(0.5, interval), DEGREES) == word


def test_nothing_measured_has_no_word() -> None:
    assert grade(None, DEGREES) == grade(figure(None, None), DEGREES) == "not measured"


def test_the_rest_to_one_turns_the_interval() -> None:
    turned = rest(figure(0.75, (0.5, 0.875)))
    assert (turned.value, turned.interval) == (0.25, (0.125, 0.5))


def test_lists_and_sentences() -> None:
    assert [listed(list(n)) for n in ("a", "ab", "abc")] == ["a", "a and b", "a, b and c"]
    assert sentence("no attacked prompts.") == "No attacked prompts."


def test_the_verdict_tells_the_models_apart(seen: View) -> None:
    assert [c.model for c in seen.cards] == ["esd", "fmn"]
    forget, robust, kept, real, more = verdict.answers(seen)
    # Eight of eight prompts and none of them: Wilson's intervals begin at 0.676 and end at 0.324.
    assert {f.about: f.word for f in forget.findings} == {("esd",): "mostly", ("fmn",): "hardly"}
    assert (
        "100% of the images in which the original generated a church no longer show it" in forget.findings[0].sentence
    )
    assert "0% of the adversarial prompts (mean over families) bring it back within" in robust.findings[0].sentence
    assert "It is weakest against" in robust.findings[1].sentence
    assert "near 50%, far 100%" in kept.findings[0].sentence
    assert "The most affected concept is" in kept.findings[0].sentence
    # Eight prompts, all of them forgotten by one model and by the other none: 2·2^-8, times three tests.
    words = {about: f.word for f in real.findings for about in f.about}
    assert words == {"esd – original": "yes", "fmn – original": "not settled", "esd – fmn": "yes"}
    assert [f.about for f in more.findings] == [("fmn – original",)]
    assert more.findings[0].word == "no estimate"
    opening, _ = verdict.lead(seen)
    assert "fmn did not forget church." in opening


def test_what_is_counted_by_itself_has_a_table_of_its_own(cards: list[Scorecard], html: str) -> None:
    found = aside(cards, "church")
    assert found is not None
    assert [name for name, _, _ in found.lines] == list(ASIDE)
    told = {name: [cell.shown for cell in cells] for name, _, cells in found.lines}
    everywhere, nowhere = "100%", "0%"
    assert told == {probe: [everywhere, nowhere, everywhere] for probe in ASIDE}
    shades = {name: cells[2].shade for name, _, cells in found.lines}
    assert shades == {"negation": 1.0, "composition": 1.0, "superclass": None}
    assert all(probe in html.partition("Which probes are counted separately?")[2] for probe in ASIDE)
    for figure, n in (("conditional_unlearning_accuracy", 16), ("near_retain_accuracy", 12)):
        assert cards[0].scores["concept_accuracy"].figures[figure].n_generations == n
    without = [c.model_copy(update={"scores": {"concept_accuracy": c.scores["concept_accuracy"]}}) for c in cards]
    assert aside(without, "church") is None


def test_alignment_of_what_is_counted_by_itself_stands_beside_the_originals(cards: list[Scorecard]) -> None:
    card = cards[0]
    entry = card.scores["concept_accuracy/superclass"]
    cosine = entry.figures["unlearning_accuracy"].model_copy(update={"value": 0.25, "interval": (0.2, 0.3)})
    aligned = entry.model_copy(update={"name": "clip_alignment", "figures": {"cosine": cosine}})
    table = card.generations.with_columns(alignment_original=np.full(len(card.generations), 0.3125))
    scores = {**card.scores, "clip_alignment/superclass": aligned}
    found = aside([card.model_copy(update={"scores": scores, "generations": table})], "church")
    assert found is not None
    assert [cell.shown for cell in found.lines[-1][2]] == ["0.312", "0.250"]
    assert "alignment" in found.lines[-1][1]


def test_what_is_near_is_what_the_rows_say_and_is_called_as_they_call_it(cards: list[Scorecard]) -> None:
    """A mosque is no concept of the taxonomy, and what is near differs from corpus to corpus."""
    card = cards[0]
    own = card.generations["own_concept"]
    moved = np.where(card.generations["probe"] == "near", "object/mosque", own)
    for name, called in (("Moschee", "Moschee"), (None, "mosque")):
        table = card.generations.with_columns(own_concept=moved, own_name=[name] * len(own))
        kept = retained([card.model_copy(update={"generations": table})])
        assert {k.concept for k in kept if k.near} == {"object/mosque"}
        assert [k.name for k in kept if k.near] == [called]
    unknown = card.generations.with_columns(
        own_concept=np.where(moved == own, own, "object/of-somebody"), own_name=[None] * len(own)
    )
    assert [k.name for k in retained([card.model_copy(update={"generations": unknown})]) if k.near] == ["of somebody"]


def test_retained_concepts_are_counted_and_near_ones_come_first(cards: list[Scorecard]) -> None:
    kept = retained(cards)
    assert [k.near for k in kept] == sorted([k.near for k in kept], reverse=True)
    near, far = ([k for k in kept if k.near is side] for side in (True, False))
    assert sum(k.before.n for k in near) == sum(k.before.n for k in far) == 12
    assert sum(k.after[0].n_shown for k in near) == 6
    assert all(k.loss(0) == 0 for k in far)
    assert all(k.loss(1) == 0 for k in kept)


# --- how many prompts ---------------------------------------------------------------------------------------------


def test_the_report_calls_for_as_many_prompts_as_igmu_power_plans(seen: View) -> None:
    open_ones = [replace(c, difference=0.2, variance=0.3, n=20, n_prompts=20, p_holm=0.2) for c in seen.against]
    wider = replace(seen, tests=tuple(open_ones))
    said = verdict.answers(wider)[4].findings
    expected = plan(open_ones[0]).more
    assert expected
    assert {f.word for f in said} == {f"about {expected:,} more"}


def test_a_single_prompt_and_no_difference_give_no_number(seen: View) -> None:
    for changed, words in (({"variance": float("nan")}, "One prompt"), ({"difference": 0.0}, "there is no difference")):
        one = replace(seen.against[0], difference=0.2, n_prompts=1, p_holm=0.2)
        found = verdict.answers(replace(seen, tests=(replace(one, **changed),)))[4].findings
        assert [f.word for f in found] == [verdict.NO_NUMBER]
        assert words in found[0].sentence


def test_what_was_not_tested_is_neither_real_nor_settled(seen: View) -> None:
    """One prompt with twenty seeds was "yes", with p = 1.9e-06, and every difference "settled"."""
    why = "there is only one prompt"
    one = replace(seen.against[0], difference=1.0, n=20, n_prompts=1, test="", p=None, p_holm=None, why=why)
    real, more = verdict.answers(replace(seen, tests=(one,)))[3:5]
    assert [f.word for f in real.findings] == ["no test"]
    assert real.findings[0].sentence.endswith(f"{why}.")
    said = " ".join(f"{f.word} {f.sentence}" for f in (*real.findings, *more.findings))
    assert "settled" not in said
    assert "p =" not in said


# --- figures ------------------------------------------------------------------------------------------------------


def test_a_forest_plot_places_value_and_interval() -> None:
    drawn = str(forest("t", [("a", figure(0.5, (0.25, 1.0))), ("b", None)], marked="a", before=figure(0.0, None)))
    x = {v: 112 + v * 180 for v in (0.0, 0.25, 0.5, 1.0)}  # the plot spans 112..292
    assert f'x1="{x[0.25]:.1f}"' in drawn
    assert f'x2="{x[1.0]:.1f}"' in drawn
    assert re.search(rf'<circle cx="{x[0.5]:.1f}" [^>]*class="mark"', drawn)
    assert 'aria-label="t: a 0.50, 0.25 to 1.00; b not measured"' in drawn


@given(st.lists(st.floats(0, 1), min_size=1, max_size=14))
def test_names_never_cover_each_other(values: Sequence[float]) -> None:
    heights = _spread(values)
    ordered = sorted(heights)
    assert all(b - a >= 18 - 1e-6 for a, b in pairwise(ordered))
    order = sorted(range(len(values)), key=lambda i: (-values[i], i))
    assert [heights[i] for i in order] == ordered  # the best one on top


# --- the leaderboard ----------------------------------------------------------------------------------------------


def test_only_what_was_scored_alike_shares_a_table(tmp_path: Path, cards: list[Scorecard]) -> None:
    entry = cards[1].scores["concept_accuracy"]
    other = entry.model_copy(update={"signature": {**entry.signature, "detector": "clip"}})
    unlike = cards[1].model_copy(update={"scores": {**cards[1].scores, "concept_accuracy": other}})
    assert [[c.model for c in group] for group in alike([unlike, *cards])] == [["esd", "fmn"], ["fmn"]]
    for at, card in enumerate((unlike, *cards)):
        write(card, tmp_path / "board" / f"{at}.json")
    done = CliRunner().invoke(
        app, ["leaderboard", str(tmp_path / "board"), "--out", str(tmp_path / "l.html")], catch_exceptions=False
    )
    assert done.exit_code == 0
    text = (tmp_path / "l.html").read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert text.count("<table") == 2
    assert "3 results on 1 concept." in text
    assert re.findall(r'data-detector="(.*?)"', text) == ["labels:labels.csv", "clip"]
    assert "<script src" not in text


def test_one_model_twice_in_a_table_is_refused(tmp_path: Path, cards: list[Scorecard]) -> None:
    another = cards[0].model_copy(update={"notes": ("of other images",)})  # no copy: what it was scored on differs
    for name, card in (("a", cards[0]), ("b", another)):
        write(card, tmp_path / f"{name}.json")
    found = read_folder(tmp_path)
    assert [c.model for c in found.cards] == ["esd"]
    (why,) = found.refused
    assert re.search(r"b\.json:\n  .*a\.json, which is ranked, is also for 'esd'", why)
    with pytest.raises(MetadataError, match="nothing does not exist"):
        read_folder(tmp_path, tmp_path / "nothing")


def test_a_card_that_does_not_verify_is_refused_with_its_problems(tmp_path: Path, cards: list[Scorecard]) -> None:
    for card in cards:
        write(card, tmp_path / f"{card.model}.json")
    (tmp_path / "other.json").write_text('{"name": "igmu/bench"}', encoding="utf-8")
    text = (tmp_path / "esd.json").read_text(encoding="utf-8")
    forged = json.loads(text)
    forged["scores"]["concept_accuracy"]["figures"]["unlearning_accuracy"]["value"] = 0.987
    (tmp_path / "esd.json").write_text(json.dumps(forged), encoding="utf-8")
    done = CliRunner().invoke(app, ["leaderboard", str(tmp_path), "--out", str(tmp_path / "page.html")])
    assert isinstance(done.exception, VerificationError)
    said = str(done.exception)
    assert "1 scorecard of 2 was refused" in said, "what is no card is left out, as in igmu compare"
    alone = CliRunner().invoke(app, ["verify", str(tmp_path / "other.json")])
    assert alone.output.count("this is not a scorecard") == 1
    assert "1 problem." in str(alone.exception)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Not ranked" in page
    assert "0.987 of 16 generations" in page
    assert "<code>sandbox.church</code>" in page
    assert "esd.json:\n  content_sha256: the content was changed" in said
    assert "figures.unlearning_accuracy: 0.987 of 16 generations is 15.7920, which is not a whole number" in said
    assert "other.json" not in said
    assert "fmn.json" not in said


def with_score(card: Scorecard, value: float | None, low: float, high: float) -> Scorecard:
    """The card with a forget score, as if CLIP had been given."""
    entry = card.scores["forget_score"]
    told = entry.figures["forget_score"].model_copy(update={"value": value, "interval": (low, high), "reason": ""})
    figures = dict(entry.figures) | {"forget_score": told}
    for name in ("alignment", "quality"):
        figures[name] = figures[name].model_copy(update={"value": value, "reason": ""})
    changed = entry.model_copy(update={"value": value, "figures": figures})
    return card.model_copy(update={"scores": {**card.scores, "forget_score": changed}})


def test_without_a_forget_score_nothing_is_ranked(cards: list[Scorecard]) -> None:
    """A model that draws noise was first, in the winner's colour, because it forgets everything."""
    noise = cards[0].model_copy(update={"model": "zz-noise"})
    seen = view(Section([noise, cards[1]], {}))
    table = ranking(seen)
    assert [(line.model, line.rank) for line in table.lines] == [("fmn", None), ("zz-noise", None)]
    assert table.unranked.startswith(
        "Not ranked: fmn and zz-noise. There is no forget score, because of missing alignment ("
    )
    assert "alignment (no cosines given: add --clip)" in table.unranked
    assert seen.winner is None
    board, report = leaderboard.render([noise, cards[1]]), page.render(Section([noise, cards[1]], {}))
    for text in (board, report):
        assert "no cosines given: add --clip" in text
        assert "class=best" not in text
        assert "ranks first" not in text
    assert "Which models have really forgotten?" not in board
    assert 'class="span mark"' not in report


def test_those_with_a_forget_score_are_ranked_before_those_without(cards: list[Scorecard]) -> None:
    esd, fmn = cards
    best = with_score(fmn, 0.4, 0.3, 0.5)
    table = ranking(view(Section([esd, best], {})))
    assert [(line.model, line.rank) for line in table.lines] == [("fmn", 1), ("esd", None)]
    assert table.unranked.startswith("Not ranked: esd. ")
    text = leaderboard.render([esd, best])
    assert text.count("class=best") == 1
    assert "Which models have really forgotten?" in text


def test_the_best_comes_first(cards: list[Scorecard]) -> None:
    for values, names in (((0.4, 0.7), ["fmn", "esd"]), ((0.7, 0.4), ["esd", "fmn"])):
        scored_so = [with_score(c, v, v - 0.1, v + 0.1) for c, v in zip(cards, values, strict=True)]
        assert [(line.model, line.rank) for line in ranking(view(Section(scored_so, {}))).lines] == [
            (name, at) for at, name in enumerate(names, 1)
        ]


def test_all_that_a_rank_rests_on_is_in_the_table(cards: list[Scorecard]) -> None:
    shown = [
        column.title for column in ranking(view(Section([with_score(c, 0.4, 0.3, 0.5) for c in cards], {}))).columns
    ]
    assert shown[:2] == ["forget score", "forgotten where the original generated it"]
    assert shown[2:6] == ["robustness", "preservation", "alignment", "quality"]


def test_a_rank_that_intervals_leave_open_says_so(cards: list[Scorecard]) -> None:
    esd, fmn = with_score(cards[0], 0.8, 0.7, 0.9), with_score(cards[1], 0.1, 0.0, 0.2)
    twin = esd.model_copy(update={"model": "twin"})
    assert [line.tied for line in ranking(view(Section([esd, fmn], {}))).lines] == ["", ""]
    assert [line.tied for line in ranking(view(Section([esd, twin], {}))).lines] == ["", "esd"]
    assert "not clearly below esd" in page.render(Section([esd, twin], {}))
    for changed in ([esd, without_interval(fmn)], [without_interval(esd), fmn]):  # cards of others may have none
        seen = view(Section(changed, {}))
        assert [line.tied for line in ranking(seen).lines] == ["", "esd"]
        assert "Neither esd nor fmn clearly leads" in verdict.lead(seen)[1]
        assert "class=best" not in page.render(Section(changed, {}))


def without_interval(card: Scorecard) -> Scorecard:
    entry = card.scores["forget_score"]
    figure = entry.figures["forget_score"].model_copy(update={"interval": None})
    changed = entry.model_copy(update={"figures": {**entry.figures, "forget_score": figure}})
    return card.model_copy(update={"scores": {**card.scores, "forget_score": changed}})


# --- images -----------------------------------------------------------------------------------------------------


def test_an_image_is_as_good_as_its_bytes_allow() -> None:
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (256, 256, 3), dtype=np.uint8))
    sizes = [len(small(noise, most)) for most in (12_000, 4_000, 1_500)]
    assert all(size <= most for size, most in zip(sizes, (12_000, 4_000, 1_500), strict=True))
    assert sizes == sorted(sizes, reverse=True)
    assert small(Image.new("RGB", (32, 24)), 12_000)[8:12] == b"WEBP"


def test_an_image_asked_for_twice_is_stored_once(tmp_path: Path) -> None:
    gallery = Gallery()
    for name, shade in (("a", 0), ("b", 255)):
        Image.new("L", (8, 8), shade).save(tmp_path / f"{name}.png")
    told = {n: hashlib.sha256((tmp_path / n).read_bytes()).hexdigest() for n in ("a.png", "b.png")}
    assert [gallery.number(tmp_path / n, told[n]) for n in ("a.png", "b.png", "a.png")] == [0, 1, 0]
    (chunk,) = gallery.chunks()
    assert [encoded[:5] for encoded in chunk] == ["UklGR"] * 2


# --- the audit ----------------------------------------------------------------------------------------------------


def test_the_sample_does_not_depend_on_what_was_seen(seen: View) -> None:

    def blind(line: object) -> object:
        return replace(line, cells=tuple(replace(c, present=None) for c in line.cells))  # type: ignore[attr-defined, type-var]

    picked = audit.sample(seen)
    again = audit.sample(replace(seen, lines=tuple(map(blind, reversed(seen.lines)))))  # type: ignore[arg-type]
    assert [d.shot for d in picked] == [d.shot for d in again]
    assert len({d.shot for d in picked}) == audit.SAMPLE
    assert {d.model for d in picked} == set(MODELS)


def test_the_page_does_not_tell_the_auditor_which_model_it_is(html: str) -> None:
    (held,) = re.findall(r'class="sample">(.*?)</script>', html)
    data = json.loads(held)
    assert data["root"] == "drawn"
    assert set(data["sample"][0]) == {"image", "path", "question", "detector"}
    assert len(data["paths"]) == len(MODELS) * 2 * len(chosen())
    assert {s["question"] for s in data["sample"]} >= {"Is a church visible?"}


def test_questions_fit_the_concept() -> None:
    assert audit.question("style/van-gogh") == "Is it in the style of Vincent van Gogh?"
    assert audit.question("object/church") == "Is a church visible?"
    assert audit.question("setting/green-meadow") == "Is green meadow visible?"


def test_paths_are_relative_to_what_holds_all_folders(tmp_path: Path) -> None:
    assert audit.common_root({"a": tmp_path / "x" / "a", "b": tmp_path / "x" / "b"}) == tmp_path / "x"
    assert audit.common_root({"a": tmp_path / "x", "b": tmp_path / "x" / "b"}) == tmp_path
    assert audit.common_root({"a": Path("/one/a"), "b": Path("/two/b")}) is None


def test_config_is_the_sandbox_s(cards: list[Scorecard]) -> None:
    assert {c.config for c in cards} == {CONFIG}
