"""Question accuracy for machine unlearning in image generators."""

import igmu_metrics.spaces  # From: igmu

QuestionAccuracy = igmu_metrics.spaces.metric_class("question_accuracy", __name__)
