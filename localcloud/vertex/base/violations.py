"""The invalid fields of a request, which Vertex AI lists all at once, and the rules of names and labels.

https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.models#Model (displayName, labels)
"""

from __future__ import annotations

import re
from typing import Any

from localcloud.vertex.base.errors import RequestError

LONGEST_DISPLAY_NAME = 128
MOST_LABELS = 64
LABEL_KEY = re.compile(r"[^\W\dA-Z_][^\WA-Z]*(?:-[^\WA-Z]*)*")
LABEL_VALUE = re.compile(r"[^\WA-Z]*(?:-[^\WA-Z]*)*")


class Violations:
    """The invalid fields of one message."""

    def __init__(self, message: str) -> None:
        """Collect the invalid fields of ``message``, such as ``batch_prediction_job``."""
        self._message = message
        self.found: list[tuple[str, str]] = []

    def add(self, name: str, message: str = "Required field is not set.") -> None:
        """Add an invalid field."""
        self.found.append((f"{self._message}.{name}", message))

    def check_display_name(self, name: Any) -> None:
        """Add the display name if it is missing or too long."""
        if not name:
            self.add("display_name")
        elif len(str(name)) > LONGEST_DISPLAY_NAME:
            self.add("display_name", f"The name is longer than {LONGEST_DISPLAY_NAME} characters.")

    def check_labels(self, labels: Any, longest: int = 64) -> None:
        """Add labels that are not valid; a key or a value has at most ``longest`` characters."""
        if labels is None:
            return
        if not isinstance(labels, dict):
            self.add("labels", "It must be a map of strings.")
            return
        if len(labels) > MOST_LABELS:
            self.add("labels", f"There are more than {MOST_LABELS} labels.")
        for key, value in labels.items():
            if len(key) > longest or not LABEL_KEY.fullmatch(key):
                self.add(
                    "labels", f"{key!r} is not a label key: lowercase letters, digits, _ and -, at most {longest}."
                )
            if not isinstance(value, str) or len(value) > longest or not LABEL_VALUE.fullmatch(value):
                self.add(
                    "labels", f"{value!r} is not a label value: lowercase letters, digits, _, -; at most {longest}."
                )

    def error(self) -> RequestError:
        """Return the error that lists the invalid fields."""
        listed = "\t".join(
            f"{number}.Field: {name}; Message: {message}" for number, (name, message) in enumerate(self.found, 1)
        )
        return RequestError("INVALID_ARGUMENT", f"List of found errors:\t{listed}\t")

    def raise_any(self) -> None:
        """Raise ``RequestError`` (INVALID_ARGUMENT) if a field is invalid."""
        if self.found:
            raise self.error()


def check_names_and_labels(message: str, given: dict[str, Any]) -> None:
    """Raise ``RequestError`` (INVALID_ARGUMENT) unless a resource has a display name, and labels that are valid."""
    violations = Violations(message)
    violations.check_display_name(given.get("displayName"))
    violations.check_labels(given.get("labels"))
    violations.raise_any()
