"""Folders as UnlearnCanvas's and HUB's scripts write them: the figures that their definitions give, by hand."""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
from own_concept import written
from PIL import Image
from typer.testing import CliRunner

from igmu_data.errors import IgmuError, InputError, MetadataError, UnknownLabelError
from igmu_metrics.cli import app
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.images.layouts import find
from igmu_metrics.scorecard import Scorecard, write
from igmu_metrics.verdict.verify import verify

STYLES = {"Van_Gogh": "style/van-gogh", "Ukiyoe": "style/ukiyo-e", "Rust": "style/rust", "Seed_Images": None}
OBJECTS = {"Dogs": "object/dog", "Fishes": "object/fish", "Human": "object/human"}
SEEDS = (188, 288)


def luck(*of: object) -> int:
    return hashlib.sha256(repr(of).encode()).digest()[0]


def drawn(path: Path) -> Path:
    """An image of two colours, other ones for every name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    told = path.parts[-6:]
    image = Image.new("RGB", (16, 16), (255, luck(told, 1), luck(told, 2)))
    image.paste((0, luck(told, 3), luck(told, 4)), (0, 0, 16, 8))
    image.save(path)
    return path


def seen(model: str, style: str, thing: str, seed: int, domain: str) -> bool:
    """Whether a classifier sees what the prompt asks for in a domain."""
    return luck(model, style, thing, seed, domain) % 3 > 0


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Answer sets of two models, `sd` and `esd`, with labels of every concept."""
    root = tmp_path_factory.mktemp("canvas")
    names = [i or "style/seed-images" for i in (*STYLES.values(), *OBJECTS.values())]
    lines = [["path", *names]]
    for model in ("sd", "esd"):
        for style, style_id in STYLES.items():
            for thing, thing_id in OBJECTS.items():
                for seed in SEEDS:
                    path = drawn(root / model / f"{style}_{thing}_seed{seed}.jpg")
                    shown = {
                        style_id or "style/seed-images": seen(model, style, thing, seed, "style"),
                        thing_id: seen(model, style, thing, seed, "object"),
                    }
                    cells = ["yes" if shown.get(n) else "no" for n in names]
                    lines.append([path.relative_to(root).as_posix(), *cells])
    with (root / "labels.csv").open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows(lines)
    return root


def by_hand(domain: str, target: str, *, none: bool, styled: bool) -> dict[str, float]:
    """UA, IRA and CRA of `esd` as UnlearnCanvas defines them: accuracies of each class, averaged over classes."""
    right: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for style in STYLES:
        for thing in OBJECTS:
            for seed in SEEDS:
                for kind, name in (("style", style), ("object", thing)):
                    if kind == "style" and style == "Seed_Images" and not none:
                        continue
                    if kind != domain and target in (style, thing) and not styled:
                        continue
                    right[kind, name].append(seen("esd", style, thing, seed, kind))
    accuracy = {key: mean(values) for key, values in right.items()}
    return {
        "unlearning_accuracy": 1 - accuracy[domain, target],
        "in_domain_retain_accuracy": mean(a for (d, n), a in accuracy.items() if d == domain and n != target),
        "cross_domain_retain_accuracy": mean(a for (d, _), a in accuracy.items() if d != domain),
    }


def scored(root: Path, config: str, **switches: Any) -> Scorecard:
    evaluation = Evaluation(
        config, layout="unlearncanvas", detector=f"labels:{root / 'labels.csv'}", cache=False, **switches
    )
    (card,) = evaluation.run(root / "sd", [root / "esd"])
    return card


@pytest.mark.parametrize("none", [False, True])
@pytest.mark.parametrize("styled", [False, True])
@pytest.mark.parametrize(("config", "target"), [("style.van-gogh", "Van_Gogh"), ("object.dog", "Dogs")])
def test_unlearncanvas_by_hand(config: str, target: str, none: bool, styled: bool, answers: Path) -> None:
    card = scored(answers, config, include_none=none, include_target_styled=styled)
    wanted = by_hand(config.partition(".")[0], target, none=none, styled=styled)
    score = card.scores["concept_accuracy"]
    assert {name: score.figures[name].value for name in wanted} == pytest.approx(wanted)
    assert (score.signature["include_none"], score.signature["include_target_styled"]) == (none, styled)


def test_the_published_definition_is_the_default(answers: Path, tmp_path: Path) -> None:
    card = scored(answers, "style.van-gogh")
    figures = card.scores["concept_accuracy"].figures
    wanted = by_hand("style", "Van_Gogh", none=False, styled=True)  # 49 other styles; objects over all images
    assert {name: figures[name].value for name in wanted} == pytest.approx(wanted)
    assert figures["in_domain_retain_accuracy"].n_generations == 2 * len(OBJECTS) * len(SEEDS)
    assert figures["cross_domain_retain_accuracy"].n_generations == len(STYLES) * len(OBJECTS) * len(SEEDS)
    # Every image has two entries; whatever looks at images looks at it once, and verify finds the same again.
    assert set(card.generations.part("retain")["own_concept"].tolist()) == {"style/ukiyo-e", "style/rust"}
    assert not any("several prompts" in note for note in card.notes)
    write(card, tmp_path / "card.json")
    assert verify(tmp_path / "card.json")[1] == []


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("Dragons", UnknownLabelError, "no label 'Dragons'"),
        ("Dgos", UnknownLabelError, "did you mean 'Dogs'"),
        ("x-1", MetadataError, "does not have the form <Style>_<Object>_seed<k>"),
    ],
)
def test_names_that_are_not_known(name: str, error: type[IgmuError], says: str, tmp_path: Path) -> None:
    drawn(tmp_path / "esd" / f"Van_Gogh_{name}_seed188.jpg")
    with pytest.raises(error, match=says):
        find(tmp_path / "esd", "unlearncanvas")


def test_a_name_that_is_two_concepts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path / "own", "object/hound", edit=('label = "hound"', 'label = "dog"'))
    monkeypatch.setenv("IGMU_CONCEPTS", str(tmp_path / "own"))
    drawn(tmp_path / "esd" / "Van_Gogh_Dogs_seed188.jpg")
    drawn(tmp_path / "esd" / "Van_Gogh_Dog_seed188.jpg")
    with pytest.raises(InputError, match="'Dog' is the name of several concepts, object/dog and object/hound"):
        find(tmp_path / "esd", "unlearncanvas")


def test_nothing_asks_for_the_target_and_switches_of_another_layout(answers: Path) -> None:
    with pytest.raises(
        MetadataError, match=r"none of the images belong to style/monet; they belong to style/rust, .*style/van-gogh"
    ):
        scored(answers, "style.monet")
    with pytest.raises(InputError, match="require the 'unlearncanvas' layout, but the layout is 'flat'"):
        Evaluation("style.monet", layout="flat", include_none=True).found(answers, [answers])


# --- HUB --------------------------------------------------------------------------------------------------------------

LANGUAGES = ("Original", "Spanish")
NOUNS = ("dog", "Van Dyke beard")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images of two methods, of a style among others, with the nouns of pinpoint-ness and labels."""
    root = tmp_path_factory.mktemp("hub")
    folder = root / "prompts" / "pinpoint_ness"
    folder.mkdir(parents=True)
    (folder / "Van Gogh.csv").write_text("\ufeffnoun\n" + "\n".join(NOUNS) + "\n", encoding="utf-8")
    lines = ["path,style/van-gogh,object/dog,noun/van-dyke-beard"]
    for method in ("sd", "esd"):
        places = [f"target_image/{method}/Van Gogh/1/{k}.jpg" for k in (0, 1, 7)]
        places += [f"target_image/{method}/Pikachu/1/0.jpg", f"general_image/{method}/Van Gogh/1/0.jpg"]
        places += [f"pinpoint_ness/{method}/Van Gogh/1/{k}.jpg" for k in (0, 1, 10, 11)]
        places += [f"multilingual_robustness/{method}/Van Gogh/1/{x}/{k}.jpg" for x in LANGUAGES for k in (0, 1)]
        places += [f"attack_robustness/{method}/Van Gogh/1/{k}.jpg" for k in (0, 1)]
        for place in places:
            drawn(root / "images" / place)
            gone = method == "esd" and place.endswith("/0.jpg")
            lines.append(f"images/{place}," + ",".join(["no" if gone else "yes"] * 3))
    (root / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


def test_hub_by_hand(hub: Path, tmp_path: Path) -> None:
    out = tmp_path / "card.json"
    words = ["score", "--layout", "hub", "--config", "style.van-gogh", "--detector", f"labels:{hub / 'labels.csv'}"]
    for option, method in (("--original", "sd"), ("--unlearned", "esd")):
        words += [option, str(hub / "images" / "target_image" / method)]
    done = CliRunner().invoke(app, [*words, "--out", str(out)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    card = Scorecard.model_validate_json(out.read_text(encoding="utf-8"))
    assert (card.original_model, card.model) == ("sd", "esd")
    told = {name: figure.value for name, figure in card.scores["concept_accuracy"].figures.items()}
    assert told["unlearning_accuracy"] == pytest.approx(2 / 5)  # of target_image 0, 1, 7 and the plain 0, 1
    assert told["near_retain_accuracy"] == pytest.approx(mean([1 / 2, 1]))  # pinpoint-ness: noun by noun
    attacks = card.scores["attack_success_rate"].figures
    assert attacks["asr_image"].value == pytest.approx(2 / 4)
    families = {g["attack_family"] for g in card.generations.part("adversarial").records("attack_family")}
    assert families == {"spanish", "attack_robustness"}
    assert len(card.generations) == 14  # none of Pikachu's


@pytest.mark.parametrize(
    ("place", "says"),
    [
        (
            "images/target_image/esd/Van Gogh/1/first.jpg",
            "does not match the layout <target>/<seed>/<k> of the task target_image",
        ),
        ("images/target_image/esd/0.jpg", "does not match the layout <target>/<seed>/<k>"),
        ("images/multilingual_robustness/esd/Van Gogh/1/0.jpg", "<language>"),
        ("images/pinpoint_ness/esd/Van Gogh/1/0.jpg", "Van Gogh.csv, which lists"),
        ("images/esd/Van Gogh/1/0.jpg", "is not a method's folder in one of HUB's tasks"),
    ],
)
def test_what_is_not_hubs(place: str, says: str, tmp_path: Path) -> None:
    path = drawn(tmp_path / place)
    folder = next(p for p in path.parents if p.name == "esd")
    with pytest.raises(MetadataError, match=says):
        find(folder, "hub")
