"""The ``output_schema`` of AI.GENERATE_TABLE and AI.GENERATE: parsed, and converted to the types of other systems.

https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-generate-table
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.reading.tokens import Cursor

# For each GoogleSQL type: its type in the Gemini API's Schema, in DuckDB and in Arrow.
_SCALARS: dict[str, tuple[str, str, pa.DataType]] = {
    "STRING": ("STRING", "VARCHAR", pa.string()),
    "INT64": ("INTEGER", "BIGINT", pa.int64()),
    "FLOAT64": ("NUMBER", "DOUBLE", pa.float64()),
    "BOOL": ("BOOLEAN", "BOOLEAN", pa.bool_()),
}


@dataclass(frozen=True)
class OutputType:
    """A type in an output schema.

    Attributes:
        name: ``STRING``, ``INT64``, ``FLOAT64``, ``BOOL``, ``ARRAY`` or ``STRUCT``.
        fields: The fields of a STRUCT, or the one element of an ARRAY.
        enum: The values of a STRING, if they are limited.
        single: Whether the model returns the only element of an ARRAY instead of the ARRAY.
    """

    name: str
    fields: tuple[OutputField, ...] = ()
    enum: tuple[str, ...] = ()
    single: bool = False

    def json_schema(self) -> dict[str, Any]:
        """Return the Schema of the Gemini API for this type.

        https://cloud.google.com/vertex-ai/docs/reference/rest/v1/Schema
        """
        match self.name:
            case "ARRAY" if self.single:
                return self.fields[0].type.json_schema()
            case "ARRAY":
                return {"type": "ARRAY", "items": self.fields[0].type.json_schema()}
            case "STRING" if self.enum:
                return {"type": "STRING", "enum": list(self.enum)}
            case "STRUCT":
                names = [field.name for field in self.fields]
                properties = {field.name: field.type.json_schema() for field in self.fields}
                return {"type": "OBJECT", "properties": properties, "required": names, "propertyOrdering": names}
        return {"type": _SCALARS[self.name][0]}

    def sql(self) -> str:
        """Return the type in GoogleSQL."""
        match self.name:
            case "ARRAY":
                return f"ARRAY<{self.fields[0].type.sql()}>"
            case "STRUCT":
                return "STRUCT<" + ", ".join(f"`{field.name}` {field.type.sql()}" for field in self.fields) + ">"
        return self.name

    def duckdb(self) -> str:
        """Return the type in DuckDB."""
        match self.name:
            case "ARRAY":
                return f"{self.fields[0].type.duckdb()}[]"
            case "STRUCT":
                return "STRUCT(" + ", ".join(f'"{field.name}" {field.type.duckdb()}' for field in self.fields) + ")"
        return _SCALARS[self.name][1]

    def arrow(self) -> pa.DataType:
        """Return the type in Arrow."""
        match self.name:
            case "ARRAY":
                return pa.list_(self.fields[0].type.arrow())
            case "STRUCT":
                return pa.struct([pa.field(field.name, field.type.arrow()) for field in self.fields])
        return _SCALARS[self.name][2]

    def value(self, found: Any) -> Any:
        """Convert a value of the model's JSON response to this type.

        Raises:
            ValueError: The value can't be converted.
        """
        if found is None:
            return None
        match self.name:
            case "ARRAY" if self.single:
                return [self.fields[0].type.value(found)]
            case "STRING" if self.enum and found not in self.enum:
                raise ValueError(f"{found!r} is not one of {', '.join(self.enum)}")
            case "ARRAY" if isinstance(found, list):
                return [self.fields[0].type.value(item) for item in found]
            case "STRUCT" if isinstance(found, dict):
                return {field.name: field.type.value(found.get(field.name)) for field in self.fields}
            case "STRING" if isinstance(found, (str, int, float, bool)):
                return found if isinstance(found, str) else str(found)
            case "INT64" if not isinstance(found, (bool, list, dict)):
                return int(found)
            case "FLOAT64" if not isinstance(found, (bool, list, dict)):
                return float(found)
            case "BOOL" if isinstance(found, bool):
                return found
        raise ValueError(f"{found!r} is not of the type {self.name}")


@dataclass(frozen=True)
class OutputField:
    """A field of an output schema."""

    name: str
    type: OutputType


def parse_output_schema(text: str) -> OutputType:
    """Parse a list of fields, such as ``name STRING, parts ARRAY<STRUCT<label STRING, size INT64>>``, to a STRUCT.

    Raises:
        QueryError: The text is not a list of fields, or a type is not supported.
    """
    # Without the space, two closing brackets would be one token.
    cursor = Cursor(text.replace(">", "> "))
    try:
        fields = _fields(cursor)
        if cursor.peek() is not None:
            raise cursor.expected("end of input")
    except QueryError as error:
        raise QueryError(f"Invalid output_schema '{text}': {error.message}", location="query") from error
    return OutputType("STRUCT", fields)


def _fields(cursor: Cursor) -> tuple[OutputField, ...]:
    fields: list[OutputField] = []
    while True:
        name = cursor.take()
        if name.kind not in ("word", "quoted"):
            raise QueryError(f"Syntax error: Unexpected {name.named()}")
        if name.text.lower() in {field.name.lower() for field in fields}:
            raise QueryError(f"the field {name.text} comes twice")
        fields.append(OutputField(name.text, _type(cursor)))
        if cursor.take_words("OPTIONS"):
            cursor.skip_group()
        if not cursor.take_symbol(","):
            return tuple(fields)


def _type(cursor: Cursor) -> OutputType:
    name = cursor.take().text.upper()
    if name in _SCALARS:
        return OutputType(name)
    if name not in ("ARRAY", "STRUCT"):
        raise QueryError(f"type {name} is not supported")
    cursor.expect_symbol("<")
    fields = _fields(cursor) if name == "STRUCT" else (OutputField("item", _type(cursor)),)
    cursor.expect_symbol(">")
    return OutputType(name, fields)
