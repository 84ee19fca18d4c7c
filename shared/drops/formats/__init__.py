"""Readers of model files, one module for each format."""
