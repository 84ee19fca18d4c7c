"""Holds texts that are cast to times against the forms that GoogleSQL reads. DuckDB reads more, and some in another way.

https://cloud.google.com/bigquery/docs/reference/standard-sql/conversion_functions#cast
"""

from __future__ import annotations

import re

from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.functions.nodes import call, is_text
from localcloud.bigquery.sql.reading.types import type_of

_YEAR = "(?:000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})"
_DATE = f"{_YEAR}-[0-9]{{1,2}}-[0-9]{{1,2}}"
_TIME = "(?:[01]?[0-9]|2[0-3]):[0-9]{1,2}:[0-9]{1,2}(?:[.][0-9]+)?"
_ZONE = "(?:[zZ]|[+-][0-9]{1,2}(?::?[0-9]{1,2})?| [A-Za-z][A-Za-z0-9_/+-]*)"
# The form of each type, and the error for another one.
_FORMS = {
    "date": (_DATE, "Invalid date: '{}'"),
    "datetime": (f"{_DATE}(?:[ tT]{_TIME})?", 'Invalid datetime string "{}"'),
    "timestamp": (f"{_DATE}(?:[ tT]{_TIME}{_ZONE}?)?", "Invalid timestamp: '{}'"),
    "time": (_TIME, 'Invalid time string "{}"'),
}
_TYPES = {
    exp.DType.DATE: "date",
    exp.DType.DATETIME: "datetime",
    exp.DType.TIMESTAMP: "datetime",
    exp.DType.TIMESTAMPTZ: "timestamp",
    exp.DType.TIME: "time",
}
# DuckDB reads hours of a zone with two digits only.
_SHORT_ZONE = "(:[0-9]{1,2}(?:[.][0-9]+)?[+-])([0-9])(:[0-9]{2})?$"


def _macro(prefix: str, name: str, otherwise: str) -> str:
    text = "CAST(x AS VARCHAR)"
    value = "x"
    if name == "timestamp":
        value = f"CASE WHEN typeof(x) = 'VARCHAR' THEN regexp_replace({text}, '{_SHORT_ZONE}', '\\10\\2\\3') ELSE x END"
    return (
        f"CREATE OR REPLACE MACRO {prefix}{name}_text(x) AS CASE WHEN typeof(x) = 'VARCHAR' "
        f"AND NOT regexp_full_match({text}, '{_FORMS[name][0]}') THEN {otherwise} ELSE {value} END"
    )


def _error(name: str) -> str:
    before, after = _FORMS[name][1].replace("'", "''").split("{}")
    return f"error('{before}' || CAST(x AS VARCHAR) || '{after}')"


MACROS: tuple[str, ...] = (
    *(_macro("_", name, _error(name)) for name in _FORMS),
    *(_macro("_safe_", name, "NULL") for name in _FORMS),
)
"""The DuckDB macros that the rewritten SQL calls."""


def checked_time(node: exp.Cast) -> exp.Expr | None:
    """Return a cast to a time whose text is checked, or None if nothing changes.

    Raises:
        QueryError: A literal does not have the form of the type.
    """
    name = _TYPES.get(node.to.this)
    value = node.this
    if name is None or isinstance(value, exp.Null):
        return None
    if name == "time" and type_of(value) == exp.DType.TIMESTAMPTZ:
        node.set("this", exp.cast(value, "DATETIME", dialect="bigquery"))
        return node
    form, message = _FORMS[name]
    if is_text(value) and not isinstance(node, exp.TryCast):
        if re.fullmatch(form, value.name) is None:
            raise QueryError(message.format(value.name), location="query")
        if re.search(_SHORT_ZONE, value.name) is None:
            return None
    if type_of(value) in _TYPES:
        return None
    node.set("this", call(f"{'_safe_' if isinstance(node, exp.TryCast) else '_'}{name}_text", value))
    return node
