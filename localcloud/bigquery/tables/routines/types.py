"""The types of the parameters and of the result of functions in SQL. DuckDB's macros, which they become, have none.

https://cloud.google.com/bigquery/docs/user-defined-functions#sql-udf-structure
https://cloud.google.com/bigquery/docs/reference/standard-sql/conversion_rules#coercion
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bqemulator.catalog.models import RoutineMeta
from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.schema import Field, columns_of, quote
from localcloud.bigquery.base.type_names import standard_name
from localcloud.bigquery.sql.reading.draft import Draft
from localcloud.bigquery.sql.reading.types import whole_type_of
from localcloud.bigquery.sql.structs.positions import coerced_by_position

_INTEGERS = "U?(TINY|SMALL|BIG|HUGE)?INT|U?INTEGER"
_NUMBERS = f"{_INTEGERS}|DECIMAL.*|FLOAT|DOUBLE"
# DuckDB's types of the values that a parameter of a type takes. A literal of a time is a VARCHAR.
_ACCEPTED = {
    "BOOL": "BOOLEAN",
    "BYTES": "BLOB|VARCHAR",
    "DATE": "DATE|VARCHAR",
    "DATETIME": "TIMESTAMP.*|DATE|VARCHAR",
    "FLOAT64": _NUMBERS,
    "INT64": _INTEGERS,
    "JSON": "JSON",
    "NUMERIC": _NUMBERS,
    "BIGNUMERIC": _NUMBERS,
    "STRING": "VARCHAR|UUID",
    "TIME": "TIME|VARCHAR",
    "TIMESTAMP": "TIMESTAMP.*|DATE|VARCHAR",
}
# DuckDB finds the type of a value before it runs a statement, and then leaves out the branch that does not apply.
MACROS = (
    "CREATE OR REPLACE MACRO _typed(x, accepted, message) AS "
    "CASE WHEN regexp_full_match(typeof(x), accepted || '|\"NULL\"') THEN x ELSE error(message) END",
)


def type_text(data_type: dict[str, Any] | None) -> str | None:
    """Return the GoogleSQL type of a ``StandardSqlDataType``; None for ANY TYPE.

    https://cloud.google.com/bigquery/docs/reference/rest/v2/StandardSqlDataType
    """
    if data_type is None or data_type.get("typeKind") == "ANY_TYPE":
        return None
    if data_type.get("arrayElementType"):
        return f"ARRAY<{type_text(data_type['arrayElementType'])}>"
    if data_type.get("structType"):
        fields = (f"{_shown(each['name'])} {type_text(each['type'])}" for each in data_type["structType"]["fields"])
        return f"STRUCT<{', '.join(fields)}>"
    if data_type.get("rangeElementType"):
        return f"RANGE<{type_text(data_type['rangeElementType'])}>"
    kind = str(data_type["typeKind"])
    return standard_name(kind) if kind.isalnum() else kind


def _shown(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_]\w*", name) else f"`{name}`"


def standard(routine: RoutineMeta) -> RoutineMeta:
    """Return a routine whose types are ``StandardSqlDataType`` as REST has them, however its statement writes them."""
    arguments = tuple(
        argument.model_copy(update={"argument_kind": "ANY_TYPE", "data_type": None})
        if type_text(argument.data_type) is None
        else argument.model_copy(update={"data_type": _standard_type(argument.data_type)})
        for argument in routine.arguments
    )
    # The resource of a table function has no returnType, and the list of columns has lost the case of their names.
    is_table = routine.routine_type == "TABLE_VALUED_FUNCTION"
    result = None if is_table else _standard_type(routine.return_type)
    return routine.model_copy(update={"arguments": arguments, "return_type": result})


def _standard_type(data_type: dict[str, Any] | None) -> dict[str, Any] | None:
    if data_type is None:
        return None
    if element := data_type.get("arrayElementType"):
        return data_type | {"arrayElementType": _standard_type(element)}
    if struct := data_type.get("structType"):
        fields = [each | {"type": _standard_type(each["type"])} for each in struct["fields"]]
        return data_type | {"structType": {"fields": fields}}
    kind = str(type_text(data_type))
    if ranged := re.fullmatch(r"RANGE<(\w+)>", kind):
        return {"typeKind": "RANGE", "rangeElementType": {"typeKind": ranged[1]}}
    return data_type | {"typeKind": kind}


def typed_call(routine: RoutineMeta, name: str, body: str) -> str:
    """Return the call of the macro that is the body of a function, with its arguments and its result coerced.

    Args:
        routine: The function.
        name: Its name in errors.
        body: The quoted name of the macro.
    """
    given = " || ', ' || ".join(f"typeof({quote(argument.name)})" for argument in routine.arguments)
    message = (
        f"'No matching signature for function {name} for argument types: ' || {given or repr('')} || "
        f"'. Supported signature: {_signature(routine, name)}'"
    )
    arguments = [
        _coerced(quote(argument.name), argument.data_type, message.replace("`", "")) for argument in routine.arguments
    ]
    call = f"{body}({', '.join(arguments)})"
    message = f"'Function declared to return {type_text(routine.return_type)} but the function body produces incompatible type'"
    return _coerced(call, routine.return_type, message.replace("`", ""))


def check_arguments(
    routine: RoutineMeta, name: str, given: Sequence[str], parameters: Mapping[str, exp.DataType]
) -> None:
    """Reject a call whose arguments have types that the parameters do not take, as far as sqlglot knows them.

    Args:
        routine: A table function, or a function whose body replaces its calls.
        name: Its name in errors.
        given: The arguments in GoogleSQL.
        parameters: The types of the parameters in them by their names.

    Raises:
        QueryError: An argument has another type.
    """
    found = [_known_type(each, parameters) for each in given]
    for argument, kind in zip(routine.arguments, found, strict=True):
        accepted = _ACCEPTED.get(type_text(argument.data_type) or "")
        if kind is None or accepted is None or re.fullmatch(accepted, _in_duckdb(kind)):
            continue
        what = "function" if routine.routine_type == "SCALAR_FUNCTION" else "table-valued function"
        shown = ", ".join("ANY" if each is None else each.sql(dialect="bigquery") for each in found)
        raise QueryError(
            f"No matching signature for {what} {name} for argument types: {shown}. "
            f"Supported signature: {_signature(routine, name)}",
            location="query",
        )


def _signature(routine: RoutineMeta, name: str) -> str:
    kinds = [type_text(argument.data_type) for argument in routine.arguments]
    return f"{name}({', '.join(kind or 'ANY' for kind in kinds)})"


def _known_type(argument: str, parameters: Mapping[str, exp.DataType]) -> exp.DataType | None:
    """Return the type of an argument; None for NULL, for a table, and if the type is not known."""
    draft = Draft(f"SELECT {argument}", parameters=parameters)
    if not isinstance(draft.tree, exp.Select) or len(draft.tree.expressions) != 1 or not draft.mark_types():
        return None
    kind = whole_type_of(draft.tree.expressions[0].unalias())
    return None if kind is None or kind.this in (exp.DType.UNKNOWN, exp.DType.NULL) else kind


def _in_duckdb(kind: exp.DataType) -> str:
    text = kind.sql(dialect="duckdb")
    return {"TEXT": "VARCHAR", "TIMESTAMPTZ": "TIMESTAMP"}.get(text, text)


def _coerced(value: str, data_type: dict[str, Any] | None, message: str) -> str:
    """Return DuckDB's expression of a value that is coerced to a type, or that fails with a message."""
    text = type_text(data_type)
    if data_type is None or text is None:
        return value
    if "STRUCT<" in text:
        target = exp.DataType.build(text, dialect="bigquery")
        value = coerced_by_position(exp.maybe_parse(value, dialect="duckdb"), target).sql(dialect="duckdb")
    elif text in _ACCEPTED:
        value = f"_typed({value}, '{_ACCEPTED[text]}', {message})"
    elif not text.startswith("ARRAY<"):
        return value
    [(_, kind)] = columns_of([_field("value", data_type)])
    return f"CAST({value} AS {kind})"


def _field(name: str, data_type: dict[str, Any]) -> Field:
    """Return the REST field of a ``StandardSqlDataType``."""
    element = data_type.get("arrayElementType")
    if element:
        return {**_field(name, element), "mode": "REPEATED"}
    fields = [_field(each["name"], each["type"]) for each in (data_type.get("structType") or {}).get("fields", ())]
    kind = "RECORD" if fields else str(type_text(data_type))
    return {"name": name, "type": kind, "mode": "NULLABLE"} | ({"fields": fields} if fields else {})
