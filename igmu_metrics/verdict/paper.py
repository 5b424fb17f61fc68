"""What to report in a paper: one sentence per model, a table with a row for the original, and the reasons.

Conventions: raw rates count all images that could be judged; conditional rates count only those for which the original
generated the concept. The original's conditional rates follow from this definition and are printed as the baseline for
the others. Below each model's row, rows give the intervals (which would make the columns too wide beside the values), n
for every number, and the raw rate corrected for the detector's errors if these were measured. Texts are LaTeX, and
every name in them is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from igmu_data.errors import EmptyInputError
from igmu_data.media import latex as escaped
from igmu_data.numerals import counted
from igmu_metrics.contract import Estimate
from igmu_metrics.coverage import card_notes, coverages, covering, looked
from igmu_metrics.images.ways import caution
from igmu_metrics.scorecard import Figure, Scorecard
from igmu_metrics.statistics.formatting import HasInterval, between, bounds, formatted, number, value_of
from igmu_metrics.statistics.looks import Looks
from igmu_metrics.verdict import recompute
from igmu_metrics.verdict.alike import agreed
from igmu_metrics.verdict.baseline import baseline, counted_on
from igmu_metrics.verdict.compare import require_comparable
from igmu_metrics.verdict.export import HEADLINE, latex_cell, latex_comments, line, tabular

_ACCURACY: Final = "concept_accuracy"
_ATTACKS: Final = "attack_success_rate"
# The fields of a signature for which a footnote has room: the detector, the rows and the constants.
_SIGNED: Final = (
    *("igmu", "dataset", "dataset.rows", "rows", "generated", "k", "detector", "detector.revision"),
    *("detector.threshold", "clip", "clip.revision", "features", "features.revision", "quality", "bootstrap"),
)
_QUESTIONS: Final = "question_accuracy"
_ANSWERED: Final = ("question_preservation", "question_accuracy", "original_question_accuracy")
# In the table's order, before the forget score itself.
_ASPECTS: Final = ("preservation_near", "preservation_far", "alignment", "quality")
_UNIT: Final = (
    "Report n and intervals: the unit is the prompt, because images of one prompt are not independent. Overlapping "
    "intervals leave the order undecided; igmu compare tests the differences."
)
_PARTED: Final = r"\textbar\allowbreak{}"  # a signature has no spaces to break at


def sentences(cards: Sequence[Scorecard]) -> list[str]:
    """One sentence per unlearned model and concept, ready to paste.

    Raises:
        EmptyInputError: no card of an unlearned model.
    """
    return [_sentence(card) for card in _judged(cards)]


def _sentence(card: Scorecard) -> str:
    told = _answered(card) if card.general else _forgotten(card)
    if not told:
        return f"{escaped(card.model)} on {escaped(card.config)}: no reportable metric was measured."
    listed = told[0] if len(told) == 1 else f"{'; '.join(told[:-1])}; and {told[-1]}"
    detector = escaped(str(agreed([card]).get("detector", "no detector")))
    doubt = f" But {escaped(card.unfounded)}." if card.unfounded else ""
    look = Looks.of(card)
    intervals = "95\\% intervals over prompts"
    if look is not None:
        intervals = f"repeated 95\\% confidence intervals over prompts at {escaped(look.place)}"
    return f"{escaped(card.model)} {listed} ({intervals}; detector {detector}).{doubt}"


def _forgotten(card: Scorecard) -> list[str]:
    """What a card of a concept says: what is gone, what comes back and what stays."""
    gone = card.figure(_ACCURACY, "conditional_unlearning_accuracy")
    raw = card.figure(_ACCURACY, "unlearning_accuracy")
    back, plain = (card.figure(_ATTACKS, name) for name in ("conditional_asr_any@k", "asr_any@k"))
    kept, score = card.figure(HEADLINE, "preservation"), card.figure(HEADLINE, HEADLINE)
    target = escaped(card.target.partition("/")[2].replace("-", " ") or card.target)
    told = []
    if gone is not None and gone.value is not None:
        n = f"{counted(gone.n_generations, 'image')} of {counted(gone.n_prompts, 'prompt')}"
        beside = f" (raw: {_share(raw)})" if value_of(raw) is not None else ""
        told.append(f"no longer shows {target} in {_share(gone)} of the {n} in which the original does{beside}")
    if back is not None and back.value is not None:
        beside = f" (raw: {_share(plain)})" if value_of(plain) is not None else ""
        tries = f"{_k(card)} image{'s' * (_k(card) != '1')}"
        of = counted(back.n_prompts, "adversarial prompt")
        told.append(f"shows it again within {tries} for {_share(back)} of {of}{beside}")
    if value_of(kept) is not None:
        n = f"{counted(kept.n_generations, 'image')} of {counted(kept.n_prompts, 'prompt')}" if kept is not None else ""
        told.append(f"preserves {_share(kept)} of what should be retained ({n})")
    if score is not None and score.value is not None:
        caution = f" ({escaped(score.reason)})" if score.reason else ""
        told.append(f"has a forget score of {number(score.value)}{between(score, ' [{}, {}]')}{caution}")
    return told


def _answered(card: Scorecard) -> list[str]:
    """What a card of general prompts says, in which nothing was to be forgotten."""
    kept, own, theirs = (card.figure(_QUESTIONS, name) for name in _ANSWERED)
    if own is None or own.value is None:
        return []
    n = f"{counted(own.n_generations, 'image')} of {counted(own.n_prompts, 'general prompt')}"
    told = [f"gets {_share(own)} of the questions about its {n} answered as intended (the original: {_share(theirs)})"]
    if value_of(kept) is not None:
        told.append(f"keeps {_share(kept)} of what the original shows")
    return told


def table(cards: Sequence[Scorecard]) -> str:
    """LaTeX tables (booktabs): for each concept the original, then the models; detector and signature below.

    General prompts, in which nothing was to be forgotten, have a separate table.

    Raises:
        EmptyInputError: no card of an unlearned model.
        IncomparableError: models of one concept that were scored differently.
    """
    judged = _judged(cards)
    of_concepts = [card for card in judged if not card.general]
    of_general = [card for card in judged if card.general]
    tables = [_of_concepts(of_concepts, cards)] if of_concepts else []
    return "\n".join([*tables, *([_of_general(of_general)] if of_general else [])])


def _of_general(judged: Sequence[Scorecard]) -> str:
    require_comparable(judged)
    heads = [line(["model", "$n$", r"answered as intended $\uparrow$", r"relative to the original $\uparrow$"])]
    kept, own = zip(*([card.figure(_QUESTIONS, name) for name in _ANSWERED[:2]] for card in judged), strict=True)
    of_original = baseline(judged).figure(_QUESTIONS, _ANSWERED[2])
    rows = [[escaped(judged[0].original_label), _n(of_original), latex_cell(of_original), "--"]]
    rows += [
        [escaped(card.model), _n(o), latex_cell(o), latex_cell(k)] for card, o, k in zip(judged, own, kept, strict=True)
    ]
    counted = "number of prompts (images) with answered questions; the share is the mean over images"
    return _floating(judged, tabular("lccc", heads, [rows]), counted, [counted_on(judged)])


def _of_concepts(judged: Sequence[Scorecard], cards: Sequence[Scorecard]) -> str:
    by_config: dict[str, list[Scorecard]] = {}
    for card in judged:
        by_config.setdefault(card.config, []).append(card)
    for own in by_config.values():
        require_comparable(own)
    several = len(by_config) > 1
    ks = dict.fromkeys(map(_k, judged))
    heads = [
        line(
            [
                "",
                r"\multicolumn{2}{c}{concept gone $\uparrow$}",
                rf"\multicolumn{{2}}{{c}}{{attack success, any of $k={', '.join(ks)}$ $\downarrow$}}",
                r"\multicolumn{2}{c}{preserved $\uparrow$}",
                *(["", "", "forget"]),
            ]
        ),
        r"\cmidrule(lr){2-3} \cmidrule(lr){4-5} \cmidrule(lr){6-7}",
        line(
            [
                *("model", "raw", "cond.", "raw", "cond.", "near", "far"),
                *(rf"{name} $\uparrow$" for name in ("alignment", "quality", "score")),
            ]
        ),
    ]
    groups, notes = [], []
    for config, own in by_config.items():
        itself = next((c for c in cards if c.config == config and c.model == c.original_model), None)
        told = [counted_on(own)]
        if itself is not None:
            require_comparable([own[0], itself], ranked=False)
            told.append(counted_on(own, itself, "Preservation, alignment, quality and score"))
        notes += [f"{config}: {text}" if several else text for text in told if text]
        called = f" ({escaped(config)})" if several else ""
        blocks = (_original(baseline(own), itself, called), *(_rows(card, called) for card in own))
        groups.append([row for block in blocks for row in block])
    counted = (
        "number of prompts (images) that a column counts: plain prompts (concept gone), adversarial prompts (attack "
        "success; the unit of its intervals is the source prompt), prompts about near or far concepts (preserved), and "
        "all prompts about retained concepts (alignment, quality). Conditional rates (cond.) count only those for "
        "which the original shows the concept; the score uses all columns"
    )
    if any(_corrected(card) is not None for card in judged):
        counted += ". Corrected: the raw rate that a detector without errors would give (Rogan--Gladen)"
    return _floating(judged, tabular(f"l{'c' * 9}", heads, groups), counted, notes)


def _floating(judged: Sequence[Scorecard], rows: Sequence[str], counted: str, notes: Sequence[str]) -> str:
    """The table with what LaTeX needs around it, and its footnote.

    Args:
        judged: the cards.
        rows: the lines of the table.
        counted: what n counts.
        notes: sentences for the footnote, not escaped; some may be empty.
    """
    return "\n".join(
        [
            *latex_comments(judged),
            r"\begin{table}",
            r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
            *rows,
            r"\par\smallskip\begin{minipage}{\linewidth}\raggedright\scriptsize",
            _footnote(judged, counted, " ".join(filter(None, notes))),
            r"\end{minipage}",
            r"\end{table}",
            "",
        ]
    )


def why(cards: Sequence[Scorecard]) -> list[str]:
    """The reasons for reporting these numbers, one per line."""
    judged = _judged(cards)
    errors = (
        "They were measured for this detector, so the table also has raw accuracies that are corrected for them."
        if any(_corrected(card) is not None for card in judged)
        else "They are unknown for the questions about general prompts: state this."
        if all(card.general for card in judged)
        else "They are unknown for this detector, so measure them on labelled images (igmu calibrate) or state this."
    )
    if all(card.general for card in judged):
        return [
            "Report the shares of both models: according to a judge that always says yes, most questions are answered "
            "as intended.",
            "Report the ratio to the original: what the original does not show either is not counted against "
            "unlearning.",
            _UNIT,
            f"Report the judge: its errors affect every rate. {errors}",
            *covering(judged).splitlines(),
        ]
    return [
        "Report conditional as well as raw rates: a concept that the original does not show cannot be forgotten, but "
        "raw rates count it as forgotten.",
        "Report the original: its raw rate is the baseline without unlearning. Its conditional rates follow from the "
        "definition.",
        "Report k with the attack success: the rate increases with the number of images per prompt, so compare only "
        "rates with the same k.",
        _UNIT,
        "Report what is preserved, alignment and quality as well as what is gone: a model that generates only noise "
        "forgets everything.",
        f"Report the detector: its errors affect every rate. {errors}",
        *covering(judged).splitlines(),
    ]


def _judged(cards: Sequence[Scorecard]) -> list[Scorecard]:
    found = [c for c in cards if c.model != c.original_model]
    if not found:
        raise EmptyInputError("none of the scorecards is for an unlearned model. Specify at least one that is.")
    return found


def _rows(card: Scorecard, called: str) -> list[list[str]]:
    """The rows of a model; `called` follows its name."""
    figures = [
        card.figure(_ACCURACY, "unlearning_accuracy"),
        card.figure(_ACCURACY, "conditional_unlearning_accuracy"),
        card.figure(_ATTACKS, "asr_any@k"),
        card.figure(_ATTACKS, "conditional_asr_any@k"),
        *(card.figure(HEADLINE, name) for name in _ASPECTS),
    ]
    return _block(escaped(card.model) + called, figures, card.figure(HEADLINE, HEADLINE), _corrected(card))


def _original(card: Scorecard, itself: Scorecard | None, called: str) -> list[list[str]]:
    """The original's rows, from a model's card, and from its own card if there is one."""
    back = recompute.of_original(card).get(_ATTACKS, {})
    *kept, score = (None if itself is None else itself.figure(HEADLINE, name) for name in (*_ASPECTS, HEADLINE))
    figures = [
        card.figure(_ACCURACY, "original_unlearning_accuracy"),
        card.figure(_ACCURACY, "original_conditional_unlearning_accuracy"),
        back.get("asr_any@k"),
        back.get("conditional_asr_any@k"),
        *kept,
    ]
    return _block(escaped(card.original_label) + called, figures, score, _corrected(card, "original_"))


def _corrected(card: Scorecard, whose: str = "") -> Figure | None:
    """The raw unlearning accuracy corrected for the detector's errors; None if these are unknown."""
    figure = card.figure(_ACCURACY, f"corrected_{whose}unlearning_accuracy")
    return None if value_of(figure) is None else figure


def _block(
    name: str, rates: Sequence[Figure | Estimate | None], score: Figure | None, corrected: Figure | None
) -> list[list[str]]:
    """The rows of a model: values, intervals, n, and its corrected rate if there is one.

    Args:
        name: of the model, escaped.
        rates: what all columns but the last contain.
        score: the forget score, in the last column.
        corrected: the corrected raw unlearning accuracy, below the raw one.
    """
    shown = [*rates, score]
    rows = [
        [name, *(formatted(figure, interval="", missing="--") for figure in shown)],
        [r"\quad 95\%", *(between(figure, r"{{\scriptsize [{}, {}]}}") for figure in shown)],
        [r"\quad $n$", *map(_n, rates), ""],
    ]
    if corrected is not None:
        both = rf"\multicolumn{{2}}{{c}}{{{latex_cell(corrected)}}}"  # the conditional rate is not corrected
        rows.append([r"\quad corrected", both, *[""] * (len(rates) - 1)])
    return rows


def _n(figure: Figure | Estimate | None) -> str:
    """The number of prompts, with the number of images in parentheses; nothing for a rate without value."""
    if figure is None or value_of(figure) is None:
        return ""
    return f"{figure.n_prompts:,} ({figure.n_generations:,})"


def _footnote(cards: Sequence[Scorecard], counted: str, notes: str) -> str:
    """Detector, counts and signature; `notes` is not escaped."""
    signature = agreed(cards)
    detector = escaped(str(signature.get("detector", "none")))
    known = [
        f"{name} {number(float(value), '.3g')}"
        for name in ("threshold", "sensitivity", "specificity")
        if isinstance(value := signature.get(f"detector.{name}"), int | float)
    ]
    short = {k: signature[k] for k in _SIGNED if k in signature}
    told = _PARTED.join(escaped(f"{k}:{v:g}" if isinstance(v, float) else f"{k}:{v}") for k, v in short.items())
    joined = ", ".join(known)
    hashes = ", ".join(card.content_sha256[:12] for card in cards)
    figures = ((name, card.figure(HEADLINE, name)) for name in ("alignment", "quality", HEADLINE) for card in cards)
    cautions = [
        f"{name.replace('_', ' ').capitalize()}: {figure.reason}"
        for name, figure in figures
        if figure is not None and figure.reason and (bounds(figure) is None) is (name != HEADLINE)
    ]
    doubts = "".join(f"{escaped(why)}. " for why in dict.fromkeys((*(c.unfounded for c in cards), *cautions)) if why)
    told_of = f"{escaped(notes)} " if notes else ""
    return (
        f"$n$: {counted}. {told_of}{_covered(cards)}Brackets: {_intervals(cards)}. Detector: {detector}"
        f"{f' ({joined})' if known else ''}. {doubts}Abbreviated signature: \\texttt{{{told}}}; the full signature is "
        f"in the scorecards {hashes}."
    )


def _intervals(cards: Sequence[Scorecard]) -> str:
    """What the intervals are; those of a run that was checked several times are wider, and say so."""
    if not (looks := looked(cards)):
        return "95\\% intervals over prompts"
    return (
        "95\\% intervals over prompts; with interim checks, they are repeated confidence intervals (Jennison and "
        f"Turnbull). {escaped(looks).removesuffix('.')}"
    )


def _covered(cards: Sequence[Scorecard]) -> str:
    """How many pairs of each model failed; what is covered; what else affects whether the numbers may be trusted.

    The intervals' description covers interim checks.
    """
    failed = ", ".join(f"{len(c.failures):,} of {escaped(c.model)}" for c in cards if c.failures)
    lost = f"Pairs left out because an image failed or was missing: {failed}. " if failed else ""
    return f"{lost}{escaped(' '.join(filter(None, (*coverages(cards), caution(cards), *card_notes(cards)))))} "


def _share(figure: HasInterval | None) -> str:
    r"""`91\% [85, 95]`."""
    value = value_of(figure)
    if value is None:
        return "--"
    return f"{number(100 * value, '.0f')}\\%{between(figure, ' [{}, {}]', '.0f', scale=100)}"


def _k(card: Scorecard) -> str:
    entry = card.scores.get(_ATTACKS) or card.scores.get(HEADLINE)
    return str(entry.signature.get("k", "k")) if entry else "k"
