"""The project: its resources, its policies, its moods, and every call that it got."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from typing import Any

from tests.control_plane.calls import ROUTES, Answer, Call
from tests.control_plane.errors import ApiError, denied, not_found, service_disabled
from tests.control_plane.roles import PERMISSIONS

ALWAYS_ENABLED = "serviceusage.googleapis.com"
"""This service enables the others."""
FOR_EVERY_PROJECT = ("cloudbilling", "upload")
"""The API that gcloud calls for its own project, and the address that a source is uploaded to."""
OWNERS_SERVICES = frozenset({ALWAYS_ENABLED})


@dataclass
class FakeProject:
    """A project of Google Cloud in memory.

    The fields from ``denied`` on are its moods: tests set them.
    """

    id: str = "films"
    number: str = "4242"
    enabled: set[str] = field(default_factory=lambda: set(OWNERS_SERVICES))
    """The services that are enabled."""
    resources: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Every resource by its full name, such as ``pubsub/projects/films/topics/t``."""
    policies: dict[str, dict[str, Any]] = field(default_factory=dict)
    """IAM policies, by the full name of their resource."""
    agents: set[str] = field(default_factory=set)
    """The addresses of Google's service agents that exist."""
    calls: list[Call] = field(default_factory=list)
    """Every call, in order."""

    denied: set[str] = field(default_factory=set)
    """Permissions that the caller lacks; ``*`` stands for any text."""
    failing: dict[str, int] = field(default_factory=dict)
    """HTTP status that the calls with a permission fail with, by the permission."""
    errors: dict[str, ApiError] = field(default_factory=dict)
    """The error of the calls that need a permission, by the permission."""
    passing: dict[str, list[ApiError]] = field(default_factory=dict)
    """The errors of the next calls that need a permission, by the permission; then the calls succeed."""
    caller: str | None = None
    """The account that makes the calls, which has the roles that policies give it; None: an owner of the project."""
    agents_delay: int = 0
    """How many calls after its creation an agent is still unknown to policies."""
    trigger_failures: int = 0
    """How many triggers fail because the role of Eventarc's agent has not taken effect."""
    build_failures: set[str] = field(default_factory=set)
    """Functions whose build fails after their trigger was created."""
    foreign_buckets: dict[str, str] = field(default_factory=dict)
    """The numbers of the projects that own buckets of other projects, by the bucket's name."""
    state: str = "ACTIVE"
    """The state of the project: https://cloud.google.com/resource-manager/reference/rest/v1/projects#lifecyclestate"""
    billing: bool = True
    """Whether a billing account is linked."""
    account: str | None = "ada@example.com"
    """The account that gcloud is logged in as; None: it is not logged in."""
    cpu_limits: dict[str | None, int] = field(default_factory=lambda: {None: 200_000})
    """The quota of Cloud Run in thousandths of a CPU, by region; None is for all other regions."""
    runtimes: dict[str, str] = field(default_factory=lambda: {f"python3{minor}": "GA" for minor in (11, 12, 13, 14)})
    """The stage of each runtime of Cloud Functions."""
    metrics_delay: int = 0
    """How many times an alert policy finds that a metric is too new."""
    policies_created: int = 0
    """How many alert policies were created: their names are numbers."""
    channels_created: int = 0
    """How many notification channels were created."""
    new_agents: dict[str, int] = field(default_factory=dict)
    """Agents that were created, and how many more policies they are unknown to."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def call(
        self,
        verb: str,
        api: str,
        path: str,
        query: dict[str, str] | None = None,
        body: dict[str, Any] | None = None,
    ) -> Answer:
        """Answer one call.

        Raises:
            ApiError: The call fails as it would at Google.
        """
        call = Call(verb, api, path, query or {}, body or {})
        with self.lock:
            for known in ROUTES:
                if (known.api, known.verb) == (api, verb) and (found := known.pattern.fullmatch(path)):
                    call = replace(call, permission=known.permission)
                    self.calls.append(call)
                    self._refuse(call)
                    return known.handler(self, call, found)
            self.calls.append(call)
        raise ApiError(501, "UNIMPLEMENTED", f"The fake project has no method for {verb} {api}/{path}.")

    def called(self, permission: str) -> list[Call]:
        """Return the calls that needed ``permission``, in which ``*`` stands for any text."""
        return [call for call in self.calls if fnmatch(call.permission, permission)]

    def changes(self) -> list[Call]:
        """Return the calls that change something."""
        reading = ("get", "list", "getIamPolicy", "search")
        return [
            call
            for call in self.calls
            if call.permission.rpartition(".")[2] not in reading and not call.path.endswith(":testIamPermissions")
        ]

    def names(self, kind: str) -> set[str]:
        """Return the names of the resources of a ``kind`` such as ``topics``, ``buckets`` or ``functions``."""
        return {name.rpartition("/")[2] for name in self.resources if name.split("/")[-2] == kind}

    def get(self, name: str) -> dict[str, Any]:
        """Return the resource with the full ``name``."""
        if name not in self.resources:
            raise not_found(name.partition("/")[2])
        return self.resources[name]

    def grant(self, name: str, role: str, member: str) -> None:
        """Grant a role, as a person does by hand."""
        bindings = self.policies.setdefault(name, {"bindings": [], "etag": "AAAA"})["bindings"]
        same = [each for each in bindings if each["role"] == role and "condition" not in each]
        if not same:
            bindings.append({"role": role, "members": [member]})
        elif member not in same[0]["members"]:
            same[0]["members"].append(member)

    def grants(self) -> set[tuple[str, str, str]]:
        """Return every grant as name of the resource, role and member."""
        return {
            (name, binding["role"], member)
            for name, policy in self.policies.items()
            for binding in policy["bindings"]
            for member in binding["members"]
        }

    def held(self) -> set[str]:
        """Return the permissions that the caller has on the project."""
        roles = self.policies.get(f"cloudresourcemanager/projects/{self.id}", {"bindings": []})["bindings"]
        return {
            permission
            for binding in roles
            if self.caller in binding["members"]
            for permission in PERMISSIONS[binding["role"]]
        }

    def require_act_as(self, email: str) -> None:
        """Raise Google's error if the caller may not let something run as a service account.

        https://cloud.google.com/iam/docs/service-accounts-actas
        """
        name = f"iam/projects/{self.id}/serviceAccounts/{email}"
        if self.caller is not None and (name, "roles/iam.serviceAccountUser", self.caller) not in self.grants():
            raise denied("iam.serviceAccounts.actAs", name.partition("/")[2])

    def _refuse(self, call: Call) -> None:
        if call.service not in self.enabled and call.api not in FOR_EVERY_PROJECT:
            title = f"{call.api.capitalize()} API"
            raise service_disabled(call.service, title, self.number)
        if any(fnmatch(call.permission, pattern) for pattern in self.denied):
            raise denied(call.permission, call.path)
        if (status := self.failing.get(call.permission)) is not None:
            if status == 403:
                raise denied(call.permission, call.path)
            raise ApiError(status, "INTERNAL" if status >= 500 else "UNKNOWN", "Internal error encountered.")
        if times := self.passing.get(call.permission):
            raise times.pop()
        if (error := self.errors.get(call.permission)) is not None:
            raise error
        if self.caller is not None and call.permission and call.permission not in self.held():
            raise denied(call.permission, call.path)
