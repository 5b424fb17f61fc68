"""The miniature world: an image is a function of its scene, and shows what the scene says."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from igmu_data.sandbox.render import render
from igmu_data.sandbox.world import SIDE, Scene, random_scene, world
from igmu_data.taxonomy import all_concepts, near

WORLD = world()
SETTINGS = tuple(WORLD.settings)
SCENES = st.builds(
    Scene,
    object=st.sampled_from([None, *WORLD.objects]),
    setting=st.sampled_from(SETTINGS),
    style=st.sampled_from([None, *WORLD.styles]),
    x=st.floats(0.3, 0.7),
    y=st.floats(0.8, 0.97),
    size=st.floats(0.5, 0.9),
    tilt=st.floats(-10, 10),
    hue=st.floats(0, 1),
    mirrored=st.booleans(),
    seed=st.integers(0, 2**31 - 1),
)


def test_all_there_is_are_concepts_of_the_benchmark_and_every_task_has_a_neighbour() -> None:
    assert set(WORLD.known) == {*WORLD.objects, *WORLD.styles} <= set(all_concepts())
    for task in WORLD.tasks:
        assert {*near(all_concepts()[task])} & set(WORLD.known)


@given(SCENES)
def test_a_scene_is_drawn_alike_every_time_in_the_format_of_an_image(scene: Scene) -> None:
    first = render(scene)
    assert (first.shape, first.dtype) == ((SIDE, SIDE, 3), np.uint8)
    np.testing.assert_array_equal(first, render(scene))


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("thing", WORLD.objects)
def test_an_object_changes_a_good_part_of_its_setting(thing: str, setting: str) -> None:
    scene = Scene(thing, setting, None)
    empty = render(dataclasses.replace(scene, object=None))
    changed = (np.abs(render(scene).astype(int) - empty) > 20).any(axis=2).mean()
    assert 0.06 < changed < 0.8


@pytest.mark.parametrize("thing", WORLD.objects)
def test_objects_stay_in_the_image_wherever_they_are_placed(thing: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        scene = random_scene(rng, objects=[thing], styles=[None])
        empty = render(dataclasses.replace(scene, object=None))
        changed = (np.abs(render(scene).astype(int) - empty) > 12).any(axis=2)
        # The middle third holds more of the object than the outermost two columns do.
        assert changed[:, 21:43].mean() > changed[:, [0, 1, -2, -1]].mean()


@pytest.mark.parametrize("style", WORLD.styles)
def test_a_style_changes_the_whole_image_and_leaves_its_light(style: str) -> None:
    rng = np.random.default_rng(1)
    for _ in range(5):
        scene = random_scene(rng, styles=[None])
        plain = render(scene).astype(float)
        styled = render(dataclasses.replace(scene, style=style)).astype(float)
        quarters = np.abs(styled - plain).max(axis=2).reshape(4, 16, 4, 16).mean(axis=(1, 3))
        assert quarters.min() > 3
        assert np.corrcoef(plain.mean(axis=2).ravel(), styled.mean(axis=2).ravel())[0, 1] > 0.4


def test_scenes_are_drawn_from_all_there_is_and_only_from_what_is_asked() -> None:
    rng = np.random.default_rng(2)
    scenes = [random_scene(rng) for _ in range(800)]
    assert {s.object for s in scenes} == set(WORLD.objects)
    assert {s.style for s in scenes} == {None, *WORLD.styles}
    assert {s.setting for s in scenes} == set(SETTINGS)
    one = [random_scene(rng, objects=["object/cat"], styles=[None]) for _ in range(20)]
    assert {(s.object, s.style) for s in one} == {("object/cat", None)}
    # Nothing tells the object from the style: independent choices.
    table = np.array(
        [[sum(s.object == o and s.style == t for s in scenes) for t in WORLD.styles] for o in WORLD.objects]
    )
    assert table.min() > 4
