"""Attacks with a text encoder or a model, one a file: `INFO` and `search(victim, goal, budget, …)`; see `_contract`."""
