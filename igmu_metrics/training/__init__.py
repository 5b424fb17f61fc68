"""Trains a detector head on labelled pictures."""
