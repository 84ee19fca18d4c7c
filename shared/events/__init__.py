"""CloudEvents that the functions receive and publish."""
