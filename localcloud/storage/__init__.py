"""Cloud Storage: the JSON API v1 on the file system, with generations, preconditions and events.

What is not here: former generations (a bucket keeps its versioning setting, and nothing follows from it), soft
deletion, access control, holds and retention, folders, notification configurations, and the XML and gRPC APIs.
"""
