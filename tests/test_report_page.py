"""What a page says beside its figures: what it rests on, definitions, links, many images, and two people's labels."""

from __future__ import annotations

import html
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from reported import CONFIG, MODELS, SEEDS, chosen, scored
from typer.testing import CliRunner

from igmu_data.errors import InputError
from igmu_metrics import registry
from igmu_metrics.cli import app
from igmu_metrics.coverage import covering, failed
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.report import brief, leaderboard, page, raters, terminal, verdict
from igmu_metrics.report.audit import shots
from igmu_metrics.report.definitions import ANSWERED_BY, definitions
from igmu_metrics.report.folders import sections
from igmu_metrics.report.ground import ground
from igmu_metrics.report.ranking import COLUMNS, ranking
from igmu_metrics.report.thumbnails import CHUNK
from igmu_metrics.report.view import Section, View, view
from igmu_metrics.report.wording import DEGREES, cautious, doubt, grade, percent
from igmu_metrics.scorecard import Figure, Scorecard, write
from igmu_metrics.statistics import kappa
from igmu_metrics.verdict import export
from igmu_metrics.verdict.compare import compared
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
def text(root: Path, cards: list[Scorecard]) -> str:
    return page.render(*sections(cards, images=root / "drawn"))


# --- the order, and what it rests on ------------------------------------------------------------------------------


def test_the_verdict_comes_before_what_it_rests_on_and_images_before_tables(text: str) -> None:
    found = [text.index(f'id="{name}-{CONFIG}"') for name in ("verdict", "ground", "answer-1", "images", "ranking")]
    assert found == sorted(found)
    assert text.index('class="lead"') < text.index("forget 8 of")


def test_a_word_beside_all_or_none_says_which_end_of_the_interval_it_follows(seen: View) -> None:
    """It looked like a mistake. Wilson's intervals of eight prompts end at 68 and 32%."""
    forget, _, _ = verdict.answers(seen)[:3]
    assert [f.word for f in forget.findings] == ["mostly", "hardly"]
    for finding, end in zip(forget.findings, (68, 32), strict=True):
        why = f"The word is “{finding.word}” because it depends on the whole interval, which extends to {end}%."
        assert why in finding.sentence
    told = brief.lines([seen.cards[0]])
    assert next(line for line in told if "forgetting" in line).endswith("1.00 [0.68, 1.00]   mostly (≥ 0.68)")


@pytest.mark.parametrize("value", [0.0, 0.004, 0.006, 0.5, 0.994, 0.996, 1.0])
@pytest.mark.parametrize("interval", [(0.0, 0.1), (0.0, 0.4), (0.0, 0.6), (0.4, 1.0), (0.6, 1.0), (0.9, 1.0), None])
def test_only_a_word_that_seems_wrong_is_explained(value: float, interval: tuple[float, float] | None) -> None:
    figure = Figure(value=value, interval=interval, n_prompts=9, n_generations=9)
    between = grade(figure, DEGREES) in ("mostly", "hardly") and percent(figure) in ("100%", "0%")
    assert (doubt(figure, DEGREES) is not None) is between
    assert ("(" in cautious(figure, DEGREES)) is between
    assert cautious(figure, DEGREES).split(" (")[0] == grade(figure, DEGREES)


def test_the_originals_own_rates_stand_beside_the_models(cards: list[Scorecard]) -> None:
    """Prompts of which the original shows nothing say nothing about attacks."""
    lines = cards[0].generations
    lost = [split in ("adversarial", "retain") and at % 4 == 0 for at, split in enumerate(lines["split"].tolist())]
    before = np.where(lost, False, np.ma.filled(lines["present_original"], False))
    table = lines.with_columns(present_original=before)
    card = cards[0].model_copy(update={"generations": table})
    found = view(Section([card], {}))
    shown = ranking(found)
    own = {c.figure: f for c, f in zip(shown.columns, shown.original.figures, strict=True) if f is not None}
    share = {part: np.mean(table.part(part)["present_original"].tolist()) for part in ("adversarial", "retain")}
    assert 0.5 < share["adversarial"] < 1
    assert own["asr_image"].value == pytest.approx(share["adversarial"])
    assert own["asr_image"].interval is not None
    assert {"near_retain_accuracy", "far_retain_accuracy", "unlearning_accuracy"} <= own.keys()
    assert 0.5 < (own["near_retain_accuracy"].value or 0) < 1
    forget, robust, _ = (answer.findings[0].sentence for answer in verdict.answers(found)[:3])
    assert "of all images that could be judged, 100% do not show it, compared with 0% of the" in forget
    percentage = format(100 * share["adversarial"], ".0f")
    assert f"Of the original's images for all these prompts, {percentage}% show it." in robust


def rates(cards: list[Scorecard], **fields: object) -> list[Scorecard]:
    """The cards with other fields of the detector in every signature."""
    told = {f"detector.{name}" if name != "detector" else name: value for name, value in fields.items()}
    return [
        card.model_copy(
            update={
                "scores": {
                    name: entry.model_copy(update={"signature": {**entry.signature, **told}})
                    for name, entry in card.scores.items()
                }
            }
        )
        for card in cards
    ]


def test_errors_of_the_detector_are_told_or_unknown(cards: list[Scorecard]) -> None:
    def errors(of: list[Scorecard]) -> str:
        return next(line.text for line in ground(view(Section(of, {}))) if line.title == "Detector errors")

    assert errors(cards) == "Not applicable, because people labelled the images."
    assert errors(rates(cards, detector="clip")).startswith("The error rates are unknown.")
    known = rates(cards, detector="clip", sensitivity=0.9, specificity=0.8, n_positives=20, n_negatives=30)
    assert errors(known) == (
        "The detector sees the concept in 90% of 20 images that show it, and correctly does not see it in 80% of 30 "
        "images that do not show it."
    )
    without = rates(cards, detector="clip", sensitivity=0.9, specificity=0.8)
    told = errors(without)
    assert told.startswith(
        "The detector sees the concept in 90% of the images that show it, and correctly does not see"
    )
    assert told.endswith("in 80% of the images that do not show it.")


def test_seeds_and_images_are_counted(seen: View) -> None:
    told = {line.title: line.text for line in ground(seen)}
    assert told["Seeds"] == "2 seeds per prompt, the same for all models and the original."
    n = len(seen.lines)
    assert told["Images and prompts"] == f"{n} images of {n // 2} prompts by each model"
    assert "no labels were given" in told["Agreement with people"]


# --- what failed, and what is noted -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def incomplete(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cards of two deliveries with two damaged images and a missing one each; in the first, three seeds are assumed."""
    place = tmp_path_factory.mktemp("incomplete")
    drawn = shutil.copytree(root / "drawn", place / "drawn")
    for model in MODELS[1:]:
        path = drawn / model / "metadata.jsonl"
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        retain = next(at for at, row in enumerate(chosen()) if row.probe == "far") * SEEDS
        for line in lines[retain : retain + 2]:
            (drawn / model / line["file_name"]).write_bytes(model.encode())
        (drawn / model / lines.pop(retain + 2)["file_name"]).unlink()
        if model == "esd":
            lines[:3] = [line | {"seed_from": "in the order of the file names"} for line in lines[:3]]
        path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    evaluation = Evaluation(CONFIG, detector=f"labels:{drawn / 'labels.csv'}", on_error="skip")
    for card in evaluation.run(drawn / "original", [drawn / "esd", drawn / "fmn"]):
        write(card, place / "cards" / f"{card.model}.json")
    return place


@pytest.mark.parametrize("models", [("esd",), ("esd", "fmn")])
def test_what_failed_and_what_is_noted_is_said_where_the_verdict_says_what_it_rests_on(
    incomplete: Path, models: tuple[str, ...]
) -> None:
    cards = read_all([incomplete / "cards" / f"{model}.json" for model in models])
    lost, n = cards[0].failures, len(cards[0].generations)
    failures = f"3 of {n + 3} images failed or are missing, such as: {lost[0]}"
    assert len(lost) == 3
    seeds = (
        f"The seeds of 3 of the unlearned model's {n} images are assumed, not recorded (in the order of the file names)"
    )
    who = "" if len(models) == 1 else "esd: "
    told = {line.title: line for line in ground(view(Section(cards, {})))}
    each = [f"{card.model}: {failed(card)}." for card in cards] if who else [f"{failures}."]
    assert told["Failed or missing images"].text.splitlines() == each
    assert f"{who}{seeds}." in told["Notes"].text.splitlines()
    assert [told[title].kind for title in ("Failed or missing images", "Notes", "Coverage")] == [
        "caution failed",
        "caution",
        "",
    ]
    made = html.unescape(page.render(Section(cards, {})))
    basis = made[made.index(f'id="ground-{CONFIG}"') : made.index(f'id="answer-1-{CONFIG}"')]
    assert basis.count('<div class="caution') == 2
    assert failures in basis
    assert seeds in basis
    files = [str(incomplete / "cards" / f"{model}.json") for model in models]
    found = CliRunner().invoke(app, ["report", *files, "--out", str(incomplete / "report.html")])
    printed = " ".join(found.output.split())
    assert f"Failures{' of esd' if who else ''}: {failures}." in printed
    assert f"{who}note: {seeds[0].lower()}{seeds[1:]}" in printed


def test_where_nothing_failed_the_page_says_so(cards: list[Scorecard], seen: View, text: str) -> None:
    told = {line.title: line for line in ground(seen)}
    assert told["Failed or missing images"][2:] == ("None.", "")
    assert ("Notes" in told) is any(card.notes for card in cards)


def test_every_line_about_coverage_says_what_failed(incomplete: Path, cards: list[Scorecard]) -> None:
    some = read_all([incomplete / "cards" / f"{model}.json" for model in ("esd", "fmn")])
    failures = [f"Failures of {card.model}: {failed(card)}." for card in some]
    assert covering(some).splitlines()[1 : 1 + len(failures)] == failures
    assert "The generation settings are not recorded and may differ." in covering(some).splitlines()
    assert "Failures" not in covering(cards)
    for told in (
        str(terminal.forget_scores(some).caption),
        str(terminal.ranking(some, compared(some)).caption),
        html.unescape(leaderboard.render(some)),
        "\n".join(export.latex_comments(some)),
    ):
        assert all(each in told for each in failures)
    path = str(incomplete / "cards" / "esd.json")
    found = CliRunner().invoke(app, ["verify", path])
    assert " ".join(found.output.split()).count(f"Failures: {failed(some[0])}.") == 1
    answer = json.loads(CliRunner().invoke(app, ["verify", path, "--json"]).stdout)["result"]["files"][0]
    assert f"Failures: {failed(some[0])}." in answer["notes"]
    (incomplete / "edited.json").write_text(Path(path).read_text().replace('"esd"', '"uce"'))
    edited = CliRunner().invoke(app, ["verify", str(incomplete / "edited.json")])
    assert f"Failures: {failed(some[0])}." in " ".join(edited.output.split())


ENDS = ((0.9, 1.0), (0.59, 1.0), (0.4, 0.9), (0.1, 0.4), (0.0, 0.1))


@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("aspect", ["robustness", "preservation"])
def test_a_figure_has_one_word_in_the_terminal_and_on_the_page(
    aspect: str, ends: tuple[float, float], cards: list[Scorecard]
) -> None:
    """The terminal said that preservation was kept "mostly", and the page answered "some"."""
    figure = Figure(value=sum(ends) / 2, interval=ends, n_prompts=9, n_generations=9)
    entry = cards[0].scores["forget_score"]
    scores = cards[0].scores | {"forget_score": entry.model_copy(update={"figures": entry.figures | {aspect: figure}})}
    card = cards[0].model_copy(update={"scores": scores})
    line = next(line for line in brief.lines([card]) if aspect in line)
    answers = {answer.question: answer.findings[0].word for answer in verdict.answers(view(Section([card], {})))}
    word = answers[verdict.ROBUST if aspect == "robustness" else verdict.PRESERVES]
    assert line.endswith(f"  {word}")
    assert word == grade(figure, DEGREES)


# --- definitions and links ----------------------------------------------------------------------------------------


def test_every_figure_is_defined_once_by_its_metric(text: str) -> None:
    found = {d.key: d.text for d in definitions()}
    assert len(found) == len(definitions())
    for column in COLUMNS:
        assert found[column.key] == registry.metric(column.score).INFO.figures[column.figure]
    assert set(ANSWERED_BY.values()) <= set(found)
    for key in found:
        assert text.count(f'id="def-{key}"') == 1
    linked = set(re.findall(r'href="#def-([^"]+)"', text))
    assert linked <= set(found)
    assert {c.key for c in COLUMNS if f">{c.title}</a>" in text} <= linked
    assert re.findall(r'aria-describedby="def-([^"]+)"', text) == re.findall(r'href="#def-([^"]+)"', text)


def test_every_heading_of_a_figure_has_its_definition(text: str, cards: list[Scorecard]) -> None:
    for made in (text, leaderboard.render(cards)):
        heads = re.findall(r"<th scope=col role=columnheader>(.*?)</th>", made)
        assert len(heads) > 4
        assert all('class="term"' in head for head in heads if head not in ("model", "<span class=unseen>rank</span>"))


def test_sections_models_and_families_have_links_that_stay(text: str, cards: list[Scorecard]) -> None:
    ids = set(re.findall(r' id="([^"]+)"', text))
    assert {f"verdict-{CONFIG}", f"ranking-{CONFIG}", f"images-{CONFIG}", f"model-{CONFIG}-esd-1"} <= ids
    assert any(name.startswith(f"attacks-{CONFIG}-") for name in ids)
    twice = page.render(Section(cards, {}), Section(cards, {}))
    assert {f"verdict-{CONFIG}", f"verdict-{CONFIG}-2"} <= set(re.findall(r' id="([^"]+)"', twice))
    assert set(re.findall(r'href="#([^"]+)"', twice)) <= set(re.findall(r' id="([^"]+)"', twice))


# --- many images --------------------------------------------------------------------------------------------------


def test_many_images_lie_in_a_folder_beside_the_page(root: Path, cards: list[Scorecard], tmp_path: Path) -> None:
    out = tmp_path / "some report.html"
    shown = sections(cards, images=root / "drawn")
    (tmp_path / "some report-images").mkdir()
    for name, text in (("00099.js", 'igmu.take("x", 99, []);'), ("mine.js", "x")):
        (tmp_path / "some report-images" / name).write_text(text, encoding="utf-8")
    said = page.write(out, *shown, beside=True)
    text = out.read_text(encoding="utf-8")
    files = sorted(p.name for p in (tmp_path / "some report-images").iterdir())
    n = len(set(re.findall(r'data-image="(\d+)"', text)))
    assert files == [*(f"{at:05}.js" for at in range(-(-n // CHUNK))), "mine.js"], "old images go, others' files stay"
    assert f"with {n} images in {tmp_path / 'some report-images'}" in said
    assert 'class="images"' not in text
    (key,) = re.findall(r'data-folder="some report-images" data-key="(\w+)"', text)
    script = (tmp_path / "some report-images" / "00000.js").read_text(encoding="utf-8")
    of, at, held = json.loads(f"[{script.removeprefix('igmu.take(').removesuffix(');' + chr(10))}]")
    assert (of, at, len(held)) == (key, 0, CHUNK)
    assert "script-src 'unsafe-inline' 'self' file:;" in text


def test_few_images_stay_in_the_page(
    root: Path, cards: list[Scorecard], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = sections(cards, images=root / "drawn")
    said = page.write(tmp_path / "r.html", *shown)
    assert re.fullmatch(r".*r\.html: [\d.]+ MB", said)
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"]
    assert (tmp_path / "r.html").read_text(encoding="utf-8") == page.render(*shown)
    monkeypatch.setattr(page, "MOST_INSIDE", 3)
    page.write(tmp_path / "r.html", *shown, beside=False)
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"]
    assert "Keep both in the same folder" in page.write(tmp_path / "r.html", *shown)


# --- two people ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def labels(root: Path, seen: View) -> list[Path]:
    """Of 40 images: on the first two they disagree, on the third one cannot tell, the last is in one file alone."""
    images = [s for s in shots(seen) if s.line.own_concept][:40]
    place = root / "drawn"
    out = []
    for name in ("ann", "bob"):
        lines = ["path,present"]
        for at, shown in enumerate(images[: 40 if name == "ann" else 39]):
            yes = at % 2 == 0
            word = "yes" if (yes if at > 1 or name == "ann" else not yes) else "no"
            lines.append(f"{shown.shot.path.relative_to(place)},{'unclear' if at == 2 and name == 'bob' else word}")
        out.append(place / f"{name}.csv")
        out[-1].write_text("\n".join(lines) + "\n", encoding="utf-8")
    return out


def test_two_people_agree_so_far_and_the_rest_is_to_be_settled(seen: View, labels: list[Path]) -> None:
    found = raters.read(seen, labels)
    assert found is not None
    assert found.disputed == [0, 1, 2]
    assert [found.merged()[at] for at in (0, 1, 2, 3, 38, 39)] == ["unclear"] * 3 + ["no", "yes", "no"]
    at = [n for n in range(39) if n != 2]  # both judged
    first = [n % 2 == 0 for n in at]
    second = [(n % 2 == 0) == (n > 1) for n in at]
    by_hand = kappa(first, second, np.array([found.shots[n].line.id for n in at]))
    said = raters.between_people(found)
    assert f"agreement on {36 / 38:.2f}" in said
    assert f"Cohen's kappa {by_hand.value:.2f}" in said
    assert said.endswith("They disagree on 3 images.")


def test_the_page_shows_the_queue_and_agreement_with_people(
    root: Path, cards: list[Scorecard], labels: list[Path]
) -> None:
    args = ["report", *(str(root / "cards" / f"{m}.json") for m in MODELS[1:]), "--images", str(root / "drawn")]
    given = [word for file in labels for word in ("--labels", str(file))]
    done = CliRunner().invoke(app, [*args, *given, "--out", str(root / "two.html")], catch_exceptions=False)
    assert done.exit_code == 0
    text = (root / "two.html").read_text(encoding="utf-8")
    queue, _ = (json.loads(held) for held in re.findall(r'class="sample">(.*?)</script>', text))
    assert len(queue["sample"]) == 3
    assert queue["file"] == "merged.csv"
    assert list(queue["settled"].values()).count("unclear") == 3
    assert len(queue["settled"]) == 40
    assert "On which images do the two raters disagree?" in text
    assert "ann.csv: agreement on" in text
    one = page.render(*sections(cards, images=root / "drawn", labels=labels[:1]))
    assert "ann.csv: agreement on" in one
    assert "On which images do the two raters disagree?" not in one


def test_labels_of_other_images_and_three_files_are_refused(
    root: Path, cards: list[Scorecard], labels: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "other.csv").write_text("path,present\nx.png,yes\n", encoding="utf-8")
    with pytest.raises(InputError, match="do not refer to any of the images"):
        page.render(*sections(cards, images=root / "drawn", labels=[tmp_path / "other.csv"]))
    with pytest.raises(InputError, match="3 times"):
        page.render(*sections(cards, images=root / "drawn", labels=[*labels, labels[0]]))
    with pytest.raises(InputError, match="--labels"):
        CliRunner().invoke(
            app, ["report", str(root / "cards/esd.json"), "--labels", str(labels[0])], catch_exceptions=False
        )


# --- the leaderboard ----------------------------------------------------------------------------------------------


def test_the_latest_card_is_ranked_and_earlier_ones_are_its_history(cards: list[Scorecard], tmp_path: Path) -> None:
    esd, fmn = cards
    old = esd.model_copy(update={"notes": ("of other images",)})
    write(old, tmp_path / "esd.2026-01-31.json")
    write(esd, tmp_path / "esd.2026-11-30.json")
    write(fmn, tmp_path / "fmn.json")
    found = leaderboard.read_folder(tmp_path)
    assert found.refused == []
    assert sorted(c.model for c in found.cards) == ["esd", "fmn"]
    assert next(c.notes for c in found.cards if c.model == "esd") == esd.notes
    assert [c.notes for c in found.earlier] == [("of other images",)]
    text = leaderboard.render(found.cards, found.refused, found.earlier, found.days)
    history = text.partition("Scorecards of each model, the latest first")[2]
    assert history.index("2026-11-30") < history.index("2026-01-31")
    assert "<th scope=row role=rowheader>fmn" not in history.partition("</table>")[0]


def test_tables_say_what_they_are_filtered_by(cards: list[Scorecard]) -> None:
    whole = cards[0].model_copy(
        update={
            "coverage": {
                part: c.model_copy(update={"n_generations_asked": c.n_generations})
                for part, c in (cards[0].coverage or {}).items()
            }
        }
    )
    told = [
        re.findall(r'data-coverage="(.*?)"', leaderboard.render([card]))
        for card in (whole, cards[0], cards[0].model_copy(update={"coverage": None}))
    ]
    assert told == [["complete"], ["partial"], ["unknown"]]
    assert "<option>labels:labels.csv</option>" in leaderboard.render(cards)
