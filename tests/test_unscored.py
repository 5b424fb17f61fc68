"""What cannot be scored is said: models without a common image before any work, and metrics that a card lacks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from drawn import copied, draw_few, read_metadata
from typer.testing import CliRunner

from igmu_data.errors import EmptyInputError, InputError, PluginError
from igmu_data.load import bench_rows
from igmu_metrics import registry
from igmu_metrics.api import score
from igmu_metrics.cli import app
from igmu_metrics.evaluation import Evaluation, Instruments, scores
from igmu_metrics.generations import Generations
from igmu_metrics.images.notes import require_pairs
from igmu_metrics.metrics._contract import UNSCORED
from igmu_metrics.networks.instruments import InstrumentInfo
from igmu_metrics.scale import shards
from igmu_metrics.testing import ConformanceError, check_metric, sample_table

CONFIG = "sandbox.church"
METRIC = """
import numpy as np
from igmu_metrics.contract import Estimate, MetricInfo, Result

INFO = MetricInfo(name="mine", version=1, title="Mine", summary="Of a test.", headline="mine", direction="higher",
                  range=(0.0, 1.0), references=(), limits="Of a test.", parts={"forget": ("forget",)})
NEEDS = ("id", "present")


def score(table, *, seed=0, resamples=2000):
    clear = ~np.ma.getmaskarray(table["present"])
    if not clear.any():
        return None
    figure = Estimate(float(np.ma.getdata(table["present"])[clear].mean()), None, len(set(table["id"][clear])),
                      int(clear.sum()))
    return Result(figure, {"mine": figure})
"""
Made = Callable[..., Path]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    draw_few(folder, list(bench_rows(CONFIG).values()))
    return folder


@pytest.fixture(autouse=True)
def _nothing_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, empty in (("_files", {}), ("_tried", {}), ("_told", set()), ("_failed", {})):
        monkeypatch.setattr(registry, name, empty)
    monkeypatch.setattr(registry, "_installed", lambda: ())


@pytest.fixture
def made(tmp_path: Path) -> Made:
    def make(*edits: tuple[str, str]) -> Path:
        text = METRIC
        for old, new in edits:
            assert old in text
            text = text.replace(old, new, 1)
        (tmp_path / "mine.py").write_text(text)
        return tmp_path / "mine.py"

    return make


def evaluation(drawn: Path, **more: Any) -> Evaluation:
    return Evaluation(CONFIG, detector=f"labels:{drawn / 'labels.csv'}", cache=False, **more)


def igmu(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


# --- nothing in common ----------------------------------------------------------------------------------------------


@pytest.fixture
def seeded(drawn: Path, tmp_path: Path) -> Path:
    """A copy of a model whose metadata has seed 42 for one image of each row."""
    folder = copied(drawn / "forgetful", tmp_path / "seeded")
    first = {line["id"]: line for line in reversed(read_metadata(folder))}
    for image in {p.relative_to(folder).as_posix() for p in folder.rglob("*.png")} - {
        line["file_name"] for line in first.values()
    }:
        (folder / image).unlink()
    lines = [json.dumps({**line, "seed": 42}) + "\n" for line in first.values()]
    (folder / "metadata.jsonl").write_text("".join(lines))
    return folder


def by_score(drawn: Path, folder: Path, tmp_path: Path) -> Any:
    words = ("--original", drawn / "original", "--unlearned", folder, "--config", CONFIG, "--on-error", "skip")
    done = igmu("score", *words, "--detector", f"labels:{drawn / 'labels.csv'}", "--out", tmp_path / "card.json")
    assert not (tmp_path / "card.json").exists()
    raise done.exception


def by_shard(drawn: Path, folder: Path, tmp_path: Path) -> Any:
    words = ("--original", drawn / "original", "--unlearned", folder, "--config", CONFIG, "--on-error", "skip")
    how = ("--detector", f"labels:{drawn / 'labels.csv'}", "--shard", "1/2", "--out", tmp_path / "parts")
    raise igmu("score", *words, *how).exception


def by_evaluation(drawn: Path, folder: Path, tmp_path: Path) -> Any:
    return list(evaluation(drawn, on_error="skip").run(drawn / "original", [folder]))


def by_look(drawn: Path, folder: Path, tmp_path: Path) -> Any:
    return shards.look(evaluation(drawn, on_error="skip"), drawn / "original", [folder], (1, 2), tmp_path / "parts")


@pytest.mark.parametrize("entry", [by_score, by_shard, by_evaluation, by_look])
def test_a_model_whose_seeds_are_all_wrong_is_refused_before_any_work(
    entry: Callable[..., Any], drawn: Path, seeded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It used to leave a card without scores, which every other command refused."""

    def work(*arguments: Any, **options: Any) -> Any:
        raise AssertionError("a network was loaded, or an image was read")

    for name in ("opened", "measured"):
        monkeypatch.setattr(Evaluation, name, work)
    with pytest.raises(EmptyInputError) as caught:
        entry(drawn, seeded, tmp_path)
    told = str(caught.value)
    n, row = len(read_metadata(seeded)), bench_rows(CONFIG)[min(line["id"] for line in read_metadata(seeded))]
    assert str(seeded) in told
    assert f"none of the unlearned model's {n} images has a seed of the original's images" in told
    assert (
        f"row {row.id!r} has seed 42, but the original's images have seed {', '.join(map(str, sorted(row.seeds[:2])))}"
        in told
    )
    assert told.endswith("Generate both with the same seeds, or correct the seeds in the metadata.")


def test_matched_images_with_other_seeds_are_refused_too(drawn: Path, seeded: Path, tmp_path: Path) -> None:
    lines, rows = read_metadata(seeded), bench_rows(CONFIG)
    table = ["file,prompt,seed", *(f'{line["file_name"]},"{rows[line["id"]].prompt}",42' for line in lines)]
    (seeded / "prompts.csv").write_text("\n".join(table) + "\n")
    done = igmu("match", seeded, "--config", CONFIG, "--replace", "--trust-table")
    assert done.exit_code == 0, done.output
    assert "can be scored only if the other model's images have the same seeds" in " ".join(done.output.split())
    with pytest.raises(EmptyInputError, match="has seed 42"):
        by_evaluation(drawn, seeded, tmp_path)


def test_other_rows_and_no_images_are_said(tmp_path: Path) -> None:
    one, other = (Generations({"id": [row, row], "seed": [1, 2], "split": ["forget"] * 2}) for row in "ab")
    with pytest.raises(EmptyInputError, match=r"has a row of the original's images: it has rows such as 'a', .* 'b'"):
        require_pairs(one, other, skip=True)
    with pytest.raises(EmptyInputError, match="has a row of the original's images"):  # not to skip, which is refused
        require_pairs(one, other)
    for who, pair in (("unlearned", (one.where([]), other)), ("original", (one, other.where([])))):
        with pytest.raises(EmptyInputError, match=f"the {who} model has no image of the prompts and seeds"):
            require_pairs(*pair, skip=True)
    with pytest.raises(EmptyInputError, match="images is empty"):
        score("attack_success_rate", images=[], row_ids=[], original_images=[], config=CONFIG)


@pytest.mark.parametrize("model", ["original", "forgetful"])
def test_images_of_which_none_can_be_read_are_no_card(model: str, drawn: Path, tmp_path: Path) -> None:
    both_models = copied(drawn, tmp_path / "images")
    for image in (both_models / model).rglob("*.png"):
        image.write_bytes(b"no image")
    with pytest.raises(
        EmptyInputError, match=r"no pair of images can be scored; the first of \d+ reasons is: (orig|unl)"
    ):
        by_evaluation(both_models, both_models / "forgetful", tmp_path)
    labels = f"labels:{both_models / 'labels.csv'}"
    for part in ("1/2", "2/2"):  # a part may have no readable image; the whole may not
        words = ("--original", both_models / "original", "--unlearned", both_models / "forgetful", "--config", CONFIG)
        done = igmu(
            "score", *words, "--on-error", "skip", "--detector", labels, "--shard", part, "--out", tmp_path / "t"
        )
        assert done.exit_code == 0, done.output
    done = igmu("merge", tmp_path / "t", "--out", tmp_path / "cards")
    assert isinstance(done.exception, EmptyInputError)
    assert not list((tmp_path / "cards").glob("*.json"))


def test_a_table_on_which_no_metric_says_anything_is_no_card(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("igmu_metrics.evaluation.scores", lambda *arguments, **options: {})
    with pytest.raises(EmptyInputError, match=r"no metric can be scored on the \d+ pairs .* Use another detector"):
        by_evaluation(drawn, drawn / "forgetful", drawn)


# --- metrics that a card lacks --------------------------------------------------------------------------------------

LEFT_OUT = (
    ((("NEEDS = (", 'NEEDS = ("lpips", "alignment_original", '),),
     "it requires the columns lpips, alignment_original, which this evaluation did not measure. Set --clip and --l"),
    ((("NEEDS = (", 'NEEDS = ("answered", '),),
     "it requires the column answered, which this evaluation did not measure. Leave the metric out, or use images for"),
    ((('("forget",)}', '("adversarial",)}'),), "no image belongs to its parts, or score() returned None"),
    ((("    clear =", "    return None\n    clear ="),), "no image belongs to its parts, or score() returned None"),
    ((("    clear =", "    table['nothing']\n    clear ="),), "KeyError: 'nothing'"),
    ((('headline="mine"', 'headline="main"'),), "INFO.headline is 'main', which is not one of the figures mine"),
    ((("figure = Estimate(", "figure = Estimate(1.7 + "),), "is not in INFO.range, 0 to 1"),
    ((("range=(0.0, 1.0)", "range=(2.0, 3.0)"),), "is not in INFO.range, 2 to 3"),
    (((".mean()), None,", ".mean()), (-1.0, 2.0),"),), "the headline's interval (-1.0, 2.0) exceeds INFO.range"),
    ((("int(clear.sum()))", "10**6)"),), "1000000 generations, but the table has only 4 generations of each of two"),
)  # fmt: skip


@pytest.mark.parametrize(("edits", "says"), LEFT_OUT, ids=[says[:40] for _, says in LEFT_OUT])
def test_a_metric_that_a_card_lacks_is_named_with_the_reason(
    edits: tuple[tuple[str, str], ...], says: str, made: Made, drawn: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """On the card, and so in the report, the terminal and --json; and on stderr."""
    registry.load_file(made(*edits))
    (card,) = evaluation(drawn).run(drawn / "original", [drawn / "forgetful"])
    assert not any(name.startswith("mine") for name in card.scores)
    (note,) = [note for note in card.notes if note.startswith(UNSCORED)]
    assert re.match(rf"{UNSCORED}plugin mine of mine\.py sha256:\w+: ", note)
    assert says in note
    assert f"skipped {note.removeprefix(UNSCORED)}" in caplog.text


def test_commands_say_it_and_images_still_confirm_the_card(
    made: Made, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")  # paths of tests are long, and notes come after them
    plugin, out = made(("NEEDS = (", 'NEEDS = ("lpips", ')), tmp_path / "card.json"
    words = ("--original", drawn / "original", "--unlearned", drawn / "forgetful", "--config", CONFIG)
    labels = ("--detector", f"labels:{drawn / 'labels.csv'}", "--no-cache")
    done = igmu("score", *words, *labels, "--out", out, "--plugin", plugin)
    assert done.exit_code == 0, done.output
    assert "note: not scored: plugin mine of mine.py" in " ".join(done.output.split())
    verbose = igmu("score", *words, *labels, "--plugin", plugin, "--verbose")
    assert "it requires the column lpips" in " ".join(verbose.output.split())
    told = json.loads(igmu("score", *words, *labels, "--plugin", plugin, "--json").stdout)
    assert any("it requires the column lpips" in note for note in told["result"]["cards"][0]["notes"])
    registry._files.clear()
    folders = ("--images", drawn / "forgetful", "--original-images", drawn / "original")
    again = igmu("verify", out, *folders, "--detector", f"labels:{drawn / 'labels.csv'}")
    assert again.exit_code == 0, again.output


def test_the_same_is_an_error_of_a_metric_that_was_asked_for(made: Made, drawn: Path) -> None:
    """In Python, by its inputs and by images of rows; and in the author's own check."""
    registry.load_file(made((("figure = Estimate("), "figure = Estimate(1.7 + ")))
    with pytest.raises(PluginError, match=r"plugin mine of mine\.py sha256:\w+: .* not in INFO.range"):
        score("mine", id=["a"], present=[True])
    with pytest.raises(ConformanceError, match=r"not in INFO\.range"):
        check_metric(registry.module("metrics", "mine"))
    lines = [line for line in read_metadata(drawn / "forgetful") if line["file_name"].startswith("forget/")]
    given = {
        "images": [drawn / "forgetful" / line["file_name"] for line in lines],
        "original_images": [drawn / "original" / line["file_name"] for line in lines],
        "row_ids": [line["id"] for line in lines],
    }
    how = {"config": CONFIG, "detector": f"labels:{drawn / 'labels.csv'}"}
    with pytest.raises(InputError, match=r"plugin mine of mine\.py .* not in INFO.range"):
        score("mine", **given, **how)
    with pytest.raises(InputError, match=r"lpips cannot be computed: it requires the column lpips, .* Set --lpips\."):
        score("lpips", **given, **how)


def test_an_error_of_igmus_statistics_costs_the_plugin_alone(made: Made, drawn: Path) -> None:
    """An interval of too few prompts, which was -34 million to 1.13 on a card."""
    body = "    from igmu_metrics.statistics import studentized\n    studentized(np.ones((5, 2)))\n    clear ="
    registry.load_file(made(("    clear =", body)))
    (card,) = evaluation(drawn).run(drawn / "original", [drawn / "forgetful"])
    assert "concept_accuracy" in card.scores
    assert any("plugin mine of mine.py" in note and "fewer than 10 prompts (5)" in note for note in card.notes)


class Reader:
    """A CLIP."""

    info = InstrumentInfo("reader", "1", "none")


def test_an_own_metric_is_named_if_its_network_was_loaded_in_vain() -> None:
    table = sample_table().without("alignment", "alignment_original")
    for clip, says in ((None, set()), (Reader(), {"clip_alignment"})):
        unscored: dict[str, str] = {}
        tools = Instruments("object/church", Reader(), clip=clip)  # type: ignore[arg-type]
        scores(table, tools, fields={}, resamples=20, unscored=unscored)
        assert set(unscored) == says
    assert unscored["clip_alignment"] == (
        "metric clip_alignment: it requires the column alignment, which this evaluation did not measure. Use images "
        "whose prompts are known (for the layout flat: 'igmu score --prompt')."
    )
