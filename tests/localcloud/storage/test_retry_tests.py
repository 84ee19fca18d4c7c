"""The retry-test API, through Google's own Python client and by hand."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from google.api_core import exceptions
from google.cloud import storage as google_storage
from google.cloud.storage.retry import DEFAULT_RETRY

from localcloud.base.clock import ManualClock
from tests.localcloud.storage.world import BUCKET, PROJECT, Stage, StorageWorld, storage_world
from tests.waiting import wait_until

LARGE = os.urandom(1 << 20)
# The client retries at once.
AT_ONCE = DEFAULT_RETRY.with_delay(initial=0.001, maximum=0.001)


@pytest.fixture
def world(stage: Stage, tmp_path: Path, clock: ManualClock) -> Iterator[StorageWorld]:
    with storage_world(stage, tmp_path / "storage", clock=clock, retry_tests=True) as running:
        yield running
        # The answers of the retry-test API are not in Google's description.
        running.answers[:] = [answer for answer in running.answers if "/retry_test" not in answer[1]]


def create(world: StorageWorld, method: str, *instructions: str) -> str:
    """Create a test and return its id."""
    answer = world.call("POST", "/retry_test", json={"instructions": {method: list(instructions)}})
    assert answer.json() == {
        "id": answer.json()["id"],
        "instructions": {method: list(instructions)},
        "transport": "HTTP",
        "completed": False,
    }
    return str(answer.json()["id"])


def is_completed(world: StorageWorld, test: str) -> bool:
    return bool(world.call("GET", f"/retry_test/{test}").json()["completed"])


def bucket_in(world: StorageWorld, test: str) -> google_storage.Bucket:
    """Return the bucket of a client whose calls belong to a test."""
    client = world.client()
    client._http.headers["x-retry-test-id"] = test
    return client.bucket(BUCKET)


def call(world: StorageWorld, test: str, method: str, path: str, **options: Any) -> requests.Response:
    headers = {"x-retry-test-id": test, **options.pop("headers", {})}
    return world.call(method, path, headers=headers, **options)


def test_a_call_of_a_test_fails_once_for_each_instruction(world: StorageWorld) -> None:
    test = create(world, "storage.buckets.get", "return-503", "return-429")
    path = f"/storage/v1/b/{BUCKET}"
    assert world.call("GET", path).status_code == 200
    assert call(world, test, "GET", f"{path}/o").status_code == 200
    assert [call(world, test, "GET", path).status_code for _ in range(3)] == [503, 429, 200]
    assert is_completed(world, test)


def test_a_test_is_listed_and_deleted(world: StorageWorld) -> None:
    first, second = (create(world, "storage.buckets.list", "return-503") for _ in range(2))
    assert [test["id"] for test in world.call("GET", "/retry_tests").json()["retry_test"]] == [first, second]
    assert world.call("DELETE", f"/retry_test/{first}").status_code == 200
    assert world.call("GET", f"/retry_test/{first}").status_code == 404
    assert call(world, first, "GET", "/storage/v1/b?project=local-project").status_code == 404
    assert call(world, second, "GET", "/storage/v1/b?project=local-project").status_code == 503


@pytest.mark.parametrize(
    "name,method,path",
    [
        ("storage.bucket_acl.list", "GET", f"/storage/v1/b/{BUCKET}/acl"),
        ("storage.default_object_acl.list", "GET", f"/storage/v1/b/{BUCKET}/defaultObjectAcl"),
        ("storage.object_acl.list", "GET", f"/storage/v1/b/{BUCKET}/o/a/acl"),
        ("storage.hmacKey.list", "GET", f"/storage/v1/projects/{PROJECT}/hmacKeys"),
        ("storage.projects.hmacKeys.list", "GET", f"/storage/v1/projects/{PROJECT}/hmacKeys"),
        ("storage.serviceaccount.get", "GET", f"/storage/v1/projects/{PROJECT}/serviceAccount"),
        ("storage.notifications.list", "GET", f"/storage/v1/b/{BUCKET}/notificationConfigs"),
        ("storage.objects.insert", "POST", f"/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name=b"),
    ],
)
def test_methods_have_the_names_of_the_testbench(world: StorageWorld, name: str, method: str, path: str) -> None:
    world.store.write(BUCKET, "a", b"x")
    test = create(world, name, "return-503")
    assert [call(world, test, method, path).status_code for _ in range(2)] == [503, 200]


@pytest.mark.parametrize(
    "request_body,code,problem",
    [
        ({}, 400, "needs instructions"),
        ({"instructions": {"storage.buckets.burn": ["return-503"]}}, 400, "storage.buckets.burn"),
        ({"instructions": {"storage.buckets.list": "return-503"}}, 400, "a list is expected"),
        ({"instructions": {"storage.buckets.list": ["return-503", "explode"]}}, 400, "return-broken-stream"),
        ({"instructions": {"storage.buckets.list": ["return-200"]}}, 400, "return-200"),
        ({"instructions": {"storage.objects.get": ["redirect-send-token-T"]}}, 501, "gRPC"),
        ({"instructions": {"storage.buckets.list": ["return-503"]}, "transport": "GRPC"}, 501, "gRPC"),
    ],
)
def test_a_test_that_cannot_be_carried_out_is_refused(
    world: StorageWorld, request_body: dict[str, Any], code: int, problem: str
) -> None:
    answer = world.call("POST", "/retry_test", json=request_body)
    assert (answer.status_code, problem in answer.json()["error"]["message"]) == (code, True)
    assert world.call("GET", "/retry_tests").json() == {"retry_test": []}


def test_a_connection_is_reset(world: StorageWorld) -> None:
    test = create(world, "storage.buckets.list", "return-reset-connection")
    with pytest.raises(requests.ConnectionError):
        call(world, test, "GET", "/storage/v1/b?project=local-project")
    assert call(world, test, "GET", "/storage/v1/b?project=local-project").status_code == 200


@pytest.mark.parametrize("instruction", ["return-broken-stream", "return-broken-stream-after-256K"])
def test_a_download_breaks_and_the_client_continues_it(world: StorageWorld, instruction: str) -> None:
    world.store.write(BUCKET, "a", LARGE)
    test = create(world, "storage.objects.get", instruction)
    with pytest.raises(requests.RequestException):
        call(world, test, "GET", f"/storage/v1/b/{BUCKET}/o/a?alt=media")
    assert is_completed(world, test)
    test = create(world, "storage.objects.get", instruction)
    assert bucket_in(world, test).blob("a").download_as_bytes(retry=AT_ONCE) == LARGE
    assert is_completed(world, test)


def test_a_download_that_is_too_short_to_break_is_sent_whole(world: StorageWorld) -> None:
    world.store.write(BUCKET, "a", b"x" * (256 << 10))
    test = create(world, "storage.objects.get", "return-broken-stream-after-256K")
    assert len(call(world, test, "GET", f"/storage/v1/b/{BUCKET}/o/a?alt=media").content) == 256 << 10
    assert call(world, test, "GET", f"/storage/v1/b/{BUCKET}/o/a").json()["name"] == "a"
    assert not is_completed(world, test)


def resumable(world: StorageWorld) -> str:
    """Start a resumable upload of the object ``a`` and return the path that continues it."""
    begun = world.call("POST", f"/upload/storage/v1/b/{BUCKET}/o?uploadType=resumable&name=a", json={})
    return begun.headers["location"].removeprefix(world.url)


def test_an_upload_fails_after_so_many_bytes_which_are_kept(world: StorageWorld) -> None:
    path, test = resumable(world), create(world, "storage.objects.insert", "return-503-after-256K")
    whole = {"content-range": f"bytes 0-{len(LARGE) - 1}/{len(LARGE)}"}
    assert call(world, test, "PUT", path, data=LARGE, headers=whole).status_code == 503
    status = call(world, test, "PUT", path, headers={"content-range": "bytes */*"})
    assert (status.status_code, status.headers["range"]) == (308, f"bytes=0-{(256 << 10) - 1}")
    rest = {"content-range": f"bytes {256 << 10}-{len(LARGE) - 1}/{len(LARGE)}"}
    assert call(world, test, "PUT", path, data=LARGE[256 << 10 :], headers=rest).status_code == 200
    assert world.store.read(BUCKET, "a") == LARGE


def test_the_last_request_of_an_upload_breaks(world: StorageWorld) -> None:
    path = resumable(world)
    test = create(world, "storage.objects.insert", "return-broken-stream-final-chunk-after-1024B")
    half = len(LARGE) // 2
    first = {"content-range": f"bytes 0-{half - 1}/{len(LARGE)}"}
    assert call(world, test, "PUT", path, data=LARGE[:half], headers=first).status_code == 308
    last = {"content-range": f"bytes {half}-{len(LARGE) - 1}/{len(LARGE)}"}
    with pytest.raises(requests.ConnectionError):
        call(world, test, "PUT", path, data=LARGE[half:], headers=last)
    status = call(world, test, "PUT", path, headers={"content-range": f"bytes */{len(LARGE)}"})
    assert status.headers["range"] == f"bytes=0-{half + 1023}"


def test_the_client_finishes_an_upload_that_fails(world: StorageWorld) -> None:
    test = create(world, "storage.objects.insert", "return-503", "return-reset-connection", "return-503-after-256K")
    blob = bucket_in(world, test).blob("a", chunk_size=512 << 10)
    blob.upload_from_file(io.BytesIO(LARGE), if_generation_match=0, retry=AT_ONCE)
    assert is_completed(world, test)
    assert world.store.read(BUCKET, "a") == LARGE


def test_an_upload_that_is_not_resumable_keeps_nothing_when_it_fails(world: StorageWorld) -> None:
    test = create(world, "storage.objects.insert", "return-503-after-256K")
    path = f"/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name=a"
    assert call(world, test, "POST", path, data=LARGE).status_code == 503
    assert world.store.list(BUCKET) == []
    assert call(world, test, "POST", path, data=LARGE).status_code == 200


@pytest.mark.parametrize("verb", ["GET", "POST"])
def test_a_transfer_stalls_by_the_clock(world: StorageWorld, clock: ManualClock, verb: str) -> None:
    world.store.write(BUCKET, "a", LARGE)
    method, path, body = {
        "GET": ("storage.objects.get", f"/storage/v1/b/{BUCKET}/o/a?alt=media", b""),
        "POST": ("storage.objects.insert", f"/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name=a", LARGE),
    }[verb]
    test = create(world, method, "stall-for-10s-after-12K")
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(call, world, test, verb, path, data=body)
        wait_until(lambda: is_completed(world, test))
        assert not answer.done()
        wait_until(lambda: clock.advance(10) or answer.done())
        assert answer.result().status_code == 200
    assert world.store.read(BUCKET, "a") == LARGE


def test_keys_and_configurations_are_kept_for_the_tests_of_clients(world: StorageWorld) -> None:
    client = world.client()
    key, secret = client.create_hmac_key(service_account_email="a@example.com")
    assert len(secret) == 40
    assert [found.access_id for found in client.list_hmac_keys()] == [key.access_id]
    with pytest.raises(exceptions.BadRequest, match="must be INACTIVE"):
        key.delete()
    key.state = "INACTIVE"
    key.update()
    key.delete()
    assert list(client.list_hmac_keys()) == []
    assert [found.state for found in client.list_hmac_keys(show_deleted_keys=True)] == ["DELETED"]

    configuration = world.bucket().notification(topic_name="topic")
    configuration.create()
    assert [found.notification_id for found in world.bucket().list_notifications()] == ["1"]
    configuration.delete()
    assert not configuration.exists()


def test_without_the_switch_the_header_has_no_effect(stage: Stage, tmp_path: Path) -> None:
    with storage_world(stage, tmp_path / "storage") as world:
        answer = world.call("POST", "/retry_test", json={"instructions": {"storage.buckets.list": ["return-503"]}})
        assert (answer.status_code, "--retry-tests" in answer.text) == (501, True)
        assert call(world, "any", "GET", "/storage/v1/b?project=local-project").status_code == 200
