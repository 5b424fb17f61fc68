"""Small seeded image-text-to-text models, written to disk as their real counterparts are published."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from tiny import _spread

IMAGE = "<image>"
_WORDS = (
    "is there a an the does this image show in style of who adult church castle mosque dog cat answer or question "
    "how many yes no Yes No Is Does Answer Question USER ASSISTANT User Assistant en church? castle? image? : . , ?"
)
_CHAT = (
    "{% for m in messages %}User:{% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}IMAGE {% else %}{{ c['text'] }}{% endif %}"
    "{% endfor %}<end>{% endfor %}{% if add_generation_prompt %} Assistant:{% endif %}"
)


def _tokenizer(*special: str, **options: Any) -> Any:
    """Words, each with and without the space before it, and letters of whatever else is written."""
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = _WORDS.split()
    letters = [chr(i) for i in range(33, 127)]
    pieces = ["<unk>", "<s>", "</s>", "<pad>", "▁", *letters, *(f"▁{x}" for x in letters)]
    pieces += [p for w in words for p in (w, f"▁{w}")]
    vocabulary = {p: i for i, p in enumerate(dict.fromkeys(pieces))}
    whole = Tokenizer(models.Unigram([(p, -1.0 if len(p) > 1 else -8.0) for p in vocabulary], unk_id=0))
    whole.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    found = PreTrainedTokenizerFast(
        tokenizer_object=whole, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<pad>", **options
    )
    found.add_special_tokens({"additional_special_tokens": [AddedToken(t, special=True) for t in (*special, "<end>")]})
    return found


def _saved(folder: Path, model: type, config: Any, processor: Any, seed: int) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = model(config)
        _spread(network)
    network.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _text(vocabulary: int, **more: Any) -> dict[str, Any]:
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    special = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3}
    return {
        "vocab_size": vocabulary,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        **sizes,
        **special,
        **more,
    }


def _vision(**more: Any) -> dict[str, Any]:
    return {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 8,
        **more,
    }


def llava(folder: Path, seed: int = 0) -> Path:
    """LLaVA: CLIP's eyes, Llama's words; a chat template."""
    from transformers import CLIPImageProcessorPil, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor

    tokens = _tokenizer(IMAGE)
    config = LlavaConfig(
        vision_config={"model_type": "clip_vision_model", "projection_dim": 16, **_vision()},
        text_config={"model_type": "llama", **_text(len(tokens))},
        image_token_index=tokens.convert_tokens_to_ids(IMAGE),
        image_seq_length=16,
    )
    images = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    processor = LlavaProcessor(
        images,
        tokens,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=_CHAT.replace("IMAGE", IMAGE),
    )
    return _saved(folder, LlavaForConditionalGeneration, config, processor, seed)


def qwen2_vl(folder: Path, seed: int = 0) -> Path:
    """Qwen2-VL: as many image tokens as the image has patches, positions of its own; a chat template."""
    from transformers import (
        Qwen2VLConfig,
        Qwen2VLForConditionalGeneration,
        Qwen2VLImageProcessorPil,
        Qwen2VLProcessor,
        Qwen2VLVideoProcessor,
    )

    special = ("<|vision_start|>", "<|image_pad|>", "<|video_pad|>", "<|vision_end|>")
    tokens = _tokenizer(*special)
    ids = dict(zip(special, tokens.convert_tokens_to_ids(list(special)), strict=True))
    rope = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0}
    config = Qwen2VLConfig(
        text_config=_text(len(tokens), rope_parameters=rope),
        vision_config={
            "depth": 2,
            "embed_dim": 32,
            "hidden_size": 32,
            "num_heads": 2,
            "mlp_ratio": 2,
            "patch_size": 8,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
    )
    sizes = {"size": {"shortest_edge": 1024, "longest_edge": 4096}, "patch_size": 8, "merge_size": 2}
    processor = Qwen2VLProcessor(
        Qwen2VLImageProcessorPil(**sizes),
        tokens,
        Qwen2VLVideoProcessor(**sizes),
        chat_template=_CHAT.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>"),
    )
    return _saved(folder, Qwen2VLForConditionalGeneration, config, processor, seed)


def idefics3(folder: Path, seed: int = 0) -> Path:
    """Idefics3, as SmolVLM: the image whole and in parts; a chat template."""
    from transformers import (
        Idefics3Config,
        Idefics3ForConditionalGeneration,
        Idefics3ImageProcessorPil,
        Idefics3Processor,
    )

    parts = [f"<row_{r}_col_{c}>" for r in range(1, 5) for c in range(1, 5)]
    special = ("<fake_token_around_image>", IMAGE, "<end_of_utterance>", "<global-img>", *parts)
    tokens = _tokenizer(*special)
    config = Idefics3Config(
        vision_config=_vision(),
        text_config={"model_type": "llama", **_text(len(tokens))},
        scale_factor=2,
        image_token_id=tokens.convert_tokens_to_ids(IMAGE),
        pad_token_id=3,
    )
    images = Idefics3ImageProcessorPil(size={"longest_edge": 64}, max_image_size={"longest_edge": 32})
    processor = Idefics3Processor(images, tokens, image_seq_len=4, chat_template=_CHAT.replace("IMAGE", IMAGE))
    return _saved(folder, Idefics3ForConditionalGeneration, config, processor, seed)


def paligemma(folder: Path, seed: int = 0) -> Path:
    """PaliGemma: no chat template, and a prefix that sees itself whole."""
    from transformers import (
        PaliGemmaConfig,
        PaliGemmaForConditionalGeneration,
        PaliGemmaProcessor,
        SiglipImageProcessorPil,
    )

    tokens = _tokenizer(IMAGE)
    images = SiglipImageProcessorPil(size={"height": 32, "width": 32})
    images.image_seq_length = 16
    processor = PaliGemmaProcessor(images, tokens)
    config = PaliGemmaConfig(
        vision_config={"model_type": "siglip_vision_model", "projection_dim": 32, **_vision()},
        text_config={"model_type": "gemma", "head_dim": 16, **_text(len(tokens))},
        image_token_index=tokens.convert_tokens_to_ids(IMAGE),
        projection_dim=32,
        hidden_size=32,
        vocab_size=len(tokens),
    )
    return _saved(folder, PaliGemmaForConditionalGeneration, config, processor, seed)


def blip2(folder: Path, seed: int = 0) -> Path:
    """BLIP-2 with OPT: no chat template, image tokens before the text, learnt positions."""
    from transformers import Blip2Config, Blip2ForConditionalGeneration, Blip2Processor, BlipImageProcessorPil

    tokens = _tokenizer(IMAGE)
    opt = _text(len(tokens), ffn_dim=48, word_embed_proj_dim=32)
    config = Blip2Config(
        vision_config=_vision(),
        qformer_config={**_text(30), "encoder_hidden_size": 32},
        text_config={"model_type": "opt", **opt},
        num_query_tokens=4,
        image_token_index=tokens.convert_tokens_to_ids(IMAGE),
    )
    images = BlipImageProcessorPil(size={"height": 32, "width": 32})
    processor = Blip2Processor(images, tokens, num_query_tokens=4)
    return _saved(folder, Blip2ForConditionalGeneration, config, processor, seed)


ARCHITECTURES: Mapping[str, Callable[[Path], Path]] = {
    "llava": llava,
    "qwen2_vl": qwen2_vl,
    "idefics3": idefics3,
    "paligemma": paligemma,
    "blip2": blip2,
}


def siglip(folder: Path, seed: int = 0) -> Path:
    """SigLIP: a scale and a bias of its own."""
    from transformers import SiglipConfig, SiglipImageProcessorPil, SiglipModel

    tokens = _tokenizer(model_max_length=64, model_input_names=["input_ids"])
    config = SiglipConfig(text_config=_text(len(tokens), max_position_embeddings=64), vision_config=_vision())
    return _saved_pair(
        folder, SiglipModel, config, SiglipImageProcessorPil(size={"height": 32, "width": 32}), tokens, seed
    )


def siglip2(folder: Path, seed: int = 0) -> Path:
    """SigLIP 2 that keeps an image's shape: patches, which of them there are, and how they lie."""
    from transformers import Siglip2Config, Siglip2ImageProcessorPil, Siglip2Model

    tokens = _tokenizer(model_max_length=64)
    config = Siglip2Config(
        text_config=_text(len(tokens), max_position_embeddings=64, projection_size=32),
        vision_config=_vision(num_patches=16),
    )
    images = Siglip2ImageProcessorPil(patch_size=8, max_num_patches=16)
    return _saved_pair(folder, Siglip2Model, config, images, tokens, seed)


def _saved_pair(folder: Path, model: Any, config: Any, images: Any, tokens: Any, seed: int) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = model(config)
        _spread(network)
    network.logit_scale.data.fill_(2.0)
    network.logit_bias.data.fill_(-1.5)
    network.save_pretrained(folder)
    images.save_pretrained(folder)
    tokens.save_pretrained(folder)
    return folder
