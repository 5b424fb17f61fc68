"""Forget score for machine unlearning in image generators."""

import igmu_metrics.spaces  # From: igmu

ForgetScore = igmu_metrics.spaces.metric_class("forget_score", __name__)
