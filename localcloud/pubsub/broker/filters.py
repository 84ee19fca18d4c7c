"""The filter language of subscriptions, which selects messages by their attributes.

    filter     = condition { "AND" condition } | condition { "OR" condition }
    condition  = [ "NOT" | "-" ] ( "(" filter ")" | comparison )
    comparison = "attributes" ":" key
               | "attributes" "." key ( "=" | "!=" ) string
               | "hasPrefix" "(" "attributes" "." key "," string ")"
    key        = word | string

A string is in double quotes and may have escapes: of single characters, Unicode, hexadecimal and octal ones.
https://cloud.google.com/pubsub/docs/subscription-message-filter
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from localcloud.pubsub.errors import InvalidArgument

Filter = Callable[[Mapping[str, str]], bool]
"""Returns whether a message with these attributes passes."""

MAXIMUM_LENGTH = 256
_HEX = "[0-9a-fA-F]"
_ESCAPE = re.compile(rf"\\(?:x({_HEX}{{2}})|u({_HEX}{{4}})|U({_HEX}{{8}})|([0-3][0-7]{{2}})|(.))", re.DOTALL)
_OF_ONE_CHARACTER = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"} | {
    character: character for character in "\\\"'?`"
}
TOKEN = re.compile(r'\s*(?:(?P<string>"(?:[^"\\]|\\.)*")|(?P<word>\w[\w-]*)|(?P<sign>!=|[()=:.,-]))')


def parse_filter(text: str) -> Filter:
    """Compile a filter; the empty filter accepts every message. Raises ``InvalidArgument``."""
    if not text.strip():
        return lambda attributes: True
    if len(text.encode()) > MAXIMUM_LENGTH:
        raise InvalidArgument(f"The filter is longer than {MAXIMUM_LENGTH} bytes.")
    parser = _Parser(text)
    accepts = parser.parse_filter()
    parser.expect_end()
    return accepts


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._split(text)

    def parse_filter(self) -> Filter:
        conditions = [self._parse_condition()]
        operator = self._next if self._next in ("AND", "OR") else ""
        while operator and self._next == operator:
            self._take()
            conditions.append(self._parse_condition())
        if self._next in ("AND", "OR"):
            raise self._wrong("AND and OR need parentheses to be combined")
        if operator == "OR":
            return lambda attributes: any(condition(attributes) for condition in conditions)
        return lambda attributes: all(condition(attributes) for condition in conditions)

    def expect_end(self) -> None:
        if self._next:
            raise self._wrong(f"unexpected {self._next}")

    def _parse_condition(self) -> Filter:
        match self._take():
            case "NOT" | "-":
                condition = self._parse_condition()
                return lambda attributes: not condition(attributes)
            case "(":
                condition = self.parse_filter()
                self._expect(")")
                return condition
            case "hasPrefix":
                self._expect("(")
                self._expect("attributes")
                self._expect(".")
                key = self._take_key()
                self._expect(",")
                prefix = self._take_string()
                self._expect(")")
                return lambda attributes: attributes.get(key, "").startswith(prefix) and key in attributes
            case "attributes":
                return self._parse_comparison()
            case other:
                raise self._wrong(f"unexpected {other or 'end'}")

    def _parse_comparison(self) -> Filter:
        if self._take() == ":":
            present = self._take_key()
            return lambda attributes: present in attributes
        key = self._take_key()
        match self._take():
            case "=":
                value = self._take_string()
                return lambda attributes: attributes.get(key) == value
            case "!=":
                value = self._take_string()
                return lambda attributes: attributes.get(key) != value
            case other:
                raise self._wrong(f"unexpected {other or 'end'} after attributes.{key}")

    @property
    def _next(self) -> str:
        return self._tokens[0] if self._tokens else ""

    def _take(self) -> str:
        return self._tokens.pop(0) if self._tokens else ""

    def _take_key(self) -> str:
        if self._next.startswith('"'):
            return self._take_string()
        token = self._take()
        if not token or not re.match(r"\w", token):
            raise self._wrong(f"unexpected {token or 'end'}")
        return token

    def _take_string(self) -> str:
        token = self._take()
        if not token.startswith('"'):
            raise self._wrong(f"expected a string in double quotes, found {token or 'end'}")
        try:
            # The two halves of a surrogate pair become one character.
            text = _ESCAPE.sub(_unescaped, token[1:-1])
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except ValueError:
            raise self._wrong(f"unknown escape in {token}") from None

    def _expect(self, token: str) -> None:
        found = self._take()
        if found != token:
            raise self._wrong(f"expected {token}, found {found or 'end'}")

    def _wrong(self, why: str) -> InvalidArgument:
        return InvalidArgument(f"Invalid filter {self._text!r}: {why}.")

    def _split(self, text: str) -> list[str]:
        tokens: list[str] = []
        position = 0
        while position < len(text.rstrip()):
            match = TOKEN.match(text, position)
            if match is None:
                raise self._wrong(f"cannot read {text[position:]!r}")
            tokens.append(match.group().strip())
            position = match.end()
        return tokens


def _unescaped(escape: re.Match[str]) -> str:
    """Return the character that an escape stands for. Raises ``ValueError`` if there is no such escape."""
    *hexadecimal, octal, single = escape.groups()
    for digits, base in (*((digits, 16) for digits in hexadecimal), (octal, 8)):
        if digits:
            return chr(int(digits, base))
    if single not in _OF_ONE_CHARACTER:
        raise ValueError
    return _OF_ONE_CHARACTER[single]
