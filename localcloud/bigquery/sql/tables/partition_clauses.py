"""Reads PARTITION BY in CREATE TABLE.

https://cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language#partition_expression
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bqemulator.catalog.models import Clustering, RangePartitioning, TimePartitioning
from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.reading.tokens import Cursor
from localcloud.bigquery.sql.tables.pseudo_columns import PARTITION_DATE, PARTITION_TIME

# The units of each function, and the type of its column. DATE also takes a DATETIME, which `check_columns` allows.
_UNITS = {
    "DATE": ("DAY",),
    "DATE_TRUNC": ("MONTH", "YEAR"),
    "DATETIME_TRUNC": ("HOUR", "DAY", "MONTH", "YEAR"),
    "TIMESTAMP_TRUNC": ("HOUR", "DAY", "MONTH", "YEAR"),
}
_COLUMN_TYPES = {
    "": ("DATE",),
    "DATE": ("TIMESTAMP", "DATETIME"),
    "DATE_TRUNC": ("DATE",),
    "DATETIME_TRUNC": ("DATETIME",),
    "TIMESTAMP_TRUNC": ("TIMESTAMP",),
    "RANGE_BUCKET": ("INTEGER", "INT64"),
}
_TIME = re.compile(
    r"(?:(?P<function>DATE|DATE_TRUNC|DATETIME_TRUNC|TIMESTAMP_TRUNC)\s*\(\s*)?`?(?P<column>\w+)`?"
    r"(?:\s*,\s*'?(?P<unit>\w+)'?)?\s*(?P<closed>\))?",
    re.IGNORECASE,
)
_RANGE = re.compile(
    r"RANGE_BUCKET\s*\(\s*`?(?P<column>\w+)`?\s*,\s*GENERATE_ARRAY\s*\(\s*(?P<start>-?\s*\d+)\s*,\s*(?P<end>-?\s*\d+)\s*"
    r"(?:,\s*(?P<interval>-?\s*\d+)\s*)?\)\s*\)",
    re.IGNORECASE,
)
_EXPECTED = (
    "PARTITION BY expression must be DATE(<timestamp_column>), DATE(<datetime_column>), DATETIME_TRUNC(<datetime_column>, "
    "DAY/HOUR/MONTH/YEAR), a DATE column, TIMESTAMP_TRUNC(<timestamp_column>, DAY/HOUR/MONTH/YEAR), "
    "DATE_TRUNC(<date_column>, MONTH/YEAR), or RANGE_BUCKET(<int64_column>, GENERATE_ARRAY(<int64_value>, <int64_value>[, "
    "<int64_value>]))"
)


def partitioning_of(
    create: exp.Expr | None, types: Mapping[str, str] | None = None
) -> TimePartitioning | RangePartitioning | None:
    """Return the partitioning that a CREATE TABLE declares; None without PARTITION BY, and for other statements.

    Args:
        create: The tree of the statement.
        types: The types of the columns by their names in lower case; None leaves them unchecked.

    Raises:
        QueryError: The expression is not one of BigQuery's, its column does not exist or has another type, or a table
            that is partitioned by ingestion time has a query.
    """
    clause = create.find(exp.PartitionedByProperty) if isinstance(create, exp.Create) else None
    if clause is None or clause.find_ancestor(exp.Select) is not None or not isinstance(create, exp.Create):
        return None
    text = clause.this.sql(dialect="bigquery").strip()
    if (found := _RANGE.fullmatch(text)) is not None:
        start, end, interval = (int((found[name] or "1").replace(" ", "")) for name in ("start", "end", "interval"))
        if interval <= 0 or end <= start:
            raise QueryError(_EXPECTED, location="query")
        _check_column(found["column"], "RANGE_BUCKET", types)
        return RangePartitioning(field=found["column"], start=start, end=end, interval=interval)
    found = _TIME.fullmatch(text)
    if found is None or bool(found["function"]) != bool(found["closed"]):
        raise QueryError(_EXPECTED, location="query")
    function, column = (found["function"] or "").upper(), found["column"]
    unit = (found["unit"] or "DAY").upper()
    if unit not in _UNITS.get(function, ("DAY",)) or (found["unit"] and function in ("", "DATE")):
        raise QueryError(_EXPECTED, location="query")
    if column.upper() == (PARTITION_TIME if function else PARTITION_DATE):
        if create.args.get("expression") is not None:
            raise QueryError(
                "Partitioning by ingestion time is not supported in CREATE TABLE AS SELECT. Partition the table by one of "
                "its columns, or create it first.",
                location="query",
            )
        return TimePartitioning.model_validate({"type": unit})
    _check_column(column, function, types)
    return TimePartitioning.model_validate({"type": unit, "field": column})


def take_layout(cursor: Cursor) -> str:
    """Take PARTITION BY and CLUSTER BY from a statement that sqlglot does not parse; return them as written, or nothing."""
    first = last = cursor.peek()
    if first is None or not first.is_word("PARTITION BY", "PARTITION", "CLUSTER BY", "CLUSTER"):
        return ""
    depth = 0
    while (token := cursor.peek()) is not None and not token.is_symbol(";"):
        if depth == 0 and token.is_word("OPTIONS", "AS", "FROM"):
            break
        depth += token.is_symbol("(") - token.is_symbol(")")
        last = cursor.take()
    return "" if last is None else cursor.sql[first.start : last.end]


def layout_of(partitioning: TimePartitioning | RangePartitioning | None) -> dict[str, Any]:
    """Return a partitioning as the fields of a REST table resource."""
    match partitioning:
        case TimePartitioning(type=unit, field=column):
            return {"timePartitioning": {"type": unit} | ({"field": column} if column else {})}
        case RangePartitioning(field=column, start=start, end=end, interval=interval):
            return {"rangePartitioning": {"field": column, "range": {"start": start, "end": end, "interval": interval}}}
    return {}


def clustering_of(create: exp.Expr | None) -> Clustering | None:
    """Return the columns of CLUSTER BY in a CREATE TABLE, or None."""
    clause = create.find(exp.ClusterProperty) if isinstance(create, exp.Create) else None
    return None if clause is None else Clustering(fields=tuple(column.name for column in clause.expressions))


def declared_columns(create: exp.Expr | None) -> list[tuple[str, str]]:
    """Return the names and types of the columns that a CREATE TABLE declares; none without a list of columns and types."""
    schema = create.this if isinstance(create, exp.Create) else None
    columns = [each for each in schema.expressions if isinstance(each, exp.ColumnDef)] if schema is not None else []
    if any(column.args.get("kind") is None for column in columns):
        return []
    return [(column.name, column.args["kind"].sql(dialect="bigquery")) for column in columns]


def declared_types(create: exp.Expr | None) -> dict[str, str] | None:
    """Return the types of the columns that a CREATE TABLE declares, by their names in lower case; None without a list."""
    return {name.lower(): kind.upper() for name, kind in declared_columns(create)} or None


def _check_column(column: str, function: str, types: Mapping[str, str] | None) -> None:
    if types is None:
        return
    kind = types.get(column.lower())
    if kind is None:
        raise QueryError(f"Unrecognized name: {column}", location="query")
    if kind not in _COLUMN_TYPES[function]:
        raise QueryError(_EXPECTED, location="query")
