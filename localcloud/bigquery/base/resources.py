"""The resources of the APIs beside BigQuery's own, such as connections: their names, and the file that keeps them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any


def read_resources(file: Path | None) -> dict[str, dict[str, Any]]:
    """Return the resources that a file keeps, by name; none if there is no file yet."""
    kept: dict[str, dict[str, Any]] = json.loads(file.read_text()) if file is not None and file.is_file() else {}
    return kept


def write_json(file: Path, content: dict[str, Any]) -> None:
    """Write JSON so that a crash leaves either the old or the new content, never a part of it."""
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(content))
    partial.replace(file)


def canonical_name(name: str) -> str:
    """Return the name with its location in lower case: ``US`` and ``us`` are the same."""
    return re.sub(r"/locations/([^/]+)/", lambda location: location[0].lower(), name, count=1)


def camel_case(name: str) -> str:
    """Return the name of a field in camelCase: clients send some in snake_case."""
    return re.sub(r"_([a-z])", lambda letter: letter[1].upper(), name)
