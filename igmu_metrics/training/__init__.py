"""Trains a detector head on labelled images."""
