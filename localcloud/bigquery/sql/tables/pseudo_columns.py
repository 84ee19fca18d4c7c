"""The pseudo columns of tables that are partitioned by ingestion time: ``_PARTITIONTIME`` and ``_PARTITIONDATE``.

Such a table has a column ``_PARTITIONTIME`` in DuckDB. A statement sees it only where it names a pseudo column: ``*`` does
not include it, and an INSERT without it writes the current partition.
https://cloud.google.com/bigquery/docs/querying-partitioned-tables#query_an_ingestion-time_partitioned_table
https://cloud.google.com/bigquery/docs/using-dml-with-partitioned-tables
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.reading.statement import TableName, mentioned_names, possible_tables
from localcloud.bigquery.sql.reading.tokens import parsed

PARTITION_TIME, PARTITION_DATE = "_PARTITIONTIME", "_PARTITIONDATE"
TABLE_SUFFIX = "_TABLE_SUFFIX"
_PSEUDO = frozenset({PARTITION_TIME, PARTITION_DATE})
# The alias of a table whose pseudo columns are chosen: statements pass twice, because views are read in between.
_DONE = "_with_pseudo_columns"
RESERVED_PREFIXES = ("_PARTITION", "_TABLE_", "_FILE_", "_ROW_TIMESTAMP", "__ROOT__", "_COLIDENTIFIER")


@dataclass(frozen=True)
class Ingested:
    """A table that is partitioned by ingestion time.

    Attributes:
        unit: ``HOUR``, ``DAY``, ``MONTH`` or ``YEAR``.
        columns: The names of its columns, without pseudo columns.
    """

    unit: str
    columns: tuple[str, ...]

    @property
    def pseudo_columns(self) -> tuple[str, ...]:
        """The pseudo columns of the table. Only daily partitions have ``_PARTITIONDATE``."""
        return (PARTITION_TIME, PARTITION_DATE) if self.unit == "DAY" else (PARTITION_TIME,)


Lookup = Callable[[TableName], Ingested | None]
"""Returns the table of a name if it is partitioned by ingestion time, and None for all other names."""


def check_column_name(name: str) -> None:
    """Reject the name of a column of a table that only pseudo columns can have. Raises ``QueryError``."""
    if name.upper().startswith(RESERVED_PREFIXES):
        raise QueryError(
            f'Invalid field name "{name}". Field names are not allowed to start with the (case-insensitive) prefixes '
            "_PARTITION, _TABLE_, _FILE_, _ROW_TIMESTAMP, __ROOT__ and _COLIDENTIFIER",
            reason="invalid",
        )


def with_pseudo_columns(sql: str, project: str, lookup: Lookup) -> str:
    """Return one statement of GoogleSQL in which tables have their pseudo columns where, and only where, it names them.

    Args:
        sql: The statement. Its table names have a dataset.
        project: The project of names without one.
        lookup: Finds the tables that are partitioned by ingestion time.

    Raises:
        QueryError: An INSERT names a pseudo column that cannot be written.
    """
    names = (name for parts in mentioned_names(sql) for name in possible_tables(parts, project))
    if not any(lookup(name) is not None for name in names):
        return sql
    tree = parsed(sql)
    if tree is None:
        return sql
    tables = [(table, found) for table in tree.find_all(exp.Table) if (found := _found(table, project, lookup))]
    for table, found in tables:
        if _is_target(table, tree):
            _change_target(tree, table, found)
    for table, found in tables:
        if not _is_target(table, tree):
            _change_source(table, found)
    return tree.sql(dialect="bigquery")


def _found(table: exp.Table, project: str, lookup: Lookup) -> Ingested | None:
    if not table.db or not isinstance(table.this, exp.Identifier):
        return None
    return lookup(TableName(table.catalog or project, table.db, table.name))


def _is_target(table: exp.Table, tree: exp.Expr) -> bool:
    target = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
    return table is target


# Tables that are read


def _change_source(table: exp.Table, found: Ingested) -> None:
    """Replace a table by a subquery with or without the pseudo columns."""
    select = table.find_ancestor(exp.Select)
    parent = table.parent
    if not isinstance(parent, (exp.From, exp.Join, exp.Merge)) or _is_done(table):
        return
    # The source of a MERGE and the FROM of an UPDATE have no `*` that would show the pseudo columns.
    named = select is None or _names_pseudo_columns(select)
    if named and select is not None:
        for projection in select.expressions:
            _hide(projection, table.alias_or_name, found.pseudo_columns)
    inner = table.copy()
    inner.set("alias", exp.TableAlias(this=exp.to_identifier(_DONE)))
    for kept in ("joins", "pivots", "laterals", "sample"):
        inner.set(kept, None)
    columns = ["*"] if named else [f"* EXCEPT ({PARTITION_TIME})"]
    if named and PARTITION_DATE in found.pseudo_columns:
        columns.append(f"DATE({PARTITION_TIME}) AS {PARTITION_DATE}")
    rows = exp.select(*columns, dialect="bigquery").from_(inner).subquery(table.alias_or_name)
    for kept in ("joins", "pivots", "laterals", "sample"):
        if table.args.get(kept):
            rows.set(kept, table.args[kept])
    table.replace(rows)


def _is_done(table: exp.Table) -> bool:
    """Return whether a table is in a subquery that an earlier call has made."""
    return any(
        isinstance(node, (exp.Table, exp.Subquery)) and node.alias == _DONE for node in (table, *_ancestors(table))
    )


def _ancestors(node: exp.Expr) -> Iterator[exp.Expr]:
    while (parent := node.parent) is not None:
        yield parent
        node = parent


def without_table_suffix(sql: str) -> str:
    """Return one statement of GoogleSQL whose ``*`` leaves out the ``_TABLE_SUFFIX`` of tables with a wildcard.

    https://cloud.google.com/bigquery/docs/querying-wildcard-tables#filtering_selected_tables_using_table_suffix
    """
    tree = parsed(sql) if "*`" in sql else None
    if tree is None:
        return sql
    for table in tree.find_all(exp.Table):
        select = table.find_ancestor(exp.Select) if table.name.endswith("*") else None
        for projection in select.expressions if select is not None else ():
            _hide(projection, table.alias_or_name, (TABLE_SUFFIX,))
    return tree.sql(dialect="bigquery")


def _names_pseudo_columns(select: exp.Select) -> bool:
    return any(column.name.upper() in _PSEUDO for column in select.find_all(exp.Column))


def _hide(projection: exp.Expr, table: str, hidden: tuple[str, ...]) -> None:
    """Leave the pseudo columns out of ``*``, or out of ``t.*`` if ``table`` is ``t``."""
    star = projection.this if isinstance(projection, exp.Column) else projection
    if not isinstance(star, exp.Star):
        return
    if isinstance(projection, exp.Column) and projection.table.lower() != table.lower():
        return
    before = list(star.args.get("except_") or [])
    known = {each.name.upper() for each in before}
    star.set("except_", before + [exp.to_identifier(name) for name in hidden if name not in known])


# Tables that are written


def _change_target(tree: exp.Expr, table: exp.Table, found: Ingested) -> None:
    match tree:
        case exp.Insert():
            _change_insert(tree, table, found)
        case exp.Update() | exp.Delete() | exp.Merge():
            names = {"", table.alias_or_name.lower()}
            for column in list(tree.find_all(exp.Column)):
                own = column.table.lower() in names and column.find_ancestor(exp.Select) is None
                if own and column.name.upper() == PARTITION_DATE and PARTITION_DATE in found.pseudo_columns:
                    time = exp.column(exp.to_identifier(PARTITION_TIME), table=column.args.get("table"))
                    column.replace(exp.cast(time, "DATE"))
            if isinstance(tree, exp.Merge):
                for when in tree.find_all(exp.When):
                    _name_inserted(when.args.get("then"), found)


def _name_inserted(then: exp.Expr | None, found: Ingested) -> None:
    """Add the list of columns to the INSERT of a MERGE that has none."""
    if isinstance(then, exp.Insert) and then.this is None:
        then.set("this", exp.Tuple(expressions=[exp.to_identifier(name, quoted=True) for name in found.columns]))


def _change_insert(tree: exp.Insert, table: exp.Table, found: Ingested) -> None:
    schema = tree.this
    if not isinstance(schema, exp.Schema):
        columns = [exp.to_identifier(name, quoted=True) for name in found.columns]
        tree.set("this", exp.Schema(this=table.copy(), expressions=columns))
        return
    names = [column.name.upper() for column in schema.expressions]
    if PARTITION_DATE in names:
        raise QueryError(
            f"Column {PARTITION_DATE} is not present in table {table.sql(dialect='bigquery').replace('`', '')}; write "
            f"{PARTITION_TIME} instead",
            location="query",
        )
    if PARTITION_TIME in names and tree.expression is not None:
        _truncate(tree.expression, names.index(PARTITION_TIME), found.unit)


def _truncate(rows: exp.Expr, place: int, unit: str) -> None:
    """Truncate the partition times of inserted rows to the start of their partitions."""
    match rows:
        case exp.Values():
            for row in rows.expressions:
                _truncate_value(row.expressions, place, unit)
        case exp.SetOperation():
            _truncate(rows.this, place, unit)
            _truncate(rows.expression, place, unit)
        case exp.Subquery():
            _truncate(rows.this, place, unit)
        case exp.Select():
            _truncate_value(rows.expressions, place, unit)


def _truncate_value(values: list[exp.Expr], place: int, unit: str) -> None:
    if place >= len(values) or any(value.is_star for value in values[: place + 1]):
        return
    value = values[place].unalias()
    time = exp.cast(value.copy(), "TIMESTAMP", dialect="bigquery")
    value.replace(exp.maybe_parse(f"TIMESTAMP_TRUNC({time.sql(dialect='bigquery')}, {unit})", dialect="bigquery"))
