"""Each unlearning method does to a small real pipeline what its paper says, and nothing else."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_diffusion import tiny_pipeline

from builders.unlearning import blocklist, collapse, esd, uce
from igmu_data.errors import EmptyInputError, InputError, OutOfRangeError

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_pipeline(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def pipe(folder: Path) -> Any:
    return load(folder)


def load(folder: Path) -> Any:
    from diffusers import StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def weights(unet: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in unet.state_dict().items()}


def changed(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> set[str]:
    assert one.keys() == other.keys()
    return {name for name in one if not torch.equal(one[name], other[name])}


def hidden(pipe: Any, prompt: str) -> torch.Tensor:
    """What the text encoder gives for a prompt, padded: 77 × 32."""
    ids = pipe.tokenizer(prompt, padding="max_length", max_length=77, return_tensors="pt").input_ids
    with torch.no_grad():
        found: torch.Tensor = pipe.text_encoder(ids)[0][0]
    return found


class TestEsd:
    PROMPT = "a church"

    @pytest.mark.parametrize(
        ("prediction", "eta", "least", "most"),
        [("epsilon", 0.0, -0.1, 0.1), ("epsilon", 1.0, -1.1, -0.25), ("v_prediction", 1.0, -1.1, -0.25)],
    )
    @pytest.mark.slow
    def test_moves_the_prediction_to_its_target(
        self, pipe: Any, prediction: str, eta: float, least: float, most: float
    ) -> None:
        """On the line from the unconditional prediction (0) to the concept's (1), the target is −η."""
        pipe.scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config, prediction_type=prediction)
        losses: list[float] = []
        student = esd.erase(
            pipe,
            [self.PROMPT],
            steps=60,
            learning_rate=3e-3,
            negative_guidance=eta,
            sampling_steps=2,
            batch_size=4,
            advance=lambda step, loss: losses.append(loss) if step == len(losses) + 1 else None,
        )
        assert len(losses) == 60
        x = torch.randn(16, 4, 8, 8, generator=torch.Generator().manual_seed(1))
        concept, empty = (hidden(pipe, p).expand(16, -1, -1) for p in (self.PROMPT, ""))
        for t in (850, 600, 350, 100):
            with torch.no_grad():
                without = pipe.unet(x, t, empty).sample
                direction = pipe.unet(x, t, concept).sample - without
                moved = student(x, t, concept).sample - without
            assert least < (moved * direction).sum() / direction.square().sum() < most
            at_first = (1 + eta) * direction.norm()
            assert (moved + eta * direction).norm() < 0.5 * at_first

    @pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
    def test_before_any_change_the_loss_is_that_of_the_teacher(self, pipe: Any, prediction: str) -> None:
        """Student and teacher are alike: the distance to the target is (1 + η) times the concept's direction."""
        pipe.scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config, prediction_type=prediction)

        def losses(eta: float) -> Any:
            found: list[float] = []
            esd.erase(
                pipe,
                [self.PROMPT],
                steps=4,
                learning_rate=0.0,
                negative_guidance=eta,
                sampling_steps=3,
                advance=lambda _, loss: found.append(loss),
            )
            return np.array(found)

        alone = losses(0.0)
        assert (alone > 0).all()
        np.testing.assert_allclose(losses(1.0), 4 * alone, rtol=1e-3)
        np.testing.assert_allclose(losses(3.0), 16 * alone, rtol=1e-3)

    def test_draws_with_the_student_under_guidance(self, pipe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        drawn_by, guidances, denoise = [], set(), esd.denoise

        def spy(unet: Any, *rest: Any) -> torch.Tensor:
            drawn_by.append(unet)
            guidances.add(rest[-1])
            return denoise(unet, *rest)

        monkeypatch.setattr(esd, "denoise", spy)
        student = esd.erase(pipe, [self.PROMPT], steps=3, start_guidance=2.5, sampling_steps=2)
        assert [unet is student for unet in drawn_by] == [True] * 3
        assert guidances == {2.5}

    @pytest.mark.parametrize("parameters", ["xattn", "noxattn", "full"])
    def test_trains_the_parameters_asked_for_and_no_others(self, pipe: Any, parameters: str) -> None:
        before = weights(pipe.unet)
        student = esd.erase(
            pipe, [self.PROMPT], steps=2, learning_rate=1e-3, sampling_steps=2, batch_size=2, parameters=parameters
        )
        cross = {name for name in before if ".attn2." in name}
        expected = {"xattn": cross, "noxattn": before.keys() - cross, "full": set(before)}[parameters]
        assert 0 < len(cross) < len(before)
        # A bias before a normalisation may have no gradient; nearly all the others move.
        found = changed(before, weights(student))
        assert found <= expected
        assert len(found) > 0.9 * len(expected)
        assert changed(before, weights(pipe.unet)) == set()
        assert all(p.requires_grad and p.grad is None for p in pipe.unet.parameters())
        assert all(p.requires_grad and p.grad is None for p in student.parameters())

    def test_same_seed_same_weights(self, pipe: Any) -> None:
        def run(seed: int) -> dict[str, torch.Tensor]:
            torch.manual_seed(seed + 5)  # the global state must not matter
            return weights(esd.erase(pipe, ["a church", "chapels"], steps=3, sampling_steps=3, seed=seed))

        first = run(0)
        assert changed(first, run(0)) == set()
        assert changed(first, run(1))

    def test_every_prompt_is_used(self, pipe: Any) -> None:
        """With no step of the optimiser in effect, a step's loss tells its prompt: noise and times are the same."""

        def run(*prompts: str) -> list[float]:
            losses: list[float] = []
            esd.erase(
                pipe, prompts, steps=8, learning_rate=0.0, sampling_steps=2, advance=lambda _, loss: losses.append(loss)
            )
            return losses

        church, cat, both = run("church", "church"), run("cat", "cat"), run("church", "cat")
        taken = [(b == c, b == d) for b, c, d in zip(both, church, cat, strict=True)]
        assert set(taken) == {(True, False), (False, True)}

    def test_latents_are_those_of_the_pipeline_on_its_way(self, pipe: Any) -> None:
        """diffusers' own pipeline, stopped at each step, has the same latents at the same times."""
        from diffusers import DDIMScheduler

        for prediction in ("epsilon", "v_prediction"):
            pipe.scheduler = DDIMScheduler.from_config(
                pipe.scheduler.config, prediction_type=prediction, timestep_spacing="leading", steps_offset=37
            )
            noise = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(3))
            seen: list[torch.Tensor] = []

            def keep(_: Any, __: int, ___: Any, kwargs: dict[str, Any], seen: list[torch.Tensor] = seen) -> Any:
                seen.append(kwargs["latents"].clone())
                return kwargs

            pipe(
                [self.PROMPT] * 2,
                latents=noise,
                num_inference_steps=5,
                guidance_scale=3.0,
                output_type="latent",
                callback_on_step_end=keep,
            )
            times = [837, 637, 437, 237, 37]
            assert pipe.scheduler.timesteps.tolist() == times
            concept, empty = (hidden(pipe, p).expand(2, -1, -1) for p in (self.PROMPT, ""))
            for k in range(1, 5):
                with torch.no_grad():
                    x = esd.denoise(pipe.unet, pipe.scheduler, noise, times[: k + 1], concept, empty, 3.0)
                torch.testing.assert_close(x, seen[k - 1], rtol=1e-4, atol=1e-5)

    def test_times_begin_near_noise_and_end_anywhere(self, pipe: Any) -> None:
        generator = torch.Generator().manual_seed(0)
        drawn = [esd.random_times(pipe.scheduler, 4, generator) for _ in range(2000)]
        assert all(750 <= times[0] <= 999 for times in drawn)
        assert all(a - b == 250 for times in drawn for a, b in itertools.pairwise(times))
        last = np.array([times[-1] for times in drawn])
        counts, _ = np.histogram(last, bins=10, range=(0, 1000))
        assert counts.min() > 140  # 200 each expected, standard deviation 13
        assert len(set(last.tolist())) > 750

    @pytest.mark.parametrize(
        ("prompts", "options", "error"),
        [
            ([], {}, EmptyInputError),
            (["x"], {"parameters": "some"}, InputError),
            (["x"], {"sampling_steps": 0}, OutOfRangeError),
            (["x"], {"sampling_steps": 1001}, OutOfRangeError),
        ],
    )
    def test_refuses(self, pipe: Any, prompts: list[str], options: dict[str, Any], error: type[Exception]) -> None:
        with pytest.raises(error):
            esd.erase(pipe, prompts, steps=1, **options)


class TestUce:
    ERASE = (("church", "tower"), ("a chapel", "cat"))
    PRESERVE = ("tower", "cat", "bird", "a boat")

    @staticmethod
    def projections(unet: Any) -> dict[str, torch.nn.Linear]:
        found = {n: m for n, m in unet.named_modules() if n.endswith((".attn2.to_k", ".attn2.to_v"))}
        assert len(found) >= 8  # keys and values of several blocks
        return found

    def test_erased_is_read_as_the_other_and_the_rest_as_before(self, pipe: Any) -> None:
        before = weights(pipe.unet)
        edited = uce.edit(pipe, self.ERASE, self.PRESERVE, lamb=1e-7)
        old, new = self.projections(pipe.unet), self.projections(edited)
        last = {"church": 6, "tower": 5, "a chapel": 7, "cat": 3, "bird": 4, "a boat": 5}  # a token a letter
        for name in old:
            with torch.no_grad():
                for phrase, instead in self.ERASE:
                    c, c_star = hidden(pipe, phrase)[last[phrase]], hidden(pipe, instead)[last[instead]]
                    apart = (old[name](c) - old[name](c_star)).norm()
                    assert (new[name](c) - old[name](c_star)).norm() < 1e-3 * apart
                for phrase in self.PRESERVE:
                    c = hidden(pipe, phrase)[last[phrase]]
                    assert (new[name](c) - old[name](c)).norm() < 1e-3 * old[name](c).norm()
        assert changed(before, weights(edited)) == {f"{name}.weight" for name in old}
        assert changed(before, weights(pipe.unet)) == set()

    @pytest.mark.parametrize(
        ("tokens", "erased", "instead", "preserved"),
        [
            # start c h a p e l end …; start c a t end …; start b i r d end …
            ("last", [6], [3], [4]),
            ("tail", range(6, 77), range(3, 74), range(4, 77)),
            ("all", range(4, 77), range(1, 74), range(1, 77)),
        ],
    )
    def test_is_the_least_squares_solution(
        self, pipe: Any, tokens: str, erased: list[int], instead: list[int], preserved: list[int]
    ) -> None:
        edited = uce.edit(
            pipe, [("chapel", "cat")], ["bird"], erase_scale=2.0, preserve_scale=0.5, lamb=0.3, tokens=tokens
        )
        c, c_star, kept = (
            hidden(pipe, phrase)[list(at)].double().numpy()
            for phrase, at in (("chapel", erased), ("cat", instead), ("bird", preserved))
        )
        for name, module in self.projections(pipe.unet).items():
            old = module.weight.detach().double().numpy()
            rows = np.vstack([2.0**0.5 * c, 0.5**0.5 * kept, 0.3**0.5 * np.eye(32)])
            targets = np.vstack([2.0**0.5 * c_star @ old.T, 0.5**0.5 * kept @ old.T, 0.3**0.5 * old.T])
            expected, *_ = np.linalg.lstsq(rows, targets, rcond=None)
            found = self.projections(edited)[name].weight.detach().numpy()
            np.testing.assert_allclose(found, expected.T, rtol=1e-4, atol=1e-5)
            assert np.abs(found - old).max() > 1e-2

    def test_an_empty_phrase_is_its_start_of_text(self, pipe: Any) -> None:
        edited = uce.edit(pipe, [("cat", "")], [], lamb=1e-7)
        old, new = self.projections(pipe.unet), self.projections(edited)
        with torch.no_grad():
            for name in old:
                expected = old[name](hidden(pipe, "")[0])
                assert (new[name](hidden(pipe, "cat")[3]) - expected).norm() < 1e-3 * expected.norm()

    def test_a_heavy_lamb_leaves_everything(self, pipe: Any) -> None:
        edited = uce.edit(pipe, self.ERASE, self.PRESERVE, lamb=1e12)
        for name, module in self.projections(edited).items():
            torch.testing.assert_close(module.weight, self.projections(pipe.unet)[name].weight)

    @pytest.mark.parametrize(
        ("erase", "options", "error"),
        [
            ([], {}, EmptyInputError),
            (ERASE, {"lamb": 0.0}, OutOfRangeError),
            (ERASE, {"lamb": float("nan")}, OutOfRangeError),
            (ERASE, {"tokens": "first"}, InputError),
        ],
    )
    def test_refuses(self, pipe: Any, erase: Any, options: dict[str, Any], error: type[Exception]) -> None:
        with pytest.raises(error):
            uce.edit(pipe, erase, [], **options)


@pytest.fixture(scope="module")
def saved(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline with a filter, saved by diffusers."""
    pipe = load(folder)
    pipe.tokenizer = blocklist.filtered(pipe.tokenizer, ["Church", "bus", "van gogh", "van", "maße", "c-3.o"])
    saved = tmp_path_factory.mktemp("filter") / "pipeline"
    pipe.save_pretrained(saved, safe_serialization=True)
    return saved


class TestBlocklist:
    @pytest.mark.parametrize(
        ("prompt", "read_as"),
        [
            ("A Church in a meadow", "A in a meadow"),
            ("CHURCHES and churchs, churches.", "and , ."),
            ("two buses and a bus", "two and a"),
            ("a van Gogh, Van  Goghs and vans", "a , and"),
            ("church's bell", "'s bell"),
            ("a pre-church-era tower", "a pre- -era tower"),
            ("MAßE and mass", "and mass"),
            ("a c-3.o robot", "a robot"),
            ("a c-3xo robot", "a c-3xo robot"),
            ("churchyard", "churchyard"),
            ("chapel", "chapel"),
            ("unchurch busy vanity gogh", "unchurch busy vanity gogh"),
            ("kirche chuch", "kirche chuch"),
            ("church", ""),
        ],
    )
    def test_a_saved_pipeline_reads_prompts_without_the_words(
        self, folder: Path, saved: Path, prompt: str, read_as: str
    ) -> None:
        from transformers import CLIPTokenizer

        plain, tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer"), load(saved).tokenizer
        options = {"padding": "max_length", "max_length": tokenizer.model_max_length, "truncation": True}
        found, expected = tokenizer(prompt, **options), plain(read_as, **options)
        assert found.input_ids == expected.input_ids
        assert found.attention_mask == expected.attention_mask
        assert found.keys() == expected.keys()
        assert tokenizer.decode(found.input_ids) == plain.decode(expected.input_ids)
        assert tokenizer.model_max_length == plain.model_max_length == 77

    def test_images_are_those_of_the_prompt_without_the_word(self, folder: Path, saved: Path) -> None:
        """As igmu loads and draws it: no code but diffusers' and transformers'."""
        from igmu_metrics.images.pipelines import find_pipeline

        def draw(place: Path, prompt: str) -> Any:
            pipe = find_pipeline(str(place), device="cpu").load()
            seeded = torch.Generator().manual_seed(0)
            size = {"width": 32, "height": 32}
            return pipe(prompt, num_inference_steps=2, generator=seeded, output_type="np", **size).images

        hidden_word = draw(saved, "a church in a meadow")
        np.testing.assert_array_equal(hidden_word, draw(folder, "a in a meadow"))
        assert np.abs(hidden_word - draw(folder, "a church in a meadow")).max() > 0
        np.testing.assert_array_equal(draw(saved, "a chapel"), draw(folder, "a chapel"))

    def test_clip_tokenizer_would_pass_the_filter_over(self, saved: Path) -> None:
        """Why the class is another; if transformers changes this, CLIPTokenizer can be kept."""
        from transformers import CLIPTokenizer

        wrong, right = CLIPTokenizer.from_pretrained(saved / "tokenizer"), load(saved).tokenizer
        assert wrong("church").input_ids != right("church").input_ids

    def test_the_tokenizer_given_stays_as_it_was(self, pipe: Any) -> None:
        before = pipe.tokenizer("a church").input_ids
        assert blocklist.filtered(pipe.tokenizer, ["church"])("a church").input_ids != before
        assert pipe.tokenizer("a church").input_ids == before

    @pytest.mark.parametrize("words", [[], [""], ["church", " "]])
    def test_refuses_what_would_blank_nothing_or_everything(self, pipe: Any, words: list[str]) -> None:
        with pytest.raises(EmptyInputError):
            blocklist.filtered(pipe.tokenizer, words)


class TestCollapse:
    def test_seeded_finite_and_everywhere(self, pipe: Any) -> None:
        before = weights(pipe.unet)
        damaged = weights(collapse.damage(pipe.unet, strength=3.0, seed=1))
        assert changed(damaged, weights(collapse.damage(pipe.unet, strength=3.0, seed=1))) == set()
        assert changed(damaged, weights(collapse.damage(pipe.unet, strength=3.0, seed=2)))
        assert changed(before, weights(pipe.unet)) == set()
        zero = {name for name, tensor in before.items() if not tensor.any()}  # a bias that was never trained
        assert changed(before, damaged) == before.keys() - zero
        assert all(tensor.isfinite().all() for tensor in damaged.values())

    @pytest.mark.parametrize("strength", [0.5, 1.0, 3.0])
    def test_signal_and_scale(self, pipe: Any, strength: float) -> None:
        """With noise to signal s, the correlation with the old weights is 1/√(1+s²), and the scale stays."""
        damaged = weights(collapse.damage(pipe.unet, strength=strength, seed=0))
        old = torch.cat([(t / t.square().mean().sqrt()).ravel() for t in weights(pipe.unet).values() if t.any()])
        new = torch.cat(
            [(damaged[n] / t.square().mean().sqrt()).ravel() for n, t in weights(pipe.unet).items() if t.any()]
        )
        assert len(old) > 50_000
        assert float((old * new).mean()) == pytest.approx((1 + strength**2) ** -0.5, abs=0.02)
        assert float(new.square().mean()) == pytest.approx(1, abs=0.02)

    @pytest.mark.parametrize("strength", [3.0, 1e6])
    def test_it_still_draws(self, pipe: Any, strength: float) -> None:
        def draw() -> Any:
            seeded = torch.Generator().manual_seed(0)
            return pipe("a church", num_inference_steps=3, generator=seeded, output_type="latent").images

        before = draw()
        pipe.unet = collapse.damage(pipe.unet, strength=strength, seed=0)
        after = draw()
        assert after.isfinite().all()
        assert (after - before).abs().max() > 0.1

    def test_no_strength_no_damage(self, pipe: Any) -> None:
        assert changed(weights(pipe.unet), weights(collapse.damage(pipe.unet, strength=0.0, seed=0))) == set()

    @pytest.mark.parametrize("strength", [-0.1, float("nan"), float("inf")])
    def test_refuses(self, pipe: Any, strength: float) -> None:
        with pytest.raises(OutOfRangeError):
            collapse.damage(pipe.unet, strength=strength, seed=0)
