"""The SQL that loads lines of JSONL into a table, and takes them apart into columns.

A line is loaded as one text: its fields are not known to have one type each, and a value that BigQuery cannot convert would
fail the load of all lines.
https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/load-statements
https://docs.cloud.google.com/bigquery/docs/loading-data-cloud-storage-csv
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shared.batch_work import LineColumn, LineFormat
from shared.batches.inputs.columns import REQUEST_COLUMNS
from shared.batches.inputs.rules import Requests
from shared.batches.lines.formats import line_format
from shared.checks.identifiers import TableName, column_sql, string_literal

# The column of the loaded lines.
LINE = "line"
# The parsed line.
_PARSED = "modeldrop_line"
# Delimits columns in CSV, and is in no JSON: control characters are escaped there.
_DELIMITER = r"'\x01'"
# How the text of a JSON string, number or boolean becomes a value of each type; values of other types are JSON.
# https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/conversion_functions#safe_casting
_CONVERSIONS: Mapping[str, str] = {
    "STRING": "{}",
    "BYTES": "FROM_BASE64({})",
    **{
        kind: f"SAFE_CAST({{}} AS {kind})"
        for kind in ("INT64", "FLOAT64", "NUMERIC", "BIGNUMERIC", "BOOL", "DATE", "TIME", "TIMESTAMP", "INTERVAL")
    },
}


def load_lines(table: TableName, uris: Sequence[str]) -> str:
    """Return the statement that loads the lines of files into a table with one column; one of the name is replaced.

    Args:
        table: The table.
        uris: The files: ``gs://bucket/file.jsonl``, or with one ``*``.
    """
    files = ", ".join(map(string_literal, uris))
    return (
        f"LOAD DATA OVERWRITE {table.sql} ({LINE} STRING)\n"
        f"FROM FILES (format = 'CSV', field_delimiter = {_DELIMITER}, quote = '', uris = [{files}])"
    )


def answer_columns(format_: LineFormat) -> tuple[Mapping[str, Any], ...]:
    """Return the columns of ``answers_of_lines``, each as a TableFieldSchema."""
    kind = Requests(format_.kind)
    answer = "predictions" if kind is Requests.TEXT_EMBEDDING else "response"
    texts = [{"name": name, "type": "STRING"} for name in (answer, "status")]
    return (*_request_columns(format_), *texts)


def answers_of_lines(table: TableName, format_: LineFormat) -> str:
    """Return the query, in brackets, of the answers in a table of loaded lines."""
    names = [column["name"] for column in answer_columns(format_)]
    answer = names[-2]
    values = [
        *_request_values(format_, "$.instance" if format_.kind == Requests.TEXT_EMBEDDING else "$"),
        f"{_text_of(_PARSED, f'$.{answer}')} AS {answer}",
        f"COALESCE(JSON_VALUE({_PARSED}, '$.status'), {_text_of(_PARSED, '$.status')}, '') AS status",
    ]
    return _of_lines(table, values)


def requests_of_lines(table: TableName, format_: LineFormat) -> str:
    """Return the query, in brackets, of the requests in a table of loaded lines.

    A line that is not JSON is the request itself, so that the check of the requests finds it.
    """
    return _of_lines(table, _request_values(format_, "$", whole=f"IF({_PARSED} IS NULL, {LINE}, NULL)"))


def requests_for_answers(table: TableName, columns: Iterable[Mapping[str, Any]], kind: Requests) -> str | None:
    """Return the query, in brackets, of the requests in a table of loaded lines, with the columns that their answers have.

    Args:
        table: The table of the lines.
        columns: The columns of the requests in the table that a job wrote, each as a TableFieldSchema. The types that Vertex AI
            gives to the fields of lines are not documented.
        kind: The kind of the requests.

    Returns:
        The query; None if the values of a column cannot be compared with those in the lines.
    """
    found = line_format(kind, list(columns))
    if found is None or any(each.type not in {*_CONVERSIONS, "JSON"} for each in found.columns):
        return None
    name = REQUEST_COLUMNS[kind]
    parsed = any(column["name"].lower() == name and column["type"] == "JSON" for column in columns)
    sql = requests_of_lines(table, found)
    return (
        f"(SELECT * REPLACE (SAFE.PARSE_JSON({name}, wide_number_mode => 'round') AS {name}) FROM {sql})"
        if parsed
        else sql
    )


def comparable_requests(source: str, columns: Iterable[Mapping[str, Any]], format_: LineFormat) -> str:
    """Return the query, in brackets, of a table of requests, in which they are written as in ``answers_of_lines``.

    Args:
        source: The table as SQL.
        columns: The columns of the table, each as a TableFieldSchema.
        format_: How the lines of the answers are read.
    """
    request = REQUEST_COLUMNS[Requests(format_.kind)]
    types = {column["name"]: column["type"] for column in columns}
    name = column_sql(request)
    values = [name]
    if Requests(format_.kind) is Requests.GENERATE:
        parsed = name if types.get(request) == "JSON" else f"SAFE.PARSE_JSON({name}, wide_number_mode => 'round')"
        text = "NULL" if types.get(request) == "JSON" else name
        values = [f"IF({parsed} IS NULL, {text}, TO_JSON_STRING({parsed})) AS {name}"]
    values += [column_sql(column.name) for column in format_.columns]
    return f"(SELECT {', '.join(values)} FROM {source})"


def _of_lines(table: TableName, values: Sequence[str]) -> str:
    parsed = f"SELECT {LINE}, SAFE.PARSE_JSON({LINE}, wide_number_mode => 'round') AS {_PARSED} FROM {table.sql}"
    return f"(SELECT {', '.join(values)} FROM ({parsed} WHERE TRIM({LINE}) != ''))"


def _request_columns(format_: LineFormat) -> list[dict[str, str]]:
    request = REQUEST_COLUMNS[Requests(format_.kind)]
    columns = [{"name": column.name, "type": column.type} for column in format_.columns]
    return [{"name": request, "type": "STRING"}, *columns]


def _request_values(format_: LineFormat, at: str, *, whole: str = "") -> list[str]:
    """Return the SQL of the request and of the fields beside it.

    Args:
        format_: The format of the lines.
        at: The JSONPath of the object that has them.
        whole: The SQL of the request of a line that is not JSON.
    """
    if Requests(format_.kind) is Requests.TEXT_EMBEDDING:
        request = f"JSON_VALUE({_PARSED}, '{at}.content')"
        name = "content"
    else:
        request, name = _text_of(_PARSED, f"{at}.request"), "request"
    if whole:
        request = f"COALESCE({request}, {whole})"
    return [f"{request} AS {name}", *(_value(column, at) for column in format_.columns)]


def _text_of(json: str, path: str) -> str:
    """Return the SQL of the JSON at a path as text; NULL if there is none."""
    found = f"JSON_QUERY({json}, {string_literal(path)})"
    return f"IF({found} IS NULL, NULL, TO_JSON_STRING({found}))"


def _value(column: LineColumn, at: str) -> str:
    path = f'{at}."{column.name}"'
    conversion = _CONVERSIONS.get(column.type)
    if conversion is None:
        value = f"SAFE.PARSE_JSON({_text_of(_PARSED, path)}, wide_number_mode => 'round')"
    else:
        value = conversion.format(f"JSON_VALUE({_PARSED}, {string_literal(path)})")
    return f"{value} AS {column_sql(column.name)}"
