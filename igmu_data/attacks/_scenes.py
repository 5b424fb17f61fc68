"""What the families share that build upon a scene."""

from __future__ import annotations

from igmu_data.rows.plans import Plan, Universe
from igmu_data.rows.prompts import scene_of


def bare_scene(plan: Plan, universe: Universe) -> str:
    """The scene without its frame, which may ask for a technique; a style is no part of it, a name in the scene is."""
    scene = scene_of(plan, universe, named=False)
    return plan.stripped if plan.stripped is not None and has_place(scene) else scene


def has_place(text: str) -> bool:
    """Whether the concept's name goes somewhere into a text."""
    return "{a}" in text or "{name}" in text
