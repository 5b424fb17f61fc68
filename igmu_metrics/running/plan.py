"""The plan of a run: models, concepts, how much of the corpus, how images are generated and scored; also as a file.

Conventions: a run file is YAML with the keys of `Plan`. A run file cannot enable code by itself: a model with `code=`
needs `--trust-code` on the command line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from igmu_data.configs import GENERAL, config_concepts, config_target
from igmu_data.errors import InputError, OutOfRangeError, nearest
from igmu_data.files import read_yaml
from igmu_data.rows.rounds import rounds_of
from igmu_data.schema import SEEDS_PER_ROW
from igmu_metrics.images import baselines, method
from igmu_metrics.images.method import Method
from igmu_metrics.settings import options
from igmu_metrics.verdict import criteria
from igmu_metrics.verdict.criteria import Criterion

ORIGINAL: Final = "original"
_NAMED: Final = re.compile(r"(?P<name>[\w.-]+)=(?P<spec>.+)")
DECIDED: Final = "decided"
GRADED: Final = "graded"
_LOOKING: Final = ("until", "figures", "min", "max", "max_images")  # keys that a run with a single look does not have
# Settings of scoring that the run itself sets, or that belong to layouts that it does not write.
_BY_RUN: Final = ("config", "layout", "prompt", "only", "looks", "include_none", "include_target_styled")
_Whole = Annotated[int, Field(ge=1, strict=True)]  # refuses `true`


class Generation(BaseModel):
    """How images are generated, if not according to the rows or the model's preset."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: _Whole | None = None
    guidance_scale: Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)] | None = None
    size: _Whole | None = None
    dtype: str = "fp32"
    batch_size: _Whole | Literal["auto"] = 4
    compile: bool = False

    @property
    def settings(self) -> dict[str, Any]:
        """Steps, guidance scale, width and height, as drawing takes them."""
        return {
            "steps": self.steps,
            "guidance_scale": self.guidance_scale,
            "width": self.size,
            "height": self.size,
        }


class Plan(BaseModel):
    """A run.

    Args:
        original: model before unlearning, in the form that `igmu generate --model` accepts.
        unlearned: unlearned models by the names used in tables.
        configs: configs with one concept each.
        protocol: `lite`, `full` or a number of rounds.
        seeds_per_row: number of images per prompt, 1..5; None for all.
        until: when a run that checks after every round stops: `decided`, when no verdict is undecided; `graded`, when
            no verdict could still change; or half the width of an interval, 0..0.5. None for a single check at the end.
        figures: metrics that `until` checks; empty for those in the verdict.
        min: lower bounds, such as `forgetting=0.8`; with bounds, `decided` means that each is known to be met or not.
        max: upper bounds, such as `conditional_asr_any@5=0.1`.
        max_images: maximum number of images of all models and concepts together.
        generation: how images are generated.
        scoring: settings of `igmu score` by name.
        methods: what the unlearned models cost to make, by name: a `method.yaml` or its contents.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    original: Annotated[str, Field(min_length=1)]
    unlearned: Annotated[Mapping[str, str], Field(min_length=1)]
    configs: Annotated[tuple[str, ...], Field(min_length=1)]
    protocol: str = "full"
    seeds_per_row: Annotated[int, Field(ge=1, le=SEEDS_PER_ROW, strict=True)] | None = None
    until: str | None = None
    figures: tuple[str, ...] = ()
    min: tuple[str, ...] = ()
    max: tuple[str, ...] = ()
    max_images: _Whole | None = None
    generation: Generation = Generation()
    scoring: Mapping[str, Any] = Field(default_factory=dict)
    methods: Mapping[str, Method] = Field(default_factory=dict)

    @field_validator("methods", mode="before")
    @classmethod
    def _as_methods(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {
            name: method.read(Path(told)) if isinstance(told, str) else method.checked(told, str(name))
            for name, told in value.items()
        }

    @field_validator("protocol", "until", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value

    @property
    def models(self) -> dict[str, str]:
        """All models by name, the original first."""
        return {ORIGINAL: self.original, **self.unlearned}

    @property
    def bounds(self) -> list[Criterion]:
        """The bounds that are to be decided.

        Raises:
            InputError: one is not of the form METRIC=NUMBER.
        """
        return criteria.bounds_of(self.min, self.max)


def checked(plan: Plan) -> Plan:
    """Check everything in a plan that can be checked before any work is done.

    Raises:
        InputError, OutOfRangeError, UnknownConfigError: an invalid config, protocol, name or setting.
    """
    rounds_of(plan.protocol)
    if plan.until not in (None, DECIDED, GRADED) and not 0 < _number(str(plan.until)) < 0.5:
        raise OutOfRangeError(
            f"until is {plan.until!r}; it must be {DECIDED}, {GRADED}, or half the width of an interval, between 0 and "
            "0.5. Set bounds on metrics with --min and --max."
        )
    if plan.figures and plan.until is None:
        raise InputError(
            f"--figure {plan.figures[0]} has no effect without --until. Add --until, for example --until decided."
        )
    if bounds := plan.bounds:
        flag = f"--{'min' if bounds[0].least else 'max'} {bounds[0].name}={bounds[0].bound:g}"
        if plan.until != DECIDED:
            raise InputError(f"{flag} has no effect without --until {DECIDED}. Add --until {DECIDED}.")
        if plan.figures:
            raise InputError(f"--figure {plan.figures[0]} and {flag} are both given. Omit one of them.")
    for config in plan.configs:
        if config == GENERAL:
            raise InputError(
                f"igmu run measures how well a concept was forgotten, but config {GENERAL!r} does not test a concept. "
                f"Use igmu generate and igmu score with --config {GENERAL}."
            )
        if config_target(config) is None:
            members = config_concepts(config)
            raise InputError(
                f"config {config!r} contains {len(members)} concepts. Specify each concept separately, for "
                f"example {members[0]!r}."
            )
    if len(set(plan.configs)) < len(plan.configs):
        raise InputError(f"the configs ({', '.join(plan.configs)}) contain a duplicate. Specify each config only once.")
    for name in plan.unlearned:
        if not re.fullmatch(r"[\w.-]+", name) or name.startswith(".") or name == ORIGINAL:
            raise InputError(
                f"{name!r} is not allowed as a model name. Use letters, digits, '-', '_' and '.'; do not use "
                f"{ORIGINAL!r}."
            )
    for name in plan.methods:
        if name not in plan.models:
            raise InputError(f"methods: there is no model {name!r}{_guess(name, list(plan.models))}")
    known = [name for name in options() if name not in _BY_RUN]
    for name in plan.scoring:
        if name not in known:
            raise InputError(f"scoring: there is no setting {name!r}{_guess(name, known)}")
    return plan


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def named(models: Sequence[str]) -> dict[str, str]:
    """`NAME=MODEL` as a mapping; a model without a name gets the last part of its path or id.

    Raises:
        InputError: two models have the same name.

    >>> named(["esd=base,unet=a.safetensors", "owner/uce-church"])
    {'esd': 'base,unet=a.safetensors', 'uce-church': 'owner/uce-church'}
    """
    found: dict[str, str] = {}
    for text in models:
        given = _NAMED.fullmatch(text)
        spec = given["spec"] if given else text
        name = given["name"] if given else _called(text)
        if not name or name in found:
            raise InputError(
                f"--unlearned {text!r} has no unique name. Give it a unique name, as in --unlearned mine={spec}."
            )
        found[name] = spec
    return found


def _called(spec: str) -> str:
    baseline, rest = baselines.parse(spec)
    return baseline or re.sub(r"[^\w.-]+", "-", rest.rstrip("/").rpartition("/")[2]).strip("-.")


def read(path: Path) -> Plan:
    """A plan from a run file.

    Raises:
        InputError: the file is not YAML, or has an invalid key or value; the message names it.
    """
    return from_mapping(read_yaml(path, Plan.model_fields), str(path))


def from_mapping(given: Mapping[str, Any], where: str) -> Plan:
    """A plan from its keys.

    Raises:
        InputError: a key or value is invalid.
    """
    try:
        return Plan(**given)
    except (ValidationError, TypeError) as error:
        if isinstance(error, TypeError):
            raise InputError(f"{where}: all keys must be strings ({error}). Correct the file.") from error
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        hint = _guess(key, list(Plan.model_fields)) if first["type"] == "extra_forbidden" else "."
        raise InputError(f"{where}: {key}: {first['msg']}{hint}") from error


def _guess(name: str, known: Sequence[str]) -> str:
    alike = nearest(name, known)
    return f"; did you mean {alike[0]!r}?" if alike else f". Use one of {', '.join(known)}."


def written(plan: Plan) -> str:
    """The plan as a run file."""
    import yaml

    left_out: dict[str, Any] = {name: True for name in (*_LOOKING, "methods") if not getattr(plan, name)}
    if not plan.generation.compile:
        left_out["generation"] = {"compile"}
    return str(yaml.safe_dump(plan.model_dump(mode="json", exclude=left_out), sort_keys=False, allow_unicode=True))


def differences(before: Plan, now: Plan) -> list[str]:
    """Why a plan cannot continue the run of another one in its folder, one clause per setting; empty if it can.

    A run may grow (rounds, seeds per prompt, models, concepts) and be scored differently, because none of this changes
    an image that exists already. Interim checks are planned for fixed images and settings, so a run with these may
    only grow in rounds, models and concepts. Batch sizes change images at most by rounding, and the cost of a method
    does not change any.
    """
    looked, seeds = before.until is not None, _seeds(now) - _seeds(before)
    made, makes = before.generation.model_dump(exclude={"batch_size"}), now.generation.model_dump()
    scoring = dict.fromkeys((*before.scoring, *now.scoring)) if looked else ("bench", "revision")
    settings: list[tuple[str, Any, Any, bool]] = [  # each with its values, and whether they may differ
        ("--original", before.original, now.original, False),
        *((f"--unlearned {name}", spec, now.unlearned.get(name), False) for name, spec in before.unlearned.items()),
        *((f"--config {name}", "given", None, name in now.configs) for name in before.configs),
        *((f"--{name.replace('_', '-')}", value, makes[name], False) for name, value in made.items()),
        *((f"the setting {name}", before.scoring.get(name), now.scoring.get(name), False) for name in scoring),
        ("--protocol", before.protocol, now.protocol, rounds_of(before.protocol) <= rounds_of(now.protocol)),
        ("--seeds-per-row", before.seeds_per_row, now.seeds_per_row, seeds == 0 or (seeds > 0 and not looked)),
        ("--until", before.until, now.until, not looked or now.until is not None),
    ]
    return [
        f"{name} {_given(was)} there, but {_given(new)} here"
        for name, was, new, may in settings
        if was != new and not may
    ]


def _seeds(plan: Plan) -> int:
    return plan.seeds_per_row or SEEDS_PER_ROW


def _given(value: Any) -> str:
    return "is not given" if value is None else f"is {value}"
