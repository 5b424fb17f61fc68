"""`igmu attack`: the attacks on tiny pipelines, what is judged by what, records that survive a kill, and the policy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from timeless import TIMES, timeless
from tiny_diffusion import tiny_pipeline
from tiny_sandbox import installed, tiny_bench, tiny_package
from typer.testing import CliRunner

from builders.bench import concept_rows
from builders.sandbox.corpus import task_rows
from igmu_data.errors import EmptyInputError, InputError, MetadataError, OutOfRangeError, UnknownAttackError
from igmu_data.policy import Violation
from igmu_data.taxonomy import concept
from igmu_metrics import registry
from igmu_metrics.attacks._contract import Budget, Goal
from igmu_metrics.attacks._tokens import allowed, greedy
from igmu_metrics.attacks._victim import Victim
from igmu_metrics.attacks.running import result, searching
from igmu_metrics.attacks.running.embedded import placeholder, with_embedding
from igmu_metrics.attacks.running.plan import make_plan, own_seed
from igmu_metrics.attacks.running.records import Attempt, Search, read_attempts
from igmu_metrics.attacks.running.run import AttackRun
from igmu_metrics.cli import app
from igmu_metrics.contract import FloatArray
from igmu_metrics.generations import Generations, joined
from igmu_metrics.images.pipelines import Pipeline, find_pipeline
from igmu_metrics.networks.instruments import Batch, ErrorRates, InstrumentInfo

NAMES = registry.names("attacks")
SMALL = Budget(steps=2, candidates=3, tokens=3)
CHURCH = concept("object/church")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return find_pipeline(str(tiny_pipeline(tmp_path_factory.mktemp("tiny"))), device="cpu")


@pytest.fixture(scope="module")
def victim(tiny: Pipeline) -> Victim:
    return Victim(tiny.load(), tiny)


def image_file(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8))


GOAL = Goal(
    prompt="a church by the sea",
    domain="object",
    images=[image_file(0), image_file(1)],
    contexts=[("a", "by the sea"), ("a", "in snow")],
    pairs=[("a church at dusk", "at dusk"), ("a church in rain", "in rain")],
)


def found(name: str, victim: Victim, seed: int, budget: Budget = SMALL) -> tuple[Any, list[int]]:
    ticks: list[int] = []
    generator = torch.Generator().manual_seed(seed)
    attack: Any = registry.module("attacks", name)
    return attack.search(victim, victim, GOAL, budget, generator, ticks.append), ticks


# --- the attacks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_attack_keeps_the_contract(name: str, victim: Victim) -> None:
    info = registry.module("attacks", name).INFO
    assert (info.name, info.version >= 1, bool(info.references)) == (name, True, True)
    one, ticks = found(name, victim, 0)
    again, _ = found(name, victim, 0)
    other, _ = found(name, victim, 1)
    assert (sum(ticks), len(one.losses)) == (SMALL.steps, SMALL.steps)
    assert np.isfinite(one.losses).all()
    assert (one.losses, one.prompt) == (again.losses, again.prompt)
    assert one.losses != other.losses
    if info.finds == "embedding":
        assert one.prompt is None
        assert one.embedding.shape == (SMALL.tokens, victim.words.shape[1])
        assert torch.equal(one.embedding, again.embedding)
    else:
        assert one.embedding is None
        ids = victim.ids(one.prompt)
        assert set(ids[: SMALL.tokens]) <= set(victim.vocabulary("object"))
        assert victim.text(ids) == one.prompt
        kept = GOAL.prompt if info.white_box else ""
        assert one.prompt.endswith(kept)
        assert len(ids) == SMALL.tokens + len(victim.ids(kept))
    assert not any(p.requires_grad for p in victim.pipe.unet.parameters())


def test_more_words_than_the_encoder_reads(victim: Victim) -> None:
    for name in NAMES:
        one, _ = found(name, victim, 0, replace(SMALL, steps=1, tokens=500))
        context = len(victim.ids("a")) + len(victim.ids("by the sea"))  # the longest of the goal
        n = context + len(one.embedding) if one.prompt is None else len(victim.ids(one.prompt))
        assert n == victim.room


def test_a_genetic_search_never_gets_worse_and_gets_better(victim: Victim) -> None:
    losses = found("ring-a-bell", victim, 0, Budget(steps=30, candidates=12, tokens=3))[0].losses
    assert list(losses) == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]


def test_greedy_search_finds_words_that_were_hidden(victim: Victim) -> None:
    vocabulary = allowed(victim, "object")
    hidden = vocabulary[[3, 17]].tolist()
    wanted = victim.hidden([hidden]).detach()
    words, losses = greedy(
        victim,
        [],
        vocabulary,
        Budget(steps=12, candidates=60, tokens=2),
        torch.Generator().manual_seed(0),
        lambda: lambda h: (h - wanted).square().flatten(1).mean(dim=1),
        lambda n: None,
    )
    assert words == hidden
    assert losses[-1] == pytest.approx(0, abs=1e-9)


def test_an_embedding_is_learned(victim: Victim, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a UNet that answers with the text, the loss has a known way down."""

    def predict(noisy: torch.Tensor, times: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        return hidden[:, :, 0].mean(dim=1)[:, None, None, None].expand_as(noisy)

    def noised(latents: torch.Tensor, n: int, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
        return torch.arange(n) % 2, latents[[0] * n], torch.zeros(n), torch.full_like(latents[[0] * n], 0.5)

    monkeypatch.setattr(victim, "predict", predict)
    monkeypatch.setattr(victim, "noised", noised)
    losses = found("cce", victim, 0, Budget(steps=40, candidates=2, tokens=2))[0].losses
    assert losses[-1] < 0.7 * losses[0]


# --- the victim ---------------------------------------------------------------------------------------------------


def test_the_encoder_reads_what_the_pipeline_reads(victim: Victim) -> None:
    prompts = ["a church by the sea", "x", ""]
    theirs, _ = victim.pipe.encode_prompt(prompts, "cpu", 1, False)
    mine = victim.hidden([victim.ids(p) for p in prompts])
    assert torch.allclose(mine, theirs, atol=1e-5)


def test_soft_words_take_the_place_of_hard_ones(victim: Victim) -> None:
    ids = victim.ids("abcd")
    soft = victim.words[ids[1:3]]
    assert torch.equal(victim.hidden([[ids[0], 0, 0, ids[3]]], soft, at=1), victim.hidden([ids]))


def test_the_loss_is_that_of_training(victim: Victim) -> None:
    """Noisy latents and errors against the formula, for a model that predicts noise."""
    latents = torch.randn((2, 4, 8, 8), generator=torch.Generator().manual_seed(3))
    which, noisy, times, noise = victim.noised(latents, 6, torch.Generator().manual_seed(0))
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    a = torch.from_numpy(np.cumprod(1 - betas))[times].float()[:, None, None, None]
    assert torch.allclose(noisy, a.sqrt() * latents[which] + (1 - a).sqrt() * noise, atol=1e-4)
    assert sorted(int(t) * 6 // 1000 for t in times) == list(range(6))  # one time in each sixth
    hidden = victim.hidden([victim.ids("ab"), victim.ids("cd")])
    by_hand = [
        float(np.mean([(victim.predict(noisy[[i]], times[[i]], h[None]) - noise[i]).square().mean() for i in range(6)]))
        for h in hidden
    ]
    assert victim.errors(noisy, times, hidden, noise).tolist() == pytest.approx(by_hand, rel=1e-4)


def test_a_pipeline_of_another_build_is_refused(victim: Victim, tiny: Pipeline) -> None:
    class Two:
        tokenizer = text_encoder = unet = vae = text_encoder_2 = object()

    with pytest.raises(InputError, match="two text encoders"):
        Victim(Two(), tiny)
    with pytest.raises(InputError, match="no tokenizer"):
        Victim(object(), tiny)


def test_words_that_break_the_policy_are_not_searched(victim: Victim, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = Victim(victim.pipe, victim.pipeline)
    whole = victim.vocabulary("object")
    monkeypatch.setattr(
        "igmu_metrics.attacks._victim.violations", lambda text, domain: ["broken"] if text in "aeiou" else []
    )
    assert {fresh.text([i]) for i in set(whole) - set(fresh.vocabulary("object"))} == set("aeiou")


def test_placeholders_read_as_the_embedding(tiny: Pipeline, victim: Victim, tmp_path: Path) -> None:
    """An embedding made of the vectors of known words draws what these words draw."""
    ids = victim.ids("x y")
    save_file({"embedding": victim.words[ids].clone()}, tmp_path / "e.safetensors")
    changed = with_embedding(tiny, tmp_path / "e.safetensors", "0123456789abcdef01")
    assert changed.revision == f"{tiny.revision}+0123456789abcdef"

    def draw(pipe: Any, prompt: str) -> FloatArray:
        generator = torch.Generator().manual_seed(0)
        return np.asarray(pipe(prompt, num_inference_steps=2, generator=generator, output_type="np").images)

    assert np.array_equal(draw(changed.load(), f"a {placeholder(2)} b"), draw(tiny.load(), "a x y b"))


# --- which prompts ------------------------------------------------------------------------------------------------


def test_what_is_searched_by_is_not_judged() -> None:
    rows = concept_rows(CHURCH)
    plan = make_plan(rows, CHURCH, n_prompts=5, n_targets=4, seeds=2)
    assert make_plan(rows[::-1], CHURCH, n_prompts=5, n_targets=4, seeds=2) == plan
    assert {r.id for r in plan.attacked}.isdisjoint(r.id for r in plan.lending)
    assert (len(plan.attacked), len(plan.lending)) == (5, 4)
    assert all(r.language == "en" and r.split == "forget" and "church" in r.prompt for r in plan.attacked)
    judged = {r.key for r in plan.plain()}
    for row in plan.attacked:
        targets = [r.key for r in plan.targets(row)]
        assert judged.isdisjoint(targets)
        assert targets == [(row.id, s) for s in row.seeds[:1:-1]]
        before, behind = plan.context(row)
        assert " ".join(filter(None, (before, "church", behind))).replace(" ,", ",") == row.prompt
    assert own_seed(0, "a", "b") == own_seed(0, "a", "b") != own_seed(1, "a", "b")


def test_numbers_that_cannot_be() -> None:
    rows = concept_rows(CHURCH)
    with pytest.raises(OutOfRangeError, match=r"the number of seeds is 5; it must be in 1\.\.4"):
        make_plan(rows, CHURCH, n_prompts=1, n_targets=1, seeds=5)
    with pytest.raises(OutOfRangeError, match="the number of prompts is 0"):
        make_plan(rows, CHURCH, n_prompts=0, n_targets=1, seeds=1)
    with pytest.raises(OutOfRangeError, match="budget: tokens is 0"):
        Budget(steps=1, candidates=1, tokens=0)
    with pytest.raises(EmptyInputError, match="the config contains 0"):
        make_plan([r for r in rows if r.split == "retain"], CHURCH, n_prompts=1, n_targets=1, seeds=1)


# --- the figures --------------------------------------------------------------------------------------------------


def attempt(row: str, present: list[bool], drawn: list[bool], status: Any = "found") -> Attempt:
    n = len(present)
    table = {"id": [row] * n, "seed": list(range(n)), "split": ["adversarial"] * n, "attack_family": ["cce"] * n}
    table |= {"attack_source_id": [row] * n, "present": present, "present_original": drawn}
    return Attempt(
        settings={"attack": "cce", "attack.finds": "embedding"},
        row_id=row,
        source_prompt=row,
        search=Search(status=status),
        names_concept=None,
        generations=Generations(table),
    )


def test_figures_by_hand() -> None:
    """Three prompts of two seeds; the original drew 5 of 6, of which 3 were brought back, in two prompts of three."""
    attempts = [
        attempt("a", [True, True], [True, True]),
        attempt("b", [True, True], [True, False]),
        attempt("c", [False, False], [True, True]),
        attempt("d", [], [], "refused"),
    ]
    plain = joined([a.generations for a in attempts[:3]]).with_columns(
        split=["forget"] * 6, attack_source_id=[""] * 6, attack_family=[""] * 6, present=[False] * 5 + [True]
    )
    figures = result.attack_figures(attempts, plain)
    assert figures["asr_image"].value == pytest.approx(3 / 5)
    assert figures["asr_any@k"].value == pytest.approx(2 / 3)
    assert figures["pre_asr"].value == pytest.approx(1 / 3)
    assert figures["post_asr"].value == pytest.approx(1)
    assert figures["asr_image"].n_prompts == 3
    outcome = result.Outcome(attempts, figures, None, None)
    assert (outcome.count("refused"), outcome.count("found")) == (1, 3)


def test_nothing_but_refusals_has_no_figure() -> None:
    figures = result.attack_figures([attempt("d", [], [], "refused")], Generations({}))
    assert np.isnan(figures["asr_image"].value)
    assert figures["asr_image"].reason


def test_chance_is_the_share_of_false_positives() -> None:
    info = InstrumentInfo("x", "y", "z", error_rates={"object/church": ErrorRates(0.9, 0.98, 10, 200)})
    estimate = result.chance(info, "object/church")
    assert estimate is not None
    assert (estimate.value, estimate.n_generations) == (0.02, 200)
    assert estimate.interval == pytest.approx((0.00780, 0.05030), abs=1e-4)  # Wilson, 4 of 200
    assert result.chance(info, "object/cat") is None


# --- the command --------------------------------------------------------------------------------------------------


class Red:
    """Sees the concept where an image is rather red; in half of what a random model draws."""

    info = InstrumentInfo("red", "1", "none", threshold=0.0)

    def probabilities(self, batch: Batch, concepts: Any) -> Any:
        return np.ma.MaskedArray([[np.asarray(i)[..., 0].mean() / 255] for i in batch.images], mask=False)


@pytest.fixture(scope="module", autouse=True)
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("package")
    tiny_package(root)
    tiny_bench(root, task_rows()[CHURCH.id])
    with installed(root):
        yield root


@pytest.fixture(autouse=True)
def _red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "detector", lambda spec, **options: Red())


RUN = AttackRun(
    "sandbox:esd/church",
    "sandbox:original",
    "unlearndiffatk",
    "sandbox.church",
    budget=Budget(steps=1, candidates=2, tokens=2),
    n_prompts=2,
    n_targets=2,
    bench="sandbox",
    weight_free=False,
    device="cpu",
)


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): timeless(p) for p in folder.rglob("*") if p.is_file() and p.name != TIMES}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, package: Path) -> Path:
    out = tmp_path_factory.mktemp("attack") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "detector", lambda spec, **options: Red())
        RUN.run(out)
    return out


def test_a_record_says_everything(done: Path) -> None:
    attempts = read_attempts(done)
    assert len(attempts) == 2
    for one in attempts:
        assert one.settings["victim"] == "sandbox:esd/church"
        assert str(one.settings["victim.revision"]).startswith("sha256:")
        assert (one.settings["attack"], one.settings["attack.version"], one.settings["seed"]) == (
            "unlearndiffatk",
            1,
            0,
        )
        assert [one.settings[f"budget.{b}"] for b in ("steps", "candidates", "tokens")] == [1, 2, 2]
        assert one.search.status == "found"
        assert one.search.prompt is not None
        assert len(one.search.losses) == 1
        assert [tuple(g.values()) for g in one.generations.records("present", "present_original")] == [(True, True)] * 2
    stored = json.loads((done / "result.json").read_text())
    assert stored["settings"] == attempts[0].settings
    assert stored["searches"] == {"found": 2, "refused": 0, "no target": 0}
    assert stored["attack"]["asr_image"]["value"] == 1
    drawn = [json.loads(line) for line in (done / "attacked" / "metadata.jsonl").read_text().splitlines()]
    assert {d["prompt"] for d in drawn} == {a.search.prompt for a in attempts}


@pytest.mark.slow
def test_the_same_seed_gives_the_same_files(done: Path, tmp_path: Path) -> None:
    RUN.run(tmp_path)
    assert contents(tmp_path) == contents(done)


@pytest.mark.parametrize("fatal", [2, "drawing"])
def test_killed_and_started_again(
    fatal: int | str, done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the second search, or when all searches are done and an image is drawn."""
    from igmu_metrics.attacks import unlearndiffatk
    from igmu_metrics.attacks.running import sight

    searched, drew = [], []
    search, draw = unlearndiffatk.search, sight.draw

    def searching_(*given: Any) -> Any:
        searched.append(1)
        if len(searched) == fatal:
            raise KeyboardInterrupt
        return search(*given)

    def drawing(requests: Any, pipeline: Any, folder: Path, **given: Any) -> Any:
        drew.append(folder.name)
        if fatal == "drawing" and drew.count("attacked") == 1 and folder.name == "attacked":
            draw(requests[:1], pipeline, folder, **given)
            raise KeyboardInterrupt
        return draw(requests, pipeline, folder, **given)

    monkeypatch.setattr(unlearndiffatk, "search", searching_)
    monkeypatch.setattr(sight, "draw", drawing)
    with pytest.raises(KeyboardInterrupt):
        RUN.run(tmp_path)
    kept = len(list((tmp_path / "searches").glob("*.json")))
    assert kept == (2 if fatal == "drawing" else 1)
    assert not (tmp_path / "attempts.jsonl").exists()
    RUN.run(tmp_path)
    assert len(searched) == (2 if fatal == "drawing" else 3)  # finished searches are not made again
    assert contents(tmp_path) == contents(done)


def test_a_folder_of_another_run_is_refused(done: Path) -> None:
    with pytest.raises(MetadataError, match=r"budget\.steps=1, not 2"):
        replace(RUN, budget=Budget(steps=2, candidates=2, tokens=2)).run(done)
    with pytest.raises(MetadataError, match="started with seed=0, not 7"):
        replace(RUN, seed=7).run(done)


def test_a_found_prompt_that_breaks_the_policy_is_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def violations(text: str, *, domain: str) -> tuple[Violation, ...]:
        seen.append(text)
        return (Violation("w", "explicit", "en", "w"),) if len(seen) == 1 else ()

    monkeypatch.setattr(searching, "violations", violations)
    outcome = RUN.run(tmp_path)
    assert (outcome.count("refused"), outcome.count("found")) == (1, 1)
    (refused,) = (a for a in outcome.attempts if a.search.status == "refused")
    assert (refused.search.prompt, refused.search.rules, len(refused.generations)) == (None, ("explicit",), 0)
    assert not any(seen[0].encode() in data for data in contents(tmp_path).values())
    assert outcome.figures["asr_image"].n_prompts == 1


@pytest.mark.slow
def test_without_an_image_to_search_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Blind(Red):
        info = replace(Red.info, threshold=1.0)

    monkeypatch.setattr(registry, "detector", lambda spec, **options: Blind())
    outcome = RUN.run(tmp_path / "prompts")
    assert outcome.count("no target") == 2
    assert np.isnan(outcome.figures["asr_image"].value)
    with pytest.raises(EmptyInputError, match="did not generate object/church for any of"):
        replace(RUN, attack="cce").run(tmp_path / "concept")


def test_the_command(tmp_path: Path) -> None:
    arguments = ["attack", "--model", "sandbox:filter/church", "--original", "sandbox:original", "--attack", "cce"]
    arguments += ["--config", "sandbox.church", "--bench", "sandbox", "--out", str(tmp_path)]  # the default detector
    arguments += ["--steps", "1", "--candidates", "2", "--tokens", "2", "--prompts", "2", "--device", "cpu"]
    shown = CliRunner().invoke(app, arguments, catch_exceptions=False, env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    for text in ("none: the plain prompts", "weight-free: synonym", "weight-free: all", "this attack (by embedding)"):
        assert text in shown.stdout
    assert (
        "2 prompts were attacked. Of the prompts found, 0 were discarded because of the content policy" in shown.stdout
    )
    (one, *others) = read_attempts(tmp_path)
    assert one.search.prompt is None
    assert one.search == others[0].search  # one search for the concept
    assert (tmp_path / (one.search.embedding or "")).is_file()
    (tmp_path / (one.search.embedding or "")).write_bytes(b"other")
    with pytest.raises(MetadataError, match="has changed since the search"):
        CliRunner().invoke(app, arguments, catch_exceptions=False)


def test_a_wrong_name(tmp_path: Path) -> None:
    with pytest.raises(UnknownAttackError, match="no attack 'ring-a-bel'; did you mean 'ring-a-bell'"):
        replace(RUN, attack="ring-a-bel").run(tmp_path)
    with pytest.raises(InputError, match="contains several concepts"):
        replace(RUN, config="sandbox").run(tmp_path)
