"""Casts, formats of casts, parsing of numbers, and conditions."""

from __future__ import annotations

from tests.contract.expressions.values import (
    BIGNUMERICS,
    BOOLS,
    BYTES,
    DATES,
    DATETIMES,
    FLOATS,
    INT_ARRAYS,
    INTS,
    NO_INT,
    NO_TEXT,
    NUMERICS,
    RANGES,
    TEXTS,
    TIMES,
    TIMESTAMPS,
    ZONES,
    of,
    single,
    unary,
)

_CASTS = ("CAST", "SAFE_CAST")
_NUMBERS = (
    *("'1'", "' 12 '", "'-5'", "'+7'", "'0x1F'", "'-0xff'", "'1.5'", "'1e3'", "'abc'", "''", "'inf'", "'NaN'"),
    *("'9223372036854775808'", "'1_000'", "'.5'", "'5.'", "'-Infinity'", "'+inf'", NO_TEXT),
)
_WITHOUT_LINES = tuple(value for value in _NUMBERS if "_" not in value)
_FRACTIONS = (*FLOATS, "0.5", "2.5", "-0.5", "1e15", "1e16", "123456789.125", "1e21", "0.1e-6", "3.0", "9.3e18")
# BigQuery writes NaN, and the evaluator nan.
_WRITTEN = tuple(value for value in _FRACTIONS if "nan" not in value)
_DATES = ("'2024-02-29'", "'2023-02-29'", "'2024-2-9'", "'2024-02-29 10:00:00'", "'x'", "''", "'0000-01-01'", NO_TEXT)
_DATETIMES = (
    *("'2024-02-29 12:34:56'", "'2024-02-29T12:34:56.5'", "'2024-02-29'", "'2024-02-29 12:34:56+00'"),
    *("'2024-02-29 12:34'", "'2024-2-9 1:2:3'", "'x'", NO_TEXT),
)
_TIMESTAMPS = (
    *("'2024-02-29 12:34:56'", "'2024-02-29T12:34:56.5Z'", "'2024-02-29'", "'2024-02-29 12:34:56+05:30'"),
    *("'2024-02-29 12:34:56-8'", "'2024-02-29 12:34:56 America/New_York'", "'2024-02-29 12:34'", "'x'", NO_TEXT),
)
_TIMES = ("'12:34:56'", "'12:34:56.789'", "'1:2:3'", "'12:34'", "'24:00:00'", "'x'", NO_TEXT)
_DATE_FORMATS = (
    *("YYYY-MM-DD", "YY", "Y", "YYY", "RRRR", "MM", "MON", "Mon", "mon", "MONTH", "Month", "DD", "DDD", "D", "DAY"),
    *("Day", "DY", "Dy", "Q", "WW", "W", "IW", "IYYY", "J", "CC", 'YYYY"x"MM', "YYYY/MM.DD", "FMMM", "zz"),
)
_TIME_FORMATS = ("HH", "HH12", "HH24:MI:SS", "SSSSS", "FF1", "FF3", "FF6", "AM", "P.M.", "A.M.", "pm", "YYYY HH;MI:SS")
_NUMBER_FORMATS = (
    *("9", "99", "999", "000", "999.99", "0.00", "9,999", "$999", "S999", "999S", "999MI", "999PR", "FM999.00"),
    *("XXXX", "xx", "TM", "TM9", "TME", "9.99EEEE", "L999", "C999", "B999", "99V99", "999G999", "0D9", "FMXX", "RN"),
)
_BYTE_FORMATS = ("HEX", "BASE64", "BASE32", "BASE16", "ASCII", "UTF-8", "UTF8")
_PARSED = (
    ("YYYY-MM-DD", ("'2024-02-29'", "'2023-02-29'", "'x'")),
    ("MM/DD/YYYY", ("'02/29/2024'",)),
    ("DD MON YYYY", ("'29 FEB 2024'",)),
    ("YYYY-MM-DD HH24:MI:SS", ("'2024-02-29 12:34:56'",)),
    ("MONTH DD, YYYY", ("'FEBRUARY 29, 2024'", "'February 3, 2024'")),
    ("YYMMDD", ("'240229'",)),
    ("YYYY DDD", ("'2024 060'",)),
)


def _casts(target: str, *pools: tuple[str, ...]) -> list:
    return [of(f"{cast}({{0}} AS {target})", pool) for cast in _CASTS for pool in pools]


def _formatted(formats: tuple[str, ...], *pools: tuple[str, ...]) -> list:
    return [of(f"CAST({{0}} AS STRING FORMAT '{each}')", pool) for each in formats for pool in pools]


FAMILIES = [
    *_casts("INT64", _NUMBERS, _FRACTIONS, INTS, (*NUMERICS, "NUMERIC '0.5'", "NUMERIC '-0.5'"), BOOLS),
    *_casts("FLOAT64", _NUMBERS, INTS, NUMERICS, BIGNUMERICS),
    *_casts("NUMERIC", _NUMBERS, _FRACTIONS, INTS, BIGNUMERICS),
    *_casts("BIGNUMERIC", _NUMBERS, ("0.5", "-2.5", "1e16", "3.0", "1e300"), INTS, NUMERICS[:6]),
    *_casts("BOOL", ("'true'", "'FALSE'", "'t'", "'1'", "'yes'", "' true '", NO_TEXT), INTS, BOOLS),
    *_casts("STRING", _WRITTEN, INTS, NUMERICS, BIGNUMERICS, BOOLS, DATES, DATETIMES, TIMESTAMPS, TIMES, BYTES, TEXTS),
    *_casts("STRING", RANGES),
    *_casts("BYTES", TEXTS, BYTES),
    *_casts("DATE", _DATES, DATETIMES, TIMESTAMPS),
    *_casts("DATETIME", _DATETIMES, DATES, TIMESTAMPS),
    *_casts("TIMESTAMP", _TIMESTAMPS, DATES, DATETIMES),
    *_casts("TIME", _TIMES, DATETIMES, TIMESTAMPS),
    *_casts("ARRAY<STRING>", INT_ARRAYS),
    *_casts("ARRAY<INT64>", ("['1','2']",)),
    *_casts("STRUCT<a STRING, b FLOAT64>", ("STRUCT(1,2)", "(3,4)")),
    *_casts("NUMERIC(5,2)", ("'123.456'",), ("NUMERIC '123.455'",)),
    *_casts("STRING(3)", ("'abcd'", "'ab'")),
    *_casts("BYTES(2)", ("b'abc'", "b'a'")),
    *_formatted(_DATE_FORMATS, DATES[:2], DATETIMES[:2], TIMESTAMPS[:3]),
    *_formatted(_TIME_FORMATS, DATETIMES[:3], TIMESTAMPS[:3]),
    *_formatted(("TZH", "TZM", "TZH:TZM"), TIMESTAMPS[:3]),
    *_formatted(("HH24:MI", "HH12:MI AM", "SS", "FF6", "SSSSS"), TIMES),
    *_formatted(_NUMBER_FORMATS, ("0", "12", "-12", "123456"), ("0.0", "12.345", "-0.5", "1e10"), NUMERICS[:5]),
    *_formatted(_BYTE_FORMATS, BYTES[:4]),
    of("CAST({0} AS STRING FORMAT 'YYYY-MM-DD HH24:MI:SS TZH:TZM' AT TIME ZONE {1})", TIMESTAMPS[:1], ZONES),
    *(of(f"CAST({{0}} AS BYTES FORMAT '{f}')", ("'00FF'", "'YWJj'", "'0101'", "''")) for f in _BYTE_FORMATS),
    *(
        of(f"{cast}({{0}} AS {target} FORMAT '{form}')", texts)
        for form, texts in _PARSED
        for cast in _CASTS
        for target in ("DATE", "DATETIME", "TIMESTAMP")
    ),
    of("CAST({0} AS TIMESTAMP FORMAT 'YYYY-MM-DD HH24:MI' AT TIME ZONE {1})", ("'2024-02-29 12:34'",), ZONES),
    of("CAST({0} AS TIME FORMAT 'HH24:MI:SS')", ("'12:34:56'", "'25:00:00'")),
    of("CAST({0} AS TIME FORMAT 'HH12:MI PM')", ("'12:34 AM'", "'01:02 PM'")),
    *unary("PARSE_NUMERIC PARSE_BIGNUMERIC", (*_WITHOUT_LINES, "'1,234.5'", "'- 5'", "'12-'")),
    of("IF({0}, {1}, {2})", BOOLS, ("1", NO_INT), ("2.5",)),
    of("IFNULL({0}, {1})", INTS, ("5",)),
    of("COALESCE({0}, {1})", TEXTS, ("'z'", NO_TEXT)),
    of("NULLIF({0}, {1})", INTS, ("1",)),
    of("CASE {0} WHEN {1} THEN 'a' ELSE 'b' END", INTS, ("1",)),
    *single(
        "IF(TRUE, 1, NUMERIC '2')",
        "COALESCE(NULL, NULL)",
        "COALESCE(1, 2.5)",
        "IFNULL(NULL, 'x')",
        "CASE WHEN NULL THEN 1 END",
        "CASE WHEN TRUE THEN 1 ELSE 2.5 END",
        "ERROR('bad')",
        "IF(FALSE, ERROR('x'), 1)",
        "'a''b'",
        "'a' 'b'",
        "CAST('2024-02-29 12:34:56 +05:30' AS TIMESTAMP FORMAT 'YYYY-MM-DD HH24:MI:SS TZH:TZM')",
        "CAST('2024-02-29 12:34:56.789' AS DATETIME FORMAT 'YYYY-MM-DD HH24:MI:SS.FF3')",
        "NET.HOST('http://google.com:80/a')",
        "NET.HOST('x')",
        "NET.HOST('//[::1]/x')",
        "NET.IP_FROM_STRING('48.49.50.51')",
        "NET.IP_FROM_STRING('::1')",
        "NET.IP_FROM_STRING('x')",
        "NET.SAFE_IP_FROM_STRING('x')",
        "NET.IP_TO_STRING(b'0123')",
        "NET.IP_TO_STRING(b'0')",
        "NET.IP_NET_MASK(4, 8)",
        "NET.IP_TRUNC(b'\\xaa\\xbb\\xcc\\xdd', 11)",
        "NET.IPV4_FROM_INT64(0x30313233)",
        "NET.IPV4_TO_INT64(b'0123')",
    ),
]
