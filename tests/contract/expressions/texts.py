"""Functions of STRING and BYTES, regular expressions, LIKE and FORMAT."""

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
    NO_BYTES,
    NO_INT,
    NO_TEXT,
    NUMERICS,
    TEXT_ARRAYS,
    TEXTS,
    TIMES,
    TIMESTAMPS,
    binary,
    infix,
    of,
    single,
    unary,
)

# The evaluator and the local BigQuery differ in the final sigma.
_WORDS = (*(text for text in TEXTS if "Σ" not in text), "'Straße'", "'ǅ'", "'o\\'brien-smith x'", "'a\\u0301'")
_FRUIT = ("'banana'", "''", "'ba%na'", "'日本語'", "'a\\nb'", NO_TEXT)
_MATCHED = ("'foo@example.com'", "'日本語 abc'", "''", "'aaa'", NO_TEXT)
_EXPRESSIONS = ("r'@[a-z]+'", "r'(a)'", "r'(?i)ABC'", "r'[日語]'", "r'(x)?a'", "r'\\bfoo\\b'", "r'('")
_PRINTABLE = tuple(value for value in FLOATS if "e300" not in value and "NULL" not in value)
_INT_FORMATS = (
    "%d",
    "%i",
    "%5d",
    "%-5d|",
    "%05d",
    "%+d",
    "% d",
    "%x",
    "%X",
    "%o",
    "%#x",
    "%#o",
    "%08x",
    "%t",
    "%T",
    "%s",
)
_FLOAT_FORMATS = ("%f", "%.2f", "%10.3f", "%-10.1f|", "%+f", "%e", "%E", "%.3e", "%g", "%G", "%#.0f", "%t", "%T", "%d")
_PRINTED = (
    TEXTS,
    BYTES,
    DATES,
    DATETIMES,
    TIMESTAMPS,
    TIMES,
    INT_ARRAYS,
    TEXT_ARRAYS,
    BOOLS,
    BIGNUMERICS,
    INTERVALS,
    JSONS,
)

FAMILIES = [
    *unary("LENGTH BYTE_LENGTH OCTET_LENGTH UPPER LOWER REVERSE ASCII TO_CODE_POINTS", _WORDS, BYTES),
    *unary("MD5 SHA1 SHA256 SHA512 FARM_FINGERPRINT", _WORDS, BYTES),
    *unary(
        "CHAR_LENGTH CHARACTER_LENGTH INITCAP UNICODE SOUNDEX NORMALIZE NORMALIZE_AND_CASEFOLD TRIM LTRIM RTRIM", _WORDS
    ),
    *unary("TO_BASE64 TO_HEX TO_BASE32 SAFE_CONVERT_BYTES_TO_STRING", BYTES),
    of("INITCAP({0}, {1})", ("'hello world-new_x'", "'a.b'", "''"), ("' '", "'-'", "''", "'o'", NO_TEXT)),
    *(of(f"NORMALIZE({{0}}, {form})", ("'ﬁ'", "'①'", "'é'", "'a\\u0301'")) for form in ("NFC", "NFD", "NFKC", "NFKD")),
    *binary(
        "TRIM LTRIM RTRIM", (("'xxabcxx'", "'aba'", "''", "'日本日'", NO_TEXT), ("'x'", "'ab'", "''", "'日'", NO_TEXT))
    ),
    *binary("TRIM LTRIM RTRIM", (("b'xxabcxx'", "b'\\xff\\x00a'", NO_BYTES), ("b'x'", "b'\\xff'", "b''"))),
    of("SUBSTR({0}, {1})", ("'apple'", "'日本語'", "''", NO_TEXT), ("0", "1", "2", "-2", "-10", "10", NO_INT)),
    of(
        "SUBSTR({0}, {1}, {2})",
        ("'apple'", "'日本語'", NO_TEXT),
        ("0", "1", "-2", "-10", "10"),
        ("0", "2", "-1", "100"),
    ),
    of("SUBSTR({0}, {1}, {2})", ("b'apple'", "b'\\xff\\x00'"), ("1", "-1", "0"), ("1", "10")),
    *binary("LEFT RIGHT REPEAT LPAD RPAD", (("'apple'", "'日本語'", "''", NO_TEXT), ("0", "2", "10", "-1", NO_INT))),
    *binary("LEFT RIGHT REPEAT LPAD RPAD", (("b'apple'", "b''", NO_BYTES), ("0", "2", "10", "-1"))),
    *(
        of(f"{f}({{0}}, {{1}}, {{2}})", ("'abc'", "'日本'"), ("2", "8"), ("'xy'", "''", "'語'"))
        for f in ("LPAD", "RPAD")
    ),
    *binary("CONCAT", (TEXTS, ("'x'", "''", NO_TEXT)), (BYTES[:5], ("b'x'",))),
    *infix("||", (TEXTS, ("'x'", NO_TEXT)), (BYTES[:5], ("b'x'",)), (INT_ARRAYS[:3], ("[9]",)), (INTS, ("'x'",))),
    *infix("||", (NUMERICS[:5], ("'x'",)), (FLOATS[:5], ("'x'",)), (DATES, ("'x'",))),
    *binary(
        "STARTS_WITH ENDS_WITH STRPOS CONTAINS_SUBSTR",
        (("'foobar'", "''", "'日本語'", NO_TEXT), ("'foo'", "''", "'語'", "'bar'", NO_TEXT)),
        (("b'foobar'", "b''"), ("b'foo'", "b''", "b'bar'")),
    ),
    of("INSTR({0}, {1})", ("'banana'", "''", "'日本日'", NO_TEXT), ("'an'", "'日'", "''", "'x'", NO_TEXT)),
    of("INSTR({0}, {1}, {2})", ("'banana'",), ("'an'", "'a'"), ("1", "3", "-1", "-3", "0", "10", NO_INT)),
    of("INSTR({0}, {1}, {2}, {3})", ("'banana'",), ("'an'", "'ann'"), ("1", "-1"), ("1", "2", "3", "0")),
    of(
        "REPLACE({0}, {1}, {2})",
        ("'banana'", "''", "'日本日'", NO_TEXT),
        ("'an'", "''", "'日'"),
        ("'X'", "''", NO_TEXT),
    ),
    of(
        "TRANSLATE({0}, {1}, {2})",
        ("'This is a cookie'", "''", NO_TEXT),
        ("'sco'", "'abc'", "'aa'"),
        ("'zku'", "''", "'z'"),
    ),
    of("SPLIT({0})", TEXTS),
    of("SPLIT({0}, {1})", ("'a,b,,c'", "''", "'日本'", "' '", NO_TEXT), ("','", "''", "'本'", "'xx'", NO_TEXT)),
    of("SPLIT({0}, {1})", ("b'a,b'", "b''"), ("b','", "b''")),
    of("EDIT_DISTANCE({0}, {1})", ("'abc'", "''", "'日本'", NO_TEXT), ("'adc'", "''", "'日'", NO_TEXT)),
    of("EDIT_DISTANCE({0}, {1}, max_distance => {2})", ("'abcdef'",), ("'xyz'", "'abc'"), ("0", "2", "10")),
    *binary(
        "REGEXP_CONTAINS REGEXP_EXTRACT REGEXP_EXTRACT_ALL REGEXP_INSTR REGEXP_SUBSTR",
        (_MATCHED, (*_EXPRESSIONS, NO_TEXT)),
        (("b'foo@example.com'", "b'\\xffabc'", NO_BYTES), ("rb'@[a-z]+'", "rb'(a)'", "rb'\\xff'")),
    ),
    *(
        of(
            f"{name}({{0}}, {{1}}, {{2}})",
            ("'hello helloo hellooo'", "'日本日本'"),
            ("r'hello+'", "r'日'"),
            ("1", "2", "5", "0"),
        )
        for name in ("REGEXP_EXTRACT", "REGEXP_INSTR", "REGEXP_SUBSTR")
    ),
    of(
        "REGEXP_REPLACE({0}, {1}, {2})",
        ("'# Heading'", "'aaa'", "''", "'日本'", NO_TEXT),
        ("r'a'", "r'a*'", "r'^'", "r'本'", "r'(b)?'"),
        ("'X'", "r'[\\0]'", "r'\\\\'", "''"),
    ),
    of("REGEXP_REPLACE({0}, r'^# ([a-zA-Z0-9\\s]+$)', r'<h1>\\1</h1>')", ("'# Heading'", "'aaa'", NO_TEXT)),
    of("{0} LIKE {1}", _FRUIT, ("'b%'", "'%'", "'_anana'", "'日_語'", "'ba\\\\%na'", "''", "'%\\n%'", NO_TEXT)),
    of("{0} LIKE {1}", ("b'banana'", "b'\\xff'"), ("b'b%'", "b'_'")),
    *(
        of(f"{{0}} {like} ({{1}}, {{2}})", ("'abc'", NO_TEXT), ("'a%'", "'z'"), ("'%c'", NO_TEXT))
        for like in ("LIKE ANY", "LIKE ALL", "LIKE SOME", "NOT LIKE ANY", "NOT LIKE ALL")
    ),
    *unary("CHR", ("65", "255", "513", "1024", "0", "1114112", "-1", "55296", NO_INT)),
    *unary("CODE_POINTS_TO_STRING", ("[65,98,255]", "CAST([] AS ARRAY<INT64>)", "[0]", "[128512]", "[55296]")),
    *unary("CODE_POINTS_TO_BYTES", ("[65,98,255]", "CAST([] AS ARRAY<INT64>)", "[256]", "[-1]")),
    *unary("FROM_BASE64 SAFE.FROM_BASE64", ("'/+A='", "''", "'abc'", "'YWJj'", "'@@'", NO_TEXT)),
    *unary("FROM_HEX SAFE.FROM_HEX", ("'00AF'", "'0AF'", "''", "'zz'", "'AbCd'", NO_TEXT)),
    *unary("FROM_BASE32", ("'MFRGG==='", "''", "'abc'", "'MFRGGZDF'", NO_TEXT)),
    *(of(f"FORMAT('{form}', {{0}})", INTS) for form in (*_INT_FORMATS, "%\\'d", "%\\'x")),
    *(of(f"FORMAT('{form}', {{0}})", _PRINTABLE) for form in (*_FLOAT_FORMATS, "%\\'f", "%\\'.2f")),
    *(of(f"FORMAT('{form}', {{0}})", NUMERICS[:5]) for form in ("%t", "%T", "%f", "%.2f", "%e", "%g", "%d")),
    *(of(f"FORMAT('{form}', {{0}})", TEXTS) for form in ("%s", "%10s", "%-10s|", "%.2s", "%x")),
    *(of(f"FORMAT('{form}', {{0}})", pool) for form in ("%t", "%T") for pool in _PRINTED),
    *(of(f"FORMAT('{form}', {{0}})", JSONS[:7]) for form in ("%p", "%P")),
    *(
        of(f"FORMAT('{form}', {{0}})", (value,))
        for form in ("%t", "%T")
        for value in (
            "STRUCT(1,'a')",
            "STRUCT(1 AS x, [1,2] AS y)",
            "STRUCT('x')",
            "[STRUCT(1,2.5)]",
            "[DATE '2020-01-02']",
        )
    ),
    *single(
        "FORMAT('%T', 'q\"q')",
        "FORMAT('%T', 'a\\nb')",
        "FORMAT('%T', b'\\x00\\n')",
        "FORMAT('%*d', 5, 42)",
        "FORMAT('%.*f', 2, 3.14159)",
        "FORMAT('%%')",
        "FORMAT('%d %s', 1, 'a')",
        "FORMAT('%d', 'a')",
        "FORMAT('%q', 1)",
        "FORMAT('%d')",
        "FORMAT('%d', NULL)",
        "FORMAT(NULL, 1)",
        "FORMAT('%T', NULL)",
        "FORMAT('%u', 5)",
        "FORMAT('%.3t', 'abcdef')",
        "FORMAT(CONCAT('%','d'), 5)",
        "FORMAT('%\\'10d', 1234567)",
        "FORMAT('%.0f', 2.5)",
        "SAFE.SUBSTR('abc', 1, -1)",
        "SAFE.CHR(-1)",
        "SAFE.REGEXP_EXTRACT('a', '(')",
        "r'a\\n'",
        '"""three "quotes\\""""',
        "'\\x41\\u00e9\\U0001F600\\101'",
    ),
]
