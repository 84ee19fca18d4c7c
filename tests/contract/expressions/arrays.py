"""Functions of arrays, aggregate functions and window functions."""

from __future__ import annotations

from tests.contract.expressions.values import (
    FLOAT_ARRAYS,
    INT_ARRAYS,
    NO_INT,
    NO_TEXT,
    TEXT_ARRAYS,
    Family,
    Values,
    binary,
    of,
    single,
    unary,
)

_INTS = (
    "[1,2,3,4]",
    "CAST([] AS ARRAY<INT64>)",
    "[NULL,5,NULL]",
    "[CAST(NULL AS INT64)]",
    "[3,3,1]",
    "[9223372036854775806,1]",
)
_FLOATS = (
    *("[1.5,2.5,-1.0]", "[1e308,1e308]"),
    *("CAST([] AS ARRAY<FLOAT64>)", "[0.1,0.2,0.3]", "[NULL,2.0]"),
)
_NUMERICS = (
    "[NUMERIC '1.5',NUMERIC '2.5']",
    "[NUMERIC '0.000000001',NUMERIC '2',NUMERIC '3']",
    "CAST([] AS ARRAY<NUMERIC>)",
)
_TEXTS = ("['b','a','c']", "['a',NULL,'a']", "CAST([] AS ARRAY<STRING>)", "['']")
_BYTES = ("[b'b',b'a']", "[b'\\xff',NULL]")
_NUMBER_AGGREGATES = """
    SUM(x)
    AVG(x)
    MIN(x)
    MAX(x)
    COUNT(x)
    COUNT(*)
    COUNT(DISTINCT x)
    SUM(DISTINCT x)
    AVG(DISTINCT x)
    STDDEV(x)
    STDDEV_POP(x)
    VARIANCE(x)
    VAR_POP(x)
    ARRAY_AGG(x IGNORE NULLS ORDER BY x DESC)
    ARRAY_AGG(DISTINCT x IGNORE NULLS ORDER BY x)
    ARRAY_AGG(x IGNORE NULLS ORDER BY x LIMIT 2)
    APPROX_COUNT_DISTINCT(x)
    COUNTIF(x > 1)
    LOGICAL_AND(x > 0)
    LOGICAL_OR(x > 2)
    SUM(x) / COUNT(*)
    SUM(IF(x > 1, x, 0))""".strip().split("\n")
_TEXT_AGGREGATES = """
    STRING_AGG(x, '-' ORDER BY x DESC)
    STRING_AGG(DISTINCT x, ',' ORDER BY x)
    STRING_AGG(x, ',' ORDER BY x LIMIT 1)
    MIN(x)
    MAX(x)
    COUNT(DISTINCT x)
    ARRAY_AGG(x IGNORE NULLS ORDER BY x)""".strip().split("\n")
_PAIRS = (
    *("[STRUCT(1.0 AS x, 2.0 AS y)]", "[STRUCT(1.0 AS x, 2.0 AS y),(2.0,4.0),(3.0,7.0)]"),
    *("[STRUCT(1.0 AS x, 2.0 AS y),(1.0,3.0)]", "[STRUCT(NULL AS x, 2.0 AS y),(1.0,NULL)]"),
)
_WINDOWS = """
    ROW_NUMBER() OVER (ORDER BY x DESC, k)
    RANK() OVER (ORDER BY x)
    RANK() OVER ()
    DENSE_RANK() OVER (ORDER BY x)
    PERCENT_RANK() OVER (ORDER BY x)
    CUME_DIST() OVER (ORDER BY x)
    NTILE(2) OVER (ORDER BY k)
    NTILE(0) OVER (ORDER BY k)
    LAG(x) OVER (ORDER BY k)
    LAG(x, 2, -1.0) OVER (ORDER BY k)
    LEAD(k, 1, 0) OVER (ORDER BY k)
    LAG(k, -1) OVER (ORDER BY k)
    FIRST_VALUE(x IGNORE NULLS) OVER (ORDER BY k DESC)
    LAST_VALUE(x) OVER (ORDER BY k)
    LAST_VALUE(x IGNORE NULLS) OVER (ORDER BY k)
    NTH_VALUE(x, 2) OVER (ORDER BY k)
    SUM(x) OVER (ORDER BY k)
    SUM(x) OVER (ORDER BY k ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING)
    SUM(x) OVER (ORDER BY k ROWS BETWEEN 1 FOLLOWING AND 1 PRECEDING)
    AVG(x) OVER ()
    COUNT(*) OVER (ORDER BY k RANGE BETWEEN 1 PRECEDING AND CURRENT ROW)
    COUNT(x) OVER (PARTITION BY MOD(k, 2))
    PERCENTILE_CONT(x, 0.5) OVER ()
    PERCENTILE_DISC(x, 0.5) OVER ()
    PERCENTILE_CONT(x, 0) OVER ()
    PERCENTILE_DISC(x, 1) OVER (PARTITION BY MOD(k, 2))
    STRING_AGG(CAST(k AS STRING)) OVER (ORDER BY k)""".strip().split("\n")
_ROWS = "UNNEST([STRUCT(1 AS k, 10.0 AS x),(2,NULL),(3,30.0),(4,20.0),(5,30.0)])"


def _aggregates(calls: list[str], *pools: Values) -> list[Family]:
    """Return each call over the rows that an array holds."""
    return [
        Family(f"(SELECT {call.strip()} FROM UNNEST({{0}}) AS x)", (pool,), columns=False)
        for call in calls
        for pool in pools
    ]


FAMILIES = [
    *unary("ARRAY_LENGTH ARRAY_REVERSE", INT_ARRAYS, TEXT_ARRAYS, FLOAT_ARRAYS),
    *unary("ARRAY_FIRST ARRAY_LAST", INT_ARRAYS, TEXT_ARRAYS[:3], FLOAT_ARRAYS),
    *unary("ARRAY_IS_DISTINCT SAFE.ARRAY_FIRST SAFE.ARRAY_LAST", INT_ARRAYS, TEXT_ARRAYS[:3]),
    *binary("ARRAY_CONCAT", (INT_ARRAYS, INT_ARRAYS)),
    *binary("ARRAY_TO_STRING", (TEXT_ARRAYS, ("','", "''", NO_TEXT)), (("[b'a',b'b']",), ("b','",))),
    of("ARRAY_TO_STRING({0}, ',', {1})", TEXT_ARRAYS, ("'N'", NO_TEXT)),
    of("ARRAY_SLICE({0}, {1}, {2})", ("['a','b','c','d','e']",), ("0", "1", "-2", "-10", "10"), ("0", "3", "-1", "10")),
    of("GENERATE_ARRAY({0}, {1})", ("1", "5", NO_INT), ("3", "5", "-1")),
    of("GENERATE_ARRAY({0}, {1}, {2})", ("1", "10"), ("5", "0"), ("1", "2", "-3", NO_INT)),
    Family("GENERATE_ARRAY({0}, {1}, {2})", (("1.0", "0.0"), ("2.0", "1.0"), ("0.5", "0.0", "-0.5")), columns=False),
    *(
        of(f"{{0}}[{kind}({{1}})]", INT_ARRAYS, ("0", "1", "2", "-1", "9", NO_INT))
        for kind in ("OFFSET", "SAFE_OFFSET", "ORDINAL", "SAFE_ORDINAL")
    ),
    of("{0}[{1}]", INT_ARRAYS, ("0", "1", "9")),
    *_aggregates(_NUMBER_AGGREGATES, _INTS, _FLOATS, _NUMERICS),
    *_aggregates(["BIT_AND(x)", "BIT_OR(x)", "BIT_XOR(x)", "BIT_XOR(DISTINCT x)"], _INTS),
    *_aggregates(_TEXT_AGGREGATES, _TEXTS),
    *_aggregates(
        ["STRING_AGG(x ORDER BY x)", "STRING_AGG(x, b'-' ORDER BY x)", "MIN(x)", "MAX(x)", "COUNT(x)"], _BYTES
    ),
    *(
        Family(f"(SELECT {name}(x, y) FROM UNNEST({{0}}))", (_PAIRS,), columns=False)
        for name in ("CORR", "COVAR_POP", "COVAR_SAMP")
    ),
    *single(*(f"ARRAY(SELECT AS STRUCT k, {call.strip()} AS v FROM {_ROWS} ORDER BY k)" for call in _WINDOWS)),
    *single(
        "ARRAY(SELECT x FROM UNNEST([3,1,2]) AS x ORDER BY x DESC)",
        "ARRAY(SELECT AS STRUCT 1 AS a, 'x' AS b)",
        "[1, 2.5]",
        "ARRAY<FLOAT64>[1, 2]",
        "ARRAY<STRUCT<a INT64, b STRING>>[(1,'x'),(2,'y')]",
        "ARRAY_CONCAT([1], [2], [3])",
        "EXISTS(SELECT 1 FROM UNNEST([1]))",
        "(SELECT ARRAY_CONCAT_AGG(x) FROM UNNEST([STRUCT([1,2] AS x), STRUCT([3] AS x)]))",
        "(SELECT ARRAY_AGG(x ORDER BY y DESC LIMIT 1)[OFFSET(0)] FROM UNNEST([STRUCT(1 AS x, 2 AS y),(3,4)]))",
        "(SELECT ANY_VALUE(x HAVING MIN y) FROM UNNEST([STRUCT('a' AS x, 2 AS y),('b',5)]))",
        "(SELECT MAX(x HAVING MAX y) FROM UNNEST([STRUCT('a' AS x, 2 AS y),('b',5)]))",
        "(SELECT AVG(x) FROM UNNEST([TRUE]) AS x)",
        "(SELECT SUM(x) FROM UNNEST(['a']) AS x)",
        "(SELECT GROUPING(x) FROM UNNEST([1]) AS x GROUP BY x)",
    ),
]
