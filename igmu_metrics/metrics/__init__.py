"""One metric a file: INFO, rows(...) to per-generation values, score(rows) to figures. Metrics never see an image."""
