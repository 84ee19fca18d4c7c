"""Names the fields of STRUCTs as GoogleSQL does, which sqlglot and DuckDB do not.

- A field without AS has the name of its column: ``STRUCT(t.id, 1 AS n)`` has the fields ``id`` and ``n``.
- The first element of an array gives the names to the others: ``[STRUCT(1 AS id), (2)]``.
- A type in front of its values, or in a cast, may leave out names: ``STRUCT<INT64, STRING>(1, 'a')`` has ``_field_1`` and
  ``_field_2``.
https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#constructing_a_struct
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from localcloud.bigquery.sql.reading.draft import Draft
from localcloud.bigquery.sql.reading.tokens import Token, bracket_pairs, readable_tokens

_MAY_CONCERN = re.compile(r"\bSTRUCT\s*[(<]", re.IGNORECASE)
# A STRUCT beside one of these is compared by position, with another one whose fields may have other names.
_COMPARES = frozenset({"=", "!=", "<>", "<", ">", "<=", ">=", "IN", "NOT"})
# In these statements a STRUCT gets the names of its target by position.
_BY_POSITION = frozenset({"INSERT", "MERGE", "UPDATE"})


@dataclass(frozen=True)
class _Field:
    """A field of a STRUCT: the indexes of its first token and after its last one, without AS and the name."""

    first: int
    last: int
    name: str | None
    explicit: bool


def name_fields(draft: Draft) -> None:
    """Give the STRUCTs of GoogleSQL the names of their fields."""
    sql = draft.text
    if _MAY_CONCERN.search(sql) is None:
        return
    found = readable_tokens(sql)
    pairs = bracket_pairs(found)
    by_position = bool(found) and found[0].text.upper() in _BY_POSITION
    edits: dict[int, str] = {}
    for index, token in enumerate(found):
        opening = found[index + 1] if index + 1 < len(found) else None
        if token.is_word("ARRAY", "STRUCT") and opening is not None and opening.is_symbol("<"):
            _name_type(found, index + 1, edits)
        elif token.is_symbol("["):
            _name_elements(found, pairs, index, edits)
        elif token.is_word("STRUCT") and opening is not None and opening.is_symbol("(") and not by_position:
            if index + 1 not in pairs or _is_compared(found, index, pairs[index + 1]):
                continue
            _name_struct(_fields(found, pairs, index + 1), found, edits)
    for offset in sorted(edits, reverse=True):
        sql = sql[:offset] + edits[offset] + sql[offset:]
    if edits:
        draft.text = sql


def _name_type(found: tuple[Token, ...], opening: int, edits: dict[int, str]) -> None:
    """Add names to the fields of the STRUCTs in a type of values or of a cast; ``opening`` is the index of its ``<``."""
    named: dict[int, str] = {}
    # The number of the field at each depth; None in an ARRAY, and in brackets such as those of NUMERIC(10, 2).
    numbers: list[int | None] = []
    for at in range(opening, len(found) - 1):
        token = found[at]
        if token.is_symbol("<", "("):
            numbers.append(0 if token.is_symbol("<") and found[at - 1].is_word("STRUCT") else None)
        elif token.is_symbol(">", ")"):
            numbers.pop()
        if not numbers:
            if found[at + 1].is_symbol("(", "[") or found[opening - 2].is_word("AS"):
                edits.update(named)
            return
        if token.is_symbol("<", ",") and (number := numbers[-1]) is not None:
            numbers[-1] = number + 1
            # After a name comes a type, after a type without a name one of these.
            if at + 2 < len(found) and found[at + 2].is_symbol(",", "<", ">", "("):
                named[token.end] = f"`_field_{number + 1}` "


def _is_compared(found: tuple[Token, ...], index: int, closing: int) -> bool:
    beside = [found[at].text.upper() for at in (index - 1, closing + 1) if 0 <= at < len(found)]
    return any(text in _COMPARES for text in beside)


def _fields(found: tuple[Token, ...], pairs: dict[int, int], opening: int) -> list[_Field]:
    """Return the fields between two brackets."""
    closing = pairs.get(opening, opening)
    fields = []
    first = index = opening + 1
    while index <= closing:
        token = found[index]
        if token.is_symbol(",") or index == closing:
            if index > first:
                fields.append(_field(found, first, index))
            first = index + 1
        elif token.is_symbol("(", "[", "{"):
            index = pairs.get(index, index)
        index += 1
    return fields


def _field(found: tuple[Token, ...], first: int, last: int) -> _Field:
    if last - first > 2 and found[last - 2].is_word("AS"):
        return _Field(first, last - 2, found[last - 1].text, explicit=True)
    parts = found[first:last]
    is_path = len(parts) % 2 == 1 and all(
        part.is_symbol(".") if at % 2 else part.kind in ("word", "quoted") for at, part in enumerate(parts)
    )
    literal = len(parts) == 1 and parts[0].is_word("NULL", "TRUE", "FALSE")
    return _Field(first, last, parts[-1].text if is_path and not literal else None, explicit=False)


def _name_struct(fields: list[_Field], found: tuple[Token, ...], edits: dict[int, str]) -> None:
    """Add names to the fields of a STRUCT, unless none has one."""
    if not any(field.name for field in fields):
        return
    for number, field in enumerate(fields, 1):
        if not field.explicit:
            edits.setdefault(found[field.last - 1].end, f" AS `{field.name or f'_field_{number}'}`")


def _name_elements(found: tuple[Token, ...], pairs: dict[int, int], opening: int, edits: dict[int, str]) -> None:
    """Give the names of an array's first element to the others, which may be tuples."""
    elements = _fields(found, pairs, opening)
    if len(elements) < 2 or not found[elements[0].first].is_word("STRUCT"):
        return
    brackets = []
    for element in elements:
        at = element.first + found[element.first].is_word("STRUCT")
        if not found[at].is_symbol("(") or pairs.get(at) != element.last - 1:
            return
        brackets.append(at)
    names = [field.name for field in _fields(found, pairs, brackets[0])]
    if None in names:
        return
    for at in brackets[1:]:
        fields = _fields(found, pairs, at)
        if len(fields) != len(names) or any(field.explicit for field in fields):
            continue
        if not found[at - 1].is_word("STRUCT"):
            edits[found[at].start] = "STRUCT"
        for name, field in zip(names, fields, strict=True):
            edits[found[field.last - 1].end] = f" AS `{name}`"
