"""Metrics that Cloud Logging counts from the records of the functions.

Records are counted instead of the messages of filtered subscriptions: a metric keeps the reason as a label, nobody has to
acknowledge anything, and a subscription keeps messages for 31 days at most.
https://docs.cloud.google.com/logging/docs/logs-based-metrics
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from declaration.model import Declaration
from deploy.planning.commands import ownership

POLLED = "poll ended"
"""The message of the record that the poller writes about a call (``functions/poll_jobs.py``)."""

# The longest that work may be open: a Gemini batch (`BATCH_DEADLINE_SECONDS`), with some hours for the poller.
LONGEST_OPEN_SECONDS = 100 * 3600
# From a second to half a year. A percentile can be anywhere between the bounds of its bucket, so the alert's limit is a bound:
# https://docs.cloud.google.com/monitoring/api/v3/distribution-metrics
_SECONDS_BUCKETS = {
    "exponentialBuckets": {"numFiniteBuckets": 24, "growthFactor": 2, "scale": LONGEST_OPEN_SECONDS / 2**18}
}


@dataclass(frozen=True)
class LogMetric:
    """A metric that is counted from log records."""

    short_name: str
    """The last part of its name, which begins with the name of the declaration."""
    about: str
    records: str
    """Which records of the functions count, as a filter of Cloud Logging."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """The fields of the records that tell time series apart, and the meaning of each."""
    value: str | None = None
    """The field with the number of seconds whose distribution is kept; None to count the records."""

    def name(self, declaration: Declaration) -> str:
        """Return its name, which no metric of another environment has."""
        return f"{declaration.name.replace('-', '_')}_{self.short_name}"

    def type(self, declaration: Declaration) -> str:
        """Return the type of the metric in Cloud Monitoring."""
        return f"logging.googleapis.com/user/{self.name(declaration)}"

    def resource(self, declaration: Declaration) -> dict[str, Any]:
        """Return the LogMetric: https://docs.cloud.google.com/logging/docs/reference/v2/rest/v2/projects.metrics."""
        distribution = {"valueExtractor": f"EXTRACT(jsonPayload.{self.value})", "bucketOptions": _SECONDS_BUCKETS}
        return {
            "name": self.name(declaration),
            # Metrics have no labels of their own, so the description says whose they are.
            "description": f"{self.about} {ownership(declaration)}",
            "filter": f"{functions_filter(declaration)}\n{self.records}",
            "metricDescriptor": {
                "metricKind": "DELTA",
                "valueType": "DISTRIBUTION" if self.value else "INT64",
                "unit": "s" if self.value else "1",
                "labels": [
                    {"key": name, "valueType": "STRING", "description": about} for name, about in self.labels.items()
                ],
            },
            "labelExtractors": {name: f"EXTRACT(jsonPayload.{name})" for name in self.labels},
            **(distribution if self.value else {}),
        }


_KIND, _CODE = "The kind of the work.", "The code of the problem."
STUCK = LogMetric(
    "stuck",
    "Work that is past its deadline, and objects of the ledger that cannot be read.",
    'jsonPayload.message="stuck"',
    {"kind": _KIND, "code": _CODE},
)
REJECTIONS = LogMetric(
    "rejections",
    "Requests that were rejected.",
    # "rejected" before work is claimed, and "predict rejected" after that.
    'jsonPayload.message=~"(^| )rejected$"',
    {"kind": _KIND, "code": _CODE},
)
IMPORT_FAILURES = LogMetric(
    "import_failures", "Imports that failed.", 'jsonPayload.message="import failed"', {"code": _CODE}
)
BUGS = LogMetric("bugs", "Errors of the program.", "jsonPayload.stack_trace:*")
OLDEST_OPEN = LogMetric(
    "oldest_open",
    "The age of the oldest open work.",
    f'jsonPayload.message="{POLLED}" jsonPayload.oldest_seconds>=0',
    value="oldest_seconds",
)
POLL_LENGTH = LogMetric(
    "poll_length",
    "How long a call of the poller took.",
    f'jsonPayload.message="{POLLED}" jsonPayload.seconds>=0',
    value="seconds",
)
METRICS = (STUCK, REJECTIONS, IMPORT_FAILURES, BUGS, OLDEST_OPEN, POLL_LENGTH)


def functions_filter(declaration: Declaration) -> str:
    """Return the filter for the records of the functions, which are services of Cloud Run."""
    names = " OR ".join(f'"{function.service}"' for function in declaration.functions.values())
    return f'resource.type="cloud_run_revision" resource.labels.service_name=({names})'
