"""Gives one set of names to the STRUCTs of which a statement takes one, or that it compares, as GoogleSQL does.

The fields correspond by position, and the first STRUCT has the names: in set operations, in the elements of an array, and in
CASE, IF and COALESCE. DuckDB makes a STRUCT with the fields of all of them, and takes other names for another value.
https://cloud.google.com/bigquery/docs/reference/standard-sql/conversion_rules#supertypes
https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#set_operators
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.functions.nodes import call
from localcloud.bigquery.sql.reading.draft import Draft
from localcloud.bigquery.sql.reading.types import columns_of, whole_type_of
from localcloud.bigquery.sql.structs.equality import compare_each, compare_fields
from localcloud.bigquery.sql.structs.positions import by_position, fields_of, has_struct, target_of

_MAY_CONCERN = re.compile(r"\bSTRUCT\b|\)\s*(?:!?=|<>)\s*\(", re.IGNORECASE)
_EQUALITIES: tuple[type[exp.Expr], ...] = (exp.EQ, exp.NEQ, exp.NullSafeEQ, exp.NullSafeNEQ)
_ORDERS: dict[type[exp.Expr], str] = {
    exp.GT: "Greater than",
    exp.GTE: "Greater than or equal to",
    exp.LT: "Less than",
    exp.LTE: "Less than or equal to",
    exp.Between: "BETWEEN",
}
_SORTS: tuple[type[exp.Expr], ...] = (exp.Ordered, exp.Max, exp.Min)
_COMPARISONS: tuple[type[exp.Expr], ...] = (*_EQUALITIES, *_ORDERS, exp.In)
_CHOICES: tuple[type[exp.Expr], ...] = (
    exp.SetOperation,
    exp.Array,
    exp.ArrayConcat,
    exp.Case,
    exp.If,
    exp.Coalesce,
    exp.Lag,
    exp.Lead,
    exp.Nullif,
)

MACROS = ("CREATE OR REPLACE MACRO _one_value(x) AS list_extract(list_value(x), 1)",)
"""The DuckDB macro that hides a STRUCT from DuckDB, which reads ``row(a, b) IN (SELECT ...)`` as two columns."""


def unite_alternatives(draft: Draft) -> None:
    """Let the STRUCTs of a statement of GoogleSQL correspond by position.

    Raises:
        QueryError: An operator does not compare STRUCTs.
    """
    may_concern = _MAY_CONCERN.search(draft.text) is not None or _MAY_CONCERN.search(str(draft.schema)) is not None
    tree = draft.tree if may_concern else None
    if tree is None or tree.find(*_COMPARISONS, *_CHOICES, *_SORTS, exp.Cast) is None:
        return
    draft.mark_types()
    _reject_sorts(tree)
    changed = False
    for node in reversed(list(tree.find_all(*_COMPARISONS, exp.Case))):
        if not (isinstance(node.parent, exp.Update) and node.arg_key == "expressions"):  # an assignment
            changed = _compare(node) or changed
    for choice in reversed(list(tree.find_all(*_CHOICES))):
        for values in _alternatives(choice):
            changed = _unite(values) or changed
    for cast in reversed(list(tree.find_all(exp.Cast))):
        changed = _convert(cast) or changed
    if changed:
        draft.changed(tree)


def _reject_sorts(tree: exp.Expr) -> None:
    for node in tree.find_all(*_SORTS):
        kind = _type_of(node.this)
        if kind is not None:
            name = (
                "ORDER BY does not support expressions"
                if isinstance(node, exp.Ordered)
                else f"{node.key.upper()} is not defined for arguments"
            )
            raise QueryError(f"{name} of type {_in_words(kind)}", location="query")


def _convert(cast: exp.Cast) -> bool:
    """Convert the fields of a STRUCT by position."""
    kind = _type_of(cast.this) if has_struct(cast.to) else None
    if kind is None or _is_tuple(cast.this) or _shape(kind) == _shape(cast.to):
        return False
    return _replace(cast.this, kind)


def _is_tuple(value: exp.Expr) -> bool:
    return isinstance(value, exp.Struct) and not any(isinstance(each, exp.PropertyEQ) for each in value.expressions)


# Comparisons


def _compare(node: exp.Expr) -> bool:
    """Take the names from the STRUCTs that are compared, unless all have the same."""
    if isinstance(node, exp.In):
        _list_elements(node)
        operands = [node.this, *node.expressions, *_looked_up(node)]
    elif isinstance(node, exp.Case):
        operands = [node.this, *(each.this for each in node.args["ifs"])] if node.this is not None else []
    else:
        operands = [each for each in node.iter_expressions() if each.arg_key != "symmetric"]
    types = [_type_of(each) for each in operands]
    if (name := _ORDERS.get(type(node))) is not None and (kind := next((each for each in types if each), None)):
        raise QueryError(f"{name} is not defined for arguments of type {_in_words(kind)}", location="query")
    if isinstance(node, (exp.EQ, exp.NEQ)) and compare_fields(node, types):
        return True
    if isinstance(node, exp.In) and node.expressions and compare_each(node, types):
        return True
    written = {None if each is None else _shape(each) for each in types}
    changed = False
    if len(written) > 1:
        coerced = [_replace(operand, kind) for operand, kind in zip(operands, types, strict=True)]
        changed = any(coerced)
    return (isinstance(node, exp.In) and _look_up_one_value(node)) or changed


def _list_elements(node: exp.In) -> None:
    """Make a list of the array in ``x IN UNNEST([y, z])``."""
    unnest = node.args.get("unnest")
    array = unnest.expressions[0] if isinstance(unnest, exp.Unnest) else None
    if isinstance(array, exp.Array) and array.expressions:
        node.set("expressions", array.expressions)
        node.set("unnest", None)


def _looked_up(node: exp.In) -> Iterator[exp.Expr]:
    """Yield the array, or the column of the query, in which a value is looked up."""
    if (unnest := node.args.get("unnest")) is not None:
        yield from unnest.expressions if isinstance(unnest, exp.Unnest) else [unnest]
    query = node.args.get("query")
    for branch in _branches(query) if query is not None else ():
        if isinstance(branch, exp.Select) and branch.args.get("kind") != "STRUCT" and len(branch.expressions) == 1:
            yield branch.expressions[0].unalias()


def _look_up_one_value(node: exp.In) -> bool:
    """Look up a STRUCT as one value in an array, or in the one column of a query."""
    query = node.args.get("query")
    if query is None and node.args.get("unnest") is None:
        return False
    changed = False
    for branch in _branches(query) if query is not None else ():
        if isinstance(branch, exp.Select) and branch.args.get("kind") == "STRUCT":
            fields = [each.unalias().copy() for each in branch.expressions]
            branch.set("kind", None)
            branch.set("expressions", [call("row", *fields)])
            changed = True
    if isinstance(node.this, (exp.Tuple, exp.Struct)) or _type_of(node.this) is not None:
        value = node.this
        row = call("row", *value.expressions) if isinstance(value, exp.Tuple) else value
        node.set("this", call("_one_value", row))
        changed = True
    return changed


# Choices


def _unite(values: Sequence[exp.Expr]) -> bool:
    """Give the names of the first value to the others."""
    present = [value for value in values if not isinstance(value, exp.Null)]
    if len(present) < 2:
        return False
    first = present[0]
    if any(_shape(kind) for each in present[1:] if (kind := _type_of(each)) is not None):
        first = _named(first)
    changed = first is not present[0]
    target = _type_of(first)
    for value in present[1:]:
        own = _type_of(value)
        if own is not None and target is not None and _shape(own) == _shape(target):
            continue
        changed = (target is not None and _rename(value, target)) or _replace(value, target or own) or changed
    return changed


def _named(value: exp.Expr) -> exp.Expr:
    """Replace the constructor of a STRUCT by one whose fields have names, also those in it: ``_field_1`` and so on."""
    if not isinstance(value, (exp.Tuple, exp.Struct)):
        return value
    fields = [
        exp.PropertyEQ(this=exp.to_identifier(name or f"_field_{number}", quoted=True), expression=_named(each.copy()))
        for number, (name, each) in enumerate((_field(each) for each in value.expressions), 1)
    ]
    named = exp.Struct(expressions=fields)
    named.meta.update(value.meta)
    return value.replace(named)


def _rename(value: exp.Expr, target: exp.DataType) -> bool:
    """Give the names of a type to a constructor of a STRUCT; return False for any other value."""
    fields = fields_of(target)
    if (
        not isinstance(value, exp.Struct)
        or len(value.expressions) != len(fields)
        or not all(name for name, _ in fields)
    ):
        return False
    renamed = []
    for each, (name, kind) in zip(value.expressions, fields, strict=True):
        _, inner = _field(each)
        if not _rename(inner, kind):
            inner = by_position(inner, kind)
        renamed.append(exp.PropertyEQ(this=exp.to_identifier(name, quoted=True), expression=inner.copy()))
    value.set("expressions", renamed)
    return True


def _replace(value: exp.Expr, target: exp.DataType | None) -> bool:
    coerced = by_position(value, target)
    if coerced is not value:
        value.replace(coerced)
    return coerced is not value


def _alternatives(node: exp.Expr) -> Iterator[Sequence[exp.Expr]]:
    """Yield the values that get one type."""
    match node:
        case exp.SetOperation() if not isinstance(node.parent, exp.SetOperation) and not node.args.get("by_name"):
            yield from _columns(list(_branches(node)))
        case exp.Array() if not isinstance(node.expressions[0] if node.expressions else None, exp.Query):
            yield node.expressions
        case exp.Case():
            results = [branch.args["true"] for branch in node.args["ifs"]]
            yield [*results, node.args["default"]] if node.args.get("default") else results
        case exp.If() if not isinstance(node.parent, exp.Case) and node.args.get("false"):
            yield [node.args["true"], node.args["false"]]
        case exp.Coalesce() | exp.ArrayConcat():
            yield [node.this, *node.expressions]
        case exp.Nullif():
            yield [node.this, node.expression]
        case exp.Lag() | exp.Lead() if node.args.get("default"):
            yield [node.this, node.args["default"]]


def _branches(query: exp.Expr) -> Iterator[exp.Expr]:
    if isinstance(query, exp.SetOperation):
        yield from _branches(query.this)
        yield from _branches(query.expression)
    elif isinstance(query, exp.Subquery):
        yield from _branches(query.this)
    else:
        yield query


def _columns(branches: list[exp.Expr]) -> Iterator[Sequence[exp.Expr]]:
    """Yield the values of each column of a set operation."""
    selects = [branch for branch in branches if isinstance(branch, exp.Select)]
    stars = [select for select in selects if any(each.is_star for each in select.expressions)]
    columns = [columns_of(select) if select in stars else select.expressions for select in selects]
    known = [each for each in columns if each is not None]
    if len(known) < len(branches) or len({len(each) for each in known}) != 1:
        return
    rows = [[each.unalias() for each in row] for row in zip(*known, strict=True)]
    if stars:
        if all(len({_shape(kind) for each in row if (kind := _type_of(each)) is not None}) < 2 for row in rows):
            return
        for select, listed in zip(selects, known, strict=True):
            if select in stars:
                select.replace(exp.select(*listed, copy=False).from_(select.copy().subquery("_rows")))
    yield from rows


# Types


def _type_of(value: exp.Expr) -> exp.DataType | None:
    """Return the type of a value with STRUCTs; None for any other value, and where the type is not known."""
    coerced = target_of(value)
    if coerced is not None:
        return coerced
    kind = whole_type_of(value)
    if kind is None or any(each.this == exp.DType.UNKNOWN for each in kind.find_all(exp.DataType)):
        return _written_type(value)
    return kind if has_struct(kind) else None


def _in_words(kind: exp.DataType) -> str:
    return kind.sql(dialect="bigquery").replace("`", "")


def _shape(kind: exp.DataType) -> object:
    """Return the names of a type without those of types that are no STRUCTs."""
    if kind.this == exp.DType.ARRAY:
        return ("ARRAY", *(_shape(each) for each in kind.expressions if isinstance(each, exp.DataType)))
    return tuple((name.lower(), _shape(field)) for name, field in fields_of(kind))


def _written_type(value: exp.Expr) -> exp.DataType | None:
    """Return the type of a constructor of STRUCTs with names; None for any other value."""
    match value:
        case exp.Paren():
            return _type_of(value.this)
        case exp.Cast() if value.to.find(exp.ColumnDef) is not None:
            return value.to
        case exp.Subquery(this=exp.Select(expressions=fields) as select) if select.args.get("kind") == "STRUCT":
            return _struct([(each.alias_or_name, each.unalias()) for each in fields])
        case exp.Struct():
            return _struct([_field(each) for each in value.expressions])
        case exp.Array():
            return _array(value)
    return None


def _array(value: exp.Array) -> exp.DataType | None:
    first = next((each for each in value.expressions if not isinstance(each, exp.Null)), None)
    element = None if first is None else _type_of(first)
    if isinstance(first, exp.Select) and first.args.get("kind") == "STRUCT":
        element = _struct([(each.alias_or_name, each.unalias()) for each in first.expressions])
    return None if element is None else exp.DataType(this=exp.DType.ARRAY, expressions=[element], nested=True)


def _field(written: exp.Expr) -> tuple[str, exp.Expr]:
    """Return the name of a field in a constructor, which may be empty, and its value."""
    if isinstance(written, exp.PropertyEQ):
        return written.this.name, written.expression
    return written.alias, written.unalias()


def _struct(fields: list[tuple[str, exp.Expr]]) -> exp.DataType | None:
    """Return the type of a STRUCT, in which fields of other types count as INT64; None if a field has no name."""
    if not all(name and not value.is_star for name, value in fields):
        return None
    number = exp.DataType.build("INT64", dialect="bigquery")
    columns = [
        exp.ColumnDef(this=exp.to_identifier(name, quoted=True), kind=_type_of(value) or number.copy())
        for name, value in fields
    ]
    return exp.DataType(this=exp.DType.STRUCT, expressions=columns, nested=True)
