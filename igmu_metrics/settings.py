"""Every setting of an evaluation, once: the options of `igmu score`, the fields of `Evaluation` and the page of the
documentation follow from `Settings`.

Conventions: a setting is a field with a type, a default and, in its metadata, an `Option` that says the rest. Values
are checked when the settings are made, before any network is loaded. Importing this module is light.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from enum import StrEnum
from functools import cache
from inspect import Parameter
from numbers import Integral, Real
from os import PathLike
from typing import Any, Final, Self, get_args, get_type_hints

from igmu_data.errors import InputError, OutOfRangeError, nearest


class Influence(StrEnum):
    """What a setting can do to the numbers of a scorecard.

    `NUMBERS` may change them. `ROUNDING` says where the work runs, which moves at most the last digits: the scorecard
    records it, and parts that differ in it can be merged. `NONE` changes nothing and is not recorded.
    """

    NUMBERS = "yes"
    ROUNDING = "rounding only"
    NONE = "no"


_KINDS: Final[tuple[tuple[type, Any, str], ...]] = (
    (bool, bool, "true or false"),
    (int, Integral, "a whole number"),
    (float, Real, "a number"),
    (str, str | PathLike, "a text"),
)


@dataclass(frozen=True, slots=True)
class Option:
    """What is said of a setting beside its type and default.

    Args:
        help: one sentence that can be read alone; the same in `--help`, in Python and in the documentation.
        choices: the only words allowed; empty for an open setting.
        minimum: the smallest number allowed.
        maximum: the largest.
        influence: whether it can change a number.
        command_line: whether `igmu score` offers it.
        name: of the setting; filled in by `options`.
        type: its type; filled in by `options`.
        default: its default, `inspect.Parameter.empty` where a value must be given; filled in by `options`.
    """

    help: str
    choices: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    influence: Influence = Influence.NUMBERS
    command_line: bool = True
    name: str = ""
    type: Any = None
    default: Any = Parameter.empty

    @property
    def flag(self) -> str:
        """How it is written on the command line."""
        words = self.name.replace("_", "-")
        return f"--{words}/--no-{words}" if self.type is bool else f"--{words}"

    def require_type(self, value: Any) -> None:
        """Refuse a value of another type, which a run file or a caller may give.

        Raises:
            InputError: names the setting, the value and what it is to be.
        """
        allowed = get_args(self.type) or (self.type,)
        for kind, taken, what in _KINDS:
            fits = isinstance(value, taken) and isinstance(value, bool) == (kind is bool)
            if kind in allowed and not fits and not (value is None and type(None) in allowed):
                raise InputError(f"{self.name} is {value!r}; it is {what}.")

    @property
    def required(self) -> bool:
        """Whether a value must be given."""
        return self.default is Parameter.empty


_CALIBRATED: Final = ("threshold", "sensitivity", "specificity", "n_positives", "n_negatives")


def _about(help: str, **more: Any) -> dict[str, Option]:
    return {"option": Option(help, **more)}


# Scores that people ask for and that cannot be had here, each with what can be done.
_UNSERVED: Final = {
    "hpsv2": "its weights are published for open_clip, as a pickle, and igmu reads none. Convert them to a CLIPModel "
    "with safetensors (its score is the cosine) and give --align clip:FOLDER, or use pickscore.",
    "imagereward": "it is a BLIP with a head of its own that no class of transformers loads, and igmu runs no code of "
    "models. Use pickscore.",
}
_CLIP: Final = "openai/clip-vit-base-patch32"


@dataclass(frozen=True, slots=True)
class Settings:
    """How models are scored; models scored with equal settings can be compared."""

    config: str = field(metadata=_about("Concept config, such as object.church."))
    layout: str = field(
        default="metadata",
        metadata=_about(
            "Layout of the image folders: a metadata.jsonl, the IGMU reference's class folders, flat (one prompt), or "
            "the output of UnlearnCanvas's or HUB's scripts.",
            choices=("metadata", "igmu", "flat", "unlearncanvas", "hub"),
        ),
    )
    prompt: str | None = field(
        default=None, metadata=_about("The one prompt of all images in layout flat; enables alignment and CSDR there.")
    )
    include_none: bool = field(
        default=False,
        metadata=_about(
            "In layout unlearncanvas: treat photographs without a style (Seed_Images) as one more style to retain."
        ),
    )
    include_target_styled: bool = field(
        default=True,
        metadata=_about("In layout unlearncanvas: include images of the target in the other domain's retain accuracy."),
    )
    bench: str | None = field(
        default=None,
        metadata=_about("Corpus: Hub repository or folder; default the packaged rows (nsfw: the gated repository)."),
    )
    revision: str | None = field(default=None, metadata=_about("Commit, tag or branch of the corpus on the Hub."))
    detector: str = field(
        default="clip",
        metadata=_about(
            "Judge of whether an image shows the concept: clip[:MODEL], labels:FILE.csv, imagenet, nudenet, "
            "hf-classifier:MODEL, vlm:MODEL, siglip:MODEL, igmu-head:FILE, face:FILE or sandbox."
        ),
    )
    threshold: float | None = field(
        default=None,
        metadata=_about(
            "Probability from which the concept counts as present, 0..1; default the detector's own threshold.",
            minimum=0,
            maximum=1,
        ),
    )
    calibration: str | None = field(
        default=None,
        metadata=_about(
            "File from igmu calibrate with the detector's threshold and error rates; adds accuracies corrected "
            "for errors."
        ),
    )
    sensitivity: float | None = field(
        default=None,
        metadata=_about(
            "Detector sensitivity, 0..1; requires the specificity and adds accuracies corrected for both.",
            minimum=0,
            maximum=1,
        ),
    )
    specificity: float | None = field(
        default=None,
        metadata=_about(
            "Detector specificity, 0..1; requires the sensitivity and adds accuracies corrected for both.",
            minimum=0,
            maximum=1,
        ),
    )
    n_positives: int | None = field(
        default=None,
        metadata=_about(
            "Number of images with the concept that the detector's sensitivity was measured on.", minimum=1
        ),
    )
    n_negatives: int | None = field(
        default=None,
        metadata=_about(
            "Number of images without the concept that the detector's specificity was measured on.", minimum=1
        ),
    )
    clip: str | None = field(
        default=None,
        metadata=_about(
            "CLIP model for alignment and CSDR: Hub id or folder; default that of a CLIP detector, else none."
        ),
    )
    align: str | None = field(
        default=None,
        metadata=_about(
            "Further score of image-text alignment: pickscore[:MODEL] or siglip:MODEL; clip:MODEL means --clip MODEL."
        ),
    )
    features: str | None = field(
        default=None,
        metadata=_about(
            "Backbone for distances: inception, clip:MODEL or dinov2; default the CLIP of alignment, if any."
        ),
    )
    lpips: str | None = field(
        default=None,
        metadata=_about("Network for LPIPS between paired images: alex, vgg or alex?trunk=FILE; default no LPIPS."),
    )
    strip: str = field(
        default="corpus",
        metadata=_about(
            "Stripped prompts that CSDR uses: the corpus's, or the IGMU reference's, to compare with its numbers.",
            choices=("corpus", "reference"),
        ),
    )
    k: int | None = field(
        default=None,
        metadata=_about(
            "Images per attacked prompt, the k of asr_any@k; default all, required where prompts have unequal seeds.",
            minimum=1,
        ),
    )
    on_error: str = field(
        default="raise",
        metadata=_about(
            "Unreadable or unpaired images: raise an error, or skip and count them.", choices=("raise", "skip")
        ),
    )
    blank: str = field(
        default="apart",
        metadata=_about(
            "Images of one colour (blackened, or failed in half precision): count them separately, or judge them too.",
            choices=("apart", "keep"),
        ),
    )
    device: str | None = field(
        default=None,
        metadata=_about(
            "Where networks run: cpu, cuda, …; default a GPU if there is one.", influence=Influence.ROUNDING
        ),
    )
    batch_size: int = field(
        default=16, metadata=_about("Images read ahead at once.", minimum=1, influence=Influence.NONE)
    )
    seed: int = field(default=0, metadata=_about("Seed of the bootstrap.", minimum=0))
    precision: str = field(
        default="fp32",
        metadata=_about(
            "Number format of the networks; bf16 is faster and moves features by up to 2 %.", choices=("fp32", "bf16")
        ),
    )
    cache: bool = field(
        default=True,
        metadata=_about("Cache features by image content and reuse them in later runs.", influence=Influence.NONE),
    )
    looks: str | None = field(
        default=None,
        metadata=_about(
            "Number of this interim look and of all planned looks, such as 4/11; widens intervals so that they are "
            "valid over all looks together."
        ),
    )
    only: frozenset[tuple[str, int]] | None = field(
        default=None,
        metadata=_about(
            "Generations to score, by row id and seed; default all in the folders.",
            influence=Influence.NONE,  # beside what the card says: it lists its generations
            command_line=False,
        ),
    )

    def __post_init__(self) -> None:
        """Refuse words outside a closed vocabulary and numbers below their minimum."""
        for option in options().values():
            value = getattr(self, option.name)
            option.require_type(value)
            if option.choices and value not in option.choices:
                raise InputError(f"no {option.name} {value!r}; it is {_listed(option.choices, 'or')}.")
            if option.minimum is not None and value is not None and value < option.minimum:
                raise OutOfRangeError(f"{option.name} is {value}; it is at least {option.minimum}.")
            if option.maximum is not None and value is not None and not value <= option.maximum:  # NaN, too
                raise OutOfRangeError(f"{option.name} is {value}; it is at most {option.maximum}.")
        if (self.sensitivity is None) != (self.specificity is None):
            raise InputError("only one of sensitivity and specificity is given; a correction needs both.")

        twice = [name for name in _CALIBRATED if getattr(self, name) is not None]
        if self.calibration is not None and twice:
            raise InputError(
                f"calibration and {twice[0]} are both given, but the calibration already contains it. Give one."
            )
        self.aligning()

    def aligning(self) -> tuple[str | None, str | None]:
        """The CLIP model of alignment, and the backbone of the score beside it; None where none is asked for.

        Raises:
            InputError: a score that no class of transformers serves, or two CLIP models.
        """
        name, _, argument = (self.align or "").partition(":")
        if name in _UNSERVED:
            raise InputError(f"align {self.align!r}: {_UNSERVED[name]}")
        if name != "clip":
            return self.clip, self.align
        if self.clip not in (None, argument):
            raise InputError(f"clip {self.clip!r} and align {self.align!r} name two CLIP models; give one of them.")
        return argument or self.clip or _CLIP, None

    @classmethod
    def from_keywords(cls, name: str, given: Mapping[str, Any], also: tuple[str, ...] = ()) -> Self:
        """Settings from keyword arguments that somebody typed.

        >>> Settings.from_keywords("forget_score", {"config": "object.church", "k": 5}).k
        5
        >>> Settings.from_keywords("forget_score", {"config": "object.church", "sed": 1})
        Traceback (most recent call last):
            ...
        igmu_data.errors.InputError: forget_score has no option 'sed'; did you mean 'seed'? It has config, layout, ...

        Args:
            name: what the settings are for, for the message.
            given: name → value.
            also: further options that it has and that are no settings, for the message.

        Raises:
            InputError: an unknown option, naming it and those that there are; no config; a value that is not allowed.
        """
        known = (*options(), *also)
        if unknown := sorted(given.keys() - set(options())):
            alike = nearest(unknown[0], known, 1)
            hint = f"; did you mean {alike[0]!r}? It" if alike else "; it"
            raise InputError(f"{name} has no option {unknown[0]!r}{hint} has {', '.join(known)}.")
        if missing := [o.name for o in options().values() if o.required and o.name not in given]:
            raise InputError(f"{name} needs {_listed(missing, 'and')}.")
        return cls(**given)


@cache
def options() -> Mapping[str, Option]:
    """Every setting by name, in the order of the fields, with its type and default filled in."""
    found = {}
    types = get_type_hints(Settings)
    for one in fields(Settings):
        default = Parameter.empty if one.default is MISSING else one.default
        found[one.name] = replace(one.metadata["option"], name=one.name, type=types[one.name], default=default)
    return found


def unrecorded() -> frozenset[str]:
    """Settings without any influence on a number, which therefore do not stand in a scorecard."""
    return frozenset(o.name for o in options().values() if o.influence is Influence.NONE)


def local() -> frozenset[str]:
    """Settings that say where and how fast, not what: parts of one evaluation may differ in them."""
    return frozenset(o.name for o in options().values() if o.influence is not Influence.NUMBERS)


def _listed(words: tuple[str, ...] | list[str], last: str) -> str:
    return f" {last} ".join((", ".join(words[:-1]), words[-1])) if len(words) > 1 else words[0]


# `help(Settings)` says of every field what the command line and the documentation say.
Settings.__doc__ = f"{Settings.__doc__}\n\n    Args:\n" + "\n".join(
    f"        {o.name}: {o.help}" for o in options().values()
)
