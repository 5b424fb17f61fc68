"""One feature extractor per file: `load(argument, *, device)` returns an `instruments.Backbone`."""
