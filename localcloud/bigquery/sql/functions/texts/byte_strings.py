"""Carries out the functions of texts for BYTES, and searches texts as INSTR and LIKE do.

DuckDB has these functions for texts only. Its types are not known here, so a value is BYTES if it is a literal, a column of a
table, or the result of a function that returns BYTES.
https://cloud.google.com/bigquery/docs/reference/standard-sql/string_functions
"""

from __future__ import annotations

import hashlib
import operator
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, AnyStr

import duckdb
from bqemulator.sql.builtin_udfs import _farm_fingerprint64
from duckdb.func import FunctionNullHandling
from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.errors.function_errors import FunctionError
from localcloud.bigquery.sql.functions.nodes import Rule, call, is_text, number
from localcloud.bigquery.sql.functions.texts.parts import translation


def _split(value: bytes, separator: bytes) -> list[bytes]:
    return value.split(separator) if separator else [value[place : place + 1] for place in range(len(value))] or [b""]


def _translated(value: bytes, source: bytes, target: bytes) -> bytes:
    if len(set(source)) < len(source):
        raise FunctionError(QueryError("Duplicate byte in TRANSLATE source characters"))
    kept = source[: len(target)]
    return value.translate(bytes.maketrans(kept, target[: len(kept)]), delete=source[len(target) :])


def _fingerprint(value: bytes) -> int:
    return int.from_bytes(_farm_fingerprint64(value).to_bytes(8, "big"), "big", signed=True)


def _ascii(value: bytes) -> int:
    return value[0] if value else 0


def instr(value: AnyStr, found: AnyStr, position: int, occurrence: int) -> int:
    """Return the place where a value is found, counted from 1, or 0; a negative position counts, and searches, from the end."""
    if position == 0:
        raise FunctionError(QueryError("Position must be non-zero"))
    if occurrence < 1:
        raise FunctionError(QueryError("Occurrence must be positive"))
    at = position - 1 if position > 0 else len(value) + position
    for _ in range(occurrence):
        if at < 0 or at > len(value):
            return 0
        place = value.find(found, at) if position > 0 else value.rfind(found, 0, at + len(found))
        if place < 0:
            return 0
        at = place + 1 if position > 0 else place - 1
    return place + 1


def edit_distance(one: str, other: str, most: int) -> int:
    """Return how many characters are inserted, deleted or replaced to make one text of another, but no more than ``most``."""
    if most < 0:
        raise FunctionError(QueryError("Max distance must be non-negative"))
    distances = list(range(len(other) + 1))
    for row, left in enumerate(one, 1):
        before, distances[0] = distances[0], row
        for column, right in enumerate(other, 1):
            replaced = before + (left != right)
            before = distances[column]
            distances[column] = min(before + 1, distances[column - 1] + 1, replaced)
    return min(distances[-1], most)


@lru_cache(maxsize=512)
def _pattern(pattern: bytes) -> re.Pattern[bytes]:
    parts = re.findall(rb"\\(.)|(%)|(_)|([^\\%_]+)", pattern, re.DOTALL)
    written = [b".*" if many else b"." if one else re.escape(escaped or plain) for escaped, many, one, plain in parts]
    return re.compile(b"".join(written), re.DOTALL)


def _like(value: bytes, pattern: bytes) -> bool:
    return _pattern(pattern).fullmatch(value) is not None


def _with_bits(of: Callable[[int, int], int]) -> Callable[[bytes, bytes], bytes]:
    """Return the function that applies an operator to the bits of BYTES of equal length."""

    def combined(one: bytes, other: bytes) -> bytes:
        if len(one) != len(other):
            raise FunctionError(
                QueryError(
                    "Bitwise binary operator for BYTES requires equal length of the inputs. "
                    f"Got {len(one)} bytes on the left hand side and {len(other)} bytes on the right hand side."
                )
            )
        return bytes(map(of, one, other))

    return combined


def _shifted(value: bytes, places: int) -> bytes:
    """Return BYTES of the same length that are shifted to the left, or to the right by a negative number of places."""
    bits = int.from_bytes(value, "big")
    bits = bits << min(places, 8 * len(value)) if places > 0 else bits >> -places
    return (bits & ((1 << 8 * len(value)) - 1)).to_bytes(len(value), "big")


def _shift(direction: int) -> Callable[[bytes, int], bytes]:
    def shifted(value: bytes, places: int) -> bytes:
        if places < 0:
            raise FunctionError(QueryError("Bitwise shift by negative offset."))
        return _shifted(value, direction * places)

    return shifted


# The functions in Python, the types of their parameters, and of their results.
_FUNCTIONS: Mapping[str, tuple[Callable[..., Any], tuple[str, ...], str]] = {
    "reverse": (lambda value: value[::-1], ("BLOB",), "BLOB"),
    "lower": (bytes.lower, ("BLOB",), "BLOB"),
    "upper": (bytes.upper, ("BLOB",), "BLOB"),
    "trim": (bytes.strip, ("BLOB", "BLOB"), "BLOB"),
    "ltrim": (bytes.lstrip, ("BLOB", "BLOB"), "BLOB"),
    "rtrim": (bytes.rstrip, ("BLOB", "BLOB"), "BLOB"),
    "replace": (lambda value, old, new: value.replace(old, new) if old else value, ("BLOB", "BLOB", "BLOB"), "BLOB"),
    "split": (_split, ("BLOB", "BLOB"), "BLOB[]"),
    "starts_with": (bytes.startswith, ("BLOB", "BLOB"), "BOOLEAN"),
    "ends_with": (bytes.endswith, ("BLOB", "BLOB"), "BOOLEAN"),
    "translate": (_translated, ("BLOB", "BLOB", "BLOB"), "BLOB"),
    "to_code_points": (list, ("BLOB",), "BIGINT[]"),
    "farm_fingerprint": (_fingerprint, ("BLOB",), "BIGINT"),
    "sha512": (lambda value: hashlib.sha512(value).digest(), ("BLOB",), "BLOB"),
    "ascii": (_ascii, ("BLOB",), "BIGINT"),
    "bit_count": (lambda value: int.from_bytes(value, "big").bit_count(), ("BLOB",), "BIGINT"),
    "and": (_with_bits(operator.and_), ("BLOB", "BLOB"), "BLOB"),
    "or": (_with_bits(operator.or_), ("BLOB", "BLOB"), "BLOB"),
    "xor": (_with_bits(operator.xor), ("BLOB", "BLOB"), "BLOB"),
    "not": (lambda value: bytes(255 - each for each in value), ("BLOB",), "BLOB"),
    "shift_left": (_shift(1), ("BLOB", "BIGINT"), "BLOB"),
    "shift_right": (_shift(-1), ("BLOB", "BIGINT"), "BLOB"),
    "like": (_like, ("BLOB", "BLOB"), "BOOLEAN"),
    "instr": (instr, ("BLOB", "BLOB", "BIGINT", "BIGINT"), "BIGINT"),
}
DECODE_OR_NULL = "bqemu_decoded_or_null"
"""The function in DuckDB that returns the text of BYTES, or NULL."""

_INSTR, _DISTANCE, _DECODE = "bqemu_instr_of_text", "bqemu_edit_distance", "bqemu_decoded"
MACROS: tuple[str, ...] = (
    "CREATE OR REPLACE MACRO _like(x, pattern) AS x LIKE pattern ESCAPE '\\'",
    # The result is NULL if a pattern is NULL and no other one decides.
    *(
        f"CREATE OR REPLACE MACRO {name}(x, patterns) AS CASE WHEN x IS NULL OR patterns IS NULL THEN NULL "
        f"WHEN len(list_filter(patterns, lambda each: {value} LIKE each ESCAPE '\\')) > 0 THEN TRUE "
        "WHEN list_count(patterns) < len(patterns) THEN NULL ELSE FALSE END"
        for name, value in (("_like_any", "x"), ("_not_like_any", "x NOT"))
    ),
    # DuckDB's function counts bytes.
    "CREATE OR REPLACE MACRO _edit_distance(x, y) AS CASE WHEN strlen(x) = length(x) AND strlen(y) = length(y) "
    f"THEN levenshtein(x, y) ELSE {_DISTANCE}(x, y, 9223372036854775807) END",
    f"CREATE OR REPLACE MACRO _edit_distance_up_to(x, y, most) AS {_DISTANCE}(x, y, most)",
    f"CREATE OR REPLACE MACRO _decoded(x) AS {_DECODE}(x)",
    "CREATE OR REPLACE MACRO _instr(x, found, place, occurrence) AS "
    "CASE WHEN place BETWEEN 1 AND length(x) AND occurrence = 1 AND found <> '' "
    "THEN CASE strpos(x[place:], found) WHEN 0 THEN 0 ELSE strpos(x[place:], found) + place - 1 END "
    f"ELSE {_INSTR}(x, found, place, occurrence) END",
    *(
        f"CREATE OR REPLACE MACRO _{name}_of_bytes({names}) AS bqemu_{name}_of_bytes({names})"
        for name, (_, kinds, _) in _FUNCTIONS.items()
        for names in (", ".join("abcd"[: len(kinds)]),)
    ),
)
"""The DuckDB macros that the rewritten SQL calls."""

WORDS = (
    "INSTR",
    "STRPOS",
    "REVERSE",
    "LOWER",
    "UPPER",
    "[LR]?TRIM",
    "REPLACE",
    "SPLIT",
    "(?:STARTS|ENDS)_WITH",
    "TRANSLATE",
    "TO_CODE_POINTS",
    "FARM_FINGERPRINT",
    "SHA512",
    "ASCII",
    "BIT_COUNT",
    "EDIT_DISTANCE",
    "SAFE_CONVERT_BYTES_TO_STRING",
)
"""Regular expressions of the names of the functions that ``RULES`` may replace."""


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Register the Python functions that the macros call."""
    for name, (function, kinds, result) in _FUNCTIONS.items():
        parameters: Any = list(kinds)
        connection.create_function(f"bqemu_{name}_of_bytes", _with_bytes(function, len(kinds)), parameters, result)
    functions: tuple[tuple[str, Callable[..., Any], Any, str], ...] = (
        (_INSTR, instr, ["VARCHAR", "VARCHAR", "BIGINT", "BIGINT"], "BIGINT"),
        (_DISTANCE, edit_distance, ["VARCHAR", "VARCHAR", "BIGINT"], "BIGINT"),
        (_DECODE, lambda value: value.decode(errors="replace"), ["BLOB"], "VARCHAR"),
    )
    for name, function, parameters, result in functions:
        connection.create_function(name, function, parameters, result)
    of_bytes: Any = ["BLOB"]
    connection.create_function(
        DECODE_OR_NULL, _decoded_or_null, of_bytes, "VARCHAR", null_handling=FunctionNullHandling.SPECIAL
    )


def _decoded_or_null(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def _with_bytes(function: Callable[..., Any], parameters: int) -> Callable[..., Any]:
    """Return a function with a number of parameters that DuckDB can count, which a method of ``bytes`` has not."""
    match parameters:
        case 1:
            return lambda a: function(a)
        case 2:
            return lambda a, b: function(a, b)
        case 3:
            return lambda a, b, c: function(a, b, c)
    return lambda a, b, c, d: function(a, b, c, d)


_RETURN_BYTES = (
    *(exp.ByteString, exp.Unhex, exp.FromBase64, exp.FromBase32),
    *(exp.MD5Digest, exp.SHA1Digest, exp.SHA2Digest, exp.SHA2, exp.CodePointsToBytes),
)
# The macros that return what their first argument is.
_KEEP = frozenset({"_left", "_right", "_lpad", "_rpad", "_repeat", "_substr", "_substr_of", "_joined"})
_COLUMN = "bytes"


def mark_columns(tree: exp.Expr, names: frozenset[str]) -> None:
    """Mark the columns of a statement that are BYTES.

    Args:
        tree: The statement.
        names: The names in lower case of the columns of its tables that are BYTES.
    """
    known = set(names)
    for unnest in tree.find_all(exp.Unnest):
        elements = unnest.expressions[0] if unnest.expressions else None
        alias = unnest.args.get("alias")
        if isinstance(elements, exp.Array) and any(map(is_bytes, elements.expressions)) and alias is not None:
            known |= {each.name.lower() for each in (alias.this, *alias.args.get("columns", ())) if each}
    aliases = list(tree.find_all(exp.Alias))
    for alias in reversed(aliases):
        if is_bytes(alias.this):
            known.add(alias.alias.lower())
    for column in tree.find_all(exp.Column) if known else ():
        column.meta[_COLUMN] = column.name.lower() in known


def is_bytes(value: exp.Expr) -> bool:
    """Return whether a value is known to be BYTES."""
    match value:
        case exp.Column():
            return bool(value.meta.get(_COLUMN))
        case exp.Cast():
            return bool(value.to.this == exp.DType.BINARY)
        case exp.Anonymous():
            name = value.name.lower()
            if name.endswith("_of_bytes"):
                return _FUNCTIONS[name[1:].removesuffix("_of_bytes")][2] == "BLOB"
            return name == "_from_base64" or (name in _KEEP and is_bytes(value.expressions[0]))
        case exp.Paren() | exp.Reverse() | exp.Lower() | exp.Upper() | exp.Trim() | exp.Replace() | exp.Substring():
            return is_bytes(value.this)
    return isinstance(value, _RETURN_BYTES)


def _of_bytes(name: str, *arguments: str) -> Rule:
    """Return the rule that calls a function for BYTES with the arguments of these names."""

    def rule(node: exp.Expr) -> exp.Expr | None:
        given = [node.args.get(argument) for argument in ("this", *arguments)]
        if given[0] is None or not is_bytes(given[0]) or None in given:
            return None
        return call(f"_{name}_of_bytes", *given)

    return rule


def of_either(name: str, *arguments: str) -> Rule:
    """Return the rule that calls one function for BYTES and another one for texts."""
    of_bytes = _of_bytes(name, *arguments)

    def rule(node: exp.Expr) -> exp.Expr | None:
        given = [node.args.get(argument) for argument in ("this", *arguments)]
        return of_bytes(node) or (None if None in given else call(f"_{name}", *given))

    return rule


def _shift_of(side: str) -> Rule:
    of_bytes = _of_bytes(f"shift_{side}", "expression")
    return lambda node: of_bytes(node) or call(f"_shift_{side}", node.this, node.expression)


def _trim(node: exp.Expr) -> exp.Expr | None:
    name = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(node.args.get("position") or "", "trim")
    return _of_bytes(name, "expression")(node)


def _hash(node: exp.Expr) -> exp.Expr | None:
    return _of_bytes("sha512")(node) if node.args["length"].name == "512" else None


def _fingerprint_of(node: exp.Expr) -> exp.Expr | None:
    [value] = node.expressions
    return call("_farm_fingerprint_of_bytes", value) if is_bytes(value) else None


def _search(node: exp.Expr) -> exp.Expr | None:
    position, occurrence = node.args.get("position"), node.args.get("occurrence")
    arguments = (node.this, node.args["substr"], position or number(1), occurrence or number(1))
    if is_bytes(node.this):
        return call("_instr_of_bytes", *arguments)
    return None if position is None else call("_instr", *arguments)


def _matches(node: exp.Expr) -> exp.Expr | None:
    pattern = node.expression
    if isinstance(pattern, (exp.Any, exp.All)):
        patterns = pattern.this.unnest()
        if not isinstance(patterns, exp.Unnest):
            return None
        every, negated = isinstance(pattern, exp.All), bool(node.args.get("negate"))
        # All patterns match unless there is one that does not.
        found = call("_like_any" if every is negated else "_not_like_any", node.this, patterns.expressions[0])
        return exp.Not(this=found) if every else found
    if is_bytes(node.this):
        found = call("_like_of_bytes", node.this, pattern)
    elif (is_text(pattern) and "\\" in pattern.name) or not isinstance(pattern, (exp.Literal, exp.Null)):
        found = call("_like", node.this, pattern)
    else:
        return None
    return exp.Not(this=found) if node.args.get("negate") else found


def _distance(node: exp.Expr) -> exp.Expr | None:
    if is_bytes(node.this):
        return None
    most = node.args.get("max_dist")
    return call("_edit_distance" if most is None else "_edit_distance_up_to", node.this, node.expression, most)


RULES: dict[type[exp.Expr], Rule] = {
    exp.Levenshtein: _distance,
    exp.SafeConvertBytesToString: lambda node: call("_decoded", node.this),
    exp.Reverse: of_either("reverse"),
    exp.Lower: _of_bytes("lower"),
    exp.Trim: _trim,
    exp.Replace: _of_bytes("replace", "expression", "replacement"),
    exp.Split: of_either("split", "expression"),
    exp.StartsWith: _of_bytes("starts_with", "expression"),
    exp.EndsWith: _of_bytes("ends_with", "expression"),
    exp.Translate: lambda node: _of_bytes("translate", "from_", "to")(node) or translation(node),
    exp.ToCodePoints: of_either("to_code_points"),
    exp.FarmFingerprint: _fingerprint_of,
    exp.SHA2: _hash,
    exp.Ascii: of_either("ascii"),
    exp.BitwiseCount: lambda node: _of_bytes("bit_count")(node) or call("_bit_count", node.this),
    exp.BitwiseAnd: _of_bytes("and", "expression"),
    exp.BitwiseOr: _of_bytes("or", "expression"),
    exp.BitwiseXor: _of_bytes("xor", "expression"),
    exp.BitwiseNot: _of_bytes("not"),
    exp.BitwiseLeftShift: _shift_of("left"),
    exp.BitwiseRightShift: _shift_of("right"),
    exp.StrPosition: _search,
    exp.Like: _matches,
}
"""What replaces the nodes of each type."""
