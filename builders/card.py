"""The text of the dataset cards: `dataset_card.md` with its tables filled in from the rows, and `eval.yaml`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from igmu_data.attacks import families, load
from igmu_data.configs import sandbox_configs
from igmu_data.errors import CorpusError
from igmu_data.markdown import table
from igmu_data.rows import VERSION
from igmu_data.sandbox.world import SIDE, world
from igmu_data.schema import COLUMNS, SPLITS, Row, features
from igmu_data.taxonomy import ALL, RESTRICTED_DOMAIN, concept

TEMPLATE: Final = Path(__file__).resolve().parent.parent / "dataset_card.md"
REPO: Final = {False: "igmu/bench", True: "igmu/bench-nsfw"}
_INTRO: Final = {
    False: "Prompts for measuring whether an image generator has **forgotten** a concept (a church, a painter's style, "
    "a person), what it lost on the way, and whether a rewritten prompt brings the concept back.",
    True: "The restricted part of [igmu/bench](https://huggingface.co/datasets/igmu/bench): prompts, and only prompts, "
    "for measuring whether an image generator has forgotten nudity of adults or violence. Mild by design; every person "
    "in it is an adult.",
}
_POLICY: Final = {
    False: "The `nsfw` domain is kept in a gated repository of its own, `igmu/bench-nsfw`, as prompts only.",
    True: "This repository is gated; it holds prompts only.",
}
_WORLD: Final = (
    "{configs}: a small benchmark of the same kind for a world that can be drawn by code ({objects} objects, {styles} "
    "artists' styles and the plain one, {settings} settings, {side}×{side} pixels), so that it is known what a picture "
    "shows: {counts}. In the column `image` is what the packaged original model of that world draws with the first "
    "seed. This model, versions of it that were made to forget {tasks}, and a detector come with `pip install igmu` "
    "and need no network. What is measured there tells how far a metric is to be trusted, and nothing about any other "
    "model."
)


def header(rows: Sequence[Row], *, restricted: bool) -> dict[str, Any]:
    """The descriptive part of the card's YAML."""
    n = len(rows)
    size = "n<1K" if n < 1000 else "1K<n<10K" if n < 10_000 else "10K<n<100K"
    out: dict[str, Any] = {
        "pretty_name": "igmu: machine unlearning in image generation" + (" (restricted)" if restricted else ""),
        "license": "cc-by-4.0",
        "language": sorted({r.language for r in rows}),
        "task_categories": ["text-to-image"],
        "size_categories": [size],
        "tags": ["machine-unlearning", "concept-erasure", "benchmark", "evaluation", "croissant"],
    }
    if restricted:
        # This tag turns the dataset viewer off for the whole repository, which is why the domain has its own.
        out["tags"].append("not-for-all-audiences")
        out["extra_gated_prompt"] = (
            "These prompts exist to measure unlearned image generators. By asking for access you agree to use them for "
            "evaluation only and to publish no explicit image drawn from them."
        )
    return out


def body(rows: Sequence[Row], *, restricted: bool, miniature: str = "") -> str:
    """The Markdown of the card.

    Args:
        rows: of the corpus, without those of the miniature world.
        restricted: whether it is the gated part.
        miniature: the section on the miniature world, where the repository has it.
    """
    example = "nsfw.nudity" if restricted else "object.church"
    values = {
        "title": REPO[restricted],
        "intro": _INTRO[restricted],
        "repo": REPO[restricted],
        "example": example,
        "default": RESTRICTED_DOMAIN if restricted else ALL,
        "version": VERSION,
        "counts": _counts(rows),
        "config_examples": "`nsfw`, `nsfw.nudity`, `nsfw.violence`"
        if restricted
        else "`all`, `object` (domain), `object.structure` (family), `object.church` (concept)",
        "concepts_table": _concepts(rows),
        "attacks_table": _attacks(rows),
        "columns_table": _columns(),
        "policy_note": _POLICY[restricted],
        "miniature": miniature and f"{miniature}\n\n",
    }
    return fill(TEMPLATE.read_text(encoding="utf-8"), values)


def world_section(rows: Sequence[Row], n_pictures: Mapping[str, int]) -> str:
    """What the card of the corpus says about its miniature world.

    Args:
        rows: the prompts of that world.
        n_pictures: labelled pictures by split.
    """
    counts = " and ".join(f"{n:,} {split}" for split, n in n_pictures.items())
    return (
        f"### Miniature world\n\n{_world(rows)} `{ALL}` does not hold these rows.\n\n"
        f"`sandbox_detector`: {counts} renders of that world, each labelled with its object or with `none`, for "
        "training and measuring content detectors."
    )


def world_header(rows: Sequence[Row]) -> dict[str, Any]:
    """The descriptive part of the YAML of the repository inside the package."""
    given = header(rows, restricted=False)
    tags = [tag for tag in given["tags"] if tag != "croissant"]
    return given | {"pretty_name": "igmu: the miniature world", "tags": tags}


def world_body(repo: str, rows: Sequence[Row]) -> str:
    """The Markdown of that repository's card."""
    return (
        f"# {repo}\n\n{_world(rows)}\n\n"
        "```python\nfrom igmu_data.load import load_bench\n\n"
        'church = load_bench("sandbox.church")  # splits: forget, retain, adversarial\n```\n\n'
        f"{_concepts(rows)}\n\n"
        "Columns, attack families, content policy and licence are those of "
        f"[{REPO[False]}](https://huggingface.co/datasets/{REPO[False]}), which holds these rows too.\n"
    )


def _world(rows: Sequence[Row]) -> str:
    n = Counter(r.split for r in rows)
    here = world()
    return _WORLD.format(
        configs=", ".join(f"`{name}`" for name in sandbox_configs()),
        objects=len(here.objects),
        styles=len(here.styles),
        settings=len(here.settings),
        side=SIDE,
        counts=f"{len(rows):,} prompts ({', '.join(f'{n[s]:,} {s}' for s in SPLITS)})",  # type: ignore[index]
        tasks=" or ".join(f"`{name}`" for name in here.tasks),
    )


def fill(template: str, values: Mapping[str, str]) -> str:
    """Replace every `{{name}}`.

    Raises:
        CorpusError: a place without a value, or a value without a place.
    """
    places = set(re.findall(r"\{\{(\w+)\}\}", template))
    if places != set(values):
        raise CorpusError(f"dataset_card.md and its values do not fit: {sorted(places ^ set(values))}")
    return re.sub(r"\{\{(\w+)\}\}", lambda m: values[m[1]], template)


def _counts(rows: Sequence[Row]) -> str:
    n = Counter(r.split for r in rows)
    concepts = len({r.concept for r in rows})
    parts = ", ".join(f"{n[s]:,} {s}" for s in SPLITS)  # type: ignore[index]
    return f"Version {VERSION}: {concepts} concepts, {len(rows):,} prompts ({parts}), five seeds each."


def _concepts(rows: Sequence[Row]) -> str:
    counts: dict[tuple[str, str, str], Counter[str]] = {}
    for row in rows:
        counts.setdefault((row.concept, row.family, row.scope), Counter())[row.split] += 1
    return table(
        ["concept", "family", "scope", *SPLITS],
        [
            [f"`{name}`", family, scope, *(n[s] for s in SPLITS)]
            for (name, family, scope), n in sorted(counts.items())
        ],
    )


def _attacks(rows: Sequence[Row]) -> str:
    n = Counter(r.attack_family for r in rows if r.attack_family)
    infos = [load(f).INFO for f in families()]
    listed = table(
        ["family", "what it does", "what becomes of “a church”", "rows"],
        [[f"`{i.family}`", i.summary, i.example, f"{n[i.family]:,}"] for i in infos],
    )
    without = "".join(f"\n- `{name}`: {reason}" for name, reason in _left_out({r.concept for r in rows}))
    note = f"\n\nFamilies that make no sense for a concept:\n{without}" if without else ""
    return f"{listed}{note}"


def _left_out(concepts: Collection[str]) -> list[tuple[str, str]]:
    """Which families make no sense for which concepts, with the reason."""
    found: dict[tuple[str, str], list[str]] = {}
    for name in sorted(concepts):
        for family, reason in concept(name).without.items():
            found.setdefault((family, reason), []).append(name)
    return [(f"{family}` for `{'`, `'.join(names)}", reason) for (family, reason), names in sorted(found.items())]


def _columns() -> str:
    kinds = features()
    own = {"image": "a picture of the prompt drawn with the first seed, where the build has one; else null"}
    described = own | {k: f.description or "" for k, f in Row.model_fields.items()}
    return table(
        ["column", "type", "meaning"],
        [[f"`{c}`", getattr(kinds[c], "dtype", "list of int64"), described[c]] for c in COLUMNS],
    )


def eval_yaml(rows: Sequence[Row], *, restricted: bool) -> str:
    """`eval.yaml`: one task per headline, for the leaderboard on the dataset's page."""
    import yaml

    domains = sorted({r.domain for r in rows})
    tasks = domains if restricted else [ALL, *domains]
    return str(
        yaml.safe_dump(
            {
                "name": REPO[restricted].split("/")[1].replace("bench", "igmu"),
                "description": "forget_score of an unlearned image generator: harmonic mean of forgetting, robustness, "
                "preservation, alignment and quality; 0 to 1, higher is better",
                "evaluation_framework": "igmu",
                "tasks": [{"id": f"forget_score_{t}", "config": t, "split": "forget"} for t in tasks],
            },
            sort_keys=False,
            width=120,
        )
    )
