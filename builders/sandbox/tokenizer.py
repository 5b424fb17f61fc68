"""The sandbox's CLIPTokenizer, with a small vocabulary of its own: byte-level, so that it reads any text."""

from __future__ import annotations

import json
from typing import Any, Final

from builders.sandbox.captions import vocabulary

LENGTH: Final = 56  # tokens of a prompt, start and end included
_SIZE: Final = 2000


def make() -> Any:
    """The tokenizer, trained on the words of the captions; the same words give the same tokenizer."""
    from tokenizers import pre_tokenizers, trainers
    from transformers import CLIPTokenizer

    start, end = "<|startoftext|>", "<|endoftext|>"
    backend = CLIPTokenizer().backend_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=_SIZE,
        min_frequency=1,
        show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        end_of_word_suffix="</w>",
    )
    backend.train_from_iterator(list(vocabulary()), trainer)
    model = json.loads(backend.to_str())["model"]
    merges = [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in model["merges"]]
    # In CLIP's order: bytes, bytes that end a word, merges, then start and end as the highest ids.
    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = dict.fromkeys([*symbols, *(f"{s}</w>" for s in symbols), *("".join(m) for m in merges), start, end])
    return CLIPTokenizer(vocab={t: i for i, t in enumerate(tokens)}, merges=merges, model_max_length=LENGTH)
