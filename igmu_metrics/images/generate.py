"""Draws pictures with a diffusers pipeline, so that each depends on its own prompt and seed and on nothing else.

Conventions: a generation is `(row_id, seed)`; its file is `<row_id>-<seed>.png` (or `.webp`, lossless), and
`metadata.jsonl` beside it says how it was drawn (the ImageFolder convention, layout `metadata` of `igmu score`).

**What is reproducible.** The starting noise comes from one CPU generator an image, so it never depends on the device or
on the batch. The arithmetic does: matrix kernels choose their order of summation by the shape of the whole batch. On a
tiny pipeline on a CPU, batches of 1, 2 and 4 differ by 3e-6 before rounding, which moves about one value in ten
thousand of the finished pictures by 1/255. Therefore a CPU, where batches save no time, gets one image a call: files
are byte-identical for every `batch_size` and for every list of requests. On an accelerator images share a call, and
the files depend on `batch_size` and on the list to within that rounding (more in fp16 and bf16); a resumed run still
repeats an uninterrupted one, because it forms the same batches and draws a batch again whole. In every case only on
the same device, number of threads and versions of torch and diffusers.

**What a kill leaves.** Files are written beside their place and renamed; the line in `metadata.jsonl` follows. A
picture without its line is drawn again. One process at a time draws into a folder (`igmu_data.files.owned`).

**What counts as a picture.** One that a safety checker flagged (it was blackened) and one with values that are not
finite (half precision overflows into black) would both be judged as forgotten. They go to `failed.jsonl` instead.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from igmu_data.errors import DuplicateIdError, EmptyInputError, InputError, OutOfRangeError
from igmu_data.files import owned
from igmu_data.schema import LARGEST_SEED, Row
from igmu_metrics.contract import batches
from igmu_metrics.images.folder import Folder
from igmu_metrics.networks.loading import choice

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from igmu_metrics.images.pipelines import Pipeline

FORMATS: Final = (".png", ".webp")
_SMALL: Final = 64 * 64  # pixels
_TOGETHER: Final = 16  # small pictures in a call on a CPU


@dataclass(frozen=True, slots=True)
class Request:
    """One picture to draw.

    Args:
        row_id: the prompt's id.
        seed: of its starting noise, 0..2³²-1 (all that torch's generator on a CPU tells apart).
        prompt: the text.
        guidance_scale: classifier-free guidance scale.
        steps: denoising steps.
        width: pixels.
        height: pixels.
    """

    row_id: str
    seed: int
    prompt: str
    guidance_scale: float
    steps: int
    width: int
    height: int

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


@dataclass(frozen=True, slots=True)
class Drawing:
    """What there is after drawing.

    Args:
        files: the picture of each generation.
        failures: why there is none, by generation.
        n_drawn: pictures drawn by this call; the others were there.
    """

    files: Mapping[tuple[str, int], Path]
    failures: Mapping[tuple[str, int], str]
    n_drawn: int


def draw(
    requests: Sequence[Request],
    pipeline: Pipeline,
    out: Path,
    *,
    batch_size: int = 4,
    steps: int | None = None,
    guidance_scale: float | None = None,
    width: int | None = None,
    height: int | None = None,
    extension: str = ".png",
    progress: bool = True,
    drawn: Callable[[int], None] = lambda n: None,
) -> Drawing:
    """Draw what is not in the folder yet; nothing is loaded when nothing is missing.

    Args:
        requests: what to draw; each generation once.
        pipeline: with what (`igmu_metrics.images.pipelines.find_pipeline`).
        out: folder of the pictures; may hold some of them, and others of the same model, already.
        batch_size: images a call on an accelerator; on a CPU it changes nothing (see the head of this file).
        steps, guidance_scale, width, height: instead of those of every request.
        extension: one of FORMATS, both lossless and without EXIF.
        progress: show a bar on stderr, if that is a terminal.
        drawn: told how many images a batch has brought.

    Returns:
        The files, the failures, and how many were drawn.

    Raises:
        EmptyInputError, DuplicateIdError, OutOfRangeError: requests that cannot be drawn.
        MetadataError: the folder holds pictures of another model, or drawn with other settings.
        ChecksumError: a picture in the folder was changed.
        InputError: the pipeline refuses the settings, or draws something else.
        BusyError: another process draws into the folder.
        OutputError: the folder cannot be written.
        WeightsError: the pipeline cannot be loaded.
    """
    choice("format", extension, FORMATS)
    given = {"steps": steps, "guidance_scale": guidance_scale, "width": width, "height": height}
    changes: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
    wanted = [dataclasses.replace(r, **changes) for r in requests]
    _check(wanted, batch_size)
    with owned(out):
        folder = Folder.open(out, _facts(pipeline), {r.key: _fields(r, extension) for r in wanted})
        pipe: Any = None
        n_drawn = 0
        size = _cpu_size if pipeline.device == "cpu" else lambda _: batch_size
        for batch in _watched(list(_plan(wanted, size)), progress):
            if all(r.key in folder for r in batch):
                continue
            pipe = pipe or pipeline.load()
            filling = [batch[-1]] * (_cpu_size(batch[0]) - len(batch)) if pipeline.device == "cpu" else []
            images = _call(pipe, [*batch, *filling], pipeline.name)
            before = n_drawn
            for request, (pixels, reason) in zip(batch, images[: len(batch)], strict=True):
                if request.key in folder:
                    continue
                n_drawn += 1
                if reason:
                    folder.fail(request.key, reason)
                else:
                    folder.add(request.key, _encode(pixels, extension))
            drawn(n_drawn - before)
        folder.close()
    keys = [r.key for r in wanted]
    return Drawing(
        {k: folder.files[k] for k in keys if k in folder.files},
        {k: folder.failures[k] for k in keys if k in folder.failures},
        n_drawn,
    )


def _check(requests: Sequence[Request], batch_size: int) -> None:
    if not requests:
        raise EmptyInputError("no requests: there is nothing to draw.")
    if batch_size < 1:
        raise OutOfRangeError(f"batch_size is {batch_size}; give at least 1.")
    seen: set[tuple[str, int]] = set()
    for at, r in enumerate(requests):
        if r.key in seen:
            raise DuplicateIdError(f"requests[{at}]: row {r.row_id!r} with seed {r.seed} is asked for twice.")
        seen.add(r.key)
        if not 0 <= r.seed <= LARGEST_SEED:
            raise OutOfRangeError(
                f"requests[{at}]: seed {r.seed} of row {r.row_id!r} is not in 0..2^32-1; of larger ones torch's "
                f"generator reads the last 32 bits, here those of seed {r.seed % (LARGEST_SEED + 1)}."
            )
        if r.row_id != Path(r.row_id).name or not r.row_id:
            raise InputError(f"requests[{at}]: row id {r.row_id!r} cannot be a file name.")
        if min(r.steps, r.width, r.height) < 1:
            raise OutOfRangeError(f"requests[{at}]: steps {r.steps}, {r.width}×{r.height}; each must be at least 1.")


def _facts(pipeline: Pipeline) -> dict[str, str]:
    return {"model": pipeline.name, "revision": pipeline.revision, "dtype": pipeline.dtype}


def _fields(r: Request, extension: str) -> dict[str, Any]:
    return {
        "file_name": f"{r.row_id}-{r.seed}{extension}",
        "id": r.row_id,
        "seed": r.seed,
        "prompt": r.prompt,
        "steps": r.steps,
        "guidance_scale": r.guidance_scale,
        "width": r.width,
        "height": r.height,
    }


def _cpu_size(request: Request) -> int:
    return _TOGETHER if request.width * request.height <= _SMALL else 1


def _plan(requests: Sequence[Request], size: Callable[[Request], int]) -> Iterator[Sequence[Request]]:
    """All requests in batches of equal settings; made from the whole list, so that resuming changes no batch."""
    groups: dict[tuple[Any, ...], list[Request]] = {}
    for r in requests:
        groups.setdefault((r.steps, r.guidance_scale, r.width, r.height), []).append(r)
    for group in groups.values():
        yield from batches(group, size(group[0]))


def _watched(batches_: Sequence[Sequence[Request]], progress: bool) -> Iterator[Sequence[Request]]:
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True, markup=False)
    return iter(track(batches_, "drawing", console=console, disable=not (progress and console.is_terminal)))


def _call(pipe: Any, batch: Sequence[Request], name: str) -> list[tuple[npt.NDArray[np.float32], str]]:
    """Each image with the reason why it is none, or ""."""
    import numpy as np
    import torch

    first = batch[0]
    try:
        result = pipe(
            prompt=[r.prompt for r in batch],
            generator=[torch.Generator("cpu").manual_seed(r.seed) for r in batch],
            num_inference_steps=first.steps,
            guidance_scale=first.guidance_scale,
            width=first.width,
            height=first.height,
            output_type="np",  # before rounding, where NaN can still be seen
        )
    except ValueError as error:
        raise InputError(f"{name} refuses row {first.row_id!r}: {error}") from error
    images = np.asarray(result.images)
    if images.shape != (len(batch), first.height, first.width, 3):
        raise InputError(
            f"{name} drew an array of shape {images.shape} where {len(batch)} pictures of {first.width}×{first.height} "
            f"were asked for (row {first.row_id!r}). Choose a size that the model can draw."
        )
    flags = getattr(result, "nsfw_content_detected", None) or [False] * len(batch)
    return [
        (image, "safety checker" if flag else "" if np.isfinite(image).all() else "values that are not finite")
        for image, flag in zip(images, flags, strict=True)
    ]


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
