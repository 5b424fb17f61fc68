"""Concept accuracy for machine unlearning in image generators."""

import igmu_metrics.spaces  # From: igmu

ConceptAccuracy = igmu_metrics.spaces.metric_class("concept_accuracy", __name__)
