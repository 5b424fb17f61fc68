"""The sandbox: a world small enough to be drawn by code, so that it is known what an image shows."""
