"""The methods of datasets and tables where bqemulator differs from BigQuery; ``delegate`` has the others.

https://cloud.google.com/bigquery/docs/reference/rest/v2/tables
"""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from bqemulator.api.routes.tables import _table_to_rest
from bqemulator.catalog.models import TableMeta

from localcloud.bigquery.base.discovery import canonical
from localcloud.bigquery.base.errors import NotFound, QueryError
from localcloud.bigquery.base.request_fields import check_columns, check_request
from localcloud.bigquery.base.schema import (
    Field,
    columns_of,
    field_of,
    quote,
)
from localcloud.bigquery.job.jobs import Job, JobKey, milliseconds
from localcloud.bigquery.ml.service import MachineLearning
from localcloud.bigquery.queries.definitions.keys import check_keys
from localcloud.bigquery.queries.files.external_tables import ExternalTables
from localcloud.bigquery.queries.queries import QueryJobs
from localcloud.bigquery.rest.delegate import Delegate
from localcloud.bigquery.rest.external_tables import definition_of_files, object_table_sql
from localcloud.bigquery.rest.list_items import complete_list_item
from localcloud.bigquery.rest.messages import Call, Response, check_etag
from localcloud.bigquery.rest.row_methods import PARTITIONS_SUMMARY, SUMMARY_COLUMNS, note_change, partitions_of
from localcloud.bigquery.running.service import check_labels
from localcloud.bigquery.sql.reading.identifiers import check_dataset_id, check_table_id
from localcloud.bigquery.sql.reading.literals import plain_literals
from localcloud.bigquery.sql.reading.statement import TableName
from localcloud.bigquery.tables.catalog import NEVER
from localcloud.bigquery.tables.columns.field_settings import (
    definitions,
    has_settings,
    rest_fields,
    schema_of,
    updated_settings,
)
from localcloud.bigquery.tables.columns.keys import Keys, set_keys
from localcloud.bigquery.tables.partitions import Partitions, layout_of_rest, split_decorator
from localcloud.bigquery.tables.results import AnonymousTables
from localcloud.bigquery.tables.writing.destinations import Destinations
from localcloud.bigquery.tables.writing.rebuilding import rebuild
from localcloud.bigquery.tables.writing.schema_checks import check_fields, check_layout, updated_schema
from localcloud.bigquery.tables.writing.widening import widen

_CHANGEABLE = ("TABLE", "CLONE")
_UPDATES = frozenset({"ALLOW_FIELD_ADDITION", "ALLOW_FIELD_RELAXATION"})
_SERVICE = "bigquery-service"


class TableMethods:
    """The methods of datasets and tables. They run on the calling thread."""

    def __init__(
        self,
        delegate: Delegate,
        destinations: Destinations,
        queries: QueryJobs,
        learning: MachineLearning,
        anonymous: AnonymousTables,
        external: ExternalTables,
        project: str,
    ) -> None:
        """Create the methods; ``project`` is listed even without datasets."""
        self._anonymous = anonymous
        self._delegate = delegate
        self._destinations = destinations
        self._engine = destinations.engine
        self._catalog = destinations.context.catalog
        self._queries = queries
        self._models = learning.models
        self._external = external
        self._project = project

    # Projects and datasets

    def list_projects(self, call: Call, names: dict[str, str]) -> Response:
        """Return the cloud's own project and the projects with datasets."""
        found = sorted({self._project} | {dataset.project_id for dataset in self._catalog.list_all_datasets()})
        projects = [
            {
                "kind": "bigquery#project",
                "id": name,
                "numericId": str(uuid.uuid5(uuid.NAMESPACE_DNS, name).int % 10**12),
                "projectReference": {"projectId": name},
                "friendlyName": name,
            }
            for name in found
        ]
        return Response(200, {"kind": "bigquery#projectList", "projects": projects, "totalItems": len(projects)})

    def insert_dataset(self, call: Call, names: dict[str, str]) -> Response:
        """Create a dataset. Raises ``QueryError`` if a field is not supported, or the id is not valid."""
        body = canonical(call.json(), "Dataset")
        check_request("Dataset", body)
        check_dataset_id(str((body.get("datasetReference") or {}).get("datasetId", "")))
        return self._delegate.respond_now(call)

    def update_dataset(self, call: Call, names: dict[str, str]) -> Response:
        """Change a dataset. Raises ``QueryError`` if a field is not supported, or the dataset has changed meanwhile."""
        check_request("Dataset", canonical(call.json(), "Dataset"))
        existing = self._catalog.get_dataset(names["project"], names["dataset"])
        if existing is None:
            raise NotFound(f"Not found: Dataset {names['project']}:{names['dataset']}")
        check_etag(call, existing.etag)
        body = call.json()
        if "labels" in body:
            body["labels"] = _changed_labels(call, existing.labels, body["labels"])
        return self._delegate.respond_now(replace(call, content=json.dumps(body).encode()))

    def delete_dataset(self, call: Call, names: dict[str, str]) -> Response:
        """Delete a dataset, with its contents if ``deleteContents`` is set.

        Raises:
            QueryError: The dataset has contents, and ``deleteContents`` is not set; or one of its models is deployed.
        """
        project, dataset = names["project"], names["dataset"]
        self._check_dataset(project, dataset)
        models = [model["modelReference"]["modelId"] for model in self._models.list(project, dataset)]
        tables = self._catalog.list_tables(project, dataset)
        if not call.flag("deleteContents") and (models or tables or self._catalog.list_routines(project, dataset)):
            raise QueryError(f"Dataset {project}:{dataset} is still in use", reason="resourceInUse")
        self._models.check_not_deployed(project, dataset)
        for model in models:
            self._models.delete(project, dataset, model)
        return self._delegate.respond_now(call)

    # Tables

    def list_tables(self, call: Call, names: dict[str, str]) -> Response:
        """Return the tables of a dataset. Raises ``NotFound`` if the dataset does not exist."""
        self._check_dataset(names["project"], names["dataset"])
        response = self._delegate.respond_now(call)
        for item in response.body.get("tables") or []:
            table = self._destinations.get(TableName.of(item["tableReference"], names["project"]))
            if table is not None:
                complete_list_item(item, table)
        return response

    def insert_table(self, call: Call, names: dict[str, str]) -> Response:
        """Create a table or a view. Raises ``QueryError`` if it exists, or if a field is not supported."""
        body = _table_body(call)
        self._check_expiry(body)
        table_id = (body.get("tableReference") or {}).get("tableId")
        if not table_id:
            raise QueryError("Required parameter is missing: tableReference.tableId", reason="required")
        name = TableName(names["project"], names["dataset"], table_id)
        self._check_dataset(name.project, name.dataset)
        check_table_id(name.project, name.dataset, name.table)
        if self._destinations.get(name) is not None:
            raise QueryError(f"Already Exists: Table {name}", reason="duplicate")
        self._destinations.reject_model(name)
        if (body.get("view") or {}).get("query"):
            self._define_view(name, body["view"])
            return self._described(call, name, body)
        if body.get("materializedView"):
            self._define_materialized_view(name, body["materializedView"])
            described = {"description": body.get("description"), "friendly_name": body.get("friendlyName")}
            self._catalog.update_table(self._table(name).model_copy(update=described))
            self._keep_expiry(name, body)
            self._keep_labels(call, name, body)
            return self._get(call, name)
        layout = layout_of_rest(body, None)
        check_layout(body, (body.get("schema") or {}).get("fields") or [])
        if body.get("externalDataConfiguration"):
            self._define_external_table(name, body)
            return self._described(call, name, body)
        keys = Keys.of(body.get("tableConstraints") or {}, name.project)
        check_keys(keys, schema_of((body.get("schema") or {}).get("fields") or []).fields, self._destinations)
        with self._destinations.writing(name):
            response = self._delegate.respond_now(call)
            if response.status < 300:
                self._set_columns(name, (body.get("schema") or {}).get("fields") or [])
                self._destinations.set_layout(name, layout)
                set_keys(self._engine, name, keys)
        self._keep_expiry(name, body)
        return self._get(call, name) if response.status < 300 else response

    def _set_columns(self, name: TableName, fields: list[Field]) -> None:
        """Give a new table the defaults, lengths and precision of its columns. Raises ``QueryError``."""
        if has_settings(fields):
            self._engine.execute(f"CREATE OR REPLACE TABLE {name.quoted} ({definitions(fields)})")
            self._destinations.set_columns(name, {f["name"].lower(): f for f in fields})

    def update_table(self, call: Call, names: dict[str, str]) -> Response:
        """Change a table, and its columns in DuckDB. Raises ``QueryError`` if the schema can't be changed so."""
        name = TableName(names["project"], names["dataset"], names["table"])
        existing = self._table(name)
        body = _table_body(call, nulls=True)
        check_etag(call, existing.etag)
        self._check_expiry(body)
        layout = _changed_layout(name, body, existing)
        keys = Keys.of(body.get("tableConstraints") or {}, name.project)
        check_keys(keys, existing.schema_.fields, self._destinations)
        fields = (body.get("schema") or {}).get("fields")
        if (body.get("view") or {}).get("query"):
            self._define_view(name, body["view"])
            fields = None
        if existing.table_type in _CHANGEABLE:
            check_layout(body, fields or rest_fields(existing))
        settings = updated_settings(rest_fields(existing), fields) if fields else {}
        if fields and existing.table_type in _CHANGEABLE:
            with self._destinations.writing(name):
                self._change_columns(name, _table_to_rest(existing).get("schema", {}).get("fields", []), fields)
        response = self._described(call, name, body)
        if existing.table_type not in _CHANGEABLE or response.status >= 300:
            return response
        self._destinations.set_columns(name, settings)
        if settings and settings != updated_settings((), rest_fields(existing)) and any(settings.values()):
            rebuild(self._destinations, name, self._destinations.fields(name))
        self._destinations.set_layout(name, layout)
        if "tableConstraints" in body:
            set_keys(self._engine, name, keys)
        return self._get(call, name)

    def delete_table(self, call: Call, names: dict[str, str]) -> Response:
        """Delete a table or view, or the rows of a partition such as ``table$20260101``. Raises ``NotFound``."""
        name, partition = split_decorator(TableName(names["project"], names["dataset"], names["table"]))
        if partition is not None:
            where = partitions_of(self._destinations, name, partition).condition(partition)
            with self._destinations.writing(name):
                self._engine.execute(f"DELETE FROM {name.quoted} WHERE {where}")
                note_change(self._destinations, name)
            return Response(204, content=b"")
        with self._destinations.writing(name):
            existing = self._destinations.get(name)
            if existing is None:
                raise NotFound(f"Not found: Table {name}")
            if existing.table_type == "VIEW":
                self._engine.execute(f"DROP VIEW IF EXISTS {name.quoted}")
                self._catalog.delete_table(name.project, name.dataset, name.table)
                return Response(204, content=b"")
            return self._delegate.respond_now(call)

    def get_table(self, call: Call, names: dict[str, str]) -> Response:
        """Return a table; of ``table$20260101`` the number of rows is that of the partition. Raises ``NotFound``."""
        name, partition = split_decorator(TableName(names["project"], names["dataset"], names["table"]))
        if partition is None:
            if name.dataset.startswith("_anonymous_"):
                self._anonymous.materialise(name)
            return self._delegate.respond_now(call)
        if partition == PARTITIONS_SUMMARY:
            partitions_of(self._destinations, name)
            response = self._get(call, name)
            fields = [field_of(column, kind) for column, kind in SUMMARY_COLUMNS]
            rows = len(self._catalog.list_partitions(name.project, name.dataset, name.table))
            reference = {"tableReference": {**name.reference(), "tableId": f"{name.table}${partition}"}}
            response.body |= reference | {"schema": {"fields": fields}, "numRows": str(rows)}
            return response
        partitions_of(self._destinations, name, partition)
        response = self._get(call, name)
        response.body["numRows"] = str(self._destinations.count(name, partition))
        return response

    def _table(self, name: TableName) -> TableMeta:
        existing = self._destinations.get(name)
        if existing is None:
            raise NotFound(f"Not found: Table {name}")
        return existing

    def _check_dataset(self, project: str, dataset: str) -> None:
        if self._catalog.get_dataset(project, dataset) is None:
            raise NotFound(f"Not found: Dataset {project}:{dataset}")

    def _define_view(self, name: TableName, view: dict[str, Any]) -> None:
        self._run(name, f"CREATE OR REPLACE VIEW {name.sql} AS {view['query']}")

    def _define_materialized_view(self, name: TableName, view: dict[str, Any]) -> None:
        if not view.get("query"):
            raise QueryError("Required parameter is missing: materializedView.query", reason="required")
        self._run(name, f"CREATE MATERIALIZED VIEW {name.sql} AS {view['query']}")

    def _define_external_table(self, name: TableName, body: dict[str, Any]) -> None:
        files = definition_of_files(body)
        if files is None:
            self._run(name, object_table_sql(name, body["externalDataConfiguration"]))
        else:
            location = self._queries.location_of(name.project, name.dataset) or "US"
            with self._engine.use(self._engine.cursor()):
                self._external.create(name, files, location=location)

    def _run(self, name: TableName, sql: str) -> None:
        """Run a statement that defines a table, in the location of its dataset."""
        location = self._queries.location_of(name.project, name.dataset) or "US"
        configuration = {"jobType": "QUERY", "query": {"query": sql, "useLegacySql": False}}
        key = JobKey(name.project, location, uuid.uuid4().hex)
        job = Job(key, configuration, user=_SERVICE, created=self._destinations.context.clock.now())
        with self._engine.use(self._engine.cursor()):
            self._queries.run(job)

    def _change_columns(self, name: TableName, existing: list[Field], fields: list[Field]) -> None:
        if not existing:
            columns = ", ".join(f"{quote(column)} {kind}" for column, kind in columns_of(fields))
            self._engine.execute(f"CREATE OR REPLACE TABLE {name.quoted} ({columns})")
            return
        given = {f["name"].lower() for f in fields}
        for old in existing:
            if old["name"].lower() not in given:
                raise QueryError(
                    f"Provided Schema does not match Table {name}. Field {old['name']} is missing in new schema",
                    reason="invalid",
                )
        widen(self._engine, name, existing, updated_schema(name, existing, fields, _UPDATES))

    def _described(self, call: Call, name: TableName, body: dict[str, Any]) -> Response:
        """Pass the other fields of a table resource to bqemulator, and return the table."""
        path = f"/bigquery/v2/projects/{name.project}/datasets/{name.dataset}/tables/{name.table}"
        # bqemulator reads null as an object that it lacks; bq sends it for all that it does not change.
        content = {
            key: value
            for key, value in call.json().items()
            if key != "labels" and (value is not None or key in ("description", "friendlyName"))
        }
        if (body.get("view") or {}).get("query"):
            # bqemulator inlines this text in queries that read the view.
            content["view"] = body["view"] | {"query": plain_literals(body["view"]["query"])}
        response = self._delegate.respond_now(
            replace(call, method="PATCH", path=path, content=json.dumps(content).encode())
        )
        self._keep_expiry(name, body)
        self._keep_labels(call, name, body)
        return self._get(call, name) if response.status < 300 else response

    def _check_expiry(self, body: dict[str, Any]) -> None:
        given = int(body.get("expirationTime") or 0)
        if given and given <= milliseconds(self._destinations.context.clock.now()):
            raise QueryError(f"Invalid value for expirationTime: {given}. It must be in the future.", reason="invalid")

    def _keep_expiry(self, name: TableName, body: dict[str, Any]) -> None:
        existing = self._destinations.get(name)
        if existing is not None and "expirationTime" in body:
            given = int(body["expirationTime"] or 0)
            moment = datetime.fromtimestamp(given / 1000, UTC) if given else NEVER
            self._catalog.update_table(existing.model_copy(update={"expiration_time": moment}))

    def _keep_labels(self, call: Call, name: TableName, body: dict[str, Any]) -> None:
        existing = self._destinations.get(name)
        if existing is not None and "labels" in body:
            labels = _changed_labels(call, existing.labels, body["labels"])
            self._catalog.update_table(existing.model_copy(update={"labels": labels}))

    def _get(self, call: Call, name: TableName) -> Response:
        path = f"/bigquery/v2/projects/{name.project}/datasets/{name.dataset}/tables/{name.table}"
        return self._delegate.respond_now(replace(call, method="GET", path=path, content=b""))


def _table_body(call: Call, *, nulls: bool = False) -> dict[str, Any]:
    """Return the table in a request.

    Args:
        call: The request.
        nulls: Whether to keep nulls, which remove what they are the value of.

    Raises:
        QueryError: It has a field that is not carried out, or a schema that is not valid.
    """
    body: dict[str, Any] = canonical(call.json(), "Table", nulls=nulls)
    check_request("Table", body)
    fields = (body.get("schema") or {}).get("fields") or []
    check_columns(fields)
    check_fields(fields)
    return body


def _changed_labels(call: Call, existing: dict[str, str], given: dict[str, str | None] | None) -> dict[str, str]:
    """Return labels after an update: a patch keeps those that it does not name, and removes those that are null in it.

    Raises:
        QueryError: A label is not valid.
    """
    kept = existing if call.method == "PATCH" and given is not None else {}
    labels = {key: value for key, value in {**kept, **(given or {})}.items() if value is not None}
    check_labels(labels)
    return labels


def _changed_layout(name: TableName, body: dict[str, Any], existing: TableMeta) -> dict[str, Any]:
    """Return the layout of a table after an update. Raises ``QueryError`` if it would change how rows are divided."""
    layout = layout_of_rest(body, existing)
    before = Partitions.of(existing)
    after = Partitions.of(existing.model_copy(update=layout))
    if existing.schema_.fields and (before is None) != (after is None):
        raise QueryError(
            f"Cannot convert {'non ' if before is None else ''}partitioned/clustered table to "
            f"{'' if before is None else 'non '}partitioned/clustered table.",
            reason="invalid",
        )
    if before is not None and after is not None and before.specification != after.specification:
        raise QueryError(
            f"Cannot change partitioning spec of table {name} from {before.specification} to {after.specification}.",
            reason="invalid",
        )
    if "clustering" in body and not body["clustering"]:
        layout["clustering"] = None
    return layout
