"""Draws images with a diffusers pipeline, so that each depends on its own prompt and seed and on nothing else.

Conventions: a generation is `(row_id, seed)`; its file is `<row_id>-<seed>.png` (or `.webp`, lossless), and
`metadata.jsonl` beside it says how it was drawn (the ImageFolder convention, layout `metadata` of `igmu score`).

**What is reproducible.** The starting noise comes from one CPU generator an image, so it never depends on the device or
on the batch. The arithmetic does: matrix kernels choose their order of summation by the shape of the whole batch. On a
tiny pipeline on a CPU, batches of 1, 2 and 4 differ by 3e-6 before rounding, which moves about one value in ten
thousand of the finished images by 1/255. Therefore every call has the same shape (`igmu_metrics.images.calling`), on
a CPU whatever `batch_size` says: files are byte-identical for every `batch_size`, list of requests and part of it. On
an accelerator the files depend on `batch_size` to within that rounding (more in fp16 and bf16); their lines name it,
and so does the signature. A resumed run forms the same batches and draws a batch again whole. In every case only on the
same device, number of threads and versions of torch and diffusers.

**What a kill leaves.** Files are written beside their place and renamed; the line in `metadata.jsonl` follows. An
image without its line is drawn again. One process at a time draws into a folder (`igmu_data.files.owned`).

**What counts as an image.** One that a safety checker flagged (it was blackened) and one with values that are not
finite (half precision overflows into black) would both be judged as forgotten. They go to `failed.jsonl` instead.
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

from igmu_data.errors import DuplicateIdError, EmptyInputError, InputError, OutOfRangeError
from igmu_data.files import owned
from igmu_data.schema import LARGEST_SEED, Row
from igmu_metrics.contract import batches
from igmu_metrics.images import stored
from igmu_metrics.images.calling import AUTO, Caller
from igmu_metrics.images.folder import MODEL, Folder
from igmu_metrics.images.parts import finished, gather, home, making, place
from igmu_metrics.images.presets import FIELDS, Preset, Settings, settle
from igmu_metrics.networks.loading import choice
from igmu_metrics.networks.progress import bars

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from igmu_metrics.images.method import Method
    from igmu_metrics.images.pipelines import Pipeline

FORMATS: Final = (".png", ".webp")


@dataclass(frozen=True, slots=True)
class Request:
    """One image to draw.

    Args:
        row_id: the prompt's id.
        seed: of its starting noise, 0..2³²-1 (all that torch's generator on a CPU tells apart).
        prompt: the text.
        guidance_scale: classifier-free guidance scale; None for the model's preset (`igmu_metrics.images.presets`).
        steps: denoising steps, likewise.
        width: pixels, likewise.
        height: pixels, likewise.
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
        """What names the generation."""
        return self.row_id, self.seed


def requests_for(rows: Iterable[Row], *, seeds_per_row: int | None = None) -> list[Request]:
    """A request for each row and each of its seeds (or the first few of them), in the order of the rows."""
    return [
        Request(r.id, seed, r.prompt, r.guidance_scale, r.steps, r.width, r.height)
        for r in rows
        for seed in r.seeds[:seeds_per_row]
    ]


class _Wanted(NamedTuple):
    """An image and what it is drawn with."""

    request: Request
    settings: Settings

    @property
    def key(self) -> tuple[str, int]:
        return self.request.key


def settled(requests: Iterable[Request], pipeline: Pipeline, **options: Any) -> list[Settings]:
    """What each request is drawn with: an option, else what the request says, else the pipeline's preset.

    Args:
        requests: what to draw.
        pipeline: with what; its configuration is read where something is left to its preset, its weights never.
        **options: steps, guidance_scale, width, height; None where not given.

    Raises:
        InputError: nothing says it.
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
    """What every model draws each request with, if that is the same: other images are not compared.

    Args:
        requests: what to draw, all of it: a part that no prompt needs is refused.
        pipelines: by the models' names, the original first.
        what: is drawn, for messages.
        **options: as of `settled`.

    Raises:
        InputError: two models would draw unlike, or a part of one would change nothing; or as `settled`.
    """
    (first, one), *others = pipelines.items()
    wanted = settled(requests, one, **options)
    for name, other in others:
        for mine, theirs in zip(settled(requests, other, **options), wanted, strict=True):
            if mine != theirs:
                raise InputError(
                    f"{what + ': ' if what else ''}{name} would be generated with {mine} ({mine.by}), {first} with "
                    f"{theirs} ({theirs.by}); images generated differently are not compared. Give steps, "
                    "guidance scale and "
                    "size yourself (--steps, --guidance-scale, --size of igmu generate and igmu run)."
                )
    for pipeline in pipelines.values():
        pipeline.require([r.prompt for r in requests], wanted)
    return wanted


def told(wanted: Sequence[Settings], most: int = 3) -> str:
    """What images are generated with and who says so, a line for each way: `steps 50, …: Stable Diffusion 1.x`."""
    ways = Counter(f"{s}: {s.by}" for s in wanted)
    lines = [text + (f" ({n} images)" if len(ways) > 1 else "") for text, n in ways.most_common(most)]
    return "\n".join(lines + ([f"and {len(ways) - most} more settings"] if len(ways) > most else []))


@dataclass(frozen=True, slots=True)
class Drawing:
    """What there is after drawing.

    Args:
        files: the image of each generation.
        failures: why there is none, by generation.
        n_drawn: images drawn by this call; the others were there.
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
    """Draw what is not in the folder yet; nothing is loaded when nothing is missing.

    Args:
        requests: what to draw; each generation once.
        pipeline: with what (`igmu_metrics.images.pipelines.find_pipeline`).
        out: folder of the images; may hold some of them, and others of the same model, already.
        batch_size: images a call on an accelerator, or "auto": as many as its memory holds, halved until it does; on a
            CPU it changes nothing (see the head of this file).
        steps, guidance_scale, width, height: instead of those of every request and of the pipeline's preset.
        extension: one of FORMATS, both lossless and without EXIF.
        progress: say on stderr how many are there.
        drawn: told how many images a batch has brought.
        method: what the method cost, kept beside the images; None leaves what is there.

    Returns:
        The files, the failures, and how many were drawn.

    Raises:
        EmptyInputError, DuplicateIdError, OutOfRangeError: requests that cannot be drawn.
        MetadataError: the folder holds images of another model, or drawn with other settings.
        ChecksumError: an image in the folder was changed.
        InputError: the pipeline refuses the settings, or draws something else.
        BusyError: another process draws into the folder.
        OutputError: the folder cannot be written.
        WeightsError: the pipeline cannot be loaded.
    """
    choice("format", extension, FORMATS)
    _check(requests, batch_size)
    given = {"steps": steps, "guidance_scale": guidance_scale, "width": width, "height": height}
    wanted = list(map(_Wanted, requests, settled(requests, pipeline, **given)))
    _check_settings(wanted)
    with owned(out), bars() if progress else nullcontext(_quietly) as advance:
        gather(out, whole=False)  # parts of an earlier run
        folder = Folder.open(out, _facts(pipeline), {w.key: _fields(*w, extension) for w in wanted})
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


def draw_part(
    requests: Sequence[Request], pipeline: Pipeline, out: Path, shard: tuple[int, int], **options: Any
) -> Drawing:
    """Draw one part of what is asked for into a folder of its own in `out` (`igmu_metrics.images.parts`).

    Args:
        requests: of all parts.
        pipeline: with what.
        out: folder of the whole; what it has already is not drawn again.
        shard: (i, n), from 1.
        **options: as of `draw`, which says what is raised, too.
    """
    there, part = finished(out), place(out, *shard)
    own = [r for r in requests if home(r.row_id, shard[1]) == shard[0] and r.key not in there]
    with making(part):
        return draw(own, pipeline, part, **options) if own else Drawing({}, {}, 0)


def _describe(folder: Folder, pipeline: Pipeline, method: Method | None) -> None:
    """Say beside the images what the model stores, and what its method cost."""
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
        raise EmptyInputError("no requests: there is nothing to generate.")
    if batch_size != AUTO and (isinstance(batch_size, str) or batch_size < 1):
        raise OutOfRangeError(f"batch_size is {batch_size}; give at least 1, or {AUTO!r}.")
    seen: set[tuple[str, int]] = set()
    for at, r in enumerate(requests):
        if r.key in seen:
            raise DuplicateIdError(
                f"requests[{at}]: row {r.row_id!r} with seed {r.seed} appears twice. Request each once."
            )
        seen.add(r.key)
        if not 0 <= r.seed <= LARGEST_SEED:
            raise OutOfRangeError(
                f"requests[{at}]: seed {r.seed} of row {r.row_id!r} is not in 0..2^32-1; of larger ones torch's "
                f"generator reads the last 32 bits, here those of seed {r.seed % (LARGEST_SEED + 1)}."
            )
        if r.row_id != Path(r.row_id).name or not r.row_id:
            raise InputError(f"requests[{at}]: row id {r.row_id!r} cannot be a file name.")


def _check_settings(wanted: Sequence[_Wanted]) -> None:
    for at, (_, s) in enumerate(wanted):
        if min(s.steps, s.width, s.height) < 1:
            raise OutOfRangeError(f"requests[{at}]: steps {s.steps}, {s.width}×{s.height}; each must be at least 1.")
        if s.guidance_scale is not None and not math.isfinite(s.guidance_scale):
            raise OutOfRangeError(f"requests[{at}]: guidance {s.guidance_scale}; it must be a finite number.")


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
    """Progress that nobody is told of."""


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
