"""Reads the output of the scripts of two other benchmarks: UnlearnCanvas's answer sets and HUB's task folders.

- `unlearncanvas`: `<Style>_<Object>_seed<k>.jpg`, every style with every object. An image is judged twice, for its
  style and for its object, so it has two entries; the entry outside the target's domain has the probe `cross-domain`,
  and only accuracies count it.
- `hub`: `images/<task>/<method>/<target>/<seed>/<k>.jpg`. The given folder is that of a method in any of the tasks; the
  method's folders in the other tasks are found from there. The images of two models are paired by their number in the
  task.

Conventions: a name means the concept with this name, ignoring accents, spaces and signs. Names that are in neither the
taxonomy nor UnlearnCanvas's own lists, and names that fit two concepts, are refused.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from igmu_data.errors import InputError, MetadataError, UnknownLabelError
from igmu_data.files import read_text
from igmu_data.folding import fold
from igmu_data.taxonomy import all_concepts
from igmu_metrics.contract import CROSS
from igmu_metrics.generations import Generations

UNLEARNCANVAS: Final = "unlearncanvas"
HUB: Final = "hub"
NONE: Final = "style/seed-images"
"""UnlearnCanvas's photographs without a style, `Seed_Images`: a class of its classifier, but not a style."""
_STYLES: Final = (
    "Abstractionism Artist_Sketch Blossom_Season Blue_Blooming Bricks Byzantine Cartoon Cold_Warm Color_Fantasy "
    "Comic_Etch Crayon Crypto_Punks Cubism Dadaism Dapple Defoliation Dreamweave Early_Autumn Expressionism Fauvism "
    "Foliage_Patchwork French Glowing_Sunset Gorgeous_Love Greenfield Impasto Impressionism Ink_Art Joy Liquid_Dreams "
    "Magic_Cube Meta_Physics Meteor_Shower Monet Mosaic Neon_Lines On_Fire Palette_Knife Pastel Pencil_Drawing Picasso "
    "Pointillism Pop_Art Rainwash Realistic_Watercolor Red_Blue_Ink Rust Seed_Images Sketch Sponge_Dabbed "
    "Structuralism Superstring Surrealism Techno Ukiyoe Van_Gogh Vibrant_Flow Warm_Love Warm_Smear Watercolor Winter"
).split()
_OBJECTS: Final = (
    "Architectures Bears Birds Butterfly Cats Dogs Fishes Flame Flowers Frogs Horses Human Jellyfish Rabbits "
    "Sandwiches Sea Statues Towers Trees Waterfalls"
).split()
_NAME: Final = re.compile(r"(?P<style>\w+)_(?P<object>[^\W_]+)_seed(?P<seed>\d{1,18})")
_CALLED: Final = {"fishes": "fish"}  # plurals that no concept's file has

# Of HUB: by task, the split of its images and how many are generated of a prompt.
_TASKS: Final = {
    "target_image": ("forget", 1),
    "general_image": ("retain", 1),
    "pinpoint_ness": ("retain", 10),
    "multilingual_robustness": ("adversarial", 1),
    "attack_robustness": ("adversarial", 1),
}
_PLAIN: Final = "Original"  # the language of multilingual_robustness that is no translation
_MOST: Final = 10**16  # an image's place: with the run's seed before it, it has to be a seed


def called(name: str, domain: str = "") -> list[str]:
    """Ids of the concepts with this label, plural, adjective, synonym or slug.

    >>> called("Van_Gogh"), called("Ukiyoe"), called("Fishes", "object"), called("Crypto_Punks")
    (['style/van-gogh'], ['style/ukiyo-e'], ['object/fish'], [])
    """
    plain = _plain(name)
    plain = _CALLED.get(plain, plain)
    return [
        item.id
        for item in all_concepts().values()
        if domain in ("", item.domain) and plain in {_plain(text) for text in (*item.names, item.slug)}
    ]


def _plain(name: str) -> str:
    return "".join(re.findall(r"[^\W_]+", fold(name)))


def unlearncanvas(folder: Path, images: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Two entries for each image, for its style and for its object; the target is not known yet.

    Args:
        folder: one model's answer set.
        images: its files.

    Raises:
        MetadataError: a name that is not `<Style>_<Object>_seed<k>`.
        UnknownLabelError: an unknown style or object.
        InputError: a name that fits two concepts.
    """
    known: dict[tuple[str, str], str] = {}
    for path in images:
        match = _NAME.fullmatch(path.stem)
        if match is None:
            raise MetadataError(
                f"{path}: the name does not have the form <Style>_<Object>_seed<k>{path.suffix}. Rename the file, or "
                "use another layout ('igmu score --layout')."
            )
        style, thing = match["style"], match["object"]
        for domain, name in (("style", style), ("object", thing)):
            if (domain, name) not in known:
                known[domain, name] = _class(name, domain, path)
            yield {
                "id": f"{style}_{thing}/{domain}",
                "seed": int(match["seed"]),
                "split": "retain",
                "path": path,
                "prompt": f"A {thing} image in {style.replace('_', ' ')} style.",
                "own_concept": known[domain, name],
                "own_name": name.replace("_", " "),
            }


def _class(name: str, domain: str, path: Path) -> str:
    names = {"style": _STYLES, "object": _OBJECTS}[domain]
    if found := called(name, domain):
        return _only(name, found, path)
    if name not in names:
        known = {*names, *(i.label for i in all_concepts().values() if i.domain == domain)}
        hint = f"It appears in {path}. For your own concept, write a concept file and use --concepts."
        raise UnknownLabelError(name, known, hint)
    return f"{domain}/{name.lower().replace('_', '-')}"


def _only(name: str, found: Sequence[str], where: Path) -> str:
    if len(found) > 1:
        raise InputError(
            f"{where}: {name!r} is the name of several concepts, {' and '.join(found)}. Rename one of them."
        )
    return found[0]


def hub(folder: Path, files: Callable[[Path], Sequence[Path]]) -> Iterator[dict[str, Any]]:
    """The images of a method in every task of HUB.

    Args:
        folder: of the method in one of the tasks, `images/target_image/esd`.
        files: gives the images below a folder.

    Raises:
        MetadataError: a folder elsewhere, an image that is not `<target>/<seed>/<k>`, or missing pinpoint-ness prompts.
    """
    root = folder.resolve().parent.parent
    if folder.resolve().parent.name not in _TASKS:
        raise MetadataError(
            f"{folder} is not a method's folder in one of HUB's tasks ({', '.join(_TASKS)}). Specify such a folder, "
            "for example images/target_image/esd; igmu finds the method's other tasks next to it."
        )
    nouns: dict[str, list[str]] = {}
    found = []
    for task in _TASKS:
        home = root / task / folder.resolve().name
        for path in files(home) if home.is_dir() else ():
            found.append((task, path, path.relative_to(home)))
    plain = {(p.parts[0], p.parts[1], p.stem) for task, _, p in found if p.parts[2:3] == (_PLAIN,)}
    for task, path, place in found:
        split, each = _TASKS[task]
        target, seed, *language = place.parts[:-1] if len(place.parts) > 2 else ("", "")
        if len(language) != (task == "multilingual_robustness") or not (seed.isdecimal() and place.stem.isdecimal()):
            inner = "<target>/<seed>/<language>/<k>" if task == "multilingual_robustness" else "<target>/<seed>/<k>"
            raise MetadataError(
                f"{path} does not match the layout {inner} of the task {task}. Move it elsewhere, or use another "
                "layout ('igmu score --layout')."
            )
        number = int(place.stem)
        if number >= _MOST or len(seed) > 2:
            raise MetadataError(
                f"{path}: HUB does not have an image number {number} with seed {seed}. Move the file elsewhere."
            )
        name = "/".join((task, target, *language, str(number // each)))
        record = {"id": name, "seed": int(seed) * each + number % each, "split": split, "path": path, "concept": target}
        source = f"multilingual_robustness/{target}/{_PLAIN}/{number}"
        if language == [_PLAIN]:
            record["split"] = "forget"
        elif split == "adversarial":
            told = (target, seed, place.stem) in plain
            record |= {"attack_family": (language or [task])[0].lower(), "attack_source_id": source if told else None}
        elif task == "pinpoint_ness":
            if target not in nouns:
                nouns[target] = _nouns(root.parent / "prompts" / task / f"{target}.csv", path)
            if number // each >= len(nouns[target]):
                raise MetadataError(
                    f"{path} belongs to noun number {number // each + 1}, but HUB lists only {len(nouns[target])} "
                    f"nouns for {target}. Move the file elsewhere."
                )
            noun = nouns[target][number // each]
            ids = called(noun)
            record |= {
                "probe": "near",
                "own_concept": _only(noun, ids, path) if ids else f"noun/{'-'.join(fold(noun).split())}",
                "own_name": noun,
                "prompt": f"a photo of {noun}",
            }
        yield record


def _nouns(path: Path, image: Path) -> list[str]:
    """What the prompts of HUB's pinpoint-ness ask for, in their order."""
    if not path.is_file():
        raise MetadataError(
            f"{image}: the file {path}, which lists what the image should show, is missing. Copy HUB's prompts there."
        )
    records = list(csv.DictReader(io.StringIO(read_text(path))))
    if not all(record.get("noun") for record in records):
        raise MetadataError(f"{path}: column 'noun' is missing or has empty cells. Use the original file from HUB.")
    return [str(record["noun"]) for record in records]


def of_target(
    table: Generations, layout: str, target: str, *, include_none: bool, include_target_styled: bool
) -> Generations:
    """The part of such a folder that is scored for a target, with splits and probes.

    Args:
        table: from `unlearncanvas` or `hub`; for other layouts, it is returned unchanged.
        layout: of the folder.
        target: the concept to forget.
        include_none: whether UnlearnCanvas's photographs without a style count as a style to retain.
        include_target_styled: whether images of the target also count in the other domain.

    Raises:
        MetadataError: no image in the folder belongs to the target.
    """
    if layout == HUB:
        names = sorted(set(table["concept"].tolist()))
        mine = [name for name in names if target in called(name)]
        if not mine:
            raise _asks(target, names)
        _only(mine[0], called(mine[0]), Path(str(table["path"][0])))
        return table.where(np.isin(table["concept"], mine))
    if layout != UNLEARNCANVAS:
        return table
    own, paths = table["own_concept"], np.array([str(path) for path in table["path"].tolist()])
    asks = own == target
    if not asks.any():
        raise _asks(target, sorted({name for name in own.tolist() if name.partition("/")[0] == target.split("/")[0]}))
    cross = np.char.partition(own, "/")[:, 0] != target.partition("/")[0]
    kept = np.ones(len(table), dtype=np.bool_) if include_none else own != NONE
    if not include_target_styled:
        kept &= ~(cross & np.isin(paths, paths[asks]))
    split = np.where(asks, "forget", "retain")
    found = table.with_columns(split=split, probe=np.where(cross, CROSS, "")).where(kept)
    return found.with_facts(include_none=include_none, include_target_styled=include_target_styled)


def _asks(target: str, names: Sequence[str]) -> MetadataError:
    told = f"{', '.join(names[:8])}{' …' if len(names) > 8 else ''}"
    return MetadataError(
        f"none of the images belong to {target}; they belong to {told}. Use the config of one of these concepts."
    )
