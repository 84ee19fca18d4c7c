"""Policy documents: what a form may contain that uploads an object.

https://cloud.google.com/storage/docs/authentication/signatures#policy-document
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from localcloud.storage.rules.errors import InvalidRequest
from localcloud.storage.rules.lengths import ANY_LENGTH, LengthRange
from localcloud.storage.xml.errors import InvalidPolicyDocument

_EQUAL, _STARTS, _LENGTH = "eq", "starts-with", "content-length-range"
# The fields of a form that need no condition.
_FREE = frozenset({"policy", "x-goog-signature", "signature", "googleaccessid", "file"})
_FREE_PREFIX = "x-ignore-"


@dataclass(frozen=True)
class Condition:
    """What the value of one field must be, or begin with."""

    operator: str
    field: str
    value: str

    def holds(self, fields: Mapping[str, str]) -> bool:
        """Return whether a form with these fields meets the condition."""
        found = fields.get(self.field)
        if found is None:
            return False
        return found == self.value if self.operator == _EQUAL else found.startswith(self.value)


@dataclass(frozen=True)
class Policy:
    """The conditions of a form, and until when it can be sent."""

    expiration: datetime
    conditions: tuple[Condition, ...] = ()
    length: LengthRange = ANY_LENGTH
    """The number of bytes that the file may have."""

    @classmethod
    def parse(cls, text: str) -> Policy:
        """Read a policy document in base64. Raises ``InvalidPolicyDocument``."""
        try:
            document = json.loads(base64.b64decode(text, validate=True))
            expiration = datetime.fromisoformat(document["expiration"])
            members = list(document["conditions"])
        except (ValueError, KeyError, TypeError, binascii.Error):
            raise InvalidPolicyDocument(
                "The policy is not base64 of a JSON object with an expiration and a list of conditions."
            ) from None
        if expiration.tzinfo is None:
            raise InvalidPolicyDocument(f"The expiration has no time zone: {document['expiration']!r}.")
        lengths = [member for member in members if isinstance(member, list) and member[:1] == [_LENGTH]]
        conditions = [condition for member in members if member not in lengths for condition in _conditions(member)]
        return cls(expiration, tuple(conditions), _length(lengths[-1]) if lengths else ANY_LENGTH)

    def check(self, fields: Mapping[str, str], now: datetime) -> None:
        """Raise ``InvalidPolicyDocument`` if a form may not be sent.

        Args:
            fields: The fields of the form by their names in small letters, and the bucket.
            now: The current time.
        """
        if now > self.expiration:
            raise InvalidPolicyDocument(f"The policy expired at {self.expiration.isoformat()}.")
        for condition in self.conditions:
            if not condition.holds(fields):
                raise InvalidPolicyDocument(
                    "The content of the form does not meet the conditions specified in the policy document:"
                    f" {condition.operator} {condition.field} {condition.value!r}."
                )
        named = {condition.field for condition in self.conditions} | _FREE | {"bucket"}
        for name in fields:
            if name not in named and not name.startswith(_FREE_PREFIX):
                raise InvalidPolicyDocument(f"The policy document has no condition for the field {name}.")


def _conditions(member: Any) -> list[Condition]:
    """Return the conditions that one member of the list stands for. Raises ``InvalidPolicyDocument``."""
    match member:
        case dict() if member and all(isinstance(value, str) for value in member.values()):
            return [Condition(_EQUAL, name.lower().removeprefix("$"), value) for name, value in member.items()]
        case [str(operator), str(name), str(value)] if operator in (_EQUAL, _STARTS) and name.startswith("$"):
            return [Condition(operator, name[1:].lower(), value)]
    raise InvalidPolicyDocument(
        f"Invalid condition {json.dumps(member)}: an object with a text, [{_EQUAL}, $FIELD, TEXT], [{_STARTS}, $FIELD, TEXT]"
        f" or [{_LENGTH}, SMALLEST, LARGEST] is expected."
    )


def _length(member: list[Any]) -> LengthRange:
    try:
        return LengthRange.parse(",".join(str(number) for number in member[1:]))
    except InvalidRequest:
        raise InvalidPolicyDocument(f"Invalid condition {json.dumps(member)}: two numbers are expected.") from None
