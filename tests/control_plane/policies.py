"""IAM: the policies of all resources, service accounts, and Google's service agents."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from typing import Any

from tests.control_plane.calls import Answer, Call, route
from tests.control_plane.errors import ApiError, account_missing, already_exists
from tests.control_plane.project import FakeProject

GOOGLES = re.compile(
    r"serviceAccount:(service-\d+@(gcp-sa-[a-z-]+|gs-project-accounts|[a-z-]+)\.iam\.gserviceaccount\.com"
    r"|bq-\d+@bigquery-encryption\.iam\.gserviceaccount\.com)"
)


def policy_of(project: FakeProject, name: str) -> Answer:
    """Return the policy of the resource with the full ``name``."""
    return project.policies.setdefault(name, {"bindings": [], "etag": "AAAA", "version": 1})


def set_policy(project: FakeProject, name: str, policy: dict[str, Any]) -> Answer:
    """Replace the policy of the resource with the full ``name``.

    Raises:
        ApiError: A member is a service account that does not exist.
    """
    for binding in policy.get("bindings", []):
        for member in binding.get("members", []):
            _check_member(project, member)
    kept = [binding for binding in policy.get("bindings", []) if binding.get("members")]
    project.policies[name] = {**policy, "bindings": kept, "etag": "AAAA"}
    return project.policies[name]


def _check_member(project: FakeProject, member: str) -> None:
    kind, _, email = member.partition(":")
    if kind != "serviceAccount":
        return
    if GOOGLES.fullmatch(member):
        if project.new_agents.get(email, 0) > 0:
            project.new_agents[email] -= 1
            raise account_missing(email)
        exists = email in project.agents
    else:
        exists = f"iam/projects/{project.id}/serviceAccounts/{email}" in project.resources
    if not exists:
        raise account_missing(email)


def create_agent(project: FakeProject, email: str) -> None:
    """Create one of Google's service agents, if it does not exist."""
    if email not in project.agents:
        project.agents.add(email)
        project.new_agents[email] = project.agents_delay


def _policy_routes(api: str, pattern: str, permissions: str) -> None:
    """Add the methods for the policies of resources whose names match ``pattern``."""

    @route(api, "GET", rf"{pattern}:getIamPolicy", f"{permissions}.getIamPolicy")
    @route(api, "POST", rf"{pattern}:getIamPolicy", f"{permissions}.getIamPolicy")
    def get(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
        name = _full_name(project, api, found["name"])
        if not name.startswith("cloudresourcemanager/"):
            project.get(name)
        return policy_of(project, name)

    @route(api, "POST", rf"{pattern}:setIamPolicy", f"{permissions}.setIamPolicy")
    def set_(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
        return set_policy(project, _full_name(project, api, found["name"]), call.body["policy"])

    @route(api, "POST", rf"{pattern}:testIamPermissions", "")
    def test(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
        asked = call.body.get("permissions", [])
        held = [each for each in asked if not any(fnmatch(each, pattern) for pattern in project.denied)]
        return {"permissions": held}


def _full_name(project: FakeProject, api: str, name: str) -> str:
    # A service account may be named without its project: projects/-/serviceAccounts/EMAIL.
    return f"{api}/{name.replace('projects/-/', f'projects/{project.id}/')}"


_policy_routes("cloudresourcemanager", r"v[13]/(?P<name>projects/[^/:]+)", "resourcemanager.projects")
_policy_routes("pubsub", r"v1/(?P<name>projects/[^/]+/topics/[^/:]+)", "pubsub.topics")
_policy_routes("pubsub", r"v1/(?P<name>projects/[^/]+/subscriptions/[^/:]+)", "pubsub.subscriptions")
_policy_routes(
    "cloudkms", r"v1/(?P<name>projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/:]+)", "cloudkms.cryptoKeys"
)
_policy_routes("iam", r"v1/(?P<name>projects/[^/]+/serviceAccounts/[^/:]+)", "iam.serviceAccounts")
_policy_routes("run", r"v[12]/(?P<name>projects/[^/]+/locations/[^/]+/services/[^/:]+)", "run.services")


@route("iam", "POST", r"v1/projects/[^/]+/serviceAccounts", "iam.serviceAccounts.create")
def _create(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    email = f"{call.body['accountId']}@{project.id}.iam.gserviceaccount.com"
    name = f"projects/{project.id}/serviceAccounts/{email}"
    if f"iam/{name}" in project.resources:
        raise already_exists(name)
    account = {**call.body.get("serviceAccount", {}), "name": name, "email": email, "projectId": project.id}
    project.resources[f"iam/{name}"] = account
    return account


@route("iam", "GET", r"v1/projects/[^/]+/serviceAccounts", "iam.serviceAccounts.list")
def _list(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    return {"accounts": [each for name, each in project.resources.items() if "/serviceAccounts/" in name]}


@route("iam", "GET", r"v1/(?P<name>projects/[^/]+/serviceAccounts/[^/:]+)", "iam.serviceAccounts.get")
def _get(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    return project.get(_full_name(project, "iam", found["name"]))


@route("iam", "PATCH", r"v1/(?P<name>projects/[^/]+/serviceAccounts/[^/:]+)", "iam.serviceAccounts.update")
def _update(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    account = project.get(_full_name(project, "iam", found["name"]))
    account.update(call.body.get("serviceAccount", {}))
    return account


@route("iam", "DELETE", r"v1/(?P<name>projects/[^/]+/serviceAccounts/[^/:]+)", "iam.serviceAccounts.delete")
def _delete(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    name = _full_name(project, "iam", found["name"])
    deleted = project.get(name)
    del project.resources[name]
    project.policies.pop(name, None)
    # Policies keep the member with a mark: https://cloud.google.com/iam/docs/policies#handle-deleted-members
    for policy in project.policies.values():
        for binding in policy["bindings"]:
            binding["members"] = [
                f"deleted:{member}?uid=1" if member == f"serviceAccount:{deleted['email']}" else member
                for member in binding["members"]
            ]
    return {}


def require_account(project: FakeProject, email: str) -> None:
    """Raise Google's error if a service account of the project does not exist."""
    if f"iam/projects/{project.id}/serviceAccounts/{email}" not in project.resources:
        raise ApiError(400, "INVALID_ARGUMENT", f"Service account {email} does not exist.")
