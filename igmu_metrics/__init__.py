"""igmu_metrics: scores for unlearned image generators (placeholder until api.py)."""
