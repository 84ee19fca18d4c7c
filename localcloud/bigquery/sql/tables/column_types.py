"""Finds the types of the columns of a statement's tables, which bqemulator knows without STRUCTs and arrays."""

from __future__ import annotations

from bqemulator.catalog.repository import CatalogRepository
from sqlglot import exp

from localcloud.bigquery.base.type_names import sql_type
from localcloud.bigquery.sql.reading.tokens import parsed


def column_types(sql: str, *, project_id: str, catalog: CatalogRepository) -> dict[str, dict[str, str]]:
    """Return the GoogleSQL types of the columns of tables, by the ids of the tables and the names of the columns.

    Tables of one id in several datasets are left out, since nothing tells them apart.

    Args:
        sql: The statement.
        project_id: The project of table names without one.
        catalog: The tables.
    """
    tree = parsed(sql)
    tables: dict[str, set[tuple[str, str, str]]] = {}
    for table in tree.find_all(exp.Table) if tree is not None else ():
        if table.db and isinstance(table.this, exp.Identifier):
            tables.setdefault(table.name, set()).add((table.catalog or project_id, table.db, table.name))
    types = {}
    for table_id, names in tables.items():
        found = catalog.get_table(*next(iter(names))) if len(names) == 1 else None
        if found is not None and found.schema_.fields:
            types[table_id] = {field.name: sql_type(field.model_dump(mode="json")) for field in found.schema_.fields}
    return types
