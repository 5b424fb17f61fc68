"""Scorecards in, judgement out."""
