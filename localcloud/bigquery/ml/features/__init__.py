"""Functions over features: preprocessing, images, distances of vectors."""
