"""Cloud Storage: the JSON API v1 on the file system, with generations, preconditions and events.

What is not here: former generations (a bucket keeps its versioning setting, and nothing follows from it), soft
deletion, access control, holds and retention, folders, notification configurations, and the XML and gRPC APIs.
"""

from localcloud.storage.errors import Conflict, InvalidRequest, NotFound, PreconditionFailed, RateLimited, StorageError
from localcloud.storage.resources import DELETED, FINALIZED, METADATA_UPDATED, Bucket, StorageEvent, StoredObject
from localcloud.storage.service import Storage
from localcloud.storage.store import ObjectStore

__all__ = [
    "DELETED",
    "FINALIZED",
    "METADATA_UPDATED",
    "Bucket",
    "Conflict",
    "InvalidRequest",
    "NotFound",
    "ObjectStore",
    "PreconditionFailed",
    "RateLimited",
    "Storage",
    "StorageError",
    "StorageEvent",
    "StoredObject",
]
