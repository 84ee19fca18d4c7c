"""The parts that all resources of Vertex AI use: errors, lists, operations and the REST API."""
