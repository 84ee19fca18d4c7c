"""Service usage, resource manager, Pub/Sub, Cloud Scheduler, Cloud Build and Artifact Registry."""

from __future__ import annotations

import re
from typing import Any

from tests.control_plane.calls import Answer, Call, route
from tests.control_plane.errors import ApiError, already_exists, not_found
from tests.control_plane.policies import create_agent
from tests.control_plane.project import FakeProject

AGENT_DOMAINS = {
    "pubsub.googleapis.com": "gcp-sa-pubsub",
    "eventarc.googleapis.com": "gcp-sa-eventarc",
    "aiplatform.googleapis.com": "gcp-sa-aiplatform",
    "cloudscheduler.googleapis.com": "gcp-sa-cloudscheduler",
    "cloudbuild.googleapis.com": "gcp-sa-cloudbuild",
    "run.googleapis.com": "serverless-robot-prod",
    "cloudfunctions.googleapis.com": "gcf-admin-robot",
    "artifactregistry.googleapis.com": "gcp-sa-artifactregistry",
}
"""The domain of the agent of each service: https://cloud.google.com/iam/docs/service-agents"""
DONE = {"done": True, "response": {}}


@route("serviceusage", "POST", r"v1/projects/[^/]+/services:batchEnable", "serviceusage.services.enable")
def _enable_all(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    project.enabled.update(call.body["serviceIds"])
    return {"name": "operations/acf.1", **DONE}


@route("serviceusage", "POST", r"v1/projects/[^/]+/services/(?P<service>[^/:]+):enable", "serviceusage.services.enable")
def _enable(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    project.enabled.add(found["service"])
    return {"name": "operations/acf.1", **DONE}


@route("serviceusage", "GET", r"v1/projects/[^/]+/services/(?P<service>[^/:]+)", "serviceusage.services.get")
def _service(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    return _described(project, found["service"])


@route("serviceusage", "GET", r"v1/projects/[^/]+/services", "serviceusage.services.list")
def _services(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    return {"services": [_described(project, service) for service in sorted(project.enabled)]}


def _described(project: FakeProject, service: str) -> Answer:
    return {
        "name": f"projects/{project.number}/services/{service}",
        "config": {"name": service, "title": service},
        "state": "ENABLED" if service in project.enabled else "DISABLED",
    }


@route(
    "serviceusage",
    "POST",
    r"v1beta1/projects/[^/]+/services/(?P<service>[^/:]+):generateServiceIdentity",
    "serviceusage.services.generateServiceIdentity",
)
def _identity(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    email = f"service-{project.number}@{AGENT_DOMAINS[found['service']]}.iam.gserviceaccount.com"
    create_agent(project, email)
    return {"name": "operations/finished.DONE_OPERATION", "done": True, "response": {"email": email, "uniqueId": "1"}}


@route(
    "serviceusage",
    "GET",
    r"v1beta1/projects/[^/]+/services/[^/]+/consumerQuotaMetrics/(?P<metric>.+)",
    "serviceusage.quotas.get",
)
def _quota(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    """https://cloud.google.com/service-usage/docs/reference/rest/v1beta1/services.consumerQuotaMetrics."""
    buckets = [
        {
            "effectiveLimit": str(limit),
            "defaultLimit": str(limit),
            **({"dimensions": {"region": region}} if region else {}),
        }
        for region, limit in project.cpu_limits.items()
    ]
    limits = [{"metric": found["metric"], "unit": "1/min/{project}/{region}", "quotaBuckets": buckets}]
    return {"metric": found["metric"], "displayName": "CPU allocation", "consumerQuotaLimits": limits}


@route("bigquery", "GET", r"bigquery/v2/(?P<name>projects/[^/]+/datasets/[^/]+)", "bigquery.datasets.get")
def _dataset(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    """https://cloud.google.com/bigquery/docs/reference/rest/v2/datasets/get."""
    return project.get(f"bigquery/{found['name']}")


@route("bigquery", "GET", r"bigquery/v2/projects/[^/]+/serviceAccount", "bigquery.datasets.create")
def _encryption_account(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    """https://cloud.google.com/bigquery/docs/reference/rest/v2/projects/getServiceAccount."""
    email = f"bq-{project.number}@bigquery-encryption.iam.gserviceaccount.com"
    create_agent(project, email)
    return {"kind": "bigquery#getServiceAccountResponse", "email": email}


@route(
    "cloudkms",
    "GET",
    r"v1/(?P<name>projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/:]+)",
    "cloudkms.cryptoKeys.get",
)
def _key(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    """https://cloud.google.com/kms/docs/reference/rest/v1/projects.locations.keyRings.cryptoKeys/get."""
    return project.get(f"cloudkms/{found['name']}")


@route("cloudbilling", "GET", r"v1/projects/[^/]+/billingInfo", "resourcemanager.projects.get")
def _billing(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    account = {"billingAccountName": "billingAccounts/0000-1111"} if project.billing else {}
    return {"name": call.path, "projectId": project.id, "billingEnabled": project.billing, **account}


@route("cloudresourcemanager", "GET", r"v[13]/projects/(?P<id>[^/:]+)", "resourcemanager.projects.get")
def _project(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    if found["id"] not in (project.id, project.number):
        raise not_found(f"projects/{found['id']}")
    return {
        "projectId": project.id,
        "projectNumber": project.number,
        "lifecycleState": project.state,
        "name": project.id,
    }


def _collection(api: str, collection: str, permissions: str, *, create: str, patch: str) -> None:
    """Add the methods of resources that need no rules of their own.

    Args:
        api: The name of the API.
        collection: A regular expression for the name of the collection.
        permissions: What the permissions begin with, such as ``pubsub.topics``.
        create: The HTTP method that creates, which decides where the name is.
        patch: The field of the body that holds the changed resource; empty if it is the body itself.
    """
    kind = collection.rpartition("/")[2]

    @route(api, "GET", rf"v1/(?P<name>{collection}/[^/:]+)", f"{permissions}.get")
    def get(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
        return project.get(f"{api}/{found['name']}")

    @route(api, "GET", rf"v1/(?P<parent>{collection})", f"{permissions}.list")
    def list_(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
        prefix = f"{api}/{found['parent']}/"
        return {kind: [each for name, each in project.resources.items() if name.startswith(prefix)]}

    def add(project: FakeProject, name: str, body: dict[str, Any]) -> Answer:
        if f"{api}/{name}" in project.resources:
            raise already_exists(name)
        project.resources[f"{api}/{name}"] = {**body, "name": name}
        return project.resources[f"{api}/{name}"]

    if create == "PUT":

        @route(api, "PUT", rf"v1/(?P<name>{collection}/[^/:]+)", f"{permissions}.create")
        def put(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
            return add(project, found["name"], call.body)
    else:

        @route(api, "POST", rf"v1/(?P<parent>{collection})", f"{permissions}.create")
        def post(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
            return add(project, call.body["name"], call.body)

    @route(api, "PATCH", rf"v1/(?P<name>{collection}/[^/:]+)", f"{permissions}.update")
    def update(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
        resource = project.get(f"{api}/{found['name']}")
        changed = call.body.get(patch, {}) if patch else call.body
        mask = call.body.get("updateMask") or call.query.get("updateMask") or ""
        for field in filter(None, mask.split(",")):
            top = _camel(field.split(".")[0])
            if top not in changed:
                resource.pop(top, None)
        resource.update({field: value for field, value in changed.items() if field != "name"})
        return resource

    @route(api, "DELETE", rf"v1/(?P<name>{collection}/[^/:]+)", f"{permissions}.delete")
    def delete(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
        name = f"{api}/{found['name']}"
        project.get(name)
        del project.resources[name]
        project.policies.pop(name, None)
        return {}


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(each.capitalize() for each in others)


_collection("pubsub", r"projects/[^/]+/topics", "pubsub.topics", create="PUT", patch="topic")
_collection("pubsub", r"projects/[^/]+/subscriptions", "pubsub.subscriptions", create="PUT", patch="subscription")
_collection("cloudscheduler", r"projects/[^/]+/locations/[^/]+/jobs", "cloudscheduler.jobs", create="POST", patch="")


@route("cloudbuild", "POST", r"v1/projects/[^/]+/locations/[^/]+/builds", "cloudbuild.builds.create")
def _build(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    name = f"{call.path.removeprefix('v1/')}/1"
    build = {**call.body, "id": "1", "projectId": project.id, "name": name, "status": "QUEUED"}
    metadata = {"@type": "type.googleapis.com/google.devtools.cloudbuild.v1.BuildOperationMetadata", "build": build}
    return {"name": "operations/build/films/1", "metadata": metadata}


@route("cloudbuild", "GET", r"v1/projects/[^/]+/locations/[^/]+/defaultServiceAccount", "cloudbuild.builds.get")
def _default_build_account(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    return {"serviceAccountEmail": f"projects/x/serviceAccounts/{project.number}-compute@developer.gserviceaccount.com"}


def require(project: FakeProject, api: str, name: str) -> None:
    """Raise Google's error if a resource that another one refers to does not exist."""
    if f"{api}/{name}" not in project.resources:
        raise ApiError(404, "NOT_FOUND", f"Resource not found (resource={name}).")
