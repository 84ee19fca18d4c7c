"""The check of a model: what `modeldrop.yaml` says of it, its statement, and what its result means."""
