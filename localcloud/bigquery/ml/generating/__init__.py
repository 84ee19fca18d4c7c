"""The functions that call models of Vertex AI: their arguments, requests, columns and statistics."""
