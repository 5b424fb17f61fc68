"""Cards of strangers, and everything that reads them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from harness import NAMES, RANDOMS, TEXTS, VALUES, Target, command, damaged
from hypothesis import strategies as st
from reported import scored

from igmu_data.errors import IgmuError
from igmu_metrics.scorecard import fingerprint
from igmu_metrics.spaces import leaderboard
from igmu_metrics.verdict.verify import verify

GOOD: Final = "fmn.json"
MARK: Final = "@@@"
_PACE: Final = {"seconds": 1.5, "peak_bytes": 10**9, "n_images": 8, "batch_size": 4, "device": "a processor"}
EFFICIENCY: Final = {
    "extra_parameters": 98304,
    "extra_bytes": 196608,
    "method": {"training_seconds": 60.0, "gpu": "A100", "n_gpus": 1, "data": "prompts", "source": "the paper"},
    "times": {"unlearned": _PACE, "original": _PACE},
}
READERS: Final[Sequence[Callable[[Path, Path], str]]] = (
    lambda card, good: command("verify", card),
    lambda card, good: command("compare", card, good),
    lambda card, good: command("report", card, good, "--out", "report.html") + Path("report.html").read_text("utf-8"),
    lambda card, good: command("families", card, good, "--chart", "chart.svg") + Path("chart.svg").read_text("utf-8"),
    lambda card, good: command("power", card, good),
    lambda card, good: command("power", card, "--prompts", 30),
    lambda card, good: command("export", "--csv", card),
    lambda card, good: command("export", "--latex", card, good),
    lambda card, good: command("export", "--model-index", card),
    lambda card, good: command("export", "--eval-results", "--out", ".", card),
)


def places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value of a card; of the lines only the first three."""
    items = data.items() if isinstance(data, dict) else enumerate(data[:3]) if isinstance(data, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


@st.composite
def changes(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Callable[[bytes], bytes]:
    """What is done to the text of a good card, and whether its hash is computed anew."""
    kind = draw(
        st.sampled_from(("value", "value", "value", "name", "renamed", "renamed", "text", "bytes", "drop", "whole"))
    )
    at, reseal = draw(st.floats(0, 1)), draw(st.booleans())
    if kind == "bytes":
        random = draw(RANDOMS)
        return lambda data: damaged(data, random)
    value = draw(st.sampled_from({"name": NAMES, "renamed": NAMES, "text": TEXTS}.get(kind, VALUES)))
    if kind == "whole":
        return lambda data: json.dumps(value).encode()
    if kind == "renamed":
        field = draw(st.sampled_from(("model", "original_model", "config", "reason", "family", "failure", "signed")))
        return lambda data: renamed(json.loads(data), field, value)

    def change(data: bytes) -> bytes:
        card = json.loads(data)
        by_key: dict[str, list[tuple[Any, ...]]] = {}  # a key is as likely as any other, however often it stands there
        for path in places(card):
            by_key.setdefault(str(path[-1]), []).append(path)
        some = list(by_key.values())[min(int(at * len(by_key)), len(by_key) - 1)]
        *inside, last = some[min(int(at * 7919) % len(some), len(some) - 1)]
        home = card
        for key in inside:
            home = home[key]
        if kind == "drop":
            del home[last]
        elif kind == "name" and isinstance(home, dict) and len(inside) > 1:
            home[value] = home.pop(last)
        else:
            home[last] = MARK if kind == "text" else value
        changed = json.dumps(card).replace(f'"{MARK}"', value if kind == "text" else MARK)
        if reseal:
            try:
                card["content_sha256"] = fingerprint(changed)
                changed = changed.replace(json.loads(data)["content_sha256"], card["content_sha256"])
            except ValueError:
                pass
        return changed.encode()

    return change


def renamed(card: dict[str, Any], field: str, name: str) -> bytes:
    """The card with a name in every place that has to agree, and its hash computed anew."""
    if field in ("model", "original_model", "config"):
        card[field] = name
        for entry in card["scores"].values():
            entry["signature"][field.removesuffix("_model")] = name
    elif field == "reason":
        card["notes"] = [name, name]
        for entry in card["scores"].values():
            for figure in entry["figures"].values():
                figure["reason"] = name
    elif field == "failure":
        card["failures"] = [name]
        for entry in card["scores"].values():
            entry["n_failed"] = 1
    elif field == "family":
        for line in card["generations"]:
            if "attack_family" in line:
                line["attack_family"] = name
        entry = card["scores"]["attack_success_rate"]
        entry["figures"] = {
            f"{key.partition('/')[0]}/{name}" if "/" in key else key: figure for key, figure in entry["figures"].items()
        }
    else:
        for entry in card["scores"].values():
            entry["signature"] |= {"detector": name, name: name}
    return sealed(card).encode()


def sealed(card: dict[str, Any]) -> str:
    """The card's text with its hash computed anew, where it can be."""
    with suppress(ValueError):
        card["content_sha256"] = fingerprint(json.dumps(card))
    return json.dumps(card)


def prepare(base: Path) -> None:
    """Two good cards that can be compared, with every block that a card may have."""
    scored(base)
    for path in (base / "cards").glob("*.json"):
        path.write_text(sealed(json.loads(path.read_text("utf-8")) | {"efficiency": EFFICIENCY}))


def read_everywhere(change: Callable[[bytes], bytes], place: Path, base: Path) -> list[str]:
    """The card in every command, in the leaderboard and in the Space."""
    good = base / "cards" / GOOD
    card = place / "cards" / "esd.json"
    card.parent.mkdir()
    changed = change((base / "cards" / "esd.json").read_bytes())
    card.write_bytes(changed)
    shutil.copy(good, card.parent)
    try:
        found, problems = verify(card)
        wrong = found is None or bool(problems)
    except IgmuError:
        wrong = True
    told = []
    for reader in READERS:
        try:
            told.append(reader(card, good))
        except IgmuError:
            continue
        assert not wrong, "figures of a card that disagrees with itself were shown"
    told.append(leaderboard.checked(str(card), []))
    assert told[-1].startswith("Refused") == wrong or "original model" in told[-1]
    cards, shown = leaderboard.ranked(card.parent)
    told.append(shown)
    assert "fmn" in {c.model for c in cards}, "one card took the other with it"
    assert "<iframe" in shown
    return told


TARGET: Final = Target(changes(), read_everywhere, prepare)
