from __future__ import annotations

import re
from pathlib import Path

import pytest

from builders import church, readme


@pytest.mark.skipif(not church.FOLDER.is_dir(), reason="needs the shared church images")
def test_church_ends_with_a_table_and_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cards = church.run(tmp_path, church.FOLDER)
    assert "unlearning accuracy, 95% intervals" in capsys.readouterr().out
    assert [c.model for c in cards] == list(church.MODELS)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("data-image=") == 6 * page.count("<li data-split=") > 0
    assert "It is undecided whether esd, fmn, mace, spm and uce forgot church." in page  # one prompt decides nothing
    assert not re.search(r"(src|href)=.?http", page)  # self-contained


@pytest.mark.slow
@pytest.mark.parametrize("page", readme.PAGES)
def test_generated_parts_are_up_to_date(page: str) -> None:
    text = (readme.ROOT / page).read_text(encoding="utf-8")
    assert readme.filled(text) == text, "run python -m builders.readme"


def test_every_generated_part_is_in_some_page() -> None:
    texts = [(readme.ROOT / page).read_text(encoding="utf-8") for page in readme.PAGES]
    assert [re.findall(r"<!-- generated: (\w+) -->", text) for text in texts] == [["corpus"], ["church"]]
