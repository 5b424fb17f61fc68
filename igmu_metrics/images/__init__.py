"""Image files: how models' outputs are found, read, written and generated."""
