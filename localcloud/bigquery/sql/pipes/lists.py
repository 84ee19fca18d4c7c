"""Parts of the text of a pipe operator: lists, aliases and the names of tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from localcloud.bigquery.sql.reading.names import RESERVED
from localcloud.bigquery.sql.reading.tokens import Token, bracket_pairs

_NAMES = ("word", "quoted")
# A table ends before one of these words.
_AFTER_A_TABLE = ("ON", "USING", "TABLESAMPLE", "FOR", "PIVOT", "UNPIVOT", "WITH")
_JOIN_WORDS = ("LEFT", "RIGHT", "FULL", "INNER", "OUTER", "CROSS", "NATURAL", "JOIN", "PIVOT", "UNPIVOT")


@dataclass(frozen=True)
class Part:
    """A part of a statement.

    Attributes:
        sql: The statement.
        tokens: The tokens of the part.
    """

    sql: str
    tokens: tuple[Token, ...]

    @property
    def text(self) -> str:
        """The text of the part."""
        return self.sql[self.tokens[0].start : self.tokens[-1].end] if self.tokens else ""

    def after(self, number: int) -> Part:
        """Return the part behind its first tokens."""
        return Part(self.sql, self.tokens[number:])

    def has(self, *words: str) -> bool:
        """Return whether a word is outside brackets."""
        return any(self.tokens[index].is_word(*words) for index in self._outside())

    def split_at(self, *texts: str) -> tuple[Part, Part | None]:
        """Return what is before the first of some words or symbols outside brackets, and the rest from there on."""
        for index in self._outside():
            token = self.tokens[index]
            if token.is_word(*texts) or token.is_symbol(*texts):
                return Part(self.sql, self.tokens[:index]), self.after(index)
        return self, None

    def items(self) -> list[Part]:
        """Return the items of a list with commas; a comma at the end ends no item."""
        found: list[Part] = []
        rest: Part | None = self
        while rest is not None and rest.tokens:
            item, rest = rest.split_at(",")
            found.append(item)
            rest = None if rest is None else rest.after(1)
        return found

    def aliased(self) -> tuple[Part, str]:
        """Return an expression and its alias, which is empty if there is none."""
        if len(self.tokens) < 2 or self.tokens[-1].kind not in _NAMES:
            return self, ""
        before, last = self.tokens[-2], self.tokens[-1]
        alias = self.sql[last.start : last.end]
        if before.is_word("AS"):
            return Part(self.sql, self.tokens[:-2]), alias
        ends = before.is_symbol(")", "]") or (before.kind != "symbol" and RESERVED.fullmatch(before.text) is None)
        if not ends or (last.kind == "word" and RESERVED.fullmatch(last.text)):
            return self, ""
        return Part(self.sql, self.tokens[:-1]), alias

    def without_order(self) -> tuple[Part, str]:
        """Return an expression without ASC, DESC and what follows them, and these words."""
        for index in range(max(len(self.tokens) - 3, 1), len(self.tokens)):
            if self.tokens[index].is_word("ASC", "DESC"):
                return Part(self.sql, self.tokens[:index]), f" {self.after(index).text}"
        return self, ""

    def before_last_group(self) -> tuple[str, str]:
        """Return the words before the brackets at the end, and these brackets with what is in them."""
        opening = bracket_pairs(self.tokens).get(len(self.tokens) - 1, len(self.tokens))
        return Part(self.sql, self.tokens[:opening]).text, self.after(opening).text

    def names(self) -> Iterator[str]:
        """Yield the expressions that the brackets of GROUPING SETS, ROLLUP or CUBE list."""
        opening = next((index for index, token in enumerate(self.tokens) if token.is_symbol("(")), None)
        if opening is None or (opening and not self.tokens[opening - 1].is_word("GROUPING SETS", "ROLLUP", "CUBE")):
            if self.tokens:
                yield self.text
            return
        for each in Part(self.sql, self.tokens[opening + 1 : -1]).items():
            yield from each.names()

    def _outside(self) -> Iterator[int]:
        """Yield the indexes of the tokens outside brackets."""
        pairs = bracket_pairs(self.tokens)
        index = 0
        while index < len(self.tokens):
            yield index
            index = max(pairs.get(index, index), index) + 1


def tables_of(part: Part) -> list[str]:
    """Return the names and aliases of the tables of a FROM clause or a JOIN, in lower case."""
    found: list[str] = []
    for item in part.items():
        rest: Part | None = item
        while rest is not None and rest.tokens:
            table, rest = rest.split_at("JOIN")
            rest = None if rest is None else rest.after(1)
            found += _table(table)
    return found


def _table(part: Part) -> list[str]:
    part = (
        part.split_at(*_AFTER_A_TABLE)[0] if not part.tokens[:1] or not part.tokens[0].is_word(*_JOIN_WORDS) else part
    )
    while part.tokens and part.tokens[-1].is_word(*_JOIN_WORDS):
        part = Part(part.sql, part.tokens[:-1])
    if not part.tokens or part.tokens[0].is_word("UNNEST") or part.tokens[-1].kind not in _NAMES:
        return []
    return [part.tokens[-1].text.rpartition(".")[2].lower()]
