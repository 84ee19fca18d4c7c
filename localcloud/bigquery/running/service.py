"""BigQuery's job methods without HTTP: insert, dry run, query, cancel, delete."""

from __future__ import annotations

import base64
import json
import re
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from bqemulator.sql.rewriter.legacy_sql import rewrite_legacy_to_standard

from localcloud.base.clock import Clock
from localcloud.bigquery.base.discovery import canonical
from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.request_fields import check_request
from localcloud.bigquery.job.history import JobHistory
from localcloud.bigquery.job.jobs import DONE, Job, JobKey, canonical_location
from localcloud.bigquery.queries.queries import QueryJobs
from localcloud.bigquery.queries.transfers import TransferJobs
from localcloud.bigquery.running.job_journal import JobJournal
from localcloud.bigquery.running.quotas import Quotas
from localcloud.bigquery.running.runner import Runner
from localcloud.bigquery.sql.reading.statement import mentioned_names, possible_datasets
from localcloud.bigquery.tables.engine import Engine
from localcloud.bigquery.tables.sessions import Sessions

JOB_KINDS = ("query", "load", "extract", "copy")
# https://cloud.google.com/bigquery/docs/reference/rest/v2/JobReference
_JOB_ID = re.compile(r"[A-Za-z0-9_\-]{1,1024}")
# https://cloud.google.com/bigquery/docs/labels-intro#requirements
_LABEL_KEY = re.compile(r"[^\W\dA-Z_][^\WA-Z]{0,62}|[^\W\dA-Z_](?:[^\WA-Z]|-){0,62}")
_LABEL_VALUE = re.compile(r"(?:[^\WA-Z]|-){0,63}")
LABELS = 64
# https://cloud.google.com/bigquery/docs/reference/rest/v2/jobs/query (requestId)
REQUEST_ID_LIFE = timedelta(minutes=15)
_PROPERTIES = ("dataset_project_id", "time_zone", "service_account")
_STANDARD_SQL = re.compile(r"^\s*#standardSQL\b", re.IGNORECASE)
# A text, or a table without a project, which bqemulator does not translate.
_LEGACY_TABLE = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\[(?P<table>\w+\.\w+)\]""")
_LEGACY_SQL = re.compile(r"^\s*#legacySQL\b", re.IGNORECASE)


class JobService:
    """Inserts, cancels and deletes jobs."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        queries: QueryJobs,
        transfers: TransferJobs,
        journal: JobJournal,
        history: JobHistory,
        quotas: Quotas,
        sessions: Sessions,
        before_job: Callable[[Job], None],
    ) -> None:
        """Go on with the jobs of ``history``; ``before_job`` is called in a job's thread when it starts."""
        self.engine = engine
        self.clock = clock
        self.queries = queries
        self.transfers = transfers
        self.history = history
        self.quotas = quotas
        self.sessions = sessions
        self._journal = journal
        self._before_job = before_job
        self.runner = Runner(engine, clock, sessions, self._work, lambda job: journal.save([job, *job.children]))
        self._requests = {(job.key.project, job.request[0]): job for job in history.all() if job.request is not None}
        self._requests_lock = threading.Lock()

    # Starting jobs

    def insert(
        self,
        project: str,
        body: dict[str, Any],
        user: str,
        *,
        upload: Path | None = None,
        request: tuple[str, str] | None = None,
    ) -> Job:
        """Create a job and start it; return it without waiting for its end.

        Args:
            project: The project that runs the job.
            body: The REST ``Job``: ``configuration`` and optionally ``jobReference``.
            user: The e-mail address of the caller.
            upload: The uploaded file of a load job; the job removes it.
            request: The ``requestId`` of a ``jobs.query`` call, and the body of that call.

        Raises:
            QueryError: The request is not valid, the id is taken, or a quota is exceeded.
        """
        job = self._new_job(project, body, user)
        job.upload = upload
        job.request = request
        self.quotas.check(job, self.history)
        self.history.add(job)
        self.runner.submit(job, timeout_ms=_integer(job.configuration.get("jobTimeoutMs")))
        return job

    def dry_run(self, project: str, body: dict[str, Any], user: str) -> Job:
        """Return a job that is checked, but neither run nor kept.

        Raises:
            QueryError: The job would fail.
        """
        job = self._new_job(project, body, user)
        with self.engine.use(self.engine.cursor()):
            if "query" in job.configuration:
                self._translate_legacy_sql(job)
                try:
                    self.queries.dry_run(job)
                except QueryError as error:
                    # The place of an error in the query is "q" in a dry run, and "query" in a job.
                    error.location = "q" if error.location == "query" else error.location
                    raise
        now = self.clock.now()
        job.begin(now)
        job.finish(now)
        return job

    def _new_job(self, project: str, body: dict[str, Any], user: str) -> Job:
        configuration = canonical(body.get("configuration") or {}, "JobConfiguration")
        check_request("Job", {**body, "configuration": configuration})
        kinds = [kind for kind in JOB_KINDS if kind in configuration]
        if len(kinds) != 1:
            raise QueryError("Required parameter is missing: one of query, load, extract, copy", reason="required")
        configuration["jobType"] = kinds[0].upper()
        if kinds[0] == "query" and not str(configuration["query"].get("query") or "").strip():
            raise QueryError("Required parameter is missing: query", reason="required")
        check_labels(configuration.get("labels") or {})
        reference = body.get("jobReference") or {}
        if reference.get("projectId", project) != project:
            raise QueryError(
                f"Value '{reference['projectId']}' in content does not agree with value '{project}'. This can happen when a "
                "value set through a parameter is inconsistent with a value set in the request.",
                reason="invalid",
            )
        job_id = reference.get("jobId") or f"job_{uuid.uuid4().hex}"
        if not _JOB_ID.fullmatch(job_id):
            raise QueryError(
                f'Invalid job ID "{job_id}". Job IDs must be alphanumeric (plus underscores and dashes) '
                "and must be at most 1024 characters long.",
                reason="invalid",
            )
        location = reference.get("location")
        location = canonical_location(location or self._infer_location(project, kinds[0], configuration[kinds[0]]))
        job = Job(JobKey(project, location, job_id), configuration, user=user, created=self.clock.now())
        if kinds[0] == "query":
            configuration["query"].setdefault("priority", "INTERACTIVE")
            labels = check_properties(configuration["query"].get("connectionProperties") or (), project)
            if labels:
                configuration["labels"] = {**(configuration.get("labels") or {}), **labels}
            job.session_id = self.sessions.open_or_find(configuration["query"])
        return job

    def _infer_location(self, project: str, kind: str, details: dict[str, Any]) -> str:
        """Return the location of a job without one: that of a dataset that it writes, else of one that it reads."""
        references = [details.get("destinationTable"), details.get("sourceTable"), *(details.get("sourceTables") or ())]
        references.append(details.get("defaultDataset"))
        for reference in references:
            if reference and reference.get("datasetId"):
                found = self.queries.location_of(reference.get("projectId") or project, reference["datasetId"])
                if found:
                    return found
        for parts in mentioned_names(details.get("query", "")) if kind == "query" else ():
            for owner, dataset in possible_datasets(parts, project):
                found = self.queries.location_of(owner, dataset)
                if found:
                    return found
        return "US"

    def _work(self, job: Job) -> None:
        self._before_job(job)
        if "query" in job.configuration:
            self._translate_legacy_sql(job)
            try:
                self.queries.run(job)
            finally:
                for child in job.children:
                    self.history.add(child)
        else:
            self.transfers.run(job)

    def _translate_legacy_sql(self, job: Job) -> None:
        """Translate the part of legacy SQL that is supported here to GoogleSQL. In REST, legacy SQL is the default.

        https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobConfigurationQuery (useLegacySql)
        """
        query = job.configuration["query"]
        sql = query["query"]
        legacy = query.get("useLegacySql", True) is not False
        if _STANDARD_SQL.match(sql):
            legacy = False
        if not (legacy or _LEGACY_SQL.match(sql)):
            return
        first = re.match(r"\s*(\w+)", _LEGACY_SQL.sub("", sql))
        if first is None or first.group(1).upper() != "SELECT":
            word = first.group(1) if first else ""
            raise QueryError(
                f'Encountered " "{word.upper()}" "{word} "" at line 1, column 1. [Try using standard SQL '
                "(https://cloud.google.com/bigquery/docs/reference/standard-sql/enabling-standard-sql)]",
                location="query",
            )
        quoted = re.search(r"`[^`]*`", sql)
        if quoted or re.search(r"\b(ML|AI)\s*\.\s*\w+\s*\(", sql, re.IGNORECASE):
            what = quoted.group(0) if quoted else "ML"
            raise QueryError(
                f"Invalid table name: {what} [Try using standard SQL "
                "(https://cloud.google.com/bigquery/docs/reference/standard-sql/enabling-standard-sql)]",
                location="query",
            )
        job.dialect_sql = rewrite_legacy_to_standard(_LEGACY_TABLE.sub(_quoted_table, sql))

    # jobs.query

    def query(self, project: str, body: dict[str, Any], user: str) -> Job:
        """Start a ``jobs.query`` call; the same ``requestId`` and body within 15 minutes return the same job.

        Args:
            project: The project that runs the job.
            body: The REST ``QueryRequest``.
            user: The e-mail address of the caller.

        Raises:
            QueryError: The request is not valid, or has a field that is not carried out.
        """
        check_request("QueryRequest", body)
        keys = (
            "query",
            "defaultDataset",
            "useLegacySql",
            "parameterMode",
            "queryParameters",
            "maximumBytesBilled",
            "createSession",
            "connectionProperties",
            "destinationEncryptionConfiguration",
            "useQueryCache",
        )
        configuration: dict[str, Any] = {"query": {key: body[key] for key in keys if body.get(key) is not None}}
        for key in ("labels", "jobTimeoutMs", "dryRun", "reservation"):
            if body.get(key) is not None:
                configuration[key] = body[key]
        job_body = {"configuration": configuration, "jobReference": {"location": body.get("location")}}
        if body.get("dryRun"):
            return self.dry_run(project, job_body, user)
        request_id = body.get("requestId")
        if not request_id:
            return self.insert(project, job_body, user)
        payload = json.dumps(job_body, sort_keys=True)
        with self._requests_lock:
            now = self.clock.now()
            self._requests = {k: job for k, job in self._requests.items() if now - job.created < REQUEST_ID_LIFE}
            known = self._requests.get((project, request_id))
            if known is not None and known.request == (request_id, payload):
                return known
            job = self.insert(project, job_body, user, request=(request_id, payload))
            self._requests[(project, request_id)] = job
            return job

    # Ending

    def cancel(self, project: str, job_id: str, location: str | None) -> Job:
        """Stop a job. Raises ``NotFound``."""
        job = self.history.get(project, job_id, location)
        self.runner.cancel(job)
        return job

    def delete(self, project: str, job_id: str, location: str | None) -> None:
        """Delete a job that is DONE. Raises ``NotFound``, or ``QueryError`` if the job is not DONE."""
        job = self.history.get(project, job_id, location)
        if job.state != DONE:
            raise QueryError(f"Cannot delete job {job.key}: it is still running.", reason="invalid")
        self._journal.remove(self.history.remove(job))


def _quoted_table(match: re.Match[str]) -> str:
    return f"`{match['table']}`" if match["table"] else match[0]


def check_labels(labels: dict[str, str]) -> None:
    """Check labels by BigQuery's rules. Raises ``QueryError``."""
    if len(labels) > LABELS:
        raise QueryError(f"A resource can have at most {LABELS} labels.", reason="invalid")
    for key, value in labels.items():
        if not _LABEL_KEY.fullmatch(key):
            raise QueryError(f'Label key "{key}" has invalid characters or length.', reason="invalid")
        if not isinstance(value, str) or not _LABEL_VALUE.fullmatch(value):
            raise QueryError(f'Label value "{value}" has invalid characters or length.', reason="invalid")


def check_properties(given: Sequence[Mapping[str, Any]], project: str) -> dict[str, str]:
    """Return the labels that connection properties give to a query. Raises ``QueryError`` for a property without effect.

    https://cloud.google.com/bigquery/docs/reference/rest/v2/ConnectionProperty
    """
    labels = {}
    for each in given:
        key, value = str(each.get("key") or ""), str(each.get("value") or "")
        if key == "query_label":
            name, _, text = value.partition(":")
            labels[name] = text
        elif key != "session_id" and (key, value) != ("dataset_project_id", project):
            raise QueryError(
                f"Connection property {key} with value {value} is not supported by the local BigQuery.",
                reason="notImplemented" if key in _PROPERTIES else "invalid",
            )
    check_labels(labels)
    return labels


def page_token(number: int) -> str:
    """Return the opaque page token of a position in a list."""
    return base64.urlsafe_b64encode(f"from:{number}".encode()).decode().rstrip("=")


def position_of(token: str) -> int:
    """Return the position in a page token. Raises ``QueryError`` for an invalid token."""
    try:
        text = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
        return int(text.removeprefix("from:"))
    except ValueError as error:
        raise QueryError(f"Invalid page token: {token}", reason="invalid") from error


def _integer(value: Any) -> int | None:
    if value is None:
        return None
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise QueryError(f"Invalid value for jobTimeoutMs: {value}", reason="invalid") from error
