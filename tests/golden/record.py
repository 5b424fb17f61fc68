"""What commands print about recorded cards: `python tests/golden/record.py` writes it anew, one file a command.

The cards are those of `igmu demo` (`tests/recorded/cards`). Record anew only when a command is meant to print something
else, and look at the difference: these files are what users read.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Final

from typer.testing import CliRunner

from igmu_data import __version__
from igmu_metrics.cli import app
from igmu_metrics.cli._common import tell_cards
from igmu_metrics.verdict.verify import read_all

HERE: Final = Path(__file__).parent
_LONG: Final = re.compile(r"\d+\.\d{10,}(?:e-\d+)?")
RECORDED: Final = HERE.parent / "recorded" / "cards"
COMMANDS: Final = {
    "check": "check cards --min forgetting=0.5 --max conditional_asr_any@2=0.5",
    "check-met": "check cards/esd.json --min forgetting=0.5",
    "check-undecided": "check cards/uce.json --min unlearning_accuracy=0.8",
    "check-images": "check cards/esd.json --min coverage=0.95 --max failed=0.01",
    "check-some": "check cards/esd.json --min forgetting=0.5 --min forgeting=0.8",
    "check-missing": "check cards --min forgeting=0.8",
    "check-json": "check cards/esd.json --min forgetting=0.5 --max asr=0.1 --json",
    "check-error-json": "check cards/esd.json --min forgeting=0.8 --json",
    "paper": "paper cards",
    "paper-json": "paper cards/esd.json --json",
    "compare": "compare cards/esd.json cards/uce.json",
    "compare-json": "compare cards/esd.json --json",
    "families": "families cards/esd.json cards/filter.json",
    "power": "power cards/esd.json cards/uce.json",
    "verify": "verify cards/esd.json",
    "verify-json": "verify cards/esd.json --json",
}
SCORED: Final = {  # what score, merge, run and demo print of so many models; scoring itself is tested elsewhere
    "score-one": ["esd"],
    "score-two": ["esd", "uce"],
    "score-four": ["esd", "filter", "original", "uce"],
}


def printed(name: str) -> str:
    """What a command of the tables above prints, with its exit code; an error's message stands below."""
    runner = CliRunner()
    os.environ["COLUMNS"] = "80"
    if name in SCORED:
        app_ = _scored(SCORED[name])
        done = runner.invoke(app_, [])
    else:
        done = runner.invoke(app, shlex.split(COMMANDS[name]))
    told = "" if done.exception is None or isinstance(done.exception, SystemExit) else f"{done.exception}\n"
    code = getattr(done.exception, "exit_code", done.exit_code)
    text = f"{done.stdout}{told}exit code {code}\n".replace(f'"{__version__}"', '"VERSION"')
    return _LONG.sub(lambda found: f"{float(found[0]):.9g}", text)  # other machines round the last digits otherwise


def _scored(models: list[str]):  # type: ignore[no-untyped-def]
    import typer

    def score() -> None:
        files = [Path(f"cards/{model}.json") for model in models]
        then = ["igmu", "report", *files, "--images", "images"]
        tell_cards(read_all(files), files, then=then)

    found = typer.Typer()
    found.command()(score)
    return found


def unpack(folder: Path) -> None:
    """The recorded cards as `folder/cards/*.json`."""
    (folder / "cards").mkdir()
    for path in sorted(RECORDED.glob("*.json.gz")):
        text = gzip.decompress(path.read_bytes())
        assert json.loads(text)["schema_version"] == 3
        (folder / "cards" / path.name.removesuffix(".gz")).write_bytes(text)


def main() -> None:
    """Write every file."""
    with tempfile.TemporaryDirectory() as folder:
        unpack(Path(folder))
        os.chdir(folder)
        for name in (*COMMANDS, *SCORED):
            (HERE / f"{name}.txt").write_text(printed(name), encoding="utf-8")
            sys.stderr.write(f"{name}\n")


if __name__ == "__main__":
    main()
