"""Notes about the images for readers of scores, and checks that the images agree with their metadata.

Conventions: files are copies if they are equal byte for byte. **Copies are reported, but not removed.** Leaving out
copies across the seeds of a prompt would take weight from the prompts that have them: a model that answers half of its
prompts with one image each, and shows the concept there, would seem to fail in a sixth of all cases (with five seeds).
So every prompt keeps its weight, and the interval counts it once, because its unit is the prompt. Distances and
diversity measure precisely that a model repeats itself. And a model that answers several prompts with one image has
collapsed, which its score must show.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from igmu_data.errors import ChecksumError, EmptyInputError, MetadataError
from igmu_data.numerals import counted, rounding
from igmu_data.schema import LARGEST_SEED
from igmu_metrics.contract import CROSS
from igmu_metrics.generations import BLANK, MISSING, ORIGINAL, Array, Generations
from igmu_metrics.images.layouts import unpairable
from igmu_metrics.images.sequential import COLUMN, FILE, WRITTEN_AGAIN

_MODELS = (("unlearned", ""), ("original", ORIGINAL))
_SEEDS = 5  # of a row that a message shows
_COPIED = 0.5  # share of images that are the original's, above which they are hardly another model's
_HARDLY, _CLEARLY = 0.1, 0.25  # shares of images that show the concept: of the original, and how many more
_FEWEST = 5  # more images that show it
_SAME = "have the same bytes as the original's image of the same prompt and seed"
_EXCHANGED = "are the two exchanged?"
DOUBTS = (_SAME, _EXCHANGED)  # how the notes of `doubts` end


def generated(table: Generations) -> dict[str, str]:
    """For the signature: the settings according to the metadata of the unlearned model's images.

    The original's are the same (`require_alike`) or not recorded. Settings that change images only by rounding are
    given for both models and ignored when scores are compared. If prompts differ in a setting (lists that set it row by
    row), the digest of rows covers its values, and their number is given.
    """
    told = {"generated": _ways(table, "", "generated_with")}
    rounded = [_ways(table, suffix, "rounded_with") for suffix in ("", ORIGINAL)]
    if any(rounded):
        told["generated.rounding"] = rounded[0] if rounded[0] == rounded[1] else " against ".join(rounded)
    return {name: how for name, how in told.items() if how}


def _ways(table: Generations, suffix: str, name: str) -> str:
    ways = sorted(set(table[name + suffix].tolist()) - {""}) if name + suffix in table else []
    if len(ways) < 2:
        return "".join(ways)
    values: dict[str, set[str]] = {}
    for part in ", ".join(ways).split(", "):
        setting, _, value = part.partition(" ")
        values.setdefault(setting, set()).add(value)
    told = {setting: some.pop() if len(some) == 1 else f"{len(some)} values" for setting, some in values.items()}
    return ", ".join(f"{setting} {value}".rstrip() for setting, value in told.items())


def images_differ(table: Generations) -> dict[str, str]:
    """For the signature: the kinds of files of both models, if they differ."""
    told = [_files(table, suffix) for suffix in ("", ORIGINAL)]
    return {} if len(set(told)) == 1 else {"images": f"{told[0]} against {told[1]}"}


def _files(table: Generations, suffix: str) -> str:
    """`PNG 512×512 RGB` if all files of a model are, else the kinds that there are."""
    names = [f"{name}{suffix}" for name in ("format", "width", "height", "mode")]
    kinds = sorted({tuple(g.values()) for g in table.records(*names)}, key=str)
    return " and ".join(f"{form} {width}×{height} {mode}" for form, width, height, mode in kinds)


def notes(table: Generations) -> list[str]:
    """What readers of the scores need to know about the images."""
    table = table.where(table.parts != CROSS)  # their images have entries of their own
    out = [f"the files of the two models differ: {told}" for told in images_differ(table).values()]
    if "truncated" in table and (long := len(set(table.where(np.ma.filled(table["truncated"], False))["id"].tolist()))):
        of = len(set(table["id"].tolist()))
        out.append(f"CLIP read only the beginning of {long} of {of} prompts, which are too long for it")
    for who, suffix in _MODELS:
        status = table[f"status{suffix}"]
        if blank := int((status == BLANK).sum()):
            is_one = "is a single color and counts" if blank == 1 else "are a single color and count"
            what = f"{blank} of the {who} model's {len(table)} images {is_one}"
            out.append(f"{what} as neither forgotten nor retained")
        told = table.where(status != BLANK)
        keys: dict[str, list[tuple[str, int]]] = {}
        for sha, key in zip(told[f"sha256{suffix}"].tolist(), told.keys, strict=True):
            if sha:
                keys.setdefault(sha, []).append(key)
        # The same seed may give the same image for two prompts (a filter blanks what tells them apart); another cannot.
        if n := sum(len({seed for _, seed in of}) - 1 for of in keys.values()):
            own = sum(len(of) - len({row for row, _ in of}) for of in keys.values())
            once = f", {own} of them for the same prompt, which the interval counts once" if own else ""
            are = "is a byte-for-byte copy" if n == 1 else "are byte-for-byte copies"
            out.append(f"{n} of the {who} model's images {are} of an image with a different seed{once}")
        if shared := [prompts for of in keys.values() if len(prompts := {row for row, _ in of}) > 1]:
            n, of_all = len(set().union(*shared)), len(set(told["id"].tolist()))
            out.append(
                f"for {n} of {of_all} prompts, the {who} model generates an image that is identical, byte for byte, to "
                "one of another prompt"
            )
    for who, suffix in _MODELS:
        if (name := f"seed_from{suffix}") in table and (n := int((table[name] != "").sum())):
            how = " and ".join(sorted(set(table[name].tolist()) - {""}))
            of_n = f"{n} of the {who} model's {len(table)} images"
            out.append(f"the {'seed' if n == 1 else 'seeds'} of {of_n} are assumed, not recorded ({how})")
    if same := len(table) - len({(row, seed & LARGEST_SEED) for row, seed in table.keys}):
        seeds = "1 seed" if same == 1 else f"{same} seeds"
        out.append(f"torch cannot distinguish {seeds} from another seed of the same prompt (equal modulo 2^32)")
    return out


def doubts(table: Generations) -> list[str]:
    """Whether the images may be those of other models: copies of the original's, or both models exchanged.

    Copies are counted on forget prompts only: a filter passes on the original's images for all other prompts.
    """
    out, forget = [], table.where(table["split"] == "forget")
    same = (forget["sha256"] == forget[f"sha256{ORIGINAL}"]) & (forget["sha256"] != "") & (forget["status"] != BLANK)
    if (n := int(same.sum())) > _COPIED * len(forget):
        of = f"{n} of {counted(len(forget), 'image')} of the unlearned model for forget prompts"
        out.append(f"{of} {_SAME}")
    if not all(name in table for name in ("present", f"present{ORIGINAL}")):
        return out
    mine, theirs = forget["present"], forget[f"present{ORIGINAL}"]
    clear = ~(np.ma.getmaskarray(mine) | np.ma.getmaskarray(theirs))
    shown, before = (int(np.ma.filled(each, False)[clear].sum()) for each in (mine, theirs))
    n = int(clear.sum())
    if before <= _HARDLY * n and shown - before >= max(_CLEARLY * n, _FEWEST):
        out.append(
            f"the original shows the concept in {before} of {n} images of forget prompts, the unlearned model in "
            f"{shown} of {n}; {_EXCHANGED}"
        )
    return out


def require_pairs(
    unlearned: Generations, original: Generations, *, skip: bool = False, looks: str | None = None
) -> None:
    """Refuse models without a common prompt and seed, and pairs that were generated in different ways.

    Args:
        unlearned: the unlearned model's generations.
        original: the original's.
        skip: accept generations that only one of the models has, if there are others.
        looks: the setting, which says that a run with interim checks generated the images; None if it is not given.

    Raises:
        EmptyInputError: there is no pair; the message gives the seeds (or prompts) that were found and expected.
        MetadataError: a generation has no partner, or its partner was generated with different settings.
    """
    if not set(unlearned.keys) & set(original.keys):  # first, because no skipping helps then
        raise EmptyInputError(_unpaired(unlearned, original))
    sequential = looks is not None or COLUMN in unlearned or COLUMN in original
    if sequential and MISSING not in unlearned.facts and not skip and (lost := unlearned.lacking(original)):
        row, seed = lost[0]
        if COLUMN in unlearned:
            why = f"{FILE} does not show whether igmu run --until asked for them, because it does not list all images "
            cure = (
                "of the folder. Repeat the command of the run, which generates what is missing and completes the list"
            )
        else:
            where = f"{Path(unlearned['path'][0]).parent} contains" if "path" in unlearned else "there is"
            why = f"{where} no {FILE} that shows whether igmu run --until asked for them. 'igmu score --looks' "
            cure = "does not replace its list. If the images are from such a run, copy the file from the run's folder, "
            cure += f"or {WRITTEN_AGAIN}"
        raise MetadataError(
            f"the unlearned model lacks {len(lost)} of the original's {len(original)} images, such as row {row!r}, "
            f"seed {seed}, and {why}{cure}. Otherwise, generate these images, or count them as failed with "
            "'igmu score --on-error skip'."
        )
    require_alike(unlearned.paired(original, skip=skip)[0])


def _unpaired(unlearned: Generations, original: Generations) -> str:
    """Why two models have no pair."""
    for who, table in (("unlearned", unlearned), ("original", original)):
        if not len(table):
            return f"the {who} model has no image of the prompts and seeds to score. Generate these images first."
    where = f"{unlearned['path'][0]}: " if "path" in unlearned else ""
    mine, theirs = (
        {row: [seed for of, seed in keys if of == row] for row, _ in keys}
        for keys in (sorted(unlearned.keys), sorted(original.keys))
    )
    none = f"none of the unlearned model's {len(unlearned)} images has"
    if common := [row for row in mine if row in theirs]:
        found, expected = (", ".join(map(str, seeds[common[0]][:_SEEDS])) for seeds in (mine, theirs))
        told = rounding(mine[common[0]], theirs[common[0]])
        return (
            f"{where}{none} a seed of the original's images: row {common[0]!r} has seed {found}, but the original's "
            f"images have seed {expected}{f' ({told})' if told else ''}. Generate both with the same seeds, or correct "
            "the seeds in the metadata."
        )
    return (
        f"{where}{none} a row of the original's images: it has rows such as {min(mine)!r}, but the original has rows "
        f"such as {min(theirs)!r}. Generate images of both models for the same prompts."
    )


def require_alike(table: Generations) -> None:
    """Refuse pairs that were generated in different ways according to their metadata.

    The scheduler is compared if both images record it.

    Raises:
        MetadataError: with the first such pair and both ways.
    """
    name = "generated_with"
    if name not in table or name + ORIGINAL not in table:
        return
    mine, theirs = table[name], table[name + ORIGINAL]
    ways = dict.fromkeys(zip(mine.tolist(), theirs.tolist(), strict=True))  # few, although there are many pairs
    wrong = {both for both in ways if all(both) and unpairable(*both)}
    pairs = [at for at, both in enumerate(zip(mine.tolist(), theirs.tolist(), strict=True)) if both in wrong]
    if pairs:
        at = pairs[0]
        row, seed = table.keys[at]
        raise MetadataError(
            f"{table['path'][at]}: row {row!r}, seed {seed} was generated with {mine[at]}, but the original's image "
            f"was generated with {theirs[at]} ({len(pairs)} such pairs). Generate both with the same settings."
        )


def require_recorded(table: Generations, sha256: Array) -> None:
    """Refuse a file that differs from the one listed in the metadata.

    Args:
        table: the generations, with what the metadata says of each file.
        sha256: (n,) of the files that were read.

    Raises:
        ChecksumError: the file was changed or exchanged.
    """
    if "recorded_sha256" not in table:
        return
    wrong = np.flatnonzero((table["recorded_sha256"] != "") & (sha256 != "") & (table["recorded_sha256"] != sha256))
    if wrong.size:
        raise ChecksumError(
            f"{table['path'][int(wrong[0])]} is not the file listed in the metadata, because its sha256 differs "
            f"({wrong.size} such files in total). Generate the image again, or correct the metadata."
        )
