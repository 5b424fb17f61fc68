"""General prompts: complete, balanced in every prefix of rounds, the same from package and folder, checked."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from igmu_data import general
from igmu_data.configs import config_concepts, config_target
from igmu_data.errors import CorpusError, InputError, UnknownConfigError
from igmu_data.general import GeneralRow, general_rows
from igmu_data.load import bench_rows, files_of, load_bench
from igmu_data.schema import REGISTERS


def test_a_thousand_prompts_on_twenty_themes() -> None:
    rows = general_rows()
    assert set(Counter(r.theme for r in rows).values()) == {50}
    assert len(rows) == 1000
    assert list(general.problems(rows)) == []
    share = Counter(r.register for r in rows)
    wanted = {"sentence": 0.4, "short": 0.15, "tags": 0.25, "long": 0.2}
    assert {r: round(share[r] / 1000, 2) for r in REGISTERS} == pytest.approx(wanted, abs=0.02)
    assert all(3 <= len(r.questions) <= 6 for r in rows)
    said = Counter(answer for r in rows for answer in r.answers)
    assert 0.45 < said["yes"] / said.total() < 0.55


@pytest.mark.parametrize("n", range(1, 11))
def test_every_prefix_of_rounds_is_balanced(n: int) -> None:
    first = [r for r in general_rows() if r.round <= n]
    assert abs(len(first) - 100 * n) <= 1
    themes = Counter(r.theme for r in first)
    assert len(themes) == 20
    assert max(themes.values()) - min(themes.values()) <= 3


def test_the_package_gives_them_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.delenv("IGMU_BENCH", raising=False)
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: pytest.fail("asked elsewhere"))
    loaded: Any = load_bench("general", "test")
    assert loaded.column_names == list(general.COLUMNS)
    first = general_rows()[0]
    assert loaded[0] == {**first.model_dump(mode="json", exclude={"since"})}
    assert loaded[0]["questions"] == list(first.questions)


def test_they_are_no_rows_of_a_concept() -> None:
    with pytest.raises(InputError, match=r"config 'general' does not test a concept; .*load_bench\('general'\)"):
        config_concepts("general")
    assert config_target("general") is None
    with pytest.raises(InputError, match=r"config 'general' has no split 'forget'\. Choose from test"):
        load_bench("general", "forget")
    with pytest.raises(UnknownConfigError):
        bench_rows("generl")
    assert files_of("general", "test") == "general/test-*"


def row(**changes: Any) -> GeneralRow:
    fields = general_rows()[0].model_dump() | changes
    return GeneralRow(**fields | {"id": general.general_id(fields)})


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"prompt": "A child with a kite"}, "the text must follow the content policy (minor)"),
        (
            {"questions": ("Is a child there?", "Is it day?", "Is it wet?", "Is it new?")},
            "the text must follow the content policy (minor)",
        ),
        (
            {"questions": ("Is it day?", "is it day?", "Is it wet?", "Is it new?")},
            "the questions of a prompt must differ from each other",
        ),
        ({"n_tokens_clip": 3}, "n_tokens_clip must match the prompt"),
    ],
)
def test_what_breaks_a_rule_is_found(changes: dict[str, Any], rule: str) -> None:
    assert rule in {p.rule for p in general.problems([row(**changes)])}


def test_rows_of_a_later_version_say_so_and_leave_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    before = general_rows()
    assert general.columns_of(before) == general.COLUMNS
    late = row(
        prompt="A lamp on a windowsill", n_tokens_clip=general.clip_tokens("A lamp on a windowsill"), since="1.1.0"
    )
    assert general.columns_of([*before, late]) == (*general.COLUMNS, "since")
    real = general._theme

    def theme(name: str, text: str) -> Any:
        yield from real(name, text)
        if name == "food.toml":
            yield late

    monkeypatch.setattr(general, "_theme", theme)
    after = {r.id: r for r in general_rows.__wrapped__()}
    assert all(after[r.id] == r for r in before)
    assert len(after) == len(before) + 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[prompts]\n", "not a TOML file"),
        ("x = 1", "'prompts'"),
        ('[[prompts]]\nregister = "short"\nquestions = []', "prompt 1: 'text'"),
        (
            '[[prompts]]\ntext = "A"\nregister = "haiku"\nquestions = [["a?", "yes"], ["b?", "no"], ["c?", "no"]]',
            "register",
        ),
        (
            '[[prompts]]\ntext = "A"\nregister = "short"\nquestions = [["a?", "perhaps"], ["b?", "no"], ["c?", "no"]]',
            "answers",
        ),
        ('[[prompts]]\ntext = "A"\nregister = "short"\nquestions = [["a?", "yes"]]', "questions"),
        ('[[prompts]]\ntext = "A"\nregister = "short"\nquestions = [["a?"]]', "prompt 1"),
    ],
)
def test_a_file_that_breaks_the_schema_is_named(text: str, told: str) -> None:
    with pytest.raises(CorpusError, match=r"general/food\.toml(?:,| is) ") as refused:
        list(general._theme("food.toml", text))
    assert told in str(refused.value)


def test_a_folder_gives_the_same(bench_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    built: Any = load_bench("general", bench=bench_folder)
    made: Any = load_bench("general")
    assert built["test"].features == made["test"].features
    assert built["test"].to_list() == made["test"].to_list()
