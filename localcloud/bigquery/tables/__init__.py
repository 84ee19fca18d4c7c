"""The engine, and tables as they are written, read, loaded and exported."""
