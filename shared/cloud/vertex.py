"""Calls about Vertex AI's batch prediction jobs.

Vertex AI takes neither a job id nor a request id from the caller, so a create that is sent twice makes two jobs. A create
is therefore sent once, without the client's retry. If its outcome is unknown, the job is looked up by its label.
https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/batch-prediction-api
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
from shared.cloud.calls import CALL_SECONDS, Service, without_address
from shared.cloud.locations import GLOBAL, location_in
from shared.cloud.publisher_models import served_instead_of
from shared.cloud.states import NO_SERVICE_AGENTS, NO_SERVICE_AGENTS_MESSAGE, VERTEX_STATES, Progress
from shared.errors import OutcomeUnknown, Problem, Rejected

PAGE_SIZE = 100

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
    """The calls to Vertex AI that the functions make, in one project."""

    def __init__(self, client_of: Callable[[str], vertex.JobServiceClient], project: str) -> None:
        """Create the service for one project; ``client_of`` returns the client of a location."""
        self._client_of = client_of
        self._project = project

    def create(self, batch: Batch, *, timeout: float) -> str:
        """Send one call that creates a job, and return the job's resource name.

        Args:
            batch: The job.
            timeout: The time limit of the call in seconds.

        Raises:
            Rejected: Vertex AI refuses the job for good, for example because it does not have the model.
            TryLater: No quota is left; the same job may be sent again.
            OutcomeUnknown: The call failed or was not answered; there may be a job.
        """
        client = self._client_of(batch.location)
        with VERTEX_CREATE.call(timeout=timeout, passes=(exceptions.NotFound, exceptions.BadRequest)) as options:
            try:
                created = client.create_batch_prediction_job(
                    parent=self._parent(batch.location), batch_prediction_job=_resource(batch), **options
                )
            except (exceptions.NotFound, exceptions.BadRequest) as error:
                message = without_address(str(error.message))
                problem = model_problem(message, batch.model, batch.location)
                if problem is not None:
                    raise Rejected(problem.message, field=problem.field, code=problem.code) from error
                raise Rejected(f"Vertex AI: {message}", code=_code_of(error)) from error
        return str(created.name)

    def get_report(self, name: str) -> BatchReport | None:
        """Return the state of a job by its resource name, or None if there is no such job."""
        try:
            with VERTEX.call(passes=(exceptions.NotFound,)) as options:
                return _report(self._client_at(name).get_batch_prediction_job(name=name, **options))
        except exceptions.NotFound:
            return None

    def list_attempt(self, key: str, attempt: str, location: str) -> list[BatchReport]:
        """Return the jobs of a location that are labelled with the key of an item and this attempt, oldest first."""
        wanted = {KEY_LABEL: key, ATTEMPT_LABEL: attempt}
        reports = self._listed(f'labels.{KEY_LABEL}="{key}"', location)
        found = [report for report in reports if wanted.items() <= report.labels.items()]
        return sorted(found, key=lambda report: (report.created is None, report.created, report.name))

    def list_ended(self, key: str, location: str) -> list[str]:
        """Return the resource names of the jobs of a location that have ended and are labelled with the key of an item."""
        reports = self._listed(f'labels.{KEY_LABEL}="{key}"', location)
        return [report.name for report in reports if report.progress.ended]

    def list_created(self, since: datetime, location: str) -> dict[str, BatchReport]:
        """Return Modeldrop's jobs of a location that were created since then, by name. One call lists 100 jobs."""
        moment = f"{since:%Y-%m-%dT%H:%M:%SZ}"
        reports = self._listed(f'labels.{KEY_LABEL}:* AND create_time>="{moment}"', location)
        return {report.name: report for report in reports}

    def cancel(self, name: str) -> None:
        """Cancel a job, if it exists and has not ended."""
        already_ended = (exceptions.BadRequest, exceptions.NotFound)
        with suppress(*already_ended), VERTEX.call(passes=already_ended) as options:
            self._client_at(name).cancel_batch_prediction_job(name=name, **options)

    def delete(self, name: str) -> None:
        """Delete a job that has ended, if it exists. Its answers stay."""
        missing = (exceptions.NotFound,)
        with suppress(*missing), VERTEX.call(passes=missing) as options:
            self._client_at(name).delete_batch_prediction_job(name=name, **options)

    def _listed(self, filter_: str, location: str) -> Iterator[BatchReport]:
        with VERTEX.call(f"list jobs of {location}") as options:
            request = {"parent": self._parent(location), "filter": filter_, "page_size": PAGE_SIZE}
            for job in self._client_of(location).list_batch_prediction_jobs(request, **options):
                yield _report(job)

    def _parent(self, location: str) -> str:
        return f"projects/{self._project}/locations/{location}"

    def _client_at(self, name: str) -> vertex.JobServiceClient:
        """Return the client of the location in the resource name of a job."""
        return self._client_of(location_in(name) or GLOBAL)


def model_problem(message: str, model: str, location: str) -> Problem | None:
    """Return the problem of a refused job if ``message``, which is Vertex AI's, is about its model; None if it is not.

    Vertex AI answers 404 for a model that is retired, unknown, or not served in the location:
    https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/model-versions
    """
    words = message.lower()
    name = model.rpartition("/")[2]
    if "model" not in words or not (name.lower() in words or "publisher model" in words):
        return None
    return Problem(
        "model_not_found",
        f"Vertex AI does not have the model {name} in {location}: it is retired, unknown, or not served there. Write a model "
        f"that is served, such as {served_instead_of(name)}, and a location that serves it, such as {GLOBAL}. Vertex AI says: "
        f"{message}",
        "model",
    )


def _code_of(error: exceptions.NotFound | exceptions.BadRequest) -> str:
    if NO_SERVICE_AGENTS_MESSAGE in str(error.message).lower():
        return NO_SERVICE_AGENTS
    return "notFound" if isinstance(error, exceptions.NotFound) else "invalid"


def _resource(batch: Batch) -> vertex.BatchPredictionJob:
    source: dict[str, Any]
    destination: dict[str, Any]
    if batch.inputs[0].startswith("bq://"):
        source = {"instances_format": "bigquery", "bigquery_source": {"input_uri": batch.inputs[0]}}
    else:
        source = {"instances_format": "jsonl", "gcs_source": {"uris": list(batch.inputs)}}
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
    # The REST transport may return a state that this version of the client does not name.
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
        # -1 means that the service does not know.
        incomplete=int(stats.incomplete_count) if stats and stats.incomplete_count >= 0 else None,
        output=_output(job),
        problem=_problem(job) if failed else None,
        partial_failures=tuple(Problem(str(each.code), each.message) for each in job.partial_failures),
    )


def _problem(job: vertex.BatchPredictionJob) -> Problem:
    about_model = model_problem(job.error.message, job.model, location_in(job.name) or GLOBAL)
    return about_model or Problem(f"vertex_{job.error.code}", job.error.message)


def _output(job: vertex.BatchPredictionJob) -> str | None:
    """Return where the answers are. Vertex AI gives a table as ``t``, as ``p.d.t`` or as ``bq://p.d.t``."""
    info = job.output_info
    if info.gcs_output_directory:
        return str(info.gcs_output_directory)
    table = str(info.bigquery_output_table).removeprefix("bq://")
    if not table:
        return None
    if table.count(".") >= 2:
        return f"bq://{table}"
    return f"{info.bigquery_output_dataset}.{table}"
