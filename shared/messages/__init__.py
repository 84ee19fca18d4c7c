"""The messages that several kinds of work read or send."""
