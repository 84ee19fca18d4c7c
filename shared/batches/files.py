"""Finds the files of an input in Cloud Storage before a job is paid for them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import islice

from google.api_core import exceptions
from google.cloud import storage

from shared.batches.addresses import MOST_FILES, Files, ObjectUri
from shared.batches.inputs.lines import LinesFile, check_lines
from shared.batches.inputs.rules import InputCheck, Requests
from shared.cloud import clients
from shared.cloud.storage import STORAGE
from shared.errors import Rejected

_FIELD = "input"
# How much of the files is read altogether: reading more takes longer than a call may. What comes after it is left to Vertex AI.
MOST_CHECKED_BYTES = 128 * 1024 * 1024
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


def check_bucket_exists(folder: ObjectUri, field: str) -> None:
    """Raise ``Rejected`` if the bucket of a folder for answers does not exist; it need not be readable.

    Raises:
        TryLater: Cloud Storage did not answer.
    """
    bucket = clients.storage_client().bucket(folder.bucket)
    try:
        with STORAGE.call(f"list {folder}", passes=(exceptions.NotFound, exceptions.Forbidden)) as options:
            next(iter(bucket.list_blobs(prefix=folder.name, max_results=1, fields="items(name)", **options)), None)
    except exceptions.NotFound:
        raise Rejected(
            f"there is no bucket {folder.bucket}: create it, or correct its name", field=field, code="no_such_bucket"
        ) from None
    except exceptions.Forbidden:
        return


def checked_files(uris: Sequence[str], kind: Requests, key: Sequence[str] = ()) -> InputCheck | None:
    """Check the requests in files, or the first of them if they are too many to be read at once.

    Args:
        uris: The addresses of the files.
        kind: The kind of the requests.
        key: The fields that each line needs beside its request.

    Returns:
        What the files hold; None if they were not read to their end.

    Raises:
        Rejected: A request or a file breaks a rule.
        TryLater: Cloud Storage did not answer.
    """
    files = [_lines_file(uri) for uri in uris]
    found = check_lines(files, kind, key, most_bytes=MOST_CHECKED_BYTES)
    if problem := found.problem(_FIELD):
        raise Rejected(problem.message, field=problem.field, code=problem.code)
    return found if sum(file.size or 0 for file in files) <= MOST_CHECKED_BYTES else None


def _lines_file(uri: str) -> LinesFile:
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    blob = clients.storage_client().bucket(bucket).blob(name)
    with STORAGE.call(f"read {uri}", passes=(exceptions.NotFound,)) as options:
        try:
            blob.reload(**options)
        except exceptions.NotFound:
            return LinesFile(uri, None, False, lambda start, length: b"")
    return LinesFile(uri, blob.size, blob.content_encoding == "gzip", partial(_read, blob))


def _read(blob: storage.Blob, start: int, length: int) -> bytes:
    """Return at most ``length`` bytes of an object, from the offset ``start``."""
    with STORAGE.call(f"read gs://{blob.bucket.name}/{blob.name}") as options:
        return bytes(blob.download_as_bytes(start=start, end=start + length - 1, raw_download=True, **options))


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
