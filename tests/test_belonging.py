"""A dishonest submitter changes a run's folder; `igmu verify` says what no longer fits together."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from drawn import image_file
from PIL import Image
from test_advice import strange
from typer.testing import CliRunner, Result

from igmu_data.errors import VerificationError
from igmu_data.load import bench_rows
from igmu_data.strangers import fingerprint
from igmu_metrics.cli import app
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.images.generate import Request, file_of, requests_for
from igmu_metrics.images.layouts import Model
from igmu_metrics.images.sequential import record
from igmu_metrics.running import belonging
from igmu_metrics.running.looking import first_look
from igmu_metrics.running.plan import Generation, Plan, written
from igmu_metrics.scorecard import Scorecard, read, write
from igmu_metrics.statistics.looks import Looks

CONFIG = "sandbox.church"
NAMES = ("esd", "gold")
REVISIONS = {"original": "sha256:0", "esd": "sha256:1", "gold": "sha256:2"}
Change = Callable[[Path], object]


def images(out: Path, name: str) -> Path:
    return out / "images" / CONFIG / name


def card_of(out: Path, name: str) -> Path:
    return out / "cards" / f"{name}.{CONFIG}.json"


def facts(name: str) -> dict[str, str]:
    spec = "sandbox:original" if name == "original" else f"sandbox:{name}/church"
    return {"model": spec, "revision": REVISIONS[name], "dtype": "fp32"}


def records(out: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (images(out, name) / "metadata.jsonl").read_text().splitlines()]


def listed(out: Path, name: str, lines: list[dict[str, Any]]) -> None:
    (images(out, name) / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def scored(out: Path, *names: str, **settings: Any) -> None:
    evaluation = Evaluation(CONFIG, detector=f"labels:{out / 'labels.csv'}", cache=False, **settings)
    for card in evaluation.run(Model("original", images(out, "original")), [Model(n, images(out, n)) for n in names]):
        write(card, card_of(out, card.model))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run, with stand-ins for its images."""
    out = tmp_path_factory.mktemp("belonging") / "run"
    rows = [row for row in bench_rows(CONFIG).values() if row.round == 1]
    requests = requests_for(rows, seeds_per_row=2)
    own = {row.id: row.own_concept for row in rows}
    concepts = sorted({name for name in own.values() if name})
    labels = ["path," + ",".join(concepts)]
    for at, name in enumerate(("original", *NAMES)):
        lines = []
        for number, request in enumerate(requests):
            file = _image(images(out, name) / file_of(request), (40 + 60 * at, number, number // 2))
            shown = name == "original" or own[request.row_id] != "object/church" or (name == "esd" and number < 4)
            cells = ("yes" if shown and concept == own[request.row_id] else "no" for concept in concepts)
            labels.append(f"images/{CONFIG}/{name}/{file.name},{','.join(cells)}")
            lines.append(_line(request, name, file))
        listed(out, name, lines)
    (out / "labels.csv").write_text("\n".join(labels) + "\n")
    plan = Plan(
        original="sandbox:original",
        unlearned={name: f"sandbox:{name}/church" for name in NAMES},
        configs=(CONFIG,),
        protocol="1",
        seeds_per_row=2,
        generation=Generation(steps=4),
        scoring={"detector": "labels:/elsewhere/labels.csv"},
    )
    (out / "run.yaml").write_text(written(plan))
    (out / "models.json").write_text(json.dumps({CONFIG: {name: facts(name) for name in REVISIONS}}))
    scored(out, *NAMES)
    return out


def _image(path: Path, colour: tuple[int, int, int]) -> Path:
    with Image.open(image_file(path, colour)) as image:
        image.putpixel((0, 0), (0, 0, 0))  # one of a single colour would not be judged
        image.save(path)
    return path


def _line(request: Request, name: str, file: Path) -> dict[str, Any]:
    drawn = {"file_name": file.name, "id": request.row_id, "seed": request.seed, "prompt": request.prompt}
    how = {"steps": 4, "guidance_scale": 3.0, "width": 64, "height": 64}
    return drawn | how | facts(name) | {"sha256": hashlib.sha256(file.read_bytes()).hexdigest()}


@pytest.fixture
def out(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "run")


def found(out: Path, name: str = "esd") -> list[str]:
    path, card = card_of(out, name), read(card_of(out, name))
    return [str(problem) for problem in belonging.compared(path, card).problems]


def verify(out: Path) -> Result:
    return CliRunner().invoke(app, ["verify", str(out), "--detector", f"labels:{out / 'labels.csv'}"])


def said(result: Result) -> str:
    return " ".join(f"{result.output} {result.exception or ''}".split())


def replaced(path: str, old: str, new: str) -> Change:
    def change(out: Path) -> None:
        text = (out / path).read_text()
        assert old in text
        (out / path).write_text(text.replace(old, new))

    return change


def recorded(name: str, **values: Any) -> Change:
    return lambda out: listed(out, name, [line | values for line in records(out, name)])


def exchanged(*paths: str) -> Change:
    def change(out: Path) -> None:
        first, second, between = out / paths[0], out / paths[1], out / "between"
        for source, target in ((first, between), (second, first), (between, second)):
            source.rename(target)

    return change


def renamed(out: Path, old: str, new: str) -> None:
    """A card says that it is another model's, and agrees with itself."""
    data = json.loads(card_of(out, old).read_text())
    data["model"] = new
    for entry in data["scores"].values():
        entry["signature"]["model"] = new
    data["content_sha256"] = fingerprint(json.dumps(data))
    card_of(out, new).write_text(json.dumps(data))


def exchanged_models(out: Path) -> None:
    renamed(out, "gold", "esd")
    exchanged(*(f"images/{CONFIG}/{name}" for name in NAMES))(out)


def without(out: Path, *, failed: bool = False) -> None:
    """All models lose the prompts in whose images ESD shows a church; `failed`: as if generating them had failed."""
    bad = {g["id"] for g in read(card_of(out, "esd")).generations.records("id", "present") if g["present"]}
    church = {row.id for row in bench_rows(CONFIG).values() if row.own_concept == "object/church"}
    for name in REVISIONS:
        lost = [line for line in records(out, name) if line["id"] in bad & church]
        assert lost
        for line in lost:
            (images(out, name) / line["file_name"]).unlink()
        listed(out, name, [line for line in records(out, name) if line not in lost])
        if failed:
            lines = (json.dumps(line | {"reason": "black"}) + "\n" for line in lost)
            (images(out, name) / "failed.jsonl").write_text("".join(lines))
    scored(out, *NAMES)


def emptied(out: Path) -> None:
    for file in images(out, "esd").glob("*.png"):
        file.unlink()


def other_seeds(out: Path) -> None:
    for name in REVISIONS:
        listed(out, name, [line | {"seed": line["seed"] + 1} for line in records(out, name)])
    scored(out, *NAMES)


def test_an_honest_run(out: Path) -> None:
    assert [found(out, name) for name in NAMES] == [[], []]
    result = verify(out)
    assert result.exit_code == 0, said(result)
    assert said(result).count("scoring the images again gave the same lines") == 2
    assert "the names of the models were compared only with the files of the run" in said(result)
    card = Path(shutil.copy(card_of(out, "esd"), out / "gold.json"))
    assert belonging.compared(card, read(card)) == ([], None), "a card elsewhere says nothing of a run"
    assert found(card_of(out, "esd").rename(out / "cards" / "final.json").parent.parent, "gold") == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (exchanged(f"cards/esd.{CONFIG}.json", f"cards/gold.{CONFIG}.json"), "named as the scorecard of 'esd'"),
        (lambda out: renamed(out, "gold", "esd"), "54 of 54 images of 'esd' on this scorecard are listed as images of"),
        (exchanged_models,
         "model is 'sandbox:gold/church' for 54 of 54 images, but 'sandbox:esd/church' in models.json"),
        (replaced("run.yaml", "sandbox:esd/church", "sandbox:uce/church"), "according to run.yaml it is 'sandbox:uce"),
        (replaced("run.yaml", "original: sandbox:original", "original: owner/other"), "according to run.yaml it is"),
        (replaced("run.yaml", "  esd: ", "  ours: "), "the model is 'esd', but run.yaml lists ours, gold"),
        (replaced("run.yaml", f"- {CONFIG}", "- sandbox.van-gogh"), "the config is 'sandbox.church', but run.yaml"),
        (replaced("run.yaml", "steps: 4", "steps: 50"), "steps is '4' for 54 of 54 images, but '50' in run.yaml"),
        (replaced("run.yaml", "dtype: fp32", "dtype: fp16"), "the dtype of 'esd' is 'fp32', but according to run.yaml"),
        (replaced("run.yaml", "seeds_per_row: 2", "seeds_per_row: 3"), "27 of the run's 81 images were left out"),
        (replaced("run.yaml", "seeds_per_row: 2", "seeds_per_row: 1"), "does not generate 27 of 54 images"),
        (replaced("run.yaml", "protocol: '1'", "protocol: full"), "images were left out, such as row"),
        (replaced("run.yaml", "labels:/elsewhere/labels.csv", "clip"), "but 'clip' in run.yaml"),
        (lambda out: scored(out, "esd", threshold=0.9), "provenance.options.threshold: the value is 0.9, but None in"),
        (replaced("run.yaml", "seeds_per_row: 2", "seeds_per_row: 2\nuntil: decided"),
         "after a single check, but according to run.yaml the run has 11 planned checks (decided)"),
        (lambda out: scored(out, "esd", looks="1/2:decided"), "after 2 planned checks (decided), but according to run"),
        (lambda out: (out / "run.yaml").write_text("{{"), "run.yaml is not valid YAML"),
        (lambda out: (out / "models.json").unlink(), "models.json is missing. Ask for the whole folder of the run."),
        (lambda out: (out / "models.json").write_text("[1]"), "models.json does not list models by config"),
        (lambda out: (out / "models.json").write_text("{}"), "there is no model 'esd' for sandbox.church"),
        (replaced("models.json", "sha256:1", "sha256:3"), "revision is 'sha256:1' for 54 of 54 images, but 'sha256:3'"),
        (recorded("original", revision="sha256:7"), "revision is 'sha256:7' for 54 of 54 images, but 'sha256:0'"),
        (recorded("esd", steps=50), "steps is '50' for 54 of 54 images, but '4' in run.yaml"),
        (lambda out: (images(out, "esd") / "model.json").write_text('{"revision": "x"}'), "the revision is 'x', but"),
        (without, "of the run's 54 images were left out, such as row"),
        (other_seeds, "the run does not generate 54 of 54 images of this scorecard"),
    ],
)  # fmt: skip
def test_a_run_that_contradicts_itself(out: Path, change: Change, says: str) -> None:
    change(out)
    assert any(says in problem for problem in found(out)), found(out)


def test_images_that_failed_were_not_left_out(out: Path) -> None:
    without(out, failed=True)
    assert found(out) == []


def test_missing_cards_and_common_images_are_noted(out: Path) -> None:
    cards: list[Scorecard | None] = [read(card_of(out, name)) for name in NAMES]
    assert belonging.notes(out, cards) == []
    for line in records(out, "esd")[:3]:
        shutil.copy(images(out, "gold") / line["file_name"], images(out, "esd") / line["file_name"])
    lines = records(out, "esd")
    for line in lines[:3]:
        line["sha256"] = hashlib.sha256((images(out, "esd") / line["file_name"]).read_bytes()).hexdigest()
    listed(out, "esd", lines)
    scored(out, "esd")
    assert "3 of 54 images of 'gold' have the same bytes as those of 'esd'" in said(verify(out))
    copies = records(out, "gold")
    for line in copies[1:3]:
        shutil.copy(images(out, "gold") / copies[0]["file_name"], images(out, "gold") / line["file_name"])
        line["sha256"] = copies[0]["sha256"]
    listed(out, "gold", copies)
    scored(out, "gold")
    assert re.search(
        r"note: \d of the unlearned model's images (is a|are) byte-for-byte cop(y|ies) of", said(verify(out))
    )
    card_of(out, "esd").unlink()
    result = verify(out)
    assert result.exit_code == 0
    assert f"note: {out}: there is no scorecard of 'esd' on sandbox.church" in said(result)
    replaced("run.yaml", "  esd: sandbox:esd/church\n", "")(out)
    shutil.rmtree(images(out, "esd"))
    assert "there is no scorecard of 'esd' on sandbox.church" in said(verify(out)), "models.json has it"
    (out / "cards" / "other.json").write_text("{}")
    assert "there is no scorecard" in said(verify(out))
    (out / "cards" / "garbage.json").write_text("{")
    assert "there is no scorecard" not in said(verify(out)), "it may be the one that cannot be read"


def test_all_images_that_are_gone_are_named_and_the_others_scored(out: Path) -> None:
    """Verification stopped at the first image, and said nothing about the others or about the other cards."""
    files = [images(out, "esd") / line["file_name"] for line in records(out, "esd")]
    for file in files[:5]:
        file.unlink()
    files[5].write_bytes(files[6].read_bytes())
    result = verify(out)
    assert isinstance(result.exception, VerificationError)
    some = "48 of the 54 lines have the images that were scored"
    assert "5 of 54 images in" in said(result)
    assert "and 2 more" in said(result)
    assert f"1 of 54 images in {images(out, 'esd')} is not the image that was scored: {files[5].name}" in said(result)
    assert f"{some}; scoring these images again gave the same values" in said(result)
    assert "without the lines whose images are missing or were changed: " in said(result)
    assert "scored again and" not in said(result)
    assert f"{card_of(out, 'gold')}: the scorecard is consistent, and scoring the images again" in said(result)
    (out / "labels.csv").write_text((out / "labels.csv").read_text().replace(",yes", ",no"))
    assert f"{some}; scoring these images again gave other values" in said(verify(out))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda out: (images(out, "esd") / "metadata.jsonl").unlink(), "contains no metadata.jsonl"),
        (lambda out: image_file(images(out, "esd") / "x.png"), "x.png is not listed in"),
        (lambda out: shutil.rmtree(images(out, "esd")), "contains no images of 'esd' for sandbox.church"),
        (lambda out: shutil.rmtree(out / "images"), "contains no images of 'esd' for sandbox.church"),
        (lambda out: shutil.rmtree(images(out, "original")), "is not a folder"),
        (recorded("esd", id="0" * 16), "no row of this config"),
        (recorded("esd", prompt="something"), "the prompt is 'something', but the prompt of row"),
        (recorded("esd", sha256="0" * 64), "is not the file listed in the metadata"),
        (lambda out: listed(out, "esd", records(out, "esd")[1:]), "is not listed in"),
        (lambda out: listed(out, "esd", records(out, "esd") + records(out, "esd")[:1]), "already has the image"),
        (emptied, "54 of 54 images in"),
        (lambda out: [f.write_bytes(b"x") for f in images(out, "esd").glob("*.png")], "54 of 54 images in"),
        (lambda out: (images(out, "esd") / "metadata.jsonl").write_text("x\n"), "metadata.jsonl, line 1"),
    ],
)
def test_a_damaged_folder_is_a_problem_of_its_card_with_advice_that_can_be_followed(
    out: Path, change: Change, says: str
) -> None:
    change(out)
    result = verify(out)
    assert isinstance(result.exception, VerificationError), said(result)
    assert says in said(result)
    assert f"{card_of(out, 'gold')}: " in said(result), "the other card is checked all the same"
    assert strange(said(result), ("verify",)) == set()


def test_a_smaller_run_in_the_folder_of_a_larger_one(out: Path) -> None:
    """With one more model, fewer rounds fit into --max-images; the folder has images of more."""
    rows = [row for row in bench_rows(CONFIG).values() if row.round == 1]
    keys = frozenset(request.key for request in requests_for(rows, seeds_per_row=1))
    replaced("run.yaml", "seeds_per_row: 2", "seeds_per_row: 1")(out)
    scored(out, *NAMES, only=keys)
    result = verify(out)
    assert result.exit_code == 0, said(result)
    scored(out, "esd", only=frozenset(sorted(keys)[3:]))
    assert "although its images were scored" in said(verify(out))


@pytest.mark.parametrize(("most", "lost"), [(162, False), (100000, True)])
def test_the_limit_of_images_says_which_rounds_a_card_has(out: Path, most: int, lost: bool) -> None:
    replaced("run.yaml", "protocol: '1'", f"protocol: '2'\nmax_images: {most}")(out)
    assert any("images were left out, such as row" in problem for problem in found(out)) == lost, found(out)


def test_a_card_of_another_config_in_the_folder_of_a_run_with_a_limit(out: Path) -> None:
    replaced("run.yaml", f"- {CONFIG}", "- sandbox.van-gogh\nmax_images: 162")(out)
    assert any("but run.yaml lists sandbox.van-gogh" in problem for problem in found(out))


@pytest.fixture
def looked(out: Path) -> Path:
    """The folder of a run with interim checks that stopped at the first."""
    replaced("run.yaml", "seeds_per_row: 2", "seeds_per_row: 2\nuntil: decided")(out)
    for name in NAMES:
        scored(out, name, looks="1/11:decided", only=first_check())
    return out


def first_check(split: str = "") -> frozenset[tuple[str, int]]:
    """What a run asks of a model at its first check."""
    rows = [row for row in bench_rows(CONFIG).values() if row.round == 1]
    chosen = first_look(rows, requests_for(rows, seeds_per_row=2))
    return frozenset(r.key for r in chosen if split in ("", {row.id: row for row in rows}[r.row_id].split))


def test_an_honest_run_with_interim_checks(looked: Path) -> None:
    assert [found(looked, name) for name in NAMES] == [[], []]
    result = verify(looked)
    assert result.exit_code == 0, said(result)
    assert said(result).count("scoring the images again gave the same lines") == 2


def test_a_run_that_stops_earlier_than_one_before_it_in_its_folder(looked: Path) -> None:
    """The folder and its record have images of later checks; verify took all of them for those of the card."""
    for name in REVISIONS:
        keys = [(line["id"], line["seed"]) for line in records(looked, name)]
        record(images(looked, name), Looks(11, 11, "decided"), keys if name != "original" else ())
    result = verify(looked)
    assert result.exit_code == 0, said(result)


def test_a_model_may_have_stopped_for_each_split_at_another_check(looked: Path) -> None:
    rest = first_check() - first_check("adversarial")
    scored(looked, "esd", looks="1/11:decided", only=rest)
    assert found(looked) == []


def test_a_part_of_a_check_cannot_be_left_out(looked: Path) -> None:
    """Whoever chose among the images of a check could have chosen those that suit."""
    chosen = sorted(first_check())[2:]
    for name in REVISIONS:
        lines = [line for line in records(looked, name) if (line["id"], line["seed"]) in chosen]
        for line in records(looked, name):
            if line not in lines:
                (images(looked, name) / line["file_name"]).unlink()
        listed(looked, name, lines)
    scored(looked, "esd", looks="1/11:decided")
    assert any("2 of the run's" in problem and "were left out, such as row" in problem for problem in found(looked))


def test_a_check_whose_images_all_failed_was_asked(looked: Path) -> None:
    lines = [line for line in records(looked, "esd") if (line["id"], line["seed"]) in first_check("adversarial")]
    rest = [line for line in records(looked, "esd") if line not in lines]
    for line in lines:
        (images(looked, "esd") / line["file_name"]).unlink()
    listed(looked, "esd", rest)
    failed = images(looked, "esd") / "failed.jsonl"
    failed.write_text("".join(json.dumps(line | {"reason": "black"}) + "\n" for line in lines))
    scored(looked, "esd", looks="1/11:decided", only=first_check() - first_check("adversarial"))
    path = card_of(looked, "esd")
    assert belonging.compared(path, read(path)) == ([], first_check())


@pytest.mark.parametrize(
    ("look", "says"),
    [
        ("2/11:decided", "made at check 2/11:decided, but it has images only of the checks up to 1"),
        ("1/12:decided", "after 12 planned checks (decided), but according to run.yaml the run has 11"),
        ("1/11:graded", "after 11 planned checks (graded), but according to run.yaml the run has 11"),
    ],
)
def test_a_check_that_the_images_contradict(looked: Path, look: str, says: str) -> None:
    scored(looked, "esd", looks=look, only=first_check())
    assert any(says in problem for problem in found(looked)), found(looked)


def test_seeds_of_a_later_check_are_not_those_of_the_first(looked: Path) -> None:
    scored(looked, "esd", looks="1/11:decided")
    assert any("of this scorecard, such as row" in problem for problem in found(looked)), found(looked)


def test_a_limit_below_the_first_round_is_a_problem(out: Path) -> None:
    """The comparison of prompts was left out without a word."""
    replaced("run.yaml", "seeds_per_row: 2", "seeds_per_row: 2\nmax_images: 5")(out)
    assert any("max_images is 5, but one round alone requires 162 images" in problem for problem in found(out))


def test_a_detector_of_another_owner_is_another_detector(out: Path) -> None:
    replaced("run.yaml", "labels:/elsewhere/labels.csv", "hf_classifier:owner/church")(out)
    path = card_of(out, "esd")
    card = read(path)
    assert card.provenance is not None
    options = {**card.provenance.options, "detector": "hf_classifier:other/church"}
    write(card.model_copy(update={"provenance": card.provenance.model_copy(update={"options": options})}), path)
    assert any("'hf_classifier:other/church', but 'hf_classifier:owner/church'" in p for p in found(out)), found(out)
