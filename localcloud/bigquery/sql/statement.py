"""What one statement of GoogleSQL is about: its type, the tables it reads and writes, the names of its columns.

Read with sqlglot's BigQuery dialect. A statement that sqlglot can't parse still has a type, from its first words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import sqlglot
from sqlglot import exp

from localcloud.bigquery.sql.names import quote_dashed, quote_keywords

_ENDPOINT = re.compile(r"^\s*(?:--[^\n]*\n\s*|#[^\n]*\n\s*|/\*.*?\*/\s*)*", re.DOTALL)

# https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobStatistics2 (statementType)
_TYPE_BY_WORDS: tuple[tuple[str, str], ...] = (
    (r"CREATE\s+(OR\s+REPLACE\s+)?MATERIALIZED\s+VIEW\b", "CREATE_MATERIALIZED_VIEW"),
    (r"DROP\s+MATERIALIZED\s+VIEW\b", "DROP_MATERIALIZED_VIEW"),
    (r"CREATE\s+(OR\s+REPLACE\s+)?EXTERNAL\s+TABLE\b", "CREATE_EXTERNAL_TABLE"),
    (r"DROP\s+EXTERNAL\s+TABLE\b", "DROP_EXTERNAL_TABLE"),
    (r"CREATE\s+SNAPSHOT\s+TABLE\b", "CREATE_SNAPSHOT_TABLE"),
    (r"DROP\s+SNAPSHOT\s+TABLE\b", "DROP_SNAPSHOT_TABLE"),
    (r"CREATE\s+(OR\s+REPLACE\s+)?ROW\s+ACCESS\s+POLICY\b", "CREATE_ROW_ACCESS_POLICY"),
    (r"DROP\s+(ALL\s+)?ROW\s+ACCESS\s+POLIC", "DROP_ROW_ACCESS_POLICY"),
    (r"CREATE\s+(OR\s+REPLACE\s+)?(TEMP\s+|TEMPORARY\s+)?FUNCTION\b", "CREATE_FUNCTION"),
    (r"CREATE\s+(OR\s+REPLACE\s+)?TABLE\s+FUNCTION\b", "CREATE_TABLE_FUNCTION"),
    (r"DROP\s+TABLE\s+FUNCTION\b", "DROP_TABLE_FUNCTION"),
    (r"CREATE\s+(OR\s+REPLACE\s+)?PROCEDURE\b", "CREATE_PROCEDURE"),
    (r"DROP\s+FUNCTION\b", "DROP_FUNCTION"),
    (r"DROP\s+PROCEDURE\b", "DROP_PROCEDURE"),
    (r"CREATE\s+(OR\s+REPLACE\s+)?MODEL\b", "CREATE_MODEL"),
    (r"DROP\s+MODEL\b", "DROP_MODEL"),
    (r"EXPORT\s+MODEL\b", "EXPORT_MODEL"),
    (r"EXPORT\s+DATA\b", "EXPORT_DATA"),
    (r"ALTER\s+TABLE\b", "ALTER_TABLE"),
    (r"ALTER\s+VIEW\b", "ALTER_VIEW"),
    (r"ALTER\s+SCHEMA\b", "ALTER_SCHEMA"),
    (r"TRUNCATE\s+TABLE\b", "TRUNCATE_TABLE"),
)
_TYPE_PATTERNS = tuple((re.compile(words, re.IGNORECASE), kind) for words, kind in _TYPE_BY_WORDS)

_TYPE_BY_NODE: tuple[tuple[type[exp.Expression], str], ...] = (
    (exp.Query, "SELECT"),
    (exp.Insert, "INSERT"),
    (exp.Update, "UPDATE"),
    (exp.Delete, "DELETE"),
    (exp.Merge, "MERGE"),
    (exp.TruncateTable, "TRUNCATE_TABLE"),
    (exp.Alter, "ALTER_TABLE"),
)
DML_TYPES = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE_TABLE"})

# Statements that leave a table or view behind or remove one.
DDL_OPERATIONS: dict[str, str] = {
    "CREATE_TABLE": "CREATE",
    "CREATE_TABLE_AS_SELECT": "CREATE",
    "CREATE_VIEW": "CREATE",
    "CREATE_MATERIALIZED_VIEW": "CREATE",
    "CREATE_EXTERNAL_TABLE": "CREATE",
    "CREATE_SNAPSHOT_TABLE": "CREATE",
    "DROP_TABLE": "DROP",
    "DROP_VIEW": "DROP",
    "DROP_MATERIALIZED_VIEW": "DROP",
    "DROP_EXTERNAL_TABLE": "DROP",
    "DROP_SNAPSHOT_TABLE": "DROP",
    "ALTER_TABLE": "ALTER",
    "ALTER_VIEW": "ALTER",
}


@dataclass(frozen=True)
class TableName:
    """A table's full name."""

    project: str
    dataset: str
    table: str

    def reference(self) -> dict[str, str]:
        """Return the REST ``TableReference``."""
        return {"projectId": self.project, "datasetId": self.dataset, "tableId": self.table}

    def __str__(self) -> str:
        return f"{self.project}:{self.dataset}.{self.table}"

    @property
    def quoted(self) -> str:
        """The name as DuckDB knows it: one schema per dataset."""
        return f'"{self.project}__{self.dataset}"."{self.table}"'

    @classmethod
    def of(cls, reference: dict[str, Any], project: str) -> TableName:
        """Return the name in a REST ``TableReference`` whose project may be left out."""
        return cls(reference.get("projectId") or project, reference["datasetId"], reference["tableId"])


@dataclass(frozen=True)
class Unqualified:
    """A table name of one part, and where it begins in the statement's text."""

    name: str
    start: int


@dataclass(frozen=True)
class Statement:
    """One statement, looked at.

    Attributes:
        sql: Its text, with names in backticks where sqlglot wants them.
        kind: BigQuery's ``statementType``; empty for what has none.
        tree: sqlglot's reading of it, or None where it has none.
        tables: Every table named with a dataset, in order, once.
        unqualified: Table names without a dataset that no CTE defines.
        target: The table or view that it writes, creates or drops, or None.
        identifiers: Lower-case names of the columns it mentions; None when it takes all (``*``).
    """

    sql: str
    kind: str
    tree: exp.Expression | None = None
    tables: tuple[TableName, ...] = ()
    unqualified: tuple[Unqualified, ...] = ()
    target: TableName | None = None
    identifiers: frozenset[str] | None = field(default=None)

    @property
    def is_query(self) -> bool:
        return self.kind == "SELECT"

    def column_names(self) -> list[str] | None:
        """Return the names of a query's columns; None where the text does not tell their number (``*``).

        BigQuery calls a column without a name ``f0_``, ``f1_``, ...:
        https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#implicit_aliases
        """
        select = self.tree
        while isinstance(select, (exp.SetOperation, exp.Subquery)):
            select = select.this
        if not isinstance(select, exp.Select) or select.args.get("kind") or any(p.is_star for p in select.expressions):
            return None
        names: list[str] = []
        nameless = 0
        for projection in select.expressions:
            path = isinstance(projection, exp.Dot) and isinstance(projection.expression, exp.Identifier)
            name = projection.alias_or_name if path or isinstance(projection, (exp.Alias, exp.Column)) else ""
            if not name:
                name = f"f{nameless}_"
                nameless += 1
            names.append(name)
        return names

    def named(self, columns: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return a query's columns (name, DuckDB type) under the names that the text gives them."""
        names = self.column_names()
        if names is None or len(names) != len(columns):
            return columns
        return [(name, kind) for name, (_, kind) in zip(names, columns, strict=True)]


@lru_cache(maxsize=512)
def read_statement(sql: str, *, project: str) -> Statement:
    """Look at one statement. Two-part names are of ``project``. Never raises: what can't be parsed has no tree.

    What is returned is shared: whoever changes the tree copies it first.
    """
    sql = quote_dashed(sql)
    kind = _kind_by_words(sql)
    tree = _parse(sql)
    if tree is None:
        quoted = quote_keywords(sql)
        tree = _parse(quoted) if quoted != sql else None
        if tree is None:
            return Statement(sql, kind)
        sql = quoted
    kind = kind or _kind_by_tree(tree)
    shadowed = {cte.alias_or_name.lower() for cte in tree.find_all(exp.CTE)}
    tables: dict[TableName, None] = {}
    unqualified: list[Unqualified] = []
    models = {id(node.this) for node in tree.find_all(exp.Predict)}
    for node in tree.find_all(exp.Table):
        if not isinstance(node.this, exp.Identifier) or id(node) in models:
            continue
        if "INFORMATION_SCHEMA" in (node.db.upper(), node.name.upper()):
            continue
        if node.db:
            tables[TableName(node.catalog or project, node.db, node.name)] = None
        elif "start" in node.this.meta and node.name.lower() not in shadowed:
            unqualified.append(Unqualified(node.name, node.this.meta["start"]))
    columns = None
    if not any(True for _ in tree.find_all(exp.Star)):
        columns = frozenset(node.name.lower() for node in tree.find_all(exp.Identifier))
    return Statement(sql, kind, tree, tuple(tables), tuple(unqualified), _target(tree, kind, project), columns)


def _parse(sql: str) -> exp.Expression | None:
    try:
        return sqlglot.parse_one(sql, read="bigquery")
    except Exception:  # sqlglot raises many kinds; the engine reports the syntax error
        return None


def _kind_by_words(sql: str) -> str:
    text = sql[_ENDPOINT.match(sql).end() :]  # type: ignore[union-attr]
    return next((kind for pattern, kind in _TYPE_PATTERNS if pattern.match(text)), "")


def _kind_by_tree(tree: exp.Expression) -> str:
    for node, kind in _TYPE_BY_NODE:
        if isinstance(tree, node):
            return kind
    if isinstance(tree, (exp.Create, exp.Drop)):
        verb = "CREATE" if isinstance(tree, exp.Create) else "DROP"
        what = (tree.args.get("kind") or "").upper()
        if verb == "CREATE" and what == "TABLE" and tree.args.get("expression"):
            return "CREATE_TABLE_AS_SELECT"
        return f"{verb}_{what}"
    return ""


def _target(tree: exp.Expression, kind: str, project: str) -> TableName | None:
    if kind not in DML_TYPES and kind not in DDL_OPERATIONS:
        return None
    node = tree.expressions[0] if isinstance(tree, exp.TruncateTable) and tree.expressions else tree.this
    if isinstance(node, exp.Schema):
        node = node.this
    if not isinstance(node, exp.Table) or not node.db:
        return None
    return TableName(node.catalog or project, node.db, node.name)


_DOTTED = re.compile(r"`([^`]+)`((?:\.`[^`]+`|\.\w+)*)|((?<![\w.`])[A-Za-z_][\w-]*(?:\.(?:`[^`]+`|[\w-]+))+)")


def mentioned_names(sql: str) -> list[list[str]]:
    """Return every dotted name in ``sql`` as its parts, by a quick look that does not parse.

    It may hold more than tables (columns, functions, words in strings): the caller keeps those that exist.
    """
    names = []
    for match in _DOTTED.finditer(sql):
        parts = match.group(0).replace("`", "").split(".")
        if len(parts) > 1:
            names.append(parts)
    return names


def possible_tables(parts: list[str], project: str) -> list[TableName]:
    """Return the tables that a dotted name may mean: the whole of it, or its beginning with columns after it."""
    names = []
    if len(parts) >= 3:
        names.append(TableName(*parts[:3]))
    if len(parts) >= 2:
        names.append(TableName(project, *parts[:2]))
    return names


def possible_datasets(parts: list[str], project: str) -> list[tuple[str, str]]:
    """Return the datasets, as project and id, that a dotted name may be in."""
    return [(parts[0], parts[1]), (project, parts[0])]
