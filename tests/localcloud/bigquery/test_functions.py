"""Functions and conversions whose results differ in DuckDB; the values are those of Google's reference of GoogleSQL."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from dateutil.relativedelta import relativedelta
from google.api_core.exceptions import BadRequest

from tests.localcloud.bigquery.world import BigQueryWorld, bigquery_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BigQueryWorld]:
    with bigquery_world(tmp_path_factory.mktemp("storage")) as running:
        yield running


def utc(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)  # type: ignore[arg-type,misc]


VALUES: dict[str, dict[str, Any]] = {
    "timestamp_diff_counts_whole_units": {
        "TIMESTAMP_DIFF(TIMESTAMP '2018-08-14 02:00:00', TIMESTAMP '2018-08-13 23:00:00', DAY)": 0,
        "TIMESTAMP_DIFF(TIMESTAMP '2001-02-01 01:00:00', TIMESTAMP '2001-02-01 00:00:01', HOUR)": 0,
        "TIMESTAMP_DIFF(TIMESTAMP '2010-07-07 10:20:00', TIMESTAMP '2008-12-25 15:30:00', HOUR)": 13410,
        "TIMESTAMP_DIFF(TIMESTAMP '2018-08-14', TIMESTAMP '2018-10-14', DAY)": -61,
        "TIMESTAMP_DIFF(TIMESTAMP '2018-08-13 23:59:59.5', TIMESTAMP '2018-08-14 00:00:00.7', SECOND)": -1,
        "TIMESTAMP_DIFF('2018-08-14 12:00:00+00', '2018-08-13 13:00:00+00', DAY)": 0,
    },
    "date_diff_counts_boundaries": {
        "DATE_DIFF(DATE '2017-10-15', DATE '2017-10-14', WEEK)": 1,
        "DATE_DIFF('2017-12-18', '2017-12-17', WEEK)": 0,
        "DATE_DIFF('2017-12-18', '2017-12-17', WEEK(MONDAY))": 1,
        "DATE_DIFF(DATE '2017-12-18', DATE '2017-12-17', ISOWEEK)": 1,
        "DATE_DIFF(DATE '2017-12-18', DATE '2017-12-19', WEEK(TUESDAY))": -1,
        "DATE_DIFF(DATE '2017-12-30', DATE '2014-12-30', YEAR)": 3,
        "DATE_DIFF(DATE '2017-12-30', DATE '2014-12-30', ISOYEAR)": 2,
        "DATETIME_DIFF(DATETIME '2018-08-14 00:00:01', DATETIME '2018-08-13 23:59:59', DAY)": 1,
        "DATETIME_DIFF(DATETIME '2017-10-15', DATETIME '2017-10-14', WEEK)": 1,
        "DATETIME_DIFF(DATETIME '2017-12-18', DATETIME '2017-12-17', WEEK(MONDAY))": 1,
        "DATETIME_DIFF(DATETIME '2017-12-18', DATETIME '2017-12-17', ISOWEEK)": 1,
    },
    "texts_become_times": {
        "TIMESTAMP_ADD('2008-12-25 15:30:00+00', INTERVAL 10 MINUTE)": utc(2008, 12, 25, 15, 40),
        "TIMESTAMP_SUB('2008-12-25 15:30:00 America/Los_Angeles', INTERVAL 1 DAY)": utc(2008, 12, 24, 23, 30),
        "TIMESTAMP_TRUNC('2008-12-25 15:30:00+00', HOUR)": utc(2008, 12, 25, 15),
        "DATETIME_ADD('2008-12-25 15:30:00', INTERVAL 10 MINUTE)": dt.datetime(2008, 12, 25, 15, 40),
        "TIME_ADD('15:30:00', INTERVAL 10 MINUTE)": dt.time(15, 40),
        "DATE_SUB('2008-03-31', INTERVAL 1 MONTH)": dt.date(2008, 2, 29),
    },
    "intervals": {
        "CAST(-INTERVAL 1 DAY AS STRING)": "0-0 -1 0:0:0",
        "CAST(INTERVAL 1 DAY - INTERVAL 36 HOUR AS STRING)": "0-0 1 -36:0:0",
        "CAST(INTERVAL '-1-3 2 -1:02:03.5' YEAR TO SECOND AS STRING)": "-1-3 2 -1:2:3.500",
        "CAST(JUSTIFY_HOURS(INTERVAL '1 -36' DAY TO HOUR) AS STRING)": "0-0 0 -12:0:0",
        "CAST(JUSTIFY_DAYS(INTERVAL -35 DAY) AS STRING)": "-0-1 -5 0:0:0",
        "CAST(JUSTIFY_INTERVAL(INTERVAL '0-0 29 49' YEAR TO HOUR) AS STRING)": "0-1 1 1:0:0",
        "CAST(CAST('-1-2 3 10:20:30.456' AS INTERVAL) AS STRING)": "-1-2 3 10:20:30.456",
        "CAST(SAFE_CAST('1 day' AS INTERVAL) AS STRING)": None,
        "-INTERVAL '1-2' YEAR TO MONTH": relativedelta(years=-1, months=-2),
        "INTERVAL 1 DAY * -2": relativedelta(days=-2),
        "DATE '2021-05-20' - DATE '2020-04-19'": relativedelta(days=396),
        "CAST(TIMESTAMP '2021-06-02 00:00:01+00' - TIMESTAMP '2021-06-01 00:00:00+00' AS STRING)": "0-0 0 24:0:1",
        "TIME '10:00:00' - TIME '12:30:00'": relativedelta(hours=-2, minutes=-30),
    },
    "zones": {
        "DATE(TIMESTAMP '2024-02-29 23:00:00+00', '+05:30')": dt.date(2024, 3, 1),
        "DATETIME(TIMESTAMP '2024-02-29 23:00:00+00', '-08')": dt.datetime(2024, 2, 29, 15),
        "DATETIME(TIMESTAMP '2024-02-29 23:00:00+00', zone)": dt.datetime(2024, 2, 29, 15),
        "TIME(TIMESTAMP '2024-02-29 23:00:00+00', '-8')": dt.time(15),
        "TIMESTAMP('2024-02-29 23:00:00', '+0530')": utc(2024, 2, 29, 17, 30),
        "TIMESTAMP(DATE '2024-02-29', zone)": utc(2024, 2, 29, 8),
        "EXTRACT(HOUR FROM TIMESTAMP '2024-02-29 23:00:00+00' AT TIME ZONE '-08')": 15,
        "EXTRACT(DATETIME FROM TIMESTAMP '2024-02-29 23:00:00+00' AT TIME ZONE zone)": dt.datetime(2024, 2, 29, 15),
        "TIMESTAMP_TRUNC(TIMESTAMP '2024-02-29 23:00:00+00', YEAR, '+05:30')": utc(2023, 12, 31, 18, 30),
        "TIMESTAMP_TRUNC(TIMESTAMP '2024-02-29 23:00:00+00', WEEK, '+05:30')": utc(2024, 2, 24, 18, 30),
        "STRING(TIMESTAMP '2024-02-29 23:00:00+00', '-08')": "2024-02-29 15:00:00-08",
        "CAST(TIMESTAMP '2024-02-29 23:00:00+00' AS STRING FORMAT 'HH24' AT TIME ZONE '-08')": "15",
        "CURRENT_DATE('-08') BETWEEN CURRENT_DATE() - 1 AND CURRENT_DATE()": True,
        "CURRENT_TIME('+05:30') = CURRENT_TIME('Asia/Kolkata')": True,
        "TIME(moment)": dt.time(1, 2, 3, 500000),
        "EXTRACT(TIME FROM moment)": dt.time(1, 2, 3, 500000),
        "SAFE.DATE(moment, 'UTC')": dt.date(1969, 12, 31),
    },
    "functions_of_texts_and_null": {
        "SUBSTR('apple', CAST(missing AS INT64))": None,
        "SUBSTR('apple', 1, CAST(missing AS INT64))": None,
        "RIGHT('apple', CAST(missing AS INT64))": None,
        "LPAD('abc', 2, nothing)": None,
        "LEFT(nothing, -1)": None,
        "SPLIT('a,b', nothing)": [],
        "CODE_POINTS_TO_STRING([NULL, 65])": None,
    },
    "characters": {
        "TO_CODE_POINTS('')": [],
        "CHR(CAST(half * 130 AS INT64))": "A",
        "CODE_POINTS_TO_STRING([65, CAST(half * 510 AS INT64)])": "Aÿ",
        "REVERSE('a\\u0301b')": "b\u0301a",
        "UPPER('straße')": "STRASSE",
        "FROM_BASE64('abc')": b"i\xb7",
        "SAFE.CODE_POINTS_TO_STRING([-1])": None,
        "COLLATE('abc', 'und:ci') = 'ABC'": True,
        "'abc' LIKE ANY UNNEST(['x', 'a%'])": True,
        "'abc' LIKE ANY UNNEST(['x', NULL])": None,
        "'abc' NOT LIKE ANY UNNEST(['x', 'a%'])": True,
        r"'ba%na' LIKE CONCAT('ba', r'\%', 'na')": True,
    },
    "regular_expressions_of_bytes_and_columns": {
        "REGEXP_CONTAINS(b'foo@x', rb'@[a-z]')": True,
        "REGEXP_EXTRACT(b'foo@x', rb'@([a-z])')": b"x",
        "REGEXP_EXTRACT_ALL(b'\\xffa\\xff', rb'\\xff')": [b"\xff", b"\xff"],
        "REGEXP_INSTR(b'foo@x', rb'@')": 4,
        "REGEXP_REPLACE(b'abc', rb'(b)', rb'\\1\\1')": b"abbc",
        "ARRAY_TO_STRING([b'a', NULL, b'b'], b'-')": b"a-b",
        "ARRAY_TO_STRING([b'a', NULL], b'-', b'N')": b"a-N",
        "REGEXP_EXTRACT('hello helloo', CONCAT('l', '(o+)'))": "o",
        "REGEXP_EXTRACT('hello helloo', CONCAT('l', '(o+)'), 1, 2)": "oo",
        "REGEXP_EXTRACT_ALL('hello helloo', CONCAT('l', '(o+)'))": ["o", "oo"],
        "REGEXP_INSTR('hello helloo', CONCAT('l', 'o+'), 2, 1, 1)": 6,
    },
    "format_by_flags": {
        "FORMAT('%\\'x', 123456789)": "75b:cd15",
        "FORMAT('%#x', -255)": "-0xff",
        "FORMAT('%08x', -255)": "-00000ff",
        "FORMAT('%\\'015d|', 1234567)": "0000001,234,567|",
        "FORMAT('%+\\'d', 1234567)": "+1,234,567",
        "FORMAT('%.3d', 5)": "005",
        "FORMAT('%\\'.2f', -1234567.891)": "-1,234,567.89",
        "FORMAT('%#.0f', 2.5)": "2.",
        "FORMAT('%T', b'a\\xff\"')": 'b"a\\xff\\""',
        "FORMAT('%t', b'\\xff')": "\\xff",
        "FORMAT('%T', ['a', 'it\"s', NULL])": '["a", \'it"s\', NULL]',
        "FORMAT('%T', STRUCT(1, [DATE '2020-01-02']))": '(1, [DATE "2020-01-02"])',
        "FORMAT('%T', STRUCT(NUMERIC '1.5'))": 'STRUCT(NUMERIC "1.5")',
        "FORMAT('%t', STRUCT(1 AS a, CAST('nan' AS FLOAT64) AS b))": "(1, nan)",
        "FORMAT('%T', JSON '{\"a\":1}')": "JSON '{\"a\":1}'",
        "FORMAT('%p', JSON '{\"a\": [1, {}]}')": '{"a":[1,{}]}',
        "FORMAT('%P', JSON '{\"a\": 1}')": '{\n  "a": 1\n}',
    },
    "json_as_it_is_written": {
        "JSON_VALUE('{\"a\":1.50}', '$.a')": "1.50",
        "JSON_VALUE(JSON '{\"a\":1.50}', '$.a')": "1.5",
        "JSON_QUERY('{\"a\": 1e3 , \"b\":[1.0]}', '$')": '{"a":1e3,"b":[1.0]}',
        'JSON_EXTRACT_SCALAR(\'{"a":{"b c":[2.50]}}\', "$.a[\'b c\'][0]")': "2.50",
        "JSON_QUERY_ARRAY('[1,null]')": ["1", "null"],
        "JSON_VALUE_ARRAY('[1,[2]]')": [],
        "SAFE.PARSE_JSON('[1,]')": None,
        "TO_JSON_STRING(PARSE_JSON('0.1234567890123456789', wide_number_mode=>'round'))": "0.12345678901234568",
        'TO_JSON_STRING(PARSE_JSON(\'{"a":1e100,"a":2}\'))': '{"a":1e+100}',
        "JSON_TYPE(TO_JSON(missing))": "null",
        "TO_JSON_STRING(STRUCT(INTERVAL '1-2 3 4:5:6.789' YEAR TO SECOND AS i))": '{"i":"P1Y2M3DT4H5M6.789S"}',
        "TO_JSON_STRING(INTERVAL -5 HOUR)": '"PT-5H"',
        "TO_JSON_STRING(INTERVAL 0 DAY)": '"P0Y"',
        "INT64_ARRAY(JSON '[1,2]')": [1, 2],
        "LAX_STRING_ARRAY(JSON '[1,true]')": ["1", "true"],
        "SAFE_CAST(CAST(text AS INT64) AS STRING)": "7",
    },
    "ranges_of_times": {
        "SAFE.DATE_ADD(DATE '9999-12-31', INTERVAL 1 DAY)": None,
        "TIME(23, 59, 60)": dt.time(0),
        "SAFE.TIME(24, 0, 0)": None,
        "MAKE_INTERVAL(CAST(half * 2 AS INT64), 2, 3)": relativedelta(years=1, months=2, days=3),
        "MAKE_INTERVAL()": relativedelta(),
        "CAST(DATETIME '2024-01-01' - DATETIME '2023-12-30 12:00:00' AS STRING)": "0-0 1 12:0:0",
        "DATE_TRUNC(day, MONTH)": dt.date(2024, 2, 1),
        "DATE_TRUNC(day, YEAR)": dt.date(2024, 1, 1),
    },
    "truncation": {
        "DATE_TRUNC(DATE '2017-11-05', WEEK)": dt.date(2017, 11, 5),
        "DATE_TRUNC(DATE '2017-11-05', WEEK(MONDAY))": dt.date(2017, 10, 30),
        "DATE_TRUNC(DATE '2017-11-05', ISOWEEK)": dt.date(2017, 10, 30),
        "DATE_TRUNC(DATE '2015-06-15', ISOYEAR)": dt.date(2014, 12, 29),
        "DATETIME_TRUNC(DATETIME '2017-11-05 10:00:00', WEEK(MONDAY))": dt.datetime(2017, 10, 30),
        "TIMESTAMP_TRUNC(TIMESTAMP '2015-06-15 00:00:00+00', ISOYEAR)": utc(2014, 12, 29),
        "TIMESTAMP_TRUNC(TIMESTAMP '2017-11-06 00:00:00+12', WEEK(MONDAY), 'UTC')": utc(2017, 10, 30),
        "TIMESTAMP_TRUNC(TIMESTAMP '2017-11-06 07:00:00+00', WEEK(MONDAY), 'America/New_York')": utc(2017, 11, 6, 5),
    },
    "extraction": {
        "EXTRACT(WEEK FROM DATE '2017-11-05')": 45,
        "EXTRACT(WEEK(MONDAY) FROM DATE '2017-11-05')": 44,
        "EXTRACT(WEEK FROM DATE '2016-01-02')": 0,
        "EXTRACT(ISOWEEK FROM DATE '2017-11-06')": 45,
        "EXTRACT(ISOYEAR FROM DATE '2016-01-03')": 2015,
        "EXTRACT(MILLISECOND FROM TIMESTAMP '2016-12-31 00:00:01.234567+00')": 234,
        "EXTRACT(MICROSECOND FROM TIMESTAMP '2016-12-31 00:00:01.234567+00')": 234567,
        "EXTRACT(TIME FROM DATETIME '2016-12-31 01:02:03')": dt.time(1, 2, 3),
        "EXTRACT(WEEK(MONDAY) FROM TIMESTAMP '2017-11-06 03:00:00+00' AT TIME ZONE 'America/New_York')": 44,
    },
    "last_day": {
        "LAST_DAY(DATE '2008-11-10', WEEK(SUNDAY))": dt.date(2008, 11, 15),
        "LAST_DAY(DATE '2008-11-10', WEEK(MONDAY))": dt.date(2008, 11, 16),
        "LAST_DAY(DATE '2008-11-10', ISOWEEK)": dt.date(2008, 11, 16),
        "LAST_DAY(DATE '2015-06-15', ISOYEAR)": dt.date(2016, 1, 3),
        "LAST_DAY(DATETIME '2008-11-10 15:30:00', QUARTER)": dt.date(2008, 12, 31),
        "LAST_DAY('2008-11-25')": dt.date(2008, 11, 30),
    },
    "buckets": {
        "DATE_BUCKET(DATE '1950-01-02', INTERVAL 2 DAY)": dt.date(1950, 1, 1),
        "DATE_BUCKET(DATE '2020-01-10', INTERVAL 7 DAY, DATE '2020-01-02')": dt.date(2020, 1, 9),
        "DATETIME_BUCKET(DATETIME '1949-12-30 13:00:00', INTERVAL 12 HOUR)": dt.datetime(1949, 12, 30, 12),
        "TIMESTAMP_BUCKET(TIMESTAMP '1949-12-30 13:00:00+00', INTERVAL 12 HOUR)": utc(1949, 12, 30, 12),
    },
    "cast_to_int64": {
        "CAST(2.5 AS INT64)": 3,
        "CAST(-2.5 AS INT64)": -3,
        "CAST(x.half AS INT64)": 1,
        "CAST(NUMERIC '2.5' AS INT64)": 3,
        "CAST(9007199254740993 AS INT64)": 9007199254740993,
        "SAFE_CAST(2.5 AS INT64)": 3,
        "SAFE_CAST(1e30 AS INT64)": None,
        "CAST(x.text AS INT64)": 7,
        "CAST('0x87a' AS INT64)": 2170,
        "CAST('-0x1F' AS INT64)": -31,
        "SAFE_CAST(' 5 ' AS INT64)": 5,
        "SAFE_CAST('2.5' AS INT64)": None,
        "SAFE_CAST('1e3' AS INT64)": None,
        "SAFE_CAST('1_000' AS INT64)": None,
        "SAFE_CAST('' AS INT64)": None,
        "CAST(TRUE AS INT64)": 1,
        "CAST(x.missing AS INT64)": None,
    },
    "cast_of_texts": {
        "SAFE_CAST('1e3' AS FLOAT64)": 1000.0,
        "SAFE_CAST('1_0.5' AS FLOAT64)": None,
        "SAFE_CAST('-inf' AS FLOAT64)": float("-inf"),
        "SAFE_CAST('yes' AS BOOL)": None,
        "SAFE_CAST('1' AS BOOL)": None,
        "CAST('True' AS BOOL)": True,
        "CAST(2 AS BOOL)": True,
    },
    "cast_to_string": {
        "CAST(1.0 AS STRING)": "1",
        "CAST(x.half AS STRING)": "0.5",
        "CAST(0.1 + 0.2 AS STRING)": "0.30000000000000004",
        "CAST(1e20 AS STRING)": "1e+20",
        "CAST(1e-7 AS STRING)": "1e-07",
        "CAST(CAST('nan' AS FLOAT64) AS STRING)": "NaN",
        "CAST(NUMERIC '1.50' AS STRING)": "1.5",
        "CAST(NUMERIC '100' AS STRING)": "100",
        "CAST(TRUE AS STRING)": "true",
        "CAST(TIMESTAMP '2020-01-01 00:00:00+00' AS STRING)": "2020-01-01 00:00:00+00",
        "CAST(TIMESTAMP '2020-01-01 00:00:00.5+00' AS STRING)": "2020-01-01 00:00:00.500+00",
        "CAST(DATETIME '2020-01-01 00:00:00.1234' AS STRING)": "2020-01-01 00:00:00.123400",
        "CAST(TIME '01:02:03.5' AS STRING)": "01:02:03.500",
        "CAST(b'abc' AS STRING)": "abc",
        "CAST(x.missing AS STRING)": None,
    },
    "substr": {
        "SUBSTR('apple', 2)": "pple",
        "SUBSTR('apple', 2, 2)": "pp",
        "SUBSTR('apple', 0)": "apple",
        "SUBSTR('apple', 0, 3)": "app",
        "SUBSTR('apple', -3, 2)": "pl",
        "SUBSTR('apple', -10, 3)": "app",
        "SUBSTR('apple', 123)": "",
        "SUBSTR('apple', 1, 123)": "apple",
        "SUBSTR('apple', 2, 0)": "",
        "SUBSTR('äöü', -2, 1)": "ö",
        "SUBSTR(x.text, 1, 1)": "7",
        "SUBSTR(b'apple', 2, 2)": b"pp",
        "SUBSTR(b'apple', -3)": b"ple",
        "SUBSTR(CAST(NULL AS STRING), 1)": None,
    },
    "instr": {
        "INSTR('banana', 'an')": 2,
        "INSTR('banana', 'an', 1, 2)": 4,
        "INSTR('banana', 'an', -1)": 4,
        "INSTR('banana', 'an', -1, 2)": 2,
        "INSTR('banana', 'an', -4)": 2,
        "INSTR('banana', 'x', -1)": 0,
    },
    "to_json_string": {
        "TO_JSON_STRING(9007199254740992)": "9007199254740992",
        "TO_JSON_STRING(-9007199254740993)": '"-9007199254740993"',
        "TO_JSON_STRING(b'abc')": '"YWJj"',
        "TO_JSON_STRING(TIMESTAMP '2020-01-01 01:02:03.5+00')": '"2020-01-01T01:02:03.500Z"',
        "TO_JSON_STRING(DATETIME '2020-01-01 01:02:03')": '"2020-01-01T01:02:03"',
        "TO_JSON_STRING(DATE '2020-01-01')": '"2020-01-01"',
        "TO_JSON_STRING(TIME '01:02:03')": '"01:02:03"',
        "TO_JSON_STRING(NUMERIC '123.56')": '"123.56"',
        "TO_JSON_STRING(NUMERIC '-1')": "-1",
        "TO_JSON_STRING(CAST('nan' AS FLOAT64))": '"NaN"',
        "TO_JSON_STRING(CAST('-inf' AS FLOAT64))": '"-Infinity"',
        "TO_JSON_STRING(1.0)": "1",
        "TO_JSON_STRING(CAST(NULL AS STRING))": "null",
        "TO_JSON_STRING((SELECT AS STRUCT half, text, missing))": '{"half":0.5,"text":"7","missing":null}',
        "TO_JSON_STRING(STRUCT([b'a'] AS a, JSON '{\"k\": [1, 2]}' AS j, 9007199254740993 AS n))": (
            '{"a":["YQ=="],"j":{"k":[1,2]},"n":"9007199254740993"}'
        ),
        "TO_JSON_STRING(TO_JSON(TIMESTAMP '2020-01-01 01:02:03+00'))": '"2020-01-01T01:02:03Z"',
        "TO_JSON_STRING(TO_JSON(9007199254740993))": "9007199254740993",
        "TO_JSON_STRING(TO_JSON(9007199254740993, stringify_wide_numbers => TRUE))": '"9007199254740993"',
        "TO_JSON_STRING(STRUCT(1 AS a, ['x: {,', 'y'] AS b, CAST([] AS ARRAY<INT64>) AS c), TRUE)": (
            '{\n  "a": 1,\n  "b": [\n    "x: {,",\n    "y"\n  ],\n  "c": []\n}'
        ),
    },
    "json_converters": {
        "STRING(JSON '\"purple\"')": "purple",
        "STRING(JSON_QUERY(JSON '{\"a\": \"b\"}', '$.a'))": "b",
        "SAFE.STRING(JSON '1')": None,
        "STRING(CAST(NULL AS JSON))": None,
        "INT64(JSON '10.0')": 10,
        "SAFE.INT64(JSON '\"5\"')": None,
        "FLOAT64(JSON '9')": 9.0,
        "BOOL(JSON 'true')": True,
        "JSON_TYPE(JSON '1')": "number",
        "JSON_TYPE(JSON '\"a\"')": "string",
        "JSON_TYPE(JSON '[]')": "array",
        "JSON_QUERY('{\"a\": null}', '$.a')": None,
        "TO_JSON_STRING(JSON_QUERY(JSON '{\"a\": null}', '$.a'))": "null",
    },
    "json_mutators": {
        "TO_JSON_STRING(JSON_SET(JSON '{}', '$.a', 1, '$.b', 2))": '{"a":1,"b":2}',
        "TO_JSON_STRING(JSON_REMOVE(JSON '{\"a\": 1, \"b\": 2}', '$.a', '$.b'))": "{}",
        "TO_JSON_STRING(JSON_ARRAY_INSERT(JSON '[1]', '$[0]', 2, '$[0]', 3))": "[3,2,1]",
        "TO_JSON_STRING(JSON_ARRAY_APPEND(JSON '{\"a\": [1]}', '$.a', [2, 3], '$.a', 'x'))": '{"a":[1,2,3,"x"]}',
        "TO_JSON_STRING(JSON_ARRAY_APPEND(JSON '{\"a\": 1}', '$.a', 2))": '{"a":1}',
        "TO_JSON_STRING(JSON_ARRAY_APPEND(JSON '[1]', '$', [2, 3], append_each_element => FALSE))": "[1,[2,3]]",
        "TO_JSON_STRING(JSON_ARRAY_INSERT(JSON '[1, 2]', '$[3]', [7, 8]))": "[1,2,null,7,8]",
        "TO_JSON_STRING(JSON_SET(JSON '{\"a\": [1]}', '$.a[2]', 2, '$.b', NULL))": '{"a":[1,null,2],"b":null}',
        "TO_JSON_STRING(JSON_SET(JSON '{\"a\": 1}', '$.b', 2, create_if_missing => FALSE))": '{"a":1}',
        "TO_JSON_STRING(JSON_REMOVE(JSON '{\"a\": [1, 2]}', '$.a[0]'))": '{"a":[2]}',
        'TO_JSON_STRING(JSON_STRIP_NULLS(JSON \'{"a": null, "b": [null, 1]}\'))': '{"b":[1]}',
        'TO_JSON_STRING(JSON_STRIP_NULLS(JSON \'{"a": {"b": null}, "c": 1}\', remove_empty => TRUE))': '{"c":1}',
        "TO_JSON_STRING(JSON_STRIP_NULLS(JSON '{\"a\": [null]}', include_arrays => FALSE))": '{"a":[null]}',
    },
    "json_keys": {
        'JSON_KEYS(JSON \'{"b": {"c": 1}, "a.b": 2}\')': ['"a.b"', "b", "b.c"],
        'JSON_KEYS(JSON \'{"b": {"c": 1}}\', 1)': ["b"],
        'JSON_KEYS(JSON \'{"a": [{"b": 1}]}\')': ["a"],
        'JSON_KEYS(JSON \'{"a": [{"b": 1}, [{"c": 1}]]}\', mode => \'lax\')': ["a", "a.b"],
        'JSON_KEYS(JSON \'{"a": [{"b": 1}, [{"c": 1}]]}\', mode => \'lax recursive\')': ["a", "a.b", "a.c"],
    },
    "lax_converters": {
        "LAX_INT64(JSON 'true')": 1,
        "LAX_INT64(JSON '10.5')": 11,
        "LAX_INT64(JSON '\"1.1\"')": 1,
        "LAX_INT64(JSON '1e100')": None,
        "LAX_BOOL(JSON '0.1')": True,
        "LAX_BOOL(JSON '\"FALSE\"')": False,
        "LAX_BOOL(JSON '\"1\"')": None,
        "LAX_FLOAT64(JSON 'true')": None,
        "LAX_FLOAT64(JSON '\"-inf\"')": float("-inf"),
        "LAX_STRING(JSON '10.0')": "10",
        "LAX_STRING(JSON '[1]')": None,
    },
    "string_of_times": {
        "STRING(TIMESTAMP '2008-12-25 15:30:00+00')": "2008-12-25 15:30:00+00",
        "STRING(TIMESTAMP '2008-12-25 15:30:00+00', 'America/Los_Angeles')": "2008-12-25 07:30:00-08",
        "STRING(TIMESTAMP '2008-12-25 15:30:00+00', 'Asia/Kolkata')": "2008-12-25 21:00:00+05:30",
        "STRING(DATE '2008-12-25')": "2008-12-25",
    },
    "numeric": {
        "CAST(1.23456789 AS NUMERIC)": Decimal("1.23456789"),
        "CAST(x.half AS NUMERIC)": Decimal("0.5"),
        "TO_JSON_STRING(NUMERIC '123456789.123456789')": '"123456789.123456789"',
        "ROUND(NUMERIC '2.25', 1, 'ROUND_HALF_EVEN')": Decimal("2.2"),
        "ROUND(NUMERIC '2.25', 1, 'ROUND_HALF_AWAY_FROM_ZERO')": Decimal("2.3"),
        "BIT_COUNT(-1)": 64,
    },
    "operators_of_integers": {
        "-1 >> 1": 9223372036854775807,
        "1 << 63": -9223372036854775808,
        "-5 << 2": -20,
        "1 << 64": 0,
        "SAFE.DIV(1, 0)": None,
        "SAFE.MOD(1, 0)": None,
        "SAFE.DIV(7, 2)": 3,
        "DIV(NUMERIC '-7.5', 2)": Decimal(-3),
        "CAST(1e20 AS NUMERIC)": Decimal(10**20),
        "CAST(12345678.123 AS NUMERIC)": Decimal("12345678.123"),
    },
    "mathematics": {
        "SAFE_ADD(1e308, 1e308)": None,
        "SAFE_MULTIPLY(1e308, 10.0)": None,
        "SAFE_ADD(CAST('inf' AS FLOAT64), 1)": float("inf"),
        "SAFE.EXP(1000)": None,
        "EXP(CAST('inf' AS FLOAT64))": float("inf"),
        "SAFE.POW(0, -1)": None,
        "SAFE.LN(0)": None,
        "POW(2, 3)": 8.0,
        "SQRT(NUMERIC '2')": Decimal("1.414213562"),
        "EXP(NUMERIC '2')": Decimal("7.389056099"),
        "LOG(NUMERIC '8', NUMERIC '2')": Decimal(3),
        "POW(NUMERIC '2', 3)": Decimal(8),
        "SIGN(NUMERIC '-2.5')": Decimal(-1),
        "SIGN(x.half)": 1.0,
    },
    "units_since_1970": {
        "UNIX_SECONDS(TIMESTAMP '1970-01-01 00:00:01.8+00')": 1,
        "UNIX_SECONDS(TIMESTAMP '1969-12-31 23:59:59.2+00')": -1,
        "UNIX_MILLIS(TIMESTAMP '1969-12-31 23:59:59.9995+00')": -1,
        "DATETIME_DIFF(CURRENT_DATETIME('Asia/Kolkata'), CURRENT_DATETIME(), HOUR) IN (5, 6)": True,
    },
    "parse_numeric": {
        "PARSE_NUMERIC('1,234.5')": Decimal("1234.5"),
        "PARSE_NUMERIC(' - 12.34 ')": Decimal("-12.34"),
        "PARSE_NUMERIC('12.34-')": Decimal("-12.34"),
        "PARSE_BIGNUMERIC('1,234.5')": Decimal("1234.5"),
        "SAFE.PARSE_NUMERIC('abc')": None,
    },
    "cast_with_format": {
        "CAST(DATE '2020-01-02' AS STRING FORMAT 'YYYY/MM/DD')": "2020/01/02",
        "CAST(TIMESTAMP '2020-01-02 03:04:05+00' AS STRING FORMAT 'YYYY-MM-DD HH24:MI:SS' AT TIME ZONE 'Asia/Kolkata')": (
            "2020-01-02 08:34:05"
        ),
        "CAST(DATE '2018-01-30' AS STRING FORMAT 'MON DD, YY')": "JAN 30, 18",
        "CAST(DATE '2018-01-30' AS STRING FORMAT 'Month')": "January",
        "CAST(TIME '21:30:00' AS STRING FORMAT 'HH12:MI PM')": "09:30 PM",
        "CAST(TIME '01:05:07.16' AS STRING FORMAT 'SS.FF1')": "07.1",
        "CAST(DATE '2018-02-15' AS STRING FORMAT '\"day \"D')": "day 5",
        "CAST(b'He' AS STRING FORMAT 'HEX')": "4865",
        "CAST('4865' AS BYTES FORMAT 'HEX')": b"He",
        "CAST(b'ab' AS STRING FORMAT 'BASE64')": "YWI=",
    },
    "format": {
        "FORMAT('%s %t %T', 'a', 'b', 'c')": 'a b "c"',
        "FORMAT('%T %t', DATE '2020-01-01', DATE '2020-01-01')": 'DATE "2020-01-01" 2020-01-01',
        "FORMAT('%t', TIMESTAMP '2020-01-01 00:00:00+00')": "2020-01-01 00:00:00+00",
        "FORMAT('%t %T', 1.0, NUMERIC '1.50')": '1.0 NUMERIC "1.5"',
        "FORMAT('%t', [1, 2])": "[1, 2]",
        "FORMAT('%x %X', -255, 255)": "-ff FF",
        'FORMAT("%\'.2f", 12345.678)': "12,345.68",
        "FORMAT('%T', JSON '{\"a\": 1}')": "JSON '{\"a\":1}'",
        "FORMAT('%T', -INTERVAL 1 DAY)": 'INTERVAL "0-0 -1 0:0:0" YEAR TO SECOND',
        "FORMAT('%T', CAST('nan' AS FLOAT64))": 'CAST("nan" AS FLOAT64)',
        "FORMAT('%\\'d|%*d|%%', 1234567, 5, 42)": "1,234,567|   42|%",
    },
    "concatenation": {
        "CONCAT('a', 'b', 'c')": "abc",
        "CONCAT(b'a', b'b')": b"ab",
        "['a', 'b'] || ['c']": ["a", "b", "c"],
        "CONCAT('a', CAST(NULL AS STRING))": None,
    },
    "format_of_times": {
        "FORMAT_TIMESTAMP('%E3S %E*S %E6S', TIMESTAMP '2008-12-25 15:30:00.1234+00')": "00.123 00.1234 00.123400",
        "FORMAT_TIMESTAMP('%z %Ez %Z', TIMESTAMP '2008-12-25 15:30:00+00', 'Asia/Kolkata')": "+0530 +05:30 UTC+0530",
        "FORMAT_TIMESTAMP('%c', TIMESTAMP '2008-12-05 15:30:00+00', 'America/Los_Angeles')": "Fri Dec  5 07:30:00 2008",
        "FORMAT_TIMESTAMP('%s', TIMESTAMP '2008-12-25 05:30:00+00', '-8')": "1230183000",
        "FORMAT_DATE('Q%Q %C %e %g|%G %J %U %n%t%%', DATE '2021-01-03')": "Q1 20  3 20|2020 371 01 \n\t%",
        "FORMAT_DATE('%H', DATE '2021-01-03')": "%H",
        "FORMAT_DATETIME('%k %l %P %r %D', DATETIME '2008-02-05 09:03:04')": " 9  9 am 09:03:04 AM 02/05/08",
        "FORMAT_TIME('%R %E1S %Y', TIME '15:30:00.25')": "15:30 00.2 %Y",
        "FORMAT_TIME(x.text, TIME '15:30:00')": "7",
    },
    "parsing_of_times": {
        "PARSE_DATE('%A %b %e %Y', 'Thursday december 25 2008')": dt.date(2008, 12, 25),
        "PARSE_DATE('%h', 'feb')": dt.date(1970, 2, 1),
        "PARSE_DATE('%Q %C%y', '2 2045')": dt.date(2045, 4, 1),
        "PARSE_DATE('%Y %j', '2020 060')": dt.date(2020, 2, 29),
        "PARSE_DATE('%G-W%V-%u', '2020-W10-3')": dt.date(2020, 3, 4),
        "PARSE_DATE('%Y-%m-%d', ' 2020-1-2 ')": dt.date(2020, 1, 2),
        "PARSE_TIME('%I:%M %p', '12:30 AM')": dt.time(0, 30),
        "PARSE_TIME('%H:%M:%E*S', '15:30:01.5')": dt.time(15, 30, 1, 500000),
        "PARSE_DATETIME('%c', 'Thu Dec 25 07:30:00 2008')": dt.datetime(2008, 12, 25, 7, 30),
        "PARSE_TIMESTAMP('%T', '15:30:01')": utc(1970, 1, 1, 15, 30, 1),
        "PARSE_TIMESTAMP('%a, %d %b %Y %T %z', 'Tue, 05 May 2020 01:02:03 -0700')": utc(2020, 5, 5, 8, 2, 3),
        "PARSE_TIMESTAMP('%F %T', '2020-01-02 03:04:05', 'America/Los_Angeles')": utc(2020, 1, 2, 11, 4, 5),
        "SAFE.PARSE_TIMESTAMP('%F', 'yesterday')": None,
    },
    "array_slice": {
        "ARRAY_SLICE(['a', 'b', 'c', 'd', 'e'], 1, 3)": ["b", "c", "d"],
        "ARRAY_SLICE(['a', 'b', 'c', 'd', 'e'], -4, 3)": ["b", "c", "d"],
        "ARRAY_SLICE(['a', 'b', 'c', 'd', 'e'], -30, -5)": ["a"],
        "ARRAY_SLICE(['a', 'b', 'c', 'd', 'e'], 3, 1)": [],
        "ARRAY_SLICE(['a', 'b', 'c', 'd', 'e'], 5, 30)": [],
    },
    "array_search": {
        "ARRAY_FIRST([1, 2])": 1,
        "ARRAY_LAST([1, 2])": 2,
        "SAFE.ARRAY_FIRST(CAST([] AS ARRAY<INT64>))": None,
        "ARRAY_INCLUDES([1, 2, 3], 2)": True,
        "ARRAY_INCLUDES_ANY([1, 2], [2, 3])": True,
        "ARRAY_INCLUDES_ALL([1, 2], [2, 3])": False,
        "ARRAY_IS_DISTINCT([1, NULL, 2])": True,
        "ARRAY_IS_DISTINCT([1, NULL, NULL])": False,
    },
    "array_generation": {
        "GENERATE_TIMESTAMP_ARRAY('2016-10-05 00:00:00', '2016-10-06 00:00:00', INTERVAL 1 DAY)": [
            utc(2016, 10, 5),
            utc(2016, 10, 6),
        ],
    },
    "safe": {
        "SAFE.SUBSTR('apple', 0, 3)": "app",
        "SAFE.SUBSTR('apple', 0, -3)": None,
        "SAFE.DATE_DIFF(DATE '2020-01-05', DATE '2020-01-01', WEEK)": 1,
    },
}


@pytest.mark.parametrize("group", VALUES)
def test_results_are_those_of_the_reference(world: BigQueryWorld, group: str) -> None:
    cases = VALUES[group]
    source = (
        "SELECT CAST(0.5 AS FLOAT64) AS half, '7' AS text, CAST(NULL AS FLOAT64) AS missing, '-08:00' AS zone, "
        "CAST(NULL AS STRING) AS nothing, DATE '2024-02-29' AS day, TIMESTAMP '1969-12-31 01:02:03.5+00' AS moment"
    )
    [row] = world.rows(f"SELECT {', '.join(cases)} FROM ({source}) AS x")
    assert dict(zip(cases, row, strict=True)) == cases


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (
            "SELECT APPROX_TOP_COUNT(x, 2) FROM UNNEST([NULL, 'pear', 'pear', 'pear', 'apple', NULL]) AS x",
            [{"value": "pear", "count": 3}, {"value": None, "count": 2}],
        ),
        (
            "SELECT APPROX_TOP_SUM(x, w, 2) FROM UNNEST([STRUCT('apple' AS x, 3 AS w), ('pear', 2), ('fig', 5), ('pear', 4)])",
            [{"value": "pear", "sum": 6}, {"value": "fig", "sum": 5}],
        ),
        (
            "SELECT APPROX_TOP_SUM(x, w, 2) FROM UNNEST([STRUCT('apple' AS x, NULL AS w), ('pear', 0), ('pear', NULL)])",
            [{"value": "pear", "sum": 0}, {"value": "apple", "sum": None}],
        ),
    ],
)
def test_aggregates_are_those_of_the_reference(world: BigQueryWorld, query: str, expected: Any) -> None:
    assert world.rows(query) == [(expected,)]


def test_functions_accept_aggregates(world: BigQueryWorld) -> None:
    rows = world.rows(
        "SELECT CAST(COUNT(*) AS STRING), CAST(SUM(x) OVER () AS STRING), SQRT(SUM(x)), EXP(MIN(x) - 4), POW(SUM(x), 2), "
        "SIGN(MAX(n)), LN(MAX(n)), MAX(t) - MIN(t), CAST(CAST(MAX(i) AS INTERVAL) AS STRING), SUM(x) AS s "
        "FROM (SELECT 4 AS x, NUMERIC '1' AS n, TIMESTAMP '2020-01-01 00:00:00+00' AS t, '1-2' AS i) "
        "GROUP BY x ORDER BY SQRT(s) - x"
    )
    expected = ("1", "4", 2.0, 1.0, 16.0, Decimal(1), Decimal(0), relativedelta(), "1-2 0 0:0:0", 4)
    assert rows == [expected]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("CAST('2.5' AS INT64)", "Bad int64 value: 2.5"),
        ("CAST('yes' AS BOOL)", "Bad bool value: yes"),
        ("CAST('1_0' AS FLOAT64)", "Bad double value: 1_0"),
        (
            "TIMESTAMP_ADD(TIMESTAMP '2008-12-25 15:30:00+00', INTERVAL 1 MONTH)",
            "TIMESTAMP_ADD does not support the MONTH date part",
        ),
        (
            "TIMESTAMP_DIFF(CURRENT_TIMESTAMP(), CURRENT_TIMESTAMP(), YEAR)",
            "TIMESTAMP_DIFF does not support the YEAR date part",
        ),
        ("CAST('1 day' AS INTERVAL)", "Invalid INTERVAL value '1 day'"),
        ("INTERVAL '1-2' DAY TO HOUR", "Invalid INTERVAL value '1-2'"),
        ("1 >> -1", "Bitwise shift by negative offset."),
        ("FORMAT('%d', 1, 2)", 'Too many arguments to FORMAT for pattern "%d"; Expected 2; Got 3'),
        ("PARSE_JSON('[1,]')", "Invalid input to PARSE_JSON"),
        ("PARSE_JSON('{\"a\":NaN}')", "Invalid input to PARSE_JSON: invalid literal NaN"),
        ("PARSE_JSON('18446744073709551616')", "cannot round-trip through string representation"),
        ("INT64_ARRAY(JSON '{}')", "The provided JSON input is not an array"),
        ("JSON_FLATTEN(JSON '[[1]]')", "The function JSON_FLATTEN is not in the local BigQuery"),
        ("FORMAT('%s', 1)", "Expected STRING"),
        ("FORMAT('%x', 'a')", "Bad int64 value: a"),
        ("FORMAT('%q', 1)", 'Invalid format specifier character "q"'),
        ("CHR(55296)", "Invalid codepoint"),
        ("ASCII('é')", "Argument to ASCII is not a structurally valid ASCII string"),
        ("TRANSLATE('abc', 'aa', 'x')", "Duplicate character in TRANSLATE source characters"),
        ("REGEXP_EXTRACT(b'ab', b'(a)(b)')", "must not have more than 1 capturing group"),
        ("COLLATE('a', 'binary')", "Collation 'binary' in collate function is not supported"),
        ("EXP(1000)", "Floating point error in function: EXP(1000)"),
        ("POW(-1, 0.5)", "Floating point error in function: POW(-1, 0.5)"),
        ("CSC(0)", "Floating point error in function: CSC(0)"),
        ("STRING(JSON '1')", "The provided JSON input is not a string"),
        ("INT64(JSON '10.5')", "The provided JSON input is not an integer"),
        ("FLOAT64(JSON '\"1\"')", "The provided JSON input is not a number"),
        ("BOOL(JSON '1')", "The provided JSON input is not a boolean"),
        ("JSON_VALUE('{}', 'a')", "JSONPath must start with '$'"),
        ("ARRAY_LAST(CAST([] AS ARRAY<INT64>))", "ARRAY_LAST cannot get the last element of an empty array"),
        ("ROUND(NUMERIC '2.5', 0, 'UP')", "The mode of ROUND must be"),
        ("JSON_KEYS(JSON '{}', 0)", "max_depth must be positive."),
        ("JSON_REMOVE(JSON '{}', '$')", "The JSONPath cannot be '$'"),
        ("JSON_SET(JSON '{}', 'a', 1)", "Invalid JSONPath: a"),
        ("PARSE_DATE('%Y %j', '2021 366')", 'Failed to parse input string "2021 366"'),
        ("PARSE_DATE('%H', '12')", "Invalid format: %H is not allowed for the DATE type."),
        ("FORMAT_TIMESTAMP('%c', CURRENT_TIMESTAMP(), 'Nowhere')", "Invalid time zone: Nowhere"),
        ("SUBSTR('apple', 2, -1)", "Third argument in SUBSTR() cannot be negative"),
        ("DATE_SUB(DATE '0001-01-01', INTERVAL 1 DAY)", "DATE_SUB: the result is not from year 1 to year 9999"),
        ("TIME(24, 0, 0)", "Input calculates to invalid time: 24:00:00"),
        ("MAKE_INTERVAL(year => 10001)", "Interval field months 120012 is out of range"),
        ("CURRENT_DATE('+15:00')", "Invalid time zone: +15:00"),
        ("GENERATE_DATE_ARRAY(DATE '2024-01-01', DATE '2024-01-02', INTERVAL 0 DAY)", "Sequence step cannot be 0."),
        ("DATE_TRUNC(CURRENT_DATE(), WEEK(NODAY))", "A valid date part argument is required, but found WEEK(NODAY)"),
    ],
)
def test_arguments_that_a_function_does_not_accept_are_refused(
    world: BigQueryWorld, expression: str, message: str
) -> None:
    with pytest.raises(BadRequest) as refused:
        world.rows(f"SELECT {expression}")
    assert message in refused.value.message
