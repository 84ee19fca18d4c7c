"""The check of labels: https://cloud.google.com/pubsub/docs/create-topic#label-requirements."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from localcloud.pubsub.errors import InvalidArgument

MOST_LABELS = 64
LONGEST_LABEL = 63
_PLAIN = re.compile(r"[a-z0-9_-]*")


def checked_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Return ``labels`` if they are valid. Raises ``InvalidArgument`` that names the label and the rule."""
    if len(labels) > MOST_LABELS:
        raise InvalidArgument(f"A resource has at most {MOST_LABELS} labels; {len(labels)} were given.")
    for key, value in labels.items():
        if not key or not (_is_lower(key[0]) and key[0] not in "_-0123456789"):
            raise InvalidArgument(f"Invalid label key {key!r}: a key begins with a small letter.")
        for text in (key, value):
            if len(text) > LONGEST_LABEL or not all(_is_lower(character) for character in text):
                raise InvalidArgument(
                    f"Invalid label {key!r}: {value!r}. Keys and values have at most {LONGEST_LABEL} characters: small"
                    " letters, digits, underscores and dashes."
                )
    return dict(labels)


def _is_lower(character: str) -> bool:
    """Return whether a character may be in a label: an ASCII one of the plain set, or an international letter."""
    if character.isascii():
        return _PLAIN.fullmatch(character) is not None
    return unicodedata.category(character) in ("Ll", "Lo", "Lm", "Nd", "Mn", "Mc")
