"""Vertex AI on one machine: batch prediction, the model registry, endpoints and generateContent."""
