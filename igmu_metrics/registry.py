"""Finds metrics, detectors, backbones and attacks by module: to add one, add a file; there is no list to edit.

A module `igmu_metrics/<group>/<name>.py` registers as `<name>`, with `-` for `_` except for metrics. Other packages
register a module with an entry point of the group `igmu.<group>`; a single file is registered by its path (`load_file`,
`--plugin FILE.py`). Finding imports nothing: a plugin is imported when it is used.
A *spec* consists of a name and an argument: `clip`, `clip:openai/clip-vit-base-patch32`, `labels:path/labels.csv`.

Conventions: igmu's own names take precedence, and no name is ambiguous: plugins whose names clash, that cannot be
imported or that lack something their group requires are *broken*. Broken plugins are reported and skipped; they are an
error only if they are requested by name.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import logging
import pkgutil
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Final, cast

from igmu_data.errors import (
    IgmuError,
    InputError,
    PluginError,
    UnknownAttackError,
    UnknownBackboneError,
    UnknownDetectorError,
    UnknownMetricError,
    UnknownNameError,
)
from igmu_data.files import irregular
from igmu_metrics.contract import Metric, MetricInfo, placed
from igmu_metrics.metrics._contract import unsound
from igmu_metrics.networks import lazy
from igmu_metrics.networks.guarded import guarded
from igmu_metrics.networks.instruments import Backbone, Detector
from igmu_metrics.networks.store import Store

_ERRORS: Final[Mapping[str, type[UnknownNameError]]] = {
    "metrics": UnknownMetricError,
    "detectors": UnknownDetectorError,
    "backbones": UnknownBackboneError,
    "attacks": UnknownAttackError,
}
GROUPS: Final = tuple(_ERRORS)
# The arguments that each group's function must accept.
_CALLS: Final[Mapping[str, tuple[str, tuple[str, ...], tuple[str, ...]]]] = {
    "metrics": ("score", ("table",), ("seed", "resamples")),
    "detectors": ("load", ("argument",), ("device", "precision", "threshold")),
    "backbones": ("load", ("argument",), ("device", "precision")),
    "attacks": ("search", ("victim", "original", "goal", "budget", "generator", "tick"), ()),
}
_ATTACK_INFO: Final = ("name", "version", "finds", "searches", "knows", "summary", "budget", "references")
_RENAME: Final = "Choose another name."
_FEATURES: Final = ("image_features", "text_features", "image_distance", "extract")
_log = logging.getLogger("igmu")


@dataclass(frozen=True, slots=True)
class Plugin:
    """A module that another package or a file registers.

    Args:
        group: `metrics`, `detectors`, `backbones` or `attacks`.
        name: its registered name.
        module: dotted name of the module.
        package: name and version of the package, or name and hash of the file.
    """

    group: str
    name: str
    module: str
    package: str


_files: dict[Path, Plugin] = {}
_tried: dict[Plugin, ModuleType | str] = {}  # the imported module, or why it cannot be used
_told: set[str] = set()
_failed: dict[Path, PluginError] = {}


@cache
def own(group: str) -> tuple[str, ...]:
    """Names of a group that are part of igmu, sorted; imports none of them."""
    package = importlib.import_module(f"igmu_metrics.{group}")
    found = (m.name for m in pkgutil.iter_modules(package.__path__) if not (m.name.startswith("_") or m.ispkg))
    return tuple(sorted(n if group == "metrics" else n.replace("_", "-") for n in found))


def names(group: str) -> tuple[str, ...]:
    """Registered names of a group (`metrics`, `detectors`, `backbones`, `attacks`), sorted; imports none of them."""
    return tuple(sorted((*own(group), *_plugins(group)[0])))


def module(group: str, name: str) -> ModuleType:
    """The module that registers `name`.

    Raises:
        UnknownNameError: the name is unknown; the message suggests similar names.
        PluginError: the plugin is broken; the message says why.
    """
    if name in own(group):
        return importlib.import_module(f"igmu_metrics.{group}.{name.replace('-', '_')}")
    usable, clashing = _plugins(group)
    if name in usable:
        return _imported(usable[name])
    for error in clashing:
        if error.name == name:
            raise error
    raise _ERRORS[group](name, names(group), "Run 'igmu metrics' for the list.")


def modules(group: str) -> dict[str, ModuleType]:
    """All usable modules of a group by name; imports them all."""
    bad = {error.name for error in broken(group)} - set(own(group))
    return {name: module(group, name) for name in names(group) if name not in bad}


def broken(group: str) -> list[PluginError]:
    """The plugins of a group that cannot be used, each with the reason; imports all of them."""
    usable, found = _plugins(group)
    for plugin in usable.values():
        try:
            _imported(plugin)
        except PluginError as error:
            found.append(error)
    return found


def origin(group: str, name: str) -> str:
    """The package that a name comes from, with its version, or the file with its hash; "" for igmu itself."""
    plugin = _plugins(group)[0].get(name)
    return plugin.package if plugin else ""


def takes(group: str, name: str, option: str) -> bool:
    """Whether the `load` function of a module has an option that not all of its group have."""
    return option in inspect.signature(module(group, name).load).parameters


def metric(name: str) -> Metric:
    """The metric called `name` (`concept_accuracy`, …)."""
    return cast(Metric, module("metrics", name))


def chosen_metric(spec: str) -> Metric:
    """The metric with a registered name, or `module:attribute` in an installed package, whose code is run.

    Raises:
        UnknownMetricError: the name is unknown.
        PluginError: it cannot be imported, or is not a metric.
    """
    dotted, colon, attribute = spec.partition(":")
    if not colon:
        return metric(spec)
    try:
        found: Any = importlib.import_module(dotted)
        for name in attribute.split("."):
            if not hasattr(found, name):  # perhaps a module that nothing has imported yet
                importlib.import_module(f"{found.__name__}.{name}")
            found = getattr(found, name)
    except (Exception, SystemExit) as error:
        why = f"cannot be imported ({placed(error, dotted)})"
        raise PluginError(spec, dotted, why, "Correct the module, or the name that you specified.") from error
    if wrong := faults("metrics", found):
        raise PluginError(spec, dotted, "; ".join(wrong))
    if dotted.partition(".")[0] != __package__:
        found.PACKAGE = getattr(found, "PACKAGE", dotted)  # whose defect it is, if it fails
    return cast(Metric, found)


def metrics() -> dict[str, Metric]:
    """All usable metrics by name; unusable ones are reported once on stderr."""
    for error in broken("metrics"):
        skip(error)
    return {name: cast(Metric, found) for name, found in modules("metrics").items()}


def skip(error: PluginError | str) -> None:
    """Report once that a plugin, or a metric, is skipped."""
    if str(error) not in _told:
        _told.add(str(error))
        _log.warning("skipped %s", error)  # on stderr, unless somebody set up logging otherwise


def absent(name: str, package: str) -> str:
    """Why the metric of a scorecard differs from the installed one; "" if it does not.

    Args:
        name: name of the metric.
        package: package according to the score's signature; "" for igmu itself.
    """
    try:
        module("metrics", name)
    except UnknownMetricError:
        return f"the metric is not installed ({package or 'the signature does not name its package'})"
    except PluginError as error:
        return str(error)
    here = origin("metrics", name)
    return "" if here == package else f"it was scored by {package or 'igmu'}, but {here or 'igmu'} is installed"


def info(name: str, package: str) -> MetricInfo | None:
    """The description of a scorecard's metric; None if it is not installed."""
    return None if absent(name, package) else metric(name).INFO


def detector(spec: str, *, store: Store | None = None, **options: Any) -> Detector:
    """The detector of a spec such as `labels:labels.csv` or `clip`; options are passed to its `load`.

    If the store has cached values of it, it is loaded only when an image is not cached.
    """
    return cast(Detector, _instrument("detectors", spec, options, store))


def backbone(spec: str, *, store: Store | None = None, **options: Any) -> Backbone:
    """The backbone of a spec such as `clip:openai/clip-vit-base-patch32`; options go to its `load`, store as above."""
    return cast(Backbone, _instrument("backbones", spec, options, store))


def _instrument(group: str, spec: str, options: Mapping[str, Any], store: Store | None) -> Any:
    """A detector or backbone; if it comes from another package, its signature and cache keys say so."""
    name, _, argument = spec.partition(":")
    of, package = module(group, name), origin(group, name)
    if not package:
        return lazy.instrument(of, argument or None, options, store)
    try:
        found = of.load(argument or None, **options)
        found.info = replace(found.info, settings={**found.info.settings, "package": package})
    except IgmuError:
        raise
    except Exception as error:
        raise PluginError(name, package, f"it cannot be loaded as {spec!r} ({placed(error, of.__name__)})") from error
    return guarded(found, name, package)


def load_file(path: Path) -> Plugin:
    """Register the metric, detector, backbone or attack in a file; its code is run.

    The kind follows from its contents: a file with `score` is a metric, one with `search` an attack. For `load`, the
    return annotation decides: a class with `probabilities` is a detector, one with features or distances a backbone.
    The name is `INFO.name`, `NAME` or the name of the file.

    Raises:
        InputError: the file cannot be read.
        PluginError: it cannot be imported, defines none of these or several, or its name is already used.
    """
    path = path.resolve()
    if path in _files:
        return _files[path]
    try:
        if what := irregular(path):
            raise InputError(
                f"--plugin {path} cannot be read, because it is {what}. Specify the path of a Python file."
            )
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(
            f"--plugin {path} cannot be read ({error.strerror}). Specify the path of a Python file."
        ) from error
    package = f"{path.name} sha256:{digest[:16]}"
    dotted = f"igmu_plugin_{re.sub(r'[^0-9a-zA-Z]', '_', path.stem)}_{digest[:16]}"
    try:
        found = _executed(path, dotted)
    except (Exception, SystemExit) as error:
        raise PluginError(path.stem, package, f"cannot be imported ({placed(error, dotted)})") from error
    groups = [group for group in GROUPS if _is(group, found)]
    if len(groups) != 1:
        what = " and ".join(group.removesuffix("s") for group in groups)
        what = f"{path} defines {what}" if what else f"{path} has no `score`, no `search`, and no suitable `load`"
        raise PluginError(path.stem, package, what, "Define exactly one metric, detector, backbone or attack per file.")
    name = getattr(getattr(found, "INFO", None), "name", None) or getattr(found, "NAME", path.stem.replace("_", "-"))
    plugin = Plugin(groups[0], str(name), dotted, package)
    if wrong := faults(plugin.group, found, plugin.name):
        raise PluginError(plugin.name, package, "; ".join(wrong))
    if taken := [p for p in (*_installed(), *_files.values()) if (p.group, p.name) == (plugin.group, plugin.name)]:
        raise PluginError(plugin.name, package, f"{taken[0].package} has already registered this name", _RENAME)
    if plugin.name in own(plugin.group):
        raise PluginError(plugin.name, package, "igmu itself uses this name", _RENAME)
    _files[path] = plugin
    _tried[plugin] = _marked(found, package)
    return plugin


def load_files(paths: Sequence[Path], *, listing: bool = False) -> None:
    """Register several files.

    Args:
        paths: the files.
        listing: whether plugins will be listed; `failed` then returns the errors of files that cannot be used.

    Raises:
        InputError, PluginError: as `load_file`.
    """
    for path in paths:
        try:
            load_file(path)
        except PluginError as error:
            if not listing:
                raise
            _failed[path.resolve()] = error


def files() -> tuple[Path, ...]:
    """The files that are registered, in order."""
    return tuple(_files)


def failed() -> tuple[PluginError, ...]:
    """The errors of the files that `load_files` could not register."""
    return tuple(_failed.values())


def unusable() -> list[tuple[str, PluginError]]:
    """Everything that cannot be used: its kind (`metric` …, or `file`), and why; imports all plugins."""
    found = [(group.removesuffix("s"), error) for group in GROUPS for error in broken(group)]
    return [*found, *(("file", error) for error in failed())]


def faults(group: str, module: Any, name: str = "") -> list[str]:
    """What is wrong with a module of a group.

    Args:
        group: `metrics`, `detectors`, `backbones` or `attacks`.
        module: the module.
        name: its registered name; "" to skip the checks of the name.
    """
    found = unsound(module) if group == "metrics" else []
    about = getattr(module, "INFO", None)
    if group == "attacks" and (missing := [f for f in _ATTACK_INFO if not hasattr(about, f)]):
        found.append("INFO is missing" if about is None else f"INFO does not contain {', '.join(missing)}")
    call, arguments, keywords = _CALLS[group]
    function = getattr(module, call, None)
    if not callable(function):
        found.append(f"{call} is missing")
    else:
        try:
            inspect.signature(function).bind(*arguments, **dict.fromkeys(keywords))
        except TypeError as error:
            wanted = ", ".join((*arguments, *(["*", *keywords] if keywords else [])))
            found.append(f"{call}({wanted}) cannot be called: {error}")
    pattern = r"[a-z][a-z0-9_]*" if group == "metrics" else r"[a-z][a-z0-9-]*"
    if name and not re.fullmatch(pattern, name):
        found.append(f"the name {name!r} is not of the form {pattern}")
    told = getattr(about, "name", None) if group in ("metrics", "attacks") else getattr(module, "NAME", None)
    if name and told is not None and told != name:
        found.append(f"it is registered as {name!r}, but its own name is {told!r}")
    return found


@cache
def _installed() -> tuple[Plugin, ...]:
    """The modules that packages register, without importing them."""
    found = []
    for group in GROUPS:
        for point in entry_points(group=f"igmu.{group}"):
            package = f"{point.dist.name} {point.dist.version}" if point.dist is not None else "an unknown package"
            found.append(Plugin(group, point.name, point.value.strip(), package))
    return tuple(dict.fromkeys(found))


def _plugins(group: str) -> tuple[dict[str, Plugin], list[PluginError]]:
    """The plugins of a group by name, and errors for those whose names clash."""
    by_name: dict[str, list[Plugin]] = {}
    for plugin in (*_installed(), *_files.values()):
        if plugin.group == group:
            by_name.setdefault(plugin.name, []).append(plugin)
    usable, clashing = {}, []
    for name, found in sorted(by_name.items()):
        if name in own(group):
            why = "igmu itself uses this name, and its own modules take precedence"
            clashing += [PluginError(name, p.package, why, _RENAME) for p in found]
        elif len(found) > 1:
            for plugin in found:
                others = " and ".join(p.package for p in found if p is not plugin)
                why = f"this name is also registered by {others}"
                clashing.append(PluginError(name, plugin.package, why, "Uninstall one of these packages."))
        else:
            usable[name] = found[0]
    return usable, clashing


def _imported(plugin: Plugin) -> ModuleType:
    """The module of a plugin, imported on first use.

    Raises:
        PluginError: it cannot be imported, or lacks something.
    """
    if plugin not in _tried:
        _tried[plugin] = _try(plugin)
    found = _tried[plugin]
    if isinstance(found, str):
        raise PluginError(plugin.name, plugin.package, found)
    return found


def _try(plugin: Plugin) -> ModuleType | str:
    if not all(part.isidentifier() for part in plugin.module.split(".")):
        return f"its entry point is {plugin.module!r}, which is not the name of a module"
    try:
        found = importlib.import_module(plugin.module)
    except (Exception, SystemExit) as error:  # errors in other people's code must not stop igmu
        return f"cannot be imported ({placed(error, plugin.module)})"
    return "; ".join(faults(plugin.group, found, plugin.name)) or _marked(found, plugin.package)


def _marked(module: ModuleType, package: str) -> ModuleType:
    """The module with its package set, which is part of signatures (`contract.scored`)."""
    vars(module)["PACKAGE"] = package
    return module


def _executed(path: Path, dotted: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(dotted, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path.name} is not a Python file")
    found = importlib.util.module_from_spec(spec)
    sys.modules[dotted] = found  # dataclasses and pickle look there
    try:
        spec.loader.exec_module(found)
    except BaseException:
        del sys.modules[dotted]
        raise
    return found


def _is(group: str, module: ModuleType) -> bool:
    """Whether a file defines a member of a group."""
    if group not in ("detectors", "backbones"):
        return hasattr(module, _CALLS[group][0])
    made = getattr(getattr(module, "load", None), "__annotations__", {}).get("return")
    made = getattr(module, made, None) if isinstance(made, str) else made
    asked = hasattr(made, "probabilities")
    return asked if group == "detectors" else not asked and any(hasattr(made, name) for name in _FEATURES)
