"""Puts the local BigQuery's own steps before the first ones of bqemulator, through which each statement passes."""

from __future__ import annotations

import re
from typing import Any

from bqemulator.sql import inner_query
from bqemulator.sql.rewriter.row_access_filter import rewrite_for_row_access
from bqemulator.versioning.time_travel import rewrite_for_system_time
from sqlglot import exp

from localcloud.bigquery.sql.clauses.aliases import write_out_aliases
from localcloud.bigquery.sql.clauses.joined_columns import put_joined_columns_first
from localcloud.bigquery.sql.clauses.named_windows import write_out_windows
from localcloud.bigquery.sql.clauses.repeated_columns import leave_out_repeated
from localcloud.bigquery.sql.clauses.set_operations import match_columns_by_position
from localcloud.bigquery.sql.reading.draft import Draft
from localcloud.bigquery.sql.structs.elements import rewrite_elements
from localcloud.bigquery.sql.structs.shapes import Shape, Shapes
from localcloud.bigquery.sql.structs.stars import with_stars
from localcloud.bigquery.sql.tables.pseudo_columns import with_pseudo_columns, without_table_suffix
from localcloud.bigquery.tables.catalog import Catalog
from localcloud.bigquery.tables.engine import Engine
from localcloud.bigquery.tables.snapshots import Snapshots

_ALTER = re.compile(r"\s*ALTER\b", re.IGNORECASE)


def replace_first_steps() -> None:
    """Replace the first steps of bqemulator by those of this module."""
    setattr(inner_query, "rewrite_for_system_time", _system_time)  # noqa: B010  # imports of the module, not its exports
    setattr(inner_query, "rewrite_for_row_access", _row_access)  # noqa: B010
    setattr(inner_query, "rewrite_unnest_offset", str)  # noqa: B010  # it misses offsets in views, in functions and behind `*`


def _system_time(sql: str, project: str, snapshots: Snapshots, engine: Engine) -> str:
    """Give tables their pseudo columns before bqemulator replaces them by snapshots."""
    catalog: Any = snapshots._catalog
    return rewrite_for_system_time(
        with_pseudo_columns(sql, project, catalog.ingested_table), project, snapshots, engine
    )


def _row_access(sql: str, *, project_id: str, caller: Any, catalog: Catalog) -> str:
    """Give tables their pseudo columns that bqemulator reads in views, and UNNEST its meaning."""
    if _ALTER.match(sql) is None:  # it reads no rows, and bqemulator would put a query in place of the table
        sql = rewrite_for_row_access(sql, project_id=project_id, caller=caller, catalog=catalog)
    sql = without_table_suffix(with_pseudo_columns(sql, project_id, catalog.ingested_table))

    def shape(table: exp.Table) -> Shape | None:
        found = catalog.get_table(table.catalog or project_id, table.db, table.name)
        return None if found is None else Shape.of(tuple(found.schema_.fields))

    def columns(source: exp.Expr) -> tuple[str, ...]:
        if isinstance(source, exp.Unnest):
            found = Shapes(shape).of_element(source)
        else:
            found = shape(source) if isinstance(source, exp.Table) else None
        return () if found is None else found.names

    draft = Draft(with_stars(sql, shape))
    match_columns_by_position(draft, shape)
    write_out_aliases(draft, columns)
    put_joined_columns_first(draft)
    leave_out_repeated(draft, columns)
    write_out_windows(draft)
    rewrite_elements(draft, shape)
    return draft.text
