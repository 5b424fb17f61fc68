"""Typed errors of igmu: what is wrong, where, which value was given, and the next step.

Every error that a user can cause derives from `IgmuError`; the command line turns it into one message on stderr
and exit code 2, never a traceback.
"""

from __future__ import annotations

import difflib
import functools
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, ParamSpec, TypeVar

from igmu_data.media import visible

_P = ParamSpec("_P")
_T = TypeVar("_T")


class IgmuError(Exception):
    """Base of all errors that igmu raises on purpose."""

    exit_code: ClassVar[int] = 2


class UnknownNameError(IgmuError, LookupError):
    """The name is unknown; the message suggests similar names.

    Args:
        name: what was asked for.
        known: every valid name.
        hint: the command or page that lists the valid names.
    """

    kind: ClassVar[str] = "name"

    def __init__(self, name: str, known: Iterable[str], hint: str) -> None:
        self.name = name
        self.known = tuple(sorted(known))
        self.suggestions = tuple(nearest(name, self.known))
        guess = f"; did you mean {' or '.join(repr(s) for s in self.suggestions)}?" if self.suggestions else "."
        super().__init__(f"there is no {self.kind} {name!r}{guess} {hint}")


class UnknownConceptError(UnknownNameError):
    kind = "concept"


class UnknownConfigError(UnknownNameError):
    kind = "config"


class UnknownMetricError(UnknownNameError):
    kind = "metric"


class UnknownDetectorError(UnknownNameError):
    kind = "detector"


class UnknownBackboneError(UnknownNameError):
    kind = "backbone"


class UnknownAttackError(UnknownNameError):
    kind = "attack"


class UnknownSourceError(UnknownNameError):
    kind = "image source"


class UnknownFamilyError(UnknownNameError):
    kind = "attack family"


class UnknownFormatError(UnknownNameError):
    kind = "prompt list format"


class UnknownVersionError(UnknownNameError):
    kind = "sandbox version"


class UnknownTaskError(UnknownNameError):
    kind = "sandbox task"


class UnknownLabelError(UnknownNameError):
    kind = "label"


class InputError(IgmuError, ValueError):
    """A value cannot be scored; the message contains the argument, the position and the value."""


class EmptyInputError(InputError):
    """A list, folder or file is empty."""


class LengthMismatchError(InputError):
    """Two inputs that belong together have different lengths."""


class NonFiniteError(InputError):
    """A value is NaN or infinite where a finite number is required."""


class OutOfRangeError(InputError):
    """A number is outside its range, such as a probability of 1.2."""


class DuplicateIdError(InputError):
    """The same id occurs twice where ids must be unique."""


class UnknownIdError(InputError):
    """An id is not in the corpus."""


class LabelError(InputError):
    """A label is invalid: it is not yes, no, unclear or a probability, or does not have the form `domain/concept`."""


class MetadataError(InputError):
    """A metadata or label file has wrong or missing columns, or a folder does not match its layout."""


class IncomparableError(InputError):
    """Scores cannot be compared, because their signatures differ in more than the model."""


class BudgetError(IncomparableError):
    """Attacks differ in the number of tries or in effort, so that a common success rate would be meaningless."""


class UnsupportedError(InputError, NotImplementedError):
    """A detector or network does not support the measurement; for example, CLIP cannot measure distances of pairs."""


class VerificationError(InputError):
    """The numbers in a scorecard or a published table cannot all be correct; the problems are printed first."""


class ImageError(IgmuError):
    """An image cannot be judged. Such an image never counts as safe, forgotten or retained."""


class MissingImageError(ImageError, FileNotFoundError):
    """An image file does not exist."""


class CorruptImageError(ImageError):
    """An image file is empty, truncated or not an image."""


class OversizedImageError(ImageError):
    """The header of an image file specifies more pixels than are allowed (for example, a decompression bomb)."""


class CorpusError(IgmuError):
    """The corpus, a concept file or a template file breaks a rule that igmu relies on."""


class PolicyError(CorpusError):
    """A text violates the content policy; the message names the row and the rule."""


class ChecksumError(CorpusError):
    """A file differs from the one that the manifest lists."""


class LicenseError(CorpusError):
    """The licence of a text or image is unknown, so it cannot be added to the corpus."""


class HubError(IgmuError, OSError):
    """A dataset cannot be fetched from the Hub: there is no connection, it does not exist, or access is restricted."""


class OutputError(IgmuError, OSError):
    """The result cannot be written to the given path."""


class BusyError(OutputError):
    """Another process is writing to the same file or folder.

    Args:
        place: the folder or file.
        owner: what is known of the process: pid, host, since.
        lock: the file that says so.
    """

    def __init__(self, place: Path, owner: Mapping[str, Any], lock: Path) -> None:
        named = {"pid", "host", "since"} <= owner.keys()
        who = f"process {owner['pid']} on {owner['host']}" if named else "another process"
        since = f"has been writing there since {owner['since']}" if named else "is writing there"
        super().__init__(
            f"{place}: {who} {since}. Wait until it ends, or choose another --out. If you know that the process is "
            f"dead, delete {lock}."
        )


class WeightsError(IgmuError):
    """Model weights cannot be loaded, or are not of the expected kind."""


class MissingExtraError(IgmuError, ImportError):
    """An optional package is required; the message names the extra that installs it."""


class ClusterError(IgmuError):
    """A run on several machines cannot use the cluster."""


class MissingToolError(IgmuError):
    """A program that igmu calls is not installed, or does not respond."""


class PluginError(IgmuError):
    """A plugin (a metric, detector, backbone or attack from another package or from a file) cannot be used.

    Args:
        name: of what it registers.
        package: that it comes from, or the file.
        why: what is wrong with it.
        step: what to do next.
    """

    def __init__(self, name: str, package: str, why: str, step: str = "Correct the plugin, or leave it out.") -> None:
        self.name, self.package, self.why = name, package, f"{why}{'' if why.endswith('?') else '.'} {step}"
        super().__init__(f"plugin {name} of {package}: {self.why}")


def exits_on_error(command: Callable[_P, _T]) -> Callable[_P, _T]:
    """A command whose user errors become one message on stderr and exit code 2 instead of a traceback."""

    @functools.wraps(command)
    def run(*arguments: _P.args, **options: _P.kwargs) -> _T:
        try:
            return command(*arguments, **options)
        except IgmuError as error:
            # Further lines are indented: a name with a line end in it must not look like a message of its own.
            told = visible(error, lines=True).replace("\n", "\n  ")
            sys.stderr.write(f"{type(error).__name__}: {told}\n")
            raise SystemExit(error.exit_code) from error

    return run


def nearest(name: str, known: Iterable[str], n: int = 3) -> list[str]:
    """The names most like `name`, best first; an exact match of the last part counts as near.

    >>> nearest("object/chruch", ["object/church", "style/monet"])
    ['object/church']
    """
    known = list(known)
    tail = _tail(name)
    likeness = {k: max(_ratio(name, k), _ratio(tail, _tail(k))) for k in known}
    best = max(likeness.values(), default=0.0)
    # Names much less alike than the best one only distract from it.
    good = [k for k, r in likeness.items() if r >= max(0.6, 0.9 * best)]
    return sorted(good, key=lambda k: (-likeness[k], k))[:n]


def _tail(name: str) -> str:
    return name.replace(".", "/").rsplit("/", 1)[-1]


def _ratio(a: str, b: str) -> float:
    return difflib.SequenceMatcher(None, a.casefold(), b.casefold()).ratio()
