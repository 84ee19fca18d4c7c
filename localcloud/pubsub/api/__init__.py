"""The gRPC and REST APIs: their methods, and what is refused."""
