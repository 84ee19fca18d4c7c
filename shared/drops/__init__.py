"""Model drops: their files, their watches, and their imports."""
