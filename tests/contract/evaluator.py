"""Google's reference evaluator of GoogleSQL, which answers queries that read no table.

It is part of the library that tests/contract/googlesql.py takes the parser from. Its answers have the form that Google's client
for BigQuery has, so that both can be compared.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
from dataclasses import dataclass
from decimal import Context, Decimal
from functools import cache
from typing import Any

from google.protobuf.empty_pb2 import Empty
from zetasql.core.exceptions import ServerError
from zetasql.core.local_service import ZetaSqlLocalService
from zetasql.wasi._pb2.zetasql.local_service import local_service_pb2 as service
from zetasql.wasi._pb2.zetasql.public import type_pb2 as types

from tests.contract.googlesql import options_outside_google

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
# 76 digits of BIGNUMERIC, of which 38 are behind the point.
_EXACT = Context(prec=80)
_NAMES = {
    types.TYPE_INT64: "INT64",
    types.TYPE_BOOL: "BOOL",
    types.TYPE_DOUBLE: "FLOAT64",
    types.TYPE_STRING: "STRING",
    types.TYPE_BYTES: "BYTES",
    types.TYPE_DATE: "DATE",
    types.TYPE_TIMESTAMP: "TIMESTAMP",
    types.TYPE_DATETIME: "DATETIME",
    types.TYPE_TIME: "TIME",
    types.TYPE_NUMERIC: "NUMERIC",
    types.TYPE_BIGNUMERIC: "BIGNUMERIC",
    types.TYPE_JSON: "JSON",
    types.TYPE_INTERVAL: "INTERVAL",
    types.TYPE_GEOGRAPHY: "GEOGRAPHY",
}
_PLAIN = {
    types.TYPE_INT64: "int64_value",
    types.TYPE_BOOL: "bool_value",
    types.TYPE_DOUBLE: "double_value",
    types.TYPE_STRING: "string_value",
    types.TYPE_BYTES: "bytes_value",
}


@dataclass(frozen=True)
class Answer:
    """The columns of a query, as name and type, and its rows."""

    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[Any, ...], ...]


class RefusedError(Exception):
    """Google's evaluator refuses a query, or fails at a row."""


class UnknownError(Exception):
    """Google's evaluator has no answer: it is without the function, or its text of an error is cut within a character."""


def evaluate(query: str) -> Answer:
    """Return the columns and rows of a query, whose intervals and ranges have been cast to STRING.

    Raises:
        RefusedError: the query is refused, or fails at a row.
        UnknownError: the evaluator does not carry the query out, so that its answer is no measure.
    """
    request = service.PrepareQueryRequest(sql=query, registered_catalog_id=_catalog())
    request.options.language_options.CopyFrom(_language())
    request.options.default_timezone = "UTC"
    try:
        prepared = _call("PrepareQuery", request, service.PrepareQueryResponse).prepared
        try:
            rows = _call(
                "EvaluateQuery",
                service.EvaluateQueryRequest(prepared_query_id=prepared.prepared_query_id),
                service.EvaluateQueryResponse,
            ).content.table_data.row
        finally:
            _call("UnprepareQuery", service.UnprepareQueryRequest(prepared_query_id=prepared.prepared_query_id), Empty)
    except UnicodeDecodeError as error:
        raise UnknownError(str(error)) from error
    except ServerError as error:
        if any(reason in str(error) for reason in ("INTERNAL", "UNIMPLEMENTED", "Function not found")):
            raise UnknownError(str(error)) from error
        raise RefusedError(str(error)) from error
    kinds = [column.type for column in prepared.columns]
    nameless = (f"f{number}_" for number in itertools.count())
    return Answer(
        tuple(
            ((column.name.lstrip("$") and column.name) or next(nameless), type_name(column.type))
            for column in prepared.columns
        ),
        tuple(tuple(_value(cell, kind) for cell, kind in zip(row.cell, kinds, strict=True)) for row in rows),
    )


def type_name(kind: Any) -> str:
    """Return the name of a type, as ``STRUCT<a INT64, b ARRAY<STRING>>``; a field without a name gets BigQuery's."""
    if kind.type_kind == types.TYPE_ARRAY:
        return f"ARRAY<{type_name(kind.array_type.element_type)}>"
    if kind.type_kind == types.TYPE_STRUCT:
        fields = enumerate(kind.struct_type.field, start=1)
        named = ((field.field_name or f"_field_{number}", field.field_type) for number, field in fields)
        return f"STRUCT<{', '.join(f'{name} {type_name(each)}' for name, each in named)}>"
    return _NAMES.get(kind.type_kind, types.TypeKind.Name(kind.type_kind))


def _call(method: str, request: Any, answer: Any) -> Any:
    return ZetaSqlLocalService.get_instance().wasm_client.call_grpc_func(
        f"ZetaSqlLocalService_{method}", request, answer
    )


@cache
def _language() -> Any:
    return options_outside_google().to_proto()


@cache
def _catalog() -> int:
    """Return the id of a catalog with Google's functions, which takes longer to build than a query takes to run."""
    request = service.RegisterCatalogRequest()
    request.simple_catalog.name = "functions"
    request.simple_catalog.builtin_function_options.language_options.CopyFrom(_language())
    return int(_call("RegisterCatalog", request, service.RegisterResponse).registered_id)


def _value(value: Any, kind: Any) -> Any:
    """Return a value as Google's client for BigQuery has it; a STRUCT is a tuple."""
    form = kind.type_kind
    if form == types.TYPE_ARRAY:
        return [_value(each, kind.array_type.element_type) for each in value.array_value.element]
    if value.WhichOneof("value") is None:
        return None
    if form in _PLAIN:
        return getattr(value, _PLAIN[form])
    if form == types.TYPE_STRUCT:
        fields = zip(value.struct_value.field, kind.struct_type.field, strict=True)
        return tuple(_value(each, field.field_type) for each, field in fields)
    if form == types.TYPE_NUMERIC:
        return _decimal(value.numeric_value, 9)
    if form == types.TYPE_BIGNUMERIC:
        return _decimal(value.bignumeric_value, 38)
    if form == types.TYPE_JSON:
        return json.loads(value.json_value)
    return _time(value, form)


def _decimal(units: bytes, scale: int) -> Decimal:
    return Decimal(int.from_bytes(units, "little", signed=True)).scaleb(-scale, _EXACT)


def _time(value: Any, form: int) -> Any:
    """Return a date or time, which the evaluator packs into the bits of one number."""
    if form == types.TYPE_DATE:
        return _EPOCH.date() + dt.timedelta(days=value.date_value)
    if form == types.TYPE_TIMESTAMP:
        moment = value.timestamp_value
        return _EPOCH + dt.timedelta(seconds=moment.seconds, microseconds=moment.nanos // 1000)
    if form == types.TYPE_TIME:
        seconds, nanos = divmod(value.time_value, 1 << 30)
        return dt.time(*_clock(seconds), nanos // 1000)
    if form == types.TYPE_DATETIME:
        bits = value.datetime_value.bit_field_datetime_seconds
        date = bits >> 26, bits >> 22 & 15, bits >> 17 & 31
        return dt.datetime(*date, *_clock(bits & 0x1FFFF), value.datetime_value.nanos // 1000)
    raise UnknownError(f"a value of the type {types.TypeKind.Name(form)} cannot be read")


def _clock(bits: int) -> tuple[int, int, int]:
    """Return hour, minute and second."""
    return bits >> 12, bits >> 6 & 63, bits & 63
