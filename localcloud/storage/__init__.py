"""Cloud Storage: the JSON API v1 on the file system, with generations, preconditions and events.

``unsupported.py`` has what is refused, and docs/storage.md lists it.
"""
