"""Imports: a settled drop becomes a model, one import at a time for each model."""
