"""The rows of the Storage Read API, in the Arrow types that BigQuery gives them.

https://cloud.google.com/bigquery/docs/reference/storage#arrow_schema_details
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from localcloud.bigquery.base.schema import field_of, quote
from localcloud.bigquery.tables.engine import Engine

_BIGNUMERIC = pa.decimal256(76, 38)
_EXTENSIONS: Mapping[str, Mapping[str, str]] = {
    "GEOGRAPHY": {
        "ARROW:extension:name": "google:sqlType:geography",
        "ARROW:extension:metadata": '{"encoding": "WKT"}',
    },
    "JSON": {"ARROW:extension:name": "google:sqlType:json"},
    "DATETIME": {"ARROW:extension:name": "google:sqlType:datetime"},
}


class ReadEngine:
    """The engine, as the handler of the Storage Read API uses it."""

    def __init__(self, engine: Engine) -> None:
        """Read rows of ``engine``."""
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the engine."""
        return getattr(self._engine, name)

    def fetch_arrow(self, sql: str) -> pa.Table:
        """Return the rows of a query."""
        described = [(str(row[0]), str(row[1])) for row in self._engine.execute(f"DESCRIBE {sql}").fetchall()]
        fields = [field_of(*column) for column in described]
        shapes = [quote(f["name"]) for f in fields if f["type"] == "GEOGRAPHY" and f["mode"] != "REPEATED"]
        if shapes:
            texts = ", ".join(
                f"regexp_replace(ST_AsText({name}), '([A-Z]) \\(', '\\1(', 'g') AS {name}" for name in shapes
            )
            sql = f"SELECT * REPLACE ({texts}) FROM ({sql})"
        table = self._engine.fetch_arrow(sql)
        schema = pa.schema(
            [
                pa.field(found.name, _type(found.type, f), metadata=_EXTENSIONS.get(f["type"]))
                for found, f in zip(table.schema, fields, strict=True)
            ]
        )
        return table.cast(schema) if table.num_columns else table


def _type(found: pa.DataType, f: Mapping[str, Any]) -> pa.DataType:
    return _BIGNUMERIC if f["type"] == "BIGNUMERIC" and pa.types.is_decimal(found) else found
