"""`reference/plugins.md`: the table that a metric gets, and the classes of detectors, backbones and attacks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from builders.docstrings import written
from builders.interface import escaped
from igmu_data.markdown import table
from igmu_data.schema import ASIDE, SPLITS
from igmu_metrics import attacks
from igmu_metrics.attacks._victim import Victim
from igmu_metrics.contract import CROSS, PARTS
from igmu_metrics.generations import COLUMNS, ORIGINAL, Kind
from igmu_metrics.metrics._contract import BEHIND
from igmu_metrics.networks import instruments

KINDS: Final[Mapping[Kind, tuple[str, str, str]]] = {
    "text": ("text", "`str`", '`""`'),
    "whole": ("whole number", "`int64`", "0"),
    "flag": ("decision", "masked array of `bool`", "masked"),
    "number": ("number", "masked array of `float64`", "masked"),
    "vector": ("vector", "(n, d) `float64`", "a row of NaN"),
    "object": ("image", "`object`: a `Path`, or a PIL image", "None"),
}
"""For each kind of column: its name, its array, and the entry of a row without a value."""
FACTS: Final = {
    "target": "the concept to forget, such as `object/church`",
    "near": "the concepts in `own_concept` of the rows with the probe `near`, separated by commas",
    "feature_name": "the backbone that computed `features`, if there are any",
    "k": "the number of tries of an attack (`--k`), if it was given",
    "unequal_seeds": "`fewest` if images failed, so that prompts can have different numbers of images",
    "sensitivity": "the detector's sensitivity for the target, if it is known",
    "specificity": "the detector's specificity for the target, if it is known",
    "n_positives": "the number of images on which the sensitivity was measured, if it is known",
    "n_negatives": "the number of images on which the specificity was measured, if it is known",
}
"""The facts that a table of an evaluation can have."""
_SPLITS: Final = {
    **dict.fromkeys(SPLITS, "rows of this split that are not in any of the parts below"),
    CROSS: "only in the layout `unlearncanvas`, where every image is judged twice, for its object and for its style: "
    "the rows for the domain to which the concept to forget does not belong",
}
_COMPUTED: Final = {
    "detector": "",
    "clip": "CLIP model (`--clip`, or a CLIP detector)",
    "align": "`--align`",
    "features": "features (`--features`, or a CLIP model)",
    "lpips": "`--lpips`",
}
_PAGE: Final = """# What a plugin gets and returns

The guide [Write a plugin](../guides/plugins.md) has an example of each kind of plugin. This page lists the columns \
of the table that a metric gets, and describes the classes and functions of detectors, backbones and attacks.

## The table of a metric

The function `score` of a metric gets a table with one row per generation, that is, per prompt and seed. A row \
describes the images of both models for this prompt and seed. Rows with a failed image are left out. \
`table["present"]` is a column, `"lpips" in table` is true if the table has this column, `len(table)` is the number \
of rows, and `table.facts` is a dictionary of the values that all rows share.

The table has only the columns listed in the metric's `NEEDS` and `USES`. If a column in `NEEDS` does not exist in an \
evaluation, the metric is not computed. If a column in `USES` does not exist, the table does not have it.

### Columns

If *original* is yes, the column describes the unlearned model's image, and there is a second column for the \
original's image, such as `present` and `present{suffix}`. If *card* is yes, the column is in the lines of a \
scorecard, from which `igmu verify` recomputes metrics. *Requires* names what an evaluation must use, in addition to \
a detector, to have the column.

{columns}

### Types and missing values

A column is a NumPy array with one entry per row:

{kinds}

A decision is masked if the detector did not decide, or if the image has a single color; the column `status` gives \
the reason.

### Facts

{facts}

### Parts

Each row belongs to one of the following parts. `INFO.parts` says on which of these parts a metric is computed:

{parts}

A key of `INFO.parts` becomes part of the score's name: with `parts={{"retain": ("retain",)}}`, a metric `agreement` \
is computed on the retain rows, and the score is called `agreement/retain`. With the key `""`, the score has the name \
of the metric. The default, `{{"": ("forget", "retain", "adversarial")}}`, is one score on all rows that are not \
counted separately. [Results](python.md#results) describes `MetricInfo`, `Result` and `Estimate`.

## Detectors and backbones

{instruments}

## Attacks that search

{attacks}
"""


def plugin_page() -> str:
    """What `docs/reference/plugins.md` says, from the definitions of columns and parts and from docstrings."""
    columns = []
    for name, known in COLUMNS.items():
        needs = _COMPUTED[BEHIND[name]] if name in BEHIND else ""
        needs = "general prompts" if name == "answered" else needs
        yes = ["yes" if has else "" for has in (known.both, known.published)]
        columns.append([f"`{name}`", KINDS[known.kind][0], escaped(known.about), *yes, needs])
    aside = "rows with this probe, whatever their split ([what they test](columns.md#splits-and-probes))"
    about = dict.fromkeys(ASIDE, aside) | _SPLITS
    described = ("InstrumentInfo", "ErrorRates", "Batch", "Detector", "Backbone", "Extractor")
    searching = {name: getattr(attacks, name) for name in ("AttackInfo", "Budget", "Goal", "Found", "Attack")}
    return _PAGE.format(
        suffix=ORIGINAL,
        columns=table(["column", "type", "meaning", "original", "card", "requires"], columns),
        kinds=table(["type", "array", "missing value"], [list(kind) for kind in KINDS.values()]),
        facts=table(["fact", "meaning"], [[f"`{name}`", what] for name, what in FACTS.items()]),
        parts=table(["part", "rows"], [[f"`{part}`", about[part]] for part in PARTS]),
        instruments="\n\n".join(written(getattr(instruments, name), name, 3) for name in described),
        attacks="\n\n".join(written(found, name, 3) for name, found in (searching | {"Victim": Victim}).items()),
    )
