"""Partitioned tables: pseudo columns, decorators, layouts, required filters."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest
from google.api_core import exceptions
from google.cloud import bigquery

from tests.localcloud.bigquery.world import PROJECT, BigQueryWorld, bigquery_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BigQueryWorld]:
    with bigquery_world(tmp_path_factory.mktemp("storage")) as running:
        running.client().create_dataset("parts")
        yield running


@pytest.fixture
def logs(world: BigQueryWorld) -> str:
    """A table by ingestion day with two rows of 2024-01-02 and one of 2024-01-03."""
    world.rows("CREATE OR REPLACE TABLE parts.logs (id INT64, name STRING) PARTITION BY _PARTITIONDATE")
    world.rows(
        "INSERT INTO parts.logs (_PARTITIONTIME, id, name) VALUES (TIMESTAMP '2024-01-02', 1, 'a'), "
        "(TIMESTAMP '2024-01-02 10:00:00', 2, 'b'), (TIMESTAMP '2024-01-03', 3, 'c')"
    )
    return "parts.logs"


@pytest.fixture
def days(world: BigQueryWorld) -> str:
    """A table by the column ``d`` with one row of each of two days."""
    world.rows("CREATE OR REPLACE TABLE parts.days (d DATE, n INT64) PARTITION BY d")
    world.rows("INSERT INTO parts.days VALUES ('2024-01-02', 1), ('2024-01-03', 2)")
    return "parts.days"


def write(world: BigQueryWorld, sql: str, table: str, **options: object) -> list[tuple[object, ...]]:
    config = bigquery.QueryJobConfig(destination=f"{PROJECT}.{table}", **options)
    return [tuple(row) for row in world.client().query(sql, job_config=config).result()]


def test_pseudo_columns_are_read_by_name_only(world: BigQueryWorld, logs: str) -> None:
    assert world.rows(f"SELECT * FROM {logs} ORDER BY id") == [(1, "a"), (2, "b"), (3, "c")]
    assert [f.name for f in world.client().get_table(logs).schema] == ["id", "name"]
    assert [tuple(row) for row in world.client().list_rows(logs)] == [(1, "a"), (2, "b"), (3, "c")]
    assert world.rows(f"SELECT *, _PARTITIONTIME AS pt FROM {logs} WHERE _PARTITIONDATE = '2024-01-03'") == [
        (3, "c", datetime(2024, 1, 3, tzinfo=UTC))
    ]
    assert world.rows(f"SELECT l._partitiondate AS d, COUNT(*) FROM {logs} AS l GROUP BY d ORDER BY d") == [
        (date(2024, 1, 2), 2),
        (date(2024, 1, 3), 1),
    ]
    assert world.rows(f"SELECT l.* FROM {logs} l JOIN {logs} m USING (id) WHERE l._PARTITIONDATE < '2024-01-03'") == [
        (1, "a"),
        (2, "b"),
    ]
    with pytest.raises(exceptions.BadRequest, match="Unrecognized name: _PARTITIONTIME"):
        world.rows("SELECT _PARTITIONTIME AS t FROM (SELECT 1)")


def test_an_insert_without_a_partition_writes_the_current_one(world: BigQueryWorld, logs: str) -> None:
    world.rows(f"INSERT INTO {logs} VALUES (4, 'd')")
    world.client().insert_rows_json(logs, [{"id": 5, "name": "e"}])
    today = datetime.now(UTC).date()
    found = world.rows(f"SELECT id FROM {logs} WHERE _PARTITIONDATE >= DATE_SUB('{today}', INTERVAL 1 DAY) ORDER BY id")
    assert found == [(4,), (5,)]


def test_statements_change_rows_by_partition(world: BigQueryWorld, logs: str) -> None:
    world.rows(f"UPDATE {logs} SET _PARTITIONTIME = '2024-02-01' WHERE _PARTITIONDATE = '2024-01-03'")
    world.rows(f"DELETE FROM {logs} WHERE _PARTITIONTIME < '2024-02-01' AND id = 1")
    world.rows(
        f"MERGE {logs} t USING (SELECT 3 AS id UNION ALL SELECT 9) s ON t.id = s.id AND t._PARTITIONDATE > '2024-01-31' "
        "WHEN MATCHED THEN UPDATE SET name = 'new' "
        "WHEN NOT MATCHED THEN INSERT (_PARTITIONTIME, id, name) VALUES ('2024-03-01', s.id, 'z')"
    )
    assert world.rows(f"SELECT id, name, _PARTITIONDATE AS d FROM {logs} ORDER BY id") == [
        (2, "b", date(2024, 1, 2)),
        (3, "new", date(2024, 2, 1)),
        (9, "z", date(2024, 3, 1)),
    ]


def test_views_scripts_and_functions_see_pseudo_columns(world: BigQueryWorld, logs: str) -> None:
    world.rows(f"CREATE OR REPLACE VIEW parts.v AS SELECT id, _PARTITIONDATE AS day FROM {logs}")
    assert world.rows("SELECT id FROM parts.v WHERE day = '2024-01-03'") == [(3,)]
    assert world.client().get_table("parts.v").view_query == f"SELECT id, _PARTITIONDATE AS day FROM {logs}"
    script = f"DECLARE d DATE DEFAULT '2024-01-02'; SELECT COUNT(*) FROM {logs} WHERE _PARTITIONDATE = d;"
    assert world.rows(script) == [(2,)]
    assert world.rows(f"WITH x AS (SELECT *, _PARTITIONTIME AS pt FROM {logs}) SELECT MAX(pt) FROM x") == [
        (datetime(2024, 1, 3, tzinfo=UTC),)
    ]


@pytest.mark.parametrize(
    ("clause", "unit", "ids"),
    [
        ("TIMESTAMP_TRUNC(_PARTITIONTIME, HOUR)", "HOUR", ["2024010210", "2024010211"]),
        ("DATE(_PARTITIONTIME)", "DAY", ["20240102"]),
        ("DATE_TRUNC(_PARTITIONTIME, MONTH)", "MONTH", ["202401"]),
        ("TIMESTAMP_TRUNC(_PARTITIONTIME, YEAR)", "YEAR", ["2024"]),
    ],
)
def test_a_table_has_partitions_by_hour_day_month_or_year(
    world: BigQueryWorld, clause: str, unit: str, ids: list[str]
) -> None:
    world.rows(f"CREATE OR REPLACE TABLE parts.units (id INT64) PARTITION BY {clause}")
    world.rows(
        "INSERT INTO parts.units (_PARTITIONTIME, id) "
        "SELECT TIMESTAMP_ADD(TIMESTAMP '2024-01-02 10:30:00', INTERVAL n HOUR), n "
        "FROM UNNEST([0, 1]) AS n"
    )
    partitioning = world.client().get_table("parts.units").time_partitioning
    assert (partitioning.type_, partitioning.field) == (unit, None)
    found = world.rows(
        "SELECT partition_id, total_rows FROM parts.INFORMATION_SCHEMA.PARTITIONS WHERE table_name = 'units' ORDER BY 1"
    )
    assert found == [(each, 2 // len(ids)) for each in ids]


def test_a_job_replaces_one_partition(world: BigQueryWorld, logs: str) -> None:
    rows = write(world, "SELECT 7 AS id, 'q' AS name", f"{logs}$20240102", write_disposition="WRITE_TRUNCATE")
    assert rows == [(7, "q")]
    write(world, "SELECT 8 AS id, 'r' AS name", f"{logs}$20240102", write_disposition="WRITE_APPEND")
    with pytest.raises(exceptions.Conflict, match=r"Already Exists: Table local-project:parts.logs\$20240103"):
        write(world, "SELECT 8 AS id, 'r' AS name", f"{logs}$20240103")
    assert world.rows(f"SELECT id, _PARTITIONDATE AS d FROM {logs} ORDER BY id") == [
        (3, date(2024, 1, 3)),
        (7, date(2024, 1, 2)),
        (8, date(2024, 1, 2)),
    ]
    assert world.client().get_table(f"{logs}$20240102").num_rows == 2
    assert [
        row.id
        for row in world.client().list_rows(f"{logs}$20240103", selected_fields=[bigquery.SchemaField("id", "INTEGER")])
    ] == [3]
    world.client().delete_table(f"{logs}$20240102")
    assert world.rows(f"SELECT id FROM {logs}") == [(3,)]


def test_a_load_writes_a_partition(world: BigQueryWorld, logs: str) -> None:
    config = bigquery.LoadJobConfig(source_format="CSV", write_disposition="WRITE_TRUNCATE")
    world.client().load_table_from_file(io.BytesIO(b"5,x\n"), f"{logs}$20240103", job_config=config).result()
    assert world.rows(f"SELECT id FROM {logs} WHERE _PARTITIONDATE = '2024-01-03'") == [(5,)]
    assert world.rows(f"SELECT COUNT(*) FROM {logs}") == [(3,)]


def test_a_partition_of_a_column_takes_only_its_rows(world: BigQueryWorld, days: str) -> None:
    write(world, "SELECT DATE '2024-01-02' AS d, 5 AS n", f"{days}$20240102", write_disposition="WRITE_TRUNCATE")
    assert world.rows(f"SELECT * FROM {days} ORDER BY d") == [(date(2024, 1, 2), 5), (date(2024, 1, 3), 2)]
    with pytest.raises(exceptions.BadRequest, match="Some rows belong to different partitions rather than destination"):
        write(world, "SELECT DATE '2024-01-03' AS d, 5 AS n", f"{days}$20240102", write_disposition="WRITE_TRUNCATE")
    write(world, "SELECT CAST(NULL AS DATE) AS d, 6 AS n", f"{days}$__NULL__", write_disposition="WRITE_APPEND")
    assert world.rows(f"SELECT * FROM {days} ORDER BY d") == [
        (None, 6),
        (date(2024, 1, 2), 5),
        (date(2024, 1, 3), 2),
    ]
    listed = world.client().list_partitions(days)
    assert sorted(listed) == ["20240102", "20240103", "__NULL__"]


@pytest.mark.parametrize(
    ("partition", "error"),
    [("2024", "Invalid partition ID '2024'"), ("20241301", "Invalid partition ID"), ("x'", "Invalid")],
)
def test_a_wrong_partition_id_is_refused(world: BigQueryWorld, days: str, partition: str, error: str) -> None:
    with pytest.raises(exceptions.BadRequest, match=error):
        write(world, "SELECT DATE '2024-01-02' AS d, 5 AS n", f"{days}${partition}")


def test_a_job_that_expects_another_partitioning_is_refused(world: BigQueryWorld, days: str) -> None:
    world.rows("CREATE OR REPLACE TABLE parts.plain (d DATE, n INT64)")
    sql = "SELECT DATE '2024-01-02' AS d, 5 AS n"
    expected = "Expects partitioning specification none, but input partitioning specification is interval\\(type:day\\)"
    with pytest.raises(exceptions.BadRequest, match=expected):
        write(world, sql, "parts.plain$20240102", write_disposition="WRITE_APPEND")
    with pytest.raises(
        exceptions.BadRequest, match="Expects partitioning specification interval\\(type:day,field:d\\)"
    ):
        write(
            world,
            sql,
            days,
            write_disposition="WRITE_APPEND",
            time_partitioning=bigquery.TimePartitioning(type_="MONTH", field="d"),
        )


def test_jobs_and_the_api_create_tables_by_ingestion_time(world: BigQueryWorld) -> None:
    client = world.client()
    day = bigquery.TimePartitioning(type_="DAY")
    write(world, "SELECT 1 AS id", "parts.by_job", time_partitioning=day)
    write(world, "SELECT 1 AS id", "parts.by_decorator$20240105")
    table = bigquery.Table(f"{PROJECT}.parts.by_api", [bigquery.SchemaField("id", "INTEGER")])
    table.time_partitioning = day
    client.create_table(table)
    client.insert_rows_json("parts.by_api$20240105", [{"id": 1}])
    for name in ("by_job", "by_decorator", "by_api"):
        assert client.get_table(f"parts.{name}").time_partitioning.type_ == "DAY"
        assert world.rows(f"SELECT COUNT(_PARTITIONTIME) FROM parts.{name}") == [(1,)]
    assert client.list_partitions("parts.by_api") == ["20240105"]


def test_a_copy_keeps_the_partitions(world: BigQueryWorld, logs: str) -> None:
    client = world.client()
    client.delete_table("parts.copied", not_found_ok=True)
    client.copy_table(f"{PROJECT}.{logs}", f"{PROJECT}.parts.copied").result()
    assert sorted(client.list_partitions("parts.copied")) == ["20240102", "20240103"]
    config = bigquery.CopyJobConfig(write_disposition="WRITE_TRUNCATE")
    client.copy_table(f"{PROJECT}.{logs}$20240103", f"{PROJECT}.parts.copied$20240102", job_config=config).result()
    assert world.rows("SELECT id, _PARTITIONDATE AS d FROM parts.copied ORDER BY d") == [
        (3, date(2024, 1, 2)),
        (3, date(2024, 1, 3)),
    ]
    client.copy_table(f"{PROJECT}.{logs}$20240103", f"{PROJECT}.parts.one").result()
    assert world.rows("SELECT * FROM parts.one") == [(3, "c")]


def test_a_required_filter_is_enforced(world: BigQueryWorld, logs: str) -> None:
    world.rows(f"ALTER TABLE {logs} SET OPTIONS (require_partition_filter = TRUE)")
    assert world.client().get_table(logs).require_partition_filter is True
    error = (
        "Cannot query over table 'local-project.parts.logs' without a filter over column\\(s\\) '_PARTITION_LOAD_TIME', "
        "'_PARTITIONDATE', '_PARTITIONTIME' that can be used for partition elimination"
    )
    for sql in (
        f"SELECT * FROM {logs}",
        f"SELECT * FROM {logs} WHERE id = 1",
        f"SELECT * FROM {logs} WHERE id = 1 OR _PARTITIONDATE = '2024-01-02'",
        f"SELECT EXISTS (SELECT 1 FROM {logs})",
        f"WITH x AS (SELECT * FROM {logs}) SELECT * FROM x",
        f"DELETE FROM {logs} WHERE TRUE",
    ):
        with pytest.raises(exceptions.BadRequest, match=error):
            world.rows(sql)
    for sql in (
        f"SELECT id FROM {logs} WHERE _PARTITIONDATE = '2024-01-03'",
        f"SELECT id FROM {logs} WHERE DATE(_PARTITIONTIME) BETWEEN '2024-01-03' AND CURRENT_DATE() AND id > 0",
        f"SELECT id FROM (SELECT id, _PARTITIONTIME AS t FROM {logs}) WHERE t > '2024-01-02'",
        f"WITH x AS (SELECT id, _PARTITIONDATE AS day FROM {logs}) SELECT id FROM x WHERE day IN ('2024-01-03')",
        f"SELECT a.id FROM {logs} a JOIN (SELECT 3 AS id) b ON a.id = b.id AND a._PARTITIONDATE >= '2024-01-03'",
    ):
        assert world.rows(sql) == [(3,)], sql
    world.rows(f"ALTER TABLE {logs} SET OPTIONS (require_partition_filter = FALSE)")
    assert world.rows(f"SELECT COUNT(*) FROM {logs}") == [(3,)]


def test_integer_ranges_are_partitions(world: BigQueryWorld) -> None:
    world.rows(
        "CREATE OR REPLACE TABLE parts.ranges (id INT64) PARTITION BY RANGE_BUCKET(id, GENERATE_ARRAY(0, 100, 10)) "
        "OPTIONS (require_partition_filter = TRUE)"
    )
    world.rows("INSERT INTO parts.ranges VALUES (5), (15), (17), (500), (NULL)")
    table = world.client().get_table("parts.ranges")
    limits = table.range_partitioning.range_
    assert (table.range_partitioning.field, limits.start, limits.end, limits.interval) == ("id", 0, 100, 10)
    assert table.time_partitioning is None
    found = world.rows(
        "SELECT partition_id, total_rows FROM parts.INFORMATION_SCHEMA.PARTITIONS WHERE table_name = 'ranges'"
    )
    assert sorted(found) == [("0", 1), ("10", 2), ("__NULL__", 1), ("__UNPARTITIONED__", 1)]
    write(world, "SELECT 19 AS id", "parts.ranges$10", write_disposition="WRITE_TRUNCATE")
    assert sorted(world.rows("SELECT id FROM parts.ranges WHERE id >= 0")) == [(5,), (19,), (500,)]
    with pytest.raises(exceptions.BadRequest, match="without a filter over column\\(s\\) 'id'"):
        world.rows("SELECT * FROM parts.ranges")


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("CREATE TABLE parts.x (id INT64) PARTITION BY id", "PARTITION BY expression must be DATE"),
        ("CREATE TABLE parts.x (ts TIMESTAMP) PARTITION BY ts", "PARTITION BY expression must be DATE"),
        ("CREATE TABLE parts.x (d DATE) PARTITION BY DATE_TRUNC(d, WEEK)", "PARTITION BY expression must be DATE"),
        ("CREATE TABLE parts.x (d DATE) PARTITION BY e", "Unrecognized name: e"),
        ("CREATE TABLE parts.x PARTITION BY _PARTITIONDATE AS SELECT 1 AS id", "Partitioning by ingestion time is not"),
        ("CREATE TABLE parts.x PARTITION BY d AS SELECT 1 AS d", "can only be of type TIMESTAMP, DATE or DATETIME"),
        ("CREATE TABLE parts.x (_PARTITIONTIME INT64)", 'Invalid field name "_PARTITIONTIME"'),
        ("CREATE TABLE parts.x AS SELECT 1 AS _partition_id", 'Invalid field name "_partition_id"'),
        ("CREATE TABLE parts.x (d DATE) OPTIONS (require_partition_filter = TRUE)", "only on partitioned tables"),
    ],
)  # fmt: skip
def test_a_wrong_definition_is_refused(world: BigQueryWorld, statement: str, error: str) -> None:
    with pytest.raises(exceptions.BadRequest, match=error):
        world.rows(statement)
    with pytest.raises(exceptions.NotFound):
        world.client().get_table("parts.x")


def test_the_storage_api_reads_the_columns_of_the_schema(world: BigQueryWorld, logs: str) -> None:
    from google.cloud.bigquery_storage_v1 import types

    session = types.ReadSession(
        table=f"projects/{PROJECT}/datasets/parts/tables/logs",
        data_format=types.DataFormat.ARROW,
        read_options={"row_restriction": "_PARTITIONDATE = '2024-01-03'"},
    )
    client = world.read_client()
    opened = client.create_read_session(parent=f"projects/{PROJECT}", read_session=session)
    rows = [row for stream in opened.streams for row in client.read_rows(stream.name).rows(opened)]
    assert [{name: value.as_py() for name, value in row.items()} for row in rows] == [{"id": 3, "name": "c"}]


def test_a_table_that_exists_keeps_its_layout(world: BigQueryWorld, logs: str) -> None:
    world.rows(f"CREATE TABLE IF NOT EXISTS {logs} (id INT64)")
    world.rows(f"ALTER TABLE {logs} ADD COLUMN extra STRING")
    client = world.client()
    table = client.get_table(logs)
    table.description = "changed"
    assert client.update_table(table, ["description"]).time_partitioning.type_ == "DAY"
    assert world.rows(f"SELECT * FROM {logs} WHERE _PARTITIONDATE = '2024-01-03'") == [(3, "c", None)]
    world.rows(f"CREATE OR REPLACE TABLE {logs} AS SELECT 1 AS id")
    assert client.get_table(logs).time_partitioning is None
    assert world.rows(f"SELECT * FROM {logs}") == [(1,)]
