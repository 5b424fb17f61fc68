"""The scheduler (sampler) of a diffusers pipeline, as it is recorded with each image: its class and its settings.

Conventions: settings are those that differ from the defaults of the class, as a hash of 8 digits, so that new settings
of later versions of diffusers change nothing. `DDIMScheduler` has the defaults; `DDIMScheduler 0c1f2a3b` does not. The
loaded pipeline is described, after everything that was put onto it. A method that is code may return a function, of
which nothing is known.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from functools import partial
from typing import Any, Final

_DIGITS: Final = 8


def described(called: Any) -> str:
    """The scheduler of what generates; "" if it is not known.

    Args:
        called: a pipeline, or what calls one with more arguments (`functools.partial`).
    """
    while isinstance(called, partial):
        called = called.args[0] if called.args else called.func
    parts = getattr(called, "components", None)
    found = parts.items() if isinstance(parts, dict) else [("scheduler", getattr(called, "scheduler", None))]
    return " and ".join(_one(part) for _, part in sorted(found, key=lambda named: named[0]) if _schedules(part))


def _schedules(part: Any) -> bool:
    return hasattr(part, "set_timesteps") and hasattr(part, "config")


def _one(scheduler: Any) -> str:
    config, kind = dict(scheduler.config), type(scheduler)
    told = {
        name: _json(config[name])
        for name, known in inspect.signature(kind).parameters.items()
        if name in config and _json(config[name]) != _json(known.default)
    }
    settings = json.dumps(told, sort_keys=True).encode()
    return f"{kind.__name__} {hashlib.sha256(settings).hexdigest()[:_DIGITS]}" if told else kind.__name__


def _json(value: Any) -> str:
    """A setting as text; 1 is 1.0, as files of different programs spell it."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return json.dumps(float(value) if number else value, default=str)
