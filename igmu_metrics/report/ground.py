"""The basis of a verdict: how much of the protocol was scored, what failed, which detector judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from igmu_data.numerals import counted
from igmu_metrics.copied import copies
from igmu_metrics.coverage import by_model, coverages, failed
from igmu_metrics.images.ways import caution
from igmu_metrics.report.raters import Raters, between_people, with_people
from igmu_metrics.report.view import View
from igmu_metrics.report.wording import sentence
from igmu_metrics.statistics.formatting import number

_BY_EYE: Final = "labels:"
_NOBODY: Final = "Not measured, because no labels were given (igmu report --labels FILE.csv)."


class Reason(NamedTuple):
    """A line of the block.

    Args:
        key: the key of its definition; "" if there is none.
        title: what it is about.
        text: what it says.
        kind: how the page shows it: "" as usual, "caution" so that nobody misses it, or "caution failed" in bold.
    """

    key: str
    title: str
    text: str
    kind: str = ""


def ground(view: View, people: Raters | None = None, detectors: Sequence[str] = ()) -> list[Reason]:
    """The lines of the block, from the cards.

    Args:
        view: the view of one section.
        people: the raters who labelled its images.
        detectors: sentences about the agreement of several detectors on this concept.
    """
    fields = view.signature.fields
    name = str(fields.get("detector", "unknown"))
    threshold = f", threshold {fields['detector.threshold']:g}" if "detector.threshold" in fields else ""
    return [
        Reason("coverage", "Coverage", "\n".join(coverages(view.cards)).removeprefix("Coverage: ")),
        *_cautions(view),
        Reason("n", "Images and prompts", "; ".join(_counts(view))),
        Reason("seeds", "Seeds", _seeds(view)),
        Reason("detector", "Detector", f"{name}{threshold}"),
        Reason("sensitivity", "Detector errors", _errors(view, name)),
        Reason("kappa", "Agreement with people", with_people(people) if people else _NOBODY),
        *([Reason("kappa", "Between people", between_people(people))] if people and between_people(people) else []),
        *([Reason("kappa", "Between detectors", " ".join(detectors))] if detectors else []),
    ]


def _cautions(view: View) -> list[Reason]:
    """What failed or is missing, even if nothing is, in which settings the models may differ, and the cards' notes."""
    several = len(view.cards) > 1
    lost = [f"{card.model}: {text}." if several else sentence(text) for card in view.cards if (text := failed(card))]
    told = by_model(((card.model, sentence(note)) for card in view.cards for note in card.notes), len(view.cards))
    doubt = caution(view.cards)
    noted = [
        *map(sentence, copies(view.cards)),
        *([doubt] if doubt else []),
        *(f"{models}: {text}" if models else text for text, models in told),
    ]
    return [
        Reason("", "Failed or missing images", "\n".join(lost) or "None.", "caution failed" if lost else ""),
        *([Reason("", "Notes", "\n".join(noted), "caution")] if noted else []),
    ]


def _errors(view: View, name: str) -> str:
    if name.startswith(_BY_EYE):
        return "Not applicable, because people labelled the images."
    fields = view.signature.fields
    rates = [fields.get(f"detector.{rate}") for rate in ("sensitivity", "specificity")]
    if any(rate is None for rate in rates):
        if view.first.general:
            return (
                "The error rates are unknown for the questions about general prompts. Errors affect both models, so "
                "report the shares as well as their ratio."
            )
        return "The error rates are unknown. To measure them, judge a sample of images at the end of this section."
    sizes = [fields.get(f"detector.n_{which}") for which in ("positives", "negatives")]
    of = [f" of {counted(int(n), 'image')}" if n is not None else " of the images" for n in sizes]
    sees, silent = (f"{number(100 * float(rate), '.3g')}%" for rate in rates if rate is not None)
    return (
        f"The detector sees the concept in {sees}{of[0]} that show it, and correctly does not see it in "
        f"{silent}{of[1]} that do not show it."
    )


def _counts(view: View) -> Iterator[str]:
    said: dict[str, list[str]] = {}
    for card in view.cards:
        keys = card.generations.keys
        n = f"{counted(len(keys), 'image')} of {counted(len({row for row, _ in keys}), 'prompt')}"
        said.setdefault(n, []).append(card.model)
    for text, models in said.items():
        yield f"{text} by each model" if len(said) == 1 else f"{text} by {', '.join(models)}"


def _seeds(view: View) -> str:
    per = sorted({n for card in view.cards for n in Counter(row for row, _ in card.generations.keys).values()})
    some = f"{per[0]} to {per[-1]} seeds" if len(per) > 1 else counted(per[0], "seed")
    return f"{some} per prompt, the same for all models and the original."
