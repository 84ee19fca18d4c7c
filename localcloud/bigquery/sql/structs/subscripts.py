"""Rewrites array subscripts such as ``a[OFFSET(i)]`` as calls of DuckDB macros.

DuckDB counts from 1, counts negative indexes from the end, and returns NULL for a missing element. bqemulator's own
translation loses the difference of 1 for an index that is not a literal, and in a query that is analysed for types.
https://cloud.google.com/bigquery/docs/reference/standard-sql/operators#array_subscript_operator
"""

from __future__ import annotations

from localcloud.bigquery.sql.reading.draft import Draft
from localcloud.bigquery.sql.reading.names import RESERVED
from localcloud.bigquery.sql.reading.tokens import Token, bracket_pairs, readable_tokens

_FUNCTION_BY_WORD = {
    "OFFSET": "_element_at_offset",
    "ORDINAL": "_element_at_ordinal",
    "SAFE_OFFSET": "_element_or_null_at_offset",
    "SAFE_ORDINAL": "_element_or_null_at_ordinal",
}
_PLAIN = "_element"
# Reserved words that are called like functions or are types.
_CALLED = frozenset({"ARRAY", "CAST", "EXTRACT", "GROUPING", "IF", "LEFT", "RIGHT", "STRUCT"})
_LITERAL_TYPES = frozenset({"BIGNUMERIC", "DATE", "DATETIME", "JSON", "NUMERIC", "RANGE", "TIME", "TIMESTAMP"})

_ERROR = """bqemu_fail('Array index ' || place || ' is out of bounds (' ||
    CASE WHEN place < {first} THEN 'underflow' ELSE 'overflow' END || ')')"""
_CHECKED = """CASE WHEN place < {first} OR place >= len(elements) + {first} THEN {error}
    ELSE elements[place + 1 - {first}] END"""
_SAFE = "CASE WHEN place >= {first} THEN elements[place + 1 - {first}] END"
# JSON subscripts have the same brackets, count from 0, and return NULL for a missing element. DuckDB knows the type here.
_EITHER = """CASE WHEN typeof(elements) LIKE '%]' AND (place < 0 OR place >= len(elements)) THEN {error}
    ELSE elements[CASE WHEN typeof(elements) LIKE '%]' THEN place + 1 WHEN place >= 0 THEN place END] END"""

MACROS: tuple[str, ...] = tuple(
    f"CREATE OR REPLACE MACRO {name}(elements, place) AS {body.format(first=first, error=_ERROR.format(first=first))}"
    for name, body, first in (
        ("_element_at_offset", _CHECKED, 0),
        ("_element_at_ordinal", _CHECKED, 1),
        ("_element_or_null_at_offset", _SAFE, 0),
        ("_element_or_null_at_ordinal", _SAFE, 1),
        (_PLAIN, _EITHER, 0),
    )
)


def call_subscripts(draft: Draft) -> None:
    """Call ``MACROS`` in place of the subscripts of GoogleSQL; string keys of JSON do not change."""
    sql = draft.text
    if "[" not in sql:
        return
    found = readable_tokens(sql)
    pairs = bracket_pairs(found)
    edits: list[tuple[int, int, str]] = []
    # Of two subscripts of one operand, the later one is the outer call, so it starts first.
    for opening in sorted((index for index in pairs if found[index].text == "["), reverse=True):
        closing = pairs[opening]
        if closing < opening or not _is_operand(found, opening - 1):
            continue
        first, last = opening + 1, closing
        if last - first == 1 and found[first].kind == "string":
            literal = found[opening - 2 : opening]
            if literal[-1].kind == "string" and literal[0].is_word("JSON"):
                # sqlglot would apply the subscript to the literal without its type.
                edits.append((literal[0].start, literal[0].start, "("))
                edits.append((literal[1].end, literal[1].end, ")"))
            continue
        function = _PLAIN
        if found[first].text.upper() in _FUNCTION_BY_WORD and pairs.get(first + 1) == closing - 1:
            function = _FUNCTION_BY_WORD[found[first].text.upper()]
            first, last = first + 2, closing - 1
        if first >= last:
            continue
        start = found[_start_of_operand(found, pairs, opening - 1)].start
        edits.append((start, start, f"{function}("))
        edits.append((found[opening].start, found[first].start, ", "))
        edits.append((found[last - 1].end, found[closing].end, ")"))
    pieces, at = [], 0
    for start, end, text in sorted(edits, key=lambda edit: edit[0]):
        pieces += [sql[at:start], text]
        at = end
    draft.text = "".join([*pieces, sql[at:]])


def _is_operand(found: tuple[Token, ...], index: int) -> bool:
    """Return whether an expression ends with a token, so that a bracket after it is a subscript and not an array."""
    if index < 0:
        return False
    token = found[index]
    match token.kind:
        case "word":
            return RESERVED.fullmatch(token.text) is None or (index > 0 and found[index - 1].is_symbol(".", "@"))
        case "number":
            return index > 0 and found[index - 1].is_symbol("@")
        case "symbol":
            return token.text in (")", "]", "?")
        case kind:
            return kind in ("quoted", "string")


def _start_of_operand(found: tuple[Token, ...], pairs: dict[int, int], last: int) -> int:
    """Return the index of the first token of the operand that ends with the token ``last``."""
    index = last
    while True:
        token = found[index]
        if token.is_symbol(")", "]"):
            bracket = token.text
            index = pairs.get(index, index)
            before = found[index - 1] if index else None
            if before is None:
                return index
            if before.is_symbol(">"):
                return _start_of_type(found, index - 1)
            called = before.kind == "quoted" or (
                before.kind == "word" and (before.text.upper() in _CALLED or not RESERVED.fullmatch(before.text))
            )
            if bracket == "]" and before.is_word("ARRAY"):
                return index - 1
            if called if bracket == ")" else _is_operand(found, index - 1):
                index -= 1
                continue
            return index
        if token.kind == "string":
            return index - 1 if index and found[index - 1].is_word(*_LITERAL_TYPES) else index
        before = found[index - 1] if index else None
        if before is not None and before.is_symbol("@"):
            while index and found[index - 1].is_symbol("@"):
                index -= 1
            return index
        if before is None or not before.is_symbol("."):
            return index
        index -= 2


def _start_of_type(found: tuple[Token, ...], index: int) -> int:
    """Return the index of ARRAY or STRUCT in ``ARRAY<...>``, whose last ``>`` is at ``index``."""
    depth = 0
    while index > 0:
        depth += found[index].text.count(">") - found[index].text.count("<")
        index -= 1
        if not depth:
            break
    return index
