"""The documentation follows the code, and every command in it is one that igmu understands."""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import typer
import yaml
from typer.testing import CliRunner

from builders import card, docs, interface, plugin_page, spaces
from builders.docstrings import prose
from builders.words import _OF_COMMANDS
from igmu_data import errors
from igmu_data.load import bench_rows
from igmu_data.taxonomy import all_concepts
from igmu_metrics import registry
from igmu_metrics.cli import INTERRUPTED, app
from igmu_metrics.contract import PARTS
from igmu_metrics.evaluation import facts
from igmu_metrics.generations import COLUMNS, Generations
from igmu_metrics.networks.instruments import MEASURED, InstrumentInfo
from igmu_metrics.testing import sample_table
from igmu_metrics.verdict.criteria import Outcome

ROOT = Path(__file__).resolve().parents[2]
# Known by how they begin: generating all pages takes seconds, and every worker collects the tests.
WRITTEN = sorted(
    p
    for p in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "builders").rglob("*.md"))
    if not p.read_text(encoding="utf-8").startswith(docs.MARK)
)
FENCE = re.compile(r"^ *```bash\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`((?:igmu|make|python -m) [^`]+)`")
EVERYWHERE = {"--plugin", "--json", "--concepts"}  # options of every command, before or after its name
LINK = re.compile(r"\]\((?!https?:)([^)\s]+)\)")


@functools.cache
def igmu() -> Any:
    """The command line; putting it together takes a tenth of a second, and there are hundreds of commands to try."""
    return typer.main.get_command(app)


def commands(text: str) -> list[list[str]]:
    """The igmu commands in the bash blocks of a page, as words; places to fill in (`…`, `{{example}}`) stay out."""
    lines = (line.strip() for block in FENCE.findall(text) for line in block.replace("\\\n", " ").splitlines())
    found = (shlex.split(line, comments=True) for line in lines if line.startswith("igmu "))
    return [words[1:] for words in found if not {"…", "{{example}}"} & set(words)]


def unknown(text: str) -> Iterator[str]:
    """The commands in sentences, and those of `make` and `python -m` in blocks, that do not exist or lack an option."""
    lines = (line.strip() for block in FENCE.findall(text) for line in block.replace("\\\n", " ").splitlines())
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for code in (
        *INLINE.findall(CODE.sub("", text).replace("\n", " ")),
        *(line for line in lines if line.startswith(("make ", "python -m "))),
    ):
        words = shlex.split(code, comments=True)
        if words[0] != "igmu":
            name = words[2] if words[0] == "python" else words[1]
            if not (name in targets if words[0] == "make" else find_spec(name)):
                yield code
            continue
        command = igmu()
        while hasattr(command, "commands") and len(words) > 1 and not words[1].startswith("-"):
            if words[1] not in command.commands:
                yield code
                break
            command = command.commands[words.pop(1)]
        options = {
            "--help",
            "--version",
            *(name for part in command.params for name in part.opts + part.secondary_opts),
        }
        if {word.partition("=")[0] for word in words if word.startswith("--")} - options - EVERYWHERE:
            yield code


def understood(words: list[str]) -> None:
    """Parse a command as the command line would; whatever it does not know is an error."""
    command = igmu()
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    assert not hasattr(command, "commands"), f"no such command: {words}"
    command.make_context("igmu", list(words))


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    """Every generated page, which takes seconds. Not to be changed."""
    return docs.pages()


def test_generated_pages_are_up_to_date(made: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docs, "pages", lambda: made)
    assert docs.stale() == [], "run python -m builders.docs"


def test_every_error_has_a_meaning_and_a_place(made: dict[str, str]) -> None:
    known = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.IgmuError)]
    page = made["reference/errors.md"]
    lines = {line.split("`")[1]: line for line in page.splitlines() if "Error` |" in line}
    assert lines.keys() == {one.__name__ for one in known}
    for line in lines.values():
        assert all(cell.strip() for cell in line.strip("|").split("|")), line
    assert [name for name, line in lines.items() if "only as one of its kinds" in line] == ["UnknownNameError"]
    codes = re.findall(r"^\| (\d+) \|", page, re.MULTILINE)
    assert set(map(int, codes)) == {*(outcome.exit_code for outcome in Outcome), INTERRUPTED}


def test_stale_pages_are_found(made: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docs, "pages", lambda: made)
    for path, text in made.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    (tmp_path / "by-hand.md").write_text("# Mine\n", encoding="utf-8")
    assert docs.stale(tmp_path) == []
    (tmp_path / "metrics/lpips.md").unlink()
    (tmp_path / "reference/cli.md").write_text("old", encoding="utf-8")
    (tmp_path / "metrics/gone.md").write_text(made["metrics/lpips.md"], encoding="utf-8")
    assert docs.stale(tmp_path) == ["metrics/gone.md", "metrics/lpips.md", "reference/cli.md"]


def test_a_single_argument_of_several_lines_is_a_list_item() -> None:
    def documented() -> None:
        """What it does.

        Args:
            only: its description, which is
                continued here.
        """

    assert prose(documented).endswith("**Parameters:**\n\n- `only`: its description, which is continued here.")


def test_everything_registered_is_documented(made: dict[str, str]) -> None:
    assert {f"metrics/{name}.md" for name in registry.names("metrics")} <= set(made)
    for group, page in (("detectors", "instruments"), ("backbones", "instruments"), ("attacks", "attacks")):
        assert all(f"### `{name}`" in made[f"reference/{page}.md"] for name in registry.names(group))
    assert all(f"`{name}`" in made["reference/concepts.md"] for name in all_concepts())


@pytest.mark.parametrize("words", [["score"], ["attack"], ["cache", "prune"]])
def test_the_command_line_page_is_what_help_prints(words: list[str], made: dict[str, str]) -> None:
    shown = CliRunner().invoke(app, [*words, "--help"], terminal_width=interface.WIDTH, prog_name="igmu").output
    assert "\n".join(line.rstrip() for line in shown.strip().splitlines()) in made["reference/cli.md"]


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


def test_commands_in_sentences_exist() -> None:
    assert {path.name: found for path in WRITTEN if (found := [*unknown(path.read_text(encoding="utf-8"))])} == {}
    page = "Use `igmu scor x`, `igmu score --originl a`,\n`make al`, `igmu verify --plugin x`.\n"
    page += "```bash\npython -m builders.x\n```\n"
    assert [*unknown(page)] == ["igmu scor x", "igmu score --originl a", "make al", "python -m builders.x"]


def linked(path: Path) -> Iterator[tuple[Path, str, str]]:
    """Every relative link of a page: its target, the anchor and the link as it is written."""
    for link in LINK.findall(re.sub(r"`[^`\n]*`", "", CODE.sub("", path.read_text(encoding="utf-8")))):
        name, _, anchor = link.partition("#")
        yield (path.parent / name).resolve() if name else path, anchor, link


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, the same on the site and on the Hub as long as no heading is repeated."""
    headings = re.findall(r"^#+ (.*)$", CODE.sub("", path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", heading.lower()).strip()) for heading in headings}


def test_every_relative_link_leads_to_a_page_and_its_heading() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    known = {page: anchors(page) for page in pages}
    links = [(page.name, *link) for page in pages for link in linked(page)]
    assert len(links) > 200
    assert [(name, link) for name, target, _, link in links if not target.exists()] == []
    assert [(n, link) for n, page, anchor, link in links if anchor and anchor not in known.get(page, {anchor})] == []


def test_every_page_is_two_clicks_from_the_front_page() -> None:
    near = {ROOT / "README.md"}
    for _ in range(2):
        near |= {target for page in near if page.suffix == ".md" for target, *_ in linked(page) if target.exists()}
    assert sorted(path.name for path in (ROOT / "docs").rglob("*.md") if path not in near) == []


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_from_the_front_pages_lead_somewhere(name: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / name).read_text(encoding="utf-8"))
    assert [link for link in links if not (ROOT / link).exists()] == []
    pages = [ROOT / link for link in links if link.endswith(".md")]
    assert [page.name for page in pages if "{{" in page.read_text(encoding="utf-8")] == [], "a template"


def listed(configuration: str) -> set[str]:
    """Every page in the navigation."""
    return set(re.findall(r"[\w/-]+\.md", str(yaml.safe_load(configuration)["nav"])))


def test_the_navigation_has_every_page_and_no_other() -> None:
    configuration = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    there = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert listed(configuration) == there
    assert {f"metrics/{name}.md" for name in registry.names("metrics")} < there
    assert listed(configuration.replace("      - LPIPS: metrics/lpips.md\n", "")) != there, "the check can fail"


# What Markdown renders only on the site: mkdocstrings' directives, admonitions, collapsed blocks, tabs.
DIRECTIVE = re.compile(r"^ *(?:::: \w|!!! |\?\?\?\+? |=== [\"'])", re.MULTILINE)


@pytest.mark.parametrize("text", ["::: igmu_data.load", '!!! warning "What"', "??? note", '=== "Tab"'])
def test_a_directive_would_be_found(text: str) -> None:
    assert DIRECTIVE.search(f"Before.\n\n{text}\n")


def test_pages_can_be_read_in_a_clone() -> None:
    """Nothing on a page is filled in only when the site is built."""
    pages = {path: path.read_text(encoding="utf-8") for path in (ROOT / "docs").rglob("*.md")}
    assert {path.name: found[0] for path, text in pages.items() if (found := DIRECTIVE.findall(text))} == {}
    accuracy = (ROOT / "docs/metrics/concept_accuracy.md").read_text(encoding="utf-8")
    assert "\n    include_none: bool = False,\n" in accuracy, "the signature"
    assert "\n- `target`: the label to forget.\n" in accuracy, "the arguments"
    assert "\n- Retain accuracies are macro means:" in accuracy, "the definition"
    assert "```pycon\n>>> seen = [" in accuracy, "the example"


def test_ids_of_rows_in_texts_are_ids_of_the_corpus() -> None:
    """Whoever copies an example gets a result. Pages of commands have hashes, too."""
    written = [path for path in WRITTEN if path.relative_to(ROOT).as_posix() not in _OF_COMMANDS]
    pages = [*written, *spaces.RENDERED.glob("*/README.md"), *(ROOT / ".github").rglob("*.yml")]
    found = {i for page in pages for i in re.findall(r"\b[0-9a-f]{16}\b", page.read_text(encoding="utf-8"))}
    assert len(found) >= 2
    assert found - {*bench_rows("object.church"), *bench_rows("general")} == set()


def test_the_page_for_plugins_says_what_tables_have(made: dict[str, str]) -> None:
    page = made["reference/plugins.md"]
    assert [name for name in (*COLUMNS, *PARTS) if f"\n| `{name}` | " not in page] == []
    for kind, (_, array, missing) in plugin_page.KINDS.items():
        name = next(name for name, known in COLUMNS.items() if known.kind == kind)
        values = Generations({name: [[0.5], None] if kind == "vector" else [None]})[name]
        assert (missing == "masked") == isinstance(values, np.ma.MaskedArray), kind
        assert kind == "text" or str(values.dtype) in array
        shown = {"masked": "None", '`""`': "''", "a row of NaN": "nan"}.get(missing, missing)
        assert repr(values.tolist()[-1]).strip("[]") == shown, kind
    info = InstrumentInfo("sample", "1", "none", **dict.fromkeys(MEASURED, 0.5))  # type: ignore[arg-type]
    tools: Any = SimpleNamespace(target="object/church", detector=SimpleNamespace(info=info))
    tools.features = tools.detector
    assert {*facts(tools, sample_table()), "k", "unequal_seeds"} == set(plugin_page.FACTS)


def test_every_metric_defines_its_headline() -> None:
    for metric in registry.metrics().values():
        assert metric.INFO.headline in metric.INFO.figures, metric.INFO.name
        assert all(re.match(r"[A-Z].*\.$", text) for text in metric.INFO.figures.values()), metric.INFO.name


def test_every_page_counts_the_concepts_in_the_same_way() -> None:
    restricted = [name for name in all_concepts() if name.startswith("nsfw/")]
    n, gated = len(all_concepts()), len(restricted)
    comparison = (ROOT / "docs/comparison.md").read_text(encoding="utf-8")
    assert f"| concepts | {n} ({n - gated} in `all`, {gated} in `nsfw`) |" in comparison
    assert f"contains {n - gated} of these concepts, " in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_gated_repository_is_named_with_the_way_in() -> None:
    for path in ("README.md", "docs/start.md", "docs/guides/score.md", "docs/reference/columns.md", "builders/card.py"):
        text = " ".join((ROOT / path).read_text(encoding="utf-8").split())
        assert "datasets/igmu/bench-nsfw)" in text, path
        assert "hf auth login" in text, path


def test_every_metric_has_its_interval_explained() -> None:
    text = (ROOT / "docs/intervals.md").read_text(encoding="utf-8")
    assert [name for name in registry.own("metrics") if f"(metrics/{name}.md)" not in text] == []
    body, _, references = text.partition("\n## References\n")
    known = re.findall(r"^(\d+)\. ", references, re.MULTILINE)
    groups = re.findall(r"\[(\d[^\].]*)\](?!\()", body)  # not an interval, which has a point
    cited = {number for group in groups for number in re.findall(r"\d+", group.partition(", ")[0])}
    assert known == [str(n + 1) for n in range(len(known))]
    assert set(known) <= cited


def test_the_package_names_its_addresses() -> None:
    urls = card.urls()
    assert {"Repository", "Documentation", "Issues", "Changelog", "Corpus"} <= urls.keys()
    for label in ("Documentation", "Issues", "Changelog"):
        assert urls[label].startswith(f"{urls['Repository']}/")
    for label in ("Documentation", "Changelog"):  # of a file that is there
        assert (ROOT / urls[label].partition("/blob/main/")[2]).is_file()


def test_every_space_links_to_prompts_documentation_and_code() -> None:
    urls = card.urls()
    for name in spaces.names():
        text = spaces.render(name)["README.md"]
        for label in ("Corpus", "Documentation", "Repository"):
            assert f"]({urls[label]})" in text, name
        pages = re.findall(r"/blob/main/([\w/.]+)\)", text)
        assert len(pages) > 1
        assert [page for page in pages if not (ROOT / page).is_file()] == []
