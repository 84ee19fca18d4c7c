"""Functions of texts, BYTES and addresses; the values are those of Google's reference implementation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest

from tests.localcloud.bigquery.world import BigQueryWorld, bigquery_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BigQueryWorld]:
    with bigquery_world(tmp_path_factory.mktemp("storage")) as running:
        running.client().create_dataset("bytes")
        running.rows("CREATE TABLE bytes.b (id INT64, x BYTES)")
        running.rows("INSERT INTO bytes.b VALUES (1, b'ab\\xff')")
        yield running


VALUES: dict[str, dict[str, Any]] = {
    "parts": {
        "LEFT('abcdé', 3)": "abc",
        "LEFT(b'abcd', 3)": b"abc",
        "RIGHT('abcdé', 2)": "dé",
        "RIGHT(b'ab\\xff', 2)": b"b\xff",
        "RIGHT('abc', 0)": "",
        "LPAD('abc', 5, 'xyz')": "xyabc",
        "LPAD(b'abc', 5)": b"  abc",
        "RPAD('abc', 2, 'x')": "ab",
        "RPAD(b'abc', 8, b'xy')": b"abcxyxyx",
        "REPEAT(b'ab', 2)": b"abab",
        "SAFE.LEFT('abc', -1)": None,
        "SAFE.RPAD('abc', 5, '')": None,
        "REVERSE(t.x)": b"\xffba",
    },
    "changes": {
        "UPPER(t.x)": b"AB\xff",
        "TRIM(b'xxabxx', b'x')": b"ab",
        "LTRIM(b'xyab', b'yx')": b"ab",
        "REPLACE(b'banana', b'an', b'AN')": b"bANANa",
        "TRANSLATE(b'abcde', b'abc', b'x')": b"xde",
        "SPLIT(b'a,b,', b',')": [b"a", b"b", b""],
        "TO_CODE_POINTS(t.x)": [97, 98, 255],
        "CAST('é\\\\x' AS BYTES)": "é\\x".encode(),
        "CAST(t.x AS BYTES)": b"ab\xff",
        "SAFE_CAST(t.x AS STRING)": None,
        "SAFE_CONVERT_BYTES_TO_STRING(t.x)": "ab\ufffd",
    },
    "search": {
        "STRPOS(b'foo@bar', b'@')": 4,
        "INSTR(b'banana', b'an', -1, 2)": 2,
        "INSTR('banana', 'an', 3)": 4,
        "INSTR('banana', 'an', 100)": 0,
        "STARTS_WITH(b'bar', b'b')": True,
        "ENDS_WITH(LOWER(b'BAR'), b'ar')": True,
        "t.x LIKE b'a%'": True,
        "t.x NOT LIKE b'_'": True,
        "'a%' LIKE 'a\\\\%'": True,
        "'ab' LIKE 'a\\\\%'": False,
    },
    "regular_expressions": {
        "REGEXP_EXTRACT('utm=', r'utm=([^&]*)')": "",
        "REGEXP_EXTRACT('abc', r'(x)?abc')": None,
        "REGEXP_EXTRACT('abc', r'x(.*)')": None,
        "REGEXP_EXTRACT_ALL('aab', r'a*')": ["aa", ""],
        "REGEXP_EXTRACT_ALL('ab', r'a(x)?')": [""],
        "REGEXP_EXTRACT_ALL('Try `f(x)` or `f(y)`', r'`(.+?)`')": ["f(x)", "f(y)"],
        "REGEXP_INSTR('ab@cd-ef@gh', r'@([^-]*)')": 4,
        "REGEXP_INSTR('ab@cd-ef@gh', r'@([^-]*)', 5, 1, 1)": 12,
    },
    "networks": {
        "NET.HOST('https://user@www.Google.co.uk:80/x?y')": "www.Google.co.uk",
        "NET.HOST('//[::1]:80')": "[::1]",
        "NET.HOST('')": None,
        "NET.IP_FROM_STRING('48.49.50.51')": b"0123",
        "NET.SAFE_IP_FROM_STRING('x')": None,
        "NET.IP_TO_STRING(b'0123456789@ABCDE')": "3031:3233:3435:3637:3839:4041:4243:4445",
        "NET.IP_NET_MASK(4, 20)": b"\xff\xff\xf0\x00",
        "NET.IP_TRUNC(b'\\xaa\\xbb\\xcc\\xdd', 11)": b"\xaa\xa0\x00\x00",
        "NET.IPV4_FROM_INT64(-1)": b"\xff\xff\xff\xff",
        "NET.IPV4_TO_INT64(b'\\x00\\xab\\xcd\\xef')": 11259375,
    },
    "numbers": {
        "FARM_FINGERPRINT(b'abcd\\xff')": -5371537063649720970,
        "TO_HEX(LEFT(SHA512(b'abc'), 4))": "ddaf35a1",
        "BIT_COUNT(b'\\xff\\x01')": 9,
        "t.x & b'\\xf0\\xf0\\xf0'": b"``\xf0",
        "b'\\x0f' | b'\\x30'": b"?",
        "b'\\x0f' ^ b'\\xff'": b"\xf0",
        "~b'\\x0f'": b"\xf0",
        "b'\\x01\\x02' << 4": b"\x10 ",
        "b'\\x01\\x02' >> 12": b"\x00\x00",
        "ASCII(b'a')": 97,
        "UNICODE('')": 0,
        "SOUNDEX('Tymczak')": "T520",
        "SOUNDEX('Pfister')": "P236",
        "EDIT_DISTANCE('kitten', 'sitting')": 3,
        "EDIT_DISTANCE('é', 'e')": 1,
        "EDIT_DISTANCE('abcdefg', 'a', max_distance => 2)": 2,
    },
}


@pytest.mark.parametrize("group", VALUES)
def test_results_are_those_of_the_reference(world: BigQueryWorld, group: str) -> None:
    cases = VALUES[group]
    [row] = world.rows(f"SELECT {', '.join(cases)} FROM bytes.b AS t")
    assert dict(zip(cases, row, strict=True)) == cases


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("LEFT('abc', -1)", "Second argument in LEFT() cannot be negative"),
        ("LPAD('abc', 5, '')", "Third argument (pad pattern) for LPAD/RPAD cannot be empty"),
        ("REPEAT('a', -1)", "Second argument (repeat count) for REPEAT cannot be negative"),
        ("INSTR('banana', 'an', 0)", "Position must be non-zero"),
        ("INSTR('banana', 'an', 1, 0)", "Occurrence must be positive"),
        ("REGEXP_EXTRACT('abc', r'(a)(b)')", "must not have more than 1 capturing group"),
        ("REGEXP_EXTRACT('abc', r'a', 0)", "Position must be positive"),
        ("REGEXP_INSTR('abc', r'a', 1, 0)", "Occurrence must be positive"),
        ("b'ab' & b'a'", "requires equal length of the inputs. Got 2 bytes on the left hand side and 1 bytes"),
        ("NET.IP_FROM_STRING('x')", "Failed to parse x as an IP address"),
        ("NET.REG_DOMAIN('a.co.uk')", "NET.REG_DOMAIN is not supported"),
        ("CAST(t.x AS STRING)", "Invalid cast of bytes to UTF8 string"),
        ("EDIT_DISTANCE('a', 'b', max_distance => -1)", "Max distance must be non-negative"),
    ],
)
def test_arguments_that_a_function_does_not_accept_are_refused(
    world: BigQueryWorld, expression: str, message: str
) -> None:
    with pytest.raises(BadRequest) as refused:
        world.rows(f"SELECT {expression} FROM bytes.b AS t")
    assert message in refused.value.message
