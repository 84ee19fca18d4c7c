"""The filter language of list calls: comparisons of fields, joined by AND, OR and NOT.

As in https://google.aip.dev/160, OR binds tighter than AND, and adjacent comparisons are joined by AND. The fields and
operators are documented at ``ListBatchPredictionJobsRequest.filter`` of the Vertex AI API.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from localcloud.vertex.base.errors import RequestError

Resource = Mapping[str, Any]
Predicate = Callable[[Resource], bool]

ORDERINGS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

TOKEN = re.compile(
    r"""\s*(?:
        (?P<open>\() | (?P<close>\))
      | (?P<word>AND|OR|NOT)(?![\w.])
      | (?P<minus>-)
      | (?P<comparison>
            (?P<field>[a-zA-Z_]\w*(?:\.(?:"[^"]*"|[\w-]+))*) \s*
            (?P<operator>!=|<=|>=|=|<|>|:) \s*
            (?P<value>"(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' | [^\s()"']+)
        )
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Field:
    """A field that a filter can compare.

    Attributes:
        path: The name of the field in the resource.
        operators: The supported operators.
        parse: Converts both sides before they are compared. Raises ``ValueError``.
    """

    path: str
    operators: frozenset[str]
    parse: Callable[[str], Any] = str


def parse_moment(text: str) -> datetime:
    """Parse a time in RFC 3339. Raises ``ValueError``, also without a time zone."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return moment


EQUALITY = frozenset({"=", "!="})
WILDCARD = EQUALITY | {":"}
ORDER = frozenset(ORDERINGS)


def compile_filter(text: str, fields: Mapping[str, Field]) -> Predicate:
    """Compile a filter into a predicate of resources; an empty filter matches every resource.

    Args:
        text: The filter.
        fields: The fields that a filter can compare, by name in snake_case. A filter may also use camelCase, and can
            always compare ``labels``.

    Raises:
        RequestError: INVALID_ARGUMENT, with the error in the filter.
    """
    if not text.strip():
        return lambda _: True
    return _Parser(text, fields).parse()


class _Parser:
    def __init__(self, text: str, fields: Mapping[str, Field]) -> None:
        self._fields = fields
        self._text = text
        self._tokens = list(self._read())
        self._position = 0

    def parse(self) -> Predicate:
        predicate = self._all()
        if self._position < len(self._tokens):
            raise self._invalid("unexpected closing parenthesis")
        return predicate

    def _read(self) -> Iterator[re.Match[str]]:
        position = 0
        end = len(self._text.rstrip())
        while position < end:
            match = TOKEN.match(self._text, position)
            if match is None:
                raise self._invalid(f"cannot read {self._text[position:].strip()[:40]!r}")
            yield match
            position = match.end()

    def _peek(self) -> str:
        """Return the kind of the next token: ``open``, ``close``, ``AND``, ``OR``, ``NOT``, ``comparison``, ``end``."""
        if self._position >= len(self._tokens):
            return "end"
        match = self._tokens[self._position]
        return match["word"] or ("NOT" if match["minus"] else str(match.lastgroup))

    def _all(self) -> Predicate:
        parts = [self._any()]
        while self._peek() not in ("end", "close"):
            if self._peek() == "AND":
                self._position += 1
            parts.append(self._any())
        return lambda resource: all(part(resource) for part in parts)

    def _any(self) -> Predicate:
        parts = [self._one()]
        while self._peek() == "OR":
            self._position += 1
            parts.append(self._one())
        return lambda resource: any(part(resource) for part in parts)

    def _one(self) -> Predicate:
        kind = self._peek()
        match kind:
            case "NOT":
                self._position += 1
                refused = self._one()
                return lambda resource: not refused(resource)
            case "open":
                self._position += 1
                inner = self._all()
                if self._peek() != "close":
                    raise self._invalid("a parenthesis is not closed")
                self._position += 1
                return inner
            case "end" | "close" | "AND" | "OR":
                raise self._invalid("a comparison is missing")
            case _:
                token = self._tokens[self._position]
                self._position += 1
                return self._comparison(token["field"], token["operator"], _unquote(token["value"]))

    def _comparison(self, name: str, sign: str, value: str) -> Predicate:
        if name == "labels" and sign == ":":
            return self._label(value, sign, "*")
        if name.startswith("labels."):
            return self._label(name.removeprefix("labels.").strip('"'), sign, value)
        field = self._fields.get(re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", name))
        if field is None:
            raise self._invalid(f"no such field: {name}")
        if sign not in field.operators:
            raise self._invalid(f"{name} does not support {sign}")
        if sign == ":":
            pattern = re.compile(".*".join(map(re.escape, value.split("*"))), re.DOTALL)
            return lambda resource: pattern.fullmatch(str(resource.get(field.path, ""))) is not None
        try:
            wanted = field.parse(value)
        except ValueError as error:
            raise self._invalid(f"{value!r} is not a value of {name} ({error})") from None
        compare = ORDERINGS[sign]
        return lambda resource: compare(field.parse(str(resource.get(field.path, ""))), wanted)

    def _label(self, key: str, sign: str, value: str) -> Predicate:
        match sign:
            case ":" if value == "*":
                return lambda resource: key in resource.get("labels", {})
            case "=" | ":":
                return lambda resource: resource.get("labels", {}).get(key) == value
            case "!=":
                return lambda resource: resource.get("labels", {}).get(key) != value
            case _:
                raise self._invalid(f"labels do not support {sign}")

    def _invalid(self, why: str) -> RequestError:
        return RequestError("INVALID_ARGUMENT", f"Invalid filter {self._text!r}: {why}.")


def _unquote(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value[0] in "\"'" else value
