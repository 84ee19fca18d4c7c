"""Metrics, alerts and dashboard: as Google's API descriptions say, about names that exist, and applied as declared."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from declaration.model import Declaration
from declaration.reading import parse_declaration
from deploy.__main__ import main
from deploy.applying.apply import apply
from deploy.applying.cloud import NOT_FOUND, Cloud
from deploy.applying.destroy import destroy
from deploy.declared import DECLARATION, read
from deploy.monitoring.alerts import LABEL, alerts
from deploy.monitoring.metrics import METRICS, POLLED
from deploy.monitoring.resources import documents
from deploy.plan import monitoring_plan
from deploy.planning.commands import OWNER_LABEL, ownership
from deploy.planning.script import shell_script
from tests.control_plane.gcloud import StandIn
from tests.control_plane.project import FakeProject
from tests.discovery import problems
from tests.paths import ROOT
from tests.unit.deploy.conftest import Deployer

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
    found = written[part] if isinstance(written[part], list) else [written[part]]
    assert found
    assert [wrong for each in found for wrong in problems(each, api, schema)] == []


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


def test_an_incident_of_an_absent_poller_outlives_the_weekend(declaration: Declaration) -> None:
    """It has no data as long as it is true, so the time after which others close would close it."""
    closes = {alert.id: alert.policy(declaration)["alertStrategy"]["autoClose"] for alert in alerts(declaration)}

    assert closes.pop("poll-jobs-absent") == "604800s"
    assert set(closes.values()) == {"1800s"}


@pytest.mark.parametrize(("age", "fires"), [(99 * 3600, False), (101 * 3600, True)])
def test_the_oldest_open_work_is_old_only_above_the_limit(declaration: Declaration, age: float, fires: bool) -> None:
    """As computed for one value: https://docs.cloud.google.com/monitoring/api/v3/distribution-metrics"""
    [metric] = [each.resource(declaration) for each in METRICS if each.short_name == "oldest_open"]
    buckets = metric["bucketOptions"]["exponentialBuckets"]
    bounds = [buckets["scale"] * buckets["growthFactor"] ** power for power in range(buckets["numFiniteBuckets"] + 1)]
    low, high = next((low, high) for low, high in itertools.pairwise(bounds) if low <= age < high)
    [alert] = [each for each in alerts(declaration) if each.id == "oldest-open"]
    limit = alert.conditions[0]["conditionThreshold"]["thresholdValue"]

    assert (low + 0.99 * (high - low) > limit) is fires


def test_an_alert_of_an_environment_says_how_the_commands_of_the_runbook_differ(tmp_path: Path) -> None:
    path = tmp_path / "functions.yaml"
    text = DECLARATION.read_text(encoding="utf-8").replace("environments: {}", "environments: {staging: {}}")
    path.write_text(text, encoding="utf-8")

    common, staging = (documents(read(path, name), PROJECT)["alertPolicies"][0] for name in (None, "staging"))

    assert common["documentation"]["content"].endswith("section `dead-letters`.")
    assert (
        "Add `--env staging` to its commands; names begin with `modeldrop-staging`."
        in staging["documentation"]["content"]
    )


def test_alerts_notify_the_declared_channels_and_can_be_off() -> None:
    text = DECLARATION.read_text(encoding="utf-8")
    loud = parse_declaration(text.replace("channels: []", f"channels: [{CHANNEL}]"))
    assert {tuple(each["notificationChannels"]) for each in documents(loud, PROJECT)["alertPolicies"]} == {(CHANNEL,)}
    quiet = parse_declaration(text.replace("enabled: true", "enabled: false"))
    assert documents(quiet, PROJECT)["alertPolicies"] == []


def created(project: FakeProject) -> dict[str, set[str]]:
    """Return the names of the metrics and dashboards, and the ids of the alerts of each declaration."""
    policies = [each for name, each in project.resources.items() if "/alertPolicies/" in name]
    found = {"metrics": project.names("metrics"), "dashboards": project.names("dashboards")}
    for policy in policies:
        labels = policy.get("userLabels", {})
        found.setdefault(labels.get(OWNER_LABEL, "others"), set()).add(labels.get(LABEL, ""))
    return found


def test_apply_creates_metrics_alerts_and_the_dashboard(applied: Deployer) -> None:
    assert created(applied.project) == {
        "metrics": {metric.name(applied.declaration) for metric in METRICS},
        "dashboards": {"modeldrop"},
        "modeldrop": {alert.id for alert in alerts(applied.declaration)},
    }


def test_apply_waits_until_a_new_metric_can_be_used(deployer: Deployer) -> None:
    deployer.project.metrics_delay = 3

    deployer.apply()

    waits = [line for line in deployer.lines if "waits until the new metric can be used in alerts" in line]
    assert len(waits) == 3
    assert len(created(deployer.project)["modeldrop"]) == len(alerts(deployer.declaration))


def test_alerts_that_are_turned_off_are_removed_and_no_others(applied: Deployer) -> None:
    applied.project.resources["monitoring/projects/films/alertPolicies/99"] = {
        "name": "projects/films/alertPolicies/99",
        "displayName": "somebody else's",
    }
    applied.change(alerts=applied.declaration.alerts.model_copy(update={"enabled": False}))
    assert "- alert dead-letters" in applied.differences()

    applied.apply()

    assert created(applied.project).keys() == {"metrics", "dashboards", "others"}


def test_an_alert_that_was_created_twice_is_removed_once(applied: Deployer) -> None:
    policies = [name for name in applied.project.resources if "/alertPolicies/" in name]
    first = applied.project.resources[policies[0]]
    applied.project.resources["monitoring/projects/films/alertPolicies/99"] = {
        **first,
        "name": "projects/films/alertPolicies/99",
    }
    assert applied.differences() == ["- alert dead-letters"]

    applied.apply()

    assert [name for name in applied.project.resources if "/alertPolicies/" in name] == policies


def test_a_metric_that_has_left_the_table_is_removed(applied: Deployer) -> None:
    name = "logging/projects/films/metrics/modeldrop_former"
    description = f"Former. {ownership(applied.declaration)}"
    applied.project.resources[name] = {"name": "modeldrop_former", "description": description}
    others = "logging/projects/films/metrics/orders"
    applied.project.resources[others] = {"name": "orders", "description": "Orders."}

    applied.apply()

    assert name not in applied.project.resources
    assert others in applied.project.resources


def test_two_environments_of_a_project_have_their_own_alerts(applied: Deployer, tmp_path: Path) -> None:
    path = tmp_path / "functions.yaml"
    text = DECLARATION.read_text(encoding="utf-8").replace("environments: {}", "environments: {staging: {}}")
    path.write_text(text, encoding="utf-8")
    staging = Deployer(applied.project, read(path, "staging"))

    staging.apply()

    found = created(applied.project)
    assert found["dashboards"] == {"modeldrop", "modeldrop-staging"}
    assert found["modeldrop"] == found["modeldrop-staging"] == {alert.id for alert in alerts(applied.declaration)}
    assert len(found["metrics"]) == 2 * len(METRICS)
    assert applied.differences() == staging.differences() == []

    staging.destroy()

    assert applied.differences() == []


def test_monitoring_alone_can_be_applied_and_removed(project: FakeProject, declaration: Declaration) -> None:
    steps = monitoring_plan(declaration, PROJECT)
    cloud = Cloud(steps.lookups, runner=StandIn(project))
    project.enabled.add("cloudresourcemanager.googleapis.com")

    apply(steps, cloud, lambda line: None)
    assert len(project.resources) == len(METRICS) + len(alerts(declaration)) + 1

    assert destroy(steps, cloud, with_data=False, report=lambda line: None) == []
    assert project.resources == {}


# A gcloud that finds nothing, and keeps the files that it is given to create something from.
GCLOUD = """#!/bin/bash
for word in "$@"; do
  case "${word}" in
    describe) echo "NOT_FOUND: nothing" >&2; exit 1 ;;
    *-from-file=*) cp "${word#*=}" "$(mktemp "${0}-XXXXXX")" ;;
  esac
done
"""


def test_the_script_gives_gcloud_every_document_unchanged(tmp_path: Path, declaration: Declaration) -> None:
    gcloud = tmp_path / "gcloud"
    gcloud.write_text(GCLOUD, encoding="utf-8")
    gcloud.chmod(0o755)
    script = shell_script(monitoring_plan(declaration, PROJECT), NOT_FOUND)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "TMPDIR": str(tmp_path / "temporary")}
    (tmp_path / "temporary").mkdir()

    subprocess.run(["bash", "-c", script], env=environment, check=True)

    given = [json.loads(path.read_text(encoding="utf-8")) for path in tmp_path.glob("gcloud-*")]
    written = documents(declaration, PROJECT)
    expected = [*written["metrics"], *written["alertPolicies"], written["dashboard"]]
    assert sorted(map(json.dumps, given)) == sorted(map(json.dumps, expected))
    assert list((tmp_path / "temporary").iterdir()) == []


def test_show_prints_everything_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["monitoring", "show", "--project", PROJECT]) == 0
    expected = {"metrics", "notificationChannels", "alertPolicies", "dashboard"}
    assert set(json.loads(capsys.readouterr().out)) == expected
