"""What every local service is built on: an HTTP server, a JSON API layer, a clock, SQLite files and credentials."""
