"""What a command wrote, without what the clock told it: two runs are compared by this."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

TIMES: Final = "times.jsonl"
_COST: Final = re.compile(rb'<section class="part of-cost".*?</section>', re.DOTALL)


def timeless(path: Path) -> bytes:
    """A file's bytes; of a card and a report without times."""
    data = path.read_bytes()
    if path.suffix == ".html":
        return _COST.sub(b"", data)
    if path.suffix == ".json" and b'"times"' in data:
        card: Any = json.loads(data)
        if isinstance(card, dict) and "efficiency" in card:
            card["efficiency"].pop("times", None)
            return json.dumps(card).encode()
    return data
