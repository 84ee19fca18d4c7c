"""The SQL that reads the answers of a batch: what failed, which rows to send again, and the answers of all its jobs together.

Every row of the answers has the columns of its request, `response` and `status`, which is empty unless the row failed:
https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/capabilities/batch-inference/new-job-from-bigquery
The types of these columns are not documented, so both STRING and JSON are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.checks.identifiers import TableName, column_sql, string_literal

# The codes of failures that may not happen again: https://cloud.google.com/apis/design/errors
RETRYABLE_CODES = (
    *("408", "429", "499", "500", "502", "503", "504"),
    *("ABORTED", "CANCELLED", "DEADLINE_EXCEEDED", "INTERNAL", "RESOURCE_EXHAUSTED", "UNAVAILABLE"),
)
# The code of a row that the job did not come to.
INCOMPLETE = "INCOMPLETE"
# How many codes of failures are counted apart.
MOST_CODES = 50
# How many characters of a status an event shows.
LONGEST_EXAMPLE = 300

# The columns that Vertex AI adds to those of the requests.
ADDED_COLUMNS = frozenset({"response", "status", "processed_time"})

# The token counts of an answer, by their names in GenerateContentResponse.UsageMetadata.
TOKENS = {
    "prompt": "promptTokenCount",
    "answer": "candidatesTokenCount",
    "thinking": "thoughtsTokenCount",
    "cached": "cachedContentTokenCount",
}


@dataclass(frozen=True)
class AnswerTable:
    """A table that a job of Vertex AI wrote, with its columns, each as a TableFieldSchema."""

    table: TableName
    columns: tuple[Mapping[str, Any], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(column["name"] for column in self.columns)

    @property
    def request_names(self) -> tuple[str, ...]:
        """The names of the columns that the requests have too."""
        return tuple(name for name in self.names if name.lower() not in ADDED_COLUMNS)

    def type_of(self, name: str) -> str:
        """Return the type of a column."""
        return next(str(column["type"]) for column in self.columns if column["name"].lower() == name)

    @property
    def code(self) -> str:
        """The SQL of a row's code: empty for an answer, ``INCOMPLETE``, or the code of its failure."""
        status = self._text("status")
        response = self._text("response")
        found = [
            f"REGEXP_EXTRACT({status}, {string_literal(pattern)})"
            for pattern in (
                r'"status": ?"([A-Z_]+)"',
                r'"code": ?([0-9]+)',
                r"\b([45][0-9][0-9])\b",
                r"\b([A-Z]+_[A-Z_]+)\b",
            )
        ]
        return (
            f"CASE WHEN {status} != '' THEN COALESCE({', '.join(found)}, 'UNKNOWN') "
            f"WHEN {response} IN ('', 'null', '{{}}') THEN '{INCOMPLETE}' ELSE '' END"
        )

    @property
    def failed(self) -> str:
        """The condition of a row that has no answer."""
        return f"({self.code}) != ''"

    @property
    def retryable(self) -> str:
        """The condition of a row without an answer for which there may be one later."""
        codes = ", ".join(map(string_literal, (*RETRYABLE_CODES, INCOMPLETE)))
        return f"({self.code}) IN ({codes})"

    @property
    def row_key(self) -> str:
        """The SQL of a text that two rows share only if all columns of their requests are the same."""
        values = ", ".join(map(column_sql, self.request_names))
        return f"TO_JSON_STRING(STRUCT({values}))"

    def _text(self, name: str) -> str:
        sql = column_sql(name)
        return f"IFNULL({f'TO_JSON_STRING({sql})' if self.type_of(name) == 'JSON' else sql}, '')"


def all_answers(tables: Sequence[AnswerTable], repeats: Sequence[bool], *, only_retryable: bool) -> str:
    """Return the query that has the answers of all jobs of a batch, one row for each request.

    A row that was sent again, and came back, takes the place of the row that failed.

    Args:
        tables: The tables that the jobs wrote, in their order.
        repeats: Whether each job was sent rows of those before it again.
        only_retryable: Whether only rows that need not fail again were sent again.
    """
    first = tables[0]
    columns = ", ".join(map(column_sql, first.names))
    query = f"SELECT {columns} FROM {first.table.sql}"
    for answers, again in zip(tables[1:], repeats[1:], strict=True):
        if again:
            query = _without_repeated(query, answers, first, only_retryable=only_retryable)
        query = f"{query}\nUNION ALL\nSELECT {columns} FROM {answers.table.sql}"
    return query


def review(answers: str, like: AnswerTable) -> str:
    """Return the query that counts the rows by their codes, with one example each, and the tokens.

    Its rows have `code`, `requests`, `example`, and one column for each name in ``TOKENS``.

    Args:
        answers: The query that has the rows.
        like: A table with the same columns.
    """
    response = (
        "response" if like.type_of("response") == "JSON" else "SAFE.PARSE_JSON(response, wide_number_mode => 'round')"
    )
    tokens = ",\n  ".join(
        f"IFNULL(SUM(SAFE_CAST(JSON_VALUE(response, '$.usageMetadata.{field}') AS INT64)), 0) AS {name}"
        for name, field in TOKENS.items()
    )
    status = "TO_JSON_STRING(status)" if like.type_of("status") == "JSON" else "status"
    return (
        f"SELECT\n  code,\n  COUNT(*) AS requests,\n  MIN(SUBSTR(status, 1, {LONGEST_EXAMPLE})) AS example,\n  {tokens}\n"
        f"FROM (SELECT {like.code} AS code, {status} AS status, {response} AS response FROM (\n{answers}\n))\n"
        f"GROUP BY code\nORDER BY requests DESC, code\nLIMIT {MOST_CODES}"
    )


def requests_to_repeat(
    answers: str, like: AnswerTable, *, only_retryable: bool, sources: Sequence[TableName] = ()
) -> str:
    """Return the query that has the requests of the rows without an answer.

    Args:
        answers: The query that has the rows.
        like: A table with the same columns.
        only_retryable: Whether to leave out rows that would fail again.
        sources: The requests of the jobs, if some of them are not in ``answers`` at all; these are added.
    """
    columns = ", ".join(map(column_sql, like.request_names))
    condition = like.retryable if only_retryable else like.failed
    failed = f"SELECT {columns}\nFROM (\n{answers}\n)\nWHERE {condition}"
    if not sources:
        return failed
    given = "\nUNION ALL\n".join(f"SELECT {columns} FROM {source.sql}" for source in sources)
    return (
        f"{failed}\nUNION ALL\nSELECT {', '.join(f'wanted.{column_sql(name)}' for name in like.request_names)}\n"
        f"FROM ({_numbered(given, like)}) AS wanted\nLEFT JOIN ({_numbered(answers, like)}) AS present\n"
        f"ON wanted.modeldrop_row = present.modeldrop_row AND wanted.modeldrop_number = present.modeldrop_number\n"
        f"WHERE present.modeldrop_row IS NULL"
    )


def _without_repeated(query: str, later: AnswerTable, like: AnswerTable, *, only_retryable: bool) -> str:
    """Return the rows of ``query`` without those whose requests were sent again and are in ``later``."""
    chosen = ", ".join(f"former.{column_sql(name)}" for name in like.names)
    condition = like.retryable if only_retryable else like.failed
    former = (
        f"SELECT *, {like.row_key} AS modeldrop_row, {condition} AS modeldrop_failed, "
        f"ROW_NUMBER() OVER (PARTITION BY {like.row_key}, {condition}) AS modeldrop_number FROM (\n{query}\n)"
    )
    again = _numbered(f"SELECT * FROM {later.table.sql}", like)
    return (
        f"SELECT {chosen}\nFROM ({former}) AS former\nLEFT JOIN ({again}) AS again\n"
        f"ON former.modeldrop_failed AND former.modeldrop_row = again.modeldrop_row "
        f"AND former.modeldrop_number = again.modeldrop_number\n"
        f"WHERE again.modeldrop_row IS NULL"
    )


def _numbered(query: str, like: AnswerTable) -> str:
    """Return the rows of a query with a text of each request, and a number among those that are the same."""
    return (
        f"SELECT {like.row_key} AS modeldrop_row, {', '.join(map(column_sql, like.request_names))}, "
        f"ROW_NUMBER() OVER (PARTITION BY {like.row_key}) AS modeldrop_number FROM (\n{query}\n)"
    )
