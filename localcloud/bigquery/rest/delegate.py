"""Calls bqemulator's own HTTP methods (datasets, tables, rows, routines) in this process and corrects their responses.

Each thread has an event loop and a cursor, so that a long call does not block others.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from urllib.parse import quote_plus

from bqemulator.api.dependencies import AppContext
from bqemulator.api.errors import install_exception_handlers
from bqemulator.api.routes import datasets, projects, routines, row_access_policies, tabledata, tables
from fastapi import FastAPI

from localcloud.apis.discovery import missing_method
from localcloud.base.api_errors import error_body
from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.job.jobs import milliseconds
from localcloud.bigquery.rest.messages import Call, Response
from localcloud.bigquery.sql.errors.failures import plain_names
from localcloud.bigquery.sql.reading.statement import TableName
from localcloud.bigquery.tables.columns.field_settings import rest_fields
from localcloud.bigquery.tables.columns.keys import keys_of
from localcloud.bigquery.tables.context import engine_of
from localcloud.bigquery.tables.partitions import complete_resource
from localcloud.bigquery.tables.sizes import Sizes

_THREADS = 32
_TABLE = re.compile(r"/bigquery/v2/projects/(?P<project>[^/]+)/datasets/(?P<dataset>[^/]+)/tables/(?P<table>[^/]+)")
_TABLES = re.compile(r"/bigquery/v2/projects/(?P<project>[^/]+)/datasets/(?P<dataset>[^/]+)/tables")
_ROUTINES = re.compile(r"/bigquery/v2/projects/(?P<project>[^/]+)/datasets/(?P<dataset>[^/]+)/routines")
_DATASETS = re.compile(r"/bigquery/v2/projects/(?P<project>[^/]+)/datasets")
# https://cloud.google.com/bigquery/docs/reference/rest/v2/datasets/list (the fields of an entry)
_DATASET_ENTRY = ("kind", "id", "datasetReference", "labels", "friendlyName", "location")
_LISTS = (_TABLES, _ROUTINES, _DATASETS)
_WHOLE = {"maxResults": ["1000000"]}
Amendment = Callable[[Call, re.Match[str], dict[str, Any]], None]


class Delegate:
    """Calls bqemulator's FastAPI application without its middleware."""

    def __init__(
        self, context: AppContext, sizes: Sizes, external_data: Callable[[TableName], dict[str, Any] | None]
    ) -> None:
        """Create bqemulator's application.

        Args:
            context: The application's context.
            sizes: Estimates the sizes of tables.
            external_data: Returns the ``externalDataConfiguration`` of an object table, None for other tables.
        """
        self._context = context
        self._external_data = external_data
        self._sizes = sizes
        self._app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
        self._app.state.context = context
        install_exception_handlers(self._app)
        for module in (projects, datasets, tables, tabledata, routines, row_access_policies):
            self._app.include_router(module.router)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="bigquery-tables")
        self._threads = threading.local()
        self._runners: list[asyncio.Runner] = []
        self._amendments: tuple[tuple[re.Pattern[str], Amendment], ...] = (
            (_TABLE, self._amend_table),
            (_TABLES, self._amend_tables),
            (_ROUTINES, self._amend_routines),
            (_DATASETS, self._amend_datasets),
        )

    def stop(self) -> None:
        """End the threads and their event loops."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        for runner in self._runners:
            runner.close()

    async def respond(self, call: Call) -> Response:
        """Return bqemulator's corrected response."""
        return await self.in_thread(self.respond_now, call)

    async def in_thread(self, work: Callable[..., Response], *arguments: Any) -> Response:
        """Return the result of ``work`` on one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)

    def respond_now(self, call: Call) -> Response:
        """Return bqemulator's corrected response, on the calling thread."""
        runner = getattr(self._threads, "runner", None)
        if runner is None:
            runner = self._threads.runner = asyncio.Runner()
            self._runners.append(runner)
        # bqemulator truncates its lists without a next page, so the pages are made here from the whole list.
        lists = call.method == "GET" and any(pattern.fullmatch(call.path) for pattern in _LISTS)
        status, content = runner.run(self._call(replace(call, repeated=_WHOLE) if lists else call))
        if not content:
            return Response(status, content=b"")
        try:
            body = json.loads(content)
        except ValueError:
            return Response(status, content=content)
        if status >= 400:
            return _failure(call, status, body)
        for pattern, amend in self._amendments:
            match = pattern.fullmatch(call.path)
            if match is not None:
                amend(call, match, body)
        return Response(status, body)

    async def _call(self, call: Call) -> tuple[int, bytes]:
        sent = False
        status = 500
        chunks: list[bytes] = []

        async def receive() -> dict[str, Any]:
            nonlocal sent
            if sent:
                return {"type": "http.disconnect"}
            sent = True
            return {"type": "http.request", "body": call.content, "more_body": False}

        async def send(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                chunks.append(message.get("body", b""))

        headers = {**call.headers, "content-length": str(len(call.content))}
        query = "&".join(
            f"{quote_plus(name)}={quote_plus(value)}" for name, values in call.repeated.items() for value in values
        )
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": call.method,
            "scheme": "http",
            "path": call.path,
            "raw_path": call.path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
            "client": ("127.0.0.1", 0),
            "server": ("127.0.0.1", 0),
        }
        await self._app(scope, receive, send)
        return status, b"".join(chunks)

    # Corrections

    def _amend_table(self, call: Call, match: re.Match[str], body: dict[str, Any]) -> None:
        name = TableName(*match.group("project", "dataset", "table"))
        self.complete_table(name, body)

    def complete_table(self, name: TableName, body: dict[str, Any]) -> None:
        """Add what bqemulator's table resource lacks: the current number of rows and bytes, the location, a view's query."""
        meta = self._context.catalog.get_table(name.project, name.dataset, name.table)
        dataset = self._context.catalog.get_dataset(name.project, name.dataset)
        if dataset is not None:
            body["location"] = dataset.location
        if meta is None:
            return
        if meta.expiration_time is not None:
            body["expirationTime"] = str(milliseconds(meta.expiration_time))
        if meta.schema_.fields and "schema" in body:
            body["schema"]["fields"] = rest_fields(meta)
        if meta.table_type == "VIEW":
            for key in [key for key in body if key.startswith("num")]:
                body.pop(key)
            body["view"] = {"query": meta.view_query or "", "useLegacySql": False}
            return
        if meta.table_type == "MATERIALIZED_VIEW":
            view = self._context.catalog.get_materialized_view(name.project, name.dataset, name.table)
            body["materializedView"] = {"query": view.view_query if view is not None else ""}
        complete_resource(body, meta)
        constraints = keys_of(engine_of(self._context), name).resource()
        if constraints:
            body["tableConstraints"] = constraints
        external = self._external_data(name)
        if external is not None:
            body["externalDataConfiguration"] = external
        rows, size = self._sizes.rows(name), self._sizes.table(name)
        body["numRows"] = str(rows)
        for key in ("numBytes", "numActiveLogicalBytes", "numTotalLogicalBytes"):
            body[key] = str(size)

    def _amend_tables(self, call: Call, match: re.Match[str], body: dict[str, Any]) -> None:
        if call.method != "GET":
            return
        _paginate(call, body, "tables")

    def _amend_routines(self, call: Call, match: re.Match[str], body: dict[str, Any]) -> None:
        if call.method == "GET":
            body.pop("kind", None)
            body.pop("totalItems", None)
            _paginate(call, body, "routines")

    def _amend_datasets(self, call: Call, match: re.Match[str], body: dict[str, Any]) -> None:
        if call.method != "GET":
            return
        hidden = call.flag("all")
        entries = [
            {key: entry[key] for key in _DATASET_ENTRY if key in entry}
            for entry in body.get("datasets", [])
            if hidden or not entry["datasetReference"]["datasetId"].startswith("_")
        ]
        body.pop("totalItems", None)
        body["datasets"] = [entry for entry in entries if _has_labels(entry, call.query.get("filter"))]
        _paginate(call, body, "datasets")


def _paginate(call: Call, body: dict[str, Any], key: str) -> None:
    start = call.integer("pageToken") or 0
    size = call.integer("maxResults") or 1000
    entries = body.get(key, [])
    body[key] = entries[start : start + size]
    if start + size < len(entries):
        body["nextPageToken"] = str(start + size)
    if not body[key]:
        body.pop(key)


def _has_labels(entry: dict[str, Any], wanted: str | None) -> bool:
    """Return whether a dataset has the labels of a filter such as ``labels.key:value labels.other``."""
    labels = entry.get("labels", {})
    for condition in (wanted or "").split():
        key, separator, value = condition.removeprefix("labels.").partition(":")
        if key not in labels or (separator and value not in ("*", labels[key])):
            return False
    return True


def _failure(call: Call, status: int, body: dict[str, Any]) -> Response:
    """Return the response to a call that failed. Raises ``QueryError`` if it is for a method that is not here."""
    error = body.get("error")
    if not isinstance(error, dict):
        method = missing_method("bigquery", call.method, call.path) if status in (404, 405) else None
        if method is not None:
            raise QueryError(f"The method {method} is not supported by the local BigQuery.", reason="notImplemented")
        message = str(body.get("detail", "Not Found"))
        reason = "notFound" if status == 404 else "invalid"
        return Response(status, error_body(status, message, reason=reason))
    error["message"] = plain_names(error.get("message", ""))
    for detail in error.get("errors", []):
        detail["message"] = plain_names(detail.get("message", ""))
    return Response(status, body)
