"""igmu_data: the corpus of igmu."""

__version__ = "0.1.0"
