"""Cloud Storage's JSON API on the wire: rejected, interrupted and resumed requests."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import google_crc32c
import pytest
import requests

from tests.localcloud.storage.world import BUCKET, Stage, StorageWorld, storage_world
from tests.waiting import LAST_LIMIT, wait_until

OBJECTS = f"/storage/v1/b/{BUCKET}/o"
CHUNK = 256 << 10
UPLOAD = f"/upload/storage/v1/b/{BUCKET}/o"


@pytest.fixture
def world(stage: Stage, tmp_path: Path) -> Iterator[StorageWorld]:
    with storage_world(stage, tmp_path / "storage") as running:
        yield running


def upload(world: StorageWorld, name: str, content: bytes, **options: Any) -> requests.Response:
    """Upload with uploadType=media."""
    parameters = {"uploadType": "media", "name": name, **options.pop("params", {})}
    return world.call("POST", UPLOAD, params=parameters, data=content, **options)


def begin(world: StorageWorld, name: str, *, resource: dict[str, Any] | None = None, **options: Any) -> str:
    """Start a resumable upload and return its path."""
    parameters = {"uploadType": "resumable", "name": name, **options.pop("params", {})}
    answer = world.call("POST", UPLOAD, params=parameters, json=resource or {}, **options)
    assert answer.status_code == 200, answer.text
    return answer.headers["location"].removeprefix(world.url)


def assert_rejected(answer: requests.Response, code: int, reason: str) -> None:
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["errors"][0]["reason"]) == (code, code, reason)
    assert error["message"]


def crc32c_of(content: bytes) -> str:
    return base64.b64encode(google_crc32c.value(content).to_bytes(4, "big")).decode()


def md5_of(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content).digest()).decode()


# Preconditions

PRECONDITIONS = [
    # condition and value on an object of generation G and metageneration 1; status of an overwrite and of a read
    ("ifGenerationMatch", "G", 200, 200),
    ("ifGenerationMatch", "1", 412, 412),
    ("ifGenerationMatch", "0", 412, 412),
    ("ifGenerationNotMatch", "G", 412, 304),
    ("ifGenerationNotMatch", "1", 200, 200),
    ("ifGenerationNotMatch", "0", 200, 200),
    ("ifMetagenerationMatch", "1", 200, 200),
    ("ifMetagenerationMatch", "2", 412, 412),
    ("ifMetagenerationNotMatch", "1", 412, 304),
    ("ifMetagenerationNotMatch", "2", 200, 200),
    ("ifGenerationMatch", "one", 400, 400),
]


@pytest.mark.parametrize(("condition", "value", "write", "read"), PRECONDITIONS)
def test_precondition_decides_writes_and_reads(
    world: StorageWorld, condition: str, value: str, write: int, read: int
) -> None:
    def conditions(name: str) -> dict[str, str]:
        return {condition: value.replace("G", upload(world, name, b"first").json()["generation"])}

    read_only = conditions("read")
    for path in (f"{OBJECTS}/read", f"{OBJECTS}/read?alt=media", f"/download{OBJECTS}/read?alt=media"):
        assert world.call("GET", path, params=read_only).status_code == read
    assert upload(world, "written", b"second", params=conditions("written")).status_code == write
    assert world.store.read(BUCKET, "written") == (b"second" if write == 200 else b"first")
    patched = world.call("PATCH", f"{OBJECTS}/patched", params=conditions("patched"), json={"metadata": {"k": "v"}})
    assert patched.status_code == write
    assert world.store.get(BUCKET, "patched").metadata == ({"k": "v"} if write == 200 else {})
    deleted = world.call("DELETE", f"{OBJECTS}/deleted", params=conditions("deleted"))
    assert deleted.status_code == (204 if write == 200 else write)
    assert bool(world.store.list(BUCKET, "deleted")) == (write != 200)


@pytest.mark.parametrize(
    ("condition", "value", "status"),
    [
        ("ifGenerationMatch", "0", 200),
        ("ifGenerationMatch", "5", 412),
        ("ifGenerationNotMatch", "0", 412),
        ("ifMetagenerationMatch", "1", 412),
    ],
)
def test_precondition_on_a_missing_object(world: StorageWorld, condition: str, value: str, status: int) -> None:
    assert upload(world, "new", b"x", params={condition: value}).status_code == status
    session = world.call(
        "POST", UPLOAD, params={"uploadType": "resumable", "name": "resumed", condition: value}, json={}
    )
    assert session.status_code == status
    for method in ("GET", "DELETE", "PATCH"):
        answer = world.call(method, f"{OBJECTS}/absent", params={condition: value}, json={})
        assert_rejected(answer, 404, "notFound")
    assert len(world.events) == (1 if status == 200 else 0)


def test_failed_precondition_has_the_error_of_google(world: StorageWorld) -> None:
    upload(world, "object", b"x")
    answer = upload(world, "object", b"y", params={"ifGenerationMatch": "0"})
    assert_rejected(answer, 412, "conditionNotMet")
    assert answer.json()["error"]["status"] == "FAILED_PRECONDITION"


def test_etag_headers_are_preconditions(world: StorageWorld) -> None:
    etag = upload(world, "object", b"x").json()["etag"]
    assert world.call("GET", f"{OBJECTS}/object", headers={"if-none-match": etag}).status_code == 304
    assert world.call("GET", f"{OBJECTS}/object", headers={"if-none-match": f'"other", "{etag}"'}).status_code == 304
    assert world.call("GET", f"{OBJECTS}/object", headers={"if-match": "other"}).status_code == 412
    assert world.call("GET", f"{OBJECTS}/absent", headers={"if-match": "*"}).status_code == 404
    assert world.call("GET", f"{OBJECTS}/object", headers={"if-match": "*"}).status_code == 200
    assert world.call("DELETE", f"{OBJECTS}/object", headers={"if-match": etag}).status_code == 204


def test_generation_that_is_not_live_is_not_found(world: StorageWorld) -> None:
    first = upload(world, "object", b"1").json()["generation"]
    second = upload(world, "object", b"2").json()["generation"]
    assert int(second) > int(first)
    for method in ("GET", "DELETE", "PATCH"):
        answer = world.call(method, f"{OBJECTS}/object?generation={first}", json={})
        assert_rejected(answer, 404, "notFound")
    assert world.call("GET", f"{OBJECTS}/object?generation={second}&alt=media").content == b"2"


# Checksums


@pytest.mark.parametrize("kind", ["crc32c", "md5"])
@pytest.mark.parametrize("right", [True, False])
def test_checksum_in_the_header_is_verified(world: StorageWorld, kind: str, right: bool) -> None:
    announced = {"crc32c": crc32c_of, "md5": md5_of}[kind](b"content" if right else b"other")
    answer = upload(world, "object", b"content", headers={"x-goog-hash": f"{kind}={announced}"})
    assert answer.status_code == (200 if right else 400)
    assert len(world.store.list(BUCKET)) == len(world.events) == len(world.files()) == (1 if right else 0)


def test_a_resource_is_of_the_bucket_and_object_of_its_path(world: StorageWorld) -> None:
    upload(world, "object", b"content")
    for method, path, body in (
        ("PATCH", f"{OBJECTS}/object", {"bucket": "other"}),
        ("PUT", f"{OBJECTS}/object", {"name": "other"}),
        ("POST", f"{OBJECTS}/object/rewriteTo/b/{BUCKET}/o/new", {"name": "other"}),
        ("POST", f"{OBJECTS}/new/compose", {"sourceObjects": [{"name": "object"}], "destination": {"name": "other"}}),
        ("POST", f"{UPLOAD}?uploadType=resumable&name=new", {"bucket": "other"}),
    ):
        answer = world.call(method, path, json=body)
        assert (answer.status_code, "does not agree with value" in answer.text) == (400, True), (method, path)
    assert [stored.name for stored in world.store.list(BUCKET)] == ["object"]


@pytest.mark.parametrize(
    "headers,status",
    [
        ({"content-md5": md5_of(b"content")}, 200),
        ({"content-md5": md5_of(b"other")}, 400),
        ({"x-goog-hash": f"crc32c={crc32c_of(b'content')}, md5={md5_of(b'other')}"}, 400),
        ({"x-goog-hash": "sha256=abc"}, 400),
        ({"x-goog-hash": "crc32c"}, 400),
    ],
)
def test_every_checksum_in_the_headers_is_verified(world: StorageWorld, headers: dict[str, str], status: int) -> None:
    assert upload(world, "object", b"content", headers=headers).status_code == status
    assert len(world.store.list(BUCKET)) == len(world.files()) == (1 if status == 200 else 0)


def test_content_md5_of_a_request_that_is_not_the_content_is_refused_by_name(world: StorageWorld) -> None:
    answer = world.call("POST", f"{UPLOAD}?uploadType=resumable&name=a", headers={"content-md5": md5_of(b"")})
    assert_rejected(answer, 501, "notImplemented")
    assert "Content-MD5" in answer.text


@pytest.mark.parametrize("field", ["crc32c", "md5Hash"])
@pytest.mark.parametrize("right", [True, False])
def test_checksum_in_the_resource_is_verified(world: StorageWorld, field: str, right: bool) -> None:
    announced = {"crc32c": crc32c_of, "md5Hash": md5_of}[field](b"content" if right else b"other")
    resource = json.dumps({"name": "object", field: announced}).encode()
    body = (
        b"--b\r\nContent-Type: application/json\r\n\r\n" + resource
        + b"\r\n--b\r\nContent-Type: text/plain\r\n\r\ncontent\r\n--b--"
    )  # fmt: skip
    headers = {"content-type": "multipart/related; boundary=b"}
    answer = world.call("POST", UPLOAD, params={"uploadType": "multipart"}, data=body, headers=headers)
    assert answer.status_code == (200 if right else 400)

    session = begin(world, "resumed", resource={field: announced})
    answer = world.call("PUT", session, data=b"content")
    assert answer.status_code == (200 if right else 400)
    assert len(world.store.list(BUCKET)) == len(world.events) == len(world.files()) == (2 if right else 0)


# Multipart uploads


@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
@pytest.mark.parametrize("content", [b"", b"\r\n", b"--b", b"\r\n--", b"line\r\n--c\r\nline", bytes(range(256)) * 2000])
def test_multipart_content_is_stored_unchanged(world: StorageWorld, newline: bytes, content: bytes) -> None:
    parts = [
        b"--boundary", b"Content-Type: application/json", b"", b'{"name": "object", "metadata": {"k": "v"}}',
        b"--boundary", b"Content-Type: text/x-own", b"", content, b"--boundary--", b"",
    ]  # fmt: skip
    body = newline.join(parts)
    pieces = (body[start : start + 1000] for start in range(0, len(body), 1000))
    headers = {"content-type": "multipart/related; boundary='boundary'"}
    answer = world.call("POST", UPLOAD, params={"uploadType": "multipart"}, data=pieces, headers=headers)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["contentType"], answer.json()["metadata"]) == ("text/x-own", {"k": "v"})
    assert world.store.read(BUCKET, "object") == content


MALFORMED = [
    b"",
    b"no boundary at all",
    b"--b\r\n\r\n{}\r\n--b--",
    b'--b\r\n\r\n{"name": "object"}\r\n--b\r\n\r\nnever ends',
    b'--b\r\n\r\n{"name": "object"\r\n--b\r\n\r\nx\r\n--b--',
    b'--b\r\n\r\n["name"]\r\n--b\r\n\r\nx\r\n--b--',
    b'--b\r\n\r\n{"name": 7}\r\n--b\r\n\r\nx\r\n--b--',
    b'--b\r\n\r\n{"name": "object", "metadata": {"k": 1}}\r\n--b\r\n\r\nx\r\n--b--',
    b'--b\r\n\r\n{"name": "object", "contentType": ["a"]}\r\n--b\r\n\r\nx\r\n--b--',
    b'--b\r\n\r\n{"name": "\\ud800"}\r\n--b\r\n\r\nx\r\n--b--',
]


@pytest.mark.parametrize("body", MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_multipart_leaves_nothing(world: StorageWorld, body: bytes) -> None:
    headers = {"content-type": "multipart/related; boundary=b"}
    answer = world.call("POST", UPLOAD, params={"uploadType": "multipart"}, data=body, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == 400
    assert (world.store.list(BUCKET), world.events, world.files()) == ([], [], [])


# Resumable uploads


def test_resumable_upload_continues_after_the_received_bytes(world: StorageWorld) -> None:
    content = bytes(range(256)) * 4096
    session = begin(world, "object", headers={"x-upload-content-type": "application/x-own"})
    cut = 512 * 1024
    answer = world.call("PUT", session, headers={"content-range": "bytes */*"})
    assert (answer.status_code, "range" in answer.headers) == (308, False)
    first = world.call(
        "PUT", session, data=content[:cut], headers={"content-range": f"bytes 0-{cut - 1}/{len(content)}"}
    )
    assert (first.status_code, first.headers["range"]) == (308, f"bytes=0-{cut - 1}")
    status = world.call("PUT", session, headers={"content-range": f"bytes */{len(content)}"})
    assert (status.status_code, status.headers["range"]) == (308, f"bytes=0-{cut - 1}")
    assert (world.store.list(BUCKET), world.events) == ([], [])

    # Received bytes may be sent again.
    back = cut - 1000
    last = world.call(
        "PUT",
        session,
        data=content[back:],
        headers={"content-range": f"bytes {back}-{len(content) - 1}/{len(content)}"},
    )
    assert (last.status_code, last.json()["contentType"]) == (200, "application/x-own")
    assert world.store.read(BUCKET, "object") == content
    # A client that lost the answer receives it again, without a second event.
    again = world.call("PUT", session, headers={"content-range": "bytes */*"})
    assert again.json()["generation"] == last.json()["generation"]
    assert world.event_names() == [("finalized", "object")]


def test_resumable_upload_of_unknown_length(world: StorageWorld) -> None:
    first, start = b"a" * CHUNK, {"content-range": f"bytes 0-{CHUNK - 1}/*"}
    session = begin(world, "object")
    assert world.call("PUT", session, data=first, headers=start).status_code == 308
    last = {"content-range": f"bytes {CHUNK}-{CHUNK + 1}/{CHUNK + 2}"}
    assert world.call("PUT", session, data=b"de", headers=last).status_code == 200
    assert world.store.read(BUCKET, "object") == first + b"de"
    session = begin(world, "second")
    assert world.call("PUT", session, data=first, headers=start).status_code == 308
    assert world.call("PUT", session, headers={"content-range": f"bytes */{CHUNK}"}).status_code == 200
    session = begin(world, "at once")
    assert world.call("PUT", session, data=b"abc", headers={"content-range": "bytes 0-*/*"}).json()["size"] == "3"
    session = begin(world, "empty")
    assert world.call("PUT", session, headers={"content-range": "bytes */0"}).json()["size"] == "0"


def test_a_request_that_would_leave_a_gap_changes_nothing(world: StorageWorld) -> None:
    session = begin(world, "object")
    assert_rejected(world.call("PUT", session, data=b"d", headers={"content-range": "bytes 3-3/4"}), 400, "invalid")
    assert world.call("PUT", session, data=b"abc", headers={"content-range": "bytes 0-2/3"}).status_code == 200
    assert world.store.read(BUCKET, "object") == b"abc"


def test_a_request_within_a_resumable_upload_has_units_of_256_kibibytes(world: StorageWorld) -> None:
    session, content = begin(world, "object"), b"x" * (CHUNK + 10)
    small = world.call("PUT", session, data=b"abc", headers={"content-range": "bytes 0-2/9"})
    assert_rejected(small, 400, "invalid")
    assert "262144" in small.text
    answer = world.call("PUT", session, data=content, headers={"content-range": f"bytes 0-{CHUNK + 9}/*"})
    assert (answer.status_code, answer.headers["range"]) == (308, f"bytes=0-{CHUNK - 1}")
    last = {"content-range": f"bytes {CHUNK}-{CHUNK + 9}/{CHUNK + 10}"}
    assert world.call("PUT", session, data=content[CHUNK:], headers=last).status_code == 200
    assert world.store.read(BUCKET, "object") == content


@pytest.mark.parametrize(
    "content_range", ["bytes 7-9/*", "bytes 0-2/2", "bytes 2-0/9", "bytes x", "items 0-2/3", "bytes 0-9/10"]
)
def test_invalid_content_range_is_rejected(world: StorageWorld, content_range: str) -> None:
    session = begin(world, "object")
    answer = world.call("PUT", session, data=b"abc", headers={"content-range": content_range})
    assert_rejected(answer, 400, "invalid")
    # The upload itself is unchanged.
    assert world.call("PUT", session, data=b"abc", headers={"content-range": "bytes 0-2/3"}).status_code == 200


def test_upload_longer_than_its_announced_length_is_rejected(world: StorageWorld) -> None:
    session = begin(world, "object", headers={"x-upload-content-length": "5"})
    assert_rejected(world.call("PUT", session, data=b"abc"), 400, "invalid")
    session = begin(world, "object", headers={"x-upload-content-length": "5"})
    assert_rejected(world.call("PUT", session, data=b"abcdefg"), 400, "invalid")
    wrong = world.call("POST", f"{UPLOAD}?uploadType=resumable&name=a", headers={"x-upload-content-length": "-5"})
    assert_rejected(wrong, 400, "invalid")
    assert (world.store.list(BUCKET), world.events) == ([], [])


def test_resumable_upload_checks_its_precondition_at_the_end(world: StorageWorld) -> None:
    session = begin(world, "object", params={"ifGenerationMatch": "0"})
    upload(world, "object", b"quicker")
    assert_rejected(world.call("PUT", session, data=b"late"), 412, "conditionNotMet")
    assert_rejected(world.call("PUT", session, data=b"late"), 404, "notFound")
    assert world.store.read(BUCKET, "object") == b"quicker"
    assert (len(world.events), len(world.files())) == (1, 1)


def test_cancelled_upload_is_not_found(world: StorageWorld) -> None:
    session = begin(world, "object")
    world.call("PUT", session, data=b"x" * CHUNK, headers={"content-range": f"bytes 0-{CHUNK - 1}/*"})
    assert len(world.files()) == 1
    assert world.call("DELETE", session).status_code == 499
    assert_rejected(world.call("PUT", session, data=b"abc"), 404, "notFound")
    assert (world.store.list(BUCKET), world.events, world.files()) == ([], [], [])


def send_part_of_a_request(world: StorageWorld, head: str, sent: bytes) -> socket.socket:
    """Send a request and only the beginning of its body."""
    address = urlsplit(world.url)
    connection = socket.create_connection((address.hostname, address.port))
    connection.sendall(f"{head}\r\nHost: {address.netloc}\r\nContent-Length: 1000000\r\n\r\n".encode() + sent)
    return connection


@pytest.mark.parametrize("way", ["media", "multipart"])
def test_interrupted_upload_leaves_nothing(world: StorageWorld, way: str) -> None:
    head = f"POST {UPLOAD}?uploadType={way}&name=object HTTP/1.1\r\nContent-Type: multipart/related; boundary=b"
    connection = send_part_of_a_request(world, head, b'--b\r\n\r\n{"name": "object"}\r\n--b\r\n\r\n' + b"x" * 5000)
    wait_until(lambda: len(world.files()) == 1)
    connection.close()
    wait_until(lambda: world.files() == [])
    assert (world.store.list(BUCKET), world.events) == ([], [])


def test_interrupted_resumable_upload_keeps_the_received_bytes(world: StorageWorld) -> None:
    session = begin(world, "object")
    content = b"0123456789" * 100_000
    head = f"PUT {session} HTTP/1.1\r\nContent-Range: bytes 0-999999/1000000"
    connection = send_part_of_a_request(world, head, content[:5000])
    connection.close()

    def status() -> requests.Response:
        return world.call("PUT", session, headers={"content-range": "bytes */1000000"})

    wait_until(lambda: status().headers.get("range") == "bytes=0-4999")
    rest = {"content-range": "bytes 5000-999999/1000000"}
    assert world.call("PUT", session, data=content[5000:], headers=rest).status_code == 200
    assert world.store.read(BUCKET, "object") == content


def test_later_request_takes_over_an_upload_from_a_hanging_one(world: StorageWorld) -> None:
    session = begin(world, "object")
    head = f"PUT {session} HTTP/1.1\r\nContent-Range: bytes 0-999999/1000000"
    hanging = send_part_of_a_request(world, head, b"a" * 10)
    wait_until(lambda: len(world.files()) == 1)
    rest = {"content-range": "bytes 10-999999/1000000"}
    assert world.call("PUT", session, data=b"b" * 999_990, headers=rest).status_code == 200
    hanging.sendall(b"c" * 10)
    assert b" 409 " in hanging.recv(1000)
    hanging.close()
    assert world.store.read(BUCKET, "object") == b"a" * 10 + b"b" * 999_990


def test_upload_needs_a_name_a_type_and_a_bucket(world: StorageWorld) -> None:
    assert_rejected(upload(world, "", b"x"), 400, "required")
    assert_rejected(world.call("POST", UPLOAD, params={"name": "object"}, data=b"x"), 400, "invalid")
    other = world.call("POST", "/upload/storage/v1/b/absent/o?uploadType=media&name=object", data=b"x")
    assert_rejected(other, 404, "notFound")
    assert world.events == []


@pytest.mark.parametrize("name", [".", "..", "line\nbreak", ".well-known/acme-challenge/x", "x" * 1025])
def test_invalid_name_is_rejected(world: StorageWorld, name: str) -> None:
    assert_rejected(upload(world, name, b"x"), 400, "invalid")
    assert (world.events, world.files()) == ([], [])


def test_a_finished_upload_that_is_cancelled_leaves_its_object(world: StorageWorld) -> None:
    session = begin(world, "object")
    assert world.call("PUT", session, data=b"abc").status_code == 200
    assert world.call("DELETE", session).status_code == 499
    assert_rejected(world.call("DELETE", session), 404, "notFound")
    assert world.store.read(BUCKET, "object") == b"abc"


# Downloads


@pytest.mark.parametrize(
    ("asked", "status", "content", "content_range"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=4-", 206, b"456789", "bytes 4-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=8-100", 206, b"89", "bytes 8-9/10"),
        ("bytes=-100", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=-0", 416, None, "bytes */10"),
        ("bytes=5-2", 200, b"0123456789", None),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
        ("lines=0-1", 200, b"0123456789", None),
    ],
)
def test_range_of_a_download(
    world: StorageWorld, asked: str, status: int, content: bytes | None, content_range: str | None
) -> None:
    upload(world, "digits", b"0123456789")
    answer = world.call("GET", f"/download{OBJECTS}/digits?alt=media", headers={"range": asked})
    assert (answer.status_code, answer.headers.get("content-range")) == (status, content_range)
    if content is None:
        assert_rejected(answer, 416, "requestedRangeNotSatisfiable")
    else:
        assert answer.content == content


def test_a_download_of_a_former_version_is_not_continued(world: StorageWorld) -> None:
    former = upload(world, "digits", b"9876543210").json()["etag"]
    upload(world, "digits", b"0123456789")
    path = f"{OBJECTS}/digits?alt=media"
    live = world.call("GET", path).headers
    for known, content in ((former, b"0123456789"), (live["etag"], b"23"), (live["last-modified"], b"23")):
        answer = world.call("GET", path, headers={"range": "bytes=2-3", "if-range": known})
        assert answer.content == content


def test_range_of_an_empty_object_is_rejected(world: StorageWorld) -> None:
    upload(world, "empty", b"")
    answer = world.call("GET", f"{OBJECTS}/empty?alt=media", headers={"range": "bytes=0-0"})
    assert answer.status_code == 416
    assert world.call("GET", f"{OBJECTS}/empty?alt=media").content == b""


def test_download_has_the_headers_of_the_object(world: StorageWorld) -> None:
    resource = upload(world, "object", b"content", headers={"content-type": "text/plain"}).json()
    answer = world.call("GET", f"{OBJECTS}/object?alt=media")
    assert answer.headers["content-type"] == "text/plain"
    assert answer.headers["content-length"] == "7"
    assert answer.headers["x-goog-hash"] == f"crc32c={crc32c_of(b'content')},md5={md5_of(b'content')}"
    assert answer.headers["x-goog-generation"] == resource["generation"]
    assert answer.headers["x-goog-metageneration"] == "1"
    assert answer.headers["etag"] == resource["etag"]
    assert requests.get(resource["mediaLink"], timeout=LAST_LIMIT).content == b"content"
    assert requests.get(resource["selfLink"], timeout=LAST_LIMIT).json() == resource


def test_download_in_progress_is_not_changed_by_an_overwrite(world: StorageWorld) -> None:
    content = bytes(range(256)) * 40_000
    upload(world, "object", content)
    with requests.get(f"{world.url}{OBJECTS}/object?alt=media", stream=True, timeout=LAST_LIMIT) as answer:
        start = answer.raw.read(1000)
        upload(world, "object", b"new")
        world.call("DELETE", f"{OBJECTS}/object")
        assert start + answer.raw.read() == content
    assert world.files() == []


# Everything else


def test_fields_parameter_selects_fields(world: StorageWorld) -> None:
    upload(world, "a", b"x")
    upload(world, "b/c", b"x")
    answer = world.call("GET", f"{OBJECTS}?fields=items(name,size),prefixes&delimiter=/").json()
    assert answer == {"items": [{"name": "a", "size": "1"}], "prefixes": ["b/"]}
    assert world.call("GET", f"{OBJECTS}?fields=items/name").json()["items"] == [{"name": "a"}, {"name": "b/c"}]
    assert world.call("GET", f"{OBJECTS}/a?fields=name,size").json() == {"name": "a", "size": "1"}
    everything = world.call("GET", f"{OBJECTS}/a").json()
    assert world.call("GET", f"{OBJECTS}/a?fields=*").json() == everything
    assert world.call("GET", f"{OBJECTS}?fields=items/metadata/any").status_code == 200
    malformed = ("items(", "items)", ",", "a,,b", "a//b", "(", "a;b")
    for fields in (*malformed, "item", "items/nam", "items(name,colour)", "kind/a"):
        assert_rejected(world.call("GET", OBJECTS, params={"fields": fields}), 400, "invalid")


def test_unknown_paths_and_methods_are_rejected(world: StorageWorld) -> None:
    assert_rejected(world.call("GET", "/storage/v1/nothing"), 404, "notFound")
    assert_rejected(world.call("POST", f"{OBJECTS}/a", json={}), 405, "httpMethodNotAllowed")
    assert_rejected(world.call("GET", "/storage/v1/b/absent/o"), 404, "notFound")
    assert_rejected(world.call("GET", f"{OBJECTS}?pageToken=%00%ff"), 400, "invalid")
    assert_rejected(world.call("GET", f"{OBJECTS}?maxResults=many"), 400, "invalid")
    assert_rejected(world.call("PATCH", f"{OBJECTS}/a", data=b"{"), 400, "invalid")


def test_batch_answers_each_call_separately(world: StorageWorld) -> None:
    upload(world, "here", b"x")
    calls = [
        f"GET {OBJECTS}/here HTTP/1.1\r\n\r\n",
        f"DELETE {OBJECTS}/absent HTTP/1.1\r\n\r\n",
        f"POST {UPLOAD}?uploadType=media&name=x HTTP/1.1\r\n\r\nabc",
        f"GET {OBJECTS}/here?alt=media HTTP/1.1\r\n\r\n",
    ]
    parts = [
        f"--b\r\nContent-Type: application/http\r\nContent-ID: <c+{number}>\r\n\r\n{call}\r\n"
        for number, call in enumerate(calls)
    ]
    headers = {"content-type": "multipart/mixed; boundary=b"}
    answer = world.call("POST", "/batch/storage/v1", data="".join(parts) + "--b--", headers=headers)
    assert answer.status_code == 200
    assert re.findall("<response-c.(.)>|HTTP/1.1 ([0-9]*)", answer.text) == [
        item for number, status in enumerate(("200", "404", "400", "400")) for item in ((str(number), ""), ("", status))
    ]
    assert f"A batch can't hold 'GET {OBJECTS}/here'" in answer.text
    assert [stored.name for stored in world.store.list(BUCKET)] == ["here"]
    assert_rejected(world.call("POST", "/batch/storage/v1", data=b"{}"), 400, "invalid")


def test_writes_beyond_a_set_limit_are_rejected(world: StorageWorld) -> None:
    world.storage.limit_writes(0.001)
    assert upload(world, "hot", b"1").status_code == 200
    assert_rejected(upload(world, "hot", b"2"), 429, "rateLimitExceeded")
    assert_rejected(world.call("PATCH", f"{OBJECTS}/hot", json={"metadata": {"k": "v"}}), 429, "rateLimitExceeded")
    assert_rejected(world.call("DELETE", f"{OBJECTS}/hot"), 429, "rateLimitExceeded")
    assert upload(world, "other", b"1").status_code == 200
    # A failed precondition is reported as one even within the limit's interval.
    assert_rejected(upload(world, "hot", b"3", params={"ifGenerationMatch": "0"}), 412, "conditionNotMet")
    session = begin(world, "hot")
    assert_rejected(world.call("PUT", session, data=b"4"), 429, "rateLimitExceeded")
    assert (world.store.read(BUCKET, "hot"), len(world.events)) == (b"1", 2)

    world.storage.limit_writes(None)
    assert world.call("PUT", session, headers={"content-range": "bytes */1"}).status_code == 200
    assert world.store.read(BUCKET, "hot") == b"4"


def test_the_storage_class_of_an_object_is_changed_by_rewriting_only(world: StorageWorld) -> None:
    world.store.write(BUCKET, "a", b"x")
    path = f"/storage/v1/b/{BUCKET}/o/a"
    assert_rejected(world.call("PATCH", path, json={"storageClass": "NEARLINE"}), 400, "invalid")
    assert world.call("PATCH", path, json={"storageClass": "STANDARD"}).status_code == 200
    answer = world.call("POST", f"{path}/rewriteTo/b/{BUCKET}/o/a", json={"storageClass": "NEARLINE"})
    assert answer.json()["resource"]["storageClass"] == "NEARLINE"


@pytest.mark.parametrize(
    "parameters", ["rewriteToken=x", "maxBytesRewrittenPerCall=1000", "maxBytesRewrittenPerCall=0"]
)
def test_a_rewrite_without_valid_parameters_is_rejected(world: StorageWorld, parameters: str) -> None:
    world.store.write(BUCKET, "a", b"x")
    path = f"/storage/v1/b/{BUCKET}/o/a/rewriteTo/b/{BUCKET}/o/b?{parameters}"
    assert_rejected(world.call("POST", path), 400, "invalid")


def test_a_bucket_is_found_by_its_generation(world: StorageWorld) -> None:
    path = f"/storage/v1/b/{BUCKET}"
    generation = world.call("GET", path).json()["generation"]
    assert world.call("GET", f"{path}?generation={generation}").status_code == 200
    assert_rejected(world.call("GET", f"{path}?generation=1"), 404, "notFound")


@pytest.mark.parametrize("path", ["/storage/v1/b?project=local-project", f"/storage/v1/b/{BUCKET}/o"])
def test_a_page_of_a_negative_size_is_rejected(world: StorageWorld, path: str) -> None:
    assert_rejected(world.call("GET", path, params={"maxResults": "-1"}), 400, "invalid")


@pytest.mark.parametrize(
    "method,path,body,reason",
    [
        ("GET", "/storage/v1/b", None, "required"),
        ("POST", "/storage/v1/b", {"name": "other"}, "required"),
        ("POST", "/storage/v1/b?project=p", {"name": "my-google-films"}, "invalid"),
        ("POST", "/storage/v1/b?project=p", {"name": "g00gle-films"}, "invalid"),
        ("POST", "/storage/v1/b?project=p", {"name": "other", "location": "MARS"}, "invalid"),
        ("POST", "/storage/v1/b?project=p", {"name": "other", "acl": [{"entity": "me", "role": "OWNER"}]}, "invalid"),
        ("POST", "/storage/v1/b?project=p&predefinedAcl=mine", {"name": "other"}, "invalid"),
        ("POST", "/storage/v1/b?project=p", {"name": "other", "location": "us-east1", "rpo": "DEFAULT"}, "invalid"),
        ("POST", "/storage/v1/b?project=p", {"name": "other", "location": "eu", "rpo": "ASYNC_TURBO"}, "invalid"),
        ("PATCH", f"/storage/v1/b/{BUCKET}", {"rpo": "ASYNC_TURBO"}, "invalid"),
        ("PATCH", f"/storage/v1/b/{BUCKET}?predefinedAcl=mine", {"labels": {"team": "films"}}, "invalid"),
        ("GET", "/storage/v1/b/No_Such!", None, "invalid"),
        ("GET", f"/storage/v1/b/{BUCKET}/o?versions=perhaps", None, "invalid"),
        ("GET", f"/storage/v1/b/{BUCKET}?alt=xml", None, "invalid"),
        ("PATCH", f"/storage/v1/b/{BUCKET}", {"objectRetention": {"mode": "Enabled"}}, "invalid"),
        ("POST", "/storage/v1/b?project=p", {"name": "other", "objectRetention": {"mode": "Enabled"}}, "invalid"),
    ],
)
def test_a_wrong_request_for_a_bucket_changes_nothing(
    world: StorageWorld, method: str, path: str, body: object, reason: str
) -> None:
    before = world.store.buckets()
    assert_rejected(world.call(method, path, json=body), 400, reason)
    assert world.store.buckets() == before
