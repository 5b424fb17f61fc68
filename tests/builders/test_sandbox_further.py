"""A sandbox with further tasks: prompts from those of a packaged task, models, and every command on all of them."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from naming import mentioned, mentions
from tiny_sandbox import installed, tiny_bench, tiny_package
from typer.testing import CliRunner
from world_corpus import image_of

from builders import graded
from builders.sandbox import further, generator, loop, prompts, train, versions
from builders.sandbox.corpus import task_rows
from builders.sandbox.tokenizer import LENGTH
from builders.sandbox.tokenizer import packaged as tokenizer
from igmu_data.configs import sandbox_configs
from igmu_data.errors import OutputError, UnknownTaskError
from igmu_data.load import bench_rows, identity
from igmu_data.sandbox import packaged
from igmu_data.sandbox.world import world
from igmu_data.schema import SUPERCLASS, Row
from igmu_metrics.cli import app
from igmu_metrics.images.pipelines import find_pipeline
from igmu_metrics.sandbox import demo
from igmu_metrics.sandbox.audit.run import run as _audit

CASTLE, SEURAT = "object/castle", "style/seurat"
LIKE = {CASTLE: "object/church", SEURAT: "style/van-gogh"}
KNOWN = world().known
each = pytest.mark.parametrize("task", [CASTLE, SEURAT])


@pytest.fixture(scope="module")
def old() -> dict[str, list[Row]]:
    return task_rows()


@pytest.fixture(scope="module")
def new(old: dict[str, list[Row]]) -> dict[str, list[Row]]:
    return {task: prompts.rows(task, old) for task in prompts.known()}  # which checks every rule of the corpus


# --- prompts ------------------------------------------------------------------------------------------------------


def kinds(rows: list[Row]) -> Counter[tuple[Any, ...]]:
    return Counter((r.split, r.probe, r.attack_family, r.language) for r in rows)


@each
def test_a_further_task_has_as_many_prompts_of_every_kind(
    old: dict[str, list[Row]], new: dict[str, list[Row]], task: str
) -> None:
    assert kinds(new[task]) == kinds(old[LIKE[task]])
    assert {r.concept for r in new[task]} == {task}
    assert len({r.prompt.casefold() for r in new[task]}) == len(new[task])
    rounds = Counter(r.round for r in new[task])
    assert max(rounds.values()) - min(rounds.values()) <= 3
    assert {r.id for r in new[task]}.isdisjoint(r.id for own in old.values() for r in own)


@each
def test_the_old_concept_is_one_to_keep(new: dict[str, list[Row]], task: str) -> None:
    near = {r.own_concept for r in new[task] if r.probe == "near"}
    assert near == ({"object/church", "object/lighthouse"} if task == CASTLE else {"style/van-gogh"})
    for row in new[task]:
        if row.probe == "direct":
            assert mentioned(row.prompt, [KNOWN[LIKE[task]].label]) == []
        if row.split == "retain" and row.probe not in ("in-prompt", SUPERCLASS):
            assert mentions(row.prompt, KNOWN[row.own_concept or ""].label)
            assert row.own_name == KNOWN[row.own_concept or ""].label


@each
def test_attacks_rewrite_the_plain_prompts_and_hide_the_name(new: dict[str, list[Row]], task: str) -> None:
    plain = {r.id: r for r in new[task] if r.probe == "direct"}
    for row in new[task]:
        if row.split == "adversarial":
            source = plain[row.attack_source_id or ""]
            assert (row.seeds, row.stripped_prompt) == (source.seeds, source.stripped_prompt)
            assert not row.name_kept
            assert row.prompt != source.prompt
    written = {r.attack_family: r.prompt for r in new[task] if r.language == "en"}
    assert len(written) == 7 + 1  # seven families in English, and no attack
    foreign = [r for r in new[task] if r.attack_family == "multilingual"]
    assert all(KNOWN[task].translations[r.language].noun in r.prompt for r in foreign)


@each
def test_its_text_encoder_reads_every_prompt_to_the_end(new: dict[str, list[Row]], task: str) -> None:
    read = tokenizer(packaged.part("tokenizer"))
    assert max(len(read.tokenize(r.prompt)) + 2 for r in new[task]) <= LENGTH


def test_only_concepts_with_words_of_their_own_can_be_asked_for(tmp_path: Path) -> None:
    with pytest.raises(UnknownTaskError, match=r"object/castel.*object/castle.*further\.toml"):
        further.make(tmp_path / "work", ["object/castel"])
    with pytest.raises(OutputError, match="Choose another --work"):
        further.make(packaged.root(), [CASTLE])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ('{"gold": {"object/church": {}, "object/castle": {}, "object/palace": {}}}', (CASTLE,)),
        ('{"gold": ["style/seurat"]}', (SEURAT,)),
        ('{"gold": 1}', ()),
        ("[]", ()),
        ("{", ()),
        (None, ()),
    ],
)
def test_tasks_are_those_that_the_models_say(
    text: str | None, more: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    if text is not None:
        (tmp_path / "models" / "versions.json").write_text(text)
    monkeypatch.setenv("IGMU_SANDBOX", "/elsewhere")
    with packaged.using(tmp_path):
        assert packaged.tasks() == (*world().tasks, *more)
        assert list(sandbox_configs()) == ["sandbox", *(f"sandbox.{KNOWN[t].slug}" for t in packaged.tasks())]
    assert str(packaged.root()) == "/elsewhere"
    monkeypatch.delenv("IGMU_SANDBOX")
    with packaged.using(tmp_path):
        pass
    assert packaged.elsewhere() is None


# --- models -------------------------------------------------------------------------------------------------------


class KilledError(Exception):
    pass


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings of a few steps on few renders; the images of the prompts are not the original's."""
    for module, name, value in (
        (train, "N_TAUGHT", 500),
        (train, "GOLD_STEPS", 4),
        (generator, "READING", 2),
        (loop, "_EVERY", 2),
        (versions, "ESD_STEPS", {"subject": 1, "attribute": 1}),
        (further.bars, "N_GENERATIONS", 2),
    ):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(further.diffusers, "images", lambda rows, argument, *, work: map(image_of, rows))


@pytest.mark.slow
@pytest.mark.usefixtures("small", "one_thread")
def test_a_killed_training_goes_on_and_the_folder_takes_the_packages_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    further.make(whole, [CASTLE])
    (broken / "training").mkdir(parents=True)
    for made in ("latents.pt", "renders-taught-500.npz"):
        shutil.copyfile(whole / "training" / made, broken / "training" / made)
    asked = 0
    real = generator.caption

    def killing(*given: Any, **named: Any) -> str:
        nonlocal asked
        asked += 1
        if asked > 2 * 128 + 3 * 32:  # in the last step but one
            raise KilledError
        return real(*given, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generator, "caption", killing)
        with pytest.raises(KilledError):
            further.make(broken, [CASTLE])
    assert not (broken / "models").exists()
    further.make(broken, [CASTLE])
    names = sorted(p.relative_to(whole / "models") for p in (whole / "models").rglob("*.safetensors"))
    for name in names:
        assert (whole / "models" / name).read_bytes() == (broken / "models" / name).read_bytes(), name

    monkeypatch.setattr(train, "train_all", None)  # what is there is not made again
    further.make(broken, [CASTLE])
    assert packaged.tasks() == world().tasks
    with packaged.using(broken):
        assert packaged.tasks() == (*world().tasks, CASTLE)
        assert demo.slugs() == ("church", "van-gogh", "castle")
        assert "sandbox.castle" in sandbox_configs()
        assert identity(str(packaged.bench_folder())) == "igmu/sandbox-further 1.0.0"
        assert {r.concept for r in bench_rows("sandbox").values()} == {*world().tasks, CASTLE}
        assert demo.load_rows("castle")
        found = {v: find_pipeline(f"sandbox:{v}/castle", device="cpu") for v in packaged.VERSIONS}
        assert len({p.revision for p in found.values()}) == len(found)
        assert find_pipeline("sandbox:gold/church").revision != found["gold"].revision
        inside = find_pipeline("sandbox:original").revision
        assert [g.name for g in graded.KINDS["gold"]("castle")]
    assert find_pipeline("sandbox:original").revision == inside
    with pytest.raises(UnknownTaskError):
        find_pipeline("sandbox:gold/castle")


# --- what is measured on them -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_audit_and_graded_models_look_at_the_further_task_too(new: dict[str, list[Row]], tmp_path: Path) -> None:
    root = tiny_package(tmp_path / "root")
    listed = json.loads((root / "models" / "versions.json").read_text())
    for tasks in listed.values():
        if "" not in tasks:
            tasks[CASTLE] = tasks["object/church"]
    (root / "models" / "versions.json").write_text(json.dumps(listed))
    for rows in (*task_rows().values(), new[CASTLE]):
        tiny_bench(root, [r for r in rows if r.attack_family in (None, "synonym")])
    out, work = tmp_path / "out", tmp_path / "work"
    with installed(root), pytest.MonkeyPatch.context() as patch:
        patch.setitem(_audit.__kwdefaults__, "grades", 1)
        done = CliRunner().invoke(app, ["audit", "--out", str(out), "--work", str(work)], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        steps = list(graded.make(tmp_path / "graded", "castle", ["noise"], seeds_per_row=2, full=False))
    assert [step.card.model for step in steps[:2]] == ["original", "noise-0.02"]
    page = (out / "audit.md").read_text(encoding="utf-8")
    assert "### castle" in page
    assert "over all 3 tasks" in page
    assert f"IGMU_SANDBOX={root} igmu audit" in page
    data = json.loads((out / "audit.json").read_text(encoding="utf-8"))
    by_task = Counter(model["task"] for model in data["models"])
    assert set(by_task) == {"church", "van-gogh", "castle"}
    assert len(set(by_task.values())) == 1
