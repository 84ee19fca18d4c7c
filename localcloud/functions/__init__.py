"""The functions' processes, and the packages that they can import."""
