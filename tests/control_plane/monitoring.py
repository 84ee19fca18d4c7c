"""Cloud Logging's metrics, and Cloud Monitoring's alert policies and dashboards.

https://docs.cloud.google.com/logging/docs/reference/v2/rest/v2/projects.metrics
https://docs.cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.alertPolicies
https://docs.cloud.google.com/monitoring/api/ref_v3/rest/v1/projects.dashboards
"""

from __future__ import annotations

import json
import re
from typing import Any

from tests.control_plane.calls import Answer, Call, route
from tests.control_plane.errors import ApiError, already_exists
from tests.control_plane.project import FakeProject

PROJECT = r"projects/[^/]+"
METRIC = rf"v2/(?P<name>{PROJECT}/metrics/[^/:]+)"
POLICY = rf"v3/(?P<name>{PROJECT}/alertPolicies/[^/:]+)"
CHANNEL = rf"v3/(?P<name>{PROJECT}/notificationChannels/[^/:]+)"
DASHBOARD = r"v1/projects/[^/]+/(?P<name>dashboards/[^/:]+)"


@route("logging", "GET", rf"v2/{PROJECT}/metrics", "logging.logMetrics.list")
def _metrics(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    return {"metrics": [each for name, each in project.resources.items() if name.startswith("logging/")]}


@route("logging", "POST", rf"v2/(?P<parent>{PROJECT})/metrics", "logging.logMetrics.create")
def _create_metric(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    name = f"logging/{found['parent']}/metrics/{call.body['name']}"
    if name in project.resources:
        raise already_exists(name)
    return project.resources.setdefault(name, _completed(call.body))


@route("logging", "GET", METRIC, "logging.logMetrics.get")
def _metric(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    return project.get(f"logging/{found['name']}")


@route("logging", "PUT", METRIC, "logging.logMetrics.update")
def _update_metric(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    project.resources[f"logging/{found['name']}"] = _completed(call.body)
    return call.body


@route("logging", "DELETE", METRIC, "logging.logMetrics.delete")
def _delete_metric(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    return _delete(project, f"logging/{found['name']}")


def _completed(metric: dict[str, Any]) -> dict[str, Any]:
    """Return a metric as Cloud Logging stores it: its descriptor has a name and a type too."""
    kind = f"logging.googleapis.com/user/{metric['name']}"
    descriptor = {**metric.get("metricDescriptor", {}), "name": kind, "type": kind}
    return {**metric, "metricDescriptor": descriptor, "createTime": "2026-11-27T00:00:00Z"}


@route("monitoring", "GET", rf"v3/{PROJECT}/alertPolicies", "monitoring.alertPolicies.list")
def _policies(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    return {"alertPolicies": [each for name, each in project.resources.items() if "/alertPolicies/" in name]}


@route("monitoring", "POST", rf"v3/(?P<parent>{PROJECT})/alertPolicies", "monitoring.alertPolicies.create")
def _create_policy(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    _require_metrics(project, call.body)
    _require_channels(project, call.body)
    project.policies_created += 1
    name = f"{found['parent']}/alertPolicies/{project.policies_created}"
    return _store_policy(project, name, call.body)


@route("monitoring", "PATCH", POLICY, "monitoring.alertPolicies.update")
def _update_policy(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    project.get(f"monitoring/{found['name']}")
    _require_metrics(project, call.body)
    _require_channels(project, call.body)
    return _store_policy(project, found["name"], call.body)


@route("monitoring", "DELETE", POLICY, "monitoring.alertPolicies.delete")
def _delete_policy(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    return _delete(project, f"monitoring/{found['name']}")


def _require_metrics(project: FakeProject, policy: dict[str, Any]) -> None:
    """Raise Google's error if a condition uses a metric that does not exist, or that is too new.

    https://docs.cloud.google.com/logging/docs/logs-based-metrics/troubleshooting
    """
    for metric in re.findall(r'metric.type=\\"logging.googleapis.com/user/([^"\\]+)', json.dumps(policy)):
        is_new = project.metrics_delay > 0
        project.metrics_delay -= is_new
        if is_new or f"logging/projects/{project.id}/metrics/{metric}" not in project.resources:
            message = (
                f'Cannot find metric that matches type = "logging.googleapis.com/user/{metric}". If a metric was created '
                "recently, it could take up to 10 minutes to become available. Please try again soon."
            )
            raise ApiError(404, "NOT_FOUND", message)


def _store_policy(project: FakeProject, name: str, policy: dict[str, Any]) -> Answer:
    conditions = [
        {**each, "name": f"{name}/conditions/{position}"} for position, each in enumerate(policy["conditions"])
    ]
    project.resources[f"monitoring/{name}"] = {**policy, "name": name, "conditions": conditions}
    return project.resources[f"monitoring/{name}"]


@route("monitoring", "POST", rf"v1/{PROJECT}/dashboards", "monitoring.dashboards.create")
def _create_dashboard(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    name = f"dashboards/{call.body['name'].rpartition('/')[2]}"
    if f"monitoring/{name}" in project.resources:
        raise already_exists(name)
    return _store_dashboard(project, name, call.body, 1)


@route("monitoring", "GET", rf"v1/{PROJECT}/dashboards", "monitoring.dashboards.list")
def _dashboards(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    return {
        "dashboards": [each for name, each in project.resources.items() if name.startswith("monitoring/dashboards/")]
    }


@route("monitoring", "GET", DASHBOARD, "monitoring.dashboards.get")
def _dashboard(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    return project.get(f"monitoring/{found['name']}")


@route("monitoring", "PATCH", DASHBOARD, "monitoring.dashboards.update")
def _update_dashboard(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    existing = project.get(f"monitoring/{found['name']}")
    if call.body.get("etag") != existing["etag"]:
        raise ApiError(409, "ABORTED", "The etag of the dashboard is not the current one.")
    return _store_dashboard(project, found["name"], call.body, int(existing["etag"]) + 1)


@route("monitoring", "DELETE", DASHBOARD, "monitoring.dashboards.delete")
def _delete_dashboard(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    return _delete(project, f"monitoring/{found['name']}")


def _store_dashboard(project: FakeProject, name: str, body: dict[str, Any], version: int) -> Answer:
    stored = {**body, "name": f"projects/{project.number}/{name}", "etag": str(version)}
    project.resources[f"monitoring/{name}"] = stored
    return stored


def _delete(project: FakeProject, name: str) -> Answer:
    project.get(name)
    del project.resources[name]
    return {}


@route("monitoring", "GET", rf"v3/{PROJECT}/notificationChannels", "monitoring.notificationChannels.list")
def _channels(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    channels = [each for name, each in project.resources.items() if "/notificationChannels/" in name]
    return {"notificationChannels": channels}


@route(
    "monitoring", "POST", rf"v3/(?P<parent>{PROJECT})/notificationChannels", "monitoring.notificationChannels.create"
)
def _create_channel(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    project.channels_created += 1
    name = f"{found['parent']}/notificationChannels/{project.channels_created}"
    return project.resources.setdefault(f"monitoring/{name}", {**call.body, "name": name})


@route("monitoring", "PATCH", CHANNEL, "monitoring.notificationChannels.update")
def _update_channel(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    project.get(f"monitoring/{found['name']}")
    project.resources[f"monitoring/{found['name']}"] = {**call.body, "name": found["name"]}
    return project.resources[f"monitoring/{found['name']}"]


@route("monitoring", "DELETE", CHANNEL, "monitoring.notificationChannels.delete")
def _delete_channel(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    """Delete a channel that no policy uses: https://docs.cloud.google.com/monitoring/alerts/using-channels-api."""
    if any(found["name"] in policy.get("notificationChannels", []) for policy in project.resources.values()):
        raise ApiError(400, "FAILED_PRECONDITION", f"The channel {found['name']} is used by an alert policy.")
    return _delete(project, f"monitoring/{found['name']}")


def _require_channels(project: FakeProject, policy: dict[str, Any]) -> None:
    for name in policy.get("notificationChannels", []):
        if f"monitoring/{name}" not in project.resources:
            raise ApiError(400, "INVALID_ARGUMENT", f"The notification channel {name} does not exist.")
