"""One feature extractor a file: `load(argument, *, device)` returns a `instruments.Backbone`."""
