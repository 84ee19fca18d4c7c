"""The buckets and objects that are kept: the store, its catalog and the contents, independent of an API."""
