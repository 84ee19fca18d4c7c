"""Cloud Storage: the JSON API v1 on the file system, with generations, preconditions and events.

Not supported: noncurrent generations (a bucket keeps its versioning setting, which has no effect), soft deletion, access
control, holds and retention, folders, notification configurations, and the XML and gRPC APIs.
"""
