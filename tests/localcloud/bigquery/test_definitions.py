"""CREATE TABLE LIKE, COPY and CLONE, keys, and the lists of columns of CREATE TABLE.

https://cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language
"""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import bigquery

from tests.localcloud.bigquery.world import PROJECT, BigQueryWorld

SOURCE = """
    CREATE TABLE {d}.source (id INT64 NOT NULL OPTIONS (description = 'the id'), s STRING(5) DEFAULT 'q',
        r STRUCT<a INT64 NOT NULL OPTIONS (description = 'within')>, d DATE, PRIMARY KEY (id) NOT ENFORCED)
    PARTITION BY d CLUSTER BY id OPTIONS (description = 'table', labels = [('a', 'b')])"""
FIELDS = [
    {"name": "id", "type": "INTEGER", "mode": "REQUIRED", "description": "the id"},
    {"name": "s", "type": "STRING", "mode": "NULLABLE", "maxLength": "5", "defaultValueExpression": "'q'"},
    {
        "name": "r",
        "type": "RECORD",
        "mode": "NULLABLE",
        "fields": [{"name": "a", "type": "INTEGER", "mode": "REQUIRED", "description": "within"}],
    },
    {"name": "d", "type": "DATE", "mode": "NULLABLE"},
]
RESOURCE = {
    "schema": {"fields": FIELDS},
    "description": "table",
    "labels": {"a": "b"},
    "timePartitioning": {"type": "DAY", "field": "d"},
    "clustering": {"fields": ["id"]},
    "tableConstraints": {"primaryKey": {"columns": ["id"]}},
    "type": "TABLE",
}


def resource(world: BigQueryWorld, dataset: str, table: str) -> dict[str, Any]:
    return world.call("GET", f"/datasets/{dataset}/tables/{table}").json()


@pytest.fixture
def source(world: BigQueryWorld, dataset: str) -> str:
    """The dataset of a table ``source`` with one row."""
    world.rows(SOURCE.format(d=dataset))
    world.rows(f"INSERT INTO {dataset}.source (id, d) VALUES (1, '2024-01-01')")
    return dataset


@pytest.mark.parametrize(
    ("statement", "changes", "rows"),
    [
        ("CREATE TABLE {d}.t LIKE {d}.source", {}, []),
        ("CREATE TABLE {d}.t COPY {d}.source OPTIONS (description = 'other')", {"description": "other"}, [(1, "q")]),
        ("CREATE TABLE {d}.t AS SELECT 5 AS x; CREATE OR REPLACE TABLE {d}.t CLONE {d}.source", {}, [(1, "q")]),
        ("CREATE TABLE {d}.t LIKE {d}.source CLUSTER BY s AS SELECT 2, 'x', NULL, NULL", {"clustering": {"fields": ["s"]}},
            [(2, "x")]),
    ],
)  # fmt: skip
def test_a_table_has_the_settings_of_the_one_that_it_is_made_from(
    world: BigQueryWorld, source: str, statement: str, changes: dict[str, Any], rows: list[Any]
) -> None:
    world.rows(statement.format(d=source))
    found = resource(world, source, "t")
    expected = RESOURCE | changes
    if "clustering" in changes:
        expected |= {"timePartitioning": None}
    assert {key: found.get(key) for key in RESOURCE} == expected
    assert world.rows(f"SELECT id, s FROM {source}.t") == rows
    with pytest.raises(exceptions.BadRequest, match="maximum length 5"):
        world.rows(f"INSERT INTO {source}.t (id, s) VALUES (3, 'too long')")


def test_a_copy_job_keeps_the_settings_of_columns(world: BigQueryWorld, source: str) -> None:
    world.client().copy_table(f"{source}.source", f"{source}.t").result()
    assert resource(world, source, "t")["schema"]["fields"] == FIELDS
    with pytest.raises(exceptions.BadRequest, match="maximum length 5"):
        world.rows(f"INSERT INTO {source}.t (id, s) VALUES (3, 'too long')")


def test_the_answer_to_a_definition_has_the_types_of_the_columns(world: BigQueryWorld, dataset: str) -> None:
    query = f"CREATE TABLE {dataset}.t (a BIGNUMERIC, r RANGE<DATE>, s STRING(2))"
    answer = world.call("POST", "/queries", json={"query": query, "useLegacySql": False}).json()
    assert answer["schema"] == resource(world, dataset, "t")["schema"]


def test_a_failed_query_after_like_leaves_the_table_as_it_was(world: BigQueryWorld, source: str) -> None:
    before = resource(world, source, "titles")["schema"]
    with pytest.raises(exceptions.BadRequest, match="Query column 1 has type STRING"):
        world.rows(f"CREATE OR REPLACE TABLE {source}.titles LIKE {source}.source AS SELECT 'x', 'a', NULL, NULL")
    assert resource(world, source, "titles")["schema"] == before
    assert world.rows(f"SELECT COUNT(*) FROM {source}.titles") == [(100,)]


def test_keys_are_kept_renamed_and_dropped(world: BigQueryWorld, source: str) -> None:
    world.rows(
        f"CREATE TABLE {source}.t (a INT64 PRIMARY KEY NOT ENFORCED, b INT64 REFERENCES {source}.source (id) NOT ENFORCED)"
    )
    world.rows(
        f"ALTER TABLE {source}.t ADD CONSTRAINT mine FOREIGN KEY (a) REFERENCES {source}.source (id) NOT ENFORCED"
    )
    world.rows(f"ALTER TABLE {source}.t DROP PRIMARY KEY, RENAME COLUMN a TO c")
    world.rows(f"ALTER TABLE {source}.t DROP CONSTRAINT `fk$1`")
    reference = {"projectId": PROJECT, "datasetId": source, "tableId": "source"}
    key = {
        "name": "mine",
        "referencedTable": reference,
        "columnReferences": [{"referencingColumn": "c", "referencedColumn": "id"}],
    }
    assert resource(world, source, "t")["tableConstraints"] == {"foreignKeys": [key]}
    body = {
        "tableReference": {"tableId": "u"},
        "schema": {"fields": FIELDS},
        "tableConstraints": {"foreignKeys": [key]},
    }
    refused = world.call("POST", f"/datasets/{source}/tables", json=body)
    assert "Unsupported foreign key column c" in refused.json()["error"]["message"]
    world.call("PATCH", f"/datasets/{source}/tables/t", json={"tableConstraints": {"primaryKey": {"columns": ["b"]}}})
    assert world.client().get_table(f"{PROJECT}.{source}.t").table_constraints.primary_key.columns == ["b"]


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("CREATE TABLE {d}.t (a INT64, PRIMARY KEY (a))", "PRIMARY KEY must be NOT ENFORCED"),
        ("CREATE TABLE {d}.t (a INT64, PRIMARY KEY (b) NOT ENFORCED)", "Unsupported primary key column b"),
        ("CREATE TABLE {d}.t (a INT64 REFERENCES {d}.source (x) NOT ENFORCED)", "Column name x not found in source"),
        ("CREATE TABLE {d}.t (a STRING REFERENCES {d}.source (id) NOT ENFORCED)", "not compatible with the referencing column"),
        ("CREATE TABLE {d}.t (a INT64 UNIQUE)", "but got identifier `UNIQUE`"),
        ("ALTER TABLE {d}.source ADD PRIMARY KEY (s) NOT ENFORCED", "Already Exists: Primary key"),
        ("ALTER TABLE {d}.source DROP CONSTRAINT x", "Constraint x not found"),
        ("CREATE TABLE {d}.t (a INT64 DEFAULT 'x')", "Column default expression has type STRING which cannot be assigned"),
        ("CREATE TABLE {d}.t (a INT64, A INT64)", "Duplicate column name A in CREATE TABLE"),
        ("CREATE TABLE {d}.t (a INT64) CLUSTER BY b", "Unrecognized name: b"),
        ("CREATE TABLE {d}.t (a FLOAT64) CLUSTER BY a", "Field a has type FLOAT64, which is not supported for clustering"),
        ("CREATE TABLE {d}.t CLUSTER BY a AS SELECT [1] AS a", "Field a has type ARRAY<INT64>, which is not supported"),
        ("CREATE OR REPLACE TABLE IF NOT EXISTS {d}.source (a INT64)", "cannot have both OR REPLACE and IF NOT EXISTS"),
        ("CREATE TABLE {d}.t (a INT64) CLUSTER BY a, A", "The field A is specified for clustering twice"),
        ("CREATE TABLE {d}.t (a STRING OPTIONS (description = 1))", "Option description must be a STRING"),
        ("CREATE TABLE {d}.t (a INT64) AS SELECT 'x'", "cannot be coerced from query output type STRING"),
        ("CREATE TABLE {d}.t (a INT64 NOT NULL) AS SELECT a FROM (SELECT NULL AS a)", "Required field a cannot be null"),
        ("CREATE TABLE {d}.t (a STRING(2)) AS SELECT 'abc'", r"STRING\(2\) has maximum length 2 but got a value with length 3"),
        ("CREATE TABLE {d}.t (a ARRAY<INT64>) AS SELECT [1, NULL]", "Array cannot have a null element; error in writing"),
        ("BEGIN CREATE TABLE {d}.t AS SELECT [1, NULL] AS a; END", "Array cannot have a null element; error in writing"),
        ("CREATE TABLE {d}.t (a ARRAY<STRING(2)>)", "The maximum length of a, which is in an array, is not supported"),
        ("CREATE TABLE {d}.titles (a INT64)", "Already Exists: Table local-project:{d}.titles"),
        ("CREATE TABLE t (a INT64)", 'Table "t" must be qualified with a dataset'),
        ("BEGIN CREATE TABLE t AS SELECT 1 AS a; END", 'Table "t" must be qualified with a dataset'),
        ("DROP TABLE IF EXISTS t", 'Table "t" must be qualified with a dataset'),
        ("ALTER TABLE IF EXISTS t ADD COLUMN a INT64", 'Table "t" must be qualified with a dataset'),
        ("DROP SNAPSHOT TABLE IF EXISTS t", 'Table "t" must be qualified with a dataset'),
        ("DROP FUNCTION IF EXISTS f", 'Routine name "f" missing dataset'),
        ("SELECT 1; DROP PROCEDURE IF EXISTS f", 'Routine name "f" missing dataset'),
        ("DROP TABLE FUNCTION IF EXISTS f;", 'Routine name "f" missing dataset'),
        ("CREATE TABLE {d}_no.t (a INT64)", "Not found: Dataset local-project:{d}_no was not found in location US"),
        ("DROP VIEW {d}.t", "Not found: Table local-project:{d}.t was not found in location US"),
        ("CREATE OR REPLACE VIEW {d}.source AS SELECT 1 AS a", "operation because it is currently a TABLE"),
        ("CREATE TABLE {d}.t (a INT64) OPTIONS (labels = ['x'])", "Option labels must be"),
        ("CREATE TABLE {d}.t (a INT64) OPTIONS (expiration_timestamp = TIMESTAMP '2020-01-01')", "must be in the future"),
        ("CREATE TABLE {d}.t (a STRING COLLATE 'und:ci')", "COLLATE is not supported"),
        ("CREATE TABLE {d}.t (a INT64) DEFAULT COLLATE 'und:ci'", "COLLATE is not supported"),
        ("CREATE TABLE {d}.t (a INT64, b INT64 GENERATED ALWAYS AS (a + 1))", "Generated columns are not supported"),
        # DuckDB carries these out.
        ("CREATE INDEX i ON {d}.source (id)", "Statement not supported: CREATE INDEX"),
        ("SELECT 1; CREATE SEQUENCE s", "Statement not supported: CREATE SEQUENCE"),
        ("CREATE TYPE t AS ENUM ('a')", "Statement not supported: CREATE TYPE"),
        ("ALTER TABLE {d}.source ALTER COLUMN s SET NOT NULL", "Syntax error: ALTER COLUMN has SET DATA TYPE"),
        ("ALTER TABLE {d}.source ALTER s TYPE BYTES", "Syntax error: ALTER COLUMN has SET DATA TYPE"),
        ("CREATE SCHEMA {d}", "Already Exists: Dataset local-project:{d}"),
        ("CREATE SCHEMA {d}_no OPTIONS (nonsense = 1)", "Unknown option: nonsense"),
        ("ALTER SCHEMA {d}_no SET OPTIONS (description = 'x')", "Not found: Dataset local-project:{d}_no"),
        ("DROP SCHEMA {d}_no", "Not found: Dataset local-project:{d}_no"),
        ("DROP SCHEMA {d}", "Dataset local-project:{d} is still in use"),
        ("CREATE TABLE {d}.t LIKE {d}.source AS SELECT 1", "Inserted row has wrong column count; Has 1, expected 4"),
    ],
)  # fmt: skip
def test_a_wrong_definition_is_refused_and_creates_nothing(
    world: BigQueryWorld, source: str, statement: str, message: str
) -> None:
    with pytest.raises(exceptions.GoogleAPICallError, match=message.format(d=source)):
        world.rows(statement.format(d=source))
    assert world.call("GET", f"/datasets/{source}/tables/t").status_code == 404


def test_columns_of_a_query_are_constrained_as_declared(world: BigQueryWorld, dataset: str) -> None:
    world.rows(f"CREATE TABLE {dataset}.t (a INT64 NOT NULL, b STRING DEFAULT 'x') AS (SELECT 1, 'y')")
    world.rows(f"INSERT INTO {dataset}.t (a) VALUES (2)")
    assert world.rows(f"SELECT * FROM {dataset}.t ORDER BY a") == [(1, "y"), (2, "x")]
    with pytest.raises(exceptions.BadRequest, match="Required field a cannot be null"):
        world.rows(f"INSERT INTO {dataset}.t (b) VALUES ('z')")


@pytest.mark.parametrize("before", ["", "SELECT 1; "])
def test_a_dataset_has_the_options_of_its_statement(world: BigQueryWorld, dataset: str, before: str) -> None:
    name = f"{dataset}_made"
    world.rows(
        f"{before}CREATE SCHEMA {name} OPTIONS (location = 'us', description = 'd', labels = [('a', 'b')], "
        "friendly_name = 'f', default_table_expiration_days = 1.5)"
    )
    world.rows(f"{before}CREATE SCHEMA IF NOT EXISTS {name} OPTIONS (description = 'other')")
    world.rows(f"{before}ALTER SCHEMA {name} SET OPTIONS (friendly_name = NULL, labels = [('c', 'd')])")
    found = world.call("GET", f"/datasets/{name}").json()
    assert (found["description"], found["labels"], found["defaultTableExpirationMs"]) == ("d", {"c": "d"}, "129600000")
    assert (found["location"], found.get("friendlyName")) == ("US", None)
    world.rows(f"CREATE TABLE {name}.t (a INT64); {before}DROP SCHEMA {name} CASCADE")
    assert world.call("GET", f"/datasets/{name}").status_code == 404


def test_an_existing_view_keeps_its_query_and_gets_descriptions(world: BigQueryWorld, dataset: str) -> None:
    world.rows(f"CREATE VIEW {dataset}.v (a OPTIONS (description = 'one'), b) AS SELECT 1, 2")
    world.rows(f"CREATE VIEW IF NOT EXISTS {dataset}.v AS SELECT 3 AS c")
    world.rows(f"ALTER VIEW {dataset}.v ALTER COLUMN b SET OPTIONS (description = 'two')")
    fields = resource(world, dataset, "v")["schema"]["fields"]
    assert [(f["name"], f.get("description")) for f in fields] == [("a", "one"), ("b", "two")]
    assert world.rows(f"SELECT * FROM {dataset}.v") == [(1, 2)]


def test_options_of_snapshots_and_materialized_views_are_read(world: BigQueryWorld, dataset: str) -> None:
    world.rows(f"CREATE SNAPSHOT TABLE {dataset}.s CLONE {dataset}.titles OPTIONS (description = 'x')")
    assert resource(world, dataset, "s")["description"] == "x"
    world.rows(f"CREATE SNAPSHOT TABLE IF NOT EXISTS {dataset}.s CLONE {dataset}.source")
    world.rows(f"CREATE SNAPSHOT TABLE IF NOT EXISTS {dataset}.s2 CLONE {dataset}.titles")
    assert world.rows(f"SELECT COUNT(*) FROM {dataset}.s JOIN {dataset}.s2 USING (title)") == [(100,)]
    world.rows(
        f"CREATE MATERIALIZED VIEW {dataset}.m OPTIONS (enable_refresh = TRUE) AS SELECT title FROM {dataset}.titles"
    )
    assert world.rows(f"SELECT COUNT(*) FROM {dataset}.m") == [(100,)]
    world.rows(f"DROP MATERIALIZED VIEW {dataset}.m; DROP SNAPSHOT TABLE {dataset}.s")


def test_the_default_dataset_has_the_routines_and_tables_without_a_dataset(world: BigQueryWorld, dataset: str) -> None:
    def run(sql: str) -> list[tuple[Any, ...]]:
        config = bigquery.QueryJobConfig(default_dataset=f"{PROJECT}.{dataset}")
        return [tuple(row) for row in world.client().query(sql, job_config=config).result()]

    run("CREATE FUNCTION twice(x INT64) AS (2 * x)")
    run(f"CREATE TABLE FUNCTION few(n INT64) AS SELECT score FROM {dataset}.titles WHERE score < n")
    run("CREATE PROCEDURE show() BEGIN SELECT twice(3) AS n; END")
    assert run("SELECT SUM(twice(score)) FROM few(3)") == [(6,)]
    assert run("CALL show()") == [(6,)]
    assert run("CREATE TEMP FUNCTION twice(x INT64) AS (3 * x); SELECT twice(3)") == [(9,)]
    run("ALTER TABLE titles ADD PRIMARY KEY (title) NOT ENFORCED; CREATE SNAPSHOT TABLE snapped CLONE titles")
    assert run("SELECT COUNT(*) FROM snapped") == [(100,)]
    run("DROP SNAPSHOT TABLE snapped")
    run(
        f"DROP PROCEDURE IF EXISTS {dataset}.x; DROP PROCEDURE IF EXISTS show; DROP FUNCTION twice; DROP TABLE FUNCTION few"
    )
    assert list(world.client().list_routines(dataset)) == []


def test_a_column_with_digits_keeps_its_type(world: BigQueryWorld, dataset: str) -> None:
    world.rows(f"CREATE TABLE {dataset}.t (a BIGNUMERIC(38, 3), b NUMERIC(9, 2))")
    fields = resource(world, dataset, "t")["schema"]["fields"]
    assert [(f["type"], f["precision"], f["scale"]) for f in fields] == [
        ("BIGNUMERIC", "38", "3"),
        ("NUMERIC", "9", "2"),
    ]


def test_a_materialized_view_is_one_in_every_form_of_its_statement(world: BigQueryWorld, dataset: str) -> None:
    query = f"SELECT title, COUNT(*) AS n FROM {dataset}.titles GROUP BY title"
    world.rows(f"CREATE MATERIALIZED VIEW IF NOT EXISTS {dataset}.kept AS {query}")
    world.rows(f"CREATE MATERIALIZED VIEW IF NOT EXISTS {dataset}.kept AS SELECT MAX(score) AS m FROM {dataset}.titles")
    world.rows(f"CREATE OR REPLACE MATERIALIZED VIEW {dataset}.new AS {query}")
    world.rows(f"CREATE OR REPLACE MATERIALIZED VIEW {dataset}.new AS SELECT MAX(score) AS m FROM {dataset}.titles")
    assert {resource(world, dataset, name)["type"] for name in ("kept", "new")} == {"MATERIALIZED_VIEW"}
    assert world.rows(f"SELECT SUM(n) FROM {dataset}.kept") == [(100,)]
    assert world.rows(f"SELECT m FROM {dataset}.new") == [(99,)]


def test_a_view_over_a_table_function_follows_it(world: BigQueryWorld, dataset: str) -> None:
    world.rows(f"CREATE TABLE FUNCTION {dataset}.few(n INT64) AS SELECT score FROM {dataset}.titles WHERE score < n")
    world.rows(f"CREATE VIEW {dataset}.v AS SELECT * FROM {dataset}.few(2)")
    world.rows(f"CREATE OR REPLACE TABLE FUNCTION {dataset}.few(n INT64) AS SELECT n AS score")
    assert world.rows(f"SELECT score FROM {dataset}.v") == [(2,)]


def test_a_view_has_the_name_of_a_column_in_brackets(world: BigQueryWorld, dataset: str) -> None:
    world.rows(f"CREATE VIEW {dataset}.bracketed AS SELECT DISTINCT(n) FROM UNNEST([1, 1]) AS n")
    assert world.rows(f"SELECT n FROM {dataset}.bracketed") == [(1,)]


def test_json_is_written_without_the_spaces_with_which_it_is_stored(world: BigQueryWorld, dataset: str) -> None:
    column = {"name": "j", "type": "JSON"}
    world.bigquery.tables.write(f"{PROJECT}.{dataset}.spaced", [column], [{"j": '{"n": [1]}'}], location="US")
    assert world.rows(f"SELECT TO_JSON_STRING(STRUCT(j)) FROM {dataset}.spaced") == [('{"j":{"n":[1]}}',)]
