"""Models: their statements, their files, their resources and their columns."""
