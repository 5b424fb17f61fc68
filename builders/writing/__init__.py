"""Concept files of corpus 1.0 while they are written: the guide, the files, and what a program sees of their faults."""
