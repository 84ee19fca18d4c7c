"""INSERT, UPDATE, DELETE and MERGE.

https://cloud.google.com/bigquery/docs/reference/standard-sql/dml-syntax
"""

from __future__ import annotations

import pytest
from google.api_core import exceptions

from tests.localcloud.bigquery.world import BigQueryWorld

SEVERAL = "UPDATE/MERGE must match at most one source row for each target row"
BEFORE = [(None, 30), (1, 10), (2, 20)]
# Two source rows for the target row 1, and one for a row that does not exist.
SOURCE = "(SELECT 1 AS id, 5 AS n UNION ALL SELECT 1, 6 UNION ALL SELECT 3, 7) AS s"


@pytest.fixture
def table(world: BigQueryWorld, dataset: str) -> str:
    """A table (id, n) with the rows of ``BEFORE``."""
    name = f"{dataset}.changed"
    world.rows(f"CREATE TABLE {name} AS SELECT 1 AS id, 10 AS n UNION ALL SELECT 2, 20 UNION ALL SELECT NULL, 30")
    return name


def rows_of(world: BigQueryWorld, table: str) -> list[tuple[int | None, int]]:
    return world.rows(f"SELECT id, n FROM {table} ORDER BY id")


@pytest.mark.parametrize(
    "statement",
    [
        f"MERGE {{}} AS t USING {SOURCE} ON t.id = s.id WHEN MATCHED THEN UPDATE SET n = s.n",
        f"MERGE {{}} AS t USING {SOURCE} ON t.id = s.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT ROW",
        f"MERGE {{}} AS t USING {SOURCE} ON t.id = s.id "
        "WHEN MATCHED AND s.n = 5 THEN UPDATE SET n = s.n WHEN MATCHED AND s.n = 6 THEN DELETE",
        f"UPDATE {{}} AS t SET n = s.n FROM {SOURCE} WHERE t.id = s.id",
        f"BEGIN TRANSACTION; MERGE {{}} AS t USING {SOURCE} ON t.id = s.id WHEN MATCHED THEN DELETE; COMMIT TRANSACTION",
    ],
)
def test_several_source_rows_for_one_row_are_refused(world: BigQueryWorld, table: str, statement: str) -> None:
    with pytest.raises(exceptions.BadRequest, match=SEVERAL):
        world.rows(statement.format(table))
    assert rows_of(world, table) == BEFORE


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        # A clause applies to one of the two source rows.
        (
            f"MERGE {{}} AS t USING {SOURCE} ON t.id = s.id WHEN MATCHED AND s.n = 6 THEN UPDATE SET n = s.n + t.n "
            "WHEN NOT MATCHED THEN INSERT ROW WHEN NOT MATCHED BY SOURCE AND t.id IS NOT NULL THEN DELETE",
            [(None, 30), (1, 16), (3, 7)],
        ),
        # NULL does not match.
        (
            "MERGE {} AS t USING (SELECT NULL AS id, x AS n FROM UNNEST([1, 2]) AS x) AS s ON t.id = s.id "
            "WHEN MATCHED THEN DELETE WHEN NOT MATCHED AND s.n = 2 THEN INSERT (id, n) VALUES (4, s.n)",
            [*BEFORE, (4, 2)],
        ),
        # The source may match several target rows.
        ("MERGE {} USING (SELECT 2 AS most) ON id <= most WHEN MATCHED THEN UPDATE SET n = most", [(None, 30), (1, 2), (2, 2)]),
        ("MERGE {} AS t USING UNNEST([STRUCT(2 AS id)]) AS s ON t.id = s.id WHEN MATCHED THEN DELETE", [(None, 30), (1, 10)]),
        # INSERT ROW takes the columns by position, also those of tuples, which have no names.
        ("MERGE {} USING (SELECT 3 AS n, 4 AS id) AS s ON FALSE WHEN NOT MATCHED THEN INSERT ROW", [*BEFORE, (3, 4)]),
        ("MERGE {} USING (SELECT * FROM UNNEST([(3, 4), (5, 6)])) ON FALSE WHEN NOT MATCHED THEN INSERT ROW",
            [*BEFORE, (3, 4), (5, 6)]),
        ("INSERT {} (n, id) SELECT * FROM UNNEST([(4, 3)])", [*BEFORE, (3, 4)]),
        # Source rows without a clause.
        (f"MERGE {{}} AS t USING {SOURCE} ON t.id = s.id WHEN NOT MATCHED THEN INSERT ROW", [*BEFORE, (3, 7)]),
        (
            f"UPDATE {{}} AS t SET n = s.n + t.n + x, id = 9 FROM {SOURCE}, UNNEST([100, 200]) AS x "
            "WHERE t.id = s.id AND s.n = 6 AND x > 100",
            [(None, 30), (2, 20), (9, 216)],
        ),
        (
            "DECLARE least INT64 DEFAULT 15; UPDATE {0} AS t SET n = (SELECT MAX(n) FROM {0}) + least "
            "FROM (SELECT 2 AS a) AS s JOIN (SELECT 2 AS b) AS u ON s.a = u.b WHERE t.id = u.b AND t.n > least",
            [(None, 30), (1, 10), (2, 45)],
        ),
    ],
)  # fmt: skip
def test_rows_change(world: BigQueryWorld, table: str, statement: str, expected: list[tuple[int | None, int]]) -> None:
    world.rows(statement.format(table))
    assert rows_of(world, table) == expected


def test_an_insert_reads_all_rows_before_it_writes(world: BigQueryWorld, table: str) -> None:
    world.rows(f"INSERT {table} (id, n) SELECT 4, SUM(n) FROM {table} UNION ALL SELECT 5, COUNT(*) FROM {table}")
    assert rows_of(world, table) == [*BEFORE, (4, 60), (5, 3)]


def test_a_column_with_the_name_of_the_row_id_of_the_engine_is_refused(world: BigQueryWorld, dataset: str) -> None:
    world.rows(f"CREATE TABLE {dataset}.r AS SELECT 1 AS rowid")
    with pytest.raises(exceptions.BadRequest, match="column rowid"):
        world.rows(f"UPDATE {dataset}.r SET rowid = 2 FROM {dataset}.titles WHERE score = rowid")


@pytest.fixture
def nested(world: BigQueryWorld, dataset: str) -> str:
    """A table with a default value and a column with fields, and one row."""
    name = f"{dataset}.nested"
    world.rows(f"CREATE TABLE {name} (id INT64, n INT64 DEFAULT 5, a STRUCT<b INT64, c STRUCT<x INT64, y STRING>>)")
    world.rows(f"INSERT INTO {name} VALUES (1, 1, (1, (2, 'x')))")
    return name


@pytest.mark.parametrize(
    ("statement", "counts"),
    [
        (f"MERGE {{}} AS t USING {SOURCE} ON t.id = s.id AND s.n = 5 WHEN MATCHED THEN UPDATE SET n = 0 "
            "WHEN NOT MATCHED THEN INSERT ROW", (2, 1, 0)),
        ("MERGE {} AS t USING (SELECT 2 AS id UNION ALL SELECT 3) s ON t.id = s.id WHEN MATCHED THEN DELETE "
            "WHEN NOT MATCHED THEN INSERT (id) VALUES (id)", (1, 0, 1)),
        ("MERGE {} AS t USING (SELECT 2 AS id) s ON t.id = s.id WHEN MATCHED THEN DELETE "
            "WHEN NOT MATCHED BY SOURCE THEN UPDATE SET n = 0", (0, 2, 1)),
        ("MERGE {} AS t USING (SELECT 2 AS id) s ON FALSE WHEN NOT MATCHED THEN INSERT (id) VALUES (id)", (1, 0, 0)),
        ("MERGE {} AS t USING (SELECT 2 AS id UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9) s ON t.id = s.id "
            "WHEN MATCHED THEN DELETE WHEN NOT MATCHED AND s.id > 7 THEN INSERT (id) VALUES (id) "
            "WHEN NOT MATCHED BY SOURCE AND t.id = 1 THEN UPDATE SET n = 0", (2, 1, 1)),
        ("SELECT 1; DELETE {} WHERE id > 0", (None, None, 2)),
    ],
)  # fmt: skip
def test_the_statistics_of_a_job_count_the_changed_rows(
    world: BigQueryWorld, table: str, statement: str, counts: tuple[int | None, ...]
) -> None:
    job = world.client().query(statement.format(table))
    job.result()
    if statement.startswith("SELECT"):
        job = next(each for each in world.client().list_jobs(parent_job=job) if each.statement_type == "DELETE")
    found = job._properties["statistics"]["query"]["dmlStats"]
    names = ("insertedRowCount", "updatedRowCount", "deletedRowCount")
    assert tuple(None if name not in found else int(found[name]) for name in names) == counts


FIELDS = {"b": 1, "c": {"x": 2, "y": "x"}}


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("UPDATE {} AS t SET t.n = DEFAULT WHERE t.id = 1", [(1, 5, FIELDS)]),
        ("UPDATE {} SET a.b = id + 8, a.c.y = CONCAT(a.c.y, 'y') WHERE TRUE", [(1, 1, {"b": 9, "c": {"x": 2, "y": "xy"}})]),
        (
            "MERGE {} AS t USING (SELECT 1 AS id UNION ALL SELECT 2) s ON t.id = s.id "
            "WHEN MATCHED THEN UPDATE SET t.a.b = 2, n = DEFAULT WHEN NOT MATCHED THEN INSERT VALUES (2, DEFAULT, NULL)",
            [(1, 5, FIELDS | {"b": 2}), (2, 5, None)],
        ),
        # STRUCTs are coerced by position.
        ("UPDATE {} SET a = STRUCT(8 AS c, (7, 'z') AS b) WHERE TRUE", [(1, 1, {"b": 8, "c": {"x": 7, "y": "z"}})]),
        ("UPDATE {} SET a.c = STRUCT(7 AS y, 'z' AS x) WHERE TRUE", [(1, 1, {"b": 1, "c": {"x": 7, "y": "z"}})]),
        ("DELETE {0} WHERE TRUE; INSERT {0} (id, a) SELECT 2, STRUCT(7 AS p, STRUCT(8 AS y, 'z' AS x) AS q)",
            [(2, 5, {"b": 7, "c": {"x": 8, "y": "z"}})]),
        ("INSERT {} (a, id) SELECT * FROM (SELECT STRUCT(7 AS p, STRUCT(8 AS y, 'z' AS x)), 2) UNION ALL SELECT NULL, 3",
            [(1, 1, FIELDS), (2, 5, {"b": 7, "c": {"x": 8, "y": "z"}}), (3, 5, None)]),
        ("DELETE {0} WHERE TRUE; INSERT {0} VALUES (2, 0, STRUCT(7 AS c, STRUCT(8 AS y, 'z' AS x) AS b))",
            [(2, 0, {"b": 7, "c": {"x": 8, "y": "z"}})]),
        ("MERGE {} USING (SELECT STRUCT(7 AS c, (8, 'z') AS b) AS s) ON FALSE WHEN NOT MATCHED THEN INSERT (a) VALUES (s) "
            "WHEN NOT MATCHED BY SOURCE THEN UPDATE SET a.c = STRUCT(9 AS p, 'q' AS r)",
            [(None, 5, {"b": 7, "c": {"x": 8, "y": "z"}}), (1, 1, {"b": 1, "c": {"x": 9, "y": "q"}})]),
    ],
)  # fmt: skip
def test_fields_and_default_values_are_assigned(
    world: BigQueryWorld, nested: str, statement: str, expected: list[tuple[object, ...]]
) -> None:
    world.rows(statement.format(nested))
    assert world.rows(f"SELECT * FROM {nested} ORDER BY id") == expected


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE {} SET n = 1, N = 2 WHERE TRUE", "Update item n assigned more than once"),
        ("UPDATE {} SET a = NULL, a.b = 2 WHERE TRUE", "Update item a.b overlaps with a"),
        ("UPDATE {} SET a.c.z = 2 WHERE TRUE", "Field name z does not exist in nested.a.c"),
        ("UPDATE {} SET nope = 2 WHERE TRUE", "Unrecognized name: nope"),
        ("-- the table\n UPDATE {} SET n = 2", r"UPDATE must have a WHERE clause at \[2:2\]"),
        ("INSERT {} VALUES (1, 2)", "Inserted row has wrong column count; Has 2, expected 3"),
        ("INSERT {} (id, n) SELECT 1", "Inserted row has wrong column count; Has 1, expected 2"),
        ("INSERT {} (id, ID) VALUES (1, 1)", "INSERT has columns with duplicate name: ID"),
        # DuckDB would convert the values.
        ("INSERT {} (id) VALUES (1), (2.5)", "Value has type FLOAT64 which cannot be inserted into column id"),
        ("INSERT {} (id) VALUES (ABS(-2) > 1)", "Value has type BOOL which cannot be inserted into column id"),
        ("INSERT {} (id) SELECT '7'", "Query column 1 has type STRING which cannot be inserted into column id"),
        ("INSERT {} (a) VALUES ((1, (2, 3)))", "INT64 which cannot be inserted into column a, which has type STRING"),
        ("UPDATE {} SET a.c.y = id WHERE TRUE", "Value of type INT64 cannot be assigned to a.c.y, which has type STRING"),
        ("MERGE {} USING (SELECT '1' AS x) ON FALSE WHEN NOT MATCHED THEN INSERT (id) VALUES (x)",
            "Value has type STRING which cannot be inserted into column id"),
        ("DECLARE x FLOAT64 DEFAULT 1; INSERT {} (id) VALUES (x)", "Value has type FLOAT64 which cannot be inserted into"),
        ("DECLARE x STRING; INSERT {} (id) SELECT x", "Query column 1 has type STRING which cannot be inserted into column id"),
        # DuckDB has these clauses.
        ("WITH w AS (SELECT 1) DELETE {} WHERE TRUE", "keyword SELECT but got keyword DELETE"),
        ("DELETE FROM {} USING (SELECT 1 AS x) WHERE id = x", "Syntax error: Expected end of input but got keyword USING"),
        ("INSERT {} (id) VALUES (1) ON CONFLICT DO NOTHING", "Syntax error: Expected end of input but got keyword ON"),
        (
            "MERGE {} AS t USING (SELECT 2 AS id) AS s ON t.id = s.id WHEN NOT MATCHED THEN INSERT VALUES (1, 2)",
            "Inserted row has wrong column count; Has 2, expected 3",
        ),
    ],
)  # fmt: skip
def test_wrong_changes_are_refused(world: BigQueryWorld, nested: str, statement: str, message: str) -> None:
    with pytest.raises(exceptions.BadRequest, match=message):
        world.rows(statement.format(nested))
    assert world.rows(f"SELECT * FROM {nested}") == [(1, 1, FIELDS)]


def test_the_difference_of_two_dates_is_an_interval_in_every_change(world: BigQueryWorld, dataset: str) -> None:
    table = f"{dataset}.dates"
    world.rows(f"CREATE TABLE {table} (d DATE, e DATE, i INTERVAL)")
    world.rows(
        f"INSERT INTO {table} (d, e) VALUES (DATE '2024-01-05', DATE '2024-01-01'), (DATE '2024-02-05', DATE '2024-01-01')"
    )
    world.rows(f"DELETE FROM {table} WHERE d - e > INTERVAL 30 DAY")
    world.rows(f"UPDATE {table} SET i = d - e WHERE TRUE")
    world.rows(
        f"MERGE {table} USING (SELECT DATE '2024-01-03' AS day) ON FALSE "
        "WHEN NOT MATCHED THEN INSERT (i) VALUES (day - DATE '2024-01-01')"
    )
    assert world.rows(f"SELECT EXTRACT(DAY FROM i) AS days FROM {table} ORDER BY days") == [(2,), (4,)]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT {} (a) VALUES ([1]), ([1, NULL])",
        "INSERT {} (a) SELECT * FROM (SELECT ARRAY_AGG(x) FROM UNNEST([1, NULL]) AS x)",
        "UPDATE {} SET a = ARRAY_CONCAT(a, [NULL]) WHERE TRUE",
        "UPDATE {} SET s.b = [NULL] WHERE TRUE",
        "INSERT {} (s) VALUES (STRUCT([1, NULL]))",
        "INSERT {} (s) SELECT STRUCT(ARRAY_AGG(x)) FROM UNNEST([1, NULL]) AS x",
        "UPDATE {} SET s = STRUCT([1, NULL] AS b) WHERE TRUE",
        "INSERT {} (r) VALUES ([STRUCT([1], STRUCT([2])), ([1, NULL], STRUCT([2]))])",
        "INSERT {} (r) SELECT [STRUCT([1] AS c, STRUCT([2, NULL] AS e) AS d)]",
        "MERGE {} USING (SELECT [NULL, 2] AS x) ON FALSE WHEN NOT MATCHED THEN INSERT (a) VALUES (x)",
        "MERGE {} USING (SELECT [NULL, 2] AS x) ON TRUE WHEN MATCHED THEN UPDATE SET a = x",
    ],
)
def test_an_array_with_a_null_is_not_written(world: BigQueryWorld, dataset: str, statement: str) -> None:
    table = f"{dataset}.arrays"
    world.rows(f"CREATE TABLE {table} (a ARRAY<INT64>, s STRUCT<b ARRAY<INT64>>, "
               "r ARRAY<STRUCT<c ARRAY<INT64>, d STRUCT<e ARRAY<INT64>>>>)")  # fmt: skip
    world.rows(f"INSERT {table} SELECT [1, 2], STRUCT([x] AS b), [STRUCT([x] AS c, NULL AS d)] FROM UNNEST([3]) AS x")
    with pytest.raises(exceptions.BadRequest, match="Array cannot have a null element; error in writing field"):
        world.rows(statement.format(table))
    assert world.rows(f"SELECT a, s FROM {table}") == [([1, 2], {"b": [3]})]
