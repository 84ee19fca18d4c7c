"""The step that moves the answers of a batch from the table that its job wrote into the output.

The job never writes the output itself: Vertex AI would replace a table that exists, and a job that ends in part would leave a
part there. One query writes all rows or none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.batches.answers import AnswerTable
from shared.batches.request import Output
from shared.checks.identifiers import TableName, column_sql
from shared.cloud.bigquery import Query
from shared.engine.services import Services
from shared.engine.statements import create_table, merge

# Columns that Vertex AI may add and that need not be in the output.
_OPTIONAL = frozenset({"processed_time"})


def table_query(like: AnswerTable, target: TableName) -> Query:
    """Return the query of the step `table`, which creates the table of a merge if it does not exist."""
    return Query(create_table(target, like.columns), {})


def move_query(answers: str, like: AnswerTable, target: TableName, output: Output, services: Services) -> Query:
    """Return the query of the step `move`.

    Args:
        answers: The query that has the answers.
        like: A table with the same columns.
        target: The table for the answers.
        output: What the request says about it.
        services: The services of this process.
    """
    source = like.columns
    existing = services.tables.describe(target, "output")
    names = [column["name"] for column in source]
    rows = f"SELECT {', '.join(map(column_sql, names))}\nFROM (\n{answers}\n)"
    if output.write in {"empty", "truncate"} or existing is None or "$" in target.table:
        return Query(rows, {}, destination=target, write="append" if output.write == "merge" else output.write)
    # The table may have other columns too, in another order, and keep requests and answers as STRING or JSON.
    known = {column["name"].lower(): column for column in existing.columns}
    kept = [column for column in source if column["name"].lower() in known or column["name"] not in _OPTIONAL]
    names = [column["name"] for column in kept]
    chosen = ", ".join(_converted(column, known.get(column["name"].lower())) for column in kept)
    rows = f"SELECT {chosen}\nFROM (\n{answers}\n)"
    if output.write == "merge":
        return Query(merge(target, rows, names, output.key, "the answers"), {})
    return Query(f"INSERT INTO {target.sql} ({', '.join(map(column_sql, names))})\n{rows}", {})


def _converted(column: Mapping[str, Any], target: Mapping[str, Any] | None) -> str:
    """Return the SQL of a column of the answers with the type that it has in the output."""
    name = column_sql(column["name"])
    match column["type"], target and target["type"]:
        case "STRING", "JSON":
            return f"SAFE.PARSE_JSON({name}) AS {name}"
        case "JSON", "STRING":
            return f"TO_JSON_STRING({name}) AS {name}"
        case _:
            return name
