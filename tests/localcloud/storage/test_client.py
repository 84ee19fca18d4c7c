"""Cloud Storage through Google's own Python client."""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.api_core import exceptions
from google.cloud import storage as google_storage
from google.cloud.storage import transfer_manager

from tests.localcloud.storage.world import (
    BUCKET,
    Stage,
    StorageWorld,
    storage_world,
)

NAMES = [
    "plain.txt",
    "deep/er/name",
    "with space and + and %2F",
    "ünïcode/雪/🙂",
    "a?b#c&d=e;f",
    "../../etc/passwd",
    "trailing/",
    "o/compose",
    "\u200b zero width",
    "x" * 1024,
]


@pytest.fixture
def world(stage: Stage, tmp_path: Path) -> Iterator[StorageWorld]:
    with storage_world(stage, tmp_path / "storage") as running:
        yield running


@pytest.fixture
def bucket(world: StorageWorld) -> google_storage.Bucket:
    return world.bucket()


def test_bucket_is_created_read_patched_listed_and_deleted(world: StorageWorld) -> None:
    client = world.client()
    created = client.create_bucket("other-bucket", location="us-central1")
    assert (created.location, created.location_type, created.metageneration) == ("US-CENTRAL1", "region", 1)

    created.labels = {"team": "films", "stage": "test"}
    created.versioning_enabled = False
    created.patch()
    again = client.get_bucket("other-bucket")
    assert again.labels == {"team": "films", "stage": "test"}
    assert again.metageneration == 2
    again.labels = {"team": "news"}
    again.patch()
    assert client.get_bucket("other-bucket").labels == {"team": "news"}

    assert [found.name for found in client.list_buckets()] == [BUCKET, "other-bucket"]
    assert [found.name for found in client.list_buckets(prefix="oth")] == ["other-bucket"]
    again.delete()
    assert client.lookup_bucket("other-bucket") is None


def test_taken_and_invalid_bucket_names_are_rejected(world: StorageWorld) -> None:
    client = world.client()
    with pytest.raises(exceptions.Conflict):
        client.create_bucket(BUCKET)
    with pytest.raises(exceptions.BadRequest):
        client.create_bucket("no/slash")


def test_bucket_with_objects_is_deleted_only_by_force(world: StorageWorld, bucket: google_storage.Bucket) -> None:
    for number in range(5):
        bucket.blob(f"object-{number}").upload_from_string(b"x")
    with pytest.raises(exceptions.Conflict):
        bucket.delete()
    bucket.delete(force=True)
    assert not bucket.exists()
    assert [kind for kind, _ in world.event_names()] == ["finalized"] * 5 + ["deleted"] * 5


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_any_valid_name_round_trips(world: StorageWorld, bucket: google_storage.Bucket, name: str) -> None:
    bucket.blob(name).upload_from_string(b"content")
    assert [blob.name for blob in bucket.list_blobs()] == [name]
    found = bucket.get_blob(name)
    assert found is not None
    assert found.download_as_bytes() == b"content"
    assert world.event_names() == [("finalized", name)]
    found.delete()
    assert bucket.get_blob(name) is None
    assert not world.files()


def test_name_that_is_too_long_is_rejected(world: StorageWorld, bucket: google_storage.Bucket) -> None:
    with pytest.raises(exceptions.BadRequest):
        bucket.blob("ü" * 513).upload_from_string(b"content")
    assert world.event_names() == []


def test_upload_has_checksums_fields_and_metadata(bucket: google_storage.Bucket) -> None:
    blob = bucket.blob("fields")
    blob.metadata = {"model": "titles", "ключ": "значение"}
    blob.cache_control = "no-store"
    blob.content_language = "de"
    blob.content_disposition = 'attachment; filename="ü.txt"'
    blob.upload_from_string("hello", content_type="text/plain", checksum="md5")
    assert (blob.crc32c, blob.md5_hash, blob.size) == ("mnG7TA==", "XUFAKrxLKna5cZ2REBfFkg==", 5)

    read = bucket.get_blob("fields")
    assert read.metadata == {"model": "titles", "ключ": "значение"}
    assert (read.cache_control, read.content_language, read.content_type) == ("no-store", "de", "text/plain")
    assert read.storage_class == "STANDARD"
    assert read.generation == blob.generation
    assert read.download_as_text() == "hello"


def test_metadata_is_patched_key_by_key_and_replaced_by_update(
    world: StorageWorld, bucket: google_storage.Bucket
) -> None:
    blob = bucket.blob("patched")
    blob.metadata = {"kept": "1", "gone": "2"}
    blob.upload_from_string(b"content", content_type="text/csv")
    generation = blob.generation
    blob.metadata = {"gone": None, "new": "3"}
    blob.patch()
    assert bucket.get_blob("patched").metadata == {"kept": "1", "new": "3"}
    assert (blob.generation, blob.metageneration) == (generation, 2)

    blob.metadata = {"only": "4"}
    blob.update()
    read = bucket.get_blob("patched")
    assert (read.metadata, read.content_type, read.metageneration) == ({"only": "4"}, "text/csv", 3)
    assert world.event_names() == [
        ("finalized", "patched"),
        ("metadataUpdated", "patched"),
        ("metadataUpdated", "patched"),
    ]


def test_conditional_writes_let_one_writer_through(world: StorageWorld, bucket: google_storage.Bucket) -> None:
    blob = bucket.blob("ledger/item")
    blob.upload_from_string(b"1", if_generation_match=0)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("ledger/item").upload_from_string(b"2", if_generation_match=0)
    first = blob.generation
    blob.upload_from_string(b"3", if_generation_match=first)
    assert blob.generation > first
    with pytest.raises(exceptions.PreconditionFailed):
        blob.delete(if_generation_match=first)
    with pytest.raises(exceptions.PreconditionFailed):
        blob.patch(if_metageneration_match=7)
    assert world.store.read(BUCKET, "ledger/item") == b"3"
    blob.delete(if_generation_match=blob.generation)
    assert world.event_names() == [
        ("finalized", "ledger/item"),
        ("finalized", "ledger/item"),
        ("deleted", "ledger/item"),
        ("deleted", "ledger/item"),
    ]


def test_files_are_uploaded_and_downloaded_in_one_request_and_in_chunks(
    world: StorageWorld, bucket: google_storage.Bucket, tmp_path: Path
) -> None:
    content = os.urandom(9 * 1024 * 1024 + 17)  # above the 8 MiB up to which the client sends one request
    (tmp_path / "up").write_bytes(content)
    bucket.blob("big").upload_from_filename(tmp_path / "up")
    bucket.blob("stream", chunk_size=256 * 1024).upload_from_file(io.BytesIO(content[:1_000_000]))
    bucket.blob("big").download_to_filename(tmp_path / "down")
    assert (tmp_path / "down").read_bytes() == content
    assert bucket.blob("stream").download_as_bytes(raw_download=True) == content[:1_000_000]
    assert bucket.blob("big").download_as_bytes(start=100, end=199) == content[100:200]
    assert bucket.blob("big", chunk_size=1024 * 1024).download_as_bytes() == content
    assert world.event_names() == [("finalized", "big"), ("finalized", "stream")]


def test_blobs_are_written_and_read_as_files(bucket: google_storage.Bucket) -> None:
    lines = [f"line {number} ü" for number in range(60_000)]
    with bucket.blob("lines.txt").open("w", chunk_size=256 * 1024, encoding="utf-8") as file:
        file.write("\n".join(lines))
    with bucket.blob("lines.txt").open("r", encoding="utf-8") as file:
        assert file.read().splitlines() == lines
    with bucket.blob("empty").open("wb"):
        pass
    assert bucket.get_blob("empty").size == 0


def test_file_write_that_fails_leaves_nothing(world: StorageWorld, bucket: google_storage.Bucket) -> None:
    writer = bucket.blob("half").open("wb", chunk_size=256 * 1024)
    writer.write(os.urandom(600_000))
    assert bucket.get_blob("half") is None
    writer.terminate()
    assert bucket.get_blob("half") is None
    assert world.event_names() == []


def test_list_has_pages_prefix_delimiter_offsets_and_glob(bucket: google_storage.Bucket) -> None:
    client = bucket.client
    for number in range(7):
        bucket.blob(f"a/{number}.pb").upload_from_string(b"")
    bucket.blob("a/deeper/file.pb").upload_from_string(b"")
    bucket.blob("b.txt").upload_from_string(b"")

    pages = list(client.list_blobs(BUCKET, page_size=3).pages)
    assert [len(list(page)) for page in pages] == [3, 3, 3]
    assert len(list(client.list_blobs(BUCKET, max_results=4))) == 4

    folders = client.list_blobs(BUCKET, delimiter="/")
    assert [blob.name for blob in folders] == ["b.txt"]
    assert folders.prefixes == {"a/"}
    inner = client.list_blobs(BUCKET, prefix="a/", delimiter="/", page_size=2)
    assert [blob.name for blob in inner] == [f"a/{number}.pb" for number in range(7)]
    assert inner.prefixes == {"a/deeper/"}

    some = client.list_blobs(BUCKET, start_offset="a/3", end_offset="a/6")
    assert [blob.name for blob in some] == ["a/3.pb", "a/4.pb", "a/5.pb"]
    assert [blob.name for blob in client.list_blobs(BUCKET, match_glob="a/*.pb")] == [f"a/{n}.pb" for n in range(7)]
    assert "a/deeper/file.pb" in [blob.name for blob in client.list_blobs(BUCKET, match_glob="**.pb")]
    named = list(client.list_blobs(BUCKET, fields="items(name),nextPageToken"))
    assert named[0].name == "a/0.pb"
    assert named[0].generation is None


def test_copies_and_renames_keep_content_and_fields(world: StorageWorld, bucket: google_storage.Bucket) -> None:
    source = bucket.blob("source")
    source.metadata = {"k": "v"}
    source.upload_from_string("text", content_type="text/plain")
    world.store.ensure_bucket("second-bucket")
    second = world.client().bucket("second-bucket")

    copied = bucket.copy_blob(source, second, "copied", if_generation_match=0)
    assert (copied.metadata, copied.content_type, copied.crc32c) == ({"k": "v"}, "text/plain", source.crc32c)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.copy_blob(source, second, "copied", if_generation_match=0)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.copy_blob(source, second, "never", if_source_generation_match=1)

    rewritten = second.blob("rewritten")
    assert rewritten.rewrite(source) == (None, 4, 4)
    renamed = bucket.rename_blob(source, "renamed")
    assert renamed.download_as_bytes() == b"text"
    moved = bucket.move_blob(renamed, "moved")
    assert [blob.name for blob in bucket.list_blobs()] == ["moved"]
    assert moved.metadata == {"k": "v"}
    # A copy has its own content.
    moved.delete()
    assert second.blob("copied").download_as_bytes() == second.blob("rewritten").download_as_bytes() == b"text"
    assert second.get_blob("never") is None


def test_composed_object_counts_its_components_and_has_no_md5(bucket: google_storage.Bucket) -> None:
    parts = [bucket.blob(f"part-{number}") for number in range(3)]
    for number, part in enumerate(parts):
        part.upload_from_string(f"{number}".encode())
    whole = bucket.blob("whole")
    whole.content_type = "text/plain"
    whole.compose(parts, if_generation_match=0)
    twice = bucket.blob("twice")
    twice.compose([whole, whole])
    assert twice.download_as_bytes() == b"012012"
    read = bucket.get_blob("twice")
    assert (read.component_count, read.md5_hash) == (6, None)
    assert bucket.get_blob("whole").content_type == "text/plain"
    with pytest.raises(exceptions.PreconditionFailed):
        whole.compose(parts, if_source_generation_match=[1, 2, 3])
    with pytest.raises(exceptions.NotFound):
        whole.compose([bucket.blob("absent")])


def test_batch_deletes_and_patches_many_in_one_request(world: StorageWorld, bucket: google_storage.Bucket) -> None:
    blobs = [bucket.blob(f"object {number} ü") for number in range(12)]
    for blob in blobs:
        blob.upload_from_string(b"x")
    client = bucket.client
    with client.batch():
        for blob in blobs[:10]:
            bucket.delete_blob(blob.name)
        blobs[10].metadata = {"batched": "yes"}
        blobs[10].patch()
    assert sorted(blob.name for blob in bucket.list_blobs()) == sorted(blob.name for blob in blobs[10:])
    assert bucket.get_blob(blobs[10].name).metadata == {"batched": "yes"}
    with pytest.raises(exceptions.NotFound), client.batch():
        bucket.delete_blob("absent")
        bucket.delete_blob(blobs[11].name)
    assert bucket.get_blob(blobs[11].name) is None
    bucket.delete_blobs([blobs[10]])
    assert world.store.list(BUCKET) == []


def test_many_files_are_uploaded_and_downloaded_in_parallel(
    world: StorageWorld, bucket: google_storage.Bucket, tmp_path: Path
) -> None:
    names = [f"variables/variables.data-{number:05d}-of-00040" for number in range(40)]
    (tmp_path / "up" / "variables").mkdir(parents=True)
    for name in names:
        (tmp_path / "up" / name).write_bytes(name.encode() * 100)
    uploaded = transfer_manager.upload_many_from_filenames(
        bucket, names, source_directory=str(tmp_path / "up"), worker_type=transfer_manager.THREAD, max_workers=8
    )
    assert uploaded == [None] * len(names)
    transfer_manager.download_many_to_path(
        bucket, names, destination_directory=str(tmp_path / "down"), worker_type=transfer_manager.THREAD
    )
    assert (tmp_path / "down" / names[7]).read_bytes() == names[7].encode() * 100
    assert sorted(world.event_names()) == [("finalized", name) for name in names]


def test_big_download_in_parallel_ranges(bucket: google_storage.Bucket, tmp_path: Path) -> None:
    content = os.urandom(3 * 1024 * 1024)
    bucket.blob("big").upload_from_string(content)
    transfer_manager.download_chunks_concurrently(
        bucket.blob("big"), str(tmp_path / "big"), chunk_size=512 * 1024, worker_type=transfer_manager.THREAD
    )
    assert (tmp_path / "big").read_bytes() == content


def test_gzip_is_decompressed_for_clients_that_do_not_accept_it(
    world: StorageWorld, bucket: google_storage.Bucket
) -> None:
    blob = bucket.blob("packed")
    blob.content_encoding = "gzip"
    packed = gzip.compress(b"text " * 1000, mtime=0)
    blob.upload_from_string(packed, content_type="text/plain")
    assert blob.download_as_bytes() == b"text " * 1000
    assert blob.download_as_bytes(raw_download=True) == packed
    plain = world.call(
        "GET", f"/download/storage/v1/b/{BUCKET}/o/packed?alt=media", headers={"accept-encoding": "identity"}
    )
    assert plain.content == b"text " * 1000
    assert "content-encoding" not in plain.headers


@pytest.mark.parametrize(
    "stored,sent",
    [
        (b"not gzip", b"not gzip"),
        (b"", b""),
        (gzip.compress(b"one ", mtime=0) + gzip.compress(b"two", mtime=0), b"one two"),
    ],
)
def test_what_is_marked_as_gzip_is_sent_in_any_case(world: StorageWorld, stored: bytes, sent: bytes) -> None:
    path = f"/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name=packed&contentEncoding=gzip"
    assert world.call("POST", path, data=stored).status_code == 200
    plain = world.call("GET", f"/download/storage/v1/b/{BUCKET}/o/packed?alt=media", stream=True)
    with plain:
        assert plain.raw.read() == (stored if "gzip" in plain.headers.get("content-encoding", "") else sent)
    whole = world.call(
        "GET", f"/storage/v1/b/{BUCKET}/o/packed?alt=media", headers={"accept-encoding": "identity"}, stream=True
    )
    with whole:
        assert (whole.raw.read(), "content-encoding" in whole.headers) == (sent, False)


def test_a_body_that_is_compressed_on_its_way_is_stored_without_compression(world: StorageWorld) -> None:
    sent = {"data": gzip.compress(b"text " * 1000, mtime=0), "headers": {"content-encoding": "gzip"}}
    upload = f"/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name=a"
    assert world.call("POST", upload, **sent).json()["size"] == "5000"
    assert world.store.get(BUCKET, "a").headers == {}
    patch = {**sent, "data": gzip.compress(b'{"metadata": {"team": "films"}}', mtime=0)}
    assert world.call("PATCH", f"/storage/v1/b/{BUCKET}/o/a", **patch).status_code == 200
    assert world.store.get(BUCKET, "a").metadata == {"team": "films"}
    for data, encoding in ((b"text", "gzip"), (sent["data"][:-9], "gzip"), (b"text", "br")):
        answer = world.call("POST", upload, data=data, headers={"content-encoding": encoding})
        assert (answer.status_code, "ncoding" in answer.text) == (400, True)
    assert world.store.read(BUCKET, "a") == b"text " * 1000


def test_service_account_is_returned(world: StorageWorld) -> None:
    assert world.client().get_service_account_email().endswith("@gs-project-accounts.iam.gserviceaccount.com")


def test_bucket_without_notifications_lists_none(bucket: google_storage.Bucket) -> None:
    assert list(bucket.list_notifications()) == []


def test_a_wrong_checksum_in_the_metadata_of_a_large_upload_is_refused(
    world: StorageWorld, bucket: google_storage.Bucket
) -> None:
    """The client announces the right one, too, in a header of its last request."""
    with pytest.raises(exceptions.BadRequest, match="CRC32C"):
        bucket.blob("a").upload_from_file(io.BytesIO(os.urandom(9 << 20)), crc32c_checksum_value="A0tD7w==")
    assert world.store.list(BUCKET) == []
