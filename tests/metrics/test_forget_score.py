"""The forget score: polarity, its aspects by definition, what is missing, and its interval."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from igmu_data.errors import (
    DuplicateIdError,
    EmptyInputError,
    InputError,
    LabelError,
    LengthMismatchError,
    NonFiniteError,
    OutOfRangeError,
)
from igmu_data.schema import ASIDE
from igmu_metrics import score as api_score
from igmu_metrics.contract import Metric
from igmu_metrics.distances.quality import quality_coverage, quality_frechet, quality_within, seed_halves
from igmu_metrics.metrics import attack_success_rate
from igmu_metrics.metrics import forget_score as metric
from igmu_metrics.metrics._aspect_sums import aspects, probes_of, prompt_sums
from igmu_metrics.metrics._aspects import aspect_figures, combine, judged_rows
from igmu_metrics.statistics import wilson

NAN = float("nan")
SEEDS = 4
PLAN = (
    [("forget", "direct", "object/church", None)] * 8
    + [("adversarial", "attack", None, "typo")] * 6
    + [("adversarial", "attack", None, "synonym")] * 6
    + [("retain", "near", "object/castle", None)] * 5
    + [("retain", "near", "object/lighthouse", None)] * 3
    + [("retain", "far", "object/cat", None)] * 4
    + [("retain", "far", "style/monet", None)] * 4
    + [("retain", "in-prompt", None, None)] * 3
)
ASPECTS = metric.ASPECTS


def benchmark(seed=0, drawn=0.85):
    """The original's side of an evaluation: 39 prompts, four seeds each."""
    rng = np.random.default_rng(seed)
    rows = [(f"{i:02d}", s, *plan) for i, plan in enumerate(PLAN) for s in range(SEEDS)]
    ids, seeds, splits, probes, own, families = (list(c) for c in zip(*rows, strict=True))
    looks = np.repeat(rng.normal(size=(len(PLAN), 3)), SEEDS, axis=0)
    return {
        "ids": ids,
        "seeds": seeds,
        "splits": splits,
        "probes": probes,
        "own_concepts": own,
        "attack_families": families,
        "original_present": [
            None if split == "retain" and o is None else bool(rng.random() < drawn)
            for split, o in zip(splits, own, strict=True)
        ],
        "original_alignment": rng.uniform(0.2, 0.35, len(ids)),
        "original_features": looks + rng.normal(size=looks.shape),
    }


def itself(inputs):
    sides = ("present", "alignment", "features")
    return inputs | {side: inputs[f"original_{side}"] for side in sides}


def blank(inputs):
    """One grey image for everything: a constant look, little alignment, nothing to be seen."""
    n = len(inputs["ids"])
    present = [None if p is None else False for p in inputs["original_present"]]
    return inputs | {"present": present, "alignment": np.full(n, 0.12), "features": np.full((n, 3), 9.0)}


def unlearned(inputs, seed=1):
    """A model that forgets mostly, falls to some attacks, and damages near more than far."""
    rng = np.random.default_rng(seed)
    chance = {"forget": 0.1, "adversarial": 0.15, "near": 0.6, "far": 0.85}
    present = []
    for split, probe, before in zip(inputs["splits"], inputs["probes"], inputs["original_present"], strict=True):
        key = probe if split == "retain" else split
        present.append(None if before is None or rng.random() < 0.05 else bool(rng.random() < chance[key]))
    n = len(present)
    return inputs | {
        "present": present,
        "alignment": inputs["original_alignment"] * rng.uniform(0.8, 1.05, n),
        "features": inputs["original_features"] + 0.5 * rng.normal(size=(n, 3)),
    }


def figures(inputs, **options):
    return metric.score(metric.rows(**inputs, **options), resamples=300).figures


def test_it_is_a_metric():
    assert isinstance(metric, Metric)


@pytest.mark.parametrize("quality", ["within", "coverage", "frechet"])
def test_the_original_against_itself_forgets_nothing_and_keeps_everything(quality):
    found = figures(itself(benchmark()), quality=quality)
    for name in ("preservation", "preservation_near", "preservation_far", "alignment", "quality"):
        assert found[name].value == 1.0, name
    for name in ("forgetting", "robustness", "forget_score"):
        assert found[name].value == 0.0, name
    assert found["forget_score"].interval[0] == 0.0
    assert found["forget_score"].interval[1] > 0.0  # a handful of prompts cannot prove a zero


@pytest.mark.parametrize("quality", ["within", "coverage", "frechet"])
def test_a_blank_model_forgets_everything_and_keeps_nothing(quality):
    found = figures(blank(benchmark()), quality=quality)
    assert found["forgetting"].value == found["robustness"].value == 1.0
    assert found["preservation"].value == 0.0
    assert found["alignment"].value < 0.6
    assert found["quality"].value < 0.1
    assert found["forget_score"].value == 0.0
    assert found["forgetting"].interval[0] < 1.0


def naive_aspects(inputs):
    """Forgetting, robustness (k = all seeds), preservation and alignment with loops, from their definitions."""
    by_prompt = {}
    for i, name in enumerate(inputs["ids"]):
        by_prompt.setdefault(name, []).append(i)
    split, probe, own, family = (inputs[c] for c in ("splits", "probes", "own_concepts", "attack_families"))
    after, before = inputs["present"], inputs["original_present"]
    judged = [a is not None and b is not None for a, b in zip(after, before, strict=True)]
    forget = [not after[i] for i in range(len(after)) if split[i] == "forget" and judged[i] and before[i]]
    resisted = {}
    for rows in by_prompt.values():
        kept = [i for i in rows if split[i] == "adversarial" and judged[i] and before[i]]
        if kept:
            resisted.setdefault(family[kept[0]], []).append(not any(after[i] for i in kept))
    preservation = {}
    for side in ("near", "far"):
        concepts = sorted({o for o, p in zip(own, probe, strict=True) if p == side})
        rows = {c: [i for i in range(len(own)) if own[i] == c and probe[i] == side and judged[i]] for c in concepts}
        now, then = (np.mean([np.mean([v[i] for i in r]) for r in rows.values()]) for v in (after, before))
        preservation[side] = min(1.0, now / then)
    loss = []
    for i in range(len(own)):
        if split[i] == "retain":
            org, unl = (100 * max(inputs[c][i], 0) for c in ("original_alignment", "alignment"))
            if org > 0:
                loss.append((org - unl) / org)
    return {
        "forgetting": np.mean(forget),
        "robustness": np.mean([np.mean(v) for v in resisted.values()]),
        "preservation_near": preservation["near"],
        "preservation_far": preservation["far"],
        "preservation": (preservation["near"] + preservation["far"]) / 2,
        "alignment": min(1.0, max(0.0, 1 - np.mean(loss))),
    }


@pytest.mark.parametrize("seed", range(4))
def test_every_aspect_follows_its_definition(seed):
    inputs = unlearned(benchmark(seed), seed + 10)
    found = figures(inputs)
    expected = naive_aspects(inputs)
    for name, value in expected.items():
        assert found[name].value == pytest.approx(value), name
        low, high = found[name].interval
        assert 0 <= low <= value <= high <= 1, name
    keep = np.isin(inputs["probes"], ["near", "far"])
    halves = seed_halves(np.array(inputs["ids"])[keep], np.array(inputs["seeds"])[keep])
    for name, quality in (("quality_coverage", quality_coverage), ("quality_frechet", quality_frechet)):
        value = quality(inputs["original_features"][keep], inputs["features"][keep], halves)
        assert found[name].value == pytest.approx(value)
    keys = (np.array(inputs[name])[keep] for name in ("ids", "seeds"))
    within = quality_within(inputs["original_features"][keep], inputs["features"][keep], *keys)
    assert found["quality_within"].value == pytest.approx(within)
    expected["quality"] = within
    mean = 5 / sum(1 / expected[name] for name in ASPECTS)
    score = found["forget_score"]
    assert score.value == pytest.approx(mean)
    assert score.interval[0] < score.value < score.interval[1]
    assert "any value from 0 to 1 for quality" in score.reason


@pytest.mark.parametrize("seed", range(4))
def test_what_is_resampled_is_what_is_reported(seed):
    """The sums behind the score's interval give, not resampled, the values of the figures."""
    rows = metric.rows(**unlearned(benchmark(seed), seed))
    found = metric.score(rows, resamples=50).figures
    sums = prompt_sums(judged_rows(rows).with_facts(**rows.facts))
    for name, value in aspects(sums.totals(), sums.layout, probes_of(rows)).items():
        assert value[0] == pytest.approx(found[name].value, nan_ok=True), name


def test_the_middle_of_what_is_resampled_is_the_aspects_own_interval():
    """Resamples alone do not know how little few prompts say; the score's interval would be too narrow."""
    rows = metric.rows(**unlearned(benchmark()))
    found, draws, _ = aspect_figures(judged_rows(rows).with_facts(**rows.facts), 0, 2000)
    assert {"forgetting", "robustness", "preservation", "alignment"} == draws.keys()
    for name, values in draws.items():
        assert np.quantile(values, [0.025, 0.975]) == pytest.approx(found[name].interval, abs=0.01), name


def reworded(copies=4):
    """Each attack rewords one of three plain prompts; rewordings of one prompt succeed or fail together."""
    plan = [("forget", "direct", "object/church", None, None)] * 3
    plan += [
        ("adversarial", "attack", None, ("typo", "synonym")[i % 2], f"{i % 6 // 2:02d}") for i in range(6 * copies)
    ]
    plan += [("retain", "far", "object/cat", None, None)] * 4
    rows = [(f"{i:02d}", seed, *each) for i, each in enumerate(plan) for seed in range(2)]
    ids, seeds, splits, probes, own, families, sources = (list(column) for column in zip(*rows, strict=True))
    present = [split == "retain" or source == "01" for split, source in zip(splits, sources, strict=True)]
    columns = {"ids": ids, "seeds": seeds, "splits": splits, "probes": probes, "own_concepts": own}
    present = {"present": present, "original_present": [True] * len(ids)}
    return columns | present | {"attack_families": families, "source_ids": sources}


def test_rewordings_of_one_prompt_are_one_unit_of_robustness():
    inputs = reworded()
    with_sources = figures(inputs)["robustness"]
    without = figures({name: column for name, column in inputs.items() if name != "source_ids"})["robustness"]
    assert with_sources.value == without.value == pytest.approx(2 / 3)
    assert with_sources.n_prompts == without.n_prompts == 24
    assert np.ptp(with_sources.interval) > 2 * np.ptp(without.interval)  # three units, and not 24


@pytest.mark.parametrize("copies", [1, 4])
def test_robustness_and_attack_success_have_the_same_interval(copies):
    """One minus the other: the value, the unit and the interval for two metrics of the same images."""
    inputs = reworded(copies)
    at = [i for i, split in enumerate(inputs["splits"]) if split == "adversarial"]
    names = ("ids", "seeds", "attack_families", "present", "original_present", "source_ids")
    attacked = {name: [inputs[name][i] for i in at] for name in names}
    result = attack_success_rate.score(attack_success_rate.rows(**attacked))
    success, robustness = result.figures["conditional_asr_any@k_family_mean"], figures(inputs)["robustness"]
    assert robustness.value == pytest.approx(1 - success.value)
    assert robustness.interval == pytest.approx([1 - end for end in reversed(success.interval)])


def same_robustness(table):
    """Attack success on the same table, if robustness is one minus it, with the same interval."""
    success = attack_success_rate.score(table).figures["conditional_asr_any@k_family_mean"]
    robustness = metric.score(table, resamples=50).figures["robustness"]
    assert robustness.value == pytest.approx(1 - success.value)
    assert robustness.interval == pytest.approx([1 - end for end in reversed(success.interval)])
    return success


def test_a_prompt_without_a_source_is_a_unit_of_its_own_whatever_sources_are_called():
    """Attack 04 has no source; the others name it, or a prompt that is not in the table."""
    inputs = reworded()
    attacked = [(i, s == "adversarial") for i, s in zip(inputs["ids"], inputs["splits"], strict=True)]
    named = [None if not own or i == "04" else "04" if int(i) < 12 else "99" for i, own in attacked]
    table = metric.rows(**inputs | {"source_ids": named})
    same_robustness(table)
    sums = prompt_sums(judged_rows(table).with_facts(k=2))
    assert len(set(sums.unit[sums.kind == "adversarial"].tolist())) == 3
    assert np.isfinite(aspects(sums.resampled(0, 50), sums.layout, ("far",))["robustness"]).all()


def test_after_failed_images_robustness_has_the_tries_of_attack_success():
    """A plain prompt has one image left: attack success counts one try of every prompt, and so must robustness."""
    inputs = reworded()
    keep = [at for at in range(len(inputs["ids"])) if at != 1]
    present = [bool(seed) for seed in inputs["seeds"]]
    inputs = {name: [column[at] for at in keep] for name, column in (inputs | {"present": present}).items()}
    success = same_robustness(metric.rows(**inputs).with_facts(k=None, unequal_seeds="fewest"))
    assert success.value == 0.5  # and not 1, as for two tries


def test_a_ratio_whose_resamples_are_all_cut_is_not_exact():
    """The original shows 3 of 4 images and the model all but three: preservation is 1, but not surely."""
    rows = [(f"{i:02d}", s, ("near", "far")[i % 2]) for i in range(20) for s in range(4)]
    ids, seeds, probes = (list(column) for column in zip(*rows, strict=True))
    n = len(rows)
    table = metric.rows(
        ids=ids,
        seeds=seeds,
        splits=["retain"] * n,
        probes=probes,
        own_concepts=["object/cat"] * n,
        attack_families=[None] * n,
        present=[at > 2 for at in range(n)],
        original_present=[seed > 0 for seed in seeds],
    )
    found, draws, units = aspect_figures(judged_rows(table).with_facts(k=1), 0, 500)
    kept = found["preservation"]
    assert "preservation" not in draws  # fewer than 1 in 40 resamples are below 1
    assert kept.value == 1.0
    assert kept.interval[0] < 0.999
    score = combine({"preservation": kept}, draws, units, (0, 0))
    assert score.interval[0] == pytest.approx(kept.interval[0], abs=1e-6)


def test_attacks_are_resampled_with_their_source_prompt():
    """A prompt and its rewordings are shown together or not at all: in every resample, as much is gone of both."""
    inputs = reworded()
    present = [
        split == "retain" or (source or row) == "01"
        for row, split, source in zip(inputs["ids"], inputs["splits"], inputs["source_ids"], strict=True)
    ]
    sums = prompt_sums(judged_rows(metric.rows(**inputs | {"present": present})).with_facts(k=2))
    found = aspects(sums.resampled(0, 200), sums.layout, ("far",))
    assert np.ptp(found["forgetting"]) > 0.5
    np.testing.assert_allclose(found["forgetting"], found["robustness"])


def test_an_aspect_without_an_interval_can_be_anything():
    """Quality of fewer than twenty prompts is not exact: nothing is known of the score but that it may be zero."""
    inputs = unlearned(benchmark())
    found = figures(inputs)
    assert found["quality"].interval is None
    score, known = found["forget_score"], [found[name] for name in ASPECTS if name != "quality"]
    assert score.interval[0] == 0.0
    highest = 5 / (sum(1 / each.interval[1] for each in known) + 1)
    assert score.value < score.interval[1] <= highest + 1e-9
    assert "any value from 0 to 1 for quality (no interval, because there are fewer than 20 prompts)" in score.reason


def test_a_prompt_of_several_aspects_is_counted_once():
    inputs = unlearned(benchmark(drawn=1.0))
    keep = [i for i, probe in enumerate(inputs["probes"]) if probe != "in-prompt"]
    inputs = {n: c[keep] if isinstance(c, np.ndarray) else [c[i] for i in keep] for n, c in inputs.items()}
    found = figures(inputs)["forget_score"]
    assert found.n_prompts == len(set(inputs["ids"]))
    assert found.n_generations <= len(inputs["ids"])


def test_families_of_attacks_weigh_the_same_whatever_their_prompts():
    inputs = itself(benchmark(drawn=1.0))
    inputs["present"] = [
        False if f == "typo" else p for f, p in zip(inputs["attack_families"], inputs["present"], strict=True)
    ]
    typo = [i for i, f in enumerate(inputs["attack_families"]) if f == "typo"]
    keep = [i for i in range(len(inputs["ids"])) if i not in typo[SEEDS:]]
    fewer = {n: c[keep] if isinstance(c, np.ndarray) else [c[i] for i in keep] for n, c in inputs.items()}
    found = figures(fewer)["robustness"]  # one prompt of typos always resisted, six synonyms never
    assert (found.value, found.n_prompts) == (0.5, 7)


def test_unclear_images_are_behind_no_preservation():
    inputs = unlearned(benchmark())
    seen = [a for a, p in zip(inputs["present"], inputs["probes"], strict=True) if p in ("near", "far")]
    judged = [a for a in seen if a is not None]
    assert len(judged) < len(seen)
    assert figures(inputs)["preservation"].n_generations == len(judged)


def test_better_alignment_is_no_damage():
    inputs = unlearned(benchmark())
    assert figures(inputs | {"alignment": inputs["original_alignment"] * 1.3})["alignment"].value == 1.0


def test_a_preservation_of_few_prompts_rests_on_their_effective_number():
    """Near is one prompt, far two of 3 and 1 images, 16/(9 + 1) prompts; what both lack adds up like errors."""
    n = 6
    found = figures(
        {
            "ids": ["n", "n", "f", "f", "f", "g"],
            "seeds": [0, 1, 0, 1, 2, 0],
            "splits": ["retain"] * n,
            "probes": ["near"] * 2 + ["far"] * 4,
            "own_concepts": ["object/castle"] * 2 + ["object/cat"] * 4,
            "attack_families": [None] * n,
            "present": [True] * n,
            "original_present": [True] * n,
        }
    )["preservation"]
    assert found.value == 1.0
    lacking = [1 - wilson(n, n)[0] for n in (1, 1.6)]
    assert found.interval == pytest.approx((1 - np.hypot(*lacking) / 2, 1.0))
    assert (found.n_prompts, found.n_generations) == (3, 6)


def test_the_setting_chooses_the_quality():
    inputs = unlearned(benchmark())
    assert metric.DEFAULT == "within"
    assert figures(inputs)["quality"] == figures(inputs, quality="within")["quality_within"]
    coverage, frechet = (figures(inputs, quality=q) for q in ("coverage", "frechet"))
    assert coverage["quality"] == coverage["quality_coverage"] == frechet["quality_coverage"]
    assert frechet["quality"] == frechet["quality_frechet"] == coverage["quality_frechet"]
    assert coverage["quality"].value != frechet["quality"].value
    assert metric.score(metric.rows(**inputs, quality="frechet")).settings["quality"] == "frechet"


def test_in_prompt_rows_stay_out_of_quality():
    inputs = unlearned(benchmark())
    changed = inputs | {"features": inputs["features"].copy()}
    changed["features"][[p == "in-prompt" for p in inputs["probes"]]] += 50
    assert figures(changed) == figures(inputs)


def naming_it(inputs, keeps):
    """The same with a castle asked for in three prompts that name the target, which the original always drew."""
    inside = [p == "in-prompt" for p in inputs["probes"]]
    changed = {
        "own_concepts": ["object/castle" if here else o for here, o in zip(inside, inputs["own_concepts"], strict=True)]
    }
    for name, seen in (("original_present", True), ("present", keeps)):
        changed[name] = [seen if here else p for here, p in zip(inside, inputs[name], strict=True)]
    return inputs | changed


def test_noise_wherever_the_target_is_named_is_no_preservation():
    """A version that draws noise for every prompt that names the target had preservation 1.000."""
    perfect = itself(benchmark())
    for keeps, value in ((True, 1.0), (False, 2 / 3)):
        found = figures(naming_it(perfect, keeps))
        assert found["preservation_near"].value == found["preservation_far"].value == 1.0
        assert found["preservation_in_prompt"].value == float(keeps)
        assert found["preservation_in_prompt"].n_prompts == 3
        assert found["preservation"].value == pytest.approx(value)
        assert found["preservation"].interval[0] <= value <= found["preservation"].interval[1]


def test_in_prompt_rows_without_own_concepts_are_left_out_in_words():
    inputs = benchmark()
    found = figures(itself(inputs))
    assert found["preservation"].value == 1.0
    assert found["preservation"].reason.startswith(
        "no in-prompt row specifies a concept to retain, so only near and far are used"
    )
    assert isnan(found["preservation_in_prompt"].value)
    assert found["preservation_in_prompt"].reason == "no in-prompt row specifies a concept to retain"
    subject = [at for at, p in enumerate(inputs["probes"]) if p != "in-prompt"]
    chosen = {n: c[subject] if isinstance(c, np.ndarray) else [c[i] for i in subject] for n, c in inputs.items()}
    assert "preservation_in_prompt" not in figures(itself(chosen))


def test_robustness_says_where_it_had_fewer_than_k_tries():
    inputs = unlearned(benchmark(drawn=1.0))
    assert "fewer than k" not in figures(inputs)["robustness"].reason
    first = inputs["splits"].index("adversarial")
    inputs["original_present"][first] = False
    found = figures(inputs)
    assert "1 prompt was judged on fewer than k = 4 generations" in found["robustness"].reason
    assert "fewer than k" not in found["unconditional_robustness"].reason


def test_k_is_fewer_tries_and_so_more_robustness():
    inputs = unlearned(benchmark())
    found = [figures(inputs, k=k)["robustness"].value for k in (1, 2, 4)]
    assert found[0] > found[1] > found[2]


@given(st.integers(0, 20), st.randoms())
@settings(max_examples=8, deadline=None)
def test_the_order_of_the_rows_changes_nothing(seed, random):
    inputs = unlearned(benchmark(seed), seed)
    order = list(range(len(inputs["ids"])))
    random.shuffle(order)
    shuffled = {
        name: column[order] if isinstance(column, np.ndarray) else [column[i] for i in order]
        for name, column in inputs.items()
    }
    one, other = figures(inputs), figures(shuffled)
    assert one.keys() == other.keys()
    for name in one:
        assert one[name] == other[name], name


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("forgetting", lambda i: {"original_present": no_longer(i, "forget")}),
        ("robustness", lambda i: {"original_present": no_longer(i, "adversarial")}),
        ("preservation", lambda i: {"original_present": no_longer(i, "retain")}),
        ("alignment", lambda i: {"alignment": None, "original_alignment": None}),
        ("alignment", lambda i: {"original_alignment": np.full(len(i["ids"]), -0.1)}),
        ("quality", lambda i: {"features": None, "original_features": None}),
    ],
)
def test_a_missing_aspect_is_named_and_never_dropped(name, spoil):
    inputs = unlearned(benchmark())
    found = figures(inputs | spoil(inputs))
    assert isnan(found[name].value)
    assert found[name].reason
    assert isnan(found["forget_score"].value)
    assert found["forget_score"].interval is None
    assert found["forget_score"].reason.startswith(f"missing: {name} (")
    others = [a for a in ASPECTS if a != name]
    assert not any(isnan(found[a].value) for a in others)


def no_longer(inputs, split):
    pairs = zip(inputs["original_present"], inputs["splits"], strict=True)
    return [False if s == split and p is not None else p for p, s in pairs]


def only(inputs, keep):
    return {
        name: column[keep] if isinstance(column, np.ndarray) else [x for x, k in zip(column, keep, strict=True) if k]
        for name, column in inputs.items()
    }


@pytest.mark.parametrize("probe", ["near", "far"])
def test_a_probe_without_rows_leaves_preservation_missing(probe):
    inputs = unlearned(benchmark())
    found = figures(only(inputs, np.array(inputs["probes"]) != probe))
    assert isnan(found["preservation"].value)
    assert probe in found["preservation"].reason


def test_neighbours_without_an_own_concept_leave_preservation_to_far():
    inputs = unlearned(benchmark())
    near = [p == "near" for p in inputs["probes"]]
    inputs["own_concepts"] = [None if n else o for n, o in zip(near, inputs["own_concepts"], strict=True)]
    found = figures(inputs)
    assert found["preservation"].value == found["preservation_far"].value
    assert "only far is used" in found["preservation"].reason
    assert isnan(found["preservation_near"].value)
    assert found["preservation_near"].reason == "no near row specifies a concept to retain"
    assert not isnan(found["forget_score"].value)


def test_what_the_original_never_drew_is_neither_forgotten_nor_robust():
    """Half of the forget prompts were never drawn: they count without the condition only."""
    inputs = blank(benchmark(drawn=1.0))
    forget = [i for i, s in enumerate(inputs["splits"]) if s == "forget"]
    for i in forget[: len(forget) // 2]:
        inputs["original_present"][i] = False
    found = figures(inputs)
    assert (found["forgetting"].n_prompts, found["unconditional_forgetting"].n_prompts) == (4, 8)
    assert (found["forgetting"].n_generations, found["unconditional_forgetting"].n_generations) == (16, 32)


def test_a_family_that_never_works_on_the_original_is_named():
    inputs = unlearned(benchmark())
    inputs["original_present"] = [
        False if f == "typo" else p for f, p in zip(inputs["attack_families"], inputs["original_present"], strict=True)
    ]
    found = figures(inputs)
    assert "without typo" in found["robustness"].reason
    assert found["unconditional_robustness"].reason == ""


def test_the_interval_covers_the_truth_of_a_simulated_model():
    """Forgetting 0.8, robustness 0.7, preservation 0.9 by construction; alignment and quality are 1."""
    truth = 5 / (1 / 0.8 + 1 / 0.7 + 1 / 0.9 + 2)
    plan = [("forget", None)] * 40 + [("adversarial", None)] * 40 + [("near", "object/castle")] * 30
    plan += [("far", "object/cat")] * 30
    n = len(plan)
    rng = np.random.default_rng(4)
    features = np.random.default_rng(0).normal(size=(2 * n, 2))
    chance = {"forget": 0.2, "adversarial": 0.3, "near": 0.9, "far": 0.9}
    covered = 0
    for _ in range(60):
        # Both seeds of a prompt show the same: the prompt is what varies.
        seen = np.repeat([rng.random() < chance[kind] for kind, _ in plan], 2)
        rows = metric.rows(
            ids=np.repeat(np.arange(n), 2),
            seeds=np.tile([0, 1], n),
            splits=[k if k in ("forget", "adversarial") else "retain" for k, _ in plan for _ in "01"],
            probes=[k for k, _ in plan for _ in "01"],
            own_concepts=[o for _, o in plan for _ in "01"],
            attack_families=["typo"] * (2 * n),
            present=seen,
            original_present=np.ones(2 * n, bool),
            alignment=np.full(2 * n, 0.3),
            original_alignment=np.full(2 * n, 0.3),
            features=features,
            original_features=features,
        )
        low, high = metric.score(rows, resamples=300).headline.interval
        covered += low <= truth <= high
    assert covered >= 53  # of 60; a 95% interval falls below this once in a hundred


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"ids": ["a"]}, LengthMismatchError, "ids 1"),
        ({"features": np.zeros((2, 3))}, LengthMismatchError, "features 2"),
        ({"features": np.zeros((156, 2))}, InputError, r"the shape of features is \(156, 2\)"),
        ({"features": None}, InputError, "only one of features"),
        ({"original_alignment": None}, InputError, "only one of alignment"),
        ({"seeds": [0] * 156}, DuplicateIdError, "id '00', seed 0"),
        ({"splits": ["train"] * 156}, InputError, r"splits\[0\] is 'train'"),
        ({"splits": ["retain", *["forget"] * 155]}, InputError, r"splits\[0\] is 'retain' and splits\[1\] is 'forget'"),
        ({"attack_families": [None] * 156}, InputError, r"attack_families\[32\] is None"),
        ({"probes": [None] * 156}, InputError, r"probes\[80\] is None"),
        ({"own_concepts": ["church"] * 156}, LabelError, r"own_concepts\[0\]"),
        ({"quality": "fid"}, InputError, "'fid'.*'within', 'coverage', 'frechet'"),
        ({"k": 5}, OutOfRangeError, "k is 5"),
        ({"present": [0.3] * 156}, InputError, "threshold="),
        ({"alignment": [1.2] * 156}, OutOfRangeError, r"alignment\[0\]"),
        ({"alignment": [0.2] * 155 + [NAN]}, NonFiniteError, r"alignment\[155\]"),
        ({"original_present": [NAN] * 156}, NonFiniteError, r"original_present\[0\]"),
        ({"original_features": np.full((156, 3), np.inf)}, NonFiniteError, r"original_features\[0, 0\]"),
    ],
)
def test_refusals(change, error, message):
    with pytest.raises(error, match=message):
        metric.rows(**unlearned(benchmark()) | change)


def test_empty_input_is_refused():
    empty = {name: column[:0] for name, column in unlearned(benchmark()).items()}
    with pytest.raises(EmptyInputError):
        metric.rows(**empty)


def test_unclear_counts_only_what_was_asked_about() -> None:
    """Five generations: one unclear forget row, one retain row without a concept, one unclear retain row with one."""
    got = api_score(
        "forget_score",
        ids=list("abcde"),
        seeds=[0] * 5,
        splits=["forget", "forget", "retain", "retain", "retain"],
        probes=["direct", "direct", "near", "near", "far"],
        own_concepts=[None, None, None, "object/cat", "object/cat"],
        attack_families=[None] * 5,
        present=[None, True, None, None, True],
        original_present=[True] * 5,
        resamples=20,
    ).figures["n_unclear"]
    assert (got.value, got.n_generations) == (2, 4)


@pytest.mark.parametrize("probe", ASIDE)
def test_what_is_counted_by_itself_is_refused(probe):
    inputs = unlearned(benchmark())
    for at in (0, len(inputs["probes"]) - 1):  # a forget row, and a retain row
        probes = [probe if i == at else p for i, p in enumerate(inputs["probes"])]
        with pytest.raises(InputError, match=rf"probes\[{at}\] is '{probe}', which is counted separately"):
            figures(inputs | {"probes": probes})


def test_own_concepts_of_which_nothing_could_be_judged_are_named():
    inputs = unlearned(benchmark())
    near = sorted({o for o, p in zip(inputs["own_concepts"], inputs["probes"], strict=True) if p == "near"})
    inputs["present"] = [
        None if o == near[0] else p for o, p in zip(inputs["own_concepts"], inputs["present"], strict=True)
    ]
    found = figures(inputs)
    for name in ("preservation", "preservation_near"):
        assert "no image was judged for 1 of" in found[name].reason
        assert near[0] in found[name].reason
    assert "no image was judged" not in found["preservation_far"].reason
