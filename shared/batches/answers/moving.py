"""The step that moves the answers of a batch from the table that its job wrote into the output.

The job never writes the output itself: Vertex AI would replace a table that exists, and a job that ends in part would leave a
part there. One query writes all rows or none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from shared.batches.answers.answers import AnswerTable, null_of
from shared.batches.request import Output
from shared.checks.identifiers import TableName, column_sql, string_literal
from shared.cloud.query_jobs import Query
from shared.cloud.tables import TableFacts
from shared.engine.statements import create_table, merge

# Columns that Vertex AI may add and that need not be in the output.
_OPTIONAL = frozenset({"processed_time"})


def table_query(like: AnswerTable, target: TableName) -> Query:
    """Return the query of the step `table`, which creates the table of a merge if it does not exist."""
    return Query(create_table(target, like.columns), {})


def move_query(
    answers: str, like: AnswerTable, target: TableName, output: Output, existing: TableFacts | None
) -> Query:
    """Return the query of the step `move`.

    Args:
        answers: The query that has the answers.
        like: A table with the same columns.
        target: The table for the answers.
        output: What the request says about it.
        existing: What BigQuery says of the table; None if it does not exist.
    """
    is_partition = "$" in target.table
    if existing is None or (output.write == "truncate" and not is_partition):
        rows = f"SELECT {', '.join(map(column_sql, like.names))}\nFROM (\n{answers}\n)"
        return Query(rows, {}, destination=target, write="append" if output.write == "merge" else output.write)
    # The table may have other columns too, in another order, and keep requests and answers as STRING or JSON.
    source = {column["name"].lower(): column for column in like.columns}
    known = {column["name"].lower(): column for column in existing.columns}
    if is_partition:
        # No statement writes a partition by its name, so the rows must have all columns of the table.
        chosen = [
            _converted(source[name], column) if name in source else f"{null_of(column)} AS {column_sql(column['name'])}"
            for name, column in known.items()
        ]
        rows = f"SELECT {', '.join(chosen)}\nFROM (\n{answers}\n)"
        return Query(rows, {}, destination=target, write=output.write)
    kept = [name for name, column in source.items() if name in known or column["name"] not in _OPTIONAL]
    names = [source[name]["name"] for name in kept]
    rows = f"SELECT {', '.join(_converted(source[name], known.get(name)) for name in kept)}\nFROM (\n{answers}\n)"
    if output.write == "merge":
        present = AnswerTable(target, existing.columns)
        return Query(merge(target, rows, names, output.key, "the answers", partial(_replaces, present)), {})
    if output.write == "empty":
        rows += f"\nWHERE {_is_empty(target)}"
    return Query(f"INSERT INTO {target.sql} ({', '.join(map(column_sql, names))})\n{rows}", {})


def with_types_of(answers: AnswerTable, existing: Sequence[Mapping[str, Any]]) -> AnswerTable:
    """Return answers whose texts and JSON have the types that the step `move` gives them in a table.

    Args:
        answers: The answers.
        existing: The columns of the table, each as a TableFieldSchema.
    """
    known = {column["name"].lower(): column for column in existing}
    columns = tuple(
        {**column, "type": known[column["name"].lower()]["type"]} if _is_converted(column, known) else column
        for column in answers.columns
    )
    if columns == answers.columns:
        return answers
    chosen = ", ".join(_converted(column, known.get(column["name"].lower())) for column in answers.columns)
    return AnswerTable(answers.table, columns, f"(SELECT {chosen} FROM {answers.sql})")


def _is_converted(column: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]]) -> bool:
    target = known.get(column["name"].lower())
    return target is not None and {column["type"], target["type"]} == {"STRING", "JSON"}


def _replaces(present: AnswerTable, source: str, target: str) -> str:
    """Return the condition under which a row of the answers replaces a row of an output.

    A failure replaces no answer, and an answer replaces no answer that Gemini created later: another batch may have written
    that one while this batch ran or waited to be sent again.

    Args:
        present: The output.
        source: What comes before the columns of the answers, which have the types of those of the output: ``source.``.
        target: What comes before the columns of the output.
    """
    is_older = f"IFNULL({present.created_of(source)} < {present.created_of(target)}, FALSE)"
    return f"{present.unanswered(target)} OR (({present.code_of(source)}) = '' AND NOT {is_older})"


def _is_empty(target: TableName) -> str:
    """Return the SQL of whether a table is empty; it fails with the name of the table if it is not."""
    error = string_literal(f"the table {target} has rows, and output.write is empty")
    return f"IF(EXISTS(SELECT 1 FROM {target.sql}), ERROR({error}), TRUE)"


def _converted(column: Mapping[str, Any], target: Mapping[str, Any] | None) -> str:
    """Return the SQL of a column of the answers with the type that it has in the output."""
    name = column_sql(column["name"])
    match column["type"], target and target["type"]:
        case "STRING", "JSON":
            # The status of a failure is a text around JSON.
            parsed = f"COALESCE(SAFE.PARSE_JSON({name}, wide_number_mode => 'round'), TO_JSON({name}))"
            return f"IF({name} = '', NULL, {parsed}) AS {name}"
        case "JSON", "STRING":
            return f"TO_JSON_STRING({name}) AS {name}"
        case _:
            return name
