"""What it cost to make a model forget, as stated by its author: a small YAML file, kept next to the images.

```yaml
training_seconds: 5400
gpu: NVIDIA A100 80GB
n_gpus: 1
data: 1,000 images of churches that the base generated
n_images: 1000
source: the paper, section 4
```

Conventions: igmu measures none of this, and none of it enters a score.
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
    """What a method cost, as stated by its author; unknown fields are left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    training_seconds: float | None = Field(
        default=None, ge=0, le=1e10, allow_inf_nan=False, description="seconds of training, or of editing the weights"
    )
    gpu: Text | None = Field(default=None, description="type of the GPUs; 'none' for a CPU")
    n_gpus: int | None = Field(default=None, ge=0, le=10**6, description="number of GPUs")
    data: Text | None = Field(default=None, description="training data")
    n_images: int | None = Field(default=None, ge=0, le=10**12, description="number of training images")
    n_prompts: int | None = Field(default=None, ge=0, le=10**12, description="number of training prompts")
    source: Text | None = Field(default=None, description="where these numbers come from")


def read(path: Path) -> Method:
    """The cost of a method from its file.

    Raises:
        InputError: it is not YAML, has no field, or has a wrong key or value; the message names it.
    """
    return checked(read_yaml(path, Method.model_fields), str(path))


def checked(given: Any, where: str) -> Method:
    """The cost of a method from the content of its file.

    Args:
        given: keys and values.
        where: the file, for messages.

    Raises:
        InputError: there is no field, or a key or value is wrong.
    """
    try:
        found = Method.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        key, what = ".".join(map(str, first["loc"])), str(first["msg"]).removeprefix("Value error, ")
        alike = nearest(key, Method.model_fields) if first["type"] == "extra_forbidden" else []
        hint = f"; did you mean {alike[0]!r}?" if alike else f". Possible keys are {', '.join(Method.model_fields)}."
        raise InputError(f"{where}, key {key}: {what}{hint}") from error
    if found == Method():
        raise InputError(f"{where} contains no values. Possible keys are {', '.join(Method.model_fields)}.")
    return found
