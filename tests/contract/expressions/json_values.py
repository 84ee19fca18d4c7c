"""Functions of JSON, in texts and in values of the type."""

from __future__ import annotations

from tests.contract.expressions.values import (
    BIGNUMERICS,
    BOOLS,
    BYTES,
    DATES,
    DATETIMES,
    FLOATS,
    INT_ARRAYS,
    INTERVALS,
    INTS,
    JSONS,
    NO_TEXT,
    NUMERICS,
    TEXT_ARRAYS,
    TEXTS,
    TIMES,
    TIMESTAMPS,
    of,
    single,
    unary,
)

_OBJECT = '{"a":1.50,"b":[1,"x",null,{"c":true}],"d e":"q","z":{}}'
_TEXTS = (f"'{_OBJECT}'", "'[1,2,3]'", "'\"str\"'", "'1.50'", "'null'", "'true'", "'{bad'", "''", NO_TEXT)
_VALUES = (f"JSON '{_OBJECT}'", "JSON '[1,2,3]'", "JSON '\"str\"'", "JSON '1.50'", "JSON 'null'", "CAST(NULL AS JSON)")
_PATHS = ("$", "$.a", "$.b", "$.b[1]", "$.b[2]", "$.b[3].c", "$.b[9]", '$."d e"', "$[0]", "$.nope", "$.z", "$.a.x")
_PARSED = (
    *("'[1,]'", "'{\"a\":1,}'", "'1'", "'1.50'", '\'{"a": 1 , "b" : [1, 2]}\'', '\'{"b":1,"a":2,"b":3}\'', "'1e400'"),
    *(
        "'01'",
        "'nan'",
        "'123456789012345678901234567890'",
        "'\"\\\\ud83d\\\\ude00\"'",
        "''",
        "' 1 '",
        "'[1 2]'",
        "'-0'",
    ),
    *("'1.0'", "'1e2'", "'0.1'", "'9007199254740993'", "'18446744073709551615'", "'-9223372036854775809'", "'tru'"),
    *("'[1,2'", "'1.'", "'.5'", "'+1'", "'{\"a\"}'", "'0.30000000000000004'", "'1.23456789012345678901'", NO_TEXT),
)
_MORE = (*JSONS, "JSON '1.0'", "JSON '9223372036854775808'", "JSON '\"true\"'", "JSON '\"1e3\"'", "JSON '{}'")
_TYPES = (
    INTS,
    (*FLOATS[1:4], *FLOATS[5:]),
    NUMERICS,
    BIGNUMERICS,
    TEXTS,
    BYTES,
    DATES,
    DATETIMES,
    TIMESTAMPS,
    TIMES,
    BOOLS,
    INT_ARRAYS,
    TEXT_ARRAYS,
)
_READERS = "JSON_VALUE JSON_QUERY JSON_EXTRACT JSON_EXTRACT_SCALAR JSON_QUERY_ARRAY JSON_EXTRACT_ARRAY JSON_VALUE_ARRAY"

FAMILIES = [
    *unary(_READERS, _TEXTS, _VALUES),
    *(
        of(f"{name}({{0}}, '{path}')", pool[:4])
        for name in _READERS.split()
        for path in _PATHS
        for pool in (_TEXTS, _VALUES)
    ),
    *unary("PARSE_JSON SAFE.PARSE_JSON", _PARSED),
    of("PARSE_JSON({0}, wide_number_mode => 'round')", _PARSED),
    of("TO_JSON_STRING(PARSE_JSON({0}))", _PARSED),
    *unary("TO_JSON_STRING", *_TYPES, JSONS, INTERVALS),
    *unary("TO_JSON", *_TYPES),
    *unary("INT64 FLOAT64 BOOL STRING LAX_INT64 LAX_FLOAT64 LAX_BOOL LAX_STRING JSON_TYPE JSON_KEYS", _MORE),
    *unary("SAFE.INT64 SAFE.FLOAT64 SAFE.BOOL SAFE.STRING", _MORE),
    *unary(
        "INT64_ARRAY FLOAT64_ARRAY BOOL_ARRAY STRING_ARRAY LAX_STRING_ARRAY",
        ("JSON '[1,2]'", "JSON '[1.5]'", "JSON '[true]'", "JSON '[\"a\"]'", "JSON '[]'", "JSON 'null'", "JSON '1'"),
    ),
    *single(
        "TO_JSON_STRING(STRUCT(1 AS a, [1,2] AS b), TRUE)",
        "TO_JSON_STRING(STRUCT(1, 2))",
        "TO_JSON_STRING([STRUCT(1 AS a)])",
        "TO_JSON_STRING(STRUCT(1.5 AS f, NUMERIC '1.5' AS n, b'ab' AS y, DATE '2020-01-01' AS d))",
        "TO_JSON(STRUCT(1, 'x'))",
        "TO_JSON(9007199254740993, stringify_wide_numbers => TRUE)",
        "JSON_ARRAY()",
        "JSON_ARRAY(1, 'a', NULL, [1,2], STRUCT(1 AS x))",
        "JSON_OBJECT('a', 1, 'b', [1,2])",
        "JSON_OBJECT(['a','b'], [1,2])",
        "JSON_OBJECT('a', 1, 'a', 2)",
        "JSON_OBJECT(NULL, 1)",
        "JSON_OBJECT('a')",
        "JSON_SET(JSON '{\"a\":1}', '$.b', 2)",
        "JSON_SET(JSON '[1,2]', '$[5]', 9)",
        "JSON_SET(JSON '{\"a\":1}', '$.b.c', 2, create_if_missing => FALSE)",
        "JSON_REMOVE(JSON '{\"a\":1,\"b\":2}', '$.a')",
        "JSON_REMOVE(JSON '[1,2,3]', '$[1]', '$[1]')",
        'JSON_STRIP_NULLS(JSON \'{"a":null,"b":[null,1]}\')',
        "JSON_ARRAY_APPEND(JSON '{\"a\":[1]}', '$.a', [2,3])",
        "JSON_ARRAY_INSERT(JSON '[1,2]', '$[1]', 'x')",
        'JSON_KEYS(JSON \'{"a":{"b":1}}\', 1)',
        'JSON \'{"a":{"b":5}}\'.a.b',
        "JSON '[1,2,3]'[1]",
        "JSON '{\"a\":1}'['a']",
        "JSON '{\"a\":1}'.nope",
        "INT64(JSON '{\"a\":5}'.a)",
    ),
]
