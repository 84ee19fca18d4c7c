"""The values of CSV and JSON files: what is stored, and what a load job reports about values that are not valid."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import bigquery

from localcloud.bigquery.tables.files.text_values import BadValue, Reading, stored_text
from tests.localcloud.bigquery.world import PROJECT, BigQueryWorld, bigquery_world

JSON = "NEWLINE_DELIMITED_JSON"
AB = [bigquery.SchemaField("a", "INTEGER"), bigquery.SchemaField("b", "STRING")]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BigQueryWorld]:
    with bigquery_world(tmp_path_factory.mktemp("storage")) as running:
        running.client().create_dataset("loaded")
        yield running


def load(world: BigQueryWorld, content: bytes, kind: str, schema: list[Any], **options: Any) -> tuple[Any, str]:
    """Load a file; return its job's statistics and the name of the table."""
    table = f"{PROJECT}.loaded.t_{uuid.uuid4().hex}"
    config = bigquery.LoadJobConfig(schema=schema, source_format=kind, **options)
    job = world.client().load_table_from_file(io.BytesIO(content), table, job_config=config)
    job.result()
    return job._properties["statistics"]["load"], table


def rows(world: BigQueryWorld, table: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in world.client().list_rows(table)]


@pytest.mark.parametrize(
    ("content", "kind", "options", "expected", "bad"),
    [
        (b"x,1\n1,y\n", "CSV", {"max_bad_records": 1}, [(1, "y")], "1"),
        (b'{"a":"x"}\n{"a":1}\n', JSON, {"max_bad_records": 1}, [(1, None)], "1"),
        (b"1,y,z\n", "CSV", {"ignore_unknown_values": True}, [(1, "y")], "0"),
        (b'{"a":1,"z":2}\n', JSON, {"ignore_unknown_values": True}, [(1, None)], "0"),
        ("1,é\n".encode("latin1"), "CSV", {"encoding": "ISO-8859-1"}, [(1, "é")], "0"),
        ("1,é\n".encode("utf-16-le"), "CSV", {"encoding": "UTF-16LE"}, [(1, "é")], "0"),
        (gzip.compress(b"h\nz\n1,y\n", mtime=0), "CSV", {"max_bad_records": 1, "skip_leading_rows": 1}, [(1, "y")], "1"),
        (b'1,"a\nb"\nx,y\n', "CSV", {"allow_quoted_newlines": True, "max_bad_records": 1}, [(1, "a\nb")], "1"),
        (b"1;'y;''z'\nx;\n", "CSV", {"field_delimiter": ";", "quote_character": "'", "max_bad_records": 1}, [(1, "y;'z")], "1"),
        (b'1,\n2,""\n', "CSV", {}, [(1, None), (2, "")], "0"),
        (b'"1",""\n"",x\n', "CSV", {}, [(1, ""), (None, "x")], "0"),
        (b'1,""\n2,\nx,y\n', "CSV", {"max_bad_records": 1}, [(1, ""), (2, None)], "1"),
        (b'1,NA\n2,\n', "CSV", {"null_marker": "NA"}, [(1, None), (2, "")], "0"),
        (b"1,NA\n-,x\n", "CSV", {"null_markers": ["NA", "-"]}, [(1, None), (None, "x")], "0"),
        (b"b,a\nx,1\n", "CSV", {"source_column_match": "NAME", "skip_leading_rows": 1}, [(1, "x")], "0"),
        (b'{"A":1,"B":"y"}\n', JSON, {}, [(1, "y")], "0"),
    ],
)  # fmt: skip
def test_options_decide_which_rows_are_stored(
    world: BigQueryWorld, content: bytes, kind: str, options: dict[str, Any], expected: list[Any], bad: str
) -> None:
    statistics, table = load(world, content, kind, AB, **options)
    assert rows(world, table) == expected
    assert statistics["badRecords"] == bad


@pytest.mark.parametrize(
    ("content", "kind", "schema", "message"),
    [
        (b"x,1\n1,y\n", "CSV", AB, r"Could not parse 'x' as INT64 for field a \(position 0\) starting at location 0"),
        (b"1,y\n2,y,z\n", "CSV", AB, r"Too many values in line. Found 3 column\(s\) while expected 2.*location 4"),
        (b'{"b":"y"}\n{"a":"x"}\n', JSON, AB, "position 10: Could not convert value to integer. Field: a; Value: x"),
        (b'{"a":1,"z":2}\n', JSON, AB, "No such field: z"),
        (b'{"a":1.5}\n', JSON, AB, "Could not convert value to integer. Field: a; Value: 1.5"),
        (b'{"r":{"a":1,"z":2}}\n', JSON, [bigquery.SchemaField("r", "RECORD", fields=AB)], "No such field: r.z"),
        (b'{"x":[1,null]}\n', JSON, [bigquery.SchemaField("x", "INTEGER", "REPEATED")], "Only optional fields"),
        (b'1,"a\nb"\n', "CSV", AB, "Missing close quote character"),
        (b"1,a\0b\n", "CSV", AB, r"Bad character \(ASCII 0\)"),
        (b"abcd\n", "CSV", [bigquery.SchemaField("x", "STRING", max_length=3)], "maximum length 3 but got .* 4"),
        (b'{"x":"yesterday"}', JSON, [bigquery.SchemaField("x", "TIMESTAMP")], "Could not convert value to timestamp"),
        (b"2020-13-01\n", "CSV", [bigquery.SchemaField("x", "DATE")], "Could not parse '2020-13-01' as DATE"),
        (b"9223372036854775808\n", "CSV", [bigquery.SchemaField("x", "INTEGER")], "as INT64"),
        (b'{"y":1}', JSON, [bigquery.SchemaField("x", "INTERVAL", "REQUIRED"), bigquery.SchemaField("y", "INTEGER")], "x"),
        (b"\xff,1\n", "CSV", [bigquery.SchemaField("x", "INTERVAL"), AB[0]], "not valid UTF-8"),
    ],
)  # fmt: skip
def test_a_value_that_is_not_valid_is_an_error_with_its_place(
    world: BigQueryWorld, content: bytes, kind: str, schema: list[Any], message: str
) -> None:
    with pytest.raises(exceptions.BadRequest, match=message):
        load(world, content, kind, schema)


@pytest.mark.parametrize(
    ("kind", "content", "type_name", "value"),
    [
        (JSON, b'{"x":"10.111213141516171819"}', "BIGNUMERIC", Decimal("10.111213141516171819")),
        ("CSV", b"1.5\n", "BIGNUMERIC", Decimal("1.5")),
        (JSON, b'{"x":"2021-07-21T17:43:43.945289Z"}', "TIMESTAMP", dt.datetime(2021, 7, 21, 17, 43, 43, 945289, dt.UTC)),
        (JSON, b'{"x":1700000000}', "TIMESTAMP", dt.datetime(2023, 11, 14, 22, 13, 20, tzinfo=dt.UTC)),
        ("CSV", b"2020-01-01 00:00:00+01:00\n", "TIMESTAMP", dt.datetime(2019, 12, 31, 23, tzinfo=dt.UTC)),
        (JSON, b'{"x":"11:41:43.07616"}', "TIME", dt.time(11, 41, 43, 76160)),
        (JSON, b'{"x":{"a":[1,"z"]}}', "JSON", {"a": [1, "z"]}),
        (JSON, b'{"x":"SGVs"}', "BYTES", b"Hel"),
        ("CSV", b"-inf\n", "FLOAT", float("-inf")),
        ("CSV", b"yes\n", "BOOLEAN", True),
        (JSON, b'{"x":"{\\"a\\":1}"}', "JSON", '{"a":1}'),
    ],
)  # fmt: skip
def test_values_have_the_type_of_their_column(
    world: BigQueryWorld, kind: str, content: bytes, type_name: str, value: Any
) -> None:
    _, table = load(world, content, kind, [bigquery.SchemaField("x", type_name)])
    assert rows(world, table) == [(value,)]


def test_ranges_and_intervals_are_loaded(world: BigQueryWorld) -> None:
    schema = [
        bigquery.SchemaField("r", "RANGE", range_element_type="DATE"),
        bigquery.SchemaField("i", "INTERVAL"),
    ]
    content = b'"[2020-01-01, UNBOUNDED)",P1Y2M3DT4H5M6S\n'
    _, table = load(world, content, "CSV", schema)
    found = world.rows(
        f"SELECT RANGE_START(r), RANGE_END(r), EXTRACT(MONTH FROM i), EXTRACT(HOUR FROM i) FROM `{table}`"
    )
    assert found == [(dt.date(2020, 1, 1), None, 2, 4)]


@pytest.mark.parametrize(
    ("content", "options", "columns", "expected"),
    [
        (b"1,x\n2,y\n", {}, {"int64_field_0": "INTEGER", "string_field_1": "STRING"}, [(1, "x"), (2, "y")]),
        (b"a,b\nc,d\n", {}, {"string_field_0": "STRING", "string_field_1": "STRING"}, [("a", "b"), ("c", "d")]),
        (b"My Col,My Col\n1,2.5\n3,4\n", {}, {"My_Col": "INTEGER", "My_Col_1": "FLOAT"}, [(1, 2.5), (3, 4.0)]),
        (b"My Col\n1\n", {"column_name_character_map": "V2"}, {"My Col": "INTEGER"}, [(1,)]),
        (b'n|s\n007|""\n', {}, {"n": "INTEGER", "s": "STRING"}, [(7, "")]),
        (
            b"n,s\n1,x\n",
            {"skip_leading_rows": 0},
            {"string_field_0": "STRING", "string_field_1": "STRING"},
            [("n", "s"), ("1", "x")],
        ),
        (
            b"h\nd,b\n31.01.2020,true\n",
            {"skip_leading_rows": 2, "date_format": "DD.MM.YYYY"},
            {"d": "DATE", "b": "BOOLEAN"},
            [(dt.date(2020, 1, 31), True)],
        ),
        ("n,s\n1,é\n".encode("utf-32-le"), {"encoding": "UTF-32LE"}, {"n": "INTEGER", "s": "STRING"}, [(1, "é")]),
        (
            b'{"n":"12","s":1}\n{"s":"x","l":[{"k":true}]}\n',
            {"source_format": JSON},
            {"n": "INTEGER", "s": "STRING", "l": "RECORD"},
            [(12, "1", []), (None, "x", [{"k": True}])],
        ),
    ],
)
def test_the_schema_is_detected_in_the_first_rows(
    world: BigQueryWorld, content: bytes, options: dict[str, Any], columns: dict[str, str], expected: list[Any]
) -> None:
    _, table = load(world, content, options.pop("source_format", "CSV"), [], autodetect=True, **options)
    assert {field.name: field.field_type for field in world.client().get_table(table).schema} == columns
    assert rows(world, table) == expected


def test_files_without_a_schema_are_refused(world: BigQueryWorld) -> None:
    with pytest.raises(exceptions.BadRequest, match="No schema specified on job or table"):
        load(world, b"a,b\n1,2\n", "CSV", [])


def test_bad_rows_are_among_the_errors_of_a_job_that_succeeds(world: BigQueryWorld) -> None:
    config = bigquery.LoadJobConfig(schema=AB, max_bad_records=1)
    job = world.client().load_table_from_file(io.BytesIO(b"1,x\ny,2\n"), f"{PROJECT}.loaded.some", job_config=config)
    job.result()
    assert (job.error_result, job.output_rows) == (None, 1)
    assert "Could not parse 'y' as INT64" in job.errors[0]["message"]


def test_fields_are_added_to_records(world: BigQueryWorld) -> None:
    table = f"{PROJECT}.loaded.widened"
    record = [bigquery.SchemaField("r", "RECORD", fields=fields) for fields in (AB[:1], AB)]
    added = {"schema_update_options": ["ALLOW_FIELD_ADDITION"], "write_disposition": "WRITE_APPEND"}
    for content, schema, options in ((b'{"r":{"a":1}}', record[0], {}), (b'{"r":{"b":"x"}}', record[1], added)):
        config = bigquery.LoadJobConfig(schema=[schema], source_format=JSON, **options)
        world.client().load_table_from_file(io.BytesIO(content), table, job_config=config).result()
    assert rows(world, table) == [({"a": 1, "b": None},), ({"a": None, "b": "x"},)]
    config = bigquery.QueryJobConfig(destination=table, write_disposition="WRITE_APPEND")
    with pytest.raises(exceptions.BadRequest, match=r"Cannot add fields \(field: r.z\)"):
        world.client().query("SELECT STRUCT(1 AS a, 2 AS z) AS r", job_config=config).result()


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b"n,t\n1,2020-01-01 01:02:03\n", "CSV"), (b'{"n": 1, "t": "2020-01-01 01:02:03"}\n', JSON)],
)
def test_a_time_without_a_zone_is_detected_as_a_timestamp(world: BigQueryWorld, content: bytes, kind: str) -> None:
    _, table = load(world, content, kind, [], autodetect=True)
    assert rows(world, table) == [(1, dt.datetime(2020, 1, 1, 1, 2, 3, tzinfo=dt.UTC))]


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ({"type": "INT64"}, "7.0", "7"),
        ({"type": "STRING"}, " x ", " x "),
        ({"type": "DATE"}, "2020-1-2", "2020-01-02"),
        ({"type": "INT64", "mode": "REPEATED"}, ["1", "2"], '["1", "2"]'),
        ({"type": "RECORD", "fields": [{"name": "A", "type": "BOOL"}]}, {"a": True}, '{"A": "true"}'),
        ({"type": "TIMESTAMP"}, "2020/01/02 03:04 America/New_York", "2020-01-02 08:04:00+00:00"),
        ({"type": "NUMERIC", "precision": "5", "scale": "2"}, "1.255", "1.26"),
    ],
)
def test_texts_are_those_that_the_engine_reads(field: dict[str, Any], value: Any, text: str) -> None:
    assert stored_text({"name": "x"} | field, value, Reading()) == text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ({"type": "INT64"}, "1.5"),
        ({"type": "NUMERIC"}, "1e40"),
        ({"type": "BYTES"}, "not base64!"),
        ({"type": "DATETIME"}, "2020-01-01T00:00:00Z"),
        ({"type": "INT64"}, ["1"]),
        ({"type": "INT64", "mode": "REPEATED"}, "1"),
        ({"type": "FLOAT64"}, ""),
        ({"type": "INT64"}, "1_000"),
        ({"type": "DATE"}, "2020/01/05"),
        ({"type": "STRING", "maxLength": "3"}, "abcd"),
        ({"type": "NUMERIC", "precision": "3", "scale": "2"}, "10"),
        ({"type": "INT64", "mode": "REPEATED"}, ["1", None]),
        ({"type": "RECORD", "fields": [{"name": "a", "type": "BOOL"}]}, {"a": True, "b": 1}),
    ],
)
def test_texts_of_another_type_are_refused(field: dict[str, Any], value: Any) -> None:
    with pytest.raises(BadValue):
        stored_text({"name": "x"} | field, value, Reading())
