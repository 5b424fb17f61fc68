"""One concept detector a file: `load(argument, *, device)` returns a `instruments.Detector`."""
