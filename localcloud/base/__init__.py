"""What every local service is built on: an HTTP server, a clock, SQLite files and credentials."""
