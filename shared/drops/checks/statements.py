"""The SQL of a model's check. Names are checked by the callers; texts are quoted here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.checks.identifiers import ModelName, column_sql, string_literal
from shared.drops.checks.model_check import EXPECTED, CheckedRow, ModelCheck, Value
from shared.errors import Rejected
from shared.work_facts import ModelSignature

# https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/tables#TableFieldSchema.FIELDS.type
_NUMBERS = frozenset({"INTEGER", "INT64", "FLOAT", "FLOAT64", "NUMERIC", "BIGNUMERIC"})
_SHOWN = 200


def input_query(check: ModelCheck, signature: ModelSignature | None) -> str:
    """Return the query whose rows are the input of a check.

    Args:
        check: The check.
        signature: The columns of the model, which say whether a number is a fraction; None if they are not known.
    """
    if check.query is not None:
        return check.query
    kinds = {} if signature is None else {each.name: each.type for each in signature.input_columns}
    expected = {} if signature is None else {f"{EXPECTED}{each.name}": each.type for each in signature.output_columns}
    return "\nUNION ALL ".join(_row(row, {**kinds, **expected}) for row in check.rows)


def predictions(model: ModelName, query: str) -> str:
    """Return the query whose rows are the predictions for the rows of ``query``.

    https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-predict
    """
    # The query is on lines of its own, because it may end in a comment.
    return f"SELECT *\nFROM ML.PREDICT(MODEL {model.sql}, (\n{query}\n))"


def metric(check: ModelCheck, predicted: str) -> str:
    """Return the query that has one row: how many rows were predicted, and the value of the metric."""
    return f"SELECT COUNT(*) AS row_count, CAST((\n{check.metric}\n) AS FLOAT64) AS value\nFROM (\n{predicted}\n)"


def compared_outputs(columns: Sequence[Mapping[str, Any]], field: str) -> tuple[str, ...]:
    """Return the outputs that a check compares: those for which a column ``expected_<output>`` exists.

    Args:
        columns: The columns of the predictions, each as a TableFieldSchema.
        field: The field of `modeldrop.yaml` that an error is about.

    Raises:
        Rejected: There is no such column, or an output of that name does not exist or has another type.
    """
    known = {str(column["name"]): column for column in columns}
    expected = [name for name in known if name.lower().startswith(EXPECTED)]
    outputs = [name for name in known if name not in expected]
    if not expected:
        raise Rejected(
            f"{field} has no column {EXPECTED}<output>, so there is nothing to compare; the columns are {', '.join(known)}",
            field=field,
            code="unknown_column",
        )
    found: list[str] = []
    for name in expected:
        output = next((each for each in outputs if f"{EXPECTED}{each}".lower() == name.lower()), None)
        if output is None:
            raise Rejected(
                f"{field} has the column {name}, and the predictions have no column {name[len(EXPECTED) :]}; "
                f"they have {', '.join(outputs)}",
                field=field,
                code="unknown_column",
            )
        if _kind(known[output]) != _kind(known[name]):
            raise Rejected(
                f"{name} is of the type {_type(known[name])}, and the output {output} of the type {_type(known[output])}: "
                "give both one type",
                field=field,
                code="type_mismatch",
            )
        found.append(output)
    return tuple(found)


def comparison(check: ModelCheck, predicted: str, columns: Sequence[Mapping[str, Any]], outputs: Sequence[str]) -> str:
    """Return the query that has one row: how many rows were predicted, and for each output how many are wrong.

    Args:
        check: The check.
        predicted: The query whose rows are the predictions.
        columns: Their columns, each as a TableFieldSchema.
        outputs: The outputs to compare, as ``compared_outputs`` returns them.
    """
    by_name = {str(column["name"]).lower(): column for column in columns}
    flags, counts = [], ["COUNT(*) AS row_count"]
    for index, output in enumerate(outputs):
        expected = by_name[f"{EXPECTED}{output}".lower()]
        got, wanted = column_sql(output), column_sql(expected["name"])
        flags.append(f"IFNULL({_equal(got, wanted, expected, check.tolerance)}, FALSE) AS ok_{index}")
        flags.append(f"CONCAT(TO_JSON_STRING({got}), ' instead of ', TO_JSON_STRING({wanted})) AS text_{index}")
        counts.append(f"{string_literal(output)} AS output_{index}")
        counts.append(f"COUNTIF(NOT ok_{index}) AS wrong_{index}")
        counts.append(f"SUBSTR(MAX(IF(ok_{index}, NULL, text_{index})), 1, {_SHOWN}) AS example_{index}")
    right = " AND ".join(f"ok_{index}" for index in range(len(outputs)))
    counts.append(f"COUNTIF(NOT ({right})) AS wrong_rows")
    inner = f"SELECT {', '.join(flags)}\nFROM (\n{predicted}\n)"
    return f"SELECT {', '.join(counts)}\nFROM (\n{inner}\n)"


def _equal(got: str, wanted: str, column: Mapping[str, Any], tolerance: float) -> str:
    """Return the condition that an output has the expected value."""
    is_number = column["type"] in _NUMBERS
    if column.get("mode") == "REPEATED" and is_number:
        return (
            f"ARRAY_LENGTH({got}) = ARRAY_LENGTH({wanted}) AND NOT EXISTS (SELECT 1 FROM UNNEST({got}) AS element "
            f"WITH OFFSET AS place WHERE NOT IFNULL({_near('element', f'{wanted}[SAFE_OFFSET(place)]', tolerance)}, FALSE))"
        )
    if is_number:
        return f"IF({wanted} IS NULL, {got} IS NULL, {_near(got, wanted, tolerance)})"
    return f"TO_JSON_STRING({got}) = TO_JSON_STRING({wanted})"


def _near(got: str, wanted: str, tolerance: float) -> str:
    return f"ABS(CAST({got} AS FLOAT64) - CAST({wanted} AS FLOAT64)) <= {tolerance!r}"


def _kind(column: Mapping[str, Any]) -> tuple[str, bool]:
    """Return what must be equal of the types of an output and its expected value."""
    return "number" if column["type"] in _NUMBERS else str(column["type"]), column.get("mode") == "REPEATED"


def _type(column: Mapping[str, Any]) -> str:
    return f"ARRAY<{column['type']}>" if column.get("mode") == "REPEATED" else str(column["type"])


def _row(row: CheckedRow, kinds: Mapping[str, str]) -> str:
    values = [*row.inputs, *((f"{EXPECTED}{name}", value) for name, value in row.expected)]
    return "SELECT " + ", ".join(
        f"{_literal(value, kinds.get(name, ''))} AS {column_sql(name)}" for name, value in values
    )


def _literal(value: Value, kind: str) -> str:
    """Return a value as SQL; ``kind`` is the type of its column, empty if it is not known."""
    element = kind.removeprefix("ARRAY<").removesuffix(">")
    match value:
        case None:
            return f"CAST(NULL AS {kind})" if kind else "NULL"
        case bool():
            return "TRUE" if value else "FALSE"
        case int() | float():
            return repr(float(value) if element == "FLOAT64" else value)
        case str():
            return string_literal(value)
        case _:
            parts = value if all(isinstance(each, int) for each in value) else tuple(_fraction(each) for each in value)
            listed = ", ".join(_literal(each, element if kind else "") for each in parts)
            return f"ARRAY<{element}>[{listed}]" if kind.startswith("ARRAY<") else f"[{listed}]"


def _fraction(value: str | int | float | bool) -> str | int | float | bool:
    """Return a number as a fraction: a list with one fraction is a list of fractions."""
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
