"""A seeded Stable Diffusion pipeline of a few thousand weights, saved as a real one is: every class and file name."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import torch

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,'-"
START, END = "<|startoftext|>", "<|endoftext|>"
_NOISE = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "clip_sample": False,
    "steps_offset": 1,
}


def tiny_pipeline(folder: Path, *, seed: int = 0, checker: bool = False, width: int = 32) -> Path:
    """A `StableDiffusionPipeline` folder: 32 pixels square by default, any multiple of 4 on request.

    Args:
        folder: where to save it.
        seed: of the random weights.
        checker: also save a safety checker, as Stable Diffusion 1.x has one.
        width: of the text encoder's output: 768 as in Stable Diffusion 1.x, 1024 as in 2.x, or of no published model.
    """
    from diffusers import DDIMScheduler, StableDiffusionPipeline
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    words = _tokenizer_files(folder / "words")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = _unet(cross_attention_dim=width)
        vae = _vae()
        text = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(words),
                hidden_size=width,
                intermediate_size=64,
                num_hidden_layers=2,
                num_attention_heads=4,
                bos_token_id=words[START],
                eos_token_id=words[END],
                pad_token_id=words[END],
            )
        )
        _tell_apart(text)
        extras = _checker() if checker else {"safety_checker": None, "feature_extractor": None}
    StableDiffusionPipeline(
        vae=vae,
        text_encoder=text,
        tokenizer=CLIPTokenizer.from_pretrained(folder / "words"),
        unet=unet,
        scheduler=DDIMScheduler(**_NOISE),
        requires_safety_checker=checker,
        **extras,
    ).save_pretrained(folder / "pipeline", safe_serialization=True)
    return folder / "pipeline"


def tiny_xl_pipeline(folder: Path, *, seed: int = 0) -> Path:
    """A `StableDiffusionXLPipeline` folder: two text encoders, pooled text and size conditioning, 32 pixels square."""
    from diffusers import DDIMScheduler, StableDiffusionXLPipeline
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    words = _tokenizer_files(folder / "words")
    tokenizer = CLIPTokenizer.from_pretrained(folder / "words")
    text = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,  # the last but one is read
        num_attention_heads=4,
        projection_dim=32,
        bos_token_id=words[START],
        eos_token_id=words[END],
        pad_token_id=words[END],
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = _unet(
            cross_attention_dim=64,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + 32,
        )
        vae = _vae()
        encoders = CLIPTextModel(text), CLIPTextModelWithProjection(text)
        for encoder in encoders:
            _tell_apart(encoder)
    StableDiffusionXLPipeline(
        vae=vae,
        text_encoder=encoders[0],
        text_encoder_2=encoders[1],
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=unet,
        scheduler=DDIMScheduler(**_NOISE),
        add_watermarker=False,
    ).save_pretrained(folder / "pipeline", safe_serialization=True)
    return folder / "pipeline"


def tiny_transformer_pipeline(folder: Path, kind: str, *, texts: bool = False, **settings: Any) -> Path:
    """A folder of a pipeline with a transformer: 32 pixels square, from the size that `sample_size` stands for.

    Args:
        folder: where to save it.
        kind: `StableDiffusion3`, `Flux`, `PixArtAlpha`, `PixArtSigma` or `Sana`.
        texts: also save its text encoders and tokenizers; without, it can be recognised, but not draw.
        settings: of the transformer.
    """
    import diffusers

    narrow: dict[str, Any] = {"attention_head_dim": 8, "num_attention_heads": 1, "num_layers": 1, "in_channels": 4}
    of: dict[str, tuple[str, dict[str, Any]]] = {
        "StableDiffusion3": (
            "SD3Transformer2DModel",
            {"joint_attention_dim": 16, "caption_projection_dim": 8, "pooled_projection_dim": 16, "out_channels": 4},
        ),
        "Flux": (
            "FluxTransformer2DModel",
            {
                "num_single_layers": 1,
                "joint_attention_dim": 16,
                "pooled_projection_dim": 16,
                "axes_dims_rope": (2, 2, 4),
                "in_channels": 16,  # four latents in a square
            },
        ),
        "PixArt": ("PixArtTransformer2DModel", {"cross_attention_dim": 8, "caption_channels": 16}),
        "Sana": (
            "SanaTransformer2DModel",
            {
                "in_channels": 8,
                "out_channels": 8,
                "num_cross_attention_heads": 1,
                "cross_attention_head_dim": 8,
                "cross_attention_dim": 8,
                "caption_channels": 16,
            },
        ),
    }
    network, more = of["PixArt" if kind.startswith("PixArt") else kind]
    blocks = {"block_out_channels": (8, 8, 8, 8), "norm_num_groups": 8}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        parts = {
            "transformer": getattr(diffusers, network)(**narrow | more | settings),
            "vae": diffusers.AutoencoderDC(
                attention_head_dim=8,
                encoder_block_out_channels=(8,) * 6,
                decoder_block_out_channels=(8,) * 6,
                encoder_layers_per_block=(1,) * 6,
                decoder_layers_per_block=(1,) * 6,
                encoder_qkv_multiscales=((),) * 6,
                decoder_qkv_multiscales=((),) * 6,
                latent_channels=8,
            )
            if kind == "Sana"
            else diffusers.AutoencoderKL(
                down_block_types=("DownEncoderBlock2D",) * 4,
                up_block_types=("UpDecoderBlock2D",) * 4,
                shift_factor=0.1,
                **blocks,
            ),
        }
        pipeline = getattr(diffusers, f"{kind}Pipeline")
        told = [n for n in inspect.signature(pipeline).parameters if n.startswith(("text_encoder", "tokenizer"))]
        parts |= _texts(folder.with_name(f"{folder.name}-words"), kind) if texts else dict.fromkeys(told)
    flows = not kind.startswith("PixArt")
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler() if flows else diffusers.DDIMScheduler(**_NOISE)
    pipeline(scheduler=scheduler, **parts).save_pretrained(folder, safe_serialization=True)
    return folder


def _texts(words: Path, kind: str) -> dict[str, Any]:
    """Text encoders and tokenizers of a pipeline with a transformer, 16 numbers a token in all."""
    import transformers

    if kind == "Sana":
        letters = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *LETTERS]
        gemma = transformers.Gemma2Config(
            vocab_size=len(letters),
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=8,
        )
        found = {
            "tokenizer": transformers.GemmaTokenizer({c: i for i, c in enumerate(letters)}, []),
            "text_encoder": transformers.Gemma2Model(gemma),
        }
    else:
        vocabulary = [*((special, 0.0) for special in ("<pad>", "</s>", "<unk>")), ("▁", -2.0)]
        t5 = transformers.T5Config(
            vocab_size=len(vocabulary) + len(LETTERS), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2
        )
        found = {
            "tokenizer": transformers.T5Tokenizer([*vocabulary, *((c, -3.0) for c in LETTERS)], extra_ids=0),
            "text_encoder": transformers.T5EncoderModel(t5),
        }
    if not kind.startswith(("PixArt", "Sana")):
        ids = _tokenizer_files(words)
        two = kind == "StableDiffusion3"
        clip = transformers.CLIPTextConfig(
            vocab_size=len(ids),
            hidden_size=8 if two else 16,
            projection_dim=8,
            intermediate_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            bos_token_id=ids[START],
            eos_token_id=ids[END],
            pad_token_id=ids[END],
        )
        last = "_3" if two else "_2"
        found = {f"{name}{last}": part for name, part in found.items()}
        for which in ("", "_2") if two else ("",):
            kinds = transformers.CLIPTextModelWithProjection if two else transformers.CLIPTextModel
            found |= {f"text_encoder{which}": kinds(clip)}
            found |= {f"tokenizer{which}": transformers.CLIPTokenizer.from_pretrained(words)}
    for part in found.values():
        if isinstance(part, torch.nn.Module):
            _tell_apart(part)
    return found


def _unet(**more: Any) -> Any:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16, 32),
        layers_per_block=1,
        norm_num_groups=8,
        attention_head_dim=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        **more,
    )


def _vae() -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(8, 16, 16),
        norm_num_groups=8,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
    )


def _tell_apart(encoder: torch.nn.Module) -> None:
    """Larger weights: transformers starts so small that all prompts would look alike."""
    for layer in encoder.modules():
        if isinstance(layer, torch.nn.Linear | torch.nn.Embedding):
            torch.nn.init.normal_(layer.weight, std=0.3)


def _tokenizer_files(folder: Path) -> dict[str, int]:
    folder.mkdir()
    ids = {token: i for i, token in enumerate([*LETTERS, *(f"{c}</w>" for c in LETTERS), START, END])}
    (folder / "vocab.json").write_text(json.dumps(ids))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    special = {"bos_token": START, "eos_token": END, "pad_token": END, "unk_token": END}
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return ids


def _checker() -> dict[str, object]:
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessor

    vision = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 8,
    }
    return {
        "safety_checker": StableDiffusionSafetyChecker(CLIPConfig(vision_config=vision, projection_dim=16)),
        "feature_extractor": CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
    }
