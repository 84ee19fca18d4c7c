"""Model drops: their files, when they are complete and settled, and how they become models."""
