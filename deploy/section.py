"""One mapping of a YAML document, read field by field; what nobody asked for is refused by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

_Item = TypeVar("_Item")


class DeclarationError(ValueError):
    """The declaration cannot be deployed; the message names the field."""


class Section:
    """One mapping of the document: hands out its fields, and in the end refuses those that nobody asked for."""

    def __init__(self, place: str, value: object) -> None:
        if not isinstance(value, dict):
            raise DeclarationError(f"{place}: expected fields, found {value!r}")
        self.place = place
        self._left = {str(key): item for key, item in value.items() if item is not None}

    def take(self, key: str) -> Any:
        if key not in self._left:
            raise DeclarationError(f"{self.place}.{key} is missing")
        return self._left.pop(key)

    def has(self, key: str) -> bool:
        return key in self._left

    def wrong(self, key: str, value: object, expected: str) -> DeclarationError:
        return DeclarationError(f"{self.place}.{key} is {value!r}; expected {expected}")

    def text(self, key: str, pattern: str = r".+") -> str:
        value = self.take(key)
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise self.wrong(key, value, f"text like {pattern}")
        return value

    def optional_text(self, key: str, pattern: str) -> str | None:
        return self.text(key, pattern) if self.has(key) else None

    def number(self, key: str, least: int, most: int) -> int:
        value = self.take(key)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise self.wrong(key, value, f"a whole number from {least} to {most}")
        return value

    def optional_number(self, key: str, least: int, most: int) -> int | None:
        return self.number(key, least, most) if self.has(key) else None

    def section(self, key: str) -> Section:
        return Section(f"{self.place}.{key}", self.take(key))

    def each(self, key: str, read: Callable[[str, Section], _Item]) -> dict[str, _Item]:
        if not self.has(key):
            return {}
        items = {}
        for name, value in self.section(key)._left.items():
            section = Section(f"{self.place}.{key}.{name}", value)
            items[name] = read(name, section)
            section.end()
        return items

    def roles(self, key: str) -> tuple[str, ...]:
        values = self.take(key) if self.has(key) else []
        if not isinstance(values, list):
            raise self.wrong(key, values, "a list of roles")
        for value in values:
            if not isinstance(value, str) or not re.fullmatch(r"roles/[A-Za-z.]+", value):
                raise self.wrong(key, value, "roles like roles/pubsub.publisher")
        return tuple(values)

    def roles_on(self, key: str) -> dict[str, tuple[str, ...]]:
        if not self.has(key):
            return {}
        section = self.section(key)
        return {target: section.roles(target) for target in list(section._left)}

    def texts(self, key: str) -> dict[str, str]:
        if not self.has(key):
            return {}
        section = self.section(key)
        return {name: str(section.take(name)) for name in list(section._left)}

    def end(self) -> None:
        for key in self._left:
            if re.search(r"auth|public|invoker|ingress", key):
                raise DeclarationError(
                    f"{self.place}.{key} is refused: functions are only ever deployed with authentication"
                )
            raise DeclarationError(f"{self.place}.{key} is not a field")
