"""Uploads in parts by the XML API."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from google.cloud.storage import transfer_manager

from tests.localcloud.storage.world import BUCKET, StorageWorld, listed

MEBIBYTE = 1 << 20


@pytest.fixture
def world(xml_world: StorageWorld) -> StorageWorld:
    return xml_world


def test_the_transfer_manager_uploads_a_file_in_parts(world: StorageWorld, tmp_path: Path) -> None:
    file = tmp_path / "big"
    file.write_bytes(os.urandom(11 * MEBIBYTE))
    blob = world.bucket().blob("folder/big")
    blob.metadata = {"team": "films"}
    transfer_manager.upload_chunks_concurrently(
        str(file), blob, chunk_size=5 * MEBIBYTE, worker_type=transfer_manager.THREAD
    )
    stored = world.store.get(BUCKET, "folder/big")
    assert (world.store.read(BUCKET, "folder/big"), stored.md5) == (file.read_bytes(), None)
    assert stored.metadata == {"team": "films"}
    assert len(world.files()) == 1


def begin(world: StorageWorld) -> str:
    answer = world.call("POST", f"/{BUCKET}/a?uploads")
    return answer.text.partition("<UploadId>")[2].partition("</UploadId>")[0]


def completion(*parts: tuple[int, str]) -> bytes:
    listed = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in parts)
    return f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()


def test_a_part_is_replaced_and_an_upload_is_aborted(world: StorageWorld) -> None:
    upload = f"/{BUCKET}/a?uploadId={begin(world)}"
    first = world.call("PUT", f"{upload}&partNumber=1", data=b"old").headers["etag"]
    second = world.call("PUT", f"{upload}&partNumber=1", data=b"new").headers["etag"]
    stale = world.call("POST", upload, data=completion((1, first)))
    assert (stale.status_code, "InvalidPart" in stale.text) == (400, True)
    assert world.call("POST", upload, data=completion((1, second))).status_code == 200
    assert world.store.read(BUCKET, "a") == b"new"
    assert world.call("POST", upload, data=completion((1, second))).status_code == 404

    late = f"/{BUCKET}/a?uploadId={begin(world)}"
    part = world.call("PUT", f"{late}&partNumber=1", data=b"late").headers["etag"]
    only_new = {"x-goog-if-generation-match": "0"}
    assert world.call("POST", late, data=completion((1, part)), headers=only_new).status_code == 412
    assert world.store.read(BUCKET, "a") == b"new"
    world.call("DELETE", late)

    other = f"/{BUCKET}/a?uploadId={begin(world)}"
    world.call("PUT", f"{other}&partNumber=1", data=b"dropped")
    assert world.call("DELETE", other).status_code == 204
    assert len(world.files()) == 1


@pytest.mark.parametrize(
    "body,code",
    [
        (b"", "InvalidArgument"),
        (b"<a", "InvalidArgument"),
        (b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "InvalidArgument"),
        (completion(), "InvalidArgument"),
        (completion((2, "x"), (1, "x")), "InvalidArgument"),
        (completion((0, "x")), "InvalidArgument"),
        (completion((7, "x")), "InvalidPart"),
    ],
)
def test_a_wrong_list_of_parts_is_refused(world: StorageWorld, body: bytes, code: str) -> None:
    answer = world.call("POST", f"/{BUCKET}/a?uploadId={begin(world)}", data=body)
    assert (answer.status_code, f"<Code>{code}</Code>" in answer.text) == (400, True)
    assert world.store.list(BUCKET) == []


def test_the_parts_of_an_upload_are_listed_in_pages(world: StorageWorld) -> None:
    upload = f"/{BUCKET}/a?uploadId={begin(world)}"
    etags = {
        number: world.call("PUT", f"{upload}&partNumber={number}", data=b"x" * number).headers["etag"]
        for number in (7, 2, 3)
    }
    page = listed(world.call("GET", f"{upload}&max-parts=2").text)
    assert (page["PartNumber"], page["Size"], page["ETag"]) == (["2", "3"], ["2", "3"], [etags[2], etags[3]])
    assert (page["IsTruncated"], page["NextPartNumberMarker"]) == (["true"], ["3"])
    last = listed(world.call("GET", f"{upload}&part-number-marker=3").text)
    assert (last["PartNumber"], last["IsTruncated"]) == (["7"], ["false"])
    assert world.call("GET", f"{upload}&max-parts=-1").status_code == 400


def test_a_part_that_is_too_small_is_refused(world: StorageWorld) -> None:
    upload = f"/{BUCKET}/a?uploadId={begin(world)}"
    etags = [world.call("PUT", f"{upload}&partNumber={number}", data=b"x").headers["etag"] for number in (1, 2)]
    answer = world.call("POST", upload, data=completion(*zip((1, 2), etags, strict=True)))
    assert (answer.status_code, "EntityTooSmall" in answer.text) == (400, True)
