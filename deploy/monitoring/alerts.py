"""The alerts: what each watches, and when it fires. ``docs/runbook.md`` says for each what to do.

Metrics of Google's services: https://docs.cloud.google.com/monitoring/api/metrics_gcp
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from declaration.model import Declaration
from deploy.monitoring import metrics
from deploy.monitoring.channels import channel_names
from deploy.planning.commands import OWNER_LABEL

LABEL = "modeldrop"
"""The label of our alert policies, whose names Cloud Monitoring chooses; its value is the alert's id."""
# An incident without further data closes after this: a counter has no data while nothing happens.
CLOSES_AFTER = "1800s"
# An absent metric has no data as long as it is absent. This is the longest time that there is:
# https://docs.cloud.google.com/monitoring/alerts/incidents-events
ABSENT_CLOSES_AFTER = "604800s"
RUNBOOK = "docs/runbook.md"

UNDELIVERED = "pubsub.googleapis.com/subscription/num_undelivered_messages"
REQUESTS = "run.googleapis.com/request_count"
LATENCIES = "run.googleapis.com/request_latencies"

# The poller's call is killed after the timeout of its function.
LONGEST_POLL_PART = 0.8
MOST_REJECTIONS = 10


@dataclass(frozen=True)
class Alert:
    """An alert."""

    id: str
    """Its name in the runbook, and the value of its label."""
    title: str
    meaning: str
    """What has happened, in a sentence or two."""
    severity: str
    """CRITICAL, ERROR or WARNING."""
    conditions: tuple[dict[str, Any], ...]
    """The alert fires if one of them holds."""
    closes_after: str = CLOSES_AFTER
    """How long an incident stays open without data."""

    def policy(self, declaration: Declaration) -> dict[str, Any]:
        """Return the AlertPolicy: https://docs.cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.alertPolicies."""
        return {
            "displayName": f"{declaration.name.capitalize()}: {self.title}",
            "userLabels": {LABEL: self.id, OWNER_LABEL: declaration.name},
            "severity": self.severity,
            "combiner": "OR",
            "enabled": True,
            "documentation": {
                "content": f"{self.meaning}\n\nWhat to do: {RUNBOOK}, section `{self.id}`.{_names(declaration)}",
                "mimeType": "text/markdown",
            },
            "conditions": list(self.conditions),
            "alertStrategy": {"autoClose": self.closes_after},
            "notificationChannels": list(channel_names(declaration)),
        }


def alerts(declaration: Declaration) -> tuple[Alert, ...]:
    """Return the alerts for the resources of ``declaration``; none if it does not enable them."""
    return tuple(_alerts(declaration)) if declaration.alerts.enabled else ()


def _alerts(declaration: Declaration) -> Iterator[Alert]:
    hold = declaration.dead_letters_hold
    yield Alert(
        "dead-letters",
        "an event was given up",
        "A function did not accept an event in all of its deliveries. The event is held and can be replayed.",
        "ERROR",
        (_above(f"dead letters in {hold}", _subscription_filter(hold), 0, "ALIGN_MAX"),),
    )
    yield Alert(
        "stuck",
        "work is stuck",
        "A job, a drop or an object of the ledger is past its deadline. Modeldrop watches it further.",
        "WARNING",
        (_above("work that is stuck", _log_filter(declaration, metrics.STUCK), 0, "ALIGN_DELTA"),),
    )
    for schedule in declaration.schedules.values():
        function = declaration.functions[schedule.function]
        served = f'metric.type="{REQUESTS}" resource.type="cloud_run_revision" ' + _service(function.service)
        answered = f'{served} metric.labels.response_code_class="2xx"'
        failed = f'{served} metric.labels.response_code_class="5xx"'
        latency = served.replace(REQUESTS, LATENCIES)
        longest = LONGEST_POLL_PART * function.timeout_seconds * 1000
        yield Alert(
            f"{_dashed(schedule.function)}-absent",
            f"{schedule.function} does not run",
            "No call of the poller has succeeded for ten minutes. All work waits, and no event is published.",
            "CRITICAL",
            (_absent(f"successful calls of {function.service}", answered),),
            ABSENT_CLOSES_AFTER,
        )
        yield Alert(
            f"{_dashed(schedule.function)}-unended",
            f"calls of {schedule.function} do not end",
            "Calls of the poller fail, or take nearly as long as its function may run. Work is continued late.",
            "ERROR",
            (
                _above(f"failed calls of {function.service}", failed, 2, "ALIGN_DELTA"),
                _above(f"milliseconds of a call of {function.service}", latency, longest, "ALIGN_PERCENTILE_99"),
            ),
        )
    yield Alert(
        "rejections",
        "many requests are rejected",
        f"More than {MOST_REJECTIONS} requests were rejected in ten minutes for one reason, which the label `code` names.",
        "WARNING",
        (
            _above(
                "rejections by code",
                _log_filter(declaration, metrics.REJECTIONS),
                MOST_REJECTIONS,
                "ALIGN_DELTA",
                group_by=("metric.label.code",),
            ),
        ),
    )
    yield Alert(
        "import-failures",
        "an import failed",
        "A drop was not imported. The model is as it was before.",
        "WARNING",
        (_above("imports that failed", _log_filter(declaration, metrics.IMPORT_FAILURES), 0, "ALIGN_DELTA"),),
    )
    yield Alert(
        "oldest-open",
        "work is open for too long",
        "The oldest open work is older than any job may be.",
        "WARNING",
        (
            _above(
                "seconds since the oldest open work began",
                _log_filter(declaration, metrics.OLDEST_OPEN),
                metrics.LONGEST_OPEN_SECONDS,
                "ALIGN_PERCENTILE_99",
            ),
        ),
    )
    yield Alert(
        "bugs",
        "an error of the program",
        "A function met an error that it does not expect. Error Reporting shows where.",
        "ERROR",
        (_above("errors of the program", _log_filter(declaration, metrics.BUGS), 0, "ALIGN_DELTA"),),
    )


def _above(
    title: str, metric_filter: str, limit: float, aligner: str, *, group_by: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the condition that a metric is above a limit in ten minutes, summed or at its largest.

    https://docs.cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.alertPolicies#metricthreshold
    """
    aggregation: dict[str, Any] = {
        "alignmentPeriod": "600s",
        "perSeriesAligner": aligner,
        "crossSeriesReducer": "REDUCE_SUM" if aligner == "ALIGN_DELTA" else "REDUCE_MAX",
    }
    if group_by:
        aggregation["groupByFields"] = list(group_by)
    return {
        "displayName": title,
        "conditionThreshold": {
            "filter": metric_filter,
            "aggregations": [aggregation],
            "comparison": "COMPARISON_GT",
            "thresholdValue": limit,
            "duration": "0s",
            "trigger": {"count": 1},
        },
    }


def _absent(title: str, metric_filter: str) -> dict[str, Any]:
    """Return the condition that a metric has no data for ten minutes. A metric without data is never below a limit.

    https://docs.cloud.google.com/monitoring/alerts/policy-exs#metric-absence
    """
    return {
        "displayName": f"no {title}",
        "conditionAbsent": {
            "filter": metric_filter,
            "aggregations": [
                {"alignmentPeriod": "60s", "perSeriesAligner": "ALIGN_DELTA", "crossSeriesReducer": "REDUCE_SUM"}
            ],
            "duration": "600s",
            "trigger": {"count": 1},
        },
    }


def _subscription_filter(subscription: str) -> str:
    return f'metric.type="{UNDELIVERED}" resource.type="pubsub_subscription" resource.labels.subscription_id="{subscription}"'


def _log_filter(declaration: Declaration, metric: metrics.LogMetric) -> str:
    return f'metric.type="{metric.type(declaration)}" resource.type="cloud_run_revision"'


def _service(name: str) -> str:
    return f'resource.labels.service_name="{name}"'


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _names(declaration: Declaration) -> str:
    """Return how the commands of the runbook differ in an environment with a name of its own."""
    option = declaration.environment_option
    if not option:
        return ""
    return f" Add `{option.strip()}` to its commands; names begin with `{declaration.name}`."
