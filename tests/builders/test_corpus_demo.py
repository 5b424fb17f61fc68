from __future__ import annotations

import re
from pathlib import Path

import pytest

from builders import demo


def test_demo_ends_with_a_table_and_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cards = demo.run(tmp_path / "demo", tmp_path / "no church here")
    printed = capsys.readouterr().out
    assert "{'forget': " in printed
    assert "unlearning accuracy, 95 % intervals" in printed
    assert [c.model for c in cards] == ["forgetful", "unchanged"]
    page = (tmp_path / "demo" / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/webp;base64,") == 3 * page.count("<small>seed ")
    assert not re.search(r"(src|href)=.?http", page)  # self-contained
