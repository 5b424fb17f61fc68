"""What models cost compared with the original: time and memory per image, storage, and the cost of making them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from igmu_data.numerals import counted
from igmu_metrics.images.efficiency import Pace
from igmu_metrics.images.method import Method
from igmu_metrics.report.figures.matrix import Matrix, Shaded
from igmu_metrics.scorecard import Scorecard
from igmu_metrics.statistics.formatting import DASH

_COLUMNS: Final = (
    "seconds per image",
    "relative to the original",
    "peak memory",
    "extra parameters",
    "extra bytes",
    "cost of unlearning, as stated by the model's author",
)
_STEPS: Final = ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k"))
_NOT_ALIKE: Final = "not comparable"


def cost(cards: Sequence[Scorecard]) -> Matrix | None:
    """The table, with the original first and then one line per model; None if no card records costs.

    Args:
        cards: cards of one section with the same original.
    """
    known = [(card, card.efficiency) for card in cards if card.efficiency is not None]
    if not known:
        return None
    first = next((e.times.original for _, e in known if e.times is not None), None)
    lines = [(f"{cards[0].original_model} (original)", "", [*_pace(first), DASH, DASH, DASH])]
    for card, found in known:
        times = found.times
        seconds, _, memory = _pace(times.unlearned if times else None)
        ratio = times.ratio if times else None
        unlike = times is not None and times.unlearned is not None and times.original is not None and ratio is None
        lines.append(
            (
                card.model,
                "",
                [
                    seconds,
                    f"{ratio:.2f}" if ratio is not None else _NOT_ALIKE if unlike else DASH,
                    memory,
                    DASH if found.extra_parameters is None else short(found.extra_parameters),
                    DASH if found.extra_bytes is None else short(found.extra_bytes, "B"),
                    DASH if found.method is None else _made(found.method),
                ],
            )
        )
    shaded = [(name, more, [Shaded(text, None) for text in cells]) for name, more, cells in lines]
    devices = {p.device for _, e in known if e.times for p in (e.times.unlearned, e.times.original) if p}
    where = f" ({', '.join(sorted(devices))})" if devices else ""
    return Matrix(f"{cards[0].config}: cost compared with the original{where}", "model", _COLUMNS, shaded)


def _pace(pace: Pace | None) -> list[str]:
    if pace is None:
        return [DASH, DASH, DASH]
    return [f"{pace.seconds:.3g}", "1.00", DASH if pace.peak_bytes is None else short(pace.peak_bytes, "B")]


def _made(method: Method) -> str:
    """`5400 s on 2 × NVIDIA A100, 1000 images`."""
    on = f"{method.n_gpus} × {method.gpu}" if method.n_gpus and method.gpu else method.gpu
    seconds = None if method.training_seconds is None else f"{method.training_seconds:g} s"
    told = (
        " on ".join(filter(None, (seconds, on))),
        None if method.n_images is None else counted(method.n_images, "image"),
        None if method.n_prompts is None else counted(method.n_prompts, "prompt"),
        method.data,
    )
    return ", ".join(filter(None, told)) or DASH


def short(n: int, unit: str = "") -> str:
    """A count with three digits.

    >>> short(999), short(12345), short(0, "B"), short(3_440_000_000, "B")
    ('999', '12.3 k', '0 B', '3.44 GB')
    """
    step, name = next((s for s in _STEPS if n >= s[0]), (1, ""))
    return f"{n / step:.3g} {name}{unit}".rstrip()
