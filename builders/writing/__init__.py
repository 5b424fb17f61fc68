"""Tools of those who write concept files: the guide, faults that a program sees, what must hold of the rows."""
