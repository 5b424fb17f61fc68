"""The audit as data, for other people's metrics: what is true of every virtual model, and what each figure said."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from igmu_data import __version__
from igmu_metrics.contract import Estimate
from igmu_metrics.sandbox.audit.checks import Outcome
from igmu_metrics.sandbox.audit.findings import Findings
from igmu_metrics.sandbox.audit.yardstick import Judged, Measured

FORM: Final = 1


def render(findings: Findings) -> str:
    """The JSON as text: `form`, `igmu`, `facts`, `checks`, `aspects`, `figures` (the yardstick) and `models`.

    A model has `name`, `kind` and `task`; `truth` in the order of `aspects`, and `values` in the order of `figures`,
    read on the truth's scale where a figure has it; null where there is none.
    """
    aspects = sorted({name for one in findings.judged for name in one.truth})
    head: dict[str, Any] = {
        "form": FORM,
        "igmu": __version__,
        "facts": dict(findings.evidence.facts),
        "checks": {str(o): sum(c.outcome is o for c in findings.checks) for o in Outcome},
        "aspects": aspects,
    }
    lines = {
        "figures": [_figure(one) for one in findings.measured],
        "models": [_model(one, aspects, findings.measured) for one in findings.judged],
    }
    parts = [json.dumps(head, ensure_ascii=False)[1:-1]]
    for name, items in lines.items():
        told = ",\n".join(json.dumps(item, ensure_ascii=False) for item in items)
        parts.append(f'"{name}": [\n{told}\n]')
    return "{" + ",\n".join(parts) + "}\n"


def _figure(one: Measured) -> dict[str, Any]:
    c = one.contender
    return {
        "title": c.title,
        "figure": c.figure,
        "kind": c.kind,
        "aspect": c.aspect,
        "detector": c.detector,
        "models": one.n,
        "missing": one.missing,
        "bias": _rounded(one.bias),
        "worst_bias": _rounded(one.worst[0]),
        "worst_kind": one.worst[1],
        "rmse": _rounded(one.rmse),
        "coverage": None if one.coverage is None else _rounded(one.coverage[0]),
        "coverage_inside": _rounded(one.inside),
        "rank": _told(one.rank),
        "rank_as_the_whole": _told(one.whole),
        "smallest": one.smallest,
        "images": one.images,
        "short": one.short,
    }


def _model(one: Judged, aspects: Sequence[str], measured: Sequence[Measured]) -> dict[str, Any]:
    found = [m.contender.read(one.figures.get(m.contender.detector, {})) for m in measured]
    return {
        "name": one.recipe.name,
        "kind": one.recipe.kind,
        "task": one.recipe.task,
        "truth": [_rounded(one.truth.get(name, float("nan"))) for name in aspects],
        "values": [None if estimate is None else _rounded(estimate.value) for estimate in found],
    }


def _told(estimate: Estimate) -> list[float | None]:
    low, high = estimate.interval or (float("nan"), float("nan"))
    return [_rounded(v) for v in (estimate.value, low, high)]


def _rounded(value: float) -> float | None:
    return None if value != value else round(value, 3)
