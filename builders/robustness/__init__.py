"""`python -m builders.robustness`: how robust the sandbox's versions are, against every attack, written into docs."""
