"""The call to Cloud Scheduler: it runs the poller's job now."""

from __future__ import annotations

from collections.abc import Callable

from google.api_core import exceptions
from google.auth.transport.requests import AuthorizedSession

from shared.cloud.calls import Service

ENDPOINT = "https://cloudscheduler.googleapis.com"
# A function makes this call before it answers. It is not repeated: the job runs every minute anyway.
RUN_SECONDS = 5.0

SCHEDULER = Service("Cloud Scheduler", retry=None)


class ScheduledJob:
    """A job of Cloud Scheduler."""

    def __init__(self, session_of: Callable[[], AuthorizedSession], name: str, *, endpoint: str = "") -> None:
        """Use a job.

        Args:
            session_of: Returns the session that authorizes calls.
            name: The resource name of the job: ``projects/P/locations/L/jobs/J``.
            endpoint: The address of Cloud Scheduler; empty: Google's.
        """
        self._session_of = session_of
        self._url = f"{endpoint or ENDPOINT}/v1/{name}:run"

    def run(self) -> None:
        """Run the job now, outside its schedule. Cloud Scheduler does not wait for its end.

        https://cloud.google.com/scheduler/docs/reference/rest/v1/projects.locations.jobs/run

        Raises:
            TryLater: Cloud Scheduler refused the call or did not answer.
        """
        with SCHEDULER.call("run the job of the poller", timeout=RUN_SECONDS) as options:
            seconds = options["timeout"]
            session = self._session_of()
            response = session.request("POST", self._url, json={}, timeout=seconds, max_allowed_time=seconds)
            if not response.ok:
                raise exceptions.from_http_response(response)
