"""`igmu attack`: runs an attack of `igmu_metrics.attacks` against a model, prompt by prompt, and reports results."""
