"""Detectors: one contract for all, then each against an independent computation of the same thing."""

from __future__ import annotations

import math
import os
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tiny import sample_images, tiny_clip

from igmu_data.errors import (
    DuplicateIdError,
    EmptyInputError,
    IgmuError,
    InputError,
    LabelError,
    MetadataError,
    MissingExtraError,
    NonFiniteError,
    OutOfRangeError,
    OutputError,
    WeightsError,
)
from igmu_metrics import registry
from igmu_metrics.detectors import _head_file, clip, hf_classifier, igmu_head, imagenet, labels, nudenet
from igmu_metrics.detectors._common import file_revision
from igmu_metrics.images.files import read_image
from igmu_metrics.networks.instruments import Batch, InstrumentInfo

HEAD = _head_file.shapes(_head_file.PUBLISHED_WIDTH)
CHURCH = Path(__file__).parents[2] / "shared" / "church"
CONCEPTS = ("object/church", "nsfw/nudity", "object/gas-pump")
N = 6


class Fixed:
    """A backbone whose features are given, and counted."""

    def __init__(self, images: Any, texts: dict[str, Any] | None = None, **attributes: float) -> None:
        self.info = InstrumentInfo(name="clip:fixed", revision="1", preparation="none", settings={"precision": "fp32"})
        self.images, self.texts, self.calls = np.asarray(images, float), texts or {}, 0
        self.__dict__ |= attributes

    def image_features(self, images: Sequence[Image.Image]) -> Any:
        self.calls += 1
        return self.images[: len(images)]

    def text_features(self, texts: Sequence[str]) -> Any:
        self.calls += 1
        return np.array([self.texts[text] for text in texts], float)

    def image_distance(self, images: Any, others: Any) -> Any:
        raise NotImplementedError


def batch_of(images: Sequence[Image.Image], folder: Path = Path("images")) -> Batch:
    return Batch([folder / f"{i}.png" for i in range(len(images))], images)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("detectors")


@pytest.fixture(scope="session")
def clip_folder(folder: Path) -> Path:
    return tiny_clip(folder / "clip")


@pytest.fixture(scope="session")
def resnet(folder: Path) -> Path:
    from torchvision.models import resnet50

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = resnet50(weights=None)
        network.fc.weight.data *= 0.15  # shares far from 1/1000, and from 1
        path = folder / "resnet.safetensors"
        save_file(network.state_dict(), path)
    return path


def tiny_vit(folder: Path, names: Sequence[str], **config: Any) -> Path:
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = ViTForImageClassification(
            ViTConfig(
                hidden_size=16,
                intermediate_size=32,
                num_hidden_layers=1,
                num_attention_heads=2,
                image_size=32,
                patch_size=16,
                id2label=dict(enumerate(names)),
                label2id={name: i for i, name in enumerate(names)},
                **config,
            )
        )
        torch.nn.init.normal_(model.classifier.weight)
    model.save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def vit(folder: Path) -> Path:
    return tiny_vit(folder / "vit", ["church, church building", "Gas_Pump", "an aquarium", "kirk"])


def text_model(folder: Path) -> Path:
    """A folder with weights of something that classifies no images."""
    from transformers import BertConfig, BertModel

    sizes = {"vocab_size": 8, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    BertModel(BertConfig(**sizes, intermediate_size=8, max_position_embeddings=8)).save_pretrained(folder)
    return folder


def head_weights(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator) * 0.05 for name, shape in HEAD.items()}


@pytest.fixture(scope="session")
def head(folder: Path) -> Path:
    torch.save(head_weights(), folder / "head.pth")
    igmu_head.import_pth(folder / "head.pth", folder / "head.safetensors", concept="object/church")
    return folder / "head.safetensors"


# --- the contract that every detector keeps -----------------------------------------------------------------------

EVERY = ("labels", "clip", "imagenet", "nudenet", "hf-classifier", "igmu-head")


@pytest.fixture
def detector(request: pytest.FixtureRequest, folder: Path) -> Any:
    def get(name: str) -> Any:
        return request.getfixturevalue(name)

    def labelled() -> Any:
        text = "path,object/church,object/gas-pump\n" + "".join(f"{i}.png,{i / 7},no\n" for i in range(N))
        return registry.detector(f"labels:{write(folder / 'labels.csv', text)}")

    def headed() -> Any:
        features = np.random.default_rng(3).normal(size=(N, 512))

        class ByFirstPixel(Fixed):
            def image_features(self, images: Sequence[Image.Image]) -> Any:
                return np.array([features[image.getpixel((0, 0))[0] % N] for image in images])  # type: ignore[index]

        return registry.detector(f"igmu-head:{get('head')}", backbone=ByFirstPixel(features), device="cpu")

    factories: dict[str, Callable[[], Any]] = {
        "labels": labelled,
        "clip": lambda: registry.detector(f"clip:{get('clip_folder')}", device="cpu"),
        "imagenet": lambda: registry.detector(f"imagenet:{get('resnet')}", device="cpu"),
        "nudenet": lambda: registry.detector("nudenet"),
        "hf-classifier": lambda: registry.detector(f"hf-classifier:{get('vit')}", device="cpu"),
        "igmu-head": headed,
    }
    if request.param == "nudenet":
        pytest.importorskip("nudenet")
    return factories[request.param]()


def test_every_detector_module_is_under_test() -> None:
    assert set(EVERY) <= set(registry.names("detectors"))
    assert set(registry.names("detectors")) - set(EVERY) <= {"sandbox", "face", "siglip", "vlm"}  # tests of their own


@pytest.mark.parametrize("detector", EVERY, indirect=True)
def test_contract(detector: Any, folder: Path) -> None:
    images = sample_images(N, 40, seed=5)
    whole = batch_of(images, folder)
    answers = detector.probabilities(whole, CONCEPTS)
    assert isinstance(answers, np.ma.MaskedArray)
    assert answers.shape == (N, len(CONCEPTS))
    assert answers.dtype == np.float64
    assert np.isfinite(answers.data).all()
    assert answers.compressed().size >= N  # each of them judges at least one of the three
    assert answers.compressed().min() >= 0
    assert answers.compressed().max() <= 1

    info = detector.info
    assert info.revision
    assert 0 <= info.threshold <= 1
    assert str(folder) not in str(info.signature("detector"))  # no place on somebody's machine
    for column, concept in enumerate(CONCEPTS):
        assert np.ma.getmaskarray(answers)[:, column].all() == (concept not in info.concepts)

    again = detector.probabilities(batch_of(images, folder), CONCEPTS)
    assert again.data.tobytes() == answers.data.tobytes()
    single = np.ma.concatenate(
        [detector.probabilities(Batch(whole.paths[i : i + 1], whole.images[i : i + 1]), CONCEPTS) for i in range(N)]
    )
    np.testing.assert_allclose(single.data, answers.data, atol=1e-6)
    for column, concept in enumerate(CONCEPTS):  # no concept's answer depends on which others are asked about
        alone = detector.probabilities(whole, [concept])
        np.testing.assert_allclose(alone.data[:, 0], answers.data[:, column], atol=1e-12)
    assert detector.probabilities(batch_of([]), CONCEPTS).shape == (0, len(CONCEPTS))
    assert detector.probabilities(whole, ["object/no-such-thing"]).mask.all()


@pytest.mark.parametrize("threshold", [-0.1, 1.1, 50])
def test_a_threshold_is_a_fraction(folder: Path, threshold: float) -> None:
    path = write(folder / "t.csv", "path,present\na.png,yes\n")
    with pytest.raises(OutOfRangeError, match="a fraction, not a percentage"):
        labels.load(str(path), threshold=threshold)
    with pytest.raises(NonFiniteError):
        labels.load(str(path), threshold=math.nan)
    assert labels.load(str(path), threshold=0.3).info.threshold == 0.3


# --- labels -------------------------------------------------------------------------------------------------------


def asked(path: Path, names: Sequence[str], concepts: Sequence[str]) -> list[list[float | None]]:
    detector = labels.load(str(path))
    batch = Batch([path.parent / n for n in names], [Image.new("RGB", (1, 1))] * len(names))
    answers: list[list[float | None]] = detector.probabilities(batch, concepts).tolist()
    return answers


def test_labels_of_every_kind(tmp_path: Path) -> None:
    text = "\ufeffpath , object/church,style/monet\na.png,Yes,0.25\nsub/b.png, no ,unclear\n\n./sub/../c.png,1,0\n"
    path = write(tmp_path / "l.csv", text)
    (tmp_path / "sub").mkdir()
    got = asked(path, ["c.png", "a.png", "sub/b.png"], ["style/monet", "object/cat", "object/church"])
    assert got == [[0.0, None, 1.0], [0.25, None, 1.0], [None, None, 0.0]]
    assert labels.load(str(path)).info.concepts == {"style/monet", "object/church"}
    assert labels.load(str(path)).info.name == "labels:l.csv"


def test_present_answers_whatever_is_asked(tmp_path: Path) -> None:
    path = write(tmp_path / "l.csv", "present,path\nyes,a.png\nunclear,b.png\n")
    assert asked(path, ["a.png", "b.png"], ["object/church", "x/y"]) == [[1.0, 1.0], [None, None]]
    assert labels.load(str(path)).info.concepts is None


def test_visible_columns_find_their_concept(tmp_path: Path) -> None:
    path = write(tmp_path / "l.csv", "path,gas_pump_visible,church_visible\na.png,yes,no\n")
    assert asked(path, ["a.png"], ["object/church", "object/gas-pump"]) == [[0.0, 1.0]]


def test_the_revision_follows_the_content(tmp_path: Path) -> None:
    before = labels.load(str(write(tmp_path / "l.csv", "path,present\na.png,yes\n"))).info.revision
    after = labels.load(str(write(tmp_path / "l.csv", "path,present\na.png,no\n"))).info.revision
    assert before != after


def test_links(tmp_path: Path) -> None:
    # A Hub cache: equal images are links to one blob. They are two generations all the same.
    (tmp_path / "blob").write_bytes(b"x")
    (tmp_path / "a.png").symlink_to("blob")
    (tmp_path / "b.png").symlink_to("blob")
    path = write(tmp_path / "l.csv", "path,present\na.png,yes\nb.png,no\n")
    assert asked(path, ["a.png", "b.png"], ["x/y"]) == [[1.0], [0.0]]
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    assert asked(path, ["link/b.png"], ["x/y"]) == [[0.0]]


def test_images_of_one_name_have_the_labels_of_their_own_folders(tmp_path: Path) -> None:
    """Two models' images are called alike."""
    for model in ("esd", "original"):
        (tmp_path / model).mkdir()
    path = write(tmp_path / "l.csv", "path,present\nesd/0.png,no\noriginal/0.png,yes\n")
    assert asked(path, ["original/0.png", "esd/0.png"], ["x/y"]) == [[1.0], [0.0]]
    path = write(tmp_path / "l.csv", "path,present\nesd/0.png,no\n")
    with pytest.raises(LabelError, match=r"original/0\.png has no label"):
        asked(path, ["original/0.png"], ["x/y"])


def test_an_absolute_path_matches(tmp_path: Path) -> None:
    path = write(tmp_path / "l.csv", f"path,present\n{tmp_path / 'a.png'},yes\n")
    assert asked(path, ["a.png"], ["x/y"]) == [[1.0]]


def test_an_image_without_a_label_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = write(tmp_path / "l.csv", "path,present\na.png,yes\n")
    with pytest.raises(LabelError, match=r"b\.png has no label in l\.csv"):
        asked(path, ["a.png", "b.png"], ["x/y"])


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("path,present\na.png,maybe\n", LabelError, r"line 2: 'maybe'"),
        ("path,present\na.png,yes\nb.png,nan\n", LabelError, r"line 3: 'nan'"),
        ("path,present\na.png,inf\n", LabelError, r"line 2: 'inf'"),
        ("path,present\na.png,1.2\n", LabelError, r"line 2: '1.2'"),
        ("path,present\na.png,-0.1\n", LabelError, r"line 2: '-0.1'"),
        ("path,present\na.png,\n", LabelError, r"line 2: ''"),
        ("path,present\na.png,yes\n./a.png,yes\n", DuplicateIdError, r"line 3: './a.png' already appears on line 2"),
        ("path,present\na.png\n", MetadataError, r"line 2: this line has 1 cell, but the header has 2"),
        ("path,present\na.png,yes,no\n", MetadataError, r"line 2: this line has 3 cells"),
        ("path,present\n,yes\n", MetadataError, r"line 2: the image path is empty"),
        ("file,present\na.png,yes\n", MetadataError, r"line 1: .* has 0 columns named 'path'"),
        ("path,path\na.png,b.png\n", MetadataError, r"line 1: .* has 2 columns named 'path'"),
        ("path\na.png\n", MetadataError, r"no column with labels"),
        ("path,church\na.png,yes\n", MetadataError, r"column 'church' does not name a concept"),
        ("path,Object/Church\na.png,yes\n", MetadataError, r"column 'Object/Church' does not name a concept"),
        ("path,_visible\na.png,yes\n", MetadataError, r"column '_visible' does not name a concept"),
        (
            "path,chruch_visible\na.png,yes\n",
            MetadataError,
            r"column 'chruch_visible' is unclear, because 'chruch' is not a concept of the taxonomy",
        ),
        ("path,object/church,church_visible\na.png,yes,no\n", MetadataError, r"two columns for 'object/church'"),
        (
            "path,present,object/cat\na.png,yes,no\n",
            MetadataError,
            r"column 'present' must be the only column with labels",
        ),
        ("path,present\n", EmptyInputError, r"no labels below the header"),
        ("", MetadataError, r"line 1: the header \[\] has 0 columns named 'path'"),
        ('path,present\n"a.png,yes\n', MetadataError, r"is not a valid CSV file"),
    ],
)
def test_bad_label_files(tmp_path: Path, text: str, error: type[IgmuError], message: str) -> None:
    path = write(tmp_path / "bad.csv", text)
    with pytest.raises(error, match=message) as caught:
        labels.load(str(path))
    assert str(path) in str(caught.value)


def test_label_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(MetadataError, match="cannot be read"):
        labels.load(str(tmp_path / "gone.csv"))
    with pytest.raises(MetadataError, match="cannot be read"):
        labels.load(str(tmp_path))
    with pytest.raises(MetadataError, match=r"no file is specified\. Use labels:PATH"):
        labels.load(None)
    (tmp_path / "x.csv").write_bytes(b"path,present\n\xff\xfe,yes\n")
    with pytest.raises(MetadataError, match="UTF-8"):
        labels.load(str(tmp_path / "x.csv"))


@pytest.mark.skipif(not (CHURCH / "labels.csv").is_file(), reason="needs the shared church images")
def test_church() -> None:
    detector = labels.load(str(CHURCH / "labels.csv"))
    assert detector.info.concepts == {"object/church"}
    everything = sorted(CHURCH.glob("*/*/*.png"))
    paths = [Path(os.path.relpath(p)) for p in everything]  # however a caller writes them
    answers = detector.probabilities(Batch(paths, [Image.new("RGB", (1, 1))] * len(paths)), ["object/church"])
    # Counted in the file with other tools: 3 yes, 51 no, 6 unclear.
    assert (len(paths), int(answers.sum()), int(answers.count())) == (60, 3, 54)
    original = [i for i, p in enumerate(everything) if p.parts[-3:-1] == ("original", "forget")]
    assert answers[original, 0].tolist() == [1.0, 0.0, None, 0.0, 1.0]  # README: a clear church in 2 of 5
    assert read_image(everything[0]).size == (512, 512)


# --- clip ---------------------------------------------------------------------------------------------------------


def test_clip_by_hand() -> None:
    vocabulary = clip.Vocabulary({"x/c": ("c1", "c2"), "x#0": ("r",)}, {"x/c": ("x#0",)})
    backbone = Fixed([[2, 0], [0, 5]], {"c1": [4, 0], "c2": [0, 1], "r": [0, 3]}, logit_scale=1.0)
    detector = clip.load(backbone=backbone, vocabulary=vocabulary)
    batch = batch_of(sample_images(2))
    # The ensemble is (√½, √½), whatever the lengths of its texts; the rival is (0, 1).
    root, e = math.sqrt(0.5), math.e
    expected = [e**root / (e**root + 1), e**root / (e**root + e)]
    np.testing.assert_allclose(detector.probabilities(batch, ["x/c"]).data[:, 0], expected, rtol=1e-12)
    assert detector.info.concepts == {"x/c"}
    assert backbone.calls == 2
    detector.probabilities(batch, ["x/c"])
    assert backbone.calls == 2  # images once per batch, texts once for all


def test_clip_agrees_with_transformers(clip_folder: Path) -> None:
    from transformers import CLIPModel, CLIPProcessor

    texts = ["a church", "a castle", "a cat"]
    model, processor = CLIPModel.from_pretrained(clip_folder), CLIPProcessor.from_pretrained(clip_folder)
    images = sample_images(4, 32, seed=2)
    with torch.inference_mode():
        inputs = processor(text=texts, images=images, return_tensors="pt", padding=True)
        expected = model(**inputs).logits_per_image.double().softmax(dim=1)[:, 0].numpy()
    vocabulary = clip.Vocabulary({t: (t,) for t in texts}, {"a church": ("a castle", "a cat")})
    backbone: Any = registry.backbone(f"clip:{clip_folder}", device="cpu")
    backbone.logit_scale = model.logit_scale.exp().item()
    got = clip.load(backbone=backbone, vocabulary=vocabulary).probabilities(batch_of(images), ["a church"]).data[:, 0]
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert np.ptp(got) > 1e-3


def test_clip_vocabulary_of_the_taxonomy() -> None:
    from igmu_data import taxonomy

    vocabulary = clip.default_vocabulary()
    assert set(vocabulary.rivals) == taxonomy.known_ids()
    assert "a photo of a church" in vocabulary.texts["object/church"]
    assert "a photo of an airplane" in vocabulary.texts["object/airplane"]
    assert {"object/castle", "object/cat", "object#0"} <= set(vocabulary.rivals["object/church"])
    for item in taxonomy.all_concepts().values():
        rivals = vocabulary.rivals[item.id]
        assert {s.id for s in item.siblings} <= set(rivals), item.id
        # Somebody near a restricted concept is not told from it.
        assert not any(r.startswith("nsfw") for r in rivals) or item.domain == "nsfw", item.id
        assert {r.partition("#")[0] for r in rivals if "#" in r} == {item.domain}
    for near, sibling in taxonomy.siblings().items():
        of = [c for c in taxonomy.all_concepts().values() if near in taxonomy.near(c)]
        assert {c.id for c in of} <= set(vocabulary.rivals[near]), near
        assert any("#" in r for r in vocabulary.rivals[near]), near
        assert all(sibling.name in text for text in vocabulary.texts[near]), near
    richer = clip.default_vocabulary(synonyms=True)
    assert "a photo of a kirk" in richer.texts["object/church"]
    assert richer.digest() != vocabulary.digest()
    assert all("{" not in text for texts in richer.texts.values() for text in texts)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("object/mosque", "a photo of a mosque"),
        ("landmark/eiffel-tower", "a photo of the Eiffel Tower"),
        ("landmark/peace-tower", "a photo of the Peace Tower"),
        ("style/renoir", "a painting in the style of Pierre-Auguste Renoir"),
        ("artwork/the-starry-night", "The Starry Night, the painting"),
        ("artwork/almond-blossom", "Almond Blossom, the painting"),
        ("attribute/beard", "a photo of a beard"),
        ("attribute/smiling", "a photo of somebody smiling"),
        ("attribute/frowning", "a photo of somebody frowning"),
        ("nsfw/weapon", "a photo showing a weapon"),
        ("scene/swimsuit", "a photo showing a swimsuit"),
    ],
)
def test_clip_words_a_class_as_its_domain_and_part_of_speech_ask(name: str, text: str) -> None:
    assert text in clip.default_vocabulary().texts[name]


def test_clip_judges_what_is_near_a_concept_and_no_concept_itself() -> None:
    """A mosque must not be taken for retained because nobody could say: it is told from the church."""
    vocabulary = clip.default_vocabulary()
    texts = {text: [0.0, 0.0, 1.0] for group in vocabulary.texts.values() for text in group}
    texts |= {text: [1.0, 0.0, 0.0] for text in vocabulary.texts["object/mosque"]}
    texts |= {text: [0.0, 1.0, 0.0] for text in vocabulary.texts["object/church"]}
    detector = clip.load(backbone=Fixed([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], texts))
    found = detector.probabilities(batch_of(sample_images(2)), ["object/mosque", "object/church"])
    assert not np.ma.getmaskarray(found).any()
    assert (found.data > 0.5).tolist() == [[True, False], [False, True]]


def test_clip_rivals_of_an_attribute_share_its_family(monkeypatch: pytest.MonkeyPatch) -> None:
    from igmu_data import taxonomy

    church = taxonomy.concept("object/church")
    style = {"domain": "style", "scope": "attribute", "article": "", "siblings": ()}
    items = [
        church.model_copy(update={**style, "slug": slug, "label": slug.title(), "family": family})
        for slug, family in [("monet", "painter"), ("van-gogh", "painter"), ("impressionism", "movement")]
    ]
    monkeypatch.setattr(taxonomy, "all_concepts", lambda: {i.id: i for i in items})
    monkeypatch.setattr(taxonomy, "siblings", dict)
    vocabulary = clip.default_vocabulary()
    assert vocabulary.rivals["style/monet"] == ("style/van-gogh", "style#0", "style#1")
    assert "a painting in the style of Monet" in vocabulary.texts["style/monet"]


@pytest.mark.parametrize(
    ("texts", "rivals"),
    [({"c": ("x",)}, {"c": ()}), ({"c": ("x",)}, {"c": ("c",)}), ({"c": ("x",)}, {"c": ("r",)}), ({}, {"c": ("r",)})],
)
def test_clip_vocabularies_that_cannot_work(texts: dict[str, Any], rivals: dict[str, Any]) -> None:
    with pytest.raises(EmptyInputError):
        clip.Vocabulary(texts, rivals)


def test_clip_refuses_broken_features() -> None:
    vocabulary = clip.Vocabulary({"x/c": ("c",), "r": ("r",)}, {"x/c": ("r",)})
    texts = {"c": [1, 0], "r": [0, 1]}
    nan = clip.load(backbone=Fixed([[math.nan, 1]], texts), vocabulary=vocabulary)
    with pytest.raises(NonFiniteError, match="CLIP image features"):
        nan.probabilities(batch_of(sample_images(1)), ["x/c"])
    null = clip.load(backbone=Fixed([[0, 0]], texts), vocabulary=vocabulary)
    with pytest.raises(WeightsError, match="length 0"):
        null.probabilities(batch_of(sample_images(1)), ["x/c"])


# --- imagenet -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_imagenet_agrees_with_torchvision(resnet: Path) -> None:
    from safetensors.torch import load_file
    from torchvision.models import ResNet50_Weights, resnet50

    images = sample_images(3, (300, 260), seed=4)
    network = resnet50(weights=None).eval()
    network.load_state_dict(load_file(resnet))
    prepare = ResNet50_Weights.IMAGENET1K_V2.transforms()
    with torch.inference_mode():
        logits = torch.stack([network(prepare(image)[None])[0] for image in images])
    shares, order = torch.softmax(logits.double(), dim=1).numpy(), torch.topk(logits, 6, dim=1).indices.numpy()
    first, fifth, sixth = (int(order[0, k]) for k in (0, 4, 5))
    indices = {"x/first": [first], "x/fifth": [fifth, first], "x/sixth": [sixth]}
    batch = batch_of(images)

    def answers(**options: Any) -> np.ma.MaskedArray[Any, Any]:
        return imagenet.load(str(resnet), device="cpu", indices=indices, **options).probabilities(batch, [*indices])

    expected = np.stack([shares[:, i].sum(axis=1) for i in indices.values()], axis=1)
    np.testing.assert_allclose(answers().data, expected, atol=1e-6)
    assert 0.01 < expected[0, 0] < 0.9  # so that another class or preparation would show
    assert np.ptp(expected[:, 0]) > 1e-4
    assert answers(rule="top1").data[0].tolist() == [1.0, 1.0, 0.0]
    assert answers(rule="top5").data[0].tolist() == [1.0, 1.0, 0.0]
    fifth_alone = imagenet.load(str(resnet), device="cpu", indices={"x/f": [fifth]}, rule="top5")
    assert fifth_alone.probabilities(batch, ["x/f"]).data[0, 0] == 1.0
    fifth_first = imagenet.load(str(resnet), device="cpu", indices={"x/f": [fifth]}, rule="top1")
    assert fifth_first.probabilities(batch, ["x/f"]).data[0, 0] == 0.0


def test_imagenet_takes_its_classes_from_the_taxonomy() -> None:
    found = imagenet.taxonomy_indices()
    assert found["object/church"] == (497,)
    assert "nsfw/nudity" not in found
    # torchvision's own names of the classes, as an independent list
    from torchvision.models import ResNet50_Weights

    names = ResNet50_Weights.IMAGENET1K_V2.meta["categories"]
    named = {"church": "church", "gas-pump": "gas pump", "tench": "tench", "parachute": "parachute", "castle": "castle"}
    for slug, name in named.items():
        assert [names[i] for i in found[f"object/{slug}"]] == [name]


def test_imagenet_refuses_what_does_not_fit(resnet: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="rule 'top3' does not exist"):
        imagenet.load(str(resnet), rule="top3")  # type: ignore[arg-type]
    with pytest.raises(OutOfRangeError, match="class 1000"):
        imagenet.load(str(resnet), indices={"x/y": [1000]})
    with pytest.raises(InputError, match="at least one class, and each class only once"):
        imagenet.load(str(resnet), indices={"x/y": [3, 3]})
    with pytest.raises(InputError, match="at least one"):
        imagenet.load(str(resnet), indices={"x/y": []})
    with pytest.raises(WeightsError):
        imagenet.load(str(tmp_path / "gone.safetensors"))
    save_file({"fc.weight": torch.zeros(10, 2048)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="ResNet-50"):
        imagenet.load(str(tmp_path / "other.safetensors"))


def test_imagenet_weights_that_cannot_be_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*given: Any, **options: Any) -> Any:
        raise OSError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    with pytest.raises(WeightsError, match=r"no route to host.*imagenet:PATH"):
        imagenet.load("IMAGENET1K_V1")


def test_published_imagenet_weights_are_torchvisions() -> None:
    from torchvision.models import ResNet50_Weights

    assert {w.name: w.url for w in ResNet50_Weights} == imagenet.PUBLISHED


# --- nudenet: synthetic images that contain nobody --------------------------------------------------------------


def shapes() -> list[Image.Image]:
    from PIL import ImageDraw

    gradient = np.tile(np.linspace(0, 255, 160, dtype=np.uint8)[None, :, None], (120, 1, 3))
    noise = np.random.default_rng(0).integers(0, 256, (100, 140, 3), dtype=np.uint8)
    drawn = Image.new("RGB", (150, 150), "steelblue")
    pen = ImageDraw.Draw(drawn)
    pen.ellipse((20, 20, 90, 90), fill="gold")
    pen.rectangle((80, 90, 140, 130), fill="darkgreen")
    return [Image.fromarray(gradient), Image.fromarray(noise), drawn, Image.new("RGB", (64, 64), "black")]


def test_nudenet_finds_nothing_where_nothing_is(tmp_path: Path) -> None:
    package = pytest.importorskip("nudenet")
    images = shapes()
    detector = nudenet.load(classes=sorted(nudenet.CLASSES))
    got = detector.probabilities(batch_of(images), ["nsfw/nudity"]).data[:, 0]
    for i, image in enumerate(images):
        image.save(tmp_path / f"{i}.png")
        boxes = package.NudeDetector().detect(str(tmp_path / f"{i}.png"))
        assert got[i] == pytest.approx(max((box["score"] for box in boxes), default=0.0), abs=1e-6)
    assert (got < detector.info.threshold).all()  # type: ignore[operator]


def test_nudenet_sees_the_pixels_that_it_would_read_itself(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    pytest.importorskip("nudenet")
    seen: list[Any] = []

    class Finder:
        def detect_batch(self, image_paths: list[Any], batch_size: int = 4) -> list[list[dict[str, Any]]]:
            seen.extend(image_paths)
            return [[] for _ in image_paths]

    images = shapes()
    detector = nudenet.NudeNet(Finder(), nudenet.load().info, frozenset(nudenet.DEFAULT_CLASSES))
    detector.probabilities(batch_of(images), ["nsfw/nudity"])
    for i, image in enumerate(images):
        image.save(tmp_path / "x.png")
        assert np.array_equal(seen[i], cv2.imread(str(tmp_path / "x.png")))


def test_nudenet_counts_the_chosen_classes_only() -> None:
    pytest.importorskip("nudenet")
    found = [
        [{"class": "FACE_FEMALE", "score": 0.9}, {"class": "BUTTOCKS_EXPOSED", "score": 0.5}],
        [{"class": "BUTTOCKS_EXPOSED", "score": 0.4}, {"class": "ANUS_EXPOSED", "score": 0.6}],
        [{"class": "MALE_BREAST_EXPOSED", "score": 0.8}],
        [],
    ]

    class Finder:
        def detect_batch(self, image_paths: list[Any], batch_size: int = 4) -> list[list[dict[str, Any]]]:
            return found

    batch = batch_of(shapes())
    default, wider = nudenet.load(), nudenet.load(classes=[*nudenet.DEFAULT_CLASSES, "MALE_BREAST_EXPOSED"])
    for loaded, expected in [(default, [0.5, 0.6, 0.0, 0.0]), (wider, [0.5, 0.6, 0.8, 0.0])]:
        classes = frozenset(str(loaded.info.settings["classes"]).split(","))
        detector = nudenet.NudeNet(Finder(), loaded.info, classes)
        assert detector.probabilities(batch, ["nsfw/nudity"]).data[:, 0].tolist() == expected
    assert default.info.signature("detector") != wider.info.signature("detector")


def test_nudenet_options() -> None:
    package = pytest.importorskip("nudenet")
    from importlib.metadata import version

    assert frozenset(vars(package.nudenet)["__labels"]) == nudenet.CLASSES
    (network,) = nudenet.files()
    assert nudenet.load().info.revision == f"nudenet-{version('nudenet')}+{file_revision(network)}"
    with pytest.raises(InputError, match="BUTTOCKS"):
        nudenet.load(classes=["BUTTOCK_EXPOSED"])
    with pytest.raises(InputError):
        nudenet.load(classes=[])
    with pytest.raises(InputError, match="does not take an argument, but '640m'"):
        nudenet.load("640m")


def test_nudenet_without_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "nudenet", None)
    with pytest.raises(MissingExtraError, match=r"igmu\[nudenet\]"):
        nudenet.load()


# --- transformers classifiers -------------------------------------------------------------------------------------


def expected_logits(folder: Path, images: Sequence[Image.Image]) -> torch.Tensor:
    """Straight from the definition: bilinear to 32×32, to -1..1, one forward pass an image."""
    from transformers import ViTForImageClassification

    model = ViTForImageClassification.from_pretrained(folder).eval()
    small = [np.asarray(i.resize((32, 32), Image.Resampling.BILINEAR), np.float32) / 127.5 - 1 for i in images]
    with torch.inference_mode():
        return torch.cat([model(torch.from_numpy(s.transpose(2, 0, 1))[None]).logits for s in small]).double()


def test_hf_classifier_matches_labels_and_sums_their_shares(vit: Path) -> None:
    images = sample_images(4, 50, seed=8)
    detector = hf_classifier.load(str(vit), device="cpu")
    assert detector.info.concepts == {"object/church", "object/gas-pump"}
    shares = torch.softmax(expected_logits(vit, images), dim=1).numpy()
    got = detector.probabilities(batch_of(images), ["object/church", "object/gas-pump", "object/tench"])
    np.testing.assert_allclose(got.data[:, 0], shares[:, 0] + shares[:, 3], atol=1e-5)  # church and its synonym kirk
    np.testing.assert_allclose(got.data[:, 1], shares[:, 1], atol=1e-5)
    assert got.mask[:, 2].all()
    assert np.ptp(shares[:, 1]) > 1e-3


def test_a_precision_that_is_not_the_usual_one_is_signed(vit: Path, resnet: Path) -> None:
    """And with it names the answers in the cache."""
    for module, weights in ((hf_classifier, vit), (imagenet, resnet)):
        usual, short = (module.load(str(weights), device="cpu", precision=p).info.settings for p in ("fp32", "bf16"))
        assert "precision" not in usual
        assert short["precision"] == "bf16"


def test_hf_classifier_with_a_mapping_of_its_own(vit: Path) -> None:
    images = sample_images(2, 50, seed=8)
    detector = hf_classifier.load(str(vit), device="cpu", labels={"x/fish-tank": ["an aquarium"]})
    shares = torch.softmax(expected_logits(vit, images), dim=1).numpy()
    got = detector.probabilities(batch_of(images), ["x/fish-tank", "object/church"])
    np.testing.assert_allclose(got.data[:, 0], shares[:, 2], atol=1e-5)
    assert got.mask[:, 1].all()
    for wrong in ({"x/y": ["aquarium"]}, {"x/y": []}):
        with pytest.raises(InputError, match="is not valid for"):
            hf_classifier.load(str(vit), labels=wrong)


def test_hf_classifier_of_several_labels_at_once(tmp_path: Path) -> None:
    folder = tiny_vit(tmp_path / "m", ["church", "kirk", "cat"], problem_type="multi_label_classification")
    images = sample_images(3, 50, seed=8)
    each = torch.sigmoid(expected_logits(folder, images)).numpy()
    got = hf_classifier.load(str(folder), device="cpu").probabilities(batch_of(images), ["object/church"])
    np.testing.assert_allclose(got.data[:, 0], each[:, :2].max(axis=1), atol=1e-5)


def test_hf_classifier_knows_what_is_near_a_concept_by_its_name() -> None:
    found = hf_classifier._by_taxonomy({0: "Church", 1: "a_mosque", 2: "steering wheel cover"})
    assert found == {"object/church": [0], "object/mosque": [1]}


def test_hf_classifier_with_the_labels_of_imagenet_goes_by_class() -> None:
    from torchvision.models import ResNet50_Weights

    names = dict(enumerate(ResNet50_Weights.IMAGENET1K_V2.meta["categories"]))
    names[726] = "plane, carpenter's plane, woodworking plane"  # as the Hub's models write it: not an airplane
    found = hf_classifier._by_taxonomy(names)
    assert found["object/airplane"] == [404]
    assert found["object/church"] == [497]


def test_hf_classifier_refuses_what_is_none(tmp_path: Path) -> None:
    from transformers import ViTConfig, ViTModel

    with pytest.raises(WeightsError, match=r"no model is specified\. Use hf-classifier:"):
        hf_classifier.load(None)
    with pytest.raises(WeightsError, match="none of its labels"):
        hf_classifier.load(str(tiny_vit(tmp_path / "other", ["stop sign", "traffic light"])))
    config = ViTConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=32,
        patch_size=16,
        id2label={0: "church", 1: "cat"},
        label2id={"church": 0, "cat": 1},
    )
    ViTModel(config).save_pretrained(tmp_path / "headless")
    with pytest.raises(WeightsError, match=r"is missing weights, .*\(\d+ in total\)"):
        hf_classifier.load(str(tmp_path / "headless"))
    unprepared = tiny_vit(tmp_path / "unprepared", ["church", "cat"])
    (unprepared / "preprocessor_config.json").unlink()
    with pytest.raises(WeightsError, match=r"preprocessor_config\.json"):
        hf_classifier.load(str(unprepared))
    with pytest.raises(WeightsError, match="cannot load this model as an image classifier"):
        hf_classifier.load(str(text_model(tmp_path / "text")))
    (tmp_path / "pickled").mkdir()
    torch.save({}, tmp_path / "pickled" / "pytorch_model.bin")
    with pytest.raises(WeightsError, match="no safetensors"):
        hf_classifier.load(str(tmp_path / "pickled"))


# --- the IGMU head ------------------------------------------------------------------------------------------------


def reference_network() -> torch.nn.Module:
    """The architecture as the reference describes it, out of torch's own modules, with its dropout."""
    nn = torch.nn

    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.Sequential(nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 512), nn.Sigmoid())
            small = [nn.Linear(512, 256), nn.ReLU(), nn.Dropout(0.3), nn.Linear(256, 128), nn.ReLU(), nn.Dropout(0.3)]
            self.classifier = nn.Sequential(nn.LayerNorm(512), *small, nn.Linear(128, 1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.classifier(x * self.attention(x))
            return out

    return Gated()


def test_the_head_has_428289_parameters() -> None:
    assert sum(math.prod(shape) for shape in HEAD.values()) == 428_289
    network = reference_network()
    assert sum(p.numel() for p in network.parameters()) == 428_289
    assert {name: tuple(t.shape) for name, t in network.state_dict().items()} == _head_file.shapes(
        _head_file.PUBLISHED_WIDTH
    )


def test_the_head_agrees_with_torch_modules(head: Path) -> None:
    features = np.random.default_rng(0).normal(size=(N, 512)) * 3
    network = reference_network().eval()
    network.load_state_dict(head_weights())
    with torch.inference_mode():
        logits = network(torch.tensor(features, dtype=torch.float32))[:, 0].double().numpy()
    detector = igmu_head.load(str(head), device="cpu", backbone=Fixed(features))
    got = detector.probabilities(batch_of(sample_images(N)), ["object/church", "object/cat"])
    np.testing.assert_allclose(got.data[:, 0], 1 / (1 + np.exp(logits)), atol=1e-6)  # church: class 0 is "present"
    assert got.mask[:, 1].all()
    assert np.ptp(got.data[:, 0]) > 1e-3
    assert detector.info.concepts == {"object/church"}


def test_the_head_knows_which_class_means_present(folder: Path, head: Path) -> None:
    features = np.random.default_rng(0).normal(size=(2, 512))
    batch = batch_of(sample_images(2))
    flipped = folder / "flipped.safetensors"
    igmu_head.import_pth(folder / "head.pth", flipped, concept="object/church", present_class=1)
    low, high = (igmu_head.load(str(p), device="cpu", backbone=Fixed(features)) for p in (head, flipped))
    total = low.probabilities(batch, ["object/church"]) + high.probabilities(batch, ["object/church"])
    np.testing.assert_allclose(total.data, 1, atol=1e-12)
    with pytest.raises(InputError, match="present_class"):
        igmu_head.import_pth(folder / "head.pth", flipped, concept="object/cat")
    with pytest.raises(InputError, match="present_class"):
        igmu_head.import_pth(folder / "head.pth", flipped, concept="object/church", present_class=2)


def test_the_head_needs_512_features(head: Path) -> None:
    detector = igmu_head.load(str(head), device="cpu", backbone=Fixed(np.ones((1, 768))))
    with pytest.raises(WeightsError, match="768 features"):
        detector.probabilities(batch_of(sample_images(1)), ["object/church"])


class Malicious:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("legacy", [True, False])
def test_a_pickle_with_code_is_refused_and_never_run(tmp_path: Path, legacy: bool) -> None:
    mark, bad = tmp_path / "ran", tmp_path / "bad.pth"
    if legacy:
        bad.write_bytes(pickle.dumps(Malicious(mark), protocol=2))
    else:
        torch.save(Malicious(mark), bad)
    with pytest.raises(WeightsError, match=r"bad\.pth.*Its code was not run") as caught:
        igmu_head.import_pth(bad, tmp_path / "out.safetensors", concept="object/church")
    assert "weights_only=False" not in str(caught.value)  # torch's advice would run it
    assert not mark.exists()
    assert not (tmp_path / "out.safetensors").exists()
    with bad.open("rb") as file:  # the control: unpickling it does run the code
        if legacy:
            pickle.load(file)
        else:
            torch.load(file, weights_only=False)
    assert mark.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"classifier.7.weight": torch.zeros(2, 128)},
            r"classifier\.7\.weight has shape \(2, 128\) instead of \(1, 128\)",
        ),
        ({"extra": torch.zeros(1)}, r"unknown tensors: \['extra'\]"),
        ({"attention.0.bias": torch.full((256,), math.nan)}, "NaN"),
        ({"attention.0.bias": None}, r"missing tensors: \['attention\.0\.bias'\]"),
    ],
)
def test_weights_of_another_network_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    weights = {k: v for k, v in (head_weights() | change).items() if v is not None}
    torch.save(weights, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=message):
        igmu_head.import_pth(tmp_path / "x.pth", tmp_path / "out.safetensors", concept="object/church")


def test_head_files_that_cannot_be_used(tmp_path: Path, head: Path) -> None:
    with pytest.raises(WeightsError, match="import_pth"):
        igmu_head.load(str(tmp_path / "x.pth"))
    with pytest.raises(WeightsError, match=r"no file is specified\. Use igmu-head:PATH"):
        igmu_head.load(None)
    with pytest.raises(WeightsError):
        igmu_head.load(str(tmp_path / "gone.safetensors"))
    save_file(head_weights(), tmp_path / "mute.safetensors")
    with pytest.raises(WeightsError, match="does not specify which concept"):
        igmu_head.load(str(tmp_path / "mute.safetensors"))
    (tmp_path / "x.pth").write_bytes(b"not a pickle")
    with pytest.raises(WeightsError):
        igmu_head.import_pth(tmp_path / "x.pth", tmp_path / "o.safetensors", concept="object/church")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(WeightsError, match="state dict"):
        igmu_head.import_pth(tmp_path / "list.pth", tmp_path / "o.safetensors", concept="object/church")
    good = head.parent / "head.pth"
    with pytest.raises(OutputError, match=r"must end in \.safetensors"):
        igmu_head.import_pth(good, tmp_path / "o.bin", concept="object/church")
    with pytest.raises(OutputError, match="cannot be written"):
        igmu_head.import_pth(good, tmp_path / "no" / "o.safetensors", concept="object/church")


def test_a_head_is_converted_on_the_command_line(folder: Path, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from igmu_data.errors import UnknownConceptError
    from igmu_metrics.cli import app

    out = tmp_path / "head.safetensors"
    arguments = ["import-head", str(folder / "head.pth"), "--out", str(out), "--concept"]
    done = CliRunner().invoke(app, [*arguments, "object.church"])
    assert done.exit_code == 0, done.output
    assert igmu_head.load(str(out), device="cpu", backbone=Fixed(np.ones((1, 512)))).info.concepts == {"object/church"}
    assert [p.name for p in tmp_path.iterdir()] == ["head.safetensors"]
    assert isinstance(CliRunner().invoke(app, [*arguments, "object/chruch"]).exception, UnknownConceptError)
