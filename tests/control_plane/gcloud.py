"""A stand-in for gcloud: it makes the calls of a command on the fake project, without a process and without HTTP.

It knows the commands of a plan only. A test runs a plan with the stand-in and with the real gcloud, and compares.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.planning.drift import value_at
from deploy.planning.steps import Words

# Each of these modules adds the methods of its API.
from tests.control_plane import buckets, functions, monitoring, policies, services  # noqa: F401
from tests.control_plane.errors import ApiError
from tests.control_plane.project import FakeProject

MASKS = {
    "ack-deadline": ("ackDeadlineSeconds", lambda text: int(text)),
    "message-retention-duration": ("messageRetentionDuration", str),
    "max-delivery-attempts": ("deadLetterPolicy.maxDeliveryAttempts", lambda text: int(text)),
    "dead-letter-topic": ("deadLetterPolicy.deadLetterTopic", str),
    "min-retry-delay": ("retryPolicy.minimumBackoff", str),
    "max-retry-delay": ("retryPolicy.maximumBackoff", str),
}
"""The field that a flag of `gcloud pubsub subscriptions` sets."""


@dataclass
class Command:
    """A command of gcloud, taken apart."""

    names: list[str] = field(default_factory=list)
    flags: dict[str, list[str]] = field(default_factory=dict)

    def flag(self, name: str, default: str = "") -> str:
        """Return the last value of a flag."""
        return self.flags.get(name, [default])[-1]

    def pairs(self, name: str) -> dict[str, str]:
        """Return the value of a flag such as ``--labels=a=b,c=d``."""
        text, separator = self.flag(name), ","
        if text.startswith("^"):
            separator, text = text[1], text[3:]
        return dict(pair.split("=", 1) for pair in text.split(separator) if pair)


class StandIn:
    """Runs commands of gcloud on a fake project; it can be the runner of a ``Cloud``."""

    def __init__(self, project: FakeProject) -> None:
        """Run commands on ``project``."""
        self.project = project
        self.components = {"alpha": "2025.06.20", "beta": "2025.06.20"}
        """The components of gcloud, with their versions."""
        self.commands: list[Words] = []
        """Every command that ran."""

    def __call__(self, words: Words) -> subprocess.CompletedProcess[str]:
        """Run one command."""
        self.commands.append(words)
        program = [] if words[0] == "gcloud" else [words[0]]
        command = Command(program + [word for word in words[1:] if not word.startswith("--")])
        for word in words[1:]:
            if word.startswith("--"):
                name, _, value = word[2:].partition("=")
                command.flags.setdefault(name, []).append(value)
        length = next((count for count in (4, 3, 2, 1) if tuple(command.names[:count]) in COMMANDS), 0)
        group = tuple(command.names[:length])
        assert group, f"the stand-in does not know the command {' '.join(words)}"
        command.names = command.names[length:]
        try:
            answer = COMMANDS[group](self, command)
        except ApiError as error:
            text = f"ERROR: (gcloud.{'.'.join(group)}) {_error_text(group, command, error)}"
            return subprocess.CompletedProcess(words, 1, "", text)
        return subprocess.CompletedProcess(words, 0, _printed(command.flag("format"), answer), "")

    def call(self, verb: str, api: str, path: str, body: Any = None, **query: str) -> Any:
        """Make a call."""
        return self.project.call(verb, api, path, query, json.loads(json.dumps(body or {})))

    @property
    def path(self) -> str:
        """The project as paths name it."""
        return f"projects/{self.project.id}"

    def located(self, command: Command) -> str:
        """Return the project and the region of a command."""
        region = command.flag("region") or command.flag("location") or command.flag("regions")
        return f"{self.path}/locations/{region}"


def _error_text(group: tuple[str, ...], command: Command, error: ApiError) -> str:
    """Return the error as gcloud 528 prints it for a command."""
    match group[0]:
        case "storage" if error.code == 404:
            return f"{command.names[0]} not found: 404."
        case "storage":
            return f"HTTPError {error.code}: {error}"
        case "functions":
            return f"ResponseError: status=[{error.code}], code=[Ok], message=[{error}]"
        case "projects" if error.code == 404:
            return f"Projects instance [{command.names[0]}] not found: {error}"
        case _:
            details = "".join(f"\n- {json.dumps(detail)}" for detail in error.details)
            return f"{error.status}: {error}{details}"


def _printed(form: str, answer: Any) -> str:
    if isinstance(answer, str):
        return answer + "\n"
    if form.startswith("value("):
        return str(value_at(answer, form[6:-1]) or "") + "\n"
    if form == "json":
        return json.dumps(answer)
    # Without a format gcloud prints text that is not JSON.
    return str(answer.get("email_address") or "".join(f"{name}: {value}\n" for name, value in answer.items()))


def _policy(api: str, name_of: Callable[[StandIn, Command], str], read_verb: str) -> dict[str, Any]:
    """Return the commands for the policy of one kind of resource, by their verb."""

    def read(gcloud: StandIn, command: Command) -> Any:
        name = name_of(gcloud, command)
        return gcloud.call(read_verb, api, name + ("/iam" if api == "storage" else ":getIamPolicy"))

    def write(gcloud: StandIn, command: Command, policy: Any) -> Any:
        name = name_of(gcloud, command)
        if api == "storage":
            return gcloud.call("PUT", api, f"{name}/iam", policy)
        return gcloud.call("POST", api, f"{name}:setIamPolicy", {"policy": policy})

    def add(gcloud: StandIn, command: Command) -> Any:
        policy = json.loads(json.dumps(read(gcloud, command)))
        binding = _binding(policy, command, create=True)
        if command.flag("member") not in binding["members"]:
            binding["members"].append(command.flag("member"))
        return write(gcloud, command, policy)

    def remove(gcloud: StandIn, command: Command) -> Any:
        policy = json.loads(json.dumps(read(gcloud, command)))
        binding = _binding(policy, command, create=False)
        if binding is None or command.flag("member") not in binding["members"]:
            message = "Policy binding with the specified principal, role, and condition not found!"
            raise ApiError(404, "UNKNOWN", message)
        binding["members"].remove(command.flag("member"))
        return write(gcloud, command, policy)

    return {"get-iam-policy": read, "add-iam-policy-binding": add, "remove-iam-policy-binding": remove}


def _binding(policy: Any, command: Command, *, create: bool) -> Any:
    text = command.flag("condition", "None")
    condition = None
    if text not in ("None", ""):
        separator = text[1] if text.startswith("^") else ","
        parts = text[3:] if text.startswith("^") else text
        condition = dict(part.split("=", 1) for part in parts.split(separator))
    for binding in policy["bindings"]:
        if binding["role"] == command.flag("role") and binding.get("condition") == condition:
            return binding
    if not create:
        return None
    new = {"role": command.flag("role"), "members": [], **({"condition": condition} if condition else {})}
    policy["bindings"].append(new)
    return new


def _bucket(gcloud: StandIn, command: Command) -> str:
    return f"b/{command.names[0].removeprefix('gs://')}"


def _bucket_body(command: Command) -> dict[str, Any]:
    body: dict[str, Any] = {
        "iamConfiguration": {"uniformBucketLevelAccess": {"enabled": True}, "publicAccessPrevention": "enforced"}
    }
    if "soft-delete-duration" in command.flags:
        seconds = command.flag("soft-delete-duration").removesuffix("s")
        body["softDeletePolicy"] = {"retentionDurationSeconds": seconds}
    if "clear-retention-period" in command.flags:
        body["retentionPolicy"] = None
    if "no-default-event-based-hold" in command.flags:
        body["defaultEventBasedHold"] = False
    return body | _labelled({}, command)


def _create_bucket(gcloud: StandIn, command: Command) -> Any:
    name = command.names[0].removeprefix("gs://")
    body = {"name": name, "location": command.flag("location"), **_bucket_body(command)}
    return gcloud.call("POST", "storage", "b", body, project=gcloud.project.id)


def _remove_bucket(gcloud: StandIn, command: Command) -> Any:
    gcloud.call("GET", "storage", f"{_bucket(gcloud, command)}/o")
    return gcloud.call("DELETE", "storage", _bucket(gcloud, command))


def _pubsub(kind: str) -> Callable[[StandIn, Command], str]:
    def path(gcloud: StandIn, command: Command) -> str:
        name = command.names[0]
        return f"v1/{name}" if name.startswith("projects/") else f"v1/{gcloud.path}/{kind}/{name}"

    return path


def _subscription_body(command: Command) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for flag, (place, read) in MASKS.items():
        if flag in command.flags:
            *parents, last = place.split(".")
            section = body
            for parent in parents:
                section = section.setdefault(parent, {})
            section[last] = read(command.flag(flag))
    if "push-endpoint" in command.flags:
        body["pushConfig"] = {"pushEndpoint": command.flag("push-endpoint")}
    if command.flag("expiration-period") == "never":
        body["expirationPolicy"] = {}
    return body


def _labelled(existing: dict[str, Any], command: Command) -> dict[str, Any]:
    labels = {**existing.get("labels", {}), **command.pairs("labels"), **command.pairs("update-labels")}
    for name in command.flag("remove-labels").split(","):
        labels.pop(name, None)
    return {"labels": labels} if labels else {}


def _create_pubsub(kind: str) -> Callable[[StandIn, Command], Any]:
    def create(gcloud: StandIn, command: Command) -> Any:
        body = _labelled({}, command)
        if kind == "subscriptions":
            body |= {"topic": f"{gcloud.path}/topics/{command.flag('topic')}", **_subscription_body(command)}
        return gcloud.call("PUT", "pubsub", _pubsub(kind)(gcloud, command), body)

    return create


def _update_pubsub(kind: str) -> Callable[[StandIn, Command], Any]:
    def update(gcloud: StandIn, command: Command) -> Any:
        path = _pubsub(kind)(gcloud, command)
        body = _subscription_body(command) if kind == "subscriptions" else {}
        if "clear-schema-settings" in command.flags:
            body["schemaSettings"] = {}
        if "update-labels" in command.flags:
            body |= _labelled(gcloud.call("GET", "pubsub", path), command)
        return gcloud.call("PATCH", "pubsub", path, {kind.removesuffix("s"): body})

    return update


def _account(gcloud: StandIn, command: Command) -> str:
    return f"v1/projects/-/serviceAccounts/{command.names[0]}"


def _create_account(gcloud: StandIn, command: Command) -> Any:
    body = {"accountId": command.names[0], "serviceAccount": {"description": command.flag("description")}}
    return gcloud.call("POST", "iam", f"v1/{gcloud.path}/serviceAccounts", body)


def _update_account(gcloud: StandIn, command: Command) -> Any:
    body = {"serviceAccount": {"description": command.flag("description")}, "updateMask": "description"}
    return gcloud.call("PATCH", "iam", _account(gcloud, command), body)


def _function(gcloud: StandIn, command: Command) -> str:
    return f"v2/{gcloud.located(command)}/functions/{command.names[0]}"


def _deploy(gcloud: StandIn, command: Command) -> Any:
    path = _function(gcloud, command)
    try:
        existing = gcloud.call("GET", "cloudfunctions", path)
    except ApiError as error:
        if error.code != 404:
            raise
        existing = None
    gcloud.call("GET", "cloudfunctions", f"v2/{gcloud.located(command)}/runtimes")
    gcloud.call("GET", "cloudresourcemanager", f"v1/{gcloud.path}")
    for service in ("run", "cloudbuild", "artifactregistry"):
        gcloud.call("GET", "serviceusage", f"v1/{gcloud.path}/services/{service}.googleapis.com")
    body = {
        "buildConfig": {
            "runtime": command.flag("runtime"),
            "entryPoint": command.flag("entry-point"),
            "serviceAccount": command.flag("build-service-account"),
        },
        "serviceConfig": _service_config(command),
        **_labelled(existing or {}, command),
    }
    if "trigger-http" not in command.flags:
        body["eventTrigger"] = _event_trigger(gcloud, command)
    if existing is None:
        parent = f"v2/{gcloud.located(command)}/functions"
        return gcloud.call("POST", "cloudfunctions", parent, body, functionId=command.names[0])
    return gcloud.call("PATCH", "cloudfunctions", path, body)


def _service_config(command: Command) -> dict[str, Any]:
    config: dict[str, Any] = {
        "serviceAccountEmail": command.flag("service-account"),
        "availableMemory": command.flag("memory"),
        "timeoutSeconds": int(command.flag("timeout").removesuffix("s")),
        "maxInstanceRequestConcurrency": int(command.flag("concurrency")),
        "environmentVariables": command.pairs("set-env-vars") | {"LOG_EXECUTION_ID": "true"},
    }
    if "cpu" in command.flags:
        config["availableCpu"] = command.flag("cpu")
    if "max-instances" in command.flags:
        config["maxInstanceCount"] = int(command.flag("max-instances"))
    if "ingress-settings" in command.flags:
        config["ingressSettings"] = f"ALLOW_{command.flag('ingress-settings').replace('-', '_').upper()}"
    return config


def _event_trigger(gcloud: StandIn, command: Command) -> dict[str, Any]:
    trigger: dict[str, Any] = {"serviceAccountEmail": command.flag("trigger-service-account")}
    if "retry" in command.flags:
        trigger["retryPolicy"] = "RETRY_POLICY_RETRY"
    if "trigger-topic" in command.flags:
        trigger["eventType"] = "google.cloud.pubsub.topic.v1.messagePublished"
        trigger["pubsubTopic"] = f"{gcloud.path}/topics/{command.flag('trigger-topic')}"
        return trigger
    filters = dict(each.split("=", 1) for each in command.flags["trigger-event-filters"])
    trigger["eventType"] = filters.pop("type")
    trigger["eventFilters"] = [{"attribute": name, "value": value} for name, value in filters.items()]
    trigger["triggerRegion"] = command.flag("trigger-location")
    return trigger


def _job(gcloud: StandIn, command: Command) -> str:
    return f"v1/{gcloud.located(command)}/jobs/{command.names[0]}"


def _job_body(command: Command) -> dict[str, Any]:
    return {
        "schedule": command.flag("schedule"),
        "timeZone": command.flag("time-zone"),
        "attemptDeadline": command.flag("attempt-deadline"),
        "description": command.flag("description"),
        "httpTarget": {
            "uri": command.flag("uri"),
            "httpMethod": command.flag("http-method"),
            "oidcToken": {
                "serviceAccountEmail": command.flag("oidc-service-account-email"),
                "audience": command.flag("oidc-token-audience"),
            },
        },
    }


def _create_job(gcloud: StandIn, command: Command) -> Any:
    path = _job(gcloud, command)
    body = {"name": path.removeprefix("v1/"), **_job_body(command)}
    return gcloud.call("POST", "cloudscheduler", path.rpartition("/")[0], body)


def _requests(verb: str, api: str, path: Callable[[StandIn, Command], str], items: str = "") -> Any:
    """Return a command that makes one call; ``items`` is the field of the answer that it prints."""

    def run(gcloud: StandIn, command: Command) -> Any:
        answer = gcloud.call(verb, api, path(gcloud, command))
        return answer.get(items, []) if items else answer

    return run


def _listed(version: str, kind: str) -> Callable[[StandIn, Command], str]:
    return lambda gcloud, command: f"{version}/{gcloud.located(command)}/{kind}"


def _in_project(kind: str) -> Callable[[StandIn, Command], str]:
    return lambda gcloud, command: f"v1/{gcloud.path}/{kind}"


def _describe_project(gcloud: StandIn, command: Command) -> str:
    return f"v1/projects/{command.names[0]}"


def _enable(gcloud: StandIn, command: Command) -> Any:
    return gcloud.call("POST", "serviceusage", f"v1/{gcloud.path}/services:batchEnable", {"serviceIds": command.names})


def _identity(gcloud: StandIn, command: Command) -> Any:
    path = f"v1beta1/{gcloud.path}/services/{command.flag('service')}:generateServiceIdentity"
    return gcloud.call("POST", "serviceusage", path)


def _accounts(gcloud: StandIn, command: Command) -> Any:
    return [{"account": gcloud.project.account, "status": "ACTIVE"}] if gcloud.project.account else []


def _token(gcloud: StandIn, command: Command) -> str:
    if gcloud.project.account is None:
        raise ApiError(401, "ERROR", "You do not currently have an active account selected.")
    return "a-token"


def _document(command: Command, flag: str) -> Any:
    """Return the document in the file that a flag names."""
    return json.loads(Path(command.flag(flag)).read_text(encoding="utf-8"))


def _matching(resources: list[Any], text: str) -> list[Any]:
    """Return the resources that a filter lets through: `FIELD="TEXT"` or `FIELD~"PATTERN"`, joined by AND."""
    terms = re.findall(r'([\w.-]+)(=|~)"([^"]*)"', text)
    assert " AND ".join(f'{path}{sign}"{value}"' for path, sign, value in terms) == text

    def matches(resource: Any) -> bool:
        return all(
            re.search(value, str(value_at(resource, path))) if sign == "~" else value_at(resource, path) == value
            for path, sign, value in terms
        )

    return [each for each in resources if matches(each)]


def _list_metrics(gcloud: StandIn, command: Command) -> Any:
    found = gcloud.call("GET", "logging", f"v2/{gcloud.path}/metrics")["metrics"]
    return _matching(found, command.flag("filter"))


def _create_metric(gcloud: StandIn, command: Command) -> Any:
    body = {**_document(command, "config-from-file"), "name": command.names[0]}
    return gcloud.call("POST", "logging", f"v2/{gcloud.path}/metrics", body)


def _metric(gcloud: StandIn, command: Command) -> str:
    return f"v2/{gcloud.path}/metrics/{command.names[0]}"


def _update_metric(gcloud: StandIn, command: Command) -> Any:
    existing = gcloud.call("GET", "logging", _metric(gcloud, command))
    body = {**existing, **_document(command, "config-from-file")}
    return gcloud.call("PUT", "logging", _metric(gcloud, command), body)


def _list_policies(gcloud: StandIn, command: Command) -> Any:
    found = gcloud.call("GET", "monitoring", f"v3/{gcloud.path}/alertPolicies")["alertPolicies"]
    return _matching(found, command.flag("filter"))


def _create_policy(gcloud: StandIn, command: Command) -> Any:
    body = _document(command, "policy-from-file")
    return gcloud.call("POST", "monitoring", f"v3/{gcloud.path}/alertPolicies", body)


def _policy_name(gcloud: StandIn, command: Command) -> str:
    return f"v3/{gcloud.path}/alertPolicies/{command.names[0].rpartition('/')[2]}"


def _update_policy(gcloud: StandIn, command: Command) -> Any:
    return gcloud.call("PATCH", "monitoring", _policy_name(gcloud, command), _document(command, "policy-from-file"))


def _list_channels(gcloud: StandIn, command: Command) -> Any:
    found = gcloud.call("GET", "monitoring", f"v3/{gcloud.path}/notificationChannels")["notificationChannels"]
    matching = _matching(found, command.flag("filter"))
    # `--format=value(name)` prints the names, one a line.
    if command.flag("format") == "value(name)":
        return "\n".join(each["name"] for each in matching[: int(command.flag("limit"))])
    return matching


def _create_channel(gcloud: StandIn, command: Command) -> Any:
    body = _document(command, "channel-content-from-file")
    return gcloud.call("POST", "monitoring", f"v3/{gcloud.path}/notificationChannels", body)


def _channel(gcloud: StandIn, command: Command) -> str:
    return f"v3/{gcloud.path}/notificationChannels/{command.names[0].rpartition('/')[2]}"


def _update_channel(gcloud: StandIn, command: Command) -> Any:
    return gcloud.call(
        "PATCH", "monitoring", _channel(gcloud, command), _document(command, "channel-content-from-file")
    )


def _dashboard(gcloud: StandIn, command: Command) -> str:
    return f"v1/{gcloud.path}/dashboards/{command.names[0]}"


def _create_dashboard(gcloud: StandIn, command: Command) -> Any:
    body = _document(command, "config-from-file")
    return gcloud.call("POST", "monitoring", f"v1/{gcloud.path}/dashboards", body)


def _update_dashboard(gcloud: StandIn, command: Command) -> Any:
    return gcloud.call("PATCH", "monitoring", _dashboard(gcloud, command), _document(command, "config-from-file"))


POLICIES = {
    ("projects",): _policy("cloudresourcemanager", _describe_project, "POST"),
    ("storage", "buckets"): _policy("storage", _bucket, "GET"),
    ("pubsub", "topics"): _policy("pubsub", _pubsub("topics"), "GET"),
    ("iam", "service-accounts"): _policy(
        "iam", lambda gcloud, command: f"v1/{gcloud.path}/serviceAccounts/{command.names[0]}", "POST"
    ),
    ("kms", "keys"): _policy("cloudkms", lambda gcloud, command: f"v1/{command.names[0]}", "GET"),
    ("run", "services"): _policy(
        "run", lambda gcloud, command: f"v1/{gcloud.located(command)}/services/{command.names[0]}", "GET"
    ),
}
COMMANDS: dict[tuple[str, ...], Callable[[StandIn, Command], Any]] = {
    ("version",): lambda gcloud, command: {"Google Cloud SDK": "528.0.0", **gcloud.components},
    ("bq", "show"): _requests("GET", "bigquery", lambda gcloud, command: f"bigquery/v2/{gcloud.path}/serviceAccount"),
    ("kms", "keys", "describe"): _requests("GET", "cloudkms", lambda gcloud, command: f"v1/{command.names[0]}"),
    ("functions", "runtimes", "list"): _requests(
        "GET", "cloudfunctions", lambda gcloud, command: f"v2/{gcloud.located(command)}/runtimes", "runtimes"
    ),
    ("auth", "list"): _accounts,
    ("auth", "print-access-token"): _token,
    ("billing", "projects", "describe"): _requests(
        "GET", "cloudbilling", lambda gcloud, command: f"v1/projects/{command.names[0]}/billingInfo"
    ),
    ("services", "list"): _requests("GET", "serviceusage", _in_project("services"), "services"),
    ("services", "enable"): _enable,
    ("beta", "services", "identity", "create"): _identity,
    ("projects", "describe"): _requests("GET", "cloudresourcemanager", _describe_project),
    ("storage", "service-agent"): _requests("GET", "storage", lambda gcloud, command: f"{gcloud.path}/serviceAccount"),
    ("storage", "buckets", "describe"): _requests("GET", "storage", _bucket),
    ("storage", "buckets", "list"): _requests("GET", "storage", lambda gcloud, command: "b", "items"),
    ("storage", "buckets", "create"): _create_bucket,
    ("storage", "buckets", "update"): lambda gcloud, command: gcloud.call(
        "PATCH", "storage", _bucket(gcloud, command), _bucket_body(command)
    ),
    ("storage", "rm"): _remove_bucket,
    ("iam", "service-accounts", "create"): _create_account,
    ("iam", "service-accounts", "describe"): _requests("GET", "iam", _account),
    ("iam", "service-accounts", "update"): _update_account,
    ("iam", "service-accounts", "delete"): _requests("DELETE", "iam", _account),
    ("iam", "service-accounts", "list"): _requests("GET", "iam", _in_project("serviceAccounts"), "accounts"),
    ("functions", "deploy"): _deploy,
    ("functions", "describe"): _requests("GET", "cloudfunctions", _function),
    ("functions", "delete"): _requests("DELETE", "cloudfunctions", _function),
    ("functions", "list"): _requests("GET", "cloudfunctions", _listed("v2", "functions"), "functions"),
    ("eventarc", "triggers", "describe"): _requests(
        "GET", "eventarc", lambda gcloud, command: f"v1/{command.names[0]}"
    ),
    ("logging", "metrics", "list"): _list_metrics,
    ("logging", "metrics", "create"): _create_metric,
    ("logging", "metrics", "describe"): _requests("GET", "logging", _metric),
    ("logging", "metrics", "update"): _update_metric,
    ("logging", "metrics", "delete"): _requests("DELETE", "logging", _metric),
    ("alpha", "monitoring", "policies", "list"): _list_policies,
    ("alpha", "monitoring", "policies", "create"): _create_policy,
    ("alpha", "monitoring", "policies", "update"): _update_policy,
    ("alpha", "monitoring", "policies", "delete"): _requests("DELETE", "monitoring", _policy_name),
    ("beta", "monitoring", "channels", "list"): _list_channels,
    ("beta", "monitoring", "channels", "create"): _create_channel,
    ("beta", "monitoring", "channels", "update"): _update_channel,
    ("beta", "monitoring", "channels", "delete"): _requests("DELETE", "monitoring", _channel),
    ("monitoring", "dashboards", "list"): _requests("GET", "monitoring", _in_project("dashboards"), "dashboards"),
    ("monitoring", "dashboards", "create"): _create_dashboard,
    ("monitoring", "dashboards", "describe"): _requests("GET", "monitoring", _dashboard),
    ("monitoring", "dashboards", "update"): _update_dashboard,
    ("monitoring", "dashboards", "delete"): _requests("DELETE", "monitoring", _dashboard),
    ("scheduler", "jobs", "create", "http"): _create_job,
    ("scheduler", "jobs", "update", "http"): lambda gcloud, command: gcloud.call(
        "PATCH", "cloudscheduler", _job(gcloud, command), _job_body(command)
    ),
    ("scheduler", "jobs", "describe"): _requests("GET", "cloudscheduler", _job),
    ("scheduler", "jobs", "delete"): _requests("DELETE", "cloudscheduler", _job),
    ("scheduler", "jobs", "list"): _requests("GET", "cloudscheduler", _listed("v1", "jobs"), "jobs"),
    **{
        ("pubsub", kind, verb): command
        for kind in ("topics", "subscriptions")
        for verb, command in {
            "create": _create_pubsub(kind),
            "update": _update_pubsub(kind),
            "describe": _requests("GET", "pubsub", _pubsub(kind)),
            "delete": _requests("DELETE", "pubsub", _pubsub(kind)),
            "list": _requests("GET", "pubsub", _in_project(kind), kind),
        }.items()
    },
    **{(*group, verb): command for group, verbs in POLICIES.items() for verb, command in verbs.items()},
}
"""Every command that the stand-in knows."""
