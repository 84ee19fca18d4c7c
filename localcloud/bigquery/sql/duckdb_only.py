"""Rejects functions, statements and tables that DuckDB has and BigQuery does not have.

They read this machine's files and settings, or tables without regard to a caller's access. BigQuery reports them as not
found, and so does this module.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import sqlglot
from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.syntax import STATEMENTS
from localcloud.bigquery.sql.tokens import (
    Token,
    position,
    syntax_error,
    tokens,
)

# BigQuery's table functions (https://cloud.google.com/bigquery/docs/reference/standard-sql/table-functions-built-in),
# those that read other services, and the streams to which ML functions are rewritten before.
_TABLE_FUNCTIONS = re.compile(
    r"""UNNEST|GAP_FILL|RANGE_SESSIONIZE|EXTERNAL_OBJECT_TRANSFORM|EXTERNAL_QUERY|VECTOR_SEARCH|SEARCH|APPENDS|CHANGES
    |ml_stream_[0-9a-f]{32}""",
    re.VERBOSE | re.IGNORECASE,
)
# DuckDB's table functions, for statements that sqlglot can't parse: there the tree does not show the tables.
_FOREIGN_TABLES = re.compile(
    r"""(?:arrow|pandas|parquet|seq|sqlite|postgres|mysql|iceberg|delta)_scan\w*|(?:parquet|duckdb|pragma|sqlite|read)_\w+
    |(?:json_execute_serialized_sql|from_substrait\w*|st_read\w*|shapefile_meta|sniff_csv|glob|query|query_table
    |python_map_function|which_secret|force_checkpoint|checkpoint|repeat_row|test_all_types|test_vector_types)""",
    re.VERBOSE | re.IGNORECASE,
)
_FOREIGN_SCALARS = re.compile(
    # The process, its settings and its state.
    r"""getenv|current_setting|getvariable|setseed|sleep_ms|pg_sleep|write_log|parse_duckdb_log_message|get_block_size
    |nextval|currval|inet_(?:client|server)_(?:addr|port)|pg_postmaster_start_time|pg_conf_load_time
    # The caller, its connection and its statement.
    |current_(?:catalog|database|schemas?|role|query|query_id|connection_id|transaction_id)|txid_current|in_search_path
    # The catalog behind the datasets.
    |pg_get_\w+|pg_\w+_is_visible|(?:col|obj|shobj)_description|has_\w+_privilege|pg_has_role
    # SQL as a value.
    |json_(?:de)?serialize_sql|json_serialize_plan""",
    re.VERBOSE | re.IGNORECASE,
)
_FOREIGN_VIEWS = re.compile(
    r"""duckdb_\w+|pragma_database_list|sqlite_(?:temp_)?(?:master|schema)
    |pg_(?:am|attrdef|attribute|class|collation|constraint|database|depend|description|enum|index|indexes|namespace
    |prepared_statements|proc|sequences?|settings|tables|tablespace|type|views)""",
    re.VERBOSE | re.IGNORECASE,
)
# GoogleSQL has these statements, BigQuery does not.
_UNSUPPORTED = {"DESCRIBE": "DescribeStatement", "EXPLAIN": "ExplainStatement", "SHOW": "ShowStatement"}
# A name after one of these words is defined or written, and its bracket opens a list of columns or parameters.
_BEFORE_A_DEFINITION = ("FUNCTION", "INTO", "TABLE", "EXISTS", "PROCEDURE")


def reject_duckdb_only(sql: str) -> None:
    """Reject a statement that uses something that only DuckDB has.

    Args:
        sql: One GoogleSQL statement, before its translation.

    Raises:
        QueryError: The statement, a function or a table is not BigQuery's.
    """
    try:
        found = tokens(sql)
    except QueryError:
        return  # the parser reports the error
    _reject_statement(sql, found)
    for token in _called(found):
        if _FOREIGN_SCALARS.fullmatch(token.text):
            raise QueryError(f"Function not found: {token.text} at {position(sql, token.start)}", location="query")
    try:
        trees = sqlglot.parse(sql, read="bigquery")
    except sqlglot.errors.SqlglotError:
        trees = [None]
    for tree in trees:
        if tree is None or isinstance(tree, exp.Command):
            for token in _called(found):
                if _FOREIGN_TABLES.fullmatch(token.text):
                    raise _no_table_function(sql, token.text)
        else:
            _reject_sources(sql, tree)


def _reject_statement(sql: str, found: tuple[Token, ...]) -> None:
    words = [token.text.upper() for token in found[:2]]
    first = words[0].partition(" ")[0] if words and found[0].kind == "word" else ""
    if first in _UNSUPPORTED:
        raise QueryError(f"Statement not supported: {_UNSUPPORTED[first]}", location="query")
    if first and not STATEMENTS.fullmatch(first):
        raise syntax_error(sql, f"Unexpected {found[0].named()}", found[0].start)
    if words[0:1] == ["LOAD"] and words[1:] != ["DATA"]:
        raise syntax_error(sql, "Expected keyword DATA", found[0].end)


def _called(found: tuple[Token, ...]) -> Iterator[Token]:
    """Yield the called names without a dot; a ``SAFE.`` prefix does not count."""
    for index, (token, bracket) in enumerate(itertools.pairwise(found)):
        if token.kind not in ("word", "quoted") or not bracket.is_symbol("("):
            continue
        before = found[index - 1] if index else None
        if before is not None and before.is_symbol(".") and not (index > 1 and found[index - 2].is_word("SAFE")):
            continue
        if before is None or not before.is_word(*_BEFORE_A_DEFINITION):
            yield token


def _reject_sources(sql: str, tree: exp.Expr) -> None:
    defined = {table.alias_or_name.lower() for table in tree.find_all(exp.CTE)}
    for node in tree.find_all(exp.Table, exp.Lateral):
        source = node.this
        if isinstance(source, exp.Literal):
            raise QueryError(f"Syntax error: Unexpected string literal '{source.name}'", location="query")
        if isinstance(node, exp.Table) and node.db:
            continue
        if isinstance(source, exp.Func):
            name = str(
                source.meta.get("name") or (source.name if isinstance(source, exp.Anonymous) else source.sql_name())
            )
            if not _TABLE_FUNCTIONS.fullmatch(name):
                raise _no_table_function(sql, name)
        elif isinstance(node, exp.Table) and node.name.lower() not in defined and _FOREIGN_VIEWS.fullmatch(node.name):
            raise QueryError(f'Table "{node.name}" must be qualified with a dataset (e.g. dataset.table).')


def _no_table_function(sql: str, name: str) -> QueryError:
    match = re.search(rf"\b{re.escape(name)}\b", sql, re.IGNORECASE)
    place = f" at {position(sql, match.start())}" if match else ""
    return QueryError(f"Table-valued function not found: {name}{place}", location="query")
