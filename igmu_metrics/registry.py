"""Finds metrics, detectors, backbones and attacks by module: adding one is adding a file, there is no list to edit.

A module `igmu_metrics/<group>/<name>.py` registers as `<name>` with `_` written as `-`, metrics excepted.
A *spec* names an instrument and its argument: `clip`, `clip:openai/clip-vit-base-patch32`, `labels:path/labels.csv`.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from types import ModuleType
from typing import Any, cast

from igmu_data.errors import (
    UnknownAttackError,
    UnknownBackboneError,
    UnknownDetectorError,
    UnknownMetricError,
    UnknownNameError,
)
from igmu_metrics.contract import Metric
from igmu_metrics.networks import lazy
from igmu_metrics.networks.instruments import Backbone, Detector
from igmu_metrics.networks.store import Store

_ERRORS: dict[str, type[UnknownNameError]] = {
    "metrics": UnknownMetricError,
    "detectors": UnknownDetectorError,
    "backbones": UnknownBackboneError,
    "attacks": UnknownAttackError,
}


@cache
def names(group: str) -> tuple[str, ...]:
    """Registered names of a group (`metrics`, `detectors`, `backbones`, `attacks`), sorted; imports none of them."""
    package = importlib.import_module(f"igmu_metrics.{group}")
    found = (m.name for m in pkgutil.iter_modules(package.__path__) if not (m.name.startswith("_") or m.ispkg))
    return tuple(sorted(n if group == "metrics" else n.replace("_", "-") for n in found))


def module(group: str, name: str) -> ModuleType:
    """The module that registers `name`.

    Raises:
        UnknownNameError: the subclass of the group, with the nearest names.
    """
    if name not in names(group):
        raise _ERRORS[group](name, names(group), "Run 'igmu metrics' for the list.")
    return importlib.import_module(f"igmu_metrics.{group}.{name.replace('-', '_')}")


def metric(name: str) -> Metric:
    """The metric called `name` (`concept_accuracy`, …)."""
    return cast(Metric, module("metrics", name))


def columns(metric: Metric) -> tuple[str, ...]:
    """The columns that a metric reads: those that it needs, and those that it uses where they are there."""
    return (*metric.NEEDS, *getattr(metric, "USES", ()))


def detector(spec: str, *, store: Store | None = None, **options: Any) -> Detector:
    """The detector of a spec such as `labels:labels.csv` or `clip`; options go to its `load`.

    With a store that knows it, it is loaded when the first unknown picture needs it.
    """
    name, _, argument = spec.partition(":")
    return cast(Detector, lazy.instrument(module("detectors", name), argument or None, options, store))


def backbone(spec: str, *, store: Store | None = None, **options: Any) -> Backbone:
    """The backbone of a spec such as `clip:openai/clip-vit-base-patch32`; options go to its `load`, store as above."""
    name, _, argument = spec.partition(":")
    return cast(Backbone, lazy.instrument(module("backbones", name), argument or None, options, store))
