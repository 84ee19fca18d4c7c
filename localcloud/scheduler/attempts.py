"""One attempt of a job: sends its request or publishes its message, and returns the outcome."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import urllib3

from localcloud.base.clock import rfc3339
from localcloud.pubsub.broker.broker import Broker
from localcloud.pubsub.broker.messages import PublishedMessage
from localcloud.pubsub.errors import PubSubError
from localcloud.scheduler.job import HttpTarget, Job, PubSubTarget

# google.rpc.Code of the outcomes. https://cloud.google.com/apis/design/errors#handling_errors
OK, UNKNOWN, DEADLINE_EXCEEDED, UNAVAILABLE = 0, 2, 4, 14
RPC_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 10, 416: 11, 429: 8, 499: 1, 500: 13, 501: 12, 503: 14, 504: 4}

# Headers that the service sets itself; a job cannot replace them.
RESERVED = re.compile(r"(host|content-length|user-agent|x-cloudscheduler.*|x-google-.*|x-appengine-.*)$", re.IGNORECASE)


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended."""

    code: int = OK
    """A google.rpc.Code."""
    message: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether the attempt succeeded."""
        return self.code == OK

    def resource(self) -> dict[str, Any]:
        """Return the ``status`` of the job's resource, which is empty for a success."""
        return {} if self.succeeded else {"code": self.code, "message": self.message}


class Attempts:
    """Makes attempts over connections that stay open."""

    def __init__(self, broker: Broker) -> None:
        """Publish messages to ``broker``."""
        self._broker = broker
        self._connections = urllib3.PoolManager(num_pools=8, maxsize=4, retries=False)

    def make(self, job: Job, scheduled: datetime) -> Outcome:
        """Run ``job`` once for the time at which it was ``scheduled`` and return the outcome."""
        match job.target:
            case HttpTarget() as target:
                return self._request(job, target, scheduled)
            case PubSubTarget() as target:
                return self._publish(target)

    def _request(self, job: Job, target: HttpTarget, scheduled: datetime) -> Outcome:
        headers = {
            **{name: value for name, value in target.headers.items() if not RESERVED.match(name)},
            "User-Agent": "Google-Cloud-Scheduler",
            "X-CloudScheduler": "true",
            "X-CloudScheduler-JobName": job.id,
            "X-CloudScheduler-ScheduleTime": rfc3339(scheduled),
        }
        try:
            response = self._connections.request(
                target.method,
                target.uri,
                body=target.body or None,
                headers=headers,
                redirect=False,
                timeout=urllib3.Timeout(connect=10, total=job.attempt_deadline_seconds),
            )
        except urllib3.exceptions.ReadTimeoutError:
            return Outcome(DEADLINE_EXCEEDED, "URL_TIMEOUT: the request was not answered within the attempt deadline.")
        except (urllib3.exceptions.HTTPError, OSError) as error:
            return Outcome(UNAVAILABLE, f"URL_UNREACHABLE: {type(error).__name__}.")
        if 200 <= response.status < 300:
            return Outcome()
        return Outcome(RPC_CODES.get(response.status, UNKNOWN), f"URL_ERROR: HTTP status {response.status}.")

    def _publish(self, target: PubSubTarget) -> Outcome:
        try:
            self._broker.publish(target.topic, [PublishedMessage(target.data, target.attributes)])
        except PubSubError as error:
            return Outcome(RPC_CODES.get(error.code, UNKNOWN), error.message)
        return Outcome()
