"""Reward alignment for machine unlearning in image generators."""

import igmu_metrics.spaces  # From: igmu

RewardAlignment = igmu_metrics.spaces.metric_class("reward_alignment", __name__)
