"""Expressions have the type and the value that Google's reference evaluator gives them, as literals and over columns.

The evaluator runs here, too (tests/contract/evaluator.py), so that no answer is written down. An expression that it refuses is
refused. The differences that are left are in tests/contract/expressions/differences.py, and this test fails when one is gone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from google.api_core.exceptions import GoogleAPICallError
from google.cloud.bigquery import SchemaField

from tests.contract.evaluator import Answer, RefusedError, UnknownError, evaluate
from tests.contract.expressions import arrays, conversions, json_values, numbers, texts, times
from tests.contract.expressions.differences import DIFFERENCES
from tests.contract.expressions.queries import QUERIES
from tests.contract.expressions.values import Family
from tests.localcloud.bigquery.world import BigQueryWorld, bigquery_world

pytestmark = pytest.mark.long

SUBJECTS = (numbers, conversions, texts, times, arrays, json_values)
FAMILIES = [family for subject in SUBJECTS for family in subject.FAMILIES]
# The names of types in schemas of BigQuery that differ from those of GoogleSQL.
GOOGLESQL_TYPES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL", "RECORD": "STRUCT"}
COLUMNS = "abcdef"
Together = Callable[[BigQueryWorld, list[str]], list[Answer | str]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BigQueryWorld]:
    with bigquery_world(tmp_path_factory.mktemp("bigquery")) as world:
        world.client().create_dataset("answers")
        yield world


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: f"{family.template} {family.pools[:1]}"[:60])
def test_an_expression_has_googles_answer(world: BigQueryWorld, family: Family) -> None:
    world.exchanges.clear()
    assert differences(world, family) == {}


@pytest.mark.parametrize("expression", DIFFERENCES)
def test_a_known_difference_is_still_there(world: BigQueryWorld, expression: str) -> None:
    assert differences(world, Family(expression, columns=False)) != {}


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_has_googles_answer(world: BigQueryWorld, query: str) -> None:
    world.exchanges.clear()
    expected, answer = _expected(query), _answer(world, query)
    if isinstance(expected, Answer):
        different = _difference(expected, answer)
    else:
        different = "" if expected is None or isinstance(answer, str) else f"{answer}, and not {expected}"
    assert not different


def expressions(family: Family) -> dict[str, tuple[str, ...]]:
    """Return the values of each expression of a family."""
    return {_expression(family, values): values for values in family.arguments()}


def differences(world: BigQueryWorld, family: Family) -> dict[str, str]:
    """Return what differs between the evaluator and the local BigQuery, by expression."""
    queries = {expression: f"SELECT {expression} AS r" for expression in expressions(family)}
    different = _compared(world, queries, _literals)
    if family.columns:
        over_columns = _expression(family, tuple(COLUMNS))
        queries = {
            expression: f"SELECT {over_columns} AS r FROM ({_row(arguments)})"
            for expression, arguments in expressions(family).items()
        }
        different |= _compared(world, queries, partial(_columns, family))
    return different


def _expression(family: Family, values: tuple[str, ...]) -> str:
    return re.sub(r"\{(\d)\}", lambda place: values[int(place[1])], family.template)


def _compared(world: BigQueryWorld, queries: dict[str, str], together: Together) -> dict[str, str]:
    """Return what differs, by expression: ``together`` returns the local answers to what the evaluator answers."""
    expected = {expression: _expected(query) for expression, query in queries.items()}
    answered = {expression: answer for expression, answer in expected.items() if isinstance(answer, Answer)}
    found = zip(answered.items(), together(world, list(answered)), strict=True)
    different = {expression: said for (expression, one), other in found if (said := _difference(one, other))}
    for expression, refusal in expected.items():
        if isinstance(refusal, str) and isinstance(answer := _answer(world, queries[expression]), Answer):
            different[expression] = f"{answer}, and not {refusal}"
    return different


def _literals(world: BigQueryWorld, answered: list[str]) -> list[Answer | str]:
    """Return the local answer of each expression: of one query, or of a query each if one of them is refused."""
    every = [f"{expression} AS r{number}" for number, expression in enumerate(answered)]
    together = _answer(world, f"SELECT {', '.join(every)}") if every else ""
    if isinstance(together, str):
        return [_answer(world, f"SELECT {expression} AS r") for expression in answered]
    columns = zip(together.columns, *together.rows, strict=True)
    return [Answer((("r", kind),), tuple((value,) for value in values)) for (_, kind), *values in columns]


def _columns(family: Family, world: BigQueryWorld, answered: list[str]) -> list[Answer | str]:
    """Return the local answer of each expression when its values stand in the columns of a table."""
    if not answered:
        return []
    arguments = expressions(family)
    rows = (f"{_row(arguments[expression])}, {number} AS id" for number, expression in enumerate(answered))
    world.rows(f"CREATE OR REPLACE TABLE answers.answered AS {' UNION ALL '.join(rows)}")
    answer = _answer(world, f"SELECT {_expression(family, tuple(COLUMNS))} AS r FROM answers.answered ORDER BY id")
    if isinstance(answer, str):
        return [answer] * len(answered)
    return [Answer(answer.columns, (row,)) for row in answer.rows]


def _row(values: tuple[str, ...]) -> str:
    return f"SELECT {', '.join(f'{value} AS {name}' for value, name in zip(values, COLUMNS, strict=False))}"


def _expected(query: str) -> Answer | str | None:
    """Return the evaluator's answer, the text of its refusal, or None if it does not know."""
    try:
        return evaluate(query)
    except RefusedError as error:
        return str(error)
    except UnknownError:
        return None


def _answer(world: BigQueryWorld, query: str) -> Answer | str:
    """Return the local BigQuery's answer, or the text of its refusal."""
    try:
        rows = world.client().query_and_wait(query)
    except GoogleAPICallError as error:
        return error.message
    columns = tuple((column.name, _type(column)) for column in rows.schema)
    return Answer(columns, tuple(_values(row.values(), rows.schema) for row in rows))


def _type(column: SchemaField) -> str:
    name = GOOGLESQL_TYPES.get(column.field_type, column.field_type)
    if name == "STRUCT":
        name = f"STRUCT<{', '.join(f'{field.name} {_type(field)}' for field in column.fields)}>"
    return f"ARRAY<{name}>" if column.mode == "REPEATED" else name


def _values(values: Any, schema: Any) -> tuple[Any, ...]:
    """Return a row, whose STRUCTs are tuples."""
    return tuple(_value(value, column) for value, column in zip(values, schema, strict=True))


def _value(value: Any, column: SchemaField) -> Any:
    if isinstance(value, list) and column.mode == "REPEATED":
        return [_value(each, SchemaField(column.name, column.field_type, fields=column.fields)) for each in value]
    if isinstance(value, dict) and column.fields:
        return _values(value.values(), column.fields)
    return value


def _difference(expected: Answer, answer: Answer | str) -> str:
    """Return how an answer differs, or an empty text."""
    if isinstance(answer, str):
        return f"{answer}, and not {expected}"
    if not _same(expected.rows, answer.rows):
        return f"{answer.rows}, and not {expected.rows}"
    return "" if answer.columns == expected.columns else f"{answer.columns}, and not {expected.columns}"


def _same(one: Any, other: Any) -> bool:
    """Return whether two values are the same; the last digits of a FLOAT64 depend on the library of the machine."""
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return one == pytest.approx(other, rel=1e-12, abs=1e-15, nan_ok=True)
    return type(one) is type(other) and one == other
