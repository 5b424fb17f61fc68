"""Does a test notice it if igmu is wrong? Small defects are planted, one at a time, and a test has to fail for each.

`python -m builders.mutants` (`make nightly`) plants them in throw-away copies of this checkout; a defect that no test
notices survives, and is a missing test. The table of defects is beside this file, a module a room.
"""
