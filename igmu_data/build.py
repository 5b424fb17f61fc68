"""The user's own concepts as a corpus folder: what `igmu build` writes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from igmu_data.configs import configs
from igmu_data.errors import InputError
from igmu_data.files import read_text
from igmu_data.imports.folder import require_vacant, write_corpus
from igmu_data.load import digest
from igmu_data.rows import VERSION
from igmu_data.taxonomy import CONCEPTS, ENVIRONMENT, own_files
from igmu_data.writing import require_sound

_CARD: Final = """\
# Our own concepts, to be unlearned

{n} prompts for {concepts}, made by igmu {version} from the files in `{folder}/`. They are not part of igmu/bench.
`igmu validate` checks this folder. With `--concepts {out}/{folder} --bench {out}`, igmu generates images from these
prompts and scores them as it does for its own corpus.

```python
import datasets

rows = datasets.load_dataset("{out}", "{config}", split="forget")
```
"""


def build(out: Path) -> list[Path]:
    """Write the rows of the user's own concepts, and their files, as a corpus folder.

    Args:
        out: the folder; must not be there, or be empty.

    Returns:
        The Parquet files.

    Raises:
        InputError: there are no own concepts.
        CorpusError: there is a problem with one of them.
        OutputError: the folder cannot be written, or is not empty.
    """
    require_vacant(out)
    if not (files := own_files()):
        raise InputError(f"no concepts of your own were found. Set --concepts or {ENVIRONMENT} to their folder.")
    for restricted in (False, True):
        configs(restricted)  # refuses a concept that is called like a family
    rows = [row for path in files.values() for row in require_sound(path)]
    card = _CARD.format(
        n=len(rows),
        concepts=", ".join(files),
        version=VERSION,
        folder=CONCEPTS,
        out=out.name,
        config=next(iter(files)).replace("/", "."),
    )
    facts = {"name": f"own/{out.name}", "version": digest(row.id for row in rows), "n_rows": len(rows)}
    texts = {f"{CONCEPTS}/{name}.toml": read_text(path) for name, path in files.items()}
    return write_corpus(out, rows, card=card, facts=facts, beside=texts)
