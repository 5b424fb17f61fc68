"""`igmu power`: no option is ignored in silence, and a plan agrees with the interval that a run of that plan gets."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from golden.record import unpack
from typer.testing import CliRunner

from igmu_data.errors import BudgetError, InputError, OutOfRangeError
from igmu_data.load import bench_rows
from igmu_data.schema import Row
from igmu_metrics.cli import app
from igmu_metrics.contract import Estimate
from igmu_metrics.scorecard import Scorecard
from igmu_metrics.statistics.formatting import beside
from igmu_metrics.verdict import forecast, made_up
from igmu_metrics.verdict.compare import FORGETTING, RESISTANCE
from igmu_metrics.verdict.criteria import figures
from igmu_metrics.verdict.verify import read_all

CHURCH = ("--config", "sandbox.church")
BASES: dict[str, tuple[str, ...]] = {
    "cards that need more": ("cards/esd.json", "cards/uce.json"),
    "a card that needs nothing": ("cards/esd.json",),
    "two rates": ("--rate", "0.5", "--rate", "0.7"),
    "two rates and a config": ("--rate", "0.9", "--rate", "0.6", "--seeds", "2", *CHURCH),
    "prompts": ("--rate", "0.5", "--prompts", "40"),
    "a part of the protocol": ("--rate", "0.5", "--protocol", "3", *CHURCH),
    "a bound": ("--rate", "0.2", "--bound", "0.1"),
    "a bound in several images": ("--rate", "0.2", "--bound", "0.1", "--seeds", "3"),
    "a bound on attacks": ("--rate", "0.2", "--bound", "asr=0.1", "--protocol", "4", "--seeds", "2", *CHURCH),
}
OPTIONS: dict[str, str] = {
    "--rate": "0.4",
    "--bound": "0.3",
    "--protocol": "2",
    "--config": "sandbox.van-gogh",
    "--prompts": "70",
    "--seeds": "4",
    "--seed-correlation": "0.9",
    "--source-correlation": "0.3",
    "--model-correlation": "0.5",
    "--power": "0.9",
    "--alpha": "0.01",
    "--comparisons": "3",
    "--gpu": "A100=2.5,1.89",
    "--seconds-per-image": "2.5",
    "--euros-per-hour": "2",
    "--looks": "4",
    "--bench": "missing",
    "--revision": "main",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("power")
    unpack(folder)
    return folder


@pytest.fixture
def there(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(place)
    return place


def run(*arguments: str) -> tuple[str, BaseException | None]:
    done = CliRunner().invoke(app, ["power", *arguments])
    return " ".join(done.output.split()), done.exception


def test_the_table_names_every_option() -> None:
    command = typer.main.get_command(app).commands["power"]  # type: ignore[attr-defined]
    known = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
    assert known - {"--concepts", "--plugin", "--json", "--help"} == set(OPTIONS)


@pytest.mark.parametrize("base", BASES)
def test_no_option_is_ignored_in_silence(base: str, there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every option changes the output, or is refused by its name: hours and euros were left out without a word."""
    monkeypatch.setattr(made_up, "foresee", _few(made_up.foresee))
    monkeypatch.setattr(forecast, "bench_rows", _packaged)
    plain, error = run(*BASES[base])
    assert error is None, error
    for option, value in OPTIONS.items():
        if option in BASES[base] and option != "--rate":
            continue  # once is the most
        told, error = run(*BASES[base], option, value)
        if error is None:
            assert told != plain, (base, option)
        else:
            assert isinstance(error, InputError), (base, option, error)
            assert option in str(error), (base, option, str(error))


def _packaged(config: str, *, bench: str | None, revision: str | None) -> dict[str, Row]:
    for option, value in (("--bench", bench), ("--revision", revision)):
        if value is not None:
            raise InputError(f"{option} {value} reached the corpus")
    return bench_rows(config)


def _few(foresee: Any) -> Any:
    """Fewer repetitions, for speed."""
    return lambda *given, **how: foresee(*given, **{**how, "times": 3})


def test_hours_and_euros_of_cards(there: Path) -> None:
    told, _ = run("cards/esd.json", "--gpu", "A100=36,2")
    assert "no more prompts are needed" in told
    assert "A run of these cards generates 248 images of 2 models (with the original) A100: 2.5 h, 4.96 €" in told
    told, _ = run("cards/esd.json", "--protocol", "1", "--seeds", "1", "--gpu", "A100=36,2")
    n = sum(row.round == 1 for row in bench_rows("sandbox.church").values())
    assert f"A run of protocol 1 generates {2 * n} images of 2 models (with the original)" in told
    for option in (("--gpu", "A100=36,2"), ("--looks", "4")):
        told, _ = run("--rate", "0.5", "--rate", "0.50000001", *option)
        assert "There is no estimate of time or cost, because the number of prompts is not known" in told
    told, _ = run("cards/original.json", "--protocol", "1")
    assert f"A run of protocol 1 generates {2 * n} images of 1 model (with the original)" in told, "two seeds each"
    told, _ = run("cards/esd.json", "--looks", "4")
    assert "--looks 4 has no effect, because no comparison needs more images" in told


# --- forecasts --------------------------------------------------------------------------------------------------------


def own_plan(card: Scorecard) -> made_up.Planned:
    """The images that a card has."""
    held = {row for row, _ in card.generations.keys}
    rows = [row for row in bench_rows(card.config).values() if row.id in held]
    return made_up.Planned.of(rows, forecast.seeds_of(card), card.target, forecast.facts(card, 2))


@pytest.mark.parametrize("model", ["esd", "uce", "filter"])
def test_a_run_of_the_same_images_gets_the_interval_of_the_card(place: Path, model: str) -> None:
    card = read_all([place / "cards" / f"{model}.json"])[0]
    found = made_up.foresee(own_plan(card), forecast.habits(card), forecast.VERDICT, times=20)
    assert {one.figure for one in found} == set(forecast.VERDICT)
    for one in found:
        figure = card.figure(*one.figure.split("/", 1))
        assert figure is not None
        assert figure.interval is not None
        low, high = figure.interval
        assert one.interval[1] - one.interval[0] == pytest.approx(high - low, rel=0.2), one.figure
        assert one.value == pytest.approx(figure.value, abs=0.1), one.figure


def test_images_that_a_card_has_are_not_made_up(place: Path) -> None:
    """A run of the same seeds makes the same images, so that the forecast for these is the card's own interval."""
    card = read_all([place / "cards" / "uce.json"])[0]
    held = {row for row, _ in card.generations.keys}
    rows = [row for row in bench_rows(card.config).values() if row.id in held]
    planned = made_up.Planned.of(rows, 2, card.target, forecast.facts(card, 2), card.generations)
    for one in made_up.foresee(planned, forecast.habits(card), forecast.VERDICT, times=2):
        figure = card.figure(*one.figure.split("/", 1))
        assert figure is not None
        assert (one.value, *one.interval) == pytest.approx((figure.value, *(figure.interval or ()))), one.figure
    more = made_up.Planned.of(rows, 3, card.target, forecast.facts(card, 3), card.generations)
    assert int(more.table["measured"].sum()) * 3 == len(more.table) * 2


def test_what_can_be_forecast_is_the_cards_own_figure_if_everything_is_measured(place: Path) -> None:
    """Of every metric that a bound may name: rates of plain and adversarial prompts together were not."""
    card = read_all([place / "cards" / "uce.json"])[0]
    rows = [row for row in bench_rows(card.config).values() if row.id in set(card.generations["id"].tolist())]
    planned = made_up.Planned.of(rows, 2, card.target, forecast.facts(card, 2), card.generations)
    known, wanted = figures(card), []
    for full in known:
        with suppress(InputError):
            wanted += forecast.wanted(card, f"{full}=0.5033")[0]
    found = made_up.foresee(planned, forecast.habits(card), wanted, times=1)
    assert {one.figure for one in found} >= set(forecast.VERDICT)
    assert not any("post_asr" in name or "pre_asr" in name for name in wanted)
    for one in found:
        assert (one.value, *one.interval) == pytest.approx(
            (known[one.figure].value, *(known[one.figure].interval or ()))
        )


def test_attacks_made_from_one_source_are_not_independent() -> None:
    """The plan of a bound on attacks counted adversarial prompts, but the unit of the interval is the source prompt."""
    rows = list(bench_rows("sandbox.church").values())
    planned = made_up.Planned.of(rows, 2, "object/church", {})
    widths = []
    for shared in (0.0, 0.8):
        full, known = forecast.assumed("asr", 0.3, 2, made_up.Correlations(0.8, shared))
        (one,) = made_up.foresee(planned, known, [full], times=10)
        widths.append(one.interval[1] - one.interval[0])
    assert widths[1] > 1.2 * widths[0]


def test_correlations_come_back() -> None:
    """Made-up images have the correlations that they were given, and these are found in them."""
    rows = [row for row in bench_rows("sandbox.church").values() if row.split == "adversarial"]
    planned = made_up.Planned.of(rows, 4, "object/church", {})
    shared = made_up.Correlations(0.5, 0.25)
    known = {"adversarial": made_up.Habits({}, made_up.Shares(1.0, 0.4, 0.0), shared, shared)}
    draw = np.random.default_rng(1)
    seen = [made_up.Habits.of(planned.made_up(known, draw)) for _ in range(30)]
    # The shares of the families are estimated from the same images, which takes away a part of the correlations.
    assert np.mean([tuple(one.model) for one in seen], axis=0) == pytest.approx(np.asarray(shared), abs=0.1)
    assert np.mean([one.others.where for one in seen]) == pytest.approx(0.4, abs=0.03)
    assert {one.others.original for one in seen} == {1.0}
    assert {one.original for one in seen} == {(1.0, 1.0)}, "which cannot be estimated"


@pytest.mark.parametrize(("name", "rate"), [("asr", 0.3), ("asr_image", 0.3), ("robustness", 0.7)])
def test_an_assumed_rate_is_that_of_the_metric(name: str, rate: float) -> None:
    full, known = forecast.assumed(name, rate, 3, made_up.Correlations(0.4, 0.1))
    planned = made_up.Planned.of(list(bench_rows("sandbox.church").values()), 3, "object/church", {})
    (one,) = made_up.foresee(planned, known, [full], times=60)
    assert one.value == pytest.approx(rate, abs=0.03)


def test_the_smallest_part_that_decides_a_bound() -> None:
    def foreseen(rounds: int) -> list[made_up.Foreseen]:
        return [made_up.Foreseen("x", 0.5, (0.4, 0.6), rounds / 10)] if rounds > 2 else []

    assert [forecast.smallest(foreseen, chance)[0] for chance in (0.05, 0.1, 0.55, 0.8, 1.0)] == [3, 3, 6, 8, 10]
    enough, (whole,) = forecast.smallest(lambda n: [made_up.Foreseen("x", 0.5, (0.4, 0.6), 0.1)], 0.8)
    assert (enough, whole.chance) == (None, 0.1)
    assert forecast.smallest(lambda n: [], 0.8) == (None, [])


def test_bounds_of_cards_as_a_user_meets_them(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made_up, "foresee", _few(made_up.foresee))
    told, _ = run("cards/esd.json", "--bound", "asr=0.9")
    assert "esd: asr_any@2 is 0.12 [0.03, 0.38]; protocol 1 has a chance of 100% that the interval is below 0.9" in told
    told, _ = run("cards/esd.json", "--bound", "asr=0.126")
    assert "the full protocol is not enough" in told
    told, _ = run("cards/esd.json", "--protocol", "lite")
    assert "protocol 2 has only about" not in told, "esd against the original is significant"
    assert "expected interval with protocol 2" in told
    done = CliRunner().invoke(app, ["power", "cards/esd.json", "--bound", "asr=0.9", "--protocol", "3", "--json"])
    (one,) = json.loads(done.stdout)["result"]["forecasts"]
    assert (one["protocol"], one["seeds"], one["bound"], one["chance"]) == (3, 2, 0.9, 1.0)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("cards/esd.json", "--bound", "0.1"), r"--bound is '0\.1'; with scorecards it must have the form"),
        (("cards/esd.json", "--bound", "asr=10"), r"--bound is 'asr=10'.*a number between 0 and 1"),
        (("cards/esd.json", "--bound", "quality=0.5"), "quality cannot be forecast"),
        (("cards/esd.json", "--bound", "typo=0.5"), "has no metric 'typo'"),
        (("cards/esd.json", "--bound", "asr=0.125"), r"is equal to the bound, 0\.125"),
        (("cards/esd.json", "--protocol", "11"), "protocol '11' does not exist"),
        (("cards/esd.json", "--protocol", "2", "--prompts", "9"), "are both given, but each sets the number"),
        (("--rate", "0.1", "--bound", "asr=0.2"), "requires the attacks of a config. Add --config"),
        (("--rate", "0.1", "--bound", "fid=0.2", *CHURCH), "--bound names 'fid'; with --rate, METRIC must be one of"),
        (("--rate", "0.1", "--bound", "asr=0.1", *CHURCH), "the rate and the bound are both 0.1"),
        (("--rate", "0.1", "--bound", "asr=0.2", "--config", "sandbox"), "is not about one concept"),
        (("--rate", "0.1", "--bound", "much"), "--bound is 'much'; it must be a number"),
    ],
)
def test_what_cannot_be_planned(there: Path, arguments: tuple[str, ...], told: str) -> None:
    error = run(*arguments)[1]
    assert isinstance(error, InputError | OutOfRangeError)
    with pytest.raises(type(error), match=told):
        raise error


# --- degenerate and conditional cases ---------------------------------------------------------------------------------


def _decisions(prompts: int, seeds: int, per_source: int = 1) -> made_up._Alike:
    prompt = np.repeat(np.arange(prompts), seeds)
    return made_up._Alike(prompt, prompt // per_source, np.random.default_rng(3))


@pytest.mark.parametrize(("p", "shared"), [(0.5, 0.36), (0.2, 0.25), (0.9, 0.5), (0.02, 0.36), (0.99, 0.36)])
def test_new_images_are_as_like_measured_ones_as_any_others(p: float, shared: float) -> None:
    """A measured image stood for its prompt for certain, so that a new one was √r as like it, not r."""
    n, draw = 40_000, np.random.default_rng(5)
    alike = _decisions(n, 2)
    measured = np.ma.MaskedArray(draw.random(2 * n) < p, mask=False)
    kept = np.tile([True, False], n)
    made = alike.decided(measured, kept, np.full(2 * n, p), made_up.Correlations(shared, shared)).filled(False)
    first, second = made[::2].astype(float), made[1::2].astype(float)
    assert (first == measured[::2]).all()
    assert second.mean() == pytest.approx(p, abs=0.01)
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(shared, abs=0.02 if 0.1 < p < 0.95 else 0.05)


def test_two_measured_images_say_more_than_one() -> None:
    """The chance that a third image shows the concept follows from Bayes' rule, with the prompt's value unknown."""
    n, p, shared = 40_000, 0.3, 0.36
    r, q = shared**0.5, 0.3
    both = np.ma.MaskedArray(np.tile([True, True, False], n), mask=False)
    made = _decisions(n, 3).decided(
        both, np.tile([True, True, False], n), np.full(3 * n, p), made_up.Correlations(shared, 0.0)
    )
    yes, no = p * (r + (1 - r) * p) ** 2, (1 - p) * ((1 - r) * p) ** 2
    known = yes / (yes + no)
    assert made.filled(False)[2::3].mean() == pytest.approx(r * known + (1 - r) * q, abs=0.01)


def test_a_measured_prompt_says_something_about_its_source() -> None:
    n, p, shared = 40_000, 0.5, made_up.Correlations(0.6, 0.3)
    draw = np.random.default_rng(5)
    measured = np.ma.MaskedArray(draw.random(2 * n) < p, mask=False)
    made = _decisions(2 * n, 1, per_source=2).decided(measured, np.tile([True, False], n), np.full(2 * n, p), shared)
    values = made.filled(False).astype(float)
    assert np.corrcoef(values[::2], values[1::2])[0, 1] == pytest.approx(0.3, abs=0.02)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_shares_of_none_and_all(share: float) -> None:
    """Also where a measured image contradicts the share: nothing is divided by 0."""
    measured = np.ma.MaskedArray([True, False, False, False, True, False], mask=[0, 1, 0, 0, 0, 0])
    kept = np.array([True, True, True, False, False, False])
    made = _decisions(3, 2).decided(measured, kept, np.full(6, share), made_up.Correlations(0.5, 0.25))
    assert made.filled(False)[[3, 4, 5]].tolist() == [bool(share)] * 3
    assert np.ma.getmaskarray(made).tolist() == [False, True, False, False, False, False]


def test_one_prompt_says_nothing_about_correlations() -> None:
    """Its seeds deviate from their own mean, so that they seemed to be independent: too narrow intervals."""
    values, one = np.array([True, False, True, False]), np.array(["a"] * 4)
    assert made_up._correlations(values, one, one, one) == (1.0, 1.0)
    two = np.array(["a", "a", "b", "b"])
    assert made_up._correlations(values[:0], one[:0], one[:0], one[:0]) == (1.0, 1.0)
    assert made_up._correlations(np.array([True, True, False, False]), one, two, two).seeds > 0.5


@pytest.mark.parametrize(
    ("bound", "told"),
    [
        ("post_asr_family_mean=0.5", "post_asr_family_mean cannot be forecast, because"),
        ("conditional_post_asr/leetspeak=0.5", "cannot be forecast, because"),
        ("quality_within=0.5", "forget_score/quality_within of esd cannot be forecast for the full protocol, because"),
        (
            "concept_accuracy/n_unclear=0.5",
            "concept_accuracy/n_unclear of esd cannot be forecast for the full protocol",
        ),
        ("quality=0.5", r"Use a bound on one of concept_accuracy/conditional_unlearning_accuracy, .*/asr_any@2\."),
        ("asr_any@2=0.125", r"attack_success_rate/asr_any@2 of esd is equal to the bound"),
        ("asr_any@5=0.5", r"has asr_any@2 \(k is 2\), not asr_any@5"),
    ],
)
def test_bounds_that_cannot_be_forecast(there: Path, monkeypatch: pytest.MonkeyPatch, bound: str, told: str) -> None:
    """Rates of both splits got a wrong interval, and figures without an interval ended with an IndexError."""
    monkeypatch.setattr(made_up, "foresee", _few(made_up.foresee))
    error = run("cards/esd.json", "--bound", bound)[1]
    assert isinstance(error, InputError), error
    with pytest.raises(type(error), match=told):
        raise error


def test_a_wrong_k_is_one_error_everywhere(there: Path) -> None:
    """It was an InputError of igmu check, and a BudgetError of igmu power and igmu families."""
    found = []
    for words in (
        ("check", "cards/esd.json", "--max", "asr_any@5=0.1"),
        ("power", "cards/esd.json", "--bound", "asr_any@5=0.1"),
        ("families", "cards/esd.json", "--figure", "asr_any@5", "--chart", "x.svg"),
    ):
        found.append(CliRunner().invoke(app, list(words)).exception)
    assert {type(error) for error in found} == {BudgetError}
    assert len({str(error) for error in found}) == 1, found
    error = run("--rate", "0.1", "--bound", "asr_any@5=0.2", "--seeds", "2", *CHURCH)[1]
    assert isinstance(error, BudgetError)
    assert "a plan with 2 images per prompt has asr_any@2 (k is 2), not asr_any@5 (k is 5)" in str(error)
    assert str(error).endswith("Use asr_any@2, or set k to 5 (--seeds 5).")


def test_parts_and_rates_are_named_as_users_name_them(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made_up, "foresee", _few(made_up.foresee))
    told, error = run("cards/esd.json", "--protocol", "full", "--seeds", "1")
    assert error is None
    assert "protocol 10" not in told
    assert "A run of the full protocol generates" in told
    assert "asr_any@2 is 0.12 [0.03, 0.38]; expected interval of asr_any@1 with the full protocol" in told
    told, _ = run("--rate", "0.05", "--bound", "asr_any@2=0.6", "--seeds", "2", "--protocol", "10", *CHURCH)
    assert "The full protocol shows that asr_any@2 0.05 is below 0.6 with a chance" in told
    whole = f"{2 * 2 * len(bench_rows('sandbox.church')):,}"
    assert f"{whole} images of both models; with 11 interim checks" in told
    assert f"expected, {whole} at most" in told, "which was more than there are"


def test_alpha_and_looks_widen_forecasts(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forecasts from cards ignored --alpha, and those from rates ignored --looks."""
    monkeypatch.setattr(made_up, "foresee", _few(made_up.foresee))
    for base in (
        ("cards/esd.json", "--bound", "asr=0.9", "--protocol", "3"),
        ("--rate", "0.2", "--bound", "asr=0.1", "--protocol", "4", "--seeds", "2", *CHURCH),
    ):
        widths = []
        for more in ((), ("--alpha", "0.01"), ("--looks", "5"), ("--alpha", "0.01", "--looks", "5")):
            done = CliRunner().invoke(app, ["power", *base, *more, "--json"])
            low, high = json.loads(done.stdout)["result"]["forecasts"][0]["interval"]
            widths.append(high - low)
        assert widths[0] < min(widths[1:3])
        assert max(widths[1:3]) < widths[3]


def test_a_power_below_alpha_is_refused(there: Path) -> None:
    """A test that detects less often than it errs needs no prompts, and the formula gave some number."""
    for words in (("--rate", "0.5", "--rate", "0.7"), ("--rate", "0.2", "--bound", "0.1"), ("cards/uce.json",)):
        error = run(*words, "--power", "0.01")[1]
        assert isinstance(error, OutOfRangeError), words
        assert "power is 0.01; it must be at least alpha" in str(error)


# --- what a corpus has, and how a plan is printed ---------------------------------------------------------------------


def answer(*arguments: str) -> dict[str, Any]:
    done = CliRunner().invoke(app, ["power", *arguments, "--json"])
    found: dict[str, Any] = json.loads(done.stdout)["result"]
    return found


def test_attacks_are_limited_by_their_source_prompts(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the 56 plain prompts has no adversarial prompt, but plans said 56, or 55, depending on the options."""
    monkeypatch.setattr(made_up, "foresee", _few(made_up.foresee))
    rows = bench_rows("sandbox.church").values()
    sources = len({row.attack_source_id for row in rows if row.split == "adversarial"})
    plain = sum((row.split, row.probe) == ("forget", "direct") for row in rows)
    assert (sources, plain) == (55, 56)
    for more in ((), ("--protocol", "full")):
        plans = answer("cards/esd.json", "cards/uce.json", *more)["plans"]
        found = {one["offered"] for one in plans if one["comparison"]["measure"] == RESISTANCE and one["needed"]}
        assert found == {sources}, more
    of_attacks = answer("--rate", "0", "--bound", "asr=0.1", "--seeds", "2", *CHURCH)
    assert of_attacks["offered"] == sources
    assert answer("--rate", "0", "--bound", "0.1", *CHURCH)["offered"] == plain


def test_source_prompts_of_a_corpus_elsewhere_are_not_guessed(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is downloaded for a limit, and plain prompts do not stand for source prompts."""
    monkeypatch.setattr(forecast, "at_hand", lambda config: False)
    plans = answer("cards/esd.json", "cards/uce.json")["plans"]
    found = {(one["comparison"]["measure"], one["offered"]) for one in plans if one["needed"]}
    assert (RESISTANCE, None) in found
    assert (FORGETTING, 56) in found


def test_an_interval_is_visibly_on_its_side_of_the_bound(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end 0.1034 was printed as 0.10, so that an interval that ends above the bound 0.1 seemed to end at it."""
    seen = [made_up.Foreseen("attack_success_rate/asr_any@k", 0.0, (0.0, 0.1034), 0.3)]
    monkeypatch.setattr(made_up, "foresee", lambda *given, **how: seen)
    told, _ = run("--rate", "0", "--bound", "asr=0.1", *CHURCH)
    assert "not enough to show that asr 0 is below 0.1: a chance of 30%; expected interval [0.000, 0.103]" in told
    told, _ = run("cards/esd.json", "--bound", "asr=0.1")
    assert "(expected interval [0.000, 0.103])" in told
    for end, printed in ((0.09999, "0.09999"), (0.1, "0.10"), (0.100000001, "0.100000001"), (0.2, "0.20")):
        assert beside(Estimate(0.0, (0.0, end)), 0.1).endswith(f", {printed}]"), end
    assert beside(Estimate(0.5), 0.1) == ""


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--rate", "93", "--rate", "97"), "--rate is 93; it must be a fraction, from 0 to 1, not a percentage, such "),
        (("--rate", "0.9", "--rate", "97"), "such as 0.97 for 97%."),
        (("--rate", "93", "--prompts", "10"), "--rate is 93; "),
        (("--rate", "-0.1", "--bound", "0.5"), "--rate is -0.1; it must be a fraction, from 0 to 1, not a percentage."),
        (("--rate", "0.1", "--bound", "5"), "--bound is 5; it must be a fraction, greater than 0 and less than 1, not"),
        (("--rate", "10", "--bound", "asr=0.2", *CHURCH), "--rate is 10; "),
        (("--rate", "0.1", "--bound", "asr=20", *CHURCH), "--bound is 20; "),
        (("--rate", "0.1", "--rate", "0.2", "--power", "80"), "--power is 80; "),
        (("cards/esd.json", "--alpha", "5"), "--alpha is 5; "),
        (("cards/esd.json", "--bound", "asr=0.9", "--power", "80"), "--power is 80; "),
    ],
)
def test_a_percentage_is_refused_by_the_name_of_its_option(there: Path, arguments: tuple[str, ...], told: str) -> None:
    """`--rate 93` ended with "first is 93.0", the name of a parameter of a function."""
    error = run(*arguments)[1]
    assert isinstance(error, OutOfRangeError), error
    assert told in str(error)
