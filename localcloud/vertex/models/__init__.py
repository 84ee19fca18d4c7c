"""The model registry and the endpoints of Vertex AI."""
