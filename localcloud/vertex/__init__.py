"""Local Vertex AI: batch prediction, the model registry, endpoints and generateContent."""
