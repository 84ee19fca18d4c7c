"""The settings of columns beside type and mode: default values, lengths, precision, scale.

bqemulator's catalog has them, but its REST methods neither read nor write them.
https://cloud.google.com/bigquery/docs/reference/rest/v2/tables#TableFieldSchema
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bqemulator.api.routes.tables import _parse_schema_fields, _table_to_rest
from bqemulator.catalog.models import TableFieldSchema, TableMeta, TableSchema
from bqemulator.domain.result import Ok

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.schema import Field, columns_of, legacy_type, quote
from localcloud.bigquery.sql.translation import Translator

_ATTRIBUTE = {
    "maxLength": "max_length",
    "precision": "precision",
    "scale": "scale",
    "defaultValueExpression": "default_value_expression",
}
_TRANSLATOR = Translator()


def schema_of(fields: Sequence[Field], existing: TableMeta | None = None) -> TableSchema:
    """Return the schema of REST fields. A column of ``existing`` keeps the settings that ``fields`` do not name."""
    parsed = _parse_schema_fields([dict(f) for f in fields])
    before = {f.name.lower(): f for f in existing.schema_.fields} if existing is not None else {}
    return TableSchema(
        fields=tuple(
            _with_settings(each, f, before.get(each.name.lower())) for each, f in zip(parsed, fields, strict=True)
        )
    )


def _with_settings(parsed: TableFieldSchema, f: Field, before: TableFieldSchema | None) -> TableFieldSchema:
    changes: dict[str, Any] = {}
    if parsed.fields:
        inner = {each.name.lower(): each for each in before.fields} if before is not None else {}
        changes["fields"] = tuple(
            _with_settings(each, given, inner.get(each.name.lower()))
            for each, given in zip(parsed.fields, f.get("fields") or (), strict=True)
        )
    for name, attribute in _ATTRIBUTE.items():
        if f.get(name) is not None:
            value = f[name]
            changes[attribute] = value if attribute == "default_value_expression" else int(value)
        elif before is not None and getattr(before, attribute) is not None:
            changes[attribute] = getattr(before, attribute)
    return parsed.model_copy(update=changes) if changes else parsed


def with_settings(table: TableMeta, settings: Mapping[str, Mapping[str, Any]]) -> TableMeta:
    """Return a table's entry whose columns have these settings (by name in lower case).

    The setting ``fields`` has the settings of the fields of a STRUCT in the same form.
    """
    return table.model_copy(update={"schema_": schema_of(merged_settings(rest_fields(table), settings), table)})


def merged_settings(fields: Sequence[Field], settings: Mapping[str, Mapping[str, Any]]) -> list[Field]:
    """Return REST fields with settings by their names in lower case, as in ``with_settings``."""
    merged = []
    for f in fields:
        given = dict(settings.get(f["name"].lower(), {}))
        inner = given.pop("fields", None)
        merged.append(f | given | ({"fields": merged_settings(f.get("fields") or (), inner)} if inner else {}))
    return merged


def kept_settings(column: TableFieldSchema) -> dict[str, Any]:
    """Return what the engine does not know of a column: that it is required, its description, and those of its fields."""
    kept: dict[str, Any] = {"description": column.description} if column.description else {}
    if column.mode == "REQUIRED":
        kept["mode"] = "REQUIRED"
    inner = {each.name.lower(): kept_settings(each) for each in column.fields}
    if any(inner.values()):
        kept["fields"] = inner
    return kept


def with_kept_settings(fields: Sequence[Field], existing: TableMeta) -> list[Field]:
    """Return the REST fields of the columns in the engine with what only the catalog knows of them."""
    return merged_settings(fields, {each.name.lower(): kept_settings(each) for each in existing.schema_.fields})


def rest_fields(table: TableMeta) -> list[Field]:
    """Return the REST fields of a table, with the settings of its columns."""
    fields = [_as_in_rest(f) for f in _table_to_rest(table).get("schema", {}).get("fields", [])]
    _add_settings(fields, table.schema_.fields)
    return fields


def _add_settings(fields: Sequence[Field], columns: Sequence[TableFieldSchema]) -> None:
    for f, stored in zip(fields, columns, strict=True):
        for name, attribute in _ATTRIBUTE.items():
            value = getattr(stored, attribute)
            if value is not None:
                f[name] = str(value)
        _add_settings(f.get("fields") or (), stored.fields)


def _as_in_rest(f: Field) -> Field:
    """Return a field with the type names of REST resources, INTEGER for INT64, and only the type of a range's elements."""
    changes: Field = {"type": legacy_type(f["type"])}
    if f.get("fields"):
        changes["fields"] = [_as_in_rest(inner) for inner in f["fields"]]
    if f.get("rangeElementType"):
        changes["rangeElementType"] = {"type": f["rangeElementType"]["type"]}
    return f | changes


def updated_settings(before: Sequence[Field], given: Sequence[Field]) -> dict[str, dict[str, Any]]:
    """Return the settings of the columns after an update with REST fields, by the names of the columns in lower case.

    A column keeps the settings that its field does not name.

    Raises:
        QueryError: A column would get a shorter length, or fewer digits, than it has.
    """
    known = {f["name"].lower(): f for f in before}
    updated: dict[str, dict[str, Any]] = {}
    for f in given:
        old = known.get(f["name"].lower())
        for name in ("maxLength", "precision", "scale"):
            if old is not None and f.get(name) and (not old.get(name) or int(f[name]) < int(old[name])):
                raise QueryError(
                    f"Invalid schema update. Field {f['name']} has changed {name} from {old.get(name) or 'none'} to "
                    f"{f[name]}",
                    reason="invalid",
                )
        settings = {name: str(f.get(name) or (old or {}).get(name) or "") for name in _ATTRIBUTE}
        kept: dict[str, Any] = {name: value for name, value in settings.items() if value}
        inner = updated_settings((old or {}).get("fields") or (), f.get("fields") or ())
        updated[f["name"].lower()] = kept | ({"fields": inner} if any(inner.values()) else {})
    return updated


def has_settings(fields: Sequence[Field]) -> bool:
    """Return whether a column of REST fields has a setting that the engine has to know."""
    return any(
        any(f.get(name) for name in _ATTRIBUTE) or f.get("mode") == "REQUIRED" or has_settings(f.get("fields") or ())
        for f in fields
    )


def definitions(fields: Sequence[Field]) -> str:
    """Return the columns of a DuckDB table with REST fields, their defaults and their checks.

    Raises:
        QueryError: A default value is not a valid expression.
    """
    return ", ".join(_definition(f, name, kind) for f, (name, kind) in zip(fields, columns_of(fields), strict=True))


def _definition(f: Field, name: str, kind: str) -> str:
    text = legacy_type(f["type"])
    if text in ("NUMERIC", "BIGNUMERIC") and f.get("precision") and f.get("mode") != "REPEATED":
        kind = f"DECIMAL({min(int(f['precision']), 38)}, {int(f.get('scale') or 0)})"
    parts = [quote(name), kind]
    if f.get("mode") == "REQUIRED":
        parts.append("NOT NULL")
    if f.get("defaultValueExpression"):
        parts.append(f"DEFAULT {default_of(f)}")
    if (checked := _checked_lengths(f, quote(name))) is not None:
        # The call fails by itself, with BigQuery's message, if a value is too long.
        parts.append(f"CHECK ({checked} IS NULL OR TRUE)")
    return " ".join(parts)


def has_nested_lengths(f: Field) -> bool:
    """Return whether fields of a column have a maximum length."""
    return bool(f.get("fields")) and _checked_lengths(f, "") is not None


def _checked_lengths(f: Field, value: str) -> str | None:
    """Return a call that fails if a text in a value of a column is too long; None if its texts have no maximum lengths."""
    if f.get("mode") == "REPEATED":
        return None
    if f.get("fields"):
        found = [_checked_lengths(each, f"struct_extract({value}, {_text(each['name'])})") for each in f["fields"]]
        checked = [each for each in found if each is not None]
        return f"struct_pack({', '.join(f'c{i} := {each}' for i, each in enumerate(checked))})" if checked else None
    text = legacy_type(f["type"])
    if not f.get("maxLength") or text not in ("STRING", "BYTES"):
        return None
    return f"_{text.lower()}_of({value}, {int(f['maxLength'])})"


def _text(name: str) -> str:
    return "'" + name.replace("'", "''") + "'"


def default_of(f: Field) -> str:
    """Return the DuckDB expression of a column's default value. Raises ``QueryError`` if it is not valid."""
    translated = _TRANSLATOR.translate(f"SELECT {f['defaultValueExpression']}")
    if not isinstance(translated, Ok):
        raise QueryError(f"Invalid default value expression for column {f['name']}", reason="invalid")
    return f"({translated.value.removeprefix('SELECT ')})"
