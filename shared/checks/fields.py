"""Reads the fields of a JSON object. A wrong field is rejected with its path and with what would be right."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from shared.checks.suggestions import closest
from shared.errors import Rejected

_SURROGATE = re.compile("[\ud800-\udfff]")
# Words of other tools for a choice.
_SYNONYMS = {"overwrite": "truncate", "replace": "truncate", "insert": "append", "add": "append", "upsert": "merge"}
# Names that the APIs of Vertex AI have for fields of a batch, and of models, in lower case.
# https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/batch-prediction-api
_NAMES_ELSEWHERE = {
    **dict.fromkeys(("src", "source", "inputconfig", "input_config", "inputuri", "input_dataset"), "input"),
    **dict.fromkeys(
        ("dest", "destination", "outputconfig", "output_config", "outputuri", "output_uri_prefix"), "output"
    ),
    "source_model": "model",
    **dict.fromkeys(("registry_id", "model_id", "vertex_ai_model_id"), "id"),
}
_NAMES = {str: "a string", int: "a whole number", bool: "true or false", dict: "an object", list: "a list"}


class Fields:
    """A JSON object that is read field by field.

    After the last field, ``reject_unknown`` rejects every other one, so that a misspelt field is not ignored silently.
    """

    def __init__(self, values: object, path: str = "") -> None:
        """Read the object at ``path`` of a request; raise ``Rejected`` if ``values`` is not an object."""
        self._path = path
        if not isinstance(values, Mapping):
            raise self.wrong("", f"must be an object, not {_type_name(values)}")
        self._values = values
        self._known: set[str] = set()

    def wrong(self, name: str, message: str, *, code: str = "invalid_field") -> Rejected:
        """Return the error for a wrong field; ``message`` continues the sentence that begins with the field's path."""
        # The name of a field in YAML may hold half of a surrogate pair, which no event can.
        where = self.path(name).encode(errors="backslashreplace").decode()
        return Rejected(f"{where or 'the message'} {message}", field=where or None, code=code)

    def path(self, name: str) -> str:
        """Return the dotted path of the field ``name``."""
        return ".".join(part for part in (self._path, name) if part)

    def has(self, name: str) -> bool:
        """Return whether the field exists and is not null."""
        return self._values.get(name) is not None

    def text(self, name: str, *, longest: int = 1024) -> str:
        """Return a required string, which must not be blank."""
        value = self._required(name, str)
        if not value.strip():
            raise self.wrong(name, "must not be empty")
        if len(value) > longest:
            raise self.wrong(name, f"must be at most {longest} characters long, not {len(value)}")
        if _SURROGATE.search(value):
            raise self.wrong(name, "holds half of a surrogate pair")
        return str(value)

    def optional_text(self, name: str, *, longest: int = 1024) -> str | None:
        """Return a string, or None if the field is missing or null."""
        return self.text(name, longest=longest) if self._read(name) else None

    def choice(self, name: str, choices: tuple[str, ...], default: str) -> str:
        """Return one of ``choices``, or ``default`` if the field is missing or null."""
        value = self.optional_text(name) or default
        if value not in choices:
            # BigQuery's own names are such as WRITE_TRUNCATE.
            word = value.lower().removeprefix("write_")
            similar = closest(_SYNONYMS.get(word, word), choices)
            meant = f"; did you mean {similar}?" if similar else ""
            raise self.wrong(name, f"must be one of {', '.join(choices)}, not {value[:40]!r}{meant}")
        return value

    def optional_whole(self, name: str, *, least: int = 1, most: int = 2**63 - 1) -> int | None:
        """Return a whole number from ``least`` to ``most``, or None if the field is missing or null."""
        if not self._read(name):
            return None
        value = self._required(name, int)
        if not least <= value <= most:
            # Python refuses to print an integer of thousands of digits.
            shown = value if abs(value) <= 2**64 else "a larger number"
            raise self.wrong(name, f"must be from {least} to {most}, not {shown}")
        return int(value)

    def optional_number(self, name: str) -> float | None:
        """Return a finite number, or None if the field is missing or null."""
        if not self._read(name):
            return None
        value = self._values[name]
        if isinstance(value, bool) or not isinstance(value, int | float):
            right = ": leave the quotes out" if isinstance(value, str) else ""
            raise self.wrong(name, f"must be a number, not {_type_name(value)}{right}")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise self.wrong(name, "must be a finite number")
        return number

    def switch(self, name: str) -> bool:
        """Return true or false, or false if the field is missing or null."""
        return bool(self._required(name, bool)) if self._read(name) else False

    def nested(self, name: str, *, example: str = "") -> Fields:
        """Return a required object; ``example`` is one for the error."""
        return Fields(self._required(name, dict, example), self.path(name))

    def optional_nested(self, name: str, *, example: str = "") -> Fields | None:
        """Return an object, or None if the field is missing or null; ``example`` is one for the error."""
        return self.nested(name, example=example) if self._read(name) else None

    def objects(self, name: str) -> list[Fields]:
        """Return a list of objects. It is empty if the field is missing or null."""
        if not self._read(name):
            return []
        values = self._required(name, list)
        return [Fields(value, self.path(f"{name}[{index}]")) for index, value in enumerate(values)]

    def plain(self, name: str) -> dict[str, Any]:
        """Return an object with its unchecked values. It is empty if the field is missing or null."""
        return dict(self._required(name, dict)) if self._read(name) else {}

    def plain_or_text(self, name: str) -> object:
        """Return the unchecked value of a field that may be an object or a string."""
        self._known.add(name)
        return self._values.get(name)

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of strings. It is empty if the field is missing or null."""
        if not self._read(name):
            return ()
        values = self._required(name, list)
        for index, value in enumerate(values):
            if not isinstance(value, str):
                raise self.wrong(f"{name}[{index}]", f"must be a string, not {_type_name(value)}")
            if not value:
                raise self.wrong(f"{name}[{index}]", "must not be empty")
        return tuple(values)

    def text_map(self, name: str) -> dict[str, str]:
        """Return an object whose values are strings. It is empty if the field is missing or null."""
        values = self.plain(name)
        for key, value in values.items():
            if not isinstance(key, str):
                raise self.wrong(name, f"holds the name {str(key)[:80]}, which must be a string: put it in quotes")
            if not isinstance(value, str):
                raise self.wrong(f"{name}.{key[:80]}", f"must be a string, not {_type_name(value)}")
        return values

    def reject_unknown(self) -> None:
        """Raise ``Rejected`` if the object has a field that was never read."""
        for name in self._values:
            if name not in self._known:
                known = ", ".join(sorted(self._known))
                missing = {each for each in self._known if not self.has(each)}
                elsewhere = _NAMES_ELSEWHERE.get(str(name).lower())
                similar = elsewhere if elsewhere in missing else closest(str(name), missing)
                meant = f"; did you mean {similar}? Known" if similar else "; known"
                raise self.wrong(str(name)[:80], f"is not known{meant} here are {known}", code="unknown_field")

    def suggestion(self, *names: str) -> str:
        """Return which misspelt field is given in place of one of ``names``, as a part of a sentence; empty if none is."""
        for name in names:
            given = [str(each) for each in self._values if each not in self._known and each not in names]
            elsewhere = (each for each in given if _NAMES_ELSEWHERE.get(each.lower()) == name)
            if similar := next(elsewhere, None) or closest(name, given):
                return f"; {similar} is given: did you mean {name}?"
        return ""

    def _read(self, name: str) -> bool:
        self._known.add(name)
        return self.has(name)

    def _required(self, name: str, kind: type, example: str = "") -> Any:
        if not self._read(name):
            right = self.suggestion(name) or (f": write {example}" if example else "")
            raise self.wrong(name, f"is missing{right}", code="missing_field")
        value = self._values[name]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            right = f": write {example}" if example else ""
            if kind is int and isinstance(value, str) and value.isdecimal():
                right = ": leave the quotes out"
            if kind is str and isinstance(value, int | float) and not isinstance(value, bool):
                right = ": put it in quotes"
            found = f"{value:g}" if kind is int and isinstance(value, float) else _type_name(value)
            raise self.wrong(name, f"must be {_NAMES[kind]}, not {found}{right}")
        return value


def _type_name(value: object) -> str:
    if value is None:
        return "null"
    for kind in (bool, str, int, dict, list):
        if isinstance(value, kind):
            return _NAMES[kind]
    return "a number" if isinstance(value, float) else "another type"
