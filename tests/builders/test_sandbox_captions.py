"""Captions of the miniature world: true to the scene, silent about what must not be named, and readable by CLIP."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from builders.sandbox import corpus, tokenizer
from builders.sandbox.captions import caption, vocabulary, words
from igmu_data.rows.naming import named
from igmu_data.sandbox import packaged
from igmu_data.sandbox.world import random_scene, world

ROOT = Path(__file__).resolve().parents[2]
WORLD = world()


@pytest.mark.parametrize("task", WORLD.tasks)
def test_captions_without_a_concept_never_name_it(task: str) -> None:
    rng = np.random.default_rng(0)
    objects = [o for o in WORLD.objects if o != task]
    styles = [None, *(s for s in WORLD.styles if s != task)]
    for _ in range(1500):
        scene = random_scene(rng, objects=objects, styles=styles)
        text = caption(scene, rng, without=task)
        assert not named(text, WORLD.known[task], foreign=True), text


def test_captions_of_a_concept_use_its_names_its_descriptions_and_other_languages() -> None:
    rng = np.random.default_rng(1)
    church = WORLD.known["object/church"]
    texts = [caption(random_scene(rng, objects=[church.id], styles=[None]), rng) for _ in range(1500)]
    in_english = [t for t in texts if named(t, church)]
    foreign = [t for t in texts if any(f in t for f in church.foreign_names.values())]
    described = [t for t in texts if any(d in t for d in words(church.id).descriptions)]
    assert len(in_english) > 600
    assert len(foreign) > 100
    assert len(described) > 150
    assert len(set(texts)) > 800


@pytest.mark.parametrize("name", [*WORLD.objects, *WORLD.styles])
def test_some_words_are_held_out_of_training(name: str) -> None:
    learned, kept = words(name), words(name, held_out=True)
    assert kept.descriptions
    assert not {*learned.names, *learned.descriptions} & {*kept.names, *kept.descriptions}
    rng = np.random.default_rng(2)
    scene_objects, styles = ([name], [None]) if name in WORLD.objects else (["object/cat"], [name])
    texts = [caption(random_scene(rng, objects=scene_objects, styles=styles), rng) for _ in range(300)]
    assert not [t for t in texts if any(d in t for d in kept.descriptions)]


def test_the_tokenizer_is_a_clip_tokenizer_that_reads_any_text() -> None:
    from transformers import CLIPTokenizer

    made = tokenizer.make()
    assert isinstance(made, CLIPTokenizer)
    assert made("a church").input_ids == tokenizer.make()("A  Church").input_ids
    assert len(made("a church").input_ids) == 4  # words of the world are single tokens
    assert made.eos_token_id == len(made) - 1 == made.pad_token_id
    for text in ("iglesia, 教堂 und mehr", "zzz\u200b ß Ω"):
        ids = made(text).input_ids
        assert made.unk_token_id not in ids[1:-1]
        assert ids[0] == made.bos_token_id
        assert ids[-1] == made.eos_token_id


def test_most_captions_fit_into_the_text_encoder() -> None:
    rng = np.random.default_rng(3)
    made = tokenizer.make()
    lengths = [len(made.tokenize(caption(random_scene(rng), rng))) + 2 for _ in range(600)]
    assert np.mean(np.array(lengths) <= tokenizer.LENGTH) > 0.97


@pytest.mark.slow
def test_every_process_makes_the_same_tokenizer() -> None:
    """Ties between merges once fell by chance, and trained embeddings met other tokens' numbers."""
    code = "from builders.sandbox import tokenizer; print(tokenizer.make().backend_tokenizer.to_str())"
    run = [sys.executable, "-W", "ignore", "-c", code]
    made = {subprocess.run(run, capture_output=True, text=True, check=True, cwd=ROOT).stdout for _ in range(2)}
    assert len(made) == 1


def test_captions_are_those_that_the_packaged_models_learned_from() -> None:
    """The digests were computed with the code and the concept files of corpus 0.2."""
    rng, made = np.random.default_rng(0), []
    for turn in range(600):
        task = (None, *WORLD.tasks)[turn % 3]
        objects = [o for o in WORLD.objects if o != task]
        scene = random_scene(rng, objects=objects, styles=[None, *(s for s in WORLD.styles if s != task)])
        made.append(caption(scene, rng, without=task, held_out=turn % 6 == 0))
    assert digest(made) == "7bee7b37cdec10b1"
    assert digest(sorted(vocabulary())) == "9b8d9176a59bce25"


def digest(texts: list[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


@pytest.mark.skipif(not corpus.available(), reason="the models are not trained yet")
def test_the_packaged_tokenizer_is_made_again() -> None:
    made, there = (
        json.loads(t.backend_tokenizer.to_str())["model"]
        for t in (tokenizer.make(), tokenizer.packaged(packaged.part("tokenizer")))
    )
    assert (made["vocab"], made["merges"]) == (there["vocab"], there["merges"])
