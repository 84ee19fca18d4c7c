"""Reads Avro, Parquet and ORC files, which have a schema of their own.

https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-avro#avro_conversions
https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-parquet#parquet_conversions
https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-orc#orc_conversions
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.schema import quote
from localcloud.bigquery.tables.files.avro_files import read_schema
from localcloud.bigquery.tables.files.file_database import FileDatabase, literal

_MOST_DIGITS = 38
# The unit of an Avro type's numbers, and the function of DuckDB's that returns them.
_RAW: Mapping[str, str] = {
    "date": "({} - DATE '1970-01-01')",
    "timestamp-millis": "epoch_ms({})",
    "timestamp-micros": "epoch_us({})",
    "local-timestamp-millis": "epoch_ms({})",
    "local-timestamp-micros": "epoch_us({})",
    "time-millis": "CAST(epoch_ms({}) AS BIGINT)",
    "time-micros": "CAST(epoch_us({}) AS BIGINT)",
}
# https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobConfigurationLoad (decimalTargetTypes)
_DEFAULT_DECIMALS: Mapping[str, tuple[str, ...]] = {"ORC": ("NUMERIC", "STRING")}


def columnar_query(kind: str, files: Mapping[Path, str], options: Mapping[str, Any], database: FileDatabase) -> str:
    """Return the query of the rows of files, with the types that BigQuery gives to their columns.

    Args:
        kind: ``AVRO``, ``PARQUET`` or ``ORC``.
        files: The files, and the URI of each; empty for an uploaded file.
        options: The REST ``JobConfigurationLoad``.
        database: The database that reads the files.

    Raises:
        QueryError: A file has another format, or a column with a type that can't be read.
        duckdb.Error: A file can't be read.
    """
    paths = list(files)
    if kind == "AVRO":
        source = f"read_avro({_list(paths)})"
        logical = _avro_types(paths[0])
    elif kind == "PARQUET":
        source, logical = f"read_parquet({_list(paths)}, union_by_name = true)", {}
        _check_parquet(files)
    else:
        source, logical = "orc_rows", {}
        database.create_table(source, _orc_rows(paths))
    parts = []
    for name, found in database.columns(f"SELECT * FROM {source}"):
        value = quote(name)
        if kind == "AVRO":
            value = _avro_value(value, logical.get(name, {}), raw=not options.get("useAvroLogicalTypes"))
        if found.startswith("MAP("):
            value = f"map_entries({value})"
            if kind == "PARQUET" and (options.get("parquetOptions") or {}).get("mapTargetType") != "ARRAY_OF_STRUCT":
                value = f"struct_pack(key_value := {value})"
        if found.startswith("DECIMAL(") and not found.endswith("]"):
            value = _decimal(
                name, found, options.get("decimalTargetTypes") or _DEFAULT_DECIMALS.get(kind, ("NUMERIC",))
            )
        parts.append(f"{value} AS {quote(name)}")
    return f"SELECT {', '.join(parts)} FROM {source}"


def _list(paths: Sequence[Path]) -> str:
    return "[" + ", ".join(literal(str(path)) for path in paths) + "]"


def _decimal(name: str, found: str, targets: Sequence[str]) -> str:
    """Return the expression of a decimal column in the first target type that holds its digits, else in the widest."""
    precision, scale = (int(part) for part in found.removeprefix("DECIMAL(").removesuffix(")").split(","))
    if "NUMERIC" in targets and scale <= 9 and precision - scale <= 29:
        return f"CAST({quote(name)} AS DECIMAL(38, 9))"
    if "BIGNUMERIC" in targets:
        return f"CAST({quote(name)} AS DECIMAL(38, 18))"
    if "STRING" in targets:
        return f"CAST({quote(name)} AS VARCHAR)"
    numeric = f"CAST({quote(name)} AS DECIMAL(38, 9))"
    problem = literal(f"Column {name} has values outside NUMERIC. Set decimalTargetTypes to BIGNUMERIC or STRING.")
    return f"CASE WHEN {numeric} <> {quote(name)} THEN error({problem}) ELSE {numeric} END"


# Parquet and ORC


def _check_parquet(files: Mapping[Path, str]) -> None:
    """Reject decimals of more digits than the engine has, which it would read as FLOAT64. Raises ``QueryError``."""
    import pyarrow.parquet

    for path, uri in files.items():
        try:
            schema = pyarrow.parquet.read_schema(path)
        except (pa.ArrowException, OSError) as error:
            raise QueryError(
                "Error while reading data, error message: Input file is not in Parquet format."
                f"{f' File: {uri}' if uri else ''}",
                reason="invalid",
            ) from error
        for column in schema:
            if pa.types.is_decimal256(column.type) and column.type.precision > _MOST_DIGITS:
                raise QueryError(
                    f"Parquet column {column.name} has {column.type.precision} digits. The local BigQuery supports decimals "
                    f"of up to {_MOST_DIGITS} digits.",
                    reason="notImplemented",
                )


def _orc_rows(paths: Sequence[Path]) -> pa.Table:
    """Return the rows of ORC files, whose times are TIMESTAMPs."""
    import pyarrow.orc

    try:
        tables = [pyarrow.orc.ORCFile(path).read() for path in paths]
        rows = pa.concat_tables(tables, promote_options="default")
    except (pa.ArrowException, OSError) as error:
        raise QueryError(
            "Error while reading data, error message: Input file is not in ORC format.", reason="invalid"
        ) from error
    fields = [f.with_type(pa.timestamp("us", tz="UTC")) if pa.types.is_timestamp(f.type) else f for f in rows.schema]
    return rows.cast(pa.schema(fields), safe=False)


# Avro


def _avro_types(path: Path) -> dict[str, dict[str, Any]]:
    """Return the type of each field with a logical type in an Avro file's schema."""
    schema = read_schema(path)
    types = {}
    for f in schema.get("fields", ()):
        options = f["type"] if isinstance(f["type"], list) else [f["type"]]
        for each in options:
            if isinstance(each, dict) and each.get("logicalType"):
                types[f["name"]] = each
    return types


def _avro_value(value: str, kind: Mapping[str, Any], *, raw: bool) -> str:
    """Return the expression of an Avro field's value: by its logical type, or the number that it is stored as.

    https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-avro#logical_types
    """
    name = kind.get("logicalType", "")
    if name == "decimal":
        return f"_avro_decimal({value}, {int(kind.get('scale') or 0)})"
    if raw and name in _RAW:
        return _RAW[name].format(value)
    if name == "datetime":
        return value if raw else f"CAST({value} AS TIMESTAMP)"
    return f"CAST({value} AS TIMESTAMPTZ)" if name in ("timestamp-millis", "timestamp-micros") else value
