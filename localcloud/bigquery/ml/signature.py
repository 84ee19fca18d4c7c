"""What a model takes and gives: its columns, their types, and how BigQuery's types fit them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

# https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create-tensorflow#supported_data_types_for_input_columns
DUCKDB_TYPES = {"INT64": "BIGINT", "FLOAT64": "DOUBLE", "BOOL": "BOOLEAN", "STRING": "VARCHAR"}
ARROW_TYPES = {"INT64": pa.int64(), "FLOAT64": pa.float64(), "BOOL": pa.bool_(), "STRING": pa.string()}

# The names of types in a REST TableFieldSchema, which knows the older ones too.
_STANDARD_NAMES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL", "RECORD": "STRUCT"}

# To which type a value of another type is brought without being asked.
# https://cloud.google.com/bigquery/docs/reference/standard-sql/conversion_rules
COERCIBLE_FROM: dict[str, frozenset[str]] = {
    "INT64": frozenset({"INT64"}),
    "FLOAT64": frozenset({"FLOAT64", "INT64", "NUMERIC", "BIGNUMERIC"}),
    "BOOL": frozenset({"BOOL"}),
    "STRING": frozenset({"STRING"}),
}
CASTABLE_FROM: dict[str, frozenset[str]] = {
    "INT64": frozenset({"INT64", "FLOAT64", "NUMERIC", "BIGNUMERIC", "BOOL", "STRING"}),
    "FLOAT64": frozenset({"FLOAT64", "INT64", "NUMERIC", "BIGNUMERIC", "STRING"}),
    "BOOL": frozenset({"BOOL", "INT64", "STRING"}),
    "STRING": frozenset(
        [
            "STRING",
            "INT64",
            "FLOAT64",
            "NUMERIC",
            "BIGNUMERIC",
            "BOOL",
            "BYTES",
            "DATE",
            "DATETIME",
            "TIME",
            "TIMESTAMP",
        ]
    ),
}


@dataclass(frozen=True)
class Feature:
    """One input or output of a model.

    Attributes:
        name: The model's own name for it, which is the column's name.
        type: ``INT64``, ``FLOAT64``, ``BOOL`` or ``STRING``.
        shape: The sizes of one row's value without the batch dimension; None where any size fits. ``()`` is a scalar.
        array: Whether BigQuery sees an ARRAY, with all dimensions laid out flat.
        nullable: Whether a NULL is a value for it, as for a sparse tensor.
    """

    name: str
    type: str
    shape: tuple[int | None, ...] = ()
    array: bool = False
    nullable: bool = False

    @classmethod
    def as_input(cls, name: str, kind: str, shape: tuple[int | None, ...]) -> Feature:
        """Return an input; a vector of one element per row is given as a scalar.

        https://cloud.google.com/bigquery/docs/making-predictions-with-sklearn-models-in-onnx-format
        """
        return cls(name, kind, shape, array=shape not in ((), (1,)))

    @classmethod
    def as_output(cls, name: str, kind: str, shape: tuple[int | None, ...]) -> Feature:
        """Return an output; every vector is an ARRAY, one of a single element too."""
        return cls(name, kind, shape, array=shape != ())

    @property
    def size(self) -> int | None:
        """The number of elements of one row's value, or None if it is open."""
        return None if None in self.shape else math.prod(size for size in self.shape if size is not None)

    @property
    def image(self) -> bool:
        """Whether it may be given as an image: height, width and channels of numbers."""
        return len(self.shape) == 3 and self.type in ("FLOAT64", "INT64")

    @property
    def sql_type(self) -> str:
        """Its type in GoogleSQL."""
        return f"ARRAY<{self.type}>" if self.array else self.type

    @property
    def duckdb_type(self) -> str:
        """Its type in DuckDB's SQL."""
        return DUCKDB_TYPES[self.type] + ("[]" if self.array else "")

    @property
    def arrow_type(self) -> pa.DataType:
        """Its type in Arrow."""
        return pa.list_(ARROW_TYPES[self.type]) if self.array else ARROW_TYPES[self.type]

    def standard_sql_field(self) -> dict[str, Any]:
        """Return the ``StandardSqlField`` of a model resource.

        https://cloud.google.com/bigquery/docs/reference/rest/v2/StandardSqlField
        """
        element = {"typeKind": self.type}
        return {
            "name": self.name,
            "type": {"typeKind": "ARRAY", "arrayElementType": element} if self.array else element,
        }

    def to_json(self) -> dict[str, Any]:
        """Return it as the catalog keeps it."""
        kept: dict[str, Any] = {"name": self.name, "type": self.type}
        return kept | {"shape": list(self.shape), "array": self.array, "nullable": self.nullable}

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Feature:
        """Return the feature that the catalog kept."""
        return cls(kept["name"], kept["type"], tuple(kept["shape"]), kept["array"], kept["nullable"])


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of a model, in the model's order."""

    inputs: tuple[Feature, ...]
    outputs: tuple[Feature, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as the catalog keeps it."""
        return {"inputs": [f.to_json() for f in self.inputs], "outputs": [f.to_json() for f in self.outputs]}

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Signature:
        """Return the signature that the catalog kept."""
        return cls(
            tuple(Feature.from_json(f) for f in kept["inputs"]), tuple(Feature.from_json(f) for f in kept["outputs"])
        )


@dataclass(frozen=True)
class ColumnType:
    """The type of a column of a query, as far as fitting it to a model's input goes."""

    name: str
    array: bool
    fields: tuple[ColumnType, ...] = ()

    @classmethod
    def of(cls, field: dict[str, Any]) -> ColumnType:
        """Return the type of a REST ``TableFieldSchema``."""
        name = _STANDARD_NAMES.get(field["type"], field["type"])
        return cls(name, field.get("mode") == "REPEATED", tuple(cls.of(inner) for inner in field.get("fields", ())))

    @property
    def sql(self) -> str:
        """The type as GoogleSQL writes it."""
        name = f"STRUCT<{', '.join(field.sql for field in self.fields)}>" if self.fields else self.name
        return f"ARRAY<{name}>" if self.array else name

    @property
    def is_image(self) -> bool:
        """Whether it is what the image functions give: dimensions, then values."""
        return (
            self.name == "STRUCT"
            and not self.array
            and [(field.name, field.array) for field in self.fields[:1]] == [("INT64", True)]
            and len(self.fields) == 2
            and self.fields[1].array
            and self.fields[1].name in ("FLOAT64", "INT64")
        )


def fits(feature: Feature, column: ColumnType, *, castable: bool) -> bool:
    """Tell whether a column can be given to an input.

    Args:
        feature: The model's input.
        column: The query's column.
        castable: Whether any type that can be cast will do, as for ONNX, TensorFlow Lite and XGBoost; TensorFlow
            takes only what is coerced.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-predict
    """
    if column.is_image:
        return feature.image
    table = CASTABLE_FROM if castable else COERCIBLE_FROM
    if column.name not in table[feature.type]:
        return False
    # One element per row can be given either way.
    return feature.array == column.array or feature.shape == (1,) or feature.size == 1
