"""Vertex AI's batch prediction jobs. They have no id of our own and no request id: a create that is sent twice is two jobs.

So a create is sent once, without the client's retry, and when its outcome is unknown the job is looked for by its label.
https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/batch-prediction-api
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

from google.api_core import exceptions
from google.api_core.retry import Retry, if_exception_type
from google.auth import exceptions as auth_exceptions
from google.cloud import aiplatform_v1 as vertex

from shared.cloud.batch_jobs import (
    ATTEMPT_LABEL,
    KEY_LABEL,
    Batch,
    BatchReport,
)
from shared.cloud.calls import CALL_SECONDS, Service
from shared.cloud.states import VERTEX_STATES, Progress
from shared.errors import OutcomeUnknown, Problem

PAGE = 100

VERTEX = Service(
    "Vertex AI",
    retry=Retry(
        predicate=if_exception_type(
            exceptions.ServerError, exceptions.TooManyRequests, ConnectionError, auth_exceptions.TransportError
        ),
        timeout=CALL_SECONDS,
    ),
)
VERTEX_CREATE = Service("Vertex AI", retry=None, rejects=True, failure=OutcomeUnknown)


class VertexJobs:
    """The calls to Vertex AI that the functions make."""

    def __init__(self, client: vertex.JobServiceClient, project: str, location: str) -> None:
        self._client = client
        self._parent = f"projects/{project}/locations/{location}"

    def create(self, batch: Batch, *, timeout: float) -> str:
        """Create the job, once, and return its resource name.

        Raises ``Rejected`` if Vertex AI refuses it for good, ``TryLater`` if it was refused for quota and may be sent
        again, and ``OutcomeUnknown`` if nobody knows whether there is a job now.
        """
        with VERTEX_CREATE.call(timeout=timeout) as options:
            created = self._client.create_batch_prediction_job(
                parent=self._parent, batch_prediction_job=_resource(batch), **options
            )
        return str(created.name)

    def look(self, name: str) -> BatchReport | None:
        """Return how the job stands; None if there is no such job."""
        try:
            with VERTEX.call(passes=(exceptions.NotFound,)) as options:
                return _report(self._client.get_batch_prediction_job(name=name, **options))
        except exceptions.NotFound:
            return None

    def of_attempt(self, key: str, attempt: int) -> list[BatchReport]:
        """Return the jobs that carry the key and the attempt of a piece of work, oldest first."""
        wanted = {KEY_LABEL: key, ATTEMPT_LABEL: str(attempt)}
        reports = self._listed(f'labels.{KEY_LABEL}="{key}"')
        found = [report for report in reports if wanted.items() <= report.labels.items()]
        return sorted(found, key=lambda report: (report.created is None, report.created, report.name))

    def ours(self, since: datetime) -> dict[str, BatchReport]:
        """Return all jobs of Modeldrop created since then, by name, a page of 100 a call."""
        moment = f"{since:%Y-%m-%dT%H:%M:%SZ}"
        reports = self._listed(f'labels.{KEY_LABEL}:* AND create_time>="{moment}"')
        return {report.name: report for report in reports}

    def cancel(self, name: str) -> None:
        """Ask for a job's end; it does not matter whether it has ended already."""
        already_ended = (exceptions.BadRequest, exceptions.NotFound)
        with suppress(*already_ended), VERTEX.call(passes=already_ended) as options:
            self._client.cancel_batch_prediction_job(name=name, **options)

    def _listed(self, filter_: str) -> Iterator[BatchReport]:
        with VERTEX.call("list jobs") as options:
            request = {"parent": self._parent, "filter": filter_, "page_size": PAGE}
            for job in self._client.list_batch_prediction_jobs(request, **options):
                yield _report(job)


def _resource(batch: Batch) -> vertex.BatchPredictionJob:
    source: dict[str, Any]
    destination: dict[str, Any]
    if batch.input.startswith("bq://"):
        source = {"instances_format": "bigquery", "bigquery_source": {"input_uri": batch.input}}
    else:
        source = {"instances_format": "jsonl", "gcs_source": {"uris": [batch.input]}}
    if batch.output.startswith("bq://"):
        destination = {"predictions_format": "bigquery", "bigquery_destination": {"output_uri": batch.output}}
    else:
        destination = {"predictions_format": "jsonl", "gcs_destination": {"output_uri_prefix": batch.output}}
    return vertex.BatchPredictionJob(
        display_name=batch.display_name,
        model=batch.model,
        input_config=source,
        output_config=destination,
        labels=dict(batch.labels),
    )


def _report(job: vertex.BatchPredictionJob) -> BatchReport:
    try:
        state = vertex.JobState(job.state).name
    except ValueError:
        state = str(int(job.state))
    stats = job.completion_stats if "completion_stats" in job else None
    failed = bool(job.error.code or job.error.message)
    return BatchReport(
        name=job.name,
        state=state,
        progress=VERTEX_STATES.get(state, Progress.UNKNOWN),
        created=job.create_time if "create_time" in job else None,
        labels=dict(job.labels),
        succeeded=int(stats.successful_count) if stats else None,
        failed=int(stats.failed_count) if stats else None,
        # -1 says that the service does not know.
        incomplete=int(stats.incomplete_count) if stats and stats.incomplete_count >= 0 else None,
        output=_output(job),
        problem=Problem(f"vertex_{job.error.code}", job.error.message) if failed else None,
    )


def _output(job: vertex.BatchPredictionJob) -> str | None:
    """Return where the answers are. The table is told as a bare name, as ``p.d.t`` or as ``bq://p.d.t``."""
    info = job.output_info
    if info.gcs_output_directory:
        return str(info.gcs_output_directory)
    table = str(info.bigquery_output_table).removeprefix("bq://")
    if not table:
        return None
    if table.count(".") >= 2:
        return f"bq://{table}"
    return f"{info.bigquery_output_dataset}.{table}"
