"""The table of typed results: whether it can be written, and the query of the step `flatten` that writes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shared.batches.answers.answers import AnswerTable
from shared.batches.answers.replacing import SentAgain, replace_rows
from shared.batches.output.places import ANSWERS, REQUESTS, reads
from shared.batches.typed.flattening import flatten, kept_columns
from shared.batches.typed.results import Results, check_names
from shared.checks.identifiers import TableName, column_sql
from shared.checks.merge_keys import type_of
from shared.cloud.query_jobs import Query
from shared.engine.services import Services
from shared.errors import Rejected

_FIELD = "results.table"


def check_results(
    results: Results,
    *,
    others: Iterable[TableName],
    location: str | None,
    columns: Sequence[str],
    services: Services,
) -> None:
    """Raise ``Rejected`` if the results cannot be written, or would replace rows that they may not.

    Args:
        results: The field ``results`` of the request.
        others: The table for the answers, and the tables that the input reads, also through views.
        location: Where the other tables of the batch are; None if it has none.
        columns: The columns of the input, without the request; none if they are not known.
        services: The services of this process.
    """
    table = results.table
    if table.table.startswith((REQUESTS, ANSWERS)) or "$" in table.table:
        raise Rejected(
            f"{table} cannot be the table of the results: write the name of a whole table that does not begin with "
            f"{REQUESTS} or {ANSWERS}",
            field=_FIELD,
            code="reserved_table",
        )
    if reads(others, table):
        raise Rejected(
            f"the table {table} is the input or the output of the batch; write another one for the results",
            field=_FIELD,
            code="output_is_input",
        )
    own = services.bigquery.location_of(table.dataset_name, _FIELD)
    if location is not None and own != location:
        raise Rejected(
            f"the dataset {table.dataset_name} is in {own}, and the other tables of the batch are in {location}: the results "
            "must be there too",
            field=_FIELD,
            code="wrong_location",
        )
    check_names(results, columns)
    facts = services.tables.describe(table, _FIELD)
    if facts is not None and facts.kind != "TABLE":
        raise Rejected(f"{table} is not a table but a {facts.kind.lower()}", field=_FIELD, code="not_a_table")
    if facts is not None and facts.rows and results.write == "empty":
        raise Rejected(
            f"the table {table} has {facts.rows:,} rows, and results.write is empty; write another table, or truncate",
            field=_FIELD,
            code="output_not_empty",
        )
    if facts is not None and results.write == "empty":
        check_result_columns(results, columns, facts.columns)


def check_result_columns(results: Results, columns: Sequence[str], existing: Sequence[Mapping[str, Any]]) -> None:
    """Raise ``Rejected`` unless an empty table has the columns of the results, which a query does not change.

    Args:
        results: The field ``results`` of the request.
        columns: The columns of the input, without the request; none if they are not known.
        existing: The columns of the table, each as a TableFieldSchema.
    """
    known = {str(column["name"]).lower(): column for column in existing}
    wanted = {**dict.fromkeys(columns, ""), "status": "STRING", **{each.name: each.type for each in results.columns}}
    for name, kind in wanted.items():
        column = known.get(name.lower())
        there = _full_type(column) if column is not None else "missing"
        if column is None or (kind and there != kind):
            raise Rejected(
                f"the table {results.table} exists without rows, and its column {name} is {there}"
                f"{f', not {kind}' if kind else ''}: let results.write be truncate, which replaces its columns, or write "
                "another table",
                field=_FIELD,
                code="missing_column" if column is None else "wrong_type",
            )


def _full_type(column: Mapping[str, Any]) -> str:
    kind = type_of({**column, "mode": "NULLABLE"})
    return f"ARRAY<{kind}>" if column.get("mode") == "REPEATED" else kind


def flatten_query(results: Results, answers: str, like: AnswerTable) -> Query:
    """Return the query of the step `flatten` of a batch that has not written its results yet.

    Args:
        results: The field ``results`` of the request.
        answers: The query that has the answers.
        like: A table with the same columns.

    Raises:
        Rejected: A column of the answers has the name of a column of the results.
    """
    return Query(_flattened(results, answers, like), {}, destination=results.table, write=results.write)


def replace_results(results: Results, columns: Sequence[Mapping[str, Any]], rows: SentAgain) -> Query:
    """Return the query of the step `flatten` of a batch that has written its results before: of the rows sent again alone.

    Args:
        results: The field ``results`` of the request.
        columns: The columns of its table, each as a TableFieldSchema.
        rows: The rows that were sent again.
    """
    names = (*kept_columns(rows.like.columns), "status", *(column.name for column in results.columns))

    def row(alias: str) -> str:
        values = ", ".join(f"{alias}{column_sql(name)} AS {column_sql(name)}" for name in names)
        return f"TO_JSON_STRING(STRUCT({values}))"

    former, now = (_flattened(results, query, rows.like) for query in (rows.failed, rows.now))
    sql = replace_rows(
        results.table,
        columns,
        names,
        former,
        now,
        row=row,
        # A row without an answer has no text, and its status says so.
        may_be_replaced=lambda alias: f"{alias}status != ''",
    )
    return Query(sql, {})


def _flattened(results: Results, answers: str, like: AnswerTable) -> str:
    # The columns of files are not known before.
    check_names(results, kept_columns(like.columns))
    return flatten(f"(\n{answers}\n)", like.columns, results.columns)
