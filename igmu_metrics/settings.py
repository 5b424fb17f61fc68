"""All settings of an evaluation, defined once: the options of `igmu score`, the fields of `Evaluation` and the
documentation page are derived from `Settings`.

Conventions: a setting is a field with a type, a default and an `Option` in its metadata that describes it. Values are
checked when the settings are made, before any network is loaded. Importing this module is fast.
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
    """How a setting can influence the numbers of a scorecard.

    A setting with `NUMBERS` may change them. A setting with `ROUNDING` determines where the work runs, which changes at
    most the last digits: the scorecard records the setting, but parts with different values can be merged. A setting
    with `NONE` changes no number and is not recorded.
    """

    NUMBERS = "yes"
    ROUNDING = "rounding only"
    NONE = "no"


_KINDS: Final[tuple[tuple[type, Any, str], ...]] = (
    (bool, bool, "true or false"),
    (int, Integral, "a whole number"),
    (float, Real, "a number"),
    (str, str | PathLike, "a string"),
)


@dataclass(frozen=True, slots=True)
class Option:
    """The description of a setting, in addition to its type and default.

    Args:
        help: one sentence that can be understood on its own; `--help`, Python and the documentation use the same
            sentence.
        choices: the allowed words; empty if anything is allowed.
        minimum: the smallest allowed number.
        maximum: the largest allowed number.
        influence: whether the setting can change a number.
        command_line: whether `igmu score` has an option for it.
        name: name of the setting; filled in by `options`.
        type: its type; filled in by `options`.
        default: its default, `inspect.Parameter.empty` if a value is required; filled in by `options`.
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
        """The name of the option on the command line."""
        words = self.name.replace("_", "-")
        return f"--{words}/--no-{words}" if self.type is bool else f"--{words}"

    def require_type(self, value: Any) -> None:
        """Refuse a value of the wrong type, which might come from a run file or a caller.

        Raises:
            InputError: the type is wrong; the message gives the setting, the value and the correct type.
        """
        allowed = get_args(self.type) or (self.type,)
        for kind, taken, what in _KINDS:
            fits = isinstance(value, taken) and isinstance(value, bool) == (kind is bool)
            if kind in allowed and not fits and not (value is None and type(None) in allowed):
                raise InputError(f"{self.name} is {value!r}; it must be {what}.")

    @property
    def required(self) -> bool:
        """Whether a value must be given."""
        return self.default is Parameter.empty


_CALIBRATED: Final = ("threshold", "sensitivity", "specificity", "n_positives", "n_negatives")


def _about(help: str, **more: Any) -> dict[str, Option]:
    return {"option": Option(help, **more)}


# Well-known scores that are not supported, each with an alternative.
_UNSERVED: Final = {
    "hpsv2": "HPSv2 is not supported, because its weights are published for open_clip as a pickle, which igmu does not "
    "read. Convert them to a CLIPModel with safetensors (its score is the cosine) and use --align clip:FOLDER, or "
    "use pickscore.",
    "imagereward": "ImageReward is not supported, because it is a BLIP with a custom head that transformers cannot "
    "load, and igmu does not run code from model repositories. Use pickscore.",
}
_CLIP: Final = "openai/clip-vit-base-patch32"


@dataclass(frozen=True, slots=True)
class Settings:
    """How models are scored; models scored with the same settings can be compared."""

    config: str = field(metadata=_about("Config of the concept, such as object.church."))
    layout: str = field(
        default="metadata",
        metadata=_about(
            "Layout of the image folders: images with a metadata.jsonl (metadata), the class folders of the IGMU "
            "reference (igmu), images for a single prompt (flat), or the output of the scripts of UnlearnCanvas "
            "(unlearncanvas) or HUB (hub).",
            choices=("metadata", "igmu", "flat", "unlearncanvas", "hub"),
        ),
    )
    prompt: str | None = field(
        default=None,
        metadata=_about(
            "Prompt of all images in the flat layout; required to compute alignment and CSDR for this layout."
        ),
    )
    include_none: bool = field(
        default=False,
        metadata=_about(
            "Treat photographs without a style (Seed_Images) as an additional style to retain; only for the "
            "unlearncanvas layout."
        ),
    )
    include_target_styled: bool = field(
        default=True,
        metadata=_about(
            "When computing retain accuracy for the other domain, also count images of the target; only for the "
            "unlearncanvas layout."
        ),
    )
    bench: str | None = field(
        default=None,
        metadata=_about(
            "Corpus, as a Hub repository or a folder; default: the packaged prompts, or the gated repository for nsfw."
        ),
    )
    revision: str | None = field(default=None, metadata=_about("Commit, tag or branch of the corpus on the Hub."))
    detector: str | None = field(
        default=None,
        metadata=_about(
            "Detector that decides whether an image shows the concept: clip[:MODEL], labels:FILE.csv, imagenet, "
            "nudenet, hf-classifier:MODEL, vlm:MODEL, siglip:MODEL, igmu-head:FILE, face:FILE or sandbox; default: "
            "clip, or the sandbox's own detector for sandbox configs."
        ),
    )
    threshold: float | None = field(
        default=None,
        metadata=_about(
            "Lowest probability, 0..1, at which the concept counts as present; default: the detector's own threshold.",
            minimum=0,
            maximum=1,
        ),
    )
    calibration: str | None = field(
        default=None,
        metadata=_about(
            "File from igmu calibrate with the detector's threshold and error rates; adds accuracies corrected for the "
            "detector's errors."
        ),
    )
    sensitivity: float | None = field(
        default=None,
        metadata=_about(
            "Sensitivity of the detector, 0..1; requires --specificity, and adds accuracies corrected for the "
            "detector's errors.",
            minimum=0,
            maximum=1,
        ),
    )
    specificity: float | None = field(
        default=None,
        metadata=_about(
            "Specificity of the detector, 0..1; requires --sensitivity, and adds accuracies corrected for the "
            "detector's errors.",
            minimum=0,
            maximum=1,
        ),
    )
    n_positives: int | None = field(
        default=None,
        metadata=_about(
            "Number of images with the concept on which the detector's sensitivity was measured.", minimum=1
        ),
    )
    n_negatives: int | None = field(
        default=None,
        metadata=_about(
            "Number of images without the concept on which the detector's specificity was measured.", minimum=1
        ),
    )
    clip: str | None = field(
        default=None,
        metadata=_about(
            "CLIP model for alignment and CSDR, as a Hub id, folder or sandbox; default: the model of a CLIP detector, "
            "or the sandbox's model for sandbox configs without --detector; otherwise none."
        ),
    )
    align: str | None = field(
        default=None,
        metadata=_about(
            "Additional image-text alignment score: pickscore[:MODEL] or siglip:MODEL; clip:MODEL is equivalent to "
            "--clip MODEL."
        ),
    )
    features: str | None = field(
        default=None,
        metadata=_about(
            "Backbone for distances: inception, clip:MODEL or dinov2; default: the CLIP model for alignment, if any."
        ),
    )
    lpips: str | None = field(
        default=None,
        metadata=_about("Network for LPIPS between paired images: alex, vgg or alex?trunk=FILE; default: no LPIPS."),
    )
    strip: str = field(
        default="corpus",
        metadata=_about(
            "Source of the prompts without the concept for CSDR: the corpus (corpus), or the IGMU reference "
            "(reference), to compare results with the numbers of the reference.",
            choices=("corpus", "reference"),
        ),
    )
    k: int | None = field(
        default=None,
        metadata=_about(
            "Number of images per adversarial prompt (the k in asr_any@k); default: all images. This option is "
            "required if prompts have different numbers of seeds.",
            minimum=1,
        ),
    )
    on_error: str = field(
        default="raise",
        metadata=_about(
            "What to do with unreadable or unpaired images: stop with an error (raise), or leave them out and count "
            "them (skip).",
            choices=("raise", "skip"),
        ),
    )
    blank: str = field(
        default="apart",
        metadata=_about(
            "What to do with images of a single color (blackened, or failed in half precision): count them "
            "separately (apart), or judge them like other images (keep).",
            choices=("apart", "keep"),
        ),
    )
    device: str | None = field(
        default=None,
        metadata=_about(
            "Device to run the networks on, such as cpu or cuda; default: a GPU if available.",
            influence=Influence.ROUNDING,
        ),
    )
    batch_size: int = field(
        default=16,
        metadata=_about("Number of images to load in advance.", minimum=1, influence=Influence.NONE),
    )
    seed: int = field(default=0, metadata=_about("Random seed for the bootstrap.", minimum=0))
    precision: str = field(
        default="fp32",
        metadata=_about(
            "Numerical precision of the networks; bf16 is faster but changes the features by up to 2%.",
            choices=("fp32", "bf16"),
        ),
    )
    cache: bool = field(
        default=True,
        metadata=_about("Cache results by image content and reuse them in later runs.", influence=Influence.NONE),
    )
    looks: str | None = field(
        default=None,
        metadata=_about(
            "Number of this interim check and number of planned checks, such as 4/11, so that intervals are valid for "
            "all checks together; default: the numbers that igmu run --until recorded next to the images, in "
            "igmu-looks.json. If you have only the images of such a run, use the numbers on the run's scorecard."
        ),
    )
    only: frozenset[tuple[str, int]] | None = field(
        default=None,
        metadata=_about(
            "Images to score, by row id and seed; default: all images in the folders.",
            influence=Influence.NONE,  # not recorded separately, since the card lists its generations
            command_line=False,
        ),
    )

    def __post_init__(self) -> None:
        """Refuse words that are not allowed and numbers outside their range."""
        for option in options().values():
            value = getattr(self, option.name)
            option.require_type(value)
            if option.choices and value not in option.choices:
                raise InputError(f"{option.name} is {value!r}; it must be one of {', '.join(option.choices)}.")
            if option.minimum is not None and value is not None and value < option.minimum:
                raise OutOfRangeError(f"{option.name} is {value}; it must be at least {option.minimum}.")
            if option.maximum is not None and value is not None and not value <= option.maximum:  # also for NaN
                raise OutOfRangeError(f"{option.name} is {value}; it must be at most {option.maximum}.")
        if (self.sensitivity is None) != (self.specificity is None):
            raise InputError("only one of sensitivity and specificity is given, but a correction requires both.")

        twice = [name for name in _CALIBRATED if getattr(self, name) is not None]
        if self.calibration is not None and twice:
            raise InputError(
                f"calibration and {twice[0]} are both given, but the calibration already contains the {twice[0]}. Pass "
                "only one of them."
            )
        for name in ("n_positives", "n_negatives"):
            if (n := getattr(self, name)) is not None and self.sensitivity is None:
                raise InputError(
                    f"{name} is {n}, but it has no effect without sensitivity and specificity. Set both of them, or "
                    f"leave out {name}."
                )
        for name, other in (("n_positives", "n_negatives"), ("n_negatives", "n_positives")):
            if (n := getattr(self, name)) is not None and getattr(self, other) is None:
                raise InputError(
                    f"{name} is {n}, but {other} is not given, and a corrected interval requires both. Set both "
                    f"({options()[name].flag} and {options()[other].flag}), or leave out {name}."
                )
        self.aligning()

    def detecting(self) -> str:
        """The detector: as given, or the default for the config."""
        return self.detector or self._own() or "clip"

    def settled(self) -> Self:
        """The same settings, with the detector and the CLIP model set explicitly."""
        aligned = (self.align or "").partition(":")[0] == "clip"  # which gives the CLIP itself
        return replace(self, detector=self.detecting(), clip=self.clip if aligned else self.aligning()[0])

    def _own(self) -> str | None:
        """The sandbox's own networks, if images of the sandbox are scored and no detector is given."""
        return "sandbox" if self.detector is None and self.config.partition(".")[0] == "sandbox" else None

    def aligning(self) -> tuple[str | None, str | None]:
        """The CLIP model for alignment, and the backbone of the additional score; None if it is not requested.

        Raises:
            InputError: an unsupported score, or two CLIP models.
        """
        name, _, argument = (self.align or "").partition(":")
        if name in _UNSERVED:
            raise InputError(f"align is {self.align!r}. {_UNSERVED[name]}")
        if name != "clip":
            return self.clip or self._own(), self.align
        if self.clip not in (None, argument):
            raise InputError(
                f"clip is {self.clip!r} and align is {self.align!r}, but both set the CLIP model. Pass only one."
            )
        return argument or self.clip or _CLIP, None

    @classmethod
    def from_keywords(cls, name: str, given: Mapping[str, Any], also: tuple[str, ...] = ()) -> Self:
        """Settings from keyword arguments.

        >>> Settings.from_keywords("forget_score", {"config": "object.church", "k": 5}).k
        5
        >>> Settings.from_keywords("forget_score", {"config": "object.church", "sed": 1})
        Traceback (most recent call last):
            ...
        igmu_data.errors.InputError: forget_score has no option 'sed'; did you mean 'seed'? Its options are config, ...

        Args:
            name: name of the function, for the message.
            given: name → value.
            also: further options that are not settings, for the message.

        Raises:
            InputError: an unknown option, no config, or a value that is not allowed.
        """
        known = (*options(), *also)
        if unknown := sorted(given.keys() - set(options())):
            alike = nearest(unknown[0], known, 1)
            hint = f"; did you mean {alike[0]!r}?" if alike else "."
            raise InputError(f"{name} has no option {unknown[0]!r}{hint} Its options are {', '.join(known)}.")
        if missing := [o.name for o in options().values() if o.required and o.name not in given]:
            raise InputError(f"{name} requires {_listed(missing, 'and')}. Pass {_listed(missing, 'and')} as well.")
        return cls(**given)


@cache
def options() -> Mapping[str, Option]:
    """All settings by name, in the order of the fields, with type and default filled in."""
    found = {}
    types = get_type_hints(Settings)
    for one in fields(Settings):
        default = Parameter.empty if one.default is MISSING else one.default
        found[one.name] = replace(one.metadata["option"], name=one.name, type=types[one.name], default=default)
    return found


def unrecorded() -> frozenset[str]:
    """Settings that do not influence any number and are therefore not recorded in a scorecard."""
    return frozenset(o.name for o in options().values() if o.influence is Influence.NONE)


def local() -> frozenset[str]:
    """Settings that affect only where and how fast the work runs; parts of an evaluation may differ in them."""
    return frozenset(o.name for o in options().values() if o.influence is not Influence.NUMBERS)


def _listed(words: tuple[str, ...] | list[str], last: str) -> str:
    return f" {last} ".join((", ".join(words[:-1]), words[-1])) if len(words) > 1 else words[0]


# `help(Settings)` describes the fields in the same words as the command line and the documentation.
Settings.__doc__ = f"{Settings.__doc__}\n\n    Args:\n" + "\n".join(
    f"        {o.name}: {o.help}" for o in options().values()
)
