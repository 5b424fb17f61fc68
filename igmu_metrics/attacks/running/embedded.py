"""A pipeline with new words: placeholders in its tokenizer, and learned embeddings in its text encoder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from igmu_metrics.images.pipelines import Pipeline


def placeholder(width: int) -> str:
    """The text that represents an embedding of this many words in a prompt.

    >>> placeholder(2)
    '<igmu-0> <igmu-1>'
    """
    return " ".join(f"<igmu-{i}>" for i in range(width))


def with_embedding(pipeline: Pipeline, file: Path, sha256: str) -> Pipeline:
    """The pipeline that reads `placeholder(…)` as the embedding in a safetensors file.

    Args:
        pipeline: the victim; its tokenizer does not normalize placeholders.
        file: one tensor `embedding`, (tokens, d).
        sha256: of the file; part of the new revision, so that images of two embeddings are not mixed.
    """

    def load() -> Any:
        import torch
        from safetensors.torch import load_file
        from tokenizers import AddedToken

        pipe = pipeline.load()
        embedding = load_file(file)["embedding"]
        words = [AddedToken(w, normalized=False) for w in placeholder(len(embedding)).split()]
        pipe.tokenizer.add_tokens(words)
        pipe.text_encoder.resize_token_embeddings(len(pipe.tokenizer), mean_resizing=False)
        table = pipe.text_encoder.get_input_embeddings().weight
        with torch.no_grad():
            for word, vector in zip(words, embedding, strict=True):
                table[pipe.tokenizer.convert_tokens_to_ids(word.content)] = vector.to(table)
        return pipe

    return replace(pipeline, revision=f"{pipeline.revision}+{sha256[:16]}", load=load)
