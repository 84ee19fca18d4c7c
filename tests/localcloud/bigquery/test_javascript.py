"""Functions in JavaScript: types, errors, limits."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from google.api_core import exceptions

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.javascript.processes import JavaScriptWorkers, Limits, Program
from localcloud.bigquery.javascript.types import Type
from tests.localcloud.bigquery.world import PROJECT, BigQueryWorld, bigquery_world

INT64, STRING = Type("INT64"), Type("STRING")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BigQueryWorld]:
    with bigquery_world(tmp_path_factory.mktemp("storage")) as running:
        running.client().create_dataset("js")
        yield running


@pytest.fixture(scope="module")
def workers() -> Iterator[JavaScriptWorkers]:
    pool = JavaScriptWorkers()
    yield pool
    pool.close()


def program(body: str, result: Type = STRING, **parameters: Type) -> Program:
    """Return a function ``f``."""
    kinds = ", ".join(kind.sql for kind in parameters.values())
    return Program(f"{body}{result.sql}{kinds}", f"f({kinds})", body, tuple(parameters.items()), result)


# The value that a function sees, in JavaScript.
ARGUMENTS: list[tuple[Type, Any, str]] = [
    (INT64, 2**60 + 1, '"1152921504606846977"'),
    (Type("FLOAT64"), 0.5, "0.5"),
    (Type("FLOAT64"), float("-inf"), "-Infinity"),
    (Type("FLOAT64"), float("nan"), "NaN"),
    (Type("NUMERIC"), Decimal("42.000000000"), "42"),
    (Type("NUMERIC"), Decimal("0.100000000"), '"0.1"'),
    (Type("BIGNUMERIC"), Decimal(2**60), '"1152921504606846976"'),
    (Type("BOOL"), True, "true"),
    (STRING, 'a"\u2028', '"a\\"\u2028"'),
    (Type("BYTES"), b"\x00\xff", '"AP8="'),
    (Type("DATE"), date(1969, 12, 31), "Date -86400000"),
    (Type("TIMESTAMP"), datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC), "Date -1 999"),
    (Type("TIMESTAMP"), datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC), "Date 253402300799999 999"),
    (Type("JSON"), '{"a": [1, null]}', '{"a":[1,null]}'),
    (Type("ARRAY", element=INT64), [1, None], '["1",null]'),
    (Type("STRUCT", fields=(("a", INT64), ("b", STRING))), {"a": 1, "b": None}, '{"a":"1","b":null}'),
    (INT64, None, "null"),
]
SHOW = """
  if (x instanceof Date) return ["Date", x.getTime(), ...("microsecond" in x ? [x.microsecond] : [])].join(" ");
  return typeof x === "number" ? String(x) : JSON.stringify(x);"""


@pytest.mark.parametrize(("kind", "value", "seen"), ARGUMENTS)
def test_a_function_sees_an_argument_as_documented(
    workers: JavaScriptWorkers, kind: Type, value: Any, seen: str
) -> None:
    assert workers.call(program(SHOW, x=kind), [[kind.encode(value)]]) == [seen]


RESULTS: list[tuple[str, Type, Any]] = [
    ("return 41 + 1", INT64, 42),
    ("return '9223372036854775807'", INT64, 2**63 - 1),
    ("return -(2 ** 63)", INT64, -(2**63)),
    ("return 10n ** 18n", INT64, 10**18),
    ("return 1 / 0", Type("FLOAT64"), float("inf")),
    ("return 1e-7", Type("NUMERIC"), Decimal("0.0000001")),
    ("return '12.5'", Type("BIGNUMERIC"), Decimal("12.5")),
    ("return 1.5", STRING, "1.5"),
    ("return {}", STRING, "[object Object]"),
    ("return 'AP8='", Type("BYTES"), b"\x00\xff"),
    ("return new Date(Date.UTC(2024, 1, 29, 23))", Type("DATE"), date(2024, 2, 29)),
    ("return x", Type("TIMESTAMP"), datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC)),
    ("return {a: undefined, b: [1]}", Type("JSON"), '{"b":[1]}'),
    ("return [1, '2']", Type("ARRAY", element=INT64), [1, 2]),
    ("return {b: 'x', c: 1}", Type("STRUCT", fields=(("a", INT64), ("b", STRING))), {"a": None, "b": "x"}),
    ("return Promise.resolve(5)", INT64, 5),
    ("", INT64, None),
]


@pytest.mark.parametrize(("body", "kind", "value"), RESULTS)
def test_a_result_has_the_declared_type(workers: JavaScriptWorkers, body: str, kind: Type, value: Any) -> None:
    moment = Type("TIMESTAMP")
    encoded = moment.encode(datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC))
    assert workers.call(program(body, kind, x=moment), [[encoded]]) == [value]


FAILURES: dict[tuple[str, str], str] = {
    ("INT64", "return 1.5"): "Failed to coerce output value 1.5 to type INT64",
    ("INT64", "return '9223372036854775808'"): 'Failed to coerce output value "9223372036854775808" to type INT64',
    ("NUMERIC", "return '1e29'"): 'Failed to coerce output value "1e29" to type NUMERIC',
    ("BYTES", "return '#'"): 'Failed to coerce output value "#" to type BYTES',
    ("BOOL", "return 'yes'"): 'Failed to coerce output value "yes" to type BOOL',
    ("DATE", "return new Date(NaN)"): "Failed to coerce output value Invalid Date to type DATE",
    ("STRING", "throw new Error('boom')"): "Error: boom at f(INT64) line 1, column 1",
    ("STRING", "\n  return null.foo"): (
        "TypeError: Cannot read properties of null (reading 'foo') at f(INT64) line 2, column 15"
    ),
    ("STRING", "return x y"): "SyntaxError: Unexpected identifier 'y' at f(INT64) line 1, column 10",
    ("STRING", "return Promise.reject(new Error('no'))"): "Error: no at f(INT64)",
    ("STRING", "return require('fs')"): "ReferenceError: require is not defined at f(INT64) line 1, column 1",
    ("STRING", "return fetch('http://x')"): "ReferenceError: fetch is not defined at f(INT64) line 1, column 1",
}


@pytest.mark.parametrize(("key", "message"), FAILURES.items())
def test_a_failure_has_the_place_in_the_function(
    workers: JavaScriptWorkers, key: tuple[str, str], message: str
) -> None:
    kind, body = key
    with pytest.raises(QueryError) as raised:
        workers.call(program(body, Type(kind), x=INT64), [["1"]])
    assert raised.value.message == message
    assert raised.value.reason == "invalidQuery"


@pytest.mark.parametrize(
    ("limits", "body", "message"),
    [
        (Limits(seconds=0.2), "while (true) {}", "UDF worker timed out during execution."),
        (
            Limits(heap_bytes=20 << 20),
            "const a = []; while (true) a.push(new Array(9999).fill(0.5));",
            "UDF out of memory.",
        ),
    ],
)
def test_a_function_at_a_limit_ends_alone(limits: Limits, body: str, message: str) -> None:
    pool = JavaScriptWorkers(limits)
    try:
        with pytest.raises(QueryError, match=message) as raised:
            pool.call(program(body), [[]])
        assert raised.value.reason == "resourcesExceeded"
    finally:
        pool.close()


def test_functions_do_not_share_variables(workers: JavaScriptWorkers) -> None:
    workers.call(program("leaked = 1; return leaked"), [[]])
    assert workers.call(program("return typeof leaked"), [[]]) == ["undefined"]


def test_a_query_calls_temporary_and_stored_functions(world: BigQueryWorld) -> None:
    world.rows(
        "CREATE FUNCTION js.area(s STRUCT<w FLOAT64, h FLOAT64>) RETURNS FLOAT64 NOT DETERMINISTIC LANGUAGE js "
        'AS r"""\n  return s === null ? null : s.w * s.h; // not "\\n"\n"""'
    )
    rows = world.rows(
        "CREATE TEMP FUNCTION words(s STRING) RETURNS ARRAY<STRING> LANGUAGE js OPTIONS (library = []) "
        "AS 'return s.match(/\\\\w+/g)';\n"
        "CREATE TEMP FUNCTION many() RETURNS INT64 LANGUAGE js AS 'return 1';\n"
        "SELECT id, js.area(STRUCT(id AS w, 2.5 AS h)), js.area(NULL), words('a, b'), "
        "(SELECT SUM(many()) FROM UNNEST([1, 2, 3])) FROM UNNEST([1, 2]) AS id ORDER BY id"
    )
    assert rows == [(1, 2.5, None, ["a", "b"], 3), (2, 5.0, None, ["a", "b"], 3)]
    routine = world.client().get_routine("js.area")
    assert (routine.language, routine.body) == (
        "JAVASCRIPT",
        '\n  return s === null ? null : s.w * s.h; // not "\\n"\n',
    )


def test_json_keeps_its_type_inside_other_types(world: BigQueryWorld) -> None:
    rows = world.rows(
        "CREATE TEMP FUNCTION f(x JSON) RETURNS STRUCT<a JSON, b ARRAY<JSON>> LANGUAGE js "
        "AS 'x.n = 1; return {a: x, b: [x.a]}';\n"
        'SELECT TO_JSON_STRING(f(JSON \'{"a": "y"}\').a), JSON_VALUE(f(JSON \'{"a": "y"}\').b[0])'
    )
    assert rows == [('{"a":"y","n":1}', "y")]


def test_a_call_with_too_many_arguments_names_the_function(world: BigQueryWorld) -> None:
    for definition, name in (("js.one", r"js\.one"), ("one", "one")):
        kind = "FUNCTION" if "." in definition else "TEMP FUNCTION"
        with pytest.raises(exceptions.BadRequest, match=f"No matching signature for function {name}"):
            world.rows(
                f"CREATE {kind} {definition}(x INT64) RETURNS INT64 LANGUAGE js AS ''; SELECT {definition}(1, 2)"
            )


def test_a_column_can_be_named_as_the_clause(world: BigQueryWorld) -> None:
    assert world.rows("SELECT language js FROM (SELECT 1 AS language)") == [(1,)]


def test_a_function_can_be_replaced_by_one_in_another_language(world: BigQueryWorld) -> None:
    definition = "CREATE OR REPLACE FUNCTION js.changing(x INT64) RETURNS INT64"
    for body, value in (("LANGUAGE js AS 'return 1'", 1), ("AS (2)", 2), ("LANGUAGE js AS 'return 3'", 3)):
        world.rows(f"{definition} {body}")
        assert world.rows("SELECT js.changing(0)") == [(value,)]
    world.rows("DROP FUNCTION js.changing")
    with pytest.raises(exceptions.BadRequest, match=r"Function not found: js\.changing"):
        world.rows("SELECT js.changing(0)")


def test_a_call_with_other_types_names_the_function(world: BigQueryWorld) -> None:
    world.rows("CREATE FUNCTION js.Half(x FLOAT64) RETURNS FLOAT64 LANGUAGE js AS 'return x / 2'")
    with pytest.raises(
        exceptions.BadRequest, match=r"No matching signature for function Half for argument types: BYTES"
    ):
        world.rows("SELECT js.Half(b'x')")


def test_a_failed_function_fails_its_query(world: BigQueryWorld) -> None:
    world.rows("CREATE FUNCTION js.boom(x INT64) RETURNS INT64 LANGUAGE js AS 'throw new Error(\"boom \" + x)'")
    with pytest.raises(exceptions.BadRequest, match=r"Error: boom 7 at js\.boom\(INT64\) line 1, column 1"):
        world.rows("SELECT js.boom(7)")


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        ("(x TIME) RETURNS INT64 LANGUAGE js AS ''", "Type TIME is not supported in JavaScript functions"),
        ("() LANGUAGE js AS ''", "Non-SQL functions must specify a return type"),
        (
            "() RETURNS INT64 LANGUAGE js OPTIONS (library = ['gs://b/l.js']) AS ''",
            "option library of JavaScript functions",
        ),
        ("() RETURNS INT64 LANGUAGE js", "Expected AS and the code of the function but got"),
    ],
)
def test_a_function_that_is_not_carried_out_is_refused(world: BigQueryWorld, definition: str, message: str) -> None:
    with pytest.raises(exceptions.GoogleAPICallError, match=message):
        world.rows(f"CREATE FUNCTION js.refused{definition}")
    assert [routine.routine_id for routine in world.client().list_routines(f"{PROJECT}.js")].count("refused") == 0


@pytest.mark.long
def test_stored_functions_are_there_after_a_restart(tmp_path_factory: pytest.TempPathFactory) -> None:
    storage, kept = tmp_path_factory.mktemp("storage"), tmp_path_factory.mktemp("kept")
    with bigquery_world(storage, kept=kept) as before:
        before.client().create_dataset("js")
        before.rows("CREATE FUNCTION js.twice(x FLOAT64) RETURNS FLOAT64 LANGUAGE js AS 'return 2 * x'")
    with bigquery_world(storage, kept=kept) as after:
        assert after.rows("SELECT js.twice(1.5)") == [(3.0,)]
