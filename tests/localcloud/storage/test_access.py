"""Access control lists and policies, through Google's own Python client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from google.api_core import exceptions

from tests.localcloud.storage.world import BUCKET, Stage, StorageWorld, storage_world


@pytest.fixture
def world(stage: Stage, tmp_path: Path) -> Iterator[StorageWorld]:
    with storage_world(stage, tmp_path / "storage") as running:
        yield running


def test_lists_of_a_bucket_keep_what_they_are_given(world: StorageWorld) -> None:
    bucket = world.client().create_bucket("listed")
    before = list(bucket.acl)
    assert {"entity": "project-owners-100000000001", "role": "OWNER"} in before
    bucket.acl.user("ada@example.com").grant_write()
    bucket.acl.save()
    bucket.default_object_acl.all().grant_read()
    bucket.default_object_acl.save()
    again = world.client().bucket("listed")
    assert list(again.acl) == [*before, {"entity": "user-ada@example.com", "role": "WRITER"}]
    blob = again.blob("a")
    blob.upload_from_string("x")
    assert {"entity": "allUsers", "role": "READER"} in list(blob.acl)
    again.acl.save_predefined("private")
    assert list(world.client().bucket("listed").acl) == [{"entity": "project-owners-100000000001", "role": "OWNER"}]


def test_lists_of_an_object_keep_what_they_are_given(world: StorageWorld) -> None:
    bucket = world.client().create_bucket("listed")
    blob = bucket.blob("a")
    blob.upload_from_string("x", predefined_acl="private")
    assert list(blob.acl) == [{"entity": "project-owners-100000000001", "role": "OWNER"}]
    blob.make_public()
    assert {"entity": "allUsers", "role": "READER"} in list(bucket.blob("a").acl)
    path = "/storage/v1/b/listed/o/a/acl"
    assert world.call("POST", path, json={"entity": "user-ada@example.com", "role": "OWNER"}).status_code == 200
    shown = world.call("GET", f"{path}/user-ada@example.com").json()
    assert (shown["role"], shown["email"]) == ("OWNER", "ada@example.com")
    team = world.call("GET", f"{path}/project-owners-100000000001").json()["projectTeam"]
    assert team == {"projectNumber": "100000000001", "team": "owners"}
    assert world.call("PATCH", f"{path}/user-ada@example.com", json={"role": "READER"}).json()["role"] == "READER"
    assert world.call("DELETE", f"{path}/user-ada@example.com").status_code == 204
    assert world.call("GET", f"{path}/user-ada@example.com").status_code == 404
    blob.reload(projection="full")
    assert blob.owner == {"entity": "project-owners-100000000001"}


def test_a_bucket_with_uniform_access_has_no_lists(world: StorageWorld) -> None:
    bucket = world.client().bucket("uniform")
    bucket.iam_configuration.uniform_bucket_level_access_enabled = True
    bucket.create()
    bucket.blob("a").upload_from_string("x")
    for call in (
        lambda: list(bucket.acl),
        lambda: list(bucket.blob("a").acl),
        lambda: bucket.blob("b").upload_from_string("x", predefined_acl="publicRead"),
        lambda: bucket.acl.save_predefined("private"),
    ):
        with pytest.raises(exceptions.BadRequest, match="uniform bucket-level access"):
            call()
    assert [found.name for found in bucket.list_blobs()] == ["a"]


def test_uniform_access_has_its_former_name_too(world: StorageWorld) -> None:
    for name, enabled in (("bucketPolicyOnly", True), ("uniformBucketLevelAccess", True), ("bucketPolicyOnly", False)):
        sent = {"iamConfiguration": {name: {"enabled": enabled}}}
        shown = world.call("PATCH", f"/storage/v1/b/{BUCKET}", json=sent).json()["iamConfiguration"]
        assert shown["uniformBucketLevelAccess"] == shown["bucketPolicyOnly"]
        assert shown["bucketPolicyOnly"]["enabled"] is enabled
        assert world.store.bucket(BUCKET).is_uniform is enabled


def test_a_policy_is_kept_and_changed_only_by_who_read_it(world: StorageWorld) -> None:
    bucket = world.bucket()
    policy = bucket.get_iam_policy(requested_policy_version=3)
    assert "roles/storage.legacyBucketOwner" in {binding["role"] for binding in policy.bindings}
    policy.bindings.append({"role": "roles/storage.objectViewer", "members": {"allUsers"}})
    bucket.set_iam_policy(policy)
    read = bucket.get_iam_policy()
    assert {"role": "roles/storage.objectViewer", "members": {"allUsers"}} in read.bindings
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.set_iam_policy(policy)
    assert bucket.test_iam_permissions(["storage.objects.get"]) == ["storage.objects.get"]


def test_a_policy_with_conditions_needs_uniform_access_and_version_3(world: StorageWorld) -> None:
    bucket = world.bucket()
    policy = bucket.get_iam_policy(requested_policy_version=3)
    always = {"title": "always", "expression": "true"}
    viewer = {"role": "roles/storage.objectViewer", "members": {"allAuthenticatedUsers"}, "condition": always}
    policy.bindings.append(viewer)
    with pytest.raises(exceptions.PreconditionFailed, match="enable uniform bucket-level access"):
        bucket.set_iam_policy(policy)
    bucket.iam_configuration.uniform_bucket_level_access_enabled = True
    bucket.patch()
    with pytest.raises(exceptions.BadRequest, match="at least 3"):
        bucket.set_iam_policy(policy)
    policy.version = 3
    bucket.set_iam_policy(policy)
    assert viewer in bucket.get_iam_policy(requested_policy_version=3).bindings
    with pytest.raises(exceptions.BadRequest, match="optionsRequestedPolicyVersion"):
        bucket.get_iam_policy(requested_policy_version=1)


def test_the_projection_decides_whether_lists_are_shown(world: StorageWorld) -> None:
    world.store.write(BUCKET, "a", b"x")
    for path, by_default in (
        (f"/storage/v1/b/{BUCKET}", False),
        (f"/storage/v1/b/{BUCKET}/o/a", False),
        ("/storage/v1/b?project=local-project", False),
        (f"/storage/v1/b/{BUCKET}/o", False),
    ):
        for projection, shown in (({}, by_default), ({"projection": "full"}, True), ({"projection": "noAcl"}, False)):
            answer = world.call("GET", path, params=projection).json()
            [resource] = answer.get("items", [answer])
            assert ("acl" in resource) is shown
        assert world.call("GET", path, params={"projection": "all"}).status_code == 400
    for path in (f"/storage/v1/b/{BUCKET}", f"/storage/v1/b/{BUCKET}/o/a"):
        assert "acl" in world.call("PATCH", path, json={}).json()


def test_the_account_that_writes_an_object_owns_it(stage: Stage, tmp_path: Path) -> None:
    with storage_world(stage, tmp_path / "storage", account="writer@example.com") as world:
        blob = world.client().bucket(BUCKET).blob("a")
        blob.upload_from_string("x", predefined_acl="private")
        assert list(blob.acl) == [{"entity": "user-writer@example.com", "role": "OWNER"}]
        blob.acl.save_predefined("publicRead")
        blob.reload(projection="full")
        assert blob.owner == {"entity": "user-writer@example.com"}
        assert {"entity": "allUsers", "role": "READER"} in list(blob.acl)


def test_a_restored_object_has_its_own_list_only_on_request(stage: Stage, tmp_path: Path) -> None:
    with storage_world(stage, tmp_path / "storage") as world:
        bucket = world.client().create_bucket("restoring")
        blob = bucket.blob("a")
        blob.upload_from_string("x", predefined_acl="publicRead")
        blob.delete()
        for copies in (False, True):
            bucket.restore_blob("a", generation=blob.generation, copy_source_acl=copies)
            assert ({"entity": "allUsers", "role": "READER"} in list(bucket.blob("a").acl)) is copies


def test_public_access_that_is_prevented_cannot_be_granted(world: StorageWorld) -> None:
    bucket = world.client().bucket("guarded")
    bucket.iam_configuration.public_access_prevention = "enforced"
    bucket.create()
    blob = bucket.blob("a")
    blob.upload_from_string("x")
    policy = bucket.get_iam_policy()
    policy["roles/storage.objectViewer"] = {"allUsers"}
    for call in (blob.make_public, lambda: bucket.set_iam_policy(policy), bucket.make_public):
        with pytest.raises(exceptions.PreconditionFailed, match="public access prevention"):
            call()


@pytest.mark.parametrize(
    "body",
    [
        {"entity": "ada", "role": "OWNER"},
        {"entity": "user-ada@example.com", "role": "BOSS"},
        {"entity": "user-ada@example.com"},
        {"role": "OWNER"},
    ],
)
def test_a_wrong_entry_is_refused(world: StorageWorld, body: dict[str, str]) -> None:
    assert world.call("POST", f"/storage/v1/b/{BUCKET}/acl", json=body).status_code == 400


@pytest.mark.parametrize(
    "binding",
    [
        {"role": "roles/storage.objectViewer"},
        {"role": "roles/storage.objectViewer", "members": ["ada"]},
        {"role": "objectViewer", "members": ["user:ada@example.com"]},
        {"role": "roles/storage.objectViewer", "members": ["allUsers"], "condition": {"title": "by name"}},
    ],
)
def test_a_binding_that_cannot_be_is_refused(world: StorageWorld, binding: dict[str, object]) -> None:
    answer = world.call("PUT", f"/storage/v1/b/{BUCKET}/iam", json={"bindings": [binding]})
    assert (answer.status_code, answer.json()["error"]["errors"][0]["reason"]) == (400, "invalid")
