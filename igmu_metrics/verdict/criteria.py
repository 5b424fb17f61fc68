"""Whether a scorecard meets bounds on its metrics, judged by their whole intervals.

Conventions: a bound is met if the whole 95% interval is on its good side (an end that equals the bound is on both
sides), not met if the whole interval is on its bad side, and undecided otherwise. Counts are exact; any other metric
without an interval is undecided. A bound that cannot be checked, because the metric is missing or has no value, is an
error; the others are checked all the same.

The full name of a metric is `SCORE/METRIC`. Shorter names are accepted if they are unambiguous: the metric's name alone
if only one score has it (or only one score of a whole card, such as `concept_accuracy` next to
`concept_accuracy/negation`), the score's name for its headline, and `asr` for the headline of `attack_success_rate`.

Success rates for different k are different metrics, although cards store all of them as `asr_any@k`. So they are
printed with their k (`asr_any@5`), a bound on `asr_any@5` is refused for a card with another k, and a bound without k
is refused if the cards that it applies to have different ones.

Two exact shares describe the images of a card. `coverage` is the share of the corpus's images that were scored, in the
part where it is lowest; `coverage/forget` is that of one part. `failed` is the share of images that failed or are
missing.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from igmu_data import errors
from igmu_data.errors import BudgetError, EmptyInputError, InputError, nearest
from igmu_data.numerals import counted
from igmu_metrics import registry
from igmu_metrics.metrics.forget_score import ASPECTS
from igmu_metrics.metrics.forget_score import INFO as FORGET
from igmu_metrics.scorecard import Figure, Scorecard, ScoreEntry
from igmu_metrics.statistics.formatting import bounds, formatted
from igmu_metrics.verdict.agreement import detector_of

FORGET_SCORE: Final = "forget_score/forget_score"
_IMAGES: Final = "images"  # in place of a score: coverage and failures
_COVERAGE: Final = "coverage"
_FAILED: Final = "failed"
_FEW: Final = 6  # figures that an error lists
_SHORT: Final = {"asr": "attack_success_rate"}
_ANY_K: Final = re.compile(r"@k(?=[/_]|$)")  # in the name of a figure on a card
_TRIES: Final = re.compile(r"@([0-9]{1,9})(?=[/_]|$)")  # the value of k in a name, as in `asr_any@5`
_PERCENT: Final = "{} lies in 0..1, so a bound of {:g} is the same for every model. Use a fraction, not a percentage."


class Outcome(StrEnum):
    """The outcome of one bound, or of all of them."""

    MET = "met"
    NOT_MET = "not met"
    UNDECIDED = "undecided"
    ERROR = "error"

    @property
    def exit_code(self) -> int:
        """The exit code of `igmu check`: 0, 1, 3 or 2."""
        return {"met": 0, "not met": 1, "undecided": 3}.get(self, 2)


@dataclass(frozen=True, slots=True)
class Criterion:
    """A bound on one metric.

    Args:
        name: name of the metric, as given.
        bound: the number.
        least: whether it is a lower bound (`--min`); otherwise it is an upper bound (`--max`).
    """

    name: str
    bound: float
    least: bool

    def __str__(self) -> str:
        """`>= 0.8`."""
        return f"{'>=' if self.least else '<='} {self.bound:g}"

    def outcome(self, name: str, figure: Figure) -> Outcome:
        """Whether an interval meets the bound.

        Args:
            name: the metric's full name, by which counts are recognized.
            figure: the metric, with a value.
        """
        ends = bounds(figure)
        if ends is None and figure.value is not None and exact(name):
            ends = (figure.value, figure.value)
        if ends is None:
            return Outcome.UNDECIDED
        low, high = ends
        if low >= self.bound if self.least else high <= self.bound:
            return Outcome.MET
        return Outcome.NOT_MET if (high < self.bound if self.least else low > self.bound) else Outcome.UNDECIDED


@dataclass(frozen=True, slots=True)
class Checked:
    """One bound on one card.

    Args:
        model: the card's model.
        config: what it was scored on.
        figure: full name of the metric on the card; as it was given if the card does not have it.
        at_least: whether the bound is a lower bound.
        bound: the number.
        value: the value of the metric, null if there is none.
        interval: its 95% interval, null if there is none.
        outcome: met, not met, undecided or error.
        why: why the bound cannot be checked; "" otherwise.
        detector: the card's detector.
        label: the metric as it is printed, with the value of k, such as `asr_any@5`.
        error: the type of the error if the bound cannot be checked, such as `BudgetError`; "" otherwise.
    """

    model: str
    config: str
    figure: str
    at_least: bool
    bound: float
    value: float | None
    interval: tuple[float, float] | None
    outcome: Outcome
    why: str = ""
    detector: str = ""
    label: str = ""
    error: str = ""

    def line(self, *, on: bool, by: bool = False) -> str:
        """`met: esd: forgetting 0.91 [0.85, 0.95] >= 0.8`; with `on` the config is included, with `by` the detector.

        A bound that could not be checked is described by `why`.
        """
        if self.outcome is Outcome.ERROR:
            return f"{f'{self.detector}: ' * by}{self.why}"
        where = called(self.model, self.config, self.detector, on=on, by=by)
        sign = ">=" if self.at_least else "<="
        none = "" if self.interval else " (exact)" if exact(self.figure) else " (no interval)"
        return f"{self.outcome}: {where}: {self.label} {formatted(self, '.3g')}{none} {sign} {self.bound:g}"


@dataclass(frozen=True, slots=True)
class Unsettled:
    """Something that a run with `--until` left undecided.

    Args:
        config: the concept's config.
        model: name of the unlearned model.
        figure: full name of the metric; "" for a difference between two models.
        text: the metric with its value, its interval and its bound, if any; or the names of both models.
        ended: what ended the run before this was decided: `prompts` (no prompts were left) or `max_images`.
    """

    config: str
    model: str
    figure: str
    text: str
    ended: str = ""


def called(model: str, config: str, detector: str, *, on: bool, by: bool) -> str:
    """What a scorecard is called: `clip: esd on object.church`; config and detector only if several cards differ."""
    return f"{f'{detector}: ' * by}{model}{f' on {config}' * on}"


def failures(cards: Iterable[Scorecard], *, on: bool, by: bool) -> dict[str, int]:
    """Number of failed or missing images by what the cards are called, where there are any."""
    found: Counter[str] = Counter()
    for card in cards:
        found[called(card.model, card.config, detector_of(card), on=on, by=by)] += len(card.failures)
    return dict(+found)


def exact(name: str) -> bool:
    """Whether a metric has no interval because it is a count or a share of the card's own images.

    Args:
        name: its full name.
    """
    return bool(share_of_images(name)) or name.rpartition("/")[2].startswith("n_")


def share_of_images(name: str) -> str:
    """The full name of coverage or failures; "" for anything else.

    >>> share_of_images("coverage"), share_of_images("images/coverage/retain"), share_of_images("forgetting")
    ('images/coverage', 'images/coverage/retain', '')
    """
    own = name.removeprefix(f"{_IMAGES}/")
    return f"{_IMAGES}/{own}" if own.partition("/")[0] in (_COVERAGE, _FAILED) else ""


def figures(card: Scorecard) -> dict[str, Figure]:
    """All metrics of a card by their full names, `SCORE/METRIC`."""
    return named(card.scores)


def named(scores: Mapping[str, ScoreEntry]) -> dict[str, Figure]:
    """The same of scores that are not on a card."""
    return {f"{score}/{name}": f for score, entry in scores.items() for name, f in entry.figures.items()}


def of_images(card: Scorecard) -> dict[str, Figure]:
    """Coverage and failures of a card, by full name; coverage has no value if the corpus is unknown."""
    n, failed = len(card.generations), len(card.failures)
    parts = {part: one for part, one in (card.coverage or {}).items() if one.n_generations_asked}
    shares = {part: one.n_generations / one.n_generations_asked for part, one in parts.items()}

    def share(value: float | None, reason: str = "") -> Figure:
        return Figure(value=value, interval=None, n_prompts=0, n_generations=n, reason=reason)

    least = share(min(shares.values())) if shares else share(None, "the scorecard is not of prompts of a corpus")
    found = {_COVERAGE: least, **{f"{_COVERAGE}/{part}": share(value) for part, value in shares.items()}}
    found[_FAILED] = share(failed / (n + failed) if n + failed else None, "there are no images")
    return {f"{_IMAGES}/{name}": figure for name, figure in found.items()}


def bounds_of(at_least: Iterable[str], at_most: Iterable[str]) -> list[Criterion]:
    """The criteria of `--min` and `--max`; raises the same errors as `parsed`."""
    return [parsed(text, least=True) for text in at_least] + [parsed(text, least=False) for text in at_most]


def parsed(text: str, *, least: bool) -> Criterion:
    """A criterion from the command line.

    Raises:
        InputError: not of the form NAME=NUMBER.

    >>> parsed("asr_any@5=0.1", least=False)
    Criterion(name='asr_any@5', bound=0.1, least=False)
    """
    name, equals, number = (part.strip() for part in text.rpartition("="))
    flag = "--min" if least else "--max"
    try:
        bound = float(number)
    except ValueError:
        bound = math.nan
    if not (name and equals) or not math.isfinite(bound):
        raise InputError(f"{flag} is {text!r}; it must have the form METRIC=NUMBER, such as {flag} forgetting=0.8.")
    return Criterion(name, bound, least)


def full_name(scores: Mapping[str, ScoreEntry], name: str, where: str) -> str:
    """The full name of a metric.

    Args:
        scores: the scores by key.
        name: the metric's name, as given; with or without the value of k.
        where: what has these scores, for messages.

    Raises:
        InputError: there is no such metric (the message gives similar names), or there are several with this name.
        BudgetError: the name has another k than the scores.
    """
    known, name = named(scores), _SHORT.get(name, name)
    found = _matches(scores, name) or _matches(scores, without_k(name))
    if len(found) == 1:
        require_k(scores[key_of(scores, found[0])], found[0].partition("/")[2], name, where)
        return found[0]
    if found:
        listed = ", ".join(printed(scores, full) for full in found)
        raise InputError(f"{where} has several metrics called {name!r}: {listed}. Use one of these full names.")
    names = {with_k(entry, figure): None for entry in scores.values() for figure in entry.figures}
    alike = nearest(name, [printed(scores, full) for full in known] if "/" in name else [*names, *_SHORT])
    few = f"; it has {', '.join(names)}." if len(names) <= _FEW else _main(scores)
    guess = f"; did you mean {' or '.join(map(repr, alike))}?" if alike else few
    raise InputError(f"{where} has no metric {name!r}{guess}")


def _main(scores: Mapping[str, ScoreEntry]) -> str:
    """The metrics of which most bounds are: the headline of each score, and the aspects of the forget score."""
    known = [(entry, registry.info(entry.name, entry.package)) for entry in scores.values()]
    heads = [
        with_k(entry, info.headline) for entry, info in known if info is not None and info.headline in entry.figures
    ]
    aspects = [name for entry, _ in known if entry.name == FORGET.name for name in ASPECTS if name in entry.figures]
    return (
        f"; its main metrics are {', '.join(dict.fromkeys([*heads, *aspects]))}. For what they mean, run: igmu metrics"
    )


def _matches(scores: Mapping[str, ScoreEntry], name: str) -> list[str]:
    """The full names of the metrics that a name may mean."""
    known = named(scores)
    if name in known:
        return [name]
    if (entry := scores.get(name)) is not None:
        info = registry.info(entry.name, entry.package)
        if info is not None and f"{name}/{info.headline}" in known:
            return [f"{name}/{info.headline}"]
    found = [f"{score}/{name}" for score, entry in scores.items() if name in entry.figures]
    whole = [full for full in found if full == f"{scores[full.removesuffix(f'/{name}')].name}/{name}"]
    return whole if len(whole) == 1 else found


def require_k(entry: ScoreEntry, figure: str, name: str, where: str) -> None:
    """Refuse a name with another k than that of the metric that it means.

    Args:
        entry: the score of the metric.
        figure: the metric's name on the card.
        name: its name as given.
        where: what has this score, for messages.

    Raises:
        BudgetError: the name has another k.
    """
    require_tries(entry.signature.get("k", "k"), figure, name, where)


def require_tries(own: object, figure: str, name: str, where: str, option: str = "") -> None:
    """The same for a metric that does not belong to a scorecard.

    Args:
        own: the value of k that the metric has.
        figure: the metric's name on a card.
        name: its name as given.
        where: what has this metric, for messages.
        option: an option that sets k, such as `--seeds`; "" if the images have to be scored again.
    """
    tried = _TRIES.search(name)
    if tried is None or tried[0] in figure or int(tried[1]) == own:  # `precision@5` may be a metric's own name
        return
    k, shown = int(tried[1]), with_tries(own, figure)
    cure = f"igmu score --k {k}, or scoring: {{k: {k}}} in a run file"
    images = f", for which every adversarial prompt needs at least {counted(k, 'image')}"
    raise BudgetError(
        f"{where} has {shown} (k is {own}), not {name} (k is {k}), and rates for different k are not comparable. Use "
        f"{shown}, or set k to {k} ({f'{option} {k}' if option else cure}){images * (not option)}."
    )


def with_k(entry: ScoreEntry, figure: str) -> str:
    """The name of a figure of a score as it is printed, with the value of k: `asr_any@5` for the card's `asr_any@k`."""
    return with_tries(entry.signature.get("k", "k"), figure)


def with_tries(k: object, figure: str) -> str:
    """The same for a given k.

    >>> with_tries(5, "conditional_asr_any@k/leetspeak"), with_tries(5, "asr_image")
    ('conditional_asr_any@5/leetspeak', 'asr_image')
    """
    return _ANY_K.sub(f"@{k}", figure)


def without_k(name: str) -> str:
    """A name as cards have it.

    >>> without_k("conditional_asr_any@5/leetspeak"), without_k("asr_any@k")
    ('conditional_asr_any@k/leetspeak', 'asr_any@k')
    """
    return _TRIES.sub("@k", name, count=1)


def key_of(scores: Mapping[str, ScoreEntry], full: str) -> str:
    """The key of the score to which a metric belongs."""
    return max((key for key in scores if full.startswith(f"{key}/")), key=len)


def printed(scores: Mapping[str, ScoreEntry], full: str) -> str:
    """The full name of a metric with the value of k, `attack_success_rate/asr_any@5`."""
    return with_k(scores[key_of(scores, full)], full)


def label(scores: Mapping[str, ScoreEntry], full: str) -> str:
    """A metric as it is printed where its score is clear, with the value of k: `asr_any@5`."""
    return printed(scores, full).partition("/")[2]


def check(cards: Sequence[Scorecard], criteria: Sequence[Criterion]) -> list[Checked]:
    """Check all criteria on all cards of unlearned models; cards of the original itself are skipped.

    Raises:
        EmptyInputError: no criteria, or no card of an unlearned model.
    """
    if not criteria:
        raise EmptyInputError(
            "no bounds were given. Specify at least one, such as --min forgetting=0.8 or --max "
            "conditional_asr_any@5=0.1."
        )
    judged = [c for c in cards if c.model != c.original_model]
    if not judged:
        raise EmptyInputError("none of the scorecards is for an unlearned model. Specify at least one that is.")
    several = {criterion: _several_k(judged, criterion) for criterion in criteria}
    return [_checked(card, criterion, several[criterion]) for card in judged for criterion in criteria]


def refusal(wrong: Sequence[Checked], text: str) -> InputError:
    """The error about bounds that cannot be checked: of their common type, or an InputError if they have several."""
    kinds = {one.error for one in wrong}
    kind: type[InputError] = getattr(errors, kinds.pop()) if len(kinds) == 1 else InputError
    return kind(text)


def _several_k(cards: Sequence[Scorecard], criterion: Criterion) -> BudgetError | None:
    """Why a bound without k cannot apply to all cards, which have different ones; None if it can."""
    found: dict[str, list[str]] = {}
    for card in cards:
        with suppress(InputError):  # an error of one card is reported for this card
            full = full_name(card.scores, criterion.name, card.model)
            if (shown := label(card.scores, full)) != full.partition("/")[2]:
                found.setdefault(shown, []).append(card.model)
    if len(found) < 2:
        return None
    each = "; ".join(f"{name} of {', '.join(dict.fromkeys(models))}" for name, models in found.items())
    return BudgetError(
        f"the bound on {criterion.name} would apply to rates for different k, which are not comparable: {each}. Check "
        f"scorecards with the same k together, and state the k in the bound, as in {next(iter(found))}."
    )


def _checked(card: Scorecard, criterion: Criterion, why: InputError | None) -> Checked:
    """One bound on one card; `why` it cannot be checked on any card, if it cannot."""
    name, figure, shown = criterion.name, None, criterion.name
    try:
        if why is None:
            name, figure = _usable(card, criterion)
            shown = name.partition("/")[2] if share_of_images(name) else label(card.scores, name)
    except InputError as error:
        why = error
    return Checked(
        model=card.model,
        config=card.config,
        figure=name,
        at_least=criterion.least,
        bound=criterion.bound,
        value=None if figure is None else figure.value,
        interval=bounds(figure),
        outcome=Outcome.ERROR if figure is None else criterion.outcome(name, figure),
        why="" if why is None else str(why),
        detector=detector_of(card),
        label=shown,
        error="" if why is None else type(why).__name__,
    )


def _usable(card: Scorecard, criterion: Criterion) -> tuple[str, Figure]:
    """The full name of a criterion's metric on a card, and the metric, which has a value.

    Raises:
        InputError: the card lacks the metric or has no value for it, or the bound is not one for it.
    """
    where = f"the scorecard of {card.model} on {card.config}"
    if name := share_of_images(criterion.name):
        known = of_images(card)
        if name not in known:
            raise InputError(f"{where} has no {criterion.name!r}, only {', '.join(known)}. Use one of these.")
        if not 0 <= criterion.bound <= 1:
            raise InputError(_PERCENT.format(criterion.name, criterion.bound))
        figure = known[name]
    elif card.unfounded:
        raise InputError(f"{where} contains no verdict: {card.unfounded}. Score again with another detector.")
    else:
        name = usable(card.scores, criterion, where)
        figure = named(card.scores)[name]
    if figure.value is None:
        shown = name if share_of_images(name) else printed(card.scores, name)
        raise InputError(f"{where} has no value for {shown}{f' ({figure.reason})' if figure.reason else ''}.")
    return name, figure


def usable(scores: Mapping[str, ScoreEntry], criterion: Criterion, where: str) -> str:
    """The full name of a criterion's metric.

    Args:
        scores: the scores by key.
        criterion: a bound on one of their metrics.
        where: what has these scores, for messages.

    Raises:
        InputError: as of `full_name`, or the metric is a share and the bound is not, such as percent.
    """
    full = full_name(scores, criterion.name, where)
    if not 0 <= criterion.bound <= 1 and _is_share(scores, full):
        raise InputError(_PERCENT.format(label(scores, full), criterion.bound))
    return full


def _is_share(scores: Mapping[str, ScoreEntry], full: str) -> bool:
    """Whether a metric lies in 0..1 according to its description."""
    own, entry = full.rpartition("/")[2], scores[key_of(scores, full)]
    info = registry.info(entry.name, entry.package)
    if info is None or own.startswith("n_") or (entry.package and own != info.headline):
        return False
    return info.range == (0.0, 1.0)


def overall(outcomes: Iterable[Outcome]) -> Outcome:
    """The worst outcome: an error, then not met, then undecided, otherwise met."""
    seen = set(outcomes)
    return next((o for o in (Outcome.ERROR, Outcome.NOT_MET, Outcome.UNDECIDED) if o in seen), Outcome.MET)
