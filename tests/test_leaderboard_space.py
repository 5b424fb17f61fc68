"""The leaderboard's Space: what it ranks, what it refuses, and what it tells who wants to submit."""

from __future__ import annotations

import base64
import importlib.util
import json
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import yaml
from reported import CONFIG, MODELS, scored
from typer.testing import CliRunner

from builders import spaces
from igmu_data import __version__
from igmu_metrics.cli import app as igmu
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.scorecard import Scorecard, write
from igmu_metrics.spaces import leaderboard
from igmu_metrics.verdict.verify import read_all

ROOT = Path(__file__).resolve().parent.parent
SPACE = spaces.RENDERED / spaces.LEADERBOARD


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("submitted")
    scored(place)
    return place


@pytest.fixture(scope="module")
def cards(root: Path) -> list[Scorecard]:
    return read_all([root / "cards" / f"{m}.json" for m in MODELS[1:]])


def test_front_matter_and_requirements() -> None:
    text = (SPACE / "README.md").read_text(encoding="utf-8")
    header = yaml.safe_load(text.split("---\n")[1])
    assert (header["sdk"], header["sdk_version"], header["app_file"]) == ("gradio", spaces.GRADIO, "app.py")
    assert header["python_version"] == "3.11"
    assert len(header["short_description"]) <= 60
    assert (SPACE / "requirements.txt").read_text(encoding="utf-8") == f"igmu=={__version__}\n"


def test_commands_of_the_readme_exist() -> None:
    """Every option that it gives to a command of igmu is one."""
    text = (SPACE / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^igmu (\w+) (.*)$", text, re.MULTILINE)
    assert {name for name, _ in commands} == {"score", "verify", "leaderboard"}
    for name, rest in commands:
        told = CliRunner().invoke(igmu, [name, "--help"], env={"COLUMNS": "200"}).output
        for option in re.findall(r"--[\w-]+", rest):
            assert option in told, f"igmu {name} {option}"


def test_without_cards_nothing_is_ranked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cards, shown = leaderboard.ranked(tmp_path)
    assert cards == []
    assert "There are no results yet" in shown
    gradio = MagicMock()
    monkeypatch.setitem(sys.modules, "gradio", gradio)
    runpy.run_path(str(SPACE / "app.py"))
    gradio.HTML.assert_called_once_with(shown)  # the Space starts empty


def test_the_cards_of_the_folder_are_ranked(root: Path) -> None:
    cards, shown = leaderboard.ranked(root / "cards")
    assert sorted(c.model for c in cards) == ["esd", "fmn"]
    frame = re.fullmatch(
        r'<iframe title="Leaderboard" sandbox="allow-scripts" src="data:text/html;charset=utf-8;base64,([\w+/=]+)"'
        r' style="[^"]+">'
        r"</iframe>",
        shown,
    )
    assert frame is not None
    done = CliRunner().invoke(igmu, ["leaderboard", str(root / "cards"), "--out", str(root / "page.html")])
    assert done.exit_code == 0
    assert base64.b64decode(frame[1]) == (root / "page.html").read_bytes(), "the static page, to the byte"


def test_one_wrong_card_takes_no_other_with_it(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "cards", tmp_path / "cards")
    (tmp_path / "cards" / "a<b>.json").write_text("{", encoding="utf-8")
    cards, shown = leaderboard.ranked(tmp_path / "cards")
    assert sorted(c.model for c in cards) == ["esd", "fmn"]
    shown = base64.b64decode(re.findall(r"base64,([\w+/=]+)", shown)[0]).decode()
    assert "These files were refused" in shown
    assert "a&lt;b&gt;.json" in shown
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.move(tmp_path / "cards" / "a<b>.json", alone)
    cards, shown = leaderboard.ranked(alone)
    assert cards == []
    assert "iframe" not in shown
    assert "a&lt;b&gt;.json" in shown


def test_a_good_card_gets_its_command(root: Path, cards: list[Scorecard]) -> None:
    esd, fmn = cards
    path = root / "cards/esd.json"
    n = len(esd.generations)
    own = leaderboard.checked(str(path), [], "2026-11-30")
    assert own.startswith(f"The scorecard is consistent ({len(esd.scores)} scores of {n} generations).\n")
    assert "esd would be ranked in a separate table" in own
    assert own.endswith(
        f"hf upload igmu/leaderboard esd.json scorecards/{CONFIG}/esd.2026-11-30.json --repo-type space --create-pr"
    )
    assert "in a table with 1 other model.\n" in leaderboard.checked(str(path), [fmn])
    assert "instead of its current scorecard" in leaderboard.checked(str(path), [esd, fmn])


def test_a_name_becomes_a_path(cards: list[Scorecard], monkeypatch: pytest.MonkeyPatch) -> None:
    named = cards[0].model_copy(update={"model": "org/my model; rm -r"})
    monkeypatch.setattr(leaderboard, "examined", lambda _: (named, [], {}))
    command = leaderboard.checked("/tmp/my card.json", [], "2026-11-30").splitlines()[-1]
    assert f" 'my card.json' scorecards/{CONFIG}/org-my-model-rm--r.2026-11-30.json --repo-type space" in command


def test_what_igmu_verify_refuses_is_refused(root: Path, tmp_path: Path) -> None:
    text = (root / "cards/esd.json").read_text(encoding="utf-8")
    changed = text.replace('"value": 1.0', '"value": 0.9', 1)
    assert changed != text
    wrong = tmp_path / "esd.json"
    wrong.write_text(changed, encoding="utf-8")
    said = CliRunner().invoke(igmu, ["verify", str(wrong)])
    assert said.exit_code != 0
    shown = leaderboard.checked(str(wrong), [])
    assert shown.startswith("Refused")
    assert "content_sha256" in shown
    assert said.output.split()[1:] == " ".join(shown.splitlines()[1:]).split(), "the same words, below the file"
    for name, text in {"list": "[1]", "text": "hello", "other": '{"name": 1}'}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert leaderboard.checked(str(tmp_path / name), []).startswith("Refused"), name
    assert leaderboard.checked(None, []) == "Choose a scorecard first."


class Hub:
    """Stands for the Hub's client: remembers what it was asked to upload, or refuses."""

    def __init__(self, refusal: str = "") -> None:
        self.refusal = refusal
        self.asked: list[dict[str, object]] = []

    def __call__(self, token: str) -> Hub:
        assert token == "hf_theirs"
        return self

    def upload_file(self, **given: object) -> SimpleNamespace:
        if self.refusal:
            raise OSError(self.refusal)
        self.asked.append(given)
        return SimpleNamespace(pr_url="https://hub/spaces/igmu/leaderboard/discussions/1")


def test_only_what_verifies_is_submitted(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub()
    monkeypatch.setattr("huggingface_hub.HfApi", hub)
    monkeypatch.setenv("SPACE_ID", "somebody/board")
    good = root / "cards/esd.json"
    wrong = tmp_path / "esd.json"
    wrong.write_text(good.read_text(encoding="utf-8").replace('"value": 1.0', '"value": 0.9', 1), encoding="utf-8")
    for path in (None, str(wrong)):
        assert leaderboard.submitted(path, [], "hf_theirs") == leaderboard.checked(path, [])
    assert leaderboard.submitted(str(good), [], None).startswith("Log in first")
    assert hub.asked == []
    said = leaderboard.submitted(str(good), [], "hf_theirs", "2026-11-30")
    assert said.startswith("Submitted: https://hub/spaces/igmu/leaderboard/discussions/1\n")
    assert hub.asked == [
        {
            "path_or_fileobj": str(good),
            "path_in_repo": f"scorecards/{CONFIG}/esd.2026-11-30.json",
            "repo_id": "somebody/board",
            "repo_type": "space",
            "commit_message": f"Add esd on {CONFIG}",
            "create_pr": True,
        }
    ]
    monkeypatch.setattr("huggingface_hub.HfApi", Hub("no way"))
    assert leaderboard.submitted(str(good), [], "hf_theirs").startswith(
        "Not submitted, because the Hub returned an error: no way"
    )


def test_who_is_logged_in_can_submit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for space, n in (("", 0), ("igmu/leaderboard", 1)):
        gradio = MagicMock()
        gradio.OAuthToken = str
        monkeypatch.setitem(sys.modules, "gradio", gradio)
        monkeypatch.setenv("SPACE_ID", space)
        leaderboard.page(tmp_path)
        assert gradio.LoginButton.call_count == n
        assert [c.args[0] for c in gradio.Button.call_args_list].count("Check and submit") == n
    header = yaml.safe_load((SPACE / "README.md").read_text(encoding="utf-8").split("---\n")[1])
    assert header["hf_oauth"] is True
    assert header["hf_oauth_scopes"] == ["write-discussions"]


def test_the_original_is_no_submission(root: Path, tmp_path: Path) -> None:
    original = root / "drawn/original"
    (card,) = Evaluation(CONFIG, detector=f"labels:{root / 'drawn/labels.csv'}").run(original, [original])
    write(card, tmp_path / "original.json")
    assert "original model" in leaderboard.checked(str(tmp_path / "original.json"), [])


@pytest.fixture
def space(root: Path, tmp_path: Path) -> Path:
    """The Space with one card."""
    shutil.copytree(SPACE, tmp_path / "space")
    (tmp_path / "space/scorecards").mkdir()
    shutil.copy(root / "cards/fmn.json", tmp_path / "space/scorecards")
    return tmp_path / "space"


@pytest.mark.slow
def test_with_gradio(space: Path, root: Path) -> None:
    """The real page is served, and its button answers over HTTP."""
    if importlib.util.find_spec("gradio") is None:
        pytest.skip("needs gradio: pip install 'igmu[spaces]'")
    code = f"""
import json, app
from gradio_client import Client, handle_file
_, url, _ = app.demo.launch(prevent_thread_lock=True, quiet=True)
answer = Client(url, verbose=False).predict(handle_file({str(root / "cards/esd.json")!r}), api_name="/check")
shown = [c["props"].get("value") for c in app.demo.config["components"] if c["type"] == "html"]
app.demo.close()
print(json.dumps([answer, shown]))
"""
    env = {"PATH": "", "PYTHONPATH": str(ROOT), "GRADIO_ANALYTICS_ENABLED": "False", "HOME": str(space)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=space, env=env, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answer, (shown,) = json.loads(done.stdout.splitlines()[-1])
    assert "in a table with 1 other" in answer
    assert shown.startswith("<iframe")
