"""Parses scripts: bqemulator's parser, and the statements that it does not know.

Other modules of bqemulator find this parser in its place.
https://cloud.google.com/bigquery/docs/reference/standard-sql/procedural-language
https://cloud.google.com/bigquery/docs/reference/standard-sql/debugging-statements
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bqemulator.domain.errors import InvalidQueryError
from bqemulator.scripting import parser
from bqemulator.scripting.ast import (
    BeginStmt,
    BreakStmt,
    ContinueStmt,
    DeclareStmt,
    ForStmt,
    IfStmt,
    LoopStmt,
    SetStmt,
    Statement,
    WhileStmt,
)
from bqemulator.scripting.parser import Parser, _classify_capture_token

from localcloud.bigquery.queries.scripts.labels import LabelStack, find_labels


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


@dataclass(frozen=True)
class LabelledBody(Statement):
    """The body of a loop with a label, or a block with a label."""

    label: str
    body: tuple[Statement, ...]
    loop: bool


@dataclass(frozen=True)
class JumpStmt(Statement):
    """BREAK or CONTINUE with a label."""

    label: str
    continues: bool


@dataclass(frozen=True)
class SetSystemStmt(Statement):
    """SET of a system variable, whose name is in lower case and has no ``@@``."""

    name: str
    source_expr: str


class ScriptParser(Parser):
    """bqemulator's parser with CASE, REPEAT, ASSERT, labels, and SET of system variables."""

    def __init__(self, source: str) -> None:
        """Parse ``source``."""
        self._labels = find_labels(source)
        self._open = LabelStack()
        super().__init__(self._labels.source)

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
        if self._is_word("ASSERT"):
            return self._parse_assert()
        if self._is_word("SET") and self._cursor.peek().value == "@@":
            return self._parse_set_system()
        if self._is_word("BREAK", "LEAVE", "CONTINUE", "ITERATE"):
            return self._parse_jump()
        if self._is_word("BEGIN", "LOOP", "WHILE", "FOR", "REPEAT"):
            return self._parse_labelled()
        return super()._parse_statement()

    def _parse_labelled(self) -> Statement:
        """Parse a block or a loop, with its label if it has one."""
        if self._is_word("BEGIN") and self._cursor.peek().value.upper() in ("TRANSACTION", ";", ""):
            return self._parse_sql_statement()
        label = self._labels.starts.get(self._cursor.current.start)
        loop = not self._is_word("BEGIN")
        self._open.enter(label, loop=loop)
        parsed = self._parse_repeat() if self._is_word("REPEAT") else super()._parse_statement()
        self._open.leave()
        self._check_end(label)
        if label is None or parsed is None:
            return parsed or BeginStmt((), None)
        if isinstance(parsed, (LoopStmt, WhileStmt, ForStmt, RepeatStmt)):
            return replace(parsed, body=(LabelledBody(label, parsed.body, loop=True),))
        return LabelledBody(label, (parsed,), loop=False)

    def _check_end(self, label: str | None) -> None:
        """Raise ``QueryError`` if the label at the end of a block or a loop is not that at its start."""
        read, at = self._cursor._tokens, self._cursor.pos
        last = read[at - 2] if read[at - 1].value == ";" else read[at - 1]
        found = next((name for place, name in self._labels.ends.items() if last.end <= place < read[at].start), None)
        if found is not None and (label is None or found.lower() != label.lower()):
            expected = "no label" if label is None else label
            raise InvalidQueryError(f"Mismatched end label; expected {expected}, but got {found}")

    def _parse_jump(self) -> Statement:
        word = self._cursor.advance().value.upper()
        label = None
        if self._cursor.current.kind in ("IDENT", "KEYWORD"):
            label = self._read_identifier_value()
        self._consume_optional_semicolon()
        self._open.check_jump(word, label)
        continues = word in ("CONTINUE", "ITERATE")
        if label is not None:
            return JumpStmt(label, continues)
        return ContinueStmt() if continues else BreakStmt()

    def _parse_declare(self) -> DeclareStmt:
        """Parse DECLARE; without a type, the variable has that of its default."""
        first = self._cursor.pos
        while not self._cursor.at_eof() and self._cursor.peek().value == ",":
            self._cursor.advance()
            self._cursor.advance()
        name, following = self._cursor.peek(), self._cursor.peek(2)
        if following.kind == "KEYWORD" and following.value == "DEFAULT" and name.kind in ("IDENT", "KEYWORD"):
            names = tuple(self._cursor._tokens[at].value for at in range(first + 1, self._cursor.pos + 2, 2))
            for _ in range(3):
                self._cursor.advance()
            default = self._capture_expr_until((";",), stop_keywords=())
            self._consume_optional_semicolon()
            return DeclareStmt(names, "ANY", default)
        if following.value == ";":
            raise InvalidQueryError("Syntax error: DECLARE needs a type or a DEFAULT")
        self._cursor._pos = first
        return super()._parse_declare()

    def _parse_set(self) -> SetStmt:
        if (found := self._cursor.peek(2).value) in (".", "["):
            raise InvalidQueryError(f'Syntax error: Expected "=" but got "{found}"; SET assigns a variable as a whole')
        return super()._parse_set()

    def _parse_set_system(self) -> SetSystemStmt:
        self._cursor.advance()
        self._cursor.advance()
        first = self._cursor.pos
        while not self._cursor.at_eof() and self._cursor.current.value != "=":
            self._cursor.advance()
        name = self._cursor.slice(first, self._cursor.pos).lower()
        self._cursor.advance()
        source = self._capture_expr_until((";",), stop_keywords=())
        self._consume_optional_semicolon()
        return SetSystemStmt(name, source)

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
