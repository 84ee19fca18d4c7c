"""Parses scripts: bqemulator's parser, and the statements that it does not know.

Other modules of bqemulator find this parser in its place.
https://cloud.google.com/bigquery/docs/reference/standard-sql/procedural-language
https://cloud.google.com/bigquery/docs/reference/standard-sql/debugging-statements
"""

from __future__ import annotations

from dataclasses import dataclass

from bqemulator.domain.errors import InvalidQueryError
from bqemulator.scripting import parser
from bqemulator.scripting.ast import DeclareStmt, IfStmt, Statement
from bqemulator.scripting.parser import Parser, _classify_capture_token


@dataclass(frozen=True)
class RepeatStmt(Statement):
    """REPEAT ... UNTIL condition END REPEAT."""

    body: tuple[Statement, ...]
    condition_expr: str


@dataclass(frozen=True)
class AssertStmt(Statement):
    """ASSERT condition [AS message], whose message is a literal, or None."""

    condition_expr: str
    message_expr: str | None


class ScriptParser(Parser):
    """bqemulator's parser with CASE, REPEAT and ASSERT."""

    def _parse_statements(self, stop_keywords: tuple[str, ...]) -> list[Statement]:
        statements: list[Statement] = []
        while not self._cursor.at_eof() and not self._is_word(*stop_keywords):
            statement = self._parse_statement()
            if statement is None:
                continue
            if isinstance(statement, DeclareStmt) and not all(isinstance(each, DeclareStmt) for each in statements):
                raise InvalidQueryError("Variable declarations are allowed only at the start of a block or script")
            statements.append(statement)
        return statements

    def _parse_statement(self) -> Statement | None:
        if self._is_word("CASE"):
            return self._parse_case()
        if self._is_word("REPEAT"):
            return self._parse_repeat()
        if self._is_word("ASSERT"):
            return self._parse_assert()
        if self._is_word("SET") and self._cursor.peek().value == "@@":
            raise InvalidQueryError("SET of a system variable is not supported by the local BigQuery")
        return super()._parse_statement()

    def _parse_case(self) -> IfStmt:
        self._cursor.advance()
        searched = self._capture_expr_until((), stop_keywords=("WHEN",))
        branches = []
        while self._is_word("WHEN"):
            self._cursor.advance()
            condition = self._capture_expr_until((), stop_keywords=("THEN",))
            self._cursor.expect_keyword("THEN")
            body = self._parse_statements(("WHEN", "ELSE", "END"))
            branches.append((f"({searched}) = ({condition})" if searched else condition, tuple(body)))
        otherwise = None
        if self._is_word("ELSE"):
            self._cursor.advance()
            otherwise = tuple(self._parse_statements(("END",)))
        self._expect("END", "CASE")
        return IfStmt(branches=tuple(branches), else_body=otherwise)

    def _parse_repeat(self) -> RepeatStmt:
        self._cursor.advance()
        body = self._parse_statements(("UNTIL",))
        self._cursor.advance()
        condition = self._capture_expr_until((), stop_keywords=("END",))
        self._expect("END", "REPEAT")
        return RepeatStmt(tuple(body), condition)

    def _parse_assert(self) -> AssertStmt:
        self._cursor.advance()
        condition = self._capture_expr_until((";",), stop_keywords=("AS",))
        message = None
        if self._is_word("AS"):
            self._cursor.advance()
            message = self._capture_expr_until((";",), stop_keywords=())
        self._consume_optional_semicolon()
        return AssertStmt(condition, message)

    def _capture_balanced_block(self) -> str:
        """Return the body of a procedure: a block if it has a handler, and the statements of the block otherwise."""
        first = self._cursor._pos = self._cursor.pos - 1
        block = self._parse_begin()
        last = self._cursor.pos - 1
        while self._cursor._tokens[last].value.upper() != "END":
            last -= 1
        return self._cursor.slice(first, last + 1) if block.exception_handler else self._cursor.slice(first + 1, last)

    def _capture_expr_until(self, stop_puncts: tuple[str, ...], *, stop_keywords: tuple[str, ...]) -> str:
        """Return the text up to one of the stops outside of brackets and of CASE expressions."""
        start, depth, cases = self._cursor.pos, 0, 0
        while not self._cursor.at_eof():
            change, ends = _classify_capture_token(self._cursor.current, depth + cases, stop_puncts, stop_keywords)
            if ends:
                break
            depth += change
            cases += self._is_word("CASE") - (cases > 0 and self._is_word("END"))
            self._cursor.advance()
        return self._cursor.slice(start, self._cursor.pos)

    def _is_word(self, *words: str) -> bool:
        token = self._cursor.current
        return token.kind in ("KEYWORD", "IDENT") and token.value.upper() in words

    def _expect(self, *words: str) -> None:
        for word in words:
            if not self._is_word(word):
                raise InvalidQueryError(f"Syntax error: Expected keyword {word} but got {self._cursor.current.value!r}")
            self._cursor.advance()
        self._consume_optional_semicolon()


parser.Parser = ScriptParser  # type: ignore[misc]
