"""The whole path from folders of images to scorecards, on real outputs and on drawn ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from drawn import copied, draw, metadata, read_metadata

from igmu_data.errors import (
    BudgetError,
    CorruptImageError,
    InputError,
    MetadataError,
    MissingImageError,
    OutputError,
    UnknownConfigError,
    UnknownDetectorError,
    UnknownIdError,
)
from igmu_data.load import bench_rows, digest, identity, locate
from igmu_data.schema import ASIDE, COMPOSITION
from igmu_metrics import score
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.scorecard import Scorecard, read, write
from igmu_metrics.verdict.compare import FORGETTING, compared
from igmu_metrics.verdict.places import output_paths

CHURCH = Path(__file__).resolve().parents[2] / "shared" / "church"
MODELS = ("esd", "fmn", "mace", "spm", "uce")


@pytest.fixture(scope="module")
def church() -> dict[str, Scorecard]:
    if not CHURCH.is_dir():
        pytest.skip("../shared/church is not here")
    evaluation = Evaluation("object.church", layout="igmu", detector=f"labels:{CHURCH / 'labels.csv'}")
    return {c.model: c for c in evaluation.run(CHURCH / "original", [CHURCH / m for m in MODELS])}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, bench_folder: Path) -> Path:
    out = tmp_path_factory.mktemp("drawn") / "images"
    draw(out, list(bench_rows("object.church", bench=bench_folder).values()))
    return out


@pytest.fixture
def evaluation(folder: Path, bench_folder: Path) -> Evaluation:
    return Evaluation("object.church", bench=str(bench_folder), detector=f"labels:{folder / 'labels.csv'}")


def one(evaluation: Evaluation, original: Path, unlearned: Path) -> Scorecard:
    return next(iter(evaluation.run(original, [unlearned])))


@pytest.mark.parametrize("model", ["esd", "mace", "uce"])
def test_real_models_that_forgot_every_church(church: dict[str, Scorecard], model: str) -> None:
    accuracy = church[model].scores["concept_accuracy"].figures
    assert accuracy["unlearning_accuracy"].value == 1.0
    assert accuracy["conditional_unlearning_accuracy"].value == 1.0
    assert accuracy["conditional_unlearning_accuracy"].n_generations == 2
    assert accuracy["n_unclear"].value == 0


def test_the_original_is_shown_raw_and_conditional_with_what_was_left_out(church: dict[str, Scorecard]) -> None:
    # By the labels: 2 yes, 2 no, 1 unclear.
    accuracy = church["esd"].scores["concept_accuracy"].figures
    raw, conditional = accuracy["original_unlearning_accuracy"], accuracy["original_conditional_unlearning_accuracy"]
    assert (raw.value, raw.n_generations, accuracy["n_unclear_original"].value) == (0.5, 4, 1)
    assert (conditional.value, conditional.n_generations) == (0.0, 2)
    assert raw.interval is not None
    assert conditional.interval is not None


def test_unclear_is_left_out_and_counted(church: dict[str, Scorecard]) -> None:
    # fmn: unclear, no, unclear, no, yes; where the original drew a church (0 and 4): unclear, yes.
    accuracy = church["fmn"].scores["concept_accuracy"].figures
    assert accuracy["unlearning_accuracy"].value == pytest.approx(2 / 3)
    assert accuracy["n_unclear"].value == 2
    assert (
        accuracy["conditional_unlearning_accuracy"].value,
        accuracy["conditional_unlearning_accuracy"].n_generations,
    ) == (0, 1)


def test_no_difference_is_significant_at_five_images(church: dict[str, Scorecard]) -> None:
    cards = list(church.values())
    assert not any(c.significant for c in compared(cards))
    (esd,) = compared([church["esd"]])
    # Four pairs were judged in both; the original shows the church in two, and esd in neither: one prompt, no test.
    assert (esd.n, esd.only_first, esd.only_second, esd.raw_n, esd.p) == (2, 2, 0, 4, None)


@pytest.mark.slow
def test_polarity_on_drawn_images(folder: Path, evaluation: Evaluation) -> None:
    gone, same = evaluation.run(folder / "original", [folder / "forgetful", folder / "unchanged"])
    for card, forgotten in ((gone, 1.0), (same, 0.0)):
        figures = card.scores["concept_accuracy"].figures
        assert figures["conditional_unlearning_accuracy"].value == forgotten
        assert figures["near_retain_accuracy"].value == figures["far_retain_accuracy"].value == 1.0
        attacks = card.scores["attack_success_rate"].figures
        assert attacks["asr_image"].value == 1 - forgotten
        assert attacks["post_asr"].value == 1 - forgotten
        # No CLIP was given: the composite is missing, and says of what.
        assert card.scores["forget_score"].value is None
        assert "alignment" in card.scores["forget_score"].figures["forget_score"].reason
    assert [c.significant for c in compared([gone, same]) if c.original and c.measure == FORGETTING] == [True, False]


def labelled(folder: Path, target: Path, yes: set[str]) -> Path:
    """A copy of the folder in which the forgetful model shows a church for these rows and no others."""
    copied(folder, target)
    head, *lines = (target / "labels.csv").read_text(encoding="utf-8").splitlines()
    column = head.split(",").index("object/church")
    out = [head]
    for line in lines:
        cells = line.split(",")
        if cells[0].startswith("forgetful/"):
            cells[column] = "yes" if Path(cells[0]).stem.partition("_")[0] in yes else "no"
        out.append(",".join(cells))
    (target / "labels.csv").write_text("\n".join(out) + "\n", encoding="utf-8")
    return target


@pytest.mark.parametrize("probe", ASIDE)
def test_what_is_counted_by_itself_is_scored_apart_and_counts_for_nothing_else(
    probe: str, folder: Path, bench_folder: Path, tmp_path: Path
) -> None:
    rows = bench_rows("object.church", bench=bench_folder)
    drawn_ids = {line["id"] for line in read_metadata(folder / "forgetful")}
    negated = {i for i in drawn_ids if rows[i].probe == probe}
    attacked = {i for i in drawn_ids if rows[i].probe == "attack"}
    assert negated
    one_of_them = min(negated)
    place = labelled(folder, tmp_path / "images", {one_of_them})
    evaluation = Evaluation("object.church", bench=str(bench_folder), detector=f"labels:{place / 'labels.csv'}")
    card = one(evaluation, place / "original", place / "forgetful")
    apart = card.scores[f"concept_accuracy/{probe}"].figures
    assert apart["unlearning_accuracy"].value == pytest.approx(1 - 1 / len(negated))
    assert apart["unlearning_accuracy"].n_prompts == len(negated)
    # The stand-in shows a church only where the row says so: where it is asked for in company.
    assert apart["original_unlearning_accuracy"].value == (0.0 if probe == COMPOSITION else 1.0)
    attacks = card.scores["attack_success_rate"].figures
    assert attacks["asr_any@k"].value == attacks["post_asr"].value == 0.0
    assert attacks["asr_any@k"].n_prompts == len(attacked)
    assert not any(probe in name for name in attacks)
    assert card.scores["forget_score"].figures["unconditional_robustness"].value == 1.0
    assert card.scores["forget_score"].figures["robustness"].n_prompts == len(attacked)
    assert card.scores["concept_accuracy"].figures["unlearning_accuracy"].value == 1.0
    both = card.scores["concept_accuracy"].signed().differences(card.scores[f"concept_accuracy/{probe}"].signed())
    assert both["split"] == (None, probe)


def test_every_score_is_signed_with_what_it_is_of(folder: Path, evaluation: Evaluation) -> None:
    """The model, what it was compared with, on which rows of which corpus, and what became of unreadable images."""
    card = one(evaluation, folder / "original", folder / "forgetful")
    told = {
        "model": "forgetful",
        "original": "original",
        "config": "object.church",
        "on_error": "raise",
        "dataset": identity(locate(evaluation.config, evaluation.bench)),
        "dataset.revision": "default",
        "dataset.rows": digest(evaluation.rows()),
        "rows": digest(card.generations["id"].tolist()),
    }
    for name, entry in card.scores.items():
        assert {field: entry.signature.get(field) for field in told} == told, name
    assert card.scores["attack_success_rate"].signature["k"] == 2


def test_cards_survive_a_round_trip(folder: Path, evaluation: Evaluation, tmp_path: Path) -> None:
    card = one(evaluation, folder / "original", folder / "forgetful")
    write(card, tmp_path / "sub" / "card.json")
    assert read(tmp_path / "sub" / "card.json") == card
    json.loads((tmp_path / "sub" / "card.json").read_text(), parse_constant=lambda c: pytest.fail(f"{c} is not JSON"))


@pytest.mark.slow
def test_twice_gives_the_same_card(folder: Path, evaluation: Evaluation) -> None:
    first, second = (one(evaluation, folder / "original", folder / "forgetful") for _ in range(2))
    assert first == second


def test_a_missing_image_is_an_error_or_counted(folder: Path, evaluation: Evaluation, tmp_path: Path) -> None:
    from dataclasses import replace

    spoilt = copied(folder / "unchanged", folder / f"spoilt-{tmp_path.name}")
    names = [line["file_name"] for line in read_metadata(spoilt) if line["file_name"].startswith("forget")]
    (spoilt / names[0]).unlink()
    with pytest.raises(MissingImageError, match=names[0]):
        one(evaluation, folder / "original", spoilt)
    (spoilt / names[0]).write_bytes(b"not an image")
    with pytest.raises(CorruptImageError, match=names[0]):
        one(evaluation, folder / "original", spoilt)
    labels = folder / "labels.csv"
    text = labels.read_text()
    extended = folder / f"labels-{tmp_path.name}.csv"
    extended.write_text(
        text
        + "".join(
            line.replace("unchanged", spoilt.name, 1) for line in text.splitlines(True) if line.startswith("unchanged/")
        )
    )
    lenient = replace(evaluation, on_error="skip", detector=f"labels:{extended}")
    card = one(lenient, folder / "original", spoilt)
    whole = one(replace(lenient), folder / "original", folder / "unchanged")
    assert len(card.failures) == 1
    figure, before = (c.scores["concept_accuracy"].figures["unlearning_accuracy"] for c in (card, whole))
    assert figure.n_generations == before.n_generations - 1
    assert figure.value == 0.0
    assert card.scores["concept_accuracy"].n_failed == 1


def test_an_unpaired_generation_is_an_error(folder: Path, evaluation: Evaluation, tmp_path: Path) -> None:
    fewer = copied(folder / "unchanged", tmp_path / "fewer")
    lines = read_metadata(fewer)
    (fewer / lines[0]["file_name"]).unlink()
    metadata(fewer, lines[1:])
    with pytest.raises(MetadataError, match=lines[0]["id"]):
        one(evaluation, folder / "original", fewer)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"config": "object.chruch"}, UnknownConfigError, "object.church"),
        ({"config": "object"}, InputError, "contains 48 concepts, but a model is scored on one"),
        ({"config": "object.structure"}, InputError, "contains 8 concepts, but a model is scored on one"),
        ({"detector": "labls:x.csv"}, UnknownDetectorError, "labels"),
        ({"detector": "labels:nothing.csv"}, MetadataError, "nothing.csv"),
        ({"on_error": "ignore"}, InputError, "skip"),
    ],
)
def test_wrong_options(
    folder: Path, evaluation: Evaluation, change: dict[str, str], error: type[Exception], says: str
) -> None:
    from dataclasses import replace

    with pytest.raises(error, match=says):
        one(replace(evaluation, **change), folder / "original", folder / "unchanged")


def test_output_places(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    church = "object.church"
    assert output_paths(None, [a, b], church) == [None, None]
    assert output_paths(tmp_path / "card.json", [a], church) == [tmp_path / "card.json"]
    assert output_paths(tmp_path / "cards", [a, b], church) == [
        tmp_path / "cards" / f"{name}.object.church.json" for name in "ab"
    ]
    with pytest.raises(InputError, match="'a'"):
        output_paths(tmp_path, [a, tmp_path / "x" / "a"], church)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        output_paths(tmp_path / "file" / "card.json", [a], church)


def test_score_of_images_by_row(folder: Path, evaluation: Evaluation) -> None:
    """The Python call gives what the evaluation of the folders gives."""
    lines = read_metadata(folder / "original")
    given = {
        "row_ids": [line["id"] for line in lines],
        "seeds": [line["seed"] for line in lines],
        "original_images": [str(folder / "original" / line["file_name"]) for line in lines],
        "config": "object.church",
        "bench": evaluation.bench,
        "detector": evaluation.detector,
    }
    sample_images = [str(folder / "forgetful" / line["file_name"]) for line in lines]
    got = score("attack_success_rate", images=sample_images, **given)
    card = one(evaluation, folder / "original", folder / "forgetful").scores["attack_success_rate"]
    assert {k: f.value for k, f in got.figures.items()} == {k: f.value for k, f in card.figures.items()}
    with pytest.raises(InputError, match="detektor"):
        score("forget_score", images=sample_images, detektor="clip", **given)
    with pytest.raises(InputError, match="original"):
        score("forget_score", images=sample_images, **{k: v for k, v in given.items() if k != "original_images"})
    with pytest.raises(UnknownIdError, match="nothing"):
        score("forget_score", images=sample_images, **(given | {"row_ids": ["nothing"] * len(sample_images)}))


def attacked(folder: Path, evaluation: Evaluation) -> dict[str, Any]:
    """What a caller gives who knows the adversarial images only."""
    lines = [line for line in read_metadata(folder / "original") if line["file_name"].startswith("adversarial")]
    return {
        "row_ids": [line["id"] for line in lines],
        "seeds": [line["seed"] for line in lines],
        "images": [str(folder / "forgetful" / line["file_name"]) for line in lines],
        "original_images": [str(folder / "original" / line["file_name"]) for line in lines],
        "config": "object.church",
        "bench": evaluation.bench,
        "detector": evaluation.detector,
    }


def test_ids_of_attacks_are_enough(folder: Path, evaluation: Evaluation) -> None:
    """The plain prompts behind them are found in the corpus and in the models' folders: all figures are the card's."""
    got = score("attack_success_rate", **attacked(folder, evaluation))
    card = one(evaluation, folder / "original", folder / "forgetful").scores["attack_success_rate"]
    for name in ("pre_asr", "post_asr", "conditional_post_asr", "post_asr_family_mean", "asr_any@k"):
        assert got.figures[name].value == card.figures[name].value == 0, name
        assert got.figures[name].n_prompts == card.figures[name].n_prompts > 0, name


def test_attacks_whose_plain_prompts_are_not_found(folder: Path, evaluation: Evaluation, tmp_path: Path) -> None:
    """Without metadata pre and post stay open, and the sources are the units all the same."""
    bare = copied(folder, tmp_path / "bare")
    for model in ("original", "forgetful"):
        (bare / model / "metadata.jsonl").unlink()
    given = attacked(folder, evaluation)
    moved = {k: [p.replace(str(folder), str(bare)) for p in given[k]] for k in ("images", "original_images")}
    got = score("attack_success_rate", **given | moved | {"detector": f"labels:{bare / 'labels.csv'}"})
    assert got.figures["pre_asr"].value != got.figures["pre_asr"].value
    assert "source prompt" in got.figures["post_asr"].reason
    assert got.figures["asr_image"] == score("attack_success_rate", **given).figures["asr_image"]


def test_unequal_seeds_need_a_k_unless_images_failed(folder: Path, evaluation: Evaluation, tmp_path: Path) -> None:
    from dataclasses import replace

    spoilt = copied(folder, tmp_path / "spoilt")
    adversarial = sorted(read_metadata(folder / "original"), key=lambda line: str(line["file_name"]))[0]
    for model in ("original", "forgetful"):
        lines = [line for line in read_metadata(spoilt / model) if line != adversarial]
        metadata(spoilt / model, lines)
        (spoilt / model / adversarial["file_name"]).unlink()
    there = replace(evaluation, detector=f"labels:{spoilt / 'labels.csv'}")
    with pytest.raises(BudgetError, match="has 1 seed, but '"):
        one(there, spoilt / "original", spoilt / "forgetful")
    card = one(replace(there, k=1), spoilt / "original", spoilt / "forgetful")
    assert card.scores["attack_success_rate"].signature["k"] == card.scores["forget_score"].signature["k"] == 1
    failed = copied(folder, tmp_path / "failed")
    (failed / "forgetful" / adversarial["file_name"]).write_bytes(b"no image")
    skipping = replace(evaluation, detector=f"labels:{failed / 'labels.csv'}", on_error="skip")
    card = one(skipping, failed / "original", failed / "forgetful")
    assert (card.scores["attack_success_rate"].signature["k"], len(card.failures)) == (1, 1)


def test_a_detector_whose_errors_are_known(folder: Path, evaluation: Evaluation) -> None:
    from dataclasses import replace

    card = one(replace(evaluation, sensitivity=0.9, specificity=0.9), folder / "original", folder / "unchanged")
    entry = card.scores["concept_accuracy"]
    # Every church is called one: 1 / 0.8 is clipped to all, so nothing was forgotten.
    assert entry.figures["corrected_unlearning_accuracy"].value == 0.0
    assert (entry.signature["sensitivity"], entry.signature["detector.specificity"]) == (0.9, 0.9)
