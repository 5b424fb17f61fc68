"""What users read keeps the words of CONTRIBUTING.md, and a seeded command samples its sentences."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from builders import words


def test_help_errors_and_clean_pages_have_no_banned_word() -> None:
    assert words.found(words.checked()) == []


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("One picture per prompt.", "picture"),
        ("Images drawn at random.", "drawn"),
        ("The card tells its value.", "tells"),
        ("It stands there twice.", "stands"),
        ("Highest value; likewise.", "likewise"),
        ("In the miniature world.", "miniature world"),
        ("A lora is no network.", "is no"),
        ("The pipeline takes no negative prompt.", "takes no"),
        ("Recorded is keep, asked for is apart.", "asked for is"),
    ],
)
def test_a_banned_word_is_named_with_its_place_and_what_to_write(text: str, word: str) -> None:
    (line,) = words.found(iter([words.Text("igmu score --k", text)]))
    assert line.startswith(f"igmu score --k: {word!r}; write ")


@pytest.mark.parametrize(
    "text",
    [
        "It stands for every file.",
        "withdrawn, outstanding",
        "`told` in code",
        "There is no folder, it is no better than chance, and there are no images.",
    ],
)
def test_what_is_allowed_is_no_fault(text: str) -> None:
    assert words.found(iter([words.Text("x", text)])) == []


def test_no_percent_sign_has_a_space_before_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert list(words.signs()) == []
    sign = "%"
    for name, text in {
        "a.md": f"In 95 {sign} of cases, 95% of which",
        "docs/b/c.md": f"0 to 9\u00a0{sign}.",
        "igmu_x/d/e.py": f'f"{{n:.0f}} {sign}, {{n}}\\u00a0{sign} of {{n}}"',
        "igmu_x/f.html": "{% if n > 1 %}x{% endif %}",
        "igmu_x/g.py": "n = i % 3\nm = 17 % 4",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(words, "ROOT", tmp_path)
    assert [line.partition(": ")[0] for line in words.signs()] == ["a.md:1", "docs/b/c.md:1", "igmu_x/d/e.py:1"]


def test_help_errors_and_pages_are_all_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    helps = {one.where: one.text for one in words.helps()}
    assert helps["igmu check --max"].startswith("Highest value")
    assert helps["igmu cache prune --help"] == "Delete the least recently used entries from the cache."
    (tmp_path / "igmu_data").mkdir()
    (tmp_path / "igmu_data/a.py").write_text('raise InputError(f"{x}: a picture. Draw another.")\n', encoding="utf-8")
    (tmp_path / "a.md").write_text("# A picture\n\nA picture\nof it.\n\n```\na picture\n```\n", encoding="utf-8")
    monkeypatch.setattr(words, "ROOT", tmp_path)
    assert list(words.errors()) == [("igmu_data/a.py:1", "…: a picture. Draw another.")]
    assert [text for _, text in words.pages("*.md")] == ["A picture of it."]


def test_every_page_of_the_list_is_there() -> None:
    assert all((words.ROOT / page).is_file() for page in words.CLEAN)


@pytest.mark.slow
def test_a_seed_chooses_the_same_sentences_again() -> None:
    import typer

    app = typer.Typer()
    app.command()(words.main)
    first, again, other = (
        CliRunner().invoke(app, ["--sample", "20", "--seed", seed], catch_exceptions=False).output
        for seed in ("1", "1", "2")
    )
    assert first == again != other
    assert len(first.splitlines()) == 20
    assert all(re.match(r"\S.*: \S", line) for line in first.splitlines())
