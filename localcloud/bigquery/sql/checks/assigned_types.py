"""Says which values GoogleSQL assigns to a column or a variable of a type. DuckDB converts far more.

https://cloud.google.com/bigquery/docs/reference/standard-sql/conversion_rules#coercion
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from localcloud.bigquery.base.schema import Field
from localcloud.bigquery.base.type_names import sql_type

_NUMBERS = ("NUMERIC", "BIGNUMERIC", "FLOAT64")
# The types to which an expression of a type is coerced. NUMERIC and BIGNUMERIC are one here, because the engine does not
# always tell them apart in the result of an operator.
_COERCED: dict[str, tuple[str, ...]] = {
    "INT64": _NUMBERS,
    "NUMERIC": _NUMBERS,
    "BIGNUMERIC": _NUMBERS,
    "DATE": ("DATETIME",),
}
# The types to which a literal of a type is coerced.
_FROM_LITERALS = {
    **_COERCED,
    "FLOAT64": ("NUMERIC", "BIGNUMERIC"),
    "STRING": ("BYTES", "DATE", "DATETIME", "TIME", "TIMESTAMP"),
}
# The engine has these as texts or structs, so that nothing can be said of an expression of such a type.
_UNKNOWN = ("JSON", "GEOGRAPHY", "INTERVAL", "RANGE")


def is_assignable(value: Field, target: Field) -> bool:
    """Return whether an expression of a type can be assigned to a type. Both are REST fields, whose names do not count."""
    if value.get("mode") == "REPEATED" or target.get("mode") == "REPEATED":
        return value.get("mode") == target.get("mode") and is_assignable(_element(value), _element(target))
    given, wanted = type_name(value), type_name(target)
    if given == "STRUCT" and wanted == "STRUCT":
        fields = value.get("fields") or [], target.get("fields") or []
        return len(fields[0]) == len(fields[1]) and all(map(is_assignable, *fields))
    if given == wanted or given in _UNKNOWN or wanted in _UNKNOWN:
        return True
    return wanted in _COERCED.get(given, ())


def literal_type(value: exp.Expr) -> str | None:
    """Return the type of a literal; an empty text for NULL and for parameters, and None for any other expression."""
    match value:
        case exp.Null() | exp.Parameter() | exp.Placeholder():
            return ""
        case exp.Boolean():
            return "BOOL"
        case exp.ByteString() | exp.HexString():
            return "BYTES"
        case exp.Neg() | exp.Paren():
            return literal_type(value.this)
        case exp.Literal():
            return "STRING" if value.is_string else "INT64" if value.name.isdigit() else "FLOAT64"
    return None


def is_literal_assignable(kind: str, target: Field) -> bool:
    """Return whether a literal of a type (see ``literal_type``) can be assigned to a type."""
    if not kind:
        return True
    wanted = "ARRAY" if target.get("mode") == "REPEATED" else type_name(target)
    return kind == wanted or wanted in _FROM_LITERALS.get(kind, ())


def elements_of(value: exp.Expr, target: Field) -> list[tuple[exp.Expr, Field]] | None:
    """Return the parts of a written array or tuple with the types to which they are assigned; None for another value."""
    if isinstance(value, exp.Array) and target.get("mode") == "REPEATED":
        if any(isinstance(each, exp.Query) for each in value.expressions):
            return None  # ARRAY(SELECT ...)
        return [(each, _element(target)) for each in value.expressions]
    fields: Sequence[Field] = target.get("fields") or ()
    if isinstance(value, exp.Tuple) and target.get("mode") != "REPEATED" and len(value.expressions) == len(fields):
        return list(zip(value.expressions, fields, strict=True))
    return None


def type_name(field: Field) -> str:
    """Return the name of a field's type in GoogleSQL, without its parameters; ``STRUCT`` for any STRUCT."""
    name = sql_type({**field, "mode": "NULLABLE", "fields": []})
    return "STRUCT" if name.startswith("STRUCT") else name.partition("<")[0].partition("(")[0].strip()


def shown_type(field: Field) -> str:
    """Return a type as in BigQuery's messages."""
    return sql_type(field).replace("`", "")


def _element(field: Field) -> Field:
    return {**field, "mode": "NULLABLE"}
