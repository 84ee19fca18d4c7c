"""Carries out the functions of GoogleSQL for hosts and IP addresses, but for those that need the list of public suffixes.

https://cloud.google.com/bigquery/docs/reference/standard-sql/net_functions
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any

import duckdb
from duckdb.func import FunctionNullHandling
from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.errors.function_errors import FunctionError
from localcloud.bigquery.sql.functions.nodes import Rule, call


def _host(url: str) -> str | None:
    """Return the host of a URL, or of a text that looks like one."""
    rest = re.sub(r"^\s*(?:[A-Za-z][A-Za-z0-9+.\-]*:)?(?://)?", "", url.strip(), count=1)
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2]
    bracketed = re.match(r"\[[^\]]*\]", authority)
    return (bracketed[0] if bracketed else authority.partition(":")[0]).strip() or None


def _of_text(text: str) -> bytes:
    try:
        return ipaddress.ip_address(text).packed
    except ValueError:
        raise FunctionError(QueryError(f"Failed to parse {text} as an IP address")) from None


def _of_text_or_null(text: str) -> bytes | None:
    try:
        return ipaddress.ip_address(text).packed
    except ValueError:
        return None


def _checked(address: bytes) -> bytes:
    if len(address) not in (4, 16):
        raise FunctionError(QueryError("The size of an IP address must be 4 or 16 bytes"))
    return address


def _to_text(address: bytes) -> str:
    return str(ipaddress.ip_address(_checked(address)))


def _mask(size: int, prefix: int) -> bytes:
    if size not in (4, 16) or not 0 <= prefix <= size * 8:
        raise FunctionError(QueryError("NET.IP_NET_MASK needs a size of 4 or 16, and a prefix of at most its bits"))
    return ((1 << size * 8) - (1 << size * 8 - prefix)).to_bytes(size, "big")


def _truncated(address: bytes, prefix: int) -> bytes:
    mask = _mask(len(_checked(address)), prefix)
    return bytes(left & right for left, right in zip(address, mask, strict=True))


def _of_number(number: int) -> bytes:
    if not -(2**31) <= number < 2**32:
        raise FunctionError(QueryError(f"{number} is not an IPv4 address"))
    return (number % 2**32).to_bytes(4, "big")


def _to_number(address: bytes) -> int:
    if len(address) != 4:
        raise FunctionError(QueryError("The size of an IPv4 address must be 4 bytes"))
    return int.from_bytes(address, "big")


# The functions in Python, the types of their parameters, and of their results.
_FUNCTIONS: Mapping[str, tuple[Callable[..., Any], tuple[str, ...], str]] = {
    "HOST": (_host, ("VARCHAR",), "VARCHAR"),
    "IP_FROM_STRING": (_of_text, ("VARCHAR",), "BLOB"),
    "SAFE_IP_FROM_STRING": (_of_text_or_null, ("VARCHAR",), "BLOB"),
    "IP_TO_STRING": (_to_text, ("BLOB",), "VARCHAR"),
    "IP_NET_MASK": (_mask, ("BIGINT", "BIGINT"), "BLOB"),
    "IP_TRUNC": (_truncated, ("BLOB", "BIGINT"), "BLOB"),
    "IPV4_FROM_INT64": (_of_number, ("BIGINT",), "BLOB"),
    "IPV4_TO_INT64": (_to_number, ("BLOB",), "BIGINT"),
}
MACROS: tuple[str, ...] = tuple(
    f"CREATE OR REPLACE MACRO _net_{name.lower()}({names}) AS "
    f"CASE WHEN {names.split(', ')[0]} IS NOT NULL THEN bqemu_net_{name.lower()}({names}) END"
    for name, (_, kinds, _) in _FUNCTIONS.items()
    for names in (", ".join("ab"[: len(kinds)]),)
)
"""The DuckDB macros that the rewritten SQL calls."""

WORDS = (r"NET\.\w+",)
"""Regular expressions of the names of the functions that ``RULES`` may replace."""


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Register the Python functions that the macros call."""
    for name, (function, kinds, result) in _FUNCTIONS.items():
        parameters: Any = list(kinds)
        python, nulls = (
            (_or_null(function), FunctionNullHandling.SPECIAL)
            if len(kinds) == 1
            else (function, FunctionNullHandling.DEFAULT)
        )
        connection.create_function(f"bqemu_net_{name.lower()}", python, parameters, result, null_handling=nulls)


def _or_null(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a function that may return NULL, which DuckDB allows only to functions that take NULL."""
    return lambda value: None if value is None else function(value)


def _call(node: exp.Expr) -> exp.Expr | None:
    called = node.this
    name = (called.name if isinstance(called, exp.Anonymous) else called.sql_name()).upper()
    if name not in _FUNCTIONS:
        raise QueryError(f"NET.{name} is not supported: it needs the list of public suffixes")
    given = called.expressions if isinstance(called, exp.Anonymous) else [called.this]
    return call(f"_net_{name.lower()}", *given)


RULES: dict[type[exp.Expr], Rule] = {exp.NetFunc: _call}
"""What replaces the nodes of each type."""
