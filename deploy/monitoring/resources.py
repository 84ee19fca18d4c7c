"""The metrics, the alerts and the dashboard as steps of a plan."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from declaration.model import Declaration
from deploy.monitoring import channels
from deploy.monitoring.alerts import LABEL, Alert, alerts
from deploy.monitoring.dashboard import dashboard
from deploy.monitoring.metrics import METRICS, LogMetric
from deploy.planning.commands import OWNER_LABEL, Commands
from deploy.planning.drift import flattened
from deploy.planning.steps import DOCUMENT, ETAG, NAME, Listing, Step

SERVICES = ("logging.googleapis.com", "monitoring.googleapis.com")
"""The APIs of these steps."""
METRIC = ("logging", "metrics")
# Older versions of gcloud have only the alpha commands: https://docs.cloud.google.com/sdk/gcloud/reference/monitoring/policies
POLICY = ("alpha", "monitoring", "policies")
DASHBOARD = ("monitoring", "dashboards")
COMPARED_FIELDS = (
    "description",
    "filter",
    "labelExtractors",
    "bucketOptions.exponentialBuckets.growthFactor",
    "bucketOptions.exponentialBuckets.numFiniteBuckets",
    "bucketOptions.exponentialBuckets.scale",
    "metricDescriptor.metricKind",
    "metricDescriptor.unit",
    "metricDescriptor.valueType",
    "valueExtractor",
)
"""The fields of a metric that are compared: Cloud Logging completes the others."""


def documents(declaration: Declaration, project: str) -> dict[str, Any]:
    """Return everything that the steps write: metrics, notification channels, alert policies and the dashboard."""
    return {
        "metrics": [metric.resource(declaration) for metric in METRICS],
        "notificationChannels": channels.channels(declaration),
        "alertPolicies": [alert.policy(declaration) for alert in alerts(declaration)],
        "dashboard": dashboard(declaration, project),
    }


def metric_steps(commands: Commands) -> Iterator[Step]:
    """Yield the steps of the metrics. They come early, because alerts can use a new metric only after some minutes.

    https://docs.cloud.google.com/logging/docs/logs-based-metrics/troubleshooting
    """
    for metric in METRICS:
        yield _metric(commands, metric)


def alert_steps(commands: Commands) -> Iterator[Step]:
    """Yield the steps of the channels, the alerts and the dashboard, which use the metrics."""
    yield from channels.channel_steps(commands)
    for alert in alerts(commands.declaration):
        yield _alert(commands, alert)
    yield _dashboard(commands)


def listings(commands: Commands) -> Iterator[Listing]:
    """Yield where to look for metrics, dashboards, alerts and channels."""
    declaration = commands.declaration
    yield Listing(
        "metric",
        commands.describe(*METRIC, "list"),
        declared=frozenset(metric.name(declaration) for metric in METRICS),
        delete=commands.gcloud(*METRIC, "delete", f"${{{NAME}}}"),
        mark=commands.sentence_mark,
    )
    yield Listing(
        "dashboard",
        commands.describe(*DASHBOARD, "list"),
        declared=frozenset({declaration.name}),
        delete=commands.gcloud(*DASHBOARD, "delete", f"${{{NAME}}}"),
        mark=commands.label_mark,
    )
    yield Listing(
        "alert",
        commands.describe(*POLICY, "list", f"--filter={_ours(declaration)}"),
        key=f"userLabels.{LABEL}",
        declared=frozenset(alert.id for alert in alerts(declaration)),
        delete=commands.gcloud(*POLICY, "delete", f"${{{NAME}}}"),
    )
    # Alerts that are removed before use these channels.
    yield channels.listing(commands)


def _metric(commands: Commands, metric: LogMetric) -> Step:
    name = metric.name(commands.declaration)
    resource = metric.resource(commands.declaration)
    document = f"--config-from-file=${{{DOCUMENT}}}"
    values = dict(flattened(resource))
    return Step(
        f"metric {name}",
        create=commands.gcloud(*METRIC, "create", name, document),
        describe=commands.describe(*METRIC, "describe", name),
        update=commands.gcloud(*METRIC, "update", name, document),
        delete=commands.gcloud(*METRIC, "delete", name),
        document=_json(resource),
        declared={path: resource.get(path, values.get(path)) for path in COMPARED_FIELDS},
    )


def _alert(commands: Commands, alert: Alert) -> Step:
    policy = alert.policy(commands.declaration)
    document = f"--policy-from-file=${{{DOCUMENT}}}"
    which = f'--filter={_ours(commands.declaration)} AND userLabels.{LABEL}="{alert.id}"'
    return Step(
        f"alert {alert.id}",
        create=commands.gcloud(*POLICY, "create", document),
        describe=commands.describe(*POLICY, "list", which),
        is_listed=True,
        update=commands.gcloud(*POLICY, "update", f"${{{NAME}}}", document),
        delete=commands.gcloud(*POLICY, "delete", f"${{{NAME}}}"),
        document=_json(policy),
        declared=dict(flattened(policy)),
    )


def _dashboard(commands: Commands) -> Step:
    name = commands.declaration.name
    resource = dashboard(commands.declaration, commands.project)
    document = f"--config-from-file=${{{DOCUMENT}}}"
    # Cloud Monitoring returns the name with the number of the project.
    values = {path: value for path, value in flattened(resource) if path != "name"}
    return Step(
        f"dashboard {name}",
        create=commands.gcloud(*DASHBOARD, "create", document),
        describe=commands.describe(*DASHBOARD, "describe", name),
        update=commands.gcloud(*DASHBOARD, "update", name, document),
        delete=commands.gcloud(*DASHBOARD, "delete", name),
        document=_json(resource),
        update_document=_json({**resource, "etag": f"${{{ETAG}}}"}),
        declared=values,
    )


def _ours(declaration: Declaration) -> str:
    """Return the filter for the alert policies of ``declaration``."""
    return f'userLabels.{OWNER_LABEL}="{declaration.name}"'


def _json(resource: Mapping[str, Any]) -> str:
    return json.dumps(resource, indent=2)
