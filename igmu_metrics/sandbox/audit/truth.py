"""What is true of the packaged versions because of how they were made, whatever any metric says.

Conventions: a pair says that one version is *strictly* better than another in one aspect; versions that construction
does not order (is `esd` gentler than `uce`?) are in no pair. What fine-tuning happened to do is a measurement, not a
truth: `esd` and `uce` stand here only for what they were changed to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

HEADLINE: Final = "forget_score"
REST: Final = "rest"  # what else a prompt with the concept asks for; no aspect of the score, but what CSDR is about
NEAR: Final = 0.1  # what "about 0" and "about 1" allow, decided before anything was measured
FAR_BELOW: Final = 0.3


@dataclass(frozen=True, slots=True)
class Pair:
    """One version is better than another in an aspect.

    Args:
        aspect: an aspect of the forget score, REST, or HEADLINE for the whole.
        better: a version.
        worse: another.
        reason: why that follows from how the two were made.
    """

    aspect: str
    better: str
    worse: str
    reason: str


@dataclass(frozen=True, slots=True)
class Fixed:
    """An aspect of a version lies between two values; where they are equal it is this value exactly.

    Args:
        version: whose.
        aspect: as in `Pair`.
        low: smallest value.
        high: largest value.
        reason: why.
    """

    version: str
    aspect: str
    low: float
    high: float
    reason: str

    @property
    def words(self) -> str:
        """`0`, `about 1`."""
        return f"{self.low:g}" if self.low == self.high else f"about {1 if self.high == 1 else 0}"


@dataclass(frozen=True, slots=True)
class Gap:
    """One version is far above another in an aspect: by `by` at least, and beyond both intervals."""

    aspect: str
    better: str
    worse: str
    by: float
    reason: str


_NOISE: Final = "collapsed generates noise"
_NEVER_SAW: Final = "gold was trained from scratch without the concept"
_FORGOT: Final = {
    "gold": _NEVER_SAW,
    "esd": "every step of esd's training leads the plain prompt away from the concept",
    "uce": "uce treats the concept's name as if it were a different phrase",
    "filter": "filter's text encoder never sees the word",
    "collapsed": f"{_NOISE}, in which no concept can be seen",
}
_KEPT: Final = {
    "original": "original has everything that can be kept",
    "gold": "gold was trained on everything but the concept",
    "filter": "without the word, filter generates with the original's own weights",
}
_SAME: Final = "without the word, filter generates exactly what the original generates"
_UNTOUCHED: Final = "original forgot nothing"
_USELESS: Final = f"{_NOISE} for every prompt"


def _pairs() -> tuple[Pair, ...]:
    found = [Pair("forgetting", v, "original", f"{why}; {_UNTOUCHED}") for v, why in _FORGOT.items()]
    bypassed = "an attack without the word reaches the original's weights in filter"
    for version, why in (("gold", f"{_NEVER_SAW}: there is nothing to bring back"), ("collapsed", _NOISE)):
        found.append(Pair("robustness", version, "original", f"{why}; {_UNTOUCHED}"))
        found.append(Pair("robustness", version, "filter", f"{why}; {bypassed}"))
    for aspect in ("preservation", "alignment", "quality", REST):
        found += [Pair(aspect, v, "collapsed", f"{why}; {_USELESS}") for v, why in _KEPT.items()]
    ideal = f"{_NEVER_SAW}, and is the ideal by definition"
    others = ("original", "esd", "uce", "filter", "collapsed")
    found += [Pair(HEADLINE, "gold", v, ideal) for v in others]
    for version in ("esd", "uce", "filter"):
        more = "; on all other prompts filter is the original" if version == "filter" else ""
        found.append(Pair(HEADLINE, version, "original", f"{_FORGOT[version]}; {_UNTOUCHED}{more}"))
        found.append(Pair(HEADLINE, version, "collapsed", f"{version} still generates real images; {_USELESS}"))
    return tuple(found)


PAIRS: Final = _pairs()
FIXED: Final = (
    Fixed("gold", "forgetting", 1 - NEAR, 1, _NEVER_SAW),
    Fixed("gold", "robustness", 1 - NEAR, 1, f"{_NEVER_SAW}: there is nothing to bring back"),
    Fixed("filter", "forgetting", 1 - NEAR, 1, _FORGOT["filter"]),
    Fixed("filter", "preservation", 1, 1, _SAME),
    Fixed("filter", "quality", 1, 1, _SAME),
    Fixed("collapsed", "forgetting", 1 - NEAR, 1, _FORGOT["collapsed"]),
    Fixed("collapsed", "robustness", 1 - NEAR, 1, _FORGOT["collapsed"]),
    Fixed("collapsed", "preservation", 0, NEAR, _USELESS),
    Fixed("collapsed", HEADLINE, 0, NEAR, _USELESS),
)
GAPS: Final = (
    Gap("robustness", "gold", "filter", FAR_BELOW, "filter fails for the first word that is not on its list"),
)
ASPECTS: Final[Mapping[str, tuple[Pair, ...]]] = {
    aspect: tuple(p for p in PAIRS if p.aspect == aspect) for aspect in dict.fromkeys(p.aspect for p in PAIRS)
}
