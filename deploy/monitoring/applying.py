"""Creates, updates and removes the metrics, alerts and dashboard of a project.

Cloud Monitoring chooses the names of alert policies, so ours are found by their label.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import requests

from declaration.model import Declaration
from deploy.cloud import CommandFailedError
from deploy.monitoring.alerts import LABEL, alerts
from deploy.monitoring.dashboard import NAME, dashboard
from deploy.monitoring.metrics import METRICS

LOGGING = "https://logging.googleapis.com/v2"
MONITORING = "https://monitoring.googleapis.com"
TIMEOUT_SECONDS = 60
# A new metric can be used in an alert after up to ten minutes, and the error says so:
# https://docs.cloud.google.com/logging/docs/logs-based-metrics/troubleshooting
PAUSE_SECONDS = 30
MOST_PAUSES = 24


def documents(declaration: Declaration, project: str) -> dict[str, Any]:
    """Return everything that ``apply`` writes: metrics, alert policies and the dashboard."""
    return {
        "metrics": [metric.resource(declaration) for metric in METRICS],
        "alertPolicies": [alert.policy(declaration.alerts.channels) for alert in _wanted(declaration)],
        "dashboard": dashboard(declaration, project),
    }


@dataclass(frozen=True)
class Monitoring:
    """Cloud Logging and Cloud Monitoring of one project."""

    project: str
    session: requests.Session
    logging: str = LOGGING
    monitoring: str = MONITORING
    wait: Callable[[float], None] = time.sleep
    report: Callable[[str], None] = print

    def apply(self, declaration: Declaration) -> None:
        """Create or update metrics, alerts and dashboard, and remove alerts that are not declared.

        Raises:
            CommandFailedError: A call failed; the calls after it were not made.
        """
        written = documents(declaration, self.project)
        for metric in written["metrics"]:
            # This call creates or updates: https://docs.cloud.google.com/logging/docs/reference/v2/rest/v2/projects.metrics/update
            self._call("PUT", self._metric(metric["name"]), metric)
            self.report(f"metric {metric['name']}: done")
        known = {policy["userLabels"][LABEL]: policy["name"] for policy in self._policies()}
        for policy in written["alertPolicies"]:
            alert = policy["userLabels"][LABEL]
            if name := known.pop(alert, None):
                self._call("PATCH", f"{self.monitoring}/v3/{name}", {**policy, "name": name})
            else:
                self._create(policy)
            self.report(f"alert {alert}: done")
        for alert, name in known.items():
            self._call("DELETE", f"{self.monitoring}/v3/{name}")
            self.report(f"alert {alert}: removed, because it is not declared")
        self._write_dashboard(written["dashboard"])
        self.report(f"dashboard {NAME}: done")

    def remove(self) -> None:
        """Remove metrics, alerts and dashboard.

        Raises:
            CommandFailedError: A call failed; the calls after it were not made.
        """
        for policy in self._policies():
            self._call("DELETE", f"{self.monitoring}/v3/{policy['name']}", missing=True)
        self._call("DELETE", self._dashboard, missing=True)
        for metric in METRICS:
            self._call("DELETE", self._metric(metric.name), missing=True)
        self.report("metrics, alerts and dashboard: removed")

    @property
    def _dashboard(self) -> str:
        return f"{self.monitoring}/v1/projects/{self.project}/dashboards/{NAME}"

    def _metric(self, name: str) -> str:
        return f"{self.logging}/projects/{self.project}/metrics/{name}"

    def _policies(self) -> list[dict[str, Any]]:
        """Return our alert policies."""
        policies, page = [], ""
        while True:
            address = f"{self.monitoring}/v3/projects/{self.project}/alertPolicies?pageSize=100"
            answer = self._call("GET", address + (f"&pageToken={page}" if page else "")) or {}
            policies += [each for each in answer.get("alertPolicies", []) if LABEL in each.get("userLabels", {})]
            page = answer.get("nextPageToken", "")
            if not page:
                return policies

    def _create(self, policy: dict[str, Any]) -> None:
        """Create an alert policy, once the metrics that it uses are known to Cloud Monitoring."""
        address = f"{self.monitoring}/v3/projects/{self.project}/alertPolicies"
        for _ in range(MOST_PAUSES):
            if self._call("POST", address, policy, missing=True) is not None:
                return
            self.report(f"alert {policy['userLabels'][LABEL]}: waits until its metric can be used")
            self.wait(PAUSE_SECONDS)
        self._call("POST", address, policy)

    def _write_dashboard(self, wanted: dict[str, Any]) -> None:
        existing = self._call("GET", self._dashboard, missing=True)
        if existing is None:
            self._call("POST", f"{self.monitoring}/v1/projects/{self.project}/dashboards", wanted)
        else:
            # The etag says which version is replaced.
            self._call("PATCH", self._dashboard, {**wanted, "etag": existing.get("etag", "")})

    def _call(self, method: str, address: str, body: object = None, *, missing: bool = False) -> dict[str, Any] | None:
        """Return the response; None if it is NOT_FOUND and that is allowed (``missing``)."""
        try:
            answer = self.session.request(method, address, json=body, timeout=TIMEOUT_SECONDS)
        except requests.RequestException as error:
            raise CommandFailedError(f"{method} {address}\n{error}") from error
        if answer.status_code == 404 and missing:
            return None
        if not answer.ok:
            raise CommandFailedError(f"{method} {address}\n{_message(answer)}")
        found: dict[str, Any] = answer.json() if answer.content else {}
        return found


def gcloud_session(project: str) -> requests.Session:
    """Return a session with the credentials that gcloud is logged in with, as the other commands use them."""
    words = ("gcloud", "auth", "print-access-token", f"--project={project}", "--quiet")
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CommandFailedError(f"{' '.join(words)}\n{done.stderr.strip()}")
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {done.stdout.strip()}"
    session.headers["X-Goog-User-Project"] = project
    return session


def _wanted(declaration: Declaration) -> Iterator[Any]:
    if declaration.alerts.enabled:
        yield from alerts(declaration)


def _message(answer: requests.Response) -> str:
    try:
        return str(json.loads(answer.text)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP status {answer.status_code}"
