"""Completes INSERT, MERGE and UPDATE where DuckDB needs more: assignments to fields, DEFAULT, INSERT without columns, STRUCTs.

https://cloud.google.com/bigquery/docs/reference/standard-sql/dml-syntax
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from bqemulator.catalog.models import TableFieldSchema, TableMeta
from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.type_names import sql_type
from localcloud.bigquery.queries.changes.changed_tables import changed_table
from localcloud.bigquery.queries.changes.nameless_rows import name_rows
from localcloud.bigquery.queries.changes.value_types import check_values
from localcloud.bigquery.queries.changes.written_arrays import has_arrays, whole_array
from localcloud.bigquery.queries.statements import Statements
from localcloud.bigquery.sql.reading.statement import Statement, read_statement
from localcloud.bigquery.sql.structs.positions import by_position, change_columns

Columns = Sequence[TableFieldSchema]


def completed_change(statement: Statement, statements: Statements) -> Statement:
    """Return an INSERT, MERGE or UPDATE in the form that DuckDB needs. Raises ``QueryError`` if it is not valid."""
    table = changed_table(statement, statements)
    if table is None or not isinstance(statement.tree, (exp.Insert, exp.Merge, exp.Update)):
        return statement
    tree = statement.tree.copy()
    named = name_rows(tree, table)
    check_values(tree, table, statements)
    if isinstance(tree, exp.Insert):
        changed = _coerce_rows(tree, table, statements) or named
        return read_statement(tree.sql(dialect="bigquery"), project=statements.project) if changed else statement
    changed = named
    for node in [tree, *(when.args.get("then") for when in tree.find_all(exp.When))]:
        if isinstance(node, exp.Update):
            changed = _complete_update(node, tree.this, table) or changed
        elif isinstance(node, exp.Insert):
            changed = _complete_insert(node, tree.args["using"], table, statements) or changed
    return read_statement(tree.sql(dialect="bigquery"), project=statements.project) if changed else statement


# UPDATE


def _complete_update(update: exp.Update, target: exp.Expr, table: TableMeta) -> bool:
    """Assign to whole columns, without the name of the table, and replace DEFAULT by the default values."""
    columns = table.schema_.fields
    assigned: dict[tuple[str, ...], exp.Expr] = {}
    for assignment in update.expressions:
        path = _path(assignment.this, target, columns)
        _check_overlap(path, assigned)
        value = _value(assignment.expression, _found(columns, path[0]) if len(path) == 1 else None)
        assigned[path] = _fitting(_within(columns, path))(value)
    assignments = []
    for name in dict.fromkeys(path[0] for path in assigned):
        column = exp.column(exp.to_identifier(name, quoted=True))
        inside = {path[1:]: value for path, value in assigned.items() if path[0] == name}
        own = exp.column(
            exp.to_identifier(name, quoted=True), table=exp.to_identifier(target.alias_or_name, quoted=True)
        )
        assignments.append(exp.EQ(this=column, expression=_whole(own, inside, _found(columns, name))))
    before = [each.sql() for each in update.expressions]
    update.set("expressions", assignments)
    return [each.sql().replace('"', "") for each in assignments] != [each.replace('"', "") for each in before]


def _path(assigned: exp.Expr, target: exp.Expr, columns: Columns) -> tuple[str, ...]:
    """Return the names of an assigned column and of the fields within it, without the name of the table."""
    if not isinstance(assigned, (exp.Column, exp.Dot)):
        raise QueryError("UPDATE ... SET does not support array modification with []", location="query")
    names = [part.name for part in assigned.parts]
    if len(names) > 1 and names[0].lower() == target.alias_or_name.lower() and _found(columns, names[1]) is not None:
        names = names[1:]
    return tuple(name.lower() for name in names)


def _check_overlap(path: tuple[str, ...], assigned: Iterable[tuple[str, ...]]) -> None:
    for other in assigned:
        shorter = min(len(path), len(other))
        if path == other:
            raise QueryError(f"Update item {'.'.join(path)} assigned more than once", location="query")
        if path[:shorter] == other[:shorter]:
            raise QueryError(f"Update item {'.'.join(path)} overlaps with {'.'.join(other)}", location="query")


def _value(value: exp.Expr, column: TableFieldSchema | None) -> exp.Expr:
    """Return an assigned value, or the default value of the column for DEFAULT."""
    is_default = isinstance(value, exp.Column) and value.sql() == "DEFAULT"
    if not is_default or column is None:
        return value
    return exp.maybe_parse(column.default_value_expression or "NULL", dialect="bigquery")


def _whole(
    own: exp.Column | exp.Dot, inside: Mapping[tuple[str, ...], exp.Expr], column: TableFieldSchema | None
) -> exp.Expr:
    """Return the value of a column, or of a field of it, in which the fields in ``inside`` have new values."""
    if () in inside:
        return inside[()]
    fields = column.fields if column is not None else ()
    values = []
    for field in fields:
        within = {path[1:]: value for path, value in inside.items() if path[0] == field.name.lower()}
        old = exp.Dot(this=own.copy(), expression=exp.to_identifier(field.name, quoted=True))
        value = _whole(old, within, field) if within else old
        values.append(exp.PropertyEQ(this=exp.to_identifier(field.name, quoted=True), expression=value))
    unknown = {path[0] for path in inside} - {field.name.lower() for field in fields}
    if unknown:
        raise QueryError(
            f"Field name {min(unknown)} does not exist in {'.'.join(part.name for part in own.parts)}", location="query"
        )
    return exp.Struct(expressions=values)


def _found(fields: Columns, name: str) -> TableFieldSchema | None:
    return next((field for field in fields if field.name.lower() == name.lower()), None)


def _within(columns: Columns, path: tuple[str, ...]) -> TableFieldSchema | None:
    field = _found(columns, path[0])
    return field if field is None or len(path) == 1 else _within(field.fields, path[1:])


def _type_of(field: TableFieldSchema | None) -> exp.DataType | None:
    """Return the type of a column or field with STRUCTs; None for any other, which needs no coercion."""
    if field is None or not field.fields:
        return None
    return exp.DataType.build(sql_type(field.model_dump(mode="json")), dialect="bigquery")


def _fitting(field: TableFieldSchema | None) -> Callable[[exp.Expr], exp.Expr]:
    """Return what a value becomes that a column or field gets."""
    kind = _type_of(field)
    return lambda value: whole_array(by_position(value, kind), field)


# INSERT


def _coerce_rows(insert: exp.Insert, table: TableMeta, statements: Statements) -> bool:
    """Coerce the STRUCTs of the inserted rows by position, and check their arrays; return whether there may be any."""
    columns = table.schema_.fields
    names = [each.name for each in (insert.this.expressions if isinstance(insert.this, exp.Schema) else columns)]
    fields = [_found(columns, name) for name in names]
    rows = insert.expression
    if not any(_type_of(each) or has_arrays(each) for each in fields) or not isinstance(rows, (exp.Query, exp.Values)):
        return False
    fit = [_fitting(each) for each in fields]
    if isinstance(rows, exp.Values):
        for row in rows.expressions:
            if isinstance(row, exp.Tuple) and len(row.expressions) == len(fit):
                row.set("expressions", [each(value) for each, value in zip(fit, row.expressions, strict=True)])
    elif not change_columns(rows, fit):
        if len(statements.describe(rows.sql(dialect="bigquery"))) != len(fit):
            return False
        aliases = [exp.to_identifier(f"_column_{number}") for number in range(len(fit))]
        coerced = [each(exp.column(alias)) for each, alias in zip(fit, aliases, strict=True)]
        # The first query of a set operation names the columns, which may have no names, or equal ones.
        nothing = exp.Unnest(expressions=[exp.Array(expressions=[exp.Null()])])
        header = exp.select(*(exp.alias_(exp.Null(), alias) for alias in aliases)).from_(nothing).where(exp.false())
        named = exp.union(header, rows.copy().subquery(), distinct=False)
        insert.set("expression", exp.select(*coerced).from_(named.subquery("_rows")))
    return True


# INSERT in a MERGE


def _complete_insert(insert: exp.Insert, source: exp.Expr, table: TableMeta, statements: Statements) -> bool:
    """Name the columns of ``INSERT ROW`` and of ``INSERT VALUES``, and replace DEFAULT by the default values."""
    listed = insert.this.expressions if isinstance(insert.this, exp.Tuple) else []
    columns = [exp.to_identifier(field.name, quoted=True) for field in table.schema_.fields]
    values = list(insert.expression.expressions) if isinstance(insert.expression, exp.Tuple) else []
    if isinstance(insert.this, exp.Var):
        names = [column.name for column in statements.describe(f"SELECT * FROM {source.sql(dialect='bigquery')}")]
        values = [
            exp.column(exp.to_identifier(name, quoted=True), table=source.alias_or_name or None) for name in names
        ]
    elif len(listed) == 1 and isinstance(listed[0], exp.Anonymous) and listed[0].name.upper() == "VALUES":
        values = list(listed[0].expressions)
    else:
        columns = listed
    if len(columns) != len(values):
        raise QueryError(
            f"Inserted row has wrong column count; Has {len(values)}, expected {len(columns)}", location="query"
        )
    replaced = [
        _fitting(field)(_value(value, field))
        for value, field in zip(values, (_found(table.schema_.fields, each.name) for each in columns), strict=True)
    ]
    if columns is listed and all(new is old for new, old in zip(replaced, values, strict=True)):
        return False
    insert.set("this", exp.Tuple(expressions=columns))
    insert.set("expression", exp.Tuple(expressions=replaced))
    return True
