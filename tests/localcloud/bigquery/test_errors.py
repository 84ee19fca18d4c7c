"""Error messages: BigQuery's words, without names of the libraries behind the local BigQuery."""

from __future__ import annotations

import gc
import json
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from localcloud.bigquery.sql.errors.failures import query_error
from tests.localcloud.bigquery.world import PROJECT, BigQueryWorld, bigquery_world
from tests.waiting import wait_until

# Names and exceptions of libraries and of Python, terminal escapes, and paths of this machine.
INTERNALS = re.compile(
    r"bqemulator|duckdb|sqlglot|\x1b|\[4m|<class|<Token|Traceback|(Binder|Catalog|Parser|Conversion|Input) Error"
    r"|VARCHAR|BIGINT|(?<![\w:/])/\w+/\w+|__d\b|TypeError|ValueError|KeyError|docs/reference/out",
    re.IGNORECASE,
)

MESSAGES = {
    # Syntax
    "DELETE d.t": "DELETE must have a WHERE clause at [1:1]",
    "DELETE FROM d.t": "DELETE must have a WHERE clause at [1:1]",
    "\n UPDATE d.t SET n = 1": "UPDATE must have a WHERE clause at [2:2]",
    "SELECT @@projectid": "Unrecognized system variable: @@projectid at [1:8]",
    "SELECT 1; SELECT\n@@reservation": "System variable @@reservation is not supported by the local BigQuery at [2:1]",
    "SELECT n FROM": "Syntax error: Unexpected end of script at [1:14]",
    "SELECT n FROM d.t WHERE": "Syntax error: Unexpected end of script at [1:24]",
    "SELECT (1 + 2": 'Syntax error: Expected ")" but got end of script at [1:14]',
    "SELECT 1 1": 'Syntax error: Unexpected integer literal "1" at [1:10]',
    "SELECT 1,\n  BAD SYNTAX HERE": 'Syntax error: Unexpected identifier "HERE" at [2:14]',
    "SELEC 1": 'Syntax error: Unexpected identifier "SELEC" at [1:1]',
    "SELECT (1 + 2 AS x": 'Syntax error: Expected "," but got keyword AS at [1:15]',
    "CREATE TABLE d.u (a INT64": 'Syntax error: Expected ")" but got end of script at [1:26]',
    "SELECT 'open": "Syntax error: Unclosed string literal at [1:8]",
    # Names and types
    "SELECT nope FROM d.t": "Unrecognized name: nope at [1:8]",
    "SELECT nope.x FROM d.t": "Unrecognized name: nope at [1:8]",
    "SELECT late + 1, 1 AS late": "Unrecognized name: late at [1:8]",
    "SELECT NO_SUCH(1)": "Function not found: NO_SUCH at [1:8]",
    "SELECT ABS('x')": "No matching signature for function ABS for argument types: STRING",
    "SELECT 'a' + 1": 'Could not cast literal "a" to type DATE at [1:8]',
    "SELECT n FROM d.t WHERE 1 = 'x'": (
        "No matching signature for operator = for argument types: INT64, STRING\n  Signature: T1 = T1\n    Unable to find "
        "common supertype for templated argument <T1>\n      Input types for <T1>: {INT64, STRING} at [1:27]"
    ),
    "SELECT n FROM d.t WHERE n = s": (
        "No matching signature for operator = for argument types: INT64, STRING\n  Signature: T1 = T1\n    Unable to find "
        "common supertype for templated argument <T1>\n      Input types for <T1>: {INT64, STRING} at [1:27]"
    ),
    "SELECT SUBSTR(s) FROM d.t": (
        "No matching signature for function SUBSTR\n  Argument types: STRING\n"
        "  Signature: SUBSTR(STRING, INT64, [INT64])\n    Signature requires at least 2 arguments, found 1 argument\n"
        "  Signature: SUBSTR(BYTES, INT64, [INT64])\n    Signature requires at least 2 arguments, found 1 argument at [1:8]"
    ),
    "SELECT * FROM d.INFORMATION_SCHEMA.ROW_ACCESS_POLICIES": (
        f"Not found: Table {PROJECT}:d.INFORMATION_SCHEMA.ROW_ACCESS_POLICIES was not found in location US"
    ),
    "SELECT * FROM INFORMATION_SCHEMA.TABLES": (
        'Table "INFORMATION_SCHEMA.TABLES" must be qualified with a dataset (e.g. dataset.table).'
    ),
    "SELECT 9223372036854775807 + 1": "Integer Overflow",
    "SELECT SAFE_DIVIDE(1)": "No matching signature for function SAFE_DIVIDE",
    "SELECT * EXCEPT (nope) FROM d.t": "Column nope in SELECT * EXCEPT list does not exist",
    "INSERT INTO d.t (nope) VALUES (1)": "Column nope is not present in table t",
    "ALTER TABLE d.t ADD COLUMN n INT64": "Column already exists: n",
    "SELECT * FROM d.t, d.t": "Duplicate table alias t in the same FROM clause",
    "SELECT n FROM d.t a, d.t b": "Column name n is ambiguous",
    "SELECT 1 AS y FROM (SELECT 1 AS x, 2 AS X) AS s WHERE s.x > 0": "Column name x is ambiguous at [1:55]",
    "WITH w AS (SELECT *, 5 AS n FROM d.t) SELECT (SELECT n) FROM w": "Column name n is ambiguous at [1:54]",
    "SELECT e.n FROM d.t a, (SELECT * FROM d.t AS b JOIN d.t AS c ON b.n = c.n) AS e": "Column name n is ambiguous at [1:8]",
    "SELECT n FROM d.t GROUP BY s": "SELECT list expression references column n which is neither grouped nor aggregated",
    "SELECT n FROM d.t WHERE SUM(n) > 1": "Aggregate functions are not allowed in WHERE clause",
    "SELECT * FROM UNNEST(5)": "Values referenced in UNNEST must be arrays",
    "SELECT s.x FROM d.t": "Cannot access field x on a value that is not a STRUCT",
    "CREATE VIEW d.v AS SELECT 1": "CREATE VIEW columns must be named, but column 1 has no name",
    "CREATE TABLE d.u AS SELECT n, COUNT(*) FROM d.t GROUP BY n": (
        "CREATE TABLE columns must be named, but column 2 has no name"
    ),
    "SELECT 1; CREATE VIEW d.v AS SELECT 1 AS a, 2 AS A": "CREATE VIEW has columns with duplicate name A",
    "CREATE TABLE d.u (x STRUCT<y ARRAY<ARRAY<INT64>>>)": (
        "Cannot construct array with element type ARRAY<INT64> because nested arrays are not supported"
    ),
    "DROP VIEW d.t": f"{PROJECT}:d.t is not allowed for this operation because it is currently a TABLE.",
    "ALTER VIEW d.t SET OPTIONS (description = 'x')": (
        f"{PROJECT}:d.t is not allowed for this operation because it is currently a TABLE."
    ),
    "CREATE VIEW d.w AS SELECT 1 AS a; DROP TABLE d.w": (
        f"{PROJECT}:d.w is not allowed for this operation because it is currently a VIEW."
    ),
    # Values
    "SELECT CAST(s AS INT64) FROM d.t": "Bad int64 value: x",
    "SELECT CAST(s AS FLOAT64) FROM d.t": "Bad double value: x",
    "SELECT CAST(s AS NUMERIC) FROM d.t": "Bad numeric value: x",
    "SELECT CAST(s AS DATE) FROM d.t": "Invalid date: 'x'",
    "SELECT DATE '2024-13-01'": "Invalid date: '2024-13-01'",
    "SELECT TIMESTAMP(s) FROM d.t": "Invalid timestamp: 'x'",
    "SELECT PARSE_DATE('%Y', s) FROM d.t": 'Failed to parse input string "x"',
    "SELECT 1 / (n - 1) FROM d.t": "division by zero: 1 / 0",
    "SELECT 9223372036854775807 + n FROM d.t": "int64 overflow: 9223372036854775807 + 1",
    "SELECT (SELECT x FROM UNNEST([1, 2]) AS x)": "Scalar subquery produced more than one element",
    "SELECT ERROR('a FLOAT of my own')": "a FLOAT of my own",
    "SELECT FROM_BASE64('#')": "Failed to decode invalid base64 string",
    "RAISE USING MESSAGE = 'as asked'": "as asked",
    "RAISE": "Cannot re-raise an existing exception outside of an exception handler",
    "BEGIN SELECT 1 / 0; EXCEPTION WHEN ERROR THEN RAISE; END": "division by zero: 1 / 0",
    "ASSERT (SELECT COUNT(*) FROM d.t) > 5 AS 'too few'": "too few",
    "ASSERT 1 = 2": "Assertion failed",
    "ASSERT 5": "ASSERT expression should have type BOOL",
    "SELECT 1; DECLARE a INT64": "Variable declarations are allowed only at the start of a block or script",
    # Transactions
    "BEGIN TRANSACTION": "Transaction control statements are supported only in scripts",
    "SELECT 1; COMMIT": "COMMIT TRANSACTION is not possible: there is no active transaction",
    "BEGIN TRANSACTION; BEGIN TRANSACTION": "BEGIN TRANSACTION is not possible: a transaction is already active",
    "BEGIN TRANSACTION; CREATE TABLE d.u (n INT64)": (
        "CREATE_TABLE is not supported in a transaction, which can only define temporary tables and functions"
    ),
    # Not supported
    "SELECT * FROM ML.EVALUATE(MODEL d.m)": "ML.EVALUATE is not supported by the local BigQuery at [1:15]",
    "SELECT * FROM ML.EXPLAIN_PREDICT(MODEL d.m, (SELECT 1))": (
        "ML.EXPLAIN_PREDICT is not supported by the local BigQuery at [1:15]"
    ),
    "SELECT AI.FORECAST(1)": "AI.FORECAST is not supported by the local BigQuery at [1:8]",
    "CREATE TEMP FUNCTION f() RETURNS INT64 LANGUAGE js AS 'return 1.5'; SELECT f()": (
        "Failed to coerce output value 1.5 to type INT64"
    ),
    "EXPORT DATA OPTIONS(uri='gs://transfers/x.csv', format='CSV') AS SELECT 1": "Option 'uri' value must be a wild card URI.",
    "EXPORT DATA OPTIONS(uri='gs://no-bucket/x*.csv', format='CSV') AS SELECT 1": "The specified bucket does not exist.",
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BigQueryWorld]:
    with bigquery_world(tmp_path_factory.mktemp("storage")) as running:
        fields = [{"name": "n", "type": "INT64"}, {"name": "s", "type": "STRING"}]
        running.bigquery.tables.write(f"{PROJECT}.d.t", fields, [{"n": 1, "s": "x"}])
        yield running


def failure(world: BigQueryWorld, sql: str) -> dict[str, Any]:
    answer = world.call("POST", "/queries", json={"query": sql, "useLegacySql": False})
    assert answer.status_code >= 400, answer.text
    error: dict[str, Any] = answer.json()["error"]
    return error


@pytest.mark.parametrize(("sql", "message"), MESSAGES.items())
def test_a_failed_statement_has_the_error_message_of_bigquery(world: BigQueryWorld, sql: str, message: str) -> None:
    error = failure(world, sql)
    assert error["message"] == message
    assert error["errors"][0]["reason"] in ("invalidQuery", "notFound")
    assert INTERNALS.search(json.dumps(error)) is None


@pytest.mark.parametrize(
    ("content", "source_format"),
    [
        (b"a,b\n1,2,3\n", "CSV"),
        (b'"open\n', "CSV"),
        (b'{"a": "x"}', "NEWLINE_DELIMITED_JSON"),
        (b"{broken", "NEWLINE_DELIMITED_JSON"),
        (b"no parquet", "PARQUET"),
        (b"no avro", "AVRO"),
    ],
)
def test_a_load_of_an_invalid_file_has_the_error_message_of_bigquery(
    world: BigQueryWorld, content: bytes, source_format: str
) -> None:
    world.storage.store.write("transfers", "broken", content)
    load = {
        "sourceUris": ["gs://transfers/broken"],
        "sourceFormat": source_format,
        "schema": {"fields": [{"name": "a", "type": "INTEGER"}]},
        "destinationTable": {"projectId": PROJECT, "datasetId": "d", "tableId": "loaded"},
    }
    inserted = world.call("POST", "/jobs", json={"configuration": {"load": load}}).json()
    reference = inserted["jobReference"]
    path = f"/jobs/{reference['jobId']}"
    wait_until(lambda: world.call("GET", path).json()["status"]["state"] == "DONE")
    error = world.call("GET", path).json()["status"]["errorResult"]
    assert error["message"].startswith("Error while reading data, error message: ")
    assert INTERNALS.search(error["message"].replace("gs://transfers/broken", "")) is None


def test_an_exception_handler_reads_the_message_that_a_client_gets(world: BigQueryWorld) -> None:
    handled = "BEGIN {}; EXCEPTION WHEN ERROR THEN SELECT @@error.message AS message; END"
    for statement, message in (
        ("SELECT 1 / 0", "division by zero: 1 / 0"),
        ("SELECT [1][OFFSET(3)]", "Array index 3 is out of bounds (overflow)"),
        ("SELECT * FROM ML.PREDICT(MODEL d.none, (SELECT 1 AS x))", f"Not found: Model {PROJECT}:d.none"),
        ("RAISE USING MESSAGE = 'as asked'", "as asked"),
    ):
        assert world.rows(handled.format(statement)) == [(message,)]


def test_function_names_in_strings_and_comments_are_not_calls(world: BigQueryWorld) -> None:
    assert world.rows("SELECT 'ML.EVALUATE(MODEL m)', 'bqemulator' -- ML.FORECAST") == [
        ("ML.EVALUATE(MODEL m)", "bqemulator")
    ]


def test_a_failed_call_has_an_error_message_without_internals(world: BigQueryWorld) -> None:
    calls = (
        ("GET", "/datasets/none", None),
        ("GET", "/datasets/d/tables/none", None),
        ("GET", "/datasets/d/routines/none", None),
        ("POST", "/datasets", {"datasetReference": {"datasetId": "no good"}}),
        ("POST", "/datasets", {"datasetReference": 5}),
        ("POST", "/datasets/d/tables", {"tableReference": {"tableId": "x"}, "schema": {"fields": 7}}),
        ("GET", "/datasets/d/tables/t/data?startIndex=x", None),
        ("POST", "/datasets/d/tables/t/insertAll", {"rows": 5}),
        ("PATCH", "/datasets/d/models/none", {}),
        ("POST", "/queries", {"query": 5}),
        ("POST", "/jobs", {"configuration": {}}),
        ("GET", "/nothing", None),
    )
    for method, path, body in calls:
        answer = world.call(method, path, json=body)
        assert answer.status_code >= 400, (path, answer.text)
        assert INTERNALS.search(answer.json()["error"]["message"]) is None, (path, answer.text)


def test_clients_do_not_repeat_what_meets_a_defect_of_the_local_bigquery() -> None:
    error = query_error(KeyError("x"))
    assert (error.reason, error.status) == ("notImplemented", 501)
    assert "because of a defect of its own" in error.message


def test_a_failed_start_removes_its_temporary_folder(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    with bigquery_world(tmp_path / "storage", kept=kept):
        database = next(kept.rglob("*.duckdb"))
    database.write_bytes(b"no database")
    with pytest.raises(duckdb.Error), bigquery_world(tmp_path / "storage", kept=kept):
        raise AssertionError("it must not start")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gc.collect()
    assert [str(warning.message) for warning in caught if "TemporaryDirectory" in str(warning.message)] == []
