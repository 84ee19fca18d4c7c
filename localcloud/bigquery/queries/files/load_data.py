"""Parses LOAD DATA statements, which load files into a table as a load job does.

https://cloud.google.com/bigquery/docs/reference/standard-sql/load-statements
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.ml.models.options import OptionValue, take_options
from localcloud.bigquery.ml.objects.statements import table_name
from localcloud.bigquery.sql.reading.statement import TableName
from localcloud.bigquery.sql.reading.tokens import Cursor, Token, syntax_error
from localcloud.bigquery.sql.tables.partition_clauses import take_layout

# The options of FROM FILES that are supported, and their names and types in a load job's configuration.
_OPTIONS: dict[str, tuple[str, type]] = {
    "ALLOW_JAGGED_ROWS": ("allowJaggedRows", bool),
    "ALLOW_QUOTED_NEWLINES": ("allowQuotedNewlines", bool),
    "COLUMN_NAME_CHARACTER_MAP": ("columnNameCharacterMap", str),
    "DATE_FORMAT": ("dateFormat", str),
    "DATETIME_FORMAT": ("datetimeFormat", str),
    "DECIMAL_TARGET_TYPES": ("decimalTargetTypes", list),
    "ENCODING": ("encoding", str),
    "FIELD_DELIMITER": ("fieldDelimiter", str),
    "IGNORE_UNKNOWN_VALUES": ("ignoreUnknownValues", bool),
    "MAX_BAD_RECORDS": ("maxBadRecords", int),
    "NULL_MARKER": ("nullMarker", str),
    "NULL_MARKERS": ("nullMarkers", list),
    "PRESERVE_ASCII_CONTROL_CHARACTERS": ("preserveAsciiControlCharacters", bool),
    "QUOTE": ("quote", str),
    "SKIP_LEADING_ROWS": ("skipLeadingRows", int),
    "SOURCE_COLUMN_MATCH": ("sourceColumnMatch", str),
    "TIME_FORMAT": ("timeFormat", str),
    "TIME_ZONE": ("timeZone", str),
    "TIMESTAMP_FORMAT": ("timestampFormat", str),
}
_FORMATS = {
    "AVRO": "AVRO",
    "CSV": "CSV",
    "JSON": "NEWLINE_DELIMITED_JSON",
    "NEWLINE_DELIMITED_JSON": "NEWLINE_DELIMITED_JSON",
    "ORC": "ORC",
    "PARQUET": "PARQUET",
}
# Clauses that may follow the table, and are not supported here.
_CLAUSES = ("PARTITIONS", "OVERWRITE")


@dataclass(frozen=True)
class LoadColumn:
    """A column in the list of a LOAD DATA statement."""

    name: str
    type: str
    required: bool


@dataclass(frozen=True)
class LoadData:
    """A LOAD DATA statement.

    Attributes:
        target: The table.
        overwrite: Whether the rows replace those of the table.
        columns: The columns of the table; None to take them from the table or the files.
        configuration: The REST ``JobConfigurationLoad`` of the files, without table and schema.
        layout: PARTITION BY and CLUSTER BY of a new table as written, or nothing.
        options: The options of the table.
    """

    target: TableName
    overwrite: bool
    columns: tuple[LoadColumn, ...] | None
    configuration: dict[str, Any]
    layout: str = ""
    options: dict[str, OptionValue] = field(default_factory=dict)


def parse_load_data(sql: str, *, project: str, default_dataset: str | None) -> LoadData | None:
    """Return the statement in ``sql`` if it is a LOAD DATA statement, or None if it is another one.

    Raises:
        QueryError: The statement is not valid, or uses a clause or an option that is not supported here.
    """
    if sql.lstrip()[:4].upper() != "LOAD":
        return None
    cursor = Cursor(sql)
    cursor.expect_word("LOAD")
    cursor.expect_word("DATA")
    overwrite = cursor.take_words("OVERWRITE")
    if not overwrite:
        cursor.expect_word("INTO")
    if cursor.take_words("TEMP") or cursor.take_words("TEMPORARY"):
        raise _not_supported("TEMP TABLE")
    parts, _ = cursor.take_path()
    columns = take_columns(cursor)
    layout = take_layout(cursor)
    options = take_options(cursor) if cursor.take_words("OPTIONS") else {}
    for clause in _CLAUSES:
        if cursor.take_words(clause):
            raise _not_supported(clause)
    cursor.expect_word("FROM")
    cursor.expect_word("FILES")
    configuration = file_options(take_options(cursor), "LOAD DATA")
    if cursor.take_words("WITH"):
        raise _not_supported("WITH PARTITION COLUMNS or WITH CONNECTION")
    cursor.expect_end()
    target = table_name(parts, project, default_dataset)
    target.check()
    return LoadData(target, overwrite, columns, configuration, layout, options)


def file_options(options: dict[str, OptionValue], what: str) -> dict[str, Any]:
    """Return the REST ``JobConfigurationLoad`` of the files that the options of a statement name.

    Args:
        options: The options.
        what: The statement, for error messages.

    Raises:
        QueryError: An option is not supported, or has a wrong value.
    """
    given = dict(options)
    uris, kind = given.pop("URIS", None), given.pop("FORMAT", None)
    if not isinstance(uris, list) or not uris or not all(isinstance(uri, str) for uri in uris):
        raise QueryError("Option uris must be an array of Cloud Storage URIs.", location="query")
    if not isinstance(kind, str) or kind.upper() not in _FORMATS:
        raise QueryError(
            f"Option format must be one of {', '.join(_FORMATS)} in the local BigQuery, not {kind!r}.", location="query"
        )
    configuration: dict[str, Any] = {"sourceUris": uris, "sourceFormat": _FORMATS[kind.upper()]}
    for name, value in given.items():
        if name not in _OPTIONS:
            raise _not_supported(f"the option {name.lower()}", what)
        field, expected = _OPTIONS[name]
        if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
            raise QueryError(f"Invalid value for option {name.lower()}.", location="query")
        configuration[field] = value
    return configuration


def take_columns(cursor: Cursor) -> tuple[LoadColumn, ...] | None:
    """Take the list of columns of a statement; return None if it has none. Raises ``QueryError``."""
    if not cursor.take_symbol("("):
        return None
    columns = []
    while True:
        name = cursor.take()
        if name.kind not in ("word", "quoted"):
            raise syntax_error(cursor.sql, f"Unexpected {name.named()}", name.start)
        columns.append(LoadColumn(name.text, _type(cursor), _is_required(cursor)))
        if not cursor.take_symbol(","):
            cursor.expect_symbol(")")
            return tuple(columns)


def _type(cursor: Cursor) -> str:
    """Take a type such as ``ARRAY<STRUCT<a INT64>>``."""
    first, depth = cursor.take(), 0
    end = first.end
    while (token := cursor.peek()) is not None and (depth or not _ends_type(token)):
        # Two closing brackets can be one token.
        depth += token.text.count("<") + token.text.count("(") - token.text.count(">") - token.text.count(")")
        end = cursor.take().end
    return cursor.sql[first.start : end]


def _ends_type(token: Token) -> bool:
    return token.is_symbol(",", ")") or token.is_word("NOT", "OPTIONS")


def _is_required(cursor: Cursor) -> bool:
    required = cursor.take_words("NOT")
    if required:
        cursor.expect_word("NULL")
    if cursor.take_words("OPTIONS"):
        raise _not_supported("OPTIONS of a column")
    return required


def _not_supported(clause: str, what: str = "LOAD DATA") -> QueryError:
    return QueryError(
        f"{what} with {clause} is not supported by the local BigQuery.", reason="notImplemented", location="query"
    )
