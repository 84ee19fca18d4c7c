"""The SQL that writes rows into a table, for all kinds of work. Names are checked by the callers; texts are quoted here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shared.checks.column_types import sql_type
from shared.checks.identifiers import TableName, column_sql, string_literal, unused_name


def create_table(table: TableName, columns: Sequence[Mapping[str, Any]]) -> str:
    """Return the statement that creates a table if it does not exist.

    Args:
        table: The table.
        columns: Its columns, each as a TableFieldSchema.
    """
    listed = ",\n  ".join(f"{column_sql(column['name'])} {sql_type(column)}" for column in columns)
    return f"CREATE TABLE IF NOT EXISTS {table.sql} (\n  {listed}\n)"


def merge(
    target: TableName,
    query: str,
    columns: Sequence[str],
    key: Sequence[str],
    rows: str,
    replaces: Callable[[str, str], str] | None = None,
) -> str:
    """Return the statement that writes the rows of a query by key: each row replaces the row that has the same key.

    The whole statement fails, with the key's name, if a key is NULL or repeated. Otherwise it would depend on chance which
    row remains. https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/dml-syntax#merge_statement

    Args:
        target: The table to write.
        query: The query that has the rows.
        columns: The columns of the rows.
        key: The columns that identify a row.
        rows: What the rows are, for errors: "the predictions".
        replaces: Returns the condition under which a row replaces the one with its key, which stays otherwise. Its arguments
            come before the columns of the new row and before those of the other one: ``source.``, ``target.``. Without it,
            every row does.
    """
    keys = [column_sql(column) for column in key]
    named = ", ".join(key)
    partition = ", ".join(keys)
    # Names of our own must not be names of the query's columns.
    repeats, source, into = (unused_name(name, columns) for name in ("modeldrop_repeats", "source", "target"))
    missing = " OR ".join(f"{key} IS NULL" for key in keys)
    checks = (
        f"IF({missing}, ERROR({string_literal(f'a row of {rows} has NULL in its key ({named})')}), TRUE)"
        f"\n    AND IF({repeats} > 1, "
        f"ERROR({string_literal(f'several rows of {rows} have the same key ({named})')}), TRUE)"
    )
    listed = ", ".join(column_sql(column) for column in columns)
    key_names = {each.lower() for each in key}
    updates = ", ".join(
        f"{column_sql(column)} = {source}.{column_sql(column)}" for column in columns if column.lower() not in key_names
    )
    condition = "" if replaces is None else f" AND ({replaces(f'{source}.', f'{into}.')})"
    matched = f"WHEN MATCHED{condition} THEN UPDATE SET {updates}\n" if updates else ""
    values = ", ".join(f"{source}.{column_sql(column)}" for column in columns)
    on = " AND ".join(f"{into}.{key} = {source}.{key}" for key in keys)
    return (
        f"MERGE {target.sql} AS {into}\n"
        f"USING (\n"
        f"  SELECT {listed}\n"
        f"  FROM (\n"
        f"    SELECT *, COUNT(*) OVER (PARTITION BY {partition}) AS {repeats}\n"
        f"    FROM (\n{query}\n)\n"
        f"  )\n"
        f"  WHERE {checks}\n"
        f") AS {source}\n"
        f"ON {on}\n"
        f"{matched}"
        f"WHEN NOT MATCHED THEN INSERT ({listed}) VALUES ({values})"
    )
