"""Parameters of types and constraints of tables, as DuckDB can check them.

- ``STRING(3)`` and ``BYTES(3)`` limit the length of a value. DuckDB reads the number and ignores it, or refuses it.
- Keys are ``NOT ENFORCED``, and DuckDB would enforce them. They have no effect on rows, so they are left out.
https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#parameterized_data_types
"""

from __future__ import annotations

import re
from typing import Any

from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.reading.draft import Draft

_MAY_CONCERN = re.compile(
    r"\b(?:STRING|BYTES)\s*\(\s*\d|\bENFORCED\b|\b(?:PRIMARY|FOREIGN)\s+KEY\b|\bSTRUCT\s*<.*\b(?:NOT\s+NULL|OPTIONS)\b",
    re.IGNORECASE | re.DOTALL,
)
_LENGTH = {exp.DType.TEXT: "length", exp.DType.BINARY: "octet_length"}
_NAME = {exp.DType.TEXT: "STRING", exp.DType.BINARY: "BYTES"}
_KEYS = (exp.PrimaryKey, exp.ForeignKey, exp.Constraint)
_COLUMN_KEYS = (exp.PrimaryKeyColumnConstraint, exp.Reference)

MACROS: tuple[str, ...] = tuple(
    f"CREATE OR REPLACE MACRO _{name.lower()}_of(value, most) AS CASE WHEN {_LENGTH[kind]}(value) > most THEN "
    f"error('{name}(' || most || ') has maximum length ' || most || ' but got a value with length ' || "
    f"{_LENGTH[kind]}(value)) ELSE value END"
    for kind, name in _NAME.items()
)
"""The DuckDB macros that the rewritten SQL calls."""


def check_lengths(draft: Draft) -> None:
    """Remove the keys of a statement of GoogleSQL, and put checks in place of the lengths of types."""
    tree = draft.tree if _MAY_CONCERN.search(draft.text) is not None else None
    if tree is None:
        return
    for cast in list(tree.find_all(exp.Cast)):
        most = _most(cast.to)
        if most is not None:
            kind = cast.to.this
            cast.set("to", exp.DataType(this=kind))
            cast.replace(exp.Anonymous(this=f"_{_NAME[kind].lower()}_of", expressions=[cast.copy(), most]))
    for column in list(tree.find_all(exp.ColumnDef)):
        _check_column(column)
    schema = tree.this if isinstance(tree, exp.Create) else None
    if isinstance(schema, exp.Schema):
        schema.set("expressions", [each for each in schema.expressions if not isinstance(each, _KEYS)])
    draft.changed(tree)


def _most(kind: exp.DataType | None) -> exp.Expr | None:
    """Return the maximum length of a type, or None if it has none."""
    if kind is None or kind.this not in _LENGTH or len(kind.expressions) != 1:
        return None
    parameter = kind.expressions[0]
    return parameter.this.copy() if isinstance(parameter, exp.DataTypeParam) else None


def _check_column(column: exp.ColumnDef) -> None:
    constraints = [
        each for each in column.args.get("constraints") or () if not isinstance(each.args.get("kind"), _COLUMN_KEYS)
    ]
    kind = column.args.get("kind")
    most = _most(kind)
    if isinstance(column.parent, exp.DataType):
        constraints = []  # a field of a STRUCT, whose settings are in the catalog only
        if kind is not None and most is not None:
            column.set("kind", exp.DataType(this=kind.this))
    if kind is not None and most is not None and isinstance(column.parent, exp.Schema):
        column.set("kind", exp.DataType(this=kind.this))
        value = exp.column(column.this.copy())
        call = exp.Anonymous(this=f"_{_NAME[kind.this].lower()}_of", expressions=[value, most])
        # The call fails by itself, with BigQuery's message, if the value is too long.
        holds = exp.Or(this=exp.Is(this=call, expression=exp.Null()), expression=exp.true())
        constraints.append(exp.ColumnConstraint(kind=exp.CheckColumnConstraint(this=holds)))
    column.set("constraints", constraints)


def declared_settings(tree: exp.Expr | None) -> dict[str, dict[str, Any]]:
    """Return the settings of the columns that a CREATE TABLE declares, or an ALTER TABLE adds, by their names in lower case.

    The settings are fields of a REST ``TableFieldSchema``: ``maxLength``, ``precision``, ``scale``, ``description``,
    ``defaultValueExpression``, ``mode`` of a column that is NOT NULL, and ``fields``, which has the settings of nested fields
    in the same form.
    """
    if isinstance(tree, exp.Alter):
        return _settings_of([each for each in tree.args.get("actions") or () if isinstance(each, exp.ColumnDef)])
    if not isinstance(tree, exp.Create) or not isinstance(tree.this, exp.Schema):
        return {}
    return _settings_of(tree.this.expressions)


def _settings_of(columns: list[exp.Expr]) -> dict[str, dict[str, Any]]:
    found = {
        column.name.lower(): _settings(column)
        for column in columns
        if isinstance(column, (exp.ColumnDef, exp.Identifier))
    }
    return {name: settings for name, settings in found.items() if settings}


def _settings(column: exp.Expr) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    declared = column.args.get("kind")
    kind, is_array = declared, False
    if declared is not None and declared.this == exp.DType.ARRAY and declared.expressions:
        kind, is_array = declared.expressions[0], True
    numbers = [int(each.name) for each in kind.expressions if isinstance(each, exp.DataTypeParam)] if kind else []
    if kind and kind.this in _LENGTH and numbers:
        settings["maxLength"] = str(numbers[0])
    elif kind and kind.this in (exp.DType.DECIMAL, exp.DType.BIGDECIMAL) and numbers:
        settings |= dict(zip(("precision", "scale"), map(str, numbers), strict=False))
        if kind.this == exp.DType.BIGDECIMAL:
            settings["type"] = "BIGNUMERIC"  # the engine has one type for both
    for constraint in column.args.get("constraints") or ():
        given = constraint.args.get("kind")
        if isinstance(given, exp.DefaultColumnConstraint):
            settings["defaultValueExpression"] = given.this.sql(dialect="bigquery")
        elif isinstance(given, exp.NotNullColumnConstraint) and not given.args.get("allow_null"):
            settings["mode"] = "REQUIRED"
        elif isinstance(given, exp.Properties):
            settings |= _column_options(given)
    if kind is not None and kind.this == exp.DType.STRUCT and (inner := _settings_of(kind.expressions)):
        settings["fields"] = inner
    if is_array:
        settings.pop("mode", None)
    return settings


def _column_options(properties: exp.Properties) -> dict[str, Any]:
    """Return the description in the OPTIONS of a column. Raises ``QueryError`` for other options."""
    found = {}
    for each in properties.expressions:
        name, value = each.name.lower(), each.args["value"]
        if name != "description":
            raise QueryError(
                f"Option {name} of a column is not supported by the local BigQuery.",
                reason="notImplemented",
                location="query",
            )
        if not isinstance(value, exp.Null) and not (isinstance(value, exp.Literal) and value.is_string):
            raise QueryError("Option description must be a STRING.", location="query")
        found[name] = None if isinstance(value, exp.Null) else value.name
    return found
