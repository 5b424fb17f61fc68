"""The text of the dataset cards: `dataset_card.md` with its tables filled in from the rows, and `eval.yaml`."""

from __future__ import annotations

import re
import tomllib
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from builders.review import sample
from igmu_data.attacks import families, load
from igmu_data.configs import GENERAL, sandbox_configs
from igmu_data.errors import CorpusError
from igmu_data.general import SPLIT as GENERAL_SPLIT
from igmu_data.general import GeneralRow, general_rows
from igmu_data.general import features as general_features
from igmu_data.lengths import LIMIT
from igmu_data.markdown import table
from igmu_data.rows import VERSION
from igmu_data.rows.rounds import PROTOCOLS
from igmu_data.sandbox.world import SIDE, world
from igmu_data.schema import (
    ASIDE,
    COMPOSITION,
    IN_PROMPT,
    NEGATION,
    REGISTERS,
    ROUNDS,
    SPLITS,
    SUPERCLASS,
    Row,
    features,
)
from igmu_data.taxonomy import ALL, RESTRICTED_DOMAIN, concept

ROOT: Final = Path(__file__).resolve().parent.parent
CITATION: Final = ROOT / "CITATION.cff"
TEMPLATE: Final = ROOT / "dataset_card.md"
REPO: Final = {False: "igmu/bench", True: "igmu/bench-nsfw"}
_INTRO: Final = {
    False: "Prompts for measuring whether an image generator has **forgotten** a concept (a church, a painter's style, "
    "a person), what else was damaged, and whether a rewritten prompt brings the concept back.",
    True: "The restricted part of [igmu/bench](https://huggingface.co/datasets/igmu/bench): prompts, without images, "
    "for measuring whether an image generator has forgotten restricted content, such as nudity of adults or violence. "
    "The prompts are mild by design, and every person in them is an adult. To load them, accept the terms on this page "
    "and log in with `hf auth login`.",
}
_GATHERED: Final = {
    False: "`all` contains every domain except `nsfw`, which is in the gated repository "
    "[igmu/bench-nsfw](https://huggingface.co/datasets/igmu/bench-nsfw): to load its prompts, accept the terms on that "
    "page and log in with `hf auth login`.",
    True: "All other domains are in [igmu/bench](https://huggingface.co/datasets/igmu/bench).",
}
_POLICY: Final = {
    False: "The `nsfw` domain is in a separate, gated repository, `igmu/bench-nsfw`, without images.",
    True: "This repository is gated and contains only prompts.",
}
_SIZES: Final = (("n<1K", 1000), ("1K<n<10K", 10_000), ("10K<n<100K", 100_000), ("100K<n<1M", 1_000_000))
PROBES: Final = {
    "direct": "names the concept: a model that has forgotten it generates something else",
    NEGATION: "names the concept to exclude it (“a village without a church”): the concept should not appear",
    COMPOSITION: "asks for the concept next to something else, which must stay",
    "near": "asks for something that looks similar but is different: over-erasure appears here first",
    "far": "asks for other concepts of the benchmark",
    IN_PROMPT: "asks for the attribute and for something else, which must stay",
    SUPERCLASS: "asks for a broader term that includes the concept: other kinds must stay",
    "attack": "asks for the concept without its label: see the families",
}
REGISTER_KINDS: Final = {
    "sentence": "one sentence",
    "short": "two to six words",
    "tags": "a comma-separated list with quality words, typical of Stable Diffusion users",
    "long": "forty to ninety words, typical of SDXL and FLUX users",
}
_WORLD: Final = (
    "The configs {configs} are a small benchmark for a world that code can render ({objects} objects, "
    "{styles} artists' styles and a plain style, {settings} settings, {side}×{side} pixels), so the content of every "
    "image is known. They have {counts}. The column `image` contains the image that the packaged original model "
    "generates with the first seed. This model, versions of it that have forgotten {tasks}, and a detector are part of "
    "`pip install igmu` and need no network. Results in the sandbox show how far a metric can be trusted, but nothing "
    "about any other model."
)


def header(rows: Sequence[Row], *, restricted: bool) -> dict[str, Any]:
    """The descriptive part of the card's YAML."""
    n = len(rows)
    size = next(name for name, end in _SIZES if n < end)
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
            "These prompts exist to measure unlearned image generators. By requesting access you agree to use them "
            "only for evaluation, and not to publish explicit images generated from them."
        )
    return out


def body(
    rows: Sequence[Row], columns: Sequence[str], *, restricted: bool, general: bool = False, miniature: str = ""
) -> str:
    """The Markdown of the card.

    Args:
        rows: of the corpus, without those of the sandbox.
        columns: of these rows in the repository.
        restricted: whether it is the gated part.
        general: whether the repository has the general prompts.
        miniature: the section on the sandbox, if the repository has it.
    """
    example = "nsfw.nudity" if restricted else "object.church"
    short = [r for r in rows if r.round <= PROTOCOLS["lite"]]
    values = {
        "title": REPO[restricted],
        "intro": _INTRO[restricted],
        "repo": REPO[restricted],
        "example": example,
        "default": RESTRICTED_DOMAIN if restricted else ALL,
        "gathered": _GATHERED[restricted],
        "repository": urls()["Repository"],
        "documentation": urls()["Documentation"],
        "version": VERSION,
        "counts": _counts(rows),
        "config_examples": "`nsfw`, `nsfw.nudity`, `nsfw.violence`"
        if restricted
        else "`all`, `object` (domain), `object.structure` (family), `object.church` (concept)",
        "concepts_table": _concepts(rows),
        "attacks_table": _attacks(rows),
        "columns_table": _columns(columns),
        "policy_note": _POLICY[restricted],
        "domains_table": _domains(rows),
        "probes_table": _probes(rows),
        "registers_table": _registers(rows),
        "rounds": str(ROUNDS),
        "lite": str(PROTOCOLS["lite"]),
        "lite_rows": f"{len(short):,}",
        "aside": ", ".join(f"`{p}`" for p in ASIDE),
        "too_long": f"{sum(r.n_tokens_clip > LIMIT for r in rows):,}",
        "sample": _sample(),
        "bibtex": bibtex(),
        "general": f"{_general()}\n\n" if general else "",
        "miniature": miniature and f"{miniature}\n\n",
    }
    return fill(TEMPLATE.read_text(encoding="utf-8"), values)


def world_section(rows: Sequence[Row], n_images: Mapping[str, int]) -> str:
    """What the card of the corpus says about its sandbox.

    Args:
        rows: the prompts of that world.
        n_images: labelled images by split.
    """
    counts = " and ".join(f"{n:,} {split}" for split, n in n_images.items())
    return (
        f"### Sandbox\n\n{_world(rows)} The config `{ALL}` does not include these rows.\n\n"
        f"The config `sandbox_detector` has {counts} renders of that world, each labelled with its object or with "
        "`none`. Use them to train and measure detectors."
    )


def world_header(rows: Sequence[Row]) -> dict[str, Any]:
    """The descriptive part of the YAML of the repository inside the package."""
    given = header(rows, restricted=False)
    tags = [tag for tag in given["tags"] if tag != "croissant"]
    return given | {"pretty_name": "igmu: the sandbox", "tags": tags}


def world_body(repo: str, rows: Sequence[Row]) -> str:
    """The Markdown of that repository's card."""
    return (
        f"# {repo}\n\n{_world(rows)}\n\n"
        "```python\nfrom igmu_data.load import load_bench\n\n"
        'church = load_bench("sandbox.church")  # splits: forget, retain, adversarial\n```\n\n'
        f"{_concepts(rows)}\n\n"
        "Columns, attack families, content policy and licence are the same as in "
        f"[{REPO[False]}](https://huggingface.co/datasets/{REPO[False]}), which also contains these rows.\n"
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


def urls() -> dict[str, str]:
    """The project's addresses by label, as `[project.urls]` of pyproject.toml has them."""
    return dict(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"])


def citation() -> dict[str, Any]:
    """What CITATION.cff says: the corpus, and as `preferred-citation` the paper."""
    import yaml

    return dict(yaml.safe_load(CITATION.read_text(encoding="utf-8")))


def bibtex() -> str:
    """The entries of paper and corpus."""
    own = citation()
    paper = own["preferred-citation"]
    authors = " and ".join(f"{a['family-names']}, {a['given-names']}" for a in paper["authors"])
    by = " and ".join(f"{{{a['name']}}}" for a in own["authors"])
    return (
        f"@inproceedings{{liu{paper['year']}rethinking,\n"
        f"  title     = {{{paper['title']}}},\n  author    = {{{authors}}},\n"
        f"  booktitle = {{{paper['collection-title']}}},\n  year      = {{{paper['year']}}},\n"
        f"  note      = {{{paper['identifiers'][0]['value']}}}\n}}\n\n"
        f"@misc{{igmu,\n  title  = {{{own['title']}}},\n  author = {{{by}}},\n"
        f"  year   = {{{own['date-released'].year}}},\n  note   = {{version {VERSION}}}\n}}"
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
        [[f"`{name}`", family, scope, *(n[s] for s in SPLITS)] for (name, family, scope), n in sorted(counts.items())],
    )


def _domains(rows: Sequence[Row]) -> str:
    concepts, counts = defaultdict(set), Counter(r.domain for r in rows)
    for row in rows:
        concepts[row.domain].add(row.concept)
    return table(
        ["domain", "concepts", "rows"], [[f"`{d}`", len(concepts[d]), f"{counts[d]:,}"] for d in sorted(counts)]
    )


def _probes(rows: Sequence[Row]) -> str:
    n = Counter((r.split, r.probe) for r in rows)
    return table(
        ["split", "probe", "what it tests", "rows"],
        [[s, p, PROBES[p], f"{n[s, p]:,}"] for s in SPLITS for p in PROBES if n[s, p]],  # type: ignore[index]
    )


def _registers(rows: Sequence[Row]) -> str:
    n = Counter(r.register for r in rows if r.probe == "direct")
    return table(
        ["register", "what it is", "share of direct rows"],
        [[r, REGISTER_KINDS[r], f"{n[r] / max(1, n.total()):.0%}"] for r in REGISTERS],
    )


def _attacks(rows: Sequence[Row]) -> str:
    n = Counter(r.attack_family for r in rows if r.attack_family)
    infos = [load(f).INFO for f in families()]
    listed = table(
        ["family", "what it does", "example for “a church”", "rows"],
        [[f"`{i.family}`", i.summary, i.example, f"{n[i.family]:,}"] for i in infos],
    )
    left = "\n".join(f"- `{which}: {reason}" for which, reason in _left_out({r.concept for r in rows}))
    return listed + (
        f"\n\nIf a family has no rows for a concept, or fewer than 40, the concept file states the reason:\n\n{left}"
        if left
        else ""
    )


def _left_out(concepts: Collection[str]) -> list[tuple[str, str]]:
    """Which families make no sense for which concepts, with the reason."""
    found: dict[tuple[str, str], list[str]] = {}
    for name in sorted(concepts):
        for family, reason in concept(name).without.items():
            found.setdefault((family, reason), []).append(name)
    return [(f"{family}` for `{'`, `'.join(names)}`", reason) for (family, reason), names in sorted(found.items())]


def _columns(columns: Sequence[str]) -> str:
    kinds = features(columns)
    own = {"image": "an image of the prompt with the first seed, if the build has one; otherwise null"}
    described = own | {k: f.description or "" for k, f in Row.model_fields.items()}
    return table(["column", "type", "meaning"], [[f"`{c}`", _kind(kinds[c]), described[c]] for c in columns])


def _general() -> str:
    rows = general_rows()
    kinds = general_features()
    n = sum(len(row.questions) for row in rows)
    listed = table(
        ["column", "type", "meaning"],
        [[f"`{c}`", _kind(kinds[c]), GeneralRow.model_fields[c].description or ""] for c in kinds],
    )
    return (
        f"### General prompts\n\nThe config `{GENERAL}`, split `{GENERAL_SPLIT}`, has {len(rows):,} prompts about "
        f"{len({r.theme for r in rows})} themes that are not meant to be unlearned (people at work, food, streets, "
        f"weather …). These prompts measure the general ability of a model, with {n:,} yes/no questions for "
        "vision-language judges. General prompts are not part of any concept's retain rows. Some general prompts "
        "mention things that are also concepts (a dog, snow), so leave out the prompts that name the concept that your "
        f"model has forgotten.\n\n{listed}"
    )


def _kind(kind: Any) -> str:
    return str(getattr(kind, "dtype", None) or f"list of {kind.feature.dtype}")


def _sample() -> str:
    """How many rows independent readers found wrong, in the newest sample."""
    found = sample.latest()
    return (
        f"On {found.date}, readers who had not written the rows ({found.reader}) read a random sample of "
        f"{found.n_read:,} rows from all domains and languages. They found {found.n_wrong} of them "
        f"({found.share:.1%}) wrong, for any reason (a different concept shown, a leak in the stripped prompt, a wrong "
        "translation, unnatural English). These rows were corrected. `builders/review/read` contains this sample and "
        "earlier samples of drafts, with the errors found in each."
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
