"""The SQL that reads the answers of a batch: what failed, which rows to send again, and the answers of all its jobs together.

Every row of the answers has the columns of its request, `response` and `status`, which is empty unless the row failed:
https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/capabilities/batch-inference/new-job-from-bigquery
The types of these columns are not documented, so both STRING and JSON are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.batch_work import RETRYABLE
from shared.checks.column_types import sql_type
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
ADDED_COLUMNS = frozenset({"response", "predictions", "status", "processed_time"})

# The token counts of an answer, by their names in GenerateContentResponse.UsageMetadata.
TOKENS = {
    "prompt": "promptTokenCount",
    "answer": "candidatesTokenCount",
    "thinking": "thoughtsTokenCount",
    "cached": "cachedContentTokenCount",
}


@dataclass(frozen=True)
class AnswerTable:
    """The answers of a job of Vertex AI: a table with its columns, each as a TableFieldSchema."""

    table: TableName
    columns: tuple[Mapping[str, Any], ...]
    rows: str = ""
    """The SQL of the answers if they are not the rows of the table: a query in brackets."""

    @property
    def sql(self) -> str:
        """The answers as SQL: the quoted name of the table, or a query in brackets."""
        return self.rows or self.table.sql

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(column["name"] for column in self.columns)

    @property
    def request_names(self) -> tuple[str, ...]:
        """The names of the columns that the requests have too."""
        return tuple(name for name in self.names if name.lower() not in ADDED_COLUMNS)

    def type_of(self, name: str) -> str:
        """Return the type of a column: ``STRING`` if there is no such column."""
        return next((str(column["type"]) for column in self.columns if column["name"].lower() == name), "STRING")

    @property
    def answer_name(self) -> str:
        """The column with the answers; text-embedding models have another one than Gemini."""
        return "response" if any(name.lower() == "response" for name in self.names) else "predictions"

    @property
    def code(self) -> str:
        """The SQL of a row's code: empty for an answer, ``INCOMPLETE``, or the code of its failure."""
        return self.code_of()

    def code_of(self, alias: str = "") -> str:
        """Return the SQL of a row's code; ``alias`` comes before the names of columns: ``target.``."""
        status = self.text("status", alias)
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
            f"WHEN {self.unanswered(alias)} THEN '{INCOMPLETE}' ELSE '' END"
        )

    def unanswered(self, alias: str = "") -> str:
        """Return the condition of a row without a response; ``alias`` comes before the names of columns: ``target.``."""
        return f"{self.text(self.answer_name, alias)} IN ('', 'null', '{{}}')"

    def created_of(self, alias: str = "") -> str:
        """Return the SQL of when Gemini created an answer, NULL if that is not known; ``alias`` is that of ``code_of``.

        https://docs.cloud.google.com/vertex-ai/generative-ai/docs/reference/rest/v1/GenerateContentResponse
        """
        # Quotes in the texts of an answer are escaped, so that only the field is found.
        pattern = string_literal(r'"createTime": ?"([^"]+)"')
        return f"SAFE_CAST(REGEXP_EXTRACT({self.text('response', alias)}, {pattern}) AS TIMESTAMP)"

    @property
    def failed(self) -> str:
        """The condition of a row that has no answer."""
        return f"({self.code}) != ''"

    @property
    def retryable(self) -> str:
        """The condition of a row without an answer for which there may be one later."""
        codes = ", ".join(map(string_literal, (*RETRYABLE_CODES, INCOMPLETE)))
        return f"({self.code}) IN ({codes})"

    def condition(self, rows: str) -> str:
        """Return the condition of the rows that are sent again: ``retryable`` or ``failed``."""
        return self.retryable if rows == RETRYABLE else self.failed

    @property
    def row_key(self) -> str:
        """The SQL of a text that two rows share only if all columns of their requests are the same."""
        return self.key_of()

    def key_of(self, alias: str = "") -> str:
        """Return the same SQL; ``alias`` comes before the names of columns: ``target.``."""
        values = ", ".join(f"{alias}{column_sql(name)} AS {column_sql(name)}" for name in self.request_names)
        return f"TO_JSON_STRING(STRUCT({values}))"

    @property
    def content_key(self) -> str:
        """The SQL of the same text, in which requests are equal if their JSON is, in whatever form it is written."""
        values = ", ".join(
            f"{normalized(column_sql(name)) if self._is_json_text(name) else column_sql(name)} AS {column_sql(name)}"
            for name in self.request_names
        )
        return f"TO_JSON_STRING(STRUCT({values}))"

    def _is_json_text(self, name: str) -> bool:
        return name.lower() == "request" and self.type_of("request") == "STRING"

    def text(self, name: str, alias: str = "") -> str:
        """Return the SQL of a column as a text, which is empty for NULL, or if there is no such column."""
        sql = alias + column_sql(name)
        if not any(each.lower() == name for each in self.names):
            return "''"
        if self.type_of(name) == "STRING":
            return f"IFNULL({sql}, '')"
        return f"IF({sql} IS NULL, '', TO_JSON_STRING({sql}))"


def normalized(text: str) -> str:
    """Return the SQL of a text of JSON, written in the one form that BigQuery gives it; other texts stay."""
    parsed = f"SAFE.PARSE_JSON({text}, wide_number_mode => 'round')"
    return f"IF({parsed} IS NULL, {text}, TO_JSON_STRING({parsed}))"


def all_answers(tables: Sequence[AnswerTable], repeats: Sequence[str]) -> str:
    """Return the query that has the answers of all jobs of a batch, one row for each request.

    A row that was sent again, and came back, takes the place of the row that failed.

    Args:
        tables: The tables that the jobs wrote, in their order.
        repeats: Which rows of those before it each job was sent again: ``retryable`` or ``failed``; empty for none.
    """
    first = tables[0]
    return with_later_answers(f"SELECT {_columns(first)} FROM {first.sql}", first, tables[1:], repeats[1:])


def with_later_answers(query: str, like: AnswerTable, tables: Sequence[AnswerTable], repeats: Sequence[str]) -> str:
    """Return the query of the rows of ``query`` with those of later jobs, as ``all_answers``."""
    for answers, rows in zip(tables, repeats, strict=True):
        if rows:
            query = _without_repeated(query, answers, like, like.condition(rows))
        query = f"{query}\nUNION ALL\nSELECT {_columns(like)} FROM {answers.sql}"
    return query


def null_of(column: Mapping[str, Any]) -> str:
    """Return the SQL of NULL with the type of a column."""
    return f"CAST(NULL AS {sql_type(column)})"


def _columns(answers: AnswerTable) -> str:
    return ", ".join(map(column_sql, answers.names))


def review(answers: str, like: AnswerTable) -> str:
    """Return the query that counts the rows by their codes, with one example each, and the tokens.

    Its rows have `code`, `requests`, `example`, and one column for each name in ``TOKENS``.

    Args:
        answers: The query that has the rows.
        like: A table with the same columns.
    """
    name = column_sql(like.answer_name)
    response = "JSON 'null'"
    if like.answer_name == "response":
        is_json = like.type_of("response") == "JSON"
        response = name if is_json else f"SAFE.PARSE_JSON({name}, wide_number_mode => 'round')"
    tokens = ",\n  ".join(
        f"IFNULL(SUM(SAFE_CAST(JSON_VALUE(response, '$.usageMetadata.{field}') AS INT64)), 0) AS {name}"
        for name, field in TOKENS.items()
    )
    status = like.text("status")
    return (
        f"SELECT\n  code,\n  COUNT(*) AS requests,\n  MIN(SUBSTR(status, 1, {LONGEST_EXAMPLE})) AS example,\n  {tokens}\n"
        f"FROM (SELECT {like.code} AS code, {status} AS status, {response} AS response FROM (\n{answers}\n))\n"
        f"GROUP BY code\nORDER BY requests DESC, code\nLIMIT {MOST_CODES}"
    )


def _without_repeated(query: str, later: AnswerTable, like: AnswerTable, condition: str) -> str:
    """Return the rows of ``query`` without those whose requests were sent again and are in ``later``."""
    chosen = ", ".join(f"former.{column_sql(name)}" for name in like.names)
    former = (
        f"SELECT *, {like.row_key} AS modeldrop_row, {condition} AS modeldrop_failed, "
        f"ROW_NUMBER() OVER (PARTITION BY {like.row_key}, {condition}) AS modeldrop_number FROM (\n{query}\n)"
    )
    again = numbered(f"SELECT * FROM {later.sql}", like, like.row_key)
    return (
        f"SELECT {chosen}\nFROM ({former}) AS former\nLEFT JOIN ({again}) AS again\n"
        f"ON former.modeldrop_failed AND former.modeldrop_row = again.modeldrop_row "
        f"AND former.modeldrop_number = again.modeldrop_number\n"
        f"WHERE again.modeldrop_row IS NULL"
    )


def numbered(query: str, like: AnswerTable, key: str) -> str:
    """Return the rows of a query with the text ``key`` of each request, and a number among those that are the same."""
    return (
        f"SELECT {key} AS modeldrop_row, {', '.join(map(column_sql, like.request_names))}, "
        f"ROW_NUMBER() OVER (PARTITION BY {key}) AS modeldrop_number FROM (\n{query}\n)"
    )
