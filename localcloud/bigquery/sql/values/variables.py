"""Replaces the variables of a script in a statement by named parameters.

A column takes precedence over a variable of the same name:
https://cloud.google.com/bigquery/docs/reference/standard-sql/procedural-language#declare
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping

from sqlglot import exp

from localcloud.bigquery.sql.reading.tokens import Token, bracket_pairs, parsed, readable_tokens

_PREFIX = "_v"
_WORDS = re.compile(r"\w+")
# Before one of these, a name is an alias, a table or a declaration, and not a variable.
_BEFORE_OTHER_NAMES = frozenset({"AS", "FROM", "JOIN", "INTO", "TABLE", "MODEL", "UPDATE", "MERGE", "FUNCTION"})

ColumnsOf = Callable[[exp.Table], Collection[str]]
"""Returns the names of the columns of a table or of a call of a table function, in lower case."""


def replace_variables(sql: str, names: Mapping[str, str], columns_of: ColumnsOf) -> tuple[str, dict[str, str]]:
    """Return a statement with parameters in place of the variables.

    Args:
        sql: The statement.
        names: The names of the variables by their names in lower case.
        columns_of: Returns the columns of a table.

    Returns:
        The statement, and the variable of each parameter that it has.
    """
    mentioned = {word.lower() for word in _WORDS.findall(sql)} & names.keys()
    if not mentioned:
        return sql, {}
    numbers = {name: f"{_PREFIX}{index}" for index, name in enumerate(sorted(mentioned))}
    tree = parsed(sql)
    if tree is None or isinstance(tree, exp.Command) or _creates_model(tree):
        places = list(_words(sql, numbers))
    else:
        places = list(_columns(tree, numbers, columns_of))
    used: dict[str, str] = {}
    for start, end, name, alias in sorted(places, reverse=True):
        used[numbers[name]] = names[name]
        sql = f"{sql[:start]}@{numbers[name]}{alias}{sql[end:]}"
    return sql, used


def _creates_model(tree: exp.Expr) -> bool:
    return isinstance(tree, exp.Create) and tree.args.get("kind") == "MODEL"


def _columns(tree: exp.Expr, numbers: Mapping[str, str], columns_of: ColumnsOf) -> Iterator[tuple[int, int, str, str]]:
    """Yield the start, the end, the variable, and the alias of each use of a variable."""
    for column in tree.find_all(exp.Column):
        first = column.parts[0]
        name = first.name.lower()
        if name not in numbers or "start" not in first.meta or not isinstance(first, exp.Identifier):
            continue
        if _is_assigned(column) or _is_column(column, name, columns_of):
            continue
        alone = len(column.parts) == 1 and isinstance(column.parent, exp.Select) and column.arg_key == "expressions"
        yield first.meta["start"], first.meta["end"] + 1, name, f" AS `{first.name}`" if alone else ""


def _is_assigned(column: exp.Column) -> bool:
    """Return whether a column is the left side of an assignment of UPDATE."""
    parent = column.parent
    return isinstance(parent, exp.EQ) and column.arg_key == "this" and isinstance(parent.parent, exp.Update)


def _is_column(column: exp.Column, name: str, columns_of: ColumnsOf) -> bool:
    """Return whether a source of a query around a name has a column or an alias of that name."""
    node: exp.Expr | None = column
    inside: set[type[exp.Expr]] = set()
    around: set[int] = set()
    while node is not None:
        if isinstance(node, exp.Select):
            # A source does not see its own columns.
            if any(_provides(source, name, columns_of) for source in _sources(node) if id(source) not in around):
                return True
            aliases = {each.alias.lower() for each in node.expressions if isinstance(each, exp.Alias)}
            if name in aliases and inside & {exp.Order, exp.Group, exp.Having, exp.Qualify}:
                return True
        elif isinstance(node, (exp.Update, exp.Delete, exp.Merge)):
            sources = [node.this, node.args.get("using"), *_sources(node)]
            if any(isinstance(source, exp.Expr) and _provides(source, name, columns_of) for source in sources):
                return True
        inside.add(type(node))
        around.add(id(node))
        node = node.parent
    return False


def _sources(node: exp.Expr) -> Iterator[exp.Expr]:
    source = node.args.get("from_") or node.args.get("from")
    if isinstance(source, exp.From):
        yield source.this
    for join in [*(node.args.get("joins") or ()), *(node.args.get("laterals") or ())]:
        yield join.this if isinstance(join, exp.Join) else join


def _provides(source: exp.Expr, name: str, columns_of: ColumnsOf) -> bool:
    """Return whether a source of a FROM clause is named ``name``, or has a column of that name."""
    if source.alias_or_name.lower() == name:
        return True
    alias = source.args.get("alias")
    if isinstance(alias, exp.TableAlias) and any(column.name.lower() == name for column in alias.columns):
        return True
    if isinstance(source, exp.Unnest):
        offset = source.args.get("offset")
        return isinstance(offset, exp.Expr) and offset.name.lower() == name
    if isinstance(source, exp.Subquery):
        return _projects(source.this, name, columns_of)
    if isinstance(source, exp.Table):
        for joined in _sources(source):
            if _provides(joined, name, columns_of):
                return True
        table = None
        if not source.db and isinstance(source.this, exp.Identifier):
            table = next((t for t in source.root().find_all(exp.CTE) if t.alias.lower() == source.name.lower()), None)
        return name in columns_of(source) if table is None else _projects(table.this, name, columns_of)
    return False


def _projects(query: exp.Expr, name: str, columns_of: ColumnsOf) -> bool:
    """Return whether a query returns a column of this name."""
    while isinstance(query, (exp.SetOperation, exp.Subquery)):
        query = query.this
    if not isinstance(query, exp.Select):
        return False
    if any(each.alias_or_name.lower() == name for each in query.expressions):
        return True
    return query.is_star and any(_provides(source, name, columns_of) for source in _sources(query))


def _words(sql: str, numbers: Mapping[str, str]) -> Iterator[tuple[int, int, str, str]]:
    """Yield the places of variables in a statement that sqlglot can't parse, or whose options it does not parse."""
    found = readable_tokens(sql)
    for index, token in enumerate(found):
        name = token.text.lower()
        if name in numbers and token.kind in ("word", "quoted") and _is_free(found, index):
            yield token.start, token.end, name, ""


def _is_free(found: tuple[Token, ...], index: int) -> bool:
    before = found[index - 1] if index else None
    after = found[index + 1] if index + 1 < len(found) else None
    if before is not None and (before.is_symbol(".", "@") or before.text.upper() in _BEFORE_OTHER_NAMES):
        return False
    if before is not None and before.is_symbol("(", ",") and after is not None and after.is_symbol("="):
        return not _is_option(found, index)
    return after is None or not after.is_symbol("(", "=>")


def _is_option(found: tuple[Token, ...], index: int) -> bool:
    """Return whether the name at ``index`` is that of an option, in the brackets after OPTIONS."""
    pairs = bracket_pairs(found)
    while index >= 0 and not found[index].is_symbol("("):
        index = pairs.get(index, index) - 1
    return index > 0 and found[index - 1].is_word("OPTIONS")
