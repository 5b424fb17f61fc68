"""Several detectors in one run: each as if it were alone, images read once, and how far they agree."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import reported
from rich.console import Console
from test_calibrate import BRIGHT, COIN, DETECTOR, SHADES, calibrated, images
from typer.testing import CliRunner

from igmu_data.errors import InputError
from igmu_metrics import registry
from igmu_metrics.backbones.clip import DEFAULT
from igmu_metrics.cli import app
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.generations import ORIGINAL
from igmu_metrics.images import files
from igmu_metrics.report import page, terminal
from igmu_metrics.report.folders import sections
from igmu_metrics.scorecard import Scorecard, read
from igmu_metrics.statistics import kappa
from igmu_metrics.verdict.agreement import agreements, folder_names, panel, verdicts

CONFIG = "sandbox.church"
# A detector that looks at nothing but a network's features, which the cache keeps.
READING = (
    DETECTOR.format(doc="Mean red", name="red", rule="0")
    .replace("self.info", "self.reads = (Mean(),)\n        self.info", 1)
    .replace("[0 for image in batch.images]", "batch.features(self.reads[0])[:, 0]")
    + """
class Mean:
    info = InstrumentInfo(name="mean", revision="1", preparation="none")
    preparation, batch = "none", 16
    def prepare(self, image):
        return np.asarray(image, dtype=np.float64).mean(axis=(0, 1)) / 255
    def extract(self, inputs):
        return np.stack(inputs)
"""
)
UNLEARNED = ("esd", "fmn")


@pytest.fixture(scope="module", autouse=True)
def _plugins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("plugins")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_files", "_tried"):
            patch.setattr(registry, name, {})
        for name, text in (("bright.py", BRIGHT), ("coin.py", COIN), ("red.py", READING)):
            (folder / name).write_text(text)
            registry.load_file(folder / name)
        yield


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reported.draw(tmp_path_factory.mktemp("reported"))


@pytest.fixture(scope="module")
def detectors(labels: Path) -> list[str]:
    return [f"labels:{labels}", "coin", "red"]


def run(labels: Path, *evaluations: Evaluation) -> list[Scorecard]:
    first, *also = evaluations
    folders = [labels.parent / model for model in reported.MODELS]
    return list(first.run(folders[0], folders[1:], also=also))


@pytest.fixture(scope="module")
def cards(labels: Path, detectors: list[str]) -> list[Scorecard]:
    return run(labels, *panel(detectors, [], {"config": CONFIG}))


@pytest.mark.slow
def test_networks_judge_as_if_they_were_alone(labels: Path) -> None:
    how = {"device": "cpu", "clip": "sandbox"}
    both = run(labels, *panel(["sandbox", "clip:sandbox"], [], {"config": CONFIG, **how}))
    for k, detector in enumerate(("sandbox", "clip:sandbox")):
        assert both[k::2] == run(labels, Evaluation(CONFIG, detector=detector, **how))  # type: ignore[arg-type]
    assert all(figure is not None for _, _, (figure, *_), _ in verdicts(both))


def test_each_judges_as_if_it_were_alone(labels: Path, detectors: list[str], cards: list[Scorecard]) -> None:
    for k, detector in enumerate(detectors):
        alone = run(labels, Evaluation(CONFIG, detector=detector))
        assert [c.sealed().content_sha256 for c in cards[k::3]] == [c.content_sha256 for c in alone]
        assert cards[k::3] == alone
    assert [c.model for c in cards] == [m for m in UNLEARNED for _ in detectors]


@pytest.mark.parametrize("cache", [False, True])
def test_every_image_is_decoded_once(
    cache: bool, labels: Path, detectors: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    decoded: Counter[str] = Counter()
    real = files.decode_image

    def counted(data: bytes, *, name: str) -> object:
        decoded[name] += 1
        return real(data, name=name)

    monkeypatch.setattr(files, "decode_image", counted)
    monkeypatch.setenv("IGMU_CACHE", str(tmp_path))
    run(labels, *panel(detectors, [], {"config": CONFIG, "cache": cache}))
    n = len(list(labels.parent.rglob("*.png")))
    assert len(decoded) == n
    assert set(decoded.values()) == {1}


def test_a_second_detector_asks_only_for_what_it_has_not_seen(
    labels: Path, detectors: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("IGMU_CACHE", str(tmp_path))
    label, _, red = detectors
    cold = run(labels, *panel([red], [], {"config": CONFIG}))
    warm = run(labels, *panel([label, red], [], {"config": CONFIG}))
    assert warm[1::2] == cold


def test_agreement_by_hand(cards: list[Scorecard]) -> None:
    found = {(a.first, a.second, a.part): a for a in agreements(cards)}
    by_labels, by_coin = cards[0::3], cards[1::3]
    said: list[tuple[str, bool, bool]] = []
    for k, (one, other) in enumerate(zip(by_labels, by_coin, strict=True)):
        for suffix in ("", *([ORIGINAL] if k == 0 else [])):  # the original's images once
            name = f"present{suffix}"
            pairs = zip(one.generations.records("id", name), other.generations.records("id", name), strict=True)
            said += [(a["id"], a[name], b[name]) for a, b in pairs if a[name] is not None and b[name] is not None]
    x, y = (np.array([s[k] for s in said]) for k in (1, 2))
    a = found["labels:labels.csv", "coin", "all"]
    assert (a.both, a.only_first) == ((x & y).sum(), (x & ~y).sum())
    assert (a.only_second, a.neither) == ((~x & y).sum(), (~x & ~y).sum())
    assert a.share.value == pytest.approx((x == y).mean())
    assert (a.share.n_generations, a.share.n_prompts) == (len(said), len({s[0] for s in said}))
    assert a.kappa == kappa(x, y, np.array([s[0] for s in said]))
    parts = [p for first, second, p in found if (first, second) == ("labels:labels.csv", "coin")]
    assert parts[:4] == ["all", "forget", "retain", "adversarial"]
    assert sum(found["labels:labels.csv", "coin", p].share.n_generations for p in parts[1:]) == len(said)


def test_the_verdict_by_each(cards: list[Scorecard]) -> None:
    told = verdicts(cards)
    assert [(model, name) for model, name, *_ in told] == [
        (model, name) for model in UNLEARNED for name in ("labels:labels.csv", "coin", "red")
    ]
    for card, (_, _, figures, why) in zip(cards, told, strict=True):
        assert figures[1] == card.figure("forget_score", "forgetting")
        assert why == card.unfounded
    console = Console(width=250, record=True, file=io.StringIO())
    for table in terminal.agreement(cards):
        console.print(table)
    text = console.export_text()
    for part in ("labels:labels.csv – coin", "Cohen's kappa", "the verdict by each detector", "robustness"):
        assert part in text


def test_the_report_has_a_verdict_by_each_and_says_how_far_they_agree(cards: list[Scorecard]) -> None:
    text = page.render(*sections(cards))
    for name in ("labels:labels.csv", "coin", "red"):
        assert f"judged by <b>{name}</b>" in text
    assert text.count('-title">Do the detectors agree? ') == 1
    assert "labels:labels.csv and coin agree on " in text
    assert text.count(">Does it forget?<") == 3
    alone = page.render(*sections(cards[0::3]))
    assert "Do the detectors agree?" not in alone
    assert "judged by <b>" not in alone


def test_the_command_writes_a_folder_a_detector(labels: Path, tmp_path: Path) -> None:
    calibrated(images(tmp_path / "a", SHADES * 3), tmp_path / "bright.json", threshold=0.5)
    drawn = labels.parent
    words = ["score", "--original", drawn / "original", "--unlearned", drawn / "esd", "--config", CONFIG]
    words += ["--detector", f"labels:{labels}", "--detector", "bright", "--calibration", tmp_path / "bright.json"]
    done = CliRunner().invoke(app, [*map(str, words), "--out", str(tmp_path / "cards"), "--no-cache"])
    assert done.exit_code == 0, done.output
    found = sorted((tmp_path / "cards").rglob("*.json"))
    assert [p.relative_to(tmp_path / "cards").as_posix() for p in found] == [
        "bright/esd.sandbox.church.json",
        "labels-labels.csv/esd.sandbox.church.json",
    ]
    signed = [read(p).scores["concept_accuracy"].signature for p in found]
    assert [s["detector"] for s in signed] == ["bright", "labels:labels.csv"]
    assert "detector.calibration" in signed[0]
    assert "detector.calibration" not in signed[1]
    assert "agreement of the detectors on the same images" in done.output
    for more, says in (
        (["--shard", "1/2", "--out", "x"], "support only one detector"),
        (["--out", "x.json"], "Specify a folder"),
        (["--threshold", "0.5"], "one threshold is specified for 2 detectors"),
    ):
        refused = CliRunner().invoke(app, [*map(str, words), *more, "--no-cache"])
        assert says in f"{refused.output}{refused.exception}", more


def test_names_of_folders() -> None:
    assert folder_names(["clip", "clip:a/b", "labels:x/l.csv", "labels:y/l.csv"]) == [
        "clip",
        "clip-b",
        "labels-l.csv",
        "labels-l.csv-2",
    ]


def test_one_clip_of_alignment_for_all(tmp_path: Path) -> None:
    settings = {"config": CONFIG}
    chosen = [(e.detector, e.clip) for e in panel(["labels:l.csv", "clip", "clip:other"], [], settings)]
    assert chosen == [("labels:l.csv", DEFAULT), ("clip", None), ("clip:other", DEFAULT)]
    chosen = [(e.detector, e.clip) for e in panel(["coin", "clip:a"], [], {**settings, "clip": "b"})]
    assert chosen == [("coin", "b"), ("clip:a", "b")]
    assert [e.clip for e in panel(["clip"], [], settings)] == [None]
    with pytest.raises(InputError, match="'coin' is given twice"):
        panel(["coin", "coin"], [], settings)
    with pytest.raises(InputError, match="one sensitivity is specified for 2 detectors"):
        panel(["coin", "bright"], [], {**settings, "sensitivity": 0.9})
    calibrated(images(tmp_path, SHADES * 3), tmp_path / "bright.json", threshold=0.5)
    with pytest.raises(InputError, match="is for bright, which is not one of the detectors \\(coin, clip"):
        panel(["coin", "clip"], [str(tmp_path / "bright.json")], settings)
