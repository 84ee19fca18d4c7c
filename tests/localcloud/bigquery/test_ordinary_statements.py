"""Ordinary statements pass the check for names that BigQuery does not have."""

from __future__ import annotations

import pytest

from localcloud.bigquery.sql.checks.duckdb_only import reject_foreign_names

# A statement of each kind in which a bracket follows a word that is not a function.
STATEMENTS = (
    (
        "SELECT DATE_TRUNC(CURRENT_DATE(), WEEK(MONDAY)), EXTRACT(WEEK(SUNDAY) FROM CURRENT_DATE()), "
        "LAST_DAY(CURRENT_DATE(), WEEK(SUNDAY)), DATE_DIFF(a, b, WEEK(MONDAY)) FROM t"
    ),
    (
        "CREATE TABLE d.t (a INT64, b STRING(10) NOT NULL DEFAULT ('x'), c NUMERIC(10,2), d "
        "BIGNUMERIC(40,2), PRIMARY KEY (a) NOT ENFORCED, FOREIGN KEY (b) REFERENCES d.u(b) NOT ENFORCED)"
    ),
    "CREATE TABLE d.t (a INT64, CONSTRAINT fk FOREIGN KEY (a) REFERENCES u(b) NOT ENFORCED)",
    "CREATE SEARCH INDEX i ON d.t(ALL COLUMNS)",
    "CREATE SEARCH INDEX i ON d.t(a, b) OPTIONS (analyzer='LOG_ANALYZER')",
    "CREATE VECTOR INDEX i ON d.t(a) OPTIONS(index_type='IVF')",
    "CREATE ROW ACCESS POLICY p ON d.t GRANT TO ('user:a@b.c') FILTER USING (a = 1)",
    "SELECT x FROM t WHERE x LIKE ANY ('a%', 'b%') AND x NOT IN (1) AND (x) > ALL (1)",
    (
        "SELECT SUM(DISTINCT (x)), COUNT(*) OVER (PARTITION BY (a) ORDER BY (b)) FROM t GROUP BY GROUPING "
        "SETS ((a), (b), ()), CUBE (a), ROLLUP(b)"
    ),
    ("SELECT * FROM a JOIN b USING (x) LEFT JOIN c ON (a.x = c.x) CROSS JOIN UNNEST(z) WITH OFFSET AS o LIMIT 1"),
    "UPDATE d.t SET a = (1), b = (SELECT 1) WHERE (TRUE)",
    "INSERT d.t (a) VALUES (1), (2)",
    "INSERT INTO d.t (a) (SELECT 1)",
    (
        "MERGE d.t AS t USING (SELECT 1 a) s ON (t.a = s.a) WHEN MATCHED AND (s.a > 1) THEN UPDATE SET a = "
        "(2) WHEN NOT MATCHED BY TARGET THEN INSERT (a) VALUES (s.a) WHEN NOT MATCHED BY SOURCE THEN DELETE"
    ),
    (
        "LOAD DATA INTO d.t (a INT64) PARTITION BY (a) FROM FILES (format='CSV', uris=['gs://x/y']) WITH "
        "PARTITION COLUMNS (p STRING)"
    ),
    "EXPORT DATA OPTIONS (uri='gs://x/*', format='CSV') AS (SELECT 1)",
    ("CREATE EXTERNAL TABLE d.t (a INT64) WITH PARTITION COLUMNS (p STRING) OPTIONS (format='CSV', uris=['gs://x'])"),
    (
        "CREATE FUNCTION d.f(a INT64, b ARRAY<STRUCT<x INT64>>) RETURNS STRUCT<a INT64> LANGUAGE js OPTIONS "
        "(library=[]) AS 'return 1'"
    ),
    ("CREATE MODEL d.m INPUT (a FLOAT64) OUTPUT (b FLOAT64) REMOTE WITH CONNECTION us.c OPTIONS (endpoint='x')"),
    (
        "CREATE MODEL d.m TRANSFORM (ML.STANDARD_SCALER(a) OVER () AS a) OPTIONS (model_type='linear_reg') "
        "AS (SELECT 1 a)"
    ),
    (
        "SELECT CASE WHEN (a) THEN (b) ELSE (c) END, IF (a, b, c), INTERVAL (1) DAY, CAST(a AS STRING(3)), a "
        "BETWEEN (1) AND (2), NOT (a), -(a), [(1)], a IS (NULL) FROM t"
    ),
    (
        "DECLARE x, y INT64 DEFAULT (1); SET (x, y) = (1, 2); IF (x > 1) THEN SELECT 1; ELSEIF (x = 2) THEN "
        "SELECT 2; END IF; WHILE (x < 3) DO SET x = x + 1; END WHILE; REPEAT SET x = 1; UNTIL (x = 1) END "
        "REPEAT; CASE (x) WHEN (1) THEN SELECT 1; END CASE; RETURN; ASSERT (x = 1) AS 'no'"
    ),
    (
        "SELECT * FROM t TABLESAMPLE SYSTEM (10 PERCENT) PIVOT (SUM(a) FOR b IN ('x')) UNPIVOT INCLUDE NULLS "
        "(v FOR k IN (a, b))"
    ),
    (
        "SELECT MAX(a HAVING MAX b), ARRAY_AGG(a IGNORE NULLS ORDER BY a LIMIT 2), STRING_AGG(DISTINCT a), "
        "FIRST_VALUE(a IGNORE NULLS) OVER (w ROWS 1 PRECEDING) FROM t WINDOW w AS (ORDER BY a)"
    ),
    (
        "SELECT TIMESTAMP_TRUNC(a, WEEK(TUESDAY), 'UTC'), RANGE(DATE '2024-01-01', NULL), RANGE_CONTAINS(a, "
        "b), GENERATE_RANGE_ARRAY(a, b) FROM t"
    ),
    "SELECT VECTOR_SEARCH(a) FROM t",
    "SELECT * FROM VECTOR_SEARCH(TABLE d.t, 'e', (SELECT 1), top_k => 3)",
    "SELECT * FROM GAP_FILL(TABLE d.t, ts_column => 'a', bucket_width => INTERVAL 1 DAY)",
    "SELECT * FROM APPENDS(TABLE d.t, NULL, NULL)",
    "SELECT * FROM EXTERNAL_QUERY('c', 'SELECT 1')",
    "SELECT * FROM ML.PREDICT(MODEL d.m, TABLE d.t, STRUCT(0.5 AS threshold))",
    "SELECT * FROM AI.FORECAST(TABLE d.t, data_col => 'a', timestamp_col => 'b')",
    (
        "SELECT SAFE.PARSE_DATE('%F', a), SAFE.SUBSTR(a, 1), `d.f`(a), d.f(a), `p.d`.f(a), p.d.f(a), "
        "OBJ.FETCH_METADATA(r), NET.HOST(a), HLL_COUNT.MERGE(a), KLL_QUANTILES.INIT_INT64(a), "
        "ST_GEOGFROMGEOJSON(g), S2_CELLIDFROMPOINT(g), SEARCH(a, 'x'), TEXT_ANALYZE(a), BAG_OF_WORDS(a), "
        "TF_IDF(a, 1) OVER (), ST_CLUSTERDBSCAN(g, 1, 2) OVER (), STRING(a), INT64(j), FLOAT64(j), BOOL(j), "
        "JSON_STRIP_NULLS(j), LAX_INT64(j), TO_JSON(a), DATE(a), DATETIME(a, 'UTC'), TIME(1, 2, 3), "
        "TIMESTAMP(a), UNIX_MILLIS(a), MAKE_INTERVAL(1), JUSTIFY_DAYS(i), EXTERNAL_OBJECT_TRANSFORM(a) FROM t"
    ),
    (
        "FROM t |> AGGREGATE SUM(a) AS s GROUP BY b |> EXTEND (s + 1) AS z |> SET z = (1) |> RENAME z AS y "
        "|> DROP y |> WHERE (TRUE) |> CALL d.tf(1) |> PIVOT (SUM(s) FOR b IN ('x'))"
    ),
    (
        "ALTER TABLE d.t ADD COLUMN IF NOT EXISTS z STRING(3) OPTIONS (description='x'), ALTER COLUMN a SET "
        "OPTIONS (description='y'), ADD PRIMARY KEY (a) NOT ENFORCED, ADD CONSTRAINT c FOREIGN KEY (a) "
        "REFERENCES d.u(a) NOT ENFORCED"
    ),
    "CREATE SCHEMA IF NOT EXISTS d OPTIONS (location='US') ; DROP SCHEMA d CASCADE",
    (
        "CREATE PROPERTY GRAPH d.g NODE TABLES (d.p KEY (id) LABEL x PROPERTIES (id)) EDGE TABLES (d.k "
        "SOURCE KEY (a) REFERENCES p (id) DESTINATION KEY (b) REFERENCES p (id))"
    ),
    "CREATE CAPACITY `p.region-us.c` OPTIONS (slot_count=100)",
    'GRANT `roles/bigquery.dataViewer` ON TABLE d.t TO "user:a@b.c"',
    "UNDROP SCHEMA d",
    "CREATE DATA POLICY p OPTIONS (x='y')",
    "SELECT @@error.message, @x, ?",
)


@pytest.mark.parametrize("sql", STATEMENTS)
def test_an_ordinary_statement_has_no_foreign_name(sql: str) -> None:
    reject_foreign_names(sql)
