"""Finds the labels of blocks and loops, which bqemulator's lexer does not read.

https://cloud.google.com/bigquery/docs/reference/standard-sql/procedural-language#labels
"""

from __future__ import annotations

from dataclasses import dataclass

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.reading.tokens import Token, readable_tokens

_LABELLED = ("BEGIN", "FOR", "LOOP", "REPEAT", "WHILE")
_LOOPS = ("FOR", "LOOP", "REPEAT", "WHILE")


@dataclass(frozen=True)
class Labels:
    """The labels of a script.

    Attributes:
        source: The script with spaces in place of its labels, so that offsets remain.
        starts: The labels by the offsets of the keywords that follow them.
        ends: The labels behind the END of blocks and loops, by their offsets.
    """

    source: str
    starts: dict[int, str]
    ends: dict[int, str]


def find_labels(source: str) -> Labels:
    """Return the labels of a script."""
    found = readable_tokens(source) if ":" in source else ()
    blanked: list[Token] = []
    starts: dict[int, str] = {}
    for name, colon, keyword in zip(found, found[1:], found[2:], strict=False):
        if name.kind in ("word", "quoted") and colon.is_symbol(":") and keyword.is_word(*_LABELLED):
            starts[keyword.start] = name.text
            blanked += [name, colon]
    ends: dict[int, str] = {}
    for index, token in enumerate(found if starts else ()):
        if not token.is_word("END") or index + 1 >= len(found):
            continue
        place = index + 2 if found[index + 1].is_word(*_LOOPS) else index + 1
        label = found[place] if place < len(found) else None
        known = label is not None and label.text.lower() in {each.lower() for each in starts.values()}
        ends_statement = place + 1 >= len(found) or found[place + 1].is_symbol(";")
        if label is not None and (known or place == index + 2) and label.kind in ("word", "quoted") and ends_statement:
            ends[label.start] = label.text
            blanked.append(label)
    for token in blanked:
        source = source[: token.start] + " " * (token.end - token.start) + source[token.end :]
    return Labels(source, starts, ends)


class LabelStack:
    """The blocks and loops around the statement that is parsed."""

    def __init__(self) -> None:
        """Start outside of all blocks and loops."""
        self._open: list[tuple[str | None, bool]] = []

    def enter(self, label: str | None, *, loop: bool) -> None:
        """Enter a block or a loop. Raises ``QueryError`` if its label is that of one around it."""
        if label is not None and any(label.lower() == (other or "").lower() for other, _ in self._open):
            raise QueryError(f"Duplicate label {label} is already used around this statement", location="query")
        self._open.append((label, loop))

    def leave(self) -> None:
        """Leave the innermost block or loop."""
        self._open.pop()

    def check_jump(self, statement: str, label: str | None) -> None:
        """Raise ``QueryError`` if BREAK or CONTINUE has nothing to end or to repeat."""
        continues = statement in ("CONTINUE", "ITERATE")
        if label is None:
            if not any(loop for _, loop in self._open):
                raise QueryError(f"{statement} is only allowed inside of a loop body", location="query")
            return
        found = next((loop for other, loop in self._open if label.lower() == (other or "").lower()), None)
        if found is None:
            raise QueryError(f"Undefined label: {label}", location="query")
        if continues and not found:
            raise QueryError(f"{statement} cannot use the label {label}, which is not that of a loop", location="query")
