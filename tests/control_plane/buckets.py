"""Cloud Storage: buckets and their policies, as far as a deployment uses them.

https://cloud.google.com/storage/docs/json_api/v1
"""

from __future__ import annotations

import re
from typing import Any

from tests.control_plane.calls import Answer, Call, route
from tests.control_plane.errors import ApiError
from tests.control_plane.policies import create_agent, policy_of, set_policy
from tests.control_plane.project import FakeProject

BUCKET = r"b/(?P<bucket>[^/]+)"


def _bucket(project: FakeProject, name: str) -> dict[str, Any]:
    if name in project.foreign_buckets:
        return {
            "kind": "storage#bucket",
            "name": name,
            "projectNumber": project.foreign_buckets[name],
            "location": "US",
        }
    if f"storage/buckets/{name}" not in project.resources:
        raise ApiError(404, "NOT_FOUND", "The specified bucket does not exist.")
    return project.resources[f"storage/buckets/{name}"]


@route("storage", "POST", "b", "storage.buckets.create")
def _create(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    name = call.body["name"]
    if name in project.foreign_buckets:
        message = (
            "The requested bucket name is not available. The bucket namespace is shared by all users of the system. "
            "Please select a different name and try again."
        )
        raise ApiError(409, "ALREADY_EXISTS", message)
    if f"storage/buckets/{name}" in project.resources:
        message = "Your previous request to create the named bucket succeeded and you already own it."
        raise ApiError(409, "ALREADY_EXISTS", message)
    bucket = {
        "softDeletePolicy": {"retentionDurationSeconds": "604800"},
        **call.body,
        "kind": "storage#bucket",
        "id": name,
        "projectNumber": project.number,
        "location": call.body.get("location", "US").upper(),
        "metageneration": "1",
    }
    project.resources[f"storage/buckets/{name}"] = bucket
    return bucket


@route("storage", "GET", "b", "storage.buckets.list")
def _list(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    items = [each for name, each in project.resources.items() if name.startswith("storage/buckets/")]
    return {"kind": "storage#buckets", "items": items}


@route("storage", "GET", BUCKET, "storage.buckets.get")
def _get(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    return _bucket(project, found["bucket"])


@route("storage", "PATCH", BUCKET, "storage.buckets.update")
def _update(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    bucket = _bucket(project, found["bucket"])
    for field, value in call.body.items():
        if value is None:
            bucket.pop(field, None)
        elif isinstance(value, dict) and isinstance(bucket.get(field), dict):
            bucket[field] = {**bucket[field], **value}
        else:
            bucket[field] = value
    return bucket


@route("storage", "DELETE", BUCKET, "storage.buckets.delete")
def _delete(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    _bucket(project, found["bucket"])
    del project.resources[f"storage/buckets/{found['bucket']}"]
    project.policies.pop(f"storage/buckets/{found['bucket']}", None)
    return {}


@route("storage", "GET", rf"{BUCKET}/storageLayout", "storage.buckets.get")
def _layout(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    """https://cloud.google.com/storage/docs/json_api/v1/buckets/getStorageLayout."""
    bucket = _bucket(project, found["bucket"])
    return {"kind": "storage#storageLayout", "bucket": found["bucket"], "location": bucket["location"]}


@route("storage", "GET", rf"{BUCKET}/o", "storage.objects.list")
def _objects(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    _bucket(project, found["bucket"])
    return {"kind": "storage#objects", "items": []}


@route("storage", "GET", rf"{BUCKET}/managedFolders", "storage.managedFolders.list")
def _managed_folders(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    _bucket(project, found["bucket"])
    return {"kind": "storage#managedFolders", "items": []}


@route("storage", "GET", rf"{BUCKET}/iam", "storage.buckets.getIamPolicy")
def _policy(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    _bucket(project, found["bucket"])
    return policy_of(project, f"storage/buckets/{found['bucket']}")


@route("storage", "PUT", rf"{BUCKET}/iam", "storage.buckets.setIamPolicy")
def _set_policy(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    _bucket(project, found["bucket"])
    return set_policy(project, f"storage/buckets/{found['bucket']}", call.body)


@route("storage", "GET", r"projects/[^/]+/serviceAccount", "storage.buckets.get")
def _agent(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    """Return the agent; the call creates it: https://cloud.google.com/storage/docs/getting-service-agent."""
    email = f"service-{project.number}@gs-project-accounts.iam.gserviceaccount.com"
    create_agent(project, email)
    return {"kind": "storage#serviceAccount", "email_address": email}
