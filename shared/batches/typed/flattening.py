"""The SQL that takes answers apart into typed columns.

Models write JSON with fences and sentences around it, so the JSON of an answer is looked for in its text. An answer that has
none, or values of other types, keeps its row: the column ``status`` says why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.batches.inputs.columns import RESERVED_COLUMNS
from shared.batches.typed.results import JSON, TYPES, ResultColumn
from shared.checks.identifiers import column_sql, string_literal, unused_name

# An object or an array, not a single value.
_OPENED = r"^\s*[\[{]"
# Where the JSON of an answer may be if the answer is not JSON as a whole: in a fence, or from the first bracket to the last.
_FENCE = r"(?s)```[A-Za-z0-9_-]*\s*([\[{].*?[\]}])\s*```"
_BRACKETS = r"(?s)([\[{].*[\]}])"
# An object with objects in it, to a depth of three, for texts that have other brackets too.
_OBJECT = r"\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\}"


def kept_columns(columns: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the columns of answers that the results repeat: those of the input, without the request."""
    return tuple(column["name"] for column in columns if column["name"].lower() not in {*RESERVED_COLUMNS, "request"})


def flatten(source: str, columns: Sequence[Mapping[str, Any]], results: Sequence[ResultColumn]) -> str:
    """Return the query of the results.

    Args:
        source: The answers as SQL: the quoted name of a table, or a query in brackets.
        columns: The columns of the answers, each as a TableFieldSchema.
        results: The columns of the results.
    """
    kept = kept_columns(columns)
    names = _Names([*(column["name"] for column in columns), *(column.name for column in results)])
    is_json = any(column["name"].lower() == "response" and column["type"] == JSON for column in columns)
    response = "TO_JSON_STRING(response)" if is_json else "response"
    values = "".join(f",\n    {_value(column, names)} AS {column_sql(column.name)}" for column in results)
    typed = "".join(f", {column_sql(column.name)}" for column in results)
    listed = "".join(f"{column_sql(name)}, " for name in kept)
    return f"""WITH
{names.answers} AS (
  SELECT {listed}status AS {names.status}, {_valid(response)} AS {names.response}
  FROM {source}
),
{names.divided} AS (
  SELECT
    *,
    JSON_VALUE({names.response}, '$.candidates[0].content.parts[0].text') AS {names.first},
    IF(
      JSON_QUERY({names.response}, '$.candidates[0].content.parts[1]') IS NULL
      AND JSON_VALUE({names.response}, '$.candidates[0].content.parts[0].thought') IS NULL,
      NULL,
      JSON_QUERY({names.response}, '$.candidates[0].content.parts')
    ) AS {names.parts}
  FROM {names.answers}
),
{names.texts} AS (
  SELECT * EXCEPT ({names.first}, {names.parts}), IF({names.parts} IS NULL, {names.first}, (
    SELECT STRING_AGG(JSON_VALUE(part, '$.text'), '' ORDER BY place)
    FROM UNNEST(JSON_QUERY_ARRAY({names.parts}, '$')) AS part WITH OFFSET AS place
    WHERE IFNULL(JSON_VALUE(part, '$.thought'), 'false') = 'false'
  )) AS {names.text}
  FROM {names.divided}
),
{names.found} AS (
  SELECT *, {_json_of(names.text, scalars=any(column.path == "$" for column in results))} AS {names.json}
  FROM {names.texts}
),
{names.chosen} AS (
  SELECT * EXCEPT ({names.json}), {_element(names.json, results)} AS {names.json}
  FROM {names.found}
),
{names.typed} AS (
  SELECT
    *{values}
  FROM {names.chosen}
)
SELECT
  {listed}{_status(results, names)} AS status{typed}
FROM {names.typed}"""


class _Names:
    """The names of the query's own columns and tables, which no column of the answers and the results has."""

    def __init__(self, taken: Sequence[str]) -> None:
        self.answers = unused_name("modeldrop_answers", taken)
        self.divided = unused_name("modeldrop_divided", taken)
        self.texts = unused_name("modeldrop_texts", taken)
        self.found = unused_name("modeldrop_found", taken)
        self.chosen = unused_name("modeldrop_chosen", taken)
        self.typed = unused_name("modeldrop_typed", taken)
        self.status = unused_name("modeldrop_status", taken)
        self.response = unused_name("modeldrop_response", taken)
        self.first = unused_name("modeldrop_first", taken)
        self.parts = unused_name("modeldrop_parts", taken)
        self.text = unused_name("modeldrop_text", taken)
        self.json = unused_name("modeldrop_json", taken)


def _valid(text: str) -> str:
    """Return the SQL of a text that is JSON, and of NULL if it is not."""
    return f"IF(SAFE.PARSE_JSON({text}, wide_number_mode => 'round') IS NULL, NULL, {text})"


def _json_of(text: str, *, scalars: bool) -> str:
    """Return the SQL of the JSON in a text, as text."""
    objects = f"REGEXP_EXTRACT_ALL({text}, {string_literal(_OBJECT)})"
    whole = text if scalars else f"IF(REGEXP_CONTAINS({text}, {string_literal(_OPENED)}), {text}, NULL)"
    places = [
        whole,
        f"REGEXP_EXTRACT({text}, {string_literal(_FENCE)})",
        f"REGEXP_EXTRACT({text}, {string_literal(_BRACKETS)})",
        f"{objects}[SAFE_OFFSET(0)]",
        f"{objects}[SAFE_OFFSET(1)]",
    ]
    return f"COALESCE({', '.join(map(_valid, places))})"


def _element(json: str, results: Sequence[ResultColumn]) -> str:
    """Return the SQL of the JSON, or of its one element: models write a list of one object where an object was meant."""
    if not all(column.path.startswith("$.") or column.is_whole_text for column in results):
        return json
    return f"IF(JSON_QUERY({json}, '$[1]') IS NULL, COALESCE(JSON_QUERY({json}, '$[0]'), {json}), {json})"


def _scalar(column: ResultColumn, names: _Names) -> str:
    return f"JSON_VALUE({names.json}, {string_literal(column.path)})"


def _raw(column: ResultColumn, names: _Names) -> str:
    """Return the SQL of a column's JSON; NULL if the answer does not have it, or has null."""
    return f"NULLIF(JSON_QUERY({names.json}, {string_literal(column.path)}), 'null')"


def _elements(column: ResultColumn, names: _Names) -> str:
    raw = _raw(column, names)
    return f"JSON_QUERY_ARRAY(IF(STARTS_WITH({raw}, '['), {raw}, '[]'), '$')"


def _cast(kind: str, text: str) -> str:
    return TYPES[kind].replace("{}", text)


def _value(column: ResultColumn, names: _Names) -> str:
    if column.is_whole_text:
        return names.text
    if column.type == JSON:
        return f"SAFE.PARSE_JSON({_raw(column, names)}, wide_number_mode => 'round')"
    if column.element is None:
        return _cast(column.type, _scalar(column, names))
    value = _cast(column.element, "JSON_VALUE(element, '$')")
    # An array of BigQuery's tables has no NULL.
    return (
        f"ARRAY(SELECT {value} FROM UNNEST({_elements(column, names)}) AS element WITH OFFSET AS place "
        f"WHERE {value} IS NOT NULL ORDER BY place)"
    )


def _misfit(column: ResultColumn, names: _Names) -> str | None:
    """Return the SQL of whether an answer has another value than the column takes; None if it takes all."""
    if column.is_whole_text:
        return None
    raw = _raw(column, names)
    if column.type == JSON:
        return f"{raw} IS NULL" if column.required else None
    value = column_sql(column.name)
    if column.element is None:
        misfit = f"{raw} IS NOT NULL AND {value} IS NULL"
    else:
        elements = f"ARRAY_LENGTH({_elements(column, names)})"
        misfit = f"{raw} IS NOT NULL AND (NOT STARTS_WITH({raw}, '[') OR ARRAY_LENGTH({value}) != {elements})"
    return f"{raw} IS NULL OR ({misfit})" if column.required else misfit


def _status(results: Sequence[ResultColumn], names: _Names) -> str:
    """Return the SQL of the column ``status``: empty if the answer has all values that the columns need."""
    reason = (
        f"IFNULL(CONCAT(' (', COALESCE(JSON_VALUE({names.response}, '$.promptFeedback.blockReason'), "
        f"NULLIF(JSON_VALUE({names.response}, '$.candidates[0].finishReason'), 'STOP')), ')'), '')"
    )
    cases = [
        f"WHEN IFNULL({names.status}, '') != '' THEN {names.status}",
        f"WHEN {names.text} IS NULL THEN CONCAT('the answer has no text', {reason})",
    ]
    if not all(column.is_whole_text for column in results):
        cases.append(f"WHEN {names.json} IS NULL THEN CONCAT('the answer has no JSON', {reason})")
        raws = ", ".join(_raw(column, names) for column in results if not column.is_whole_text)
        cases.append(f"WHEN COALESCE({raws}, NULL) IS NULL THEN 'the answer has none of the values'")
    misfits = [
        f"IF({misfit}, {string_literal(f'{column.name} ({column.type})')}, NULL)"
        for column in results
        if (misfit := _misfit(column, names))
    ]
    listed = f"ARRAY_TO_STRING([{', '.join(misfits)}], ', ')" if misfits else "''"
    cases.append(f"ELSE IFNULL(CONCAT('missing, or of another type: ', NULLIF({listed}, '')), '')")
    joined = "\n    ".join(cases)
    return f"CASE\n    {joined}\n  END"
