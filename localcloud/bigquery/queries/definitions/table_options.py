"""The OPTIONS of tables and views: what CREATE and ALTER TABLE SET OPTIONS change, and what is refused.

https://cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language#table_option_list
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from types import NoneType
from typing import Any

from bqemulator.catalog.models import TableMeta, TimePartitioning
from sqlglot import exp

from localcloud.bigquery.base.errors import NotFound, QueryError
from localcloud.bigquery.ml.models.options import Expression, OptionValue, take_options
from localcloud.bigquery.ml.objects.statements import table_name
from localcloud.bigquery.queries.statements import Statements
from localcloud.bigquery.sql.reading.statement import Statement, TableName
from localcloud.bigquery.sql.reading.tokens import Cursor, bracket_pairs, tokens
from localcloud.bigquery.tables.catalog import NEVER
from localcloud.bigquery.tables.partitions import Partitions

_KEPT = frozenset({"DESCRIPTION", "FRIENDLY_NAME", "LABELS", "EXPIRATION_TIMESTAMP"})
_LAYOUT = frozenset({"PARTITION_EXPIRATION_DAYS", "REQUIRE_PARTITION_FILTER"})
WITHOUT_EFFECT = frozenset(
    {
        "KMS_KEY_NAME",
        "ENABLE_CHANGE_HISTORY",
        "MAX_STALENESS",
        "ENABLE_FINE_GRAINED_MUTATIONS",
        "TAGS",
        "PRIVACY_POLICY",
    }
)
"""The options that have no effect here, and none on the rows that a query returns in BigQuery."""
# A materialized view is always fresh here.
_OF_MATERIALIZED_VIEWS = frozenset({"ENABLE_REFRESH", "REFRESH_INTERVAL_MINUTES", "ALLOW_NON_INCREMENTAL_DEFINITION"})
_PARTITIONED = (exp.PartitionedByProperty, exp.LikeProperty, exp.Clone)
_OF_COLUMN = re.compile(r"^\s*ALTER\s+TABLE\s[^(]*?\b(?:ADD|ALTER)\s+COLUMN\b", re.IGNORECASE)
_DAY_MS = 24 * 60 * 60 * 1000
_REFUSED = frozenset({"DEFAULT_ROUNDING_MODE", "STORAGE_URI", "FILE_FORMAT", "TABLE_FORMAT"})
_CREATES = frozenset(
    {
        "CREATE_TABLE",
        "CREATE_TABLE_AS_SELECT",
        "CREATE_VIEW",
        "CREATE_MATERIALIZED_VIEW",
        "CREATE_SNAPSHOT_TABLE",
        "ALTER_TABLE",
        "ALTER_VIEW",
    }
)


def table_options(statement: Statement) -> dict[str, OptionValue]:
    """Return the options of a statement that creates or changes a table or view, with their names in upper case.

    Raises:
        QueryError: An option does not exist, or is not supported here.
    """
    if statement.kind not in _CREATES or "OPTIONS" not in statement.sql.upper() or _OF_COLUMN.search(statement.sql):
        return {}
    found = tokens(statement.sql)
    pairs = bracket_pairs(found)
    options: dict[str, OptionValue] = {}
    index = 0
    while index < len(found) - 1:
        token = found[index]
        if token.is_word("AS") and statement.kind.startswith("CREATE"):
            break
        before = found[index - 1]  # a table may be named so
        named = before.is_symbol(".") or before.is_word("TABLE", "VIEW", "EXISTS")
        if token.is_word("OPTIONS") and found[index + 1].is_symbol("(") and not named:
            options |= take_options(Cursor(statement.sql, index + 1))
        # The options of columns are inside the brackets of the list of columns.
        index = pairs.get(index, index) + 1 if token.is_symbol("(") else index + 1
    create = statement.tree
    if isinstance(create, exp.Create) and _LAYOUT & options.keys() and create.find(*_PARTITIONED) is None:
        raise _not_partitioned(next(iter(_LAYOUT & options.keys())))
    check_options(options, _OF_MATERIALIZED_VIEWS if statement.kind == "CREATE_MATERIALIZED_VIEW" else frozenset())
    return options


def without_options(sql: str) -> str:
    """Return a CREATE statement without the OPTIONS before its AS."""
    found = tokens(sql)
    pairs = bracket_pairs(found)
    for index, token in enumerate(found[:-1]):
        if token.is_word("AS"):
            break
        if token.is_word("OPTIONS") and found[index + 1].is_symbol("(") and index + 1 in pairs:
            return sql[: token.start] + sql[found[pairs[index + 1]].end :]
    return sql


def check_options(options: Mapping[str, OptionValue], extra: frozenset[str] = frozenset()) -> None:
    """Raise ``QueryError`` if an option of a table is neither one of ``extra`` nor supported here."""
    for name in options:
        if name in _REFUSED:
            raise QueryError(
                f"Option {name.lower()} is not supported by the local BigQuery.",
                reason="notImplemented",
                location="query",
            )
        if name not in _KEPT | _LAYOUT | WITHOUT_EFFECT | extra:
            raise QueryError(f"Unknown option: {name.lower()}", location="query")


def changed_options(statement: Statement, statements: Statements) -> TableName | None:
    """Return the table or view of an ALTER ... SET OPTIONS, or None if the statement is another one.

    Raises:
        NotFound: The table does not exist.
    """
    if statement.kind not in ("ALTER_TABLE", "ALTER_VIEW"):
        return None
    cursor = Cursor(statement.sql)
    cursor.take()
    cursor.take()
    exists = cursor.take_words("IF", "EXISTS")
    parts, _ = cursor.take_path()
    if not cursor.take_words("SET", "OPTIONS"):
        return None
    name = table_name(parts, statements.project, statements.default_dataset)
    if statements.destinations.get(name) is None and not exists:
        raise NotFound(f"Not found: Table {name} was not found in location {statements.location}")
    return name


def apply_options(options: dict[str, OptionValue], table: TableName | None, statements: Statements) -> None:
    """Write options of a table into the catalog, after the table exists.

    Raises:
        QueryError: A value does not have the option's type.
    """
    existing = statements.destinations.get(table) if table is not None else None
    if existing is None:
        return
    changes: dict[str, Any] = {}
    if _LAYOUT & options.keys():
        given = {name: value_of_option(options[name], statements) for name in _LAYOUT & options.keys()}
        changes["time_partitioning"] = _time_partitioning(given, existing)
    changes |= kept_values(options, statements)
    if changes:
        statements.context.catalog.update_table(existing.model_copy(update=changes))


def kept_values(options: Mapping[str, OptionValue], statements: Statements) -> dict[str, Any]:
    """Return the values of the options that the catalog keeps, by its names for them.

    Raises:
        QueryError: A value does not have the option's type.
    """
    changes: dict[str, Any] = {}
    for name in _KEPT & options.keys():
        value = value_of_option(options[name], statements)
        if name == "LABELS":
            changes["labels"] = labels_of(value)
        elif name == "EXPIRATION_TIMESTAMP":
            if value is not None and not isinstance(value, datetime):
                raise QueryError("Option expiration_timestamp must be a TIMESTAMP.", location="query")
            if value is not None and value <= statements.context.clock.now():
                raise QueryError(f"Option expiration_timestamp must be in the future; it is {value}.", location="query")
            changes["expiration_time"] = NEVER if value is None else value.astimezone(UTC)
        else:
            if value is not None and not isinstance(value, str):
                raise QueryError(f"Option {name.lower()} must be a STRING.", location="query")
            changes[name.lower()] = value
    return changes


def _time_partitioning(options: dict[str, Any], table: TableMeta) -> TimePartitioning:
    """Return the time partitioning of a table with other options. Raises ``QueryError``."""
    if Partitions.of(table) is None:
        raise _not_partitioned(next(iter(options)))
    changes: dict[str, Any] = {}
    if "REQUIRE_PARTITION_FILTER" in options:
        required = options["REQUIRE_PARTITION_FILTER"]
        if not isinstance(required, (bool, NoneType)):
            raise QueryError("Option require_partition_filter must be a BOOL.", location="query")
        changes["require_partition_filter"] = bool(required)
    if "PARTITION_EXPIRATION_DAYS" in options:
        days = options["PARTITION_EXPIRATION_DAYS"]
        if not isinstance(days, (int, float, Decimal, NoneType)) or isinstance(days, bool):
            raise QueryError("Option partition_expiration_days must be a number of days.", location="query")
        changes["expiration_ms"] = None if days is None else int(days * _DAY_MS)
    # A table with integer ranges has a time partitioning for these options alone.
    return (table.time_partitioning or TimePartitioning()).model_copy(update=changes)


def _not_partitioned(option: str) -> QueryError:
    return QueryError(
        f"Option {option.lower()} can be set only on partitioned tables; this table has no PARTITION BY.",
        location="query",
    )


def value_of_option(value: OptionValue, statements: Statements) -> Any:
    """Return the value of an option in Python. Raises ``QueryError`` if its expression is not valid."""
    if not isinstance(value, Expression):
        return value
    row = statements.connection.execute(statements.translate(f"SELECT {value.sql}")).fetchone()
    return None if row is None else row[0]


def labels_of(value: Any) -> dict[str, str]:
    """Return the labels in the value of an option. Raises ``QueryError`` if it is another one."""
    pairs = value or []
    if not isinstance(pairs, list) or not all(isinstance(pair, (tuple, dict)) and len(pair) == 2 for pair in pairs):
        raise QueryError("Option labels must be an ARRAY<STRUCT<STRING, STRING>>.", location="query")
    return {str(key): str(each) for key, each in (pair.values() if isinstance(pair, dict) else pair for pair in pairs)}
