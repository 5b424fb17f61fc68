"""How any network is found, loaded, sped up, run on images, and its output cached."""
