"""Random requests: Cloud Storage answers or rejects each, never fails, and its data stays consistent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.base.asgi import Message
from localcloud.base.clock import SystemClock
from localcloud.storage.service import Storage

STATUSES = {200, 204, 206, 304, 308, 400, 404, 405, 409, 412, 416, 499}
SEGMENTS = st.one_of(
    st.sampled_from(
        [
            "storage",
            "v1",
            "b",
            "o",
            "drops",
            "a%2Fb",
            "copyTo",
            "rewriteTo",
            "moveTo",
            "compose",
            "upload",
            "download",
            "batch",
            "resumable",
            "..",
            "%",
            "%ff",
            "%00",
            "a",
        ]
    ),
    st.text(alphabet="a%/.?\u00e9\x00", max_size=4),
)
PATHS = st.one_of(
    st.sampled_from(
        [
            "/storage/v1/b",
            "/storage/v1/b/drops",
            "/storage/v1/b/drops/o",
            "/storage/v1/b/drops/o/a",
            "/storage/v1/b/drops/o/a/compose",
            "/storage/v1/b/drops/o/a/rewriteTo/b/drops/o/c",
            "/storage/v1/b/drops/o/a/copyTo/b/other/o/c",
            "/storage/v1/b/drops/o/a/moveTo/o/d",
            "/upload/storage/v1/b/drops/o",
            "/download/storage/v1/b/drops/o/a",
            "/batch/storage/v1",
        ]
    ),
    st.lists(SEGMENTS, max_size=9).map(lambda segments: "/" + "/".join(segments)),
)
VALUES = st.sampled_from(
    [
        "",
        "0",
        "1",
        "-1",
        "true",
        "media",
        "multipart",
        "resumable",
        "full",
        "a",
        "\u00e9",
        "a(",
        "items(name)",
        "*",
        "[",
        "{",
    ]
) | st.text(max_size=5)
QUERIES = st.dictionaries(
    st.sampled_from(
        [
            "uploadType",
            "name",
            "alt",
            "prefix",
            "delimiter",
            "pageToken",
            "maxResults",
            "startOffset",
            "endOffset",
            "matchGlob",
            "fields",
            "generation",
            "ifGenerationMatch",
            "ifGenerationNotMatch",
            "ifMetagenerationMatch",
            "sourceGeneration",
            "upload_id",
            "softDeleted",
            "contentEncoding",
            "includeTrailingDelimiter",
        ]
    ),
    VALUES,
    max_size=4,
)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "content-type",
            "content-range",
            "range",
            "x-goog-hash",
            "if-match",
            "if-none-match",
            "accept-encoding",
            "x-upload-content-length",
        ]
    ),
    st.sampled_from(
        [
            "multipart/related;boundary=b",
            "multipart/mixed;boundary=b",
            "text/plain",
            "bytes=0-0",
            "bytes=-1",
            "crc32c=x,md5",
            "5",
            "-5",
            "*",
            "bytes 0-0/1",
            "bytes */*",
            "bytes */7",
            "",
        ]
    ),
    max_size=3,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.just("\ud800"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "name",
                    "metadata",
                    "contentType",
                    "customTime",
                    "storageClass",
                    "sourceObjects",
                    "destination",
                    "generation",
                    "labels",
                    "location",
                    "objectPreconditions",
                    "ifGenerationMatch",
                    "cacheControl",
                    "crc32c",
                    "md5Hash",
                    "versioning",
                    "iamConfiguration",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
BODIES = st.one_of(
    JSON.map(lambda value: json.dumps(value).encode()),
    JSON.map(lambda value: b"--b\r\n\r\n" + json.dumps(value).encode() + b"\r\n--b\r\nx: y\r\n\r\ncontent\r\n--b--"),
    PATHS.map(lambda path: f"--b\n\nGET {path} HTTP/1.1\n\n\n--b--".encode()),
    st.binary(max_size=40),
    st.just(b"[" * 5000),
    st.just(b'{"lifecycle":' * 900 + b"{}" + b"}" * 900),
)


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    running = Storage(Path(tmp_path_factory.mktemp("storage")), clock=SystemClock(), project="local-project")
    yield running
    running.close()


def send(storage: Storage, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes) -> int:
    """Send one request and return the status; an error must have a JSON body."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def hear(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "scheme": "http",
        "method": method,
        "path": path,
        "raw_path": quote(path, safe="/%").encode(),
        "query_string": urlencode(query, errors="replace").encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "server": ("localhost", 80),
    }
    asyncio.run(storage.app(scope, receive, hear))
    status: int = sent[0]["status"]
    if status >= 400 and status != 499:
        assert json.loads(sent[1]["body"])["error"]["code"] == status
    return status


@given(
    method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"]),
    path=PATHS,
    query=QUERIES,
    headers=HEADERS,
    body=BODIES,
)
def test_any_request_is_answered_or_rejected(
    storage: Storage, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes
) -> None:
    storage.store.ensure_bucket("drops")
    storage.store.write("drops", "a", b"content")
    assert send(storage, method, path, query, headers, body) in STATUSES
    for bucket in storage.store.buckets():
        for stored in storage.store.list(bucket.name):
            assert len(storage.store.read(bucket.name, stored.name)) == stored.size
