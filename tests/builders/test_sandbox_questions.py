"""What models of the sandbox are asked about an image, with answers and losses counted by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from builders.sandbox import questions
from igmu_data.sandbox.world import random_scene, world


def test_answers_are_places_and_nothing_is_the_first() -> None:
    rng = np.random.default_rng(0)
    scene = replace(random_scene(rng), object=None, style=None, setting=tuple(world().settings)[2])
    last = replace(scene, object=world().objects[-1], style=world().styles[0])
    assert questions.answers([scene, last]).tolist() == [[0, 0, 2], [len(world().objects), 1, 2]]


def test_who_knows_nothing_pays_for_every_choice_and_who_is_sure_nothing() -> None:
    heads = questions.heads(2)
    for head in heads:
        torch.nn.init.zeros_(head.weight)
        torch.nn.init.zeros_(head.bias)
    wanted = torch.tensor([[1, 0, 2]])
    sizes = (len(world().objects) + 1, len(world().styles) + 1, len(world().settings))
    expected = sum(math.log(n) for n in sizes)
    assert questions.loss(heads, torch.ones(1, 2), wanted).item() == pytest.approx(expected, rel=1e-6)
    for head, place in zip(heads, wanted[0].tolist(), strict=True):
        torch.nn.init.constant_(head.bias[place : place + 1], 50.0)
    assert questions.loss(heads, torch.ones(1, 2), wanted).item() == pytest.approx(0.0, abs=1e-6)
