"""The SQL of a prediction. Names are checked by the callers; texts are quoted here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from shared.checks.identifiers import TableName, check_column, column_sql, string_literal, unused_name
from shared.predictions.request import PredictRequest


def input_query(request: PredictRequest) -> str:
    """Return the query whose rows are the input of a prediction."""
    if request.table is None:
        return str(request.query)
    columns = request.table.columns
    chosen = ", ".join(f"{column_sql(column)} AS {column_sql(name)}" for name, column in columns) if columns else "*"
    where = f"\nWHERE (\n{request.table.where}\n)" if request.table.where else ""
    return f"SELECT {chosen}\nFROM {request.table.table.sql}{where}"


def predict(request: PredictRequest) -> str:
    """Return the query whose rows are the predictions.

    https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-predict
    """
    # The input is on lines of its own, because it may end in a comment.
    arguments = [f"MODEL {request.model.sql}", f"(\n{input_query(request)}\n)"]
    if request.options:
        values = ", ".join(f"{_value(value)} AS {column_sql(check_column(name))}" for name, value in request.options)
        arguments.append(f"STRUCT({values})")
    return f"SELECT *\nFROM {request.function}({', '.join(arguments)})"


def count_rows(request: PredictRequest) -> str:
    """Return the query that fails if the input has more rows than the message allows."""
    most = int(request.maximum_rows or 0)
    message = f"CONCAT('the input has ', CAST(COUNT(*) AS STRING), ' rows, more than max_rows ({most})')"
    return f"SELECT IF(COUNT(*) > {most}, ERROR({message}), COUNT(*)) AS row_count\nFROM (\n{input_query(request)}\n)"


def create_output(table: TableName, columns: Sequence[Mapping[str, Any]]) -> str:
    """Return the statement that creates the table of a merge if it does not exist."""
    listed = ",\n  ".join(f"{column_sql(column['name'])} {_column_type(column)}" for column in columns)
    return f"CREATE TABLE IF NOT EXISTS {table.sql} (\n  {listed}\n)"


def merge(request: PredictRequest, columns: Sequence[str]) -> str:
    """Return the statement that writes predictions by key: each row replaces the row that has the same key.

    The whole statement fails, with the key's name, if a key is NULL or repeated. Otherwise it would depend on chance which
    row remains. https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/dml-syntax#merge_statement
    """
    keys = [column_sql(column) for column in request.key]
    named = ", ".join(request.key)
    partition = ", ".join(keys)
    # Names of our own must not be names of the query's columns.
    repeats, source, target = (unused_name(name, columns) for name in ("modeldrop_repeats", "source", "target"))
    missing = " OR ".join(f"{key} IS NULL" for key in keys)
    checks = (
        f"IF({missing}, ERROR({string_literal(f'a row of the predictions has NULL in its key ({named})')}), TRUE)"
        f"\n    AND IF({repeats} > 1, "
        f"ERROR({string_literal(f'several rows of the predictions have the same key ({named})')}), TRUE)"
    )
    listed = ", ".join(column_sql(column) for column in columns)
    key_names = {key.lower() for key in request.key}
    updates = ", ".join(
        f"{column_sql(column)} = {source}.{column_sql(column)}" for column in columns if column.lower() not in key_names
    )
    matched = f"WHEN MATCHED THEN UPDATE SET {updates}\n" if updates else ""
    values = ", ".join(f"{source}.{column_sql(column)}" for column in columns)
    on = " AND ".join(f"{target}.{key} = {source}.{key}" for key in keys)
    return (
        f"MERGE {request.output.sql} AS {target}\n"
        f"USING (\n"
        f"  SELECT {listed}\n"
        f"  FROM (\n"
        f"    SELECT *, COUNT(*) OVER (PARTITION BY {partition}) AS {repeats}\n"
        f"    FROM (\n{predict(request)}\n)\n"
        f"  )\n"
        f"  WHERE {checks}\n"
        f") AS {source}\n"
        f"ON {on}\n"
        f"{matched}"
        f"WHEN NOT MATCHED THEN INSERT ({listed}) VALUES ({values})"
    )


def _column_type(field: Mapping[str, Any]) -> str:
    names = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}
    kind = names.get(field["type"], field["type"])
    if kind in {"RECORD", "STRUCT"}:
        inner = ", ".join(f"{column_sql(each['name'])} {_column_type(each)}" for each in field.get("fields", ()))
        kind = f"STRUCT<{inner}>"
    return f"ARRAY<{kind}>" if field.get("mode") == "REPEATED" else kind


def _value(value: Any) -> str:
    """Return the value of an option as SQL."""
    match value:
        case bool():
            return "TRUE" if value else "FALSE"
        case int() | float():
            return repr(value)
        case str():
            return string_literal(value)
        case list():
            return f"[{', '.join(map(_value, value))}]"
        case Mapping():
            return f"JSON {string_literal(json.dumps(value, sort_keys=True))}"
        case _:
            return "NULL"
