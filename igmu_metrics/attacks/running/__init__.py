"""`igmu attack`: runs one attack of `igmu_metrics.attacks` against a model, prompt by prompt, and says what it did."""
