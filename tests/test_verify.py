"""A card that was changed is caught, whatever was changed; one that was not is left in peace."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn import copied, image_file
from forged import Change, put
from golden.record import unpack
from hypothesis import given
from hypothesis import strategies as st
from scored import CONFIG, scored
from tiny import tiny_clip
from typer.testing import CliRunner

from igmu_data.errors import EmptyInputError, MetadataError, VerificationError
from igmu_data.strangers import fingerprint
from igmu_metrics.cli import app
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.metrics.forget_score import ASPECTS
from igmu_metrics.networks.store import open_store
from igmu_metrics.scorecard import RUNS, Scorecard, read, schema, write
from igmu_metrics.spaces.leaderboard import checked
from igmu_metrics.statistics import harmonic_mean
from igmu_metrics.verdict import recompute
from igmu_metrics.verdict.counts import check_table, printed
from igmu_metrics.verdict.verify import verify
from igmu_metrics.verdict.verify_images import verify_images

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scored(tmp_path_factory.mktemp("scored"))


@pytest.fixture(scope="module")
def card(folder: Path) -> Path:
    return folder / "cards" / "forgetful.json"


def test_a_card_that_was_written_holds_together(folder: Path) -> None:
    for path in sorted((folder / "cards").glob("*.json")):
        found, problems = verify(path)
        assert problems == []
        assert found == read(path)


def test_most_of_a_card_follows_from_its_lines(card: Path) -> None:
    found = recompute.figures(read(card))
    assert set(found) >= {"concept_accuracy", "concept_accuracy/negation", "attack_success_rate", "forget_score"}
    assert {"forgetting", "robustness", "preservation"} <= set(found["forget_score"])
    assert len(found["attack_success_rate"]) > 20


@pytest.mark.slow
def test_any_digit(card: Path, tmp_path: Path) -> None:
    text = card.read_text()
    at = [m.start() for m in re.finditer(r"\d", text)]
    copy = tmp_path / "card.json"
    for position in at[:: len(at) // 60]:
        digit = str((int(text[position]) + 1) % 10)
        copy.write_text(text[:position] + digit + text[position + 1 :])
        try:
            problems = verify(copy)[1]
        except MetadataError:  # no JSON any more
            continue
        assert problems, text[position - 40 : position + 20]


def test_a_digit_beyond_what_a_float_holds(tmp_path: Path, card: Path) -> None:
    text = card.read_text()
    number = next(m for m in re.finditer(r"0\.\d{16}", text))
    longer = text[: number.end()] + "1" + text[number.end() :]
    assert json.loads(longer) == json.loads(text)
    (tmp_path / "card.json").write_text(longer)
    assert verify(tmp_path / "card.json")[1]


def test_white_space_and_the_order_of_keys_are_no_content(card: Path, tmp_path: Path) -> None:
    data = json.loads(card.read_text())
    (tmp_path / "card.json").write_text(json.dumps(dict(reversed(data.items()))))
    assert verify(tmp_path / "card.json")[1] == []


def _bump(score: str, figure: str, by: float) -> Change:
    def change(data: dict[str, Any]) -> None:
        data["scores"][score]["figures"][figure]["value"] += by

    return change


def _lose(score: str, figure: str) -> Change:
    def change(data: dict[str, Any]) -> None:
        del data["scores"][score]["figures"][figure]

    return change


def _drop(column: str) -> Change:
    def change(data: dict[str, Any]) -> None:
        for line in data["generations"]:
            line.pop(column, None)

    return change


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (_bump("concept_accuracy", "unlearning_accuracy", -0.001), "not a whole number"),
        (_bump("concept_accuracy", "in_domain_retain_accuracy", -0.001), "in_domain_retain_accuracy"),
        (_bump("attack_success_rate", "asr_any@k", 0.001), "its headline metric"),
        (_bump("forget_score", "robustness", 1e-7), "forget_score.figures.robustness"),
        (put("scores", "forget_score", "figures", "preservation", "value", to=1.5), "not a fraction"),
        (put("scores", "concept_accuracy", "figures", "n_unclear", "value", to=0.5), "not a possible count"),
        (put("scores", "concept_accuracy", "figures", "unlearning_accuracy", "interval", to=[0.9, 0.1]), "is above"),
        (put("scores", "concept_accuracy", "figures", "unlearning_accuracy", "n_generations", to=3), "generations"),
        (
            put("scores", "attack_success_rate", "signature", "model", to="other"),
            "but the scorecard reports 'forgetful'",
        ),
        (put("scores", "attack_success_rate", "signature", "rows", to="0" * 12), "signature.rows"),
        (put("model", to="other"), "signature.model"),
        (put("scores", "forget_score", "n_failed", to=2), "failures are listed"),
        (put("generations", 0, "present", to=True), "generations.0.present"),
        (put("generations", 3, "sha256", to="0" * 64), "inputs_sha256"),
        (put("generations", 3, "sha256_original", to="0" * 64), "inputs_sha256"),
        (put("generations", 3, "seed", to=12345), "inputs_sha256"),
        (put("generations", 0, "probability", to=1.2), "generations.0.probability"),
        (put("generations", 0, "status", to="unclear"), "generations.0.status"),
        (put("generations", 0, "seed", to=2**64 - 1), "fits in 64 bits"),
        (put("generations", 0, "seed", to=None), "generations.0.seed"),
        (put("generations", 0, "id", to=""), "not the id of a prompt"),
        (put("generations", 0, "own", to="a\0"), "NUL"),
        (put("generations", 0, "features", to=None), "generations.0.features"),
        (_lose("concept_accuracy", "in_domain_retain_accuracy"), "missing, although the generations determine it"),
        (
            put("scores", "concept_accuracy", "figures", "in_domain_retain_accuracy", "interval", to=[0.49, 0.51]),
            "in_domain_retain_accuracy.interval: the scorecard reports",
        ),
        (_drop("own_concept"), "scores.concept_accuracy: the generations do not contain a column that this score"),
        (_drop("present_original"), "generations.0.present_original: the value is None, but the probability"),
        (put("scores", "concept_accuracy", "signature", "bootstrap", to="x"), "which cannot be repeated"),
        (put("scores", "concept_accuracy", "signature", "bootstrap", to="9999999999@0"), "which cannot be repeated"),
        (put("scores", "forget_score", "signature", "quality", to="x"), "do not match"),
        (put("scores", "attack_success_rate", "signature", "k", to="x"), "do not match"),
        (put("scores", "concept_accuracy", "figures", "unlearning_accuracy", "value", to=1e308), "not a fraction"),
        (put("surprise", to=1), "surprise"),
        (lambda data: data["generations"].append(data["generations"][0]), "appears 2 times"),
        (lambda data: data["generations"].pop(), "inputs_sha256"),
    ],
)
def test_a_forger_who_computes_the_hash_anew(card: Path, tmp_path: Path, change: Change, where: str) -> None:
    data = json.loads(card.read_text())
    change(data)
    data["content_sha256"] = fingerprint(json.dumps(data))
    (tmp_path / "card.json").write_text(json.dumps(data))
    problems = verify(tmp_path / "card.json")[1]
    assert any(where in str(p) for p in problems), problems
    assert not any(p.where == "content_sha256" for p in problems)


def test_a_probability_at_the_threshold_is_presence_as_in_the_evaluation(card: Path, tmp_path: Path) -> None:
    data = json.loads(card.read_text())
    at = next(line for line in data["generations"] if line["present"])
    at["probability"] = data["scores"]["concept_accuracy"]["signature"]["detector.threshold"]
    data["content_sha256"] = fingerprint(json.dumps(data))
    (tmp_path / "card.json").write_text(json.dumps(data))
    assert verify(tmp_path / "card.json")[1] == []


def test_a_score_of_another_version_of_its_metric_is_a_note_and_no_problem(card: Path, tmp_path: Path) -> None:
    data = json.loads(card.read_text())
    data["scores"]["concept_accuracy"]["signature"]["v"] = 1
    data["scores"]["concept_accuracy"]["figures"]["in_domain_retain_accuracy"]["value"] = 0.25
    data["content_sha256"] = fingerprint(json.dumps(data))
    (tmp_path / "card.json").write_text(json.dumps(data))
    found, problems = verify(tmp_path / "card.json")
    assert problems == []
    assert found is not None
    (note,) = recompute.notes(found)
    assert "concept_accuracy cannot be recomputed: it was scored by version 1" in note


def test_a_layout_without_probes_gives_its_forget_score_again(tmp_path: Path) -> None:
    """A card has no column of what nobody knows of any image."""
    folder = tmp_path / "flat"
    for name, colour in (("original", (250, 0, 0)), ("gone", (0, 0, 250))):
        for i in range(3):
            image_file(folder / name / f"{i}.png", colour)
    labels = "".join(
        f"{n}/{i}.png,{'yes' if n == 'original' else 'no'}\n" for n in ("original", "gone") for i in range(3)
    )
    (folder / "labels.csv").write_text("path,present\n" + labels)
    for blank, forgetting in (("keep", 1.0), ("apart", None)):  # these images are of one colour
        evaluation = Evaluation(
            CONFIG, layout="flat", detector=f"labels:{folder / 'labels.csv'}", cache=False, blank=blank
        )
        (card,) = evaluation.run(folder / "original", [folder / "gone"])
        write(card, tmp_path / "card.json")
        assert verify(tmp_path / "card.json")[1] == []
        assert recompute.figures(card)["forget_score"]["forgetting"].to_dict()["value"] == forgetting


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[]", "JSON object"),
        ('{"a": NaN}', "NaN"),
        ("{", "JSON"),
        ('{"a": 1e999}', "too large"),
        ('{"a": 1' + "0" * 400 + "}", "too large"),
        ('{"a": "\\ud800"}', "surrogates"),
        ('{"a":' * 100_000, "too deeply"),
    ],
)
def test_what_is_no_card_at_all(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "card.json").write_text(text)
    with pytest.raises(MetadataError, match=says):
        verify(tmp_path / "card.json")
    with pytest.raises(MetadataError, match="cannot be read"):
        verify(tmp_path / "nothing.json")


def test_an_older_card_is_refused_with_its_version(card: Path, tmp_path: Path) -> None:
    data = json.loads(card.read_text()) | {"schema_version": 1}
    (tmp_path / "card.json").write_text(json.dumps(data))
    with pytest.raises(MetadataError, match="schema_version is 1"):
        read(tmp_path / "card.json")


# --- images -------------------------------------------------------------------------------------------------------


def test_images_give_the_same_scores(folder: Path, card: Path) -> None:
    labels = f"labels:{folder / 'labels.csv'}"
    assert list(verify_images(read(card), folder / "forgetful", folder / "original", detector=labels)) == []


def test_the_cache_is_neither_read_nor_written(
    folder: Path, card: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(*_: object) -> None:
        raise AssertionError("the cache was opened")

    monkeypatch.setattr("igmu_metrics.networks.store.Store.__init__", opened)
    labels = f"labels:{folder / 'labels.csv'}"
    assert list(verify_images(read(card), folder / "forgetful", folder / "original", detector=labels, cache=True)) == []
    images = ["--images", str(folder / "forgetful"), "--original-images", str(folder / "original")]
    done = CliRunner().invoke(app, ["verify", str(card), *images, "--detector", labels])
    assert "and scoring the images again gave the same lines" in " ".join(done.output.split())


@pytest.mark.slow
def test_values_that_somebody_wrote_into_the_cache_are_found_out(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IGMU_CACHE", str(tmp_path / "cache"))
    clip = str(tiny_clip(tmp_path / "clip"))
    evaluation = Evaluation(CONFIG, detector=f"labels:{folder / 'labels.csv'}", clip=clip)

    def scored() -> Scorecard:
        return next(iter(evaluation.run(folder / "original", [folder / "forgetful"])))

    def problems(card: Scorecard) -> list[str]:
        how = {"detector": evaluation.detector, "clip": clip}
        return [p.where for p in verify_images(card, folder / "forgetful", folder / "original", **how)]

    true = scored()
    store = open_store()
    for held in store.holdings():
        shas = [sha.hex() for (sha,) in store._db.execute("SELECT sha FROM features").fetchall()]
        rows = [(sha, store.get(sha, [held.key])) for sha in shas]
        if held.key.startswith("["):  # with checksums that are right
            store.put(held.key, [(sha, np.roll(row[held.key], i)) for i, (sha, row) in enumerate(rows) if row])
    store.close()
    false = scored()
    assert problems(true) == []
    assert false.scores["clip_alignment/forget"].value != true.scores["clip_alignment/forget"].value
    assert "scores.clip_alignment/forget.figures.cosine" in problems(false)


def test_changed_images_are_named(folder: Path, card: Path, tmp_path: Path) -> None:
    other = copied(folder / "forgetful", tmp_path / "forgetful")
    first = sorted(other.rglob("*.png"))[0]
    image_file(first, (1, 2, 3))
    labels = f"labels:{folder / 'labels.csv'}"
    (problem,) = verify_images(read(card), other, folder / "original", detector=labels)
    assert problem.what.endswith(f"is not the image that was scored: {first.relative_to(other)}")


def test_other_answers_give_other_scores(folder: Path, card: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    labels = tmp_path / "copy" / "labels.csv"
    labels.write_text(labels.read_text().replace("yes", "?").replace("no", "yes").replace("?", "no"))
    copy = tmp_path / "copy"
    problems = list(verify_images(read(card), copy / "forgetful", copy / "original", detector=f"labels:{labels}"))
    assert any("unlearning_accuracy" in p.where for p in problems)


def test_images_give_a_scores_third_digit(folder: Path, card: Path) -> None:
    told = read(card)
    entry = told.scores["forget_score"]
    figure = entry.figures["robustness"]
    raised = {**entry.figures, "robustness": figure.model_copy(update={"value": (figure.value or 0.0) + 0.001})}
    scores = {**told.scores, "forget_score": entry.model_copy(update={"figures": raised})}
    forged = told.model_copy(update={"scores": scores})
    labels = f"labels:{folder / 'labels.csv'}"
    (problem,) = verify_images(forged, folder / "forgetful", folder / "original", detector=labels)
    assert problem.where == "scores.forget_score.figures.robustness"


# --- what a card is made of -----------------------------------------------------------------------------------------


def test_a_card_says_how_to_make_it_again_without_the_users_folders(card: Path, folder: Path) -> None:
    found = read(card).provenance
    assert found is not None
    assert (
        found.command
        == f"igmu score --original original --unlearned forgetful --config {CONFIG} --detector labels:labels.csv"
    )
    assert {"python", "igmu", "numpy", "scipy", "pillow"} <= set(found.versions)
    assert {"system", "machine", "cpu"} <= set(found.hardware)
    assert str(folder) not in found.model_dump_json()


def test_two_runs_give_the_same_bytes_and_a_log_keeps_their_times(folder: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        arguments = ["score", "--original", folder / "original", "--unlearned", folder / "forgetful"]
        arguments += ["--config", CONFIG, "--detector", f"labels:{folder / 'labels.csv'}", "--out", tmp_path / name]
        done = CliRunner().invoke(app, [str(a) for a in arguments])
        assert done.exit_code == 0, done.output
    one, other = ((tmp_path / name / f"forgetful.{CONFIG}.json").read_bytes() for name in ("a", "b"))
    assert one == other == (folder / "cards" / "forgetful.json").read_bytes()
    (line,) = [json.loads(text) for text in (tmp_path / "a" / RUNS).read_text().splitlines()]
    assert line["content_sha256"] == json.loads(one)["content_sha256"]
    assert line["card"] == f"forgetful.{CONFIG}.json"
    assert line["seconds"] >= 0


def test_the_published_schema_is_the_models() -> None:
    text = (ROOT / "docs" / "scorecard.schema.json").read_text(encoding="utf-8")
    assert json.loads(text) == schema(), "run: igmu verify --schema > docs/scorecard.schema.json"


def test_writing_seals_what_was_changed_in_memory(card: Path, tmp_path: Path) -> None:
    changed = read(card).model_copy(update={"igmu_version": "9"})
    write(changed, tmp_path / "card.json")
    assert fingerprint((tmp_path / "card.json").read_text()) == read(tmp_path / "card.json").content_sha256


# --- counts of published tables -------------------------------------------------------------------------------------


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.integers(0, 4))
def test_every_count_is_possible_as_printed(case: tuple[int, int], decimals: int) -> None:
    k, n = case
    assert k in printed(f"{k / n:.{decimals}f}", n).counts
    assert k in printed(f"{100 * k / n:.{decimals}f}%", n).counts


@given(st.integers(1, 40), st.integers(0, 100))
def test_possible_counts_are_those_that_print_alike(n: int, hundredths: int) -> None:
    """Against trying all counts, with halves rounded either way."""
    text = f"{hundredths / 100:.2f}"
    tried = [k for k in range(n + 1) if abs(100 * k - hundredths * n) * 2 <= n]
    assert list(printed(text, n).counts) == tried


def table(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_check_table(tmp_path: Path) -> None:
    path = table(tmp_path, "model,percent,n", "ESD,76.06,142", "UCE,79.60,142", "X,35%,10", "Y,61,500")
    esd, uce, x, y = check_table(path)
    assert list(esd.counts) == [108]
    assert list(uce.counts) == []  # 113 of 142 are 79.58%
    assert uce.nearest == ("113/142 = 79.58", "114/142 = 80.28")
    assert list(x.counts) == []
    assert not y.telling
    done = CliRunner().invoke(app, ["check-table", str(path)])
    assert isinstance(done.exception, VerificationError)
    assert "line 3 (UCE): 79.60 is impossible for n = 142" in done.output
    assert "percent" in CliRunner().invoke(app, ["check-table", "--help"]).output


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (("model,n", "a,3"), "either value or percent must be given, but neither is"),
        (("value,n", "0.5,x"), "n is 'x'"),
        (("value,n", "1.5,3"), "fraction from 0 to 1"),
        (("percent,n", "150,3"), "not a percentage from 0 to 100"),
        (("value,n", "-0.5,3"), "not a fraction"),
        (("value,n", "0.5"), "1 cell, but the header has 2"),
    ],
)
def test_tables_that_cannot_be_checked(tmp_path: Path, lines: tuple[str, ...], says: str) -> None:
    with pytest.raises(MetadataError, match=says):
        check_table(table(tmp_path, *lines))
    with pytest.raises(EmptyInputError):
        check_table(table(tmp_path, "value,n"))


NO_SHARE = "is not a percentage from 0 to 100"


@pytest.mark.parametrize(
    ("lines", "texts"),
    [
        (("model,n,percent", "a,500,95.2"), ["95.2"]),
        (("", "Method,# images,Value (%)", "a,500,95.2"), ["95.2"]),
        (("model;n;percent", "a;1 000;95,2"), ["95,2"]),
        (("model\tN\tPercent", "a\t1'000\t95.2%"), ["95.2%"]),
        (("model,n,percent", 'a,"1,000","95,2"'), ["95,2"]),
        (("model,n,value", "a,500.0,.952"), [".952"]),
        (("model,n,percent", "a,500,**95.2**", r"b,500,\textbf{95.2\%}", "c,500,<b>95.2</b>"), 3 * ["x"]),
        (("model,n,percent", "a,500,95·2", "b,500,$95.2$"), 2 * ["x"]),
    ],
)
def test_tables_as_people_type_them(tmp_path: Path, lines: tuple[str, ...], texts: list[str]) -> None:
    found = check_table(table(tmp_path, *lines))
    assert [len(p.counts) for p in found] == [1] * len(texts)
    assert {float(p.share) for p in found} == {0.952}
    assert (found.unnumbered, found.notes) == ([], [])


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (("model,n,percent", "a,500,95.2 ± 1.1"), f"{NO_SHARE}. A number with ± is a mean of several measurements"),
        (("model,n,percent", "a,500,95.2 [93.0; 97.1]"), f"{NO_SHARE}. The cell contains several numbers."),
        (("model,n,percent", "a,500,95.2*"), f"{NO_SHARE}. Write the number without a mark behind it."),
        (("model,n,value", "a,500,9.5e-1"), "Write the number without an exponent."),
        (("model,n,value", "a,1.000,0.95"), "n is '1.000'; it must be a whole number .* Write it without a point."),
        (("model,n,n,value", "a,500,10,0.95"), "the header contains 'n' twice"),
        (("model,images,prompts,value", "a,500,10,0.95"), "the columns 'images' and 'prompts' could both be 'n'"),
        (("a,500,0.95", "b,500,0.95"), "has the columns a, 500, 0.95, but not n"),
        (("model,n,UA", "a,500,0.95"), "The table has the columns model, n, ua, but must have a header"),
        (("| model | n | value |", "|---|---|---|", "| a | 500 | 0.95 |"), "is a Markdown table. Save it as CSV"),
        (("model,n,value", "a,500,0,95"), "If its numbers have decimal commas, enclose them in double quotes"),
        (("model,n,successes", "a,500,0.95"), "successes is '0.95'; it must be a whole number"),
    ],
)
def test_what_has_no_single_meaning_is_refused(tmp_path: Path, lines: tuple[str, ...], says: str) -> None:
    with pytest.raises(MetadataError, match=says):
        check_table(table(tmp_path, *lines))


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (("n,value", "100,0.35", "200,0.4"), "no number could be checked. 2 numbers could not be checked"),
        (("n,value", "10,0.30"), "the only number is possible."),
        (("n,value", "10,0.30", "20,0.50"), "all 2 numbers are possible."),
        (("n,value", "10,0.30", "900,0.50"), "the only number that could be checked is possible. 1 number could not"),
        (("n,value", "10,0.35", "20,0.50"), "1 of 2 numbers is impossible as printed."),
        (
            ("n,value", "10,0.35", "900,0.50", "20,0.50"),
            "1 of 2 numbers that could be checked is impossible as printed.",
        ),
        (("n,value", "10,0.35", "9,–", "9,"), "is impossible as printed. 2 lines have no number (lines 3, 4)."),
        (("n,successes,value", "500,475,0.95"), "the only number is possible."),
        (
            ("n,successes,value", "500,475,0.90"),
            "0.90 is impossible for 475 successes of n = 500; the nearest possible value is 475/500 = 0.95",
        ),
        (("n,successes", "400,475"), "successes is 475, which is more than n = 400"),
        (("n,images,value", "10,20,0.30"), "n is read from the column 'n'; the column 'images' is not used."),
        (
            ("n,percent", "500,0.2"),
            "all percentages are at most 1. If they are fractions of 1, name their column 'value'.",
        ),
    ],
)
def test_the_summary_agrees_with_the_lines(tmp_path: Path, lines: tuple[str, ...], says: str) -> None:
    done = CliRunner().invoke(app, ["check-table", str(table(tmp_path, *lines))])
    assert says in " ".join(f"{done.output} {done.exception}".split())
    assert isinstance(done.exception, VerificationError) is any(word in says for word in ("impossible", "more than n"))
    with pytest.raises(EmptyInputError, match="contains no numbers"):
        check_table(table(tmp_path, "n,value", "500,–"))


def test_verify_as_a_user_meets_it(card: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    consistent = runner.invoke(app, ["verify", str(card)]).output
    assert "the scorecard is consistent" in " ".join(consistent.split())
    (tmp_path / "card.json").write_text(card.read_text().replace('"n_prompts": 1', '"n_prompts": 2', 1))
    done = runner.invoke(app, ["verify", str(tmp_path / "card.json")])
    assert isinstance(done.exception, VerificationError)
    assert "content_sha256" in done.output
    assert json.loads(runner.invoke(app, ["verify", "--schema"]).output)["title"] == "Scorecard"


def test_a_forged_quality_is_listed_as_not_recomputed(tmp_path: Path) -> None:
    """Quality 0.57 became 0.95, the forget score followed, and the card was called consistent without a word."""
    unpack(tmp_path)
    own = read(tmp_path / "cards" / "esd.json")
    entry = own.scores["forget_score"]
    figures = entry.figures | {"quality": entry.figures["quality"].model_copy(update={"value": 0.95})}
    value = float(harmonic_mean([figures[name].value or 0.0 for name in ASPECTS]))
    headline = figures["forget_score"].model_copy(update={"value": value, "interval": (0.8, 0.99)})
    forged = entry.model_copy(
        update={"figures": figures | {"forget_score": headline}, "value": value, "interval": (0.8, 0.99)}
    )
    path = tmp_path / "forged.json"
    write(own.model_copy(update={"scores": own.scores | {"forget_score": forged}}), path)
    done = CliRunner().invoke(app, ["verify", str(path)], catch_exceptions=False)
    told = " ".join(done.output.split())
    assert "the scorecard is consistent" in told
    known, rest = told.split("recomputed from its lines: ")[1].split(" not recomputed: ")
    assert "attack_success_rate" in known
    assert "forget_score (forgetting, robustness," in known
    assert "frechet, forget_score (forget_score, quality_within," in rest
    assert " quality, n_unclear, interval for preservation," in rest
    assert rest.endswith("for a full check, use --images DIR and --original-images DIR")
    (answer,) = json.loads(CliRunner().invoke(app, ["verify", str(path), "--json"]).output)["result"]["files"]
    names = {name.partition(" (")[0] for name in answer["recomputed"] + answer["not_recomputed"]}
    assert names == own.scores.keys()
    assert answer["not_recomputed"][:3] == [f"frechet/{part}" for part in ("forget", "retain", "adversarial")]
    assert "Not recomputed from its lines: frechet, forget_score (forget_score" in checked(str(path), [])


def test_several_cards_and_folders_of_cards(card: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    (tmp_path / "cards").mkdir()
    (tmp_path / "cards/a.json").write_text(card.read_text())
    folder = runner.invoke(app, ["verify", str(tmp_path / "cards"), str(card)])
    assert " ".join(folder.output.split()).count("the scorecard is consistent") == 2
    assert "unlearning accuracy" in runner.invoke(app, ["compare", str(tmp_path / "cards")]).output
    (tmp_path / "cards/b.json").write_text(card.read_text().replace('"n_prompts": 1', '"n_prompts": 2', 1))
    done = runner.invoke(app, ["verify", str(tmp_path / "cards")])
    assert isinstance(done.exception, VerificationError)
    assert "b.json" in str(done.exception)
    assert "a.json" not in str(done.exception)
    images = ["--images", str(tmp_path), "--original-images", str(tmp_path)]
    assert "the folder of one model" in str(runner.invoke(app, ["verify", str(tmp_path / "cards"), *images]).exception)
    (tmp_path / "none").mkdir()
    for command in ("verify", "compare", "report", "families"):
        assert isinstance(runner.invoke(app, [command, str(tmp_path / "none")]).exception, EmptyInputError)


def test_evaluations_in_memory_are_sealed_too(folder: Path) -> None:
    evaluation = Evaluation(CONFIG, detector=f"labels:{folder / 'labels.csv'}")
    made = next(iter(evaluation.run(folder / "original", [folder / "unchanged"])))
    assert isinstance(made, Scorecard)
    assert made == read(folder / "cards" / "unchanged.json")
