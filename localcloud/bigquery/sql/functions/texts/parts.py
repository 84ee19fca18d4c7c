"""Takes parts of texts and BYTES, pads and joins them as GoogleSQL does.

A position that is 0, or negative beyond the start, means the first character, and a negative one counts from the end.
https://cloud.google.com/bigquery/docs/reference/standard-sql/string_functions#substr
https://cloud.google.com/bigquery/docs/reference/standard-sql/string_functions#lpad
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sqlglot import exp

from localcloud.bigquery.sql.functions.nodes import Rule, call, is_number, is_text

_BYTES = "TRY_CAST(CAST(x AS VARCHAR) AS BLOB)"
_SIZE = f"CASE WHEN typeof(x) = 'BLOB' THEN octet_length({_BYTES}) ELSE length(CAST(x AS VARCHAR)) END"
_FIRST = f"CASE WHEN place > 0 THEN place WHEN place = 0 THEN 1 ELSE greatest({_SIZE} + place + 1, 1) END"
_PATTERN_SIZE = _SIZE.replace("(x ", "(pattern ").replace("(x)", "(pattern)")


def _checked(bodies: dict[str, tuple[str, str, str]]) -> Iterator[str]:
    """Yield the macros of functions that fail for some arguments, and those for the prefix SAFE.

    Args:
        bodies: The parameters, the branches of a CASE that fail, with ``bqemu_fail`` in them, and the result, by name.
    """
    for name, (parameters, failures, result) in bodies.items():
        nulls = " OR ".join(f"{each} IS NULL" for each in parameters.split(", "))
        failures = f"WHEN {nulls} THEN NULL {failures}"
        yield f"CREATE OR REPLACE MACRO {name}({parameters}) AS CASE {failures} ELSE {result} END"
        safe = re.sub(r"bqemu_fail\('[^']*'\)", "NULL", failures)
        yield f"CREATE OR REPLACE MACRO _safe{name}({parameters}) AS CASE {safe} ELSE {result} END"


_NEGATIVE = "WHEN size < 0 THEN bqemu_fail('Second argument {} cannot be negative')"
_PAD_FAILURES = (
    _NEGATIVE.format("(output size) for LPAD/RPAD")
    + f" WHEN ({_PATTERN_SIZE}) = 0 THEN bqemu_fail('Third argument (pad pattern) for LPAD/RPAD cannot be empty')"
    + f" WHEN size <= ({_SIZE}) THEN x[1:size]"
)
_PADDING = f"repeat(pattern, (size - ({_SIZE})) // ({_PATTERN_SIZE}) + 1)[1:size - ({_SIZE})]"
MACROS: tuple[str, ...] = (
    # The result is a STRING, BYTES or an ARRAY, as the values are.
    "CREATE OR REPLACE MACRO _joined(x, y) AS x || y",
    *_checked(
        {
            "_left": ("x, size", _NEGATIVE.format("in LEFT()"), "x[1:size]"),
            "_right": ("x, size", _NEGATIVE.format("in RIGHT()"), f"x[greatest(({_SIZE}) - size, 0) + 1:]"),
            "_lpad": ("x, size, pattern", _PAD_FAILURES, f"{_PADDING} || x"),
            "_rpad": ("x, size, pattern", _PAD_FAILURES, f"x || {_PADDING}"),
            "_repeat": ("x, size", _NEGATIVE.format("(repeat count) for REPEAT"), "repeat(x, size)"),
        }
    ),
    "CREATE OR REPLACE MACRO _unicode(x) AS CASE WHEN x = '' THEN 0 ELSE unicode(x) END",
    "CREATE OR REPLACE MACRO _space(x) AS CASE WHEN FALSE THEN x ELSE ' ' END",
    # A slice of BYTES is BYTES, and that of a text a text.
    f"CREATE OR REPLACE MACRO _substr(x, place) AS CASE WHEN place IS NOT NULL THEN x[({_FIRST}):] END",
    *_checked(
        {
            "_substr_of": (
                "x, place, size",
                "WHEN size < 0 THEN bqemu_fail('Third argument in SUBSTR() cannot be negative')",
                f"x[({_FIRST}):({_FIRST}) + least(size, 4294967296) - 1]",
            ),
            "_chr": (
                "x",
                "WHEN x NOT BETWEEN 0 AND 1114111 OR x BETWEEN 55296 AND 57343 THEN bqemu_fail('Invalid codepoint')",
                "chr(CAST(x AS INTEGER))",
            ),
            "_ascii": (
                "x",
                "WHEN ascii(x) > 127 THEN bqemu_fail('Argument to ASCII is not a structurally valid ASCII string')",
                "CAST(ascii(x) AS BIGINT)",
            ),
            "_translate": (
                "x, source, target",
                "WHEN length(source) > len(list_distinct(string_split(source, ''))) "
                "THEN bqemu_fail('Duplicate character in TRANSLATE source characters')",
                "translate(x, source, target)",
            ),
        }
    ),
    *(
        f"CREATE OR REPLACE MACRO {prefix}_code_points_to_string(x) AS "
        f"CASE WHEN list_count(list_transform(x, lambda each: {prefix}_chr(each))) = len(x) "
        f"THEN array_to_string(list_transform(x, lambda each: {prefix}_chr(each)), '') END"
        for prefix in ("", "_safe")
    ),
    "CREATE OR REPLACE MACRO _to_code_points(x) AS CASE WHEN x = '' THEN [] "
    "ELSE list_transform(string_split(x, ''), lambda each: CAST(ord(each) AS BIGINT)) END",
    "CREATE OR REPLACE MACRO _split(x, separator) AS CASE WHEN separator IS NOT NULL THEN string_split(x, separator) END",
    # DuckDB keeps the characters that belong together in their order.
    "CREATE OR REPLACE MACRO _reverse(x) AS CASE WHEN length(x) = length_grapheme(x) THEN reverse(x) "
    "ELSE array_to_string(list_transform(range(length(x), 0, -1), lambda place: x[place]), '') END",
    # The characters that fill up the last group of 4 may be missing.
    "CREATE OR REPLACE MACRO _from_base64(x) AS "
    "from_base64(rpad(rtrim(x, '='), CAST((length(rtrim(x, '=')) + 3) // 4 * 4 AS INTEGER), '='))",
    "CREATE OR REPLACE MACRO _safe_from_base64(x) AS TRY(_from_base64(x))",
    "CREATE OR REPLACE MACRO _case_insensitive(x) AS CAST(x AS VARCHAR) COLLATE NOCASE",
)
"""The DuckDB macros that the rewritten SQL calls."""

WORDS = (
    *("SUBSTR", "SUBSTRING", "CONCAT", "LEFT", "RIGHT", "LPAD", "RPAD", "REPEAT", "UNICODE", "CHR", "ASCII", "COLLATE"),
    "FROM_BASE64",
    *("CODE_POINTS_TO_STRING", "TO_CODE_POINTS", "SPLIT", "REVERSE", "TRANSLATE"),
)
"""Regular expressions of the names of the functions that ``RULES`` may replace."""


def _substring(node: exp.Expr) -> exp.Expr | None:
    start, length = node.args.get("start"), node.args.get("length")
    if start is None:
        return None
    return call("_substr", node.this, start) if length is None else call("_substr_of", node.this, start, length)


def _join(node: exp.Expr) -> exp.Expr | None:
    values = node.expressions if isinstance(node, exp.Concat) else [node.this, node.expression]
    if any(isinstance(each.this if isinstance(each, exp.Cast) else each, exp.Null) for each in values):
        return None  # DuckDB forgets the type of a NULL, and bqemulator casts the result to STRING
    # DuckDB writes a literal as it is.
    values = [call("_as_string", each) if is_number(each) else each for each in values]
    first: exp.Expr = values[0]
    for each in values[1:]:
        first = call("_joined", first, each)
    return first


def _pad(node: exp.Expr) -> exp.Expr | None:
    pattern = node.args.get("fill_pattern") or call("_space", node.this)
    return call("_lpad" if node.args.get("is_left") else "_rpad", node.this, node.expression, pattern)


def translation(node: exp.Expr) -> exp.Expr | None:
    """Return the call that checks the characters of TRANSLATE, or None if a literal has none twice."""
    source = node.args["from_"]
    if is_text(source) and len(set(source.name)) == len(source.name):
        return None
    return call("_translate", node.this, source, node.args["to"])


def _collate(node: exp.Expr) -> exp.Expr | None:
    """Return a text that is compared, sorted and grouped regardless of its case, or an error for another collation."""
    specification = node.args["expression"]
    if is_text(specification) and specification.name == "und:ci":
        return call("_case_insensitive", node.this)
    if is_text(specification) and specification.name == "":
        return exp.Paren(this=node.this)
    name = specification.name
    return call("error", exp.Literal.string(f"Collation '{name}' in collate function is not supported."))


RULES: dict[type[exp.Expr], Rule] = {
    exp.Chr: lambda node: call("_chr", *node.expressions),
    exp.CodePointsToString: lambda node: call("_code_points_to_string", node.this),
    exp.Collate: _collate,
    exp.FromBase64: lambda node: call("_from_base64", node.this),
    exp.Left: lambda node: call("_left", node.this, node.expression),
    exp.Right: lambda node: call("_right", node.this, node.expression),
    exp.Pad: _pad,
    exp.Repeat: lambda node: call("_repeat", node.this, node.args["times"]),
    exp.Substring: _substring,
    exp.Unicode: lambda node: call("_unicode", node.this),
    exp.Concat: _join,
    exp.DPipe: _join,
}
"""What replaces the nodes of each type."""
