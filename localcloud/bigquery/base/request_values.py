"""Checks the values of requests by their types in Google's API description.

https://developers.google.com/discovery/v1/type-format
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from localcloud.bigquery.base.discovery import properties
from localcloud.bigquery.base.errors import QueryError

_WHOLE = re.compile(r"[-+]?\d+")
# The values of fields that the description calls texts.
_VALUES: Mapping[tuple[str, str], Sequence[str]] = {
    ("JobConfigurationQuery", "parameterMode"): ("NAMED", "POSITIONAL"),
    ("JobConfigurationQuery", "priority"): ("INTERACTIVE", "BATCH"),
    ("QueryRequest", "parameterMode"): ("NAMED", "POSITIONAL"),
}


def check_values(schema: str, body: Mapping[str, Any]) -> None:
    """Reject a request with a value of another type than its field has.

    Args:
        schema: The name of the body's schema.
        body: The body, as ``canonical`` returns it.

    Raises:
        QueryError: A value does not have its field's type, or is none of its field's values.
    """
    described = properties(schema)
    for name, value in body.items():
        if value is None or name not in described:
            continue
        known = described[name].get("enum") or _VALUES.get((schema, name))
        if (known and value and value not in known) or not _has_type(described[name], value):
            raise _invalid(name, value, known)


def check_parameter(name: str, value: str, described: Mapping[str, Any]) -> None:
    """Reject a parameter of the query string with a value of another type. Raises ``QueryError``."""
    known = described.get("enum")
    if known and value.lower() not in {each.lower() for each in known}:
        raise _invalid(name, value, known)
    form = str(described.get("format", ""))
    if value and (described.get("type") == "integer" or form in ("int64", "uint64")):
        unsigned = form.startswith("u")
        if not _WHOLE.fullmatch(value) or (unsigned and int(value) < 0):
            raise _invalid(name, value, None)


def _has_type(described: Mapping[str, Any], value: Any) -> bool:
    match described.get("type"), str(described.get("format", "")):
        case "integer", form:
            return isinstance(value, int) and not isinstance(value, bool) and not (form.startswith("u") and value < 0)
        case "boolean", _:
            return isinstance(value, bool)
        case "string", ("int64" | "uint64") as form:
            return _WHOLE.fullmatch(str(value)) is not None and not (form == "uint64" and int(value) < 0)
        case "array", _:
            return isinstance(value, list)
    return True


def _invalid(name: str, value: Any, known: Sequence[str] | None) -> QueryError:
    allowed = f". Use one of {', '.join(known)}" if known else ""
    return QueryError(f"Invalid value for {name}: {value} is not a valid value{allowed}", reason="invalid")
