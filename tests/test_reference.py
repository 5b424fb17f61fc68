"""An original's reference table gives the cards that its images give, to the byte; nothing else is taken for one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn import copied, draw, image_file, metadata, read_metadata
from tiny import tiny_clip
from typer.testing import CliRunner

from builders import push
from igmu_data.errors import ChecksumError, IgmuError, ImageError, InputError, MetadataError, UnsupportedError
from igmu_data.load import bench_rows
from igmu_metrics import generations
from igmu_metrics.cli import app
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.generations import Generations
from igmu_metrics.images import reference
from igmu_metrics.images.layouts import Model, find, models
from igmu_metrics.report import page
from igmu_metrics.report.folders import sections
from igmu_metrics.running import run as running
from igmu_metrics.running.plan import Plan
from igmu_metrics.scale import originals, shards
from igmu_metrics.scorecard import read as read_card
from igmu_metrics.verdict import verify_images

CONFIG = "sandbox.church"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of three models; a prompt of the first round at least, and two seeds of each."""
    out = tmp_path_factory.mktemp("drawn") / "images"
    draw(out, list(bench_rows(CONFIG).values())[::7])
    return out


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"clip:{tiny_clip(tmp_path_factory.mktemp('networks') / 'clip')}"


@pytest.fixture(scope="module")
def evaluation(clip: str) -> Evaluation:
    return Evaluation(CONFIG, detector=clip, threshold=0.04, cache=False)


@pytest.fixture(scope="module")
def table(evaluation: Evaluation, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("hub") / "igmu" / "originals"
    return originals.record(evaluation, folder / "original", out)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table of an original of one round and one seed, generated in three steps as its metadata says."""
    base = tmp_path_factory.mktemp("run")
    rows = [row for row in bench_rows(CONFIG).values() if row.round == 1]
    lines = []
    for n, row in enumerate(rows):
        image_file(base / "original" / f"{n}.png", (n, 2 * n, 3 * n), (64, 64))
        how = {"steps": 3, "guidance_scale": 2.0, "width": 64, "height": 64}
        lines.append({"file_name": f"{n}.png", "id": row.id, "seed": row.seeds[0], **how, "model": "m"})
    metadata(base / "original", lines)
    return originals.record(Evaluation(CONFIG, detector="sandbox", cache=False), base / "original", base / "tables")


def cards(evaluation: Evaluation, original: Path | Model, folder: Path, also: Any = ()) -> list[str]:
    found = evaluation.run(original, [folder / "forgetful", folder / "unchanged"], also=also)
    return [card.model_dump_json() for card in found]


def changed(
    path: Path, out: Path, change: Callable[[Generations, dict[str, Any]], Generations], *, signed: bool = True
) -> Path:
    """The folder of a copy of the table that somebody changed; with a digest of its own, unless not."""
    seen, facts = generations.read(path)
    other = change(seen, facts)
    if signed:
        facts["digest"] = reference.digest(other, facts)
    generations.write(other, out / "changed" / path.name, facts)
    return out / "changed"


class TestTheSameCards:
    @pytest.mark.slow
    def test_of_one_detector_with_other_thresholds_and_rates(
        self, evaluation: Evaluation, folder: Path, table: Path
    ) -> None:
        before = cards(evaluation, folder / "original", folder)
        root = table.parents[3]
        assert cards(evaluation, root, folder) == cards(evaluation, table.parent, folder) == before
        assert cards(evaluation, Path(f"original={root}"), folder) == before
        other = replace(evaluation, threshold=0.2, sensitivity=0.9, specificity=0.8)
        assert cards(other, root, folder) == cards(other, folder / "original", folder) != before

    @pytest.mark.slow
    def test_of_several_instruments_each_and_together(self, clip: str, folder: Path, tmp_path: Path) -> None:
        how: dict[str, Any] = {"clip": "sandbox", "features": clip, "align": None, "cache": False}
        one, two = (Evaluation(CONFIG, detector=detector, **how) for detector in (clip, "sandbox"))
        place = originals.record(one, folder / "original", tmp_path / "tables", also=[two])
        both = cards(one, folder / "original", folder, [two])
        assert cards(one, place.parent, folder, [two]) == both
        assert cards(one, place.parent, folder) == both[::2]
        assert cards(two, place.parent, folder) == both[1::2]
        fewer = replace(two, clip=None, features=None)
        assert cards(fewer, place.parent, folder) == cards(fewer, folder / "original", folder)

    @pytest.mark.slow
    def test_in_shards(self, evaluation: Evaluation, folder: Path, table: Path, tmp_path: Path) -> None:
        for i in (1, 2):
            shards.look(evaluation, table.parent, [folder / "forgetful", folder / "unchanged"], (i, 2), tmp_path)
        merged = [card.model_dump_json() for card in shards.merge(tmp_path)]
        assert merged == cards(evaluation, folder / "original", folder)

    def test_of_the_original_against_itself(self, evaluation: Evaluation, folder: Path, table: Path) -> None:
        own, images = (list(evaluation.run(p, [p])) for p in (table.parent, folder / "original"))
        assert own[0].model_dump_json() == images[0].model_dump_json()

    def test_with_images_of_one_colour(self, evaluation: Evaluation, folder: Path, tmp_path: Path) -> None:
        place = copied(folder / "original", tmp_path / "original")
        image_file(sorted(place.rglob("*.png"))[0])
        seen = originals.record(evaluation, place, tmp_path / "tables")
        assert cards(evaluation, seen.parent, folder) == cards(evaluation, place, folder)
        with pytest.raises(UnsupportedError, match="was recorded with blank apart, not keep"):
            cards(replace(evaluation, blank="keep"), seen.parent, folder)

    def test_a_table_and_its_images_are_the_same_original(
        self, evaluation: Evaluation, folder: Path, table: Path
    ) -> None:
        images, recorded = (evaluation.found(p, [])[0] for p in (folder / "original", table.parent))
        told = reference.read(table)[1]["contents"]
        assert shards.contents(images) == shards.contents(recorded) == told


class TestWhatIsCovered:
    def test_less_than_is_recorded(self, evaluation: Evaluation, folder: Path, table: Path, tmp_path: Path) -> None:
        """Fewer seeds: what a run did not ask for is left out, what a model lacks is missing as beside images."""
        small = {}
        for name in ("original", "forgetful"):
            lines = read_metadata(folder / name)
            first = {line["id"]: line for line in reversed(lines)}
            for line in first.values():
                place = tmp_path / name / line["file_name"]
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes((folder / name / line["file_name"]).read_bytes())
            metadata(tmp_path / name, list(first.values()))
            small[name] = first
        one, two = (next(evaluation.run(p, [tmp_path / "forgetful"])) for p in (tmp_path / "original", table.parent))
        assert one.model_dump_json() == two.model_dump_json()
        assert two.coverage == one.coverage
        lines = list(small["forgetful"].values())
        (tmp_path / "forgetful" / lines[0]["file_name"]).unlink()
        metadata(tmp_path / "forgetful", lines[1:])
        with pytest.raises(MetadataError, match="the unlearned model has no image for row"):
            next(evaluation.run(table.parent, [tmp_path / "forgetful"]))

    def test_only_what_is_asked_for(self, evaluation: Evaluation, folder: Path, table: Path) -> None:
        keys = frozenset(find(folder / "original", "metadata", bench_rows(CONFIG)).keys[::2])
        some = replace(evaluation, only=keys)
        assert cards(some, table.parent, folder) == cards(some, folder / "original", folder)

    def test_an_unlearned_model_is_scored_by_its_images(
        self, evaluation: Evaluation, folder: Path, table: Path
    ) -> None:
        with pytest.raises(MetadataError, match="Specify the folder of the unlearned model's images"):
            list(evaluation.run(folder / "original", [Model("esd", table.parent)]))


class TestRefused:
    def test_other_instruments_by_name(self, evaluation: Evaluation, folder: Path, table: Path, clip: str) -> None:
        for other, told in (
            (
                replace(evaluation, detector="sandbox", clip=clip.removeprefix("clip:"), threshold=None),
                "detector sandbox",
            ),
            (replace(evaluation, features="clip:sandbox"), "features clip:sandbox"),
            (replace(evaluation, align="siglip:/nowhere"), "/nowhere"),
        ):
            with pytest.raises(IgmuError, match=told):
                cards(other, table.parent, folder)
        with pytest.raises(
            UnsupportedError, match=r"It was recorded with detector clip:.*, clip clip:.*, features clip:"
        ):
            cards(replace(evaluation, features="clip:sandbox"), table.parent, folder)

    def test_an_instrument_of_another_revision(
        self, evaluation: Evaluation, folder: Path, table: Path, tmp_path: Path
    ) -> None:
        def another(seen: Generations, facts: dict[str, Any]) -> Generations:
            facts["instruments"]["clip"]["clip.revision"] = "another"
            return seen

        with pytest.raises(UnsupportedError, match=r"its clip\.revision is '.*' here and 'another' in the table"):
            cards(evaluation, changed(table, tmp_path, another), folder)

    def test_lpips(self, evaluation: Evaluation, table: Path, folder: Path, tmp_path: Path) -> None:
        from tiny import tiny_trunk

        spec = f"alex?trunk={tiny_trunk(tmp_path / 'trunk.safetensors')}&size=64"
        with pytest.raises(
            UnsupportedError, match=r"lpips:alex.* compares images, but a reference table contains none"
        ):
            cards(replace(evaluation, lpips=spec), table.parent, folder)
        with pytest.raises(InputError, match="compares images"):
            originals.record(replace(evaluation, lpips=spec), folder / "original", tmp_path / "out")

    @pytest.mark.parametrize(
        ("change", "signed", "error", "told"),
        [
            (
                lambda t, f: t.with_columns(probability=t["probability"] / 2),
                False,
                ChecksumError,
                "has changed since it was made",
            ),
            (lambda t, f: f.update(blank="keep") or t, False, ChecksumError, "has changed since it was made"),
            (
                lambda t, f: t.with_columns(clip_features=-t["clip_features"]),
                False,
                ChecksumError,
                "has changed since it was made",
            ),
            (lambda t, f: t.where(np.arange(len(t)) > 0), True, MetadataError, "distinct generations instead of"),
            (
                lambda t, f: t.with_columns(sha256=t["sha256"][::-1].copy()),
                True,
                ChecksumError,
                "do not match the recorded hash of all images",
            ),
            (
                lambda t, f: t.with_columns(sha256=["x"] * len(t)),
                True,
                MetadataError,
                "sha256 contains an invalid hash",
            ),
            (lambda t, f: t.with_columns(probability=t["probability"] + 1), True, MetadataError, r"outside 0\.\.1"),
            (
                lambda t, f: t.with_columns(features=t["features"] * np.nan),
                True,
                MetadataError,
                "a value that is not finite",
            ),
            (lambda t, f: t.with_columns(status=["failed: x"] * len(t)), True, MetadataError, "unreadable image"),
            (lambda t, f: t.without("probability"), True, MetadataError, "does not contain probability"),
            (lambda t, f: t.with_columns(surprise=["x"] * len(t)), True, MetadataError, "'surprise' is not a column"),
            (lambda t, f: f.update(reference=9) or t, True, MetadataError, "its format is 9"),
            (lambda t, f: f.update(instruments=[]) or t, True, MetadataError, "it does not contain instruments"),
            (
                lambda t, f: f.update(instruments={"clip": 1}) or t,
                True,
                MetadataError,
                "is not a reference table that this",
            ),
            (lambda t, f: f.update(model="a\u202eb") or t, True, InputError, "cannot be used as the name of a model"),
        ],
    )
    def test_a_table_that_was_changed(
        self, evaluation: Evaluation, folder: Path, table: Path, tmp_path: Path,
        change: Any, signed: bool, error: type[IgmuError], told: str,
    ) -> None:  # fmt: skip
        place = changed(table, tmp_path, change, signed=signed)
        with pytest.raises(error, match=told):
            cards(evaluation, place, folder)

    def test_a_table_that_its_manifest_does_not_list(self, table: Path, tmp_path: Path) -> None:
        root = copied(table.parents[3], tmp_path / "originals")
        path = root / table.relative_to(table.parents[3])
        seen, facts = generations.read(path)
        halved = seen.with_columns(probability=seen["probability"] / 2)
        generations.write(halved, path, facts | {"digest": reference.digest(halved, facts)})
        with pytest.raises(ChecksumError, match=r"does not match manifest\.json \(its content differs\)"):
            reference.read(path)

    @pytest.mark.parametrize("limit", ["_MOST_ROWS", "_MOST_COLUMNS", "_MOST_BYTES"])
    def test_a_table_beyond_the_limits(self, table: Path, limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reference, limit, 3)
        with pytest.raises(MetadataError, match="at most 3"):
            find(table.parent, "metadata", bench_rows(CONFIG))

    def test_what_is_no_table(self, table: Path, tmp_path: Path) -> None:
        (tmp_path / table.name).write_bytes(table.read_bytes()[:-100])
        (tmp_path / f"{table.name}-00001-of-00001.parquet").write_bytes(b"PAR1 not at all PAR1")
        with pytest.raises(MetadataError, match=r"no metadata\.jsonl"):
            find(tmp_path, "metadata", bench_rows(CONFIG))
        with pytest.raises(MetadataError, match="is not a valid reference table"):
            reference.read(tmp_path / table.name)

    def test_tables_of_other_rows_or_of_several(self, table: Path, folder: Path, tmp_path: Path) -> None:
        with pytest.raises(
            MetadataError, match=r"no table for these rows, only for others \(.*sandbox\.church by clip:"
        ):
            find(table.parent, "metadata", bench_rows("sandbox.van-gogh"))
        root = copied(table.parents[3], tmp_path / "originals")
        originals.record(Evaluation(CONFIG, detector="sandbox", cache=False), folder / "original", root)
        with pytest.raises(MetadataError, match="2 tables for these rows"):
            find(root, "metadata", bench_rows(CONFIG))
        other = copied(folder / "forgetful", tmp_path / "forgetful")
        with pytest.raises(
            MetadataError, match="already contains measurements for other images of a model called 'original'"
        ):
            originals.record(Evaluation(CONFIG, detector="sandbox", cache=False), Model("original", other), root)
        originals.record(Evaluation(CONFIG, detector="sandbox", cache=False), other, root)
        with pytest.raises(InputError, match=r"tables of 2 models \(forgetful, original\)"):
            models(root, [])

    def test_an_original_with_an_image_that_cannot_be_read(
        self, evaluation: Evaluation, folder: Path, tmp_path: Path
    ) -> None:
        place = copied(folder / "original", tmp_path / "original")
        sorted(place.rglob("*.png"))[0].write_bytes(b"nothing")
        with pytest.raises(ImageError, match="A reference table requires all images"):
            originals.record(replace(evaluation, on_error="skip"), place, tmp_path / "out")
        assert not list(tmp_path.rglob("*.parquet"))

    def test_a_folder_of_something_else(self, evaluation: Evaluation, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "README.md").write_text("# Mine\n")
        with pytest.raises(IgmuError, match="an unrelated README"):
            originals.record(evaluation, folder / "original", tmp_path)


class TestTheDataSet:
    def test_it_holds_no_prompt_and_no_image(self, table: Path, folder: Path) -> None:
        seen, _ = generations.read(table)
        assert set(seen.columns) == {
            *("id", "seed", "status", "sha256", "format", "width", "height", "mode", "probability"),
            *("clip_features", "features", "generated_with", "rounded_with"),
        }
        data = b"".join(p.read_bytes() for p in table.parents[3].rglob("*") if p.is_file())
        texts = {row.prompt for row in bench_rows(CONFIG).values()} | {"church.png", str(folder)}
        assert not [text for text in texts if text.encode() in data]

    def test_it_is_pushed_as_others_are(self, table: Path) -> None:
        (found,) = push.folders(table.parents[5], ["igmu/originals"])
        assert (found.repo_type, found.gated) == ("dataset", False)
        assert table.relative_to(table.parents[3]).as_posix() in found.digests
        text = (table.parents[3] / "README.md").read_text()
        assert "hub:igmu/originals@REVISION/original/sandbox.church/" in text
        assert reference.read(table)[1]["digest"][:12] in text

    def test_restricted_concepts_are_gated(self, table: Path, tmp_path: Path) -> None:
        out = originals.home(tmp_path / "igmu" / "originals", "nsfw.nudity")
        assert out == originals.home(out, "nsfw.nudity") == tmp_path / "igmu" / "originals-nsfw"
        seen, facts = generations.read(table)
        facts |= {"config": "nsfw.nudity"}
        facts["digest"] = reference.digest(seen, facts)
        generations.write(seen, out / "original" / "nsfw.nudity" / "0" / table.name, facts)
        originals.describe(out)
        (found,) = push.folders(tmp_path, ["igmu/originals-nsfw"])
        assert found.gated

    @pytest.mark.slow
    def test_datasets_reads_it(self, table: Path) -> None:
        from datasets import load_dataset

        rows = load_dataset(str(table.parents[3]), split="original")
        assert len(rows) == reference.read(table)[1]["n_total"]
        assert len(rows[0]["features"]) > 1

    def test_from_the_hub(
        self, evaluation: Evaluation, folder: Path, table: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = []

        def download(repo: str, **how: Any) -> str:
            asked.append((repo, how["repo_type"], how["revision"]))
            return str(table.parents[3])

        monkeypatch.setattr("huggingface_hub.snapshot_download", download)
        place = Path("hub:igmu/originals@abc123/original/sandbox.church")
        assert cards(evaluation, place, folder) == cards(evaluation, folder / "original", folder)
        assert asked == [("igmu/originals", "dataset", "abc123")]
        for wrong in ("hub:igmu/originals", "hub:igmu/originals@a/../../b", "hub:originals@a"):
            with pytest.raises(InputError, match="does not have the form hub:OWNER/NAME@REVISION"):
                reference.local(Path(wrong))


class TestReportAndCheck:
    def test_the_report_has_all_but_the_originals_images(
        self, evaluation: Evaluation, folder: Path, table: Path
    ) -> None:
        (card,) = evaluation.run(table.parent, [folder / "forgetful"])
        drawn = {"forgetful": folder / "forgetful"}
        with_images, without = (
            page.render(*sections([card], drawn=drawn, original_images=place))
            for place in (folder / "original", table.parent)
        )
        told = '<div class="blank">not in the reference table</div>'
        n = len(card.generations)
        assert (without.count(told), with_images.count(told)) == (n, 0)
        part = re.compile(
            r'<section class="part of-(?:images|audit)".*?</section>|<script [^>]*class="images">.*?</script>',
            re.DOTALL,
        )
        assert len(part.findall(without)) == 3
        assert part.sub("", without) == part.sub("", with_images)

    def test_the_check_scores_again_and_says_what_it_did_not_see(self, folder: Path, tmp_path: Path) -> None:
        evaluation = Evaluation(CONFIG, detector="sandbox", cache=False)
        table = originals.record(evaluation, folder / "original", tmp_path / "first")
        (card,) = evaluation.run(folder / "original", [folder / "forgetful"])
        assert not list(verify_images.verify_images(card, folder / "forgetful", table.parent))
        (note,) = [n for n in verify_images.unchecked(card, {}, table.parent) if "reference table" in n]
        assert reference.read(table)[1]["digest"][:12] in note
        assert not [n for n in verify_images.unchecked(card, {}, folder / "original") if "reference table" in n]
        other = originals.record(evaluation, Model("original", folder / "unchanged"), tmp_path)
        problems = list(verify_images.verify_images(card, folder / "forgetful", other.parent))
        assert not problems  # the same images
        other = originals.record(evaluation, Model("x", folder / "forgetful"), tmp_path)
        problems = list(verify_images.verify_images(card, folder / "forgetful", other.parent))
        assert "are not the images that were scored: row " in str(problems[0])


class TestRuns:
    def plan(self, original: Path, **changes: Any) -> Plan:
        given = {
            "original": str(original),
            "unlearned": {"esd": "sandbox:esd/church"},
            "configs": [CONFIG],
            "protocol": "1",
            "seeds_per_row": 1,
            "scoring": {"detector": "sandbox", "cache": False},
        }
        return Plan(**(given | changes))

    def test_models_are_generated_as_the_original_was(self, small: Path, tmp_path: Path) -> None:
        (job,) = running.prepare(self.plan(small.parents[3]), tmp_path / "out")
        assert {str(how) for how in job.settings} == {"steps 3, guidance 2, 64×64"}
        assert list(job.pipelines) == ["esd"]
        assert running.told([job]).startswith("1 model against a reference table, sandbox.church 27 prompts: 27 images")

    @pytest.mark.parametrize(
        ("changes", "told"),
        [
            ({"generation": {"steps": 4}}, "generated with steps 3, .* the models would use steps 4"),
            ({"generation": {"dtype": "bf16"}}, "the models would use steps 3, .*, dtype bf16"),
            ({"protocol": "2"}, "has no image for row .*27 of 54 images are missing.*Use a smaller part of the corpus"),
            (
                {"seeds_per_row": 2},
                "has no image for row .*27 of 54 images are missing.*Use a smaller part of the corpus",
            ),
            (
                {"scoring": {"detector": "sandbox", "clip": "sandbox"}},
                "was not recorded with clip clip:sandbox .the table has none",
            ),
        ],
    )
    def test_what_does_not_fit_is_refused_before_anything_is_generated(
        self, small: Path, tmp_path: Path, changes: dict[str, Any], told: str
    ) -> None:
        with pytest.raises(IgmuError, match=told):
            running.prepare(self.plan(small.parents[3], **changes), tmp_path / "out")

    @pytest.mark.slow
    def test_the_cards_are_those_of_a_run_that_generates_it(self, tmp_path: Path) -> None:
        how = ["--unlearned", "esd=sandbox:esd/church", "--config", CONFIG, "--protocol", "1", "--seeds-per-row", "1"]
        how += ["--detector", "sandbox", "--clip", "sandbox"]
        size = ["--protocol", "1", "--seeds-per-row", "1", "--steps", "2"]

        def igmu(*words: object) -> str:
            result = CliRunner().invoke(app, [str(word) for word in words])
            assert result.exit_code == 0, result.output
            return result.output

        tables, images = tmp_path / "igmu" / "originals", tmp_path / "kept"
        igmu("original", "sandbox:original/church", "--config", CONFIG, "--out", tables, "--images", images, *size,
             "--name", "base", "--detector", "sandbox", "--clip", "sandbox")  # fmt: skip
        igmu("run", "--original", "sandbox:original/church", *how, "--steps", "2", "--out", tmp_path / "a")
        igmu("run", "--original", tables, *how, "--out", tmp_path / "b")
        name = "cards/esd.sandbox.church.json"
        one, two = (read_card(tmp_path / run / name) for run in "ab")
        assert one.efficiency is not None
        assert two.efficiency is not None
        assert one.efficiency.fixed() == two.efficiency.fixed()  # the clock's times are each run's own
        told = [card.model_copy(update={"efficiency": None}).model_dump_json() for card in (one, two)]
        assert told[0] == told[1]
        evaluation = Evaluation(CONFIG, detector="sandbox", clip="sandbox", cache=False)
        esd = tmp_path / "b" / "images" / CONFIG / "esd"
        by = [next(evaluation.run(Model("original", place), [esd])) for place in (images, tables)]
        assert by[0].model_dump_json() == by[1].model_dump_json()
        assert by[0].efficiency is not None
        assert "not in the reference table" in (tmp_path / "b" / "report.html").read_text()
        assert "their measurements come from a reference table" in " ".join(igmu("verify", tmp_path / "b").split())
        again = igmu("run", "--original", tables, *how, "--out", tmp_path / "b")
        assert "report:" in again
        place = next((tmp_path / "b" / "images").rglob("*.parquet"))
        facts = json.loads(json.dumps(reference.read(place)[1]))
        assert facts["generated_by"]["model"] == "sandbox:original"
