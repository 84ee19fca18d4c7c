"""Converts JSON to other types as GoogleSQL does.

The functions accept JSON of their own type only; a conversion of other JSON is an error, or NULL with the prefix SAFE.
https://cloud.google.com/bigquery/docs/reference/standard-sql/json_functions#string_for_json
"""

from __future__ import annotations

from sqlglot import exp

from localcloud.bigquery.sql.functions.nodes import Rule, call

_READ = "CAST(x AS JSON)"
_KIND = f"json_type({_READ})"
_TEXT = f"{_READ} ->> '$'"
_INTEGERS = "('BIGINT', 'UBIGINT')"
_NUMBERS = "('BIGINT', 'UBIGINT', 'DOUBLE')"
# An offset has minutes only if it is not of whole hours.
_OFFSET = "CAST((epoch_us(_in_any_zone(x, zone)) - epoch_us(x)) // 60000000 AS BIGINT)"
_ZONE = (
    f"(CASE WHEN {_OFFSET} < 0 THEN '-' ELSE '+' END) || lpad(CAST(abs({_OFFSET}) // 60 AS VARCHAR), 2, '0') || "
    f"CASE WHEN abs({_OFFSET}) % 60 = 0 THEN '' ELSE ':' || lpad(CAST(abs({_OFFSET}) % 60 AS VARCHAR), 2, '0') END"
)


def _converters(prefix: str, error: str) -> dict[str, str]:
    """Return the bodies of the macros; ``error`` is what they return for JSON of another type."""

    def refused(kind: str) -> str:
        return error.format(f"The provided JSON input is not {kind}")

    cast = "TRY_CAST" if error == "NULL" else "CAST"
    value = f"CAST({_TEXT} AS DOUBLE)"
    integral = f"CASE WHEN {value} = trunc({value}) THEN {cast}({value} AS BIGINT)"
    return {
        f"{prefix}string": f"CASE WHEN x IS NULL THEN NULL WHEN typeof(x) <> 'JSON' THEN _as_string(x) "
        f"WHEN json_type(try_cast(x AS JSON)) = 'VARCHAR' THEN try_cast(x AS JSON) ->> '$' ELSE {refused('a string')} END",
        f"{prefix}int64_of_json": f"CASE WHEN x IS NULL THEN NULL WHEN {_KIND} IN {_INTEGERS} THEN {cast}({_TEXT} AS BIGINT) "
        f"WHEN {_KIND} = 'DOUBLE' THEN {integral} ELSE {refused('an integer')} END ELSE {refused('an integer')} END",
        f"{prefix}float64_of_json": f"CASE WHEN x IS NULL THEN NULL WHEN {_KIND} IN {_NUMBERS} THEN CAST({_TEXT} AS DOUBLE) "
        f"ELSE {refused('a number')} END",
        f"{prefix}bool_of_json": f"CASE WHEN x IS NULL THEN NULL WHEN {_KIND} = 'BOOLEAN' THEN {_TEXT} = 'true' "
        f"ELSE {refused('a boolean')} END",
    }


_NUMBER_TEXT = r"\s*([+-]\s*)?([0-9][0-9,]*)?([.][0-9]*)?([eE][+-]?[0-9]+)?(\s*[+-])?\s*"
_ELEMENTS = {"string": "_string", "int64": "_int64_of_json", "float64": "_float64_of_json", "bool": "_bool_of_json"}
MACROS: tuple[str, ...] = (
    *(
        f"CREATE OR REPLACE MACRO {name}(x) AS {body}"
        for name, body in {**_converters("_", "bqemu_fail('{}')"), **_converters("_safe_", "NULL")}.items()
    ),
    *(
        f"CREATE OR REPLACE MACRO _{name}_array(x) AS CASE WHEN x IS NULL THEN NULL WHEN {_KIND} <> 'ARRAY' "
        "THEN bqemu_fail('The provided JSON input is not an array') "
        f"ELSE list_transform(CAST({_READ} AS JSON[]), lambda each: {converter}(each)) END"
        for name, converter in _ELEMENTS.items()
    ),
    *(
        f"CREATE OR REPLACE MACRO _lax_{name}_array(x) AS CASE WHEN {_KIND} = 'ARRAY' "
        f"THEN list_transform(CAST({_READ} AS JSON[]), lambda each: _lax_{name}(each)) END"
        for name in _ELEMENTS
    ),
    f"CREATE OR REPLACE MACRO _string_in_zone(x, zone) AS _as_string(_in_any_zone(x, zone)) || {_ZONE}",
    f"CREATE OR REPLACE MACRO _json_type(x) AS CASE WHEN {_KIND} IN {_NUMBERS} THEN 'number' "
    f"WHEN {_KIND} = 'VARCHAR' THEN 'string' ELSE lower({_KIND}) END",
    # Commas have no meaning, and the sign may be at the end. The cast reports other texts, but for low lines, which it reads.
    f"CREATE OR REPLACE MACRO _plain_number(x) AS CASE WHEN regexp_full_match(x, '{_NUMBER_TEXT}') "
    "THEN regexp_replace(regexp_replace(x, '[\\s,]', '', 'g'), '^(.*?)([+-])$', '\\2\\1') "
    "WHEN contains(x, '_') THEN bqemu_fail('Invalid NUMERIC value: ' || x) ELSE x END",
)
"""The DuckDB macros that the rewritten SQL calls. They call those of ``casts`` and ``zones``."""

WORDS = (
    "STRING",
    "INT64",
    "FLOAT64",
    "BOOL",
    "JSON_TYPE",
    r"PARSE_(?:BIG)?NUMERIC",
    r"(?:LAX_)?(?:STRING|INT64|FLOAT64|BOOL)_ARRAY",
)
"""Regular expressions of the names of the functions that ``RULES`` may replace."""


def _string(node: exp.Expr) -> exp.Expr | None:
    zone = node.args.get("zone")
    return call("_string", node.this) if zone is None else call("_string_in_zone", node.this, zone)


def _number_text(node: exp.Expr) -> exp.Expr | None:
    node.set("this", call("_plain_number", node.this))
    return node


def _bignumeric_text(node: exp.Expr) -> exp.Expr:
    safe = isinstance(node.parent, exp.SafeFunc)
    return call(f"_{'safe' if safe else 'as'}_bignumeric", call("_plain_number", node.this))


RULES: dict[type[exp.Expr], Rule] = {
    exp.String: _string,
    exp.Int64: lambda node: call("_int64_of_json", node.this),
    exp.Float64: lambda node: call("_float64_of_json", node.this),
    exp.JSONBool: lambda node: call("_bool_of_json", node.this),
    exp.JSONType: lambda node: call("_json_type", node.this),
    exp.ParseNumeric: _number_text,
    exp.ParseBignumeric: _bignumeric_text,
}
"""What replaces the nodes of each type."""

BY_NAME = {
    f"{prefix}{name}_ARRAY".upper(): {1: f"_{prefix}{name}_array"} for prefix in ("", "lax_") for name in _ELEMENTS
}
"""The macros for functions that sqlglot does not know, by name and number of arguments."""
