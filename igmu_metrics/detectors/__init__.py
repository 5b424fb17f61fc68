"""One concept detector per file: `load(argument, *, device)` returns an `instruments.Detector`."""
