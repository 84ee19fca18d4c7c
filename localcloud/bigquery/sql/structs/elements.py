"""Rewrites UNNEST where DuckDB differs: offsets start at 0, and the fields of an element are columns.

https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#unnest_operator
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlglot import exp

from localcloud.bigquery.sql.reading.draft import Draft
from localcloud.bigquery.sql.structs.shapes import Shape, Shapes, TableShape

# The names of an element and of a position without an alias. BigQuery calls the column of such an element ``f0_``.
_ELEMENT, _POSITION, _UNNAMED = "_element", "_position", "f0_"

MACROS = ("CREATE OR REPLACE MACRO _elements(a) AS a",)
"""The DuckDB macro that hides a literal from sqlglot, which makes columns of its fields. DuckDB takes no offset with them."""


def rewrite_elements(
    draft: Draft, table_shape: TableShape = lambda _: None, parameters: Mapping[str, Shape] | None = None
) -> None:
    """Rewrite the UNNESTs of a statement of GoogleSQL, so that they mean the same in DuckDB.

    Args:
        draft: The statement.
        table_shape: Returns the columns of a table, or None if they are not known.
        parameters: The parameters of the function whose body it is, by names in lower case.
    """
    tree = draft.tree if "UNNEST" in draft.text.upper() else None
    if tree is None:
        return
    changed = _name_fields_of_tuples(tree)
    shapes = Shapes(table_shape, parameters)
    found = [(node, shapes.of_element(node)) for node in tree.find_all(exp.Unnest) if _is_source(node)]
    for node, shape in found:
        if shape is not None and shape.fields and not (_is_literal(node) and not _position(node)):
            changed = _give_fields(node, shape, shapes) or changed
        if _position(node):
            _count_from_zero(node, ())
            changed = True
        elif (
            shape is None
            and _alias(node) is None
            and not _is_literal(node)
            and _has_star(node.find_ancestor(exp.Select))
        ):
            node.set("alias", exp.TableAlias(columns=[exp.to_identifier(_UNNAMED, quoted=True)]))
            changed = True
    if changed:
        draft.changed(tree)


def _name_fields_of_tuples(tree: exp.Expr) -> bool:
    """Name the fields of tuples in a literal array whose elements are the rows of a query with a star: ``f0_``, ``f1_``."""
    changed = False
    for node in tree.find_all(exp.Unnest):
        array = node.expressions[0] if _is_source(node) and _is_literal(node) else None
        first = array.expressions[0] if array is not None and array.expressions else None
        if isinstance(first, exp.Tuple) and _has_star(node.find_ancestor(exp.Select)):
            fields = [
                exp.PropertyEQ(this=exp.to_identifier(f"f{place}_"), expression=value.copy())
                for place, value in enumerate(first.expressions)
            ]
            first.replace(exp.Struct(expressions=fields))
            changed = True
    return changed


def _is_source(node: exp.Unnest) -> bool:
    return isinstance(node.parent, (exp.From, exp.Join)) and len(node.expressions) == 1


def _is_literal(node: exp.Unnest) -> bool:
    array = node.expressions[0]
    return isinstance(array, exp.Array) and not any(isinstance(each, exp.Query) for each in array.expressions)


def _position(node: exp.Unnest) -> str | None:
    """Return the name of the offset, or None without one, or if it is one of ours."""
    offset = node.args.get("offset")
    name = offset.name if isinstance(offset, exp.Expr) else "offset" if offset else None
    return None if name == _POSITION else name


def _alias(node: exp.Unnest) -> str | None:
    alias = node.args.get("alias")
    if not isinstance(alias, exp.TableAlias):
        return None
    return alias.columns[0].name if alias.columns else alias.name or None


def _give_fields(node: exp.Unnest, shape: Shape, shapes: Shapes) -> bool:
    """Make the fields of an element columns of its query, if the query reads them as such."""
    select = node.find_ancestor(exp.Select)
    if select is None:
        return False
    alias = _alias(node)
    columns = [column for column in select.find_all(exp.Column) if not column.is_star]
    whole = alias is not None and any(not each.table and each.name.lower() == alias.lower() for each in columns)
    if not whole and _has_star(select):
        _count_from_zero(node, shape.names)
        return True
    fields = shape.fields or {}
    read = [each for each in columns if each.parts[0].name.lower() in fields and shapes.source_of(each) is node]
    name = alias or _unused_name(select)
    for column in read:
        element = exp.to_identifier(name, quoted=True)
        column.replace(exp.Dot.build([element, *(part.copy() for part in column.parts)]))
    if alias is None and read:
        node.set("alias", exp.TableAlias(columns=[exp.to_identifier(name, quoted=True)]))
    return bool(read)


def _unused_name(select: exp.Select) -> str:
    """Return a name for the elements of an UNNEST without an alias, other than those of the query's other UNNESTs."""
    used = sum(str(_alias(each)).startswith(_ELEMENT) for each in select.find_all(exp.Unnest))
    return f"{_ELEMENT}{used or ''}"


def _has_star(select: exp.Select | None) -> bool:
    return select is not None and any(isinstance(each, exp.Star) for each in select.expressions)


def _count_from_zero(node: exp.Unnest, fields: Iterable[str]) -> None:
    """Replace an UNNEST by a query with the element, or with its fields, and with the offset from 0."""
    alias, position = _alias(node), _position(node)
    element = exp.to_identifier(alias or (_ELEMENT if fields else _UNNAMED), quoted=True)
    names = [exp.to_identifier(name, quoted=True) for name in fields]
    columns = [exp.alias_(exp.Dot(this=exp.column(element.copy()), expression=name), name.copy()) for name in names]
    values: list[exp.Expr] = [*columns] or [exp.column(element.copy())]
    operand = node.expressions[0].copy()
    if position is not None:
        operand = exp.Anonymous(this="_elements", expressions=[operand])
    elements = exp.Unnest(expressions=[operand], alias=exp.TableAlias(columns=[element.copy()]))
    if position is not None:
        elements.set("offset", exp.to_identifier(_POSITION))
        zero_based = exp.Sub(this=exp.column(_POSITION), expression=exp.Literal.number(1))
        values.append(exp.alias_(zero_based, exp.to_identifier(position, quoted=True)))
    query = exp.select(*values).from_(elements)
    join = node.parent
    if isinstance(join, exp.Join) and join.side == "LEFT" and not join.args.get("using"):
        # DuckDB takes conditions of such a join only inside the query, and wants one outside.
        if join.args.get("on") is not None:
            query = exp.select("*").from_(query.subquery()).where(join.args["on"].copy())
        join.set("on", exp.true())
    node.replace(query.subquery(alias if columns else None))
