"""The definitions of external tables over files, which are kept in the comments of the tables."""

from __future__ import annotations

import json
from typing import Any

from localcloud.bigquery.sql.reading.statement import TableName
from localcloud.bigquery.tables.engine import Engine

FILES_PREFIX = "external table "
"""Begins the comment of an external table over files."""


def stored_definition(engine: Engine, table: TableName) -> dict[str, Any] | None:
    """Return the REST ``ExternalDataConfiguration`` of an external table over files; None for any other table."""
    found = engine.execute(
        "SELECT comment FROM duckdb_tables() WHERE schema_name = ? AND table_name = ? AND starts_with(comment, ?)",
        [f"{table.project}__{table.dataset}", table.table, FILES_PREFIX],
    ).fetchone()
    return None if found is None else dict(json.loads(found[0].removeprefix(FILES_PREFIX)))
