"""Metrics, alerts and dashboard: as Google's API descriptions say, about names that exist, and applied as declared."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import requests

from declaration.model import Declaration
from declaration.reading import parse_declaration
from deploy.__main__ import main
from deploy.cloud import CommandFailedError
from deploy.declared import DECLARATION, read
from deploy.monitoring.alerts import LABEL, alerts
from deploy.monitoring.applying import MOST_PAUSES, Monitoring, documents
from deploy.monitoring.metrics import METRICS, POLLED
from tests.paths import ROOT

PROJECT = "films"
CHANNEL = f"projects/{PROJECT}/notificationChannels/7"
# The kind and the labels of each: https://docs.cloud.google.com/monitoring/api/metrics_gcp_p_z#gcp-pubsub and #gcp-run.
GOOGLES_METRICS = {
    "pubsub.googleapis.com/subscription/num_undelivered_messages": ("GAUGE", set()),
    "run.googleapis.com/request_count": ("DELTA", {"response_code", "response_code_class"}),
    "run.googleapis.com/request_latencies": ("DISTRIBUTION", {"response_code", "response_code_class"}),
}
# https://docs.cloud.google.com/monitoring/api/resources
RESOURCES = {
    "pubsub_subscription": {"project_id", "subscription_id"},
    "cloud_run_revision": {"project_id", "service_name", "revision_name", "location", "configuration_name"},
}
# https://docs.cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.alertPolicies#aligner: the kinds that each takes.
ALIGNERS = {
    "ALIGN_DELTA": {"DELTA"},
    "ALIGN_RATE": {"DELTA"},
    "ALIGN_MAX": {"GAUGE"},
    "ALIGN_PERCENTILE_99": {"DISTRIBUTION"},
    "ALIGN_PERCENTILE_95": {"DISTRIBUTION"},
}


@pytest.fixture(scope="module")
def declaration() -> Declaration:
    return read()


@pytest.fixture(scope="module")
def written(declaration: Declaration) -> dict[str, Any]:
    return documents(declaration, PROJECT)


def problems(value: Any, schema: dict[str, Any], schemas: dict[str, Any], path: str) -> Iterator[str]:
    """Yield where ``value`` is not what a schema of a discovery document says."""
    schema = schemas[schema["$ref"]] if "$ref" in schema else schema
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float)}
    if schema["type"] != "any" and not isinstance(value, kinds[schema["type"]]):
        # int64 is text in JSON, and may be a number.
        yield f"{path} is not of the type {schema['type']}"
    elif isinstance(value, list):
        for position, each in enumerate(value):
            yield from problems(each, schema["items"], schemas, f"{path}[{position}]")
    elif isinstance(value, dict):
        for name, each in value.items():
            known = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
            if known is None:
                yield f"{path} has no field {name}"
            else:
                yield from problems(each, known, schemas, f"{path}.{name}")
    elif value not in schema.get("enum", [value]):
        yield f"{path} is {value}, none of {schema['enum']}"


@pytest.mark.parametrize(
    ("part", "api", "schema"),
    [
        ("metrics", "logging.v2", "LogMetric"),
        ("alertPolicies", "monitoring.v3", "AlertPolicy"),
        ("dashboard", "monitoring.v1", "Dashboard"),
    ],
)
def test_what_is_written_is_valid_by_the_published_description(
    written: dict[str, Any], part: str, api: str, schema: str
) -> None:
    folder = files("googleapiclient") / "discovery_cache" / "documents"
    schemas = json.loads((folder / f"{api}.json").read_text(encoding="utf-8"))["schemas"]
    found = written[part] if isinstance(written[part], list) else [written[part]]
    assert found
    assert [wrong for each in found for wrong in problems(each, {"$ref": schema}, schemas, part)] == []


def queries(written: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each filter of an alert or a chart, with its aggregation."""
    for policy in written["alertPolicies"]:
        for condition in policy["conditions"]:
            [body] = [body for name, body in condition.items() if name.startswith("condition")]
            [aggregation] = body["aggregations"]
            yield body["filter"], aggregation
    for tile in written["dashboard"]["mosaicLayout"]["tiles"]:
        for data in tile["widget"]["xyChart"]["dataSets"]:
            query = data["timeSeriesQuery"]["timeSeriesFilter"]
            yield query["filter"], query["aggregation"]


def test_filters_name_metrics_resources_and_labels_that_exist(written: dict[str, Any]) -> None:
    known = dict(GOOGLES_METRICS)
    for metric in written["metrics"]:
        descriptor = metric["metricDescriptor"]
        kind = "DISTRIBUTION" if descriptor["valueType"] == "DISTRIBUTION" else descriptor["metricKind"]
        known[f"logging.googleapis.com/user/{metric['name']}"] = kind, set(metric["labelExtractors"])
    for text, aggregation in queries(written):
        metric, resource = (re.search(rf'{name}\.type="([^"]+)"', text) for name in ("metric", "resource"))
        assert metric is not None and resource is not None, text
        kind, labels = known[metric[1]]
        assert kind in ALIGNERS[aggregation["perSeriesAligner"]], text
        named = " ".join([text, *aggregation.get("groupByFields", [])])
        assert set(re.findall(r"metric\.labels?\.(\w+)", named)) <= labels, text
        assert set(re.findall(r"resource\.labels?\.(\w+)", named)) <= RESOURCES[resource[1]], text


def test_filters_name_services_and_subscriptions_that_are_declared(
    written: dict[str, Any], declaration: Declaration
) -> None:
    text = json.dumps(written).replace('\\"', '"')
    services = {function.service for function in declaration.functions.values()}
    assert set(re.findall(r'service_name="([^"]+)"', text)) <= services
    assert set(re.findall(r'subscription_id="([^"]+)"', text)) == {declaration.dead_letters_hold}
    for metric in written["metrics"]:
        assert set(re.findall(r'"(modeldrop-[^"]+)"', metric["filter"])) == services


def test_each_metric_counts_records_that_the_functions_write() -> None:
    source = "\n".join(path.read_text() for folder in ("shared", "functions") for path in (ROOT / folder).rglob("*.py"))
    messages = {text for metric in METRICS for text in re.findall(r'message="([^"]+)"', metric.records)}
    assert messages == {"stuck", "import failed", POLLED}
    assert f'"{POLLED}"' in source
    assert ', "stuck",' in source
    assert 'f"{item.kind.value} {item.outcome}"' in source
    fields = {metric.value for metric in METRICS if metric.value} | {name for each in METRICS for name in each.labels}
    assert {name for name in fields if not re.search(rf"\b{name}\b", source)} == set()


def test_the_absent_poller_is_found_by_missing_data(declaration: Declaration) -> None:
    [absent] = [alert for alert in alerts(declaration) if alert.id == "poll-jobs-absent"]
    [condition] = absent.conditions
    assert condition["conditionAbsent"]["duration"] == "600s"
    assert 'response_code_class="2xx"' in condition["conditionAbsent"]["filter"]


def test_alerts_notify_the_declared_channels_and_can_be_off() -> None:
    text = DECLARATION.read_text(encoding="utf-8")
    loud = parse_declaration(text.replace("channels: []", f"channels: [{CHANNEL}]"))
    assert {tuple(each["notificationChannels"]) for each in documents(loud, PROJECT)["alertPolicies"]} == {(CHANNEL,)}
    quiet = parse_declaration(text.replace("enabled: true", "enabled: false"))
    assert documents(quiet, PROJECT)["alertPolicies"] == []


class Google(requests.Session):
    """Cloud Logging and Cloud Monitoring as far as these commands call them. A new metric is known after some calls.

    Attributes:
        metrics: Log metrics by name.
        policies: Alert policies by name.
        dashboards: Dashboards by name.
        unknown_for: How many calls find that the metrics of a policy are not known yet.
        refuse: The method whose calls are refused.
    """

    def __init__(self) -> None:
        super().__init__()
        self.metrics: dict[str, Any] = {}
        self.policies: dict[str, Any] = {"projects/films/alertPolicies/1": {"displayName": "somebody else's"}}
        self.dashboards: dict[str, Any] = {}
        self.unknown_for = 0
        self.refuse = ""

    def request(self, method: str, url: str, json: Any = None, **_: Any) -> requests.Response:  # type: ignore[override]
        answer = requests.Response()
        answer.status_code, found = self._handle(method, url.partition("googleapis.com/")[2], json)
        answer._content = b"" if found is None else _json(found)
        return answer

    def _handle(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if method == self.refuse:
            return 403, {"error": {"message": "Permission denied."}}
        name = path.partition("?")[0].partition("/")[2]
        kind = {"metrics": self.metrics, "alertPolicies": self.policies, "dashboards": self.dashboards}[
            name.split("/")[2]
        ]
        match method:
            case "GET" if "?" in path:
                return 200, {"alertPolicies": [{**each, "name": key} for key, each in kind.items()]}
            case "POST":
                if kind is self.policies and self.unknown_for:
                    self.unknown_for -= 1
                    return 404, {"error": {"message": "Cannot find metric that matches type"}}
                kind[body.get("name", f"{name}/{len(kind) + 1}")] = {**body, "etag": "1"}
            case "PUT":
                kind[name] = body
            case _ if name not in kind:
                return 404, {"error": {"message": "not found"}}
            case "GET":
                return 200, kind[name]
            case "PATCH":
                if kind is self.dashboards and body["etag"] != kind[name]["etag"]:
                    return 409, {"error": {"message": "wrong etag"}}
                kind[name] = {**body, "etag": "2"}
            case "DELETE":
                del kind[name]
        return 200, {}

    def alerts(self) -> set[str]:
        """Return the ids of our alerts."""
        return {each["userLabels"][LABEL] for each in self.policies.values() if "userLabels" in each}


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


@pytest.fixture
def google() -> Google:
    return Google()


@pytest.fixture
def monitoring(google: Google) -> Monitoring:
    return Monitoring(PROJECT, google, wait=lambda seconds: None, report=lambda line: None)


def test_apply_creates_everything_and_can_be_repeated(
    google: Google, monitoring: Monitoring, declaration: Declaration
) -> None:
    google.unknown_for = 3
    monitoring.apply(declaration)
    first = dict(google.policies)
    monitoring.apply(declaration)
    assert google.alerts() == {alert.id for alert in alerts(declaration)}
    assert set(google.policies) == set(first)
    assert {name.rpartition("/")[2] for name in google.metrics} == {metric.name for metric in METRICS}
    assert set(google.dashboards) == {"projects/films/dashboards/modeldrop"}


def test_apply_removes_alerts_that_are_not_declared_and_no_others(
    google: Google, monitoring: Monitoring, declaration: Declaration
) -> None:
    google.policies["projects/films/alertPolicies/2"] = {"userLabels": {LABEL: "former"}}
    monitoring.apply(declaration)
    assert "former" not in google.alerts()
    monitoring.apply(
        declaration.model_copy(update={"alerts": declaration.alerts.model_copy(update={"enabled": False})})
    )
    assert list(google.policies.values()) == [{"displayName": "somebody else's"}]


def test_remove_leaves_what_others_made(google: Google, monitoring: Monitoring, declaration: Declaration) -> None:
    monitoring.apply(declaration)
    monitoring.remove()
    monitoring.remove()
    assert (google.metrics, google.dashboards) == ({}, {})
    assert list(google.policies.values()) == [{"displayName": "somebody else's"}]


def test_a_refused_call_ends_the_command_with_googles_reason(
    google: Google, monitoring: Monitoring, declaration: Declaration
) -> None:
    google.refuse = "PUT"
    with pytest.raises(CommandFailedError, match=r"metrics/modeldrop_stuck\nPermission denied\."):
        monitoring.apply(declaration)


def test_a_metric_that_never_becomes_known_ends_the_command(
    google: Google, monitoring: Monitoring, declaration: Declaration
) -> None:
    google.unknown_for = MOST_PAUSES + 1
    waits: list[float] = []
    with pytest.raises(CommandFailedError, match="Cannot find metric"):
        replace(monitoring, wait=waits.append).apply(declaration)
    assert len(waits) == MOST_PAUSES


def test_show_prints_everything_as_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["monitoring", "show", "--project", PROJECT]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"metrics", "alertPolicies", "dashboard"}
