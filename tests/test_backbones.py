"""Backbones: one contract for all, then each against an independent implementation on the same seeded weights."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tiny import sample_images, tiny_clip, tiny_dinov2, tiny_inception, tiny_trunk

from igmu_data.errors import (
    EmptyInputError,
    InputError,
    LengthMismatchError,
    MissingExtraError,
    UnsupportedError,
    WeightsError,
)
from igmu_metrics import registry, score
from igmu_metrics.backbones import clip, dinov2, inception, lpips
from igmu_metrics.metrics import clip_alignment
from igmu_metrics.networks import loading

LONG = "many words that fill the text encoder and then some more, " * 3
TEXTS = ["a church by a river", "boats", "an old harbour, at dusk", LONG, "x"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {
        "clip": tiny_clip(folder / "clip"),
        "dinov2": tiny_dinov2(folder / "dino"),
        "inception": tiny_inception(folder / "inception.safetensors"),
        "lpips": tiny_trunk(folder / "alex.safetensors"),
    }


@pytest.fixture(scope="module")
def loaded(models: dict[str, Path]) -> dict[str, object]:
    return {
        "clip": registry.backbone(f"clip:{models['clip']}"),
        "dinov2": registry.backbone(f"dinov2:{models['dinov2']}"),
        "inception": registry.backbone(f"inception:{models['inception']}"),
        "lpips": registry.backbone(f"lpips:alex?trunk={models['lpips']}"),
    }


def close(found: np.ndarray, expected: np.ndarray, relative: float = 1e-5) -> None:
    """Relative to the size of the whole vector: single entries near 0 carry the rounding of the large ones."""
    expected = np.asarray(expected, dtype=np.float64)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= relative * np.abs(expected).max()


# --- the contract -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "width"), [("clip", 16), ("dinov2", 32), ("inception", 2048)])
@pytest.mark.slow
def test_image_features_do_not_depend_on_the_batch(
    loaded: dict, name: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [*sample_images(2, (60, 44)), *sample_images(1, (32, 90), seed=1)]
    whole = loaded[name].image_features(images)
    assert whole.shape == (3, width)
    assert whole.dtype == np.float64
    assert np.ptp(whole, axis=0).max() > 1e-3  # different images, different features
    monkeypatch.setattr(loaded[name], "batch", 2)
    # float32 sums in another order
    close(loaded[name].image_features(images), whole, 2e-6)
    close(loaded[name].image_features(images[::-1])[::-1], whole, 2e-6)


def test_text_features_do_not_depend_on_the_batch(loaded: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = loaded["clip"].text_features(TEXTS)
    assert whole.shape == (5, 16)
    monkeypatch.setattr(clip, "_TEXTS", 2)
    close(loaded["clip"].text_features(TEXTS), whole, 2e-6)


def test_distances_do_not_depend_on_the_batch(loaded: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    images, others = sample_images(3, 64), sample_images(3, (70, 50), seed=1)
    whole = loaded["lpips"].image_distance(images, others)
    assert whole.shape == (3,)
    assert whole.dtype == np.float64
    monkeypatch.setattr(loaded["lpips"], "batch", 2)
    close(loaded["lpips"].image_distance(images, others), whole, 2e-6)
    close(loaded["lpips"].image_distance(others, images), whole, 2e-6)
    assert loaded["lpips"].image_distance(images, images).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("name", ["clip", "dinov2", "inception", "lpips"])
def test_what_a_backbone_is_can_be_reproduced_from_its_info(loaded: dict, models: dict, name: str) -> None:
    info = loaded[name].info
    assert info.name.startswith(f"{name}:")
    assert len(info.revision) == len("sha256:") + 16
    assert str(models[name].parent) not in str(info)  # where the file lies says nothing about the numbers
    assert info.preparation
    assert info.settings["precision"] == "fp32"


@pytest.mark.parametrize(
    ("metric", "name", "given"),
    [
        ("lpips", "clip", {"original_images": True}),
        ("lpips", "inception", {"original_images": True}),
        ("frechet", "lpips", {"original_images": True}),
        ("clip_alignment", "inception", {"prompts": ["a house"] * 2}),
        ("clip_alignment", "lpips", {"prompts": ["a house"] * 2}),
    ],
)
def test_a_metric_says_that_its_backbone_is_of_another_kind(
    metric: str, name: str, given: dict[str, Any], models: dict
) -> None:
    images = sample_images(2)
    given = {k: images if v is True else v for k, v in given.items()}
    spec = f"lpips:alex?trunk={models[name]}" if name == "lpips" else f"{name}:{models[name]}"
    with pytest.raises(UnsupportedError, match=f"backbone '{name}:"):
        score(metric, images=images, backbone=spec, **given)


def test_missing_methods_and_empty_input_are_refused(loaded: dict) -> None:
    for name, backbone in loaded.items():
        images = sample_images(1)
        if name != "clip":
            with pytest.raises(
                UnsupportedError, match=rf"backbone '{name}:.*' cannot compute text features\. Use 'clip'"
            ):
                backbone.text_features(["a"])
        if name == "lpips":
            with pytest.raises(
                UnsupportedError, match=r"backbone 'lpips:.*' cannot compute image features\. Use 'clip'"
            ):
                backbone.image_features(images)
            with pytest.raises(EmptyInputError):
                backbone.image_distance([], [])
            with pytest.raises(LengthMismatchError, match=r"the two sets differ in size \(1 and 2\)"):
                backbone.image_distance(images, images * 2)
        else:
            with pytest.raises(
                UnsupportedError, match=rf"backbone '{name}:.*' cannot compute image distances\. Use 'lpips:alex'"
            ):
                backbone.image_distance(images, images)
            with pytest.raises(EmptyInputError):
                backbone.image_features([])
    with pytest.raises(EmptyInputError):
        loaded["clip"].text_features([])


def test_images_that_are_not_rgb_are_converted(loaded: dict) -> None:
    grey = sample_images(1)[0].convert("L")
    for name in ("clip", "dinov2", "inception"):
        close(loaded[name].image_features([grey]), loaded[name].image_features([grey.convert("RGB")]), 0)


def test_loading_leaves_the_random_generator_alone(models: dict) -> None:
    state = torch.get_rng_state()
    for name, argument in (("inception", models["inception"]), ("lpips", f"alex?trunk={models['lpips']}")):
        registry.backbone(f"{name}:{argument}")
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", ["clip", "inception"])
def test_bf16_is_near_and_named(models: dict, loaded: dict, name: str) -> None:
    rough = registry.backbone(f"{name}:{models[name]}", precision="bf16")
    assert rough.info.settings["precision"] == "bf16"
    images = sample_images(2)
    fine, found = loaded[name].image_features(images), rough.image_features(images)
    assert not np.array_equal(fine, found)
    close(found, fine, 0.1)


# --- where weights come from ------------------------------------------------------------------------------------------


def test_a_folder_without_safetensors_is_refused_and_its_pickle_never_opened(models: dict, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(models["clip"], tmp_path / "clip"))
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(WeightsError, match="no safetensors"):
        clip.load(str(folder))


def test_weights_that_lack_a_tensor_are_refused(models: dict, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(models["clip"], tmp_path / "clip"))
    state = load_file(folder / "model.safetensors")
    del state["visual_projection.weight"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=r"is missing weights, .*'visual_projection\.weight' \(1 in"):
        clip.load(str(folder))


def test_another_architecture_is_refused(models: dict) -> None:
    with pytest.raises(WeightsError, match="model type 'dinov2', but this backbone requires 'clip'"):
        clip.load(str(models["dinov2"]))


def test_a_revision_that_the_weights_do_not_have_is_refused(models: dict, loaded: dict) -> None:
    assert clip.load(str(models["clip"]), revision=loaded["clip"].info.revision).info == loaded["clip"].info
    for load, argument in ((clip.load, models["clip"]), (inception.load, models["inception"])):
        with pytest.raises(WeightsError, match="not sha256:0000"):
            load(str(argument), revision="sha256:0000")


@pytest.mark.parametrize("argument", ["./nowhere", "/no/such/folder", "a/b/c"])
def test_a_folder_that_is_not_there_is_not_looked_up_on_the_hub(argument: str) -> None:
    with pytest.raises(WeightsError, match="no folder"):
        clip.load(argument)


def test_a_file_is_not_looked_up_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "clip.safetensors").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match=r"models/clip\.safetensors is a file"):
        clip.load("models/clip.safetensors")


def test_the_default_is_fetched_at_its_pinned_commit(models: dict, tmp_path: Path, monkeypatch) -> None:
    asked = {}

    def snapshot(name: str, *, revision: str, allow_patterns: list[str]) -> str:
        asked.update(name=name, revision=revision, patterns=allow_patterns)
        return str(shutil.copytree(models["clip"], tmp_path / revision))

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    info = clip.load().info
    assert asked["name"] == "openai/clip-vit-base-patch32"
    assert len(asked["revision"]) == 40
    assert not any("bin" in p or p == "*" for p in asked["patterns"])
    assert (info.name, info.revision) == ("clip:openai/clip-vit-base-patch32", asked["revision"])
    clip.load("someone/else@abc123")
    assert (asked["name"], asked["revision"]) == ("someone/else", "abc123")


def test_what_the_hub_cannot_give_is_a_typed_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*args: object, **kwargs: object) -> str:
        raise OSError("no route to host.")

    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    with pytest.raises(
        WeightsError, match=r"cannot fetch 'facebook/dinov2-base' at [0-9a-f]{40} from the Hub \(no route"
    ):
        dinov2.load()


def test_files_are_fetched_once_and_checked_against_the_hash_in_their_name(tmp_path: Path, monkeypatch) -> None:
    asked = []

    def download(url: str, path: str, *, hash_prefix: str | None, progress: bool) -> None:
        asked.append((url, hash_prefix))
        if "broken" in url:
            raise RuntimeError("invalid hash value")
        Path(path).write_bytes(b"weights")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    url = "https://example.org/weights-inception-2015-12-05-6726825d.pth"
    assert loading.fetch(url).read_bytes() == loading.fetch(url).read_bytes() == b"weights"
    assert asked == [(url, "6726825d")]
    with pytest.raises(
        WeightsError, match=r"\(invalid hash value.*\)\. Download the file elsewhere, and specify its path"
    ):
        loading.fetch("https://example.org/broken-0123abcd.pth")


@pytest.mark.slow
def test_files_in_torchs_cache_are_found_without_torch(tmp_path: Path) -> None:
    url = lpips.TRUNKS["alex"]
    found_by = f"from igmu_metrics.networks.loading import fetched; print(fetched({url!r}))"
    script = f"import sys; {found_by}; print('torch' in sys.modules)"
    for given in ({"TORCH_HOME": str(tmp_path)}, {"XDG_CACHE_HOME": str(tmp_path)}):
        kept = {k: v for k, v in os.environ.items() if k not in ("TORCH_HOME", "XDG_CACHE_HOME")}
        run = partial(subprocess.check_output, env=kept | given, text=True)
        expected = run([sys.executable, "-c", "import torch; print(torch.hub.get_dir())"]).strip()
        found = run([sys.executable, "-c", script])
        assert found.split() == [f"{expected}/checkpoints/{url.rpartition('/')[2]}", "False"]


def test_published_weights_are_where_their_packages_say() -> None:
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3
    from torchvision.models import AlexNet_Weights, VGG16_Weights

    assert inception.URL == URL_INCEPTION_V3
    networks = {"alex": AlexNet_Weights, "vgg": VGG16_Weights}
    assert {name: weights.IMAGENET1K_V1.url for name, weights in networks.items()} == lpips.TRUNKS


@pytest.mark.parametrize("name", ["clip", "dinov2", "inception", "lpips"])
def test_what_is_loaded_is_what_the_revision_covers(models: dict, loaded: dict, tmp_path: Path, name: str) -> None:
    module = {"clip": clip, "dinov2": dinov2, "inception": inception, "lpips": lpips}[name]
    own = models[name]
    there = shutil.copytree(own, tmp_path / own.name) if own.is_dir() else shutil.copy(own, tmp_path / own.name)
    spec = f"alex?trunk={there}" if name == "lpips" else str(there)
    copied = module.load(spec).info
    assert copied == loaded[name].info  # wherever it lies
    if there.is_dir():
        (there / "README.md").write_text("said")
        (there / "training_args.json").write_text("{}")
        assert module.load(spec).info == copied
        for file in ("config.json", "preprocessor_config.json"):
            given = json.loads((there / file).read_text())
            (there / file).write_text(json.dumps(given | {"planted": 1}))
            assert module.load(spec).info.revision != copied.revision
            copied = module.load(spec).info
    else:
        save_file({key: tensor.float() + 1e-3 for key, tensor in load_file(there).items()}, there)
        assert module.load(spec).info.revision != copied.revision


def test_torch_files_are_read_without_running_what_they_hold(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
            return (Path.touch, (tmp_path / "harmed",))  # type: ignore[return-value]

    torch.save({"Conv2d_1a_3x3.conv.weight": Harm()}, tmp_path / "weights.pth")
    for load, argument in (
        (inception.load, f"{tmp_path}/weights.pth"),
        (lpips.load, f"alex?trunk={tmp_path}/weights.pth"),
    ):
        with pytest.raises(WeightsError, match="neither a safetensors file nor a plain torch state dict"):
            load(argument)
    assert not (tmp_path / "harmed").exists()


def test_weights_of_something_else_are_refused(models: dict, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not contain the weights of torch-fidelity"):
        inception.load(str(models["lpips"]))
    with pytest.raises(WeightsError, match=r"is missing 'features\.0\.weight'"):
        lpips.load(f"alex?trunk={models['inception']}")
    with pytest.raises(WeightsError, match=r"is missing 'features\.2\.weight'"):
        lpips.load(f"vgg?trunk={models['lpips']}")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(WeightsError, match="does not contain a state dict"):
        inception.load(str(tmp_path / "list.pth"))
    with pytest.raises(WeightsError, match="no weight file"):
        inception.load(str(tmp_path / "none.safetensors"))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: inception.load("tf?sise=3"), "unknown option 'sise'"),
        (lambda: inception.load(preparation="blurred"), "preparation 'blurred'"),
        (lambda: lpips.load("squeeze"), "network 'squeeze'"),
        (lambda: lpips.load("alex?size=12"), "size is '12'"),
        (lambda: lpips.load("alex?size=large"), "size is 'large'"),
        (lambda: clip.load("x", precision="int8"), "precision 'int8'"),
        (lambda: clip.load("x", truncation="head"), "truncation 'head'"),
        (lambda: loading.pick_device("abacus"), "device 'abacus'"),
        (lambda: loading.pick_device("cuda:64"), "device 'cuda:64' is not available, because torch"),
    ],
)
def test_options_that_do_not_exist_are_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


def test_a_missing_package_names_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"igmu\[fidelity\]"):
        inception.load()
    with pytest.raises(MissingExtraError, match=r"igmu\[lpips\]"):
        lpips.load()


# --- CLIP -------------------------------------------------------------------------------------------------------------


def torchmetrics_scores(folder: Path, images: list[Image.Image], texts: list[str]) -> list[float]:
    """torchmetrics' CLIP score of each pair, with the same image processor (its own would be torchvision's)."""
    from torchmetrics.functional.multimodal import clip_score
    from transformers import AutoTokenizer, CLIPImageProcessorPil, CLIPModel, CLIPProcessor

    class Tensors(CLIPModel):
        """Gives tensors, as CLIPModel did up to transformers 4: torchmetrics 1.9 cannot take the output objects."""

        def get_image_features(self, *args, **kwargs):
            return super().get_image_features(*args, **kwargs).pooler_output

        def get_text_features(self, *args, **kwargs):
            return super().get_text_features(*args, **kwargs).pooler_output

    def model_and_processor() -> tuple[CLIPModel, CLIPProcessor]:
        processor = CLIPProcessor(
            image_processor=CLIPImageProcessorPil.from_pretrained(folder),
            tokenizer=AutoTokenizer.from_pretrained(folder),
        )
        return Tensors.from_pretrained(folder).eval(), processor

    tensors = [torch.from_numpy(np.array(image)).permute(2, 0, 1) for image in images]
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchmetrics says that it cuts long captions
        scores = [clip_score(i, t, model_name_or_path=model_and_processor) for i, t in zip(tensors, texts, strict=True)]
    return [float(s) for s in scores]


def ours(backbone: clip.Clip, images: list[Image.Image], texts: list[str]) -> list[float]:
    rows = clip_alignment.rows(features=backbone.image_features(images), text_features=backbone.text_features(texts))
    return list(100 * np.maximum(rows["alignment"], 0))


def test_clip_score_agrees_with_torchmetrics(models: dict, loaded: dict) -> None:
    images, texts = sample_images(12, (60, 44)), [f"{a} {b}" for a in ("a church", "boats", "dusk") for b in "wxyz"]
    expected = torchmetrics_scores(models["clip"], images, texts)
    assert sum(e > 0 for e in expected) >= 3  # not all clipped to 0
    assert ours(loaded["clip"], images, texts) == pytest.approx(expected, rel=1e-5, abs=1e-4)


def test_long_texts_keep_their_end_unless_asked_to_cut_as_torchmetrics_does(models: dict, loaded: dict) -> None:
    images, texts = sample_images(6, 32), [f"{LONG} {word}" for word in ("a", "b", "c", "d", "e", "f")]
    cutting = clip.load(str(models["clip"]), truncation="cut")
    assert cutting.info.settings["truncation"] == "cut"
    expected = torchmetrics_scores(models["clip"], images, texts)
    assert sum(e > 0 for e in expected) >= 1
    assert ours(cutting, images, texts) == pytest.approx(expected, rel=1e-5, abs=1e-4)
    # Without its end token a text is read at its start token: all long texts look the same.
    one, other = cutting.text_features([LONG, "quite " + LONG])
    assert np.allclose(one, other, rtol=1e-5)
    one, other = loaded["clip"].text_features([LONG, "quite " + LONG])
    assert not np.allclose(one, other, rtol=1e-2)


def test_texts_that_are_cut_are_named(models: dict) -> None:
    backbone = clip.load(str(models["clip"]))
    fits, over = "x" * (backbone.max_tokens - 2), "x" * (backbone.max_tokens - 1)
    assert backbone.cut_texts([over, fits, LONG]) == [True, False, True]


def test_clip_prepares_images_as_openai_does(models: dict, loaded: dict) -> None:
    """Shorter side to 32 by PIL's bicubic, central square, OpenAI's mean and deviation: all by hand."""
    from transformers import CLIPModel

    image = sample_images(1, (64, 48))[0]
    resized = image.resize((42, 32), Image.Resampling.BICUBIC)  # 64·32/48 = 42.67, cut
    pixels = np.asarray(resized.crop((5, 0, 37, 32)), dtype=np.float64) / 255
    mean, deviation = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
    tensor = torch.from_numpy(((pixels - mean) / deviation).astype(np.float32)).permute(2, 0, 1)[None]
    model = CLIPModel.from_pretrained(models["clip"]).eval()
    with torch.inference_mode():
        expected = model.visual_projection(model.vision_model(pixel_values=tensor).pooler_output)
    close(loaded["clip"].image_features([image]), expected.numpy())
    assert loaded["clip"].info.preparation == "pil bicubic to shortest edge 32, center crop 32x32"


def test_dinov2_gives_the_class_token(models: dict, loaded: dict) -> None:
    from transformers import Dinov2Model

    settings = json.loads((models["dinov2"] / "preprocessor_config.json").read_text())
    image = sample_images(1, 28)[0]  # the model's own size: no resize
    pixels = (np.asarray(image, dtype=np.float64) / 255 - settings["image_mean"]) / settings["image_std"]
    tensor = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[None]
    with torch.inference_mode():
        expected = Dinov2Model.from_pretrained(models["dinov2"]).eval()(pixel_values=tensor).pooler_output
    close(loaded["dinov2"].image_features([image]), expected.numpy())


# --- Inception --------------------------------------------------------------------------------------------------------


def fidelity_network(path: Path):
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    return FeatureExtractorInceptionV3("theirs", ["2048"], feature_extractor_weights_path=str(path))


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory):
    """torch-fidelity's own network with the same seed, loaded by its own code from a torch file."""
    return fidelity_network(tiny_inception(tmp_path_factory.mktemp("pth") / "inception.pth"))


def test_inception_agrees_with_torch_fidelity(models: dict, theirs) -> None:
    images = sample_images(2, (80, 56))
    backbone = inception.load(f"tf?weights={models['inception']}")
    assert backbone.info.name == "inception:tf"
    tensors = torch.stack([torch.from_numpy(np.array(i)).permute(2, 0, 1) for i in images])
    close(backbone.image_features(images), theirs(tensors)[0].numpy())


@pytest.mark.slow
def test_inception_reads_safetensors_and_torch_files_alike(loaded: dict, tmp_path: Path) -> None:
    images = sample_images(1)
    other = inception.load(str(tiny_inception(tmp_path / "inception.pth")))
    assert np.array_equal(other.image_features(images), loaded["inception"].image_features(images))


def test_the_clean_resize_is_clean_fids() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from cleanfid.resize import build_resizer

    resize = build_resizer("clean")
    for image in (*sample_images(1, (512, 300)), *sample_images(1, (64, 64)), *sample_images(1, 299)):
        expected = resize(np.asarray(image)).transpose(2, 0, 1)
        found = inception.clean_resize(image, 299)
        assert found.dtype == np.float32
        assert np.array_equal(found, expected)


def test_clean_features_are_those_of_the_clean_resize(loaded: dict, theirs) -> None:
    """On an image that no resize touches, torch-fidelity's network sees what ours sees, whichever the preparation."""
    image = sample_images(1, 299)
    expected = theirs(torch.from_numpy(np.array(image[0])).permute(2, 0, 1)[None])[0].numpy()
    close(loaded["inception"].image_features(image), expected)
    assert "clean" in loaded["inception"].info.preparation


def test_the_two_preparations_differ(models: dict, loaded: dict) -> None:
    images = sample_images(1, (512, 400))
    other = inception.load(f"{models['inception']}?preparation=tf")
    assert other.info.preparation != loaded["inception"].info.preparation
    assert other.info.name != loaded["inception"].info.name  # features are cached by name
    clean, tf = loaded["inception"].image_features(images), other.image_features(images)
    assert np.abs(clean - tf).max() > 1e-3 * np.abs(clean).max()


# --- LPIPS ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", ["alex", "vgg"])
def test_lpips_agrees_with_the_package(network: str, tmp_path: Path) -> None:
    import lpips as package
    from safetensors.torch import load_file

    path = tiny_trunk(tmp_path / "trunk.safetensors", network)
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        theirs = package.LPIPS(net=network, pnet_rand=True, verbose=False)  # reads its own linear weights
    trunk = load_file(path)
    for name, parameter in theirs.net.named_parameters():
        parameter.data.copy_(trunk["features." + name.split(".", 1)[1]])
    images, others = sample_images(2, 64), sample_images(2, 64, seed=1)
    backbone = lpips.load(f"{network}?trunk={path}&size=64")

    def scaled(batch: list[Image.Image]) -> torch.Tensor:
        return torch.stack([torch.from_numpy(np.array(i)).permute(2, 0, 1) for i in batch]) / 127.5 - 1

    with torch.inference_mode():
        expected = theirs(scaled(images), scaled(others)).numpy().reshape(-1)
    assert expected.min() > 1e-4
    close(backbone.image_distance(images, others), expected)
    assert backbone.info.name == f"lpips:{network}"


def test_lpips_resizes_to_its_size_and_says_so(models: dict, loaded: dict) -> None:
    images, others = sample_images(1, (300, 200)), sample_images(1, (300, 200), seed=1)
    square = [[i.resize((256, 256), Image.Resampling.BICUBIC) for i in side] for side in (images, others)]
    assert loaded["lpips"].image_distance(images, others) == pytest.approx(loaded["lpips"].image_distance(*square))
    assert "256x256" in loaded["lpips"].info.preparation
    native = lpips.load(f"alex?trunk={models['lpips']}&size=0")
    assert native.info.preparation == "own size, -1..1"
    assert native.image_distance(images, others) != pytest.approx(loaded["lpips"].image_distance(images, others))
    mixed = [*images, *sample_images(1, 96)]
    assert native.image_distance(mixed, mixed).tolist() == [0.0, 0.0]
    with pytest.raises(InputError, match=r"pair 0: the images have different sizes, \(300, 200\) and \(96, 96\)"):
        native.image_distance(images, sample_images(1, 96))


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="tells what is mapped into memory on Linux only")
def test_the_file_of_weights_is_let_go(tmp_path: Path) -> None:
    """It would stay in memory beside the weights, whole."""
    folder = tiny_clip(tmp_path / "unmapped")
    clip = registry.backbone(f"clip:{folder}")
    assert str(folder) not in Path("/proc/self/maps").read_text()
    assert clip.text_features(["a church"]).shape == (1, 16)
