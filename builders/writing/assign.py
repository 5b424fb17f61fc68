"""`python -m builders.writing.assign`: writes `far` into concept files that have none (`igmu_data.rows.far`).

Chosen once, by a hash, and then written down: what else comes to exist later changes nothing.
"""

from __future__ import annotations

import re
import sys

from builders.writing.__main__ import CONCEPTS
from igmu_data.rows.far import chosen
from igmu_data.taxonomy import packaged

_TABLE = re.compile(r"\[{1,2}\w+\]{1,2}")  # the first table; a line of a list may begin with a bracket, too


def main() -> None:
    """Write the missing ones."""
    for concept in packaged().values():
        if concept.far:
            continue
        path = CONCEPTS / concept.domain / f"{concept.slug}.toml"
        lines = path.read_text(encoding="utf-8").split("\n")
        at = next(i for i, line in enumerate(lines) if _TABLE.fullmatch(line))
        found = ", ".join(f'"{i}"' for i in chosen(concept))
        lines.insert(at, f"far = [{found}]\n")
        path.write_text("\n".join(lines), encoding="utf-8")
        sys.stdout.write(f"{concept.id}\n")


if __name__ == "__main__":
    main()
