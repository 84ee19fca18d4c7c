"""The dashboard: one chart for each thing that alerts watch, and for the load."""

from __future__ import annotations

from typing import Any

from declaration.model import Declaration
from deploy.monitoring import alerts, metrics
from deploy.planning.commands import OWNER_LABEL

_COLUMNS, _WIDTH, _HEIGHT = 48, 24, 16


def dashboard(declaration: Declaration, project: str) -> dict[str, Any]:
    """Return the Dashboard: https://docs.cloud.google.com/monitoring/api/ref_v3/rest/v1/projects.dashboards."""
    charts = [
        _chart("Requests of the functions", _functions(declaration, alerts.REQUESTS), "ALIGN_RATE", "service_name"),
        _chart(
            "Milliseconds of a request, 95th percentile",
            _functions(declaration, alerts.LATENCIES),
            "ALIGN_PERCENTILE_95",
            "service_name",
        ),
        _chart("Messages that wait", _subscriptions(), "ALIGN_MAX", "subscription_id"),
        _log_chart(declaration, "Oldest open work, in seconds", metrics.OLDEST_OPEN, "ALIGN_PERCENTILE_99"),
        _log_chart(declaration, "Seconds of a call of the poller", metrics.POLL_LENGTH, "ALIGN_PERCENTILE_99"),
        _log_chart(declaration, "Stuck work", metrics.STUCK, "ALIGN_DELTA", "kind"),
        _log_chart(declaration, "Rejections by code", metrics.REJECTIONS, "ALIGN_DELTA", "code"),
        _log_chart(declaration, "Failed imports by code", metrics.IMPORT_FAILURES, "ALIGN_DELTA", "code"),
        _log_chart(declaration, "Errors of the program", metrics.BUGS, "ALIGN_DELTA"),
    ]
    return {
        "name": f"projects/{project}/dashboards/{declaration.name}",
        "displayName": declaration.name.capitalize(),
        "labels": {OWNER_LABEL: declaration.name},
        "mosaicLayout": {
            "columns": _COLUMNS,
            "tiles": [
                {
                    "xPos": position % 2 * _WIDTH,
                    "yPos": position // 2 * _HEIGHT,
                    "width": _WIDTH,
                    "height": _HEIGHT,
                    "widget": chart,
                }
                for position, chart in enumerate(charts)
            ],
        },
    }


def _functions(declaration: Declaration, metric: str) -> str:
    names = ",".join(f'"{function.service}"' for function in declaration.functions.values())
    return f'metric.type="{metric}" resource.type="cloud_run_revision" resource.labels.service_name=one_of({names})'


def _subscriptions() -> str:
    return f'metric.type="{alerts.UNDELIVERED}" resource.type="pubsub_subscription"'


def _log_chart(
    declaration: Declaration, title: str, metric: metrics.LogMetric, aligner: str, label: str | None = None
) -> dict[str, Any]:
    metric_filter = f'metric.type="{metric.type(declaration)}" resource.type="cloud_run_revision"'
    return _chart(title, metric_filter, aligner, label and f"metric.label.{label}")


def _chart(title: str, metric_filter: str, aligner: str, group_by: str | None) -> dict[str, Any]:
    """Return an XyChart of one metric, a line for each value of the label ``group_by``."""
    label = group_by if group_by is None or "." in group_by else f"resource.label.{group_by}"
    aggregation: dict[str, Any] = {
        "alignmentPeriod": "60s",
        "perSeriesAligner": aligner,
        "crossSeriesReducer": "REDUCE_SUM" if aligner in {"ALIGN_DELTA", "ALIGN_RATE"} else "REDUCE_MAX",
    }
    if label:
        aggregation["groupByFields"] = [label]
    query = {"timeSeriesFilter": {"filter": metric_filter, "aggregation": aggregation}}
    return {
        "title": title,
        "xyChart": {"dataSets": [{"timeSeriesQuery": query, "plotType": "LINE", "targetAxis": "Y1"}]},
    }
