"""Cloud Functions, and what a deployed function creates: a Cloud Run service, a trigger of Eventarc, a subscription.

https://cloud.google.com/functions/docs/reference/rest/v2
"""

from __future__ import annotations

import re
from typing import Any

from tests.control_plane.calls import Answer, Call, route
from tests.control_plane.errors import ApiError, agent_not_ready, already_exists, not_found
from tests.control_plane.policies import require_account
from tests.control_plane.project import FakeProject
from tests.control_plane.services import require

LOCATION = r"projects/[^/]+/locations/[^/]+"
FUNCTION = rf"v2/(?P<name>{LOCATION}/functions/[^/:]+)"


@route("cloudfunctions", "GET", rf"v2/{LOCATION}/runtimes", "cloudfunctions.runtimes.list")
def _runtimes(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    return {
        "runtimes": [{"name": name, "stage": stage, "environment": "GEN_2"} for name, stage in project.runtimes.items()]
    }


@route(
    "cloudfunctions", "POST", rf"v2/{LOCATION}/functions:generateUploadUrl", "cloudfunctions.functions.sourceCodeSet"
)
def _upload_url(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    return {
        "uploadUrl": f"{call.query.get('host', '')}/upload/source.zip",
        "storageSource": {"bucket": f"gcf-v2-uploads-{project.number}", "object": "source.zip"},
    }


@route("upload", "PUT", "source.zip", "")
def _upload(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    return {}


@route("cloudfunctions", "GET", FUNCTION, "cloudfunctions.functions.get")
def _get(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    return project.get(f"cloudfunctions/{found['name']}")


@route("cloudfunctions", "GET", rf"v2/(?P<parent>{LOCATION})/functions", "cloudfunctions.functions.list")
def _list(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    prefix = f"cloudfunctions/{found['parent'].rpartition('/')[0]}/"
    return {"functions": [each for name, each in project.resources.items() if name.startswith(prefix)]}


@route("cloudfunctions", "POST", rf"v2/(?P<parent>{LOCATION})/functions", "cloudfunctions.functions.create")
def _create(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    name = f"{found['parent']}/functions/{call.query['functionId']}"
    if f"cloudfunctions/{name}" in project.resources:
        raise already_exists(name)
    fails = call.query["functionId"] in project.build_failures
    function: dict[str, Any] = {"state": "FAILED" if fails else "ACTIVE", "environment": "GEN_2"}
    _deploy(project, name, function, call.body)
    project.resources[f"cloudfunctions/{name}"] = function
    if fails:
        raise ApiError(400, "FAILED_PRECONDITION", f"Build failed for {name}.")
    return _operation(found["parent"], function)


@route("cloudfunctions", "PATCH", FUNCTION, "cloudfunctions.functions.update")
def _update(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    function = project.get(f"cloudfunctions/{found['name']}")
    function["state"] = "ACTIVE"
    if found["name"].rpartition("/")[2] in project.build_failures:
        function["state"] = "FAILED"
        raise ApiError(400, "FAILED_PRECONDITION", f"Build failed for {found['name']}.")
    _deploy(project, found["name"], function, call.body)
    return _operation(found["name"].rpartition("/functions/")[0], function)


@route("cloudfunctions", "DELETE", FUNCTION, "cloudfunctions.functions.delete")
def _delete(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    function = project.get(f"cloudfunctions/{found['name']}")
    del project.resources[f"cloudfunctions/{found['name']}"]
    del project.resources[f"run/{function['serviceConfig']['service']}"]
    project.policies.pop(f"run/{function['serviceConfig']['service']}", None)
    trigger = function.get("eventTrigger", {}).get("trigger")
    if trigger:
        subscription = project.resources.pop(f"eventarc/{trigger}")["transport"]["pubsub"]["subscription"]
        project.resources.pop(f"pubsub/{subscription}", None)
    return _operation(found["name"].rpartition("/functions/")[0], {})


@route("cloudfunctions", "GET", rf"v2/{LOCATION}/operations/[^/]+", "cloudfunctions.operations.get")
def _wait(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    return _operation(call.path.removeprefix("v2/").rpartition("/operations/")[0], {})


@route("eventarc", "GET", rf"v1/(?P<name>{LOCATION}/triggers/[^/:]+)", "eventarc.triggers.get")
def _trigger(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    return project.get(f"eventarc/{found['name']}")


@route("eventarc", "GET", rf"v1/(?P<parent>{LOCATION})/triggers", "eventarc.triggers.list")
def _triggers(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    return {"triggers": [each for name, each in project.resources.items() if name.startswith("eventarc/")]}


@route("run", "GET", r"apis/serving.knative.dev/v1/namespaces/[^/]+/services/(?P<service>[^/]+)", "run.services.get")
def _service(project: FakeProject, call: Call, found: re.Match[str]) -> Answer:
    for name, service in project.resources.items():
        if name.startswith("run/") and name.endswith(f"/services/{found['service']}"):
            return service
    raise not_found(found["service"])


def _operation(parent: str, function: dict[str, Any]) -> Answer:
    metadata = {"@type": "type.googleapis.com/google.cloud.functions.v2.OperationMetadata", "stages": []}
    return {"name": f"{parent}/operations/operation-1", "metadata": metadata, "done": True, "response": function}


def _deploy(project: FakeProject, name: str, function: dict[str, Any], body: dict[str, Any]) -> None:
    """Take over the settings in ``body``, and create or update what belongs to the function."""
    location, _, short = name.rpartition("/functions/")
    wanted = body.get("serviceConfig", {})
    require_account(project, wanted.get("serviceAccountEmail", ""))
    project.require_act_as(wanted.get("serviceAccountEmail", ""))
    trigger = body.get("eventTrigger")
    if trigger:
        _connect(project, f"{location}/triggers/{short}-000001", function, trigger)
    service = f"{location}/services/{short}"
    settings = {**function.get("serviceConfig", {}), **wanted}
    settings |= {"service": service, "uri": f"https://{short}-abc-uc.a.run.app", "revision": f"{short}-00001-abc"}
    function |= {"name": name, "serviceConfig": settings}
    for field in ("buildConfig", "labels"):
        if field in body:
            function[field] = body[field]
    project.resources[f"run/{service}"] = {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": short, "namespace": project.number},
        "status": {"url": settings["uri"]},
    }


def _connect(project: FakeProject, trigger: str, function: dict[str, Any], wanted: dict[str, Any]) -> None:
    require_account(project, wanted.get("serviceAccountEmail", ""))
    project.require_act_as(wanted.get("serviceAccountEmail", ""))
    if wanted.get("pubsubTopic"):
        require(project, "pubsub", wanted["pubsubTopic"])
    for each in wanted.get("eventFilters", []):
        if each["attribute"] == "bucket":
            require(project, "storage", f"buckets/{each['value']}")
    if project.trigger_failures > 0:
        project.trigger_failures -= 1
        raise agent_not_ready(trigger)
    function["eventTrigger"] = {**wanted, "trigger": trigger}
    short = trigger.rpartition("/")[2]
    subscription = f"projects/{project.id}/subscriptions/eventarc-us-central1-{short}-sub-1"
    project.resources[f"eventarc/{trigger}"] = {
        "name": trigger,
        "transport": {"pubsub": {"subscription": subscription}},
    }
    # Eventarc's own settings: https://cloud.google.com/eventarc/docs/retry-events
    project.resources.setdefault(
        f"pubsub/{subscription}",
        {
            "name": subscription,
            "topic": wanted.get("pubsubTopic") or f"projects/{project.id}/topics/eventarc-{short}",
            "ackDeadlineSeconds": 600 if wanted.get("retryPolicy") == "RETRY_POLICY_RETRY" else 10,
            "messageRetentionDuration": "86400s",
        },
    )
