"""The sandbox's CLIPTokenizer, with a small vocabulary of its own: byte-level, so that it reads any text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from builders.sandbox.captions import vocabulary
from igmu_data.errors import WeightsError

LENGTH: Final = 56  # tokens of a prompt, start and end included
_SIZE: Final = 2202


def make() -> Any:
    """The tokenizer, trained on the words of the captions; the same words give the same tokenizer."""
    from tokenizers import pre_tokenizers, trainers
    from transformers import CLIPTokenizer

    start, end = "<|startoftext|>", "<|endoftext|>"
    backend = CLIPTokenizer().backend_tokenizer
    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        # Named beforehand, they have the same places in every process; else ties between merges fall by chance.
        special_tokens=[f"{s}</w>" for s in symbols],
        vocab_size=_SIZE,
        min_frequency=1,
        show_progress=False,
        initial_alphabet=symbols,
        end_of_word_suffix="</w>",
    )
    backend.train_from_iterator(list(vocabulary()), trainer)
    model = json.loads(backend.to_str())["model"]
    merges = [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in model["merges"]]
    # In CLIP's order: bytes, bytes that end a word, merges, then start and end as the highest ids.
    tokens = dict.fromkeys([*symbols, *(f"{s}</w>" for s in symbols), *("".join(m) for m in merges), start, end])
    return CLIPTokenizer(vocab={t: i for i, t in enumerate(tokens)}, merges=merges, model_max_length=LENGTH)


def packaged(folder: Path) -> Any:
    """The tokenizer of an earlier run.

    Raises:
        WeightsError: it is not packaged.
    """
    from transformers import CLIPTokenizer

    try:
        return CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    except OSError as error:
        raise WeightsError(f"{folder}: no tokenizer ({error}). Train without --keep.") from error
