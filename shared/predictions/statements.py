"""The SQL of a prediction. Names are checked by the callers; texts are quoted here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from shared.checks.identifiers import check_column, column_sql, string_literal
from shared.engine import statements as engine
from shared.messages.predict_request import PredictRequest


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
    chosen = request.columns.sql if request.columns else "*"
    return f"SELECT {chosen}\nFROM {request.function}({', '.join(arguments)})"


def count_rows(request: PredictRequest) -> str:
    """Return the query that fails if the input has more rows than the message allows."""
    most = int(request.maximum_rows or 0)
    message = f"CONCAT('the input has ', CAST(COUNT(*) AS STRING), ' rows, more than max_rows ({most})')"
    return f"SELECT IF(COUNT(*) > {most}, ERROR({message}), COUNT(*)) AS row_count\nFROM (\n{input_query(request)}\n)"


def merge(request: PredictRequest, columns: Sequence[str]) -> str:
    """Return the statement that writes predictions by key: each row replaces the row that has the same key."""
    return engine.merge(request.output, predict(request), columns, request.key, "the predictions")


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
