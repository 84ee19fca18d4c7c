"""What the local Cloud Storage does not do is refused by name, and listed in docs/storage.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcloud.apis.discovery import read_document
from localcloud.storage.rules.bucket_settings import BUCKET_SETTINGS
from localcloud.storage.rules.unsupported import (
    KEPT_PARAMETERS,
    KEPT_SETTINGS,
    UNSUPPORTED_FIELDS,
    UNSUPPORTED_HEADERS,
    UNSUPPORTED_METHODS,
    UNSUPPORTED_PARAMETERS,
    UNSUPPORTED_RESOURCES,
    UNSUPPORTED_SETTINGS,
)
from tests.localcloud.storage.world import BUCKET, PROJECT, Stage, StorageWorld, storage_world
from tests.paths import ROOT


@pytest.fixture
def world(stage: Stage, tmp_path: Path) -> Iterator[StorageWorld]:
    with storage_world(stage, tmp_path / "storage") as running:
        yield running


def refusal(world: StorageWorld, method: str, path: str, **options: object) -> tuple[int, str]:
    answer = world.call(method, path, **options)
    return answer.status_code, answer.json()["error"]["message"]


def filled(path: str) -> str:
    """Return the path of a template, with names of things that do not exist, except the bucket."""
    return re.sub(r"{(\w+)}", lambda found: BUCKET if "ucket" in found[1] else "x", path)


@pytest.mark.parametrize("place", UNSUPPORTED_METHODS)
def test_a_method_that_is_not_here_is_refused_by_name(world: StorageWorld, place: str) -> None:
    method, path = filled(place).split()
    status, message = refusal(world, method, path, json={})
    assert (status, UNSUPPORTED_METHODS[place] in message) == (501, True)


@pytest.mark.parametrize("path", UNSUPPORTED_RESOURCES)
def test_every_method_of_a_resource_that_is_not_here_is_refused_by_name(world: StorageWorld, path: str) -> None:
    for method, rest in (("POST", ""), ("GET", "/1"), ("PUT", "/a%2Fb/iam"), ("POST", "/a/renameTo/folders/b")):
        status, message = refusal(world, method, filled(path) + rest, json={})
        assert (status, UNSUPPORTED_RESOURCES[path] in message) == (501, True)


def test_every_method_of_the_api_is_carried_out_or_refused_by_name(world: StorageWorld) -> None:
    for method in read_document("storage.v1").methods:
        answer = world.call(method.verb, filled(f"/{method.path}"), json={})
        message = answer.json()["error"]["message"] if answer.status_code >= 400 else ""
        assert message not in ("Not Found", "Method Not Allowed"), method.id


def test_every_parameter_of_the_api_is_read_or_listed() -> None:
    document = read_document("storage.v1")
    names = {name for method in document.methods for name, of in method.parameters.items() if of["location"] == "query"}
    listed = set(UNSUPPORTED_PARAMETERS) | set(KEPT_PARAMETERS)
    sources = "".join(path.read_text() for path in (ROOT / "localcloud/storage").rglob("*.py"))
    # The names of preconditions are put together.
    read = {name for name in names if f'"{name}"' in sources or re.match(r"if\w*(Match|NotMatch)$", name)}
    of_refused = {"allowNonEmpty", "contextKey", "pageSize", "recursive"}
    assert names <= read | listed | of_refused
    assert listed <= names | set(document.parameters)


@pytest.mark.parametrize("parameter", UNSUPPORTED_PARAMETERS)
def test_a_parameter_that_is_not_carried_out_is_refused_by_name(world: StorageWorld, parameter: str) -> None:
    for method, path in (
        ("GET", f"/storage/v1/b/{BUCKET}/o"),
        ("POST", f"/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name=a"),
    ):
        status, message = refusal(world, method, path, params={parameter: "x"})
        assert (status, UNSUPPORTED_PARAMETERS[parameter] in message) == (501, True)
    assert world.store.list(BUCKET) == []


@pytest.mark.parametrize("field", UNSUPPORTED_FIELDS)
def test_a_field_of_an_object_that_is_not_carried_out_is_refused_by_name(world: StorageWorld, field: str) -> None:
    world.store.write(BUCKET, "a", b"x")
    objects = f"/storage/v1/b/{BUCKET}/o"
    for method, path in (
        ("PATCH", f"{objects}/a"),
        ("POST", f"{objects}/a/rewriteTo/b/{BUCKET}/o/b"),
        ("POST", f"/upload{objects}?uploadType=resumable&name=b"),
    ):
        status, message = refusal(world, method, path, json={field: {"custom": {}}})
        assert (status, UNSUPPORTED_FIELDS[field] in message) == (501, True)


@pytest.mark.parametrize("path", UNSUPPORTED_SETTINGS)
def test_a_setting_that_is_not_carried_out_is_refused_by_name(world: StorageWorld, path: str) -> None:
    group, field = path.split(".")
    for method, where, name in (
        ("PATCH", f"/storage/v1/b/{BUCKET}", BUCKET),
        ("POST", f"/storage/v1/b?project={PROJECT}", "other"),
    ):
        status, message = refusal(world, method, where, json={"name": name, group: {field: "x"}})
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


def test_an_ip_filter_is_kept_while_it_is_disabled(world: StorageWorld) -> None:
    ranges = {"publicNetworkSource": {"allowedIpCidrRanges": ["203.0.113.10/32"]}}
    path = f"/storage/v1/b/{BUCKET}"
    assert world.call("PATCH", path, json={"ipFilter": {"mode": "Disabled", **ranges}}).status_code == 200
    assert world.call("GET", path).json()["ipFilter"] == {"mode": "Disabled", **ranges}
    status, message = refusal(world, "PATCH", path, json={"ipFilter": {"mode": "Enabled"}})
    assert (status, "IP filters" in message) == (501, True)


@pytest.mark.parametrize(
    "field,value",
    [
        ("iamConfiguration", {"publicAccessPrevention": "unexpected value"}),
        ("iamConfiguration", {"uniformBucketLevelAccess": {"enabled": "yes"}}),
        ("versioning", {"enabled": 1}),
        ("versioning", True),
        ("rpo", "FAST"),
        ("storageClass", "WARM"),
        ("lifecycle", {"rule": [{"action": {"type": "Burn"}, "condition": {"age": 1}}]}),
        ("lifecycle", {"rule": [{"action": {"type": "Delete"}, "condition": {"age": "1"}}]}),
        ("lifecycle", {"rule": [{"action": {"type": "Delete"}, "condition": {"age": -1}}]}),
        ("lifecycle", {"rule": [{"action": {"type": "Delete"}, "condition": {}}]}),
        ("lifecycle", {"rule": [{"action": {"type": "Delete"}, "condition": {"age": 1, "ages": 2}}]}),
        ("lifecycle", {"rule": [{"action": {"type": "Delete"}, "condition": {"createdBefore": "yesterday"}}]}),
        ("lifecycle", {"rule": [{"action": {"type": "Delete"}, "condition": {"createdBefore": "20260131"}}]}),
        ("lifecycle", {"rule": [{"action": {"type": "Delete"}, "condition": {"matchesPattern": "a.*"}}]}),
        ("lifecycle", {"rule": [{"action": {"type": "SetStorageClass"}, "condition": {"age": 1}}]}),
        (
            "lifecycle",
            {"rule": [{"action": {"type": "AbortIncompleteMultipartUpload"}, "condition": {"isLive": True}}]},
        ),
        ("lifecycle", {"rule": [{"condition": {"age": 1}}]}),
        ("cors", [{"origin": "*"}]),
        ("cors", [{"origin": ["*"], "method": ["FETCH"]}]),
        ("labels", {"Team": "news"}),
        ("labels", {"team": "The News"}),
        ("labels", {f"label{number}": "" for number in range(65)}),
        ("encryption", {"googleManagedEncryptionEnforcementConfig": {"restrictionMode": "Some"}}),
        ("location", "EUROPE-WEST1"),
        ("name", "other"),
    ],
)
def test_a_setting_that_no_bucket_can_have_is_refused(world: StorageWorld, field: str, value: object) -> None:
    path = f"/storage/v1/b/{BUCKET}"
    before = world.call("GET", path).json()
    answer = world.call("PATCH", path, json={field: value})
    assert (answer.status_code, field.removesuffix("s")[:5] in answer.text) == (400, True)
    assert world.call("GET", path).json() == before


def test_the_page_lists_what_is_refused_and_what_is_only_kept() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| (.+) \|$", (ROOT / "docs/storage.md").read_text(), re.MULTILINE)
    tables = (
        UNSUPPORTED_RESOURCES,
        UNSUPPORTED_METHODS,
        UNSUPPORTED_PARAMETERS,
        UNSUPPORTED_FIELDS,
        UNSUPPORTED_SETTINGS,
        UNSUPPORTED_HEADERS,
        KEPT_SETTINGS,
        KEPT_PARAMETERS,
    )
    assert rows == [row for table in tables for row in table.items()]
    assert {path.partition(".")[0] for path in UNSUPPORTED_SETTINGS} | set(KEPT_SETTINGS) <= set(BUCKET_SETTINGS)
