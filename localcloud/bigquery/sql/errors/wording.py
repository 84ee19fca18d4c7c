"""Translates DuckDB's messages to GoogleSQL's words, without names of the libraries behind the local BigQuery."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation

TYPE_BY_DUCKDBS = {
    "STRING_LITERAL": "STRING",
    "VARCHAR": "STRING",
    "INTEGER_LITERAL": "INT64",
    "TINYINT": "INT64",
    "SMALLINT": "INT64",
    "INTEGER": "INT64",
    "BIGINT": "INT64",
    "HUGEINT": "INT64",
    "INT32": "INT64",
    "INT128": "INT64",
    "FLOAT": "FLOAT64",
    "DOUBLE": "FLOAT64",
    "BOOLEAN": "BOOL",
    "BLOB": "BYTES",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMP",
    "TIMESTAMP": "DATETIME",
    "GEOMETRY": "GEOGRAPHY",
}
"""GoogleSQL's names of DuckDB's types and literal types."""
_TYPE = re.compile("|".join(sorted((rf"\b{name}\b" for name in TYPE_BY_DUCKDBS), key=len, reverse=True)))
_ARRAY = re.compile(r"(\w+)\[\]")
_DECIMAL = re.compile(r"DECIMAL\(\d+,\s*(\d+)\)")


def _types(text: str) -> str:
    text = _DECIMAL.sub(lambda match: "NUMERIC" if int(match[1]) <= 9 else "BIGNUMERIC", text)
    return _ARRAY.sub(r"ARRAY<\1>", _TYPE.sub(lambda match: TYPE_BY_DUCKDBS[match[0]], text))


# The signatures that BigQuery's message lists, and the number of arguments that each requires.
_SIGNATURES = {
    "SUBSTR": tuple((f"SUBSTR({kind}, INT64, [INT64])", "2 arguments") for kind in ("STRING", "BYTES")),
}


# The name of a function in JavaScript: see ``JavaScriptFunctions``.
_JAVASCRIPT = re.compile(r"\bjavascript_\d+_")
# A function over a generative model, whose first argument is the number of the call: see ``counted_prefix``.
_COUNTED = re.compile(r"ML_COUNTED_(?P<family>AI|ML)_(?P<name>\w+)_[0-9A-F]{24}")
# The names of our macros for JSON, of bqemulator's functions, and of the functions over images.
_OURS = (
    (re.compile(r"^_(?=JSON_)|^BQEMU_"), ""),
    (re.compile(r"^ML_(?=(?:DECODE|RESIZE|CONVERT)_|BUCKETIZE$|DISTANCE$|LP_NORM$|NGRAMS$|NORMALIZER$)"), "ML."),
)


# Names of operators and functions in GoogleSQL that are others in DuckDB.
_THEIRS = {
    "SUBSTRING": "SUBSTR",
    "DATE_PART": "EXTRACT",
    "LIKE_ESCAPE": "LIKE",
    "~~": "LIKE",
    "LISTAGG": "STRING_AGG",
    "LIST_COSINE_DISTANCE": "COSINE_DISTANCE",
    "LIST_DISTANCE": "EUCLIDEAN_DISTANCE",
    "LIST_DOT_PRODUCT": "COSINE_DISTANCE",
    "LIST_CONTAINS": "IN UNNEST",
    "LEN": "ARRAY_LENGTH",
    "REGEXP_MATCHES": "REGEXP_CONTAINS",
    "STRING_SPLIT": "SPLIT",
    "STRPTIME": "PARSE_TIMESTAMP",
    "STRFTIME": "FORMAT_TIMESTAMP",
    "ST_POINT": "ST_GEOGPOINT",
}
_OPERATORS = frozenset({"LIKE", "IN UNNEST"})


def _signature(match: re.Match[str]) -> str:
    name, replaced = _JAVASCRIPT.subn("", match["name"])
    what = name.upper() if name.replace("_", "").isalnum() and not replaced else name
    what = _THEIRS.get(what, what)
    for ours, theirs in _OURS:
        what = ours.sub(theirs, what)
    given_types = match["types"]
    if counted := _COUNTED.fullmatch(what):
        what, given_types = f"{counted['family']}.{counted['name']}", given_types.partition(", ")[2]
    if what == "ARRAY_EXTRACT":
        return f"Array position in [] must be coercible to INT64 type, but has type {_types(given_types).rpartition(', ')[2]}"
    kind = "function" if what[:1].isalpha() and what not in _OPERATORS else "operator"
    if what in _SIGNATURES and match["types"]:
        given = _types(match["types"])
        found = f"found {given.count(',') + 1} argument{'s' if ',' in given else ''}"
        listed = "".join(
            f"\n  Signature: {each}\n    Signature requires at least {needed}, {found}"
            for each, needed in _SIGNATURES[what]
        )
        return f"No matching signature for function {what}\n  Argument types: {given}{listed}"
    types = f"for argument types: {_types(given_types)}" if given_types else "with no arguments"
    return f"No matching signature for {kind} {what} {types}"


def _wrong_arguments(match: re.Match[str]) -> str:
    temporary = match["dataset"].startswith("_bqemu_temp_")
    return f"No matching signature for function {'' if temporary else match['dataset'] + '.'}{match['name']}"


def _bad_value(match: re.Match[str]) -> str:
    kind = _types(match["type"])
    scale = _DECIMAL.fullmatch(match["type"])
    if scale is not None and kind == "BIGNUMERIC" and _is_big_number(match["value"]):
        return _unheld(match["value"], int(scale[1]))
    match kind:
        case "INT64" | "BOOL" | "NUMERIC" | "BIGNUMERIC":
            return f"Bad {kind.lower()} value: {match['value']}"
        case "FLOAT64":
            return f"Bad double value: {match['value']}"
        case _:
            return f"Invalid {kind.lower()}: '{match['value']}'"


def _is_big_number(text: str) -> bool:
    """Return whether a text is a number that BIGNUMERIC has, which has up to 39 digits before the point."""
    try:
        return Decimal(text.strip()).adjusted() < 39
    except InvalidOperation:
        return False


def _unheld(value: str, scale: int) -> str:
    return f"BIGNUMERIC with more than {38 - scale} digits before the point is not supported: {value}"


def _too_large(match: re.Match[str]) -> str:
    if int(match["scale"]) == 9:
        return f"numeric overflow: {match['value']}"
    return _unheld(match["value"], int(match["scale"]))


def _null_element(match: re.Match[str]) -> str:
    return f"NULL array element in {'first' if match['side'] == 'left' else 'second'} argument"


def _invalid_time(match: re.Match[str]) -> str:
    return f"Invalid {'timestamp' if match['kind'] == 'timestamp' else match['kind']}: '{match['value']}'"


# The first match is used. The wordings are BigQuery's, as its clients and forums quote them.
_WORDINGS: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = tuple(
    (re.compile(pattern, re.DOTALL), wording)
    for pattern, wording in (
        (r"(?:STRING|BYTES)\(\d+\) has maximum length \d+ but got a value with length \d+", lambda match: match[0]),
        (r"Array index -?\d+ is out of bounds \(\w+\)", lambda match: match[0]),
        (r"NOT NULL constraint failed: [^.]+\.(?P<name>[^\n]+)", r"Required field \g<name> cannot be null"),
        (
            r"(?P<what>No matching signature for function \S+ for argument types: )(?P<types>.*?)(?P<rest>\. Supported [^\n]*)",
            lambda match: f"{match['what']}{_types(match['types'])}{match['rest']}",
        ),
        (r"(?P<what>\w+: the result is not from year 1 to year 9999)", r"\g<what>"),
        (r"Could not convert string ['\"](?P<what>double overflow.*?)['\"] to DOUBLE", r"\g<what>"),
        (r"Could not convert string ['\"](?P<value>.*?)['\"] to (?P<type>[A-Z]\w*(?:\(\d+,\s*\d+\))?)", _bad_value),
        (r"(?P<kind>date|time|timestamp) field value out of range: \"(?P<value>[^\"]*)\"", _invalid_time),
        (r"invalid (?P<kind>date|time|timestamp) field format: \"(?P<value>[^\"]*)\"", _invalid_time),
        (r"Could not parse string \"(?P<value>[^\"]*)\" according to", r'Failed to parse input string "\g<value>"'),
        (
            r'Casting value "(?P<value>[^"]*)" to type DECIMAL\(38, ?(?P<scale>9|10|18)\) failed: value is out of range',
            _too_large,
        ),
        (r"Overflow in (?P<how>\w+) of DECIMAL\(38\)", r"numeric overflow in \g<how>"),
        (r"Overflow in \w+ of INT\d+ \((?P<what>.*?)\)!", r"int64 overflow: \g<what>"),
        (r"Type INT128 with value \S+ can't be cast because the value is out of range", "int64 overflow"),
        (r"Overflow in negation of (?:integer|numeric) value", "int64 overflow"),
        (r"[Dd]ivision by zero(?P<operands>: [^\n]*)?", lambda match: f"division by zero{match['operands'] or ''}"),
        (
            r'column "(?P<name>[^"]+)" must appear in the GROUP BY clause',
            r"SELECT list expression references column \g<name> which is neither grouped nor aggregated",
        ),
        (
            r"column (?P<name>\S+) must appear in the GROUP BY clause or be used in an aggregate function",
            r"HAVING clause expression references column \g<name> which is neither grouped nor aggregated",
        ),
        (r"aggregate function calls cannot be nested", "Aggregations of aggregations are not allowed"),
        (r"at least one window function must appear", "The QUALIFY clause requires analytic function to be present"),
        (
            r"Unimplemented type for cast \((?P<given>[^\n]+) -> (?P<target>[^\n]+)\)",
            lambda match: f"Invalid cast from {_types(match['given'])} to {_types(match['target'])}",
        ),
        (
            r"(?P<clause>\w+) clause cannot contain aggregates",
            r"Aggregate functions are not allowed in \g<clause> clause",
        ),
        (
            r'duplicate alias "(?:.*?\.)?(?P<name>\w+)", explicitly',
            r"Duplicate table alias \g<name> in the same FROM clause",
        ),
        (
            r'Column "(?P<name>[^"]+)" does not exist on (?P<side>left|right) side of join',
            r"Column \g<name> in USING clause not found on \g<side> side of join",
        ),
        (r'Could not find key "(?P<name>[^"]+)" in struct', r"Field name \g<name> does not exist in STRUCT"),
        (r'Ambiguous reference to column name "(?P<name>[^"]+)"', r"Column name \g<name> is ambiguous"),
        (
            r'Table "(?P<table>[^"]+)" does not have a column with name "(?P<name>[^"]+)"',
            r"Column \g<name> is not present in table \g<table>",
        ),
        (
            r'Column "(?P<name>[^"]+)" in EXCLUDE list not found',
            r"Column \g<name> in SELECT * EXCEPT list does not exist",
        ),
        (
            r'Column "(?P<name>[^"]+)" in REPLACE list not found',
            r"Column \g<name> in SELECT * REPLACE list does not exist",
        ),
        (r"SELECT list is empty after resolving", "SELECT * expands to zero columns after applying EXCEPT"),
        (
            r"(?P<clause>\w+) clause cannot contain window functions",
            r"Analytic function not allowed in \g<clause> clause",
        ),
        (r'extract specifier "(?P<part>\w+)" not recognized', r"A valid date part name is required but found \g<part>"),
        (
            r"Cannot compare values of type (?P<left>.+?) and (?:type )?(?P<right>.+?) in IN/ANY/ALL clause",
            lambda match: (
                f"Cannot execute IN subquery with uncomparable types {_types(match['left'])} and {_types(match['right'])}"
            ),
        ),
        (r"Column with name (?P<name>\S+) already exists", r"Column already exists: \g<name>"),
        (
            r"table \S+ has (?P<expected>\d+) columns but (?P<given>\d+) values were supplied",
            r"Inserted row has wrong column count; Has \g<given>, expected \g<expected>",
        ),
        (
            r"mismatch for insert on .*: expected (?P<expected>\d+) columns but (?P<given>\d+) values were supplied",
            r"Inserted row has wrong column count; Has \g<given>, expected \g<expected>",
        ),
        (r'Duplicate column name "(?P<name>[^"]+)" in INSERT', r"INSERT has columns with duplicate name: \g<name>"),
        (r"Referenced update column (?P<name>\S+) not found in table", r"Unrecognized name: \g<name>"),
        (
            r"Type (?P<given>STRUCT\(.*\)) does not match with (?P<target>STRUCT\(.*\))\. Cannot cast STRUCTs of",
            lambda match: (
                f"Invalid cast from {_types(match['given'])} to {_types(match['target'])}: they have other numbers of fields"
            ),
        ),
        (
            r"list dimensions must be equal, got left length '(?P<left>\d+)' and right length '(?P<right>\d+)'",
            r"Array length mismatch: \g<left> and \g<right>",
        ),
        (r"(?P<side>left|right) argument can not contain NULL", _null_element),
        (
            r"(?:^|: )(?P<what>(?:missing [)\]]|missing argument to repetition operator|no argument for repetition operator"
            r"|unexpected \)|trailing \\|bad repetition operator|invalid (?:character class(?: range)?|escape sequence"
            r"|perl operator|repetition size|named capture group))(?:: [^\n]*)?)$",
            r"Cannot parse regular expression: \g<what>",
        ),
        (r"UNNEST requires a single list", "Values referenced in UNNEST must be arrays"),
        (r"Set operations can only apply", "Queries in a set operation have mismatched column count"),
        (r"More than one row returned by a subquery", "Scalar subquery produced more than one element"),
        (
            r"Cannot extract field '(?P<name>[^']+)' from expression",
            r"Cannot access field \g<name> on a value that is not a STRUCT",
        ),
        (r"could not convert blob to UTF8", "Invalid cast of bytes to UTF8 string"),
        (r"as base64", "Failed to decode invalid base64 string"),
        (r"LIMIT/OFFSET cannot be negative", "LIMIT and OFFSET expect non-negative integers"),
        (r"Unknown TimeZone '(?P<zone>[^']+)'", r"Invalid time zone: \g<zone>"),
        (r"function call \"(?P<name>[^\"(]+)\((?P<types>[^\"]*)\)\"", _signature),
        (r"name and argument types '(?P<name>[^'(]+)\((?P<types>[^']*)\)'", _signature),
        (
            r"Macro \"?\w+?__(?P<dataset>\w+?)__(?P<name>\w+)\"?\(\) does not support the supplied arguments",
            _wrong_arguments,
        ),
        (
            r"TRY can not be used|not allowed inside the TRY expression",
            "SAFE with a call of ERROR, an aggregate function or a subquery in the arguments is not supported by the local "
            "BigQuery",
        ),
        (
            r'Catalog "SAFE" does not exist',
            "Functions of a dataset with the prefix SAFE are not supported by the local BigQuery",
        ),
    )
)
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_CLASS = re.compile(
    r"^(?:(?:Query execution|Script SQL execution|EXECUTE IMMEDIATE) failed: |Unexpected translation error: "
    r"|(?:[A-Z][\w-]*(?: [\w-]+){0,3} (?:Error|Exception)): )+"
)
_ASIDE = re.compile(
    r"\s*\((?:sqlglot|DuckDB|emulator|(?:Binder|Catalog|Conversion|Invalid Input|Out of Range) Error)\b.*$"
    r"|\n+LINE \d+:.*$|\n+\s*Candidate.*$|\n+Did you mean.*$|\n+Use \"SET.*$|\n+Either add it.*$|\s*See docs/\S+.*$",
    re.DOTALL,
)
_SCHEMA = re.compile(r'(?:"?\w+"?\.)?"([a-zA-Z][\w-]*?)__(\w+)"\."?([\w-]+)"?')
_BEHIND = re.compile(r"\b(?:bqemulator|DuckDB|SQLGlot)\b")
_PYTHON = re.compile(r"<(?:class|Token)\b[^>]*>|\b(?:duckdb|sqlglot|pyarrow)\.[\w.]+")


def worded(text: str) -> str:
    """Return one of DuckDB's messages in BigQuery's words, or at least without the libraries' names."""
    for pattern, wording in _WORDINGS:
        match = pattern.search(text)
        if match is not None:
            return match.expand(wording) if isinstance(wording, str) else wording(match)
    # The text is from the query itself (ERROR, RAISE), so types in it are not translated.
    return plain(text) if text.startswith("Invalid Input Error") else _types(plain(text))


def plain(text: str) -> str:
    """Return a message without colours, exception classes, hints and the libraries' names."""
    text = _ASIDE.sub("", _ANSI.sub("", text))
    text = _SCHEMA.sub(r"\1:\2.\3", _PYTHON.sub("", _JAVASCRIPT.sub("", _CLASS.sub("", text))))
    return _BEHIND.sub("the local BigQuery", text).strip()
