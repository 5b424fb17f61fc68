"""How fast and how large: `python -m builders.benchmarks [--quick]` measures and writes docs/performance.md.

Conventions: what is compared gets the same images and the same seeded random weights in the real architectures (speed
is the same as with published weights), and runs in turn within one process; every round gives one ratio, and the page
shows the median with the smallest and largest. Absolute times drift from machine to machine, ratios less so.

Apart from these, `python -m builders.benchmarks.corpora` compares prompts of corpora, for docs/comparison.md.
"""
