"""Finds the files of an input in Cloud Storage before a job is paid for them."""

from __future__ import annotations

from itertools import islice

from google.api_core import exceptions
from google.cloud import storage

from shared.batches.addresses import MOST_FILES, Files, ObjectUri
from shared.cloud import clients
from shared.cloud.storage import STORAGE
from shared.errors import Rejected

_FIELD = "input"
# How many objects are listed for one pattern.
_MOST_LISTED = 100_000


def find_files(files: Files) -> tuple[str, ...]:
    """Return the addresses of the files of an input, each once, in the order of their names for a pattern.

    Raises:
        Rejected: A file does not exist, or a pattern has no file.
        TryLater: Cloud Storage did not answer.
    """
    found: dict[str, None] = {}
    for index, uri in enumerate(files.uris):
        field = _FIELD if len(files.uris) == 1 else f"{_FIELD}[{index}]"
        found |= dict.fromkeys(_matching(uri, field))
    if len(found) > MOST_FILES:
        raise Rejected(
            f"{_FIELD} has {len(found)} files; the most is {MOST_FILES}", field=_FIELD, code="too_many_files"
        )
    return tuple(found)


def _matching(uri: ObjectUri, field: str) -> list[str]:
    bucket = clients.storage_client().bucket(uri.bucket)
    try:
        with STORAGE.call(f"list {uri}", passes=(exceptions.NotFound, exceptions.Forbidden)) as options:
            if not uri.is_pattern:
                if not bucket.blob(uri.name).exists(**options):
                    raise Rejected(f"there is no file {uri}", field=field, code="no_such_file")
                return [str(uri)]
            listed = bucket.list_blobs(prefix=uri.prefix, fields="nextPageToken,items(name,size)", **options)
            found = [_address(blob, uri) for blob in islice(listed, _MOST_LISTED) if _is_input(blob, uri)]
    except exceptions.NotFound:
        raise Rejected(f"there is no bucket {uri.bucket}", field=field, code="no_such_file") from None
    except exceptions.Forbidden as error:
        raise Rejected(f"the functions may not read {uri}: {error.message}", field=field, code="accessDenied") from None
    if not found:
        raise Rejected(f"no file matches {uri}", field=field, code="no_such_file")
    return sorted(found)


def _is_input(blob: storage.Blob, uri: ObjectUri) -> bool:
    # Placeholders of folders are empty, and their names end in a slash.
    return uri.matches(str(blob.name)) and not str(blob.name).endswith("/")


def _address(blob: storage.Blob, uri: ObjectUri) -> str:
    return f"gs://{uri.bucket}/{blob.name}"
