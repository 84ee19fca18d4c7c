"""Carries out ALTER TABLE ... ALTER COLUMN ... SET DATA TYPE, which only widens a type.

https://cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language#alter_column_set_data_type_statement
"""

from __future__ import annotations

import re
from typing import Any

from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.schema import Field
from localcloud.bigquery.queries.definitions.declared_columns import declared_fields
from localcloud.bigquery.queries.statements import Statements
from localcloud.bigquery.sql.checks.assigned_types import shown_type, type_name
from localcloud.bigquery.sql.reading.statement import Statement
from localcloud.bigquery.sql.reading.tokens import parsed
from localcloud.bigquery.sql.tables.lengths import declared_settings
from localcloud.bigquery.tables.columns.field_settings import merged_settings, rest_fields
from localcloud.bigquery.tables.writing.rebuilding import rebuild

_SET_TYPE = re.compile(
    r"\bALTER\s+COLUMN\s+(?P<guard>IF\s+EXISTS\s+)?(?P<name>`[^`]+`|\w+)\s+SET\s+DATA\s+TYPE\s+(?P<type>.+?);?\s*$",
    re.IGNORECASE | re.DOTALL,
)
_WIDER = {
    "INT64": ("NUMERIC", "BIGNUMERIC", "FLOAT64"),
    "NUMERIC": ("BIGNUMERIC", "FLOAT64"),
    "BIGNUMERIC": ("FLOAT64",),
}
_PARAMETERS = ("maxLength", "precision", "scale")


def set_column_type(statement: Statement, statements: Statements) -> bool:
    """Carry out SET DATA TYPE; return False for any other statement.

    Raises:
        QueryError: The column does not exist, or its type cannot become the new one.
    """
    match = _SET_TYPE.search(statement.sql) if statement.kind == "ALTER_TABLE" else None
    table = None if statement.target is None else statements.destinations.get(statement.target)
    if match is None or table is None or statement.target is None:
        return False
    name = match["name"].strip("`")
    fields = rest_fields(table)
    old = next((each for each in fields if each["name"].lower() == name.lower()), None)
    if old is None:
        if match["guard"]:
            return True
        raise QueryError(f"Column not found: {name}", location="query")
    new = _declared(name, match["type"], statements)
    if not _is_wider(old, new):
        raise QueryError(
            f"ALTER TABLE ALTER COLUMN SET DATA TYPE requires that the existing column type ({_shown(old)}) is assignable to "
            f"the new type ({_shown(new)})",
            location="query",
        )
    changed = {key: value for key, value in old.items() if key not in (*_PARAMETERS, "type", "fields")}
    changed |= {key: value for key, value in new.items() if key in (*_PARAMETERS, "type", "fields")}
    if "fields" in new:
        known = {each["name"].lower(): each for each in old.get("fields") or ()}
        changed["fields"] = [_kept(each, known.get(each["name"].lower())) for each in new["fields"]]
    rebuild(statements.destinations, statement.target, [changed if each is old else each for each in fields])
    return True


def _declared(name: str, kind: str, statements: Statements) -> Field:
    """Return the REST field of a column with a type. Raises ``QueryError`` if the type is not valid."""
    create = parsed(f"CREATE TABLE t (`{name}` {kind})")
    fields = declared_fields(create, statements) if isinstance(create, exp.Create) else []
    if len(fields) != 1:
        raise QueryError(f"Syntax error: {kind} is not a type", location="query")
    return merged_settings(fields, declared_settings(create))[0]


def _is_wider(old: Field, new: Field) -> bool:
    if (old.get("mode") == "REPEATED") != (new.get("mode") == "REPEATED"):
        return False
    before, after = type_name(old), type_name(new)
    if before != after:
        return after in _WIDER.get(before, ()) and not new.get("precision")
    if before == "STRUCT":
        known = {each["name"].lower(): each for each in new.get("fields") or ()}
        return all(
            (wider := known.get(each["name"].lower())) is not None and _is_wider(each, wider)
            for each in old.get("fields") or ()
        )
    if not new.get("maxLength") and not new.get("precision"):
        return True
    if not old.get("maxLength") and not old.get("precision"):
        return False
    digits = int(new.get("precision") or 0) - int(new.get("scale") or 0)
    return (
        int(new.get("maxLength") or 0) >= int(old.get("maxLength") or 0)
        and int(new.get("scale") or 0) >= int(old.get("scale") or 0)
        and digits >= int(old.get("precision") or 0) - int(old.get("scale") or 0)
    )


def _kept(new: Field, old: Field | None) -> Field:
    """Return a field of a STRUCT with what the new type does not say."""
    kept: dict[str, Any] = {} if old is None else {key: old[key] for key in ("description", "mode") if key in old}
    return {**new, **kept}


def _shown(field: Field) -> str:
    numbers = [str(field[key]) for key in _PARAMETERS if field.get(key)]
    return shown_type(field) + (f"({', '.join(numbers)})" if numbers else "")
