"""The documentation follows the code, and every command in it is one that igmu understands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

from builders import docs
from igmu_data import errors
from igmu_data.taxonomy import all_concepts
from igmu_metrics import registry
from igmu_metrics.cli import INTERRUPTED, app
from igmu_metrics.verdict.criteria import Outcome

ROOT = Path(__file__).resolve().parents[2]
WRITTEN = sorted(
    p
    for p in (ROOT / "README.md", ROOT / "dataset_card.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"))
    if p.relative_to(ROOT / "docs" if p.is_relative_to(ROOT / "docs") else ROOT).as_posix() not in docs.pages()
)
FENCE = re.compile(r"^ *```bash\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[list[str]]:
    """The igmu commands in the bash blocks of a page, as words; places to fill in (`…`, `{{example}}`) stay out."""
    lines = (line.strip() for block in FENCE.findall(text) for line in block.replace("\\\n", " ").splitlines())
    found = (shlex.split(line, comments=True) for line in lines if line.startswith("igmu "))
    return [words[1:] for words in found if not {"…", "{{example}}"} & set(words)]


def understood(words: list[str]) -> None:
    """Parse a command as the command line would; whatever it does not know is an error."""
    command: Any = typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    assert not hasattr(command, "commands"), f"no such command: {words}"
    command.make_context("igmu", list(words))


def test_generated_pages_are_up_to_date() -> None:
    assert docs.stale() == [], "run python -m builders.docs"


def test_every_error_has_a_meaning_and_a_place() -> None:
    known = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.IgmuError)]
    lines = {
        line.split("`")[1]: line for line in docs.pages()["reference/errors.md"].splitlines() if "Error` |" in line
    }
    assert lines.keys() == {one.__name__ for one in known}
    for line in lines.values():
        assert all(cell.strip() for cell in line.strip("|").split("|")), line
    assert [name for name, line in lines.items() if "only as one of its kinds" in line] == ["UnknownNameError"]
    codes = re.findall(r"^\| (\d+) \|", docs.pages()["reference/errors.md"], re.MULTILINE)
    assert set(map(int, codes)) == {*(outcome.exit_code for outcome in Outcome), INTERRUPTED}


def test_stale_pages_are_found(tmp_path: Path) -> None:
    made = docs.pages()
    for path, text in made.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    (tmp_path / "by-hand.md").write_text("# Mine\n", encoding="utf-8")
    assert docs.stale(tmp_path) == []
    (tmp_path / "metrics/lpips.md").unlink()
    (tmp_path / "reference/cli.md").write_text("old", encoding="utf-8")
    (tmp_path / "metrics/gone.md").write_text(made["metrics/lpips.md"], encoding="utf-8")
    assert docs.stale(tmp_path) == ["metrics/gone.md", "metrics/lpips.md", "reference/cli.md"]


def test_everything_registered_is_documented() -> None:
    made = docs.pages()
    assert {f"metrics/{name}.md" for name in registry.names("metrics")} <= set(made)
    for group, page in (("detectors", "instruments"), ("backbones", "instruments"), ("attacks", "attacks")):
        assert all(f"### `{name}`" in made[f"reference/{page}.md"] for name in registry.names(group))
    assert all(f"`{name}`" in made["reference/concepts.md"] for name in all_concepts())


@pytest.mark.parametrize("words", [["score"], ["attack"], ["cache", "prune"]])
def test_the_command_line_page_is_what_help_prints(words: list[str]) -> None:
    shown = CliRunner().invoke(app, [*words, "--help"], terminal_width=docs.WIDTH, prog_name="igmu").output
    assert "\n".join(line.rstrip() for line in shown.strip().splitlines()) in docs.pages()["reference/cli.md"]


@pytest.mark.parametrize("path", WRITTEN, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_commands_in_the_documentation_are_understood(path: Path) -> None:
    for words in commands(path.read_text(encoding="utf-8")):
        understood(words)


def test_the_check_of_commands_can_fail() -> None:
    page = "```bash\nigmu score --originl a --unlearned b \\\n  --config object.church\nigmu scor\nls # igmu\n```\n"
    score, typo = commands(page)
    assert score[-2:] == ["--config", "object.church"]
    with pytest.raises(Exception, match="originl"):
        understood(score)
    with pytest.raises(AssertionError, match="scor"):
        understood(typo)
    assert len(commands((ROOT / "README.md").read_text(encoding="utf-8"))) >= 1


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_from_the_front_pages_lead_somewhere(name: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / name).read_text(encoding="utf-8"))
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_generated_page_is_in_the_navigation() -> None:
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    listed = set(re.findall(r"[\w/-]+\.md", str(nav)))
    assert set(docs.pages()) <= listed
    assert [page for page in listed if not (ROOT / "docs" / page).is_file()] == []
