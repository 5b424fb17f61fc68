"""Plugins as their authors write them: every example of the guide runs, from a file and from an installed package."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import sysconfig
import types
import venv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn import draw_few
from typer.testing import CliRunner

from igmu_data.errors import InputError, PluginError, UnknownDetectorError
from igmu_data.load import bench_rows
from igmu_metrics import registry
from igmu_metrics.api import list_metrics, score
from igmu_metrics.cli import app
from igmu_metrics.contract import Estimate, Result, Signature, faults
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.generations import Generations
from igmu_metrics.networks.instruments import feature_key
from igmu_metrics.report import terminal
from igmu_metrics.scorecard import fingerprint, read, write
from igmu_metrics.testing import (
    ConformanceError,
    check_backbone,
    check_detector,
    check_metric,
    sample_images,
    sample_table,
)
from igmu_metrics.verdict.export import model_index, table
from igmu_metrics.verdict.recompute import figures, notes
from igmu_metrics.verdict.verify import verify

ROOT = Path(__file__).resolve().parents[1]
GUIDE = (ROOT / "docs" / "guides" / "plugins.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r'^```\w+ title="([\w.]+)"\n(.*?)^```', GUIDE, re.MULTILINE | re.DOTALL))
CONFIG = "sandbox.church"
SCORE = "agreement/retain"


@pytest.fixture(autouse=True)
def _nothing_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins with igmu's own names."""
    monkeypatch.setattr(registry, "_files", {})
    monkeypatch.setattr(registry, "_tried", {})
    monkeypatch.setattr(registry, "_told", set())
    monkeypatch.setattr(registry, "_failed", {})
    monkeypatch.setattr(registry, "_installed", lambda: ())


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The guide's files."""
    folder = tmp_path_factory.mktemp("examples")
    for name, text in EXAMPLES.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of two prompts to forget and two to retain."""
    folder = tmp_path_factory.mktemp("drawn")
    draw_few(folder, list(bench_rows(CONFIG).values()))
    return folder


@pytest.fixture(scope="module")
def card(examples: Path, drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A card with the metric, detector and backbone of files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_files", {})
        patch.setattr(registry, "_tried", {})
        patch.setattr(registry, "_installed", lambda: ())
        for name in ("agreement.py", "bright.py", "colours.py"):
            registry.load_file(examples / name)
        evaluation = Evaluation(CONFIG, detector="bright", threshold=0.55, features="colours", cache=False)
        (made,) = evaluation.run(drawn / "original", [drawn / "forgetful"])
    path = tmp_path_factory.mktemp("cards") / "forgetful.json"
    write(made, path)
    return path


def written(folder: Path, text: str, name: str = "mine.py") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def changed(path: Path, out: Path, score: str, figure: str, **values: Any) -> Path:
    """The card with other numbers in a figure and in the score, and with the right hash."""
    data = json.loads(path.read_text())
    data["scores"][score]["figures"][figure] |= values
    data["scores"][score] |= values
    data["content_sha256"] = fingerprint(json.dumps(data))
    out.write_text(json.dumps(data), encoding="utf-8")
    return out


# The guide


def test_the_guide_has_one_example_of_each() -> None:
    assert set(EXAMPLES) == {
        *("agreement.py", "bright.py", "colours.py", "babble.py"),
        *("pyproject.toml", "test_agreement.py"),
    }


@pytest.mark.parametrize(
    ("file", "group"),
    [
        ("agreement.py", "metrics"),
        ("bright.py", "detectors"),
        ("colours.py", "backbones"),
        ("babble.py", "attacks"),
    ],
)
def test_what_a_file_is_is_told_by_what_it_has(examples: Path, file: str, group: str) -> None:
    found = registry.load_file(examples / file)
    assert (found.group, found.name) == (group, file.removesuffix(".py"))
    assert found.name in registry.names(group)
    assert re.fullmatch(rf"{file} sha256:[0-9a-f]{{16}}", registry.origin(group, found.name))
    assert registry.load_file(examples / file) == found  # twice is once
    assert registry.files() == ((examples / file).resolve(),)
    assert [registry.origin(group, name) for name in registry.own(group)] == [""] * len(registry.own(group))


def test_the_examples_are_sound(examples: Path) -> None:
    for file, check in (("agreement.py", check_metric), ("bright.py", check_detector), ("colours.py", check_backbone)):
        found = registry.load_file(examples / file)
        check(registry.module(found.group, found.name))


def test_the_attack_attacks(examples: Path) -> None:
    import torch

    from igmu_metrics.attacks import Goal

    module = registry.module("attacks", registry.load_file(examples / "babble.py").name)
    goal = Goal("a church", "object", [], [], [])
    found = [module.search(None, None, goal, module.INFO.budget, torch.Generator().manual_seed(1), int) for _ in "12"]
    assert found[0] == found[1]
    assert len(found[0].prompt.removeprefix("a church ").split()) == 3


# On the card


def test_a_score_says_whose_it_is(card: Path, examples: Path) -> None:
    scores = read(card).scores
    signature = scores[SCORE].signature
    assert signature["metric.package"].startswith("agreement.py sha256:")
    assert signature["detector"] == "bright"
    assert signature["detector.package"].startswith("bright.py sha256:")
    assert scores["frechet/retain"].signature["features.package"].startswith("colours.py sha256:")
    assert "metric.package" not in scores["concept_accuracy"].signature
    (provenance,) = [p for p in [read(card).provenance] if p]
    assert "--plugin agreement.py --plugin bright.py --plugin colours.py" in provenance.command
    assert str(examples) not in card.read_text()


def test_other_code_is_another_signature_and_another_key_of_the_cache(examples: Path, tmp_path: Path) -> None:
    keys, signatures = [], []
    for text in (EXAMPLES["colours.py"], EXAMPLES["colours.py"] + "\n# changed\n"):
        registry._files.clear()
        registry.load_file(written(tmp_path, text, "colours.py"))
        backbone = registry.backbone("colours")
        keys.append(feature_key(backbone))
        signatures.append(Signature(backbone.info.signature("features")))
    assert keys[0] != keys[1]
    assert set(signatures[0].differences(signatures[1])) == {"features.package"}


def test_verify_computes_it_again(card: Path, examples: Path, tmp_path: Path) -> None:
    registry.load_file(examples / "agreement.py")
    assert SCORE in figures(read(card))
    assert notes(read(card)) == []
    assert verify(card)[1] == []
    planted = changed(card, tmp_path / "card.json", SCORE, "agreement", value=0.123)
    (problem,) = verify(planted)[1]
    assert problem.where == f"scores.{SCORE}.figures.agreement"


def test_a_score_of_ones_own_numbers_is_signed_too(examples: Path) -> None:
    registry.load_file(examples / "agreement.py")
    found = score("agreement", id=["a", "b"], present=[True, None], present_original=[True, True])
    assert (found.value, found.n_generations) == (1.0, 1)
    assert str(found.signature.fields["metric.package"]).startswith("agreement.py sha256:")


def test_the_report_shows_it(card: Path, examples: Path, tmp_path: Path) -> None:
    """With its description if it is installed, and without it if it is not."""
    for here in (False, True):
        if here:
            registry.load_file(examples / "agreement.py")
        done = CliRunner().invoke(app, ["report", str(card), "--out", str(tmp_path / "report.html")])
        assert done.exit_code == 0, done.exception
        text = (tmp_path / "report.html").read_text(encoding="utf-8")
        assert "What do plugins measure?" in text
        (line,) = re.findall(rf"<tr[^>]*><th scope=row>{SCORE}: agreement .*?</tr>", text)
        value = read(card).scores[SCORE].figures["agreement"].value
        assert f"<td>{value:.2f}<small>" in line
        assert "agreement.py sha256:" in line
        assert ("higher is better" in line) is here


# Where it is not installed


def test_a_card_of_a_metric_that_is_not_here(card: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)  # lines are not broken
    found, problems = verify(card)
    assert problems == []
    assert found is not None
    (note,) = notes(found)
    assert note.startswith(f"the score {SCORE} cannot be recomputed: the metric is not installed (agreement.py sha256:")
    shown = CliRunner().invoke(app, ["verify", str(card)])
    assert shown.exit_code == 0
    assert f"note: {note}" in shown.stdout
    (scores, *_) = terminal.scores([found])
    assert f"{SCORE}: agreement" in list(scores.columns[0].cells)
    assert "metric_type" in model_index([found]) or "type: agreement" in model_index([found])
    assert "agreement" in table([found])
    for command in (["compare", str(card)], ["report", str(card), "--out", str(tmp_path / "report.html")],
                    ["leaderboard", str(card.parent), "--out", str(tmp_path / "board.html")]):  # fmt: skip
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, (command, done.output, done.exception)


def test_a_card_of_another_version_of_the_metric(card: Path, tmp_path: Path) -> None:
    registry.load_file(written(tmp_path, EXAMPLES["agreement.py"].replace("mean_estimate(same", "mean_estimate(~same"),
                               "agreement.py"))  # fmt: skip
    assert verify(card)[1] == []
    assert "scored by agreement.py sha256:" in notes(read(card))[0]


def test_own_metrics_do_not_pass_for_somebody_elses(card: Path, tmp_path: Path) -> None:
    data = json.loads(card.read_text())
    data["scores"]["concept_accuracy"]["signature"]["metric.package"] = "elsewhere 1.0"
    data["content_sha256"] = fingerprint(json.dumps(data))
    forged = written(tmp_path, json.dumps(data), "card.json")
    assert [p.where for p in verify(forged)[1]] == ["scores.concept_accuracy.signature.metric.package"]


# Broken ones


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("import nothing_of_the_kind", r"cannot be imported \(\S+mine\.py, line 1: ModuleNotFoundError"),
        ("\nraise SystemExit(3)", r"cannot be imported \(\S+mine\.py, line 2: SystemExit"),
        ("\n\ndef f(:", r"cannot be imported \(\S+mine\.py, line 3: SyntaxError: invalid syntax"),
        ("x = 1", "has no `score`, no `search`"),
        ("def load(argument, *, device, precision, threshold): ...", "has no `score`, no `search`"),
        ("def score(): ...\ndef search(): ...", "metric and attack"),
        (EXAMPLES["agreement.py"].replace("INFO =", "ABOUT ="), "INFO is missing"),
        (EXAMPLES["agreement.py"].replace("version=1,", "version=None,"), "INFO.version is None"),
        (EXAMPLES["agreement.py"].replace("(0.0, 1.0)", "(0.0,)"), r"INFO.range is \(0.0,\)"),
        (
            EXAMPLES["agreement.py"].replace('("retain",)', '("near", "far")'),
            r"INFO.parts\['retain'\] is .* some of forget",
        ),
        (
            EXAMPLES["agreement.py"].replace('("id", "present", "present_original")', '("id")'),
            "NEEDS is 'id', which is not a tuple",
        ),
        (EXAMPLES["agreement.py"].replace(", *, seed=0, resamples=2000", ""), "score.* cannot be called"),
        (EXAMPLES["agreement.py"].replace('name="agreement"', 'name="a/b"'), "'a/b' is not of the form"),
        (EXAMPLES["agreement.py"].replace('name="agreement"', 'name="lpips"'), "igmu itself uses this name"),
        (EXAMPLES["bright.py"].replace(", threshold=None", ""), "load.* cannot be called"),
        (EXAMPLES["babble.py"].replace("INFO =", "ABOUT ="), "INFO is missing"),
    ],
)
def test_a_file_that_is_none_is_an_error_that_says_why(tmp_path: Path, text: str, why: str) -> None:
    before = {group: registry.names(group) for group in registry.GROUPS}
    with pytest.raises(PluginError, match=rf"mine\.py sha256:\w+: .*{why}.*\. (Correct|Choose|Define) .*\.$"):
        registry.load_file(written(tmp_path, text))
    assert {group: registry.names(group) for group in registry.GROUPS} == before
    assert not [name for name in sys.modules if name.startswith("igmu_plugin_mine_")] or "import" not in why


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        registry.load_file(tmp_path / "nothing.py")


def test_two_files_of_one_name(examples: Path, tmp_path: Path) -> None:
    registry.load_file(examples / "bright.py")
    with pytest.raises(PluginError, match=r"bright\.py sha256:\w+ has already registered this name"):
        registry.load_file(written(tmp_path, EXAMPLES["bright.py"] + "\n"))


def installed(monkeypatch: pytest.MonkeyPatch, *plugins: registry.Plugin) -> None:
    monkeypatch.setattr(registry, "_installed", lambda: plugins)


def test_broken_packages_are_named_and_skipped(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    installed(
        monkeypatch,
        registry.Plugin("metrics", "gone", "no_such_module", "gone 1.0"),
        registry.Plugin("metrics", "lpips", "json", "bold 2.0"),
        registry.Plugin("metrics", "odd", "json:dumps", "odd 3.0"),
        registry.Plugin("detectors", "twice", "json", "one 1.0"),
        registry.Plugin("detectors", "twice", "csv", "two 1.0"),
    )
    with caplog.at_level(logging.WARNING):
        assert set(registry.metrics()) == set(registry.own("metrics"))
        assert len(list_metrics()) == len(registry.own("metrics"))
    lines = sorted(caplog.messages)  # once, although asked twice
    assert [line.partition(":")[0] for line in lines] == [
        "skipped plugin gone of gone 1.0",
        "skipped plugin lpips of bold 2.0",
        "skipped plugin odd of odd 3.0",
    ]
    assert all("\n" not in line for line in lines)
    assert registry.metric("lpips").INFO.title == "LPIPS"  # own names win
    listed = CliRunner().invoke(app, ["metrics"]).stdout
    for part in ("Broken plugins", "bold 2.0", "no_such_module", "this name is also registered by two 1.0"):
        assert part in listed
    with pytest.raises(PluginError, match=r"plugin twice of one 1\.0"):
        registry.detector("twice")
    with pytest.raises(UnknownDetectorError):
        registry.detector("thrice")


_LOST = (
    (
        '"present_original")',
        '"presnt_original")',
        "NEEDS contains 'presnt_original', which is not a column",
        "present_original",
    ),
    ('("id", "present",', '("id", "lpips_original",', "NEEDS contains 'lpips_original'", "lpips"),
    ("NEEDS =", 'USES = ("probabilty",)\nNEEDS =', "USES contains 'probabilty'", "probability"),
)


@pytest.mark.parametrize(("old", "new", "says", "near"), _LOST)
def test_a_metric_that_no_evaluation_could_score_is_not_left_out_in_silence(
    old: str, new: str, says: str, near: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any, drawn: Path
) -> None:
    """By `--plugin`, as an entry point, and in Python."""
    assert old in EXAMPLES["agreement.py"]
    text = EXAMPLES["agreement.py"].replace(old, new, 1)
    (tmp_path / "typed").mkdir()
    path = written(tmp_path / "typed", text, "wrong.py")
    monkeypatch.setenv("COLUMNS", "400")
    folders = ["--original", drawn / "original", "--unlearned", drawn / "forgetful", "--config", CONFIG]
    how = ["--detector", f"labels:{drawn / 'labels.csv'}", "--no-cache"]
    for command in (["metrics"], ["score", *folders, *how]):
        refused = CliRunner().invoke(app, [*map(str, command), "--plugin", str(path)])
        assert isinstance(refused.exception, PluginError)
        told = str(refused.exception)
        assert "plugin agreement of wrong.py" in told
        assert says in told
        assert re.search(rf"did you mean .*'{near}'", told)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_failed", {})
    installed(monkeypatch, registry.Plugin("metrics", "agreement", "typed.wrong", "typed 1.0"))
    listed = CliRunner().invoke(app, ["metrics"])
    assert listed.exit_code == 0
    assert says in listed.stdout
    with caplog.at_level(logging.WARNING):
        scored = CliRunner().invoke(app, [*map(str, ["score", *folders, *how])])
    assert scored.exit_code == 0, scored.exception
    assert f"skipped plugin agreement of typed 1.0: {says}" in caplog.text
    for asked in (lambda: score("agreement", id=["a"]), lambda: registry.chosen_metric("typed:wrong")):
        with pytest.raises(PluginError, match=re.escape(says)):
            asked()
    for name in ("typed", "typed.wrong"):
        sys.modules.pop(name)


def test_a_listing_goes_on_after_a_file_that_cannot_be_used(
    examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    bad = written(tmp_path, "import os\n\nx = 1 / 0\n")
    files = ["--plugin", str(bad), "--plugin", str(examples / "agreement.py")]
    for command in (["metrics", *files], [*files, "metrics"]):
        listed = CliRunner().invoke(app, command)
        assert re.search(
            rf"│ file +│ mine +│ mine\.py sha256:\w+ +│ cannot be imported \({bad}, line 3: Zero", listed.stdout
        )
        assert re.search(r"│ agreement +│ agreement\.py", listed.stdout)
        assert isinstance(listed.exception, PluginError)
    told = json.loads(CliRunner().invoke(app, ["metrics", "--json", *files]).stdout)
    assert [p["name"] for p in told["result"]["broken"] if p["kind"] == "file"] == ["mine"]
    assert (told["exit_code"], told["error"]["type"]) == (2, "PluginError")


def test_a_metric_that_fails_costs_its_own_score_only(
    drawn: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = EXAMPLES["agreement.py"].replace("    now, before", "    table['nothing']\n    now, before")
    registry.load_file(written(tmp_path, text, "agreement.py"))
    labels = f"labels:{drawn / 'labels.csv'}"
    with caplog.at_level(logging.WARNING):
        (made,) = Evaluation(CONFIG, detector=labels, cache=False).run(drawn / "original", [drawn / "forgetful"])
    assert "concept_accuracy" in made.scores
    assert SCORE not in made.scores
    assert "skipped plugin agreement of agreement.py" in caplog.text
    assert re.search(r"score\(\) failed \(\S+agreement\.py, line \d+: KeyError: 'nothing'\)\. Correct", caplog.text)


def test_a_result_that_could_stand_on_no_card_is_refused(
    drawn: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = EXAMPLES["agreement.py"].replace('{"agreement": figure})', '{"agreement": figure}, {"ids": ["a"]})')
    registry.load_file(written(tmp_path, text, "agreement.py"))
    labels = f"labels:{drawn / 'labels.csv'}"
    with caplog.at_level(logging.WARNING):
        (made,) = Evaluation(CONFIG, detector=labels, cache=False).run(drawn / "original", [drawn / "forgetful"])
    assert SCORE not in made.scores
    assert "setting 'ids' has type list" in caplog.text


_HALF = Estimate(0.5, None, 1, 1)


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (Result(_HALF, None), "not a mapping"),  # type: ignore[arg-type]
        (Result(_HALF, {"h": _HALF, 3: _HALF}), "the name 3 is not"),  # type: ignore[dict-item]
        (Result(_HALF, {"h": _HALF, "\ud800": _HALF}), "is not a valid string"),
        (Result(Estimate(float("inf")), {"h": Estimate(float("inf"))}), "not all finite"),
        (Result(Estimate(0.5, (0.6, 0.4)), {"h": Estimate(0.5, (0.6, 0.4))}), "is above the upper end"),
        (Result(Estimate(0.5, (0.6,)), {"h": Estimate(0.5, (0.6,))}), "is not an interval"),  # type: ignore[arg-type]
        (Result(_HALF, {"h": _HALF}, {"x": float("nan")}), "not finite"),
        (Result(_HALF, {"h": _HALF}, {"x": 10**400}), "too large"),
        (Result(_HALF, {"h": _HALF}, {"model": "another"}), "is signed with 'esd'"),
    ],
)
def test_what_no_card_could_hold_is_a_fault(result: Result, says: str) -> None:
    assert any(says in fault for fault in faults(result, {"model": "esd"}))


def test_a_detector_that_cannot_be_loaded_is_an_error_that_names_it(tmp_path: Path) -> None:
    registry.load_file(written(tmp_path, EXAMPLES["bright.py"].replace("return Bright(", "return Bright(1 / 0, ")))
    why = r"bright of mine\.py .* cannot be loaded as 'bright:x' \(\S+mine\.py, line \d+: ZeroDivisionError"
    with pytest.raises(PluginError, match=why):
        registry.detector("bright:x")


@pytest.mark.parametrize(
    ("name", "old", "new", "says"),
    [
        ("bright.py", "        mean = [", "        1 / 0\n        mean = [",
         r"probabilities\(\) failed \(\S+bright\.py, line \d+: ZeroDivisionError"),
        ("bright.py", "axis=1), mask", "axis=1).T, mask",
         r"probabilities\(\) returned an array of shape \(2, 8\), not an array of shape \(8, 2\)"),
        ("colours.py", "        return np.array(", "        1 / 0\n        return np.array(",
         r"image_features\(\) failed \(\S+colours\.py, line \d+: ZeroDivisionError"),
        ("colours.py", ".reshape(-1, 3)", ".ravel()",
         r"image_features\(\) returned an array of shape \(\d+,\), not an array of shape \(\d+, any\)"),
        ("colours.py", "return np.array(", "return list(", r"(failed \(|returned a list, not an array)"),
    ],
)  # fmt: skip
def test_an_instrument_that_fails_is_an_error_that_names_its_line(
    drawn: Path, tmp_path: Path, name: str, old: str, new: str, says: str
) -> None:
    for one in ("bright.py", "colours.py"):
        text = EXAMPLES[one].replace(old, new) if one == name else EXAMPLES[one]
        assert one != name or text != EXAMPLES[one]
        registry.load_file(written(tmp_path, text, one))
    evaluation = Evaluation(CONFIG, detector="bright", features="colours", cache=False)
    with pytest.raises(PluginError, match=rf"plugin {name[:-3]} of {name} .*{says}"):
        list(evaluation.run(drawn / "original", [drawn / "forgetful"]))


# Conformance


@pytest.mark.parametrize("name", registry.own("metrics"))
def test_own_metrics_are_sound(name: str) -> None:
    check_metric(registry.metric(name))


def test_own_instruments_are_sound(tmp_path: Path) -> None:
    check_detector(registry.detector("sandbox", device="cpu"))
    check_backbone(registry.backbone("clip:sandbox", device="cpu"))
    paths = []
    for i, image in enumerate(sample_images()):
        image.save(tmp_path / f"{i}.png")
        paths.append(tmp_path / f"{i}.png")
    lines = [f"{path.name},{answer}" for path, answer in zip(paths, ["yes", "no", "unclear"] * 2, strict=True)]
    labels = written(tmp_path, "\n".join(["path,object/church", *lines]), "labels.csv")
    check_detector(registry.detector(f"labels:{labels}"), paths)


@pytest.mark.parametrize("group", registry.GROUPS)
def test_every_own_module_follows_its_protocol(group: str) -> None:
    for name in registry.own(group):
        assert registry.faults(group, registry.module(group, name), name) == [], name


def spoilt(**replaced: Any) -> Any:
    """The guide's metric with other parts."""
    module = types.ModuleType("spoilt")
    exec(EXAMPLES["agreement.py"], vars(module))
    vars(module).update(replaced)
    return module


def figure(value: float = 0.5, **more: Any) -> Any:
    def score(table: Any, *, seed: int = 0, resamples: int = 2000) -> Result:
        return Result(made := Estimate(value, **more), {"agreement": made})

    return score


def _first_row(table: Any, *, seed: int = 0, resamples: int = 2000) -> Result:
    value = float(table["id"][0] == "near-00")
    return Result(made := Estimate(value), {"agreement": made})


def _below_the_mask(table: Any, *, seed: int = 0, resamples: int = 2000) -> Result:
    value = float(np.asarray(np.ma.getdata(table["present"])).mean()) if len(table) else 0.0
    return Result(made := Estimate(value), {"agreement": made})


def _chance(table: Any, *, seed: int = 0, resamples: int = 2000) -> Result:
    return Result(made := Estimate(float(np.random.default_rng().random())), {"agreement": made})


def _writes(table: Any, *, seed: int = 0, resamples: int = 2000) -> Result:
    table["present"][:] = True
    return Result(made := Estimate(0.5), {"agreement": made})


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"score": None}, "score is missing"),
        ({"NEEDS": ("id", "nothing")}, "'nothing', which is not a column of evaluations"),
        ({"score": figure(1.5)}, "1.5 is not in INFO.range"),
        ({"score": figure(0.5, interval=(0.6, 0.7))}, "does not contain its value"),
        ({"score": figure(float("nan"))}, "NaN without a reason"),
        ({"score": figure(np.float32(0.5))}, "not all Python floats"),
        ({"score": figure(0.5, n_prompts=9, n_generations=2)}, "9 prompts and 2 generations"),
        ({"score": figure(0.5, n_generations=10**6)}, "1000000 generations, but the table has only 48"),
        ({"score": _first_row}, "a different order of the rows"),
        ({"score": _below_the_mask}, "depends on masked values of present"),
        ({"score": _chance}, "use only the seed for randomness"),
        ({"score": _writes}, "changes the table it is given: present"),
        ({"score": figure(0.5)}, "nothing was measured"),
        ({"score": lambda table, *, seed, resamples: table["gone"]}, "score raises KeyError"),
        ({"score": lambda table, *, seed, resamples: None}, "no part of the table gives a score"),
        ({"score": lambda table, *, seed, resamples: 0.5}, "its type is float"),
    ],
)
def test_what_is_wrong_with_a_metric_is_said(parts: dict[str, Any], said: str) -> None:
    with pytest.raises(ConformanceError, match=re.escape(said)):
        check_metric(spoilt(**parts))


def test_all_that_is_wrong_is_said_at_once() -> None:
    about = replace(spoilt().INFO, version=0, title="", direction="up", range=(1.0, 0.0))
    with pytest.raises(AssertionError, match="4 problems to fix") as caught:
        check_metric(spoilt(INFO=about))
    assert len(caught.value.wrong) == 4  # type: ignore[attr-defined]


def test_a_table_of_ones_own() -> None:
    given = sample_table().with_columns(mine=np.arange(len(sample_table())) / 200)

    def score(table: Any, *, seed: int = 0, resamples: int = 2000) -> Result | None:
        value = float(np.median(table["mine"])) if len(table) else float("nan")
        return Result(made := Estimate(value, reason="few"), {"agreement": made})

    about = replace(spoilt().INFO, parts={})
    check_metric(spoilt(NEEDS=("mine",), score=score, INFO=about), given)
    with pytest.raises(ConformanceError, match="table does not contain the columns lpips"):
        check_metric(spoilt(NEEDS=("lpips",)), Generations({"id": ["a"]}))


def detector(**changes: str) -> Any:
    """The guide's detector with other lines."""
    module = types.ModuleType("bright")
    text = EXAMPLES["bright.py"]
    for old, new in changes.values():  # type: ignore[misc]
        assert old in text
        text = text.replace(old, new)
    exec(text, vars(module))
    return module


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('revision="1"', 'revision=""', "info.revision is ''"),
        ("threshold=threshold)", "threshold=None)", "info.threshold is None"),
        (" / 255", "", "not in 0..1"),
        (".mean() / 255", ".mean() / 255 + np.random.rand() / 99", "the second time"),
        (
            "for image in batch.images]",
            "for image in batch.images[:1] * len(batch.images)]",
            "single image gets a different probability",
        ),
        ("threshold=threshold)", 'threshold=threshold, concepts=frozenset({"object/cat"}))', "mask it"),
        ("return np.ma.MaskedArray(", "return np.ma.getdata(", "cannot be called|unexpected|must be a masked array"),
        ("len(concepts), axis=1", "1, axis=1", "have shape (6, 1)"),
        (
            "return Bright(0.5",
            "raise OSError('no weights')\n    return Bright(0.5",
            "load(None) raises OSError: no weights",
        ),
    ],
)
def test_what_is_wrong_with_a_detector_is_said(old: str, new: str, said: str) -> None:
    with pytest.raises(ConformanceError) as caught:
        check_detector(detector(change=(old, new)))  # type: ignore[arg-type]
    assert any(part in str(caught.value) for part in said.split("|")), caught.value


def test_what_is_wrong_with_a_backbone_is_said() -> None:
    module = types.ModuleType("colours")
    exec(EXAMPLES["colours.py"].replace("axis=(0, 1)) / 255", "axis=(0, 1)) / 255 * len(images)"), vars(module))
    with pytest.raises(ConformanceError, match="different features than in a batch"):
        check_backbone(module)


# In a fresh environment


@pytest.fixture(scope="module")
def environment(examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the guide's package, and one of which everything is broken."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    place = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
    (place / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    good, bad = (tmp_path_factory.mktemp("packages") / name for name in ("igmu-agreement", "igmu-broken"))
    for folder in (good, bad):
        (folder / folder.name.replace("-", "_")).mkdir(parents=True)
    (good / "pyproject.toml").write_text(EXAMPLES["pyproject.toml"], encoding="utf-8")
    for name in ("__init__.py", "agreement.py", "bright.py", "colours.py", "babble.py"):
        (good / "igmu_agreement" / name).write_text(EXAMPLES.get(name, ""), encoding="utf-8")
    points = {"metrics": {"broken": "broken", "lpips": "mine"}, "detectors": {"broken-too": "broken"}}
    told = "\n".join(
        f'[project.entry-points."igmu.{group}"]\n' + "".join(f'{n} = "igmu_broken.{m}"\n' for n, m in of.items())
        for group, of in points.items()
    )
    head = EXAMPLES["pyproject.toml"].partition('[project.entry-points."')[0].replace("agreement", "broken")
    (bad / "pyproject.toml").write_text(head + told, encoding="utf-8")
    (bad / "igmu_broken" / "__init__.py").write_text("")
    (bad / "igmu_broken" / "broken.py").write_text("raise RuntimeError('not my day')\n")
    install = ["install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", str(good), str(bad)]
    subprocess.run([sys.executable, "-m", "pip", "--python", str(python), *install], check=True, timeout=120)
    return python


def igmu(python: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "COLUMNS": "300"}
    command = [str(python), "-c", "from igmu_metrics.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=env)


@pytest.mark.slow
def test_a_package_that_was_installed(environment: Path, drawn: Path, tmp_path: Path) -> None:
    listed = igmu(environment, "metrics")
    assert listed.returncode == 0, listed.stderr
    for name in ("agreement", "bright", "colours", "babble"):
        assert re.search(rf"│ {name} +│ igmu-agreement 1\.2", listed.stdout), listed.stdout
    why = r"cannot be imported \(\S+broken\.py, line 1: RuntimeError: not my day\)"
    assert re.search(rf"│ broken +│ igmu-broken 1\.2 │ {why}", listed.stdout)
    assert re.search(r"│ lpips +│ igmu-broken 1\.2 │ igmu itself uses this name", listed.stdout)
    folders = ["--original", drawn / "original", "--unlearned", drawn / "forgetful", "--config", CONFIG]
    out = tmp_path / "card.json"
    scored = igmu(environment, "score", *folders, "--detector", "bright", "--features", "colours", "--out", out,
                  "--verbose")  # fmt: skip
    assert scored.returncode == 0, scored.stderr
    assert "agreement/retain: agreement" in scored.stdout
    skipped = [line for line in scored.stderr.splitlines() if "skipped plugin" in line]
    assert len([line for line in skipped if "plugin broken of igmu-broken 1.2: cannot be imported" in line]) == 1
    assert "Traceback" not in scored.stderr
    entry = read(out).scores[SCORE]
    assert entry.signature["metric.package"] == entry.signature["detector.package"] == "igmu-agreement 1.2"
    good = igmu(environment, "verify", out)
    assert good.returncode == 0, good.stdout + good.stderr
    assert re.findall(r"note: (.*)", good.stdout) == [  # nothing of the plugin's metric, which was computed again
        "the images were not scored again; for a full check, use --images DIR and --original-images DIR"
    ]
    recomputed, rest = good.stdout.split("recomputed from its lines: ")[1].split("not recomputed: ")
    assert "agreement" in recomputed
    assert "agreement" not in rest
    planted = igmu(environment, "verify", changed(out, tmp_path / "planted.json", SCORE, "agreement", value=0.321))
    assert planted.returncode == 2
    assert f"scores.{SCORE}.figures.agreement: the scorecard reports 0.321" in planted.stdout
    refused = igmu(environment, "score", *folders, "--detector", "broken-too")
    assert refused.returncode == 2
    assert re.search(rf"PluginError: plugin broken-too of igmu-broken 1\.2: {why}", refused.stderr)
    tested = written(tmp_path, EXAMPLES["test_agreement.py"], "test_agreement.py")
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    call = [str(environment), "-c", f"import runpy; runpy.run_path({str(tested)!r})['test_they_are_sound']()"]
    subprocess.run(call, check=True, timeout=60, env=env)


@pytest.mark.slow
def test_files_go_with_every_command_and_every_shard(examples: Path, drawn: Path, card: Path, tmp_path: Path) -> None:
    python, files = Path(sys.executable), ["--plugin", examples / "agreement.py", "--plugin", examples / "bright.py"]
    folders = ["--original", drawn / "original", "--unlearned", drawn / "forgetful", "--config", CONFIG]
    how = [*folders, "--detector", "bright", "--threshold", "0.55"]
    for before, behind in ((files, []), ([], files)):
        done = igmu(python, *before, "score", *how, *behind, "--out", tmp_path / f"{len(before)}.json")
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "0.json").read_bytes() == (tmp_path / "4.json").read_bytes()
    for shard in ("1/2", "2/2"):
        assert igmu(python, "score", *how, *files, "--shard", shard, "--out", tmp_path / "parts").returncode == 0
    merged = igmu(python, "merge", tmp_path / "parts", "--out", tmp_path / "merged", *files)
    assert merged.returncode == 0, merged.stderr
    assert next((tmp_path / "merged").glob("forgetful.*.json")).read_bytes() == (tmp_path / "0.json").read_bytes()
    without = igmu(python, "merge", tmp_path / "parts")
    assert without.returncode == 2
    assert "UnknownDetectorError" in without.stderr
