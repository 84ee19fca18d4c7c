"""The check of a table of requests: one query that counts the requests by the rule that they break."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shared.batches.inputs.fitting import SEPARATOR
from shared.batches.inputs.gemini_messages import REQUEST, field_names, snake_case
from shared.batches.inputs.long_requests import ESCAPES, key_names, short_requests
from shared.batches.inputs.requests import ABOUT_DATA, BASE64, PART_DATA, ROLES, URI, check_envelope
from shared.batches.inputs.rules import PLACES, Finding, InputCheck, Requests, sorted_findings
from shared.batches.inputs.values import CONFIG
from shared.checks.identifiers import column_sql, string_literal

# Google's JSON parser accepts both spellings of a name. The names that are looked for here are replaced by one of them: in
# quotes, they are either the name of a field or a whole value, which no rule looks at.
_SPELLINGS = (
    "cachedContent",
    "fileData",
    "fileUri",
    "generationConfig",
    "inlineData",
    "maxOutputTokens",
    "mimeType",
    "systemInstruction",
)
_ABOUT_PART = {*ABOUT_DATA, "text"}
_PART_DATA = {given: name for given, name in field_names("Part").items() if name in PART_DATA}
# Requests are compared with the published messages outside of their contents, which are seldom the same: so many different
# ones, each of so many characters at most.
MOST_ENVELOPES = 500
LONGEST_ENVELOPE = 20_000


def _only(keys: str, names: Iterable[str]) -> str:
    """Return the SQL of whether a list of keys has no other names than these."""
    listed = "|".join(sorted(names))
    return f"REGEXP_CONTAINS(ARRAY_TO_STRING({keys}, ','), {string_literal(f'^(?:(?:{listed})(?:,|$))*$')})"


def _spelt(names: Mapping[str, str], chosen: Iterable[str] | None = None) -> set[str]:
    """Return the spellings of fields that may be left after ``_SPELLINGS`` were replaced."""
    wanted = names.values() if chosen is None else chosen
    return {given for given, name in names.items() if name in wanted and (name not in _SPELLINGS or given == name)}


def _list(value: str) -> str:
    """Return the SQL of a repeated field. Google's JSON parser takes a single object in place of a list."""
    single = f"IF(STARTS_WITH({value}, '{{'), [{value}], ARRAY<STRING>[])"
    return f"IF(STARTS_WITH({value}, '['), JSON_QUERY_ARRAY({value}, '$'), {single})"


def _names(value: str) -> str:
    """Return the SQL of the names of the fields of an object, which is a text."""
    return f"JSON_KEYS(SAFE.PARSE_JSON({value}), 1)"


_ROLES = ", ".join(map(string_literal, ROLES))
# The facts about the contents of a request, by which the rules are decided. Each counts parts, or contents without parts.
_FACTS: Mapping[str, str] = {
    "contents": "COUNT(*)",
    "wrong_roles": f"COUNTIF(IFNULL(JSON_VALUE(content, '$.role'), '') NOT IN ({_ROLES}))",
    "without_parts": "COUNTIF(part IS NULL)",
    "empty_parts": (
        f"COUNTIF(part IS NOT NULL AND IFNULL(JSON_VALUE(part, '$.text'), '') = '' "
        f"AND {_only(_names('part'), _spelt(field_names('Part'), _ABOUT_PART))})"
    ),
    "several_data": (
        "COUNTIF("
        + " + ".join(f"IF(JSON_QUERY(part, '$.{name}') IS NULL, 0, 1)" for name in sorted(_spelt(_PART_DATA)))
        + " > 1)"
    ),
    "unknown_names": (
        f"COUNTIF(NOT {_only(_names('content'), field_names('Content'))} "
        f"OR (part IS NOT NULL AND NOT {_only(_names('part'), _spelt(field_names('Part')))}))"
    ),
    "wrong_uris": (
        "COUNTIF(JSON_QUERY(part, '$.fileData') IS NOT NULL "
        f"AND NOT REGEXP_CONTAINS(IFNULL(JSON_VALUE(part, '$.fileData.fileUri'), ''), {string_literal(URI)}))"
    ),
    "without_mime_type": (
        "COUNTIF(JSON_QUERY(part, '$.fileData') IS NOT NULL "
        "AND IFNULL(JSON_VALUE(part, '$.fileData.mimeType'), '') = '')"
    ),
    "wrong_data": (
        "COUNTIF(JSON_QUERY(part, '$.inlineData') IS NOT NULL AND (IFNULL(JSON_VALUE(part, '$.inlineData.mimeType'), '') = '' "
        f"OR NOT REGEXP_CONTAINS(IFNULL(JSON_VALUE(part, '$.inlineData.data'), ''), {string_literal(BASE64)})))"
    ),
}

# Contents that break no rule, in the JSON that TO_JSON_STRING writes. In a string of JSON, quotes are escaped, so a pattern
# with quotes finds fields alone. Only contents that this does not match are taken apart, which costs far more.
_STRING = r'"(?:[^"\\]|\\.)+"'
_GOOD_PART = (
    r"\{(?:"
    rf'"text":{_STRING}'
    rf'|"fileData":\{{(?:"fileUri":"gs://[^"/]+/[^"]+","mimeType":{_STRING}|"mimeType":{_STRING},"fileUri":"gs://[^"/]+/[^"]+")\}}'
    r")\}"
)
_GOOD_PARTS = rf'"parts":(?:\[{_GOOD_PART}(?:,{_GOOD_PART})*\]|{_GOOD_PART})'
_ROLE = f'"role":"(?:{"|".join(ROLES)})"'
_GOOD_CONTENT = rf"\{{(?:{_ROLE},{_GOOD_PARTS}|{_GOOD_PARTS},{_ROLE})\}}"
GOOD_CONTENTS = rf"^(?:\[{_GOOD_CONTENT}(?:,{_GOOD_CONTENT})*\]|{_GOOD_CONTENT})$"
# The texts of contents, each with the name of its field.
_TEXTS = r'"text":"(?:[^"\\]|\\.)*"'

_KEYS = "JSON_KEYS(parsed, 1)"
# The condition of each rule, in the order of ``RULES``. Names in contents come last, as in the check of files.
_CONDITIONS: Mapping[str, str] = {
    "empty_request": "TRIM(IFNULL(text, '')) IN ('', 'null')",
    "not_json": "parsed IS NULL",
    "not_an_object": "JSON_TYPE(parsed) != 'object'",
    "unknown_field": f"NOT {_only(_KEYS, _spelt(field_names(REQUEST)))}",
    "cached_content": "IFNULL(JSON_VALUE(parsed, '$.cachedContent'), '') != ''",
    "no_contents": "unsure IS NOT NULL AND IFNULL(facts.contents, 0) = 0",
    "wrong_role": "facts.wrong_roles > 0",
    "no_parts": "facts.without_parts > 0",
    "empty_part": "facts.empty_parts > 0",
    "several_data": "facts.several_data > 0",
    "wrong_uri": "facts.wrong_uris > 0",
    "no_mime_type": "facts.without_mime_type > 0",
    "wrong_inline_data": "facts.wrong_data > 0",
    "unknown_config_field": (
        "JSON_QUERY(parsed, '$.generationConfig') IS NOT NULL AND NOT "
        + _only("JSON_KEYS(JSON_QUERY(parsed, '$.generationConfig'), 1)", _spelt(field_names(CONFIG)))
    ),
}


def check_requests(source: str, *, is_json: bool, key: Sequence[str] = (), misfit: str | None = None) -> str:
    """Return the query that checks a table of requests. It reads the column ``request`` and those of the key, once.

    The numbers of rows are those in which the query reads them, since a table of BigQuery has no order.

    Args:
        source: The requests as SQL: the quoted name of a table, or a query in brackets.
        is_json: Whether the column is of type JSON, not STRING.
        key: The columns by which the answers are merged; none if they are not.
        misfit: The SQL of why the output does not take a row, as ``misfit_of`` returns it; None if it takes all rows.
    """
    text = "TO_JSON_STRING(request)" if is_json else "request"
    respelt = "text"
    for name in _SPELLINGS:
        respelt = f"REPLACE({respelt}, '\"{snake_case(name)}\"', '\"{name}\"')"
    spellings = string_literal(f'"(?:{"|".join(map(snake_case, _SPELLINGS))})"')
    facts = ",\n      ".join(f"{sql} AS {name}" for name, sql in _FACTS.items())
    conditions = [*_CONDITIONS.items(), ("unknown_field", "facts.unknown_names > 0"), *(_KEY_CONDITIONS if key else ())]
    rules = "\n      ".join(f"WHEN {condition} THEN {string_literal(rule)}" for rule, condition in conditions)
    columns = "\n    without_key,\n    same_key," if key else ""
    if misfit is not None:
        rules += "\n      ELSE misfit"
        columns += "\n    misfit,"
    row_facts = _key_facts(key_names(key)) + ("" if misfit is None else ", misfit")
    return f"""WITH
{short_requests(source, text, key, misfit)},
request_texts AS (SELECT text, left_out{row_facts} FROM short_requests),
parsed_requests AS (
  SELECT{columns}
    text,
    left_out,
    SAFE.PARSE_JSON(IF(REGEXP_CONTAINS(text, {spellings}), {respelt}, text), wide_number_mode => 'round') AS parsed
  FROM request_texts
),
divided AS (
  SELECT{columns}
    text,
    left_out,
    parsed,
    IFNULL(TO_JSON_STRING(JSON_QUERY(parsed, '$.contents')), 'null') AS contents,
    IFNULL(TO_JSON_STRING(JSON_QUERY(parsed, '$.systemInstruction.parts')), '') AS instruction,
    IFNULL(TO_JSON_STRING(JSON_QUERY(parsed, '$.labels')), '{{}}') AS labels
  FROM parsed_requests
),
sorted_out AS (
  SELECT{columns}
    text,
    left_out,
    parsed,
    contents,
    IF(
      ARRAY_TO_STRING({_KEYS}, ',') = 'contents',
      NULL,
      REPLACE(REPLACE(TO_JSON_STRING(parsed), contents, 'null'), labels, '{{}}')
    ) AS envelope,
    REGEXP_EXTRACT_ALL(CONCAT(contents, instruction), {string_literal(_TEXTS)}) AS texts,
    IF(REGEXP_CONTAINS(contents, {string_literal(GOOD_CONTENTS)}), NULL, contents) AS unsure
  FROM divided
),
examined AS (
  SELECT{columns}
    text,
    left_out,
    parsed,
    contents,
    texts,
    unsure,
    envelope,
    (SELECT AS STRUCT
      {facts}
    FROM UNNEST({_list("unsure")}) AS content
    LEFT JOIN UNNEST({_list("JSON_QUERY(content, '$.parts')")}) AS part) AS facts
  FROM sorted_out
),
judged AS (
  SELECT
    CASE
      {rules}
    END AS rule,
    CHAR_LENGTH(REGEXP_REPLACE(ARRAY_TO_STRING(texts, ''), {string_literal(ESCAPES)}, '.'))
      - {len('"text":""')} * ARRAY_LENGTH(texts) + left_out AS characters,
    ARRAY_LENGTH(REGEXP_EXTRACT_ALL(contents, '"fileData":')) AS files,
    SAFE_CAST(JSON_VALUE(parsed, '$.generationConfig.maxOutputTokens') AS INT64) AS answer_tokens,
    envelope
  FROM examined
),
numbered AS (
  SELECT
    rule,
    IF(rule IS NULL AND LENGTH(envelope) <= {LONGEST_ENVELOPE}, envelope, NULL) AS envelope,
    characters,
    files,
    answer_tokens,
    ROW_NUMBER() OVER () AS row_number
  FROM judged
),
counted AS (
  SELECT
    rule,
    envelope,
    COUNT(*) AS requests,
    SUM(characters) AS characters,
    SUM(files) AS files,
    SUM(answer_tokens) AS answer_tokens,
    COUNT(answer_tokens) AS limited_requests,
    ARRAY_AGG(row_number ORDER BY row_number LIMIT {PLACES}) AS row_numbers
  FROM numbered
  GROUP BY rule, envelope
),
chosen AS (
  SELECT
    * EXCEPT (envelope),
    IF(ROW_NUMBER() OVER (ORDER BY IF(envelope IS NULL, 1, 0), requests DESC) <= {MOST_ENVELOPES}, envelope, NULL) AS envelope
  FROM counted
)
SELECT
  rule,
  envelope,
  SUM(requests) AS requests,
  SUM(characters) AS characters,
  SUM(files) AS files,
  SUM(answer_tokens) AS answer_tokens,
  SUM(limited_requests) AS limited_requests,
  ANY_VALUE(row_numbers) AS row_numbers
FROM chosen
GROUP BY rule, envelope"""


# The rules for the key of a merge.
_KEY_CONDITIONS = (("no_key", "without_key"), ("repeated_key", "same_key > 1"))
_KEY_RULES = frozenset(rule for rule, _ in _KEY_CONDITIONS)


def _key_facts(key: Sequence[str]) -> str:
    """Return the SQL of the columns ``without_key`` and ``same_key``; an empty text if there is no key."""
    if not key:
        return ""
    columns = [column_sql(name) for name in key]
    missing = " OR ".join(f"{name} IS NULL" for name in columns)
    return f", {missing} AS without_key, COUNT(*) OVER (PARTITION BY {', '.join(columns)}) AS same_key"


def check_contents(source: str, key: Sequence[str] = (), misfit: str | None = None) -> str:
    """Return the query that checks a table of texts to embed, in the column ``content``; the result is the same.

    Args:
        source: The texts as SQL: the quoted name of a table, or a query in brackets.
        key: The columns by which the answers are merged; none if they are not.
        misfit: The SQL of why the output does not take a row, as ``misfit_of`` returns it; None if it takes all rows.
    """
    conditions = [("no_content", "content IS NULL OR TRIM(content) = ''"), *(_KEY_CONDITIONS if key else ())]
    rules = " ".join(f"WHEN {condition} THEN {string_literal(rule)}" for rule, condition in conditions)
    return f"""SELECT
  rule,
  CAST(NULL AS STRING) AS envelope,
  COUNT(*) AS requests,
  SUM(characters) AS characters,
  0 AS files,
  0 AS answer_tokens,
  COUNT(*) AS limited_requests,
  ARRAY_AGG(row_number ORDER BY row_number LIMIT {PLACES}) AS row_numbers
FROM (
  SELECT
    CASE {rules} ELSE misfit END AS rule,
    IFNULL(CHAR_LENGTH(content), 0) AS characters,
    ROW_NUMBER() OVER () AS row_number
  FROM (SELECT content{_key_facts(key)}, {misfit or "CAST(NULL AS STRING)"} AS misfit FROM {source})
)
GROUP BY rule"""


def read_check(
    rows: Iterable[Mapping[str, Any]],
    kind: Requests = Requests.GENERATE,
    key: Sequence[str] = (),
    *,
    input_files: int = 0,
) -> InputCheck:
    """Return what the rows of one of these queries say.

    Args:
        rows: The rows.
        kind: The kind of the requests.
        key: The columns by which the answers are merged; none if they are not.
        input_files: How many files the requests were loaded from, whose lines have no numbers then; 0 for a table.
    """
    found = list(rows)
    requests = sum(row["requests"] for row in found)
    broken: dict[tuple[str, str], tuple[int, list[int]]] = {}
    for row in found:
        rule, hint = row["rule"], ""
        if rule in _KEY_RULES:
            hint = ", ".join(key)
        elif rule is not None and SEPARATOR in rule:
            rule, _, hint = rule.partition(SEPARATOR)
        elif rule is None and (envelope := row.get("envelope")) is not None:
            rule, hint = check_envelope(envelope) or (None, "")
        if rule is not None:
            count, numbers = broken.get((rule, hint), (0, []))
            broken[rule, hint] = (count + row["requests"], [*numbers, *row["row_numbers"]])
    findings = [
        Finding(rule, count, () if input_files else tuple(f"row {number}" for number in sorted(numbers)[:PLACES]), hint)
        for (rule, hint), (count, numbers) in broken.items()
    ]
    if not requests:
        findings.append(Finding("no_requests", 0))
    is_limited = sum(row["limited_requests"] for row in found) == requests
    return InputCheck(
        requests=requests,
        characters=sum(row["characters"] or 0 for row in found),
        files=sum(row["files"] or 0 for row in found),
        findings=sorted_findings(findings),
        answer_tokens=sum(row["answer_tokens"] or 0 for row in found) if is_limited else None,
        input_files=input_files,
    )
