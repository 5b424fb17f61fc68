"""What a reader of scores has to know about the images, and which are refused, as their metadata tells of others.

Conventions: files are copies if they are equal byte for byte. **They are named, and stay where they are.** Leaving the
copies of other seeds of a prompt out would take weight from the prompts that have them: a model that answers half of
its prompts with one image each, and shows the concept there, would look as if it failed in a sixth (of five seeds). So
every prompt keeps its weight, and what counts it once is the interval, whose unit is the prompt. Distances and
diversity measure just that a model draws the same again. And a model that answers several prompts with one image has
collapsed: its score has to show that.
"""

from __future__ import annotations

import numpy as np

from igmu_data.errors import ChecksumError, MetadataError
from igmu_data.schema import LARGEST_SEED
from igmu_metrics.contract import CROSS
from igmu_metrics.generations import BLANK, ORIGINAL, Array, Generations

_MODELS = (("unlearned", ""), ("original", ORIGINAL))


def generated(table: Generations) -> dict[str, str]:
    """For the signature: steps, guidance and size by the original's metadata; the unlearned model's are the same.

    What moves images by rounding alone is told of both models, and excused where scores are compared.
    Where prompts differ in it (lists that say it row by row), the digest of rows covers it, and how many ways there are
    is told.
    """
    told = {"generated": _ways(table, ORIGINAL, "generated_with")}
    rounded = [_ways(table, suffix, "rounded_with") for suffix in ("", ORIGINAL)]
    if any(rounded):
        told["generated.rounding"] = rounded[0] if rounded[0] == rounded[1] else " against ".join(rounded)
    return {name: how for name, how in told.items() if how}


def _ways(table: Generations, suffix: str, name: str) -> str:
    ways = sorted(set(table[name + suffix].tolist()) - {""}) if name + suffix in table else []
    return ways[0] if len(ways) == 1 else f"{len(ways)} ways" if ways else ""


def images_differ(table: Generations) -> dict[str, str]:
    """For the signature: what the files of both models are, if these differ as a whole."""
    told = [_files(table, suffix) for suffix in ("", ORIGINAL)]
    return {} if len(set(told)) == 1 else {"images": f"{told[0]} against {told[1]}"}


def _files(table: Generations, suffix: str) -> str:
    """`PNG 512×512 RGB` if all files of a model are, else the kinds that there are."""
    names = [f"{name}{suffix}" for name in ("format", "width", "height", "mode")]
    kinds = sorted({tuple(g.values()) for g in table.records(*names)}, key=str)
    return " and ".join(f"{form} {width}×{height} {mode}" for form, width, height, mode in kinds)


def notes(table: Generations) -> list[str]:
    """What a reader of the scores has to know about the images."""
    table = table.where(table.parts != CROSS)  # their images have entries of their own
    out = [f"the files of the two models differ: {told}" for told in images_differ(table).values()]
    if "truncated" in table and (long := len(set(table.where(np.ma.filled(table["truncated"], False))["id"].tolist()))):
        of = len(set(table["id"].tolist()))
        out.append(f"too long for CLIP, which read their beginning alone: {long} of {of} prompts")
    for who, suffix in _MODELS:
        status = table[f"status{suffix}"]
        if blank := int((status == BLANK).sum()):
            out.append(f"of one colour, and neither forgotten nor retained: {blank} of {len(table)} of the {who} model")
        told = table.where(status != BLANK)
        keys: dict[str, list[tuple[str, int]]] = {}
        for sha, key in zip(told[f"sha256{suffix}"].tolist(), told.keys, strict=True):
            if sha:
                keys.setdefault(sha, []).append(key)
        # The same seed may give the same image for two prompts (a filter blanks what tells them apart); another cannot.
        if n := sum(len({seed for _, seed in of}) - 1 for of in keys.values()):
            own = sum(len(of) - len({row for row, _ in of}) for of in keys.values())
            once = f", {own} of them of the same prompt, which its interval counts once" if own else ""
            out.append(f"copies, byte for byte, of an image with another seed: {n} of the {who} model{once}")
        if shared := [prompts for of in keys.values() if len(prompts := {row for row, _ in of}) > 1]:
            n, of_all = len(set().union(*shared)), len(set(told["id"].tolist()))
            out.append(f"one image, byte for byte, for several prompts: {n} of {of_all} prompts of the {who} model")
    if same := len(table) - len({(row, seed & LARGEST_SEED) for row, seed in table.keys}):
        out.append(f"seeds that torch's generator cannot tell from another of the prompt (equal modulo 2^32): {same}")
    return out


def require_alike(table: Generations) -> None:
    """Refuse pairs of which the metadata says that they were generated in different ways.

    Raises:
        MetadataError: with the first such pair and both ways.
    """
    name = "generated_with"
    if name not in table or name + ORIGINAL not in table:
        return
    mine, theirs = table[name], table[name + ORIGINAL]
    unlike = np.flatnonzero((mine != theirs) & (mine != "") & (theirs != ""))
    if unlike.size:
        at = int(unlike[0])
        row, seed = table.keys[at]
        raise MetadataError(
            f"{table['path'][at]}: row {row!r}, seed {seed} was generated with {mine[at]}, the original's with "
            f"{theirs[at]} ({unlike.size} such pairs). Generate both with the same settings."
        )


def require_recorded(table: Generations, sha256: Array) -> None:
    """Refuse a file that is not the one that the metadata lists.

    Args:
        table: the generations, with what the metadata says of each file.
        sha256: (n,) of the files that were looked at.

    Raises:
        ChecksumError: the file was changed or exchanged.
    """
    if "recorded_sha256" not in table:
        return
    wrong = np.flatnonzero((table["recorded_sha256"] != "") & (sha256 != "") & (table["recorded_sha256"] != sha256))
    if wrong.size:
        raise ChecksumError(
            f"{table['path'][int(wrong[0])]}: not the file that its metadata lists; its sha256 differs "
            f"({wrong.size} such files). Generate it again, or correct the metadata."
        )
