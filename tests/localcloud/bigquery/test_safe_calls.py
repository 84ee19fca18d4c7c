"""Functions with the prefix SAFE, and SAFE_ADD and its like, return NULL where the functions fail.

https://cloud.google.com/bigquery/docs/reference/standard-sql/functions-reference#safe_prefix
"""

from __future__ import annotations

import pytest
from google.api_core.exceptions import BadRequest

from tests.localcloud.bigquery.world import BigQueryWorld

ROW = r"""
SELECT 'abc' AS s, '(a)(b)' AS two_groups, r'\2' AS second, r'\q' AS other, 'ab' AS pattern, 0 AS zero, 1 AS one, -1 AS minus,
    9223372036854775807 AS most, 1.5 AS half, NUMERIC '2.5' AS decimal, DATE '2024-01-01' AS d, TIMESTAMP '2024-01-01' AS t
"""

FAILS = [
    (r"REGEXP_REPLACE(s, 'ab', second)", "Rewrite schema requests 2 matches, but the regexp only has 0"),
    (r"REGEXP_REPLACE(s, pattern, r'\1')", "Rewrite schema requests 1 matches, but the regexp only has 0"),
    (r"REGEXP_REPLACE(s, 'b', r'\q')", "'\\\\' must be followed by a digit or '\\\\'"),
    (r"REGEXP_REPLACE(s, pattern, other)", "'\\\\' must be followed by a digit or '\\\\'"),
    ("REGEXP_EXTRACT(s, two_groups)", "must not have more than 1 capturing group"),
    ("REGEXP_EXTRACT(s, '(a)(b)')", "must not have more than 1 capturing group"),
    ("REGEXP_EXTRACT_ALL(s, two_groups)", "must not have more than 1 capturing group"),
    ("REGEXP_EXTRACT(s, 'a', zero)", "Position must be positive in REGEXP_EXTRACT"),
    ("REGEXP_INSTR(s, 'a', 1, 0)", "Occurrence must be positive in REGEXP_INSTR"),
    ("INSTR(s, 'a', zero)", "Position must be non-zero"),
    ("LEFT(s, minus)", "cannot be negative"),
    ("CHR(minus)", "Invalid codepoint"),
    ("GENERATE_ARRAY(one, 5, zero)", "Sequence step cannot be 0."),
    ("GENERATE_ARRAY(half, 5, 0.0)", "Sequence step cannot be 0."),
    ("GENERATE_DATE_ARRAY(d, d, INTERVAL zero DAY)", "Sequence step cannot be 0."),
    ("GENERATE_TIMESTAMP_ARRAY(t, t, INTERVAL zero DAY)", "Sequence step cannot be 0."),
    ("MOD(BIGNUMERIC '7.5', zero)", "division by zero"),
    ("NET.IP_FROM_STRING(s)", "Failed to parse abc as an IP address"),
    ("DATE_FROM_UNIX_DATE(most)", "DATE_FROM_UNIX_DATE"),
    ("PARSE_NUMERIC('1_000')", "Invalid NUMERIC value: 1_000"),
]


@pytest.mark.parametrize(("call", "message"), FAILS)
def test_a_call_that_fails_says_why_and_with_safe_returns_null(world: BigQueryWorld, call: str, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        world.rows(f"SELECT {call} FROM ({ROW})")
    [(value,)] = world.rows(f"SELECT SAFE.{call} FROM ({ROW})")
    assert value in (None, [])


VALUES = {
    "SAFE.DIV(decimal, NUMERIC '0.000000003')": 833333333,
    "SAFE_NEGATE(BIGNUMERIC '1.5') + 1": -0.5,
    "SAFE_ADD(DIV(4, one), 1)": 5,
    "SAFE_ADD(most, 1)": None,
    "SAFE_MULTIPLY(one / 2, 3.0)": 1.5,
    "SAFE_SUBTRACT(SUM(most), COUNT(*))": 2**63 - 2,
    "SAFE_ADD(MAX(most), 1)": None,
    "SAFE_ADD(SUM(half), 1)": 2.5,
    "SAFE.SQRT(SQRT(POW(2, 4)))": 2.0,
    "SAFE.REPEAT(s, DIV(5, 2))": "abcabc",
    r"REGEXP_REPLACE(s, '(a)', r'\\\1\0')": r"\aabc",
    "GENERATE_ARRAY(half, 3)": [1.5, 2.5],
    "GENERATE_ARRAY(1, 2, half)": [1.0],
    "ARRAY_TO_STRING(ARRAY(SELECT CAST(x AS STRING) FROM UNNEST(GENERATE_ARRAY(decimal, 4, 0.5)) AS x), ' ')": "2.5 3 3.5 4",
    "GENERATE_ARRAY(5, one, minus)": [5, 4, 3, 2, 1],
}


@pytest.mark.parametrize("call", VALUES)
def test_a_call_that_does_not_fail_has_its_value(world: BigQueryWorld, call: str) -> None:
    assert world.rows(f"SELECT {call} FROM ({ROW})") == [(VALUES[call],)]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("INTERVAL 10001 YEAR", "Interval field YEAR '10001' is out of range -10000 to 10000"),
        ("DATE '2024-01-01' + INTERVAL -3660001 DAY", "Interval field DAY '3660001' is out of range"),
        ("CAST('é' AS BYTES FORMAT 'ASCII')", "characters beyond ASCII"),
        (r"CAST(b'a\xff' AS STRING FORMAT 'ASCII')", "beyond ASCII"),
    ],
)
def test_a_value_out_of_range_is_refused(world: BigQueryWorld, expression: str, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        world.rows(f"SELECT {expression}")


def test_an_aggregate_in_the_arguments_of_safe_is_refused(world: BigQueryWorld) -> None:
    with pytest.raises(BadRequest, match=r"an aggregate function .* is not supported by the local BigQuery"):
        world.rows("SELECT SAFE.ROUND(AVG(x), 2) FROM UNNEST([1, 2]) AS x")


@pytest.mark.parametrize("call", ["SUM(x) / COUNT(*)", "SUM(x) / SUM(1)", "SUM(x) OVER () / 2"])
def test_a_sum_that_is_divided_may_overflow(world: BigQueryWorld, call: str) -> None:
    with pytest.raises(BadRequest, match="int64 overflow"):
        world.rows(f"SELECT {call} FROM UNNEST([9223372036854775807, 1]) AS x")


def test_the_correlation_of_one_pair_in_a_window_is_null(world: BigQueryWorld) -> None:
    [*values] = world.rows(
        "SELECT CORR(x, x) OVER (ORDER BY x ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM UNNEST([1.0, 2.0]) AS x ORDER BY x"
    )
    assert values == [(None,), (1.0,)]
