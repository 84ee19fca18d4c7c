"""Keeps the primary key and the foreign keys of tables, which BigQuery does not enforce.

The comment of the table in the database holds them, so that they follow a table that is renamed, and go with one that is
replaced.
https://cloud.google.com/bigquery/docs/reference/rest/v2/tables#TableConstraints
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from localcloud.bigquery.sql.reading.statement import TableName
from localcloud.bigquery.tables.engine import Engine

_PREFIX = "keys "


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key.

    Attributes:
        name: The name of the constraint.
        columns: The columns of the table.
        table: The table that they refer to.
        referenced: The columns that they refer to, in the same order.
    """

    name: str
    columns: tuple[str, ...]
    table: TableName
    referenced: tuple[str, ...]


@dataclass(frozen=True)
class Keys:
    """The keys of a table.

    Attributes:
        primary: The columns of the primary key; empty without one.
        foreign: The foreign keys.
    """

    primary: tuple[str, ...] = ()
    foreign: tuple[ForeignKey, ...] = ()

    @classmethod
    def of(cls, resource: Mapping[str, Any], project: str) -> Keys:
        """Return the keys in a REST ``TableConstraints``."""
        foreign = []
        for number, each in enumerate(resource.get("foreignKeys") or (), 1):
            pairs = each.get("columnReferences") or ()
            foreign.append(
                ForeignKey(
                    each.get("name") or f"fk${number}",
                    tuple(pair["referencingColumn"] for pair in pairs),
                    TableName.of(each["referencedTable"], project),
                    tuple(pair["referencedColumn"] for pair in pairs),
                )
            )
        return cls(tuple((resource.get("primaryKey") or {}).get("columns") or ()), tuple(foreign))

    def resource(self) -> dict[str, Any]:
        """Return the REST ``TableConstraints``; empty without keys."""
        found: dict[str, Any] = {}
        if self.primary:
            found["primaryKey"] = {"columns": list(self.primary)}
        if self.foreign:
            found["foreignKeys"] = [
                {
                    "name": key.name,
                    "referencedTable": key.table.reference(),
                    "columnReferences": [
                        {"referencingColumn": own, "referencedColumn": other}
                        for own, other in zip(key.columns, key.referenced, strict=True)
                    ],
                }
                for key in self.foreign
            ]
        return found

    def renamed(self, old: str, new: str) -> Keys:
        """Return the keys after a column of the table has another name."""

        def names(columns: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(new if each.lower() == old.lower() else each for each in columns)

        foreign = (ForeignKey(key.name, names(key.columns), key.table, key.referenced) for key in self.foreign)
        return Keys(names(self.primary), tuple(foreign))

    def uses(self, column: str) -> bool:
        """Return whether a key has a column of the table."""
        columns = [*self.primary, *(each for key in self.foreign for each in key.columns)]
        return column.lower() in {each.lower() for each in columns}


def keys_of(engine: Engine, table: TableName) -> Keys:
    """Return the keys of a table; none if it does not exist."""
    row = engine.execute(
        "SELECT comment FROM duckdb_tables() WHERE schema_name = ? AND table_name = ?",
        [f"{table.project}__{table.dataset}", table.table],
    ).fetchone()
    text = row[0] if row else None
    if not text or not text.startswith(_PREFIX):
        return Keys()
    return Keys.of(json.loads(text.removeprefix(_PREFIX)), table.project)


def set_keys(engine: Engine, table: TableName, keys: Keys) -> None:
    """Write the keys of an existing table."""
    text = _PREFIX + json.dumps(keys.resource())
    comment = "NULL" if keys == Keys() else "'{}'".format(text.replace("'", "''"))
    engine.execute(f"COMMENT ON TABLE {table.quoted} IS {comment}")
