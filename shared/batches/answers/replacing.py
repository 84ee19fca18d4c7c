"""The statements that put answers in place of failures which a former run of the batch has written.

Tables of outputs and of typed results have no column that says whose a row is, and another batch may have written equal rows.
So as many rows are replaced as this batch has written: the statement deletes all rows that are equal to them, and inserts those
of the others again.
https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/dml-syntax#merge_statement
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.batches.answers.answers import AnswerTable, null_of, with_later_answers
from shared.checks.identifiers import TableName, column_sql


@dataclass(frozen=True)
class SentAgain:
    """The rows of a batch that had no answer when they were written, and the same rows as they are now."""

    failed: str
    """The query of the rows as they were written."""
    now: str
    """The query of the same rows after later jobs, with the requests that no former job came to."""
    like: AnswerTable
    """A table with the same columns."""


def sent_again(former: str, like: AnswerTable, tables: Sequence[AnswerTable], repeats: Sequence[str]) -> SentAgain:
    """Return the rows that later jobs of a batch were sent.

    Args:
        former: The query of all rows before these jobs.
        like: A table with the same columns.
        tables: The tables that the later jobs wrote.
        repeats: Which rows of those before it each of them was sent again.
    """
    failed = f"SELECT {_listed(like.names)} FROM (\n{former}\n) WHERE {like.failed}"
    return SentAgain(failed, with_later_answers(failed, like, tables, repeats), like)


def replace_failures(target: AnswerTable, rows: SentAgain) -> str:
    """Return the statement that puts later answers into an output in place of the rows that had failed.

    Args:
        target: The output, which has the failed rows, and may have more columns.
        rows: The rows that were sent again.
    """
    like = rows.like
    return replace_rows(
        target.table,
        target.columns,
        like.names,
        rows.failed,
        rows.now,
        row=lambda alias: f"CONCAT({like.key_of(alias)}, {like.text('status', alias)})",
        may_be_replaced=lambda alias: f"({like.code_of(alias)}) != ''",
    )


def replace_rows(
    target: TableName,
    columns: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    former: str,
    now: str,
    *,
    row: Callable[[str], str],
    may_be_replaced: Callable[[str], str],
) -> str:
    """Return the statement that replaces rows of a table.

    Args:
        target: The table.
        columns: Its columns, each as a TableFieldSchema.
        names: The columns of the rows. Other columns of the table become NULL.
        former: The query of the rows to replace, as they were written. If the table has fewer of them, all of these go.
        now: The query of the rows to insert.
        row: Returns the SQL of a text that two rows share only if they are equal. Its argument comes before the names of
            columns, such as ``target.``; it may be empty.
        may_be_replaced: Returns the SQL of a condition that all rows to replace meet; the argument is the same.
    """
    known = {name.lower() for name in names}
    listed = _listed(column["name"] for column in columns)
    values = ", ".join(f"source.{column_sql(column['name'])}" for column in columns)
    own = ", ".join(
        column_sql(column["name"])
        if column["name"].lower() in known
        else f"{null_of(column)} AS {column_sql(column['name'])}"
        for column in columns
    )
    nothing = ", ".join(map(null_of, columns))
    present = ", ".join(f"present.{column_sql(column['name'])}" for column in columns)
    counted = (
        f"SELECT modeldrop_row, COUNT(*) AS modeldrop_rows\n"
        f"FROM (SELECT {row('')} AS modeldrop_row FROM (\n{former}\n))\n"
        "GROUP BY modeldrop_row"
    )
    of_others = (
        f"SELECT {present}\n"
        f"FROM (SELECT *, {row('')} AS modeldrop_row, "
        f"ROW_NUMBER() OVER (PARTITION BY {row('')}) AS modeldrop_number "
        f"FROM {target.sql} WHERE {may_be_replaced('')}) AS present\n"
        f"JOIN modeldrop_own AS own ON present.modeldrop_row = own.modeldrop_row\n"
        "WHERE present.modeldrop_number > own.modeldrop_rows"
    )
    return (
        f"MERGE {target.sql} AS target\nUSING (\n"
        f"WITH modeldrop_own AS (\n{counted}\n)\n"
        f"SELECT CAST(NULL AS STRING) AS modeldrop_row, {own} FROM (\n{now}\n)\n"
        f"UNION ALL\nSELECT CAST(NULL AS STRING), {listed} FROM (\n{of_others}\n)\n"
        f"UNION ALL\nSELECT modeldrop_row, {nothing} FROM modeldrop_own\n"
        f") AS source\n"
        f"ON ({may_be_replaced('target.')}) AND {row('target.')} = source.modeldrop_row\n"
        f"WHEN MATCHED THEN DELETE\n"
        f"WHEN NOT MATCHED AND source.modeldrop_row IS NULL THEN INSERT ({listed}) VALUES ({values})"
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(column_sql, names))
