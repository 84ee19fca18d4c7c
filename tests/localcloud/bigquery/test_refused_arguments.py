"""Arguments that a function does not accept, and what the error says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from google.api_core.exceptions import BadRequest

from tests.localcloud.bigquery.world import BigQueryWorld, bigquery_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BigQueryWorld]:
    with bigquery_world(tmp_path_factory.mktemp("storage")) as running:
        yield running


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
        ("1.5 << 1", "The first argument to bitwise operator << must be an integer or BYTES"),
        ("'a''b'", "concatenated string literals must be separated by whitespace or comments at [1:11]"),
        ("'a' ~~ 'b'", 'Unexpected "~~"'),
        ("NUMERIC '1_000'", "Invalid NUMERIC value: 1_000"),
        ("NUMERIC '99999999999999999999999999999' + 1", "numeric overflow in addition"),
        ("NUMERIC '1' / 0", "division by zero: 1 / 0"),
        ("CEIL(NUMERIC '99999999999999999999999999999.5')", "numeric overflow"),
        ("CAST(NUMERIC '1e25' AS BIGNUMERIC)", "BIGNUMERIC with more than 20 digits before the point is not supported"),
        (
            "CAST(CONCAT('1', REPEAT('0', 20)) AS BIGNUMERIC)",
            "BIGNUMERIC with more than 20 digits before the point is not",
        ),
        (
            "SAFE_CAST(NUMERIC '1e25' AS BIGNUMERIC)",
            "BIGNUMERIC with more than 20 digits before the point is not supported",
        ),
        ("BIGNUMERIC '12345678901234567890123456789.1'", "BIGNUMERIC with more than 28 digits before the point is not"),
        ("BIGNUMERIC '1e40'", "Bad bignumeric value: 1e40"),
        ("RANGE_BUCKET(3, [5, 1])", "Elements in input array to RANGE_BUCKET must be in ascending order"),
        ("COSINE_DISTANCE([0.0], [1.0])", "Cannot compute cosine distance against zero vector"),
        ("COSINE_DISTANCE([1.0], [1.0, 2.0])", "Array length mismatch: 1 and 2"),
        ("REGEXP_EXTRACT('a', '(')", "Cannot parse regular expression: missing ): ("),
        ("LPAD(1, 5)", "No matching signature for function LPAD for argument types: INT64"),
        ("FORMAT('%d', 1, 2)", 'Too many arguments to FORMAT for pattern "%d"; Expected 2; Got 3'),
        ("CAST(5 AS STRING FORMAT '9S9')", "Error in format string"),
        ("CAST(DATE '2018-01-30' AS STRING FORMAT 'HH24')", "DATE does not support HH24"),
        ("CAST('2018-13-03' AS DATE FORMAT 'YYYY-MM-DD')", "at 5 with format element 'MM'"),
        ("CAST('2018' AS DATE FORMAT 'YYYY HH24')", "Format element 'HH24' is not allowed for output type DATE"),
        ("FORMAT('%f', '1.5')", "Invalid type for an argument of FORMAT; Expected DOUBLE; Got STRING"),
        ("ST_GEOGPOINT(1, 100)", "Latitude must be between -90 and 90 degrees. Actual value was 100"),
        ("PARSE_NUMERIC('1 23.4')", "Bad numeric value: 1 23.4"),
        ("GENERATE_ARRAY(1, 5, 0)", "Sequence step cannot be 0."),
        (
            "RANGE_INTERSECT(RANGE<DATE> '[2020-06-01, 2020-06-03)', RANGE<DATE> '[2020-07-01, 2021-01-01)')",
            "Provided RANGE inputs do not overlap",
        ),
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
