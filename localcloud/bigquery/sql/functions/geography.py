"""Computes functions of geographies that DuckDB, whose geometries are on a plane, computes in degrees, or not at all.

https://cloud.google.com/bigquery/docs/reference/standard-sql/geography_functions
"""

from __future__ import annotations

from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.functions.nodes import Rule, call

# On a sphere with a radius of 6,371,010 m, as that of BigQuery.
_METRES_OF_A_DEGREE = 111195.0797343
# bqemulator's function takes points, and returns NULL for other shapes.
_DISTANCE = "bqemu_st_distance_spheroidal(ST_AsText(a), ST_AsText(b))"
_IS_POINT = "ST_GeometryType({}) = 'POINT'"
_LATITUDE = "ST_GeogPoint failed: Latitude must be between -90 and 90 degrees. Actual value was "
_EAST = "radians(ST_X(b) - ST_X(a))"
_FROM, _TO = "radians(ST_Y(a))", "radians(ST_Y(b))"
_AZIMUTH = f"atan2(sin({_EAST}) * cos({_TO}), cos({_FROM}) * sin({_TO}) - sin({_FROM}) * cos({_TO}) * cos({_EAST}))"
MACROS: tuple[str, ...] = (
    f"CREATE OR REPLACE MACRO _st_distance(a, b) AS CASE WHEN NOT ({_IS_POINT.format('a')} AND {_IS_POINT.format('b')}) "
    f"THEN bqemu_fail('Distances of geographies other than points are not supported') ELSE {_DISTANCE} END",
    "CREATE OR REPLACE MACRO _st_dwithin(a, b, distance) AS _st_distance(a, b) <= distance",
    f"CREATE OR REPLACE MACRO _st_geogpoint(x, y) AS CASE WHEN y NOT BETWEEN -90 AND 90 THEN bqemu_fail('{_LATITUDE}' || y) "
    "ELSE ST_Point(CASE WHEN x BETWEEN -180 AND 180 THEN x ELSE x - 360 * round(x / 360) END, y) END",
    "CREATE OR REPLACE MACRO _st_astext(x) AS regexp_replace(ST_AsText(x), '([A-Z]) [(]', '\\1(', 'g')",
    f"CREATE OR REPLACE MACRO _st_azimuth(a, b) AS CASE WHEN NOT ST_Equals(a, b) "
    f"THEN CASE WHEN {_AZIMUTH} < 0 THEN {_AZIMUTH} + 2 * pi() ELSE {_AZIMUTH} END END",
    "CREATE OR REPLACE MACRO _st_isclosed(x) AS CASE WHEN ST_IsEmpty(x) OR ST_GeometryType(x) IN ('POLYGON', 'MULTIPOLYGON') "
    "THEN FALSE WHEN ST_GeometryType(x) IN ('POINT', 'MULTIPOINT') THEN TRUE ELSE ST_IsClosed(x) END",
    f"CREATE OR REPLACE MACRO _st_simplify(x, tolerance) AS ST_Simplify(x, tolerance / {_METRES_OF_A_DEGREE})",
    "CREATE OR REPLACE MACRO _st_dump(x) AS list_transform(ST_Dump(x), lambda dumped: struct_extract(dumped, 'geom'))",
)
"""The DuckDB macros that the rewritten SQL calls."""

WORDS = (r"ST_\w+",)
"""Regular expressions of the names of the functions that ``RULES`` and ``BY_NAME`` may replace."""

RULES: dict[type[exp.Expr], Rule] = {
    exp.StDistance: lambda node: call("_st_distance", node.this, node.expression),
}
"""What replaces the nodes of each type."""

BY_NAME = {
    "ST_ASTEXT": {1: "_st_astext"},
    "ST_AZIMUTH": {2: "_st_azimuth"},
    "ST_DUMP": {1: "_st_dump"},
    "ST_DWITHIN": {3: "_st_dwithin"},
    "ST_GEOGPOINT": {2: "_st_geogpoint"},
    "ST_ISCLOSED": {1: "_st_isclosed"},
    "ST_SIMPLIFY": {2: "_st_simplify"},
}
"""The macros for functions that sqlglot does not know, by name and number of arguments."""

_ON_A_PLANE = frozenset({"ST_BUFFER", "ST_EXTENT"})


def reject_planar(name: str) -> None:
    """Refuse a function whose result on a plane is another one.

    Raises:
        QueryError: The function is not supported.
    """
    if name in _ON_A_PLANE:
        raise QueryError(f"{name} is not supported: geographies are on a plane in the local BigQuery")
