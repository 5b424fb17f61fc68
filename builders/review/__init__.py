"""Reading the corpus: a page to judge rows on, the answers with who gave them, and independent samples."""
