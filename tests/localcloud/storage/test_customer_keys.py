"""Customer-supplied encryption keys, through Google's own Python client."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.api_core import exceptions
from google.cloud.storage import transfer_manager

from tests.localcloud.storage.world import BUCKET, Stage, StorageWorld, storage_world

KEY = b"k" * 32
OTHER = b"o" * 32


@pytest.fixture
def world(stage: Stage, tmp_path: Path) -> Iterator[StorageWorld]:
    with storage_world(stage, tmp_path / "storage") as running:
        yield running


def headers_of(key: bytes) -> dict[str, str]:
    return {
        "x-goog-encryption-algorithm": "AES256",
        "x-goog-encryption-key": base64.b64encode(key).decode(),
        "x-goog-encryption-key-sha256": base64.b64encode(hashlib.sha256(key).digest()).decode(),
    }


def test_an_object_with_a_key_is_read_only_with_it(world: StorageWorld) -> None:
    bucket = world.bucket()
    bucket.blob("a", encryption_key=KEY).upload_from_string("secret")
    bucket.blob("plain").upload_from_string("open")
    assert bucket.blob("a", encryption_key=KEY).download_as_bytes() == b"secret"
    with pytest.raises(exceptions.BadRequest, match="encrypted by a customer-supplied encryption key"):
        bucket.blob("a").download_as_bytes()
    with pytest.raises(exceptions.BadRequest, match="key is incorrect"):
        bucket.blob("a", encryption_key=OTHER).download_as_bytes()
    with pytest.raises(exceptions.BadRequest, match="is not encrypted"):
        bucket.blob("plain", encryption_key=KEY).download_as_bytes()
    found = bucket.get_blob("a")
    assert found.crc32c is found.md5_hash is None
    assert found._properties["customerEncryption"] == {
        "encryptionAlgorithm": "AES256",
        "keySha256": base64.b64encode(hashlib.sha256(KEY).digest()).decode(),
    }
    assert bucket.get_blob("a", encryption_key=KEY).crc32c is not None


def test_a_key_is_changed_and_removed_by_rewriting(world: StorageWorld) -> None:
    bucket = world.bucket()
    old = bucket.blob("a", encryption_key=KEY)
    old.upload_from_string("secret")
    new = bucket.blob("a", encryption_key=OTHER)
    with pytest.raises(exceptions.BadRequest, match="encrypted by"):
        new.rewrite(bucket.blob("a"))
    assert new.rewrite(old)[0] is None
    assert new.download_as_bytes() == b"secret"
    plain = bucket.blob("plain")
    plain.rewrite(new)
    assert plain.download_as_bytes() == b"secret"


def test_large_and_composed_objects_have_keys_too(world: StorageWorld, tmp_path: Path) -> None:
    bucket = world.bucket()
    large = bucket.blob("large", encryption_key=KEY, chunk_size=256 * 1024)
    large.upload_from_string(b"x" * 600_000)
    parts = [bucket.blob(name, encryption_key=KEY) for name in ("one", "two")]
    for part in parts:
        part.upload_from_string(part.name)
    # The client's ``compose`` sends no key.
    path, body = f"/storage/v1/b/{BUCKET}/o/whole/compose", {"sourceObjects": [{"name": part.name} for part in parts]}
    assert world.call("POST", path, headers=headers_of(KEY), json=body).status_code == 200
    assert bucket.blob("whole", encryption_key=KEY).download_as_bytes() == b"onetwo"
    assert "key is incorrect" in world.call("POST", path, headers=headers_of(OTHER), json=body).text
    transfer_manager.download_chunks_concurrently(
        large, str(tmp_path / "copy"), chunk_size=300_000, worker_type=transfer_manager.THREAD
    )
    assert (tmp_path / "copy").read_bytes() == b"x" * 600_000


@pytest.mark.parametrize(
    "headers,reason",
    [
        ({"algorithm": "AES128"}, "customerEncryptionAlgorithmIsInvalid"),
        ({"algorithm": None}, "customerEncryptionAlgorithmIsInvalid"),
        ({"key": "c2hvcnQ="}, "customerEncryptionKeyFormatIsInvalid"),
        ({"key": "?"}, "customerEncryptionKeyFormatIsInvalid"),
        ({"key-sha256": "AAAA"}, "customerEncryptionKeySha256IsInvalid"),
        ({"key-sha256": None}, "customerEncryptionKeySha256IsInvalid"),
    ],
)
def test_a_wrong_header_of_a_key_is_refused(world: StorageWorld, headers: dict[str, str | None], reason: str) -> None:
    changed = {f"x-goog-encryption-{name}": value for name, value in headers.items()}
    sent = {name: value for name, value in {**headers_of(KEY), **changed}.items() if value is not None}
    answer = world.call("POST", f"/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name=a", headers=sent, data=b"x")
    assert (answer.status_code, answer.json()["error"]["errors"][0]["reason"]) == (400, reason)
    assert world.store.list(BUCKET) == []


@pytest.mark.parametrize("restricted,key,other", [("google", None, KEY), ("customer", KEY, None)])
def test_a_bucket_restricts_how_new_objects_are_encrypted(
    world: StorageWorld, restricted: str, key: bytes | None, other: bytes | None
) -> None:
    bucket = world.bucket()
    bucket.blob("before", encryption_key=key).upload_from_string("x")
    rule = {"google": "googleManaged", "customer": "customerSupplied"}[restricted] + "EncryptionEnforcementConfig"
    path = f"/storage/v1/b/{BUCKET}"
    answer = world.call("PATCH", path, json={"encryption": {rule: {"restrictionMode": "FullyRestricted"}}})
    assert "effectiveTime" in answer.json()["encryption"][rule]
    with pytest.raises(exceptions.PreconditionFailed, match=rule):
        bucket.blob("after", encryption_key=key).upload_from_string("x")
    bucket.blob("after", encryption_key=other).upload_from_string("x")
    assert bucket.blob("before", encryption_key=key).download_as_bytes() == b"x"
    assert world.call("PATCH", path, json={"encryption": {rule: None}}).status_code == 200
    bucket.blob("again", encryption_key=key).upload_from_string("x")
