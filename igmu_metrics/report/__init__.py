"""Reports for people: one self-contained HTML page from scorecards and images."""
