"""What it cost to make a model forget, as its author says it: a small YAML file, kept beside the images.

```yaml
training_seconds: 5400
gpu: NVIDIA A100 80GB
n_gpus: 1
data: 1,000 images of churches that the base generated
n_images: 1000
source: the paper, section 4
```

Conventions: nothing here is measured by igmu, and nothing of it enters a score.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from igmu_data.errors import InputError, nearest
from igmu_data.files import read_yaml
from igmu_data.media import unnameable


def _readable(text: str) -> str:
    if why := unnameable(text):
        raise ValueError(why)
    return text


Text = Annotated[str, AfterValidator(_readable)]


class Method(BaseModel):
    """What a method cost, by its author's word; a field that is not known is left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    training_seconds: float | None = Field(
        default=None, ge=0, le=1e10, allow_inf_nan=False, description="seconds of training, or of editing the weights"
    )
    gpu: Text | None = Field(default=None, description="kind of the GPUs that it ran on; 'none' for a CPU")
    n_gpus: int | None = Field(default=None, ge=0, le=10**6, description="how many of them")
    data: Text | None = Field(default=None, description="what was trained on")
    n_images: int | None = Field(default=None, ge=0, le=10**12, description="images that were trained on")
    n_prompts: int | None = Field(default=None, ge=0, le=10**12, description="prompts that were trained on")
    source: Text | None = Field(default=None, description="where these figures are from")


def read(path: Path) -> Method:
    """The method's own cost from its file.

    Raises:
        InputError: not YAML, no field, or a key or value that is wrong; the message names it.
    """
    return checked(read_yaml(path, Method.model_fields), str(path))


def checked(given: Any, where: str) -> Method:
    """The same from what a file holds.

    Args:
        given: keys and values.
        where: they stand, for messages.

    Raises:
        InputError: no field, or a key or value that is wrong.
    """
    try:
        found = Method.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        key, what = ".".join(map(str, first["loc"])), str(first["msg"]).removeprefix("Value error, ")
        alike = nearest(key, Method.model_fields) if first["type"] == "extra_forbidden" else []
        hint = f"; did you mean {alike[0]!r}?" if alike else f"; the keys are {', '.join(Method.model_fields)}."
        raise InputError(f"{where}: {key}: {what}{hint}") from error
    if found == Method():
        raise InputError(f"{where}: says nothing; the keys are {', '.join(Method.model_fields)}.")
    return found
