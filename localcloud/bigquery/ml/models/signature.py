"""The inputs and outputs of a model, and which BigQuery types match them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from localcloud.bigquery.base.type_names import standard_name

# https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create-tensorflow#supported_data_types_for_input_columns
DUCKDB_TYPES = {"INT64": "BIGINT", "FLOAT64": "DOUBLE", "BOOL": "BOOLEAN", "STRING": "VARCHAR"}
ARROW_TYPES = {"INT64": pa.int64(), "FLOAT64": pa.float64(), "BOOL": pa.bool_(), "STRING": pa.string()}

# For each type, the types that are coerced to it, and those that can be cast to it.
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
        name: The name in the model, which is also the name of the column.
        type: ``INT64``, ``FLOAT64``, ``BOOL`` or ``STRING``.
        shape: The shape of one row, without the batch dimension; None for an open size. ``()`` is a scalar.
        array: Whether the column is an ARRAY, with all dimensions flattened.
        nullable: Whether NULL is a valid value.
    """

    name: str
    type: str
    shape: tuple[int | None, ...] = ()
    array: bool = False
    nullable: bool = False

    @classmethod
    def as_input(cls, name: str, kind: str, shape: tuple[int | None, ...]) -> Feature:
        """Create an input. A vector of one element per row is a scalar column.

        https://cloud.google.com/bigquery/docs/making-predictions-with-sklearn-models-in-onnx-format
        """
        return cls(name, kind, shape, array=shape not in ((), (1,)))

    @classmethod
    def as_output(cls, name: str, kind: str, shape: tuple[int | None, ...]) -> Feature:
        """Create an output. Every vector is an ARRAY column, even one of a single element."""
        return cls(name, kind, shape, array=shape != ())

    @property
    def size(self) -> int | None:
        """The number of elements in one row, or None if a size is open."""
        return None if None in self.shape else math.prod(size for size in self.shape if size is not None)

    @property
    def image(self) -> bool:
        """Whether the input accepts an image: numbers with a height, width and channels."""
        return len(self.shape) == 3 and self.type in ("FLOAT64", "INT64")

    @property
    def sql_type(self) -> str:
        """The type of the column in GoogleSQL."""
        return f"ARRAY<{self.type}>" if self.array else self.type

    @property
    def duckdb_type(self) -> str:
        """The type of the column in DuckDB."""
        return DUCKDB_TYPES[self.type] + ("[]" if self.array else "")

    @property
    def arrow_type(self) -> pa.DataType:
        """The type of the column in Arrow."""
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
        """Return the feature as JSON, for the catalog."""
        record: dict[str, Any] = {"name": self.name, "type": self.type}
        return record | {"shape": list(self.shape), "array": self.array, "nullable": self.nullable}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Feature:
        """Return the feature that ``to_json`` returned."""
        return cls(record["name"], record["type"], tuple(record["shape"]), record["array"], record["nullable"])


@dataclass(frozen=True)
class Importance:
    """How much a feature contributes to a booster.

    Attributes:
        feature: The name of the feature.
        weight: The number of splits by the feature.
        gain: The average improvement by a split.
        cover: The average number of examples at a split.
    """

    feature: str
    weight: float
    gain: float
    cover: float


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of a model, in the model's order, and the importance of a booster's features."""

    inputs: tuple[Feature, ...]
    outputs: tuple[Feature, ...]
    importance: tuple[Importance, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the signature as JSON, for the catalog."""
        record: dict[str, Any] = {
            "inputs": [f.to_json() for f in self.inputs],
            "outputs": [f.to_json() for f in self.outputs],
        }
        return record | ({"importance": [asdict(each) for each in self.importance]} if self.importance else {})

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Signature:
        """Return the signature that ``to_json`` returned."""
        return cls(
            tuple(Feature.from_json(feature) for feature in record["inputs"]),
            tuple(Feature.from_json(feature) for feature in record["outputs"]),
            tuple(Importance(**each) for each in record.get("importance", ())),
        )


@dataclass(frozen=True)
class ColumnType:
    """The type of a column in the input of a prediction."""

    name: str
    array: bool
    fields: tuple[ColumnType, ...] = ()

    @classmethod
    def of(cls, field: dict[str, Any]) -> ColumnType:
        """Return the type of a REST ``TableFieldSchema``."""
        name = standard_name(field["type"])
        return cls(name, field.get("mode") == "REPEATED", tuple(cls.of(inner) for inner in field.get("fields", ())))

    @property
    def sql(self) -> str:
        """The type in GoogleSQL."""
        name = f"STRUCT<{', '.join(field.sql for field in self.fields)}>" if self.fields else self.name
        return f"ARRAY<{name}>" if self.array else name

    @property
    def is_image(self) -> bool:
        """Whether it is the type of an image: a STRUCT of dimensions and values."""
        return (
            self.name == "STRUCT"
            and not self.array
            and [(field.name, field.array) for field in self.fields[:1]] == [("INT64", True)]
            and len(self.fields) == 2
            and self.fields[1].array
            and self.fields[1].name in ("FLOAT64", "INT64")
        )


def accepts(feature: Feature, column: ColumnType, *, castable: bool) -> bool:
    """Return whether a model's input accepts a column.

    Args:
        feature: The input.
        column: The type of the column.
        castable: Whether the values are cast, as for ONNX, TensorFlow Lite and XGBoost. TensorFlow only coerces them.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-predict
    """
    if column.is_image:
        return feature.image
    table = CASTABLE_FROM if castable else COERCIBLE_FROM
    if column.name not in table[feature.type]:
        return False
    # One element per row can be a scalar or an ARRAY.
    return feature.array == column.array or feature.shape == (1,) or feature.size == 1
