"""Tables that people type: what cells mean, and that igmu check-table and igmu compare --published read them alike."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from igmu_data.errors import EmptyInputError, IgmuError, MetadataError
from igmu_metrics.cli import app
from igmu_metrics.verdict.counts import check_table
from igmu_metrics.verdict.published import compare_published, read_published


def table(folder: Path, text: str) -> Path:
    path = folder / "t.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("column", "cell", "share"),
    [
        ("percent", '"95,2"', 0.952),
        ("percent", "95·2", 0.952),
        ("percent", f"95.2{chr(0xA0)}%", 0.952),
        ("percent", r"\textbf{95.2\%}", 0.952),
        ("value", "95.2%", 0.952),
        ("value", '"0,952"', 0.952),
        ("value", "**.952**", 0.952),
        ("percent", "0", 0.0),
        ("percent", "100", 1.0),
        ("value", "0.000", 0.0),
        ("value", "1.000", 1.0),
    ],
)
def test_cells_that_are_read(tmp_path: Path, column: str, cell: str, share: float) -> None:
    path = table(tmp_path, f"model,n,{column}\nesd,1000,{cell}\nuce,1000,0.5%\n")
    assert float(check_table(path)[0].share) == share
    assert read_published(path)[0].value == share


@pytest.mark.parametrize("cell", ["", "−", "–", "--", "n/a", "N.A.", "nan", "None", "…"])
def test_cells_without_a_number(tmp_path: Path, cell: str) -> None:
    """compare --published refused the whole table, although check-table kept such lines."""
    path = table(tmp_path, f"model,n,percent\nesd,1000,{cell}\nuce,,{cell}\nfmn,1000,20.1\n")
    assert (len(check_table(path)), check_table(path).unnumbered) == (1, [2, 3])
    found = read_published(path)
    assert [one.model for one in found] == ["fmn"]
    assert found.notes == ["2 lines without a number left out (2, 3)"]
    answer = json.loads(CliRunner().invoke(app, ["compare", "--published", str(path), "--json"]).stdout)["result"]
    assert answer["notes"] == found.notes
    assert (
        "note: 2 lines without a number left out (2, 3)."
        in CliRunner().invoke(app, ["compare", "--published", str(path)]).output
    )
    path = table(tmp_path, f"model,n,percent\nesd,1000,{cell}\n")
    for read in (check_table, read_published):
        with pytest.raises(EmptyInputError, match="contains no numbers"):
            read(path)


@pytest.mark.parametrize(
    ("column", "cell", "says"),
    [
        ("percent", "12.3±0.4", "line 2: '12.3±0.4' is not a percentage from 0 to 100. A number with ± is a mean"),
        ("percent", "12.3 (0.4)", "The cell contains several numbers"),
        ("percent", "1/2", "The cell contains several numbers"),
        ("percent", ">99", "'>99' is not a percentage from 0 to 100. A bound or an approximate number"),
        ("percent", "≈ 3", "A bound or an approximate number"),
        ("value", "0.5*", "Write the number without a mark behind it"),
        ("value", "0.5 †", "Write the number without a mark behind it"),
        ("value", "1e-2", "Write the number without an exponent"),
        ("value", "95.2", "Correct it, or put percentages into a column 'percent'"),
        ("value", "−0.2", "'−0.2' is not a fraction from 0 to 1"),
        ("value", "inf", "'inf' is not a fraction from 0 to 1"),
        ("percent", "100.4", "'100.4' is not a percentage from 0 to 100"),
    ],
)
def test_cells_that_are_refused(tmp_path: Path, column: str, cell: str, says: str) -> None:
    path = table(tmp_path, f"model,n,{column}\nesd,1000,{cell}\n")
    told = []
    for read in (check_table, read_published):
        with pytest.raises(MetadataError) as error:
            read(path)
        told.append(str(error.value))
    assert says in told[0]
    assert told[0] == told[1], "one place reads both"


def test_fractions_in_a_column_of_percentages(tmp_path: Path) -> None:
    """compare --published took 0.95 for 0.95% without a word."""
    path = table(tmp_path, "model,n,percent\nesd,10000,0.95\nuce,10000,0.9\n")
    assert any("all percentages are at most 1" in note for note in read_published(path).notes)
    mixed = table(tmp_path, "model,n,percent\nesd,100000,0.952\nuce,1000,88.1\nfmn,1000,0.5\nspm,1000,0\n")
    note = "some percentages are at most 1 (0.952 in line 2). If they are fractions of 1, write them as percentages"
    assert check_table(mixed).notes == read_published(mixed).notes == [note]
    marked = table(tmp_path, "model,n,percent\nesd,100000,0.952%\nuce,1000,88.1\n")
    assert check_table(marked).notes == read_published(marked).notes == []
    with pytest.raises(MetadataError, match=r"0.95 is impossible for n = 100;.*Note: all percentages are at most 1"):
        read_published(table(tmp_path, "model,n,percent\nesd,100,0.95\n"))


def test_columns_that_are_not_used_are_named(tmp_path: Path) -> None:
    path = table(tmp_path, "model,n,images,percent\nesd,1000,5,20\n")
    assert read_published(path).notes == ["n is read from the column 'n'; the column 'images' is not used"]


def test_a_count_and_a_share_are_compared(tmp_path: Path) -> None:
    """compare --published refused what check-table reads."""
    path = table(tmp_path, "model,n,successes,percent\nesd,1000,952,95\nuce,1000,–,88.1\n")
    esd, uce = read_published(path)
    assert (esd.successes, esd.ends, uce.ends) == (952, (952, 952), (881, 881))
    wrong = table(tmp_path, "model,n,successes,percent\nesd,1000,900,95\n")
    with pytest.raises(MetadataError, match="95 is impossible for 900 successes of n = 1000"):
        read_published(wrong)


def test_names_in_other_letters_are_named(tmp_path: Path) -> None:
    path = table(tmp_path, "model,n,measure,percent\nESD,1000,ASR,20\nesd,1000,asr,30\nUCE,1000,ASR,10\n")
    assert read_published(path).notes == [
        "the measures 'ASR' and 'asr' differ only in capital letters, and are treated as different",
        "the models 'ESD' and 'esd' differ only in capital letters, and are treated as different",
    ]


def test_a_p_value_is_never_zero(tmp_path: Path) -> None:
    found = read_published(table(tmp_path, "model,n,successes\na,5000,49\nb,5000,4875\n"))
    assert "significant (p < 1e-300 after Holm correction)" in compare_published(found)[0].sentence()


def test_lines_are_numbered_as_in_the_file(tmp_path: Path) -> None:
    """A cell with a line break moved all numbers below it."""
    path = table(tmp_path, 'model,n,value\n"e\ns\nd",10,0.5\n\nuce,10,0.55\n')
    assert [one.line for one in check_table(path)] == [2, 6]
    with pytest.raises(MetadataError, match=r"line 6: 0\.55 is impossible"):
        read_published(path)


def test_a_users_own_column_called_line(tmp_path: Path) -> None:
    path = table(tmp_path, "line,model,n,value\nseven,esd,10,0.5\n")
    (found,) = check_table(path)
    assert (found.name, found.line) == ("seven, esd", 2)


@pytest.mark.parametrize("cell", ["1.000", "0", "-5", "1e9", "12.5", "n/a", "10,000,001"])
def test_numbers_of_trials_that_are_refused(tmp_path: Path, cell: str) -> None:
    path = table(tmp_path, f'model,n,value\nesd,"{cell}",0.5\n')
    for read in (check_table, read_published):
        with pytest.raises(IgmuError, match="line 2: n is '"):
            read(path)


def test_one_trial(tmp_path: Path) -> None:
    found = read_published(table(tmp_path, "model,n,value\nesd,1,1\nuce,1,0\n"))
    assert [one.interval for one in found] == [
        pytest.approx((0.2065, 1), abs=1e-4),
        pytest.approx((0, 0.7935), abs=1e-4),
    ]
