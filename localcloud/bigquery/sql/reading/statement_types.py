"""The types of statements, by their first words and by their trees.

https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobStatistics2 (statementType)
"""

from __future__ import annotations

import re

from sqlglot import exp

_BEFORE_THE_FIRST_WORD = re.compile(r"^\s*(?:--[^\n]*\n\s*|#[^\n]*\n\s*|/\*.*?\*/\s*)*", re.DOTALL)
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
    (r"ALTER\s+MODEL\b", "ALTER_MODEL"),
    (r"DROP\s+MODEL\b", "DROP_MODEL"),
    (r"EXPORT\s+MODEL\b", "EXPORT_MODEL"),
    (r"EXPORT\s+DATA\b", "EXPORT_DATA"),
    (r"LOAD\s+DATA\b", "LOAD_DATA"),
    (r"ALTER\s+TABLE\b", "ALTER_TABLE"),
    (r"ALTER\s+VIEW\b", "ALTER_VIEW"),
    (r"ALTER\s+SCHEMA\b", "ALTER_SCHEMA"),
    (r"TRUNCATE\s+TABLE\b", "TRUNCATE_TABLE"),
)
_TYPE_PATTERNS = tuple((re.compile(words, re.IGNORECASE), kind) for words, kind in _TYPE_BY_WORDS)

_TYPE_BY_NODE: tuple[tuple[type[exp.Expr], str], ...] = (
    (exp.Query, "SELECT"),
    (exp.Insert, "INSERT"),
    (exp.Update, "UPDATE"),
    (exp.Delete, "DELETE"),
    (exp.Merge, "MERGE"),
    (exp.TruncateTable, "TRUNCATE_TABLE"),
    (exp.Alter, "ALTER_TABLE"),
)

VIEW_TYPES = frozenset({"CREATE_VIEW", "CREATE_MATERIALIZED_VIEW"})
DML_TYPES = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE_TABLE"})

# Statements that create, change or drop a table or view.
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


def start_of(sql: str) -> int:
    """Return the offset of the first word, after comments."""
    return _BEFORE_THE_FIRST_WORD.match(sql).end()  # type: ignore[union-attr]


def type_by_words(sql: str) -> str:
    """Return the type of a statement whose first words tell it, or an empty text."""
    start = start_of(sql)
    return next((kind for pattern, kind in _TYPE_PATTERNS if pattern.match(sql, start)), "")


def type_by_tree(tree: exp.Expr) -> str:
    """Return the type of any other statement, or an empty text."""
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
