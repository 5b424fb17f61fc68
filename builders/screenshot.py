"""`python -m builders.screenshot`: the image at the top of README.md, of the demo's report, by headless Chromium."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import typer

from igmu_data.errors import InputError, exits_on_error
from igmu_metrics.sandbox import demo

ROOT: Final = Path(__file__).resolve().parent.parent
IMAGE: Final = ROOT / "docs" / "report.png"
_SIZE: Final = (1200, 1000)  # pixels


def taken(page: Path, image: Path) -> None:
    """Write a screenshot of the top of a page.

    Args:
        page: an HTML file.
        image: the PNG to write.

    Raises:
        InputError: there is no Chromium.
    """
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        raise InputError("no chromium: install it to take the screenshot.")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size={},{}".format(*_SIZE)]
    subprocess.run([browser, *flags, f"--screenshot={image}", page.resolve().as_uri()], check=True, timeout=120)


@exits_on_error
def main() -> None:
    """Run the demo and take its report's screenshot."""
    with tempfile.TemporaryDirectory() as folder:
        demo.run(Path(folder), demo.slugs()[:1])
        taken(Path(folder) / demo.REPORT, IMAGE)
    typer.echo(IMAGE)


if __name__ == "__main__":
    typer.run(main)
