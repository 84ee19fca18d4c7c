"""Reads rows from a file: JSON Lines, one object for each row."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


class NotRows(ValueError):
    """A file does not contain rows. The text says where and why."""


def read_rows(path: str) -> list[dict[str, Any]]:
    """Return the rows in a file.

    Args:
        path: The file; `-` is the standard input.

    Raises:
        NotRows: A line is not a JSON object, or there is no row.
        OSError: The file cannot be read.
    """
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text("utf-8")
    except UnicodeDecodeError as error:
        raise NotRows(f"{path} is not text in UTF-8: give JSON Lines, one object for each row") from error
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise NotRows(
                f'line {number} of {path} is not JSON ({error}): write one object in each line, {{"x": 1.5}}'
            ) from error
        if not isinstance(row, dict) or not row:
            raise NotRows(
                f'line {number} of {path} is not an object with columns: write one in each line, {{"x": 1.5}}'
            )
        rows.append(row)
    if not rows:
        raise NotRows(f'{path} has no rows: write one object in each line, {{"x": 1.5}}')
    return rows
