"""The clients of the demo: official client libraries and plain HTTP."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from typing import Any

import requests
from google.cloud import bigquery, pubsub_v1, storage

from demo.events import ReceivedEvent, ReceivedEvents
from demo.names import topic
from demo.stage import Report
from localcloud.base.clock import monotonic

LONGEST_WAIT_SECONDS = 180.0
CALL_SECONDS = 30.0
# Cloud Scheduler calls the poller every minute. The demo runs the same job more often, so that it takes less time.
POLL_EVERY_SECONDS = 0.7
LOOK_EVERY_SECONDS = 0.1

Body = dict[str, Any]


class StoryError(RuntimeError):
    """A step of the story failed; the message is for a person."""


class World:
    """Clients that use the variables that ``python -m localcloud env`` prints."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Set the variables for this process and create the clients."""
        os.environ.update(environment)
        # Services on this machine are not reached through a proxy.
        os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"
        self.environment = environment
        self.project = environment["GOOGLE_CLOUD_PROJECT"]
        self.storage = storage.Client()
        self.bigquery = bigquery.Client()
        self._publisher = pubsub_v1.PublisherClient()
        self._subscriber = pubsub_v1.SubscriberClient()
        self.events = ReceivedEvents(
            self._subscriber, self._subscriber.subscription_path(self.project, str(topic("EVENTS_TOPIC").hold))
        )
        self._scheduler = f"{environment['LOCALCLOUD_URL']}/v1"
        self._schedules = f"projects/{self.project}/locations/{environment['GOOGLE_CLOUD_LOCATION']}/jobs"
        self._poll_job = next(
            job["name"]
            for job in self.scheduled_jobs()
            if job.get("httpTarget", {}).get("uri") == environment["POLL_JOBS_URL"]
        )
        self.polls = 0

    def close(self) -> None:
        """Stop reading events."""
        self.events.stop()
        self._subscriber.close()

    def publish(self, topic: str, data: bytes) -> str:
        """Publish a message to the topic of full name ``topic`` and return its id."""
        return str(self._publisher.publish(topic, data).result(timeout=CALL_SECONDS))

    def post(self, url: str, body: Body) -> Body:
        """POST JSON and return the JSON of the answer; raise ``StoryError`` if the answer is an error."""
        answer = requests.post(url, json=body, timeout=CALL_SECONDS)
        if not answer.ok:
            raise StoryError(f"POST {url} returned {answer.status_code}: {answer.text[:500]}")
        return dict(answer.json())

    def scheduled_jobs(self) -> list[Body]:
        """Return the jobs of Cloud Scheduler."""
        answer = requests.get(f"{self._scheduler}/{self._schedules}", timeout=CALL_SECONDS)
        answer.raise_for_status()
        return list(answer.json().get("jobs", []))

    def schedule(self, name: str, job: Body) -> str:
        """Create a job of Cloud Scheduler and return its full name."""
        job = {"name": f"{self._schedules}/{name}", "timeZone": "Etc/UTC", **job}
        return str(self.post(f"{self._scheduler}/{self._schedules}", job)["name"])

    def run_scheduled(self, job: str) -> None:
        """Run the Cloud Scheduler job of full name ``job`` now."""
        self.post(f"{self._scheduler}/{job}:run", {})

    def wait_for(
        self, what: str, fits: Callable[[ReceivedEvent], bool], report: Report, *, after: int = 0
    ) -> ReceivedEvent:
        """Run the poller until an event arrives.

        Args:
            what: The work that the event is about, for error messages.
            fits: Returns whether an event is the expected one.
            report: Shows the progress.
            after: How many of the oldest events to skip.

        Returns:
            The first event that fits.

        Raises:
            StoryError: The work did not succeed, or no event arrived in time.
        """
        deadline = monotonic() + LONGEST_WAIT_SECONDS
        while (event := self.events.wait(fits, POLL_EVERY_SECONDS, after=after)) is None:
            if monotonic() > deadline:
                raise StoryError(
                    f"There was no event about {what} within {LONGEST_WAIT_SECONDS:.0f} s. "
                    "`python -m localcloud start --data-dir DIR` keeps the logs of the functions in DIR/logs."
                )
            self.run_scheduled(self._poll_job)
            self.polls += 1
            report(f"call {self.polls} of poll_jobs by Cloud Scheduler")
        if event.data["outcome"] != "succeeded":
            error = event.data["error"] or {}
            raise StoryError(f"{what.capitalize()} ended as {event.data['outcome']}: {error.get('message')}")
        return event

    def wait_until_done(self) -> None:
        """Wait until no work is open in the ledger: an event arrives shortly before its work is marked as done."""
        deadline, pause = monotonic() + LONGEST_WAIT_SECONDS, threading.Event()
        while any(self.storage.list_blobs(self.environment["STATE_BUCKET"], prefix="ledger/pending/", max_results=1)):
            if monotonic() > deadline:
                raise StoryError(f"There is still open work in the ledger after {LONGEST_WAIT_SECONDS:.0f} s.")
            pause.wait(LOOK_EVERY_SECONDS)
