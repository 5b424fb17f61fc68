"""Attacks with a text encoder or a model, one a file: `INFO` and `search(victim, goal, budget, …)`; see `_contract`."""

from igmu_metrics.attacks._contract import Attack, AttackInfo, Budget, Found, Goal, Tick

__all__ = ["Attack", "AttackInfo", "Budget", "Found", "Goal", "Tick"]
