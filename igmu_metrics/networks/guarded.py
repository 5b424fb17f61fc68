"""Detectors and backbones of other packages: what fails in them is one message that names the plugin and its line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from igmu_data.errors import IgmuError, PluginError
from igmu_metrics.contract import placed

# By method, the shape of what it returns for its arguments; None for any width.
_SHAPES: Final[Mapping[str, Callable[..., tuple[int | None, ...]]]] = {
    "probabilities": lambda batch, concepts: (len(batch), len(concepts)),
    "answers": lambda batch, concepts: (len(concepts),),
    "image_features": lambda images: (len(images), None),
    "text_features": lambda texts: (len(texts), None),
    "image_distance": lambda images, others: (len(images),),
    "extract": lambda inputs: (len(inputs), None),
}


def guarded(instrument: Any, name: str, package: str) -> Any:
    """Let a plugin's instrument raise PluginError when one of its methods fails or returns an array of a wrong shape.

    Args:
        instrument: a detector or backbone; it is changed.
        name: of what the plugin registers.
        package: that it comes from, or the file.

    Returns:
        The instrument.
    """
    kind = type(instrument)
    methods = {m: _checked(kind, m, name, package) for m in _SHAPES if callable(getattr(kind, m, None))}
    instrument.__class__ = type(kind.__name__, (kind,), {"__slots__": (), "__module__": kind.__module__, **methods})
    return instrument


def _checked(kind: type, method: str, name: str, package: str) -> Callable[..., Any]:
    def call(self: Any, *given: Any) -> Any:
        try:
            found = getattr(kind, method)(self, *given)
        except (IgmuError, NotImplementedError):
            raise
        except Exception as error:
            raise PluginError(name, package, f"{method}() failed ({placed(error, kind.__module__)})") from error
        shape, wanted = getattr(found, "shape", None), _SHAPES[method](*given)
        if (
            shape is None
            or len(shape) != len(wanted)
            or any(w not in (None, n) for n, w in zip(shape, wanted, strict=True))
        ):
            told = f"a {type(found).__name__}" if shape is None else f"an array of shape {shape}"
            due = f"({', '.join('any' if n is None else str(n) for n in wanted)}{',' * (len(wanted) == 1)})"
            raise PluginError(name, package, f"{method}() returned {told}, not an array of shape {due}")
        return found

    return call
