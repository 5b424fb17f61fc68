"""Whether a card belongs to the run in whose folder it is: its model, its images, their revision and their prompts.

Conventions: a run's folder says four times which model is which: `run.yaml` (by its text), `models.json` (by its
revision), the `metadata.jsonl` of its images (by its revision), and the name of the card's file. Every card is compared
with all of these, and its lines with the prompts and seeds that the run generates. Somebody who changes all of these
files alike cannot be found out here: only generating images again shows which model they are of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, Final, NamedTuple

from igmu_data.errors import IgmuError, MetadataError
from igmu_data.files import parse_json, read_text
from igmu_data.load import bench_rows
from igmu_data.numerals import counted
from igmu_data.sandbox import packaged
from igmu_data.taxonomy import SANDBOX
from igmu_metrics.copied import shared
from igmu_metrics.generations import ORIGINAL as SUFFIX
from igmu_metrics.generations import Key
from igmu_metrics.images import baselines, reference, stored
from igmu_metrics.images.folder import FAILED, MODEL, records
from igmu_metrics.images.generate import requests_for
from igmu_metrics.images.layouts import METADATA
from igmu_metrics.images.pipelines import short
from igmu_metrics.running.looking import CHECKS, asked_until, rule
from igmu_metrics.running.plan import ORIGINAL, Plan, read
from igmu_metrics.running.run import IMAGES, MODELS, rows_asked, run_of
from igmu_metrics.scorecard import CARDS, PLAN, Scorecard, public
from igmu_metrics.settings import local, options
from igmu_metrics.statistics.looks import Looks
from igmu_metrics.verdict.places import card_name, is_card
from igmu_metrics.verdict.verify import Problem

_FACTS: Final = ("model", "revision", "dtype")
_FOLDER: Final = "sha256:"  # begins the revision of a model that did not come from the Hub
_MOST: Final = 0.5  # share of a card's images that another model has
_BY_RUN: Final = frozenset({"config", "looks", "only"})  # settings that a run sets itself


class Belonging(NamedTuple):
    """A card compared with the run in whose folder it is.

    Args:
        problems: where the card contradicts the run; none for a card elsewhere.
        asked: the prompts and seeds that the run asked of the model for this card; its folder may have images of a
            larger run before it. None for a card elsewhere, or if this cannot be known.
    """

    problems: list[Problem]
    asked: frozenset[Key] | None


def compared(path: Path, card: Scorecard, *, bench: str | None = None) -> Belonging:
    """Compare a card with the run in whose folder it is.

    Args:
        path: file of the card.
        card: its content.
        bench: the corpus, if it is not where the run found it.
    """
    out = run_of(path)
    if out is None:
        return Belonging([], None)
    found, asked = list[Problem](), None
    try:
        plan = read(out / PLAN)
        found += _names(path, card, plan)
        if card.model not in plan.models or card.config not in plan.configs:
            return Belonging(found, None)
        folders = {name: out / IMAGES / card.config / name for name in plan.models}
        failed = {key for name in (card.model, ORIGINAL) for key in records(folders[name] / FAILED)}
        run = _asked(plan, card, failed, bench)
        asked = run and run.keys
        if found:
            return Belonging(found, asked)
        revisions = _revisions(out)
        lists = {name: records(folder / METADATA) for name, folder in folders.items()}
        found += _others(card, lists)
        for name in (card.model, ORIGINAL):
            if name != ORIGINAL or not reference.files(folders[name]):
                known = revisions.get(card.config, {}).get(name)
                found += _made(name, known, plan, folders[name], lists[name])
        found += _scored(card, plan)
        if run is not None:
            found += _prompts(card, run, {*lists[card.model], *lists[ORIGINAL], *failed})
    except IgmuError as error:
        found.append(Problem("run", str(error)))
    return Belonging(found, asked)


def notes(out: Path, found: Sequence[Scorecard | None]) -> list[str]:
    """What readers of a run's cards need to know about the run: cards that are missing, and images of two models.

    Args:
        out: folder of the run.
        found: its cards, None for each file that is not one; nothing is said unless they are all of its cards.
    """
    cards = [card for card in found if card is not None]
    if len(cards) < sum(map(is_card, (out / CARDS).glob("*.json"))):
        return []
    try:
        plan, revisions = read(out / PLAN), _revisions(out)
    except IgmuError:  # a problem of every card
        return []
    there = {(card.model, card.config) for card in cards}
    wanted = {(name, config) for config in plan.configs for name in plan.unlearned}
    wanted |= {(name, config) for config, models in revisions.items() for name in models if name != ORIGINAL}
    wanted |= {(p.name, p.parent.name) for p in (out / IMAGES).glob("*/*") if p.is_dir() and p.name != ORIGINAL}
    told = [f"{out}: there is no scorecard of {name!r} on {config}" for name, config in sorted(wanted - there)]
    for card, other, n, _ in shared(cards):
        of = f"{n} of {counted(len(card.generations), 'image')}"
        told.append(f"{out}: {of} of {card.model!r} have the same bytes as those of {other.model!r}")
    return told


def _revisions(out: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """What `models.json` says, by config and model.

    Raises:
        MetadataError: it is missing or does not have the form in which a run writes it.
    """
    path = out / MODELS
    if not path.is_file():
        raise MetadataError(f"{path} is missing. Ask for the whole folder of the run.")
    found = parse_json(read_text(path), str(path), "Ask for the file that the run wrote.")
    fits = isinstance(found, dict) and all(
        isinstance(models, dict) and all(isinstance(facts, dict) for facts in models.values())
        for models in found.values()
    )
    if not fits:
        raise MetadataError(f"{path} does not list models by config. Ask for the file that the run wrote.")
    return dict(found)


def _names(path: Path, card: Scorecard, plan: Plan) -> Iterator[Problem]:
    """The card's names against those of the run, and the name of its file."""
    if card.model not in plan.unlearned:
        yield Problem("model", f"the model is {card.model!r}, but {PLAN} lists {', '.join(plan.unlearned)}")
    if card.config not in plan.configs:
        yield Problem("config", f"the config is {card.config!r}, but {PLAN} lists {', '.join(plan.configs)}")
    if card.original_model != ORIGINAL:
        what = f"the original is {card.original_model!r}, but the original of a run is called {ORIGINAL!r}"
        yield Problem("original_model", what)
    named = {card_name(model, config): (model, config) for config in plan.configs for model in plan.unlearned}
    model, config = named.get(path.name, (card.model, card.config))
    if (model, config) != (card.model, card.config):
        what = f"the file is named as the scorecard of {model!r} on {config}"
        yield Problem("model", f"{what}, but contains the scorecard of {card.model!r} on {card.config}")


def _others(card: Scorecard, lists: Mapping[str, Mapping[Key, Mapping[str, Any]]]) -> Iterator[Problem]:
    """Whether most of the card's images are those of another model of the run."""
    for suffix, name in (("", card.model), (SUFFIX, ORIGINAL)):
        given = {(g["id"], g["seed"]): g[f"sha256{suffix}"]
                 for g in card.generations.records("id", "seed", f"sha256{suffix}")}  # fmt: skip
        if not lists[name]:  # a reference table
            continue
        same = {model: sum(key in listed and listed[key].get("sha256") == sha for key, sha in given.items() if sha)
                for model, listed in lists.items()}  # fmt: skip
        other = max(same, key=lambda model: same[model])
        if same[other] > max(_MOST * len(given), same[name]):
            n = f"{same[other]} of {counted(len(given), 'image')} of {name!r} on this scorecard"
            yield Problem(f"generations.sha256{suffix}", f"{n} are listed as images of {other!r}")


def _made(
    name: str, known: Mapping[str, Any] | None, plan: Plan, folder: Path, listed: Mapping[Key, Mapping[str, Any]]
) -> Iterator[Problem]:
    """A model according to `run.yaml` against `models.json`, and `models.json` against the folder of its images."""
    config = folder.parent.name
    if known is None:
        yield Problem(MODELS, f"there is no model {name!r} for {config}, although {PLAN} lists it")
        return
    spec = plan.models[name]
    if (wanted := _wanted(spec, str(known.get("model")), str(known.get("revision")))) not in (None, known.get("model")):
        yield Problem(MODELS, f"{name!r} is {known.get('model')!r}, but according to {PLAN} it is {wanted!r}")
    if known.get("dtype") != short(plan.generation.dtype):
        what = f"the dtype of {name!r} is {known.get('dtype')!r}, but according to {PLAN} it is"
        yield Problem(MODELS, f"{what} {plan.generation.dtype!r}")
    wanted_of = {f: known.get(f) for f in _FACTS} | {f: v for f, v in plan.generation.settings.items() if v is not None}
    for field, value in wanted_of.items():
        unlike = Counter(str(record.get(field)) for record in listed.values() if record.get(field) != value)
        if unlike:
            n, (other, _) = sum(unlike.values()), unlike.most_common(1)[0]
            where = MODELS if field in _FACTS else PLAN
            what = f"{field} is {other!r} for {n} of {counted(len(listed), 'image')}, but {str(value)!r} in {where}"
            yield Problem(f"{folder / METADATA}", what)
    described = stored.read(folder / MODEL)
    if described is not None and described.revision not in ("", known.get("revision")):
        what = f"the revision is {described.revision!r}, but {known.get('revision')!r} in {MODELS}"
        yield Problem(f"{folder / MODEL}", what)


def _wanted(spec: str, told: str, revision: str) -> str | None:
    """What the text of a model is called in `models.json`; None for a folder, whose name may be a link, or with parts.

    Args:
        spec: the text, as in `run.yaml`.
        told: the model's name in `models.json`; that of a folder contains neither `/` nor `:`.
        revision: the model's revision there.
    """
    baseline, rest = baselines.parse(spec)
    base, comma, _ = rest.partition(",")
    kind, _, version = base.partition(":")
    name = base.partition("@")[0]
    if comma:
        return None
    if kind == SANDBOX and version:
        version, _, task = version.partition("@")[0].partition("/")
        name = f"{SANDBOX}:{packaged.version_name(version, task or None)}"
    elif revision.startswith(_FOLDER) and not set(":/") & set(baselines.parse(told)[1]):
        return None
    return f"{baseline}:{name}" if baseline else name


def _scored(card: Scorecard, plan: Plan) -> Iterator[Problem]:
    """The settings of scoring and the interim checks in `run.yaml` against those on the card."""
    made = card.provenance.options if card.provenance is not None else {}
    for name, option in options().items():
        if name in local() or name in _BY_RUN:
            continue
        told, given = (option.default if of.get(name) is None else of[name] for of in (made, plan.scoring))
        given = public(name, given)
        if told != given:
            yield Problem(f"provenance.options.{name}", f"the value is {told!r}, but {given!r} in {PLAN}")
    look = Looks.of(card)
    told = None if look is None else f"{look.planned} planned checks ({look.rule})"
    given = None if plan.until is None else f"{CHECKS} planned checks ({rule(plan)})"
    if told != given:
        what = f"the scorecard was written after {told or 'a single check'}, but according to {PLAN} the run has"
        yield Problem("looks", f"{what} {given or 'a single check'}")


class _Asked(NamedTuple):
    """What a run asked of a model for a card.

    Args:
        keys: the prompts and seeds.
        look: the latest interim check to which any of them belongs; None for a run without.
    """

    keys: frozenset[Key]
    look: int | None


def _asked(plan: Plan, card: Scorecard, failed: Set[Key], bench: str | None) -> _Asked | None:
    """What the run asked of the model; with interim checks, up to the check of the card. None without the corpus."""
    of = {"bench": bench} if bench else {name: plan.scoring.get(name) for name in ("bench", "revision")}
    configs = plan.configs if plan.max_images is not None else (card.config,)  # the limit is for all together
    try:
        every = {config: bench_rows(config, **of).values() for config in configs}
    except IgmuError:  # scoring the images again reports it
        return None
    rows = rows_asked(plan, every)[card.config]
    requests = requests_for(rows, seeds_per_row=plan.seeds_per_row)
    check = Looks.of(card)
    if plan.until is None or check is None:  # if only one of them has interim checks, `_scored` says so
        return _Asked(frozenset(r.key for r in requests), None)
    look, keys = asked_until(check.look, rows, requests, set(card.generations.keys), failed)
    return _Asked(frozenset(keys), look)


def _prompts(card: Scorecard, run: _Asked, there: Set[Key]) -> Iterator[Problem]:
    """The card's prompts and seeds, and its interim check, against those of the run.

    Args:
        card: the card.
        run: what the run asked.
        there: images that were generated, or failed, for either model.
    """
    mine, until = set(card.generations.keys), "" if run.look is None else ", until and the check of the scorecard"
    if more := sorted(mine - run.keys):
        row, seed = more[0]
        n = f"{len(more)} of {counted(len(mine), 'image')}"
        what = f"the run does not generate {n} of this scorecard, such as row {row!r}, seed {seed}"
        yield Problem("generations", f"{what} (according to protocol, seeds_per_row{until} in {PLAN})")
    if lost := sorted(run.keys - mine - there):
        row, seed = lost[0]
        n = f"{len(lost)} of the run's {counted(len(run.keys), 'image')} were left out"
        why = f"neither {METADATA} nor {FAILED} lists them. If the run was interrupted, continue it"
        yield Problem("generations", f"{n}, such as row {row!r}, seed {seed}: {why}")
    if run.look is not None and (check := Looks.of(card)) is not None and check.look != run.look:
        what = f"the scorecard was made at check {check}, but it has images only of the checks up to {run.look}"
        yield Problem("looks", what)
