"""Signed URLs and the XML API, through Google's own Python client and by hand."""

from __future__ import annotations

import base64
import hashlib
from datetime import timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote

import pytest
import requests
from google.oauth2.service_account import Credentials as ServiceAccount

from localcloud.base.clock import ManualClock
from localcloud.base.credentials import Credentials
from tests.localcloud.storage.world import BUCKET, PROJECT, StorageWorld, listed
from tests.waiting import LAST_LIMIT

COPY_OF_A = {"x-goog-copy-source": f"/{BUCKET}/a"}


@pytest.fixture
def world(xml_world: StorageWorld) -> StorageWorld:
    return xml_world


def signed_url(world: StorageWorld, signer: Credentials, name: str, **options: Any) -> str:
    blob = world.bucket().blob(name)
    account = ServiceAccount.from_service_account_info(signer.key)
    defaults = {"expiration": timedelta(minutes=5), "credentials": account, "api_access_endpoint": world.url}
    url: str = blob.generate_signed_url(**{**defaults, **options})
    return url


def get(url: str, **options: Any) -> requests.Response:
    return requests.get(url, timeout=LAST_LIMIT, **options)


def put(url: str, **options: Any) -> requests.Response:
    return requests.put(url, timeout=LAST_LIMIT, **options)


@pytest.mark.parametrize("version", ["v2", "v4"])
@pytest.mark.parametrize("name", ["a", "deep/er name + ü", "a?b#c&d=e"])
def test_a_signed_url_reads_and_writes_one_object(
    world: StorageWorld, signer: Credentials, version: str, name: str
) -> None:
    answer = put(
        signed_url(world, signer, name, version=version, method="PUT", content_type="text/plain"),
        data=b"content",
        headers={"content-type": "text/plain"},
    )
    assert (answer.status_code, answer.text) == (200, "")
    assert world.store.read(BUCKET, name) == b"content"
    assert world.store.get(BUCKET, name).content_type == "text/plain"
    url = signed_url(world, signer, name, version=version, response_disposition="attachment; filename=x")
    read = get(url)
    assert (read.content, read.headers["content-disposition"]) == (b"content", "attachment; filename=x")
    assert requests.delete(signed_url(world, signer, name, version=version, method="DELETE"), timeout=LAST_LIMIT).ok
    assert world.store.list(BUCKET) == []


@pytest.mark.parametrize("version", ["v2", "v4"])
def test_a_signed_url_is_for_its_request_and_its_time_only(
    world: StorageWorld, signer: Credentials, xml_clock: ManualClock, version: str
) -> None:
    world.store.write(BUCKET, "a", b"content")
    world.store.write(BUCKET, "b", b"secret")
    url = signed_url(world, signer, "a", version=version)
    assert get(url).content == b"content"
    for wrong in (
        get(url.replace("/a?", "/b?")),
        put(url, data=b"other"),
        get(url.replace("ignature=", "ignature=00")),
    ):
        assert wrong.status_code in (400, 403)
        assert "<Code>" in wrong.text
    assert world.store.read(BUCKET, "a") == b"content"
    stranger = Credentials(project=PROJECT, account="signer", token_uri="http://127.0.0.1/token", clock=xml_clock)
    denied = get(signed_url(world, stranger, "a", version=version))
    assert (denied.status_code, "SignatureDoesNotMatch" in denied.text) == (403, True)
    xml_clock.advance(6 * 60)
    expired = get(url)
    assert (expired.status_code, "ExpiredToken" in expired.text) == (400, True)


def test_a_signature_over_the_host_without_its_port_is_valid(world: StorageWorld, signer: Credentials) -> None:
    world.store.write(BUCKET, "a", b"content")
    without_port, port = world.url.rsplit(":", 1)
    url = signed_url(world, signer, "a", version="v4", api_access_endpoint=without_port)
    assert get(url.replace(without_port, f"{without_port}:{port}")).content == b"content"


def test_a_signature_in_small_letters_is_checked_too(world: StorageWorld, signer: Credentials) -> None:
    # gcloud storage sign-url writes the names of parameters so.
    world.store.write(BUCKET, "a", b"content")
    path, _, query = signed_url(world, signer, "a", version="v4").partition("?")
    small = "&".join(f"{name.lower()}={value}" for name, _, value in (pair.partition("=") for pair in query.split("&")))
    # The names are part of what is signed.
    denied = get(f"{path}?{small}")
    assert (denied.status_code, "SignatureDoesNotMatch" in denied.text) == (403, True)


def test_the_headers_that_are_sent_are_those_that_are_signed(world: StorageWorld, signer: Credentials) -> None:
    headers = {"x-goog-meta-team": "films", "x-goog-if-generation-match": "0"}
    url = signed_url(world, signer, "a", version="v4", method="PUT", headers=headers)
    for sent, wrong in (({}, "x-goog-if-generation-match"), ({**headers, "x-goog-acl": "public-read"}, "x-goog-acl")):
        refused = put(url, data=b"x", headers=sent)
        assert (refused.status_code, "<Code>MalformedSecurityHeader</Code>" in refused.text) == (400, True)
        assert f"<ParameterName>{wrong}</ParameterName>" in refused.text
    assert world.store.list(BUCKET) == []
    assert put(url, data=b"x", headers=headers).status_code == 200
    assert world.store.get(BUCKET, "a").metadata == {"team": "films"}
    again = put(url, data=b"x", headers=headers)
    assert (again.status_code, "PreconditionFailed" in again.text) == (412, True)


def test_what_is_said_about_an_object_is_in_its_headers(world: StorageWorld) -> None:
    said = {"x-goog-meta-team": "films", "x-goog-custom-time": "2026-01-01T00:00:00.000Z"}
    assert put(f"{world.url}/{BUCKET}/a", data=b"x", headers=said).status_code == 200
    world.store.update_fields(BUCKET, "a", {"metadata": {"größe": "x", "lines": "a\r\nb", "town": "Köln"}})
    for method in ("GET", "HEAD"):
        headers = world.call(method, f"/{BUCKET}/a").headers
        assert said.items() <= headers.items()
        town = headers["x-goog-meta-town"].encode("latin-1").decode()
        assert (town, "x-goog-meta-lines" in headers) == ("Köln", False)


@pytest.mark.parametrize("version", ["v2", "v4"])
def test_a_signed_url_starts_a_resumable_upload(world: StorageWorld, signer: Credentials, version: str) -> None:
    url = signed_url(world, signer, "a", version=version, method="RESUMABLE")
    begun = requests.post(url, headers={"x-goog-resumable": "start"}, timeout=LAST_LIMIT)
    assert begun.status_code == 201
    location = begun.headers["location"]
    assert put(location, headers={"content-range": "bytes */3"}).status_code == 308
    assert put(location, data=b"one", headers={"content-range": "bytes 0-2/3"}).status_code == 200
    assert world.store.read(BUCKET, "a") == b"one"


@pytest.mark.parametrize("version", ["v2", "v4"])
def test_a_signed_url_lists_the_objects_of_a_bucket(world: StorageWorld, signer: Credentials, version: str) -> None:
    world.store.write(BUCKET, "a ü&<b", b"content")
    bucket = world.bucket()
    account = ServiceAccount.from_service_account_info(signer.key)
    url = bucket.generate_signed_url(
        expiration=timedelta(minutes=1), credentials=account, version=version, api_access_endpoint=world.url
    )
    found = listed(get(url).text)
    stored = world.store.get(BUCKET, "a ü&<b")
    assert (found["Name"], found["Key"], found["Size"]) == ([BUCKET], ["a ü&<b"], ["7"])
    assert (found["Generation"], found["ETag"]) == ([str(stored.generation)], [f'"{stored.etag}"'])
    assert found["IsTruncated"] == ["false"]


@pytest.mark.parametrize(
    ("first", "following"),
    [
        ("max-keys=2", ("NextMarker", "marker")),
        ("list-type=2&max-keys=2", ("NextContinuationToken", "continuation-token")),
    ],
)
def test_pages_of_a_list_have_each_object_and_folder_once(
    world: StorageWorld, first: str, following: tuple[str, str]
) -> None:
    for name in ("a/1", "a/2", "b", "c/1", "c/2", "d e", "x"):
        world.store.write(BUCKET, name, b"")
    keys, prefixes, query = [], [], first
    while query:
        found = listed(world.call("GET", f"/{BUCKET}?{query}&delimiter=/&encoding-type=url").text)
        keys += found.get("Key", [])
        prefixes += found["Prefix"][1:]
        more = found["IsTruncated"] == ["true"]
        query = f"{first}&{following[1]}={quote(found[following[0]][0])}" if more else ""
    assert (keys, prefixes) == (["b", "d%20e", "x"], ["a/", "c/"])


def test_a_list_begins_after_a_name_and_has_a_prefix(world: StorageWorld) -> None:
    for name in ("a1", "a2", "a3", "b"):
        world.store.write(BUCKET, name, b"")
    found = listed(world.call("GET", f"/{BUCKET}/?list-type=2&prefix=a&start-after=a1").text)
    assert (found["Key"], found["KeyCount"], found["Prefix"]) == (["a2", "a3"], ["2"], ["a"])
    assert "Key" not in listed(world.call("GET", f"/{BUCKET}?max-keys=0").text)


def test_errors_have_the_codes_of_the_xml_api(world: StorageWorld) -> None:
    world.store.write(BUCKET, "a", b"content")
    wrong_md5 = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    for method, path, headers, status, code in (
        ("GET", f"/{BUCKET}/absent", {}, 404, "NoSuchKey"),
        ("GET", f"/{BUCKET}/a", {"range": "bytes=100-"}, 416, "InvalidRange"),
        ("PUT", f"/{BUCKET}/a", {"content-md5": wrong_md5}, 400, "BadDigest"),
        ("PUT", f"/{BUCKET}/a", {"x-goog-acl": "mine"}, 400, "InvalidArgument"),
        ("PUT", f"/{BUCKET}/a", {"x-goog-copy-source": f"/{BUCKET}/absent"}, 404, "NoSuchKey"),
        ("PUT", f"/{BUCKET}/a", {"x-goog-copy-source": f"/{BUCKET}/a"}, 400, "InvalidArgument"),
        ("PUT", f"/{BUCKET}/b", {"x-goog-copy-source": BUCKET}, 400, "InvalidArgument"),
        ("PUT", f"/{BUCKET}/b", {**COPY_OF_A, "x-goog-metadata-directive": "MERGE"}, 400, "InvalidArgument"),
        ("PUT", f"/{BUCKET}/b", {**COPY_OF_A, "x-goog-copy-source-if-match": '"other"'}, 412, "PreconditionFailed"),
        ("PUT", f"/{BUCKET}/b", {**COPY_OF_A, "x-goog-copy-source-generation": "1"}, 404, "NoSuchKey"),
        ("PUT", f"/{BUCKET}/b", {**COPY_OF_A, "x-goog-copy-source-if-modified-since": "x"}, 501, "NotImplemented"),
        ("PUT", f"/{BUCKET}/b?partNumber=1&uploadId=x", COPY_OF_A, 501, "NotImplemented"),
        ("PUT", f"/{BUCKET}/b", {"x-goog-metadata-directive": "COPY"}, 501, "NotImplemented"),
        ("PUT", f"/{BUCKET}/a", {"x-amz-copy-source": "/b/a"}, 501, "NotImplemented"),
        ("PUT", f"/{BUCKET}/a", {"x-amz-meta-team": "films"}, 501, "NotImplemented"),
        ("PUT", f"/{BUCKET}/a", {"x-goog-object-lock-mode": "GOVERNANCE"}, 501, "NotImplemented"),
        ("PUT", f"/{BUCKET}/a", {"x-goog-content-length-range": "1,5"}, 400, "EntityTooSmall"),
        ("PUT", f"/{BUCKET}/a", {"x-goog-content-length-range": "5"}, 400, "InvalidArgument"),
        ("PUT", f"/{BUCKET}/a?acl", {}, 501, "NotImplemented"),
        ("PUT", f"/{BUCKET}/a?compose", {}, 501, "NotImplemented"),
        ("DELETE", f"/{BUCKET}/a?tagging", {}, 501, "NotImplemented"),
        ("GET", f"/{BUCKET}/a?acl", {}, 501, "NotImplemented"),
        ("GET", f"/{BUCKET}/a?uploadId=x", {}, 404, "NoSuchUpload"),
        ("GET", f"/{BUCKET}/a?uploads", {}, 501, "NotImplemented"),
        ("GET", f"/{BUCKET}/a?X-Amz-Signature=00", {}, 501, "NotImplemented"),
        ("GET", f"/{BUCKET}/a?X-Goog-Signature=00&X-Goog-Algorithm=GOOG4-HMAC-SHA256", {}, 501, "NotImplemented"),
        ("GET", f"/{BUCKET}/a?GoogleAccessId=GOOG1E&Signature=AA==&Expires=32503680000", {}, 501, "NotImplemented"),
        ("GET", f"/{BUCKET}/a?GoogleAccessId=a@b&Signature=%&Expires=32503680000", {}, 400, "MalformedSecurityHeader"),
        ("GET", f"/{BUCKET}/a", {"if-unmodified-since": "Fri, 01 Jan 1999 00:00:00 GMT"}, 412, "PreconditionFailed"),
        ("GET", f"/{BUCKET}/?versions", {}, 501, "NotImplemented"),
        ("GET", f"/{BUCKET}?acl", {}, 501, "NotImplemented"),
        ("GET", f"/{BUCKET}?fetch-owner=true", {}, 501, "NotImplemented"),
        ("GET", f"/{BUCKET}?max-keys=x", {}, 400, "InvalidArgument"),
        ("GET", f"/{BUCKET}?max-keys=-1", {}, 400, "InvalidArgument"),
        ("GET", f"/{BUCKET}?list-type=3", {}, 400, "InvalidArgument"),
        ("PUT", f"/{BUCKET}", {}, 501, "NotImplemented"),
        ("PUT", "/a-new-bucket", {}, 501, "NotImplemented"),
        ("DELETE", f"/{BUCKET}/", {}, 501, "NotImplemented"),
        ("POST", f"/{BUCKET}/a", {}, 501, "NotImplemented"),
        ("PATCH", f"/{BUCKET}/a", {}, 405, "MethodNotAllowed"),
    ):
        answer = world.call(method, path, headers=headers, data=b"" if method == "PUT" else None)
        assert (answer.status_code, f"<Code>{code}</Code>" in answer.text) == (status, True), (
            method,
            path,
            answer.text,
        )
    head = world.call("HEAD", f"/{BUCKET}/a")
    assert (head.status_code, head.headers["content-length"]) == (200, "7")
    assert world.call("HEAD", f"/{BUCKET}/absent").status_code == 404
    assert [world.call("HEAD", f"/{name}").status_code for name in (BUCKET, f"{BUCKET}/", "absent")] == [200, 200, 404]
    assert world.store.read(BUCKET, "a") == b"content"


@pytest.mark.parametrize(
    ("directive", "kept"),
    [
        ({}, ("text/csv", {"team": "films"})),
        ({"x-goog-metadata-directive": "REPLACE"}, ("application/octet-stream", {})),
        ({"x-goog-metadata-directive": "REPLACE", "x-goog-meta-a": "b"}, ("application/octet-stream", {"a": "b"})),
    ],
)
def test_a_copy_has_the_metadata_of_its_source_or_those_of_the_request(
    world: StorageWorld, directive: dict[str, str], kept: tuple[str, dict[str, str]]
) -> None:
    put(f"{world.url}/{BUCKET}/a", data=b"content", headers={"content-type": "text/csv", "x-goog-meta-team": "films"})
    headers = {**COPY_OF_A, **directive, "x-goog-storage-class": "NEARLINE", "x-goog-if-generation-match": "0"}
    answer = put(f"{world.url}/{BUCKET}/b", headers=headers)
    copied = world.store.get(BUCKET, "b")
    assert listed(answer.text)["ETag"] == [f'"{copied.etag}"']
    assert (copied.content_type, copied.metadata, copied.storage_class) == (*kept, "NEARLINE")
    assert world.store.read(BUCKET, "b") == b"content"
    assert put(f"{world.url}/{BUCKET}/b", headers=headers).status_code == 412


def test_an_entity_tag_is_in_quotes_and_a_condition_of_reads(world: StorageWorld) -> None:
    etag = world.call("PUT", f"/{BUCKET}/a", data=b"content").headers["etag"]
    assert (etag[0], etag[-1], world.call("GET", f"/{BUCKET}/a").headers["etag"]) == ('"', '"', etag)
    for headers, status in (
        ({"if-none-match": etag}, 304),
        ({"if-none-match": '"other"'}, 200),
        ({"if-match": f'"other", {etag}'}, 200),
        ({"if-match": '"other"'}, 412),
    ):
        assert world.call("GET", f"/{BUCKET}/a", headers=headers).status_code == status


def test_an_object_that_did_not_change_since_a_time_is_not_sent(world: StorageWorld) -> None:
    stored = world.store.write(BUCKET, "a", b"content")
    later = stored.updated + timedelta(hours=1)
    unchanged = get(f"{world.url}/{BUCKET}/a", headers={"if-modified-since": format_datetime(later, usegmt=True)})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    earlier = stored.updated - timedelta(hours=1)
    changed = get(f"{world.url}/{BUCKET}/a", headers={"if-modified-since": format_datetime(earlier, usegmt=True)})
    assert (changed.status_code, changed.content) == (200, b"content")


@pytest.mark.parametrize(
    "origin,method,allowed",
    [
        ("http://localhost:3000", "PUT", "http://localhost:3000"),
        ("http://localhost:3000", "DELETE", None),
        ("http://localhost:4000", "PUT", None),
    ],
)
def test_pages_of_the_origins_of_a_bucket_may_use_its_objects(
    world: StorageWorld, origin: str, method: str, allowed: str | None
) -> None:
    rule = {"origin": ["http://localhost:3000"], "method": ["GET", "PUT"], "responseHeader": ["Content-Type", "ETag"]}
    world.store.patch_bucket(BUCKET, {"cors": [rule | {"maxAgeSeconds": 60}]})
    asked = {"access-control-request-method": method, "access-control-request-headers": "content-type,x-other"}
    preflight = world.call("OPTIONS", f"/{BUCKET}/a", headers={"origin": origin, **asked})
    assert (preflight.status_code, preflight.headers.get("access-control-allow-origin")) == (200, allowed)
    if allowed:
        assert preflight.headers["access-control-allow-methods"] == "GET, PUT"
        assert preflight.headers["access-control-allow-headers"] == "content-type"
        assert preflight.headers["access-control-max-age"] == "60"
    # The local cloud takes changes from pages as JSON only.
    headers = {"origin": origin, "content-type": "application/json"}
    sent = world.call(method, f"/{BUCKET}/a", headers=headers, data=b"{}")
    assert sent.headers.get("access-control-allow-origin") == allowed
    assert sent.headers.get("access-control-expose-headers") == (allowed and "Content-Type, ETag")


def test_a_signed_length_limits_an_upload_and_a_resumable_one(world: StorageWorld, signer: Credentials) -> None:
    limit = {"x-goog-content-length-range": "1,3"}
    url = signed_url(world, signer, "a", version="v4", method="PUT", headers=limit)
    refused = put(url, data=b"four", headers=limit)
    assert (refused.status_code, "<Code>EntityTooLarge</Code>" in refused.text) == (400, True)
    assert world.store.list(BUCKET) == []
    assert put(url, data=b"abc", headers=limit).status_code == 200
    start = signed_url(world, signer, "b", version="v4", method="RESUMABLE", headers=limit)
    headers = {**limit, "x-goog-resumable": "start"}
    location = requests.post(start, headers=headers, timeout=LAST_LIMIT).headers["location"]
    assert put(location, data=b"four").status_code == 400
    assert [stored.name for stored in world.store.list(BUCKET)] == ["a"]


@pytest.mark.parametrize("version", ["v2", "v4"])
def test_a_signed_url_reads_an_object_with_a_customer_supplied_key(
    world: StorageWorld, signer: Credentials, version: str
) -> None:
    key = b"k" * 32
    world.bucket().blob("a", encryption_key=key).upload_from_string("secret")
    headers = {
        "x-goog-encryption-algorithm": "AES256",
        "x-goog-encryption-key": base64.b64encode(key).decode(),
        "x-goog-encryption-key-sha256": base64.b64encode(hashlib.sha256(key).digest()).decode(),
    }
    # Version 2 signs the algorithm alone: https://cloud.google.com/storage/docs/access-control/signed-urls-v2
    signed = {"x-goog-encryption-algorithm": "AES256"} if version == "v2" else headers
    url = signed_url(world, signer, "a", version=version, headers=signed)
    assert get(url, headers=headers).content == b"secret"
    assert get(url).status_code in (400, 403)


def test_a_key_of_cloud_kms_is_refused_by_name(world: StorageWorld) -> None:
    answer = put(f"{world.url}/{BUCKET}/a", data=b"x", headers={"x-goog-encryption-kms-key-name": "projects/p/k"})
    assert (answer.status_code, "Cloud KMS" in answer.text) == (501, True)
    assert world.store.list(BUCKET) == []
