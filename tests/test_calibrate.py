"""Calibration: rates, index and threshold by hand, what scoring makes of the file, and judges that are refused."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import reported
from PIL import Image
from scipy.stats import mannwhitneyu
from typer.testing import CliRunner

from igmu_data.errors import (
    EmptyInputError,
    IncomparableError,
    InputError,
    LabelError,
    MetadataError,
    VerificationError,
)
from igmu_metrics import registry
from igmu_metrics.cli import app
from igmu_metrics.contract import BoolArray
from igmu_metrics.detectors import _calibrated
from igmu_metrics.detectors._calibrated import Calibration
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.report import leaderboard, page, terminal
from igmu_metrics.report.folders import sections
from igmu_metrics.report.verdict import QUESTIONS
from igmu_metrics.report.view import ranked
from igmu_metrics.scorecard import Figure, Scorecard, write
from igmu_metrics.statistics import kappa, rogan_gladen, wilson, youden
from igmu_metrics.training import calibration as calibrating
from igmu_metrics.training.calibration import Calibrating, area, chance
from igmu_metrics.training.fitting import youden_threshold
from igmu_metrics.verdict import export
from igmu_metrics.verdict.compare import compared
from igmu_metrics.verdict.pareto import front

CHURCH = Path(__file__).resolve().parents[2] / "shared" / "church"
CONFIG = "sandbox.church"
CONCEPT = "object/church"
DETECTOR = '''"""{doc}"""
import hashlib
import numpy as np
from igmu_metrics.networks.instruments import InstrumentInfo
NAME = "{name}"
class One:
    def __init__(self, threshold):
        self.info = InstrumentInfo(name=NAME, revision="1", preparation="none", threshold=threshold)
    def probabilities(self, batch, concepts):
        told = [{rule} for image in batch.images]
        return np.ma.MaskedArray(np.repeat(np.reshape(told, (-1, 1)), len(concepts), axis=1), mask=False)
def load(argument=None, *, device=None, precision="fp32", threshold=None) -> One:
    return One(0.5 if threshold is None else threshold)
'''
BRIGHT = DETECTOR.format(doc="First pixel", name="bright", rule="image.getpixel((0, 0))[0] / 255")
COIN = DETECTOR.format(doc="Chance", name="coin", rule="hashlib.sha256(image.tobytes()).digest()[0] / 255")


@pytest.fixture(scope="module", autouse=True)
def _plugins(tmp_path_factory: pytest.TempPathFactory) -> object:
    folder = tmp_path_factory.mktemp("plugins")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_files", "_tried"):
            patch.setattr(registry, name, {})
        for name, text in (("bright.py", BRIGHT), ("coin.py", COIN)):
            (folder / name).write_text(text)
            registry.load_file(folder / name)
        yield


def images(folder: Path, shades: Sequence[tuple[int, str]], prompts: Sequence[str] = ()) -> Path:
    """Different images with a first pixel of a shade, and the CSV of their labels."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    lines = ["path,object/church"]
    for i, (shade, label) in enumerate(shades):
        pixels = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        pixels[0, 0] = shade
        Image.fromarray(pixels).save(folder / f"{i:03}.png")
        lines.append(f"{i:03}.png,{label}")
    if prompts:
        listed = [{"file_name": f"{i:03}.png", "id": prompt, "seed": i} for i, prompt in enumerate(prompts)]
        (folder / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in listed))
    (folder / "judged.csv").write_text("\n".join(lines) + "\n")
    return folder / "judged.csv"


def calibrated(data: Path | str, out: Path, detector: str = "bright", **how: object) -> Calibration:
    judge = Evaluation(CONFIG, detector=detector, cache=False, device="cpu")
    return Calibrating(judge, str(data), **how).run(out)  # type: ignore[arg-type]


# Of 10 churches 8 are bright, of 8 other images 2.
SHADES = [(200, "yes")] * 8 + [(20, "yes")] * 2 + [(210, "no")] * 2 + [(30, "no")] * 6


def test_rates_are_those_of_hand(tmp_path: Path) -> None:
    found = calibrated(images(tmp_path, [*SHADES, (99, "unclear")]), tmp_path / "c.json", threshold=0.5)
    assert (found.sensitivity.value, found.specificity.value) == (0.8, 0.75)
    assert found.sensitivity.interval == pytest.approx(wilson(8, 10))
    assert found.specificity.interval == pytest.approx(wilson(6, 8))
    assert (found.sensitivity.n_images, found.specificity.whole, found.n_images) == (10, 8, 18)
    assert found.data.left_out == {"unclear": 1}
    # Newcombe's interval for the difference of 8 in 10 and 2 in 8.
    (a, b), (c, d) = wilson(8, 10), wilson(2, 8)
    assert found.youden.value == pytest.approx(0.55)
    ends = (0.55 - np.hypot(0.8 - a, d - 0.25), 0.55 + np.hypot(b - 0.8, 0.25 - c))
    assert found.youden.interval == pytest.approx(ends)
    p, shown = np.array([s for s, _ in SHADES]), np.array([label == "yes" for _, label in SHADES])
    assert found.auroc.value == pytest.approx(mannwhitneyu(p[shown], p[~shown]).statistic / (10 * 8))


@pytest.mark.parametrize("seed", range(5))
def test_the_area_is_mann_and_whitneys(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shown = rng.random(60) < 0.4
    p = rng.integers(0, 8, 60) / 8 + 0.1 * shown  # with ties
    found = area(p, shown, np.arange(60))
    value = mannwhitneyu(p[shown], p[~shown]).statistic / (shown.sum() * (~shown).sum())
    assert found.value == pytest.approx(value, abs=1e-12)
    assert found.interval[0] < value < found.interval[1]


def test_the_areas_interval_holds_the_truth() -> None:
    rng, truth, held = np.random.default_rng(0), 0.8, 0
    shift = 2**0.5 * 0.8416212335729143  # Φ(shift/√2) = 0.8
    for _ in range(200):
        p = np.concatenate([rng.normal(shift, 1, 40), rng.normal(0, 1, 60)])
        low, high = area(p, np.arange(100) < 40, np.arange(100)).interval
        held += low <= truth <= high
    assert held >= 0.93 * 200


def test_half_finds_the_threshold_and_the_other_is_measured(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    shades = [(int(s), "yes" if s + rng.normal(0, 40) > 128 else "no") for s in rng.integers(0, 256, 80)]
    found = calibrated(images(tmp_path, shades), tmp_path / "c.json")
    n = {"yes": found.sensitivity.n_images, "no": found.specificity.n_images}
    assert sum(found.chosen_on.values()) + n["yes"] + n["no"] == found.n_images == 80
    assert abs(found.chosen_on["positives"] - n["yes"]) <= 1  # each class is halved
    assert "largest sensitivity + specificity - 1" in found.threshold_rule
    again = calibrated(tmp_path / "judged.csv", tmp_path / "d.json")
    assert again == found  # no random state
    assert (tmp_path / "c.json").read_bytes() == (tmp_path / "d.json").read_bytes()
    shown, p = np.array([label == "yes" for _, label in shades]), np.array([s / 255 for s, _ in shades])
    files = np.array([hashlib.sha256((tmp_path / f"{i:03}.png").read_bytes()).hexdigest() for i in range(80)])
    held, _ = calibrating._apart(files, files, shown, "x")
    assert found.threshold == youden_threshold(p[~held], shown[~held]) != youden_threshold(p, shown)
    assert found.sensitivity.value == pytest.approx((p[held & shown] >= found.threshold).mean())
    assert found.specificity.value == pytest.approx((p[held & ~shown] < found.threshold).mean())
    # On all images and at this threshold, by hand: the halves add up to that.
    whole = calibrated(tmp_path / "judged.csv", tmp_path / "e.json", threshold=found.threshold)
    hits = sum(s / 255 >= found.threshold for s, label in shades if label == "yes")
    assert whole.sensitivity.value == pytest.approx(hits / whole.sensitivity.n_images)
    assert whole.sensitivity.n_images == n["yes"] + found.chosen_on["positives"]


def test_prompts_stay_in_one_half_and_are_the_unit(tmp_path: Path) -> None:
    prompts = [f"p{i // 4}" for i in range(64)]
    shades = [(200 if i % 8 < 4 else 20, "yes" if i % 8 < 4 else "no") for i in range(64)]
    shades[0] = shades[1] = (20, "yes")
    found = calibrated(images(tmp_path, shades, prompts), tmp_path / "c.json", threshold=0.5)
    assert (found.sensitivity.n_images, found.sensitivity.n_prompts) == (32, 8)
    assert found.sensitivity.trials < 32
    assert found.sensitivity.interval[0] < wilson(30, 32)[0]
    units = np.array(prompts, dtype=np.str_)
    held, whole = calibrating._apart(units, units, np.array([label == "yes" for _, label in shades]), "x")
    assert whole
    assert not set(units[held]) & set(units[~held])


def test_scoring_takes_threshold_and_rates_and_signs_them(tmp_path: Path, root: Path) -> None:
    found = calibrated(images(tmp_path, SHADES * 5), tmp_path / "c.json", threshold=0.3)
    judge = Evaluation(CONFIG, detector="bright", calibration=str(tmp_path / "c.json"), cache=False)
    (card,) = judge.run(root / "drawn" / "original", [root / "drawn" / "fmn"])
    signed = card.scores["concept_accuracy"].signature
    assert signed["detector.threshold"] == 0.3
    assert (signed["detector.sensitivity"], signed["detector.n_positives"]) == (0.8, 50)
    assert (signed["detector.specificity"], signed["detector.n_negatives"]) == (0.75, 40)
    assert signed["detector.calibration"] == _calibrated.read(tmp_path / "c.json").revision
    raw, corrected = (card.figure("concept_accuracy", f"{p}unlearning_accuracy") for p in ("", "corrected_"))
    assert raw is not None
    assert raw.value is not None
    assert corrected is not None
    seen, _ = rogan_gladen(1 - raw.value, raw.n_generations, 0.8, 0.75)
    assert corrected.value == pytest.approx(1 - seen)
    assert card.unfounded == ""
    assert chance(found) == ""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reported")
    reported.draw(folder)
    return folder


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    calibrated(images(tmp_path, SHADES), path, threshold=0.5)
    for how, says in (
        ({"config": CONFIG, "detector": "coin"}, "'bright' there, 'coin' here"),
        ({"config": "sandbox.van-gogh", "detector": "bright"}, "concept 'object/church' there, 'style/van-gogh' here"),
    ):
        judge = Evaluation(**how, calibration=str(path), cache=False)
        with pytest.raises(IncomparableError, match=says):
            judge.instruments(judge.target())
    with pytest.raises(InputError, match="calibration and threshold are both given"):
        Evaluation(CONFIG, calibration=str(path), threshold=0.5)
    text = path.read_text()
    path.write_text(text.replace('"value": 0.8,', '"value": 0.9,', 1))
    with pytest.raises(VerificationError, match="changed after it was written"):
        _calibrated.read(path)
    path.write_text(text.replace('"threshold": 0.5', '"threshold": 5', 1))
    with pytest.raises(MetadataError, match="threshold"):
        _calibrated.read(path)
    path.write_text("[]")
    with pytest.raises(MetadataError, match="not a valid calibration file"):
        _calibrated.read(path)


def test_images_of_the_calibration_are_refused_or_said(tmp_path: Path) -> None:
    labelled = images(tmp_path / "a", SHADES)
    for model, first in (("original", 100), ("gone", 200)):
        images(tmp_path / model, [(200, "yes")] * 4)
        for i in range(4):
            Image.new("RGB", (8, 8), (first, 20 * i, 3)).save(tmp_path / model / f"{i:03}.png")
    calibrated(labelled, tmp_path / "c.json", threshold=0.5)
    how = {"detector": "bright", "calibration": str(tmp_path / "c.json"), "cache": False, "blank": "keep"}
    judge = Evaluation("object.church", layout="flat", **how)  # type: ignore[arg-type]
    (card,) = judge.run(tmp_path / "original", [tmp_path / "gone"])
    assert not [note for note in card.notes if "calibrated" in note]
    for n, copy in enumerate((tmp_path / "a" / f"{i:03}.png" for i in range(3)), 1):
        (tmp_path / "gone" / f"{n:03}.png").write_bytes(copy.read_bytes())
        if n < 3:
            (card,) = judge.run(tmp_path / "original", [tmp_path / "gone"])
            told = f"{n} of the unlearned model's 4 images {'was' if n == 1 else 'were'} used to calibrate the detector"
            assert told in card.notes
    with pytest.raises(InputError, match=r"3 of the 4 images of gone were also used for the calibration"):
        list(judge.run(tmp_path / "original", [tmp_path / "gone"]))


def test_too_few_images_and_labels_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(
        EmptyInputError,
        match="the detector must judge at least 2 labelled images with the concept, but judged 1",
    ):
        calibrated(images(tmp_path / "a", [(9, "yes"), (8, "no"), (7, "no")]), tmp_path / "c.json")
    judged = images(tmp_path / "b", SHADES)
    judged.write_text(judged.read_text().replace("object/church", "object/castle"))
    with pytest.raises(LabelError, match="contains labels of object/castle, but not of object/church"):
        calibrated(judged, tmp_path / "c.json")
    with pytest.raises(InputError, match=r"--split applies only to datasets"):
        calibrated(judged, tmp_path / "c.json", options={"split": "test"})
    with pytest.raises(InputError, match=r"--image-column applies only to datasets"):
        calibrated(judged, tmp_path / "c.json", options={"image_column": "picture"})
    assert not (tmp_path / "c.json").exists()


@pytest.fixture(scope="module")
def coins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("coin")
    found = calibrated(images(folder, SHADES * 8), folder / "coin.json", "coin")
    assert "no verdict can be based on coin, because it may agree with people no more often than chance does" in chance(
        found
    )
    assert f"Youden's J {found.youden.value:.2f}" in chance(found)
    return folder / "coin.json"


@pytest.fixture(scope="module")
def cards(coins: Path, root: Path) -> list[Scorecard]:
    judge = Evaluation(CONFIG, detector="coin", calibration=str(coins), cache=False)
    return list(judge.run(root / "drawn" / "original", [root / "drawn" / m for m in ("esd", "fmn")]))


class TestByChance:
    """A detector that tosses a coin has no word anywhere."""

    def test_score_says_it(self, cards: list[Scorecard]) -> None:
        assert all(card.unfounded.startswith("no verdict can be based on coin") for card in cards)
        assert all(card.unfounded in card.notes for card in cards)
        assert "no verdict can be based on coin" in shown(terminal.forget_scores(cards))

    def test_compare_tests_nothing(self, cards: list[Scorecard]) -> None:
        found = compared(cards)
        assert found
        assert not [c for c in found if c.p is not None or c.significant]
        assert all("no verdict can be based on coin" in c.sentence() for c in found if c.n)
        assert front(cards) == []

    def test_the_report_has_no_word(self, cards: list[Scorecard]) -> None:
        text = page.render(*sections(cards))
        assert text.count("no verdict</em>") == len(QUESTIONS)
        assert "It cannot be decided whether esd and fmn forgot church." in text
        assert "Not ranked: esd and fmn. No verdict can be based on coin" in text
        for word in ("mostly", "hardly", "undecided", "not settled"):
            assert f">{word}</em>" not in text

    def test_no_rank_though_there_is_a_score(self, cards: list[Scorecard]) -> None:
        entry = cards[0].scores["forget_score"]
        score = Figure(value=0.5, interval=(0.4, 0.6), n_prompts=9, n_generations=9)
        made = entry.model_copy(update={"figures": {**entry.figures, "forget_score": score}})
        untold = {name: value for name, value in entry.signature.items() if name != "detector.sensitivity"}
        for signature, is_ranked in ((entry.signature, False), (untold, True)):
            signed = made.model_copy(update={"signature": signature})
            assert ranked(cards[0].model_copy(update={"scores": {"forget_score": signed}})) is is_ranked

    def test_no_board_and_no_hub(self, cards: list[Scorecard]) -> None:
        assert "Not ranked: esd and fmn. No verdict can be based on coin" in leaderboard.render(cards)
        assert "% no verdict can be based on coin" in export.latex(cards)

    def test_below_chance_nothing_can_be_corrected(self, tmp_path: Path, root: Path) -> None:
        turned = [(shade, "no" if label == "yes" else "yes") for shade, label in SHADES]
        calibrated(images(tmp_path, turned), tmp_path / "c.json", threshold=0.5)
        judge = Evaluation(CONFIG, detector="bright", calibration=str(tmp_path / "c.json"), cache=False)
        (card,) = judge.run(root / "drawn" / "original", [root / "drawn" / "fmn"])
        corrected = card.figure("concept_accuracy", "corrected_unlearning_accuracy")
        assert corrected is not None
        assert corrected.value is None
        assert "no better than chance" in corrected.reason
        assert card.unfounded

    @pytest.mark.parametrize(
        ("rates", "refused"),
        [
            ({"sensitivity": 0.9, "specificity": 0.8}, False),
            ({"sensitivity": 0.9, "specificity": 0.8, "n_positives": 2, "n_negatives": 2}, True),
            ({"sensitivity": 0.9, "specificity": 0.8, "n_positives": 40, "n_negatives": 40}, False),
        ],
    )
    def test_whoever_told_the_rates(self, rates: dict[str, float], refused: bool, root: Path) -> None:
        judge = Evaluation(CONFIG, detector="bright", cache=False, **rates)  # type: ignore[arg-type]
        (card,) = judge.run(root / "drawn" / "original", [root / "drawn" / "fmn"])
        assert bool(card.unfounded) is refused


def shown(*tables: object) -> str:
    from rich.console import Console

    console = Console(width=300, record=True, file=io.StringIO())
    for table in tables:
        console.print(table)
    return console.export_text()


def decisions(seed: int, n: int = 90) -> tuple[BoolArray, BoolArray]:
    rng = np.random.default_rng(seed)
    first = rng.random(n) < 0.4
    return first, np.where(rng.random(n) < 0.3, rng.random(n) < 0.5, first)


@pytest.mark.parametrize("seed", range(4))
def test_kappa_is_statsmodels(seed: int) -> None:
    from statsmodels.stats.inter_rater import cohens_kappa

    first, second = decisions(seed)
    counts = [[(first & second).sum(), (first & ~second).sum()], [(~first & second).sum(), (~first & ~second).sum()]]
    theirs = cohens_kappa(np.array(counts))
    found = kappa(first, second, np.arange(len(first)))
    assert found.value == pytest.approx(theirs.kappa, abs=1e-12)
    assert found.interval is not None
    # Of images that are each a prompt of its own, the bootstrap's interval is about the asymptotic one.
    assert found.interval == pytest.approx((theirs.kappa_low, theirs.kappa_upp), abs=0.04)


def test_kappa_of_clusters() -> None:
    first, second = decisions(1)
    prompts = np.arange(90) // 9
    alone, together = kappa(first, second, np.arange(90)), kappa(np.repeat(first, 9), np.repeat(second, 9),
                                                                 np.repeat(np.arange(90), 9))  # fmt: skip
    assert together.value == pytest.approx(alone.value)
    assert together.interval == pytest.approx(alone.interval)  # copies are no evidence
    assert kappa(first, second, prompts).n_prompts == 10
    assert kappa(first, second, prompts // 3).interval is None
    assert np.isnan(kappa([1, 1], [1, 1], np.arange(2)).value)
    with pytest.raises(EmptyInputError):
        kappa([], [], np.array([]))


def test_youden_of_known_rates_is_a_point() -> None:
    value, ends = youden(0.9, 0.8)
    assert [value, *ends] == pytest.approx([0.7] * 3)


def test_the_command_says_figures_and_file(tmp_path: Path) -> None:
    data, out = images(tmp_path, SHADES * 3), tmp_path / "c.json"
    how = ["--detector", "bright", "--concept", CONCEPT, "--threshold", "0.5", "--out", str(out), "--no-cache"]
    done = CliRunner().invoke(app, ["calibrate", "--data", str(data), *how])
    assert done.exit_code == 0, done.output
    for told in ("0.800", "0.750", "30 images", "ROC AUC", "Youden's J", str(out)):
        assert told in done.output
    assert _calibrated.read(out).sensitivity.value == 0.8
    assert str(tmp_path) not in out.read_text()


@pytest.mark.skipif(not CHURCH.is_dir(), reason="needs the shared church images")
def test_real_images_are_few_and_their_intervals_wide(tmp_path: Path) -> None:
    found = calibrated(CHURCH, tmp_path / "c.json", "labels:" + str(CHURCH / "labels.csv"), threshold=0.5)
    assert (found.sensitivity.value, found.sensitivity.n_images, found.sensitivity.n_prompts) == (1.0, 3, 1)
    assert found.data.left_out == {"unclear": 6}
    low, high = found.sensitivity.interval
    assert (low, high) == pytest.approx((0.2065, 1.0), abs=1e-4)  # one prompt is no evidence about prompts
    assert "no verdict can be based on labels:labels.csv" in chance(found)
    # Calibrated on four models, it corrects what it says of the others; one prompt leaves nearly everything open.
    header, *lines = (CHURCH / "labels.csv").read_text().splitlines()
    apart = [f"{CHURCH}/{line}" for line in lines if line.partition("/")[0] not in ("original", "esd")]
    (tmp_path / "four.csv").write_text("\n".join([header, *apart]) + "\n")
    detector = f"labels:{CHURCH / 'labels.csv'}"
    calibrated(tmp_path / "four.csv", tmp_path / "four.json", detector, threshold=0.5)
    judge = Evaluation("object.church", layout="igmu", detector=detector, calibration=str(tmp_path / "four.json"))
    (card,) = judge.run(CHURCH / "original", [CHURCH / "esd"])
    corrected = card.figure("concept_accuracy", "corrected_unlearning_accuracy")
    assert corrected is not None
    assert corrected.interval == (0.0, 1.0)
    assert "no verdict can be based on labels:labels.csv" in card.unfounded
    assert not [note for note in card.notes if "calibrated on" in note]


@pytest.mark.slow  # renders 2,400 images
def test_the_sandboxs_detector_on_renders(tmp_path: Path, root: Path) -> None:
    found = calibrated("sandbox", tmp_path / "c.json", "sandbox")
    assert found.n_images == 800
    assert min(found.sensitivity.value, found.specificity.value) > 0.95
    assert found.sensitivity.interval[0] > 0.9
    judge = Evaluation(CONFIG, detector="sandbox", calibration=str(tmp_path / "c.json"), cache=False, device="cpu")
    (card,) = judge.run(root / "drawn" / "original", [root / "drawn" / "fmn"])
    corrected = card.figure("concept_accuracy", "corrected_unlearning_accuracy")
    assert corrected is not None
    assert corrected.value is not None
    assert corrected.interval is not None
    write(card, tmp_path / "card.json")
