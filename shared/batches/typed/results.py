"""Typed results: which columns a batch's answers are taken apart into, as the request or the response schema says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any

from shared.batches.inputs.columns import RESERVED_COLUMNS, has_kept_prefix
from shared.batches.inputs.gemini_messages import listed, value_of
from shared.checks.access import check_writable
from shared.checks.column_types import standard_name
from shared.checks.fields import Fields
from shared.checks.identifiers import TableName, check_column
from shared.checks.suggestions import closest
from shared.errors import Rejected
from shared.settings import Settings

# Each type of a column, with the SQL of a value: {} is the text of a JSON string, number or boolean. It is NULL if the text
# does not fit. https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/conversion_functions#safe_casting
_NUMBER = r"REGEXP_EXTRACT({}, r'^([+-]?(?:[0-9]+[.]?[0-9]*|[.][0-9]+)(?:[eE][+-]?[0-9]+)?)$')"
TYPES: Mapping[str, str] = {
    "STRING": "{}",
    "INT64": "SAFE_CAST(REGEXP_EXTRACT({}, r'^([+-]?[0-9]+)(?:[.]0+)?$') AS INT64)",
    "FLOAT64": f"SAFE_CAST({_NUMBER} AS FLOAT64)",
    "NUMERIC": f"SAFE_CAST({_NUMBER} AS NUMERIC)",
    "BIGNUMERIC": f"SAFE_CAST({_NUMBER} AS BIGNUMERIC)",
    "BOOL": "SAFE_CAST(REGEXP_EXTRACT(LOWER({}), r'^(true|false)$') AS BOOL)",
    "DATE": "SAFE_CAST({} AS DATE)",
    "DATETIME": "SAFE_CAST({} AS DATETIME)",
    "TIME": "SAFE_CAST({} AS TIME)",
    "TIMESTAMP": "SAFE_CAST({} AS TIMESTAMP)",
}
JSON = "JSON"
_ARRAY = re.compile(r"ARRAY<(\w+)>")
_COLUMN = re.compile(r"([A-Za-z0-9]+(?:<[A-Za-z0-9]+>)?)\s+(\$.*)", re.DOTALL)
# A key with or without quotes, or the index of an array:
# https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/json_functions#JSONPath_format
_STEP = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)|\.\"([^\"\\\x00-\x1f]+)\"|\[([0-9]{1,9})\]")
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_EXAMPLE = "write a type and a path, such as STRING $.title"
MOST_COLUMNS = 500
# What happens to the rows that the table has. Results are added to no other rows, so that each table is that of one batch.
WRITES = ("empty", "truncate")

# The types of Google's Schema and of JSON Schema: https://docs.cloud.google.com/vertex-ai/docs/reference/rest/v1/Schema
_SCHEMA_TYPES: Mapping[str, str] = {"STRING": "STRING", "INTEGER": "INT64", "NUMBER": "FLOAT64", "BOOLEAN": "BOOL"}


@dataclass(frozen=True)
class ResultColumn:
    """A column of the results."""

    name: str
    type: str
    """A name in ``TYPES``, an array of one (``ARRAY<STRING>``), or ``JSON``."""
    path: str
    """Where the value is in the JSON of an answer, as a JSONPath of BigQuery."""
    required: bool = False
    """Whether an answer without the value is reported."""

    @property
    def element(self) -> str | None:
        """The type of an element of an array; None for another type."""
        found = _ARRAY.fullmatch(self.type)
        return found[1] if found else None

    @property
    def is_whole_text(self) -> bool:
        """Whether the column is the text of the answer, which need not be JSON."""
        return (self.type, self.path) == ("STRING", "$")


@dataclass(frozen=True)
class Results:
    """The table of the results."""

    table: TableName
    columns: tuple[ResultColumn, ...]
    write: str = "empty"
    """``empty`` or ``truncate``: whether the table may have rows, which are then replaced."""


def read_results(fields: Fields, schema: Mapping[str, Any] | None, settings: Settings) -> Results | None:
    """Read the field ``results``: ``{"table": "films.titles", "columns": {"title": "STRING $.title"}}``.

    Args:
        fields: The batch request.
        schema: The response schema of the requests, from which the columns follow if they are not given.
        settings: The settings.

    Raises:
        Rejected: A field is wrong, or there are neither columns nor a schema.
    """
    results = fields.optional_nested("results")
    if results is None:
        return None
    text = results.text("table", longest=2048).removeprefix("bq://")
    table = TableName.parse(text, project=settings.google_cloud_project, field="results.table")
    check_writable(table.project, table.dataset, settings, "results.table")
    write = results.choice("write", WRITES, "empty")
    given = results.text_map("columns")
    results.reject_unknown()
    if not given and schema is None:
        raise results.wrong(
            "columns", f"is missing, and there is no response schema: {_EXAMPLE} for each column", code="missing_field"
        )
    if len(given) > MOST_COLUMNS:
        raise results.wrong("columns", f"has {len(given)} columns; the most is {MOST_COLUMNS}")
    columns = tuple(_read_column(name, value) for name, value in given.items())
    return Results(table, columns or columns_of_schema(schema or {}), write)


def check_names(results: Results, others: Iterable[str], field: str = "results.columns") -> None:
    """Raise ``Rejected`` if a column of the results has the name of another one, or of a column of the input."""
    taken = {name.lower(): "the input has a column of this name" for name in others}
    for column in results.columns:
        if problem := taken.get(column.name.lower()):
            raise Rejected(
                f"{field}.{column.name} cannot be: {problem}; choose another name",
                field=f"{field}.{column.name}",
                code="duplicate_column",
            )
        taken[column.name.lower()] = "another column of the results has this name"


def _read_column(name: str, text: str) -> ResultColumn:
    field = f"results.columns.{name[:80]}"
    check_column(name, field)
    if name.lower() in {*RESERVED_COLUMNS, "request"}:
        raise Rejected(
            f"{field} has a name that the answers need: choose another one", field=field, code="reserved_column"
        )
    if has_kept_prefix(name):
        raise Rejected(
            f"{field} begins with a name that BigQuery keeps for itself: choose another one",
            field=field,
            code="invalid_column_name",
        )
    match = _COLUMN.fullmatch(text.strip())
    if match is None:
        raise Rejected(f"{field} is {text[:80]!r}: {_EXAMPLE}", field=field, code="invalid_field")
    return ResultColumn(name, _read_type(match[1], field), _read_path(match[2].strip(), field))


def _read_type(text: str, field: str) -> str:
    upper = text.upper()
    array = _ARRAY.fullmatch(upper)
    inner = standard_name(array[1] if array else upper)
    if inner in TYPES:
        return f"ARRAY<{inner}>" if array else inner
    if upper == JSON:
        return JSON
    similar = closest(inner, TYPES)
    meant = f"did you mean {similar}? Known" if similar else "known"
    raise Rejected(
        f"{field} has the type {text[:40]}; {meant} are {', '.join(TYPES)}, JSON, and ARRAY<...> of all but JSON",
        field=field,
        code="invalid_field",
    )


def _read_path(text: str, field: str) -> str:
    path, position = "$", 1
    while position < len(text):
        step = _STEP.match(text, position)
        if step is None:
            raise Rejected(
                f"{field} has the path {text[:80]!r}, which cannot be read from {text[position : position + 20]!r}: write $, "
                '$.title, $."two words" or $.actors[0].name',
                field=field,
                code="invalid_field",
            )
        key = step[1] or step[2]
        path += _key(key) if key else f"[{step[3]}]"
        position = step.end()
    return path


def _key(key: str) -> str:
    return f".{key}" if _PLAIN_KEY.fullmatch(key) else f'."{key}"'


def columns_of_schema(schema: Mapping[str, Any]) -> tuple[ResultColumn, ...]:
    """Return the columns that follow from a response schema: one for each property of an object, or one ``answer``."""
    properties = schema.get("properties")
    if _type_of(schema) != "OBJECT" or not isinstance(properties, Mapping):
        return (ResultColumn("answer", _column_type(schema), "$", required=True),)
    ordering = [name for name in listed(value_of(schema, "propertyOrdering")) if name in properties]
    names = list(dict.fromkeys([*ordering, *properties]))
    required = set(listed(schema.get("required")))
    columns = zip(names, _column_names(names), strict=True)
    return tuple(
        ResultColumn(column, _column_type(properties[name]), f"${_key(name)}", required=name in required)
        for name, column in columns
        if not _UNREADABLE_KEY.search(name)
    )


# A key that no JSONPath of BigQuery can name.
_UNREADABLE_KEY = re.compile(r"[\"\\\x00-\x1f]")


def _column_names(names: Iterable[str]) -> Iterator[str]:
    """Yield the name of a column for each property, each once."""
    taken: Set[str] = {*RESERVED_COLUMNS, "request"}
    for name in names:
        column = re.sub(r"[^A-Za-z0-9_]", "_", name)[:290]
        if not column or column[0].isdigit():
            column = f"_{column}"
        if has_kept_prefix(column):
            column = f"column{column}"
        while column.lower() in taken:
            column += "_"
        taken = {*taken, column.lower()}
        yield column


def _type_of(schema: Any) -> str:
    """Return the type of a schema in upper case; JSON Schema has it in lower case, and null beside it."""
    if not isinstance(schema, Mapping):
        return ""
    kind = schema.get("type")
    names = [str(each).upper() for each in (kind if isinstance(kind, list) else [kind])]
    others = [name for name in names if name != "NULL"]
    return others[0] if len(others) == 1 else ""


def _column_type(schema: Any) -> str:
    kind = _type_of(schema)
    if kind == "ARRAY":
        element = _SCHEMA_TYPES.get(_type_of(schema.get("items")))
        return f"ARRAY<{element}>" if element else JSON
    return _SCHEMA_TYPES.get(kind, JSON)
