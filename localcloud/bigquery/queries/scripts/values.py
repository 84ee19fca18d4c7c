"""The values of a script's variables, with the types that they have in the engine."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
from bqemulator.domain.errors import DomainError
from bqemulator.scripting.frames import FrameStack
from bqemulator.storage.type_map import bq_to_duckdb

from localcloud.bigquery.base.schema import Field, field_of, within_digits
from localcloud.bigquery.base.type_names import standard_name
from localcloud.bigquery.sql.reading.tokens import tokens
from localcloud.bigquery.sql.values.parameters import Value, big_number

# The type of a variable without a declared type starts with this, and continues with its DuckDB type.
_INFERRED = "="
_NULLS = ('"NULL"', "NULL")


def inferred(duckdb_type: str) -> str:
    """Return the type name of a variable whose type is that of its first value."""
    return f"{_INFERRED}{duckdb_type}"


def variable_value(value: Any, type_name: str) -> Value:
    """Return the value of a variable.

    Args:
        value: The value in Python.
        type_name: The declared type in GoogleSQL, ``ANY``, or a name from ``inferred``.
    """
    value = _bindable(value)
    if type_name.startswith(_INFERRED):
        kind: str | None = type_name.removeprefix(_INFERRED)
        return Value(value, None if kind in _NULLS else kind)
    upper = type_name.strip().upper()
    if upper.startswith("BIGNUMERIC") or upper.startswith("BIGDECIMAL"):
        return big_number(str(value)) if value is not None else Value(None, "DECIMAL(38, 10)")
    if upper in ("", "ANY", "STRUCT", "ARRAY"):
        return Value(value)
    try:
        kind = bq_to_duckdb(_plain_type(type_name))
    except (DomainError, ValueError):
        kind = None
    return Value(value, None if kind is None or "DECIMAL(76" in kind else kind)


def is_inferred(type_name: str) -> bool:
    """Return whether the type of a variable is that of its first value, or not known at all."""
    return type_name.startswith(_INFERRED) or type_name == "ANY"


def declared_field(type_name: str) -> Field | None:
    """Return the REST field of the type of a variable; None if it is not known, or not a type."""
    kind = type_name.removeprefix(_INFERRED)
    if type_name == "ANY" or kind in _NULLS:
        return None
    try:
        inferred_type = type_name.startswith(_INFERRED)
        return field_of("", kind if inferred_type else within_digits(bq_to_duckdb(_plain_type(type_name))))
    except (DomainError, ValueError, duckdb.Error):
        return None


def _plain_type(type_name: str) -> str:
    """Return a type without its parameters, such as the length in ``STRING(10)``."""
    name = type_name.strip()
    if "<" not in name and "(" in name:
        name = name[: name.index("(")].strip()
    return name if "<" in name else standard_name(name)


def _bindable(value: Any) -> Any:
    """Return a value from Arrow in a form that DuckDB's client can bind."""
    if isinstance(value, pa.MonthDayNano):
        months, days, nanoseconds = value
        return f"{months} months {days} days {nanoseconds // 1000} microseconds"
    if isinstance(value, list):
        return [_bindable(each) for each in value]
    if isinstance(value, dict):
        return {name: _bindable(each) for name, each in value.items()}
    if isinstance(value, Decimal) and value.is_nan():
        return None
    return value


class _AnyCase(dict[str, Any]):
    """Values by names in lower case, which are found in any case."""

    def __contains__(self, name: object) -> bool:
        return super().__contains__(str(name).lower())

    def __getitem__(self, name: str) -> Any:
        return super().__getitem__(name.lower())


class Frames(FrameStack):
    """The variables of a script. Their names are case-insensitive.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/lexical#case_sensitivity
    """

    def declare(self, name: str, type_name: str, value: Any = None) -> None:
        """Declare a variable in the current block."""
        super().declare(name.lower(), type_name, value)

    def set(self, name: str, value: Any) -> None:
        """Assign to a variable."""
        super().set(name.lower(), value)

    def lookup(self, name: str) -> Any:
        """Return the value of a variable."""
        return super().lookup(name.lower())

    def has(self, name: str) -> bool:
        """Return whether a variable is visible."""
        return super().has(name.lower())

    def snapshot_current(self) -> dict[str, Any]:
        """Return the values of all visible variables."""
        return _AnyCase(super().snapshot_current())


def split_name(expression: str) -> tuple[str, str | None]:
    """Return an argument of USING without its name, and the name: ``("2", "most")`` for ``2 AS most``."""
    found = tokens(expression)
    if len(found) > 2 and found[-2].is_word("AS") and found[-1].kind in ("word", "quoted"):
        depth = sum(token.is_symbol("(", "[") - token.is_symbol(")", "]") for token in found[:-2])
        if not depth:
            return expression[: found[-2].start].strip(), found[-1].text
    return expression, None
