"""Carries out ALTER TABLE with RENAME and ALTER COLUMN, and reads the options of ADD COLUMN.

bqemulator does not write these into its catalog.

https://cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language#alter_column_set_options_statement
"""

from __future__ import annotations

import re
from typing import Any

from bqemulator.catalog.models import TableSchema
from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.schema import quote
from localcloud.bigquery.ml.models.options import Expression, take_options
from localcloud.bigquery.queries.definitions.column_types import set_column_type
from localcloud.bigquery.queries.definitions.declared_columns import check_declared_columns, check_default
from localcloud.bigquery.queries.definitions.keys import alter_keys
from localcloud.bigquery.queries.statements import Statements
from localcloud.bigquery.sql.reading.statement import Statement
from localcloud.bigquery.sql.reading.tokens import Cursor, tokens
from localcloud.bigquery.tables.columns.field_settings import default_of, rest_fields
from localcloud.bigquery.tables.columns.keys import keys_of, set_keys
from localcloud.bigquery.tables.partitions import Partitions
from localcloud.bigquery.tables.writing.renaming import rename

_CHANGE = re.compile(
    r"\b(?:ALTER|RENAME)\s+COLUMN\s+(?P<guard>IF\s+EXISTS\s+)?(?P<name>`[^`]+`|\w+)\s+"
    r"(?P<what>SET\s+OPTIONS|SET\s+DEFAULT|`?DROP`?\s+DEFAULT|`?DROP`?\s+NOT\s+NULL|TO)\b(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_ADDED = re.compile(r"\bADD\s+COLUMN\s+(?P<guard>IF\s+NOT\s+EXISTS\s+)?(?P<name>`[^`]+`|\w+)", re.IGNORECASE)

_TAKEN_AWAY = re.compile(r"\b(?P<verb>DROP|RENAME)\s+COLUMN\s+(?:IF\s+EXISTS\s+)?(?P<name>`[^`]+`|\w+)", re.IGNORECASE)


def alter(statement: Statement, statements: Statements) -> bool:
    """Carry out a statement that renames a table or a column, changes a column, or is about keys; return False for any other.

    Raises:
        QueryError: The column does not exist, or an option or the default value is not valid.
    """
    actions = statement.tree.args.get("actions") if isinstance(statement.tree, exp.Alter) else None
    if statement.target is not None and actions and isinstance(actions[0], exp.AlterRename):
        rename(statements.destinations, statement.target, actions[0].this.name)
        return True
    _check_added(statement, statements)
    _check_layout_kept(statement, statements)
    return (
        _is_added_already(statement, statements)
        or alter_keys(statement, statements)
        or set_column_type(statement, statements)
        or _change_column(statement, statements)
    )


def _change_column(statement: Statement, statements: Statements) -> bool:
    match = _CHANGE.search(statement.sql) if statement.kind in ("ALTER_TABLE", "ALTER_VIEW") else None
    table = None if statement.target is None else statements.destinations.get(statement.target)
    if match is None or table is None or statement.target is None:
        return False
    name = match["name"].strip("`")
    column = next((each for each in table.schema_.fields if each.name.lower() == name.lower()), None)
    if column is None:
        if match["guard"]:
            return True
        raise QueryError(f"Column not found: {name}", location="query")
    what = " ".join(match["what"].upper().replace("`", "").split())
    changes: dict[str, Any] = {}
    change = f"ALTER COLUMN {quote(name)} {what}"
    match what:
        case "TO":
            keys = keys_of(statements.engine, statement.target)
            if keys.uses(name):
                set_keys(statements.engine, statement.target, keys.renamed(name, match["rest"].strip().strip("`;")))
            changes = {"name": match["rest"].strip().strip("`;")}
            change = f"RENAME COLUMN {quote(name)} TO {quote(changes['name'])}"
        case "SET OPTIONS":
            changes = _options(statement.sql)
        case "SET DEFAULT":
            given = statement.sql[match.start("rest") :].strip().rstrip(";").rstrip()
            field = next(each for each in rest_fields(table) if each["name"].lower() == name.lower())
            check_default(given, field, statements)
            changes, default = {"default_value_expression": given}, {"name": name, "defaultValueExpression": given}
            change = f"{change} {default_of(default)}"
        case "DROP DEFAULT":
            changes = {"default_value_expression": None}
        case "DROP NOT NULL":
            changes = {"mode": "NULLABLE"}
    if what != "SET OPTIONS":
        statements.engine.execute(f"ALTER TABLE {statement.target.quoted} {change}")
    fields = (each.model_copy(update=changes) if each is column else each for each in table.schema_.fields)
    statements.context.catalog.update_table(table.model_copy(update={"schema_": TableSchema(fields=tuple(fields))}))
    return True


def _is_added_already(statement: Statement, statements: Statements) -> bool:
    """Return whether a statement adds a column only if it does not exist, and it does."""
    match = _ADDED.search(statement.sql) if statement.kind == "ALTER_TABLE" else None
    table = None if statement.target is None else statements.destinations.get(statement.target)
    if match is None or match["guard"] is None or table is None:
        return False
    return match["name"].strip("`").lower() in {each.name.lower() for each in table.schema_.fields}


def _check_added(statement: Statement, statements: Statements) -> None:
    """Raise ``QueryError`` if a statement adds a column that rows of an existing table cannot have."""
    match = _ADDED.search(statement.sql) if statement.kind == "ALTER_TABLE" else None
    if match is None:
        return
    name, depth = match["name"].strip("`"), 0
    found = [token for token in tokens(statement.sql) if token.start >= match.end()]
    for token, following in zip(found, [*found[1:], None], strict=True):
        if token.kind == "symbol":
            # Two closing brackets can be one token.
            depth += sum(token.text.count(each) for each in "(<[") - sum(token.text.count(each) for each in ")>]")
        if depth:
            continue
        if token.is_word("NOT") and following is not None and following.is_word("NULL"):
            raise QueryError(f"Cannot add required fields to an existing schema. (field: {name})", location="query")
        if token.is_word("DEFAULT"):
            raise QueryError(
                f"ADD COLUMN {name} cannot have a DEFAULT: add the column, then use ALTER COLUMN {name} SET DEFAULT",
                location="query",
            )
        if token.is_word("COLLATE"):
            raise QueryError(
                "COLLATE of a column is not supported by the local BigQuery", reason="notImplemented", location="query"
            )
    _options(statement.sql)
    if isinstance(statement.tree, exp.Alter):
        added = [each for each in statement.tree.args["actions"] if isinstance(each, exp.ColumnDef)]
        check_declared_columns(exp.Create(this=exp.Schema(this=exp.to_table("t"), expressions=added)), statements)


def _check_layout_kept(statement: Statement, statements: Statements) -> None:
    """Raise ``QueryError`` if a statement drops or renames a column that the table is partitioned or clustered by.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language#alter_table_drop_column_statement
    """
    match = _TAKEN_AWAY.search(statement.sql) if statement.kind == "ALTER_TABLE" else None
    table = None if statement.target is None else statements.destinations.get(statement.target)
    if match is None or table is None:
        return
    name = match["name"].strip("`")
    partitions, clustering = Partitions.of(table), table.clustering
    if partitions is not None and name.lower() == partitions.column.lower():
        use = "partitioned"
    elif clustering is not None and name.lower() in (each.lower() for each in clustering.fields):
        use = "clustered"
    else:
        return
    raise QueryError(
        f"{match['verb'].upper()} COLUMN {name} is not possible: the table {statement.target} is {use} by this column.",
        location="query",
    )


def _options(sql: str) -> dict[str, object]:
    """Return the description in the OPTIONS of a column. Raises ``QueryError`` for other options."""
    found = tokens(sql)
    place = next(
        (i for i, each in enumerate(found[:-1]) if each.is_word("OPTIONS") and found[i + 1].is_symbol("(")), None
    )
    if place is None:
        return {}
    options = take_options(Cursor(sql, place + 1))
    for name, value in options.items():
        if name != "DESCRIPTION":
            raise QueryError(
                f"Option {name.lower()} of a column is not supported by the local BigQuery.",
                reason="notImplemented",
                location="query",
            )
        if isinstance(value, Expression) or not isinstance(value, str | None):
            raise QueryError("Option description must be a STRING.", location="query")
    return {"description": options["DESCRIPTION"]} if options else {}
