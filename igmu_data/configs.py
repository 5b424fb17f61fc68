"""The configs of the corpus: what can be loaded and scored by name, and the concepts that each gathers.

Conventions: a concept's config is `domain.slug`, a family's `domain.family`, a domain's its name; `all` gathers every
domain but `nsfw`, which has a separate repository. The sandbox, made of the same concepts, has separate configs.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from igmu_data.errors import CorpusError, InputError, UnknownConfigError
from igmu_data.sandbox.packaged import tasks
from igmu_data.sandbox.world import world
from igmu_data.taxonomy import ALL, HINT, RESTRICTED_DOMAIN, SANDBOX, all_concepts, cached, own_files, packaged

GENERAL: Final = "general"  # prompts of no concept, which have questions instead: `igmu_data.general`


@cached
def configs(restricted: bool = False) -> Mapping[str, tuple[str, ...]]:
    """Every config with the concepts it gathers: `all`, `object`, `object.structure`, `object.church`, …

    Args:
        restricted: the configs of the gated repository (`nsfw`) instead of the browsable one.
    """
    out: dict[str, list[str]] = {ALL: []}
    owners = {SANDBOX: "sandbox", GENERAL: "set of general prompts"}
    for item in all_concepts().values():
        if (item.domain == RESTRICTED_DOMAIN) is not restricted:
            continue
        for name, owner in (
            (ALL, "all"),
            (item.domain, "domain"),
            (f"{item.domain}.{item.family}", "family"),
            (item.config, "concept"),
        ):
            if owners.setdefault(name, owner) != owner or (owner == "concept" and name in out):
                raise CorpusError(
                    f"config {name!r} would name both a {owners[name]} and a {owner}. Rename one of them."
                )
            out.setdefault(name, []).append(item.id)
    return MappingProxyType({k: tuple(v) for k, v in sorted(out.items(), key=lambda kv: (kv[0] != ALL, kv[0]))})


def sandbox_configs() -> Mapping[str, tuple[str, ...]]:
    """The sandbox configs with the concepts that they gather: `sandbox`, `sandbox.church`, …

    No other config contains their rows.
    """
    single = {f"{SANDBOX}.{world().known[name].slug}": (name,) for name in tasks()}
    return MappingProxyType({SANDBOX: tasks(), **single})


def config_target(config: str) -> str | None:
    """The concept to forget that a config is about; None for one that gathers (a family stays one even if alone), and
    for `general`.

    Raises:
        UnknownConfigError: the config is unknown; the message suggests similar ones.

    >>> config_target("object.church"), config_target("sandbox.church"), config_target("sandbox")
    ('object/church', 'object/church', None)
    """
    if config == GENERAL:
        return None
    member = config_concepts(config)[0]
    return member if config in (member.replace("/", "."), f"{SANDBOX}.{member.partition('/')[2]}") else None


def config_concepts(config: str) -> tuple[str, ...]:
    """The concepts that a config gathers; knows the configs of both repositories and of the sandbox.

    Raises:
        UnknownConfigError: the config is unknown; the message suggests similar ones.
        InputError: `general`, which has no concept.
    """
    if config == GENERAL:
        raise InputError(
            f"config {GENERAL!r} does not test a concept; its prompts come with questions instead. Use 'igmu "
            f"generate --config {GENERAL}' and 'igmu score --config {GENERAL}', or read the prompts with "
            f"igmu_data.load.load_bench({GENERAL!r})."
        )
    if config in sandbox_configs():
        return sandbox_configs()[config]
    if (name := config.replace(".", "/", 1)) in packaged() and not own_files():
        return (name,)  # without reading the others
    known = {**configs(restricted=True), **configs()}
    if config.partition(".")[0] == SANDBOX:
        small = ", ".join(sandbox_configs())
        raise UnknownConfigError(config, sandbox_configs(), f"The sandbox configs are {small}.")
    if config.partition(".")[0] not in known:
        known |= sandbox_configs()
    if config not in known:
        raise UnknownConfigError(config, known, HINT)
    return known[config]
