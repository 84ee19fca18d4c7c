"""Rejects functions, types, statements and tables that BigQuery does not have, though sqlglot and DuckDB have them.

They read this machine's settings, or tables without regard to a caller's access. BigQuery reports them as not found, and so
does this module. The lists of what BigQuery has are in ``googlesql.py``.
"""

from __future__ import annotations

import itertools
import re
from functools import cache

import sqlglot
from sqlglot import exp
from sqlglot.dialects.bigquery import BigQuery

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.errors.syntax import STATEMENTS
from localcloud.bigquery.sql.reading.called import calls
from localcloud.bigquery.sql.reading.draft import Draft
from localcloud.bigquery.sql.reading.googlesql import CLAUSES, FUNCTIONS, TABLE_FUNCTIONS, TYPES
from localcloud.bigquery.sql.reading.tokens import Token, position, readable_tokens, syntax_error, tokens

# The functions and macros that the rewriting of a statement brings in before its translation.
_GENERATED = re.compile(
    r"(?:ml|bqemu)_\w+|_element\w*|_by_position|_without_nulls|_written_\w+|_net_\w+|\w+__\w+__\w+", re.IGNORECASE
)
_STREAM = re.compile(r"ml_stream_[0-9a-f]{32}", re.IGNORECASE)
# Their functions are known to BigQuery ML alone, which rejects the other ones.
# sqlglot does not read all calls of these.
_NOT_CARRIED_OUT = frozenset({"EXTERNAL_OBJECT_TRANSFORM", "EXTERNAL_QUERY", "GAP_FILL"})
_ML_NAMESPACES = frozenset({"AI", "ML"})
_FOREIGN_VIEWS = re.compile(
    r"""duckdb_\w+|pragma_database_list|sqlite_(?:temp_)?(?:master|schema)
    |pg_(?:am|attrdef|attribute|class|collation|constraint|database|depend|description|enum|index|indexes|namespace
    |prepared_statements|proc|sequences?|settings|tables|tablespace|type|views)""",
    re.VERBOSE | re.IGNORECASE,
)
# The schemas of bqemulator and of ours are beside the datasets in DuckDB.
_HIDDEN_SCHEMAS = re.compile(r"_bqemulator_\w+|_localcloud", re.IGNORECASE)
# GoogleSQL has these statements, BigQuery does not.
_UNSUPPORTED = {"DESCRIBE": "DescribeStatement", "EXPLAIN": "ExplainStatement", "SHOW": "ShowStatement"}
# A name after one of these words is defined, written or run, and its bracket opens a list of columns or parameters.
_BEFORE_A_DEFINITION = (
    "CALL",
    "FUNCTION",
    "INSERT",
    "INTO",
    "OVERWRITE",
    "TABLE",
    "EXISTS",
    "PROCEDURE",
    "REFERENCES",
    "VIEW",
)
_BEFORE_A_TYPE = ("CAST", "SAFE_CAST", "CREATE", "ALTER", "DECLARE", "STRUCT", "ARRAY")


def reject_duckdb_only(draft: Draft) -> None:
    """Reject a statement that uses something that BigQuery does not have.

    Args:
        draft: One statement before its translation. It may contain functions that the rewriting of ours and bqemulator's
            brought in.

    Raises:
        QueryError: The statement, a function or a table is not BigQuery's.
    """
    sql = draft.text
    found = readable_tokens(sql)
    _reject_statement(sql, found)
    if draft.tree is not None:
        _reject_sources(sql, draft.tree)
    _reject_functions(sql, found, _GENERATED)


def reject_foreign_names(sql: str, *, defined: frozenset[str] = frozenset()) -> None:
    """Reject a client's text that names a function, a type or a schema that BigQuery does not have.

    Args:
        sql: A statement or a script, as the client wrote it.
        defined: The names of temporary functions that are defined elsewhere, in upper case.

    Raises:
        QueryError: BigQuery does not have it.
    """
    found = readable_tokens(sql)
    for token in found:
        if token.kind in ("word", "quoted") and any(map(_HIDDEN_SCHEMAS.fullmatch, token.text.split("."))):
            raise QueryError(f"Not found: Dataset {token.text}", reason="notFound", location="query")
        if token.is_symbol("::"):
            raise syntax_error(sql, 'Unexpected ":"', token.start)
        if token.is_symbol("~~", "~~~", "~~*", "!~~", "!~~*", "^@"):
            raise syntax_error(sql, f'Unexpected "{token.text}"', token.start)
        if token.is_symbol("%"):
            raise syntax_error(sql, 'Illegal input character "%"', token.start)
    _reject_functions(sql, found, None, defined | _defined(found))
    _reject_types(sql, found)


def quote_routines(sql: str) -> str:
    """Return ``sql`` with each called path of three parts, ``p.d.f(``, in one pair of backticks.

    DuckDB would read the other form as the function ``f`` of the schema ``d`` in the database ``p``.
    """
    if sql.count(".") < 2:
        return sql
    found = readable_tokens(sql)
    for called in reversed(list(calls(found))):
        if len(called.parts) == 3 and called.last - called.first == 4 and not called.chained:
            end = found[called.last].end
            if not found[called.first].is_word("SAFE"):
                sql = f"{sql[: called.start]}`{'.'.join(called.parts)}`{sql[end:]}"
    return sql


def _reject_statement(sql: str, found: tuple[Token, ...]) -> None:
    words = [token.text.upper() for token in found[:2]]
    first = words[0].partition(" ")[0] if words and found[0].kind == "word" else ""
    if first in _UNSUPPORTED:
        raise QueryError(f"Statement not supported: {_UNSUPPORTED[first]}", location="query")
    if first and not STATEMENTS.fullmatch(first):
        raise syntax_error(sql, f"Unexpected {found[0].named()}", found[0].start)
    if words[0:1] == ["LOAD"] and words[1:] != ["DATA"]:
        raise syntax_error(sql, "Expected keyword DATA", found[0].end)


def _defined(found: tuple[Token, ...]) -> frozenset[str]:
    """Return the names in upper case of the functions that a script defines."""
    pairs = itertools.pairwise(found)
    after = itertools.chain(found[2:], (None,))
    names = {
        name.text.upper()
        for (word, name), dot in zip(pairs, after, strict=False)
        if word.is_word("FUNCTION", "EXISTS") and name.kind in ("word", "quoted")
        if dot is not None and dot.is_symbol("(")
    }
    return frozenset(names)


def _reject_functions(
    sql: str,
    found: tuple[Token, ...],
    generated: re.Pattern[str] | None,
    defined: frozenset[str] = frozenset(),
) -> None:
    for called in calls(found):
        parts = called.parts
        if len(parts) > 1 and parts[0].upper() == "SAFE" and not called.chained:
            parts = parts[1:]
        name = ".".join(parts)
        upper = name.upper()
        if generated is not None and upper in _NOT_CARRIED_OUT:
            raise QueryError(
                f"The function {upper} is not in the local BigQuery at {position(sql, called.start)}", location="query"
            )
        if upper in FUNCTIONS or upper in TABLE_FUNCTIONS or upper in defined:
            continue
        if len(parts) > 1 and not called.chained:
            # A routine of a dataset, or nothing: the table rewriter makes it a name that DuckDB's functions do not have.
            if parts[0].upper() in _ML_NAMESPACES or len(parts) <= 3:
                continue
        elif not called.chained:
            before = found[called.first - 1] if called.first else None
            if before is None or before.is_symbol(";"):
                continue  # the first word of a statement, which other checks reject
            defines = before.is_word(*_BEFORE_A_DEFINITION)
            clause = found[called.last].kind == "word" and upper in CLAUSES
            if defines or clause or (generated is not None and generated.fullmatch(name)):
                continue
            if generated is not None and before.is_word("AS"):
                continue  # the columns of an alias
            if before.is_word("BY") and upper == "NAME":
                continue  # of a set operation
        elif parts[0].upper() in _ML_NAMESPACES:
            continue
        kind = "Table-valued function" if called.first in _sources(found) else "Function"
        raise QueryError(f"{kind} not found: {name} at {position(sql, called.start)}", location="query")


def _sources(found: tuple[Token, ...]) -> set[int]:
    """Return the indexes of the tokens with which the tables of FROM clauses begin."""
    indexes: set[int] = set()
    # For each open bracket: whether a comma in it separates tables, and whether FROM in it is a word of a function call.
    lists, arguments = [False], [False]
    for index, token in enumerate(found):
        before = found[index - 1] if index else None
        if before is None:
            continue
        if (before.is_word("FROM") and not arguments[-1]) or before.is_word("USING") or _joins(before):
            indexes.add(index)
            lists[-1] = True
        elif before.is_symbol(",", "(") and lists[-1]:
            indexes.add(index)
        if token.is_symbol("("):
            lists.append(index in indexes)
            arguments.append(before.is_word("EXTRACT", "SUBSTRING", "TRIM"))
        elif token.is_symbol(")") and len(lists) > 1:
            lists.pop()
            arguments.pop()
        elif token.is_word("SELECT", "WHERE", "ON", "SET", "VALUES") or token.text.upper() in ("GROUP BY", "ORDER BY"):
            lists[-1] = False
    return indexes


def _joins(token: Token) -> bool:
    return token.kind == "word" and token.text.upper().endswith("JOIN")


def _reject_types(sql: str, found: tuple[Token, ...]) -> None:
    """Reject a type in CAST or SAFE_CAST, or of a column, a variable or a parameter, that BigQuery does not have."""
    if not any(token.is_word(*_BEFORE_A_TYPE) for token in found):
        return
    try:
        trees = sqlglot.parse(sql, read="bigquery")
    except Exception:  # sqlglot raises many kinds; the engine reports the syntax error
        return
    known = _known_types()
    for tree in trees:
        for kind in tree.find_all(exp.DataType) if tree is not None else ():
            if kind.sql(dialect="bigquery").upper() == "ANY TYPE":
                continue  # of a parameter of a function
            if isinstance(kind.this, exp.DType) and kind.this not in known:
                raise _no_type(sql, kind.this)
            element = kind.expressions[0] if kind.this == exp.DType.ARRAY and kind.expressions else None
            if isinstance(element, exp.DataType) and element.this == exp.DType.ARRAY:
                # https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#array_type
                raise QueryError(
                    f"Cannot construct array with element type {element.sql(dialect='bigquery')} because nested arrays are "
                    "not supported",
                    location="query",
                )


@cache
def _known_types() -> frozenset[exp.DType]:
    kinds: set[exp.DType] = {exp.DType.UNKNOWN, exp.DType.NULL}
    for name in TYPES:
        parsed = sqlglot.parse_one(f"SELECT CAST(x AS {name})", read="bigquery")
        kinds |= {kind.this for kind in parsed.find_all(exp.DataType) if isinstance(kind.this, exp.DType)}
    return frozenset(kinds)


def _no_type(sql: str, kind: exp.DType) -> QueryError:
    names = {name for name, token in BigQuery.Tokenizer.KEYWORDS.items() if token.name == kind.name} | {kind.value}
    written = next((token for token in tokens(sql) if token.kind == "word" and token.text.upper() in names), None)
    place = f"{written.text} at {position(sql, written.start)}" if written is not None else kind.value
    return QueryError(f"Type not found: {place}", location="query")


def _reject_sources(sql: str, tree: exp.Expr) -> None:
    defined = {table.alias_or_name.lower() for table in tree.find_all(exp.CTE)}
    for node in tree.find_all(exp.Table, exp.Lateral):
        source = node.this
        if isinstance(source, exp.Literal):
            raise QueryError(f"Syntax error: Unexpected string literal '{source.name}'", location="query")
        dataset = node.db if isinstance(node, exp.Table) else ""
        if isinstance(source, exp.Func):
            # With a dataset, only a function that sqlglot does not know becomes the name of a routine.
            if isinstance(source, exp.Anonymous) and (dataset or "." in source.name):
                continue
            name = str(
                source.meta.get("name") or (source.name if isinstance(source, exp.Anonymous) else source.sql_name())
            )
            if dataset or not (name.upper() in TABLE_FUNCTIONS or _STREAM.fullmatch(name)):
                raise _no_table_function(sql, name)
        elif dataset:
            continue
        elif isinstance(node, exp.Table) and node.name.lower() not in defined and _FOREIGN_VIEWS.fullmatch(node.name):
            raise QueryError(f'Table "{node.name}" must be qualified with a dataset (e.g. dataset.table).')


def _no_table_function(sql: str, name: str) -> QueryError:
    match = re.search(rf"\b{re.escape(name)}\b", sql, re.IGNORECASE)
    place = f" at {position(sql, match.start())}" if match else ""
    return QueryError(f"Table-valued function not found: {match.group() if match else name}{place}", location="query")
