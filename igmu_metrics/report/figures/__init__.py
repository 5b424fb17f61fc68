"""Figures of the report, one a file: SVG or table as text, without colours of its own."""
