"""Values of types that GoogleSQL does not convert by itself are refused, though DuckDB converts them.

https://cloud.google.com/bigquery/docs/reference/standard-sql/conversion_rules
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from google.api_core.exceptions import BadRequest

from tests.localcloud.bigquery.world import BigQueryWorld, bigquery_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BigQueryWorld]:
    with bigquery_world(tmp_path_factory.mktemp("storage")) as running:
        running.client().create_dataset("d")
        running.rows(
            "CREATE TABLE d.t AS SELECT 1 AS i, 'x' AS s, 1.5 AS f, TRUE AS b, DATE '2026-01-01' AS d, [1] AS a, b'x' AS y, "
            "RANGE<DATE> '[2026-02-01, 2026-03-01)' AS r"
        )
        yield running


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT i FROM d.t WHERE i", "WHERE clause should return type BOOL, but returns INT64"),
        ("SELECT EXTRACT(HOUR FROM d) FROM d.t", "EXTRACT from DATE does not support the HOUR date part"),
        ("SELECT RANGE(d + i, d) FROM d.t", "Range start element must be smaller than range end element"),
        ("SELECT JSON_QUERY('{}')", "No matching signature for function JSON_QUERY"),
        (
            "SELECT REGEXP_REPLACE(s, r'x', r'\\1') FROM d.t",
            "Rewrite schema requests 1 matches, but the regexp only has 0",
        ),
        ("SELECT CAST('2026-01-01 10:00' AS TIMESTAMP)", "Invalid timestamp: '2026-01-01 10:00'"),
        ("SELECT b FROM d.t GROUP BY b HAVING COUNT(*)", "HAVING clause should return type BOOL, but returns INT64"),
        ("SELECT t.i FROM d.t JOIN d.t AS u ON t.i", "JOIN ON clause should return type BOOL, but returns INT64"),
        ("SELECT NOT i FROM d.t", "operator NOT for argument types: INT64"),
        ("SELECT b AND i FROM d.t", "operator AND for argument types: BOOL, INT64"),
        ("SELECT IF(i, 1, 2) FROM d.t", "function IF for argument types: INT64, INT64, INT64"),
        ("SELECT CASE WHEN i THEN 1 END FROM d.t", "all WHEN argument types must be BOOL but found: INT64"),
        ("SELECT CASE WHEN b THEN 1 ELSE 'a' END FROM d.t", "coercible to a common type but found: INT64, STRING"),
        ("SELECT i = '1' FROM d.t", "operator = for argument types: INT64, STRING"),
        ("SELECT i IN ('1') FROM d.t", "operator IN for argument types INT64 and {STRING}"),
        ("SELECT i BETWEEN '0' AND '2' FROM d.t", "operator BETWEEN for argument types: INT64, STRING, STRING"),
        ("SELECT t.i FROM d.t JOIN d.t AS u ON t.s = u.i", "operator = for argument types: STRING, INT64"),
        ("SELECT COALESCE(1, 'a')", "function COALESCE for argument types: INT64, STRING"),
        ("SELECT [1, 'a']", "Array elements of types {INT64, STRING} do not have a common supertype"),
        (
            "SELECT i FROM d.t UNION ALL SELECT s FROM d.t",
            "Column 1 in UNION ALL has incompatible types: INT64, STRING",
        ),
        (
            "SELECT b, i FROM d.t UNION ALL SELECT * FROM (SELECT b, s FROM d.t)",
            "Column 2 in UNION ALL has incompatible types",
        ),
        ("SELECT LENGTH(i) FROM d.t", "function LENGTH for argument types: INT64"),
        ("SELECT SUM(b) FROM d.t", "aggregate function SUM for argument types: BOOL"),
        ("SELECT MOD(f, 2) FROM d.t", "function MOD for argument types: FLOAT64"),
        ("SELECT DIV(f, 2) FROM d.t", "function DIV for argument types: FLOAT64"),
        ("SELECT STRING_AGG(i) FROM d.t", "aggregate function STRING_AGG for argument types: INT64"),
        ("SELECT CAST(f AS BOOL) FROM d.t", "Invalid cast from FLOAT64 to BOOL"),
        ("SELECT SAFE_CAST(d AS INT64) FROM d.t", "Invalid cast from DATE to INT64"),
    ],
)
def test_a_wrong_type_is_refused_with_its_name(world: BigQueryWorld, sql: str, message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        world.rows(sql)
    assert message in caught.value.message


@pytest.mark.parametrize(
    "condition",
    [
        "d = '2026-01-01'",
        "d + i = '2026-01-02' AND i + d - i = d AND d + i - 1 = d",
        "d BETWEEN '2025-01-01' AND '2027-01-01'",
        "i = 1.0 AND i = NUMERIC '1' AND f > i",
        "y = 'x'",
        "COALESCE(d, '2026-01-01') = d",
        "(CASE WHEN b THEN i ELSE f END) = 1",
        "NULL IS NULL AND COALESCE(NULL, s) = s AND IF(NULL, 1, 2) = 2",
        "i IN (1, 1.5, NULL)",
        "RANGE_CONTAINS(RANGE(d, NULL), r) AND NOT RANGE_CONTAINS(r, RANGE(d, NULL)) AND SAFE.FROM_BASE64(s) IS NULL",
        "SAFE_ADD(NUMERIC '1.5', NUMERIC '2') = 3.5 AND FORMAT('%.2f', NUMERIC '123.455') = '123.46'",
        "CAST(b AS INT64) = CAST(f AS INT64) - 1 AND CAST(i AS BOOL)",
        "SAFE_CAST(s AS DATE) IS NULL AND CAST(CONCAT(i, ':2:3.5') AS TIME) = TIME '01:02:03.5'",
        "SAFE_CAST(CONCAT(d, ' 10:00:00') AS DATE) IS NULL AND SAFE_CAST(CONCAT(d, ' 10:00') AS DATETIME) IS NULL",
        "CAST('2026-01-01 10:00:00-8' AS TIMESTAMP) = '2026-01-01 18:00:00' AND SAFE_CAST('0000-01-01' AS DATE) IS NULL",
        "CAST(TIMESTAMP(d) AS TIME) = TIME '00:00:00' AND CAST(CONCAT(d, 'T10:00:00') AS DATETIME) > d",
    ],
)
def test_what_googlesql_coerces_is_carried_out(world: BigQueryWorld, condition: str) -> None:
    assert world.rows(f"SELECT COUNT(*) FROM d.t WHERE {condition}") == [(1,)]
