"""NUMERIC and BIGNUMERIC keep their types and their digits.

https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#decimal_types
"""

from __future__ import annotations

from decimal import Decimal

import pytest
from google.api_core.exceptions import BadRequest

from tests.localcloud.bigquery.world import BigQueryWorld

TEXT = "1.234567891"
EXACT = (Decimal("1.123456789"), Decimal("2.123456789012"))


@pytest.mark.parametrize(
    "definition",
    [
        "CREATE TABLE {0}.t (n NUMERIC, b BIGNUMERIC)",
        "CREATE TABLE {0}.t (n DECIMAL, b BIGDECIMAL, few NUMERIC(10, 2))",
        "CREATE TABLE {0}.t (b BIGNUMERIC, few NUMERIC(38, 4)); ALTER TABLE {0}.t ADD COLUMN n NUMERIC",
    ],
)
def test_the_columns_of_a_created_table_keep_all_digits(world: BigQueryWorld, dataset: str, definition: str) -> None:
    for statement in definition.format(dataset).split(";"):
        world.rows(statement)
    world.rows(f"INSERT INTO {dataset}.t (n, b) VALUES (NUMERIC '1.123456789', BIGNUMERIC '2.123456789012')")
    result = world.client().query_and_wait(f"SELECT n, b FROM {dataset}.t")
    assert [field.field_type for field in result.schema] == ["NUMERIC", "BIGNUMERIC"]
    assert [tuple(row) for row in result] == [EXACT]


def test_a_variable_may_be_a_bignumeric(world: BigQueryWorld) -> None:
    assert world.rows("DECLARE b BIGNUMERIC DEFAULT BIGNUMERIC '2.123456789012'; SELECT b") == [(EXACT[1],)]


@pytest.mark.parametrize(
    ("declared", "value", "read"),
    [
        ("NUMERIC", "{}", "x"),
        ("DECIMAL", "{}", "x"),
        ("BIGNUMERIC", "{}", "x"),
        ("ARRAY<NUMERIC>", "[{}]", "x[0]"),
        ("STRUCT<n NUMERIC>", "STRUCT({})", "x.n"),
        ("ARRAY<STRUCT<l ARRAY<BIGNUMERIC>>>", "[STRUCT([{}])]", "x[0].l[0]"),
    ],
)
@pytest.mark.parametrize("temporary", ["", "TEMP "])
def test_a_declared_column_keeps_all_digits(
    world: BigQueryWorld, dataset: str, declared: str, value: str, read: str, temporary: str
) -> None:
    table = "kept" if temporary else f"{dataset}.kept"
    written = value.format(f"{'BIGNUMERIC' if 'BIG' in declared else 'NUMERIC'} '{TEXT}'")
    rows = world.rows(
        f"CREATE OR REPLACE {temporary}TABLE {table} (x {declared});"
        f"INSERT INTO {table} VALUES ({written}); SELECT CAST({read} AS STRING) AS text FROM {table}"
    )
    assert rows == [(TEXT,)]


def test_a_column_that_is_added_keeps_all_digits_and_one_with_a_scale_those_of_its_scale(
    world: BigQueryWorld, dataset: str
) -> None:
    world.rows(f"CREATE TABLE {dataset}.added (a NUMERIC(18, 3), b NUMERIC(5))")
    world.rows(f"ALTER TABLE {dataset}.added ADD COLUMN c NUMERIC")
    world.rows(f"INSERT INTO {dataset}.added SELECT NUMERIC '{TEXT}', 7, NUMERIC '{TEXT}'")
    [row] = world.rows(f"SELECT * FROM {dataset}.added")
    assert list(map(str, row)) == ["1.235", "7", TEXT]


def test_casts_to_arrays_and_structs_keep_all_digits(world: BigQueryWorld) -> None:
    sql = f"SELECT ARRAY<NUMERIC>[{TEXT}] AS a, CAST(STRUCT({TEXT}) AS STRUCT<n NUMERIC>) AS s, 'AS DECIMAL' AS t"
    [(array, struct, text)] = world.rows(sql)
    assert (str(array[0]), str(struct["n"]), text) == (TEXT, TEXT, "AS DECIMAL")


def test_values_are_written_without_zeros_at_their_end(world: BigQueryWorld) -> None:
    sql = "SELECT NUMERIC '1.50' AS a, NUMERIC '100' AS b, NUMERIC '0.000000001' AS c, [BIGNUMERIC '0.0000000010'] AS d"
    response = world.call("POST", "/queries", json={"query": sql, "useLegacySql": False})
    assert [cell["v"] for cell in response.json()["rows"][0]["f"]] == [
        "1.5",
        "100",
        "0.000000001",
        [{"v": "0.000000001"}],
    ]


@pytest.mark.parametrize(
    ("expression", "kind", "value"),
    [
        ("f / n", "FLOAT", 0.5),
        ("SAFE_DIVIDE(n, f)", "FLOAT", 2.0),
        ("NULLIF(n, f)", "FLOAT", 3.0),
        ("n / 2", "NUMERIC", Decimal("1.5")),
        ("1.5 * SUM(IF(i = 1, n * n, 0)) OVER () / n", "NUMERIC", Decimal("4.5")),
        ("b / n", "BIGNUMERIC", Decimal("0.75")),
        ("COALESCE(n, 0.5)", "NUMERIC", Decimal(3)),
        ("COALESCE(NULL, b, n)", "BIGNUMERIC", Decimal("2.25")),
        ("IF(i = 1, b, i)", "BIGNUMERIC", Decimal("2.25")),
        ("GREATEST(n, b)", "BIGNUMERIC", Decimal(3)),
        ("[n, b][OFFSET(1)]", "BIGNUMERIC", Decimal("2.25")),
        ("SAFE_MULTIPLY(n, n)", "NUMERIC", Decimal(9)),
        ("ROUND(i)", "FLOAT", 1.0),
        ("ROUND(b, 1)", "BIGNUMERIC", Decimal("2.3")),
    ],
)
def test_operands_get_their_common_type(
    world: BigQueryWorld, dataset: str, expression: str, kind: str, value: object
) -> None:
    world.rows(f"CREATE TABLE {dataset}.t (i INT64, f FLOAT64, n NUMERIC, b BIGNUMERIC)")
    world.rows(f"INSERT INTO {dataset}.t VALUES (1, 1.5, NUMERIC '3', BIGNUMERIC '2.25')")
    result = world.client().query_and_wait(f"SELECT {expression} FROM {dataset}.t")
    assert ([field.field_type for field in result.schema], [row[0] for row in result]) == ([kind], [value])


@pytest.mark.parametrize("value", ["f", "AVG(f)", "AVG(n) * SUM(f)"])
def test_a_float_is_not_inserted_as_a_numeric(world: BigQueryWorld, dataset: str, value: str) -> None:
    world.rows(f"CREATE TABLE {dataset}.t AS SELECT NUMERIC '1.5' AS n, 2.5 AS f")
    with pytest.raises(BadRequest, match="Query column 1 has type FLOAT64 which cannot be inserted into column n"):
        world.rows(f"INSERT {dataset}.t (n) SELECT {value} FROM {dataset}.t GROUP BY f")
    world.rows(f"INSERT {dataset}.t (n) SELECT AVG(n) + CAST(AVG(f) AS NUMERIC) FROM {dataset}.t")
    assert sorted(world.rows(f"SELECT n FROM {dataset}.t")) == [(Decimal("1.5"),), (Decimal("4"),)]
