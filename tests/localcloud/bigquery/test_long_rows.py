"""Tables with long rows, which statements read in small batches when the memory does not suffice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from localcloud.bigquery.tables.long_rows import BATCH_ROWS, LONG_ROW_BYTES, SmallBatches

ROWS = 3 * BATCH_ROWS + 1


@pytest.fixture
def database(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(tmp_path / "long.duckdb")) as connection:
        connection.execute("CREATE SCHEMA data")
        connection.execute(
            f"""CREATE TABLE data."long table" AS SELECT
                  n, n % 3 = 0 AS is_third, repeat('text ', {LONG_ROW_BYTES // 5 + 1}) || n AS text,
                  CAST('{{"n":' || n || '}}' AS JSON) AS document, CAST(n || '.25' AS DECIMAL(38, 9)) AS price,
                  DATE '2026-01-01' + CAST(n AS INTEGER) AS day, encode('ä' || n) AS data
                FROM range({ROWS}) AS numbers(n)"""
        )
        connection.execute("CREATE TABLE data.short AS SELECT n, 'name ' || n AS name FROM range(10) AS numbers(n)")
        connection.execute('CREATE TABLE data.copy AS SELECT n, text FROM data."long table" WHERE FALSE')
        connection.execute("CREATE VIEW data.seen AS SELECT n FROM data.short")
        yield connection


@pytest.mark.parametrize(
    ("sql", "replaced"),
    [
        ('SELECT * FROM data."long table" ORDER BY n', 1),
        ('SELECT "long table".n, length("long table".text) FROM data."long table" WHERE is_third ORDER BY n', 1),
        ('SELECT l.n, s.name FROM data."long table" AS l JOIN data.short AS s ON l.n = s.n ORDER BY 1', 1),
        ('SELECT a.n FROM data."long table" a JOIN data."long table" b ON a.n = b.n + 1 ORDER BY 1', 2),
        ('WITH l AS (SELECT n, text FROM data."long table") SELECT count(*), max(length(text)) FROM l', 1),
        ('SELECT name, (SELECT max(n) FROM data."long table" WHERE n < s.n) AS before FROM data.short s ORDER BY 1', 1),
        ("SELECT name FROM data.short ORDER BY n", 0),
        ("SELECT n FROM data.seen ORDER BY n", 0),
        ("SELECT 'data.\"long table\"' AS text", 0),
    ],
)
def test_a_query_has_the_same_rows_in_small_batches(
    database: duckdb.DuckDBPyConnection, sql: str, replaced: int
) -> None:
    rewritten = SmallBatches(database, database.cursor).rewritten(sql)
    assert rewritten.count("FROM long_rows_") == replaced
    expected = database.execute(sql)
    columns = [column[:2] for column in expected.description or []]
    rows = expected.fetchall()
    actual = database.execute(rewritten)
    assert [column[:2] for column in actual.description or []] == columns
    assert actual.fetchall() == rows


@pytest.mark.parametrize(
    ("sql", "check", "count"),
    [
        ('INSERT INTO data.copy SELECT n, text FROM data."long table"', "SELECT count(*) FROM data.copy", ROWS),
        ('CREATE TABLE data.made AS SELECT n FROM data."long table"', "SELECT count(*) FROM data.made", ROWS),
        (
            'DELETE FROM data."long table" WHERE is_third',
            'SELECT count(*) FROM data."long table"',
            ROWS - ROWS // 3 - 1,
        ),
        (
            "UPDATE data.\"long table\" SET text = '' WHERE n IN (SELECT n FROM data.short)",
            "SELECT count(*) FROM data.\"long table\" WHERE text = ''",
            10,
        ),
        (
            "UPDATE data.short SET name = 'long' WHERE n IN (SELECT n FROM data.\"long table\" WHERE is_third)",
            "SELECT count(*) FROM data.short WHERE name = 'long'",
            4,
        ),
    ],
)
def test_a_statement_writes_the_same_rows_in_small_batches(
    database: duckdb.DuckDBPyConnection, sql: str, check: str, count: int
) -> None:
    database.execute(SmallBatches(database, database.cursor).rewritten(sql))
    assert database.execute(check).fetchone() == (count,)


def test_a_statement_that_cannot_be_parsed_stays_as_it_is(database: duckdb.DuckDBPyConnection) -> None:
    assert SmallBatches(database, database.cursor).rewritten("SELECT (FROM data.short") == "SELECT (FROM data.short"
