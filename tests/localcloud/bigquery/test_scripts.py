"""Scripts and their child jobs."""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import bigquery

from tests.localcloud.bigquery.world import PROJECT, BigQueryWorld

SCRIPT = """
DECLARE most INT64 DEFAULT 98;
CREATE TEMP TABLE few AS SELECT * FROM {d}.titles WHERE score >= most;
UPDATE {d}.titles SET title = 'changed' WHERE score >= most;
EXECUTE IMMEDIATE "SELECT 'dynamic' AS what";
SELECT COUNT(*) AS n FROM few;"""


def children(world: BigQueryWorld, job: bigquery.QueryJob) -> list[Any]:
    """Return a script's child jobs, oldest first."""
    return list(world.client().list_jobs(parent_job=job.job_id))[::-1]


def test_each_statement_is_a_child_job(world: BigQueryWorld) -> None:
    job = world.client().query(SCRIPT.replace("{d}", world.dataset()))
    assert [tuple(row) for row in job.result()] == [(2,)]
    found = children(world, job)
    assert [child.statement_type for child in found] == ["CREATE_TABLE_AS_SELECT", "UPDATE", "SELECT", "SELECT"]
    assert (world.client().get_job(job.job_id).num_child_jobs, job.statement_type) == (4, "SCRIPT")
    assert {child.parent_job_id for child in found} == {job.job_id}
    assert {child.state for child in found} == {"DONE"}
    assert found[1].num_dml_affected_rows == 2
    assert [dict(row) for row in found[2].result()] == [{"what": "dynamic"}]
    assert [dict(row) for row in found[3].result()] == [{"n": 2}]
    statistics = found[1].script_statistics
    assert (statistics.evaluation_kind, statistics.stack_frames[0].start_line) == ("STATEMENT", 4)
    assert statistics.stack_frames[0].text.startswith("UPDATE")


def test_child_jobs_are_listed_only_with_their_parent(world: BigQueryWorld) -> None:
    job = world.client().query("SELECT 1; SELECT 2;")
    job.result()
    listed = {found.job_id for found in world.client().list_jobs()}
    assert job.job_id in listed
    assert not listed & {child.job_id for child in children(world, job)}
    world.client().delete_job_metadata(job)
    assert children(world, job) == []


def test_the_failed_statement_is_the_last_child_job(world: BigQueryWorld) -> None:
    job = world.client().query("SELECT 1 AS x; SELECT [1][OFFSET(3)]; SELECT 2 AS never;")
    with pytest.raises(exceptions.BadRequest, match="Array index 3 is out of bounds"):
        job.result()
    found = children(world, job)
    assert [child.error_result and child.error_result["reason"] for child in found] == [None, "invalidQuery"]
    assert [tuple(row) for row in found[0].result()] == [(1,)]


def test_each_statement_of_a_procedure_is_a_child_job(world: BigQueryWorld) -> None:
    dataset = world.dataset()
    body = f"BEGIN INSERT INTO {dataset}.titles (title, score) VALUES (name, 1000); SELECT name AS added; END"
    world.rows(f"CREATE PROCEDURE {dataset}.add(name STRING) {body}")
    job = world.client().query(f"CALL {dataset}.add('new')")
    assert [dict(row) for row in job.result()] == [{"added": "new"}]
    assert [child.statement_type for child in children(world, job)] == ["INSERT", "SELECT"]
    assert world.rows(f"SELECT title FROM {dataset}.titles WHERE score = 1000") == [("new",)]


def test_export_data_in_a_script_writes_the_object(world: BigQueryWorld) -> None:
    world.rows(
        "DECLARE n INT64 DEFAULT 1; "
        "EXPORT DATA OPTIONS (uri = 'gs://transfers/from-script-*.csv', format = 'CSV') AS SELECT 'x' AS a"
    )
    assert world.storage.store.read("transfers", "from-script-000000000000.csv") == b"a\nx\n"


def test_export_data_replaces_objects_only_with_overwrite(world: BigQueryWorld) -> None:
    export = "EXPORT DATA OPTIONS (uri = 'gs://transfers/once-*.csv', format = 'CSV'{}) AS SELECT {} AS a"
    world.rows(export.format("", 1))
    with pytest.raises(exceptions.BadRequest, match=r"gs://transfers/once-000000000000\.csv exists"):
        world.rows(export.format("", 2))
    world.rows(export.format(", overwrite = true", 3))
    assert world.storage.store.read("transfers", "once-000000000000.csv") == b"a\n3\n"


FAILS = "SELECT 1 / 0"


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        # The example of https://cloud.google.com/bigquery/docs/transactions#roll_back_a_transaction
        (
            f"BEGIN BEGIN TRANSACTION; {{change}}; {FAILS}; COMMIT; EXCEPTION WHEN ERROR THEN ROLLBACK TRANSACTION; END",
            1,
        ),
        (f"BEGIN BEGIN TRANSACTION; {{change}}; {FAILS}; EXCEPTION WHEN ERROR THEN COMMIT TRANSACTION; END", 5),
        ("BEGIN TRANSACTION; {change}", 1),
        ("BEGIN TRANSACTION; {change}; COMMIT TRANSACTION; BEGIN TRANSACTION; TRUNCATE TABLE {d}.t; ROLLBACK", 5),
        ("BEGIN TRANSACTION; CALL {d}.change(); ROLLBACK TRANSACTION", 1),
        ("BEGIN TRANSACTION; CALL {d}.change(); COMMIT TRANSACTION", 5),
        ("RETURN; {change}", 1),
    ],
)
def test_a_transaction_changes_all_or_nothing(world: BigQueryWorld, dataset: str, script: str, expected: int) -> None:
    change = f"UPDATE {dataset}.t SET n = 5 WHERE n = 1"
    world.rows(f"CREATE TABLE {dataset}.t AS SELECT 1 AS n")
    world.rows(f"CREATE PROCEDURE {dataset}.change() BEGIN {change}; END")
    world.rows(script.format(change=change, d=dataset))
    assert world.rows(f"SELECT n FROM {dataset}.t") == [(expected,)]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("UPDATE {d}.titles SET score = 0 WHERE score < 3; SELECT @@row_count", (3,)),
        ("SELECT @@row_count", (None,)),
        (f"BEGIN {FAILS}; EXCEPTION WHEN ERROR THEN SELECT @@error.statement_text; END", (FAILS,)),
        (
            "CREATE TEMP TABLE t AS SELECT 1 AS n; BEGIN TRANSACTION; DELETE t WHERE TRUE; ROLLBACK; SELECT * FROM t",
            (1,),
        ),
        (
            "SET @@dataset_id = '{d}'; SELECT @@dataset_id > '', COUNT(*), @@script.num_child_jobs FROM titles",
            (True, 100, 0),
        ),
        ("SET @@query_label = 'a:b'; SELECT @@query_label, @@time_zone", ("a:b", "UTC")),
        ("DECLARE rows ARRAY<STRUCT<x INT64, y STRING>> DEFAULT [(1, 'a')]; SELECT y, x FROM UNNEST(rows)", ("a", 1)),
    ],
)
def test_a_script_reads_what_it_has_done(
    world: BigQueryWorld, dataset: str, script: str, expected: tuple[Any, ...]
) -> None:
    job = world.client().query(
        script.format(d=dataset), bigquery.QueryJobConfig(default_dataset=f"{PROJECT}.{dataset}")
    )
    assert [tuple(row) for row in job.result()] == [expected]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("DECLARE i INT64 DEFAULT 0; REPEAT SET i = i + 1; CONTINUE; UNTIL i > 2 END REPEAT; SELECT i", 3),
        ("DECLARE i INT64 DEFAULT 2; CASE i WHEN 1 THEN SELECT 'a'; WHEN 2 THEN SELECT 'b'; END CASE", "b"),
        ("CASE WHEN CASE WHEN TRUE THEN FALSE END THEN SELECT 'a'; ELSE SELECT 'b'; END CASE", "b"),
        ("ASSERT 1 < 2 AS 'never'; SELECT 1", 1),
        ("DECLARE g GEOGRAPHY DEFAULT ST_GEOGPOINT(1, 2); SELECT ST_X(g)", 1.0),
        ("DECLARE i INT64 DEFAULT 0; a: LOOP b: WHILE TRUE DO SET i = i + 1; IF i < 3 THEN ITERATE a; END IF; LEAVE a; "
            "END WHILE b; END LOOP a; SELECT i", 3),
        ("DECLARE i INT64 DEFAULT 0; a: BEGIN LEAVE a; SET i = 1; END a; SELECT i", 0),
        ("DECLARE i DEFAULT 1; x: FOR r IN (SELECT 1 AS n UNION ALL SELECT 2) DO CONTINUE x; SET i = 9; END FOR; SELECT i", 1),
        ("DECLARE s STRUCT<a INT64, b STRING> DEFAULT (1, 'x'); SET s = (2, 'y'); SELECT CONCAT(s.b, s.a)", "y2"),
        ("BEGIN ASSERT NULL AS 'unknown'; EXCEPTION WHEN ERROR THEN SELECT @@error.message; END", "unknown"),
    ],
)  # fmt: skip
def test_control_statements_choose_what_runs(world: BigQueryWorld, script: str, expected: object) -> None:
    assert world.rows(script) == [(expected,)]


def test_a_procedure_handles_its_errors(world: BigQueryWorld, dataset: str) -> None:
    body = "SET r = CASE WHEN TRUE THEN 'a' END; ASSERT r = 'b' AS 'not b'; EXCEPTION WHEN ERROR THEN SET r = @@error.message"
    world.rows(f"CREATE PROCEDURE {dataset}.check(OUT r STRING) BEGIN {body}; END")
    assert world.rows(f"DECLARE r STRING; CALL {dataset}.check(r); SELECT r") == [("not b",)]


def test_session_is_the_dataset_of_temporary_tables(world: BigQueryWorld) -> None:
    script = "CREATE TEMP TABLE _SESSION.x (a INT64); INSERT INTO x VALUES (2); SELECT *, '_SESSION.x' AS b FROM `_SESSION`.x"
    assert world.rows(script) == [(2, "_SESSION.x")]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("DECLARE i INT64 DEFAULT 'x'", "Cannot coerce expression 'x' to type INT64"),
        ("DECLARE i INT64; SET i = (SELECT 1.5)", r"Cannot coerce expression \(SELECT 1.5\) to type INT64"),
        ("DECLARE s STRING(2) DEFAULT 'abc'", "maximum length 2 but got a value with length 3"),
        ("DECLARE i NUMBER", "Type not found: NUMBER"),
        ("SET i = 1", "Undeclared variable: i"),
        ("SELECT 1;\nIF TRUE THEN\n  SELECT nope;\nEND IF", r"Unrecognized name: nope at \[3:10\]"),
        ("SELECT 1;\nEXECUTE IMMEDIATE 'SELECT nope'", r"Unrecognized name: nope at \[1:8\]"),
        ("FROM (SELECT 1 AS x)\n|> WHERE y = 1;\nSELECT 1", r"Unrecognized name: y at \[2:10\]"),
        ("CREATE TEMP TABLE t (a INT64)", "Use of CREATE TEMPORARY TABLE requires a script or session"),
        (
            "CREATE FUNCTION f() AS (1)",
            'Routine name "f" missing dataset while no default dataset is set in the request.',
        ),
        ("DECLARE v ARRAY<INT64>; SET v[0] = 1", r'Expected "=" but got "\["; SET assigns a variable as a whole'),
        ("DECLARE v STRUCT<a INT64>; SET v.a = 1", 'Expected "=" but got "."; SET assigns a variable as a whole'),
        ("CREATE TEMP FUNCTION f() AS (1)", "CREATE TEMPORARY FUNCTION statements must be followed by an actual query"),
        ("IF TRUE SELECT 1; END IF", "Syntax error: Expected keyword THEN but got end of script"),
        ("CALL {d}.add", r'Syntax error: Expected "\(" but got end of script'),
        ("IF 1 THEN SELECT 1; END IF", "Cannot coerce expression 1 to type BOOL"),
        ("WHILE 'a' DO SELECT 1; END WHILE", "Cannot coerce expression 'a' to type BOOL"),
        ("LOOP LEAVE a; END LOOP", "Undefined label: a"),
        ("a: LOOP LEAVE; END LOOP b", "Mismatched end label; expected a, but got b"),
        ("BREAK", "BREAK is only allowed inside of a loop body"),
        ("SELECT @@error.message", "can be read only in an exception handler"),
        ("SET @@reservation = 'none'", "SET @@reservation is not supported"),
        ("SET @@time_zone = 'Asia/Tokyo'", "whose time zone is always UTC"),
        ("SET @@error.message = 'x'", "System variable @@error.message is read only"),
        ("EXECUTE IMMEDIATE 'SELECT 1; SELECT 2'", "must be exactly one statement"),
        ("CALL {d}.add(1)", r"Supported signature: {d}.add\(INT64, OUT STRING\)"),
        ("CALL {d}.add(1, 'x')", "Argument 2 of procedure {d}.add is OUT and must be a variable, but is 'x'"),
        ("DECLARE s STRING; CALL {d}.add('x', s)", "Cannot coerce expression 'x' to type INT64"),
        ("DECLARE i INT64; CALL {d}.add(1, i)", "Cannot coerce expression `s` to type INT64"),
    ],
)
def test_a_wrong_script_is_refused(world: BigQueryWorld, dataset: str, script: str, message: str) -> None:
    world.rows(f"CREATE PROCEDURE {dataset}.add(i INT64, OUT s STRING) BEGIN SET s = CAST(i + 1 AS STRING); END")
    with pytest.raises(exceptions.GoogleAPICallError, match=message.format(d=dataset)):
        world.rows(script.format(d=dataset))


def test_a_handler_reads_where_the_error_was_raised(world: BigQueryWorld, dataset: str) -> None:
    name = f"{PROJECT}.{dataset}.fails"
    world.rows(f"CREATE PROCEDURE {dataset}.fails()\nBEGIN\n  SELECT 0;\n  {FAILS};\nEND")
    script = f"BEGIN\n  CALL {dataset}.fails();\nEXCEPTION WHEN ERROR THEN {{}}; END"
    assert world.rows(script.format("SELECT line, column, location FROM UNNEST(@@error.stack_trace)")) == [
        (3, 3, name),
        (2, 3, None),
    ]
    assert world.rows(script.format("SELECT @@error.statement_text, @@error.formatted_stack_trace")) == [
        (FAILS, f"At {name}[3:3]\nAt [2:3]")
    ]
