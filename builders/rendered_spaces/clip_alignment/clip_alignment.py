"""CLIP alignment and CSDR for machine unlearning in image generators."""

import igmu_metrics.spaces  # From: igmu

ClipAlignment = igmu_metrics.spaces.metric_class("clip_alignment", __name__)
