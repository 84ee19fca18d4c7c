"""Replaces bqemulator's translator by one that keeps values and names which bqemulator's translator changes.

Import this module before other parts of bqemulator. Queries, scripts, functions, materialized views and the row
restrictions of the Storage API each import the name that the end of this module replaces.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import sqlglot
from bqemulator.domain.errors import InvalidQueryError, UnsupportedFeatureError
from bqemulator.domain.result import Err, Ok, Result
from bqemulator.sql import catalog_schema, parameters, translator
from bqemulator.sql.rewriter import division_by_zero
from bqemulator.sql.rewriter.create_table_schema_ctas import rewrite_create_table_schema_ctas
from bqemulator.sql.translator import SQLTranslator
from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.checks.duckdb_only import quote_routines, reject_duckdb_only
from localcloud.bigquery.sql.checks.single_matches import require_single_matches
from localcloud.bigquery.sql.checks.types import reject_wrong_types
from localcloud.bigquery.sql.clauses.own_rows import reading_first
from localcloud.bigquery.sql.clauses.recursion import limit_recursion
from localcloud.bigquery.sql.functions.adjustments import adjust
from localcloud.bigquery.sql.functions.json.texts import call_json_macros
from localcloud.bigquery.sql.functions.numbers.arithmetic import check_arithmetic
from localcloud.bigquery.sql.functions.numbers.nan import treat_nan
from localcloud.bigquery.sql.functions.numbers.types import widen_numbers
from localcloud.bigquery.sql.functions.rewriting import call_macros
from localcloud.bigquery.sql.functions.times.format_reading import read_by_formats
from localcloud.bigquery.sql.functions.times.intervals import rewrite_intervals
from localcloud.bigquery.sql.reading.draft import Draft
from localcloud.bigquery.sql.reading.literals import plain_literals
from localcloud.bigquery.sql.reading.names import join_networks, quote_names
from localcloud.bigquery.sql.reading.quantified_patterns import readable_patterns
from localcloud.bigquery.sql.reading.types import mark_types, whole_type_of
from localcloud.bigquery.sql.structs.alternatives import unite_alternatives
from localcloud.bigquery.sql.structs.elements import rewrite_elements
from localcloud.bigquery.sql.structs.fields import name_fields
from localcloud.bigquery.sql.structs.positions import carry_out_coercions
from localcloud.bigquery.sql.structs.subscripts import call_subscripts
from localcloud.bigquery.sql.structs.value_tables import name_columns
from localcloud.bigquery.sql.tables.column_types import column_types
from localcloud.bigquery.sql.tables.lengths import check_lengths
from localcloud.bigquery.sql.values.nulls import type_nulls
from localcloud.bigquery.sql.values.parameters import Parameters
from localcloud.bigquery.sql.values.united_texts import type_united_texts

_PASSES: tuple[Callable[[Draft], None], ...] = (
    reject_duckdb_only,
    reject_wrong_types,
    limit_recursion,
    type_united_texts,
    name_columns,
    require_single_matches,
    rewrite_elements,
    check_lengths,
    name_fields,
    unite_alternatives,
    carry_out_coercions,
    type_nulls,
    adjust,
    treat_nan,
    widen_numbers,
    check_arithmetic,
    rewrite_intervals,
    call_macros,
    call_subscripts,
    call_json_macros,
)
_CREATES = re.compile(r"\bCREATE\b", re.IGNORECASE)
# bqemulator translates these expressions by the types of their operands.
_TYPED = (exp.Avg, exp.Div)
# What sqlglot and bqemulator write for NUMERIC and BIGNUMERIC without parameters, outside texts and quoted names.
_DECIMALS = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|\bDECIMAL\b(?:\s*\(\s*(\d+)\s*,\s*(\d+)\s*\)|(?!\s*\())""")
_WHOLE_DECIMALS = {(None, None): "DECIMAL(38, 9)", ("18", "3"): "DECIMAL(38, 9)", ("38", "5"): "DECIMAL(38, 18)"}
# A field of a call or a parameter.
_FIELD = re.compile(r"\)\.|\$\w+\.")
_PARAMETERS = re.compile(r"(?:DECIMAL|NUMERIC)\s*\(\s*(\d+)\s*,\s*(\d+)\s*\)", re.IGNORECASE)


class Translator(SQLTranslator):
    """Translates one statement, or a part of one, from GoogleSQL to DuckDB's SQL."""

    def __init__(self, parameters: Mapping[str, exp.DataType] | None = None) -> None:
        """Start with the types of the parameters of the statement by their names."""
        super().__init__()
        self._parameters = parameters

    def translate(
        self, bq_sql: str, *, schema: dict[str, Any] | None = None, **options: Any
    ) -> Result[str, InvalidQueryError | UnsupportedFeatureError]:
        """Return the DuckDB SQL or the error. The arguments are bqemulator's."""
        try:
            draft = Draft(_readable(bq_sql), schema, self._parameters)
            for take in _PASSES:
                take(draft)
        except QueryError as error:
            return Err(InvalidQueryError(error.message, location=error.location))
        translated = super().translate(draft.text, schema=schema, **options)
        if not isinstance(translated, Ok):
            return translated
        duckdb_sql = reading_first(_with_whole_decimals(translated.value, bq_sql))
        return Ok(_with_names_of_fields(duckdb_sql) if _FIELD.search(duckdb_sql) is not None else duckdb_sql)

    @staticmethod
    def _annotate_tree(tree: exp.Expression, schema: dict[str, Any]) -> exp.Expression:
        """Annotate the operands with their types, and change nothing else.

        bqemulator's own method returns the analysed tree, in which names are qualified and in lower case.
        """
        typed = list(tree.find_all(*_TYPED))
        if typed:
            mark_types(tree, schema, dialect="duckdb")
        for node in typed:
            for operand in node.iter_expressions():
                operand.type = whole_type_of(operand)
        return tree


def _readable(bq_sql: str) -> str:
    """Return a statement in the form that sqlglot reads."""
    return readable_patterns(read_by_formats(quote_routines(quote_names(join_networks(plain_literals(bq_sql))))))


def _with_whole_decimals(duckdb_sql: str, bq_sql: str) -> str:
    """Return the SQL whose NUMERIC has 9 decimal places and whose BIGNUMERIC has 18; DuckDB's DECIMAL has 3.

    BigQuery's BIGNUMERIC has 38, and up to 39 digits before them. DuckDB's DECIMAL has 38 digits in all.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#decimal_types
    """
    if "DECIMAL" not in duckdb_sql:
        return duckdb_sql
    declared = {(match[1], match[2]) for match in _PARAMETERS.finditer(bq_sql)}

    def whole(match: re.Match[str]) -> str:
        digits = (match[1], match[2])
        return match[0] if match[0][0] in "'\"" or digits in declared else _WHOLE_DECIMALS.get(digits, match[0])

    return _DECIMALS.sub(whole, duckdb_sql)


def _with_names_of_fields(duckdb_sql: str) -> str:
    """Return the SQL with the name ``y`` for columns such as ``f(x).y`` and ``@x.y``. DuckDB uses their text as name.

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


# bqemulator rejects these keywords anywhere in the text, even in a string. `reject_duckdb_only` rejects calls only.
translator._UNSUPPORTED_KEYWORDS = frozenset()
translator.SQLTranslator = Translator  # type: ignore[misc]


def _bind(duckdb_sql: str, given: Any = None) -> tuple[str, list[Any]]:
    """Return translated SQL with DuckDB's placeholders, and the values; ``given`` are our parameters."""
    return given.bind(duckdb_sql) if isinstance(given, Parameters) else (duckdb_sql, [])


def _checked_division(numerator: exp.Expr, divisor: exp.Expr) -> exp.Expr:
    """Return a division whose error has its operands, as BigQuery's has."""
    message: exp.Expr = exp.Literal.string("division by zero")
    if numerator.find(exp.Query) is None:
        left = exp.cast(numerator.copy(), "FLOAT64", dialect="bigquery")
        text = exp.Anonymous(this="_operands", expressions=[left])
        message = exp.func("CONCAT", exp.Literal.string("division by zero: "), text)
    error = exp.Anonymous(this="bqemu_fail", expressions=[message])
    is_zero = exp.EQ(this=divisor.copy(), expression=exp.Literal.number(0))
    division = exp.Div(this=numerator.copy(), expression=divisor.copy())
    return exp.Case(ifs=[exp.If(this=is_zero, true=error)], default=division)


def _rewrite_create(sql: str) -> str:
    """Return the SQL of a CREATE TABLE with columns and a query in bqemulator's form, which parses each statement."""
    return rewrite_create_table_schema_ctas(sql) if _CREATES.search(sql) is not None else sql


setattr(translator, "rewrite_create_table_schema_ctas", _rewrite_create)  # noqa: B010  # as below
# bqemulator takes the current time for the pseudo columns.
setattr(translator, "rewrite_partition_pseudo_columns", str)  # noqa: B010  # an import of the module, which it does not export

catalog_schema.build_catalog_schema = column_types  # type: ignore[assignment]  # the name of an argument differs
parameters.bind_parameters = _bind  # type: ignore[assignment]  # our parameters are objects
division_by_zero._build_division_case = _checked_division  # type: ignore[assignment]  # narrower arguments
