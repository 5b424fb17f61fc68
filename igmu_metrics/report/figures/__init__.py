"""Figures of the report, one per file: SVG or tables as text, without colors of their own."""
