"""`python -m builders.mutants`: exit code 1 where a defect went unnoticed."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from functools import partial
from pathlib import Path

from builders.mutants.running import run
from builders.mutants.table import MUTATIONS
from igmu_data.errors import UnknownNameError, exits_on_error

ROOT = Path(__file__).resolve().parents[2]


@exits_on_error
def main() -> None:
    """Run the table, or some of it."""
    parser = argparse.ArgumentParser(prog="python -m builders.mutants", description="Plant defects and run the tests.")
    parser.add_argument("--only", action="append", metavar="NAME", default=[], help="this mutant; may be repeated")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="test runs at a time")
    given = parser.parse_args()
    known = {m.name: m for m in MUTATIONS}
    for name in given.only:
        if name not in known:
            raise UnknownNameError(name, known, "They stand in builders/mutants.")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # else the copies would stay
    chosen = tuple(m for m in MUTATIONS if m.name in given.only) if given.only else MUTATIONS
    try:
        survivors = run(ROOT, chosen, jobs=given.jobs, say=partial(print, flush=True))
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    sys.exit(1 if survivors else 0)


if __name__ == "__main__":
    main()
