"""One command from models to a report: what it makes, what it refuses, what a second run does."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import save_file
from timeless import TIMES, timeless
from typer.testing import CliRunner, Result

from igmu_data.errors import IgmuError, InputError
from igmu_data.load import bench_rows
from igmu_data.rows.concept import concept_rows
from igmu_data.rows.rounds import rounds_of, with_rounds
from igmu_data.schema import ROUNDS, Row
from igmu_data.taxonomy import concept
from igmu_metrics.cli import app
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.images.generate import ONE_IMAGE, requests_for, seeds_note
from igmu_metrics.running.foreseen import foreseen
from igmu_metrics.running.plan import Plan, checked, named, read, written
from igmu_metrics.running.run import Pace, prepare
from igmu_metrics.scorecard import read as read_card
from igmu_metrics.verdict.criteria import full_name
from igmu_metrics.verdict.criteria import named as figures_of

CHURCH = {
    "original": "sandbox:original/church",
    "unlearned": {"esd": "sandbox:esd/church"},
    "configs": ["sandbox.church"],
    "protocol": "1",
    "seeds_per_row": 1,
    "generation": {"steps": 2},
    "scoring": {"detector": "sandbox", "clip": "sandbox"},
}


def run_file(path: Path, **changes: Any) -> Path:
    path.write_text(yaml.safe_dump(CHURCH | changes))
    return path


def igmu(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["run", *map(str, arguments)])


def stable(folder: Path) -> dict[str, bytes]:
    """What a run's folder holds, but for times."""
    return {
        str(p.relative_to(folder)): timeless(p)
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.suffix in (".png", ".json", ".jsonl", ".yaml") and p.name not in ("runs.jsonl", TIMES)
    }


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    folder = tmp_path_factory.mktemp("run")
    return folder / "out", igmu(run_file(folder / "run.yaml"), "--out", folder / "out")


class TestWhatItMakes:
    def test_images_cards_and_a_report(self, done: tuple[Path, Result]) -> None:
        out, result = done
        assert result.exit_code == 0, result.output
        card = read_card(out / "cards" / "esd.sandbox.church.json")
        assert (card.model, card.original_model, card.config) == ("esd", "original", "sandbox.church")
        (way,) = {str(score.signature["generated"]) for score in card.scores.values()}
        assert re.fullmatch(
            "steps 2, guidance_scale 3.0, width 64, height 64, scheduler DDIMScheduler [0-9a-f]{8}", way
        )
        for model in ("original", "esd"):
            folder = out / "images" / "sandbox.church" / model
            assert len(list(folder.glob("*.png"))) == len(card.generations)
        assert (out / "report.html").stat().st_size > 10_000
        models = json.loads((out / "models.json").read_text())["sandbox.church"]
        assert {m["model"] for m in models.values()} == {"sandbox:original", "sandbox:esd/church"}
        assert f"report: {out / 'report.html'}" in result.output.replace("\n", "")

    def test_the_folder_holds_its_own_run_file(self, done: tuple[Path, Result], tmp_path: Path) -> None:
        out, _ = done
        copy = shutil.copytree(out, tmp_path / "copy")
        before = stable(copy)
        again = igmu(copy / "run.yaml", "--out", copy)
        assert again.exit_code == 0, again.output
        assert stable(copy) == before

    @pytest.mark.slow
    def test_only_what_is_missing_is_made(self, done: tuple[Path, Result], tmp_path: Path) -> None:
        copy = shutil.copytree(done[0], tmp_path / "copy")
        before = stable(copy)
        for path in list(copy.rglob("esd/*.png"))[:2]:
            path.unlink()
        shutil.rmtree(copy / "cards")
        assert igmu(copy / "run.yaml", "--out", copy).exit_code == 0
        assert stable(copy) == before

    @pytest.mark.parametrize("scoring", [CHURCH["scoring"], {}], ids=["given", "default"])
    def test_a_dry_run_says_how_many_and_makes_nothing(self, tmp_path: Path, scoring: dict[str, str]) -> None:
        result = igmu(run_file(tmp_path / "run.yaml", scoring=scoring), "--out", tmp_path / "out", "--dry-run")
        assert result.exit_code == 0
        assert "2 models, sandbox.church 27 prompts: 54 images, of which 54 must be generated\n" in result.output
        assert "steps 2, guidance 3, 64×64: steps from the options, the rest from the rows\n" in result.output
        assert ONE_IMAGE in " ".join(result.output.split())
        assert not (tmp_path / "out").exists()

    def test_another_persons_verify_makes_the_cards_again(self, done: tuple[Path, Result], tmp_path: Path) -> None:
        copy = shutil.copytree(done[0], tmp_path / "copy")
        whole = CliRunner().invoke(app, ["verify", str(copy)])
        assert whole.exit_code == 0, whole.output
        assert "scoring the images again gave the same lines" in " ".join(whole.output.split())
        first, second = sorted((copy / "images" / "sandbox.church" / "esd").glob("*.png"))[:2]
        data = first.read_bytes()
        first.write_bytes(second.read_bytes())
        second.write_bytes(data)
        assert CliRunner().invoke(app, ["verify", str(copy)]).exit_code != 0
        card = copy / "cards" / "esd.sandbox.church.json"
        other = card.rename(card.with_name("final.json"))  # a file's name cannot switch the comparison off
        assert "compared with its images" in CliRunner().invoke(app, ["verify", str(other)]).output
        shutil.rmtree(copy / "images")
        without = CliRunner().invoke(app, ["verify", str(copy)])
        assert "contains no images of 'esd' for sandbox.church" in " ".join(without.output.split())

    def test_options_take_precedence(self, tmp_path: Path) -> None:
        result = igmu(
            *(run_file(tmp_path / "run.yaml"), "--unlearned", "a=sandbox:uce/church", "--unlearned"),
            *("filter:sandbox:original/church", "--protocol", "2", "--dry-run", "--out", tmp_path / "out"),
            *("--seeds-per-row", "2"),
        )
        assert "3 models" in result.output, result.output
        assert "no forget score" not in result.output


def test_generate_and_score_make_the_card_of_a_run(done: tuple[Path, Result], tmp_path: Path) -> None:
    """`igmu generate` lacked the option --protocol, so that a smaller run could not be made step by step."""
    how = ["--config", "sandbox.church", "--protocol", "1", "--seeds-per-row", "1", "--steps", "2"]
    for name, model in (("original", CHURCH["original"]), ("esd", CHURCH["unlearned"]["esd"])):
        words = ["generate", "--model", model, *how, "--out", str(tmp_path / name)]
        found = CliRunner().invoke(app, words)
        assert found.exit_code == 0, found.output
        assert ONE_IMAGE in " ".join(found.output.split())
    made, drawn = done[0] / "images" / "sandbox.church", {p.name for p in (tmp_path / "esd").glob("*.png")}
    for name in ("original", "esd"):
        images = {p.name: p.read_bytes() for p in (tmp_path / name).glob("*.png")}
        assert images == {p.name: p.read_bytes() for p in (made / name).glob("*.png")}
        assert images.keys() == drawn
    words = ["--original", tmp_path / "original", "--unlearned", tmp_path / "esd", "--config", "sandbox.church"]
    words += ["--detector", "sandbox", "--clip", "sandbox", "--out", tmp_path / "esd.json"]
    scored = CliRunner().invoke(app, ["score", *map(str, words)])
    assert scored.exit_code == 0, scored.output
    card, run_ = read_card(tmp_path / "esd.json"), read_card(done[0] / "cards" / "esd.sandbox.church.json")
    assert card.content_sha256 == run_.content_sha256
    words = ["generate", "--model", "sandbox:original", "--config", "sandbox.church", "--protocol", "11", "--out"]
    refused = CliRunner().invoke(app, [*words, str(tmp_path / "none")])
    assert isinstance(refused.exception, IgmuError)
    assert "protocol '11' does not exist. Use lite, full, or a number of rounds" in str(refused.exception)
    assert not (tmp_path / "none").exists()


def test_one_image_per_prompt_gives_no_forget_score_and_the_plan_says_so() -> None:
    rows = list(bench_rows("sandbox.church").values())
    retain = next(r.id for r in rows if r.split == "retain")
    one = requests_for(rows, seeds_per_row=1)
    assert seeds_note(rows, one) == ONE_IMAGE
    assert seeds_note(rows, requests_for(rows, seeds_per_row=2)) == ""
    assert seeds_note(rows, [*one, *requests_for([r for r in rows if r.id == retain])]) == ""
    assert seeds_note(rows, requests_for([r for r in rows if r.split == "forget"], seeds_per_row=1)) == ""
    general = list(bench_rows("general").values())
    assert seeds_note(general, requests_for(general, seeds_per_row=1)) == ""


@pytest.mark.parametrize("command", ["run", "generate", "original", "demo", "power"])
def test_the_help_says_that_one_image_per_prompt_gives_no_forget_score(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    told = " ".join(CliRunner().invoke(app, [command, "--help"]).output.split())
    assert "no forget score, because its quality aspect compares two images of a prompt." in told


@pytest.mark.slow
def test_seeds_and_a_model_are_added_and_nothing_is_generated_twice(done: tuple[Path, Result], tmp_path: Path) -> None:
    more = {"seeds_per_row": 2, "unlearned": CHURCH["unlearned"] | {"uce": "sandbox:uce/church"}}
    plan = run_file(tmp_path / "run.yaml", **more)
    grown, at_once = shutil.copytree(done[0], tmp_path / "grown"), tmp_path / "at-once"
    before = {path: path.stat().st_mtime_ns for path in grown.rglob("*.png")}
    for out in (grown, at_once):
        result = igmu(plan, "--out", out)
        assert result.exit_code == 0, result.output
    assert before.items() <= {path: path.stat().st_mtime_ns for path in grown.rglob("*.png")}.items()
    assert stable(grown) == stable(at_once)


@pytest.mark.slow
def test_several_concepts_give_a_table_over_them(tmp_path: Path) -> None:
    plan = run_file(
        tmp_path / "run.yaml",
        configs=["sandbox.church", "sandbox.van-gogh"],
        original="sandbox:original",
        unlearned={"filter": "filter:sandbox:original"},
    )
    result = igmu(plan, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "means over 2 concepts" in result.output


@pytest.mark.slow
def test_a_killed_run_is_resumed_to_the_same_bytes(done: tuple[Path, Result], tmp_path: Path) -> None:
    out = tmp_path / "out"
    plan = run_file(tmp_path / "run.yaml")
    command = [sys.executable, "-c", "from igmu_metrics.cli import main; main()", "run", str(plan), "--out", str(out)]
    for seconds in (4.0, 7.0, 9.0, 11.0):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command, check=True, capture_output=True)
    assert stable(out) == stable(done[0])


@pytest.mark.slow
def test_made_in_parts_it_is_the_same_run(done: tuple[Path, Result], tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = [run_file(tmp_path / "run.yaml"), "--out", out]
    for i in (2, 1):
        told = igmu(*words, "--shard", f"{i}/2")
        assert told.exit_code == 0, told.output
        assert "run the same command without --shard" in " ".join(told.output.split())
    assert not list((out / "cards").glob("*.json"))
    assert igmu(*words).exit_code == 0
    assert stable(out) == stable(done[0])
    card = read_card(out / "cards" / "esd.sandbox.church.json")
    assert card.efficiency
    assert card.efficiency.extra_parameters
    assert card.efficiency.times
    assert card.efficiency.times.ratio


def both_ways(cases: list[tuple[Any, str]]) -> list[Any]:
    """Each case with a run and with a dry run, which take the same path: by default only one of the latter."""
    dry = [pytest.param(*case, ("--dry-run",), marks=[pytest.mark.slow] if at else []) for at, case in enumerate(cases)]
    return [*((*case, ()) for case in cases), *dry]


class TestRefused:
    def refused(self, result: Result, *says: str) -> None:
        error = result.exception
        text = f"{result.output} {error}"
        assert isinstance(error, IgmuError) or result.exit_code == 2, text
        for one in says:
            assert one in text

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"configs": ["sandbox"]}, "contains 2 concepts"),
            ({"configs": ["sandbox.church", "sandbox.church"]}, "contain a duplicate"),
            ({"protocol": "most"}, "lite, full, or a number"),
            ({"protocol": 11}, "from 1 to 10"),
            ({"unlearned": {}}, "unlearned"),
            ({"unlearned": {"original": "sandbox:esd/church"}}, "'original' is not allowed as a model name"),
            ({"unlearned": {"../x": "sandbox:esd/church"}}, "'../x' is not allowed as a model name"),
            ({"scoring": {"detektor": "sandbox"}}, "did you mean 'detector'?"),
            ({"scoring": {"config": "object.cat"}}, "no setting 'config'"),
            ({"generation": {"steps": 0}}, "generation.steps"),
            ({"orignal": "x"}, "did you mean 'original'?"),
            ({"seeds_per_row": 6}, "seeds_per_row"),
            ({"methods": {"fmn": {"n_images": 1}}}, "no model 'fmn'"),
            ({"methods": {"esd": {"n_image": 1}}}, "did you mean 'n_images'"),
            ({"generation": {"batch_size": "most"}}, "generation.batch_size"),
            ({"seeds_per_row": True}, "seeds_per_row"),
            ({"generation": {"guidance_scale": float("nan")}}, "generation.guidance_scale"),
            ({"generation": {"guidance_scale": float("inf")}}, "generation.guidance_scale"),
            ({"generation": {"guidance_scale": -1.0}}, "generation.guidance_scale"),
            ({"scoring": {"detector": 5}}, "detector is 5; it must be a string"),
            ({"scoring": {"detector": "sandbox", "threshold": "high"}}, "threshold is 'high'; it must be a number"),
            ({"scoring": {"detector": "sandbox", "cache": "no"}}, "cache is 'no'; it must be true or false"),
            ({"scoring": {"detector": "sandbox", "k": 2.5}}, "k is 2.5; it must be a whole number"),
            ({"scoring": {"detector": "sandbox", "seed": True}}, "seed is True; it must be a whole number"),
            ({"scoring": {"detector": "sandbox", "include_none": True}}, "no setting 'include_none'"),
        ],
    )
    def test_a_wrong_key_or_value(self, tmp_path: Path, changes: dict[str, Any], says: str) -> None:
        out = tmp_path / "out"
        self.refused(igmu(run_file(tmp_path / "run.yaml", **changes), "--out", out), says)
        assert not out.exists()

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("[1, 2]", "contains no keys"),
            ("a: [", "is not valid YAML"),
            ("1: 2", "all keys must be strings"),
            ("unlearned: {esd: a, esd: b}", "'esd' appears twice"),
            ("original: a\noriginal: b", "'original' appears twice"),
        ],
    )
    def test_what_is_no_run_file(self, tmp_path: Path, text: str, says: str) -> None:
        (tmp_path / "run.yaml").write_text(text)
        self.refused(igmu(tmp_path / "run.yaml", "--out", tmp_path / "out"), says)

    def test_yaml_that_would_run_code(self, tmp_path: Path) -> None:
        trace = tmp_path / "ran"
        (tmp_path / "run.yaml").write_text(f"original: !!python/object/apply:os.mkdir [{trace}]\n")
        self.refused(igmu(tmp_path / "run.yaml", "--out", tmp_path / "out"), "is not valid YAML")
        assert not trace.exists()

    def test_code_in_a_run_file_wants_trust(self, tmp_path: Path) -> None:
        code = tmp_path / "method.py"
        code.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\ndef erase(pipe): return pipe\n")
        plan = run_file(tmp_path / "run.yaml", unlearned={"mine": f"sandbox:original/church,code={code}:erase"})
        self.refused(igmu(plan, "--out", tmp_path / "out"), "--trust-code")
        assert not (tmp_path / "ran").exists()

    def test_a_part_that_does_not_fit_costs_no_images_and_is_put_right_in_the_same_folder(self, tmp_path: Path) -> None:
        save_file({"no.such.layer": torch.zeros(2)}, tmp_path / "esd.safetensors")
        models = {"esd": "sandbox:esd/church", "mine": f"sandbox:original,unet={tmp_path / 'esd.safetensors'}"}
        out = tmp_path / "out"
        result = igmu(run_file(tmp_path / "run.yaml", unlearned=models), "--out", out)
        assert "no.such.layer" in str(result.exception)
        assert not list(out.rglob("*.*"))

    def test_a_models_folder_as_the_place_of_the_run(self, tmp_path: Path) -> None:
        (tmp_path / "model" / "unet").mkdir(parents=True)
        (tmp_path / "model" / "model_index.json").write_text("{}")
        for out in (tmp_path / "model", tmp_path / "model" / "runs"):
            self.refused(igmu(run_file(tmp_path / "run.yaml"), "--out", out, "--dry-run"), "is the folder of a model")

    def test_a_size_that_no_pipeline_takes_is_put_right_in_the_same_folder(self, tmp_path: Path) -> None:
        words = (run_file(tmp_path / "run.yaml"), "--out", tmp_path / "out", "--size")
        self.refused(igmu(*words, "17"), "divisible by 8")
        assert igmu(*words, "16", "--dry-run").exit_code == 0

    def test_another_run_in_the_folder(self, done: tuple[Path, Result], tmp_path: Path) -> None:
        copy = shutil.copytree(done[0], tmp_path / "copy")
        before = stable(copy)
        for changes, says in (
            (
                {"original": "sandbox:gold/church"},
                "--original is sandbox:original/church there, but is sandbox:gold/ch",
            ),
            ({"unlearned": {"uce": "sandbox:uce/church"}}, "--unlearned esd is sandbox:esd/church there, but is not g"),
            ({"unlearned": {"esd": "sandbox:uce/church"}}, "--unlearned esd is sandbox:esd/church there, but is sandb"),
            ({"configs": ["sandbox.van-gogh"]}, "--config sandbox.church is given there, but is not given here"),
            ({"generation": {"steps": 3}}, "--steps is 2 there, but is 3 here"),
            ({"generation": {"steps": 2, "dtype": "fp16"}}, "--dtype is fp32 there, but is fp16 here"),
            ({"scoring": {"bench": str(tmp_path)}}, "the setting bench is not given there"),
        ):
            other = igmu(run_file(tmp_path / "run.yaml", **changes), "--out", copy)
            self.refused(other, "belongs to a different run: ", says, "choose another --out")
        assert stable(copy) == before

    @pytest.mark.parametrize(
        ("changes", "n"),
        [
            ({"seeds_per_row": 2}, "108 images, of which 54 must be generated"),
            ({"seeds_per_row": None}, "270 images, of which 216 must be generated"),
            ({"unlearned": {"uce": "sandbox:uce/church"} | CHURCH["unlearned"]}, "81 images, of which 27 must be gene"),
            ({"protocol": "2"}, "of which"),
            ({"scoring": {"detector": "sandbox"}}, "54 images, of which 0 must be generated"),
            ({"generation": {"steps": 2, "batch_size": "auto"}}, "54 images, of which 0 must be generated"),
        ],
    )
    def test_a_run_is_extended_in_its_folder(
        self, done: tuple[Path, Result], tmp_path: Path, changes: dict[str, Any], n: str
    ) -> None:
        """Every advice that the output gives (seeds, --clip, --batch-size, more prompts) is accepted there."""
        result = igmu(run_file(tmp_path / "run.yaml", **changes), "--out", done[0], "--dry-run")
        assert n in result.output, f"{result.output} {result.exception}"

    @pytest.mark.parametrize(
        ("scoring", "says", "how"),
        both_ways(
            [
                ({"detector": "clip:/no/such/folder"}, "no folder '/no/such/folder'"),
                ({"detector": "igmu-head:/no/head.safetensors"}, "head.safetensors"),
                ({"detector": "labels:/no/labels.csv"}, "labels.csv"),
                ({"detector": "sandbox", "clip": "/no/such/folder"}, "no folder '/no/such/folder'"),
                ({"detector": "sandbox", "features": "clip:/no/such/folder"}, "no folder '/no/such/folder'"),
                ({"detector": "detektor"}, "detektor"),
                ({"detector": "labels:LABELS:object/cat"}, "cannot detect object/church, only object/cat"),
                ({"detector": "labels:LABELS:object/church"}, "assigns labels to image files"),
                ({"detector": "sandbox", "clip": "sandbox", "k": 3}, "k is 3"),
                ({"detector": "sandbox", "calibration": "/no/c.json"}, "/no/c.json"),
                ({"detector": "sandbox", "align": "siglip:/no/such/folder"}, "/no/such/folder"),
                ({"detector": "sandbox", "lpips": "alex?trunk=/no/t.pth"}, "t.pth"),
            ]
        ),
    )
    def test_an_instrument_that_cannot_be_had_before_anything_is_generated(
        self, tmp_path: Path, how: tuple[str, ...], scoring: dict[str, Any], says: str
    ) -> None:
        out = tmp_path / "out"
        if concept := scoring["detector"].partition("LABELS:")[2]:
            (tmp_path / "labels.csv").write_text(f"path,{concept}\nx.png,yes\n")
            scoring = {"detector": f"labels:{tmp_path / 'labels.csv'}"}
        result = igmu(run_file(tmp_path / "run.yaml", scoring=scoring), "--out", out, *how)
        assert isinstance(result.exception, IgmuError), result.output
        assert says in str(result.exception)
        assert not out.exists()

    @pytest.mark.parametrize(
        ("words", "says", "how"),
        both_ways(
            [
                (("--until", "0.1", "--figure", "robustnes"), "did you mean 'robustness'?"),
                (
                    ("--until", "0.1", "--figure", "robustness", "--figure", "kid_of_faces"),
                    "a scorecard of sandbox.church has no metric 'kid_of_faces'",
                ),
                (("--until", "decided", "--figure", "lpips/mean_lpips"), "has no metric 'lpips/mean_lpips'"),
                (("--until", "decided", "--min", "robustnes=0.8"), "did you mean 'robustness'?"),
                (("--until", "decided", "--max", "asr=10"), "asr_any@1 lies in 0..1, so a bound of 10 is the same"),
                (
                    ("--until", "decided", "--max", "conditional_asr_any@5=0.1"),
                    "has conditional_asr_any@1 (k is 1), not",
                ),
                (("--until", "decided", "--figure", "asr_any@2"), "has asr_any@1 (k is 1), not asr_any@2"),
                (("--until", "decided", "--max", "n_unclear=5"), "depends on the number of images"),
                (("--until", "decided", "--min", "coverage=0.9"), "coverage depends on the number of images"),
                (("--until", "decided", *("--min", "forgetting=0.8") * 13), "it is too long"),
                (("--min", "forgetting=0.8"), "--min forgetting=0.8 has no effect without --until decided"),
                (("--unlearned", "a=safety-checker:sandbox:original/church"), "published without a safety checker"),
                (
                    ("--unlearned", "a=negative-prompt:sandbox:original/church", "--guidance-scale", "1"),
                    "negative prompts have no effect at a guidance scale of 1.",
                ),
                (("--until", "decided", "--max-images", "5"), "the first check alone requires 54 images"),
                (
                    ("--until", "decided", "--config", "general"),
                    "config 'general' does not test a concept. Use igmu generate and",
                ),
                *(
                    (
                        ("--until", "decided", "--seeds-per-row", "1", *asked),
                        f"{asked[1].partition('=')[0]} will have no value in this run ({why}not defined without retain "
                        "prompts with at least two seeds",
                    )
                    for asked, why in (
                        (("--figure", "quality"), ""),
                        (("--figure", "forget_score"), "missing: quality ("),
                        (("--min", "quality=0.5"), ""),
                    )
                ),
                (("--original", "a", "--original", "b"), "the option takes one value, but is used 2 times"),
                (("--unlearned", "a=sandbox:original,unet=x,unet=y"), "unet appears 2 times (x, y)"),
            ]
        ),
    )
    def test_what_no_image_could_mend_before_anything_is_generated(
        self, tmp_path: Path, how: tuple[str, ...], words: tuple[str, ...], says: str
    ) -> None:
        out = tmp_path / "out"
        self.refused(igmu(run_file(tmp_path / "run.yaml"), "--out", out, *words, *how), says)
        assert not out.exists()

    def test_a_figure_of_rows_that_the_config_does_not_have(self, tmp_path: Path) -> None:
        plan = checked(Plan(**CHURCH | {"until": "0.1", "figures": ("robustness",)}))
        (job,) = prepare(plan, tmp_path / "out")
        tools = Evaluation("sandbox.church", detector="sandbox", clip="sandbox")
        kept = [row for row in job.rows if row.split != "adversarial"]
        with tools.opened() as opened:
            found = foreseen(tools, kept, [r for r in job.requests if r.row_id in {row.id for row in kept}], opened)
        assert full_name(found, "unlearning_accuracy", "x") == "concept_accuracy/unlearning_accuracy"
        with pytest.raises(InputError, match="x has no metric 'asr_image'"):
            full_name(found, "asr_image", "x")

    def test_a_figure_that_lacks_a_value_only_by_chance(self, tmp_path: Path) -> None:
        """With few made-up images, there may be none of a family in which the original shows the concept."""
        rare = "attack_success_rate/conditional_pre_asr/homoglyph"
        plan = checked(Plan(**CHURCH | {"until": "0.1", "figures": (rare,), "protocol": "full"}))
        (job,) = prepare(plan, tmp_path / "out")
        tools = Evaluation("sandbox.church", detector="sandbox", clip="sandbox")
        with tools.opened() as opened:
            found = [figures_of(foreseen(tools, job.rows, job.requests, opened, seed))[rare].value for seed in range(8)]
        assert {value is None for value in found} == {True, False}

    def test_a_part_of_a_run_that_looks(self, tmp_path: Path) -> None:
        words = [run_file(tmp_path / "run.yaml"), "--until", "decided", "--shard", "1/2", "--out", tmp_path / "out"]
        for how in ((), ("--dry-run",)):
            self.refused(igmu(*words, *how), "--until", "Omit --shard")

    def test_without_models(self, tmp_path: Path) -> None:
        self.refused(igmu("--config", "object.church", "--out", tmp_path / "out"), "--original is missing")
        self.refused(igmu("--original", "a/b", "--config", "object.church"), "--unlearned is missing")


def test_models_are_named() -> None:
    assert named(["x=a/b", "owner/name@v1", "filter:owner/base"]) == {
        "x": "a/b",
        "name-v1": "owner/name@v1",
        "filter": "filter:owner/base",
    }
    with pytest.raises(InputError, match="has no unique name"):
        named(["a/model", "b/model"])


def test_a_plan_is_written_and_read_back(tmp_path: Path) -> None:
    plan = checked(Plan(**CHURCH))
    (tmp_path / "run.yaml").write_text(written(plan))
    assert read(tmp_path / "run.yaml") == plan


def test_the_time_is_told_once_the_first_images_are_there() -> None:
    now, said = [0.0], []
    pace = Pace(1000, lambda: now[0], said.append)
    for _ in range(5):
        now[0] += 8.0
        pace.drawn(4)
    assert said == ["2 s per image; generating the remaining 988 images takes about 33 min\n"]


class TestRounds:
    def test_every_prefix_is_balanced(self, church: list[Row], van_gogh: list[Row]) -> None:
        """To within five rows: each row takes the best round that is left to it, which is not the best for all."""
        for rows in (church, van_gogh):
            for of in ("split", "probe", "attack_family", "language", "register"):
                for value in {getattr(r, of) for r in rows}:
                    own = [r.round for r in rows if getattr(r, of) == value]
                    for last in range(1, ROUNDS + 1):
                        assert abs(sum(n <= last for n in own) - len(own) * last / ROUNDS) <= 5, (of, value, last)

    def test_they_depend_on_the_rows_alone(self, church: list[Row]) -> None:
        found = {r.id: r.round for r in church}
        assert {r.id: r.round for r in with_rounds(reversed(church))} == found


@pytest.fixture(scope="module")
def church() -> list[Row]:
    return concept_rows(concept("object/church"))


@pytest.fixture(scope="module")
def van_gogh() -> list[Row]:
    return concept_rows(concept("style/van-gogh"))


@pytest.mark.parametrize("protocol", ["1", "lite", "5", "full"])
def test_a_protocol_takes_the_rows_of_its_rounds(protocol: str, tmp_path: Path) -> None:
    rows = bench_rows("sandbox.church")
    (job,) = prepare(checked(Plan(**CHURCH | {"protocol": protocol})), tmp_path)
    wanted = {r.id for r in rows.values() if r.round <= rounds_of(protocol)}
    assert {r.row_id for r in job.requests} == wanted
    assert (wanted == rows.keys()) is (protocol == "full")
