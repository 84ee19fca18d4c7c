"""Splits GoogleSQL into tokens, to find model statements and ML functions without changing the rest of the text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import sqlglot
from sqlglot import TokenType, exp
from sqlglot.dialects.bigquery import BigQuery
from sqlglot.errors import TokenError

from localcloud.bigquery.base.errors import QueryError

# The words that GoogleSQL's messages call keywords in the statements that are parsed here. Others are identifiers.
_KEYWORDS = frozenset(
    # A list of words reads better than one of strings.
    """ALTER AS BY CONNECTION CREATE DEFAULT DROP EXISTS EXPORT FALSE FROM IF INPUT INTO MODEL NOT NULL OPTIONS OR
    OUTPUT REMOTE REPLACE SELECT SET STRUCT TABLE TEMP TEMPORARY TRANSFORM TRUE WITH""".split()  # noqa: SIM905
)
_STRINGS = frozenset({TokenType.STRING, TokenType.RAW_STRING, TokenType.HEREDOC_STRING})
_BYTES = frozenset({TokenType.BYTE_STRING, TokenType.HEX_STRING})


class _Dialect(BigQuery):
    """sqlglot's dialect, but with the tokens of statements that sqlglot does not parse, such as ``BEGIN f(); END``.

    sqlglot reads what follows their first word as one string.
    """

    class Tokenizer(BigQuery.Tokenizer):
        """The tokenizer."""

        COMMANDS: ClassVar[set[TokenType]] = set()


@dataclass(frozen=True)
class Token:
    """One token.

    Attributes:
        kind: ``word``, ``quoted`` (an identifier in backticks), ``string``, ``bytes``, ``number`` or ``symbol``.
        text: The word as written, or the value of a string without its quotes.
        start: The offset of its first character.
        end: The offset after its last character.
    """

    kind: str
    text: str
    start: int
    end: int

    def is_word(self, *words: str) -> bool:
        """Return whether the token is one of ``words``, which are in upper case."""
        return self.kind == "word" and self.text.upper() in words

    def is_symbol(self, *symbols: str) -> bool:
        """Return whether the token is one of ``symbols``."""
        return self.kind == "symbol" and self.text in symbols

    def named(self) -> str:
        """Return the token as in GoogleSQL's syntax errors."""
        match self.kind:
            case "word" if self.text.upper() in _KEYWORDS:
                return f"keyword {self.text.upper()}"
            case "word":
                return f'identifier "{self.text}"'
            case "quoted":
                return f"identifier `{self.text}`"
            case "string":
                return f"string literal '{self.text}'"
            case "bytes":
                return f"bytes literal '{self.text}'"
            case "number":
                kind = "integer" if self.text.isdigit() else "floating point"
                return f'{kind} literal "{self.text}"'
            case _:
                return f'"{self.text}"'


@lru_cache(maxsize=256)
def tokens(sql: str) -> tuple[Token, ...]:
    """Return the tokens of ``sql``, without comments.

    Raises:
        QueryError: A string, an identifier or a comment is not closed.
    """
    try:
        found = _Dialect().tokenize(sql)
    except TokenError as error:
        raise QueryError("Syntax error: Unclosed string literal, identifier or comment", location="query") from error
    return tuple(_tokens(sql, found))


def readable_tokens(sql: str) -> tuple[Token, ...]:
    """Return the tokens of ``sql``; none if a string, an identifier or a comment is not closed, which the parser reports."""
    try:
        return tokens(sql)
    except QueryError:
        return ()


def parsed(sql: str) -> exp.Expr | None:
    """Return the tree of one statement of GoogleSQL; None if sqlglot cannot parse it, whose error is reported later."""
    try:
        return sqlglot.parse_one(sql, read="bigquery")
    except Exception:  # sqlglot raises many kinds, also for functions that it does not know
        return None


def _tokens(sql: str, found: list[sqlglot.Token]) -> Iterator[Token]:
    for token in found:
        start, end = token.start, token.end + 1
        written = sql[start:end]
        match token.token_type:
            case TokenType.IDENTIFIER:
                kind = "quoted"
            case kind_of_token if kind_of_token in _STRINGS:
                kind = "string"
            case kind_of_token if kind_of_token in _BYTES:
                kind = "bytes"
            case TokenType.NUMBER:
                kind = "number"
            case _:
                kind = "word" if written[:1].isalpha() or written[:1] == "_" else "symbol"
        # A token of sqlglot may be several words ("GROUP BY") or a word with a symbol, which does no harm here.
        yield Token(kind, token.text if kind in ("quoted", "string", "bytes") else written, start, end)


def bracket_pairs(found: tuple[Token, ...]) -> dict[int, int]:
    """Return the index of the matching bracket for each opening and closing bracket."""
    pairs: dict[int, int] = {}
    open_indexes: list[int] = []
    for index, token in enumerate(found):
        if token.is_symbol("(", "[", "{"):
            open_indexes.append(index)
        elif token.is_symbol(")", "]", "}") and open_indexes:
            pairs[index] = open_indexes.pop()
            pairs[pairs[index]] = index
    return pairs


def without_comments(sql: str) -> str:
    """Return ``sql`` with a space in place of each comment."""
    pieces, at = [], 0
    for token in tokens(sql):
        between = sql[at : token.start]
        pieces += [" " if between.strip() else between, sql[token.start : token.end]]
        at = token.end
    return "".join(pieces)


def without_tail(sql: str) -> str:
    """Return ``sql`` without what follows its last semicolon, if those are only comments.

    sqlglot takes them for a second statement.
    """
    if ";" not in sql or sql.rstrip().endswith(";"):
        return sql
    found = readable_tokens(sql)
    return sql[: found[-1].end] if found and found[-1].is_symbol(";") else sql


def position(sql: str, offset: int) -> str:
    """Return ``[line:column]`` of an offset, both counted from 1, as in BigQuery's messages."""
    before = sql[:offset]
    line = before.count("\n") + 1
    return f"[{line}:{offset - (before.rfind(chr(10)) + 1) + 1}]"


def syntax_error(sql: str, what: str, offset: int) -> QueryError:
    """Return the syntax error ``what`` at an offset of ``sql``."""
    return QueryError(f"Syntax error: {what} at {position(sql, offset)}", location="query")


class Cursor:
    """Walks over the tokens of one statement."""

    def __init__(self, sql: str, start: int = 0, end: int | None = None) -> None:
        """Walk over the tokens from index ``start`` to index ``end``, or to the last token."""
        self.sql = sql
        self.all = tokens(sql)
        self.index = start
        self.limit = len(self.all) if end is None else end

    def peek(self, ahead: int = 0) -> Token | None:
        """Return the current token or one ``ahead`` of it, or None after the last."""
        index = self.index + ahead
        return self.all[index] if index < self.limit else None

    def take(self) -> Token:
        """Return the current token and move to the next. Raises ``QueryError`` after the last token."""
        token = self.peek()
        if token is None:
            raise syntax_error(self.sql, "Unexpected end of statement", len(self.sql.rstrip()))
        self.index += 1
        return token

    def take_words(self, *words: str) -> bool:
        """Skip ``words`` if all of them follow; return whether they do."""
        for ahead, word in enumerate(words):
            token = self.peek(ahead)
            if token is None or not token.is_word(word):
                return False
        self.index += len(words)
        return True

    def take_symbol(self, symbol: str) -> bool:
        """Skip the symbol if it follows; return whether it does."""
        token = self.peek()
        if token is None or not token.is_symbol(symbol):
            return False
        self.index += 1
        return True

    def expect_symbol(self, symbol: str) -> Token:
        """Return the next token. Raises ``QueryError`` if it is not ``symbol``."""
        token = self.peek()
        if token is None or not token.is_symbol(symbol):
            raise self.expected(f'"{symbol}"')
        self.index += 1
        return token

    def expect_word(self, word: str) -> Token:
        """Return the next token. Raises ``QueryError`` if it is not ``word``."""
        token = self.peek()
        if token is None or not token.is_word(word):
            raise self.expected(f"keyword {word}")
        self.index += 1
        return token

    def expect_end(self) -> None:
        """Raise ``QueryError`` if anything but a semicolon follows."""
        self.take_symbol(";")
        if self.peek() is not None:
            raise self.expected("end of input")

    def expected(self, what: str) -> QueryError:
        """Return the syntax error that ``what`` was expected instead of the current token."""
        token = self.peek()
        found = "end of statement" if token is None else token.named()
        offset = len(self.sql.rstrip()) if token is None else token.start
        return syntax_error(self.sql, f"Expected {what} but got {found}", offset)

    def take_path(self) -> tuple[tuple[str, ...], Token]:
        """Return the parts of a name such as ``project.dataset.model``, and the first token of the name.

        The parts may be in backticks, one by one or together, and the project may contain hyphens.
        """
        first = self.peek()
        if first is None:
            raise syntax_error(self.sql, "Unexpected end of statement", len(self.sql.rstrip()))
        parts: list[str] = []
        while True:
            token = self.take()
            if token.kind == "quoted":
                parts.extend(token.text.split("."))
            elif token.kind == "word":
                parts.append(token.text + self._hyphenated(token))
            else:
                raise syntax_error(self.sql, f"Unexpected {token.named()}", token.start)
            if not self.take_symbol("."):
                return tuple(parts), first

    def _hyphenated(self, word: Token) -> str:
        text, end = "", word.end
        while (dash := self.peek()) and dash.is_symbol("-") and dash.start == end:
            part = self.peek(1)
            if part is None or part.kind not in ("word", "number") or part.start != dash.end:
                break
            text += "-" + part.text
            end = part.end
            self.index += 2
        return text

    def skip_group(self) -> tuple[int, int]:
        """Skip a group in brackets; return the start and end offsets of its content."""
        opening = self.take()
        depth = 1
        while depth:
            token = self.peek()
            if token is None:
                raise self.expected('")"')
            self.index += 1
            if token.is_symbol("(", "[", "{"):
                depth += 1
            elif token.is_symbol(")", "]", "}"):
                depth -= 1
        return opening.end, self.all[self.index - 1].start


def paths(sql: str) -> Iterator[tuple[tuple[str, ...], int, int]]:
    """Yield the parts of each name in a statement, and where the name starts and ends in the text."""
    found = readable_tokens(sql)
    index = 0
    while index < len(found):
        if found[index].kind not in ("word", "quoted"):
            index += 1
            continue
        cursor = Cursor(sql, index)
        parts, first = cursor.take_path()
        index = cursor.index
        yield parts, first.start, found[index - 1].end
