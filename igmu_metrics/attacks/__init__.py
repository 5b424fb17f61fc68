"""Attacks with a text encoder or a model, one per module (see `_contract`): `INFO` and `search(victim, …)`."""

from igmu_metrics.attacks._contract import Attack, AttackInfo, Budget, Found, Goal, Tick

__all__ = ["Attack", "AttackInfo", "Budget", "Found", "Goal", "Tick"]
