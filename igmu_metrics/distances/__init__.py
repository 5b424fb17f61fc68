"""FID, KID, CMMD and coverage: the mathematics of distances between sets of images, and their intervals."""
