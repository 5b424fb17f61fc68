"""Rounds in turn: every contender once a round, so that whatever slows the machine down slows all of them."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from igmu_data import markdown


def rounds(contenders: Mapping[str, Callable[[], Any]], n: int) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Seconds of every round by contender, and what each returned in the last one."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    results: dict[str, Any] = {}
    for number in range(n):
        for name, work in contenders.items():
            start = time.perf_counter()
            results[name] = work()
            times[name].append(time.perf_counter() - start)
            sys.stderr.write(f"round {number + 1}/{n}: {name}: {times[name][-1]:.3f} s\n")
    return times, results


def spread(values: list[float], digits: int = 2) -> str:
    """Median with the smallest and the largest."""
    middle = statistics.median(values)
    if len(values) == 1:
        return f"{middle:.{digits}f}"
    return f"{middle:.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def ratios(slow: list[float], fast: list[float]) -> list[float]:
    """How many times as long the first took, round by round."""
    return [a / b for a, b in zip(slow, fast, strict=True)]


def table(head: list[str], rows: list[list[str]]) -> str:
    """Markdown, with the end of its last line."""
    return markdown.table(head, rows) + "\n"
