"""Runs LOAD DATA statements."""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.schema import field_of
from localcloud.bigquery.queries.definitions.table_options import apply_options, check_options
from localcloud.bigquery.queries.files.load_data import LoadData, parse_load_data
from localcloud.bigquery.queries.files.loads import Loads
from localcloud.bigquery.queries.statements import Statements
from localcloud.bigquery.sql.reading.tokens import parsed
from localcloud.bigquery.sql.tables.partition_clauses import clustering_of, layout_of, partitioning_of
from localcloud.bigquery.tables.writing.destinations import Destinations
from localcloud.bigquery.tables.writing.dispositions import Disposition
from localcloud.storage.objects.store import ObjectStore


class LoadStatements:
    """Runs LOAD DATA statements as load jobs."""

    def __init__(self, destinations: Destinations, store: ObjectStore) -> None:
        """Load files of ``store`` into the tables of ``destinations``."""
        self._destinations = destinations
        self._loads = Loads(destinations, store)

    def check(self, load: LoadData, statements: Statements) -> None:
        """Check a statement for a dry run. Raises ``QueryError`` if its table or its columns are not valid."""
        check_options(load.options)
        self._destinations.check_target(load.target, _disposition(load), statements.location)
        load_configuration(load, statements)

    def run(self, load: LoadData, statements: Statements) -> dict[str, str]:
        """Run a statement; return its ``loadQueryStatistics``. Raises ``QueryError``."""
        check_options(load.options)
        statements.destinations.reject_external(load.target)
        configuration = load_configuration(load, statements)
        try:
            loaded = self._loads.load(load.target, _disposition(load), configuration, location=statements.location)
        except QueryError as error:
            if not error.causes:
                raise
            # The error of a query names the first bad row, that of a load job only counts them.
            raise QueryError(error.causes[0]["message"], reason=error.reason, causes=error.causes) from error
        apply_options(load.options, load.target, statements)
        return loaded.statistics


def load_statement(sql: str, statements: Statements) -> LoadData | None:
    """Return ``sql`` as a LOAD DATA statement, or None. Raises ``QueryError``."""
    return parse_load_data(sql, project=statements.project, default_dataset=statements.default_dataset)


def _disposition(load: LoadData) -> Disposition:
    """Return how a statement writes its table. Raises ``QueryError`` if PARTITION BY or CLUSTER BY is not valid."""
    layout: dict[str, Any] = {}
    if load.layout:
        create = parsed(f"CREATE TABLE t {load.layout}")
        if not isinstance(create, exp.Create):
            raise QueryError(f"Syntax error in {load.layout}", location="query")
        layout = layout_of(partitioning_of(create))
        clustering = clustering_of(create)
        if clustering is not None:
            layout["clustering"] = {"fields": list(clustering.fields)}
    write = "WRITE_TRUNCATE" if load.overwrite else "WRITE_APPEND"
    return Disposition(write=write, layout=layout, redefines=load.overwrite and bool(layout))


def load_configuration(load: LoadData, statements: Statements) -> dict[str, Any]:
    """Return the load job's configuration of a statement. Raises ``QueryError`` for a type that does not exist."""
    if load.columns is None:
        return {**load.configuration, "autodetect": True, "useAvroLogicalTypes": True}
    casts = ", ".join(f"CAST(NULL AS {column.type}) AS c{index}" for index, column in enumerate(load.columns))
    sql = f"SELECT {casts}"
    types = [kind for _, kind in statements.columns(statements.translate(sql), sql)]
    fields = [
        {**field_of(column.name, kind), **({"mode": "REQUIRED"} if column.required else {})}
        for column, kind in zip(load.columns, types, strict=True)
    ]
    return {**load.configuration, "schema": {"fields": fields}}
