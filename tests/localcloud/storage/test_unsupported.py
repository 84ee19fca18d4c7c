"""What the local Cloud Storage does not do is refused by name, and listed in docs/storage.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcloud.storage.objects.fields import BUCKET_SETTINGS
from localcloud.storage.objects.unsupported import KEPT_SETTINGS, UNSUPPORTED_METHODS, UNSUPPORTED_SETTINGS
from tests.localcloud.storage.world import BUCKET, Stage, StorageWorld, running_stage, storage_world
from tests.paths import ROOT


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with running_stage() as running:
        yield running


@pytest.fixture
def world(stage: Stage, tmp_path: Path) -> Iterator[StorageWorld]:
    with storage_world(stage, tmp_path / "storage") as running:
        yield running


def refusal(world: StorageWorld, method: str, path: str, **options: object) -> tuple[int, str]:
    answer = world.call(method, path, **options)
    return answer.status_code, answer.json()["error"]["message"]


@pytest.mark.parametrize("place", UNSUPPORTED_METHODS)
def test_a_method_that_is_not_here_is_refused_by_name(world: StorageWorld, place: str) -> None:
    method, path = place.format(bucket=BUCKET, project="local-project").split()
    status, message = refusal(world, method, path, json={})
    assert (status, UNSUPPORTED_METHODS[place] in message) == (501, True)


@pytest.mark.parametrize("path", UNSUPPORTED_SETTINGS)
def test_a_setting_that_is_not_carried_out_is_refused_by_name(world: StorageWorld, path: str) -> None:
    group, field = path.split(".")
    for method, where in (("PATCH", f"/storage/v1/b/{BUCKET}"), ("POST", "/storage/v1/b")):
        status, message = refusal(world, method, where, json={"name": "other", group: {field: "x"}})
        assert (status, path in message) == (501, True)
    assert "other" not in [bucket.name for bucket in world.store.buckets()]
    assert world.call("PATCH", f"/storage/v1/b/{BUCKET}", json={group: {field: None}}).status_code == 200


@pytest.mark.parametrize(
    "method,path",
    [
        ("POST", f"/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name=a&kmsKeyName=projects/p/k"),
        ("POST", f"/storage/v1/b/{BUCKET}/o/a/compose?kmsKeyName=projects/p/k"),
        ("POST", f"/storage/v1/b/{BUCKET}/o/a/rewriteTo/b/{BUCKET}/o/b?destinationKmsKeyName=projects/p/k"),
    ],
)
def test_a_key_of_cloud_kms_is_refused_by_name(world: StorageWorld, method: str, path: str) -> None:
    status, message = refusal(world, method, path, json={})
    assert (status, "Cloud KMS" in message) == (501, True)


def test_the_page_lists_what_is_refused_and_what_is_only_kept() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| (.+) \|$", (ROOT / "docs/storage.md").read_text(), re.MULTILINE)
    assert rows == [*UNSUPPORTED_METHODS.items(), *UNSUPPORTED_SETTINGS.items(), *KEPT_SETTINGS.items()]
    assert {path.partition(".")[0] for path in UNSUPPORTED_SETTINGS} | set(KEPT_SETTINGS) <= set(BUCKET_SETTINGS)
