"""Published prompt lists: every format on a small file of its shape, what is wrong with files, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from igmu_data import imports
from igmu_data.errors import (
    EmptyInputError,
    IgmuError,
    InputError,
    LicenseError,
    MetadataError,
    OutputError,
    UnknownConceptError,
    UnknownFormatError,
)
from igmu_data.imports.folder import write_folder
from igmu_data.imports.i2p import is_hard
from igmu_data.imports.rows import BARE, Drawing, Imported, import_prompts
from igmu_data.load import bench_rows, identity, load_bench
from igmu_data.schema import row_id
from igmu_metrics.cli import app

CHURCH = "object/church"
TERMS = {"concept_name": CHURCH, "license": "MIT", "source": "Somebody et al., 2023"}
I2P = "prompt,categories,hard,inappropriate_percentage,sd_seed,sd_guidance_scale"
ATTACK = "case_number,prompt,evaluation_seed,evaluation_guidance"
SIX = "case_number,prompt,evaluation_seed,concept"
MACE = "type,concept,prompt,evaluation_seed"
LANGUAGES = "Index,Original,Spanish,French"


def written(folder: Path, *lines: str) -> Path:
    path = folder / "list.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def read(folder: Path, form: str, *lines: str, **more: Any) -> Imported:
    return import_prompts(written(folder, *lines), form, **TERMS | more)


# --- formats --------------------------------------------------------------------------------------------------------


def test_formats_are_found_by_module() -> None:
    assert imports.names() == ("csv", "hub", "i2p", "mace", "six-cd", "text", "unlearndiffatk")
    for name in imports.names():
        info = imports.load(name).INFO
        assert info.name == name
        assert info.title
        assert info.columns
        assert info.citation[-4:].isdecimal() or name in ("csv", "text")
    with pytest.raises(UnknownFormatError, match="did you mean 'six-cd'"):
        imports.load("sixcd")


def test_i2p_keeps_seed_guidance_and_size(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "i2p",
        f"{I2P},sd_image_width,sd_image_height",
        "a church at dusk,x,0,10.0,2868014183,7,512,768",
        "a harbour,x,1,50,3,9.5,640,512",
    )
    one, two = found.rows
    assert (one.seeds[0], one.guidance_scale, one.width, one.height) == (2868014183, 7.0, 512, 768)
    assert (two.seeds[0], two.guidance_scale, two.width, two.height) == (3, 9.5, 640, 512)
    assert (one.concept, one.split, one.probe, one.own_concept) == (CHURCH, "forget", "direct", CHURCH)
    assert (one.license, one.source, one.steps) == ("MIT", "Somebody et al., 2023", None)
    assert (one.stripped_prompt, two.stripped_prompt) == ("at dusk", "a harbour")
    assert (found.n_read, found.n_naming, found.n_published_seeds) == (2, 1, {1: 2})


@given(st.integers(0, 100))
def test_i2p_the_rule_on_every_percentage(percentage: int) -> None:
    assert is_hard(percentage) is (2 * percentage >= 100)


def test_i2p_counts_like_those_of_the_list(tmp_path: Path) -> None:
    """A list as long as I2P, with as many percentages from 50 on: its column `hard` and the rule agree everywhere."""
    percentages = [50 + i % 51 for i in range(1831)] + [i % 50 for i in range(4703 - 1831)]
    lines = [f"a harbour at dusk {i},x,{int(i < 1831)},{p},{i},7.5" for i, p in enumerate(percentages)]
    path = written(tmp_path, I2P, *lines)
    for where, n in (({}, 4703), ({"hard": "1"}, 1831)):
        file = imports.ListFile(path, where)
        assert len(list(imports.load("i2p").read(file))) == n
        assert file.n_left_out == 4703 - n


@pytest.mark.parametrize("line", ["a harbour,x,0,50.0,1,7.5", "a harbour,x,1,49.99,1,7.5"])
def test_i2p_a_row_that_disagrees_is_not_that_list(tmp_path: Path, line: str) -> None:
    with pytest.raises(MetadataError, match="line 3: column 'hard'"):
        read(tmp_path, "i2p", I2P, "a meadow,x,0,10,1,7", line)


def test_text_is_a_prompt_a_line(tmp_path: Path) -> None:
    found = read(tmp_path, "text", "a church at dusk, fog", "", '"a ""red"" harbour"', "prompt,seed")
    assert [row.prompt for row in found.rows] == ["a church at dusk, fog", 'a "red" harbour', "prompt,seed"]
    assert found.n_published_seeds == {0: 3}


def test_csv_takes_its_own_names_or_those_that_are_given(tmp_path: Path) -> None:
    plain = read(tmp_path, "csv", "prompt,seed,width,other", "a church,7,640,x")
    named = read(
        tmp_path, "csv", "text,s,w,seed", "a church,7,640,x", columns={"prompt": "text", "seed": "s", "width": "w"}
    )
    assert plain.rows[0].id == named.rows[0].id
    assert (plain.rows[0].seeds[0], plain.rows[0].width, plain.rows[0].steps) == (7, 640, None)
    both = read(tmp_path, "csv", "prompt,language,guidance_scale", "a church,en,3.5", "une église,fr,3.5").rows
    assert [(row.language, row.guidance_scale) for row in both] == [("en", 3.5), ("fr", 3.5)]


@pytest.mark.parametrize(
    ("form", "lines", "columns", "says"),
    [
        ("csv", ("text,seed", "a church,7"), {}, "the header has 2 columns, but none is named 'prompt'"),
        (
            "csv",
            ("prompt,seed", "a church,7"),
            {"seed": "sed"},
            "the header has 2 columns, but none is named 'sed'; did you mean 'seed'?",
        ),
        (
            "csv",
            ("prompt,seed", "a church,7"),
            {"sed": "seed"},
            "--columns cannot set 'sed' for the csv format; did you mean 'seed'?",
        ),
        ("csv", ("prompt,seed", "a church,x"), {}, "line 2: column 'seed' contains 'x'; expected a number"),
        (
            "csv",
            ("prompt,language", "a church,xx"),
            {},
            "line 2: column 'language' contains 'xx'; expected one of en, es",
        ),
        (
            "text",
            ("a church",),
            {"prompt": "x"},
            "--columns cannot set 'prompt' for the text format. Leave --columns out",
        ),
        (
            "i2p",
            (I2P, "a church,x,0,10,5,7"),
            {"prompt": "x"},
            "--columns cannot set 'prompt' for the i2p format. Leave --columns out",
        ),
    ],
)
def test_columns_that_are_not_there(
    tmp_path: Path, form: str, lines: tuple[str, ...], columns: dict[str, str], says: str
) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, form, *lines, columns=columns)
    assert says in str(caught.value)


def test_columns_on_the_command_line(tmp_path: Path) -> None:
    path = written(tmp_path, "text,no", "a church,7")
    words = ["import-prompts", str(path), "--format", "csv", "--license", "MIT", "--source", "me", "--concept", CHURCH]
    done = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "out"), "--columns", "prompt=text, seed=no"])
    assert done.exit_code == 0, done.output
    assert bench_rows("object.church", bench=tmp_path / "out").popitem()[1].seeds[0] == 7
    for columns, says in (
        ("prompt", "'prompt'; it must have the form NAME=COLUMN"),
        ("prompt=a,prompt=b", "'prompt' twice"),
        ("=a", "'=a'; it must have the form NAME=COLUMN"),
    ):
        done = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "no"), "--columns", columns])
        assert says in str(done.exception)


def test_unlearndiffatk_takes_either_name_of_a_column(tmp_path: Path) -> None:
    one = read(tmp_path, "unlearndiffatk", ATTACK, "0,a church,5,8.5").rows[0]
    two = read(tmp_path, "unlearndiffatk", "prompt,sd_seed,sd_guidance_scale", "a church,5,8.5").rows[0]
    three = read(tmp_path, "unlearndiffatk", "prompt,evaluation_seed", "a church,5.0", drawing=Drawing(3.0)).rows[0]
    assert one.id == two.id
    assert (one.seeds[0], one.guidance_scale) == (5, 8.5)
    assert (three.seeds[0], three.guidance_scale) == (5, 3.0)


def test_what_a_list_does_not_say_is_the_models_business(tmp_path: Path) -> None:
    """What it says wins over what the caller gives for lists that say nothing."""
    lines = (f"{I2P},sd_image_width,sd_image_height", "a church,x,0,10,5,7,640,512")
    said = [read(tmp_path, "i2p", *lines, drawing=d).rows[0] for d in (None, Drawing(3.0, 20, 256))]
    bare = [
        read(tmp_path, "six-cd", SIX, "0,a church,7,church", drawing=d).rows[0] for d in (None, Drawing(3.0, 20, 256))
    ]
    found = [(r.guidance_scale, r.steps, r.width, r.height) for r in (*said, *bare)]
    assert found == [(7.0, None, 640, 512), (7.0, 20, 640, 512), (None,) * 4, (3.0, 20, 256, 256)]
    assert len({r.id for r in (*said, *bare)}) == 4


def test_six_cd_needs_one_concept_of_many(tmp_path: Path) -> None:
    lines = (SIX, "0,a church,7,church", "1,a lighthouse,8,lighthouse")
    with pytest.raises(InputError, match=r"'concept' contains 2 concepts.*--where concept="):
        read(tmp_path, "six-cd", *lines)
    found = read(tmp_path, "six-cd", *lines, where={"concept": "church"})
    assert [(r.prompt, r.seeds[0]) for r in found.rows] == [("a church", 7)]
    assert (found.n_read, found.n_unselected) == (1, 1)
    assert read(tmp_path, "six-cd", "case_number,prompt,evaluation_seed", "0,a church,7").rows[0].seeds[0] == 7


def test_mace_seeds_of_one_prompt_are_one_row(tmp_path: Path) -> None:
    lines = [f"erased,church,A photo of a church,{s}" for s in (9, 3, 3, 5, 1, 8, 2)]
    found = read(tmp_path, "mace", MACE, *lines, "erased,church,A church,4")
    first, second = found.rows
    assert first.seeds == (9, 3, 5, 1, 8)
    assert second.seeds[0] == 4
    assert len(set(second.seeds)) == 5
    assert (found.n_duplicates, found.n_seeds_left_out, found.n_published_seeds) == (1, 1, {1: 1, 5: 1})
    with pytest.raises(MetadataError, match="none is named 'type'"):
        read(tmp_path, "mace", SIX, "0,a church,7,church")


def test_hub_plain_lines(tmp_path: Path) -> None:
    found = read(
        tmp_path, "hub", "A church on a hill, at dawn", "", '"A ""grand"" church, red"', 'The "Original, red" church'
    )
    assert [r.prompt for r in found.rows] == [
        "A church on a hill, at dawn",
        'A "grand" church, red',
        'The "Original, red" church',
    ]
    assert found.n_published_seeds == {0: 3}
    attacks = read(tmp_path, "hub", "A chruch on a hill", attack_family="ring-a-bell")
    row = attacks.rows[0]
    assert (row.split, row.probe, row.attack_family, row.attack_source_id) == (
        "adversarial",
        "attack",
        "ring-a-bell",
        None,
    )


def test_hub_languages_are_attacks_on_the_original(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "hub",
        LANGUAGES,
        "0,A church in the snow,Una iglesia en la nieve,Une église dans la neige",
        "1,Paris,Paris,Une vue de Paris",
        "2,A school by a church,Una iglesia,Une église",
    )
    plain, spanish, french, paris, view = found.rows
    assert (plain.split, spanish.split, french.split) == ("forget", "adversarial", "adversarial")
    assert (spanish.language, french.language, spanish.attack_family) == ("es", "fr", "multilingual")
    assert spanish.attack_source_id == french.attack_source_id == plain.id
    assert spanish.seeds == plain.seeds
    assert spanish.stripped_prompt == plain.stripped_prompt
    assert (paris.split, view.attack_source_id) == ("forget", paris.id)
    # "Paris" in Spanish changes nothing; what was made of the refused prompt has lost its source.
    assert (found.n_read, found.n_duplicates) == (9, 1)
    assert found.refused == {"minor": 1, "plain prompt refused": 2}
    with pytest.raises(InputError, match="Leave --attack-family out"):
        read(tmp_path, "hub", LANGUAGES, "0,A church,Una iglesia,Une église", attack_family="mine")


def test_ids_and_seeds_follow_from_the_list_alone(tmp_path: Path) -> None:
    lines = (ATTACK, "0,a church,5,8.5", "1,an old chapel,6,7")
    one, two = read(tmp_path, "unlearndiffatk", *lines), read(tmp_path, "unlearndiffatk", *lines)
    assert one == two
    for row in one.rows:
        assert row.id == row_id(row.model_dump())
        assert len(set(row.seeds)) == 5
        assert all(0 <= s < 2**32 for s in row.seeds)


# --- files that are wrong -------------------------------------------------------------------------------------------


def test_byte_order_mark_line_breaks_and_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(f'\ufeff{ATTACK}\r\n\r\n0,"a church,\r\nold",5,7\r\n1,a chapel,x,7\r\n'.encode())
    with pytest.raises(
        MetadataError,
        match=r"line 5: column 'evaluation_seed' contains 'x'; expected a whole|line 5: .*expected a number",
    ):
        import_prompts(path, "unlearndiffatk", **TERMS)
    path.write_bytes(path.read_bytes().replace(b",x,", b",6,"))
    rows = import_prompts(path, "unlearndiffatk", **TERMS).rows
    assert [r.prompt for r in rows] == ["a church,\r\nold", "a chapel"]


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (b"", EmptyInputError, "is empty"),
        (b"\xef\xbb\xbf\r\n \n", EmptyInputError, "is empty"),
        (f"{ATTACK}\n".encode(), EmptyInputError, "below the header"),
        (
            f"{ATTACK}\n0,a church,5\n".encode(),
            MetadataError,
            "line 2: this line has no cell for column 'evaluation_guidance'",
        ),
        (
            f"{ATTACK}\n0,a church, old,5,7\n".encode(),
            MetadataError,
            "line 2: this line has 5 cells, but the header has 4 columns",
        ),
        (f"{ATTACK},prompt\n0,a,5,7,b\n".encode(), MetadataError, "line 1: two columns have the name 'prompt'"),
        (
            b"prompt,seed\na church,5\n",
            MetadataError,
            "line 1: the header has 2 columns, but none is named 'evaluation_seed' or 'sd_seed'",
        ),
        (b"prompts,evaluation_seed\na church,5\n", MetadataError, "none is named 'prompt'.*did you mean 'prompts'"),
        (
            f'{ATTACK}\n0,a,5,7\n1,"a church,5,7\n'.encode(),
            MetadataError,
            "line 3: this line cannot be read as CSV.*never closed",
        ),
        (
            f"{ATTACK}\n0,a,5,7\n1,une \xe9glise,5,7\n".encode("latin-1"),
            MetadataError,
            "line 3: byte 0xe9 is not UTF-8",
        ),
        (f"{ATTACK}\n0,a,5,7\n".encode("utf-16"), MetadataError, "UTF-16"),
        (f"{ATTACK}\n0,a church,5.5,7\n".encode(), MetadataError, "line 2: column 'evaluation_seed' contains '5.5'"),
        (f"{ATTACK}\n0,a church,-5,7\n".encode(), MetadataError, "'evaluation_seed' contains '-5'"),
        (f"{ATTACK}\n0,a church,nan,7\n".encode(), MetadataError, "'evaluation_seed' contains 'nan'"),
        (f"{ATTACK}\n0,a church,,7\n".encode(), MetadataError, "'evaluation_seed' contains ''"),
        (f"{ATTACK}\n0,a church,9223372036854775808,7\n".encode(), MetadataError, "'evaluation_seed'"),
        (
            f"{ATTACK}\n0,a church,5,0\n".encode(),
            MetadataError,
            "'evaluation_guidance' contains '0'; expected a number above 0",
        ),
        (f"{ATTACK}\n0,a church,5,inf\n".encode(), MetadataError, "'evaluation_guidance' contains 'inf'"),
        (f"{ATTACK}\n0,a church,{'x' * 99},7\n".encode(), MetadataError, f"contains '{'x' * 20}…'"),
    ],
)
def test_wrong_files(tmp_path: Path, content: bytes, error: type[IgmuError], message: str) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(content)
    with pytest.raises(error, match=message):
        import_prompts(path, "unlearndiffatk", **TERMS)


def test_a_list_without_a_header_shows_no_prompt(tmp_path: Path) -> None:
    path = written(tmp_path, "a prompt that nobody should read,5,7", "another,6,7")
    with pytest.raises(MetadataError) as caught:
        import_prompts(path, "unlearndiffatk", **TERMS)
    assert "nobody" not in str(caught.value)


def test_wrong_arguments(tmp_path: Path) -> None:
    path = written(tmp_path, ATTACK, "0,a church,5,7")
    for terms in ({"license": " "}, {"source": ""}):
        with pytest.raises(LicenseError):
            import_prompts(path, "unlearndiffatk", **TERMS | terms)
    with pytest.raises(UnknownConceptError, match="object/church"):
        import_prompts(path, "unlearndiffatk", **TERMS | {"concept_name": "object/chruch"})
    with pytest.raises(InputError, match=r"'case_numbr'.*did you mean 'case_number'"):
        import_prompts(path, "unlearndiffatk", **TERMS, where={"case_numbr": "0"})
    with pytest.raises(EmptyInputError, match="--where excludes all 1"):
        import_prompts(path, "unlearndiffatk", **TERMS, where={"case_number": "7"})
    with pytest.raises(InputError, match="Two Words"):
        import_prompts(path, "unlearndiffatk", **TERMS, attack_family="Two Words")
    with pytest.raises(MetadataError, match="cannot be read"):
        import_prompts(tmp_path, "unlearndiffatk", **TERMS)
    with pytest.raises(InputError, match="the list has no column 'Original' for --where"):
        import_prompts(written(tmp_path, "a church", "a chapel"), "hub", **TERMS, where={"Original": "x"})


# --- what is refused ------------------------------------------------------------------------------------------------


def test_what_the_policy_refuses_is_counted_by_rule(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "unlearndiffatk",
        ATTACK,
        "0,a church,1,7",
        "1,a school beside a church,2,7",
        "2,a sch00l beside a church,3,7",  # leetspeak
        "3,a s\u0441hool beside a church,4,7",  # a Cyrillic letter
        "4,the word gore on a sign,5,7",
        "5,  ,6,7",
    )
    assert [(r.prompt, r.stripped_prompt) for r in found.rows] == [("a church", BARE)]
    assert (found.n_refused, found.refused) == (5, {"minor": 3, "explicit": 1, "blank": 1})


def test_the_strictest_reading_applies_in_every_domain(tmp_path: Path) -> None:
    """An innocent phrase that the corpus itself may use: a list from elsewhere gets no such benefit."""
    from igmu_data import policy

    text = "kid leather gloves in a church"
    assert not policy.violations(text, domain="object", language="en")
    with pytest.raises(EmptyInputError, match=r"0 of 1 prompt can be used \(minor 1\)"):
        read(tmp_path, "hub", text)


TEXTS = st.sampled_from(["a church", "a chapel by a lake", "a school", "  ", "the old mill, at noon"])


@settings(max_examples=40)
@given(st.lists(st.tuples(TEXTS, st.integers(0, 7)), min_size=1, max_size=40))
def test_every_prompt_is_accounted_for(
    tmp_path_factory: pytest.TempPathFactory, prompts: list[tuple[str, int]]
) -> None:
    """Read = refused + duplicates + seeds that made it into a row + seeds beyond the fifth."""
    path = written(tmp_path_factory.mktemp("law"), ATTACK, *(f'0,"{text}",{seed},7' for text, seed in prompts))
    usable = {text for text, _ in prompts} - {"a school", "  "}
    if not usable:
        with pytest.raises(EmptyInputError):
            import_prompts(path, "unlearndiffatk", **TERMS)
        return
    found = import_prompts(path, "unlearndiffatk", **TERMS)
    kept = sum(k * rows for k, rows in found.n_published_seeds.items())
    assert found.n_read == len(prompts)
    assert found.n_read == found.n_refused + found.n_duplicates + kept + found.n_seeds_left_out
    assert {r.prompt for r in found.rows} == usable
    for row in found.rows:
        given_seeds = list(dict.fromkeys(seed for text, seed in prompts if text == row.prompt))
        assert list(row.seeds[: len(given_seeds)]) == given_seeds[:5]


# --- the folder and the command -------------------------------------------------------------------------------------


def test_the_folder_is_a_bench(tmp_path: Path) -> None:
    path = written(tmp_path, LANGUAGES, "0,A church in the snow,Una iglesia en la nieve,Une église")
    found = import_prompts(path, "hub", **TERMS)
    files = write_folder(tmp_path / "bench", found, path=path, format_name="hub")
    assert [f.name.split("-")[0] for f in files] == ["forget", "adversarial"]
    assert bench_rows("object.church", bench=tmp_path / "bench") == {r.id: r for r in found.rows}
    assert identity(str(tmp_path / "bench")).startswith("list/hub ")
    loaded: Any = load_bench("object.church", bench=tmp_path / "bench")
    assert {split: len(rows) for split, rows in loaded.items()} == {"forget": 1, "adversarial": 2}
    with pytest.raises(OutputError, match="already exists and is not"):
        write_folder(tmp_path / "bench", found, path=path, format_name="hub")
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_restricted_rows_are_found_where_they_were_written(tmp_path: Path) -> None:
    """A folder of the user's own needs no name that ends in -nsfw."""
    path = written(tmp_path, "an adult man posing for a life-drawing class")
    found = import_prompts(path, "hub", **TERMS | {"concept_name": "nsfw/nudity"})
    write_folder(tmp_path / "mine", found, path=path, format_name="hub")
    assert list(bench_rows("nsfw.nudity", bench=tmp_path / "mine")) == [r.id for r in found.rows]


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, ["import-prompts", *map(str, arguments)], catch_exceptions=True)


def test_the_command(tmp_path: Path) -> None:
    path = written(tmp_path, MACE, *(f"erased,church,A church,{s}" for s in range(5)), "erased,church,A school,1")
    options = ("--format", "mace", "--license", "MIT", "--source", "me", "--concept", "object.church")
    out = tmp_path / "bench"
    done = run(path, *options, "--where", "type=erased", "--out", out)
    assert done.exit_code == 0, done.output
    for text in ("1 forget row from 6 prompts", "refused: 1 (minor 1)", "5 (1 row)", f"--bench {out}"):
        assert text in " ".join(done.output.split())
    everything = done.output + "".join(p.read_text() for p in out.iterdir() if p.is_file())
    assert "school" not in everything.lower()
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["n_read"], manifest["refused"], manifest["license"]) == (6, {"minor": 1}, "MIT")
    for wrong, error in ((("--where", "type"), InputError), ((), OutputError)):
        target = tmp_path / "other" if wrong else out
        assert isinstance(run(path, *options, *wrong, "--out", target).exception, error)
    assert not (tmp_path / "other").exists()
    rows = [list(bench_rows("object.church", bench=out).values())]
    sizes = ("--steps", 20, "--size", 256, "--guidance-scale", 3)
    assert run(path, *options, *map(str, sizes), "--out", tmp_path / "sized").exit_code == 0
    rows.append(list(bench_rows("object.church", bench=tmp_path / "sized").values()))
    assert [(r.steps, r.width, r.height, r.guidance_scale) for own in rows for r in own] == [
        (None,) * 4,
        (20, 256, 256, 3.0),
    ]
    assert run(path, "--format", "mace", "--concept", "object.church", "--out", out).exit_code == 2  # no licence


def test_the_help_names_every_format() -> None:
    shown = " ".join(run("--help").output.split())
    assert all(name in shown for name in imports.names())
