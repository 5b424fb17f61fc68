"""LPIPS for machine unlearning in image generators."""

import igmu_metrics.spaces  # From: igmu

Lpips = igmu_metrics.spaces.metric_class("lpips", __name__)
