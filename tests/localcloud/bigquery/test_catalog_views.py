"""INFORMATION_SCHEMA and ``__TABLES__`` show what is kept.

https://cloud.google.com/bigquery/docs/information-schema-intro
"""

from __future__ import annotations

import uuid

import pytest
from google.api_core import exceptions
from google.cloud import bigquery

from tests.localcloud.bigquery.world import PROJECT, BigQueryWorld


@pytest.fixture
def shown(world: BigQueryWorld, dataset: str) -> str:
    """A dataset with a table, a view, a function and a procedure."""
    world.rows(
        f"""
        CREATE TABLE {dataset}.t (id INT64 OPTIONS (description = 'the id'), r STRUCT<a ARRAY<STRUCT<b DATE>>>,
            PRIMARY KEY (id) NOT ENFORCED);
        CREATE TABLE {dataset}.u (k INT64 REFERENCES {dataset}.t (id) NOT ENFORCED);
        CREATE VIEW {dataset}.v AS SELECT id FROM {dataset}.t;
        CREATE FUNCTION {dataset}.f(x INT64) RETURNS STRING OPTIONS (description = 'a "function"') AS (CAST(x AS STRING));
        CREATE PROCEDURE {dataset}.p(OUT y ARRAY<INT64>) BEGIN SET y = [1]; END;
        INSERT INTO {dataset}.t (id) VALUES (1), (2);
        ALTER SCHEMA {dataset} SET OPTIONS (labels = [('a', 'b')])"""
    )
    return dataset


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("SELECT table_id, row_count, type FROM {d}.__TABLES__ WHERE table_id != 'titles' ORDER BY table_id",
            [("t", 2, 1), ("u", 0, 1), ("v", 0, 2)]),
        ("SELECT COUNT(*), LOGICAL_AND(creation_time > 0) FROM `{p}.{d}.__TABLES_SUMMARY__`", [(4, True)]),
        ("SELECT field_path, data_type, description FROM {d}.INFORMATION_SCHEMA.COLUMN_FIELD_PATHS WHERE table_name = 't'",
            [("id", "INT64", "the id"), ("r", "STRUCT<a ARRAY<STRUCT<b DATE>>>", None), ("r.a", "ARRAY<STRUCT<b DATE>>", None),
                ("r.a.b", "DATE", None)]),
        ("SELECT constraint_name, constraint_type, enforced FROM {d}.INFORMATION_SCHEMA.TABLE_CONSTRAINTS ORDER BY 1",
            [("t.pk$", "PRIMARY KEY", "NO"), ("u.fk$1", "FOREIGN KEY", "NO")]),
        ("SELECT k.column_name, c.table_name, c.column_name FROM {d}.INFORMATION_SCHEMA.KEY_COLUMN_USAGE AS k "
            "JOIN {d}.INFORMATION_SCHEMA.CONSTRAINT_COLUMN_USAGE AS c USING (constraint_name) ORDER BY 1",
            [("id", "t", "id"), ("k", "t", "id")]),
        ("SELECT specific_name, ordinal_position, parameter_mode, parameter_name, data_type "
            "FROM {d}.INFORMATION_SCHEMA.PARAMETERS ORDER BY 1, 2",
            [("f", 0, None, None, "STRING"), ("f", 1, None, "x", "INT64"), ("p", 1, "OUT", "y", "ARRAY<INT64>")]),
        ("SELECT option_value FROM {d}.INFORMATION_SCHEMA.ROUTINE_OPTIONS", [('"a \\"function\\""',)]),
        ("SELECT option_name, option_value FROM `region-us`.INFORMATION_SCHEMA.SCHEMATA_OPTIONS WHERE schema_name = '{d}'",
            [("location", '"US"'), ("labels", '[STRUCT("a", "b")]')]),
        ("SELECT table_name, total_rows FROM `region-us`.INFORMATION_SCHEMA.TABLE_STORAGE WHERE table_schema = '{d}' "
            "AND total_rows = 2", [("t", 2)]),
        ("SELECT ddl FROM {d}.INFORMATION_SCHEMA.TABLES WHERE table_name = 'v'",
            [("CREATE VIEW `{p}.{d}.v`\nAS SELECT id FROM {d}.t;",)]),
        ("SELECT column_name, data_type, column_default FROM {d}.INFORMATION_SCHEMA.COLUMNS WHERE table_name = 't'",
            [("id", "INT64", "NULL"), ("r", "STRUCT<a ARRAY<STRUCT<b DATE>>>", "NULL")]),
        ("SELECT table_name, view_definition FROM {d}.INFORMATION_SCHEMA.VIEWS", [("v", "SELECT id FROM {d}.t")]),
        ("SELECT t.table_id, m.table_name, o.option_value FROM {d}.__TABLES__ AS t "
            "LEFT JOIN {d}.INFORMATION_SCHEMA.MATERIALIZED_VIEWS AS m ON m.table_name = t.table_id "
            "LEFT JOIN {d}.INFORMATION_SCHEMA.TABLE_OPTIONS AS o ON o.table_name = t.table_id "
            "WHERE REGEXP_CONTAINS(t.table_id, '^.$') ORDER BY 1", [("t", None, None), ("u", None, None), ("v", None, None)]),
        ("SELECT partition_id, total_rows FROM {d}.INFORMATION_SCHEMA.PARTITIONS WHERE table_name = 't'", [(None, 2)]),
    ],
)  # fmt: skip
def test_a_view_shows_the_dataset(world: BigQueryWorld, shown: str, query: str, rows: list[tuple[object, ...]]) -> None:
    expected = [tuple(v.format(d=shown, p=PROJECT) if isinstance(v, str) else v for v in row) for row in rows]
    assert world.rows(query.format(d=shown, p=PROJECT)) == expected


@pytest.mark.parametrize(
    "statement",
    [
        """CREATE TABLE `{t}`
(
  id INT64 NOT NULL DEFAULT 5 OPTIONS(description="the \\"id\\""),
  s STRING(3),
  n NUMERIC(5, 2),
  r STRUCT<a ARRAY<BYTES>, b RANGE<DATE>>,
  d DATETIME,
  PRIMARY KEY (id) NOT ENFORCED
)
PARTITION BY DATETIME_TRUNC(d, MONTH)
CLUSTER BY id, s
OPTIONS(
  expiration_timestamp=TIMESTAMP "2100-01-01T00:00:00.000Z",
  partition_expiration_days=1.5,
  require_partition_filter=true,
  friendly_name="f",
  description="d",
  labels=[("a", "b")]
);""",
        "CREATE TABLE `{t}`\n(\n  id INT64\n)\nPARTITION BY RANGE_BUCKET(id, GENERATE_ARRAY(0, 100, 10));",
        "CREATE TABLE `{t}`\n(\n  id INT64\n)\nPARTITION BY DATE(_PARTITIONTIME);",
        """CREATE EXTERNAL TABLE `{t}`
(
  id INT64,
  s STRING
)
OPTIONS(
  description="d",
  allow_jagged_rows=true,
  format="CSV",
  null_markers=["-", "x"],
  skip_leading_rows=1,
  uris=["gs://b/*.csv"]
);""",
    ],
)
def test_the_ddl_of_a_table_creates_it(world: BigQueryWorld, dataset: str, statement: str) -> None:
    statement = statement.format(t=f"{PROJECT}.{dataset}.t")
    world.rows(statement)
    view = f"SELECT ddl FROM {dataset}.INFORMATION_SCHEMA.TABLES WHERE table_name = 't'"
    assert world.rows(view) == [(statement,)]


def test_a_clone_knows_its_base(world: BigQueryWorld, dataset: str) -> None:
    world.rows(f"CREATE TABLE {dataset}.c CLONE {dataset}.titles")
    found = world.client().get_table(f"{dataset}.c")
    assert (found.table_type, found.clone_definition.base_table_reference.table_id) == ("TABLE", "titles")
    view = f"SELECT table_type, base_table_name FROM {dataset}.INFORMATION_SCHEMA.TABLES WHERE table_name = 'c'"
    assert world.rows(view) == [("CLONE", "titles")]


def test_jobs_are_shown_with_their_statistics(world: BigQueryWorld, dataset: str) -> None:
    label = uuid.uuid4().hex
    config = bigquery.QueryJobConfig(labels={"run": label})
    changed = world.client().query(f"DELETE {dataset}.titles WHERE score < 3", job_config=config)
    changed.result()
    failed = world.client().query("SELECT ERROR('x')", job_config=config)
    with pytest.raises(exceptions.BadRequest):
        failed.result()
    assert world.rows(
        "SELECT job_id, statement_type, dml_statistics.deleted_row_count, error_result.reason, destination_table.table_id "
        f"FROM `region-us`.INFORMATION_SCHEMA.JOBS, UNNEST(labels) AS l WHERE l.value = '{label}' ORDER BY creation_time"
    ) == [
        (changed.job_id, "DELETE", 3, None, "titles"),
        (failed.job_id, "SELECT", None, "invalidQuery", None),
    ]
    running = "SELECT state FROM INFORMATION_SCHEMA.JOBS_BY_USER WHERE job_id = @@current_job_id"
    assert world.rows(running) == [("RUNNING",)]


@pytest.mark.parametrize("view", ["INFORMATION_SCHEMA.TABLES", "INFORMATION_SCHEMA.PARAMETERS", "__TABLES__"])
def test_a_dataset_that_does_not_exist_is_not_found(world: BigQueryWorld, view: str) -> None:
    with pytest.raises(exceptions.NotFound, match="Not found: Dataset local-project:nowhere"):
        world.rows(f"SELECT * FROM nowhere.{view}")
