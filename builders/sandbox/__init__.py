"""Makes the miniature world: trains its models, draws its corpus; `python -m builders.sandbox`."""
