"""One concept detector a file: `load(argument, *, device)` returns a `contract.Detector`."""
