"""Query parameters and script variables: their values, their types, and their places in a statement.

A parameter keeps its type in the engine, which would otherwise guess it from the value. Before a statement is taken apart,
each parameter gets a name of its own, so that any part of the statement can be bound, and more than once.
https://cloud.google.com/bigquery/docs/parameterized-queries
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.intervals import interval_words
from localcloud.bigquery.sql.reading.tokens import Token, parsed, position, readable_tokens

# https://cloud.google.com/bigquery/docs/reference/rest/v2/QueryParameterType
_DUCKDB_TYPE = {
    "BOOL": "BOOLEAN",
    "BOOLEAN": "BOOLEAN",
    "BYTES": "BLOB",
    "DATE": "DATE",
    "DATETIME": "TIMESTAMP",
    "FLOAT": "DOUBLE",
    "FLOAT64": "DOUBLE",
    "GEOGRAPHY": "GEOMETRY",
    "INT64": "BIGINT",
    "INTEGER": "BIGINT",
    "INTERVAL": "INTERVAL",
    "JSON": "JSON",
    "NUMERIC": "DECIMAL(38, 9)",
    "STRING": "VARCHAR",
    "TIME": "TIME",
    "TIMESTAMP": "TIMESTAMPTZ",
}
_DIGITS, _NUMERIC_SCALE = 38, 9
_RANGE = 'STRUCT("start" '
PARAMETER_PREFIX = "_p"
_OURS = re.compile(r"_[psv]\d+")
_PLACE = re.compile(r"""(?<!\w)[eE]'(?:[^'\\]|\\.|'')*+'|'(?:[^']|'')*+'|"(?:[^"]|"")*+"|\$(?P<name>\w+)""", re.DOTALL)
_QUOTED = re.compile(
    r"""@`(?P<name>(?:[^`\\]|\\.)*+)`|--[^\n]*|\#[^\n]*|/\*.*?\*/|`(?:[^`\\]|\\.)*+`
    |(?P<quote>\'\'\'|\"\"\"|'|")(?:[^\\'"]|\\.|(?!(?P=quote))['"])*+(?P=quote)""",
    re.VERBOSE | re.DOTALL,
)
_DEFINED = {"FUNCTION": "inside SQL function bodies", "VIEW": "in the query of a view"}


@dataclass(frozen=True)
class Value:
    """A value with its type.

    Attributes:
        value: The value as DuckDB's client binds it.
        type: Its type in DuckDB, or None for the one of ``value``.
    """

    value: Any
    type: str | None = None

    def expression(self, placeholder: str) -> str:
        """Return the DuckDB expression of the value, which is bound at ``placeholder``."""
        if self.type is not None and self.type.startswith("GEOMETRY") and isinstance(self.value, bytes):
            return f"ST_GeomFromWKB({placeholder})"
        return placeholder if self.type is None else f"(CAST({placeholder} AS {self.type}))"


@dataclass(frozen=True)
class Parameters:
    """The parameters of a job, and the variables of the statement that a script runs.

    Attributes:
        names: The name of each parameter in lower case, or None of a positional one.
        values: The values by the names that the parameters have in prepared statements.
    """

    names: tuple[str | None, ...] = ()
    values: Mapping[str, Value] = field(default_factory=dict)

    @classmethod
    def of(cls, given: Sequence[tuple[str | None, Value]]) -> Parameters:
        """Return the parameters with these names (None for positional ones) and values."""
        names = tuple(None if name is None else name.lower() for name, _ in given)
        return cls(names, {f"{PARAMETER_PREFIX}{index}": value for index, (_, value) in enumerate(given)})

    def with_variables(self, variables: Mapping[str, Value]) -> Parameters:
        """Return these parameters, and the values of variables by their names in the prepared statement."""
        return Parameters(self.names, {**self.values, **variables})

    def types(self) -> dict[str, exp.DataType]:
        """Return the GoogleSQL type of each value by its name. A STRING has none: it may stand for a date, as a literal may.

        https://cloud.google.com/bigquery/docs/reference/standard-sql/conversion_rules#coercion
        """
        return {name: kind for name, kind in self.types_with_texts().items() if kind.this != exp.DType.TEXT}

    def types_with_texts(self) -> dict[str, exp.DataType]:
        """Return the GoogleSQL type of each value by its name, with STRING."""
        return {
            name: _googlesql_type(value.type)
            for name, value in self.values.items()
            if value.type is not None and not value.type.startswith(_RANGE)
        }

    def named_in(self, sql: str) -> str:
        """Return GoogleSQL whose parameters have names of their own: ``@_p0`` is the first parameter.

        Raises:
            QueryError: A parameter is not given.
        """
        if "@" not in sql and "?" not in sql:
            return sql
        if "@`" in sql:
            sql = _QUOTED.sub(self._quoted_name, sql)
        found = readable_tokens(sql)
        edits: list[tuple[int, int, str]] = []
        positional = 0
        for index, token in enumerate(found):
            if token.is_symbol("?"):
                edits.append((token.start, token.end, f"@{self._position(sql, token, positional)}"))
                positional += 1
            elif token.is_symbol("@") and index + 1 < len(found) and not (index and found[index - 1].is_symbol("@")):
                name = found[index + 1]
                if name.kind in ("word", "quoted") and not _OURS.fullmatch(name.text):
                    edits.append((token.start, name.end, f"@{self._name(sql, token.start, name.text)}"))
        for start, end, text in reversed(edits):
            sql = sql[:start] + text + sql[end:]
        return sql

    def check_places(self, sql: str) -> None:
        """Raise ``QueryError`` if a statement or script has a parameter where none can be, or too few places for those given.

        https://cloud.google.com/bigquery/docs/parameterized-queries
        """
        if self.names:
            _reject_misplaced(sql, readable_tokens(sql))
        given = self.names.count(None)
        places = sum(token.is_symbol("?") for token in readable_tokens(sql)) if given else 0
        if given > places:
            raise QueryError(
                f"Too many positional query parameters: {given} provided, but the query has {places}", location="query"
            )

    def _position(self, sql: str, place: Token, number: int) -> str:
        if number >= self.names.count(None):
            raise QueryError(
                f"Query parameter number {number + 1} is not defined ({self.names.count(None)} provided) at "
                f"{position(sql, place.start)}",
                location="query",
            )
        return f"{PARAMETER_PREFIX}{number}"

    def _name(self, sql: str, start: int, name: str) -> str:
        if name.lower() not in self.names:
            raise QueryError(f"Query parameter '{name}' not found at {position(sql, start)}", location="query")
        return f"{PARAMETER_PREFIX}{self.names.index(name.lower())}"

    def _quoted_name(self, match: re.Match[str]) -> str:
        """Return the name of a parameter whose name is in backticks, which may have any characters."""
        if match["name"] is None:
            return match[0]
        name = re.sub(r"\\(.)", r"\1", match["name"])
        return f"@{self._name(match.string, match.start(), name)}"

    def literal_times(self, sql: str) -> str:
        """Return a prepared statement with literals in FOR SYSTEM_TIME, which is evaluated before parameters are bound."""
        tree = parsed(sql) if self.values and "SYSTEM_TIME" in sql.upper() else None
        if tree is None:
            return sql
        for version in tree.find_all(exp.Version):
            for place in list(version.find_all(exp.Parameter)):
                value = self.values[place.name].value
                place.replace(exp.cast(exp.Literal.string(str(value)), "TIMESTAMP", dialect="bigquery"))
        return tree.sql(dialect="bigquery")

    def bind(self, duckdb_sql: str) -> tuple[str, list[Any]]:
        """Return translated SQL with DuckDB's placeholders ``$1``, ``$2``, ..., and their values."""
        if "$" not in duckdb_sql or not self.values:
            return duckdb_sql, []
        places: dict[str, int] = {}

        def replaced(match: re.Match[str]) -> str:
            name = match["name"]
            if name is None or name not in self.values:
                return match[0]
            place = places.setdefault(name, len(places) + 1)
            return self.values[name].expression(f"${place}")

        bound = _PLACE.sub(replaced, duckdb_sql)
        return bound, [self.values[name].value for name in places]


def _reject_misplaced(sql: str, found: tuple[Token, ...]) -> None:
    """Raise ``QueryError`` if a parameter is in place of a name, or in the definition of a function or a view."""
    defined = ""
    for index, token in enumerate(found):
        before = found[index - 1] if index else None
        if before is None or before.is_symbol(";"):
            first = [each.text.upper() for each in found[index : index + 5]] if token.is_word("CREATE") else []
            defined = next((word for word in first if word in _DEFINED), "")
        if before is None or not token.is_symbol("@", "?"):
            continue
        if before.is_word("JOIN", "INTO", "TABLE", "UPDATE") or (
            before.is_word("FROM") and _is_clause(found, index - 1)
        ):
            problem = "Query parameters cannot be used in place of table names"
        elif before.is_symbol("."):
            problem = f'Syntax error: Unexpected "{token.text}"'
        elif defined:
            problem = f"Query parameters cannot be used {_DEFINED[defined]}"
        else:
            continue
        raise QueryError(f"{problem} at {position(sql, token.start)}", location="query")


def _is_clause(found: tuple[Token, ...], index: int) -> bool:
    """Return whether the FROM at an index is a clause, and not that of ``EXTRACT(... FROM x)`` or IS DISTINCT FROM."""
    if index and found[index - 1].is_word("DISTINCT"):
        return False
    depth = 0
    for place in range(index - 1, 0, -1):
        depth += found[place].is_symbol("(") - found[place].is_symbol(")")
        if depth > 0:
            return not found[place - 1].is_word("EXTRACT")
    return True


def rest_parameters(given: Sequence[dict[str, Any]] | None) -> Parameters:
    """Return the parameters in the REST field ``queryParameters``.

    Raises:
        QueryError: A type is not known, a value does not have its type, or two parameters have the same name.
    """
    names = [str(each["name"]).lower() for each in given or () if each.get("name")]
    double = next((name for index, name in enumerate(names) if name in names[:index]), None)
    if double is not None:
        raise QueryError(f"Duplicate query parameter name: {double}", reason="invalid")
    return Parameters.of([(each.get("name") or None, _rest_value(each)) for each in given or ()])


def _rest_value(parameter: dict[str, Any]) -> Value:
    kind = parameter.get("parameterType") or {}
    value = parameter.get("parameterValue") or {}
    if str(kind.get("type", "")).upper() == "BIGNUMERIC" and value.get("value") is not None:
        return big_number(str(value["value"]))
    return Value(_python_value(kind, value), _type_of(kind))


def _type_of(kind: dict[str, Any]) -> str:
    """Return the DuckDB type of a REST ``QueryParameterType``."""
    name = str(kind.get("type") or "STRING").upper()
    match name:
        case "ARRAY":
            return f"{_type_of(kind.get('arrayType') or {})}[]"
        case "STRUCT" | "RECORD":
            fields = (
                f"{_quoted(each.get('name') or f'_field_{index}')} {_type_of(each.get('type') or {})}"
                for index, each in enumerate(kind.get("structTypes") or (), 1)
            )
            return f"STRUCT({', '.join(fields)})"
        case "RANGE":
            element = _type_of(kind.get("rangeElementType") or {"type": "DATE"})
            return f'{_RANGE}{element}, "end" {element})'
        case "BIGNUMERIC":
            return f"DECIMAL({_DIGITS}, {_NUMERIC_SCALE + 1})"
    if name not in _DUCKDB_TYPE:
        raise QueryError(f"Invalid query parameter type: {name}", reason="invalid")
    return _DUCKDB_TYPE[name]


def _googlesql_type(duckdb_type: str) -> exp.DataType:
    """Return the type as sqlglot has it for GoogleSQL."""
    kind = exp.DataType.build(duckdb_type, dialect="duckdb")
    for each in list(kind.find_all(exp.DataType)):
        if each.this == exp.DType.DECIMAL:
            scale = int(each.expressions[1].name)
            each.set("this", exp.DType.BIGDECIMAL if scale > _NUMERIC_SCALE else exp.DType.DECIMAL)
            each.set("expressions", [])
        elif each.this == exp.DType.VARBINARY:
            each.set("this", exp.DType.BINARY)
    return kind


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _python_value(kind: dict[str, Any], value: dict[str, Any]) -> Any:
    name = str(kind.get("type") or "STRING").upper()
    match name:
        case "ARRAY":
            element = kind.get("arrayType") or {}
            return [_python_value(element, each) for each in value.get("arrayValues") or ()]
        case "STRUCT" | "RECORD":
            given = value.get("structValues") or {}
            return {
                each.get("name") or f"_field_{index}": _python_value(
                    each.get("type") or {}, given.get(each.get("name") or "", {})
                )
                for index, each in enumerate(kind.get("structTypes") or (), 1)
            }
        case "RANGE":
            return _range(kind.get("rangeElementType") or {"type": "DATE"}, value)
    raw = value.get("value")
    if raw is None:
        return None
    try:
        return _READERS.get(name, str)(str(raw))
    except (ValueError, InvalidOperation, binascii.Error) as error:
        if name in ("INT64", "INTEGER"):  # the engine would round 1.5
            raise QueryError(f"Bad int64 value: {raw}", reason="invalid") from error
        return str(raw)  # the engine converts the text, or reports it in BigQuery's words


def _range(element: dict[str, Any], value: dict[str, Any]) -> dict[str, Any] | None:
    ends = value.get("rangeValue")
    if ends is None:
        text = value.get("value")
        if text is None:
            return None
        start, _, end = str(text).strip("[) ").partition(",")
        ends = {"start": {"value": _bound(start)}, "end": {"value": _bound(end)}}
    return {name: _python_value(element, ends.get(name) or {}) for name in ("start", "end")}


def _bound(text: str) -> str | None:
    text = text.strip()
    return None if text.upper() in ("", "UNBOUNDED", "NULL") else text


def big_number(text: str) -> Value:
    """Return a BIGNUMERIC value. The engine has 38 digits in all, so digits behind the point are cut off beyond that.

    Raises:
        QueryError: The value is not a number, or has more than 28 digits before the point.
    """
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise QueryError(f"Bad bignumeric value: {text}", reason="invalid") from error
    whole = max(0, number.adjusted() + 1) if number else 0
    if not number.is_finite() or whole > _DIGITS - _NUMERIC_SCALE - 1:
        raise QueryError(
            f"BIGNUMERIC values with more than {_DIGITS - _NUMERIC_SCALE - 1} digits before the decimal point are not "
            f"supported by the local BigQuery: {text}",
            reason="notImplemented",
        )
    exponent = number.as_tuple().exponent
    digits = -exponent if isinstance(exponent, int) and exponent < 0 else 0
    scale = min(_DIGITS - whole, max(_NUMERIC_SCALE + 1, digits))
    return Value(f"{number:f}", f"DECIMAL({_DIGITS}, {scale})")


def _moment(text: str) -> datetime:
    text = text.strip()
    for zone in (" UTC", "Z"):
        text = f"{text.removesuffix(zone)}+00:00" if text.endswith(zone) else text
    return datetime.fromisoformat(text.replace(" ", "T", 1))


def _timestamp(text: str) -> datetime:
    moment = _moment(text)
    return moment if moment.tzinfo is not None else datetime.fromisoformat(f"{moment.isoformat()}+00:00")


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0"):
        raise ValueError(text)
    return text.lower() in ("true", "1")


_READERS: dict[str, Callable[[str], Any]] = {
    "BOOL": _truth,
    "BOOLEAN": _truth,
    "BYTES": lambda text: base64.b64decode(text, validate=False),
    "DATE": date.fromisoformat,
    "DATETIME": _moment,
    "FLOAT": float,
    "FLOAT64": float,
    "INT64": int,
    "INTEGER": int,
    "INTERVAL": lambda text: interval_words(text.strip()),
    "NUMERIC": Decimal,
    "TIME": time.fromisoformat,
    "TIMESTAMP": _timestamp,
}
