"""The REST API of the local BigQuery: the routes.

Jobs, queries, models, uploads and the discovery document are handled here, other calls by bqemulator (see ``delegate``).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from urllib.parse import unquote

from localcloud.base.asgi import Receive, Scope, Send
from localcloud.base.partial_response import Selection, parse_fields, select
from localcloud.bigquery.base.callers import named_caller
from localcloud.bigquery.base.discovery import canonical, discovery_document, resource_document
from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.request_fields import check_parameters
from localcloud.bigquery.job.history import JobFilter
from localcloud.bigquery.job.jobs import DONE, Job
from localcloud.bigquery.rest.connection_methods import ConnectionMethods
from localcloud.bigquery.rest.delegate import Delegate
from localcloud.bigquery.rest.messages import Call, Response, read_call
from localcloud.bigquery.rest.model_methods import ModelMethods
from localcloud.bigquery.rest.query_responses import query_response, results_response
from localcloud.bigquery.rest.reservation_methods import ReservationMethods
from localcloud.bigquery.rest.row_methods import RowMethods
from localcloud.bigquery.rest.table_methods import TableMethods
from localcloud.bigquery.rest.uploads import Uploaded, Uploads
from localcloud.bigquery.running.service import JobService, page_token, position_of
from localcloud.bigquery.sql.errors.failures import query_error
from localcloud.bigquery.sql.reading.statement import TableName
from localcloud.bigquery.tables.results import AnonymousTables

T = TypeVar("T")
Handler = Callable[[Call, dict[str, str]], Awaitable[Response]]

_P = r"/bigquery/v2/projects/(?P<project>[^/]+)"
_JOB = r"(?P<job>[^/]+)"
_DATASET = r"/datasets/(?P<dataset>[^/]+)"
_TABLE = r"/tables/(?P<table>[^/]+)"
_CONNECTIONS = r"/v1/projects/(?P<project>[^/]+)/locations/(?P<location>[^/]+)/connections"
_CONNECTION = _CONNECTIONS + r"/(?P<connection>[^/:]+)"
_PLACE = r"/v1/projects/(?P<project>[^/]+)/locations/(?P<location>[^/:]+)"
_RESERVATIONS = _PLACE + r"/reservations"
_RESERVATION = _RESERVATIONS + r"/(?P<reservation>[^/:]+)"
_ASSIGNMENTS = _RESERVATION + r"/assignments"
_MODELS = _DATASET + r"/models"
_ANONYMOUS = re.compile(
    r"/projects/(?P<project>[^/]+)/datasets/(?P<dataset>_anonymous_[^/]+)/tables/(?P<table>anon[0-9a-f]+)"
)
PAGE = 1000
# https://cloud.google.com/bigquery/docs/reference/rest/v2/jobs/getQueryResults (timeoutMs)
WAIT_MS, LONGEST_WAIT_MS = 10_000, 200_000
SHORT_JOB_MS = 40


class BigQueryApp:
    """The ASGI application of the REST API."""

    def __init__(
        self,
        service: JobService,
        delegate: Delegate,
        models: ModelMethods,
        tables: TableMethods,
        rows: RowMethods,
        connections: ConnectionMethods,
        reservations: ReservationMethods,
        anonymous: AnonymousTables,
        uploads: Uploads,
        *,
        account_of: Callable[[str], str | None],
        default_user: str,
    ) -> None:
        """Create the application.

        Args:
            service: The job methods.
            delegate: Handles the calls without a route of their own.
            models: The model methods.
            tables: The methods of datasets and tables.
            rows: The methods of rows.
            connections: The methods of connections.
            reservations: The methods of reservations.
            anonymous: The anonymous tables.
            uploads: The files of load jobs.
            account_of: Returns the e-mail address of the account of an access token, or None.
            default_user: The e-mail address of callers without a known account.
        """
        self._service = service
        self._delegate = delegate
        self._models = models
        self._rows = rows
        self._anonymous = anonymous
        self._uploads = uploads
        self._account_of = account_of
        self._default_user = default_user
        self._pool = ThreadPoolExecutor(32, thread_name_prefix="bigquery-answer")
        routes: tuple[tuple[str, str, Handler], ...] = (
            ("POST", _P + r"/jobs", self._insert),
            ("GET", _P + r"/jobs", self._list),
            ("GET", _P + rf"/jobs/{_JOB}", self._get),
            ("POST", _P + rf"/jobs/{_JOB}/cancel", self._cancel),
            ("DELETE", _P + rf"/jobs/{_JOB}(?:/delete)?", self._delete),
            ("POST", _P + r"/queries", self._query),
            ("GET", _P + rf"/queries/{_JOB}", self._results),
            ("POST|PUT", r"(?:/resumable)?/upload" + _P + r"/jobs", self._upload),
            ("GET", _P + _MODELS, self._list_models),
            ("GET", _P + _MODELS + r"/(?P<model>[^/]+)", self._get_model),
            ("PATCH", _P + _MODELS + r"/(?P<model>[^/]+)", self._patch_model),
            ("DELETE", _P + _MODELS + r"/(?P<model>[^/]+)", self._delete_model),
            ("GET", r"/bigquery/v2/projects", self._threaded(tables.list_projects)),
            ("POST", _P + r"/datasets", self._threaded(tables.insert_dataset)),
            ("PATCH|PUT", _P + _DATASET, self._threaded(tables.update_dataset)),
            ("DELETE", _P + _DATASET, self._threaded(tables.delete_dataset)),
            ("GET", _P + _DATASET + r"/tables", self._threaded(tables.list_tables)),
            ("POST", _P + _DATASET + r"/tables", self._threaded(tables.insert_table)),
            ("GET", _P + _DATASET + _TABLE, self._threaded(tables.get_table)),
            ("GET", _P + _DATASET + _TABLE + r"/data", self._list_rows),
            ("PATCH|PUT", _P + _DATASET + _TABLE, self._threaded(tables.update_table)),
            ("DELETE", _P + _DATASET + _TABLE, self._threaded(tables.delete_table)),
            ("POST", _P + _DATASET + _TABLE + r"/insertAll", self._threaded(rows.insert_all)),
            ("POST", _CONNECTIONS, self._threaded(connections.create)),
            ("GET", _CONNECTIONS, self._threaded(connections.list)),
            ("GET", _CONNECTION, self._threaded(connections.get)),
            ("PATCH", _CONNECTION, self._threaded(connections.patch)),
            ("DELETE", _CONNECTION, self._threaded(connections.delete)),
            ("POST", _RESERVATIONS, self._threaded(reservations.create)),
            ("GET", _RESERVATIONS, self._threaded(reservations.list)),
            ("GET", _RESERVATION, self._threaded(reservations.get)),
            ("DELETE", _RESERVATION, self._threaded(reservations.delete)),
            ("POST", _ASSIGNMENTS, self._threaded(reservations.assign)),
            ("GET", _ASSIGNMENTS, self._threaded(reservations.list_assignments)),
            ("DELETE", _ASSIGNMENTS + r"/(?P<assignment>[^/:]+)", self._threaded(reservations.delete_assignment)),
            ("GET", _PLACE + "/biReservation", self._threaded(reservations.get_bi)),
            ("GET", _PLACE + r":search(?:All)?Assignments", self._threaded(reservations.search)),
            ("GET", r"/\$discovery/rest|/discovery/v1/apis/bigquery/v2/rest", self._discovery),
        )
        self._routes = [(frozenset(method.split("|")), re.compile(path), handler) for method, path, handler in routes]

    def stop(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to one HTTP request."""
        if scope["type"] != "http":
            return
        try:
            response = await self._respond(await read_call(scope, receive))
        except QueryError as error:
            response = Response(error.status, error.body())
        except Exception as error:  # respond to the client, whatever fails
            failure = query_error(error)
            response = Response(failure.status, failure.body())
        await response.send(send)

    async def _respond(self, call: Call) -> Response:
        check_parameters(call.method, call.path, call.query)
        selection = _selection(call)
        response = await self._answer(call)
        if selection and response.status < 300:
            body = response.body if response.content is None else json.loads(response.content or b"null")
            return Response(response.status, select(body, selection), headers=response.headers)
        return response

    async def _answer(self, call: Call) -> Response:
        for methods, pattern, handler in self._routes:
            match = pattern.fullmatch(call.path)
            if match is not None and call.method in methods:
                return await handler(call, {name: unquote(value) for name, value in match.groupdict().items()})
        hidden = _ANONYMOUS.search(call.path)
        if hidden is not None:
            await self._in_thread(self._anonymous.materialise, TableName(*hidden.group("project", "dataset", "table")))
        return await self._delegate.respond(call)

    def _threaded(self, method: Callable[[Call, dict[str, str]], Response]) -> Handler:
        """Return a handler that calls ``method`` on a thread."""

        async def handle(call: Call, names: dict[str, str]) -> Response:
            return await self._delegate.in_thread(method, call, names)

        return handle

    async def _list_rows(self, call: Call, names: dict[str, str]) -> Response:
        self._rows.check_list(TableName(names["project"], names["dataset"], names["table"]), self._user(call))
        return await self._delegate.in_thread(self._rows.list_rows, call, names)

    async def _in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)

    # Jobs

    async def _insert(self, call: Call, names: dict[str, str]) -> Response:
        body = call.json()
        user = self._user(call)
        if (body.get("configuration") or {}).get("dryRun"):
            job = await self._in_thread(self._service.dry_run, names["project"], body, user)
            return Response(200, job.resource())
        return await self._accepted(self._service.insert(names["project"], body, user))

    async def _accepted(self, job: Job) -> Response:
        """Return the response for a new job, for other jobs than queries after a short wait.

        A client polls a load job once per second, and most load jobs are done sooner.
        """
        resource = job.resource()
        if "query" not in job.configuration:
            await self._wait(job, SHORT_JOB_MS)
        return Response(200, resource)

    async def _get(self, call: Call, names: dict[str, str]) -> Response:
        job = self._service.history.get(names["project"], names["job"], call.query.get("location"))
        return Response(200, job.resource())

    async def _list(self, call: Call, names: dict[str, str]) -> Response:
        size = call.integer("maxResults")
        token = call.query.get("pageToken")
        wanted = JobFilter(
            user=None if call.flag("allUsers") else self._user(call),
            states=frozenset(state.upper() for state in call.repeated.get("stateFilter", [])),
            created_from=call.integer("minCreationTime"),
            created_to=call.integer("maxCreationTime"),
            parent=call.query.get("parentJobId") or None,
        )
        jobs, following = self._service.history.page(
            names["project"],
            wanted,
            size=min(PAGE, size if size else 50),
            before=position_of(token) if token else None,
        )
        full = call.query.get("projection", "").lower() == "full"
        content = b'{"kind":"bigquery#jobList","etag":"%d"' % len(jobs)
        if following is not None:
            content += b',"nextPageToken":' + json.dumps(page_token(following)).encode()
        if jobs:
            content += b',"jobs":[' + b",".join(job.list_item(full=full) for job in jobs) + b"]"
        return Response(200, content=content + b"}")

    async def _cancel(self, call: Call, names: dict[str, str]) -> Response:
        job = self._service.cancel(names["project"], names["job"], call.query.get("location"))
        return Response(200, {"kind": "bigquery#jobCancelResponse", "job": job.resource()})

    async def _delete(self, call: Call, names: dict[str, str]) -> Response:
        self._service.delete(names["project"], names["job"], call.query.get("location"))
        return Response(204, content=b"")

    # Queries

    async def _query(self, call: Call, names: dict[str, str]) -> Response:
        body = canonical(call.json(), "QueryRequest")
        user = self._user(call)
        if body.get("dryRun"):
            job = await self._in_thread(self._service.query, names["project"], body, user)
            return Response(200, query_response(job, body, rows=False))
        job = self._service.query(names["project"], body, user)
        await self._wait(job, _wait_ms(body.get("timeoutMs")))
        if job.state != DONE:
            return Response(200, query_response(job, body, rows=False))
        return await self._page(job, lambda: query_response(job, body))

    async def _results(self, call: Call, names: dict[str, str]) -> Response:
        job = self._service.history.get(names["project"], names["job"], call.query.get("location"))
        if "query" not in job.configuration:
            raise QueryError(f"Cannot return query results for a job that is not a query: {job.key}", reason="invalid")
        await self._wait(job, _wait_ms(call.integer("timeoutMs")))
        return await self._page(job, lambda: results_response(job, call))

    async def _page(self, job: Job, build: Callable[[], dict[str, Any]]) -> Response:
        """Return a page of rows. Large pages are written on a thread."""
        rows = job.result
        if rows is None or rows.small:
            return Response(200, build())
        return Response(200, await self._in_thread(build))

    @staticmethod
    async def _wait(job: Job, timeout_ms: int) -> None:
        if job.state == DONE or timeout_ms <= 0:
            return
        loop = asyncio.get_running_loop()
        done = asyncio.Event()
        job.when_done(lambda: loop.call_soon_threadsafe(done.set))
        try:
            await asyncio.wait_for(done.wait(), timeout_ms / 1000)
        except TimeoutError:
            return

    # Uploads, models, discovery

    async def _upload(self, call: Call, names: dict[str, str]) -> Response:
        taken = await self._in_thread(self._uploads.take, call, self._address(call))
        if not isinstance(taken, Uploaded):
            return taken
        job = self._service.insert(names["project"], taken.body, self._user(call), upload=taken.path)
        return await self._accepted(job)

    async def _list_models(self, call: Call, names: dict[str, str]) -> Response:
        body = await self._in_thread(
            self._models.list,
            names["project"],
            names["dataset"],
            call.integer("maxResults"),
            call.query.get("pageToken"),
        )
        return Response(200, body)

    async def _get_model(self, call: Call, names: dict[str, str]) -> Response:
        model = await self._in_thread(self._models.get, names["project"], names["dataset"], names["model"])
        return Response(200, model)

    async def _patch_model(self, call: Call, names: dict[str, str]) -> Response:
        body = canonical(call.json(), "Model", nulls=True)
        model = await self._in_thread(self._models.patch, names["project"], names["dataset"], names["model"], body)
        return Response(200, model)

    async def _delete_model(self, call: Call, names: dict[str, str]) -> Response:
        await self._in_thread(self._models.delete, names["project"], names["dataset"], names["model"])
        return Response(204, content=b"")

    async def _discovery(self, call: Call, names: dict[str, str]) -> Response:
        # bq requests v1 when it needs connections or reservations.
        document = resource_document if call.query.get("version") == "v1" else discovery_document
        return Response(200, document(self._address(call)))

    # Address and caller

    @staticmethod
    def _address(call: Call) -> str:
        return f"http://{call.headers.get('host', '127.0.0.1')}"

    def _user(self, call: Call) -> str:
        """Return the caller: the one that the request names, the account of the token, or the default service account."""
        if (caller := named_caller(call.headers)) is not None:
            return caller
        token = call.headers.get("authorization", "").removeprefix("Bearer ").strip()
        if (account := self._account_of(token)) is not None:
            return account
        parts = token.split(".")
        if len(parts) == 3:
            try:
                claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
                return str(claims.get("email") or claims.get("sub") or self._default_user)
            except (ValueError, binascii.Error):
                return self._default_user
        return self._default_user


def _selection(call: Call) -> Selection:
    """Return the fields of the response that a call names; empty for all. Raises ``QueryError`` if they are malformed."""
    try:
        return parse_fields(call.query["fields"]) if call.query.get("fields") else {}
    except ValueError as error:
        raise QueryError(str(error), reason="invalidParameter") from None


def _wait_ms(asked: int | str | None) -> int:
    return min(LONGEST_WAIT_MS, WAIT_MS if asked is None else int(asked))
