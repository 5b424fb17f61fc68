"""The command line as a user meets it: in processes of its own, with what is printed where, and exit codes."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from drawn import copied, draw, image_file, metadata
from own_concept import written
from typer.testing import CliRunner

from igmu_data.errors import IgmuError
from igmu_data.load import bench_rows
from igmu_data.taxonomy import all_concepts, domains
from igmu_metrics import cli
from igmu_metrics.cli import app


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory, bench_folder: Path) -> Path:
    out = tmp_path_factory.mktemp("cli") / "images"
    draw(out, list(bench_rows("object.church", bench=bench_folder).values()))
    return out


def igmu(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from igmu_metrics.cli import main; main()", *map(str, arguments)]
    # Said, since readline, which pytest imports, sets COLUMNS where only processes of one's own see it.
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=os.environ)


def refused(done: subprocess.CompletedProcess[str], *says: str) -> None:
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    for text in says:
        assert text in done.stderr


def test_score_and_compare(drawn: Path, bench_folder: Path, tmp_path: Path) -> None:
    written(tmp_path / "own")
    done = igmu(
        "score",
        "--original",
        drawn / "original",
        "--unlearned",
        drawn / "forgetful",
        "--unlearned",
        drawn / "unchanged",
        "--config",
        "object.church",
        "--bench",
        bench_folder,
        "--detector",
        f"labels:{drawn / 'labels.csv'}",
        "--out",
        tmp_path / "cards",
        "--concepts",
        tmp_path / "own",
    )
    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()
    assert len(told) <= 15
    assert told[0] == "2 models on object.church, against original"
    command = shlex.split(told[-1].removeprefix("report: "))  # pip, igmu score, and this: a report
    # The rows of the bench may not be those that the package makes.
    assert command[-4:] == ["--bench", str(bench_folder), "--concepts", str(tmp_path / "own")]
    reported = igmu(*command[1:], "--out", tmp_path / "report.html")
    assert (command[:2], reported.returncode) == (["igmu", "report"], 0), reported.stderr
    assert len(reported.stdout.partition("note:")[0].splitlines()) <= 2
    assert (tmp_path / "report.html").stat().st_size > 10_000
    assert "forgetful: 1080 of 1080" in done.stderr.splitlines() or "forgetful: " in done.stderr  # progress
    cards = sorted((tmp_path / "cards").glob("*.json"))
    assert [c.name for c in cards] == ["forgetful.object.church.json", "unchanged.object.church.json"]
    assert json.loads(cards[0].read_text())["scores"]["concept_accuracy"]["value"] == 1.0
    compared = igmu("compare", "--verbose", *cards)
    assert compared.returncode == 0, compared.stderr
    told = re.split(r"\n(?! )", compared.stdout)  # a long line goes on indented
    said = {line.partition(" in ")[0]: " ".join(line.split()) for line in told if "unlearning accuracy:" in line}
    assert "in conditional unlearning accuracy: +1.00 (" in said["forgetful against original"]
    assert "raw +1.00 on 54 generations); significant at n = 27 prompts" in said["forgetful against original"]
    assert "raw +0.00 on 54 generations); not significant" in said["unchanged against original"]


def test_flat_layout(tmp_path: Path) -> None:
    lines = ["path,present"]
    for model, answer in (("original", "yes"), ("unlearned", "no")):
        for i in range(6):
            image_file(tmp_path / model / f"{i}.png")
            lines.append(f"{model}/{i}.png,{answer}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    out = tmp_path / "card.json"
    done = igmu(
        "score",
        "--original",
        tmp_path / "original",
        "--unlearned",
        tmp_path / "unlearned",
        "--config",
        "object.church",
        "--layout",
        "flat",
        "--detector",
        f"labels:{tmp_path / 'labels.csv'}",
        "--blank",
        "keep",  # these images are of one colour
        "--out",
        out,
        "--json",
    )
    assert done.returncode == 0, done.stderr
    assert "unlearned: 6 of 6" in done.stderr.splitlines()
    (told,) = json.loads(done.stdout)["result"]["cards"]
    assert (told["file"], told["word"]) == (str(out), "not measured")
    figures = json.loads(out.read_text())["scores"]["concept_accuracy"]["figures"]
    assert figures["conditional_unlearning_accuracy"]["value"] == 1.0
    assert figures["conditional_unlearning_accuracy"]["n_generations"] == 6


def test_nothing_is_written_when_scoring_fails(drawn: Path, bench_folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    image_file(broken / "x.png")
    metadata(broken, [{"file_name": "x.png", "id": "0" * 16, "seed": 1}])
    done = igmu(
        "score",
        "--original",
        drawn / "original",
        "--unlearned",
        broken,
        "--config",
        "object.church",
        "--bench",
        bench_folder,
        "--detector",
        f"labels:{drawn / 'labels.csv'}",
        "--out",
        tmp_path / "card.json",
    )
    refused(done, "UnknownIdError", "0" * 16, "line 1")
    assert not (tmp_path / "card.json").exists()


def test_unwritable_output_is_found_out_first(drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = igmu(
        "score",
        "--original",
        drawn / "original",
        "--unlearned",
        drawn / "forgetful",
        "--config",
        "object.church",
        "--detector",
        "labels:nothing.csv",
        "--out",
        tmp_path / "file" / "card.json",
    )
    refused(done, "OutputError", "file", "--out")


def test_typing_errors_get_a_suggestion(tmp_path: Path) -> None:
    refused(igmu("concepts", "object/chruch"), "UnknownConceptError", "did you mean 'object/church'?", "igmu concepts")
    wrong = igmu("score", "--original", tmp_path, "--unlearned", tmp_path, "--config", "object.chruch")
    refused(wrong, "UnknownConfigError", "did you mean 'object.church'?")


_MODELS = ["--original", "sandbox:original", "--unlearned", "sandbox:esd/church"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["generate", "--model", "sandbx:esd/church"], "did you mean 'sandbox:esd/church'?"),
        (["generate", "--model", "filtr:sandbox:original"], "did you mean 'filter:sandbox:original'?"),
        (["generate", "--model", "nothing:x"], "'nothing' must be sandbox or filter"),
        (["generate", "--model", "sandbox:edd/church"], "did you mean 'esd'?"),
        (["generate", "--model", "esd/church"], "Did you mean 'sandbox:esd/church'?"),
        (["run", *_MODELS, "--clip", "sandbx"], "did you mean 'sandbox'?"),
        (["run", *_MODELS, "--detector", "sandbx"], "did you mean 'sandbox'?"),
        (["run", *_MODELS, "--detector", "clip"], "Choose others with --detector and --clip of 'igmu score'"),
        (["run", *_MODELS, "--config", "sandbox.chruch"], "did you mean 'sandbox.church'?"),
        (["run", *_MODELS, "--config", "sandbox.dog"], "are sandbox, sandbox.church, sandbox.van-gogh"),
    ],
)
def test_wrong_names_of_the_sandbox_get_a_suggestion(
    words: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    config = [] if "--config" in words else ["--config", "sandbox.church"]
    done = CliRunner().invoke(app, [*words, *config, "--out", str(tmp_path / "out")])
    assert isinstance(done.exception, IgmuError)
    assert says in str(done.exception)


def test_usage_errors_exit_with_2() -> None:
    assert igmu("score").returncode == 2
    assert igmu("nonsense").returncode == 2


def test_listings() -> None:
    runner = CliRunner()
    listed = runner.invoke(app, ["concepts"])
    assert listed.exit_code == 0
    assert "style.van-gogh" in listed.stdout
    shown = " ".join(runner.invoke(app, ["concepts", "object/church"]).stdout.replace("│", " ").split())
    for text in (
        "mosque (object/mosque)",
        "object/bear",
        "a village pump",
        "a place of worship",
        "forget/composition 48",
    ):
        assert text in shown
    assert re.search(r"attacks by family .*leetspeak \d+.* rows by register sentence \d+", shown)
    assert "1853-1890" in runner.invoke(app, ["concepts", "style/van-gogh"]).stdout
    for domain in domains():
        names = [c.id for c in all_concepts().values() if c.domain == domain]
        own = runner.invoke(app, ["concepts", domain])
        assert all(name in own.stdout for name in names)
        assert runner.invoke(app, ["concepts", names[0]]).exit_code == 0
    assert "sandbox.van-gogh" in runner.invoke(app, ["concepts", "sandbox"]).stdout
    for name in ("sandbox.church", "sandbox/church"):
        task = " ".join(runner.invoke(app, ["concepts", name]).stdout.replace("│", " ").split())
        assert "concept object/church" in task
        assert "near castle, lighthouse" in task
        assert "forget/direct 56" in task
    for name, message in (("sandbox.chruch", "did you mean 'sandbox.church'"), ("general", r"load_bench\('general'\)")):
        with pytest.raises(IgmuError, match=message):
            runner.invoke(app, ["concepts", name], catch_exceptions=False)
    family = runner.invoke(app, ["concepts", "object.structure"]).stdout
    assert "object/church" in family
    assert "object/cat" not in family
    metrics = runner.invoke(app, ["metrics"])
    for name in ("concept_accuracy", "forget_score", "igmu-head", "dinov2"):
        assert name in metrics.stdout
    assert runner.invoke(app, ["--version"]).stdout.strip().count(".") == 2


def test_validate(bench_folder: Path, tmp_path: Path) -> None:
    good = igmu("validate", bench_folder.parent / "bench-nsfw")
    assert good.returncode == 0, good.stdout + good.stderr
    assert "no problems" in good.stdout
    refused(igmu("validate", tmp_path), "CorpusError", "README.md")


def test_generate_and_score(bench_folder: Path, tmp_path: Path) -> None:
    """In this process: importing diffusers in each of three would take most of a minute."""
    from tiny import tiny_clip
    from tiny_diffusion import tiny_pipeline

    model, corpus = tiny_pipeline(tmp_path / "model"), ["--config", "object.church", "--bench", str(bench_folder)]
    small = ["--split", "forget", "--seeds-per-row", "1", "--steps", "1", "--size", "16", "--device", "cpu"]
    draw_again = ["generate", "--model", str(model), *corpus, "--out", str(tmp_path / "drawn"), *small]
    runner = CliRunner()
    first, second = runner.invoke(app, draw_again), runner.invoke(app, draw_again)
    assert "176 images, 176 of them new" in " ".join(first.stdout.split()), first.output
    assert "176 images, 0 of them new" in " ".join(second.stdout.split()), second.output
    assert (
        "steps 1, guidance 7.5, 16×16: steps and size from the options, the rest from StableDiffusionPipeline's own"
        in first.stderr
    )
    folders = ["--original", str(tmp_path / "drawn"), "--unlearned", str(copied(tmp_path / "drawn", tmp_path / "same"))]
    detector = ["--detector", f"clip:{tiny_clip(tmp_path / 'clip')}", "--device", "cpu"]
    done = runner.invoke(app, ["score", *folders, *corpus, *detector, "--out", str(tmp_path / "card.json")])
    assert done.exit_code == 0, done.output
    scores = json.loads((tmp_path / "card.json").read_text())["scores"]
    (way,) = {score["signature"]["generated"] for score in scores.values()}
    assert re.fullmatch("steps 1, guidance_scale 7.5, width 16, height 16, scheduler DDIMScheduler [0-9a-f]{8}", way)
    found = {part: scores[f"clip_alignment/{part}"]["figures"] for part in ("forget", "negation", "composition")}
    assert [figures["cosine"]["n_generations"] for figures in found.values()] == [80, 48, 48]
    assert all(figures["csdr"]["value"] == 0 for figures in found.values())


def test_generate_refuses_an_unknown_split(bench_folder: Path, tmp_path: Path) -> None:
    done = igmu(
        "generate",
        "--model",
        tmp_path,
        "--config",
        "object.church",
        "--bench",
        bench_folder,
        "--out",
        tmp_path / "out",
        "--split",
        "forgot",
    )
    refused(done, "forgot", "forget")


def test_every_module_is_one_command() -> None:
    folder = Path(cli.__file__).parent
    modules = {p.stem.replace("_", "-") for p in folder.glob("*.py") if not p.stem.startswith("_")}
    assert set(typer.main.get_command(app).commands) == modules  # type: ignore[attr-defined]


def test_an_unbuffered_stream_stays_one() -> None:
    """What a process said is there, however it ends."""
    script = "import os, sys\nfrom igmu_metrics.cli import main\ntry:\n main()\nexcept SystemExit:\n os._exit(2)"
    command = [sys.executable, "-c", script, "no-such-command"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    assert done.returncode == 2
    assert "no-such-command" in done.stderr
