"""CloudEvents that come in and go out."""
