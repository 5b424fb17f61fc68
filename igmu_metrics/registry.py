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
from igmu_metrics.networks.instruments import Backbone, Detector

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


def detector(spec: str, **options: Any) -> Detector:
    """Load the detector of a spec such as `labels:labels.csv` or `clip`; options go to its `load`."""
    name, _, argument = spec.partition(":")
    return cast(Detector, module("detectors", name).load(argument or None, **options))


def backbone(spec: str, **options: Any) -> Backbone:
    """Load the backbone of a spec such as `clip:openai/clip-vit-base-patch32`; options go to its `load`."""
    name, _, argument = spec.partition(":")
    return cast(Backbone, module("backbones", name).load(argument or None, **options))
