"""Fréchet distance, KID and CMMD for machine unlearning in image generators."""

import igmu_metrics.spaces  # From: igmu

Frechet = igmu_metrics.spaces.metric_class("frechet", __name__)
