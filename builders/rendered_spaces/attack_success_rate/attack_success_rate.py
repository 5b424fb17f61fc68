"""Attack success rate for machine unlearning in image generators."""

import igmu_metrics.spaces  # From: igmu

AttackSuccessRate = igmu_metrics.spaces.metric_class("attack_success_rate", __name__)
