"""A keyword filter: the words on a list are blanked before the text encoder sees them.

The filter is a rule in `tokenizer.json`, so that a saved pipeline applies it with no code of its own. transformers'
`CLIPTokenizer` would pass it over: it takes vocabulary and merges from that file and builds its own normaliser. So the
filtered tokenizer is transformers' general class, `PreTrainedTokenizerFast` (in transformers 5 another name for
`TokenizersBackend`), which takes the file as it is, and which StableDiffusionPipeline accepts. `model_index.json` must
name one of the two: where it names CLIPTokenizer, the words come through.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from igmu_data.errors import EmptyInputError

if TYPE_CHECKING:
    from transformers import CLIPTokenizer, PreTrainedTokenizerFast


def filtered(tokenizer: CLIPTokenizer, words: Sequence[str]) -> PreTrainedTokenizerFast:
    """A tokenizer that gives a prompt the ids which it would have without the words.

    Args:
        tokenizer: of the pipeline; stays as it was.
        words: words or names of several words; whole words are blanked in either case, alone or with s or es at the
            end. Of two that begin at the same place, the longer one is.
    """
    from tokenizers import Regex, Tokenizer, decoders, normalizers
    from transformers import PreTrainedTokenizerFast

    if not all(word.strip() for word in words) or not words:
        raise EmptyInputError(f"words is {list(words)!r}: an empty list or word would blank nothing or everything.")
    names = sorted((r"\s+".join(map(re.escape, word.split())) for word in words), key=len, reverse=True)
    blocked = Regex(rf"(?i)(?<!\w)(?:{'|'.join(names)})(?:e?s)?(?!\w)")
    rules = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    rules.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(blocked, " "), rules.normalizer])
    # CLIPTokenizer ends words with a space by code of its own; here the rules say so.
    rules.decoder = decoders.Sequence(
        [rules.decoder, decoders.Replace("</w>", " "), decoders.Strip(" ", left=0, right=1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=rules,
        model_max_length=tokenizer.model_max_length,
        model_input_names=tokenizer.model_input_names,
        padding_side=tokenizer.padding_side,
        truncation_side=tokenizer.truncation_side,
        **tokenizer.special_tokens_map,
    )
