"""Writes numbers by the flags of FORMAT, and values of any type as its ``%t`` and ``%T`` do.

https://cloud.google.com/bigquery/docs/reference/standard-sql/string_functions#format_specifiers
https://cloud.google.com/bigquery/docs/reference/standard-sql/string_functions#t_and_t_behavior
"""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from localcloud.bigquery.sql.functions.json.ordering import first_members, in_order

_BASES = {"d": "d", "i": "d", "x": "x", "X": "X", "o": "o"}
_PREFIXES = {"x": "0x", "X": "0X", "o": "0"}
# The separator of groups of digits, and the size of a group.
_GROUPS = {"d": (",", 3), "i": (",", 3), "x": (":", 4), "X": (":", 4), "o": (",", 4)}


def integer_text(value: int, flags: str, width: int, digits: int, kind: str) -> str:
    """Return an integer as a specifier such as ``%'08x`` writes it.

    Args:
        value: The integer.
        flags: The flags of the specifier.
        width: The least number of characters.
        digits: The least number of digits, or -1.
        kind: The letter of the specifier.
    """
    text = format(abs(value), _BASES[kind]).zfill(max(digits, 0))
    if "'" in flags:
        separator, size = _GROUPS[kind]
        text = re.sub(rf"(?<=.)(?=(?:.{{{size}}})+$)", separator, text)
    sign = _sign(value < 0, flags) + (_PREFIXES.get(kind, "") if "#" in flags else "")
    return _padded(sign, text, flags, width, zeros=digits < 0)


def float_text(value: float, flags: str, width: int, digits: int, kind: str) -> str:
    """Return a floating point number as a specifier such as ``%'.2f`` writes it; ``digits`` is -1 if it has none."""
    size = "" if digits < 0 else f".{digits}"
    if "'" in flags and kind in "fF":
        text = format(abs(value), f",{size}f")
    else:
        text = f"%{'#' if '#' in flags else ''}{size}{kind}" % abs(value)
    text = text.upper() if kind.isupper() else text
    negative = math.copysign(1, value) < 0 and not math.isnan(value)
    return _padded(_sign(negative, flags), text, flags, width, zeros=math.isfinite(value))


def _sign(negative: bool, flags: str) -> str:
    return "-" if negative else "+" if "+" in flags else " " if " " in flags else ""


def _padded(sign: str, text: str, flags: str, width: int, *, zeros: bool) -> str:
    if "-" in flags:
        return (sign + text).ljust(width)
    if "0" in flags and zeros:
        return sign + text.rjust(width - len(sign), "0")
    return (sign + text).rjust(width)


Writer = Callable[[Any], str]
"""Returns the text of a value."""


def writer_of(kind: Any, *, literal: bool) -> Writer:
    """Return the function that writes the values of a DuckDB type.

    Args:
        kind: The type.
        literal: Whether to write literals, as ``%T`` does, or texts, as ``%t`` does.
    """
    if str(kind) == "JSON":
        return _or_null(lambda value: _json_literal(value) if literal else _compact(value))
    match kind.id:
        case "struct":
            fields = [(name, writer_of(child, literal=literal)) for name, child in kind.children]
            opening = "STRUCT(" if literal and len(fields) == 1 else "("
            return _or_null(lambda value: opening + ", ".join(of(value[name]) for name, of in fields) + ")")
        case "list":
            element = writer_of(kind.children[0][1], literal=literal)
            return _or_null(lambda value: "[" + ", ".join(map(element, value)) + "]")
        case "double" | "float":
            return _or_null(lambda value: _float(value, literal=literal))
        case "decimal":
            name = "NUMERIC" if dict(kind.children)["scale"] <= 9 else "BIGNUMERIC"
            return _or_null(lambda value: f'{name} "{_decimal(value)}"' if literal else _decimal(value))
        case "varchar":
            return _or_null(_quoted if literal else str)
        case "blob":
            return _or_null(lambda value: f'b"{_bytes(value, "")}"' if literal else _bytes(value, "'"))
        case "boolean":
            return _or_null(lambda value: "true" if value else "false")
    of_times = _NAMES.get(kind.id)
    return _or_null(lambda value: f'{of_times} "{_time(value)}"' if literal and of_times else _time(value))


_NAMES: Mapping[str, str] = {
    "date": "DATE",
    "time": "TIME",
    "timestamp": "DATETIME",
    "timestamp with time zone": "TIMESTAMP",
}


def _or_null(write: Writer) -> Writer:
    return lambda value: "NULL" if value is None else write(value)


def _float(value: float, *, literal: bool) -> str:
    if not math.isfinite(value):
        text = "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
        return f'CAST("{text}" AS FLOAT64)' if literal else text
    short = f"{value:.15g}"
    text = short if float(short) == value else f"{value:.17g}"
    return text if re.search(r"[.e]", text) else f"{text}.0"


def _decimal(value: Decimal) -> str:
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\\": "\\\\"}


def _quoted(value: str) -> str:
    quote = "'" if '"' in value and "'" not in value else '"'
    escapes = {**_ESCAPES, quote: f"\\{quote}"}
    parts = (escapes.get(each) or (f"\\x{ord(each):02x}" if each < " " else each) for each in value)
    return f"{quote}{''.join(parts)}{quote}"


def _bytes(value: bytes, quotes: str) -> str:
    escaped = {ord(each): f"\\{each}" for each in f'\\"{quotes}'}
    return "".join(escaped.get(each) or (chr(each) if 32 <= each < 127 else f"\\x{each:02x}") for each in value)


def _time(value: Any) -> str:
    if isinstance(value, (dt.datetime, dt.time)):
        digits = "seconds" if not value.microsecond else "microseconds" if value.microsecond % 1000 else "milliseconds"
        zone = "+00" if isinstance(value, dt.datetime) and value.tzinfo is not None else ""
        plain = value.replace(tzinfo=None)
        text = plain.isoformat(" ", digits) if isinstance(plain, dt.datetime) else plain.isoformat(digits)
        return text + zone
    return str(value)


def _compact(value: str) -> str:
    document = json.loads(value, object_pairs_hook=first_members)
    return in_order(json.dumps(document, separators=(",", ":"), ensure_ascii=False))


def _json_literal(value: str) -> str:
    return f"JSON {_quoted(_compact(value))}"
