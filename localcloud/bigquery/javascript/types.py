"""The types of functions in JavaScript, and the encoding of their values as JSON.

``conversions.js`` turns the encoded values into the values that BigQuery documents, and back:
https://cloud.google.com/bigquery/docs/user-defined-functions#supported-javascript-udf-data-types
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.schema import quote
from localcloud.bigquery.base.type_names import standard_name

_DUCKDB = {
    "BOOL": "BOOLEAN",
    "INT64": "BIGINT",
    "FLOAT64": "DOUBLE",
    "NUMERIC": "DECIMAL(38, 9)",
    "BIGNUMERIC": "DECIMAL(38, 18)",
    "STRING": "VARCHAR",
    "BYTES": "BLOB",
    "DATE": "DATE",
    "TIMESTAMP": "TIMESTAMP WITH TIME ZONE",
    "JSON": "JSON",
}
_CARRIED = _DUCKDB | {"JSON": "VARCHAR"}
_ARROW = {
    "BOOL": pa.bool_(),
    "INT64": pa.int64(),
    "FLOAT64": pa.float64(),
    "NUMERIC": pa.decimal128(38, 9),
    "BIGNUMERIC": pa.decimal128(38, 18),
    "STRING": pa.string(),
    "BYTES": pa.binary(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us", tz="UTC"),
    "JSON": pa.string(),
}
_SCALE = {"NUMERIC": 9, "BIGNUMERIC": 18}
# The first value that is too large.
_LIMIT = {"INT64": 2**63, "NUMERIC": 10**29, "BIGNUMERIC": 10**20}
# The integers that a Number represents exactly.
_LARGEST_EXACT = 2**53
_FIRST_DAY, _FIRST_MOMENT = date(1970, 1, 1), datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECONDS_PER_DAY = 86_400_000


@dataclass(frozen=True)
class Type:
    """A type of a parameter or a result.

    Attributes:
        kind: A scalar type of GoogleSQL, ``ARRAY`` or ``STRUCT``.
        element: The type of an ARRAY's elements.
        fields: The names and types of a STRUCT's fields.
    """

    kind: str
    element: Type | None = None
    fields: tuple[tuple[str, Type], ...] = ()

    @classmethod
    def of(cls, data_type: Mapping[str, Any] | None) -> Type:
        """Return the type of a ``StandardSqlDataType``.

        https://cloud.google.com/bigquery/docs/reference/rest/v2/StandardSqlDataType

        Raises:
            QueryError: A function in JavaScript can't have the type.
        """
        kind = standard_name(str((data_type or {}).get("typeKind", "")))
        if data_type is not None and kind == "ARRAY":
            return cls(kind, element=cls.of(data_type.get("arrayElementType")))
        if data_type is not None and kind == "STRUCT":
            fields = (data_type.get("structType") or {}).get("fields") or []
            return cls(kind, fields=tuple((str(field["name"]), cls.of(field.get("type"))) for field in fields))
        if kind not in _DUCKDB:
            raise QueryError(
                f"Type {kind or 'ANY TYPE'} is not supported in JavaScript functions; use one of {', '.join(_DUCKDB)}, "
                "ARRAY and STRUCT",
                location="query",
            )
        return cls(kind)

    @property
    def sql(self) -> str:
        """The type in GoogleSQL."""
        if self.element is not None:
            return f"ARRAY<{self.element.sql}>"
        if self.kind == "STRUCT":
            return f"STRUCT<{', '.join(f'{name} {kind.sql}' for name, kind in self.fields)}>"
        return self.kind

    @property
    def duckdb(self) -> str:
        """The type in DuckDB's SQL."""
        return self._duckdb(_DUCKDB)

    @property
    def carried(self) -> str:
        """The type of DuckDB in which a Python function gets the values: the same, with JSON as text."""
        return self._duckdb(_CARRIED)

    def _duckdb(self, scalars: Mapping[str, str]) -> str:
        if self.element is not None:
            return f"{self.element._duckdb(scalars)}[]"
        if self.kind == "STRUCT":
            return f"STRUCT({', '.join(f'{quote(name)} {kind._duckdb(scalars)}' for name, kind in self.fields)})"
        return scalars[self.kind]

    @property
    def arrow(self) -> pa.DataType:
        """The type in Arrow."""
        if self.element is not None:
            return pa.list_(self.element.arrow)
        if self.kind == "STRUCT":
            return pa.struct([pa.field(name, kind.arrow) for name, kind in self.fields])
        return _ARROW[self.kind]

    def to_json(self) -> dict[str, Any]:
        """Return the type for ``conversions.js``."""
        element = None if self.element is None else self.element.to_json()
        fields = [{"name": name, "type": kind.to_json()} for name, kind in self.fields]
        return {"kind": self.kind, "sql": self.sql, "element": element, "fields": fields}

    def encode(self, value: Any) -> Any:
        """Return a value of this type, as Arrow returns it, for JSON."""
        if value is None:
            return None
        if self.element is not None:
            return [self.element.encode(each) for each in value]
        match self.kind:
            case "STRUCT":
                return [kind.encode(value[name]) for name, kind in self.fields]
            case "INT64":
                return str(value)
            case "FLOAT64":
                return value if math.isfinite(value) else {"nan": "NaN", "inf": "Infinity"}.get(str(value), "-Infinity")
            case "NUMERIC" | "BIGNUMERIC":
                exact = value == value.to_integral_value() and abs(value) <= _LARGEST_EXACT
                return int(value) if exact else _digits(value)
            case "BYTES":
                return base64.b64encode(value).decode()
            case "DATE":
                return (value - _FIRST_DAY).days * _MILLISECONDS_PER_DAY
            case "TIMESTAMP":
                # A Number can't hold the microseconds of all timestamps.
                return divmod((value - _FIRST_MOMENT) // timedelta(microseconds=1), 1000)
        return value

    def decode(self, value: Any) -> Any:
        """Return a value that ``conversions.js`` encoded, for Arrow.

        Raises:
            QueryError: The type has no such value.
        """
        if value is None:
            return None
        if self.element is not None:
            return [self.element.decode(each) for each in value]
        if self.kind == "STRUCT":
            return {name: kind.decode(each) for (name, kind), each in zip(self.fields, value, strict=True)}
        try:
            decoded = self._decode_scalar(value)
            if self.kind in _LIMIT and not -_LIMIT[self.kind] <= decoded < _LIMIT[self.kind]:
                raise OverflowError
        except (ArithmeticError, ValueError) as error:
            raise QueryError(
                f"Failed to coerce output value {json.dumps(value)} to type {self.sql}", location="query"
            ) from error
        return decoded

    def _decode_scalar(self, value: Any) -> Any:
        match self.kind:
            case "INT64":
                return int(value)
            case "FLOAT64":
                return float(value)
            case "NUMERIC" | "BIGNUMERIC":
                return round(Decimal(value), _SCALE[self.kind])
            case "BYTES":
                return base64.b64decode(value, validate=True)
            case "DATE":
                return _FIRST_DAY + timedelta(days=value // _MILLISECONDS_PER_DAY)
            case "TIMESTAMP":
                milliseconds, fraction = value
                return _FIRST_MOMENT + timedelta(milliseconds=milliseconds, microseconds=fraction)
        return value


def _digits(value: Decimal) -> str:
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
