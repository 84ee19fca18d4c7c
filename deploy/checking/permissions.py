"""The permissions on the project that the commands of a plan need, by the role that gives them.

An unknown name makes the whole call fail that tests permissions, so only names of Google's reference are here:
https://cloud.google.com/iam/docs/permissions-reference
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple


class Need(NamedTuple):
    """Permissions that one role gives."""

    role: str
    permissions: tuple[str, ...]


def _all(prefix: str, verbs: str) -> tuple[str, ...]:
    return tuple(f"{prefix}.{verb}" for verb in verbs.split())


_POLICY = "getIamPolicy setIamPolicy"
NEEDS = (
    Need("roles/serviceusage.serviceUsageAdmin", _all("serviceusage.services", "enable get list")),
    Need("roles/resourcemanager.projectIamAdmin", _all("resourcemanager.projects", f"get {_POLICY}")),
    Need("roles/iam.serviceAccountAdmin", _all("iam.serviceAccounts", f"create delete get list update {_POLICY}")),
    # Functions, triggers and schedules run as accounts of the project, and builds too.
    Need("roles/iam.serviceAccountUser", ("iam.serviceAccounts.actAs",)),
    Need("roles/storage.admin", _all("storage.buckets", f"create get list update {_POLICY}")),
    Need(
        "roles/pubsub.admin",
        (
            *_all("pubsub.topics", f"attachSubscription create delete get list update {_POLICY}"),
            *_all("pubsub.subscriptions", "create get list update"),
        ),
    ),
    Need(
        "roles/cloudfunctions.admin",
        (
            *_all("cloudfunctions.functions", "create delete get list sourceCodeSet update"),
            *_all("cloudfunctions.runtimes", "list"),
            *_all("cloudfunctions.operations", "get"),
        ),
    ),
    Need("roles/run.admin", _all("run.services", f"get {_POLICY}")),
    Need("roles/eventarc.viewer", _all("eventarc.triggers", "get list")),
    Need("roles/cloudscheduler.admin", _all("cloudscheduler.jobs", "create delete get list update")),
    Need("roles/cloudbuild.builds.viewer", _all("cloudbuild.builds", "get")),
    Need("roles/logging.configWriter", _all("logging.logMetrics", "create delete get list update")),
    Need(
        "roles/monitoring.editor",
        (
            *_all("monitoring.alertPolicies", "create delete list update"),
            *_all("monitoring.dashboards", "create get list update"),
            *_all("monitoring.notificationChannels", "create delete list update"),
        ),
    ),
)
"""Every permission that `apply` needs; a test compares them with the calls that it makes."""
PERMISSIONS = tuple(permission for need in NEEDS for permission in need.permissions)


def missing(held: Collection[str]) -> Iterator[Need]:
    """Yield the permissions that are not ``held``, with the role that gives them."""
    for need in NEEDS:
        lacking = tuple(permission for permission in need.permissions if permission not in held)
        if lacking:
            yield Need(need.role, lacking)
