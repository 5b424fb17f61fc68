"""One evaluation on many machines: shards, Ray."""
