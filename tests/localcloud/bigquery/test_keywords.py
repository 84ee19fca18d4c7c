"""Keywords of sqlglot and DuckDB that are names in GoogleSQL, as names of everything that has one.

`tests/contract/test_names.py` compares the reserved words of the local BigQuery with Google's parser.
"""

from __future__ import annotations

import duckdb
import pytest
from google.cloud import bigquery
from sqlglot.dialects.bigquery import BigQuery

from localcloud.bigquery.sql.reading.names import RESERVED
from tests.localcloud.bigquery.world import BigQueryWorld

# Functions that need no brackets. A column of the name needs the name of its table in GoogleSQL too.
BARE_FUNCTIONS = {"CURRENT_DATE", "CURRENT_DATETIME", "CURRENT_TIME", "CURRENT_TIMESTAMP"}
QUERIES = {
    "SELECT {w} + 1, x.{w} AS b, {w} AS y, s.{w}, ({w}), [{w}][OFFSET(0)], -{w}, CASE WHEN {w} = 1 THEN {w} ELSE {w} END "
    "FROM (SELECT 1 AS {w}, STRUCT(2 AS {w}) AS s) AS x WHERE {w} = 1 AND {w} IN (1, {w}) ORDER BY {w}": [
        (2, 1, 1, 2, 1, 1, -1, 1)
    ],
    "SELECT COUNT(*), {w}, ROW_NUMBER() OVER (PARTITION BY {w} ORDER BY {w}) FROM (SELECT 1 {w}) GROUP BY {w}": [
        (1, 1, 1)
    ],
    "WITH {w} AS (SELECT 1 AS a, 2 AS {w}) SELECT {w}.a, b.a AS c FROM {w} JOIN (SELECT 1 AS a, 2 AS {w}) AS b USING ({w})": [
        (1, 1)
    ],
    "SELECT {w}.a FROM (SELECT * EXCEPT ({w}) FROM (SELECT 1 AS a, 2 AS {w})) {w}": [(1,)],
}
SCRIPT = """
CREATE OR REPLACE TABLE DATASET.{w} ({w} INT64, b STRING);
INSERT INTO DATASET.{w} ({w}, b) VALUES (1, 'x');
UPDATE DATASET.{w} SET {w} = 2 WHERE {w} = 1;
MERGE DATASET.{w} AS t USING (SELECT 3 AS {w}) AS s ON t.{w} = s.{w} WHEN NOT MATCHED THEN INSERT ({w}) VALUES (s.{w});
DELETE FROM DATASET.{w} WHERE {w} = 3;
CREATE OR REPLACE TABLE DATASET.copied AS SELECT {w}, @{w} AS c FROM DATASET.{w} AS t;
SELECT {w}, c FROM DATASET.copied"""
# Words that have failed in one of these places.
HARD = (
    # A list of words reads better than one of strings.
    """alter anti asof authorization binary character check collation concurrently constraint current_user declare describe
    drop force freeze glob ilike insert install isnull lambda lock map notnull offset operator out overlaps partitioned_by pivot
    pivot_longer pivot_wider positional regexp returning revoke rlike rollback semi show similar summarize uncache unique
    unpack unpivot values verbose xor""".split()  # noqa: SIM905
)


def words() -> list[str]:
    """Return the keywords of sqlglot and DuckDB that are not reserved in GoogleSQL."""
    ours = {word for word in BigQuery.Tokenizer.KEYWORDS if word.isidentifier()}
    theirs = {str(row[0]).upper() for row in duckdb.sql("SELECT keyword_name FROM duckdb_keywords()").fetchall()}
    literals = {"TRUE", "FALSE", "NULL"}
    return sorted(word for word in (ours | theirs) - literals - BARE_FUNCTIONS if not RESERVED.fullmatch(word))


def check_word(world: BigQueryWorld, dataset: str, word: str) -> None:
    for query, expected in QUERIES.items():
        assert world.rows(query.replace("{w}", word)) == expected, (word, query)
    parameter = bigquery.ScalarQueryParameter(word, "INT64", 7)
    config = bigquery.QueryJobConfig(query_parameters=[parameter])
    assert world.rows(f"SELECT @{word}", job_config=config) == [(7,)], word


def check_script(world: BigQueryWorld, dataset: str, word: str) -> None:
    script = SCRIPT.replace(", @{w} AS c", ", 7 AS c").replace("{w}", word).replace("DATASET", dataset)
    assert world.rows(script) == [(2, 7)], word


# `make test` takes every sixth word.
@pytest.mark.parametrize(
    "word", [pytest.param(w, marks=pytest.mark.matrix if n % 6 else ()) for n, w in enumerate(HARD)]
)
def test_a_keyword_of_another_dialect_names_columns_fields_aliases_and_parameters(
    world: BigQueryWorld, dataset: str, word: str
) -> None:
    check_word(world, dataset, word)


@pytest.mark.parametrize("word", ["out", "drop", "constraint", "character", "map", "values"])
def test_a_keyword_of_another_dialect_names_tables_and_their_columns(
    world: BigQueryWorld, dataset: str, word: str
) -> None:
    check_script(world, dataset, word)


@pytest.mark.matrix
def test_each_word_that_is_not_reserved_is_a_name_everywhere(world: BigQueryWorld, dataset: str) -> None:
    wrong = []
    for word in words():
        for check in (check_word, check_script):
            try:
                check(world, dataset, word)
            except Exception as error:
                wrong.append((word, check.__name__, str(error)[-200:]))
    assert not wrong


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE PROCEDURE DATASET.p(OUT x INT64, OUT y INT64) BEGIN SET x = 1; SET y = 2; END; "
        "BEGIN DECLARE a, b INT64; CALL DATASET.p(a, b); SELECT a, b; END",
        "DECLARE x INT64 DEFAULT 1; IF x = 1 THEN DROP TABLE IF EXISTS DATASET.none; ELSE DROP TABLE DATASET.none; END IF; "
        "SELECT 1, 2",
        "BEGIN TRANSACTION; INSERT INTO DATASET.titles (title, score) VALUES ('x', 1); ROLLBACK TRANSACTION; SELECT 1, 2",
        "INSERT DATASET.titles (title, score) VALUES ('x', 1); SELECT 1, 2",
        "ALTER TABLE DATASET.titles ADD COLUMN added STRING; ALTER TABLE DATASET.titles DROP COLUMN added; SELECT 1, 2",
        "SELECT a, b FROM (SELECT 1 AS v, 'a' AS k UNION ALL SELECT 2, 'b') PIVOT (SUM(v) FOR k IN ('a', 'b'))",
        "SELECT n, offset FROM UNNEST([0, 0, 1]) AS n WITH OFFSET WHERE n = 1 ORDER BY offset LIMIT 1 OFFSET 0",
        "SELECT n, place FROM UNNEST([0, 0, 1]) AS n WITH OFFSET AS place ORDER BY n DESC LIMIT @most OFFSET @first",
        "SELECT n, [0, 0, 2][OFFSET(offset)] FROM UNNEST([0, 0, 1]) AS n WITH OFFSET offset WHERE n = 1",
        "SELECT 1, MAX(v) FROM (SELECT 1 AS a, 2 AS b) UNPIVOT (v FOR k IN (a, b))",
    ],
)
def test_the_words_of_statements_keep_their_meaning(world: BigQueryWorld, dataset: str, sql: str) -> None:
    limits = [bigquery.ScalarQueryParameter("most", "INT64", 1), bigquery.ScalarQueryParameter("first", "INT64", 0)]
    config = bigquery.QueryJobConfig(query_parameters=limits if "@most" in sql else [])
    assert world.rows(sql.replace("DATASET", dataset), job_config=config) == [(1, 2)]
