"""Calls to BigQuery. Its jobs have ids that we choose, so that a job that is submitted twice runs once."""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from google.api_core import exceptions
from google.api_core.page_iterator import HTTPIterator
from google.cloud import bigquery
from google.cloud.bigquery.retry import DEFAULT_RETRY

from shared.checks.identifiers import DatasetName, ModelName, RoutineName, TableName
from shared.checks.suggestions import closest
from shared.cloud.calls import CALL_SECONDS, CallOptions, Service
from shared.cloud.json_api import Answer, JsonApi
from shared.cloud.query_configuration import query_configuration
from shared.cloud.query_jobs import PAYLOAD_LABEL, Analysis, LabelledJob, OldJob, Query, Report
from shared.cloud.states import (
    BIGQUERY_STATES,
    Progress,
)
from shared.errors import (
    ModeldropError,
    Rejected,
    TryLater,
)
from shared.work import Job, System
from shared.work_facts import ModelColumn, ModelSignature

BIGQUERY = Service(
    "BigQuery",
    retry=DEFAULT_RETRY.with_timeout(CALL_SECONDS),
    rejects=True,
    gives_reasons=True,
    # A conflict with another call, on a table or a job id, is over when that call is.
    transient=(exceptions.Conflict,),
)
# How long the location of a dataset is cached: the dataset may be deleted and created elsewhere. The same holds for the
# definitions of views and routines, and for whether a model is remote.
LOCATION_SECONDS = 300.0
# How many of the latter are cached at most.
_DEFINITIONS = 10_000
_Object = TableName | RoutineName | ModelName
# How many datasets of a project are compared with a name that does not exist.
_COMPARED_DATASETS = 1000
# How many rows of a query are read at most.
MOST_ROWS_READ = 1000
# How far BigQuery's clock and a function's may be apart. The ledger remembers work for days, so an hour does no harm.
_CLOCKS_APART = timedelta(hours=1)

# The states of jobs that wait or run, as a list's filter.
_ACTIVE = ("pending", "running")
# What is needed of a job that is listed or looked at: the plan of a query alone can have hundreds of kilobytes.
_LISTED_FIELDS = "nextPageToken,jobs(jobReference(jobId))"
_JOB_FIELDS = (
    "status(state,errorResult),configuration(labels),statistics(creationTime,startTime,totalBytesProcessed,totalSlotMs,"
    "query(numDmlAffectedRows,totalBytesProcessed,totalSlotMs,genAiStats,queryPlan(recordsWritten)))"
)


class BigQueryJobs:
    """The calls to BigQuery that the functions make."""

    def __init__(self, client: bigquery.Client) -> None:
        """Create the service."""
        self._client = client
        self._api = JsonApi(client._credentials, str(client._connection.API_BASE_URL))
        self._locations: dict[DatasetName, tuple[str, float]] = {}
        self._definitions: dict[_Object, tuple[str, float]] = {}

    def location_of(self, dataset: DatasetName, field: str | None = None) -> str:
        """Return the location of ``dataset``, cached for five minutes; raise ``Rejected`` if there is no such dataset."""
        location, fetched = self._locations.get(dataset, ("", 0.0))
        if not location or time.monotonic() - fetched > LOCATION_SECONDS:
            try:
                with BIGQUERY.call(field=field) as options:
                    location = str(self._client.get_dataset(str(dataset), **options).location)
            except Rejected as error:
                if error.problem.code != "notFound":
                    raise
                similar = self._similar_dataset(dataset)
                meant = f"did you mean {similar}? Otherwise create" if similar else "create"
                message = f"{error.problem.message}; {meant} the dataset, or correct its name"
                raise Rejected(message, field=field, code="notFound") from error
            self._locations[dataset] = (location, time.monotonic())
        return location

    def _similar_dataset(self, dataset: DatasetName) -> str | None:
        """Return the dataset of the project that is most similar to one that does not exist, in any case."""
        # A suggestion is not worth an error.
        with suppress(ModeldropError), BIGQUERY.call("list the datasets") as options:
            listed = self._client.list_datasets(dataset.project, max_results=_COMPARED_DATASETS, **options)
            return closest(dataset.dataset, (each.dataset_id for each in listed))
        return None

    def ensure_dataset(self, dataset: DatasetName, location: str) -> None:
        """Create ``dataset`` in ``location`` unless it exists."""
        resource = bigquery.Dataset(str(dataset))
        resource.location = location
        with BIGQUERY.call(field="output") as options:
            self._client.create_dataset(resource, exists_ok=True, **options)

    def columns_of(self, table: TableName, field: str) -> tuple[Mapping[str, Any], ...]:
        """Return the columns of a table, each as a TableFieldSchema; raise ``Rejected`` if there is no such table."""
        with BIGQUERY.call(field=field) as options:
            found = self._client.get_table(str(table), **options)
        return tuple(column.to_api_repr() for column in found.schema)

    def view_query(self, table: TableName) -> str:
        """Return the query of a view; an empty text for another table, or one that this account can't see."""

        def fetch(**options: Any) -> str:
            dataset = bigquery.DatasetReference(table.project, table.dataset)
            found = self._client.get_table(dataset.table(table.table), **options)
            return found.view_query or found.mview_query or ""

        return self._definition(table, fetch)

    def routine_body(self, routine: RoutineName) -> str:
        """Return the body of a routine in SQL; an empty text for another one, or one that this account can't see."""

        def fetch(**options: Any) -> str:
            dataset = bigquery.DatasetReference(routine.project, routine.dataset)
            found = self._client.get_routine(dataset.routine(routine.routine), **options)
            return str(found.body or "") if (found.language or "SQL") == "SQL" else ""

        return self._definition(routine, fetch)

    def remote_endpoint(self, model: ModelName) -> str:
        """Return the endpoint of a remote model; an empty text for another model, or one that this account can't see.

        https://cloud.google.com/bigquery/docs/reference/rest/v2/models#RemoteModelInfo
        """

        def fetch(**options: Any) -> str:
            dataset = bigquery.DatasetReference(model.project, model.dataset)
            remote = self._client.get_model(dataset.model(model.model), **options).to_api_repr().get("remoteModelInfo")
            return "" if remote is None else str(remote.get("endpoint") or remote.get("remoteServiceType") or "remote")

        return self._definition(model, fetch)

    def _definition(self, name: _Object, fetch: Callable[..., str]) -> str:
        """Return what ``fetch`` returns about an object, cached for five minutes; an empty text if it can't be seen."""
        known, fetched = self._definitions.get(name, ("", 0.0))
        if fetched and time.monotonic() - fetched <= LOCATION_SECONDS:
            return known
        try:
            with BIGQUERY.call() as options:
                known = fetch(**options)
        except Rejected as error:
            if error.problem.code not in {"notFound", "accessDenied"}:
                raise
            known = ""
        if len(self._definitions) >= _DEFINITIONS:
            self._definitions.clear()
        self._definitions[name] = (known, time.monotonic())
        return known

    def model_created(self, model: str) -> datetime | None:
        """Return when a model was created or last replaced, or None if there is no such model."""
        try:
            with BIGQUERY.call() as options:
                found = self._client.get_model(model, **options)
        except Rejected as error:
            if error.problem.code == "notFound":
                return None
            raise
        return found.created or datetime.min.replace(tzinfo=UTC)

    def model_names(self, dataset: DatasetName) -> list[str]:
        """Return the names of at most 1,000 models of a dataset; none if BigQuery does not answer."""
        try:
            with BIGQUERY.call() as options:
                return [model.model_id for model in self._client.list_models(str(dataset), max_results=1000, **options)]
        except ModeldropError:
            return []

    def models_beginning(self, dataset: DatasetName, prefix: str) -> list[str]:
        """Return the names of all models of a dataset that begin with ``prefix``. One call lists 1,000 models."""
        with BIGQUERY.call("list models") as options:
            listed = self._client.list_models(str(dataset), page_size=1000, **options)
            return [model.model_id for model in listed if model.model_id.startswith(prefix)]

    def model_resource(self, model: str) -> Mapping[str, Any]:
        """Return a model as BigQuery describes it.

        https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/models#Model
        """
        with BIGQUERY.call() as options:
            resource: Mapping[str, Any] = self._client.get_model(model, **options).to_api_repr()
        return resource

    def model_signature(self, model: str) -> ModelSignature:
        """Return a model's type, and its input and output columns."""
        resource = self.model_resource(model)
        return ModelSignature(
            resource.get("modelType"),
            tuple(_standard_column(column) for column in resource.get("featureColumns", [])),
            tuple(_standard_column(column) for column in resource.get("labelColumns", [])),
        )

    def analyse(self, query: Query, location: str, field: str) -> Analysis:
        """Run ``query`` dry; raise ``Rejected`` about ``field`` if BigQuery would refuse it."""
        config = query_configuration(query)
        config.dry_run = True
        config.use_query_cache = False
        with BIGQUERY.call(field=field) as options:
            # With an id that we choose, a conflict is raised at once. The client searches long for the job of its own id.
            job = self._client.query(
                query.sql,
                job_config=config,
                job_id=str(uuid.uuid4()),
                location=location,
                job_retry=None,
                **options,
            )
        statistics = _resource(job).get("statistics", {})
        about = statistics.get("query", {})
        return Analysis(
            statement=about.get("statementType", ""),
            columns=tuple(about.get("schema", {}).get("fields", ())),
            tables=tuple(
                TableName(table["projectId"], table["datasetId"], table["tableId"])
                for table in about.get("referencedTables", ())
            ),
            routines=tuple(
                RoutineName(routine["projectId"], routine["datasetId"], routine["routineId"])
                for routine in about.get("referencedRoutines", ())
            ),
            bytes=int(about.get("totalBytesProcessed") or statistics.get("totalBytesProcessed") or 0),
        )

    def submit(self, query: Query, job_id: str, location: str, *, since: datetime) -> Job:
        """Submit ``query`` with this job id, or adopt the job that has the id already.

        https://docs.cloud.google.com/bigquery/docs/managing-jobs

        Args:
            query: The query. Its label ``modeldrop_payload`` holds the hash of the request.
            job_id: The id of the new job.
            location: Where the job runs.
            since: When the work began.

        Raises:
            Rejected: BigQuery refuses the query, or the id belongs to another request.
            OldJob: The id belongs to a job that was created before ``since``.
            TryLater: The job may be submitted again later, with the same id.
        """
        try:
            with BIGQUERY.call(passes=(exceptions.Conflict,)) as options:
                self._client.query(
                    query.sql,
                    job_config=query_configuration(query),
                    job_id=job_id,
                    location=location,
                    job_retry=None,
                    **options,
                )
        except exceptions.Conflict:
            payload = query.labels.get(PAYLOAD_LABEL, "")
            if self.find(job_id, location, payload=payload, since=since) is None:
                # Just after a 409 the job may not be visible yet.
                raise TryLater(f"BigQuery has the job {job_id} and does not show it yet") from None
        return Job(System.BIGQUERY, job_id, location)

    def find(self, job_id: str, location: str, *, payload: str, since: datetime) -> Job | None:
        """Return the job with this id, or None if there is none.

        Raises:
            Rejected: The job belongs to another request: the hash in its label is not ``payload``.
            OldJob: The job was created before ``since``.
            TryLater: BigQuery does not answer.
        """
        job = Job(System.BIGQUERY, job_id, location)
        report = self.get_report(job)
        if report is None:
            return None
        if report.resource.get("configuration", {}).get("labels", {}).get(PAYLOAD_LABEL) != payload:
            raise Rejected(f"the job id {job_id} is taken by another request", code="job_id_taken")
        created = int(report.resource.get("statistics", {}).get("creationTime") or 0) / 1000
        if created and created < (since - _CLOCKS_APART).timestamp():
            raise OldJob(job_id)
        return job

    def get_report(self, job: Job) -> Report | None:
        """Return the state of ``job``, or None if there is no such job; raise ``TryLater`` if BigQuery does not answer."""
        try:
            with BIGQUERY.call() as options:
                resource = self._job_resource(job, options)
        except Rejected as error:
            if error.problem.code == "notFound":
                return None
            raise TryLater(error.problem.message) from error
        status = resource.get("status", {})
        progress = BIGQUERY_STATES.get(status.get("state", ""), Progress.UNKNOWN)
        failure = status.get("errorResult")
        if progress is Progress.SUCCEEDED and failure:
            return Report(Progress.FAILED, failure.get("reason", ""), failure.get("message", ""), resource)
        return Report(progress, None, None, resource)

    def _job_resource(self, job: Job, options: CallOptions) -> Mapping[str, Any]:
        """Return what is needed of a job. The client's own object for it takes as much CPU time as the call.

        https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/jobs/get
        """
        path = f"/bigquery/v2/projects/{self._client.project}/jobs/{job.id}"
        query = {"location": job.location, "fields": _JOB_FIELDS, "prettyPrint": "false"}
        return self._api.call("GET", path, query, options, read=Answer.json)

    def rows_of(self, job: Job) -> list[dict[str, Any]]:
        """Return the rows of a query that succeeded. It must have few of them.

        Raises:
            Rejected: There are no such rows, or they have expired.
            TryLater: BigQuery does not answer.
        """
        with BIGQUERY.call() as options:
            found = self._client.get_job(job.id, location=job.location, **options)
            assert isinstance(found, bigquery.QueryJob)
            rows = self._client.list_rows(found.destination, max_results=MOST_ROWS_READ, **options)
            return [dict(row) for row in rows]

    def list_active(self, since: datetime, until: datetime | None = None) -> set[str]:
        """Return the ids of the jobs that wait or run. One call lists 1,000 jobs.

        https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/jobs/list

        Args:
            since: When the oldest of these jobs was created.
            until: When the newest of them was created; None: now.
        """
        with BIGQUERY.call() as options:
            jobs = self._client.list_jobs(min_creation_time=since, max_creation_time=until, page_size=1000, **options)
            # One list of both states, and the ids alone: an object of the client for each job takes more time than the call.
            assert isinstance(jobs, HTTPIterator)
            jobs.extra_params.update(stateFilter=_ACTIVE, projection="minimal", fields=_LISTED_FIELDS)
            jobs.item_to_value = _job_id
            return set(jobs)

    def list_labelled(self, since: datetime, label: str) -> list[LabelledJob]:
        """Return the jobs with this label that were created since then, in any state. One call lists 1,000 jobs."""
        with BIGQUERY.call("list jobs") as options:
            jobs = self._client.list_jobs(min_creation_time=since, page_size=1000, **options)
            return [
                LabelledJob(Job(System.BIGQUERY, job.job_id, job.location), dict(job.labels), job.created)
                for job in jobs
                if label in (getattr(job, "labels", None) or {})
            ]

    def delete_model(self, model: str) -> None:
        """Delete a model, if it exists."""
        with BIGQUERY.call() as options:
            self._client.delete_model(model, not_found_ok=True, **options)


def _job_id(iterator: object, resource: Mapping[str, Any]) -> str:
    # The ledger's index has the same ids: each is held in memory once.
    return sys.intern(resource["jobReference"]["jobId"])


def _resource(job: Any) -> Mapping[str, Any]:
    """Return a job as BigQuery returned it; the client's ``to_api_repr`` holds only what was sent."""
    properties: Mapping[str, Any] = job._properties
    return properties


def _standard_column(column: Mapping[str, Any]) -> ModelColumn:
    return ModelColumn(column.get("name", ""), _standard_type(column.get("type", {})))


def _standard_type(kind: Mapping[str, Any]) -> str:
    name = str(kind.get("typeKind", ""))
    if name == "ARRAY":
        return f"ARRAY<{_standard_type(kind.get('arrayElementType', {}))}>"
    return name
