"""Finds the files of an input in Cloud Storage before a job is paid for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

from google.api_core import exceptions
from google.cloud import storage

from shared.batches.addresses import MOST_FILES, Files, ObjectUri
from shared.batches.inputs.lines import LinesFile, check_lines
from shared.batches.inputs.rules import MOST_FILE_BYTES, InputCheck, Requests
from shared.cloud import clients
from shared.cloud.storage import STORAGE
from shared.errors import Rejected
from shared.keys import hash_of

_FIELD = "input"
# How much of the files is read altogether: reading more takes longer than a call may. What comes after it is left to Vertex AI.
MOST_CHECKED_BYTES = 128 * 1024 * 1024
# The names of the files with answers begin so; files of errors have other names:
# https://docs.cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.batchPredictionJobs#OutputConfig
ANSWER_FILES = "predictions"
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
    """Raise ``Rejected`` if the bucket of a folder does not exist; it need not be readable.

    Raises:
        TryLater: Cloud Storage did not answer.
    """
    bucket = clients.storage_client().bucket(folder.bucket)
    try:
        with STORAGE.call(f"list {folder}", passes=(exceptions.NotFound, exceptions.Forbidden)) as options:
            next(iter(bucket.list_blobs(prefix=folder.name, max_results=1, fields="items(name)", **options)), None)
    except exceptions.NotFound:
        raise _no_bucket(folder.bucket, field) from None
    except exceptions.Forbidden:
        return


def _no_bucket(bucket: str, field: str) -> Rejected:
    return Rejected(f"there is no bucket {bucket}: create it, or correct its name", field=field, code="no_such_bucket")


def bucket_location(uri: str) -> str | None:
    """Return the location of the bucket of a `gs://` address, such as `US` or `europe-west4`; None if it may not be known.

    Raises:
        TryLater: Cloud Storage did not answer.
    """
    name = uri.removeprefix("gs://").partition("/")[0]
    try:
        with STORAGE.call(f"read {name}", passes=(exceptions.NotFound, exceptions.Forbidden)) as options:
            return str(clients.storage_client().get_bucket(name, **options).location or "").lower() or None
    except (exceptions.NotFound, exceptions.Forbidden):
        return None


def has_answers(folder: str) -> bool:
    """Return whether there are answers in the folder of a job, `gs://bucket/folder`, that Modeldrop may read.

    Raises:
        TryLater: Cloud Storage did not answer.
    """
    bucket, _, name = folder.removeprefix("gs://").partition("/")
    prefix = f"{name.rstrip('/')}/{ANSWER_FILES}"
    try:
        with STORAGE.call(f"list {folder}", passes=(exceptions.NotFound, exceptions.Forbidden)) as options:
            listed = clients.storage_client().list_blobs(
                bucket, prefix=prefix, fields="nextPageToken,items(name,size)", **options
            )
            return any(blob.size for blob in islice(listed, _MOST_LISTED))
    except (exceptions.NotFound, exceptions.Forbidden):
        return False


@dataclass(frozen=True)
class CheckedFiles:
    """What is known of the files of an input."""

    found: InputCheck
    """What was found in the part of them that was read."""
    is_whole: bool
    """Whether they were read to their end."""
    hash: str
    """The hash of their names and generations."""
    too_large: bool
    """Whether one of them is larger than a job takes."""
    unread_bytes: int = 0
    """How many bytes of them were not read."""


def checked_files(
    uris: Sequence[str], kind: Requests, key: Sequence[str] = (), *, divides: bool, as_columns: bool = False
) -> CheckedFiles:
    """Check the requests in files, or the first of them if they are too many to be read at once.

    Args:
        uris: The addresses of the files.
        kind: The kind of the requests.
        key: The fields that each line needs beside its request.
        divides: Whether there may be more requests, and larger files, than one job takes.
        as_columns: Whether the answers are in a table, which has the fields beside the requests as columns.

    Raises:
        Rejected: A request or a file breaks a rule.
        TryLater: Cloud Storage did not answer.
    """
    files = [_lines_file(uri) for uri in uris]
    found = check_lines(files, kind, key, most_bytes=MOST_CHECKED_BYTES, divides=divides, as_columns=as_columns)
    if problem := found.problem(_FIELD):
        raise Rejected(problem.message, field=problem.field, code=problem.code)
    sizes = [file.size or 0 for file in files]
    unread = max(0, sum(sizes) - MOST_CHECKED_BYTES)
    return CheckedFiles(found, unread == 0, _hash_of(files), max(sizes) > MOST_FILE_BYTES, unread)


def check_unchanged(uris: Sequence[str], known: str | None) -> None:
    """Raise ``Rejected`` if files have changed since their hash was ``known``, so that other requests would be sent.

    Raises:
        TryLater: Cloud Storage did not answer.
    """
    if known != _hash_of([_lines_file(uri) for uri in uris]):
        raise Rejected(
            "the files of the input were changed or deleted after the batch was sent: send it again",
            code="input_changed",
        )


def _hash_of(files: Iterable[LinesFile]) -> str:
    return hash_of(*(f"{file.uri}#{file.generation}" for file in files))


def _lines_file(uri: str) -> LinesFile:
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    blob = clients.storage_client().bucket(bucket).blob(name)
    with STORAGE.call(f"read {uri}", passes=(exceptions.NotFound,)) as options:
        try:
            blob.reload(**options)
        except exceptions.NotFound:
            return LinesFile(uri, None, False, lambda start, length: b"")
    is_compressed = blob.content_encoding == "gzip"
    return LinesFile(uri, blob.size, is_compressed, partial(_read, blob), int(blob.generation or 0))


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
                    check_bucket_exists(ObjectUri(uri.bucket, ""), field)
                    raise Rejected(
                        f"there is no file {uri}: upload it, or correct the address", field=field, code="no_such_file"
                    )
                return [str(uri)]
            listed = bucket.list_blobs(prefix=uri.prefix, fields="nextPageToken,items(name,size)", **options)
            found = [_address(blob, uri) for blob in islice(listed, _MOST_LISTED) if _is_input(blob, uri)]
    except exceptions.NotFound:
        raise _no_bucket(uri.bucket, field) from None
    except exceptions.Forbidden as error:
        raise Rejected(f"the functions may not read {uri}: {error.message}", field=field, code="accessDenied") from None
    if not found:
        raise Rejected(
            f"no file matches {uri}: upload the files, or correct the address", field=field, code="no_such_file"
        )
    return sorted(found)


def _is_input(blob: storage.Blob, uri: ObjectUri) -> bool:
    # Placeholders of folders are empty, and their names end in a slash.
    return uri.matches(str(blob.name)) and not str(blob.name).endswith("/")


def _address(blob: storage.Blob, uri: ObjectUri) -> str:
    return f"gs://{uri.bucket}/{blob.name}"
