"""Generates images with a diffusers pipeline, so that each depends only on its own prompt and seed.

Conventions: a generation is `(row_id, seed)`; its file is `<row_id>-<seed>.png` (or `.webp`, lossless), and the
`metadata.jsonl` next to it says how it was generated (the ImageFolder convention, layout `metadata` of `igmu score`).

**What is reproducible.** The starting noise comes from one CPU generator per image, so it never depends on the device
or on the batch. The arithmetic does: matrix kernels choose their order of summation by the shape of the whole batch. On
a tiny pipeline on a CPU, batches of 1, 2 and 4 differ by 3e-6 before rounding, which changes about one value in ten
thousand of the finished images by 1/255. Therefore every call has the same shape (`igmu_metrics.images.calling`), on a
CPU for any `batch_size`: files are byte-identical for every `batch_size`, list of requests and part of it. On an
accelerator, the files depend on `batch_size` to within this rounding (more in fp16 and bf16); it is recorded in their
lines and in the signature. A resumed run forms the same batches and repeats an unfinished batch as a whole. All of this
is true only on the same device, with the same number of threads and versions of torch and diffusers.

**What remains after a kill.** Files are written under a temporary name and renamed; the line in `metadata.jsonl`
follows. An image without its line is generated again. One process at a time writes to a folder
(`igmu_data.files.owned`).

**What counts as an image.** An image that a safety checker flagged (and blackened) and an image with values that are
not finite (half precision overflows to black) would both be judged as forgotten. They go to `failed.jsonl` instead.
"""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from igmu_data.configs import GENERAL
from igmu_data.errors import DuplicateIdError, EmptyInputError, InputError, OutOfRangeError
from igmu_data.files import owned, require_writable
from igmu_data.progress import bars
from igmu_data.schema import LARGEST_SEED, Row
from igmu_metrics.contract import batches
from igmu_metrics.images import stored
from igmu_metrics.images.calling import AUTO, Caller
from igmu_metrics.images.folder import MODEL, Folder
from igmu_metrics.images.parts import finished, gather, home, making, place
from igmu_metrics.images.presets import FIELDS, Preset, Settings, settle
from igmu_metrics.networks.loading import choice

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from igmu_metrics.images.method import Method
    from igmu_metrics.images.pipelines import Pipeline

FORMATS: Final = (".png", ".webp")
ONE_IMAGE: Final = (
    "note: with one image per prompt, there is no forget score, because its quality aspect compares two images of a "
    "prompt. Generate two or more images per prompt."
)


@dataclass(frozen=True, slots=True)
class Request:
    """One image to generate.

    Args:
        row_id: the prompt's id.
        seed: of its starting noise, 0..2³²-1 (all that torch's generator on a CPU distinguishes).
        prompt: the text.
        guidance_scale: classifier-free guidance scale; None for the model's preset (`igmu_metrics.images.presets`).
        steps: denoising steps; None for the preset.
        width: pixels; None for the preset.
        height: pixels; None for the preset.
    """

    row_id: str
    seed: int
    prompt: str
    guidance_scale: float | None = None
    steps: int | None = None
    width: int | None = None
    height: int | None = None

    @property
    def key(self) -> tuple[str, int]:
        """The key of the generation."""
        return self.row_id, self.seed


def requests_for(rows: Iterable[Row], *, seeds_per_row: int | None = None) -> list[Request]:
    """A request for each row and each of its seeds (or the first few of them), in the order of the rows."""
    return [
        Request(r.id, seed, r.prompt, r.guidance_scale, r.steps, r.width, r.height)
        for r in rows
        for seed in r.seeds[:seeds_per_row]
    ]


def seeds_note(rows: Iterable[Row], requests: Iterable[Request]) -> str:
    """A note that these images give no forget score, if no retain prompt has two of them; otherwise ""."""
    retain = {row.id for row in rows if row.split == "retain" and row.concept != GENERAL}
    n = Counter(r.row_id for r in requests if r.row_id in retain)
    return ONE_IMAGE if n and max(n.values()) == 1 else ""


class _Wanted(NamedTuple):
    """An image and its settings."""

    request: Request
    settings: Settings

    @property
    def key(self) -> tuple[str, int]:
        return self.request.key


def settled(requests: Iterable[Request], pipeline: Pipeline, **options: Any) -> list[Settings]:
    """The settings of each request: from the options, else from the request, else from the pipeline's preset.

    Args:
        requests: to generate.
        pipeline: its configuration is read if its preset is needed; its weights are never read.
        **options: steps, guidance_scale, width, height; None if not given.

    Raises:
        InputError: a setting is given nowhere.
        WeightsError: the pipeline's index cannot be read.
    """
    given = {name: options.get(name) for name in FIELDS}
    found: dict[tuple[Any, ...], Settings] = {}
    default: Preset | None = None
    out = []
    for r in requests:
        said = {name: getattr(r, name) for name in FIELDS}
        key = tuple(said.values())
        if key not in found:
            if default is None and pipeline.preset and any(v is None and given[n] is None for n, v in said.items()):
                default = pipeline.preset()
            found[key] = settle(given, said, default, pipeline.name)
        out.append(found[key])
    return out


def settled_alike(
    requests: Sequence[Request], pipelines: Mapping[str, Pipeline], what: str = "", **options: Any
) -> list[Settings]:
    """The settings of each request if all models have the same, as other images cannot be compared.

    Args:
        requests: what to draw, all of it: a part that no prompt needs is refused.
        pipelines: by the models' names, the original first.
        what: is generated, for messages.
        **options: as for `settled`.

    Raises:
        InputError: two models would draw unlike, or a part of one would change nothing; or as `settled`.
    """
    (first, one), *others = pipelines.items()
    wanted, of = settled(requests, one, **options), f"{what}: " if what else ""
    for name, other in others:
        if one.scheduler and other.scheduler and one.scheduler != other.scheduler:
            raise InputError(
                f"{of}{name} would generate images with the scheduler {other.scheduler}, whereas {first} would use "
                f"{one.scheduler}; these images could not be compared. To use the scheduler of {first} for both, put "
                "the network of the unlearned model onto it, as in ORIGINAL,unet=FOLDER."
            )
        for mine, theirs in zip(settled(requests, other, **options), wanted, strict=True):
            if mine != theirs:
                raise InputError(
                    f"{of}{name} would generate images with {mine} ({mine.by}), whereas "
                    f"{first} would use {theirs} ({theirs.by}); these images could not be compared. Set steps, "
                    "guidance scale and size explicitly (--steps, --guidance-scale, --size of 'igmu generate' and "
                    "'igmu run')."
                )
    for pipeline in pipelines.values():
        pipeline.require([r.prompt for r in requests], wanted)
    return wanted


def told(wanted: Sequence[Settings], most: int = 3) -> str:
    """The settings of images and their source, a line for each combination: `steps 50, …: Stable Diffusion 1.x`."""
    ways = Counter(f"{s}: {s.by}" for s in wanted)
    lines = [text + (f" ({n} image{'s' * (n != 1)})" if len(ways) > 1 else "") for text, n in ways.most_common(most)]
    return "\n".join(lines + ([f"and {len(ways) - most} more settings"] if len(ways) > most else []))


@dataclass(frozen=True, slots=True)
class Drawing:
    """The result of generating.

    Args:
        files: the image of each generation.
        failures: by generation, why there is no image.
        n_drawn: images generated by this call; the others existed.
    """

    files: Mapping[tuple[str, int], Path]
    failures: Mapping[tuple[str, int], str]
    n_drawn: int


def draw(
    requests: Sequence[Request],
    pipeline: Pipeline,
    out: Path,
    *,
    batch_size: int | str = 4,
    steps: int | None = None,
    guidance_scale: float | None = None,
    width: int | None = None,
    height: int | None = None,
    extension: str = ".png",
    progress: bool = True,
    drawn: Callable[[int], None] = lambda n: None,
    method: Method | None = None,
) -> Drawing:
    """Generate the images that are not in the folder yet; nothing is loaded if nothing is missing.

    Args:
        requests: to generate; each generation once.
        pipeline: to generate with (`igmu_metrics.images.pipelines.find_pipeline`).
        out: folder of the images; may already contain some of them, and others of the same model.
        batch_size: images per call on an accelerator, or "auto": starts with 32 and halves this until they fit in
            memory; has no effect on a CPU (see the head of this file).
        steps, guidance_scale, width, height: override those of every request and of the pipeline's preset.
        extension: one of FORMATS, both lossless and without EXIF.
        progress: show on stderr how many images are finished.
        drawn: called with the number of new images after each batch.
        method: what the method cost, stored next to the images; None keeps what is there.

    Returns:
        The files, the failures, and the number of new images.

    Raises:
        EmptyInputError, DuplicateIdError, OutOfRangeError: the requests are invalid.
        MetadataError: the folder contains images of a different model or with different settings.
        ChecksumError: an image in the folder was changed.
        InputError: the pipeline refuses the settings, or returns something else.
        BusyError: another process is writing to the folder.
        OutputError: the folder cannot be written.
        WeightsError: the pipeline cannot be loaded.
    """
    choice("format", extension, FORMATS)
    _check(requests, batch_size)
    given = {"steps": steps, "guidance_scale": guidance_scale, "width": width, "height": height}
    wanted = _wanted(requests, pipeline, **given)
    with owned(out), bars() if progress else nullcontext(_quietly) as advance:
        gather(out, whole=False)  # parts of an earlier run
        folder = _folder(out, pipeline, wanted, extension)
        call = Caller(pipeline, batch_size)
        n_drawn, missing = 0, sum(w.key not in folder for w in wanted)
        for batch in _plan(wanted, call.size):
            if all(w.key in folder for w in batch):
                continue
            before, left = n_drawn, list(batch)
            for images, drawn_with, took in call([w.request for w in batch], batch[0].settings):
                for one, (pixels, reason) in zip(left, images, strict=False):
                    if one.key in folder:
                        continue
                    n_drawn += 1
                    if reason:
                        folder.fail(one.key, reason)
                    else:
                        folder.add(one.key, _encode(pixels, extension), drawn_with)
                del left[: len(images)]
                folder.timed(took)
            drawn(n_drawn - before)
            advance("generating", n_drawn - before, missing)
        _describe(folder, pipeline, method)
        folder.close()
    keys = [r.key for r in requests]
    return Drawing(
        {k: folder.files[k] for k in keys if k in folder.files},
        {k: folder.failures[k] for k in keys if k in folder.failures},
        n_drawn,
    )


def require_room(requests: Sequence[Request], pipeline: Pipeline, out: Path) -> None:
    """Find out before any work whether `draw` can later generate these images into a folder; nothing is made.

    Raises:
        MetadataError, ChecksumError, InputError, BusyError, OutputError: as `draw`.
    """
    if not out.exists() and not out.is_symlink():
        require_writable(out)
        return
    wanted = _wanted(requests, pipeline)
    with owned(out):
        _folder(out, pipeline, wanted)


def draw_part(
    requests: Sequence[Request], pipeline: Pipeline, out: Path, shard: tuple[int, int], **options: Any
) -> Drawing:
    """Generate one part of the requests into a separate folder in `out` (`igmu_metrics.images.parts`).

    Args:
        requests: of all parts.
        pipeline: to generate with.
        out: folder of the whole; images that it already has are not generated again.
        shard: (i, n), from 1.
        **options: as for `draw`, including what is raised.
    """
    there, part = finished(out), place(out, *shard)
    own = [r for r in requests if home(r.row_id, shard[1]) == shard[0] and r.key not in there]
    with making(part):
        return draw(own, pipeline, part, **options) if own else Drawing({}, {}, 0)


def _describe(folder: Folder, pipeline: Pipeline, method: Method | None) -> None:
    """Write next to the images what the model stores, and what its method cost."""
    if pipeline.stored is None and method is None:
        return
    known = stored.read(folder.path / MODEL) or stored.Model()
    facts = known.weights if known.revision == pipeline.revision else None
    if facts is None and pipeline.stored is not None:
        facts = pipeline.stored()
    told = stored.Model(revision=pipeline.revision, weights=facts, method=method or known.method)
    folder.describe(told.model_dump_json(exclude_none=True) + "\n")


def _check(requests: Sequence[Request], batch_size: int | str) -> None:
    if not requests:
        raise EmptyInputError("there is nothing to generate, because there are no requests. Pass at least one request.")
    if batch_size != AUTO and (isinstance(batch_size, str) or batch_size < 1):
        raise OutOfRangeError(f"batch_size is {batch_size}; it must be at least 1, or {AUTO!r}.")
    seen: set[tuple[str, int]] = set()
    for at, r in enumerate(requests):
        if r.key in seen:
            raise DuplicateIdError(
                f"requests[{at}]: row {r.row_id!r} with seed {r.seed} appears twice. Request each image only once."
            )
        seen.add(r.key)
        if not 0 <= r.seed <= LARGEST_SEED:
            raise OutOfRangeError(
                f"requests[{at}]: seed {r.seed} of row {r.row_id!r} is not in 0..2^32-1. torch's generator uses only "
                f"32 bits, so the image would be the same as for seed {r.seed % (LARGEST_SEED + 1)}. Choose another "
                "seed."
            )
        if r.row_id != Path(r.row_id).name or not r.row_id:
            raise InputError(f"requests[{at}]: row id {r.row_id!r} cannot be used as a file name. Choose another id.")


def _wanted(requests: Sequence[Request], pipeline: Pipeline, **options: Any) -> list[_Wanted]:
    """The images with the settings with which they are generated, which are checked."""
    wanted = list(map(_Wanted, requests, settled(requests, pipeline, **options)))
    for at, (_, s) in enumerate(wanted):
        if min(s.steps, s.width, s.height) < 1:
            raise OutOfRangeError(
                f"requests[{at}]: steps, width and height are {s.steps}, {s.width} and {s.height}. Use at least 1 for "
                "each."
            )
        if s.guidance_scale is not None and not math.isfinite(s.guidance_scale):
            raise OutOfRangeError(f"requests[{at}]: the guidance scale is {s.guidance_scale}. Use a finite number.")
    return wanted


def _folder(out: Path, pipeline: Pipeline, wanted: Iterable[_Wanted], extension: str = FORMATS[0]) -> Folder:
    """The folder of the wanted images, opened."""
    return Folder.open(out, _facts(pipeline), {w.key: _fields(*w, extension) for w in wanted})


def _facts(pipeline: Pipeline) -> dict[str, str]:
    told = {"model": pipeline.name, "revision": pipeline.revision, "dtype": pipeline.dtype}
    return told | ({"compiled": "yes"} if pipeline.compiled else {})


def file_of(r: Request, extension: str = FORMATS[0]) -> str:
    """What the file of an image is called."""
    return f"{r.row_id}-{r.seed}{extension}"


def _fields(r: Request, settings: Settings, extension: str) -> dict[str, Any]:
    return {
        "file_name": file_of(r, extension),
        "id": r.row_id,
        "seed": r.seed,
        "prompt": r.prompt,
        **{name: getattr(settings, name) for name in FIELDS},
    }


def _plan(wanted: Sequence[_Wanted], size: Callable[[Settings], int]) -> Iterator[Sequence[_Wanted]]:
    """All requests in batches of equal settings; made from the whole list, so that resuming changes no batch."""
    groups: dict[Settings, list[_Wanted]] = {}
    for one in wanted:
        groups.setdefault(one.settings, []).append(one)
    for settings, group in groups.items():
        yield from batches(group, size(settings))


def _quietly(what: str, done: int, total: int) -> None:
    """Progress that is not shown."""


def _encode(pixels: npt.NDArray[np.float32], extension: str) -> bytes:
    """The file of an image in 0..1, rounded to 8 bits as diffusers does."""
    import numpy as np
    from PIL import Image

    buffer = io.BytesIO()
    image = Image.fromarray((pixels * 255).round().astype(np.uint8))
    if extension == ".webp":
        image.save(buffer, "WEBP", lossless=True, method=4)
    else:
        image.save(buffer, "PNG")
    return buffer.getvalue()
