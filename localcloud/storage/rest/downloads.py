"""Downloads of an object's content, or of a range of it.

Headers: https://cloud.google.com/storage/docs/json_api/v1/objects/get and https://cloud.google.com/storage/docs/transcoding
"""

from __future__ import annotations

import re
import zlib
from collections.abc import AsyncIterator
from email.utils import format_datetime
from typing import BinaryIO

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from localcloud.base.json_api import Call
from localcloud.storage.rest.api import preconditions_of
from localcloud.storage.rules.customer_keys import ALGORITHM
from localcloud.storage.rules.errors import RangeNotSatisfiable
from localcloud.storage.rules.fields import HEADER_OF_FIELD
from localcloud.storage.rules.preconditions import names_etag
from localcloud.storage.rules.resources import StoredObject

_PIECE = 1 << 20
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_GZIP = 16 + zlib.MAX_WBITS
_GZIP_HEAD = b"\x1f\x8b\x08"


async def download(call: Call, stored: StoredObject, content: BinaryIO) -> Response:
    """Return the answer that sends ``content`` and closes it.

    Raises ``PreconditionFailed``, ``NotModified`` or ``RangeNotSatisfiable``.
    """
    try:
        preconditions_of(call).check_read(stored)
        headers = download_headers(stored)
        if _must_decompress(call, stored):
            del headers["content-encoding"]
            if _is_gzip(content):
                headers |= {
                    "x-guploader-response-body-transformations": "gunzipped",
                    "warning": "214 UploadServer gunzipped",
                }
                return StreamingResponse(_decompress(content), headers=headers)
        byte_range = _requested_range(_range_header(call, stored), stored.size)
        first, length, status = 0, stored.size, 200
        if byte_range is not None:
            first, length, status = byte_range.start, len(byte_range), 206
            headers["content-range"] = f"bytes {first}-{byte_range.stop - 1}/{stored.size}"
        content.seek(first)
        if length > _PIECE:
            headers["content-length"] = str(length)
            return StreamingResponse(_stream(content, length), status, headers)
        with content:
            return Response(content.read(length), status, headers)
    except BaseException:
        content.close()
        raise


def download_headers(stored: StoredObject) -> dict[str, str]:
    """Return the headers with which the content of ``stored`` is sent."""
    hashes = [f"crc32c={stored.crc32c}", *([f"md5={stored.md5}"] if stored.md5 else [])]
    return {
        "content-type": as_header(stored.content_type),
        "etag": stored.etag,
        "last-modified": _last_modified(stored),
        "accept-ranges": "bytes",
        "x-goog-hash": ",".join(hashes),
        "x-goog-generation": str(stored.generation),
        "x-goog-metageneration": str(stored.metageneration),
        "x-goog-storage-class": stored.storage_class,
        "x-goog-stored-content-length": str(stored.size),
        **(
            {"x-goog-encryption-algorithm": ALGORITHM, "x-goog-encryption-key-sha256": stored.key_hash}
            if stored.key_hash
            else {}
        ),
        "x-goog-stored-content-encoding": stored.headers.get("contentEncoding", "identity"),
        **{HEADER_OF_FIELD[name]: as_header(value) for name, value in stored.headers.items()},
    }


def as_header(value: str) -> str:
    """Return ``value`` so that it is sent as UTF-8; the server encodes headers as Latin-1."""
    return value.encode().decode("latin-1")


def _must_decompress(call: Call, stored: StoredObject) -> bool:
    """Return whether the content is stored with gzip and the caller does not accept that."""
    return (
        stored.headers.get("contentEncoding") == "gzip"
        and "gzip" not in call.headers.get("accept-encoding", "")
        and "no-transform" not in stored.headers.get("cacheControl", "")
    )


def _is_gzip(content: BinaryIO) -> bool:
    """Return whether the content begins as gzip does. Otherwise it is sent as it is, whatever its encoding says.

    https://www.rfc-editor.org/rfc/rfc1952#section-2.3.1
    """
    head = content.read(len(_GZIP_HEAD))
    content.seek(0)
    return head == _GZIP_HEAD


def _range_header(call: Call, stored: StoredObject) -> str | None:
    """Return the ``Range`` header of a call, ``None`` if its ``If-Range`` names another version than ``stored``.

    A caller that continues a download gets the whole content if the object has changed since.
    https://www.rfc-editor.org/rfc/rfc9110#section-13.1.5
    """
    known = call.headers.get("if-range")
    if known is not None and known != _last_modified(stored) and not names_etag(known, stored):
        return None
    return call.headers.get("range")


def _last_modified(stored: StoredObject) -> str:
    return format_datetime(stored.updated, usegmt=True)


def _requested_range(header: str | None, size: int) -> range | None:
    """Return the positions in a ``Range`` header, ``None`` for the whole content.

    Several ranges, or units other than bytes, return the whole content, as HTTP allows.
    Raises ``RangeNotSatisfiable``.
    """
    matched = _RANGE.fullmatch((header or "").strip())
    if matched is None or matched[0] == "bytes=-":
        return None
    first, last = matched.groups()
    if not first:
        asked = range(max(size - int(last), 0), size)
    else:
        asked = range(int(first), min(int(last) + 1, size) if last else size)
        if last and int(last) < int(first):
            return None
    if not asked:
        raise RangeNotSatisfiable(size)
    return asked


async def _stream(content: BinaryIO, length: int) -> AsyncIterator[bytes]:
    with content:
        while length and (piece := await run_in_threadpool(content.read, min(length, _PIECE))):
            length -= len(piece)
            yield piece


async def _decompress(content: BinaryIO) -> AsyncIterator[bytes]:
    """Yield what the members of a gzip file contain. Raises ``zlib.error`` if it is damaged or cut off."""
    decompressor = zlib.decompressobj(_GZIP)
    with content:
        while piece := await run_in_threadpool(content.read, _PIECE):
            while piece:
                if decompressor.eof:
                    decompressor = zlib.decompressobj(_GZIP)
                yield decompressor.decompress(piece)
                piece = decompressor.unused_data
    if not decompressor.eof:
        raise zlib.error("the gzip file is cut off")
