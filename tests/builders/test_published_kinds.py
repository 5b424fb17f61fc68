"""Which pipelines are taken, and which are refused before their weights are fetched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from igmu_data.errors import WeightsError
from igmu_metrics.images import pipelines
from igmu_metrics.images.pipelines import find_pipeline


def test_what_is_not_text_to_image_is_refused_before_it_is_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub
    from diffusers import DiffusionPipeline

    index = tmp_path / "model_index.json"
    index.write_text(json.dumps({"_class_name": "StableDiffusionUpscalePipeline"}))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_, **__: str(index))
    monkeypatch.setattr(DiffusionPipeline, "download", lambda *_, **__: pytest.fail("it was downloaded"))
    with pytest.raises(WeightsError, match="cannot generate images from prompts"):
        find_pipeline("owner/upscaler")
    index.write_text("{")
    with pytest.raises(WeightsError, match=r"model_index\.json is not valid JSON"):
        find_pipeline("owner/broken")


def class_of(folder: Path, name: str) -> Any:
    """The class that a repository's index names, as it is looked at before anything else is fetched."""
    (folder / "model_index.json").write_text(json.dumps({"_class_name": name}))
    return pipelines._class(folder, name)


@pytest.mark.parametrize(
    ("name", "takes"),
    [
        ("StableDiffusionInpaintPipeline", "mask_image"),
        ("StableDiffusionControlNetPipeline", "controlnet"),
        ("StableDiffusionXLControlNetUnionPipeline", "control_image"),
        ("StableDiffusionXLInstructPix2PixPipeline", "image"),
        ("StableDiffusionXLAdapterPipeline", "adapter"),
        ("StableDiffusion3Img2ImgPipeline", "strength"),
        ("StableDiffusion3ControlNetPipeline", "controlnet"),
        ("FluxImg2ImgPipeline", "image, strength"),
        ("FluxFillPipeline", "image, mask_image"),
        ("FluxControlPipeline", "control_image"),
        ("FluxControlNetPipeline", "controlnet"),
        ("SanaSprintImg2ImgPipeline", "strength"),
        ("SanaControlNetPipeline", "controlnet"),
        ("SanaVideoPipeline", "frames"),
        ("QwenImageEditPipeline", "image"),
        ("WanPipeline", "num_frames"),
        ("LTXPipeline", "num_frames"),
        ("AnimateDiffVideoToVideoPipeline", "video"),
        ("Kandinsky5I2IPipeline", "image"),
    ],
)
def test_what_wants_an_image_or_makes_videos_is_refused_by_its_index(tmp_path: Path, name: str, takes: str) -> None:
    with pytest.raises(
        WeightsError, match=f"{name} cannot generate images from prompts alone .it also requires .*{takes}"
    ):
        class_of(tmp_path, name)


@pytest.mark.parametrize(
    "name",
    [
        *("StableDiffusion", "StableDiffusionXL", "StableDiffusion3", "Flux", "PixArtAlpha", "PixArtSigma", "Sana"),
        *("SanaSprint", "Flux2", "FluxKontext", "QwenImage", "ZImage", "LatentConsistencyModel", "AuraFlow", "Lumina2"),
        *("StableDiffusion3PAG", "Kandinsky3", "IF", "Chroma", "HunyuanDiT", "CogView4"),
    ],
)
def test_what_generates_from_texts_is_taken_by_its_index(tmp_path: Path, name: str) -> None:
    assert class_of(tmp_path, f"{name}Pipeline").__name__ == f"{name}Pipeline"
