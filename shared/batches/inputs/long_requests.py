"""The SQL that leaves long texts and data out of requests, before a query examines these.

A query has several copies of a request at once. Those of images in base64 and of whole books would fill the memory of a local
BigQuery, and all rules but the one for base64 are about the rest of a request.
"""

from __future__ import annotations

from collections.abc import Sequence

from shared.checks.identifiers import column_sql, string_literal

# Requests of more characters are shortened.
LONGEST_REQUEST = 4_000
# Only strings that are valid JSON are shortened, and only data that are base64, so that the rules find all others. Half of a
# surrogate pair is not valid.
_SURROGATES = r"[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_ESCAPE = rf'\\(?:["\\/bfnrt]|u(?:[0-9a-cefA-CEF][0-9a-fA-F]{{3}}|[dD][0-7][0-9a-fA-F]{{2}}|{_SURROGATES}))'
_TEXT = rf'("text"\s*:\s*")(?:[^"\\\x00-\x1f]|{_ESCAPE})+"'
_DATA = r'("data"\s*:\s*")(?:[A-Za-z0-9+/_-]|\\/)+={0,2}"'
# The name of the field and the quotes stay. This is a text, and it is base64.
_INSTEAD = r'\1AAAA"'
# An escape sequence of JSON, which counts as one character, and so does a surrogate pair.
ESCAPES = rf"\\(?:u{_SURROGATES}|u[0-9a-fA-F]{{4}}|.)"


def short_requests(source: str, text: str, key: Sequence[str] = (), misfit: str | None = None) -> str:
    """Return the common table expressions that read requests; the last one, ``short_requests``, has these columns.

    - ``text``: the request. The texts and the data of a long one are replaced by four characters each.
    - ``left_out``: how many more characters its texts have than those in ``text``.
    - the columns of the key, with the names that ``key_names`` returns.
    - ``misfit``, if there is one.

    Args:
        source: The requests as SQL: the quoted name of a table, or a query in brackets.
        text: The SQL of a request as text.
        key: The columns by which the answers are merged; none if they are not.
        misfit: The SQL of why the output does not take a row, as ``misfit_of`` returns it; None if it takes all rows.
    """
    read = "".join(f"{column_sql(column)} AS {name}, " for column, name in zip(key, key_names(key), strict=True))
    kept = "".join(f"{name}, " for name in key_names(key))
    if misfit is not None:
        read, kept = f"{read}{misfit} AS misfit, ", f"{kept}misfit, "
    return f"""read_requests AS (SELECT {read}{text} AS text FROM {source}),
without_data AS (
  SELECT
    {kept}CHAR_LENGTH(text) > {LONGEST_REQUEST} AS is_long,
    IF(CHAR_LENGTH(text) > {LONGEST_REQUEST}, {_without(_DATA)}, text) AS text
  FROM read_requests
),
without_texts AS (
  SELECT
    {kept}IF(is_long, {_without(_TEXT)}, text) AS text,
    IF(is_long, {_characters("text")}, NULL) AS characters
  FROM without_data
),
short_requests AS (
  SELECT {kept}text, IF(characters IS NULL, 0, characters - {_characters("text")}) AS left_out
  FROM without_texts
)"""


def key_names(key: Sequence[str]) -> list[str]:
    """Return the names of the columns of a key in ``short_requests``, which are not those of its other columns."""
    return [f"key_{number}" for number in range(1, len(key) + 1)]


def _without(pattern: str) -> str:
    return f"REGEXP_REPLACE(text, {string_literal(pattern)}, {string_literal(_INSTEAD)})"


def _characters(text: str) -> str:
    """Return the SQL of the characters of a text of JSON. A text without escape sequences is not copied."""
    without = f"REGEXP_REPLACE({text}, {string_literal(ESCAPES)}, '.')"
    return f"IF(STRPOS({text}, {string_literal(chr(92))}) > 0, CHAR_LENGTH({without}), CHAR_LENGTH({text}))"
