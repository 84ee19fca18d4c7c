"""The parameter ``selectedFields`` of tabledata.list: ``a,b.c`` is the column a, and the field c of the column b.

https://cloud.google.com/bigquery/docs/reference/rest/v2/tabledata/list
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.schema import Field

Cell = dict[str, Any]


def selected(fields: list[Field], paths: str) -> list[Field]:
    """Return the fields at ``paths``, each within its parent and in the order of the table; all without paths.

    Raises:
        QueryError: A path names no field.
    """
    chosen = [path.strip() for path in paths.split(",") if path.strip()]
    return _within(fields, [(path, path) for path in chosen]) if chosen else fields


def _within(fields: list[Field], paths: Iterable[tuple[str, str]]) -> list[Field]:
    """Return the fields at paths. Each path is given as what is left of it, and as a whole for errors."""
    names = {f["name"].lower(): f["name"] for f in fields}
    rests: dict[str, list[tuple[str, str]]] = {}
    for rest, path in paths:
        first, _, deeper = rest.partition(".")
        name = names.get(first.lower())
        if name is None:
            raise QueryError(f"No such field: {path}", reason="invalid")
        rests.setdefault(name, []).append((deeper, path))
    return [_narrowed(f, rests[f["name"]]) for f in fields if f["name"] in rests]


def _narrowed(field: Field, paths: list[tuple[str, str]]) -> Field:
    if any(not rest for rest, _ in paths):
        return field
    return field | {"fields": _within(field.get("fields", []), paths)}


def narrow_rows(rows: list[dict[str, Any]], fields: list[Field], narrowed: list[Field]) -> None:
    """Remove from REST rows of ``fields`` the nested fields that ``narrowed``, which has the same columns, lacks."""
    for position, (field, wanted) in enumerate(zip(fields, narrowed, strict=True)):
        if field == wanted:
            continue
        narrow = _narrower(field, wanted)
        for row in rows:
            row["f"][position] = narrow(row["f"][position])


def _narrower(field: Field, wanted: Field) -> Callable[[Cell], Cell]:
    """Return what removes the nested fields from a cell."""
    if field == wanted:
        return lambda cell: cell
    if field["mode"] == "REPEATED":
        one = _narrower(field | {"mode": "NULLABLE"}, wanted | {"mode": "NULLABLE"})
        return lambda cell: {"v": [one(element) for element in cell["v"]]}
    positions = {each["name"]: index for index, each in enumerate(field["fields"])}
    kept = [
        (positions[each["name"]], _narrower(field["fields"][positions[each["name"]]], each))
        for each in wanted["fields"]
    ]

    def narrow(cell: Cell) -> Cell:
        inner = cell["v"]
        return cell if inner is None else {"v": {"f": [one(inner["f"][position]) for position, one in kept]}}

    return narrow
