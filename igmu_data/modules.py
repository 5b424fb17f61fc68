"""Finds what is added by adding a file: the modules of a package, by name.

Conventions: `glued_prefix.py` is `glued-prefix`; a module whose name starts with `_` is shared by the others.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Collection
from types import ModuleType

from igmu_data.errors import UnknownNameError


def names(package: str, *, without: Collection[str] = ()) -> tuple[str, ...]:
    """Names in a package, sorted; imports none of its modules.

    Args:
        package: dotted name.
        without: modules that are shared by the others though their names do not say so.

    >>> names("igmu_data.imports", without=("folder", "rows", "table"))
    ('csv', 'hub', 'i2p', 'mace', 'six-cd', 'text', 'unlearndiffatk')
    """
    found = (m.name for m in pkgutil.iter_modules(importlib.import_module(package).__path__) if not m.ispkg)
    return tuple(sorted(n.replace("_", "-") for n in found if not n.startswith("_") and n not in without))


def load(package: str, name: str, known: Collection[str], error: type[UnknownNameError], hint: str) -> ModuleType:
    """The module of a name.

    Raises:
        UnknownNameError: `error`, with the nearest of the known names.
    """
    if name not in known:
        raise error(name, known, hint)
    return importlib.import_module(f"{package}.{name.replace('-', '_')}")
