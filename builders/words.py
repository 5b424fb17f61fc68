"""`python -m builders.words`: the words of what users read, held to the list in CONTRIBUTING.md ("Style").

Looks for words of `BANNED` in the help of every command, in the messages of errors and in the pages of `CLEAN`, and
names each place. `--sample N --seed S` prints N sentences chosen from all of these and from the other hand-written
pages, for native readers to judge. The same seed gives the same sentences of the same texts.
"""

from __future__ import annotations

import ast
import random
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import typer

from igmu_data.errors import CorpusError, exits_on_error

ROOT: Final = Path(__file__).resolve().parent.parent
BANNED: Final[Mapping[str, str]] = {
    r"pictures?": "image",
    r"draws?|drew|drawn|drawing": "generate (images), choose (at random)",
    r"tells|told": "report, show, print",
    r"stands?|stood": "is, appears",
    r"likewise": "the whole phrase again: options are read singly",
    r"miniature worlds?": "sandbox",
    r"owns? up": "state",
    r"yardsticks?": "measure",
    r"nevertheless": "but, still",
    r"(?<!there )(?:is|are|was|were) no(?! (?:better|farther|fewer|higher|less|longer|lower|more|worse))": "is not a",
    r"(?:takes?|reads?|knows?|names?) no": "does not (take) a; cannot",
    r"asked for (?:is|are)": "subject first: X was asked for",
}
ALLOWED: Final[Mapping[str, str]] = {
    r"stands? for": "means",
    r"UnlearnCanvas's|`[^`]*`": "names and code",
    r"an SVG drawing": "a kind of file",
}
CLEAN: Final = (
    "README.md",
    "dataset_card.md",
    "docs/audit.md",
    "docs/comparison.md",
    "docs/faq.md",
    "docs/graded.md",
    "docs/index.md",
    "docs/intervals.md",
    "docs/limits.md",
    "docs/performance.md",
    "docs/reporting.md",
    "docs/robustness.md",
    "docs/sandbox.md",
    "docs/start.md",
    "docs/taxonomy.md",
    "docs/threat-model.md",
    "docs/versions.md",
    "docs/guides/attack.md",
    "docs/guides/concept.md",
    "docs/guides/detector.md",
    "docs/guides/import.md",
    "docs/guides/machines.md",
    "docs/guides/models.md",
    "docs/guides/plugins.md",
    "docs/guides/report.md",
    "docs/guides/run.md",
    "docs/guides/score.md",
)
"""Pages without a banned word; a page that is rewritten joins them and stays clean."""
_PAGES: Final = ("README.md", "dataset_card.md", "docs/*.md", "docs/guides/*.md")
_OF_COMMANDS: Final = (
    "docs/audit.md",
    "docs/graded.md",
    "docs/performance.md",
    "docs/robustness.md",
    "docs/sandbox.md",
)
_SKIPPED: Final = re.compile(r"igmu_data/(concepts|attacks|sandbox)/|igmu_metrics/sandbox/audit/")
_WORD: Final = re.compile(rf"\b(?:{'|'.join(BANNED)})\b", re.IGNORECASE)
# Not a modulo of numbers, `%s`, or the end of a template's block.
_SIGN: Final = re.compile(r"[0-9}…](?: |\u00a0|\\u00a0|\\xa0|\\{1,2},\\{1,2})%(?![A-Za-z(%}]| \d)")
_SIGNED: Final = ("*.md", "docs/**/*.md", "notebooks/*.ipynb", "builders/**/*.*", "igmu_*/**/*.*", "tests/**/*.*")
_EXCUSED: Final = re.compile("|".join(ALLOWED))
_CALLED: Final = re.compile(r"Error$|^(Problem|Fault|say)$")
_END: Final = re.compile(r"(?<=[.!?])\s+(?=[A-Z`\"(])")
_FEWEST: Final = 4  # words of a sentence that can be judged


class Text(NamedTuple):
    """What a user may read, and where it is."""

    where: str
    text: str


def found(texts: Iterator[Text]) -> list[str]:
    """A line for each banned word: the place, the word and what to write.

    Args:
        texts: to search.
    """
    out = []
    for where, text in texts:
        for match in _WORD.finditer(_EXCUSED.sub(" ", text)):
            instead = next(say for word, say in BANNED.items() if re.fullmatch(word, match[0], re.IGNORECASE))
            out.append(f"{where}: {match[0]!r}; write {instead}")
    return out


def signs() -> Iterator[str]:
    """A line for each percent sign with a space before it, in pages, templates, strings and comments."""
    for path in sorted({path for pattern in _SIGNED for path in ROOT.glob(pattern)}):
        if path.suffix in (".py", ".md", ".html", ".js", ".ipynb", ".tmpl") and path.name != "CHANGELOG.md":
            for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
                if found := _SIGN.search(line):
                    yield f"{path.relative_to(ROOT).as_posix()}:{number}: {found[0]!r}; write 95%, without a space"


def helps() -> Iterator[Text]:
    """The help of every command and of its options, each as it is printed."""
    from igmu_metrics.cli import app

    def walk(name: str, command: Any) -> Iterator[Text]:
        yield Text(f"{name} --help", " ".join((command.help or "").split()))
        for part in command.params:
            yield Text(f"{name} {part.opts[0]}", getattr(part, "help", None) or "")
        for inner, one in sorted(getattr(command, "commands", {}).items()):
            yield from walk(f"{name} {inner}", one)

    return walk("igmu", typer.main.get_command(app))


def errors() -> Iterator[Text]:
    """Every message of an error, of a check and of `say` in both packages, with … for values."""
    for package in ("igmu_data", "igmu_metrics"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if _SKIPPED.search(name):
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Call) or not _CALLED.search(ast.unparse(node.func)):
                    continue
                parts = [_literal(one) for one in node.args]
                if ast.unparse(node.func) == "Problem" and len(parts) == 3:  # of `igmu_data.validate`, as it is printed
                    parts[1:] = [", but ".join(filter(None, parts[1:]))]
                if message := ": ".join(filter(None, parts)):
                    yield Text(f"{name}:{node.lineno}", message)


def _literal(node: ast.expr) -> str:
    """The text of a literal, … for each value; "" of anything else."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(_literal(part) if isinstance(part, ast.Constant) else "…" for part in node.values)
    return ""


def pages(*patterns: str) -> Iterator[Text]:
    """The prose of Markdown pages, a paragraph each; no code, no tables, nothing of generated pages."""
    paths = {path for pattern in patterns for path in ROOT.glob(pattern)}
    for path in sorted(paths):
        name = path.relative_to(ROOT).as_posix()
        text = re.sub(r"^ *```.*?^ *```|<!--.*?-->|^---\n.*?^---\n", "", path.read_text("utf-8"), flags=re.M | re.S)
        for paragraph in re.split(r"\n\s*\n|\n(?=\s*(?:[-*>]|#+|\d+\.) )", text.replace("**", "")):
            if paragraph.strip() and not paragraph.lstrip().startswith(("|", "#", "![", "<", "{")):
                yield Text(name, re.sub(r"\]\([^)]*\)", "]", " ".join(paragraph.split())).strip("-* "))


def sentences(texts: Iterator[Text]) -> list[Text]:
    """Every sentence of at least four words, once, in the order of the texts; an error's message is "
    "one, as it is read."""
    parts = (Text(where, part) for where, text in texts for part in ([text] if ".py:" in where else _END.split(text)))
    return list({one.text: one for one in parts if len(re.findall(r"[^\W\d]+", one.text)) >= _FEWEST}.values())


def everything() -> Iterator[Text]:
    """All that users read: help, errors, and the hand-written pages."""
    yield from helps()
    yield from errors()
    yield from (one for one in pages(*_PAGES) if one.where not in _OF_COMMANDS)


def checked() -> Iterator[Text]:
    """What must be free of banned words."""
    yield from helps()
    yield from errors()
    yield from pages(*CLEAN)


@exits_on_error
def main(
    sample: Annotated[int, typer.Option(min=0, help="Number of sentences to print; 0 checks the words.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sample.")] = 0,
) -> None:
    """Check the words of help, errors and pages, or print a sample of sentences.

    Raises:
        CorpusError: banned words, each with its place.
    """
    if sample:
        every = sentences(everything())
        chosen = random.Random(seed).sample(every, min(sample, len(every)))
        sys.stdout.writelines(f"{one.where}: {one.text}\n" for one in chosen)
        return
    if wrong := [*found(checked()), *signs()]:
        raise CorpusError("\n".join([f"{len(wrong)} words to replace (CONTRIBUTING.md, Style):", *wrong]))


if __name__ == "__main__":
    typer.run(main)
