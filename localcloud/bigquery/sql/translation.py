"""bqemulator's translator, with what it would lose on the way kept. It has to be imported before the rest of bqemulator.

Each part of bqemulator makes a translator of its own, from the name that is replaced at the end of this module: queries,
scripts, functions, materialized views and the row restrictions of the Storage API all translate by it.
"""

from __future__ import annotations

from typing import Any

import sqlglot
from bqemulator.domain.errors import InvalidQueryError, UnsupportedFeatureError
from bqemulator.domain.result import Err, Ok, Result
from bqemulator.sql import translator
from bqemulator.sql.translator import SQLTranslator
from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.foreign import refuse_foreign
from localcloud.bigquery.sql.literals import plain_literals
from localcloud.bigquery.sql.names import quote_dashed
from localcloud.bigquery.sql.subscripts import call_subscripts

# The types of their operands decide what bqemulator makes of these.
_TYPED = (exp.Avg, exp.Div)
_NUMBER = "typed"


class Translator(SQLTranslator):
    """Translates one statement, or a part of one, from GoogleSQL to DuckDB's SQL."""

    def translate(
        self, bq_sql: str, *, schema: dict[str, Any] | None = None, **options: Any
    ) -> Result[str, InvalidQueryError | UnsupportedFeatureError]:
        """Return the DuckDB SQL, or what is wrong. The arguments are bqemulator's."""
        try:
            sql = quote_dashed(plain_literals(bq_sql))
            refuse_foreign(sql)
        except QueryError as error:
            return Err(InvalidQueryError(error.message))
        translated = super().translate(call_subscripts(sql), schema=schema, **options)
        if isinstance(translated, Ok) and ")." in translated.value:
            return Ok(_with_names_of_fields(translated.value))
        return translated

    @staticmethod
    def _annotate_tree(tree: exp.Expression, schema: dict[str, Any]) -> exp.Expression:
        """Find out the types of operands, and leave everything else as it is.

        bqemulator goes on with the tree that was analysed, in which names are qualified and have lost their capitals.
        """
        typed = list(tree.find_all(*_TYPED))
        if not typed:
            return tree
        for number, node in enumerate(typed):
            node.meta[_NUMBER] = number
        annotated = SQLTranslator._annotate_tree(tree.copy(), schema)
        for found in annotated.find_all(*_TYPED):
            number = found.meta.get(_NUMBER)
            if number is not None:
                for operand in ("this", "expression"):
                    _copy_type(found.args.get(operand), typed[number].args.get(operand))
        return tree


def _with_names_of_fields(duckdb_sql: str) -> str:
    """Return the SQL with columns like ``f(x).y`` called ``y``, as in GoogleSQL; DuckDB calls them by their text.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#implicit_aliases
    """
    tree = sqlglot.parse_one(duckdb_sql, read="duckdb")
    changed = False
    for select in tree.find_all(exp.Select):
        for column in select.expressions:
            if isinstance(column, exp.Dot) and isinstance(column.expression, exp.Identifier):
                column.replace(exp.alias_(column.copy(), column.expression.name, quoted=True))
                changed = True
    return tree.sql(dialect="duckdb") if changed else duckdb_sql


def _copy_type(source: Any, target: Any) -> None:
    if isinstance(source, exp.Expression) and isinstance(target, exp.Expression) and source.type is not None:
        target.type = source.type


# What it refuses by a look at the whole text, be it in a string, is refused before, where it is called.
translator._UNSUPPORTED_KEYWORDS = frozenset()
translator.SQLTranslator = Translator  # type: ignore[misc]
