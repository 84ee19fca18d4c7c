"""The subcommands of ``modeldrop``, one module for each subject."""
