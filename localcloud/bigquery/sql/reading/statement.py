"""Reads one GoogleSQL statement: its type, the tables that it reads and writes, the names of its columns.

sqlglot's BigQuery dialect parses it. The type of a statement that sqlglot can't parse is read from its first words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count
from typing import Any

from sqlglot import exp

from localcloud.bigquery.sql.reading.called import calls
from localcloud.bigquery.sql.reading.identifiers import check_table_id
from localcloud.bigquery.sql.reading.names import bracket_json, join_networks, quote_keywords, quote_names, unnest_paths
from localcloud.bigquery.sql.reading.sources import correlated_paths
from localcloud.bigquery.sql.reading.statement_types import (
    DDL_OPERATIONS,
    DML_TYPES,
    start_of,
    type_by_tree,
    type_by_words,
)
from localcloud.bigquery.sql.reading.tokens import parsed, readable_tokens

_DELETE = re.compile(r"DELETE\s+(?!FROM\b)(?=[`\w])", re.IGNORECASE)
_COPY = re.compile(
    r"(?P<head>CREATE\s+(?:OR\s+REPLACE\s+)?TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?[`\w.-]+)\s+COPY\s+(?=[`\w])",
    re.IGNORECASE,
)
# What UNPIVOT does by itself: https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#unpivot_operator
_EXCLUDED = re.compile(r"\bUNPIVOT\s+EXCLUDE\s+NULLS\b", re.IGNORECASE)
_ALTER = re.compile(
    r"(?:ALTER\s+(?:TABLE|VIEW)|(?:CREATE|DROP)\s+SNAPSHOT\s+TABLE)\s+(?:IF\s+(?:NOT\s+)?EXISTS\s+)?"
    r"(?P<name>(?:`[^`]+`|[\w.-]+)+)",
    re.IGNORECASE,
)
_SNAPSHOT_OF = re.compile(
    r"CREATE\s+SNAPSHOT\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?[`\w.-]+\s+CLONE\s+(?P<name>(?:`[^`]+`|[\w.-]+)+)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class TableName:
    """The full name of a table."""

    project: str
    dataset: str
    table: str

    def reference(self) -> dict[str, str]:
        """Return the REST ``TableReference``."""
        return {"projectId": self.project, "datasetId": self.dataset, "tableId": self.table}

    def __str__(self) -> str:
        return f"{self.project}:{self.dataset}.{self.table}"

    @property
    def sql(self) -> str:
        """The name in GoogleSQL."""
        return f"`{self.project}`.`{self.dataset}`.`{self.table}`"

    @property
    def quoted(self) -> str:
        """The name in DuckDB, which has one schema per dataset."""
        schema, table = (part.replace('"', '""') for part in (f"{self.project}__{self.dataset}", self.table))
        return f'"{schema}"."{table}"'

    @classmethod
    def of(cls, reference: dict[str, Any], project: str) -> TableName:
        """Return the name in a REST ``TableReference``, with ``project`` as the default project.

        Raises:
            QueryError: An id is missing or not valid.
        """
        name = cls(
            str(reference.get("projectId") or project),
            str(reference.get("datasetId") or ""),
            str(reference.get("tableId") or ""),
        )
        name.check()
        return name

    def check(self) -> None:
        """Raise ``QueryError`` if an id of the name is not valid."""
        check_table_id(self.project, self.dataset, self.table)


@dataclass(frozen=True)
class Unqualified:
    """A table name without a dataset, and its offset in the text of the statement."""

    name: str
    start: int


@dataclass(frozen=True)
class Statement:
    """One statement.

    Attributes:
        sql: The text, with backticks where sqlglot needs them.
        kind: BigQuery's ``statementType``, or an empty string if it is not known.
        tree: sqlglot's syntax tree, or None if sqlglot can't parse the statement.
        tables: The tables named with a dataset, in order and without duplicates.
        unqualified: The table names without a dataset, except those of CTEs.
        target: The table or view that the statement writes, creates or drops, or None.
        identifiers: The identifiers in lower case, which include all column names; None if there is a ``*``.
        project: The project of names without one.
    """

    sql: str
    kind: str
    tree: exp.Expr | None = None
    tables: tuple[TableName, ...] = ()
    unqualified: tuple[Unqualified, ...] = ()
    target: TableName | None = None
    identifiers: frozenset[str] | None = field(default=None)
    project: str = ""

    @property
    def routines(self) -> list[TableName]:
        """The names that may be routines of a dataset, because they are called with a dataset. Not all of them exist."""
        if "." not in self.sql:
            return []
        found = readable_tokens(self.sql)
        names = []
        for called in calls(found):
            parts = called.parts[1:] if called.parts[0].upper() == "SAFE" else called.parts
            if not called.chained and len(parts) in (2, 3):
                names.append(TableName(*parts) if len(parts) == 3 else TableName(self.project, *parts))
        return names

    @property
    def is_temporary(self) -> bool:
        """Whether the statement creates a temporary table, or drops a table without a dataset, which is temporary."""
        if isinstance(self.tree, exp.Create):
            properties = self.tree.args.get("properties")
            return properties is not None and properties.find(exp.TemporaryProperty) is not None
        return isinstance(self.tree, exp.Drop) and self.target is None

    @property
    def written_table(self) -> str | None:
        """The DuckDB name of the table that the statement writes, which is temporary without a dataset; or None."""
        if self.target is not None:
            return self.target.quoted
        node = None if self.tree is None else _target_node(self.tree)
        return '"{}"'.format(node.name.replace('"', '""')) if isinstance(node, exp.Table) else None

    @property
    def is_query(self) -> bool:
        """Whether the statement is a query."""
        return self.kind == "SELECT"

    def column_names(self) -> list[str] | None:
        """Return the names of a query's columns, or None if the text does not show them (``*``).

        BigQuery names columns without a name ``f0_``, ``f1_``, ...:
        https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#implicit_aliases
        """
        written = self.written_names()
        if written is None:
            return None
        nameless = count()
        return [f"f{next(nameless)}_" if name is None else name for name in written]

    def written_names(self) -> list[str | None] | None:
        """Return the names of a query's columns, None for one without a name; or None if there is a ``*``."""
        select = self.tree
        while isinstance(select, (exp.SetOperation, exp.Subquery)):
            if select.args.get("by_name"):
                return None
            select = select.this
        if not isinstance(select, exp.Select) or select.args.get("kind") or any(p.is_star for p in select.expressions):
            return None
        names: list[str | None] = []
        for projection in select.expressions:
            while isinstance(projection, exp.Paren):
                projection = projection.this  # (x) is named as x
            path = isinstance(projection, exp.Dot) and isinstance(projection.expression, exp.Identifier)
            name = projection.alias_or_name if path or isinstance(projection, (exp.Alias, exp.Column)) else ""
            names.append(name or None)
        return names

    def with_names(self, columns: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return a query's columns (name, DuckDB type) with the names from ``column_names``."""
        names = self.column_names()
        if names is None or len(names) != len(columns):
            return columns
        return [(name, kind) for name, (_, kind) in zip(names, columns, strict=True)]


@lru_cache(maxsize=512)
def read_statement(sql: str, *, project: str) -> Statement:
    """Read one statement. ``project`` is the project of names without one.

    The function does not raise: a statement that can't be parsed has no tree. The result is cached, so copy its tree
    before you change it.
    """
    sql = bracket_json(unnest_paths(quote_names(join_networks(_parseable(sql)))))
    kind = type_by_words(sql)
    tree = parsed(sql)
    if tree is None:
        quoted = quote_keywords(sql)
        tree = parsed(quoted) if quoted != sql else None
        if tree is None:
            return Statement(sql, kind, unqualified=_altered_names(sql), target=_altered(sql, project), project=project)
        sql = quoted
    if paths := correlated_paths(tree):
        sql = _unnested(sql, paths)
        tree = parsed(sql) or tree
    kind = kind or type_by_tree(tree)
    shadowed = {cte.alias_or_name.lower() for cte in tree.find_all(exp.CTE)}
    tables: dict[TableName, None] = {}
    unqualified: list[Unqualified] = []
    models = {id(node.this) for node in tree.find_all(exp.Predict)}
    for node in tree.find_all(exp.Table):
        if isinstance(node.this, exp.Dot) and "INFORMATION_SCHEMA" not in node.this.sql().upper():
            # More than three parts, which `TableName.check` rejects.
            tables[TableName(node.catalog, node.db, ".".join(part.name for part in node.this.flatten()))] = None
        if not isinstance(node.this, exp.Identifier) or id(node) in models:
            continue
        if "INFORMATION_SCHEMA" in (node.db.upper(), node.name.upper()):
            continue
        if isinstance(node.parent, exp.Drop) and node.parent.args.get("kind") == "CONSTRAINT":
            continue
        if node.db:
            tables[TableName(node.catalog or project, node.db, node.name)] = None
        elif "start" in node.this.meta and not (node.name.lower() in shadowed and _is_common(node)):
            unqualified.append(Unqualified(node.name, node.this.meta["start"]))
    columns = None
    if not any(True for _ in tree.find_all(exp.Star)):
        columns = frozenset(node.name.lower() for node in tree.find_all(exp.Identifier))
    if isinstance(tree, exp.Command):
        unqualified += _altered_names(sql)
    target = _altered(sql, project) if isinstance(tree, exp.Command) else _target(tree, kind, project)
    return Statement(sql, kind, tree, tuple(tables), tuple(unqualified), target, columns, project)


def _unnested(sql: str, paths: list[exp.Table]) -> str:
    """Return the text with UNNEST around these paths, which sqlglot takes for tables."""
    for path in sorted(paths, key=lambda node: node.parts[0].meta["start"], reverse=True):
        start, end = path.parts[0].meta["start"], path.parts[-1].meta["end"] + 1
        sql = f"{sql[:start]}UNNEST({sql[start:end]}){sql[end:]}"
    return sql


def _is_common(table: exp.Table) -> bool:
    """Return whether a name without a dataset is that of a common table expression, and not of a table.

    The query of an expression does not see the expression itself, nor later ones, unless the clause is recursive.
    https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#cte_visibility
    """
    child: exp.Expr = table
    while child.parent is not None:
        parent = child.parent
        clause = parent if isinstance(parent, exp.With) else parent.args.get("with_")
        if isinstance(clause, exp.With) and clause is not child:
            seen = [each for each in clause.expressions if clause.recursive or not _is_behind(each, child, clause)]
            if any(each.alias_or_name.lower() == table.name.lower() for each in seen):
                return True
        child = parent
    return False


def _is_behind(expression: exp.Expr, child: exp.Expr, clause: exp.With) -> bool:
    """Return whether an expression of a clause comes after another one of it, or is that one."""
    places = [id(each) for each in clause.expressions]
    return id(child) in places and places.index(id(expression)) >= places.index(id(child))


def _parseable(sql: str) -> str:
    """Return a statement in words that sqlglot knows: DELETE with FROM, UNPIVOT, and CLONE for COPY, which does the same."""
    start = start_of(sql)
    sql = _EXCLUDED.sub("UNPIVOT", sql)
    if (copy := _COPY.match(sql, start)) is not None:
        return f"{sql[:start]}{copy['head']} CLONE {sql[copy.end() :]}"
    found = _DELETE.match(sql, start)
    return sql if found is None else f"{sql[: found.end()]}FROM {sql[found.end() :]}"


def _target(tree: exp.Expr, kind: str, project: str) -> TableName | None:
    if kind not in DML_TYPES and kind not in DDL_OPERATIONS:
        return None
    node = _target_node(tree)
    if not isinstance(node, exp.Table) or not node.db:
        return None
    return TableName(node.catalog or project, node.db, node.name)


def _altered(sql: str, project: str) -> TableName | None:
    """Return the table of an ALTER, or a CREATE or DROP SNAPSHOT TABLE, that sqlglot does not parse, if it has a dataset."""
    found = _ALTER.match(sql, start_of(sql))
    parts = found["name"].replace("`", "").split(".") if found is not None else []
    if len(parts) not in (2, 3):
        return None
    return TableName(*parts) if len(parts) == 3 else TableName(project, *parts)


def _altered_names(sql: str) -> tuple[Unqualified, ...]:
    """Return the names of the tables of such a statement that have no dataset."""
    found = [_ALTER.match(sql, start_of(sql)), _SNAPSHOT_OF.match(sql, start_of(sql))]
    return tuple(
        Unqualified(match["name"].strip("`"), match.start("name"))
        for match in found
        if match is not None and "." not in match["name"]
    )


def _target_node(tree: exp.Expr) -> object:
    node = tree.expressions[0] if isinstance(tree, exp.TruncateTable) and tree.expressions else tree.this
    return node.this if isinstance(node, exp.Schema) else node


_DOTTED = re.compile(r"`([^`]+)`((?:\.`[^`]+`|\.\w+)*)|((?<![\w.`])[A-Za-z_][\w-]*(?:\.(?:`[^`]+`|[\w-]+))+)")


def mentioned_names(sql: str) -> list[list[str]]:
    """Return the parts of each dotted name in ``sql``, found without parsing.

    The names may be columns, functions or words in strings; the caller keeps those of existing tables.
    """
    names = []
    for match in _DOTTED.finditer(sql):
        parts = match.group(0).replace("`", "").split(".")
        if len(parts) > 1:
            names.append(parts)
    return names


def possible_tables(parts: list[str], project: str) -> list[TableName]:
    """Return the tables that a dotted name may refer to, as a whole or with columns at its end."""
    names = []
    if len(parts) >= 3:
        names.append(TableName(*parts[:3]))
    if len(parts) >= 2:
        names.append(TableName(project, *parts[:2]))
    return names


def possible_datasets(parts: list[str], project: str) -> list[tuple[str, str]]:
    """Return the datasets (project and id) that may contain a dotted name."""
    return [(parts[0], parts[1]), (project, parts[0])]
