"""The permissions of roles, as far as a deployment needs them.

https://cloud.google.com/iam/docs/roles-permissions
"""

from __future__ import annotations


def _all(prefix: str, verbs: str) -> frozenset[str]:
    return frozenset(f"{prefix}.{verb}" for verb in verbs.split())


_PROJECT = _all("resourcemanager.projects", "get")
_SERVICES = _all("serviceusage.services", "get list")
PERMISSIONS: dict[str, frozenset[str]] = {
    "roles/cloudbuild.builds.builder": _PROJECT
    | _all("cloudbuild.builds", "create get list update")
    | _all("artifactregistry.repositories", "get list downloadArtifacts uploadArtifacts")
    | _all("storage.buckets", "create get list")
    | _all("storage.objects", "create delete get list update")
    | _all("pubsub.topics", "create publish")
    | {"logging.logEntries.create"},
    "roles/cloudfunctions.developer": _PROJECT
    | _SERVICES
    | _all("cloudfunctions.functions", "call create delete get invoke list sourceCodeGet sourceCodeSet update")
    | {"cloudfunctions.operations.get", "cloudfunctions.runtimes.list", "cloudbuild.builds.get", "run.services.get"}
    | _all("eventarc.triggers", "create delete get list update"),
    "roles/eventarc.admin": _PROJECT
    | _all("eventarc.triggers", "create delete get getIamPolicy list setIamPolicy update"),
    "roles/pubsub.editor": _PROJECT
    | _SERVICES
    | _all("pubsub.subscriptions", "consume create delete get list update")
    | _all("pubsub.topics", "attachSubscription create delete detachSubscription get list publish update"),
    "roles/cloudscheduler.admin": _PROJECT
    | _SERVICES
    | _all("cloudscheduler.jobs", "create delete enable fullView get list pause run update"),
    "roles/run.admin": _PROJECT | _all("run.services", "create delete get getIamPolicy list setIamPolicy update"),
}
