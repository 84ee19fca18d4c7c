"""Values of each type, as literals, and the families of expressions that the tables of this folder are made of."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass

Values = tuple[str, ...]

NO_INT = "CAST(NULL AS INT64)"
NO_FLOAT = "CAST(NULL AS FLOAT64)"
NO_TEXT = "CAST(NULL AS STRING)"
NO_BYTES = "CAST(NULL AS BYTES)"
NAN = "CAST('nan' AS FLOAT64)"
INFINITY = "CAST('inf' AS FLOAT64)"

INTS = ("0", "1", "-1", "2", "7", "-5", "63", "9223372036854775807", "-9223372036854775808", NO_INT)
FLOATS = (
    *("0.0", "1.5", "-2.5", "0.1", "2.0", "1e300", "-1e300", "1e-300"),
    *(NAN, INFINITY, "CAST('-inf' AS FLOAT64)", NO_FLOAT),
)
NUMERICS = (
    *("NUMERIC '0'", "NUMERIC '1.5'", "NUMERIC '-2.5'", "NUMERIC '3'", "NUMERIC '123.455'", "NUMERIC '-0.000000001'"),
    *("NUMERIC '99999999999999999999999999999.999999999'", "CAST(NULL AS NUMERIC)"),
)
BIGNUMERICS = ("BIGNUMERIC '1.5'", "BIGNUMERIC '-2.25'", "BIGNUMERIC '1e-15'", "CAST(NULL AS BIGNUMERIC)")
BOOLS = ("TRUE", "FALSE", "CAST(NULL AS BOOL)")
TEXTS = ("''", "'abc'", "'ABC def'", "'Ünïcödé ß'", "'日本語'", "'a,b,,c'", "' x '", "'ΑΣ'", "'😀a'", NO_TEXT)
BYTES = ("b''", "b'abc'", "b'\\xff\\x00\\x80'", "b'ABC def'", "b'a,b,,c'", NO_BYTES)
DATES = (
    *("DATE '2024-02-29'", "DATE '2023-01-01'", "DATE '2016-12-31'", "DATE '1969-12-31'"),
    *("DATE '0001-01-01'", "DATE '9999-12-31'", "CAST(NULL AS DATE)"),
)
DATETIMES = (
    *("DATETIME '2024-02-29 12:34:56.789012'", "DATETIME '2023-01-01 00:00:00'", "DATETIME '1969-12-31 23:59:59.5'"),
    *("DATETIME '0001-01-01 00:00:00'", "DATETIME '9999-12-31 23:59:59.999999'", "CAST(NULL AS DATETIME)"),
)
TIMESTAMPS = (
    *("TIMESTAMP '2024-02-29 12:34:56.789012+00'", "TIMESTAMP '2023-03-12 09:59:59+00'"),
    *("TIMESTAMP '1969-12-31 23:59:59.5+00'", "TIMESTAMP '0001-01-01 00:00:00+00'"),
    *("TIMESTAMP '9999-12-31 23:59:59.999999+00'", "CAST(NULL AS TIMESTAMP)"),
)
TIMES = ("TIME '12:34:56.789012'", "TIME '00:00:00'", "TIME '23:59:59.999999'", "CAST(NULL AS TIME)")
INTERVALS = (
    *("INTERVAL 1 DAY", "INTERVAL '1-2 3 4:5:6.789' YEAR TO SECOND", "INTERVAL -5 HOUR", "INTERVAL 0 SECOND"),
    *("INTERVAL '-1-2 -3 -4:5:6' YEAR TO SECOND", "INTERVAL 90 MINUTE"),
)
ZONES = ("'UTC'", "'America/Los_Angeles'", "'+05:30'", "'-8'", "'Asia/Kolkata'")
INT_ARRAYS = ("[1,2,3]", "[5]", "CAST([] AS ARRAY<INT64>)", "CAST(NULL AS ARRAY<INT64>)")
TEXT_ARRAYS = ("['a','b']", "['x']", "CAST([] AS ARRAY<STRING>)", "CAST(NULL AS ARRAY<STRING>)")
FLOAT_ARRAYS = ("[1.5,2.5]", f"[{NAN}]", "CAST([] AS ARRAY<FLOAT64>)")
JSONS = (
    *("JSON '1'", "JSON '-2.5'", "JSON '\"x\"'", "JSON 'null'", "JSON 'true'", "JSON '[1,2]'", "JSON '\"12\"'"),
    *('JSON \'{"a":{"b":[1,null,"c"]}}\'', "CAST(NULL AS JSON)"),
)
RANGES = (
    *("RANGE<DATE> '[2020-01-01, 2021-01-01)'", "RANGE<DATE> '[UNBOUNDED, 2021-01-01)'"),
    *("RANGE<DATE> '[2020-06-01, UNBOUNDED)'", "RANGE(DATE '2022-01-01', DATE '2023-01-01')"),
    "CAST(NULL AS RANGE<DATE>)",
)
NUMBER_TYPES = (INTS, FLOATS, NUMERICS, BIGNUMERICS)
# More expressions of one family add time and find nothing new.
_MOST = 16


@dataclass(frozen=True)
class Family:
    """Expressions of one form: ``{0}`` and so on in ``template`` stand for every value of the pool with that number.

    With ``columns``, the values are also columns of a table, which the form then reads.
    """

    template: str
    pools: tuple[Values, ...] = ()
    columns: bool = True

    def arguments(self) -> list[Values]:
        """Return the values of each expression: all combinations, or a sample of them that is always the same."""
        every = list(itertools.product(*self.pools))
        return every if len(every) <= _MOST else random.Random(7).sample(every, _MOST)


def of(template: str, *pools: Values) -> Family:
    """Return the family of a template, with a pool of values for each place."""
    return Family(template, pools)


def unary(names: str, *pools: Values) -> list[Family]:
    """Return the families of functions with one argument, for each pool of its values."""
    return [of(f"{name}({{0}})", pool) for name in names.split() for pool in pools]


def binary(names: str, *pairs: tuple[Values, Values]) -> list[Family]:
    """Return the families of functions with two arguments, for each pair of pools."""
    return [of(f"{name}({{0}}, {{1}})", *pair) for name in names.split() for pair in pairs]


def infix(signs: str, *pairs: tuple[Values, Values]) -> list[Family]:
    """Return the families of operators between two values, for each pair of pools."""
    return [of(f"({{0}} {sign} {{1}})", *pair) for sign in signs.split() for pair in pairs]


def single(*expressions: str) -> list[Family]:
    """Return expressions that stand for themselves, each as a family of one."""
    return [Family(expression, columns=False) for expression in expressions]
