"""NUMERIC and BIGNUMERIC keep their types and their digits.

https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#decimal_types
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.localcloud.bigquery.world import BigQueryWorld

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
