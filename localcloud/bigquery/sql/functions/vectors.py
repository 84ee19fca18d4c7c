"""The macro of DuckDB that reads the two forms of a vector of ML.DISTANCE.

https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-distance
"""

from __future__ import annotations

# The lambda evaluates an argument once: it may call a model.
_VECTOR = """list_extract(list_transform(list_value(x), lambda v: {
    'numbers': TRY_CAST(v AS DOUBLE[]),
    'named': CASE WHEN typeof(v) LIKE 'STRUCT%' THEN CAST(to_json(v) AS VARCHAR) END}), 1)"""

MACROS: tuple[str, ...] = (f"CREATE OR REPLACE MACRO ml_vector(x) AS {_VECTOR}",)
"""``ml_vector(x)`` has the ``numbers`` of an array, or an array of STRUCTs as JSON in ``named``; both are NULL for NULL."""
