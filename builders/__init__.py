"""Tools of the maintainers: they build what is published. Not in the wheel."""
