"""Who is who is told by content: images, originals, shards, cards. Each case was once a wrong number without a word."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn import copied, draw, image_file, metadata, read_metadata
from PIL import Image
from tiny import tiny_clip
from typer.testing import CliRunner

from igmu_data.errors import ChecksumError, IncomparableError, InputError, MetadataError, OutputError
from igmu_data.load import bench_rows
from igmu_metrics import score
from igmu_metrics.cli import app
from igmu_metrics.cli._common import write_cards
from igmu_metrics.copied import copies
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.generations import Generations
from igmu_metrics.images.layouts import Model, find
from igmu_metrics.images.notes import notes
from igmu_metrics.report.ground import ground
from igmu_metrics.report.leaderboard import alike
from igmu_metrics.report.view import Section, view
from igmu_metrics.scale import cluster, shards
from igmu_metrics.scorecard import Scorecard, read
from igmu_metrics.verdict import export
from igmu_metrics.verdict.compare import require_comparable
from igmu_metrics.verdict.verify_images import verify_images


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory, bench_folder: Path) -> Path:
    out = tmp_path_factory.mktemp("identity") / "images"
    draw(out, list(bench_rows("object.church", bench=bench_folder).values()))
    return out


@pytest.fixture(scope="module")
def evaluation(drawn: Path, bench_folder: Path) -> Evaluation:
    lines = (drawn / "labels.csv").read_text().splitlines()
    # The same answers wherever a copy of the folder lies, and for another original.
    more = [line.replace("original/", "other/original/", 1) for line in lines[1:] if line.startswith("original/")]
    (drawn / "labels.csv").write_text("\n".join([*lines, *more]) + "\n")
    return Evaluation("object.church", bench=str(bench_folder), detector=f"labels:{drawn / 'labels.csv'}", cache=False)


def card(evaluation: Evaluation, original: Path, unlearned: Path) -> Scorecard:
    return next(iter(evaluation.run(original, [unlearned])))


@pytest.fixture(scope="module")
def two_originals(drawn: Path, evaluation: Evaluation) -> list[Scorecard]:
    """Two models, each scored against another folder called `original`."""
    other = copied(drawn / "original", drawn / "other" / "original")
    for image in other.rglob("*.png"):
        Image.open(image).convert("L").convert("RGB").save(image)
    return [
        card(evaluation, drawn / "original", drawn / "forgetful"),
        card(evaluation, other, drawn / "unchanged"),
    ]


@pytest.mark.slow
def test_cards_of_another_original_are_refused_and_named(two_originals: list[Scorecard]) -> None:
    for judge in (
        require_comparable,
        lambda cards: require_comparable(cards, ranked=False),
        export.latex,
        lambda cards: view(Section(cards, {})),
    ):
        with pytest.raises(IncomparableError, match=r"different originals: .* images of 'original'"):
            judge(two_originals)
    assert len(alike(two_originals)) == 2


@pytest.mark.slow
def test_shards_of_other_images_are_not_merged(drawn: Path, evaluation: Evaluation, tmp_path: Path) -> None:
    folder = copied(drawn / "unchanged", tmp_path / "unchanged")
    labelled = replace(evaluation, detector=f"labels:{_labels(drawn, tmp_path, 'unchanged')}")
    out = tmp_path / "tables"
    for i in (1, 2):
        shards.look(labelled, drawn / "original", [folder], (i, 2), out)
    assert len(list(shards.merge(out))) == 1
    _exchange(drawn / "forgetful", folder)
    with pytest.raises(
        MetadataError, match="already contains measurements for other images of a model called 'unchanged'"
    ):
        shards.look(labelled, drawn / "original", [folder], (1, 2), out)
    assert len(list(shards.merge(out))) == 1
    (out / shards.file_name("unchanged", 1, 2)).unlink()
    shards.look(labelled, drawn / "original", [folder], (1, 2), out)
    with pytest.raises(MetadataError, match="the folder of unchanged's images changed between its shards"):
        list(shards.merge(out))


def test_a_table_of_other_images_is_no_earlier_work(drawn: Path, evaluation: Evaluation, tmp_path: Path) -> None:
    folder = copied(drawn / "unchanged", tmp_path / "unchanged")
    labelled = replace(evaluation, detector=f"labels:{_labels(drawn, tmp_path, 'unchanged')}")
    path = shards.look(labelled, drawn / "original", [folder], (1, 1), tmp_path / "tables")[1]

    def content() -> str:
        return shards.contents(labelled.found(drawn / "original", [folder])[1])

    assert cluster._there(path, labelled, content())
    assert not cluster._there(path, replace(labelled, threshold=0.9), content())
    _exchange(drawn / "forgetful", folder)
    assert not cluster._there(path, labelled, content())
    path.write_bytes(b"half")
    assert not cluster._there(path, labelled, content())


def _labels(drawn: Path, folder: Path, model: str) -> Path:
    """The labels of the drawn folder, for a copy of one model's images."""
    header, *lines = (drawn / "labels.csv").read_text().splitlines()
    own = [line for line in lines if line.startswith(f"{model}/")]
    rest = [f"{drawn}/{line}" for line in lines if line.startswith("original/")]
    (folder / "labels.csv").write_text("\n".join([header, *own, *rest]) + "\n")
    return folder / "labels.csv"


def _exchange(source: Path, target: Path) -> None:
    for image in source.rglob("*.png"):
        (target / image.relative_to(source)).write_bytes(image.read_bytes())


def test_a_card_takes_no_other_cards_place(drawn: Path, evaluation: Evaluation, tmp_path: Path) -> None:
    one = card(evaluation, drawn / "original", drawn / "forgetful")
    path = tmp_path / "card.json"
    write_cards([one], lambda _: path)
    write_cards([one], lambda _: path)  # the same evaluation again
    before = path.read_bytes()
    for other, says in (
        (one.model_copy(update={"config": "object.castle"}), "different config, 'object.church'"),
        (one.model_copy(update={"model": "another"}), "different model, 'forgetful'"),
        (
            card(replace(evaluation, threshold=0.9), drawn / "original", drawn / "forgetful"),
            "different detector.threshold, 0.5",
        ),
    ):
        with pytest.raises(OutputError, match=says):
            write_cards([other], lambda _: path)
        assert path.read_bytes() == before
    path.write_text("notes of mine")
    with pytest.raises(OutputError, match="is not an unchanged scorecard"):
        write_cards([one], lambda _: path)
    assert path.read_text() == "notes of mine"


def test_two_concepts_leave_two_cards(tmp_path: Path) -> None:
    from igmu_metrics.verdict.places import output_paths

    names = {output_paths(tmp_path, [Path("esd")], config)[0] for config in ("object.church", "object.cat")}
    assert len(names) == 2
    with pytest.raises(InputError, match="cannot be used as a file name"):
        output_paths(tmp_path, [Path("esd/..")], "object.church")


def test_flat_folders_pair_by_number_or_by_name(tmp_path: Path) -> None:
    for model, numbers in (("a", (1, 2, 3, 5)), ("b", (1, 2, 4, 5))):
        for i in numbers:
            image_file(tmp_path / model / f"{model}_{i:03d}.png", (i, 0, 0))
            image_file(tmp_path / "named" / model / f"image {'abcdef'[i]}.png", (i, 0, 0))
    for folder in (tmp_path, tmp_path / "named"):
        original, unlearned = (find(folder / m, "flat") for m in "ab")
        with pytest.raises(MetadataError, match="has no image for row 'prompt'"):
            unlearned.paired(original)
        both, reasons = unlearned.paired(original, skip=True)
        assert (len(both), len(reasons)) == (3, 2)
        for mine, theirs in zip(both["path"], both["path_original"], strict=True):
            assert Image.open(mine).getpixel((0, 0)) == Image.open(theirs).getpixel((0, 0))


def test_the_scheduler_of_a_pair_is_compared_if_both_record_it(
    drawn: Path, evaluation: Evaluation, tmp_path: Path
) -> None:
    folders = [copied(drawn / name, tmp_path / name) for name in ("original", "forgetful")]
    labelled = replace(evaluation, detector=f"labels:{copied_labels(drawn, tmp_path)}")

    def scheduled(*schedulers: str) -> None:
        for folder, scheduler in zip(folders, schedulers, strict=True):
            more = {"scheduler": scheduler} if scheduler else {}
            kept = [{k: v for k, v in line.items() if k != "scheduler"} for line in read_metadata(folder)]
            metadata(folder, [{**line, "steps": 50, **more} for line in kept])

    scheduled("", "DDIMScheduler 1234abcd")  # an original of an earlier version
    signature = card(labelled, *folders).scores["concept_accuracy"].signature
    assert signature["generated"] == "steps 50, scheduler DDIMScheduler 1234abcd"
    scheduled("PNDMScheduler", "DDIMScheduler")
    with pytest.raises(MetadataError, match=r"scheduler DDIMScheduler, but the original's .* scheduler PNDMScheduler"):
        card(labelled, *folders)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"prompt": "a dog"}, MetadataError, "line 1: the prompt is 'a dog', but the prompt of row"),
        ({"model": "another", "revision": "1"}, MetadataError, "more than one model"),
        ({"sha256": "0" * 64}, ChecksumError, "is not the file listed in the metadata"),
        (
            {"steps": 7},
            MetadataError,
            "was generated with steps 7, but the original's image was generated with steps 50",
        ),
        (
            {"guidance_scale": 1.5},
            MetadataError,
            "with steps 50, guidance_scale 1.5, but the original's image was generated with steps 50",
        ),
        ({"width": 64}, MetadataError, "with steps 50, width 64, but the original's image was generated with steps 50"),
        (
            {"height": 64},
            MetadataError,
            "with steps 50, height 64, but the original's image was generated with steps 50",
        ),
        ({"seed": -1}, MetadataError, "seed is -1"),
        ({"seed": 2**63}, MetadataError, "seed is 9223372036854775808"),
    ],
)
def test_all_that_metadata_says_is_checked(
    drawn: Path, evaluation: Evaluation, tmp_path: Path, change: dict[str, object], error: type[Exception], says: str
) -> None:
    folders = [copied(drawn / name, tmp_path / name) for name in ("original", "forgetful")]
    for folder in folders:
        metadata(folder, [{**line, "steps": 50, "model": "m"} for line in read_metadata(folder)])
    lines = read_metadata(folders[1])
    metadata(folders[1], [{**lines[0], **change}, *lines[1:]])
    labelled = replace(evaluation, detector=f"labels:{copied_labels(drawn, tmp_path)}")
    with pytest.raises(error, match=says):
        card(labelled, *folders)


def copied_labels(drawn: Path, folder: Path) -> Path:
    (folder / "labels.csv").write_text((drawn / "labels.csv").read_text())
    return folder / "labels.csv"


def test_files_of_another_kind_are_said_and_signed(drawn: Path, evaluation: Evaluation, tmp_path: Path) -> None:
    folder = copied(drawn / "unchanged", tmp_path / "unchanged")
    lines = read_metadata(folder)
    for line in lines:
        path = folder / line["file_name"]
        Image.open(path).convert("L").resize((48, 48)).save(path.with_suffix(".jpg"))
        path.unlink()
        line["file_name"] = str(Path(line["file_name"]).with_suffix(".jpg"))
    metadata(folder, lines)
    labels = _labels(drawn, tmp_path, "unchanged")
    labels.write_text(labels.read_text().replace(".png", ".jpg").replace("original/", "original/").replace("\r", ""))
    text = labels.read_text().splitlines()
    labels.write_text("\n".join(t.replace(".jpg", ".png") if str(drawn) in t else t for t in text) + "\n")
    found = card(replace(evaluation, detector=f"labels:{labels}"), drawn / "original", folder)
    told = "JPEG 48×48 L against PNG 96×96 RGB"
    assert found.notes[0] == f"the files of the two models differ: {told}"
    assert all(s.signature["images"] == told for s in found.scores.values())
    alike = card(evaluation, drawn / "original", drawn / "unchanged")
    assert all("images" not in s.signature for s in alike.scores.values())
    with pytest.raises(IncomparableError, match="images"):
        require_comparable([found, alike])


def test_copies_are_said(drawn: Path, evaluation: Evaluation, tmp_path: Path) -> None:
    folder = copied(drawn / "unchanged", tmp_path / "unchanged")
    before = card(evaluation, drawn / "original", drawn / "unchanged").notes
    lines = {line["seed"]: folder / line["file_name"] for line in read_metadata(folder)}
    first, *others = lines.values()
    for other in others[:3]:
        other.write_bytes(first.read_bytes())
    labelled = replace(evaluation, detector=f"labels:{_labels(drawn, tmp_path, 'unchanged')}")
    found = card(labelled, drawn / "original", folder)
    told = "{} of the {} model's images are byte-for-byte copies of an image with a different seed"
    assert not [n for n in before if "copies" in n]
    own = ", 2 of them for the same prompt, which the interval counts once"
    assert [n for n in found.notes if "copies" in n] == [told.format(3, "unlearned") + own]
    assert sum("identical, byte for byte, to" in n for n in before) == 2  # stand-ins look at seeds alone
    path = tmp_path / "card.json"
    write_cards([found], lambda _: path)
    assert read(path).notes == found.notes
    assert json.loads(path.read_text())["notes"] == list(found.notes)


def test_copies_of_one_prompt_are_said_and_weigh_as_before(drawn: Path, evaluation: Evaluation, tmp_path: Path) -> None:
    """Left out, they would take weight from their prompts: a model that fails there would look better."""
    folder = copied(drawn / "unchanged", tmp_path / "unchanged")
    first: dict[str, Path] = {}
    forget = [line for line in read_metadata(folder) if line["file_name"].startswith("forget/")]
    for line in forget[: len(forget) // 2]:
        path = folder / line["file_name"]
        path.write_bytes(first.setdefault(line["id"], path).read_bytes())
    labelled = replace(evaluation, detector=f"labels:{_labels(drawn, tmp_path, 'unchanged')}")
    before, after = (
        card(evaluation, drawn / "original", drawn / "unchanged"),
        card(labelled, drawn / "original", folder),
    )
    n = len(forget) // 4
    assert any(f"{n} of them for the same prompt, which the interval counts once" in note for note in after.notes)
    for name in ("concept_accuracy", "attack_success_rate"):
        one, other = before.scores[name], after.scores[name]
        assert (one.value, one.interval, one.n_generations) == (other.value, other.interval, other.n_generations)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_an_interval_counts_copies_once(share: float) -> None:
    """Five equal answers of a prompt are worth little more than one: the interval is as wide within a tenth."""
    shown = np.random.default_rng(0).random(40) < share

    def width(times: int) -> float:
        found = [f"object/{'church' if one else 'none'}" for one in shown for _ in range(times)]
        ids = [str(i) for i in range(len(shown)) for _ in range(times)]
        how: dict[str, Any] = {"references": ["object/church"] * len(ids), "target": "object/church", "ids": ids}
        low, high = score("concept_accuracy", predictions=found, **how).interval or (0.0, 0.0)
        return high - low

    assert 0.9 * width(1) < width(5) <= width(1)


def test_seeds_that_a_generator_takes_for_one_are_said() -> None:
    table = Generations(
        {
            "id": list("aaab"),
            "seed": [1, 2**32 + 1, 2, 1],
            "split": ["forget"] * 4,
            "status": ["ok"] * 4,
            "status_original": ["ok"] * 4,
            "sha256": list("abcd"),
            "sha256_original": list("abcd"),
        }
    )
    said = "torch cannot distinguish 1 seed from another seed of the same prompt (equal modulo 2^32)"
    assert notes(table) == [said]
    assert notes(table.where([1, 2, 3])) == []


@pytest.mark.slow
def test_two_folders_of_one_last_name_are_asked_for_names(
    drawn: Path, evaluation: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = tmp_path / "labels.csv"
    header, *lines = (drawn / "labels.csv").read_text().splitlines()
    places = {"original": "sd14/images", "unchanged": "same/images", "forgetful": "esd/images"}
    for model, place in places.items():
        copied(drawn / model, tmp_path / place)
    split = [(places.get(line.partition("/")[0]), line.partition("/")[2]) for line in lines]
    moved = [f"{place}/{rest}" for place, rest in split if place]
    labels.write_text("\n".join([header, *moved]) + "\n")
    original, same, esd = (tmp_path / place for place in places.values())
    how = replace(evaluation, detector=f"labels:{labels}")
    given = ["--config", how.config, "--bench", str(how.bench), "--detector", how.detector, "--no-cache"]
    ways: list[Callable[[Path, list[Path]], object]] = [
        lambda first, others: list(how.run(first, others)),
        lambda first, others: shards.look(how, first, others, (1, 1), tmp_path / "tables"),
        lambda first, others: run_command(
            ["score", "--original", str(first), *(w for o in others for w in ("--unlearned", str(o))), *given]
        ),
    ]
    for way in ways:
        for first, others in ((original, [esd]), (drawn / "original", [same, esd])):
            with pytest.raises(InputError, match=r"same folder name.*ESD="):
                way(first, others)
    monkeypatch.chdir(tmp_path)
    named = [Path("same=same/images"), Path("esd=esd/images")]
    cards = list(how.run(Model("sd14", original), [Model("same", same), Model("esd", esd)]))
    assert [(c.model, c.original_model) for c in cards] == [("same", "sd14"), ("esd", "sd14")]
    for way in ways:
        way(Path("sd14=sd14/images"), named)
    assert sorted(p.name for p in (tmp_path / "tables").glob("[!.]*")) == [
        f"{name}-00001-of-00001.parquet" for name in ("esd", "same", "sd14")
    ]
    merged = {c.model: c.model_dump_json() for c in shards.merge(tmp_path / "tables")}
    assert merged == {c.model: c.model_dump_json() for c in cards}
    assert not list(verify_images(cards[1], esd, original, bench=how.bench, detector=how.detector))
    with pytest.raises(
        MetadataError, match=r"already contains measurements for other images of a model called 'esd'.*NAME=FOLDER"
    ):
        shards.look(how, Model("sd14", original), [Model("esd", same)], (1, 1), tmp_path / "tables")
    with pytest.raises(InputError, match=r"the model name 'a/b' cannot be used as a file name"):
        list(how.run(original, [Path("a/b=c")]))


def run_command(words: list[str]) -> None:
    done = CliRunner().invoke(app, words)
    if done.exception is not None:
        raise done.exception


def test_images_of_one_colour_are_counted_apart(drawn: Path, evaluation: Evaluation, tmp_path: Path) -> None:
    folder = copied(drawn / "unchanged", tmp_path / "unchanged")
    rows = bench_rows(evaluation.config, bench=evaluation.bench)
    named = [line for line in read_metadata(folder) if rows[line["id"]].probe == "direct"]
    forget = sorted(folder / line["file_name"] for line in named)
    for path in forget[: len(forget) // 2]:
        Image.new("RGB", (96, 96)).save(path)
    answers = tmp_path / "labels.csv"  # a judge that sees no church in a black image
    _labels(drawn, tmp_path, "unchanged")
    blackened = {f"unchanged/forget/{path.name}" for path in forget[: len(forget) // 2]}
    header, *lines = answers.read_text().splitlines()
    changed = [line if line.split(",")[0] not in blackened else line.replace("yes", "no") for line in lines]
    answers.write_text("\n".join([header, *changed]) + "\n")
    labelled = replace(evaluation, detector=f"labels:{answers}")
    found = card(labelled, drawn / "original", folder)
    assert found.scores["concept_accuracy"].value == 0  # of what can be judged, all churches are there
    assert found.figure("concept_accuracy", "n_unclear").value == len(forget) // 2  # type: ignore[union-attr]
    assert any("are a single color" in note and f"{len(forget) // 2} of" in note for note in found.notes)
    status = [g["status"] for g in found.generations.part("forget").records("status")]
    assert status.count("blank") == len(forget) // 2
    kept = card(replace(labelled, blank="keep"), drawn / "original", folder)
    assert kept.scores["concept_accuracy"].value == pytest.approx(len(forget) // 2 / len(forget))
    assert kept.scores["concept_accuracy"].signature["blank"] == "keep"
    with pytest.raises(IncomparableError, match="blank"):
        require_comparable([found, kept])


def test_what_is_blank_is_known_from_the_cache_too(tmp_path: Path) -> None:
    from igmu_metrics.networks.observe import observe
    from igmu_metrics.networks.store import Store

    paths = [image_file(tmp_path / "black.png", (0, 0, 0)), tmp_path / "two.png"]
    image = Image.new("RGB", (8, 8))
    image.putpixel((3, 3), (0, 0, 1))
    image.save(paths[1])
    store = Store(tmp_path / "cache.sqlite", 10**8)
    for _ in range(2):
        assert observe(paths, blank="apart", store=store)["status"].tolist() == ["blank", "ok"]
    assert observe(paths, store=store)["status"].tolist() == ["ok", "ok"]
    store.close()


def test_prompts_that_clip_cannot_read_whole_are_counted(drawn: Path, evaluation: Evaluation, tmp_path: Path) -> None:
    from transformers import CLIPTokenizer

    folder = tiny_clip(tmp_path / "clip")
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    reading = replace(evaluation, clip=str(folder), cache=True)
    found = [card(reading, drawn / "original", drawn / "unchanged") for _ in range(2)]  # the second time from the cache
    rows = bench_rows("object.church", bench=str(evaluation.bench))
    prompts = {row: rows[row].prompt for row in found[0].generations["id"].tolist()}
    long = {row for row, prompt in prompts.items() if len(tokenizer(prompt, verbose=False)["input_ids"]) > 77}
    assert 0 < len(long) < len(prompts)
    told = f"CLIP read only the beginning of {len(long)} of {len(prompts)} prompts, which are too long for it"
    for one in found:
        assert told in one.notes


@pytest.mark.parametrize(
    ("original", "unlearned", "noted"),
    [
        ("original", "forgetful", []),
        ("original", "unchanged", ["bytes"]),
        ("forgetful", "original", ["exchanged"]),
        ("forgetful", "forgetful", []),
    ],
)
def test_images_of_another_model_are_noted(
    drawn: Path, evaluation: Evaluation, original: str, unlearned: str, noted: list[str]
) -> None:
    found = card(evaluation, drawn / original, drawn / unlearned)
    told = [note for note in found.notes if "same bytes" in note or "exchanged" in note]
    forget = int((found.generations["split"] == "forget").sum())
    if "bytes" in noted:
        of = f"{forget} of {forget} images of the unlearned model for forget prompts"
        assert told == [f"{of} have the same bytes as the original's image of the same prompt and seed"]
    elif noted:
        (note,) = told
        shown = f"the original shows the concept in 0 of {forget} images of forget prompts, the unlearned model in "
        assert note.startswith(shown), note
        assert note.endswith(f" of {forget}; are the two exchanged?")
    else:
        assert told == []


def test_two_models_with_the_same_images_are_noted(drawn: Path, evaluation: Evaluation, tmp_path: Path) -> None:
    folder = copied(drawn / "forgetful", tmp_path / "second")
    lines = (drawn / "labels.csv").read_text().splitlines()
    given = [f"{drawn}/{line}" for line in lines[1:]]
    given += [f"{folder}/{line.partition('/')[2]}" for line in lines[1:] if line.startswith("forgetful/")]
    (tmp_path / "labels.csv").write_text("\n".join([lines[0], *given]) + "\n")
    words = ["score", "--original", str(drawn / "original"), "--config", "object.church", "--bench"]
    words += [str(evaluation.bench), "--detector", f"labels:{tmp_path / 'labels.csv'}", "--no-cache"]
    words += ["--unlearned", str(drawn / "forgetful"), "--unlearned", str(folder), "--out", str(tmp_path / "cards")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    cards = [read(path) for path in sorted((tmp_path / "cards").glob("*.json"))]
    n = len(cards[0].generations)
    kept = int((cards[0].generations["sha256"] == cards[0].generations["sha256_original"]).sum())
    note = f"{n - kept} of {n} images of 'second' have the same bytes as those of 'forgetful'"
    assert note in " ".join(done.output.split())
    assert copies(cards) == [note]
    text = next(r.text for r in ground(view(Section(cards, {}))) if r.title == "Notes")
    assert note in text
    three = [*cards, cards[1].model_copy(update={"model": "third"})]
    (note,) = copies(three)
    same = "most images of 3 models have the same bytes as those of another of them, such as 'second' and 'forgetful'"
    assert note == same
    for path in folder.rglob("*.png"):
        image = Image.open(path).convert("RGB")
        image.putpixel((1, 1), (1, 2, 3))
        image.save(path)
    labelled = replace(evaluation, detector=f"labels:{tmp_path / 'labels.csv'}")
    assert copies(list(labelled.run(drawn / "original", [drawn / "forgetful", folder]))) == []
