"""Holds texts that are cast to times against the forms that GoogleSQL reads. DuckDB reads more, and some in another way.

https://cloud.google.com/bigquery/docs/reference/standard-sql/conversion_functions#cast
"""

from __future__ import annotations

import re

from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.functions.nodes import call, is_text
from localcloud.bigquery.sql.functions.times.format_reading import READ, READ_OR_NULL
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
# DuckDB reads hours of a zone with two digits only. Only a value that is known to be a text can get them.
_SHORT_ZONE = "(:[0-9]{1,2}(?:[.][0-9]+)?[+-])([0-9])(:[0-9]{2})?$"
_WITH_WHOLE_ZONE = f"regexp_replace(x, '{_SHORT_ZONE}', '\\10\\2\\3')"
_ZONED = "zoned_"


def _macro(prefix: str, name: str, otherwise: str, value: str = "x") -> str:
    text = "CAST(x AS VARCHAR)"
    return (
        f"CREATE OR REPLACE MACRO {prefix}{name}_text(x) AS CASE WHEN typeof(x) = 'VARCHAR' "
        f"AND NOT regexp_full_match({text}, '{_FORMS[name.removeprefix(_ZONED)][0]}') THEN {otherwise} ELSE {value} END"
    )


def _error(name: str) -> str:
    before, after = _FORMS[name][1].replace("'", "''").split("{}")
    return f"bqemu_fail('{before}' || CAST(x AS VARCHAR) || '{after}')"


MACROS: tuple[str, ...] = (
    *(_macro("_", name, _error(name)) for name in _FORMS),
    *(_macro("_safe_", name, "NULL") for name in _FORMS),
    _macro("_", f"{_ZONED}timestamp", _error("timestamp"), _WITH_WHOLE_ZONE),
    _macro("_safe_", f"{_ZONED}timestamp", "NULL", _WITH_WHOLE_ZONE),
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
    is_known_text = is_text(value) or type_of(value) == exp.DType.TEXT or _is_read_by_format(value)
    zoned = _ZONED if name == "timestamp" and is_known_text else ""
    node.set("this", call(f"{'_safe_' if isinstance(node, exp.TryCast) else '_'}{zoned}{name}_text", value))
    return node


def _is_read_by_format(value: exp.Expr) -> bool:
    return isinstance(value, exp.Anonymous) and value.name.lower() in (READ, READ_OR_NULL)
