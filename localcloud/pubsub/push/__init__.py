"""Push delivery, and its disturbances in tests."""
