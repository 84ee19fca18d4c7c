"""FORMAT, and CAST with a FORMAT clause."""
