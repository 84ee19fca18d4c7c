"""Names the columns of ``SELECT * FROM UNNEST([(1, 'a'), (2, 'b')])`` in INSERT and MERGE, which take them by position.

DuckDB has one column for tuples whose fields have no names.
https://cloud.google.com/bigquery/docs/reference/standard-sql/dml-syntax#insert_using_explicit_values
"""

from __future__ import annotations

from bqemulator.catalog.models import TableMeta
from sqlglot import exp


def name_rows(tree: exp.Expr, table: TableMeta) -> bool:
    """Give the fields of written tuples the names of the columns of a table, in place; return whether there are any."""
    found = False
    columns = [field.name for field in table.schema_.fields]
    for unnest in tree.find_all(exp.Unnest):
        rows = unnest.expressions[0] if unnest.expressions else None
        first = rows.expressions[0] if isinstance(rows, exp.Array) and rows.expressions else None
        if unnest.args.get("alias") or not isinstance(first, exp.Tuple):
            continue
        names = columns if len(columns) == len(first.expressions) else [f"f{i}_" for i in range(len(first.expressions))]
        fields = [
            exp.PropertyEQ(this=exp.to_identifier(name, quoted=True), expression=value.copy())
            for name, value in zip(names, first.expressions, strict=True)
        ]
        first.replace(exp.Struct(expressions=fields))
        found = True
    return found
