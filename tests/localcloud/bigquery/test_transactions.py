"""Transactions of scripts and sessions.

https://cloud.google.com/bigquery/docs/transactions
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from google.api_core import exceptions
from google.cloud import bigquery

from tests.localcloud.bigquery.world import BigQueryWorld

Run = Callable[[str], list[tuple[object, ...]]]


@pytest.fixture
def table(world: BigQueryWorld, dataset: str) -> str:
    """A table (id, n) with two rows, whose ``n`` has a default value, and which is partitioned."""
    name = f"{dataset}.t"
    world.rows(
        f"CREATE TABLE {name} (id INT64 NOT NULL, n INT64 DEFAULT 5) "
        "PARTITION BY RANGE_BUCKET(id, GENERATE_ARRAY(0, 100, 10)); "
        f"INSERT INTO {name} VALUES (1, 10), (2, 20)"
    )
    return name


@pytest.fixture
def session(world: BigQueryWorld) -> Run:
    """Runs a query in a session of its own."""
    client = world.client()
    opened = client.query("SELECT 1", job_config=bigquery.QueryJobConfig(create_session=True))
    opened.result()
    properties = [bigquery.ConnectionProperty("session_id", opened.session_info.session_id)]

    def run(sql: str) -> list[tuple[object, ...]]:
        config = bigquery.QueryJobConfig(connection_properties=properties)
        return [tuple(row) for row in client.query(sql, job_config=config).result()]

    return run


def test_other_jobs_see_the_changes_after_the_commit(world: BigQueryWorld, table: str, session: Run) -> None:
    session("BEGIN TRANSACTION")
    session(f"UPDATE {table} SET n = n + 1 WHERE id = 1")
    session(
        f"INSERT INTO {table} (id) VALUES (3); MERGE {table} t USING (SELECT 2 AS id) s ON t.id = s.id WHEN MATCHED THEN DELETE"
    )
    read = f"SELECT id, n FROM {table} ORDER BY id"
    assert session(read) == [(1, 11), (3, 5)]
    assert world.rows(read) == [(1, 10), (2, 20)]
    session("COMMIT TRANSACTION")
    assert world.rows(read) == session(read) == [(1, 11), (3, 5)]
    assert world.client().get_table(table).num_rows == 2


def test_a_transaction_with_a_concurrent_update_is_aborted(world: BigQueryWorld, table: str, session: Run) -> None:
    session(f"BEGIN TRANSACTION; DELETE {table} WHERE id = 1")
    world.rows(f"UPDATE {table} SET n = 30 WHERE id = 2")
    with pytest.raises(exceptions.BadRequest, match="Transaction is aborted due to concurrent update against table"):
        session("COMMIT TRANSACTION")
    assert (
        world.rows(f"SELECT id, n FROM {table} ORDER BY id")
        == session(f"SELECT * FROM {table} ORDER BY id")
        == [(1, 10), (2, 30)]
    )


@pytest.mark.parametrize("end", ["ROLLBACK TRANSACTION", "CALL BQ.ABORT_SESSION()"])
def test_a_transaction_that_is_not_committed_changes_nothing(
    world: BigQueryWorld, table: str, session: Run, end: str
) -> None:
    session(f"BEGIN TRANSACTION; TRUNCATE TABLE {table}")
    assert session(f"SELECT COUNT(*) FROM {table}") == [(0,)]
    session(end)
    assert world.rows(f"SELECT COUNT(*) FROM {table}") == [(2,)]


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("INSERT INTO {t} (n) VALUES (1)", "Required field id cannot be null"),
        ("SELECT * FROM {t}_view", "Reading the view .* after a change of .* in a transaction is not supported"),
        ("CREATE TABLE {t}_new (a INT64)", "CREATE_TABLE is not supported in a transaction"),
        ("LOAD DATA INTO {t} FROM FILES (format = 'CSV', uris = ['gs://transfers/*'])", "LOAD DATA is not supported in"),
        ("BEGIN TRANSACTION", "a transaction is already active"),
    ],
)  # fmt: skip
def test_what_a_transaction_cannot_do_is_refused(
    world: BigQueryWorld, table: str, statement: str, message: str
) -> None:
    world.rows(f"CREATE VIEW {table}_view AS SELECT n FROM {table}")
    with pytest.raises(exceptions.GoogleAPICallError, match=message):
        world.rows(f"BEGIN TRANSACTION; DELETE {table} WHERE id = 1; {statement.format(t=table)}; COMMIT TRANSACTION")
    assert world.rows(f"SELECT COUNT(*) FROM {table}") == [(2,)]
