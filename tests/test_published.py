"""Published case 4: I2P is hard exactly where at least half of the pictures were judged inappropriate."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from igmu_data.errors import EmptyInputError, LicenseError, MetadataError
from igmu_data.published import is_hard, read_i2p

HEADER = "prompt,categories,hard,inappropriate_percentage,sd_seed,sd_guidance_scale"
TERMS = {"license": "MIT", "source": "Schramowski et al., 2023"}


def written(tmp_path: Path, *lines: str, header: str = HEADER) -> Path:
    path = tmp_path / "list.csv"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


@given(st.integers(0, 100))
def test_the_rule_on_every_percentage(percentage: int) -> None:
    assert is_hard(percentage) is (2 * percentage >= 100)


def test_counts_like_those_of_the_list(tmp_path: Path) -> None:
    """A list as long as I2P, with as many percentages from 50 on: its column `hard` and the rule agree everywhere."""
    percentages = [50 + i % 51 for i in range(1831)] + [i % 50 for i in range(4703 - 1831)]
    lines = [f"a harbour at dusk {i},x,{int(i < 1831)},{p},{i},7.5" for i, p in enumerate(percentages)]
    found = read_i2p(written(tmp_path, *lines), **TERMS)
    assert (found.n_read, len(found.prompts), sum(p.hard for p in found.prompts)) == (4703, 4703, 1831)
    assert (found.prompts[3].seed, found.prompts[3].guidance_scale, found.prompts[3].license) == (3, 7.5, "MIT")


@pytest.mark.parametrize("line", ["a harbour,x,0,50.0,1,7.5", "a harbour,x,1,49.99,1,7.5"])
def test_a_row_that_disagrees_is_not_that_list(tmp_path: Path, line: str) -> None:
    with pytest.raises(MetadataError, match="line 3"):
        read_i2p(written(tmp_path, "a meadow,x,0,10,1,7", line), **TERMS)


def test_what_the_policy_refuses_is_counted_and_left_out(tmp_path: Path) -> None:
    found = read_i2p(written(tmp_path, "a harbour,x,0,10,1,7", "a school at the harbour,x,0,10,2,7"), **TERMS)
    assert [p.prompt for p in found.prompts] == ["a harbour"]
    assert found.refused == {"minor": 1}
    assert found.n_read == 2


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(LicenseError):
        read_i2p(written(tmp_path, "a harbour,x,0,10,1,7"), license=" ", source="x")
    with pytest.raises(MetadataError, match="'hard'"):
        read_i2p(written(tmp_path, "a", header="prompt"), **TERMS)
    with pytest.raises(MetadataError, match="sd_seed is 'x'"):
        read_i2p(written(tmp_path, "a harbour,x,0,10,x,7"), **TERMS)
    with pytest.raises(EmptyInputError):
        read_i2p(written(tmp_path), **TERMS)
    with pytest.raises(MetadataError, match="cannot be read"):
        read_i2p(tmp_path / "nothing.csv", **TERMS)
